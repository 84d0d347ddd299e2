/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/indication.h"

#include "wire/be.h"
#include "wire/integrity.h"

#include <stdlib.h>
#include <sys/random.h>

/* RFC 8489 section 5: indication class, methods Send and Data. */
#define SEND_INDICATION 0x0016
#define DATA_INDICATION 0x0017

/* Offsets from the beginning of the message. */
#define PEER_AT TP_STUN_HDR_LEN
#define PEER_FAMILY_AT (PEER_AT + 5)
#define PEER_PORT_AT (PEER_AT + 6)
#define PEER_IP_AT (PEER_AT + 8)
#define TID_AT 8
#define ATTR_HDR_LEN 4
#define PEER_LEN4 8 /* of the attribute's value */
#define PEER_LEN6 20
#define FINGERPRINT_LEN 4
#define SEND_LEN_MIN (TP_STUN_HDR_LEN + 2 * ATTR_HDR_LEN + PEER_LEN4) /* without data */

_Static_assert(TP_STUN_HDR_LEN + 2 * ATTR_HDR_LEN + PEER_LEN4 == TP_INDICATION_LEN4, "IPv4");
_Static_assert(TP_STUN_HDR_LEN + 2 * ATTR_HDR_LEN + PEER_LEN6 == TP_INDICATION_LEN6, "IPv6");

void tp_tid_seed(struct tp_tid_source *source)
{
	/* Up to 256 bytes are never cut short. */
	if (getrandom(source, sizeof(*source), 0) != sizeof(*source))
		abort();
}

static uint32_t padded(uint32_t len)
{
	return (len + 3) & ~3u;
}

/* One attribute; `at` is the offset of its value.  @return whether it is one that we take */
static bool take_attr(const uint8_t *msg, uint16_t type, uint32_t at, uint16_t len, uint32_t end,
		struct tp_parsed *p)
{
	switch (type) {
	case TP_STUN_ATTR_XOR_PEER_ADDRESS:
		if (p->peer_at != 0 || (len != PEER_LEN4 && len != PEER_LEN6))
			return false;
		p->is_peer6 = len == PEER_LEN6;
		p->peer_at = (uint16_t)(p->view.payload + at + 4);
		p->peer_port = tp_be16_get(msg + at + 2) ^ (TP_STUN_COOKIE >> 16);
		return p->peer_port != 0 &&
				msg[at + 1] ==
				(p->is_peer6 ? TP_STUN_FAMILY_IPV6 : TP_STUN_FAMILY_IPV4);
	case TP_STUN_ATTR_DATA:
		if (p->head_len != 0)
			return false;
		p->head_len = (uint8_t)at; /* it is first or second: 24, 36 or 48 */
		p->data_len = len;
		return true;
	case TP_STUN_ATTR_FINGERPRINT:
		p->has_fingerprint = true;
		return len == FINGERPRINT_LEN && at + FINGERPRINT_LEN == end && p->peer_at != 0 &&
				p->head_len != 0;
	default:
		return false;
	}
}

enum tp_verdict tp_send_classify(const uint8_t *frame, struct tp_parsed *p)
{
	const uint8_t *msg = frame + p->view.payload;
	uint32_t end = p->view.payload_len, at = TP_STUN_HDR_LEN;
	uint16_t type, len;

	if (end < SEND_LEN_MIN || tp_be16_get(msg) != SEND_INDICATION ||
			tp_be16_get(msg + 2) != end - TP_STUN_HDR_LEN ||
			tp_be32_get(msg + 4) != TP_STUN_COOKIE)
		return TP_PUNT;
	p->head_len = 0;
	p->peer_at = 0;
	p->has_fingerprint = false;
	/* None twice: three rounds at most. */
	for (; at < end; at += ATTR_HDR_LEN + padded(len)) {
		if (end - at < ATTR_HDR_LEN)
			return TP_PUNT;
		type = tp_be16_get(msg + at);
		len = tp_be16_get(msg + at + 2);
		if (padded(len) > end - at - ATTR_HDR_LEN)
			return TP_PUNT;
		if (!take_attr(msg, type, at + ATTR_HDR_LEN, len, end, p))
			return TP_PUNT;
	}
	return p->head_len != 0 && p->peer_at != 0 ? TP_FORWARD : TP_PUNT;
}

bool tp_send_fingerprint_ok(const uint8_t *frame, const struct tp_parsed *p)
{
	const uint8_t *msg = frame + p->view.payload;
	const uint8_t *end = msg + p->view.payload_len;

	if (!p->has_fingerprint)
		return true;
	return tp_be32_get(end - FINGERPRINT_LEN) ==
			tp_fingerprint(msg, p->view.payload_len - ATTR_HDR_LEN - FINGERPRINT_LEN);
}

/* RFC 8489 section 14.2: with the cookie, and an IPv6 address with the transaction id behind it. */
static void xor_ip(uint8_t *out, const uint8_t *ip, const uint8_t *cookie_and_tid, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		out[i] = ip[i] ^ cookie_and_tid[i];
}

void tp_send_key_form(const uint8_t *frame, const struct tp_parsed *p, struct tp_flow_send_key *key)
{
	const uint8_t *msg = frame + p->view.payload, *udp = frame + p->view.l4;
	const uint8_t *peer = frame + p->peer_at;

	memset(key, 0, sizeof(*key));
	key->family = p->view.family;
	key->peer_family = p->is_peer6 ? TP_IPV6 : TP_IPV4;
	if (key->family == TP_IPV6) {
		memcpy(key, udp - 32, 36); /* both addresses and both ports */
	} else {
		memcpy(key->src, udp - 8, 4);
		memcpy(key->dst, udp - 4, 4);
		memcpy(&key->src_port_be, udp, 4);
	}
	if (p->is_peer6)
		xor_ip(key->peer, peer, msg + 4, 16);
	else
		xor_ip(key->peer, peer, msg + 4, 4);
}

void tp_data_head(uint8_t *out, const union tp_flow_key *peer, bool is_peer6, uint16_t data_len,
		struct tp_tid_source *tids)
{
	uint16_t peer_len = is_peer6 ? PEER_LEN6 : PEER_LEN4;
	const uint16_t port_be = is_peer6 ? peer->v6.src_port_be : peer->v4.src_port_be;
	uint8_t *data_attr = out + PEER_AT + ATTR_HDR_LEN + peer_len;

	tp_be16_put(out, DATA_INDICATION);
	tp_be16_put(out + 2, (uint16_t)(2 * ATTR_HDR_LEN + peer_len + padded(data_len)));
	tp_be32_put(out + 4, TP_STUN_COOKIE);
	tp_tid_next(tids, out + TID_AT);
	tp_be16_put(out + PEER_AT, TP_STUN_ATTR_XOR_PEER_ADDRESS);
	tp_be16_put(out + PEER_AT + 2, peer_len);
	out[PEER_AT + 4] = 0;
	out[PEER_FAMILY_AT] = is_peer6 ? TP_STUN_FAMILY_IPV6 : TP_STUN_FAMILY_IPV4;
	memcpy(out + PEER_PORT_AT, &port_be, sizeof(port_be));
	out[PEER_PORT_AT] ^= out[4];
	out[PEER_PORT_AT + 1] ^= out[5];
	if (is_peer6)
		xor_ip(out + PEER_IP_AT, peer->v6.src, out + 4, 16);
	else
		xor_ip(out + PEER_IP_AT, peer->v4.src, out + 4, 4);
	tp_be16_put(data_attr, TP_STUN_ATTR_DATA);
	tp_be16_put(data_attr + 2, data_len);
}
