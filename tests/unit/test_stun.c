/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun.h"

#include "rfc5769.h"
#include "wire/be.h"
#include "wire/integrity.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* Attributes in a string: pointer and length. */
#define A(text) (const uint8_t *)(text), sizeof(text) - 1

#define TID "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"
#define MI "\x00\x08\x00\x14twenty bytes of HMAC"
#define MI_SHA256 "\x00\x1c\x00\x20thirty-two bytes of HMAC-SHA256."

static const char software[] = "\x80\x22\x00\x04soft";

struct message {
	struct tp_stun_msg msg;
	enum tp_stun_parse parse;
	uint8_t *raw; /* exact-size: one byte of over-read is an ASan report */
	size_t len;
};

static void message_init(struct message *m, uint16_t type, const uint8_t *attrs, size_t len)
{
	m->len = TP_STUN_HDR_LEN + len;
	m->raw = malloc(m->len);
	tp_be16_put(m->raw, type);
	tp_be16_put(m->raw + 2, (uint16_t)len);
	tp_be32_put(m->raw + 4, TP_STUN_COOKIE);
	memcpy(m->raw + 8, TID, TP_STUN_TID_LEN);
	memcpy(m->raw + TP_STUN_HDR_LEN, attrs, len);
	m->parse = tp_stun_decode(m->raw, m->len, &m->msg);
}

static void message_fini(struct message *m)
{
	free(m->raw);
}

/* Append a right FINGERPRINT. */
static void message_fingerprint(struct message *m)
{
	m->raw = realloc(m->raw, m->len + 8);
	tp_be16_put(m->raw + 2, (uint16_t)(m->len + 8 - TP_STUN_HDR_LEN));
	tp_be32_put(m->raw + m->len, 0x80280004);
	tp_be32_put(m->raw + m->len + 4, tp_fingerprint(m->raw, m->len));
	m->len += 8;
	m->parse = tp_stun_decode(m->raw, m->len, &m->msg);
}

static void assert_value(const struct tp_stun_msg *msg, enum tp_stun_index at, const char *want)
{
	assert_true(tp_stun_has(msg, at));
	assert_int_equal(msg->attr[at].len, strlen(want));
	assert_memory_equal(msg->attr[at].data, want, strlen(want));
}

/* RFC 5769 section 2.1; PRIORITY is unknown to a relay, ICE-CONTROLLED is optional. */
static void rfc5769_2_1_request(void **state)
{
	struct tp_stun_msg msg;

	(void)state;
	assert_int_equal(tp_stun_decode(rfc5769_request, RFC5769_REQUEST_LEN, &msg),
			TP_STUN_PARSE_OK);
	assert_int_equal(msg.method, TP_STUN_BINDING);
	assert_int_equal(msg.class, TP_STUN_REQUEST);
	assert_memory_equal(msg.tid, "\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae", 12);
	assert_ptr_equal(msg.raw, rfc5769_request);
	assert_int_equal(msg.len, RFC5769_REQUEST_LEN);
	assert_value(&msg, TP_STUN_SOFTWARE_AT, "STUN test client");
	assert_value(&msg, TP_STUN_USERNAME_AT, "evtj:h6vY");
	assert_int_equal(msg.n_unknown, 1);
	assert_int_equal(msg.unknown[0], 0x0024);
	assert_int_equal(msg.attrs_end, RFC5769_REQUEST_LEN - 8 - 24);
}

/* RFC 5769 sections 2.2 and 2.3 */
static void rfc5769_responses(void **state)
{
	static const struct {
		const char *what;
		const uint8_t *data;
		size_t len;
		const char *ip;
	} cases[] = {
		{ "2.2", rfc5769_ipv4, RFC5769_IPV4_LEN, "192.0.2.1" },
		{ "2.3", rfc5769_ipv6, RFC5769_IPV6_LEN, "2001:db8:1234:5678:11:2233:4455:6677" },
	};
	struct tp_addr want, got;
	struct tp_stun_msg msg;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		if (tp_stun_decode(cases[i].data, cases[i].len, &msg) != TP_STUN_PARSE_OK)
			fail_msg("%s", cases[i].what);
		assert_int_equal(msg.method, TP_STUN_BINDING);
		assert_int_equal(msg.class, TP_STUN_SUCCESS);
		assert_value(&msg, TP_STUN_SOFTWARE_AT, "test vector");
		assert_int_equal(msg.n_unknown, 0);
		tp_addr_parse(cases[i].ip, 32853, &want);
		assert_int_equal(
				tp_stun_get_xor_addr(&msg, TP_STUN_XOR_MAPPED_ADDRESS_AT, &got), 0);
		assert_true(tp_addr_equal(&want, &got));
	}
}

