/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline - what a worker spends on a packet between two ports: tp_pipe_burst() on frames in
 * memory, no kernel, no NIC.
 *
 * Measured: nanoseconds and TSC cycles per packet, from the first burst over a ring of frames to
 * the last, divided by the packets, the median of many rings; the flows' table as large as the row
 * says and visited in random order; all rows in each of the repetitions.  How frames come into the
 * ring is in rig.h: that is not timed, and leaves them in the caches of the core that runs the
 * pipeline as far as they fit. Floors (floors.h) are parts of the work alone, on the same ring.
 *
 * Before it is measured each row runs untimed, and each frame that comes out is looked at: headers,
 * data, UDP checksum.  A packet that is not forwarded ends the run.
 *
 * Not measured: what a driver costs, cold caches for frames (DMA without DDIO), frames that are
 * punted or dropped.
 */
#include "base/clock.h"
#include "floors.h"
#include "plan.h"
#include "rig.h"
#include "sample.h"
#include "threads.h"
#include "tsc.h"
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 512 /* and room for the bursts of the slowest path */
#define ORDERS_MAX TP_NUMBERS_MAX
#define SLICES 4 /* of each number of threads in a repetition */

enum kind {
	PATH,
	TOUCH,
	MEMCPY,
	LOOKUP,
	THREADS
};

struct row {
	enum kind kind;
	enum tp_path path;
	uint32_t flows, burst;
	bool is_verified;
};

struct bench {
	struct plan plan;
	struct world *world;
	struct order orders[ORDERS_MAX];
	uint32_t n_orders;
	struct rig *rig;
	struct rig *rigs[THREADS_MAX]; /* of threads */
	uint32_t cpus[THREADS_MAX];
	uint32_t n_cpus;
	struct row rows[ROWS_MAX];
	uint32_t n_rows;
	bool has_too_many; /* rows: some are not there */
	struct sample sample;
};

static const struct tp_numbers issue_flows = { 4, { 1, 1024, 65536, 1048576 } };
static const struct tp_numbers side_flows = { 2, { 1024, 65536 } }; /* no more than these */
static const struct tp_numbers issue_bursts = { 7, { 1, 2, 4, 8, 16, 32, 64 } };

/* ---- which rows ---- */

static bool has_row(const struct bench *b, const struct row *row)
{
	for (uint32_t i = 0; i < b->n_rows; i++) {
		const struct row *r = &b->rows[i];

		if (r->kind == row->kind && r->path == row->path && r->flows == row->flows &&
				r->burst == row->burst)
			return true;
	}
	return false;
}

static void add_row(
		struct bench *b, enum kind kind, enum tp_path path, uint32_t flows, uint32_t burst)
{
	struct row row = { .kind = kind, .path = path, .flows = flows, .burst = burst };

	if (has_row(b, &row))
		return;
	if (b->n_rows == ROWS_MAX)
		b->has_too_many = true;
	else
		b->rows[b->n_rows++] = row;
}

static void add_floors(struct bench *b)
{
	const struct tp_numbers *flows = b->plan.flows.n ? &b->plan.flows : &issue_flows;

	add_row(b, TOUCH, TP_PATH_UP_44, 1, TP_BURST);
	add_row(b, MEMCPY, TP_PATH_UP_44, 1, TP_BURST);
	for (uint32_t i = 0; i < flows->n; i++) {
		add_row(b, LOOKUP, TP_PATH_UP_44, flows->v[i], 32);
		add_row(b, LOOKUP, TP_PATH_UP_66, flows->v[i], 32);
	}
}

static void add_path(struct bench *b, enum tp_path path)
{
	const struct tp_numbers *flows = b->plan.flows.n ? &b->plan.flows
			: path < TRAFFIC_PLAIN           ? &issue_flows
							 : &side_flows;

	for (uint32_t i = 0; i < flows->n; i++) {
		if (b->plan.bursts.n == 0)
			add_row(b, PATH, path, flows->v[i], 32);
		for (uint32_t k = 0; k < b->plan.bursts.n; k++)
			add_row(b, PATH, path, flows->v[i], b->plan.bursts.v[k]);
	}
}

