/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#include "base/clock.h"
#include "tsc.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define TICK_NS TP_NS_PER_MS
#define TICKS_PER_SEC (TP_NS_PER_SEC / TICK_NS)
#define CHURN_LIVE 1024u      /* flows of the writer's at a time */
#define CHURN_KEYS (1u << 16) /* and the five-tuples that they take turns with */

struct writer {
	const struct threads_conf *conf;
	struct tp_flow *live[CHURN_LIVE];
	uint32_t head; /* oldest of live */
	uint32_t next; /* key to be added */
	uint64_t changes, cpu_ns, ns;
	int rc;
};

struct reader {
	const struct threads_conf *conf;
	struct rig *rig;
	uint32_t id, cpu;
	uint64_t pkts, span, cpu_ns;
	int rc;
};

static _Atomic bool is_over;
static pthread_barrier_t start;

/* ---- writer ---- */

static int churn_add(struct writer *w, uint32_t slot)
{
	struct tp_flow *added[TRAFFIC_SPECS];
	uint32_t key = w->conf->n_flows + w->next % CHURN_KEYS;

	w->rc = world_add_flow(w->conf->table.flows, w->conf->path, key, added);
	if (w->rc == 0) {
		w->live[slot] = added[0];
		w->next++;
		w->changes++;
	}
	return w->rc;
}

static void churn_del(struct writer *w, uint32_t slot)
{
	tp_flow_del(w->conf->table.flows, w->live[slot]);
	w->changes++;
}

/* Half of a tick's changes are deletions. */
static void churn(struct writer *w, uint32_t n)
{
	for (uint32_t i = 0; i < n && w->rc == 0; i++) {
		churn_del(w, w->head);
		churn_add(w, w->head);
		w->head = (w->head + 1) % CHURN_LIVE;
	}
	tp_grace_reclaim(w->conf->table.grace);
}

static void sleep_until(uint64_t ns)
{
	struct timespec at = { (time_t)(ns / TP_NS_PER_SEC), (long)(ns % TP_NS_PER_SEC) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
	}
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	uint64_t begin_ns, tick_ns, cpu_ns, done = 0, due;

	for (uint32_t i = 0; i < CHURN_LIVE && w->rc == 0; i++)
		churn_add(w, i);
	w->changes = 0;
	pthread_barrier_wait(&start);
	begin_ns = tick_ns = tp_clock_now_ns();
	cpu_ns = tp_clock_read(CLOCK_THREAD_CPUTIME_ID);
	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		tick_ns += TICK_NS;
		sleep_until(tick_ns);
		due = (tick_ns - begin_ns) / TICK_NS * w->conf->changes / TICKS_PER_SEC / 2;
		churn(w, (uint32_t)(due - done));
		done = due;
	}
	w->cpu_ns = tp_clock_read(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	w->ns = tp_clock_now_ns() - begin_ns;
	return NULL;
}

/* The readers are gone: what was deleted is released at once. */
static void writer_clear(struct writer *w)
{
	if (w->rc == 0)
		for (uint32_t i = 0; i < CHURN_LIVE; i++)
			tp_flow_del(w->conf->table.flows, w->live[i]);
	tp_grace_reclaim(w->conf->table.grace);
}

/* ---- readers ---- */

static uint32_t run_ring(struct reader *r, uint64_t now_ns)
{
	struct rig *rig = r->rig;
	uint32_t i, n, n_forward = 0, burst = r->conf->burst;

	for (i = 0; i < rig->n_frames; i += n) {
		n = rig->n_frames - i < burst ? rig->n_frames - i : burst;
		tp_pipe_burst(&rig->pipe, rig->frames + i, n, now_ns, &rig->out);
		tp_grace_quiescent(r->conf->table.grace, r->id);
		n_forward += rig->out.n_forward;
	}
	return n_forward;
}

