/* SPDX-License-Identifier: Apache-2.0 */
/* Which peers clients may reach: the policy, and what this host is itself. */
#include "turn/allocation.h"

int tp_relay_of_external(const struct tp_turn *turn, const struct tp_addr *addr)
{
	return tp_addr_index_find(&turn->by_external, addr);
}

int tp_relay_of_local(const struct tp_turn *turn, const struct tp_addr *addr)
{
	return tp_addr_index_find(&turn->by_local, addr);
}

int tp_turn_set_own(struct tp_turn *turn, const struct tp_addr own[], uint32_t n)
{
	struct tp_addr_index index;
	int rc = tp_addr_index_init(&index, own, sizeof(*own), n);

	if (rc < 0)
		return rc;
	tp_addr_index_fini(&turn->own);
	turn->own = index;
	turn->recheck_slot = 0;
	return 0;
}

/* This host is reached by its relayed ports and not otherwise. */
static bool is_own(const struct tp_turn *turn, const struct tp_addr *peer, bool has_port)
{
	if (tp_relay_of_external(turn, peer) >= 0)
		return has_port && (peer->port < turn->port_min || peer->port > turn->port_max);
	return tp_addr_index_find(&turn->own, peer) >= 0;
}

bool tp_peer_allowed(const struct tp_turn *turn, const struct tp_addr *peer, bool has_port)
{
	struct tp_addr inner[TP_POLICY_EMBEDDED_MAX];
	unsigned n;

	if (is_own(turn, peer, has_port))
		return false;
	n = tp_policy_embedded(peer, inner);
	for (unsigned i = 0; i < n; i++)
		if (is_own(turn, &inner[i], has_port))
			return false;
	return tp_relay_of_external(turn, peer) >= 0 || tp_policy_allows(turn->policy, peer);
}
