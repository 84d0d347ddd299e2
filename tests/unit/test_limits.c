/* SPDX-License-Identifier: Apache-2.0 */
/* Limits as clients meet them: RFC 8656 section 7.2 (486, 508), sections 10.2 and 12.2 (508). */
#include "turn_client.h"

#include "turn/flood.h"

#define CLIENT "198.51.100.1"
#define RELAYED_PEER "203.0.113.9"

static const uint64_t *refused(const struct rig *r)
{
	return tp_turn_refused(r->turn)->why;
}

static uint64_t errors(const struct rig *r, uint16_t code)
{
	return tp_turn_refused(r->turn)->code[code - TP_TURN_ERROR_MIN];
}

static void set_limits(struct rig *r, struct tp_turn_limits limits)
{
	assert_int_equal(tp_turn_set_limits(r->turn, &limits), 0);
}

static struct rig_client bob(struct rig *r, uint16_t port)
{
	struct rig_client c = rig_client_of(CLIENT, port, "bob", "builder");

	rig_learn(r, &c);
	return c;
}

/* ---- allocations per user ---- */

static uint16_t allocate(struct rig *r, const struct rig_client *c)
{
	return rig_ask(r, c, TP_STUN_ALLOCATE, RIG_UDP);
}

static void one_allocation_too_many_is_486_for_that_user_only(void **state)
{
	struct rig *r = *state;
	struct rig_client a[3], b = bob(r, 9);

	set_limits(r, (struct tp_turn_limits){ .allocations_per_user = 2 });
	for (uint16_t i = 0; i < 3; i++)
		a[i] = rig_alice(r, CLIENT, (uint16_t)(i + 1));
	assert_int_equal(allocate(r, &a[0]), 0);
	assert_int_equal(allocate(r, &a[1]), 0);
	assert_int_equal(allocate(r, &a[2]), TP_STUN_QUOTA_REACHED);
	assert_int_equal(refused(r)[TP_TURN_REFUSED_USER_ALLOCATIONS], 1);
	assert_int_equal(errors(r, 486), 1);
	assert_int_equal(allocate(r, &b), 0);
	assert_int_equal(rig_counts(r).users, 2);
	/* what it has goes on */
	assert_int_equal(rig_ask(r, &a[1], TP_STUN_REFRESH, RIG_NONE), 0);
}

/* USERHASH is another way to say who he is, not another user. */
static void who_hides_his_name_has_the_same_quota(void **state)
{
	struct rig *r = *state;
	struct rig_client a[3];

	set_limits(r, (struct tp_turn_limits){ .allocations_per_user = 2 });
	for (uint16_t i = 0; i < 3; i++) {
		a[i] = rig_alice(r, CLIENT, (uint16_t)(i + 1));
		if (i != 1) {
			a[i].algorithm = TP_ALGORITHM_SHA256;
			a[i].is_hashed = true;
		}
	}
	assert_int_equal(allocate(r, &a[0]), 0);
	assert_int_equal(allocate(r, &a[1]), 0);
	assert_int_equal(rig_counts(r).users, 1);
	assert_int_equal(allocate(r, &a[2]), TP_STUN_QUOTA_REACHED);
	assert_int_equal(rig_ask(r, &a[0], TP_STUN_REFRESH, RIG_DELETE), 0);
	assert_int_equal(allocate(r, &a[2]), 0);
}

enum way {
	BY_DELETION,
	BY_EXPIRY,
	BY_BOTH_LEGS
};

/*
 * RFC 8656 section 5: every way an allocation ends gives the quota back; what only looks like one
 * does not.
 */
