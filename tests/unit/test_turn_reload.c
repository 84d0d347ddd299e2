/* SPDX-License-Identifier: Apache-2.0 */
/* What tp_turn_reload() changes for clients that are there already; test_reach.c has their peers.
 */
#include "turn_client.h"

#define CLIENT "198.51.100.7"

static void reload(struct rig *r)
{
	assert_int_equal(tp_turn_reload(r->turn, &r->conf), 0);
}

static uint16_t allocate(struct rig *r, const struct rig_client *c)
{
	return rig_ask(r, c, TP_STUN_ALLOCATE, RIG_UDP);
}

/* All that an allocation can be asked for; the error code that all have in common. */
static uint16_t ask_all(struct rig *r, const struct rig_client *c)
{
	uint16_t err = rig_ask(r, c, TP_STUN_REFRESH, RIG_NONE);

	assert_int_equal(rig_permit(r, c, "203.0.113.1"), err);
	assert_int_equal(rig_bind(r, c, 0x4000, "203.0.113.1", 1), err);
	return err;
}

/* ---- users: RFC 8489 section 9.2.4, the username is no longer valid ---- */

static void without(struct rig *r, enum tp_password_algorithm algorithm, bool is_hashed)
{
	struct rig_client alice = rig_alice(r, CLIENT, 1);
	struct rig_client bob = rig_client_of(CLIENT, 2, "bob", "builder");

	alice.algorithm = algorithm;
	alice.is_hashed = is_hashed;
	rig_learn(r, &bob);
	assert_int_equal(allocate(r, &alice), 0);
	assert_int_equal(allocate(r, &bob), 0);
	assert_int_equal(ask_all(r, &alice), 0);
	r->conf.users = &r->users[1];
	r->conf.n_users = 1;
	reload(r);
	assert_int_equal(ask_all(r, &alice), TP_STUN_UNAUTHENTICATED);
	assert_int_equal(ask_all(r, &bob), 0);
	/* it runs out, and is used until then */
	assert_int_equal(rig_channel_data(r, &alice, 0x4000, "x"), TP_SLOW_RELAYED);
	rig_sleep(r, TP_TURN_LIFETIME_SEC - 1);
	assert_int_equal(rig_counts(r).allocations, 2);
	assert_int_equal(ask_all(r, &bob), 0);
	rig_sleep(r, 1);
	assert_int_equal(ask_all(r, &bob), 0);
	assert_int_equal(rig_counts(r).allocations, 1);
	/* and who is back is let in again */
	r->conf.users = r->users;
	r->conf.n_users = 2;
	reload(r);
	assert_int_equal(allocate(r, &alice), 0);
	assert_int_equal(rig_ask(r, &alice, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	assert_int_equal(rig_ask(r, &bob, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
}

static void a_user_that_is_gone_has_no_use_of_its_allocation(void **state)
{
	struct rig *r = *state;

	without(r, 0, false);
	without(r, TP_ALGORITHM_SHA256, false);
	/* no secrets: no name is of the other kind */
	r->conf.n_secrets = 0;
	rig_restart(r);
	without(r, 0, false);
	without(r, TP_ALGORITHM_SHA256, true);
}

static void a_changed_password_is_the_one_that_counts(void **state)
{
	static char name[] = "alice";
	struct rig *r = *state;
	struct rig_client alice = rig_alice(r, CLIENT, 1);

	assert_int_equal(allocate(r, &alice), 0);
	r->users[0] = rig_user(name, "changed");
	reload(r);
	assert_int_equal(ask_all(r, &alice), TP_STUN_UNAUTHENTICATED);
	snprintf(alice.password, sizeof(alice.password), "changed");
	assert_int_equal(ask_all(r, &alice), 0);
	/* one of two keys is taken away */
	r->users[0].md5.len = 0;
	reload(r);
	assert_int_equal(ask_all(r, &alice), TP_STUN_UNAUTHENTICATED);
	alice.algorithm = TP_ALGORITHM_SHA256;
	assert_int_equal(ask_all(r, &alice), 0);
}

/* Time-limited names are not listed anywhere: what they have they keep, unless expiry is strict. */
static void a_dropped_secret_ends_no_allocation_but_all_secrets_do(void **state)
{
	struct rig *r = *state;
	struct rig_client carol = rig_client_of(CLIENT, 1, "", "");
	struct rig_client other = rig_client_of(CLIENT, 2, "", "");

	rig_use_secret(&carol, "1700000060:carol", RIG_SECRET_OLD);
	rig_use_secret(&other, "1700000060:carol", RIG_SECRET_OLD);
	rig_learn(r, &carol);
	rig_learn(r, &other);
	assert_int_equal(allocate(r, &carol), 0);
	r->conf.n_secrets = 1;
	reload(r);
	assert_int_equal(ask_all(r, &carol), 0);
	assert_int_equal(allocate(r, &other), TP_STUN_UNAUTHENTICATED);
	rig_sleep(r, 61);
	assert_int_equal(ask_all(r, &carol), 0);
	r->conf.n_secrets = 0;
	reload(r);
	rig_learn(r, &carol);
	assert_int_equal(ask_all(r, &carol), TP_STUN_UNAUTHENTICATED);
}

/* ---- redirect, default_family, mobility ---- */

static void new_allocations_go_where_the_new_list_says(void **state)
{
	static struct tp_addr list[1];
	struct rig *r = *state;
	const struct rig_client a = rig_alice(r, CLIENT, 1), b = rig_alice(r, CLIENT, 2);
	struct tp_addr told;

	assert_int_equal(allocate(r, &a), 0);
	list[0] = rig_addr("203.0.113.20", 3478);
	r->conf.alternates = list;
	r->conf.n_alternates = 1;
	r->conf.redirect = TP_TURN_REDIRECT_ALWAYS;
	reload(r);
	assert_int_equal(allocate(r, &b), TP_STUN_TRY_ALTERNATE);
	assert_int_equal(
			tp_stun_addr_value(&r->answer.attr[TP_STUN_ALTERNATE_SERVER_AT], &told), 0);
	assert_memory_equal(&told, &list[0], sizeof(told));
	assert_int_equal(ask_all(r, &a), 0);
	r->conf.redirect = TP_TURN_REDIRECT_DRAINING;
	reload(r);
	assert_int_equal(allocate(r, &b), 0);
	assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	/* it drains on, whatever is reloaded */
	tp_turn_drain(r->turn, true);
	reload(r);
	assert_int_equal(allocate(r, &b), TP_STUN_TRY_ALTERNATE);
	r->conf.n_alternates = 0;
	reload(r);
	assert_int_equal(allocate(r, &b), TP_STUN_INSUFFICIENT_CAPACITY);
}

static void the_default_family_is_that_of_the_last_reload(void **state)
{
	struct rig *r = *state;
	const struct rig_client a = rig_alice(r, "2001:db8:7::7", 1);
	const struct rig_client b = rig_alice(r, "2001:db8:7::7", 2);

	assert_int_equal(allocate(r, &a), 0);
	assert_int_equal(rig_relayed(r, TP_IPV6).family, 0);
	r->conf.default_is_listener = true;
	reload(r);
	assert_int_equal(allocate(r, &b), 0);
	assert_int_equal(rig_relayed(r, TP_IPV4).family, 0);
	assert_int_equal(rig_relayed(r, TP_IPV6).family, TP_IPV6);
}

/* RFC 8016: 405 from now on; a ticket that was given out is good on. */
static void mobility_comes_and_goes_but_tickets_stay(void **state)
{
	struct rig *r = *state;
	const struct rig_client a = rig_alice(r, CLIENT, 1), b = rig_alice(r, CLIENT, 2);
	const struct rig_client moved = rig_alice(r, "198.51.100.8", 3);
	uint8_t ticket[255];
	struct rig_attr attr = { .type = TP_STUN_ATTR_MOBILITY_TICKET, .data = ticket };

	assert_int_equal(rig_ask(r, &a, TP_STUN_ALLOCATE, RIG_UDP, RIG_RAW(MOBILITY_TICKET, "")),
			TP_STUN_MOBILITY_FORBIDDEN);
	r->conf.mobility = true;
	reload(r);
	assert_int_equal(
			rig_ask(r, &a, TP_STUN_ALLOCATE, RIG_UDP, RIG_RAW(MOBILITY_TICKET, "")), 0);
	attr.len = r->answer.attr[TP_STUN_MOBILITY_TICKET_AT].len;
	assert_in_range(attr.len, 1, sizeof(ticket));
	memcpy(ticket, r->answer.attr[TP_STUN_MOBILITY_TICKET_AT].data, attr.len);
	r->conf.mobility = false;
	reload(r);
	assert_int_equal(rig_ask(r, &b, TP_STUN_ALLOCATE, RIG_UDP, RIG_RAW(MOBILITY_TICKET, "")),
			TP_STUN_MOBILITY_FORBIDDEN);
	assert_int_equal(rig_ask(r, &moved, TP_STUN_REFRESH, attr), 0);
	assert_true(tp_stun_has(&r->answer, TP_STUN_MOBILITY_TICKET_AT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_user_that_is_gone_has_no_use_of_its_allocation),
		rig_test(a_changed_password_is_the_one_that_counts),
		rig_test(a_dropped_secret_ends_no_allocation_but_all_secrets_do),
		rig_test(new_allocations_go_where_the_new_list_says),
		rig_test(the_default_family_is_that_of_the_last_reload),
		rig_test(mobility_comes_and_goes_but_tickets_stay),
	};

	return cmocka_run_group_tests_name("turn_reload", tests, NULL, NULL);
}
