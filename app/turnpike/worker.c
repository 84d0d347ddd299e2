/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/afxdp.h"

#define HOUSEKEEPING_ROUNDS 1024
/*
 * An adaptive worker sleeps after this many empty rounds, some tens of microseconds: long enough
 * to catch the next packet of a busy flow, short enough to leave a shared core to its softirq.
 */
#define SPIN_ROUNDS 64
/* While asleep, look up now and then: completions and late transmissions need a kick. */
#define SLEEP_MS 100
#define SLEEP_PENDING_MS 1
/*
 * A port that has to be polled is slept on briefly, longer each time that nothing came: at first as
 * long as a busy flow pauses, at last so long that an idle worker wakes a thousand times a second.
 */
#define NAP_MIN_NS 50000
#define NAP_MAX_NS 1000000

struct tp_worker {
	struct tp_worker_conf conf;
	struct tp_port *ports[TP_WORKER_MAX_PORTS];
	struct tp_handoff *punt;
	int wake_fd;
	bool is_started;
	bool is_mixed;   /* its ports have more than one memory */
	bool has_polled; /* at least one port has to be polled */
	bool has_armed;  /* at least one port wants to know when the worker sleeps */
	uint32_t nap_ns; /* how long the next sleep on a polled port is */
	struct pollfd poll[TP_WORKER_MAX_PORTS + 1];
	alignas(64) struct tp_pipe pipe;
	struct tp_pipe_out out;
	alignas(64) _Atomic bool is_stopping;
	_Atomic uint32_t umem_free, umem_in_rings;
	_Atomic uint64_t copied;   /* one writer: the worker */
	_Atomic uint64_t busy_tsc; /* likewise; in rounds that received something */
};

/* ---- the loop ---- */

/* Send the frames of one egress port; what it refuses is lost, counted.  @return frames taken */
static uint32_t send_to(struct tp_worker *w, struct tp_port *port, const struct tp_frame frames[],
		uint32_t n)
{
	uint32_t sent = tp_port_tx(port, frames, n);
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < sent; i++)
		bytes += frames[i].len;
	tp_stat_add(&w->pipe.stats.tx_bytes, bytes);
	if (sent < n)
		tp_port_release(port, frames + sent, n - sent);
	return sent;
}

/*
 * Across drivers: into frames of the port that sends.  A frame that has no room there is lost as if
 * the port had refused it, and those behind it; its next hop's MTU is at most the port's, so that
 * does not happen.
 *
 * @return frames taken, from the front
 */
static uint32_t copy_to(struct tp_worker *w, struct tp_port *from, struct tp_port *to,
		const struct tp_frame frames[], uint32_t n)
{
	struct tp_frame copies[TP_BURST];
	uint32_t n_copies = tp_port_alloc(to, copies, n), n_fit = 0;

	for (; n_fit < n_copies && frames[n_fit].len <= copies[n_fit].tailroom; n_fit++) {
		memcpy(copies[n_fit].data, frames[n_fit].data, frames[n_fit].len);
		copies[n_fit].len = frames[n_fit].len;
	}
	tp_port_release(to, copies + n_fit, n_copies - n_fit);
	tp_port_release(from, frames, n);
	tp_stat_add(&w->copied, n_fit);
	return n_fit == 0 ? 0 : send_to(w, to, copies, n_fit);
}

static uint32_t forward_one_port(struct tp_worker *w, const struct tp_pipe_out *out)
{
	uint32_t sent = send_to(w, w->ports[0], out->forward, out->n_forward);

	for (uint32_t i = sent; i < out->n_forward; i++)
		tp_pipe_uncount(&w->pipe, out, i);
	return sent;
}

/* from: where the frames were received */
static uint32_t forward(struct tp_worker *w, struct tp_port *from, const struct tp_pipe_out *out)
{
	struct tp_frame frames[TP_BURST];
	uint32_t i, p, n, done, at[TP_BURST], sent = 0;

	if (out->n_forward == 0)
		return 0;
	if (w->conf.n_ports == 1)
		return forward_one_port(w, out);
	for (p = 0; p < w->conf.n_ports; p++) {
		for (i = 0, n = 0; i < out->n_forward; i++) {
			if (out->forward[i].port != w->ports[p]->index)
				continue;
			at[n] = i;
			frames[n++] = out->forward[i];
		}
		if (n == 0)
			continue;
		if (w->is_mixed && w->ports[p]->memory != from->memory)
			done = copy_to(w, from, w->ports[p], frames, n);
		else
			done = send_to(w, w->ports[p], frames, n);
		for (i = done; i < n; i++)
			tp_pipe_uncount(&w->pipe, out, at[i]);
		sent += done;
	}
	return sent;
}

