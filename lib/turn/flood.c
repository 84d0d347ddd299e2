/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/flood.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/bucket.h"

#define IPV6_SOURCE_BYTES 8 /* /64: what one customer has */
#define TOTAL_BURST 10      /* a tenth of a second's, at least */

/* When each cell's bucket is full again, ns; row after row. */
struct sketch {
	uint64_t *full_ns; /* NULL while there is no limit */
	uint32_t n_cells;
	uint64_t seed;
};

struct tp_flood {
	uint32_t per_source;
	struct tp_bucket total; /* per_sec 0: no limit */
	struct sketch sources, tries;
};

/* ---- the sketch ---- */

/* Not calloc: these pages are there before a flood is, and memory stays flat in it. */
static int sketch_fill(struct sketch *sk)
{
	size_t n = (size_t)TP_FLOOD_ROWS * sk->n_cells;

	if (sk->full_ns != NULL)
		return 0;
	sk->full_ns = malloc(n * sizeof(*sk->full_ns));
	if (sk->full_ns == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sk->full_ns[i] = 1; /* long ago: full */
	return 0;
}

static void cells_of(
		const struct sketch *sk, const void *key, size_t len, uint64_t *cell[TP_FLOOD_ROWS])
{
	XXH128_hash_t h = XXH3_128bits_withSeed(key, len, sk->seed);
	const uint32_t part[TP_FLOOD_ROWS] = { (uint32_t)h.low64, (uint32_t)(h.low64 >> 32),
		(uint32_t)h.high64, (uint32_t)(h.high64 >> 32) };

	for (uint32_t row = 0; row < TP_FLOOD_ROWS; row++)
		cell[row] = &sk->full_ns[row * sk->n_cells + (part[row] & (sk->n_cells - 1))];
}

/* The key's bucket: that of its cell which was charged least for others. */
static uint64_t cells_min(uint64_t *const cell[TP_FLOOD_ROWS])
{
	uint64_t min = *cell[0];

	for (uint32_t row = 1; row < TP_FLOOD_ROWS; row++)
		if (*cell[row] < min)
			min = *cell[row];
	return min;
}

static void cells_raise(uint64_t *const cell[TP_FLOOD_ROWS], uint64_t full_ns)
{
	for (uint32_t row = 0; row < TP_FLOOD_ROWS; row++)
		if (*cell[row] < full_ns)
			*cell[row] = full_ns;
}

/* ---- keys ---- */

/* @return the length of the prefix of an address that is one source */
static size_t source_len(const struct tp_addr *client)
{
	return client->family == TP_IPV6 ? IPV6_SOURCE_BYTES : tp_addr_ip_bytes(client);
}

/* Take one token of the source's if it is there; *full_ns is its bucket then. */
static bool source_has(const struct tp_flood *flood, const struct tp_addr *client, uint64_t now_ns,
		uint64_t *cell[TP_FLOOD_ROWS], uint64_t *full_ns)
{
	cells_of(&flood->sources, client->ip, source_len(client), cell);
	*full_ns = cells_min(cell);
	return tp_bucket_take_at(full_ns, flood->per_source, flood->per_source * TP_FLOOD_BURST_SEC,
			1, now_ns);
}

static bool tries_left(const struct tp_flood *flood, const struct tp_addr *client, uint64_t now_ns,
		uint64_t *cell[TP_FLOOD_ROWS], uint64_t *full_ns)
{
	cells_of(&flood->tries, client, sizeof(*client), cell);
	*full_ns = cells_min(cell);
	return tp_bucket_take_at(full_ns, TP_FLOOD_TRIES_PER_SEC, TP_FLOOD_TRIES_BURST, 1, now_ns);
}

/* ---- what is asked ---- */

enum tp_slow_verdict tp_flood_answer(struct tp_flood *flood, const struct tp_addr *client,
		bool is_proven, uint64_t now_ns)
{
	uint64_t *cell[TP_FLOOD_ROWS];
	uint64_t full_ns;

	/* First the source: what it is refused must not cost the others. */
	if (flood->per_source != 0 && !source_has(flood, client, now_ns, cell, &full_ns))
		return TP_SLOW_DROP_SOURCE_RATE;
	if (!is_proven && flood->total.per_sec != 0 && !tp_bucket_take(&flood->total, now_ns))
		return TP_SLOW_DROP_TOTAL_RATE;
	if (flood->per_source != 0)
		cells_raise(cell, full_ns);
	return TP_SLOW_ANSWERED;
}

enum tp_slow_verdict tp_flood_check(
		const struct tp_flood *flood, const struct tp_addr *client, uint64_t now_ns)
{
	uint64_t *cell[TP_FLOOD_ROWS];
	uint64_t full_ns;

	if (flood->per_source == 0 || source_has(flood, client, now_ns, cell, &full_ns) ||
			tries_left(flood, client, now_ns, cell, &full_ns))
		return TP_SLOW_ANSWERED;
	return TP_SLOW_DROP_TRY_RATE;
}

void tp_flood_failed(struct tp_flood *flood, const struct tp_addr *client, uint64_t now_ns)
{
	uint64_t *cell[TP_FLOOD_ROWS];
	uint64_t full_ns;

	if (flood->per_source != 0 && tries_left(flood, client, now_ns, cell, &full_ns))
		cells_raise(cell, full_ns);
}

/* ---- life ---- */

int tp_flood_set(struct tp_flood *flood, uint32_t per_source, uint32_t total)
{
	if (per_source != 0 && (sketch_fill(&flood->sources) < 0 || sketch_fill(&flood->tries) < 0))
		return -ENOMEM;
	flood->per_source = per_source;
	flood->total.per_sec = total;
	flood->total.burst = total / TOTAL_BURST + 1;
	return 0;
}

int tp_flood_new(const uint64_t seed[2], struct tp_flood **out)
{
	struct tp_flood *flood = calloc(1, sizeof(*flood));

	if (flood == NULL)
		return -ENOMEM;
	flood->sources = (struct sketch){ .n_cells = TP_FLOOD_SOURCE_CELLS, .seed = seed[0] };
	flood->tries = (struct sketch){ .n_cells = TP_FLOOD_TRY_CELLS, .seed = seed[1] };
	*out = flood;
	return 0;
}

void tp_flood_free(struct tp_flood *flood)
{
	if (flood == NULL)
		return;
	free(flood->sources.full_ns);
	free(flood->tries.full_ns);
	free(flood);
}
