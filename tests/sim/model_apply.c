/* SPDX-License-Identifier: Apache-2.0 */
/* What a request that was granted changes, and what its answer must say. */
#include "model.h"

#include "base/clock.h"
#include "turn/mobility.h"

#include <string.h>

static uint64_t due(const struct model *m, uint32_t sec)
{
	return m->now.mono_ns + sec * TP_NS_PER_SEC;
}

/* ---- Allocate ---- */

static struct model_allocation *new_allocation(struct model *m)
{
	for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++)
		if (!m->alloc[i].is_on)
			return &m->alloc[i];
	sim_fail("more than %d allocations", MODEL_ALLOCATIONS);
}

static struct model_reservation *new_reservation(struct model *m)
{
	for (unsigned i = 0; i < MODEL_RESERVATIONS; i++)
		if (!m->reservation[i].is_on)
			return &m->reservation[i];
	sim_fail("more than %d reservations", MODEL_RESERVATIONS);
}

/* The server chose; was it free to? */
static void check_port(struct model *m, const struct model_ask *ask, uint32_t relay, uint16_t port)
{
	unsigned at = model_at(&m->conf->relays[relay].local);
	bool is_reserved = false;

	for (unsigned i = 0; i < MODEL_RESERVATIONS; i++)
		if (m->reservation[i].is_on && m->reservation[i].relay == relay &&
				m->reservation[i].port == port)
			is_reserved = &m->reservation[i] != ask->reservation;
	if (ask->reservation == NULL && !ask->leg[at])
		sim_fail("a port of a family that was not asked for");
	if (ask->reservation != NULL &&
			(ask->reservation->relay != relay || ask->reservation->port != port))
		sim_fail("port %u is not the one that was reserved", port);
	if (m->is_gone[relay] && ask->reservation == NULL)
		sim_fail("a port of an address that is not here");
	if (is_reserved)
		sim_fail("port %u is reserved for somebody else", port);
	if (model_owner(m, relay, port) != NULL)
		sim_fail("port %u of relay %u is taken", port, relay);
	if (port < m->conf->port_min || port > m->conf->port_max || (ask->is_even && port % 2))
		sim_fail("port %u is out of the range, or odd", port);
}

static void reserve(struct model *m, struct model_allocation *a, uint32_t relay, uint16_t port)
{
	struct model_reservation *r;

	if (model_owner(m, relay, port) != NULL || port > m->conf->port_max)
		sim_fail("port %u can not be reserved", port);
	r = new_reservation(m);
	*r = (struct model_reservation){ .is_on = true, .relay = relay, .port = port };
	memcpy(r->name, a->name, sizeof(r->name));
	r->due_ns = due(m, TP_TURN_RESERVATION_SEC);
	a->has_token = true;
}

/* Of a dual allocation, the half that there is no port for, which is said in the answer. */
static void note_refused(
		const struct model *m, struct model_allocation *a, const struct model_ask *ask)
{
	for (unsigned at = 0; ask->is_dual && at < 2; at++) {
		bool is_supported = false;

		if (ask->leg[at])
			continue;
		for (uint32_t i = 0; i < m->conf->n_relays; i++)
			is_supported |= model_at(&m->conf->relays[i].local) == at;
		a->refused_family = (uint8_t)(at + 1);
		a->refused_code = is_supported ? 508 : 440;
	}
}

static void apply_allocate(
		struct model *m, const struct model_want *want, const struct model_opened *opened)
{
	const struct model_ask *ask = &want->ask;
	unsigned n_legs = ask->reservation != NULL ? 1u : 0u + ask->leg[0] + ask->leg[1];
	struct model_allocation *a = new_allocation(m);

	if (opened->n != n_legs)
		sim_fail("%u ports were opened, not %u", opened->n, n_legs);
	for (unsigned i = 0; i < opened->n; i++)
		check_port(m, ask, opened->port[i].relay, opened->port[i].port);
	memset(a, 0, sizeof(*a));
	a->is_on = true;
	a->id = ++m->next_id;
	a->is_mobile = ask->is_mobile;
	a->serial = 1;
	a->tuple = *want->tuple;
	memcpy(a->name, want->name, sizeof(a->name));
	a->key = want->key;
	memcpy(a->tid, want->msg.tid, sizeof(a->tid));
	a->lifetime_sec = ask->lifetime_sec;
	a->has_token = a->is_token_known = false;
	a->refused_code = 0;
	note_refused(m, a, ask);
	if (ask->reservation != NULL)
		ask->reservation->is_on = false;
	for (unsigned i = 0; i < opened->n; i++) {
		uint32_t relay = opened->port[i].relay;
		struct model_leg *leg = &a->leg[model_at(&m->conf->relays[relay].local)];

		if (leg->is_on)
			sim_fail("two ports of one family");
		*leg = (struct model_leg){ true, relay, opened->port[i].port,
			due(m, ask->lifetime_sec) };
		if (ask->has_next)
			reserve(m, a, relay, (uint16_t)(leg->port + 1));
	}
}

