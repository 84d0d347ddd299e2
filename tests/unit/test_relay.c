/* SPDX-License-Identifier: Apache-2.0 */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define CLIENT6 "2001:db8:7::7"
#define PEER "203.0.113.9"
#define PEER_B "203.0.113.10"
#define PEER6 "2001:db8:9::9"
#define DATA(bytes) RIG_RAW(DATA, bytes)

static const struct tp_ip_meta usual = { .ttl = 60 };

/* Alice with an allocation of both families, an hour long. */
static struct rig_client start_at(struct rig *r, const char *ip, struct tp_addr relay[2])
{
	const struct rig_client c = rig_alice(r, ip, 4711);

	rig_allocate_dual(r, &c, relay);
	return c;
}

/* ---- Send (RFC 8656 section 11.2) ---- */

static void send_reaches_the_peer_from_the_relayed_address(void **state)
{
	static const char *const payloads[] = { "", "a", "ab", "abc", "abcd", "abcde" };
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_permit(r, &c, PEER6), 0);
	for (size_t i = 0; i < N(payloads); i++) {
		const struct rig_attr data = {
			.type = TP_STUN_ATTR_DATA,
			.len = (uint16_t)strlen(payloads[i]),
			.data = payloads[i],
		};

		assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), data), TP_SLOW_RELAYED);
		rig_assert_to_peer(r, &relay[0], PEER, 9, payloads[i]);
		assert_int_equal(rig_send(r, &c, data, RIG_PEER(PEER6, 10)), TP_SLOW_RELAYED);
		rig_assert_to_peer(r, &relay[1], PEER6, 10, payloads[i]);
	}
}

static void send_is_discarded_for_the_first_fault(void **state)
{
	static const struct {
		const char *what;
		enum tp_slow_verdict want;
		struct rig_attr attrs[4];
	} cases[] = {
		{ "no peer", TP_SLOW_DROP_INDICATION, { DATA("x") } },
		{ "no data", TP_SLOW_DROP_INDICATION, { RIG_PEER(PEER, 9) } },
		{ "nothing", TP_SLOW_DROP_INDICATION, { RIG_END } },
		{ "peer too short", TP_SLOW_DROP_INDICATION,
				{ RIG_RAW(XOR_PEER_ADDRESS, "\0\1\0\0aaa"), DATA("x") } },
		{ "peer's port 0", TP_SLOW_DROP_INDICATION, { RIG_PEER(PEER, 0), DATA("x") } },
		{ "no permission", TP_SLOW_DROP_NO_PERM, { RIG_PEER(PEER_B, 9), DATA("x") } },
		{ "no permission for a denied one either", TP_SLOW_DROP_NO_PERM,
				{ RIG_PEER("127.0.0.1", 9), DATA("x") } },
		{ "this host's other ports", TP_SLOW_DROP_FORBIDDEN,
				{ RIG_PEER(RIG_RELAY4, 53), DATA("x") } },
		{ "unknown required attribute", TP_SLOW_DROP_UNKNOWN_ATTR,
				{ RIG_PEER(PEER, 9), DATA("x"), RIG_UNKNOWN(0x7abc, "") } },
		{ "unknown optional attribute", TP_SLOW_RELAYED,
				{ RIG_PEER(PEER, 9), DATA("x"), RIG_UNKNOWN(0xfabc, "") } },
		{ "known, but of another method", TP_SLOW_RELAYED,
				{ RIG_PEER(PEER, 9), DATA("x"), RIG_LIFETIME("\0\0\0\0") } },
	};
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_permit(r, &c, RIG_RELAY4), 0);
	for (size_t i = 0; i < N(cases); i++)
		if (rig_indicate(r, &c, TP_STUN_SEND, cases[i].attrs) != cases[i].want)
			fail_msg("%s", cases[i].what);
}

/* Sections 5 and 11.2: silently discarded. */
static void send_needs_an_allocation_of_the_peers_family(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), DATA("x")), TP_SLOW_DROP_NO_ALLOC);
	rig_allocate(r, &c);
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER6, 9), DATA("x")), TP_SLOW_DROP_FAMILY);
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), DATA("x")), TP_SLOW_DROP_NO_PERM);
}

