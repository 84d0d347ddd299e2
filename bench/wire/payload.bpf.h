/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * payload - is a packet one of the generator's, and where is what it wrote.
 */
#ifndef WIRE_PAYLOAD_BPF_H
#define WIRE_PAYLOAD_BPF_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "payload.h"

/* A packet taken apart. */
struct wire_packet {
	const __u32 *addr; /* both IP addresses, source first */
	__u32 addr_words;  /* 32-bit words in both */
	const struct udphdr *udp;
	const struct wire_payload *payload;
};

/* Step over the IP header of plain UDP.  @return behind it, NULL: something else */
static __always_inline const void *wire_parse_ip(
		const struct ethhdr *eth, const void *end, struct wire_packet *packet)
{
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = (const void *)(eth + 1);

		if ((const void *)(ip + 1) > end || ip->ihl != 5 || ip->protocol != IPPROTO_UDP)
			return NULL;
		packet->addr = &ip->saddr;
		packet->addr_words = 2;
		return ip + 1;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip6 = (const void *)(eth + 1);

		if ((const void *)(ip6 + 1) > end || ip6->nexthdr != IPPROTO_UDP)
			return NULL;
		packet->addr = ip6->saddr.in6_u.u6_addr32;
		packet->addr_words = 8;
		return ip6 + 1;
	}
	return NULL;
}

/* @return whether it is one of the generator's, as it was sent or relayed; else *packet is
 * undefined */
static __always_inline int wire_parse(const struct xdp_md *ctx, struct wire_packet *packet)
{
	const struct ethhdr *eth = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;
	const struct wire_payload *payload;

	if ((const void *)(eth + 1) > end)
		return 0;
	packet->udp = wire_parse_ip(eth, end, packet);
	if (!packet->udp)
		return 0;
	payload = (const void *)(packet->udp + 1);
	if ((const void *)(payload + 1) + WIRE_CHANNEL_HEADER > end)
		return 0;
	if (payload->magic != WIRE_MAGIC)
		payload = (const void *)payload + WIRE_CHANNEL_HEADER;
	packet->payload = payload;
	return payload->magic == WIRE_MAGIC;
}

#endif
