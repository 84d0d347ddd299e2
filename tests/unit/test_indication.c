/* SPDX-License-Identifier: Apache-2.0 */
/* Send and Data indications through classify, lookup and rewrite, against packet.h's slow frames.
 */
#include "flow/indication.h"

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
#define EGRESS (1ull << 9)
#define CHANNEL_IN 0x4abc
#define CHANNEL_OUT 0x4123
#define SEND 0x0016
#define DATA 0x0017
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct tp_classify_conf conf = { .relay_port_min = 49152, .relay_port_max = 65535 };

static struct tp_next_hop hop = {
	.l2 = { 2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 0xbb },
	.l2_len = TP_L2_UNTAGGED,
	.port = 9,
	.mtu = 1500,
};

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
	EXTERNAL_B, /* what clients call RELAYED_B */
	PEER,
};

static struct tp_addr who(enum who w, bool is_v6)
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
		[RELAYED_B] = { { 10, 0, 0, 2 }, { 0xfc, 1, 0xd, 0xb8, 2, [15] = 1 }, 65535 },
		[EXTERNAL_B] = { { 198, 51, 100, 2 }, { 0x20, 1, 0xd, 0xb8, 2, [15] = 1 }, 65535 },
		[PEER] = { { 203, 0, 113, 99 }, { 0xfd, 0, 0xff, 0xff, [14] = 0xde, [15] = 0xad },
				9999 },
	};

	return is_v6 ? tp_addr_v6(all[w].v6, all[w].port) : tp_addr_v4(all[w].v4, all[w].port);
}

static struct tp_addr host(enum who w, bool is_v6)
{
	const struct tp_addr a = who(w, is_v6);

	return tp_addr_ip_only(&a);
}

/* What arrives and what leaves. */
enum kind {
	SEND_TO_PEER,
	PEER_TO_DATA,
	CHANNEL_TO_DATA,
	SEND_TO_CHANNEL,
	SEND_TO_DATA,
};

struct way {
	enum kind kind;
	bool in6, out6, relay6; /* relay6: of the relayed addresses, on a hairpin */
	struct tp_flow *in, *out;
};

static bool is_hairpin(const struct way *w)
{
	return w->kind >= CHANNEL_TO_DATA;
}

static bool is_send(const struct way *w)
{
	return w->kind == SEND_TO_PEER || w->kind >= SEND_TO_CHANNEL;
}

static bool is_data(const struct way *w)
{
	return w->kind == PEER_TO_DATA || w->kind == CHANNEL_TO_DATA || w->kind == SEND_TO_DATA;
}

static struct tp_flow *flow_new(struct tp_flow_spec spec)
{
	struct tp_flow *flow = NULL;

	spec.deadline_ns = NOW + 1;
	assert_int_equal(tp_flow_add(table, &spec, &flow), 0);
	if (!spec.is_hairpin)
		tp_flow_set_next_hop(flow, &hop);
	return flow;
}

static void way_open(struct way *w)
{
	bool is_channel_in = w->kind == CHANNEL_TO_DATA,
	     is_channel_out = w->kind == SEND_TO_CHANNEL;
	struct tp_addr from = is_hairpin(w) ? who(RELAYED_A, w->relay6) : who(PEER, w->in6);
	struct tp_addr to = who(RELAYED_B, w->relay6);
	struct tp_flow_spec up = {
		.form = is_channel_in ? TP_FLOW_CHANNEL : TP_FLOW_SEND,
		.in_src = who(CLIENT_A, w->in6),
		.in_dst = who(LISTENER, w->in6),
		.in_channel = is_channel_in ? CHANNEL_IN : 0,
		.in_peer = is_hairpin(w) ? host(EXTERNAL_B, w->relay6) : host(PEER, w->out6),
		.out_src = who(RELAYED_A, is_hairpin(w) ? w->relay6 : w->out6),
		.out_dst = !is_hairpin(w)       ? host(PEER, w->out6)
				: is_channel_in ? to
						: tp_addr_ip_only(&to),
		.is_hairpin = is_hairpin(w),
	};
	struct tp_flow_spec down = {
		.form = is_channel_out ? TP_FLOW_CHANNEL : TP_FLOW_DATA,
		.in_src = is_channel_out ? from : tp_addr_ip_only(&from),
		.in_dst = who(RELAYED_B, is_hairpin(w) ? w->relay6 : w->in6),
		.out_src = who(LISTENER, w->out6),
		.out_dst = who(CLIENT_B, w->out6),
		.out_channel = is_channel_out ? CHANNEL_OUT : 0,
	};

	w->in = w->kind == PEER_TO_DATA ? NULL : flow_new(up);
	w->out = w->kind == SEND_TO_PEER ? w->in : flow_new(down);
	if (w->in == NULL)
		w->in = w->out;
}

