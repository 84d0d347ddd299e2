/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun.h"

#include "wire/be.h"
#include "wire/integrity.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define ATTR_HDR_LEN 4
#define OPTIONAL 0x8000 /* comprehension-optional attributes have this bit set */

/*
 * A slot for every attribute type that we know: those below 0x40 of either half of the type space.
 */
#define SLOT(type) (((type) >> 15) << 6 | (0x3f & (type)))
#define HAS_SLOT(type) ((0x7fc0 & (type)) == 0)

#define X(name, type) _Static_assert(HAS_SLOT(type), #name " does not fit the table");
TP_STUN_ATTRS(X)
#undef X

/* Index into tp_stun_msg.attr, plus one; 0: unknown. */
static const uint8_t slots[128] = {
#define X(name, type) [SLOT(type)] = TP_STUN_##name##_AT + 1,
	TP_STUN_ATTRS(X)
#undef X
};

struct attr {
	uint16_t type;
	struct tp_stun_value value;
	size_t next; /* offset of the attribute after this one */
};

static int known_index(uint16_t type)
{
	return HAS_SLOT(type) ? slots[SLOT(type)] - 1 : -1;
}

/* Read the attribute at an offset; false when its value does not fit. */
static bool read_attr(const uint8_t *raw, size_t len, size_t at, struct attr *out)
{
	size_t room = len - at, padded;

	assert(at < len && at % 4 == 0 && len % 4 == 0);
	out->type = tp_be16_get(raw + at);
	out->value.len = tp_be16_get(raw + at + 2);
	out->value.data = raw + at + ATTR_HDR_LEN;
	padded = ((size_t)out->value.len + 3) & ~(size_t)3;
	out->next = at + ATTR_HDR_LEN + padded;
	return padded <= room - ATTR_HDR_LEN;
}

/* RFC 8489 section 6.3; a datagram is one message, so that its length is known as well. */
static bool is_stun(const uint8_t *buf, size_t len)
{
	if (len < TP_STUN_HDR_LEN || (buf[0] & 0xc0) != 0)
		return false;
	if (tp_be32_get(buf + 4) != TP_STUN_COOKIE)
		return false;
	return len % 4 == 0 && tp_be16_get(buf + 2) == len - TP_STUN_HDR_LEN;
}

/* Section 5: the class is bits 4 and 8 of the message type, the method the other twelve. */
static void read_header(const uint8_t *buf, size_t len, struct tp_stun_msg *out)
{
	uint16_t type = tp_be16_get(buf);

	memset(out, 0, sizeof(*out));
	out->raw = buf;
	out->len = len;
	out->method = (type & 0xf) | (type & 0xe0) >> 1 | (type & 0x3e00) >> 2;
	out->class = (type >> 4 & 1) | (type >> 7 & 2);
	out->tid = buf + 8;
	out->attrs_end = (uint32_t)len;
}

static bool is_fingerprint_right(const struct tp_stun_msg *msg, const struct attr *a)
{
	size_t at = (size_t)(a->value.data - msg->raw) - ATTR_HDR_LEN;

	if (a->value.len != 4 || a->next != msg->len)
		return false;
	return tp_be32_get(a->value.data) == tp_fingerprint(msg->raw, at);
}

static bool is_integrity(uint16_t type)
{
	return type == TP_STUN_ATTR_MESSAGE_INTEGRITY ||
			type == TP_STUN_ATTR_MESSAGE_INTEGRITY_SHA256;
}

/*
 * RFC 8489 section 9: what may follow the first of the two integrities.  MESSAGE-INTEGRITY may not
 * follow the other; a second one of a kind is no first occurrence.
 */
static bool is_tail(uint16_t type)
{
	return type == TP_STUN_ATTR_MESSAGE_INTEGRITY_SHA256 || type == TP_STUN_ATTR_FINGERPRINT;
}

static void note_unknown(struct tp_stun_msg *msg, uint16_t type)
{
	uint8_t i;

	if (type & OPTIONAL)
		return;
	for (i = 0; i < msg->n_unknown; i++)
		if (msg->unknown[i] == type)
			return;
	if (msg->n_unknown < TP_STUN_UNKNOWN_MAX)
		msg->unknown[msg->n_unknown++] = type;
}

/* Only the first occurrence of an attribute counts (section 14). */
static void note_attr(struct tp_stun_msg *msg, const struct attr *a)
{
	int at = known_index(a->type);

	if (at < 0)
		note_unknown(msg, a->type);
	else if (msg->attr[at].data == NULL)
		msg->attr[at] = a->value;
}

enum tp_stun_parse tp_stun_decode(const uint8_t *buf, size_t len, struct tp_stun_msg *out)
{
	struct attr a;
	size_t at;

