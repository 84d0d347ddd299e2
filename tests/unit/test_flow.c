/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow.h"

#include "flow/frame.h"
#include "wire/checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHURN_FLOWS 256
#define CHURN_ROUNDS 60000
#define CHURN_BURSTS 1000

struct bench {
	struct tp_grace *grace;
	struct tp_flow_table *table;
};

static struct bench bench_new(uint32_t max_channel_flows)
{
	struct bench b = { 0 };
	struct tp_flow_table_conf conf = { .max_channel_flows = max_channel_flows };

	assert_int_equal(tp_grace_new(2, &b.grace), 0);
	conf.grace = b.grace;
	assert_int_equal(tp_flow_table_new(&conf, &b.table), 0);
	return b;
}

static void bench_free(struct bench *b)
{
	tp_flow_table_free(b->table);
	tp_grace_free(b->grace);
}

/* A different address and port for every n, of either family. */
static struct tp_addr addr(bool is_v6, uint8_t net, uint32_t n)
{
	uint8_t v4[4] = { net, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
	uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, net };
	uint16_t port = (uint16_t)(1024 + n % 50000);

	memcpy(v6 + 12, v4, 4);
	return is_v6 ? tp_addr_v6(v6, port) : tp_addr_v4(v4, port);
}

static struct tp_flow_spec spec_up(bool is_in6, bool is_out6, uint32_t n)
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

static struct tp_flow_spec spec_down(bool is_in6, bool is_out6, uint32_t n)
{
	struct tp_flow_spec s = spec_up(is_in6, is_out6, n);

	s.out_channel = s.in_channel;
	s.in_channel = 0;
	return s;
}

static struct tp_flow *add(struct bench *b, const struct tp_flow_spec *spec)
{
	struct tp_flow *flow = NULL;

	assert_int_equal(tp_flow_add(b->table, spec, &flow), 0);
	assert_non_null(flow);
	return flow;
}

static union tp_flow_key key_of(const struct tp_flow_spec *s)
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

static struct tp_flow *look_up(const struct bench *b, const void *key, enum tp_flow_kind kind)
{
	const struct tp_flow_query query = { key, kind };
	struct tp_flow *flow = NULL;
	uint32_t hits = tp_flow_lookup_bulk(b->table, &query, 1, &flow);

	assert_int_equal(hits, flow != NULL);
	return flow;
}

static struct tp_flow *find(const struct bench *b, const struct tp_flow_spec *s)
{
	union tp_flow_key k = key_of(s);

	return look_up(b, &k, s->in_src.family == TP_IPV6 ? TP_FLOW_CHANNEL6 : TP_FLOW_CHANNEL4);
}

static void test_conf_is_checked(void **state)
{
	struct tp_flow_table *table = (struct tp_flow_table *)state;
	struct tp_grace *grace;
	struct tp_flow_table_conf conf = { .max_channel_flows = 64 };

	assert_int_equal(tp_flow_table_new(&conf, &table), -EINVAL);
	assert_int_equal(tp_grace_new(1, &grace), 0);
	conf.grace = grace;
	conf.max_channel_flows = 0;
	assert_int_equal(tp_flow_table_new(&conf, &table), -EINVAL);
	conf.max_channel_flows = UINT32_MAX;
	assert_int_equal(tp_flow_table_new(&conf, &table), -EINVAL);
	conf.max_channel_flows = 64;
	conf.max_permission_flows = UINT32_MAX;
	assert_int_equal(tp_flow_table_new(&conf, &table), -EINVAL);
	assert_ptr_equal(table, state);
	tp_flow_table_free(NULL);
	tp_grace_free(grace);
}

static rlim_t address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void test_too_many_flows_for_memory(void **state)
{
	struct tp_flow_table *table = (struct tp_flow_table *)state;
	struct tp_flow_table_conf conf = { .max_channel_flows = 1u << 27,
		.max_permission_flows = 1 };
	struct rlimit old, tight;

	assert_int_equal(tp_grace_new(1, &conf.grace), 0);
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	/* Room for nothing, for the flows, and for the flows and the keys. */
	for (rlim_t room = 1ull << 26; room <= 26ull << 30; room += 13ull << 30) {
		tight = old;
		tight.rlim_cur = address_space() + room;
		assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
		assert_int_equal(tp_flow_table_new(&conf, &table), -ENOMEM);
		assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
		assert_ptr_equal(table, state);
	}
	conf.max_channel_flows = 64; /* and nothing of it is left behind */
	assert_int_equal(tp_flow_table_new(&conf, &table), 0);
	tp_flow_table_free(table);
	tp_grace_free(conf.grace);
}

