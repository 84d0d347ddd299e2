/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite - a received frame becomes the frame to send, in place, in all eight paths
 * {IPv4,IPv6} x {IPv4,IPv6} x {client to peer, peer to client} and from relay to relay.
 *
 * Header rules: RFC 8656 sections 13 (translation, with RFC 7915) and 14.
 *   TTL / hop limit   minus one in every path (section 13; v4->v4 by section 21.1.7)
 *   TOS / class       copied, DSCP and ECN
 *   v4->v4            DF copied, fresh identification
 *   v6->v4            DF=0 and generated identification up to 1260 bytes, DF=1 above (13.3)
 *   flow label        never copied: the flow's own constant
 *   UDP checksum      updated from the flow's constant (RFC 1624), so a wrong one stays wrong;
 *                     zero: kept on v4->v4, computed in full on v4->v6
 *   padding           Ethernet's and ChannelData's are left behind and out of the sum
 * The payload is never moved: headers grow into the frame's headroom.
 *
 * Threads: pure functions on the caller's frame.
 */
#ifndef TP_FLOW_REWRITE_H
#define TP_FLOW_REWRITE_H

#include <stdint.h>

#include "base/verdict.h"
#include "flow/flow.h"
#include "flow/frame.h"
#include "wire/ip.h"

/* The relayed ports; a datagram to one of them comes from a peer, any other from a client. */
struct tp_classify_conf {
	uint16_t relay_port_min, relay_port_max; /* host order, inclusive */
};

/* What classify found; input of the lookup and of rewrite. */
struct tp_parsed {
	struct tp_udp_view view;
	bool is_up;            /* client to peer: the payload starts with a ChannelData header */
	uint16_t data_len;     /* application data, without ChannelData header and padding */
	union tp_flow_key key; /* of view.family */
};

/**
 * Check a frame's lengths and form its key.
 *
 * @return TP_FORWARD (look the key up), TP_PUNT (not for the fast path: no ChannelData towards a
 *         listener, ChannelData with more than 3 bytes of padding) or a drop
 */
enum tp_verdict tp_classify(const struct tp_classify_conf *conf, const struct tp_frame *frame,
		struct tp_parsed *out);

/**
 * Rewrite a frame.  `in` is the flow its key found; `out` the flow by which it leaves: the same
 * one, or on a hairpin the other allocation's downward flow.
 *
 * @param egress_ports  bit i: the caller can send on interface i
 * @param ip_id         IPv4 identification to use where one is generated, host order
 * @return TP_FORWARD: frame has the packet to send and frame->port the egress port;
 *         TP_PUNT: no next hop, or not in egress_ports, or larger than its MTU;
 *         TP_DROP_EXPIRED, TP_DROP_TTL, TP_DROP_HEADROOM.
 *         Unless TP_FORWARD the frame is as it was received.
 *
 * An expired flow towards the client is punted, not dropped: the permission may outlive the
 * channel, and then a Data indication is due (RFC 8656 section 11.3).
 */
enum tp_verdict tp_rewrite(struct tp_frame *frame, const struct tp_parsed *p,
		const struct tp_flow *in, const struct tp_flow *out, uint64_t egress_ports,
		uint64_t now_ns, uint16_t ip_id);

#endif
