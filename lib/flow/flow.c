/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow.h"

#include "flow/frame.h"
#include "wire/checksum.h"
#include "wire/ip.h"

#include <rte_errno.h>
#include <rte_hash.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define TCLASS_DSCP 0xfc /* the rest is ECN */
#define NAME_MAX_CHARS 16

/*
 * Keys hashed and looked up at a time.  Not RTE_HASH_LOOKUP_BULK_MAX: with 64 keys of which none
 * is in a main bucket, DPDK 22.11 shifts by 64 and leaves out the extended buckets.
 */
#define LOOKUP_STEP 32

_Static_assert(sizeof(struct tp_flow) == 128, "two cache lines");
_Static_assert(offsetof(struct tp_flow, hdr) + TP_IPV4_LEN + TP_UDP_LEN <= 64,
		"IPv4 towards a peer needs the first line only");

/* A form of key, and the hash that has all flows with such keys. */
enum domain {
	CHANNEL4, /* by the family of the packet received */
	CHANNEL6,
	DATA4,
	DATA6,
	SEND,
	DOMAINS
};

static const struct {
	char suffix;
	uint8_t key_len;
	bool is_permission;
} domains[DOMAINS] = {
	[CHANNEL4] = { '4', sizeof(struct tp_flow_key4), false },
	[CHANNEL6] = { '6', sizeof(struct tp_flow_key6), false },
	[DATA4] = { 'd', sizeof(struct tp_flow_key4), true },
	[DATA6] = { 'D', sizeof(struct tp_flow_key6), true },
	[SEND] = { 's', sizeof(struct tp_flow_send_key), true },
};

/* Of any domain. */
union key {
	union tp_flow_key flow;
	struct tp_flow_send_key send;
};

/* The writer's half of a flow, beside it in an array of its own. */
struct slot {
	union key key;             /* under which the flow is found */
	union tp_flow_key hairpin; /* what tp_flow.hairpin points at */
	struct tp_flow_table *table;
	enum domain domain;
	int32_t position; /* rte_hash's key slot, between deletion and release */
};

struct tp_flow_table {
	struct rte_hash *hash[DOMAINS]; /* NULL: none of this kind */
	uint64_t seed;
	uint64_t label_seed; /* another one: labels are sent, and must tell nothing about the table
			      */
	alignas(64) struct tp_grace *grace;
	struct tp_flow *flows;
	struct slot *slots;
	struct tp_flow *free; /* LIFO: the flow freed last is the one in cache */
	uint32_t max[DOMAINS];
	uint32_t n_touched; /* flows[] from here on were never used: no page behind them */
	uint32_t n_live;
	uint32_t n_held[DOMAINS]; /* live, or waiting for readers */
	uint16_t whole_max;       /* as in flows */
	uint8_t tclass_clear;
};

/*
 * Peers' addresses and ports are the clients' choice, so a hash whose collisions do not depend on
 * its seed (CRC is linear) would let one client chain thousands of keys in one bucket.
 */
static inline hash_sig_t key_hash(uint64_t seed, const void *key, size_t key_len)
{
	return (hash_sig_t)XXH3_64bits_withSeed(key, key_len, seed);
}

static hash_sig_t slot_hash(const struct tp_flow_table *table, const struct slot *slot)
{
	return key_hash(table->seed, &slot->key, domains[slot->domain].key_len);
}

static int hash_new(const struct tp_flow_table_conf *conf, enum domain domain, uint32_t entries,
		struct rte_hash **out)
{
	char name[RTE_HASH_NAMESIZE];
	struct rte_hash_parameters params = {
		.name = name,
		.entries = entries,
		.key_len = domains[domain].key_len,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF |
				RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};
	struct rte_hash *hash;

	snprintf(name, sizeof(name), "%s-%c", conf->name, domains[domain].suffix);
	hash = rte_hash_create(&params);
	if (hash == NULL)
		return rte_errno == ENOMEM ? -ENOMEM : -EINVAL;
	*out = hash;
	return 0;
}

/* Address space only: a page costs memory once it is written. */
static void *reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