static void way_close(struct way *w)
{
	if (w->out != w->in)
		tp_flow_del(table, w->out);
	tp_flow_del(table, w->in);
	assert_int_equal(tp_grace_reclaim(grace), 0);
}

/* 4 Send, 4 Data, and 8 of each hairpin. */
#define WAYS 32

static struct way way_number(uint32_t i)
{
	struct way w = {
		.kind = i < 8 ? (enum kind)(i / 4) : (enum kind)(CHANNEL_TO_DATA + (i - 8) / 8),
		.in6 = (i & 2) != 0,
		.out6 = (i & 1) != 0,
		.relay6 = i >= 8 && (i & 4) != 0,
	};

	way_open(&w);
	return w;
}

static uint8_t padding(uint16_t data_len)
{
	return (uint8_t)(-data_len & 3);
}

/* What arrives; fields that the way does not decide are the caller's to change. */
static struct packet packet_in(const struct way *w, uint16_t data_len)
{
	bool is_down = w->kind == PEER_TO_DATA;

	return (struct packet){
		.macs = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 },
		.src = is_down ? who(PEER, w->in6) : who(CLIENT_A, w->in6),
		.dst = is_down ? who(RELAYED_B, w->in6) : who(LISTENER, w->in6),
		.tclass = 0xb8,
		.ttl = 64,
		.id = 0x1234,
		.label = 0xfedcb,
		.channel = w->kind == CHANNEL_TO_DATA ? CHANNEL_IN : 0,
		.stun = is_send(w) ? SEND : 0,
		.peer = is_hairpin(w) ? who(EXTERNAL_B, w->relay6) : who(PEER, w->out6),
		.tid = { 9, 8, 7, 6, 5, 4, 3, 2, 1, 0xf1, 0xf2, 0xf3 },
		.data = payload,
		.data_len = data_len,
		.n_pad = is_send(w) ? padding(data_len) : 0,
	};
}

/* What has to leave: RFC 8656 sections 11, 13 and 14, from the fields of what arrived. */
static struct packet packet_out(const struct way *w, const struct packet *in)
{
	bool is_up = w->kind == SEND_TO_PEER;
	const uint8_t *hdr = w->out->hdr;
	struct packet out = {
		.src = is_up ? who(RELAYED_A, w->out6) : who(LISTENER, w->out6),
		.dst = is_up ? in->peer : who(CLIENT_B, w->out6),
		.tclass = in->tclass,
		.ttl = (uint8_t)(in->ttl - 1),
		.channel = w->kind == SEND_TO_CHANNEL ? CHANNEL_OUT : 0,
		.stun = is_data(w) ? DATA : 0,
		.peer = is_hairpin(w) ? who(RELAYED_A, w->relay6) : in->src,
		.data = in->data,
		.data_len = in->data_len,
		.n_pad = is_data(w) ? padding(in->data_len) : 0,
		.is_pad_zero = true,
		.is_csum_zero = in->is_csum_zero && !w->out6,
		.csum_error = in->is_csum_zero ? 0 : in->csum_error,
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

/* How far the headers grow into the headroom. */
static uint32_t growth(const struct packet *in, const struct packet *out)
{
	int32_t n = (int32_t)(packet_ip_hdr_len(out) + packet_head_len(out)) -
			(int32_t)(packet_ip_hdr_len(in) + packet_head_len(in));

	return n > 0 ? (uint32_t)n : 0;
}

/* How far padding goes beyond the frame received. */
static uint32_t tail(const struct packet *in, const struct packet *out)
{
	uint32_t there = in->n_pad + packet_tail_len(in) + in->n_eth_pad;

	return out->n_pad > there ? out->n_pad - there : 0;
}

/* A frame in memory of exactly its size: a byte too far on either side is an ASan report. */
struct held {
	uint8_t *room;
	uint32_t size;
	struct tp_frame frame;
};

static struct held hold(const uint8_t *bytes, uint32_t len, uint32_t headroom, uint32_t tailroom)
{
	struct held h = { .size = headroom + len + tailroom };

