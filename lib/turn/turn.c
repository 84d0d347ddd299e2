/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/turn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "turn/allocation.h"
#include "turn/relay.h"
#include "turn/relays.h"
#include "turn/request.h"
#include "wire/channel.h"

uint64_t tp_turn_hash_seed;

int tp_turn_new(const struct tp_turn_conf *conf, const struct tp_turn_ops *ops, void *ctx,
		struct tp_turn **out)
{
	struct tp_turn *turn;
	uint64_t seed[2];
	int rc;

	if (conf->realm == NULL || conf->realm[0] == 0 || conf->n_relays == 0 ||
			conf->port_min == 0 || conf->port_min > conf->port_max)
		return -EINVAL;
	turn = calloc(1, sizeof(*turn));
	if (turn == NULL)
		return -ENOMEM;
	*turn = (struct tp_turn){
		.ops = *ops,
		.ctx = ctx,
		.port_min = conf->port_min,
		.port_max = conf->port_max,
		.channel_max = conf->legacy_channels ? TP_CHANNEL_MAX_LEGACY : TP_CHANNEL_MAX,
		.max_allocations = conf->max_allocations,
		.max_channels = conf->max_channels,
		.default_is_listener = conf->default_is_listener,
		.legacy_attributes = conf->legacy_attributes,
		.icmp = { .per_sec = TP_TURN_ICMP_PER_SEC, .burst = TP_TURN_ICMP_BURST },
	};
	while (tp_turn_hash_seed == 0)
		ops->random(ctx, &tp_turn_hash_seed, sizeof(tp_turn_hash_seed));
	tp_allocations_init(turn);
	tp_peers_init(turn);
	tp_mobility_init(turn);
	ops->random(ctx, seed, sizeof(seed));
	rc = tp_policy_new(conf->deny, conf->n_deny, conf->allow, conf->n_allow, &turn->policy);
	if (rc == 0)
		rc = tp_auth_new(conf, &turn->auth);
	if (rc == 0)
		rc = tp_mobility_allow(turn, conf->mobility);
	if (rc == 0)
		rc = tp_redirect_init(&turn->redirect, conf);
	if (rc == 0)
		rc = tp_discovery_init(&turn->discovery, conf);
	if (rc == 0)
		rc = tp_turn_set_own(turn, conf->own, conf->n_own);
	if (rc == 0)
		rc = tp_relays_init(turn, conf);
	if (rc == 0)
		rc = tp_quota_new(conf->max_allocations, &turn->quota);
	if (rc == 0)
		rc = tp_flood_new(seed, &turn->flood);
	if (rc == 0)
		rc = tp_turn_set_limits(turn, &conf->limits);
	if (rc < 0) {
		tp_turn_free(turn);
		return rc;
	}
	*out = turn;
	return 0;
}

void tp_turn_free(struct tp_turn *turn)
{
	if (turn == NULL)
		return;
	tp_allocations_fini(turn);
	tp_peers_fini(turn);
	tp_relays_fini(turn);
	tp_quota_free(turn->quota);
	tp_flood_free(turn->flood);
	tp_mobility_fini(turn);
	tp_auth_free(turn->auth);
	tp_policy_free(turn->policy);
	tp_redirect_fini(&turn->redirect);
	tp_discovery_fini(&turn->discovery);
	tp_addr_index_fini(&turn->own);
	free(turn);
}

int tp_turn_reload(struct tp_turn *turn, const struct tp_turn_conf *conf)
{
	struct tp_redirect redirect = { .is_draining = turn->redirect.is_draining };
	const bool was_mobile = turn->mobility.is_allowed;
	struct tp_policy *policy = NULL;
	struct tp_auth *auth = NULL;
	int rc = tp_policy_new(conf->deny, conf->n_deny, conf->allow, conf->n_allow, &policy);

	if (rc == 0)
		rc = tp_auth_new(conf, &auth);
	if (rc == 0)
		rc = tp_redirect_init(&redirect, conf);
	if (rc == 0)
		rc = tp_quota_resize(turn->quota, conf->max_allocations);
	if (rc == 0)
		rc = tp_mobility_allow(turn, conf->mobility);
	if (rc == 0)
		rc = tp_turn_set_limits(turn, &conf->limits);
	if (rc < 0) {
		turn->mobility.is_allowed = was_mobile;
		tp_auth_free(auth);
		tp_policy_free(policy);
		tp_redirect_fini(&redirect);
		return rc;
	}
	/* From here on nothing fails. */
	tp_auth_inherit(auth, turn->auth);
	tp_auth_free(turn->auth);
	turn->auth = auth;
	tp_policy_free(turn->policy);
	turn->policy = policy;
	tp_redirect_fini(&turn->redirect);
	turn->redirect = redirect;
	turn->max_allocations = conf->max_allocations;
	turn->default_is_listener = conf->default_is_listener;
	turn->recheck_slot = 0;
	return 0;
}

bool tp_turn_recheck(struct tp_turn *turn, uint32_t n, struct tp_turn_forbidden *ended)
{
	for (; n > 0 && turn->recheck_slot < turn->n_slots; n--) {
		struct tp_allocation *alloc = turn->slots[turn->recheck_slot++];

		if (alloc != NULL)
			tp_peers_recheck(turn, alloc, ended);
	}
	return turn->recheck_slot < turn->n_slots;
}

