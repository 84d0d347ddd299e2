/* SPDX-License-Identifier: Apache-2.0 */
/* CreatePermission (RFC 8656 section 10.2) and ChannelBind (section 12.2). */
#include "turn/limits.h"
#include "turn/request_private.h"

#include "wire/channel.h"

static enum tp_stun_err check_peer(
		const struct tp_request *rq, const struct tp_addr *peer, bool has_port)
{
	if (!rq->alloc->leg[tp_leg_at(peer->family)].is_present)
		return TP_STUN_PEER_FAMILY_MISMATCH;
	if (!tp_peer_allowed(rq->turn, peer, has_port))
		return TP_STUN_FORBIDDEN;
	return TP_STUN_OK;
}

/*
 * The peers of a request that have no permission yet.  One that is named twice counts once, as long
 * as there are no more than a request in one packet has room for.
 */
struct new_peers {
	uint32_t n, n_known;
	struct tp_addr known[128];
};

static void note_new(struct new_peers *new, const struct tp_addr *peer)
{
	for (uint32_t i = 0; i < new->n_known; i++)
		if (tp_addr_same_ip(&new->known[i], peer))
			return;
	if (new->n_known < sizeof(new->known) / sizeof(new->known[0]))
		new->known[new->n_known++] = *peer;
	new->n++;
}

/* All addresses are good before any permission is touched. */
static enum tp_stun_err check_permissions(struct tp_request *rq)
{
	struct tp_stun_value value;
	struct tp_addr peer;
	struct tp_limits_ask ask = { 0 };
	struct new_peers new;
	uint32_t n = 0;
	size_t pos = 0;

	while (tp_stun_next(rq->msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value)) {
		if (tp_stun_xor_addr_value(rq->msg, &value, &peer) < 0)
			return TP_STUN_BAD_REQUEST;
		n++;
	}
	if (n == 0)
		return TP_STUN_BAD_REQUEST;
	pos = 0;
	new.n = new.n_known = 0;
	while (tp_stun_next(rq->msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value)) {
		enum tp_stun_err err;

		tp_stun_xor_addr_value(rq->msg, &value, &peer);
		err = check_peer(rq, &peer, false);
		if (err != TP_STUN_OK)
			return err;
		if (tp_permission_find(rq->turn, rq->alloc, &peer) == NULL)
			note_new(&new, &peer);
	}
	ask.peers = ask.permissions = new.n;
	return tp_limits_peers(rq->turn, rq->alloc, &ask, rq->now->mono_ns);
}

static enum tp_slow_verdict refuse_memory(struct tp_request *rq)
{
	return tp_request_refuse(rq, tp_limits_refuse(rq->turn, TP_TURN_REFUSED_MEMORY));
}

enum tp_slow_verdict tp_request_create_permission(struct tp_request *rq)
{
	uint64_t deadline = tp_request_deadline_ns(rq, TP_TURN_PERMISSION_SEC);
	enum tp_stun_err err = check_permissions(rq);
	struct tp_stun_value value;
	struct tp_addr peer;
	size_t pos = 0;

	if (err != TP_STUN_OK)
		return tp_request_refuse(rq, err);
	while (tp_stun_next(rq->msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value)) {
		tp_stun_xor_addr_value(rq->msg, &value, &peer);
		/* Fails only without memory; those installed so far run out by themselves. */
		if (tp_permission_set(rq->turn, rq->alloc, &peer, deadline) == NULL)
			return refuse_memory(rq);
	}
	tp_request_begin(rq, TP_STUN_SUCCESS);
	return tp_request_finish(rq);
}

static enum tp_stun_err check_channel(struct tp_request *rq, uint16_t *number, struct tp_addr *peer,
		struct tp_channel **out)
{
	struct tp_channel *by_number, *by_peer;
	struct tp_limits_ask ask;
	enum tp_stun_err err;

	if (tp_stun_get_channel(rq->msg, number) < 0 ||
			tp_stun_get_xor_addr(rq->msg, TP_STUN_XOR_PEER_ADDRESS_AT, peer) < 0)
		return TP_STUN_BAD_REQUEST;
	if (*number < TP_CHANNEL_MIN || *number > rq->turn->channel_max || peer->port == 0)
		return TP_STUN_BAD_REQUEST;
	by_number = tp_channel_by_number(rq->turn, rq->alloc, *number);
	by_peer = tp_channel_by_peer(rq->turn, rq->alloc, peer);
	if (by_number != by_peer)
		return TP_STUN_BAD_REQUEST;
	*out = by_number;
	err = check_peer(rq, peer, true);
	if (err != TP_STUN_OK)
		return err;
	ask.permissions = tp_permission_find(rq->turn, rq->alloc, peer) == NULL;
	ask.channels = by_number == NULL;
	ask.peers = ask.permissions | ask.channels;
	return tp_limits_peers(rq->turn, rq->alloc, &ask, rq->now->mono_ns);
}

enum tp_slow_verdict tp_request_channel_bind(struct tp_request *rq)
{
	struct tp_turn *turn = rq->turn;
	struct tp_channel *ch = NULL;
	struct tp_permission *perm;
	struct tp_addr peer;
	uint16_t number;
	enum tp_stun_err err = check_channel(rq, &number, &peer, &ch);

	if (err != TP_STUN_OK)
		return tp_request_refuse(rq, err);
	perm = tp_permission_set(
			turn, rq->alloc, &peer, tp_request_deadline_ns(rq, TP_TURN_PERMISSION_SEC));
	if (perm != NULL && ch == NULL)
		ch = tp_channel_new(turn, rq->alloc, number, &peer, perm);
	if (perm == NULL || ch == NULL)
		return refuse_memory(rq);
	/* Published to every worker before the answer is sent. */
	tp_channel_set_deadline(turn, ch, tp_request_deadline_ns(rq, TP_TURN_CHANNEL_SEC));
	tp_request_begin(rq, TP_STUN_SUCCESS);
	return tp_request_finish(rq);
}
