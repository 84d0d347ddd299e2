/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout_private - what layout.c and layout_dpdk.c share.
 *
 * Threads: control.
 */
#ifndef TP_APP_LAYOUT_PRIVATE_H
#define TP_APP_LAYOUT_PRIVATE_H

#include "layout.h"

/** How many queues of an interface `cores` names. */
uint32_t tp_layout_queues_wanted(const struct tp_conf *conf, uint32_t interface);

/** Does the machine have the device, and the kernel interface in its place the right kind? */
int tp_layout_dpdk_check(const struct tp_layout_interface *li, struct tp_why *why);

/** Open the devices of all interfaces, and make the pools of their cores. */
int tp_layout_dpdk_open(struct tp_layout *layout, struct tp_why *why);

/** Make the ports of one interface, join it with its kernel interface, start it. */
int tp_layout_dpdk_open_interface(struct tp_layout *layout, uint32_t interface,
		struct tp_steer *steer, struct tp_why *why);

/** Release devices and pools; their ports are closed. */
void tp_layout_dpdk_close(struct tp_layout *layout);

#endif
