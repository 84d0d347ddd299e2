/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server asks of its surroundings: a wire that is one datagram, a data path that
 * remembers, and memory that may run out.
 */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void world_hash(struct world *w, const void *data, size_t len)
{
	w->hash = XXH3_64bits_withSeed(data, len, w->hash);
}

void world_event(struct world *w, char what, uint64_t detail)
{
	const uint64_t words[] = { (uint64_t)what, detail };

	if (!w->is_inside)
		sim_fail("event %c from outside of a call", what);
	/* Section 12.2 and common sense: what a client hears of has happened. */
	if (w->n_sent > 0 && w->want.is_request)
		sim_fail("event %c after the answer", what);
	world_hash(w, words, sizeof(words));
}

/* ---- random, and the wire ---- */

static void op_random(void *ctx, void *out, size_t len)
{
	struct world *w = ctx;
	struct choose c = { .state = w->random };
	uint8_t *p = out;

	while (len-- > 0)
		*p++ = choose_byte(&c);
	w->random = c.state;
}

static struct world_sent *send_one(struct world *w)
{
	if (!w->is_inside)
		sim_fail("a datagram from outside of a call");
	if (w->n_sent++ > 0)
		sim_fail("two datagrams for one");
	return &w->sent;
}

static int op_send_client(void *ctx, const struct tp_tuple *tuple, const struct tp_bytes part[],
		size_t n, const struct tp_ip_meta *meta)
{
	struct world *w = ctx;
	struct world_sent *s;

	if (w->send_rc < 0)
		return w->send_rc;
	s = send_one(w);
	s->is_to_peer = false;
	s->tuple = *tuple;
	s->meta = *meta;
	s->len = 0;
	for (size_t i = 0; i < n; i++) {
		if (part[i].len > sizeof(s->data) - s->len)
			sim_fail("more than a datagram can be");
		if (part[i].len > 0)
			memcpy(s->data + s->len, part[i].data, part[i].len);
		s->len += part[i].len;
	}
	world_hash(w, s->data, s->len);
	return 0;
}

static int op_send_peer(void *ctx, const struct tp_addr *relay_local, const struct tp_addr *peer,
		const struct tp_turn_packet *packet)
{
	struct world *w = ctx;
	struct world_sent *s;

	if (w->is_narrow)
		return -EMSGSIZE;
	if (w->send_rc < 0)
		return w->send_rc;
	s = send_one(w);
	s->is_to_peer = true;
	s->relay_local = *relay_local;
	s->peer = *peer;
	s->meta = packet->meta;
	s->len = packet->len;
	if (packet->len > 0)
		memcpy(s->data, packet->data, packet->len);
	world_hash(w, s->data, s->len);
	return 0;
}

static uint16_t op_path_mtu(
		void *ctx, const struct tp_addr *relay_local, const struct tp_addr *peer)
{
	struct world *w = ctx;

	if (relay_local->family != peer->family)
		sim_fail("the path MTU between two families");
	/* What is said to the client may be sent. */
	w->send_rc = 0;
	return 1280;
}

/* ---- ports ---- */

static uint8_t *port_of(struct world *w, uint32_t relay, uint16_t port)
{
	if (relay >= w->conf.n_relays || port < w->conf.port_min || port > w->conf.port_max)
		sim_fail("port %u of relay %u does not exist", port, relay);
	return &w->is_open[relay][port];
}

static void op_port_opened(void *ctx, uint32_t relay, uint16_t port)
{
	struct world *w = ctx;
	uint8_t *is_open = port_of(w, relay, port);

	world_event(w, 'o', (uint64_t)relay << 16 | port);
	if (*is_open)
		sim_fail("port %u of relay %u was opened twice", port, relay);
	if (w->opened.n == 2)
		sim_fail("a third port was opened");
	*is_open = 1;
	w->n_open++;
	w->opened.port[w->opened.n].relay = relay;
	w->opened.port[w->opened.n++].port = port;
}

static void op_port_closed(void *ctx, uint32_t relay, uint16_t port)
{
	struct world *w = ctx;
	uint8_t *is_open = port_of(w, relay, port);

	world_event(w, 'x', (uint64_t)relay << 16 | port);
	if (!*is_open)
		sim_fail("port %u of relay %u was closed twice", port, relay);
	for (unsigned i = 0; i < w->n_channel; i++)
		if (w->channel[i].is_on && w->channel[i].told.relay == relay &&
				w->channel[i].told.relay_local.port == port)
			sim_fail("port %u was closed before its channels were cleared", port);
	for (unsigned i = 0; i < w->n_permission; i++)
		if (w->permission[i].is_on && w->permission[i].told.relay == relay &&
				w->permission[i].told.relay_local.port == port)
			sim_fail("port %u was closed before its permissions were cleared", port);
	/* Taken back, where an Allocate fails half way. */
	for (unsigned i = 0; i < w->opened.n; i++)
		if (w->opened.port[i].relay == relay && w->opened.port[i].port == port)
			w->opened.port[i] = w->opened.port[--w->opened.n];
	*is_open = 0;
	w->n_open--;
}

/* ---- channels ---- */

