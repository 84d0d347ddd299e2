/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relays - the relay addresses of this host: which of them an allocation gets, and which port.
 *
 * Private to lib/turn.  Threads: one.
 */
#ifndef TP_TURN_RELAYS_H
#define TP_TURN_RELAYS_H

#include "turn/allocation.h"

/** turn has its port range.  @return 0 or -ENOMEM; tp_relays_fini() either way */
int tp_relays_init(struct tp_turn *turn, const struct tp_turn_conf *conf);
void tp_relays_fini(struct tp_turn *turn);

/** Is there a relay address of this family at all, be it here or not?  at: tp_leg_at() */
bool tp_relays_support(const struct tp_turn *turn, unsigned at);

/**
 * Take a port on one of the family's addresses that are here; with_next: an even one and the one
 * behind it.
 *
 * @param[out] relay  its index
 * @return the port, or -ENOSPC
 */
int tp_relays_take_port(
		struct tp_turn *turn, unsigned at, bool is_even, bool with_next, uint32_t *relay);

#endif
