/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ip.h"

#include "wire/be.h"
#include "wire/checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

#define PAYLOAD "hello"
#define PAYLOAD_LEN 5
#define IPV4_FRAME_LEN (TP_ETH_LEN + TP_IPV4_LEN + TP_UDP_LEN + PAYLOAD_LEN)
#define IPV6_FRAME_LEN (TP_ETH_LEN + TP_IPV6_LEN + TP_UDP_LEN + PAYLOAD_LEN)
#define FRAME_MAX 128

/* Offsets in a frame */
#define ETHERTYPE 12
#define V4(field) (TP_ETH_LEN + (field))
#define V4_UDP(field) (TP_ETH_LEN + TP_IPV4_LEN + (field))
#define V6(field) (TP_ETH_LEN + (field))
#define V6_UDP(field) (TP_ETH_LEN + TP_IPV6_LEN + (field))

static struct tp_addr addr(const char *ip, uint16_t port)
{
	struct tp_addr a;

	assert_int_equal(tp_addr_parse(ip, port, &a), 0);
	return a;
}

/* A good frame, and zeroes behind it. */
static uint32_t make_frame(uint8_t frame[FRAME_MAX], enum tp_family family)
{
	bool is_v6 = family == TP_IPV6;
	struct tp_addr src = addr(is_v6 ? "2001:db8::1" : "192.0.2.1", 3478);
	struct tp_addr dst = addr(is_v6 ? "2001:db8::2" : "198.51.100.7", 49152);
	const struct tp_ip_meta meta = { .ttl = 64, .tclass = 0xb9, .is_df = !is_v6 };
	size_t n;

	memset(frame, 0, FRAME_MAX);
	tp_be16_put(frame + ETHERTYPE, is_v6 ? TP_ETHERTYPE_IPV6 : TP_ETHERTYPE_IPV4);
	n = tp_ip_build_udp(frame + TP_ETH_LEN, &src, &dst, &meta, (const uint8_t *)PAYLOAD,
			PAYLOAD_LEN);
	assert_int_equal(n, is_v6 ? 48 : 28);
	memcpy(frame + TP_ETH_LEN + n, PAYLOAD, PAYLOAD_LEN);
	return (uint32_t)(TP_ETH_LEN + n + PAYLOAD_LEN);
}

/* Put an 802.1Q tag of VLAN 100 into a frame.  @return its new length */
static uint32_t tag_frame(uint8_t frame[FRAME_MAX], uint32_t len)
{
	if (len < TP_ETH_LEN || len > FRAME_MAX - 4)
		abort();
	memmove(frame + ETHERTYPE + 4, frame + ETHERTYPE, len - ETHERTYPE);
	tp_be16_put(frame + ETHERTYPE, 0x8100);
	tp_be16_put(frame + ETHERTYPE + 2, 0xe064);
	return len + 4;
}

/* Parse an exact-size copy: one byte of over-read is an ASan report. */
static enum tp_verdict parse(const uint8_t *frame, uint32_t len, struct tp_udp_view *view)
{
	uint8_t *in = malloc(len > 0 ? len : 1);
	enum tp_verdict v;

	memcpy(in, frame, len);
	v = tp_ip_parse_udp(in, len, view);
	free(in);
	return v;
}

static void good_frames(void **state)
{
	uint8_t frame[FRAME_MAX];
	struct tp_udp_view view;
	uint32_t len;

	(void)state;
	len = make_frame(frame, TP_IPV4);
	assert_int_equal(len, IPV4_FRAME_LEN);
	assert_int_equal(parse(frame, len, &view), TP_FORWARD);
	assert_int_equal(view.family, TP_IPV4);
	assert_int_equal(view.l3, 14);
	assert_int_equal(view.l4, 34);
	assert_int_equal(view.payload, 42);
	assert_int_equal(view.payload_len, PAYLOAD_LEN);

	len = make_frame(frame, TP_IPV6);
	assert_int_equal(len, IPV6_FRAME_LEN);
	assert_int_equal(parse(frame, len, &view), TP_FORWARD);
	assert_int_equal(view.family, TP_IPV6);
	assert_int_equal(view.l3, 14);
	assert_int_equal(view.l4, 54);
	assert_int_equal(view.payload, 62);
	assert_int_equal(view.payload_len, PAYLOAD_LEN);
}

