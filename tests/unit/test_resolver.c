/* SPDX-License-Identifier: Apache-2.0 */
#include "io/resolver.h"

#include "base/clock.h"
#include "fake_kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define SRC "192.0.2.1"
#define PEER "198.51.100.7"
#define GATEWAY "192.0.2.254"
#define READER 0

struct bed {
	struct tp_flow flow[4];
	struct tp_resolved *resolved[4];
	struct fake_kernel kernel;
	struct tp_grace *grace;
	struct tp_resolver *r;
	uint64_t now_ns;
};

/* Linked with --wrap: the n-th allocation from now fails; 0: none does. */
static uint32_t fail_at;

static bool is_to_fail(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
	return is_to_fail() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	return is_to_fail() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	return is_to_fail() ? NULL : __real_aligned_alloc(align, bytes);
}

static int setup(void **state)
{
	struct bed *b = aligned_alloc(64, sizeof(*b));
	struct tp_resolver_conf conf = {
		.ops = &fake_ops,
		.ifindexes = fake_ifindexes,
		.n_ifindexes = FAKE_LINKS,
	};

	assert_non_null(b);
	memset(b, 0, sizeof(*b));
	fake_init(&b->kernel);
	assert_int_equal(tp_grace_new(1, &b->grace), 0);
	conf.ctx = &b->kernel;
	conf.grace = b->grace;
	assert_int_equal(tp_resolver_new(&conf, &b->r), 0);
	b->now_ns = 1000 * TP_NS_PER_SEC;
	assert_false(tp_resolver_tick(b->r, b->now_ns));
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;
	uint32_t i;

	for (i = 0; i < 4; i++) {
		if (b->resolved[i] != NULL)
			tp_resolver_unbind(b->r, b->resolved[i]);
	}
	tp_resolver_free(b->r);
	tp_grace_free(b->grace);
	free(b);
	return 0;
}

static bool tick_after(struct bed *b, uint64_t ms)
{
	b->now_ns += ms * TP_NS_PER_MS;
	return tp_resolver_tick(b->r, b->now_ns);
}

static void bind_to(struct bed *b, uint32_t i, const char *dst)
{
	struct tp_addr to = fake_ip(dst),
		       from = fake_ip(to.family == TP_IPV4 ? SRC : "2001:db8::1");

	assert_int_equal(tp_resolver_bind(b->r, &b->flow[i], &from, &to, &b->resolved[i]), 0);
}

static void unbind(struct bed *b, uint32_t i)
{
	tp_resolver_unbind(b->r, b->resolved[i]);
	b->resolved[i] = NULL;
}

static const struct tp_next_hop *next_hop(struct bed *b, uint32_t i)
{
	return atomic_load(&b->flow[i].next_hop);
}

/* The kernel learns something, and says so. */
static void neigh_event(
		struct bed *b, unsigned int ifindex, const char *text, struct tp_nl_neigh neigh)
{
	struct tp_addr ip = fake_ip(text);

	fake_neigh(&b->kernel, ifindex, text, neigh);
	tp_resolver_events.on_neigh(b->r, ifindex, &ip, &neigh);
}

/* PEER by GATEWAY on interface A, all known. */
static void script_gateway(struct bed *b)
{
	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_A, GATEWAY));
	fake_neigh(&b->kernel, FAKE_ETH_A, GATEWAY, fake_mac(1));
}

static void known_route_and_neighbour_resolve_at_once(void **state)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0 };
	struct bed *b = *state;

	script_gateway(b);
	bind_to(b, 0, PEER);
	assert_non_null(next_hop(b, 0));
	assert_memory_equal(next_hop(b, 0)->l2, macs, sizeof(macs));
	assert_int_equal(next_hop(b, 0)->port, 0);
	assert_int_equal(next_hop(b, 0)->mtu, 1500);
	assert_int_equal(b->kernel.n_use, 0);
}

