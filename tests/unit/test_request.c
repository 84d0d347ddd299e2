/* SPDX-License-Identifier: Apache-2.0 */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define CLIENT6 "2001:db8:7::7"

/* ---- Binding (RFC 8489 section 12) ---- */

static uint16_t bind_with(struct rig *r, const struct rig_client *c, const struct rig_attr attrs[])
{
	struct rig_message m;

	rig_begin(r, &m, TP_STUN_BINDING, TP_STUN_REQUEST);
	rig_put(&m, attrs);
	return rig_exchange(r, c, &m);
}

/* RFC 8489 sections 6.3.1.1 and 12 */
static void binding_tells_the_source_address_without_credentials(void **state)
{
	static const char *const ips[] = { CLIENT, CLIENT6 };
	struct rig *r = *state;

	for (size_t i = 0; i < N(ips); i++) {
		const struct rig_client c = rig_client_of(ips[i], 4711, "", "");
		struct tp_addr mapped;

		assert_int_equal(bind_with(r, &c, (const struct rig_attr[]){ RIG_END }), 0);
		assert_int_equal(tp_stun_get_xor_addr(&r->answer, TP_STUN_XOR_MAPPED_ADDRESS_AT,
						 &mapped),
				0);
		assert_memory_equal(&mapped, &c.tuple.client, sizeof(mapped));
	}
}

/* RFC 8489 section 6.3.1 */
static void binding_lists_the_attributes_it_does_not_know(void **state)
{
	static const uint8_t listed[] = { 0x00, 0x03, 0x7f, 0xff };
	struct rig *r = *state;
	const struct rig_client c = rig_client_of(CLIENT, 4711, "", "");
	const struct rig_attr attrs[] = {
		RIG_UNKNOWN(0x0003, "\0\0\0\6"), /* CHANGE-REQUEST of RFC 5780 */
		RIG_UNKNOWN(0x8fff, "optional"),
		RIG_UNKNOWN(0x7fff, ""),
		RIG_UNKNOWN(0x0003, "again"),
		RIG_END,
	};

	assert_int_equal(bind_with(r, &c, attrs), TP_STUN_UNKNOWN_ATTRIBUTE);
	assert_int_equal(r->answer.attr[TP_STUN_UNKNOWN_ATTRIBUTES_AT].len, sizeof(listed));
	assert_memory_equal(
			r->answer.attr[TP_STUN_UNKNOWN_ATTRIBUTES_AT].data, listed, sizeof(listed));
}

/*
 * RFC 8489 section 6.3: known but unexpected attributes SHOULD be ignored, whatever is in them;
 * comprehension-required ones too, since section 6.3.1 has 420 for unknown ones only.
 */
static void what_only_answers_have_is_ignored_in_a_request(void **state)
{
	static const struct rig_attr odd[][2] = {
		{ RIG_RAW(MAPPED_ADDRESS, "\0\1\0\1\1\2\3\4"), RIG_END },
		{ RIG_RAW(MAPPED_ADDRESS, "x"), RIG_END },
		{ RIG_RAW(XOR_MAPPED_ADDRESS, ""), RIG_END },
		{ RIG_RAW(ERROR_CODE, "\0\0\4\1"), RIG_END },
		{ RIG_RAW(UNKNOWN_ATTRIBUTES, "\0\1"), RIG_END },
		{ RIG_RAW(XOR_RELAYED_ADDRESS, "\0\1\0\1\1\2\3\4"), RIG_END },
		{ RIG_RAW(RESPONSE_ORIGIN, "\0\1\0\1\1\2\3\4"), RIG_END },
		{ RIG_RAW(OTHER_ADDRESS, "\0\1\0\1\1\2\3\4"), RIG_END },
		{ RIG_RAW(ALTERNATE_SERVER, "\0\1\0\1\1\2\3\4"), RIG_END },
	};
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	rig_allocate(r, &c);
	for (size_t i = 0; i < N(odd); i++) {
		assert_int_equal(bind_with(r, &c, odd[i]), 0);
		assert_true(tp_stun_has(&r->answer, TP_STUN_XOR_MAPPED_ADDRESS_AT));
		assert_int_equal(rig_request(r, &c, TP_STUN_REFRESH, odd[i]), 0);
		assert_int_equal(rig_ask(r, &c, TP_STUN_CREATE_PERMISSION, odd[i][0],
						 RIG_PEER("203.0.113.1", 0)),
				0);
	}
}