/* RFC 5769 section 2.4 */
static void rfc5769_2_4_long_term(void **state)
{
	struct tp_stun_msg msg;

	(void)state;
	assert_int_equal(tp_stun_decode(rfc5769_long_term, RFC5769_LONG_TERM_LEN, &msg),
			TP_STUN_PARSE_OK);
	assert_value(&msg, TP_STUN_USERNAME_AT, RFC5769_USERNAME);
	assert_value(&msg, TP_STUN_NONCE_AT, RFC5769_NONCE);
	assert_value(&msg, TP_STUN_REALM_AT, RFC5769_REALM);
	assert_false(tp_stun_has(&msg, TP_STUN_FINGERPRINT_AT));
}

/* RFC 8489 sections 5 and 6.3: what is not STUN is told from what is broken. */
static void base_checks(void **state)
{
	static const struct {
		const char *what;
		uint8_t at, value;
		enum tp_stun_parse want;
	} cases[] = {
		{ "untouched", 8, 1, TP_STUN_PARSE_OK },
		{ "ChannelData", 0, 0x40, TP_STUN_PARSE_NOT_STUN },
		{ "RTP", 0, 0x80, TP_STUN_PARSE_NOT_STUN },
		{ "first cookie byte", 4, 0x20, TP_STUN_PARSE_NOT_STUN },
		{ "last cookie byte", 7, 0x43, TP_STUN_PARSE_NOT_STUN },
		{ "length too short", 3, 4, TP_STUN_PARSE_NOT_STUN },
		{ "length too long", 3, 12, TP_STUN_PARSE_NOT_STUN },
		{ "length not a multiple of 4", 3, 7, TP_STUN_PARSE_NOT_STUN },
		{ "length far too long", 2, 0xff, TP_STUN_PARSE_NOT_STUN },
	};
	struct message m;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		message_init(&m, 0x0001, (const uint8_t *)software, 8);
		m.raw[cases[i].at] = cases[i].value;
		if (tp_stun_decode(m.raw, m.len, &m.msg) != cases[i].want)
			fail_msg("%s", cases[i].what);
		message_fini(&m);
	}
}

/* A multiple of four in the header does not help a datagram that is none. */
static void any_cut_is_not_stun(void **state)
{
	struct tp_stun_msg msg;
	uint8_t *in;
	size_t len;

	(void)state;
	for (len = 0; len < RFC5769_REQUEST_LEN; len++) {
		in = malloc(len > 0 ? len : 1);
		memcpy(in, rfc5769_request, len);
		assert_int_equal(tp_stun_decode(in, len, &msg), TP_STUN_PARSE_NOT_STUN);
		if (len >= 4 && len % 4 == 2) {
			tp_be16_put(in + 2, (uint16_t)(len - TP_STUN_HDR_LEN));
			assert_int_equal(tp_stun_decode(in, len, &msg), TP_STUN_PARSE_NOT_STUN);
		}
		free(in);
	}
}

