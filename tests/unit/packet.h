/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet - frames built from their fields, slowly and without lib/wire: what the fast path's frames
 * are compared with.
 */
#ifndef TP_TESTS_UNIT_PACKET_H
#define TP_TESTS_UNIT_PACKET_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/addr.h"

#define PACKET_MAX 2048

struct packet {
	uint8_t macs[12];
	struct tp_addr src, dst;
	uint8_t tclass, ttl;
	bool is_df;       /* IPv4 */
	uint16_t id;      /* IPv4 */
	uint32_t label;   /* IPv6 */
	uint16_t channel; /* 0: no ChannelData header */
	const uint8_t *data;
	uint16_t data_len;
	uint8_t n_pad;       /* of ChannelData, each byte different and not zero */
	uint8_t n_eth_pad;   /* behind the IP packet, not zero */
	bool is_csum_zero;   /* UDP checksum not computed */
	uint16_t csum_error; /* added to the UDP checksum; 0: right */
};

static inline uint8_t *packet_be16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

/* One's complement sum of big-endian words, by the book (RFC 1071). */
static inline uint32_t packet_sum(uint32_t sum, const uint8_t *p, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static inline uint16_t packet_udp_csum(const struct packet *pkt, const uint8_t *udp, uint32_t len)
{
	uint32_t n_ip = pkt->src.family == TP_IPV6 ? 16 : 4, sum;
	uint8_t tail[4];

	packet_be16(packet_be16(tail, 17), len);
	sum = packet_sum(0, pkt->src.ip, n_ip);
	sum = packet_sum(sum, pkt->dst.ip, n_ip);
	sum = packet_sum(sum, tail, sizeof(tail));
	sum = packet_sum(sum, udp, len);
	sum = (~sum & 0xffff) + pkt->csum_error;
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum != 0 ? sum : 0xffff);
}

static inline uint32_t packet_ip_hdr_len(const struct packet *pkt)
{
	return pkt->src.family == TP_IPV6 ? 40 : 20;
}

/* Length of everything from the UDP header to the last byte of ChannelData padding. */
static inline uint32_t packet_udp_len(const struct packet *pkt)
{
	return 8u + (pkt->channel != 0 ? 4 : 0) + pkt->data_len + pkt->n_pad;
}

static inline uint8_t *packet_ipv4(uint8_t *p, const struct packet *pkt)
{
	uint8_t *ip = p;

	*p++ = 0x45;
	*p++ = pkt->tclass;
	p = packet_be16(p, 20 + packet_udp_len(pkt));
	p = packet_be16(p, pkt->id);
	p = packet_be16(p, pkt->is_df ? 0x4000 : 0);
	*p++ = pkt->ttl;
	*p++ = 17;
	p = packet_be16(p, 0);
	memcpy(p, pkt->src.ip, 4);
	memcpy(p + 4, pkt->dst.ip, 4);
	packet_be16(ip + 10, ~packet_sum(0, ip, 20) & 0xffff);
	return ip + 20;
}

static inline uint8_t *packet_ipv6(uint8_t *p, const struct packet *pkt)
{
	p = packet_be16(p, 6u << 12 | (uint32_t)pkt->tclass << 4 | pkt->label >> 16);
	p = packet_be16(p, pkt->label & 0xffff);
	p = packet_be16(p, packet_udp_len(pkt));
	*p++ = 17;
	*p++ = pkt->ttl;
	memcpy(p, pkt->src.ip, 16);
	memcpy(p + 16, pkt->dst.ip, 16);
	return p + 32;
}

/** Write the frame, at most PACKET_MAX bytes.  @return its length */
static inline uint32_t packet_build(const struct packet *pkt, uint8_t *out)
{
	bool is_v6 = pkt->src.family == TP_IPV6;
	uint8_t *p = out, *udp;
	uint32_t i;

	memcpy(p, pkt->macs, 12);
	p = packet_be16(p + 12, is_v6 ? 0x86dd : 0x0800);
	p = is_v6 ? packet_ipv6(p, pkt) : packet_ipv4(p, pkt);
	udp = p;
	p = packet_be16(p, pkt->src.port);
	p = packet_be16(p, pkt->dst.port);
	p = packet_be16(p, packet_udp_len(pkt));
	p = packet_be16(p, 0);
	if (pkt->channel != 0)
		p = packet_be16(packet_be16(p, pkt->channel), pkt->data_len);
	if (pkt->data_len > 0)
		memcpy(p, pkt->data, pkt->data_len);
	p += pkt->data_len;
	for (i = 0; i < pkt->n_pad; i++)
		*p++ = (uint8_t)(0xa1 + 0x1d * i);
	if (!pkt->is_csum_zero)
		packet_be16(udp + 6, packet_udp_csum(pkt, udp, (uint32_t)(p - udp)));
	memset(p, 0xee, pkt->n_eth_pad);
	return (uint32_t)(p - out) + pkt->n_eth_pad;
}

#endif
