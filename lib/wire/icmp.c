/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/icmp.h"

#include <arpa/inet.h>
#include <string.h>

#include "wire/be.h"
#include "wire/checksum.h"
#include "wire/ip.h"

#define HDR_LEN 8 /* type, code, checksum, four bytes by type: the same in both families */
#define TTL 64
#define IPPROTO_FRAGMENT_HDR 44
#define FRAGMENT_HDR_LEN 8
#define FRAGMENT_OFFSET 0xfff8 /* of the Fragment header's 16 bits */

/* ---- ours ---- */

/* RFC 1122 section 3.2.1.3: what stands for no single host, or for none outside. */
static bool is_host4(const uint8_t ip[4])
{
	return ip[0] != 0 && ip[0] != 127 && ip[0] < 224;
}

static bool is_host6(const uint8_t ip[16])
{
	static const uint8_t unspecified[16], loopback[16] = { [15] = 1 };

	return ip[0] != 0xff && memcmp(ip, unspecified, 16) != 0 && memcmp(ip, loopback, 16) != 0;
}

static bool may_answer4(const struct tp_ipv4_hdr *ip)
{
	return ip->protocol != TP_IPPROTO_ICMP && (ip->frag_be & htons(TP_IPV4_OFFSET)) == 0 &&
			is_host4(ip->src) && is_host4(ip->dst);
}

static bool may_answer6(const struct tp_ipv6_hdr *ip)
{
	/* Extension headers, fragments among them, never get here: see tp_ip_parse_udp(). */
	return ip->next_header == TP_IPPROTO_UDP && is_host6(ip->src) && is_host6(ip->dst);
}

/* Header and quotation.  @return length of the message; the checksum is left 0 */
static size_t put_message(uint8_t *out, uint8_t type, uint8_t code, uint32_t value,
		const uint8_t *packet, size_t packet_len, size_t room)
{
	size_t n = packet_len < room - HDR_LEN ? packet_len : room - HDR_LEN;

	out[0] = type;
	out[1] = code;
	tp_be16_put(out + 2, 0);
	tp_be32_put(out + 4, value);
	memcpy(out + HDR_LEN, packet, n);
	return HDR_LEN + n;
}

static uint16_t icmp4_csum(const uint8_t *message, size_t len)
{
	return (uint16_t)~tp_csum_fold(tp_csum_add(0, message, len));
}

static size_t build4(uint8_t *out, enum tp_icmp_kind kind, uint32_t mtu, const uint8_t *packet,
		size_t packet_len)
{
	uint8_t *message = out + TP_IPV4_LEN;
	struct tp_ipv4_hdr in, ip = { .version_ihl = 0x45, .ttl = TTL };
	uint16_t csum;
	size_t len;

	memcpy(&in, packet, sizeof(in));
	if (!may_answer4(&in))
		return 0;
	len = put_message(message,
			kind == TP_ICMP_TOO_BIG ? TP_ICMP4_UNREACHABLE : TP_ICMP4_TIME_EXCEEDED,
			kind == TP_ICMP_TOO_BIG ? TP_ICMP4_FRAG_NEEDED : 0,
			kind == TP_ICMP_TOO_BIG ? mtu & 0xffff : 0, packet, packet_len,
			TP_ICMP4_MAX - TP_IPV4_LEN);
	csum = icmp4_csum(message, len);
	memcpy(message + 2, &csum, sizeof(csum));
	ip.protocol = TP_IPPROTO_ICMP;
	ip.total_len_be = htons((uint16_t)(TP_IPV4_LEN + len));
	memcpy(ip.src, in.dst, sizeof(ip.src));
	memcpy(ip.dst, in.src, sizeof(ip.dst));
	ip.csum = tp_csum_ipv4(&ip, sizeof(ip));
	memcpy(out, &ip, sizeof(ip));
	return TP_IPV4_LEN + len;
}

/* RFC 4443 section 2.3: with a pseudo header of addresses, length and next header. */
static uint16_t icmp6_csum(const struct tp_ipv6_hdr *ip, const uint8_t *message, size_t len)
{
	uint32_t sum = tp_csum_add(0, ip->src, sizeof(ip->src) + sizeof(ip->dst));

	sum += htons((uint16_t)len) + htons(TP_IPPROTO_ICMPV6);
	return (uint16_t)~tp_csum_fold(tp_csum_add(sum, message, len));
}

