/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes - big-endian words and the Internet checksum, slowly and by the book: for what judges lib/,
 * and so can not use it.
 */
#ifndef TP_TESTS_BYTES_H
#define TP_TESTS_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/** @return behind what was written: the low 16 bits of v */
static inline uint8_t *put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

/** One's complement sum of big-endian words (RFC 1071), an odd byte filled up.  @return 16 bits */
static inline uint32_t sum16(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

#endif
