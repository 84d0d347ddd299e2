/* SPDX-License-Identifier: Apache-2.0 */
#include "ref.h"

#include <string.h>
#include <zlib.h>

static const uint8_t cookie[4] = { 0x21, 0x12, 0xa4, 0x42 };

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static size_t padded(size_t len)
{
	return (len + 3) / 4 * 4;
}

/* ---- reading (RFC 8489 sections 5, 6.3 and 14) ---- */

static uint32_t fingerprint_of(const uint8_t *data, size_t len)
{
	return (uint32_t)crc32(0, data, (uInt)len) ^ 0x5354554eu;
}

static void read_type(struct ref_msg *m)
{
	static const uint8_t bits[12] = { 0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 13 };
	unsigned type = be16(m->raw);

	m->method = 0;
	for (unsigned i = 0; i < 12; i++)
		m->method |= (type >> bits[i] & 1) << i;
	m->class = (enum ref_class)((type >> 8 & 1) * 2 + (type >> 4 & 1));
}

static enum ref_parse read_attrs(struct ref_msg *m)
{
	size_t at, next;

	for (at = 20; at < m->len; at = next) {
		unsigned type = be16(m->raw + at), len = be16(m->raw + at + 2);

		next = at + 4 + padded(len);
		if (next > m->len)
			return REF_MALFORMED;
		if (type == REF_FINGERPRINT_ATTR) {
			if (len != 4 || next != m->len ||
					be32(m->raw + at + 4) != fingerprint_of(m->raw, at))
				return REF_FINGERPRINT;
			m->has_fingerprint = true;
		}
		/* What counts after MESSAGE-INTEGRITY (section 9). */
		if (type == REF_MESSAGE_INTEGRITY_SHA256 && m->mi256_at == 0)
			m->mi256_at = at;
		if (m->end != m->len)
			continue;
		if (type == REF_MESSAGE_INTEGRITY)
			m->mi_at = at;
		if (type == REF_MESSAGE_INTEGRITY || type == REF_MESSAGE_INTEGRITY_SHA256)
			m->end = at;
	}
	return REF_OK;
}

enum ref_parse ref_parse(const uint8_t *data, size_t len, struct ref_msg *out)
{
	*out = (struct ref_msg){ .raw = data, .len = len, .tid = data + 8, .end = len };
	if (len < 20 || data[0] > 0x3f || memcmp(data + 4, cookie, 4) != 0)
		return REF_NOT_STUN;
	if (len % 4 != 0 || be16(data + 2) + 20u != len)
		return REF_NOT_STUN;
	read_type(out);
	return read_attrs(out);
}

struct ref_value ref_get(const struct ref_msg *msg, unsigned type, unsigned n)
{
	size_t len;

	for (size_t at = 20; at < msg->end; at += 4 + padded(len)) {
		len = be16(msg->raw + at + 2);
		if (be16(msg->raw + at) == type && n-- == 0)
			return (struct ref_value){ msg->raw + at + 4, len };
	}
	return (struct ref_value){ NULL, 0 };
}

/* Section 14.2. */
bool ref_addr(const struct ref_msg *msg, struct ref_value value, struct tp_addr *out)
{
	unsigned ip_len = value.len > 1 && value.data[1] == 2 ? 16 : 4;
	struct tp_addr a = { .family = ip_len == 16 ? TP_IPV6 : TP_IPV4 };

	if (value.len != 4 + ip_len || (value.data[1] != 1 && value.data[1] != 2))
		return false;
	a.port = (uint16_t)(be16(value.data + 2) ^ 0x2112);
	for (unsigned i = 0; i < ip_len; i++)
		a.ip[i] = value.data[4 + i] ^ (i < 4 ? cookie[i] : msg->tid[i - 4]);
	*out = a;
	return true;
}

bool ref_plain_addr(struct ref_value value, struct tp_addr *out)
{
	unsigned ip_len = value.len > 1 && value.data[1] == 2 ? 16 : 4;

	if (value.len != 4 + ip_len || value.data[0] != 0 ||
			(value.data[1] != 1 && value.data[1] != 2))
		return false;
	*out = (struct tp_addr){ .family = ip_len == 16 ? TP_IPV6 : TP_IPV4 };
	out->port = be16(value.data + 2);
	memcpy(out->ip, value.data + 4, ip_len);
	return true;
}

int ref_byte(const struct ref_msg *msg, unsigned type, size_t len, uint8_t *out)
{
	struct ref_value value = ref_get(msg, type, 0);

	if (value.data == NULL)
		return 0;
	if (value.len != len)
		return -1;
	*out = value.data[0];
	return 1;
}

int ref_u32(const struct ref_msg *msg, unsigned type, uint32_t *out)
{
	struct ref_value value = ref_get(msg, type, 0);

	if (value.data == NULL)
		return 0;
	if (value.len != 4)
		return -1;
	*out = be32(value.data);
	return 1;
}

unsigned ref_error(const struct ref_msg *msg)
{
	struct ref_value value = ref_get(msg, REF_ERROR_CODE, 0);

	return value.len < 4 ? 0 : (value.data[2] & 7u) * 100 + value.data[3];
}

