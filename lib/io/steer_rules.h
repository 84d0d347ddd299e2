/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steer_rules - bpf/steer.bpf.c once more, in user space: which frames are a worker's, and which
 * the kernel's, for ports that the kernel does not see.
 *
 * It reads the same structures as the program (addresses and listeners, the map of relayed ports,
 * what the host has of them just now), and tests/bpf holds both to the same vectors.
 *
 * Threads: any; what it reads is written by control with plain stores.
 */
#ifndef TP_IO_STEER_RULES_H
#define TP_IO_STEER_RULES_H

#include <stdbool.h>
#include <stdint.h>

struct tp_bpf_accept;
struct tp_bpf_conf;
struct tp_bpf_ports;

struct tp_steer_rules {
	const struct tp_bpf_conf *conf;
	const struct tp_bpf_ports *ports; /* by relay index */
	const struct tp_bpf_accept *accept;
};

/** @return whether an Ethernet frame is a worker's; else it is the kernel's */
bool tp_steer_rules_match(const struct tp_steer_rules *rules, const uint8_t *frame, uint32_t len);

#endif
