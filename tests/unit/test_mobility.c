/* SPDX-License-Identifier: Apache-2.0 */
/* Mobility (RFC 8016).  Clients at A go to B, C, or over IPv6. */
#include "turn_client.h"

#define AT_A "198.51.100.7"
#define AT_B "198.51.100.8"
#define AT_C "198.51.100.9"
#define AT_6 "2001:db8:7::7"
#define PEER "203.0.113.9"
#define WANTED RIG_RAW(MOBILITY_TICKET, "")

struct ticket {
	size_t len;
	uint8_t data[128];
};

#define TICKET(t)                                                                      \
	{                                                                              \
		.type = TP_STUN_ATTR_MOBILITY_TICKET, .len = (t).len, .data = (t).data \
	}

static struct ticket ticket_of(const struct rig *r)
{
	const struct tp_stun_value *v = &r->answer.attr[TP_STUN_MOBILITY_TICKET_AT];
	struct ticket t = { .len = v->len };

	assert_true(v->data != NULL && v->len > 0 && v->len <= sizeof(t.data));
	memcpy(t.data, v->data, v->len);
	return t;
}

static struct rig_client start(struct rig *r, struct ticket *t)
{
	struct rig_client c;

	r->conf.mobility = true;
	rig_restart(r);
	c = rig_alice(r, AT_A, 1);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, WANTED), 0);
	*t = ticket_of(r);
	return c;
}

/* The relayed address of the last answer, as the host calls it. */
static struct tp_addr relayed(const struct rig *r)
{
	const struct tp_addr a = rig_relayed(r, TP_IPV4);

	return rig_local(r, &a);
}

static uint16_t move(struct rig *r, const struct rig_client *c, const struct ticket *t)
{
	return rig_ask(r, c, TP_STUN_REFRESH, TICKET(*t));
}

/* Section 3.1.2 */
static void an_empty_ticket_in_allocate_asks_for_one(void **state)
{
	struct rig *r = *state;
	struct rig_client c = rig_alice(r, AT_A, 1), d;
	struct ticket t;

	/* forbidden unless configured */
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, WANTED),
			TP_STUN_MOBILITY_FORBIDDEN);
	assert_int_equal(
			rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_RAW(MOBILITY_TICKET, "some")),
			TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_counts(r).allocations, 0);

	c = start(r, &t);
	/* RFC 8489 section 6.1: below what any path carries */
	assert_in_range(t.len, 16, 200);
	assert_int_equal(rig_counts(r).mobile, 1);
	d = rig_alice(r, AT_B, 1);
	assert_int_equal(
			rig_ask(r, &d, TP_STUN_ALLOCATE, RIG_UDP, RIG_RAW(MOBILITY_TICKET, "some")),
			TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_ask(r, &d, TP_STUN_ALLOCATE, RIG_UDP, TICKET(t)), TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_ask(r, &d, TP_STUN_ALLOCATE, RIG_UDP), 0);
	assert_false(tp_stun_has(&r->answer, TP_STUN_MOBILITY_TICKET_AT));
	assert_int_equal(rig_counts(r).mobile, 1);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_DELETE), 0);
	assert_int_equal(rig_counts(r).mobile, 0);
}

/* Section 3.2.2, each refusal, with the allocation untouched. */
static void a_claim_is_checked(void **state)
{
	struct rig *r = *state;
	struct ticket first, bad, gone;
	struct rig_client a = start(r, &first), b, bob, other;
	const struct tp_addr relay = relayed(r);

	b = rig_alice(r, AT_B, 1);
	for (size_t bit = 0; bit < 8 * first.len; bit += 7) {
		bad = first;
		bad.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(move(r, &b, &bad), TP_STUN_BAD_REQUEST);
	}
	bad = first;
	bad.len--;
	assert_int_equal(move(r, &b, &bad), TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, WANTED), TP_STUN_BAD_REQUEST);
	/* where it is already */
	assert_int_equal(move(r, &a, &first), TP_STUN_BAD_REQUEST);
	/* another user, and who knows no password */
	bob = rig_client_of(AT_B, 1, "bob", "builder");
	rig_learn(r, &bob);
	assert_int_equal(move(r, &bob, &first), TP_STUN_WRONG_CREDENTIALS);
	snprintf(b.password, sizeof(b.password), "guess");
	assert_int_equal(move(r, &b, &first), TP_STUN_UNAUTHENTICATED);
	snprintf(b.password, sizeof(b.password), "wonder");
	/* a five-tuple that has an allocation (RFC 8656 section 6) */
	other = rig_alice(r, AT_C, 1);
	rig_allocate(r, &other);
	assert_int_equal(move(r, &other, &first), TP_STUN_ALLOCATION_MISMATCH);

	assert_int_equal(rig_permit(r, &a, PEER), 0);
	assert_int_equal(rig_from_peer(r, &relay, PEER, 9, "x"), TP_SLOW_RELAYED);
	assert_memory_equal(&r->sent[0].tuple, &a.tuple, sizeof(a.tuple));
	assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, RIG_NONE), TP_STUN_ALLOCATION_MISMATCH);

	/* an allocation that is no more */
	gone = first;
	assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_DELETE), 0);
	assert_int_equal(move(r, &b, &gone), TP_STUN_ALLOCATION_MISMATCH);
	assert_int_equal(rig_counts(r).moved, 0);
}

