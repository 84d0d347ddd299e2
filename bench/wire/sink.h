/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * sink - what the sink's BPF program and its user space agree on.
 */
#ifndef WIRE_SINK_H
#define WIRE_SINK_H

#include <linux/types.h>

/*
 * Latencies, in buckets as those of HdrHistogram: each power of two is divided into 64, so that the
 * middle of a bucket is within 0.8 % of what is in it.  Bucket i < 128 is i ns; the last one is
 * 17 s and all beyond.
 */
#define SINK_SUB_BITS 6
#define SINK_SUB (1u << SINK_SUB_BITS)
#define SINK_MAX_BITS 33
#define SINK_BUCKETS ((SINK_MAX_BITS - SINK_SUB_BITS + 2) * SINK_SUB)

/* .rodata, set before load. */
struct sink_conf {
	__u32 n_flows;
	__u32 check_mask; /* one packet in so many, less one, has its UDP checksum verified */
};

/* What user space writes at the beginning of a window. */
struct sink_window {
	__u32 epoch;        /* one more: sequences begin anew */
	__u32 latency_mask; /* one packet in so many, less one, goes into the histogram */
};

/* Of all packets since the program was loaded, but for lost, reordered, duplicates. */
struct sink_counts {
	__u64 packets;
	__u64 bytes;      /* application data */
	__u64 lost;       /* missing in the sequence of a flow, and not come later */
	__u64 reordered;  /* behind a later one of its flow */
	__u64 duplicates; /* among the last 64 of its flow */
	__u64 checked;
	__u64 bad_checksum;
	__u64 foreign; /* with the magic, but of no flow that we know: to the kernel */
};

struct sink_flow {
	__u64 first;   /* sequence number of the epoch's first packet */
	__u64 next;    /* expected sequence number */
	__u64 seen;    /* bit i: next - 1 - i has come */
	__u64 packets; /* in this epoch */
	__u32 epoch;   /* of the sink, when the flow was last seen */
	__u32 zero;
};

#endif
