/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port - one queue of one interface, as a worker sees it: bursts in, bursts out.
 *
 * The life of a frame: rx gives it to the caller; tx takes it (for the frames it returns as taken)
 * or release does.  Ports that share their memory take each other's frames.
 *
 * Threads: one worker; info and stats: any thread.
 */
#ifndef TP_IO_PORT_H
#define TP_IO_PORT_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/frame.h"

struct tp_port;

struct tp_port_info {
	char name[IF_NAMESIZE];
	const char *driver; /* "afxdp", "dpdk", "mem" */
	const char *mode;   /* "zerocopy", "copy", "skb"; DPDK's name of a device's driver; or "" */
	uint32_t queue;
	bool is_busy_poll; /* SO_PREFER_BUSY_POLL is in force */
	uint32_t frames;   /* in the port's pool, all states */
};

/* Driver and kernel counters, as named in AF_XDP's XDP_STATISTICS where they come from there. */
#define TP_PORT_STATS(X)                                                           \
	X(rx_pkts, "frames received")                                              \
	X(tx_pkts, "frames handed to the kernel for transmission")                 \
	X(tx_kicks, "system calls that asked the kernel to transmit")              \
	X(tx_errors, "transmit calls refused for a reason other than a full ring") \
	X(rx_overload, "XDP: dropped because the worker was too far behind")       \
	X(rx_dropped, "kernel: dropped for other reasons")                         \
	X(rx_invalid_descs, "kernel: invalid receive descriptors")                 \
	X(tx_invalid_descs, "kernel: invalid transmit descriptors")                \
	X(rx_ring_full, "kernel: dropped because the receive ring was full")       \
	X(rx_fill_ring_empty_descs, "kernel: found no frame in the fill ring")     \
	X(tx_ring_empty_descs, "kernel: found no descriptor in the transmit ring") \
	X(to_kernel_pkts, "DPDK: frames that were not ours, given to the kernel")  \
	X(to_kernel_dropped, "DPDK: the same, lost because the kernel was slow")   \
	X(from_kernel_pkts, "DPDK: frames of the kernel, sent")                    \
	X(from_kernel_dropped, "DPDK: frames of the kernel, lost: no room to send")

struct tp_port_stats {
#define X(name, help) uint64_t name;
	TP_PORT_STATS(X)
#undef X
};

struct tp_port_ops {
	uint32_t (*rx)(struct tp_port *port, struct tp_frame frames[], uint32_t n);
	uint32_t (*tx)(struct tp_port *port, const struct tp_frame frames[], uint32_t n);
	void (*flush)(struct tp_port *port);
	void (*release)(struct tp_port *port, const struct tp_frame frames[], uint32_t n);
	uint32_t (*alloc)(struct tp_port *port, struct tp_frame frames[], uint32_t n);
	int (*fd)(const struct tp_port *port);
	bool (*arm)(struct tp_port *port, bool is_going_to_sleep);
	void (*info)(const struct tp_port *port, struct tp_port_info *out);
	void (*stats)(const struct tp_port *port, struct tp_port_stats *out);
	void (*close)(struct tp_port *port);
};

/* First member of every driver's port. */
struct tp_port {
	const struct tp_port_ops *ops;
	uint16_t index;     /* of the interface in the configuration: tp_frame.port */
	bool is_polled;     /* fd does not tell of frames that arrive: who sleeps, sleeps briefly */
	const void *memory; /* ports with the same take each other's frames */
};

/** Receive up to n frames.  @return how many; the caller owns them */
static inline uint32_t tp_port_rx(struct tp_port *port, struct tp_frame frames[], uint32_t n)
{
	return port->ops->rx(port, frames, n);
}

/** Queue frames for sending.  @return how many were taken, from the front; the rest stay the
 * caller's */
static inline uint32_t tp_port_tx(struct tp_port *port, const struct tp_frame frames[], uint32_t n)
{
	return port->ops->tx(port, frames, n);
}

/** Once per burst, also when idle: kick the kernel if needed, collect completions, refill. */
static inline void tp_port_flush(struct tp_port *port)
{
	port->ops->flush(port);
}

/** Give frames back unsent. */
static inline void tp_port_release(struct tp_port *port, const struct tp_frame frames[], uint32_t n)
{
	port->ops->release(port, frames, n);
}

/**
 * Take empty frames of the port's own memory, for what came from other memory: data is behind the
 * headroom, len is 0, and tailroom is all there is.
 *
 * @return how many there were; the caller owns them, for tx or release
 */
static inline uint32_t tp_port_alloc(struct tp_port *port, struct tp_frame frames[], uint32_t n)
{
	return port->ops->alloc(port, frames, n);
}

/**
 * Before the worker sleeps on the descriptor, and after.  Then it must look once more, since frames
 * may have come just before.
 *
 * @return false: frames wait, do not sleep
 */
static inline bool tp_port_arm(struct tp_port *port, bool is_going_to_sleep)
{
	return port->ops->arm == NULL || port->ops->arm(port, is_going_to_sleep);
}

/** @return a descriptor for poll(POLLIN), or -1 */
static inline int tp_port_fd(const struct tp_port *port)
{
	return port->ops->fd(port);
}

static inline void tp_port_info(const struct tp_port *port, struct tp_port_info *out)
{
	port->ops->info(port, out);
}

static inline void tp_port_stats(const struct tp_port *port, struct tp_port_stats *out)
{
	port->ops->stats(port, out);
}

/** Close and free; the worker has stopped. */
static inline void tp_port_close(struct tp_port *port)
{
	port->ops->close(port);
}

#endif
