/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * l2fwd - XDP: the generator's packets to the AF_XDP socket of their queue, all else to the kernel.
 */
#include "bpf/redirect.bpf.h"
#include "payload.bpf.h"

SEC("xdp")
int wire_l2fwd(struct xdp_md *ctx)
{
	struct wire_packet packet;

	if (!wire_parse(ctx, &packet))
		return XDP_PASS;
	return redirect_to_worker(ctx->rx_queue_index);
}

char LICENSE[] SEC("license") = "GPL";
