/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steer_vectors - what is a worker's and what the kernel's: every kind of packet, and the answer.
 *
 * The XDP program (tests/bpf/test_steer_prog.c) and the same rules in user space
 * (tests/unit/test_steer_rules.c) are both held to it.
 */
#ifndef TP_TESTS_BPF_STEER_VECTORS_H
#define TP_TESTS_BPF_STEER_VECTORS_H

#include "../lab.h"

#include "bpf/steer.h"

#include <linux/bpf.h>

#define RELAY4 "192.0.2.1"   /* listener, relay 0 */
#define RELAY6 "2001:db8::1" /* listener, relay 1 */
#define QUIET4 "192.0.2.2"   /* relay 2 only */
#define LISTEN4 "192.0.2.3"  /* listener only */
#define PEER4 "198.51.100.7"
#define PEER6 "2001:db8:1::7"

#define FAST 50000
#define ALLOCATED 50001 /* and not fast */
#define FREE 50002

/* ChannelData: channel, length, four bytes. */
#define CHANNEL(hi)       \
	hi "\x01\x00\x04" \
	   "data",        \
			8
#define STUN "\x00\x01\x00\x00\x21\x12\xa4\x42", 8
#define SEND_INDICATION "\x00\x16\x00\x00\x21\x12\xa4\x42", 8
#define BYTES(text) text, sizeof(text) - 1

#define TO4(dport, payload)                          \
	{                                            \
		PEER4, RELAY4, 40000, dport, payload \
	}
#define TO6(dport, payload)                          \
	{                                            \
		PEER6, RELAY6, 40000, dport, payload \
	}
#define TO(dst, dport, payload)                   \
	{                                         \
		PEER4, dst, 40000, dport, payload \
	}

/* Replace `cut` bytes at `at` by n others. */
struct edit {
	uint8_t at, cut, n;
	uint8_t bytes[8];
};

/* A VLAN tag in front of the ethertype. */
#define TAG(bits, vlan)                                            \
	{                                                          \
		12, 0, 4,                                          \
		{                                                  \
			0x81, 0, (bits) | (vlan) >> 8, (vlan)&0xff \
		}                                                  \
	}

/* For RELAY4, RELAY6, QUIET4 and LISTEN4 as in small_conf().  Offsets: Ethernet 14, then IPv4 20 or
 * IPv6 40, then UDP 8. */
