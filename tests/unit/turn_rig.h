/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn_rig - a TURN server and its surroundings, all in memory; turn_client.h has its clients.
 *
 * The rig is the surroundings of a tp_turn: a clock that is two variables, a seeded random
 * source, and ops that record every datagram and event.  It holds the core to what turn.h
 * promises, whatever a test is about: a verdict of ANSWERED or RELAYED means exactly one datagram
 * and any other means none; ports open and close in turn; a channel is cleared exactly once, and so
 * is a permission that was told; and when the server is freed everything has been returned.
 *
 * Nothing here allocates but rig_setup(), so that tests may let allocations fail.
 */
#ifndef TP_TESTS_TURN_RIG_H
#define TP_TESTS_TURN_RIG_H

#include "base/clock.h"
#include "turn/turn.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

#define RIG_REALM "example.org"
#define RIG_RELAY4 "192.0.2.10"
#define RIG_RELAY6 "2001:db8::10"
#define RIG_LOCAL4 "10.0.0.5" /* behind 1:1 NAT, rig_use_nat() */
#define RIG_LOCAL6 "fd00::5"
#define RIG_PORT_MIN 50000
#define RIG_PORT_MAX 50099
#define RIG_SECRET_NEW "newest"
#define RIG_SECRET_OLD "previous"
#define RIG_RELAYS_MAX 65
#define RIG_SENT_MAX 4
#define RIG_DATA_MAX 4096

struct rig_sent {
	bool is_to_peer;
	struct tp_tuple tuple;      /* to a client */
	struct tp_addr relay, peer; /* to a peer */
	struct tp_ip_meta meta;
	size_t len;
	uint8_t data[RIG_DATA_MAX]; /* the first bytes of it */
};

struct rig {
	struct tp_turn *turn;
	struct tp_turn_now now;
	struct tp_turn_conf conf; /* what the next rig_restart() starts with */
	struct tp_turn_relay relays[4];
	struct tp_turn_user users[2];
	struct tp_turn_secret secrets[2];
	struct tp_prefix deny[4], allow[4];
	struct tp_addr own[4];
	uint64_t random;
	uint8_t next_tid;
	int send_rc;       /* what sending returns */
	uint16_t peer_mtu; /* sending to peers fails with -EMSGSIZE, for being larger; 0: it does
			      not */

	/* Of the last call into the server. */
	struct rig_sent sent[RIG_SENT_MAX];
	size_t n_sent;
	struct tp_stun_msg answer; /* borrows sent[0] */
	uint32_t n_set, n_cleared;
	struct tp_turn_channel channel; /* the last one set, as it was */
	bool is_set_before_sent;
	uint32_t n_used, n_used_cleared;
	bool is_used_before_sent;
	struct tp_turn_permission permission; /* the last one told, as it was */

	/* What was asked and told of accounts: one, or two from relay to relay. */
	struct rig_traffic {
		uint32_t account;
		bool is_up;
		size_t len;
		enum tp_family peer_family; /* as asked */
	} asked[2], relayed[2];
	uint32_t n_asked, n_relayed;
	uint32_t limited; /* the account whose limit is reached; 0: none */

	/* From start to stop. */
	uint32_t n_accounts, next_account;
	bool is_account_full;
	uint32_t n_past;                             /* peers told before the end */
	struct tp_addr past[2 * TP_TURN_PAST_PEERS]; /* the first of them */
	uint8_t is_open[RIG_RELAYS_MAX][UINT16_MAX + 1];
	uint32_t n_open, n_channels, n_allocated, n_ended, n_clients;
	struct tp_tuple came, left;    /* the last clients to do so */
	bool is_crowded;               /* clients that come are not taken note of */
	uint32_t n_fast;               /* permissions with fast */
	bool is_full, is_channel_full; /* permissions, channels get no flows */
	enum tp_turn_end why;
	char user_ended[64];
};

static inline struct tp_addr rig_addr(const char *text, uint16_t port)
{
	struct tp_addr a = { 0 };

	assert_int_equal(tp_addr_parse(text, port, &a), 0);
	return a;
}

static inline struct tp_prefix rig_prefix(const char *text)
{
	struct tp_prefix p = { 0 };

	assert_int_equal(tp_prefix_parse(text, &p), 0);
	return p;
}

/* ---- the server's surroundings ---- */

static inline void rig_random(void *ctx, void *out, size_t len)
{
	struct rig *r = ctx;
	uint8_t *p = out;

	while (len-- > 0) {
		r->random = r->random * 6364136223846793005u + 1442695040888963407u;
		*p++ = (uint8_t)(r->random >> 56);
	}
}

static inline struct rig_sent *rig_next_sent(struct rig *r)
{
	assert_true(r->n_sent < RIG_SENT_MAX);
	return &r->sent[r->n_sent++];
}

