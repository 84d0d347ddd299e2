/* SPDX-License-Identifier: Apache-2.0 */
#include "io/afxdp.h"

#include "base/clock.h"
#include "base/log.h"
#include "io/umem_private.h"

#include <xdp/libxdp.h>
#include <xdp/xsk.h>

#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* Linux 6.17 */
#endif

#define BUSY_RETRY_NS (3 * TP_NS_PER_SEC)
#define BUSY_SLEEP_US 50000
#define DRAIN_NS (100 * TP_NS_PER_MS)

#define SNDBUF_BYTES (8 << 20) /* a full ring of skbs, charged up to 4 KB each */
#define TX_SKB_BUDGET 256      /* descriptors for one sendto(); the kernel's default is 32 */
#define BUSY_POLL_USEC 20      /* any value above 0 */
#define BUSY_POLL_BUDGET TP_BURST

#define KICK_BUDGET 32 /* descriptors that one sendto() takes on any kernel */
#define KICK_SPARE 8
#define KICK_HOLDOFF 64 /* flushes without a kick after the interface refused one */

#define PORT_COUNTERS(X) X(rx_pkts) X(tx_pkts) X(tx_kicks) X(tx_errors)

struct tp_afxdp {
	alignas(64) struct tp_port port; /* first: the tp_port is the tp_afxdp */
	struct tp_umem *umem;
	int fd;
	uint32_t n_fill;  /* chunks put in the fill ring and not yet received */
	uint32_t n_tx;    /* frames queued and not yet completed */
	uint32_t max_tx;  /* bound of n_tx */
	uint32_t holdoff; /* flushes until the next kick is tried */
	bool is_zerocopy;
	bool is_napi_unknown; /* asked to busy poll, but the socket has no NAPI id yet */
	atomic_bool is_busy_poll;
	struct xsk_ring_cons rx;
	struct xsk_ring_prod tx;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons comp;
	struct { /* written by the worker, read by any thread */
#define X(name) _Atomic uint64_t name;
		PORT_COUNTERS(X)
#undef X
	} count;

	/* Cold */
	struct xsk_socket *xsk;
	enum tp_xdp_mode mode;
	uint32_t queue;
	char ifname[IF_NAMESIZE];
};

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

static bool is_busy_poll(const struct tp_afxdp *x)
{
	return atomic_load_explicit(&x->is_busy_poll, memory_order_relaxed);
}

/* Give the kernel as many free chunks as its fill ring has room for. */
static void refill(struct tp_afxdp *x)
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

/*
 * Take the chunks of the first filling back, as long as they are known: once a chunk was received,
 * the ring no longer tells which the kernel has.  A closed socket that owns the registration lives
 * on while the others do, and with it what it has.
 */