/* RFC 8489 section 5: M11-M7, C1, M6-M4, C0, M3-M0 */
static void message_types(void **state)
{
	static const struct {
		uint16_t type, method;
		enum tp_stun_class class;
	} cases[] = {
		{ 0x0001, TP_STUN_BINDING, TP_STUN_REQUEST },
		{ 0x0011, TP_STUN_BINDING, TP_STUN_INDICATION },
		{ 0x0101, TP_STUN_BINDING, TP_STUN_SUCCESS },
		{ 0x0111, TP_STUN_BINDING, TP_STUN_ERROR },
		{ 0x0003, TP_STUN_ALLOCATE, TP_STUN_REQUEST },
		{ 0x0113, TP_STUN_ALLOCATE, TP_STUN_ERROR },
		{ 0x0016, TP_STUN_SEND, TP_STUN_INDICATION },
		{ 0x0109, TP_STUN_CHANNEL_BIND, TP_STUN_SUCCESS },
		{ 0x3eef, 0xfff, TP_STUN_REQUEST },
		{ 0x0110, 0x000, TP_STUN_ERROR },
		{ 0x0020, 0x010, TP_STUN_REQUEST },
		{ 0x0200, 0x080, TP_STUN_REQUEST },
	};
	struct message m;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		message_init(&m, cases[i].type, A(""));
		assert_int_equal(m.parse, TP_STUN_PARSE_OK);
		if (m.msg.method != cases[i].method || m.msg.class != cases[i].class)
			fail_msg("%#06x", cases[i].type);
		message_fini(&m);
	}
}

/* RFC 8489 section 14: type, length, value, padding */
static void framing(void **state)
{
	static const struct {
		const char *what;
		const uint8_t *attrs;
		size_t len;
		enum tp_stun_parse want;
	} cases[] = {
		{ "no attributes", A(""), TP_STUN_PARSE_OK },
		{ "no value", A("\x00\x1a\x00\x00"), TP_STUN_PARSE_OK },
		{ "padded", A("\x00\x06\x00\x01u\0\0\0"), TP_STUN_PARSE_OK },
		{ "padding of any value", A("\x00\x06\x00\x01uabc"), TP_STUN_PARSE_OK },
		{ "value beyond the end", A("\x00\x06\x00\x05user"), TP_STUN_PARSE_MALFORMED },
		{ "no room for any value", A("\x00\x06\x00\x01"), TP_STUN_PARSE_MALFORMED },
		{ "length far beyond", A("\x00\x06\xff\xff"), TP_STUN_PARSE_MALFORMED },
		{ "second beyond the end", A("\x00\x06\x00\x04user\x00\x14\x00\x04"),
				TP_STUN_PARSE_MALFORMED },
		{ "unknown one beyond the end", A("\x7f\x00\x00\x04"), TP_STUN_PARSE_MALFORMED },
		{ "beyond the end where ignored", A(MI "\x00\x06\x00\x04"),
				TP_STUN_PARSE_MALFORMED },
	};
	struct message m;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		message_init(&m, 0x0003, cases[i].attrs, cases[i].len);
		if (m.parse != cases[i].want)
			fail_msg("%s: got %d", cases[i].what, m.parse);
		message_fini(&m);
	}
}

/* RFC 8489 section 14: "only the first occurrence needs to be processed" */
static void the_first_occurrence_counts(void **state)
{
	static const uint8_t attrs[] = "\x00\x06\x00\x03one\0"
				       "\x00\x14\x00\x05realm\0\0\0"
				       "\x00\x06\x00\x03two";
	struct message m;

	(void)state;
	message_init(&m, 0x0003, attrs, sizeof(attrs)); /* its NUL is the padding */
	assert_int_equal(m.parse, TP_STUN_PARSE_OK);
	assert_value(&m.msg, TP_STUN_USERNAME_AT, "one");
	assert_value(&m.msg, TP_STUN_REALM_AT, "realm");
	message_fini(&m);
}

static void an_empty_value_is_present(void **state)
{
	struct message m;

	(void)state;
	message_init(&m, 0x0016, A("\x00\x13\x00\x00"));
	assert_int_equal(m.parse, TP_STUN_PARSE_OK);
	assert_true(tp_stun_has(&m.msg, TP_STUN_DATA_AT));
	assert_int_equal(m.msg.attr[TP_STUN_DATA_AT].len, 0);
	message_fini(&m);
}

/* An empty value that comes first still is the one that counts. */
static void a_second_value_does_not_replace_an_empty_one(void **state)
{
	struct message m;

	(void)state;
	message_init(&m, 0x0003, A("\x00\x06\x00\x00\x00\x06\x00\x04user"));
	assert_int_equal(m.parse, TP_STUN_PARSE_OK);
	assert_value(&m.msg, TP_STUN_USERNAME_AT, "");
	message_fini(&m);
}

