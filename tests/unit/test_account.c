/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNTS 64
#define NOW 1000000000000ull

static struct tp_accounts *accounts_new(uint32_t max, uint32_t n_tallies, struct tp_grace *grace)
{
	const struct tp_accounts_conf conf = {
		.max_accounts = max,
		.n_tallies = n_tallies,
		.grace = grace,
	};
	struct tp_accounts *a = NULL;

	assert_int_equal(tp_accounts_new(&conf, &a), 0);
	return a;
}

static uint32_t open_one(struct tp_accounts *a)
{
	uint32_t account = TP_ACCOUNT_NONE;

	assert_int_equal(tp_account_open(a, &account), 0);
	assert_int_not_equal(account, TP_ACCOUNT_NONE);
	return account;
}

static void assert_sum(const struct tp_account_sum *sum, uint64_t up_pkts, uint64_t up_bytes,
		uint64_t down_pkts, uint64_t down_bytes)
{
	assert_int_equal(sum->up.pkts, up_pkts);
	assert_int_equal(sum->up.bytes, up_bytes);
	assert_int_equal(sum->down.pkts, down_pkts);
	assert_int_equal(sum->down.bytes, down_bytes);
}

static struct tp_account_sum sum_of(const struct tp_accounts *a, uint32_t account)
{
	struct tp_account_sum sum;

	tp_account_sum(a, account, &sum);
	return sum;
}

/* Somebody who waits for the final sum. */
struct waiting {
	struct tp_account_closing closing; /* first */
	struct tp_account_sum sum;
	uint32_t n_done;
};

static void on_done(struct tp_account_closing *closing, const struct tp_account_sum *sum)
{
	struct waiting *w = (struct waiting *)closing;

	w->sum = *sum;
	w->n_done++;
}

static void close_one(struct tp_accounts *a, uint32_t account, struct waiting *w)
{
	*w = (struct waiting){ .closing = { .done = on_done } };
	tp_account_close(a, account, &w->closing);
}

static void test_bad_numbers_are_refused(void **state)
{
	static const struct tp_accounts_conf bad[] = {
		{ .max_accounts = 0, .n_tallies = 1 },
		{ .max_accounts = (1u << 30) + 1, .n_tallies = 1 },
		{ .max_accounts = 1, .n_tallies = 0 },
		{ .max_accounts = 1, .n_tallies = 1, .limits = { .bps = UINT64_MAX } },
	};
	struct tp_accounts *a = (struct tp_accounts *)state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(tp_accounts_new(&bad[i], &a), -EINVAL);
		assert_ptr_equal(a, state);
	}
}

static void test_directions_and_tallies_add_up(void **state)
{
	struct tp_accounts *a = accounts_new(ACCOUNTS, 3, NULL);
	uint32_t one = open_one(a), two = open_one(a);
	struct tp_account_sum sum;

	(void)state;
	assert_int_not_equal(one, two);
	tp_tally_count(tp_accounts_tally(a, 0), tp_account_at(one, true), 10);
	tp_tally_count(tp_accounts_tally(a, 1), tp_account_at(one, true), 20);
	tp_tally_count(tp_accounts_tally(a, 2), tp_account_at(one, false), 65535);
	tp_tally_count(tp_accounts_tally(a, 2), tp_account_at(two, false), 0);
	sum = sum_of(a, one);
	assert_sum(&sum, 2, 30, 1, 65535);
	sum = sum_of(a, two);
	assert_sum(&sum, 0, 0, 1, 0);
	tp_tally_uncount(tp_accounts_tally(a, 1), tp_account_at(one, true), 20);
	sum = sum_of(a, one);
	assert_sum(&sum, 1, 10, 1, 65535);
	tp_accounts_free(a);
}

