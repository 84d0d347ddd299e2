/* SPDX-License-Identifier: Apache-2.0 */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define DELETE RIG_LIFETIME("\0\0\0\0")
#define EVEN RIG_RAW(EVEN_PORT, "\0")
#define EVEN_PAIR RIG_RAW(EVEN_PORT, "\x80")
#define TOKEN_OF(t)                                                           \
	{                                                                     \
		.type = TP_STUN_ATTR_RESERVATION_TOKEN, .len = 8, .data = (t) \
	}

enum families {
	BOTH,
	ONLY_IPV4,
	ONLY_IPV6
};

static void use_families(struct rig *r, enum families f)
{
	rig_conf(r);
	if (f == ONLY_IPV6)
		r->relays[0] = r->relays[1];
	r->conf.n_relays = f == BOTH ? 2 : 1;
	rig_restart(r);
}

static struct rig_client numbered(struct rig *r, uint16_t i)
{
	return rig_alice(r, CLIENT, (uint16_t)(10000 + i));
}

/* ---- RFC 8656 section 7.2, the checks in their order ---- */

static void allocate_is_checked_in_the_order_of_the_rfc(void **state)
{
	static const struct {
		const char *what;
		uint16_t want;
		enum families families;
		struct rig_attr attrs[6];
	} cases[] = {
		{ "no transport", 400, BOTH, { RIG_END } },
		{ "transport too short", 400, BOTH, { RIG_RAW(REQUESTED_TRANSPORT, "\x11\0\0") } },
		{ "transport too long", 400, BOTH,
				{ RIG_RAW(REQUESTED_TRANSPORT, "\x11\0\0\0\0") } },
		{ "TCP", 442, BOTH, { RIG_RAW(REQUESTED_TRANSPORT, "\x06\0\0\0") } },
		{ "TCP before a bad token", 442, BOTH,
				{ RIG_RAW(REQUESTED_TRANSPORT, "\x06\0\0\0"),
						RIG_RAW(RESERVATION_TOKEN, "short") } },
		{ "reserved bits of the transport are ignored", 0, BOTH,
				{ RIG_RAW(REQUESTED_TRANSPORT, "\x11\1\2\3") } },
		{ "DONT-FRAGMENT is supported", 0, BOTH, { RIG_UDP, RIG_RAW(DONT_FRAGMENT, "") } },
		{ "token and EVEN-PORT", 400, BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678"), EVEN } },
		{ "token and family", 400, BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678"), RIG_IPV4 } },
		{ "token and additional family", 400, BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678"), RIG_DUAL } },
		{ "token of seven bytes", 400, BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "1234567") } },
		{ "token nobody was given", 508, BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678") } },
		{ "unknown token before a bad lifetime", 508, BOTH,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678"),
						RIG_LIFETIME("\0") } },
		{ "family and additional family", 400, BOTH, { RIG_UDP, RIG_IPV4, RIG_DUAL } },
		{ "both families named, before unsupported", 400, ONLY_IPV4,
				{ RIG_UDP, RIG_IPV6, RIG_DUAL } },
		{ "family too short", 400, BOTH,
				{ RIG_UDP, RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\1") } },
		{ "family unheard of", 440, BOTH,
				{ RIG_UDP, RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\3\0\0\0") } },
		{ "family 0", 440, BOTH,
				{ RIG_UDP, RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\0\0\0\0") } },
		{ "IPv6 without an IPv6 relay", 440, ONLY_IPV4, { RIG_UDP, RIG_IPV6 } },
		{ "IPv4 without an IPv4 relay", 440, ONLY_IPV6, { RIG_UDP, RIG_IPV4 } },
		{ "absent family is IPv4", 440, ONLY_IPV6, { RIG_UDP } },
		{ "unsupported before EVEN-PORT", 440, ONLY_IPV6,
				{ RIG_UDP, RIG_RAW(EVEN_PORT, "\0\0") } },
		{ "reserved bits of the family are ignored", 0, BOTH,
				{ RIG_UDP, RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\2\1\1\1") } },
		{ "EVEN-PORT too long", 400, BOTH, { RIG_UDP, RIG_RAW(EVEN_PORT, "\x80\0") } },
		{ "pair and additional family", 400, BOTH, { RIG_UDP, EVEN_PAIR, RIG_DUAL } },
		{ "even and additional family", 0, BOTH, { RIG_UDP, EVEN, RIG_DUAL } },
		{ "reserved bits of EVEN-PORT are ignored", 0, BOTH,
				{ RIG_UDP, RIG_RAW(EVEN_PORT, "\x7f"), RIG_DUAL } },
		{ "additional IPv4", 400, BOTH,
				{ RIG_UDP, RIG_RAW(ADDITIONAL_ADDRESS_FAMILY, "\1\0\0\0") } },
		{ "additional family unheard of", 400, BOTH,
				{ RIG_UDP, RIG_RAW(ADDITIONAL_ADDRESS_FAMILY, "\3\0\0\0") } },
		{ "additional family too short", 400, BOTH,
				{ RIG_UDP, RIG_RAW(ADDITIONAL_ADDRESS_FAMILY, "\2") } },
		{ "lifetime too short", 400, BOTH, { RIG_UDP, RIG_LIFETIME("\0\0\0") } },
		{ "everything of another method is ignored", 0, BOTH,
				{ RIG_UDP, RIG_CHANNEL("\1\1"), RIG_RAW(DATA, "x"),
						RIG_RAW(XOR_PEER_ADDRESS, "bad") } },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct rig_client c;
		uint16_t err;

		use_families(r, cases[i].families);
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
		{ 400, 0, { RIG_UDP, DRAFT("\2\0\0\0"), EVEN_PAIR } },
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
		{ RIG_UDP, EVEN_PAIR, RIG_END },
		{ RIG_UDP, RIG_LIFETIME("\0\0\x07\x08"), RIG_END },
	};

	for (size_t i = 0; i < N(asked) * 2; i++) {
		struct rig *r = *state;
		struct rig_client c;
		struct rig_sent first;
		struct rig_message m;

		use_families(r, i < N(asked) ? BOTH : ONLY_IPV4);
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

/* ---- lifetimes (section 7.2: max(default, min(asked, maximum))) ---- */

static const struct {
	struct rig_attr asked;
	uint32_t allocate, refresh;
} lifetimes[] = {
	{ RIG_LIFETIME("\0\0\0\0"), 600, 0 },
	{ RIG_LIFETIME("\0\0\0\1"), 600, 600 },
	{ RIG_LIFETIME("\0\0\x02\x57"), 600, 600 },
	{ RIG_LIFETIME("\0\0\x02\x58"), 600, 600 },
	{ RIG_LIFETIME("\0\0\x02\x59"), 601, 601 },
	{ RIG_LIFETIME("\0\0\x0e\x0f"), 3599, 3599 },
	{ RIG_LIFETIME("\0\0\x0e\x10"), 3600, 3600 },
	{ RIG_LIFETIME("\0\0\x0e\x11"), 3600, 3600 },
	{ RIG_LIFETIME("\xff\xff\xff\xff"), 3600, 3600 },
};

static void a_lifetime_lies_between_default_and_maximum(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < N(lifetimes); i++) {
		struct rig_client c = rig_alice(r, CLIENT, 4711);

		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, lifetimes[i].asked), 0);
		assert_int_equal(rig_lifetime(r), lifetimes[i].allocate);
		assert_true(tp_turn_next_ns(r->turn) ==
				r->now.mono_ns + lifetimes[i].allocate * TP_NS_PER_SEC);
		rig_sleep(r, lifetimes[i].allocate - 1);
		tp_turn_expire(r->turn, r->now.mono_ns);
		assert_int_equal(rig_counts(r).allocations, 1);
		rig_sleep(r, 1);
		tp_turn_expire(r->turn, r->now.mono_ns);
		assert_int_equal(rig_counts(r).allocations, 0);
		assert_int_equal(r->why, TP_TURN_END_EXPIRED);
		assert_string_equal(r->user_ended, "alice");
	}
	assert_int_equal(r->n_ended, N(lifetimes));
}

/* Section 8.2 */
static void refresh_sets_the_lifetime_anew(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < N(lifetimes); i++) {
		struct rig_client c = rig_alice(r, CLIENT, 4711);

		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP,
						 RIG_LIFETIME("\xff\xff\xff\xff")),
				0);
		rig_sleep(r, 100);
		assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, lifetimes[i].asked), 0);
		assert_int_equal(rig_lifetime(r), lifetimes[i].refresh);
		assert_int_equal(rig_counts(r).allocations, lifetimes[i].refresh != 0);
		if (lifetimes[i].refresh != 0)
			assert_true(tp_turn_next_ns(r->turn) ==
					r->now.mono_ns + lifetimes[i].refresh * TP_NS_PER_SEC);
		else
			assert_int_equal(r->why, TP_TURN_END_DELETED);
		assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, DELETE),
				lifetimes[i].refresh == 0 ? TP_STUN_ALLOCATION_MISMATCH : 0);
	}
}

/* Section 8.2 */
static void refresh_without_lifetime_means_the_default(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	rig_allocate(r, &c);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
	assert_int_equal(rig_lifetime(r), TP_TURN_LIFETIME_SEC);
}

/* Section 8.2: 443 for a family that the allocation does not have. */
static void refresh_refuses_what_is_malformed(void **state)
{
	static const struct {
		const char *what;
		uint16_t want;
		struct rig_attr attrs[3];
	} cases[] = {
		{ "lifetime of five bytes", 400, { RIG_LIFETIME("\0\0\0\0\0") } },
		{ "family of one byte", 400, { RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\1"), DELETE } },
		{ "family of the other kind", 443, { RIG_IPV6, DELETE } },
		{ "family unheard of", 443,
				{ RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\7\0\0\0"), DELETE } },
	};
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	rig_allocate(r, &c);
	for (size_t i = 0; i < N(cases); i++) {
		if (rig_request(r, &c, TP_STUN_REFRESH, cases[i].attrs) != cases[i].want)
			fail_msg("%s", cases[i].what);
		assert_int_equal(rig_counts(r).allocations, 1);
	}
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV4, DELETE), 0);
}

/* ---- dual allocations ---- */

/* Section 7.2 check 9: two XOR-RELAYED-ADDRESS. */
static void a_dual_allocation_has_an_address_of_each_family(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
	assert_true(r->is_open[0][rig_relayed(r, TP_IPV4).port]);
	assert_true(r->is_open[1][rig_relayed(r, TP_IPV6).port]);
	assert_false(tp_stun_has(&r->answer, TP_STUN_ADDRESS_ERROR_CODE_AT));
	assert_int_equal(rig_counts(r).allocations, 1);
	assert_int_equal(rig_counts(r).ports, 2);
}

/* Take every port of a family. */
static void fill_family(struct rig *r, struct rig_attr family)
{
	uint16_t i = 0;
	struct rig_client c;

	do {
		c = numbered(r, i++);
		assert_true(i < 100);
	} while (rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, family) == 0);
}

static void assert_address_error(const struct rig *r, uint8_t family, uint8_t number)
{
	const struct tp_stun_value *v = &r->answer.attr[TP_STUN_ADDRESS_ERROR_CODE_AT];
	uint8_t hundreds = number == 40 ? 4 : 5;

	assert_true(v->data != NULL && v->len > 4);
	assert_int_equal(v->data[0], family);
	assert_int_equal(v->data[1], 0);
	assert_int_equal(v->data[2], hundreds);
	assert_int_equal(v->data[3], number);
}

/* Section 7.2 step 9 */
static void half_a_dual_allocation_says_why_it_is_half(void **state)
{
	static const struct {
		const char *what;
		enum families families;
		bool is_full[2];
		uint8_t got;            /* the family that was allocated */
		uint8_t family, number; /* of ADDRESS-ERROR-CODE */
	} cases[] = {
		{ "no IPv6 relay", ONLY_IPV4, { false, false }, TP_IPV4, 2, 40 },
		{ "no IPv4 relay", ONLY_IPV6, { false, false }, TP_IPV6, 1, 40 },
		{ "IPv6 is full", BOTH, { false, true }, TP_IPV4, 2, 8 },
		{ "IPv4 is full", BOTH, { true, false }, TP_IPV6, 1, 8 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct rig_client c;

		use_families(r, cases[i].families);
		r->conf.port_max = RIG_PORT_MIN + 3;
		rig_restart(r);
		if (cases[i].is_full[0])
			fill_family(r, (struct rig_attr)RIG_IPV4);
		if (cases[i].is_full[1])
			fill_family(r, (struct rig_attr)RIG_IPV6);
		c = rig_alice(r, CLIENT, 4711);
		if (rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL) != 0)
			fail_msg("%s", cases[i].what);
		assert_int_equal(rig_relayed(r, cases[i].got).family, cases[i].got);
		assert_int_equal(rig_relayed(r, TP_IPV4 + TP_IPV6 - cases[i].got).family, 0);
		assert_address_error(r, cases[i].family, cases[i].number);
	}
}

/* Check 9: 440 would tell the client never to come back, though a port may be free soon. */
static void a_dual_allocation_without_any_address_is_508(void **state)
{
	static const struct {
		enum families families;
		struct rig_attr fill;
	} cases[] = { { ONLY_IPV4, RIG_IPV4 }, { ONLY_IPV6, RIG_IPV6 } };
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct rig_client c;

		use_families(r, cases[i].families);
		r->conf.port_max = RIG_PORT_MIN + 3;
		rig_restart(r);
		fill_family(r, cases[i].fill);
		c = rig_alice(r, CLIENT, 4711);
		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL),
				TP_STUN_INSUFFICIENT_CAPACITY);
	}
}

