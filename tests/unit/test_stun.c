/* SPDX-License-Identifier: Apache-2.0 */
/* What is a STUN message, and which attributes it has. */
#include "rfc5769.h"
#include "stun_message.h"

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
	struct tp_addr want, got;
	struct tp_stun_msg msg;
	size_t i;

	(void)state;
	for (i = 0; i < N(rfc5769_mapped); i++) {
		if (tp_stun_decode(rfc5769_mapped[i].data, rfc5769_mapped[i].len, &msg) !=
				TP_STUN_PARSE_OK)
			fail_msg("%s", rfc5769_mapped[i].section);
		assert_int_equal(msg.method, TP_STUN_BINDING);
		assert_int_equal(msg.class, TP_STUN_SUCCESS);
		assert_value(&msg, TP_STUN_SOFTWARE_AT, "test vector");
		assert_int_equal(msg.n_unknown, 0);
		tp_addr_parse(rfc5769_mapped[i].ip, RFC5769_PORT, &want);
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
		message_init(&m, 0x0001, A(SOFTWARE));
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
		cmocka_unit_test(the_largest_message),
	};

	return cmocka_run_group_tests_name("stun", tests, NULL, NULL);
}