static void burst(struct tp_worker *w, struct tp_port *port, const struct tp_frame frames[],
		uint32_t n)
{
	struct tp_pipe_stats *stats = &w->pipe.stats;
	struct tp_pipe_out *out = &w->out;
	uint32_t sent, put;

	tp_pipe_burst(&w->pipe, frames, n, tp_clock_coarse_ns(), out);
	sent = forward(w, port, out);
	put = tp_handoff_put(w->punt, out->punt, out->n_punt);
	tp_stat_add(&stats->verdict[TP_FORWARD], sent);
	tp_stat_add(&stats->verdict[TP_DROP_TX_FULL], out->n_forward - sent);
	tp_stat_add(&stats->verdict[TP_PUNT], put);
	tp_stat_add(&stats->verdict[TP_DROP_PUNT_FULL], out->n_punt - put);
	/* A punted frame was copied: its chunk is free again. */
	tp_port_release(port, out->punt, out->n_punt);
	tp_port_release(port, out->dead, out->n_dead);
}

/* One look at every port.  @return frames received */
static uint32_t poll_ports(struct tp_worker *w)
{
	struct tp_frame frames[TP_BURST];
	uint32_t p, n, total = 0;

	for (p = 0; p < w->conf.n_ports; p++) {
		n = tp_port_rx(w->ports[p], frames, TP_BURST);
		if (n > 0)
			burst(w, w->ports[p], frames, n);
		total += n;
	}
	for (p = 0; p < w->conf.n_ports; p++)
		tp_port_flush(w->ports[p]);
	return total;
}

static void housekeeping(struct tp_worker *w)
{
	uint32_t in_rings = 0;

	if (w->conf.umem == NULL)
		return;
	for (uint32_t p = 0; p < w->conf.n_ports; p++)
		if (w->ports[p]->memory == w->conf.umem)
			in_rings += tp_afxdp_in_rings(w->ports[p]);
	atomic_store_explicit(
			&w->umem_free, tp_umem_free_chunks(w->conf.umem), memory_order_relaxed);
	atomic_store_explicit(&w->umem_in_rings, in_rings, memory_order_relaxed);
}

/* As poll_ports(), and how long it took if something came: two looks at the TSC, no system call. */
static uint32_t timed_round(struct tp_worker *w)
{
	uint64_t begin = rte_rdtsc();
	uint32_t n = poll_ports(w);

	if (n > 0)
		tp_stat_add(&w->busy_tsc, rte_rdtsc() - begin);
	return n;
}

/* Before and after a sleep.  @return whether no port has frames waiting */
static bool arm(struct tp_worker *w, bool is_going_to_sleep)
{
	bool is_quiet = true;

	for (uint32_t p = 0; w->has_armed && p < w->conf.n_ports; p++)
		is_quiet = tp_port_arm(w->ports[p], is_going_to_sleep) && is_quiet;
	return is_quiet;
}

static struct timespec how_long(struct tp_worker *w, bool has_pending)
{
	uint64_t ns = (has_pending ? SLEEP_PENDING_MS : SLEEP_MS) * TP_NS_PER_MS;

	if (w->has_polled && w->nap_ns < ns)
		ns = w->nap_ns;
	if (w->nap_ns < NAP_MAX_NS)
		w->nap_ns *= 2;
	return (struct timespec){ .tv_sec = (time_t)(ns / TP_NS_PER_SEC),
		.tv_nsec = (long)(ns % TP_NS_PER_SEC) };
}

static void sleep_until_traffic(struct tp_worker *w, bool has_pending)
{
	struct timespec timeout;

	housekeeping(w);
	/* What came just before a port was armed will not wake it. */
	if (arm(w, true) && (!w->has_armed || timed_round(w) == 0)) {
		timeout = how_long(w, has_pending);
		tp_grace_offline(w->conf.grace, w->conf.id);
		ppoll(w->poll, w->conf.n_ports + 1, &timeout, NULL);
		tp_grace_online(w->conf.grace, w->conf.id);
	} else {
		w->nap_ns = NAP_MIN_NS;
	}
	arm(w, false);
}

static int worker_main(void *arg)
{
	struct tp_worker *w = arg;
	uint32_t idle_rounds = 0, rounds = 0;

	tp_grace_reader_register(w->conf.grace, w->conf.id);
	tp_grace_online(w->conf.grace, w->conf.id);
	while (!atomic_load_explicit(&w->is_stopping, memory_order_relaxed)) {
		idle_rounds = timed_round(w) > 0 ? 0 : idle_rounds + 1;
		tp_grace_quiescent(w->conf.grace, w->conf.id);
		if (++rounds % HOUSEKEEPING_ROUNDS == 0)
			housekeeping(w);
		if (idle_rounds == 0) {
			w->nap_ns = NAP_MIN_NS;
			continue;
		}
		if (w->conf.idle == TP_IDLE_ADAPTIVE && idle_rounds >= SPIN_ROUNDS) {
			/* The first sleep after traffic is short: its frames may still be on their
			 * way out. */
			sleep_until_traffic(w, idle_rounds == SPIN_ROUNDS);
			if (idle_rounds > SPIN_ROUNDS)
				idle_rounds = SPIN_ROUNDS;
		} else {
			rte_pause();
		}
	}
	tp_grace_offline(w->conf.grace, w->conf.id);
	tp_grace_reader_unregister(w->conf.grace, w->conf.id);
	return 0;
}

