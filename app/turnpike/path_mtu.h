/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path_mtu - the largest packet that a destination takes, as the kernel's routes say.
 *
 * The kernel learns from the network's ICMP errors, ours among them: its routes have the MTU of the
 * path, not of the link alone.  They are asked once in a while, not for every large datagram.
 *
 * Threads: control.  Memory: the caller's.
 */
#ifndef TP_APP_PATH_MTU_H
#define TP_APP_PATH_MTU_H

#include <stdint.h>

#include "base/addr.h"
#include "io/netlink.h"

#define TP_PATH_MTU_ENTRIES 256 /* direct mapped: a newer destination takes the place */

struct tp_path_mtu_entry {
	struct tp_addr src, dst;
	uint64_t until_ns;
	uint16_t mtu;
};

struct tp_path_mtu {
	struct tp_nl *nl; /* borrowed */
	struct tp_path_mtu_entry entry[TP_PATH_MTU_ENTRIES];
};

/** @return bytes, IP header included; 1280 when there is no route */
uint16_t tp_path_mtu_find(struct tp_path_mtu *pm, const struct tp_addr *src,
		const struct tp_addr *dst, uint64_t now_ns);

/** Links or routes changed: ask all anew. */
void tp_path_mtu_forget(struct tp_path_mtu *pm);

/** The network says that a packet was too big: ask again soon, but not for each of a storm. */
void tp_path_mtu_doubt(struct tp_path_mtu *pm, const struct tp_addr *src, const struct tp_addr *dst,
		uint64_t now_ns);

#endif
