/* SPDX-License-Identifier: Apache-2.0 */
/* Which peers may be reached, and what a change of that ends (RFC 8656 sections 10, 12, 21.1.4). */
#include "turn_client.h"

static struct tp_turn_forbidden recheck(struct rig *r, uint32_t slice)
{
	struct tp_turn_forbidden ended = { 0 };

	rig_before(r);
	while (tp_turn_recheck(r->turn, slice, &ended))
		;
	return ended;
}

/* ---- reload ---- */

static void what_is_denied_by_a_reload_ends_at_once_and_the_rest_lives(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, "203.0.113.5", 1);
	const struct tp_addr relay = rig_allocate(r, &c);
	struct tp_turn_forbidden ended;

	assert_int_equal(rig_bind(r, &c, 0x4000, "198.51.100.7", 7), 0);
	assert_int_equal(rig_bind(r, &c, 0x4001, "198.51.100.7", 8), 0);
	assert_int_equal(rig_bind(r, &c, 0x4002, "198.51.101.7", 7), 0);
	assert_int_equal(rig_permit(r, &c, "198.51.100.9"), 0);
	assert_int_equal(rig_counts(r).permissions, 3);

	r->deny[0] = rig_prefix("198.51.100.0/24");
	assert_int_equal(tp_turn_reload(r->turn, &r->conf), 0);
	ended = recheck(r, 1);
	assert_int_equal(ended.channels, 2);
	assert_int_equal(ended.permissions, 2);
	assert_int_equal(r->n_cleared, 2); /* the workers were told */
	assert_int_equal(rig_counts(r).permissions, 1);
	assert_int_equal(rig_counts(r).channels, 1);
	assert_int_equal(rig_counts(r).allocations, 1);
	assert_int_equal(rig_from_peer(r, &relay, "198.51.100.7", 7, "x"), TP_SLOW_DROP_NO_PERM);
	assert_int_equal(rig_from_peer(r, &relay, "198.51.101.7", 7, "x"), TP_SLOW_RELAYED);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_DROP_NO_CHANNEL);
	assert_int_equal(rig_bind(r, &c, 0x4000, "198.51.100.7", 7), 403);
	assert_int_equal(rig_permit(r, &c, "198.51.100.9"), 403);

	/* Nothing more to end; and what is allowed again can be had again. */
	ended = recheck(r, 100);
	assert_int_equal(ended.channels + ended.permissions, 0);
	r->deny[0] = rig_prefix("127.0.0.0/8");
	assert_int_equal(tp_turn_reload(r->turn, &r->conf), 0);
	ended = recheck(r, 100);
	assert_int_equal(ended.channels + ended.permissions, 0);
	assert_int_equal(rig_bind(r, &c, 0x4000, "198.51.100.7", 7), 0);
}

/* A channel outlives the force of its permission: it still sends, so it must be looked at. */
static void a_channel_without_a_permission_in_force_is_ended_too(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, "203.0.113.5", 1);
	struct tp_turn_forbidden ended;

	rig_allocate(r, &c);
	assert_int_equal(rig_bind(r, &c, 0x4000, "198.51.100.7", 7), 0);
	rig_sleep(r, TP_TURN_PERMISSION_SEC + 1);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(rig_counts(r).permissions, 0);
	assert_int_equal(rig_counts(r).channels, 1);
	r->deny[0] = rig_prefix("198.51.100.0/24");
	assert_int_equal(tp_turn_reload(r->turn, &r->conf), 0);
	ended = recheck(r, 100);
	assert_int_equal(ended.channels, 1);
	assert_int_equal(ended.permissions, 0);
	assert_int_equal(rig_counts(r).channels, 0);
}

