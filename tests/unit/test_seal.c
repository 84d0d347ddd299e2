/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t text[TP_SEAL_TEXT_LEN] = "old text";

static struct tp_seal *new_seal(uint8_t first)
{
	const uint8_t key[TP_SEAL_KEY_LEN] = { first };
	struct tp_seal *seal = NULL;

	assert_int_equal(tp_seal_new(key, &seal), 0);
	return seal;
}

static void what_was_sealed_is_opened(void **state)
{
	struct tp_seal *seal = new_seal(1), *same = new_seal(1);
	uint8_t sealed[TP_SEAL_LEN], again[TP_SEAL_LEN], opened[TP_SEAL_TEXT_LEN];

	(void)state;
	assert_int_equal(tp_seal_close(seal, text, sealed), 0);
	assert_int_equal(tp_seal_close(same, text, again), 0);
	assert_memory_equal(sealed, again, sizeof(sealed));
	for (int i = 0; i < 2; i++) {
		memset(opened, 0, TP_SEAL_TEXT_LEN);
		assert_true(tp_seal_open(seal, sealed, opened));
		assert_memory_equal(opened, text, TP_SEAL_TEXT_LEN);
	}
	tp_seal_free(seal);
	tp_seal_free(same);
	tp_seal_free(NULL);
}

/* Not the text itself, and nothing in common with that of a neighbour. */
static void nothing_shows(void **state)
{
	struct tp_seal *seal = new_seal(1);
	uint8_t a[TP_SEAL_LEN], b[TP_SEAL_LEN], near[TP_SEAL_TEXT_LEN];
	unsigned n_same = 0;

	(void)state;
	memcpy(near, text, TP_SEAL_TEXT_LEN);
	near[TP_SEAL_TEXT_LEN - 1] ^= 1;
	assert_int_equal(tp_seal_close(seal, text, a), 0);
	assert_int_equal(tp_seal_close(seal, near, b), 0);
	assert_null(memmem(a, sizeof(a), text, 4));
	assert_null(memchr(a, 0, sizeof(a))); /* a C string for who wants one */
	for (size_t i = 0; i < sizeof(a); i++)
		n_same += a[i] == b[i];
	assert_in_range(n_same, 0, 4);
	tp_seal_free(seal);
}

static void any_flipped_bit_and_any_other_key_is_noticed(void **state)
{
	struct tp_seal *seal = new_seal(1), *other = new_seal(2);
	uint8_t sealed[TP_SEAL_LEN], opened[TP_SEAL_TEXT_LEN];

	(void)state;
	assert_int_equal(tp_seal_close(seal, text, sealed), 0);
	for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(tp_seal_open(seal, sealed, opened));
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_false(tp_seal_open(other, sealed, opened));
	assert_true(tp_seal_open(seal, sealed, opened));
	tp_seal_free(seal);
	tp_seal_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_sealed_is_opened),
		cmocka_unit_test(nothing_shows),
		cmocka_unit_test(any_flipped_bit_and_any_other_key_is_noticed),
	};

	return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
