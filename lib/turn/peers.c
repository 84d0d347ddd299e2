/* SPDX-License-Identifier: Apache-2.0 */
/* Permissions and channels (RFC 8656 sections 9 to 12): what an allocation may talk to. */
#include "turn/allocation.h"

#include <assert.h>
#include <stdlib.h>

/* ---- tables ---- */

TP_TABLE_KEY(key_of_permission, struct tp_permission, key)

TP_TABLE_KEY(key_of_number, struct tp_channel, number_key)

TP_TABLE_KEY(key_of_peer, struct tp_channel, peer_key)

void tp_peers_init(struct tp_turn *turn)
{
	turn->by_ip = tp_table(key_of_permission, offsetof(struct tp_permission, by_ip),
			tp_turn_hash_seed);
	turn->by_number = tp_table(
			key_of_number, offsetof(struct tp_channel, by_number), tp_turn_hash_seed);
	turn->by_peer = tp_table(
			key_of_peer, offsetof(struct tp_channel, by_peer), tp_turn_hash_seed);
}

void tp_peers_fini(struct tp_turn *turn)
{
	assert(turn->by_ip.n == 0 && turn->by_number.n == 0 && turn->by_peer.n == 0);
	tp_table_clear(&turn->by_ip);
	tp_table_clear(&turn->by_number);
	tp_table_clear(&turn->by_peer);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- the fast path's view ---- */

/* The local notation of a peer, which is not the external one where it is a relay address. */
static struct tp_addr peer_local(
		const struct tp_turn *turn, const struct tp_addr *peer, bool *is_hairpin)
{
	int other = tp_relay_of_external(turn, peer);

	*is_hairpin = other >= 0;
	return other < 0 ? *peer : tp_addr_with_port(&turn->relays[other].addr.local, peer->port);
}

static bool has_slow_channel(const struct tp_permission *perm)
{
	const struct tp_channel *ch;

	LIST_FOREACH (ch, &perm->channels, of_perm)
		if (ch->fast == NULL)
			return true;
	return false;
}

static void permission_tell(struct tp_turn *turn, struct tp_permission *perm,
		void (*event)(void *ctx, struct tp_turn_permission *permission))
{
	const struct tp_leg *leg = &perm->alloc->leg[tp_leg_at(perm->key.ip.family)];
	struct tp_turn_permission pub = {
		.account = perm->alloc->account,
		.tuple = perm->alloc->tuple,
		.relay_local = tp_leg_local(turn, leg),
		.relay_external = tp_leg_external(turn, leg),
		.relay = leg->relay,
		.peer = perm->key.ip,
		.deadline_ns = min_u64(leg->timer.due_ns, perm->timer.due_ns),
		.has_slow_channel = has_slow_channel(perm),
		.fast = perm->fast,
	};

	assert(leg->is_present);
	pub.peer_local = peer_local(turn, &pub.peer, &pub.is_hairpin);
	event(turn->ctx, &pub);
	perm->fast = pub.fast;
}

void tp_permission_use(struct tp_turn *turn, struct tp_permission *perm)
{
	permission_tell(turn, perm, turn->ops.permission_used);
}

/* Its deadline moved, or a channel came or went. */
static void permission_changed(struct tp_turn *turn, struct tp_permission *perm)
{
	if (perm->fast != NULL)
		permission_tell(turn, perm, turn->ops.permission_used);
}

/* ---- channels ---- */

void tp_channel_show(const struct tp_turn *turn, const struct tp_channel *ch,
		struct tp_turn_channel *out)
{
	const struct tp_addr *peer = &ch->peer_key.ip;
	const struct tp_leg *leg = &ch->alloc->leg[tp_leg_at(peer->family)];
	/* Both deadlines follow from the leg's, the channel's and the permission's. */
	uint64_t up_ns = min_u64(leg->timer.due_ns, ch->timer.due_ns);

	assert(leg->is_present);
	*out = (struct tp_turn_channel){
		.number = (uint16_t)ch->number_key.number,
		.account = ch->alloc->account,
		.tuple = ch->alloc->tuple,
		.relay_local = tp_leg_local(turn, leg),
		.relay_external = tp_leg_external(turn, leg),
		.relay = leg->relay,
		.peer = *peer,
		.up_deadline_ns = up_ns,
		.down_deadline_ns = tp_permission_in_force(ch->perm)
				? min_u64(up_ns, ch->perm->timer.due_ns)
				: 0,
		.fast = ch->fast,
	};
	out->peer_local = peer_local(turn, peer, &out->is_hairpin);
}

static void channel_tell(struct tp_turn *turn, struct tp_channel *ch,
		void (*event)(void *ctx, struct tp_turn_channel *channel))
{
	struct tp_turn_channel pub;

	tp_channel_show(turn, ch, &pub);
	event(turn->ctx, &pub);
	ch->fast = pub.fast;
}

static void channel_publish(struct tp_turn *turn, struct tp_channel *ch)
{
	assert(ch->timer.place != 0);
	channel_tell(turn, ch, turn->ops.channel_set);
	if (ch->fast == NULL)
		permission_changed(turn, ch->perm);
}

struct tp_channel *tp_channel_by_number(
		struct tp_turn *turn, const struct tp_allocation *alloc, uint16_t number)
{
	const struct tp_channel_number_key key = { alloc->id, number };

	return tp_table_find(&turn->by_number, &key, sizeof(key));
}

struct tp_channel *tp_channel_by_peer(
		struct tp_turn *turn, const struct tp_allocation *alloc, const struct tp_addr *peer)
{
	const struct tp_permission_key key = { alloc->id, *peer, 0 };

	return tp_table_find(&turn->by_peer, &key, sizeof(key));
}

struct tp_channel *tp_channel_new(struct tp_turn *turn, struct tp_allocation *alloc,
		uint16_t number, const struct tp_addr *peer, struct tp_permission *perm)
{
	struct tp_channel *ch;

	ch = calloc(1, sizeof(*ch));
	if (ch == NULL)
		return NULL;
	if (tp_timers_reserve(&turn->timers, 1) < 0) {
		free(ch);
		return NULL;
	}
	ch->alloc = alloc;
	ch->timer.kind = TP_TIMER_CHANNEL;
	ch->number_key = (struct tp_channel_number_key){ alloc->id, number };
	ch->peer_key = (struct tp_permission_key){ alloc->id, *peer, 0 };
	tp_table_add(&turn->by_number, ch);
	tp_table_add(&turn->by_peer, ch);
	ch->perm = perm;
	LIST_INSERT_HEAD(&alloc->channels, ch, of_alloc);
	LIST_INSERT_HEAD(&perm->channels, ch, of_perm);
	alloc->n_channels++;
	turn->count.channels++;
	return ch;
}

void tp_channel_set_deadline(struct tp_turn *turn, struct tp_channel *channel, uint64_t deadline_ns)
{
	tp_timer_set(&turn->timers, &channel->timer, deadline_ns);
	channel_publish(turn, channel);
}

/* ---- permissions ---- */

static struct tp_permission *permission_get(
		struct tp_turn *turn, const struct tp_allocation *alloc, const struct tp_addr *peer)
{
	const struct tp_permission_key key = { alloc->id, tp_addr_ip_only(peer), 0 };

	return tp_table_find(&turn->by_ip, &key, sizeof(key));
}

struct tp_permission *tp_permission_find(
		struct tp_turn *turn, const struct tp_allocation *alloc, const struct tp_addr *peer)
{
	struct tp_permission *perm = permission_get(turn, alloc, peer);

	return perm != NULL && tp_permission_in_force(perm) ? perm : NULL;
}

static struct tp_permission *permission_new(
		struct tp_turn *turn, struct tp_allocation *alloc, const struct tp_addr *peer)
{
	struct tp_permission *perm;

	perm = calloc(1, sizeof(*perm));
	if (perm == NULL)
		return NULL;
	if (tp_timers_reserve(&turn->timers, 1) < 0) {
		free(perm);
		return NULL;
	}
	perm->key = (struct tp_permission_key){ alloc->id, tp_addr_ip_only(peer), 0 };
	perm->timer.kind = TP_TIMER_PERMISSION;
	perm->alloc = alloc;
	tp_table_add(&turn->by_ip, perm);
	LIST_INSERT_HEAD(&alloc->permissions, perm, of_alloc);
	return perm;
}

struct tp_permission *tp_permission_set(struct tp_turn *turn, struct tp_allocation *alloc,
		const struct tp_addr *peer, uint64_t deadline_ns)
{
	struct tp_permission *perm = permission_get(turn, alloc, peer);
	struct tp_channel *ch;

	if (perm == NULL)
		perm = permission_new(turn, alloc, peer);
	if (perm == NULL)
		return NULL;
	if (!tp_permission_in_force(perm)) {
		alloc->n_permissions++;
		turn->count.permissions++;
	}
	tp_timer_set(&turn->timers, &perm->timer, deadline_ns);
	permission_changed(turn, perm);
	LIST_FOREACH (ch, &perm->channels, of_perm)
		channel_publish(turn, ch);
	return perm;
}

static void permission_lapse(struct tp_turn *turn, struct tp_permission *perm)
{
	if (perm->fast != NULL)
		permission_tell(turn, perm, turn->ops.permission_cleared);
	assert(perm->fast == NULL);
	tp_timer_cancel(&turn->timers, &perm->timer);
	perm->alloc->n_permissions--;
	turn->count.permissions--;
}

/* Free it once it is neither in force nor needed by a channel. */
static void permission_drop(struct tp_turn *turn, struct tp_permission *perm)
{
	if (tp_permission_in_force(perm) || !LIST_EMPTY(&perm->channels))
		return;
	tp_past_add(turn, perm->alloc, &perm->key.ip);
	tp_table_remove(&turn->by_ip, perm);
	LIST_REMOVE(perm, of_alloc);
	tp_timers_unreserve(&turn->timers, 1);
	free(perm);
}

void tp_channel_end(struct tp_turn *turn, struct tp_channel *ch)
{
	struct tp_permission *perm = ch->perm;
	bool was_slow = ch->fast == NULL;

	channel_tell(turn, ch, turn->ops.channel_cleared);
	tp_timer_cancel(&turn->timers, &ch->timer);
	tp_timers_unreserve(&turn->timers, 1);
	tp_table_remove(&turn->by_number, ch);
	tp_table_remove(&turn->by_peer, ch);
	LIST_REMOVE(ch, of_alloc);
	LIST_REMOVE(ch, of_perm);
	ch->alloc->n_channels--;
	turn->count.channels--;
	free(ch);
	if (was_slow)
		permission_changed(turn, perm);
	permission_drop(turn, perm);
}

void tp_permission_end(struct tp_turn *turn, struct tp_permission *perm)
{
	permission_lapse(turn, perm);
	permission_drop(turn, perm);
}

/* ---- all of a leg's ---- */

void tp_peers_hide(struct tp_turn *turn, struct tp_allocation *alloc)
{
	struct tp_permission *perm;
	struct tp_channel *ch;

	/* Permissions first: their flow to the client must not see what a channel has to carry. */
	LIST_FOREACH (perm, &alloc->permissions, of_alloc)
		if (perm->fast != NULL)
			permission_tell(turn, perm, turn->ops.permission_cleared);
	LIST_FOREACH (ch, &alloc->channels, of_alloc)
		channel_tell(turn, ch, turn->ops.channel_cleared);
}

void tp_peers_publish(struct tp_turn *turn, struct tp_allocation *alloc, unsigned at)
{
	struct tp_permission *perm;
	struct tp_channel *ch;

	LIST_FOREACH (perm, &alloc->permissions, of_alloc)
		if (tp_leg_at(perm->key.ip.family) == at)
			permission_changed(turn, perm);
	LIST_FOREACH (ch, &alloc->channels, of_alloc)
		if (tp_leg_at(ch->peer_key.ip.family) == at)
			channel_publish(turn, ch);
}

void tp_peers_forget(struct tp_turn *turn, struct tp_allocation *alloc, unsigned at)
{
	struct tp_channel *ch, *next_ch;
	struct tp_permission *perm, *next_perm;

	for (ch = LIST_FIRST(&alloc->channels); ch != NULL; ch = next_ch) {
		next_ch = LIST_NEXT(ch, of_alloc);
		if (tp_leg_at(ch->peer_key.ip.family) == at)
			tp_channel_end(turn, ch);
	}
	for (perm = LIST_FIRST(&alloc->permissions); perm != NULL; perm = next_perm) {
		next_perm = LIST_NEXT(perm, of_alloc);
		if (tp_leg_at(perm->key.ip.family) == at)
			tp_permission_end(turn, perm);
	}
}

void tp_peers_recheck(
		struct tp_turn *turn, struct tp_allocation *alloc, struct tp_turn_forbidden *ended)
{
	struct tp_channel *ch, *next_ch;
	struct tp_permission *perm, *next_perm;

	for (ch = LIST_FIRST(&alloc->channels); ch != NULL; ch = next_ch) {
		next_ch = LIST_NEXT(ch, of_alloc);
		if (tp_peer_allowed(turn, &ch->peer_key.ip, true))
			continue;
		tp_channel_end(turn, ch);
		ended->channels++;
	}
	/* What has no force only waits for its channels, which are allowed or gone. */
	for (perm = LIST_FIRST(&alloc->permissions); perm != NULL; perm = next_perm) {
		next_perm = LIST_NEXT(perm, of_alloc);
		if (!tp_permission_in_force(perm) || tp_peer_allowed(turn, &perm->key.ip, false))
			continue;
		tp_permission_end(turn, perm);
		ended->permissions++;
	}
}
