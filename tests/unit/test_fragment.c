/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/fragment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/checksum.h"
#include "wire/ip.h"

static const struct tp_ip_meta meta = { .ttl = 33, .tclass = 0xb8 };

/* A UDP packet with a payload of counting bytes; *len is the packet's. */
static uint8_t *make_packet(bool is_v6, size_t payload_len, size_t *len)
{
	static const uint8_t ip6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 }, ip4[4] = { 192, 0, 2, 1 };
	struct tp_addr a = is_v6 ? tp_addr_v6(ip6, 1000) : tp_addr_v4(ip4, 1000);
	size_t hdr = (is_v6 ? TP_IPV6_LEN : TP_IPV4_LEN) + TP_UDP_LEN;
	uint8_t *p = malloc(hdr + payload_len);

	for (size_t i = 0; i < payload_len; i++)
		p[hdr + i] = (uint8_t)(i * 7);
	assert_int_equal(tp_ip_build_udp(p, &a, &a, &meta, p + hdr, payload_len), hdr);
	*len = hdr + payload_len;
	return p;
}

/* Check one IPv4 fragment and copy its part to where it belongs.  @return its payload length */
static size_t place4(const uint8_t *frag, size_t len, uint8_t *whole, bool *more)
{
	struct tp_ipv4_hdr ip;
	size_t offset;

	memcpy(&ip, frag, sizeof(ip));
	assert_int_equal(ntohs(ip.total_len_be), len);
	assert_int_equal(ntohs(ip.id_be), 0x1234);
	assert_int_equal(ip.ttl, meta.ttl);
	assert_int_equal(tp_csum_fold(tp_csum_add(0, frag, sizeof(ip))), 0xffff);
	offset = (ntohs(ip.frag_be) & TP_IPV4_OFFSET) * 8u;
	*more = (ntohs(ip.frag_be) & TP_IPV4_MF) != 0;
	memcpy(whole + offset, frag + sizeof(ip), len - sizeof(ip));
	return len - sizeof(ip);
}

static size_t place6(const uint8_t *frag, size_t len, uint8_t *whole, bool *more)
{
	struct tp_ipv6_hdr ip;
	uint16_t offset_be;
	uint32_t id_be;

	memcpy(&ip, frag, sizeof(ip));
	memcpy(&offset_be, frag + 42, 2);
	memcpy(&id_be, frag + 44, 4);
	assert_int_equal(ntohs(ip.payload_len_be), len - sizeof(ip));
	assert_int_equal(ip.next_header, 44);
	assert_int_equal(frag[40], TP_IPPROTO_UDP);
	assert_int_equal(ntohl(id_be), 0x1234);
	*more = ntohs(offset_be) & 1;
	memcpy(whole + (ntohs(offset_be) & ~7), frag + 48, len - 48);
	return len - 48;
}

static void the_parts_make_the_whole(void **state)
{
	static const struct {
		const char *what;
		bool is_v6;
		size_t payload_len;
		uint16_t mtu;
		unsigned n;
	} cases[] = {
		{ "fits: one part", false, 100, 1500, 1 },
		{ "IPv4, two parts", false, 1473, 1500, 2 },
		{ "IPv4, smallest MTU", false, 1000, 68, 21 },
		{ "IPv4, MTU not a multiple of eight", false, 3000, 1401, 3 },
		{ "IPv4, largest datagram", false, 65507, 1500, 45 },
		{ "IPv6, two parts", true, 1300, 1280, 2 },
		{ "IPv6, 9000 bytes", true, 9000, 1500, 7 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len, n, total = 0, hdr = cases[i].is_v6 ? TP_IPV6_LEN : TP_IPV4_LEN;
		uint8_t *packet = make_packet(cases[i].is_v6, cases[i].payload_len, &len);
		uint8_t *whole = calloc(1, 70000), *out = malloc(cases[i].mtu);
		struct tp_fragmenter f;
		bool more = true;
		unsigned count = 0;

		assert_int_equal(tp_fragment_begin(&f, packet, len, cases[i].mtu, 0x1234), 0);
		while ((n = tp_fragment_next(&f, out)) > 0) {
			assert_true(n <= cases[i].mtu);
			assert_true(more);
			total += cases[i].is_v6 ? place6(out, n, whole, &more)
						: place4(out, n, whole, &more);
			count++;
		}
		if (count != cases[i].n)
			fail_msg("%s: %u fragments, expected %u", cases[i].what, count, cases[i].n);
		assert_false(more);
		assert_int_equal(total, len - hdr);
		assert_memory_equal(whole, packet + hdr, len - hdr);
		free(packet);
		free(whole);
		free(out);
	}
}

static void what_can_not_be_cut_is_refused(void **state)
{
	struct tp_fragmenter f;
	uint8_t options[60] = { 0x46 }, short_packet[10] = { 0x45 };
	size_t len;
	uint8_t *v6 = make_packet(true, 2000, &len);

	(void)state;
	assert_int_equal(tp_fragment_begin(&f, options, sizeof(options), 1500, 1), -EINVAL);
	assert_int_equal(tp_fragment_begin(&f, short_packet, sizeof(short_packet), 1500, 1),
			-EINVAL);
	assert_int_equal(tp_fragment_begin(&f, v6, len, 1279, 1), -EINVAL);
	free(v6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parts_make_the_whole),
		cmocka_unit_test(what_can_not_be_cut_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