static void another_servers_ticket_and_one_of_a_server_that_forbids_are_refused(void **state)
{
	struct rig *r = *state;
	struct ticket t;
	struct rig_client b;

	start(r, &t);
	rig_restart(r);
	b = rig_alice(r, AT_B, 1);
	assert_int_equal(move(r, &b, &t), TP_STUN_BAD_REQUEST);
	r->conf.mobility = false;
	rig_restart(r);
	rig_learn(r, &b);
	rig_allocate(r, &b);
	assert_int_equal(move(r, &b, &t), TP_STUN_MOBILITY_FORBIDDEN);
}

/* Section 3.2.2: the old path MUST stay until data comes by the new one. */
static void make_before_break(void **state)
{
	static const char *const to[] = { AT_B, AT_6 };
	struct rig *r = *state;

	for (size_t i = 0; i < 2 * N(to); i++) {
		bool by_channel = i < N(to);
		struct ticket t, second;
		struct rig_client a = start(r, &t), b = rig_alice(r, to[i % 2], 5);
		struct tp_addr relay;

		assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_NONE), 0);
		assert_false(tp_stun_has(&r->answer, TP_STUN_MOBILITY_TICKET_AT));
		assert_int_equal(rig_bind(r, &a, 0x4000, PEER, 9), 0);
		relay = r->channel.relay_local;
		assert_int_equal(r->n_clients, 1);
		assert_memory_equal(&r->came, &a.tuple, sizeof(a.tuple));
		assert_int_equal(move(r, &b, &t), 0);
		assert_int_equal(r->n_clients, 2);
		assert_memory_equal(&r->came, &b.tuple, sizeof(b.tuple));
		assert_int_equal(rig_lifetime(r), 600);
		second = ticket_of(r);
		assert_memory_not_equal(second.data, t.data, t.len);
		assert_int_equal(r->n_cleared, 0);

		/* the old path carries on, also requests; the new one may ask already */
		assert_int_equal(rig_from_peer(r, &relay, PEER, 9, "down"), TP_SLOW_RELAYED);
		rig_assert_channel_data(r, &a, 0x4000, "down");
		assert_int_equal(rig_channel_data(r, &a, 0x4000, "up"), TP_SLOW_RELAYED);
		assert_int_equal(rig_permit(r, &a, PEER), 0);
		assert_int_equal(rig_permit(r, &b, PEER), 0);
		assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, RIG_NONE), 0);
		assert_int_equal(rig_ask(r, &b, TP_STUN_ALLOCATE, RIG_UDP),
				TP_STUN_ALLOCATION_MISMATCH);
		assert_int_equal(rig_from_peer(r, &relay, PEER, 9, "down"), TP_SLOW_RELAYED);
		rig_assert_channel_data(r, &a, 0x4000, "down");
		assert_int_equal(rig_counts(r).moved, 0);

		/* the first data by the new one switches over */
		if (by_channel)
			assert_int_equal(rig_channel_data(r, &b, 0x4000, "up"), TP_SLOW_RELAYED);
		else
			assert_int_equal(rig_send(r, &b, RIG_PEER(PEER, 9), RIG_RAW(DATA, "up")),
					TP_SLOW_RELAYED);
		rig_assert_to_peer(r, &relay, PEER, 9, "up");
		assert_int_equal(r->n_cleared, 1);
		assert_int_equal(r->n_set, 1);
		assert_int_equal(r->n_clients, 1);
		assert_memory_equal(&r->left, &a.tuple, sizeof(a.tuple));
		assert_memory_equal(&r->came, &b.tuple, sizeof(b.tuple));
		assert_memory_equal(&r->channel.tuple, &b.tuple, sizeof(b.tuple));
		assert_int_equal(rig_counts(r).moved, 1);
		assert_int_equal(rig_from_peer(r, &relay, PEER, 9, "down"), TP_SLOW_RELAYED);
		rig_assert_channel_data(r, &b, 0x4000, "down");
		assert_int_equal(rig_channel_data(r, &a, 0x4000, "up"), TP_SLOW_DROP_NO_ALLOC);
		assert_int_equal(rig_permit(r, &a, PEER), TP_STUN_ALLOCATION_MISMATCH);
		assert_int_equal(rig_bind(r, &b, 0x4000, PEER, 9), 0);
		assert_int_equal(rig_counts(r).allocations, 1);
		/* what was the old five-tuple is free */
		rig_allocate(r, &a);
		assert_int_equal(rig_counts(r).allocations, 2);
	}
}

