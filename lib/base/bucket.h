/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bucket - a limit on how often: so many a second, and so many at once.
 *
 * One variable suffices (GCRA): the time at which the bucket will be full again.  Taking a token
 * moves it by the time that one token takes to grow; whoever would move it further than a whole
 * bucket from now is refused.
 *
 * Threads: one bucket, one thread.  Memory: the caller's.
 */
#ifndef TP_BASE_BUCKET_H
#define TP_BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct tp_bucket {
	uint32_t per_sec; /* at least 1 */
	uint32_t burst;   /* at least 1 */
	uint64_t full_ns; /* 0 at first: full */
};

/**
 * Take n tokens, all or none, from the bucket that is full again at *full_ns: for who keeps many
 * buckets of one rate.  per_sec and burst are at least 1, per_sec at most a thousand million.
 *
 * @return false: there are not as many, and none was taken
 */
static inline bool tp_bucket_take_at(
		uint64_t *full_ns, uint32_t per_sec, uint32_t burst, uint32_t n, uint64_t now_ns)
{
	const uint64_t token_ns = TP_NS_PER_SEC / per_sec;
	uint64_t new_ns = *full_ns > now_ns ? *full_ns : now_ns;

	new_ns += token_ns * n;
	if (new_ns - now_ns > token_ns * burst)
		return false;
	*full_ns = new_ns;
	return true;
}

/** Take a token.  @return false: there is none, and none was taken */
static inline bool tp_bucket_take(struct tp_bucket *bucket, uint64_t now_ns)
{
	return tp_bucket_take_at(&bucket->full_ns, bucket->per_sec, bucket->burst, 1, now_ns);
}

#endif
