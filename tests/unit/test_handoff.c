/* SPDX-License-Identifier: Apache-2.0 */
#include "io/handoff.h"

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

static bool is_readable(const struct tp_handoff *handoff, int timeout_ms)
{
	struct pollfd p = { .fd = tp_handoff_fd(handoff), .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void frames_arrive_in_order_and_wake_the_taker(void **state)
{
	struct seen seen = { .is_in_order = true };
	uint32_t number[3] = { 0, 1, 2 };
	struct tp_frame frames[3] = { frame_of(&number[0]), frame_of(&number[1]),
		frame_of(&number[2]) };
	struct tp_handoff *handoff;

	(void)state;
	assert_int_equal(tp_handoff_new("order", FRAME_BYTES, &handoff), 0);
	assert_false(is_readable(handoff, 0));
	assert_int_equal(tp_handoff_put(handoff, frames, 3), 3);
	assert_true(is_readable(handoff, 0));
	assert_false(tp_handoff_drain(handoff, 100, take, &seen));
	assert_false(is_readable(handoff, 0));
	assert_int_equal(seen.n, 3);
	assert_true(seen.is_in_order);
	tp_handoff_free(handoff);
}

static void a_full_ring_takes_no_more_and_recovers(void **state)
{
	struct seen seen = { .is_in_order = true };
	uint32_t number, taken = 0;
	struct tp_handoff *handoff;
	struct tp_frame frame;

	(void)state;
	assert_int_equal(tp_handoff_new("full", FRAME_BYTES, &handoff), 0);
	for (number = 0; number < TP_HANDOFF_SLOTS + 10; number++) {
		frame = frame_of(&number);
		taken += tp_handoff_put(handoff, &frame, 1);
	}
	assert_int_equal(taken, TP_HANDOFF_SLOTS);
	assert_true(tp_handoff_drain(handoff, 100, take, &seen));
	assert_int_equal(seen.n, 100);
	number = TP_HANDOFF_SLOTS;
	frame = frame_of(&number);
	assert_int_equal(tp_handoff_put(handoff, &frame, 1), 1);
	assert_false(tp_handoff_drain(handoff, 2 * TP_HANDOFF_SLOTS, take, &seen));
	assert_int_equal(seen.n, TP_HANDOFF_SLOTS + 1);
	assert_true(seen.is_in_order);
	tp_handoff_free(handoff);
}

struct race {
	struct tp_handoff *handoff;
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
		assert_int_equal(tp_handoff_put(r->handoff, &frame, 1), 1);
	}
	return NULL;
}

/* The taker sleeps whenever it is told that nothing waits: one lost wake-up and it never ends. */
static void no_wake_up_is_lost(void **state)
{
	struct race race = { 0 };
	pthread_t thread;

	(void)state;
	assert_int_equal(tp_handoff_new("race", FRAME_BYTES, &race.handoff), 0);
	assert_int_equal(pthread_create(&thread, NULL, putter, &race), 0);
	while (race.n_seen < MANY) {
		if (!is_readable(race.handoff, 10000))
			fail_msg("asleep with %u of %u frames", race.n_seen, MANY);
		while (tp_handoff_drain(race.handoff, 64, take_racing, &race))
			;
	}
	pthread_join(thread, NULL);
	tp_handoff_free(race.handoff);
}

static void a_taker_that_polls_is_woken_only_when_it_sleeps(void **state)
{
	struct seen seen = { .is_in_order = true };
	uint32_t number[2] = { 0, 1 };
	struct tp_frame frames[2] = { frame_of(&number[0]), frame_of(&number[1]) };
	struct tp_handoff *handoff;

	(void)state;
	assert_int_equal(tp_handoff_new("poll", FRAME_BYTES, &handoff), 0);
	tp_handoff_disarm(handoff); /* it is born asleep */
	assert_int_equal(tp_handoff_put(handoff, frames, 1), 1);
	assert_false(is_readable(handoff, 0));
	assert_false(tp_handoff_arm(handoff)); /* a frame waits */
	assert_int_equal(tp_handoff_poll(handoff, 64, take, &seen), 1);
	assert_true(tp_handoff_arm(handoff));
	assert_int_equal(tp_handoff_put(handoff, frames + 1, 1), 1);
	assert_true(is_readable(handoff, 0));
	tp_handoff_disarm(handoff);
	assert_false(is_readable(handoff, 0));
	assert_int_equal(tp_handoff_poll(handoff, 64, take, &seen), 1);
	assert_true(seen.is_in_order);
	tp_handoff_free(handoff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_arrive_in_order_and_wake_the_taker),
		cmocka_unit_test(a_full_ring_takes_no_more_and_recovers),
		cmocka_unit_test(a_taker_that_polls_is_woken_only_when_it_sleeps),
		cmocka_unit_test(no_wake_up_is_lost),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
