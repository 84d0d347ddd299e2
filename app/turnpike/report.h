/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report - the daemon's state as JSON, for the control socket.
 *
 * Threads: control.
 */
#ifndef TP_APP_REPORT_H
#define TP_APP_REPORT_H

#include <jansson.h>

#include "daemon.h"

/** Counters of everything.  @return a new reference, NULL: out of memory */
json_t *tp_report_stats(const struct tp_daemon *d);

/**
 * A page of allocations.
 *
 * @param cursor  0, or "next" of the page before
 * @return { "allocations": [...], "next": N } without "next" on the last page
 */
json_t *tp_report_allocations(const struct tp_daemon *d, uint64_t cursor);

#endif
