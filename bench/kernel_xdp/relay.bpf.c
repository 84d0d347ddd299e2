/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * relay - the other way to build a TURN relay: all of it in the kernel, in XDP.
 *
 * One hash lookup finds everything for the packet; bpf_xdp_adjust_head() makes the room for longer
 * headers or takes it away; XDP_TX sends it out of where it came from.  All eight paths, checksums
 * updated by what changed, TTL minus one, addresses of the link layer from the flow.
 *
 * It is meant to be fast, and fair to what it is compared with: it forwards the same frames into
 * the same frames, after the same checks.  It does less where that is usual for such programs:
 * neither the listener's nor the relayed address is compared, the IPv4 identification is a counter
 * of packets, and frames with a VLAN tag, ChannelData with padding, and UDP without checksum from
 * IPv4 to IPv6 are left to the kernel, as are fragments, options, and what is larger than the MTU.
 *
 * The programs behind it are for BPF_PROG_TEST_RUN, which runs a program again and again on the
 * frame that it left: they put the headers of the next flow's frame in place first.  A second one
 * does only that, and a third nothing, so that their cost can be taken off.
 *
 * The licence string is "GPL", which the kernel demands of callers of some helpers; the source
 * is offered under either licence named above.
 */
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "relay.h"

#define FRAGMENT_BITS 0x3fff /* more fragments, and the offset: RFC 791 section 3.1 */
#define CHANNEL_LEN 4
#define DF_CLEAR_MAX 1260 /* RFC 7915 section 5.1 */
#define TTL_WORD(ttl) bpf_htons((__u16)((ttl) << 8))

/* Sizes are set before loading.  All entries exist from then on: no allocation per flow. */
#define FLOW_MAP(name, key_type)                  \
	struct {                                  \
		__uint(type, BPF_MAP_TYPE_HASH);  \
		__uint(max_entries, 1);           \
		__type(key, key_type);            \
		__type(value, struct relay_flow); \
	} name SEC(".maps")

FLOW_MAP(up4, struct relay_key4);
FLOW_MAP(up6, struct relay_key6);
FLOW_MAP(down4, struct relay_key4);
FLOW_MAP(down6, struct relay_key6);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct relay_stats);
} stats SEC(".maps");

/* In the order of visits. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct relay_template);
} templates SEC(".maps");

const volatile __be16 listener_port = 0;
const volatile __u16 relay_port_min = 0, relay_port_max = 0, mtu = 0;

/* Of test runs: the template that is next, of how many, and the way from one frame sent back to
 * where the next received begins. */
__u32 template_at = 0, n_templates = 0;
__s32 restore_delta = 0;

/* What outlives the received headers. */
struct carried {
	__u32 udp_len;
	__u16 csum;
	__u8 ttl;
	__u8 tclass;
	__u8 is_df;
};

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)((sum & 0xffff) + (sum >> 16));
}

static __always_inline void put64(void *at, __u64 value)
{
	*(__u64 *)at = value;
}

static __always_inline struct relay_stats *stats_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&stats, &zero);
}

/* RFC 1624, equation 3; the sums have a few 16-bit terms each. */
static __always_inline __u16 udp_csum(const struct carried *c, const struct relay_flow *flow,
		__u32 out_udp_len, int is_up)
{
	__u32 sum = (__u16)~c->csum + flow->csum_delta;
	__u16 csum, in_len = bpf_htons((__u16)c->udp_len), out_len = bpf_htons((__u16)out_udp_len);

	if (c->csum == 0)
		return 0;
	/* Pseudo header and header; and ChannelData's length, which comes or goes. */
	sum += 2 * (__u32)(__u16)~in_len + 2 * (__u32)out_len;
	sum += is_up ? (__u16)~bpf_htons((__u16)(out_udp_len - sizeof(struct udphdr)))
		     : bpf_htons((__u16)(c->udp_len - sizeof(struct udphdr)));
	csum = (__u16)~fold(sum);
	return csum != 0 ? csum : 0xffff;
}

static __always_inline void write_ipv4(struct iphdr *ip, const struct relay_flow *flow,
		const struct carried *c, __u32 len, int is_df, __u16 id)
{
	__be16 id_be = is_df ? 0 : bpf_htons(id), frag = is_df ? bpf_htons(0x4000) : 0;
	__u8 ttl = (__u8)(c->ttl - 1);

	ip->version = 4;
	ip->ihl = 5;
	ip->tos = c->tclass;
	ip->tot_len = bpf_htons((__u16)len);
	ip->id = id_be;
	ip->frag_off = frag;
	ip->ttl = ttl;
	ip->protocol = IPPROTO_UDP;
	ip->check = (__u16)~fold(flow->ip_start + bpf_htons(c->tclass) + bpf_htons((__u16)len) +
			id_be + frag + TTL_WORD(ttl));
	put64(&ip->saddr, flow->ip[0]);
}

