/* SPDX-License-Identifier: Apache-2.0 */
#include "io/dpdk.h"

#include "io/dpdk_private.h"

#include <assert.h>
#include <errno.h>
#include <rte_epoll.h>
#include <rte_ether.h>
#include <rte_log.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define AHEAD 16           /* frames prefetched while one is looked at */
#define RX_TRIES 8         /* bursts without one of ours before the worker is told: nothing */
#define FROM_KERNEL_MAX 32 /* frames of the kernel for each burst of ours */

/* Driver's headers (virtio-net 12 bytes) go in front of what has grown. */
_Static_assert(RTE_PKTMBUF_HEADROOM >= TP_FRAME_GROWTH + 12, "DPDK was built with less headroom");
/* Flags that say whose the memory is; all others are the receiver's news. */
#define MEMORY_FLAGS (RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT)

#define PORT_COUNTERS(X) \
	X(rx_pkts)       \
	X(tx_pkts) X(to_kernel_pkts) X(to_kernel_dropped) X(from_kernel_pkts) X(from_kernel_dropped)

struct dpdk_port {
	alignas(64) struct tp_port port; /* first */
	uint16_t port_id, queue;
	struct rte_mempool *mbufs;
	struct tp_steer_rules rules;
	struct tp_handoff *to_kernel, *from_kernel;
	uint32_t slot_bytes;
	struct rte_mbuf *leaving[FROM_KERNEL_MAX]; /* of the kernel, while they are collected */
	uint32_t n_leaving;
	struct { /* written by the worker, read by any thread */
#define X(name) _Atomic uint64_t name;
		PORT_COUNTERS(X)
#undef X
	} count;

	/* Cold */
	struct tp_dpdk *dev;
	bool has_interrupts;
	int epoll_fd; /* of interrupts and from_kernel; -1: neither */
	int intr_fd;  /* DPDK's own epoll, of the interrupt; -1: none */
};

static struct dpdk_port *port_of(struct tp_port *port)
{
	return (struct dpdk_port *)(void *)port;
}

static const struct dpdk_port *const_port_of(const struct tp_port *port)
{
	return (const struct dpdk_port *)(const void *)port;
}

/* One writer: a load and a store are enough, and cost no locked instruction. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			memory_order_relaxed);
}

static struct tp_frame frame_of(struct rte_mbuf *m, uint16_t index)
{
	return (struct tp_frame){
		.data = rte_pktmbuf_mtod(m, uint8_t *),
		.len = m->data_len,
		.headroom = rte_pktmbuf_headroom(m),
		.tailroom = rte_pktmbuf_tailroom(m),
		.port = index,
		.cookie = (uintptr_t)m,
	};
}

static struct rte_mbuf *mbuf_of(const struct tp_frame *frame)
{
	return (struct rte_mbuf *)(uintptr_t)frame->cookie;
}

/* ---- receive ---- */

/* What is not ours is the kernel's; there it is a copy, so that nobody waits for it. */
static void give_to_kernel(struct dpdk_port *x, struct rte_mbuf *mbufs[], uint32_t n)
{
	struct tp_frame frames[TP_BURST];
	uint32_t n_frames = 0, n_put = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (mbufs[i]->pkt_len > x->slot_bytes || rte_pktmbuf_linearize(mbufs[i]) != 0)
			continue;
		frames[n_frames++] = frame_of(mbufs[i], x->port.index);
	}
	if (x->to_kernel != NULL)
		n_put = tp_handoff_put(x->to_kernel, frames, n_frames);
	add(&x->count.to_kernel_pkts, n_put);
	add(&x->count.to_kernel_dropped, n - n_put);
	rte_pktmbuf_free_bulk(mbufs, n);
}

