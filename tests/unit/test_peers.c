/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a client may talk to: CreatePermission and ChannelBind, and the deadlines of both. */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define PEER "203.0.113.9"
#define PEER_B "203.0.113.10"
#define PEER6 "2001:db8:9::9"

static uint64_t in_sec(const struct rig *r, uint64_t sec)
{
	return r->now.mono_ns + sec * TP_NS_PER_SEC;
}

static void expire(struct rig *r)
{
	r->n_cleared = 0;
	tp_turn_expire(r->turn, r->now.mono_ns);
}

/* Alice with an IPv4 allocation of an hour. */
static struct rig_client start(struct rig *r)
{
	struct rig_client c = rig_alice(r, CLIENT, 4711);

	assert_int_equal(
			rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_LIFETIME("\0\0\x0e\x10")), 0);
	return c;
}

/* ---- which peers ---- */

struct peer_case {
	const char *what, *ip;
	uint16_t port;
	uint16_t permission, channel; /* error codes */
};

static void check_peers(struct rig *r, const struct peer_case cases[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct rig_client c = rig_alice(r, CLIENT, 4711);
		uint16_t permission, channel;

		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
		permission = rig_ask(r, &c, TP_STUN_CREATE_PERMISSION,
				RIG_PEER(cases[i].ip, cases[i].port));
		assert_int_equal(rig_counts(r).permissions, permission == 0);
		channel = rig_bind(r, &c, 0x4000, cases[i].ip, cases[i].port);
		assert_int_equal(rig_counts(r).channels, channel == 0);
		if (permission != cases[i].permission || channel != cases[i].channel)
			fail_msg("%s: %d, %d", cases[i].what, permission, channel);
		assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	}
}

/* RFC 8656 sections 10.2 and 12.2: 403; section 21.4: 6to4 and Teredo, whatever the lists say. */
static void the_policy_holds_for_permissions_and_channels(void **state)
{
	static const struct peer_case cases[] = {
		{ "public", PEER, 9, 0, 0 },
		{ "public, IPv6", PEER6, 9, 0, 0 },
		{ "permission needs no port, a channel does", PEER, 0, 0, 400 },
		{ "denied", "10.9.9.9", 9, 403, 403 },
		{ "denied, and allowed after all", "10.1.9.9", 9, 0, 0 },
		{ "loopback", "127.0.0.1", 9, 403, 403 },
		{ "any", "0.0.0.0", 9, 403, 403 },
		{ "broadcast", "255.255.255.255", 9, 403, 403 },
		{ "multicast", "224.0.0.251", 5353, 403, 403 },
		{ "multicast, IPv6", "ff02::fb", 5353, 403, 403 },
		{ "unspecified", "::", 9, 403, 403 },
		{ "loopback, IPv6", "::1", 9, 403, 403 },
		{ "v4-mapped", "::ffff:203.0.113.9", 9, 403, 403 },
		{ "v4-mapped loopback", "::ffff:127.0.0.1", 9, 403, 403 },
		{ "v4-compatible", "::203.0.113.9", 9, 403, 403 },
		{ "6to4", "2002:cb00:7109::1", 9, 403, 403 },
		{ "Teredo", "2001::1", 9, 403, 403 },
		{ "NAT64 of a public address", "64:ff9b::203.0.113.9", 9, 0, 0 },
		{ "NAT64 of a denied one", "64:ff9b::10.9.9.9", 9, 403, 403 },
		{ "NAT64 of loopback", "64:ff9b::127.0.0.1", 9, 403, 403 },
	};

	check_peers(*state, cases, N(cases));
}