static inline int rig_send_client(void *ctx, const struct tp_tuple *tuple,
		const struct tp_bytes part[], size_t n, const struct tp_ip_meta *meta)
{
	struct rig *r = ctx;
	struct rig_sent *s;

	r->is_set_before_sent = r->n_set > 0;
	r->is_used_before_sent = r->n_used > 0;
	if (r->send_rc < 0)
		return r->send_rc;
	s = rig_next_sent(r);
	*s = (struct rig_sent){ .tuple = *tuple, .meta = *meta };
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < part[i].len && s->len + j < RIG_DATA_MAX; j++)
			s->data[s->len + j] = ((const uint8_t *)part[i].data)[j];
		s->len += part[i].len;
	}
	return 0;
}

static inline int rig_send_peer(void *ctx, const struct tp_addr *relay_local,
		const struct tp_addr *peer, const struct tp_turn_packet *packet)
{
	struct rig *r = ctx;
	struct rig_sent *s;

	if (r->peer_mtu > 0)
		return -EMSGSIZE;
	if (r->send_rc < 0)
		return r->send_rc;
	s = rig_next_sent(r);
	*s = (struct rig_sent){ .is_to_peer = true, .relay = *relay_local, .peer = *peer };
	s->meta = packet->meta;
	s->len = packet->len;
	if (packet->len > 0)
		memcpy(s->data, packet->data,
				packet->len < RIG_DATA_MAX ? packet->len : RIG_DATA_MAX);
	return 0;
}

static inline uint16_t rig_path_mtu(
		void *ctx, const struct tp_addr *relay_local, const struct tp_addr *peer)
{
	const struct rig *r = ctx;

	assert_int_equal(relay_local->family, peer->family);
	return r->peer_mtu;
}

static inline void rig_port_opened(void *ctx, uint32_t relay, uint16_t port)
{
	struct rig *r = ctx;

	assert_true(relay < N(r->is_open) && !r->is_open[relay][port]);
	r->is_open[relay][port] = true;
	r->n_open++;
}

static inline void rig_port_closed(void *ctx, uint32_t relay, uint16_t port)
{
	struct rig *r = ctx;

	assert_true(relay < N(r->is_open) && r->is_open[relay][port]);
	r->is_open[relay][port] = false;
	r->n_open--;
}

static inline void rig_channel_set(void *ctx, struct tp_turn_channel *channel)
{
	struct rig *r = ctx;

	if (channel->fast == NULL && !r->is_channel_full) {
		r->n_channels++;
		channel->fast = r;
	}
	r->channel = *channel;
	r->n_set++;
}

static inline void rig_channel_cleared(void *ctx, struct tp_turn_channel *channel)
{
	struct rig *r = ctx;

	assert_true(channel->fast == r || channel->fast == NULL);
	assert_true(r->is_open[channel->relay][channel->relay_local.port]);
	r->n_channels -= channel->fast != NULL;
	channel->fast = NULL;
	r->n_cleared++;
}

static inline void rig_permission_used(void *ctx, struct tp_turn_permission *permission)
{
	struct rig *r = ctx;

	assert_true(permission->fast == r || permission->fast == NULL);
	assert_true(r->is_open[permission->relay][permission->relay_local.port]);
	assert_int_equal(permission->peer.port, 0);
	assert_int_equal(permission->peer_local.port, 0);
	if (permission->fast == NULL && !r->is_full) {
		r->n_fast++;
		permission->fast = r;
	}
	r->permission = *permission;
	r->n_used++;
}

static inline void rig_permission_cleared(void *ctx, struct tp_turn_permission *permission)
{
	struct rig *r = ctx;

	assert_ptr_equal(permission->fast, r);
	assert_true(r->is_open[permission->relay][permission->relay_local.port]);
	permission->fast = NULL;
	r->n_fast--;
	r->n_used_cleared++;
}

static inline int rig_account_opened(void *ctx, uint32_t *account)
{
	struct rig *r = ctx;

	if (r->is_account_full)
		return -ENOSPC;
	*account = ++r->next_account;
	r->n_accounts++;
	return 0;
}

static inline void rig_account_closed(void *ctx, uint32_t account)
{
	struct rig *r = ctx;

	assert_in_range(account, 1, r->next_account);
	assert_true(r->n_accounts-- > 0);
}

static inline bool rig_admits(void *ctx, uint32_t account, bool is_up, size_t data_len,
		enum tp_family peer_family)
{
	struct rig *r = ctx;

	assert_true(r->n_asked < 2);
	r->asked[r->n_asked++] = (struct rig_traffic){ account, is_up, data_len, peer_family };
	return account != r->limited;
}