/* Words overflow into what is shared, and nothing is lost on the way. */
static void test_words_that_are_full(void **state)
{
	static const struct {
		const char *what;
		uint64_t before; /* in the word */
		uint16_t len;
	} cases[] = {
		{ "packets, small ones", (1ull << 25) - 1, 0 },
		{ "bytes, large ones", 0, 65535 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tp_accounts *a = accounts_new(ACCOUNTS, 1, NULL);
		struct tp_tally *tally = tp_accounts_tally(a, 0);
		uint32_t account = open_one(a), at = tp_account_at(account, true);
		uint64_t pkts = cases[i].before, bytes = 0;
		struct tp_account_sum sum;
		uint32_t spills = 0;

		atomic_store(&tally->words[at], pkts << TP_WORD_BYTE_BITS);
		/* 2^37 bytes are two million packets of the largest */
		for (uint32_t n = 0; n < (1u << 21) + 100; n++) {
			tp_tally_count(tally, at, cases[i].len);
			pkts++;
			bytes += cases[i].len;
			spills += atomic_load(&tally->words[at]) == 0;
		}
		assert_int_equal(spills, 1);
		sum = sum_of(a, account);
		assert_sum(&sum, pkts, bytes, 0, 0);
		tp_accounts_free(a);
	}
}

static void test_uncounting_right_after_a_word_was_full(void **state)
{
	struct tp_accounts *a = accounts_new(ACCOUNTS, 1, NULL);
	struct tp_tally *tally = tp_accounts_tally(a, 0);
	uint32_t account = open_one(a), at = tp_account_at(account, true);
	const uint64_t pkts = (1ull << 25) - 1;
	struct tp_account_sum sum;

	(void)state;
	atomic_store(&tally->words[at], pkts << TP_WORD_BYTE_BITS | 5000);
	tp_tally_count(tally, at, 100);
	assert_int_equal(atomic_load(&tally->words[at]), 0);
	tp_tally_uncount(tally, at, 100);
	sum = sum_of(a, account);
	assert_sum(&sum, pkts, 5000, 0, 0);
	/* the word has a packet, but not its bytes */
	tp_tally_count(tally, at, 1);
	tp_tally_uncount(tally, at, 60);
	sum = sum_of(a, account);
	assert_sum(&sum, pkts, 4941, 0, 0);
	tp_accounts_free(a);
}

static void test_numbers_run_out_and_come_back(void **state)
{
	struct tp_accounts *a = accounts_new(3, 2, NULL);
	uint32_t account[3], again;
	struct waiting w;

	(void)state;
	for (int i = 0; i < 3; i++)
		account[i] = open_one(a);
	again = 4711;
	assert_int_equal(tp_account_open(a, &again), -ENOSPC);
	assert_int_equal(again, 4711);
	tp_tally_count(tp_accounts_tally(a, 1), tp_account_at(account[1], false), 7);
	close_one(a, account[1], &w);
	assert_int_equal(w.n_done, 1); /* there are no workers to wait for */
	assert_sum(&w.sum, 0, 0, 1, 7);
	again = open_one(a);
	assert_int_equal(again, account[1]);
	w.sum = sum_of(a, again);
	assert_sum(&w.sum, 0, 0, 0, 0);
	tp_account_close(a, again, NULL); /* nobody asks */
	assert_int_equal(open_one(a), account[1]);
	tp_accounts_free(a);
}

/* The last burst of a worker that still had a flow of the account. */
static void test_a_sum_is_final_when_workers_are_quiescent(void **state)
{
	struct tp_grace *grace = NULL;
	struct tp_accounts *a;
	uint32_t account, other;
	struct waiting w;

	(void)state;
	assert_int_equal(tp_grace_new(2, &grace), 0);
	a = accounts_new(2, 2, grace);
	for (uint32_t i = 0; i < 2; i++) {
		tp_grace_reader_register(grace, i);
		tp_grace_online(grace, i);
	}
	account = open_one(a);
	tp_tally_count(tp_accounts_tally(a, 0), tp_account_at(account, true), 1);
	close_one(a, account, &w);
	assert_int_not_equal(open_one(a), account);
	assert_int_equal(tp_account_open(a, &other), -ENOSPC); /* it looked for itself */
	tp_grace_quiescent(grace, 0);
	tp_tally_count(tp_accounts_tally(a, 1), tp_account_at(account, true), 2);
	tp_tally_count(tp_accounts_tally(a, 1), tp_account_at(account, false), 4);
	assert_int_equal(tp_grace_reclaim(grace), 1);
	assert_int_equal(w.n_done, 0);
	tp_grace_quiescent(grace, 1);
	assert_int_equal(open_one(a), account);
	assert_int_equal(w.n_done, 1);
	assert_sum(&w.sum, 2, 3, 1, 4);
	w.sum = sum_of(a, account);
	assert_sum(&w.sum, 0, 0, 0, 0);
	for (uint32_t i = 0; i < 2; i++)
		tp_grace_offline(grace, i);
	tp_grace_reclaim(grace);
	tp_accounts_free(a);
	tp_grace_free(grace);
}

static void test_limits_begin_anew_with_an_account(void **state)
{
	const struct tp_accounts_conf conf = {
		.max_accounts = 4, .n_tallies = 2, .limits = { .pps = 10 }
	};
	struct tp_accounts *a = NULL;

	(void)state;
	assert_int_equal(tp_accounts_new(&conf, &a), 0);
	for (int round = 0; round < 3; round++) {
		uint32_t account = open_one(a), at = tp_account_at(account, true), n = 0;

		while (tp_tally_admit(tp_accounts_tally(a, n & 1), at, 100, false, NOW))
			n++;
		assert_int_equal(n, 16);
		tp_account_close(a, account, NULL);
	}
	tp_accounts_free(a);
}

static void test_without_limits_all_is_admitted(void **state)
{
	struct tp_accounts *a = accounts_new(4, 1, NULL);
	uint32_t at = tp_account_at(open_one(a), true);

	(void)state;
	for (int i = 0; i < 100000; i++)
		assert_true(tp_tally_admit(tp_accounts_tally(a, 0), at, 65535, true, NOW));
	tp_accounts_free(a);
}

/* ---- workers, and a control thread that opens, closes and asks ---- */

#define WORKERS 3
#define ROUNDS 20000
#define BURST 16

/*
 * As a flow table would have it: a slot is an account that workers may count in, until they are
 * quiescent after it was taken away.  Each worker keeps a model of its own of what it counted, by
 * life of an account and not by number.
 */
static struct {
	struct tp_grace *grace;
	struct tp_accounts *accounts;
	_Atomic uint64_t slot[ACCOUNTS]; /* life << 32 | account; 0: none */
	_Atomic uint64_t n_bursts;
	_Atomic bool is_over;
} race;

struct model {
	uint64_t pkts, bytes;
};

static struct model *models[WORKERS]; /* by life and direction */

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void count_one(struct tp_tally *tally, struct model *model, uint32_t random)
{
	uint64_t slot = atomic_load_explicit(&race.slot[random % ACCOUNTS], memory_order_acquire);
	uint32_t account = (uint32_t)slot;
	bool is_up = (random >> 8 & 1) != 0;
	uint16_t len = (uint16_t)(random >> 9);
	struct model *m = &model[(slot >> 32) * 2 + is_up];

	if (account == TP_ACCOUNT_NONE)
		return;
	tp_tally_count(tally, tp_account_at(account, is_up), len);
	m->pkts++;
	m->bytes += len;
	if ((random & 0x70000) != 0)
		return;
	tp_tally_uncount(tally, tp_account_at(account, is_up), len);
	m->pkts--;
	m->bytes -= len;
}

static void *worker(void *arg)
{
	uint32_t id = (uint32_t)(uintptr_t)arg, seed = id + 1;
	struct tp_tally *tally = tp_accounts_tally(race.accounts, id);

	tp_grace_reader_register(race.grace, id);
	tp_grace_online(race.grace, id);
	while (!atomic_load(&race.is_over)) {
		for (int i = 0; i < BURST; i++)
			count_one(tally, models[id], next_random(&seed));
		tp_grace_quiescent(race.grace, id);
		atomic_fetch_add(&race.n_bursts, 1);
	}
	tp_grace_offline(race.grace, id);
	tp_grace_reader_unregister(race.grace, id);
	return NULL;
}

static struct waiting ended[ROUNDS + ACCOUNTS + 1]; /* by life */

static void end_slot(uint32_t i)
{
	uint64_t slot = atomic_load(&race.slot[i]);

	if (slot == 0)
		return;
	atomic_store(&race.slot[i], 0);
	close_one(race.accounts, (uint32_t)slot, &ended[slot >> 32]);
}

/* Counters of a living account never go back, whatever is uncounted but for the last burst. */
static void look(uint32_t i)
{
	uint64_t slot = atomic_load(&race.slot[i]);
	struct tp_account_sum sum;

	if (slot == 0)
		return;
	sum = sum_of(race.accounts, (uint32_t)slot);
	assert_true(sum.up.bytes <= sum.up.pkts * 65535);
	assert_true(sum.down.bytes <= sum.down.pkts * 65535);
}

static void test_workers_count_while_accounts_come_and_go(void **state)
{
	const size_t lives = ROUNDS + ACCOUNTS + 1;
	uint32_t seed = 4711, account;
	pthread_t threads[WORKERS];
	uint64_t life = 0, total = 0;

	(void)state;
	assert_int_equal(tp_grace_new(WORKERS, &race.grace), 0);
	race.accounts = accounts_new(2 * ACCOUNTS, WORKERS, race.grace);
	for (uintptr_t i = 0; i < WORKERS; i++) {
		models[i] = calloc(2 * lives, sizeof(*models[i]));
		assert_non_null(models[i]);
		assert_int_equal(pthread_create(&threads[i], NULL, worker, (void *)i), 0);
	}
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint32_t i = next_random(&seed) % ACCOUNTS;

		while (atomic_load(&race.n_bursts) < round / 2)
			sched_yield();
		end_slot(i);
		look(next_random(&seed) % ACCOUNTS);
		while (tp_account_open(race.accounts, &account) != 0)
			sched_yield();
		atomic_store_explicit(&race.slot[i], ++life << 32 | account, memory_order_release);
	}
	for (uint32_t i = 0; i < ACCOUNTS; i++)
		end_slot(i);
	atomic_store(&race.is_over, true);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(tp_grace_reclaim(race.grace), 0);
	for (uint64_t l = 1; l <= life; l++) {
		struct model sum[2] = { { 0, 0 }, { 0, 0 } };

		for (int i = 0; i < WORKERS; i++)
			for (int way = 0; way < 2; way++) {
				sum[way].pkts += models[i][l * 2 + way].pkts;
				sum[way].bytes += models[i][l * 2 + way].bytes;
			}
		assert_int_equal(ended[l].n_done, 1);
		assert_sum(&ended[l].sum, sum[1].pkts, sum[1].bytes, sum[0].pkts, sum[0].bytes);
		total += sum[0].pkts + sum[1].pkts;
	}
	assert_true(total > ROUNDS);
	for (int i = 0; i < WORKERS; i++)
		free(models[i]);
	tp_accounts_free(race.accounts);
	tp_grace_free(race.grace);
}

