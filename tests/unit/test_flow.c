/* SPDX-License-Identifier: Apache-2.0 */
/* What a flow is and how it is found; how many there may be, and readers: test_flow_table.c. */
#include "flow/flow.h"

#include "flow_bench.h"
#include "wire/checksum.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

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
	struct bench b = bench_new_of((struct tp_flow_table_conf){
			.max_channel_flows = 64, .clears_dscp = true, .lowest_ipv6_mtu = 1400 });
	struct tp_flow_spec spec;
	struct tp_flow *flow;

	(void)state;
	for (int is_v6 = 0; is_v6 < 2; is_v6++) {
		spec = spec_up(false, is_v6, 1 + (uint32_t)is_v6);
		flow = add(&b, &spec);
		assert_int_equal(flow->tclass_clear, 0xfc);
		assert_int_equal(flow->whole_max, is_v6 ? 1400 : UINT16_MAX);
		tp_flow_del(b.table, flow);
	}
	bench_free(&b);
}

#define FAMILIES(from, to, leaves_from, leaves_to)                                       \
	.in_src.family = (from), .in_dst.family = (to), .out_src.family = (leaves_from), \
	.out_dst.family = (leaves_to)
#define IPV4 FAMILIES(TP_IPV4, TP_IPV4, TP_IPV4, TP_IPV4)

static void test_spec_is_checked(void **state)
{
	/* clang-format off */
	static const struct {
		const char *what;
		struct tp_flow_spec spec;
	} cases[] = {
		{ "no addresses", { .in_channel = 0x4000 } },
		{ "source and destination differ in family, received",
			{ FAMILIES(TP_IPV4, TP_IPV6, TP_IPV4, TP_IPV4), .in_channel = 0x4000 } },
		{ "source and destination differ in family, sent",
			{ FAMILIES(TP_IPV4, TP_IPV4, TP_IPV6, TP_IPV4), .in_channel = 0x4000 } },
		{ "channel on neither side", { IPV4 } },
		{ "channel on both sides", { IPV4, .in_channel = 0x4000, .out_channel = 0x4000 } },
		{ "hairpin from peer to client",
			{ IPV4, .out_channel = 0x4000, .is_hairpin = true } },
		{ "Send indications with a channel",
			{ IPV4, .form = TP_FLOW_SEND, .in_peer.family = TP_IPV4,
				.in_channel = 0x4000 } },
		{ "Send indications to one port",
			{ IPV4, .form = TP_FLOW_SEND, .in_peer.family = TP_IPV4,
				.out_dst.port = 1 } },
		{ "Send indications that name nobody", { IPV4, .form = TP_FLOW_SEND } },
		{ "Data indications with a channel",
			{ IPV4, .form = TP_FLOW_DATA, .out_channel = 0x4000 } },
		{ "Data indications from one port",
			{ IPV4, .form = TP_FLOW_DATA, .in_src.port = 1 } },
		{ "Data indications on a hairpin",
			{ IPV4, .form = TP_FLOW_DATA, .is_hairpin = true } },
	};
	/* clang-format on */
	struct bench b = bench_new(8);
	static struct tp_flow untouched;
	struct tp_flow *flow = &untouched;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		if (tp_flow_add(b.table, &cases[i].spec, &flow) != -EINVAL)
			fail_msg("%s: accepted", cases[i].what);
		assert_ptr_equal(flow, &untouched);
	}
	assert_int_equal(tp_flow_count(b.table), 0);
	bench_free(&b);
}

/* Specs by number: families of both sides, and 4 for up. */
static struct tp_flow_spec channel_number(uint32_t i)
{
	return i & 4 ? spec_up(i & 1, (i & 2) != 0, i) : spec_down(i & 1, (i & 2) != 0, i);
}

static struct tp_flow_spec permission_number(uint32_t i)
{
	return i & 4 ? spec_send(i & 1, (i & 2) != 0, i) : spec_data(i & 1, (i & 2) != 0, i);
}

