/* SPDX-License-Identifier: Apache-2.0 */
/*
 * next_hop - how a packet leaves: link-layer header, egress port and MTU.
 *
 * Immutable once published: a change is a new object, the old one is retired through tp_grace.
 * Flows point straight at it (no chain of indirections per packet), so the writer re-points the
 * flows concerned when a route or a neighbour changes, which is rare.
 */
#ifndef TP_FLOW_NEXT_HOP_H
#define TP_FLOW_NEXT_HOP_H

#include <stdalign.h>
#include <stdint.h>

#define TP_EGRESS_PORTS 64 /* bits of a mask of ports */

#define TP_L2_UNTAGGED 12 /* both MACs */
#define TP_L2_TAGGED 16   /* both MACs and an 802.1Q tag */

struct tp_next_hop {
	/* Destination, source, tag: as they lie in the frame.  The ethertype follows l2_len bytes.
	 */
	alignas(64) uint8_t l2[TP_L2_TAGGED];
	uint8_t l2_len; /* TP_L2_UNTAGGED or TP_L2_TAGGED */
	uint16_t port;  /* index of the egress interface */
	uint16_t mtu;   /* largest IP packet, bytes */
};

#endif
