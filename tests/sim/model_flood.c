/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What strangers may be answered, and how often somebody may guess: lib/turn/flood.h, with a bucket
 * for every source in place of its sketch.
 */
#include "model.h"

#include "base/clock.h"
#include "turn/flood.h"

#include <string.h>

bool model_take(uint64_t *owed_ns, uint64_t *at_ns, uint32_t per_sec, uint32_t burst, uint32_t n,
		uint64_t now_ns)
{
	const uint64_t token_ns = TP_NS_PER_SEC / per_sec, gone_ns = now_ns - *at_ns;
	uint64_t owed = *owed_ns > gone_ns ? *owed_ns - gone_ns : 0;

	if (owed + n * token_ns > burst * token_ns)
		return false;
	*owed_ns = owed + n * token_ns;
	*at_ns = now_ns;
	return true;
}

/* IPv6: a /64 is one customer. */
static struct tp_addr source_of(const struct tp_addr *client)
{
	struct tp_addr who = *client;

	who.port = 0;
	if (who.family == TP_IPV6)
		memset(who.ip + 8, 0, 8);
	return who;
}

static struct model_source *find(
		struct model_source list[], const struct tp_addr *who, uint64_t now_ns)
{
	struct model_source *unused = NULL;

	for (unsigned i = 0; i < MODEL_SOURCES; i++) {
		struct model_source *s = &list[i];

		if (tp_addr_equal(&s->who, who))
			return s;
		if (now_ns - s->at_ns >= s->owed_ns)
			unused = s;
	}
	if (unused == NULL)
		sim_fail("more than %d sources", MODEL_SOURCES);
	*unused = (struct model_source){ .who = *who };
	return unused;
}

static bool take_source(struct model *m, const struct tp_addr *client)
{
	const uint32_t per_sec = m->conf->limits.unauthenticated_per_source;
	const struct tp_addr who = source_of(client);
	struct model_source *s = find(m->source, &who, m->now.mono_ns);

	return per_sec == 0 ||
			model_take(&s->owed_ns, &s->at_ns, per_sec, per_sec * TP_FLOOD_BURST_SEC, 1,
					m->now.mono_ns);
}

static bool take_try(struct model *m, const struct tp_addr *client)
{
	struct model_source *s = find(m->tries, client, m->now.mono_ns);

	return model_take(&s->owed_ns, &s->at_ns, TP_FLOOD_TRIES_PER_SEC, TP_FLOOD_TRIES_BURST, 1,
			m->now.mono_ns);
}

enum tp_slow_verdict model_flood_answer(
		struct model *m, const struct tp_addr *client, bool is_proven)
{
	const uint32_t per_sec = m->conf->limits.unauthenticated_total;
	const struct tp_addr who = source_of(client);
	struct model_source *s = find(m->source, &who, m->now.mono_ns);
	const struct model_source was = *s;

	if (!take_source(m, client))
		return TP_SLOW_DROP_SOURCE_RATE;
	if (is_proven || per_sec == 0 ||
			model_take(&m->total_owed_ns, &m->total_at_ns, per_sec, per_sec / 10 + 1, 1,
					m->now.mono_ns))
		return TP_SLOW_ANSWERED;
	*s = was;
	return TP_SLOW_DROP_TOTAL_RATE;
}

enum tp_slow_verdict model_flood_check(struct model *m, const struct tp_addr *client)
{
	const struct tp_addr who = source_of(client);
	struct model_source *s = find(m->source, &who, m->now.mono_ns);
	struct model_source *t = find(m->tries, client, m->now.mono_ns);
	const struct model_source source = *s, tries = *t;
	bool may = m->conf->limits.unauthenticated_per_source == 0 || take_source(m, client) ||
			take_try(m, client);

	/* Nothing is charged yet. */
	*s = source;
	*t = tries;
	return may ? TP_SLOW_ANSWERED : TP_SLOW_DROP_TRY_RATE;
}

void model_flood_failed(struct model *m, const struct tp_addr *client)
{
	if (m->conf->limits.unauthenticated_per_source != 0)
		take_try(m, client);
}
