/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits - what a client that has authenticated may still not have, and a count of what was
 * refused.
 *
 * One question before anything is changed, so that what is refused changes nothing.
 *
 * Private to lib/turn.  Threads: one.
 */
#ifndef TP_TURN_LIMITS_H
#define TP_TURN_LIMITS_H

#include "turn/allocation.h"

/** Count a refusal.  @return the error code that goes with it: 486 or 508 */
enum tp_stun_err tp_limits_refuse(struct tp_turn *turn, enum tp_turn_refusal why);

/**
 * May the user have one more allocation, and a port kept aside besides?  These have the same quota
 * for themselves: they outlive the allocation that asked for them (RFC 8656 section 7.2), and would
 * else be a way to all ports.
 *
 * @return TP_STUN_OK, 486 or 508
 */
enum tp_stun_err tp_limits_allocation(
		struct tp_turn *turn, const struct tp_stun_value *username, bool has_next);

/* What a request adds to an allocation. */
struct tp_limits_ask {
	uint32_t permissions, channels; /* that are not in force, not bound */
	uint32_t peers;                 /* of these two; a channel and its permission are one */
};

/** May the allocation have that?  If so it is charged for new peers.  @return TP_STUN_OK or 508 */
enum tp_stun_err tp_limits_peers(struct tp_turn *turn, struct tp_allocation *alloc,
		const struct tp_limits_ask *ask, uint64_t now_ns);

#endif
