/* SPDX-License-Identifier: Apache-2.0 */
#include "io/client_filter.h"

#include <errno.h>

#define BUCKETS_MIN 512 /* a page: smaller ones cost as much */

uint32_t tp_client_filter_buckets(uint32_t max_clients)
{
	const uint64_t places = 2 * (uint64_t)max_clients;
	uint64_t n = BUCKETS_MIN;

	while (n * TP_BPF_CLIENT_TAGS < places)
		n *= 2;
	return (uint32_t)n;
}

/* Of a bucket, place i. */
static uint64_t at(uint32_t tag, uint32_t i)
{
	return (uint64_t)tag << i * TP_BPF_CLIENT_TAG_BITS;
}

static uint32_t tag_at(uint64_t bucket, uint32_t i)
{
	return (uint32_t)(bucket >> i * TP_BPF_CLIENT_TAG_BITS) & TP_BPF_CLIENT_TAG_MASK;
}

static uint32_t count_free(uint64_t bucket)
{
	uint32_t i, n = 0;

	for (i = 0; i < TP_BPF_CLIENT_TAGS; i++)
		n += tag_at(bucket, i) == 0;
	return n;
}

/* Read by sk_lookup; nothing goes with it, so that no order is needed. */
static void store(uint64_t *bucket, uint64_t value)
{
	__atomic_store_n(bucket, value, __ATOMIC_RELAXED);
}

/*
 * One of a full bucket's tags to its other bucket.  Whoever is looked up at that moment may be
 * missed, and comes by the listener's socket once.
 */
static bool make_room(struct tp_client_filter *filter, uint32_t bucket)
{
	uint64_t *from = &filter->buckets[bucket], *to;
	uint32_t i, k;

	for (i = 0; i < TP_BPF_CLIENT_TAGS; i++) {
		const uint32_t tag = tag_at(*from, i);

		to = &filter->buckets[tp_bpf_client_other(&filter->conf, bucket, tag)];
		k = tp_bpf_client_find(*to, 0);
		if (k == TP_BPF_CLIENT_TAGS)
			continue;
		store(to, *to | at(tag, k));
		store(from, *from & ~at(TP_BPF_CLIENT_TAG_MASK, i));
		return true;
	}
	return false;
}

int tp_client_filter_add(struct tp_client_filter *filter, const struct tp_bpf_client *client)
{
	const struct tp_bpf_client_place place = tp_bpf_client_place(&filter->conf, client);
	const uint32_t room[2] = { count_free(filter->buckets[place.bucket[0]]),
		count_free(filter->buckets[place.bucket[1]]) };
	uint32_t bucket = place.bucket[room[1] > room[0]];
	uint64_t *to;

	if (room[0] + room[1] == 0 && !make_room(filter, bucket)) {
		bucket = place.bucket[1];
		if (!make_room(filter, bucket)) {
			filter->refused++;
			return -ENOSPC;
		}
	}
	to = &filter->buckets[bucket];
	store(to, *to | at(place.tag, tp_bpf_client_find(*to, 0)));
	filter->n++;
	return 0;
}

void tp_client_filter_del(struct tp_client_filter *filter, const struct tp_bpf_client *client)
{
	const struct tp_bpf_client_place place = tp_bpf_client_place(&filter->conf, client);

	for (int b = 0; b < 2; b++) {
		uint64_t *from = &filter->buckets[place.bucket[b]];
		uint32_t i = tp_bpf_client_find(*from, place.tag);

		if (i == TP_BPF_CLIENT_TAGS)
			continue;
		store(from, *from & ~at(TP_BPF_CLIENT_TAG_MASK, i));
		filter->n--;
		return;
	}
}

bool tp_client_filter_has(const struct tp_client_filter *filter, const struct tp_bpf_client *client)
{
	const struct tp_bpf_client_place place = tp_bpf_client_place(&filter->conf, client);

	return tp_bpf_client_find(filter->buckets[place.bucket[0]], place.tag) <
			TP_BPF_CLIENT_TAGS ||
			tp_bpf_client_find(filter->buckets[place.bucket[1]], place.tag) <
			TP_BPF_CLIENT_TAGS;
}
