/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/limits.h"

#include <assert.h>

static const char *const names[] = {
#define X(name, text, help) [TP_TURN_REFUSED_##name] = (text),
	TP_TURN_REFUSALS(X)
#undef X
};

const char *tp_turn_refusal_name(enum tp_turn_refusal why)
{
	assert(why < TP_TURN_REFUSAL_COUNT);
	return names[why];
}

const struct tp_turn_refused *tp_turn_refused(const struct tp_turn *turn)
{
	return &turn->refused;
}

int tp_turn_set_limits(struct tp_turn *turn, const struct tp_turn_limits *limits)
{
	int rc = tp_flood_set(turn->flood, limits->unauthenticated_per_source,
			limits->unauthenticated_total);

	if (rc == 0)
		turn->limits = *limits;
	return rc;
}

enum tp_stun_err tp_limits_refuse(struct tp_turn *turn, enum tp_turn_refusal why)
{
	turn->refused.why[why]++;
	return why == TP_TURN_REFUSED_USER_ALLOCATIONS ? TP_STUN_QUOTA_REACHED
						       : TP_STUN_INSUFFICIENT_CAPACITY;
}

enum tp_stun_err tp_limits_allocation(
		struct tp_turn *turn, const struct tp_stun_value *username, bool has_next)
{
	const struct tp_quota *quota = turn->quota;
	uint32_t most = turn->limits.allocations_per_user;

	if (most != 0 && tp_quota_of(quota, username->data, username->len) >= most)
		return tp_limits_refuse(turn, TP_TURN_REFUSED_USER_ALLOCATIONS);
	if (most != 0 && has_next &&
			tp_quota_reserved(quota, username->data, username->len) >= most)
		return tp_limits_refuse(turn, TP_TURN_REFUSED_USER_ALLOCATIONS);
	if (turn->count.allocations >= turn->max_allocations)
		return tp_limits_refuse(turn, TP_TURN_REFUSED_ALLOCATIONS);
	return TP_STUN_OK;
}

/* Is what is there and what is new more than the limit?  Nothing new never is. */
static bool is_beyond(uint32_t there, uint32_t new, uint32_t most)
{
	return most != 0 && new > 0 && (new > most || there > most - new);
}

static bool take_new_peers(const struct tp_turn *turn, struct tp_allocation *alloc, uint32_t n,
		uint64_t now_ns)
{
	uint32_t per_sec = turn->limits.new_peers_per_sec;

	return per_sec == 0 || n == 0 ||
			tp_bucket_take_at(&alloc->peers_full_ns, per_sec,
					per_sec * TP_TURN_NEW_PEERS_BURST_SEC, n, now_ns);
}

enum tp_stun_err tp_limits_peers(struct tp_turn *turn, struct tp_allocation *alloc,
		const struct tp_limits_ask *ask, uint64_t now_ns)
{
	const struct tp_turn_limits *limits = &turn->limits;

	if (is_beyond(alloc->n_permissions, ask->permissions, limits->permissions_per_allocation))
		return tp_limits_refuse(turn, TP_TURN_REFUSED_ALLOCATION_PERMISSIONS);
	if (is_beyond(alloc->n_channels, ask->channels, limits->channels_per_allocation))
		return tp_limits_refuse(turn, TP_TURN_REFUSED_ALLOCATION_CHANNELS);
	if (is_beyond(turn->count.channels, ask->channels, turn->max_channels))
		return tp_limits_refuse(turn, TP_TURN_REFUSED_CHANNELS);
	if (!take_new_peers(turn, alloc, ask->peers, now_ns))
		return tp_limits_refuse(turn, TP_TURN_REFUSED_NEW_PEERS);
	return TP_STUN_OK;
}
