/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/rewrite.h"

#include "packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define NOW 1000000
#define IP_ID 0xbeef
#define EGRESS (1ull << 9 | 1ull << 63) /* interfaces 9 and 63 */
#define CHANNEL_IN 0x4abc
#define CHANNEL_OUT 0x4123
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
static uint8_t payload[1500];

enum who {
	CLIENT_A,
	CLIENT_B,
	LISTENER,
	RELAYED_A,
	RELAYED_B,
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
		[RELAYED_B] = { { 198, 51, 100, 2 }, { 0x20, 1, 0xd, 0xb8, 2, [15] = 1 }, 65535 },
		[PEER] = { { 203, 0, 113, 99 }, { 0xfd, 0, 0xff, 0xff, [14] = 0xde, [15] = 0xad },
				9999 },
	};

	return is_v6 ? tp_addr_v6(all[w].v6, all[w].port) : tp_addr_v4(all[w].v4, all[w].port);
}

enum kind {
	UP,
	DOWN,
	HAIRPIN,
};

/* A way through the relay: the flow that the key finds, and the one by which the packet leaves. */
struct way {
	enum kind kind;
	bool in6, out6, relay6; /* relay6: of the relayed addresses, on a hairpin */
	bool is_tagged;         /* what arrives */
	struct tp_flow *in, *out;
};

static struct tp_flow *flow_new(struct tp_flow_spec spec)
{
	struct tp_flow *flow = NULL;

	spec.deadline_ns = NOW + 1;
	assert_int_equal(tp_flow_add(table, &spec, &flow), 0);
	tp_flow_set_next_hop(flow, &hop);
	return flow;
}

static void way_open(struct way *w)
{
	struct tp_flow_spec up = {
		.in_src = who(CLIENT_A, w->in6),
		.in_dst = who(LISTENER, w->in6),
		.in_channel = CHANNEL_IN,
		.out_src = who(RELAYED_A, w->kind == HAIRPIN ? w->relay6 : w->out6),
		.out_dst = w->kind == HAIRPIN ? who(RELAYED_B, w->relay6) : who(PEER, w->out6),
		.is_hairpin = w->kind == HAIRPIN,
	};
	struct tp_flow_spec down = {
		.in_src = w->kind == HAIRPIN ? who(RELAYED_A, w->relay6) : who(PEER, w->in6),
		.in_dst = who(RELAYED_B, w->kind == HAIRPIN ? w->relay6 : w->in6),
		.out_src = who(LISTENER, w->out6),
		.out_dst = who(CLIENT_B, w->out6),
		.out_channel = CHANNEL_OUT,
	};

	w->in = w->kind == DOWN ? NULL : flow_new(up);
	w->out = w->kind == UP ? w->in : flow_new(down);
	if (w->kind == DOWN)
		w->in = w->out;
}

static void way_close(struct way *w)
{
	if (w->out != w->in)
		tp_flow_del(table, w->out);
	tp_flow_del(table, w->in);
	assert_int_equal(tp_grace_reclaim(grace), 0);
}

/* The first 8 ways are up and down, the rest hairpins over relayed addresses of both families. */
#define WAYS 16

static struct way way_number(uint32_t i)
{
	struct way w = {
		.kind = i < 4           ? UP
				: i < 8 ? DOWN
					: HAIRPIN,
		.in6 = (i & 2) != 0,
		.out6 = (i & 1) != 0,
		.relay6 = i >= 12,
	};

	way_open(&w);
	return w;
}

/* What arrives; fields that the way does not decide are the caller's to change. */
static struct packet packet_in(const struct way *w, uint16_t data_len)
{
	bool is_down = w->kind == DOWN;