/* One that is asked while words of it are full now and then: nothing twice, nothing missing. */
static void *counter(void *arg)
{
	struct tp_tally *tally = arg;

	while (!atomic_load(&race.is_over))
		tp_tally_count(tally, tp_account_at(1, true), 65535);
	return NULL;
}

static void test_asking_while_words_are_full(void **state)
{
	struct tp_account_sum sum, last = { 0 };
	pthread_t threads[2];

	(void)state;
	atomic_store(&race.is_over, false);
	race.accounts = accounts_new(2, 2, NULL);
	assert_int_equal(open_one(race.accounts), 1);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, counter,
						 tp_accounts_tally(race.accounts, i)),
				0);
	do { /* some four spills of each */
		sum = sum_of(race.accounts, 1);
		assert_true(sum.up.pkts >= last.up.pkts);
		assert_true(sum.up.bytes == sum.up.pkts * 65535);
		last = sum;
	} while (sum.up.bytes < 8ull << 37);
	atomic_store(&race.is_over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	tp_accounts_free(race.accounts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_numbers_are_refused),
		cmocka_unit_test(test_directions_and_tallies_add_up),
		cmocka_unit_test(test_words_that_are_full),
		cmocka_unit_test(test_uncounting_right_after_a_word_was_full),
		cmocka_unit_test(test_numbers_run_out_and_come_back),
		cmocka_unit_test(test_a_sum_is_final_when_workers_are_quiescent),
		cmocka_unit_test(test_limits_begin_anew_with_an_account),
		cmocka_unit_test(test_without_limits_all_is_admitted),
		cmocka_unit_test(test_workers_count_while_accounts_come_and_go),
		cmocka_unit_test(test_asking_while_words_are_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