static size_t table_slots(const struct tp_flow_table *table)
{
	size_t n = 0;

	for (int i = 0; i < DOMAINS; i++)
		n += table->max[i];
	return n;
}

static bool is_size(uint32_t entries)
{
	return entries >= TP_FLOW_MIN && entries <= RTE_HASH_ENTRIES_MAX;
}

static void hashes_free(struct tp_flow_table *table)
{
	for (int i = 0; i < DOMAINS; i++)
		rte_hash_free(table->hash[i]);
}

static int hashes_new(struct tp_flow_table *table, const struct tp_flow_table_conf *conf)
{
	int ret;

	for (int i = 0; i < DOMAINS; i++) {
		if (table->max[i] == 0)
			continue;
		ret = hash_new(conf, i, table->max[i], &table->hash[i]);
		if (ret != 0) {
			hashes_free(table);
			return ret;
		}
	}
	return 0;
}

int tp_flow_table_new(const struct tp_flow_table_conf *conf, struct tp_flow_table **out)
{
	struct tp_flow_table *table;
	int ret = -ENOMEM;

	if (!is_size(conf->max_flows) ||
			(conf->max_permissions != 0 && !is_size(conf->max_permissions)) ||
			strlen(conf->name) > NAME_MAX_CHARS || conf->grace == NULL)
		return -EINVAL;

	table = aligned_alloc(alignof(struct tp_flow_table), sizeof(*table));
	if (table == NULL)
		return -ENOMEM;
	memset(table, 0, sizeof(*table));
	table->grace = conf->grace;
	table->tclass_clear = conf->clears_dscp ? TCLASS_DSCP : 0;
	table->whole_max = conf->lowest_ipv6_mtu != 0 ? conf->lowest_ipv6_mtu : UINT16_MAX;
	for (int i = 0; i < DOMAINS; i++)
		table->max[i] = domains[i].is_permission ? conf->max_permissions : conf->max_flows;
	if (getrandom(&table->seed, sizeof(table->seed), 0) != sizeof(table->seed) ||
			getrandom(&table->label_seed, sizeof(table->label_seed), 0) !=
					sizeof(table->label_seed))
		goto err_table;

	table->flows = reserve(table_slots(table) * sizeof(*table->flows));
	if (table->flows == NULL)
		goto err_table;
	table->slots = reserve(table_slots(table) * sizeof(*table->slots));
	if (table->slots == NULL)
		goto err_flows;
	ret = hashes_new(table, conf);
	if (ret != 0)
		goto err_slots;
	*out = table;
	return 0;

err_slots:
	munmap(table->slots, table_slots(table) * sizeof(*table->slots));
err_flows:
	munmap(table->flows, table_slots(table) * sizeof(*table->flows));
err_table:
	free(table);
	return ret;
}

void tp_flow_table_free(struct tp_flow_table *table)
{
	uint32_t n;

	if (table == NULL)
		return;
	/* Deleted flows still wait in the queue and would be released into a table that is gone. */
	n = tp_grace_reclaim(table->grace);
	assert(n == 0);
	(void)n;
	hashes_free(table);
	munmap(table->slots, table_slots(table) * sizeof(*table->slots));
	munmap(table->flows, table_slots(table) * sizeof(*table->flows));
	free(table);
}

static struct slot *slot_of(const struct tp_flow_table *table, const struct tp_flow *flow)
{
	assert(flow >= table->flows && flow < table->flows + table_slots(table));
	return &table->slots[flow - table->flows];
}

/* There is one: each domain's n_held is below its maximum, and the array is for all. */
static struct tp_flow *flow_get(struct tp_flow_table *table)
{
	struct tp_flow *flow = table->free;

	if (flow != NULL) {
		table->free = flow->next_free;
	} else {
		assert(table->n_touched < table_slots(table));
		flow = &table->flows[table->n_touched++];
	}
	memset(flow, 0, sizeof(*flow));
	return flow;
}

static void flow_put(struct tp_flow_table *table, struct tp_flow *flow)
{
	flow->next_free = table->free;
	table->free = flow;
}

