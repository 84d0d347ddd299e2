/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traffic - what N flows of a path look like: their entries in the flow table, and their frames.
 *
 * Flow i has a five-tuple and a channel of its own: 1,000 clients or peers' ports an address,
 * 16,384 relayed ports an address.  Addresses are of the ranges for benchmarks and documentation
 * (RFC 2544, RFC 5180, RFC 5737).  Frames have right checksums and no padding that they need not.
 *
 * Hairpins are between relayed addresses of the first client's family.
 *
 * Threads: pure functions.
 */
#ifndef TP_BENCH_TRAFFIC_H
#define TP_BENCH_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"
#include "flow/pipeline.h"

#define TRAFFIC_SPECS 2 /* table entries of one flow of a path, at most */
#define TRAFFIC_PATHS TP_PATH_HAIRPIN_INDICATION_44 /* those before it */
#define TRAFFIC_PLAIN TP_PATH_HAIRPIN_44            /* the eight: no hairpins, no indications */
#define TRAFFIC_PAYLOAD_MAX 1400                    /* with all headers below an MTU of 1500 */
#define TRAFFIC_FRAME_MAX 1536
#define TRAFFIC_LISTENER_PORT 3478
#define TRAFFIC_RELAY_PORT_MIN 49152
#define TRAFFIC_RELAY_PORT_MAX 65535

static inline bool traffic_in6(enum tp_path path)
{
	return (path & 2) != 0;
}

static inline bool traffic_out6(enum tp_path path)
{
	return (path & 1) != 0;
}

static inline bool traffic_is_down(enum tp_path path)
{
	return (path >= TP_PATH_DOWN_44 && path <= TP_PATH_DOWN_66) || path >= TP_PATH_DATA_44;
}

static inline bool traffic_is_hairpin(enum tp_path path)
{
	return path >= TP_PATH_HAIRPIN_44 && path <= TP_PATH_HAIRPIN_66;
}

static inline bool traffic_is_indication(enum tp_path path)
{
	return path >= TP_PATH_SEND_44;
}

/** @return the path of that name, TRAFFIC_PATHS where there is none. */
enum tp_path traffic_path(const char *name);

/** Table entries of flow i.  @return how many; the last is the one by which frames leave */
uint32_t traffic_specs(enum tp_path path, uint32_t i, struct tp_flow_spec specs[TRAFFIC_SPECS]);

/** By which flow i leaves: one of a few gateways. */
const struct tp_next_hop *traffic_next_hop(uint32_t i);

/**
 * The Ethernet frame of flow i, as received.
 *
 * @param out  room for TRAFFIC_FRAME_MAX bytes
 * @return its length
 */
uint32_t traffic_frame(enum tp_path path, uint32_t i, const uint8_t *payload, uint16_t payload_len,
		uint8_t *out);

/**
 * Is this the frame that flow i's becomes: addresses, ports, channel or indication, data, and a
 * right UDP checksum?
 *
 * @return NULL, or in a few words what is wrong
 */
const char *traffic_check(enum tp_path path, uint32_t i, const uint8_t *payload,
		uint16_t payload_len, const uint8_t *frame, uint32_t len);

#endif
