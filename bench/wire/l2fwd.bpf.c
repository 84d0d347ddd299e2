/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * l2fwd - XDP: the generator's packets to the AF_XDP socket of their queue, all else to the kernel.
 */
#include "payload.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

SEC("xdp")
int wire_l2fwd(struct xdp_md *ctx)
{
	struct wire_packet packet;

	if (!wire_parse(ctx, &packet))
		return XDP_PASS;
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);
}

char LICENSE[] SEC("license") = "GPL";