static void on_link_peer_and_ipv6_resolve_to_their_own_port(void **state)
{
	struct bed *b = *state;

	fake_route(&b->kernel, "2001:db8::7", 0, fake_via(FAKE_ETH_B, "fe80::1"));
	fake_neigh(&b->kernel, FAKE_ETH_B, "fe80::1", fake_mac(9));
	bind_to(b, 0, "2001:db8::7");
	assert_non_null(next_hop(b, 0));
	assert_int_equal(next_hop(b, 0)->port, 1);
	assert_int_equal(next_hop(b, 0)->l2[5], 9);
	assert_int_equal(next_hop(b, 0)->l2[11], 1);
}

static void unknown_neighbour_is_asked_for_and_resolved_by_event(void **state)
{
	struct bed *b = *state;
	struct tp_addr gateway = fake_ip(GATEWAY);

	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_A, GATEWAY));
	bind_to(b, 0, PEER);
	assert_null(next_hop(b, 0));
	assert_int_equal(b->kernel.n_use, 1);
	assert_true(tp_addr_equal(&b->kernel.used, &gateway));

	neigh_event(b, FAKE_ETH_B, GATEWAY, fake_mac(3)); /* the same address on another link */
	assert_null(next_hop(b, 0));
	neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(1));
	assert_non_null(next_hop(b, 0));
	assert_int_equal(next_hop(b, 0)->l2[5], 1);
}

static void unknown_neighbour_is_asked_for_again_with_backoff(void **state)
{
	static const uint32_t want[] = { 1, 2, 2, 3, 3, 3, 3, 4 }; /* after 0, 1, .. 7 seconds */
	struct bed *b = *state;
	size_t i;

	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_A, GATEWAY));
	bind_to(b, 0, PEER);
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		if (i > 0)
			tick_after(b, 1000);
		assert_int_equal(b->kernel.n_use, want[i]);
	}
	unbind(b, 0);
	tick_after(b, 100000);
	assert_int_equal(b->kernel.n_use, 4);
}

static void new_mac_is_a_new_object_and_the_old_one_outlives_its_readers(void **state)
{
	struct bed *b = *state;
	const struct tp_next_hop *old;

	script_gateway(b);
	bind_to(b, 0, PEER);
	tp_grace_reader_register(b->grace, READER);
	tp_grace_online(b->grace, READER);
	old = next_hop(b, 0);

	neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(2));
	assert_ptr_not_equal(next_hop(b, 0), old);
	assert_int_equal(next_hop(b, 0)->l2[5], 2);
	assert_int_equal(tp_grace_reclaim(b->grace), 1);
	assert_int_equal(old->l2[5], 1);

	tp_grace_quiescent(b->grace, READER);
	assert_int_equal(tp_grace_reclaim(b->grace), 0);
	tp_grace_offline(b->grace, READER);
	tp_grace_reader_unregister(b->grace, READER);
}

static void confirmation_of_what_is_known_changes_nothing(void **state)
{
	struct bed *b = *state;
	const struct tp_next_hop *old;

	script_gateway(b);
	bind_to(b, 0, PEER);
	old = next_hop(b, 0);
	neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(1));
	tp_resolver_events.on_link(b->r, &b->kernel.links[0], false);
	tp_resolver_events.on_route(b->r);
	tick_after(b, 1000);
	assert_ptr_equal(next_hop(b, 0), old);
}

static void failed_neighbour_leaves_the_flow_to_the_kernel_and_is_retried(void **state)
{
	struct bed *b = *state;

	script_gateway(b);
	bind_to(b, 0, PEER);
	neigh_event(b, FAKE_ETH_A, GATEWAY, (struct tp_nl_neigh){ .is_valid = false });
	assert_null(next_hop(b, 0));
	tick_after(b, 1);
	assert_int_equal(b->kernel.n_use, 1);
	tick_after(b, 1);
	assert_int_equal(b->kernel.n_use, 1);
	neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(1));
	assert_non_null(next_hop(b, 0));
}

