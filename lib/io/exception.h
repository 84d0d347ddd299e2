/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exception - the thread between DPDK ports and the kernel: what is not a worker's goes to a TAP,
 * and what the kernel sends there goes back to the port.
 *
 * So ARP, neighbour discovery, ICMP, ssh and the control plane's own sockets work on a device that
 * the kernel does not see.  A thread of its own makes the system calls, one for each frame: a flood
 * of what is not ours costs a worker one copy, and then the ring is full.
 *
 * Threads: control, but for the thread itself.
 */
#ifndef TP_IO_EXCEPTION_H
#define TP_IO_EXCEPTION_H

#include <stdint.h>

#include "base/why.h"
#include "io/handoff.h"

struct tp_exception;

/** @return 0, -ENOMEM or -errno; *out is released with tp_exception_free() */
int tp_exception_new(struct tp_exception **out);

/** Stop the thread; then close the TAPs and free the rings that were added.  NULL is fine. */
void tp_exception_free(struct tp_exception *e);

struct tp_exception_conf {
	const char *name;              /* of the kernel interface; borrowed, outlives the thread */
	int tap_fd;                    /* owned from then on, also on failure */
	struct tp_handoff **to_kernel; /* one for each queue; owned likewise; the array is copied */
	uint32_t n_to_kernel;
	struct tp_handoff *from_kernel; /* owned likewise */
	uint32_t frame_bytes;           /* largest frame */
};

/** Before the start: one device and its TAP, of at most 16.  @return 0, -ENOMEM or -errno */
int tp_exception_add(struct tp_exception *e, const struct tp_exception_conf *conf);

/** How many were added: the number of the next. */
uint32_t tp_exception_count(const struct tp_exception *e);

/** @return 0 or -errno */
int tp_exception_start(struct tp_exception *e);

/** Let the n-th device's TAP have a link or none; any time. */
void tp_exception_set_carrier(struct tp_exception *e, uint32_t n, bool is_up);

/* Of one device; any thread. */
#define TP_EXCEPTION_STATS(X)                                                            \
	X(to_kernel, "frames that the kernel took")                                      \
	X(to_kernel_refused, "frames that it did not: the interface is down, no memory") \
	X(from_kernel, "frames that the kernel sent")                                    \
	X(from_kernel_full, "of these, lost because the port was slow")

struct tp_exception_stats {
#define X(name, help) uint64_t name;
	TP_EXCEPTION_STATS(X)
#undef X
};

void tp_exception_stats(const struct tp_exception *e, uint32_t n, struct tp_exception_stats *out);

#endif
