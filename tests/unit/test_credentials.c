/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users, keys and nonces of clients of RFC 8489 (section 9.2.4, from the fourth item on), what the
 * configuration may refuse, and how large answers to strangers are.
 */
#include "forge.h"

/* ---- fourth item: the user ---- */

static void a_userhash_that_is_nobodys_is_401(void **state)
{
	static const uint16_t lengths[] = { 0, 1, 16, 20, 31, 33, 36, 64 };
	struct rig *r = *state;
	struct rig_client c;
	uint8_t hash[64];
	struct forge f;

	forge_use_no_secrets(r);
	c = forge_client(r, TP_ALGORITHM_SHA256);
	c.is_hashed = true;
	snprintf(c.user, sizeof(c.user), "carol");
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_UNAUTHENTICATED);
	forge_assert_challenge(r);
	/* of another realm, and alice's, cut or lengthened */
	snprintf(c.user, sizeof(c.user), "alice");
	snprintf(c.realm, sizeof(c.realm), "example.com");
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_UNAUTHENTICATED);
	snprintf(c.realm, sizeof(c.realm), RIG_REALM);
	tp_userhash(&(struct tp_bytes){ "alice", 5 },
			&(struct tp_bytes){ RIG_REALM, strlen(RIG_REALM) }, hash);
	memset(hash + 32, 0, 32);
	for (size_t i = 0; i < N(lengths); i++) {
		const struct tp_key key = rig_make_key(&c);

		rig_begin(r, &f.m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
		rig_put(&f.m, (const struct rig_attr[]){ RIG_UDP, RIG_END });
		tp_stun_put(&f.m.b, TP_STUN_ATTR_USERHASH, hash, lengths[i]);
		tp_stun_put(&f.m.b, TP_STUN_ATTR_REALM, c.realm, strlen(c.realm));
		tp_stun_put(&f.m.b, TP_STUN_ATTR_NONCE, c.nonce, c.nonce_len);
		rig_put_algorithms(&f.m, &c);
		tp_stun_put_integrity_sha256(&f.m.b, key.data, key.len);
		assert_int_equal(rig_exchange(r, &c, &f.m), TP_STUN_UNAUTHENTICATED);
		forge_assert_challenge(r);
	}
	assert_int_equal(forge_count(r, TP_AUTH_UNKNOWN_USER), N(lengths) + 2);
}

/* USERNAME is read and USERHASH is not, wherever it stands. */
static void with_both_the_name_counts(void **state)
{
	struct rig *r = *state;
	struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256), other = c;
	struct tp_allocation_info info;
	uint64_t cursor = 0;
	struct forge f;

	snprintf(other.user, sizeof(other.user), "bob");
	other.is_hashed = true;
	forge_begin(r, &f, &c);
	rig_put_user(&f.m, &other);
	rig_put_algorithms(&f.m, &c);
	assert_int_equal(forge_end_sha256(r, &f), 0);
	tp_allocation_info(r->turn, tp_turn_next_allocation(r->turn, &cursor), &info);
	assert_string_equal(info.username, "alice");
}

/* A user is one, by name and by hash: RFC 8656 section 5, 441 and the like. */
static void the_hash_and_the_name_are_the_same_user(void **state)
{
	struct rig *r = *state;
	struct rig_client alice = forge_client(r, TP_ALGORITHM_SHA256), bob = alice;
	struct tp_allocation_info info;
	uint64_t cursor = 0;

	alice.is_hashed = true;
	rig_allocate(r, &alice);
	tp_allocation_info(r->turn, tp_turn_next_allocation(r->turn, &cursor), &info);
	assert_string_equal(info.username, "alice");
	alice.is_hashed = false;
	assert_int_equal(rig_ask(r, &alice, TP_STUN_REFRESH, RIG_NONE), 0);
	snprintf(bob.user, sizeof(bob.user), "bob");
	snprintf(bob.password, sizeof(bob.password), "builder");
	for (size_t i = 1; i < 2 * N(forge_methods); i++) {
		bob.is_hashed = i >= N(forge_methods);
		if (forge_methods[i % N(forge_methods)] != TP_STUN_ALLOCATE)
			assert_int_equal(rig_ask(r, &bob, forge_methods[i % N(forge_methods)],
							 RIG_LIFETIME("\0\0\0\0")),
					TP_STUN_WRONG_CREDENTIALS);
	}
	assert_int_equal(rig_counts(r).allocations, 1);
}