static void unfill(struct tp_afxdp *x)
{
	bool lives_on = x->umem->ports > 1 && xsk_umem__fd(x->umem->xsk) == x->fd;
	uint32_t i;

	if (x->fill.cached_prod != x->n_fill || lives_on)
		return;
	for (i = 0; i < x->n_fill; i++) {
		uint64_t addr = *xsk_ring_prod__fill_addr(&x->fill, i);

		umem_push(x->umem, &addr, 1);
	}
	x->n_fill = 0;
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
 * Before Linux 6.13 a socket learns its NAPI id from its first packet, from then on when it is
 * bound; without one the kernel ignores the busy-poll options.
 */
static void find_napi(struct tp_afxdp *x)
{
	unsigned int id = 0;
	socklen_t len = sizeof(id);

	if (getsockopt(x->fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &len) == 0 && id != 0)
		atomic_store_explicit(&x->is_busy_poll, true, memory_order_relaxed);
}

static uint32_t afxdp_rx(struct tp_port *port, struct tp_frame frames[], uint32_t n)
{
	struct tp_afxdp *x = afxdp_of(port);
	const uint64_t chunk_bytes = 1ull << x->umem->chunk_shift;
	uint32_t at = 0;
	uint32_t i;

	/* First, even if nothing is received: an empty fill ring stays empty otherwise. */
	refill(x);

	n = xsk_ring_cons__peek(&x->rx, n, &at);
	if (n == 0)
		return 0;
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

	assert(n <= x->n_fill);
	x->n_fill -= n;
	add(&x->count.rx_pkts, n);
	if (__builtin_expect(x->is_napi_unknown, false)) {
		x->is_napi_unknown = false;
		find_napi(x);
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
	return is_busy_poll(x) || xsk_ring_prod__needs_wakeup(&x->tx);
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
		if (sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
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
	refill(x);

	/* A busy-polling sendto() has received as well. */
	if (xsk_ring_prod__needs_wakeup(&x->fill) || (is_busy_poll(x) && !has_kicked))
		recvfrom(x->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
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
	return const_afxdp_of(port)->fd;
}

static void afxdp_info(const struct tp_port *port, struct tp_port_info *out)
{
	const struct tp_afxdp *x = const_afxdp_of(port);

	*out = (struct tp_port_info){
		.driver = "afxdp",
		.mode = tp_xdp_mode_name(x->mode),
		.queue = x->queue,
		.is_busy_poll = is_busy_poll(x),
		.frames = x->umem->chunks,
	};
	memcpy(out->name, x->ifname, sizeof(out->name));
}

static void afxdp_stats(const struct tp_port *port, struct tp_port_stats *out)
{
	const struct tp_afxdp *x = const_afxdp_of(port);
	struct xdp_statistics kernel = { 0 };
	socklen_t len = sizeof(kernel);

	getsockopt(x->fd, SOL_XDP, XDP_STATISTICS, &kernel, &len);
	*out = (struct tp_port_stats){
		.rx_dropped = kernel.rx_dropped,
		.rx_invalid_descs = kernel.rx_invalid_descs,
		.tx_invalid_descs = kernel.tx_invalid_descs,
		.rx_ring_full = kernel.rx_ring_full,
		.rx_fill_ring_empty_descs = kernel.rx_fill_ring_empty_descs,
		.tx_ring_empty_descs = kernel.tx_ring_empty_descs,
	};
#define X(name) out->name = atomic_load_explicit(&x->count.name, memory_order_relaxed);
	PORT_COUNTERS(X)
#undef X
}

/* The umem's registration goes with its last socket, so that the queues are free at once. */
static void close_socket(struct tp_afxdp *x)
{
	struct tp_umem *umem = x->umem;

	if (x->xsk != NULL) {
		unfill(x);
		xsk_socket__delete(x->xsk);
		umem->ports--;
	}
	if (umem->ports == 0 && umem->xsk != NULL) {
		xsk_umem__delete(umem->xsk);
		umem->xsk = NULL;
	}
	free(x);
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
	close_socket(x);
}

static const struct tp_port_ops afxdp_ops = {
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

__attribute__((format(printf, 2, 0))) static int libxdp_print(
		enum libxdp_print_level level, const char *fmt, va_list ap)
{
	char line[1000];

	if (level == LIBXDP_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	tp_debug("%s", line);
	return 0;
}

/* Register the memory by the first socket; its fill ring is full before it is bound. */
static int register_umem(struct tp_afxdp *x)
{
	struct tp_umem *umem = x->umem;
	const struct xsk_umem_config config = {
		.fill_size = umem->ring_size,
		.comp_size = umem->ring_size,
		.frame_size = 1u << umem->chunk_shift,
		.frame_headroom = 0,
	};
	int err;

	err = xsk_umem__create(&umem->xsk, umem->area, (uint64_t)umem->chunks << umem->chunk_shift,
			&x->fill, &x->comp, &config);
	if (err != 0) {
		umem->xsk = NULL;
		return err;
	}
	refill(x); /* some drivers start to receive when the socket is bound */
	return 0;
}

static void unregister_umem(struct tp_afxdp *x)
{
	unfill(x);
	xsk_umem__delete(x->umem->xsk);
	x->umem->xsk = NULL;
}

/* Bind once, in one mode.  Sockets after the umem's first inherit the mode from it. */
static int bind_once(struct tp_afxdp *x, uint16_t mode_flag)
{
	const struct xsk_socket_config config = {
		.rx_size = TP_AFXDP_RING,
		.tx_size = TP_AFXDP_RING,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = (uint16_t)(mode_flag | XDP_USE_NEED_WAKEUP),
	};
	bool is_first = x->umem->ports == 0;
	int err;

	/* libxdp sets some of their members only, and an attempt before this one may have set
	 * others. */
	memset(&x->rx, 0, sizeof(x->rx));
	memset(&x->tx, 0, sizeof(x->tx));
	memset(&x->fill, 0, sizeof(x->fill));
	memset(&x->comp, 0, sizeof(x->comp));
	if (is_first) {
		err = register_umem(x);
		if (err != 0)
			return err;
	}
	err = xsk_socket__create_shared(&x->xsk, x->ifname, x->queue, x->umem->xsk, &x->rx, &x->tx,
			&x->fill, &x->comp, &config);
	if (err != 0) {
		x->xsk = NULL;
		if (is_first)
			unregister_umem(x);
		return err;
	}
	x->umem->ports++;
	x->fd = xsk_socket__fd(x->xsk);
	if (!is_first)
		refill(x);
	return 0;
}

/* The kernel closes the sockets of a killed process in the background: wait for the queue. */
static int bind_retrying(struct tp_afxdp *x, uint16_t mode_flag)
{
	uint64_t deadline_ns = tp_clock_now_ns() + BUSY_RETRY_NS;
	int err;

	while ((err = bind_once(x, mode_flag)) == -EBUSY && tp_clock_now_ns() < deadline_ns)
		usleep(BUSY_SLEEP_US);
	return err;
}

static int bind_ladder(struct tp_afxdp *x, enum tp_xdp_mode want)
{
	int err = -EOPNOTSUPP;

	if (want == TP_XDP_AUTO || want == TP_XDP_ZEROCOPY)
		err = bind_retrying(x, XDP_ZEROCOPY);
	if (want == TP_XDP_ZEROCOPY || err == 0 || err == -EBUSY)
		return err;
	return bind_retrying(x, XDP_COPY);
}

static int read_mode(struct tp_afxdp *x, enum tp_xdp_mode want)
{
	struct xdp_options options = { 0 };
	socklen_t len = sizeof(options);

	if (getsockopt(x->fd, SOL_XDP, XDP_OPTIONS, &options, &len) != 0)
		return -errno;
	x->is_zerocopy = options.flags & XDP_OPTIONS_ZEROCOPY;
	x->mode = x->is_zerocopy ? TP_XDP_ZEROCOPY : want == TP_XDP_SKB ? TP_XDP_SKB : TP_XDP_COPY;
	return 0;
}

static int bind_refused(
		const struct tp_afxdp *x, enum tp_xdp_mode want, int err, struct tp_why *why)
{
	switch (err) {
	case -EBUSY:
		return tp_why_set(why, err,
				"%s queue %u: another AF_XDP socket is bound to this queue; stop the "
				"program that owns it",
				x->ifname, x->queue);
	case -EPERM:
		return tp_why_set(why, err,
				"%s queue %u: cannot open an AF_XDP socket: not permitted; run as root "
				"or with the capabilities CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF",
				x->ifname, x->queue);
	case -ENOBUFS:
		return tp_why_set(why, err,
				"%s queue %u: cannot lock packet memory: raise the limit "
				"(LimitMEMLOCK=infinity) or grant CAP_IPC_LOCK",
				x->ifname, x->queue);
	case -EAFNOSUPPORT:
		return tp_why_set(why, err,
				"%s queue %u: this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)",
				x->ifname, x->queue);
	default:
		return tp_why_set(why, err,
				"%s queue %u: cannot bind an AF_XDP socket in mode %s: %s%s",
				x->ifname, x->queue, tp_xdp_mode_name(want), strerror(-err),
				x->umem->ports == 0
						? ""
						: "; it shares its core's memory with an interface "
						  "bound before it, and must be able to do the "
						  "same mode");
	}
}

/* Speed, not correctness: what the kernel refuses or does not know is left as it is. */
static void tune(struct tp_afxdp *x, bool busy_poll)
{
	const int sndbuf = SNDBUF_BYTES, skb_budget = TX_SKB_BUDGET;
	const int prefer = 1, usec = BUSY_POLL_USEC, budget = BUSY_POLL_BUDGET;

	if (setsockopt(x->fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf)) != 0)
		tp_debug("%s queue %u: send buffer: %s", x->ifname, x->queue, strerror(errno));
	if (!x->is_zerocopy &&
			setsockopt(x->fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &skb_budget,
					sizeof(skb_budget)) != 0)
		tp_debug("%s queue %u: transmit budget: %s", x->ifname, x->queue, strerror(errno));
	if (!busy_poll)
		return;
	if (setsockopt(x->fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &prefer, sizeof(prefer)) != 0 ||
			setsockopt(x->fd, SOL_SOCKET, SO_BUSY_POLL, &usec, sizeof(usec)) != 0 ||
			setsockopt(x->fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget,
					sizeof(budget)) != 0) {
		tp_debug("%s queue %u: busy polling: %s", x->ifname, x->queue, strerror(errno));
		return;
	}
	find_napi(x);
	x->is_napi_unknown = !is_busy_poll(x);
}

static int check_conf(const struct tp_afxdp_conf *conf, struct tp_why *why)
{
	uint32_t queues = tp_if_queues(conf->ifname);

	if (queues == 0)
		return tp_why_set(why, -ENODEV, "%s: no such interface", conf->ifname);
	if (conf->queue >= queues)
		return tp_why_set(why, -EINVAL, "%s queue %u: the interface has %u (ethtool -L)",
				conf->ifname, conf->queue, queues);
	if (conf->want == TP_XDP_OFF)
		return tp_why_set(why, -EINVAL, "%s queue %u: mode off", conf->ifname, conf->queue);
	if (tp_umem_free_chunks(conf->umem) < conf->umem->ring_size)
		return tp_why_set(why, -ENOBUFS,
				"%s queue %u: %u free chunks of packet memory, fewer than the fill "
				"ring's %u",
				conf->ifname, conf->queue, tp_umem_free_chunks(conf->umem),
				conf->umem->ring_size);
	return 0;
}

static struct tp_afxdp *port_alloc(const struct tp_afxdp_conf *conf)
{
	uint32_t max_tx = conf->umem->chunks / 2; /* a stuck peer must not hold all the memory */
	struct tp_afxdp *x;

	x = aligned_alloc(alignof(struct tp_afxdp), sizeof(*x));
	if (x == NULL)
		return NULL;
	memset(x, 0, sizeof(*x));
	if (max_tx > TP_AFXDP_RING)
		max_tx = TP_AFXDP_RING;
	if (max_tx > conf->umem->ring_size) /* the completion ring */
		max_tx = conf->umem->ring_size;
	x->port.ops = &afxdp_ops;
	x->port.index = conf->index;
	x->port.memory = conf->umem;
	x->umem = conf->umem;
	x->queue = conf->queue;
	x->max_tx = max_tx;
	snprintf(x->ifname, sizeof(x->ifname), "%s", conf->ifname);
	return x;
}

int tp_afxdp_new(const struct tp_afxdp_conf *conf, struct tp_port **out, struct tp_why *why)
{
	struct tp_afxdp *x;
	int err;

	err = check_conf(conf, why);
	if (err != 0)
		return err;
	x = port_alloc(conf);
	if (x == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	libxdp_set_print(libxdp_print);

	err = bind_ladder(x, conf->want);
	if (err == 0)
		err = read_mode(x, conf->want);
	if (err != 0) {
		bind_refused(x, conf->want, err, why);
		goto err_socket;
	}
	if (conf->want != TP_XDP_AUTO && x->mode != conf->want) {
		err = tp_why_set(why, -EOPNOTSUPP,
				"%s queue %u: got mode %s instead of %s, from the interface that "
				"shares its core's memory; interfaces of one core must use one mode",
				x->ifname, x->queue, tp_xdp_mode_name(x->mode),
				tp_xdp_mode_name(conf->want));
		goto err_socket;
	}
	tune(x, conf->busy_poll);
	*out = &x->port;
	return 0;

err_socket:
	close_socket(x);
	return err;
}

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

static uint32_t count_sysfs_queues(const char *ifname)
{
	char path[64 + IF_NAMESIZE];
	const struct dirent *entry;
	uint32_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/net/%s/queues", ifname);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL)
		n += strncmp(entry->d_name, "rx-", 3) == 0;
	closedir(dir);
	return n;
}

/* @param[in,out] question  begins with its command */
static bool ethtool_ask(const char *ifname, void *question)
{
	struct ifreq ifr = { .ifr_data = question };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_known;

	if (fd < 0)
		return false;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	is_known = ioctl(fd, SIOCETHTOOL, &ifr) == 0;
	close(fd);
	return is_known;
}

bool tp_if_strips_vlan(const char *ifname)
{
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };

	return ethtool_ask(ifname, &flags) && (flags.data & ETH_FLAG_RXVLAN) != 0;
}

uint32_t tp_if_queues(const char *ifname)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	uint32_t n;

	if (if_nametoindex(ifname) == 0)
		return 0;
	if (!ethtool_ask(ifname, &channels))
		channels.rx_count = channels.combined_count = 0;
	n = channels.rx_count + channels.combined_count;
	if (n == 0)
		n = count_sysfs_queues(ifname);
	return n > 0 ? n : 1; /* a driver that tells nothing has one */
}

char *tp_if_queues_command(const char *ifname, uint32_t n, char *buf, size_t room)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };

	/* Some drivers pair the queues of both directions, others count them apart. */
	if (ethtool_ask(ifname, &channels) && channels.max_combined == 0 && channels.max_rx != 0)
		snprintf(buf, room, "ethtool -L %s rx %u tx %u", ifname, n, n);
	else
		snprintf(buf, room, "ethtool -L %s combined %u", ifname, n);
	return buf;
}
