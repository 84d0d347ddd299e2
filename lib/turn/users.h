/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users - the configured users, found by name or by USERHASH in constant time.
 *
 * Threads: one.  Memory: all of it is allocated by tp_users_new().
 */
#ifndef TP_TURN_USERS_H
#define TP_TURN_USERS_H

#include <stddef.h>
#include <stdint.h>

#include "turn/turn.h"

struct tp_users;

/* A configured user; has no key for an algorithm whose key has length 0. */
struct tp_user {
	struct tp_stun_value name;
	struct tp_key md5, sha256;
};

/** Copies users[]; names are unique.  @return 0 or -ENOMEM */
int tp_users_new(const struct tp_turn_user users[], uint32_t n, const char *realm,
		struct tp_users **out);

/** Wipes the keys. */
void tp_users_free(struct tp_users *users);

/** @return the user of that name, borrowed; NULL: none */
const struct tp_user *tp_users_by_name(
		const struct tp_users *users, const struct tp_stun_value *name);

/** @return the user of that USERHASH (RFC 8489 section 14.4), borrowed; NULL: none */
const struct tp_user *tp_users_by_hash(
		const struct tp_users *users, const struct tp_stun_value *userhash);

#endif
