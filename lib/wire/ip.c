/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ip.h"

#include "wire/be.h"
#include "wire/checksum.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#define ETHERTYPE_AT 12
#define IPV4_NO_OPTIONS 0x45 /* version 4, header of five words */

static const struct tp_ipv4_hdr *ipv4_at(const uint8_t *p)
{
	return (const struct tp_ipv4_hdr *)p;
}

static const struct tp_ipv6_hdr *ipv6_at(const uint8_t *p)
{
	return (const struct tp_ipv6_hdr *)p;
}

static const struct tp_udp_hdr *udp_at(const uint8_t *p)
{
	return (const struct tp_udp_hdr *)p;
}

/* A header is right when its sum, checksum included, is all ones. */
static bool is_ipv4_csum_ok(const uint8_t *l3)
{
	return tp_csum_fold(tp_csum_add(0, l3, TP_IPV4_LEN)) == 0xffff;
}

/* On TP_FORWARD, *l4_len is the length of what the IP header carries, all of it in the frame. */
static enum tp_verdict check_ipv4(const uint8_t *l3, uint32_t len, uint32_t *l4_len)
{
	const struct tp_ipv4_hdr *ip = ipv4_at(l3);
	uint32_t total;

	if (len < TP_IPV4_LEN)
		return TP_DROP_SHORT;
	if (ip->version_ihl != IPV4_NO_OPTIONS || ip->protocol != TP_IPPROTO_UDP)
		return TP_DROP_NOT_UDP;
	if (ip->frag_be & htons(TP_IPV4_MF | TP_IPV4_OFFSET))
		return TP_DROP_NOT_UDP;
	total = ntohs(ip->total_len_be);
	if (total < TP_IPV4_LEN + TP_UDP_LEN || total > len)
		return TP_DROP_IP_LENGTH;
	if (!is_ipv4_csum_ok(l3))
		return TP_DROP_IP_CSUM; /* RFC 1812 section 5.2.2 */
	*l4_len = total - TP_IPV4_LEN;
	return TP_FORWARD;
}

