/* SPDX-License-Identifier: Apache-2.0 */
/*
 * way - the 48 ways through the relay, for the tests of what becomes of a packet on each.
 *
 *      4  ChannelData to a peer
 *      4  a peer to ChannelData
 *      8  ChannelData to ChannelData, by the relayed addresses of two clients
 *      4  Send indication to a peer
 *      4  a peer to Data indication
 *    3*8  the same between two clients, with an indication at either end or both
 *
 * each for IPv4 and IPv6 in, IPv4 and IPv6 out, and on hairpins for either between the two.  A
 * packet arrives as way_packet_in() has it and must leave as way_packet_out() has it, both built
 * by packet.h.
 */
#ifndef TP_TESTS_UNIT_WAY_H
#define TP_TESTS_UNIT_WAY_H

#include "flow/indication.h"
#include "flow/rewrite.h"

#include "packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1000000
#define IP_ID 0xbeef
#define EGRESS (1ull << 9 | 1ull << 63) /* interfaces 9 and 63 */
#define CHANNEL_IN 0x4abc
#define CHANNEL_OUT 0x4123
#define SEND 0x0016
#define DATA 0x0017
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct tp_classify_conf classify_conf = { .relay_port_min = 49152,
	.relay_port_max = 65535 };

static const struct tp_next_hop usual_hop = {
	.l2 = { 2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 0xbb },
	.l2_len = TP_L2_UNTAGGED,
	.port = 9,
	.mtu = 1500,
};

static struct tp_next_hop hop; /* by which everything leaves */
static struct tp_grace *grace;
static struct tp_flow_table *table;
static struct tp_tid_source tids;
static uint8_t payload[1500];

enum who {
	CLIENT_A,
	CLIENT_B,
	LISTENER,
	RELAYED_A,
	RELAYED_B,
	INTERNAL_B, /* what RELAYED_B is on this host, where the way names a peer */
	PEER,
};

static inline struct tp_addr who(enum who w, bool is_v6)
{
	static const struct {
		uint8_t v4[4], v6[16];
		uint16_t port;
	} all[] = {
		[CLIENT_A] = { { 192, 0, 2, 7 }, { 0x20, 1, 0xd, 0xb8, [15] = 7 }, 40007 },
		[CLIENT_B] = { { 192, 0, 2, 8 }, { 0x20, 1, 0xd, 0xb8, [9] = 0xff, [15] = 8 },
				40008 },
		[LISTENER] = { { 198, 51, 100, 1 }, { 0x20, 1, 0xd, 0xb8, 1, [15] = 1 }, 3478 },
		[RELAYED_A] = { { 198, 51, 100, 2 }, { 0x20, 1, 0xd, 0xb8, 2, [15] = 1 }, 49152 },
		[RELAYED_B] = { { 198, 51, 100, 2 }, { 0x20, 1, 0xd, 0xb8, 2, [15] = 1 }, 65535 },
		[INTERNAL_B] = { { 10, 0, 0, 2 }, { 0xfc, 1, 0xd, 0xb8, 2, [15] = 1 }, 65535 },
		[PEER] = { { 203, 0, 113, 99 }, { 0xfd, 0, 0xff, 0xff, [14] = 0xde, [15] = 0xad },
				9999 },
	};

	return is_v6 ? tp_addr_v6(all[w].v6, all[w].port) : tp_addr_v4(all[w].v4, all[w].port);
}

/* ---- ways ---- */

/* What is spoken at one end of a way. */
enum end {
	PLAIN, /* with a peer */
	CHANNEL,
	INDICATION,
};

#define WAYS 48

/* The flow that the key finds, and the one by which the packet leaves. */
struct way {
	uint32_t number; /* from 1 */
	enum end from, to;
	bool in6, out6, relay6; /* relay6: of the relayed addresses, on a hairpin */
	bool is_tagged;         /* what arrives */
	struct tp_flow *in, *out;
};

static inline bool way_is_hairpin(const struct way *w)
{
	return w->from != PLAIN && w->to != PLAIN;
}

static inline bool way_is_up(const struct way *w)
{
	return w->to == PLAIN;
}

static inline bool way_is_down(const struct way *w)
{
	return w->from == PLAIN;
}

