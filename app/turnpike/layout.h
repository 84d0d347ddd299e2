/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout - interfaces, queues and cores: the configuration's plan made real.
 *
 * Attaches XDP to every interface that wants it, opens one AF_XDP socket for each queue in the
 * UMEM of the core that owns it, and makes the workers.  A receive queue without a worker would
 * silently be slow, so such a layout is refused, with the command that mends it.
 *
 * Threads: control.
 */
#ifndef TP_APP_LAYOUT_H
#define TP_APP_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/why.h"
#include "conf.h"
#include "io/netlink.h"
#include "io/steer.h"
#include "worker.h"

struct tp_layout_interface {
	const struct tp_conf_interface *conf;
	struct tp_nl_link link;
	enum tp_xdp_mode mode; /* got: the least of its queues'; TP_XDP_OFF */
	struct tp_steer_if *steer;
	bool has_vlan; /* it had one since the start */
};

/* A worker in the making: its packet memory and its ports. */
struct tp_layout_plan {
	struct tp_umem *umem;
	uint32_t frame_bytes;
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
};

/**
 * Look at the machine: do the interfaces exist, does each of their queues have a worker?
 *
 * @param conf      borrowed
 * @param[out] out  interfaces filled, no workers; released with tp_layout_close(), also on error
 */
int tp_layout_check(const struct tp_conf *conf, struct tp_nl *nl, struct tp_layout *out,
		struct tp_why *why);

/**
 * Attach XDP and open the ports: what needs privileges.
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

/** Start the workers.  @return 0 or -EBUSY */
int tp_layout_start(struct tp_layout *layout);

/** Detach XDP first, so that traffic goes to the kernel, then stop and free the workers. */
void tp_layout_close(struct tp_layout *layout);

#endif
