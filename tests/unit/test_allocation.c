/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocate (RFC 8656 section 7.2): its checks in their order, its answer, and how many allocations
 * there can be.
 */
#include "turn_client.h"

#define CLIENT "198.51.100.7"

static void allocate_is_checked_in_the_order_of_the_rfc(void **state)
{
	static const struct {
		const char *what;
		uint16_t want;
		enum rig_families families;
		struct rig_attr attrs[6];
	} cases[] = {
		{ "no transport", 400, RIG_BOTH, { RIG_END } },
		{ "transport too short", 400, RIG_BOTH,
				{ RIG_RAW(REQUESTED_TRANSPORT, "\x11\0\0") } },
		{ "transport too long", 400, RIG_BOTH,
				{ RIG_RAW(REQUESTED_TRANSPORT, "\x11\0\0\0\0") } },
		{ "TCP", 442, RIG_BOTH, { RIG_RAW(REQUESTED_TRANSPORT, "\x06\0\0\0") } },
		{ "TCP before a bad token", 442, RIG_BOTH,
				{ RIG_RAW(REQUESTED_TRANSPORT, "\x06\0\0\0"),
						RIG_RAW(RESERVATION_TOKEN, "short") } },
		{ "reserved bits of the transport are ignored", 0, RIG_BOTH,
				{ RIG_RAW(REQUESTED_TRANSPORT, "\x11\1\2\3") } },
		{ "DONT-FRAGMENT is supported", 0, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(DONT_FRAGMENT, "") } },
		{ "token and EVEN-PORT", 400, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678"), RIG_EVEN } },
		{ "token and family", 400, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678"), RIG_IPV4 } },
		{ "token and additional family", 400, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678"), RIG_DUAL } },
		{ "token of seven bytes", 400, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "1234567") } },
		{ "token nobody was given", 508, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678") } },
		{ "unknown token before a bad lifetime", 508, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678"),
						RIG_LIFETIME("\0") } },
		{ "family and additional family", 400, RIG_BOTH, { RIG_UDP, RIG_IPV4, RIG_DUAL } },
		{ "both families named, before unsupported", 400, RIG_ONLY_IPV4,
				{ RIG_UDP, RIG_IPV6, RIG_DUAL } },
		{ "family too short", 400, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\1") } },
		{ "family unheard of", 440, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\3\0\0\0") } },
		{ "family 0", 440, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\0\0\0\0") } },
		{ "IPv6 without an IPv6 relay", 440, RIG_ONLY_IPV4, { RIG_UDP, RIG_IPV6 } },
		{ "IPv4 without an IPv4 relay", 440, RIG_ONLY_IPV6, { RIG_UDP, RIG_IPV4 } },
		{ "absent family is IPv4", 440, RIG_ONLY_IPV6, { RIG_UDP } },
		{ "unsupported before EVEN-PORT", 440, RIG_ONLY_IPV6,
				{ RIG_UDP, RIG_RAW(EVEN_PORT, "\0\0") } },
		{ "reserved bits of the family are ignored", 0, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\2\1\1\1") } },
		{ "EVEN-PORT too long", 400, RIG_BOTH, { RIG_UDP, RIG_RAW(EVEN_PORT, "\x80\0") } },
		{ "pair and additional family", 400, RIG_BOTH,
				{ RIG_UDP, RIG_EVEN_PAIR, RIG_DUAL } },
		{ "even and additional family", 0, RIG_BOTH, { RIG_UDP, RIG_EVEN, RIG_DUAL } },
		{ "reserved bits of EVEN-PORT are ignored", 0, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(EVEN_PORT, "\x7f"), RIG_DUAL } },
		{ "additional IPv4", 400, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(ADDITIONAL_ADDRESS_FAMILY, "\1\0\0\0") } },
		{ "additional family unheard of", 400, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(ADDITIONAL_ADDRESS_FAMILY, "\3\0\0\0") } },
		{ "additional family too short", 400, RIG_BOTH,
				{ RIG_UDP, RIG_RAW(ADDITIONAL_ADDRESS_FAMILY, "\2") } },
		{ "lifetime too short", 400, RIG_BOTH, { RIG_UDP, RIG_LIFETIME("\0\0\0") } },
		{ "everything of another method is ignored", 0, RIG_BOTH,
				{ RIG_UDP, RIG_CHANNEL("\1\1"), RIG_RAW(DATA, "x"),
						RIG_RAW(XOR_PEER_ADDRESS, "bad") } },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct rig_client c;
		uint16_t err;

		rig_use_families(r, cases[i].families);
		c = rig_alice(r, CLIENT, 4711);
		err = rig_request(r, &c, TP_STUN_ALLOCATE, cases[i].attrs);
		if (err != cases[i].want)
			fail_msg("%s: %d, want %d", cases[i].what, err, cases[i].want);
		assert_true(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_AT));
		assert_int_equal(rig_counts(r).allocations, err == 0);
		assert_int_equal(r->n_open, rig_counts(r).ports);
	}
}

