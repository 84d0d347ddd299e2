/* SPDX-License-Identifier: Apache-2.0 */
/* What a flow's next hop is made of, and what flows share. */
#include "resolver_rig.h"

static void known_route_and_neighbour_resolve_at_once(void **state)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0 };
	struct bed *b = *state;

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	assert_non_null(bed_next_hop(b, 0));
	assert_memory_equal(bed_next_hop(b, 0)->l2, macs, sizeof(macs));
	assert_int_equal(bed_next_hop(b, 0)->port, 0);
	assert_int_equal(bed_next_hop(b, 0)->mtu, 1500);
	assert_int_equal(b->kernel.n_use, 0);
}

static void on_link_peer_and_ipv6_resolve_to_their_own_port(void **state)
{
	struct bed *b = *state;

	fake_route(&b->kernel, "2001:db8::7", 0, fake_via(FAKE_ETH_B, "fe80::1"));
	fake_neigh(&b->kernel, FAKE_ETH_B, "fe80::1", fake_mac(9));
	bed_bind_to(b, 0, "2001:db8::7");
	assert_non_null(bed_next_hop(b, 0));
	assert_int_equal(bed_next_hop(b, 0)->port, 1);
	assert_int_equal(bed_next_hop(b, 0)->l2[5], 9);
	assert_int_equal(bed_next_hop(b, 0)->l2[11], 1);
}

static void what_workers_can_not_send_is_left_to_the_kernel(void **state)
{
	static const struct {
		const char *what;
		int rc;
		struct tp_nl_route answer;
	} cases[] = {
		{ "to this host", 0, { .ifindex = FAKE_ETH_A, .is_local = true } },
		{ "broadcast", 0, { .ifindex = FAKE_ETH_A } },
		{ "by an interface that is not ours", 0, { .ifindex = 99, .is_unicast = true } },
		{ "unreachable", -EHOSTUNREACH, { .ifindex = FAKE_ETH_A, .is_unicast = true } },
		{ "blackhole", -EINVAL, { .ifindex = FAKE_ETH_A, .is_unicast = true } },
	};
	struct bed *b = *state;
	struct tp_nl_route answer;
	size_t i;

	bed_script_gateway(b);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("# %s\n", cases[i].what);
		answer = cases[i].answer;
		answer.gateway = fake_ip(GATEWAY);
		fake_route(&b->kernel, PEER, cases[i].rc, answer);
		bed_bind_to(b, 0, PEER);
		assert_null(bed_next_hop(b, 0));
		assert_int_equal(b->kernel.n_get_neigh + b->kernel.n_use, 0);
		bed_unbind(b, 0);
	}
}

static void link_that_is_no_ethernet_carries_nothing(void **state)
{
	struct bed *b = *state;

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	b->kernel.links[0].is_ethernet = false;
	tp_resolver_events.on_link(b->r, &b->kernel.links[0], false);
	assert_null(bed_next_hop(b, 0));
}

static void mtu_is_the_smaller_of_route_and_link(void **state)
{
	struct bed *b = *state;
	struct tp_nl_route small = fake_via(FAKE_ETH_A, GATEWAY), large = small;

	bed_script_gateway(b);
	small.mtu = 1280;
	large.mtu = 70000;
	fake_route(&b->kernel, "203.0.113.1", 0, small);
	fake_route(&b->kernel, "203.0.113.2", 0, large);
	bed_bind_to(b, 0, PEER);
	bed_bind_to(b, 1, "203.0.113.1");
	bed_bind_to(b, 2, "203.0.113.2");
	assert_int_equal(bed_next_hop(b, 0)->mtu, 1500);
	assert_int_equal(bed_next_hop(b, 1)->mtu, 1280);
	assert_int_equal(bed_next_hop(b, 2)->mtu, 1500);
	assert_int_equal(b->kernel.n_get_neigh, 1);

	b->kernel.links[0].mtu = 100000;
	tp_resolver_events.on_link(b->r, &b->kernel.links[0], false);
	assert_int_equal(bed_next_hop(b, 0)->mtu, 65535);
	assert_int_equal(bed_next_hop(b, 1)->mtu, 1280);
	bed_neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(6));
	assert_int_equal(bed_next_hop(b, 0)->l2[5], 6);
	assert_int_equal(bed_next_hop(b, 1)->l2[5], 6);
	assert_int_equal(bed_next_hop(b, 2)->l2[5], 6);
}

static void flows_share_route_neighbour_and_next_hop(void **state)
{
	struct bed *b = *state;
	uint32_t asked = b->kernel.n_get_route;

	bed_script_gateway(b);
	fake_route(&b->kernel, "203.0.113.9", 0, fake_via(FAKE_ETH_A, GATEWAY));
	bed_bind_to(b, 0, PEER);
	bed_bind_to(b, 1, PEER);
	bed_bind_to(b, 2, "203.0.113.9");
	assert_int_equal(b->kernel.n_get_route, asked + 2);
	assert_int_equal(b->kernel.n_get_neigh, 1);
	assert_ptr_equal(bed_next_hop(b, 0), bed_next_hop(b, 1));
	assert_ptr_equal(bed_next_hop(b, 0), bed_next_hop(b, 2));
}

static void ports_play_no_part(void **state)
{
	struct bed *b = *state;
	struct tp_addr src = fake_ip(SRC), dst = fake_ip(PEER);

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	src.port = 3478;
	dst.port = 40000;
	assert_int_equal(tp_resolver_bind(b->r, &b->flow[1], &src, &dst, &b->resolved[1]), 0);
	assert_int_equal(b->kernel.n_get_route, 1);
	assert_ptr_equal(bed_next_hop(b, 0), bed_next_hop(b, 1));
}

static void last_flow_takes_everything_with_it(void **state)
{
	struct bed *b = *state;

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	bed_bind_to(b, 1, PEER);
	tp_grace_reader_register(b->grace, READER);
	tp_grace_online(b->grace, READER);

	bed_unbind(b, 0);
	assert_null(bed_next_hop(b, 0));
	assert_non_null(bed_next_hop(b, 1));
	assert_int_equal(tp_grace_reclaim(b->grace), 0);
	bed_unbind(b, 1);
	assert_null(bed_next_hop(b, 1));
	assert_int_equal(tp_grace_reclaim(b->grace), 1); /* the next hop waits for the reader */

	tp_grace_offline(b->grace, READER);
	tp_grace_reader_unregister(b->grace, READER);
	assert_int_equal(tp_grace_reclaim(b->grace), 0);
	bed_bind_to(b, 0, PEER); /* nothing was left: asked anew */
	assert_int_equal(b->kernel.n_get_route, 2);
	assert_int_equal(b->kernel.n_get_neigh, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		bed_test(known_route_and_neighbour_resolve_at_once),
		bed_test(on_link_peer_and_ipv6_resolve_to_their_own_port),
		bed_test(what_workers_can_not_send_is_left_to_the_kernel),
		bed_test(link_that_is_no_ethernet_carries_nothing),
		bed_test(mtu_is_the_smaller_of_route_and_link),
		bed_test(flows_share_route_neighbour_and_next_hop),
		bed_test(ports_play_no_part),
		bed_test(last_flow_takes_everything_with_it),
	};

	return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}
