/* SPDX-License-Identifier: Apache-2.0 */
/* A step: somebody does something, or time passes. */
#include "town.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

void town_init(struct town *t, unsigned n_clients)
{
	struct choose c = t->choose;

	memset(t, 0, sizeof(*t));
	t->choose = c;
	world_init(&t->world, &t->choose);
	t->n_clients = n_clients;
	for (unsigned i = 0; i < n_clients; i++)
		client_init(t, &t->client[i], i);
}

void town_fini(struct town *t)
{
	world_fini(&t->world);
}

struct tp_ip_meta town_meta(struct town *t)
{
	struct choose *c = &t->choose;

	if (!one_in(c, 8))
		return (struct tp_ip_meta){ .ttl = 64 };
	return (struct tp_ip_meta){
		.ttl = (uint8_t)choose(c, 4), .tclass = choose_byte(c), .is_df = one_in(c, 2)
	};
}

enum tp_slow_verdict town_deliver(
		struct town *t, const struct tp_tuple *tuple, const uint8_t *data, size_t len)
{
	return world_from_client(&t->world, tuple, data, len, town_meta(t));
}

/* ---- the network ---- */

static void deliver(struct town *t)
{
	unsigned i = t->n_flight;
	struct flight *f;

	if (i == 0)
		return;
	f = &t->flight[one_in(&t->choose, 2) ? choose(&t->choose, i) : 0];
	town_deliver(t, &f->tuple, f->data, f->len);
	for (i = 0; i < t->n_clients; i++)
		if (memcmp(&t->client[i].tuple, &f->tuple, sizeof(f->tuple)) == 0 &&
				!one_in(&t->choose, 4))
			client_hear(t, &t->client[i]);
	if (!one_in(&t->choose, 4))
		*f = t->flight[--t->n_flight]; /* else it will arrive again */
}

/* ---- peers ---- */

/* A relayed address: one that is alive, was, or never will be. */
static struct tp_addr some_relayed(struct town *t)
{
	struct model *m = &t->world.model;
	const struct model_allocation *a = &m->alloc[choose(&t->choose, MODEL_ALLOCATIONS)];
	unsigned at = choose(&t->choose, 2);
	struct tp_addr local;

	for (unsigned i = 0; !a->is_on && i < MODEL_ALLOCATIONS; i++)
		a = &m->alloc[(unsigned)(a - m->alloc + 1) % MODEL_ALLOCATIONS];
	if (a->is_on && !one_in(&t->choose, 16))
		return model_relayed(m, &a->leg[a->leg[at].is_on ? at : !at], true);
	local = t->world.relays[choose(&t->choose, t->world.conf.n_relays)].local;
	local.port = (uint16_t)(49999 + choose(&t->choose, 48));
	return local;
}

/* Somebody who may, or anybody. */
static struct tp_addr some_peer(struct town *t, const struct tp_addr *relayed)
{
	struct model *m = &t->world.model;
	int relay = model_relay_of(m, relayed, true);
	const struct model_allocation *a = model_owner(m, (uint32_t)relay, relayed->port);
	struct tp_addr peer;

	if (a != NULL && a->n_permissions > 0 && !one_in(&t->choose, 4)) {
		peer = a->permission[choose(&t->choose, a->n_permissions)].ip;
		peer.port = (uint16_t)(1 + choose(&t->choose, 2));
		if (peer.family == relayed->family)
			return peer;
	}
	if (a != NULL && a->n_channels > 0 && !one_in(&t->choose, 4)) {
		peer = a->channel[choose(&t->choose, a->n_channels)].peer;
		if (peer.family == relayed->family)
			return peer;
	}
	do {
		peer = town_peer(t);
	} while (peer.family != relayed->family && t->choose.bytes == NULL);
	return peer;
}

static void peer_sends(struct town *t)
{
	struct tp_addr relayed = some_relayed(t), peer = some_peer(t, &relayed);
	uint8_t data[64] = "from a peer: ";
	size_t len = choose(&t->choose, sizeof(data));

	if (peer.family != relayed.family)
		return; /* no packet is of two families */
	memcpy(data + 16, &t->world.step, sizeof(t->world.step));
	world_from_peer(&t->world, &relayed, &peer, data, len, town_meta(t));
}

static void icmp(struct town *t)
{
	static const uint8_t types[] = { 3, 11, 1, 2 };
	struct tp_icmp_error e = { .src = some_relayed(t) };
	unsigned n = one_in(&t->choose, 16) ? 200 : 1;

	e.dst = some_peer(t, &e.src);
	if (e.dst.family != e.src.family)
		return;
	e.type = types[choose(&t->choose, sizeof(types))];
	e.code = choose_byte(&t->choose) & 7;
	e.mtu = one_in(&t->choose, 2) ? 1400 : 0;
	while (n-- > 0)
		world_from_icmp(&t->world, &e);
}

