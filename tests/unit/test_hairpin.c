/* SPDX-License-Identifier: Apache-2.0 */
/* Relay to relay on the same server: both ICE peers behind it is common, and must work. */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define CLIENT6 "2001:db8:7::7"
#define DATA(bytes) RIG_RAW(DATA, bytes)

/* One of the two, with an allocation of one family. */
struct side {
	struct rig_client c;
	struct tp_addr relayed; /* as the clients call it */
	struct tp_addr local;
	char ip[TP_ADDR_STRLEN]; /* of relayed */
};

static struct side side_at(struct rig *r, const char *ip, uint16_t port, uint8_t family)
{
	struct side s = { .c = rig_alice(r, ip, port) };

	assert_int_equal(family == TP_IPV4 ? rig_ask(r, &s.c, TP_STUN_ALLOCATE, RIG_UDP, RIG_IPV4)
					   : rig_ask(r, &s.c, TP_STUN_ALLOCATE, RIG_UDP, RIG_IPV6),
			0);
	s.relayed = rig_relayed(r, family);
	s.local = rig_local(r, &s.relayed);
	tp_addr_format_ip(&s.relayed, s.ip);
	return s;
}

static enum tp_slow_verdict send_to(struct rig *r, const struct side *from, const struct side *to)
{
	return rig_send(r, &from->c, RIG_PEER(to->ip, to->relayed.port), DATA("hello"));
}

/* RFC 8656 sections 11 to 14, at both ends. */
static void relay_to_relay_works_in_every_family_pair(void **state)
{
	static const char *const clients[] = { CLIENT, CLIENT6 };
	struct rig *r = *state;

	/* each bit: family of A, of B, of their relayed addresses, 1:1 NAT */
	for (unsigned i = 0; i < 16; i++) {
		const uint8_t family = i & 4 ? TP_IPV6 : TP_IPV4;
		struct side a, b;

		rig_conf(r);
		if (i & 8)
			rig_use_nat(r);
		rig_restart(r);
		a = side_at(r, clients[i & 1], 1, family);
		b = side_at(r, clients[i >> 1 & 1], 2, family);

		/* B must have given permission */
		assert_int_equal(rig_permit(r, &a.c, b.ip), 0);
		assert_int_equal(send_to(r, &a, &b), TP_SLOW_DROP_NO_PERM);
		assert_int_equal(rig_permit(r, &b.c, a.ip), 0);
		assert_int_equal(send_to(r, &a, &b), TP_SLOW_RELAYED);
		rig_assert_data(r, &b.c, &a.relayed, "hello");
		assert_int_equal(send_to(r, &b, &a), TP_SLOW_RELAYED);
		rig_assert_data(r, &a.c, &b.relayed, "hello");

		/* a channel at one end, then at both */
		assert_int_equal(rig_bind(r, &a.c, 0x4001, b.ip, b.relayed.port), 0);
		assert_int_equal(rig_channel_data(r, &a.c, 0x4001, "hello"), TP_SLOW_RELAYED);
		rig_assert_data(r, &b.c, &a.relayed, "hello");
		assert_int_equal(send_to(r, &b, &a), TP_SLOW_RELAYED);
		rig_assert_channel_data(r, &a.c, 0x4001, "hello");
		assert_int_equal(rig_bind(r, &b.c, 0x4002, a.ip, a.relayed.port), 0);
		assert_int_equal(rig_channel_data(r, &a.c, 0x4001, "hello"), TP_SLOW_RELAYED);
		rig_assert_channel_data(r, &b.c, 0x4002, "hello");
	}
}

/* What the fast path is told. */
static void a_hairpin_channel_names_both_notations_of_the_peer(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 4; i++) {
		const uint8_t family = i & 1 ? TP_IPV6 : TP_IPV4;
		struct side a, b;

		rig_conf(r);
		if (i & 2)
			rig_use_nat(r);
		rig_restart(r);
		a = side_at(r, CLIENT, 1, family);
		b = side_at(r, CLIENT6, 2, family);
		assert_int_equal(rig_bind(r, &a.c, 0x4001, b.ip, b.relayed.port), 0);
		assert_true(r->channel.is_hairpin);
		assert_memory_equal(&r->channel.peer, &b.relayed, sizeof(b.relayed));
		assert_memory_equal(&r->channel.peer_local, &b.local, sizeof(b.local));
		assert_memory_equal(&r->channel.relay_local, &a.local, sizeof(a.local));
		assert_memory_equal(&r->channel.relay_external, &a.relayed, sizeof(a.relayed));
		assert_int_equal(r->channel.relay, i & 1);
	}
}