/* ---- fifth item: the integrity ---- */

static void a_wrong_password_is_401_with_all_that_is_needed(void **state)
{
	struct rig *r = *state;
	struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);

	snprintf(c.password, sizeof(c.password), "guess");
	for (size_t i = 0; i < N(forge_methods); i++) {
		assert_int_equal(
				rig_ask(r, &c, forge_methods[i], RIG_UDP), TP_STUN_UNAUTHENTICATED);
		forge_assert_challenge(r);
	}
	assert_int_equal(forge_count(r, TP_AUTH_WRONG_PASSWORD), N(forge_methods));
}

/* The key of the other algorithm is the wrong one. */
static void a_key_is_good_for_its_algorithm_only(void **state)
{
	static const enum tp_password_algorithm said[] = { TP_ALGORITHM_MD5, TP_ALGORITHM_SHA256 };
	struct rig *r = *state;

	for (size_t i = 0; i < N(said); i++) {
		const struct rig_client c = forge_client(r, said[i]);
		const struct rig_client wrong = forge_client(r, said[1 - i]);
		struct forge f;

		forge_begin(r, &f, &c);
		rig_put_algorithms(&f.m, &c);
		f.c = &wrong;
		assert_int_equal(forge_end_sha256(r, &f), TP_STUN_UNAUTHENTICATED);
	}
}

/* MESSAGE-INTEGRITY-SHA256 decides where both are; it covers the other. */
static void with_both_integrities_sha256_decides(void **state)
{
	static const struct {
		bool is_sha1_right, is_sha256_right;
		uint16_t want;
	} cases[] = { { true, true, 0 }, { false, true, 0 },
		{ true, false, TP_STUN_UNAUTHENTICATED },
		{ false, false, TP_STUN_UNAUTHENTICATED } };
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		const struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);
		struct tp_key right = rig_make_key(&c), wrong = right;
		const struct tp_key *sha1 = cases[i].is_sha1_right ? &right : &wrong;
		const struct tp_key *sha256 = cases[i].is_sha256_right ? &right : &wrong;
		struct forge f;

		wrong.data[0] ^= 1;
		forge_begin(r, &f, &c);
		rig_put_algorithms(&f.m, &c);
		tp_stun_put_integrity(&f.m.b, sha1->data, sha1->len);
		tp_stun_put_integrity_sha256(&f.m.b, sha256->data, sha256->len);
		assert_int_equal(rig_exchange(r, &c, &f.m), cases[i].want);
		if (cases[i].want == 0)
			assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")),
					0);
	}
}

/* Section 14.6: TURN allows no truncation. */
static void a_truncated_integrity_is_401(void **state)
{
	static const uint16_t lengths[] = { 0, 4, 16, 20, 28, 31, 33, 36 };
	struct rig *r = *state;

	for (size_t i = 0; i < N(lengths); i++) {
		const struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);
		const struct tp_key key = rig_make_key(&c);
		const uint16_t padded = (lengths[i] + 3) & ~3;
		uint8_t mac[36] = { 0 };
		struct forge f;
		size_t upto;

		forge_begin(r, &f, &c);
		rig_put_algorithms(&f.m, &c);
		upto = f.m.b.len;
		forge_put(&f, TP_STUN_ATTR_MESSAGE_INTEGRITY_SHA256, mac, lengths[i]);
		/* as a truncating client would: over a length field that says so */
		tp_hmac_sha256(key.data, key.len, &(struct tp_bytes){ f.m.buf, upto }, 1, mac);
		memcpy(f.m.buf + upto + 4, mac, padded < 32 ? padded : 32);
		assert_int_equal(rig_exchange(r, &c, &f.m), TP_STUN_UNAUTHENTICATED);
	}
}

