/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan - what a run measures, from the command line.
 */
#ifndef TP_BENCH_PLAN_H
#define TP_BENCH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/options.h"
#include "traffic.h"

enum plan_part {
	PLAN_PATHS = 1,
	PLAN_BURSTS = 2,
	PLAN_THREADS = 4,
	PLAN_FLOORS = 8,
	PLAN_ALL = 15,
};

struct plan {
	uint32_t parts;                         /* enum plan_part */
	struct tp_numbers paths, flows, bursts; /* n 0: as the issue wants them */
	uint32_t reps;
	uint32_t pkts; /* of each sample, at least */
	uint32_t ring;
	uint32_t changes; /* of the writer, in a second */
	uint32_t slice_ms;
	uint32_t verify_pkts; /* at most */
	int cpu;              /* of the rows with one thread */
	uint16_t payload;
};

/** Or end the program, see tp_options_parse(). */
void plan_parse(struct plan *plan, int argc, char **argv);

#endif