/* Who was not taken note of does not leave: another may be known by the same mark. */
static void whoever_left_had_been_taken_note_of(void **state)
{
	struct rig *r = *state;

	for (uint32_t crowded = 0; crowded < 8; crowded++) {
		const bool at_a = (crowded & 1) != 0, at_b = (crowded & 2) != 0,
			   moved = (crowded & 4) != 0;
		struct ticket t;
		struct rig_client a, b = rig_alice(r, AT_B, 5);

		r->is_crowded = at_a;
		a = start(r, &t);
		assert_int_equal(rig_bind(r, &a, 0x4000, PEER, 9), 0);
		r->is_crowded = at_b;
		assert_int_equal(move(r, &b, &t), 0);
		assert_int_equal(r->n_clients, !at_a + !at_b);
		r->is_crowded = moved;
		assert_int_equal(rig_channel_data(r, &b, 0x4000, "up"), TP_SLOW_RELAYED);
		assert_int_equal(r->n_clients, !moved);
		if (!moved)
			assert_memory_equal(&r->came, &b.tuple, sizeof(b.tuple));
		assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, RIG_DELETE), 0);
		assert_int_equal(r->n_clients, 0);
	}
	r->is_crowded = false;
}

/* What the fast path had of it is taken back under the old five-tuple and told under the new. */
static void permissions_in_use_move_too(void **state)
{
	struct rig *r = *state;
	struct ticket t;
	struct rig_client a = start(r, &t), b = rig_alice(r, AT_B, 5);
	const struct rig_attr data[] = { RIG_PEER(PEER, 9), RIG_RAW(DATA, "up"), RIG_END };

	assert_int_equal(rig_permit(r, &a, PEER), 0);
	assert_int_equal(rig_indicate(r, &a, TP_STUN_SEND, data), TP_SLOW_RELAYED);
	assert_int_equal(r->n_fast, 1);
	assert_int_equal(move(r, &b, &t), 0);
	assert_int_equal(r->n_fast, 1);
	assert_int_equal(rig_indicate(r, &b, TP_STUN_SEND, data), TP_SLOW_RELAYED);
	assert_int_equal(r->n_used_cleared, 1);
	assert_int_equal(r->n_used, 1);
	assert_memory_equal(&r->permission.tuple, &b.tuple, sizeof(b.tuple));
	assert_int_equal(r->n_fast, 1);
}