static void link_without_carrier_carries_nothing_until_it_is_back(void **state)
{
	struct bed *b = *state;
	struct tp_nl_link *link = &b->kernel.links[0];

	script_gateway(b);
	fake_route(&b->kernel, "203.0.113.9", 0, fake_via(FAKE_ETH_B, GATEWAY));
	fake_neigh(&b->kernel, FAKE_ETH_B, GATEWAY, fake_mac(4));
	bind_to(b, 0, PEER);
	bind_to(b, 1, "203.0.113.9");

	link->is_up = false;
	tp_resolver_events.on_link(b->r, link, false);
	assert_null(next_hop(b, 0));
	assert_non_null(next_hop(b, 1));

	link->is_up = true;
	link->mtu = 9000;
	link->mac[5] = 0x77;
	tp_resolver_events.on_link(b->r, link, false);
	assert_non_null(next_hop(b, 0));
	assert_int_equal(next_hop(b, 0)->mtu, 9000);
	assert_int_equal(next_hop(b, 0)->l2[11], 0x77);

	tp_resolver_events.on_link(b->r, link, true);
	assert_null(next_hop(b, 0));
}

static void neighbours_are_left_alone_while_the_link_is_down(void **state)
{
	struct bed *b = *state;
	struct tp_nl_link *link = &b->kernel.links[0];
	uint32_t i;

	link->is_up = false;
	tp_resolver_events.on_link(b->r, link, false);
	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_A, GATEWAY));
	bind_to(b, 0, PEER);
	tick_after(b, 5000);
	assert_int_equal(b->kernel.n_use, 0);
	link->is_up = true;
	tp_resolver_events.on_link(b->r, link, false);
	for (i = 0; i < 15; i++)
		tick_after(b, 1000);
	assert_int_equal(b->kernel.n_use, 4);

	link->is_up = false;
	tp_resolver_events.on_link(b->r, link, false);
	link->is_up = true;
	tp_resolver_events.on_link(b->r, link, false);
	tick_after(b, 1); /* whatever there was to wait for, the link is another one now */
	assert_int_equal(b->kernel.n_use, 5);
}

static void route_change_moves_flows_to_another_interface_on_tick(void **state)
{
	struct bed *b = *state;
	uint32_t asked;

	script_gateway(b);
	fake_neigh(&b->kernel, FAKE_ETH_B, "192.0.2.253", fake_mac(5));
	bind_to(b, 0, PEER);
	bind_to(b, 1, PEER);

	tick_after(b, 1000);
	asked = b->kernel.n_get_route;
	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_B, "192.0.2.253"));
	tp_resolver_events.on_route(b->r);
	tp_resolver_events.on_route(b->r);
	assert_int_equal(b->kernel.n_get_route, asked);
	tick_after(b, 1);
	assert_int_equal(b->kernel.n_get_route, asked + 1);
	assert_int_equal(next_hop(b, 0)->port, 1);
	assert_int_equal(next_hop(b, 0)->l2[5], 5);
	assert_ptr_equal(next_hop(b, 1), next_hop(b, 0));

	tick_after(b, 1000);
	assert_int_equal(b->kernel.n_get_route, asked + 1);

	/* Nobody needs the old gateway: what becomes of it is of no interest. */
	neigh_event(b, FAKE_ETH_A, GATEWAY, (struct tp_nl_neigh){ .is_valid = false });
	tick_after(b, 10000);
	assert_int_equal(b->kernel.n_use, 0);
}