static __always_inline void write_ipv6(struct ipv6hdr *ip6, const struct relay_flow *flow,
		const struct carried *c, __u32 udp_len)
{
	*(__be32 *)ip6 = flow->ip_start | bpf_htonl((__u32)c->tclass << 20);
	ip6->payload_len = bpf_htons((__u16)udp_len);
	ip6->nexthdr = IPPROTO_UDP;
	ip6->hop_limit = (__u8)(c->ttl - 1);
	put64((void *)ip6 + 8, flow->ip[0]);
	put64((void *)ip6 + 16, flow->ip[1]);
	put64((void *)ip6 + 24, flow->ip[2]);
	put64((void *)ip6 + 32, flow->ip[3]);
}

/* The flags are constants wherever this is inlined. */
static __always_inline int rewrite(struct xdp_md *ctx, const struct relay_flow *flow,
		const struct carried *c, const int is_up, const int is_in6, const int is_out6)
{
	const __u32 in_ip = is_in6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	const __u32 out_ip = is_out6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	const int channel = is_up ? -CHANNEL_LEN : CHANNEL_LEN;
	const int grows = (int)out_ip - (int)in_ip + channel;
	const __u32 hdrs = ETH_HLEN + out_ip + sizeof(struct udphdr) + (is_up ? 0 : CHANNEL_LEN);
	const __u32 udp_len = c->udp_len + channel, ip_len = out_ip + udp_len;
	struct relay_stats *counts = stats_get();
	struct udphdr *udp;
	void *data;
	__u16 csum;

	if (!counts || ip_len > mtu)
		return XDP_PASS;
	if (!is_in6 && is_out6 && c->csum == 0)
		return XDP_PASS;
	csum = udp_csum(c, flow, udp_len, is_up);
	if (bpf_xdp_adjust_head(ctx, -grows))
		return XDP_PASS;
	data = (void *)(long)ctx->data;
	if (data + hdrs > (void *)(long)ctx->data_end)
		return XDP_ABORTED;

	counts->tx++;
	put64(data, flow->l2[0]);
	put64(data + 6, flow->l2[1]);
	if (is_out6)
		write_ipv6(data + ETH_HLEN, flow, c, udp_len);
	else
		write_ipv4(data + ETH_HLEN, flow, c, ip_len,
				is_in6 ? ip_len > DF_CLEAR_MAX : c->is_df, (__u16)counts->tx);
	udp = data + ETH_HLEN + out_ip;
	udp->source = flow->src_port;
	udp->dest = flow->dst_port;
	udp->len = bpf_htons((__u16)udp_len);
	udp->check = csum;
	if (!is_up) {
		__be16 *channel_data = (void *)(udp + 1);

		channel_data[0] = flow->channel;
		channel_data[1] = bpf_htons((__u16)(c->udp_len - sizeof(*udp)));
	}
	return XDP_TX;
}

static __always_inline int leave(struct xdp_md *ctx, const struct relay_flow *flow,
		const struct carried *c, const int is_up, const int is_in6)
{
	if (!flow || c->ttl <= 1 || bpf_ktime_get_coarse_ns() >= flow->deadline_ns)
		return XDP_PASS;
	return flow->is_out6 ? rewrite(ctx, flow, c, is_up, is_in6, 1)
			     : rewrite(ctx, flow, c, is_up, is_in6, 0);
}

static __always_inline int is_relayed(__be16 port)
{
	__u16 host = bpf_ntohs(port);

	return host >= relay_port_min && host <= relay_port_max;
}

/*
 * ChannelData to the listener, all of the datagram and no padding: its number.  RFC 8656 section
 * 12: 0x4000 to 0x4fff, so 0 is none.
 */
static __always_inline __be16 channel_of(const struct udphdr *udp, const void *end)
{
	const __be16 *channel_data = (const void *)(udp + 1);

	if ((const void *)(channel_data + 2) > end || udp->dest != listener_port)
		return 0;
	if ((channel_data[0] & bpf_htons(0xf000)) != bpf_htons(0x4000))
		return 0;
	if (bpf_ntohs(channel_data[1]) + sizeof(*udp) + CHANNEL_LEN != bpf_ntohs(udp->len))
		return 0;
	return channel_data[0];
}

/* A header is right when its sum, checksum included, is all ones. */
static __always_inline int is_csum_ok(const struct iphdr *ip)
{
	const __u32 *words = (const void *)ip;
	__u64 sum = (__u64)words[0] + words[1] + words[2] + words[3] + words[4];

	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return fold((__u32)sum) == 0xffff;
}

