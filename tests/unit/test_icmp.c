/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/icmp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/checksum.h"
#include "wire/ip.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* 203.0.113.9:4000 to 192.0.2.10:50000, DF, DSCP EF, TTL 57, "abcdef" */
static const uint8_t udp4[] = {
	0x45, 0xb8, 0x00, 0x22, 0x12, 0x34, 0x40, 0x00, 0x39, 0x11, 0x30, 0xcb, /**/
	0xcb, 0x00, 0x71, 0x09, 0xc0, 0x00, 0x02, 0x0a, 0x0f, 0xa0, 0xc3, 0x50, /**/
	0x00, 0x0e, 0x04, 0xa0, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66,             /**/
};

/* [2001:db8:9::9]:4000 to [2001:db8::10]:50000, class EF, label 0x12345, "abcdef" */
static const uint8_t udp6[] = {
	0x6b, 0x81, 0x23, 0x45, 0x00, 0x0e, 0x11, 0x39, 0x20, 0x01, 0x0d, 0xb8, /**/
	0x00, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, /**/
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /**/
	0x00, 0x00, 0x00, 0x10, 0x0f, 0xa0, 0xc3, 0x50, 0x00, 0x0e, 0xa7, 0x20, /**/
	0x61, 0x62, 0x63, 0x64, 0x65, 0x66,                                     /**/
};

/* What precedes the quotation in the answers to these, made with scapy. */
static const uint8_t frag_needed[] = {
	0x45, 0x00, 0x00, 0x3e, 0x00, 0x00, 0x00, 0x00, 0x40, 0x01, 0x7c, 0xab, /**/
	0xc0, 0x00, 0x02, 0x0a, 0xcb, 0x00, 0x71, 0x09,                         /**/
	0x03, 0x04, 0xf6, 0x2f, 0x00, 0x00, 0x05, 0x00,                         /* MTU 1280 */
};

static const uint8_t time_exceeded4[] = {
	0x45, 0x00, 0x00, 0x3e, 0x00, 0x00, 0x00, 0x00, 0x40, 0x01, 0x7c, 0xab, /**/
	0xc0, 0x00, 0x02, 0x0a, 0xcb, 0x00, 0x71, 0x09,                         /**/
	0x0b, 0x00, 0xf3, 0x33, 0x00, 0x00, 0x00, 0x00,                         /**/
};

static const uint8_t too_big[] = {
	0x60, 0x00, 0x00, 0x00, 0x00, 0x3e, 0x3a, 0x40, 0x20, 0x01, 0x0d, 0xb8, /**/
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, /**/
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /**/
	0x00, 0x00, 0x00, 0x09,                                                 /**/
	0x02, 0x00, 0xfc, 0x58, 0x00, 0x00, 0x05, 0xac,                         /* MTU 1452 */
};

static const uint8_t time_exceeded6[] = {
	0x60, 0x00, 0x00, 0x00, 0x00, 0x3e, 0x3a, 0x40, 0x20, 0x01, 0x0d, 0xb8, /**/
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, /**/
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /**/
	0x00, 0x00, 0x00, 0x09,                                                 /**/
	0x03, 0x00, 0x01, 0x05, 0x00, 0x00, 0x00, 0x00,                         /**/
};

/* ---- build ---- */

static void an_error_is_what_the_book_says(void **state)
{
	static const struct {
		enum tp_icmp_kind kind;
		uint32_t mtu;
		const uint8_t *packet, *head;
		size_t packet_len, head_len;
	} cases[] = {
		{ TP_ICMP_TOO_BIG, 1280, udp4, frag_needed, sizeof(udp4), sizeof(frag_needed) },
		{ TP_ICMP_TIME_EXCEEDED, 1280, udp4, time_exceeded4, sizeof(udp4),
				sizeof(time_exceeded4) },
		{ TP_ICMP_TOO_BIG, 1452, udp6, too_big, sizeof(udp6), sizeof(too_big) },
		{ TP_ICMP_TIME_EXCEEDED, 1452, udp6, time_exceeded6, sizeof(udp6),
				sizeof(time_exceeded6) },
	};
	uint8_t out[TP_ICMP6_MAX];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		size_t len = tp_icmp_build(out, cases[i].kind, cases[i].mtu, cases[i].packet,
				cases[i].packet_len);

		assert_int_equal(len, cases[i].head_len + cases[i].packet_len);
		assert_memory_equal(out, cases[i].head, cases[i].head_len);
		assert_memory_equal(out + cases[i].head_len, cases[i].packet, cases[i].packet_len);
	}
}

