/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/pipeline.h"

#include "pipe_rig.h"

static void test_names_of_paths(void **state)
{
	(void)state;
	assert_string_equal(tp_path_name(TP_PATH_UP_44), "up_4to4");
	assert_string_equal(tp_path_name(TP_PATH_HAIRPIN_66), "hairpin_6to6");
	assert_string_equal(tp_path_name(TP_PATH_SEND_46), "send_4to6");
	assert_string_equal(tp_path_name(TP_PATH_HAIRPIN_INDICATION_64), "hairpin_indication_6to4");
}

static void test_an_empty_burst(void **state)
{
	struct rig *r = *state;

	assert_int_equal(burst(r, NOW), 0);
	assert_int_equal(atomic_load(&r->pipe.stats.rx_pkts), 0);
}

static void test_each_path_is_carried_and_counted(void **state)
{
	struct rig *r = *state;
	uint8_t out[PACKET_MAX], next_seq[TP_PATH_COUNT][FLOWS] = { { 0 } };
	enum tp_path path;
	struct packet pkt;

	for (path = 0; path < TP_PATH_COUNT; path++) {
		uint8_t data[3] = { (uint8_t)path, 7, 0 };
		uint64_t rx_bytes = atomic_load(&r->pipe.stats.rx_bytes);

		open_path(r, path, 7);
		pkt = packet_for(path, 7, data);
		expect_forward(r, &pkt);
		assert_int_equal(r->out.forward[0].port, hop.port);
		check_sent(out, collect(r, out), next_seq);
		assert_int_equal(atomic_load(&r->pipe.stats.path[path]), 1);
		assert_int_equal(atomic_load(&r->pipe.stats.rx_bytes) - rx_bytes,
				packet_build(&pkt, out));
	}
	assert_int_equal(verdict(r, TP_FORWARD), TP_PATH_COUNT);
}

static void test_what_has_no_flow_is_punted_as_received(void **state)
{
	static const uint8_t data[3] = { 1, 2, 3 };
	struct rig *r = *state;
	struct packet pkt;
	enum tp_path path;

	for (path = 0; path < TP_PATH_COUNT; path++) {
		pkt = packet_for(path, 1, data);
		expect_punt(r, &pkt);
	}
	assert_int_equal(verdict(r, TP_PUNT), TP_PATH_COUNT);
}

/* The other allocation's channel: missing, expired, without next hop, there again. */
static void test_a_hairpin_needs_both_flows(void **state)
{
	static const uint8_t data[3] = { TP_PATH_HAIRPIN_46, 0, 0 };
	struct rig *r = *state;
	struct packet pkt = packet_for(TP_PATH_HAIRPIN_46, 0, data);
	struct path_flows flows = open_path(r, TP_PATH_HAIRPIN_46, 0);
	uint8_t frame[PACKET_MAX];

	expect_forward(r, &pkt);
	collect(r, frame);

	tp_flow_set_deadline(flows.down, NOW);
	expect_punt(r, &pkt);
	tp_flow_set_deadline(flows.down, NOW + 1);
	tp_flow_set_next_hop(flows.down, NULL);
	expect_punt(r, &pkt);

	/* Its own next hop plays no part: the packet does not leave by it. */
	tp_flow_set_next_hop(flows.down, &hop);
	tp_flow_set_next_hop(flows.up, NULL);
	expect_forward(r, &pkt);
	collect(r, frame);

	tp_flow_del(r->flows, flows.down);
	expect_punt(r, &pkt);
	tp_flow_set_deadline(flows.up, NOW);
	expect_punt(r, &pkt);
}

/* ---- permissions ---- */

/* RFC 8656 section 12.5: what a channel is bound for MUST go as ChannelData. */
static void test_a_channel_wins_over_a_permission(void **state)
{
	static const uint8_t data[3] = { 1, 2, 3 };
	struct rig *r = *state;
	struct packet pkt, other_port;
	struct path_flows flows;
	struct tp_flow *channel;
	enum tp_path path;

	for (path = TP_PATH_DATA_44; path <= TP_PATH_DATA_66; path++) {
		start_over(r, &no_limits);
		flows = open_path(r, path, 0);
		pkt = other_port = packet_for(path, 0, data);
		other_port.src.port++;
		expect_data_indication(r, &pkt);
		channel = open_down(r, path, 0, false);
		expect_channel_data(r, &pkt);
		expect_data_indication(r, &other_port);

		/* bound, and the core must see it: never by the permission instead */
		tp_flow_set_deadline(channel, NOW);
		expect_punt(r, &pkt);
		tp_flow_set_deadline(channel, NOW + 1);
		tp_flow_set_next_hop(channel, NULL);
		expect_punt(r, &pkt);

		tp_flow_del(r->flows, channel);
		expect_data_indication(r, &pkt);
		tp_flow_set_deadline(flows.down, NOW);
		expect_punt(r, &pkt);
		assert_int_equal(atomic_load(&r->pipe.stats.path[path]), 3);
	}
}