	return (struct packet){
		.macs = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 },
		.src = is_down ? who(PEER, w->in6) : who(CLIENT_A, w->in6),
		.dst = is_down ? who(RELAYED_B, w->in6) : who(LISTENER, w->in6),
		.tclass = 0xb8,
		.ttl = 64,
		.id = 0x1234,
		.label = 0xfedcb,
		.channel = is_down ? 0 : CHANNEL_IN,
		.data = payload,
		.data_len = data_len,
		.is_tagged = w->is_tagged,
		.tag = 0xb064,
	};
}

/* What has to leave: RFC 8656 sections 13 and 14, from the fields of what arrived. */
static struct packet packet_out(const struct way *w, const struct packet *in)
{
	const uint8_t *hdr = w->out->hdr;
	struct packet out = {
		.src = w->kind == UP ? who(RELAYED_A, w->out6) : who(LISTENER, w->out6),
		.dst = w->kind == UP ? who(PEER, w->out6) : who(CLIENT_B, w->out6),
		.tclass = in->tclass,
		.ttl = (uint8_t)(in->ttl - 1),
		.channel = w->kind == UP ? 0 : CHANNEL_OUT,
		.data = in->data,
		.data_len = in->data_len,
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

/* How far the headers grow into the headroom. */
static uint32_t growth(const struct way *w)
{
	int32_t in = (w->in6 ? 48 : 28) + (w->kind == DOWN ? 0 : 4) + (w->is_tagged ? 4 : 0);
	int32_t out = (w->out6 ? 48 : 28) + (w->kind == UP ? 0 : 4) + hop.l2_len - 12;

	return out > in ? (uint32_t)(out - in) : 0;
}

/* A frame in memory of exactly its size: a byte too far on either side is an ASan report. */
struct held {
	uint8_t *room;
	uint32_t size;
	struct tp_frame frame;
};

static struct held hold(const uint8_t *bytes, uint32_t len, uint32_t headroom)
{
	struct held h = { .size = headroom + len };

	h.room = malloc(h.size != 0 ? h.size : 1);
	assert_non_null(h.room);
	memset(h.room, 0x77, headroom);
	if (len > 0)
		memcpy(h.room + headroom, bytes, len);
	h.frame = (struct tp_frame){
		.data = h.room + headroom,
		.len = (uint16_t)len,
		.headroom = (uint16_t)headroom,
		.port = 3,
		.cookie = 42,
	};
	return h;
}

static enum tp_verdict carry_over(const struct way *w, struct tp_frame *frame)
{
	struct tp_parsed parsed;
	enum tp_verdict v = tp_classify(&conf, frame, &parsed);

	if (v != TP_FORWARD)
		return v;
	/* A key of another kind finds no flow of this one. */
	if (tp_parsed_is_send(&parsed) || parsed.is_up != ((w->in->flags & TP_FLOW_UP) != 0) ||
			(parsed.view.family == TP_IPV6) != ((w->in->flags & TP_FLOW_IN6) != 0))
		return TP_PUNT;
	return tp_rewrite(frame, &parsed, w->in, w->out, EGRESS, NOW, IP_ID);
}

/* One packet through the relay and compared with the reference. */
static void expect_forward(const struct way *w, const struct packet *in)
{
	uint8_t got[PACKET_MAX], want[PACKET_MAX];
	uint32_t len = packet_build(in, got), want_len;
	struct held h = hold(got, len, growth(w));
	const uint8_t *data = h.frame.data + (in->is_tagged ? 18 : 14) + packet_ip_hdr_len(in) + 8 +
			(in->channel ? 4 : 0);
	struct packet out = packet_out(w, in);

	want_len = packet_build(&out, want);
	assert_int_equal(carry_over(w, &h.frame), TP_FORWARD);
	if (h.frame.len != want_len || memcmp(h.frame.data, want, want_len) != 0) {
		print_error("kind %d, %d to %d, %u bytes, pad %u, error %#x\n", w->kind,
				w->in6 ? 6 : 4, w->out6 ? 6 : 4, in->data_len, in->n_pad,
				in->csum_error);
		assert_int_equal(h.frame.len, want_len);
		assert_memory_equal(h.frame.data, want, want_len);
	}
	assert_ptr_equal(h.frame.data + h.frame.len - in->data_len, data); /* never moved */
	assert_int_equal(h.frame.data - h.room, h.frame.headroom);
	assert_int_equal(h.frame.port, hop.port);
	assert_int_equal(h.frame.cookie, 42);
	free(h.room);
}

/* A frame that is not forwarded stays as it was received. */
static void expect_verdict(const struct way *w, const uint8_t *bytes, uint32_t len,
		uint32_t headroom, enum tp_verdict want, const char *what)
{
	struct held h = hold(bytes, len, headroom);
	struct tp_frame before = h.frame;
	enum tp_verdict got = carry_over(w, &h.frame);

	if (got != want)
		fail_msg("%s: verdict %d, not %d", what, got, want);
	if (want != TP_FORWARD) {
		assert_memory_equal(&h.frame, &before, sizeof(before));
		if (len > 0)
			assert_memory_equal(h.frame.data, bytes, len);
	}
	free(h.room);
}

static void expect_packet_verdict(const struct way *w, const struct packet *in, uint32_t headroom,
		enum tp_verdict want, const char *what)
{
	uint8_t bytes[PACKET_MAX];
	uint32_t len = packet_build(in, bytes);

