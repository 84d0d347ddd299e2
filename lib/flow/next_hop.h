/* SPDX-License-Identifier: Apache-2.0 */
/*
 * next_hop - how a packet leaves: Ethernet addresses, egress port and MTU.
 *
 * Immutable once published: a change is a new object, the old one is retired through tp_grace.
 * Flows point straight at it (no chain of indirections per packet), so the writer re-points the
 * flows concerned when a route or a neighbour changes, which is rare.
 */
#ifndef TP_FLOW_NEXT_HOP_H
#define TP_FLOW_NEXT_HOP_H

#include <stdalign.h>
#include <stdint.h>

struct tp_next_hop {
	alignas(64) uint8_t macs[12]; /* destination, source: as they lie in the frame */
	uint16_t port;                /* index of the egress interface in the configuration */
	uint16_t mtu;                 /* largest IP packet, bytes */
};

#endif