static inline bool way_is_send(const struct way *w)
{
	return w->from == INDICATION;
}

static inline bool way_is_data(const struct way *w)
{
	return w->to == INDICATION;
}

static inline bool way_indicates(const struct way *w)
{
	return way_is_send(w) || way_is_data(w);
}

/* The second relayed address, or the only one of a peer's way. */
static inline struct tp_addr way_relayed_b(const struct way *w)
{
	return who(way_indicates(w) ? INTERNAL_B : RELAYED_B,
			way_is_hairpin(w) ? w->relay6 : w->in6);
}

/* Whom the client sends to, as it calls them. */
static inline struct tp_addr way_peer(const struct way *w)
{
	return way_is_hairpin(w) ? who(RELAYED_B, w->relay6) : who(PEER, w->out6);
}

/* A permission is for an address, whatever the port (RFC 8656 section 9). */
static inline struct tp_addr of_any_port(struct tp_addr a, bool is_any)
{
	return is_any ? tp_addr_ip_only(&a) : a;
}

static inline struct tp_flow *way_flow(struct tp_flow_spec spec)
{
	struct tp_flow *flow = NULL;

	spec.deadline_ns = NOW + 1;
	assert_int_equal(tp_flow_add(table, &spec, &flow), 0);
	if (!spec.is_hairpin) /* nothing leaves by it */
		tp_flow_set_next_hop(flow, &hop);
	return flow;
}

static inline struct tp_flow *way_flow_up(const struct way *w)
{
	const bool is_send = way_is_send(w), is_hairpin = way_is_hairpin(w);

	return way_flow((struct tp_flow_spec){
			.form = is_send ? TP_FLOW_SEND : TP_FLOW_CHANNEL,
			.in_src = who(CLIENT_A, w->in6),
			.in_dst = who(LISTENER, w->in6),
			.in_channel = is_send ? 0 : CHANNEL_IN,
			.in_peer = of_any_port(way_peer(w), true),
			.out_src = who(RELAYED_A, is_hairpin ? w->relay6 : w->out6),
			.out_dst = of_any_port(
					is_hairpin ? way_relayed_b(w) : way_peer(w), is_send),
			.is_hairpin = is_hairpin,
	});
}

static inline struct tp_flow *way_flow_down(const struct way *w)
{
	const struct tp_addr from =
			way_is_hairpin(w) ? who(RELAYED_A, w->relay6) : who(PEER, w->in6);

	return way_flow((struct tp_flow_spec){
			.form = way_is_data(w) ? TP_FLOW_DATA : TP_FLOW_CHANNEL,
			.in_src = of_any_port(from, way_is_data(w)),
			.in_dst = way_relayed_b(w),
			.out_src = who(LISTENER, w->out6),
			.out_dst = who(CLIENT_B, w->out6),
			.out_channel = way_is_data(w) ? 0 : CHANNEL_OUT,
	});
}

static inline void way_close(struct way *w)
{
	if (w->out != w->in)
		tp_flow_del(table, w->out);
	tp_flow_del(table, w->in);
	assert_int_equal(tp_grace_reclaim(grace), 0);
}

/* Opens the way of a number from 1 to WAYS; way_close() it. */
static inline struct way way_number(uint32_t number)
{
	static const enum end ends[WAYS / 4][2] = {
		{ CHANNEL, PLAIN },
		{ PLAIN, CHANNEL },
		{ CHANNEL, CHANNEL },
		{ CHANNEL, CHANNEL },
		{ INDICATION, PLAIN },
		{ PLAIN, INDICATION },
		{ CHANNEL, INDICATION },
		{ CHANNEL, INDICATION },
		{ INDICATION, CHANNEL },
		{ INDICATION, CHANNEL },
		{ INDICATION, INDICATION },
		{ INDICATION, INDICATION },
	};
	const uint32_t i = number - 1;
	struct way w = {
		.number = number,
		.from = ends[i / 4][0],
		.to = ends[i / 4][1],
		.in6 = (i & 2) != 0,
		.out6 = (i & 1) != 0,
		.relay6 = (i & 4) != 0,
	};

	w.in = way_is_down(&w) ? NULL : way_flow_up(&w);
	w.out = way_is_up(&w) ? w.in : way_flow_down(&w);
	if (w.in == NULL)
		w.in = w.out;
	return w;
}

