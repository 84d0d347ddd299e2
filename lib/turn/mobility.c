/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/mobility.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "turn/allocation.h"
#include "wire/be.h"

struct tp_mobile {
	uint64_t id;
	struct tp_allocation *alloc;
	uint16_t serial;              /* of the ticket that is good */
	uint64_t old_until_ns;        /* the one before it is known until then */
	uint8_t tid[TP_STUN_TID_LEN]; /* of the Refresh that spent that one, ... */
	struct tp_tuple came_by;      /* ... and its five-tuple */
	struct tp_tuple next;         /* while alloc->is_moving */
	bool is_next_known;           /* ops.client_came took it */
	struct tp_link by_id, by_next;
};

TP_TABLE_KEY(key_of_id, struct tp_mobile, id)

TP_TABLE_KEY(key_of_next, struct tp_mobile, next)

void tp_mobility_init(struct tp_turn *turn)
{
	turn->mobility.by_id =
			tp_table(key_of_id, offsetof(struct tp_mobile, by_id), tp_turn_hash_seed);
	turn->mobility.by_next = tp_table(
			key_of_next, offsetof(struct tp_mobile, by_next), tp_turn_hash_seed);
}

int tp_mobility_allow(struct tp_turn *turn, bool is_allowed)
{
	uint8_t key[TP_SEAL_KEY_LEN];
	int rc = 0;

	if (is_allowed && turn->mobility.seal == NULL) {
		turn->ops.random(turn->ctx, key, sizeof(key));
		rc = tp_seal_new(key, &turn->mobility.seal);
		tp_secret_wipe(key, sizeof(key));
	}
	if (rc == 0)
		turn->mobility.is_allowed = is_allowed;
	return rc;
}

void tp_mobility_fini(struct tp_turn *turn)
{
	assert(turn->mobility.by_id.n == 0 && turn->mobility.by_next.n == 0);
	tp_table_clear(&turn->mobility.by_id);
	tp_table_clear(&turn->mobility.by_next);
	tp_seal_free(turn->mobility.seal);
}

static struct tp_mobile *mobile_of(const struct tp_turn *turn, uint64_t id)
{
	return tp_table_find(&turn->mobility.by_id, &id, sizeof(id));
}

struct tp_allocation *tp_mobility_find(struct tp_turn *turn, const struct tp_tuple *tuple)
{
	const struct tp_mobile *m = tp_table_find(&turn->mobility.by_next, tuple, sizeof(*tuple));

	return m != NULL ? m->alloc : NULL;
}

int tp_mobility_start(struct tp_turn *turn, struct tp_allocation *alloc)
{
	struct tp_mobile *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	m->id = alloc->id;
	m->alloc = alloc;
	m->serial = 1;
	tp_table_add(&turn->mobility.by_id, m);
	alloc->is_mobile = true;
	turn->count.mobile++;
	return 0;
}

static void stop_moving(struct tp_turn *turn, struct tp_mobile *m)
{
	if (!m->alloc->is_moving)
		return;
	tp_table_remove(&turn->mobility.by_next, m);
	m->alloc->is_moving = false;
	tp_client_left(turn, &m->next, m->is_next_known);
}

void tp_mobility_end(struct tp_turn *turn, struct tp_allocation *alloc)
{
	struct tp_mobile *m = alloc->is_mobile ? mobile_of(turn, alloc->id) : NULL;

	if (m == NULL)
		return;
	stop_moving(turn, m);
	tp_table_remove(&turn->mobility.by_id, m);
	free(m);
	turn->count.mobile--;
}

/* The text of a ticket: 48 bits of the allocation's id, 16 of how many tickets it had. */
static void write_text(uint8_t text[TP_SEAL_TEXT_LEN], uint64_t id, uint16_t serial)
{
	tp_be16_put(text, (uint16_t)(id >> 32));
	tp_be32_put(text + 2, (uint32_t)id);
	tp_be16_put(text + 6, serial);
}