static void key_build(union tp_flow_key *key, const struct tp_addr *src, const struct tp_addr *dst,
		uint16_t channel)
{
	memset(key, 0, sizeof(*key));
	if (src->family == TP_IPV6) {
		memcpy(key->v6.src, src->ip, 16);
		memcpy(key->v6.dst, dst->ip, 16);
		key->v6.src_port_be = htons(src->port);
		key->v6.dst_port_be = htons(dst->port);
		key->v6.channel_be = htons(channel);
	} else {
		memcpy(key->v4.src, src->ip, 4);
		memcpy(key->v4.dst, dst->ip, 4);
		key->v4.src_port_be = htons(src->port);
		key->v4.dst_port_be = htons(dst->port);
		key->v4.channel_be = htons(channel);
	}
}

static void send_key_build(struct tp_flow_send_key *key, const struct tp_flow_spec *spec)
{
	*key = (struct tp_flow_send_key){
		.src_port_be = htons(spec->in_src.port),
		.dst_port_be = htons(spec->in_dst.port),
		.family = spec->in_src.family,
		.peer_family = spec->in_peer.family,
	};
	memcpy(key->src, spec->in_src.ip, sizeof(key->src));
	memcpy(key->dst, spec->in_dst.ip, sizeof(key->dst));
	memcpy(key->peer, spec->in_peer.ip, sizeof(key->peer));
}

static enum domain spec_domain(const struct tp_flow_spec *spec)
{
	bool is_v6 = spec->in_src.family == TP_IPV6;

	if (spec->form == TP_FLOW_SEND)
		return SEND;
	if (spec->form == TP_FLOW_DATA)
		return is_v6 ? DATA6 : DATA4;
	return is_v6 ? CHANNEL6 : CHANNEL4;
}

static void slot_key_build(union key *key, const struct tp_flow_spec *spec)
{
	memset(key, 0, sizeof(*key));
	if (spec->form == TP_FLOW_SEND)
		send_key_build(&key->send, spec);
	else
		key_build(&key->flow, &spec->in_src, &spec->in_dst, spec->in_channel);
}

/* A key is what a packet has constant, and nothing else: addresses, ports, channel. */
static uint16_t key_sum(const union tp_flow_key *key)
{
	return tp_csum_fold(tp_csum_add(0, key, sizeof(*key)));
}

/* Addresses and ports lie in a key as in a packet: the four fields in a row. */
static void flow_hdr4(struct tp_flow *flow, const struct tp_flow_key4 *out)
{
	struct tp_ipv4_hdr *ip = (struct tp_ipv4_hdr *)flow->hdr;

	ip->version_ihl = 0x45;
	ip->protocol = TP_IPPROTO_UDP;
	memcpy(flow->hdr + offsetof(struct tp_ipv4_hdr, src), out, 12);
	flow->ip_sum = tp_csum_fold(tp_csum_add(0, ip, sizeof(*ip)));
	flow->hdr_len = TP_IPV4_LEN + TP_UDP_LEN;
}

static void flow_hdr6(struct tp_flow *flow, const struct tp_flow_key6 *out, uint32_t label)
{
	struct tp_ipv6_hdr *ip = (struct tp_ipv6_hdr *)flow->hdr;

	ip->ver_class_flow_be = htonl(6u << 28 | label);
	ip->next_header = TP_IPPROTO_UDP;
	memcpy(flow->hdr + offsetof(struct tp_ipv6_hdr, src), out, 36);
	flow->hdr_len = TP_IPV6_LEN + TP_UDP_LEN;
}

/* RFC 6437 section 3: a keyed hash of the five-tuple, and never 0, which says "no label". */
static uint32_t flow_label(const struct tp_flow_table *table, const union tp_flow_key *out)
{
	uint32_t label = key_hash(table->label_seed, &out->v6, sizeof(out->v6)) & 0xfffff;

	return label != 0 ? label : 1;
}

static bool spec_is_up(const struct tp_flow_spec *spec)
{
	return spec->form == TP_FLOW_SEND || spec->in_channel != 0;
}

