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

/**
 * Fold to 16 bits; memory order, not complemented.  A number and itself with its halves swapped
 * have, in the upper half of their sum, the sum of both halves and the carry.
 */
static inline uint16_t tp_csum_fold(uint32_t sum)
{
	sum += sum >> 16 | sum << 16;
	return (uint16_t)(sum >> 16);
}

/**
 * Is an IPv4 header without options right?  Its version is not 0.
 *
 * Words of any size add up to the same in one's complement, which is arithmetic modulo all ones:
 * the sum, checksum included, is a multiple of 65535 then.
 */
static inline bool tp_csum_ipv4_ok(const uint8_t header[20])
{
	uint64_t sum, b;
	uint32_t c;

	memcpy(&sum, header, sizeof(sum));
	memcpy(&b, header + 8, sizeof(b));
	memcpy(&c, header + 16, sizeof(c));
	sum += b;
	sum += sum < b;
	sum += c;
	sum += sum < c;
	/* The same as sum % 0xffff == 0: the factor is the inverse of 0xffff modulo 2^64. */
	return sum * 0xfffefffefffeffffu <= UINT64_MAX / 0xffff;
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
