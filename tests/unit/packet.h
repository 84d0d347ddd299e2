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

#include "../bytes.h"

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
	uint8_t n_pad;       /* behind the data, each byte different and not zero */
	uint8_t n_eth_pad;   /* behind the IP packet, not zero */
	bool is_csum_zero;   /* UDP checksum not computed */
	uint16_t csum_error; /* added to the UDP checksum; 0: right */
	bool is_tagged;
	uint16_t tag;        /* 802.1Q: priority, drop eligible, VLAN */
	uint16_t stun;       /* type of an indication around the data; 0: none */
	struct tp_addr peer; /* which it names */
	uint8_t tid[12];
	bool is_pad_zero;     /* n_pad bytes of padding are zero */
	bool is_data_first;   /* and the peer second */
	bool has_fingerprint; /* a right one */
};

static inline uint16_t packet_udp_csum(const struct packet *pkt, const uint8_t *udp, uint32_t len)
{
	uint32_t n_ip = pkt->src.family == TP_IPV6 ? 16 : 4, sum;
	uint8_t tail[4];

	put16(put16(tail, 17), len);
	sum = sum16(0, pkt->src.ip, n_ip);
	sum = sum16(sum, pkt->dst.ip, n_ip);
	sum = sum16(sum, tail, sizeof(tail));
	sum = sum16(sum, udp, len);
	sum = (~sum & 0xffff) + pkt->csum_error;
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum != 0 ? sum : 0xffff);
}

static inline uint32_t packet_ip_hdr_len(const struct packet *pkt)
{
	return pkt->src.family == TP_IPV6 ? 40 : 20;
}

static inline uint32_t packet_peer_attr_len(const struct packet *pkt)
{
	return pkt->peer.family == TP_IPV6 ? 24 : 12;
}

/* Bytes between UDP header and data. */
static inline uint32_t packet_head_len(const struct packet *pkt)
{
	if (pkt->stun != 0)
		return 24 + (pkt->is_data_first ? 0 : packet_peer_attr_len(pkt));
	return pkt->channel != 0 ? 4 : 0;
}

/* Bytes behind the data and its padding. */
static inline uint32_t packet_tail_len(const struct packet *pkt)
{
	return (pkt->is_data_first ? packet_peer_attr_len(pkt) : 0) +
			(pkt->has_fingerprint ? 8 : 0);
}

/* Length of everything from the UDP header to the last byte of padding or STUN. */
static inline uint32_t packet_udp_len(const struct packet *pkt)
{
	return 8u + packet_head_len(pkt) + pkt->data_len + pkt->n_pad + packet_tail_len(pkt);
}

/* XOR-PEER-ADDRESS (RFC 8489 section 14.2). */
static inline uint8_t *packet_peer_attr(uint8_t *p, const struct packet *pkt)
{
	uint32_t n_ip = pkt->peer.family == TP_IPV6 ? 16 : 4, i;
	uint8_t mask[16] = { 0x21, 0x12, 0xa4, 0x42 };

	memcpy(mask + 4, pkt->tid, 12);
	p = put16(p, 0x0012);
	p = put16(p, 4 + n_ip);
	p = put16(p, n_ip == 4 ? 1 : 2);
	p = put16(p, pkt->peer.port ^ 0x2112u);
	for (i = 0; i < n_ip; i++)
		*p++ = pkt->peer.ip[i] ^ mask[i];
	return p;
}

/* STUN header, XOR-PEER-ADDRESS if it comes first, and DATA's header (RFC 8489 section 5). */
static inline uint8_t *packet_stun(uint8_t *p, const struct packet *pkt)
{
	p = put16(p, pkt->stun);
	p = put16(p, packet_udp_len(pkt) - 28);
	memcpy(p, "\x21\x12\xa4\x42", 4);
	memcpy(p + 4, pkt->tid, 12);
	p += 16;
	if (!pkt->is_data_first)
		p = packet_peer_attr(p, pkt);
	return put16(put16(p, 0x0013), pkt->data_len);
}

/* RFC 8489 section 14.7, bit by bit. */
static inline uint8_t *packet_fingerprint(uint8_t *p, const uint8_t *msg)
{
	uint32_t crc = 0xffffffff, i;
	const uint8_t *at;

	for (at = msg; at < p; at++)
		for (crc ^= *at, i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	crc ^= 0xffffffff ^ 0x5354554e;
	p = put16(put16(p, 0x8028), 4);
	return put16(put16(p, crc >> 16), crc & 0xffff);
}

static inline uint8_t *packet_ipv4(uint8_t *p, const struct packet *pkt)
{
	uint8_t *ip = p;

	*p++ = 0x45;
	*p++ = pkt->tclass;
	p = put16(p, 20 + packet_udp_len(pkt));
	p = put16(p, pkt->id);
	p = put16(p, pkt->is_df ? 0x4000 : 0);
	*p++ = pkt->ttl;
	*p++ = 17;
	p = put16(p, 0);
	memcpy(p, pkt->src.ip, 4);
	memcpy(p + 4, pkt->dst.ip, 4);
	put16(ip + 10, ~sum16(0, ip, 20) & 0xffff);
	return ip + 20;
}

static inline uint8_t *packet_ipv6(uint8_t *p, const struct packet *pkt)
{
	p = put16(p, 6u << 12 | (uint32_t)pkt->tclass << 4 | pkt->label >> 16);
	p = put16(p, pkt->label & 0xffff);
	p = put16(p, packet_udp_len(pkt));
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
	p += 12;
	if (pkt->is_tagged)
		p = put16(put16(p, 0x8100), pkt->tag);
	p = put16(p, is_v6 ? 0x86dd : 0x0800);
	p = is_v6 ? packet_ipv6(p, pkt) : packet_ipv4(p, pkt);
	udp = p;
	p = put16(p, pkt->src.port);
	p = put16(p, pkt->dst.port);
	p = put16(p, packet_udp_len(pkt));
	p = put16(p, 0);
	if (pkt->channel != 0)
		p = put16(put16(p, pkt->channel), pkt->data_len);
	if (pkt->stun != 0)
		p = packet_stun(p, pkt);
	if (pkt->data_len > 0)
		memcpy(p, pkt->data, pkt->data_len);
	p += pkt->data_len;
	for (i = 0; i < pkt->n_pad; i++)
		*p++ = pkt->is_pad_zero ? 0 : (uint8_t)(0xa1 + 0x1d * i);
	if (pkt->is_data_first)
		p = packet_peer_attr(p, pkt);
	if (pkt->has_fingerprint)
		p = packet_fingerprint(p, udp + 8);
	if (!pkt->is_csum_zero)
		put16(udp + 6, packet_udp_csum(pkt, udp, (uint32_t)(p - udp)));
	memset(p, 0xee, pkt->n_eth_pad);
	return (uint32_t)(p - out) + pkt->n_eth_pad;
}

#endif
