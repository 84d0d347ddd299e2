/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/auth.h"

#include "turn_client.h"

#define WALL 1700000000u

static struct tp_auth *make(struct rig *r)
{
	struct tp_auth *auth;

	assert_int_equal(tp_auth_new(&r->conf, &auth), 0);
	return auth;
}

static bool nonce_ok(const struct tp_auth *auth, const struct tp_addr *client, uint64_t wall_sec,
		const char *nonce, size_t len)
{
	const struct tp_stun_value value = { (const uint8_t *)nonce, (uint16_t)len };

	return tp_auth_nonce_ok(auth, client, wall_sec, &value);
}

/* RFC 8656 section 5: a nonce expires at least once every hour. */
static void a_nonce_lasts_until_its_time_and_not_longer(void **state)
{
	struct tp_auth *auth = make(*state);
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	char nonce[TP_NONCE_LEN];

	tp_auth_nonce(auth, &client, WALL, nonce);
	assert_true(nonce_ok(auth, &client, WALL, nonce, sizeof(nonce)));
	assert_true(nonce_ok(auth, &client, WALL + TP_TURN_NONCE_SEC - 1, nonce, sizeof(nonce)));
	assert_false(nonce_ok(auth, &client, WALL + TP_TURN_NONCE_SEC, nonce, sizeof(nonce)));
	assert_false(nonce_ok(auth, &client, WALL + 10 * TP_TURN_NONCE_SEC, nonce, sizeof(nonce)));
	tp_auth_free(auth);
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
	struct tp_auth *auth = make(*state);
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	char nonce[TP_NONCE_LEN], other[TP_NONCE_LEN];

	tp_auth_nonce(auth, &client, WALL, nonce);
	for (size_t i = 0; i < N(others); i++) {
		const struct tp_addr a = rig_addr(others[i].ip, others[i].port);

		assert_false(nonce_ok(auth, &a, WALL, nonce, sizeof(nonce)));
		tp_auth_nonce(auth, &a, WALL, other);
		assert_memory_not_equal(nonce, other, sizeof(nonce));
	}
	tp_auth_free(auth);
}

static void a_nonce_with_any_byte_changed_is_not_ours(void **state)
{
	struct tp_auth *auth = make(*state);
	const struct tp_addr client = rig_addr("2001:db8::7", 1000);
	char nonce[TP_NONCE_LEN + 1] = { 0 };

	tp_auth_nonce(auth, &client, WALL, nonce);
	for (size_t i = 0; i < TP_NONCE_LEN; i++) {
		for (int bit = 0; bit < 8; bit++) {
			nonce[i] = (char)(nonce[i] ^ 1 << bit);
			assert_false(nonce_ok(auth, &client, WALL, nonce, TP_NONCE_LEN));
			nonce[i] = (char)(nonce[i] ^ 1 << bit);
		}
	}
	assert_false(nonce_ok(auth, &client, WALL, nonce, 0));
	assert_false(nonce_ok(auth, &client, WALL, nonce, TP_NONCE_LEN - 1));
	assert_false(nonce_ok(auth, &client, WALL, nonce, TP_NONCE_LEN + 1));
	assert_true(nonce_ok(auth, &client, WALL, nonce, TP_NONCE_LEN));
	tp_auth_free(auth);
}

static void a_nonce_of_another_start_is_not_ours(void **state)
{
	struct rig *r = *state;
	struct tp_auth *before = make(r), *after;
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	char nonce[TP_NONCE_LEN];

	tp_auth_nonce(before, &client, WALL, nonce);
	r->conf.nonce_key[31] ^= 1;
	after = make(r);
	assert_false(nonce_ok(after, &client, WALL, nonce, sizeof(nonce)));
	tp_auth_free(before);
	tp_auth_free(after);
}

