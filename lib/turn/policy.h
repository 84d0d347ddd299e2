/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy - which peer addresses a client may reach.
 *
 * Of all prefixes of both lists that hold an address, the longest decides; the same prefix in both
 * is allowed; what none holds is allowed.  So an exception can have exceptions: allow 10.1.0.0/16,
 * deny 10.1.0.53/32.
 *
 * A peer passes when every address it stands for passes: itself, and the IPv4 addresses embedded
 * in it (NAT64, ISATAP), so that no notation slips past the lists.  Whatever the lists say,
 * v4-mapped, v4-compatible and v4-translated addresses, 6to4 and Teredo (RFC 8656 section 21.4:
 * MUST NOT), multicast and unspecified addresses never pass.
 *
 * The lists become disjoint ranges, sorted, each with its verdict: a lookup is a binary search, 15
 * steps for 10,000 prefixes.  Rejected: a trie, which is more code for lookups that only requests
 * make.
 *
 * Threads: immutable after tp_policy_new().  A change is another policy.
 */
#ifndef TP_TURN_POLICY_H
#define TP_TURN_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define TP_POLICY_EMBEDDED_MAX 4

struct tp_policy;

/**
 * The lists are copied, and may hold what they hold in any order, twice or nested.
 *
 * @param[out] out  released with tp_policy_free()
 * @return 0 or -ENOMEM
 */
int tp_policy_new(const struct tp_prefix deny[], uint32_t n_deny, const struct tp_prefix allow[],
		uint32_t n_allow, struct tp_policy **out);
void tp_policy_free(struct tp_policy *policy);

/**
 * The IPv4 addresses that an IPv6 address stands for: NAT64's well-known prefix (RFC 6052) and the
 * one for local use (RFC 8215), whose prefix length is not known, so that all readings count; and
 * ISATAP (RFC 5214).  Another notation of a host must not be another host.
 *
 * @param[out] inner  with the peer's port
 * @return how many
 */
unsigned tp_policy_embedded(
		const struct tp_addr *peer, struct tp_addr inner[TP_POLICY_EMBEDDED_MAX]);

/** May a client reach this peer?  The port plays no part. */
bool tp_policy_allows(const struct tp_policy *policy, const struct tp_addr *peer);

#endif
