/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth - who may ask: nonces without memory, and the keys of users.
 *
 * A nonce is hex(expiry) and hex of a keyed hash over expiry and the client's address and port, so
 * it is valid for one source only (RFC 8489 section 9.2.4) and nothing is stored for it.
 *
 * Threads: one.
 */
#ifndef TP_TURN_AUTH_H
#define TP_TURN_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "turn/turn.h"

#define TP_NONCE_LEN 40 /* 8 hex digits of time, 32 of 128 bits of HMAC-SHA256 */

struct tp_auth;

/** Copies what it needs of conf.  @return 0 or -ENOMEM */
int tp_auth_new(const struct tp_turn_conf *conf, struct tp_auth **out);
void tp_auth_free(struct tp_auth *auth);

/** Take over from the one before, which a reload replaces: nonces that it gave out stay good. */
void tp_auth_inherit(struct tp_auth *auth, const struct tp_auth *old);

const char *tp_auth_realm(const struct tp_auth *auth);

/** Make a nonce for a source; it expires TP_TURN_NONCE_SEC after now. */
void tp_auth_nonce(const struct tp_auth *auth, const struct tp_addr *client, uint64_t wall_sec,
		char out[TP_NONCE_LEN]);

/** Is it one of ours, for this source, and fresh? */
bool tp_auth_nonce_ok(const struct tp_auth *auth, const struct tp_addr *client, uint64_t wall_sec,
		const struct tp_stun_value *nonce);

/**
 * Find the key whose MESSAGE-INTEGRITY the request carries: a configured user's, or one derived
 * from a secret for a time-limited username that has not expired.
 *
 * @return 0, or -EACCES: unknown user, expired, or integrity does not match
 */
int tp_auth_check(const struct tp_auth *auth, const struct tp_stun_msg *msg, uint64_t wall_sec,
		uint8_t key[TP_KEY_MD5_LEN]);

#endif
