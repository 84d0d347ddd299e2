/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

struct peer_case {
	const char *peer;
	bool want;
};

static struct tp_prefix prefix(const char *text)
{
	struct tp_prefix p = { 0 };

	assert_int_equal(tp_prefix_parse(text, &p), 0);
	return p;
}

static void check(const struct tp_policy *policy, const struct peer_case cases[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct tp_addr a = { 0 };

		assert_int_equal(tp_addr_parse(cases[i].peer, 4711, &a), 0);
		if (tp_policy_allows(policy, &a) != cases[i].want)
			fail_msg("%s: want %d", cases[i].peer, cases[i].want);
	}
}

/* RFC 8656 section 21.4: 6to4 and Teredo MUST NOT; the others are no unicast peers. */
static void some_addresses_never_pass_whatever_the_lists_say(void **state)
{
	const struct tp_prefix all[] = { prefix("0.0.0.0/0"), prefix("::/0") };
	static const struct peer_case cases[] = {
		{ "198.51.100.7", true },
		{ "127.0.0.1", true }, /* allowed by this list */
		{ "2001:db8::1", true },
		{ "0.0.0.0", false },
		{ "0.1.2.3", false },
		{ "1.0.0.0", true },
		{ "223.255.255.255", true },
		{ "224.0.0.0", false },
		{ "239.255.255.255", false },
		{ "240.0.0.0", true },
		{ "255.255.255.254", true },
		{ "255.255.255.255", false },
		{ "::", false },
		{ "::1", false },
		{ "::7f00:1", false },
		{ "::198.51.100.7", false },
		{ "::ffff:198.51.100.7", false },
		{ "::ffff:127.0.0.1", false },
		{ "::fffe:c633:6407", true },       /* neither mapped nor compatible */
		{ "::ffff:0:198.51.100.7", false }, /* translated, RFC 2765 */
		{ "::1:0:0:c633:6407", true },
		{ "2002:c633:6407::1", false },
		{ "2002::", false },
		{ "2003::1", true },
		{ "2001::1", false },
		{ "2001:0:4136:e378:8000:63bf:3fff:fdd2", false },
		{ "2001:1::1", true },
		{ "ff02::1", false },
		{ "ff0e::1", false },
		{ "feff::1", true },
		{ "64:ff9b::198.51.100.7", true },
		{ "64:ff9b::0.0.0.0", false },
		{ "64:ff9b::224.0.0.1", false },
		{ "64:ff9b::255.255.255.255", false },
		{ "64:ff9b:1::198.51.100.7", true },
	};
	struct tp_policy *policy;

	(void)state;
	assert_int_equal(tp_policy_new(NULL, 0, all, 2, &policy), 0);
	check(policy, cases, N(cases));
	tp_policy_free(policy);
}

static void what_no_list_names_is_allowed(void **state)
{
	static const struct peer_case cases[] = {
		{ "198.51.100.7", true },
		{ "10.0.0.1", true },
		{ "2001:db8::1", true },
		{ "fe80::1", true },
		{ "224.0.0.1", false },
	};
	struct tp_policy *policy;

	(void)state;
	assert_int_equal(tp_policy_new(NULL, 0, NULL, 0, &policy), 0);
	check(policy, cases, N(cases));
	tp_policy_free(policy);
}

static void the_longest_prefix_decides_and_allow_wins_a_tie(void **state)
{
	const struct tp_prefix deny[] = { prefix("10.0.0.0/8"), prefix("fd00::/8"),
		prefix("10.1.2.0/24"), prefix("10.1.3.0/24"), prefix("255.255.255.254/32"),
		prefix("2001:db8::/32"), prefix("10.0.0.0/8") };
	const struct tp_prefix allow[] = { prefix("10.1.0.0/16"), prefix("fd00:1::/32"),
		prefix("10.1.2.128/25"), prefix("10.1.3.0/24"), prefix("2001:db8::/32") };
	static const struct peer_case cases[] = {
		{ "9.255.255.255", true },
		{ "10.0.0.0", false },
		{ "10.0.255.255", false },
		{ "10.1.0.0", true },
		{ "10.1.1.255", true },
		{ "10.1.2.0", false },
		{ "10.1.2.127", false },
		{ "10.1.2.128", true },
		{ "10.1.2.255", true },
		{ "10.1.3.7", true },
		{ "10.1.4.0", true },
		{ "10.1.255.255", true },
		{ "255.255.255.253", true },
		{ "255.255.255.254", false },
		{ "2001:db8::1", true },
		{ "10.2.0.0", false },
		{ "10.255.255.255", false },
		{ "11.0.0.0", true },
		{ "fcff:ffff::", true },
		{ "fd00::1", false },
		{ "fd00:1::1", true },
		{ "fd00:2::1", false },
		{ "fe00::", true },
	};
	struct tp_policy *policy;

	(void)state;
	assert_int_equal(tp_policy_new(deny, N(deny), allow, N(allow), &policy), 0);
	check(policy, cases, N(cases));
	tp_policy_free(policy);
}

