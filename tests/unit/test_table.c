/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

#define MANY 10000
#define N_CHURN 200000

struct thing {
	uint32_t number;
	bool is_in;
	struct tp_link link;
};

static struct thing things[MANY];

/* Linked with --wrap. */
static bool is_dry;

void *__real_calloc(size_t n, size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);

void *__wrap_calloc(size_t n, size_t bytes)
{
	return is_dry ? NULL : __real_calloc(n, bytes);
}

TP_TABLE_KEY(key_of_thing, struct thing, number)

static struct thing *find(const struct tp_table *t, uint32_t number)
{
	return tp_table_find(t, &number, sizeof(number));
}

static void add(struct tp_table *t, uint32_t i)
{
	things[i] = (struct thing){ .number = i, .is_in = true };
	tp_table_add(t, &things[i]);
}

static void check_all(const struct tp_table *t, uint32_t n)
{
	uint32_t n_in = 0;

	for (uint32_t i = 0; i < n; i++) {
		assert_ptr_equal(find(t, i), things[i].is_in ? &things[i] : NULL);
		n_in += things[i].is_in;
	}
	assert_int_equal(t->n, n_in);
}

/* Entries in the longest chain. */
static uint32_t longest(const struct tp_table *t)
{
	uint32_t most = 0;

	for (uint32_t i = 0; t->chains != NULL && i <= t->mask; i++) {
		uint32_t n = 0;

		for (const struct tp_link *link = t->chains[i]; link != NULL; link = link->next)
			n++;
		most = n > most ? n : most;
	}
	return most;
}

static void an_empty_table_finds_nothing_and_holds_nothing(void **state)
{
	struct tp_table t = tp_table(key_of_thing, offsetof(struct thing, link), 7);

	(void)state;
	assert_null(find(&t, 0));
	assert_null(t.chains);
	tp_table_clear(&t);
}

static void all_are_found_at_every_size(void **state)
{
	struct tp_table t = tp_table(key_of_thing, offsetof(struct thing, link), 7);
	uint32_t i;

	(void)state;
	for (i = 0; i < MANY; i++) {
		assert_null(find(&t, i));
		add(&t, i);
		assert_ptr_equal(find(&t, i), &things[i]);
		if (i < 600)
			check_all(&t, i + 1);
	}
	check_all(&t, MANY);
	assert_true(t.mask + 1 >= MANY && t.mask + 1 <= 2 * MANY);
	assert_true(longest(&t) <= 12);
	for (i = 0; i < MANY; i++) {
		tp_table_remove(&t, &things[i]);
		things[i].is_in = false;
		assert_null(find(&t, i));
	}
	assert_int_equal(t.n, 0);
	tp_table_clear(&t);
	assert_null(t.chains);
}

/* Of any length, and one that is the beginning of another is not the other. */
static void a_key_is_compared_whole(void **state)
{
	struct tp_table t = tp_table(key_of_thing, offsetof(struct thing, link), 7);
	const uint32_t number[2] = { 1, 0 };

	(void)state;
	add(&t, 1);
	assert_non_null(tp_table_find(&t, number, sizeof(uint32_t)));
	assert_null(tp_table_find(&t, number, sizeof(number)));
	assert_null(tp_table_find(&t, number, 2));
	assert_null(tp_table_find(&t, number, 0));
	tp_table_clear(&t);
}

/* Begun sets of chains are finished before the next is due: no add moves more than two. */
static void growing_is_spread_over_many_calls(void **state)
{
	struct tp_table t = tp_table(key_of_thing, offsetof(struct thing, link), 7);
	uint32_t n_growing = 0;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		const bool was_growing = t.old != NULL;
		const uint32_t before = t.moved;

		add(&t, i);
		if (was_growing && t.old != NULL)
			assert_int_equal(t.moved, before + 2);
		else if (!was_growing && t.old != NULL)
			assert_int_equal(t.moved, 0);
		n_growing += t.old != NULL;
	}
	assert_true(n_growing > MANY / 4);
	tp_table_clear(&t);
}

static void without_memory_chains_get_longer(void **state)
{
	struct tp_table t = tp_table(key_of_thing, offsetof(struct thing, link), 7);
	uint32_t i;

	(void)state;
	is_dry = true;
	for (i = 0; i < 500; i++)
		add(&t, i);
	check_all(&t, 500);
	assert_null(t.chains);
	is_dry = false;
	for (; i < 2000; i++)
		add(&t, i);
	check_all(&t, 2000);
	assert_true(t.mask + 1 >= 1024);
	tp_table_clear(&t);
}

static void entries_come_and_go_while_it_grows(void **state)
{
	struct tp_table t = tp_table(key_of_thing, offsetof(struct thing, link), 7);
	uint32_t x = 12345;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		things[i].is_in = false;
	for (uint32_t i = 0; i < N_CHURN; i++) {
		uint32_t at;

		x = x * 1664525 + 1013904223;
		/* More and more of them. */
		at = (x >> 8) % (1 + (uint32_t)((uint64_t)i * MANY / N_CHURN));
		if (things[at].is_in) {
			tp_table_remove(&t, &things[at]);
			things[at].is_in = false;
		} else {
			add(&t, at);
		}
		if (i % 5000 == 0)
			check_all(&t, MANY);
	}
	check_all(&t, MANY);
	tp_table_clear(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_table_finds_nothing_and_holds_nothing),
		cmocka_unit_test(all_are_found_at_every_size),
		cmocka_unit_test(a_key_is_compared_whole),
		cmocka_unit_test(growing_is_spread_over_many_calls),
		cmocka_unit_test(without_memory_chains_get_longer),
		cmocka_unit_test(entries_come_and_go_while_it_grows),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
