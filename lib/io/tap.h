/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tap - a kernel interface whose wire is this process.
 *
 * It is not made here: an interface that came and went with the process would lose the host's
 * addresses at every restart.  `ip tuntap add dev tp0 mode tap` makes one that stays.
 *
 * Threads: any; the descriptor's reader and writer may be different ones.
 */
#ifndef TP_IO_TAP_H
#define TP_IO_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/why.h"

/**
 * Attach to it.  Reads and writes are one Ethernet frame each and never block; checksums are
 * complete, and no frame is longer than the MTU.
 *
 * @return its descriptor; -ENODEV (there is none), -EINVAL (no TAP), -EBUSY (another process has
 *         it) or another -errno, with a sentence
 */
int tp_tap_open(const char *name, struct tp_why *why);

/** Give it the address of the device that it stands for.  Needs CAP_NET_ADMIN.  @return 0 or -errno
 */
int tp_tap_set_mac(int fd, const char *name, const uint8_t mac[6]);

/** Let the kernel see whether the device's link is up.  @return 0 or -errno */
int tp_tap_set_carrier(int fd, bool is_up);

#endif
