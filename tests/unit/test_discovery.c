/* SPDX-License-Identifier: Apache-2.0 */
/* NAT behaviour discovery: RFC 5780 sections 6 and 7. */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define CLIENT6 "2001:db8:7::7"
#define CHANGE(flags) RIG_RAW(CHANGE_REQUEST, "\0\0\0" flags)
#define NO_CHANGE "\0"
#define CHANGE_PORT "\2"
#define CHANGE_IP "\4"
#define CHANGE_BOTH "\6"

/* A1 P1, A1 P2, A2 P1, A2 P2 */
static struct tp_addr place_of(uint8_t family, unsigned place)
{
	static const char *const ips[2][2] = { { "192.0.2.1", "192.0.2.2" },
		{ "2001:db8::1", "2001:db8::2" } };

	return rig_addr(ips[family == TP_IPV6][place >> 1], place & 1 ? 3479 : 3478);
}

static void use_discovery(struct rig *r)
{
	static struct tp_turn_discovery sites[2];

	for (unsigned i = 0; i < 2; i++)
		sites[i] = (struct tp_turn_discovery){
			.address = { place_of(i ? TP_IPV6 : TP_IPV4, 0),
					place_of(i ? TP_IPV6 : TP_IPV4, 2) },
			.port = { 3478, 3479 },
		};
	r->conf.discovery = sites;
	r->conf.n_discovery = 2;
	rig_restart(r);
}

/* Asked at a listener; the answer's error code, 0 for success.  sent[0] says where it is from. */
static uint16_t ask_at(struct rig *r, const char *client, const struct tp_addr *server,
		const struct rig_attr attrs[])
{
	struct rig_client c = rig_client_of(client, 4711, "", "");
	struct rig_message m;
	uint16_t err = 0;

	c.tuple.server = *server;
	rig_begin(r, &m, TP_STUN_BINDING, TP_STUN_REQUEST);
	rig_put(&m, attrs);
	assert_int_equal(rig_datagram(r, &c, m.buf, tp_stun_finish(&m.b)), TP_SLOW_ANSWERED);
	assert_int_equal(tp_stun_decode(r->sent[0].data, r->sent[0].len, &r->answer),
			TP_STUN_PARSE_OK);
	assert_memory_equal(r->answer.tid, m.tid, sizeof(m.tid));
	/* section 6.1: to the source of the request, always */
	assert_memory_equal(&r->sent[0].tuple.client, &c.tuple.client, sizeof(c.tuple.client));
	if (r->answer.class == TP_STUN_ERROR) {
		assert_int_equal(tp_stun_get_error(&r->answer, &err), 0);
		/* whatever was asked for, an error comes from where the request went */
		assert_memory_equal(&r->sent[0].tuple.server, server, sizeof(*server));
	}
	return err;
}

static void assert_told(const struct rig *r, enum tp_stun_index at, const struct tp_addr *want)
{
	struct tp_addr got;

	assert_true(tp_stun_has(&r->answer, at));
	assert_int_equal(tp_stun_addr_value(&r->answer.attr[at], &got), 0);
	assert_memory_equal(&got, want, sizeof(got));
}

/* Table 1, at each of the four, of either family. */
static void an_answer_leaves_as_table_1_says(void **state)
{
	static const struct {
		struct rig_attr attrs[2];
		unsigned change;
	} cases[] = {
		{ { RIG_END }, 0 },
		{ { CHANGE(NO_CHANGE), RIG_END }, 0 },
		{ { CHANGE(CHANGE_PORT), RIG_END }, 1 },
		{ { CHANGE(CHANGE_IP), RIG_END }, 2 },
		{ { CHANGE(CHANGE_BOTH), RIG_END }, 3 },
		/* the other 30 bits mean nothing */
		{ { RIG_RAW(CHANGE_REQUEST, "\xff\xff\xff\xf9"), RIG_END }, 0 },
		{ { RIG_RAW(CHANGE_REQUEST, "\xff\xff\xff\xff"), RIG_END }, 3 },
	};
	struct rig *r = *state;
	uint64_t n_changed = 0;

	use_discovery(r);
	for (size_t i = 0; i < N(cases) * 8; i++) {
		const uint8_t family = i & 4 ? TP_IPV6 : TP_IPV4;
		const struct tp_addr server = place_of(family, i & 3);
		const unsigned from = (i & 3) ^ cases[i / 8].change;
		const struct tp_addr origin = place_of(family, from);
		const struct tp_addr other = place_of(family, (i & 3) ^ 3);
		const char *ip = family == TP_IPV6 ? CLIENT6 : CLIENT;
		const struct tp_addr client = rig_addr(ip, 4711);
		struct tp_addr mapped;

		assert_int_equal(ask_at(r, ip, &server, cases[i / 8].attrs), 0);
		assert_memory_equal(&r->sent[0].tuple.server, &origin, sizeof(origin));
		assert_told(r, TP_STUN_RESPONSE_ORIGIN_AT, &origin);
		assert_told(r, TP_STUN_OTHER_ADDRESS_AT, &other);
		assert_told(r, TP_STUN_MAPPED_ADDRESS_AT, &client);
		assert_int_equal(tp_stun_get_xor_addr(&r->answer, TP_STUN_XOR_MAPPED_ADDRESS_AT,
						 &mapped),
				0);
		assert_memory_equal(&mapped, &client, sizeof(mapped));
		n_changed += cases[i / 8].change != 0;
		assert_int_equal(rig_counts(r).changed, n_changed);
	}
}

