/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/allocation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static uint32_t of(const struct tp_quota *q, const char *name)
{
	return tp_quota_of(q, name, strlen(name));
}

static struct tp_quota_user *take(struct tp_quota *q, const char *name)
{
	return tp_quota_take(q, name, strlen(name));
}

static struct tp_quota *quota_new(uint32_t max)
{
	struct tp_quota *q;

	assert_int_equal(tp_quota_new(max, &q), 0);
	return q;
}

static void users_are_counted_while_they_have_allocations(void **state)
{
	struct tp_quota *q = quota_new(10);
	struct tp_quota_user *a, *b;

	(void)state;
	assert_int_equal(of(q, "alice"), 0);
	assert_int_equal(tp_quota_users(q), 0); /* asking stores nothing */
	a = take(q, "alice");
	b = take(q, "bob");
	assert_ptr_equal(take(q, "alice"), a);
	assert_int_equal(of(q, "alice"), 2);
	assert_int_equal(of(q, "bob"), 1);
	assert_int_equal(of(q, "alic"), 0);
	assert_int_equal(tp_quota_users(q), 2);
	tp_quota_give(q, a);
	tp_quota_give(q, b);
	assert_int_equal(of(q, "alice"), 1);
	assert_int_equal(of(q, "bob"), 0);
	assert_int_equal(tp_quota_users(q), 1);
	tp_quota_give(q, a);
	assert_int_equal(tp_quota_users(q), 0);
	tp_quota_free(q);
}

static void which_names_are_one_user(void **state)
{
	static const struct {
		const char *taken, *asked;
		bool is_same;
	} cases[] = {
		{ "1700000000:carol", "1700003600:carol", true },
		{ "1700000000:carol", "1700000000:dave", false },
		{ "1700000000:carol", "carol", false },
		{ "1700000000:a:b", "1:a:b", true },
		{ "1700000000:a:b", "1:b", false },
		/* no id: each expiry is a user of its own */
		{ "1700000000", "1700000001", false },
		{ "1700000000:", "1700000001:", false },
		/* not time-limited */
		{ "x1:carol", "x2:carol", false },
		{ "a:carol", "b:carol", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tp_quota *q = quota_new(4);
		struct tp_quota_user *user = take(q, cases[i].taken);

		assert_int_equal(of(q, cases[i].taken), 1);
		assert_int_equal(of(q, cases[i].asked), cases[i].is_same);
		tp_quota_give(q, user);
		tp_quota_free(q);
	}
}

/* In a table as full as it gets, against plain counting: gaps are closed, nobody is lost. */
static void a_full_table_agrees_with_plain_counting(void **state)
{
	enum {
		MAX = 500,
		NAMES = 700,
		STEPS = 200000
	};
	static struct tp_quota_user *held[MAX];
	static uint32_t whose[MAX], count[NAMES];
	struct tp_quota *q = quota_new(MAX);
	uint64_t random = 7;
	char name[16];

	(void)state;
	for (uint32_t step = 0; step < STEPS; step++) {
		uint32_t i, n;

		random = random * 6364136223846793005u + 1442695040888963407u;
		i = (uint32_t)(random >> 33) % MAX;
		n = (uint32_t)(random >> 12) % NAMES;
		if (held[i] != NULL) {
			tp_quota_give(q, held[i]);
			held[i] = NULL;
			n = whose[i];
			count[n]--;
		} else {
			snprintf(name, sizeof(name), "user%u", n);
			held[i] = take(q, name);
			whose[i] = n;
			count[n]++;
		}
		snprintf(name, sizeof(name), "user%u", n);
		assert_int_equal(of(q, name), count[n]);
	}
	for (uint32_t n = 0; n < NAMES; n++) {
		snprintf(name, sizeof(name), "user%u", n);
		assert_int_equal(of(q, name), count[n]);
	}
	for (uint32_t i = 0; i < MAX; i++)
		if (held[i] != NULL)
			tp_quota_give(q, held[i]);
	assert_int_equal(tp_quota_users(q), 0);
	tp_quota_free(q);
}

/* However many, one allocation after the other. */
static void who_has_only_reservations_is_known_too(void **state)
{
	enum {
		USERS = 1000
	};
	static struct tp_quota_user *held[USERS];
	struct tp_quota *q = quota_new(1);
	char name[16];
	uint32_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		held[i] = take(q, name);
		assert_true(tp_quota_reserve(held[i]));
		assert_int_equal(tp_quota_users(q), 1);
		tp_quota_give(q, held[i]);
		assert_int_equal(tp_quota_users(q), 0);
	}
	for (uint32_t i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		assert_int_equal(of(q, name), 0);
		assert_int_equal(tp_quota_reserved(q, name, strlen(name)), 1);
		assert_ptr_equal(take(q, name), held[i]);
		tp_quota_unreserve(q, held[i]);
		assert_int_equal(of(q, name), 1);
		tp_quota_give(q, held[i]);
		assert_int_equal(tp_quota_reserved(q, name, strlen(name)), 0);
	}
	held[0] = take(q, "alice");
	while (tp_quota_reserve(held[0]))
		n++;
	assert_int_equal(n, UINT16_MAX);
	while (n-- > 0)
		tp_quota_unreserve(q, held[0]);
	tp_quota_give(q, held[0]);
	tp_quota_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_are_counted_while_they_have_allocations),
		cmocka_unit_test(which_names_are_one_user),
		cmocka_unit_test(a_full_table_agrees_with_plain_counting),
		cmocka_unit_test(who_has_only_reservations_is_known_too),
	};

	tp_turn_hash_seed = 11;
	return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
