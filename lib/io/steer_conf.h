/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steer_conf - what the BPF programs are told once: addresses and listeners, and a hash table in
 * which they find an address in a few steps, however many there are.
 *
 * Threads: any.
 */
#ifndef TP_IO_STEER_CONF_H
#define TP_IO_STEER_CONF_H

#include "base/why.h"
#include "bpf/steer.h"
#include "io/steer.h"

/** @return 0, -EINVAL or -E2BIG with a sentence in *why */
int tp_steer_conf_make(
		const struct tp_steer_conf *conf, struct tp_bpf_conf *out, struct tp_why *why);

/** Fill hash and slot for the addresses that are there, all different.  @return 0 or -E2BIG */
int tp_steer_conf_index(struct tp_bpf_conf *conf);

#endif
