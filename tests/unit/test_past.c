/* SPDX-License-Identifier: Apache-2.0 */
/* Whom an allocation reached in its life (RFC 8656 section 21.3.2). */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define MANY 200

static const char *peer_ip(uint32_t i)
{
	static char text[TP_ADDR_STRLEN];

	snprintf(text, sizeof(text), "203.0.%u.%u", 113 + i / 250, 1 + i % 250);
	return text;
}

static uint32_t peers_of(const struct rig *r, struct tp_addr out[], uint32_t max)
{
	uint64_t cursor = 0;
	const struct tp_allocation *alloc = tp_turn_next_allocation(r->turn, &cursor);

	assert_non_null(alloc);
	return tp_allocation_peers(alloc, out, max);
}

static void assert_peers(const struct rig *r, uint32_t first, uint32_t n)
{
	struct tp_addr got[MANY];
	uint32_t seen[MANY] = { 0 };

	assert_int_equal(peers_of(r, got, MANY), n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = 0;

		while (k < n) {
			const struct tp_addr want = rig_addr(peer_ip(first + k), 0);

			if (memcmp(&want, &got[i], sizeof(want)) == 0)
				break;
			k++;
		}
		assert_true(k < n && seen[k]++ == 0);
	}
}

static void refresh(struct rig *r, const struct rig_client *c)
{
	assert_int_equal(rig_ask(r, c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\x0e\x10")), 0);
}

/* One after the other, each for its five minutes. */
static void permissions_that_ended_are_remembered(void **state)
{
	struct rig *r = *state;
	struct rig_client c = rig_alice(r, CLIENT, 1);

	rig_allocate(r, &c);
	assert_peers(r, 0, 0);
	for (uint32_t i = 0; i < 10; i++) {
		refresh(r, &c);
		assert_int_equal(rig_permit(r, &c, peer_ip(i)), 0);
		assert_peers(r, 0, i + 1);
		rig_sleep(r, 301);
		tp_turn_expire(r->turn, r->now.mono_ns);
		assert_int_equal(rig_counts(r).permissions, 0);
		assert_peers(r, 0, i + 1);
	}
	/* the first again: it is one peer, living or past */
	refresh(r, &c);
	assert_int_equal(rig_permit(r, &c, peer_ip(0)), 0);
	assert_peers(r, 0, 10);
	rig_sleep(r, 301);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_peers(r, 0, 10);
	assert_int_equal(peers_of(r, NULL, 0), 10);
	assert_int_equal(r->n_past, 0);
}

/* Who tries one peer after the other fills no memory, and has nothing forgotten. */
static void when_there_is_no_room_they_are_told(void **state)
{
	struct rig *r = *state;
	struct rig_client c = rig_alice(r, CLIENT, 1);
	uint32_t i;

	rig_allocate(r, &c);
	for (i = 0; i < MANY; i++)
		assert_int_equal(rig_permit(r, &c, peer_ip(i)), 0);
	assert_peers(r, 0, MANY);
	refresh(r, &c);
	rig_sleep(r, 301);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(r->n_past, MANY / TP_TURN_PAST_PEERS * TP_TURN_PAST_PEERS);
	assert_int_equal(peers_of(r, NULL, 0), MANY % TP_TURN_PAST_PEERS);
	for (i = 0; i < N(r->past); i++)
		for (uint32_t k = 0; k < i; k++)
			assert_memory_not_equal(&r->past[i], &r->past[k], sizeof(r->past[0]));
}

/* The end is told with all that there are; what is torn down with it is not remembered once more.
 */
static void the_end_tells_nothing_twice(void **state)
{
	struct rig *r = *state;
	struct rig_client c = rig_alice(r, CLIENT, 1);

	rig_allocate(r, &c);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(rig_permit(r, &c, peer_ip(i)), 0);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	assert_int_equal(r->n_ended, 1);
	assert_int_equal(r->n_past, 0);
}

/* A permission without time left that a channel holds on to is one peer still. */
static void a_channel_whose_permission_ran_out(void **state)
{
	struct rig *r = *state;
	struct rig_client c = rig_alice(r, CLIENT, 1);

	rig_allocate(r, &c);
	assert_int_equal(rig_bind(r, &c, 0x4000, peer_ip(0), 9), 0);
	rig_sleep(r, 301);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(rig_counts(r).permissions, 0);
	assert_peers(r, 0, 1);
	refresh(r, &c);
	rig_sleep(r, 300);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(rig_counts(r).channels, 0);
	assert_peers(r, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(permissions_that_ended_are_remembered),
		rig_test(when_there_is_no_room_they_are_told),
		rig_test(the_end_tells_nothing_twice),
		rig_test(a_channel_whose_permission_ran_out),
	};

	return cmocka_run_group_tests_name("past", tests, NULL, NULL);
}
