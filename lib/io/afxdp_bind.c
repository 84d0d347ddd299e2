/* SPDX-License-Identifier: Apache-2.0 */
#include "io/afxdp_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "bpf/steer.h"
#include "io/netdev.h"

#include <xdp/libxdp.h>
#include <xdp/xsk.h>

#include <errno.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* Linux 6.17 */
#endif

#define BUSY_RETRY_NS (3 * TP_NS_PER_SEC)
#define BUSY_SLEEP_US 50000

#define SNDBUF_BYTES (8 << 20) /* a full ring of skbs, charged up to 4 KB each */
#define TX_SKB_BUDGET 256      /* descriptors for one sendto(); the kernel's default is 32 */
#define BUSY_POLL_USEC 20      /* any value above 0 */
#define BUSY_POLL_BUDGET TP_BURST

/*
 * Take the chunks of the first filling back, as long as they are known: once a chunk was received,
 * the ring no longer tells which the kernel has.  A closed socket that owns the registration lives
 * on while the others do, and with it what it has.
 */
static void unfill(struct tp_afxdp *x)
{
	bool lives_on = x->umem->ports > 1 && xsk_umem__fd(x->umem->xsk) == x->rx_fd;
	uint32_t i;

	if (x->fill.cached_prod != x->n_fill || lives_on)
		return;
	for (i = 0; i < x->n_fill; i++) {
		uint64_t addr = *xsk_ring_prod__fill_addr(&x->fill, i);

		umem_push(x->umem, &addr, 1);
	}
	x->n_fill = 0;
}

/*
 * Before Linux 6.13 a socket learns its NAPI id from its first packet, from then on when it is
 * bound; without one the kernel ignores the busy-poll options.
 */
void tp_afxdp_find_napi(struct tp_afxdp *x)
{
	unsigned int id = 0;
	socklen_t len = sizeof(id);

	if (getsockopt(x->rx_fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &len) == 0 && id != 0)
		atomic_store_explicit(&x->is_busy_poll, true, memory_order_relaxed);
}

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
	tp_afxdp_refill(x); /* some drivers start to receive when the socket is bound */
	return 0;
}

static void unregister_umem(struct tp_afxdp *x)
{
	unfill(x);
	xsk_umem__delete(x->umem->xsk);
	x->umem->xsk = NULL;
}

static int map_tx_ring(struct tp_afxdp *x)
{
	const uint32_t size = TP_AFXDP_RING;
	struct xdp_mmap_offsets off = { 0 };
	socklen_t len = sizeof(off);
	uint8_t *map;

	if (setsockopt(x->tx_fd, SOL_XDP, XDP_TX_RING, &size, sizeof(size)) != 0 ||
			getsockopt(x->tx_fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len) != 0)
		return -errno;
	x->tx_map_bytes = off.tx.desc + size * sizeof(struct xdp_desc);
	map = mmap(NULL, x->tx_map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			x->tx_fd, XDP_PGOFF_TX_RING);
	if (map == MAP_FAILED)
		return -errno;
	x->tx_map = map;
	x->tx = (struct xsk_ring_prod){
		.mask = size - 1,
		.size = size,
		.cached_cons = size, /* ahead of the consumer by the size, as xsk.h counts */
		.producer = (void *)(map + off.tx.producer),
		.consumer = (void *)(map + off.tx.consumer),
		.flags = (void *)(map + off.tx.flags),
		.ring = map + off.tx.desc,
	};
	return 0;
}

static void close_tx_socket(struct tp_afxdp *x)
{
	if (x->tx_map != NULL)
		munmap(x->tx_map, x->tx_map_bytes);
	x->tx_map = NULL;
	if (x->tx_fd >= 0)
		close(x->tx_fd);
	x->tx_fd = -1;
}

