/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netdev - what a network device tells of itself through ethtool and sysfs.
 *
 * Threads: any.
 */
#ifndef TP_IO_NETDEV_H
#define TP_IO_NETDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @return whether the interface takes VLAN tags off in hardware (ethtool: rx-vlan-offload).  XDP
 *         then sees frames of all VLANs as untagged ones.
 */
bool tp_if_strips_vlan(const char *ifname);

/** Number of receive queues of an interface (ETHTOOL_GCHANNELS, else sysfs); 0: unknown interface.
 */
uint32_t tp_if_queues(const char *ifname);

/** Write the command that gives an interface n queues.  @return buf */
char *tp_if_queues_command(const char *ifname, uint32_t n, char *buf, size_t room);

#endif
