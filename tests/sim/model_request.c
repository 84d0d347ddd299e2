/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: what the answer must be (RFC 8656). */
#include "model.h"

#include "base/clock.h"

#include <string.h>

/* ---- all methods ---- */

static unsigned signed_request(struct model *m, struct model_want *want,
		unsigned (*method)(struct model *, struct model_want *))
{
	uint16_t unknown, serial;
	bool is_ours = true;
	unsigned code;

	want->alloc = model_find(m, want->tuple);
	/* With a ticket the five-tuple does not count. */
	want->is_by_ticket = method == model_refresh && m->conf->mobility &&
			ref_get(&want->msg, REF_MOBILITY_TICKET, 0).data != NULL;
	if (want->is_by_ticket)
		want->alloc = model_ticket(m, want, &is_ours, &serial);
	code = model_authenticate(m, want);
	if (want->verdict != TP_SLOW_ANSWERED)
		return 0;
	if (code == 0 && ref_unknown(&want->msg, &unknown, 1) > 0)
		code = 420;
	if (code == 0 && !is_ours)
		code = 400;
	if (code != 0 || method == model_allocate)
		return code != 0 ? code : method(m, want);
	/* Section 5. */
	if (want->alloc == NULL)
		return 437;
	return strcmp(want->alloc->name, want->name) != 0 ? 441 : method(m, want);
}

void model_request(struct model *m, struct model_want *want)
{
	uint16_t unknown;

	want->verdict = TP_SLOW_ANSWERED;
	want->is_request = true;
	switch (want->msg.method) {
	case REF_BINDING:
		want->code = ref_unknown(&want->msg, &unknown, 1) > 0 ? 420 : 0;
		want->verdict = model_flood_answer(m, &want->tuple->client, false);
		break;
	case REF_ALLOCATE:
		want->code = signed_request(m, want, model_allocate);
		break;
	case REF_REFRESH:
		want->code = signed_request(m, want, model_refresh);
		break;
	case REF_CREATE_PERMISSION:
		want->code = signed_request(m, want, model_permit);
		break;
	case REF_CHANNEL_BIND:
		want->code = signed_request(m, want, model_bind);
		break;
	default:
		want->verdict = TP_SLOW_DROP_UNEXPECTED;
		want->is_request = false;
	}
	want->is_request &= want->verdict == TP_SLOW_ANSWERED;
	if (want->code != 0 || !want->is_request)
		want->change = MODEL_NOTHING;
	want->is_arrival &= want->change == MODEL_REFRESH;
}

/* ---- Allocate (section 7.2) ---- */

static bool has(const struct model_want *want, unsigned type)
{
	return ref_get(&want->msg, type, 0).data != NULL;
}

static bool has_family(const struct model *m, unsigned at)
{
	for (uint32_t i = 0; i < m->conf->n_relays; i++)
		if (model_at(&m->conf->relays[i].local) == at)
			return true;
	return false;
}

static bool is_used(struct model *m, uint32_t relay, uint16_t port)
{
	for (unsigned i = 0; i < MODEL_RESERVATIONS; i++)
		if (m->reservation[i].is_on && m->reservation[i].relay == relay &&
				m->reservation[i].port == port)
			return true;
	return model_owner(m, relay, port) != NULL;
}

/* Is there a port for this leg? */
static bool has_port(struct model *m, unsigned at, const struct model_ask *ask)
{
	for (uint32_t relay = 0; relay < m->conf->n_relays; relay++) {
		if (model_at(&m->conf->relays[relay].local) != at || m->is_gone[relay])
			continue;
		for (unsigned p = m->conf->port_min; p <= m->conf->port_max; p++) {
			if (is_used(m, relay, (uint16_t)p) || (ask->is_even && p % 2 != 0))
				continue;
			if (!ask->has_next ||
					(p < m->conf->port_max &&
							!is_used(m, relay, (uint16_t)(p + 1))))
				return true;
		}
	}
	return false;
}

static unsigned ask_lifetime(const struct model_want *want, uint32_t *out)
{
	if (ref_u32(&want->msg, REF_LIFETIME, out) < 0)
		return 400;
	if (*out > 3600)
		*out = 3600;
	if (*out > 0 && *out < 600)
		*out = 600;
	return 0;
}

static unsigned ask_token(struct model *m, struct model_want *want)
{
	struct ref_value token = ref_get(&want->msg, REF_RESERVATION_TOKEN, 0);

	if (token.data == NULL)
		return 0;
	if (has(want, REF_EVEN_PORT) || has(want, REF_REQUESTED_ADDRESS_FAMILY) ||
			has(want, REF_ADDITIONAL_ADDRESS_FAMILY) || token.len != 8)
		return 400;
	for (unsigned i = 0; i < MODEL_RESERVATIONS; i++) {
		struct model_reservation *r = &m->reservation[i];

		if (r->is_on && r->is_token_known && memcmp(r->token, token.data, 8) == 0)
			want->ask.reservation = r;
	}
	return want->ask.reservation != NULL ? 0 : 508;
}

