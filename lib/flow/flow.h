/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow - one direction of one channel or permission, and the table in which workers find it.
 *
 * A flow holds everything needed to finish a packet: prebuilt output headers, the constant part of
 * the checksum, next hop and deadline, and the key by which it is found: two cache lines, besides
 * the one of the index that leads to them.
 *
 * Channels and permissions have kinds of keys of their own.  A datagram from a peer is looked up
 * among the channels first: where one is bound, ChannelData MUST be sent (RFC 8656 section 12.5).
 *
 * Threads: one writer (control); any number of readers (workers) under tp_grace.  A flow found by
 *          a lookup is borrowed until the reader's next tp_grace_quiescent().
 * Memory:  address space for everything is reserved in tp_flow_table_new(), nothing after; pages
 *          cost memory as they are used.
 */
#ifndef TP_FLOW_FLOW_H
#define TP_FLOW_FLOW_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/addr.h"
#include "flow/grace.h"
#include "flow/next_hop.h"

struct tp_flow_table;

#define TP_FLOW_MAX (1u << 29) /* of channels, of permissions */

struct tp_flow_table_conf {
	uint32_t max_channel_flows;    /* two for each channel; 1..TP_FLOW_MAX */
	uint32_t max_permission_flows; /* two for each permission; 0..TP_FLOW_MAX */
	struct tp_grace *grace;        /* borrowed; outlives the table */
	bool clears_dscp;              /* of what is forwarded; ECN is kept */
	uint16_t lowest_ipv6_mtu;      /* see wire/mtu.h; 0: the next hop's MTU alone counts */
};

/* What the client's side of a flow looks like. */
enum tp_flow_form {
	TP_FLOW_CHANNEL, /* ChannelData, either way */
	TP_FLOW_SEND,    /* client to peer: Send indications to any port of out_dst */
	TP_FLOW_DATA,    /* peer to client: what any port of in_src sends, as Data indications */
};

/* What the control plane knows of one direction.  The port that a permission leaves open is 0. */
struct tp_flow_spec {
	enum tp_flow_form form;
	struct tp_addr in_src, in_dst;   /* of the packet received */
	struct tp_addr in_peer;          /* of TP_FLOW_SEND: whom the indication names */
	uint16_t in_channel;             /* of TP_FLOW_CHANNEL, client to peer; else 0 */
	struct tp_addr out_src, out_dst; /* of the packet sent */
	uint16_t out_channel;            /* of TP_FLOW_CHANNEL, peer to client; else 0 */
	/*
	 * Relay to relay on this host: out_src and out_dst are the two relayed addresses as the
	 * other allocation's downward flow has them in its key; the packet leaves by that flow.
	 */
	bool is_hairpin;
	uint32_t account;     /* of the allocation; see account.h */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; from then on the flow carries nothing */
};

/* Keys, hashed and compared whole: no padding, unused bytes zero. */
struct tp_flow_key4 {
	alignas(8) uint8_t src[4];
	uint8_t dst[4];
	uint16_t src_port_be, dst_port_be;
	uint16_t channel_be; /* 0: peer to client */
	uint16_t zero;
};

struct tp_flow_key6 {
	alignas(8) uint8_t src[16];
	uint8_t dst[16];
	uint16_t src_port_be, dst_port_be;
	uint16_t channel_be;
	uint16_t zero;
};

/* A Send indication: the client's five-tuple and the peer's IP address, families mixed freely. */
struct tp_flow_send_key {
	alignas(8) uint8_t src[16]; /* as all: IPv4 in the first four bytes, the rest zero */
	uint8_t dst[16];
	uint16_t src_port_be, dst_port_be;
	uint8_t family, peer_family; /* enum tp_family */
	uint8_t zero[10];
	uint8_t peer[16];
};

_Static_assert(sizeof(struct tp_flow_key4) == 16, "two words");
_Static_assert(sizeof(struct tp_flow_key6) == 40, "five words");
_Static_assert(sizeof(struct tp_flow_send_key) == 64, "eight words");

/* What a key is of, and so its length; among them no two are equal. */
enum tp_flow_kind {
	TP_FLOW_CHANNEL4, /* tp_flow_key4, by the family of the packet received */
	TP_FLOW_CHANNEL6, /* tp_flow_key6 */
	TP_FLOW_DATA4,    /* the same with src_port_be and channel_be zero */
	TP_FLOW_DATA6,
	TP_FLOW_SENDS, /* tp_flow_send_key */
	TP_FLOW_KINDS
};

enum tp_flow_flag {
	TP_FLOW_UP = 1,          /* client to peer */
	TP_FLOW_IN6 = 2,         /* received over IPv6 */
	TP_FLOW_OUT6 = 4,        /* sent over IPv6 */
	TP_FLOW_HAIRPIN = 8,     /* continue with the flow found under tp_flow_hairpin_key() */
	TP_FLOW_INDICATION = 16, /* of a permission: the client's side is Send or Data */
};