static void every_byte_counts(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);
	const struct tp_key key = rig_make_key(&c);
	uint8_t whole[RIG_DATA_MAX];
	struct forge f;
	size_t len;

	forge_begin(r, &f, &c);
	rig_put_algorithms(&f.m, &c);
	tp_stun_put_integrity_sha256(&f.m.b, key.data, key.len);
	len = tp_stun_finish(&f.m.b);
	memcpy(whole, f.m.buf, len);
	for (size_t i = 0; i < len; i++) {
		memcpy(f.m.buf, whole, len);
		f.m.buf[i] ^= 0x01;
		/* discarded or refused, and nothing is made */
		rig_datagram(r, &c, f.m.buf, len);
		assert_int_equal(rig_counts(r).allocations, 0);
	}
}

/* ---- sixth item: the nonce ---- */

static void a_nonce_of_another_source_is_438(void **state)
{
	struct rig *r = *state;
	struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);

	c.tuple.client.port++;
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_STALE_NONCE);
	forge_assert_challenge(r);
	rig_keep_challenge(r, &c);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), 0);
}

static void a_late_nonce_is_438(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < N(forge_methods); i++) {
		struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);

		c.is_hashed = i % 2 == 0;
		rig_sleep(r, TP_TURN_NONCE_SEC);
		assert_int_equal(rig_ask(r, &c, forge_methods[i], RIG_UNKNOWN(0x7abc, "")),
				TP_STUN_STALE_NONCE);
		forge_assert_challenge(r);
		rig_keep_challenge(r, &c);
		assert_int_equal(rig_ask(r, &c, forge_methods[i], RIG_UNKNOWN(0x7abc, "")),
				TP_STUN_UNKNOWN_ATTRIBUTE);
	}
	assert_int_equal(forge_count(r, TP_AUTH_STALE_NONCE), N(forge_methods));
}

/* ---- the allocation remembers ---- */

static void an_allocation_of_one_algorithm_serves_the_other_too(void **state)
{
	static const enum tp_password_algorithm algorithms[] = { 0, TP_ALGORITHM_MD5,
		TP_ALGORITHM_SHA256 };
	struct rig *r = *state;

	for (size_t i = 0; i < N(algorithms); i++) {
		struct rig_client c = forge_client(r, algorithms[i]);

		rig_allocate(r, &c);
		for (size_t k = 0; k < N(algorithms); k++) {
			c.algorithm = algorithms[k];
			assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
		}
		assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	}
}

static void an_expired_name_keeps_its_allocation_by_its_own_algorithm(void **state)
{
	struct rig *r = *state;
	struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);

	rig_use_secret(&c, "1700000060:carol", RIG_SECRET_NEW);
	rig_allocate(r, &c);
	rig_sleep(r, 300);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
	c.algorithm = 0; /* of which no key is kept */
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), TP_STUN_UNAUTHENTICATED);
	assert_int_equal(forge_count(r, TP_AUTH_EXPIRED), 1);
}

/* ---- what the configuration can refuse ---- */