static void batch(struct reader *r)
{
	uint64_t cpu_ns, begin;
	uint32_t n_forward;

	rig_fill(r->rig, r->conf->path, r->conf->order);
	tp_grace_quiescent(r->conf->table.grace, r->id);
	cpu_ns = tp_clock_read(CLOCK_THREAD_CPUTIME_ID);
	begin = tsc_now();
	n_forward = run_ring(r, tp_clock_coarse_ns());
	r->span += tsc_now() - begin;
	r->cpu_ns += tp_clock_read(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	r->pkts += n_forward;
	if (n_forward != r->rig->n_frames)
		r->rc = -EBADMSG;
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct tp_grace *grace = r->conf->table.grace;

	rig_open_pipe(r->rig, r->conf->table.flows,
			tp_accounts_tally(r->conf->table.accounts, r->id));
	tp_grace_reader_register(grace, r->id);
	pthread_barrier_wait(&start);
	tp_grace_online(grace, r->id);
	while (!atomic_load_explicit(&is_over, memory_order_relaxed) && r->rc == 0)
		batch(r);
	tp_grace_offline(grace, r->id);
	tp_grace_reader_unregister(grace, r->id);
	return NULL;
}

/* ---- one slice ---- */

static int start_reader(struct reader *r, pthread_t *thread)
{
	pthread_attr_t attr;
	cpu_set_t cpus;
	int rc;

	CPU_ZERO(&cpus);
	CPU_SET(r->cpu, &cpus);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	rc = pthread_create(thread, &attr, reader_main, r);
	pthread_attr_destroy(&attr);
	if (rc != 0)
		fprintf(stderr, "no thread on cpu %u: %s\n", r->cpu, strerror(rc));
	return -rc;
}

static void add_up(struct threads_result *sum, const struct reader readers[], uint32_t n,
		const struct writer *w)
{
	for (uint32_t i = 0; i < n; i++) {
		sum->pkts_per_sec += (double)readers[i].pkts * 1e9 / tsc_ns(readers[i].span);
		sum->pkts += readers[i].pkts;
		sum->cpu_ns += readers[i].cpu_ns;
		sum->ns += tsc_ns(readers[i].span);
	}
	sum->n_slices++;
	sum->writer_cpu_ns += w->cpu_ns;
	sum->writer_ns += w->ns;
	sum->changes += w->changes;
}

static int finish(const struct reader readers[], uint32_t n, const struct writer *w)
{
	if (w->rc < 0) {
		fprintf(stderr, "the writer can not add a flow: %s\n", strerror(-w->rc));
		return w->rc;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (readers[i].rc < 0) {
			fprintf(stderr, "the reader on cpu %u lost packets\n", readers[i].cpu);
			return readers[i].rc;
		}
	}
	return 0;
}

int threads_run(const struct threads_conf *conf, uint32_t n, uint32_t first,
		struct threads_result *r)
{
	static struct writer writer;
	struct reader readers[THREADS_MAX];
	pthread_t thread[THREADS_MAX], writing;
	uint32_t i;
	int rc;

	atomic_store(&is_over, false);
	pthread_barrier_init(&start, NULL, n + 2);
	for (i = 0; i < n; i++) {
		uint32_t at = (first + i) % conf->n_cpus;

		readers[i] = (struct reader){
			.conf = conf, .rig = conf->rigs[at], .id = i, .cpu = conf->cpus[at]
		};
		rc = start_reader(&readers[i], &thread[i]);
		if (rc < 0)
			return rc; /* the others wait for ever: the caller ends the process */
	}
	memset(&writer, 0, sizeof(writer));
	writer.conf = conf;
	rc = pthread_create(&writing, NULL, writer_main, &writer);
	if (rc != 0) {
		fprintf(stderr, "no thread for the writer: %s\n", strerror(rc));
		return -rc;
	}
	pthread_barrier_wait(&start);
	sleep_until(tp_clock_now_ns() + conf->slice_ms * TP_NS_PER_MS);
	atomic_store(&is_over, true);
	for (i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	pthread_join(writing, NULL);
	writer_clear(&writer);
	add_up(r, readers, n, &writer);
	return finish(readers, n, &writer);
}
