/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * payload - what the generator writes at the start of every packet's payload, and the sink reads.
 *
 * Native byte order: both ends are on one machine.  The two may be in different places of the
 * packet: a TURN relay takes the ChannelData header away on the way up and adds it on the way down.
 *
 * Included from BPF C and from user space: only __u8..__u64 types.
 */
#ifndef WIRE_PAYLOAD_H
#define WIRE_PAYLOAD_H

#include <linux/types.h>

/* Its first byte in memory is no ChannelData number (0x40-0x4f) and no STUN type on any machine. */
#define WIRE_MAGIC 0xb7c3d2a9u

struct wire_payload {
	__u32 magic;
	__u32 flow;    /* line in the list of flows */
	__u64 seq;     /* of the flow, from 0 */
	__u64 sent_ns; /* CLOCK_MONOTONIC, when the generator wrote the packet */
};

#define WIRE_CHANNEL_HEADER 4 /* bytes: RFC 8656 section 12.4 */
#define WIRE_MIN_PAYLOAD 64   /* bytes of application data */
#define WIRE_MAX_PAYLOAD 1400

#endif