static void without_md5_old_clients_and_sha1_are_refused(void **state)
{
	struct rig *r = *state;
	struct rig_client c;
	struct forge f;

	forge_use_algorithms(r, 1, TP_ALGORITHM_SHA256, 0);
	c = forge_client(r, 0);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_UNAUTHENTICATED);
	forge_assert_challenge(r);
	forge_begin(r, &f, &c);
	assert_int_equal(forge_end_sha256(r, &f), TP_STUN_UNAUTHENTICATED);
	c.algorithm = TP_ALGORITHM_SHA256;
	forge_begin(r, &f, &c);
	rig_put_algorithms(&f.m, &c);
	assert_int_equal(forge_end_sha1(r, &f), TP_STUN_UNAUTHENTICATED);
	assert_int_equal(forge_count(r, TP_AUTH_TOO_WEAK), 3);
	c.algorithm = TP_ALGORITHM_MD5; /* not on the list */
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_BAD_REQUEST);
	c.algorithm = TP_ALGORITHM_SHA256;
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), 0);
}

static void a_user_without_the_key_is_401(void **state)
{
	struct rig *r = *state;
	struct rig_client c;

	r->users[0].sha256.len = 0;
	r->users[1].md5.len = 0;
	rig_restart(r);
	c = forge_client(r, TP_ALGORITHM_SHA256);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_UNAUTHENTICATED);
	c.algorithm = 0;
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), 0);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	snprintf(c.user, sizeof(c.user), "bob");
	snprintf(c.password, sizeof(c.password), "builder");
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_UNAUTHENTICATED);
	c.algorithm = TP_ALGORITHM_SHA256;
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), 0);
	assert_int_equal(forge_count(r, TP_AUTH_NO_KEY), 2);
}

static void strict_expiry_ends_what_an_expired_name_may_do(void **state)
{
	static char number[] = "1700000060";
	struct rig *r = *state;
	struct rig_client c;

	r->conf.is_expiry_strict = true;
	r->users[1] = rig_user(number, "builder"); /* a configured user never expires */
	rig_restart(r);
	c = forge_client(r, TP_ALGORITHM_SHA256);
	rig_use_secret(&c, "1700000060:carol", RIG_SECRET_NEW);
	rig_allocate(r, &c);
	rig_sleep(r, 59);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
	rig_sleep(r, 1);
	for (size_t i = 0; i < N(forge_methods); i++) {
		assert_int_equal(
				rig_ask(r, &c, forge_methods[i], RIG_UDP), TP_STUN_UNAUTHENTICATED);
		forge_assert_challenge(r);
	}
	assert_int_equal(forge_count(r, TP_AUTH_EXPIRED), N(forge_methods));
	rig_sleep(r, TP_TURN_LIFETIME_SEC);
	snprintf(c.user, sizeof(c.user), "%s", number);
	snprintf(c.password, sizeof(c.password), "builder");
	rig_allocate(r, &c);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
}

static void the_hmac_of_credentials_is_the_configured_one(void **state)
{
	struct rig *r = *state;
	struct rig_client c = forge_client(r, 0);
	const struct tp_bytes secret = { RIG_SECRET_OLD, strlen(RIG_SECRET_OLD) };

	snprintf(c.user, sizeof(c.user), "1700000600:carol");
	tp_credential_password(TP_CREDENTIAL_SHA256, &secret,
			&(struct tp_bytes){ c.user, strlen(c.user) }, c.password);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_UNAUTHENTICATED);
	r->conf.secret_hmac = TP_CREDENTIAL_SHA256;
	rig_restart(r);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), 0);
	rig_use_secret(&c, "1700000600:dave", RIG_SECRET_OLD);
	c.tuple.client.port++;
	rig_learn(r, &c);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_UNAUTHENTICATED);
}

/* ---- counting and size ---- */

static void every_request_has_one_result(void **state)
{
	struct rig *r = *state;
	struct rig_client c = forge_client(r, TP_ALGORITHM_SHA256);
	uint64_t sum = 0;

	rig_allocate(r, &c);
	c.nonce[20] ^= 1;
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), TP_STUN_STALE_NONCE);
	for (int i = 0; i < TP_AUTH_RESULT_COUNT; i++) {
		assert_true(strlen(tp_auth_result_name((enum tp_auth_result)i)) > 0);
		sum += forge_count(r, (enum tp_auth_result)i);
	}
	assert_int_equal(sum, 3);
	assert_int_equal(forge_count(r, TP_AUTH_CHALLENGED), 1);
	assert_int_equal(forge_count(r, TP_AUTH_ACCEPTED_SHA256), 1);
	assert_int_equal(forge_count(r, TP_AUTH_STALE_NONCE), 1);
}

