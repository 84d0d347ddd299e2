/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun_build.h"

#include "rfc5769.h"
#include "rfc8489.h"
#include "wire/be.h"
#include "wire/integrity.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

#define ROOM 512

static const uint8_t tid[TP_STUN_TID_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

static void decode(const uint8_t *buf, size_t len, struct tp_stun_msg *msg)
{
	assert_int_equal(len % 4, 0);
	assert_int_equal(tp_stun_decode(buf, len, msg), TP_STUN_PARSE_OK);
}

/* RFC 8489 section 5, for every method and class */
static void headers(void **state)
{
	uint8_t buf[TP_STUN_HDR_LEN];
	struct tp_stun_builder b;
	struct tp_stun_msg msg;
	uint16_t method;
	int class;

	(void)state;
	for (method = 0; method <= 0xfff; method++) {
		for (class = TP_STUN_REQUEST; class <= TP_STUN_ERROR; class ++) {
			tp_stun_begin(&b, buf, sizeof(buf), method, class, tid);
			decode(buf, tp_stun_finish(&b), &msg);
			assert_int_equal(msg.method, method);
			assert_int_equal(msg.class, class);
			assert_memory_equal(msg.tid, tid, sizeof(tid));
		}
	}
}

/* RFC 5769 section 2.4, whose padding is zero as ours is: the same bytes come out. */
static void rfc5769_2_4_long_term(void **state)
{
	const struct tp_bytes user = { RFC5769_USERNAME, strlen(RFC5769_USERNAME) };
	const struct tp_bytes realm = { RFC5769_REALM, strlen(RFC5769_REALM) };
	const struct tp_bytes pass = { RFC5769_LONG_TERM_PASSWORD,
		strlen(RFC5769_LONG_TERM_PASSWORD) };
	uint8_t buf[ROOM], key[TP_KEY_MD5_LEN];
	struct tp_stun_builder b;

	(void)state;
	tp_key_long_term(&user, &realm, &pass, key);
	tp_stun_begin(&b, buf, sizeof(buf), TP_STUN_BINDING, TP_STUN_REQUEST,
			rfc5769_long_term + 8);
	tp_stun_put(&b, TP_STUN_ATTR_USERNAME, user.data, user.len);
	tp_stun_put(&b, TP_STUN_ATTR_NONCE, RFC5769_NONCE, strlen(RFC5769_NONCE));
	tp_stun_put(&b, TP_STUN_ATTR_REALM, realm.data, realm.len);
	tp_stun_put_integrity(&b, key, sizeof(key));
	assert_int_equal(tp_stun_finish(&b), RFC5769_LONG_TERM_LEN);
	assert_memory_equal(buf, rfc5769_long_term, RFC5769_LONG_TERM_LEN);
}

/* RFC 5769 sections 2.2 and 2.3, but for the padding of SOFTWARE and what is computed over it */
static void rfc5769_responses(void **state)
{
	const uint8_t *key = (const uint8_t *)RFC5769_PASSWORD;
	struct tp_stun_builder b;
	struct tp_stun_msg msg;
	struct tp_addr addr;
	uint8_t buf[ROOM];
	size_t i, mi;

	(void)state;
	for (i = 0; i < N(rfc5769_mapped); i++) {
		tp_addr_parse(rfc5769_mapped[i].ip, RFC5769_PORT, &addr);
		tp_stun_begin(&b, buf, sizeof(buf), TP_STUN_BINDING, TP_STUN_SUCCESS,
				rfc5769_mapped[i].data + 8);
		tp_stun_put(&b, TP_STUN_ATTR_SOFTWARE, "test vector", 11);
		tp_stun_put_xor_addr(&b, TP_STUN_ATTR_XOR_MAPPED_ADDRESS, &addr);
		mi = b.len;
		tp_stun_put_integrity(&b, key, strlen(RFC5769_PASSWORD));
		tp_stun_put_fingerprint(&b);
		assert_int_equal(tp_stun_finish(&b), rfc5769_mapped[i].len);
		assert_int_equal(buf[35], 0);
		buf[35] = ' ';
		assert_memory_equal(buf, rfc5769_mapped[i].data, mi);
		buf[35] = 0;
		decode(buf, rfc5769_mapped[i].len, &msg);
		assert_int_equal(tp_integrity_check(&msg, key, strlen(RFC5769_PASSWORD)), 0);
		assert_true(tp_stun_has(&msg, TP_STUN_FINGERPRINT_AT));
	}
}

static void values_are_read_back(void **state)
{
	static const uint16_t unknown[] = { 0x0024, 0x7f00, 0x7f01 };
	uint8_t buf[ROOM], u8;
	struct tp_stun_builder b;
	struct tp_addr v4, v6, got;
	struct tp_stun_msg msg;
	uint16_t channel;
	uint32_t u32;

	(void)state;
	tp_addr_parse("198.51.100.7", 1, &v4);
	tp_addr_parse("2001:db8::7", 65535, &v6);
	tp_stun_begin(&b, buf, sizeof(buf), TP_STUN_ALLOCATE, TP_STUN_SUCCESS, tid);
	tp_stun_put_u32(&b, TP_STUN_ATTR_LIFETIME, 0x12345678);
	tp_stun_put_u8_of4(&b, TP_STUN_ATTR_REQUESTED_TRANSPORT, 17);
	tp_stun_put_channel(&b, 0x4fff);
	tp_stun_put_xor_addr(&b, TP_STUN_ATTR_XOR_RELAYED_ADDRESS, &v4);
	tp_stun_put_xor_addr(&b, TP_STUN_ATTR_XOR_PEER_ADDRESS, &v6);
	tp_stun_put_unknown(&b, unknown, N(unknown));
	tp_stun_put(&b, TP_STUN_ATTR_DATA, NULL, 0);
	decode(buf, tp_stun_finish(&b), &msg);

	assert_int_equal(tp_stun_get_u32(&msg, TP_STUN_LIFETIME_AT, &u32), 0);
	assert_int_equal(u32, 0x12345678);
	assert_int_equal(tp_stun_get_u32(&msg, TP_STUN_REQUESTED_TRANSPORT_AT, &u32), 0);
	assert_int_equal(u32, 0x11000000);
	assert_int_equal(tp_stun_get_u8_of4(&msg, TP_STUN_REQUESTED_TRANSPORT_AT, &u8), 0);
	assert_int_equal(u8, 17);
	assert_int_equal(tp_stun_get_channel(&msg, &channel), 0);
	assert_int_equal(channel, 0x4fff);
	assert_int_equal(tp_stun_get_xor_addr(&msg, TP_STUN_XOR_RELAYED_ADDRESS_AT, &got), 0);
	assert_true(tp_addr_equal(&got, &v4));
	assert_int_equal(tp_stun_get_xor_addr(&msg, TP_STUN_XOR_PEER_ADDRESS_AT, &got), 0);
	assert_true(tp_addr_equal(&got, &v6));
	assert_int_equal(msg.attr[TP_STUN_UNKNOWN_ATTRIBUTES_AT].len, 6);
	assert_memory_equal(msg.attr[TP_STUN_UNKNOWN_ATTRIBUTES_AT].data,
			"\x00\x24\x7f\x00\x7f\x01", 6);
	assert_true(tp_stun_has(&msg, TP_STUN_DATA_AT));
	assert_int_equal(msg.attr[TP_STUN_DATA_AT].len, 0);
}

/* As RFC 8489 section 14.8, RFC 8656 section 19 and RFC 8016 section 3.4 have them, not lib/. */
static void errors(void **state)
{
	static const struct {
		enum tp_stun_err err;
		const char *reason;
	} cases[] = {
		{ TP_STUN_TRY_ALTERNATE, "Try Alternate" },
		{ TP_STUN_BAD_REQUEST, "Bad Request" },
		{ TP_STUN_UNAUTHENTICATED, "Unauthenticated" },
		{ TP_STUN_FORBIDDEN, "Forbidden" },
		{ TP_STUN_MOBILITY_FORBIDDEN, "Mobility Forbidden" },
		{ TP_STUN_UNKNOWN_ATTRIBUTE, "Unknown Attribute" },
		{ TP_STUN_ALLOCATION_MISMATCH, "Allocation Mismatch" },
		{ TP_STUN_STALE_NONCE, "Stale Nonce" },
		{ TP_STUN_FAMILY_UNSUPPORTED, "Address Family not Supported" },
		{ TP_STUN_WRONG_CREDENTIALS, "Wrong Credentials" },
		{ TP_STUN_TRANSPORT_UNSUPPORTED, "Unsupported Transport Protocol" },
		{ TP_STUN_PEER_FAMILY_MISMATCH, "Peer Address Family Mismatch" },
		{ TP_STUN_QUOTA_REACHED, "Allocation Quota Reached" },
		{ TP_STUN_SERVER_ERROR, "Server Error" },
		{ TP_STUN_INSUFFICIENT_CAPACITY, "Insufficient Capacity" },
	};
	const struct tp_stun_value *value;
	struct tp_stun_builder b;
	struct tp_stun_msg msg;
	uint8_t buf[ROOM];
	uint16_t code;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		tp_stun_begin(&b, buf, sizeof(buf), TP_STUN_ALLOCATE, TP_STUN_ERROR, tid);
		tp_stun_put_error(&b, cases[i].err);
		decode(buf, tp_stun_finish(&b), &msg);
		assert_int_equal(tp_stun_get_error(&msg, &code), 0);
		assert_int_equal(code, cases[i].err);
		value = &msg.attr[TP_STUN_ERROR_CODE_AT];
		assert_int_equal(value->len, 4 + strlen(cases[i].reason));
		assert_memory_equal(value->data + 4, cases[i].reason, strlen(cases[i].reason));
	}
}

