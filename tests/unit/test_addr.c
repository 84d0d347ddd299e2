/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void text_round_trip(void **state)
{
	static const struct {
		const char *what, *in, *ip, *with_port;
	} cases[] = {
		{ "IPv4", "192.0.2.1", "192.0.2.1", "192.0.2.1:3478" },
		{ "IPv4 any", "0.0.0.0", "0.0.0.0", "0.0.0.0:3478" },
		{ "IPv6", "2001:db8::1", "2001:db8::1", "[2001:db8::1]:3478" },
		{ "IPv6 any", "::", "::", "[::]:3478" },
		{ "IPv6 in its longest form", "2001:DB8:0:0:0:0:0:1", "2001:db8::1",
				"[2001:db8::1]:3478" },
		{ "v4-mapped stays IPv6", "::ffff:192.0.2.1", "::ffff:192.0.2.1",
				"[::ffff:192.0.2.1]:3478" },
		{ "nothing to compress", "1111:2222:3333:4444:5555:6666:7777:8888",
				"1111:2222:3333:4444:5555:6666:7777:8888",
				"[1111:2222:3333:4444:5555:6666:7777:8888]:3478" },
	};
	char buf[TP_ADDR_STRLEN];
	struct tp_addr a;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		if (tp_addr_parse(cases[i].in, 3478, &a) != 0)
			fail_msg("%s: not parsed", cases[i].what);
		assert_string_equal(tp_addr_format_ip(&a, buf), cases[i].ip);
		assert_string_equal(tp_addr_format(&a, buf), cases[i].with_port);
	}
}

/* Of all kinds of runs of zeros, and all that ends as IPv4. */
static void text_is_that_of_inet_ntop(void **state)
{
	char want[TP_ADDR_STRLEN], got[TP_ADDR_STRLEN];
	static const uint8_t some[] = { 0, 0, 0, 0, 0, 0xff, 1, 0x10 };
	struct tp_addr a;
	uint8_t ip[16];

	(void)state;
	srand(1);
	for (int i = 0; i < 500000; i++) {
		uint32_t zeros = (uint32_t)rand(); /* which groups are */

		for (int j = 0; j < 16; j++)
			ip[j] = zeros >> j / 2 & 1 ? 0 : i % 2 ? some[rand() % 8] : (uint8_t)rand();
		if (i % 5 == 0)
			memset(ip, 0, 10);
		if (i % 10 == 0)
			memset(ip + 10, 0xff, 2);
		a = tp_addr_v6(ip, 0);
		inet_ntop(AF_INET6, ip, want, sizeof(want));
		assert_string_equal(tp_addr_format_ip(&a, got), want);
		a = tp_addr_v4(ip + 12, 0);
		inet_ntop(AF_INET, ip + 12, want, sizeof(want));
		assert_string_equal(tp_addr_format_ip(&a, got), want);
	}
}

static void longest_text_fits(void **state)
{
	static const uint8_t ip[16] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct tp_addr a = tp_addr_v6(ip, 65535);
	char buf[TP_ADDR_STRLEN];

	(void)state;
	assert_string_equal(
			tp_addr_format(&a, buf), "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void no_address_has_a_text(void **state)
{
	struct tp_addr a = { 0 };
	char buf[TP_ADDR_STRLEN];

	(void)state;
	assert_string_equal(tp_addr_format_ip(&a, buf), "none");
	assert_string_equal(tp_addr_format(&a, buf), "none:0");
}

static void bad_text_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"192.0.2",
		"192.0.2.256",
		"192.0.2.1:3478",
		"192.0.2.1 ",
		"0x7f.1",
		"[2001:db8::1]",
		"fe80::1%eth0",
		"2001:db8:::1",
		"example.org",
	};
	struct tp_addr a = { .port = 7 }, before = a;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		if (tp_addr_parse(cases[i], 1, &a) != -EINVAL)
			fail_msg("'%s' was parsed", cases[i]);
		assert_true(tp_addr_equal(&a, &before));
	}
}

static void equality(void **state)
{
	struct tp_addr a, b;

	(void)state;
	tp_addr_parse("192.0.2.1", 1, &a);
	tp_addr_parse("192.0.2.1", 2, &b);
	assert_false(tp_addr_equal(&a, &b));
	assert_true(tp_addr_same_ip(&a, &b));
	a = tp_addr_ip_only(&a);
	b = tp_addr_ip_only(&b);
	assert_true(tp_addr_equal(&a, &b));
	assert_int_equal(tp_addr_ip_bytes(&a), 4);

	/* The same bytes in another family are another address. */
	tp_addr_parse("c000:201::", 0, &b);
	assert_memory_equal(a.ip, b.ip, 16);
	assert_false(tp_addr_same_ip(&a, &b));
	assert_int_equal(tp_addr_ip_bytes(&b), 16);
}

