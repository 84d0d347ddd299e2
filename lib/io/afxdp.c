/* SPDX-License-Identifier: Apache-2.0 */
#include "io/afxdp_private.h"

#include "base/clock.h"
#include "bpf/steer.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DRAIN_NS (100 * TP_NS_PER_MS)

#define EMPTY_IS_ALL_TAKEN 32 /* fewer than the rounds after which a worker may sleep */

_Static_assert(TP_BPF_MAX_IN_FLIGHT + 2 * 64 <= TP_AFXDP_RING,
		"a softirq's batch under way, and one that was taken to be received");

#define KICK_BUDGET 32 /* descriptors that one sendto() takes on any kernel */
#define KICK_SPARE 8
#define KICK_HOLDOFF 64 /* flushes without a kick after the interface refused one */

static struct tp_afxdp *afxdp_of(struct tp_port *port)
{
	return (struct tp_afxdp *)(void *)port;
}

static const struct tp_afxdp *const_afxdp_of(const struct tp_port *port)
{
	return (const struct tp_afxdp *)(const void *)port;
}

/* One writer: a load and a store are enough, and cost no locked instruction. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			memory_order_relaxed);
}

void tp_afxdp_refill(struct tp_afxdp *x)
{
	uint64_t addr[TP_BURST];
	uint32_t at = 0;
	uint32_t room, n, i;

	while ((room = xsk_prod_nb_free(&x->fill, TP_BURST)) > 0) {
		n = umem_pop(x->umem, addr, room < TP_BURST ? room : TP_BURST);
		if (n == 0)
			return;
		xsk_ring_prod__reserve(&x->fill, n, &at);
		for (i = 0; i < n; i++)
			*xsk_ring_prod__fill_addr(&x->fill, at + i) = addr[i];
		xsk_ring_prod__submit(&x->fill, n);
		x->n_fill += n;
	}
}

/* Collect sent chunks.  At most n_tx can be there, so the loop ends. */
static void complete(struct tp_afxdp *x)
{
	uint64_t addr[TP_BURST];
	uint32_t at = 0;
	uint32_t n, i;

	while ((n = xsk_ring_cons__peek(&x->comp, TP_BURST, &at)) > 0) {
		assert(n <= x->n_tx);
		for (i = 0; i < n; i++)
			addr[i] = *xsk_ring_cons__comp_addr(&x->comp, at + i);
		xsk_ring_cons__release(&x->comp, n);
		umem_push(x->umem, addr, n);
		x->n_tx -= n;
	}
}

/*
 * The XDP program's count of what is under way only grows by what is lost on its way: it is set
 * right when nothing is.  Not at the first empty reception, since its cache line is the other
 * CPU's.
 */
static void count_none(struct tp_afxdp *x)
{
	struct tp_bpf_queue *q = x->queue_count;

	if (q == NULL || ++x->n_empty < EMPTY_IS_ALL_TAKEN)
		return;
	__atomic_store_n(&q->taken, __atomic_load_n(&q->redirected, __ATOMIC_RELAXED),
			__ATOMIC_RELAXED);
}

static void count_taken(struct tp_afxdp *x, uint32_t n)
{
	struct tp_bpf_queue *q = x->queue_count;

	x->n_empty = 0;
	if (q != NULL)
		__atomic_store_n(&q->taken, q->taken + n, __ATOMIC_RELAXED);
}

static uint32_t afxdp_rx(struct tp_port *port, struct tp_frame frames[], uint32_t n)
{
	struct tp_afxdp *x = afxdp_of(port);
	const uint64_t chunk_bytes = 1ull << x->umem->chunk_shift;
	uint32_t at = 0;
	uint32_t i;

	/* First, even if nothing is received: an empty fill ring stays empty otherwise. */
	tp_afxdp_refill(x);

	n = xsk_ring_cons__peek(&x->rx, n, &at);
	if (n == 0) {
		count_none(x);
		return 0;
	}
	for (i = 0; i < n; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&x->rx, at + i);
		uint64_t chunk = umem_chunk_of(x->umem, desc->addr);

		frames[i] = (struct tp_frame){
			.data = x->umem->area + desc->addr,
			.len = (uint16_t)desc->len,
			.headroom = (uint16_t)(desc->addr - chunk),
			.tailroom = (uint16_t)(chunk + chunk_bytes - desc->addr - desc->len),
			.port = port->index,
			.cookie = chunk,
		};
	}
	xsk_ring_cons__release(&x->rx, n);
	count_taken(x, n);

	assert(n <= x->n_fill);
	x->n_fill -= n;
	add(&x->count.rx_pkts, n);
	if (__builtin_expect(x->is_napi_unknown, false)) {
		x->is_napi_unknown = false;
		tp_afxdp_find_napi(x);
	}
	return n;
}