	expect_verdict(w, bytes, len, headroom, want, what);
}

static const uint16_t sizes[] = { 0, 1, 2, 3, 4, 5, 63, 64, 1199, 1200, 1400 };

/* Every size with every checksum and padding. */
static void test_all_ways_checksum_and_padding(void **state)
{
	static const uint16_t errors[] = { 0, 1, 0x5555, 0xfffe };
	struct packet in;
	struct way w;
	uint32_t i, s, e, pad, eth;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		for (s = 0; s < COUNT(sizes); s++) {
			in = packet_in(&w, sizes[s]);
			for (pad = 0; pad < (w.kind == DOWN ? 1 : 4); pad++) {
				in.n_pad = (uint8_t)pad;
				for (eth = 0; eth < 20; eth += 9) {
					in.n_eth_pad = (uint8_t)eth;
					in.is_csum_zero = false;
					for (e = 0; e < COUNT(errors); e++) {
						in.csum_error = errors[e];
						expect_forward(&w, &in);
					}
					in.is_csum_zero = !w.in6;
					expect_forward(&w, &in);
				}
			}
		}
		way_close(&w);
	}
}

/* RFC 8656 sections 13.1-13.3 and 14: what is copied and what is not. */
static void test_all_ways_ip_fields(void **state)
{
	static const uint8_t classes[] = { 0, 1, 2, 3, 0x28, 0xb8, 0xbb, 0xff };
	static const uint8_t ttls[] = { 2, 3, 64, 255 };
	struct packet in;
	struct way w;
	uint32_t i, c, t, df, s;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		for (s = 0; s < COUNT(sizes); s++) {
			in = packet_in(&w, sizes[s]);
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
		for (n = 0; n < 0x10000; n += i < 8 ? 1 : 3) {
			packet_be16(data, n);
			expect_forward(&w, &in);
		}
		if (!w.in6 && w.out6) {
			in.is_csum_zero = true;
			for (n = 0; n < 0x10000; n++) {
				packet_be16(data, n);
				expect_forward(&w, &in);
			}
		}
		way_close(&w);
	}
}

/* RFC 7915 section 5.1: DF=0 up to 1260 bytes of IPv4, DF=1 above; packet_out() knows. */
static void test_df_boundary_of_translation(void **state)
{
	uint16_t len;
	struct packet in;
	struct way w;
	uint32_t i;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		for (len = 1220; len < 1240; len++) {
			in = packet_in(&w, len);
			expect_forward(&w, &in);
		}
		way_close(&w);
	}
}

