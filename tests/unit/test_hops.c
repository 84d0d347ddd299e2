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

struct bed {
	struct fake_kernel kernel;
	struct tp_grace *grace;
	struct tp_hops *hops;
};

static uint32_t n_changes;

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
	};

	assert_non_null(b);
	fake_init(&b->kernel);
	assert_int_equal(tp_grace_new(1, &b->grace), 0);
	conf.ctx = &b->kernel;
	conf.grace = b->grace;
	assert_int_equal(tp_hops_new(&conf, count_change, &b->hops), 0);
	assert_false(tp_hops_tick(b->hops, START_NS));
	n_changes = 0;
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
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
