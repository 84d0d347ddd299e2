/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * steer - what the BPF programs and lib/io/steer.c agree on.
 *
 * Included from BPF C and from user space: only __u8..__u64 types.
 */
#ifndef TP_BPF_STEER_H
#define TP_BPF_STEER_H

#include <linux/types.h>

#define TP_BPF_MAX_ADDRS 160
#define TP_BPF_MAX_LISTENERS 32
#define TP_BPF_MAX_RELAYS 128
#define TP_BPF_MAX_QUEUES 256
#define TP_BPF_NO_RELAY 0xff
#define TP_BPF_NO_ADDR 0xff /* in tp_bpf_conf.slot */

#define TP_BPF_SLOTS_BITS 10
#define TP_BPF_SLOTS (1 << TP_BPF_SLOTS_BITS)
#define TP_BPF_PROBES 3 /* slots that a lookup looks at, at most */

/* One address of this host.  IPv4: ip[0], rest zero.  Network byte order. */
struct tp_bpf_addr {
	__u32 ip[4];
	__u8 is_v6;
	__u8 relay; /* index into the port map, or TP_BPF_NO_RELAY */
	__u8 zero[2];
};

/* One listener: index into the addresses, and port in network byte order. */
struct tp_bpf_listener {
	__u16 port_be;
	__u8 addr;
	__u8 zero;
};

/* Two bits for every port of one relay address: bit (port & 63) of word (port >> 6). */
struct tp_bpf_ports {
	__u64 allocated[1024]; /* sk_lookup delivers the port to the relay's socket */
	__u64 fast[1024];      /* XDP redirects the port to a worker */
};

/*
 * Frames of one receive queue on their way to its worker: redirected - taken.  The program drops
 * what comes when there are too many, at once, instead of having the kernel copy it and then find
 * the ring full.  Both counts are approximate: a redirected frame may be lost on its way (a full
 * ring, no free chunk), so a worker that finds nothing says that it has taken all.  taken may
 * therefore be ahead, by what was under way at that moment.
 */
struct tp_bpf_queue {
	__u64 redirected; /* the program's cache line; one CPU at a time serves a queue */
	__u64 dropped;    /* exact: added to atomically */
	__u64 zero[6];
	__u64 taken; /* the worker's */
	__u64 zero2[7];
};

/* The receive ring is TP_AFXDP_RING; some are on their way in the softirq's batch. */
#define TP_BPF_MAX_IN_FLIGHT 1920

/*
 * What the kernel would accept on one interface just now; the control plane follows it.  XDP comes
 * before the kernel's own checks, so without it packets would be taken that are not for this host.
 */
struct tp_bpf_accept {
	__u64 vlans[64]; /* bit (id & 63) of word (id >> 6): there is such a VLAN; id 0 is not asked
			  */
	__u64 addrs[(TP_BPF_MAX_ADDRS + 63) / 64]; /* bit i: conf.addr[i] is this host's */
};

/* The map's entries are the words: BPF sees one at a time. */
#define TP_BPF_ACCEPT_WORDS (64 + (TP_BPF_MAX_ADDRS + 63) / 64)
#define TP_BPF_ACCEPT_ADDRS 64

/* .rodata of both programs, set before load. */
struct tp_bpf_conf {
	__u32 n_addrs;
	__u32 n_listeners;
	__u8 channel_first_byte_max; /* 0x4f, or 0x7f with legacy channels */
	__u8 zero[3];
	__u32 hash[4]; /* a multiplier for each word of an address: chosen so that ... */
	struct tp_bpf_addr addr[TP_BPF_MAX_ADDRS];
	struct tp_bpf_listener listener[TP_BPF_MAX_LISTENERS];
	__u8 slot[TP_BPF_SLOTS]; /* ... every address is within TP_BPF_PROBES slots of its hash */
};

/* conf is const volatile in the programs, so that nothing of it is known when they are compiled. */
static inline __attribute__((always_inline)) __u32 tp_bpf_hash_addr(
		const volatile struct tp_bpf_conf *conf, const __u32 ip[4])
{
	return (ip[0] * conf->hash[0] + ip[1] * conf->hash[1] + ip[2] * conf->hash[2] +
			       ip[3] * conf->hash[3]) >>
			(32 - TP_BPF_SLOTS_BITS);
}

/* Index of an address into conf.addr, TP_BPF_MAX_ADDRS when it is not ours.  However many there
 * are, it looks at a few. */
static inline __attribute__((always_inline)) __u32 tp_bpf_find_addr(
		const volatile struct tp_bpf_conf *conf, const __u32 ip[4], __u8 is_v6)
{
	__u32 hash = tp_bpf_hash_addr(conf, ip), i, at;

	for (i = 0; i < TP_BPF_PROBES; i++) {
		at = conf->slot[(hash + i) & (TP_BPF_SLOTS - 1)];
		if (at >= TP_BPF_MAX_ADDRS)
			break;
		if (conf->addr[at].is_v6 == is_v6 && conf->addr[at].ip[0] == ip[0] &&
				conf->addr[at].ip[1] == ip[1] && conf->addr[at].ip[2] == ip[2] &&
				conf->addr[at].ip[3] == ip[3])
			return at;
	}
	return TP_BPF_MAX_ADDRS;
}

#endif
