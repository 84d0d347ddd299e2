/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mtu - whether a relayed packet leaves whole, in fragments or not at all, and what its sender is
 * told: RFC 8656 sections 13 and 14, RFC 7915 sections 4.1 and 5.1.
 *
 *   received            sent   larger than the way out       DF
 *   IPv4, DF=1          IPv4   refused                       copied
 *   IPv4, DF=0          IPv4   fragments of at most the MTU  copied
 *   IPv4, DF=1          IPv6   refused                       -
 *   IPv4, DF=0          IPv6   fragments of at most lowest-ipv6-mtu, also where the MTU is more
 *   IPv6                IPv4   refused                       0 up to 1260 bytes, 1 above
 *   IPv6                IPv6   refused                       -
 *   IPv6, in fragments  IPv4   fragments of at most the MTU  0
 *   IPv6, in fragments  IPv6   fragments of at most 1280     -
 *
 * An IPv6 packet of up to 1280 bytes is never refused, although our headers may make it larger than
 * the MTU: no sender makes smaller ones (RFC 8200 section 5), so a refusal would lose it for ever.
 * It is fragmented, which section 13 allows as its alternate behaviour.
 *
 * Threads: pure functions.
 */
#ifndef TP_WIRE_MTU_H
#define TP_WIRE_MTU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TP_IPV4_MTU_MIN 68   /* RFC 791 */
#define TP_IPV6_MTU_MIN 1280 /* RFC 8200 */

/* RFC 8656 section 13.2: room for the overhead of a Data indication. */
#define TP_DATA_INDICATION_MAX 48

/* The packet received. */
struct tp_mtu_in {
	uint8_t family;  /* enum tp_family; 0: there is none, the packet is made here */
	bool is_df;      /* IPv4: DF, or the client asks for it with DONT-FRAGMENT */
	bool is_divided; /* IPv6: it came in fragments */
	size_t len;      /* bytes, IP header included */
};

enum tp_mtu_fate {
	TP_MTU_WHOLE,
	TP_MTU_FRAGMENTS,
	TP_MTU_TOO_BIG,
};

struct tp_mtu_plan {
	enum tp_mtu_fate fate;
	bool is_df;     /* of the IPv4 packet to send */
	uint16_t limit; /* of TP_MTU_FRAGMENTS: bytes of each, IP header included */
};

/**
 * @param family           of the packet to send
 * @param len              of the packet to send, IP header included
 * @param mtu              of its way out
 * @param lowest_ipv6_mtu  at least 1280
 */
struct tp_mtu_plan tp_mtu_plan(const struct tp_mtu_in *in, uint8_t family, size_t len, uint16_t mtu,
		uint16_t lowest_ipv6_mtu);

/* One relaying, in at one side and out at another. */
struct tp_mtu_way {
	uint8_t in_family, out_family; /* enum tp_family */
	bool is_from_client, is_to_client;
};

/**
 * The MTU to tell the sender of a refused packet: what it sends of this size leaves whole,
 * whatever frames it (ChannelData or an indication, with padding).  From a peer that is 48 bytes
 * less than the way out takes, from a client 4 more, and each translation counts for 20.
 *
 * @param mtu  of the way out
 */
uint16_t tp_mtu_report(const struct tp_mtu_way *way, uint16_t mtu);

#endif