/* RFC 7915 section 4.1: IPv4 without DF is fragmented to lowest-ipv6-mtu, by the kernel path. */
static void test_without_df_not_all_leaves_whole_over_ipv6(void **state)
{
	struct packet in;
	uint16_t fits;
	struct way w;
	uint32_t i;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		w.out->whole_max = w.out6 ? 1280 : UINT16_MAX;
		fits = (uint16_t)(1280 - w.out->hdr_len);
		in = packet_in(&w, fits);
		expect_forward(&w, &in);
		in.data_len++;
		if (w.in6 || !w.out6)
			expect_forward(&w, &in);
		else
			expect_packet_verdict(&w, &in, growth(&w), TP_PUNT, "one byte more");
		in.is_df = true;
		expect_forward(&w, &in);
		way_close(&w);
	}
}

/* RFC 8656 section 14: DSCP may be set to a fixed value; ECN is still copied. */
static void test_dscp_cleared(void **state)
{
	static const uint8_t classes[] = { 0, 3, 0x28, 0xb8, 0xbb, 0xff };
	struct packet in, want;
	uint8_t got[PACKET_MAX], out[PACKET_MAX];
	struct held h;
	struct way w;
	uint32_t i, c, len;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		w.out->tclass_clear = 0xfc;
		for (c = 0; c < COUNT(classes); c++) {
			in = packet_in(&w, 99);
			in.tclass = classes[c];
			want = packet_out(&w, &in);
			want.tclass = classes[c] & 3;
			len = packet_build(&in, got);
			h = hold(got, len, growth(&w));
			assert_int_equal(carry_over(&w, &h.frame), TP_FORWARD);
			len = packet_build(&want, out);
			assert_int_equal(h.frame.len, len);
			assert_memory_equal(h.frame.data, out, len);
			free(h.room);
		}
		way_close(&w);
	}
}

static void test_ttl_runs_out(void **state)
{
	struct packet in;
	struct way w;
	uint32_t i;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		in = packet_in(&w, 100);
		in.ttl = 1;
		expect_packet_verdict(&w, &in, 64, TP_PUNT, "TTL 1");
		in.ttl = 0;
		expect_packet_verdict(&w, &in, 64, TP_PUNT, "TTL 0");
		in.ttl = 2;
		expect_packet_verdict(&w, &in, 64, TP_FORWARD, "TTL 2");
		way_close(&w);
	}
}

static void test_headroom_is_enough_or_the_frame_is_dropped(void **state)
{
	struct packet in;
	struct way w;
	uint32_t i, need;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		in = packet_in(&w, 10);
		need = growth(&w);
		expect_packet_verdict(&w, &in, need, TP_FORWARD, "just enough headroom");
		if (need > 0)
			expect_packet_verdict(&w, &in, need - 1, TP_DROP_HEADROOM, "a byte short");
		if (need > 0)
			expect_packet_verdict(&w, &in, 0, TP_DROP_HEADROOM, "none at all");
		way_close(&w);
	}
}

/* A frame leaves with the tag of its next hop, or without, whatever it came in with. */
static void test_vlan_tags_of_either_side(void **state)
{
	static const uint16_t tags_in[] = { 0, 0xe000, 100, 0xfffe };
	static const uint8_t tag_out[] = { 0x81, 0x00, 0x0f, 0xfe };
	struct packet in;
	uint32_t i, s, t, tagged_in, tagged_out, need;
	struct way w;

	(void)state;
	for (i = 0; i < WAYS * 4; i++) {
		w = way_number(i / 4);
		tagged_in = i & 1;
		tagged_out = i >> 1 & 1;
		w.is_tagged = tagged_in;
		if (tagged_out) {
			memcpy(hop.l2 + 12, tag_out, sizeof(tag_out));
			hop.l2_len = TP_L2_TAGGED;
		}
		for (s = 0; s < COUNT(sizes); s++) {
			in = packet_in(&w, sizes[s]);
			for (t = 0; t < (tagged_in ? COUNT(tags_in) : 1); t++) {
				in.tag = tags_in[t];
				in.n_pad = w.kind == DOWN ? 0 : t & 3;
				in.n_eth_pad = (uint8_t)(5 * t);
				expect_forward(&w, &in);
			}
		}
		need = growth(&w);
		expect_packet_verdict(&w, &in, need, TP_FORWARD, "just enough headroom");
		if (need > 0)
			expect_packet_verdict(&w, &in, need - 1, TP_DROP_HEADROOM, "a byte short");
		memset(hop.l2 + 12, 0, sizeof(tag_out));
		hop.l2_len = TP_L2_UNTAGGED;
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
		in = packet_in(&w, 1000);
		out = packet_out(&w, &in);
		tp_flow_set_next_hop(w.out, &small);
		small.mtu = (uint16_t)(packet_ip_hdr_len(&out) + packet_udp_len(&out));
		expect_packet_verdict(&w, &in, 64, TP_FORWARD, "fits the MTU");
		small.mtu--;
		expect_packet_verdict(&w, &in, 64, TP_PUNT, "a byte over the MTU");
		way_close(&w);
	}
}

