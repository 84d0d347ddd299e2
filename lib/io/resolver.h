/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver - keeps every flow's next hop true.
 *
 * A flow is bound to a (source, destination) pair.  Pairs share route entries, routes share
 * neighbour entries, and a neighbour owns the tp_next_hop that its flows point at:
 *
 *     flow -> route (src, dst) -> neighbour (ifindex, gateway) -> tp_next_hop
 *
 * The ifindex is one of our interfaces or an 802.1Q sub-interface of one: then packets leave by
 * the interface below, with the tag, the MAC and the MTU of the sub-interface.
 *
 * Workers read only flow -> tp_next_hop; a change re-points the flows concerned, and what can not
 * be resolved points at nothing, which sends its packets to the kernel path.  Neighbours in use
 * that went stale are confirmed on tick, since the kernel does not see the traffic they carry.
 *
 * How soon a change takes effect.  An event about a link or a neighbour names it, and is applied
 * inside tp_nl_read(): no worker goes on sending by a dead link or to a neighbour that failed.
 * An event about a route does not tell whom it concerns, so all routes are asked again, the one
 * asked longest ago first, 2,000 a tick.  Until its turn comes a flow keeps its next hop, of which
 * link and neighbour are alive: its packets go to a router that takes them, as they do in any
 * network that converges.  A route that vanished puts its flows on the kernel path.
 *
 * Threads: control.
 */
#ifndef TP_IO_RESOLVER_H
#define TP_IO_RESOLVER_H

#include <stdint.h>

#include "flow/flow.h"
#include "io/netlink.h"

struct tp_resolver;
struct tp_resolved; /* a flow's place in the resolver */

/* The kernel's answers; tp_resolver_netlink is the real one, tests have their own. */
struct tp_resolver_ops {
	int (*get_link)(void *ctx, unsigned int ifindex, struct tp_nl_link *out);
	int (*get_links)(void *ctx, void (*each)(void *each_ctx, const struct tp_nl_link *link),
			void *each_ctx);
	int (*get_route)(void *ctx, const struct tp_addr *src, const struct tp_addr *dst,
			struct tp_nl_route *out);
	int (*get_neigh)(void *ctx, unsigned int ifindex, const struct tp_addr *ip,
			struct tp_nl_neigh *out);
	int (*use_neigh)(void *ctx, unsigned int ifindex, const struct tp_addr *ip);
};

/** ctx is a struct tp_nl. */
extern const struct tp_resolver_ops tp_resolver_netlink;

struct tp_resolver_conf {
	const struct tp_resolver_ops *ops;
	void *ctx;
	struct tp_grace *grace; /* borrowed */
	const unsigned int *
			ifindexes; /* the interfaces with workers, in configuration order: port i */
	uint32_t n_ifindexes;
	/*
	 * A VLAN of port's interface came up or went away; said at every change, sometimes twice.
	 * NULL: not wanted.
	 */
	void (*on_vlan)(void *ctx, uint16_t port, uint16_t vlan, bool is_up);
	void *on_vlan_ctx;
};

/** @return 0 or -ENOMEM; conf's array is copied */
int tp_resolver_new(const struct tp_resolver_conf *conf, struct tp_resolver **out);

/** All flows have been unbound. */
void tp_resolver_free(struct tp_resolver *r);

/**
 * Find a flow's next hop now if the kernel knows it, or have it looked for, and keep it true.
 *
 * @param[out] out  owned by the resolver until tp_resolver_unbind()
 * @return 0 (also when nothing is resolved yet) or -ENOMEM
 */
int tp_resolver_bind(struct tp_resolver *r, struct tp_flow *flow, const struct tp_addr *src,
		const struct tp_addr *dst, struct tp_resolved **out);

/** Before tp_flow_del(). */
void tp_resolver_unbind(struct tp_resolver *r, struct tp_resolved *resolved);

/**
 * Something is known to be new about the way from src to dst, such as the path's MTU, which the
 * kernel learns without an event: at the next tick it is asked again.  Ports do not matter.
 *
 * @return whether there are flows on this way
 */
bool tp_resolver_doubt(struct tp_resolver *r, const struct tp_addr *src, const struct tp_addr *dst);

/** What to give tp_nl_read(), with the resolver as ctx. */
extern const struct tp_nl_events tp_resolver_events;

/**
 * Every second or so, and after tp_nl_read(): do the work events asked for, ask again what failed,
 * confirm what is stale.  Never more than 2,000 routes and 2,000 neighbours.
 *
 * @param now_ns  CLOCK_MONOTONIC
 * @return whether more is waiting than that: call again soon, not in a second
 */
bool tp_resolver_tick(struct tp_resolver *r, uint64_t now_ns);

#endif