static void one_vlan_tag(void **state)
{
	static const enum tp_family families[] = { TP_IPV4, TP_IPV6 };
	struct tp_udp_view plain, view;
	struct tp_addr src[2], dst[2];
	struct tp_ip_meta meta[2];
	uint8_t frame[FRAME_MAX];
	uint32_t len;
	size_t i;

	(void)state;
	for (i = 0; i < N(families); i++) {
		len = make_frame(frame, families[i]);
		assert_int_equal(parse(frame, len, &plain), TP_FORWARD);
		tp_ip_view_addrs(frame, &plain, &src[0], &dst[0], &meta[0]);
		len = tag_frame(frame, len);
		assert_int_equal(parse(frame, len, &view), TP_FORWARD);
		assert_int_equal(view.family, families[i]);
		assert_int_equal(view.l3, 18);
		assert_int_equal(view.l4, plain.l4 + 4);
		assert_int_equal(view.payload, plain.payload + 4);
		assert_int_equal(view.payload_len, PAYLOAD_LEN);
		assert_memory_equal(frame + view.payload, PAYLOAD, PAYLOAD_LEN);
		tp_ip_view_addrs(frame, &view, &src[1], &dst[1], &meta[1]);
		assert_true(tp_addr_equal(&src[0], &src[1]) && tp_addr_equal(&dst[0], &dst[1]));
		assert_int_equal(meta[0].ttl, meta[1].ttl);
		assert_true(tp_ip_view_csum_ok(frame, &view));

		tp_be16_put(frame + ETHERTYPE, 0x88a8); /* a provider's */
		assert_int_equal(parse(frame, len, &view), TP_DROP_NOT_UDP);
		tp_be16_put(frame + ETHERTYPE, 0x8100);
		len = tag_frame(frame, len);
		assert_int_equal(parse(frame, len, &view), TP_DROP_NOT_UDP);
	}
}

