/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/meter.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#define MS TP_NS_PER_MS
#define SEC TP_NS_PER_SEC
#define BOOT (1000 * SEC) /* the clock is of some machine that runs */
#define THREADS 4
#define AT 2 /* down of account 1 */

static struct tp_meter *meter_new(uint64_t bps, uint32_t pps)
{
	const struct tp_meter_conf conf = { .bps = bps, .pps = pps };
	struct tp_meter *meter = NULL;

	assert_int_equal(tp_meter_new(&conf, 8, THREADS, &meter), 0);
	return meter;
}

static void test_more_than_a_terabit_is_refused(void **state)
{
	const struct tp_meter_conf conf = { .bps = TP_METER_BPS_MAX + 1 };
	struct tp_meter *meter = (struct tp_meter *)state;

	assert_int_equal(tp_meter_new(&conf, 8, 1, &meter), -EINVAL);
	assert_ptr_equal(meter, state);
}

static void test_bytes_are_of_the_ip_packet_at_the_peer(void **state)
{
	(void)state;
	assert_int_equal(tp_meter_bytes(0, false), 28);
	assert_int_equal(tp_meter_bytes(1000, true), 1048);
	assert_int_equal(tp_meter_bytes(65535, true), 65583);
}

/* Take until refused.  @return how many */
static uint32_t drain(struct tp_metered *m, uint32_t at, uint32_t bytes, uint64_t now_ns)
{
	uint32_t n = 0;

	while (tp_metered_take(m, at, bytes, now_ns))
		assert_true(++n < 100000000);
	return n;
}

/* By a stepped clock: the burst at once, then the rate, to the packet. */
static void test_a_limit_is_the_burst_and_then_the_rate(void **state)
{
	static const struct {
		const char *what;
		uint64_t bps;
		uint32_t pps, bytes, burst, per_sec;
	} cases[] = {
		{ "packets, a burst of a quarter of a second", 0, 1000, 100, 250, 1000 },
		{ "packets, the smallest burst", 0, 1, 100, 16, 1 },
		{ "packets, many", 0, 1000000, 28, 250000, 1000000 },
		{ "bits, a burst of a quarter of a second", 8000000, 0, 1000, 250, 1000 },
		{ "bits, the smallest burst", 8000, 0, 1024, 128, 1 },
		{ "bits, the largest packet", 8 * 65583, 0, 65583, 1, 1 },
		{ "both, and packets are the less", 80000000, 100, 1000, 25, 100 },
		{ "both, and bits are the less", 8000000, 100000, 1000, 250, 1000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tp_meter *meter = meter_new(cases[i].bps, cases[i].pps);
		struct tp_metered *m = tp_meter_thread(meter, 0);
		uint64_t now_ns = BOOT, n = drain(m, AT, cases[i].bytes, now_ns);

		if (n != cases[i].burst)
			fail_msg("%s: burst of %u", cases[i].what, (unsigned)n);
		/* ten seconds in steps that divide nothing */
		for (n = 0; now_ns < BOOT + 10 * SEC; n += drain(m, AT, cases[i].bytes, now_ns)) {
			now_ns += 3333337;
			if (now_ns > BOOT + 10 * SEC)
				now_ns = BOOT + 10 * SEC;
		}
		/* 1,024 bytes at a thousand a second: 9.8 packets */
		if (n > 10 * cases[i].per_sec || n + 1 < 10ull * cases[i].per_sec)
			fail_msg("%s: %u in ten seconds", cases[i].what, (unsigned)n);
		/* a long silence gives one burst and no more */
		assert_int_equal(drain(m, AT, cases[i].bytes, now_ns + 3600 * SEC), cases[i].burst);
		tp_meter_free(meter);
	}
}

static void test_without_a_limit_there_is_none(void **state)
{
	struct tp_meter *meter = meter_new(0, 10);
	struct tp_metered *m = tp_meter_thread(meter, 0);
	uint64_t bytes = 0, now_ns = BOOT;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++, now_ns += SEC / 10) {
		assert_true(tp_metered_take(m, AT, 65583, now_ns));
		bytes += 65583;
	}
	assert_true(bytes > 1ull << 32);
	tp_meter_free(meter);
}

static void test_accounts_and_directions_are_apart(void **state)
{
	struct tp_meter *meter = meter_new(0, 10);
	struct tp_metered *m = tp_meter_thread(meter, 0);

	(void)state;
	assert_int_equal(drain(m, 2, 100, BOOT), 16);
	assert_int_equal(drain(m, 3, 100, BOOT), 16);
	assert_int_equal(drain(m, 4, 100, BOOT), 16);
	tp_meter_free(meter);
}

