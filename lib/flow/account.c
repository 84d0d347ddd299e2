/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/account.h"

#include "flow/pages.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNTS_MAX (1u << 30)
#define READ_TRIES 1000

/* What was in words that were full. */
struct spilled {
	_Atomic uint64_t pkts, bytes;
};

struct tp_accounts {
	struct tp_grace *grace;
	struct tp_meter *meter;  /* NULL: no limits */
	struct spilled *spilled; /* by tp_account_at() */
	uint32_t *next_free;     /* of each account that is free */
	uint32_t first_free;     /* 0: none */
	uint32_t n_touched;      /* accounts from here on were never open */
	uint32_t max_accounts;
	uint32_t n_tallies;
	/* A reader whose sum began after all spills that had begun by its end, saw none halfway. */
	alignas(64) _Atomic uint64_t spills_begun, spills_done;
	alignas(64) struct tp_tally tallies[];
};

static size_t n_at(const struct tp_accounts *a)
{
	return 2 * ((size_t)a->max_accounts + 1);
}

static size_t words_bytes(const struct tp_accounts *a)
{
	return n_at(a) * sizeof(*a->tallies[0].words);
}

static size_t spilled_bytes(const struct tp_accounts *a)
{
	return n_at(a) * sizeof(*a->spilled);
}

static size_t free_bytes(const struct tp_accounts *a)
{
	return ((size_t)a->max_accounts + 1) * sizeof(*a->next_free);
}

static int reserve(struct tp_accounts *a, const struct tp_meter_conf *limits)
{
	int rc = 0;

	a->spilled = tp_pages_reserve(spilled_bytes(a));
	a->next_free = tp_pages_reserve(free_bytes(a));
	if (a->spilled == NULL || a->next_free == NULL)
		return -ENOMEM;
	if (limits->bps != 0 || limits->pps != 0)
		rc = tp_meter_new(limits, a->max_accounts, a->n_tallies, &a->meter);
	for (uint32_t i = 0; i < a->n_tallies && rc == 0; i++) {
		struct tp_tally *t = &a->tallies[i];

		t->accounts = a;
		t->metered = a->meter != NULL ? tp_meter_thread(a->meter, i) : NULL;
		t->words = tp_pages_reserve(words_bytes(a));
		if (t->words == NULL)
			rc = -ENOMEM;
	}
	return rc;
}

int tp_accounts_new(const struct tp_accounts_conf *conf, struct tp_accounts **out)
{
	struct tp_accounts *a;
	size_t size = sizeof(*a) + conf->n_tallies * sizeof(a->tallies[0]);
	int rc;

	if (conf->max_accounts == 0 || conf->max_accounts > ACCOUNTS_MAX || conf->n_tallies == 0)
		return -EINVAL;
	size = (size + 63) & ~(size_t)63;
	a = aligned_alloc(alignof(struct tp_accounts), size);
	if (a == NULL)
		return -ENOMEM;
	memset(a, 0, size);
	a->grace = conf->grace;
	a->max_accounts = conf->max_accounts;
	a->n_tallies = conf->n_tallies;
	a->n_touched = TP_ACCOUNT_NONE + 1;
	rc = reserve(a, &conf->limits);
	if (rc < 0) {
		tp_accounts_free(a);
		return rc;
	}
	*out = a;
	return 0;
}

void tp_accounts_free(struct tp_accounts *a)
{
	if (a == NULL)
		return;
	for (uint32_t i = 0; i < a->n_tallies; i++)
		tp_pages_release(a->tallies[i].words, words_bytes(a));
	tp_meter_free(a->meter);
	tp_pages_release(a->next_free, free_bytes(a));
	tp_pages_release(a->spilled, spilled_bytes(a));
	free(a);
}

struct tp_tally *tp_accounts_tally(struct tp_accounts *a, uint32_t n)
{
	assert(n < a->n_tallies);
	return &a->tallies[n];
}

/* ---- a tally's thread ---- */