static uint32_t afxdp_tx(struct tp_port *port, const struct tp_frame frames[], uint32_t n)
{
	struct tp_afxdp *x = afxdp_of(port);
	uint32_t at = 0;
	uint32_t room, i;

	room = x->max_tx - x->n_tx;
	if (n > room)
		n = room;
	room = xsk_prod_nb_free(&x->tx, n);
	if (n > room)
		n = room;
	if (n == 0)
		return 0;

	xsk_ring_prod__reserve(&x->tx, n, &at);
	for (i = 0; i < n; i++) {
		struct xdp_desc *desc = xsk_ring_prod__tx_desc(&x->tx, at + i);
		uint64_t addr = (uint64_t)(frames[i].data - x->umem->area);

		/* The kernel drops what breaks these, on some versions without a completion. */
		assert(frames[i].len > 0 && umem_chunk_of(x->umem, addr) == frames[i].cookie);
		assert(umem_chunk_of(x->umem, addr + frames[i].len - 1) == frames[i].cookie);
		desc->addr = addr;
		desc->len = frames[i].len;
		desc->options = 0;
	}
	xsk_ring_prod__submit(&x->tx, n);
	x->n_tx += n;
	add(&x->count.tx_pkts, n);
	return n;
}

/* Descriptors that the kernel has not taken yet. */
static uint32_t tx_waiting(const struct tp_afxdp *x)
{
	return x->tx.cached_prod - __atomic_load_n(x->tx.consumer, __ATOMIC_RELAXED);
}

/* In copy mode sendto() is the transmission; in zero-copy mode the driver says when it sleeps. */
static bool wants_kick(const struct tp_afxdp *x)
{
	if (x->n_tx == 0)
		return false;
	if (!x->is_zerocopy)
		return tx_waiting(x) > 0;
	return tp_afxdp_is_busy_poll(x) || xsk_ring_prod__needs_wakeup(&x->tx);
}

/*
 * Ask the kernel to transmit: one call where it can, more where its budget per call is small,
 * never more than the ring could need.  What is left is kicked by the next flush.
 */
