/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum - Internet checksums (RFC 1071) in one's complement, and their update (RFC 1624).
 *
 * A "sum" here is an unfolded 32-bit one's complement sum of 16-bit words as they lie in memory
 * (no byte swapping: one's complement sums commute with it).  Fold once at the end.  Sums of up
 * to 65535 words fit without overflow.
 *
 * Threads: pure functions.
 */
#ifndef TP_WIRE_CHECKSUM_H
#define TP_WIRE_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/addr.h"

/** Fold to 16 bits; memory order, not complemented. */
static inline uint16_t tp_csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/**
 * Fold a sum of 32-bit words.  A number and itself with its halves swapped have, in the upper half
 * of their sum, the sum of both halves and the carry.
 */
static inline uint16_t tp_csum_fold64(uint64_t sum)
{
	uint32_t half;

	sum += sum >> 32 | sum << 32;
	half = (uint32_t)(sum >> 32);
	half += half >> 16 | half << 16;
	return (uint16_t)(half >> 16);
}

/** Is an IPv4 header without options right?  Its sum, checksum included, is all ones then. */
static inline bool tp_csum_ipv4_ok(const uint8_t header[20])
{
	uint64_t a, b;
	uint32_t c;

	memcpy(&a, header, sizeof(a));
	memcpy(&b, header + 8, sizeof(b));
	memcpy(&c, header + 16, sizeof(c));
	return tp_csum_fold64((a & 0xffffffff) + (a >> 32) + (b & 0xffffffff) + (b >> 32) + c) ==
			0xffff;
}

/** Add the sum of len bytes; an odd last byte is padded with zero. len <= 65535. */
uint32_t tp_csum_add(uint32_t sum, const void *data, size_t len);

/** IPv4 header checksum of a header whose checksum field is zero; the value to store. */
uint16_t tp_csum_ipv4(const void *header, size_t len);

/** Sum of the pseudo header: both addresses, protocol 17 and UDP length (header included). */
uint32_t tp_csum_udp_pseudo(const struct tp_addr *src, const struct tp_addr *dst, uint16_t udp_len);

/**
 * Full UDP checksum over the pseudo header and the datagram (udp: header with checksum field
 * zero, then payload).
 *
 * @return the value to store; never 0, which is sent as 0xffff (RFC 768, RFC 8200 section 8.1)
 */
uint16_t tp_csum_udp(const struct tp_addr *src, const struct tp_addr *dst, const void *udp,
		uint16_t udp_len);

#endif
