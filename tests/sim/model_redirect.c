/* SPDX-License-Identifier: Apache-2.0 */
/* 300 and ALTERNATE-SERVER: RFC 8489 section 10, RFC 8155 section 6. */
#include "model.h"

#include <string.h>

static bool is_anycast(const struct model *m, const struct tp_tuple *tuple)
{
	for (uint32_t i = 0; i < m->conf->n_listeners; i++)
		if (tp_addr_equal(&m->conf->listeners[i].local, &tuple->server) &&
				m->conf->listeners[i].is_anycast)
			return true;
	return false;
}

/* Nobody is served, whichever address he came to. */
static bool is_closed(const struct model *m)
{
	return m->is_draining || m->conf->redirect == TP_TURN_REDIRECT_ALWAYS;
}

static bool is_sent_to_unicast(const struct model *m, const struct tp_tuple *tuple)
{
	return is_anycast(m, tuple) && !is_closed(m);
}

/* Is this one of the places where the client may be sent?  NULL: is there one of the family? */
static bool is_place(const struct model *m, const struct tp_tuple *tuple, uint8_t family,
		const struct tp_addr *place)
{
	bool is_unicast = is_sent_to_unicast(m, tuple);
	uint32_t n = is_unicast ? m->conf->n_listeners : m->conf->n_alternates;

	for (uint32_t i = 0; i < n; i++) {
		const struct tp_turn_listener *l = &m->conf->listeners[i];
		const struct tp_addr *a = is_unicast ? &l->external : &m->conf->alternates[i];

		if (a->family == family && !(is_unicast && l->is_anycast) &&
				(place == NULL || tp_addr_equal(a, place)))
			return true;
	}
	return false;
}

unsigned model_redirect(const struct model *m, const struct tp_tuple *tuple, bool is_reserved)
{
	bool is_full = m->count.allocations >= m->conf->max_allocations &&
			m->conf->redirect == TP_TURN_REDIRECT_FULL;

	/* A port that was reserved is here; but who came by an anycast address is not sure to be.
	 */
	if (!is_anycast(m, tuple) && (is_reserved || (!is_closed(m) && !is_full)))
		return 0;
	return is_place(m, tuple, tuple->client.family, NULL) ? 300 : 508;
}

static void judge_pick(struct model *m, const struct tp_tuple *tuple, const struct tp_addr *place)
{
	const struct tp_addr client = tp_addr_ip_only(&tuple->client);
	bool is_unicast = is_sent_to_unicast(m, tuple);

	for (unsigned i = 0; i < m->n_picks; i++) {
		const struct model_pick *p = &m->pick[i];

		if (!tp_addr_equal(&p->client, &client) || p->is_unicast != is_unicast ||
				p->place.family != place->family)
			continue;
		if (!tp_addr_equal(&p->place, place))
			sim_fail("a client is sent to two servers");
		return;
	}
	if (m->n_picks == MODEL_PICKS)
		sim_fail("more than %d picks", MODEL_PICKS);
	m->pick[m->n_picks++] = (struct model_pick){ client, *place, is_unicast };
}

void model_judge_redirect(
		struct model *m, const struct tp_tuple *tuple, const struct ref_msg *answer)
{
	const uint8_t other = tuple->client.family == TP_IPV4 ? TP_IPV6 : TP_IPV4;
	unsigned n = 1 + is_place(m, tuple, other, NULL);
	struct tp_addr a;

	for (unsigned i = 0; i < n; i++) {
		uint8_t family = i == 0 ? tuple->client.family : other;

		if (!ref_plain_addr(ref_get(answer, REF_ALTERNATE_SERVER, i), &a) ||
				!is_place(m, tuple, family, &a))
			sim_fail("ALTERNATE-SERVER is no server, or of the wrong family");
		judge_pick(m, tuple, &a);
	}
	if (ref_get(answer, REF_ALTERNATE_SERVER, n).data != NULL)
		sim_fail("an ALTERNATE-SERVER too many");
}
