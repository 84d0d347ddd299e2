/* SPDX-License-Identifier: Apache-2.0 */
#include "io/hops.h"

#include "base/clock.h"
#include "fake_kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define GATEWAY "192.0.2.254"
#define START_NS (1000 * TP_NS_PER_SEC)
#define VLAN_100 31 /* ifindex */

struct bed {
	struct fake_kernel kernel;
	struct tp_grace *grace;
	struct tp_hops *hops;
};

static uint32_t n_changes;

/* What on_vlan said last, by port. */
static bool has_vlan[FAKE_LINKS][4095];
static uint32_t n_vlan_calls;

static void note_vlan(void *ctx, uint16_t port, uint16_t vlan, bool is_up)
{
	assert_ptr_equal(ctx, &n_vlan_calls);
	has_vlan[port][vlan] = is_up;
	n_vlan_calls++;
}

static void count_change(const struct tp_hop *hop)
{
	(void)hop;
	n_changes++;
}

static int setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));
	struct tp_resolver_conf conf = {
		.ops = &fake_ops,
		.ifindexes = fake_ifindexes,
		.n_ifindexes = FAKE_LINKS,
		.on_vlan = note_vlan,
		.on_vlan_ctx = &n_vlan_calls,
	};

	assert_non_null(b);
	fake_init(&b->kernel);
	assert_int_equal(tp_grace_new(1, &b->grace), 0);
	conf.ctx = &b->kernel;
	conf.grace = b->grace;
	assert_int_equal(tp_hops_new(&conf, count_change, &b->hops), 0);
	assert_false(tp_hops_tick(b->hops, START_NS));
	n_changes = 0;
	memset(has_vlan, 0, sizeof(has_vlan));
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;

	tp_hops_free(b->hops);
	tp_grace_free(b->grace);
	free(b);
	return 0;
}

static struct tp_hop *hop_get(struct bed *b, struct tp_nl_route route)
{
	struct tp_hop *hop;

	assert_int_equal(tp_hops_get(b->hops, &route, &hop), 0);
	return hop;
}

static void hops_differ_by_gateway_interface_and_mtu(void **state)
{
	struct bed *b = *state;
	struct tp_nl_route route[4];
	struct tp_hop *hop[4];
	uint32_t i, j;

	route[0] = route[1] = fake_via(FAKE_ETH_A, GATEWAY);
	route[1].mtu = 1400;
	route[2] = fake_via(FAKE_ETH_A, "192.0.2.253");
	route[3] = fake_via(FAKE_ETH_B, GATEWAY);
	for (i = 0; i < 4; i++) {
		hop[i] = hop_get(b, route[i]);
		assert_non_null(hop[i]);
		for (j = 0; j < i; j++)
			assert_ptr_not_equal(hop[i], hop[j]);
	}
	assert_int_equal(b->kernel.n_get_neigh, 3);
	for (i = 0; i < 4; i++) {
		assert_ptr_equal(hop_get(b, route[i]), hop[i]);
		tp_hops_put(b->hops, hop[i]);
	}
}

static void only_a_real_change_is_told(void **state)
{
	struct bed *b = *state;
	struct tp_hop *hop = hop_get(b, fake_via(FAKE_ETH_A, GATEWAY));
	struct tp_addr ip = fake_ip(GATEWAY);
	struct tp_nl_neigh neigh = fake_mac(1);

	tp_hops_on_neigh(b->hops, FAKE_ETH_A, &ip, &neigh);
	assert_int_equal(n_changes, 1);
	neigh.is_stale = true;
	tp_hops_on_neigh(b->hops, FAKE_ETH_A, &ip, &neigh);
	tp_hops_on_link(b->hops, &b->kernel.links[0], false);
	tp_hops_on_link(b->hops, &b->kernel.links[1], true);
	assert_int_equal(n_changes, 1);
	neigh.mac[0] = 6;
	tp_hops_on_neigh(b->hops, FAKE_ETH_A, &ip, &neigh);
	assert_int_equal(n_changes, 2);
	tp_hops_on_link(b->hops, &b->kernel.links[0], true);
	assert_int_equal(n_changes, 3);
	assert_null(hop->nh);
	tp_hops_put(b->hops, hop);
}

