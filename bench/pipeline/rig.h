/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig - what stands for a driver and its port: a ring of frames in an array like a UMEM, filled
 * anew before each batch, and a pipe.
 *
 * Chunks of 2048 bytes with frames at 256, on huge pages where the kernel gives them.  To fill the
 * ring writes every frame as a whole, on the core that then runs the pipeline: its lines are in
 * that core's caches as far as they fit, as after a DMA with DDIO they are in the last level.
 * Only the pipeline is timed, from the first burst of a ring to its last, never the filling.
 *
 * Threads: one rig, one thread.
 */
#ifndef TP_BENCH_RIG_H
#define TP_BENCH_RIG_H

#include <stdint.h>

#include "flow/pipeline.h"
#include "traffic.h"

#define RIG_CHUNK 2048
#define RIG_HEADROOM 256

/* In which order packets come: indices of flows, each flow as often as any other, at random. */
struct order {
	uint32_t n_flows, n;
	uint32_t *flow;
};

/** @return 0 or -ENOMEM */
int order_new(uint32_t n_flows, struct order *out);
void order_free(struct order *order);

struct rig {
	uint32_t n_frames;
	uint8_t *chunks; /* mapped */
	struct tp_frame *frames;
	uint32_t *flow_of; /* which flow each frame is of */
	uint32_t at;       /* in the order */
	uint16_t payload_len;
	uint8_t payload[TRAFFIC_PAYLOAD_MAX];
	struct tp_pipe pipe;
	struct tp_pipe_out out;
};

/** @return 0 or -ENOMEM */
int rig_new(uint32_t n_frames, uint16_t payload_len, struct rig **out);
void rig_free(struct rig *rig);

/** Fill the ring with the next frames. */
void rig_fill(struct rig *rig, enum tp_path path, const struct order *order);

/** A pipe of this table, counters zero; it counts in this tally. */
void rig_open_pipe(struct rig *rig, const struct tp_flow_table *flows, struct tp_tally *tally);

/**
 * Fill the ring and run it, untimed, until n packets are through, and look at each that comes out.
 *
 * @return 0, or -EBADMSG after a line on stderr: not all were forwarded, or one came out wrong
 */
int rig_verify(struct rig *rig, enum tp_path path, const struct order *order, uint32_t burst,
		uint32_t n);

#endif