static void test_one_budget_for_all_threads(void **state)
{
	struct tp_meter *meter = meter_new(0, 100000);
	uint64_t now_ns = BOOT;
	uint32_t n = 0;

	(void)state;
	/* in turns, so that each has something on lease all the time */
	for (uint32_t i = 0; now_ns < BOOT + SEC; i++) {
		n += tp_metered_take(tp_meter_thread(meter, i % THREADS), AT, 100, now_ns);
		if (i % 16 == 0)
			now_ns += 10000; /* 1.6 million ask in a second */
	}
	for (uint32_t i = 0; i < THREADS; i++)
		n += drain(tp_meter_thread(meter, i), AT, 100, now_ns);
	assert_in_range(n, 125000 - 1, 125000 + 1);
	tp_meter_free(meter);
}

/* What is on lease with a thread that has no traffic is all that a limit is off by. */
static void test_what_is_on_lease_is_bounded(void **state)
{
	struct tp_meter *meter = meter_new(0, 100000); /* leases of 100 */
	uint32_t n;

	(void)state;
	for (uint32_t i = 0; i < THREADS; i++)
		assert_true(tp_metered_take(tp_meter_thread(meter, i), AT, 100, BOOT));
	n = drain(tp_meter_thread(meter, 0), AT, 100, BOOT);
	assert_int_equal(n, 25000 - 100 * (THREADS - 1) - 1);
	tp_meter_free(meter);
}

/* Threads' clocks are of different coarseness: the one behind gets no more for it. */
static void test_a_clock_that_is_behind(void **state)
{
	struct tp_meter *meter = meter_new(0, 1000);

	(void)state;
	assert_int_equal(drain(tp_meter_thread(meter, 0), AT, 100, BOOT), 250);
	assert_int_equal(drain(tp_meter_thread(meter, 1), AT, 100, BOOT - 4 * MS), 0);
	assert_int_equal(drain(tp_meter_thread(meter, 1), AT, 100, BOOT + 4 * MS), 4);
	assert_int_equal(drain(tp_meter_thread(meter, 0), AT, 100, BOOT), 0);
	tp_meter_free(meter);
}

static void test_reset_is_as_new(void **state)
{
	struct tp_meter *meter = meter_new(1000000, 1000);

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(drain(tp_meter_thread(meter, 0), AT, 100, BOOT), 250);
		assert_int_equal(drain(tp_meter_thread(meter, 1), AT, 100, BOOT), 0);
		tp_meter_reset(meter, AT / 2);
	}
	/* nothing stays on lease */
	assert_true(tp_metered_take(tp_meter_thread(meter, 1), AT, 100, BOOT));
	tp_meter_reset(meter, AT / 2);
	assert_int_equal(drain(tp_meter_thread(meter, 0), AT, 100, BOOT), 250);
	tp_meter_free(meter);
}

static struct {
	struct tp_meter *meter;
	_Atomic uint64_t now_ns;
	_Atomic uint64_t taken;
} race;

static void *take_all(void *arg)
{
	struct tp_metered *m = arg;
	uint64_t now_ns, n = 0;

	while ((now_ns = atomic_load(&race.now_ns)) < BOOT + SEC)
		n += tp_metered_take(m, AT, 100, now_ns);
	atomic_fetch_add(&race.taken, n);
	return NULL;
}

static void test_threads_at_once(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	race.meter = meter_new(0, 200000);
	atomic_store(&race.now_ns, BOOT);
	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_all,
						 tp_meter_thread(race.meter, i)),
				0);
	for (uint32_t i = 0; i < 1000; i++) {
		const struct timespec pause = { 0, 20000 };

		nanosleep(&pause, NULL);
		atomic_fetch_add(&race.now_ns, MS - 1);
	}
	atomic_store(&race.now_ns, BOOT + SEC);
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	/* never more; and where threads ran at all, all of the burst at least */
	assert_in_range(atomic_load(&race.taken), 50000 - THREADS * 200, 250000);
	tp_meter_free(race.meter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_more_than_a_terabit_is_refused),
		cmocka_unit_test(test_bytes_are_of_the_ip_packet_at_the_peer),
		cmocka_unit_test(test_a_limit_is_the_burst_and_then_the_rate),
		cmocka_unit_test(test_without_a_limit_there_is_none),
		cmocka_unit_test(test_accounts_and_directions_are_apart),
		cmocka_unit_test(test_one_budget_for_all_threads),
		cmocka_unit_test(test_what_is_on_lease_is_bounded),
		cmocka_unit_test(test_a_clock_that_is_behind),
		cmocka_unit_test(test_reset_is_as_new),
		cmocka_unit_test(test_threads_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
