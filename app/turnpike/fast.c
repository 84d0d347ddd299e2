/* SPDX-License-Identifier: Apache-2.0 */
#include "fast.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct direction {
	struct tp_flow *flow;
	struct tp_resolved *resolved; /* NULL on a hairpin: the other allocation's flow sends */
};

/* What hangs on tp_turn_channel.fast. */
struct fast_channel {
	struct direction up, down;
	bool is_hairpin;
};

struct tp_fast {
	struct tp_fast_conf conf;
	uint64_t refused;
	uint16_t (*channels)[65536]; /* relay, port -> channels with flows */
};

int tp_fast_new(const struct tp_fast_conf *conf, struct tp_fast **out)
{
	struct tp_fast *fast = calloc(1, sizeof(*fast));

	if (fast == NULL)
		return -ENOMEM;
	fast->conf = *conf;
	fast->channels = calloc(conf->n_relays, sizeof(*fast->channels));
	if (fast->channels == NULL) {
		free(fast);
		return -ENOMEM;
	}
	*out = fast;
	return 0;
}

void tp_fast_free(struct tp_fast *fast)
{
	if (fast == NULL)
		return;
	free(fast->channels);
	free(fast);
}

void tp_fast_port_opened(struct tp_fast *fast, uint32_t relay, uint16_t port)
{
	tp_steer_set_port(fast->conf.steer, relay, port, true, false);
}

void tp_fast_port_closed(struct tp_fast *fast, uint32_t relay, uint16_t port)
{
	assert(fast->channels[relay][port] == 0);
	tp_steer_set_port(fast->conf.steer, relay, port, false, false);
}

static void direction_close(struct tp_fast *fast, struct direction *d)
{
	if (d->resolved != NULL)
		tp_resolver_unbind(fast->conf.resolver, d->resolved);
	if (d->flow != NULL)
		tp_flow_del(fast->conf.flows, d->flow);
	*d = (struct direction){ 0 };
}

/* src and dst: the packet sent, for its next hop. */
static int direction_open(
		struct tp_fast *fast, struct direction *d, const struct tp_flow_spec *spec)
{
	int rc = tp_flow_add(fast->conf.flows, spec, &d->flow);

	if (rc < 0 || spec->is_hairpin)
		return rc;
	rc = tp_resolver_bind(
			fast->conf.resolver, d->flow, &spec->out_src, &spec->out_dst, &d->resolved);
	if (rc < 0)
		direction_close(fast, d);
	return rc;
}

static int channel_open(
		struct tp_fast *fast, struct fast_channel *fc, const struct tp_turn_channel *ch)
{
	const struct tp_flow_spec up = {
		.in_src = ch->tuple.client,
		.in_dst = ch->tuple.server,
		.in_channel = ch->number,
		.out_src = ch->is_hairpin ? ch->relay_external : ch->relay_local,
		.out_dst = ch->peer_local,
		.is_hairpin = ch->is_hairpin,
		.deadline_ns = ch->up_deadline_ns,
	};
	const struct tp_flow_spec down = {
		.in_src = ch->peer,
		.in_dst = ch->relay_local,
		.out_src = ch->tuple.server,
		.out_dst = ch->tuple.client,
		.out_channel = ch->number,
		.deadline_ns = ch->down_deadline_ns,
	};
	int rc;

	fc->is_hairpin = ch->is_hairpin;
	rc = direction_open(fast, &fc->up, &up);
	if (rc == 0)
		rc = direction_open(fast, &fc->down, &down);
	if (rc < 0)
		direction_close(fast, &fc->up);
	return rc;
}

static void channel_new(struct tp_fast *fast, struct tp_turn_channel *ch)
{
	struct fast_channel *fc = calloc(1, sizeof(*fc));

	if (fc == NULL || channel_open(fast, fc, ch) < 0) {
		fast->refused++;
		free(fc);
		return;
	}
	ch->fast = fc;
	if (fast->channels[ch->relay][ch->relay_local.port]++ == 0)
		tp_steer_set_port(fast->conf.steer, ch->relay, ch->relay_local.port, true, true);
}

void tp_fast_channel_set(struct tp_fast *fast, struct tp_turn_channel *channel)
{
	struct fast_channel *fc = channel->fast;

	if (fast->conf.flows == NULL)
		return;
	if (fc == NULL) {
		channel_new(fast, channel);
		return;
	}
	tp_flow_set_deadline(fc->up.flow, channel->up_deadline_ns);
	tp_flow_set_deadline(fc->down.flow, channel->down_deadline_ns);
}

void tp_fast_channel_cleared(struct tp_fast *fast, struct tp_turn_channel *channel)
{
	struct fast_channel *fc = channel->fast;
	uint32_t relay = channel->relay;
	uint16_t port = channel->relay_local.port;

	if (fc == NULL)
		return;
	if (--fast->channels[relay][port] == 0)
		tp_steer_set_port(fast->conf.steer, relay, port, true, false);
	direction_close(fast, &fc->up);
	direction_close(fast, &fc->down);
	free(fc);
	channel->fast = NULL;
}

bool tp_fast_is_carried(const struct tp_turn_channel *channel)
{
	const struct fast_channel *fc = channel->fast;

	if (fc == NULL || atomic_load(&fc->down.flow->next_hop) == NULL)
		return false;
	return fc->is_hairpin || atomic_load(&fc->up.flow->next_hop) != NULL;
}

uint64_t tp_fast_refused(const struct tp_fast *fast)
{
	return fast->refused;
}