static const struct steer_vector {
	const char *what;
	struct lab_udp udp;
	struct edit edit[2];
	uint16_t len; /* cut the frame to this; 0: as it is */
	int want;
} steer_vectors[] = {
	/* clang-format off */
	/* Listeners take ChannelData and Send indications, and nothing else. */
	{ "ChannelData to the listener", TO4(3478, CHANNEL("\x40")), .want = XDP_REDIRECT },
	{ "ChannelData to the IPv6 listener", TO6(3478, CHANNEL("\x40")), .want = XDP_REDIRECT },
	{ "ChannelData to the listener that is no relay", TO(LISTEN4, 3479, CHANNEL("\x40")), .want = XDP_REDIRECT },
	{ "last channel", TO4(3478, CHANNEL("\x4f")), .want = XDP_REDIRECT },
	{ "reserved channel", TO4(3478, CHANNEL("\x50")), .want = XDP_PASS },
	{ "legacy channel", TO4(3478, CHANNEL("\x7f")), .want = XDP_PASS },
	{ "first byte below the channels", TO4(3478, CHANNEL("\x3f")), .want = XDP_PASS },
	{ "first byte above the channels", TO4(3478, CHANNEL("\x80")), .want = XDP_PASS },
	{ "Send indication", TO4(3478, SEND_INDICATION), .want = XDP_REDIRECT },
	{ "Send indication over IPv6", TO6(3478, SEND_INDICATION), .want = XDP_REDIRECT },
	{ "Send indication to the listener that is no relay", TO(LISTEN4, 3479, SEND_INDICATION), .want = XDP_REDIRECT },
	{ "Send indication to another port", TO4(3480, SEND_INDICATION), .want = XDP_PASS },
	{ "Send indication of two bytes: user space will tell", TO4(3478, BYTES("\x00\x16")), .want = XDP_REDIRECT },
	{ "first byte of a Send indication", TO4(3478, BYTES("\x00")), .want = XDP_PASS },
	{ "second byte behind the UDP length", TO4(3478, SEND_INDICATION), { { 38, 2, 2, { 0, 9 } } }, .want = XDP_PASS },
	{ "Send indication cut after its first byte", TO4(3478, SEND_INDICATION), .len = 43, .want = XDP_PASS },
	{ "Data indication to the listener", TO4(3478, BYTES("\x00\x17\x00\x00")), .want = XDP_PASS },
	{ "Binding indication", TO4(3478, BYTES("\x00\x11\x00\x00")), .want = XDP_PASS },
	{ "Send request", TO4(3478, BYTES("\x00\x06\x00\x00")), .want = XDP_PASS },
	{ "Send success", TO4(3478, BYTES("\x01\x06\x00\x00")), .want = XDP_PASS },
	{ "Send indication's bytes swapped", TO4(3478, BYTES("\x16\x00\x00\x00")), .want = XDP_PASS },
	{ "STUN to the listener", TO4(3478, STUN), .want = XDP_PASS },
	{ "STUN to the IPv6 listener", TO6(3478, STUN), .want = XDP_PASS },
	{ "one byte of payload", { PEER4, RELAY4, 40000, 3478, "@", 1 }, .want = XDP_REDIRECT },
	{ "no payload", { PEER4, RELAY4, 40000, 3478, NULL, 0 }, .want = XDP_PASS },
	{ "no payload, padded by 0x40", { PEER4, RELAY4, 40000, 3478, NULL, 0 },
		{ { 42, 0, 4, { 0x40, 0x40, 0x40, 0x40 } } }, .want = XDP_PASS },
	{ "payload and Ethernet padding", TO4(3478, CHANNEL("\x40")), { { 50, 0, 4, { 0 } } }, .want = XDP_REDIRECT },
	{ "UDP length beyond the IP payload", TO4(3478, CHANNEL("\x40")), { { 38, 2, 2, { 0, 17 } } }, .want = XDP_PASS },
	{ "UDP length of the largest datagram", TO4(3478, CHANNEL("\x40")), { { 38, 2, 2, { 0xff, 0xff } } }, .want = XDP_PASS },
	{ "IPv4 total length below its header", TO4(3478, CHANNEL("\x40")), { { 16, 2, 2, { 0, 19 } } }, .want = XDP_PASS },
	{ "IPv6 payload length 0", TO6(3478, CHANNEL("\x40")), { { 18, 2, 2, { 0, 0 } } }, .want = XDP_PASS },
	{ "UDP length below its header", TO4(3478, CHANNEL("\x40")), { { 38, 2, 2, { 0, 7 } } }, .want = XDP_PASS },
	{ "UDP length beyond the IPv6 payload", TO6(3478, CHANNEL("\x40")), { { 58, 2, 2, { 0, 17 } } }, .want = XDP_PASS },
	{ "ChannelData to another port", TO4(3479, CHANNEL("\x40")), .want = XDP_PASS },
	{ "ChannelData to another address's listener port", TO(LISTEN4, 3478, CHANNEL("\x40")), .want = XDP_PASS },
	{ "ChannelData to port 0", TO4(0, CHANNEL("\x40")), .want = XDP_PASS },
	{ "ChannelData to a foreign address", TO("192.0.2.99", 3478, CHANNEL("\x40")), .want = XDP_PASS },
	{ "ChannelData from the listener port", { PEER4, QUIET4, 3478, 40000, CHANNEL("\x40") }, .want = XDP_PASS },

	/* Relayed ports: the bit alone decides. */
	{ "data to a fast port", TO4(FAST, STUN), .want = XDP_REDIRECT },
	{ "data to a fast IPv6 port", TO6(FAST, STUN), .want = XDP_REDIRECT },
	{ "an empty datagram to a fast port", { PEER4, RELAY4, 40000, FAST, NULL, 0 }, .want = XDP_REDIRECT },
	{ "port 0, not fast", TO4(0, STUN), .want = XDP_PASS },
	{ "fast, bit 63 of its word", TO4(50047, STUN), .want = XDP_REDIRECT },
	{ "fast, bit 0 of the next word", TO4(50048, STUN), .want = XDP_PASS },
	{ "fast, last port", TO4(65535, STUN), .want = XDP_REDIRECT },
	{ "allocated but not fast", TO4(ALLOCATED, CHANNEL("\x40")), .want = XDP_PASS },
	{ "free port", TO4(FREE, CHANNEL("\x40")), .want = XDP_PASS },
	{ "fast on another relay address", TO(QUIET4, FAST, STUN), .want = XDP_PASS },
	{ "fast on an address that does not relay", TO(LISTEN4, FAST, STUN), .want = XDP_PASS },
	{ "fast on a foreign address", TO("192.0.2.99", FAST, STUN), .want = XDP_PASS },
	{ "fast on a foreign IPv6 address", { PEER6, "2001:db8::2", 40000, FAST, STUN }, .want = XDP_PASS },
	{ "DNS answer to a high port of ours", { PEER4, RELAY4, 53, 55555, STUN }, .want = XDP_PASS },

	/* Not plain UDP. */
	{ "first fragment", TO4(FAST, STUN), { { 20, 2, 2, { 0x20, 0 } } }, .want = XDP_PASS },
	{ "middle fragment", TO4(FAST, STUN), { { 20, 2, 2, { 0x20, 185 } } }, .want = XDP_PASS },
	{ "last fragment", TO4(FAST, STUN), { { 20, 2, 2, { 0, 185 } } }, .want = XDP_PASS },
	{ "do not fragment", TO4(FAST, STUN), { { 20, 2, 2, { 0x40, 0 } } }, .want = XDP_REDIRECT },
	{ "IPv4 options", TO4(FAST, STUN), { { 14, 1, 1, { 0x46 } }, { 34, 0, 4, { 1, 1, 1, 1 } } }, .want = XDP_PASS },
	{ "IPv4 header too short", TO4(FAST, STUN), { { 14, 1, 1, { 0x44 } } }, .want = XDP_PASS },
	{ "IPv4 ethertype, version 6", TO4(FAST, STUN), { { 14, 1, 1, { 0x65 } } }, .want = XDP_PASS },
	{ "IPv6 ethertype, version 4", TO6(FAST, STUN), { { 14, 1, 1, { 0x42 } } }, .want = XDP_PASS },
	{ "TCP", TO4(FAST, STUN), { { 23, 1, 1, { IPPROTO_TCP } } }, .want = XDP_PASS },
	{ "ICMP", TO4(FAST, STUN), { { 23, 1, 1, { IPPROTO_ICMP } } }, .want = XDP_PASS },
	{ "UDP-Lite", TO4(FAST, STUN), { { 23, 1, 1, { 136 } } }, .want = XDP_PASS },
	{ "IPv6 TCP", TO6(FAST, STUN), { { 20, 1, 1, { IPPROTO_TCP } } }, .want = XDP_PASS },
	{ "IPv6 ICMP", TO6(FAST, STUN), { { 20, 1, 1, { IPPROTO_ICMPV6 } } }, .want = XDP_PASS },
	{ "IPv6 fragment", TO6(FAST, STUN),
		{ { 20, 1, 1, { 44 } }, { 54, 0, 8, { IPPROTO_UDP, 0, 0, 1, 0, 0, 0, 1 } } }, .want = XDP_PASS },
	{ "IPv6 hop-by-hop options", TO6(FAST, STUN),
		{ { 20, 1, 1, { 0 } }, { 54, 0, 8, { IPPROTO_UDP, 0, 1, 4, 0, 0, 0, 0 } } }, .want = XDP_PASS },

	/* VLANs: one tag, of a VLAN that the host has (100, 4094), or with a priority alone. */
	{ "VLAN tag", TO4(FAST, STUN), { TAG(0, 100) }, .want = XDP_REDIRECT },
	{ "VLAN tag on IPv6", TO6(FAST, STUN), { TAG(0, 100) }, .want = XDP_REDIRECT },
	{ "VLAN tag, ChannelData", TO4(3478, CHANNEL("\x40")), { TAG(0, 100) }, .want = XDP_REDIRECT },
	{ "VLAN tag, ChannelData on IPv6", TO6(3478, CHANNEL("\x40")), { TAG(0, 100) }, .want = XDP_REDIRECT },
	{ "VLAN tag, STUN", TO4(3478, STUN), { TAG(0, 100) }, .want = XDP_PASS },
	{ "VLAN tag, port not fast", TO4(FREE, STUN), { TAG(0, 100) }, .want = XDP_PASS },
	{ "VLAN tag with priority and drop eligible", TO4(FAST, STUN), { TAG(0xf0, 100) }, .want = XDP_REDIRECT },
	{ "last VLAN", TO4(FAST, STUN), { TAG(0, 4094) }, .want = XDP_REDIRECT },
	{ "reserved VLAN", TO4(FAST, STUN), { TAG(0, 4095) }, .want = XDP_PASS },
	{ "VLAN that the host does not have", TO4(FAST, STUN), { TAG(0, 101) }, .want = XDP_PASS },
	{ "VLAN that the host does not have, same bit", TO4(FAST, STUN), { TAG(0, 164) }, .want = XDP_PASS },
	{ "VLAN 64, whose word is the second", TO4(FAST, STUN), { TAG(0, 64) }, .want = XDP_PASS },
	{ "priority alone", TO4(FAST, STUN), { TAG(0xa0, 0) }, .want = XDP_REDIRECT },
	{ "no priority either", TO6(FAST, STUN), { TAG(0, 0) }, .want = XDP_REDIRECT },
	{ "two VLAN tags", TO4(FAST, STUN), { TAG(0, 100), TAG(0, 100) }, .want = XDP_PASS },
	{ "provider VLAN tag", TO4(FAST, STUN), { { 12, 0, 4, { 0x88, 0xa8, 0, 100 } } }, .want = XDP_PASS },
	{ "provider and customer VLAN tag", TO4(FAST, STUN),
		{ TAG(0, 100), { 12, 0, 4, { 0x88, 0xa8, 0, 100 } } }, .want = XDP_PASS },
	{ "VLAN tag, fragment", TO4(FAST, STUN), { { 20, 2, 2, { 0x20, 0 } }, TAG(0, 100) }, .want = XDP_PASS },
	{ "VLAN tag, ARP", TO4(FAST, STUN), { { 12, 2, 2, { 8, 6 } }, TAG(0, 100) }, .want = XDP_PASS },
	{ "VLAN tag, foreign address", TO("192.0.2.99", FAST, STUN), { TAG(0, 100) }, .want = XDP_PASS },
	{ "cut before the tag", TO4(FAST, STUN), { TAG(0, 100) }, .len = 14, .want = XDP_PASS },
	{ "cut in the tag", TO4(FAST, STUN), { TAG(0, 100) }, .len = 17, .want = XDP_PASS },
	{ "cut behind the tag", TO4(FAST, STUN), { TAG(0, 100) }, .len = 18, .want = XDP_PASS },
	{ "VLAN tag, cut in IPv4", TO4(FAST, STUN), { TAG(0, 100) }, .len = 37, .want = XDP_PASS },
	{ "VLAN tag, cut in UDP", TO4(FAST, STUN), { TAG(0, 100) }, .len = 45, .want = XDP_PASS },
	{ "VLAN tag, cut in UDP over IPv6", TO6(FAST, STUN), { TAG(0, 100) }, .len = 65, .want = XDP_PASS },
	{ "VLAN tag, cut after UDP", TO4(3478, CHANNEL("\x40")), { TAG(0, 100) }, .len = 46, .want = XDP_PASS },
	{ "ARP", TO4(FAST, STUN), { { 12, 2, 2, { 8, 6 } } }, .want = XDP_PASS },

	/* Cut inside every header. */
	{ "Ethernet alone", TO4(FAST, STUN), .len = 14, .want = XDP_PASS },
	{ "cut in IPv4", TO4(FAST, STUN), .len = 33, .want = XDP_PASS },
	{ "cut in UDP", TO4(FAST, STUN), .len = 41, .want = XDP_PASS },
	{ "cut after UDP", TO4(3478, CHANNEL("\x40")), .len = 42, .want = XDP_PASS },
	{ "cut in the payload: user space will tell", TO4(3478, CHANNEL("\x40")), .len = 49, .want = XDP_REDIRECT },
	{ "cut in IPv6", TO6(FAST, STUN), .len = 53, .want = XDP_PASS },
	{ "cut in UDP over IPv6", TO6(FAST, STUN), .len = 61, .want = XDP_PASS },
	{ "cut after UDP over IPv6", TO6(3478, CHANNEL("\x40")), .len = 62, .want = XDP_PASS },
	/* clang-format on */
};

