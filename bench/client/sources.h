/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sources - the addresses that clients have, as a list of addresses and prefixes.
 *
 * A prefix stands for all of its addresses.  They must be this host's, all of them: `ip route add
 * local 10.96.0.0/16 dev lo` makes a whole prefix so, and the server needs a route back.
 *
 * Memory: the caller's.
 */
#ifndef TP_BENCH_SOURCES_H
#define TP_BENCH_SOURCES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define TP_SOURCES_PREFIXES 64
#define TP_SOURCES_BITS                                                          \
	20 /* a million addresses of one prefix are used; more would be the same \
	    */

struct tp_sources {
	struct tp_prefix prefix[TP_SOURCES_PREFIXES];
	uint32_t n;
};

#define TP_SOURCES_MUST_BE "an address, or a prefix without host bits; 64 at most"

/** Add "10.96.0.0/16" or "10.91.0.2", as an item of an option.  @return whether it is one, with
 * room */
bool tp_sources_add(void *sources, const char *text);

/** How many addresses there are. */
uint32_t tp_sources_count(const struct tp_sources *sources);

/** Address number i, from 0 to the count less one; its port is 0. */
struct tp_addr tp_sources_at(const struct tp_sources *sources, uint32_t i);

#endif
