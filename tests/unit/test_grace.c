/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/grace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* Objects carry their number; released ones are listed in order. */
static uint32_t released[4096], n_released;

static void note_release(void *ctx, void *obj)
{
	assert_ptr_equal(ctx, released);
	released[n_released++] = *(uint32_t *)obj;
	free(obj);
}

static void retire_number(struct tp_grace *g, uint32_t number)
{
	uint32_t *obj = malloc(sizeof(*obj));

	assert_non_null(obj);
	*obj = number;
	tp_grace_retire(g, note_release, released, obj);
}

static struct tp_grace *grace_new(uint32_t readers)
{
	struct tp_grace *g = NULL;

	assert_int_equal(tp_grace_new(readers, &g), 0);
	n_released = 0;
	return g;
}

static void test_no_readers_at_all_is_an_error(void **state)
{
	struct tp_grace *g = (struct tp_grace *)state;

	assert_int_equal(tp_grace_new(0, &g), -EINVAL);
	assert_ptr_equal(g, state);
}

static void test_without_readers_online_nothing_waits(void **state)
{
	struct tp_grace *g = grace_new(2);

	(void)state;
	tp_grace_reader_register(g, 0); /* registered is not yet online */
	retire_number(g, 1);
	retire_number(g, 2);
	assert_int_equal(n_released, 0);
	assert_int_equal(tp_grace_reclaim(g), 0);
	assert_int_equal(n_released, 2);
	tp_grace_reader_unregister(g, 0);
	tp_grace_free(g);
}

static void test_every_reader_online_is_waited_for(void **state)
{
	struct tp_grace *g = grace_new(2);

	(void)state;
	tp_grace_reader_register(g, 0);
	tp_grace_reader_register(g, 1);
	tp_grace_online(g, 0);
	tp_grace_online(g, 1);
	retire_number(g, 7);
	assert_int_equal(tp_grace_reclaim(g), 1);
	tp_grace_quiescent(g, 0);
	tp_grace_quiescent(g, 0);
	assert_int_equal(tp_grace_reclaim(g), 1);
	tp_grace_quiescent(g, 1);
	assert_int_equal(tp_grace_reclaim(g), 0);
	assert_int_equal(n_released, 1);
	assert_int_equal(released[0], 7);
	tp_grace_free(g);
}

static void test_going_offline_counts_as_quiescent(void **state)
{
	struct tp_grace *g = grace_new(1);

	(void)state;
	tp_grace_reader_register(g, 0);
	tp_grace_online(g, 0);
	retire_number(g, 1);
	assert_int_equal(tp_grace_reclaim(g), 1);
	tp_grace_offline(g, 0);
	assert_int_equal(tp_grace_reclaim(g), 0);

	/* Online again: not responsible for what was retired before, but for what is now. */
	retire_number(g, 2);
	tp_grace_online(g, 0);
	assert_int_equal(tp_grace_reclaim(g), 0);
	retire_number(g, 3);
	assert_int_equal(tp_grace_reclaim(g), 1);
	tp_grace_offline(g, 0);
	tp_grace_free(g);
}

static void test_only_what_was_retired_before_is_due(void **state)
{
	struct tp_grace *g = grace_new(1);

	(void)state;
	tp_grace_reader_register(g, 0);
	tp_grace_online(g, 0);
	retire_number(g, 1);
	tp_grace_quiescent(g, 0);
	retire_number(g, 2);
	assert_int_equal(tp_grace_reclaim(g), 1);
	assert_int_equal(n_released, 1);
	assert_int_equal(released[0], 1);
	tp_grace_offline(g, 0);
	tp_grace_free(g);
	assert_int_equal(n_released, 2);
}

/* Growth with the oldest entry in the middle of the ring keeps the order. */
static void test_queue_grows_and_keeps_order(void **state)
{
	struct tp_grace *g = grace_new(1);
	uint32_t i, next = 0;

	(void)state;
	tp_grace_reader_register(g, 0);
	tp_grace_online(g, 0);
	for (i = 0; i < 40; i++)
		retire_number(g, next++);
	tp_grace_quiescent(g, 0);
	assert_int_equal(tp_grace_reclaim(g), 0);
	for (i = 0; i < 3000; i++)
		retire_number(g, next++);
	assert_int_equal(tp_grace_reclaim(g), 3000);
	tp_grace_quiescent(g, 0);
	assert_int_equal(tp_grace_reclaim(g), 0);
	assert_int_equal(n_released, next);
	for (i = 0; i < next; i++)
		assert_int_equal(released[i], i);
	tp_grace_offline(g, 0);
	tp_grace_free(g);
}

