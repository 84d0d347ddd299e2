/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for every way through the relay; of indications alone: test_indication.c. */
#include "flow/rewrite.h"

#include "way.h"

#define UP_4TO4 1 /* number of the way */
#define UP_6TO4 3

#define NO_ROOM ((struct room){ 0, 0 })

/* What a client's channel may have behind its data; a Send indication's is its length's. */
static uint8_t max_pad(const struct way *w)
{
	return w->from == CHANNEL ? 3 : 0;
}

static void pad(struct packet *in, const struct way *w, uint32_t n)
{
	if (w->from == CHANNEL)
		in->n_pad = (uint8_t)(n % 4);
}

/* A datagram with every checksum, and without. */
static void expect_forward_of_any_checksum(const struct way *w, struct packet in)
{
	static const uint16_t errors[] = { 0, 1, 0x5555, 0xfffe };

	for (uint32_t e = 0; e < COUNT(errors); e++) {
		in.csum_error = errors[e];
		expect_forward(w, &in);
	}
	in.is_csum_zero = !w->in6;
	expect_forward(w, &in);
}

/* Every size with every checksum, padding and Ethernet padding behind. */
static void test_all_ways_checksum_and_padding(void **state)
{
	static const uint8_t eth_pads[] = { 0, 1, 2, 3, 4, 9, 18 };
	struct packet in;
	struct way w = { 0 };
	uint32_t s, n, eth;

	(void)state;
	while (way_next(&w)) {
		for (s = 0; s < COUNT(sizes); s++) {
			in = way_packet_in(&w, sizes[s]);
			for (eth = 0; eth < COUNT(eth_pads); eth++) {
				in.n_eth_pad = eth_pads[eth];
				for (n = 0; n <= max_pad(&w); n++) {
					pad(&in, &w, n);
					expect_forward_of_any_checksum(&w, in);
				}
			}
		}
	}
}

/* RFC 8656 sections 13.1-13.3 and 14: what is copied and what is not. */
static void test_all_ways_ip_fields(void **state)
{
	static const uint8_t classes[] = { 0, 1, 2, 3, 0x28, 0xb8, 0xbb, 0xff };
	static const uint8_t ttls[] = { 2, 3, 64, 255 };
	struct packet in;
	struct way w = { 0 };
	uint32_t s, i;

	(void)state;
	while (way_next(&w)) {
		for (s = 0; s < COUNT(sizes); s++) {
			in = way_packet_in(&w, sizes[s]);
			for (i = 0; i < COUNT(classes) * COUNT(ttls) * 2; i++) {
				in.is_df = i & 1;
				in.ttl = ttls[i / 2 % COUNT(ttls)];
				in.tclass = classes[i / 2 / COUNT(ttls)];
				expect_forward(&w, &in);
			}
		}
	}
}

static void expect_forward_of_any_word(
		const struct way *w, struct packet in, uint32_t step, bool is_csum_zero)
{
	uint8_t data[2];

	in.data = data;
	in.is_csum_zero = is_csum_zero;
	for (uint32_t n = 0; n < 0x10000; n += step) {
		put16(data, n);
		expect_forward(w, &in);
	}
}

/*
 * All sums there are, so also the one whose checksum is 0 and has to be sent as 0xffff.  A Data
 * indication's transaction id is different each time: any value may come of it.
 */
static void test_every_checksum_value(void **state)
{
	struct packet in;
	struct way w = { 0 };

	(void)state;
	while (way_next(&w)) {
		in = way_packet_in(&w, 2);
		expect_forward_of_any_word(
				&w, in, way_is_hairpin(&w) || way_indicates(&w) ? 3 : 1, false);
		if (!w.in6 && w.out6)
			expect_forward_of_any_word(&w, in, way_is_data(&w) ? 3 : 1, true);
	}
}

/* RFC 7915 section 5.1: DF=0 up to 1260 bytes of IPv4, DF=1 above; way_packet_out() knows. */
static void test_df_boundary_of_translation(void **state)
{
	const uint16_t first = 1260 - 28 - TP_INDICATION_LEN6 - 4, last = 1260 - 28 + 8;
	struct packet in;
	struct way w = { 0 };
	uint16_t len;

	(void)state;
	while (way_next(&w)) {
		for (len = first; len < last; len++) {
			in = way_packet_in(&w, len);
			expect_forward(&w, &in);
		}
	}
}

