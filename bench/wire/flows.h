/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flows - the frames that go through channels which turn-flows has made (channel_list.h).
 */
#ifndef WIRE_FLOWS_H
#define WIRE_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "generator.h"

/* What all frames of a run have in common. */
struct frame_shape {
	uint8_t mac_from[6];
	uint8_t mac_to[6];
	bool is_up; /* client to relay, as ChannelData; else peer to relay, plain */
	uint32_t payload_bytes;

	/* Found out by flows_read() */
	bool is_v6;
	uint32_t n_flows;
	uint32_t checksum_at; /* offset of the UDP checksum */
	uint32_t payload_at;  /* offset of struct wire_payload */
	uint32_t frame_bytes;
};

/** Read a list; dies on what it can not use.  @return shape->n_flows templates, for free() */
struct gen_flow *flows_read(const char *path, struct frame_shape *shape);

/** The frame of which all live frames are copies: what stands behind GEN_HEAD_BYTES. */
void fill_frame(uint8_t *frame, uint32_t bytes);

#endif