/* Only what was asked for before. */
static inline void rig_relayed_traffic(void *ctx, uint32_t account, bool is_up, size_t data_len)
{
	struct rig *r = ctx;
	const struct rig_traffic *asked = &r->asked[is_up ? 0 : r->n_asked - 1];

	assert_true(r->n_relayed < r->n_asked);
	assert_true(asked->account == account && asked->is_up == is_up && asked->len == data_len);
	r->relayed[r->n_relayed++] = *asked;
}

static inline void rig_peers_past(void *ctx, const struct tp_allocation *alloc,
		const struct tp_addr peers[], uint32_t n)
{
	struct rig *r = ctx;

	(void)alloc;
	for (uint32_t i = 0; i < n; i++, r->n_past++)
		if (r->n_past < N(r->past))
			r->past[r->n_past] = peers[i];
}

static inline bool rig_client_came(void *ctx, const struct tp_tuple *tuple)
{
	struct rig *r = ctx;

	if (r->is_crowded)
		return false;
	r->came = *tuple;
	r->n_clients++;
	return true;
}

static inline void rig_client_left(void *ctx, const struct tp_tuple *tuple)
{
	struct rig *r = ctx;

	assert_true(r->n_clients > 0);
	r->left = *tuple;
	r->n_clients--;
}

static inline void rig_allocated(void *ctx, const struct tp_allocation *alloc)
{
	struct tp_allocation_info info;
	struct rig *r = ctx;

	tp_allocation_info(r->turn, alloc, &info);
	assert_true(info.leg[0].is_present || info.leg[1].is_present);
	r->n_allocated++;
}

static inline void rig_ended(void *ctx, const struct tp_allocation *alloc, enum tp_turn_end why)
{
	struct tp_allocation_info info;
	struct rig *r = ctx;

	tp_allocation_info(r->turn, alloc, &info);
	snprintf(r->user_ended, sizeof(r->user_ended), "%s", info.username);
	r->why = why;
	r->n_ended++;
}

static const struct tp_turn_ops rig_ops = {
	.random = rig_random,
	.send_client = rig_send_client,
	.send_peer = rig_send_peer,
	.path_mtu = rig_path_mtu,
	.port_opened = rig_port_opened,
	.port_closed = rig_port_closed,
	.channel_set = rig_channel_set,
	.channel_cleared = rig_channel_cleared,
	.permission_used = rig_permission_used,
	.permission_cleared = rig_permission_cleared,
	.account_opened = rig_account_opened,
	.account_closed = rig_account_closed,
	.admits = rig_admits,
	.relayed = rig_relayed_traffic,
	.peers_past = rig_peers_past,
	.client_came = rig_client_came,
	.client_left = rig_client_left,
	.allocated = rig_allocated,
	.ended = rig_ended,
};

static inline struct tp_turn_user rig_user(char *name, const char *password)
{
	const struct tp_bytes n = { name, strlen(name) }, p = { password, strlen(password) };
	struct tp_turn_user user = { .name = name };

	const struct tp_bytes realm = { RIG_REALM, strlen(RIG_REALM) };

	tp_key_make(TP_ALGORITHM_MD5, &n, &realm, &p, &user.md5);
	tp_key_make(TP_ALGORITHM_SHA256, &n, &realm, &p, &user.sha256);
	return user;
}

/* Users alice and bob, a relay address of each family, loopback and 10/8 denied. */
static inline void rig_conf(struct rig *r)
{
	static char alice[] = "alice", bob[] = "bob";
	static uint8_t newest[] = RIG_SECRET_NEW, oldest[] = RIG_SECRET_OLD;
	const struct tp_turn_relay relay[] = {
		{ rig_addr(RIG_RELAY4, 0), rig_addr(RIG_RELAY4, 0) },
		{ rig_addr(RIG_RELAY6, 0), rig_addr(RIG_RELAY6, 0) },
	};

	memcpy(r->relays, relay, sizeof(relay));
	r->users[0] = rig_user(alice, "wonder");
	r->users[1] = rig_user(bob, "builder");
	r->secrets[0] = (struct tp_turn_secret){ newest, sizeof(newest) - 1 };
	r->secrets[1] = (struct tp_turn_secret){ oldest, sizeof(oldest) - 1 };
	r->deny[0] = rig_prefix("127.0.0.0/8");
	r->deny[1] = rig_prefix("10.0.0.0/8");
	r->allow[0] = rig_prefix("10.1.0.0/16");
	r->own[0] = rig_addr("192.0.2.1", 3478);
	r->own[1] = rig_addr("2001:db8::1", 3478);
	r->own[2] = relay[0].local;
	r->own[3] = relay[1].local;
	r->conf = (struct tp_turn_conf){
		.realm = RIG_REALM,
		.nonce_key = { 1, 2, 3 },
		.relays = r->relays,
		.n_relays = 2,
		.port_min = RIG_PORT_MIN,
		.port_max = RIG_PORT_MAX,
		.users = r->users,
		.n_users = 2,
		.secrets = r->secrets,
		.n_secrets = 2,
		.deny = r->deny,
		.n_deny = 2,
		.allow = r->allow,
		.n_allow = 1,
		.own = r->own,
		.n_own = 4,
		.max_allocations = 100,
		.max_channels = 100,
		.limits.permissions_per_allocation = 1000,
	};
}