/* An option: as section 7.2 has it for the attribute's own number; else optional and unexpected. */
static void the_drafts_number_of_additional_family_is_taken_if_allowed(void **state)
{
#define DRAFT(bytes) RIG_RAW(DRAFT_ADDITIONAL_FAMILY, bytes)
	static const struct {
		uint16_t want, want_ignored;
		struct rig_attr attrs[4];
	} cases[] = {
		{ 0, 0, { RIG_UDP, DRAFT("\2\0\0\0") } },
		{ 400, 0, { RIG_UDP, DRAFT("\1\0\0\0") } },
		{ 400, 0, { RIG_UDP, DRAFT("\2") } },
		{ 400, 0, { RIG_UDP, DRAFT("\2\0\0\0"), RIG_IPV4 } },
		{ 400, 0, { RIG_UDP, DRAFT("\2\0\0\0"), RIG_EVEN_PAIR } },
		{ 400, 508,
				{ RIG_UDP, DRAFT("\2\0\0\0"),
						RIG_RAW(RESERVATION_TOKEN, "12345678") } },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < 2 * N(cases); i++) {
		const bool is_taken = i >= N(cases);
		const uint16_t want = is_taken ? cases[i % N(cases)].want
					       : cases[i % N(cases)].want_ignored;
		struct rig_client c;

		r->conf.legacy_attributes = is_taken;
		rig_restart(r);
		c = rig_alice(r, CLIENT, 4711);
		assert_int_equal(rig_request(r, &c, TP_STUN_ALLOCATE, cases[i % N(cases)].attrs),
				want);
		if (want == 0)
			assert_int_equal(rig_relayed(r, TP_IPV6).family, is_taken ? TP_IPV6 : 0);
	}
}

/* Section 7.2 check 2, before all that is about the request itself. */
static void a_five_tuple_in_use_is_437_whatever_is_asked(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	rig_allocate(r, &c);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_ALLOCATION_MISMATCH);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_NONE), TP_STUN_ALLOCATION_MISMATCH);
	assert_int_equal(rig_counts(r).allocations, 1);
}

/* Section 7.2: what a success response has. */
static void success_tells_relayed_and_mapped_address_and_lifetime(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);
	struct tp_addr relayed, mapped;

	rig_allocate(r, &c);
	relayed = rig_relayed(r, TP_IPV4);
	assert_true(tp_addr_same_ip(&relayed, &r->relays[0].external));
	assert_in_range(relayed.port, RIG_PORT_MIN, RIG_PORT_MAX);
	assert_int_equal(rig_relayed(r, TP_IPV6).family, 0);
	assert_int_equal(tp_stun_get_xor_addr(&r->answer, TP_STUN_XOR_MAPPED_ADDRESS_AT, &mapped),
			0);
	assert_memory_equal(&mapped, &c.tuple.client, sizeof(mapped));
	assert_int_equal(rig_lifetime(r), TP_TURN_LIFETIME_SEC);
	assert_false(tp_stun_has(&r->answer, TP_STUN_RESERVATION_TOKEN_AT));
	assert_false(tp_stun_has(&r->answer, TP_STUN_ADDRESS_ERROR_CODE_AT));
	assert_true(r->is_open[0][relayed.port]);
	assert_int_equal(r->n_allocated, 1);
}

