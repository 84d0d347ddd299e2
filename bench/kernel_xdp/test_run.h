/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_run - the cost of the in-kernel relay's program per packet, by BPF_PROG_TEST_RUN.
 *
 * A test run calls the program again and again on the frame that it left, so before each call the
 * program itself puts the headers of the next flow's frame in place, from an array in the order of
 * visits.  That alone is measured in turn with it and taken off:
 *
 *     raw        restore and relay, per call
 *     prologue   restore alone, per call
 *     empty      a program that does nothing, per call: what the test run itself costs
 *     net        raw - prologue, the row's value
 *
 * Times are the kernel's own, in whole nanoseconds per call; a sample is the median of many runs.
 * All calls use one frame, which stays in the first level cache: better than a relay ever has it.
 *
 * Threads: the caller's one.
 */
#ifndef TP_BENCH_TEST_RUN_H
#define TP_BENCH_TEST_RUN_H

#include <stdint.h>

#include "bench/options.h"
#include "traffic.h"

#define TEST_RUN_PAYLOAD_MIN 24 /* the restored headers lie inside of the shortest frame */

struct test_run_conf {
	struct tp_numbers paths; /* enum tp_path, of the eight */
	struct tp_numbers flows;
	uint32_t reps;
	uint32_t pkts; /* of each sample, at least */
	uint16_t payload;
};

/** Print a sample for each path and number of flows, all in each repetition.
 *
 * @return 0, or -E after a line on stderr
 */
int test_run(const struct test_run_conf *conf);

#endif
