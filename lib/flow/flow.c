/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow.h"

#include "flow/account.h"
#include "flow/frame.h"
#include "flow/lookup.h"
#include "flow/pages.h"
#include "wire/channel.h"
#include "wire/checksum.h"
#include "wire/ip.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TCLASS_DSCP 0xfc /* the rest is ECN */

_Static_assert(sizeof(struct tp_flow) == 128, "two cache lines");
_Static_assert(offsetof(struct tp_flow, hdr) + TP_IPV4_LEN + TP_UDP_LEN + TP_CHANNEL_HDR_LEN <= 64,
		"IPv4 headers are in the first line");
_Static_assert(offsetof(struct tp_flow, key) % 8 == 0, "compared by words");

/* Kinds that share a limit. */
enum pool {
	CHANNELS,
	PERMISSIONS,
	POOLS
};

struct tp_flow_table {
	struct tp_flow_lookup lookup;
	uint64_t label_seed; /* another one: labels are sent, and must tell nothing about the table
			      */
	alignas(64) struct tp_grace *grace;
	uint32_t free; /* LIFO: the flow freed last is the one in cache; TP_INDEX_NONE: none */
	uint32_t max[POOLS];
	uint32_t n_touched; /* flows[] from here on were never used: no page behind them */
	uint32_t n_live;
	uint32_t n_held[POOLS]; /* live, or waiting for readers */
	uint16_t whole_max;     /* as in flows */
	uint8_t tclass_clear;
};

_Static_assert(offsetof(struct tp_flow_table, lookup) == 0, "tp_flow_lookup()");

/* Of any kind. */
union key {
	union tp_flow_key flow;
	struct tp_flow_send_key send;
};

static enum pool pool_of(enum tp_flow_kind kind)
{
	return kind <= TP_FLOW_CHANNEL6 ? CHANNELS : PERMISSIONS;
}

static uint32_t number_of(const struct tp_flow_table *table, const struct tp_flow *flow)
{
	return (uint32_t)(flow - table->lookup.flows);
}

static const void *key_of(const struct tp_flow_table *table, const struct tp_flow *flow)
{
	if (flow->kind == TP_FLOW_SENDS)
		return &table->lookup.send_keys[number_of(table, flow)];
	return &flow->key;
}

static uint32_t table_flows(const struct tp_flow_table *table)
{
	return table->max[CHANNELS] + table->max[PERMISSIONS];
}

static void set_sizes(struct tp_flow_table *table, const struct tp_flow_table_conf *conf)
{
	table->max[CHANNELS] = conf->max_channel_flows;
	table->max[PERMISSIONS] = conf->max_permission_flows;
}

static size_t flows_bytes(const struct tp_flow_table *table)
{
	return (size_t)table_flows(table) * sizeof(*table->lookup.flows);
}

static size_t send_keys_bytes(const struct tp_flow_table *table)
{
	return (size_t)table_flows(table) * sizeof(*table->lookup.send_keys);
}

static int reserve(struct tp_flow_table *table)
{
	table->lookup.flows = tp_pages_reserve(flows_bytes(table));
	if (table->lookup.flows == NULL)
		return -ENOMEM;
	table->lookup.send_keys = tp_pages_reserve(send_keys_bytes(table));
	if (table->lookup.send_keys == NULL)
		goto err_flows;
	if (tp_index_init(&table->lookup.index, table_flows(table)) != 0)
		goto err_send_keys;
	return 0;

err_send_keys:
	tp_pages_release(table->lookup.send_keys, send_keys_bytes(table));
err_flows:
	tp_pages_release(table->lookup.flows, flows_bytes(table));
	return -ENOMEM;
}