/* ---- Refresh, CreatePermission, ChannelBind ---- */

static void apply_refresh(struct model *m, struct model_want *want)
{
	struct model_allocation *a = want->alloc;

	if (want->is_move) {
		model_move(m, want);
		a->serial++;
		a->old_until_ns = due(m, TP_MOBILITY_OLD_SEC);
		a->moved_by = *want->tuple;
		memcpy(a->moved_tid, want->msg.tid, sizeof(a->moved_tid));
	}
	for (unsigned at = 0; at < 2; at++)
		if (want->ask.leg[at])
			want->alloc->leg[at].due_ns = due(m, want->ask.lifetime_sec);
}

static void permit(struct model *m, struct model_allocation *a, const struct tp_addr *peer)
{
	struct model_permission *p = a->permission;

	while (p < a->permission + a->n_permissions && !tp_addr_same_ip(&p->ip, peer))
		p++;
	if (p == a->permission + MODEL_PERMISSIONS)
		sim_fail("more than %d permissions", MODEL_PERMISSIONS);
	if (p == a->permission + a->n_permissions)
		a->n_permissions++;
	p->ip = tp_addr_ip_only(peer);
	p->due_ns = due(m, TP_TURN_PERMISSION_SEC);
}

static void bind_channel(struct model *m, const struct model_want *want)
{
	struct model_allocation *a = want->alloc;
	struct model_channel *ch = model_by_number(a, want->ask.number);

	if (ch == NULL && a->n_channels == MODEL_CHANNELS)
		sim_fail("more than %d channels", MODEL_CHANNELS);
	if (ch == NULL)
		ch = &a->channel[a->n_channels++];
	*ch = (struct model_channel){ want->ask.number, want->ask.peer[0],
		due(m, TP_TURN_CHANNEL_SEC) };
}

void model_apply(struct model *m, struct model_want *want, const struct model_opened *opened)
{
	m->n_redirected += want->code == 300;
	m->count.redirected = m->n_redirected;
	if (want->change != MODEL_ALLOCATE && opened->n > 0)
		sim_fail("a port was opened, and nobody allocated");
	switch (want->change) {
	case MODEL_NOTHING:
		return;
	case MODEL_ALLOCATE:
		apply_allocate(m, want, opened);
		break;
	case MODEL_REFRESH:
		apply_refresh(m, want);
		break;
	case MODEL_BIND:
		bind_channel(m, want);
		permit(m, want->alloc, &want->ask.peer[0]);
		break;
	case MODEL_PERMIT:
		for (unsigned i = 0; i < want->ask.n_peers; i++)
			permit(m, want->alloc, &want->ask.peer[i]);
		break;
	}
	model_tick(m, &m->now); /* what has a lifetime of 0 ends, and counts change */
}

/* ---- answers ---- */

static void judge_challenge(
		struct model *m, const struct model_want *want, const struct ref_msg *answer)
{
	struct ref_value realm = ref_get(answer, REF_REALM, 0);
	struct ref_value algorithms = ref_get(answer, REF_PASSWORD_ALGORITHMS, 0);

	if (realm.len != strlen(m->conf->realm) ||
			memcmp(realm.data, m->conf->realm, realm.len) != 0)
		sim_fail("a challenge without our realm");
	if (algorithms.len != sizeof(model_algorithms) ||
			memcmp(algorithms.data, model_algorithms, algorithms.len) != 0)
		sim_fail("a challenge without PASSWORD-ALGORITHMS");
	if (answer->len > 200)
		sim_fail("a challenge of %zu bytes", answer->len);
	model_nonce_given(m, &want->tuple->client, ref_get(answer, REF_NONCE, 0));
}

static void judge_unknown(const struct model_want *want, const struct ref_msg *answer)
{
	struct ref_value said = ref_get(answer, REF_UNKNOWN_ATTRIBUTES, 0);
	uint16_t unknown[8];
	unsigned n = ref_unknown(&want->msg, unknown, 8);

	if (said.len != 2 * n)
		sim_fail("%zu bytes of UNKNOWN-ATTRIBUTES for %u types", said.len, n);
	for (unsigned i = 0; i < n; i++)
		if ((said.data[2 * i] << 8 | said.data[2 * i + 1]) != unknown[i])
			sim_fail("attribute %04x is missing in UNKNOWN-ATTRIBUTES", unknown[i]);
}

static void judge_lifetime(const struct ref_msg *answer, uint32_t want_sec)
{
	uint32_t sec;

	if (ref_u32(answer, REF_LIFETIME, &sec) <= 0 || sec != want_sec)
		sim_fail("a LIFETIME other than %u s", want_sec);
}

static void judge_mapped(const struct model_want *want, const struct ref_msg *answer)
{
	struct tp_addr mapped;

	if (!ref_addr(answer, ref_get(answer, REF_XOR_MAPPED_ADDRESS, 0), &mapped) ||
			!tp_addr_equal(&mapped, &want->tuple->client))
		sim_fail("XOR-MAPPED-ADDRESS is not where it came from");
}