static void vanished_route_leaves_the_flow_to_the_kernel_until_there_is_one(void **state)
{
	struct bed *b = *state;

	script_gateway(b);
	bind_to(b, 0, PEER);
	fake_route(&b->kernel, PEER, -ENETUNREACH, fake_via(FAKE_ETH_A, GATEWAY));
	tp_resolver_events.on_route(b->r);
	tick_after(b, 1000);
	assert_null(next_hop(b, 0));
	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_A, GATEWAY));
	tp_resolver_events.on_route(b->r);
	tick_after(b, 1000);
	assert_non_null(next_hop(b, 0));
}

static void route_changes_in_quick_succession_are_taken_together(void **state)
{
	struct bed *b = *state;
	uint32_t i, asked;

	script_gateway(b);
	bind_to(b, 0, PEER);
	tick_after(b, 1000);
	asked = b->kernel.n_get_route;
	for (i = 0; i < 100; i++) { /* 10 ms apart: 1 second */
		tp_resolver_events.on_route(b->r);
		tick_after(b, 10);
	}
	assert_in_range(b->kernel.n_get_route - asked, 4, 6);
	asked = b->kernel.n_get_route;
	tick_after(b, 1000); /* the last change is not lost */
	assert_int_equal(b->kernel.n_get_route, asked + 1);
}

static void a_link_that_changes_has_routes_asked_again(void **state)
{
	struct bed *b = *state;

	script_gateway(b);
	fake_neigh(&b->kernel, FAKE_ETH_B, GATEWAY, fake_mac(4));
	bind_to(b, 0, PEER);
	tick_after(b, 1000);
	b->kernel.links[0].is_up = false;
	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_B, GATEWAY)); /* without an event */
	tp_resolver_events.on_link(b->r, &b->kernel.links[0], false);
	assert_null(next_hop(b, 0));
	assert_false(tick_after(b, 1));
	assert_non_null(next_hop(b, 0));
	assert_int_equal(next_hop(b, 0)->port, 1);
	tp_resolver_events.on_link(b->r, &b->kernel.links[0], false);
	assert_true(tick_after(b, 1)); /* too soon: not done, and not left to the next second */
	assert_false(tick_after(b, 200));
}

static void routes_are_refreshed_without_an_event(void **state)
{
	struct bed *b = *state;
	struct tp_nl_route route = fake_via(FAKE_ETH_A, GATEWAY);

	script_gateway(b);
	bind_to(b, 0, PEER);
	route.mtu = 1300; /* learned from an ICMP error */
	fake_route(&b->kernel, PEER, 0, route);
	tick_after(b, 30000);
	assert_int_equal(next_hop(b, 0)->mtu, 1500);
	tick_after(b, 31000);
	assert_int_equal(next_hop(b, 0)->mtu, 1300);
}

static void after_an_overflow_everything_is_asked_again(void **state)
{
	struct bed *b = *state;

	script_gateway(b);
	fake_route(&b->kernel, "203.0.113.9", 0, fake_via(FAKE_ETH_A, "203.0.113.9"));
	fake_neigh(&b->kernel, FAKE_ETH_A, "203.0.113.9", fake_mac(8));
	bind_to(b, 0, PEER);
	bind_to(b, 1, "203.0.113.9");
	tick_after(b, 1000);

	b->kernel.links[0].mtu = 1400;
	fake_neigh(&b->kernel, FAKE_ETH_A, GATEWAY, fake_mac(2));
	fake_route(&b->kernel, "203.0.113.9", -EHOSTUNREACH, fake_via(FAKE_ETH_A, GATEWAY));
	tick_after(b, 1000);
	assert_int_equal(next_hop(b, 0)->l2[5], 1);

	tp_resolver_events.on_overflow(b->r);
	tick_after(b, 1000);
	assert_int_equal(next_hop(b, 0)->l2[5], 2);
	assert_int_equal(next_hop(b, 0)->mtu, 1400);
	assert_null(next_hop(b, 1));
}

