/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is agreed on with a client of RFC 8489 (section 9.2), and what somebody in between may try
 * to change.  Clients of RFC 5389 are in test_request.c; the later checks in test_credentials.c.
 */
#include "forge.h"

/* ---- section 9.2.4, first item; section 9.2: the nonce cookie ---- */

static void the_challenge_offers_algorithms_and_says_so_in_the_cookie(void **state)
{
	static const struct {
		bool has_secrets;
		uint8_t n;
		enum tp_password_algorithm algorithms[2];
		const char *cookie, *list;
		size_t len;
	} cases[] = {
		{ true, 0, { 0 }, "obMatJos2gAAA", "\0\2\0\0\0\1\0\0", 8 },
		{ false, 0, { 0 }, "obMatJos2wAAA", "\0\2\0\0\0\1\0\0", 8 },
		{ true, 2, { TP_ALGORITHM_MD5, TP_ALGORITHM_SHA256 }, "obMatJos2gAAA",
				"\0\1\0\0\0\2\0\0", 8 },
		{ true, 1, { TP_ALGORITHM_SHA256 }, "obMatJos2gAAA", "\0\2\0\0", 4 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct rig_client c;

		r->conf.n_secrets = cases[i].has_secrets ? 2 : 0;
		forge_use_algorithms(r, cases[i].n, cases[i].algorithms[0], cases[i].algorithms[1]);
		c = rig_alice(r, FORGE_CLIENT, 4711);
		forge_assert_challenge(r);
		assert_memory_equal(c.nonce, cases[i].cookie, 13);
		assert_true(c.nonce_len < 128);
		assert_int_equal(c.algorithms_len, cases[i].len);
		assert_memory_equal(c.algorithms, cases[i].list, cases[i].len);
	}
}

/* ---- the last item: what answers are signed with ---- */

static void clients_of_both_kinds_are_served_and_answered_alike(void **state)
{
	static const struct {
		enum tp_password_algorithm algorithm;
		bool is_hashed;
		enum tp_auth_result result;
	} cases[] = {
		{ 0, false, TP_AUTH_ACCEPTED_LEGACY },
		{ TP_ALGORITHM_MD5, false, TP_AUTH_ACCEPTED_MD5 },
		{ TP_ALGORITHM_SHA256, false, TP_AUTH_ACCEPTED_SHA256 },
		{ 0, true, TP_AUTH_ACCEPTED_LEGACY },
		{ TP_ALGORITHM_SHA256, true, TP_AUTH_ACCEPTED_SHA256 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct rig_client c = forge_client(r, cases[i].algorithm);
		const uint64_t before = forge_count(r, cases[i].result);

		c.is_hashed = cases[i].is_hashed;
		/* rig_exchange() checks by which attribute, and the key, a success is signed */
		rig_allocate(r, &c);
		assert_false(tp_stun_has(&r->answer, TP_STUN_REALM_AT));
		assert_false(tp_stun_has(&r->answer, TP_STUN_NONCE_AT));
		assert_int_equal(rig_bind(r, &c, 0x4000, "203.0.113.9", 9), 0);
		assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_UNKNOWN(0x7abc, "")),
				TP_STUN_UNKNOWN_ATTRIBUTE);
		assert_true(rig_is_signed(r));
		assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
		assert_int_equal(forge_count(r, cases[i].result), before + 4);
	}
}

static void time_limited_names_do_sha256_as_well(void **state)
{
	struct rig *r = *state;
	struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);

	rig_use_secret(&c, "1700000600:carol", RIG_SECRET_OLD);
	rig_allocate(r, &c);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
	/* of a hash nobody can tell when it expires */
	c.is_hashed = true;
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), TP_STUN_UNAUTHENTICATED);
}

/* Processed as though MD5, whichever integrity it has: answered with MESSAGE-INTEGRITY. */
static void without_algorithms_sha256_integrity_is_keyed_by_md5(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = forge_client(r, 0);
	struct forge f;

	forge_begin(r, &f, &c);
	assert_int_equal(forge_end_sha256(r, &f), 0);
	assert_true(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_AT));
}

/* HMAC-SHA1 with a key of SHA-256: the rules have no objection. */
static void the_algorithm_of_the_key_is_not_that_of_the_integrity(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);
	struct forge f;

	forge_begin(r, &f, &c);
	rig_put_algorithms(&f.m, &c);
	assert_int_equal(forge_end_sha1(r, &f), 0);
	assert_true(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_SHA256_AT));
}

/* ---- second item: 400 ---- */

