/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that follow their client: RFC 8016. */
#include "model.h"

#include "base/clock.h"
#include "turn/mobility.h"

#include <stdlib.h>
#include <string.h>

static bool same_tuple(const struct tp_tuple *a, const struct tp_tuple *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* ---- tickets: whatever we were seen to give, and nothing else ---- */

static struct model_ticket *find(const struct model *m, struct ref_value ticket)
{
	struct model_ticket *t = NULL;

	if (ticket.len > 0)
		HASH_FIND(hh, m->tickets, ticket.data, ticket.len, t);
	return t;
}

void model_forget_tickets(struct model *m)
{
	struct model_ticket *t, *next;

	HASH_ITER (hh, m->tickets, t, next) {
		HASH_DEL(m->tickets, t);
		free(t);
	}
}

struct model_allocation *model_ticket(
		struct model *m, const struct model_want *want, bool *is_ours, uint16_t *serial)
{
	const struct model_ticket *t = find(m, ref_get(&want->msg, REF_MOBILITY_TICKET, 0));

	*is_ours = t != NULL;
	for (unsigned i = 0; t != NULL && i < MODEL_ALLOCATIONS; i++) {
		*serial = t->serial;
		if (m->alloc[i].is_on && m->alloc[i].id == t->id)
			return &m->alloc[i];
	}
	return NULL;
}

void model_judge_ticket(
		struct model *m, const struct model_allocation *a, const struct ref_msg *answer)
{
	struct ref_value ticket = ref_get(answer, REF_MOBILITY_TICKET, 0);
	struct model_ticket *t = find(m, ticket);

	if (a == NULL || !a->is_mobile) {
		if (ticket.data != NULL)
			sim_fail("a ticket where none was asked for");
		return;
	}
	if (ticket.len == 0 || ticket.len > MODEL_TICKET_LEN)
		sim_fail("a ticket of %zu bytes", ticket.len);
	if (t != NULL && (t->id != a->id || t->serial != a->serial))
		sim_fail("a ticket that was good for something else");
	if (t != NULL)
		return;
	t = calloc(1, sizeof(*t));
	t->id = a->id;
	t->serial = a->serial;
	memcpy(t->text, ticket.data, ticket.len);
	HASH_ADD_KEYPTR(hh, m->tickets, t->text, ticket.len, t);
}

/* ---- moves ---- */

static bool will_arrive(const struct model_want *want, const struct model_allocation *a)
{
	return a->is_moving && !same_tuple(&a->tuple, want->tuple);
}

static void expect_arrival(struct model_want *want, const struct model_allocation *a)
{
	want->is_arrival = true;
	want->moved_from = a->tuple;
	want->moved_to = a->next;
}

/* Section 3.2.2. */
unsigned model_check_ticket(struct model *m, struct model_want *want)
{
	const struct model_allocation *a = want->alloc, *other;
	bool is_ours;
	uint16_t serial = 0;

	model_ticket(m, want, &is_ours, &serial);
	if ((uint16_t)(serial + 1) == a->serial && m->now.mono_ns < a->old_until_ns &&
			memcmp(a->moved_tid, want->msg.tid, 12) == 0 &&
			same_tuple(&a->moved_by, want->tuple))
		return 0;
	/* Spent; or there is nowhere to move from. */
	if (serial != a->serial || same_tuple(a->is_moving ? &a->next : &a->tuple, want->tuple))
		return 400;
	other = model_find(m, want->tuple);
	if (other != NULL && other != a)
		return 437;
	want->is_move = true;
	if (will_arrive(want, a))
		expect_arrival(want, a);
	return 0;
}

static void complete(struct model *m, struct model_allocation *a)
{
	a->tuple = a->next;
	a->is_moving = false;
	m->count.moved = ++m->n_moved;
}

void model_arrive(struct model *m, struct model_want *want, struct model_allocation *a)
{
	if (!will_arrive(want, a))
		return;
	expect_arrival(want, a);
	complete(m, a);
}

/* Who spends the next ticket was where the one before it was spent. */
void model_move(struct model *m, struct model_want *want)
{
	struct model_allocation *a = want->alloc;

	if (same_tuple(&a->tuple, want->tuple)) {
		a->is_moving = false;
		return;
	}
	if (a->is_moving)
		complete(m, a);
	a->next = *want->tuple;
	a->is_moving = true;
}