static __always_inline int relay4(struct xdp_md *ctx, void *data, void *end)
{
	const struct iphdr *ip = data + ETH_HLEN;
	const struct udphdr *udp = (const void *)(ip + 1);
	struct relay_key4 key;
	struct carried c;

	if ((void *)(udp + 1) > end)
		return XDP_PASS;
	if (*(const __u8 *)ip != 0x45 || ip->protocol != IPPROTO_UDP ||
			(ip->frag_off & bpf_htons(FRAGMENT_BITS)))
		return XDP_PASS;
	if (!is_csum_ok(ip))
		return XDP_PASS;
	c.udp_len = bpf_ntohs(udp->len);
	if (c.udp_len < sizeof(*udp) || c.udp_len + sizeof(*ip) != bpf_ntohs(ip->tot_len) ||
			ETH_HLEN + sizeof(*ip) + c.udp_len > (__u64)(end - data))
		return XDP_PASS;
	c.csum = udp->check;
	c.ttl = ip->ttl;
	c.tclass = ip->tos;
	c.is_df = (ip->frag_off & bpf_htons(0x4000)) != 0;

	key.ip = ip->saddr;
	key.port = udp->source;
	if (is_relayed(udp->dest)) {
		key.id = udp->dest;
		return leave(ctx, bpf_map_lookup_elem(&down4, &key), &c, 0, 0);
	}
	key.id = channel_of(udp, end);
	if (key.id == 0)
		return XDP_PASS;
	return leave(ctx, bpf_map_lookup_elem(&up4, &key), &c, 1, 0);
}

static __always_inline int relay6(struct xdp_md *ctx, void *data, void *end)
{
	const struct ipv6hdr *ip6 = data + ETH_HLEN;
	const struct udphdr *udp = (const void *)(ip6 + 1);
	struct relay_key6 key;
	struct carried c;

	if ((void *)(udp + 1) > end)
		return XDP_PASS;
	if (ip6->version != 6 || ip6->nexthdr != IPPROTO_UDP)
		return XDP_PASS;
	c.udp_len = bpf_ntohs(udp->len);
	if (c.udp_len < sizeof(*udp) || c.udp_len != bpf_ntohs(ip6->payload_len) ||
			ETH_HLEN + sizeof(*ip6) + c.udp_len > (__u64)(end - data) ||
			udp->check == 0)
		return XDP_PASS;
	c.csum = udp->check;
	c.ttl = ip6->hop_limit;
	c.tclass = (__u8)(bpf_ntohs(*(const __be16 *)ip6) >> 4);
	c.is_df = 0;

	put64(&key.ip[0], *(const __u64 *)&ip6->saddr.s6_addr32[0]);
	put64(&key.ip[2], *(const __u64 *)&ip6->saddr.s6_addr32[2]);
	key.port = udp->source;
	if (is_relayed(udp->dest)) {
		key.id = udp->dest;
		return leave(ctx, bpf_map_lookup_elem(&down6, &key), &c, 0, 1);
	}
	key.id = channel_of(udp, end);
	if (key.id == 0)
		return XDP_PASS;
	return leave(ctx, bpf_map_lookup_elem(&up6, &key), &c, 1, 1);
}

static __always_inline int relay(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct relay_stats *counts;
	int action = XDP_PASS;
	__be16 ethertype;

	if (data + ETH_HLEN > end)
		return XDP_PASS;
	/* One load: struct ethhdr is packed, so its field would be two. */
	ethertype = *(const __be16 *)(data + offsetof(struct ethhdr, h_proto));
	if (ethertype == bpf_htons(ETH_P_IP))
		action = relay4(ctx, data, end);
	else if (ethertype == bpf_htons(ETH_P_IPV6))
		action = relay6(ctx, data, end);
	if (action != XDP_TX) {
		counts = stats_get();
		if (counts)
			counts->pass++;
	}
	return action;
}

/* The next flow's headers, where its frame begins.  @return 0, or -1: the loader's mistake */
static __always_inline int restore(struct xdp_md *ctx)
{
	const struct relay_template *t;
	__u32 at = template_at;
	void *data;

	template_at = at + 1 < n_templates ? at + 1 : 0;
	t = bpf_map_lookup_elem(&templates, &at);
	if (!t || bpf_xdp_adjust_head(ctx, restore_delta))
		return -1;
	data = (void *)(long)ctx->data;
	if (data + RELAY_TEMPLATE_BYTES > (void *)(long)ctx->data_end)
		return -1;
	put64(data, t->l2[0]);
	put64(data + 6, t->l2[1]);
	put64(data + 14, t->word[0]);
	put64(data + 22, t->word[1]);
	put64(data + 30, t->word[2]);
	put64(data + 38, t->word[3]);
	put64(data + 46, t->word[4]);
	put64(data + 54, t->word[5]);
	*(__u32 *)(data + 62) = t->tail;
	return 0;
}

SEC("xdp")
int relay_once(struct xdp_md *ctx)
{
	return relay(ctx);
}

SEC("xdp")
int relay_again(struct xdp_md *ctx)
{
	return restore(ctx) ? XDP_ABORTED : relay(ctx);
}

SEC("xdp")
int restore_only(struct xdp_md *ctx)
{
	return restore(ctx) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp")
int nothing(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";