static void kick(struct tp_afxdp *x)
{
	uint32_t tries = tx_waiting(x) / KICK_BUDGET + KICK_SPARE;
	uint32_t before;

	for (; tries > 0; tries--) {
		before = tx_waiting(x);
		add(&x->count.tx_kicks, 1);
		if (sendto(x->tx_fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			return;
		switch (errno) {
		case EBUSY: /* the driver dropped a frame, and completes it */
			add(&x->count.tx_errors, 1);
			break;
		case EAGAIN:
		case EINTR:
		case ENOBUFS:
			break;
		default: /* ENETDOWN, ENXIO: try again later, the frames stay queued */
			add(&x->count.tx_errors, 1);
			x->holdoff = KICK_HOLDOFF;
			return;
		}
		complete(x); /* a full completion ring is one reason for EAGAIN */
		if (tx_waiting(x) == 0 || tx_waiting(x) == before)
			return;
	}
}

static void afxdp_flush(struct tp_port *port)
{
	struct tp_afxdp *x = afxdp_of(port);
	bool has_kicked = false;

	if (x->holdoff > 0) {
		x->holdoff--;
	} else if (wants_kick(x)) {
		kick(x);
		has_kicked = true;
	}
	complete(x);
	tp_afxdp_refill(x);

	/* A busy-polling sendto() has received as well, if it was the receiving socket's. */
	if (xsk_ring_prod__needs_wakeup(&x->fill) ||
			(tp_afxdp_is_busy_poll(x) && (!has_kicked || x->tx_fd != x->rx_fd)))
		recvfrom(x->rx_fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static void afxdp_release(struct tp_port *port, const struct tp_frame frames[], uint32_t n)
{
	struct tp_afxdp *x = afxdp_of(port);
	uint32_t i;

	for (i = 0; i < n; i++)
		umem_push(x->umem, &frames[i].cookie, 1);
}

static uint32_t afxdp_alloc(struct tp_port *port, struct tp_frame frames[], uint32_t n)
{
	struct tp_afxdp *x = afxdp_of(port);
	uint64_t addr[TP_BURST];

	assert(n <= TP_BURST);
	n = umem_pop(x->umem, addr, n);
	for (uint32_t i = 0; i < n; i++)
		frames[i] = (struct tp_frame){
			.data = x->umem->area + addr[i] + TP_UMEM_HEADROOM,
			.headroom = TP_UMEM_HEADROOM,
			.tailroom = (uint16_t)((1u << x->umem->chunk_shift) - TP_UMEM_HEADROOM),
			.port = port->index,
			.cookie = addr[i],
		};
	return n;
}

static int afxdp_fd(const struct tp_port *port)
{
	return const_afxdp_of(port)->rx_fd;
}

static void afxdp_info(const struct tp_port *port, struct tp_port_info *out)
{
	const struct tp_afxdp *x = const_afxdp_of(port);

	*out = (struct tp_port_info){
		.driver = "afxdp",
		.mode = tp_xdp_mode_name(x->mode),
		.queue = x->queue,
		.is_busy_poll = tp_afxdp_is_busy_poll(x),
		.frames = x->umem->chunks,
	};
	memcpy(out->name, x->ifname, sizeof(out->name));
}

static void afxdp_stats(const struct tp_port *port, struct tp_port_stats *out)
{
	const struct tp_afxdp *x = const_afxdp_of(port);
	struct xdp_statistics rx = { 0 }, tx = { 0 };
	socklen_t rx_len = sizeof(rx), tx_len = sizeof(tx);

	getsockopt(x->rx_fd, SOL_XDP, XDP_STATISTICS, &rx, &rx_len);
	getsockopt(x->tx_fd, SOL_XDP, XDP_STATISTICS, &tx, &tx_len);
	*out = (struct tp_port_stats){
		.rx_dropped = rx.rx_dropped,
		.rx_invalid_descs = rx.rx_invalid_descs,
		.tx_invalid_descs = tx.tx_invalid_descs,
		.rx_ring_full = rx.rx_ring_full,
		.rx_fill_ring_empty_descs = rx.rx_fill_ring_empty_descs,
		.tx_ring_empty_descs = tx.tx_ring_empty_descs,
		.rx_overload = x->queue_count == NULL
				? 0
				: __atomic_load_n(&x->queue_count->dropped, __ATOMIC_RELAXED),
	};
#define X(name) out->name = atomic_load_explicit(&x->count.name, memory_order_relaxed);
	TP_PORT_COUNTERS(X)
#undef X
}

static void afxdp_close(struct tp_port *port)
{
	struct tp_afxdp *x = afxdp_of(port);
	uint64_t deadline_ns = tp_clock_now_ns() + DRAIN_NS;

	while (x->n_tx > 0 && tp_clock_now_ns() < deadline_ns) {
		if (wants_kick(x))
			kick(x);
		complete(x);
		if (x->n_tx > 0)
			usleep(1000);
	}
	tp_afxdp_close_sockets(x);
}

const struct tp_port_ops tp_afxdp_ops = {
	.rx = afxdp_rx,
	.tx = afxdp_tx,
	.flush = afxdp_flush,
	.release = afxdp_release,
	.alloc = afxdp_alloc,
	.fd = afxdp_fd,
	.info = afxdp_info,
	.stats = afxdp_stats,
	.close = afxdp_close,
};

int tp_afxdp_fd(const struct tp_port *port)
{
	return afxdp_fd(port);
}

enum tp_xdp_mode tp_afxdp_mode(const struct tp_port *port)
{
	return const_afxdp_of(port)->mode;
}

uint32_t tp_afxdp_in_rings(const struct tp_port *port)
{
	const struct tp_afxdp *x = const_afxdp_of(port);

	return x->n_fill + x->n_tx;
}