static void sockaddr_round_trip(void **state)
{
	static const struct {
		const char *ip;
		socklen_t len;
		sa_family_t family;
	} cases[] = {
		{ "192.0.2.1", sizeof(struct sockaddr_in), AF_INET },
		{ "2001:db8::1", sizeof(struct sockaddr_in6), AF_INET6 },
	};
	struct sockaddr_storage ss;
	struct tp_addr a, b;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_int_equal(tp_addr_parse(cases[i].ip, 3478, &a), 0);
		memset(&ss, 0xff, sizeof(ss));
		assert_int_equal(tp_addr_to_sockaddr(&a, &ss), cases[i].len);
		assert_int_equal(ss.ss_family, cases[i].family);
		assert_int_equal(tp_addr_from_sockaddr((const struct sockaddr *)&ss, &b), 0);
		assert_true(tp_addr_equal(&a, &b));
	}
}

static void sockaddr_of_another_family(void **state)
{
	struct sockaddr sa = { .sa_family = AF_UNIX };
	struct tp_addr a = { .port = 7 }, before = a;

	(void)state;
	assert_int_equal(tp_addr_from_sockaddr(&sa, &a), -EAFNOSUPPORT);
	assert_true(tp_addr_equal(&a, &before));
}

static void prefixes(void **state)
{
	static const struct {
		const char *what, *prefix, *ip;
		bool is_inside;
	} cases[] = {
		{ "inside", "192.0.2.0/24", "192.0.2.255", true },
		{ "just above", "192.0.2.0/24", "192.0.3.0", false },
		{ "just below", "192.0.2.0/24", "192.0.1.255", false },
		{ "not on a byte, inside", "172.16.0.0/12", "172.31.255.255", true },
		{ "not on a byte, above", "172.16.0.0/12", "172.32.0.0", false },
		{ "one address", "192.0.2.1", "192.0.2.1", true },
		{ "one address, the next", "192.0.2.1", "192.0.2.2", false },
		{ "one address, with a length", "192.0.2.1/32", "192.0.2.1", true },
		{ "two addresses", "192.0.2.0/31", "192.0.2.1", true },
		{ "everything", "0.0.0.0/0", "255.255.255.255", true },
		{ "everything, but not of IPv6", "0.0.0.0/0", "::", false },
		{ "IPv6 inside", "2001:db8::/32", "2001:db8:ffff::1", true },
		{ "IPv6 above", "2001:db8::/32", "2001:db9::", false },
		{ "IPv6 not on a byte, inside", "fe80::/10", "febf::1", true },
		{ "IPv6 not on a byte, above", "fe80::/10", "fec0::1", false },
		{ "IPv6 one address", "::1", "::1", true },
		{ "IPv6 last bit", "::/127", "::2", false },
		{ "IPv6 everything", "::/0", "ffff::", true },
		{ "IPv6 everything, but not of IPv4", "::/0", "0.0.0.0", false },
	};
	struct tp_prefix p;
	struct tp_addr a;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_int_equal(tp_addr_parse(cases[i].ip, 9, &a), 0);
		if (tp_prefix_parse(cases[i].prefix, &p) != 0)
			fail_msg("%s: not parsed", cases[i].what);
		assert_int_equal(p.base.port, 0);
		if (tp_prefix_contains(&p, &a) != cases[i].is_inside)
			fail_msg("%s", cases[i].what);
	}
}

static void bad_prefixes_are_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"/24",
		"192.0.2.0/",
		"192.0.2.0/33",
		"192.0.2.0/-1",
		"192.0.2.0/+24",
		"192.0.2.0/ 24",
		"192.0.2.0/24 ",
		"192.0.2.0/24/24",
		"192.0.2.0/0x18",
		"192.0.2.0/18446744073709551640",
		"192.0.2.1/24",
		"192.0.2.1/31",
		"172.24.0.0/12",
		"2001:db8::/129",
		"2001:db8::1/64",
		"::1/0",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8",
	};
	struct tp_prefix p;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++)
		if (tp_prefix_parse(cases[i], &p) != -EINVAL)
			fail_msg("'%s' was parsed", cases[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_round_trip),
		cmocka_unit_test(text_is_that_of_inet_ntop),
		cmocka_unit_test(longest_text_fits),
		cmocka_unit_test(no_address_has_a_text),
		cmocka_unit_test(bad_text_is_refused),
		cmocka_unit_test(equality),
		cmocka_unit_test(sockaddr_round_trip),
		cmocka_unit_test(sockaddr_of_another_family),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(bad_prefixes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