/* CVE-2020-26262 and its kin: another notation is the same host. */
static void nat64_is_checked_as_the_address_it_stands_for(void **state)
{
	const struct tp_prefix deny[] = { prefix("10.0.0.0/8"), prefix("127.0.0.0/8"),
		prefix("64:ff9b::ac10:0/108") };
	const struct tp_prefix allow[] = { prefix("10.1.0.0/16"), prefix("64:ff9b::a02:0/112") };
	static const struct peer_case cases[] = {
		{ "64:ff9b::198.51.100.7", true }, { "64:ff9b::127.0.0.1", false },
		{ "64:ff9b::10.0.0.1", false }, { "64:ff9b::10.1.0.1", true },
		{ "64:ff9b::10.2.0.1", false },   /* as itself allowed, as 10.2.0.1 not */
		{ "64:ff9b::172.16.0.1", false }, /* as 172.16.0.1 allowed, as itself not */
		{ "64:ff9b::1:0:0", true },       /* not of the /96 */
	};
	struct tp_policy *policy;

	(void)state;
	assert_int_equal(tp_policy_new(deny, 3, allow, 2, &policy), 0);
	check(policy, cases, N(cases));
	tp_policy_free(policy);
}

/* RFC 8215 leaves the length of the prefix to the network: every reading has to pass. */
static void local_nat64_is_read_in_every_way(void **state)
{
	const struct tp_prefix deny[] = { prefix("10.0.0.0/8"), prefix("127.0.0.0/8") };
	static const struct peer_case cases[] = {
		{ "64:ff9b:1::198.51.100.7", true }, { "64:ff9b:1::10.0.0.1", false }, /* /96 */
		{ "64:ff9b:1:fffe::127.0.0.1", false },   /* /96, longer prefix */
		{ "64:ff9b:1:a00:0:100::", false },       /* /48: 10.0.0.1 */
		{ "64:ff9b:1:c633:64:700::", true },      /* /48: 198.51.100.7 */
		{ "64:ff9b:1:220a:0:1::", false },        /* /56: 10.0.0.1 */
		{ "64:ff9b:1:2222:7f:0:100::", false },   /* /64: 127.0.0.1 */
		{ "64:ff9b:1:2222:c6:3364:700::", true }, /* /64: 198.51.100.7 */
		{ "64:ff9b:1::", false },                 /* no host at all */
		{ "64:ff9b:1::224.0.0.1", false }, { "64:ff9b:2::10.0.0.1", true }, /* not of it */
	};
	struct tp_policy *policy;

	(void)state;
	assert_int_equal(tp_policy_new(deny, N(deny), NULL, 0, &policy), 0);
	check(policy, cases, N(cases));
	tp_policy_free(policy);
}

/* RFC 5214 section 6.1: under any prefix. */
static void isatap_is_checked_as_the_address_it_stands_for(void **state)
{
	const struct tp_prefix deny[] = { prefix("10.0.0.0/8") };
	static const struct peer_case cases[] = {
		{ "2001:db8:1::5efe:10.0.0.1", false },
		{ "2001:db8:1::200:5efe:10.0.0.1", false },
		{ "2001:db8:1::200:5efe:198.51.100.7", true },
		{ "2001:db8:1::200:5efe:0.0.0.1", false },
		{ "2001:db8:1::300:5efe:10.0.0.1", true }, /* another interface identifier */
		{ "2001:db8:1::200:5eff:10.0.0.1", true },
	};
	struct tp_policy *policy;

	(void)state;
	assert_int_equal(tp_policy_new(deny, N(deny), NULL, 0, &policy), 0);
	check(policy, cases, N(cases));
	tp_policy_free(policy);
}

static uint32_t next_random(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16);
}

/* Crowded, so that prefixes nest, repeat and touch the ends. */
static struct tp_prefix random_prefix(void)
{
	struct tp_prefix p = { 0 };
	uint8_t ip[16] = { 0x24 };
	bool is_v6 = next_random() % 2;
	uint32_t v = next_random() & 0x81818181u;
	unsigned max = is_v6 ? 128 : 32;

