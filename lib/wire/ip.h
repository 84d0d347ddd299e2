/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip - Ethernet, IPv4, IPv6 and UDP headers: parsed once at the edge, and built.
 *
 * The parser accepts what the fast path can carry: Ethernet with at most one 802.1Q tag, whatever
 * its VLAN; IPv4 without options and not a fragment, IPv6 without extension headers; UDP.  All
 * lengths are checked here, once: header in frame, IP length <= frame, UDP length <= IP payload;
 * Ethernet padding is ignored.
 *
 * Threads: pure functions.  Memory: the caller's; a view borrows the frame.
 */
#ifndef TP_WIRE_IP_H
#define TP_WIRE_IP_H

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/verdict.h"
#include "wire/be.h"
#include "wire/checksum.h"

#define TP_ETHERTYPE_LEN 2
#define TP_ETH_LEN 14
#define TP_VLAN_TAG_LEN 4
#define TP_ETH_LEN_MAX (TP_ETH_LEN + TP_VLAN_TAG_LEN)
#define TP_IPV4_LEN 20
#define TP_IPV6_LEN 40
#define TP_UDP_LEN 8
#define TP_IPPROTO_UDP 17

#define TP_ETHERTYPE_IPV4 0x0800
#define TP_ETHERTYPE_IPV6 0x86dd
#define TP_ETHERTYPE_VLAN 0x8100 /* 802.1Q customer tag; 802.1ad's 0x88a8 is not for us */

#define TP_IPV4_NO_OPTIONS 0x45 /* version 4, header of five words */
#define TP_IPV4_DF 0x4000
#define TP_IPV4_MF 0x2000
#define TP_IPV4_OFFSET 0x1fff

/* Headers as they lie on the wire: every multi-byte field is big-endian; unaligned access. */
struct tp_ipv4_hdr {
	uint8_t version_ihl;
	uint8_t tos;
	uint16_t total_len_be;
	uint16_t id_be;
	uint16_t frag_be;
	uint8_t ttl;
	uint8_t protocol;
	uint16_t csum;
	uint8_t src[4];
	uint8_t dst[4];
} __attribute__((packed));

struct tp_ipv6_hdr {
	uint32_t ver_class_flow_be;
	uint16_t payload_len_be;
	uint8_t next_header;
	uint8_t hop_limit;
	uint8_t src[16];
	uint8_t dst[16];
} __attribute__((packed));

struct tp_udp_hdr {
	uint16_t src_port_be;
	uint16_t dst_port_be;
	uint16_t len_be;
	uint16_t csum;
} __attribute__((packed));

_Static_assert(sizeof(struct tp_ipv4_hdr) == TP_IPV4_LEN, "IPv4 header");
_Static_assert(sizeof(struct tp_ipv6_hdr) == TP_IPV6_LEN, "IPv6 header");
_Static_assert(sizeof(struct tp_udp_hdr) == TP_UDP_LEN, "UDP header");

/* The parts of an IP header that a relay copies or derives (RFC 8656 sections 13 and 14). */
struct tp_ip_meta {
	uint8_t ttl;    /* TTL or hop limit as received; to send: as it leaves */
	uint8_t tclass; /* TOS or Traffic Class, all eight bits */
	bool is_df;     /* IPv4 only */
	bool is_ours;   /* to send: made here, not derived from a packet received */
};

/* A UDP datagram inside an Ethernet frame; offsets from the frame's first byte. */
struct tp_udp_view {
	uint8_t family;  /* enum tp_family */
	uint8_t l3;      /* offset of the IP header: TP_ETH_LEN, or TP_ETH_LEN_MAX when tagged */
	uint8_t l4;      /* offset of the UDP header */
	uint8_t payload; /* offset of the UDP payload */
	uint16_t payload_len; /* from the UDP length, bytes */
};

static inline uint16_t tp_ethertype(const uint8_t *frame)
{
	return tp_be16_get(frame + 12);
}

/* On TP_FORWARD, *l4_len is the length of what the IP header carries, all of it in the frame. */
static inline enum tp_verdict tp_ip_check_ipv4(const uint8_t *l3, uint32_t len, uint32_t *l4_len)
{
	const struct tp_ipv4_hdr *ip = (const struct tp_ipv4_hdr *)l3;
	uint32_t total;

	if (len < TP_IPV4_LEN)
		return TP_DROP_SHORT;
	if (ip->version_ihl != TP_IPV4_NO_OPTIONS || ip->protocol != TP_IPPROTO_UDP)
		return TP_DROP_NOT_UDP;
	if (ip->frag_be & htons(TP_IPV4_MF | TP_IPV4_OFFSET))
		return TP_DROP_NOT_UDP;
	total = ntohs(ip->total_len_be);
	if (total < TP_IPV4_LEN + TP_UDP_LEN || total > len)
		return TP_DROP_IP_LENGTH;
	if (!tp_csum_ipv4_ok(l3))
		return TP_DROP_IP_CSUM; /* RFC 1812 section 5.2.2 */
	*l4_len = total - TP_IPV4_LEN;
	return TP_FORWARD;
}

