/* SPDX-License-Identifier: Apache-2.0 */
/* The values of attributes: read, and refused where their length or content is wrong. */
#include "stun_message.h"

#include <errno.h>

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
		cmocka_unit_test(fixed_length_values),
		cmocka_unit_test(even_port),
		cmocka_unit_test(xor_addresses),
		cmocka_unit_test(walk),
		cmocka_unit_test(walk_of_nothing),
		cmocka_unit_test(error_codes),
	};

	return cmocka_run_group_tests_name("stun_values", tests, NULL, NULL);
}