/* A good frame with sixteen bits changed; and the same behind a VLAN tag. */
static void changed_frames(void **state)
{
	static const struct {
		const char *what;
		enum tp_family family;
		uint8_t at;
		uint16_t value;
		enum tp_verdict want;
	} cases[] = {
		{ "ARP", TP_IPV4, ETHERTYPE, 0x0806, TP_DROP_NOT_UDP },
		{ "no VLAN tag behind its ethertype", TP_IPV4, ETHERTYPE, 0x8100, TP_DROP_NOT_UDP },
		{ "IPv6 said, IPv4 inside", TP_IPV4, ETHERTYPE, 0x86dd, TP_DROP_SHORT },
		{ "IPv4 said, IPv6 inside", TP_IPV6, ETHERTYPE, 0x0800, TP_DROP_NOT_UDP },

		{ "version 5", TP_IPV4, V4(0), 0x5500, TP_DROP_NOT_UDP },
		{ "options", TP_IPV4, V4(0), 0x4600, TP_DROP_NOT_UDP },
		{ "header of four words", TP_IPV4, V4(0), 0x4400, TP_DROP_NOT_UDP },
		{ "first fragment", TP_IPV4, V4(6), 0x2000, TP_DROP_NOT_UDP },
		{ "last fragment", TP_IPV4, V4(6), 0x0001, TP_DROP_NOT_UDP },
		{ "reserved flag alone", TP_IPV4, V4(6), 0x8000, TP_FORWARD },
		{ "TCP", TP_IPV4, V4(8), 0x4006, TP_DROP_NOT_UDP },
		{ "total length too long", TP_IPV4, V4(2), 34, TP_DROP_IP_LENGTH },
		{ "total length far too long", TP_IPV4, V4(2), 0xffff, TP_DROP_IP_LENGTH },
		{ "total length of the header", TP_IPV4, V4(2), 20, TP_DROP_IP_LENGTH },
		{ "total length one too few for UDP", TP_IPV4, V4(2), 27, TP_DROP_IP_LENGTH },
		{ "total length 0", TP_IPV4, V4(2), 0, TP_DROP_IP_LENGTH },
		{ "total length cuts the payload", TP_IPV4, V4(2), 32, TP_DROP_UDP_LENGTH },
		{ "header checksum wrong", TP_IPV4, V4(10), 0x1234, TP_DROP_IP_CSUM },
		{ "header checksum zero", TP_IPV4, V4(10), 0, TP_DROP_IP_CSUM },
		{ "UDP length too long", TP_IPV4, V4_UDP(4), 14, TP_DROP_UDP_LENGTH },
		{ "UDP length 7", TP_IPV4, V4_UDP(4), 7, TP_DROP_UDP_LENGTH },
		{ "UDP length 0", TP_IPV4, V4_UDP(4), 0, TP_DROP_UDP_LENGTH },
		{ "UDP shorter than IP", TP_IPV4, V4_UDP(4), 12, TP_FORWARD },
		{ "no UDP checksum", TP_IPV4, V4_UDP(6), 0, TP_FORWARD },

		{ "version 4 in IPv6", TP_IPV6, V6(0), 0x4000, TP_DROP_NOT_UDP },
		{ "fragment header", TP_IPV6, V6(6), 0x2c40, TP_DROP_NOT_UDP },
		{ "hop-by-hop header", TP_IPV6, V6(6), 0x0040, TP_DROP_NOT_UDP },
		{ "payload length too long", TP_IPV6, V6(4), 14, TP_DROP_IP_LENGTH },
		{ "payload length 7", TP_IPV6, V6(4), 7, TP_DROP_IP_LENGTH },
		{ "jumbogram", TP_IPV6, V6(4), 0, TP_DROP_IP_LENGTH },
		{ "payload length cuts", TP_IPV6, V6(4), 12, TP_DROP_UDP_LENGTH },
		{ "UDP length too long", TP_IPV6, V6_UDP(4), 14, TP_DROP_UDP_LENGTH },
		{ "UDP length 7", TP_IPV6, V6_UDP(4), 7, TP_DROP_UDP_LENGTH },
		{ "UDP shorter than IPv6", TP_IPV6, V6_UDP(4), 12, TP_FORWARD },
		{ "no UDP checksum", TP_IPV6, V6_UDP(6), 0, TP_DROP_ZERO_CSUM },
	};
	uint8_t frame[FRAME_MAX];
	struct tp_udp_view view;
	enum tp_verdict got;
	uint16_t csum;
	uint32_t len;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		len = make_frame(frame, cases[i].family);
		tp_be16_put(frame + cases[i].at, cases[i].value);
		if (cases[i].family == TP_IPV4 && cases[i].at != V4(10)) {
			tp_be16_put(frame + V4(10), 0);
			csum = tp_csum_ipv4(frame + V4(0), TP_IPV4_LEN);
			memcpy(frame + V4(10), &csum, sizeof(csum));
		}
		got = parse(frame, len, &view);
		if (got != cases[i].want)
			fail_msg("%s: got %s", cases[i].what, tp_verdict_name(got));
		len = tag_frame(frame, len);
		got = parse(frame, len, &view);
		if (got != cases[i].want)
			fail_msg("%s, tagged: got %s", cases[i].what, tp_verdict_name(got));
	}
}

static void cut_frames(void **state)
{
	static const struct {
		enum tp_family family;
		uint32_t headers; /* without UDP */
	} cases[] = {
		{ TP_IPV4, TP_ETH_LEN + TP_IPV4_LEN },
		{ TP_IPV6, TP_ETH_LEN + TP_IPV6_LEN },
	};
	uint8_t frame[FRAME_MAX];
	struct tp_udp_view view;
	enum tp_verdict want;
	uint32_t len, full;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		full = make_frame(frame, cases[i].family);
		for (len = 0; len < full; len++) {
			want = len < cases[i].headers ? TP_DROP_SHORT : TP_DROP_IP_LENGTH;
			if (parse(frame, len, &view) != want)
				fail_msg("IPv%d cut to %u bytes", cases[i].family, len);
		}
		full = tag_frame(frame, full);
		for (len = 0; len < full; len++) {
			want = len < cases[i].headers + 4 ? TP_DROP_SHORT : TP_DROP_IP_LENGTH;
			if (parse(frame, len, &view) != want)
				fail_msg("IPv%d, tagged, cut to %u bytes", cases[i].family, len);
		}
	}
}

