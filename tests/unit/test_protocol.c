/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that are of no one method: what a datagram is, what comes twice, what belongs elsewhere. */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define PEER "203.0.113.9"

/*
 * RFC 7983 section 7: a first byte of 0-3 is STUN, of 64-79 a TURN channel; DTLS, ZRTP, RTP and the
 * rest MUST be dropped, even with the rest of a STUN header.  RFC 8656 section 12: 0x5000 to 0x7fff
 * are no channels.
 */
static void the_first_byte_says_what_a_datagram_is(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	rig_allocate(r, &c);
	for (unsigned first = 0; first <= UINT8_MAX; first++) {
		/* ChannelData of no bytes; a Binding without the method's other bits */
		uint8_t data[TP_STUN_HDR_LEN] = { (uint8_t)first, 0, 0, 0, 0x21, 0x12, 0xa4, 0x42 };
		enum tp_slow_verdict v = rig_datagram(r, &c, data, sizeof(data));

		enum tp_slow_verdict want = first < 64 ? TP_SLOW_DROP_UNEXPECTED
				: first < 128          ? TP_SLOW_DROP_NO_CHANNEL
						       : TP_SLOW_DROP_NOT_TURN;

		if (v != want)
			fail_msg("%#x: verdict %d", first, (int)v);
		assert_int_equal(r->n_sent, 0);
	}
	assert_int_equal(rig_counts(r).allocations, 1);
}

struct state {
	struct tp_turn_counts counts;
	struct tp_allocation_info info;
	uint64_t deadline_ns;
};

static struct state state_of(const struct rig *r)
{
	struct state s = { .counts = rig_counts(r) };
	uint64_t cursor = 0;

	tp_allocation_info(r->turn, tp_turn_next_allocation(r->turn, &cursor), &s.info);
	s.deadline_ns = s.info.leg[0].deadline_ns;
	return s;
}

/* RFC 8489 section 6.3.1: the same transaction again, the same state and the same answer. */
static void a_request_that_comes_again_changes_nothing(void **state)
{
	static const struct {
		uint16_t method;
		struct rig_attr attrs[3];
	} cases[] = {
		{ TP_STUN_ALLOCATE, { RIG_UDP } },
		{ TP_STUN_REFRESH, { RIG_LIFETIME("\0\0\x07\x08") } },
		{ TP_STUN_CREATE_PERMISSION, { RIG_PEER(PEER, 0) } },
		{ TP_STUN_CHANNEL_BIND, { RIG_CHANNEL("\x40\0"), RIG_PEER(PEER, 9) } },
	};
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	for (size_t i = 0; i < N(cases); i++) {
		uint8_t first[RIG_DATA_MAX];
		struct state before, after;
		struct rig_message m;
		size_t len;

		rig_begin(r, &m, cases[i].method, TP_STUN_REQUEST);
		rig_put(&m, cases[i].attrs);
		rig_sign(&m, &c);
		assert_int_equal(rig_exchange(r, &c, &m), 0);
		before = state_of(r);
		len = r->sent[0].len;
		memcpy(first, r->sent[0].data, len);
		for (int again = 0; again < 3; again++) {
			assert_int_equal(rig_exchange(r, &c, &m), 0);
			assert_int_equal(r->sent[0].len, len);
			assert_memory_equal(r->sent[0].data, first, len);
		}
		after = state_of(r);
		assert_memory_equal(&after.counts, &before.counts, sizeof(after.counts));
		assert_int_equal(after.info.id, before.info.id);
		assert_int_equal(after.info.n_channels, before.info.n_channels);
		assert_true(after.deadline_ns == before.deadline_ns);
	}
}

/* RFC 8656 section 8.2: the deletion has happened, so the same again finds nothing to delete. */
static void a_deletion_that_comes_again_is_437(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);
	struct rig_message m;

	rig_allocate(r, &c);
	rig_begin(r, &m, TP_STUN_REFRESH, TP_STUN_REQUEST);
	rig_put(&m, (const struct rig_attr[]){ RIG_LIFETIME("\0\0\0\0"), RIG_END });
	rig_sign(&m, &c);
	assert_int_equal(rig_exchange(r, &c, &m), 0);
	assert_int_equal(rig_lifetime(r), 0);
	assert_int_equal(rig_exchange(r, &c, &m), TP_STUN_ALLOCATION_MISMATCH);
}

/* RFC 7635 section 4 and RFC 6062 section 4: not spoken here. */
static void what_belongs_to_other_extensions_is_refused(void **state)
{
	static const uint8_t access_token[] = { 0, 0x1b }, connection_id[] = { 0, 0x2a };
	static const uint16_t of_tcp[] = { 0x00a, 0x00b,
		0x00c }; /* Connect, ... Bind, ... Attempt */
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_UNKNOWN(0x001b, "token")),
			TP_STUN_UNKNOWN_ATTRIBUTE);
	assert_memory_equal(r->answer.attr[TP_STUN_UNKNOWN_ATTRIBUTES_AT].data, access_token, 2);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_UNKNOWN(0x002a, "\0\0\0\1")),
			TP_STUN_UNKNOWN_ATTRIBUTE);
	assert_memory_equal(r->answer.attr[TP_STUN_UNKNOWN_ATTRIBUTES_AT].data, connection_id, 2);
	/* THIRD-PARTY-AUTHORIZATION is comprehension-optional */
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_UNKNOWN(0x802e, "server")),
			0);
	for (size_t i = 0; i < N(of_tcp); i++) {
		struct rig_message m;

		rig_begin(r, &m, of_tcp[i], TP_STUN_REQUEST);
		rig_put(&m, (const struct rig_attr[]){ RIG_PEER(PEER, 9), RIG_END });
		rig_sign(&m, &c);
		assert_int_equal(rig_datagram(r, &c, m.buf, tp_stun_finish(&m.b)),
				TP_SLOW_DROP_UNEXPECTED);
	}
}

/* RFC 8489 section 6.3.2 and RFC 8656 section 5: no answer to an indication, whatever is wrong. */
static void an_indication_is_never_answered(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711), other = rig_alice(r, CLIENT, 4712);

	rig_allocate(r, &c);
	assert_int_equal(rig_send(r, &other, RIG_PEER(PEER, 9), RIG_RAW(DATA, "x")),
			TP_SLOW_DROP_NO_ALLOC);
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), RIG_RAW(DATA, "x"),
					 RIG_UNKNOWN(0x7fff, "")),
			TP_SLOW_DROP_UNKNOWN_ATTR);
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), RIG_RAW(DATA, "x")),
			TP_SLOW_DROP_NO_PERM);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), RIG_RAW(DATA, "")), TP_SLOW_RELAYED);
	assert_int_equal(r->sent[0].len, 0);
	/* unknown and optional: ignored */
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), RIG_RAW(DATA, "x"),
					 RIG_UNKNOWN(0xfffe, "?")),
			TP_SLOW_RELAYED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(the_first_byte_says_what_a_datagram_is),
		rig_test(a_request_that_comes_again_changes_nothing),
		rig_test(a_deletion_that_comes_again_is_437),
		rig_test(what_belongs_to_other_extensions_is_refused),
		rig_test(an_indication_is_never_answered),
	};

	return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