static void refused_use_is_no_reason_to_give_up(void **state)
{
	struct bed *b = *state;
	struct tp_hop *hop;

	b->kernel.use_rc = -EPERM;
	hop = hop_get(b, fake_via(FAKE_ETH_A, GATEWAY));
	tp_hops_tick(b->hops, START_NS + TP_NS_PER_SEC);
	assert_int_equal(b->kernel.n_use, 2);
	tp_hops_put(b->hops, hop);
}

static void backoff_is_bounded(void **state)
{
	struct bed *b = *state;
	struct tp_hop *hop = hop_get(b, fake_via(FAKE_ETH_A, GATEWAY));
	uint64_t sec;
	uint32_t n;

	for (sec = 1; sec < 1000; sec++)
		tp_hops_tick(b->hops, START_NS + sec * TP_NS_PER_SEC);
	n = b->kernel.n_use;
	for (; sec < 1000 + 640; sec++)
		tp_hops_tick(b->hops, START_NS + sec * TP_NS_PER_SEC);
	assert_in_range(b->kernel.n_use - n, 9, 11); /* every 64 s */
	tp_hops_put(b->hops, hop);
}

static void neighbours_are_asked_again_in_bounded_portions(void **state)
{
	enum {
		N = 4500
	};
	struct bed *b = *state;
	struct tp_nl_route route = fake_via(FAKE_ETH_A, "10.0.0.0");
	struct tp_hop **hop = calloc(N, sizeof(struct tp_hop *));
	uint32_t i, asked, n_ticks = 0;
	bool is_more;

	assert_non_null(hop);
	for (i = 0; i < N; i++) {
		route.gateway.ip[2] = (uint8_t)(i >> 8);
		route.gateway.ip[3] = (uint8_t)i;
		hop[i] = hop_get(b, route);
	}
	assert_int_equal(b->kernel.n_get_neigh, N);
	tp_hops_on_overflow(b->hops);
	do {
		asked = b->kernel.n_get_neigh;
		is_more = tp_hops_tick(b->hops, START_NS);
		assert_in_range(b->kernel.n_get_neigh - asked, 1, 2000);
		n_ticks++;
	} while (is_more);
	assert_int_equal(n_ticks, 3);
	assert_int_equal(b->kernel.n_get_neigh, 2 * N);
	for (i = 0; i < N; i++)
		tp_hops_put(b->hops, hop[i]);
	free(hop);
}

static void unknown_interface_is_down_until_it_appears(void **state)
{
	struct bed *b = *state;
	struct tp_nl_link link = b->kernel.links[1];
	struct tp_hop *hop;

	fake_neigh(&b->kernel, FAKE_ETH_B, GATEWAY, fake_mac(1));
	b->kernel.links[1].ifindex = 0;
	tp_hops_on_overflow(b->hops);
	tp_hops_tick(b->hops, START_NS);
	hop = hop_get(b, fake_via(FAKE_ETH_B, GATEWAY));
	assert_null(hop->nh);
	tp_hops_on_link(b->hops, &link, false);
	assert_non_null(hop->nh);
	tp_hops_put(b->hops, hop);
}

static void listing_is_read_again(struct bed *b)
{
	tp_hops_on_overflow(b->hops);
	tp_hops_tick(b->hops, START_NS);
}