static inline enum tp_verdict tp_ip_check_ipv6(const uint8_t *l3, uint32_t len, uint32_t *l4_len)
{
	const struct tp_ipv6_hdr *ip = (const struct tp_ipv6_hdr *)l3;
	uint32_t payload;

	if (len < TP_IPV6_LEN)
		return TP_DROP_SHORT;
	if (l3[0] >> 4 != TP_IPV6 || ip->next_header != TP_IPPROTO_UDP)
		return TP_DROP_NOT_UDP;
	payload = ntohs(ip->payload_len_be);
	if (payload < TP_UDP_LEN || payload > len - TP_IPV6_LEN)
		return TP_DROP_IP_LENGTH;
	*l4_len = payload;
	return TP_FORWARD;
}

/* A frame whose ethertype is where it is without tags, len >= TP_ETH_LEN. */
static inline enum tp_verdict tp_ip_parse_untagged(
		const uint8_t *frame, uint32_t len, uint16_t ethertype, struct tp_udp_view *out)
{
	const struct tp_udp_hdr *udp;
	uint32_t l4_len, udp_len;
	enum tp_verdict v;
	uint8_t l4;

	if (ethertype == TP_ETHERTYPE_IPV4) {
		v = tp_ip_check_ipv4(frame + TP_ETH_LEN, len - TP_ETH_LEN, &l4_len);
		l4 = TP_ETH_LEN + TP_IPV4_LEN;
	} else if (ethertype == TP_ETHERTYPE_IPV6) {
		v = tp_ip_check_ipv6(frame + TP_ETH_LEN, len - TP_ETH_LEN, &l4_len);
		l4 = TP_ETH_LEN + TP_IPV6_LEN;
	} else {
		return TP_DROP_NOT_UDP;
	}
	if (v != TP_FORWARD)
		return v;

	udp = (const struct tp_udp_hdr *)(frame + l4);
	udp_len = ntohs(udp->len_be);
	if (udp_len - TP_UDP_LEN > l4_len - TP_UDP_LEN) /* or less than its header */
		return TP_DROP_UDP_LENGTH;
	if (ethertype == TP_ETHERTYPE_IPV6 && udp->csum == 0)
		return TP_DROP_ZERO_CSUM; /* RFC 8200 section 8.1 */

	out->family = ethertype == TP_ETHERTYPE_IPV4 ? TP_IPV4 : TP_IPV6;
	out->l3 = TP_ETH_LEN;
	out->l4 = l4;
	out->payload = l4 + TP_UDP_LEN;
	out->payload_len = (uint16_t)(udp_len - TP_UDP_LEN);
	return TP_FORWARD;
}

enum tp_verdict tp_ip_parse_tagged(const uint8_t *frame, uint32_t len, struct tp_udp_view *out);

/**
 * Parse and check a frame.
 *
 * @return TP_FORWARD and *out; or TP_DROP_SHORT, TP_DROP_NOT_UDP (also: fragment, options,
 *         extension header, a second VLAN tag), TP_DROP_IP_LENGTH, TP_DROP_IP_CSUM,
 * TP_DROP_UDP_LENGTH, TP_DROP_ZERO_CSUM
 */
static inline enum tp_verdict tp_ip_parse_udp(
		const uint8_t *frame, uint32_t len, struct tp_udp_view *out)
{
	uint16_t ethertype;

	if (len < TP_ETH_LEN)
		return TP_DROP_SHORT;
	ethertype = tp_ethertype(frame);
	if (__builtin_expect(ethertype == TP_ETHERTYPE_VLAN, false))
		return tp_ip_parse_tagged(frame, len, out);
	return tp_ip_parse_untagged(frame, len, ethertype, out);
}

/** Source and destination transport addresses and header fields of a parsed frame. */
void tp_ip_view_addrs(const uint8_t *frame, const struct tp_udp_view *view, struct tp_addr *src,
		struct tp_addr *dst, struct tp_ip_meta *meta);

/** @return whether the UDP checksum of a parsed frame is right; an IPv4 checksum of zero is. */
bool tp_ip_view_csum_ok(const uint8_t *frame, const struct tp_udp_view *view);

/**
 * Build IP and UDP headers for a payload, checksums in full.  The families of src and dst are
 * the same.  IPv4 identification is left 0 for the kernel's raw socket to choose; IPv6 flow label
 * 0.
 *
 * @param[out] out  room for TP_IPV6_LEN + TP_UDP_LEN bytes
 * @return bytes written: 28 or 48; 0 when the packet would exceed 65535 bytes
 */
size_t tp_ip_build_udp(uint8_t *out, const struct tp_addr *src, const struct tp_addr *dst,
		const struct tp_ip_meta *meta, const uint8_t *payload, size_t payload_len);

#endif
