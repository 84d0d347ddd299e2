/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun_build.h"

#include "wire/be.h"
#include "wire/integrity.h"

#include <assert.h>
#include <string.h>

#define ATTR_HDR_LEN 4

/* The header's length field is 16 bits and a multiple of four. */
#define ATTRS_MAX 0xfffc

/* RFC 8489 section 14.8, RFC 8656 section 19 */
static const struct {
	enum tp_stun_err err;
	const char *text;
} reasons[] = {
	{ TP_STUN_BAD_REQUEST, "Bad Request" },
	{ TP_STUN_UNAUTHENTICATED, "Unauthenticated" },
	{ TP_STUN_FORBIDDEN, "Forbidden" },
	{ TP_STUN_UNKNOWN_ATTRIBUTE, "Unknown Attribute" },
	{ TP_STUN_ALLOCATION_MISMATCH, "Allocation Mismatch" },
	{ TP_STUN_STALE_NONCE, "Stale Nonce" },
	{ TP_STUN_FAMILY_UNSUPPORTED, "Address Family not Supported" },
	{ TP_STUN_WRONG_CREDENTIALS, "Wrong Credentials" },
	{ TP_STUN_TRANSPORT_UNSUPPORTED, "Unsupported Transport Protocol" },
	{ TP_STUN_PEER_FAMILY_MISMATCH, "Peer Address Family Mismatch" },
	{ TP_STUN_QUOTA_REACHED, "Allocation Quota Reached" },
	{ TP_STUN_SERVER_ERROR, "Server Error" },
	{ TP_STUN_INSUFFICIENT_CAPACITY, "Insufficient Capacity" },
};

static const char *reason(enum tp_stun_err err)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].err == err)
			return reasons[i].text;
	return "";
}

/* Append an attribute with zeroes for a value.  @return where to write len bytes; NULL: no room */
static uint8_t *reserve(struct tp_stun_builder *b, uint16_t type, size_t len)
{
	uint8_t *p = b->buf + b->len;
	size_t room = b->room - b->len, size;

	/* Rounding up a huge len may wrap around; then len itself is too much. */
	size = ATTR_HDR_LEN + ((len + 3) & ~(size_t)3);
	if (b->is_full || len > ATTRS_MAX || size > room ||
			b->len + size > TP_STUN_HDR_LEN + ATTRS_MAX) {
		b->is_full = true;
		return NULL;
	}
	tp_be16_put(p, type);
	tp_be16_put(p + 2, (uint16_t)len);
	memset(p + ATTR_HDR_LEN, 0, size - ATTR_HDR_LEN);
	b->len += size;
	tp_be16_put(b->buf + 2, (uint16_t)(b->len - TP_STUN_HDR_LEN));
	return p + ATTR_HDR_LEN;
}

void tp_stun_begin(struct tp_stun_builder *b, uint8_t *buf, size_t room, uint16_t method,
		enum tp_stun_class class, const uint8_t *tid)
{
	uint16_t type = (method & 0xf) | (method & 0x70) << 1 | (method & 0xf80) << 2;

	assert(method <= 0xfff && class <= TP_STUN_ERROR);
	type |= (class & 1) << 4 | (class & 2) << 7;
	*b = (struct tp_stun_builder){ .buf = buf, .room = room };
	if (room < TP_STUN_HDR_LEN) {
		b->is_full = true;
		return;
	}
	tp_be16_put(buf, type);
	tp_be16_put(buf + 2, 0);
	tp_be32_put(buf + 4, TP_STUN_COOKIE);
	memcpy(buf + 8, tid, TP_STUN_TID_LEN);
	b->len = TP_STUN_HDR_LEN;
}

void tp_stun_put(struct tp_stun_builder *b, enum tp_stun_attr type, const void *data, size_t len)
{
	uint8_t *value = reserve(b, type, len);

	if (value != NULL && len > 0)
		memcpy(value, data, len);
}

void tp_stun_put_u32(struct tp_stun_builder *b, enum tp_stun_attr type, uint32_t value)
{
	uint8_t *p = reserve(b, type, 4);

	if (p != NULL)
		tp_be32_put(p, value);
}

void tp_stun_put_u8_of4(struct tp_stun_builder *b, enum tp_stun_attr type, uint8_t value)
{
	tp_stun_put_u32(b, type, (uint32_t)value << 24);
}

