/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * match - what both programs ask: is this address ours, is this port a listener's, and is its bit
 * set.
 *
 * conf and ports exist in each object; user space creates one ports map and gives it to all.
 */
#ifndef TP_BPF_MATCH_BPF_H
#define TP_BPF_MATCH_BPF_H

#include <bpf/bpf_helpers.h>

#include "steer.h"

const volatile struct tp_bpf_conf conf = { 0 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TP_BPF_MAX_RELAYS); /* user space makes it as many as there are */
	__type(key, __u32);
	__type(value, struct tp_bpf_ports);
} ports SEC(".maps");

/* The ports of a relay address; relay: of tp_bpf_addr, NULL for TP_BPF_NO_RELAY. */
static __always_inline const struct tp_bpf_ports *find_ports(__u32 relay)
{
	if (relay == TP_BPF_NO_RELAY)
		return NULL;
	return bpf_map_lookup_elem(&ports, &relay);
}

static __always_inline int is_listener(__u32 addr, __u16 port_be)
{
	__u32 i;

	for (i = 0; i < TP_BPF_MAX_LISTENERS; i++) {
		if (i >= conf.n_listeners)
			break;
		if (conf.listener[i].port_be == port_be && conf.listener[i].addr == addr)
			return 1;
	}
	return 0;
}

/* port in host byte order */
static __always_inline int has_port(const __u64 words[1024], __u16 port)
{
	return words[port >> 6] >> (port & 63) & 1;
}

#endif