static inline int rig_start(struct rig *r)
{
	return tp_turn_new(&r->conf, &rig_ops, r, &r->turn);
}

/* Everything that was taken is given back, and everything that was said is taken back. */
static inline void rig_stop(struct rig *r)
{
	tp_turn_free(r->turn);
	r->turn = NULL;
	assert_int_equal(r->n_open, 0);
	assert_int_equal(r->n_channels, 0);
	assert_int_equal(r->n_fast, 0);
	assert_int_equal(r->n_accounts, 0);
	assert_int_equal(r->n_allocated, r->n_ended);
	assert_int_equal(r->n_clients, 0);
}

static inline void rig_restart(struct rig *r)
{
	rig_stop(r);
	assert_int_equal(rig_start(r), 0);
}

/* Behind 1:1 NAT: what clients see is not what the host has. */
static inline void rig_use_nat(struct rig *r)
{
	r->relays[0].local = r->own[2] = rig_addr(RIG_LOCAL4, 0);
	r->relays[1].local = r->own[3] = rig_addr(RIG_LOCAL6, 0);
}

enum rig_families {
	RIG_BOTH,
	RIG_ONLY_IPV4,
	RIG_ONLY_IPV6,
};

/* Start again, with relayed addresses of these families. */
static inline void rig_use_families(struct rig *r, enum rig_families f)
{
	rig_conf(r);
	if (f == RIG_ONLY_IPV6)
		r->relays[0] = r->relays[1];
	r->conf.n_relays = f == RIG_BOTH ? 2 : 1;
	rig_restart(r);
}

static inline int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->now = (struct tp_turn_now){ 1000 * TP_NS_PER_SEC, 1700000000 };
	r->random = 42;
	rig_conf(r);
	assert_int_equal(rig_start(r), 0);
	*state = r;
	return 0;
}

static inline int rig_teardown(void **state)
{
	rig_stop(*state);
	free(*state);
	return 0;
}

#define rig_test(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static inline void rig_sleep(struct rig *r, uint64_t sec)
{
	r->now.mono_ns += sec * TP_NS_PER_SEC;
	r->now.wall_sec += sec;
}

static inline struct tp_turn_counts rig_counts(const struct rig *r)
{
	struct tp_turn_counts counts;

	tp_turn_count(r->turn, &counts);
	return counts;
}

/* ---- into the server ---- */

static inline void rig_before(struct rig *r)
{
	r->n_sent = 0;
	r->n_set = r->n_cleared = r->n_used = r->n_used_cleared = 0;
	r->is_set_before_sent = r->is_used_before_sent = false;
	r->n_asked = r->n_relayed = 0;
	memset(&r->answer, 0, sizeof(r->answer));
}

static inline enum tp_slow_verdict rig_after(struct rig *r, enum tp_slow_verdict v)
{
	/* DONT-FRAGMENT: dropped, and the client told. */
	bool is_sent = v == TP_SLOW_ANSWERED || v == TP_SLOW_RELAYED || v == TP_SLOW_DROP_DONT_FRAG;

	assert_int_equal(r->n_sent, is_sent ? 1 : 0);
	/* an ICMP error that is told is no traffic of the client's */
	if (v != TP_SLOW_RELAYED || r->n_asked > 0)
		assert_int_equal(r->n_relayed, v == TP_SLOW_RELAYED ? r->n_asked : 0);
	assert_true(tp_turn_next_ns(r->turn) > r->now.mono_ns);
	return v;
}

static inline enum tp_slow_verdict rig_from_peer_meta(struct rig *r, const struct tp_addr *relay,
		const struct tp_addr *peer, const void *data, size_t len, struct tp_ip_meta meta)
{
	const struct tp_turn_packet packet = { .data = data, .len = len, .meta = meta };

	rig_before(r);
	return rig_after(r, tp_turn_from_peer(r->turn, &r->now, relay, peer, &packet));
}

static inline enum tp_slow_verdict rig_from_peer(struct rig *r, const struct tp_addr *relay,
		const char *ip, uint16_t port, const char *text)
{
	const struct tp_addr peer = rig_addr(ip, port);

	return rig_from_peer_meta(
			r, relay, &peer, text, strlen(text), (struct tp_ip_meta){ .ttl = 60 });
}

#endif
