/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tsc - the time-stamp counter, fenced, and its rate against CLOCK_MONOTONIC.
 *
 * Where there is no such counter CLOCK_MONOTONIC stands in, and "cycles" are nanoseconds.
 *
 * Threads: tsc_calibrate() once; then any.
 */
#ifndef TP_BENCH_TSC_H
#define TP_BENCH_TSC_H

#include <stdint.h>

#include "base/clock.h"

#if defined(__x86_64__)
/* All loads before are done, and no instruction behind has begun. */
static inline uint64_t tsc_now(void)
{
	uint64_t tsc;

	__builtin_ia32_lfence();
	tsc = __builtin_ia32_rdtsc();
	__builtin_ia32_lfence();
	return tsc;
}
#else
static inline uint64_t tsc_now(void)
{
	return tp_clock_now_ns();
}
#endif

/** Takes a tenth of a second. */
void tsc_calibrate(void);

/** Nanoseconds of a span. */
double tsc_ns(uint64_t span);

#endif
