/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stun_message - STUN messages as bytes, decoded: a header in front of attributes that are written
 * out, so that a test shows what is on the wire.
 */
#ifndef TP_TESTS_STUN_MESSAGE_H
#define TP_TESTS_STUN_MESSAGE_H

#include "wire/stun.h"

#include "wire/be.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* Attributes in a string: pointer and length. */
#define A(text) (const uint8_t *)(text), sizeof(text) - 1

#define TID "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"
#define MI "\x00\x08\x00\x14twenty bytes of HMAC"
#define MI_SHA256 "\x00\x1c\x00\x20thirty-two bytes of HMAC-SHA256."
#define SOFTWARE "\x80\x22\x00\x04soft"

struct message {
	struct tp_stun_msg msg;
	enum tp_stun_parse parse;
	uint8_t *raw; /* exact-size: one byte of over-read is an ASan report */
	size_t len;
};

static inline void message_init(struct message *m, uint16_t type, const uint8_t *attrs, size_t len)
{
	m->len = TP_STUN_HDR_LEN + len;
	m->raw = malloc(m->len);
	tp_be16_put(m->raw, type);
	tp_be16_put(m->raw + 2, (uint16_t)len);
	tp_be32_put(m->raw + 4, TP_STUN_COOKIE);
	memcpy(m->raw + 8, TID, TP_STUN_TID_LEN);
	memcpy(m->raw + TP_STUN_HDR_LEN, attrs, len);
	m->parse = tp_stun_decode(m->raw, m->len, &m->msg);
}

static inline void message_fini(struct message *m)
{
	free(m->raw);
}

#endif