/* while (way_next(&w)), from all zero: closes a way and opens the next, until there is none. */
static inline bool way_next(struct way *w)
{
	if (w->number != 0)
		way_close(w);
	if (w->number == WAYS)
		return false;
	*w = way_number(w->number + 1);
	return true;
}

/* ---- packets ---- */

/* Of DATA, up to the next multiple of four. */
static inline uint8_t way_padding(uint16_t data_len)
{
	return (uint8_t)(-data_len & 3);
}

/* What arrives; fields that the way does not decide are the caller's to change. */
static inline struct packet way_packet_in(const struct way *w, uint16_t data_len)
{
	return (struct packet){
		.macs = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 },
		.src = way_is_down(w) ? who(PEER, w->in6) : who(CLIENT_A, w->in6),
		.dst = way_is_down(w) ? way_relayed_b(w) : who(LISTENER, w->in6),
		.tclass = 0xb8,
		.ttl = 64,
		.id = 0x1234,
		.label = 0xfedcb,
		.channel = w->from == CHANNEL ? CHANNEL_IN : 0,
		.stun = way_is_send(w) ? SEND : 0,
		.peer = way_peer(w),
		.tid = { 9, 8, 7, 6, 5, 4, 3, 2, 1, 0xf1, 0xf2, 0xf3 },
		.data = payload,
		.data_len = data_len,
		.n_pad = way_is_send(w) ? way_padding(data_len) : 0,
		.is_tagged = w->is_tagged,
		.tag = 0xb064,
	};
}

/* What has to leave: RFC 8656 sections 11, 13 and 14, from the fields of what arrived. */
static inline struct packet way_packet_out(const struct way *w, const struct packet *in)
{
	const uint8_t *hdr = w->out->hdr;
	struct packet out = {
		.src = way_is_up(w) ? who(RELAYED_A, w->out6) : who(LISTENER, w->out6),
		.dst = way_is_up(w) ? in->peer : who(CLIENT_B, w->out6),
		.tclass = in->tclass,
		.ttl = (uint8_t)(in->ttl - 1),
		.channel = w->to == CHANNEL ? CHANNEL_OUT : 0,
		.stun = way_is_data(w) ? DATA : 0,
		.peer = way_is_hairpin(w) ? who(RELAYED_A, w->relay6) : in->src,
		.data = in->data,
		.data_len = in->data_len,
		.n_pad = way_is_data(w) ? way_padding(in->data_len) : 0,
		.is_pad_zero = true,
		.is_csum_zero = in->is_csum_zero && !w->out6,
		.csum_error = in->is_csum_zero ? 0 : in->csum_error,
		.is_tagged = hop.l2_len == TP_L2_TAGGED,
		.tag = (uint16_t)(hop.l2[14] << 8 | hop.l2[15]),
	};

	memcpy(out.macs, hop.l2, sizeof(out.macs));
	if (w->out6) {
		out.label = (uint32_t)(hdr[1] & 0xf) << 16 | (uint32_t)hdr[2] << 8 | hdr[3];
		assert_int_not_equal(out.label, 0);
	} else {
		out.is_df = w->in6 ? 20 + packet_udp_len(&out) > 1260 : in->is_df;
		out.id = out.is_df ? 0 : IP_ID;
	}
	return out;
}

static inline uint32_t packet_eth_len(const struct packet *pkt)
{
	return pkt->is_tagged ? 18 : 14;
}

static inline uint32_t packet_ip_len(const struct packet *pkt)
{
	return packet_ip_hdr_len(pkt) + packet_udp_len(pkt);
}

/* Offset of the data in the frame. */
static inline uint32_t packet_data_at(const struct packet *pkt)
{
	return packet_eth_len(pkt) + packet_ip_hdr_len(pkt) + 8 + packet_head_len(pkt);
}

/* How much room a frame needs in front and behind. */
struct room {
	uint32_t head, tail;
};

#define ROOMY ((struct room){ 64, 3 }) /* enough for any but with a tag */

