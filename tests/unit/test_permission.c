/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the event handler is told of permissions: nothing until an indication uses one, then every
 * change, then its end; the rig holds the core to one end for each beginning.
 */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define PEER "203.0.113.9"
#define PEER6 "2001:db8:9::9"
#define OTHER "203.0.113.10"
#define DATA(bytes) RIG_RAW(DATA, bytes)

/* Alice with an allocation of both families, an hour long, and permissions for both peers. */
static struct rig_client start(struct rig *r, struct tp_addr relay[2])
{
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	rig_allocate_dual(r, &c, relay);
	for (int i = 0; i < 2; i++)
		relay[i] = rig_local(r, &relay[i]);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_permit(r, &c, PEER6), 0);
	return c;
}

static enum tp_slow_verdict send_to(struct rig *r, const struct rig_client *c, const char *ip)
{
	return rig_send(r, c, RIG_PEER(ip, 9), DATA("x"));
}

static uint64_t sec(const struct rig *r, uint64_t from_now)
{
	return r->now.mono_ns + from_now * TP_NS_PER_SEC;
}

static void channels_and_what_is_dropped_tell_nothing(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start(r, relay);
	uint32_t told = 0;

	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	told += r->n_used;
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_RELAYED);
	told += r->n_used;
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_RELAYED);
	told += r->n_used;
	assert_int_equal(send_to(r, &c, OTHER), TP_SLOW_DROP_NO_PERM);
	told += r->n_used;
	assert_int_equal(rig_from_peer(r, &relay[0], OTHER, 9, "x"), TP_SLOW_DROP_NO_PERM);
	told += r->n_used;
	assert_int_equal(rig_indicate(r, &c, TP_STUN_SEND,
					 (const struct rig_attr[]){ RIG_PEER(PEER, 9), RIG_END }),
			TP_SLOW_DROP_INDICATION);
	told += r->n_used;
	r->send_rc = -EAGAIN;
	assert_int_equal(send_to(r, &c, PEER), TP_SLOW_DROP_SEND);
	told += r->n_used;
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 10, "x"), TP_SLOW_DROP_SEND);
	told += r->n_used;
	assert_int_equal(told, 0);
	assert_int_equal(r->n_fast, 0);
	r->send_rc = 0;
}

static void the_first_indication_tells_everything(void **state)
{
	static const char *const peers[] = { PEER, PEER6 };
	struct rig *r = *state;

	/* each bit: family, direction, 1:1 NAT */
	for (unsigned i = 0; i < 8; i++) {
		const struct tp_turn_permission *p = &r->permission;
		struct tp_addr relay[2], peer = rig_addr(peers[i & 1], 0);
		struct rig_client c;

		rig_conf(r);
		if (i & 4)
			rig_use_nat(r);
		rig_restart(r);
		c = start(r, relay);
		assert_int_equal(i & 2 ? rig_from_peer(r, &relay[i & 1], peers[i & 1], 9, "x")
				       : send_to(r, &c, peers[i & 1]),
				TP_SLOW_RELAYED);
		assert_int_equal(r->n_used, 1);
		assert_memory_equal(&p->tuple, &c.tuple, sizeof(c.tuple));
		assert_memory_equal(&p->relay_local, &relay[i & 1], sizeof(p->relay_local));
		assert_true(tp_addr_same_ip(&p->relay_external, &r->relays[i & 1].external));
		assert_int_equal(p->relay_external.port, relay[i & 1].port);
		assert_int_equal(p->relay, i & 1);
		assert_memory_equal(&p->peer, &peer, sizeof(peer));
		assert_memory_equal(&p->peer_local, &peer, sizeof(peer));
		assert_false(p->is_hairpin || p->has_slow_channel);
		assert_true(p->deadline_ns == sec(r, 300));
	}
}

static void a_hairpin_names_both_notations_of_the_peer(void **state)
{
	struct rig *r = *state;
	struct rig_client a, b;
	struct tp_addr to;

	rig_use_nat(r);
	rig_restart(r);
	a = rig_alice(r, CLIENT, 1);
	b = rig_alice(r, CLIENT, 2);
	rig_allocate(r, &a);
	rig_allocate(r, &b);
	to = rig_relayed(r, TP_IPV4);
	assert_int_equal(rig_permit(r, &a, RIG_RELAY4), 0);
	assert_int_equal(rig_permit(r, &b, RIG_RELAY4), 0);
	assert_int_equal(
			rig_send(r, &a, RIG_PEER(RIG_RELAY4, to.port), DATA("x")), TP_SLOW_RELAYED);
	/* B's for the Data indication, then A's for the Send indication. */
	assert_int_equal(r->n_used, 2);
	assert_int_equal(r->n_fast, 2);
	assert_memory_equal(&r->permission.tuple, &a.tuple, sizeof(a.tuple));
	assert_true(r->permission.is_hairpin);
	to = rig_addr(RIG_RELAY4, 0);
	assert_memory_equal(&r->permission.peer, &to, sizeof(to));
	to = rig_addr(RIG_LOCAL4, 0);
	assert_memory_equal(&r->permission.peer_local, &to, sizeof(to));
}

