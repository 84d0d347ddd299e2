/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy - which peer addresses a client may reach.
 *
 * A peer passes when every address it stands for passes: itself, and the IPv4 address embedded in
 * NAT64's form, so that no notation slips past the list.  Whatever the lists say, v4-mapped and
 * v4-compatible addresses, 6to4 and Teredo (RFC 8656 section 21.4: MUST NOT), multicast and
 * unspecified addresses never pass.
 *
 * Threads: pure after tp_policy_init().
 */
#ifndef TP_TURN_POLICY_H
#define TP_TURN_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct tp_policy {
	struct tp_prefix *deny, *allow; /* allow wins */
	uint32_t n_deny, n_allow;
};

/** Copies the lists.  @return 0 or -ENOMEM */
int tp_policy_init(struct tp_policy *policy, const struct tp_prefix deny[], uint32_t n_deny,
		const struct tp_prefix allow[], uint32_t n_allow);
void tp_policy_fini(struct tp_policy *policy);

/**
 * Does an IPv6 address stand for an IPv4 one (NAT64's well-known prefix)?  Another notation of a
 * host must not be another host.
 *
 * @param[out] inner  with the peer's port; written only when true
 */
bool tp_policy_embedded(const struct tp_addr *peer, struct tp_addr *inner);

/** May a client reach this peer?  The port plays no part. */
bool tp_policy_allows(const struct tp_policy *policy, const struct tp_addr *peer);

#endif