static void ethernet_padding_is_ignored(void **state)
{
	static const enum tp_family families[] = { TP_IPV4, TP_IPV6 };
	uint8_t frame[FRAME_MAX];
	struct tp_udp_view view;
	uint32_t len;
	size_t i;

	(void)state;
	for (i = 0; i < N(families); i++) {
		len = make_frame(frame, families[i]);
		memset(frame + len, 0xff, FRAME_MAX - len);
		assert_int_equal(parse(frame, FRAME_MAX, &view), TP_FORWARD);
		assert_int_equal(view.payload_len, PAYLOAD_LEN);
		assert_true(tp_ip_view_csum_ok(frame, &view));
	}
}

static void what_is_built_is_read_back(void **state)
{
	static const struct {
		const char *what, *src, *dst;
		struct tp_ip_meta meta;
	} cases[] = {
		{ "IPv4", "192.0.2.1", "198.51.100.7", { 64, 0, false } },
		{ "IPv4 with DF", "192.0.2.1", "198.51.100.7", { 1, 0xff, true } },
		{ "IPv6", "2001:db8::1", "2001:db8::2", { 255, 0, false } },
		{ "IPv6 with a class", "2001:db8::1", "2001:db8::2", { 1, 0xb9, false } },
	};
	struct tp_addr src, dst, got_src, got_dst;
	uint8_t frame[FRAME_MAX] = { 0 };
	struct tp_udp_view view;
	struct tp_ip_meta meta;
	size_t i, n;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		src = addr(cases[i].src, 65535);
		dst = addr(cases[i].dst, 1);
		n = tp_ip_build_udp(frame + TP_ETH_LEN, &src, &dst, &cases[i].meta,
				(const uint8_t *)PAYLOAD, PAYLOAD_LEN);
		memcpy(frame + TP_ETH_LEN + n, PAYLOAD, PAYLOAD_LEN);
		tp_be16_put(frame + ETHERTYPE, src.family == TP_IPV6 ? 0x86dd : 0x0800);
		assert_int_equal(parse(frame, TP_ETH_LEN + n + PAYLOAD_LEN, &view), TP_FORWARD);
		tp_ip_view_addrs(frame, &view, &got_src, &got_dst, &meta);
		if (!tp_addr_equal(&src, &got_src) || !tp_addr_equal(&dst, &got_dst) ||
				meta.ttl != cases[i].meta.ttl ||
				meta.tclass != cases[i].meta.tclass ||
				meta.is_df != cases[i].meta.is_df)
			fail_msg("%s", cases[i].what);
		assert_true(tp_ip_view_csum_ok(frame, &view));
	}
}

static void bytes_as_others_build_them(void **state)
{
	/* Built by scapy. */
	static const uint8_t ipv4[] = { 0x45, 0xb9, 0x00, 0x21, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
		0x4d, 0xd7, 0xc0, 0x00, 0x02, 0x01, 0xc6, 0x33, 0x64, 0x07, 0x0d, 0x96, 0xc0, 0x00,
		0x00, 0x0d, 0x02, 0x2f };
	static const uint8_t ipv6[] = { 0x6b, 0x90, 0x00, 0x00, 0x00, 0x0d, 0x11, 0x40, 0x20, 0x01,
		0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
		0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x02, 0x0d, 0x96, 0xc0, 0x00, 0x00, 0x0d, 0x92, 0xf6 };
	uint8_t frame[FRAME_MAX];

	(void)state;
	make_frame(frame, TP_IPV4);
	assert_memory_equal(frame + TP_ETH_LEN, ipv4, sizeof(ipv4));
	make_frame(frame, TP_IPV6);
	assert_memory_equal(frame + TP_ETH_LEN, ipv6, sizeof(ipv6));
}

static void checksums(void **state)
{
	static const struct {
		const char *what;
		enum tp_family family;
		uint8_t at, flip;
		bool is_ok;
	} cases[] = {
		{ "IPv4, untouched", TP_IPV4, 0, 0, true },
		{ "IPv4, Ethernet does not count", TP_IPV4, 0, 1, true },
		{ "IPv4, payload", TP_IPV4, V4_UDP(8), 1, false },
		{ "IPv4, last odd byte", TP_IPV4, IPV4_FRAME_LEN - 1, 1, false },
		{ "IPv4, UDP port", TP_IPV4, V4_UDP(1), 1, false },
		{ "IPv4, address", TP_IPV4, V4(15), 1, false },
		{ "IPv4, TTL does not count", TP_IPV4, V4(8), 1, true },
		{ "IPv6, untouched", TP_IPV6, 0, 0, true },
		{ "IPv6, payload", TP_IPV6, V6_UDP(8), 1, false },
		{ "IPv6, address", TP_IPV6, V6(39), 1, false },
		{ "IPv6, hop limit does not count", TP_IPV6, V6(7), 1, true },
	};
	uint8_t frame[FRAME_MAX];
	struct tp_udp_view view;
	uint32_t len;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		len = make_frame(frame, cases[i].family);
		assert_int_equal(parse(frame, len, &view), TP_FORWARD);
		frame[cases[i].at] ^= cases[i].flip;
		if (tp_ip_view_csum_ok(frame, &view) != cases[i].is_ok)
			fail_msg("%s", cases[i].what);
	}
}

