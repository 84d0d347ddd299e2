/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota - how many allocations each user has, and how many ports that are kept aside.
 *
 * Users are counted by name, and only while they have either: the name is kept once, with the
 * number of the allocations that borrow it, so that a name which never authenticated is never
 * stored.  A time-limited name counts by its id: "1700000000:carol" and "1700003600:carol" are one
 * user, since each of them would otherwise have a quota of its own; names without an id count as
 * they are, and nobody's name is another's id.
 *
 * The table is open addressing over pointers, twice as large as the allocations that there may be:
 * finding is O(1), and all are moved only when the number of those changes, or when there are as
 * many users besides who have nothing but reservations.
 *
 * Private to lib/turn.  Threads: one.
 */
#ifndef TP_TURN_QUOTA_H
#define TP_TURN_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "turn/turn.h"
#include "wire/stun.h"

struct tp_quota;

/** A user who has allocations or reservations. */
struct tp_quota_user {
	uint32_t n_allocations;
	uint16_t n_reservations, len;
	char name[]; /* what counts of the username; not NUL-terminated */
};

/** @param max_allocations  at most so many tp_quota_take() without tp_quota_give() between */
int tp_quota_new(uint32_t max_allocations, struct tp_quota **out);

/** Make room for as many; fewer than there are change nothing.  @return 0 or -ENOMEM */
int tp_quota_resize(struct tp_quota *quota, uint32_t max_allocations);

/** Every allocation and reservation was given back. */
void tp_quota_free(struct tp_quota *quota);

/** Allocations of a user now; 0 for whoever has none. */
uint32_t tp_quota_of(const struct tp_quota *quota, const void *username, size_t len);

/** Count one more.  @return the user, to be given back when the allocation ends; NULL: no memory */
struct tp_quota_user *tp_quota_take(struct tp_quota *quota, const void *username, size_t len);

void tp_quota_give(struct tp_quota *quota, struct tp_quota_user *user);

/** Reservations of a user now. */
uint32_t tp_quota_reserved(const struct tp_quota *quota, const void *username, size_t len);

/** A port is kept aside for him.  @return false: he has as many as can be counted */
bool tp_quota_reserve(struct tp_quota_user *user);

/** It no longer is. */
void tp_quota_unreserve(struct tp_quota *quota, struct tp_quota_user *user);

/** Users who have allocations. */
uint32_t tp_quota_users(const struct tp_quota *quota);

#endif