static void add_bursts(struct bench *b, enum tp_path path)
{
	const struct tp_numbers *bursts = b->plan.bursts.n ? &b->plan.bursts : &issue_bursts;

	for (uint32_t i = 0; i < bursts->n; i++)
		add_row(b, PATH, path, 1024, bursts->v[i]);
}

/* One path is enough: what threads share is the table.  Churn knows channels only. */
static void add_threads(struct bench *b)
{
	const struct tp_numbers *flows = b->plan.flows.n ? &b->plan.flows : &side_flows;
	enum tp_path path = b->plan.paths.n ? b->plan.paths.v[0] : TP_PATH_UP_44;

	if (path >= TRAFFIC_PLAIN)
		return;
	for (uint32_t i = 0; i < flows->n; i++)
		add_row(b, THREADS, path, flows->v[i], 32);
}

static void add_rows(struct bench *b)
{
	const struct plan *plan = &b->plan;
	uint32_t i, n = plan->paths.n ? plan->paths.n : TRAFFIC_PATHS;

	if (plan->parts & PLAN_FLOORS)
		add_floors(b);
	for (i = 0; i < n && (plan->parts & PLAN_PATHS); i++)
		add_path(b, plan->paths.n ? plan->paths.v[i] : i);
	for (i = 0; i < plan->paths.n && (plan->parts & PLAN_BURSTS); i++)
		add_bursts(b, plan->paths.v[i]);
	if (plan->parts & PLAN_THREADS)
		add_threads(b);
}

/* ---- what they want ---- */

static struct world_want want_of(const struct row *row)
{
	return (struct world_want){
		.path = row->path,
		.n_flows = row->flows,
		.n_more = row->kind == THREADS ? THREADS_MORE_FLOWS : 0,
	};
}

/* The slowest of the eight is not known yet: where all bursts are wanted, any may be it. */
static bool wants_slowest(const struct plan *plan)
{
	return (plan->parts & PLAN_BURSTS) && plan->paths.n == 0;
}

static int make_world(struct bench *b)
{
	struct world_want wants[ROWS_MAX + TRAFFIC_PLAIN];
	uint32_t n = 0, i;

	for (i = 0; i < b->n_rows; i++)
		wants[n++] = want_of(&b->rows[i]);
	for (i = 0; i < TRAFFIC_PLAIN && wants_slowest(&b->plan); i++)
		wants[n++] = (struct world_want){ .path = i, .n_flows = 1024 };
	return world_new(wants, n, &b->world);
}

static const struct order *order_of(struct bench *b, uint32_t n_flows)
{
	for (uint32_t i = 0; i < b->n_orders; i++)
		if (b->orders[i].n_flows == n_flows)
			return &b->orders[i];
	if (b->n_orders == ORDERS_MAX || order_new(n_flows, &b->orders[b->n_orders]) < 0) {
		fprintf(stderr, "pipeline: no memory for the order of %u flows\n", n_flows);
		return NULL;
	}
	return &b->orders[b->n_orders++];
}

/* ---- measuring ---- */

/* @return frames forwarded */
static uint32_t run_ring(struct rig *rig, uint32_t burst, uint64_t now_ns)
{
	uint32_t i, n, n_forward = 0;

	for (i = 0; i < rig->n_frames; i += n) {
		n = rig->n_frames - i < burst ? rig->n_frames - i : burst;
		tp_pipe_burst(&rig->pipe, rig->frames + i, n, now_ns, &rig->out);
		n_forward += rig->out.n_forward;
	}
	return n_forward;
}

static int measure_path(struct bench *b, const struct row *row, const struct order *order,
		uint32_t n_batches)
{
	uint64_t now_ns = tp_clock_now_ns(), begin, span;
	uint32_t n_forward;

	while (n_batches-- > 0) {
		rig_fill(b->rig, row->path, order);
		begin = tsc_now();
		n_forward = run_ring(b->rig, row->burst, now_ns);
		span = tsc_now() - begin;
		sample_add(&b->sample, b->rig->n_frames, tsc_ns(span) / b->rig->n_frames);
		if (n_forward != b->rig->n_frames) {
			fprintf(stderr, "%s: %u of %u frames forwarded\n", tp_path_name(row->path),
					n_forward, b->rig->n_frames);
			return -EBADMSG;
		}
	}
	return 0;
}

