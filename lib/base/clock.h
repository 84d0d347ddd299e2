/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock - the one time base of the relay: CLOCK_MONOTONIC in nanoseconds.
 *
 * Deadlines are stored in this time base and compared by workers and the control plane alike.
 * A worker reads the coarse clock once per burst: same time base, no TSC conversion to get
 * wrong, 1-4 ms of resolution against deadlines of minutes.
 */
#ifndef TP_BASE_CLOCK_H
#define TP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define TP_NS_PER_SEC 1000000000ull
#define TP_NS_PER_MS 1000000ull

static inline uint64_t tp_clock_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * TP_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static inline uint64_t tp_clock_now_ns(void)
{
	return tp_clock_read(CLOCK_MONOTONIC);
}

static inline uint64_t tp_clock_coarse_ns(void)
{
	return tp_clock_read(CLOCK_MONOTONIC_COARSE);
}

#endif
