/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world - the flow tables of a run: one for each path and number of flows, so that a table has as
 * many flows as the row says, no more.  But that of Data indications has as many channels too,
 * among which a datagram from a peer is looked for first.
 *
 * Threads: the caller's one; tables are read by any.
 */
#ifndef TP_BENCH_WORLD_H
#define TP_BENCH_WORLD_H

#include <stdint.h>

#include "flow/account.h"
#include "flow/flow.h"
#include "traffic.h"

#define WORLD_TABLES_MAX 128
#define WORLD_TALLIES 64 /* threads that relay */

/* A table that will be wanted; all of them are said before the first is made. */
struct world_want {
	enum tp_path path;
	uint32_t n_flows;
	uint32_t n_more; /* room for flows beside them */
};

struct world;

/** Plan the tables.  @return 0 or -E, after a line on stderr */
int world_new(const struct world_want wants[], uint32_t n, struct world **out);
void world_free(struct world *world);

struct world_table {
	struct tp_flow_table *flows;
	struct tp_grace *grace;
	struct tp_accounts *accounts; /* one for each flow; WORLD_TALLIES */
};

/**
 * The table of a want, with its flows in it.
 *
 * @param[out] out  borrowed from world
 * @return 0 or -E, after a line on stderr
 */
int world_open(struct world *world, const struct world_want *want, struct world_table *out);

/** Add flow i of a path; with its next hop.  @return 0 or as tp_flow_add() */
int world_add_flow(struct tp_flow_table *flows, enum tp_path path, uint32_t i,
		struct tp_flow *added[TRAFFIC_SPECS]);

#endif
