/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbours: asked for while they are unknown, followed while they are in use. */
#include "resolver_rig.h"

static void unknown_neighbour_is_asked_for_and_resolved_by_event(void **state)
{
	struct bed *b = *state;
	struct tp_addr gateway = fake_ip(GATEWAY);

	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_A, GATEWAY));
	bed_bind_to(b, 0, PEER);
	assert_null(bed_next_hop(b, 0));
	assert_int_equal(b->kernel.n_use, 1);
	assert_true(tp_addr_equal(&b->kernel.used, &gateway));

	bed_neigh_event(b, FAKE_ETH_B, GATEWAY, fake_mac(3)); /* the same address on another link */
	assert_null(bed_next_hop(b, 0));
	bed_neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(1));
	assert_non_null(bed_next_hop(b, 0));
	assert_int_equal(bed_next_hop(b, 0)->l2[5], 1);
}

static void unknown_neighbour_is_asked_for_again_with_backoff(void **state)
{
	static const uint32_t want[] = { 1, 2, 2, 3, 3, 3, 3, 4 }; /* after 0, 1, .. 7 seconds */
	struct bed *b = *state;
	size_t i;

	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_A, GATEWAY));
	bed_bind_to(b, 0, PEER);
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		if (i > 0)
			bed_tick_after(b, 1000);
		assert_int_equal(b->kernel.n_use, want[i]);
	}
	bed_unbind(b, 0);
	bed_tick_after(b, 100000);
	assert_int_equal(b->kernel.n_use, 4);
}

static void new_mac_is_a_new_object_and_the_old_one_outlives_its_readers(void **state)
{
	struct bed *b = *state;
	const struct tp_next_hop *old;

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	tp_grace_reader_register(b->grace, READER);
	tp_grace_online(b->grace, READER);
	old = bed_next_hop(b, 0);

	bed_neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(2));
	assert_ptr_not_equal(bed_next_hop(b, 0), old);
	assert_int_equal(bed_next_hop(b, 0)->l2[5], 2);
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

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	old = bed_next_hop(b, 0);
	bed_neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(1));
	tp_resolver_events.on_link(b->r, &b->kernel.links[0], false);
	tp_resolver_events.on_route(b->r);
	bed_tick_after(b, 1000);
	assert_ptr_equal(bed_next_hop(b, 0), old);
}

static void failed_neighbour_leaves_the_flow_to_the_kernel_and_is_retried(void **state)
{
	struct bed *b = *state;

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	bed_neigh_event(b, FAKE_ETH_A, GATEWAY, (struct tp_nl_neigh){ .is_valid = false });
	assert_null(bed_next_hop(b, 0));
	bed_tick_after(b, 1);
	assert_int_equal(b->kernel.n_use, 1);
	bed_tick_after(b, 1);
	assert_int_equal(b->kernel.n_use, 1);
	bed_neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(1));
	assert_non_null(bed_next_hop(b, 0));
}

static void neighbours_are_left_alone_while_the_link_is_down(void **state)
{
	struct bed *b = *state;
	struct tp_nl_link *link = &b->kernel.links[0];
	uint32_t i;

	link->is_up = false;
	tp_resolver_events.on_link(b->r, link, false);
	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_A, GATEWAY));
	bed_bind_to(b, 0, PEER);
	bed_tick_after(b, 5000);
	assert_int_equal(b->kernel.n_use, 0);
	link->is_up = true;
	tp_resolver_events.on_link(b->r, link, false);
	for (i = 0; i < 15; i++)
		bed_tick_after(b, 1000);
	assert_int_equal(b->kernel.n_use, 4);

	link->is_up = false;
	tp_resolver_events.on_link(b->r, link, false);
	link->is_up = true;
	tp_resolver_events.on_link(b->r, link, false);
	bed_tick_after(b, 1); /* whatever there was to wait for, the link is another one now */
	assert_int_equal(b->kernel.n_use, 5);
}

static void stale_neighbour_in_use_is_confirmed_every_few_seconds(void **state)
{
	struct bed *b = *state;
	struct tp_nl_neigh stale = fake_mac(1);
	uint32_t i;

	bed_script_gateway(b);
	bed_bind_to(b, 0, PEER);
	bed_tick_after(b, 1000);
	assert_int_equal(b->kernel.n_use, 0);

	stale.is_stale = true;
	bed_neigh_event(b, FAKE_ETH_A, GATEWAY, stale);
	assert_non_null(bed_next_hop(b, 0));
	assert_int_equal(b->kernel.n_use, 0);
	for (i = 0; i < 15; i++)
		bed_tick_after(b, 1000);
	assert_int_equal(b->kernel.n_use, 3);
	bed_neigh_event(b, FAKE_ETH_A, GATEWAY, fake_mac(1));
	bed_tick_after(b, 20000);
	assert_int_equal(b->kernel.n_use, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		bed_test(unknown_neighbour_is_asked_for_and_resolved_by_event),
		bed_test(unknown_neighbour_is_asked_for_again_with_backoff),
		bed_test(new_mac_is_a_new_object_and_the_old_one_outlives_its_readers),
		bed_test(confirmation_of_what_is_known_changes_nothing),
		bed_test(failed_neighbour_leaves_the_flow_to_the_kernel_and_is_retried),
		bed_test(neighbours_are_left_alone_while_the_link_is_down),
		bed_test(stale_neighbour_in_use_is_confirmed_every_few_seconds),
	};

	return cmocka_run_group_tests_name("resolver_neigh", tests, NULL, NULL);
}
