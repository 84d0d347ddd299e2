/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/allocation.h"

#include <stdlib.h>

#define PAST_MIN 4

_Static_assert(TP_TURN_PAST_PEERS >= PAST_MIN, "room doubles from one to the other");

/* Room for one more address.  @return false: there is no memory */
static bool past_reserve(struct tp_allocation *alloc)
{
	struct tp_past_peers *past = alloc->past;
	uint32_t room = past == NULL ? PAST_MIN : past->room * 2;

	if (past != NULL && past->n < past->room)
		return true;
	past = realloc(past, sizeof(*past) + room * sizeof(past->ip[0]));
	if (past == NULL)
		return false;
	if (alloc->past == NULL)
		past->n = 0;
	past->room = room;
	alloc->past = past;
	return true;
}

static bool past_has(const struct tp_past_peers *past, const struct tp_addr *ip)
{
	for (uint32_t i = 0; past != NULL && i < past->n; i++)
		if (tp_addr_same_ip(&past->ip[i], ip))
			return true;
	return false;
}

void tp_past_add(struct tp_turn *turn, struct tp_allocation *alloc, const struct tp_addr *ip)
{
	struct tp_past_peers *past;

	if (!alloc->is_announced || turn->ops.peers_past == NULL || past_has(alloc->past, ip))
		return;
	if (!past_reserve(alloc)) {
		turn->ops.peers_past(turn->ctx, alloc, ip, 1);
		return;
	}
	past = alloc->past;
	past->ip[past->n++] = *ip;
	if (past->n < TP_TURN_PAST_PEERS)
		return;
	turn->ops.peers_past(turn->ctx, alloc, past->ip, past->n);
	past->n = 0;
}

uint32_t tp_allocation_peers(const struct tp_allocation *alloc, struct tp_addr out[], uint32_t max)
{
	const struct tp_past_peers *past = alloc->past;
	const struct tp_permission *perm;
	uint32_t n = 0;

	for (uint32_t i = 0; past != NULL && i < past->n; i++, n++)
		if (n < max)
			out[n] = past->ip[i];
	LIST_FOREACH (perm, &alloc->permissions, of_alloc) {
		if (past_has(past, &perm->key.ip))
			continue;
		if (n < max)
			out[n] = perm->key.ip;
		n++;
	}
	return n;
}
