/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * steer - XDP: TURN's application data to the AF_XDP socket of its queue, all else to the kernel.
 *
 * Decides as little as it can and changes nothing: no byte of a packet is written, nothing but
 * what an overloaded worker could not take is dropped, and where no socket is bound the redirect
 * falls back to XDP_PASS.  User space checks everything again.
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

#include "match.bpf.h"
#include "redirect.bpf.h"

#define FRAGMENT_BITS 0x3fff /* more fragments, and the offset: RFC 791 section 3.1 */

/* One for each interface, as the program is. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TP_BPF_ACCEPT_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} accept SEC(".maps");

struct cursor {
	void *at;
	void *end;
};

/* 802.1Q, behind the MACs: the tag, and then the ethertype. */
struct vlan_tag {
	__be16 control; /* priority 3 bits, drop eligible 1, VLAN 12 */
	__be16 ethertype;
};

#define VLAN_ID_BITS 0x0fff

/* What the headers say. */
struct target {
	__u32 ip[4];
	__u32 payload_bytes;
	__u32 vlan; /* 0: no tag, or one that only has a priority */
	__u8 is_v6;
};

/* Step over the Ethernet header and at most one VLAN tag.  @return the ethertype, 0: cut short */
static __always_inline __be16 parse_ethernet(struct cursor *c, struct target *to)
{
	const struct ethhdr *eth = c->at;
	const struct vlan_tag *tag;

	if ((void *)(eth + 1) > c->end)
		return 0;
	c->at += sizeof(*eth);
	if (eth->h_proto != bpf_htons(ETH_P_8021Q))
		return eth->h_proto;
	tag = c->at;
	if ((void *)(tag + 1) > c->end)
		return 0;
	c->at += sizeof(*tag);
	to->vlan = bpf_ntohs(tag->control) & VLAN_ID_BITS;
	return tag->ethertype;
}

/* Step over the link-layer and IP headers of plain UDP. */
static __always_inline int parse_to_udp(struct cursor *c, struct target *to)
{
	__be16 ethertype = parse_ethernet(c, to);

	if (ethertype == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = c->at;

		if ((void *)(ip + 1) > c->end)
			return -1;
		if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
				(ip->frag_off & bpf_htons(FRAGMENT_BITS)) ||
				bpf_ntohs(ip->tot_len) < sizeof(*ip))
			return -1;
		to->ip[0] = ip->daddr;
		to->payload_bytes = bpf_ntohs(ip->tot_len) - sizeof(*ip);
		c->at += sizeof(*ip);
		return 0;
	}
	if (ethertype == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip6 = c->at;

		if ((void *)(ip6 + 1) > c->end)
			return -1;
		if (ip6->version != 6 || ip6->nexthdr != IPPROTO_UDP)
			return -1;
		__builtin_memcpy(to->ip, &ip6->daddr, sizeof(to->ip));
		to->is_v6 = 1;
		to->payload_bytes = bpf_ntohs(ip6->payload_len);
		c->at += sizeof(*ip6);
		return 0;
	}
	return -1;
}

/*
 * Words are looked up, not indexed: without CAP_PERFMON the verifier forbids to add to a pointer
 * what is a constant on one path and a variable on another.
 */
static __always_inline int has_accept_bit(__u32 word, __u32 bit)
{
	const __u64 *bits = bpf_map_lookup_elem(&accept, &word);

	return bits && (*bits >> (bit & 63) & 1);
}

/* Is the address still one of this host's, and the VLAN one of this interface's? */
static __always_inline int is_accepted(__u32 addr, __u32 vlan)
{
	if (vlan != 0 && !has_accept_bit(vlan >> 6, vlan))
		return 0;
	return has_accept_bit(TP_BPF_ACCEPT_ADDRS + (addr >> 6), addr);
}

/*
 * RFC 8656 section 12: the first byte tells ChannelData from STUN, of which the Send indication
 * alone carries data (0x0016, section 17).  That the frame is as long as its lengths say is left to
 * user space: without CAP_PERFMON the verifier forbids to add a length to a packet pointer.
 */
static __always_inline int is_client_data(const struct udphdr *udp, void *end, __u32 ip_payload)
{
	const __u8 *payload = (const void *)(udp + 1);
	__u32 udp_bytes = bpf_ntohs(udp->len);

	if ((void *)(payload + 1) > end)
		return 0;
	if (udp_bytes < sizeof(*udp) + 1 || udp_bytes > ip_payload)
		return 0;
	if (payload[0] == 0)
		return (void *)(payload + 2) <= end && udp_bytes >= sizeof(*udp) + 2 &&
				payload[1] == 0x16;
	return payload[0] >= 0x40 && payload[0] <= conf.channel_first_byte_max;
}

SEC("xdp")
int tp_steer(struct xdp_md *ctx)
{
	struct cursor c = { .at = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end };
	const struct tp_bpf_ports *relay;
	const struct udphdr *udp;
	struct target to = { 0 };
	__u32 addr, relay_index;

	if (parse_to_udp(&c, &to))
		return XDP_PASS;
	udp = c.at;
	if ((void *)(udp + 1) > c.end)
		return XDP_PASS;

	addr = tp_bpf_find_addr(&conf, to.ip, to.is_v6);
	if (addr >= TP_BPF_MAX_ADDRS || !is_accepted(addr, to.vlan))
		return XDP_PASS;
	/*
	 * Here and not below: where is_listener() said yes, the verifier knows what addr is, and
	 * without CAP_PERFMON an index must not be a constant on one path and a variable on
	 * another.
	 */
	relay_index = conf.addr[addr].relay;
	if (is_listener(addr, udp->dest) && is_client_data(udp, c.end, to.payload_bytes))
		goto redirect;

	relay = find_ports(relay_index);
	if (!relay || !has_port(relay->fast, bpf_ntohs(udp->dest)))
		return XDP_PASS;

redirect:
	return redirect_to_worker(ctx->rx_queue_index);
}

char LICENSE[] SEC("license") = "GPL";
