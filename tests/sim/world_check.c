/* SPDX-License-Identifier: Apache-2.0 */
/* The whole state at once: server, model and data path say the same. */
#include "world.h"

#include <string.h>

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- the server's view against the model's ---- */

static const struct model_permission *permission_of(
		const struct model_allocation *a, const struct tp_addr *peer)
{
	for (unsigned i = 0; i < a->n_permissions; i++)
		if (tp_addr_same_ip(&a->permission[i].ip, peer))
			return &a->permission[i];
	return NULL;
}

/* Deadlines as RFC 8656 has them: up needs channel and leg, down the permission as well. */
static void check_deadlines(
		const struct world *w, struct model_allocation *a, const struct tp_turn_channel *ch)
{
	const struct model_channel *is = model_by_number(a, ch->number);
	const struct model_permission *p;
	uint64_t up;

	if (is == NULL || !tp_addr_equal(&is->peer, &ch->peer))
		sim_fail("channel %04x should not be there, or is another's", ch->number);
	up = min_u64(is->due_ns, a->leg[model_at(&ch->peer)].due_ns);
	if (ch->up_deadline_ns != up)
		sim_fail("channel %04x sends until %lu, not %lu", ch->number,
				(unsigned long)ch->up_deadline_ns, (unsigned long)up);
	p = permission_of(a, &ch->peer);
	if (p != NULL && ch->down_deadline_ns != min_u64(up, p->due_ns))
		sim_fail("channel %04x receives until %lu, not %lu", ch->number,
				(unsigned long)ch->down_deadline_ns,
				(unsigned long)min_u64(up, p->due_ns));
	if (p == NULL && ch->down_deadline_ns > w->now.mono_ns)
		sim_fail("channel %04x receives without a permission", ch->number);
}

static void check_channels(
		struct world *w, const struct tp_allocation *alloc, struct model_allocation *a)
{
	const struct tp_channel *ch = NULL;
	struct tp_turn_channel shown;
	unsigned n = 0;

	while ((ch = tp_allocation_next_channel(w->turn, alloc, ch, &shown)) != NULL) {
		const struct shadow_channel *s = world_shadow(w, &shown.tuple, shown.number);

		check_deadlines(w, a, &shown);
		if (s == NULL)
			sim_fail("channel %04x was never told", shown.number);
		if (shown.fast != (s->is_fast ? s : NULL))
			sim_fail("channel %04x has somebody else's flow", shown.number);
		n++;
	}
	if (n != a->n_channels)
		sim_fail("%u channels, not %u", n, a->n_channels);
}

static void check_allocation(
		struct world *w, const struct tp_allocation *alloc, struct model_allocation *a)
{
	struct tp_allocation_info info;

	tp_allocation_info(w->turn, alloc, &info);
	if (strcmp(info.username, a->name) != 0)
		sim_fail("the allocation is %s's, not %s's", info.username, a->name);
	if (info.n_permissions != a->n_permissions || info.n_channels != a->n_channels)
		sim_fail("%u permissions and %u channels, not %u and %u", info.n_permissions,
				info.n_channels, a->n_permissions, a->n_channels);
	for (unsigned at = 0; at < 2; at++) {
		const struct model_leg *leg = &a->leg[at];
		struct tp_addr external, local;

		if (info.leg[at].is_present != leg->is_on)
			sim_fail("a leg too many, or too few");
		if (!leg->is_on)
			continue;
		external = model_relayed(&w->model, leg, false);
		local = model_relayed(&w->model, leg, true);
		if (!tp_addr_equal(&info.leg[at].external, &external) ||
				!tp_addr_equal(&info.leg[at].local, &local))
			sim_fail("a leg moved");
		if (info.leg[at].deadline_ns != leg->due_ns)
			sim_fail("a leg lives until %lu, not %lu",
					(unsigned long)info.leg[at].deadline_ns,
					(unsigned long)leg->due_ns);
		if (w->is_open[leg->relay][leg->port] != 2)
			sim_fail("a leg whose port is closed, or was not announced");
	}
	check_channels(w, alloc, a);
}

static void check_counts(const struct world *w)
{
	const struct tp_turn_counts *want = &w->model.count;
	struct tp_turn_counts is;

	tp_turn_count(w->turn, &is);
	if (memcmp(&is, want, sizeof(is)) != 0)
		sim_fail("%u allocations %u permissions %u channels %u ports %u reservations "
			 "%u users %lu mobile %lu redirected %lu moved, "
			 "not %u %u %u %u %u %u %lu %lu %lu",
				is.allocations, is.permissions, is.channels, is.ports,
				is.reservations, is.users, (unsigned long)is.mobile,
				(unsigned long)is.redirected, (unsigned long)is.moved,
				want->allocations, want->permissions, want->channels, want->ports,
				want->reservations, want->users, (unsigned long)want->mobile,
				(unsigned long)want->redirected, (unsigned long)want->moved);
	if (w->n_open != is.ports)
		sim_fail("%u ports are open, not %u", w->n_open, is.ports);
	if (w->n_allocated - w->n_ended != is.allocations)
		sim_fail("allocated and ended are not a pair");
}