/* ---- time ---- */

/* The good are never late. */
static void sleep_until(struct town *t, uint64_t ns)
{
	struct world *w = &t->world;

	for (;;) {
		struct client *first = NULL;

		for (unsigned i = 0; i < t->n_clients; i++)
			if (client_wake_ns(&t->client[i]) <= ns &&
					(first == NULL ||
							client_wake_ns(&t->client[i]) <
									client_wake_ns(first)))
				first = &t->client[i];
		if (first == NULL)
			break;
		if (client_wake_ns(first) > w->now.mono_ns)
			world_sleep(w, client_wake_ns(first) - w->now.mono_ns);
		client_act(t, first);
	}
	if (ns > w->now.mono_ns)
		world_sleep(w, ns - w->now.mono_ns);
}

static void sleep_some(struct town *t)
{
	static const uint32_t ms[] = { 0, 1, 20, 500, 1000, 2000, 5000, 30000 };
	uint64_t ns = ms[choose(&t->choose, 8)] * (TP_NS_PER_SEC / 1000);

	if (one_in(&t->choose, 64))
		ns = choose(&t->choose, 4000) * TP_NS_PER_SEC;
	sleep_until(t, t->world.now.mono_ns + ns);
}

/* Traffic over everything that an allocation has. */
static void use_all(struct town *t, const struct tp_tuple *tuple)
{
	struct world *w = &t->world;
	struct model_allocation *a = model_find(&w->model, tuple);
	static struct model_allocation was;
	struct tp_addr relayed;

	if (a == NULL)
		return;
	was = *a;
	for (unsigned i = 0; i < was.n_channels; i++) {
		const struct model_channel *ch = &was.channel[i];
		const uint8_t data[] = { (uint8_t)(ch->number >> 8), (uint8_t)ch->number, 0, 1,
			'x' };

		world_from_client(w, tuple, data, sizeof(data), (struct tp_ip_meta){ .ttl = 9 });
		relayed = model_relayed(&w->model, &was.leg[model_at(&ch->peer)], true);
		world_from_peer(w, &relayed, &ch->peer, data, 5, (struct tp_ip_meta){ .ttl = 9 });
	}
	for (unsigned i = 0; i < was.n_permissions; i++) {
		struct tp_addr peer = was.permission[i].ip;

		peer.port = 7;
		relayed = model_relayed(&w->model, &was.leg[model_at(&peer)], true);
		world_from_peer(w, &relayed, &peer, (const uint8_t *)"y", 1,
				(struct tp_ip_meta){ .ttl = 9 });
	}
}

static bool ends_at(const struct model_allocation *a, uint64_t ns)
{
	bool is_end = false;

	for (unsigned at = 0; at < 2; at++)
		is_end |= a->leg[at].is_on && a->leg[at].due_ns == ns;
	for (unsigned i = 0; i < a->n_channels; i++)
		is_end |= a->channel[i].due_ns == ns;
	for (unsigned i = 0; i < a->n_permissions; i++)
		is_end |= a->permission[i].due_ns == ns;
	return is_end;
}

/* Whose it is that ends then; NULL: it is a reservation. */
static const struct model_allocation *who_ends_at(const struct model *m, uint64_t ns)
{
	for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++)
		if (m->alloc[i].is_on && ends_at(&m->alloc[i], ns))
			return &m->alloc[i];
	return NULL;
}

/* What ends next, one nanosecond before and at its end; with or without a look at timers. */
static void probe(struct town *t)
{
	struct world *w = &t->world;
	uint64_t next = model_next_ns(&w->model);
	const struct model_allocation *a;
	struct tp_tuple tuple;

	if (next == UINT64_MAX || next - 1 <= w->now.mono_ns)
		return;
	sleep_until(t, next - 1);
	/* Unless a good client refreshed it. */
	a = who_ends_at(&w->model, next);
	if (a == NULL)
		return;
	t->n_probes++;
	tuple = a->tuple;
	use_all(t, &tuple);
	world_sleep(w, 1);
	if (one_in(&t->choose, 2))
		world_expire(w);
	use_all(t, &tuple);
}

/* ---- all of it ---- */

