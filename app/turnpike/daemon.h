/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon - everything together: the order of start and end, and the control loop.
 *
 * Threads: control (the main thread).
 */
#ifndef TP_APP_DAEMON_H
#define TP_APP_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "accounting.h"
#include "base/why.h"
#include "conf.h"
#include "fast.h"
#include "host.h"
#include "io/netlink.h"
#include "io/resolver.h"
#include "io/steer.h"
#include "kernel_path.h"
#include "layout.h"
#include "loop.h"
#include "path_mtu.h"
#include "reload.h"
#include "turn/turn.h"

struct tp_ctl;
struct tp_metrics;

struct tp_daemon {
	struct tp_conf *conf;
	const char *conf_path; /* of its file */
	struct tp_loop loop;
	struct tp_source signals, netlink, *punts;
	bool is_stopping;
	bool is_draining;
	uint64_t started_ns;
	struct tp_nl *nl;
	struct tp_steer *steer;
	struct tp_grace *grace;
	struct tp_flow_table *flows;
	struct tp_accounting *accounting;
	struct tp_resolver *resolver;
	struct tp_layout layout;
	struct tp_kernel_path *kernel_path;
	struct tp_fast *fast;
	struct tp_turn *turn;
	struct tp_turn_now now; /* of this round of the loop */
	uint64_t tick_ns;       /* when housekeeping is due */
	struct tp_ctl *ctl;
	struct tp_metrics *metrics;
	struct tp_path_mtu path_mtu;
	struct tp_reload reload;
	struct tp_host host;
};

/* turn_ops.c: with the daemon as ctx; random() takes no ctx. */
extern const struct tp_turn_ops tp_daemon_turn_ops;

/** No new allocations, or new allocations again: see tp_turn_drain(). */
void tp_daemon_drain(struct tp_daemon *d, bool is_draining);

/**
 * Run until SIGINT or SIGTERM; SIGHUP reloads.  These must be blocked in all threads before.
 *
 * @param conf  the caller's; reloads change it
 * @param path  of the file that it came from
 * @return 0 after an orderly end, or -E and a sentence when it could not start
 */
int tp_daemon_run(struct tp_conf *conf, const char *path, struct tp_why *why);

/** Give lib/turn what is live in the configuration.  @return 0 or -ENOMEM: nothing changed */
int tp_daemon_reload_turn(struct tp_daemon *d);

#endif