/* What holds for all flows of a table is written into each, where a worker has it at hand. */
static void test_header_rules_of_the_table(void **state)
{
	struct bench b = { 0 };
	struct tp_flow_table_conf conf = {
		.max_channel_flows = 64, .clears_dscp = true, .lowest_ipv6_mtu = 1400
	};
	struct tp_flow_spec spec;
	struct tp_flow *flow;

	(void)state;
	assert_int_equal(tp_grace_new(1, &b.grace), 0);
	conf.grace = b.grace;
	assert_int_equal(tp_flow_table_new(&conf, &b.table), 0);
	for (int is_v6 = 0; is_v6 < 2; is_v6++) {
		spec = spec_up(false, is_v6, 1 + (uint32_t)is_v6);
		flow = add(&b, &spec);
		assert_int_equal(flow->tclass_clear, 0xfc);
		assert_int_equal(flow->whole_max, is_v6 ? 1400 : UINT16_MAX);
		tp_flow_del(b.table, flow);
	}
	bench_free(&b);
}

static void test_spec_is_checked(void **state)
{
	static const struct {
		const char *what;
		struct tp_flow_spec spec;
	} cases[] = {
		{ "no addresses", { .in_channel = 0x4000 } },
		{ "source and destination differ in family, received",
				{ .in_src.family = TP_IPV4,
						.in_dst.family = TP_IPV6,
						.out_src.family = TP_IPV4,
						.out_dst.family = TP_IPV4,
						.in_channel = 0x4000 } },
		{ "source and destination differ in family, sent",
				{ .in_src.family = TP_IPV4,
						.in_dst.family = TP_IPV4,
						.out_src.family = TP_IPV6,
						.out_dst.family = TP_IPV4,
						.in_channel = 0x4000 } },
		{ "channel on neither side",
				{ .in_src.family = TP_IPV4,
						.in_dst.family = TP_IPV4,
						.out_src.family = TP_IPV4,
						.out_dst.family = TP_IPV4 } },
		{ "channel on both sides",
				{ .in_src.family = TP_IPV4,
						.in_dst.family = TP_IPV4,
						.out_src.family = TP_IPV4,
						.out_dst.family = TP_IPV4,
						.in_channel = 0x4000,
						.out_channel = 0x4000 } },
		{ "hairpin from peer to client",
				{ .in_src.family = TP_IPV4,
						.in_dst.family = TP_IPV4,
						.out_src.family = TP_IPV4,
						.out_dst.family = TP_IPV4,
						.out_channel = 0x4000,
						.is_hairpin = true } },
		{ "Send indications with a channel",
				{ .form = TP_FLOW_SEND,
						.in_src.family = TP_IPV4,
						.in_dst.family = TP_IPV4,
						.in_peer.family = TP_IPV4,
						.out_src.family = TP_IPV4,
						.out_dst.family = TP_IPV4,
						.in_channel = 0x4000 } },
		{ "Send indications to one port",
				{ .form = TP_FLOW_SEND,
						.in_src.family = TP_IPV4,
						.in_dst.family = TP_IPV4,
						.in_peer.family = TP_IPV4,
						.out_src.family = TP_IPV4,
						.out_dst.family = TP_IPV4,
						.out_dst.port = 1 } },
		{ "Send indications that name nobody",
				{ .form = TP_FLOW_SEND,
						.in_src.family = TP_IPV4,
						.in_dst.family = TP_IPV4,
						.out_src.family = TP_IPV4,
						.out_dst.family = TP_IPV4 } },
		{ "Data indications with a channel",
				{ .form = TP_FLOW_DATA,
						.in_src.family = TP_IPV4,
						.in_dst.family = TP_IPV4,
						.out_src.family = TP_IPV4,
						.out_dst.family = TP_IPV4,
						.out_channel = 0x4000 } },
		{ "Data indications from one port",
				{ .form = TP_FLOW_DATA,
						.in_src.family = TP_IPV4,
						.in_src.port = 1,
						.in_dst.family = TP_IPV4,
						.out_src.family = TP_IPV4,
						.out_dst.family = TP_IPV4 } },
		{ "Data indications on a hairpin",
				{ .form = TP_FLOW_DATA,
						.in_src.family = TP_IPV4,
						.in_dst.family = TP_IPV4,
						.out_src.family = TP_IPV4,
						.out_dst.family = TP_IPV4,
						.is_hairpin = true } },
	};
	struct bench b = bench_new(8);
	static struct tp_flow untouched;
	struct tp_flow *flow = &untouched;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (tp_flow_add(b.table, &cases[i].spec, &flow) != -EINVAL)
			fail_msg("%s: accepted", cases[i].what);
		assert_ptr_equal(flow, &untouched);
	}
	assert_int_equal(tp_flow_count(b.table), 0);
	bench_free(&b);
}