/* Section 8.2: with REQUESTED-ADDRESS-FAMILY, only that half. */
static void each_half_of_a_dual_allocation_has_a_life_of_its_own(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);
	struct tp_addr relayed[2];

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
	relayed[0] = rig_relayed(r, TP_IPV4);
	relayed[1] = rig_relayed(r, TP_IPV6);
	assert_int_equal(rig_ask(r, &c, TP_STUN_CREATE_PERMISSION, RIG_PEER("203.0.113.9", 0),
					 RIG_PEER("2001:db8:9::9", 0)),
			0);
	assert_int_equal(rig_bind(r, &c, 0x4000, "203.0.113.9", 9), 0);
	assert_int_equal(rig_bind(r, &c, 0x4001, "2001:db8:9::9", 9), 0);
	assert_int_equal(
			rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV4, RIG_LIFETIME("\0\0\x07\x08")), 0);
	rig_sleep(r, 200);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV6, DELETE), 0);
	assert_int_equal(rig_lifetime(r), 0);
	assert_true(r->is_open[0][relayed[0].port]);
	assert_false(r->is_open[1][relayed[1].port]);
	assert_int_equal(r->n_ended, 0);
	assert_int_equal(rig_counts(r).permissions, 1);
	assert_int_equal(rig_counts(r).channels, 1);
	assert_int_equal(r->n_channels, 1);

	/* what is gone is the wrong family now */
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV6), TP_STUN_PEER_FAMILY_MISMATCH);
	assert_int_equal(rig_ask(r, &c, TP_STUN_CREATE_PERMISSION, RIG_PEER("2001:db8:9::9", 0)),
			TP_STUN_PEER_FAMILY_MISMATCH);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV4, DELETE), 0);
	assert_int_equal(r->n_ended, 1);
	assert_int_equal(rig_counts(r).allocations, 0);
}