/* RFC 7915 section 4.1: IPv4 without DF is fragmented to lowest-ipv6-mtu, by the kernel path. */
static void test_without_df_not_all_leaves_whole_over_ipv6(void **state)
{
	struct packet in, out;
	struct way w = { 0 };
	uint16_t fits;

	(void)state;
	while (way_next(&w)) {
		w.out->whole_max = w.out6 ? 1280 : UINT16_MAX;
		in = way_packet_in(&w, 0);
		out = way_packet_out(&w, &in);
		fits = (uint16_t)(1280 - packet_ip_len(&out));
		in = way_packet_in(&w, fits);
		expect_forward(&w, &in);
		in = way_packet_in(&w, fits + 1);
		if (w.in6 || !w.out6)
			expect_forward(&w, &in);
		else
			expect_packet_verdict(&w, &in, ROOMY, TP_PUNT, "one byte more");
		in.is_df = true;
		expect_forward(&w, &in);
	}
}

/* RFC 8656 section 14: DSCP may be set to a fixed value; ECN is still copied. */
static void test_dscp_cleared(void **state)
{
	static const uint8_t classes[] = { 0, 3, 0x28, 0xb8, 0xbb, 0xff };
	struct packet in, out;
	struct way w = { 0 };
	uint32_t c;

	(void)state;
	while (way_next(&w)) {
		w.out->tclass_clear = 0xfc;
		for (c = 0; c < COUNT(classes); c++) {
			in = way_packet_in(&w, 99);
			in.tclass = classes[c];
			out = way_packet_out(&w, &in);
			out.tclass = classes[c] & 3;
			expect_sent(&w, &in, out);
		}
	}
}

static void test_ttl_runs_out(void **state)
{
	struct packet in;
	struct way w = { 0 };

	(void)state;
	while (way_next(&w)) {
		in = way_packet_in(&w, 100);
		in.ttl = 1;
		expect_packet_verdict(&w, &in, ROOMY, TP_PUNT, "TTL 1");
		in.ttl = 0;
		expect_packet_verdict(&w, &in, ROOMY, TP_PUNT, "TTL 0");
		in.ttl = 2;
		expect_packet_verdict(&w, &in, ROOMY, TP_FORWARD, "TTL 2");
	}
}

/* Just enough, a byte short in front, nothing in front, a byte short behind. */
static void expect_room_needed(const struct way *w, const struct packet *in)
{
	const struct packet out = way_packet_out(w, in);
	struct room room = way_room(in, &out);

	expect_packet_verdict(w, in, room, TP_FORWARD, "just enough room");
	if (room.tail > 0) {
		room.tail--;
		expect_packet_verdict(w, in, room, TP_PUNT, "a byte short behind");
		room.tail++;
	}
	if (room.head > 0) {
		room.head--;
		expect_packet_verdict(w, in, room, TP_DROP_HEADROOM, "a byte short in front");
		room.head = 0;
		expect_packet_verdict(w, in, room, TP_DROP_HEADROOM, "no headroom at all");
	}
}

static void test_room_is_enough_or_nothing_happens(void **state)
{
	struct packet in;
	struct way w = { 0 };
	uint16_t len;

	(void)state;
	while (way_next(&w)) {
		for (len = 8; len < 12; len++) {
			in = way_packet_in(&w, len);
			expect_room_needed(&w, &in);
		}
	}
}

static void hop_tag(bool is_tagged)
{
	static const uint8_t tag[2][4] = { { 0 }, { 0x81, 0x00, 0x0f, 0xfe } };

	memcpy(hop.l2 + TP_L2_UNTAGGED, tag[is_tagged], sizeof(tag[is_tagged]));
	hop.l2_len = is_tagged ? TP_L2_TAGGED : TP_L2_UNTAGGED;
}

static void expect_forward_of_any_tag(const struct way *w)
{
	static const uint16_t tags[] = { 0, 0xe000, 100, 0xfffe };
	struct packet in;
	uint32_t s, t;

	for (s = 0; s < COUNT(sizes); s++) {
		for (t = 0; t < (w->is_tagged ? COUNT(tags) : 1); t++) {
			in = way_packet_in(w, sizes[s]);
			in.tag = tags[t];
			in.n_eth_pad = (uint8_t)(5 * t);
			pad(&in, w, t);
			expect_forward(w, &in);
		}
	}
	expect_room_needed(w, &in);
}