static void test_add_look_up_and_delete(void **state)
{
	struct bench b = bench_new(8);
	struct tp_flow *flow, *again = NULL;
	struct tp_flow_spec spec, other;
	uint32_t i;

	(void)state;
	for (i = 0; i < 8; i++) {
		spec = i & 4 ? spec_up(i & 1, (i & 2) != 0, i) : spec_down(i & 1, (i & 2) != 0, i);
		assert_null(find(&b, &spec));
		flow = add(&b, &spec);
		assert_ptr_equal(find(&b, &spec), flow);
		assert_int_equal(tp_flow_count(b.table), 1);
		assert_int_equal(tp_flow_add(b.table, &spec, &again), -EEXIST);
		assert_ptr_equal(find(&b, &spec), flow);
		assert_null(again);

		/* Any difference in the key is another flow. */
		other = spec;
		other.in_src.port ^= 1;
		assert_null(find(&b, &other));
		other = spec;
		other.in_dst.port ^= 1;
		assert_null(find(&b, &other));
		other = spec;
		other.in_src.ip[i & 1 ? 15 : 3] ^= 1;
		assert_null(find(&b, &other));
		other = spec;
		other.in_dst.ip[0] ^= 1;
		assert_null(find(&b, &other));
		other = spec;
		other.in_channel ^= 1;
		assert_null(find(&b, &other));

		tp_flow_del(b.table, flow);
		assert_null(find(&b, &spec));
		assert_int_equal(tp_flow_count(b.table), 0);
		flow = add(&b, &spec); /* the key is free at once */
		assert_ptr_equal(find(&b, &spec), flow);
		tp_flow_del(b.table, flow);
	}
	bench_free(&b);
}

/* ---- permissions ---- */

static struct tp_flow_spec spec_send(bool is_in6, bool is_out6, uint32_t n)
{
	struct tp_flow_spec s = spec_up(is_in6, is_out6, n);

	s.form = TP_FLOW_SEND;
	s.in_channel = 0;
	s.in_peer = s.out_dst = tp_addr_ip_only(&s.out_dst);
	return s;
}

static struct tp_flow_spec spec_data(bool is_in6, bool is_out6, uint32_t n)
{
	struct tp_flow_spec s = spec_down(is_in6, is_out6, n);

	s.form = TP_FLOW_DATA;
	s.out_channel = 0;
	s.in_src = tp_addr_ip_only(&s.in_src);
	return s;
}

static struct tp_flow *find_permission(const struct bench *b, const struct tp_flow_spec *s)
{
	union tp_flow_key k = key_of(s);
	struct tp_flow_send_key send = { .src_port_be = htons(s->in_src.port),
		.dst_port_be = htons(s->in_dst.port),
		.family = s->in_src.family,
		.peer_family = s->in_peer.family };

	memcpy(send.src, s->in_src.ip, 16);
	memcpy(send.dst, s->in_dst.ip, 16);
	memcpy(send.peer, s->in_peer.ip, 16);
	if (s->form == TP_FLOW_SEND)
		return look_up(b, &send, TP_FLOW_SENDS);
	return look_up(b, &k, s->in_src.family == TP_IPV6 ? TP_FLOW_DATA6 : TP_FLOW_DATA4);
}

