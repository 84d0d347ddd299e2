/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flows - a relay's flows in the form that the kernel's program has them, and the program, loaded.
 *
 * Threads: the caller's one.
 */
#ifndef TP_BENCH_FLOWS_H
#define TP_BENCH_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"
#include "relay.h"

/* A map for each direction and family of the packet received. */
enum flows_map {
	FLOWS_UP4,
	FLOWS_UP6,
	FLOWS_DOWN4,
	FLOWS_DOWN6,
	FLOWS_MAPS
};

struct flows_conf {
	uint32_t n[FLOWS_MAPS]; /* flows of each map, at most */
	uint32_t n_templates;
	uint16_t listener_port;
	uint16_t relay_port_min, relay_port_max;
	uint16_t mtu; /* of the interface, IP bytes */
};

enum flows_map flows_map_of(const struct tp_flow_spec *spec);

struct relay_bpf;

/**
 * Load the programs with maps of these sizes.
 *
 * @return 0 or -E, after a line on stderr
 */
int flows_load(const struct flows_conf *conf, struct relay_bpf **out);

/** @return 0, or -E after a line on stderr: among them -EEXIST, a key that is there already */
int flows_add(struct relay_bpf *relay, const struct tp_flow_spec *spec,
		const struct tp_next_hop *hop);

/** Sums over CPUs.  @return 0 or -E */
int flows_stats(struct relay_bpf *relay, struct relay_stats *out);

#endif
