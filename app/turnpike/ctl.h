/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl - the control socket: one request a line, one JSON object a line in answer.
 *
 *     stats
 *     allocations CURSOR        CURSOR: 0, then "next" of the answer, while there is one
 *     drain, undrain            no new allocations; new ones again
 *
 * A local stream socket, mode 0660.  Slow readers wait in their own buffer; nobody waits for them.
 *
 * Threads: control.
 */
#ifndef TP_APP_CTL_H
#define TP_APP_CTL_H

#include "base/why.h"
#include "daemon.h"

/**
 * Listen; makes the socket's directory when it is missing and replaces a socket nobody listens on.
 *
 * @return 0, -EADDRINUSE (another turnpike answers there) or -errno, with a sentence
 */
int tp_ctl_open(struct tp_daemon *d, const char *path, struct tp_ctl **out, struct tp_why *why);

/** Closes all connections and removes the socket. */
void tp_ctl_close(struct tp_ctl *ctl);

#endif
