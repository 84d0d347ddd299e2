/* SPDX-License-Identifier: Apache-2.0 */
/* Which peers clients may reach: the policy, and what this host is itself. */
#include "turn/allocation.h"

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
