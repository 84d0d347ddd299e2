/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floors - what no pipeline can be faster than: each a part of its work, alone, on the same ring.
 *
 *   touch   read a word of each frame's first line and write one
 *   memcpy  copy the 64 bytes of headers from each frame to the headroom in front of it
 *   lookup  find the flow, the keys being ready
 *
 * Threads: the rig's.
 */
#ifndef TP_BENCH_FLOORS_H
#define TP_BENCH_FLOORS_H

#include "rig.h"
#include "sample.h"

/** Each fills the ring, runs n_batches times, and adds them to the sample. */
void floor_touch(struct rig *rig, const struct order *order, uint32_t n_batches, struct sample *s);
void floor_memcpy(struct rig *rig, const struct order *order, uint32_t n_batches, struct sample *s);

/**
 * Of the table in which the flows of this path are.
 *
 * @return 0, -ENOMEM, or -ENOENT after a line on stderr: a key was not found
 */
int floor_lookup(struct rig *rig, enum tp_path path, const struct order *order, uint32_t burst,
		uint32_t n_batches, struct sample *s);

#endif
