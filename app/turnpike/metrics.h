/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics - counters over HTTP: GET /metrics in the Prometheus text format, GET /health.
 *
 * Threads: control; libmicrohttpd runs inside its loop.
 */
#ifndef TP_APP_METRICS_H
#define TP_APP_METRICS_H

#include "base/why.h"
#include "daemon.h"

/** Listen on addr.  @return 0 or -errno, with a sentence */
int tp_metrics_open(struct tp_daemon *d, const struct tp_addr *addr, struct tp_metrics **out,
		struct tp_why *why);
void tp_metrics_close(struct tp_metrics *m);

#endif