/* ARCHITECTURE section 8: this host is reached by its relayed ports and not otherwise. */
static void own_addresses_are_denied_but_for_relayed_ports(void **state)
{
	static const struct peer_case cases[] = {
		{ "listener", "192.0.2.1", 3478, 403, 403 },
		{ "listener's address, relayed port", "192.0.2.1", RIG_PORT_MIN, 403, 403 },
		{ "listener, IPv6", "2001:db8::1", 3478, 403, 403 },
		{ "relay, lowest port", RIG_RELAY4, RIG_PORT_MIN, 0, 0 },
		{ "relay, highest port", RIG_RELAY4, RIG_PORT_MAX, 0, 0 },
		{ "relay, a port below", RIG_RELAY4, RIG_PORT_MIN - 1, 0, 403 },
		{ "relay, a port above", RIG_RELAY4, RIG_PORT_MAX + 1, 0, 403 },
		{ "relay, IPv6", RIG_RELAY6, RIG_PORT_MIN, 0, 0 },
		{ "relay, IPv6, another port", RIG_RELAY6, 22, 0, 403 },
		{ "NAT64 of the listener", "64:ff9b::192.0.2.1", 3478, 403, 403 },
		{ "NAT64 of the relay, another port", "64:ff9b::192.0.2.10", 22, 0, 403 },
	};

	check_peers(*state, cases, N(cases));
}

static void behind_nat_the_inner_address_is_denied(void **state)
{
	static const struct peer_case cases[] = {
		{ "outer", RIG_RELAY4, RIG_PORT_MIN, 0, 0 },
		{ "outer, another port", RIG_RELAY4, 3478, 0, 403 },
		{ "inner", RIG_LOCAL4, RIG_PORT_MIN, 403, 403 },
		{ "inner, IPv6", RIG_LOCAL6, RIG_PORT_MIN, 403, 403 },
		{ "NAT64 of the inner", "64:ff9b::10.0.0.5", RIG_PORT_MIN, 403, 403 },
	};
	struct rig *r = *state;

	rig_use_nat(r);
	r->conf.n_deny = 0;
	rig_restart(r);
	check_peers(r, cases, N(cases));
}

/* A relay's address may lie in a denied range: between its own clients it is right. */
static void a_denied_range_does_not_cut_off_the_relays_own_clients(void **state)
{
	static const struct peer_case cases[] = {
		{ "relay", RIG_RELAY4, RIG_PORT_MIN, 0, 0 },
		{ "its neighbour", "192.0.2.11", RIG_PORT_MIN, 403, 403 },
	};
	struct rig *r = *state;

	r->deny[0] = rig_prefix("192.0.2.0/24");
	rig_restart(r);
	check_peers(r, cases, N(cases));
}

/* ---- CreatePermission (RFC 8656 section 10.2) ---- */

static void create_permission_takes_all_or_nothing(void **state)
{
	static const struct {
		const char *what;
		uint16_t want;
		struct rig_attr attrs[4];
	} cases[] = {
		{ "no address", 400, { RIG_END } },
		{ "too short", 400, { RIG_RAW(XOR_PEER_ADDRESS, "\0\1\0\0\0\0\0") } },
		{ "IPv4 with IPv6's length", 400,
				{ RIG_RAW(XOR_PEER_ADDRESS, "\0\1\0\0aaaabbbbccccdddd") } },
		{ "family unheard of", 400, { RIG_RAW(XOR_PEER_ADDRESS, "\0\3\0\0aaaa") } },
		{ "the last one invalid", 400,
				{ RIG_PEER(PEER, 9), RIG_PEER(PEER_B, 9),
						RIG_RAW(XOR_PEER_ADDRESS, "") } },
		{ "the last one of the wrong family", 443,
				{ RIG_PEER(PEER, 9), RIG_PEER(PEER6, 9) } },
		{ "the first one of the wrong family", 443,
				{ RIG_PEER(PEER6, 9), RIG_PEER(PEER, 9) } },
		{ "the last one denied", 403, { RIG_PEER(PEER, 9), RIG_PEER("127.0.0.1", 9) } },
		{ "denied, then invalid", 400,
				{ RIG_PEER("127.0.0.1", 9), RIG_RAW(XOR_PEER_ADDRESS, "") } },
		{ "wrong family of a denied address", 443, { RIG_PEER("::1", 9) } },
	};
	struct rig *r = *state;
	const struct rig_client c = start(r);

	for (size_t i = 0; i < N(cases); i++) {
		if (rig_request(r, &c, TP_STUN_CREATE_PERMISSION, cases[i].attrs) != cases[i].want)
			fail_msg("%s", cases[i].what);
		assert_int_equal(rig_counts(r).permissions, 0);
	}
	assert_int_equal(rig_ask(r, &c, TP_STUN_CREATE_PERMISSION, RIG_PEER(PEER, 1),
					 RIG_PEER(PEER_B, 0), RIG_PEER(PEER, 2)),
			0);
	assert_int_equal(rig_counts(r).permissions, 2);
}