static void the_halves_expire_one_by_one(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
	assert_int_equal(
			rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV6, RIG_LIFETIME("\0\0\x03\x84")), 0);
	rig_sleep(r, 600);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(rig_counts(r).ports, 1);
	assert_int_equal(r->n_ended, 0);
	rig_sleep(r, 300);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(rig_counts(r).allocations, 0);
	assert_int_equal(r->n_ended, 1);
}

/* Section 8.2 */
static void refresh_without_family_is_for_both_halves(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
	rig_sleep(r, 300);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
	rig_sleep(r, 599);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(rig_counts(r).ports, 2);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, DELETE), 0);
	assert_int_equal(rig_counts(r).ports, 0);
	assert_int_equal(r->n_ended, 1);
}

/* ---- EVEN-PORT and RESERVATION-TOKEN ---- */

/*
 * Section 7.2 check 8, R = 0: a server once kept the sibling of every even port aside, until there
 * were none.
 */
static void an_even_port_keeps_nothing_aside(void **state)
{
	struct rig *r = *state;
	uint32_t n_odd = 0;

	r->conf.port_max = RIG_PORT_MIN + 9;
	rig_restart(r);
	for (uint16_t i = 0; i < 10; i++) {
		const struct rig_client c = numbered(r, i);

		if (i < 5) {
			assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, EVEN), 0);
			assert_false(tp_stun_has(&r->answer, TP_STUN_RESERVATION_TOKEN_AT));
		} else {
			rig_allocate(r, &c);
		}
		n_odd += rig_relayed(r, TP_IPV4).port % 2;
		assert_int_equal(rig_counts(r).reservations, 0);
	}
	assert_int_equal(n_odd, 5);
}

