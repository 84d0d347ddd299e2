/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/integrity.h"

#include "rfc5769.h"
#include "rfc8489.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct tp_bytes bytes(const char *text)
{
	return (struct tp_bytes){ text, strlen(text) };
}

static void assert_hex(const char *what, const uint8_t *got, size_t len, const char *want)
{
	char hex[2 * TP_SHA256_LEN + 1] = "";
	size_t i;

	for (i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", got[i]);
	if (strcmp(hex, want) != 0)
		fail_msg("%s: got %s", what, hex);
}

static void hmac_vectors(void **state)
{
	static const struct {
		const char *what, *key, *data, *sha1, *sha256;
	} cases[] = {
		{ "RFC 2202 and RFC 4231, case 2", "Jefe", "what do ya want for nothing?",
				"effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
				"5bdcc146bf60754e6a042426089575c7"
				"5a003f089d2739839dec58b964ec3843" },
		{ "empty key, empty data", "", "", "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d",
				"b613679a0814d9ec772f95d778c35fc5"
				"ff1697c493715653c6c712144292c5ad" },
		{ "key longer than a block",
				"0123456789012345678901234567890123456789"
				"0123456789012345678901234567890123456789",
				"x", "cc0e616ddaac31afa48b7ba382dee83594ed1990",
				"2a573aad6e30ce26293a7701c222ad59"
				"c2d434febe86f3a2c766c6fca5f8f84f" },
	};
	uint8_t sha1[TP_SHA1_LEN], sha256[TP_SHA256_LEN];
	struct tp_bytes part;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		part = bytes(cases[i].data);
		tp_hmac_sha1(cases[i].key, strlen(cases[i].key), &part, 1, sha1);
		assert_hex(cases[i].what, sha1, sizeof(sha1), cases[i].sha1);
		tp_hmac_sha256(cases[i].key, strlen(cases[i].key), &part, 1, sha256);
		assert_hex(cases[i].what, sha256, sizeof(sha256), cases[i].sha256);
	}
}

/* A context keeps the key it was set to last: the same again, another, one that begins alike. */
static void keys_in_any_order(void **state)
{
	static const uint8_t order[] = { 0, 0, 1, 1, 2, 0, 3, 3, 1, 2, 2, 3, 0 };
	static const char key[] =
			"Jefe Jefe Jefe Jefe Jefe Jefe Jefe Jefe Jefe Jefe Jefe Jefe Jefe";
	static const size_t len[] = { 4, 5, 64, 65 };
	uint8_t got[TP_SHA1_LEN], want[TP_SHA1_LEN], got256[TP_SHA256_LEN], want256[TP_SHA256_LEN];
	const struct tp_bytes part = bytes("data");
	unsigned int n;

	(void)state;
	for (size_t i = 0; i < N(order); i++) {
		tp_hmac_sha1(key, len[order[i]], &part, 1, got);
		tp_hmac_sha256(key, len[order[i]], &part, 1, got256);
		assert_non_null(HMAC(EVP_sha1(), key, (int)len[order[i]], part.data, part.len, want,
				&n));
		assert_memory_equal(got, want, sizeof(want));
		assert_non_null(HMAC(EVP_sha256(), key, (int)len[order[i]], part.data, part.len,
				want256, &n));
		assert_memory_equal(got256, want256, sizeof(want256));
	}
}

/* A null key must be an empty one, not the one before. */
static void no_key_is_an_empty_key(void **state)
{
	struct tp_bytes part = bytes("x");
	uint8_t null[TP_SHA1_LEN], empty[TP_SHA1_LEN], other[TP_SHA1_LEN];

	(void)state;
	tp_hmac_sha1("", 0, &part, 1, empty);
	tp_hmac_sha1("key", 3, &part, 1, other);
	tp_hmac_sha1(NULL, 0, &part, 1, null);
	assert_memory_equal(null, empty, sizeof(null));
	assert_memory_not_equal(null, other, sizeof(null));
}

static void parts_are_hashed_in_order(void **state)
{
	const struct tp_bytes whole = bytes("what do ya want for nothing?");
	const struct tp_bytes parts[] = {
		bytes("what do ya "),
		bytes(""),
		bytes("want for"),
		bytes(" nothing?"),
	};
	uint8_t want[TP_SHA256_LEN], got[TP_SHA256_LEN];

	(void)state;
	tp_hmac_sha256("Jefe", 4, &whole, 1, want);
	tp_hmac_sha256("Jefe", 4, parts, N(parts), got);
	assert_memory_equal(got, want, sizeof(got));
	tp_hmac_sha1("Jefe", 4, &whole, 1, want);
	tp_hmac_sha1("Jefe", 4, parts, N(parts), got);
	assert_memory_equal(got, want, TP_SHA1_LEN);
}