/* RFC 8656 section 18.12 */
static void address_error(void **state)
{
	static const char want[] = "\x80\x01\x00\x19\x02\x00\x05\x08Insufficient Capacity\0\0";
	struct tp_stun_builder b;
	uint8_t buf[ROOM];

	(void)state;
	tp_stun_begin(&b, buf, sizeof(buf), TP_STUN_ALLOCATE, TP_STUN_SUCCESS, tid);
	tp_stun_put_address_error(&b, TP_STUN_FAMILY_IPV6, TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(tp_stun_finish(&b), TP_STUN_HDR_LEN + sizeof(want));
	assert_memory_equal(buf + TP_STUN_HDR_LEN, want, sizeof(want));
}

/* RFC 8489 section 14 (CVE-2020-4067): what was in the buffer before is no padding. */
static void padding_is_zero(void **state)
{
	struct tp_stun_builder b;
	uint8_t buf[ROOM];
	size_t len, i;

	(void)state;
	for (len = 0; len <= 9; len++) {
		memset(buf, 0xaa, sizeof(buf));
		tp_stun_begin(&b, buf, sizeof(buf), TP_STUN_ALLOCATE, TP_STUN_ERROR, tid);
		tp_stun_put(&b, TP_STUN_ATTR_REALM, "example.org", len);
		assert_int_equal(tp_stun_finish(&b), TP_STUN_HDR_LEN + 4 + (len + 3) / 4 * 4);
		for (i = TP_STUN_HDR_LEN + 4 + len; i < b.len; i++)
			assert_int_equal(buf[i], 0);
	}
}

/* The same message, into every room from none to enough. */
static size_t build(uint8_t *buf, size_t room)
{
	struct tp_stun_builder b;
	struct tp_addr addr;

	tp_addr_parse("192.0.2.1", 7, &addr);
	tp_stun_begin(&b, buf, room, TP_STUN_ALLOCATE, TP_STUN_ERROR, tid);
	tp_stun_put_error(&b, TP_STUN_UNAUTHENTICATED);
	tp_stun_put(&b, TP_STUN_ATTR_REALM, "realm", 5);
	tp_stun_put_xor_addr(&b, TP_STUN_ATTR_XOR_MAPPED_ADDRESS, &addr);
	tp_stun_put_u32(&b, TP_STUN_ATTR_LIFETIME, 1);
	tp_stun_put_unknown(&b, (const uint16_t[]){ 1 }, 1);
	tp_stun_put_integrity(&b, (const uint8_t *)"key", 3);
	tp_stun_put_fingerprint(&b);
	return tp_stun_finish(&b);
}

static void what_does_not_fit_is_void(void **state)
{
	uint8_t whole[ROOM], *buf;
	size_t room, full = build(whole, sizeof(whole));

	(void)state;
	assert_true(full > 0);
	for (room = 0; room <= full; room++) {
		/* Exact size: one byte too many is an ASan report. */
		buf = malloc(room > 0 ? room : 1);
		assert_int_equal(build(buf, room), room < full ? 0 : full);
		if (room == full)
			assert_memory_equal(buf, whole, full);
		free(buf);
	}
}

/* Something small that would still fit does not make a message of what is left. */
static void full_stays_full(void **state)
{
	uint8_t buf[TP_STUN_HDR_LEN + 8];
	struct tp_stun_builder b;

	(void)state;
	tp_stun_begin(&b, buf, sizeof(buf), TP_STUN_BINDING, TP_STUN_SUCCESS, tid);
	tp_stun_put(&b, TP_STUN_ATTR_REALM, "realm", 5);
	tp_stun_put_u32(&b, TP_STUN_ATTR_LIFETIME, 1);
	assert_true(b.is_full);
	assert_int_equal(b.len, TP_STUN_HDR_LEN);
	assert_int_equal(tp_stun_finish(&b), 0);
}

/* The length field holds 65532 at most, however much room there is. */
static void the_length_field_is_a_limit(void **state)
{
	static const struct {
		const char *what;
		size_t len, want;
	} cases[] = {
		{ "largest", 65528, TP_STUN_HDR_LEN + 65532 },
		{ "one more", 65529, 0 },
		{ "65536", 65536, 0 },
		{ "so large that padding it wraps around", SIZE_MAX, 0 },
	};
	uint8_t *buf = malloc(2 * 65536), *data = calloc(1, 65536);
	struct tp_stun_builder b;
	struct tp_stun_msg msg;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		tp_stun_begin(&b, buf, 2 * 65536, TP_STUN_DATA, TP_STUN_INDICATION, tid);
		tp_stun_put(&b, TP_STUN_ATTR_DATA, data, cases[i].len);
		if (tp_stun_finish(&b) != cases[i].want)
			fail_msg("%s", cases[i].what);
		if (cases[i].want > 0)
			decode(buf, cases[i].want, &msg);
	}

	tp_stun_begin(&b, buf, 2 * 65536, TP_STUN_DATA, TP_STUN_INDICATION, tid);
	tp_stun_put(&b, TP_STUN_ATTR_DATA, data, 65528);
	tp_stun_put(&b, TP_STUN_ATTR_DONT_FRAGMENT, NULL, 0);
	assert_int_equal(tp_stun_finish(&b), 0);
	free(buf);
	free(data);
}