/* Any difference in what every key has is another flow. */
static void expect_only(const struct bench *b, const struct tp_flow_spec *spec)
{
	struct tp_flow_spec other[5] = { *spec, *spec, *spec, *spec, *spec };

	other[0].in_src.port ^= 1;
	other[1].in_dst.port ^= 1;
	other[2].in_src.ip[0] ^= 1;
	other[3].in_src.ip[spec->in_src.family == TP_IPV6 ? 15 : 3] ^= 1;
	other[4].in_dst.ip[0] ^= 1;
	for (uint32_t i = 0; i < COUNT(other); i++)
		if (find(b, &other[i]) != NULL)
			fail_msg("difference %u makes no difference", i);
}

/* Found by its key alone, and not to be added again. */
static struct tp_flow *expect_added(struct bench *b, const struct tp_flow_spec *spec)
{
	struct tp_flow *flow;

	assert_null(find(b, spec));
	flow = add(b, spec);
	assert_ptr_equal(find(b, spec), flow);
	assert_int_equal(tp_flow_count(b->table), 1);
	expect_error(b, spec, -EEXIST);
	assert_ptr_equal(find(b, spec), flow);
	expect_only(b, spec);
	return flow;
}

/* The key is free at once. */
static void expect_deleted(struct bench *b, struct tp_flow *flow, const struct tp_flow_spec *spec)
{
	tp_flow_del(b->table, flow);
	assert_null(find(b, spec));
	assert_int_equal(tp_flow_count(b->table), 0);
	flow = add(b, spec);
	assert_ptr_equal(find(b, spec), flow);
	tp_flow_del(b->table, flow);
}

static void test_add_look_up_and_delete(void **state)
{
	struct bench b = bench_new(8);
	struct tp_flow_spec spec, other;
	struct tp_flow *flow;
	uint32_t i;

	(void)state;
	for (i = 0; i < 8; i++) {
		other = spec = channel_number(i);
		flow = expect_added(&b, &spec);
		other.in_channel ^= 1;
		assert_null(find(&b, &other));
		expect_deleted(&b, flow, &spec);
	}
	bench_free(&b);
}

/* ---- permissions ---- */

static struct bench bench_new_permissions(uint32_t max_permission_flows)
{
	return bench_new_of((struct tp_flow_table_conf){
			.max_channel_flows = 8, .max_permission_flows = max_permission_flows });
}

static void test_permissions_are_found_among_themselves(void **state)
{
	struct bench b = bench_new_permissions(8);
	struct tp_flow_spec spec, channel, other;
	struct tp_flow *flow;
	uint32_t i;

	(void)state;
	for (i = 0; i < 8; i++) {
		other = spec = permission_number(i);
		channel = channel_number(i);
		flow = expect_added(&b, &spec);
		assert_null(find(&b, &channel));
		assert_int_equal(flow->flags & (TP_FLOW_INDICATION | TP_FLOW_UP),
				i & 4 ? TP_FLOW_INDICATION | TP_FLOW_UP : TP_FLOW_INDICATION);
		assert_int_equal(flow->hdr_len, i & 2 ? 48 : 28);
		other.in_peer.ip[0] ^= 1;
		assert_int_equal(find(&b, &other) == NULL, (i & 4) != 0);
		expect_deleted(&b, flow, &spec);
	}
	bench_free(&b);
}

static void test_permissions_have_a_limit_of_their_own(void **state)
{
	struct bench b = bench_new_permissions(12), none = bench_new(8);
	struct tp_flow_spec spec;
	const struct tp_flow_spec ninth_send = spec_send(false, false, 8);
	const struct tp_flow_spec ninth_data = spec_data(true, false, 8);
	const struct tp_flow_spec data = spec_data(true, true, 1);
	struct tp_flow *flow[8];
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
	expect_error(&b, &ninth_send, -ENOSPC);
	expect_error(&b, &ninth_data, -ENOSPC);
	for (i = 0; i < 8; i++) {
		spec = spec_up(i & 2, i & 1, i);
		add(&b, &spec);
	}
	tp_flow_del(b.table, flow[3]);
	add(&b, &ninth_send);
	assert_int_equal(tp_flow_count(b.table), 12 + 8);
	expect_error(&none, &ninth_send, -ENOSPC);
	expect_error(&none, &data, -ENOSPC);
	bench_free(&b);
	bench_free(&none);
}

/* ---- what a worker finds in it ---- */

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
		assert_ptr_equal(look_up(&b, &key, channel_kind(is_v6)), down);
	}
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
