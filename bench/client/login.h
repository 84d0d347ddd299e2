/* SPDX-License-Identifier: Apache-2.0 */
/*
 * login - long-term credentials of a client (RFC 8489 section 9.2).
 *
 * The key is made once for a realm.  A load generator has one user, so that lib/wire finds the
 * key it hashed with last and every message costs its own few blocks.
 *
 * Threads: one.  Memory: the caller's.
 */
#ifndef TP_BENCH_LOGIN_H
#define TP_BENCH_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/integrity.h"
#include "wire/stun_build.h"

struct tp_login {
	const char *username, *password; /* borrowed */
	char realm[TP_STUN_REALM_MAX + 1];
	uint16_t realm_len; /* 0: not known yet */
	uint8_t key[TP_KEY_MD5_LEN];
};

/** Without a realm the first challenge tells it.  @return 0 or -EINVAL: realm too long */
int tp_login_init(struct tp_login *login, const char *username, const char *password,
		const char *realm);

/** The realm of a challenge; only a new one costs.  @return 0 or -EINVAL: too long or empty */
int tp_login_set_realm(struct tp_login *login, const void *realm, size_t len);

/** Append USERNAME, REALM and NONCE. */
void tp_login_put(const struct tp_login *login, struct tp_stun_builder *b, const uint8_t *nonce,
		size_t nonce_len);

/** Append MESSAGE-INTEGRITY; only FINGERPRINT may follow. */
void tp_login_sign(const struct tp_login *login, struct tp_stun_builder *b);

#endif