static void test_only_interfaces_that_the_caller_has(void **state)
{
	static const struct {
		uint16_t port;
		enum tp_verdict want;
	} cases[] = {
		{ 0, TP_PUNT },
		{ 8, TP_PUNT },
		{ 9, TP_FORWARD },
		{ 63, TP_FORWARD },
		{ 64, TP_PUNT },
		{ 64 + 9, TP_PUNT },
		{ UINT16_MAX, TP_PUNT },
	};
	struct tp_next_hop other = hop;
	struct packet in;
	struct way w;
	uint32_t i, c;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		in = packet_in(&w, 50);
		for (c = 0; c < COUNT(cases); c++) {
			other.port = cases[c].port;
			tp_flow_set_next_hop(w.out, &other);
			expect_packet_verdict(&w, &in, 64, cases[c].want, "egress interface");
		}
		way_close(&w);
	}
}

/* Several faults at once: the verdict is the first in the documented order. */
static void test_order_of_checks(void **state)
{
	static struct tp_next_hop tiny = { .mtu = 68 };
	struct packet in;
	struct way w;
	uint32_t i;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		in = packet_in(&w, 100);

		tp_flow_set_next_hop(w.out, &tiny);
		expect_packet_verdict(&w, &in, 0, TP_PUNT, "MTU before headroom");
		tp_flow_set_next_hop(w.out, NULL);
		expect_packet_verdict(&w, &in, 0, TP_PUNT, "no next hop");
		in.ttl = 1;
		expect_packet_verdict(&w, &in, 0, TP_PUNT, "TTL before next hop");
		tp_flow_set_deadline(w.out, NOW);
		expect_packet_verdict(&w, &in, 0, w.kind == UP ? TP_DROP_EXPIRED : TP_PUNT,
				"the flow to leave by expires now");
		tp_flow_set_deadline(w.in, NOW - 1);
		expect_packet_verdict(&w, &in, 0, w.kind == DOWN ? TP_PUNT : TP_DROP_EXPIRED,
				"the flow found has expired");
		way_close(&w);
	}
}

static void test_a_frame_cut_short_is_dropped(void **state)
{
	uint8_t bytes[PACKET_MAX];
	struct packet in;
	struct way w;
	uint32_t i, len, cut;
	enum tp_verdict v;
	struct held h;

	(void)state;
	for (i = 0; i < 8; i++) {
		w = way_number(i);
		in = packet_in(&w, 37);
		len = packet_build(&in, bytes);
		for (cut = 0; cut < len; cut++) {
			h = hold(bytes, cut, 64);
			v = carry_over(&w, &h.frame);
			if (v != TP_DROP_SHORT && v != TP_DROP_IP_LENGTH)
				fail_msg("way %u cut to %u bytes: verdict %d", i, cut, v);
			free(h.room);
		}
		way_close(&w);
	}
}

