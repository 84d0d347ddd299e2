/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragment - an IP packet cut to fit an MTU: IPv4 (RFC 791) or IPv6 with a Fragment header
 * (RFC 8200 section 4.5).
 *
 * Raw sockets that write their own headers are not fragmented by the kernel, so the kernel path
 * does it here.
 *
 * Threads: pure functions on the caller's memory.
 */
#ifndef TP_WIRE_FRAGMENT_H
#define TP_WIRE_FRAGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tp_fragmenter {
	const uint8_t *packet; /* borrowed */
	size_t len;
	size_t hdr_len;
	size_t offset; /* of the payload, next to send */
	size_t room;   /* payload bytes in each fragment but the last, a multiple of 8 */
	uint32_t id;
};

/**
 * Prepare to cut a packet: an IPv4 packet without options or an IPv6 packet without extension
 * headers, its header right but for IPv4's identification.
 *
 * @param mtu  largest fragment, IP header included; at least 68 (IPv4) or 1280 (IPv6)
 * @param id   identification, the same in all fragments; not 0
 * @return 0, or -EINVAL: not such a packet or MTU
 */
int tp_fragment_begin(struct tp_fragmenter *f, const uint8_t *packet, size_t len, uint16_t mtu,
		uint32_t id);

/** Write the next fragment.  @return its length, at most the MTU; 0 when there are no more */
size_t tp_fragment_next(struct tp_fragmenter *f, uint8_t *out);

#endif
