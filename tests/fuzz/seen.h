/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seen - a frame as it looks to who trusts nothing, and has nothing of lib/: what fuzz_pipeline
 * judges frames by.
 */
#ifndef TP_TESTS_FUZZ_SEEN_H
#define TP_TESTS_FUZZ_SEEN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../bytes.h"

enum csum {
	CSUM_RIGHT,
	CSUM_WRONG,
	CSUM_NONE,
};

/* A UDP datagram with its headers, taken apart without trust. */
struct seen {
	uint32_t l2;           /* length of the link-layer header */
	bool is_v6, is_strict; /* strict: IP ends where the frame does, and UDP where IP does */
	const uint8_t *ip, *udp, *data;
	uint32_t ip_len, udp_len, data_len;
	uint8_t tclass, ttl;
	enum csum csum;
};

static inline uint32_t udp_sum(const struct seen *s)
{
	uint8_t tail[4] = { 0, 17 };
	uint32_t sum;

	put16(tail + 2, s->udp_len);
	sum = sum16(0, s->ip + (s->is_v6 ? 8 : 12), s->is_v6 ? 32 : 8);
	return sum16(sum16(sum, tail, sizeof(tail)), s->udp, s->udp_len);
}

static inline bool see_ip(struct seen *s, uint32_t room, uint32_t *l4_len)
{
	const uint8_t *ip = s->ip;

	if (room < (s->is_v6 ? 48 : 28))
		return false;
	s->udp = ip + (s->is_v6 ? 40 : 20);
	s->ip_len = s->is_v6 ? 40 + be16(ip + 4) : be16(ip + 2);
	s->tclass = s->is_v6 ? (uint8_t)(ip[0] << 4 | ip[1] >> 4) : ip[1];
	s->ttl = s->is_v6 ? ip[7] : ip[8];
	*l4_len = s->ip_len - (s->is_v6 ? 40 : 20);
	if (s->ip_len > room || s->ip_len < (s->is_v6 ? 48 : 28))
		return false;
	if (s->is_v6)
		return ip[0] >> 4 == 6 && ip[6] == 17;
	return ip[0] == 0x45 && ip[9] == 17 && (be16(ip + 6) & 0x3fff) == 0 &&
			sum16(0, ip, 20) == 0xffff;
}

/* @return whether it is an unfragmented UDP datagram whose lengths can be true */
static inline bool see(const uint8_t *frame, uint32_t len, struct seen *s)
{
	uint32_t kind, l4_len;

	memset(s, 0, sizeof(*s));
	s->l2 = len >= 18 && be16(frame + 12) == 0x8100 ? 18 : 14;
	if (len < s->l2)
		return false;
	kind = be16(frame + s->l2 - 2);
	s->is_v6 = kind == 0x86dd;
	s->ip = frame + s->l2;
	if ((kind != 0x0800 && kind != 0x86dd) || !see_ip(s, len - s->l2, &l4_len))
		return false;
	s->udp_len = be16(s->udp + 4);
	if (s->udp_len < 8 || s->udp_len > l4_len)
		return false;
	s->is_strict = s->ip_len == len - s->l2 && s->udp_len == l4_len;
	s->data = s->udp + 8;
	s->data_len = s->udp_len - 8;
	s->csum = be16(s->udp + 6) == 0        ? CSUM_NONE
			: udp_sum(s) == 0xffff ? CSUM_RIGHT
					       : CSUM_WRONG;
	return true;
}

#endif