/* UDP datagrams of any payload length with consistent lengths: the payload itself is cut short. */
static void test_channel_data_cut_short_is_dropped(void **state)
{
	uint8_t cd[24] = { CHANNEL_IN >> 8, CHANNEL_IN & 0xff, 0, 10 };
	enum tp_verdict want;
	struct packet in;
	struct way w;
	uint16_t len;

	(void)state;
	w = way_number(0);
	for (len = 0; len <= sizeof(cd); len++) {
		in = packet_in(&w, len);
		in.channel = 0; /* cd brings its own header */
		in.data = cd;
		want = len == 0             ? TP_PUNT
				: len < 14  ? TP_DROP_CHANNEL_DATA
				: len <= 17 ? TP_FORWARD
					    : TP_PUNT;
		expect_packet_verdict(&w, &in, 0, want, "ChannelData of ten bytes");
	}
	way_close(&w);
}

static void test_classify(void **state)
{
	static const struct {
		const char *what;
		uint16_t dst_port;
		uint8_t data[6];
		uint16_t len;
		enum tp_verdict want;
		bool is_up;
		uint16_t data_len;
	} cases[] = {
		{ "STUN Binding request", 3478, { 0, 1, 0, 0 }, 4, TP_PUNT },
		{ "DTLS", 3478, { 22, 254, 253 }, 3, TP_PUNT },
		{ "RTP", 3478, { 0x80, 0x60, 0, 0 }, 4, TP_PUNT },
		{ "empty datagram to a listener", 3478, { 0 }, 0, TP_PUNT },
		{ "ChannelData", 3478, { 0x40, 0, 0, 2, 9, 9 }, 6, TP_FORWARD, true, 2 },
		{ "ChannelData without data", 3478, { 0x4f, 0xff, 0, 0 }, 4, TP_FORWARD, true, 0 },
		{ "ChannelData, legacy range", 3478, { 0x7f, 0xff, 0, 0 }, 4, TP_FORWARD, true, 0 },
		{ "ChannelData header cut", 3478, { 0x40, 0, 0 }, 3, TP_DROP_CHANNEL_DATA },
		{ "ChannelData too short", 3478, { 0x40, 0, 0, 3, 9, 9 }, 6, TP_DROP_CHANNEL_DATA },
		{ "below the relayed ports", 49151, { 0, 1, 0, 0 }, 4, TP_PUNT },
		{ "first relayed port", 49152, { 0, 1, 0, 0 }, 4, TP_FORWARD, false, 4 },
		{ "last relayed port", 65535, { 0x40, 0, 0, 9 }, 4, TP_FORWARD, false, 4 },
		{ "empty datagram from a peer", 50000, { 0 }, 0, TP_FORWARD, false, 0 },
	};
	uint8_t bytes[PACKET_MAX];
	struct tp_parsed parsed;
	struct packet pkt;
	struct held h;
	uint32_t i, is_v6;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (is_v6 = 0; is_v6 < 2; is_v6++) {
			pkt = (struct packet){ .src = who(PEER, is_v6),
				.dst = who(LISTENER, is_v6),
				.data = cases[i].data,
				.data_len = cases[i].len };
			pkt.dst.port = cases[i].dst_port;
			h = hold(bytes, packet_build(&pkt, bytes), 0);
			if (tp_classify(&conf, &h.frame, &parsed) != cases[i].want)
				fail_msg("%s", cases[i].what);
			if (cases[i].want == TP_FORWARD) {
				assert_int_equal(parsed.is_up, cases[i].is_up);
				assert_int_equal(parsed.data_len, cases[i].data_len);
				assert_int_equal(parsed.view.family, is_v6 ? TP_IPV6 : TP_IPV4);
			}
			free(h.room);
		}
	}
}