/* Section 9: MUST be 300 seconds */
static void a_permission_lasts_300_seconds(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = start(r);

	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_true(tp_turn_next_ns(r->turn) == in_sec(r, 300));
	rig_sleep(r, 200);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_counts(r).permissions, 1);
	rig_sleep(r, 299);
	expire(r);
	assert_int_equal(rig_counts(r).permissions, 1);
	rig_sleep(r, 1);
	expire(r);
	assert_int_equal(rig_counts(r).permissions, 0);
}

/* Section 9 */
static void permissions_end_with_their_allocation(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = start(r);

	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	assert_int_equal(rig_counts(r).permissions, 0);
	start(r);
	assert_int_equal(rig_counts(r).permissions, 0);
}

static uint16_t permit_many(struct rig *r, const struct rig_client *c, uint32_t from, uint32_t n)
{
	struct rig_message m;

	rig_begin(r, &m, TP_STUN_CREATE_PERMISSION, TP_STUN_REQUEST);
	for (uint32_t i = from; i < from + n; i++) {
		const uint8_t ip[4] = { 203, 0, (uint8_t)(i >> 8), (uint8_t)i };
		const struct tp_addr a = tp_addr_v4(ip, 0);

		tp_stun_put_xor_addr(&m.b, TP_STUN_ATTR_XOR_PEER_ADDRESS, &a);
	}
	rig_sign(&m, c);
	return rig_exchange(r, c, &m);
}

/* Section 10.2 */
static void too_many_permissions_are_508_and_none_is_installed(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = start(r);

	for (uint32_t i = 0; i < 990; i += 90)
		assert_int_equal(permit_many(r, &c, i, 90), 0);
	assert_int_equal(permit_many(r, &c, 990, 11), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_counts(r).permissions, 990);
	assert_int_equal(permit_many(r, &c, 990, 10), 0);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_counts(r).channels, 0);
	/* those that exist are refreshed all the same */
	assert_int_equal(permit_many(r, &c, 0, 90), 0);
}

/* ---- ChannelBind (section 12.2) ---- */

static void channel_bind_checks_number_and_peer(void **state)
{
	static const struct {
		const char *what;
		uint16_t want;
		bool is_legacy;
		struct rig_attr attrs[3];
	} cases[] = {
		{ "no number", 400, false, { RIG_PEER(PEER, 9) } },
		{ "no peer", 400, false, { RIG_CHANNEL("\x40\0") } },
		{ "number of two bytes", 400, false,
				{ RIG_RAW(CHANNEL_NUMBER, "\x40\0"), RIG_PEER(PEER, 9) } },
		{ "peer too short", 400, false,
				{ RIG_CHANNEL("\x40\0"), RIG_RAW(XOR_PEER_ADDRESS, "\0\1\0\0") } },
		{ "0x3fff", 400, false, { RIG_CHANNEL("\x3f\xff"), RIG_PEER(PEER, 9) } },
		{ "0x4000", 0, false, { RIG_CHANNEL("\x40\0"), RIG_PEER(PEER, 9) } },
		{ "0x4fff", 0, false, { RIG_CHANNEL("\x4f\xff"), RIG_PEER(PEER, 9) } },
		{ "0x5000", 400, false, { RIG_CHANNEL("\x50\0"), RIG_PEER(PEER, 9) } },
		{ "0xffff", 400, false, { RIG_CHANNEL("\xff\xff"), RIG_PEER(PEER, 9) } },
		{ "0x3fff of RFC 5766", 400, true, { RIG_CHANNEL("\x3f\xff"), RIG_PEER(PEER, 9) } },
		{ "0x5000 of RFC 5766", 0, true, { RIG_CHANNEL("\x50\0"), RIG_PEER(PEER, 9) } },
		{ "0x7fff of RFC 5766", 0, true, { RIG_CHANNEL("\x7f\xff"), RIG_PEER(PEER, 9) } },
		{ "0x8000 of RFC 5766", 400, true, { RIG_CHANNEL("\x80\0"), RIG_PEER(PEER, 9) } },
		{ "reserved bits are ignored", 0, false,
				{ RIG_RAW(CHANNEL_NUMBER, "\x40\0\1\1"), RIG_PEER(PEER, 9) } },
		{ "bad number before wrong family", 400, false,
				{ RIG_CHANNEL("\x30\0"), RIG_PEER(PEER6, 9) } },
		{ "wrong family before denied", 443, false,
				{ RIG_CHANNEL("\x40\0"), RIG_PEER("::1", 9) } },
		{ "denied", 403, false, { RIG_CHANNEL("\x40\0"), RIG_PEER("127.0.0.1", 9) } },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct rig_client c;

		r->conf.legacy_channels = cases[i].is_legacy;
		rig_restart(r);
		c = start(r);
		if (rig_request(r, &c, TP_STUN_CHANNEL_BIND, cases[i].attrs) != cases[i].want)
			fail_msg("%s", cases[i].what);
		assert_int_equal(rig_counts(r).channels, cases[i].want == 0);
		assert_int_equal(rig_counts(r).permissions, cases[i].want == 0);
		assert_int_equal(r->n_channels, cases[i].want == 0);
	}
}

