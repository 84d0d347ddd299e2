/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer - deadlines, earliest first: a binary heap of timers that live in their owners.
 *
 * Setting, moving and cancelling are O(log n), the next deadline is O(1); nothing ever scans.
 * Heap rather than wheel: exact to the nanosecond, and no work while nothing is due.
 *
 * Threads: one.  Memory: room for each timer is reserved when its owner is made
 * (tp_timers_reserve), so that setting one can not fail.
 */
#ifndef TP_TURN_TIMER_H
#define TP_TURN_TIMER_H

#include <stdint.h>

struct tp_timer {
	uint64_t due_ns;
	uint32_t place; /* position in the heap, counted from 1; 0: not set */
	uint32_t kind;  /* the owner's */
};

struct tp_timers {
	struct tp_timer **heap;
	uint32_t n, room, reserved;
};

/** Promise room for n more timers.  @return 0 or -ENOMEM */
int tp_timers_reserve(struct tp_timers *t, uint32_t n);

/** Take back a promise: the owners of n timers are gone, their timers cancelled. */
void tp_timers_unreserve(struct tp_timers *t, uint32_t n);

/** Set or move. */
void tp_timer_set(struct tp_timers *t, struct tp_timer *timer, uint64_t due_ns);

/** Idempotent. */
void tp_timer_cancel(struct tp_timers *t, struct tp_timer *timer);

/** Take the earliest timer whose time has come (due_ns <= now_ns); NULL: none. */
struct tp_timer *tp_timers_pop(struct tp_timers *t, uint64_t now_ns);

/** @return the earliest deadline, UINT64_MAX when there is none */
uint64_t tp_timers_next_ns(const struct tp_timers *t);

/** Frees the heap, not the timers. */
void tp_timers_fini(struct tp_timers *t);

#endif
