/* SPDX-License-Identifier: Apache-2.0 */
/* 300 and ALTERNATE-SERVER: RFC 8656 section 7.2, RFC 8489 section 10, RFC 8155 section 6. */
#include "turn_client.h"

#define CLIENT4 "198.51.100.7"
#define CLIENT6 "2001:db8:7::7"

/* Two alternate servers of IPv4, one of IPv6. */
static void use_alternates(struct rig *r, uint32_t n, enum tp_turn_redirect when)
{
	static struct tp_addr list[3];

	list[0] = rig_addr("203.0.113.20", 3478);
	list[1] = rig_addr("2001:db8:1::20", 3479);
	list[2] = rig_addr("203.0.113.21", 3480);
	r->conf.alternates = list;
	r->conf.n_alternates = n;
	r->conf.redirect = when;
	rig_restart(r);
}

/* The nth ALTERNATE-SERVER of the answer; family 0: there is none. */
static struct tp_addr alternate(const struct rig *r, unsigned nth)
{
	struct tp_addr a = { 0 };
	struct tp_stun_value value;
	size_t pos = 0;

	while (tp_stun_next(&r->answer, TP_STUN_ATTR_ALTERNATE_SERVER, &pos, &value)) {
		if (nth-- > 0)
			continue;
		assert_int_equal(tp_stun_addr_value(&value, &a), 0);
		break;
	}
	return a;
}

static void assert_alternate(const struct rig *r, unsigned nth, const char *ip, uint16_t port)
{
	const struct tp_addr want = rig_addr(ip, port), got = alternate(r, nth);

	assert_memory_equal(&got, &want, sizeof(want));
}

static uint16_t allocate(struct rig *r, const struct rig_client *c)
{
	return rig_ask(r, c, TP_STUN_ALLOCATE, RIG_UDP);
}

static void configured_servers_alone_redirect_nobody(void **state)
{
	struct rig *r = *state;
	struct rig_client c;

	use_alternates(r, 3, TP_TURN_REDIRECT_DRAINING);
	c = rig_alice(r, CLIENT4, 1);
	assert_int_equal(allocate(r, &c), 0);
	assert_int_equal(rig_counts(r).redirected, 0);
}

/* RFC 8489 section 10: MUST have one of the source's family, first; SHOULD have the other. */
static void a_client_is_told_its_own_family_first(void **state)
{
	struct rig *r = *state;
	struct rig_client c4, c6;

	use_alternates(r, 2, TP_TURN_REDIRECT_ALWAYS);
	c4 = rig_alice(r, CLIENT4, 1);
	c6 = rig_alice(r, CLIENT6, 1);
	assert_int_equal(allocate(r, &c4), TP_STUN_TRY_ALTERNATE);
	assert_true(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_AT));
	assert_alternate(r, 0, "203.0.113.20", 3478);
	assert_alternate(r, 1, "2001:db8:1::20", 3479);
	assert_int_equal(alternate(r, 2).family, 0);
	assert_int_equal(allocate(r, &c6), TP_STUN_TRY_ALTERNATE);
	assert_alternate(r, 0, "2001:db8:1::20", 3479);
	assert_alternate(r, 1, "203.0.113.20", 3478);
	assert_int_equal(rig_counts(r).redirected, 2);
	assert_int_equal(tp_turn_refused(r->turn)->code[300 - TP_TURN_ERROR_MIN], 2);
	assert_int_equal(rig_counts(r).allocations, 0);
}

