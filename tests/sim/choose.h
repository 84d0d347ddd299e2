/* SPDX-License-Identifier: Apache-2.0 */
/*
 * choose - where decisions come from: a seed, or the bytes of a fuzzer.
 *
 * The same code asks for both, so that what a simulation can do a fuzzer can do as well.  Bytes
 * that have run out are zeros.
 */
#ifndef TP_TESTS_SIM_CHOOSE_H
#define TP_TESTS_SIM_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct choose {
	uint64_t state;
	const uint8_t *bytes; /* NULL: from the state */
	size_t len, at;
};

/* SplitMix64: good enough, and the same everywhere. */
static inline uint64_t choose_u64(struct choose *c)
{
	uint64_t z = c->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint8_t choose_byte(struct choose *c)
{
	if (c->bytes == NULL)
		return (uint8_t)choose_u64(c);
	return c->at < c->len ? c->bytes[c->at++] : 0;
}

/* 0 .. n-1; a fuzzer spends one byte, or two when n is more than 256. */
static inline uint32_t choose(struct choose *c, uint32_t n)
{
	uint32_t v;

	if (c->bytes == NULL)
		return (uint32_t)((choose_u64(c) >> 32) * n >> 32);
	v = choose_byte(c);
	if (n > 256)
		v |= (uint32_t)choose_byte(c) << 8;
	return v % n;
}

/* One time in n. */
static inline bool one_in(struct choose *c, uint32_t n)
{
	return choose(c, n) == n - 1;
}

#endif