/* As much of the packet as fits, and not more: at every length around the limit. */
static void the_quotation_is_cut_to_the_limit(void **state)
{
	static const struct {
		const uint8_t *head;
		size_t head_len, limit, quoted_at;
	} cases[] = {
		{ udp4, sizeof(udp4), TP_ICMP4_MAX, TP_IPV4_LEN + 8 },
		{ udp6, sizeof(udp6), TP_ICMP6_MAX, TP_IPV6_LEN + 8 },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		size_t fits = cases[i].limit - cases[i].quoted_at;

		for (size_t n = fits - 3; n <= fits + 3; n++) {
			uint8_t *packet = malloc(n), *out = malloc(TP_ICMP6_MAX);
			size_t want = n < fits ? n : fits, len;

			for (size_t k = 0; k < n; k++)
				packet[k] = k < cases[i].head_len ? cases[i].head[k] : (uint8_t)k;
			len = tp_icmp_build(out, TP_ICMP_TOO_BIG, 1300, packet, n);
			assert_int_equal(len, cases[i].quoted_at + want);
			assert_memory_equal(out + cases[i].quoted_at, packet, want);
			free(packet);
			free(out);
		}
	}
}

/* RFC 1122 section 3.2.2, RFC 4443 section 2.4(e) */
static void what_must_not_be_answered_is_not(void **state)
{
	static const struct {
		const char *what;
		bool is_v6;
		uint8_t at, n, bytes[16];
	} cases[] = {
		{ "from 0.0.0.0", false, 12, 4, { 0 } },
		{ "from loopback", false, 12, 4, { 127, 0, 0, 1 } },
		{ "from multicast", false, 12, 4, { 224, 0, 0, 1 } },
		{ "from broadcast", false, 12, 4, { 255, 255, 255, 255 } },
		{ "to multicast", false, 16, 4, { 239, 1, 2, 3 } },
		{ "to broadcast", false, 16, 4, { 255, 255, 255, 255 } },
		{ "ICMP", false, 9, 1, { 1 } },
		{ "a fragment but the first", false, 6, 2, { 0x20, 1 } },
		{ "from ::", true, 8, 16, { 0 } },
		{ "from ::1", true, 8, 16, { [15] = 1 } },
		{ "from multicast", true, 8, 1, { 0xff } },
		{ "to multicast", true, 24, 1, { 0xff } },
		{ "ICMPv6", true, 6, 1, { 58 } },
		{ "neither IPv4 nor IPv6", true, 0, 1, { 0x50 } },
	};
	uint8_t packet[sizeof(udp6)], out[TP_ICMP6_MAX];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		size_t len = cases[i].is_v6 ? sizeof(udp6) : sizeof(udp4);

		memcpy(packet, cases[i].is_v6 ? udp6 : udp4, len);
		memcpy(packet + cases[i].at, cases[i].bytes, cases[i].n);
		if (tp_icmp_build(out, TP_ICMP_TIME_EXCEEDED, 0, packet, len) != 0)
			fail_msg("%s was answered", cases[i].what);
	}
	for (size_t len = 0; len < TP_IPV4_LEN; len++)
		assert_int_equal(tp_icmp_build(out, TP_ICMP_TOO_BIG, 0, udp4, len), 0);
	for (size_t len = 0; len < TP_IPV6_LEN; len++)
		assert_int_equal(tp_icmp_build(out, TP_ICMP_TOO_BIG, 0, udp6, len), 0);
}

/* ---- parse ---- */

/* An ICMPv4 message with a true checksum; quoted may be too short for what it says. */
static size_t make4(uint8_t *out, uint8_t type, uint8_t code, uint16_t mtu, const uint8_t *quoted,
		size_t n)
{
	uint16_t csum;

	memcpy(out, frag_needed, sizeof(frag_needed));
	out[20] = type;
	out[21] = code;
	out[22] = out[23] = 0;
	out[26] = (uint8_t)(mtu >> 8);
	out[27] = (uint8_t)mtu;
	memcpy(out + 28, quoted, n);
	csum = (uint16_t)~tp_csum_fold(tp_csum_add(0, out + 20, 8 + n));
	memcpy(out + 22, &csum, 2);
	return 28 + n;
}