static void flow_build(const struct tp_flow_table *table, struct tp_flow *flow,
		const struct tp_flow_spec *spec)
{
	struct slot *slot = slot_of(table, flow);
	bool is_out6 = spec->out_src.family == TP_IPV6;
	uint16_t channel_be = htons(spec->out_channel);
	union tp_flow_key out;

	key_build(&out, &spec->out_src, &spec->out_dst, spec->out_channel);
	flow->flags = (uint8_t)((spec_is_up(spec) ? TP_FLOW_UP : 0) |
			(spec->in_src.family == TP_IPV6 ? TP_FLOW_IN6 : 0) |
			(is_out6 ? TP_FLOW_OUT6 : 0) | (spec->is_hairpin ? TP_FLOW_HAIRPIN : 0) |
			(spec->form != TP_FLOW_CHANNEL ? TP_FLOW_INDICATION : 0));
	flow->whole_max = is_out6 ? table->whole_max : UINT16_MAX;
	flow->tclass_clear = table->tclass_clear;
	flow->in_sum = key_sum(&slot->key.flow);
	flow->out_sum = key_sum(&out);
	if (is_out6)
		flow_hdr6(flow, &out.v6, flow_label(table, &out));
	else
		flow_hdr4(flow, &out.v4);
	if (channel_be != 0) {
		memcpy(flow->hdr + flow->hdr_len, &channel_be, sizeof(channel_be));
		flow->hdr_len += 4;
	}
	if (spec->is_hairpin) {
		slot->hairpin = out;
		flow->hairpin = &slot->hairpin;
	}
	tp_flow_set_deadline(flow, spec->deadline_ns);
}

static bool spec_is_valid(const struct tp_flow_spec *spec)
{
	uint8_t in = spec->in_src.family, out = spec->out_src.family;

	if ((in != TP_IPV4 && in != TP_IPV6) || in != spec->in_dst.family ||
			(out != TP_IPV4 && out != TP_IPV6) || out != spec->out_dst.family ||
			(spec->is_hairpin && !spec_is_up(spec)))
		return false;
	switch (spec->form) {
	case TP_FLOW_CHANNEL:
		return (spec->in_channel == 0) != (spec->out_channel == 0);
	case TP_FLOW_SEND:
		return spec->in_channel == 0 && spec->out_channel == 0 && spec->out_dst.port == 0 &&
				spec->in_peer.family == out;
	case TP_FLOW_DATA:
		return spec->in_channel == 0 && spec->out_channel == 0 && spec->in_src.port == 0;
	}
	return false;
}

int tp_flow_add(struct tp_flow_table *table, const struct tp_flow_spec *spec, struct tp_flow **out)
{
	enum domain domain = spec_domain(spec);
	struct tp_flow *flow;
	struct slot *slot;
	union key key;
	hash_sig_t sig;

	if (!spec_is_valid(spec))
		return -EINVAL;
	if (table->hash[domain] == NULL)
		return -ENOSPC;
	slot_key_build(&key, spec);
	sig = key_hash(table->seed, &key, domains[domain].key_len);
	/* rte_hash would overwrite, not refuse. */
	if (rte_hash_lookup_with_hash(table->hash[domain], &key, sig) >= 0)
		return -EEXIST;
	if (table->n_held[domain] == table->max[domain])
		tp_grace_reclaim(table->grace);
	if (table->n_held[domain] == table->max[domain])
		return -ENOSPC;

	flow = flow_get(table);
	slot = slot_of(table, flow);
	slot->table = table;
	slot->domain = domain;
	slot->key = key;
	flow_build(table, flow, spec);
	if (rte_hash_add_key_with_hash_data(table->hash[domain], &key, sig, flow) != 0) {
		flow_put(table, flow);
		return -ENOSPC;
	}
	table->n_held[domain]++;
	table->n_live++;
	*out = flow;
	return 0;
}

static void slot_release(void *obj)
{
	struct slot *slot = obj;
	struct tp_flow_table *table = slot->table;
	int ret = rte_hash_free_key_with_position(table->hash[slot->domain], slot->position);

	assert(ret == 0);
	(void)ret;
	assert(table->n_held[slot->domain] > 0);
	table->n_held[slot->domain]--;
	flow_put(table, &table->flows[slot - table->slots]);
}

