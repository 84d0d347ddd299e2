/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table - hash tables of entries that carry their own link: one pointer in an entry for each table
 * that it is in, and one for each chain.
 *
 * A table grows as it fills, and no single call pays for that: a larger set of chains is begun when
 * there are as many entries as chains, and each entry added from then on moves two chains over.
 * Where there is no memory for more chains, they get longer: adding can not fail.
 *
 * Keys are hashed under a seed, to be kept secret: clients and peers choose addresses and ports.
 *
 * Threads: one.  Memory: chains are the table's, entries and keys their owner's.
 */
#ifndef TP_BASE_TABLE_H
#define TP_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define TP_TABLE_CHAINS_MIN 64 /* as soon as there is more than one */

/* In an entry. */
struct tp_link {
	struct tp_link *next; /* in the chain */
};

/** The key of an entry, which must not change while the entry is in the table. */
typedef struct tp_bytes tp_table_key(const void *entry);

/* Such a function, for entries of a type that have their key, without padding, in a member. */
#define TP_TABLE_KEY(function, type, member)                               \
	static struct tp_bytes function(const void *entry)                 \
	{                                                                  \
		const type *e = entry;                                     \
                                                                           \
		return (struct tp_bytes){ &e->member, sizeof(e->member) }; \
	}

struct tp_table {
	tp_table_key *key;
	size_t link_at; /* in an entry */
	uint64_t seed;
	struct tp_link *only;    /* the chain of a table that has few */
	struct tp_link **chains; /* mask + 1 of them; NULL: only that one */
	struct tp_link **old;    /* old_mask + 1: those from `moved` on hold entries; or NULL */
	uint32_t n, mask, old_mask, moved;
};

/** An empty one, which holds no memory.  @param link_at  offset of the link in an entry */
static inline struct tp_table tp_table(tp_table_key *key, size_t link_at, uint64_t seed)
{
	return (struct tp_table){ .key = key, .link_at = link_at, .seed = seed };
}

/** @return the entry with this key, or NULL */
void *tp_table_find(const struct tp_table *t, const void *key, size_t len);

/** Add an entry whose key no other has. */
void tp_table_add(struct tp_table *t, void *entry);

/** Remove an entry that is in the table. */
void tp_table_remove(struct tp_table *t, void *entry);

/** Free the chains; entries that are still in it are the owner's to free.  It is empty then. */
void tp_table_clear(struct tp_table *t);

#endif