static void an_attribute_of_the_credentials_missing_is_400(void **state)
{
	struct rig *r = *state;
	struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);

	for (size_t i = 0; i < 2 * N(rig_incomplete); i++) {
		const struct tp_key key = rig_make_key(&c);
		struct rig_message m;

		c.is_hashed = i >= N(rig_incomplete);
		rig_begin(r, &m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
		rig_put_credentials(&m, &c, rig_incomplete[i % N(rig_incomplete)]);
		rig_put_algorithms(&m, &c);
		tp_stun_put_integrity_sha256(&m.b, key.data, key.len);
		assert_int_equal(rig_exchange(r, &c, &m), TP_STUN_BAD_REQUEST);
		forge_assert_bare(r);
	}
	assert_int_equal(forge_count(r, TP_AUTH_INCOMPLETE), 2 * N(rig_incomplete));
}

/* ---- third item: bid-down ---- */

/* clang-format off */
static const struct {
	const char *what;
	const char *list, *chosen; /* NULL: absent */
	uint8_t list_len, chosen_len;
} bid_downs[] = {
	{ "the list was stripped", NULL, "\0\2\0\0", 0, 4 },
	{ "the choice was stripped", "\0\2\0\0\0\1\0\0", NULL, 8, 0 },
	{ "the list lost SHA-256", "\0\1\0\0", "\0\1\0\0", 4, 4 },
	{ "the list lost MD5", "\0\2\0\0", "\0\2\0\0", 4, 4 },
	{ "another order", "\0\1\0\0\0\2\0\0", "\0\1\0\0", 8, 4 },
	{ "one more", "\0\2\0\0\0\1\0\0\0\3\0\0", "\0\2\0\0", 12, 4 },
	{ "an empty list", "", "\0\2\0\0", 0, 4 },
	{ "a list cut short", "\0\2\0\0\0\1", "\0\2\0\0", 6, 4 },
	{ "a list with a parameter", "\0\2\0\4aaaa\0\1\0\0", "\0\2\0\0", 12, 4 },
	{ "chosen what was not offered", "\0\2\0\0\0\1\0\0", "\0\3\0\0", 8, 4 },
	{ "chosen the reserved number", "\0\2\0\0\0\1\0\0", "\0\0\0\0", 8, 4 },
	{ "chosen with a parameter", "\0\2\0\0\0\1\0\0", "\0\2\0\4aaaa", 8, 8 },
	{ "chosen with the length of a parameter", "\0\2\0\0\0\1\0\0", "\0\2\0\4", 8, 4 },
	{ "chosen cut short", "\0\2\0\0\0\1\0\0", "\0\2", 8, 2 },
	{ "chosen both", "\0\2\0\0\0\1\0\0", "\0\2\0\0\0\1\0\0", 8, 8 },
	{ "chosen nothing", "\0\2\0\0\0\1\0\0", "", 8, 0 },
};
/* clang-format on */

static uint16_t try_bid_down(struct rig *r, const struct rig_client *c, size_t i)
{
	struct forge f;

	forge_begin(r, &f, c);
	if (bid_downs[i].list != NULL)
		forge_put(&f, TP_STUN_ATTR_PASSWORD_ALGORITHMS, bid_downs[i].list,
				bid_downs[i].list_len);
	if (bid_downs[i].chosen != NULL)
		forge_put(&f, TP_STUN_ATTR_PASSWORD_ALGORITHM, bid_downs[i].chosen,
				bid_downs[i].chosen_len);
	return forge_end_sha256(r, &f);
}

static void what_was_changed_on_the_way_is_400(void **state)
{
	static const enum tp_password_algorithm algorithms[] = { TP_ALGORITHM_SHA256,
		TP_ALGORITHM_MD5 };
	struct rig *r = *state;

	for (size_t i = 0; i < N(bid_downs) * N(algorithms); i++) {
		const struct rig_client c = forge_client(r, algorithms[i % N(algorithms)]);

		if (try_bid_down(r, &c, i / N(algorithms)) != TP_STUN_BAD_REQUEST)
			fail_msg("%s", bid_downs[i / N(algorithms)].what);
		forge_assert_bare(r);
	}
	assert_int_equal(forge_count(r, TP_AUTH_BAD_ALGORITHMS), N(bid_downs) * N(algorithms));
	assert_int_equal(rig_counts(r).allocations, 0);
}

/* 400 comes before 401 and 438, so a wrong password does not hide it. */
static void it_is_400_with_a_wrong_password_and_an_old_nonce_as_well(void **state)
{
	struct rig *r = *state;
	struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);

	snprintf(c.password, sizeof(c.password), "guess");
	rig_sleep(r, TP_TURN_NONCE_SEC);
	for (size_t i = 0; i < N(bid_downs); i++)
		if (try_bid_down(r, &c, i) != TP_STUN_BAD_REQUEST)
			fail_msg("%s", bid_downs[i].what);
}

