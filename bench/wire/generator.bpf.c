/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * generator - makes one packet of each frame that BPF_PROG_TEST_RUN offers, and sends it.
 *
 * A live frame comes as it was when it was last used: a relay may have rewritten, moved and grown
 * its headers.  Hence all of them are written each time, from the flow's template.  The payload
 * behind them is never written by anyone.
 */
#include <stddef.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "generator.h"
#include "payload.h"

/* After a pause (an interrupt, another task) at most so much is sent at once to catch up. */
#define CATCH_UP (50000ull << GEN_NS_SHIFT)

const volatile struct gen_conf conf = { 0 };

/* User space writes pace, the program state: not in one cache line. */
struct gen_pace pace SEC(".data.pace") = { 0 };
struct gen_state state = { 0 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u32);
	__type(value, struct gen_flow);
} flows SEC(".maps");

static __always_inline int is_due(__u64 now_ns)
{
	__u64 now;

	if (state.first_ns == 0)
		state.first_ns = now_ns;
	if (pace.interval == 0)
		return 1;
	now = (now_ns - state.first_ns) << GEN_NS_SHIFT;
	if (now < state.due)
		return 0;
	if (now - state.due > CATCH_UP)
		state.due = now - CATCH_UP;
	state.due += pace.interval;
	return 1;
}

static __always_inline __u32 next_flow(void)
{
	if (conf.is_random) {
		/* Knuth's MMIX generator; its high bits are the good ones. */
		state.random = state.random * 6364136223846793005ull + 1442695040888963407ull;
		return (state.random >> 32) * conf.n_flows >> 32;
	}
	if (++state.flow >= conf.n_flows)
		state.flow = 0;
	return state.flow;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? 0xffff : ~sum; /* RFC 768: 0 is sent as 0xffff */
}

static __always_inline void write_packet(void *data, struct gen_flow *flow, __u64 now_ns)
{
	struct wire_payload *payload = data + conf.payload_at;
	__u64 *word = data;
	__u32 i;

	for (i = 0; i < GEN_HEAD_WORDS; i++)
		word[i] = flow->head[i];
	payload->seq = flow->seq;
	payload->sent_ns = now_ns;
	*(__u16 *)(data + conf.checksum_at) = fold((__u64)flow->csum + (flow->seq & 0xffffffff) +
			(flow->seq >> 32) + (now_ns & 0xffffffff) + (now_ns >> 32));
}

SEC("xdp")
int wire_generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 now_ns = bpf_ktime_get_ns();
	struct gen_flow *flow;
	__u32 key;

	if (!is_due(now_ns))
		return XDP_DROP;
	key = next_flow();
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow || data + GEN_HEAD_BYTES > end)
		return XDP_DROP;
	write_packet(data, flow, now_ns);
	flow->seq++;
	state.sent++;
	state.last_ns = now_ns;
	return bpf_redirect(conf.ifindex, 0);
}

char LICENSE[] SEC("license") = "GPL";