/* RFC 8489 appendix B.1, but for its length, which is wrong, and so for the HMAC. */
static void rfc8489_b_1(void **state)
{
	const struct tp_bytes user = { RFC8489_USERNAME, strlen(RFC8489_USERNAME) };
	const struct tp_bytes realm = { RFC8489_REALM, strlen(RFC8489_REALM) };
	const struct tp_bytes password = { RFC8489_PASSWORD, strlen(RFC8489_PASSWORD) };
	uint8_t buf[256], hash[TP_SHA256_LEN];
	struct tp_stun_builder b;
	struct tp_stun_msg msg;
	struct tp_key key;

	(void)state;
	tp_userhash(&user, &realm, hash);
	tp_key_make(TP_ALGORITHM_SHA256, &user, &realm, &password, &key);
	tp_stun_begin(&b, buf, sizeof(buf), TP_STUN_BINDING, TP_STUN_REQUEST, rfc8489_request + 8);
	tp_stun_put(&b, TP_STUN_ATTR_USERHASH, hash, sizeof(hash));
	tp_stun_put(&b, TP_STUN_ATTR_NONCE, RFC8489_NONCE, strlen(RFC8489_NONCE));
	tp_stun_put(&b, TP_STUN_ATTR_REALM, RFC8489_REALM, strlen(RFC8489_REALM));
	tp_stun_put_integrity_sha256(&b, key.data, key.len);
	assert_int_equal(tp_stun_finish(&b), RFC8489_REQUEST_LEN);
	assert_int_equal(buf[3], RFC8489_REQUEST_LEN - TP_STUN_HDR_LEN);
	assert_memory_equal(buf + 4, rfc8489_request + 4, RFC8489_MAC_AT - 4);
	decode(buf, b.len, &msg);
	assert_int_equal(tp_integrity_sha256_check(&msg, key.data, key.len), 0);
}