static void every_known_attribute_has_its_place(void **state)
{
	static const uint16_t types[] = {
#define X(name, type) type,
		TP_STUN_ATTRS(X)
#undef X
	};
	uint8_t attr[8] = { 0, 0, 0, 4, 'a', 'b', 'c', 'd' };
	struct message m;
	size_t i, at;

	(void)state;
	for (i = 0; i < N(types); i++) {
		if (types[i] == TP_STUN_ATTR_FINGERPRINT)
			continue;
		tp_be16_put(attr, types[i]);
		message_init(&m, 0x0001, attr, sizeof(attr));
		assert_int_equal(m.parse, TP_STUN_PARSE_OK);
		assert_int_equal(m.msg.n_unknown, 0);
		for (at = 0; at < TP_STUN_ATTR_COUNT; at++)
			if (tp_stun_has(&m.msg, at) != (at == i))
				fail_msg("type %#06x at %zu", types[i], at);
		message_fini(&m);
	}
}

static bool is_known(uint32_t type)
{
	switch (type) {
#define X(name, value) case value:
		TP_STUN_ATTRS(X)
#undef X
		return true;
	default:
		return false;
	}
}

/* All 65536 types: unknown and comprehension-required means reported, and nothing else does. */
static void every_unknown_required_attribute_is_reported(void **state)
{
	uint8_t attr[4] = { 0 };
	struct message m;
	uint32_t type;
	bool want;

	(void)state;
	for (type = 0; type <= UINT16_MAX; type++) {
		if (type == TP_STUN_ATTR_FINGERPRINT)
			continue;
		tp_be16_put(attr, (uint16_t)type);
		message_init(&m, 0x0001, attr, sizeof(attr));
		want = type < 0x8000 && !is_known(type);
		if (m.msg.n_unknown != want || (want && m.msg.unknown[0] != type))
			fail_msg("type %#06x", type);
		message_fini(&m);
	}
}

static void unknown_attributes_are_distinct_and_few(void **state)
{
	uint8_t attrs[4 * 40] = { 0 };
	struct message m;
	size_t i;

	(void)state;
	/* 0x7f00, 0x7f00, 0x7f01, 0x7f01, ... */
	for (i = 0; i < 40; i++)
		tp_be16_put(attrs + 4 * i, (uint16_t)(0x7f00 + i / 2));
	message_init(&m, 0x0001, attrs, sizeof(attrs));
	assert_int_equal(m.parse, TP_STUN_PARSE_OK);
	assert_int_equal(m.msg.n_unknown, TP_STUN_UNKNOWN_MAX);
	for (i = 0; i < TP_STUN_UNKNOWN_MAX; i++)
		assert_int_equal(m.msg.unknown[i], 0x7f00 + i);
	message_fini(&m);
}

