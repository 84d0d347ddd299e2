/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors from the network (RFC 8656 section 11.5), and what DONT-FRAGMENT makes of our own. */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define CLIENT6 "2001:db8:7::7"
#define PEER "203.0.113.9"
#define PEER_B "203.0.113.10"
#define PEER6 "2001:db8:9::9"
#define DATA(bytes) RIG_RAW(DATA, bytes)

/* Alice with an allocation of both families; *relay as the host calls them. */
static struct rig_client start_at(struct rig *r, const char *ip, struct tp_addr relay[2])
{
	const struct rig_client c = rig_alice(r, ip, 4711);
	struct tp_addr external[2];

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
	external[0] = rig_relayed(r, TP_IPV4);
	external[1] = rig_relayed(r, TP_IPV6);
	relay[0] = rig_local(r, &external[0]);
	relay[1] = rig_local(r, &external[1]);
	return c;
}

static enum tp_slow_verdict from_icmp(struct rig *r, const struct tp_addr *relay, const char *peer,
		uint8_t type, uint8_t code, uint32_t mtu)
{
	const struct tp_icmp_error error = {
		.type = type, .code = code, .mtu = mtu, .src = *relay, .dst = rig_addr(peer, 9)
	};

	rig_before(r);
	return rig_after(r, tp_turn_from_icmp(r->turn, &r->now, &error));
}

/* The last datagram: a Data indication with this ICMP attribute, and without DATA. */
static void assert_icmp(const struct rig *r, const struct rig_client *c, const char *peer,
		const char value[8])
{
	const struct tp_addr want = rig_addr(peer, 9);
	const struct rig_sent *s = &r->sent[r->n_sent - 1];
	struct tp_stun_msg msg;
	struct tp_addr from;

	assert_int_equal(r->n_sent, 1);
	assert_false(s->is_to_peer);
	assert_memory_equal(&s->tuple, &c->tuple, sizeof(c->tuple));
	assert_int_equal(s->meta.ttl, 64);
	assert_true(s->meta.is_ours);
	assert_int_equal(tp_stun_decode(s->data, s->len, &msg), TP_STUN_PARSE_OK);
	assert_int_equal(msg.class, TP_STUN_INDICATION);
	assert_int_equal(msg.method, TP_STUN_DATA);
	assert_int_equal(tp_stun_get_xor_addr(&msg, TP_STUN_XOR_PEER_ADDRESS_AT, &from), 0);
	assert_memory_equal(&from, &want, sizeof(want));
	assert_false(tp_stun_has(&msg, TP_STUN_DATA_AT));
	assert_int_equal(msg.attr[TP_STUN_ICMP_AT].len, 8);
	assert_memory_equal(msg.attr[TP_STUN_ICMP_AT].data, value, 8);
}

/* Section 18.13: reserved, type, code, and the MTU where there is one. */
static void an_error_becomes_a_data_indication(void **state)
{
	static const struct {
		const char *client, *peer;
		unsigned at;
		uint8_t type, code;
		uint32_t mtu;
		const char *want;
	} cases[] = {
		{ CLIENT, PEER, 0, 3, 3, 0, "\0\0\3\3\0\0\0\0" },
		{ CLIENT, PEER, 0, 3, 4, 1300, "\0\0\3\4\0\0\5\x14" },
		{ CLIENT, PEER, 0, 11, 0, 0, "\0\0\x0b\0\0\0\0\0" },
		{ CLIENT, PEER6, 1, 1, 4, 0, "\0\0\1\4\0\0\0\0" },
		{ CLIENT, PEER6, 1, 2, 0, 0x00010203, "\0\0\2\0\0\1\2\3" },
		{ CLIENT6, PEER6, 1, 3, 1, 0, "\0\0\3\1\0\0\0\0" },
		{ CLIENT6, PEER, 0, 3, 13, 0, "\0\0\3\x0d\0\0\0\0" },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < 2 * N(cases); i++) {
		size_t k = i / 2;
		struct tp_addr relay[2];
		struct rig_client c;

		rig_conf(r);
		if (i & 1)
			rig_use_nat(r);
		rig_restart(r);
		c = start_at(r, cases[k].client, relay);
		assert_int_equal(rig_permit(r, &c, cases[k].peer), 0);
		assert_int_equal(from_icmp(r, &relay[cases[k].at], cases[k].peer, cases[k].type,
						 cases[k].code, cases[k].mtu),
				TP_SLOW_RELAYED);
		assert_icmp(r, &c, cases[k].peer, cases[k].want);
	}
}

/* Section 11.5: even where a channel exists; ChannelData could not say it. */
static void a_channel_does_not_matter(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(from_icmp(r, &relay[0], PEER, 3, 1, 0), TP_SLOW_RELAYED);
	assert_icmp(r, &c, PEER, "\0\0\3\1\0\0\0\0");
}

