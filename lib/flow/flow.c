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

#define NAME_MAX_CHARS 16
#define MIN_FLOWS 8 /* one bucket of rte_hash */

/*
 * Keys hashed and looked up at a time.  Not RTE_HASH_LOOKUP_BULK_MAX: with 64 keys of which none
 * is in a main bucket, DPDK 22.11 shifts by 64 and leaves out the extended buckets.
 */
#define LOOKUP_STEP 32

_Static_assert(sizeof(struct tp_flow) == 128, "two cache lines");
_Static_assert(offsetof(struct tp_flow, hdr) + TP_IPV4_LEN + TP_UDP_LEN <= 64,
		"IPv4 towards a peer needs the first line only");

/* The writer's half of a flow, beside it in an array of its own. */
struct slot {
	union tp_flow_key key;     /* under which the flow is found */
	union tp_flow_key hairpin; /* what tp_flow.hairpin points at */
	struct tp_flow_table *table;
	int32_t position; /* rte_hash's key slot, between deletion and release */
};

/* Index 0: IPv4, 1: IPv6, by the family of the packet received. */
struct tp_flow_table {
	struct rte_hash *hash[2];
	uint64_t seed;
	uint64_t label_seed; /* another one: labels are sent, and must tell nothing about the table
			      */
	alignas(64) struct tp_grace *grace;
	struct tp_flow *flows;
	struct slot *slots;
	struct tp_flow *free; /* LIFO: the flow freed last is the one in cache */
	uint32_t max_flows;
	uint32_t n_touched; /* flows[] from here on were never used: no page behind them */
	uint32_t n_live;
	uint32_t n_held[2]; /* live, or waiting for readers */
};

/*
 * Peers' addresses and ports are the clients' choice, so a hash whose collisions do not depend on
 * its seed (CRC is linear) would let one client chain thousands of keys in one bucket.
 */
static inline hash_sig_t key4_hash(uint64_t seed, const struct tp_flow_key4 *key)
{
	return (hash_sig_t)XXH3_64bits_withSeed(key, sizeof(*key), seed);
}

static inline hash_sig_t key6_hash(uint64_t seed, const struct tp_flow_key6 *key)
{
	return (hash_sig_t)XXH3_64bits_withSeed(key, sizeof(*key), seed);
}

static hash_sig_t key_hash(
		const struct tp_flow_table *table, const union tp_flow_key *key, bool is_v6)
{
	return is_v6 ? key6_hash(table->seed, &key->v6) : key4_hash(table->seed, &key->v4);
}

static int hash_new(const struct tp_flow_table_conf *conf, bool is_v6, struct rte_hash **out)
{
	char name[RTE_HASH_NAMESIZE];
	struct rte_hash_parameters params = {
		.name = name,
		.entries = conf->max_flows,
		.key_len = is_v6 ? sizeof(struct tp_flow_key6) : sizeof(struct tp_flow_key4),
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF |
				RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};
	struct rte_hash *hash;

	snprintf(name, sizeof(name), "%s-%c", conf->name, is_v6 ? '6' : '4');
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
	return 2 * (size_t)table->max_flows;
}

int tp_flow_table_new(const struct tp_flow_table_conf *conf, struct tp_flow_table **out)
{
	struct tp_flow_table *table;
	int ret = -ENOMEM;

	if (conf->max_flows < MIN_FLOWS || conf->max_flows > RTE_HASH_ENTRIES_MAX ||
			strlen(conf->name) > NAME_MAX_CHARS || conf->grace == NULL)
		return -EINVAL;

	table = aligned_alloc(alignof(struct tp_flow_table), sizeof(*table));
	if (table == NULL)
		return -ENOMEM;
	memset(table, 0, sizeof(*table));
	table->grace = conf->grace;
	table->max_flows = conf->max_flows;
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
	ret = hash_new(conf, false, &table->hash[0]);
	if (ret != 0)
		goto err_slots;
	ret = hash_new(conf, true, &table->hash[1]);
	if (ret != 0)
		goto err_hash4;
	*out = table;
	return 0;

err_hash4:
	rte_hash_free(table->hash[0]);
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
	rte_hash_free(table->hash[1]);
	rte_hash_free(table->hash[0]);
	munmap(table->slots, table_slots(table) * sizeof(*table->slots));
	munmap(table->flows, table_slots(table) * sizeof(*table->flows));
	free(table);
}

static struct slot *slot_of(const struct tp_flow_table *table, const struct tp_flow *flow)
{
	assert(flow >= table->flows && flow < table->flows + table_slots(table));
	return &table->slots[flow - table->flows];
}

static bool flow_in6(const struct tp_flow *flow)
{
	return (flow->flags & TP_FLOW_IN6) != 0;
}

/* There is one: each family's n_held is below max_flows, and the array is for both. */
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
	uint32_t label = key6_hash(table->label_seed, &out->v6) & 0xfffff;

	return label != 0 ? label : 1;
}

