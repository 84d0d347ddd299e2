/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of memory, anywhere: the server refuses, forgets what it had begun and goes on.
 *
 * Linked with --wrap: each request is asked with its first allocation failing, then its second,
 * and so on, until nothing fails and it succeeds.
 */
#include "turn/allocation.h"

#include "turn_client.h"

#define CLIENT "198.51.100.7"

/* The n-th allocation from now fails; 0: none does. */
static uint32_t fail_at;
static bool is_dry; /* all of them fail */

/* While a request is served: every second try of a table to grow fails, and nobody is to notice. */
static bool is_serving;
static uint32_t n_growths;

static bool is_to_fail(void)
{
	return is_dry || (fail_at > 0 && --fail_at == 0);
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t bytes)
{
	return is_to_fail() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	if (is_serving && n >= TP_TABLE_CHAINS_MIN && bytes == sizeof(struct tp_link *))
		return n_growths++ % 2 == 0 ? NULL : __real_calloc(n, bytes);
	return is_to_fail() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_realloc(void *p, size_t bytes)
{
	return is_to_fail() ? NULL : __real_realloc(p, bytes);
}

char *__wrap_strdup(const char *text)
{
	return is_to_fail() ? NULL : __real_strdup(text);
}

static void a_server_that_can_not_be_made_leaves_nothing(void **state)
{
	struct tp_turn *turn = NULL;
	struct rig *r = *state;
	uint32_t n = 0;

	for (;; n++) {
		int rc;

		fail_at = n + 1;
		rc = tp_turn_new(&r->conf, &rig_ops, r, &turn);
		if (fail_at != 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_null(turn);
	}
	fail_at = 0;
	assert_non_null(turn);
	tp_turn_free(turn);
	/* the server, its lists, its users and secrets, and three for each relay address */
	assert_true(n >= 4 + 2 + r->conf.n_users + r->conf.n_secrets + 3 * r->conf.n_relays);
}

/*
 * Ask until it succeeds.  A refusal leaves everything as it was; but ChannelBind and
 * CreatePermission may have given the permissions that they asked for.
 */
static uint32_t insist(struct rig *r, const struct rig_client *c, uint16_t method,
		const struct rig_attr attrs[])
{
	uint32_t n_failed = 0;

	for (uint32_t n = 1;; n++) {
		struct tp_turn_counts before = rig_counts(r), after;
		bool is_failed;
		uint16_t err;

		fail_at = n;
		is_serving = true;
		err = rig_request(r, c, method, attrs);
		is_serving = false;
		is_failed = fail_at == 0;
		fail_at = 0;
		if (!is_failed) {
			assert_int_equal(err, 0);
			return n_failed;
		}
		n_failed++;
		assert_int_equal(err, TP_STUN_INSUFFICIENT_CAPACITY);
		assert_true(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_AT));
		after = rig_counts(r);
		if (method != TP_STUN_ALLOCATE && before.permissions != after.permissions) {
			before.permissions = after.permissions;
			n = 0; /* what is left to do begins anew */
		}
		assert_memory_equal(&before, &after, sizeof(before));
		assert_int_equal(r->n_open, after.ports);
		assert_int_equal(r->n_channels, after.channels);
	}
}

static void give_back_everything(struct rig *r)
{
	rig_sleep(r, TP_TURN_MAX_LIFETIME_SEC);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(rig_counts(r).allocations, 0);
	assert_int_equal(rig_counts(r).permissions, 0);
	assert_int_equal(rig_counts(r).reservations, 0);
	assert_int_equal(r->turn->timers.reserved, 0);
	for (uint32_t i = 0; i < r->conf.n_relays; i++)
		assert_int_equal(tp_ports_left(r->turn->relays[i].ports),
				r->conf.port_max - r->conf.port_min + 1u);
}

/* As many as it takes for every table to grow twice. */
static void an_allocation_that_fails_leaves_nothing(void **state)
{
	static const struct rig_attr asked[][4] = {
		{ RIG_UDP, RIG_END },
		{ RIG_UDP, RIG_DUAL, RIG_END },
		{ RIG_UDP, RIG_RAW(EVEN_PORT, "\x80"), RIG_RAW(MOBILITY_TICKET, ""), RIG_END },
	};
	struct rig *r = *state;
	uint32_t n_failed = 0;

	n_growths = 0;
	r->conf.mobility = true;
	r->conf.port_max = RIG_PORT_MIN + 2999;
	r->conf.max_allocations = 1000;
	rig_restart(r);
	for (uint16_t i = 1; i <= 900; i++) {
		const struct rig_client c = rig_alice(r, CLIENT, i);

		n_failed += insist(r, &c, TP_STUN_ALLOCATE, asked[i % N(asked)]);
	}
	assert_int_equal(rig_counts(r).allocations, 900);
	assert_int_equal(rig_counts(r).reservations, 300);
	assert_int_equal(rig_counts(r).mobile, 300);
	assert_int_equal(tp_turn_refused(r->turn)->why[TP_TURN_REFUSED_MEMORY], n_failed);
	assert_true(n_failed > 900 + 300);
	assert_true(n_growths >= 4 * 2); /* 64 to 512 chains and beyond, each at the second try */
	give_back_everything(r);
}

static void a_channel_or_permission_that_fails_leaves_the_allocation_alone(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 1);
	uint32_t n_failed = 0;
	struct tp_addr relay;

	n_growths = 0;
	r->conf.max_channels = 1000;
	rig_restart(r);
	relay = rig_allocate(r, &c);
	for (uint16_t i = 0; i < 800; i++) {
		const uint16_t number = (uint16_t)(0x4000 + i);
		const uint8_t be[4] = { (uint8_t)(number >> 8), (uint8_t)number };
		char ip[TP_ADDR_STRLEN];
		const struct rig_attr attrs[] = {
			RIG_PEER(ip, 9),
			{ .type = TP_STUN_ATTR_CHANNEL_NUMBER, .len = 4, .data = be },
			RIG_END,
		};

		snprintf(ip, sizeof(ip), "203.0.%d.%d", i / 250, i % 250);
		n_failed += insist(r, &c, i % 2 ? TP_STUN_CHANNEL_BIND : TP_STUN_CREATE_PERMISSION,
				attrs);
		if (i % 2) {
			assert_int_equal(rig_channel_data(r, &c, number, "x"), TP_SLOW_RELAYED);
			assert_int_equal(rig_from_peer(r, &relay, ip, 9, "x"), TP_SLOW_RELAYED);
			rig_assert_channel_data(r, &c, number, "x");
		}
	}
	assert_int_equal(rig_counts(r).permissions, 800);
	assert_int_equal(rig_counts(r).channels, 400);
	assert_true(n_failed > 800 + 400);
	assert_true(n_growths >= 4 * 2);
	give_back_everything(r);
}

