/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload - read the configuration file again, while everything goes on.
 *
 * All or nothing: a file with an error, or no memory, changes nothing.  What is live in the option
 * table (conf_schema.h) is applied to new requests at once; what is not stays as it is and is
 * named, with both values; so is a limit of allocations above that of the start, which room was
 * made for (accounts, the filter of clients).  Living permissions and channels are held against the
 * new lists in slices of the loop: at once for thousands of allocations, within a second or two for
 * a million.
 *
 * Threads: control.
 */
#ifndef TP_APP_RELOAD_H
#define TP_APP_RELOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "turn/turn.h"

struct tp_daemon;

struct tp_reload {
	uint32_t room;                 /* for allocations: their limit at the start */
	bool is_rechecking;            /* tp_reload_step() has more to do */
	uint64_t done, failed;         /* reloads */
	struct tp_turn_forbidden seen; /* of the recheck under way */
	struct tp_turn_forbidden ended;
};

/**
 * Do it, log it, tell the service manager.
 *
 * @return {"ok": true, "restart": [{"option", "running", "file"}]} or {"ok": false, "errors": []};
 *         the caller's; NULL: out of memory for the answer only
 */
json_t *tp_reload(struct tp_daemon *d);

/** One slice of the recheck; once in a round of the loop, while is_rechecking. */
void tp_reload_step(struct tp_daemon *d);

#endif