/* In February 2106 the seconds no longer fit in 32 bits. */
static void nonces_outlive_32_bits_of_time(void **state)
{
	struct tp_auth *auth = make(*state);
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	const uint64_t wall = 0xffffffffu;
	char nonce[TP_NONCE_LEN];

	tp_auth_nonce(auth, &client, wall - 10, nonce);
	assert_true(nonce_ok(auth, &client, wall + 10, nonce, sizeof(nonce)));
	assert_false(nonce_ok(auth, &client, wall + TP_TURN_NONCE_SEC, nonce, sizeof(nonce)));
	tp_auth_free(auth);
}

/* A nonce is a quoted-string's content and short (RFC 8489 sections 9.2 and 14.10). */
static void a_nonce_is_text(void **state)
{
	struct tp_auth *auth = make(*state);
	const struct tp_addr client = rig_addr("198.51.100.7", 1000);
	char nonce[TP_NONCE_LEN];

	tp_auth_nonce(auth, &client, WALL, nonce);
	for (size_t i = 0; i < sizeof(nonce); i++)
		assert_true((nonce[i] >= '0' && nonce[i] <= '9') ||
				(nonce[i] >= 'a' && nonce[i] <= 'f'));
	assert_true(sizeof(nonce) < 128);
	tp_auth_free(auth);
}

/* ---- who may ask ---- */

