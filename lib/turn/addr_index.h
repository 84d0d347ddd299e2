/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr_index - IP address to number, for sets that change as a whole: the relay addresses of this
 * host, and all of its addresses.
 *
 * Open addressing at a load of at most one half, so that a lookup looks at a slot or two whether
 * there is one address or a thousand.
 *
 * Threads: immutable after tp_addr_index_init().  Memory: its own copy.
 */
#ifndef TP_TURN_ADDR_INDEX_H
#define TP_TURN_ADDR_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct tp_addr_index {
	struct tp_addr *slot; /* IP only; family 0: empty */
	uint32_t *value;
	uint32_t mask;
};

/**
 * @param first   of n addresses; ports play no part
 * @param stride  bytes from one to the next, so that a member of a struct will do
 * @return 0 or -ENOMEM.  An address's value is its place; of duplicates, the first one's
 */
int tp_addr_index_init(struct tp_addr_index *index, const struct tp_addr *first, size_t stride,
		uint32_t n);

/** A zeroed one is empty, and may be released too. */
void tp_addr_index_fini(struct tp_addr_index *index);

/** @return the place, or -1 */
int tp_addr_index_find(const struct tp_addr_index *index, const struct tp_addr *ip);

#endif