/* Pairs with the acquire fence of tp_account_sum(). */
static void spill_begin(struct tp_accounts *a)
{
	atomic_fetch_add_explicit(&a->spills_begun, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static void spill_end(struct tp_accounts *a)
{
	atomic_fetch_add_explicit(&a->spills_done, 1, memory_order_release);
}

void tp_tally_spill(struct tp_tally *tally, uint32_t at)
{
	struct tp_accounts *a = tally->accounts;
	uint64_t value = atomic_load_explicit(&tally->words[at], memory_order_relaxed);

	spill_begin(a);
	atomic_fetch_add_explicit(
			&a->spilled[at].pkts, value >> TP_WORD_BYTE_BITS, memory_order_relaxed);
	atomic_fetch_add_explicit(
			&a->spilled[at].bytes, value & TP_WORD_BYTES, memory_order_relaxed);
	atomic_store_explicit(&tally->words[at], 0, memory_order_relaxed);
	spill_end(a);
}

void tp_tally_uncount(struct tp_tally *tally, uint32_t at, uint16_t data_len)
{
	struct tp_accounts *a = tally->accounts;
	uint64_t value = atomic_load_explicit(&tally->words[at], memory_order_relaxed);

	if (value >= TP_WORD_PACKET && (value & TP_WORD_BYTES) >= data_len) {
		atomic_store_explicit(&tally->words[at], value - TP_WORD_PACKET - data_len,
				memory_order_relaxed);
		return;
	}
	/* It was spilled since. */
	spill_begin(a);
	atomic_fetch_sub_explicit(&a->spilled[at].pkts, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&a->spilled[at].bytes, data_len, memory_order_relaxed);
	spill_end(a);
}

/* ---- control ---- */

static void sum_at(const struct tp_accounts *a, uint32_t at, uint64_t *pkts, uint64_t *bytes)
{
	*pkts = atomic_load_explicit(&a->spilled[at].pkts, memory_order_relaxed);
	*bytes = atomic_load_explicit(&a->spilled[at].bytes, memory_order_relaxed);
	for (uint32_t i = 0; i < a->n_tallies; i++) {
		uint64_t value = atomic_load_explicit(
				&a->tallies[i].words[at], memory_order_relaxed);

		*pkts += value >> TP_WORD_BYTE_BITS;
		*bytes += value & TP_WORD_BYTES;
	}
}

/* Spills are so rare that a second try is; the bound is for a thread that stopped within one. */
void tp_account_sum(const struct tp_accounts *a, uint32_t account, struct tp_account_sum *out)
{
	uint64_t done;
	int tries = READ_TRIES;

	do {
		done = atomic_load_explicit(&a->spills_done, memory_order_acquire);
		sum_at(a, tp_account_at(account, true), &out->up.pkts, &out->up.bytes);
		sum_at(a, tp_account_at(account, false), &out->down.pkts, &out->down.bytes);
		atomic_thread_fence(memory_order_acquire);
	} while (atomic_load_explicit(&a->spills_begun, memory_order_relaxed) != done &&
			--tries > 0);
}

int tp_account_open(struct tp_accounts *a, uint32_t *account)
{
	if (a->first_free == 0 && a->n_touched > a->max_accounts && a->grace != NULL)
		tp_grace_reclaim(a->grace);
	if (a->first_free != 0) {
		*account = a->first_free;
		a->first_free = a->next_free[*account];
		return 0;
	}
	if (a->n_touched > a->max_accounts)
		return -ENOSPC;
	*account = a->n_touched++;
	return 0;
}

/* What is zero stays unwritten: its page may not be there yet. */
static void clear(_Atomic uint64_t *counter)
{
	if (atomic_load_explicit(counter, memory_order_relaxed) != 0)
		atomic_store_explicit(counter, 0, memory_order_relaxed);
}

/* Nobody counts in it any more. */
static void account_free(struct tp_accounts *a, uint32_t account)
{
	for (uint32_t at = tp_account_at(account, false); at <= tp_account_at(account, true);
			at++) {
		for (uint32_t i = 0; i < a->n_tallies; i++)
			clear(&a->tallies[i].words[at]);
		clear(&a->spilled[at].pkts);
		clear(&a->spilled[at].bytes);
	}
	if (a->meter != NULL)
		tp_meter_reset(a->meter, account);
	a->next_free[account] = a->first_free;
	a->first_free = account;
}

static void closed(void *ctx, void *obj)
{
	struct tp_account_closing *closing = obj;
	struct tp_accounts *a = ctx;
	struct tp_account_sum sum;

	tp_account_sum(a, closing->account, &sum);
	account_free(a, closing->account);
	closing->done(closing, &sum);
}

static void closed_unseen(void *ctx, void *obj)
{
	account_free(ctx, (uint32_t)(uintptr_t)obj);
}

void tp_account_close(struct tp_accounts *a, uint32_t account, struct tp_account_closing *closing)
{
	void (*release)(void *ctx, void *obj) = closed_unseen;
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): a number, where there is no object */
	void *obj = (void *)(uintptr_t)account;

	assert(account != TP_ACCOUNT_NONE && account < a->n_touched);
	if (closing != NULL) {
		closing->account = account;
		release = closed;
		obj = closing;
	}
	if (a->grace != NULL)
		tp_grace_retire(a->grace, release, a, obj);
	else
		release(a, obj);
}
