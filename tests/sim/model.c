/* SPDX-License-Identifier: Apache-2.0 */
/* The state of the model: what there is, until when, and who may reach whom. */
#include "model.h"

#include "base/clock.h"
#include "wire/integrity.h"

#include <stdlib.h>
#include <string.h>

static void sweep_nonces(struct model *m, uint64_t wall_sec)
{
	struct model_nonce *n, *next;

	HASH_ITER (hh, m->nonces, n, next) {
		if (n->wall_due_sec > wall_sec)
			continue;
		HASH_DEL(m->nonces, n);
		free(n);
	}
}

void model_init(struct model *m, const struct tp_turn_conf *conf)
{
	memset(m, 0, sizeof(*m));
	m->conf = conf;
}

void model_fini(struct model *m)
{
	sweep_nonces(m, UINT64_MAX);
	model_forget_tickets(m);
}

void model_add_user(struct model *m, const char *name, const char *password)
{
	struct model_user *u = &m->user[m->n_users++];
	const struct tp_bytes user = { name, strlen(name) };
	const struct tp_bytes realm = { m->conf->realm, strlen(m->conf->realm) };
	const struct tp_bytes secret = { password, strlen(password) };

	strncpy(u->name, name, sizeof(u->name) - 1);
	tp_key_make(TP_ALGORITHM_MD5, &user, &realm, &secret, &u->md5);
	tp_key_make(TP_ALGORITHM_SHA256, &user, &realm, &secret, &u->sha256);
	tp_userhash(&user, &realm, u->hash);
}

/* ---- finding ---- */

struct model_allocation *model_find(struct model *m, const struct tp_tuple *tuple)
{
	for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++)
		if (m->alloc[i].is_on &&
				(memcmp(&m->alloc[i].tuple, tuple, sizeof(*tuple)) == 0 ||
						(m->alloc[i].is_moving &&
								memcmp(&m->alloc[i].next, tuple,
										sizeof(*tuple)) ==
										0)))
			return &m->alloc[i];
	return NULL;
}

struct model_allocation *model_owner(struct model *m, uint32_t relay, uint16_t port)
{
	for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++)
		for (unsigned at = 0; m->alloc[i].is_on && at < 2; at++)
			if (m->alloc[i].leg[at].is_on && m->alloc[i].leg[at].relay == relay &&
					m->alloc[i].leg[at].port == port)
				return &m->alloc[i];
	return NULL;
}

bool model_has_permission(const struct model_allocation *a, const struct tp_addr *ip)
{
	for (unsigned i = 0; i < a->n_permissions; i++)
		if (tp_addr_same_ip(&a->permission[i].ip, ip))
			return true;
	return false;
}

struct model_channel *model_by_number(struct model_allocation *a, uint16_t number)
{
	for (unsigned i = 0; i < a->n_channels; i++)
		if (a->channel[i].number == number)
			return &a->channel[i];
	return NULL;
}

struct model_channel *model_by_peer(struct model_allocation *a, const struct tp_addr *peer)
{
	for (unsigned i = 0; i < a->n_channels; i++)
		if (tp_addr_equal(&a->channel[i].peer, peer))
			return &a->channel[i];
	return NULL;
}

int model_relay_of(const struct model *m, const struct tp_addr *addr, bool is_local)
{
	for (uint32_t i = 0; i < m->conf->n_relays; i++) {
		const struct tp_turn_relay *r = &m->conf->relays[i];

		if (tp_addr_same_ip(is_local ? &r->local : &r->external, addr))
			return (int)i;
	}
	return -1;
}

struct tp_addr model_relayed(const struct model *m, const struct model_leg *leg, bool is_local)
{
	const struct tp_turn_relay *r = &m->conf->relays[leg->relay];
	struct tp_addr a = is_local ? r->local : r->external;

	a.port = leg->port;
	return a;
}

/* ---- time ---- */