	h.room = malloc(h.size != 0 ? h.size : 1);
	assert_non_null(h.room);
	memset(h.room, 0x77, h.size);
	if (len > 0)
		memcpy(h.room + headroom, bytes, len);
	h.frame = (struct tp_frame){
		.data = h.room + headroom,
		.len = (uint16_t)len,
		.headroom = (uint16_t)headroom,
		.tailroom = (uint16_t)tailroom,
		.port = 3,
		.cookie = 42,
	};
	return h;
}

static struct tp_flow *find_send(const uint8_t *frame, const struct tp_parsed *parsed)
{
	struct tp_flow_send_key key;
	const struct tp_flow_query query = { &key, TP_FLOW_SENDS };
	struct tp_flow *flow = NULL;

	tp_send_key_form(frame, parsed, &key);
	tp_flow_lookup_bulk(table, &query, 1, &flow);
	return flow;
}

static struct tp_flow *find_data(const union tp_flow_key *key, bool is_v6)
{
	union tp_flow_key any = *key;
	const struct tp_flow_query query = { &any, is_v6 ? TP_FLOW_DATA6 : TP_FLOW_DATA4 };
	struct tp_flow *flow = NULL;

	if (is_v6)
		any.v6.src_port_be = 0;
	else
		any.v4.src_port_be = 0;
	tp_flow_lookup_bulk(table, &query, 1, &flow);
	return flow;
}

/* Classify, look up as the pipeline does, rewrite.  A packet that finds no flow is punted. */
static enum tp_verdict carry_over(const struct way *w, struct tp_frame *frame)
{
	struct tp_parsed parsed;
	union tp_flow_key key;
	enum tp_verdict v = tp_classify(&conf, frame, &parsed);
	struct tp_flow *in = w->in;