/* RFC 8489 section 9: both, and FINGERPRINT after them; each covers what is before it. */
static void both_integrities_and_a_fingerprint(void **state)
{
	const uint8_t key[] = "key";
	struct tp_stun_builder b;
	struct tp_stun_msg msg;
	uint8_t buf[256];
	size_t len;

	(void)state;
	tp_stun_begin(&b, buf, sizeof(buf), TP_STUN_BINDING, TP_STUN_REQUEST, tid);
	tp_stun_put_algorithm(&b, TP_ALGORITHM_SHA256);
	tp_stun_put_integrity(&b, key, 3);
	tp_stun_put_integrity_sha256(&b, key, 3);
	tp_stun_put_fingerprint(&b);
	len = tp_stun_finish(&b);
	decode(buf, len, &msg);
	assert_int_equal(msg.attr[TP_STUN_PASSWORD_ALGORITHM_AT].len, 4);
	assert_memory_equal(msg.attr[TP_STUN_PASSWORD_ALGORITHM_AT].data, "\0\2\0\0", 4);
	assert_int_equal(tp_integrity_check(&msg, key, 3), 0);
	assert_int_equal(tp_integrity_sha256_check(&msg, key, 3), 0);
	msg.raw = buf;
	buf[TP_STUN_HDR_LEN + 8 + 4] ^= 1; /* in the first, which the second covers */
	assert_int_equal(tp_integrity_check(&msg, key, 3), -EBADMSG);
	assert_int_equal(tp_integrity_sha256_check(&msg, key, 3), -EBADMSG);
}