/* Who has an allocation, or is on the way to it, came and did not leave; nobody else did. */
static void check_clients(const struct world *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++) {
		const struct model_allocation *a = &w->model.alloc[i];

		if (!a->is_on)
			continue;
		if (world_client(w, &a->tuple) == w->n_clients ||
				(a->is_moving && world_client(w, &a->next) == w->n_clients))
			sim_fail("an allocation whose client is not known");
		n += a->is_moving ? 2 : 1;
	}
	if (n != w->n_clients)
		sim_fail("%u clients are known, not %u", w->n_clients, n);
}

/* What is neither open nor reserved is free. */
static void check_ports(const struct world *w)
{
	const struct model *m = &w->model;

	for (uint32_t relay = 0; relay < w->conf.n_relays; relay++) {
		struct tp_turn_relay_info info;
		uint32_t n = 0;

		tp_turn_relay_info(w->turn, relay, &info);
		for (unsigned i = 0; i < MODEL_ALLOCATIONS; i++)
			for (unsigned at = 0; m->alloc[i].is_on && at < 2; at++)
				n += m->alloc[i].leg[at].is_on &&
						m->alloc[i].leg[at].relay == relay;
		for (unsigned i = 0; i < MODEL_RESERVATIONS; i++)
			n += m->reservation[i].is_on && m->reservation[i].relay == relay;
		if (info.n_free + n != info.n_ports)
			sim_fail("%u of %u ports are free, and %u are used", info.n_free,
					info.n_ports, n);
	}
}

static void check_time(const struct world *w)
{
	uint64_t next = tp_turn_next_ns(w->turn), want = model_next_ns(&w->model);

	if (next != want)
		sim_fail("next is something to do at %lu, not %lu", (unsigned long)next,
				(unsigned long)want);
}

/* ---- the data path's view ---- */

/* What it would do with a packet now is what the server would do. */
static void check_shadow_channels(struct world *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->n_channel; i++) {
		const struct tp_turn_channel *told = &w->channel[i].told;
		struct model_allocation *a;

		if (!w->channel[i].is_on)
			continue;
		a = model_find(&w->model, &told->tuple);
		if (a == NULL)
			sim_fail("channel %04x is a flow, and its allocation is gone",
					told->number);
		check_deadlines(w, a, told);
		n++;
	}
	if (n != w->model.count.channels)
		sim_fail("%u channels were told, not %u", n, w->model.count.channels);
}

static void check_shadow_permissions(struct world *w)
{
	for (unsigned i = 0; i < w->n_permission; i++) {
		const struct tp_turn_permission *told = &w->permission[i].told;
		const struct model_permission *p;
		struct model_allocation *a;

		if (!w->permission[i].is_on)
			continue;
		a = model_find(&w->model, &told->tuple);
		p = a == NULL ? NULL : permission_of(a, &told->peer);
		if (p == NULL)
			sim_fail("a permission is a flow, and is gone");
		if (told->deadline_ns != min_u64(p->due_ns, a->leg[model_at(&told->peer)].due_ns))
			sim_fail("a permission's flow ends at another time");
		for (unsigned k = 0; k < w->n_channel && !told->has_slow_channel; k++)
			if (w->channel[k].is_on && !w->channel[k].is_fast &&
					tp_addr_same_ip(&w->channel[k].told.peer, &told->peer) &&
					memcmp(&w->channel[k].told.tuple, &told->tuple,
							sizeof(told->tuple)) == 0)
				sim_fail("a permission's flow hides a channel without one");
	}
}

void world_check(struct world *w)
{
	const struct tp_allocation *alloc;
	struct tp_allocation_info info;
	uint64_t cursor = 0;

	check_counts(w);
	check_time(w);
	check_clients(w);
	check_ports(w);
	while ((alloc = tp_turn_next_allocation(w->turn, &cursor)) != NULL) {
		struct model_allocation *a;

		tp_allocation_info(w->turn, alloc, &info);
		a = model_find(&w->model, info.tuple);
		if (a == NULL)
			sim_fail("an allocation that should not be there");
		check_allocation(w, alloc, a);
	}
	check_shadow_channels(w);
	check_shadow_permissions(w);
}