void town_drain(struct town *t)
{
	struct world *w = &t->world;

	for (unsigned i = 0; i < t->n_clients; i++)
		client_forget(&t->client[i]);
	t->n_flight = 0;
	world_sleep(w, (TP_TURN_MAX_LIFETIME_SEC + 1) * TP_NS_PER_SEC);
	world_expire(w);
	if (w->n_open > 0 || w->model.count.allocations > 0 ||
			tp_turn_next_ns(w->turn) != UINT64_MAX)
		sim_fail("an hour later something is left");
}

static void upheaval(struct town *t)
{
	switch (choose(&t->choose, 64)) {
	case 1:
		t->n_restarts++;
		for (unsigned i = 0; i < t->n_clients; i++)
			client_forget(&t->client[i]);
		world_restart(&t->world, &t->choose);
		break;
	case 2:
		town_drain(t);
		break;
	case 3:
		/* credentials that have run out are made anew */
		for (unsigned i = 4; i < t->n_clients; i += 5)
			client_init(t, &t->client[i], i);
		break;
	}
}

/* A neighbour of somebody: strangers' requests, or guesses. */
static void flood(struct town *t)
{
	const struct client *victim = &t->client[choose(&t->choose, t->n_clients)];
	struct client *stranger = &t->client[TOWN_CLIENTS];
	struct ask ask = { .method = one_in(&t->choose, 3) ? REF_BINDING : REF_ALLOCATE };
	unsigned n = 1 + choose(&t->choose, 64);
	uint8_t data[TOWN_DATAGRAM];

	*stranger = *victim;
	ask.transport = 17;
	ask.is_forged = true;
	ask.is_unsigned = one_in(&t->choose, 2);
	if (!one_in(&t->choose, 4)) {
		stranger->tuple.client.port = (uint16_t)(3000 + choose(&t->choose, 4));
		stranger->nonce_len = one_in(&t->choose, 2) ? 0 : stranger->nonce_len;
	}
	while (n-- > 0) {
		size_t len = ask_write(t, stranger, &ask, data);

		town_deliver(t, &stranger->tuple, data, len);
		client_hear(t, stranger);
	}
}

/* Many peers at once, which is fine until it is too many a second. */
static void greedy(struct town *t)
{
	struct client *cl = &t->client[choose(&t->choose, t->n_clients)];
	struct ask ask = { .method = REF_CHANNEL_BIND, .n_peers = 1 };
	uint8_t data[TOWN_DATAGRAM];

	if (cl->character == GOOD || !cl->is_allocated || cl->relayed[0].family == 0)
		return;
	for (unsigned i = 0; i < 24; i++) {
		ask.number = (uint16_t)(0x4100 + i);
		if (tp_addr_parse("203.0.113.1", (uint16_t)(100 + i), &ask.peer[0]) < 0)
			sim_fail("no address");
		town_deliver(t, &cl->tuple, data, ask_write(t, cl, &ask, data));
	}
}

static void trouble(struct town *t)
{
	struct world *w = &t->world;

	switch (choose(&t->choose, 12)) {
	case 10:
		flood(t);
		break;
	case 11:
		greedy(t);
		break;
	case 9:
		world_drain(w, one_in(&t->choose, 4));
		break;
	case 8:
		world_relay_here(w, choose(&t->choose, w->conf.n_relays), !one_in(&t->choose, 4));
		break;
	case 6:
		w->is_account_full = true;
		break;
	case 7:
		w->model.is_limited[0] = one_in(&t->choose, 8);
		w->model.is_limited[1] = one_in(&t->choose, 8);
		break;
	case 5:
		w->fail_at = 0;
		world_reload(w, &t->choose);
		break;
	case 4:
		w->is_narrow = !w->is_narrow && one_in(&t->choose, 4);
		break;
	case 0:
		w->is_refusing = !w->is_refusing;
		break;
	case 1:
		/* Half of the permissions may be there, and how many is not known to limits. */
		if (!world_has_peer_limits(w))
			w->fail_at = 1 + choose(&t->choose, 8);
		break;
	case 2:
		w->send_rc = one_in(&t->choose, 2) ? -EAGAIN : -EMSGSIZE;
		break;
	case 3:
		upheaval(t);
		break;
	}
}

void town_step(struct town *t)
{
	unsigned what = choose(&t->choose, 64);

	if (what < 36)
		client_act(t, &t->client[choose(&t->choose, t->n_clients)]);
	else if (what < 42)
		deliver(t);
	else if (what < 51)
		peer_sends(t);
	else if (what < 52)
		icmp(t);
	else if (what < 58)
		sleep_some(t);
	else if (what < 59)
		probe(t);
	else if (what < 60)
		world_expire(&t->world);
	else
		trouble(t);
}
