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
		{ "::fffe:c633:6407", true }, /* neither mapped nor compatible */
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
	struct tp_policy policy;

	(void)state;
	assert_int_equal(tp_policy_init(&policy, NULL, 0, all, 2), 0);
	check(&policy, cases, N(cases));
	tp_policy_fini(&policy);
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
	struct tp_policy policy;

	(void)state;
	assert_int_equal(tp_policy_init(&policy, NULL, 0, NULL, 0), 0);
	check(&policy, cases, N(cases));
	tp_policy_fini(&policy);
}

static void allow_wins_over_deny(void **state)
{
	const struct tp_prefix deny[] = { prefix("10.0.0.0/8"), prefix("fd00::/8") };
	const struct tp_prefix allow[] = { prefix("10.1.0.0/16"), prefix("fd00:1::/32") };
	static const struct peer_case cases[] = {
		{ "9.255.255.255", true },
		{ "10.0.0.0", false },
		{ "10.0.255.255", false },
		{ "10.1.0.0", true },
		{ "10.1.255.255", true },
		{ "10.2.0.0", false },
		{ "10.255.255.255", false },
		{ "11.0.0.0", true },
		{ "fcff:ffff::", true },
		{ "fd00::1", false },
		{ "fd00:1::1", true },
		{ "fd00:2::1", false },
		{ "fe00::", true },
	};
	struct tp_policy policy;

	(void)state;
	assert_int_equal(tp_policy_init(&policy, deny, 2, allow, 2), 0);
	check(&policy, cases, N(cases));
	tp_policy_fini(&policy);
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
	struct tp_policy policy;

	(void)state;
	assert_int_equal(tp_policy_init(&policy, deny, 3, allow, 2), 0);
	check(&policy, cases, N(cases));
	tp_policy_fini(&policy);
}

static void the_lists_are_copied(void **state)
{
	struct tp_prefix deny[] = { prefix("10.0.0.0/8") };
	struct tp_policy policy;
	static const struct peer_case cases[] = { { "10.0.0.1", false }, { "11.0.0.1", true } };

	(void)state;
	assert_int_equal(tp_policy_init(&policy, deny, 1, NULL, 0), 0);
	deny[0] = prefix("11.0.0.0/8");
	check(&policy, cases, N(cases));
	tp_policy_fini(&policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(some_addresses_never_pass_whatever_the_lists_say),
		cmocka_unit_test(what_no_list_names_is_allowed),
		cmocka_unit_test(allow_wins_over_deny),
		cmocka_unit_test(nat64_is_checked_as_the_address_it_stands_for),
		cmocka_unit_test(the_lists_are_copied),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
