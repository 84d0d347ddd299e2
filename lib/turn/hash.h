/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash - of what clients choose, under a seed that they can not know.
 *
 * Private to lib/turn.  Threads: any.
 */
#ifndef TP_TURN_HASH_H
#define TP_TURN_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

/* Random, set once before the first table exists. */
extern uint64_t tp_turn_hash_seed;

static inline uint32_t tp_turn_hash(const void *key, size_t len)
{
	return (uint32_t)XXH3_64bits_withSeed(key, len, tp_turn_hash_seed);
}

#endif
