/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/checksum.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* RFC 1071 section 4.1, word by word. */
static uint16_t naive(uint32_t start, const uint8_t *data, size_t len)
{
	uint64_t sum = start;
	uint8_t word[2];
	uint16_t w;
	size_t i;

	for (i = 0; i < len; i += 2) {
		word[0] = data[i];
		word[1] = i + 1 < len ? data[i + 1] : 0;
		memcpy(&w, word, 2);
		sum += w;
	}
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void fill_random(uint8_t *p, size_t len, unsigned int *seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(rand_r(seed) >> 7);
}

/* Every length around the unrolled loop, at every alignment. */
static void equals_the_naive_sum_of_short_data(void **state)
{
	unsigned int seed = 1;
	size_t len, offset;
	uint8_t *in;

	(void)state;
	for (len = 0; len <= 200; len++) {
		for (offset = 0; offset < 8; offset++) {
			/* Exact size: one byte of over-read is an ASan report. */
			in = malloc(offset + len + (offset + len == 0));
			fill_random(in, offset + len, &seed);
			if (tp_csum_fold(tp_csum_add(0, in + offset, len)) !=
					naive(0, in + offset, len))
				fail_msg("%zu bytes at offset %zu", len, offset);
			free(in);
		}
	}
}

static void equals_the_naive_sum_of_any_data(void **state)
{
	uint8_t *in = malloc(65535);
	unsigned int seed = 2, round;
	size_t len, offset;
	uint32_t start;

	(void)state;
	for (round = 0; round < 2000; round++) {
		offset = (size_t)rand_r(&seed) % 16;
		len = (size_t)rand_r(&seed) % (round < 1900 ? 2000 : 65535 - 16);
		start = (uint32_t)rand_r(&seed) * 2 + (round & 1);
		fill_random(in + offset, len, &seed);
		if (tp_csum_fold(tp_csum_add(start, in + offset, len)) !=
				naive(start, in + offset, len))
			fail_msg("round %u: %zu bytes from %u", round, len, start);
	}
	free(in);
}

/* All ones is where every carry happens, and zero in one's complement. */
static void extremes(void **state)
{
	uint8_t *in = malloc(65535);

	(void)state;
	memset(in, 0xff, 65535);
	assert_int_equal(tp_csum_fold(tp_csum_add(0xffffffff, in, 65534)), 0xffff);
	assert_int_equal(tp_csum_fold(tp_csum_add(UINT32_MAX, in, 65535)),
			naive(UINT32_MAX, in, 65535));
	memset(in, 0, 65535);
	assert_int_equal(tp_csum_add(0, in, 65535), 0);
	assert_int_equal(tp_csum_fold(tp_csum_add(0xffff, in, 65535)), 0xffff);
	free(in);
}

/* A caller may add 65535 words of its own to what tp_csum_add() returns. */
static void leaves_room_for_more_words(void **state)
{
	uint8_t in[64];

	(void)state;
	memset(in, 0xff, sizeof(in));
	assert_true(tp_csum_add(0xffffffff, in, sizeof(in)) <= UINT32_MAX - 65535u * 65535u);
}

static void pieces_of_even_length_add_up(void **state)
{
	unsigned int seed = 3;
	uint8_t in[301];
	uint32_t sum;
	size_t cut;

	(void)state;
	fill_random(in, sizeof(in), &seed);
	for (cut = 0; cut < sizeof(in); cut += 2) {
		sum = tp_csum_add(0, in, cut);
		sum = tp_csum_add(sum, in + cut, sizeof(in) - cut);
		assert_int_equal(tp_csum_fold(sum), naive(0, in, sizeof(in)));
	}
}

static void ipv4_header(void **state)
{
	/* 115 bytes of UDP from 192.168.0.1 to 192.168.0.199 */
	static const uint8_t header[20] = { 0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40,
		0x11, 0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7 };
	uint8_t filled[20];
	uint16_t csum = tp_csum_ipv4(header, sizeof(header));

	(void)state;
	assert_int_equal(ntohs(csum), 0xb861);
	memcpy(filled, header, sizeof(filled));
	memcpy(filled + 10, &csum, 2);
	assert_int_equal(tp_csum_fold(tp_csum_add(0, filled, sizeof(filled))), 0xffff);
}

static void udp(void **state)
{
	/* Checksums computed by scapy. */
	static const struct {
		const char *what, *src, *dst;
		uint16_t len, want;
		uint8_t in[16];
	} cases[] = {
		{ "IPv4", "192.0.2.1", "198.51.100.7", 13, 0x022f,
				{ 0x0d, 0x96, 0xc0, 0x00, 0, 13, 0, 0, 'h', 'e', 'l', 'l', 'o' } },
		{ "IPv6", "2001:db8::1", "2001:db8::2", 13, 0x92f6,
				{ 0x0d, 0x96, 0xc0, 0x00, 0, 13, 0, 0, 'h', 'e', 'l', 'l', 'o' } },
		{ "empty", "192.0.2.1", "198.51.100.7", 8, 0x460b,
				{ 0x0d, 0x96, 0xc0, 0x00, 0, 8, 0, 0 } },
		{ "zero is sent as 0xffff", "192.0.2.1", "198.51.100.7", 10, 0xffff,
				{ 0x0d, 0x96, 0xc0, 0x00, 0, 10, 0, 0, 0x46, 0x07 } },
	};
	struct tp_addr src, dst;
	uint16_t got;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		tp_addr_parse(cases[i].src, 0, &src);
		tp_addr_parse(cases[i].dst, 0, &dst);
		got = ntohs(tp_csum_udp(&src, &dst, cases[i].in, cases[i].len));
		if (got != cases[i].want)
			fail_msg("%s: got %#x", cases[i].what, got);
	}
}

