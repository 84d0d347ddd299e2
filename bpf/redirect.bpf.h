/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * redirect - a frame to the AF_XDP socket of its queue, unless its worker is too far behind.
 */
#ifndef TP_BPF_REDIRECT_BPF_H
#define TP_BPF_REDIRECT_BPF_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "steer.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, TP_BPF_MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TP_BPF_MAX_QUEUES);
	__type(key, __u32);
	__type(value, struct tp_bpf_queue);
} queues SEC(".maps");

/* @return XDP_REDIRECT, XDP_DROP, or XDP_PASS: no socket is bound to the queue */
static __always_inline int redirect_to_worker(__u32 queue)
{
	struct tp_bpf_queue *q = bpf_map_lookup_elem(&queues, &queue);
	int action;

	if (!q)
		return XDP_PASS;
	/* Signed: taken may be ahead. */
	if ((__s64)(q->redirected - *(volatile __u64 *)&q->taken) >= TP_BPF_MAX_IN_FLIGHT) {
		__sync_fetch_and_add(&q->dropped, 1);
		return XDP_DROP;
	}
	action = bpf_redirect_map(&xsks, queue, XDP_PASS);
	if (action == XDP_REDIRECT)
		q->redirected++;
	return action;
}

#endif