static enum tp_slow_verdict from_client_stun(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_tuple *tuple, const struct tp_turn_packet *packet)
{
	struct tp_stun_msg msg;

	switch (tp_stun_decode(packet->data, packet->len, &msg)) {
	case TP_STUN_PARSE_OK:
		break;
	case TP_STUN_PARSE_NOT_STUN:
		return TP_SLOW_DROP_NOT_TURN;
	case TP_STUN_PARSE_MALFORMED:
		return TP_SLOW_DROP_MALFORMED;
	case TP_STUN_PARSE_FINGERPRINT:
		return TP_SLOW_DROP_FINGERPRINT;
	}
	if (msg.class == TP_STUN_REQUEST && msg.method == TP_STUN_BINDING)
		tp_discovery_understand(&turn->discovery, &tuple->server, &msg);
	if (msg.class == TP_STUN_REQUEST)
		return tp_request_answer(turn, now, tuple, &msg);
	if (msg.class != TP_STUN_INDICATION || msg.method != TP_STUN_SEND)
		return TP_SLOW_DROP_UNEXPECTED;
	/* RFC 8489 section 6.3.2. */
	if (msg.n_unknown > 0)
		return TP_SLOW_DROP_UNKNOWN_ATTR;
	return tp_relay_send(turn, now, tuple, &msg, &packet->meta);
}

enum tp_slow_verdict tp_turn_from_client(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_tuple *tuple, const struct tp_turn_packet *packet)
{
	/* What is due at this instant is over, whenever the timer would have been looked at. */
	tp_turn_expire(turn, now->mono_ns);
	if (packet->len == 0)
		return TP_SLOW_DROP_NOT_TURN;
	if (tp_channel_first_byte(packet->data[0]))
		return tp_relay_channel_data(turn, tuple, packet);
	return from_client_stun(turn, now, tuple, packet);
}

enum tp_slow_verdict tp_turn_from_peer(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_addr *relay_local, const struct tp_addr *peer,
		const struct tp_turn_packet *packet)
{
	int relay = tp_relay_of_local(turn, relay_local);
	struct tp_allocation *alloc;

	tp_turn_expire(turn, now->mono_ns);
	if (relay < 0)
		return TP_SLOW_DROP_NO_ALLOC;
	alloc = tp_allocation_of_port(turn, (uint32_t)relay, relay_local->port);
	if (alloc == NULL)
		return TP_SLOW_DROP_NO_ALLOC;
	return tp_relay_from_peer(turn, alloc, peer, packet);
}

enum tp_slow_verdict tp_turn_from_icmp(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_icmp_error *error)
{
	int relay = tp_relay_of_local(turn, &error->src);
	struct tp_allocation *alloc;

	tp_turn_expire(turn, now->mono_ns);
	if (relay < 0)
		return TP_SLOW_DROP_NO_ALLOC;
	alloc = tp_allocation_of_port(turn, (uint32_t)relay, error->src.port);
	if (alloc == NULL)
		return TP_SLOW_DROP_NO_ALLOC;
	return tp_relay_icmp(turn, now, alloc, error);
}

void tp_turn_drain(struct tp_turn *turn, bool is_draining)
{
	turn->redirect.is_draining = is_draining;
}

void tp_turn_count(const struct tp_turn *turn, struct tp_turn_counts *out)
{
	*out = turn->count;
	out->users = tp_quota_users(turn->quota);
}

uint64_t tp_turn_auth_count(const struct tp_turn *turn, enum tp_auth_result result)
{
	return turn->n_auth[result];
}

void tp_allocation_info(const struct tp_turn *turn, const struct tp_allocation *alloc,
		struct tp_allocation_info *out)
{
	*out = (struct tp_allocation_info){
		.tuple = &alloc->tuple,
		.username = alloc->username,
		.username_len = alloc->username_len,
		.account = alloc->account,
		.id = alloc->id,
		.n_permissions = alloc->n_permissions,
		.n_channels = alloc->n_channels,
		.created_ns = alloc->created_ns,
	};
	for (int i = 0; i < 2; i++) {
		if (!alloc->leg[i].is_present)
			continue;
		out->leg[i].is_present = true;
		out->leg[i].local = tp_leg_local(turn, &alloc->leg[i]);
		out->leg[i].external = tp_leg_external(turn, &alloc->leg[i]);
		out->leg[i].deadline_ns = alloc->leg[i].timer.due_ns;
	}
}

const struct tp_allocation *tp_turn_next_allocation(const struct tp_turn *turn, uint64_t *cursor)
{
	while (*cursor < turn->n_slots) {
		const struct tp_allocation *alloc = turn->slots[(*cursor)++];

		if (alloc != NULL)
			return alloc;
	}
	return NULL;
}

const struct tp_channel *tp_allocation_next_channel(const struct tp_turn *turn,
		const struct tp_allocation *alloc, const struct tp_channel *after,
		struct tp_turn_channel *out)
{
	const struct tp_channel *ch =
			after == NULL ? LIST_FIRST(&alloc->channels) : LIST_NEXT(after, of_alloc);

	if (ch != NULL)
		tp_channel_show(turn, ch, out);
	return ch;
}