/* RFC 8489 sections 6.3 and 6.3.1.1 */
static void fingerprint_is_answered_with_fingerprint(void **state)
{
	const struct rig_client c = rig_client_of(CLIENT, 4711, "", "");
	struct rig *r = *state;
	struct rig_message m;

	rig_begin(r, &m, TP_STUN_BINDING, TP_STUN_REQUEST);
	tp_stun_put_fingerprint(&m.b);
	assert_int_equal(rig_exchange(r, &c, &m), 0);
	assert_true(tp_stun_has(&r->answer, TP_STUN_FINGERPRINT_AT));
	m.buf[m.b.len - 1] ^= 1;
	assert_int_equal(rig_datagram(r, &c, m.buf, m.b.len), TP_SLOW_DROP_FINGERPRINT);
}

static void an_answer_leaves_with_a_full_ttl(void **state)
{
	const struct rig_client c = rig_client_of(CLIENT, 4711, "", "");
	struct rig *r = *state;

	assert_int_equal(bind_with(r, &c, (const struct rig_attr[]){ RIG_END }), 0);
	assert_int_equal(r->sent[0].meta.ttl, 64);
	assert_int_equal(r->sent[0].meta.tclass, 0);
	assert_false(r->sent[0].meta.is_df);
}

static void an_answer_that_can_not_be_sent_is_counted(void **state)
{
	const struct rig_client c = rig_client_of(CLIENT, 4711, "", "");
	struct rig *r = *state;
	struct rig_message m;

	r->send_rc = -ENOBUFS;
	rig_begin(r, &m, TP_STUN_BINDING, TP_STUN_REQUEST);
	assert_int_equal(rig_datagram(r, &c, m.buf, m.b.len), TP_SLOW_DROP_SEND);
}

/* ---- what is no request (RFC 8489 section 6.3: silently discarded) ---- */

static void what_is_not_expected_is_discarded(void **state)
{
	static const struct {
		uint16_t method;
		enum tp_stun_class class;
	} cases[] = {
		{ 0x000, TP_STUN_REQUEST },
		{ 0x002, TP_STUN_REQUEST },
		{ TP_STUN_SEND, TP_STUN_REQUEST },
		{ TP_STUN_DATA, TP_STUN_REQUEST },
		{ 0xfff, TP_STUN_REQUEST },
		{ TP_STUN_BINDING, TP_STUN_INDICATION },
		{ TP_STUN_ALLOCATE, TP_STUN_INDICATION },
		{ TP_STUN_DATA, TP_STUN_INDICATION },
		{ TP_STUN_BINDING, TP_STUN_SUCCESS },
		{ TP_STUN_ALLOCATE, TP_STUN_ERROR },
		{ TP_STUN_SEND, TP_STUN_ERROR },
	};
	const struct rig_client c = rig_client_of(CLIENT, 4711, "", "");

	for (size_t i = 0; i < N(cases); i++) {
		struct rig_message m;

		rig_begin(*state, &m, cases[i].method, cases[i].class);
		if (rig_datagram(*state, &c, m.buf, m.b.len) != TP_SLOW_DROP_UNEXPECTED)
			fail_msg("method %#x class %d", cases[i].method, cases[i].class);
	}
}

static void what_is_not_stun_is_discarded(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
		enum tp_slow_verdict want;
	} cases[] = {
		{ "nothing", "", 0, TP_SLOW_DROP_NOT_TURN },
		{ "one byte", "\0", 1, TP_SLOW_DROP_NOT_TURN },
		{ "DTLS", "\x16\xfe\xfd", 3, TP_SLOW_DROP_NOT_TURN },
		{ "RTP", "\x80\0\0\0", 4, TP_SLOW_DROP_NOT_TURN },
		{ "no cookie", "\0\1\0\0aaaaaaaaaaaaaaaa", 20, TP_SLOW_DROP_NOT_TURN },
		{ "attribute beyond the end",
				"\0\1\0\4\x21\x12\xa4\x42"
				"aaaaaaaaaaaa\0\6\0\1",
				24, TP_SLOW_DROP_MALFORMED },
		{ "ChannelData cut in its header", "\x40\0\0", 3, TP_SLOW_DROP_CHANNEL_DATA },
		{ "ChannelData cut in its data", "\x40\0\0\1", 4, TP_SLOW_DROP_CHANNEL_DATA },
		{ "ChannelData without allocation", "\x40\0\0\0", 4, TP_SLOW_DROP_NO_ALLOC },
	};
	const struct rig_client c = rig_client_of(CLIENT, 4711, "", "");

	for (size_t i = 0; i < N(cases); i++)
		if (rig_datagram(*state, &c, cases[i].bytes, cases[i].len) != cases[i].want)
			fail_msg("%s", cases[i].what);
}

