/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite - a received frame becomes the frame to send, in place, in all eight paths
 * {IPv4,IPv6} x {IPv4,IPv6} x {client to peer, peer to client} and from relay to relay.
 *
 * Header rules: RFC 8656 sections 13 (translation, with RFC 7915) and 14.
 *   TTL / hop limit   minus one in every path (section 13; v4->v4 by section 21.1.7)
 *   TOS / class       copied, DSCP and ECN; DSCP cleared where tp_flow_table_conf says so
 *   v4->v4            DF copied, fresh identification
 *   v6->v4            DF=0 and generated identification up to 1260 bytes, DF=1 above (13.3)
 *   flow label        never copied: the flow's own constant
 *   UDP checksum      updated from the flow's constant (RFC 1624), so a wrong one stays wrong;
 *                     zero: kept on v4->v4, computed in full on v4->v6
 *   padding           Ethernet's and ChannelData's are left behind and out of the sum
 * The data is never moved: headers grow into the frame's headroom.  The VLAN tag is the next
 * hop's, whatever tag the frame came in with.
 *
 * Threads: pure functions on the caller's frame.
 */
#ifndef TP_FLOW_REWRITE_H
#define TP_FLOW_REWRITE_H

#include <stdint.h>

#include "base/verdict.h"
#include "flow/flow.h"
#include "flow/frame.h"
#include "wire/channel.h"
#include "wire/ip.h"

struct tp_tid_source; /* indication.h */

/* The relayed ports; a datagram to one of them comes from a peer, any other from a client. */
struct tp_classify_conf {
	uint16_t relay_port_min, relay_port_max; /* host order, inclusive */
};

/* What classify found; input of the lookup and of rewrite. */
struct tp_parsed {
	struct tp_udp_view view;
	bool is_up;        /* client to peer: ChannelData or a Send indication */
	uint8_t head_len;  /* between UDP header and data: 0, ChannelData's 4, Send's 24 to 48 */
	uint16_t data_len; /* application data, without what is around it and padding */
	/* Of a Send indication only. */
	bool is_peer6;
	bool has_fingerprint; /* in the last eight bytes, not yet checked */
	uint16_t peer_port;   /* where to; host order, not 0 */
	uint16_t peer_at; /* offset of the peer's XORed IP address from the frame's first byte */
	union tp_flow_key key; /* of view.family; of a Send indication it finds nothing */
};

static inline bool tp_parsed_is_send(const struct tp_parsed *p)
{
	return p->head_len > TP_CHANNEL_HDR_LEN;
}

/**
 * Check a frame's lengths and form its key.
 *
 * @return TP_FORWARD (look the key up, or a Send indication's tp_send_key_form()), TP_PUNT (not for
 *         the fast path: towards a listener neither ChannelData nor a Send indication of the usual
 *         form, ChannelData with more than 3 bytes of padding) or a drop
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
 *         TP_PUNT: no next hop, or not in egress_ports; TTL used up, larger than the MTU, or
 *         to be fragmented, for the kernel path to answer or to fragment;
 *         TP_DROP_EXPIRED, TP_DROP_HEADROOM.
 *         Unless TP_FORWARD the frame is as it was received.
 *
 * An expired flow towards the client is punted, not dropped: the permission may outlive the
 * channel, and then a Data indication is due (RFC 8656 section 11.3).
 */
enum tp_verdict tp_rewrite(struct tp_frame *frame, const struct tp_parsed *p,
		const struct tp_flow *in, const struct tp_flow *out, uint64_t egress_ports,
		uint64_t now_ns, uint16_t ip_id);

/**
 * The same where `in` or `out` is a permission's flow.  Its rules besides those above:
 *   Send indication   gone but for the data; UDP destination port as it says
 *   Data indication   written in front of the data, zero padding behind it
 *   UDP checksum      updated by what was removed and what was added
 *
 * @param key   by which `out` was found: its source is the peer that a Data indication names
 * @param tids  source of transaction ids
 * @return as tp_rewrite(); TP_PUNT also when there is no room for padding behind the frame, or a
 *         FINGERPRINT is wrong
 */
enum tp_verdict tp_rewrite_indication(struct tp_frame *frame, const struct tp_parsed *p,
		const struct tp_flow *in, const struct tp_flow *out, const union tp_flow_key *key,
		struct tp_tid_source *tids, uint64_t egress_ports, uint64_t now_ns, uint16_t ip_id);

#endif
