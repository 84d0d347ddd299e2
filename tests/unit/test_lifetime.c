/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an allocation lives: what Allocate and Refresh make of LIFETIME (RFC 8656 sections 7.2
 * and 8.2).
 */
#include "turn_client.h"

#define CLIENT "198.51.100.7"

/* Section 7.2: max(default, min(asked, maximum)) */
static const struct {
	struct rig_attr asked;
	uint32_t allocate, refresh;
} lifetimes[] = {
	{ RIG_LIFETIME("\0\0\0\0"), 600, 0 },
	{ RIG_LIFETIME("\0\0\0\1"), 600, 600 },
	{ RIG_LIFETIME("\0\0\x02\x57"), 600, 600 },
	{ RIG_LIFETIME("\0\0\x02\x58"), 600, 600 },
	{ RIG_LIFETIME("\0\0\x02\x59"), 601, 601 },
	{ RIG_LIFETIME("\0\0\x0e\x0f"), 3599, 3599 },
	{ RIG_LIFETIME("\0\0\x0e\x10"), 3600, 3600 },
	{ RIG_LIFETIME("\0\0\x0e\x11"), 3600, 3600 },
	{ RIG_LIFETIME("\xff\xff\xff\xff"), 3600, 3600 },
};

static void a_lifetime_lies_between_default_and_maximum(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < N(lifetimes); i++) {
		struct rig_client c = rig_alice(r, CLIENT, 4711);

		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, lifetimes[i].asked), 0);
		assert_int_equal(rig_lifetime(r), lifetimes[i].allocate);
		assert_true(tp_turn_next_ns(r->turn) ==
				r->now.mono_ns + lifetimes[i].allocate * TP_NS_PER_SEC);
		rig_sleep(r, lifetimes[i].allocate - 1);
		tp_turn_expire(r->turn, r->now.mono_ns);
		assert_int_equal(rig_counts(r).allocations, 1);
		rig_sleep(r, 1);
		tp_turn_expire(r->turn, r->now.mono_ns);
		assert_int_equal(rig_counts(r).allocations, 0);
		assert_int_equal(r->why, TP_TURN_END_EXPIRED);
		assert_string_equal(r->user_ended, "alice");
	}
	assert_int_equal(r->n_ended, N(lifetimes));
}

/* Section 8.2 */
static void refresh_sets_the_lifetime_anew(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < N(lifetimes); i++) {
		struct rig_client c = rig_alice(r, CLIENT, 4711);

		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP,
						 RIG_LIFETIME("\xff\xff\xff\xff")),
				0);
		rig_sleep(r, 100);
		assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, lifetimes[i].asked), 0);
		assert_int_equal(rig_lifetime(r), lifetimes[i].refresh);
		assert_int_equal(rig_counts(r).allocations, lifetimes[i].refresh != 0);
		if (lifetimes[i].refresh != 0)
			assert_true(tp_turn_next_ns(r->turn) ==
					r->now.mono_ns + lifetimes[i].refresh * TP_NS_PER_SEC);
		else
			assert_int_equal(r->why, TP_TURN_END_DELETED);
		assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_DELETE),
				lifetimes[i].refresh == 0 ? TP_STUN_ALLOCATION_MISMATCH : 0);
	}
}

/* Section 8.2 */
static void refresh_without_lifetime_means_the_default(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	rig_allocate(r, &c);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
	assert_int_equal(rig_lifetime(r), TP_TURN_LIFETIME_SEC);
}

/* Section 8.2: 443 for a family that the allocation does not have. */
static void refresh_refuses_what_is_malformed(void **state)
{
	static const struct {
		const char *what;
		uint16_t want;
		struct rig_attr attrs[3];
	} cases[] = {
		{ "lifetime of five bytes", 400, { RIG_LIFETIME("\0\0\0\0\0") } },
		{ "family of one byte", 400,
				{ RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\1"), RIG_DELETE } },
		{ "family of the other kind", 443, { RIG_IPV6, RIG_DELETE } },
		{ "family unheard of", 443,
				{ RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\7\0\0\0"), RIG_DELETE } },
	};
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	rig_allocate(r, &c);
	for (size_t i = 0; i < N(cases); i++) {
		if (rig_request(r, &c, TP_STUN_REFRESH, cases[i].attrs) != cases[i].want)
			fail_msg("%s", cases[i].what);
		assert_int_equal(rig_counts(r).allocations, 1);
	}
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV4, RIG_DELETE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_lifetime_lies_between_default_and_maximum),
		rig_test(refresh_sets_the_lifetime_anew),
		rig_test(refresh_without_lifetime_means_the_default),
		rig_test(refresh_refuses_what_is_malformed),
	};

	return cmocka_run_group_tests_name("lifetime", tests, NULL, NULL);
}