/* Section 11.5: by the source and the destination that are quoted, not by who sent the error. */
static void an_error_needs_allocation_and_permission(void **state)
{
	struct rig *r = *state;
	const struct tp_addr listener = rig_addr("192.0.2.1", 3478);
	struct tp_addr relay[2], other;
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(from_icmp(r, &relay[0], PEER, 3, 3, 0), TP_SLOW_DROP_NO_PERM);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(from_icmp(r, &relay[0], PEER, 3, 3, 0), TP_SLOW_RELAYED);
	assert_int_equal(from_icmp(r, &relay[0], PEER_B, 3, 3, 0), TP_SLOW_DROP_NO_PERM);
	assert_int_equal(from_icmp(r, &relay[1], PEER6, 1, 4, 0), TP_SLOW_DROP_NO_PERM);
	other = relay[0];
	other.port ^= 1;
	assert_int_equal(from_icmp(r, &other, PEER, 3, 3, 0), TP_SLOW_DROP_NO_ALLOC);
	other.port = 53;
	assert_int_equal(from_icmp(r, &other, PEER, 3, 3, 0), TP_SLOW_DROP_NO_ALLOC);
	assert_int_equal(from_icmp(r, &listener, PEER, 3, 3, 0), TP_SLOW_DROP_NO_ALLOC);
	rig_sleep(r, TP_TURN_PERMISSION_SEC);
	assert_int_equal(from_icmp(r, &relay[0], PEER, 3, 3, 0), TP_SLOW_DROP_NO_PERM);
	rig_sleep(r, TP_TURN_LIFETIME_SEC);
	assert_int_equal(from_icmp(r, &relay[0], PEER, 3, 3, 0), TP_SLOW_DROP_NO_ALLOC);
}

/* It costs its sender nothing, so it must not make us send without bound. */
static void a_storm_of_errors_is_held_back(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT, relay);
	uint32_t told = 0, n;

	assert_int_equal(rig_permit(r, &c, PEER), 0);
	for (n = 0; n < 10000; n++) {
		enum tp_slow_verdict v = from_icmp(r, &relay[0], PEER, 3, 3, 0);

		assert_true(v == TP_SLOW_RELAYED || v == TP_SLOW_DROP_ICMP_RATE);
		told += v == TP_SLOW_RELAYED;
	}
	assert_int_equal(told, TP_TURN_ICMP_BURST);
	rig_sleep(r, 1);
	assert_int_equal(from_icmp(r, &relay[0], PEER, 3, 3, 0), TP_SLOW_RELAYED);
	/* What is dropped for another reason takes no token. */
	for (n = 0; n < 1000; n++)
		assert_int_equal(from_icmp(r, &relay[0], PEER_B, 3, 3, 0), TP_SLOW_DROP_NO_PERM);
	assert_int_equal(from_icmp(r, &relay[0], PEER, 3, 3, 0), TP_SLOW_RELAYED);
}

/* ---- larger than our own way out ---- */

static enum tp_slow_verdict send_big(
		struct rig *r, const struct rig_client *c, const char *ip, bool has_dont_fragment)
{
	struct rig_message m;

	rig_begin(r, &m, TP_STUN_SEND, TP_STUN_INDICATION);
	rig_put(&m, (const struct rig_attr[]){ RIG_PEER(ip, 9), DATA("x"), RIG_END });
	if (has_dont_fragment)
		tp_stun_put(&m.b, TP_STUN_ATTR_DONT_FRAGMENT, "", 0);
	return rig_datagram(r, c, m.buf, m.b.len);
}

/* Sections 11.5 and 14 */
static void who_asked_not_to_fragment_is_told(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_permit(r, &c, PEER6), 0);
	r->peer_mtu = 1400;
	assert_int_equal(send_big(r, &c, PEER, true), TP_SLOW_DROP_DONT_FRAG);
	assert_icmp(r, &c, PEER, "\0\0\3\4\0\0\5\x78");
	/* Without it, and where it MUST be ignored, the packet's sender is told, not the client. */
	assert_int_equal(send_big(r, &c, PEER, false), TP_SLOW_DROP_TOO_BIG);
	assert_int_equal(send_big(r, &c, PEER6, true), TP_SLOW_DROP_TOO_BIG);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_DROP_TOO_BIG);
}

static void too_big_towards_the_client_is_a_reason_of_its_own(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_permit(r, &c, PEER), 0);
	r->send_rc = -EMSGSIZE;
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_DROP_TOO_BIG);
	r->send_rc = -ENOBUFS;
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_DROP_SEND);
	r->send_rc = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(an_error_becomes_a_data_indication),
		rig_test(a_channel_does_not_matter),
		rig_test(an_error_needs_allocation_and_permission),
		rig_test(a_storm_of_errors_is_held_back),
		rig_test(who_asked_not_to_fragment_is_told),
		rig_test(too_big_towards_the_client_is_a_reason_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
