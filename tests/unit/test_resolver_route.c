/* SPDX-License-Identifier: Apache-2.0 */
/* Links and routes that change: what is asked again, when, and how much of it at once. */
#include "resolver_rig.h"

static void link_without_carrier_carries_nothing_until_it_is_back(void **state)
{
	struct bed *b = *state;
	struct tp_nl_link *link = &b->kernel.links[0];

	bed_script_gateway(b);
	fake_route(&b->kernel, "203.0.113.9", 0, fake_via(FAKE_ETH_B, GATEWAY));
	fake_neigh(&b->kernel, FAKE_ETH_B, GATEWAY, fake_mac(4));
	bed_bind_to(b, 0, PEER);
	bed_bind_to(b, 1, "203.0.113.9");

	link->is_up = false;
	tp_resolver_events.on_link(b->r, link, false);
	assert_null(bed_next_hop(b, 0));
	assert_non_null(bed_next_hop(b, 1));

	link->is_up = true;
	link->mtu = 9000;
	link->mac[5] = 0x77;
	tp_resolver_events.on_link(b->r, link, false);
	assert_non_null(bed_next_hop(b, 0));
	assert_int_equal(bed_next_hop(b, 0)->mtu, 9000);
	assert_int_equal(bed_next_hop(b, 0)->l2[11], 0x77);

	tp_resolver_events.on_link(b->r, link, true);
	assert_null(bed_next_hop(b, 0));
}

static void route_change_moves_flows_to_another_interface_on_tick(void **state)
{
	struct bed *b = *state;
	uint32_t asked;

	bed_script_gateway(b);
	fake_neigh(&b->kernel, FAKE_ETH_B, "192.0.2.253", fake_mac(5));
	bed_bind_to(b, 0, PEER);
	bed_bind_to(b, 1, PEER);

	bed_tick_after(b, 1000);
	asked = b->kernel.n_get_route;
	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_B, "192.0.2.253"));
	tp_resolver_events.on_route(b->r);
	tp_resolver_events.on_route(b->r);
	assert_int_equal(b->kernel.n_get_route, asked);
	bed_tick_after(b, 1);
	assert_int_equal(b->kernel.n_get_route, asked + 1);
	assert_int_equal(bed_next_hop(b, 0)->port, 1);
	assert_int_equal(bed_next_hop(b, 0)->l2[5], 5);
	assert_ptr_equal(bed_next_hop(b, 1), bed_next_hop(b, 0));

	bed_tick_after(b, 1000);
	assert_int_equal(b->kernel.n_get_route, asked + 1);

	/* Nobody needs the old gateway: what becomes of it is of no interest. */
	bed_neigh_event(b, FAKE_ETH_A, GATEWAY, (struct tp_nl_neigh){ .is_valid = false });
	bed_tick_after(b, 10000);
	assert_int_equal(b->kernel.n_use, 0);
}

static void vanished_route_leaves_the_flow_to_the_kernel_until_there_is_one(void **state)
{
	struct bed *b = *state;

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	fake_route(&b->kernel, PEER, -ENETUNREACH, fake_via(FAKE_ETH_A, GATEWAY));
	tp_resolver_events.on_route(b->r);
	bed_tick_after(b, 1000);
	assert_null(bed_next_hop(b, 0));
	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_A, GATEWAY));
	tp_resolver_events.on_route(b->r);
	bed_tick_after(b, 1000);
	assert_non_null(bed_next_hop(b, 0));
}

static void route_changes_in_quick_succession_are_taken_together(void **state)
{
	struct bed *b = *state;
	uint32_t i, asked;

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	bed_tick_after(b, 1000);
	asked = b->kernel.n_get_route;
	for (i = 0; i < 100; i++) { /* 10 ms apart: 1 second */
		tp_resolver_events.on_route(b->r);
		bed_tick_after(b, 10);
	}
	assert_in_range(b->kernel.n_get_route - asked, 4, 6);
	asked = b->kernel.n_get_route;
	bed_tick_after(b, 1000); /* the last change is not lost */
	assert_int_equal(b->kernel.n_get_route, asked + 1);
}