#define TP_FLOW_HDR_MAX 52 /* IPv6 40 + UDP 8 + ChannelData 4 */

union tp_flow_key {
	struct tp_flow_key4 v4;
	struct tp_flow_key6 v6;
};

/* First line: what every packet reads, of IPv4 all of it.  Second line: rest of the headers, and
 * the key. */
struct tp_flow {
	alignas(64) _Atomic uint64_t deadline_ns;
	_Atomic(const struct tp_next_hop *)
			next_hop;     /* NULL: unresolved, the kernel path carries it */
	uint8_t flags;                /* enum tp_flow_flag */
	uint8_t hdr_len;              /* of hdr: 28, 32, 48 or 52 */
	uint8_t kind;                 /* enum tp_flow_kind */
	uint8_t tclass_clear;         /* bits of the traffic class that are not copied */
	uint16_t in_sum;              /* folded sum of what the received packet has constant:
					 addresses, ports, channel */
	uint16_t out_sum;             /* the same of the packet sent */
	uint16_t ip_sum;              /* IPv4: folded sum of the prebuilt header's constant words */
	uint16_t whole_max;           /* larger packets that came without DF are fragmented: to
					 IPv6 only */
	uint32_t account_at;          /* tp_account_at() of the allocation and this direction */
	uint8_t hdr[TP_FLOW_HDR_MAX]; /* IP, UDP, ChannelData; lengths, TTL, checksums left zero */
	uint32_t next_free;           /* the writer's: number of a flow */
	union tp_flow_key key;        /* but of TP_FLOW_SENDS, whose key is the table's */
};

/*
 * Relay to relay: the key of the other allocation's downward flow, which has the addresses and
 * ports of this one's prebuilt headers.  Of a permission, the destination port is 0: the Send
 * indication has it.
 */
static inline void tp_flow_hairpin_key(const struct tp_flow *flow, union tp_flow_key *key)
{
	/* Addresses and ports lie in a row, in front of the last four bytes. */
	if (flow->flags & TP_FLOW_OUT6) {
		memcpy(&key->v6, flow->hdr + 8, 36);
		key->v6.channel_be = key->v6.zero = 0;
	} else {
		memcpy(&key->v4, flow->hdr + 12, 12);
		key->v4.channel_be = key->v4.zero = 0;
	}
}

/**
 * Create a table.
 *
 * @param[out] out  owned by the caller, released with tp_flow_table_free()
 * @return 0, -EINVAL or -ENOMEM; on error *out is untouched
 */
int tp_flow_table_new(const struct tp_flow_table_conf *conf, struct tp_flow_table **out);

/** No reader may be online. */
void tp_flow_table_free(struct tp_flow_table *table);

/**
 * Publish a flow without next hop: workers find it when this returns, and punt.
 *
 * @param[out] out  owned by the table until tp_flow_del()
 * @return 0, -EINVAL (families of a pair differ, channels or ports that the form has not, or a
 *         hairpin from peer to client), -EEXIST (the key is taken) or -ENOSPC: max_channel_flows,
 * or max_permission_flows, are in the table or wait for readers
 */
int tp_flow_add(struct tp_flow_table *table, const struct tp_flow_spec *spec, struct tp_flow **out);

/**
 * Unpublish; workers may finish the burst in hand.  The next hop is not touched.  The flow's memory
 * is used again when tp_grace_reclaim() finds that every reader has been quiescent.
 */
void tp_flow_del(struct tp_flow_table *table, struct tp_flow *flow);

/** Writer, any time. */
void tp_flow_set_deadline(struct tp_flow *flow, uint64_t deadline_ns);

/**
 * Writer, any time.  NULL, or a port that no mask of ports has (TP_EGRESS_PORTS and above), sends
 * the flow's packets to the kernel path.
 */
void tp_flow_set_next_hop(struct tp_flow *flow, const struct tp_next_hop *nh);

/** Flows in the table (not counting those that wait for readers). */
uint32_t tp_flow_count(const struct tp_flow_table *table);

struct tp_flow_query {
	const void *key; /* as its kind says, aligned to 8 */
	enum tp_flow_kind kind;
};

/**
 * Reader: look up a burst of keys of any kind, n <= TP_BURST.  flow[i] is NULL on a miss; of what
 * is found both lines and the next hop are on their way into the cache.
 *
 * @return number of hits
 */
uint32_t tp_flow_lookup_bulk(const struct tp_flow_table *table, const struct tp_flow_query query[],
		uint32_t n, struct tp_flow *flow[]);

#endif
