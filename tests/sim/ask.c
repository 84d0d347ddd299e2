/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of clients: what to ask for is chosen, then written. */
#include "town.h"

#include <string.h>

/* ---- peers ---- */

static const char *const peer_ips[] = {
	"203.0.113.1", "203.0.113.2", "2001:db8:9::1", "2001:db8:9::2",     /* often */
	"203.0.113.3", "2001:db8:9::3", "10.1.0.9", "64:ff9b::203.0.113.9", /* fine */
	"203.0.113.200", "127.0.0.1", "2001:db8:bad::1", "64:ff9b::10.0.0.1", "2002:cb00:7101::1",
	"64:ff9b:1:cb00:71:100::", "64:ff9b:1::203.0.113.9", "64:ff9b:1::10.0.0.1",
	"2001:db8:7::5efe:10.0.0.1", "2001:db8:7::200:5efe:203.0.113.1", "::ffff:0:203.0.113.1",
	"::ffff:203.0.113.1", "192.0.2.1", "224.0.0.1", "0.0.0.0", /* never */
};

static struct tp_addr relayed_peer(struct town *t)
{
	const struct client *cl = &t->client[choose(&t->choose, t->n_clients)];
	struct tp_addr a = cl->relayed[choose(&t->choose, 2)];

	if (a.family != 0 && !one_in(&t->choose, 16))
		return a;
	a = t->world.relays[choose(&t->choose, t->world.conf.n_relays)].external;
	a.port = one_in(&t->choose, 4) ? 22 : (uint16_t)(50000 + choose(&t->choose, 40));
	return a;
}

struct tp_addr town_peer(struct town *t)
{
	unsigned which = choose(&t->choose, 32), n = sizeof(peer_ips) / sizeof(peer_ips[0]);
	struct tp_addr a = { 0 };

	if (which >= 26)
		return relayed_peer(t);
	which = which < 16 ? which % 4 : which - 16 + 4;
	if (which >= 10)
		which = 8 + choose(&t->choose, n - 8);
	if (tp_addr_parse(peer_ips[which], (uint16_t)(1 + choose(&t->choose, 2)), &a) < 0)
		sim_fail("no address: %s", peer_ips[which]);
	return a;
}

/* ---- choosing ---- */

static void choose_allocate(struct town *t, struct ask *ask)
{
	struct choose *c = &t->choose;

	ask->transport = one_in(c, 64) ? (uint8_t)choose(c, 256) : 17;
	ask->is_mobile = one_in(c, 2);
	switch (choose(c, 8)) {
	case 0:
	case 1:
		ask->family = (uint8_t)(1 + choose(c, 2));
		break;
	case 2:
	case 3:
		ask->has_additional = true;
		break;
	case 4:
		ask->even = one_in(c, 3) ? 1 : 2;
		break;
	case 5:
		ask->has_token = true;
		break;
	case 6:
		/* whatever goes together, or not */
		ask->family = (uint8_t)choose(c, 4);
		ask->even = (uint8_t)choose(c, 3);
		ask->has_additional = one_in(c, 4);
		ask->has_token = one_in(c, 4);
		break;
	}
}

/* Its own, mostly; the one it had before, or somebody else's. */
static void choose_ticket(struct town *t, const struct client *cl, struct ask *ask)
{
	struct choose *c = &t->choose;
	const struct client *other = cl;

	if (cl->ticket_len == 0 ? !one_in(c, 32) : one_in(c, 2))
		return;
	if (one_in(c, 8))
		other = &t->client[choose(c, t->n_clients)];
	/* Whoever knows the ticket and the password may have the allocation of the good. */
	if (other->character != GOOD)
		cl = other;
	ask->ticket = cl->ticket[one_in(c, 8)];
	ask->ticket_len = cl->ticket_len;
	/* As a retransmission would be, but with a nonce of where it is now. */
	if (one_in(c, 6)) {
		ask->is_again = true;
		ask->ticket = cl->ticket[1];
	}
	if (one_in(c, 32))
		ask->ticket_len = choose(c, MODEL_TICKET_LEN);
}

static void choose_lifetime(struct town *t, struct ask *ask)
{
	static const uint32_t lifetimes[] = { 0, 1, 600, 900, 3600, 3601, UINT32_MAX };

	ask->has_lifetime = one_in(&t->choose, 2);
	if (ask->has_lifetime)
		ask->lifetime_sec = lifetimes[choose(
				&t->choose, sizeof(lifetimes) / sizeof(lifetimes[0]))];
}