static void udp_of_the_largest_length(void **state)
{
	uint8_t *in = malloc(65535);
	struct tp_addr src, dst;
	uint16_t csum;
	uint32_t sum;

	(void)state;
	tp_addr_parse("ffff::ffff", 0, &src);
	tp_addr_parse("ffff:ffff::", 0, &dst);
	memset(in, 0xff, 65535);
	memset(in + 6, 0, 2);
	csum = tp_csum_udp(&src, &dst, in, 65535);
	memcpy(in + 6, &csum, 2);
	sum = tp_csum_add(tp_csum_udp_pseudo(&src, &dst, 65535), in, 65535);
	assert_int_equal(tp_csum_fold(sum), 0xffff);
	free(in);
}

/* Words that are all ones or all zero among others: every carry there can be. */
static void fill_extreme(uint8_t *p, size_t len, unsigned int *seed)
{
	for (size_t i = 0; i < len; i += 2) {
		unsigned int kind = (unsigned int)rand_r(seed) >> 7 & 3;

		if (kind == 0)
			fill_random(p + i, 2, seed);
		else
			memset(p + i, kind == 1 ? 0 : 0xff, 2);
	}
}

static void ipv4_header_is_right_or_wrong(void **state)
{
	unsigned int seed = 3;
	uint8_t header[20];
	uint16_t csum;

	(void)state;
	for (uint32_t i = 0; i < 200000; i++) {
		fill_extreme(header, sizeof(header), &seed);
		header[0] = 0x45;
		if (i & 1) {
			memset(header + 10, 0, 2);
			csum = (uint16_t)~naive(0, header, sizeof(header));
			memcpy(header + 10, &csum, sizeof(csum));
			assert_true(tp_csum_ipv4_ok(header));
			header[1 + i % 19] ^= (uint8_t)(1u << (i / 19 % 8));
			assert_false(tp_csum_ipv4_ok(header));
		} else {
			assert_int_equal(tp_csum_ipv4_ok(header),
					naive(0, header, sizeof(header)) == 0xffff);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_the_naive_sum_of_short_data),
		cmocka_unit_test(equals_the_naive_sum_of_any_data),
		cmocka_unit_test(extremes),
		cmocka_unit_test(leaves_room_for_more_words),
		cmocka_unit_test(pieces_of_even_length_add_up),
		cmocka_unit_test(ipv4_header),
		cmocka_unit_test(ipv4_header_is_right_or_wrong),
		cmocka_unit_test(udp),
		cmocka_unit_test(udp_of_the_largest_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
