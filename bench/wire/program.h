/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program - what generator, sink and l2fwd share: dying with a sentence, an orderly end, attaching
 * XDP.
 */
#ifndef WIRE_PROGRAM_H
#define WIRE_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

/** One line on stderr, beginning with the program's name; exit status 1. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** The interface's index, or die. */
unsigned int ifindex_of(const char *ifname);

/**
 * SIGTERM and SIGINT from now on only make is_ending() true and interrupt system calls: now, and,
 * by SIGALRM, once more a second later, for a call that had not quite begun.
 */
void catch_signals(void);
bool is_ending(void);

/** libbpf is silent but for the first complaint, which die_bpf() adds to its line. */
void silence_libbpf(void);
void die_bpf(const char *what, int err) __attribute__((noreturn));

/**
 * Attach a program by a link, which ends with this process; dies when it can not.
 *
 * @param flags  XDP_FLAGS_DRV_MODE or XDP_FLAGS_SKB_MODE
 */
void attach_xdp(int prog_fd, const char *ifname, uint32_t flags);

#endif