/* Everything of one family goes with its leg (section 3.2 and 6). */
static void drop_leg(struct model_allocation *a, unsigned at)
{
	unsigned n = 0;

	a->leg[at].is_on = false;
	for (unsigned i = 0; i < a->n_permissions; i++)
		if (model_at(&a->permission[i].ip) != at)
			a->permission[n++] = a->permission[i];
	a->n_permissions = n;
	n = 0;
	for (unsigned i = 0; i < a->n_channels; i++)
		if (model_at(&a->channel[i].peer) != at)
			a->channel[n++] = a->channel[i];
	a->n_channels = n;
	a->is_on = a->leg[0].is_on || a->leg[1].is_on;
}

static void tick_allocation(struct model_allocation *a, uint64_t now_ns)
{
	unsigned n = 0;

	for (unsigned at = 0; at < 2; at++)
		if (a->leg[at].is_on && a->leg[at].due_ns <= now_ns)
			drop_leg(a, at);
	for (unsigned i = 0; i < a->n_permissions; i++)
		if (a->permission[i].due_ns > now_ns)
			a->permission[n++] = a->permission[i];
	a->n_permissions = n;
	n = 0;
	for (unsigned i = 0; i < a->n_channels; i++)
		if (a->channel[i].due_ns > now_ns)
			a->channel[n++] = a->channel[i];
	a->n_channels = n;
}

/* Who is one user to the quota: of "digits:id" what is from the colon on. */
const char *model_counted_name(const char *name)
{
	const char *rest = name + strspn(name, "0123456789");

	return rest != name && rest[0] == ':' && rest[1] != 0 ? rest : name;
}

unsigned model_allocations_of(const struct model *m, const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++)
		n += m->alloc[i].is_on &&
				strcmp(model_counted_name(m->alloc[i].name),
						model_counted_name(name)) == 0;
	return n;
}

/* Each with his first allocation. */
static uint32_t count_users(const struct model *m)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++) {
		bool is_first = m->alloc[i].is_on;

		for (unsigned k = 0; k < i && is_first; k++)
			is_first = !m->alloc[k].is_on ||
					strcmp(model_counted_name(m->alloc[k].name),
							model_counted_name(m->alloc[i].name)) != 0;
		n += is_first;
	}
	return n;
}

static void recount(struct model *m)
{
	struct tp_turn_counts c = { 0 };

	for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++) {
		const struct model_allocation *a = &m->alloc[i];

		if (!a->is_on)
			continue;
		c.allocations++;
		c.ports += a->leg[0].is_on + a->leg[1].is_on;
		c.mobile += a->is_mobile;
		c.permissions += a->n_permissions;
		c.channels += a->n_channels;
	}
	for (unsigned i = 0; i < MODEL_RESERVATIONS; i++)
		c.reservations += m->reservation[i].is_on;
	c.users = count_users(m);
	c.redirected = m->n_redirected;
	c.moved = m->n_moved;
	m->count = c;
}

void model_tick(struct model *m, const struct tp_turn_now *now)
{
	m->now = *now;
	for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++)
		if (m->alloc[i].is_on)
			tick_allocation(&m->alloc[i], now->mono_ns);
	for (unsigned i = 0; i < MODEL_RESERVATIONS; i++)
		if (m->reservation[i].due_ns <= now->mono_ns)
			m->reservation[i].is_on = false;
	recount(m);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t allocation_next(const struct model_allocation *a, uint64_t next)
{
	for (unsigned at = 0; at < 2; at++)
		if (a->leg[at].is_on)
			next = earlier(next, a->leg[at].due_ns);
	for (unsigned i = 0; i < a->n_permissions; i++)
		next = earlier(next, a->permission[i].due_ns);
	for (unsigned i = 0; i < a->n_channels; i++)
		next = earlier(next, a->channel[i].due_ns);
	return next;
}

