/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flood - a bound on the answers to whoever has not proved who he is.
 *
 * Whatever a source address says, it may be forged until a nonce of ours came back from it, and
 * its credentials may be guesses until MESSAGE-INTEGRITY matched.  So answers that carry no
 * MESSAGE-INTEGRITY cost a token of the source's, /32 or /64, and, unless the source returned a
 * nonce of ours, one of all sources together.  What has no token is dropped and counted, before
 * work is done for it.  Authenticated requests cost nothing, and need nothing of what others at
 * the same address took:
 *
 *     says nothing yet, or a nonce that is not ours:   source, total
 *     nonce of ours, credentials wrong:                source, and a try of the five-tuple's
 *     nonce of ours, source out of tokens:             a try must be left, before any HMAC
 *     credentials right, or the five-tuple's owner:    nothing
 *
 * So a guesser spends his own tries, not those of who shares his address by NAT.
 *
 * Buckets of sources are cells of a count-min sketch of fixed size: a key has one cell in each of
 * four rows, and as much as the fullest of them (conservative update).  It is never given more
 * than its rate.  It is refused for others' doing only when all four of its cells are: the key
 * of the hash is secret, so that these can not be aimed at, and only what is granted is charged,
 * so that a row of W cells drains faster than a flood fills it as long as
 *
 *     answers granted a second to all < W * answers a second to one
 *
 * which for the sources holds at a total of 50,000 from a rate of 4 on.  Rejected: a table of
 * sources with eviction, in which a flood of forged ones evicts the others.
 *
 * Private to lib/turn.  Threads: one.  Memory: TP_FLOOD_BYTES once there is a limit for a source,
 * touched at once.
 */
#ifndef TP_TURN_FLOOD_H
#define TP_TURN_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/verdict.h"
#include "turn/turn.h"

#define TP_FLOOD_ROWS 4
#define TP_FLOOD_SOURCE_CELLS 16384u /* of each row; a power of two */
#define TP_FLOOD_TRY_CELLS 65536u    /* as many as one address has ports */
#define TP_FLOOD_BYTES (TP_FLOOD_ROWS * (TP_FLOOD_SOURCE_CELLS + TP_FLOOD_TRY_CELLS) * 8)

#define TP_FLOOD_BURST_SEC 10 /* what a source gets in so long, it may have at once */
#define TP_FLOOD_TRIES_PER_SEC 1
#define TP_FLOOD_TRIES_BURST 10

struct tp_flood;

/** @param[in] seed  secret and unpredictable  @return 0 or -ENOMEM */
int tp_flood_new(const uint64_t seed[2], struct tp_flood **out);
void tp_flood_free(struct tp_flood *flood);

/**
 * Answers a second, to one source and to all together (at most 1,000,000); 0: no limit.  At first
 * there is none.
 *
 * @return 0, or -ENOMEM, and the limits are as they were
 */
int tp_flood_set(struct tp_flood *flood, uint32_t per_source, uint32_t total);

/**
 * May an answer without MESSAGE-INTEGRITY go there?  Charges it.
 *
 * @param is_proven  a nonce of ours came from this very address and port
 * @return TP_SLOW_ANSWERED, or the verdict of a request that is dropped instead
 */
enum tp_slow_verdict tp_flood_answer(struct tp_flood *flood, const struct tp_addr *client,
		bool is_proven, uint64_t now_ns);

/** May credentials from a proven source be checked?  As tp_flood_answer(), but charges nothing. */
enum tp_slow_verdict tp_flood_check(
		const struct tp_flood *flood, const struct tp_addr *client, uint64_t now_ns);

/** They were wrong. */
void tp_flood_failed(struct tp_flood *flood, const struct tp_addr *client, uint64_t now_ns);

#endif
