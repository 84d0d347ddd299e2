/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * relay_lookup - sk_lookup: datagrams for an allocated relayed port to the relay's one socket; and
 * those that clients with an allocation send to a listener to a socket of theirs, so that a flood
 * of others fills the listener's alone.
 *
 * Runs after the kernel's reassembly and after its lookup of connected sockets, before that of
 * bound ones.  Always SK_PASS: what is not assigned here goes on as if there were no program.
 *
 * The licence string is "GPL", which the kernel demands of callers of some helpers; the source
 * is offered under either licence named above.
 */
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>

#include "clients.h"
#include "match.bpf.h"

/* The kernel's AF_INET, AF_INET6: <sys/socket.h> is not for BPF. */
#define FAMILY_INET 2
#define FAMILY_INET6 10

const volatile struct tp_bpf_clients clients_conf = { 0 };

/* 0: IPv4, 1: IPv6 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} relay_sockets SEC(".maps"), client_sockets SEC(".maps");

/* The filter: a word is a bucket.  User space makes it as large as the limit of allocations asks.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} clients SEC(".maps");

/* Of a datagram; IPv4: ip[0], rest zero. */
struct ends {
	__u32 local_ip[4], remote_ip[4];
	__u32 is_v6;
};

static __always_inline int has_tag(__u32 bucket, __u32 tag)
{
	const volatile __u64 *tags = bpf_map_lookup_elem(&clients, &bucket);

	return tags && tp_bpf_client_find(*tags, tag) < TP_BPF_CLIENT_TAGS;
}

static __always_inline int is_client(
		const struct ends *ends, __u16 remote_port_be, __u16 local_port_be, __u32 addr)
{
	const __u32 *ip = ends->remote_ip;
	struct tp_bpf_client client;
	struct tp_bpf_client_place place;

	client.word[0] = (__u64)ip[1] << 32 | ip[0];
	client.word[1] = (__u64)ip[3] << 32 | ip[2];
	client.word[2] = tp_bpf_client_ports(remote_port_be, local_port_be, addr);
	place = tp_bpf_client_place(&clients_conf, &client);
	return has_tag(place.bucket[0], place.tag) || has_tag(place.bucket[1], place.tag);
}

/* @return -1: neither family */
static __always_inline int read_ends(const struct bpf_sk_lookup *ctx, struct ends *ends)
{
	if (ctx->family == FAMILY_INET) {
		ends->is_v6 = 0;
		ends->local_ip[0] = ctx->local_ip4;
		barrier(); /* else two loads become one through a pointer, which is refused */
		ends->remote_ip[0] = ctx->remote_ip4;
		barrier();
		return 0;
	}
	if (ctx->family != FAMILY_INET6)
		return -1;
	ends->is_v6 = 1;
	ends->local_ip[0] = ctx->local_ip6[0];
	ends->local_ip[1] = ctx->local_ip6[1];
	ends->local_ip[2] = ctx->local_ip6[2];
	ends->local_ip[3] = ctx->local_ip6[3];
	ends->remote_ip[0] = ctx->remote_ip6[0];
	ends->remote_ip[1] = ctx->remote_ip6[1];
	ends->remote_ip[2] = ctx->remote_ip6[2];
	ends->remote_ip[3] = ctx->remote_ip6[3];
	return 0;
}

SEC("sk_lookup")
int tp_relay_lookup(struct bpf_sk_lookup *ctx)
{
	const struct tp_bpf_ports *relay;
	struct ends ends = { 0 };
	struct bpf_sock *sk;
	__u32 addr;

	if (ctx->protocol != IPPROTO_UDP || read_ends(ctx, &ends) < 0)
		return SK_PASS;
	addr = tp_bpf_find_addr(&conf, ends.local_ip, ends.is_v6);
	if (addr >= TP_BPF_MAX_ADDRS)
		return SK_PASS;
	relay = find_ports(conf.addr[addr].relay);
	if (relay && has_port(relay->allocated, ctx->local_port)) /* host byte order */
		sk = bpf_map_lookup_elem(&relay_sockets, &ends.is_v6);
	else if (is_listener(addr, bpf_htons(ctx->local_port)) &&
			is_client(&ends, ctx->remote_port, bpf_htons(ctx->local_port), addr))
		sk = bpf_map_lookup_elem(&client_sockets, &ends.is_v6);
	else
		return SK_PASS;
	if (!sk)
		return SK_PASS;
	bpf_sk_assign(ctx, sk, 0); /* on failure the lookup goes on as if there were no program */
	bpf_sk_release(sk);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
