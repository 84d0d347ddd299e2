/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mobility - allocations that follow their client to another address (RFC 8016).
 *
 * A ticket says which allocation, and how many tickets that allocation had before it: sealed, so
 * that nobody else reads or makes one.  The last one issued is good for a move; the one before it
 * is known for TP_MOBILITY_OLD_SEC more, for the retransmission of the request that spent it, which
 * gets the same answer.
 *
 *     Refresh with a ticket from B: the allocation of A has B for its next five-tuple; both are
 * heard, and data for the client goes to A Send or ChannelData from B:   A is forgotten; channels
 * and permissions are published under B
 *
 *     Refresh with the next ticket from C, with no data from B yet: who has that ticket was at B,
 * so A is forgotten, and B is left for C as A was for B
 *
 * So at any time there is one five-tuple that data goes to, tp_allocation.tuple, and at most one
 * more.  While the fast path is being moved, packets of both directions go through the kernel path.
 *
 * What a mobile allocation needs besides is found by its id: the others pay nothing.
 *
 * Private to lib/turn.  Threads: one.
 */
#ifndef TP_TURN_MOBILITY_H
#define TP_TURN_MOBILITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/table.h"
#include "turn/turn.h"
#include "wire/seal.h"
#include "wire/stun.h"

#define TP_MOBILITY_OLD_SEC 30 /* section 3.2.2: at least */
#define TP_TICKET_LEN TP_SEAL_LEN

struct tp_mobile; /* one allocation's */

struct tp_mobility {
	bool is_allowed;         /* tickets are given to new allocations */
	struct tp_seal *seal;    /* NULL: it never was */
	struct tp_table by_id;   /* every mobile allocation */
	struct tp_table by_next; /* those that are on their way, by their next five-tuple */
};

/** Nothing is mobile. */
void tp_mobility_init(struct tp_turn *turn);

/**
 * Allow it or forbid it, at any time; who has a ticket keeps what it is good for.
 * @return 0 or -ENOMEM: as it was
 */
int tp_mobility_allow(struct tp_turn *turn, bool is_allowed);

/** All allocations are gone. */
void tp_mobility_fini(struct tp_turn *turn);

/** The allocation that is on its way to this five-tuple, or NULL. */
struct tp_allocation *tp_mobility_find(struct tp_turn *turn, const struct tp_tuple *tuple);

/** Give it a first ticket.  @return 0 or -ENOMEM */
int tp_mobility_start(struct tp_turn *turn, struct tp_allocation *alloc);

/** It ends; no effect on one that is not mobile. */
void tp_mobility_end(struct tp_turn *turn, struct tp_allocation *alloc);

/** The ticket of a mobile allocation that is good now.  @return 0 or -ENOMEM */
int tp_mobility_ticket(const struct tp_turn *turn, const struct tp_allocation *alloc,
		uint8_t out[TP_TICKET_LEN]);

/** What a ticket in a Refresh means. */
struct tp_mobility_claim {
	struct tp_allocation *alloc; /* whose it is; NULL: it is gone, or the ticket is invalid */
	bool is_valid;               /* sealed by us */
	uint16_t serial;
};

struct tp_mobility_claim tp_mobility_open(struct tp_turn *turn, const struct tp_stun_value *ticket);

/**
 * Check a claim of who has proved to be the allocation's owner (section 3.2.2).
 *
 * @param[out] is_again  a retransmission: answer as before, move nothing
 * @return TP_STUN_OK or the error to answer
 */
enum tp_stun_err tp_mobility_check(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_tuple *tuple, const struct tp_mobility_claim *claim,
		const uint8_t tid[TP_STUN_TID_LEN], bool *is_again);

/** Note the next five-tuple and spend the ticket. */
void tp_mobility_prepare(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_tuple *tuple, struct tp_allocation *alloc,
		const uint8_t tid[TP_STUN_TID_LEN]);

/** Data came by this five-tuple: if it is the next one of the allocation, the move is done. */
void tp_mobility_arrive(
		struct tp_turn *turn, struct tp_allocation *alloc, const struct tp_tuple *tuple);

#endif