static size_t build6(uint8_t *out, enum tp_icmp_kind kind, uint32_t mtu, const uint8_t *packet,
		size_t packet_len)
{
	uint8_t *message = out + TP_IPV6_LEN;
	struct tp_ipv6_hdr in, ip = { .ver_class_flow_be = htonl(6u << 28), .hop_limit = TTL };
	uint16_t csum;
	size_t len;

	memcpy(&in, packet, sizeof(in));
	if (!may_answer6(&in))
		return 0;
	len = put_message(message,
			kind == TP_ICMP_TOO_BIG ? TP_ICMP6_TOO_BIG : TP_ICMP6_TIME_EXCEEDED, 0,
			kind == TP_ICMP_TOO_BIG ? mtu : 0, packet, packet_len,
			TP_ICMP6_MAX - TP_IPV6_LEN);
	ip.next_header = TP_IPPROTO_ICMPV6;
	ip.payload_len_be = htons((uint16_t)len);
	memcpy(ip.src, in.dst, sizeof(ip.src));
	memcpy(ip.dst, in.src, sizeof(ip.dst));
	csum = icmp6_csum(&ip, message, len);
	memcpy(message + 2, &csum, sizeof(csum));
	memcpy(out, &ip, sizeof(ip));
	return TP_IPV6_LEN + len;
}

size_t tp_icmp_build(uint8_t *out, enum tp_icmp_kind kind, uint32_t mtu, const uint8_t *packet,
		size_t packet_len)
{
	if (packet_len >= TP_IPV4_LEN && packet[0] >> 4 == TP_IPV4)
		return build4(out, kind, mtu, packet, packet_len);
	if (packet_len >= TP_IPV6_LEN && packet[0] >> 4 == TP_IPV6)
		return build6(out, kind, mtu, packet, packet_len);
	return 0;
}

/* ---- the network's ---- */

static uint16_t port_at(const uint8_t *p)
{
	return tp_be16_get(p);
}

static bool parse_quoted4(const uint8_t *p, size_t len, struct tp_icmp_error *out)
{
	struct tp_ipv4_hdr ip;
	size_t hdr_len;

	if (len < sizeof(ip))
		return false;
	memcpy(&ip, p, sizeof(ip));
	hdr_len = (size_t)(ip.version_ihl & 15) * 4;
	if (ip.version_ihl >> 4 != TP_IPV4 || hdr_len < sizeof(ip) || len < hdr_len + TP_UDP_LEN)
		return false;
	if (ip.protocol != TP_IPPROTO_UDP || (ip.frag_be & htons(TP_IPV4_OFFSET)) != 0)
		return false;
	out->src = tp_addr_v4(ip.src, port_at(p + hdr_len));
	out->dst = tp_addr_v4(ip.dst, port_at(p + hdr_len + 2));
	return true;
}

static bool parse_quoted6(const uint8_t *p, size_t len, struct tp_icmp_error *out)
{
	size_t hdr_len = TP_IPV6_LEN;
	struct tp_ipv6_hdr ip;
	uint8_t next;

	if (len < sizeof(ip))
		return false;
	memcpy(&ip, p, sizeof(ip));
	if (p[0] >> 4 != TP_IPV6)
		return false;
	next = ip.next_header;
	/* The one extension header that we send. */
	if (next == IPPROTO_FRAGMENT_HDR) {
		if (len < hdr_len + FRAGMENT_HDR_LEN ||
				(tp_be16_get(p + hdr_len + 2) & FRAGMENT_OFFSET) != 0)
			return false;
		next = p[hdr_len];
		hdr_len += FRAGMENT_HDR_LEN;
	}
	if (next != TP_IPPROTO_UDP || len < hdr_len + TP_UDP_LEN)
		return false;
	out->src = tp_addr_v6(ip.src, port_at(p + hdr_len));
	out->dst = tp_addr_v6(ip.dst, port_at(p + hdr_len + 2));
	return true;
}

bool tp_icmp_parse4(const uint8_t *packet, size_t len, struct tp_icmp_error *out)
{
	const uint8_t *message;
	size_t hdr_len;

	if (len < TP_IPV4_LEN || len > UINT16_MAX)
		return false;
	hdr_len = (size_t)(packet[0] & 15) * 4;
	if (packet[0] >> 4 != TP_IPV4 || hdr_len < TP_IPV4_LEN || len < hdr_len + HDR_LEN)
		return false;
	message = packet + hdr_len;
	len -= hdr_len;
	if (icmp4_csum(message, len) != 0)
		return false;
	*out = (struct tp_icmp_error){ .type = message[0], .code = message[1] };
	if (out->type != TP_ICMP4_UNREACHABLE && out->type != TP_ICMP4_TIME_EXCEEDED)
		return false;
	if (!parse_quoted4(message + HDR_LEN, len - HDR_LEN, out))
		return false;
	if (tp_icmp_is_too_big(out))
		out->mtu = tp_be16_get(message + 6); /* RFC 1191 section 4 */
	return true;
}

bool tp_icmp_parse6(const uint8_t *message, size_t len, struct tp_icmp_error *out)
{
	if (len < HDR_LEN)
		return false;
	*out = (struct tp_icmp_error){ .type = message[0], .code = message[1] };
	if (out->type < TP_ICMP6_UNREACHABLE || out->type > TP_ICMP6_TIME_EXCEEDED)
		return false;
	if (!parse_quoted6(message + HDR_LEN, len - HDR_LEN, out))
		return false;
	if (tp_icmp_is_too_big(out))
		out->mtu = tp_be32_get(message + 4);
	return true;
}