/* RFC 8489 section 9: what follows a MESSAGE-INTEGRITY does not count. */
static void after_integrity(void **state)
{
	static const struct {
		const char *what;
		const uint8_t *attrs;
		size_t len;
		bool has_username, has_mi, has_sha256, has_fingerprint;
		uint8_t n_unknown;
		size_t attrs_end;
	} cases[] = {
		{ "before", A("\x00\x06\x00\x00" MI), true, true, false, false, 0, 24 },
		{ "after", A(MI "\x00\x06\x00\x00"), false, true, false, false, 0, 20 },
		{ "unknown after", A(MI "\x7f\x00\x00\x00"), false, true, false, false, 0, 20 },
		{ "unknown before", A("\x7f\x00\x00\x00" MI), false, true, false, false, 1, 24 },
		{ "SHA-256 after", A(MI MI_SHA256), false, true, true, false, 0, 20 },
		{ "SHA-256 alone", A("\x00\x06\x00\x00" MI_SHA256), true, false, true, false, 0,
				24 },
		{ "after SHA-256 alone", A(MI_SHA256 "\x00\x06\x00\x00"), false, false, true, false,
				0, 20 },
		{ "after both", A(MI MI_SHA256 "\x00\x06\x00\x00"), false, true, true, false, 0,
				20 },
		{ "between both", A(MI "\x00\x06\x00\x00" MI_SHA256), false, true, true, false, 0,
				20 },
		{ "SHA-1 after SHA-256", A(MI_SHA256 MI), false, false, true, false, 0, 20 },
		{ "neither", A("\x00\x06\x00\x00"), true, false, false, false, 0, 24 },
	};
	struct message m;
	size_t i, round;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		message_init(&m, 0x0003, cases[i].attrs, cases[i].len);
		/* And again with a FINGERPRINT, which always counts. */
		for (round = 0; round < 2; round++) {
			if (m.parse != TP_STUN_PARSE_OK ||
					tp_stun_has(&m.msg, TP_STUN_USERNAME_AT) !=
							cases[i].has_username ||
					tp_stun_has(&m.msg, TP_STUN_MESSAGE_INTEGRITY_AT) !=
							cases[i].has_mi ||
					tp_stun_has(&m.msg, TP_STUN_MESSAGE_INTEGRITY_SHA256_AT) !=
							cases[i].has_sha256 ||
					tp_stun_has(&m.msg, TP_STUN_FINGERPRINT_AT) !=
							(round == 1) ||
					m.msg.n_unknown != cases[i].n_unknown)
				fail_msg("%s, round %zu", cases[i].what, round);
			if (cases[i].has_mi || cases[i].has_sha256)
				assert_int_equal(m.msg.attrs_end, cases[i].attrs_end);
			else
				assert_int_equal(m.msg.attrs_end, m.len);
			message_fingerprint(&m);
		}
		message_fini(&m);
	}
}

/* RFC 8489 section 14.7 */
static void fingerprint(void **state)
{
	static const struct {
		const char *what;
		const uint8_t *attrs;
		size_t len;
	} wrong[] = {
		{ "wrong value", A("\x80\x28\x00\x04\x00\x00\x00\x00") },
		{ "no value", A("\x80\x28\x00\x00") },
		{ "value of five", A("\x80\x28\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00") },
		{ "not last", A("\x80\x28\x00\x04\x00\x00\x00\x00\x00\x06\x00\x00") },
		{ "wrong after MESSAGE-INTEGRITY", A(MI "\x80\x28\x00\x04\x00\x00\x00\x00") },
	};
	struct message m;
	size_t i;

	(void)state;
	for (i = 0; i < N(wrong); i++) {
		message_init(&m, 0x0001, wrong[i].attrs, wrong[i].len);
		if (m.parse != TP_STUN_PARSE_FINGERPRINT)
			fail_msg("%s", wrong[i].what);
		message_fini(&m);
	}

	message_init(&m, 0x0001, (const uint8_t *)software, 8);
	message_fingerprint(&m);
	assert_int_equal(m.parse, TP_STUN_PARSE_OK);
	message_fingerprint(&m);
	assert_int_equal(m.parse, TP_STUN_PARSE_FINGERPRINT);
	message_fini(&m);
}

/* Right in itself, over a header that counts what follows. */
static void fingerprint_is_last(void **state)
{
	struct message m;

	(void)state;
	message_init(&m, 0x0001, A("\x80\x28\x00\x04\x00\x00\x00\x00\x00\x06\x00\x00"));
	tp_be32_put(m.raw + TP_STUN_HDR_LEN + 4, tp_fingerprint(m.raw, TP_STUN_HDR_LEN));
	assert_int_equal(tp_stun_decode(m.raw, m.len, &m.msg), TP_STUN_PARSE_FINGERPRINT);
	message_fini(&m);
}

/* A flipped bit in a length may hide the FINGERPRINT; where it is seen, it tells. */
static void fingerprint_notices_any_flipped_bit(void **state)
{
	uint8_t data[RFC5769_REQUEST_LEN];
	struct tp_stun_msg msg;
	size_t bit;

	(void)state;
	for (bit = 0; bit < 8 * sizeof(data); bit++) {
		memcpy(data, rfc5769_request, sizeof(data));
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (tp_stun_decode(data, sizeof(data), &msg) == TP_STUN_PARSE_OK &&
				tp_stun_has(&msg, TP_STUN_FINGERPRINT_AT))
			fail_msg("bit %zu", bit);
	}
}

