/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icmp - ICMP errors (RFC 792, RFC 4443): those we send about packets that could not be relayed,
 * and those that the network sends about packets of ours.
 *
 * Threads: pure functions.  Memory: the caller's.
 */
#ifndef TP_WIRE_ICMP_H
#define TP_WIRE_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define TP_IPPROTO_ICMP 1
#define TP_IPPROTO_ICMPV6 58

/* Types that concern a relay (RFC 8656 section 11.5), and the codes that it asks for. */
#define TP_ICMP4_UNREACHABLE 3
#define TP_ICMP4_FRAG_NEEDED 4 /* code of TP_ICMP4_UNREACHABLE */
#define TP_ICMP4_TIME_EXCEEDED 11
#define TP_ICMP6_UNREACHABLE 1
#define TP_ICMP6_TOO_BIG 2
#define TP_ICMP6_TIME_EXCEEDED 3

/* Largest message we send, IP header included: RFC 1812 section 4.3.2.3, RFC 4443 section 2.4(c).
 */
#define TP_ICMP4_MAX 576
#define TP_ICMP6_MAX 1280

enum tp_icmp_kind {
	TP_ICMP_TOO_BIG,       /* IPv4: fragmentation needed; IPv6: packet too big */
	TP_ICMP_TIME_EXCEEDED, /* in transit */
};

/**
 * Build the error about a packet: a whole IP packet to the packet's source, from the address that
 * the packet was sent to.
 *
 * @param[out] out    room for TP_ICMP6_MAX bytes
 * @param mtu         of TP_ICMP_TOO_BIG, bytes
 * @param packet      IP packet as its sender sent it, from the IP header on
 * @param packet_len  may be less than the IP header says, and is not looked at beyond
 * @return its length; 0: no such packet, or one that must not be answered (RFC 1122 section
 *         3.2.2, RFC 4443 section 2.4(e)): an ICMP message, a fragment but the first, to or
 *         from what is not a single host
 */
size_t tp_icmp_build(uint8_t *out, enum tp_icmp_kind kind, uint32_t mtu, const uint8_t *packet,
		size_t packet_len);

/* An error that the network sent about a UDP datagram. */
struct tp_icmp_error {
	uint8_t type, code;      /* as of the family of src and dst */
	uint32_t mtu;            /* of "fragmentation needed" and "packet too big", else 0 */
	struct tp_addr src, dst; /* of the datagram that is quoted */
};

static inline bool tp_icmp_is_too_big(const struct tp_icmp_error *error)
{
	return error->src.family == TP_IPV6 ? error->type == TP_ICMP6_TOO_BIG
					    : error->type == TP_ICMP4_UNREACHABLE &&
					error->code == TP_ICMP4_FRAG_NEEDED;
}

/**
 * Read an ICMPv4 message as a raw socket gives it: from its IP header on.
 *
 * @return whether it is an error of type 3 or 11 that quotes a UDP header; cut short, checksum
 *         wrong, anything else: false
 */
bool tp_icmp_parse4(const uint8_t *packet, size_t len, struct tp_icmp_error *out);

/**
 * Read an ICMPv6 message as a raw socket gives it: from the ICMPv6 header on, its checksum
 * verified by the kernel.
 *
 * @return whether it is an error of type 1, 2 or 3 that quotes a UDP header
 */
bool tp_icmp_parse6(const uint8_t *message, size_t len, struct tp_icmp_error *out);

#endif
