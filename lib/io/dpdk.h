/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk - ports on any DPDK ethdev: a device, opened once, and one port for each of its queues.
 *
 * The kernel does not see what such a device receives, so a port does in user space what XDP and
 * the kernel do for an AF_XDP port: frames that the steering rules take are the worker's, all
 * others go to a kernel interface (see exception.h), and what the kernel sends there leaves by
 * the port of queue 0.  Frames are mbufs: cookie is the mbuf, and a header that grows moves
 * data_off into the headroom.  One memory pool for each worker, on the NUMA node of its device:
 * ports of the same worker take each other's frames.
 *
 * Order: open, one tp_dpdk_port_new() for each queue, start; at the end the worker stops and
 * closes its ports, then tp_dpdk_close(), then tp_dpdk_pool_free().
 *
 * Threads: see port.h; devices and pools: control.  The EAL is up.
 */
#ifndef TP_IO_DPDK_H
#define TP_IO_DPDK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/why.h"
#include "io/handoff.h"
#include "io/port.h"
#include "io/steer_rules.h"

#define TP_DPDK_RING 1024    /* descriptors of each queue, where the device does as asked */
#define TP_DPDK_MTU_MAX 9216 /* bytes */

struct tp_dpdk;      /* a device */
struct tp_dpdk_pool; /* mbufs of one worker */

struct tp_dpdk_conf {
	const char *name;   /* of the interface in the configuration */
	const char *device; /* "0000:3b:00.0", or "net_tap0,iface=x": a virtual one is made */
	uint16_t index;     /* of the interface in the configuration */
	uint32_t queues;
	uint32_t mtu;          /* bytes; of the kernel interface */
	bool wants_interrupts; /* a worker that serves it may sleep */
};

/**
 * Find or make the device and configure it: queues, RSS over UDP ports of both families, MTU,
 * multicast accepted, promiscuity off.
 *
 * @return 0; -ENODEV, -EINVAL (too few queues, MTU), or what the driver said, with a sentence;
 *         *out is released with tp_dpdk_close()
 */
int tp_dpdk_open(const struct tp_dpdk_conf *conf, struct tp_dpdk **out, struct tp_why *why);

/** After all queues have a port: frames flow.  @return 0 or what the driver said */
int tp_dpdk_start(struct tp_dpdk *dev, struct tp_why *why);

/** Stop and release the device; nobody uses its ports any more.  NULL is fine. */
void tp_dpdk_close(struct tp_dpdk *dev);

/** Bytes of room for a frame of a device with this MTU, Ethernet and two VLAN tags included. */
uint32_t tp_dpdk_frame_bytes(uint32_t mtu);

/** Frames that a worker needs for so many ports of devices. */
uint32_t tp_dpdk_pool_frames(uint32_t ports);

/** Bytes of memory that the EAL must have for such a pool. */
uint64_t tp_dpdk_pool_bytes(uint32_t frames, uint32_t frame_bytes);

/**
 * @param name   unique in the process, at most 20 characters
 * @param dev    the device, or one of them: its NUMA node, and where in a cache line its driver
 *               best has frames begin; NULL: any
 * @return 0 or -ENOMEM with a sentence
 */
int tp_dpdk_pool_new(const char *name, uint32_t frames, uint32_t frame_bytes,
		const struct tp_dpdk *dev, struct tp_dpdk_pool **out, struct tp_why *why);

/** After the devices that received into it are closed; a frame that is still out is warned of. */
void tp_dpdk_pool_free(struct tp_dpdk_pool *pool);

/** How many frames the pool has, and how many of them are free; any thread. */
void tp_dpdk_pool_count(const struct tp_dpdk_pool *pool, uint32_t *frames, uint32_t *n_free);

struct tp_dpdk_port_conf {
	uint32_t queue;
	struct tp_dpdk_pool *pool;      /* borrowed */
	struct tp_steer_rules rules;    /* what it points to is borrowed */
	struct tp_handoff *to_kernel;   /* borrowed; frames that are not ours.  NULL: dropped */
	struct tp_handoff *from_kernel; /* borrowed; NULL but for one queue of a device */
	uint32_t slot_bytes;            /* largest frame of to_kernel */
};

/**
 * Set a queue of the device up.  Of a device without receive interrupts port->is_polled is set.
 *
 * @return 0 or what the driver said; *out is released with tp_port_close()
 */
int tp_dpdk_port_new(struct tp_dpdk *dev, const struct tp_dpdk_port_conf *conf,
		struct tp_port **out, struct tp_why *why);

/* What a device is and does; any thread. */
struct tp_dpdk_info {
	const char *driver; /* DPDK's name of it: "net_ice" */
	uint8_t mac[6];
	uint32_t mtu; /* bytes */
	uint32_t queues;
	bool is_up;
	uint32_t link_mbps; /* 0: unknown */
	bool has_rss;       /* over UDP ports of both families */
	bool has_interrupts;
};

void tp_dpdk_info(const struct tp_dpdk *dev, struct tp_dpdk_info *out);

/* The device's own counters, of all queues, as ethdev names them. */
#define TP_DPDK_STATS(X)                                                   \
	X(ipackets, "frames received")                                     \
	X(opackets, "frames sent")                                         \
	X(ibytes, "bytes received")                                        \
	X(obytes, "bytes sent")                                            \
	X(imissed, "frames that the device lost because nobody took them") \
	X(ierrors, "frames received with an error")                        \
	X(oerrors, "frames that could not be sent")                        \
	X(rx_nombuf, "frames lost because the pool was empty")

struct tp_dpdk_stats {
#define X(name, help) uint64_t name;
	TP_DPDK_STATS(X)
#undef X
};

/** Any thread.  @return 0 or -ENOTSUP */
int tp_dpdk_stats(const struct tp_dpdk *dev, struct tp_dpdk_stats *out);

#endif
