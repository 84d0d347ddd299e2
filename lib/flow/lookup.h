/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup - a key to its flow, step by step: for who does each step for all of a burst.
 *
 *     hash        begins to fetch the line of the index
 *     candidate   begins to fetch the flow
 *     confirm     is it the one?
 *
 * tp_flow_lookup_bulk() does so for keys that are in memory.  The pipeline hashes a key when it has
 * formed it, in registers.
 *
 * Threads: readers under tp_grace.
 */
#ifndef TP_FLOW_LOOKUP_H
#define TP_FLOW_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "flow/flow.h"
#include "flow/index.h"

/* What readers read of a table, and the first member of it. */
struct tp_flow_lookup {
	struct tp_index index; /* to numbers of flows[] */
	struct tp_flow *flows;
	struct tp_flow_send_key *send_keys; /* of flows[], where they are TP_FLOW_SENDS */
	uint64_t seed;
};

static inline const struct tp_flow_lookup *tp_flow_lookup(const struct tp_flow_table *table)
{
	return (const struct tp_flow_lookup *)(const void *)table;
}

/*
 * Peers' addresses and ports are the clients' choice, so a hash whose collisions do not depend on
 * its seed (CRC is linear) would let one client put thousands of keys in one line.
 */
static inline uint64_t tp_flow_hash(uint64_t seed, const void *key, enum tp_flow_kind kind)
{
	/* Lengths that are constants: such a hash is a few instructions. */
	switch (kind) {
	case TP_FLOW_CHANNEL4:
	case TP_FLOW_DATA4:
		return XXH3_64bits_withSeed(key, sizeof(struct tp_flow_key4), seed);
	case TP_FLOW_CHANNEL6:
	case TP_FLOW_DATA6:
		return XXH3_64bits_withSeed(key, sizeof(struct tp_flow_key6), seed);
	default:
		return XXH3_64bits_withSeed(key, sizeof(struct tp_flow_send_key), seed);
	}
}

/** @return the number of a flow that may have the key, or TP_INDEX_NONE */
static inline uint32_t tp_flow_candidate(const struct tp_flow_lookup *l, uint64_t hash)
{
	uint32_t number = tp_index_first(&l->index, hash);
	/* Of TP_INDEX_NONE it is an address where nothing is, which is no harm. */
	uintptr_t flow = (uintptr_t)l->flows + (uintptr_t)number * sizeof(*l->flows);

	__builtin_prefetch((const void *)flow);
	__builtin_prefetch((const void *)(flow + offsetof(struct tp_flow, key)));
	return number;
}

static inline bool tp_flow_has_key(const struct tp_flow_lookup *l, uint32_t number, const void *key,
		enum tp_flow_kind kind)
{
	const struct tp_flow *flow = &l->flows[number];
	const uint64_t *a = key, *b = (const uint64_t *)(const void *)&flow->key;
	uint64_t differ = flow->kind ^ kind;

	switch (kind) {
	case TP_FLOW_CHANNEL4:
	case TP_FLOW_DATA4:
		return (differ | (a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
	case TP_FLOW_CHANNEL6:
	case TP_FLOW_DATA6:
		differ |= (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]);
		return (differ | (a[3] ^ b[3]) | (a[4] ^ b[4])) == 0;
	default:
		return differ == 0 && memcmp(a, &l->send_keys[number], sizeof(*l->send_keys)) == 0;
	}
}

/** A search from its begin: one of many has a tag in common with another, or was not at home. */
struct tp_flow *tp_flow_search(const struct tp_flow_lookup *l, uint64_t hash, const void *key,
		enum tp_flow_kind kind);

/** @return the flow with this key, or NULL */
static inline struct tp_flow *tp_flow_confirm(const struct tp_flow_lookup *l, uint32_t candidate,
		uint64_t hash, const void *key, enum tp_flow_kind kind)
{
	if (__builtin_expect(
			    candidate == TP_INDEX_NONE || !tp_flow_has_key(l, candidate, key, kind),
			    false))
		return tp_flow_search(l, hash, key, kind);
	return &l->flows[candidate];
}

#endif