uint64_t model_next_ns(const struct model *m)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++)
		if (m->alloc[i].is_on)
			next = allocation_next(&m->alloc[i], next);
	for (unsigned i = 0; i < MODEL_RESERVATIONS; i++)
		if (m->reservation[i].is_on)
			next = earlier(next, m->reservation[i].due_ns);
	return next;
}

/* ---- nonces (RFC 8489 section 9.2.4) ---- */

static const struct model_nonce *find_nonce(
		const struct model *m, const struct tp_addr *client, struct ref_value nonce)
{
	struct model_nonce *n = NULL;

	HASH_FIND(hh, m->nonces, nonce.data, nonce.len, n);
	return n != NULL && tp_addr_equal(&n->client, client) ? n : NULL;
}

bool model_nonce_ok(const struct model *m, const struct tp_addr *client, struct ref_value nonce)
{
	const struct model_nonce *n = find_nonce(m, client, nonce);

	return n != NULL && n->wall_due_sec > m->now.wall_sec;
}

bool model_nonce_is_ours(
		const struct model *m, const struct tp_addr *client, struct ref_value nonce)
{
	return find_nonce(m, client, nonce) != NULL;
}

void model_nonce_given(struct model *m, const struct tp_addr *client, struct ref_value nonce)
{
	struct model_nonce *n = NULL;

	if (nonce.len == 0 || nonce.len >= sizeof(n->text))
		sim_fail("a nonce of %zu bytes", nonce.len);
	HASH_FIND(hh, m->nonces, nonce.data, nonce.len, n);
	if (n != NULL && !tp_addr_equal(&n->client, client))
		sim_fail("two clients have the same nonce");
	if (n != NULL)
		return;
	if (HASH_COUNT(m->nonces) % MODEL_NONCES == MODEL_NONCES - 1)
		sweep_nonces(m, m->now.wall_sec);
	n = calloc(1, sizeof(*n));
	n->client = *client;
	n->wall_due_sec = m->now.wall_sec + TP_TURN_NONCE_SEC;
	memcpy(n->text, nonce.data, nonce.len);
	HASH_ADD_KEYPTR(hh, m->nonces, n->text, nonce.len, n);
}

/* ---- peers ---- */

static bool has_prefix(const uint8_t *ip, const uint8_t *prefix, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++)
		if (((ip[i / 8] ^ prefix[i / 8]) >> (7 - i % 8) & 1) != 0)
			return false;
	return true;
}

/* The bits of the longest prefix that holds it; 0 when the list is for everybody, -1: none. */
static int longest(const struct tp_prefix list[], uint32_t n, const struct tp_addr *a)
{
	int bits = -1;

	for (uint32_t i = 0; i < n; i++)
		if (list[i].base.family == a->family && (int)list[i].bits > bits &&
				has_prefix(a->ip, list[i].base.ip, list[i].bits))
			bits = list[i].bits;
	return bits;
}

/* What is no host, and what hides another address: section 21.4, RFC 4291, RFC 1122. */
static bool is_never_a_peer(const struct tp_addr *a)
{
	static const struct {
		uint8_t family, bits, prefix[12];
	} never[] = {
		{ TP_IPV4, 8, { 0 } },
		{ TP_IPV4, 4, { 224 } },
		{ TP_IPV4, 32, { 255, 255, 255, 255 } },
		{ TP_IPV6, 96, { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255 } },
		{ TP_IPV6, 96, { 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0 } },
		{ TP_IPV6, 96, { 0 } },
		{ TP_IPV6, 16, { 0x20, 0x02 } },
		{ TP_IPV6, 32, { 0x20, 0x01, 0, 0 } },
		{ TP_IPV6, 8, { 0xff } },
	};

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (never[i].family == a->family &&
				has_prefix(a->ip, never[i].prefix, never[i].bits))
			return true;
	return false;
}