/* Section 7.2: IPv4, unless the configuration says: as the listener. */
static uint8_t default_family(const struct model *m, const struct model_want *want)
{
	return m->conf->default_is_listener && want->tuple->server.family == TP_IPV6 &&
					has_family(m, 1)
			? 2
			: 1;
}

static unsigned ask_families(struct model *m, struct model_want *want)
{
	uint8_t family = default_family(m, want), other;
	int has_one = ref_byte(&want->msg, REF_REQUESTED_ADDRESS_FAMILY, 4, &family);
	struct ref_value even = ref_get(&want->msg, REF_EVEN_PORT, 0);
	bool has_other = has(want, REF_ADDITIONAL_ADDRESS_FAMILY);
	struct model_ask *ask = &want->ask;

	if (ask->reservation == NULL) {
		if (has_one < 0 || (has_one > 0 && has_other))
			return 400;
		if (!has_other && ((family != 1 && family != 2) || !has_family(m, family == 2)))
			return 440;
		ask->leg[family == 2] = !has_other;
	}
	if (even.data != NULL && even.len != 1)
		return 400;
	ask->is_even = even.data != NULL;
	ask->has_next = ask->is_even && even.data[0] >= 0x80;
	if (!has_other)
		return 0;
	if (ask->has_next || ref_byte(&want->msg, REF_ADDITIONAL_ADDRESS_FAMILY, 4, &other) < 0 ||
			other != 2)
		return 400;
	ask->leg[0] = ask->leg[1] = ask->is_dual = true;
	return 0;
}

/* RFC 8016 section 3.1.2. */
static unsigned ask_ticket(const struct model *m, struct model_want *want)
{
	struct ref_value ticket = ref_get(&want->msg, REF_MOBILITY_TICKET, 0);

	want->ask.is_mobile = ticket.data != NULL;
	if (ticket.data == NULL)
		return 0;
	if (ticket.len > 0)
		return 400;
	return m->conf->mobility ? 0 : 405;
}

static unsigned reservations_of(const struct model *m, const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MODEL_RESERVATIONS; i++)
		n += m->reservation[i].is_on &&
				strcmp(model_counted_name(m->reservation[i].name),
						model_counted_name(name)) == 0;
	return n;
}

/* Is it served here, and may the user have one more? */
static unsigned ask_quota(const struct model *m, const struct model_want *want)
{
	const uint32_t most = m->conf->limits.allocations_per_user;
	unsigned code = model_redirect(m, want->tuple, want->ask.reservation != NULL);

	if (code == 0 && most != 0 && model_allocations_of(m, want->name) >= most)
		code = 486;
	if (code == 0 && most != 0 && want->ask.has_next && reservations_of(m, want->name) >= most)
		code = 486;
	return code;
}

/* Whether there is room; of a dual allocation, whether there is for either half. */
static unsigned ask_ports(struct model *m, struct model_ask *ask)
{
	unsigned n = 0;

	if (m->count.allocations >= m->conf->max_allocations)
		return 508;
	if (ask->reservation != NULL)
		return 0;
	for (unsigned at = 0; at < 2; at++) {
		ask->leg[at] = ask->leg[at] && has_port(m, at, ask);
		n += ask->leg[at];
	}
	return n > 0 ? 0 : 508;
}

unsigned model_allocate(struct model *m, struct model_want *want)
{
	struct model_ask *ask = &want->ask;
	uint8_t protocol;
	unsigned code;

	if (want->alloc != NULL) {
		if (strcmp(want->alloc->name, want->name) != 0 ||
				memcmp(want->alloc->tid, want->msg.tid, 12) != 0)
			return 437;
		want->is_retransmission = true;
		return 0;
	}
	if (ref_byte(&want->msg, REF_REQUESTED_TRANSPORT, 4, &protocol) <= 0)
		return 400;
	if (protocol != 17)
		return 442;
	code = ask_token(m, want);
	if (code == 0)
		code = ask_families(m, want);
	if (code == 0)
		code = ask_ticket(m, want);
	ask->lifetime_sec = 600;
	if (code == 0)
		code = ask_lifetime(want, &ask->lifetime_sec);
	if (ask->lifetime_sec == 0)
		ask->lifetime_sec = 600;
	if (code == 0)
		code = ask_quota(m, want);
	if (code == 0)
		code = ask_ports(m, ask);
	want->change = MODEL_ALLOCATE;
	return code;
}

/* ---- Refresh (section 8.2) ---- */