/* Section 6.1: 420 without an alternate; section 6: and no OTHER-ADDRESS. */
static void without_an_alternate_it_is_420(void **state)
{
	static const uint8_t listed[] = { 0x00, 0x03 };
	struct rig *r = *state;
	struct tp_addr server = place_of(TP_IPV4, 0);

	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask_at(r, CLIENT, &server,
						 (const struct rig_attr[]){
								 CHANGE(CHANGE_IP), RIG_END }),
				TP_STUN_UNKNOWN_ATTRIBUTE);
		assert_int_equal(r->answer.attr[TP_STUN_UNKNOWN_ATTRIBUTES_AT].len, sizeof(listed));
		assert_memory_equal(r->answer.attr[TP_STUN_UNKNOWN_ATTRIBUTES_AT].data, listed,
				sizeof(listed));
		assert_int_equal(ask_at(r, CLIENT, &server, (const struct rig_attr[]){ RIG_END }),
				0);
		assert_false(tp_stun_has(&r->answer, TP_STUN_OTHER_ADDRESS_AT));
		assert_false(tp_stun_has(&r->answer, TP_STUN_RESPONSE_ORIGIN_AT));
		assert_false(tp_stun_has(&r->answer, TP_STUN_MAPPED_ADDRESS_AT));
		/* and so at a listener that is none of the four */
		use_discovery(r);
		server.port = 3480;
	}
	assert_int_equal(rig_counts(r).changed, 0);
}

/* PADDING amplifies, RESPONSE-PORT is optional and reaches who did not ask: both are unknown. */
static void what_would_reach_others_is_420_and_listed_alone(void **state)
{
	static const struct {
		struct rig_attr attrs[3];
		uint8_t len, listed[4];
	} cases[] = {
		{ { RIG_UNKNOWN(0x0026, "padding!"), RIG_END }, 2, { 0, 0x26 } },
		{ { RIG_UNKNOWN(0x0027, "\x12\x34"), RIG_END }, 2, { 0, 0x27 } },
		{ { RIG_UNKNOWN(0x0027, "\x12\x34"), RIG_UNKNOWN(0x0026, "") }, 4,
				{ 0, 0x27, 0, 0x26 } },
		{ { CHANGE(CHANGE_BOTH), RIG_UNKNOWN(0x0026, "") }, 2, { 0, 0x26 } },
		{ { RIG_UNKNOWN(0x7fff, ""), CHANGE(CHANGE_BOTH) }, 2, { 0x7f, 0xff } },
	};
	const struct tp_addr server = place_of(TP_IPV4, 0);
	struct rig *r = *state;

	use_discovery(r);
	for (size_t i = 0; i < N(cases); i++) {
		const struct tp_stun_value *list = &r->answer.attr[TP_STUN_UNKNOWN_ATTRIBUTES_AT];

		assert_int_equal(ask_at(r, CLIENT, &server, cases[i].attrs),
				TP_STUN_UNKNOWN_ATTRIBUTE);
		assert_int_equal(list->len, cases[i].len);
		assert_memory_equal(list->data, cases[i].listed, cases[i].len);
	}
}