	if (v != TP_FORWARD)
		return v;
	if (tp_parsed_is_send(&parsed))
		in = find_send(frame->data, &parsed);
	else if (!parsed.is_up)
		in = find_data(&parsed.key, parsed.view.family == TP_IPV6);
	if (in != w->in)
		return TP_PUNT;
	key = parsed.key;
	if (is_hairpin(w)) {
		tp_flow_hairpin_key(in, &key);
		if (is_send(w) && w->relay6)
			key.v6.dst_port_be = htons(parsed.peer_port);
		else if (is_send(w))
			key.v4.dst_port_be = htons(parsed.peer_port);
		if (is_data(w) && find_data(&key, w->relay6) != w->out)
			return TP_PUNT;
	}
	return tp_rewrite_indication(frame, &parsed, in, w->out, &key, &tids, EGRESS, NOW, IP_ID);
}

/* One packet through the relay and compared with the reference. */
static void expect_forward(const struct way *w, const struct packet *in)
{
	uint8_t got[PACKET_MAX], want[PACKET_MAX];
	uint32_t len = packet_build(in, got), want_len, tid_at;
	struct packet out = packet_out(w, in);
	struct held h = hold(got, len, growth(in, &out), tail(in, &out));
	const uint8_t *data = h.frame.data + 14 + packet_ip_hdr_len(in) + 8 + packet_head_len(in);

	assert_int_equal(carry_over(w, &h.frame), TP_FORWARD);
	if (is_data(w)) {
		tid_at = 14 + packet_ip_hdr_len(&out) + 16;
		memcpy(out.tid, h.frame.data + tid_at, sizeof(out.tid));
	}
	want_len = packet_build(&out, want);
	if (h.frame.len != want_len || memcmp(h.frame.data, want, want_len) != 0) {
		print_error("kind %d, %d to %d by %d, %u bytes, error %#x\n", w->kind,
				w->in6 ? 6 : 4, w->out6 ? 6 : 4, w->relay6 ? 6 : 4, in->data_len,
				in->csum_error);
		assert_int_equal(h.frame.len, want_len);
		assert_memory_equal(h.frame.data, want, want_len);
	}
	/* never moved */
	assert_ptr_equal(h.frame.data + h.frame.len - out.n_pad - in->data_len, data);
	assert_int_equal(h.frame.data - h.room, h.frame.headroom);
	assert_true(h.frame.data + h.frame.len <= h.room + h.size);
	assert_int_equal(h.frame.port, hop.port);
	assert_int_equal(h.frame.cookie, 42);
	free(h.room);
}

/* A frame that is not forwarded stays as it was received. */
static void expect_verdict(const struct way *w, const uint8_t *bytes, uint32_t len,
		uint32_t headroom, uint32_t tailroom, enum tp_verdict want, const char *what)
{
	struct held h = hold(bytes, len, headroom, tailroom);
	struct tp_frame before = h.frame;
	enum tp_verdict got = carry_over(w, &h.frame);

	if (got != want)
		fail_msg("kind %d, %s: verdict %d, not %d", w->kind, what, got, want);
	if (want != TP_FORWARD) {
		assert_memory_equal(&h.frame, &before, sizeof(before));
		if (len > 0)
			assert_memory_equal(h.frame.data, bytes, len);
	}
	free(h.room);
}

static void expect_packet_verdict(const struct way *w, const struct packet *in, uint32_t headroom,
		uint32_t tailroom, enum tp_verdict want, const char *what)
{
	uint8_t bytes[PACKET_MAX];
	uint32_t len = packet_build(in, bytes);

	expect_verdict(w, bytes, len, headroom, tailroom, want, what);
}

static const uint16_t sizes[] = { 0, 1, 2, 3, 4, 5, 63, 64, 1199, 1200, 1400 };

/* Every size, hence every padding, with every checksum and Ethernet padding behind. */
static void test_all_ways_checksum_and_padding(void **state)
{
	static const uint16_t errors[] = { 0, 1, 0x5555, 0xfffe };
	struct packet in;
	struct way w;
	uint32_t i, s, e, eth;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		for (s = 0; s < COUNT(sizes); s++) {
			for (eth = 0; eth < 5; eth++) {
				in = packet_in(&w, sizes[s]);
				in.n_eth_pad = (uint8_t)eth;
				for (e = 0; e < COUNT(errors); e++) {
					in.csum_error = errors[e];
					expect_forward(&w, &in);
				}
				in.is_csum_zero = !w.in6;
				expect_forward(&w, &in);
				in.tid[eth] ^= 0xff;
				in.is_csum_zero = false;
				in.is_pad_zero = true;
				expect_forward(&w, &in);
			}
			/* ChannelData's padding is not copied into DATA's */
			if (w.kind == CHANNEL_TO_DATA) {
				in = packet_in(&w, sizes[s]);
				in.n_pad = 3;
				expect_forward(&w, &in);
			}
		}
		way_close(&w);
	}
}

/* What other clients send: DATA before the peer, FINGERPRINT or not. */
static void test_both_orders_and_fingerprint(void **state)
{
	struct packet in;
	struct way w;
	uint32_t i, s, form;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		for (s = 0; is_send(&w) && s < COUNT(sizes); s++) {
			if (sizes[s] == 1400)
				continue; /* 1500 bytes of IPv4, no room for more */
			for (form = 0; form < 8; form++) {
				in = packet_in(&w, sizes[s]);
				in.is_data_first = form & 1;
				in.has_fingerprint = (form & 2) != 0;
				in.csum_error = form & 4 ? 0x1111 : 0;
				expect_forward(&w, &in);
				in.is_csum_zero = !w.in6;
				expect_forward(&w, &in);
			}
		}
		way_close(&w);
	}
}

static void test_a_wrong_fingerprint_is_punted(void **state)
{
	uint8_t bytes[PACKET_MAX];
	struct packet in;
	struct way w;
	uint32_t i, len, at;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		in = packet_in(&w, 7);
		in.has_fingerprint = true;
		in.is_csum_zero = !w.in6;
		len = packet_build(&in, bytes);
		/* in the transaction id, the data, its padding, the value */
		for (at = is_send(&w) ? len - 20 : len; at < len; at += 4) {
			if (at == len - 8)
				continue; /* then it is another attribute, punted all the same */
			bytes[at] ^= 0x10;
			expect_verdict(&w, bytes, len, 64, 3, TP_PUNT, "damaged");
			bytes[at] ^= 0x10;
		}
		if (is_send(&w))
			expect_verdict(&w, bytes, len, 64, 3, TP_FORWARD, "whole again");
		way_close(&w);
	}
}