/* The first 401 has at most 200 bytes, with the realms that there are, FINGERPRINT included. */
static void a_challenge_is_small(void **state)
{
	static const char *const realms[] = {
		"example.org", "turn.eu-central-1.example-company.com",
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567890123456789"
	};
	struct rig *r = *state;

	for (size_t i = 0; i < N(realms); i++) {
		const struct rig_client c = rig_client_of("2001:db8::7", 1, "alice", "wonder");
		struct rig_message m;

		r->conf.realm = realms[i];
		rig_restart(r);
		rig_begin(r, &m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
		rig_put(&m, (const struct rig_attr[]){ RIG_UDP, RIG_END });
		tp_stun_put_fingerprint(&m.b);
		assert_int_equal(rig_exchange(r, &c, &m), TP_STUN_UNAUTHENTICATED);
		assert_true(r->sent[0].len <= 200);
	}
	assert_int_equal(r->sent[0].len, 200); /* the last one: as long as README says it may be */
}

/*
 * At most 1.6 times the request, whatever is in it.  Over IPv6 the shortest answer that the
 * protocol has is 44 bytes to 20; with the headers, 92 to 68.
 */
static void a_binding_response_is_small(void **state)
{
	static const struct {
		const char *ip;
		size_t headers;
	} cases[] = { { FORGE_CLIENT, 0 }, { "2001:db8::7", 48 } };
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		const struct rig_client c = rig_client_of(cases[i].ip, 1, "", "");

		for (uint16_t n = 0; n < 40; n++) {
			size_t asked, answered;
			struct rig_message m;
			uint16_t err;

			rig_begin(r, &m, TP_STUN_BINDING, TP_STUN_REQUEST);
			for (uint16_t u = 0; u < n / 2; u++)
				tp_stun_put(&m.b, (enum tp_stun_attr)(0x7000 + u), "", 0);
			if (n % 2 == 1)
				tp_stun_put_fingerprint(&m.b);
			err = rig_exchange(r, &c, &m);
			assert_int_equal(err, n < 2 ? 0 : TP_STUN_UNKNOWN_ATTRIBUTE);
			asked = m.b.len + cases[i].headers;
			answered = r->sent[0].len + cases[i].headers;
			if (10 * answered > 16 * asked)
				fail_msg("%zu bytes to %zu", answered, asked);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_userhash_that_is_nobodys_is_401),
		rig_test(with_both_the_name_counts),
		rig_test(the_hash_and_the_name_are_the_same_user),
		rig_test(a_wrong_password_is_401_with_all_that_is_needed),
		rig_test(a_key_is_good_for_its_algorithm_only),
		rig_test(with_both_integrities_sha256_decides),
		rig_test(a_truncated_integrity_is_401),
		rig_test(every_byte_counts),
		rig_test(a_nonce_of_another_source_is_438),
		rig_test(a_late_nonce_is_438),
		rig_test(an_allocation_of_one_algorithm_serves_the_other_too),
		rig_test(an_expired_name_keeps_its_allocation_by_its_own_algorithm),
		rig_test(without_md5_old_clients_and_sha1_are_refused),
		rig_test(a_user_without_the_key_is_401),
		rig_test(strict_expiry_ends_what_an_expired_name_may_do),
		rig_test(the_hmac_of_credentials_is_the_configured_one),
		rig_test(every_request_has_one_result),
		rig_test(a_challenge_is_small),
		rig_test(a_binding_response_is_small),
	};

	return cmocka_run_group_tests_name("credentials", tests, NULL, NULL);
}