static void an_error_without_a_phrase(void **state)
{
	struct tp_stun_builder b;
	struct tp_stun_msg msg;
	uint8_t buf[64];
	uint16_t code;

	(void)state;
	tp_stun_begin(&b, buf, sizeof(buf), TP_STUN_BINDING, TP_STUN_ERROR, tid);
	tp_stun_put_error_code(&b, TP_STUN_UNKNOWN_ATTRIBUTE);
	assert_int_equal(tp_stun_finish(&b), TP_STUN_HDR_LEN + 8);
	decode(buf, b.len, &msg);
	assert_int_equal(tp_stun_get_error(&msg, &code), 0);
	assert_int_equal(code, 420);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),
		cmocka_unit_test(rfc5769_2_4_long_term),
		cmocka_unit_test(rfc5769_responses),
		cmocka_unit_test(values_are_read_back),
		cmocka_unit_test(errors),
		cmocka_unit_test(address_error),
		cmocka_unit_test(padding_is_zero),
		cmocka_unit_test(what_does_not_fit_is_void),
		cmocka_unit_test(full_stays_full),
		cmocka_unit_test(the_length_field_is_a_limit),
		cmocka_unit_test(rfc8489_b_1),
		cmocka_unit_test(both_integrities_and_a_fingerprint),
		cmocka_unit_test(an_error_without_a_phrase),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