/* ---- authentication (RFC 8489 section 9.2.4, in its order) ---- */

static const uint16_t authenticated[] = { TP_STUN_ALLOCATE, TP_STUN_REFRESH,
	TP_STUN_CREATE_PERMISSION, TP_STUN_CHANNEL_BIND };

/*
 * RFC 8489 sections 6.3.1 and 9.2.4: unauthenticated requests are cheap, small and leave nothing
 * behind, even with faults.
 */
static void without_integrity_every_method_challenges(void **state)
{
	struct rig_client c = rig_client_of(CLIENT, 4711, "", "");
	struct rig *r = *state;

	for (size_t i = 0; i < N(authenticated); i++) {
		struct rig_message m;

		rig_begin(r, &m, authenticated[i], TP_STUN_REQUEST);
		tp_stun_put(&m.b, TP_STUN_ATTR_USERNAME, "alice", 5);
		tp_stun_put(&m.b, (enum tp_stun_attr)0x7abc, "", 0);
		assert_int_equal(rig_exchange(r, &c, &m), TP_STUN_UNAUTHENTICATED);
		rig_keep_challenge(r, &c);
		assert_string_equal(c.realm, RIG_REALM);
		assert_false(tp_stun_has(&r->answer, TP_STUN_USERNAME_AT));
		assert_false(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_AT));
	}
	assert_int_equal(rig_counts(r).allocations, 0);
	assert_true(tp_turn_next_ns(r->turn) == UINT64_MAX);
}

/* RFC 8489 section 9.2.4, second item */
static void an_attribute_of_the_credentials_missing_is_400(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	for (size_t i = 0; i < N(rig_incomplete) * N(authenticated); i++) {
		struct rig_message m;
		uint8_t key[TP_KEY_MD5_LEN];

		rig_begin(r, &m, authenticated[i / N(rig_incomplete)], TP_STUN_REQUEST);
		rig_put_credentials(&m, &c, rig_incomplete[i % N(rig_incomplete)]);
		rig_key(&c, key);
		tp_stun_put_integrity(&m.b, key, sizeof(key));
		assert_int_equal(rig_exchange(r, &c, &m), TP_STUN_BAD_REQUEST);
		/* SHOULD NOT contain them; can not contain MESSAGE-INTEGRITY */
		assert_false(tp_stun_has(&r->answer, TP_STUN_NONCE_AT));
		assert_false(tp_stun_has(&r->answer, TP_STUN_REALM_AT));
		assert_false(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_AT));
	}
}

/* RFC 8489 section 9: what follows MESSAGE-INTEGRITY is not protected by it, so it does not count.
 */
static void credentials_behind_the_integrity_are_missing(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);
	uint8_t key[TP_KEY_MD5_LEN];
	struct rig_message m;

	rig_begin(r, &m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
	rig_key(&c, key);
	tp_stun_put_integrity(&m.b, key, sizeof(key));
	rig_sign(&m, &c);
	assert_int_equal(rig_exchange(r, &c, &m), TP_STUN_BAD_REQUEST);
}

/* RFC 8489 section 9.2.4: 401 with REALM, NONCE and PASSWORD-ALGORITHMS. */
static void wrong_credentials_are_challenged_again(void **state)
{
	static const struct {
		const char *what, *user, *password, *realm;
	} cases[] = {
		{ "password", "alice", "guess", RIG_REALM },
		{ "user", "carol", "wonder", RIG_REALM },
		{ "empty user", "", "wonder", RIG_REALM },
		{ "another realm's key", "alice", "wonder", "example.com" },
		{ "expired", "1600000000:carol", "", RIG_REALM },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases) * N(authenticated); i++) {
		struct rig_client c = rig_alice(r, CLIENT, 4711);

		snprintf(c.user, sizeof(c.user), "%s", cases[i % N(cases)].user);
		snprintf(c.password, sizeof(c.password), "%s", cases[i % N(cases)].password);
		snprintf(c.realm, sizeof(c.realm), "%s", cases[i % N(cases)].realm);
		c.nonce_len = 0; /* a wrong nonce comes second */
		if (rig_ask(r, &c, authenticated[i / N(cases)], RIG_UDP) != TP_STUN_UNAUTHENTICATED)
			fail_msg("%s", cases[i % N(cases)].what);
		rig_keep_challenge(r, &c);
		assert_false(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_AT));
	}
}