static void without_the_clients_family_it_is_508(void **state)
{
	struct rig *r = *state;
	struct rig_client c4, c6;

	use_alternates(r, 1, TP_TURN_REDIRECT_ALWAYS);
	c4 = rig_alice(r, CLIENT4, 1);
	c6 = rig_alice(r, CLIENT6, 1);
	assert_int_equal(allocate(r, &c4), TP_STUN_TRY_ALTERNATE);
	assert_int_equal(alternate(r, 1).family, 0);
	assert_int_equal(allocate(r, &c6), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(alternate(r, 0).family, 0);
}

/* A client's allocations, whatever their ports, go together; all clients do not. */
static void a_clients_address_picks_its_server(void **state)
{
	uint32_t n[2] = { 0 };
	struct rig *r = *state;

	use_alternates(r, 3, TP_TURN_REDIRECT_ALWAYS);
	for (unsigned i = 0; i < 64; i++) {
		uint16_t port = 0;
		char ip[32];

		snprintf(ip, sizeof(ip), "198.51.100.%u", i);
		for (uint16_t j = 1; j <= 3; j++) {
			const struct rig_client c = rig_alice(r, ip, j);

			assert_int_equal(allocate(r, &c), TP_STUN_TRY_ALTERNATE);
			if (j > 1)
				assert_int_equal(alternate(r, 0).port, port);
			port = alternate(r, 0).port;
		}
		n[port == 3480]++;
	}
	assert_true(n[0] > 10 && n[1] > 10);
}

/* RFC 8656 section 7.2: 300 may be said at any point; here it comes after every check of the
 * request. */
static void only_a_good_request_is_redirected(void **state)
{
	static const struct {
		uint16_t want;
		struct rig_attr attrs[3];
	} cases[] = {
		{ 400, { RIG_END } },
		{ 442, { RIG_RAW(REQUESTED_TRANSPORT, "\x06\0\0\0") } },
		{ 440, { RIG_UDP, RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\3\0\0\0") } },
		{ 400, { RIG_UDP, RIG_LIFETIME("\0") } },
		{ 508, { RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678") } },
		{ 420, { RIG_UDP, RIG_UNKNOWN(0x7fff, "") } },
		{ 300, { RIG_UDP, RIG_IPV6 } },
	};
	struct rig *r = *state;
	struct rig_client c;

	use_alternates(r, 3, TP_TURN_REDIRECT_ALWAYS);
	c = rig_alice(r, CLIENT4, 1); /* 401 without credentials, as ever */
	for (size_t i = 0; i < N(cases); i++)
		assert_int_equal(rig_request(r, &c, TP_STUN_ALLOCATE, cases[i].attrs),
				cases[i].want);
	snprintf(c.password, sizeof(c.password), "guess");
	assert_int_equal(allocate(r, &c), TP_STUN_UNAUTHENTICATED);
}

static void a_full_server_redirects_instead_of_508(void **state)
{
	static const enum tp_turn_redirect when[] = { TP_TURN_REDIRECT_DRAINING,
		TP_TURN_REDIRECT_FULL };
	struct rig *r = *state;

	for (size_t i = 0; i < N(when); i++) {
		struct rig_client c[2];

		r->conf.max_allocations = 1;
		use_alternates(r, 3, when[i]);
		c[0] = rig_alice(r, CLIENT4, 1);
		c[1] = rig_alice(r, CLIENT4, 2);
		assert_int_equal(allocate(r, &c[0]), 0);
		assert_int_equal(allocate(r, &c[1]),
				i == 0 ? TP_STUN_INSUFFICIENT_CAPACITY : TP_STUN_TRY_ALTERNATE);
		assert_int_equal(rig_ask(r, &c[0], TP_STUN_REFRESH, RIG_DELETE), 0);
		assert_int_equal(allocate(r, &c[1]), 0);
	}
}

static void draining_keeps_what_is_there_and_takes_nothing_new(void **state)
{
	struct rig *r = *state;

	for (uint32_t n_servers = 0; n_servers <= 3; n_servers += 3) {
		uint16_t refusal = n_servers > 0 ? TP_STUN_TRY_ALTERNATE
						 : TP_STUN_INSUFFICIENT_CAPACITY;
		struct rig_client old, new;
		struct rig_message m;

		use_alternates(r, n_servers, TP_TURN_REDIRECT_DRAINING);
		old = rig_alice(r, CLIENT4, 1);
		new = rig_alice(r, CLIENT4, 2);
		rig_begin(r, &m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
		rig_put(&m, (const struct rig_attr[]){ RIG_UDP, RIG_END });
		rig_sign(&m, &old);
		assert_int_equal(rig_exchange(r, &old, &m), 0);
		tp_turn_drain(r->turn, true);
		assert_int_equal(allocate(r, &new), refusal);

		/* also a retransmission of what was answered before (RFC 8489 section 6.3.1) */
		assert_int_equal(rig_exchange(r, &old, &m), 0);
		assert_int_equal(rig_bind(r, &old, 0x4000, "203.0.113.9", 9), 0);
		assert_int_equal(rig_permit(r, &old, "203.0.113.10"), 0);
		assert_int_equal(rig_channel_data(r, &old, 0x4000, "x"), TP_SLOW_RELAYED);
		assert_int_equal(rig_ask(r, &old, TP_STUN_REFRESH, RIG_NONE), 0);
		assert_int_equal(rig_ask(r, &old, TP_STUN_REFRESH, RIG_DELETE), 0);
		assert_int_equal(allocate(r, &old), refusal);
		tp_turn_drain(r->turn, false);
		assert_int_equal(allocate(r, &new), 0);
	}
}

/* Section 7.2: the server MUST hold a reservation, and no other server has it. */
static void a_reserved_port_can_be_claimed_while_draining(void **state)
{
	struct rig *r = *state;
	struct rig_client first, second, third;
	struct tp_addr even;
	uint8_t token[8];

	use_alternates(r, 3, TP_TURN_REDIRECT_DRAINING);
	first = rig_alice(r, CLIENT4, 1);
	second = rig_alice(r, CLIENT4, 2);
	third = rig_alice(r, CLIENT4, 3);
	assert_int_equal(rig_ask(r, &first, TP_STUN_ALLOCATE, RIG_UDP, RIG_RAW(EVEN_PORT, "\x80")),
			0);
	even = rig_relayed(r, TP_IPV4);
	memcpy(token, r->answer.attr[TP_STUN_RESERVATION_TOKEN_AT].data, sizeof(token));
	tp_turn_drain(r->turn, true);
	assert_int_equal(rig_ask(r, &second, TP_STUN_ALLOCATE, RIG_UDP,
					 { .type = TP_STUN_ATTR_RESERVATION_TOKEN,
							 .len = sizeof(token),
							 .data = token }),
			0);
	assert_int_equal(rig_relayed(r, TP_IPV4).port, even.port + 1);
	assert_int_equal(allocate(r, &third), TP_STUN_TRY_ALTERNATE);
}

/* ---- anycast (RFC 8155 section 6) ---- */

/* The rig's clients come by these; two unicast ones behind NAT beside them. */
static void use_anycast(struct rig *r)
{
	static struct tp_turn_listener list[4];

	list[0] = (struct tp_turn_listener){ rig_addr("192.0.2.1", 3478),
		rig_addr("192.0.2.1", 3478), true };
	list[1] = (struct tp_turn_listener){ rig_addr("2001:db8::1", 3478),
		rig_addr("2001:db8::1", 3478), true };
	list[2] = (struct tp_turn_listener){ rig_addr("10.0.0.7", 3479),
		rig_addr("192.0.2.7", 3479), false };
	list[3] = (struct tp_turn_listener){ rig_addr("2001:db8::7", 3478),
		rig_addr("2001:db8::7", 3478), false };
	r->conf.listeners = list;
	r->conf.n_listeners = 4;
	rig_restart(r);
}

static void anycast_answers_allocate_with_a_unicast_address(void **state)
{
	struct rig *r = *state;
	struct rig_client c4, c6;

	use_anycast(r);
	/* check 1 of the section: who it is comes first here as well */
	c4 = rig_alice(r, CLIENT4, 1);
	c6 = rig_alice(r, CLIENT6, 1);
	assert_int_equal(allocate(r, &c4), TP_STUN_TRY_ALTERNATE);
	assert_alternate(r, 0, "192.0.2.7", 3479);
	assert_alternate(r, 1, "2001:db8::7", 3478);
	assert_int_equal(allocate(r, &c6), TP_STUN_TRY_ALTERNATE);
	assert_alternate(r, 0, "2001:db8::7", 3478);
	assert_int_equal(rig_ask(r, &c4, TP_STUN_ALLOCATE, RIG_NONE), TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_ask(r, &c4, TP_STUN_REFRESH, RIG_NONE), TP_STUN_ALLOCATION_MISMATCH);

	/* there it is served */
	c4.tuple.server = rig_addr("10.0.0.7", 3479);
	assert_int_equal(allocate(r, &c4), 0);
}

/* RFC 8489 section 15: what needs no authentication is served at an anycast address. */
static void anycast_serves_binding(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_client_of(CLIENT4, 1, "", "");
	struct rig_message m;

	use_anycast(r);
	rig_begin(r, &m, TP_STUN_BINDING, TP_STUN_REQUEST);
	assert_int_equal(rig_exchange(r, &c, &m), 0);
}

static void a_draining_anycast_server_names_others(void **state)
{
	struct rig *r = *state;
	struct rig_client c;

	use_anycast(r);
	use_alternates(r, 2, TP_TURN_REDIRECT_DRAINING);
	c = rig_alice(r, CLIENT4, 1);
	tp_turn_drain(r->turn, true);
	assert_int_equal(allocate(r, &c), TP_STUN_TRY_ALTERNATE);
	assert_alternate(r, 0, "203.0.113.20", 3478);
	use_alternates(r, 0, TP_TURN_REDIRECT_DRAINING);
	rig_learn(r, &c);
	tp_turn_drain(r->turn, true);
	assert_int_equal(allocate(r, &c), TP_STUN_INSUFFICIENT_CAPACITY);
}

/* ---- default_family ---- */

/* Section 7.2 check 7 says IPv4; browsers never ask. */
static void who_asks_for_no_family_gets_the_default(void **state)
{
	static const struct {
		bool is_listener;
		const char *client;
		uint32_t n_relays; /* of two: IPv4, IPv6 */
		struct rig_attr asked;
		uint8_t want;
	} cases[] = {
		{ false, CLIENT4, 2, RIG_END, TP_IPV4 },
		{ false, CLIENT6, 2, RIG_END, TP_IPV4 },
		{ true, CLIENT4, 2, RIG_END, TP_IPV4 },
		{ true, CLIENT6, 2, RIG_END, TP_IPV6 },
		{ true, CLIENT6, 1, RIG_END, TP_IPV4 },
		{ true, CLIENT6, 2, RIG_IPV4, TP_IPV4 },
		{ true, CLIENT4, 2, RIG_IPV6, TP_IPV6 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct rig_client c;

		r->conf.default_is_listener = cases[i].is_listener;
		r->conf.n_relays = cases[i].n_relays;
		rig_restart(r);
		c = rig_alice(r, cases[i].client, 1);
		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, cases[i].asked), 0);
		assert_int_equal(rig_relayed(r, cases[i].want).family, cases[i].want);
		assert_int_equal(rig_counts(r).ports, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(configured_servers_alone_redirect_nobody),
		rig_test(a_client_is_told_its_own_family_first),
		rig_test(without_the_clients_family_it_is_508),
		rig_test(a_clients_address_picks_its_server),
		rig_test(only_a_good_request_is_redirected),
		rig_test(a_full_server_redirects_instead_of_508),
		rig_test(draining_keeps_what_is_there_and_takes_nothing_new),
		rig_test(a_reserved_port_can_be_claimed_while_draining),
		rig_test(anycast_answers_allocate_with_a_unicast_address),
		rig_test(anycast_serves_binding),
		rig_test(a_draining_anycast_server_names_others),
		rig_test(who_asks_for_no_family_gets_the_default),
	};

	return cmocka_run_group_tests_name("redirect", tests, NULL, NULL);
}
