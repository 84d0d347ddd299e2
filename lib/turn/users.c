/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/users.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "turn/allocation.h" /* for uthash and its seeded hash: clients choose what is looked up */

struct entry {
	struct tp_user user; /* owns its name */
	uint8_t userhash[TP_STUN_USERHASH_LEN];
	UT_hash_handle by_name, by_hash;
};

struct tp_users {
	struct entry *names, *hashes; /* heads of the tables */
	struct entry *entries;
	uint32_t n;
};

static int add(struct tp_users *users, const struct tp_turn_user *from,
		const struct tp_bytes *realm)
{
	struct entry *e = &users->entries[users->n];
	const size_t len = strlen(from->name);
	uint8_t *name = (uint8_t *)strdup(from->name);

	if (name == NULL)
		return -ENOMEM;
	users->n++;
	e->user = (struct tp_user){
		.name = { name, (uint16_t)len },
		.md5 = from->md5,
		.sha256 = from->sha256,
	};
	tp_userhash(&(struct tp_bytes){ name, len }, realm, e->userhash);
	HASH_ADD_KEYPTR(by_name, users->names, e->user.name.data, len, e);
	if (e->by_name.tbl == NULL)
		return -ENOMEM;
	HASH_ADD(by_hash, users->hashes, userhash, sizeof(e->userhash), e);
	return e->by_hash.tbl != NULL ? 0 : -ENOMEM;
}

int tp_users_new(const struct tp_turn_user from[], uint32_t n, const char *realm,
		struct tp_users **out)
{
	const struct tp_bytes r = { realm, strlen(realm) };
	struct tp_users *users = calloc(1, sizeof(*users));

	if (users == NULL)
		return -ENOMEM;
	users->entries = calloc(n + 1, sizeof(*users->entries));
	if (users->entries == NULL)
		goto err;
	for (uint32_t i = 0; i < n; i++)
		if (add(users, &from[i], &r) < 0)
			goto err;
	*out = users;
	return 0;
err:
	tp_users_free(users);
	return -ENOMEM;
}

void tp_users_free(struct tp_users *users)
{
	if (users == NULL)
		return;
	HASH_CLEAR(by_name, users->names);
	HASH_CLEAR(by_hash, users->hashes);
	for (uint32_t i = 0; i < users->n; i++)
		free((void *)(uintptr_t)users->entries[i].user.name.data);
	if (users->entries != NULL)
		tp_secret_wipe(users->entries, users->n * sizeof(*users->entries));
	free(users->entries);
	free(users);
}

const struct tp_user *tp_users_by_name(
		const struct tp_users *users, const struct tp_stun_value *name)
{
	const struct entry *e;

	HASH_FIND(by_name, users->names, name->data, name->len, e);
	return e != NULL ? &e->user : NULL;
}

const struct tp_user *tp_users_by_hash(
		const struct tp_users *users, const struct tp_stun_value *userhash)
{
	const struct entry *e;

	if (userhash->len != TP_STUN_USERHASH_LEN)
		return NULL;
	HASH_FIND(by_hash, users->hashes, userhash->data, TP_STUN_USERHASH_LEN, e);
	return e != NULL ? &e->user : NULL;
}