static void vlan_leaves_by_the_interface_below_with_its_own_tag_mac_and_mtu(void **state)
{
	static const uint8_t want[] = { 2, 0, 0, 0, 0, 7, 2, 2, 0, 0, 0, VLAN_100, 0x81, 0, 0x0f,
		0xfe };
	struct bed *b = *state;
	struct tp_hop *hop;

	fake_vlan(&b->kernel, VLAN_100, FAKE_ETH_B, 4094);
	listing_is_read_again(b);
	assert_true(has_vlan[1][4094]);
	assert_false(has_vlan[0][4094]);
	fake_neigh(&b->kernel, VLAN_100, GATEWAY, fake_mac(7));
	hop = hop_get(b, fake_via(VLAN_100, GATEWAY));
	assert_non_null(hop->nh);
	assert_int_equal(hop->nh->l2_len, TP_L2_TAGGED);
	assert_memory_equal(hop->nh->l2, want, sizeof(want));
	assert_int_equal(hop->nh->port, 1);
	assert_int_equal(hop->nh->mtu, 1400);
	tp_hops_put(b->hops, hop);

	fake_neigh(&b->kernel, FAKE_ETH_B, GATEWAY, fake_mac(8));
	hop = hop_get(b, fake_via(FAKE_ETH_B, GATEWAY));
	assert_int_equal(hop->nh->l2_len, TP_L2_UNTAGGED);
	assert_int_equal(hop->nh->mtu, 1500);
	tp_hops_put(b->hops, hop);
}

static void vlan_needs_both_its_interfaces(void **state)
{
	struct bed *b = *state;
	struct tp_nl_link *vlan = fake_vlan(&b->kernel, VLAN_100, FAKE_ETH_A, 100);
	struct tp_nl_link *below = &b->kernel.links[0];
	struct tp_hop *hop;

	fake_neigh(&b->kernel, VLAN_100, GATEWAY, fake_mac(7));
	tp_hops_on_link(b->hops, vlan, false);
	assert_true(has_vlan[0][100]);
	hop = hop_get(b, fake_via(VLAN_100, GATEWAY));
	assert_non_null(hop->nh);

	vlan->is_up = false;
	tp_hops_on_link(b->hops, vlan, false);
	assert_null(hop->nh);
	assert_false(has_vlan[0][100]);
	vlan->is_up = true;
	tp_hops_on_link(b->hops, vlan, false);
	assert_non_null(hop->nh);
	assert_true(has_vlan[0][100]);

	below->is_up = false;
	tp_hops_on_link(b->hops, below, false);
	assert_null(hop->nh);
	assert_false(has_vlan[0][100]);
	below->is_up = true;
	tp_hops_on_link(b->hops, below, false);
	assert_non_null(hop->nh);
	assert_true(has_vlan[0][100]);

	vlan->mac[5] = 0x77;
	vlan->mtu = 1300;
	tp_hops_on_link(b->hops, vlan, false);
	assert_int_equal(hop->nh->l2[11], 0x77);
	assert_int_equal(hop->nh->mtu, 1300);
	tp_hops_put(b->hops, hop);
}

static void vlan_that_goes_takes_its_hops_along_and_may_come_back(void **state)
{
	struct bed *b = *state;
	struct tp_nl_link *vlan = fake_vlan(&b->kernel, VLAN_100, FAKE_ETH_A, 100);
	struct tp_hop *hop;

	fake_neigh(&b->kernel, VLAN_100, GATEWAY, fake_mac(7));
	tp_hops_on_link(b->hops, vlan, false);
	hop = hop_get(b, fake_via(VLAN_100, GATEWAY));
	tp_hops_on_link(b->hops, vlan, true);
	assert_null(hop->nh);
	assert_false(has_vlan[0][100]);
	tp_hops_on_link(b->hops, vlan, true);
	tp_hops_tick(b->hops, START_NS);

	/* The same index, another VLAN of another interface. */
	vlan->vlan = 200;
	vlan->vlan_parent = FAKE_ETH_B;
	tp_hops_on_link(b->hops, vlan, false);
	assert_non_null(hop->nh);
	assert_int_equal(hop->nh->port, 1);
	assert_int_equal(hop->nh->l2[15], 200);
	assert_true(has_vlan[1][200]);

	/* At once, without a word about the end of the first; then no VLAN at all. */
	vlan->vlan = 300;
	tp_hops_on_link(b->hops, vlan, false);
	assert_int_equal(hop->nh->l2[15], 300 & 0xff);
	assert_true(has_vlan[1][300]);
	assert_false(has_vlan[1][200]);
	vlan->vlan = 0;
	vlan->vlan_parent = 0;
	tp_hops_on_link(b->hops, vlan, false);
	assert_null(hop->nh);
	assert_false(has_vlan[1][300]);
	tp_hops_put(b->hops, hop);

	tp_hops_on_link(b->hops, vlan, false);
	assert_int_equal(tp_hops_get(b->hops,
					 &(struct tp_nl_route){
							 .ifindex = VLAN_100, .is_unicast = true },
					 &hop),
			0);
	assert_null(hop); /* forgotten with its last hop */
}