static size_t make6(uint8_t *out, uint8_t type, uint8_t code, uint32_t mtu, const uint8_t *quoted,
		size_t n)
{
	const uint8_t head[8] = { type, code, 0, 0, (uint8_t)(mtu >> 24), (uint8_t)(mtu >> 16),
		(uint8_t)(mtu >> 8), (uint8_t)mtu };

	memcpy(out, head, sizeof(head));
	memcpy(out + 8, quoted, n);
	return 8 + n;
}

/* From an exact-size copy: one byte of over-read is an ASan report. */
static bool parse(bool is_v6, const uint8_t *message, size_t len, struct tp_icmp_error *out)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	bool is_ok;

	memcpy(copy, message, len);
	is_ok = is_v6 ? tp_icmp_parse6(copy, len, out) : tp_icmp_parse4(copy, len, out);
	free(copy);
	return is_ok;
}

/* RFC 8656 section 11.5: 3 and 11 of IPv4, 1 to 3 of IPv6; an MTU only where one is told. */
static void types_that_count_are_read_and_others_not(void **state)
{
	struct tp_icmp_error e;
	uint8_t message[128];

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		for (unsigned code = 0; code < 6; code++) {
			size_t len = make4(message, (uint8_t)type, (uint8_t)code, 1280, udp4,
					sizeof(udp4));
			bool want = type == 3 || type == 11;

			assert_int_equal(parse(false, message, len, &e), want);
			if (want) {
				assert_int_equal(e.type, type);
				assert_int_equal(e.code, code);
				assert_int_equal(e.mtu, type == 3 && code == 4 ? 1280 : 0);
			}
			len = make6(message, (uint8_t)type, (uint8_t)code, 70000, udp6,
					sizeof(udp6));
			want = type >= 1 && type <= 3;
			assert_int_equal(parse(true, message, len, &e), want);
			if (want) {
				assert_int_equal(e.type, type);
				assert_int_equal(e.code, code);
				assert_int_equal(e.mtu, type == 2 ? 70000 : 0);
			}
		}
	}
}

static void the_quoted_datagram_is_named(void **state)
{
	struct tp_addr src4, dst4, src6, dst6;
	struct tp_icmp_error e;
	uint8_t message[128];
	size_t len;

	(void)state;
	assert_int_equal(tp_addr_parse("203.0.113.9", 4000, &src4), 0);
	assert_int_equal(tp_addr_parse("192.0.2.10", 50000, &dst4), 0);
	assert_int_equal(tp_addr_parse("2001:db8:9::9", 4000, &src6), 0);
	assert_int_equal(tp_addr_parse("2001:db8::10", 50000, &dst6), 0);
	len = make4(message, 3, 3, 0, udp4, sizeof(udp4));
	assert_true(parse(false, message, len, &e));
	assert_true(tp_addr_equal(&e.src, &src4) && tp_addr_equal(&e.dst, &dst4));
	len = make6(message, 1, 4, 0, udp6, sizeof(udp6));
	assert_true(parse(true, message, len, &e));
	assert_true(tp_addr_equal(&e.src, &src6) && tp_addr_equal(&e.dst, &dst6));
}

/* RFC 792 wants the header and eight bytes quoted; less says nothing of ports. */
static void every_truncation_is_refused(void **state)
{
	struct tp_icmp_error e;
	uint8_t message[128];
	size_t len;

	(void)state;
	for (size_t n = 0; n <= sizeof(udp4); n++) {
		len = make4(message, 3, 3, 0, udp4, n);
		assert_int_equal(parse(false, message, len, &e), n >= TP_IPV4_LEN + TP_UDP_LEN);
	}
	for (size_t n = 0; n <= sizeof(udp6); n++) {
		len = make6(message, 1, 4, 0, udp6, n);
		assert_int_equal(parse(true, message, len, &e), n >= TP_IPV6_LEN + TP_UDP_LEN);
	}
	for (len = 0; len < 28; len++)
		assert_false(parse(false, frag_needed, len, &e));
	for (len = 0; len < 8; len++)
		assert_false(parse(true, too_big + TP_IPV6_LEN, len, &e));
}

