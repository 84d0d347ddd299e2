/* SPDX-License-Identifier: Apache-2.0 */
/* Clients by character: what each does with its turn, and with an answer. */
#include "town.h"

#include "base/clock.h"
#include "turn/mobility.h"
#include "wire/integrity.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define EARLY_NS (60 * TP_NS_PER_SEC) /* a good client refreshes so long before the end */

/* ---- who it is ---- */

static void set_key(struct client *cl)
{
	tp_key_make(cl->style == STYLE_SHA256 || cl->style == STYLE_HASH ? TP_ALGORITHM_SHA256
									 : TP_ALGORITHM_MD5,
			&(struct tp_bytes){ cl->name, strlen(cl->name) },
			&(struct tp_bytes){ "example.org", 11 },
			&(struct tp_bytes){ cl->password, strlen(cl->password) }, &cl->key);
}

/* Time-limited credentials, good for two hours. */
static void use_secret(struct world *w, struct client *cl, unsigned i)
{
	const struct tp_turn_secret *secret = &w->secrets[i % 2];
	uint8_t mac[20];

	/* Two names of one id are one user. */
	snprintf(cl->name, sizeof(cl->name), "%lu:guest%u",
			(unsigned long)(w->now.wall_sec + 7200 + i), i % 2);
	tp_hmac_sha1(secret->data, secret->len, &(struct tp_bytes){ cl->name, strlen(cl->name) }, 1,
			mac);
	EVP_EncodeBlock((unsigned char *)cl->password, mac, sizeof(mac));
	if (cl->style == STYLE_HASH) /* of a name that nobody has written down */
		cl->style = STYLE_SHA256;
	set_key(cl);
}

static void use_password(struct world *w, struct client *cl, unsigned i)
{
	snprintf(cl->name, sizeof(cl->name), "%s", w->users[i % WORLD_USERS].name);
	snprintf(cl->password, sizeof(cl->password), "%s", world_passwords[i % WORLD_USERS]);
	set_key(cl);
}

void client_forget(struct client *cl)
{
	cl->is_allocated = false;
	memset(cl->relayed, 0, sizeof(cl->relayed));
	memset(cl->channel, 0, sizeof(cl->channel));
}

void client_init(struct town *t, struct client *cl, unsigned i)
{
	static const enum character characters[] = { GOOD, SLOPPY, GOOD, HOSTILE, FORGETFUL, SLOPPY,
		MOVING, HOSTILE };
	static const char *const ips[] = { "198.51.100.7", "2001:db8:7::7" };
	static const char *const servers[] = { "192.0.2.1", "2001:db8::1" };

	memset(cl, 0, sizeof(*cl));
	cl->character = characters[i % 8];
	cl->tuple.transport = TP_TURN_UDP;
	if (tp_addr_parse(ips[i / 2 % 2], (uint16_t)(1000 + i), &cl->tuple.client) < 0 ||
			tp_addr_parse(servers[i / 2 % 2], 3478, &cl->tuple.server) < 0)
		sim_fail("no address");
	cl->style = (enum client_style)(i / 4 % 4);
	if (i % 5 == 4)
		use_secret(&t->world, cl, i);
	else
		use_password(&t->world, cl, i);
}

/* ---- hearing ---- */

static void hear_challenge(struct client *cl, const struct ref_msg *msg)
{
	struct ref_value nonce = ref_get(msg, REF_NONCE, 0);

	if (nonce.len == 0 || nonce.len > sizeof(cl->nonce))
		return;
	memcpy(cl->nonce, nonce.data, nonce.len);
	cl->nonce_len = nonce.len;
}

static void hear_ticket(struct client *cl, const struct ref_msg *msg)
{
	struct ref_value ticket = ref_get(msg, REF_MOBILITY_TICKET, 0);

	if (ticket.len == 0 || ticket.len > MODEL_TICKET_LEN)
		return;
	memcpy(cl->ticket[1], cl->ticket[0], MODEL_TICKET_LEN);
	memcpy(cl->ticket[0], ticket.data, ticket.len);
	cl->ticket_len = ticket.len;
}