/* The other end of a hairpin: permitted, then bound, unbound, over, gone. */
static void test_a_hairpin_follows_what_the_other_side_does(void **state)
{
	const enum tp_path path = TP_PATH_HAIRPIN_INDICATION_46;
	struct rig *r = *state;
	struct path_flows flows;
	struct tp_flow *channel;
	struct packet pkt;
	uint16_t n;

	for (n = 0; n < 3; n += 2) { /* from ChannelData, from Send */
		const uint8_t data[3] = { (uint8_t)path, (uint8_t)n, 0 };

		start_over(r, &no_limits);
		flows = open_path(r, path, n);
		pkt = packet_for(path, n, data);
		expect_data_indication(r, &pkt);
		channel = open_down(r, path, n, false);
		expect_channel_data(r, &pkt);
		tp_flow_set_deadline(channel, NOW);
		expect_punt(r, &pkt);
		tp_flow_del(r->flows, channel);
		expect_data_indication(r, &pkt);
		tp_flow_set_next_hop(flows.down, NULL);
		expect_punt(r, &pkt);
		tp_flow_del(r->flows, flows.down);
		expect_punt(r, &pkt);
		tp_flow_set_deadline(flows.up, NOW);
		expect_punt(r, &pkt);
	}
}

/* Port 0 is what a permission's key has for any port; a packet may have it too. */
static void test_a_peer_may_send_from_port_0(void **state)
{
	static const uint8_t data[3] = { 1, 2, 3 };
	struct rig *r = *state;
	struct packet pkt = packet_for(TP_PATH_DATA_44, 0, data);
	uint8_t out[PACKET_MAX];

	open_path(r, TP_PATH_DATA_44, 0);
	pkt.src.port = 0;
	expect_forward(r, &pkt);
	collect(r, out);
	assert_memory_equal(out + 42 + 26, "\x21\x12", 2);
}

static void test_a_table_without_permissions(void **state)
{
	static const uint8_t data[3] = { 0 };
	struct rig *r = *state;
	struct tp_flow_table_conf conf = { .max_channel_flows = 8, .grace = r->grace };
	struct packet send = packet_for(TP_PATH_SEND_44, 0, data);
	struct packet plain = packet_for(TP_PATH_DATA_66, 0, data);
	struct tp_flow_table *other;

	assert_int_equal(tp_flow_table_new(&conf, &other), 0);
	r->pipe.flows = other;
	inject(r, &send);
	inject(r, &plain);
	burst(r, NOW);
	assert_int_equal(r->out.n_punt, 2);
	r->pipe.flows = r->flows;
	tp_flow_table_free(other);
}

static void test_an_expired_flow(void **state)
{
	static const uint8_t data[3] = { 0 };
	struct rig *r = *state;
	struct packet up_pkt = packet_for(TP_PATH_UP_46, 0, data);
	struct packet down_pkt = packet_for(TP_PATH_DOWN_64, 0, data);

	open_path(r, TP_PATH_UP_46, 0);
	open_path(r, TP_PATH_DOWN_64, 0);
	inject(r, &up_pkt);
	inject(r, &down_pkt);
	burst(r, NOW + 1);
	assert_int_equal(verdict(r, TP_DROP_EXPIRED), 1);
	assert_int_equal(verdict(r, TP_PUNT), 1);
}

static void test_a_full_port_and_a_full_ring(void **state)
{
	static const uint8_t data[3] = { TP_PATH_UP_44, 0, 0 };
	struct rig *r = *state;
	struct packet known = packet_for(TP_PATH_UP_44, 0, data), unknown = known;
	uint32_t i;

	open_path(r, TP_PATH_UP_44, 0);
	unknown.channel = 0x4eee;
	for (i = 0; i < TP_BURST; i++)
		inject(r, i & 1 ? &known : &unknown);
	tp_mem_limit_tx(r->port, 10);
	r->punt_room = 3;
	burst(r, NOW);
	assert_int_equal(verdict(r, TP_FORWARD), 10);
	assert_int_equal(verdict(r, TP_DROP_TX_FULL), TP_BURST / 2 - 10);
	assert_int_equal(verdict(r, TP_PUNT), 3);
	assert_int_equal(verdict(r, TP_DROP_PUNT_FULL), TP_BURST / 2 - 3);
	check_account(r, TP_PATH_UP_44, 0, 10);
}