/* Behind 1:1 NAT the host sends from and hears at its inner address. */
static void behind_nat_peers_are_met_at_the_inner_address(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2], local[2];
	struct rig_client c;

	rig_use_nat(r);
	rig_restart(r);
	c = start_at(r, CLIENT, relay);
	local[0] = rig_local(r, &relay[0]);
	local[1] = rig_local(r, &relay[1]);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(rig_permit(r, &c, PEER6), 0);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_RELAYED);
	rig_assert_to_peer(r, &local[0], PEER, 9, "x");
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER6, 9), DATA("x")), TP_SLOW_RELAYED);
	rig_assert_to_peer(r, &local[1], PEER6, 9, "x");
	assert_int_equal(rig_from_peer(r, &local[0], PEER, 9, "x"), TP_SLOW_RELAYED);
	assert_int_equal(rig_from_peer(r, &local[1], PEER6, 9, "x"), TP_SLOW_RELAYED);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_DROP_NO_ALLOC);
}

/* Nobody need have called tp_turn_expire(). */
static void what_is_due_is_over_for_the_peer_too(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);
	const struct tp_addr relay = rig_allocate(r, &c);

	assert_int_equal(rig_permit(r, &c, PEER), 0);
	rig_sleep(r, 299);
	assert_int_equal(rig_from_peer(r, &relay, PEER, 9, "x"), TP_SLOW_RELAYED);
	rig_sleep(r, 1);
	assert_int_equal(rig_from_peer(r, &relay, PEER, 9, "x"), TP_SLOW_DROP_NO_PERM);
	rig_sleep(r, 300);
	assert_int_equal(rig_from_peer(r, &relay, PEER, 9, "x"), TP_SLOW_DROP_NO_ALLOC);
}

/*
 * Section 11.2: a Send indication never refreshes the permission; section 12: nor does ChannelData,
 * nor the channel; section 6: data does not refresh the allocation.
 */
static void data_refreshes_nothing(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	rig_sleep(r, 299);
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), DATA("x")), TP_SLOW_RELAYED);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_RELAYED);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_RELAYED);
	rig_sleep(r, 1);
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), DATA("x")), TP_SLOW_DROP_NO_PERM);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_DROP_NO_PERM);
	rig_sleep(r, 299);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_RELAYED);
	rig_sleep(r, 1);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_DROP_NO_CHANNEL);
	/* nor the allocation */
	rig_sleep(r, 2999);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_DROP_NO_CHANNEL);
	rig_sleep(r, 1);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_DROP_NO_ALLOC);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_DROP_NO_ALLOC);
}

/* ---- header fields (sections 13 and 14) ---- */

static enum tp_slow_verdict send_meta(struct rig *r, const struct rig_client *c, const char *ip,
		struct tp_ip_meta meta, bool has_dont_fragment)
{
	struct rig_message m;

	rig_begin(r, &m, TP_STUN_SEND, TP_STUN_INDICATION);
	rig_put(&m, (const struct rig_attr[]){ RIG_PEER(ip, 9), DATA("x"), RIG_END });
	if (has_dont_fragment)
		tp_stun_put(&m.b, TP_STUN_ATTR_DONT_FRAGMENT, "", 0);
	return rig_datagram_meta(r, c, m.buf, m.b.len, meta);
}

/* Section 14: DF as asked, else as received; section 13: DONT-FRAGMENT MUST be ignored. */
static void dont_fragment_counts_from_ipv4_to_ipv4_only(void **state)
{
	static const struct {
		const char *what, *client, *peer;
		bool is_df, has_dont_fragment, want;
	} cases[] = {
		{ "v4 to v4", CLIENT, PEER, false, false, false },
		{ "v4 to v4, received with DF", CLIENT, PEER, true, false, true },
		{ "v4 to v4, asked for", CLIENT, PEER, false, true, true },
		{ "v4 to v6, asked for", CLIENT, PEER6, false, true, false },
		{ "v4 to v6, received with DF", CLIENT, PEER6, true, true, true },
		{ "v6 to v4, asked for", CLIENT6, PEER, false, true, false },
		{ "v6 to v6, asked for", CLIENT6, PEER6, false, true, false },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct tp_ip_meta meta = { .ttl = 9, .is_df = cases[i].is_df };
		struct rig_client c;
		struct tp_addr relay[2];

		rig_restart(r);
		c = start_at(r, cases[i].client, relay);
		assert_int_equal(rig_permit(r, &c, cases[i].peer), 0);
		assert_int_equal(send_meta(r, &c, cases[i].peer, meta, cases[i].has_dont_fragment),
				TP_SLOW_RELAYED);
		if (r->sent[0].meta.is_df != cases[i].want)
			fail_msg("%s", cases[i].what);
	}
}

