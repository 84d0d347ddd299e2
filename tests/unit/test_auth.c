/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/auth.h"

#include "turn_client.h"

#define OK TP_AUTH_ACCEPTED_LEGACY

static struct tp_auth *make(struct rig *r)
{
	struct tp_auth *auth;

	assert_int_equal(tp_auth_new(&r->conf, &auth), 0);
	return auth;
}

/* ---- who may ask ---- */

/* How a request with that name and key ends; the nonce is good. */
static enum tp_auth_result check_key(struct rig *r, const struct tp_auth *auth, const char *name,
		size_t name_len, const uint8_t key[TP_KEY_MD5_LEN])
{
	const struct tp_addr client = rig_addr("198.51.100.7", 1);
	struct tp_credentials who;
	enum tp_auth_result result;
	char nonce[TP_NONCE_LEN];
	struct tp_stun_msg msg;
	struct rig_message m;

	tp_nonce_make(tp_auth_nonces(auth), &client, r->now.wall_sec, nonce);
	rig_begin(r, &m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
	tp_stun_put(&m.b, TP_STUN_ATTR_USERNAME, name, name_len);
	tp_stun_put(&m.b, TP_STUN_ATTR_REALM, RIG_REALM, strlen(RIG_REALM));
	tp_stun_put(&m.b, TP_STUN_ATTR_NONCE, nonce, sizeof(nonce));
	tp_stun_put_integrity(&m.b, key, TP_KEY_MD5_LEN);
	assert_int_equal(tp_stun_decode(m.buf, tp_stun_finish(&m.b), &msg), TP_STUN_PARSE_OK);
	result = tp_auth_check(auth, &msg,
			tp_nonce_check(tp_auth_nonces(auth), &client, r->now.wall_sec,
					&msg.attr[TP_STUN_NONCE_AT]),
			r->now.wall_sec, NULL, &who);
	if (result == TP_AUTH_ACCEPTED_LEGACY) {
		assert_true(who.is_legacy);
		assert_int_equal(who.key.len, TP_KEY_MD5_LEN);
		assert_memory_equal(key, who.key.data, TP_KEY_MD5_LEN);
		assert_int_equal(who.name.len, name_len);
	} else {
		/* no key of anybody's is left behind */
		static const struct tp_key none;

		assert_int_equal(tp_auth_result_error(result), TP_STUN_UNAUTHENTICATED);
		assert_memory_equal(&who.key, &none, sizeof(none));
	}
	return result;
}

static enum tp_auth_result check(struct rig *r, const struct tp_auth *auth, const char *name,
		size_t name_len, const struct rig_client *c)
{
	uint8_t key[TP_KEY_MD5_LEN];

	rig_key(c, key);
	return check_key(r, auth, name, name_len, key);
}

/* A name of any bytes with the password that the newest secret gives it. */
static enum tp_auth_result check_bytes(
		struct rig *r, const struct tp_auth *auth, const char *name, size_t len)
{
	const struct tp_bytes user = { name, len }, realm = { RIG_REALM, strlen(RIG_REALM) };
	uint8_t mac[TP_SHA1_LEN], key[TP_KEY_MD5_LEN];
	char password[32];

	tp_hmac_sha1(RIG_SECRET_NEW, strlen(RIG_SECRET_NEW), &user, 1, mac);
	EVP_EncodeBlock((unsigned char *)password, mac, sizeof(mac));
	tp_key_long_term(&user, &realm, &(struct tp_bytes){ password, strlen(password) }, key);
	return check_key(r, auth, name, len, key);
}

static enum tp_auth_result check_user(struct rig *r, const char *user, const char *password)
{
	struct rig_client c = rig_client_of("198.51.100.7", 1, user, password);
	struct tp_auth *auth = make(r);
	enum tp_auth_result rc;

	memcpy(c.realm, RIG_REALM, sizeof(RIG_REALM));
	rc = check(r, auth, user, strlen(user), &c);
	tp_auth_free(auth);
	return rc;
}

static void configured_users_are_known_by_their_key(void **state)
{
	static const struct {
		const char *user, *password;
		enum tp_auth_result want;
	} cases[] = {
		{ "alice", "wonder", OK },
		{ "bob", "builder", OK },
		{ "alice", "builder", TP_AUTH_WRONG_PASSWORD },
		{ "alice", "", TP_AUTH_WRONG_PASSWORD },
		{ "Alice", "wonder", TP_AUTH_UNKNOWN_USER },
		{ "alic", "wonder", TP_AUTH_UNKNOWN_USER },
		{ "alicea", "wonder", TP_AUTH_UNKNOWN_USER },
		{ "carol", "wonder", TP_AUTH_UNKNOWN_USER },
		{ "", "", TP_AUTH_UNKNOWN_USER },
		{ "", "wonder", TP_AUTH_UNKNOWN_USER },
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
		assert_int_equal(check_user(r, names[i], names[i] + 1), OK);
	assert_int_equal(check_user(r, "u", ""), TP_AUTH_UNKNOWN_USER);
	assert_int_equal(check_user(r, "v1", "1"), TP_AUTH_UNKNOWN_USER);
}

static void a_name_with_a_nul_byte_or_too_long_is_nobody(void **state)
{
	struct rig_client c = rig_client_of("198.51.100.7", 1, "alice", "wonder");
	struct rig *r = *state;
	struct tp_auth *auth = make(r);
	static char longer[TP_STUN_USERNAME_MAX + 1];

	memcpy(c.realm, RIG_REALM, sizeof(RIG_REALM));
	assert_int_equal(check(r, auth, "alice", 5, &c), OK);
	assert_int_equal(check(r, auth, "alice\0", 6, &c), TP_AUTH_UNKNOWN_USER);
	assert_int_equal(check(r, auth, "\0alice", 6, &c), TP_AUTH_UNKNOWN_USER);
	memset(longer, 'a', sizeof(longer));
	assert_int_equal(check(r, auth, longer, sizeof(longer), &c), TP_AUTH_UNKNOWN_USER);
	/* time-limited names are in no list that would not have them */
	rig_use_secret(&c, "1700000600:ab", RIG_SECRET_NEW);
	assert_int_equal(check(r, auth, c.user, strlen(c.user), &c), OK);
	assert_int_equal(check_bytes(r, auth, "1700000600:a\0b", 14), TP_AUTH_UNKNOWN_USER);
	memcpy(longer, "1700000600:", 11);
	assert_int_equal(check_bytes(r, auth, longer, sizeof(longer) - 1), OK);
	assert_int_equal(check_bytes(r, auth, longer, sizeof(longer)), TP_AUTH_UNKNOWN_USER);
	tp_auth_free(auth);
}

static enum tp_auth_result check_secret(struct rig *r, const char *user, const char *secret)
{
	struct rig_client c = { 0 };

	rig_use_secret(&c, user, secret);
	return check_user(r, c.user, c.password);
}

static void time_limited_names_are_good_until_they_expire(void **state)
{
	static const struct {
		const char *what, *user, *secret;
		enum tp_auth_result want;
	} cases[] = {
		{ "newest secret", "1700000600:carol", RIG_SECRET_NEW, OK },
		{ "previous secret, for rollover", "1700000600:carol", RIG_SECRET_OLD, OK },
		{ "no id", "1700000600", RIG_SECRET_NEW, OK },
		{ "empty id", "1700000600:", RIG_SECRET_NEW, OK },
		{ "colons in the id", "1700000600:a:b", RIG_SECRET_NEW, OK },
		{ "leading zeroes", "00001700000600:a", RIG_SECRET_NEW, OK },
		{ "the last second", "1700000001:carol", RIG_SECRET_NEW, OK },
		{ "expires now", "1700000000:carol", RIG_SECRET_NEW, TP_AUTH_EXPIRED },
		{ "long expired", "1600000000:carol", RIG_SECRET_NEW, TP_AUTH_EXPIRED },
		{ "wrong secret", "1700000600:carol", "guess", TP_AUTH_WRONG_PASSWORD },
		{ "empty secret", "1700000600:carol", "", TP_AUTH_WRONG_PASSWORD },
		{ "no number", "carol", RIG_SECRET_NEW, TP_AUTH_UNKNOWN_USER },
		{ "no number before the colon", ":carol", RIG_SECRET_NEW, TP_AUTH_UNKNOWN_USER },
		{ "letters in the number", "17000006x0:carol", RIG_SECRET_NEW,
				TP_AUTH_UNKNOWN_USER },
		{ "another separator", "1700000600-carol", RIG_SECRET_NEW, TP_AUTH_UNKNOWN_USER },
		{ "sign", "+1700000600:carol", RIG_SECRET_NEW, TP_AUTH_UNKNOWN_USER },
		{ "negative", "-1:carol", RIG_SECRET_NEW, TP_AUTH_UNKNOWN_USER },
		{ "eighteen digits", "999999999999999999:a", RIG_SECRET_NEW, OK },
		{ "too many digits", "9999999999999999999:a", RIG_SECRET_NEW,
				TP_AUTH_UNKNOWN_USER },
		{ "2^64 + 1 overflows", "18446744073709551617:a", RIG_SECRET_NEW,
				TP_AUTH_UNKNOWN_USER },
	};

	for (size_t i = 0; i < N(cases); i++)
		if (check_secret(*state, cases[i].user, cases[i].secret) != cases[i].want)
			fail_msg("%s", cases[i].what);
}

static void without_secrets_no_number_is_a_user(void **state)
{
	struct rig *r = *state;

	r->conf.n_secrets = 0;
	assert_int_equal(check_secret(r, "1700000600:carol", RIG_SECRET_NEW), TP_AUTH_UNKNOWN_USER);
	assert_int_equal(check_user(r, "alice", "wonder"), OK);
}

static void a_configured_user_may_look_like_a_time(void **state)
{
	static char name[] = "1600000000";
	struct rig *r = *state;

	r->users[0] = rig_user(name, "wonder");
	assert_int_equal(check_user(r, name, "wonder"), OK);
	assert_int_equal(check_secret(r, name, RIG_SECRET_NEW), TP_AUTH_WRONG_PASSWORD);
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
	assert_int_equal(check(r, auth, "dave", 4, &c), OK);
	rig_use_secret(&c, "1700000600", "short-lived");
	assert_int_equal(check(r, auth, c.user, strlen(c.user), &c), OK);
	tp_auth_free(auth);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
