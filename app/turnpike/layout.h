/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout - interfaces, queues and cores: the configuration's plan made real.
 *
 * Attaches XDP to every interface that wants it, opens one AF_XDP socket for each queue in the
 * UMEM of the core that owns it, and makes the workers.  A receive queue without a worker would
 * silently be slow, so such a layout is refused, with the command that mends it.  DPDK devices are
 * opened and get their way to the kernel (layout_dpdk.c).
 *
 * Threads: control.
 */
#ifndef TP_APP_LAYOUT_H
#define TP_APP_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/why.h"
#include "conf.h"
#include "io/dpdk.h"
#include "io/exception.h"
#include "io/netlink.h"
#include "io/steer.h"
#include "worker.h"

struct tp_layout_interface {
	const struct tp_conf_interface *conf;
	struct tp_nl_link link; /* of the kernel interface */
	enum tp_xdp_mode mode;  /* got: the least of its queues'; TP_XDP_OFF; not of DPDK */
	struct tp_steer_if *steer;
	bool has_vlan;        /* it had one since the start */
	struct tp_dpdk *dpdk; /* NULL: not of DPDK, or not open */
	uint32_t exception;   /* DPDK: its number there */
	bool has_carrier;     /* DPDK: as its kernel interface was told */
};

/* A worker in the making: its packet memory and its ports. */
struct tp_layout_plan {
	struct tp_umem *umem;      /* of its AF_XDP ports; NULL: none */
	struct tp_dpdk_pool *pool; /* of its DPDK ports; the layout's.  NULL: none */
	uint32_t frame_bytes;      /* the largest of both */
	struct tp_port *ports[TP_WORKER_MAX_PORTS];
	uint32_t n_ports;
};

struct tp_layout {
	const struct tp_conf *conf;
	struct tp_layout_interface *interfaces; /* in configuration order */
	uint32_t n_interfaces;
	struct tp_layout_plan *plans; /* one for each core, until it is a worker */
	struct tp_worker **workers;
	uint32_t n_workers;
	struct tp_dpdk_pool **pools;    /* of core i; NULL: none */
	struct tp_exception *exception; /* NULL: no DPDK */
};

/** Have workers this interface? */
static inline bool tp_layout_is_fast(const struct tp_layout_interface *li)
{
	return li->dpdk != NULL || li->mode != TP_XDP_OFF;
}

/** "dpdk", or the name of the mode got. */
const char *tp_layout_mode_name(const struct tp_layout_interface *li);

/** Does the configuration want DPDK ports?  Then the EAL is started before tp_layout_open(). */
bool tp_layout_has_dpdk(const struct tp_conf *conf);

/** Memory that the EAL must have for the frames of DPDK ports; after tp_layout_check(). */
uint64_t tp_layout_dpdk_bytes(const struct tp_layout *layout);

/**
 * Look at the machine: do the interfaces exist, does each of their queues have a worker?
 *
 * @param conf      borrowed
 * @param[out] out  interfaces filled, no workers; released with tp_layout_close(), also on error
 */
int tp_layout_check(const struct tp_conf *conf, struct tp_nl *nl, struct tp_layout *out,
		struct tp_why *why);

/**
 * Attach XDP and open the ports: what needs privileges.  For DPDK ports the EAL is up.
 *
 * The interfaces of a core share its packet memory, and with it the mode of the first.  Where one
 * of several can not do zero-copy, those that are left to `auto` all use copy.
 *
 * On error tp_layout_close() is still due.
 */
int tp_layout_open(struct tp_layout *layout, struct tp_steer *steer, struct tp_why *why);

/**
 * Make the workers, not yet started; the EAL is up.  Worker i has tally i.
 *
 * On error tp_layout_close() is still due.
 */
int tp_layout_make_workers(struct tp_layout *layout, struct tp_grace *grace,
		const struct tp_flow_table *flows, struct tp_accounts *accounts,
		struct tp_why *why);

/** Let workers have frames with this VLAN tag, or not: the kernel has, or has not, such a VLAN. */
void tp_layout_set_vlan(struct tp_layout *layout, uint32_t interface, uint16_t vlan, bool is_up);

/** Every second or so: what DPDK devices tell of their links is told to the kernel. */
void tp_layout_tick(struct tp_layout *layout);

/** Start the workers, and with DPDK ports the thread to the kernel.  @return 0, -EBUSY or -errno */
int tp_layout_start(struct tp_layout *layout);

/** Detach XDP first, so that traffic goes to the kernel, then stop and free the workers. */
void tp_layout_close(struct tp_layout *layout);

#endif