/* What the way takes to the byte: how far headers grow into the headroom, and padding goes beyond
 * the frame received. */
static inline struct room way_room(const struct packet *in, const struct packet *out)
{
	const uint32_t from = packet_data_at(in), to = packet_data_at(out);
	const uint32_t behind = in->n_pad + packet_tail_len(in) + in->n_eth_pad;

	return (struct room){ to > from ? to - from : 0,
		out->n_pad > behind ? out->n_pad - behind : 0 };
}

/* A frame in memory of exactly its size: a byte too far on either side is an ASan report. */
struct held {
	uint8_t *bytes;
	uint32_t size;
	struct tp_frame frame;
};

static inline struct held hold(const uint8_t *bytes, uint32_t len, struct room room)
{
	struct held h = { .size = room.head + len + room.tail };

	h.bytes = malloc(h.size != 0 ? h.size : 1);
	assert_non_null(h.bytes);
	memset(h.bytes, 0x77, h.size);
	if (len > 0)
		memcpy(h.bytes + room.head, bytes, len);
	h.frame = (struct tp_frame){
		.data = h.bytes + room.head,
		.len = (uint16_t)len,
		.headroom = (uint16_t)room.head,
		.tailroom = (uint16_t)room.tail,
		.port = 3,
		.cookie = 42,
	};
	return h;
}

static inline void assert_within(const struct held *h)
{
	assert_true(h->frame.data >= h->bytes);
	assert_true(h->frame.data + h->frame.len <= h->bytes + h->size);
	assert_int_equal(h->frame.data - h->bytes, h->frame.headroom);
}

/* ---- through the relay ---- */

static inline struct tp_flow *find_flow(const void *key, enum tp_flow_kind kind)
{
	const struct tp_flow_query query = { key, kind };
	struct tp_flow *flow = NULL;

	tp_flow_lookup_bulk(table, &query, 1, &flow);
	return flow;
}

static inline struct tp_flow *find_send(const uint8_t *frame, const struct tp_parsed *parsed)
{
	struct tp_flow_send_key key;

	tp_send_key_form(frame, parsed, &key);
	return find_flow(&key, TP_FLOW_SENDS);
}

static inline struct tp_flow *find_data(const union tp_flow_key *key, bool is_v6)
{
	union tp_flow_key any = *key;

	if (is_v6)
		any.v6.src_port_be = 0;
	else
		any.v4.src_port_be = 0;
	return find_flow(&any, is_v6 ? TP_FLOW_DATA6 : TP_FLOW_DATA4);
}

/*
 * The flow that a packet finds on its way.  Of a channel any key will do that is of the right kind,
 * so that damaged addresses are carried too.
 */
static inline struct tp_flow *way_find(
		const struct way *w, const uint8_t *frame, const struct tp_parsed *parsed)
{
	const bool is_v6 = parsed->view.family == TP_IPV6;

	if (tp_parsed_is_send(parsed))
		return find_send(frame, parsed);
	if (!parsed->is_up && way_is_data(w))
		return find_data(&parsed->key, is_v6);
	if ((w->in->flags & TP_FLOW_INDICATION) ||
			parsed->is_up != ((w->in->flags & TP_FLOW_UP) != 0) ||
			is_v6 != ((w->in->flags & TP_FLOW_IN6) != 0))
		return NULL;
	return w->in;
}

/* Classify, look up as the pipeline does, rewrite.  A packet that finds no flow is punted. */
static inline enum tp_verdict carry_over(const struct way *w, struct tp_frame *frame)
{
	struct tp_parsed parsed;
	union tp_flow_key key;
	enum tp_verdict v = tp_classify(&classify_conf, frame, &parsed);

	if (v != TP_FORWARD)
		return v;
	if (way_find(w, frame->data, &parsed) != w->in)
		return TP_PUNT;
	if (!way_indicates(w))
		return tp_rewrite(frame, &parsed, w->in, w->out, EGRESS, NOW, IP_ID);
	key = parsed.key;
	if (way_is_hairpin(w)) {
		tp_flow_hairpin_key(w->in, &key);
		if (way_is_send(w) && w->relay6)
			key.v6.dst_port_be = htons(parsed.peer_port);
		else if (way_is_send(w))
			key.v4.dst_port_be = htons(parsed.peer_port);
		if (way_is_data(w) && find_data(&key, w->relay6) != w->out)
			return TP_PUNT;
	}
	return tp_rewrite_indication(
			frame, &parsed, w->in, w->out, &key, &tids, EGRESS, NOW, IP_ID);
}

