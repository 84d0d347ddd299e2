/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/timer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int tp_timers_reserve(struct tp_timers *t, uint32_t n)
{
	uint32_t want = t->reserved + n, room = t->room ? t->room : 64;
	struct tp_timer **heap;

	if (want > t->room) {
		while (room < want)
			room *= 2;
		heap = realloc(t->heap, room * sizeof(struct tp_timer *));
		if (heap == NULL)
			return -ENOMEM;
		t->heap = heap;
		t->room = room;
	}
	t->reserved = want;
	return 0;
}

void tp_timers_unreserve(struct tp_timers *t, uint32_t n)
{
	assert(t->reserved >= n && t->reserved - n >= t->n);
	t->reserved -= n;
}

static void put(struct tp_timers *t, uint32_t i, struct tp_timer *timer)
{
	t->heap[i] = timer;
	timer->place = i + 1;
}

/* Move a timer from the hole at i towards the root until its parent is not later. */
static void sift_up(struct tp_timers *t, uint32_t i, struct tp_timer *timer)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / 2;

		if (t->heap[parent]->due_ns <= timer->due_ns)
			break;
		put(t, i, t->heap[parent]);
		i = parent;
	}
	put(t, i, timer);
}

static void sift_down(struct tp_timers *t, uint32_t i, struct tp_timer *timer)
{
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= t->n)
			break;
		if (child + 1 < t->n && t->heap[child + 1]->due_ns < t->heap[child]->due_ns)
			child++;
		if (timer->due_ns <= t->heap[child]->due_ns)
			break;
		put(t, i, t->heap[child]);
		i = child;
	}
	put(t, i, timer);
}

static void settle(struct tp_timers *t, uint32_t i, struct tp_timer *timer)
{
	if (i > 0 && timer->due_ns < t->heap[(i - 1) / 2]->due_ns)
		sift_up(t, i, timer);
	else
		sift_down(t, i, timer);
}

void tp_timer_set(struct tp_timers *t, struct tp_timer *timer, uint64_t due_ns)
{
	timer->due_ns = due_ns;
	if (timer->place != 0) {
		settle(t, timer->place - 1, timer);
		return;
	}
	assert(t->n < t->reserved);
	sift_up(t, t->n++, timer);
}

void tp_timer_cancel(struct tp_timers *t, struct tp_timer *timer)
{
	uint32_t i = timer->place - 1;
	struct tp_timer *last;

	if (timer->place == 0)
		return;
	assert(t->heap[i] == timer);
	timer->place = 0;
	last = t->heap[--t->n];
	if (last != timer)
		settle(t, i, last);
}

struct tp_timer *tp_timers_pop(struct tp_timers *t, uint64_t now_ns)
{
	struct tp_timer *first = t->n > 0 ? t->heap[0] : NULL;

	if (first == NULL || first->due_ns > now_ns)
		return NULL;
	tp_timer_cancel(t, first);
	return first;
}

uint64_t tp_timers_next_ns(const struct tp_timers *t)
{
	return t->n > 0 ? t->heap[0]->due_ns : UINT64_MAX;
}

void tp_timers_fini(struct tp_timers *t)
{
	free(t->heap);
	*t = (struct tp_timers){ 0 };
}
