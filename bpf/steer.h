/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * steer - what the BPF programs and lib/io/steer.c agree on.
 *
 * Included from BPF C and from user space: only __u8..__u64 types.
 */
#ifndef TP_BPF_STEER_H
#define TP_BPF_STEER_H

#include <linux/types.h>

#define TP_BPF_MAX_ADDRS 32
#define TP_BPF_MAX_LISTENERS 32
#define TP_BPF_MAX_RELAYS 16
#define TP_BPF_MAX_QUEUES 256
#define TP_BPF_NO_RELAY 0xff

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
	__u64 addrs;     /* bit i: conf.addr[i] is an address of this host */
};

#define TP_BPF_ACCEPT_WORDS 65 /* the map's entries are the words: BPF sees one at a time */
#define TP_BPF_ACCEPT_ADDRS 64

/* .rodata of both programs, set before load. */
struct tp_bpf_conf {
	__u32 n_addrs;
	__u32 n_listeners;
	__u8 channel_first_byte_max; /* 0x4f, or 0x7f with legacy channels */
	__u8 zero[3];
	struct tp_bpf_addr addr[TP_BPF_MAX_ADDRS];
	struct tp_bpf_listener listener[TP_BPF_MAX_LISTENERS];
};

#endif