static inline void way_print(const struct way *w, const struct packet *in, const char *what)
{
	print_error("way %u, %d to %d, %d to %d by %d: %u bytes, pad %u and %u, error %#x: %s\n",
			w->number, w->from, w->to, w->in6 ? 6 : 4, w->out6 ? 6 : 4,
			w->relay6 ? 6 : 4, in->data_len, in->n_pad, in->n_eth_pad, in->csum_error,
			what);
}

/* One packet through the relay, in a frame with just the room it needs, and what it must become. */
static inline void expect_sent(const struct way *w, const struct packet *in, struct packet out)
{
	uint8_t got[PACKET_MAX], want[PACKET_MAX];
	uint32_t len = packet_build(in, got), want_len;
	struct held h = hold(got, len, way_room(in, &out));
	const uint8_t *data = h.frame.data + packet_data_at(in);

	assert_int_equal(carry_over(w, &h.frame), TP_FORWARD);
	if (way_is_data(w))
		memcpy(out.tid, h.frame.data + packet_eth_len(&out) + packet_ip_hdr_len(&out) + 16,
				sizeof(out.tid));
	want_len = packet_build(&out, want);
	if (h.frame.len != want_len || memcmp(h.frame.data, want, want_len) != 0) {
		way_print(w, in, "another packet is sent");
		assert_int_equal(h.frame.len, want_len);
		assert_memory_equal(h.frame.data, want, want_len);
	}
	/* never moved */
	assert_ptr_equal(h.frame.data + h.frame.len - out.n_pad - in->data_len, data);
	assert_within(&h);
	assert_int_equal(h.frame.port, hop.port);
	assert_int_equal(h.frame.cookie, 42);
	free(h.bytes);
}

static inline void expect_forward(const struct way *w, const struct packet *in)
{
	expect_sent(w, in, way_packet_out(w, in));
}

/* A frame that is not forwarded stays as it was received. */
static inline void expect_verdict(const struct way *w, const uint8_t *bytes, uint32_t len,
		struct room room, enum tp_verdict want, const char *what)
{
	struct held h = hold(bytes, len, room);
	struct tp_frame before = h.frame;
	enum tp_verdict got = carry_over(w, &h.frame);

	if (got != want)
		fail_msg("way %u, %s: verdict %d, not %d", w->number, what, got, want);
	if (want != TP_FORWARD) {
		assert_memory_equal(&h.frame, &before, sizeof(before));
		if (len > 0)
			assert_memory_equal(h.frame.data, bytes, len);
	}
	free(h.bytes);
}

static inline void expect_packet_verdict(const struct way *w, const struct packet *in,
		struct room room, enum tp_verdict want, const char *what)
{
	uint8_t bytes[PACKET_MAX];
	uint32_t len = packet_build(in, bytes);

	expect_verdict(w, bytes, len, room, want, what);
}

/* The sizes of data that a way is tried with. */
static const uint16_t sizes[] = { 0, 1, 2, 3, 4, 5, 63, 64, 101, 1199, 1200, 1400 };

/* ---- set-up of each test ---- */

#define WAYS_TEST(f) cmocka_unit_test_setup_teardown(f, ways_set_up, ways_tear_down)

static inline int ways_set_up(void **state)
{
	struct tp_flow_table_conf conf = { .max_channel_flows = 32, .max_permission_flows = 48 };
	uint32_t i;

	(void)state;
	for (i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 167 + (i >> 8) + 1);
	hop = usual_hop;
	if (tp_grace_new(1, &grace) != 0)
		return -1;
	conf.grace = grace;
	return tp_flow_table_new(&conf, &table);
}

static inline int ways_tear_down(void **state)
{
	(void)state;
	tp_flow_table_free(table);
	tp_grace_free(grace);
	return 0;
}

#endif