	memcpy(ip + (is_v6 ? next_random() % 13 : 0), &v, 4);
	p.base = is_v6 ? tp_addr_v6(ip, 0) : tp_addr_v4(ip, 0);
	p.bits = (uint8_t)(next_random() % (max + 1));
	for (unsigned bit = p.bits; bit < max; bit++)
		p.base.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return p;
}

/* The rule, said as plainly as it can be. */
static bool plain(const struct tp_prefix deny[], uint32_t n_deny, const struct tp_prefix allow[],
		uint32_t n_allow, const struct tp_addr *a)
{
	int denied = -1, allowed = -1;

	for (uint32_t i = 0; i < n_deny; i++)
		if (tp_prefix_contains(&deny[i], a) && deny[i].bits > denied)
			denied = deny[i].bits;
	for (uint32_t i = 0; i < n_allow; i++)
		if (tp_prefix_contains(&allow[i], a) && allow[i].bits > allowed)
			allowed = allow[i].bits;
	return allowed >= denied;
}

/* The edges of every prefix, and one beyond. */
static void check_edges(const struct tp_policy *policy, const struct tp_prefix *p,
		const struct tp_prefix deny[], uint32_t n_deny, const struct tp_prefix allow[],
		uint32_t n_allow)
{
	unsigned max = 8u * tp_addr_ip_bytes(&p->base);
	struct tp_addr edge[4] = { p->base, p->base, p->base, p->base };

	for (unsigned bit = p->bits; bit < max; bit++)
		edge[1].ip[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	edge[2] = edge[1];
	for (int i = (int)max / 8 - 1; i >= 0 && ++edge[2].ip[i] == 0; i--)
		;
	for (int i = (int)max / 8 - 1; i >= 0 && edge[3].ip[i]-- == 0; i--)
		;
	for (int i = 0; i < 4; i++) {
		char text[TP_ADDR_STRLEN];
		/* What never passes says nothing about the lists. */
		bool is_plain = edge[i].family == TP_IPV4
				? edge[i].ip[0] != 0 && edge[i].ip[0] < 0xe0
				: (edge[i].ip[0] & 0xe0) == 0x20 && edge[i].ip[9] != 0x5e;
		bool want = plain(deny, n_deny, allow, n_allow, &edge[i]);

		if (is_plain && tp_policy_allows(policy, &edge[i]) != want)
			fail_msg("%s: want %d", tp_addr_format_ip(&edge[i], text), want);
	}
}

static void many_random_lists_decide_as_the_plain_rule_does(void **state)
{
	struct tp_prefix deny[40], allow[40];
	struct tp_policy *policy;

	(void)state;
	for (int round = 0; round < 500; round++) {
		uint32_t n_deny = next_random() % 41, n_allow = next_random() % 41;

		for (uint32_t i = 0; i < 40; i++) {
			deny[i] = random_prefix();
			allow[i] = i % 7 == 0 ? deny[i] : random_prefix();
		}
		assert_int_equal(tp_policy_new(deny, n_deny, allow, n_allow, &policy), 0);
		for (uint32_t i = 0; i < 40; i++) {
			check_edges(policy, &deny[i], deny, n_deny, allow, n_allow);
			check_edges(policy, &allow[i], deny, n_deny, allow, n_allow);
		}
		tp_policy_free(policy);
	}
}

static void the_lists_are_copied(void **state)
{
	struct tp_prefix deny[] = { prefix("10.0.0.0/8") };
	struct tp_policy *policy;
	static const struct peer_case cases[] = { { "10.0.0.1", false }, { "11.0.0.1", true } };

	(void)state;
	assert_int_equal(tp_policy_new(deny, 1, NULL, 0, &policy), 0);
	deny[0] = prefix("11.0.0.0/8");
	check(policy, cases, N(cases));
	tp_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(some_addresses_never_pass_whatever_the_lists_say),
		cmocka_unit_test(what_no_list_names_is_allowed),
		cmocka_unit_test(the_longest_prefix_decides_and_allow_wins_a_tie),
		cmocka_unit_test(nat64_is_checked_as_the_address_it_stands_for),
		cmocka_unit_test(local_nat64_is_read_in_every_way),
		cmocka_unit_test(isatap_is_checked_as_the_address_it_stands_for),
		cmocka_unit_test(many_random_lists_decide_as_the_plain_rule_does),
		cmocka_unit_test(the_lists_are_copied),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