static void keep_token(const struct rig *r, uint8_t token[8])
{
	const struct tp_stun_value *v = &r->answer.attr[TP_STUN_RESERVATION_TOKEN_AT];

	assert_true(v->data != NULL && v->len == 8);
	memcpy(token, v->data, 8);
}

/* Section 7.2 checks 5 and 8, R = 1 */
static void a_token_opens_the_next_port_once(void **state)
{
	struct rig *r = *state;
	struct rig_client first = numbered(r, 1), second = rig_alice(r, "2001:db8:7::7", 1),
			  third = numbered(r, 3);
	struct tp_addr even;
	uint8_t token[8];

	assert_int_equal(rig_ask(r, &first, TP_STUN_ALLOCATE, RIG_UDP, EVEN_PAIR), 0);
	even = rig_relayed(r, TP_IPV4);
	assert_int_equal(even.port % 2, 0);
	keep_token(r, token);
	assert_false(r->is_open[0][even.port + 1]);
	assert_int_equal(rig_counts(r).reservations, 1);

	/* section 7.2: of any five-tuple, also another address family */
	rig_sleep(r, 29);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token)), 0);
	assert_int_equal(rig_relayed(r, TP_IPV4).port, even.port + 1);
	assert_int_equal(rig_counts(r).reservations, 0);
	assert_int_equal(rig_ask(r, &third, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token)),
			TP_STUN_INSUFFICIENT_CAPACITY);
}