static void a_link_that_changes_has_routes_asked_again(void **state)
{
	struct bed *b = *state;

	bed_script_gateway(b);
	fake_neigh(&b->kernel, FAKE_ETH_B, GATEWAY, fake_mac(4));
	bed_bind_to(b, 0, PEER);
	bed_tick_after(b, 1000);
	b->kernel.links[0].is_up = false;
	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_B, GATEWAY)); /* without an event */
	tp_resolver_events.on_link(b->r, &b->kernel.links[0], false);
	assert_null(bed_next_hop(b, 0));
	assert_false(bed_tick_after(b, 1));
	assert_non_null(bed_next_hop(b, 0));
	assert_int_equal(bed_next_hop(b, 0)->port, 1);
	tp_resolver_events.on_link(b->r, &b->kernel.links[0], false);
	assert_true(bed_tick_after(b, 1)); /* too soon: not done, and not left to the next second */
	assert_false(bed_tick_after(b, 200));
}

static void routes_are_refreshed_without_an_event(void **state)
{
	struct bed *b = *state;
	struct tp_nl_route route = fake_via(FAKE_ETH_A, GATEWAY);

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	route.mtu = 1300; /* learned from an ICMP error */
	fake_route(&b->kernel, PEER, 0, route);
	bed_tick_after(b, 30000);
	assert_int_equal(bed_next_hop(b, 0)->mtu, 1500);
	bed_tick_after(b, 31000);
	assert_int_equal(bed_next_hop(b, 0)->mtu, 1300);
}

static void after_an_overflow_everything_is_asked_again(void **state)
{
	struct bed *b = *state;

	bed_script_gateway(b);
	fake_route(&b->kernel, "203.0.113.9", 0, fake_via(FAKE_ETH_A, "203.0.113.9"));
	fake_neigh(&b->kernel, FAKE_ETH_A, "203.0.113.9", fake_mac(8));
	bed_bind_to(b, 0, PEER);
	bed_bind_to(b, 1, "203.0.113.9");
	bed_tick_after(b, 1000);

	b->kernel.links[0].mtu = 1400;
	fake_neigh(&b->kernel, FAKE_ETH_A, GATEWAY, fake_mac(2));
	fake_route(&b->kernel, "203.0.113.9", -EHOSTUNREACH, fake_via(FAKE_ETH_A, GATEWAY));
	bed_tick_after(b, 1000);
	assert_int_equal(bed_next_hop(b, 0)->l2[5], 1);

	tp_resolver_events.on_overflow(b->r);
	bed_tick_after(b, 1000);
	assert_int_equal(bed_next_hop(b, 0)->l2[5], 2);
	assert_int_equal(bed_next_hop(b, 0)->mtu, 1400);
	assert_null(bed_next_hop(b, 1));
}

static void kernel_that_does_not_answer_changes_nothing_and_is_asked_later(void **state)
{
	struct bed *b = *state;
	uint32_t asked;

	bed_script_gateway(b);
	fake_route(&b->kernel, "203.0.113.9", 0, fake_via(FAKE_ETH_A, GATEWAY));
	bed_bind_to(b, 0, PEER);
	bed_tick_after(b, 1000);

	b->kernel.is_silent = true;
	bed_bind_to(b, 1, "203.0.113.9");
	assert_null(bed_next_hop(b, 1));
	tp_resolver_events.on_overflow(b->r);
	asked = b->kernel.n_get_route + b->kernel.n_get_neigh + b->kernel.n_get_link;
	assert_false(bed_tick_after(b, 1000));
	assert_in_range(b->kernel.n_get_route + b->kernel.n_get_neigh + b->kernel.n_get_link, asked,
			asked + 3);
	assert_non_null(bed_next_hop(b, 0));

	b->kernel.is_silent = false;
	bed_tick_after(b, 1000);
	assert_non_null(bed_next_hop(b, 0));
	assert_ptr_equal(bed_next_hop(b, 1), bed_next_hop(b, 0));
}

