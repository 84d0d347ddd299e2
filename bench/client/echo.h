/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo - peers: UDP sockets that send back what they get.
 *
 * Threads: one.  Memory: all of it at the start.
 */
#ifndef TP_BENCH_ECHO_H
#define TP_BENCH_ECHO_H

#include <stdint.h>

#include "base/addr.h"

struct tp_echo;

/** Sockets at n ports from addr's on.  Ends the program, with a sentence, when it can not. */
struct tp_echo *tp_echo_new(const struct tp_addr *addr, uint32_t n);
void tp_echo_free(struct tp_echo *echo);

/** Echo what is there; does not wait. */
void tp_echo_poll(struct tp_echo *echo);

/** Datagrams that were sent back. */
uint64_t tp_echo_count(const struct tp_echo *echo);

#endif