static void test_what_leaves_by_another_interface_is_punted(void **state)
{
	static const uint8_t data[3] = { TP_PATH_DOWN_46, 0, 0 };
	struct rig *r = *state;
	struct packet pkt = packet_for(TP_PATH_DOWN_46, 0, data);

	open_path(r, TP_PATH_DOWN_46, 0);
	r->pipe.egress_ports = ~(1ull << hop.port);
	expect_punt(r, &pkt);
	r->pipe.egress_ports = 1ull << hop.port;
	expect_forward(r, &pkt);
}

static void test_ip_ids_differ(void **state)
{
	static const uint8_t data[3] = { TP_PATH_UP_44, 0, 0 };
	struct rig *r = *state;
	struct packet pkt = packet_for(TP_PATH_UP_44, 0, data);
	uint8_t a[PACKET_MAX], b[PACKET_MAX];

	open_path(r, TP_PATH_UP_44, 0);
	inject(r, &pkt);
	inject(r, &pkt);
	burst(r, NOW);
	collect(r, a);
	collect(r, b);
	assert_memory_not_equal(a + 18, b + 18, 2);
}

/* ---- limits ---- */

static void inject_many(struct rig *r, enum tp_path path, uint16_t n, uint32_t times)
{
	const uint8_t data[3] = { (uint8_t)path, (uint8_t)n, 0 };
	const struct packet pkt = packet_for(path, n, data);

	for (uint32_t i = 0; i < times; i++)
		inject(r, &pkt);
}

/* Sixteen packets at once, of each direction; whatever else goes through the same worker. */
static void test_a_limit_is_of_an_allocation_and_a_direction(void **state)
{
	static const enum tp_path paths[] = { TP_PATH_UP_44, TP_PATH_DOWN_64, TP_PATH_SEND_46,
		TP_PATH_DATA_66, TP_PATH_HAIRPIN_44, TP_PATH_HAIRPIN_INDICATION_66 };
	const uint32_t n_paths = sizeof(paths) / sizeof(paths[0]);
	struct rig *r = *state;

	start_over(r, &(struct tp_meter_conf){ .pps = 10 });
	for (uint32_t p = 0; p < n_paths; p++)
		for (uint16_t n = 0; n < 2; n++)
			open_path(r, paths[p], n);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t p = 0; p < n_paths; p++)
			inject_many(r, paths[p], 0, 8);
		burst(r, NOW);
	}
	assert_int_equal(verdict(r, TP_FORWARD), 16 * n_paths);
	assert_int_equal(verdict(r, TP_DROP_RATE), 8 * n_paths);
	for (uint32_t p = 0; p < n_paths; p++) {
		check_account(r, paths[p], 0, 16);
		inject_many(r, paths[p], 1, 1);
	}
	burst(r, NOW);
	assert_int_equal(verdict(r, TP_FORWARD), 17 * n_paths);
}

/* What the kernel path is to relay is limited there, and not twice. */
static void test_what_is_punted_takes_nothing_from_a_limit(void **state)
{
	struct rig *r = *state;
	struct path_flows flows;

	start_over(r, &(struct tp_meter_conf){ .pps = 10, .bps = 1 });
	flows = open_path(r, TP_PATH_UP_44, 0);
	tp_flow_set_next_hop(flows.up, NULL);
	inject_many(r, TP_PATH_UP_44, 0, TP_BURST);
	burst(r, NOW);
	assert_int_equal(verdict(r, TP_PUNT), TP_BURST);
	tp_flow_set_next_hop(flows.up, &hop);
	inject_many(r, TP_PATH_UP_44, 0, 17);
	burst(r, NOW);
	assert_int_equal(verdict(r, TP_FORWARD), 16);
	assert_int_equal(verdict(r, TP_DROP_RATE), 1);
	check_account(r, TP_PATH_UP_44, 0, 16);
}

/* A client that floods another one has it dropped where that one's limit ends. */
static void test_a_hairpin_is_limited_by_either_side(void **state)
{
	const enum tp_path path = TP_PATH_HAIRPIN_46;
	struct rig *r = *state;
	struct tp_account_sum sum;
	struct path_flows flows;

	start_over(r, &(struct tp_meter_conf){ .pps = 10 });
	flows = open_path(r, path, 0);
	for (uint32_t i = 0; i < 10; i++)
		assert_true(tp_tally_admit(r->pipe.tally, flows.down->account_at, 3, true, NOW));
	inject_many(r, path, 0, 10);
	burst(r, NOW);
	assert_int_equal(verdict(r, TP_FORWARD), 6);
	assert_int_equal(verdict(r, TP_DROP_RATE), 4);
	check_account(r, path, 0, 6);
	/* what the other one did not get was not relayed for the first one either */
	tp_account_sum(r->accounts, account_of(path, 0, false), &sum);
	assert_int_equal(sum.up.pkts, 6);
}

