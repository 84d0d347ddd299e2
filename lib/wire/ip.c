/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ip.h"

#include "wire/be.h"
#include "wire/checksum.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

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

/* Without its first four bytes a tagged frame has everything where an untagged one has it. */
enum tp_verdict tp_ip_parse_tagged(const uint8_t *frame, uint32_t len, struct tp_udp_view *out)
{
	enum tp_verdict v;

	if (len < TP_ETH_LEN_MAX)
		return TP_DROP_SHORT;
	frame += TP_VLAN_TAG_LEN;
	v = tp_ip_parse_untagged(frame, len - TP_VLAN_TAG_LEN, tp_ethertype(frame), out);
	if (v != TP_FORWARD)
		return v;
	out->l3 += TP_VLAN_TAG_LEN;
	out->l4 += TP_VLAN_TAG_LEN;
	out->payload += TP_VLAN_TAG_LEN;
	return TP_FORWARD;
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
		.version_ihl = TP_IPV4_NO_OPTIONS,
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