/* Section 3.2.2: a spent ticket is for retransmissions, for 30 seconds. */
static void a_retransmitted_move_gets_the_same_answer(void **state)
{
	struct rig *r = *state;

	for (int has_data = 0; has_data < 2; has_data++) {
		struct ticket t;
		struct rig_client a = start(r, &t), b = rig_alice(r, AT_B, 5),
				  c = rig_alice(r, AT_C, 5);
		struct rig_sent first;
		struct rig_message m;

		assert_int_equal(rig_bind(r, &a, 0x4000, PEER, 9), 0);
		rig_begin(r, &m, TP_STUN_REFRESH, TP_STUN_REQUEST);
		rig_put(&m, (const struct rig_attr[]){ TICKET(t), RIG_END });
		rig_sign(&m, &b);
		assert_int_equal(rig_exchange(r, &b, &m), 0);
		first = r->sent[0];
		if (has_data)
			assert_int_equal(rig_channel_data(r, &b, 0x4000, "up"), TP_SLOW_RELAYED);
		rig_sleep(r, 29);
		assert_int_equal(rig_exchange(r, &b, &m), 0);
		assert_int_equal(r->sent[0].len, first.len);
		assert_memory_equal(r->sent[0].data, first.data, first.len);

		/* another request with it is none, from wherever */
		assert_int_equal(move(r, &b, &t), TP_STUN_BAD_REQUEST);
		assert_int_equal(move(r, &c, &t), TP_STUN_BAD_REQUEST);
		rig_sleep(r, 1);
		assert_int_equal(rig_exchange(r, &b, &m), TP_STUN_BAD_REQUEST);
		assert_int_equal(rig_counts(r).moved, (uint64_t)has_data);
	}
}

static void a_client_may_go_on_and_come_back(void **state)
{
	struct rig *r = *state;
	struct ticket t;
	struct rig_client a = start(r, &t), b = rig_alice(r, AT_B, 5), c = rig_alice(r, AT_C, 5);
	struct tp_addr relay;

	assert_int_equal(rig_bind(r, &a, 0x4000, PEER, 9), 0);
	relay = r->channel.relay_local;
	assert_int_equal(move(r, &b, &t), 0);
	t = ticket_of(r);
	assert_int_equal(move(r, &b, &t), TP_STUN_BAD_REQUEST); /* it is there already */
	assert_int_equal(move(r, &c, &t), 0);
	t = ticket_of(r);
	/* that ticket was given to b: what b sent before, and comes late, counts */
	assert_int_equal(rig_counts(r).moved, 1);
	assert_int_equal(rig_channel_data(r, &b, 0x4000, "up"), TP_SLOW_RELAYED);
	assert_int_equal(rig_channel_data(r, &a, 0x4000, "up"), TP_SLOW_DROP_NO_ALLOC);
	/* back, with no data from c in between */
	assert_int_equal(move(r, &b, &t), 0);
	t = ticket_of(r);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "up"), TP_SLOW_DROP_NO_ALLOC);
	assert_int_equal(rig_channel_data(r, &b, 0x4000, "up"), TP_SLOW_RELAYED);
	assert_int_equal(rig_counts(r).moved, 1);
	assert_int_equal(move(r, &c, &t), 0);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "up"), TP_SLOW_RELAYED);
	assert_int_equal(rig_counts(r).moved, 2);
	assert_int_equal(rig_from_peer(r, &relay, PEER, 9, "down"), TP_SLOW_RELAYED);
	rig_assert_channel_data(r, &c, 0x4000, "down");
}

/* It may end on its way, by deletion from either side and by time. */
static void an_allocation_on_its_way_ends_whole(void **state)
{
	struct rig *r = *state;

	for (int way = 0; way < 4; way++) {
		struct ticket t;
		struct rig_client a = start(r, &t), b = rig_alice(r, AT_B, 5);

		assert_int_equal(rig_bind(r, &a, 0x4000, PEER, 9), 0);
		if (way < 3)
			assert_int_equal(move(r, &b, &t), 0);
		if (way == 0)
			assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_DELETE), 0);
		else if (way == 1)
			assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, RIG_DELETE), 0);
		else if (way == 2)
			rig_sleep(r, 600);
		else
			assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, TICKET(t), RIG_DELETE), 0);
		assert_int_equal(rig_channel_data(r, &b, 0x4000, "up"), TP_SLOW_DROP_NO_ALLOC);
		assert_int_equal(rig_channel_data(r, &a, 0x4000, "up"), TP_SLOW_DROP_NO_ALLOC);
		assert_int_equal(rig_counts(r).allocations, 0);
		assert_int_equal(rig_counts(r).mobile, 0);
		assert_int_equal(r->n_channels, 0);
	}
}