static void kernel_that_does_not_answer_changes_nothing_and_is_asked_later(void **state)
{
	struct bed *b = *state;
	uint32_t asked;

	script_gateway(b);
	fake_route(&b->kernel, "203.0.113.9", 0, fake_via(FAKE_ETH_A, GATEWAY));
	bind_to(b, 0, PEER);
	tick_after(b, 1000);

	b->kernel.is_silent = true;
	bind_to(b, 1, "203.0.113.9");
	assert_null(next_hop(b, 1));
	tp_resolver_events.on_overflow(b->r);
	asked = b->kernel.n_get_route + b->kernel.n_get_neigh + b->kernel.n_get_link;
	assert_false(tick_after(b, 1000));
	assert_in_range(b->kernel.n_get_route + b->kernel.n_get_neigh + b->kernel.n_get_link, asked,
			asked + 3);
	assert_non_null(next_hop(b, 0));

	b->kernel.is_silent = false;
	tick_after(b, 1000);
	assert_non_null(next_hop(b, 0));
	assert_ptr_equal(next_hop(b, 1), next_hop(b, 0));
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

	script_gateway(b);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("# %s\n", cases[i].what);
		answer = cases[i].answer;
		answer.gateway = fake_ip(GATEWAY);
		fake_route(&b->kernel, PEER, cases[i].rc, answer);
		bind_to(b, 0, PEER);
		assert_null(next_hop(b, 0));
		assert_int_equal(b->kernel.n_get_neigh + b->kernel.n_use, 0);
		unbind(b, 0);
	}
}

static void link_that_is_no_ethernet_carries_nothing(void **state)
{
	struct bed *b = *state;

	script_gateway(b);
	bind_to(b, 0, PEER);
	b->kernel.links[0].is_ethernet = false;
	tp_resolver_events.on_link(b->r, &b->kernel.links[0], false);
	assert_null(next_hop(b, 0));
}

/* The kernel learns a path's MTU from an ICMP error without an event: who heard it too says so. */
static void what_is_in_doubt_is_asked_at_the_next_tick(void **state)
{
	struct bed *b = *state;
	struct tp_nl_route route = fake_via(FAKE_ETH_A, GATEWAY);
	struct tp_addr src = fake_ip(SRC), peer = fake_ip(PEER), other = fake_ip("198.51.100.8");
	uint32_t n_asked;

	script_gateway(b);
	bind_to(b, 0, PEER);
	tick_after(b, 1000);
	n_asked = b->kernel.n_get_route;
	route.mtu = 1300;
	fake_route(&b->kernel, PEER, 0, route);
	assert_false(tp_resolver_doubt(b->r, &src, &other));
	assert_false(tp_resolver_doubt(b->r, &peer, &src));
	assert_false(tick_after(b, 10));
	assert_int_equal(b->kernel.n_get_route, n_asked);
	peer.port = 9; /* makes no difference */
	assert_true(tp_resolver_doubt(b->r, &src, &peer));
	assert_true(tp_resolver_doubt(b->r, &src, &peer));
	assert_int_equal(next_hop(b, 0)->mtu, 1500);
	assert_false(tick_after(b, 10));
	assert_int_equal(next_hop(b, 0)->mtu, 1300);
	assert_int_equal(b->kernel.n_get_route, n_asked + 1);
}

static void mtu_is_the_smaller_of_route_and_link(void **state)
{
	struct bed *b = *state;
	struct tp_nl_route small = fake_via(FAKE_ETH_A, GATEWAY), large = small;

	script_gateway(b);
	small.mtu = 1280;
	large.mtu = 70000;
	fake_route(&b->kernel, "203.0.113.1", 0, small);
	fake_route(&b->kernel, "203.0.113.2", 0, large);
	bind_to(b, 0, PEER);
	bind_to(b, 1, "203.0.113.1");
	bind_to(b, 2, "203.0.113.2");
	assert_int_equal(next_hop(b, 0)->mtu, 1500);
	assert_int_equal(next_hop(b, 1)->mtu, 1280);
	assert_int_equal(next_hop(b, 2)->mtu, 1500);
	assert_int_equal(b->kernel.n_get_neigh, 1);

	b->kernel.links[0].mtu = 100000;
	tp_resolver_events.on_link(b->r, &b->kernel.links[0], false);
	assert_int_equal(next_hop(b, 0)->mtu, 65535);
	assert_int_equal(next_hop(b, 1)->mtu, 1280);
	neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(6));
	assert_int_equal(next_hop(b, 0)->l2[5], 6);
	assert_int_equal(next_hop(b, 1)->l2[5], 6);
	assert_int_equal(next_hop(b, 2)->l2[5], 6);
}