/* RFC 8489 section 9.2.4: 438 with REALM, NONCE and PASSWORD-ALGORITHMS. */
static void a_stale_nonce_is_told_with_a_fresh_one(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < N(authenticated); i++) {
		struct rig_client c = rig_alice(r, CLIENT, 4711);

		rig_sleep(r, TP_TURN_NONCE_SEC);
		/* before unknown attributes (section 6.3) and before the method's own checks */
		assert_int_equal(rig_ask(r, &c, authenticated[i], RIG_UNKNOWN(0x7abc, "")),
				TP_STUN_STALE_NONCE);
		rig_keep_challenge(r, &c);
		assert_int_equal(rig_ask(r, &c, authenticated[i], RIG_UNKNOWN(0x7abc, "")),
				TP_STUN_UNKNOWN_ATTRIBUTE);
	}
}

/* RFC 8489 section 9.2.4: MUST NOT be one nonce for two sources. */
static void a_nonce_is_stale_from_another_port_or_address(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
	} others[] = { { CLIENT, 4712 }, { "198.51.100.8", 4711 }, { CLIENT6, 4711 } };
	struct rig *r = *state;

	for (size_t i = 0; i < N(others); i++) {
		struct rig_client c = rig_alice(r, CLIENT, 4711);

		c.tuple = rig_client_of(others[i].ip, others[i].port, "", "").tuple;
		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_STALE_NONCE);
		rig_keep_challenge(r, &c);
		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), 0);
	}
}

/* RFC 8489 section 6.3: after authentication, before the method. */
static void unknown_attributes_come_before_the_allocation(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	for (size_t i = 0; i < N(authenticated); i++) {
		assert_int_equal(rig_ask(r, &c, authenticated[i], RIG_UNKNOWN(0x7abc, "x")),
				TP_STUN_UNKNOWN_ATTRIBUTE);
		assert_true(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_AT));
		assert_memory_equal(
				r->answer.attr[TP_STUN_UNKNOWN_ATTRIBUTES_AT].data, "\x7a\xbc", 2);
	}
}

/* RFC 8656 section 5 */
static void without_an_allocation_all_but_allocate_is_437(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	for (size_t i = 1; i < N(authenticated); i++)
		assert_int_equal(rig_ask(r, &c, authenticated[i], RIG_UDP),
				TP_STUN_ALLOCATION_MISMATCH);
}

/* RFC 8656 section 5: MUST, so that nobody hijacks an allocation */
static void another_users_allocation_is_441(void **state)
{
	struct rig *r = *state;
	const struct rig_client alice = rig_alice(r, CLIENT, 4711);
	struct rig_client bob = alice;

	snprintf(bob.user, sizeof(bob.user), "bob");
	snprintf(bob.password, sizeof(bob.password), "builder");
	rig_allocate(r, &alice);
	for (size_t i = 1; i < N(authenticated); i++)
		assert_int_equal(rig_ask(r, &bob, authenticated[i], RIG_LIFETIME("\0\0\0\0")),
				TP_STUN_WRONG_CREDENTIALS);
	assert_int_equal(rig_counts(r).allocations, 1);
}

/* Nor does a guessed transaction id make it a retransmission. */
static void another_users_allocate_is_437_with_the_same_id_as_well(void **state)
{
	struct rig *r = *state;
	const struct rig_client alice = rig_alice(r, CLIENT, 4711);
	struct rig_client bob = alice;
	struct rig_message m;
	uint8_t id;

	snprintf(bob.user, sizeof(bob.user), "bob");
	snprintf(bob.password, sizeof(bob.password), "builder");
	id = r->next_tid;
	rig_allocate(r, &alice);
	for (size_t i = 0; i < 2; i++) {
		r->next_tid = i == 0 ? id : id + 1;
		rig_begin(r, &m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
		rig_put(&m, (const struct rig_attr[]){ RIG_UDP, RIG_END });
		rig_sign(&m, &bob);
		assert_int_equal(rig_exchange(r, &bob, &m), TP_STUN_ALLOCATION_MISMATCH);
	}
	/* alice's own is one */
	r->next_tid = id;
	assert_int_equal(rig_ask(r, &alice, TP_STUN_ALLOCATE, RIG_UDP), 0);
}

/* RFC 8656 section 6: the five-tuple is the allocation; the listener's address and port count. */
static void another_listener_is_another_five_tuple(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);
	struct rig_client other = c;

	other.tuple.server.port = 3479;
	rig_allocate(r, &c);
	assert_int_equal(
			rig_ask(r, &other, TP_STUN_REFRESH, RIG_NONE), TP_STUN_ALLOCATION_MISMATCH);
	rig_allocate(r, &other);
	assert_int_equal(rig_counts(r).allocations, 2);
}

