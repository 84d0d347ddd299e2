/* SPDX-License-Identifier: Apache-2.0 */
#include "fast.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct direction {
	struct tp_flow *flow;
	struct tp_resolved *resolved; /* NULL on a hairpin: the other allocation's flow sends */
};

/*
 * Each indication that the kernel path relays asks for its permission's flows.  While the table is
 * full, only one in so many is listened to.
 */
#define FULL_HOLDOFF 1024

/* What hangs on tp_turn_channel.fast. */
struct fast_channel {
	struct direction up, down;
	bool is_hairpin;
};

/* What hangs on tp_turn_permission.fast. */
struct fast_permission {
	struct direction up, down; /* down without flow while a channel must see everything */
};

struct tp_fast {
	struct tp_fast_conf conf;
	uint64_t refused;
	uint32_t holdoff;         /* requests of permissions left to ignore */
	uint16_t (*users)[65536]; /* relay, port -> channels and permissions with flows */
};

int tp_fast_new(const struct tp_fast_conf *conf, struct tp_fast **out)
{
	struct tp_fast *fast = calloc(1, sizeof(*fast));

	if (fast == NULL)
		return -ENOMEM;
	fast->conf = *conf;
	fast->users = calloc(conf->n_relays, sizeof(*fast->users));
	if (fast->users == NULL) {
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
	free(fast->users);
	free(fast);
}

/* What comes to a relayed port with flows goes to the workers. */
static void port_take(struct tp_fast *fast, uint32_t relay, uint16_t port)
{
	if (fast->users[relay][port]++ == 0)
		tp_steer_set_port(fast->conf.steer, relay, port, true, true);
}

static void port_give(struct tp_fast *fast, uint32_t relay, uint16_t port)
{
	assert(fast->users[relay][port] > 0);
	if (--fast->users[relay][port] == 0)
		tp_steer_set_port(fast->conf.steer, relay, port, true, false);
}

void tp_fast_port_opened(struct tp_fast *fast, uint32_t relay, uint16_t port)
{
	tp_steer_set_port(fast->conf.steer, relay, port, true, false);
}

void tp_fast_port_closed(struct tp_fast *fast, uint32_t relay, uint16_t port)
{
	assert(fast->users[relay][port] == 0);
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
		.account = ch->account,
		.in_src = ch->tuple.client,
		.in_dst = ch->tuple.server,
		.in_channel = ch->number,
		.out_src = ch->is_hairpin ? ch->relay_external : ch->relay_local,
		.out_dst = ch->peer_local,
		.is_hairpin = ch->is_hairpin,
		.deadline_ns = ch->up_deadline_ns,
	};
	const struct tp_flow_spec down = {
		.account = ch->account,
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
	port_take(fast, ch->relay, ch->relay_local.port);
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

	if (fc == NULL)
		return;
	port_give(fast, channel->relay, channel->relay_local.port);
	direction_close(fast, &fc->up);
	direction_close(fast, &fc->down);
	free(fc);
	channel->fast = NULL;
}

static int permission_open_up(
		struct tp_fast *fast, struct direction *d, const struct tp_turn_permission *perm)
{
	const struct tp_flow_spec up = {
		.form = TP_FLOW_SEND,
		.account = perm->account,
		.in_src = perm->tuple.client,
		.in_dst = perm->tuple.server,
		.in_peer = perm->peer,
		.out_src = perm->is_hairpin ? perm->relay_external : perm->relay_local,
		.out_dst = perm->peer_local,
		.is_hairpin = perm->is_hairpin,
		.deadline_ns = perm->deadline_ns,
	};

	return direction_open(fast, d, &up);
}

static int permission_open_down(
		struct tp_fast *fast, struct direction *d, const struct tp_turn_permission *perm)
{
	const struct tp_flow_spec down = {
		.form = TP_FLOW_DATA,
		.account = perm->account,
		.in_src = perm->peer,
		.in_dst = perm->relay_local,
		.out_src = perm->tuple.server,
		.out_dst = perm->tuple.client,
		.deadline_ns = perm->deadline_ns,
	};

	return direction_open(fast, d, &down);
}

static void permission_refused(struct tp_fast *fast)
{
	fast->refused++;
	fast->holdoff = FULL_HOLDOFF;
}

static void permission_new(struct tp_fast *fast, struct tp_turn_permission *perm)
{
	struct fast_permission *fp = calloc(1, sizeof(*fp));

	if (fp == NULL || permission_open_up(fast, &fp->up, perm) < 0) {
		permission_refused(fast);
		free(fp);
		return;
	}
	perm->fast = fp;
	port_take(fast, perm->relay, perm->relay_local.port);
}

/* A flow towards the client would send as Data what a channel without flow has to carry. */
static void permission_update_down(
		struct tp_fast *fast, struct direction *d, const struct tp_turn_permission *perm)
{
	if (perm->has_slow_channel)
		direction_close(fast, d);
	else if (d->flow != NULL)
		tp_flow_set_deadline(d->flow, perm->deadline_ns);
	else if (fast->holdoff == 0 && permission_open_down(fast, d, perm) < 0)
		permission_refused(fast);
}

void tp_fast_permission_used(struct tp_fast *fast, struct tp_turn_permission *permission)
{
	struct fast_permission *fp;

	if (fast->conf.flows == NULL)
		return;
	if (fast->holdoff > 0)
		fast->holdoff--;
	if (permission->fast == NULL && fast->holdoff == 0)
		permission_new(fast, permission);
	fp = permission->fast;
	if (fp == NULL)
		return;
	tp_flow_set_deadline(fp->up.flow, permission->deadline_ns);
	permission_update_down(fast, &fp->down, permission);
}

void tp_fast_permission_cleared(struct tp_fast *fast, struct tp_turn_permission *permission)
{
	struct fast_permission *fp = permission->fast;

	port_give(fast, permission->relay, permission->relay_local.port);
	direction_close(fast, &fp->up);
	direction_close(fast, &fp->down);
	free(fp);
	permission->fast = NULL;
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