/* RFC 8489 section 9.2.2 */
static void long_term_key(void **state)
{
	const struct tp_bytes user = bytes("user"), realm = bytes("realm"), pass = bytes("pass");
	uint8_t key[TP_KEY_MD5_LEN];

	(void)state;
	tp_key_long_term(&user, &realm, &pass, key);
	assert_hex("user:realm:pass", key, sizeof(key), "8493fbc53ba582fb4c044c456bdc40eb");
}

struct vector {
	const char *what;
	const uint8_t *data;
	size_t len;
};

/* RFC 5769 sections 2.1 to 2.3 */
static const struct vector short_term[] = {
	{ "2.1 request", rfc5769_request, RFC5769_REQUEST_LEN },
	{ "2.2 IPv4 response", rfc5769_ipv4, RFC5769_IPV4_LEN },
	{ "2.3 IPv6 response", rfc5769_ipv6, RFC5769_IPV6_LEN },
};

static int check(const uint8_t *data, size_t len, const char *key)
{
	struct tp_stun_msg msg;

	assert_int_equal(tp_stun_decode(data, len, &msg), TP_STUN_PARSE_OK);
	return tp_integrity_check(&msg, (const uint8_t *)key, strlen(key));
}

static void rfc5769_short_term(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < N(short_term); i++) {
		if (check(short_term[i].data, short_term[i].len, RFC5769_PASSWORD) != 0)
			fail_msg("%s", short_term[i].what);
		assert_int_equal(check(short_term[i].data, short_term[i].len, "wrong"), -EBADMSG);
		assert_int_equal(check(short_term[i].data, short_term[i].len, ""), -EBADMSG);
	}
}

/* RFC 5769 section 2.4 */
static void rfc5769_2_4_long_term(void **state)
{
	const struct tp_bytes user = bytes(RFC5769_USERNAME), realm = bytes(RFC5769_REALM);
	const struct tp_bytes good = bytes(RFC5769_LONG_TERM_PASSWORD), bad = bytes("Neo");
	uint8_t key[TP_KEY_MD5_LEN];
	struct tp_stun_msg msg;

	(void)state;
	assert_int_equal(tp_stun_decode(rfc5769_long_term, RFC5769_LONG_TERM_LEN, &msg),
			TP_STUN_PARSE_OK);
	tp_key_long_term(&user, &realm, &good, key);
	assert_int_equal(tp_integrity_check(&msg, key, sizeof(key)), 0);
	tp_key_long_term(&user, &realm, &bad, key);
	assert_int_equal(tp_integrity_check(&msg, key, sizeof(key)), -EBADMSG);
}

static void rfc5769_fingerprints(void **state)
{
	static const uint32_t want[] = { 0xe57a3bcf, 0xc07d4c96, 0xc8fb0b4c };
	size_t i;

	(void)state;
	for (i = 0; i < N(short_term); i++)
		if (tp_fingerprint(short_term[i].data, short_term[i].len - 8) != want[i])
			fail_msg("%s", short_term[i].what);
}

/* Every bit that MESSAGE-INTEGRITY covers matters, and every bit of itself. */
static void any_flipped_bit_is_noticed(void **state)
{
	uint8_t data[RFC5769_LONG_TERM_LEN], key[TP_KEY_MD5_LEN];
	const struct tp_bytes user = bytes(RFC5769_USERNAME), realm = bytes(RFC5769_REALM);
	const struct tp_bytes pass = bytes(RFC5769_LONG_TERM_PASSWORD);
	struct tp_stun_msg msg;
	size_t bit;

	(void)state;
	tp_key_long_term(&user, &realm, &pass, key);
	for (bit = 0; bit < 8 * sizeof(data); bit++) {
		memcpy(data, rfc5769_long_term, sizeof(data));
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (tp_stun_decode(data, sizeof(data), &msg) != TP_STUN_PARSE_OK)
			continue;
		if (tp_integrity_check(&msg, key, sizeof(key)) == 0)
			fail_msg("bit %zu", bit);
	}
}

static void absent_or_of_another_length(void **state)
{
	static const uint8_t none[] = "\x00\x01\x00\x00\x21\x12\xa4\x42tid tid tid ";
	static const uint8_t cut[] = "\x00\x01\x00\x14\x21\x12\xa4\x42tid tid tid "
				     "\x00\x08\x00\x10sixteen bytes...";
	static const uint8_t empty[] = "\x00\x01\x00\x04\x21\x12\xa4\x42tid tid tid "
				       "\x00\x08\x00\x00";

	(void)state;
	assert_int_equal(check(none, sizeof(none) - 1, "key"), -ENOENT);
	assert_int_equal(check(cut, sizeof(cut) - 1, "key"), -EBADMSG);
	assert_int_equal(check(empty, sizeof(empty) - 1, "key"), -EBADMSG);
}

