/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define GIGABYTES_64 (64ull << 30)

static void test_reserved_pages_are_zero_and_writable(void **state)
{
	/* More than a machine has: what is not written costs nothing. */
	uint8_t *p = tp_pages_reserve(GIGABYTES_64);

	(void)state;
	assert_non_null(p);
	assert_int_equal(p[0], 0);
	assert_int_equal(p[GIGABYTES_64 - 1], 0);
	p[0] = p[GIGABYTES_64 - 1] = 1;
	tp_pages_release(p, GIGABYTES_64);
	tp_pages_release(NULL, GIGABYTES_64);
}

static void test_no_address_space(void **state)
{
	(void)state;
	assert_null(tp_pages_reserve(SIZE_MAX / 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserved_pages_are_zero_and_writable),
		cmocka_unit_test(test_no_address_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