/* Section 7.2: the next port is held for at least 30 seconds. */
static void a_token_lasts_thirty_seconds_and_gives_its_port_back(void **state)
{
	struct rig *r = *state;
	struct rig_client first = numbered(r, 1), late = numbered(r, 2), other = numbered(r, 3);
	uint8_t token[8];

	r->conf.port_max = RIG_PORT_MIN + 1;
	rig_restart(r);
	assert_int_equal(rig_ask(r, &first, TP_STUN_ALLOCATE, RIG_UDP, EVEN_PAIR), 0);
	keep_token(r, token);
	/* also when the allocation that made it is gone */
	assert_int_equal(rig_ask(r, &first, TP_STUN_REFRESH, DELETE), 0);
	assert_int_equal(rig_ask(r, &first, TP_STUN_ALLOCATE, RIG_UDP), 0);
	rig_sleep(r, 29);
	assert_int_equal(rig_ask(r, &other, TP_STUN_ALLOCATE, RIG_UDP),
			TP_STUN_INSUFFICIENT_CAPACITY);
	rig_sleep(r, 1);
	assert_int_equal(rig_ask(r, &late, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token)),
			TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_counts(r).reservations, 0);
	assert_int_equal(rig_ask(r, &other, TP_STUN_ALLOCATE, RIG_UDP), 0);
	assert_int_equal(rig_relayed(r, TP_IPV4).port, RIG_PORT_MIN + 1);
}

