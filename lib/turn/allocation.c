/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/allocation.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct tp_addr tp_leg_local(const struct tp_turn *turn, const struct tp_leg *leg)
{
	return tp_addr_with_port(&turn->relays[leg->relay].addr.local, leg->port);
}

struct tp_addr tp_leg_external(const struct tp_turn *turn, const struct tp_leg *leg)
{
	return tp_addr_with_port(&turn->relays[leg->relay].addr.external, leg->port);
}

/* ---- tables ---- */

TP_TABLE_KEY(key_of_allocation, struct tp_allocation, tuple)

TP_TABLE_KEY(key_of_reservation, struct tp_reservation, token)

void tp_allocations_init(struct tp_turn *turn)
{
	turn->by_tuple = tp_table(key_of_allocation, offsetof(struct tp_allocation, by_tuple),
			tp_turn_hash_seed);
	turn->by_token = tp_table(key_of_reservation, offsetof(struct tp_reservation, by_token),
			tp_turn_hash_seed);
}

void tp_allocations_fini(struct tp_turn *turn)
{
	uint32_t i;

	for (i = 0; i < turn->n_slots; i++)
		if (turn->slots[i] != NULL)
			tp_allocation_end(turn, turn->slots[i], TP_TURN_END_SHUTDOWN);
	tp_turn_expire(turn, UINT64_MAX); /* reservations */
	assert(turn->by_tuple.n == 0 && turn->by_token.n == 0);
	tp_table_clear(&turn->by_tuple);
	tp_table_clear(&turn->by_token);
	tp_timers_fini(&turn->timers);
	free(turn->slots);
	free(turn->free_slots);
}

/* ---- allocations ---- */

struct tp_allocation *tp_allocation_find(struct tp_turn *turn, const struct tp_tuple *tuple)
{
	struct tp_allocation *alloc = tp_table_find(&turn->by_tuple, tuple, sizeof(*tuple));

	return alloc != NULL ? alloc : tp_mobility_find(turn, tuple);
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
		const struct tp_stun_value *username, const struct tp_key *key, uint64_t now_ns)
{
	struct tp_allocation *alloc = calloc(1, allocation_size(username->len));

	if (alloc == NULL)
		return NULL;
	alloc->user = tp_quota_take(turn->quota, username->data, username->len);
	if (alloc->user == NULL)
		goto err_alloc;
	if (reserve_slot(turn) < 0 || tp_timers_reserve(&turn->timers, 2) < 0)
		goto err_user;
	if (account_open(turn, alloc) < 0)
		goto err_timers;
	alloc->tuple = *tuple;
	tp_table_add(&turn->by_tuple, alloc);
	take_slot(turn, alloc);
	alloc->id = ++turn->next_id;
	alloc->created_ns = now_ns;
	alloc->key = *key;
	memcpy(alloc->username, username->data, username->len);
	alloc->username_len = username->len;
	for (uint8_t i = 0; i < 2; i++) {
		alloc->leg[i].at = i;
		alloc->leg[i].timer.kind = TP_TIMER_LEG;
	}
	turn->count.allocations++;
	alloc->is_known = tp_client_came(turn, &alloc->tuple);
	return alloc;

err_timers:
	tp_timers_unreserve(&turn->timers, 2);
err_user:
	tp_quota_give(turn->quota, alloc->user);
err_alloc:
	free(alloc);
	return NULL;
}

static void allocation_free(struct tp_turn *turn, struct tp_allocation *alloc)
{
	assert(LIST_EMPTY(&alloc->channels) && LIST_EMPTY(&alloc->permissions));
	tp_mobility_end(turn, alloc);
	tp_table_remove(&turn->by_tuple, alloc);
	tp_timers_unreserve(&turn->timers, 2);
	give_slot(turn, alloc);
	tp_quota_give(turn->quota, alloc->user);
	turn->count.allocations--;
	tp_client_left(turn, &alloc->tuple, alloc->is_known);
	account_close(turn, alloc);
	free(alloc->past);
	tp_secret_wipe(&alloc->key, sizeof(alloc->key));
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

/* ---- legs ---- */

void tp_leg_set_deadline(struct tp_turn *turn, struct tp_allocation *alloc, struct tp_leg *leg,
		uint64_t deadline_ns)
{
	assert(leg->is_present);
	tp_timer_set(&turn->timers, &leg->timer, deadline_ns);
	tp_peers_publish(turn, alloc, leg->at);
}

static void leg_close(struct tp_turn *turn, struct tp_allocation *alloc, struct tp_leg *leg)
{
	struct tp_relay *r = &turn->relays[leg->relay];

	tp_peers_forget(turn, alloc, leg->at);
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

/* ---- moves ---- */

void tp_allocation_move(
		struct tp_turn *turn, struct tp_allocation *alloc, const struct tp_tuple *tuple)
{
	tp_peers_hide(turn, alloc);
	tp_client_left(turn, &alloc->tuple, alloc->is_known);
	tp_table_remove(&turn->by_tuple, alloc);
	alloc->tuple = *tuple;
	tp_table_add(&turn->by_tuple, alloc);
	alloc->is_known = tp_client_came(turn, &alloc->tuple);
	/* Permissions are told again with their next indication, as at first. */
	for (unsigned at = 0; at < 2; at++)
		if (alloc->leg[at].is_present)
			tp_peers_publish(turn, alloc, at);
}

/* ---- reservations ---- */

struct tp_reservation *tp_reservation_new(struct tp_turn *turn, const struct tp_allocation *alloc,
		uint32_t relay, uint16_t port, uint64_t deadline_ns)
{
	struct tp_reservation *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	if (tp_timers_reserve(&turn->timers, 1) < 0)
		goto err_reservation;
	if (!tp_quota_reserve(alloc->user))
		goto err_timer;
	r->user = alloc->user;
	memcpy(r->token, alloc->token, TP_TOKEN_LEN);
	r->relay = relay;
	r->port = port;
	r->timer.kind = TP_TIMER_RESERVATION;
	tp_table_add(&turn->by_token, r);
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
	return tp_table_find(&turn->by_token, token, TP_TOKEN_LEN);
}

void tp_reservation_end(struct tp_turn *turn, struct tp_reservation *r, bool keep_port)
{
	if (!keep_port)
		tp_ports_give(turn->relays[r->relay].ports, r->port);
	tp_timer_cancel(&turn->timers, &r->timer);
	tp_timers_unreserve(&turn->timers, 1);
	tp_table_remove(&turn->by_token, r);
	tp_quota_unreserve(turn->quota, r->user);
	turn->count.reservations--;
	free(r);
}

/* ---- time ---- */

#define OWNER(timer, type) ((type *)(void *)((char *)(timer)-offsetof(type, timer)))

static void leg_expired(struct tp_turn *turn, struct tp_leg *leg)
{
	struct tp_allocation *alloc = tp_allocation_of_port(turn, leg->relay, leg->port);

	assert(alloc != NULL && &alloc->leg[leg->at] == leg);
	tp_leg_end(turn, alloc, leg, TP_TURN_END_EXPIRED);
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
			tp_permission_end(turn, OWNER(timer, struct tp_permission));
			break;
		case TP_TIMER_CHANNEL:
			tp_channel_end(turn, OWNER(timer, struct tp_channel));
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