static bool is_own(const struct model *m, const struct tp_addr *a, bool has_port)
{
	if (model_relay_of(m, a, false) >= 0)
		return has_port && (a->port < m->conf->port_min || a->port > m->conf->port_max);
	for (uint32_t i = 0; i < m->conf->n_own; i++)
		if (tp_addr_same_ip(&m->conf->own[i], a))
			return true;
	return false;
}

static bool is_allowed(const struct model *m, const struct tp_addr *a)
{
	if (is_never_a_peer(a))
		return false;
	return longest(m->conf->allow, m->conf->n_allow, a) >=
			longest(m->conf->deny, m->conf->n_deny, a);
}

/* RFC 6052 section 2.2: after the network's prefix, but for byte 8, which is 0, and then zeros. */
static bool read_nat64(const uint8_t *ip, unsigned bytes, uint8_t out[4])
{
	unsigned at = bytes;

	for (unsigned n = 0; n < 4; at++)
		if (at != 8)
			out[n++] = ip[at];
	for (; at < 16; at++)
		if (ip[at] != 0)
			return false;
	return bytes == 12 || ip[8] == 0;
}

/* The IPv4 addresses that an IPv6 address may be another notation of.  @return how many */
static unsigned embedded(const struct tp_addr *a, struct tp_addr out[4])
{
	static const uint8_t well_known[12] = { 0, 0x64, 0xff, 0x9b };
	static const uint8_t local[6] = { 0, 0x64, 0xff, 0x9b, 0, 1 };
	static const uint8_t lengths[4] = { 6, 7, 8, 12 }; /* RFC 8215: nobody knows which */
	unsigned n = 0;

	for (unsigned i = 0; i < 4; i++)
		out[i] = (struct tp_addr){ .family = TP_IPV4, .port = a->port };
	if (a->family != TP_IPV6)
		return 0;
	memcpy(out[0].ip, a->ip + 12, 4);
	/* RFC 5214 section 6.1. */
	if (has_prefix(a->ip, well_known, 96) || (a->ip[8] & 0xfd) == 0)
		if (has_prefix(a->ip, well_known, 96) ||
				(a->ip[9] == 0 && a->ip[10] == 0x5e && a->ip[11] == 0xfe))
			return 1;
	for (unsigned i = 0; i < 4 && has_prefix(a->ip, local, 48); i++) {
		uint8_t ip[4];

		/* 0.0.0.0/8 is no host: another reading is meant, if there is one. */
		if (!read_nat64(a->ip, lengths[i], ip) || (ip[0] == 0 && (i < 3 || n > 0)))
			continue;
		memcpy(out[n++].ip, ip, 4);
	}
	return n;
}

bool model_peer_ok(const struct model *m, const struct tp_addr *peer, bool has_port)
{
	struct tp_addr inner[4];
	unsigned n = embedded(peer, inner);

	if (is_own(m, peer, has_port))
		return false;
	if (model_relay_of(m, peer, false) >= 0)
		return true;
	for (unsigned i = 0; i < n; i++)
		if (is_own(m, &inner[i], has_port) || !is_allowed(m, &inner[i]))
			return false;
	return is_allowed(m, peer);
}

void model_recheck(struct model *m, struct tp_turn_forbidden *ended)
{
	for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++) {
		struct model_allocation *a = &m->alloc[i];
		unsigned n = 0;

		if (!a->is_on)
			continue;
		for (unsigned k = 0; k < a->n_channels; k++)
			if (model_peer_ok(m, &a->channel[k].peer, true))
				a->channel[n++] = a->channel[k];
		ended->channels += a->n_channels - n;
		a->n_channels = n;
		n = 0;
		for (unsigned k = 0; k < a->n_permissions; k++)
			if (model_peer_ok(m, &a->permission[k].ip, false))
				a->permission[n++] = a->permission[k];
		ended->permissions += a->n_permissions - n;
		a->n_permissions = n;
	}
	recount(m);
}