/* Some devices take VLAN tags off though they were not asked to. */
static bool is_whole(struct rte_mbuf **m)
{
	if (__builtin_expect((*m)->nb_segs > 1, false))
		return false;
	if (__builtin_expect(((*m)->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0, false)) {
		if (rte_vlan_insert(m) != 0)
			return false;
		(*m)->ol_flags &= ~(RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
	}
	return true;
}

static uint32_t sort_burst(
		struct dpdk_port *x, struct rte_mbuf *mbufs[], uint32_t n, struct tp_frame frames[])
{
	struct rte_mbuf *others[TP_BURST];
	uint32_t i, n_ours = 0, n_others = 0;

	for (i = 0; i < n && i < AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	for (i = 0; i < n; i++) {
		if (i + AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + AHEAD], void *));
		if (is_whole(&mbufs[i]) &&
				tp_steer_rules_match(&x->rules,
						rte_pktmbuf_mtod(mbufs[i], const uint8_t *),
						mbufs[i]->data_len))
			frames[n_ours++] = frame_of(mbufs[i], x->port.index);
		else
			others[n_others++] = mbufs[i];
	}
	if (n_others > 0)
		give_to_kernel(x, others, n_others);
	return n_ours;
}

static uint32_t dpdk_rx(struct tp_port *port, struct tp_frame frames[], uint32_t n)
{
	struct dpdk_port *x = port_of(port);
	struct rte_mbuf *mbufs[TP_BURST];
	uint32_t got, ours = 0, tries = 0;

	assert(n <= TP_BURST);
	/* A flood of what is the kernel's must not make the worker believe that it is idle. */
	do {
		got = rte_eth_rx_burst(x->port_id, x->queue, mbufs, (uint16_t)n);
		if (got > 0)
			ours = sort_burst(x, mbufs, got, frames);
	} while (ours == 0 && got > 0 && ++tries < RX_TRIES);
	add(&x->count.rx_pkts, ours);
	return ours;
}

/* ---- transmit ---- */

static uint32_t dpdk_tx(struct tp_port *port, const struct tp_frame frames[], uint32_t n)
{
	struct dpdk_port *x = port_of(port);
	struct rte_mbuf *mbufs[TP_BURST];
	uint32_t sent;

	assert(n <= TP_BURST);
	for (uint32_t i = 0; i < n; i++) {
		struct rte_mbuf *m = mbuf_of(&frames[i]);

		assert(frames[i].data - (uint8_t *)m->buf_addr == frames[i].headroom);
		assert((uint32_t)frames[i].headroom + frames[i].len <= m->buf_len);
		m->data_off = frames[i].headroom;
		m->data_len = frames[i].len;
		m->pkt_len = frames[i].len;
		m->ol_flags &= MEMORY_FLAGS;
		mbufs[i] = m;
	}
	sent = rte_eth_tx_burst(x->port_id, x->queue, mbufs, (uint16_t)n);
	add(&x->count.tx_pkts, sent);
	return sent;
}

static void take_from_kernel(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct dpdk_port *x = ctx;
	struct rte_mbuf *m = rte_pktmbuf_alloc(x->mbufs);
	char *room = m == NULL ? NULL : rte_pktmbuf_append(m, (uint16_t)len);

	if (room == NULL) {
		rte_pktmbuf_free(m);
		add(&x->count.from_kernel_dropped, 1);
		return;
	}
	memcpy(room, frame, len);
	x->leaving[x->n_leaving++] = m;
}

static void dpdk_flush(struct tp_port *port)
{
	struct dpdk_port *x = port_of(port);
	uint32_t sent;

	if (x->from_kernel == NULL)
		return;
	x->n_leaving = 0;
	if (tp_handoff_poll(x->from_kernel, FROM_KERNEL_MAX, take_from_kernel, x) == 0)
		return;
	sent = rte_eth_tx_burst(x->port_id, x->queue, x->leaving, (uint16_t)x->n_leaving);
	add(&x->count.from_kernel_pkts, sent);
	add(&x->count.from_kernel_dropped, x->n_leaving - sent);
	if (sent < x->n_leaving)
		rte_pktmbuf_free_bulk(x->leaving + sent, x->n_leaving - sent);
}

static void dpdk_release(struct tp_port *port, const struct tp_frame frames[], uint32_t n)
{
	struct rte_mbuf *mbufs[TP_BURST];

	(void)port;
	assert(n <= TP_BURST);
	for (uint32_t i = 0; i < n; i++)
		mbufs[i] = mbuf_of(&frames[i]);
	rte_pktmbuf_free_bulk(mbufs, n);
}

static uint32_t dpdk_alloc(struct tp_port *port, struct tp_frame frames[], uint32_t n)
{
	struct dpdk_port *x = port_of(port);
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(x->mbufs);

		if (m == NULL)
			break;
		frames[i] = frame_of(m, port->index);
	}
	return i;
}

/* ---- sleep ---- */

static int dpdk_fd(const struct tp_port *port)
{
	return const_port_of(port)->epoll_fd;
}

static bool dpdk_arm(struct tp_port *port, bool is_going_to_sleep)
{
	struct dpdk_port *x = port_of(port);
	struct rte_epoll_event event;

	if (is_going_to_sleep) {
		/* Some need not be enabled, and say so. */
		if (x->has_interrupts)
			rte_eth_dev_rx_intr_enable(x->port_id, x->queue);
		return x->from_kernel == NULL || tp_handoff_arm(x->from_kernel);
	}
	if (x->has_interrupts) {
		rte_eth_dev_rx_intr_disable(x->port_id, x->queue);
		rte_epoll_wait(x->intr_fd, &event, 1, 0); /* takes the event off, as DPDK does */
	}
	if (x->from_kernel != NULL)
		tp_handoff_disarm(x->from_kernel);
	return true;
}

/* ---- looking at it ---- */

static void dpdk_info(const struct tp_port *port, struct tp_port_info *out)
{
	const struct dpdk_port *x = const_port_of(port);

	*out = (struct tp_port_info){
		.driver = "dpdk",
		.mode = x->dev->info.driver_name,
		.queue = x->queue,
		.frames = x->mbufs->size,
	};
	memcpy(out->name, x->dev->name, sizeof(out->name));
}

