/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads - several workers on one shared table, while a writer changes it.
 *
 * Each reader has a ring of its own and runs it as a worker does, quiescent after each burst; it is
 * pinned.  The writer is not: it wakes every millisecond, deletes the oldest of its flows, adds as
 * many new ones and reclaims what the readers have left.  Where all cores have a reader it takes
 * its time from them.
 *
 * Rates are by the clock on the wall, over the time in which readers ran the pipeline, so whatever
 * interrupts them counts.
 *
 * Threads: the caller's one.
 */
#ifndef TP_BENCH_THREADS_H
#define TP_BENCH_THREADS_H

#include "rig.h"
#include "world.h"

#define THREADS_MAX 64

struct threads_conf {
	struct world_table table;
	enum tp_path path;
	const struct order *order;
	uint32_t n_flows; /* the churned ones come behind */
	uint32_t burst;
	uint32_t changes;        /* in a second */
	struct rig *const *rigs; /* one for each CPU */
	const uint32_t *cpus;
	uint32_t n_cpus;
	uint32_t slice_ms;
};

/* Of one number of readers, over all its slices. */
struct threads_result {
	uint32_t n_slices;
	double pkts_per_sec;    /* sum over readers; divide by n_slices */
	uint64_t pkts, cpu_ns;  /* of readers */
	double ns;              /* that they ran the pipeline, by the clock on the wall */
	uint64_t writer_cpu_ns; /* of the writer, in */
	uint64_t writer_ns;     /* this time */
	uint64_t changes;       /* made in it */
};

/** Flows beside n_flows that the table has room for: those that live, and those that wait. */
#define THREADS_MORE_FLOWS 8192

/**
 * Run n readers for a slice, the first on CPU number `first` of conf, and add to *r.
 *
 * @return 0 or -E, after a line on stderr
 */
int threads_run(const struct threads_conf *conf, uint32_t n, uint32_t first,
		struct threads_result *r);

#endif