static void the_quota_is_free_when_the_allocation_is(void **state)
{
	struct rig *r = *state;
	struct rig_client a, b;

	set_limits(r, (struct tp_turn_limits){ .allocations_per_user = 1 });
	for (enum way way = BY_DELETION; way <= BY_BOTH_LEGS; way++) {
		a = rig_alice(r, CLIENT, 1);
		b = rig_alice(r, CLIENT, 2);
		if (way == BY_BOTH_LEGS)
			assert_int_equal(rig_ask(r, &a, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
		else
			assert_int_equal(allocate(r, &a), 0);
		assert_int_equal(allocate(r, &b), TP_STUN_QUOTA_REACHED);
		/* a refused request of the same five-tuple changes nothing */
		assert_int_equal(allocate(r, &a), TP_STUN_ALLOCATION_MISMATCH);
		assert_int_equal(allocate(r, &b), TP_STUN_QUOTA_REACHED);
		if (way == BY_EXPIRY) {
			rig_sleep(r, TP_TURN_LIFETIME_SEC);
		} else if (way == BY_BOTH_LEGS) {
			assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_DELETE, RIG_IPV6), 0);
			assert_int_equal(allocate(r, &b), TP_STUN_QUOTA_REACHED);
			assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_DELETE, RIG_IPV4), 0);
		} else {
			assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_DELETE), 0);
		}
		assert_int_equal(allocate(r, &b), 0);
		assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, RIG_DELETE), 0);
		assert_int_equal(rig_counts(r).users, 0);
	}
}

/* A port that is kept aside outlives its allocation (section 7.2), and is somebody's, too. */
static void who_has_his_quota_of_reserved_ports_gets_no_more(void **state)
{
	const struct rig_attr pair = RIG_RAW(EVEN_PORT, "\x80");
	struct rig *r = *state;
	struct rig_client a = rig_alice(r, CLIENT, 1), b = bob(r, 9);

	set_limits(r, (struct tp_turn_limits){ .allocations_per_user = 2 });
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 2; i++) {
			assert_int_equal(rig_ask(r, &a, TP_STUN_ALLOCATE, RIG_UDP, pair), 0);
			assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_DELETE), 0);
		}
		assert_int_equal(rig_ask(r, &a, TP_STUN_ALLOCATE, RIG_UDP, pair),
				TP_STUN_QUOTA_REACHED);
		assert_int_equal(rig_counts(r).reservations, 2);
		assert_int_equal(rig_counts(r).users, 0);
		/* without one he gets what he may have, and others are not concerned */
		assert_int_equal(allocate(r, &a), 0);
		assert_int_equal(rig_counts(r).users, 1);
		assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_DELETE), 0);
		assert_int_equal(rig_ask(r, &b, TP_STUN_ALLOCATE, RIG_UDP, pair), 0);
		assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, RIG_DELETE), 0);
		rig_sleep(r, TP_TURN_RESERVATION_SEC);
	}
	assert_int_equal(refused(r)[TP_TURN_REFUSED_USER_ALLOCATIONS], 2);
}

/* No port was free: the allocation that was begun takes nothing with it. */
static void an_allocation_that_fails_costs_no_quota(void **state)
{
	struct rig *r = *state;
	struct rig_client first, second, b;

	r->conf.port_max = RIG_PORT_MIN;
	r->conf.limits.allocations_per_user = 1;
	rig_restart(r);
	b = bob(r, 9);
	first = rig_alice(r, CLIENT, 1);
	second = rig_alice(r, CLIENT, 2);
	assert_int_equal(allocate(r, &b), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(allocate(r, &first), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(refused(r)[TP_TURN_REFUSED_PORTS], 3);
	assert_int_equal(rig_counts(r).users, 1);
	assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, RIG_DELETE), 0);
	assert_int_equal(allocate(r, &second), 0);
}

static void time_limited_names_count_by_their_id(void **state)
{
	struct rig *r = *state;
	struct rig_client c[3];

	set_limits(r, (struct tp_turn_limits){ .allocations_per_user = 1 });
	for (uint16_t i = 0; i < 3; i++) {
		char name[32];

		c[i] = rig_client_of(CLIENT, (uint16_t)(i + 1), "", "");
		snprintf(name, sizeof(name), "%u:%s", 1700003600u + i, i < 2 ? "carol" : "dave");
		rig_use_secret(&c[i], name, RIG_SECRET_NEW);
		rig_learn(r, &c[i]);
	}
	assert_int_equal(allocate(r, &c[0]), 0);
	assert_int_equal(allocate(r, &c[1]), TP_STUN_QUOTA_REACHED);
	assert_int_equal(allocate(r, &c[2]), 0);
}