static void choose_channel(struct town *t, const struct client *cl, struct ask *ask)
{
	const struct client_channel *ch = &cl->channel[choose(&t->choose, TOWN_NUMBERS)];

	ask->number = (uint16_t)(0x4000 + (ch - cl->channel));
	if (one_in(&t->choose, 32))
		ask->number = (uint16_t)choose(&t->choose, 65536);
	ask->n_peers = 1;
	/* What is bound is refreshed more often than it is bound to something else. */
	ask->peer[0] = ch->number != 0 && !one_in(&t->choose, 4) ? ch->peer : town_peer(t);
}

/* What nobody means to do, but the hostile. */
static void choose_faults(struct town *t, const struct client *cl, struct ask *ask)
{
	struct choose *c = &t->choose;
	unsigned n = cl->character == HOSTILE ? 12 : 200;

	ask->has_fingerprint = one_in(c, 8);
	switch (choose(c, n)) {
	case 1:
		ask->has_unknown = true;
		break;
	case 2:
		ask->is_unsigned = true;
		break;
	case 3:
		ask->is_forged = true;
		break;
	case 4:
		ask->is_nameless = true;
		break;
	case 5:
		ask->has_tail = true;
		break;
	case 6:
		ask->n_peers = 0;
		break;
	case 7:
		ask->transport = 0;
		break;
	case 8:
		ask->is_bid_down = true;
		break;
	}
}

static unsigned choose_method(struct town *t, const struct client *cl)
{
	static const uint8_t methods[] = { 0, 0, 0, REF_BINDING, REF_ALLOCATE, REF_ALLOCATE,
		REF_REFRESH, REF_REFRESH, REF_CREATE_PERMISSION, REF_CREATE_PERMISSION,
		REF_CHANNEL_BIND, REF_CHANNEL_BIND, REF_CHANNEL_BIND, REF_SEND, REF_SEND,
		REF_SEND };
	unsigned method = methods[choose(&t->choose, sizeof(methods))];

	if (method == REF_REFRESH && cl->character == FORGETFUL)
		method = REF_SEND;
	return !cl->is_allocated && method != REF_BINDING && !one_in(&t->choose, 4) ? REF_ALLOCATE
										    : method;
}

void ask_choose(struct town *t, const struct client *cl, struct ask *ask)
{
	struct choose *c = &t->choose;

	*ask = (struct ask){ .method = choose_method(t, cl) };
	switch (ask->method) {
	case REF_ALLOCATE:
		choose_allocate(t, ask);
		choose_lifetime(t, ask);
		break;
	case REF_REFRESH:
		choose_lifetime(t, ask);
		choose_ticket(t, cl, ask);
		ask->family = one_in(c, 3) ? (uint8_t)choose(c, 4) : 0;
		break;
	case REF_CREATE_PERMISSION:
		ask->n_peers = 1 + (one_in(c, 4) ? choose(c, 4) : 0);
		for (unsigned i = 0; i < ask->n_peers; i++)
			ask->peer[i] = town_peer(t);
		break;
	case REF_CHANNEL_BIND:
		choose_channel(t, cl, ask);
		break;
	case REF_SEND:
		choose_channel(t, cl, ask);
		ask->number = 0;
		ask->is_df = one_in(c, 4);
		ask->data_len = choose(c, 40);
		break;
	case 0:
		choose_channel(t, cl, ask);
		ask->data_len = choose(c, 40);
		break;
	}
	choose_faults(t, cl, ask);
}

/* ---- writing ---- */

static void put_u8_of4(struct ref_out *o, unsigned type, uint8_t value)
{
	ref_put(o, type, (const uint8_t[4]){ value }, 4);
}

