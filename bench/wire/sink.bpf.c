/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * sink - XDP: count the generator's packets as they come back, and drop them.
 *
 * What is not the generator's goes on to the kernel: clients and peers live behind this interface.
 *
 * The counters are plain memory: the packets come by one receive queue, hence one at a time.
 */
#include "sink.h"
#include "payload.bpf.h"

#define MAX_UDP_WORDS ((8 + WIRE_CHANNEL_HEADER + WIRE_MAX_PAYLOAD) / 4)

const volatile struct sink_conf conf = { 0 };

struct sink_window window SEC(".data.window") = { 0 };
struct sink_counts counts = { 0 };
__u64 latency[SINK_BUCKETS] = { 0 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u32);
	__type(value, struct sink_flow);
} flows SEC(".maps");

static __always_inline void track(struct sink_flow *flow, __u64 seq)
{
	__u64 ahead, behind;

	if (flow->epoch != window.epoch) {
		flow->epoch = window.epoch;
		flow->packets = 1;
		flow->first = seq;
		flow->next = seq + 1;
		flow->seen = 1;
		return;
	}
	flow->packets++;
	if (seq >= flow->next) {
		ahead = seq - flow->next;
		counts.lost += ahead;
		flow->seen = ahead < 63 ? flow->seen << (ahead + 1) | 1 : 1;
		flow->next = seq + 1;
		return;
	}
	if (seq < flow->first)
		return;
	behind = flow->next - 1 - seq;
	if (behind < 64 && (flow->seen >> behind & 1)) {
		counts.duplicates++;
		return;
	}
	counts.reordered++;
	counts.lost--;
	if (behind < 64)
		flow->seen |= 1ull << behind;
}

static __always_inline __u32 bucket_of(__u64 ns)
{
	__u64 v = ns;
	__u32 log2 = 0;

	if (v < SINK_SUB)
		return v;
	if (v >> SINK_MAX_BITS)
		return SINK_BUCKETS - 1;
	/* No bit scan in BPF: by halves, of at most 34 bits. */
	if (v >> 32) {
		v >>= 32;
		log2 += 32;
	}
	if (v >> 16) {
		v >>= 16;
		log2 += 16;
	}
	if (v >> 8) {
		v >>= 8;
		log2 += 8;
	}
	if (v >> 4) {
		v >>= 4;
		log2 += 4;
	}
	if (v >> 2) {
		v >>= 2;
		log2 += 2;
	}
	log2 += v >> 1;
	log2 -= SINK_SUB_BITS;
	return log2 * SINK_SUB + (ns >> log2);
}

static __always_inline void note_latency(__u64 sent_ns)
{
	__u64 now_ns = bpf_ktime_get_ns();
	__u32 bucket = bucket_of(now_ns > sent_ns ? now_ns - sent_ns : 0);

	if (bucket < SINK_BUCKETS)
		latency[bucket]++;
}

/* Sum of 16-bit words, by 32 bits at a time.  All lengths of ours are multiples of 4. */
static __always_inline __u64 sum_udp(const struct udphdr *udp, const void *end, __u32 bytes)
{
	const __u32 *word = (const void *)udp;
	__u64 sum = 0;
	__u32 i;

	for (i = 0; i < MAX_UDP_WORDS; i++) {
		if (4 * i >= bytes || (const void *)(word + 1) > end)
			break;
		sum += *word++;
	}
	return sum;
}

static __always_inline int is_checksum_right(const struct wire_packet *packet, const void *end)
{
	__u32 bytes = bpf_ntohs(packet->udp->len);
	__u64 sum = (__u64)packet->udp->len + bpf_htons(IPPROTO_UDP);
	__u32 i;

	if (bytes % 4 != 0 || bytes > 4 * MAX_UDP_WORDS ||
			(const void *)packet->udp + (bytes & 0xfff) > end)
		return 0;
	if (packet->udp->check == 0)
		return 0; /* IPv4 may leave it out; our generator does not */
	for (i = 0; i < 8; i++)
		if (i < packet->addr_words)
			sum += packet->addr[i];
	sum += sum_udp(packet->udp, end, bytes);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

SEC("xdp")
int wire_sink(struct xdp_md *ctx)
{
	const void *end = (const void *)(long)ctx->data_end;
	const struct wire_payload *payload;
	struct wire_packet packet;
	struct sink_flow *flow;
	__u32 key, turn;

	if (!wire_parse(ctx, &packet))
		return XDP_PASS;
	payload = packet.payload;
	key = payload->flow;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow) {
		counts.foreign++;
		return XDP_PASS;
	}
	track(flow, payload->seq);
	counts.packets++;
	counts.bytes += end - (const void *)payload;
	/* Not the same sequence numbers of every flow: they come one after the other. */
	turn = payload->seq + key;
	if ((turn & window.latency_mask) == 0)
		note_latency(payload->sent_ns);
	if ((turn & conf.check_mask) == 0) {
		counts.checked++;
		if (!is_checksum_right(&packet, end))
			counts.bad_checksum++;
	}
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