static struct bench bench_new_permissions(uint32_t max_permission_flows)
{
	struct bench b = { 0 };
	struct tp_flow_table_conf conf = { .max_channel_flows = 8,
		.max_permission_flows = max_permission_flows };

	assert_int_equal(tp_grace_new(2, &b.grace), 0);
	conf.grace = b.grace;
	assert_int_equal(tp_flow_table_new(&conf, &b.table), 0);
	return b;
}

static void test_permissions_are_found_among_themselves(void **state)
{
	struct bench b = bench_new_permissions(8);
	struct tp_flow *flow, *again = NULL;
	struct tp_flow_spec spec, channel, other;
	uint32_t i;

	(void)state;
	for (i = 0; i < 8; i++) {
		spec = i & 4 ? spec_send(i & 1, (i & 2) != 0, i)
			     : spec_data(i & 1, (i & 2) != 0, i);
		channel = i & 4 ? spec_up(i & 1, (i & 2) != 0, i)
				: spec_down(i & 1, (i & 2) != 0, i);
		assert_null(find_permission(&b, &spec));
		flow = add(&b, &spec);
		assert_ptr_equal(find_permission(&b, &spec), flow);
		assert_null(find(&b, &channel));
		assert_int_equal(tp_flow_add(b.table, &spec, &again), -EEXIST);
		assert_int_equal(flow->flags & (TP_FLOW_INDICATION | TP_FLOW_UP),
				i & 4 ? TP_FLOW_INDICATION | TP_FLOW_UP : TP_FLOW_INDICATION);
		assert_int_equal(flow->hdr_len, i & 2 ? 48 : 28);

		other = spec;
		other.in_dst.port ^= 1;
		assert_null(find_permission(&b, &other));
		other = spec;
		other.in_src.ip[0] ^= 1;
		assert_null(find_permission(&b, &other));
		other = spec;
		other.in_peer.ip[0] ^= 1;
		assert_int_equal(find_permission(&b, &other) == NULL, (i & 4) != 0);
		other = spec;
		other.in_src.port ^= 1;
		assert_null(find_permission(&b, &other));

		tp_flow_del(b.table, flow);
		assert_null(find_permission(&b, &spec));
	}
	bench_free(&b);
}

static void test_permissions_have_a_limit_of_their_own(void **state)
{
	struct bench b = bench_new_permissions(12), none = bench_new(8);
	struct tp_flow_spec spec = spec_send(false, true, 0);
	struct tp_flow *flow[8], *more;
	uint32_t i;

	(void)state;
	for (i = 0; i < 8; i++) {
		spec = spec_send(i & 1, (i & 2) != 0, i);
		flow[i] = add(&b, &spec);
	}
	for (i = 0; i < 4; i++) {
		spec = spec_data(i & 2, i & 1, i);
		add(&b, &spec);
	}
	spec = spec_send(false, false, 8);
	assert_int_equal(tp_flow_add(b.table, &spec, &more), -ENOSPC);
	spec = spec_data(true, false, 8);
	assert_int_equal(tp_flow_add(b.table, &spec, &more), -ENOSPC);
	for (i = 0; i < 8; i++) {
		spec = spec_up(i & 2, i & 1, i);
		add(&b, &spec);
	}
	tp_flow_del(b.table, flow[3]);
	spec = spec_send(false, false, 8);
	add(&b, &spec);
	assert_int_equal(tp_flow_count(b.table), 12 + 8);
	assert_int_equal(tp_flow_add(none.table, &spec, &more), -ENOSPC);
	spec = spec_data(true, true, 1);
	assert_int_equal(tp_flow_add(none.table, &spec, &more), -ENOSPC);
	bench_free(&b);
	bench_free(&none);
}

