/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * clients - who has an allocation, as a filter that sk_lookup asks on every datagram for a listener
 * and lib/io/client_filter.c keeps.
 *
 * A cuckoo filter: of each five-tuple 16 bits, its tag, in one of two buckets of four.  The second
 * bucket is the first changed by the tag, so that two five-tuples that share the tag and a bucket
 * share both, and one's tag can be taken away for the other's.  Every client that is in it is
 * found; of others eight tags are compared, so that at most one in 8,192 is, and one in 16,384
 * while half of the places are empty, as they are by its size.  The hash is keyed by a secret:
 * nobody can choose five-tuples that are.
 *
 * Included from BPF C and from user space: only __u8..__u64 types.
 */
#ifndef TP_BPF_CLIENTS_H
#define TP_BPF_CLIENTS_H

#include <linux/types.h>

#define TP_BPF_CLIENT_TAGS 4 /* of a bucket, which is one __u64 */
#define TP_BPF_CLIENT_TAG_BITS 16
#define TP_BPF_CLIENT_TAG_MASK 0xffff
#define TP_BPF_CLIENT_WORDS 3

/* .rodata of the sk_lookup program, set before load. */
struct tp_bpf_clients {
	__u64 key[2];
	__u32 mask; /* buckets, a power of two, less 1 */
	__u32 zero;
};

/* A five-tuple: client's address (network byte order; IPv4 in the first four bytes, rest zero),
 * then both ports and the server's address as an index. */
struct tp_bpf_client {
	__u64 word[TP_BPF_CLIENT_WORDS];
};

struct tp_bpf_client_place {
	__u32 bucket[2];
	__u32 tag; /* never 0, which is an empty place */
};

/* Ports in network byte order; addr: index into tp_bpf_conf.addr, which has one family. */
static inline __attribute__((always_inline)) __u64 tp_bpf_client_ports(
		__u16 client_be, __u16 server_be, __u32 addr)
{
	return (__u64)addr << 32 | (__u32)server_be << 16 | client_be;
}

static inline __attribute__((always_inline)) __u64 tp_bpf_rotate(__u64 v, __u32 by)
{
	return v << by | v >> (64 - by);
}

static inline __attribute__((always_inline)) void tp_bpf_sip_round(__u64 v[4])
{
	v[0] += v[1];
	v[1] = tp_bpf_rotate(v[1], 13) ^ v[0];
	v[0] = tp_bpf_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = tp_bpf_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = tp_bpf_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = tp_bpf_rotate(v[1], 17) ^ v[2];
	v[2] = tp_bpf_rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson and Bernstein) of the three words as 24 bytes, little endian. */
static inline __attribute__((always_inline)) __u64 tp_bpf_client_hash(
		const volatile struct tp_bpf_clients *conf, const struct tp_bpf_client *client)
{
	const __u64 k0 = conf->key[0], k1 = conf->key[1];
	const __u64 end = (__u64)(8 * TP_BPF_CLIENT_WORDS) << 56;
	__u64 v[4] = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
		k1 ^ 0x7465646279746573 };
	int i;

	for (i = 0; i < TP_BPF_CLIENT_WORDS; i++) {
		v[3] ^= client->word[i];
		tp_bpf_sip_round(v);
		v[0] ^= client->word[i];
	}
	v[3] ^= end;
	tp_bpf_sip_round(v);
	v[0] ^= end;
	v[2] ^= 0xff;
	tp_bpf_sip_round(v);
	tp_bpf_sip_round(v);
	tp_bpf_sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The other of a tag's buckets. */
static inline __attribute__((always_inline)) __u32 tp_bpf_client_other(
		const volatile struct tp_bpf_clients *conf, __u32 bucket, __u32 tag)
{
	return (bucket ^ tag * 0x5bd1e995) & conf->mask;
}

static inline __attribute__((always_inline)) struct tp_bpf_client_place tp_bpf_client_place(
		const volatile struct tp_bpf_clients *conf, const struct tp_bpf_client *client)
{
	const __u64 hash = tp_bpf_client_hash(conf, client);
	struct tp_bpf_client_place place;

	place.tag = hash >> 48 == 0 ? 1 : (__u32)(hash >> 48);
	place.bucket[0] = (__u32)hash & conf->mask;
	place.bucket[1] = tp_bpf_client_other(conf, place.bucket[0], place.tag);
	return place;
}

/* @return the place of a tag in a bucket, TP_BPF_CLIENT_TAGS when it is not there */
static inline __attribute__((always_inline)) __u32 tp_bpf_client_find(__u64 bucket, __u32 tag)
{
	__u32 i;

	for (i = 0; i < TP_BPF_CLIENT_TAGS; i++)
		if ((bucket >> i * TP_BPF_CLIENT_TAG_BITS & TP_BPF_CLIENT_TAG_MASK) == tag)
			break;
	return i;
}

#endif
