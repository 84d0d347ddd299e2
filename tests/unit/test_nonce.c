/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/nonce.h"

#include "turn_rig.h"

#define WALL 1700000000u
#define BOTH (TP_NONCE_PASSWORD_ALGORITHMS | TP_NONCE_USERNAME_ANONYMITY)

static struct tp_nonces make(const struct rig *r)
{
	const struct tp_bytes list = { "\0\2\0\0\0\1\0\0", 8 };
	struct tp_nonces n;

	tp_nonces_init(&n, r->conf.nonce_key, BOTH, &list);
	return n;
}

static enum tp_nonce_state state_of(const struct tp_nonces *n, const struct tp_addr *client,
		uint64_t wall_sec, const char nonce[TP_NONCE_LEN])
{
	const struct tp_stun_value value = { (const uint8_t *)nonce, TP_NONCE_LEN };

	return tp_nonce_check(n, client, wall_sec, &value);
}

static bool nonce_ok(const struct tp_nonces *n, const struct tp_addr *client, uint64_t wall_sec,
		const char *nonce, size_t len)
{
	const struct tp_stun_value value = { (const uint8_t *)nonce, (uint16_t)len };

	return tp_nonce_check(n, client, wall_sec, &value) == TP_NONCE_FRESH;
}

/* RFC 8656 section 5: a nonce expires at least once every hour. */
static void a_nonce_lasts_until_its_time_and_not_longer(void **state)
{
	const struct tp_nonces n = make(*state);
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	char nonce[TP_NONCE_LEN];

	tp_nonce_make(&n, &client, WALL, nonce);
	assert_true(nonce_ok(&n, &client, WALL, nonce, sizeof(nonce)));
	assert_true(nonce_ok(&n, &client, WALL + TP_TURN_NONCE_SEC - 1, nonce, sizeof(nonce)));
	assert_false(nonce_ok(&n, &client, WALL + TP_TURN_NONCE_SEC, nonce, sizeof(nonce)));
	assert_false(nonce_ok(&n, &client, WALL + 10 * TP_TURN_NONCE_SEC, nonce, sizeof(nonce)));
}

/* RFC 8489 section 9.2.4: never the same nonce for two sources. */
static void a_nonce_is_good_for_one_address_and_port(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
	} others[] = {
		{ "198.51.100.7", 1001 }, { "198.51.100.8", 1000 }, { "2001:db8::7", 1000 },
		{ "::ffff:198.51.100.7", 1000 },
		{ "c633:6407::", 1000 }, /* the same first four bytes */
	};
	const struct tp_nonces n = make(*state);
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	char nonce[TP_NONCE_LEN], other[TP_NONCE_LEN];

	tp_nonce_make(&n, &client, WALL, nonce);
	for (size_t i = 0; i < N(others); i++) {
		const struct tp_addr a = rig_addr(others[i].ip, others[i].port);

		assert_false(nonce_ok(&n, &a, WALL, nonce, sizeof(nonce)));
		tp_nonce_make(&n, &a, WALL, other);
		assert_memory_not_equal(nonce, other, sizeof(nonce));
	}
}

static void a_nonce_with_any_byte_changed_is_not_ours(void **state)
{
	const struct tp_nonces n = make(*state);
	const struct tp_addr client = rig_addr("2001:db8::7", 1000);
	char nonce[TP_NONCE_LEN + 1] = { 0 };

	tp_nonce_make(&n, &client, WALL, nonce);
	for (size_t i = 0; i < TP_NONCE_LEN; i++) {
		for (int bit = 0; bit < 8; bit++) {
			nonce[i] = (char)(nonce[i] ^ 1 << bit);
			assert_false(nonce_ok(&n, &client, WALL, nonce, TP_NONCE_LEN));
			nonce[i] = (char)(nonce[i] ^ 1 << bit);
		}
	}
	assert_false(nonce_ok(&n, &client, WALL, nonce, 0));
	assert_false(nonce_ok(&n, &client, WALL, nonce, TP_NONCE_LEN - 1));
	assert_false(nonce_ok(&n, &client, WALL, nonce, TP_NONCE_LEN + 1));
	assert_true(nonce_ok(&n, &client, WALL, nonce, TP_NONCE_LEN));
}

static void a_nonce_of_another_start_is_not_ours(void **state)
{
	struct rig *r = *state;
	const struct tp_nonces before = make(r);
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	char nonce[TP_NONCE_LEN];

	tp_nonce_make(&before, &client, WALL, nonce);
	r->conf.nonce_key[31] ^= 1;
	const struct tp_nonces after = make(r);
	assert_int_equal(state_of(&before, &client, WALL, nonce), TP_NONCE_FRESH);
	assert_int_equal(state_of(&after, &client, WALL, nonce), TP_NONCE_FOREIGN);
}

