/* SPDX-License-Identifier: Apache-2.0 */
/* EVEN-PORT, and RESERVATION-TOKEN for the port that it keeps aside (RFC 8656 section 7.2). */
#include "turn_client.h"

#define TOKEN_OF(t)                                                           \
	{                                                                     \
		.type = TP_STUN_ATTR_RESERVATION_TOKEN, .len = 8, .data = (t) \
	}

/*
 * Section 7.2 check 8, R = 0: a server once kept the sibling of every even port aside, until there
 * were none.
 */
static void an_even_port_keeps_nothing_aside(void **state)
{
	struct rig *r = *state;
	uint32_t n_odd = 0;

	r->conf.port_max = RIG_PORT_MIN + 9;
	rig_restart(r);
	for (uint16_t i = 0; i < 10; i++) {
		const struct rig_client c = rig_numbered(r, i);

		if (i < 5) {
			assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_EVEN), 0);
			assert_false(tp_stun_has(&r->answer, TP_STUN_RESERVATION_TOKEN_AT));
		} else {
			rig_allocate(r, &c);
		}
		n_odd += rig_relayed(r, TP_IPV4).port % 2;
		assert_int_equal(rig_counts(r).reservations, 0);
	}
	assert_int_equal(n_odd, 5);
}

static void keep_token(const struct rig *r, uint8_t token[8])
{
	const struct tp_stun_value *v = &r->answer.attr[TP_STUN_RESERVATION_TOKEN_AT];

	assert_true(v->data != NULL && v->len == 8);
	memcpy(token, v->data, 8);
}

/* Section 7.2 checks 5 and 8, R = 1 */
static void a_token_opens_the_next_port_once(void **state)
{
	struct rig *r = *state;
	struct rig_client first = rig_numbered(r, 1), second = rig_alice(r, "2001:db8:7::7", 1),
			  third = rig_numbered(r, 3);
	struct tp_addr even;
	uint8_t token[8];

	assert_int_equal(rig_ask(r, &first, TP_STUN_ALLOCATE, RIG_UDP, RIG_EVEN_PAIR), 0);
	even = rig_relayed(r, TP_IPV4);
	assert_int_equal(even.port % 2, 0);
	keep_token(r, token);
	assert_false(r->is_open[0][even.port + 1]);
	assert_int_equal(rig_counts(r).reservations, 1);

	/* section 7.2: of any five-tuple, also another address family */
	rig_sleep(r, 29);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token)), 0);
	assert_int_equal(rig_relayed(r, TP_IPV4).port, even.port + 1);
	assert_int_equal(rig_counts(r).reservations, 0);
	assert_int_equal(rig_ask(r, &third, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token)),
			TP_STUN_INSUFFICIENT_CAPACITY);
}

/* Section 7.2: the next port is held for at least 30 seconds. */
static void a_token_lasts_thirty_seconds_and_gives_its_port_back(void **state)
{
	struct rig *r = *state;
	struct rig_client first = rig_numbered(r, 1), late = rig_numbered(r, 2),
			  other = rig_numbered(r, 3);
	uint8_t token[8];

	r->conf.port_max = RIG_PORT_MIN + 1;
	rig_restart(r);
	assert_int_equal(rig_ask(r, &first, TP_STUN_ALLOCATE, RIG_UDP, RIG_EVEN_PAIR), 0);
	keep_token(r, token);
	/* also when the allocation that made it is gone */
	assert_int_equal(rig_ask(r, &first, TP_STUN_REFRESH, RIG_DELETE), 0);
	assert_int_equal(rig_ask(r, &first, TP_STUN_ALLOCATE, RIG_UDP), 0);
	rig_sleep(r, 29);
	assert_int_equal(rig_ask(r, &other, TP_STUN_ALLOCATE, RIG_UDP),
			TP_STUN_INSUFFICIENT_CAPACITY);
	rig_sleep(r, 1);
	assert_int_equal(rig_ask(r, &late, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token)),
			TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_counts(r).reservations, 0);
	assert_int_equal(rig_ask(r, &other, TP_STUN_ALLOCATE, RIG_UDP), 0);
	assert_int_equal(rig_relayed(r, TP_IPV4).port, RIG_PORT_MIN + 1);
}

/* A refusal for another reason does not use it up. */
static void a_token_survives_a_refusal(void **state)
{
	struct rig *r = *state;
	struct rig_client first = rig_numbered(r, 1), second = rig_numbered(r, 2),
			  third = rig_numbered(r, 3);
	uint8_t token[8];

	r->conf.max_allocations = 2;
	rig_restart(r);
	rig_allocate(r, &third);
	assert_int_equal(rig_ask(r, &first, TP_STUN_ALLOCATE, RIG_UDP, RIG_EVEN_PAIR), 0);
	keep_token(r, token);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token)),
			TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_ask(r, &third, TP_STUN_REFRESH, RIG_DELETE), 0);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token),
					 RIG_LIFETIME("\0")),
			TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token)), 0);
}

/* Section 7.2 check 8 */
static void a_pair_that_can_not_be_had_is_508(void **state)
{
	struct rig *r = *state;
	const struct rig_client first = rig_numbered(r, 1), second = rig_numbered(r, 2);

	r->conf.port_max = RIG_PORT_MIN + 2;
	rig_restart(r);
	assert_int_equal(rig_ask(r, &first, TP_STUN_ALLOCATE, RIG_UDP, RIG_EVEN_PAIR), 0);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, RIG_EVEN_PAIR),
			TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, RIG_EVEN), 0);
	assert_int_equal(rig_relayed(r, TP_IPV4).port, RIG_PORT_MIN + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(an_even_port_keeps_nothing_aside),
		rig_test(a_token_opens_the_next_port_once),
		rig_test(a_token_lasts_thirty_seconds_and_gives_its_port_back),
		rig_test(a_token_survives_a_refusal),
		rig_test(a_pair_that_can_not_be_had_is_508),
	};

	return cmocka_run_group_tests_name("reservation", tests, NULL, NULL);
}