struct shadow_channel *world_shadow(struct world *w, const struct tp_tuple *tuple, uint16_t number)
{
	for (unsigned i = 0; i < w->n_channel; i++)
		if (w->channel[i].is_on && w->channel[i].told.number == number &&
				memcmp(&w->channel[i].told.tuple, tuple, sizeof(*tuple)) == 0)
			return &w->channel[i];
	return NULL;
}

static void check_leg(struct world *w, uint32_t relay, const struct tp_addr *local,
		const struct tp_addr *external, uint8_t family)
{
	struct tp_addr want;

	if (!*port_of(w, relay, local->port))
		sim_fail("told of port %u, which is not open", local->port);
	want = w->conf.relays[relay].local;
	want.port = local->port;
	if (!tp_addr_equal(&want, local) || local->family != family)
		sim_fail("told of a relayed address that is not ours, or of the other family");
	want = w->conf.relays[relay].external;
	want.port = local->port;
	if (!tp_addr_equal(&want, external))
		sim_fail("told of an external address that is not ours");
}

static void check_hairpin(const struct world *w, const struct tp_addr *peer, bool is_hairpin,
		const struct tp_addr *peer_local)
{
	int relay = model_relay_of(&w->model, peer, false);
	struct tp_addr want = relay < 0 ? *peer : w->conf.relays[relay].local;

	want.port = peer->port;
	if (is_hairpin != (relay >= 0) || !tp_addr_equal(&want, peer_local))
		sim_fail("told of a hairpin that is none, or not");
}

static void check_channel(struct world *w, const struct tp_turn_channel *ch)
{
	check_leg(w, ch->relay, &ch->relay_local, &ch->relay_external, ch->peer.family);
	check_hairpin(w, &ch->peer, ch->is_hairpin, &ch->peer_local);
	if (ch->down_deadline_ns > ch->up_deadline_ns)
		sim_fail("channel %04x receives for longer than it sends", ch->number);
}

static struct shadow_channel *new_shadow(struct world *w)
{
	unsigned i;

	for (i = 0; i < w->n_channel && w->channel[i].is_on; i++)
		;
	if (i == WORLD_SHADOW)
		sim_fail("more than %d channels", WORLD_SHADOW);
	if (i == w->n_channel)
		w->n_channel++;
	return &w->channel[i];
}

static void op_channel_set(void *ctx, struct tp_turn_channel *ch)
{
	struct world *w = ctx;
	struct shadow_channel *s = world_shadow(w, &ch->tuple, ch->number);

	world_event(w, 'c', ch->number ^ ch->up_deadline_ns ^ ch->down_deadline_ns << 1);
	check_channel(w, ch);
	if (!world_is_account(w, ch->account, &ch->tuple))
		sim_fail("channel %04x has somebody else's account", ch->number);
	if (s == NULL) {
		if (ch->fast != NULL)
			sim_fail("a new channel %04x has a flow already", ch->number);
		s = new_shadow(w);
		*s = (struct shadow_channel){ .is_on = true };
	} else if (!tp_addr_equal(&s->told.peer, &ch->peer)) {
		sim_fail("channel %04x became another peer's", ch->number);
	}
	if (ch->fast != (s->is_fast ? s : NULL))
		sim_fail("channel %04x has somebody else's flow", ch->number);
	if (!s->is_fast && !w->is_refusing) {
		s->is_fast = true;
		ch->fast = s;
	}
	s->told = *ch;
}

static void op_channel_cleared(void *ctx, struct tp_turn_channel *ch)
{
	struct world *w = ctx;
	struct shadow_channel *s = world_shadow(w, &ch->tuple, ch->number);

	world_event(w, 'C', ch->number);
	check_channel(w, ch);
	if (s == NULL || !tp_addr_equal(&s->told.peer, &ch->peer))
		sim_fail("channel %04x was cleared and never set", ch->number);
	if (ch->fast != (s->is_fast ? s : NULL))
		sim_fail("channel %04x was cleared with somebody else's flow", ch->number);
	s->is_on = false;
	ch->fast = NULL;
}

/* ---- permissions ---- */

static bool has_slow_channel(const struct world *w, const struct tp_turn_permission *p)
{
	for (unsigned i = 0; i < w->n_channel; i++) {
		const struct shadow_channel *s = &w->channel[i];

		if (s->is_on && !s->is_fast && tp_addr_same_ip(&s->told.peer, &p->peer) &&
				memcmp(&s->told.tuple, &p->tuple, sizeof(p->tuple)) == 0)
			return true;
	}
	return false;
}

static void check_permission(struct world *w, const struct tp_turn_permission *p)
{
	const struct shadow_permission *s = p->fast;

	check_leg(w, p->relay, &p->relay_local, &p->relay_external, p->peer.family);
	check_hairpin(w, &p->peer, p->is_hairpin, &p->peer_local);
	if (p->peer.port != 0)
		sim_fail("a permission with a port");
	if (s != NULL &&
			(s < w->permission || s >= w->permission + WORLD_SHADOW || !s->is_on ||
					!tp_addr_equal(&s->told.peer, &p->peer)))
		sim_fail("a permission with somebody else's flow");
}

