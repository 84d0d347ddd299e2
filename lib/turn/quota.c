/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/quota.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "turn/hash.h"

struct tp_quota {
	uint32_t mask, n;
	uint32_t n_users;             /* of those n, who have allocations */
	struct tp_quota_user **slots; /* linear probing; at most half of them taken */
};

/*
 * What of a username counts: of a time-limited one ":id".  The colon stays, so that an id is nobody
 * else's name.
 */
static struct tp_bytes counted(const void *username, size_t len)
{
	const char *name = username, *colon = memchr(name, ':', len);
	size_t digits = 0;

	while (digits < len && name[digits] >= '0' && name[digits] <= '9')
		digits++;
	if (colon == NULL || digits == 0 || colon != name + digits || digits + 1 == len)
		return (struct tp_bytes){ name, len };
	return (struct tp_bytes){ colon, len - digits };
}

static uint32_t place_of(const struct tp_quota *quota, const void *name, size_t len)
{
	return tp_turn_hash(name, len) & quota->mask;
}

/* Where the user is, or the free slot where he would be. */
static uint32_t find(const struct tp_quota *quota, const struct tp_bytes *name)
{
	uint32_t at = place_of(quota, name->data, name->len);
	const struct tp_quota_user *user;

	while ((user = quota->slots[at]) != NULL &&
			(user->len != name->len || memcmp(user->name, name->data, name->len) != 0))
		at = (at + 1) & quota->mask;
	return at;
}

int tp_quota_new(uint32_t max_allocations, struct tp_quota **out)
{
	struct tp_quota *quota = calloc(1, sizeof(*quota));
	int rc;

	if (quota == NULL)
		return -ENOMEM;
	rc = tp_quota_resize(quota, max_allocations);
	if (rc < 0) {
		free(quota);
		return rc;
	}
	*out = quota;
	return 0;
}

int tp_quota_resize(struct tp_quota *quota, uint32_t max_allocations)
{
	struct tp_quota old = *quota;
	uint32_t room = 64;

	while (room / 2 < max_allocations)
		room *= 2;
	if (old.slots != NULL && room <= old.mask + 1)
		return 0;
	quota->slots = calloc(room, sizeof(struct tp_quota_user *));
	if (quota->slots == NULL) {
		quota->slots = old.slots;
		return -ENOMEM;
	}
	quota->mask = room - 1;
	for (uint32_t i = 0; old.slots != NULL && i <= old.mask; i++) {
		struct tp_quota_user *user = old.slots[i];

		if (user != NULL)
			quota->slots[find(quota, &(struct tp_bytes){ user->name, user->len })] =
					user;
	}
	free(old.slots);
	return 0;
}

void tp_quota_free(struct tp_quota *quota)
{
	if (quota == NULL)
		return;
	assert(quota->n == 0);
	free(quota->slots);
	free(quota);
}

static const struct tp_quota_user *user_of(
		const struct tp_quota *quota, const void *username, size_t len)
{
	const struct tp_bytes name = counted(username, len);

	return quota->slots[find(quota, &name)];
}

uint32_t tp_quota_of(const struct tp_quota *quota, const void *username, size_t len)
{
	const struct tp_quota_user *user = user_of(quota, username, len);

	return user == NULL ? 0 : user->n_allocations;
}

uint32_t tp_quota_reserved(const struct tp_quota *quota, const void *username, size_t len)
{
	const struct tp_quota_user *user = user_of(quota, username, len);

	return user == NULL ? 0 : user->n_reservations;
}

static struct tp_quota_user *user_new(struct tp_quota *quota, const struct tp_bytes *name)
{
	struct tp_quota_user *user;

	/* Those who have reservations alone come on top of the allocations that there may be. */
	if (quota->n > quota->mask / 2 && tp_quota_resize(quota, quota->mask + 1) < 0)
		return NULL;
	user = malloc(sizeof(*user) + name->len);
	if (user == NULL)
		return NULL;
	*user = (struct tp_quota_user){ .len = (uint16_t)name->len };
	memcpy(user->name, name->data, name->len);
	quota->slots[find(quota, name)] = user;
	quota->n++;
	return user;
}

struct tp_quota_user *tp_quota_take(struct tp_quota *quota, const void *username, size_t len)
{
	const struct tp_bytes name = counted(username, len);
	struct tp_quota_user *user = quota->slots[find(quota, &name)];

	if (user == NULL)
		user = user_new(quota, &name);
	if (user != NULL && user->n_allocations++ == 0)
		quota->n_users++;
	return user;
}

/* Close the gap at `at`: whoever stands behind it and belongs before it moves up. */
static void close_gap(struct tp_quota *quota, uint32_t at)
{
	uint32_t next = at;

	for (;;) {
		const struct tp_quota_user *user;
		uint32_t home;

		next = (next + 1) & quota->mask;
		user = quota->slots[next];
		if (user == NULL)
			break;
		home = place_of(quota, user->name, user->len);
		/* Its home lies behind the gap: it is where a search from there must find it. */
		if (((next - home) & quota->mask) < ((next - at) & quota->mask))
			continue;
		quota->slots[at] = quota->slots[next];
		at = next;
	}
	quota->slots[at] = NULL;
}

static void user_put(struct tp_quota *quota, struct tp_quota_user *user)
{
	const struct tp_bytes name = { user->name, user->len };

	if (user->n_allocations > 0 || user->n_reservations > 0)
		return;
	close_gap(quota, find(quota, &name));
	quota->n--;
	free(user);
}

void tp_quota_give(struct tp_quota *quota, struct tp_quota_user *user)
{
	assert(user->n_allocations > 0);
	if (--user->n_allocations == 0)
		quota->n_users--;
	user_put(quota, user);
}

bool tp_quota_reserve(struct tp_quota_user *user)
{
	if (user->n_reservations == UINT16_MAX)
		return false;
	user->n_reservations++;
	return true;
}

void tp_quota_unreserve(struct tp_quota *quota, struct tp_quota_user *user)
{
	assert(user->n_reservations > 0);
	user->n_reservations--;
	user_put(quota, user);
}

uint32_t tp_quota_users(const struct tp_quota *quota)
{
	return quota->n_users;
}
