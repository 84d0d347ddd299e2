/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * generator - what the generator's BPF program and its user space agree on.
 */
#ifndef WIRE_GENERATOR_H
#define WIRE_GENERATOR_H

#include <linux/types.h>

/*
 * Ethernet, IPv6, UDP, ChannelData and the payload header are 90 bytes; the program writes them as
 * whole words.  The shortest frame (IPv4, down, 64 bytes of payload) is 106 bytes.
 */
#define GEN_HEAD_WORDS 12
#define GEN_HEAD_BYTES (8 * GEN_HEAD_WORDS)

/* One flow: the first bytes of its frames as they are to be sent, but for what changes. */
struct gen_flow {
	__u64 head[GEN_HEAD_WORDS];
	__u64 seq;
	__u32 csum; /* sum of all that the UDP checksum covers, with seq and sent_ns 0 */
	__u32 zero[5];
};

/* .rodata, set before load. */
struct gen_conf {
	__u32 ifindex; /* to send on */
	__u32 n_flows;
	__u32 checksum_at; /* offset of the UDP checksum in the frame */
	__u32 payload_at;  /* offset of struct wire_payload */
	__u32 is_random;   /* flows in pseudo-random order, not one after the other */
};

/* Intervals are in ns << GEN_NS_SHIFT, so that they have a fraction. */
#define GEN_NS_SHIFT 10

/* What user space writes before a run. */
struct gen_pace {
	__u64 interval; /* between packets; 0: as fast as possible */
};

/* What the program writes; one run at a time, on one CPU. */
struct gen_state {
	__u64 sent;
	__u64 first_ns; /* time of the first packet; 0: not yet */
	__u64 last_ns;
	__u64 due; /* interval units after first_ns: time of the next packet */
	__u64 random;
	__u32 flow;
	__u32 zero;
};

#endif