/* RFC 8489 section 6.3.1: the answer may have been lost. */
static void a_retransmission_gets_the_same_bytes(void **state)
{
	static const struct rig_attr asked[][3] = {
		{ RIG_UDP, RIG_END },
		{ RIG_UDP, RIG_DUAL, RIG_END },
		{ RIG_UDP, RIG_EVEN_PAIR, RIG_END },
		{ RIG_UDP, RIG_LIFETIME("\0\0\x07\x08"), RIG_END },
	};

	for (size_t i = 0; i < N(asked) * 2; i++) {
		struct rig *r = *state;
		struct rig_client c;
		struct rig_sent first;
		struct rig_message m;

		rig_use_families(r, i < N(asked) ? RIG_BOTH : RIG_ONLY_IPV4);
		c = rig_alice(r, CLIENT, 4711);
		rig_begin(r, &m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
		rig_put(&m, asked[i % N(asked)]);
		rig_sign(&m, &c);
		tp_stun_put_fingerprint(&m.b);
		assert_int_equal(rig_exchange(r, &c, &m), 0);
		first = r->sent[0];
		rig_sleep(r, 39);
		assert_int_equal(rig_exchange(r, &c, &m), 0);
		assert_int_equal(r->sent[0].len, first.len);
		assert_memory_equal(r->sent[0].data, first.data, first.len);
		assert_int_equal(rig_counts(r).allocations, 1);
		assert_int_equal(r->n_allocated - r->n_ended, 1);
	}
}

/* ---- capacity ---- */

static void a_full_table_is_508_and_a_deletion_makes_room(void **state)
{
	struct rig *r = *state;
	struct rig_client c[4];

	r->conf.max_allocations = 3;
	rig_restart(r);
	for (uint16_t i = 0; i < 4; i++) {
		c[i] = rig_numbered(r, i);
		assert_int_equal(rig_ask(r, &c[i], TP_STUN_ALLOCATE, RIG_UDP),
				i < 3 ? 0 : TP_STUN_INSUFFICIENT_CAPACITY);
	}
	assert_int_equal(rig_ask(r, &c[1], TP_STUN_REFRESH, RIG_DELETE), 0);
	assert_int_equal(rig_ask(r, &c[3], TP_STUN_ALLOCATE, RIG_UDP), 0);
}

/* Section 7.2: 508 when no relayed transport address is left. */
static void every_relay_address_is_used_before_508(void **state)
{
	struct rig *r = *state;
	uint32_t n_open[2] = { 0 };

	r->relays[1].local = r->relays[1].external = rig_addr("192.0.2.11", 0);
	r->conf.port_max = RIG_PORT_MIN + 9;
	rig_restart(r);
	for (uint16_t i = 0; i <= 20; i++) {
		const struct rig_client c = rig_numbered(r, i);

		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP),
				i < 20 ? 0 : TP_STUN_INSUFFICIENT_CAPACITY);
	}
	for (uint32_t port = RIG_PORT_MIN; port <= r->conf.port_max; port++) {
		n_open[0] += r->is_open[0][port];
		n_open[1] += r->is_open[1][port];
	}
	assert_int_equal(n_open[0], 10);
	assert_int_equal(n_open[1], 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(allocate_is_checked_in_the_order_of_the_rfc),
		rig_test(the_drafts_number_of_additional_family_is_taken_if_allowed),
		rig_test(a_five_tuple_in_use_is_437_whatever_is_asked),
		rig_test(success_tells_relayed_and_mapped_address_and_lifetime),
		rig_test(a_retransmission_gets_the_same_bytes),
		rig_test(a_full_table_is_508_and_a_deletion_makes_room),
		rig_test(every_relay_address_is_used_before_508),
	};

	return cmocka_run_group_tests_name("allocation", tests, NULL, NULL);
}
