/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hops - the lower half of the resolver: links, neighbours, and the next hops they make.
 *
 *     tp_hop (neighbour, route MTU) -> neighbour (ifindex, gateway) -> link -> link below a VLAN
 *
 * A hop owns the tp_next_hop that its flows point at: none while the link is down, has no carrier
 * (or the one below it) or is no Ethernet, or while the neighbour is unknown.  Neighbours exist
 * while hops need them, and are asked for until found and confirmed when stale.
 *
 * Threads: control.
 */
#ifndef TP_IO_HOPS_H
#define TP_IO_HOPS_H

#include <sys/queue.h>

#include "io/resolver.h"

struct tp_hops;
struct tp_route; /* the resolver's */

struct tp_hop {
	const struct tp_next_hop *nh; /* NULL: not resolved */
	LIST_HEAD(, tp_route) routes; /* the resolver's; empty at first */
};

/**
 * @param on_change  hop->nh is another one: re-point the flows.  The old one is retired after it.
 * @return 0 or -ENOMEM
 */
int tp_hops_new(const struct tp_resolver_conf *conf, void (*on_change)(const struct tp_hop *hop),
		struct tp_hops **out);

/** All hops have been put. */
void tp_hops_free(struct tp_hops *hops);

/**
 * Find or make the hop by which a route leaves.
 *
 * @param[out] out  NULL: workers can not send there (local, not unicast, not by our interfaces);
 *                  else released with tp_hops_put()
 * @return 0 or -ENOMEM
 */
int tp_hops_get(struct tp_hops *hops, const struct tp_nl_route *route, struct tp_hop **out);

/** Free a hop that has no routes; flows no longer point at its next hop. */
void tp_hops_put(struct tp_hops *hops, struct tp_hop *hop);

void tp_hops_on_neigh(struct tp_hops *hops, unsigned int ifindex, const struct tp_addr *ip,
		const struct tp_nl_neigh *state);
void tp_hops_on_link(struct tp_hops *hops, const struct tp_nl_link *state, bool is_gone);

/** Events were lost: the next ticks ask for all links and neighbours again. */
void tp_hops_on_overflow(struct tp_hops *hops);

/** At most 2,000 neighbours a call.  @return whether some wait to be asked for again */
bool tp_hops_tick(struct tp_hops *hops, uint64_t now_ns);

#endif
