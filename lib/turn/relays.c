/* SPDX-License-Identifier: Apache-2.0 */
/* The relay addresses of this host: their ports, and which of them an allocation gets. */
#include "turn/relays.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static int relay_init(struct tp_turn *turn, struct tp_relay *r, const struct tp_turn_relay *addr)
{
	size_t n_ports = (size_t)turn->port_max - turn->port_min + 1;
	int rc;

	*r = (struct tp_relay){ .addr = *addr, .is_here = true };
	r->by_port = calloc(n_ports, sizeof(struct tp_allocation *));
	if (r->by_port == NULL)
		return -ENOMEM;
	rc = tp_ports_new(turn->port_min, turn->port_max, &r->ports);
	if (rc < 0)
		free(r->by_port);
	return rc;
}

/* The ones of each family that can be used now. */
static void list_usable(struct tp_turn *turn)
{
	turn->n_usable[0] = turn->n_usable[1] = 0;
	for (uint32_t i = 0; i < turn->n_relays; i++) {
		const struct tp_relay *r = &turn->relays[i];
		unsigned at = tp_leg_at(r->addr.local.family);

		if (r->is_here)
			turn->usable[at][turn->n_usable[at]++] = i;
	}
}

int tp_relays_init(struct tp_turn *turn, const struct tp_turn_conf *conf)
{
	const struct tp_turn_relay *from = conf->relays;
	uint32_t n = conf->n_relays;
	int rc = 0;

	turn->relays = calloc(n, sizeof(*turn->relays));
	turn->usable[0] = calloc(n, sizeof(*turn->usable[0]));
	turn->usable[1] = calloc(n, sizeof(*turn->usable[1]));
	if (turn->relays == NULL || turn->usable[0] == NULL || turn->usable[1] == NULL)
		return -ENOMEM;
	for (; turn->n_relays < n && rc == 0; turn->n_relays += rc == 0)
		rc = relay_init(turn, &turn->relays[turn->n_relays], &from[turn->n_relays]);
	if (rc == 0)
		rc = tp_addr_index_init(&turn->by_local, &from->local, sizeof(*from), n);
	if (rc == 0)
		rc = tp_addr_index_init(&turn->by_external, &from->external, sizeof(*from), n);
	if (rc == 0)
		list_usable(turn);
	return rc;
}

void tp_relays_fini(struct tp_turn *turn)
{
	for (uint32_t i = 0; i < turn->n_relays; i++) {
		tp_ports_free(turn->relays[i].ports);
		free(turn->relays[i].by_port);
	}
	tp_addr_index_fini(&turn->by_local);
	tp_addr_index_fini(&turn->by_external);
	free(turn->usable[0]);
	free(turn->usable[1]);
	free(turn->relays);
}

bool tp_relays_support(const struct tp_turn *turn, unsigned at)
{
	for (uint32_t i = 0; i < turn->n_relays; i++)
		if (tp_leg_at(turn->relays[i].addr.local.family) == at)
			return true;
	return false;
}

static int take(struct tp_relay *r, uint32_t random, bool is_even, bool with_next)
{
	return is_even ? tp_ports_take_even(r->ports, random, with_next)
		       : tp_ports_take(r->ports, random);
}

/*
 * Of two at random the one with more free ports: nearly as even as looking at all of them, and
 * still not to be foreseen.  When it has no port that will do, the others are asked in turn.
 */
int tp_relays_take_port(
		struct tp_turn *turn, unsigned at, bool is_even, bool with_next, uint32_t *relay)
{
	const uint32_t *usable = turn->usable[at], n = turn->n_usable[at];
	uint32_t random[3], first, second;

	if (n == 0)
		return -ENOSPC;
	turn->ops.random(turn->ctx, random, sizeof(random));
	first = random[0] % n;
	second = random[1] % n;
	if (tp_ports_left(turn->relays[usable[second]].ports) >
			tp_ports_left(turn->relays[usable[first]].ports))
		first = second;
	for (uint32_t i = 0; i < n; i++) {
		int port;

		*relay = usable[(first + i) % n];
		port = take(&turn->relays[*relay], random[2], is_even, with_next);
		if (port >= 0)
			return port;
	}
	return -ENOSPC;
}

void tp_turn_set_relay_here(struct tp_turn *turn, uint32_t relay, bool is_here)
{
	assert(relay < turn->n_relays);
	if (turn->relays[relay].is_here == is_here)
		return;
	turn->relays[relay].is_here = is_here;
	list_usable(turn);
}

void tp_turn_relay_info(const struct tp_turn *turn, uint32_t relay, struct tp_turn_relay_info *out)
{
	const struct tp_relay *r = &turn->relays[relay];

	assert(relay < turn->n_relays);
	*out = (struct tp_turn_relay_info){
		.addr = r->addr,
		.is_here = r->is_here,
		.n_ports = (uint32_t)turn->port_max - turn->port_min + 1,
		.n_free = tp_ports_left(r->ports),
	};
}
