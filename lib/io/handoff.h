/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handoff - the ring by which one thread gives frames to another: a worker what it can not do to
 * the kernel path, a DPDK port what is not ours to the kernel, and the kernel what it sends.
 *
 * Frames are copied into slots that travel between two single-producer rings: filled ones one way,
 * empty ones back.  A full ring loses the frame, counted; who puts never waits, and who takes is
 * woken by an eventfd only when it said that it sleeps.
 *
 * Threads: one puts, one takes.
 */
#ifndef TP_IO_HANDOFF_H
#define TP_IO_HANDOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/frame.h"

#define TP_HANDOFF_SLOTS 1024

struct tp_handoff;

/* One frame; it is the handoff's, and borrowed for the time of the call. */
typedef void tp_handoff_take_fn(void *ctx, const uint8_t *frame, uint32_t len);

/**
 * The EAL is up.
 *
 * @param name   unique in the process, for DPDK; at most 20 characters
 * @param bytes  largest frame
 * @return 0, -ENOMEM or -errno; *out is released with tp_handoff_free()
 */
int tp_handoff_new(const char *name, uint32_t bytes, struct tp_handoff **out);

/** Both threads are done with it; NULL is fine. */
void tp_handoff_free(struct tp_handoff *h);

/**
 * Putter: copy frames, none longer than the largest, at most TP_BURST.
 *
 * @return how many there was room for, from the front; the caller keeps all
 */
uint32_t tp_handoff_put(struct tp_handoff *h, const struct tp_frame frames[], uint32_t n);

/** Taker: descriptor that becomes readable when frames wait and the taker had said it sleeps. */
int tp_handoff_fd(const struct tp_handoff *h);

/**
 * Taker that sleeps on the descriptor whenever it is told that nothing waits: give up to max
 * waiting frames to `take`.
 *
 * @return whether frames may still be waiting; if not, tp_handoff_fd() wakes for the next one
 */
bool tp_handoff_drain(struct tp_handoff *h, uint32_t max, tp_handoff_take_fn *take, void *ctx);

/** Taker that polls: the same without a system call, and without saying that it sleeps. */
uint32_t tp_handoff_poll(struct tp_handoff *h, uint32_t max, tp_handoff_take_fn *take, void *ctx);

/** Taker that polls: before it sleeps.  @return false: frames wait, do not sleep */
bool tp_handoff_arm(struct tp_handoff *h);

/** Taker that polls: after it slept. */
void tp_handoff_disarm(struct tp_handoff *h);

#endif
