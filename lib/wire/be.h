/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be - big-endian integers at any alignment, as protocols lay them in memory.
 *
 * Threads: pure functions.
 */
#ifndef TP_WIRE_BE_H
#define TP_WIRE_BE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t tp_be16_get(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t tp_be32_get(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline void tp_be16_put(uint8_t *p, uint16_t value)
{
	value = htobe16(value);
	memcpy(p, &value, sizeof(value));
}

static inline void tp_be32_put(uint8_t *p, uint32_t value)
{
	value = htobe32(value);
	memcpy(p, &value, sizeof(value));
}

#endif
