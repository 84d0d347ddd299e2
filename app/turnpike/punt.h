/* SPDX-License-Identifier: Apache-2.0 */
/*
 * punt - the ring by which a worker hands frames to the kernel path.
 *
 * Frames are copied into slots that travel between two single-producer rings: filled ones to the
 * control thread, empty ones back.  A full ring loses the frame, counted; a worker never waits.
 * The control thread is woken by an eventfd only when it said that it sleeps.
 *
 * Threads: one worker puts, control takes.
 */
#ifndef TP_APP_PUNT_H
#define TP_APP_PUNT_H

#include <stdint.h>

#include "flow/frame.h"

#define TP_PUNT_SLOTS 1024

struct tp_punt;

/**
 * @param name   unique in the process, for DPDK
 * @param bytes  largest frame
 * @return 0, -ENOMEM or -errno; *out is released with tp_punt_free()
 */
int tp_punt_new(const char *name, uint32_t bytes, struct tp_punt **out);
void tp_punt_free(struct tp_punt *punt);

/** Worker: copy frames.  @return how many there was room for, from the front; the caller keeps all
 */
uint32_t tp_punt_put(struct tp_punt *punt, const struct tp_frame frames[], uint32_t n);

/** Control: descriptor that becomes readable when frames wait. */
int tp_punt_fd(const struct tp_punt *punt);

/**
 * Control: give up to max waiting frames to `take`.
 * @return whether frames may still be waiting; if not, tp_punt_fd() wakes for the next one
 */
int tp_punt_drain(struct tp_punt *punt, uint32_t max,
		void (*take)(void *ctx, const uint8_t *frame, uint32_t len), void *ctx);

#endif