/* A right value in front of four more bytes. */
static void a_longer_value_is_wrong(void **state)
{
	uint8_t data[] = "\x00\x01\x00\x1c\x21\x12\xa4\x42tid tid tid "
			 "\x00\x08\x00\x18twenty-four bytes......";

	(void)state;
	tp_integrity_compute(data, TP_STUN_HDR_LEN, (const uint8_t *)"key", 3,
			data + TP_STUN_HDR_LEN + 4);
	assert_int_equal(check(data, sizeof(data), "key"), -EBADMSG);
}

/* No cmocka in here: it belongs to the main thread. */
static void *check_vectors(void *arg)
{
	const uint8_t *key = (const uint8_t *)RFC5769_PASSWORD;
	struct tp_stun_msg msg;
	int *failures = arg;
	size_t i;

	for (i = 0; i < 100 * N(short_term); i++) {
		const struct vector *v = &short_term[i % N(short_term)];

		if (tp_stun_decode(v->data, v->len, &msg) != TP_STUN_PARSE_OK ||
				tp_integrity_check(&msg, key, strlen(RFC5769_PASSWORD)) != 0)
			(*failures)++;
	}
	return NULL;
}

/* ---- MESSAGE-INTEGRITY-SHA256 (RFC 8489 section 14.6) ---- */

static struct tp_key rfc8489_key(enum tp_password_algorithm algorithm)
{
	const struct tp_bytes user = bytes(RFC8489_USERNAME), realm = bytes(RFC8489_REALM);
	const struct tp_bytes password = bytes(RFC8489_PASSWORD);
	struct tp_key key;

	tp_key_make(algorithm, &user, &realm, &password, &key);
	return key;
}

static int check_sha256(const uint8_t *data, size_t len, const struct tp_key *key)
{
	struct tp_stun_msg msg;

	assert_int_equal(tp_stun_decode(data, len, &msg), TP_STUN_PARSE_OK);
	return tp_integrity_sha256_check(&msg, key->data, key->len);
}

/* With its length as it is printed. */
static void rfc8489_b_1(void **state)
{
	const struct tp_bytes user = bytes(RFC8489_USERNAME), realm = bytes(RFC8489_REALM);
	const struct tp_bytes covered = { rfc8489_request, RFC8489_MAC_AT - 4 };
	const struct tp_key key = rfc8489_key(TP_ALGORITHM_SHA256);
	uint8_t hash[TP_SHA256_LEN];

	(void)state;
	tp_userhash(&user, &realm, hash);
	assert_memory_equal(rfc8489_request + TP_STUN_HDR_LEN + 4, hash, sizeof(hash));
	tp_hmac_sha256(key.data, key.len, &covered, 1, hash);
	assert_memory_equal(rfc8489_request + RFC8489_MAC_AT, hash, sizeof(hash));
}

/* With the length that it has, and the HMAC made anew. */
static void mend(uint8_t data[RFC8489_REQUEST_LEN], const struct tp_key *key)
{
	memcpy(data, rfc8489_request, RFC8489_REQUEST_LEN);
	data[3] = RFC8489_REQUEST_LEN - TP_STUN_HDR_LEN;
	tp_hmac_sha256(key->data, key->len, &(struct tp_bytes){ data, RFC8489_MAC_AT - 4 }, 1,
			data + RFC8489_MAC_AT);
}

static void rfc8489_b_1_mended(void **state)
{
	const struct tp_key sha256 = rfc8489_key(TP_ALGORITHM_SHA256);
	const struct tp_key md5 = rfc8489_key(TP_ALGORITHM_MD5);
	uint8_t data[RFC8489_REQUEST_LEN];
	struct tp_stun_msg msg;

	(void)state;
	assert_int_equal(tp_stun_decode(rfc8489_request, RFC8489_REQUEST_LEN, &msg),
			TP_STUN_PARSE_NOT_STUN);
	mend(data, &sha256);
	assert_int_equal(tp_stun_decode(data, sizeof(data), &msg), TP_STUN_PARSE_OK);
	assert_int_equal(msg.attr[TP_STUN_USERHASH_AT].len, TP_STUN_USERHASH_LEN);
	assert_int_equal(msg.attr[TP_STUN_NONCE_AT].len, strlen(RFC8489_NONCE));
	assert_int_equal(tp_integrity_sha256_check(&msg, sha256.data, sha256.len), 0);
	assert_int_equal(tp_integrity_sha256_check(&msg, md5.data, md5.len), -EBADMSG);
	assert_int_equal(tp_integrity_check(&msg, sha256.data, sha256.len), -ENOENT);
}