#define N_STEER_VECTORS (sizeof(steer_vectors) / sizeof(steer_vectors[0]))

/* Ports that the vectors take for fast, on relays 0 and 1. */
static const uint16_t steer_fast[] = { FAST, 50047, 65535 };

static inline void set_addr(struct tp_bpf_addr *out, const char *text, uint8_t relay)
{
	out->is_v6 = strchr(text, ':') != NULL;
	out->relay = relay;
	assert_int_equal(inet_pton(out->is_v6 ? AF_INET6 : AF_INET, text, out->ip), 1);
}

static inline struct tp_bpf_conf small_conf(void)
{
	struct tp_bpf_conf conf = {
		.n_addrs = 4,
		.n_listeners = 3,
		.channel_first_byte_max = 0x4f,
		.listener = {
			{ .port_be = htons(3478), .addr = 0 },
			{ .port_be = htons(3478), .addr = 1 },
			{ .port_be = htons(3479), .addr = 3 },
		},
	};

	set_addr(&conf.addr[0], RELAY4, 0);
	set_addr(&conf.addr[1], RELAY6, 1);
	set_addr(&conf.addr[2], QUIET4, 2);
	set_addr(&conf.addr[3], LISTEN4, TP_BPF_NO_RELAY);
	return conf;
}

static inline size_t apply(uint8_t *frame, size_t len, const struct edit *edit)
{
	uint8_t *at = frame + edit->at;

	memmove(at + edit->n, at + edit->cut, len - edit->at - edit->cut);
	memcpy(at, edit->bytes, edit->n);
	return len + edit->n - edit->cut;
}

/** Write the frame of a vector.  @return its length */
static inline size_t steer_frame(const struct steer_vector *v, uint8_t frame[LAB_FRAME_MAX])
{
	size_t len = lab_frame(&v->udp, frame);

	len = apply(frame, len, &v->edit[0]);
	len = apply(frame, len, &v->edit[1]);
	return v->len != 0 ? v->len : len;
}

#endif