static void test_all_ways_ip_fields(void **state)
{
	static const uint8_t classes[] = { 0, 3, 0x28, 0xbb, 0xff };
	static const uint8_t ttls[] = { 2, 3, 64, 255 };
	struct packet in;
	struct way w;
	uint32_t i, c, t, df;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		in = packet_in(&w, 101);
		for (c = 0; c < COUNT(classes); c++) {
			for (t = 0; t < COUNT(ttls); t++) {
				for (df = 0; df < 2; df++) {
					in.tclass = classes[c];
					in.ttl = ttls[t];
					in.is_df = df;
					expect_forward(&w, &in);
				}
			}
		}
		way_close(&w);
	}
}

/* All sums there are, so also the one whose checksum is 0 and has to be sent as 0xffff. */
static void test_every_checksum_value(void **state)
{
	uint8_t data[2];
	struct packet in;
	struct way w;
	uint32_t i, n;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		in = packet_in(&w, sizeof(data));
		in.data = data;
		for (n = 0; n < 0x10000; n += 3) {
			packet_be16(data, n);
			/* the transaction id is different each time: any value may come of it */
			expect_forward(&w, &in);
		}
		if (w.kind == SEND_TO_PEER && !w.in6 && w.out6) {
			in.is_csum_zero = true;
			for (n = 0; n < 0x10000; n++) {
				packet_be16(data, n);
				expect_forward(&w, &in);
			}
		}
		way_close(&w);
	}
}

/* A permission is for an address, whatever the port (RFC 8656 section 9). */
static void test_any_port_of_the_peer(void **state)
{
	static const uint16_t ports[] = { 1, 53, 0x2112, 0x2113, 32768, 65535 };
	struct packet in;
	struct way w;
	uint32_t i, p;

	(void)state;
	for (i = 0; i < 8; i++) {
		w = way_number(i);
		in = packet_in(&w, 10);
		for (p = 0; p < COUNT(ports); p++) {
			in.peer.port = ports[p];
			if (w.kind == PEER_TO_DATA)
				in.src.port = ports[p];
			expect_forward(&w, &in);
		}
		way_close(&w);
	}
}

/* What differs in one thing is somebody else's. */
static void test_only_who_has_the_permission(void **state)
{
	struct packet in;
	struct way w;
	uint32_t i;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		in = packet_in(&w, 10);
		in.src.ip[w.in6 ? 15 : 3] ^= 1;
		if (w.kind != CHANNEL_TO_DATA)
			expect_packet_verdict(&w, &in, 64, 3, TP_PUNT, "other source");
		in = packet_in(&w, 10);
		if (is_send(&w)) {
			in.src.port ^= 1;
			expect_packet_verdict(&w, &in, 64, 3, TP_PUNT, "other client port");
			in = packet_in(&w, 10);
			in.dst.port ^= 1;
			expect_packet_verdict(&w, &in, 64, 3, TP_PUNT, "other listener");
			in = packet_in(&w, 10);
			in.peer.ip[in.peer.family == TP_IPV6 ? 15 : 3] ^= 1;
			expect_packet_verdict(&w, &in, 64, 3, TP_PUNT, "other peer");
			in = packet_in(&w, 10);
			in.peer = who(PEER, in.peer.family == TP_IPV4);
			expect_packet_verdict(&w, &in, 64, 3, TP_PUNT, "other family");
		}
		if (w.kind == PEER_TO_DATA) {
			in.dst.port ^= 1;
			expect_packet_verdict(&w, &in, 64, 3, TP_PUNT, "other relayed port");
		}
		way_close(&w);
	}
}

static void test_room_is_enough_or_nothing_happens(void **state)
{
	struct packet in, out;
	uint32_t i, s, need, behind;
	struct way w;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		for (s = 8; s < 12; s++) {
			in = packet_in(&w, (uint16_t)s);
			out = packet_out(&w, &in);
			need = growth(&in, &out);
			behind = tail(&in, &out);
			expect_packet_verdict(&w, &in, need, behind, TP_FORWARD, "just enough");
			if (need > 0)
				expect_packet_verdict(&w, &in, need - 1, behind, TP_DROP_HEADROOM,
						"a byte short in front");
			if (behind > 0)
				expect_packet_verdict(&w, &in, need, behind - 1, TP_PUNT,
						"a byte short behind");
		}
		way_close(&w);
	}
}

