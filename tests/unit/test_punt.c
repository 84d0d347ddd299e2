/* SPDX-License-Identifier: Apache-2.0 */
#include "punt.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eal.h"

#define FRAME_BYTES 256
#define MANY 50000u

/* What the taker saw: frames carry a counter, so order and loss show. */
struct seen {
	uint32_t n;
	uint32_t next;
	bool is_in_order;
};

static void take(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct seen *s = ctx;
	uint32_t number;

	assert_int_equal(len, sizeof(number));
	memcpy(&number, frame, sizeof(number));
	s->is_in_order = s->is_in_order && number == s->next;
	s->next = number + 1;
	s->n++;
}

static struct tp_frame frame_of(uint32_t *number)
{
	return (struct tp_frame){ .data = (uint8_t *)number, .len = sizeof(*number) };
}

static bool is_readable(const struct tp_punt *punt, int timeout_ms)
{
	struct pollfd p = { .fd = tp_punt_fd(punt), .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void frames_arrive_in_order_and_wake_the_taker(void **state)
{
	struct seen seen = { .is_in_order = true };
	uint32_t number[3] = { 0, 1, 2 };
	struct tp_frame frames[3] = { frame_of(&number[0]), frame_of(&number[1]),
		frame_of(&number[2]) };
	struct tp_punt *punt;

	(void)state;
	assert_int_equal(tp_punt_new("order", FRAME_BYTES, &punt), 0);
	assert_false(is_readable(punt, 0));
	assert_int_equal(tp_punt_put(punt, frames, 3), 3);
	assert_true(is_readable(punt, 0));
	assert_int_equal(tp_punt_drain(punt, 100, take, &seen), 0);
	assert_false(is_readable(punt, 0));
	assert_int_equal(seen.n, 3);
	assert_true(seen.is_in_order);
	tp_punt_free(punt);
}

static void a_full_ring_takes_no_more_and_recovers(void **state)
{
	struct seen seen = { .is_in_order = true };
	uint32_t number, taken = 0;
	struct tp_punt *punt;
	struct tp_frame frame;

	(void)state;
	assert_int_equal(tp_punt_new("full", FRAME_BYTES, &punt), 0);
	for (number = 0; number < TP_PUNT_SLOTS + 10; number++) {
		frame = frame_of(&number);
		taken += tp_punt_put(punt, &frame, 1);
	}
	assert_int_equal(taken, TP_PUNT_SLOTS);
	assert_int_equal(tp_punt_drain(punt, 100, take, &seen), 1);
	assert_int_equal(seen.n, 100);
	number = TP_PUNT_SLOTS;
	frame = frame_of(&number);
	assert_int_equal(tp_punt_put(punt, &frame, 1), 1);
	assert_int_equal(tp_punt_drain(punt, 2 * TP_PUNT_SLOTS, take, &seen), 0);
	assert_int_equal(seen.n, TP_PUNT_SLOTS + 1);
	assert_true(seen.is_in_order);
	tp_punt_free(punt);
}

struct race {
	struct tp_punt *punt;
	_Atomic uint32_t n_seen;
};

static void take_racing(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct race *r = ctx;
	uint32_t number;

	assert_int_equal(len, sizeof(number));
	memcpy(&number, frame, sizeof(number));
	assert_int_equal(number, r->n_seen);
	r->n_seen++;
}

/* A worker whose next frame comes just when the one before was taken, and then no more. */
static void *putter(void *arg)
{
	struct race *r = arg;

	for (uint32_t number = 0; number < MANY; number++) {
		struct tp_frame frame = frame_of(&number);

		while (r->n_seen < number)
			;
		assert_int_equal(tp_punt_put(r->punt, &frame, 1), 1);
	}
	return NULL;
}

/* The taker sleeps whenever it is told that nothing waits: one lost wake-up and it never ends. */
static void no_wake_up_is_lost(void **state)
{
	struct race race = { 0 };
	pthread_t thread;

	(void)state;
	assert_int_equal(tp_punt_new("race", FRAME_BYTES, &race.punt), 0);
	assert_int_equal(pthread_create(&thread, NULL, putter, &race), 0);
	while (race.n_seen < MANY) {
		if (!is_readable(race.punt, 10000))
			fail_msg("asleep with %u of %u frames", race.n_seen, MANY);
		while (tp_punt_drain(race.punt, 64, take_racing, &race))
			;
	}
	pthread_join(thread, NULL);
	tp_punt_free(race.punt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_arrive_in_order_and_wake_the_taker),
		cmocka_unit_test(a_full_ring_takes_no_more_and_recovers),
		cmocka_unit_test(no_wake_up_is_lost),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
