/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/timer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define MANY 300 /* more than the heap's first room, several times */

static void nothing_is_due_when_nothing_is_set(void **state)
{
	struct tp_timers t = { 0 };

	(void)state;
	assert_true(tp_timers_next_ns(&t) == UINT64_MAX);
	assert_null(tp_timers_pop(&t, UINT64_MAX));
	tp_timers_fini(&t);
}

static void a_timer_is_due_at_its_very_instant_and_not_before(void **state)
{
	struct tp_timer timer = { .kind = 7 };
	struct tp_timers t = { 0 };

	(void)state;
	assert_int_equal(tp_timers_reserve(&t, 1), 0);
	tp_timer_set(&t, &timer, 1000);
	assert_int_equal(tp_timers_next_ns(&t), 1000);
	assert_null(tp_timers_pop(&t, 999));
	assert_ptr_equal(tp_timers_pop(&t, 1000), &timer);
	assert_int_equal(timer.place, 0);
	assert_int_equal(timer.kind, 7);
	assert_null(tp_timers_pop(&t, UINT64_MAX));
	tp_timers_fini(&t);
}

static void moving_a_timer_keeps_one_of_it(void **state)
{
	struct tp_timer a = { 0 }, b = { 0 };
	struct tp_timers t = { 0 };

	(void)state;
	assert_int_equal(tp_timers_reserve(&t, 2), 0);
	tp_timer_set(&t, &a, 10);
	tp_timer_set(&t, &b, 20);
	tp_timer_set(&t, &a, 30);
	assert_int_equal(tp_timers_next_ns(&t), 20);
	tp_timer_set(&t, &a, 5);
	assert_ptr_equal(tp_timers_pop(&t, 100), &a);
	assert_ptr_equal(tp_timers_pop(&t, 100), &b);
	assert_null(tp_timers_pop(&t, 100));
	tp_timers_fini(&t);
}

static void cancelling_twice_is_cancelling_once(void **state)
{
	struct tp_timer a = { 0 }, b = { 0 };
	struct tp_timers t = { 0 };

	(void)state;
	assert_int_equal(tp_timers_reserve(&t, 2), 0);
	tp_timer_set(&t, &a, 10);
	tp_timer_set(&t, &b, 20);
	tp_timer_cancel(&t, &a);
	tp_timer_cancel(&t, &a);
	assert_int_equal(tp_timers_next_ns(&t), 20);
	tp_timer_cancel(&t, &b);
	assert_true(tp_timers_next_ns(&t) == UINT64_MAX);
	tp_timers_unreserve(&t, 2);
	tp_timers_fini(&t);
}

/* Deadlines of every kind are in one heap, and many are equal. */
static void timers_come_in_the_order_of_their_time(void **state)
{
	static struct tp_timer timer[MANY];
	struct tp_timers t = { 0 };
	uint64_t last = 0;
	uint32_t i, n = 0;

	(void)state;
	srandom(1);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(tp_timers_reserve(&t, 1), 0);
		tp_timer_set(&t, &timer[i], (uint64_t)random() % 50);
	}
	for (struct tp_timer *first; (first = tp_timers_pop(&t, 49)) != NULL; n++) {
		assert_true(first->due_ns >= last);
		last = first->due_ns;
	}
	assert_int_equal(n, MANY);
	tp_timers_unreserve(&t, MANY);
	tp_timers_fini(&t);
}

/* Against the obvious: look at all of them. */
static void random_changes_agree_with_a_scan(void **state)
{
	static struct tp_timer timer[MANY];
	struct tp_timers t = { 0 };

	(void)state;
	srandom(2);
	assert_int_equal(tp_timers_reserve(&t, MANY), 0);
	for (uint32_t step = 0; step < 5000; step++) {
		struct tp_timer *one = &timer[random() % MANY], *first;
		uint64_t next = UINT64_MAX;

		switch (random() % 4) {
		case 0:
		case 1:
			tp_timer_set(&t, one, (uint64_t)random() % 1000);
			break;
		case 2:
			tp_timer_cancel(&t, one);
			break;
		default:
			first = tp_timers_pop(&t, (uint64_t)random() % 1000);
			if (first != NULL)
				assert_int_equal(first->place, 0);
			break;
		}
		for (uint32_t i = 0; i < MANY; i++)
			if (timer[i].place != 0 && timer[i].due_ns < next)
				next = timer[i].due_ns;
		assert_true(tp_timers_next_ns(&t) == next);
	}
	tp_timers_fini(&t);
}

static void room_is_kept_for_what_was_promised(void **state)
{
	static struct tp_timer timer[MANY];
	struct tp_timers t = { 0 };

	(void)state;
	assert_int_equal(tp_timers_reserve(&t, MANY), 0);
	assert_true(t.room >= MANY);
	for (uint32_t i = 0; i < MANY; i++)
		tp_timer_set(&t, &timer[i], MANY - i);
	for (uint32_t i = 0; i < MANY; i++)
		tp_timer_cancel(&t, &timer[i]);
	tp_timers_unreserve(&t, MANY);
	assert_int_equal(t.reserved, 0);
	tp_timers_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_due_when_nothing_is_set),
		cmocka_unit_test(a_timer_is_due_at_its_very_instant_and_not_before),
		cmocka_unit_test(moving_a_timer_keeps_one_of_it),
		cmocka_unit_test(cancelling_twice_is_cancelling_once),
		cmocka_unit_test(timers_come_in_the_order_of_their_time),
		cmocka_unit_test(random_changes_agree_with_a_scan),
		cmocka_unit_test(room_is_kept_for_what_was_promised),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
