/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect - where clients are sent instead of being served here: 300 and ALTERNATE-SERVER (RFC
 * 8489 section 10).
 *
 * Two kinds of places.  Alternate servers, when this one drains, is full or never serves; and, for
 * who came by an anycast address, this server's own unicast listeners, since the next packet to
 * that address may reach another server (RFC 8155 section 6).
 *
 * A client is told one address of its own family, which it MUST be, and one of the other if there
 * is one.  Of several servers the client's IP address picks one, so that all its allocations, and
 * its retransmissions, go to the same.
 *
 * Private to lib/turn.  Threads: one.
 */
#ifndef TP_TURN_REDIRECT_H
#define TP_TURN_REDIRECT_H

#include <stdbool.h>
#include <stdint.h>

#include "turn/turn.h"
#include "wire/stun_build.h"

struct tp_redirect {
	struct tp_addr *servers; /* alternates */
	uint32_t n_servers;
	struct tp_addr *unicast; /* own listeners, as clients call them */
	uint32_t n_unicast;
	struct tp_addr *anycast; /* own listeners, local */
	uint32_t n_anycast;
	enum tp_turn_redirect when;
	bool is_draining;
};

/** Copies what it needs of conf.  @return 0 or -ENOMEM; in any case tp_redirect_fini() */
int tp_redirect_init(struct tp_redirect *redirect, const struct tp_turn_conf *conf);
void tp_redirect_fini(struct tp_redirect *redirect);

/**
 * Is an Allocate that has passed all checks served here?
 *
 * @param is_full      one allocation more would be too many
 * @param is_reserved  it claims a port that was reserved, which no other server has
 * @return TP_STUN_OK, TP_STUN_TRY_ALTERNATE (then tp_redirect_put()), or
 *         TP_STUN_INSUFFICIENT_CAPACITY: there is no address of the client's family to name
 */
enum tp_stun_err tp_redirect_check(const struct tp_redirect *redirect, const struct tp_tuple *tuple,
		bool is_full, bool is_reserved);

/** The ALTERNATE-SERVER attributes. */
void tp_redirect_put(const struct tp_redirect *redirect, const struct tp_tuple *tuple,
		struct tp_stun_builder *b);

#endif