static void dpdk_stats(const struct tp_port *port, struct tp_port_stats *out)
{
	const struct dpdk_port *x = const_port_of(port);

	*out = (struct tp_port_stats){ 0 };
#define X(name) out->name = atomic_load_explicit(&x->count.name, memory_order_relaxed);
	PORT_COUNTERS(X)
#undef X
}

/* ---- life ---- */

static void dpdk_close(struct tp_port *port)
{
	struct dpdk_port *x = port_of(port);

	if (x->has_interrupts)
		rte_eth_dev_rx_intr_ctl_q(
				x->port_id, x->queue, x->intr_fd, RTE_INTR_EVENT_DEL, NULL);
	if (x->intr_fd >= 0)
		close(x->intr_fd);
	if (x->epoll_fd >= 0)
		close(x->epoll_fd);
	free(x);
}

static const struct tp_port_ops dpdk_ops = {
	.rx = dpdk_rx,
	.tx = dpdk_tx,
	.flush = dpdk_flush,
	.release = dpdk_release,
	.alloc = dpdk_alloc,
	.fd = dpdk_fd,
	.arm = dpdk_arm,
	.info = dpdk_info,
	.stats = dpdk_stats,
	.close = dpdk_close,
};

static int watch(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int set_queues_up(const struct tp_dpdk *dev, const struct dpdk_port *x, struct tp_why *why)
{
	unsigned int node = (unsigned int)rte_eth_dev_socket_id(dev->port_id);
	int rc = rte_eth_rx_queue_setup(
			dev->port_id, x->queue, dev->rx_descs, node, NULL, x->mbufs);

	if (rc == 0)
		rc = rte_eth_tx_queue_setup(
				dev->port_id, x->queue, dev->tx_descs, node, &dev->tx_conf);
	return rc == 0 ? 0
		       : tp_why_set(why, rc,
					 "interface %s: the driver %s does not set queue %u up: %s",
					 dev->name, dev->info.driver_name, x->queue, strerror(-rc));
}

/* @return whether the queue has an interrupt, and intr_fd tells of it */
static bool find_interrupt(struct dpdk_port *x)
{
	int level = rte_log_get_level(rte_log_register("lib.ethdev")), rc;

	/* Most virtual devices have none, which is no error worth a line. */
	rte_log_set_level_pattern("lib.ethdev", RTE_LOG_CRIT);
	rc = rte_eth_dev_rx_intr_ctl_q(x->port_id, x->queue, x->intr_fd, RTE_INTR_EVENT_ADD, NULL);
	rte_log_set_level_pattern("lib.ethdev", (uint32_t)level);
	return rc == 0;
}

void tp_dpdk_port_started(struct tp_port *port)
{
	struct dpdk_port *x = port_of(port);

	if (!x->dev->has_interrupts)
		return;
	x->intr_fd = epoll_create1(EPOLL_CLOEXEC);
	x->has_interrupts =
			x->intr_fd >= 0 && find_interrupt(x) && watch(x->epoll_fd, x->intr_fd) == 0;
	/* net_tap looks for frames only after a signal, which may come after the interrupt. */
	x->port.is_polled = !x->has_interrupts || strcmp(x->dev->info.driver_name, "net_tap") == 0;
}

int tp_dpdk_port_new(struct tp_dpdk *dev, const struct tp_dpdk_port_conf *conf,
		struct tp_port **out, struct tp_why *why)
{
	struct dpdk_port *x = aligned_alloc(64, sizeof(*x));
	int rc;

	if (x == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	*x = (struct dpdk_port){
		.port = { .ops = &dpdk_ops,
				.index = dev->index,
				.is_polled = true,
				.memory = conf->pool },
		.port_id = dev->port_id,
		.queue = (uint16_t)conf->queue,
		.mbufs = conf->pool->mbufs,
		.rules = conf->rules,
		.to_kernel = conf->to_kernel,
		.from_kernel = conf->from_kernel,
		.slot_bytes = conf->slot_bytes,
		.dev = dev,
		.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
		.intr_fd = -1,
	};
	rc = x->epoll_fd < 0 ? -errno : 0;
	if (rc == 0 && x->from_kernel != NULL)
		rc = watch(x->epoll_fd, tp_handoff_fd(x->from_kernel));
	if (rc < 0)
		tp_why_set(why, rc, "interface %s: %s", dev->name, strerror(-rc));
	else
		rc = set_queues_up(dev, x, why);
	if (rc < 0) {
		dpdk_close(&x->port);
		return rc;
	}
	assert(dev->n_ports < TP_DPDK_MAX_QUEUES);
	dev->ports[dev->n_ports++] = &x->port;
	*out = &x->port;
	return 0;
}