static void test_mtu_is_of_the_packet_sent(void **state)
{
	struct tp_next_hop small = hop;
	struct packet in, out;
	struct way w;
	uint32_t i;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		in = packet_in(&w, 1001);
		out = packet_out(&w, &in);
		tp_flow_set_next_hop(w.out, &small);
		small.mtu = (uint16_t)(packet_ip_hdr_len(&out) + packet_udp_len(&out));
		expect_packet_verdict(&w, &in, 64, 3, TP_FORWARD, "fits the MTU");
		small.mtu--;
		expect_packet_verdict(&w, &in, 64, 3, TP_PUNT, "a byte over the MTU");
		way_close(&w);
	}
}

static void test_deadlines_next_hop_and_ttl(void **state)
{
	struct packet in;
	struct way w;
	uint32_t i;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		in = packet_in(&w, 10);
		if (is_hairpin(&w)) {
			tp_flow_set_deadline(w.out, NOW);
			expect_packet_verdict(&w, &in, 64, 3, TP_PUNT, "the other's is over");
			tp_flow_set_deadline(w.out, NOW + 1);
		}
		tp_flow_set_next_hop(w.out, NULL);
		expect_packet_verdict(&w, &in, 64, 3, TP_PUNT, "no next hop");
		tp_flow_set_next_hop(w.out, &hop);
		in.ttl = 2;
		expect_packet_verdict(&w, &in, 64, 3, TP_FORWARD, "TTL 2");
		tp_flow_set_deadline(w.in, NOW);
		expect_packet_verdict(&w, &in, 64, 3,
				w.kind == PEER_TO_DATA ? TP_PUNT : TP_DROP_EXPIRED, "over");
		way_close(&w);
	}
}

/* ---- what is read ---- */

static void test_a_frame_cut_short_is_dropped(void **state)
{
	uint8_t bytes[PACKET_MAX];
	struct packet in;
	struct way w;
	uint32_t i, len, cut;
	enum tp_verdict v;
	struct held h;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		in = packet_in(&w, 37);
		len = packet_build(&in, bytes);
		for (cut = 0; cut < len; cut++) {
			h = hold(bytes, cut, 64, 0);
			v = carry_over(&w, &h.frame);
			if (v != TP_DROP_SHORT && v != TP_DROP_IP_LENGTH)
				fail_msg("way %u cut to %u bytes: verdict %d", i, cut, v);
			free(h.room);
		}
		way_close(&w);
	}
}

/* A datagram of consistent lengths with any payload. */
static enum tp_verdict classify_payload(const uint8_t *bytes, uint32_t len, struct tp_parsed *out)
{
	struct packet pkt = { .src = who(CLIENT_A, false),
		.dst = who(LISTENER, false),
		.data = bytes,
		.data_len = (uint16_t)len };
	uint8_t frame[PACKET_MAX];
	struct held h = hold(frame, packet_build(&pkt, frame), 0, 0);
	enum tp_verdict v = tp_classify(&conf, &h.frame, out);

	free(h.room);
	return v;
}

static uint32_t send_message(uint8_t *out, bool is_peer6, uint16_t data_len)
{
	const struct packet pkt = { .stun = SEND,
		.peer = who(PEER, is_peer6),
		.tid = { 1, 2, 3 },
		.data_len = data_len,
		.n_pad = padding(data_len) };

	memset(packet_stun(out, &pkt), 0x5a, data_len + pkt.n_pad);
	return packet_head_len(&pkt) + data_len + pkt.n_pad;
}

static void test_a_message_cut_short_or_too_long_is_punted(void **state)
{
	uint8_t msg[200] = { 0 };
	struct tp_parsed parsed;
	uint32_t i, len, cut;

	(void)state;
	for (i = 0; i < 16; i++) {
		len = send_message(msg, i & 1, (uint16_t)(i / 2));
		for (cut = 0; cut <= len + 9; cut++) {
			if (classify_payload(msg, cut, &parsed) !=
					(cut == len ? TP_FORWARD : TP_PUNT))
				fail_msg("message of %u bytes, %u there", len, cut);
		}
	}
}