int tp_flow_table_new(const struct tp_flow_table_conf *conf, struct tp_flow_table **out)
{
	struct tp_flow_table *table;

	if (conf->max_channel_flows == 0 || conf->max_channel_flows > TP_FLOW_MAX ||
			conf->max_permission_flows > TP_FLOW_MAX || conf->grace == NULL)
		return -EINVAL;

	table = aligned_alloc(alignof(struct tp_flow_table), sizeof(*table));
	if (table == NULL)
		return -ENOMEM;
	memset(table, 0, sizeof(*table));
	table->grace = conf->grace;
	table->free = TP_INDEX_NONE;
	table->tclass_clear = conf->clears_dscp ? TCLASS_DSCP : 0;
	table->whole_max = conf->lowest_ipv6_mtu != 0 ? conf->lowest_ipv6_mtu : UINT16_MAX;
	set_sizes(table, conf);
	if (getrandom(&table->lookup.seed, sizeof(table->lookup.seed), 0) !=
					sizeof(table->lookup.seed) ||
			getrandom(&table->label_seed, sizeof(table->label_seed), 0) !=
					sizeof(table->label_seed) ||
			reserve(table) != 0) {
		free(table);
		return -ENOMEM;
	}
	*out = table;
	return 0;
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
	tp_index_fini(&table->lookup.index);
	tp_pages_release(table->lookup.send_keys, send_keys_bytes(table));
	tp_pages_release(table->lookup.flows, flows_bytes(table));
	free(table);
}

/* There is one: each pool's n_held is below its maximum, and the array is for all. */
static struct tp_flow *flow_get(struct tp_flow_table *table)
{
	struct tp_flow *flow;

	if (table->free != TP_INDEX_NONE) {
		flow = &table->lookup.flows[table->free];
		table->free = flow->next_free;
	} else {
		assert(table->n_touched < table_flows(table));
		flow = &table->lookup.flows[table->n_touched++];
	}
	memset(flow, 0, sizeof(*flow));
	return flow;
}

static void flow_put(struct tp_flow_table *table, struct tp_flow *flow)
{
	flow->next_free = table->free;
	table->free = number_of(table, flow);
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

static enum tp_flow_kind spec_kind(const struct tp_flow_spec *spec)
{
	bool is_v6 = spec->in_src.family == TP_IPV6;

	if (spec->form == TP_FLOW_SEND)
		return TP_FLOW_SENDS;
	if (spec->form == TP_FLOW_DATA)
		return is_v6 ? TP_FLOW_DATA6 : TP_FLOW_DATA4;
	return is_v6 ? TP_FLOW_CHANNEL6 : TP_FLOW_CHANNEL4;
}

static void spec_key_build(union key *key, const struct tp_flow_spec *spec)
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
	uint32_t label = tp_flow_hash(table->label_seed, &out->v6, TP_FLOW_CHANNEL6) & 0xfffff;

	return label != 0 ? label : 1;
}

static bool spec_is_up(const struct tp_flow_spec *spec)
{
	return spec->form == TP_FLOW_SEND || spec->in_channel != 0;
}