/* The longest message that the length field can say; attrs_end must not wrap around. */
static void the_largest_message(void **state)
{
	uint8_t *attrs = calloc(1, 65532);
	struct tp_stun_value value;
	size_t pos = 0;
	struct message m;

	(void)state;
	tp_be16_put(attrs, TP_STUN_ATTR_DATA);
	tp_be16_put(attrs + 2, 65532 - 4 - 4);
	tp_be16_put(attrs + 65528, TP_STUN_ATTR_DONT_FRAGMENT);
	message_init(&m, 0x0016, attrs, 65532);
	assert_int_equal(m.parse, TP_STUN_PARSE_OK);
	assert_int_equal(m.msg.attrs_end, 65552);
	assert_int_equal(m.msg.attr[TP_STUN_DATA_AT].len, 65524);
	assert_true(tp_stun_next(&m.msg, TP_STUN_ATTR_DONT_FRAGMENT, &pos, &value));
	assert_false(tp_stun_next(&m.msg, TP_STUN_ATTR_DONT_FRAGMENT, &pos, &value));
	message_fini(&m);
	free(attrs);
}

static void fixed_length_values(void **state)
{
	static const struct {
		const char *what;
		const uint8_t *attrs;
		size_t len;
		int want;
		uint32_t u32, u8, channel;
	} cases[] = {
		{ "absent", A(""), -ENOENT, 0, 0, 0 },
		{ "right",
				A("\x00\x0d\x00\x04\x00\x00\x02\x58"
				  "\x00\x19\x00\x04\x11\xff\xff\xff"
				  "\x00\x0c\x00\x04\x40\x01\xff\xff"),
				0, 600, 17, 0x4001 },
		{ "largest",
				A("\x00\x0d\x00\x04\xff\xff\xff\xff"
				  "\x00\x19\x00\x04\xff\x00\x00\x00"
				  "\x00\x0c\x00\x04\xff\xff\x00\x00"),
				0, 0xffffffff, 255, 0xffff },
		{ "empty", A("\x00\x0d\x00\x00\x00\x19\x00\x00\x00\x0c\x00\x00"), -EINVAL, 0, 0,
				0 },
		{ "too short",
				A("\x00\x0d\x00\x03\x00\x00\x00\x00"
				  "\x00\x19\x00\x01\x11\x00\x00\x00"
				  "\x00\x0c\x00\x02\x40\x00\x00\x00"),
				-EINVAL, 0, 0, 0 },
		{ "too long",
				A("\x00\x0d\x00\x08\x00\x00\x00\x00\x00\x00\x02\x58"
				  "\x00\x19\x00\x05\x11\x00\x00\x00\x00\x00\x00\x00"
				  "\x00\x0c\x00\x06\x40\x00\x00\x00\x00\x00\x00\x00"),
				-EINVAL, 0, 0, 0 },
	};
	uint16_t channel;
	struct message m;
	uint32_t u32;
	uint8_t u8;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		u32 = u8 = channel = 0;
		message_init(&m, 0x0003, cases[i].attrs, cases[i].len);
		assert_int_equal(m.parse, TP_STUN_PARSE_OK);
		if (tp_stun_get_u32(&m.msg, TP_STUN_LIFETIME_AT, &u32) != cases[i].want ||
				tp_stun_get_u8_of4(&m.msg, TP_STUN_REQUESTED_TRANSPORT_AT, &u8) !=
						cases[i].want ||
				tp_stun_get_channel(&m.msg, &channel) != cases[i].want)
			fail_msg("%s", cases[i].what);
		assert_int_equal(u32, cases[i].u32);
		assert_int_equal(u8, cases[i].u8);
		assert_int_equal(channel, cases[i].channel);
		message_fini(&m);
	}
}