static int check_key(struct rig *r, const struct tp_auth *auth, const char *name, size_t name_len,
		const uint8_t key[TP_KEY_MD5_LEN])
{
	uint8_t got[TP_KEY_MD5_LEN];
	struct tp_stun_msg msg;
	struct rig_message m;
	int rc;

	rig_begin(r, &m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
	tp_stun_put(&m.b, TP_STUN_ATTR_USERNAME, name, name_len);
	tp_stun_put_integrity(&m.b, key, TP_KEY_MD5_LEN);
	assert_int_equal(tp_stun_decode(m.buf, tp_stun_finish(&m.b), &msg), TP_STUN_PARSE_OK);
	rc = tp_auth_check(auth, &msg, r->now.wall_sec, got);
	if (rc == 0)
		assert_memory_equal(key, got, TP_KEY_MD5_LEN);
	return rc;
}

static int check(struct rig *r, const struct tp_auth *auth, const char *name, size_t name_len,
		const struct rig_client *c)
{
	uint8_t key[TP_KEY_MD5_LEN];

	rig_key(c, key);
	return check_key(r, auth, name, name_len, key);
}

/* A name of any bytes with the password that the newest secret gives it. */
static int check_bytes(struct rig *r, const struct tp_auth *auth, const char *name, size_t len)
{
	const struct tp_bytes user = { name, len }, realm = { RIG_REALM, strlen(RIG_REALM) };
	uint8_t mac[TP_SHA1_LEN], key[TP_KEY_MD5_LEN];
	char password[32];

	tp_hmac_sha1(RIG_SECRET_NEW, strlen(RIG_SECRET_NEW), &user, 1, mac);
	EVP_EncodeBlock((unsigned char *)password, mac, sizeof(mac));
	tp_key_long_term(&user, &realm, &(struct tp_bytes){ password, strlen(password) }, key);
	return check_key(r, auth, name, len, key);
}

static int check_user(struct rig *r, const char *user, const char *password)
{
	struct rig_client c = rig_client_of("198.51.100.7", 1, user, password);
	struct tp_auth *auth = make(r);
	int rc;

	memcpy(c.realm, RIG_REALM, sizeof(RIG_REALM));
	rc = check(r, auth, user, strlen(user), &c);
	tp_auth_free(auth);
	return rc;
}

static void configured_users_are_known_by_their_key(void **state)
{
	static const struct {
		const char *user, *password;
		int want;
	} cases[] = {
		{ "alice", "wonder", 0 },
		{ "bob", "builder", 0 },
		{ "alice", "builder", -EACCES },
		{ "alice", "", -EACCES },
		{ "Alice", "wonder", -EACCES },
		{ "alic", "wonder", -EACCES },
		{ "alicea", "wonder", -EACCES },
		{ "carol", "wonder", -EACCES },
		{ "", "", -EACCES },
		{ "", "wonder", -EACCES },
	};

	for (size_t i = 0; i < N(cases); i++)
		if (check_user(*state, cases[i].user, cases[i].password) != cases[i].want)
			fail_msg("%s:%s", cases[i].user, cases[i].password);
}

/* The search is by length, then by bytes: it must find every one of many. */
static void each_of_many_users_is_found(void **state)
{
	static char names[200][8];
	static struct tp_turn_user users[N(names)];
	struct rig *r = *state;

	for (uint32_t i = 0; i < N(names); i++) {
		snprintf(names[i], sizeof(names[i]), "u%u", (i * 7919) % 1000);
		users[i] = rig_user(names[i], names[i] + 1);
	}
	r->conf.users = users;
	r->conf.n_users = N(users);
	for (uint32_t i = 0; i < N(names); i++)
		assert_int_equal(check_user(r, names[i], names[i] + 1), 0);
	assert_int_equal(check_user(r, "u", ""), -EACCES);
	assert_int_equal(check_user(r, "v1", "1"), -EACCES);
}

static void a_name_with_a_nul_byte_or_too_long_is_nobody(void **state)
{
	struct rig_client c = rig_client_of("198.51.100.7", 1, "alice", "wonder");
	struct rig *r = *state;
	struct tp_auth *auth = make(r);
	static char longer[TP_STUN_USERNAME_MAX + 1];

	memcpy(c.realm, RIG_REALM, sizeof(RIG_REALM));
	assert_int_equal(check(r, auth, "alice", 5, &c), 0);
	assert_int_equal(check(r, auth, "alice\0", 6, &c), -EACCES);
	assert_int_equal(check(r, auth, "\0alice", 6, &c), -EACCES);
	memset(longer, 'a', sizeof(longer));
	assert_int_equal(check(r, auth, longer, sizeof(longer), &c), -EACCES);
	/* time-limited names are in no list that would not have them */
	rig_use_secret(&c, "1700000600:ab", RIG_SECRET_NEW);
	assert_int_equal(check(r, auth, c.user, strlen(c.user), &c), 0);
	assert_int_equal(check_bytes(r, auth, "1700000600:a\0b", 14), -EACCES);
	memcpy(longer, "1700000600:", 11);
	assert_int_equal(check_bytes(r, auth, longer, sizeof(longer) - 1), 0);
	assert_int_equal(check_bytes(r, auth, longer, sizeof(longer)), -EACCES);
	tp_auth_free(auth);
}

static int check_secret(struct rig *r, const char *user, const char *secret)
{
	struct rig_client c = { 0 };

	rig_use_secret(&c, user, secret);
	return check_user(r, c.user, c.password);
}

static void time_limited_names_are_good_until_they_expire(void **state)
{
	static const struct {
		const char *what, *user, *secret;
		int want;
	} cases[] = {
		{ "newest secret", "1700000600:carol", RIG_SECRET_NEW, 0 },
		{ "previous secret, for rollover", "1700000600:carol", RIG_SECRET_OLD, 0 },
		{ "no id", "1700000600", RIG_SECRET_NEW, 0 },
		{ "empty id", "1700000600:", RIG_SECRET_NEW, 0 },
		{ "colons in the id", "1700000600:a:b", RIG_SECRET_NEW, 0 },
		{ "leading zeroes", "00001700000600:a", RIG_SECRET_NEW, 0 },
		{ "the last second", "1700000001:carol", RIG_SECRET_NEW, 0 },
		{ "expires now", "1700000000:carol", RIG_SECRET_NEW, -EACCES },
		{ "long expired", "1600000000:carol", RIG_SECRET_NEW, -EACCES },
		{ "wrong secret", "1700000600:carol", "guess", -EACCES },
		{ "empty secret", "1700000600:carol", "", -EACCES },
		{ "no number", "carol", RIG_SECRET_NEW, -EACCES },
		{ "no number before the colon", ":carol", RIG_SECRET_NEW, -EACCES },
		{ "letters in the number", "17000006x0:carol", RIG_SECRET_NEW, -EACCES },
		{ "another separator", "1700000600-carol", RIG_SECRET_NEW, -EACCES },
		{ "sign", "+1700000600:carol", RIG_SECRET_NEW, -EACCES },
		{ "negative", "-1:carol", RIG_SECRET_NEW, -EACCES },
		{ "eighteen digits", "999999999999999999:a", RIG_SECRET_NEW, 0 },
		{ "too many digits", "9999999999999999999:a", RIG_SECRET_NEW, -EACCES },
		{ "2^64 + 1 overflows", "18446744073709551617:a", RIG_SECRET_NEW, -EACCES },
	};

	for (size_t i = 0; i < N(cases); i++)
		if (check_secret(*state, cases[i].user, cases[i].secret) != cases[i].want)
			fail_msg("%s", cases[i].what);
}

static void without_secrets_no_number_is_a_user(void **state)
{
	struct rig *r = *state;

	r->conf.n_secrets = 0;
	assert_int_equal(check_secret(r, "1700000600:carol", RIG_SECRET_NEW), -EACCES);
	assert_int_equal(check_user(r, "alice", "wonder"), 0);
}

static void a_configured_user_may_look_like_a_time(void **state)
{
	static char name[] = "1600000000";
	struct rig *r = *state;

	r->users[0] = rig_user(name, "wonder");
	assert_int_equal(check_user(r, name, "wonder"), 0);
	assert_int_equal(check_secret(r, name, RIG_SECRET_NEW), -EACCES);
}

static void what_was_configured_is_copied(void **state)
{
	char name[] = "dave", realm[] = RIG_REALM;
	uint8_t secret[] = "short-lived";
	struct rig *r = *state;
	struct rig_client c = { 0 };
	struct tp_auth *auth;

	r->users[0] = rig_user(name, "cave");
	r->secrets[0] = (struct tp_turn_secret){ secret, sizeof(secret) - 1 };
	r->conf.realm = realm;
	auth = make(r);
	memset(&r->users[0], 0xff, sizeof(r->users[0]));
	memset(name, 'x', sizeof(name) - 1);
	memset(realm, 'x', sizeof(realm) - 1);
	memset(secret, 'x', sizeof(secret) - 1);
	r->users[0].name = name;
	r->conf.realm = RIG_REALM;

	assert_string_equal(tp_auth_realm(auth), RIG_REALM);
	memcpy(c.realm, RIG_REALM, sizeof(RIG_REALM));
	memcpy(c.password, "cave", 5);
	memcpy(c.user, "dave", 5);
	assert_int_equal(check(r, auth, "dave", 4, &c), 0);
	rig_use_secret(&c, "1700000600", "short-lived");
	assert_int_equal(check(r, auth, c.user, strlen(c.user), &c), 0);
	tp_auth_free(auth);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_nonce_lasts_until_its_time_and_not_longer),
		rig_test(a_nonce_is_good_for_one_address_and_port),
		rig_test(a_nonce_with_any_byte_changed_is_not_ours),
		rig_test(a_nonce_of_another_start_is_not_ours),
		rig_test(nonces_outlive_32_bits_of_time),
		rig_test(a_nonce_is_text),
		rig_test(configured_users_are_known_by_their_key),
		rig_test(each_of_many_users_is_found),
		rig_test(a_name_with_a_nul_byte_or_too_long_is_nobody),
		rig_test(time_limited_names_are_good_until_they_expire),
		rig_test(without_secrets_no_number_is_a_user),
		rig_test(a_configured_user_may_look_like_a_time),
		rig_test(what_was_configured_is_copied),
	};

	return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