static void every_hop_takes_one_from_the_ttl(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2], peer = rig_addr(PEER, 9), peer_b = rig_addr(PEER_B, 9);
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_permit(r, &c, PEER_B), 0);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	for (size_t i = 0; i < N(rig_ttls); i++) {
		const struct tp_ip_meta meta = {
			.ttl = rig_ttls[i].ttl, .tclass = 0xb9, .is_df = true
		};
		enum tp_slow_verdict v[4];

		v[0] = send_meta(r, &c, PEER, meta, false);
		v[1] = rig_datagram_meta(r, &c, "\x40\0\0\1x", 5, meta);
		v[2] = rig_from_peer_meta(r, &relay[0], &peer, "x", 1, meta);
		v[3] = rig_from_peer_meta(r, &relay[0], &peer_b, "x", 1, meta);
		for (size_t k = 0; k < N(v); k++)
			assert_int_equal(v[k], rig_ttls[i].want);
		if (rig_ttls[i].want != TP_SLOW_RELAYED)
			continue;
		assert_int_equal(r->sent[0].meta.ttl, rig_ttls[i].ttl - 1);
		assert_int_equal(r->sent[0].meta.tclass, 0xb9);
		assert_true(r->sent[0].meta.is_df);
	}
}

static void a_send_that_fails_is_counted_and_changes_nothing(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(rig_permit(r, &c, PEER_B), 0);
	r->send_rc = -ENOBUFS;
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), DATA("x")), TP_SLOW_DROP_SEND);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_DROP_SEND);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_DROP_SEND);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER_B, 9, "x"), TP_SLOW_DROP_SEND);
	r->send_rc = 0;
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_RELAYED);
}

/* ---- from the peer (sections 9 and 11.3) ---- */

static void peers_are_heard_by_permission_for_their_address(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2], peer;
	const struct rig_client c = start_at(r, CLIENT, relay);
	struct tp_addr nobody = relay[0];

	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_permit(r, &c, PEER6), 0);
	/* only addresses are compared */
	for (uint16_t port = 1; port < 4; port++) {
		peer = rig_addr(PEER, port);
		assert_int_equal(rig_from_peer(r, &relay[0], PEER, port, "x"), TP_SLOW_RELAYED);
		rig_assert_data(r, &c, &peer, "x");
		peer = rig_addr(PEER6, port);
		assert_int_equal(rig_from_peer(r, &relay[1], PEER6, port, "xy"), TP_SLOW_RELAYED);
		rig_assert_data(r, &c, &peer, "xy");
	}
	assert_int_equal(rig_from_peer(r, &relay[0], PEER_B, 1, "x"), TP_SLOW_DROP_NO_PERM);
	nobody.port = nobody.port == RIG_PORT_MAX ? RIG_PORT_MIN : RIG_PORT_MAX;
	assert_int_equal(rig_from_peer(r, &nobody, PEER, 1, "x"), TP_SLOW_DROP_NO_ALLOC);
	nobody.port = 53;
	assert_int_equal(rig_from_peer(r, &nobody, PEER, 1, "x"), TP_SLOW_DROP_NO_ALLOC);
	nobody.port = UINT16_MAX;
	assert_int_equal(rig_from_peer(r, &nobody, PEER, 1, "x"), TP_SLOW_DROP_NO_ALLOC);
	nobody = rig_addr("192.0.2.77", relay[0].port);
	assert_int_equal(rig_from_peer(r, &nobody, PEER, 1, "x"), TP_SLOW_DROP_NO_ALLOC);
}

/* RFC 8489 section 14 (CVE-2020-4067): padding is zero, and the message is whole. */
static void a_data_indication_is_padded_with_zeroes(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2], peer = rig_addr(PEER, 9);
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_permit(r, &c, PEER), 0);
	for (size_t len = 0; len <= 9; len++) {
		size_t padded = (len + 3) & ~(size_t)3;
		char text[10] = "aaaaaaaaa";

		text[len] = 0;
		memset(r->sent[0].data, 0xff, sizeof(r->sent[0].data));
		assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, text), TP_SLOW_RELAYED);
		rig_assert_data(r, &c, &peer, text);
		assert_int_equal(r->sent[0].len, 20 + 12 + 4 + padded);
		for (size_t i = 36 + len; i < 36 + padded; i++)
			assert_int_equal(r->sent[0].data[i], 0);
	}
}