/* RFC 8656 section 8.2 holds for a Refresh that moves, which is refused before it does. */
static void a_refresh_that_is_refused_moves_nothing(void **state)
{
	struct rig *r = *state;
	struct ticket t;
	struct rig_client a = start(r, &t), b = rig_alice(r, AT_B, 5);

	assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, TICKET(t), RIG_IPV6),
			TP_STUN_PEER_FAMILY_MISMATCH);
	assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, TICKET(t), RIG_LIFETIME("\0")),
			TP_STUN_BAD_REQUEST);
	assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, RIG_NONE), TP_STUN_ALLOCATION_MISMATCH);
	assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, TICKET(t), RIG_IPV4,
					 RIG_LIFETIME("\0\0\x07\x08")),
			0);
	assert_int_equal(rig_lifetime(r), 1800);
	assert_int_equal(rig_ask(r, &a, TP_STUN_REFRESH, RIG_NONE), 0);
}

/* The other client's way to it is by its relayed address, which stays. */
static void a_hairpin_follows(void **state)
{
	struct rig *r = *state;
	struct ticket t;
	struct rig_client a = start(r, &t), b, far;
	const struct tp_addr near_relay = relayed(r);
	struct tp_addr far_relay;

	b = rig_alice(r, AT_B, 5);
	far = rig_alice(r, AT_C, 5);
	far_relay = rig_allocate(r, &far);

	assert_int_equal(rig_bind(r, &a, 0x4000, RIG_RELAY4, far_relay.port), 0);
	assert_int_equal(rig_bind(r, &far, 0x4001, RIG_RELAY4, near_relay.port), 0);
	assert_int_equal(move(r, &b, &t), 0);
	assert_int_equal(rig_channel_data(r, &b, 0x4000, "hello"), TP_SLOW_RELAYED);
	rig_assert_channel_data(r, &far, 0x4001, "hello");
	assert_int_equal(rig_channel_data(r, &far, 0x4001, "welcome"), TP_SLOW_RELAYED);
	rig_assert_channel_data(r, &b, 0x4000, "welcome");
}

/* Found again among many, and as the only one. */
static void every_allocation_is_found_after_many_moves(void **state)
{
	enum {
		CLIENTS = 60
	};
	struct rig *r = *state;
	struct rig_client c[CLIENTS];
	struct ticket t[CLIENTS];

	r->conf.mobility = true;
	rig_restart(r);
	for (uint16_t i = 0; i < CLIENTS; i++) {
		c[i] = rig_alice(r, AT_A, (uint16_t)(1000 + i));
		assert_int_equal(rig_ask(r, &c[i], TP_STUN_ALLOCATE, RIG_UDP, WANTED), 0);
		t[i] = ticket_of(r);
		assert_int_equal(rig_bind(r, &c[i], 0x4000, PEER, (uint16_t)(1 + i)), 0);
	}
	for (uint16_t i = 0; i < 5 * CLIENTS; i++) {
		struct rig_client *it = &c[i % CLIENTS];
		char text[8];

		*it = rig_alice(r, AT_B, (uint16_t)(2000 + i));
		assert_int_equal(move(r, it, &t[i % CLIENTS]), 0);
		t[i % CLIENTS] = ticket_of(r);
		snprintf(text, sizeof(text), "%u", i);
		assert_int_equal(rig_channel_data(r, it, 0x4000, text), TP_SLOW_RELAYED);
		assert_int_equal(r->sent[0].peer.port, 1 + i % CLIENTS);
	}
	assert_int_equal(rig_counts(r).moved, 5 * CLIENTS);
	for (uint16_t i = 0; i < CLIENTS; i++)
		assert_int_equal(rig_ask(r, &c[i], TP_STUN_REFRESH, RIG_DELETE), 0);
	assert_int_equal(rig_counts(r).allocations, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(an_empty_ticket_in_allocate_asks_for_one),
		rig_test(a_claim_is_checked),
		rig_test(another_servers_ticket_and_one_of_a_server_that_forbids_are_refused),
		rig_test(make_before_break),
		rig_test(whoever_left_had_been_taken_note_of),
		rig_test(permissions_in_use_move_too),
		rig_test(a_retransmitted_move_gets_the_same_answer),
		rig_test(a_client_may_go_on_and_come_back),
		rig_test(an_allocation_on_its_way_ends_whole),
		rig_test(a_refresh_that_is_refused_moves_nothing),
		rig_test(a_hairpin_follows),
		rig_test(every_allocation_is_found_after_many_moves),
	};

	return cmocka_run_group_tests_name("mobility", tests, NULL, NULL);
}