static enum tp_verdict check_ipv6(const uint8_t *l3, uint32_t len, uint32_t *l4_len)
{
	const struct tp_ipv6_hdr *ip = ipv6_at(l3);
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

/* An untagged frame, len >= TP_ETH_LEN. */
static inline enum tp_verdict parse_untagged(
		const uint8_t *frame, uint32_t len, uint16_t ethertype, struct tp_udp_view *out)
{
	const struct tp_udp_hdr *udp;
	uint32_t l4_len, udp_len;
	enum tp_verdict v;
	uint8_t l4;

	if (ethertype == TP_ETHERTYPE_IPV4) {
		v = check_ipv4(frame + TP_ETH_LEN, len - TP_ETH_LEN, &l4_len);
		l4 = TP_ETH_LEN + TP_IPV4_LEN;
	} else if (ethertype == TP_ETHERTYPE_IPV6) {
		v = check_ipv6(frame + TP_ETH_LEN, len - TP_ETH_LEN, &l4_len);
		l4 = TP_ETH_LEN + TP_IPV6_LEN;
	} else {
		return TP_DROP_NOT_UDP;
	}
	if (v != TP_FORWARD)
		return v;

	udp = udp_at(frame + l4);
	udp_len = ntohs(udp->len_be);
	if (udp_len < TP_UDP_LEN || udp_len > l4_len)
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

/* Without its first four bytes a tagged frame has everything where an untagged one has it. */
static __attribute__((noinline)) enum tp_verdict parse_tagged(
		const uint8_t *frame, uint32_t len, struct tp_udp_view *out)
{
	enum tp_verdict v;

	if (len < TP_ETH_LEN_MAX)
		return TP_DROP_SHORT;
	frame += TP_VLAN_TAG_LEN;
	v = parse_untagged(frame, len - TP_VLAN_TAG_LEN, tp_be16_get(frame + ETHERTYPE_AT), out);
	if (v != TP_FORWARD)
		return v;
	out->l3 += TP_VLAN_TAG_LEN;
	out->l4 += TP_VLAN_TAG_LEN;
	out->payload += TP_VLAN_TAG_LEN;
	return TP_FORWARD;
}

enum tp_verdict tp_ip_parse_udp(const uint8_t *frame, uint32_t len, struct tp_udp_view *out)
{
	uint16_t ethertype;

	if (len < TP_ETH_LEN)
		return TP_DROP_SHORT;
	ethertype = tp_be16_get(frame + ETHERTYPE_AT);
	if (ethertype == TP_ETHERTYPE_VLAN)
		return parse_tagged(frame, len, out);
	return parse_untagged(frame, len, ethertype, out);
}

void tp_ip_view_addrs(const uint8_t *frame, const struct tp_udp_view *view, struct tp_addr *src,
		struct tp_addr *dst, struct tp_ip_meta *meta)
{
	const struct tp_ipv4_hdr *ip4 = ipv4_at(frame + view->l3);
	const struct tp_ipv6_hdr *ip6 = ipv6_at(frame + view->l3);
	const struct tp_udp_hdr *udp = udp_at(frame + view->l4);
	uint16_t src_port = ntohs(udp->src_port_be), dst_port = ntohs(udp->dst_port_be);

	meta->is_ours = false;
	if (view->family == TP_IPV4) {
		*src = tp_addr_v4(ip4->src, src_port);
		*dst = tp_addr_v4(ip4->dst, dst_port);
		meta->ttl = ip4->ttl;
		meta->tclass = ip4->tos;
		meta->is_df = (ip4->frag_be & htons(TP_IPV4_DF)) != 0;
	} else {
		*src = tp_addr_v6(ip6->src, src_port);
		*dst = tp_addr_v6(ip6->dst, dst_port);
		meta->ttl = ip6->hop_limit;
		meta->tclass = (uint8_t)(ntohl(ip6->ver_class_flow_be) >> 20);
		meta->is_df = false;
	}
}

bool tp_ip_view_csum_ok(const uint8_t *frame, const struct tp_udp_view *view)
{
	const struct tp_udp_hdr *udp = udp_at(frame + view->l4);
	uint16_t udp_len = view->payload_len + TP_UDP_LEN;
	struct tp_addr src, dst;
	struct tp_ip_meta meta;
	uint32_t sum;

	if (view->family == TP_IPV4 && udp->csum == 0)
		return true;
	tp_ip_view_addrs(frame, view, &src, &dst, &meta);
	sum = tp_csum_add(tp_csum_udp_pseudo(&src, &dst, udp_len), udp, udp_len);
	return tp_csum_fold(sum) == 0xffff;
}

static void build_ipv4(struct tp_ipv4_hdr *ip, const struct tp_addr *src, const struct tp_addr *dst,
		const struct tp_ip_meta *meta, uint16_t udp_len)
{
	*ip = (struct tp_ipv4_hdr){
		.version_ihl = IPV4_NO_OPTIONS,
		.tos = meta->tclass,
		.total_len_be = htons(TP_IPV4_LEN + udp_len),
		.frag_be = htons(meta->is_df ? TP_IPV4_DF : 0),
		.ttl = meta->ttl,
		.protocol = TP_IPPROTO_UDP,
	};
	memcpy(ip->src, src->ip, sizeof(ip->src));
	memcpy(ip->dst, dst->ip, sizeof(ip->dst));
	ip->csum = tp_csum_ipv4(ip, sizeof(*ip));
}

static void build_ipv6(struct tp_ipv6_hdr *ip, const struct tp_addr *src, const struct tp_addr *dst,
		const struct tp_ip_meta *meta, uint16_t udp_len)
{
	*ip = (struct tp_ipv6_hdr){
		.ver_class_flow_be = htonl((uint32_t)TP_IPV6 << 28 | (uint32_t)meta->tclass << 20),
		.payload_len_be = htons(udp_len),
		.next_header = TP_IPPROTO_UDP,
		.hop_limit = meta->ttl,
	};
	memcpy(ip->src, src->ip, sizeof(ip->src));
	memcpy(ip->dst, dst->ip, sizeof(ip->dst));
}

/* Never 0, as in tp_csum_udp(), but header and payload lie apart. */
static uint16_t udp_csum(const struct tp_addr *src, const struct tp_addr *dst,
		const struct tp_udp_hdr *udp, const uint8_t *payload, size_t payload_len)
{
	uint32_t sum = tp_csum_udp_pseudo(src, dst, ntohs(udp->len_be));
	uint16_t csum;

	sum = tp_csum_add(sum, udp, sizeof(*udp));
	csum = (uint16_t)~tp_csum_fold(tp_csum_add(sum, payload, payload_len));
	return csum != 0 ? csum : 0xffff;
}

size_t tp_ip_build_udp(uint8_t *out, const struct tp_addr *src, const struct tp_addr *dst,
		const struct tp_ip_meta *meta, const uint8_t *payload, size_t payload_len)
{
	size_t l3_len = src->family == TP_IPV4 ? TP_IPV4_LEN : TP_IPV6_LEN;
	struct tp_udp_hdr *udp = (struct tp_udp_hdr *)(out + l3_len);
	uint16_t udp_len;

	assert(src->family == dst->family);
	if (payload_len > UINT16_MAX - TP_UDP_LEN - l3_len)
		return 0;
	udp_len = (uint16_t)(TP_UDP_LEN + payload_len);

	if (src->family == TP_IPV4)
		build_ipv4((struct tp_ipv4_hdr *)out, src, dst, meta, udp_len);
	else
		build_ipv6((struct tp_ipv6_hdr *)out, src, dst, meta, udp_len);
	*udp = (struct tp_udp_hdr){
		.src_port_be = htons(src->port),
		.dst_port_be = htons(dst->port),
		.len_be = htons(udp_len),
	};
	udp->csum = udp_csum(src, dst, udp, payload, payload_len);
	return l3_len + TP_UDP_LEN;
}
