/* SPDX-License-Identifier: Apache-2.0 */
/*
 * afxdp_private - what afxdp.c (the bursts) and afxdp_bind.c (the sockets) share.
 *
 * Threads: as port.h.
 */
#ifndef TP_IO_AFXDP_PRIVATE_H
#define TP_IO_AFXDP_PRIVATE_H

#include <stdalign.h>
#include <stdatomic.h>

#include "io/afxdp.h"
#include "io/umem_private.h"

#define TP_PORT_COUNTERS(X) X(rx_pkts) X(tx_pkts) X(tx_kicks) X(tx_errors)

struct tp_afxdp {
	alignas(64) struct tp_port port; /* first: the tp_port is the tp_afxdp */
	struct tp_umem *umem;
	int rx_fd, tx_fd;                 /* the same but in copy and skb mode: see afxdp.h */
	uint32_t n_fill;                  /* chunks put in the fill ring and not yet received */
	uint32_t n_tx;                    /* frames queued and not yet completed */
	uint32_t max_tx;                  /* bound of n_tx */
	uint32_t holdoff;                 /* flushes until the next kick is tried */
	uint32_t n_empty;                 /* receptions of nothing in a row */
	struct tp_bpf_queue *queue_count; /* shared with the XDP program; NULL: it does not count */
	bool is_zerocopy;
	bool is_napi_unknown; /* asked to busy poll, but the socket has no NAPI id yet */
	atomic_bool is_busy_poll;
	struct xsk_ring_cons rx;
	struct xsk_ring_prod tx;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons comp;
	struct { /* written by the worker, read by any thread */
#define X(name) _Atomic uint64_t name;
		TP_PORT_COUNTERS(X)
#undef X
	} count;

	/* Cold */
	struct xsk_socket *xsk; /* receives */
	void *tx_map;           /* the ring of the socket that sends; NULL: xsk does */
	size_t tx_map_bytes;
	void *count_map; /* the page that queue_count lies in */
	enum tp_xdp_mode mode;
	uint32_t queue;
	char ifname[IF_NAMESIZE];
};

extern const struct tp_port_ops tp_afxdp_ops;

static inline bool tp_afxdp_is_busy_poll(const struct tp_afxdp *x)
{
	return atomic_load_explicit(&x->is_busy_poll, memory_order_relaxed);
}

/** Give the kernel as many free chunks as its fill ring has room for. */
void tp_afxdp_refill(struct tp_afxdp *x);

/** If the receiving socket has a NAPI id by now, busy polling is in force. */
void tp_afxdp_find_napi(struct tp_afxdp *x);

/** Close the sockets and free x; with the umem's last one its registration goes. */
void tp_afxdp_close_sockets(struct tp_afxdp *x);

#endif