static void op_permission_used(void *ctx, struct tp_turn_permission *p)
{
	struct world *w = ctx;
	struct shadow_permission *s = p->fast;
	unsigned i;

	world_event(w, 'p', p->deadline_ns);
	check_permission(w, p);
	if (!world_is_account(w, p->account, &p->tuple))
		sim_fail("a permission has somebody else's account");
	if (p->has_slow_channel != has_slow_channel(w, p))
		sim_fail("told wrongly of channels without a flow");
	if (s == NULL && w->is_refusing)
		return;
	for (i = 0; s == NULL && i < WORLD_SHADOW; i++)
		if (!w->permission[i].is_on)
			s = &w->permission[i];
	if (s == NULL)
		sim_fail("more than %d permissions", WORLD_SHADOW);
	if ((unsigned)(s - w->permission) >= w->n_permission)
		w->n_permission = (unsigned)(s - w->permission) + 1;
	p->fast = s;
	*s = (struct shadow_permission){ true, *p };
}

static void op_permission_cleared(void *ctx, struct tp_turn_permission *p)
{
	struct world *w = ctx;
	struct shadow_permission *s = p->fast;

	world_event(w, 'P', 0);
	check_permission(w, p);
	if (s == NULL)
		sim_fail("a permission was cleared that has no flow");
	s->is_on = false;
	p->fast = NULL;
}

/* ---- the log ---- */

static void note_announced(struct world *w, const struct tp_allocation *alloc, uint8_t was)
{
	struct tp_allocation_info info;

	tp_allocation_info(w->turn, alloc, &info);
	for (unsigned at = 0; at < 2; at++) {
		const struct tp_addr *local = &info.leg[at].local;
		int relay = model_relay_of(&w->model, local, true);

		if (!info.leg[at].is_present)
			continue;
		if (relay < 0 || w->is_open[relay][local->port] != was)
			sim_fail("allocated and ended are not a pair");
		w->is_open[relay][local->port] = 3 - was;
	}
}

unsigned world_client(const struct world *w, const struct tp_tuple *tuple)
{
	unsigned i = 0;

	while (i < w->n_clients && memcmp(&w->client[i], tuple, sizeof(*tuple)) != 0)
		i++;
	return i;
}

static bool op_client_came(void *ctx, const struct tp_tuple *tuple)
{
	struct world *w = ctx;

	world_event(w, 'c', tuple->client.port);
	if (world_client(w, tuple) < w->n_clients)
		sim_fail("a client came twice");
	if (w->n_clients == sizeof(w->client) / sizeof(w->client[0]))
		sim_fail("clients came, and none left");
	w->client[w->n_clients++] = *tuple;
	return true;
}

static void op_client_left(void *ctx, const struct tp_tuple *tuple)
{
	struct world *w = ctx;
	unsigned i = world_client(w, tuple);

	world_event(w, 'l', tuple->client.port);
	if (i == w->n_clients)
		sim_fail("a client left that had not come");
	w->client[i] = w->client[--w->n_clients];
}

static void op_allocated(void *ctx, const struct tp_allocation *alloc)
{
	struct world *w = ctx;

	world_event(w, 'a', 0);
	note_announced(w, alloc, 1);
	world_account_announced(w, alloc);
	w->n_allocated++;
}

static bool is_past(const struct world *w, const struct tp_allocation *alloc)
{
	struct tp_allocation_info info;

	tp_allocation_info(w->turn, alloc, &info);
	return (!info.leg[0].is_present || info.leg[0].deadline_ns <= w->now.mono_ns) &&
			(!info.leg[1].is_present || info.leg[1].deadline_ns <= w->now.mono_ns);
}

static void op_ended(void *ctx, const struct tp_allocation *alloc, enum tp_turn_end why)
{
	struct world *w = ctx;
	bool is_refresh = w->want.is_request && w->want.change == MODEL_REFRESH;

	world_event(w, 'e', why);
	note_announced(w, alloc, 2);
	world_account_ended(w, alloc);
	if ((why == TP_TURN_END_SHUTDOWN) != w->is_stopping)
		sim_fail("ended for shutdown, or not");
	if (why == TP_TURN_END_DELETED && !is_refresh)
		sim_fail("deleted, and nobody asked for it");
	if (why == TP_TURN_END_EXPIRED && !is_past(w, alloc))
		sim_fail("expired before its time");
	w->n_ended++;
}

const struct tp_turn_ops world_ops = {
	.random = op_random,
	.send_client = op_send_client,
	.send_peer = op_send_peer,
	.path_mtu = op_path_mtu,
	.port_opened = op_port_opened,
	.port_closed = op_port_closed,
	.channel_set = op_channel_set,
	.channel_cleared = op_channel_cleared,
	.permission_used = op_permission_used,
	.permission_cleared = op_permission_cleared,
	.account_opened = world_account_opened,
	.account_closed = world_account_closed,
	.admits = world_admits,
	.relayed = world_relayed,
	.peers_past = world_peers_past,
	.client_came = op_client_came,
	.client_left = op_client_left,
	.allocated = op_allocated,
	.ended = op_ended,
	.moved = world_moved,
};