/* RFC 8489 section 9.2.1: what goes out with a nonce is a part of it. */
static void a_nonce_of_another_offer_is_not_ours(void **state)
{
	struct rig *r = *state;
	const struct tp_bytes lists[] = { { "\0\2\0\0\0\1\0\0", 8 }, { "\0\1\0\0\0\2\0\0", 8 },
		{ "\0\2\0\0", 4 }, { "", 0 } };
	static const uint32_t features[] = { 0, TP_NONCE_PASSWORD_ALGORITHMS,
		TP_NONCE_USERNAME_ANONYMITY, BOTH };
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	struct tp_nonces all[N(lists) * N(features)];
	char nonce[TP_NONCE_LEN];

	for (size_t i = 0; i < N(all); i++)
		tp_nonces_init(&all[i], r->conf.nonce_key, features[i / N(lists)],
				&lists[i % N(lists)]);
	for (size_t i = 0; i < N(all); i++) {
		tp_nonce_make(&all[i], &client, WALL, nonce);
		for (size_t k = 0; k < N(all); k++)
			assert_int_equal(state_of(&all[k], &client, WALL, nonce),
					i == k ? TP_NONCE_FRESH : TP_NONCE_FOREIGN);
	}
}

/* RFC 8489 sections 9.2 and 18.1: bit 0 is the leftmost of 24, in base64. */
static void the_cookie_tells_the_features(void **state)
{
	static const struct {
		uint32_t features;
		const char *cookie;
	} cases[] = {
		{ 0, "obMatJos2AAAA" },
		{ TP_NONCE_PASSWORD_ALGORITHMS, "obMatJos2gAAA" },
		{ TP_NONCE_USERNAME_ANONYMITY, "obMatJos2QAAA" },
		{ BOTH, "obMatJos2wAAA" },
	};
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	struct rig *r = *state;
	char nonce[TP_NONCE_LEN];
	struct tp_nonces n;

	for (size_t i = 0; i < N(cases); i++) {
		tp_nonces_init(&n, r->conf.nonce_key, cases[i].features,
				&(struct tp_bytes){ "", 0 });
		tp_nonce_make(&n, &client, WALL, nonce);
		assert_memory_equal(nonce, cases[i].cookie, 13);
	}
}

/* Ours but late is told from not ours. */
static void a_late_nonce_is_stale_and_not_foreign(void **state)
{
	const struct tp_nonces n = make(*state);
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	char nonce[TP_NONCE_LEN];

	tp_nonce_make(&n, &client, WALL, nonce);
	assert_int_equal(state_of(&n, &client, WALL + TP_TURN_NONCE_SEC, nonce), TP_NONCE_STALE);
	nonce[TP_NONCE_LEN - 1] ^= 1;
	assert_int_equal(state_of(&n, &client, WALL + TP_TURN_NONCE_SEC, nonce), TP_NONCE_FOREIGN);
}

/* In February 2106 the seconds no longer fit in 32 bits. */
static void nonces_outlive_32_bits_of_time(void **state)
{
	const struct tp_nonces n = make(*state);
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	const uint64_t wall = 0xffffffffu;
	char nonce[TP_NONCE_LEN];

	tp_nonce_make(&n, &client, wall - 10, nonce);
	assert_true(nonce_ok(&n, &client, wall + 10, nonce, sizeof(nonce)));
	assert_false(nonce_ok(&n, &client, wall + TP_TURN_NONCE_SEC, nonce, sizeof(nonce)));
}

/* A nonce is a quoted-string's content and short (RFC 8489 sections 9.2 and 14.10). */
static void a_nonce_is_text(void **state)
{
	const struct tp_nonces n = make(*state);
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	char nonce[TP_NONCE_LEN];

	tp_nonce_make(&n, &client, WALL, nonce);
	for (size_t i = 0; i < sizeof(nonce); i++)
		assert_true((nonce[i] >= '0' && nonce[i] <= '9') ||
				(nonce[i] >= 'a' && nonce[i] <= 'z') ||
				(nonce[i] >= 'A' && nonce[i] <= 'Z') || nonce[i] == '+' ||
				nonce[i] == '/');
	assert_true(sizeof(nonce) < 128);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_nonce_lasts_until_its_time_and_not_longer),
		rig_test(a_nonce_is_good_for_one_address_and_port),
		rig_test(a_nonce_with_any_byte_changed_is_not_ours),
		rig_test(a_nonce_of_another_start_is_not_ours),
		rig_test(a_nonce_of_another_offer_is_not_ours),
		rig_test(the_cookie_tells_the_features),
		rig_test(a_late_nonce_is_stale_and_not_foreign),
		rig_test(nonces_outlive_32_bits_of_time),
		rig_test(a_nonce_is_text),
	};

	return cmocka_run_group_tests_name("nonce", tests, NULL, NULL);
}