static int verify(struct bench *b, struct row *row, const struct order *order)
{
	uint32_t n = order->n < b->plan.verify_pkts ? order->n : b->plan.verify_pkts;
	int rc = 0;

	if (!row->is_verified)
		rc = rig_verify(b->rig, row->path, order, row->burst, n);
	row->is_verified = rc == 0;
	return rc;
}

static int measure(struct bench *b, struct row *row)
{
	const struct order *order = order_of(b, row->flows);
	uint32_t n = b->plan.pkts / b->rig->n_frames;
	const struct world_want want = want_of(row);
	struct world_table table;
	int rc;

	if (order == NULL)
		return -ENOMEM;
	rc = world_open(b->world, &want, &table);
	if (rc < 0)
		return rc;
	n = n > SAMPLE_BATCHES_MAX ? SAMPLE_BATCHES_MAX : n > 0 ? n : 1;
	rig_open_pipe(b->rig, table.flows, tp_accounts_tally(table.accounts, 0));
	rc = verify(b, row, order);
	if (rc < 0)
		return rc;
	sample_begin(&b->sample);
	switch (row->kind) {
	case TOUCH:
		floor_touch(b->rig, order, n, &b->sample);
		return 0;
	case MEMCPY:
		floor_memcpy(b->rig, order, n, &b->sample);
		return 0;
	case LOOKUP:
		return floor_lookup(b->rig, row->path, order, row->burst, n, &b->sample);
	default:
		return measure_path(b, row, order, n);
	}
}

static void print(struct bench *b, const struct row *row)
{
	char name[64], params[128];

	switch (row->kind) {
	case TOUCH:
		sample_print(&b->sample, "floor.touch", "");
		return;
	case MEMCPY:
		sample_print(&b->sample, "floor.memcpy", "");
		return;
	case LOOKUP:
		snprintf(params, sizeof(params), "\"family\":%d,\"flows\":%u,\"burst\":%u",
				traffic_in6(row->path) ? 6 : 4, row->flows, row->burst);
		sample_print(&b->sample, "floor.lookup", params);
		return;
	default:
		snprintf(name, sizeof(name), "pipeline.%s", tp_path_name(row->path));
		snprintf(params, sizeof(params), "\"flows\":%u,\"burst\":%u", row->flows,
				row->burst);
		sample_print(&b->sample, name, params);
	}
}

/* ---- threads ---- */

static int make_rigs(struct bench *b)
{
	cpu_set_t allowed;
	int rc = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return -errno;
	for (uint32_t cpu = 0; cpu < CPU_SETSIZE && b->n_cpus < THREADS_MAX && rc == 0; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		rc = rig_new(b->plan.ring, b->plan.payload, &b->rigs[b->n_cpus]);
		b->cpus[b->n_cpus++] = cpu;
	}
	return rc;
}

static void print_threads(const struct row *row, uint32_t n, const struct threads_result *r)
{
	printf("{\"name\":\"pipeline.threads\",\"params\":{\"path\":\"%s\",\"flows\":%u,\"burst\":%u,"
	       "\"threads\":%u},\"unit\":\"Mpps\",\"value\":%.4f,\"extra\":{\"cpu_ns_per_packet\":%.2f,"
	       "\"cpu_percent\":%.1f,\"writer_cpu_percent\":%.2f,\"changes_per_sec\":%.0f}}\n",
			tp_path_name(row->path), row->flows, row->burst, n,
			r->pkts_per_sec / r->n_slices / 1e6, (double)r->cpu_ns / (double)r->pkts,
			100.0 * (double)r->cpu_ns / r->ns,
			100.0 * (double)r->writer_cpu_ns / (double)r->writer_ns,
			(double)r->changes * 1e9 / (double)r->writer_ns);
	fflush(stdout);
}

static uint32_t next_count(uint32_t n, uint32_t n_cpus)
{
	return n < n_cpus && 2 * n > n_cpus ? n_cpus : 2 * n;
}

