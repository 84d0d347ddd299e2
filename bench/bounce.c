/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bounce - how long one cache line takes from one core to another.
 *
 * Two pinned threads hand a counter back and forth through one cache line.  A round is some
 * thousands of hand-overs; what is printed is the median round, as nanoseconds for each one-way
 * transfer.  Shared machines swing by a factor of three in this figure, for seconds to minutes,
 * and every result of two cores that share a ring or a table swings with it: so it is measured
 * beside them.
 *
 * It does not measure: cores other than the two, bandwidth, or lines that several cores read.
 * A round in which either thread was taken off its core is long; the median leaves it out.
 */
#include "bench/options.h"

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_SEC 1000000000ull
#define HOPS 2000 /* in a round: 0.05 to 0.35 ms, so some hundred rounds in 0.1 s */
#define MAX_ROUNDS 65536
#define MAX_SECONDS 10 /* at 25 ns a transfer: 2e5 rounds, of which MAX_ROUNDS are kept */

/* The shared line: even is ping's turn, odd is pong's.  Release on store pairs with acquire on
 * load, as in a ring; there is nothing else to order. */
static struct {
	alignas(64) atomic_uint_fast64_t turn;
	alignas(64) atomic_bool stop;
} line;

static double round_ns[MAX_ROUNDS];

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static int pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *pong(void *arg)
{
	int err = pin(*(const int *)arg);
	uint64_t turn;

	if (err != 0) {
		fprintf(stderr, "bounce: can not run on CPU %d: %s\n", *(const int *)arg,
				strerror(err));
		exit(1);
	}
	while (!atomic_load_explicit(&line.stop, memory_order_relaxed)) {
		turn = atomic_load_explicit(&line.turn, memory_order_acquire);
		if (turn & 1)
			atomic_store_explicit(&line.turn, turn + 1, memory_order_release);
	}
	return NULL;
}

/* One round of HOPS one-way transfers, half of them in each direction. */
static double one_round(void)
{
	uint64_t turn = atomic_load_explicit(&line.turn, memory_order_relaxed);
	const uint64_t last = turn + HOPS;
	const uint64_t begin = clock_ns();

	for (; turn < last; turn += 2) {
		atomic_store_explicit(&line.turn, turn + 1, memory_order_release);
		while (atomic_load_explicit(&line.turn, memory_order_acquire) != turn + 2)
			;
	}
	return (double)(clock_ns() - begin) / HOPS;
}

static int ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static uint32_t play(double seconds)
{
	const uint64_t end = clock_ns() + (uint64_t)(seconds * (double)NS_PER_SEC);
	uint32_t n = 0;

	one_round(); /* the other thread's start */
	while (n < MAX_ROUNDS && (n == 0 || clock_ns() < end))
		round_ns[n++] = one_round();
	return n;
}

/* The first and the last CPU that this process may use: the farthest apart. */
static int default_cpus(int cpu[2])
{
	cpu_set_t set;
	int i, n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return -errno;
	for (i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &set))
			cpu[n++ == 0 ? 0 : 1] = i;
	}
	return n < 2 ? -ENODEV : 0;
}

static void read_options(int argc, char *argv[], double *seconds, int cpu[2])
{
	struct tp_numbers cpus = { 0 };
	const struct tp_option table[] = {
		{ "cpus", TP_OPTION_NUMBERS, &cpus, 0, CPU_SETSIZE - 1,
				"which two [the first and the last that may be used]",
				.value = "A,B" },
		{ "seconds", TP_OPTION_SECONDS, seconds, 0, MAX_SECONDS, "how long" },
		{ NULL },
	};

	tp_options_parse(argc, argv,
			"usage: bounce [OPTION...]\n\n"
			"Measures one-way transfers of a cache line between two cores, and prints one\n"
			"JSON line.",
			table);
	if (cpus.n == 0)
		return;
	if (cpus.n != 2 || cpus.v[0] == cpus.v[1])
		errx(2, "--cpus: must be two different CPUs");
	cpu[0] = (int)cpus.v[0];
	cpu[1] = (int)cpus.v[1];
}

int main(int argc, char *argv[])
{
	double seconds = 0.1;
	pthread_t thread;
	int cpu[2] = { -1, -1 }, err;
	uint32_t n;

	read_options(argc, argv, &seconds, cpu);
	if (cpu[0] < 0 && default_cpus(cpu) != 0)
		errx(1, "this takes two cores, and this process may use one only");
	err = pin(cpu[0]);
	if (err != 0) {
		fprintf(stderr, "bounce: can not run on CPU %d: %s\n", cpu[0], strerror(err));
		return 1;
	}
	err = pthread_create(&thread, NULL, pong, &cpu[1]);
	if (err != 0) {
		fprintf(stderr, "bounce: no second thread: %s\n", strerror(err));
		return 1;
	}
	n = play(seconds);
	atomic_store(&line.stop, true);
	pthread_join(thread, NULL);

	qsort(round_ns, n, sizeof(round_ns[0]), ascending);
	printf("{\"name\":\"bounce\",\"params\":{\"cpus\":[%d,%d]},\"unit\":\"ns/transfer\","
	       "\"value\":%.1f,\"extra\":{\"rounds\":%u,\"min\":%.1f,\"max\":%.1f}}\n",
			cpu[0], cpu[1], round_ns[n / 2], n, round_ns[0], round_ns[n - 1]);
	return 0;
}
