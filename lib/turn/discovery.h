/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery - NAT behaviour discovery (RFC 5780): a Binding answered from where the client asks.
 *
 *              P1       P2
 *     A1     place 0  place 1       other address: place ^ 2, other port: place ^ 1,
 *     A2     place 2  place 3       OTHER-ADDRESS: place ^ 3
 *
 * CHANGE-REQUEST is known at these four listeners, and only in a Binding: everywhere else it is 420
 * (section 6.1).  So are PADDING, whose answers would be fragments of full size to whoever was
 * forged, and RESPONSE-PORT, which would have them sent to ports that never asked; support of the
 * latter is optional.  What is told is the external address of each listener.
 *
 * Private to lib/turn.  Threads: one.
 */
#ifndef TP_TURN_DISCOVERY_H
#define TP_TURN_DISCOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "turn/turn.h"
#include "wire/stun_build.h"

struct tp_discovery_site {
	struct tp_addr local[4], external[4]; /* by place */
};

struct tp_discovery {
	struct tp_discovery_site *sites;
	uint32_t n_sites;
};

/* Where an answer comes from. */
struct tp_discovery_way {
	const struct tp_discovery_site
			*site; /* NULL: from where the request came to, and only so */
	unsigned from;         /* place of the answer */
	unsigned other;        /* place of OTHER-ADDRESS */
};

/** Copies what it needs of conf.  @return 0 or -ENOMEM; in any case tp_discovery_fini() */
int tp_discovery_init(struct tp_discovery *discovery, const struct tp_turn_conf *conf);
void tp_discovery_fini(struct tp_discovery *discovery);

/** Take CHANGE-REQUEST from the unknown attributes of a Binding, if this listener knows it. */
void tp_discovery_understand(const struct tp_discovery *discovery, const struct tp_addr *server,
		struct tp_stun_msg *msg);

/**
 * Which way does a Binding to this listener go?
 *
 * @return TP_STUN_OK or TP_STUN_BAD_REQUEST: CHANGE-REQUEST is not what section 7.2 says
 */
enum tp_stun_err tp_discovery_way(const struct tp_discovery *discovery,
		const struct tp_addr *server, const struct tp_stun_msg *msg,
		struct tp_discovery_way *out);

/** MAPPED-ADDRESS, RESPONSE-ORIGIN and OTHER-ADDRESS (section 6.1); way->site is not NULL. */
void tp_discovery_put(const struct tp_discovery_way *way, const struct tp_addr *client,
		struct tp_stun_builder *b);

#endif
