/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fast - publishes what the control plane decided to the workers and to the BPF port map.
 *
 * A channel becomes two flows with next hops that are followed through netlink, and so does a
 * permission once indications use it; a relayed port with either becomes `fast`, so that XDP
 * redirects it.  When the flow table is full, or a next hop is unknown, the kernel path carries
 * what it concerns: a ChannelBind that succeeded is never a black hole.
 *
 * Threads: control.
 */
#ifndef TP_APP_FAST_H
#define TP_APP_FAST_H

#include <stdint.h>

#include "flow/flow.h"
#include "io/resolver.h"
#include "io/steer.h"
#include "turn/turn.h"

struct tp_fast;

struct tp_fast_conf {
	struct tp_steer *steer;
	struct tp_flow_table *flows; /* NULL: no workers, the kernel path carries everything */
	struct tp_resolver *resolver;
	uint32_t n_relays;
};

/** @return 0 or -ENOMEM; conf's objects are borrowed and outlive it */
int tp_fast_new(const struct tp_fast_conf *conf, struct tp_fast **out);
void tp_fast_free(struct tp_fast *fast);

/* As in tp_turn_ops. */
void tp_fast_port_opened(struct tp_fast *fast, uint32_t relay, uint16_t port);
void tp_fast_port_closed(struct tp_fast *fast, uint32_t relay, uint16_t port);
void tp_fast_channel_set(struct tp_fast *fast, struct tp_turn_channel *channel);
void tp_fast_channel_cleared(struct tp_fast *fast, struct tp_turn_channel *channel);
void tp_fast_permission_used(struct tp_fast *fast, struct tp_turn_permission *permission);
void tp_fast_permission_cleared(struct tp_fast *fast, struct tp_turn_permission *permission);

/** Has this channel flows with next hops in both directions? */
bool tp_fast_is_carried(const struct tp_turn_channel *channel);

/** How often a channel, or a permission that indications use, got no flows: the table was full. */
uint64_t tp_fast_refused(const struct tp_fast *fast);

#endif
