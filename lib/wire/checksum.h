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

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/** Fold to 16 bits; memory order, not complemented. */
static inline uint16_t tp_csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
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