/* Section 7.2: 32 bits. */
static void a_change_request_of_another_length_is_400(void **state)
{
	static const struct rig_attr odd[][2] = {
		{ RIG_RAW(CHANGE_REQUEST, ""), RIG_END },
		{ RIG_RAW(CHANGE_REQUEST, "\6"), RIG_END },
		{ RIG_RAW(CHANGE_REQUEST, "\0\0\6"), RIG_END },
		{ RIG_RAW(CHANGE_REQUEST, "\0\0\0\6\0\0\0\0"), RIG_END },
		/* RFC 8489 section 14: the first one counts */
		{ RIG_RAW(CHANGE_REQUEST, "\0"), CHANGE(CHANGE_IP) },
	};
	const struct tp_addr server = place_of(TP_IPV4, 0);
	struct rig *r = *state;

	use_discovery(r);
	for (size_t i = 0; i < N(odd); i++) {
		struct rig_attr attrs[3] = { odd[i][0], odd[i][1], RIG_END };

		assert_int_equal(ask_at(r, CLIENT, &server, attrs), TP_STUN_BAD_REQUEST);
	}
}

/* Section 7.2: allowed only in the Binding Request. */
static void in_other_requests_it_is_unknown(void **state)
{
	struct rig *r = *state;
	struct rig_client c;

	use_discovery(r);
	c = rig_alice(r, CLIENT, 4711);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, CHANGE(CHANGE_IP)),
			TP_STUN_UNKNOWN_ATTRIBUTE);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), 0);
}

/* Behind 1:1 NAT clients are told what they can reach. */
static void external_addresses_are_told(void **state)
{
	struct tp_turn_listener listeners[4];
	struct rig *r = *state;

	for (unsigned i = 0; i < 4; i++) {
		listeners[i] = (struct tp_turn_listener){ .local = place_of(TP_IPV4, i) };
		listeners[i].external = rig_addr(
				i < 2 ? "203.0.113.1" : "203.0.113.2", listeners[i].local.port);
	}
	r->conf.listeners = listeners;
	r->conf.n_listeners = 4;
	use_discovery(r);
	assert_int_equal(ask_at(r, CLIENT, &listeners[1].local,
					 (const struct rig_attr[]){ CHANGE(CHANGE_IP), RIG_END }),
			0);
	assert_memory_equal(&r->sent[0].tuple.server, &listeners[3].local, sizeof(struct tp_addr));
	assert_told(r, TP_STUN_RESPONSE_ORIGIN_AT, &listeners[3].external);
	assert_told(r, TP_STUN_OTHER_ADDRESS_AT, &listeners[2].external);
	r->conf.n_listeners = 0;
}

/* They are as unauthenticated as any Binding; and small: no more than 2.5 times what was asked. */
static void answers_are_charged_and_bounded(void **state)
{
	static const struct rig_attr both[] = { CHANGE(CHANGE_BOTH), RIG_END };
	const struct tp_turn_limits limits = { .unauthenticated_per_source = 1 };
	struct rig_client c = rig_client_of(CLIENT, 4711, "", "");
	struct tp_addr server = place_of(TP_IPV4, 0);
	struct rig *r = *state;
	struct rig_message m;

	use_discovery(r);
	ask_at(r, CLIENT, &server, both + 1);
	assert_true(r->sent[0].len + 28 <= 2 * (TP_STUN_HDR_LEN + 28));
	server = place_of(TP_IPV6, 0);
	ask_at(r, CLIENT6, &server, both + 1);
	assert_true(2 * (r->sent[0].len + 48) <= 5 * (TP_STUN_HDR_LEN + 48));
	assert_int_equal(tp_turn_set_limits(r->turn, &limits), 0);
	for (unsigned i = 0; i < 10; i++) {
		server = place_of(TP_IPV4, i & 3);
		assert_int_equal(ask_at(r, CLIENT, &server, both), 0);
	}
	rig_begin(r, &m, TP_STUN_BINDING, TP_STUN_REQUEST);
	rig_put(&m, both);
	assert_int_equal(
			rig_datagram(r, &c, m.buf, tp_stun_finish(&m.b)), TP_SLOW_DROP_SOURCE_RATE);
	assert_int_equal(rig_counts(r).changed, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(an_answer_leaves_as_table_1_says),
		rig_test(without_an_alternate_it_is_420),
		rig_test(what_would_reach_others_is_420_and_listed_alone),
		rig_test(a_change_request_of_another_length_is_400),
		rig_test(in_other_requests_it_is_unknown),
		rig_test(external_addresses_are_told),
		rig_test(answers_are_charged_and_bounded),
	};

	return cmocka_run_group_tests_name("discovery", tests, NULL, NULL);
}