/* Numbers of threads take turns, and go round the CPUs. */
static int measure_threads(struct bench *b, const struct row *row)
{
	struct threads_result results[THREADS_MAX + 1] = { 0 };
	const struct world_want want = want_of(row);
	struct threads_conf conf = {
		.path = row->path,
		.order = order_of(b, row->flows),
		.n_flows = row->flows,
		.burst = row->burst,
		.changes = b->plan.changes,
		.rigs = b->rigs,
		.cpus = b->cpus,
		.n_cpus = b->n_cpus,
		.slice_ms = b->plan.slice_ms,
	};
	uint32_t slice, n;
	int rc = conf.order == NULL ? -ENOMEM : world_open(b->world, &want, &conf.table);

	for (slice = 0; slice < SLICES; slice++)
		for (n = 1; n <= b->n_cpus && rc == 0; n = next_count(n, b->n_cpus))
			rc = threads_run(&conf, n, slice % b->n_cpus, &results[n]);
	for (n = 1; n <= b->n_cpus && rc == 0; n = next_count(n, b->n_cpus))
		print_threads(row, n, &results[n]);
	return rc;
}

/* ---- the run ---- */

static int pin(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)cpu, &cpus);
	if (pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus) == 0)
		return 0;
	fprintf(stderr, "pipeline: can not run on cpu %d\n", cpu);
	return -EINVAL;
}

static int add_slowest(struct bench *b)
{
	struct row row = { .kind = PATH, .flows = 1024, .burst = 32 }, slowest = row;
	double ns, slowest_ns = 0;
	int rc;

	for (row.path = 0; row.path < TRAFFIC_PLAIN; row.path++) {
		rc = measure(b, &row);
		if (rc < 0)
			return rc;
		ns = sample_ns(&b->sample);
		if (ns > slowest_ns) {
			slowest_ns = ns;
			slowest = row;
		}
	}
	fprintf(stderr, "pipeline: the slowest of the eight is %s\n", tp_path_name(slowest.path));
	add_bursts(b, TP_PATH_UP_44);
	add_bursts(b, slowest.path);
	return 0;
}

/* Threads may run where the process may; all else has one CPU. */
static int run_row(struct bench *b, struct row *row, const cpu_set_t *allowed)
{
	int rc;

	if (row->kind == THREADS) {
		pthread_setaffinity_np(pthread_self(), sizeof(*allowed), allowed);
		rc = measure_threads(b, row);
		return rc < 0 ? rc : pin(b->plan.cpu);
	}
	rc = measure(b, row);
	if (rc == 0)
		print(b, row);
	return rc;
}

static int run(struct bench *b)
{
	cpu_set_t allowed;
	int rc;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return -errno;
	rc = pin(b->plan.cpu);
	if (rc == 0 && wants_slowest(&b->plan))
		rc = add_slowest(b);
	for (uint32_t rep = 0; rep < b->plan.reps && rc == 0; rep++) {
		for (uint32_t i = 0; i < b->n_rows && rc == 0; i++)
			rc = run_row(b, &b->rows[i], &allowed);
		if (rc == 0)
			fprintf(stderr, "pipeline: repetition %u of %u\n", rep + 1, b->plan.reps);
	}
	return rc;
}

static void bench_fini(struct bench *b)
{
	uint32_t i;

	if (b->world != NULL)
		world_free(b->world);
	for (i = 0; i < b->n_cpus; i++)
		if (b->rigs[i] != NULL)
			rig_free(b->rigs[i]);
	if (b->rig != NULL)
		rig_free(b->rig);
	for (i = 0; i < b->n_orders; i++)
		order_free(&b->orders[i]);
}

int main(int argc, char **argv)
{
	static struct bench b;
	int rc;

	plan_parse(&b.plan, argc, argv);
	add_rows(&b);
	if (b.has_too_many || (b.n_rows == 0 && !wants_slowest(&b.plan))) {
		fprintf(stderr, "pipeline: %s rows; see --help\n",
				b.n_rows == 0 ? "these options leave no" : "more than 512");
		return EXIT_FAILURE;
	}
	tsc_calibrate();
	rc = rig_new(b.plan.ring, b.plan.payload, &b.rig);
	if (rc == 0 && (b.plan.parts & PLAN_THREADS))
		rc = make_rigs(&b);
	if (rc == 0)
		rc = make_world(&b);
	if (rc == 0)
		rc = run(&b);
	if (rc == -ENOMEM)
		fprintf(stderr, "pipeline: out of memory\n");
	bench_fini(&b);
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