/* Whose token is not known yet: the answer that had it was lost. */
static void learn_token(struct model *m, struct model_allocation *a, const uint8_t token[8])
{
	for (unsigned i = 0; i < MODEL_RESERVATIONS; i++) {
		struct model_reservation *r = &m->reservation[i];

		if (!r->is_on || r->is_token_known ||
				(model_owner(m, r->relay, (uint16_t)(r->port - 1)) != a))
			continue;
		r->is_token_known = true;
		memcpy(r->token, token, 8);
	}
	a->is_token_known = true;
	memcpy(a->token, token, 8);
}

static void judge_token(struct model *m, struct model_allocation *a, const struct ref_msg *answer)
{
	struct ref_value token = ref_get(answer, REF_RESERVATION_TOKEN, 0);

	if ((token.data != NULL) != a->has_token || (a->has_token && token.len != 8))
		sim_fail("a token where none was asked for, or none");
	if (!a->has_token)
		return;
	if (!a->is_token_known)
		learn_token(m, a, token.data);
	else if (memcmp(a->token, token.data, 8) != 0)
		sim_fail("a retransmission got another token");
}

/* Also to a retransmission: what the allocation is like, and nothing else. */
static void judge_allocated(
		struct model *m, const struct model_want *want, const struct ref_msg *answer)
{
	struct model_allocation *a = model_find(m, want->tuple);
	struct ref_value refused = ref_get(answer, REF_ADDRESS_ERROR_CODE, 0);
	struct tp_addr relayed, is;
	unsigned n = 0;

	if (a == NULL)
		sim_fail("success, and no allocation");
	for (unsigned at = 0; at < 2; at++) {
		if (!a->leg[at].is_on)
			continue;
		is = model_relayed(m, &a->leg[at], false);
		if (!ref_addr(answer, ref_get(answer, REF_XOR_RELAYED_ADDRESS, n++), &relayed) ||
				!tp_addr_equal(&relayed, &is))
			sim_fail("XOR-RELAYED-ADDRESS is not the port that was opened");
	}
	if (ref_get(answer, REF_XOR_RELAYED_ADDRESS, n).data != NULL)
		sim_fail("more relayed addresses than ports");
	judge_lifetime(answer, a->lifetime_sec);
	judge_mapped(want, answer);
	judge_token(m, a, answer);
	model_judge_ticket(m, a, answer);
	if ((refused.len >= 4) != (a->refused_code != 0))
		sim_fail("ADDRESS-ERROR-CODE where it does not belong, or none");
	if (a->refused_code != 0 &&
			(refused.data[0] != a->refused_family ||
					refused.data[2] * 100u + refused.data[3] !=
							a->refused_code))
		sim_fail("ADDRESS-ERROR-CODE is not %u", a->refused_code);
}

static void judge_success(
		struct model *m, const struct model_want *want, const struct ref_msg *answer)
{
	switch (want->msg.method) {
	case REF_BINDING:
		judge_mapped(want, answer);
		if (want->tuple->client.family == TP_IPV4 && answer->len * 10 > want->msg.len * 16)
			sim_fail("Binding amplifies: %zu bytes for %zu", answer->len,
					want->msg.len);
		break;
	case REF_ALLOCATE:
		judge_allocated(m, want, answer);
		break;
	case REF_REFRESH:
		judge_lifetime(answer, want->ask.lifetime_sec);
		model_judge_ticket(m, want->is_by_ticket && want->alloc->is_on ? want->alloc : NULL,
				answer);
		break;
	}
}

void model_judge_answer(
		struct model *m, const struct model_want *want, const uint8_t *data, size_t len)
{
	const struct ref_msg *asked = &want->msg;
	struct ref_msg answer;

	if (ref_parse(data, len, &answer) != REF_OK || !ref_padding_is_zero(&answer))
		sim_fail("the answer is malformed");
	if (answer.method != asked->method || memcmp(answer.tid, asked->tid, 12) != 0)
		sim_fail("the answer is to something else");
	if (answer.class != (want->code == 0 ? REF_SUCCESS : REF_ERROR) ||
			ref_error(&answer) != want->code)
		sim_fail("answered %u instead of %u", ref_error(&answer), want->code);
	if (answer.has_fingerprint != asked->has_fingerprint)
		sim_fail("FINGERPRINT, or none, is not as in the request");
	/* As the request was processed, and not the other as well. */
	if ((answer.mi_at != 0) != (want->is_signed && want->is_legacy) ||
			(answer.mi256_at != 0) != (want->is_signed && !want->is_legacy) ||
			(want->is_signed &&
					!ref_integrity_ok(&answer, !want->is_legacy, &want->key)))
		sim_fail("MESSAGE-INTEGRITY of the answer is wrong");
	if (want->is_challenge)
		judge_challenge(m, want, &answer);
	else if (want->code == 300)
		model_judge_redirect(m, want->tuple, &answer);
	else if (want->code == 420)
		judge_unknown(want, &answer);
	else if (want->code == 0)
		judge_success(m, want, &answer);
}