static void names_that_do_not_authenticate_are_not_stored(void **state)
{
	struct rig *r = *state;

	set_limits(r, (struct tp_turn_limits){ .allocations_per_user = 1 });
	for (uint16_t i = 0; i < 1000; i++) {
		struct rig_client c = rig_alice(r, CLIENT, (uint16_t)(i + 1));

		snprintf(c.user, sizeof(c.user), "nobody%u", i);
		assert_int_equal(allocate(r, &c), TP_STUN_UNAUTHENTICATED);
	}
	assert_int_equal(rig_counts(r).users, 0);
}

static void a_full_server_is_508_and_counted(void **state)
{
	struct rig *r = *state;
	struct rig_client a, b;

	r->conf.max_allocations = 1;
	rig_restart(r);
	a = rig_alice(r, CLIENT, 1);
	b = rig_alice(r, CLIENT, 2);
	assert_int_equal(allocate(r, &a), 0);
	assert_int_equal(allocate(r, &b), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(refused(r)[TP_TURN_REFUSED_ALLOCATIONS], 1);
}

/* ---- of one allocation ---- */

static uint16_t bind_channel(struct rig *r, const struct rig_client *c, uint8_t number,
		const char *ip, uint16_t port)
{
	const uint8_t be[4] = { 0x40, number };

	return rig_ask(r, c, TP_STUN_CHANNEL_BIND, RIG_PEER(ip, port),
			{ .type = TP_STUN_ATTR_CHANNEL_NUMBER, .len = 4, .data = be });
}

static void too_many_channels_of_one_allocation_are_508(void **state)
{
	struct rig *r = *state;
	const struct rig_client a = rig_alice(r, CLIENT, 1), b = bob(r, 2);

	set_limits(r, (struct tp_turn_limits){ .channels_per_allocation = 2 });
	rig_allocate(r, &a);
	rig_allocate(r, &b);
	assert_int_equal(bind_channel(r, &a, 1, RELAYED_PEER, 1), 0);
	assert_int_equal(bind_channel(r, &a, 2, RELAYED_PEER, 2), 0);
	assert_int_equal(bind_channel(r, &a, 3, RELAYED_PEER, 3), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(refused(r)[TP_TURN_REFUSED_ALLOCATION_CHANNELS], 1);
	assert_int_equal(bind_channel(r, &a, 2, RELAYED_PEER, 2), 0);
	assert_int_equal(bind_channel(r, &b, 1, RELAYED_PEER, 1), 0);
	/* lowered below what is there: that stays, and can be refreshed */
	set_limits(r, (struct tp_turn_limits){ .channels_per_allocation = 1 });
	assert_int_equal(bind_channel(r, &a, 2, RELAYED_PEER, 2), 0);
	assert_int_equal(bind_channel(r, &a, 4, RELAYED_PEER, 4), TP_STUN_INSUFFICIENT_CAPACITY);
}

static void too_many_permissions_of_one_allocation_are_508_and_none_is_installed(void **state)
{
	struct rig *r = *state;
	const struct rig_client a = rig_alice(r, CLIENT, 1);

	set_limits(r, (struct tp_turn_limits){ .permissions_per_allocation = 2 });
	rig_allocate(r, &a);
	assert_int_equal(rig_ask(r, &a, TP_STUN_CREATE_PERMISSION, RIG_PEER("203.0.113.1", 0)), 0);
	assert_int_equal(rig_ask(r, &a, TP_STUN_CREATE_PERMISSION, RIG_PEER("203.0.113.2", 0),
					 RIG_PEER("203.0.113.3", 0)),
			TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_counts(r).permissions, 1);
	assert_int_equal(refused(r)[TP_TURN_REFUSED_ALLOCATION_PERMISSIONS], 1);
	assert_int_equal(rig_ask(r, &a, TP_STUN_CREATE_PERMISSION, RIG_PEER("203.0.113.1", 0),
					 RIG_PEER("203.0.113.2", 0)),
			0);
	assert_int_equal(bind_channel(r, &a, 1, "203.0.113.3", 1), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_counts(r).channels, 0);
}

/* A peer that is named twice is one peer: RFC 8656 section 10.2 installs or refreshes. */
static void a_peer_that_is_named_twice_counts_once(void **state)
{
	struct rig *r = *state;
	const struct rig_client a = rig_alice(r, CLIENT, 1);

	set_limits(r,
			(struct tp_turn_limits){
					.permissions_per_allocation = 2, .new_peers_per_sec = 1 });
	rig_allocate(r, &a);
	assert_int_equal(rig_ask(r, &a, TP_STUN_CREATE_PERMISSION, RIG_PEER("203.0.113.1", 0),
					 RIG_PEER("203.0.113.2", 1), RIG_PEER("203.0.113.1", 2),
					 RIG_PEER("203.0.113.2", 3), RIG_PEER("203.0.113.2", 3)),
			0);
	assert_int_equal(rig_counts(r).permissions, 2);
	assert_int_equal(rig_ask(r, &a, TP_STUN_CREATE_PERMISSION, RIG_PEER("203.0.113.1", 0),
					 RIG_PEER("203.0.113.3", 0), RIG_PEER("203.0.113.3", 0)),
			TP_STUN_INSUFFICIENT_CAPACITY);
	set_limits(r, (struct tp_turn_limits){ .new_peers_per_sec = 1 });
	/* eight of the ten are left */
	for (uint8_t i = 3; i <= 10; i++) {
		char ip[32];

		snprintf(ip, sizeof(ip), "203.0.113.%u", i);
		assert_int_equal(rig_ask(r, &a, TP_STUN_CREATE_PERMISSION, RIG_PEER(ip, 0),
						 RIG_PEER(ip, 1)),
				0);
	}
	assert_int_equal(rig_permit(r, &a, "203.0.113.11"), TP_STUN_INSUFFICIENT_CAPACITY);
}

static uint16_t permit_number(struct rig *r, const struct rig_client *c, uint32_t i)
{
	char ip[TP_ADDR_STRLEN];

	snprintf(ip, sizeof(ip), "203.0.%u.%u", i / 200, i % 200 + 1);
	return rig_ask(r, c, TP_STUN_CREATE_PERMISSION, RIG_PEER(ip, 0));
}

static void new_peers_have_a_rate_and_old_ones_none(void **state)
{
	const uint32_t per_sec = 3, burst = per_sec * TP_TURN_NEW_PEERS_BURST_SEC;
	struct rig *r = *state;
	const struct rig_client a = rig_alice(r, CLIENT, 1), b = bob(r, 2);
	uint32_t i;

	set_limits(r, (struct tp_turn_limits){ .new_peers_per_sec = per_sec });
	rig_allocate(r, &a);
	rig_allocate(r, &b);
	for (i = 0; i < burst; i++)
		assert_int_equal(permit_number(r, &a, i), 0);
	assert_int_equal(permit_number(r, &a, i), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(bind_channel(r, &a, 1, "203.0.113.1", 1), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(refused(r)[TP_TURN_REFUSED_NEW_PEERS], 2);
	assert_int_equal(permit_number(r, &a, 0), 0);
	assert_int_equal(permit_number(r, &b, i), 0);
	/* another channel to a permitted address is a new peer as well: ports can be searched */
	assert_int_equal(bind_channel(r, &a, 1, "203.0.0.1", 1), TP_STUN_INSUFFICIENT_CAPACITY);
	rig_sleep(r, 1);
	assert_int_equal(
			bind_channel(r, &a, 1, "203.0.113.1", 1), 0); /* one, with its permission */
	assert_int_equal(bind_channel(r, &a, 1, "203.0.113.1", 1), 0);
	assert_int_equal(permit_number(r, &a, i), 0);
	assert_int_equal(bind_channel(r, &a, 2, "203.0.0.1", 1), 0);
	assert_int_equal(permit_number(r, &a, i + 1), TP_STUN_INSUFFICIENT_CAPACITY);
}

/* ---- who has not authenticated ---- */

#define RATE 2u
#define BURST (RATE * TP_FLOOD_BURST_SEC)

static enum tp_slow_verdict knock(struct rig *r, const struct rig_client *c, uint16_t method)
{
	struct rig_message m;

	rig_begin(r, &m, method, TP_STUN_REQUEST);
	if (method == TP_STUN_ALLOCATE)
		rig_put(&m, (const struct rig_attr[]){ RIG_UDP, RIG_END });
	return rig_datagram(r, c, m.buf, tp_stun_finish(&m.b));
}

static enum tp_slow_verdict signed_allocate(struct rig *r, const struct rig_client *c)
{
	struct rig_message m;

	rig_begin(r, &m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
	rig_put(&m, (const struct rig_attr[]){ RIG_UDP, RIG_END });
	rig_sign(&m, c);
	return rig_datagram(r, c, m.buf, tp_stun_finish(&m.b));
}

/* Its source's tokens are gone; what has proved itself does not notice. */
static void spend_source(struct rig *r, const struct rig_client *c)
{
	uint32_t n = 0;

	while (knock(r, c, TP_STUN_BINDING) == TP_SLOW_ANSWERED)
		n++;
	assert_true(n <= BURST);
}

static void answers_to_a_source_are_bounded_whatever_it_asks(void **state)
{
	static const uint16_t method[] = { TP_STUN_BINDING, TP_STUN_ALLOCATE, TP_STUN_REFRESH };
	struct rig *r = *state;
	uint32_t n = 0;

	set_limits(r, (struct tp_turn_limits){ .unauthenticated_per_source = RATE });
	for (uint16_t i = 0; i < 300; i++) {
		const struct rig_client c = rig_client_of(CLIENT, (uint16_t)(i + 1), "", "");

		n += knock(r, &c, method[i % N(method)]) == TP_SLOW_ANSWERED;
	}
	assert_int_equal(n, BURST);
}

static void the_total_is_for_those_who_may_be_forged(void **state)
{
	struct rig *r = *state;
	struct rig_client real = rig_alice(r, CLIENT, 1), stranger;

	set_limits(r, (struct tp_turn_limits){ .unauthenticated_total = 1 });
	stranger = rig_client_of("198.51.100.2", 1, "", "");
	assert_int_equal(knock(r, &stranger, TP_STUN_ALLOCATE), TP_SLOW_ANSWERED);
	assert_int_equal(knock(r, &stranger, TP_STUN_ALLOCATE), TP_SLOW_DROP_TOTAL_RATE);
	/* wrong, but it is there: its nonce came back */
	snprintf(real.password, sizeof(real.password), "wrong");
	assert_int_equal(signed_allocate(r, &real), TP_SLOW_ANSWERED);
	/* a nonce that is not ours proves nothing */
	real.nonce[12] ^= 1;
	assert_int_equal(signed_allocate(r, &real), TP_SLOW_DROP_TOTAL_RATE);
}

/* A neighbour behind the same NAT floods: who knows the password logs in, stays and goes. */
static void who_authenticates_does_not_suffer_for_the_address(void **state)
{
	struct rig *r = *state;
	const struct rig_client a = rig_alice(r, CLIENT, 1);
	struct rig_client guesser;

	set_limits(r, (struct tp_turn_limits){ .unauthenticated_per_source = RATE });
	guesser = rig_client_of(CLIENT, 2, "alice", "guess");
	rig_learn(r, &guesser);
	spend_source(r, &guesser);
	for (int i = 0; i < 100; i++)
		assert_int_not_equal(signed_allocate(r, &guesser), TP_SLOW_ANSWERED);
	assert_int_equal(signed_allocate(r, &guesser), TP_SLOW_DROP_TRY_RATE);
	assert_int_equal(allocate(r, &a), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_NONE), 0);
	/* refusals that carry MESSAGE-INTEGRITY are none of this either */
	for (int i = 0; i < 100; i++)
		assert_int_equal(rig_ask(r, &a, TP_STUN_CREATE_PERMISSION, RIG_NONE),
				TP_STUN_BAD_REQUEST);
}

/* The hour of its nonce is over, and the address has no tokens: it still hears of it. */
static void owner_hears_of_its_stale_nonce(struct rig *r, bool is_hashed)
{
	struct rig_client a = rig_alice(r, CLIENT, 1), guesser = rig_client_of(CLIENT, 2, "", "");

	a.is_hashed = is_hashed;
	a.algorithm = is_hashed ? TP_ALGORITHM_SHA256 : 0;
	set_limits(r, (struct tp_turn_limits){ .unauthenticated_per_source = RATE });
	assert_int_equal(allocate(r, &a), 0);
	for (int i = 0; i < 8; i++) {
		rig_sleep(r, 500);
		if (rig_ask(r, &a, TP_STUN_REFRESH, RIG_NONE) == 0)
			continue;
		spend_source(r, &guesser);
		assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_NONE), TP_STUN_STALE_NONCE);
		rig_keep_challenge(r, &a);
		assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_NONE), 0);
		assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_DELETE), 0);
		return;
	}
	fail_msg("the nonce never became stale");
}

