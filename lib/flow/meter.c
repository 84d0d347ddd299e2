/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/meter.h"

#include "base/clock.h"
#include "flow/pages.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BURSTS_PER_SEC 4
#define BURST_MIN_PKTS 16
#define BURST_MIN_BYTES (128u << 10) /* above the largest packet */
#define LEASES_PER_SEC 1000
#define NO_LIMIT (1u << 30) /* what is leased where there is none */

/* Used up so far, packets and bytes. */
struct bucket {
	_Atomic uint64_t pkts, bytes;
};

/* What is limited: its rate, and what follows. */
struct rate {
	uint64_t per_sec; /* 0: no limit */
	uint64_t burst, lease;
};

struct tp_meter {
	struct rate pkts, bytes;
	struct bucket *buckets; /* by tp_account_at() */
	uint32_t n_at, n_threads;
	struct tp_metered threads[];
};

static struct rate rate_of(uint64_t per_sec, uint64_t burst_min)
{
	struct rate r = { per_sec, per_sec / BURSTS_PER_SEC, per_sec / LEASES_PER_SEC };

	if (r.burst < burst_min)
		r.burst = burst_min;
	return r;
}

static size_t leases_bytes(const struct tp_meter *meter)
{
	return (size_t)meter->n_at * sizeof(struct tp_lease);
}

static size_t buckets_bytes(const struct tp_meter *meter)
{
	return (size_t)meter->n_at * sizeof(struct bucket);
}

int tp_meter_new(const struct tp_meter_conf *conf, uint32_t max_accounts, uint32_t n_threads,
		struct tp_meter **out)
{
	struct tp_meter *meter;

	if (conf->bps > TP_METER_BPS_MAX)
		return -EINVAL;
	meter = calloc(1, sizeof(*meter) + n_threads * sizeof(meter->threads[0]));
	if (meter == NULL)
		return -ENOMEM;
	/* Rounded up: one bit a second is a limit, and not none. */
	meter->bytes = rate_of((conf->bps + 7) / 8, BURST_MIN_BYTES);
	meter->pkts = rate_of(conf->pps, BURST_MIN_PKTS);
	meter->n_at = 2 * (max_accounts + 1);
	meter->n_threads = n_threads;
	meter->buckets = tp_pages_reserve(buckets_bytes(meter));
	for (uint32_t i = 0; i < n_threads; i++)
		meter->threads[i] = (struct tp_metered){
			.leases = tp_pages_reserve(leases_bytes(meter)),
			.meter = meter,
		};
	for (uint32_t i = 0; i < n_threads; i++) {
		if (meter->buckets != NULL && meter->threads[i].leases != NULL)
			continue;
		tp_meter_free(meter);
		return -ENOMEM;
	}
	*out = meter;
	return 0;
}

void tp_meter_free(struct tp_meter *meter)
{
	if (meter == NULL)
		return;
	for (uint32_t i = 0; i < meter->n_threads; i++)
		tp_pages_release(meter->threads[i].leases, leases_bytes(meter));
	tp_pages_release(meter->buckets, buckets_bytes(meter));
	free(meter);
}

struct tp_metered *tp_meter_thread(struct tp_meter *meter, uint32_t n)
{
	assert(n < meter->n_threads);
	return &meter->threads[n];
}

/* What is zero stays unwritten: its page may not be there yet. */
static void reset_at(struct tp_meter *meter, uint32_t at)
{
	struct bucket *b = &meter->buckets[at];

	if (atomic_load_explicit(&b->pkts, memory_order_relaxed) != 0)
		atomic_store_explicit(&b->pkts, 0, memory_order_relaxed);
	if (atomic_load_explicit(&b->bytes, memory_order_relaxed) != 0)
		atomic_store_explicit(&b->bytes, 0, memory_order_relaxed);
	for (uint32_t i = 0; i < meter->n_threads; i++) {
		struct tp_lease *lease = &meter->threads[i].leases[at];

		if ((lease->pkts | lease->bytes) != 0)
			*lease = (struct tp_lease){ 0, 0 };
	}
}

void tp_meter_reset(struct tp_meter *meter, uint32_t account)
{
	assert(2 * account + 1 < meter->n_at);
	reset_at(meter, 2 * account);
	reset_at(meter, 2 * account + 1);
}

/* No drift: from the time since boot, not from the time since last asked. */
static uint64_t due(const struct rate *rate, uint64_t now_ns)
{
	return (uint64_t)((unsigned __int128)now_ns * rate->per_sec / TP_NS_PER_SEC);
}

/* Once for all packets of a burst. */
static void set_now(struct tp_metered *m, uint64_t now_ns)
{
	if (m->now_ns == now_ns)
		return;
	m->now_ns = now_ns;
	m->pkts_due = due(&m->meter->pkts, now_ns);
	m->bytes_due = due(&m->meter->bytes, now_ns);
}

static bool bucket_take(_Atomic uint64_t *used, uint64_t due_now, uint64_t burst, uint64_t n)
{
	uint64_t old = atomic_load_explicit(used, memory_order_relaxed), now_used;

	do {
		now_used = (old > due_now ? old : due_now) + n;
		if (now_used > due_now + burst)
			return false;
		/* Nothing is published by it: no order is needed. */
	} while (!atomic_compare_exchange_weak_explicit(
			used, &old, now_used, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* Have at least n on lease.  Where a whole lease is not left, what is missing may be. */
static bool lease_fill(uint32_t *lease, _Atomic uint64_t *used, const struct rate *rate,
		uint64_t due_now, uint32_t n)
{
	uint32_t missing = n - *lease;

	if (*lease >= n)
		return true;
	if (rate->per_sec == 0) {
		*lease = NO_LIMIT;
		return true;
	}
	if (rate->lease > missing && bucket_take(used, due_now, rate->burst, rate->lease)) {
		*lease += (uint32_t)rate->lease;
		return true;
	}
	if (!bucket_take(used, due_now, rate->burst, missing))
		return false;
	*lease = n;
	return true;
}

bool tp_metered_lease(struct tp_metered *m, uint32_t at, uint32_t bytes, uint64_t now_ns)
{
	struct tp_meter *meter = m->meter;
	struct bucket *b = &meter->buckets[at];
	struct tp_lease *lease = &m->leases[at];

	set_now(m, now_ns);
	if (!lease_fill(&lease->pkts, &b->pkts, &meter->pkts, m->pkts_due, 1) ||
			!lease_fill(&lease->bytes, &b->bytes, &meter->bytes, m->bytes_due, bytes))
		return false;
	lease->pkts--;
	lease->bytes -= bytes;
	return true;
}