void tp_stun_put_channel(struct tp_stun_builder *b, uint16_t number)
{
	tp_stun_put_u32(b, TP_STUN_ATTR_CHANNEL_NUMBER, (uint32_t)number << 16);
}

void tp_stun_put_xor_addr(
		struct tp_stun_builder *b, enum tp_stun_attr type, const struct tp_addr *addr)
{
	size_t i, n = tp_addr_ip_bytes(addr);
	uint8_t *p = reserve(b, type, 4 + n);
	const uint8_t *mask = b->buf + 4; /* cookie, then transaction id */

	assert(addr->family == TP_IPV4 || addr->family == TP_IPV6);
	if (p == NULL)
		return;
	p[1] = addr->family == TP_IPV4 ? TP_STUN_FAMILY_IPV4 : TP_STUN_FAMILY_IPV6;
	tp_be16_put(p + 2, addr->port ^ (uint16_t)(TP_STUN_COOKIE >> 16));
	for (i = 0; i < n; i++)
		p[4 + i] = addr->ip[i] ^ mask[i];
}

/* ERROR-CODE and ADDRESS-ERROR-CODE differ in the first byte, which is 0 in the former. */
static void put_error(struct tp_stun_builder *b, enum tp_stun_attr type, uint8_t first,
		enum tp_stun_err err, const char *text)
{
	size_t len = strlen(text);
	uint8_t *p = reserve(b, type, 4 + len);

	assert(err >= 300 && err <= 699);
	if (p == NULL)
		return;
	p[0] = first;
	p[2] = (uint8_t)(err / 100);
	p[3] = (uint8_t)(err % 100);
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): its length ends it */
	memcpy(p + 4, text, len);
}

void tp_stun_put_error(struct tp_stun_builder *b, enum tp_stun_err err)
{
	put_error(b, TP_STUN_ATTR_ERROR_CODE, 0, err, reason(err));
}

void tp_stun_put_error_code(struct tp_stun_builder *b, enum tp_stun_err err)
{
	put_error(b, TP_STUN_ATTR_ERROR_CODE, 0, err, "");
}

void tp_stun_put_address_error(struct tp_stun_builder *b, uint8_t family, enum tp_stun_err err)
{
	put_error(b, TP_STUN_ATTR_ADDRESS_ERROR_CODE, family, err, reason(err));
}

void tp_stun_put_unknown(struct tp_stun_builder *b, const uint16_t types[], size_t n)
{
	uint8_t *p = reserve(b, TP_STUN_ATTR_UNKNOWN_ATTRIBUTES, 2 * n);
	size_t i;

	for (i = 0; p != NULL && i < n; i++)
		tp_be16_put(p + 2 * i, types[i]);
}

void tp_stun_put_algorithm(struct tp_stun_builder *b, enum tp_password_algorithm algorithm)
{
	tp_stun_put_u32(b, TP_STUN_ATTR_PASSWORD_ALGORITHM, (uint32_t)algorithm << 16);
}

void tp_stun_put_integrity(struct tp_stun_builder *b, const uint8_t *key, size_t key_len)
{
	size_t upto = b->len;
	uint8_t *value = reserve(b, TP_STUN_ATTR_MESSAGE_INTEGRITY, TP_STUN_MI_LEN);

	if (value != NULL)
		tp_integrity_compute(b->buf, upto, key, key_len, value);
}

void tp_stun_put_integrity_sha256(struct tp_stun_builder *b, const uint8_t *key, size_t key_len)
{
	size_t upto = b->len;
	uint8_t *value = reserve(b, TP_STUN_ATTR_MESSAGE_INTEGRITY_SHA256, TP_STUN_MI_SHA256_LEN);

	if (value != NULL)
		tp_integrity_sha256_compute(b->buf, upto, key, key_len, value);
}

void tp_stun_put_fingerprint(struct tp_stun_builder *b)
{
	size_t upto = b->len;
	uint8_t *value = reserve(b, TP_STUN_ATTR_FINGERPRINT, 4);

	if (value != NULL)
		tp_be32_put(value, tp_fingerprint(b->buf, upto));
}

size_t tp_stun_finish(struct tp_stun_builder *b)
{
	return b->is_full ? 0 : b->len;
}