/* A refusal for another reason does not use it up. */
static void a_token_survives_a_refusal(void **state)
{
	struct rig *r = *state;
	struct rig_client first = numbered(r, 1), second = numbered(r, 2), third = numbered(r, 3);
	uint8_t token[8];

	r->conf.max_allocations = 2;
	rig_restart(r);
	rig_allocate(r, &third);
	assert_int_equal(rig_ask(r, &first, TP_STUN_ALLOCATE, RIG_UDP, EVEN_PAIR), 0);
	keep_token(r, token);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token)),
			TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_ask(r, &third, TP_STUN_REFRESH, DELETE), 0);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token),
					 RIG_LIFETIME("\0")),
			TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, TOKEN_OF(token)), 0);
}

/* Section 7.2 check 8 */
static void a_pair_that_can_not_be_had_is_508(void **state)
{
	struct rig *r = *state;
	const struct rig_client first = numbered(r, 1), second = numbered(r, 2);

	r->conf.port_max = RIG_PORT_MIN + 2;
	rig_restart(r);
	assert_int_equal(rig_ask(r, &first, TP_STUN_ALLOCATE, RIG_UDP, EVEN_PAIR), 0);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, EVEN_PAIR),
			TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP, EVEN), 0);
	assert_int_equal(rig_relayed(r, TP_IPV4).port, RIG_PORT_MIN + 2);
}

/* ---- capacity ---- */

static void a_full_table_is_508_and_a_deletion_makes_room(void **state)
{
	struct rig *r = *state;
	struct rig_client c[4];

	r->conf.max_allocations = 3;
	rig_restart(r);
	for (uint16_t i = 0; i < 4; i++) {
		c[i] = numbered(r, i);
		assert_int_equal(rig_ask(r, &c[i], TP_STUN_ALLOCATE, RIG_UDP),
				i < 3 ? 0 : TP_STUN_INSUFFICIENT_CAPACITY);
	}
	assert_int_equal(rig_ask(r, &c[1], TP_STUN_REFRESH, DELETE), 0);
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
		const struct rig_client c = numbered(r, i);

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
		rig_test(a_lifetime_lies_between_default_and_maximum),
		rig_test(refresh_sets_the_lifetime_anew),
		rig_test(refresh_without_lifetime_means_the_default),
		rig_test(refresh_refuses_what_is_malformed),
		rig_test(a_dual_allocation_has_an_address_of_each_family),
		rig_test(half_a_dual_allocation_says_why_it_is_half),
		rig_test(a_dual_allocation_without_any_address_is_508),
		rig_test(each_half_of_a_dual_allocation_has_a_life_of_its_own),
		rig_test(the_halves_expire_one_by_one),
		rig_test(refresh_without_family_is_for_both_halves),
		rig_test(an_even_port_keeps_nothing_aside),
		rig_test(a_token_opens_the_next_port_once),
		rig_test(a_token_lasts_thirty_seconds_and_gives_its_port_back),
		rig_test(a_token_survives_a_refusal),
		rig_test(a_pair_that_can_not_be_had_is_508),
		rig_test(a_full_table_is_508_and_a_deletion_makes_room),
		rig_test(every_relay_address_is_used_before_508),
	};

	return cmocka_run_group_tests_name("allocation", tests, NULL, NULL);
}