/* The kernel learns a path's MTU from an ICMP error without an event: who heard it too says so. */
static void what_is_in_doubt_is_asked_at_the_next_tick(void **state)
{
	struct bed *b = *state;
	struct tp_nl_route route = fake_via(FAKE_ETH_A, GATEWAY);
	struct tp_addr src = fake_ip(SRC), peer = fake_ip(PEER), other = fake_ip("198.51.100.8");
	uint32_t n_asked;

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	bed_tick_after(b, 1000);
	n_asked = b->kernel.n_get_route;
	route.mtu = 1300;
	fake_route(&b->kernel, PEER, 0, route);
	assert_false(tp_resolver_doubt(b->r, &src, &other));
	assert_false(tp_resolver_doubt(b->r, &peer, &src));
	assert_false(bed_tick_after(b, 10));
	assert_int_equal(b->kernel.n_get_route, n_asked);
	peer.port = 9; /* makes no difference */
	assert_true(tp_resolver_doubt(b->r, &src, &peer));
	assert_true(tp_resolver_doubt(b->r, &src, &peer));
	assert_int_equal(bed_next_hop(b, 0)->mtu, 1500);
	assert_false(bed_tick_after(b, 10));
	assert_int_equal(bed_next_hop(b, 0)->mtu, 1300);
	assert_int_equal(b->kernel.n_get_route, n_asked + 1);
}

/* As after `ip route replace default`: every route has to be asked again, but not at once. */
static void re_resolution_is_bounded_per_tick_and_completes(void **state)
{
	enum {
		N = 5000
	};
	struct bed *b = *state;
	struct tp_nl_route before = fake_via(FAKE_ETH_A, GATEWAY);
	struct tp_nl_route after = fake_via(FAKE_ETH_B, GATEWAY);
	struct tp_flow *flow = aligned_alloc(64, N * sizeof(*flow));
	struct tp_resolved **resolved = calloc(N, sizeof(struct tp_resolved *));
	struct tp_addr src = fake_ip("10.0.0.1"), dst = fake_ip("10.1.0.0");
	uint32_t i, asked, n_moved, n_ticks = 0;
	bool is_more;

	assert_non_null(flow);
	assert_non_null(resolved);
	memset(flow, 0, N * sizeof(*flow));
	fake_neigh(&b->kernel, FAKE_ETH_A, GATEWAY, fake_mac(1));
	fake_neigh(&b->kernel, FAKE_ETH_B, GATEWAY, fake_mac(2));
	b->kernel.other_routes = &before;
	for (i = 0; i < N; i++) {
		dst.ip[2] = (uint8_t)(i >> 8);
		dst.ip[3] = (uint8_t)i;
		assert_int_equal(tp_resolver_bind(b->r, &flow[i], &src, &dst, &resolved[i]), 0);
	}
	bed_tick_after(b, 1000);

	b->kernel.other_routes = &after;
	tp_resolver_events.on_route(b->r);
	do {
		asked = b->kernel.n_get_route;
		is_more = bed_tick_after(b, 1);
		assert_in_range(b->kernel.n_get_route - asked, 1, 2000);
		n_ticks++;
		for (i = 0, n_moved = 0; i < N; i++) {
			assert_non_null(atomic_load(&flow[i].next_hop)); /* never without one */
			n_moved += atomic_load(&flow[i].next_hop)->port == 1;
		}
		assert_int_equal(n_moved, n_ticks * 2000 < N ? n_ticks * 2000 : N);
	} while (is_more);
	assert_int_equal(n_ticks, 3);

	for (i = 0; i < N; i++)
		tp_resolver_unbind(b->r, resolved[i]);
	free(resolved);
	free(flow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		bed_test(link_without_carrier_carries_nothing_until_it_is_back),
		bed_test(route_change_moves_flows_to_another_interface_on_tick),
		bed_test(vanished_route_leaves_the_flow_to_the_kernel_until_there_is_one),
		bed_test(route_changes_in_quick_succession_are_taken_together),
		bed_test(a_link_that_changes_has_routes_asked_again),
		bed_test(routes_are_refreshed_without_an_event),
		bed_test(after_an_overflow_everything_is_asked_again),
		bed_test(kernel_that_does_not_answer_changes_nothing_and_is_asked_later),
		bed_test(what_is_in_doubt_is_asked_at_the_next_tick),
		bed_test(re_resolution_is_bounded_per_tick_and_completes),
	};

	return cmocka_run_group_tests_name("resolver_route", tests, NULL, NULL);
}