static void flow_build(const struct tp_flow_table *table, struct tp_flow *flow,
		const struct tp_flow_spec *spec)
{
	struct slot *slot = slot_of(table, flow);
	bool is_out6 = spec->out_src.family == TP_IPV6;
	uint16_t channel_be = htons(spec->out_channel);
	union tp_flow_key out;

	key_build(&out, &spec->out_src, &spec->out_dst, spec->out_channel);
	flow->flags = (uint8_t)((spec->in_channel != 0 ? TP_FLOW_UP : 0) |
			(spec->in_src.family == TP_IPV6 ? TP_FLOW_IN6 : 0) |
			(is_out6 ? TP_FLOW_OUT6 : 0) | (spec->is_hairpin ? TP_FLOW_HAIRPIN : 0));
	flow->in_sum = key_sum(&slot->key);
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

	return (in == TP_IPV4 || in == TP_IPV6) && in == spec->in_dst.family &&
			(out == TP_IPV4 || out == TP_IPV6) && out == spec->out_dst.family &&
			(spec->in_channel == 0) != (spec->out_channel == 0) &&
			(!spec->is_hairpin || spec->in_channel != 0);
}

int tp_flow_add(struct tp_flow_table *table, const struct tp_flow_spec *spec, struct tp_flow **out)
{
	bool is_in6 = spec->in_src.family == TP_IPV6;
	union tp_flow_key key;
	struct tp_flow *flow;
	struct slot *slot;
	hash_sig_t sig;

	if (!spec_is_valid(spec))
		return -EINVAL;
	key_build(&key, &spec->in_src, &spec->in_dst, spec->in_channel);
	sig = key_hash(table, &key, is_in6);
	/* rte_hash would overwrite, not refuse. */
	if (rte_hash_lookup_with_hash(table->hash[is_in6], &key, sig) >= 0)
		return -EEXIST;
	if (table->n_held[is_in6] == table->max_flows)
		tp_grace_reclaim(table->grace);
	if (table->n_held[is_in6] == table->max_flows)
		return -ENOSPC;

	flow = flow_get(table);
	slot = slot_of(table, flow);
	slot->table = table;
	slot->key = key;
	flow_build(table, flow, spec);
	if (rte_hash_add_key_with_hash_data(table->hash[is_in6], &key, sig, flow) != 0) {
		flow_put(table, flow);
		return -ENOSPC;
	}
	table->n_held[is_in6]++;
	table->n_live++;
	*out = flow;
	return 0;
}

static void slot_release(void *obj)
{
	struct slot *slot = obj;
	struct tp_flow_table *table = slot->table;
	struct tp_flow *flow = &table->flows[slot - table->slots];
	bool is_in6 = flow_in6(flow);
	int ret = rte_hash_free_key_with_position(table->hash[is_in6], slot->position);

	assert(ret == 0);
	(void)ret;
	assert(table->n_held[is_in6] > 0);
	table->n_held[is_in6]--;
	flow_put(table, flow);
}

void tp_flow_del(struct tp_flow_table *table, struct tp_flow *flow)
{
	struct slot *slot = slot_of(table, flow);
	bool is_in6 = flow_in6(flow);

	slot->position = rte_hash_del_key_with_hash(
			table->hash[is_in6], &slot->key, key_hash(table, &slot->key, is_in6));
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

static uint32_t look_up(const struct rte_hash *hash, const void *key[], hash_sig_t sig[],
		uint32_t n, struct tp_flow *flow[])
{
	uint64_t hits = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		flow[i] = NULL;
	return (uint32_t)rte_hash_lookup_with_hash_bulk_data(
			hash, key, sig, n, &hits, (void **)flow);
}

uint32_t tp_flow_lookup4_bulk(const struct tp_flow_table *table,
		const struct tp_flow_key4 *const key[], uint32_t n, struct tp_flow *flow[])
{
	hash_sig_t sig[LOOKUP_STEP];
	uint32_t i, step, hits = 0;

	assert(n <= TP_BURST);
	for (; n > 0; n -= step, key += step, flow += step) {
		step = n < LOOKUP_STEP ? n : LOOKUP_STEP;
		for (i = 0; i < step; i++)
			sig[i] = key4_hash(table->seed, key[i]);
		hits += look_up(table->hash[0], (const void **)key, sig, step, flow);
	}
	return hits;
}

uint32_t tp_flow_lookup6_bulk(const struct tp_flow_table *table,
		const struct tp_flow_key6 *const key[], uint32_t n, struct tp_flow *flow[])
{
	hash_sig_t sig[LOOKUP_STEP];
	uint32_t i, step, hits = 0;

	assert(n <= TP_BURST);
	for (; n > 0; n -= step, key += step, flow += step) {
		step = n < LOOKUP_STEP ? n : LOOKUP_STEP;
		for (i = 0; i < step; i++)
			sig[i] = key6_hash(table->seed, key[i]);
		hits += look_up(table->hash[1], (const void **)key, sig, step, flow);
	}
	return hits;
}