/* Everything that can be changed is, or nothing. */
static void a_reload_that_fails_changes_nothing(void **state)
{
	static struct tp_addr list[1];
	struct rig *r = *state;
	const struct rig_client a = rig_alice(r, CLIENT, 1), b = rig_alice(r, CLIENT, 2);
	uint32_t n;
	int rc = -ENOMEM;

	assert_int_equal(rig_ask(r, &a, TP_STUN_ALLOCATE, RIG_UDP), 0);
	list[0] = rig_addr("203.0.113.20", 3478);
	r->conf.alternates = list;
	r->conf.n_alternates = 1;
	r->conf.redirect = TP_TURN_REDIRECT_ALWAYS;
	r->conf.mobility = true;
	r->conf.max_allocations = 1000;
	r->conf.limits.allocations_per_user = 1;
	r->conf.limits.unauthenticated_per_source = 1;
	for (n = 0; rc < 0; n++) {
		fail_at = n + 1;
		rc = tp_turn_reload(r->turn, &r->conf);
		fail_at = 0;
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_false(r->turn->mobility.is_allowed);
		assert_int_equal(r->turn->limits.allocations_per_user, 0);
		assert_int_equal(r->turn->limits.unauthenticated_per_source, 0);
		assert_int_equal(rig_ask(r, &b, TP_STUN_ALLOCATE, RIG_UDP), 0);
		assert_int_equal(rig_ask(r, &b, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	}
	assert_true(n >= 8);
	assert_int_equal(rig_ask(r, &b, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_TRY_ALTERNATE);
	assert_true(r->turn->mobility.is_allowed);
}

/* What exists goes on without memory: refreshed, relayed, deleted. */
static void without_any_memory_what_exists_goes_on(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 1), other = rig_alice(r, CLIENT, 2);
	const struct tp_addr relay = rig_allocate(r, &c);

	assert_int_equal(rig_bind(r, &c, 0x4000, "203.0.113.9", 9), 0);
	is_dry = true;
	assert_int_equal(rig_ask(r, &other, TP_STUN_ALLOCATE, RIG_UDP),
			TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_permit(r, &c, "203.0.113.10"), TP_STUN_INSUFFICIENT_CAPACITY);
	assert_int_equal(rig_bind(r, &c, 0x4001, "203.0.113.9", 10), TP_STUN_INSUFFICIENT_CAPACITY);
	rig_sleep(r, 400);
	assert_int_equal(rig_bind(r, &c, 0x4000, "203.0.113.9", 9), 0);
	assert_int_equal(rig_permit(r, &c, "203.0.113.9"), 0);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
	assert_int_equal(rig_channel_data(r, &c, 0x4000, "x"), TP_SLOW_RELAYED);
	assert_int_equal(rig_from_peer(r, &relay, "203.0.113.9", 9, "x"), TP_SLOW_RELAYED);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	is_dry = false;
	give_back_everything(r);
}

/* For the record: who could be talked to is known to the end, or told before. */
static void a_peer_that_can_not_be_remembered_is_told(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 1);
	const struct tp_addr peer = rig_addr("203.0.113.9", 0);

	rig_allocate(r, &c);
	assert_int_equal(rig_permit(r, &c, "203.0.113.9"), 0);
	rig_sleep(r, 301);
	is_dry = true;
	tp_turn_expire(r->turn, r->now.mono_ns);
	is_dry = false;
	assert_int_equal(rig_counts(r).permissions, 0);
	assert_int_equal(r->n_past, 1);
	assert_true(tp_addr_same_ip(&r->past[0], &peer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_server_that_can_not_be_made_leaves_nothing),
		rig_test(an_allocation_that_fails_leaves_nothing),
		rig_test(a_channel_or_permission_that_fails_leaves_the_allocation_alone),
		rig_test(a_reload_that_fails_changes_nothing),
		rig_test(without_any_memory_what_exists_goes_on),
		rig_test(a_peer_that_can_not_be_remembered_is_told),
	};

	return cmocka_run_group_tests_name("turn_oom", tests, NULL, NULL);
}