static void an_expired_name_keeps_its_allocation_and_gets_no_new_one(void **state)
{
	struct rig_client c = rig_client_of(CLIENT, 4711, "", ""), other;
	struct rig *r = *state;

	rig_use_secret(&c, "1700000060:carol", RIG_SECRET_OLD);
	rig_learn(r, &c);
	rig_allocate(r, &c);
	rig_sleep(r, 300);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
	assert_int_equal(rig_ask(r, &c, TP_STUN_CREATE_PERMISSION, RIG_PEER("203.0.113.9", 0)), 0);
	other = c;
	other.tuple.client.port = 4712;
	rig_learn(r, &other);
	assert_int_equal(rig_ask(r, &other, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_UNAUTHENTICATED);
	/* nor when the old one is gone */
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), TP_STUN_UNAUTHENTICATED);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_UNAUTHENTICATED);
}

/* RFC 8656 section 21: what a spoofed source can have sent to its victim. */
static void answers_to_strangers_are_small(void **state)
{
	static const struct {
		const char *ip;
		size_t want;
	} cases[] = { { CLIENT, 20 + 12 }, { CLIENT6, 20 + 24 } };
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		const struct rig_client c = rig_client_of(cases[i].ip, 4711, "alice", "guess");
		struct rig_message m;

		assert_int_equal(bind_with(r, &c, (const struct rig_attr[]){ RIG_END }), 0);
		assert_int_equal(r->sent[0].len, cases[i].want);
		for (size_t k = 0; k < N(authenticated); k++) {
			rig_begin(r, &m, authenticated[k], TP_STUN_REQUEST);
			assert_int_equal(rig_exchange(r, &c, &m), TP_STUN_UNAUTHENTICATED);
			assert_true(r->sent[0].len <= 128);
			rig_begin(r, &m, authenticated[k], TP_STUN_REQUEST);
			for (uint16_t u = 0; u < 100; u++)
				tp_stun_put(&m.b, (enum tp_stun_attr)(0x7000 + u), "", 0);
			rig_sign(&m, &c);
			assert_int_equal(rig_exchange(r, &c, &m), TP_STUN_UNAUTHENTICATED);
			assert_true(r->sent[0].len <= 128);
		}
		rig_begin(r, &m, TP_STUN_BINDING, TP_STUN_REQUEST);
		for (uint16_t u = 0; u < 100; u++)
			tp_stun_put(&m.b, (enum tp_stun_attr)(0x7000 + u), "", 0);
		assert_int_equal(rig_exchange(r, &c, &m), TP_STUN_UNKNOWN_ATTRIBUTE);
		assert_true(r->sent[0].len <= 128);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(binding_tells_the_source_address_without_credentials),
		rig_test(binding_lists_the_attributes_it_does_not_know),
		rig_test(what_only_answers_have_is_ignored_in_a_request),
		rig_test(fingerprint_is_answered_with_fingerprint),
		rig_test(an_answer_leaves_with_a_full_ttl),
		rig_test(an_answer_that_can_not_be_sent_is_counted),
		rig_test(what_is_not_expected_is_discarded),
		rig_test(what_is_not_stun_is_discarded),
		rig_test(without_integrity_every_method_challenges),
		rig_test(an_attribute_of_the_credentials_missing_is_400),
		rig_test(credentials_behind_the_integrity_are_missing),
		rig_test(wrong_credentials_are_challenged_again),
		rig_test(a_stale_nonce_is_told_with_a_fresh_one),
		rig_test(a_nonce_is_stale_from_another_port_or_address),
		rig_test(unknown_attributes_come_before_the_allocation),
		rig_test(without_an_allocation_all_but_allocate_is_437),
		rig_test(another_users_allocation_is_441),
		rig_test(another_users_allocate_is_437_with_the_same_id_as_well),
		rig_test(another_listener_is_another_five_tuple),
		rig_test(an_expired_name_keeps_its_allocation_and_gets_no_new_one),
		rig_test(answers_to_strangers_are_small),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
