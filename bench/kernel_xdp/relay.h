/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * relay - what the in-kernel relay and its loader share: keys, flows and frames in maps.
 */
#ifndef TP_BENCH_RELAY_H
#define TP_BENCH_RELAY_H

#include <linux/types.h>

/*
 * Client to peer: client's address and port, channel.  Peer to client: peer's address and port,
 * relayed port.  All as in the packet; a map for each direction and family.
 */
struct relay_key4 {
	__be32 ip;
	__be16 port;
	__be16 id;
};

struct relay_key6 {
	__be32 ip[4];
	__be16 port;
	__be16 id;
};

/*
 * All that is needed to finish a packet, in 72 bytes: with the kernel's 48 and an IPv4 key an entry
 * is two cache lines.  Sums are of 16-bit words as they lie in memory, folded, not complemented; of
 * what does not differ from packet to packet.
 */
struct relay_flow {
	__u32 csum_delta;  /* of the UDP checksum: the complement of what goes, plus what comes */
	__u32 ip_start;    /* IPv4: sum of the header sent; IPv6: its first word, in network order,
			      but for the class */
	__u64 deadline_ns; /* CLOCK_MONOTONIC; from then on the kernel has its packets */
	__u64 l2[2];       /* bytes 0 to 7 and 6 to 13 of the frame */
	__be16 src_port;
	__be16 dst_port;
	__be16 channel; /* peer to client */
	__u16 is_out6;
	__u64 ip[4]; /* source and destination: ip[0], or all four */
};

/*
 * The first 66 bytes of a frame, the longest headers there are, in words as the relay reads them
 * later: bytes 0 to 7, 6 to 13, then eight at a time from 14 on, and the last four.
 */
#define RELAY_TEMPLATE_BYTES 66

struct relay_template {
	__u64 l2[2];
	__u64 word[6];
	__u32 tail;
	__u32 zero;
};

/* Of each CPU. */
struct relay_stats {
	__u64 tx;
	__u64 pass;
};

#endif
