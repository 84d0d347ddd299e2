/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/users.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "turn/hash.h"

struct entry {
	struct tp_user user; /* owns its name */
	uint8_t userhash[TP_STUN_USERHASH_LEN];
	struct tp_link by_name, by_hash;
};

struct tp_users {
	struct tp_table names, hashes;
	struct entry *entries;
	uint32_t n;
};

static struct tp_bytes key_of_name(const void *entry)
{
	const struct entry *e = entry;

	return (struct tp_bytes){ e->user.name.data, e->user.name.len };
}

TP_TABLE_KEY(key_of_hash, struct entry, userhash)

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
		.md5 = from->md5,
		.sha256 = from->sha256,
	};
	e->user.name.data = name;
	e->user.name.len = (uint16_t)len;
	tp_userhash(&(struct tp_bytes){ name, len }, realm, e->userhash);
	tp_table_add(&users->names, e);
	tp_table_add(&users->hashes, e);
	return 0;
}

int tp_users_new(const struct tp_turn_user from[], uint32_t n, const char *realm,
		struct tp_users **out)
{
	const struct tp_bytes r = { realm, strlen(realm) };
	struct tp_users *users = calloc(1, sizeof(*users));

	if (users == NULL)
		return -ENOMEM;
	users->names = tp_table(key_of_name, offsetof(struct entry, by_name), tp_turn_hash_seed);
	users->hashes = tp_table(key_of_hash, offsetof(struct entry, by_hash), tp_turn_hash_seed);
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
	tp_table_clear(&users->names);
	tp_table_clear(&users->hashes);
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
	const struct entry *e = tp_table_find(&users->names, name->data, name->len);

	return e != NULL ? &e->user : NULL;
}

const struct tp_user *tp_users_by_hash(
		const struct tp_users *users, const struct tp_stun_value *userhash)
{
	const struct entry *e = tp_table_find(&users->hashes, userhash->data, userhash->len);

	return e != NULL ? &e->user : NULL;
}