static void the_owner_of_an_allocation_hears_of_its_stale_nonce(void **state)
{
	owner_hears_of_its_stale_nonce(*state, false);
}

static void so_does_who_hides_his_name(void **state)
{
	owner_hears_of_its_stale_nonce(*state, true);
}

/* An office behind one NAT begins its day: 500 people within a second, at the default. */
static void an_office_logs_in_at_once(void **state)
{
	struct rig *r = *state;

	r->conf.max_allocations = 1000;
	r->conf.port_max = RIG_PORT_MIN + 999;
	r->conf.limits.unauthenticated_per_source = 200;
	r->conf.limits.unauthenticated_total = 50000;
	rig_restart(r);
	for (uint16_t i = 0; i < 500; i++) {
		struct rig_client c =
				rig_client_of(CLIENT, (uint16_t)(1000 + i), "alice", "wonder");

		assert_int_equal(knock(r, &c, TP_STUN_BINDING), TP_SLOW_ANSWERED);
		rig_learn(r, &c);
		assert_int_equal(allocate(r, &c), 0);
		r->now.mono_ns += 2 * TP_NS_PER_MS;
	}
}

/* ---- sizes: nobody is served as an amplifier ---- */

static void a_binding_answer_is_at_most_one_point_six_times_its_request(void **state)
{
	static const char *const ips[] = { CLIENT, "2001:db8:1::1" };
	struct rig *r = *state;

	for (size_t i = 0; i < N(ips); i++) {
		const struct rig_client c = rig_client_of(ips[i], 1, "", "");
		/* the headers below UDP count as well: they are sent */
		const size_t head = i == 0 ? 20 + 8 : 40 + 8;
		struct rig_message m;
		size_t len;

		rig_begin(r, &m, TP_STUN_BINDING, TP_STUN_REQUEST);
		len = tp_stun_finish(&m.b);
		assert_int_equal(len, TP_STUN_HDR_LEN); /* the smallest there is */
		assert_int_equal(rig_datagram(r, &c, m.buf, len), TP_SLOW_ANSWERED);
		assert_true(10 * (r->sent[0].len + head) <= 16 * (len + head));
		if (i == 0)
			assert_true(10 * r->sent[0].len <= 16 * len);
	}
}

