/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally - requests that failed, by error code.
 *
 * Memory: the caller's; all zeroes is empty.
 */
#ifndef TP_BENCH_TALLY_H
#define TP_BENCH_TALLY_H

#include <stdint.h>

#define TP_TALLY_CODES 700

struct tp_tally {
	uint64_t count[TP_TALLY_CODES];
};

/** A code as tp_crowd_ops.done gives it, not 0. */
void tp_tally_add(struct tp_tally *tally, uint16_t code);

/** Print a JSON object to stdout: {"437":3,"timeout":1}. */
void tp_tally_print(const struct tp_tally *tally);

#endif
