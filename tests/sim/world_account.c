/* SPDX-License-Identifier: Apache-2.0 */
/* Who pays for what is relayed, and who was allowed to reach whom. */
#include "world.h"

#include <errno.h>
#include <string.h>

uint32_t world_account(const struct world *w, const struct tp_tuple *tuple)
{
	for (uint32_t i = 1; i <= MODEL_ALLOCATIONS; i++)
		if (w->account[i].is_on && w->account[i].is_announced &&
				memcmp(&w->account[i].tuple, tuple, sizeof(*tuple)) == 0)
			return i;
	return 0;
}

bool world_is_account(const struct world *w, uint32_t account, const struct tp_tuple *tuple)
{
	/* On a move it is told of channels before it is told of the move. */
	if (w->want.is_arrival && memcmp(&w->want.moved_to, tuple, sizeof(*tuple)) == 0)
		tuple = &w->want.moved_from;
	return account > 0 && account <= MODEL_ALLOCATIONS && w->account[account].is_on &&
			memcmp(&w->account[account].tuple, tuple, sizeof(*tuple)) == 0;
}

static struct shadow_account *account_of(struct world *w, uint32_t account)
{
	if (account == 0 || account > MODEL_ALLOCATIONS || !w->account[account].is_on)
		sim_fail("account %u is not open", account);
	return &w->account[account];
}

int world_account_opened(void *ctx, uint32_t *account)
{
	struct world *w = ctx;
	uint32_t i = 1;

	world_event(w, 'n', 0);
	if (w->is_account_full && w->send_rc == 0) {
		w->is_account_full = false;
		w->is_fault = true;
		return -ENOSPC;
	}
	while (i <= MODEL_ALLOCATIONS && w->account[i].is_on)
		i++;
	if (i > MODEL_ALLOCATIONS)
		sim_fail("more than %d accounts", MODEL_ALLOCATIONS);
	w->account[i] = (struct shadow_account){ .is_on = true };
	*account = i;
	return 0;
}

void world_account_closed(void *ctx, uint32_t account)
{
	struct world *w = ctx;

	world_event(w, 'N', account);
	if (account_of(w, account)->is_announced)
		sim_fail("account %u was closed before its end was told", account);
	for (unsigned i = 0; i < WORLD_SHADOW; i++)
		if ((i < w->n_channel && w->channel[i].is_on &&
				    w->channel[i].told.account == account) ||
				(i < w->n_permission && w->permission[i].is_on &&
						w->permission[i].told.account == account))
			sim_fail("account %u was closed before its flows were", account);
	w->account[account].is_on = false;
}

bool world_admits(void *ctx, uint32_t account, bool is_up, size_t data_len,
		enum tp_family peer_family)
{
	struct world *w = ctx;

	account_of(w, account);
	if (data_len != w->want.len || (peer_family != TP_IPV4 && peer_family != TP_IPV6))
		sim_fail("asked to admit %zu bytes, not %zu", data_len, w->want.len);
	return !w->model.is_limited[is_up];
}

void world_relayed(void *ctx, uint32_t account, bool is_up, size_t data_len)
{
	struct world *w = ctx;

	account_of(w, account);
	if (w->n_relayed == 2)
		sim_fail("a datagram is paid three times");
	w->relayed[w->n_relayed++] = (struct world_relayed){ account, is_up, data_len };
}

/* Everybody who had a permission, each once. */
static void check_peers(const struct tp_allocation *alloc, const struct shadow_account *s)
{
	struct tp_addr is[WORLD_PEERS];
	uint32_t n = tp_allocation_peers(alloc, is, WORLD_PEERS);

	if (s->is_forgetful)
		return;
	if (n != s->n_peers)
		sim_fail("ended, and %u peers are told, not %u", n, s->n_peers);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = 0;

		while (k < n && !tp_addr_equal(&is[k], &s->peer[i]))
			k++;
		if (k == n)
			sim_fail("ended, and a peer is not told");
	}
}

void world_peers_past(void *ctx, const struct tp_allocation *alloc, const struct tp_addr peers[],
		uint32_t n)
{
	struct world *w = ctx;
	struct tp_allocation_info info;

	world_event(w, 'q', n);
	if (n > TP_TURN_PAST_PEERS || peers[0].family == 0)
		sim_fail("told of %u peers", n);
	tp_allocation_info(w->turn, alloc, &info);
	account_of(w, info.account)->is_forgetful = true; /* some may come again */
}

void world_account_announced(struct world *w, const struct tp_allocation *alloc)
{
	struct tp_allocation_info info;
	struct shadow_account *s;

	tp_allocation_info(w->turn, alloc, &info);
	s = account_of(w, info.account);
	s->is_announced = true;
	s->tuple = *info.tuple;
}

void world_account_ended(struct world *w, const struct tp_allocation *alloc)
{
	struct tp_allocation_info info;

	tp_allocation_info(w->turn, alloc, &info);
	check_peers(alloc, account_of(w, info.account));
	w->account[info.account].is_announced = false;
}

void world_moved(void *ctx, const struct tp_allocation *alloc, const struct tp_tuple *from)
{
	struct world *w = ctx;
	struct tp_allocation_info info;
	struct shadow_account *s;

	world_event(w, 'm', 0);
	tp_allocation_info(w->turn, alloc, &info);
	s = account_of(w, info.account);
	if (!w->want.is_arrival || memcmp(from, &w->want.moved_from, sizeof(*from)) != 0 ||
			memcmp(info.tuple, &w->want.moved_to, sizeof(*from)) != 0 ||
			memcmp(&s->tuple, from, sizeof(*from)) != 0)
		sim_fail("told of a move that is none, or of another");
	for (unsigned i = 0; i < WORLD_SHADOW; i++)
		if ((i < w->n_channel && w->channel[i].is_on &&
				    memcmp(&w->channel[i].told.tuple, from, sizeof(*from)) == 0) ||
				(i < w->n_permission && w->permission[i].is_on &&
						memcmp(&w->permission[i].told.tuple, from,
								sizeof(*from)) == 0))
			sim_fail("moved, and a flow was not");
	s->tuple = *info.tuple;
	w->want.is_arrival = false;
	w->n_arrivals++;
}
