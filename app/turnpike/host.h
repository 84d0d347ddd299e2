/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host - what this host has of the addresses in the configuration, and what else it has: followed
 * while the relay runs.
 *
 * A relay address that is not there is no error: nobody gets a port on it until it comes.  Every
 * address that the host has, configured or not, is denied as a peer, but for its relayed ports.
 *
 * Threads: control.
 */
#ifndef TP_APP_HOST_H
#define TP_APP_HOST_H

#include <stdint.h>

#include "base/addr.h"

struct tp_daemon;

/* The addresses of this host as they were told to lib/turn. */
struct tp_host {
	struct tp_addr *own;
	uint32_t n_own;
};

/** Look again and tell everybody: at start, when netlink says so, and once a second. */
void tp_host_check(struct tp_daemon *d);
void tp_host_fini(struct tp_host *host);

/** Warn when the kernel may give relayed ports to other programs: at start. */
void tp_host_check_ephemeral(const struct tp_daemon *d);

#endif