static struct tp_grace *chain_grace;

static void retire_another(void *ctx, void *obj)
{
	uint32_t number = *(uint32_t *)obj;

	note_release(ctx, obj);
	retire_number(chain_grace, number + 1);
}

static void test_release_may_retire(void **state)
{
	uint32_t i, *obj;

	(void)state;
	chain_grace = grace_new(1);
	for (i = 0; i < 64;
			i++) { /* a full queue, so that retiring again in release could overrun */
		obj = malloc(sizeof(*obj));
		assert_non_null(obj);
		*obj = i * 2;
		tp_grace_retire(chain_grace, retire_another, released, obj);
	}
	assert_int_equal(tp_grace_reclaim(chain_grace), 0);
	assert_int_equal(n_released, 128);
	tp_grace_free(chain_grace);
}

static void test_free_releases_what_waits(void **state)
{
	struct tp_grace *g = grace_new(1);

	(void)state;
	tp_grace_reader_register(g, 0);
	tp_grace_online(g, 0);
	retire_number(g, 5);
	tp_grace_offline(g, 0);
	tp_grace_free(g);
	assert_int_equal(n_released, 1);
	tp_grace_free(NULL);
}

#define ROUNDS 20000

struct shared {
	struct tp_grace *g;
	_Atomic(uint32_t *) current;
	_Atomic bool is_stopping;
	_Atomic uint64_t reads;
	uint32_t bad;
};

/* A value is poisoned before it is freed: a reader that sees poison, or ASan, tells. */
static void poison(void *ctx, void *obj)
{
	(void)ctx;
	*(uint32_t *)obj = UINT32_MAX;
	free(obj);
}

static void *read_along(void *arg)
{
	struct shared *s = arg;
	uint32_t *p, i;

	tp_grace_online(s->g, 0);
	while (!s->is_stopping) {
		p = s->current;
		for (i = 0; i < 8; i++)
			s->bad += *(volatile uint32_t *)p == UINT32_MAX;
		s->reads++;
		tp_grace_quiescent(s->g, 0);
	}
	tp_grace_offline(s->g, 0);
	return NULL;
}

static void test_a_reader_never_sees_what_was_released(void **state)
{
	struct shared s = { .g = grace_new(1) };
	uint32_t i, *obj, *old;
	pthread_t reader;

	(void)state;
	obj = calloc(1, sizeof(*obj));
	assert_non_null(obj);
	s.current = obj;
	tp_grace_reader_register(s.g, 0);
	assert_int_equal(pthread_create(&reader, NULL, read_along, &s), 0);
	while (s.reads == 0)
		sched_yield();
	for (i = 0; i < ROUNDS; i++) {
		if (i % 64 == 0)
			sched_yield(); /* a turn for the reader, on one CPU too */
		obj = calloc(1, sizeof(*obj));
		assert_non_null(obj);
		old = atomic_exchange(&s.current, obj);
		tp_grace_retire(s.g, poison, NULL, old);
		tp_grace_reclaim(s.g);
	}
	s.is_stopping = true;
	assert_int_equal(pthread_join(reader, NULL), 0);
	assert_int_equal(s.bad, 0);
	assert_int_equal(tp_grace_reclaim(s.g), 0);
	free(s.current);
	tp_grace_free(s.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_readers_at_all_is_an_error),
		cmocka_unit_test(test_without_readers_online_nothing_waits),
		cmocka_unit_test(test_every_reader_online_is_waited_for),
		cmocka_unit_test(test_going_offline_counts_as_quiescent),
		cmocka_unit_test(test_only_what_was_retired_before_is_due),
		cmocka_unit_test(test_queue_grows_and_keeps_order),
		cmocka_unit_test(test_release_may_retire),
		cmocka_unit_test(test_free_releases_what_waits),
		cmocka_unit_test(test_a_reader_never_sees_what_was_released),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