static void hear_allocated(struct town *t, struct client *cl, const struct ref_msg *msg)
{
	const struct world *w = &t->world;
	struct ref_value token = ref_get(msg, REF_RESERVATION_TOKEN, 0);
	uint32_t sec = 0;

	client_forget(cl);
	cl->is_allocated = true;
	cl->ticket_len = 0;
	hear_ticket(cl, msg);
	for (unsigned i = 0; i < 2; i++) {
		struct tp_addr a;

		if (ref_addr(msg, ref_get(msg, REF_XOR_RELAYED_ADDRESS, i), &a))
			cl->relayed[model_at(&a)] = a;
	}
	if (token.len == sizeof(t->token))
		memcpy(t->token, token.data, token.len);
	ref_u32(msg, REF_LIFETIME, &sec);
	cl->due_ns = w->now.mono_ns + sec * TP_NS_PER_SEC;
}

static void hear_bound(const struct world *w, struct client *cl)
{
	const struct model_ask *ask = &w->want.ask; /* what it had asked for */
	unsigned i = ask->number - 0x4000u;

	if (i < TOWN_NUMBERS)
		cl->channel[i] = (struct client_channel){ ask->number, ask->peer[0],
			w->now.mono_ns + TP_TURN_PERMISSION_SEC * TP_NS_PER_SEC };
}

static void hear_refreshed(const struct world *w, struct client *cl, const struct ref_msg *msg)
{
	uint32_t sec = 0;

	ref_u32(msg, REF_LIFETIME, &sec);
	cl->due_ns = w->now.mono_ns + sec * TP_NS_PER_SEC;
	hear_ticket(cl, msg);
	if (sec == 0)
		client_forget(cl);
}

void client_hear(struct town *t, struct client *cl)
{
	const struct world *w = &t->world;
	struct ref_msg msg;
	unsigned code;

	if (w->n_sent == 0 || w->sent.is_to_peer ||
			ref_parse(w->sent.data, w->sent.len, &msg) != REF_OK)
		return;
	code = ref_error(&msg);
	if (code == 401 || code == 438)
		hear_challenge(cl, &msg);
	else if (code == 437)
		cl->is_allocated = msg.method == REF_ALLOCATE;
	else if (msg.class == REF_SUCCESS && msg.method == REF_ALLOCATE)
		hear_allocated(t, cl, &msg);
	else if (msg.class == REF_SUCCESS && msg.method == REF_CHANNEL_BIND)
		hear_bound(w, cl);
	else if (msg.class == REF_SUCCESS && msg.method == REF_REFRESH)
		hear_refreshed(w, cl, &msg);
}

/* ---- the good ---- */

/* It is one of too many strangers; but who has an allocation is none. */
static bool is_flooded(struct town *t, const struct client *cl, enum tp_slow_verdict v)
{
	if (v != TP_SLOW_DROP_SOURCE_RATE && v != TP_SLOW_DROP_TOTAL_RATE &&
			v != TP_SLOW_DROP_TRY_RATE)
		return false;
	if (model_find(&t->world.model, &cl->tuple) != NULL)
		sim_fail("the owner of an allocation suffers for others");
	return true;
}

/* Ask until it is answered, with a fresh nonce if need be.  @return the code */
static unsigned insist(struct town *t, struct client *cl, const struct ask *ask)
{
	struct world *w = &t->world;
	enum tp_slow_verdict v;

	for (unsigned i = 0; i < 6; i++) {
		uint8_t data[TOWN_DATAGRAM];
		size_t len = ask_write(t, cl, ask, data);

		memcpy(cl->last, data, len);
		cl->last_len = len;
		v = town_deliver(t, &cl->tuple, data, len);
		if (v == TP_SLOW_DROP_SEND) /* lost: the same again */
			v = town_deliver(t, &cl->tuple, data, len);
		if (is_flooded(t, cl, v))
			return 508;
		if (v != TP_SLOW_ANSWERED)
			continue;
		client_hear(t, cl);
		if (w->want.code != 401 && w->want.code != 438 && !w->is_fault)
			return w->want.code;
	}
	sim_fail("a good client gets no answer");
}

static void good_ask(struct town *t, struct client *cl, const struct ask *ask)
{
	unsigned code = insist(t, cl, ask);

	if (ask->method == REF_ALLOCATE && (code == 300 || code == 486))
		return;
	if (code != 0 && code != 508)
		sim_fail("a good client is refused: %u", code);
	if (code == 508 && (ask->method == REF_REFRESH || ask->method == REF_CREATE_PERMISSION))
		sim_fail("no capacity for what there is");
}

static void good_allocate(struct town *t, struct client *cl)
{
	struct ask ask = { .method = REF_ALLOCATE, .transport = 17 };

	if (one_in(&t->choose, 3))
		ask.has_additional = true;
	ask.is_mobile = t->world.conf.mobility && one_in(&t->choose, 2);
	good_ask(t, cl, &ask);
}