	if (!is_stun(buf, len))
		return TP_STUN_PARSE_NOT_STUN;
	read_header(buf, len, out);
	for (at = TP_STUN_HDR_LEN; at < len; at = a.next) {
		if (!read_attr(buf, len, at, &a))
			return TP_STUN_PARSE_MALFORMED;
		if (a.type == TP_STUN_ATTR_FINGERPRINT && !is_fingerprint_right(out, &a))
			return TP_STUN_PARSE_FINGERPRINT;
		if (at > out->attrs_end && !is_tail(a.type))
			continue;
		if (at < out->attrs_end && is_integrity(a.type))
			out->attrs_end = (uint32_t)at;
		note_attr(out, &a);
	}
	assert(at == len);
	return TP_STUN_PARSE_OK;
}

/* An attribute whose definition fixes its length. */
static int get_fixed(const struct tp_stun_msg *msg, enum tp_stun_index at, uint16_t len,
		const uint8_t **data)
{
	const struct tp_stun_value *value = &msg->attr[at];

	if (value->data == NULL)
		return -ENOENT;
	if (value->len != len)
		return -EINVAL;
	*data = value->data;
	return 0;
}

int tp_stun_get_u32(const struct tp_stun_msg *msg, enum tp_stun_index at, uint32_t *out)
{
	const uint8_t *data;
	int err = get_fixed(msg, at, 4, &data);

	if (err == 0)
		*out = tp_be32_get(data);
	return err;
}

int tp_stun_get_channel(const struct tp_stun_msg *msg, uint16_t *out)
{
	const uint8_t *data;
	int err = get_fixed(msg, TP_STUN_CHANNEL_NUMBER_AT, 4, &data);

	if (err == 0)
		*out = tp_be16_get(data);
	return err;
}

int tp_stun_get_u8_of4(const struct tp_stun_msg *msg, enum tp_stun_index at, uint8_t *out)
{
	const uint8_t *data;
	int err = get_fixed(msg, at, 4, &data);

	if (err == 0)
		*out = data[0];
	return err;
}

int tp_stun_get_even_port(const struct tp_stun_msg *msg, bool *out)
{
	const uint8_t *data;
	int err = get_fixed(msg, TP_STUN_EVEN_PORT_AT, 1, &data);

	if (err == 0)
		*out = (data[0] & 0x80) != 0;
	return err;
}

int tp_stun_get_xor_addr(const struct tp_stun_msg *msg, enum tp_stun_index at, struct tp_addr *out)
{
	if (msg->attr[at].data == NULL)
		return -ENOENT;
	return tp_stun_xor_addr_value(msg, &msg->attr[at], out);
}

bool tp_stun_next(const struct tp_stun_msg *msg, enum tp_stun_attr type, size_t *pos,
		struct tp_stun_value *out)
{
	size_t at = *pos != 0 ? *pos : TP_STUN_HDR_LEN;
	struct attr a;

	for (; at < msg->attrs_end && read_attr(msg->raw, msg->attrs_end, at, &a); at = a.next) {
		if (a.type != type)
			continue;
		*pos = a.next;
		*out = a.value;
		return true;
	}
	*pos = msg->attrs_end;
	return false;
}

static int unmask_addr(const struct tp_stun_value *value, uint16_t port_mask,
		const uint8_t mask[16], struct tp_addr *out)
{
	const uint8_t *data = value->data;
	uint8_t ip[16];
	uint16_t port;
	size_t i;

	/* zero, family, port, then the address: 4 + 4 or 4 + 16 bytes */
	if (value->len != 8 && value->len != 20)
		return -EINVAL;
	port = tp_be16_get(data + 2) ^ port_mask;
	for (i = 0; i < (size_t)value->len - 4; i++)
		ip[i] = data[4 + i] ^ mask[i];

	if (data[1] == TP_STUN_FAMILY_IPV4 && value->len == 8)
		*out = tp_addr_v4(ip, port);
	else if (data[1] == TP_STUN_FAMILY_IPV6 && value->len == 20)
		*out = tp_addr_v6(ip, port);
	else
		return -EINVAL;
	return 0;
}

int tp_stun_xor_addr_value(const struct tp_stun_msg *msg, const struct tp_stun_value *value,
		struct tp_addr *out)
{
	/* The cookie, then the transaction id. */
	return unmask_addr(value, (uint16_t)(TP_STUN_COOKIE >> 16), msg->raw + 4, out);
}

int tp_stun_addr_value(const struct tp_stun_value *value, struct tp_addr *out)
{
	static const uint8_t zero[16];

	return unmask_addr(value, 0, zero, out);
}

int tp_stun_get_error(const struct tp_stun_msg *msg, uint16_t *out)
{
	const struct tp_stun_value *value = &msg->attr[TP_STUN_ERROR_CODE_AT];
	uint8_t hundreds, number;

	if (value->data == NULL)
		return -ENOENT;
	if (value->len < 4)
		return -EINVAL;
	hundreds = value->data[2] & 7;
	number = value->data[3];
	if (hundreds < 3 || hundreds > 6 || number > 99)
		return -EINVAL;
	*out = (uint16_t)(hundreds * 100 + number);
	return 0;
}
