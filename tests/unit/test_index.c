/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define N 4096

static uint64_t random_state = 1;

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t x = random_state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* How often a search for the hash comes to the entry. */
static uint32_t count(const struct tp_index *index, uint64_t hash, uint32_t entry)
{
	struct tp_index_search search;
	uint32_t candidate, n = 0;

	tp_index_begin(index, hash, &search);
	while ((candidate = tp_index_next(index, &search)) != TP_INDEX_NONE)
		n += candidate == entry;
	return n;
}

/* The vector instructions against the words, for every way and for tags that nearly match. */
static void test_both_matches_are_one(void **state)
{
	static const uint16_t tags[] = { 0, 1, 2, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff };
	struct tp_index_line line = { 0 };
	uint16_t lanes[TP_INDEX_WAYS];
	uint32_t i, way, t, want;

	(void)state;
	for (i = 0; i < 200000; i++) {
		for (way = 0, want = 0; way < TP_INDEX_WAYS; way++)
			lanes[way] = tags[next_random() % 8];
		t = tags[next_random() % 8];
		for (way = 0; way < TP_INDEX_WAYS; way++)
			want |= (uint32_t)(lanes[way] == t) << way;
		memcpy((void *)line.tags, lanes, sizeof(lanes));
		assert_int_equal(tp_index_match(&line, (uint16_t)t), want);
		assert_int_equal(tp_index_match_words(&line, (uint16_t)t), want);
	}
}

static void test_full_empty_and_full_again(void **state)
{
	static uint64_t hash[N];
	struct tp_index index;
	uint32_t round, i;

	(void)state;
	assert_int_equal(tp_index_init(&index, N), 0);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < N; i++) {
			hash[i] = next_random();
			tp_index_add(&index, hash[i], i);
		}
		for (i = 0; i < N; i++)
			assert_int_equal(count(&index, hash[i], i), 1);
		for (i = 0; i < N; i++) {
			tp_index_del(&index, hash[i], i);
			assert_int_equal(count(&index, hash[i], i), 0);
		}
	}
	for (i = 0; i <= index.line_mask; i++) {
		assert_int_equal(index.lines[i].n_passed, 0);
		assert_int_equal(index.lines[i].tags[0] | index.lines[i].tags[1], 0);
	}
	tp_index_fini(&index);
}

/* All for one line, and tags alike: what has no room goes on, around the end too. */
static void test_a_line_overflows_into_the_next(void **state)
{
	struct tp_index index;
	uint64_t hash;
	uint32_t i;

	(void)state;
	assert_int_equal(tp_index_init(&index, 64), 0);
	hash = index.line_mask << 16 | 77;
	for (i = 0; i < 30; i++)
		tp_index_add(&index, hash, i);
	assert_int_equal(index.lines[index.line_mask].n_passed, 22);
	assert_int_equal(tp_index_first(&index, hash), 0);
	for (i = 0; i < 30; i++)
		assert_int_equal(count(&index, hash, i), 1);
	assert_int_equal(count(&index, hash + 1, 0), 0);
	/* A hole does not end the search. */
	tp_index_del(&index, hash, 3);
	tp_index_del(&index, hash, 9);
	for (i = 0; i < 30; i++)
		assert_int_equal(count(&index, hash, i), i != 3 && i != 9);
	for (i = 0; i < 30; i++)
		if (i != 3 && i != 9)
			tp_index_del(&index, hash, i);
	assert_int_equal(index.lines[index.line_mask].n_passed, 0);
	assert_int_equal(tp_index_first(&index, hash), TP_INDEX_NONE);
	tp_index_fini(&index);
}

/* A tag of zero would be an empty way. */
static void test_hashes_that_end_in_zeros(void **state)
{
	struct tp_index index;

	(void)state;
	assert_int_equal(tp_index_init(&index, 1), 0);
	assert_int_equal(tp_index_first(&index, 0), TP_INDEX_NONE);
	tp_index_add(&index, 0, 5);
	assert_int_equal(tp_index_first(&index, 0), 5);
	assert_int_equal(tp_index_first(&index, 0xabcd0000u), 5);
	tp_index_del(&index, 0, 5);
	assert_int_equal(tp_index_first(&index, 0), TP_INDEX_NONE);
	tp_index_fini(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_matches_are_one),
		cmocka_unit_test(test_full_empty_and_full_again),
		cmocka_unit_test(test_a_line_overflows_into_the_next),
		cmocka_unit_test(test_hashes_that_end_in_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