void tp_flow_del(struct tp_flow_table *table, struct tp_flow *flow)
{
	struct slot *slot = slot_of(table, flow);

	slot->position = rte_hash_del_key_with_hash(
			table->hash[slot->domain], &slot->key, slot_hash(table, slot));
	assert(slot->position >= 0);
	assert(table->n_live > 0);
	table->n_live--;
	tp_grace_retire(table->grace, slot_release, slot);
}

void tp_flow_set_deadline(struct tp_flow *flow, uint64_t deadline_ns)
{
	atomic_store_explicit(&flow->deadline_ns, deadline_ns, memory_order_relaxed);
}

void tp_flow_set_next_hop(struct tp_flow *flow, const struct tp_next_hop *nh)
{
	/* Pairs with the acquire in tp_rewrite(): what nh points at is written before nh is seen.
	 */
	atomic_store_explicit(&flow->next_hop, nh, memory_order_release);
}

uint32_t tp_flow_count(const struct tp_flow_table *table)
{
	return table->n_live;
}

/* key_len is a constant wherever this is inlined, and the hash of such a key a few instructions. */
static inline __attribute__((always_inline)) uint32_t look_up(const struct tp_flow_table *table,
		enum domain domain, size_t key_len, const void *key[], uint32_t n,
		struct tp_flow *flow[])
{
	hash_sig_t sig[LOOKUP_STEP];
	uint32_t i, step, hits = 0;
	uint64_t mask;

	assert(n <= TP_BURST);
	for (; n > 0; n -= step, key += step, flow += step) {
		step = n < LOOKUP_STEP ? n : LOOKUP_STEP;
		for (i = 0; i < step; i++) {
			sig[i] = key_hash(table->seed, key[i], key_len);
			flow[i] = NULL;
		}
		mask = 0;
		hits += (uint32_t)rte_hash_lookup_with_hash_bulk_data(
				table->hash[domain], key, sig, step, &mask, (void **)flow);
	}
	return hits;
}

/* As look_up(), in a hash that may not be there. */
static inline __attribute__((always_inline)) uint32_t look_up_permission(
		const struct tp_flow_table *table, enum domain domain, size_t key_len,
		const void *key[], uint32_t n, struct tp_flow *flow[])
{
	if (table->hash[domain] != NULL)
		return look_up(table, domain, key_len, key, n, flow);
	for (uint32_t i = 0; i < n; i++)
		flow[i] = NULL;
	return 0;
}

uint32_t tp_flow_lookup4_bulk(const struct tp_flow_table *table,
		const struct tp_flow_key4 *const key[], uint32_t n, struct tp_flow *flow[])
{
	return look_up(table, CHANNEL4, sizeof(**key), (const void **)key, n, flow);
}

uint32_t tp_flow_lookup6_bulk(const struct tp_flow_table *table,
		const struct tp_flow_key6 *const key[], uint32_t n, struct tp_flow *flow[])
{
	return look_up(table, CHANNEL6, sizeof(**key), (const void **)key, n, flow);
}

uint32_t tp_flow_lookup_data4_bulk(const struct tp_flow_table *table,
		const struct tp_flow_key4 *const key[], uint32_t n, struct tp_flow *flow[])
{
	return look_up_permission(table, DATA4, sizeof(**key), (const void **)key, n, flow);
}

uint32_t tp_flow_lookup_data6_bulk(const struct tp_flow_table *table,
		const struct tp_flow_key6 *const key[], uint32_t n, struct tp_flow *flow[])
{
	return look_up_permission(table, DATA6, sizeof(**key), (const void **)key, n, flow);
}

uint32_t tp_flow_lookup_send_bulk(const struct tp_flow_table *table,
		const struct tp_flow_send_key *const key[], uint32_t n, struct tp_flow *flow[])
{
	return look_up_permission(table, SEND, sizeof(**key), (const void **)key, n, flow);
}