/* One of four ports that nobody else has, so that it comes back to what it had. */
static void change_port(struct town *t, struct client *cl)
{
	cl->tuple.client.port = (uint16_t)(2000 + (cl - t->client) * 4 + choose(&t->choose, 4));
	t->n_moves++;
}

/* The request that spent a ticket again: now, in the last moment, and when that is over. */
static void retransmit_late(struct town *t, struct client *cl)
{
	static const uint64_t after_ns[] = { 0, TP_MOBILITY_OLD_SEC * TP_NS_PER_SEC - 1, 1 };
	struct world *w = &t->world;
	uint64_t end_ns = w->now.mono_ns + TP_MOBILITY_OLD_SEC * TP_NS_PER_SEC;

	/* Nobody who is good is late for it. */
	for (unsigned i = 0; i < t->n_clients; i++)
		if (client_wake_ns(&t->client[i]) <= end_ns)
			return;
	for (size_t i = 0; i < sizeof(after_ns) / sizeof(after_ns[0]); i++) {
		world_sleep(w, after_ns[i]);
		town_deliver(t, &cl->tuple, cl->last, cl->last_len);
	}
}

/* A spent ticket, even in a transaction that is known, is good for nobody elsewhere. */
static void try_elsewhere(struct town *t, struct client *cl, struct ask *ask)
{
	uint16_t port = cl->tuple.client.port;

	change_port(t, cl);
	ask->is_again = true;
	if (cl->tuple.client.port != port && insist(t, cl, ask) != 400)
		sim_fail("a spent ticket is good elsewhere");
	cl->tuple.client.port = port;
}

/* Elsewhere it is known by its ticket; then it is heard by both. */
static void good_move(struct town *t, struct client *cl)
{
	uint16_t port = cl->tuple.client.port;
	struct ask ask = { .method = REF_REFRESH, .ticket_len = cl->ticket_len };
	uint8_t ticket[MODEL_TICKET_LEN];

	change_port(t, cl);
	if (cl->tuple.client.port == port)
		return;
	memcpy(ticket, cl->ticket[0], sizeof(ticket));
	ask.ticket = ticket;
	good_ask(t, cl, &ask);
	if (one_in(&t->choose, 8))
		retransmit_late(t, cl);
	else if (one_in(&t->choose, 4))
		try_elsewhere(t, cl, &ask);
}

/* IPv4, unless it was refused. */
static unsigned good_leg(const struct client *cl)
{
	return cl->relayed[0].family == 0;
}

static void good_bind(struct town *t, struct client *cl, struct client_channel *ch)
{
	static const char *const ips[2][2] = { { "203.0.113.1", "203.0.113.2" },
		{ "2001:db8:9::1", "2001:db8:9::2" } };
	unsigned i = (unsigned)(ch - cl->channel), at = good_leg(cl);
	struct ask ask = {
		.method = REF_CHANNEL_BIND, .n_peers = 1, .number = (uint16_t)(0x4000 + i)
	};

	if (tp_addr_parse(ips[at][i % 2], (uint16_t)(10 + i), &ask.peer[0]) < 0)
		sim_fail("no address");
	/* Had it failed before, its time would be over. */
	ch->number = 0;
	good_ask(t, cl, &ask);
}

/* Both ways, since both must work. */
static void good_talk(struct town *t, struct client *cl, const struct client_channel *ch)
{
	struct ask ask = { .number = ch->number, .data_len = choose(&t->choose, 40) };
	struct world *w = &t->world;
	uint8_t data[TOWN_DATAGRAM];
	size_t len = ask_write(t, cl, &ask, data);
	const struct tp_addr *relayed = &cl->relayed[good_leg(cl)];
	int relay = model_relay_of(&w->model, relayed, false);
	struct tp_addr local;

	if (w->send_rc != 0 || w->is_narrow || w->model.is_limited[0] || w->model.is_limited[1])
		return;
	if (world_from_client(w, &cl->tuple, data, len, (struct tp_ip_meta){ .ttl = 64 }) !=
			TP_SLOW_RELAYED)
		sim_fail("a good client is not relayed");
	if (relay < 0)
		sim_fail("a relayed address that is not ours");
	local = w->conf.relays[relay].local;
	local.port = relayed->port;
	if (world_from_peer(w, &local, &ch->peer, data, len, (struct tp_ip_meta){ .ttl = 64 }) !=
			TP_SLOW_RELAYED)
		sim_fail("a good client hears nothing");
}

