/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/checksum.h"

#include "wire/ip.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

/* One's complement addition: the carry comes back in at the other end. */
static inline uint64_t add_around(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

static inline uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The last 0 to 7 bytes; copies of a constant size, because a call to memcpy() costs more. */
static inline uint64_t sum_tail(const uint8_t *p, size_t len)
{
	uint32_t four = 0;
	uint16_t two = 0, one = 0;

	if (len & 4) {
		memcpy(&four, p, 4);
		p += 4;
	}
	if (len & 2) {
		memcpy(&two, p, 2);
		p += 2;
	}
	if (len & 1)
		memcpy(&one, p, 1);
	return (uint64_t)four + two + one;
}

/*
 * Four sums side by side: each waits for its own carry only.  2^64, 2^32 and 2^16 are all 1 modulo
 * 2^16 - 1, so words of any width add up to the same sum.  The result is folded to less than 2^18,
 * so that a caller has room to add single words of its own.
 */
uint32_t tp_csum_add(uint32_t sum, const void *data, size_t len)
{
	uint64_t a = sum, b = 0, c = 0, d = 0;
	const uint8_t *p = data;

	for (; len >= 32; len -= 32, p += 32) {
		a = add_around(a, load(p));
		b = add_around(b, load(p + 8));
		c = add_around(c, load(p + 16));
		d = add_around(d, load(p + 24));
	}
	for (; len >= 8; len -= 8, p += 8)
		a = add_around(a, load(p));
	b = add_around(b, sum_tail(p, len));

	a = add_around(add_around(a, b), add_around(c, d));
	a = (a & 0xffffffff) + (a >> 32);
	return (uint32_t)((a & 0xffff) + (a >> 16));
}

uint16_t tp_csum_ipv4(const void *header, size_t len)
{
	return (uint16_t)~tp_csum_fold(tp_csum_add(0, header, len));
}

uint32_t tp_csum_udp_pseudo(const struct tp_addr *src, const struct tp_addr *dst, uint16_t udp_len)
{
	size_t n = tp_addr_ip_bytes(src);
	uint32_t sum;

	assert(src->family == dst->family);
	sum = tp_csum_add(htons(TP_IPPROTO_UDP), src->ip, n);
	sum = tp_csum_add(sum, dst->ip, n);
	return sum + htons(udp_len);
}

uint16_t tp_csum_udp(const struct tp_addr *src, const struct tp_addr *dst, const void *udp,
		uint16_t udp_len)
{
	uint32_t sum = tp_csum_add(tp_csum_udp_pseudo(src, dst, udp_len), udp, udp_len);
	uint16_t csum = (uint16_t)~tp_csum_fold(sum);

	return csum != 0 ? csum : 0xffff;
}