static void test_what_is_not_udp_is_dropped_by_name(void **state)
{
	static const struct {
		const char *what;
		bool is_v6;
		uint32_t at;
		uint8_t value;
		enum tp_verdict want;
	} cases[] = {
		{ "ethertype", false, 13, 6, TP_DROP_NOT_UDP },
		{ "VLAN ethertype and no tag", false, 12, 0x81, TP_DROP_NOT_UDP },
		{ "IPv4 options", false, 14, 0x46, TP_DROP_NOT_UDP },
		{ "IPv4 total length too large", false, 17, 0xff, TP_DROP_IP_LENGTH },
		{ "more fragments", false, 20, 0x20, TP_DROP_NOT_UDP },
		{ "fragment offset", false, 21, 1, TP_DROP_NOT_UDP },
		{ "TCP over IPv4", false, 23, 6, TP_DROP_NOT_UDP },
		{ "UDP length too large", false, 39, 0xff, TP_DROP_UDP_LENGTH },
		{ "UDP length too small", false, 39, 7, TP_DROP_UDP_LENGTH },
		{ "IPv6 payload length too large", true, 19, 0xff, TP_DROP_IP_LENGTH },
		{ "IPv6 fragment header", true, 20, 44, TP_DROP_NOT_UDP },
		{ "UDP length too large", true, 59, 0xff, TP_DROP_UDP_LENGTH },
	};
	uint8_t bytes[PACKET_MAX];
	struct packet in;
	struct way w;
	uint32_t i, len;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		w = way_number(cases[i].is_v6 ? 2 : 0);
		in = packet_in(&w, 20);
		len = packet_build(&in, bytes);
		bytes[cases[i].at] = cases[i].value;
		expect_verdict(&w, bytes, len, 64, cases[i].want, cases[i].what);
		way_close(&w);
	}
	w = way_number(2);
	in = packet_in(&w, 20);
	in.is_csum_zero = true;
	expect_packet_verdict(&w, &in, 64, TP_DROP_ZERO_CSUM, "IPv6 without checksum");
	way_close(&w);
}

/* Damaged frames in memory of exactly their size: any verdict, but what is sent is consistent. */
static void test_random_damage(void **state)
{
	uint8_t bytes[PACKET_MAX];
	uint32_t i, n, k, len, seed = 12345;
	struct packet in;
	struct way w;
	struct held h;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		w = way_number(i);
		for (n = 0; n < 4000; n++) {
			in = packet_in(&w, (uint16_t)(n % 90));
			in.n_pad = (uint8_t)(w.kind == DOWN ? 0 : n % 4);
			len = packet_build(&in, bytes);
			for (k = 0; k <= n % 3; k++) {
				seed = seed * 1664525 + 1013904223;
				bytes[(seed >> 8) % (len < 70 ? len : 70)] ^= (uint8_t)(seed >> 24);
			}
			h = hold(bytes, len, growth(&w));
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

static int set_up(void **state)
{
	struct tp_flow_table_conf table_conf = { .max_channel_flows = 32 };
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
		cmocka_unit_test(test_all_ways_ip_fields),
		cmocka_unit_test(test_every_checksum_value),
		cmocka_unit_test(test_df_boundary_of_translation),
		cmocka_unit_test(test_without_df_not_all_leaves_whole_over_ipv6),
		cmocka_unit_test(test_dscp_cleared),
		cmocka_unit_test(test_ttl_runs_out),
		cmocka_unit_test(test_headroom_is_enough_or_the_frame_is_dropped),
		cmocka_unit_test(test_vlan_tags_of_either_side),
		cmocka_unit_test(test_mtu_is_of_the_packet_sent),
		cmocka_unit_test(test_only_interfaces_that_the_caller_has),
		cmocka_unit_test(test_order_of_checks),
		cmocka_unit_test(test_a_frame_cut_short_is_dropped),
		cmocka_unit_test(test_channel_data_cut_short_is_dropped),
		cmocka_unit_test(test_classify),
		cmocka_unit_test(test_what_is_not_udp_is_dropped_by_name),
		cmocka_unit_test(test_random_damage),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