static void what_is_not_listed_any_more_is_gone(void **state)
{
	struct bed *b = *state;
	struct tp_hop *hop[2];
	struct tp_nl_route route = fake_via(VLAN_100, GATEWAY);

	fake_vlan(&b->kernel, VLAN_100, FAKE_ETH_A, 100);
	fake_vlan(&b->kernel, VLAN_100 + 1, FAKE_ETH_A, 101);
	fake_neigh(&b->kernel, VLAN_100, GATEWAY, fake_mac(7));
	fake_neigh(&b->kernel, VLAN_100 + 1, GATEWAY, fake_mac(8));
	listing_is_read_again(b);
	hop[0] = hop_get(b, route);
	route.ifindex++;
	hop[1] = hop_get(b, route);
	assert_non_null(hop[1]->nh);
	b->kernel.n_vlans = 1;
	listing_is_read_again(b);
	assert_non_null(hop[0]->nh);
	assert_null(hop[1]->nh);
	assert_true(has_vlan[0][100]);
	assert_false(has_vlan[0][101]);

	b->kernel.is_silent = true; /* no answer is no reason to forget */
	b->kernel.n_vlans = 0;
	listing_is_read_again(b);
	assert_non_null(hop[0]->nh);
	tp_hops_put(b->hops, hop[0]);
	tp_hops_put(b->hops, hop[1]);
}

static void vlans_that_workers_can_not_serve_are_left_alone(void **state)
{
	static const struct {
		const char *what;
		unsigned int parent;
	} cases[] = {
		{ "of an interface that is not ours", 99 },
		{ "of a VLAN", VLAN_100 },
		{ "of itself", VLAN_100 + 1 },
	};
	struct bed *b = *state;
	struct tp_nl_route route = fake_via(VLAN_100 + 1, GATEWAY);
	struct tp_nl_link *vlan;
	struct tp_hop *hop;
	size_t i;

	fake_vlan(&b->kernel, VLAN_100, FAKE_ETH_A, 100);
	vlan = fake_vlan(&b->kernel, VLAN_100 + 1, 0, 5);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("# %s\n", cases[i].what);
		vlan->vlan_parent = cases[i].parent;
		tp_hops_on_link(b->hops, vlan, false);
		listing_is_read_again(b);
		assert_int_equal(tp_hops_get(b->hops, &route, &hop), 0);
		assert_null(hop);
		assert_false(has_vlan[0][5] || has_vlan[1][5]);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(hops_differ_by_gateway_interface_and_mtu),
		T(only_a_real_change_is_told),
		T(refused_use_is_no_reason_to_give_up),
		T(backoff_is_bounded),
		T(neighbours_are_asked_again_in_bounded_portions),
		T(unknown_interface_is_down_until_it_appears),
		T(vlan_leaves_by_the_interface_below_with_its_own_tag_mac_and_mtu),
		T(vlan_needs_both_its_interfaces),
		T(vlan_that_goes_takes_its_hops_along_and_may_come_back),
		T(what_is_not_listed_any_more_is_gone),
		T(vlans_that_workers_can_not_serve_are_left_alone),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