static void any_flipped_bit_is_noticed_by_sha256(void **state)
{
	const struct tp_key key = rfc8489_key(TP_ALGORITHM_SHA256);
	uint8_t data[RFC8489_REQUEST_LEN];
	struct tp_stun_msg msg;

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
		mend(data, &key);
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (tp_stun_decode(data, sizeof(data), &msg) != TP_STUN_PARSE_OK)
			continue;
		if (tp_integrity_sha256_check(&msg, key.data, key.len) == 0)
			fail_msg("bit %zu", bit);
	}
}

/* TURN does not allow truncation: a right value that is shorter, or longer, is wrong. */
static void sha256_is_never_truncated(void **state)
{
	const struct tp_key key = { 3, "key" };
	uint8_t data[TP_STUN_HDR_LEN + 4 + 40] = "\x00\x01\x00\x00\x21\x12\xa4\x42tid tid tid ";
	uint8_t header[TP_STUN_HDR_LEN], mac[40] = { 0 };

	(void)state;
	for (uint8_t len = 0; len <= 40; len += 4) {
		data[3] = (uint8_t)(4 + len);
		memcpy(data + TP_STUN_HDR_LEN, "\x00\x1c\x00", 3);
		data[TP_STUN_HDR_LEN + 3] = len;
		memcpy(header, data, sizeof(header));
		tp_hmac_sha256(key.data, key.len, &(struct tp_bytes){ header, sizeof(header) }, 1,
				mac);
		memcpy(data + TP_STUN_HDR_LEN + 4, mac, len);
		assert_int_equal(check_sha256(data, TP_STUN_HDR_LEN + 4u + len, &key),
				len == 32 ? 0 : -EBADMSG);
	}
}

/* RFC 8489 section 18.5.1: printf user:realm:pass | md5sum, | sha256sum */
static void keys_of_both_algorithms(void **state)
{
	const struct tp_bytes user = bytes("user"), realm = bytes("realm"), pass = bytes("pass");
	struct tp_key key;

	(void)state;
	tp_key_make(TP_ALGORITHM_MD5, &user, &realm, &pass, &key);
	assert_int_equal(key.len, 16);
	assert_hex("MD5", key.data, key.len, "8493fbc53ba582fb4c044c456bdc40eb");
	tp_key_make(TP_ALGORITHM_SHA256, &user, &realm, &pass, &key);
	assert_int_equal(key.len, 32);
	assert_hex("SHA-256", key.data, key.len,
			"07e934117abd40836e7c6329b54731b2b2d2a5f9a71f544922d75e0730d8251b");
}

/* Each has contexts of its own, and leaves none behind (LeakSanitizer). */
static void threads(void **state)
{
	pthread_t thread[4];
	int failures[4] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < N(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, check_vectors, &failures[i]), 0);
	for (i = 0; i < N(thread); i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(failures[i], 0);
	}
}

static void secrets(void **state)
{
	char a[] = "secret", b[] = "secres";

	(void)state;
	assert_true(tp_secret_equal(a, "secret", 6));
	assert_false(tp_secret_equal(a, b, 6));
	assert_true(tp_secret_equal(a, b, 5));
	assert_true(tp_secret_equal(a, b, 0));
	tp_secret_wipe(a, sizeof(a));
	assert_memory_equal(a, "\0\0\0\0\0\0", sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hmac_vectors),
		cmocka_unit_test(keys_in_any_order),
		cmocka_unit_test(no_key_is_an_empty_key),
		cmocka_unit_test(parts_are_hashed_in_order),
		cmocka_unit_test(long_term_key),
		cmocka_unit_test(rfc5769_short_term),
		cmocka_unit_test(rfc5769_2_4_long_term),
		cmocka_unit_test(rfc5769_fingerprints),
		cmocka_unit_test(any_flipped_bit_is_noticed),
		cmocka_unit_test(absent_or_of_another_length),
		cmocka_unit_test(a_longer_value_is_wrong),
		cmocka_unit_test(rfc8489_b_1),
		cmocka_unit_test(rfc8489_b_1_mended),
		cmocka_unit_test(any_flipped_bit_is_noticed_by_sha256),
		cmocka_unit_test(sha256_is_never_truncated),
		cmocka_unit_test(keys_of_both_algorithms),
		cmocka_unit_test(threads),
		cmocka_unit_test(secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