/* The headers and sums that a flow has ready, against the packet they make. */
static void test_a_flow_is_prepared(void **state)
{
	struct bench b = bench_new(8);
	struct tp_flow_spec spec = spec_down(true, false, 77);
	struct tp_flow *flow = add(&b, &spec);
	union tp_flow_key key = key_of(&spec);
	static const uint8_t hdr4[32] = { 0x45, 0, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 30, 0, 0, 77, 40,
		0, 0, 77, 0x04, 0x4d, 0x04, 0x4d, 0, 0, 0, 0, 0x40, 0x4d, 0, 0 };
	static const uint8_t ports[4] = { 0x04, 0x4d, 0x04, 0x4d };

	(void)state;
	assert_int_equal(flow->flags, TP_FLOW_IN6);
	assert_int_equal(flow->hdr_len, 32);
	assert_memory_equal(flow->hdr, hdr4, 32);
	assert_int_equal(flow->in_sum, tp_csum_fold(tp_csum_add(0, &key, sizeof(key))));
	assert_int_equal(flow->out_sum, tp_csum_fold(tp_csum_add(0, hdr4 + 12, 20)));
	assert_int_equal(flow->ip_sum, tp_csum_fold(tp_csum_add(0, hdr4, 20)));
	assert_int_equal(flow->deadline_ns, 1077);
	assert_null(flow->next_hop);
	tp_flow_set_deadline(flow, 5);
	assert_int_equal(flow->deadline_ns, 5);

	spec = spec_up(false, true, 77);
	flow = add(&b, &spec);
	assert_int_equal(flow->flags, TP_FLOW_UP | TP_FLOW_OUT6);
	assert_int_equal(flow->hdr_len, 48);
	assert_int_equal(flow->hdr[0], 0x60);
	assert_int_equal(flow->hdr[1] & 0xf0, 0);
	assert_true(flow->hdr[1] | flow->hdr[2] | flow->hdr[3]); /* a flow label */
	assert_int_equal(flow->hdr[6], 17);
	assert_memory_equal(flow->hdr + 8, spec.out_src.ip, 16);
	assert_memory_equal(flow->hdr + 24, spec.out_dst.ip, 16);
	assert_memory_equal(flow->hdr + 40, ports, 4);
	assert_int_equal(flow->out_sum, tp_csum_fold(tp_csum_add(0, flow->hdr + 8, 40)));
	bench_free(&b);
}

/* What a hairpin flow continues with is the key of the other allocation's downward flow. */
static void test_a_hairpin_flow_leads_to_the_other(void **state)
{
	struct bench b = bench_new(8);
	struct tp_flow *up, *down;
	struct tp_flow_spec a, other;
	union tp_flow_key key;
	uint32_t is_v6;

	(void)state;
	for (is_v6 = 0; is_v6 < 2; is_v6++) {
		a = spec_up(false, is_v6, 1);
		a.in_channel += (uint16_t)is_v6;
		a.is_hairpin = true;
		other = spec_down(is_v6, true, 2);
		other.in_src = a.out_src;
		other.in_dst = a.out_dst;
		up = add(&b, &a);
		down = add(&b, &other);
		assert_int_equal(up->flags,
				TP_FLOW_UP | TP_FLOW_HAIRPIN | (is_v6 ? TP_FLOW_OUT6 : 0));
		memset(&key, 0x55, sizeof(key));
		tp_flow_hairpin_key(up, &key);
		assert_ptr_equal(look_up(&b, &key, is_v6 ? TP_FLOW_CHANNEL6 : TP_FLOW_CHANNEL4),
				down);
	}
	bench_free(&b);
}

/* Hits and misses in every mixture, both families too, a full burst of them. */
static void test_a_burst_of_both(void **state)
{
	struct bench b = bench_new(256);
	union tp_flow_key key[TP_BURST];
	struct tp_flow_query query[TP_BURST];
	struct tp_flow *flows[2][128], *want[TP_BURST], *got[TP_BURST];
	struct tp_flow_spec spec;
	uint32_t i, n, of, is_v6, hits;

	(void)state;
	for (is_v6 = 0; is_v6 < 2; is_v6++) {
		for (i = 0; i < 128; i++) {
			spec = spec_up(is_v6, false, i);
			flows[is_v6][i] = i % 3 != 0 ? add(&b, &spec) : NULL;
		}
	}
	/* of: the first, the second, or both in turn */
	for (of = 0; of < 3; of++) {
		for (n = 0; n <= TP_BURST; n++) {
			for (i = 0, hits = 0; i < n; i++) {
				is_v6 = of < 2 ? of : (i + n) % 2;
				spec = spec_up(is_v6, false, i + n); /* runs over 0..127 */
				key[i] = key_of(&spec);
				query[i].key = &key[i];
				query[i].kind = is_v6 ? TP_FLOW_CHANNEL6 : TP_FLOW_CHANNEL4;
				want[i] = flows[is_v6][i + n];
				hits += want[i] != NULL;
			}
			memset(got, 0x55, sizeof(got));
			assert_int_equal(tp_flow_lookup_bulk(b.table, query, n, got), hits);
			assert_memory_equal(got, want, n * sizeof(got[0]));
		}
	}
	bench_free(&b);
}

