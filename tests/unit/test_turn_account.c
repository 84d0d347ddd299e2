/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel path asks of limits, and tells accounts. */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define CLIENT6 "2001:db8:7::7"
#define PEER "203.0.113.9"
#define PEER6 "2001:db8:9::9"
#define DATA(bytes) RIG_RAW(DATA, bytes)

static uint32_t account_of_last(const struct rig *r)
{
	const struct tp_allocation *alloc, *last = NULL;
	struct tp_allocation_info info = { 0 };
	uint64_t cursor = 0;

	while ((alloc = tp_turn_next_allocation(r->turn, &cursor)) != NULL) {
		struct tp_allocation_info i;

		tp_allocation_info(r->turn, alloc, &i);
		if (last == NULL || i.id > info.id)
			info = i;
		last = alloc;
	}
	return info.account;
}

/* An allocation of both families, permissions and channels for a peer of each. */
static struct rig_client start(struct rig *r, struct tp_addr relay[2])
{
	const struct rig_client c = rig_alice(r, CLIENT, 1);

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
	relay[0] = rig_relayed(r, TP_IPV4);
	relay[1] = rig_relayed(r, TP_IPV6);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	assert_int_equal(rig_permit(r, &c, PEER6), 0);
	assert_int_equal(rig_bind(r, &c, 0x4000, PEER, 9), 0);
	assert_int_equal(rig_bind(r, &c, 0x4001, PEER6, 9), 0);
	return c;
}

static void assert_traffic(const struct rig *r, uint32_t i, uint32_t account, bool is_up,
		size_t len, enum tp_family peer_family)
{
	const struct rig_traffic *t = &r->relayed[i];

	assert_int_equal(t->account, account);
	assert_int_equal(t->is_up, is_up);
	assert_int_equal(t->len, len);
	assert_int_equal(t->peer_family, peer_family);
}

/* Whatever is around it: the data alone, and the family of the peer. */
static void each_way_is_counted_once(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start(r, relay);
	uint32_t account = account_of_last(r);

	assert_int_not_equal(account, TP_TURN_NO_ACCOUNT);
	assert_int_equal(r->channel.account, account);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "four"), TP_SLOW_RELAYED);
	assert_int_equal(r->n_relayed, 1);
	assert_traffic(r, 0, account, true, 4, TP_IPV4);
	assert_int_equal(rig_channel_data(r, &c, 0x4001, "sixsix"), TP_SLOW_RELAYED);
	assert_traffic(r, 0, account, true, 6, TP_IPV6);
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER, 8), DATA("hello")), TP_SLOW_RELAYED);
	assert_int_equal(r->n_relayed, 1);
	assert_traffic(r, 0, account, true, 5, TP_IPV4);
	assert_int_equal(r->permission.account, account);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "channel"), TP_SLOW_RELAYED);
	assert_int_equal(r->n_relayed, 1);
	assert_traffic(r, 0, account, false, 7, TP_IPV4);
	assert_int_equal(rig_from_peer(r, &relay[1], PEER6, 1, "data"), TP_SLOW_RELAYED);
	assert_traffic(r, 0, account, false, 4, TP_IPV6);
	assert_int_equal(rig_from_peer(r, &relay[1], PEER6, 9, ""), TP_SLOW_RELAYED);
	assert_traffic(r, 0, account, false, 0, TP_IPV6);
}

static void what_is_not_relayed_is_not_counted(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start(r, relay);

	assert_int_equal(rig_from_peer(r, &relay[0], "203.0.113.10", 9, "x"), TP_SLOW_DROP_NO_PERM);
	assert_int_equal(r->n_asked, 0);
	assert_int_equal(rig_channel_data(r, &c, 0x4002, "x"), TP_SLOW_DROP_NO_CHANNEL);
	assert_int_equal(r->n_asked, 0);
	r->send_rc = -ENOBUFS;
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_DROP_SEND);
	assert_int_equal(r->n_relayed, 0);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_DROP_SEND);
	assert_int_equal(r->n_relayed, 0);
	r->send_rc = 0;
}

/* Every method: what is punted has no way around the limit of the workers. */
static void beyond_the_limit_is_dropped(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start(r, relay);

	r->limited = account_of_last(r);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_DROP_RATE);
	assert_int_equal(rig_send(r, &c, RIG_PEER(PEER6, 8), DATA("x")), TP_SLOW_DROP_RATE);
	assert_int_equal(rig_from_peer(r, &relay[0], PEER, 9, "x"), TP_SLOW_DROP_RATE);
	assert_int_equal(rig_from_peer(r, &relay[1], PEER6, 1, "x"), TP_SLOW_DROP_RATE);
	/* requests are no traffic */
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	r->limited = 0;
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_RELAYED);
}

static void relay_to_relay_is_up_for_one_and_down_for_the_other(void **state)
{
	struct rig *r = *state;
	const struct rig_client a = rig_alice(r, CLIENT, 1), b = rig_alice(r, CLIENT6, 2);
	struct tp_addr at_a = rig_allocate(r, &a), at_b;
	uint32_t account_a = account_of_last(r), account_b;

	at_b = rig_allocate(r, &b);
	account_b = account_of_last(r);
	assert_int_not_equal(account_a, account_b);
	assert_int_equal(rig_bind(r, &a, 0x4000, RIG_RELAY4, at_b.port), 0);
	assert_int_equal(rig_channel_data(r, &a, 0x4000, "five5"), TP_SLOW_DROP_NO_PERM);
	assert_int_equal(r->n_relayed, 0);
	assert_int_equal(rig_bind(r, &b, 0x4001, RIG_RELAY4, at_a.port), 0);
	assert_int_equal(rig_channel_data(r, &a, 0x4000, "five5"), TP_SLOW_RELAYED);
	assert_int_equal(r->n_relayed, 2);
	assert_traffic(r, 0, account_b, false, 5, TP_IPV4);
	assert_traffic(r, 1, account_a, true, 5, TP_IPV4);
	/* either's limit drops it */
	r->limited = account_a;
	assert_int_equal(rig_channel_data(r, &a, 0x4000, "x"), TP_SLOW_DROP_RATE);
	assert_int_equal(r->n_asked, 1);
	r->limited = account_b;
	assert_int_equal(rig_channel_data(r, &a, 0x4000, "x"), TP_SLOW_DROP_RATE);
	assert_int_equal(r->n_relayed, 0);
}

static void without_an_account_there_is_no_allocation(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 1);

	r->is_account_full = true;
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_counts(r).allocations, 0);
	assert_int_equal(rig_counts(r).ports, 0);
	r->is_account_full = false;
	rig_allocate(r, &c);
	assert_int_equal(r->n_accounts, 1);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	assert_int_equal(r->n_accounts, 0);
}

/* One leg of two ends: the account goes on. */
static void the_account_is_of_both_legs(void **state)
{
	struct rig *r = *state;
	struct tp_addr relay[2];
	const struct rig_client c = start(r, relay);

	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0"), RIG_IPV4), 0);
	assert_int_equal(r->n_accounts, 1);
	assert_int_equal(rig_channel_data(r, &c, 0x4001, "x"), TP_SLOW_RELAYED);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	assert_int_equal(r->n_accounts, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(each_way_is_counted_once),
		rig_test(what_is_not_relayed_is_not_counted),
		rig_test(beyond_the_limit_is_dropped),
		rig_test(relay_to_relay_is_up_for_one_and_down_for_the_other),
		rig_test(without_an_account_there_is_no_allocation),
		rig_test(the_account_is_of_both_legs),
	};

	return cmocka_run_group_tests_name("turn_account", tests, NULL, NULL);
}
