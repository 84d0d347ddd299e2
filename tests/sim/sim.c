/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim - millions of steps against lib/turn, judged by a model of RFC 8656.
 *
 *   turn_sim [--seed N] [--seeds N] [--steps N] [--clients N] [--check N] [--twice]
 *            [--verbose]
 *
 * A seed decides everything: configuration, clients, losses, time.  After a failure it prints the
 * seed and the last calls into the server; run again with that seed, it fails in the same step.
 */
#include "town.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
	uint64_t seed, seeds, steps;
	unsigned clients;
	uint32_t check_every;
	bool is_twice, is_verbose;
};

static struct options opt = {
	.seed = 1, .seeds = 1, .steps = 1000000, .clients = 24, .check_every = 4
};
static struct town town;
static uint64_t seed, step; /* of the run */

static void print_failure(void)
{
	world_print(&town.world);
	fprintf(stderr,
			"turn_sim: step %" PRIu64 " of seed %" PRIu64
			" failed; again: turn_sim --seed "
			"%" PRIu64 " --clients %u --check %u --steps %" PRIu64 "\n",
			step, seed, seed, opt.clients, opt.check_every, step + 1);
}

void sim_fail(const char *format, ...)
{
	va_list args;

	signal(SIGABRT, SIG_DFL);
	print_failure();
	fprintf(stderr, "turn_sim: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

/* An assertion of the server's own, or worse. */
static void on_crash(int sig)
{
	signal(sig, SIG_DFL);
	print_failure();
	raise(sig);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void print_counts(const struct world *w)
{
	for (unsigned code = 0; code < 1000; code++)
		if (w->n_code[code] > 0)
			printf(" %u: %" PRIu64, code, w->n_code[code]);
	for (unsigned v = 0; v < TP_SLOW_VERDICT_COUNT; v++)
		printf("%s %s: %" PRIu64, v == 0 ? "\n" : "",
				tp_slow_verdict_name((enum tp_slow_verdict)v), w->n_verdict[v]);
	printf("\n");
}

/* A run that never got anywhere proves nothing. */
static void insist_on_variety(const struct world *w)
{
	static const uint16_t codes[] = { 0, 300, 400, 401, 403, 405, 420, 437, 438, 441, 442, 443,
		486, 508 };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (w->n_code[codes[i]] == 0)
			sim_fail("never answered %u", codes[i]);
	for (int v = 0; v < TP_SLOW_VERDICT_COUNT; v++)
		if (w->n_verdict[v] == 0 && v != TP_SLOW_DROP_BAD_FRAME && v != TP_SLOW_DROP_ICMP)
			sim_fail("never %s", tp_slow_verdict_name((enum tp_slow_verdict)v));
}

static uint64_t run(void)
{
	double begin = seconds();
	uint64_t hash;

	town.choose = (struct choose){ .state = seed };
	town_init(&town, opt.clients);
	town.world.check_every = opt.check_every;
	for (step = 0; step < opt.steps; step++)
		town_step(&town);
	town_drain(&town);
	town_fini(&town);
	hash = town.world.hash;
	printf("seed %" PRIu64 ": %" PRIu64 " steps, %" PRIu64 " calls, %.0f calls/s, "
	       "hash %016" PRIx64 "; %" PRIu64 " relayed, %" PRIu64 " answered, %u allocations, "
	       "%" PRIu64 " deadlines probed, %" PRIu64 " failed allocations of memory, "
	       "%" PRIu64 " restarts, %" PRIu64 " moves, %" PRIu64 " of allocations\n",
			seed, step, town.world.step, (double)town.world.step / (seconds() - begin),
			hash, town.world.n_verdict[TP_SLOW_RELAYED],
			town.world.n_verdict[TP_SLOW_ANSWERED], town.world.n_allocated,
			town.n_probes, town.world.n_faults, town.n_restarts, town.n_moves,
			town.world.n_arrivals);
	if (opt.is_verbose)
		print_counts(&town.world);
	fflush(stdout);
	if (opt.steps >= 500000)
		insist_on_variety(&town.world);
	return hash;
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'n' },
		{ "steps", required_argument, NULL, 'k' },
		{ "clients", required_argument, NULL, 'c' },
		{ "check", required_argument, NULL, 'e' },
		{ "twice", no_argument, NULL, 't' },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t n = optarg != NULL ? strtoull(optarg, NULL, 0) : 1;

		switch (o) {
		case 's':
			opt.seed = n;
			break;
		case 'n':
			opt.seeds = n;
			break;
		case 'k':
			opt.steps = n;
			break;
		case 'c':
			opt.clients = (unsigned)n;
			break;
		case 'e':
			opt.check_every = (uint32_t)n;
			break;
		case 't':
			opt.is_twice = true;
			break;
		case 'v':
			opt.is_verbose = true;
			break;
		default:
			exit(2);
		}
	}
	if (opt.clients < 1 || opt.clients > TOWN_CLIENTS || opt.check_every < 1) {
		fprintf(stderr, "turn_sim: 1 to %d clients, and a check every 1 or more\n",
				TOWN_CLIENTS);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	read_options(argc, argv);
	signal(SIGABRT, on_crash);
	signal(SIGSEGV, on_crash);
	for (seed = opt.seed; seed < opt.seed + opt.seeds; seed++) {
		uint64_t hash = run();

		if (opt.is_twice && run() != hash)
			sim_fail("the same seed, and another run");
	}
	return 0;
}
