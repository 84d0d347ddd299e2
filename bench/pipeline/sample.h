/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample - one measurement of something that is done for packets, and its line of JSON.
 *
 * Threads: one sample, one thread.
 */
#ifndef TP_BENCH_SAMPLE_H
#define TP_BENCH_SAMPLE_H

#include <stdint.h>

/*
 * A sample has many batches, each one run over the ring.  Its value is the median of them: what a
 * virtual machine's host or another process takes from a few of them is not the packets' cost.  The
 * mean, with all of that, is printed beside it.
 */
#define SAMPLE_BATCHES_MAX 4096

struct sample {
	uint64_t pkts;
	double ns; /* all of them */
	uint32_t n;
	float batch_ns[SAMPLE_BATCHES_MAX]; /* per packet */
};

void sample_begin(struct sample *s);
void sample_add(struct sample *s, uint32_t pkts, double ns_per_pkt);

/** Nanoseconds per packet, of at least one batch. */
double sample_ns(struct sample *s);
double sample_mean_ns(const struct sample *s);

/**
 * Print the line.
 *
 * @param params  inside of a JSON object, "" for none
 */
void sample_print(struct sample *s, const char *name, const char *params);

#endif