unsigned model_refresh(struct model *m, struct model_want *want)
{
	uint8_t family = 0;
	int has_family_attr = ref_byte(&want->msg, REF_REQUESTED_ADDRESS_FAMILY, 4, &family);
	struct model_ask *ask = &want->ask;
	unsigned code = 0;

	if (has(want, REF_MOBILITY_TICKET))
		code = want->is_by_ticket ? model_check_ticket(m, want) : 405;
	if (code != 0)
		return code;
	ask->lifetime_sec = 600;
	if (has_family_attr < 0 || ask_lifetime(want, &ask->lifetime_sec) != 0)
		return 400;
	for (unsigned at = 0; at < 2; at++)
		ask->leg[at] = want->alloc->leg[at].is_on &&
				(has_family_attr == 0 || family == at + 1);
	if (!ask->leg[0] && !ask->leg[1])
		return 443;
	want->change = MODEL_REFRESH;
	return 0;
}

/* ---- CreatePermission (section 10.2) ---- */

static unsigned check_peer(const struct model *m, const struct model_want *want,
		const struct tp_addr *peer, bool has_port)
{
	if (!want->alloc->leg[model_at(peer)].is_on)
		return 443;
	return model_peer_ok(m, peer, has_port) ? 0 : 403;
}

/* What is new, against what one allocation may have; what may be is charged for. */
static unsigned ask_limits(struct model *m, const struct model_want *want, unsigned n_permissions,
		unsigned n_channels, unsigned n_peers)
{
	const struct tp_turn_limits *l = &m->conf->limits;
	struct model_allocation *a = want->alloc;

	if (l->permissions_per_allocation != 0 && n_permissions > 0 &&
			a->n_permissions + n_permissions > l->permissions_per_allocation)
		return 508;
	if (l->channels_per_allocation != 0 && n_channels > 0 &&
			a->n_channels + n_channels > l->channels_per_allocation)
		return 508;
	if (n_channels > 0 && m->count.channels + n_channels > m->conf->max_channels)
		return 508;
	if (l->new_peers_per_sec == 0 || n_peers == 0 ||
			model_take(&a->peers_owed_ns, &a->peers_at_ns, l->new_peers_per_sec,
					l->new_peers_per_sec * TP_TURN_NEW_PEERS_BURST_SEC, n_peers,
					m->now.mono_ns))
		return 0;
	return 508;
}

/* A peer named twice is one. */
static bool was_named(const struct model_ask *ask, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (tp_addr_same_ip(&ask->peer[i], &ask->peer[n]))
			return true;
	return false;
}

unsigned model_permit(struct model *m, struct model_want *want)
{
	struct model_ask *ask = &want->ask;
	struct ref_value value;
	unsigned code = 0, n_new = 0;

	while ((value = ref_get(&want->msg, REF_XOR_PEER_ADDRESS, ask->n_peers)).data != NULL) {
		if (ask->n_peers == MODEL_PERMISSIONS ||
				!ref_addr(&want->msg, value, &ask->peer[ask->n_peers]))
			return 400;
		ask->n_peers++;
	}
	if (ask->n_peers == 0)
		return 400;
	for (unsigned i = 0; code == 0 && i < ask->n_peers; i++)
		code = check_peer(m, want, &ask->peer[i], false);
	for (unsigned i = 0; i < ask->n_peers; i++)
		n_new += !model_has_permission(want->alloc, &ask->peer[i]) && !was_named(ask, i);
	if (code == 0)
		code = ask_limits(m, want, n_new, 0, n_new);
	want->change = MODEL_PERMIT;
	return code;
}

/* ---- ChannelBind (section 12.2) ---- */

unsigned model_bind(struct model *m, struct model_want *want)
{
	struct ref_value number = ref_get(&want->msg, REF_CHANNEL_NUMBER, 0);
	struct model_ask *ask = &want->ask;
	unsigned max = m->conf->legacy_channels ? 0x7fff : 0x4fff, code;
	struct model_channel *ch;
	bool is_new;

	if (number.len != 4 ||
			!ref_addr(&want->msg, ref_get(&want->msg, REF_XOR_PEER_ADDRESS, 0),
					&ask->peer[0]))
		return 400;
	ask->n_peers = 1;
	ask->number = (uint16_t)(number.data[0] << 8 | number.data[1]);
	if (ask->number < 0x4000 || ask->number > max || ask->peer[0].port == 0)
		return 400;
	ch = model_by_number(want->alloc, ask->number);
	if (ch != model_by_peer(want->alloc, &ask->peer[0]))
		return 400;
	code = check_peer(m, want, &ask->peer[0], true);
	is_new = !model_has_permission(want->alloc, &ask->peer[0]);
	if (code == 0)
		code = ask_limits(m, want, is_new, ch == NULL, is_new || ch == NULL);
	want->change = MODEL_BIND;
	return code;
}
