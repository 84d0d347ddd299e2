/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caps - the privileges the relay starts with, and the one it keeps.
 *
 * Starting needs CAP_NET_ADMIN (attach XDP), CAP_BPF (load programs) and CAP_NET_RAW (raw and
 * AF_XDP sockets).  Running needs CAP_NET_ADMIN alone, to ask the kernel to confirm neighbours
 * that only workers use.
 *
 * Threads: the calling one; threads started later inherit.
 */
#ifndef TP_APP_CAPS_H
#define TP_APP_CAPS_H

#include "base/why.h"

/** @return 0, or -EPERM and a sentence that names what is missing */
int tp_caps_check(struct tp_why *why);

/** Give up the rest, for good.  @return 0 or -EPERM */
int tp_caps_drop(struct tp_why *why);

#endif