uint64_t client_wake_ns(const struct client *cl)
{
	uint64_t wake = cl->due_ns;

	if (cl->character != GOOD || !cl->is_allocated)
		return UINT64_MAX;
	for (unsigned i = 0; i < TOWN_NUMBERS; i++)
		if (cl->channel[i].number != 0 && cl->channel[i].permitted_ns < wake)
			wake = cl->channel[i].permitted_ns;
	return wake - EARLY_NS;
}

static void good_act(struct town *t, struct client *cl)
{
	uint64_t soon = t->world.now.mono_ns + EARLY_NS;
	struct client_channel *ch = &cl->channel[choose(&t->choose, TOWN_NUMBERS / 2)];

	if (!cl->is_allocated) {
		good_allocate(t, cl);
		return;
	}
	if (cl->due_ns <= soon || one_in(&t->choose, 64)) {
		good_ask(t, cl, &(struct ask){ .method = REF_REFRESH });
		return;
	}
	if (cl->ticket_len > 0 && one_in(&t->choose, 16)) {
		good_move(t, cl);
		return;
	}
	for (unsigned i = 0; i < TOWN_NUMBERS; i++)
		if (cl->channel[i].number != 0 && cl->channel[i].permitted_ns <= soon)
			ch = &cl->channel[i];
	if (ch->number == 0 || ch->permitted_ns <= soon)
		good_bind(t, cl, ch);
	else
		good_talk(t, cl, ch);
}

/* ---- the others ---- */

static void to_flight(struct town *t, const struct client *cl, const uint8_t *data, size_t len)
{
	struct flight *f;

	if (t->n_flight == TOWN_FLIGHT || one_in(&t->choose, 8))
		return; /* lost */
	f = &t->flight[t->n_flight++];
	f->tuple = cl->tuple;
	f->len = len;
	memcpy(f->data, data, len);
}

/* Bits turn, bytes come and go, lengths lie; or it is sent as somebody else. */
static void spoil(struct town *t, struct client *cl, uint8_t *data, size_t *len)
{
	struct choose *c = &t->choose;
	const struct client *other = &t->client[choose(c, t->n_clients)];

	switch (choose(c, 8)) {
	case 0:
	case 1:
		for (unsigned n = 1 + choose(c, 3); n > 0; n--)
			data[choose(c, (uint32_t)*len)] ^= (uint8_t)(1 << choose(c, 8));
		break;
	case 2:
		*len = choose(c, (uint32_t)*len + 1);
		break;
	case 3:
		memcpy(data, other->last, other->last_len);
		*len = other->last_len;
		break;
	case 4:
		for (size_t i = choose(c, 24); i < *len; i++)
			data[i] = choose_byte(c);
		break;
	case 5:
		use_password(&t->world, cl, choose(c, WORLD_USERS));
		break;
	case 6:
		*len = choose(c, 64);
		for (size_t i = 0; i < *len; i++)
			data[i] = choose_byte(c);
		break;
	}
}

static void move(struct town *t, struct client *cl)
{
	change_port(t, cl);
	cl->nonce_len = one_in(&t->choose, 2) ? 0 : cl->nonce_len;
	/* With a ticket it may go on, or has lost it. */
	cl->is_allocated &= cl->ticket_len > 0 && one_in(&t->choose, 2);
}

static void random_act(struct town *t, struct client *cl)
{
	uint8_t data[TOWN_DATAGRAM];
	struct ask ask;
	size_t len;

	if (cl->character == MOVING && one_in(&t->choose, 24))
		move(t, cl);
	if (cl->last_len > 0 && one_in(&t->choose, 12)) {
		/* A retransmission, for no reason. */
		len = cl->last_len;
		memcpy(data, cl->last, len);
	} else {
		ask_choose(t, cl, &ask);
		len = ask_write(t, cl, &ask, data);
	}
	if (cl->character == HOSTILE && one_in(&t->choose, 3))
		spoil(t, cl, data, &len);
	memcpy(cl->last, data, len);
	cl->last_len = len;
	if (cl->character == SLOPPY && one_in(&t->choose, 2)) {
		to_flight(t, cl, data, len);
		return;
	}
	town_deliver(t, &cl->tuple, data, len);
	if (!one_in(&t->choose, 8))
		client_hear(t, cl);
}

void client_act(struct town *t, struct client *cl)
{
	if (cl->character == GOOD)
		good_act(t, cl);
	else
		random_act(t, cl);
}