/* RFC 8656 section 18.7 */
static void even_port(void **state)
{
	static const struct {
		const char *what;
		const uint8_t *attrs;
		size_t len;
		int want;
		bool r;
	} cases[] = {
		{ "absent", A(""), -ENOENT, false },
		{ "R is 0", A("\x00\x18\x00\x01\x00\x00\x00\x00"), 0, false },
		{ "R is 1", A("\x00\x18\x00\x01\x80\x00\x00\x00"), 0, true },
		{ "reserved bits are ignored", A("\x00\x18\x00\x01\x7f\xff\xff\xff"), 0, false },
		{ "empty", A("\x00\x18\x00\x00"), -EINVAL, false },
		{ "too long", A("\x00\x18\x00\x02\x80\x00\x00\x00"), -EINVAL, false },
	};
	struct message m;
	size_t i;
	bool r;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		r = false;
		message_init(&m, 0x0003, cases[i].attrs, cases[i].len);
		if (tp_stun_get_even_port(&m.msg, &r) != cases[i].want || r != cases[i].r)
			fail_msg("%s", cases[i].what);
		message_fini(&m);
	}
}

/* RFC 8489 sections 14.1 and 14.2; the cookie is 2112a442, the transaction id 0102...0c */
static void xor_addresses(void **state)
{
	static const struct {
		const char *what;
		const uint8_t *attrs;
		size_t len;
		int want;
		const char *ip;
		uint16_t port;
	} cases[] = {
		{ "absent", A(""), -ENOENT, NULL, 0 },
		{ "IPv4", A("\x00\x12\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"), 0, "192.0.2.1",
				32853 },
		{ "first byte is ignored", A("\x00\x12\x00\x08\xff\x01\xa1\x47\xe1\x12\xa6\x43"), 0,
				"192.0.2.1", 32853 },
		{ "all zero on the wire", A("\x00\x12\x00\x08\x00\x01\x00\x00\x00\x00\x00\x00"), 0,
				"33.18.164.66", 0x2112 },
		{ "IPv6",
				A("\x00\x12\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa"
				  "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0d"),
				0, "2001:db8::1", 32853 },
		{ "family 0", A("\x00\x12\x00\x08\x00\x00\xa1\x47\xe1\x12\xa6\x43"), -EINVAL, NULL,
				0 },
		{ "family 3", A("\x00\x12\x00\x08\x00\x03\xa1\x47\xe1\x12\xa6\x43"), -EINVAL, NULL,
				0 },
		{ "IPv6 in eight bytes", A("\x00\x12\x00\x08\x00\x02\xa1\x47\xe1\x12\xa6\x43"),
				-EINVAL, NULL, 0 },
		{ "IPv4 in twenty bytes",
				A("\x00\x12\x00\x14\x00\x01\xa1\x47\x01\x13\xa9\xfa"
				  "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0d"),
				-EINVAL, NULL, 0 },
		{ "empty", A("\x00\x12\x00\x00"), -EINVAL, NULL, 0 },
		{ "one byte", A("\x00\x12\x00\x01\x00\x00\x00\x00"), -EINVAL, NULL, 0 },
		{ "seven bytes", A("\x00\x12\x00\x07\x00\x01\xa1\x47\xe1\x12\xa6\x43"), -EINVAL,
				NULL, 0 },
		{ "twelve bytes", A("\x00\x12\x00\x0c\x00\x01\xa1\x47\xe1\x12\xa6\x43\0\0\0\0"),
				-EINVAL, NULL, 0 },
	};
	struct tp_addr want, got;
	struct message m;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		memset(&got, 0, sizeof(got));
		want = got;
		if (cases[i].ip != NULL)
			assert_int_equal(tp_addr_parse(cases[i].ip, cases[i].port, &want), 0);
		message_init(&m, 0x0008, cases[i].attrs, cases[i].len);
		if (tp_stun_get_xor_addr(&m.msg, TP_STUN_XOR_PEER_ADDRESS_AT, &got) !=
						cases[i].want ||
				!tp_addr_equal(&want, &got))
			fail_msg("%s", cases[i].what);
		message_fini(&m);
	}
}