/* What a lying or merely unusual message is called by its first byte that differs. */
static void test_any_other_form_is_punted(void **state)
{
	static const struct {
		const char *what;
		bool is_peer6;
		uint8_t at;
		uint8_t value;
	} cases[] = {
		{ "Send request", false, 1, 0x06 },
		{ "Data indication", false, 1, 0x17 },
		{ "another class", false, 0, 0x01 },
		{ "length one word short", false, 3, 16 + 8 - 4 },
		{ "length one word long", false, 3, 16 + 8 + 4 },
		{ "length not a multiple of four", false, 3, 16 + 7 },
		{ "length of thousands", false, 2, 0xff },
		{ "cookie, first byte", false, 4, 0 },
		{ "cookie, last byte", false, 7, 0 },
		{ "XOR-MAPPED-ADDRESS first", false, 21, 0x20 },
		{ "DONT-FRAGMENT first", false, 21, 0x1a },
		{ "DATA first", false, 21, 0x13 },
		{ "address of seven bytes", false, 23, 7 },
		{ "address of 20 bytes that says IPv4", false, 23, 20 },
		{ "address of 8 bytes that says IPv6", false, 25, 2 },
		{ "family 0", false, 25, 0 },
		{ "family 3", false, 25, 3 },
		{ "IPv6 of 8 bytes", true, 23, 8 },
		{ "IPv6 address that says IPv4", true, 25, 1 },
		{ "no DATA", false, 33, 0x14 },
		{ "DATA that is optional", false, 32, 0x80 },
		{ "no DATA behind IPv6", true, 45, 0x14 },
		{ "data shorter, an attribute might follow", false, 35, 4 },
		{ "data longer than the message", false, 35, 9 },
		{ "data of thousands", false, 34, 0xff },
		{ "data longer than the message, IPv6", true, 47, 9 },
	};
	static const struct {
		const char *what;
		uint32_t len;
		uint8_t bytes[24];
		enum tp_verdict want;
	} behind[] = {
		{ "FINGERPRINT", 8, "\x80\x28\0\4abcd", TP_FORWARD },
		{ "FINGERPRINT of three bytes", 8, "\x80\x28\0\3abcd", TP_PUNT },
		{ "FINGERPRINT of eight bytes", 12, "\x80\x28\0\x08qwertzui", TP_PUNT },
		{ "FINGERPRINT twice", 16, "\x80\x28\0\4abcd\x80\x28\0\4abcd", TP_PUNT },
		{ "SOFTWARE", 8, "\x80\x22\0\4abcd", TP_PUNT },
		{ "DONT-FRAGMENT", 4, "\0\x1a\0\0", TP_PUNT },
		{ "DATA again", 8, "\0\x13\0\4abcd", TP_PUNT },
		{ "the peer again", 12, "\0\x12\0\x08\0\1abcdef", TP_PUNT },
		{ "half an attribute", 4, "\x80\x28\0\4", TP_PUNT },
		{ "attribute that leaves the message", 8, "\x80\x22\0\5abcd", TP_PUNT },
		{ "attribute of thousands", 8, "\x80\x22\xff\xffzzzz", TP_PUNT },
	};
	struct tp_parsed parsed;
	uint8_t msg[200] = { 0 };
	uint32_t i, len;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		len = send_message(msg, cases[i].is_peer6, 8);
		assert_int_equal(classify_payload(msg, len, &parsed), TP_FORWARD);
		msg[cases[i].at] = cases[i].value;
		if (classify_payload(msg, len, &parsed) != TP_PUNT)
			fail_msg("%s", cases[i].what);
	}
	/* Port 0 is no port to send to. */
	len = send_message(msg, false, 8);
	msg[26] = 0x21;
	msg[27] = 0x12;
	assert_int_equal(classify_payload(msg, len, &parsed), TP_PUNT);
	/* The byte before the family is to be ignored (RFC 8489 section 14.1). */
	len = send_message(msg, false, 8);
	msg[24] = 0xff;
	assert_int_equal(classify_payload(msg, len, &parsed), TP_FORWARD);
	for (i = 0; i < COUNT(behind); i++) {
		len = send_message(msg, false, 8);
		memcpy(msg + len, behind[i].bytes, behind[i].len);
		msg[3] += (uint8_t)behind[i].len;
		if (classify_payload(msg, len + behind[i].len, &parsed) != behind[i].want)
			fail_msg("%s", behind[i].what);
	}
}