/* One of the two alone is wrong whoever made the nonce: a client sends both or neither. */
static void one_of_the_two_alone_is_400_with_any_nonce(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < 2; i++) {
		struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);

		c.nonce[c.nonce_len - 1] ^= 1;
		assert_int_equal(try_bid_down(r, &c, i), TP_STUN_BAD_REQUEST);
	}
}

/* Only the first occurrence counts (section 14). */
static void a_second_choice_does_not_count(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);
	struct forge f;

	forge_begin(r, &f, &c);
	rig_put_algorithms(&f.m, &c);
	tp_stun_put_algorithm(&f.m.b, TP_ALGORITHM_MD5);
	forge_put(&f, TP_STUN_ATTR_PASSWORD_ALGORITHMS, "\0\1\0\0", 4);
	assert_int_equal(forge_end_sha256(r, &f), 0);
}

/* What the integrity does not cover does not count (section 9). */
static void algorithms_behind_the_integrity_do_not_count(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = forge_client(r, 0);
	const struct tp_key key = rig_make_key(&c);
	struct forge f;

	forge_begin(r, &f, &c);
	tp_stun_put_integrity(&f.m.b, key.data, key.len);
	rig_put_algorithms(&f.m, &c);
	assert_int_equal(rig_exchange(r, &c, &f.m), 0);
	assert_true(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_AT));
}

/*
 * Both are there and agree, but the list was changed in the 401 already, and the nonce with it, or
 * not.  The client's choice is refused either way, and it is told again.
 */
static void a_changed_challenge_leads_nowhere(void **state)
{
	static const char cookies[][14] = { "obMatJos2gAAA", "obMatJos2wAAA", "obMatJos2AAAA",
		"obMatJos2QAAA", "obMatJos2AAAB", "obMatJos3gAAA", "ObMatJos2gAAA",
		"obMatJos2gAA=" };
	struct rig *r = *state;
	size_t n_ours = 0;

	for (size_t i = 0; i < N(cookies); i++) {
		struct rig_client c = forge_client(r, TP_ALGORITHM_MD5);
		const bool is_ours = memcmp(c.nonce, cookies[i], 13) == 0;

		n_ours += is_ours;
		memcpy(c.nonce, cookies[i], 13);
		c.algorithms_len = 4;
		memcpy(c.algorithms, "\0\1\0\0", 4);
		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP),
				is_ours ? TP_STUN_BAD_REQUEST : TP_STUN_STALE_NONCE);
		if (is_ours)
			continue;
		/* 438: MUST include NONCE, REALM, and PASSWORD-ALGORITHMS: the real ones */
		forge_assert_challenge(r);
		rig_keep_challenge(r, &c);
		assert_memory_equal(c.algorithms, sha256_md5, sizeof(sha256_md5));
		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), 0);
		assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	}
	assert_int_equal(n_ours, 1);
}

/* The bit was taken out of the cookie, so that the client does as in RFC 5389. */
static void a_cookie_without_its_bits_is_stale(void **state)
{
	struct rig *r = *state;
	struct rig_client c = forge_client(r, 0);

	memcpy(c.nonce, "obMatJos2AAAA", 13);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_STALE_NONCE);
	assert_int_equal(rig_counts(r).allocations, 0);
}

/* A server that came back with another list: what its forerunner sent is no attack. */
static void what_was_offered_before_a_restart_is_stale_and_not_400(void **state)
{
	struct rig *r = *state;
	struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);

	forge_use_algorithms(r, 1, TP_ALGORITHM_SHA256, 0);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_STALE_NONCE);
	rig_keep_challenge(r, &c);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(the_challenge_offers_algorithms_and_says_so_in_the_cookie),
		rig_test(clients_of_both_kinds_are_served_and_answered_alike),
		rig_test(time_limited_names_do_sha256_as_well),
		rig_test(without_algorithms_sha256_integrity_is_keyed_by_md5),
		rig_test(the_algorithm_of_the_key_is_not_that_of_the_integrity),
		rig_test(an_attribute_of_the_credentials_missing_is_400),
		rig_test(what_was_changed_on_the_way_is_400),
		rig_test(it_is_400_with_a_wrong_password_and_an_old_nonce_as_well),
		rig_test(one_of_the_two_alone_is_400_with_any_nonce),
		rig_test(a_second_choice_does_not_count),
		rig_test(algorithms_behind_the_integrity_do_not_count),
		rig_test(a_changed_challenge_leads_nowhere),
		rig_test(a_cookie_without_its_bits_is_stale),
		rig_test(what_was_offered_before_a_restart_is_stale_and_not_400),
	};

	return cmocka_run_group_tests_name("bid_down", tests, NULL, NULL);
}
