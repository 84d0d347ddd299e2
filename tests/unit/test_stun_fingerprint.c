/* SPDX-License-Identifier: Apache-2.0 */
/* What counts behind a MESSAGE-INTEGRITY, and the FINGERPRINT at the end. */
#include "rfc5769.h"
#include "stun_message.h"
#include "wire/integrity.h"

/* Append a right FINGERPRINT. */
static void message_fingerprint(struct message *m)
{
	m->raw = realloc(m->raw, m->len + 8);
	tp_be16_put(m->raw + 2, (uint16_t)(m->len + 8 - TP_STUN_HDR_LEN));
	tp_be32_put(m->raw + m->len, 0x80280004);
	tp_be32_put(m->raw + m->len + 4, tp_fingerprint(m->raw, m->len));
	m->len += 8;
	m->parse = tp_stun_decode(m->raw, m->len, &m->msg);
}

/* RFC 8489 section 9: what follows a MESSAGE-INTEGRITY does not count. */
static void after_integrity(void **state)
{
	static const struct {
		const char *what;
		const uint8_t *attrs;
		size_t len;
		bool has_username, has_mi, has_sha256;
		uint8_t n_unknown;
		size_t attrs_end;
	} cases[] = {
		{ "before", A("\x00\x06\x00\x00" MI), true, true, false, 0, 24 },
		{ "after", A(MI "\x00\x06\x00\x00"), false, true, false, 0, 20 },
		{ "unknown after", A(MI "\x7f\x00\x00\x00"), false, true, false, 0, 20 },
		{ "unknown before", A("\x7f\x00\x00\x00" MI), false, true, false, 1, 24 },
		{ "SHA-256 after", A(MI MI_SHA256), false, true, true, 0, 20 },
		{ "SHA-256 alone", A("\x00\x06\x00\x00" MI_SHA256), true, false, true, 0, 24 },
		{ "after SHA-256 alone", A(MI_SHA256 "\x00\x06\x00\x00"), false, false, true, 0,
				20 },
		{ "after both", A(MI MI_SHA256 "\x00\x06\x00\x00"), false, true, true, 0, 20 },
		{ "between both", A(MI "\x00\x06\x00\x00" MI_SHA256), false, true, true, 0, 20 },
		{ "SHA-1 after SHA-256", A(MI_SHA256 MI), false, false, true, 0, 20 },
		{ "neither", A("\x00\x06\x00\x00"), true, false, false, 0, 24 },
	};
	struct message m;
	size_t i, round;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		message_init(&m, 0x0003, cases[i].attrs, cases[i].len);
		/* And again with a FINGERPRINT, which always counts. */
		for (round = 0; round < 2; round++) {
			if (m.parse != TP_STUN_PARSE_OK ||
					tp_stun_has(&m.msg, TP_STUN_USERNAME_AT) !=
							cases[i].has_username ||
					tp_stun_has(&m.msg, TP_STUN_MESSAGE_INTEGRITY_AT) !=
							cases[i].has_mi ||
					tp_stun_has(&m.msg, TP_STUN_MESSAGE_INTEGRITY_SHA256_AT) !=
							cases[i].has_sha256 ||
					tp_stun_has(&m.msg, TP_STUN_FINGERPRINT_AT) !=
							(round == 1) ||
					m.msg.n_unknown != cases[i].n_unknown)
				fail_msg("%s, round %zu", cases[i].what, round);
			if (cases[i].has_mi || cases[i].has_sha256)
				assert_int_equal(m.msg.attrs_end, cases[i].attrs_end);
			else
				assert_int_equal(m.msg.attrs_end, m.len);
			message_fingerprint(&m);
		}
		message_fini(&m);
	}
}

/* RFC 8489 section 14.7 */
static void fingerprint(void **state)
{
	static const struct {
		const char *what;
		const uint8_t *attrs;
		size_t len;
	} wrong[] = {
		{ "wrong value", A("\x80\x28\x00\x04\x00\x00\x00\x00") },
		{ "no value", A("\x80\x28\x00\x00") },
		{ "value of five", A("\x80\x28\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00") },
		{ "not last", A("\x80\x28\x00\x04\x00\x00\x00\x00\x00\x06\x00\x00") },
		{ "wrong after MESSAGE-INTEGRITY", A(MI "\x80\x28\x00\x04\x00\x00\x00\x00") },
	};
	struct message m;
	size_t i;

	(void)state;
	for (i = 0; i < N(wrong); i++) {
		message_init(&m, 0x0001, wrong[i].attrs, wrong[i].len);
		if (m.parse != TP_STUN_PARSE_FINGERPRINT)
			fail_msg("%s", wrong[i].what);
		message_fini(&m);
	}

	message_init(&m, 0x0001, A(SOFTWARE));
	message_fingerprint(&m);
	assert_int_equal(m.parse, TP_STUN_PARSE_OK);
	message_fingerprint(&m);
	assert_int_equal(m.parse, TP_STUN_PARSE_FINGERPRINT);
	message_fini(&m);
}

/* Right in itself, over a header that counts what follows. */
static void fingerprint_is_last(void **state)
{
	struct message m;

	(void)state;
	message_init(&m, 0x0001, A("\x80\x28\x00\x04\x00\x00\x00\x00\x00\x06\x00\x00"));
	tp_be32_put(m.raw + TP_STUN_HDR_LEN + 4, tp_fingerprint(m.raw, TP_STUN_HDR_LEN));
	assert_int_equal(tp_stun_decode(m.raw, m.len, &m.msg), TP_STUN_PARSE_FINGERPRINT);
	message_fini(&m);
}

/* A flipped bit in a length may hide the FINGERPRINT; where it is seen, it tells. */
static void fingerprint_notices_any_flipped_bit(void **state)
{
	uint8_t data[RFC5769_REQUEST_LEN];
	struct tp_stun_msg msg;
	size_t bit;

	(void)state;
	for (bit = 0; bit < 8 * sizeof(data); bit++) {
		memcpy(data, rfc5769_request, sizeof(data));
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (tp_stun_decode(data, sizeof(data), &msg) == TP_STUN_PARSE_OK &&
				tp_stun_has(&msg, TP_STUN_FINGERPRINT_AT))
			fail_msg("bit %zu", bit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_integrity),
		cmocka_unit_test(fingerprint),
		cmocka_unit_test(fingerprint_is_last),
		cmocka_unit_test(fingerprint_notices_any_flipped_bit),
	};

	return cmocka_run_group_tests_name("stun_fingerprint", tests, NULL, NULL);
}