/* A frame leaves with the tag of its next hop, or without, whatever it came in with. */
static void test_vlan_tags_of_either_side(void **state)
{
	struct way w = { 0 };
	uint32_t i;

	(void)state;
	while (way_next(&w)) {
		for (i = 0; i < 4; i++) {
			w.is_tagged = i & 1;
			hop_tag(i & 2);
			expect_forward_of_any_tag(&w);
		}
		hop_tag(false);
	}
}

static void test_mtu_is_of_the_packet_sent(void **state)
{
	struct tp_next_hop small = hop;
	struct packet in, out;
	struct way w = { 0 };
	uint16_t len;

	(void)state;
	while (way_next(&w)) {
		tp_flow_set_next_hop(w.out, &small);
		for (len = 1000; len < 1002; len++) {
			in = way_packet_in(&w, len);
			out = way_packet_out(&w, &in);
			small.mtu = (uint16_t)packet_ip_len(&out);
			expect_packet_verdict(&w, &in, ROOMY, TP_FORWARD, "fits the MTU");
			small.mtu--;
			expect_packet_verdict(&w, &in, ROOMY, TP_PUNT, "a byte over the MTU");
		}
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
	struct way w = { 0 };
	uint32_t c;

	(void)state;
	while (way_next(&w)) {
		in = way_packet_in(&w, 50);
		for (c = 0; c < COUNT(cases); c++) {
			other.port = cases[c].port;
			tp_flow_set_next_hop(w.out, &other);
			expect_packet_verdict(&w, &in, ROOMY, cases[c].want, "egress interface");
		}
	}
}

/* Each by itself, with nothing else that might be the reason. */
static void test_deadlines_and_next_hop(void **state)
{
	struct packet in;
	struct way w = { 0 };

	(void)state;
	while (way_next(&w)) {
		in = way_packet_in(&w, 10);
		if (way_is_hairpin(&w)) {
			tp_flow_set_deadline(w.out, NOW);
			expect_packet_verdict(&w, &in, ROOMY, TP_PUNT, "the other's is over");
			tp_flow_set_deadline(w.out, NOW + 1);
		}
		tp_flow_set_next_hop(w.out, NULL);
		expect_packet_verdict(&w, &in, ROOMY, TP_PUNT, "no next hop");
		tp_flow_set_next_hop(w.out, &hop);
		expect_packet_verdict(&w, &in, ROOMY, TP_FORWARD, "all there again");
		tp_flow_set_deadline(w.in, NOW);
		expect_packet_verdict(&w, &in, ROOMY, way_is_down(&w) ? TP_PUNT : TP_DROP_EXPIRED,
				"over");
	}
}

/* Several faults at once: the verdict is the first in the documented order. */
static void test_order_of_checks(void **state)
{
	static const struct tp_next_hop tiny = { .port = 9, .mtu = 68 };
	struct packet in;
	struct way w = { 0 };

	(void)state;
	while (way_next(&w)) {
		in = way_packet_in(&w, 100);

		tp_flow_set_next_hop(w.out, &tiny);
		expect_packet_verdict(&w, &in, NO_ROOM, TP_PUNT, "MTU before headroom");
		tp_flow_set_next_hop(w.out, NULL);
		expect_packet_verdict(&w, &in, NO_ROOM, TP_PUNT, "no next hop");
		in.ttl = 1;
		expect_packet_verdict(&w, &in, NO_ROOM, TP_PUNT, "TTL before next hop");
		tp_flow_set_deadline(w.out, NOW);
		expect_packet_verdict(&w, &in, NO_ROOM, way_is_up(&w) ? TP_DROP_EXPIRED : TP_PUNT,
				"the flow to leave by expires now");
		tp_flow_set_deadline(w.in, NOW - 1);
		expect_packet_verdict(&w, &in, NO_ROOM, way_is_down(&w) ? TP_PUNT : TP_DROP_EXPIRED,
				"the flow found has expired");
	}
}

/* ---- what is read ---- */

static void test_a_frame_cut_short_is_dropped(void **state)
{
	uint8_t bytes[PACKET_MAX];
	struct packet in;
	struct way w = { 0 };
	uint32_t len, cut;
	enum tp_verdict v;
	struct held h;

	(void)state;
	while (way_next(&w)) {
		in = way_packet_in(&w, 37);
		len = packet_build(&in, bytes);
		for (cut = 0; cut < len; cut++) {
			h = hold(bytes, cut, (struct room){ 64, 0 });
			v = carry_over(&w, &h.frame);
			if (v != TP_DROP_SHORT && v != TP_DROP_IP_LENGTH)
				fail_msg("way %u cut to %u bytes: verdict %d", w.number, cut, v);
			free(h.bytes);
		}
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
	w = way_number(UP_4TO4);
	for (len = 0; len <= sizeof(cd); len++) {
		in = way_packet_in(&w, len);
		in.channel = 0; /* cd brings its own header */
		in.data = cd;
		want = len == 0             ? TP_PUNT
				: len < 14  ? TP_DROP_CHANNEL_DATA
				: len <= 17 ? TP_FORWARD
					    : TP_PUNT;
		expect_packet_verdict(&w, &in, NO_ROOM, want, "ChannelData of ten bytes");
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
			h = hold(bytes, packet_build(&pkt, bytes), NO_ROOM);
			if (tp_classify(&classify_conf, &h.frame, &parsed) != cases[i].want)
				fail_msg("%s", cases[i].what);
			if (cases[i].want == TP_FORWARD) {
				assert_int_equal(parsed.is_up, cases[i].is_up);
				assert_int_equal(parsed.data_len, cases[i].data_len);
				assert_int_equal(parsed.view.family, is_v6 ? TP_IPV6 : TP_IPV4);
			}
			free(h.bytes);
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
		w = way_number(cases[i].is_v6 ? UP_6TO4 : UP_4TO4);
		in = way_packet_in(&w, 20);
		len = packet_build(&in, bytes);
		bytes[cases[i].at] = cases[i].value;
		expect_verdict(&w, bytes, len, ROOMY, cases[i].want, cases[i].what);
		way_close(&w);
	}
	w = way_number(UP_6TO4);
	in = way_packet_in(&w, 20);
	in.is_csum_zero = true;
	expect_packet_verdict(&w, &in, ROOMY, TP_DROP_ZERO_CSUM, "IPv6 without checksum");
	way_close(&w);
}

/* Damaged frames in memory of exactly their size: any verdict, but what is sent is consistent. */
static void test_random_damage(void **state)
{
	uint8_t bytes[PACKET_MAX];
	uint32_t n, k, len, headers, seed = 12345;
	struct packet in, out;
	struct way w = { 0 };
	struct held h;

	(void)state;
	while (way_next(&w)) {
		headers = way_indicates(&w) ? 110 : 70;
		for (n = 0; n < 4000; n++) {
			in = way_packet_in(&w, (uint16_t)(n % 90));
			pad(&in, &w, n);
			out = way_packet_out(&w, &in);
			len = packet_build(&in, bytes);
			for (k = 0; k <= n % 3; k++) {
				seed = seed * 1664525 + 1013904223;
				bytes[(seed >> 8) % (len < headers ? len : headers)] ^=
						(uint8_t)(seed >> 24);
			}
			h = hold(bytes, len, way_room(&in, &out));
			if (carry_over(&w, &h.frame) == TP_FORWARD)
				assert_within(&h);
			free(h.bytes);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WAYS_TEST(test_all_ways_checksum_and_padding),
		WAYS_TEST(test_all_ways_ip_fields),
		WAYS_TEST(test_every_checksum_value),
		WAYS_TEST(test_df_boundary_of_translation),
		WAYS_TEST(test_without_df_not_all_leaves_whole_over_ipv6),
		WAYS_TEST(test_dscp_cleared),
		WAYS_TEST(test_ttl_runs_out),
		WAYS_TEST(test_room_is_enough_or_nothing_happens),
		WAYS_TEST(test_vlan_tags_of_either_side),
		WAYS_TEST(test_mtu_is_of_the_packet_sent),
		WAYS_TEST(test_only_interfaces_that_the_caller_has),
		WAYS_TEST(test_deadlines_and_next_hop),
		WAYS_TEST(test_order_of_checks),
		WAYS_TEST(test_a_frame_cut_short_is_dropped),
		WAYS_TEST(test_channel_data_cut_short_is_dropped),
		WAYS_TEST(test_classify),
		WAYS_TEST(test_what_is_not_udp_is_dropped_by_name),
		WAYS_TEST(test_random_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
