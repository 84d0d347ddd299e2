/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any datagram into the STUN decoder.  What it accepts goes through every accessor, and is built
 * anew from what was decoded; the copy must decode to the same.
 */
#include "fuzz.h"
#include "wire/integrity.h"
#include "wire/stun.h"
#include "wire/stun_build.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t key[] = "a key";

static const uint16_t types[] = {
#define X(name, type) type,
	TP_STUN_ATTRS(X)
#undef X
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static bool is_computed(size_t at)
{
	return at == TP_STUN_MESSAGE_INTEGRITY_AT || at == TP_STUN_MESSAGE_INTEGRITY_SHA256_AT ||
			at == TP_STUN_FINGERPRINT_AT;
}

static void check_value(const struct tp_stun_msg *msg, const struct tp_stun_value *value)
{
	must(value->data >= msg->raw + TP_STUN_HDR_LEN);
	must(value->data + value->len <= msg->raw + msg->len);
}

static void check_accessors(const struct tp_stun_msg *msg)
{
	struct tp_addr addr;
	uint16_t u16;
	uint32_t u32;
	uint8_t u8;
	size_t at;
	bool r;

	for (at = 0; at < TP_STUN_ATTR_COUNT; at++) {
		if (tp_stun_has(msg, at))
			check_value(msg, &msg->attr[at]);
		tp_stun_get_u32(msg, at, &u32);
		tp_stun_get_u8_of4(msg, at, &u8);
		if (tp_stun_get_xor_addr(msg, at, &addr) == 0)
			must(addr.family == TP_IPV4 || addr.family == TP_IPV6);
	}
	tp_stun_get_channel(msg, &u16);
	tp_stun_get_even_port(msg, &r);
	if (tp_stun_get_error(msg, &u16) == 0)
		must(u16 >= 300 && u16 <= 699);
	tp_integrity_check(msg, key, sizeof(key));
}

/* The first that the walk finds is the one that counts; and the walk ends. */
static void check_walk(const struct tp_stun_msg *msg)
{
	struct tp_stun_value value;
	size_t at, n, pos;

	for (at = 0; at < TP_STUN_ATTR_COUNT; at++) {
		pos = 0;
		for (n = 0; tp_stun_next(msg, (enum tp_stun_attr)types[at], &pos, &value); n++) {
			check_value(msg, &value);
			must(n > 0 || value.data == msg->attr[at].data);
		}
		must(n <= msg->len / 4);
		must(n > 0 || !tp_stun_has(msg, at) || is_computed(at));
	}
}

static void check_same(const struct tp_stun_msg *a, const struct tp_stun_msg *b)
{
	size_t at;

	must(a->method == b->method && a->class == b->class);
	must(memcmp(a->tid, b->tid, TP_STUN_TID_LEN) == 0);
	for (at = 0; at < TP_STUN_ATTR_COUNT; at++) {
		if (is_computed(at))
			continue;
		must(tp_stun_has(a, at) == tp_stun_has(b, at));
		must(a->attr[at].len == b->attr[at].len);
		if (a->attr[at].len > 0)
			must(memcmp(a->attr[at].data, b->attr[at].data, a->attr[at].len) == 0);
	}
	must(a->n_unknown == b->n_unknown);
	must(memcmp(a->unknown, b->unknown, sizeof(a->unknown)) == 0);
}

static void check_built_anew(const struct tp_stun_msg *msg)
{
	size_t room = msg->len + 32; /* MESSAGE-INTEGRITY and FINGERPRINT take 24 and 8 */
	uint8_t *buf = malloc(room);
	struct tp_stun_builder b;
	struct tp_stun_msg copy;
	size_t at, len;

	must(buf != NULL);
	tp_stun_begin(&b, buf, room, msg->method, msg->class, msg->tid);
	for (at = 0; at < msg->n_unknown; at++)
		tp_stun_put(&b, (enum tp_stun_attr)msg->unknown[at], NULL, 0);
	for (at = 0; at < TP_STUN_ATTR_COUNT; at++)
		if (tp_stun_has(msg, at) && !is_computed(at))
			tp_stun_put(&b, (enum tp_stun_attr)types[at], msg->attr[at].data,
					msg->attr[at].len);
	tp_stun_put_integrity(&b, key, sizeof(key));
	tp_stun_put_fingerprint(&b);
	len = tp_stun_finish(&b);

	/* The one reason not to fit: more than the length field can say. */
	if (len == 0) {
		must(room > TP_STUN_HDR_LEN + 0xfffc);
	} else {
		must(tp_stun_decode(buf, len, &copy) == TP_STUN_PARSE_OK);
		must(tp_integrity_check(&copy, key, sizeof(key)) == 0);
		check_same(msg, &copy);
	}
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Exact-size copy: one byte of over-read is an ASan report. */
	uint8_t *in = malloc(size > 0 ? size : 1);
	struct tp_stun_msg msg;

	must(in != NULL);
	memcpy(in, data, size);
	if (tp_stun_decode(in, size, &msg) == TP_STUN_PARSE_OK) {
		check_accessors(&msg);
		check_walk(&msg);
		check_built_anew(&msg);
	}
	free(in);
	return 0;
}