/* Section 12.2: 400; a binding is for 600 seconds. */
static void number_and_peer_belong_together_while_bound(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = start(r), other = rig_alice(r, CLIENT, 4712);

	rig_allocate(r, &other);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 10), TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER_B, 9), TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_bind(r, &c, 0x4001, PEER, 9), TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_bind(r, &c, 0x4001, PEER, 10), 0);
	/* both bound, each to another */
	assert_int_equal(rig_bind(r, &c, 0x4001, PEER, 9), TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_bind(r, &other, 0x4000, PEER, 10), 0);
	assert_int_equal(rig_counts(r).channels, 3);

	/* a refusal moves no deadline */
	rig_sleep(r, 599);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER_B, 9), TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_counts(r).permissions, 0);
	rig_sleep(r, 1);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER_B, 9), 0);
	assert_int_equal(rig_bind(r, &c, 0x4001, PEER, 9), 0);
}

/* Section 12.2 */
static void too_many_channels_are_508_and_give_no_permission(void **state)
{
	struct rig *r = *state;
	struct rig_client c;

	r->conf.max_channels = 1;
	rig_restart(r);
	c = start(r);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(rig_bind(r, &c, 0x4001, PEER_B, 9), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_counts(r).permissions, 1);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	rig_sleep(r, 600);
	assert_int_equal(rig_bind(r, &c, 0x4001, PEER_B, 9), 0);
}

static void a_channel_is_published_before_it_is_answered(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = start(r);
	struct tp_addr relay;

	rig_use_nat(r);
	rig_restart(r);
	start(r);
	relay = rig_relayed(r, TP_IPV4);
	assert_int_equal(rig_bind(r, &c, 0x4007, PEER, 9), 0);
	assert_true(r->is_set_before_sent);
	assert_int_equal(r->channel.number, 0x4007);
	assert_memory_equal(&r->channel.tuple, &c.tuple, sizeof(c.tuple));
	assert_memory_equal(&r->channel.relay_external, &relay, sizeof(relay));
	relay = rig_local(r, &relay);
	assert_memory_equal(&r->channel.relay_local, &relay, sizeof(relay));
	assert_int_equal(r->channel.relay, 0);
	relay = rig_addr(PEER, 9);
	assert_memory_equal(&r->channel.peer, &relay, sizeof(relay));
	assert_memory_equal(&r->channel.peer_local, &relay, sizeof(relay));
	assert_false(r->channel.is_hairpin);
}

/* ---- which deadline wins ---- */

static void assert_deadlines(const struct rig *r, uint64_t up_ns, uint64_t down_ns)
{
	assert_true(r->n_set > 0);
	if (r->channel.up_deadline_ns != up_ns || r->channel.down_deadline_ns != down_ns)
		fail_msg("up %llu, down %llu seconds from now",
				(unsigned long long)(r->channel.up_deadline_ns - r->now.mono_ns) /
						TP_NS_PER_SEC,
				(unsigned long long)(r->channel.down_deadline_ns - r->now.mono_ns) /
						TP_NS_PER_SEC);
}