static void two_relay_addresses_of_a_family_reach_each_other(void **state)
{
	struct rig *r = *state;
	struct side side[8];
	bool is_used[2] = { false };

	r->relays[1].local = rig_addr("10.0.0.6", 0);
	r->relays[1].external = rig_addr("192.0.2.11", 0);
	r->relays[0].local = rig_addr("10.0.0.5", 0);
	rig_restart(r);
	for (uint16_t i = 0; i < N(side); i++) {
		side[i] = side_at(r, CLIENT, (uint16_t)(i + 1), TP_IPV4);
		is_used[tp_addr_same_ip(&side[i].relayed, &r->relays[1].external)] = true;
		assert_int_equal(rig_permit(r, &side[i].c, RIG_RELAY4), 0);
		assert_int_equal(rig_permit(r, &side[i].c, "192.0.2.11"), 0);
	}
	assert_true(is_used[0] && is_used[1]);
	for (size_t i = 0; i < N(side); i++) {
		for (size_t k = 0; k < N(side); k++) {
			assert_int_equal(send_to(r, &side[i], &side[k]), TP_SLOW_RELAYED);
			rig_assert_data(r, &side[k].c, &side[i].relayed, "hello");
		}
	}
}

static void a_client_may_talk_to_itself_once(void **state)
{
	struct rig *r = *state;
	const struct side a = side_at(r, CLIENT, 1, TP_IPV4);

	assert_int_equal(rig_permit(r, &a.c, a.ip), 0);
	assert_int_equal(send_to(r, &a, &a), TP_SLOW_RELAYED);
	rig_assert_data(r, &a.c, &a.relayed, "hello");
	assert_int_equal(rig_bind(r, &a.c, 0x4001, a.ip, a.relayed.port), 0);
	assert_int_equal(rig_channel_data(r, &a.c, 0x4001, "hello"), TP_SLOW_RELAYED);
	rig_assert_channel_data(r, &a.c, 0x4001, "hello");
}

/* One host, one hop, as in the workers. */
static void a_hairpin_takes_one_from_the_ttl(void **state)
{
	struct rig *r = *state;
	const struct side a = side_at(r, CLIENT, 1, TP_IPV4), b = side_at(r, CLIENT, 2, TP_IPV4);

	assert_int_equal(rig_permit(r, &b.c, a.ip), 0);
	assert_int_equal(rig_bind(r, &a.c, 0x4000, b.ip, b.relayed.port), 0);
	for (size_t i = 0; i < N(rig_ttls); i++) {
		const struct tp_ip_meta meta = { .ttl = rig_ttls[i].ttl, .tclass = 0x28 };

		assert_int_equal(rig_datagram_meta(r, &a.c, "\x40\0\0\1x", 5, meta),
				rig_ttls[i].want);
		if (rig_ttls[i].want != TP_SLOW_RELAYED)
			continue;
		assert_int_equal(r->sent[0].meta.ttl, rig_ttls[i].ttl - 1);
		assert_int_equal(r->sent[0].meta.tclass, 0x28);
	}
}

static void a_relayed_port_of_nobody_gets_nothing(void **state)
{
	struct rig *r = *state;
	const struct side a = side_at(r, CLIENT, 1, TP_IPV4), b = side_at(r, CLIENT, 2, TP_IPV4);

	assert_int_equal(rig_permit(r, &b.c, a.ip), 0);
	assert_int_equal(rig_bind(r, &a.c, 0x4000, b.ip, b.relayed.port), 0);
	assert_int_equal(rig_ask(r, &b.c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	assert_int_equal(rig_channel_data(r, &a.c, 0x4000, "x"), TP_SLOW_DROP_NO_ALLOC);
	assert_int_equal(send_to(r, &a, &b), TP_SLOW_DROP_NO_ALLOC);
}

/* B's permission and its end count as for any peer. */
static void the_far_end_stops_hearing_when_its_permission_ends(void **state)
{
	struct rig *r = *state;
	const struct side a = side_at(r, CLIENT, 1, TP_IPV6), b = side_at(r, CLIENT, 2, TP_IPV6);

	assert_int_equal(rig_bind(r, &a.c, 0x4000, b.ip, b.relayed.port), 0);
	assert_int_equal(rig_bind(r, &b.c, 0x4000, a.ip, a.relayed.port), 0);
	rig_sleep(r, 299);
	assert_int_equal(rig_channel_data(r, &a.c, 0x4000, "x"), TP_SLOW_RELAYED);
	rig_sleep(r, 1);
	assert_int_equal(rig_channel_data(r, &a.c, 0x4000, "x"), TP_SLOW_DROP_NO_PERM);
	assert_int_equal(rig_permit(r, &b.c, a.ip), 0);
	assert_int_equal(rig_channel_data(r, &a.c, 0x4000, "x"), TP_SLOW_RELAYED);
	rig_assert_channel_data(r, &b.c, 0x4000, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(relay_to_relay_works_in_every_family_pair),
		rig_test(a_hairpin_channel_names_both_notations_of_the_peer),
		rig_test(two_relay_addresses_of_a_family_reach_each_other),
		rig_test(a_client_may_talk_to_itself_once),
		rig_test(a_hairpin_takes_one_from_the_ttl),
		rig_test(a_relayed_port_of_nobody_gets_nothing),
		rig_test(the_far_end_stops_hearing_when_its_permission_ends),
	};

	return cmocka_run_group_tests_name("hairpin", tests, NULL, NULL);
}