/* The umem's registration goes with its last socket, so that the queues are free at once. */
void tp_afxdp_close_sockets(struct tp_afxdp *x)
{
	struct tp_umem *umem = x->umem;

	if (x->count_map != NULL)
		munmap(x->count_map, (size_t)sysconf(_SC_PAGESIZE));
	if (x->tx_map != NULL)
		close_tx_socket(x);
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

/*
 * The socket that only sends.  It shares rings with the receiving one, which libxdp can not ask
 * for: it names the socket that registered the memory, and that may be another interface's.
 */
static int open_tx_socket(struct tp_afxdp *x)
{
	const struct sockaddr_xdp addr = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_SHARED_UMEM,
		.sxdp_ifindex = if_nametoindex(x->ifname),
		.sxdp_queue_id = x->queue,
		.sxdp_shared_umem_fd = (uint32_t)x->rx_fd,
	};
	int err;

	x->tx_fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	err = x->tx_fd < 0 ? -errno : map_tx_ring(x);
	if (err == 0 && bind(x->tx_fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		err = -errno;
	if (err != 0)
		close_tx_socket(x);
	return err;
}

/* A socket that receives, and sends too unless another one does. */
static int open_sockets(struct tp_afxdp *x, const struct xsk_socket_config *config, bool is_split)
{
	int err;

	err = xsk_socket__create_shared(&x->xsk, x->ifname, x->queue, x->umem->xsk, &x->rx,
			is_split ? NULL : &x->tx, &x->fill, &x->comp, config);
	if (err != 0) {
		x->xsk = NULL;
		return err;
	}
	x->rx_fd = x->tx_fd = xsk_socket__fd(x->xsk);
	if (!is_split)
		return 0;
	err = open_tx_socket(x);
	if (err != 0) {
		xsk_socket__delete(x->xsk);
		x->xsk = NULL;
	}
	return err;
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
	err = open_sockets(x, &config, is_first ? mode_flag == XDP_COPY : !x->umem->is_zerocopy);
	if (err != 0) {
		if (is_first)
			unregister_umem(x);
		return err;
	}
	x->umem->ports++;
	if (!is_first)
		tp_afxdp_refill(x);
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

	if (getsockopt(x->rx_fd, SOL_XDP, XDP_OPTIONS, &options, &len) != 0)
		return -errno;
	x->is_zerocopy = x->umem->is_zerocopy = options.flags & XDP_OPTIONS_ZEROCOPY;
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

	if (setsockopt(x->tx_fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf)) != 0)
		tp_debug("%s queue %u: send buffer: %s", x->ifname, x->queue, strerror(errno));
	if (!x->is_zerocopy &&
			setsockopt(x->tx_fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &skb_budget,
					sizeof(skb_budget)) != 0)
		tp_debug("%s queue %u: transmit budget: %s", x->ifname, x->queue, strerror(errno));
	if (!busy_poll)
		return;
	if (setsockopt(x->rx_fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &prefer, sizeof(prefer)) != 0 ||
			setsockopt(x->rx_fd, SOL_SOCKET, SO_BUSY_POLL, &usec, sizeof(usec)) != 0 ||
			setsockopt(x->rx_fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget,
					sizeof(budget)) != 0) {
		tp_debug("%s queue %u: busy polling: %s", x->ifname, x->queue, strerror(errno));
		return;
	}
	tp_afxdp_find_napi(x);
	x->is_napi_unknown = !tp_afxdp_is_busy_poll(x);
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
	x->port.ops = &tp_afxdp_ops;
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
	tp_afxdp_close_sockets(x);
	return err;
}

int tp_afxdp_count_in(struct tp_port *port, int map_fd)
{
	struct tp_afxdp *x = (struct tp_afxdp *)(void *)port;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t at = x->queue * sizeof(struct tp_bpf_queue);
	uint8_t *map;

	map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd,
			(off_t)(at & ~(page - 1)));
	if (map == MAP_FAILED)
		return -errno;
	x->count_map = map;
	x->queue_count = (struct tp_bpf_queue *)(void *)(map + (at & (page - 1)));
	return 0;
}
