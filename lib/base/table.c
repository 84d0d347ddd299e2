/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define FEW 8 /* entries, in one chain */
#define CHAINS_MAX (1u << 31)
#define MOVES 2 /* chains for each entry that is added: done before the next set is due */

static uint32_t hash_of(const struct tp_table *t, const struct tp_bytes *key)
{
	return (uint32_t)XXH3_64bits_withSeed(key->data, key->len, t->seed);
}

static struct tp_link *link_of(const struct tp_table *t, void *entry)
{
	return (struct tp_link *)(void *)((char *)entry + t->link_at);
}

static void *entry_of(const struct tp_table *t, const struct tp_link *link)
{
	return (char *)(uintptr_t)link - t->link_at;
}

static uint32_t hash_of_entry(const struct tp_table *t, const void *entry)
{
	const struct tp_bytes key = t->key(entry);

	return hash_of(t, &key);
}

/* Where the entries with a hash hang. */
static struct tp_link **chain_of(struct tp_table *t, uint32_t hash)
{
	if (t->chains == NULL)
		return &t->only;
	if (t->old != NULL && (hash & t->old_mask) >= t->moved)
		return &t->old[hash & t->old_mask];
	return &t->chains[hash & t->mask];
}

static void push(struct tp_link **chain, struct tp_link *link)
{
	link->next = *chain;
	*chain = link;
}

/* All of a chain of the old set to the new one. */
static void move_chain(struct tp_table *t, struct tp_link *link)
{
	struct tp_link *next;

	for (; link != NULL; link = next) {
		next = link->next;
		push(&t->chains[hash_of_entry(t, entry_of(t, link)) & t->mask], link);
	}
}

static void move_some(struct tp_table *t)
{
	for (int i = 0; i < MOVES && t->old != NULL; i++) {
		move_chain(t, t->old[t->moved++]);
		if (t->moved > t->old_mask) {
			free(t->old);
			t->old = NULL;
		}
	}
}

/* Begin a larger set; without memory for it, later. */
static void grow(struct tp_table *t)
{
	uint32_t n = t->chains == NULL ? TP_TABLE_CHAINS_MIN : 2 * (t->mask + 1);
	struct tp_link **chains = calloc(n, sizeof(struct tp_link *));

	if (chains == NULL)
		return;
	t->old = t->chains;
	t->old_mask = t->mask;
	t->moved = 0;
	t->chains = chains;
	t->mask = n - 1;
	if (t->old == NULL) {
		move_chain(t, t->only);
		t->only = NULL;
	}
}

static bool is_crowded(const struct tp_table *t)
{
	return t->n >= (t->chains == NULL ? FEW : t->mask + 1) && t->mask < CHAINS_MAX - 1;
}

void *tp_table_find(const struct tp_table *t, const void *key, size_t len)
{
	/* Nothing of the table is written through it. */
	struct tp_table *own = (struct tp_table *)(uintptr_t)t;
	struct tp_link *link = *chain_of(own, hash_of(t, &(struct tp_bytes){ key, len }));

	for (; link != NULL; link = link->next) {
		const struct tp_bytes at = t->key(entry_of(t, link));

		if (at.len == len && memcmp(at.data, key, len) == 0)
			return entry_of(t, link);
	}
	return NULL;
}

void tp_table_add(struct tp_table *t, void *entry)
{
	if (t->old != NULL)
		move_some(t);
	else if (is_crowded(t))
		grow(t);
	push(chain_of(t, hash_of_entry(t, entry)), link_of(t, entry));
	t->n++;
}

void tp_table_remove(struct tp_table *t, void *entry)
{
	struct tp_link **at = chain_of(t, hash_of_entry(t, entry)), *link = link_of(t, entry);

	while (*at != link) {
		assert(*at != NULL);
		at = &(*at)->next;
	}
	*at = link->next;
	t->n--;
}

void tp_table_clear(struct tp_table *t)
{
	free(t->chains);
	free(t->old);
	*t = tp_table(t->key, t->link_at, t->seed);
}
