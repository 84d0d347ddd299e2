/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/allocation.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

uint64_t tp_turn_hash_seed;

unsigned tp_turn_hash(const void *key, size_t len)
{
	return (unsigned)XXH3_64bits_withSeed(key, len, tp_turn_hash_seed);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct tp_addr with_port(const struct tp_addr *ip, uint16_t port)
{
	struct tp_addr a = *ip;

	a.port = port;
	return a;
}

struct tp_addr tp_leg_local(const struct tp_turn *turn, const struct tp_leg *leg)
{
	return with_port(&turn->relays[leg->relay].addr.local, leg->port);
}

struct tp_addr tp_leg_external(const struct tp_turn *turn, const struct tp_leg *leg)
{
	return with_port(&turn->relays[leg->relay].addr.external, leg->port);
}

/* ---- allocations ---- */

struct tp_allocation *tp_allocation_find(struct tp_turn *turn, const struct tp_tuple *tuple)
{
	struct tp_allocation *alloc;

	HASH_FIND(hh, turn->allocations, tuple, sizeof(*tuple), alloc);
	return alloc;
}

struct tp_allocation *tp_allocation_of_port(
		const struct tp_turn *turn, uint32_t relay, uint16_t port)
{
	if (port < turn->port_min || port > turn->port_max)
		return NULL;
	return turn->relays[relay].by_port[port - turn->port_min];
}

/* Room for one more slot, so that taking it can not fail. */
static int reserve_slot(struct tp_turn *turn)
{
	uint32_t room = turn->room_slots ? turn->room_slots * 2 : 64;
	struct tp_allocation **slots;
	uint32_t *free_slots;

	if (turn->n_free_slots > 0 || turn->n_slots < turn->room_slots)
		return 0;
	slots = realloc(turn->slots, room * sizeof(struct tp_allocation *));
	if (slots == NULL)
		return -1;
	turn->slots = slots;
	free_slots = realloc(turn->free_slots, room * sizeof(*free_slots));
	if (free_slots == NULL)
		return -1;
	turn->free_slots = free_slots;
	turn->room_slots = room;
	return 0;
}

static void take_slot(struct tp_turn *turn, struct tp_allocation *alloc)
{
	if (turn->n_free_slots > 0)
		alloc->slot = turn->free_slots[--turn->n_free_slots];
	else
		alloc->slot = turn->n_slots++;
	turn->slots[alloc->slot] = alloc;
}

static void give_slot(struct tp_turn *turn, const struct tp_allocation *alloc)
{
	turn->slots[alloc->slot] = NULL;
	turn->free_slots[turn->n_free_slots++] = alloc->slot;
}

/* Not less than the struct, which is copied nowhere but has padding at its end. */
static size_t allocation_size(size_t username_len)
{
	size_t size = offsetof(struct tp_allocation, username) + username_len + 1;

	return size > sizeof(struct tp_allocation) ? size : sizeof(struct tp_allocation);
}

static int account_open(struct tp_turn *turn, struct tp_allocation *alloc)
{
	if (turn->ops.account_opened == NULL)
		return 0;
	return turn->ops.account_opened(turn->ctx, &alloc->account);
}

static void account_close(struct tp_turn *turn, const struct tp_allocation *alloc)
{
	if (turn->ops.account_closed != NULL)
		turn->ops.account_closed(turn->ctx, alloc->account);
}

struct tp_allocation *tp_allocation_new(struct tp_turn *turn, const struct tp_tuple *tuple,
		const struct tp_stun_value *username, const uint8_t key[TP_KEY_MD5_LEN],
		uint64_t now_ns)
{
	struct tp_allocation *alloc = calloc(1, allocation_size(username->len));

	if (alloc == NULL)
		return NULL;
	if (reserve_slot(turn) < 0 || tp_timers_reserve(&turn->timers, 2) < 0)
		goto err_alloc;
	alloc->tuple = *tuple;
	HASH_ADD(hh, turn->allocations, tuple, sizeof(*tuple), alloc);
	if (alloc->hh.tbl == NULL)
		goto err_timers;
	if (account_open(turn, alloc) < 0)
		goto err_hash;
	take_slot(turn, alloc);
	alloc->id = ++turn->next_id;
	alloc->created_ns = now_ns;
	memcpy(alloc->key, key, sizeof(alloc->key));
	memcpy(alloc->username, username->data, username->len);
	alloc->username_len = username->len;
	for (uint8_t i = 0; i < 2; i++) {
		alloc->leg[i].at = i;
		alloc->leg[i].timer.kind = TP_TIMER_LEG;
	}
	turn->count.allocations++;
	return alloc;

err_hash:
	HASH_DELETE(hh, turn->allocations, alloc);
err_timers:
	tp_timers_unreserve(&turn->timers, 2);
err_alloc:
	free(alloc);
	return NULL;
}

static void allocation_free(struct tp_turn *turn, struct tp_allocation *alloc)
{
	assert(LIST_EMPTY(&alloc->channels) && LIST_EMPTY(&alloc->permissions));
	HASH_DELETE(hh, turn->allocations, alloc);
	tp_timers_unreserve(&turn->timers, 2);
	give_slot(turn, alloc);
	turn->count.allocations--;
	account_close(turn, alloc);
	free(alloc->past);
	tp_secret_wipe(alloc->key, sizeof(alloc->key));
	free(alloc);
}

void tp_allocation_add_leg(struct tp_turn *turn, struct tp_allocation *alloc, uint32_t relay,
		uint16_t port, uint64_t deadline_ns)
{
	struct tp_relay *r = &turn->relays[relay];
	struct tp_leg *leg = &alloc->leg[tp_leg_at(r->addr.local.family)];

	assert(!leg->is_present && r->by_port[port - turn->port_min] == NULL);
	leg->is_present = true;
	leg->relay = relay;
	leg->port = port;
	tp_timer_set(&turn->timers, &leg->timer, deadline_ns);
	r->by_port[port - turn->port_min] = alloc;
	turn->count.ports++;
	turn->ops.port_opened(turn->ctx, relay, port);
}

void tp_allocation_announce(struct tp_turn *turn, struct tp_allocation *alloc)
{
	alloc->is_announced = true;
	if (turn->ops.allocated != NULL)
		turn->ops.allocated(turn->ctx, alloc);
}

static void announce_end(struct tp_turn *turn, struct tp_allocation *alloc, enum tp_turn_end why)
{
	if (alloc->is_announced && turn->ops.ended != NULL)
		turn->ops.ended(turn->ctx, alloc, why);
	alloc->is_announced = false;
}

/* ---- the fast path's view ---- */

/* The local notation of a peer, which is not the external one where it is a relay address. */
static struct tp_addr peer_local(
		const struct tp_turn *turn, const struct tp_addr *peer, bool *is_hairpin)
{
	int other = tp_relay_of_external(turn, peer);

	*is_hairpin = other >= 0;
	return other < 0 ? *peer : with_port(&turn->relays[other].addr.local, peer->port);
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
	struct tp_channel *ch;

	HASH_FIND(by_number, turn->by_number, &key, sizeof(key), ch);
	return ch;
}

struct tp_channel *tp_channel_by_peer(
		struct tp_turn *turn, const struct tp_allocation *alloc, const struct tp_addr *peer)
{
	const struct tp_permission_key key = { alloc->id, *peer, 0 };
	struct tp_channel *ch;

	HASH_FIND(by_peer, turn->by_peer, &key, sizeof(key), ch);
	return ch;
}

struct tp_channel *tp_channel_new(struct tp_turn *turn, struct tp_allocation *alloc,
		uint16_t number, const struct tp_addr *peer, struct tp_permission *perm)
{
	struct tp_channel *ch;

	if (turn->count.channels >= turn->max_channels)
		return NULL;
	ch = calloc(1, sizeof(*ch));
	if (ch == NULL)
		return NULL;
	if (tp_timers_reserve(&turn->timers, 1) < 0)
		goto err_channel;
	ch->alloc = alloc;
	ch->timer.kind = TP_TIMER_CHANNEL;
	ch->number_key = (struct tp_channel_number_key){ alloc->id, number };
	ch->peer_key = (struct tp_permission_key){ alloc->id, *peer, 0 };
	HASH_ADD(by_number, turn->by_number, number_key, sizeof(ch->number_key), ch);
	if (ch->by_number.tbl == NULL)
		goto err_timer;
	HASH_ADD(by_peer, turn->by_peer, peer_key, sizeof(ch->peer_key), ch);
	if (ch->by_peer.tbl == NULL)
		goto err_number;
	ch->perm = perm;
	LIST_INSERT_HEAD(&alloc->channels, ch, of_alloc);
	LIST_INSERT_HEAD(&perm->channels, ch, of_perm);
	alloc->n_channels++;
	turn->count.channels++;
	return ch;

err_number:
	HASH_DELETE(by_number, turn->by_number, ch);
err_timer:
	tp_timers_unreserve(&turn->timers, 1);
err_channel:
	free(ch);
	return NULL;
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
	struct tp_permission *perm;

	HASH_FIND(hh, turn->permissions, &key, sizeof(key), perm);
	return perm;
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

	if (alloc->n_permissions >= TP_PERMISSIONS_MAX)
		return NULL;
	perm = calloc(1, sizeof(*perm));
	if (perm == NULL)
		return NULL;
	if (tp_timers_reserve(&turn->timers, 1) < 0)
		goto err_perm;
	perm->key = (struct tp_permission_key){ alloc->id, tp_addr_ip_only(peer), 0 };
	perm->timer.kind = TP_TIMER_PERMISSION;
	perm->alloc = alloc;
	HASH_ADD(hh, turn->permissions, key, sizeof(perm->key), perm);
	if (perm->hh.tbl == NULL)
		goto err_timer;
	LIST_INSERT_HEAD(&alloc->permissions, perm, of_alloc);
	return perm;

err_timer:
	tp_timers_unreserve(&turn->timers, 1);
err_perm:
	free(perm);
	return NULL;
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
	HASH_DELETE(hh, turn->permissions, perm);
	LIST_REMOVE(perm, of_alloc);
	tp_timers_unreserve(&turn->timers, 1);
	free(perm);
}

static void channel_end(struct tp_turn *turn, struct tp_channel *ch)
{
	struct tp_permission *perm = ch->perm;
	bool was_slow = ch->fast == NULL;

	channel_tell(turn, ch, turn->ops.channel_cleared);
	tp_timer_cancel(&turn->timers, &ch->timer);
	tp_timers_unreserve(&turn->timers, 1);
	HASH_DELETE(by_number, turn->by_number, ch);
	HASH_DELETE(by_peer, turn->by_peer, ch);
	LIST_REMOVE(ch, of_alloc);
	LIST_REMOVE(ch, of_perm);
	ch->alloc->n_channels--;
	turn->count.channels--;
	free(ch);
	if (was_slow)
		permission_changed(turn, perm);
	permission_drop(turn, perm);
}

/* ---- legs ---- */

void tp_leg_set_deadline(struct tp_turn *turn, struct tp_allocation *alloc, struct tp_leg *leg,
		uint64_t deadline_ns)
{
	struct tp_permission *perm;
	struct tp_channel *ch;

	assert(leg->is_present);
	tp_timer_set(&turn->timers, &leg->timer, deadline_ns);
	LIST_FOREACH (perm, &alloc->permissions, of_alloc)
		if (tp_leg_at(perm->key.ip.family) == leg->at)
			permission_changed(turn, perm);
	LIST_FOREACH (ch, &alloc->channels, of_alloc)
		if (tp_leg_at(ch->peer_key.ip.family) == leg->at)
			channel_publish(turn, ch);
}

static void leg_forget_peers(struct tp_turn *turn, struct tp_allocation *alloc, unsigned at)
{
	struct tp_channel *ch, *next_ch;
	struct tp_permission *perm, *next_perm;

	for (ch = LIST_FIRST(&alloc->channels); ch != NULL; ch = next_ch) {
		next_ch = LIST_NEXT(ch, of_alloc);
		if (tp_leg_at(ch->peer_key.ip.family) == at)
			channel_end(turn, ch);
	}
	for (perm = LIST_FIRST(&alloc->permissions); perm != NULL; perm = next_perm) {
		next_perm = LIST_NEXT(perm, of_alloc);
		if (tp_leg_at(perm->key.ip.family) != at)
			continue;
		permission_lapse(turn, perm);
		permission_drop(turn, perm);
	}
}

static void leg_close(struct tp_turn *turn, struct tp_allocation *alloc, struct tp_leg *leg)
{
	struct tp_relay *r = &turn->relays[leg->relay];

	leg_forget_peers(turn, alloc, leg->at);
	tp_timer_cancel(&turn->timers, &leg->timer);
	leg->is_present = false;
	r->by_port[leg->port - turn->port_min] = NULL;
	tp_ports_give(r->ports, leg->port);
	turn->count.ports--;
	turn->ops.port_closed(turn->ctx, leg->relay, leg->port);
}

bool tp_leg_end(struct tp_turn *turn, struct tp_allocation *alloc, struct tp_leg *leg,
		enum tp_turn_end why)
{
	bool is_last = !alloc->leg[!leg->at].is_present;

	assert(leg->is_present);
	if (is_last)
		announce_end(turn, alloc, why);
	leg_close(turn, alloc, leg);
	if (is_last)
		allocation_free(turn, alloc);
	return is_last;
}

void tp_allocation_end(struct tp_turn *turn, struct tp_allocation *alloc, enum tp_turn_end why)
{
	announce_end(turn, alloc, why);
	for (int i = 0; i < 2; i++)
		if (alloc->leg[i].is_present)
			leg_close(turn, alloc, &alloc->leg[i]);
	allocation_free(turn, alloc);
}

/* ---- reservations ---- */

struct tp_reservation *tp_reservation_new(struct tp_turn *turn, const uint8_t token[TP_TOKEN_LEN],
		uint32_t relay, uint16_t port, uint64_t deadline_ns)
{
	struct tp_reservation *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	if (tp_timers_reserve(&turn->timers, 1) < 0)
		goto err_reservation;
	memcpy(r->token, token, TP_TOKEN_LEN);
	r->relay = relay;
	r->port = port;
	r->timer.kind = TP_TIMER_RESERVATION;
	HASH_ADD(hh, turn->reservations, token, TP_TOKEN_LEN, r);
	if (r->hh.tbl == NULL)
		goto err_timer;
	tp_timer_set(&turn->timers, &r->timer, deadline_ns);
	turn->count.reservations++;
	return r;

err_timer:
	tp_timers_unreserve(&turn->timers, 1);
err_reservation:
	free(r);
	return NULL;
}

struct tp_reservation *tp_reservation_find(struct tp_turn *turn, const uint8_t *token)
{
	struct tp_reservation *r;

	HASH_FIND(hh, turn->reservations, token, TP_TOKEN_LEN, r);
	return r;
}

void tp_reservation_end(struct tp_turn *turn, struct tp_reservation *r, bool keep_port)
{
	if (!keep_port)
		tp_ports_give(turn->relays[r->relay].ports, r->port);
	tp_timer_cancel(&turn->timers, &r->timer);
	tp_timers_unreserve(&turn->timers, 1);
	HASH_DELETE(hh, turn->reservations, r);
	turn->count.reservations--;
	free(r);
}

/* ---- peers ---- */

int tp_relay_of_external(const struct tp_turn *turn, const struct tp_addr *addr)
{
	for (uint32_t i = 0; i < turn->n_relays; i++)
		if (tp_addr_same_ip(&turn->relays[i].addr.external, addr))
			return (int)i;
	return -1;
}

/* This host is reached by its relayed ports and not otherwise. */
static bool is_own(const struct tp_turn *turn, const struct tp_addr *peer, bool has_port)
{
	if (tp_relay_of_external(turn, peer) >= 0)
		return has_port && (peer->port < turn->port_min || peer->port > turn->port_max);
	for (uint32_t i = 0; i < turn->n_own; i++)
		if (tp_addr_same_ip(&turn->own[i], peer))
			return true;
	return false;
}

bool tp_peer_allowed(const struct tp_turn *turn, const struct tp_addr *peer, bool has_port)
{
	struct tp_addr inner;

	if (is_own(turn, peer, has_port))
		return false;
	if (tp_policy_embedded(peer, &inner) && is_own(turn, &inner, has_port))
		return false;
	return tp_relay_of_external(turn, peer) >= 0 || tp_policy_allows(&turn->policy, peer);
}

/* ---- time ---- */

#define OWNER(timer, type) ((type *)(void *)((char *)(timer)-offsetof(type, timer)))

static void leg_expired(struct tp_turn *turn, struct tp_leg *leg)
{
	struct tp_allocation *alloc = tp_allocation_of_port(turn, leg->relay, leg->port);

	assert(alloc != NULL && &alloc->leg[leg->at] == leg);
	tp_leg_end(turn, alloc, leg, TP_TURN_END_EXPIRED);
}

static void permission_expired(struct tp_turn *turn, struct tp_permission *perm)
{
	permission_lapse(turn, perm);
	permission_drop(turn, perm);
}

void tp_turn_expire(struct tp_turn *turn, uint64_t now_ns)
{
	struct tp_timer *timer;

	while ((timer = tp_timers_pop(&turn->timers, now_ns)) != NULL) {
		switch ((enum tp_timer_kind)timer->kind) {
		case TP_TIMER_LEG:
			leg_expired(turn, OWNER(timer, struct tp_leg));
			break;
		case TP_TIMER_PERMISSION:
			permission_expired(turn, OWNER(timer, struct tp_permission));
			break;
		case TP_TIMER_CHANNEL:
			channel_end(turn, OWNER(timer, struct tp_channel));
			break;
		case TP_TIMER_RESERVATION:
			tp_reservation_end(turn, OWNER(timer, struct tp_reservation), false);
			break;
		}
	}
}

uint64_t tp_turn_next_ns(const struct tp_turn *turn)
{
	return tp_timers_next_ns(&turn->timers);
}