static void flows_share_route_neighbour_and_next_hop(void **state)
{
	struct bed *b = *state;
	uint32_t asked = b->kernel.n_get_route;

	script_gateway(b);
	fake_route(&b->kernel, "203.0.113.9", 0, fake_via(FAKE_ETH_A, GATEWAY));
	bind_to(b, 0, PEER);
	bind_to(b, 1, PEER);
	bind_to(b, 2, "203.0.113.9");
	assert_int_equal(b->kernel.n_get_route, asked + 2);
	assert_int_equal(b->kernel.n_get_neigh, 1);
	assert_ptr_equal(next_hop(b, 0), next_hop(b, 1));
	assert_ptr_equal(next_hop(b, 0), next_hop(b, 2));
}

static void ports_play_no_part(void **state)
{
	struct bed *b = *state;
	struct tp_addr src = fake_ip(SRC), dst = fake_ip(PEER);

	script_gateway(b);
	bind_to(b, 0, PEER);
	src.port = 3478;
	dst.port = 40000;
	assert_int_equal(tp_resolver_bind(b->r, &b->flow[1], &src, &dst, &b->resolved[1]), 0);
	assert_int_equal(b->kernel.n_get_route, 1);
	assert_ptr_equal(next_hop(b, 0), next_hop(b, 1));
}

static void last_flow_takes_everything_with_it(void **state)
{
	struct bed *b = *state;

	script_gateway(b);
	bind_to(b, 0, PEER);
	bind_to(b, 1, PEER);
	tp_grace_reader_register(b->grace, READER);
	tp_grace_online(b->grace, READER);

	unbind(b, 0);
	assert_null(next_hop(b, 0));
	assert_non_null(next_hop(b, 1));
	assert_int_equal(tp_grace_reclaim(b->grace), 0);
	unbind(b, 1);
	assert_null(next_hop(b, 1));
	assert_int_equal(tp_grace_reclaim(b->grace), 1); /* the next hop waits for the reader */

	tp_grace_offline(b->grace, READER);
	tp_grace_reader_unregister(b->grace, READER);
	assert_int_equal(tp_grace_reclaim(b->grace), 0);
	bind_to(b, 0, PEER); /* nothing was left: asked anew */
	assert_int_equal(b->kernel.n_get_route, 2);
	assert_int_equal(b->kernel.n_get_neigh, 2);
}