static void a_recheck_in_slices_sees_every_allocation(void **state)
{
	struct rig *r = *state;
	struct tp_turn_forbidden ended = { 0 };
	uint32_t n_slices = 1;

	for (uint16_t i = 1; i <= 50; i++) {
		const struct rig_client c = rig_alice(r, "203.0.113.5", i);

		rig_allocate(r, &c);
		assert_int_equal(rig_bind(r, &c, 0x4000, "198.51.100.7", i), 0);
	}
	r->deny[0] = rig_prefix("198.51.100.0/24");
	assert_int_equal(tp_turn_reload(r->turn, &r->conf), 0);
	while (tp_turn_recheck(r->turn, 7, &ended)) {
		assert_int_equal(ended.channels, 7 * n_slices);
		n_slices++;
	}
	assert_int_equal(n_slices, 8);
	assert_int_equal(ended.channels, 50);
	assert_int_equal(ended.permissions, 50);
}

/* Nonces that were given out stay good, users come and go, limits move. */
static void users_and_limits_change_and_nonces_stay(void **state)
{
	struct rig *r = *state;
	const struct rig_client alice = rig_alice(r, "203.0.113.5", 1);
	const struct rig_client other = rig_alice(r, "203.0.113.5", 2);
	struct rig_client carol = rig_client_of("203.0.113.5", 3, "carol", "lewis");
	char name[] = "carol";
	struct tp_turn_user carol_only[1] = { rig_user(name, "lewis") };

	rig_learn(r, &carol);
	rig_allocate(r, &alice);
	assert_int_equal(rig_ask(r, &carol, TP_STUN_ALLOCATE, RIG_UDP), 401);

	r->conf.users = carol_only;
	r->conf.n_users = 1;
	r->conf.max_allocations = 2;
	memset(r->conf.nonce_key, 9, sizeof(r->conf.nonce_key)); /* not looked at */
	assert_int_equal(tp_turn_reload(r->turn, &r->conf), 0);
	assert_int_equal(rig_ask(r, &carol, TP_STUN_ALLOCATE, RIG_UDP), 0);
	assert_int_equal(rig_ask(r, &other, TP_STUN_ALLOCATE, RIG_UDP), 401);
	/* What is there runs out: who is no user any more can not refresh it. */
	assert_int_equal(rig_ask(r, &alice, TP_STUN_REFRESH, RIG_NONE), 401);
	carol.tuple.client.port = 4;
	rig_learn(r, &carol);
	assert_int_equal(rig_ask(r, &carol, TP_STUN_ALLOCATE, RIG_UDP), 508);
}

/* ---- this host ---- */

/* The relay's own addresses are peers on relayed ports alone, whatever the lists say. */
static void this_host_is_a_peer_on_relayed_ports_only(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, "203.0.113.5", 1);

	rig_allocate(r, &c);
	assert_int_equal(rig_bind(r, &c, 0x4000, RIG_RELAY4, RIG_PORT_MIN), 0);
	assert_int_equal(rig_bind(r, &c, 0x4001, RIG_RELAY4, RIG_PORT_MAX), 0);
	assert_int_equal(rig_bind(r, &c, 0x4002, RIG_RELAY4, RIG_PORT_MIN - 1), 403);
	assert_int_equal(rig_bind(r, &c, 0x4002, RIG_RELAY4, 22), 403);
	assert_int_equal(rig_bind(r, &c, 0x4002, "192.0.2.1", 3478), 403);
	assert_int_equal(rig_permit(r, &c, "192.0.2.1"), 403);
	assert_int_equal(rig_permit(r, &c, RIG_RELAY4), 0);
	/* A relay address stays one when a list denies its network. */
	r->deny[0] = rig_prefix("0.0.0.0/0");
	assert_int_equal(tp_turn_reload(r->turn, &r->conf), 0);
	assert_int_equal(recheck(r, 100).channels, 0);
	assert_int_equal(rig_bind(r, &c, 0x4002, RIG_RELAY4, RIG_PORT_MIN), 400); /* bound */
	assert_int_equal(rig_permit(r, &c, RIG_RELAY4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(what_is_denied_by_a_reload_ends_at_once_and_the_rest_lives),
		rig_test(a_channel_without_a_permission_in_force_is_ended_too),
		rig_test(a_recheck_in_slices_sees_every_allocation),
		rig_test(users_and_limits_change_and_nonces_stay),
		rig_test(this_host_is_a_peer_on_relayed_ports_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
