/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/policy.h"

#include <errno.h>
#include <stdlib.h>

/* IPv6 prefixes that are never a peer, whatever the lists say. */
static const struct {
	uint8_t prefix[12];
	uint8_t bytes;
} refused[] = {
	{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 12 }, /* v4-mapped */
	{ { 0 }, 12 },                                        /* v4-compatible, with :: and ::1 */
	{ { 0x20, 0x02 }, 2 },                                /* 6to4 */
	{ { 0x20, 0x01, 0, 0 }, 4 },                          /* Teredo */
};

static int copy(struct tp_prefix **out, const struct tp_prefix in[], uint32_t n)
{
	*out = calloc(n ? n : 1, sizeof(**out));
	if (*out == NULL)
		return -ENOMEM;
	if (n > 0)
		memcpy(*out, in, n * sizeof(**out));
	return 0;
}

int tp_policy_init(struct tp_policy *policy, const struct tp_prefix deny[], uint32_t n_deny,
		const struct tp_prefix allow[], uint32_t n_allow)
{
	*policy = (struct tp_policy){ .n_deny = n_deny, .n_allow = n_allow };
	if (copy(&policy->deny, deny, n_deny) < 0 || copy(&policy->allow, allow, n_allow) < 0) {
		tp_policy_fini(policy);
		return -ENOMEM;
	}
	return 0;
}

void tp_policy_fini(struct tp_policy *policy)
{
	free(policy->deny);
	free(policy->allow);
	*policy = (struct tp_policy){ 0 };
}

static bool matches(const struct tp_prefix list[], uint32_t n, const struct tp_addr *a)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (tp_prefix_contains(&list[i], a))
			return true;
	return false;
}

static bool listed_ok(const struct tp_policy *policy, const struct tp_addr *a)
{
	return matches(policy->allow, policy->n_allow, a) ||
			!matches(policy->deny, policy->n_deny, a);
}

static bool is_refused(const struct tp_addr *a)
{
	unsigned i;

	if (a->family != TP_IPV6)
		return false;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (memcmp(a->ip, refused[i].prefix, refused[i].bytes) == 0)
			return true;
	return false;
}

/* Nothing can be sent to these as a unicast peer. */
static bool is_unusable(const struct tp_addr *a)
{
	static const uint8_t broadcast[4] = { 255, 255, 255, 255 };

	if (a->family == TP_IPV4)
		return a->ip[0] == 0 || (a->ip[0] & 0xf0) == 0xe0 ||
				memcmp(a->ip, broadcast, 4) == 0;
	return a->ip[0] == 0xff;
}

bool tp_policy_embedded(const struct tp_addr *peer, struct tp_addr *inner)
{
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b }; /* RFC 6052 */

	if (peer->family != TP_IPV6 || memcmp(peer->ip, nat64, sizeof(nat64)) != 0)
		return false;
	*inner = tp_addr_v4(peer->ip + 12, peer->port);
	return true;
}

bool tp_policy_allows(const struct tp_policy *policy, const struct tp_addr *peer)
{
	struct tp_addr inner;

	if (is_unusable(peer) || is_refused(peer) || !listed_ok(policy, peer))
		return false;
	if (!tp_policy_embedded(peer, &inner))
		return true;
	return !is_unusable(&inner) && listed_ok(policy, &inner);
}