static void changes_are_told_once_it_is_in_use(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start(r, relay);

	assert_int_equal(send_to(r, &c, PEER), TP_SLOW_RELAYED);
	rig_sleep(r, 100);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(r->n_used, 1);
	assert_true(r->permission.deadline_ns == sec(r, 300));
	assert_int_equal(rig_permit(r, &c, PEER6), 0); /* is in no use */
	assert_int_equal(r->n_used, 0);
	rig_sleep(r, 100);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(r->n_used, 1);
	assert_true(r->permission.deadline_ns == sec(r, 300));

	/* The allocation's end is the permission's. */
	rig_sleep(r, 200);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\x02\x58")), 0);
	assert_int_equal(r->n_used, 1);
	assert_true(r->permission.deadline_ns == sec(r, 100));
	for (int i = 0; i < 2; i++) {
		rig_sleep(r, 99);
		assert_int_equal(rig_permit(r, &c, PEER), 0);
	}
	rig_sleep(r, 200);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_true(r->permission.deadline_ns == sec(r, 600 - 398));
	assert_int_equal(r->n_fast, 1);
}

static void the_end_is_told_once(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	struct rig_client c = start(r, relay);

	/* it expires */
	assert_int_equal(send_to(r, &c, PEER), TP_SLOW_RELAYED);
	assert_int_equal(send_to(r, &c, PEER6), TP_SLOW_RELAYED);
	assert_int_equal(r->n_fast, 2);
	rig_sleep(r, 300);
	assert_int_equal(send_to(r, &c, PEER), TP_SLOW_DROP_NO_PERM);
	assert_int_equal(r->n_used_cleared, 2);

	/* it is there again, and in no use */
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(r->n_used, 0);
	assert_int_equal(send_to(r, &c, PEER), TP_SLOW_RELAYED);
	assert_int_equal(r->n_fast, 1);

	/* it expires while a channel stays */
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	rig_sleep(r, 300);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_RELAYED);
	assert_int_equal(r->n_used_cleared, 1);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 10, "x"), TP_SLOW_RELAYED);
	assert_int_equal(r->n_fast, 1);

	/* one family of the allocation is deleted, then the other */
	assert_int_equal(rig_permit(r, &c, PEER6), 0);
	assert_int_equal(send_to(r, &c, PEER6), TP_SLOW_RELAYED);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0"), RIG_IPV4), 0);
	assert_int_equal(r->n_used_cleared, 1);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	assert_int_equal(r->n_used_cleared, 1);

	/* the allocation expires; the server stops (the rig looks) */
	c = start(r, relay);
	assert_int_equal(send_to(r, &c, PEER), TP_SLOW_RELAYED);
	rig_sleep(r, 3600);
	rig_before(r);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(r->n_used_cleared, 1);
	c = start(r, relay);
	assert_int_equal(send_to(r, &c, PEER), TP_SLOW_RELAYED);
	assert_int_equal(r->n_fast, 1);
}

static void who_has_no_room_is_asked_again_with_the_next_indication(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start(r, relay);

	r->is_full = true;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(send_to(r, &c, PEER), TP_SLOW_RELAYED);
		assert_int_equal(r->n_used, 1);
		assert_int_equal(r->n_fast, 0);
	}
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(r->n_used, 0);
	r->is_full = false;
	assert_int_equal(send_to(r, &c, PEER), TP_SLOW_RELAYED);
	assert_int_equal(r->n_fast, 1);
}

/* Section 12.5: where ChannelData MUST go, nothing may go as Data behind the core's back. */
static void a_channel_without_flows_is_told_before_it_is_answered(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start(r, relay);

	assert_int_equal(send_to(r, &c, PEER), TP_SLOW_RELAYED);
	assert_false(r->permission.has_slow_channel);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 8), 0);
	assert_false(r->permission.has_slow_channel);
	r->is_channel_full = true;
	r->is_used_before_sent = false;
	assert_int_equal(rig_bind(r, &c, 0x4001, PEER, 9), 0);
	assert_true(r->permission.has_slow_channel);
	assert_true(r->is_used_before_sent);
	assert_int_equal(send_to(r, &c, PEER), TP_SLOW_RELAYED);
	assert_true(r->permission.has_slow_channel);
	assert_int_equal(send_to(r, &c, PEER6), TP_SLOW_RELAYED);
	assert_false(r->permission.has_slow_channel);

	/* It gets flows when it is refreshed, */
	r->is_channel_full = false;
	assert_int_equal(rig_bind(r, &c, 0x4001, PEER, 9), 0);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_false(r->permission.has_slow_channel);

	/* or ends. */
	r->is_channel_full = true;
	assert_int_equal(rig_bind(r, &c, 0x4002, PEER, 10), 0);
	assert_true(r->permission.has_slow_channel);
	for (int i = 0; i < 2; i++) {
		rig_sleep(r, 299);
		assert_int_equal(rig_permit(r, &c, PEER), 0);
		assert_true(r->permission.has_slow_channel);
	}
	rig_sleep(r, 10);
	rig_before(r);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(r->n_used, 1);
	assert_false(r->permission.has_slow_channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(channels_and_what_is_dropped_tell_nothing),
		rig_test(the_first_indication_tells_everything),
		rig_test(a_hairpin_names_both_notations_of_the_peer),
		rig_test(changes_are_told_once_it_is_in_use),
		rig_test(the_end_is_told_once),
		rig_test(who_has_no_room_is_asked_again_with_the_next_indication),
		rig_test(a_channel_without_flows_is_told_before_it_is_answered),
	};

	return cmocka_run_group_tests_name("permission", tests, NULL, NULL);
}