static void put_attributes(const struct town *t, const struct ask *ask, struct ref_out *o)
{
	const uint8_t number[4] = { (uint8_t)(ask->number >> 8), (uint8_t)ask->number };
	const uint8_t sec[4] = { (uint8_t)(ask->lifetime_sec >> 24),
		(uint8_t)(ask->lifetime_sec >> 16), (uint8_t)(ask->lifetime_sec >> 8),
		(uint8_t)ask->lifetime_sec };

	if (ask->transport != 0)
		put_u8_of4(o, REF_REQUESTED_TRANSPORT, ask->transport);
	if (ask->family != 0)
		put_u8_of4(o, REF_REQUESTED_ADDRESS_FAMILY, ask->family);
	if (ask->has_additional)
		put_u8_of4(o, REF_ADDITIONAL_ADDRESS_FAMILY, 2);
	if (ask->even != 0)
		ref_put(o, REF_EVEN_PORT, (const uint8_t[1]){ ask->even == 2 ? 0x80 : 0 }, 1);
	if (ask->is_mobile || ask->ticket != NULL)
		ref_put(o, REF_MOBILITY_TICKET, ask->ticket, ask->ticket_len);
	if (ask->has_token)
		ref_put(o, REF_RESERVATION_TOKEN, t->token, sizeof(t->token));
	if (ask->has_lifetime)
		ref_put(o, REF_LIFETIME, sec, sizeof(sec));
	if (ask->number != 0)
		ref_put(o, REF_CHANNEL_NUMBER, number, sizeof(number));
	for (unsigned i = 0; i < ask->n_peers; i++)
		ref_put_addr(o, REF_XOR_PEER_ADDRESS, &ask->peer[i]);
	if (ask->has_unknown)
		ref_put(o, 0x7abc, "?", 1);
	if (ask->is_df)
		ref_put(o, REF_DONT_FRAGMENT, NULL, 0);
}

static void put_name(const struct client *cl, struct ref_out *o)
{
	const struct tp_bytes name = { cl->name, strlen(cl->name) };
	uint8_t hash[32];

	if (cl->style != STYLE_HASH) {
		ref_put(o, REF_USERNAME, name.data, name.len);
		return;
	}
	tp_userhash(&name, &(struct tp_bytes){ "example.org", 11 }, hash);
	ref_put(o, REF_USERHASH, hash, sizeof(hash));
}

static void put_algorithm(const struct client *cl, const struct ask *ask, struct ref_out *o)
{
	const uint8_t md5_only[4] = { 0, 1 }, *chosen = model_algorithms;

	if (cl->style == STYLE_5389)
		return;
	if (cl->style == STYLE_MD5)
		chosen += 4;
	/* Somebody in between would have the weaker one. */
	if (ask->is_bid_down)
		ref_put(o, REF_PASSWORD_ALGORITHMS, md5_only, sizeof(md5_only));
	else
		ref_put(o, REF_PASSWORD_ALGORITHMS, model_algorithms, sizeof(model_algorithms));
	ref_put(o, REF_PASSWORD_ALGORITHM, chosen, 4);
}

static void put_credentials(const struct client *cl, const struct ask *ask, struct ref_out *o)
{
	struct tp_key key = cl->key;

	if (!ask->is_nameless)
		put_name(cl, o);
	ref_put(o, REF_REALM, "example.org", 11);
	ref_put(o, REF_NONCE, cl->nonce, cl->nonce_len);
	put_algorithm(cl, ask, o);
	key.data[0] ^= ask->is_forged;
	ref_sign(o, cl->style != STYLE_5389, &key);
}

static size_t write_channel_data(const struct ask *ask, const uint8_t *data, uint8_t *out)
{
	out[0] = (uint8_t)(ask->number >> 8);
	out[1] = (uint8_t)ask->number;
	out[2] = (uint8_t)(ask->data_len >> 8);
	out[3] = (uint8_t)(ask->data_len + ask->has_unknown * 3u);
	memcpy(out + 4, data, ask->data_len);
	return 4 + ask->data_len + ask->has_tail * 3u;
}

size_t ask_write(struct town *t, struct client *cl, const struct ask *ask, uint8_t *out)
{
	enum ref_class class = ask->method == REF_SEND ? REF_INDICATION : REF_REQUEST;
	uint8_t tid[12] = { 'c', (uint8_t)(cl - t->client) }, data[64] = "data of ";
	struct ref_out o;

	cl->n_asked++;
	if (ask->ticket != NULL && !ask->is_again)
		cl->n_moved = cl->n_asked;
	memcpy(tid + 4, ask->is_again ? &cl->n_moved : &cl->n_asked, 8);
	memcpy(data + 8, tid, sizeof(tid));
	memset(out, 0, TOWN_DATAGRAM);
	if (ask->method == 0)
		return write_channel_data(ask, data, out);
	ref_begin(&o, out, ask->method, class, tid);
	put_attributes(t, ask, &o);
	if (ask->method == REF_SEND)
		ref_put(&o, REF_DATA, data, ask->data_len);
	else if (ask->method != REF_BINDING && !ask->is_unsigned && cl->nonce_len > 0)
		put_credentials(cl, ask, &o);
	if (ask->has_tail) /* ignored after the integrity (RFC 8489 section 9) */
		put_u8_of4(&o, REF_REQUESTED_ADDRESS_FAMILY, 9);
	if (ask->has_fingerprint)
		ref_fingerprint(&o);
	return o.len;
}