/* ---- everything at once ---- */

/* A frame that is no packet at all, in one of several ways. */
static void inject_junk(struct rig *r, uint32_t seed)
{
	static const uint8_t data[3] = { 0 };
	struct packet pkt = packet_for(seed % TP_PATH_COUNT, 0, data);
	uint8_t bytes[PACKET_MAX];
	uint32_t len = packet_build(&pkt, bytes);

	switch (seed % 3) {
	case 0:
		len = seed % len;
		break;
	case 1:
		bytes[12] ^= 0x55;
		break;
	default:
		pkt.ttl = 1;
		len = packet_build(&pkt, bytes);
		break;
	}
	assert_int_equal(tp_mem_inject(r->port, bytes, len), 0);
}

/* A packet of some flow of any path, of none, or junk.  @return whether it is a good one */
static bool inject_any(struct rig *r, uint32_t seed, uint8_t seq[][FLOWS], uint32_t n_sent[][FLOWS])
{
	enum tp_path path = (seed >> 8) % TP_PATH_COUNT;
	uint8_t n = (seed >> 16) % FLOWS, data[3] = { (uint8_t)path, n, 0 };
	struct packet pkt = packet_for(path, n, data);

	switch (seed >> 28) {
	case 0:
		inject_junk(r, seed >> 4);
		return false;
	case 1:
		pkt.src.ip[1] ^= 0x80; /* unknown */
		inject(r, &pkt);
		return false;
	default:
		data[2] = seq[path][n]++;
		n_sent[path][n]++;
		inject(r, &pkt);
		return true;
	}
}

/* Bursts of everything mixed: all paths, unknown flows, junk; every good packet comes out. */
static void test_mixed_bursts(void **state)
{
	uint8_t seq[TP_PATH_COUNT][FLOWS] = { { 0 } }, next_seq[TP_PATH_COUNT][FLOWS] = { { 0 } };
	uint32_t n_sent[TP_PATH_COUNT][FLOWS] = { { 0 } };
	struct rig *r = *state;
	uint32_t i, n, round, seed = 99, n_good = 0;
	uint8_t out[PACKET_MAX];
	enum tp_path path;
	int len;

	for (path = 0; path < TP_PATH_COUNT; path++) {
		for (i = 0; i < FLOWS; i++)
			open_path(r, path, (uint16_t)i);
	}
	for (round = 0; round < 500; round++) {
		n = round % (TP_BURST + 1);
		for (i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			n_good += inject_any(r, seed, seq, n_sent);
		}
		assert_int_equal(burst(r, NOW), n);
		while ((len = tp_mem_collect(r->port, out, sizeof(out))) > 0)
			check_sent(out, (uint32_t)len, next_seq);
	}
	assert_int_equal(verdict(r, TP_FORWARD), n_good);
	assert_memory_equal(seq, next_seq, sizeof(seq));
	for (path = 0; path < TP_PATH_COUNT; path++)
		for (i = 0; i < FLOWS; i++)
			check_account(r, path, (uint16_t)i, n_sent[path][i]);
	assert_true(verdict(r, TP_PUNT) > 0);
	assert_true(verdict(r, TP_DROP_SHORT) > 0);
	assert_true(verdict(r, TP_DROP_NOT_UDP) > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_paths),
		TEST(test_an_empty_burst),
		TEST(test_each_path_is_carried_and_counted),
		TEST(test_what_has_no_flow_is_punted_as_received),
		TEST(test_a_hairpin_needs_both_flows),
		TEST(test_a_channel_wins_over_a_permission),
		TEST(test_a_hairpin_follows_what_the_other_side_does),
		TEST(test_a_peer_may_send_from_port_0),
		TEST(test_a_table_without_permissions),
		TEST(test_an_expired_flow),
		TEST(test_a_full_port_and_a_full_ring),
		TEST(test_what_leaves_by_another_interface_is_punted),
		TEST(test_ip_ids_differ),
		TEST(test_a_limit_is_of_an_allocation_and_a_direction),
		TEST(test_what_is_punted_takes_nothing_from_a_limit),
		TEST(test_a_hairpin_is_limited_by_either_side),
		TEST(test_mixed_bursts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