static void flow_build(const struct tp_flow_table *table, struct tp_flow *flow,
		const struct tp_flow_spec *spec, const union key *key)
{
	bool is_out6 = spec->out_src.family == TP_IPV6;
	uint16_t channel_be = htons(spec->out_channel);
	union tp_flow_key out;

	key_build(&out, &spec->out_src, &spec->out_dst, spec->out_channel);
	flow->flags = (uint8_t)((spec_is_up(spec) ? TP_FLOW_UP : 0) |
			(spec->in_src.family == TP_IPV6 ? TP_FLOW_IN6 : 0) |
			(is_out6 ? TP_FLOW_OUT6 : 0) | (spec->is_hairpin ? TP_FLOW_HAIRPIN : 0) |
			(spec->form != TP_FLOW_CHANNEL ? TP_FLOW_INDICATION : 0));
	flow->kind = spec_kind(spec);
	if (flow->kind == TP_FLOW_SENDS)
		table->lookup.send_keys[number_of(table, flow)] = key->send;
	else
		flow->key = key->flow;
	flow->whole_max = is_out6 ? table->whole_max : UINT16_MAX;
	flow->tclass_clear = table->tclass_clear;
	flow->account_at = tp_account_at(spec->account, spec_is_up(spec));
	flow->in_sum = key_sum(&key->flow);
	flow->out_sum = key_sum(&out);
	if (is_out6)
		flow_hdr6(flow, &out.v6, flow_label(table, &out));
	else
		flow_hdr4(flow, &out.v4);
	if (channel_be != 0) {
		memcpy(flow->hdr + flow->hdr_len, &channel_be, sizeof(channel_be));
		flow->hdr_len += 4;
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

struct tp_flow *tp_flow_search(const struct tp_flow_lookup *l, uint64_t hash, const void *key,
		enum tp_flow_kind kind)
{
	struct tp_index_search search;
	uint32_t candidate;

	tp_index_begin(&l->index, hash, &search);
	while ((candidate = tp_index_next(&l->index, &search)) != TP_INDEX_NONE) {
		if (tp_flow_has_key(l, candidate, key, kind))
			return &l->flows[candidate];
	}
	return NULL;
}

/*
 * Three passes: keys to hashes, index lines to candidates, flows to what was asked for.  Each
 * begins to fetch what the next one reads, for all of the burst.
 */
uint32_t tp_flow_lookup_bulk(const struct tp_flow_table *table, const struct tp_flow_query query[],
		uint32_t n, struct tp_flow *flow[])
{
	const struct tp_flow_lookup *l = &table->lookup;
	uint32_t candidate[TP_BURST];
	uint64_t hash[TP_BURST];
	uint32_t i, hits = 0;

	assert(n <= TP_BURST);
	for (i = 0; i < n; i++) {
		hash[i] = tp_flow_hash(l->seed, query[i].key, query[i].kind);
		tp_index_prefetch(&l->index, hash[i]);
	}
	for (i = 0; i < n; i++)
		candidate[i] = tp_flow_candidate(l, hash[i]);
	for (i = 0; i < n; i++) {
		flow[i] = tp_flow_confirm(l, candidate[i], hash[i], query[i].key, query[i].kind);
		if (flow[i] == NULL)
			continue;
		__builtin_prefetch(atomic_load_explicit(&flow[i]->next_hop, memory_order_relaxed));
		hits++;
	}
	return hits;
}

int tp_flow_add(struct tp_flow_table *table, const struct tp_flow_spec *spec, struct tp_flow **out)
{
	const enum tp_flow_kind kind = spec_kind(spec);
	const enum pool pool = pool_of(kind);
	struct tp_flow *flow;
	union key key;
	const struct tp_flow_query query = { &key, kind };

	if (!spec_is_valid(spec))
		return -EINVAL;
	spec_key_build(&key, spec);
	if (tp_flow_lookup_bulk(table, &query, 1, &flow) != 0)
		return -EEXIST;
	if (table->n_held[pool] == table->max[pool])
		tp_grace_reclaim(table->grace);
	if (table->n_held[pool] == table->max[pool])
		return -ENOSPC;

	flow = flow_get(table);
	flow_build(table, flow, spec, &key);
	tp_index_add(&table->lookup.index, tp_flow_hash(table->lookup.seed, &key, kind),
			number_of(table, flow));
	table->n_held[pool]++;
	table->n_live++;
	*out = flow;
	return 0;
}

static void flow_release(void *ctx, void *obj)
{
	struct tp_flow_table *table = ctx;
	struct tp_flow *flow = obj;

	const enum pool pool = pool_of(flow->kind);

	assert(table->n_held[pool] > 0);
	table->n_held[pool]--;
	flow_put(table, flow);
}

void tp_flow_del(struct tp_flow_table *table, struct tp_flow *flow)
{
	assert(flow >= table->lookup.flows && flow < table->lookup.flows + table->n_touched);
	assert(table->n_live > 0);
	tp_index_del(&table->lookup.index,
			tp_flow_hash(table->lookup.seed, key_of(table, flow), flow->kind),
			number_of(table, flow));
	table->n_live--;
	tp_grace_retire(table->grace, flow_release, table, flow);
}

void tp_flow_set_deadline(struct tp_flow *flow, uint64_t deadline_ns)
{
	atomic_store_explicit(&flow->deadline_ns, deadline_ns, memory_order_relaxed);
}

void tp_flow_set_next_hop(struct tp_flow *flow, const struct tp_next_hop *nh)
{
	/* Here, so that no packet need ask. */
	if (nh != NULL && nh->port >= TP_EGRESS_PORTS)
		nh = NULL;
	/* Pairs with the acquire in tp_rewrite(): what nh points at is written before nh is seen.
	 */
	atomic_store_explicit(&flow->next_hop, nh, memory_order_release);
}

uint32_t tp_flow_count(const struct tp_flow_table *table)
{
	return table->n_live;
}
