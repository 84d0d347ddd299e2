/* SPDX-License-Identifier: Apache-2.0 */
/*
 * afxdp - the AF_XDP port: one queue of one interface.
 *
 * Binding follows the ladder zero-copy, copy (or generic mode when the program is attached
 * there) and reads back from the kernel what was got.  XDP_USE_NEED_WAKEUP always;
 * SO_PREFER_BUSY_POLL where the socket has a NAPI id.  The steps of a burst: rx refills the
 * fill ring first, then peeks; tx only queues; flush is the one system call, then completions.
 *
 * In copy and skb mode there are two sockets on the queue, one that receives and one that sends,
 * with one fill and one completion ring: the kernel counts the memory of packets being sent in the
 * socket's own cache lines, which the softirq that receives would otherwise fetch for each packet
 * (bench/README.md, Findings).  In zero-copy mode the kernel touches no socket, and there is one.
 *
 * Threads: see port.h.  Creation by the control thread, before the worker runs.
 */
#ifndef TP_IO_AFXDP_H
#define TP_IO_AFXDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/why.h"
#include "io/port.h"
#include "io/steer.h"
#include "io/umem.h"

#define TP_AFXDP_RING 2048 /* descriptors in each ring */

struct tp_afxdp_conf {
	const char *ifname;
	uint16_t index; /* of the interface in the configuration */
	uint32_t queue;
	enum tp_xdp_mode want; /* TP_XDP_SKB when the program is attached in generic mode */
	bool busy_poll;        /* ask for preferred busy polling */
	struct tp_umem *umem;  /* borrowed; outlives the port */
};

/**
 * Open and bind; the fill ring is filled.  Retries -EBUSY for up to 3 s, because the kernel frees
 * the sockets of a process that was just killed in the background.
 *
 * @return 0 or -E with a sentence in *why; *out is released with tp_port_close(), after the program
 *         was detached.  What is in its rings then comes back to the umem only when it never
 *         received: a port that worked is closed before its umem is freed, not to be opened again.
 */
int tp_afxdp_new(const struct tp_afxdp_conf *conf, struct tp_port **out, struct tp_why *why);

/** The socket that receives, for the XSKMAP. */
int tp_afxdp_fd(const struct tp_port *port);

/**
 * Tell the XDP program how many frames were taken, so that it drops early what this queue's worker
 * could not take.  Before traffic is directed here.
 *
 * @param map_fd  array of struct tp_bpf_queue by queue (bpf/steer.h); borrowed for the call
 * @return 0 or -E
 */
int tp_afxdp_count_in(struct tp_port *port, int map_fd);

/** Mode got: TP_XDP_ZEROCOPY, TP_XDP_COPY or TP_XDP_SKB. */
enum tp_xdp_mode tp_afxdp_mode(const struct tp_port *port);

/**
 * Chunks in this port's rings (fill, rx, tx, completion): with tp_umem_free_chunks() and the frames
 * in the worker's hands, they sum to tp_umem_chunks().  Worker thread, or when it has stopped.
 */
uint32_t tp_afxdp_in_rings(const struct tp_port *port);

#endif