/* RFC 8656 section 10.2: several XOR-PEER-ADDRESS; one behind MESSAGE-INTEGRITY is nobody's. */
static void walk(void **state)
{
	static const uint8_t attrs[] =
			"\x00\x12\x00\x08\x00\x01\x00\x00\x00\x00\x00\x01"
			"\x00\x06\x00\x01uuuu"
			"\x00\x12\x00\x08\x00\x01\x00\x00\x00\x00\x00\x02"
			"\x00\x12\x00\x00" MI "\x00\x12\x00\x08\x00\x01\x00\x00\x00\x00\x00\x03";
	struct tp_stun_value value;
	struct message m;
	size_t pos = 0;

	(void)state;
	message_init(&m, 0x0008, attrs, sizeof(attrs) - 1);
	assert_int_equal(m.parse, TP_STUN_PARSE_OK);
	assert_true(tp_stun_next(&m.msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value));
	assert_ptr_equal(value.data, m.msg.attr[TP_STUN_XOR_PEER_ADDRESS_AT].data);
	assert_int_equal(value.data[7], 1);
	assert_true(tp_stun_next(&m.msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value));
	assert_int_equal(value.data[7], 2);
	assert_true(tp_stun_next(&m.msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value));
	assert_int_equal(value.len, 0);
	assert_false(tp_stun_next(&m.msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value));
	assert_false(tp_stun_next(&m.msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value));
	message_fini(&m);
}

static void walk_of_nothing(void **state)
{
	struct tp_stun_value value;
	struct message m;
	size_t pos = 0;

	(void)state;
	message_init(&m, 0x0008, A(""));
	assert_false(tp_stun_next(&m.msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value));
	assert_false(tp_stun_next(&m.msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value));
	message_fini(&m);
}

/* RFC 8489 section 14.8 */
static void error_codes(void **state)
{
	static const struct {
		const char *what;
		const uint8_t *attrs;
		size_t len;
		int want;
		uint16_t code;
	} cases[] = {
		{ "absent", A(""), -ENOENT, 0 },
		{ "401", A("\x00\x09\x00\x04\x00\x00\x04\x01"), 0, 401 },
		{ "lowest", A("\x00\x09\x00\x04\x00\x00\x03\x00"), 0, 300 },
		{ "highest", A("\x00\x09\x00\x04\x00\x00\x06\x63"), 0, 699 },
		{ "reserved bits are ignored", A("\x00\x09\x00\x04\xff\xff\xfc\x01"), 0, 401 },
		{ "with a reason", A("\x00\x09\x00\x08\x00\x00\x04\x26oops"), 0, 438 },
		{ "class 2", A("\x00\x09\x00\x04\x00\x00\x02\x00"), -EINVAL, 0 },
		{ "class 7", A("\x00\x09\x00\x04\x00\x00\x07\x00"), -EINVAL, 0 },
		{ "number 100", A("\x00\x09\x00\x04\x00\x00\x04\x64"), -EINVAL, 0 },
		{ "too short", A("\x00\x09\x00\x03\x00\x00\x04\x00"), -EINVAL, 0 },
	};
	struct message m;
	uint16_t code;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		code = 0;
		message_init(&m, 0x0113, cases[i].attrs, cases[i].len);
		if (tp_stun_get_error(&m.msg, &code) != cases[i].want || code != cases[i].code)
			fail_msg("%s", cases[i].what);
		message_fini(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc5769_2_1_request),
		cmocka_unit_test(rfc5769_responses),
		cmocka_unit_test(rfc5769_2_4_long_term),
		cmocka_unit_test(base_checks),
		cmocka_unit_test(any_cut_is_not_stun),
		cmocka_unit_test(message_types),
		cmocka_unit_test(framing),
		cmocka_unit_test(the_first_occurrence_counts),
		cmocka_unit_test(an_empty_value_is_present),
		cmocka_unit_test(a_second_value_does_not_replace_an_empty_one),
		cmocka_unit_test(every_known_attribute_has_its_place),
		cmocka_unit_test(every_unknown_required_attribute_is_reported),
		cmocka_unit_test(unknown_attributes_are_distinct_and_few),
		cmocka_unit_test(after_integrity),
		cmocka_unit_test(fingerprint),
		cmocka_unit_test(fingerprint_is_last),
		cmocka_unit_test(fingerprint_notices_any_flipped_bit),
		cmocka_unit_test(the_largest_message),
		cmocka_unit_test(fixed_length_values),
		cmocka_unit_test(even_port),
		cmocka_unit_test(xor_addresses),
		cmocka_unit_test(walk),
		cmocka_unit_test(walk_of_nothing),
		cmocka_unit_test(error_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
