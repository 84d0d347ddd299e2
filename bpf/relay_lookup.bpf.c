/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * relay_lookup - sk_lookup: datagrams for an allocated relayed port to the relay's one socket.
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

#include "match.bpf.h"

/* The kernel's AF_INET, AF_INET6: <sys/socket.h> is not for BPF. */
#define FAMILY_INET 2
#define FAMILY_INET6 10

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2); /* 0: IPv4, 1: IPv6 */
	__type(key, __u32);
	__type(value, __u32);
} relay_sockets SEC(".maps");

SEC("sk_lookup")
int tp_relay_lookup(struct bpf_sk_lookup *ctx)
{
	const struct tp_bpf_ports *relay;
	struct bpf_sock *sk;
	__u32 ip[4] = { 0 };
	__u32 addr, key;

	if (ctx->protocol != IPPROTO_UDP)
		return SK_PASS;
	if (ctx->family == FAMILY_INET) {
		key = 0;
		ip[0] = ctx->local_ip4;
		barrier(); /* else the two loads become one through a pointer, which is refused */
	} else if (ctx->family == FAMILY_INET6) {
		key = 1;
		ip[0] = ctx->local_ip6[0];
		ip[1] = ctx->local_ip6[1];
		ip[2] = ctx->local_ip6[2];
		ip[3] = ctx->local_ip6[3];
	} else {
		return SK_PASS;
	}

	addr = tp_bpf_find_addr(&conf, ip, key);
	if (addr >= TP_BPF_MAX_ADDRS)
		return SK_PASS;
	relay = find_ports(conf.addr[addr].relay);
	if (!relay || !has_port(relay->allocated, ctx->local_port)) /* host byte order */
		return SK_PASS;

	sk = bpf_map_lookup_elem(&relay_sockets, &key);
	if (!sk)
		return SK_PASS;
	bpf_sk_assign(ctx, sk, 0); /* on failure the lookup goes on as if there were no program */
	bpf_sk_release(sk);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