/* ---- set-up ---- */

static void close_ports(const struct tp_worker_conf *conf)
{
	/* The first port owns the UMEM's registration: last to go. */
	for (uint32_t i = conf->n_ports; i-- > 0;)
		tp_port_close(conf->ports[i]);
	if (conf->umem != NULL)
		tp_umem_free(conf->umem);
}

static void take_ports(struct tp_worker *w, const struct tp_worker_conf *conf)
{
	for (uint32_t i = 0; i < conf->n_ports; i++) {
		struct tp_port *port = conf->ports[i];

		assert(port->index < TP_EGRESS_PORTS);
		w->ports[i] = port;
		w->pipe.egress_ports |= 1ull << port->index;
		w->is_mixed = w->is_mixed || port->memory != conf->ports[0]->memory;
		w->has_polled = w->has_polled || port->is_polled;
		w->has_armed = w->has_armed || port->ops->arm != NULL;
		w->poll[i] = (struct pollfd){ .fd = tp_port_fd(port), .events = POLLIN };
	}
	w->poll[conf->n_ports] = (struct pollfd){ .fd = w->wake_fd, .events = POLLIN };
	w->conf.ports = w->ports;
}

int tp_worker_new(const struct tp_worker_conf *conf, struct tp_worker **out)
{
	struct tp_worker *w = aligned_alloc(64, sizeof(*w));
	char name[16];
	int rc;

	if (w == NULL) {
		close_ports(conf);
		return -ENOMEM;
	}
	*w = (struct tp_worker){ .conf = *conf, .wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	w->pipe.flows = conf->flows;
	w->pipe.tally = conf->tally;
	w->pipe.classify = conf->classify;
	w->nap_ns = NAP_MIN_NS;
	tp_tid_seed(&w->pipe.tids);
	assert(conf->n_ports <= TP_WORKER_MAX_PORTS);
	take_ports(w, conf);
	snprintf(name, sizeof(name), "punt%u", conf->id);
	rc = w->wake_fd < 0 ? -errno : tp_handoff_new(name, conf->frame_bytes, &w->punt);
	if (rc < 0) {
		tp_worker_free(w);
		return rc;
	}
	housekeeping(w);
	*out = w;
	return 0;
}

int tp_worker_start(struct tp_worker *w)
{
	int rc = rte_eal_remote_launch(worker_main, w, w->conf.id + 1);

	w->is_started = rc == 0;
	return rc;
}

void tp_worker_stop(struct tp_worker *w)
{
	const uint64_t one = 1;

	if (!w->is_started)
		return;
	atomic_store(&w->is_stopping, true);
	if (write(w->wake_fd, &one, sizeof(one)) < 0) {
		/* It looks again within SLEEP_MS anyway. */
	}
	rte_eal_wait_lcore(w->conf.id + 1);
	w->is_started = false;
}

void tp_worker_free(struct tp_worker *w)
{
	if (w == NULL)
		return;
	tp_worker_stop(w);
	close_ports(&w->conf);
	tp_handoff_free(w->punt);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	free(w);
}

/* ---- looking at it ---- */

uint32_t tp_worker_cpu(const struct tp_worker *w)
{
	return w->conf.cpu;
}

enum tp_idle tp_worker_idle(const struct tp_worker *w)
{
	return w->conf.idle;
}

const struct tp_pipe_stats *tp_worker_stats(const struct tp_worker *w)
{
	return &w->pipe.stats;
}

struct tp_handoff *tp_worker_punt(const struct tp_worker *w)
{
	return w->punt;
}

uint32_t tp_worker_ports(const struct tp_worker *w)
{
	return w->conf.n_ports;
}

const struct tp_port *tp_worker_port(const struct tp_worker *w, uint32_t i)
{
	return w->ports[i];
}

void tp_worker_umem(const struct tp_worker *w, struct tp_worker_umem *out)
{
	out->chunks = w->conf.umem == NULL ? 0 : tp_umem_chunks(w->conf.umem);
	out->free = atomic_load_explicit(&w->umem_free, memory_order_relaxed);
	out->in_rings = atomic_load_explicit(&w->umem_in_rings, memory_order_relaxed);
}

uint64_t tp_worker_copied(const struct tp_worker *w)
{
	return atomic_load_explicit(&w->copied, memory_order_relaxed);
}

uint64_t tp_worker_busy_ns(const struct tp_worker *w)
{
	double tsc = (double)atomic_load_explicit(&w->busy_tsc, memory_order_relaxed);

	return (uint64_t)(tsc * TP_NS_PER_SEC / (double)rte_get_tsc_hz());
}