static void stale_neighbour_in_use_is_confirmed_every_few_seconds(void **state)
{
	struct bed *b = *state;
	struct tp_nl_neigh stale = fake_mac(1);
	uint32_t i;

	script_gateway(b);
	bind_to(b, 0, PEER);
	tick_after(b, 1000);
	assert_int_equal(b->kernel.n_use, 0);

	stale.is_stale = true;
	neigh_event(b, FAKE_ETH_A, GATEWAY, stale);
	assert_non_null(next_hop(b, 0));
	assert_int_equal(b->kernel.n_use, 0);
	for (i = 0; i < 15; i++)
		tick_after(b, 1000);
	assert_int_equal(b->kernel.n_use, 3);
	neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(1));
	tick_after(b, 20000);
	assert_int_equal(b->kernel.n_use, 3);
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
	tick_after(b, 1000);

	b->kernel.other_routes = &after;
	tp_resolver_events.on_route(b->r);
	do {
		asked = b->kernel.n_get_route;
		is_more = tick_after(b, 1);
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

static void bind_without_memory_fails_cleanly_or_resolves_later(void **state)
{
	struct bed *b = *state;
	struct tp_addr src = fake_ip(SRC), dst = fake_ip(PEER);
	uint32_t n;
	int rc;

	script_gateway(b);
	for (n = 1;; n++) {
		fail_at = n;
		rc = tp_resolver_bind(b->r, &b->flow[0], &src, &dst, &b->resolved[0]);
		if (rc == 0 && fail_at > 0)
			break; /* every allocation has failed once */
		fail_at = 0;
		if (rc == 0) {
			/* Only the next hop was missing. */
			assert_null(next_hop(b, 0));
			tick_after(b, 1000);
			assert_non_null(next_hop(b, 0));
			unbind(b, 0);
		} else {
			assert_int_equal(rc, -ENOMEM);
			assert_null(b->resolved[0]);
			assert_null(next_hop(b, 0));
		}
	}
	fail_at = 0;
	assert_int_equal(n, 1 + 5); /* binding, route, neighbour, hop, next hop */
	assert_non_null(next_hop(b, 0));
}

static void change_without_memory_leaves_the_flow_to_the_kernel_and_is_made_up_for(void **state)
{
	struct bed *b = *state;

	script_gateway(b);
	bind_to(b, 0, PEER);
	fail_at = 1;
	neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(2));
	assert_null(next_hop(b, 0));
	tick_after(b, 1000);
	assert_int_equal(next_hop(b, 0)->l2[5], 2);

	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_B, GATEWAY));
	fake_neigh(&b->kernel, FAKE_ETH_B, GATEWAY, fake_mac(3));
	tp_resolver_events.on_route(b->r);
	fail_at = 1;
	assert_false(tick_after(b, 1000));
	assert_int_equal(fail_at, 0);
	assert_null(next_hop(b, 0));
	tick_after(b, 1000);
	assert_int_equal(next_hop(b, 0)->l2[5], 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(known_route_and_neighbour_resolve_at_once),
		T(on_link_peer_and_ipv6_resolve_to_their_own_port),
		T(unknown_neighbour_is_asked_for_and_resolved_by_event),
		T(unknown_neighbour_is_asked_for_again_with_backoff),
		T(new_mac_is_a_new_object_and_the_old_one_outlives_its_readers),
		T(confirmation_of_what_is_known_changes_nothing),
		T(failed_neighbour_leaves_the_flow_to_the_kernel_and_is_retried),
		T(link_without_carrier_carries_nothing_until_it_is_back),
		T(neighbours_are_left_alone_while_the_link_is_down),
		T(route_change_moves_flows_to_another_interface_on_tick),
		T(vanished_route_leaves_the_flow_to_the_kernel_until_there_is_one),
		T(route_changes_in_quick_succession_are_taken_together),
		T(a_link_that_changes_has_routes_asked_again),
		T(routes_are_refreshed_without_an_event),
		T(after_an_overflow_everything_is_asked_again),
		T(kernel_that_does_not_answer_changes_nothing_and_is_asked_later),
		T(what_workers_can_not_send_is_left_to_the_kernel),
		T(link_that_is_no_ethernet_carries_nothing),
		T(what_is_in_doubt_is_asked_at_the_next_tick),
		T(mtu_is_the_smaller_of_route_and_link),
		T(flows_share_route_neighbour_and_next_hop),
		T(ports_play_no_part),
		T(last_flow_takes_everything_with_it),
		T(stale_neighbour_in_use_is_confirmed_every_few_seconds),
		T(re_resolution_is_bounded_per_tick_and_completes),
		T(bind_without_memory_fails_cleanly_or_resolves_later),
		T(change_without_memory_leaves_the_flow_to_the_kernel_and_is_made_up_for),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