static void what_no_indication_can_carry_is_dropped(void **state)
{
	static uint8_t data[65507]; /* the most that UDP over IPv4 carries */
	struct rig *r = *state;
	struct tp_addr relay[2], peer = rig_addr(PEER, 9), peer6 = rig_addr(PEER6, 9);
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_permit(r, &c, PEER6), 0);
	assert_int_equal(rig_from_peer_meta(r, &relay[0], &peer, data, sizeof(data), usual),
			TP_SLOW_RELAYED);
	assert_int_equal(r->sent[0].len, 20 + 12 + 4 + 65508);
	assert_int_equal(tp_be16_get(r->sent[0].data + 2), 12 + 4 + 65508);
	/* 24 + 4 + 65508 = 65536 does not fit in the header's length */
	assert_int_equal(rig_from_peer_meta(r, &relay[1], &peer6, data, sizeof(data), usual),
			TP_SLOW_DROP_TOO_BIG);
	assert_int_equal(rig_from_peer_meta(r, &relay[1], &peer6, data, 65504, usual),
			TP_SLOW_RELAYED);
	/* a channel has no such bound */
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER6, 9), 0);
	assert_int_equal(rig_from_peer_meta(r, &relay[1], &peer6, data, sizeof(data), usual),
			TP_SLOW_RELAYED);
	assert_int_equal(r->sent[0].len, 4 + 65507);
	assert_int_equal(tp_be16_get(r->sent[0].data + 2), 65507);
}

/* ---- channels (sections 12.5 to 12.7) ---- */

static void a_channel_carries_both_ways(void **state)
{
	static const char *const payloads[] = { "", "a", "abc", "abcd", "abcde" };
	struct rig *r = *state;
	struct tp_addr relay[2], peer;
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(rig_bind(r, &c, 0x4fff, PEER6, 9), 0);
	for (size_t i = 0; i < N(payloads); i++) {
		assert_int_equal(rig_channel_data(r, &c, 0x4000, payloads[i]), TP_SLOW_RELAYED);
		rig_assert_to_peer(r, &relay[0], PEER, 9, payloads[i]);
		assert_int_equal(
				rig_from_peer(r, &relay[0], PEER, 9, payloads[i]), TP_SLOW_RELAYED);
		rig_assert_channel_data(r, &c, 0x4000, payloads[i]);
		assert_int_equal(rig_channel_data(r, &c, 0x4fff, payloads[i]), TP_SLOW_RELAYED);
		rig_assert_to_peer(r, &relay[1], PEER6, 9, payloads[i]);
		assert_int_equal(rig_from_peer(r, &relay[1], PEER6, 9, payloads[i]),
				TP_SLOW_RELAYED);
		rig_assert_channel_data(r, &c, 0x4fff, payloads[i]);
	}
	/* another port of the peer has the permission and no channel */
	peer = rig_addr(PEER, 10);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 10, "x"), TP_SLOW_RELAYED);
	rig_assert_data(r, &c, &peer, "x");
	/* section 12.5: Send is allowed all the same */
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), DATA("x")), TP_SLOW_RELAYED);
}

/* Section 12.6; 12 for what is reserved. */
static void channel_data_is_as_long_as_it_says(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
		enum tp_slow_verdict want;
		const char *data;
	} cases[] = {
		{ "exact", "\x40\0\0\3abc", 7, TP_SLOW_RELAYED, "abc" },
		{ "padded", "\x40\0\0\3abc\xff", 8, TP_SLOW_RELAYED, "abc" },
		{ "longer", "\x40\0\0\3abcdefghi", 13, TP_SLOW_RELAYED, "abc" },
		{ "empty", "\x40\0\0\0", 4, TP_SLOW_RELAYED, "" },
		{ "empty and padded", "\x40\0\0\0xx", 6, TP_SLOW_RELAYED, "" },
		{ "shorter", "\x40\0\0\4abc", 7, TP_SLOW_DROP_CHANNEL_DATA, NULL },
		{ "header cut", "\x40\0\0", 3, TP_SLOW_DROP_CHANNEL_DATA, NULL },
		{ "largest length", "\x40\0\xff\xff", 4, TP_SLOW_DROP_CHANNEL_DATA, NULL },
		{ "not bound", "\x40\1\0\1x", 5, TP_SLOW_DROP_NO_CHANNEL, NULL },
		{ "reserved 0x5000", "\x50\0\0\1x", 5, TP_SLOW_DROP_NO_CHANNEL, NULL },
		{ "reserved 0x7fff", "\x7f\xff\0\1x", 5, TP_SLOW_DROP_NO_CHANNEL, NULL },
		{ "0x8000 is no channel", "\x80\0\0\1x", 5, TP_SLOW_DROP_NOT_TURN, NULL },
	};
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	for (size_t i = 0; i < N(cases); i++) {
		if (rig_datagram(r, &c, cases[i].bytes, cases[i].len) != cases[i].want)
			fail_msg("%s", cases[i].what);
		if (cases[i].data != NULL)
			rig_assert_to_peer(r, &relay[0], PEER, 9, cases[i].data);
	}
}