static bool is_known(unsigned type)
{
	static const uint16_t known[] = { REF_MAPPED_ADDRESS, REF_USERNAME, REF_MESSAGE_INTEGRITY,
		REF_ERROR_CODE, REF_UNKNOWN_ATTRIBUTES, REF_CHANNEL_NUMBER, REF_LIFETIME,
		REF_XOR_PEER_ADDRESS, REF_DATA, REF_REALM, REF_NONCE, REF_XOR_RELAYED_ADDRESS,
		REF_REQUESTED_ADDRESS_FAMILY, REF_EVEN_PORT, REF_REQUESTED_TRANSPORT,
		REF_DONT_FRAGMENT, REF_MESSAGE_INTEGRITY_SHA256, REF_PASSWORD_ALGORITHM,
		REF_USERHASH, REF_XOR_MAPPED_ADDRESS, REF_RESERVATION_TOKEN };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i] == type)
			return true;
	return type >= 0x8000;
}

unsigned ref_unknown(const struct ref_msg *msg, uint16_t out[], unsigned room)
{
	unsigned n = 0, i;
	size_t len;

	for (size_t at = 20; at < msg->end; at += 4 + padded(len)) {
		unsigned type = be16(msg->raw + at);

		len = be16(msg->raw + at + 2);
		for (i = 0; i < n && out[i] != type; i++)
			;
		if (!is_known(type) && i == n && n < room)
			out[n++] = (uint16_t)type;
	}
	return n;
}

/* Sections 14.5 and 14.6: over what is before it, the length as if it were last. */
static size_t integrity_of(const uint8_t *msg, size_t at, bool is_sha256, const struct tp_key *key,
		uint8_t mac[32])
{
	size_t len = is_sha256 ? 32 : 20;
	uint8_t head[20];
	const struct tp_bytes part[] = { { head, 20 }, { msg + 20, at - 20 } };

	memcpy(head, msg, 20);
	put16(head + 2, at + 4 + len - 20);
	if (is_sha256)
		tp_hmac_sha256(key->data, key->len, part, 2, mac);
	else
		tp_hmac_sha1(key->data, key->len, part, 2, mac);
	return len;
}

bool ref_integrity_ok(const struct ref_msg *msg, bool is_sha256, const struct tp_key *key)
{
	size_t at = is_sha256 ? msg->mi256_at : msg->mi_at, len;
	uint8_t mac[32];

	if (at == 0)
		return false;
	len = integrity_of(msg->raw, at, is_sha256, key, mac);
	return be16(msg->raw + at + 2) == len && memcmp(mac, msg->raw + at + 4, len) == 0;
}

bool ref_padding_is_zero(const struct ref_msg *msg)
{
	size_t len;

	for (size_t at = 20; at < msg->len; at += 4 + padded(len)) {
		len = be16(msg->raw + at + 2);
		for (size_t i = len; i < padded(len); i++)
			if (msg->raw[at + 4 + i] != 0)
				return false;
	}
	return true;
}

/* ---- writing ---- */

void ref_begin(struct ref_out *o, uint8_t *buf, unsigned method, enum ref_class class,
		const uint8_t tid[12])
{
	unsigned type = (method & 0xf) | (method & 0x70) << 1 | (method & 0xf80) << 2;

	*o = (struct ref_out){ buf, 20 };
	put16(buf, type | (class & 1u) << 4 | (class & 2u) << 7);
	put16(buf + 2, 0);
	memcpy(buf + 4, cookie, 4);
	memcpy(buf + 8, tid, 12);
}

void ref_put(struct ref_out *o, unsigned type, const void *data, size_t len)
{
	put16(o->buf + o->len, type);
	put16(o->buf + o->len + 2, len);
	memset(o->buf + o->len + 4, 0, padded(len));
	if (len > 0)
		memcpy(o->buf + o->len + 4, data, len);
	o->len += 4 + padded(len);
	put16(o->buf + 2, o->len - 20);
}

void ref_put_addr(struct ref_out *o, unsigned type, const struct tp_addr *addr)
{
	unsigned ip_len = addr->family == TP_IPV6 ? 16 : 4;
	uint8_t value[20] = { 0, ip_len == 16 ? 2 : 1 };

	put16(value + 2, addr->port ^ 0x2112u);
	for (unsigned i = 0; i < ip_len; i++)
		value[4 + i] = addr->ip[i] ^ (i < 4 ? cookie[i] : o->buf[8 + i - 4]);
	ref_put(o, type, value, 4 + ip_len);
}

void ref_sign(struct ref_out *o, bool is_sha256, const struct tp_key *key)
{
	uint8_t mac[32];
	size_t len = integrity_of(o->buf, o->len, is_sha256, key, mac);

	ref_put(o, is_sha256 ? REF_MESSAGE_INTEGRITY_SHA256 : REF_MESSAGE_INTEGRITY, mac, len);
}

void ref_fingerprint(struct ref_out *o)
{
	uint8_t value[4];
	size_t at = o->len;

	/* The length counts it already. */
	put16(o->buf + 2, at + 8 - 20);
	put32(value, fingerprint_of(o->buf, at));
	ref_put(o, REF_FINGERPRINT_ATTR, value, 4);
}
