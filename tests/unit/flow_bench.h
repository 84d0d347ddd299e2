/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_bench - a flow table with readers to come, and flows of every form in any number: all
 * different, and the same again for the same n.
 */
#ifndef TP_TESTS_UNIT_FLOW_BENCH_H
#define TP_TESTS_UNIT_FLOW_BENCH_H

#include "flow/flow.h"

#include "flow/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct bench {
	struct tp_grace *grace;
	struct tp_flow_table *table;
};

static inline struct bench bench_new_of(struct tp_flow_table_conf conf)
{
	struct bench b = { 0 };

	assert_int_equal(tp_grace_new(2, &b.grace), 0);
	conf.grace = b.grace;
	assert_int_equal(tp_flow_table_new(&conf, &b.table), 0);
	return b;
}

static inline struct bench bench_new(uint32_t max_channel_flows)
{
	return bench_new_of((struct tp_flow_table_conf){ .max_channel_flows = max_channel_flows });
}

static inline void bench_free(struct bench *b)
{
	tp_flow_table_free(b->table);
	tp_grace_free(b->grace);
}

/* A different address and port for every n, of either family. */
static inline struct tp_addr addr(bool is_v6, uint8_t net, uint32_t n)
{
	uint8_t v4[4] = { net, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
	uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, net };
	uint16_t port = (uint16_t)(1024 + n % 50000);

	memcpy(v6 + 12, v4, 4);
	return is_v6 ? tp_addr_v6(v6, port) : tp_addr_v4(v4, port);
}

static inline struct tp_flow_spec spec_up(bool is_in6, bool is_out6, uint32_t n)
{
	return (struct tp_flow_spec){
		.in_src = addr(is_in6, 10, n),
		.in_dst = addr(is_in6, 20, 1),
		.in_channel = (uint16_t)(0x4000 + n % 0x1000),
		.out_src = addr(is_out6, 30, n),
		.out_dst = addr(is_out6, 40, n),
		.deadline_ns = 1000 + n,
	};
}

static inline struct tp_flow_spec spec_down(bool is_in6, bool is_out6, uint32_t n)
{
	struct tp_flow_spec s = spec_up(is_in6, is_out6, n);

	s.out_channel = s.in_channel;
	s.in_channel = 0;
	return s;
}

static inline struct tp_flow_spec spec_send(bool is_in6, bool is_out6, uint32_t n)
{
	struct tp_flow_spec s = spec_up(is_in6, is_out6, n);

	s.form = TP_FLOW_SEND;
	s.in_channel = 0;
	s.in_peer = s.out_dst = tp_addr_ip_only(&s.out_dst);
	return s;
}

static inline struct tp_flow_spec spec_data(bool is_in6, bool is_out6, uint32_t n)
{
	struct tp_flow_spec s = spec_down(is_in6, is_out6, n);

	s.form = TP_FLOW_DATA;
	s.out_channel = 0;
	s.in_src = tp_addr_ip_only(&s.in_src);
	return s;
}

static inline struct tp_flow *add(struct bench *b, const struct tp_flow_spec *spec)
{
	struct tp_flow *flow = NULL;

	assert_int_equal(tp_flow_add(b->table, spec, &flow), 0);
	assert_non_null(flow);
	return flow;
}

static inline void expect_error(struct bench *b, const struct tp_flow_spec *spec, int error)
{
	static struct tp_flow untouched;
	struct tp_flow *flow = &untouched;

	assert_int_equal(tp_flow_add(b->table, spec, &flow), error);
	assert_ptr_equal(flow, &untouched);
}

static inline enum tp_flow_kind channel_kind(bool is_v6)
{
	return is_v6 ? TP_FLOW_CHANNEL6 : TP_FLOW_CHANNEL4;
}

static inline union tp_flow_key key_of(const struct tp_flow_spec *s)
{
	union tp_flow_key k;

	memset(&k, 0, sizeof(k));
	if (s->in_src.family == TP_IPV6) {
		memcpy(k.v6.src, s->in_src.ip, 16);
		memcpy(k.v6.dst, s->in_dst.ip, 16);
		k.v6.src_port_be = htons(s->in_src.port);
		k.v6.dst_port_be = htons(s->in_dst.port);
		k.v6.channel_be = htons(s->in_channel);
	} else {
		memcpy(k.v4.src, s->in_src.ip, 4);
		memcpy(k.v4.dst, s->in_dst.ip, 4);
		k.v4.src_port_be = htons(s->in_src.port);
		k.v4.dst_port_be = htons(s->in_dst.port);
		k.v4.channel_be = htons(s->in_channel);
	}
	return k;
}

static inline struct tp_flow *look_up(
		const struct bench *b, const void *key, enum tp_flow_kind kind)
{
	const struct tp_flow_query query = { key, kind };
	struct tp_flow *flow = NULL;
	uint32_t hits = tp_flow_lookup_bulk(b->table, &query, 1, &flow);

	assert_int_equal(hits, flow != NULL);
	return flow;
}

static inline struct tp_flow *find_send(const struct bench *b, const struct tp_flow_spec *s)
{
	struct tp_flow_send_key key = { .src_port_be = htons(s->in_src.port),
		.dst_port_be = htons(s->in_dst.port),
		.family = s->in_src.family,
		.peer_family = s->in_peer.family };

	memcpy(key.src, s->in_src.ip, 16);
	memcpy(key.dst, s->in_dst.ip, 16);
	memcpy(key.peer, s->in_peer.ip, 16);
	return look_up(b, &key, TP_FLOW_SENDS);
}

/* Among those of the same form. */
static inline struct tp_flow *find(const struct bench *b, const struct tp_flow_spec *s)
{
	const bool is_v6 = s->in_src.family == TP_IPV6;
	union tp_flow_key k = key_of(s);

	switch (s->form) {
	case TP_FLOW_SEND:
		return find_send(b, s);
	case TP_FLOW_DATA:
		return look_up(b, &k, is_v6 ? TP_FLOW_DATA6 : TP_FLOW_DATA4);
	default:
		return look_up(b, &k, channel_kind(is_v6));
	}
}

#endif