static void a_channel_is_its_own_five_tuples(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT, relay), other = rig_alice(r, CLIENT, 4712);

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(rig_channel_data(r, &other, 0x4000, "x"), TP_SLOW_DROP_NO_ALLOC);
	rig_allocate(r, &other);
	assert_int_equal(rig_channel_data(r, &other, 0x4000, "x"), TP_SLOW_DROP_NO_CHANNEL);
	/* section 9: permissions of one allocation are unrelated to another's */
	assert_int_equal(rig_send(r, &other, RIG_PEER(PEER, 9), DATA("x")), TP_SLOW_DROP_NO_PERM);
}

/* Sections 9 and 12: the permission ends at 300 s, the binding at 600 s. */
static void a_channel_whose_permission_ran_out_sends_and_does_not_receive(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	rig_sleep(r, 300);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_RELAYED);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_DROP_NO_PERM);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_RELAYED);
	rig_assert_channel_data(r, &c, 0x4000, "x");
}

/* Sections 11.3 and 12.7 */
static void a_peer_whose_channel_ran_out_is_heard_by_indication(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2], peer = rig_addr(PEER, 9);
	const struct rig_client c = start_at(r, CLIENT, relay);

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	rig_sleep(r, 590);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	rig_sleep(r, 10);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_DROP_NO_CHANNEL);
	assert_int_equal(r->n_cleared, 1);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_RELAYED);
	rig_assert_data(r, &c, &peer, "x");
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), DATA("x")), TP_SLOW_RELAYED);
}

/* Section 8.2 */
static void deleting_a_family_silences_it(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start_at(r, CLIENT6, relay);

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(rig_bind(r, &c, 0x4001, PEER6, 9), 0);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV4, RIG_LIFETIME("\0\0\0\0")), 0);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_DROP_NO_CHANNEL);
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 9), DATA("x")), TP_SLOW_DROP_FAMILY);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_DROP_NO_ALLOC);
	assert_int_equal(rig_channel_data(r, &c, 0x4001, "x"), TP_SLOW_RELAYED);
	assert_int_equal(rig_from_peer(r, &relay[1], PEER6, 9, "x"), TP_SLOW_RELAYED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(send_reaches_the_peer_from_the_relayed_address),
		rig_test(send_is_discarded_for_the_first_fault),
		rig_test(send_needs_an_allocation_of_the_peers_family),
		rig_test(behind_nat_peers_are_met_at_the_inner_address),
		rig_test(what_is_due_is_over_for_the_peer_too),
		rig_test(data_refreshes_nothing),
		rig_test(dont_fragment_counts_from_ipv4_to_ipv4_only),
		rig_test(every_hop_takes_one_from_the_ttl),
		rig_test(a_send_that_fails_is_counted_and_changes_nothing),
		rig_test(peers_are_heard_by_permission_for_their_address),
		rig_test(a_data_indication_is_padded_with_zeroes),
		rig_test(what_no_indication_can_carry_is_dropped),
		rig_test(a_channel_carries_both_ways),
		rig_test(channel_data_is_as_long_as_it_says),
		rig_test(a_channel_is_its_own_five_tuples),
		rig_test(a_channel_whose_permission_ran_out_sends_and_does_not_receive),
		rig_test(a_peer_whose_channel_ran_out_is_heard_by_indication),
		rig_test(deleting_a_family_silences_it),
	};

	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