static void test_what_classify_finds(void **state)
{
	struct tp_parsed parsed;
	uint8_t msg[200] = { 0 };
	uint32_t i, len;

	(void)state;
	for (i = 0; i < 8; i++) {
		len = send_message(msg, i & 1, (uint16_t)i);
		assert_int_equal(classify_payload(msg, len, &parsed), TP_FORWARD);
		assert_true(parsed.is_up && tp_parsed_is_send(&parsed));
		assert_int_equal(parsed.head_len, i & 1 ? 48 : 36);
		assert_int_equal(parsed.data_len, i);
		assert_int_equal(parsed.peer_port, who(PEER, false).port);
	}
}

/* Damaged frames in memory of exactly their size: any verdict, but what is sent is consistent. */
static void test_random_damage(void **state)
{
	uint8_t bytes[PACKET_MAX];
	uint32_t i, n, k, len, seed = 12345;
	struct packet in, out;
	struct way w;
	struct held h;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		for (n = 0; n < 4000; n++) {
			in = packet_in(&w, (uint16_t)(n % 90));
			out = packet_out(&w, &in);
			len = packet_build(&in, bytes);
			for (k = 0; k <= n % 3; k++) {
				seed = seed * 1664525 + 1013904223;
				bytes[(seed >> 8) % (len < 110 ? len : 110)] ^=
						(uint8_t)(seed >> 24);
			}
			h = hold(bytes, len, growth(&in, &out), tail(&in, &out));
			if (carry_over(&w, &h.frame) == TP_FORWARD) {
				assert_true(h.frame.data >= h.room);
				assert_true(h.frame.data + h.frame.len <= h.room + h.size);
				assert_int_equal(h.frame.data - h.room, h.frame.headroom);
			}
			free(h.room);
		}
		way_close(&w);
	}
}

/* ---- transaction ids ---- */

static void test_transaction_ids_are_all_different(void **state)
{
	static uint8_t tid[4096][TP_STUN_TID_LEN];
	struct tp_tid_source a, b, unseeded = { 0 };
	uint32_t i, k;

	(void)state;
	tp_tid_seed(&a);
	tp_tid_seed(&b);
	assert_memory_not_equal(&a, &b, sizeof(a));
	for (i = 0; i < COUNT(tid); i++)
		tp_tid_next(i & 1 ? &a : i & 2 ? &b : &unseeded, tid[i]);
	for (i = 0; i < COUNT(tid); i++)
		for (k = 0; k < i; k++)
			if (memcmp(tid[i], tid[k], sizeof(tid[i])) == 0)
				fail_msg("%u and %u are the same", i, k);
}

static int set_up(void **state)
{
	struct tp_flow_table_conf table_conf = { .max_channel_flows = 32,
		.max_permission_flows = 48 };
	uint32_t i;

	(void)state;
	for (i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 167 + (i >> 8) + 1);
	if (tp_grace_new(1, &grace) != 0)
		return -1;
	table_conf.grace = grace;
	return tp_flow_table_new(&table_conf, &table);
}

static int tear_down(void **state)
{
	(void)state;
	tp_flow_table_free(table);
	tp_grace_free(grace);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_ways_checksum_and_padding),
		cmocka_unit_test(test_both_orders_and_fingerprint),
		cmocka_unit_test(test_a_wrong_fingerprint_is_punted),
		cmocka_unit_test(test_all_ways_ip_fields),
		cmocka_unit_test(test_every_checksum_value),
		cmocka_unit_test(test_any_port_of_the_peer),
		cmocka_unit_test(test_only_who_has_the_permission),
		cmocka_unit_test(test_room_is_enough_or_nothing_happens),
		cmocka_unit_test(test_mtu_is_of_the_packet_sent),
		cmocka_unit_test(test_deadlines_next_hop_and_ttl),
		cmocka_unit_test(test_a_frame_cut_short_is_dropped),
		cmocka_unit_test(test_a_message_cut_short_or_too_long_is_punted),
		cmocka_unit_test(test_any_other_form_is_punted),
		cmocka_unit_test(test_what_classify_finds),
		cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_transaction_ids_are_all_different),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