static void fill(struct bench *b, struct tp_flow *flows[], uint32_t n, uint32_t first, bool is_v6)
{
	struct tp_flow_spec spec;
	uint32_t i;

	for (i = 0; i < n; i++) {
		spec = spec_up(is_v6, !is_v6, first + i);
		flows[i] = add(b, &spec);
	}
}

static void expect_full(struct bench *b, bool is_v6)
{
	struct tp_flow_spec spec = spec_up(is_v6, false, 0xfffff);
	struct tp_flow *flow = NULL;

	assert_int_equal(tp_flow_add(b->table, &spec, &flow), -ENOSPC);
	assert_null(flow);
}

/* Capacity is exact, for both families together, and comes back whole after a grace period, again
 * and again. */
static void test_the_table_fills_empties_and_fills(void **state)
{
	static const uint32_t sizes[] = { 8, 9, 100, 1000, 4096 };
	static struct tp_flow *flows[2][4096];
	struct tp_flow_spec spec;
	struct bench b;
	uint32_t s, round, i, n;

	(void)state;
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		n = sizes[s];
		b = bench_new(2 * n);
		tp_grace_reader_register(b.grace, 0);
		tp_grace_online(b.grace, 0);
		for (round = 0; round < 4; round++) {
			fill(&b, flows[0], n, round * 5000, false);
			fill(&b, flows[1], n, round * 5000, true);
			expect_full(&b, false);
			expect_full(&b, true);
			assert_int_equal(tp_flow_count(b.table), 2 * n);
			for (i = 0; i < n; i++) {
				tp_flow_del(b.table, flows[0][i]);
				tp_flow_del(b.table, flows[1][n - 1 - i]);
			}
			assert_int_equal(tp_flow_count(b.table), 0);
			/* The reader may still hold any of them. */
			expect_full(&b, false);
			expect_full(&b, true);
			tp_grace_quiescent(b.grace, 0);
		}
		/* Everything is there to be found once more after the last round. */
		fill(&b, flows[0], n, 0, false);
		for (i = 0; i < n; i++) {
			spec = spec_up(false, true, i);
			assert_ptr_equal(find(&b, &spec), flows[0][i]);
		}
		tp_grace_offline(b.grace, 0);
		bench_free(&b);
	}
}

static void test_a_slot_is_reused_only_after_grace(void **state)
{
	struct bench b = bench_new(8);
	struct tp_flow_spec spec = spec_up(false, false, 1), other = spec_up(false, false, 2);
	struct tp_flow *old = add(&b, &spec), *flow;

	(void)state;
	tp_grace_reader_register(b.grace, 0);
	tp_grace_online(b.grace, 0);
	tp_flow_del(b.table, old);
	assert_int_equal(tp_grace_reclaim(b.grace), 1);
	flow = add(&b, &other);
	assert_ptr_not_equal(flow, old);
	assert_int_equal(old->hdr_len, 28); /* still whole for whoever holds it */
	tp_grace_quiescent(b.grace, 0);
	assert_int_equal(tp_grace_reclaim(b.grace), 0);
	assert_ptr_equal(add(&b, &spec), old);
	tp_grace_offline(b.grace, 0);
	bench_free(&b);
}

struct reader {
	struct bench *b;
	_Atomic bool is_stopping;
	_Atomic uint64_t bursts;
	uint64_t hits, wrong;
};

/* The port in the prebuilt header and the deadline tell whose flow it is. */
static bool flow_is_of(const struct tp_flow *flow, const struct tp_flow_spec *spec)
{
	uint16_t port_be = htons(spec->out_src.port);

	return memcmp(flow->hdr + (flow->flags & TP_FLOW_OUT6 ? 40 : 20), &port_be, 2) == 0 &&
			flow->deadline_ns == spec->deadline_ns;
}