int tp_mobility_ticket(const struct tp_turn *turn, const struct tp_allocation *alloc,
		uint8_t out[TP_TICKET_LEN])
{
	uint8_t text[TP_SEAL_TEXT_LEN];

	write_text(text, alloc->id, mobile_of(turn, alloc->id)->serial);
	return tp_seal_close(turn->mobility.seal, text, out);
}

struct tp_mobility_claim tp_mobility_open(struct tp_turn *turn, const struct tp_stun_value *ticket)
{
	struct tp_mobility_claim claim = { 0 };
	uint8_t text[TP_SEAL_TEXT_LEN];
	struct tp_mobile *m;

	if (ticket->len != TP_TICKET_LEN || !tp_seal_open(turn->mobility.seal, ticket->data, text))
		return claim;
	m = mobile_of(turn, (uint64_t)tp_be16_get(text) << 32 | tp_be32_get(text + 2));
	claim.is_valid = true;
	claim.serial = tp_be16_get(text + 6);
	claim.alloc = m != NULL ? m->alloc : NULL;
	return claim;
}

static bool same_tuple(const struct tp_tuple *a, const struct tp_tuple *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Where the client was last known to be. */
static const struct tp_tuple *latest(const struct tp_mobile *m)
{
	return m->alloc->is_moving ? &m->next : &m->alloc->tuple;
}

enum tp_stun_err tp_mobility_check(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_tuple *tuple, const struct tp_mobility_claim *claim,
		const uint8_t tid[TP_STUN_TID_LEN], bool *is_again)
{
	const struct tp_mobile *m = mobile_of(turn, claim->alloc->id);
	const struct tp_allocation *other;

	*is_again = (uint16_t)(claim->serial + 1) == m->serial && now->mono_ns < m->old_until_ns &&
			memcmp(m->tid, tid, TP_STUN_TID_LEN) == 0 && same_tuple(&m->came_by, tuple);
	if (*is_again)
		return TP_STUN_OK;
	/* Spent: it is good for retransmissions only. */
	if (claim->serial != m->serial || same_tuple(latest(m), tuple))
		return TP_STUN_BAD_REQUEST;
	/* RFC 8656 section 6: a five-tuple has one allocation. */
	other = tp_allocation_find(turn, tuple);
	return other == NULL || other == claim->alloc ? TP_STUN_OK : TP_STUN_ALLOCATION_MISMATCH;
}

/* The next five-tuple becomes the one that data goes to. */
static void complete(struct tp_turn *turn, struct tp_mobile *m)
{
	const struct tp_tuple from = m->alloc->tuple;

	stop_moving(turn, m);
	tp_allocation_move(turn, m->alloc, &m->next);
	turn->count.moved++;
	if (turn->ops.moved != NULL)
		turn->ops.moved(turn->ctx, m->alloc, &from);
}

void tp_mobility_prepare(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_tuple *tuple, struct tp_allocation *alloc,
		const uint8_t tid[TP_STUN_TID_LEN])
{
	struct tp_mobile *m = mobile_of(turn, alloc->id);

	if (same_tuple(&alloc->tuple, tuple)) {
		/* It went, sent no data, and is back: nothing to move. */
		stop_moving(turn, m);
	} else {
		/* What it sent from where it was may still be in the hands of a worker. */
		if (alloc->is_moving)
			complete(turn, m);
		m->next = *tuple;
		tp_table_add(&turn->mobility.by_next, m);
		alloc->is_moving = true;
		m->is_next_known = tp_client_came(turn, &m->next);
	}
	m->serial++;
	m->old_until_ns = now->mono_ns + TP_MOBILITY_OLD_SEC * TP_NS_PER_SEC;
	m->came_by = *tuple;
	memcpy(m->tid, tid, TP_STUN_TID_LEN);
}

void tp_mobility_arrive(
		struct tp_turn *turn, struct tp_allocation *alloc, const struct tp_tuple *tuple)
{
	if (alloc->is_moving && !same_tuple(&alloc->tuple, tuple))
		complete(turn, mobile_of(turn, alloc->id));
}
