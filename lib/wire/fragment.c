/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/fragment.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "wire/checksum.h"
#include "wire/ip.h"

#define FRAGMENT_HDR_LEN 8
#define IPPROTO_FRAGMENT_HDR 44
#define IPV4_MIN_MTU 68
#define IPV6_MIN_MTU 1280

int tp_fragment_begin(struct tp_fragmenter *f, const uint8_t *packet, size_t len, uint16_t mtu,
		uint32_t id)
{
	bool is_v6 = len >= TP_IPV6_LEN && packet[0] >> 4 == 6;
	bool is_v4 = len >= TP_IPV4_LEN && packet[0] == 0x45;
	size_t added;

	if ((!is_v4 && !is_v6) || len > UINT16_MAX || mtu < (is_v6 ? IPV6_MIN_MTU : IPV4_MIN_MTU))
		return -EINVAL;
	*f = (struct tp_fragmenter){
		.packet = packet,
		.len = len,
		.hdr_len = is_v6 ? TP_IPV6_LEN : TP_IPV4_LEN,
		.id = id,
	};
	added = is_v6 ? FRAGMENT_HDR_LEN : 0;
	f->room = (mtu - f->hdr_len - added) & ~(size_t)7;
	return 0;
}

static size_t ipv4_headers(const struct tp_fragmenter *f, uint8_t *out, size_t n, bool is_last)
{
	struct tp_ipv4_hdr ip;

	memcpy(&ip, f->packet, sizeof(ip));
	ip.total_len_be = htons((uint16_t)(sizeof(ip) + n));
	ip.id_be = htons((uint16_t)f->id);
	ip.frag_be = htons((uint16_t)(f->offset / 8 | (is_last ? 0 : TP_IPV4_MF)));
	ip.csum = 0;
	ip.csum = tp_csum_ipv4(&ip, sizeof(ip));
	memcpy(out, &ip, sizeof(ip));
	return sizeof(ip);
}

static size_t ipv6_headers(const struct tp_fragmenter *f, uint8_t *out, size_t n, bool is_last)
{
	uint16_t offset_be =
			htons((uint16_t)(f->offset | !is_last)); /* multiple of 8: 3 flag bits */
	uint32_t id_be = htonl(f->id);
	struct tp_ipv6_hdr ip;

	memcpy(&ip, f->packet, sizeof(ip));
	out[sizeof(ip)] = ip.next_header;
	out[sizeof(ip) + 1] = 0;
	memcpy(out + sizeof(ip) + 2, &offset_be, sizeof(offset_be));
	memcpy(out + sizeof(ip) + 4, &id_be, sizeof(id_be));
	ip.next_header = IPPROTO_FRAGMENT_HDR;
	ip.payload_len_be = htons((uint16_t)(FRAGMENT_HDR_LEN + n));
	memcpy(out, &ip, sizeof(ip));
	return sizeof(ip) + FRAGMENT_HDR_LEN;
}

size_t tp_fragment_next(struct tp_fragmenter *f, uint8_t *out)
{
	size_t left = f->len - f->hdr_len - f->offset;
	size_t n = left < f->room ? left : f->room;
	bool is_last = n == left;
	size_t hdr;

	assert(f->offset <= f->len - f->hdr_len);
	if (n == 0)
		return 0;
	hdr = f->hdr_len == TP_IPV6_LEN ? ipv6_headers(f, out, n, is_last)
					: ipv4_headers(f, out, n, is_last);
	memcpy(out + hdr, f->packet + f->hdr_len + f->offset, n);
	f->offset += n;
	return hdr + n;
}