/* RFC 8656 section 11.5: what is quoted must be UDP. */
static void what_quotes_garbage_is_refused(void **state)
{
	static const struct {
		const char *what;
		bool is_v6;
		uint8_t at, n, bytes[4];
	} cases[] = {
		{ "IPv6 quoted in ICMPv4", false, 0, 1, { 0x65 } },
		{ "header of four words", false, 0, 1, { 0x44 } },
		{ "options beyond the end", false, 0, 1, { 0x4f } },
		{ "TCP", false, 9, 1, { 6 } },
		{ "ICMP about ICMP", false, 9, 1, { 1 } },
		{ "a fragment but the first", false, 6, 2, { 0, 1 } },
		{ "IPv4 quoted in ICMPv6", true, 0, 1, { 0x45 } },
		{ "TCP", true, 6, 1, { 6 } },
		{ "hop-by-hop options", true, 6, 1, { 0 } },
		{ "a Fragment header of nothing", true, 6, 1, { 44 } },
	};
	uint8_t quoted[sizeof(udp6)], message[128];
	struct tp_icmp_error e;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		size_t n = cases[i].is_v6 ? sizeof(udp6) : sizeof(udp4), len;

		memcpy(quoted, cases[i].is_v6 ? udp6 : udp4, n);
		memcpy(quoted + cases[i].at, cases[i].bytes, cases[i].n);
		len = cases[i].is_v6 ? make6(message, 1, 4, 0, quoted, n)
				     : make4(message, 3, 3, 0, quoted, n);
		if (parse(cases[i].is_v6, message, len, &e))
			fail_msg("%s was accepted", cases[i].what);
	}
}

static void a_wrong_checksum_is_refused(void **state)
{
	struct tp_icmp_error e;
	uint8_t message[128];
	size_t len = make4(message, 3, 3, 0, udp4, sizeof(udp4));

	(void)state;
	for (size_t i = 20; i < len; i++) {
		message[i] ^= 0x10;
		assert_false(parse(false, message, len, &e));
		message[i] ^= 0x10;
	}
	assert_true(parse(false, message, len, &e));
}

/* With options, and with the Fragment header that we send ourselves. */
static void longer_headers_are_stepped_over(void **state)
{
	uint8_t options[sizeof(udp4) + 8], fragment[sizeof(udp6) + 8], message[160];
	struct tp_icmp_error e;
	size_t len;

	(void)state;
	memcpy(options, udp4, 20);
	memset(options + 20, 1, 8);
	memcpy(options + 28, udp4 + 20, sizeof(udp4) - 20);
	options[0] = 0x47;
	len = make4(message, 11, 0, 0, options, sizeof(options));
	assert_true(parse(false, message, len, &e));
	assert_int_equal(e.src.port, 4000);
	assert_int_equal(e.dst.port, 50000);

	memcpy(fragment, udp6, 40);
	memcpy(fragment + 40, "\x11\0\0\1\0\0\0\1", 8);
	memcpy(fragment + 48, udp6 + 40, sizeof(udp6) - 40);
	fragment[6] = 44;
	len = make6(message, 2, 0, 1280, fragment, sizeof(fragment));
	assert_true(parse(true, message, len, &e));
	assert_int_equal(e.src.port, 4000);
	assert_int_equal(e.dst.port, 50000);
	assert_int_equal(e.mtu, 1280);
	fragment[43] = 9; /* offset 8 */
	len = make6(message, 2, 0, 1280, fragment, sizeof(fragment));
	assert_false(parse(true, message, len, &e));
}

static void what_we_build_we_can_read(void **state)
{
	struct tp_icmp_error e;
	uint8_t out[TP_ICMP6_MAX];
	size_t len;

	(void)state;
	len = tp_icmp_build(out, TP_ICMP_TOO_BIG, 1400, udp4, sizeof(udp4));
	assert_true(parse(false, out, len, &e));
	assert_true(tp_icmp_is_too_big(&e) && e.mtu == 1400);
	len = tp_icmp_build(out, TP_ICMP_TOO_BIG, 1400, udp6, sizeof(udp6));
	assert_true(parse(true, out + TP_IPV6_LEN, len - TP_IPV6_LEN, &e));
	assert_true(tp_icmp_is_too_big(&e) && e.mtu == 1400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_is_what_the_book_says),
		cmocka_unit_test(the_quotation_is_cut_to_the_limit),
		cmocka_unit_test(what_must_not_be_answered_is_not),
		cmocka_unit_test(types_that_count_are_read_and_others_not),
		cmocka_unit_test(the_quoted_datagram_is_named),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(what_quotes_garbage_is_refused),
		cmocka_unit_test(a_wrong_checksum_is_refused),
		cmocka_unit_test(longer_headers_are_stepped_over),
		cmocka_unit_test(what_we_build_we_can_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
