/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/index.h"

#include "flow/pages.h"

#include <assert.h>
#include <errno.h>

#define LOAD_DIVISOR (TP_INDEX_WAYS / 2) /* entries for each line, at most */

int tp_index_init(struct tp_index *index, uint32_t max_entries)
{
	uint64_t n = 1;

	while (n * LOAD_DIVISOR < max_entries)
		n *= 2;
	index->bytes = n * sizeof(*index->lines);
	index->line_mask = n - 1;
	index->lines = tp_pages_reserve(index->bytes);
	if (index->lines == NULL)
		return -ENOMEM;
	/* Entries lie anywhere: the first few would touch all of it, while clients wait. */
	tp_pages_touch(index->lines, index->bytes);
	return 0;
}

void tp_index_fini(struct tp_index *index)
{
	tp_pages_release(index->lines, index->bytes);
}

/* One writer: reads need no order, stores only where a reader must see what was before them. */
static void set_tag(struct tp_index_line *line, uint32_t way, uint16_t tag)
{
	_Atomic uint64_t *word = &line->tags[way / 4];
	uint32_t shift = way % 4 * 16;
	uint64_t rest = atomic_load_explicit(word, memory_order_relaxed) &
			~((uint64_t)0xffff << shift);

	atomic_store_explicit(word, rest | (uint64_t)tag << shift, memory_order_release);
}

static void add_passed(struct tp_index_line *line, int by)
{
	uint32_t n = atomic_load_explicit(&line->n_passed, memory_order_relaxed);

	assert(by > 0 || n > 0);
	atomic_store_explicit(&line->n_passed, n + (uint32_t)by, memory_order_release);
}

void tp_index_add(struct tp_index *index, uint64_t hash, uint32_t entry)
{
	uint64_t at = tp_index_home(index, hash);
	struct tp_index_line *line;
	uint32_t empty, way;

	/* Ends: half of all ways are empty. */
	for (;; at = (at + 1) & index->line_mask) {
		line = &index->lines[at];
		empty = tp_index_match(line, 0);
		if (empty != 0)
			break;
		add_passed(line, 1);
	}
	way = (uint32_t)__builtin_ctz(empty);
	atomic_store_explicit(&line->entry[way], entry, memory_order_release);
	set_tag(line, way, tp_index_tag(hash));
}

/* The way of a line that has the entry, or -1. */
static int way_of(const struct tp_index_line *line, uint16_t tag, uint32_t entry)
{
	uint32_t ways = tp_index_match(line, tag);

	for (; ways != 0; ways &= ways - 1) {
		int way = __builtin_ctz(ways);

		if (atomic_load_explicit(&line->entry[way], memory_order_relaxed) == entry)
			return way;
	}
	return -1;
}

void tp_index_del(struct tp_index *index, uint64_t hash, uint32_t entry)
{
	uint64_t home = tp_index_home(index, hash), at = home;
	int way;

	while ((way = way_of(&index->lines[at], tp_index_tag(hash), entry)) < 0) {
		assert(index->lines[at].n_passed > 0);
		at = (at + 1) & index->line_mask;
	}
	set_tag(&index->lines[at], (uint32_t)way, 0);
	for (; home != at; home = (home + 1) & index->line_mask)
		add_passed(&index->lines[home], -1);
}

void tp_index_begin(const struct tp_index *index, uint64_t hash, struct tp_index_search *s)
{
	s->line = tp_index_home(index, hash);
	s->tag = tp_index_tag(hash);
	s->ways = tp_index_match(&index->lines[s->line], s->tag);
}

uint32_t tp_index_next(const struct tp_index *index, struct tp_index_search *s)
{
	uint32_t way;

	while (s->ways == 0) {
		if (atomic_load_explicit(&index->lines[s->line].n_passed, memory_order_acquire) ==
				0)
			return TP_INDEX_NONE;
		s->line = (s->line + 1) & index->line_mask;
		s->ways = tp_index_match(&index->lines[s->line], s->tag);
	}
	way = (uint32_t)__builtin_ctz(s->ways);
	s->ways &= s->ways - 1;
	return atomic_load_explicit(&index->lines[s->line].entry[way], memory_order_acquire);
}
