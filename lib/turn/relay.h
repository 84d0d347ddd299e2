/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay - data from clients to peers and back, in the kernel path (RFC 8656 sections 11 and 12).
 *
 * Relay to relay on this server is delivered inside, without touching a socket: client A's data
 * for the relayed address of client B goes to B as if it had come from A's relayed address.  It
 * ends there, since what B is sent is never relayed again: no loop.
 *
 * Private to lib/turn.  Threads: one.
 */
#ifndef TP_TURN_RELAY_H
#define TP_TURN_RELAY_H

#include "turn/allocation.h"
#include "wire/channel.h"

/** A ChannelData message from a client. */
enum tp_slow_verdict tp_relay_channel_data(struct tp_turn *turn, const struct tp_tuple *tuple,
		const struct tp_turn_packet *packet);

/**
 * A Send indication from a client.
 *
 * With DONT-FRAGMENT and a packet larger than our own way out, no router is there to say so: the
 * client is told by the same Data indication that a router's error would have become.
 */
enum tp_slow_verdict tp_relay_send(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_tuple *tuple, const struct tp_stun_msg *msg,
		const struct tp_ip_meta *meta);

/** A datagram from a peer for an allocation's leg. */
enum tp_slow_verdict tp_relay_from_peer(struct tp_turn *turn, struct tp_allocation *alloc,
		const struct tp_addr *peer, const struct tp_turn_packet *packet);

/** An ICMP error about a datagram that left from an allocation's leg (section 11.5). */
enum tp_slow_verdict tp_relay_icmp(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_allocation *alloc, const struct tp_icmp_error *error);

#endif