/* Sections 9 and 12.  Up: binding and allocation.  Down: the permission as well. */
static void channel_deadlines_follow_binding_permission_and_allocation(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);
	uint64_t t0, t1;

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), 0); /* 600 s */
	rig_sleep(r, 100);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	t0 = in_sec(r, 0);
	/* the allocation ends first */
	assert_deadlines(r, t0 + 500 * TP_NS_PER_SEC, t0 + 300 * TP_NS_PER_SEC);

	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\x0e\x10")), 0);
	assert_deadlines(r, t0 + 600 * TP_NS_PER_SEC, t0 + 300 * TP_NS_PER_SEC);

	/* CreatePermission moves down only, and for every port of that address */
	rig_sleep(r, 250);
	assert_int_equal(rig_bind(r, &c, 0x4001, PEER, 10), 0);
	rig_sleep(r, 40);
	assert_int_equal(rig_permit(r, &c, PEER_B), 0);
	assert_int_equal(r->n_set, 0);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(r->n_set, 2);
	t1 = in_sec(r, 0);
	if (r->channel.number == 0x4000)
		assert_deadlines(r, t0 + 600 * TP_NS_PER_SEC, t1 + 300 * TP_NS_PER_SEC);
	else
		assert_deadlines(r, t1 + 560 * TP_NS_PER_SEC, t1 + 300 * TP_NS_PER_SEC);

	/* binding again moves both */
	rig_sleep(r, 100);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_deadlines(r, in_sec(r, 600), in_sec(r, 300));
}

static void a_channel_without_permission_has_no_way_down(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = start(r);
	uint64_t t0;

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	t0 = in_sec(r, 0);
	rig_sleep(r, 300);
	expire(r);
	assert_int_equal(rig_counts(r).permissions, 0);
	assert_int_equal(rig_counts(r).channels, 1);
	/* told again, as the allocation moves */
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\x0e\x10")), 0);
	assert_deadlines(r, t0 + 600 * TP_NS_PER_SEC, 0);
	/* CreatePermission gives it back, once */
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_deadlines(r, t0 + 600 * TP_NS_PER_SEC, t0 + 600 * TP_NS_PER_SEC);
	assert_int_equal(rig_counts(r).permissions, 1);
	rig_sleep(r, 299);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	rig_sleep(r, 1);
	expire(r);
	assert_int_equal(r->n_cleared, 1);
	assert_int_equal(rig_counts(r).permissions, 1);
	rig_sleep(r, 299);
	expire(r);
	assert_int_equal(rig_counts(r).permissions, 0);
}

static void a_shorter_life_of_the_allocation_shortens_its_channels(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = start(r);

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	rig_sleep(r, 250);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_deadlines(r, in_sec(r, 600), in_sec(r, 300));
	/* from an hour to the default, which ends with the binding */
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
	rig_sleep(r, 500);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_deadlines(r, in_sec(r, 100), in_sec(r, 100));
	rig_sleep(r, 100);
	expire(r);
	assert_int_equal(r->n_cleared, 1);
	assert_int_equal(rig_counts(r).allocations, 0);
	assert_int_equal(rig_counts(r).permissions, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(the_policy_holds_for_permissions_and_channels),
		rig_test(own_addresses_are_denied_but_for_relayed_ports),
		rig_test(behind_nat_the_inner_address_is_denied),
		rig_test(a_denied_range_does_not_cut_off_the_relays_own_clients),
		rig_test(create_permission_takes_all_or_nothing),
		rig_test(a_permission_lasts_300_seconds),
		rig_test(permissions_end_with_their_allocation),
		rig_test(too_many_permissions_are_508_and_none_is_installed),
		rig_test(channel_bind_checks_number_and_peer),
		rig_test(number_and_peer_belong_together_while_bound),
		rig_test(too_many_channels_are_508_and_give_no_permission),
		rig_test(a_channel_is_published_before_it_is_answered),
		rig_test(channel_deadlines_follow_binding_permission_and_allocation),
		rig_test(a_channel_without_permission_has_no_way_down),
		rig_test(a_shorter_life_of_the_allocation_shortens_its_channels),
	};

	return cmocka_run_group_tests_name("peers", tests, NULL, NULL);
}