static void ipv4_without_udp_checksum_is_right(void **state)
{
	uint8_t frame[FRAME_MAX];
	struct tp_udp_view view;
	uint32_t len = make_frame(frame, TP_IPV4);

	(void)state;
	tp_be16_put(frame + V4_UDP(6), 0);
	frame[V4_UDP(8)] ^= 1;
	assert_int_equal(parse(frame, len, &view), TP_FORWARD);
	assert_true(tp_ip_view_csum_ok(frame, &view));
}

static void the_largest_packet(void **state)
{
	static const struct {
		const char *src, *dst;
		size_t headers;
	} cases[] = {
		{ "192.0.2.1", "198.51.100.7", 28 },
		{ "2001:db8::1", "2001:db8::2", 48 },
	};
	const struct tp_ip_meta meta = { .ttl = 64 };
	uint8_t *payload = calloc(1, 65536), out[48];
	struct tp_addr src, dst;
	size_t i, most;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		src = addr(cases[i].src, 1);
		dst = addr(cases[i].dst, 2);
		most = 65535 - cases[i].headers;
		assert_int_equal(tp_ip_build_udp(out, &src, &dst, &meta, payload, most),
				cases[i].headers);
		assert_int_equal(tp_ip_build_udp(out, &src, &dst, &meta, payload, most + 1), 0);
		assert_int_equal(tp_ip_build_udp(out, &src, &dst, &meta, payload, SIZE_MAX), 0);
	}
	free(payload);
}

static void an_empty_payload(void **state)
{
	const struct tp_ip_meta meta = { .ttl = 64 };
	struct tp_addr src = addr("192.0.2.1", 1), dst = addr("192.0.2.2", 2);
	uint8_t frame[TP_ETH_LEN + 28] = { 0 };
	struct tp_udp_view view;

	(void)state;
	assert_int_equal(tp_ip_build_udp(frame + TP_ETH_LEN, &src, &dst, &meta, NULL, 0), 28);
	tp_be16_put(frame + ETHERTYPE, TP_ETHERTYPE_IPV4);
	assert_int_equal(parse(frame, sizeof(frame), &view), TP_FORWARD);
	assert_int_equal(view.payload_len, 0);
	assert_true(tp_ip_view_csum_ok(frame, &view));
}

/* RFC 768: a checksum that comes to zero is sent as all ones. */
static void no_checksum_of_zero_is_built(void **state)
{
	const struct tp_ip_meta meta = { .ttl = 64 };
	struct tp_addr src = addr("192.0.2.1", 1), dst = addr("192.0.2.2", 2);
	uint8_t out[28], payload[2] = { 0 };

	(void)state;
	assert_int_equal(tp_ip_build_udp(out, &src, &dst, &meta, payload, 2), 28);
	memcpy(payload, out + TP_IPV4_LEN + 6, 2); /* what is missing to all ones */
	assert_int_equal(tp_ip_build_udp(out, &src, &dst, &meta, payload, 2), 28);
	assert_memory_equal(out + TP_IPV4_LEN + 6, "\xff\xff", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_frames),
		cmocka_unit_test(one_vlan_tag),
		cmocka_unit_test(changed_frames),
		cmocka_unit_test(cut_frames),
		cmocka_unit_test(ethernet_padding_is_ignored),
		cmocka_unit_test(what_is_built_is_read_back),
		cmocka_unit_test(bytes_as_others_build_them),
		cmocka_unit_test(checksums),
		cmocka_unit_test(ipv4_without_udp_checksum_is_right),
		cmocka_unit_test(the_largest_packet),
		cmocka_unit_test(an_empty_payload),
		cmocka_unit_test(no_checksum_of_zero_is_built),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