static void the_first_401_is_at_most_200_bytes(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_client_of("2001:db8:1::1", 1, "", "");

	assert_int_equal(knock(r, &c, TP_STUN_ALLOCATE), TP_SLOW_ANSWERED);
	assert_true(r->sent[0].len <= 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(one_allocation_too_many_is_486_for_that_user_only),
		rig_test(who_hides_his_name_has_the_same_quota),
		rig_test(the_quota_is_free_when_the_allocation_is),
		rig_test(who_has_his_quota_of_reserved_ports_gets_no_more),
		rig_test(an_allocation_that_fails_costs_no_quota),
		rig_test(time_limited_names_count_by_their_id),
		rig_test(names_that_do_not_authenticate_are_not_stored),
		rig_test(a_full_server_is_508_and_counted),
		rig_test(too_many_channels_of_one_allocation_are_508),
		rig_test(too_many_permissions_of_one_allocation_are_508_and_none_is_installed),
		rig_test(a_peer_that_is_named_twice_counts_once),
		rig_test(new_peers_have_a_rate_and_old_ones_none),
		rig_test(answers_to_a_source_are_bounded_whatever_it_asks),
		rig_test(the_total_is_for_those_who_may_be_forged),
		rig_test(who_authenticates_does_not_suffer_for_the_address),
		rig_test(the_owner_of_an_allocation_hears_of_its_stale_nonce),
		rig_test(so_does_who_hides_his_name),
		rig_test(an_office_logs_in_at_once),
		rig_test(a_binding_answer_is_at_most_one_point_six_times_its_request),
		rig_test(the_first_401_is_at_most_200_bytes),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
