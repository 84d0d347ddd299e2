/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan - what a run measures, from the command line.
 */
#ifndef TP_BENCH_PLAN_H
#define TP_BENCH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "traffic.h"

#define PLAN_LIST_MAX 32

enum plan_part {
	PLAN_PATHS = 1,
	PLAN_BURSTS = 2,
	PLAN_THREADS = 4,
	PLAN_FLOORS = 8,
	PLAN_ALL = 15,
};

struct plan_list {
	uint32_t n;
	uint32_t v[PLAN_LIST_MAX];
};

struct plan {
	uint32_t parts;                        /* enum plan_part */
	struct plan_list paths, flows, bursts; /* n 0: as the issue wants them */
	uint32_t reps;
	uint32_t pkts; /* of each sample, at least */
	uint32_t ring;
	uint32_t changes; /* of the writer, in a second */
	uint32_t slice_ms;
	uint32_t verify_pkts; /* at most */
	int cpu;              /* of the rows with one thread */
	uint16_t payload;
};

/** @return 0, 1: help was asked for and given, or -EINVAL after a line on stderr */
int plan_parse(struct plan *plan, int argc, char **argv);

#endif
