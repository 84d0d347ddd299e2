/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index - from the hash of a key to the numbers of the entries that may have it.
 *
 * Lines of one cache line, eight ways each: a tag of 16 bits of the hash, and a number.  A key is
 * in the line that its hash names or, when that was full, in the next with room; a line counts the
 * keys that passed it, so that a search ends where none did.  Half of the ways or more are always
 * empty, and one line in fifty is passed.
 *
 * Why not rte_hash: it looks at two lines and the key's own, whose keys are apart from the
 * entries, and takes a burst of one key length only; bench/README.md has the numbers.
 *
 * Nothing ever moves: a reader finds what is in the index, whatever is added or removed meanwhile.
 * What it finds may have been removed since, or never had the key: it compares keys, and
 * tp_grace keeps the entry until it has done so.
 *
 * Threads: one writer, any number of readers.
 */
#ifndef TP_FLOW_INDEX_H
#define TP_FLOW_INDEX_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TP_INDEX_WAYS 8
#define TP_INDEX_NONE UINT32_MAX

struct tp_index_line {
	alignas(64) _Atomic uint64_t tags[2]; /* four lanes of 16 bits each; 0: empty */
	_Atomic uint32_t entry[TP_INDEX_WAYS];
	_Atomic uint32_t n_passed;
};

_Static_assert(sizeof(struct tp_index_line) == 64, "one cache line");

struct tp_index {
	struct tp_index_line *lines;
	uint64_t line_mask;
	size_t bytes; /* of lines */
};

/** For so many entries at most; the memory is in use from now on.  @return 0 or -ENOMEM */
int tp_index_init(struct tp_index *index, uint32_t max_entries);
void tp_index_fini(struct tp_index *index);

/** Writer.  What the number stands for is written before; max_entries are in at most. */
void tp_index_add(struct tp_index *index, uint64_t hash, uint32_t entry);

/** Writer.  It is there. */
void tp_index_del(struct tp_index *index, uint64_t hash, uint32_t entry);

/* The line and the tag are of different bits. */
static inline uint64_t tp_index_home(const struct tp_index *index, uint64_t hash)
{
	return hash >> 16 & index->line_mask;
}

static inline uint16_t tp_index_tag(uint64_t hash)
{
	uint16_t tag = (uint16_t)hash;

	return tag != 0 ? tag : 1;
}

static inline void tp_index_prefetch(const struct tp_index *index, uint64_t hash)
{
	__builtin_prefetch(&index->lines[tp_index_home(index, hash)]);
}

/* The highest bit of each lane that is zero. */
static inline uint64_t tp_index_zero_lanes(uint64_t x)
{
	const uint64_t low = 0x7fff7fff7fff7fff;

	return ~(((x & low) + low) | x | low);
}

/* Four bits, of the highest bits of four lanes: the product has them all in its highest word. */
static inline uint32_t tp_index_gather(uint64_t high_bits)
{
	return (uint32_t)((high_bits >> 15) * 0x0001000200040008u >> 48) & 0xf;
}

/** The ways of a line with this tag, a bit each; on any machine. */
static inline uint32_t tp_index_match_words(const struct tp_index_line *line, uint16_t tag)
{
	const uint64_t want = tag * 0x0001000100010001u;
	/* Pairs with the release in tp_index_add(): the number is there when the tag is. */
	uint64_t low = atomic_load_explicit(&line->tags[0], memory_order_acquire) ^ want;
	uint64_t high = atomic_load_explicit(&line->tags[1], memory_order_acquire) ^ want;

	return tp_index_gather(tp_index_zero_lanes(low)) |
			tp_index_gather(tp_index_zero_lanes(high)) << 4;
}

#ifdef __SSE2__
/* The same in a third of the instructions.  A load orders those after it on this machine. */
static inline uint32_t tp_index_match(const struct tp_index_line *line, uint16_t tag)
{
	__m128i tags = _mm_load_si128((const __m128i *)(const void *)line->tags);
	__m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));

	atomic_signal_fence(memory_order_acquire);
	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
}
#else
#define tp_index_match tp_index_match_words
#endif

/* A search: the candidates left in this line, then the lines after it. */
struct tp_index_search {
	uint64_t line; /* its number */
	uint32_t ways; /* tp_index_match(), less those had */
	uint16_t tag;
};

/** The first candidate of the home line, or TP_INDEX_NONE. */
static inline uint32_t tp_index_first(const struct tp_index *index, uint64_t hash)
{
	const struct tp_index_line *line = &index->lines[tp_index_home(index, hash)];
	uint32_t ways = tp_index_match(line, tp_index_tag(hash));

	if (__builtin_expect(ways == 0, false))
		return TP_INDEX_NONE;
	/* Acquire: a way that was given to another entry meanwhile leads to a whole one. */
	return atomic_load_explicit(&line->entry[__builtin_ctz(ways)], memory_order_acquire);
}

/** Begin a search with all candidates, the first of the home line too. */
void tp_index_begin(const struct tp_index *index, uint64_t hash, struct tp_index_search *s);

/** Go on.  @return a candidate, or TP_INDEX_NONE: there is no other */
uint32_t tp_index_next(const struct tp_index *index, struct tp_index_search *s);

#endif
