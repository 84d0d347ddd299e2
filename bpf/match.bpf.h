/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * match - what both programs ask: is this address ours, and is this port's bit set.
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
	__uint(max_entries, TP_BPF_MAX_RELAYS);
	__type(key, __u32);
	__type(value, struct tp_bpf_ports);
} ports SEC(".maps");

/* Index of an address into conf.addr, TP_BPF_MAX_ADDRS when it is not ours. */
static __always_inline __u32 find_addr(const __u32 ip[4], __u8 is_v6)
{
	__u32 i;

	for (i = 0; i < TP_BPF_MAX_ADDRS; i++) {
		if (i >= conf.n_addrs)
			break;
		if (conf.addr[i].is_v6 == is_v6 && conf.addr[i].ip[0] == ip[0] &&
				conf.addr[i].ip[1] == ip[1] && conf.addr[i].ip[2] == ip[2] &&
				conf.addr[i].ip[3] == ip[3])
			return i;
	}
	return TP_BPF_MAX_ADDRS;
}

/* The ports of a relay address, NULL for an address that is only listened on. */
static __always_inline const struct tp_bpf_ports *find_ports(__u32 addr)
{
	__u32 relay = conf.addr[addr].relay;

	if (relay == TP_BPF_NO_RELAY)
		return NULL;
	return bpf_map_lookup_elem(&ports, &relay);
}

/* port in host byte order */
static __always_inline int has_port(const __u64 words[1024], __u16 port)
{
	return words[port >> 6] >> (port & 63) & 1;
}

#endif