static void read_burst(struct reader *r, const struct tp_flow_spec spec[],
		const union tp_flow_key key[], bool is_v6)
{
	struct tp_flow_query query[TP_BURST];
	struct tp_flow *flow[TP_BURST];
	uint32_t i;

	for (i = 0; i < TP_BURST; i++)
		query[i] = (struct tp_flow_query){ &key[i],
			is_v6 ? TP_FLOW_CHANNEL6 : TP_FLOW_CHANNEL4 };
	r->hits += tp_flow_lookup_bulk(r->b->table, query, TP_BURST, flow);
	for (i = 0; i < TP_BURST; i++)
		r->wrong += flow[i] != NULL && !flow_is_of(flow[i], &spec[i]);
}

static void *read_along(void *arg)
{
	static struct tp_flow_spec spec[2][CHURN_FLOWS];
	static union tp_flow_key key[2][CHURN_FLOWS];
	struct reader *r = arg;
	uint32_t i, is_v6;

	for (is_v6 = 0; is_v6 < 2; is_v6++) {
		for (i = 0; i < CHURN_FLOWS; i++) {
			spec[is_v6][i] = spec_up(is_v6, !is_v6, i);
			key[is_v6][i] = key_of(&spec[is_v6][i]);
		}
	}
	tp_grace_online(r->b->grace, 1);
	for (i = 0; !r->is_stopping; i = (i + TP_BURST) % CHURN_FLOWS) {
		read_burst(r, &spec[0][i], &key[0][i], false);
		read_burst(r, &spec[1][i], &key[1][i], true);
		r->bursts++;
		tp_grace_quiescent(r->b->grace, 1);
	}
	tp_grace_offline(r->b->grace, 1);
	return NULL;
}

/* Flows come and go in a table with little room to spare; a reader finds the right one or none. */
static void test_a_reader_finds_the_right_flow_or_none(void **state)
{
	static struct tp_flow *flows[2][CHURN_FLOWS];
	struct bench b = bench_new(2 * CHURN_FLOWS);
	struct reader r = { .b = &b };
	struct tp_flow_spec spec;
	uint32_t round, i, is_v6, seed = 1, n_live = 0;
	pthread_t thread;
	int ret;

	(void)state;
	memset(flows, 0, sizeof(flows));
	tp_grace_reader_register(b.grace, 1);
	assert_int_equal(pthread_create(&thread, NULL, read_along, &r), 0);
	while (r.bursts == 0)
		sched_yield();
	/* As long as both have had their share, on one CPU too. */
	for (round = 0; round < CHURN_ROUNDS || r.bursts < CHURN_BURSTS; round++) {
		seed = seed * 1664525 + 1013904223;
		i = (seed >> 16) % CHURN_FLOWS;
		is_v6 = seed >> 31;
		if (round % 256 == 0)
			sched_yield();
		if (flows[is_v6][i] != NULL) {
			tp_flow_del(b.table, flows[is_v6][i]);
			flows[is_v6][i] = NULL;
			n_live--;
			continue;
		}
		spec = spec_up(is_v6, !is_v6, i);
		ret = tp_flow_add(b.table, &spec, &flows[is_v6][i]);
		assert_true(ret == 0 || ret == -ENOSPC); /* the reader lags behind */
		n_live += ret == 0;
		if (ret != 0)
			sched_yield();
	}
	r.is_stopping = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r.wrong, 0);
	assert_true(r.hits > 0);
	assert_int_equal(tp_flow_count(b.table), n_live);
	bench_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conf_is_checked),
		cmocka_unit_test(test_too_many_flows_for_memory),
		cmocka_unit_test(test_header_rules_of_the_table),
		cmocka_unit_test(test_spec_is_checked),
		cmocka_unit_test(test_add_look_up_and_delete),
		cmocka_unit_test(test_permissions_are_found_among_themselves),
		cmocka_unit_test(test_permissions_have_a_limit_of_their_own),
		cmocka_unit_test(test_a_flow_is_prepared),
		cmocka_unit_test(test_a_hairpin_flow_leads_to_the_other),
		cmocka_unit_test(test_a_burst_of_both),
		cmocka_unit_test(test_the_table_fills_empties_and_fills),
		cmocka_unit_test(test_a_slot_is_reused_only_after_grace),
		cmocka_unit_test(test_a_reader_finds_the_right_flow_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
