/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define START (1000 * TP_NS_PER_SEC)

static uint32_t take_all(struct tp_bucket *b, uint64_t now_ns)
{
	uint32_t n = 0;

	while (tp_bucket_take(b, now_ns))
		n++;
	return n;
}

static void a_burst_and_then_the_rate(void **state)
{
	struct tp_bucket b = { .per_sec = 100, .burst = 50 };

	(void)state;
	assert_int_equal(take_all(&b, START), 50);
	assert_int_equal(take_all(&b, START + 9 * TP_NS_PER_MS), 0);
	assert_int_equal(take_all(&b, START + 10 * TP_NS_PER_MS), 1);
	assert_int_equal(take_all(&b, START + 10 * TP_NS_PER_MS), 0);
	assert_int_equal(take_all(&b, START + 110 * TP_NS_PER_MS), 10);
}

static void it_never_holds_more_than_the_burst(void **state)
{
	struct tp_bucket b = { .per_sec = 100, .burst = 50 };

	(void)state;
	assert_int_equal(take_all(&b, START), 50);
	assert_int_equal(take_all(&b, START + 3600 * TP_NS_PER_SEC), 50);
}

/* However often it is asked in between: what is refused costs nothing. */
static void refusals_do_not_count(void **state)
{
	struct tp_bucket b = { .per_sec = 1, .burst = 1 };
	uint32_t n = 0;

	(void)state;
	for (uint64_t ms = 0; ms < 10000; ms++)
		n += tp_bucket_take(&b, START + ms * TP_NS_PER_MS);
	assert_int_equal(n, 10);
}

static void a_clock_that_starts_at_zero_will_do(void **state)
{
	struct tp_bucket b = { .per_sec = 10, .burst = 3 };

	(void)state;
	assert_int_equal(take_all(&b, 0), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_and_then_the_rate),
		cmocka_unit_test(it_never_holds_more_than_the_burst),
		cmocka_unit_test(refusals_do_not_count),
		cmocka_unit_test(a_clock_that_starts_at_zero_will_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
