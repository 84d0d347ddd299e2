/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth - who may ask: the long-term credential mechanism of RFC 8489 section 9.2.
 *
 * Two kinds of clients.  Those of RFC 8489 name the password algorithm (PASSWORD-ALGORITHM), sign
 * with MESSAGE-INTEGRITY-SHA256 and may hide their name behind USERHASH; those of RFC 5389 do none
 * of this and are served as if they had chosen MD5, unless tp_turn_conf does not offer it.
 *
 * USERHASH names configured users only: from the hash of a time-limited user name nobody can tell
 * its expiry.  So the nonce asks for it (bit "Username anonymity") where there are no secrets.
 *
 * Threads: one.
 */
#ifndef TP_TURN_AUTH_H
#define TP_TURN_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "turn/nonce.h"
#include "turn/turn.h"

struct tp_auth;

/* Whose allocation the five-tuple is. */
struct tp_auth_owner {
	struct tp_stun_value name;
	const struct tp_key *key; /* that it was made with */
};

/* Whose request it is. */
struct tp_credentials {
	struct tp_stun_value name; /* borrowed: from the message, or from the configured user */
	struct tp_key key;         /* the caller wipes it */
	bool is_legacy;            /* RFC 5389: answered with MESSAGE-INTEGRITY */
};

/** Copies what it needs of conf.  @return 0 or -ENOMEM */
int tp_auth_new(const struct tp_turn_conf *conf, struct tp_auth **out);
void tp_auth_free(struct tp_auth *auth);

/**
 * Take over from the one before, which a reload replaces: nonces that it gave out stay good, unless
 * what is offered beside them changed.
 */
void tp_auth_inherit(struct tp_auth *auth, const struct tp_auth *old);

const char *tp_auth_realm(const struct tp_auth *auth);

/** Of which nonces are made. */
const struct tp_nonces *tp_auth_nonces(const struct tp_auth *auth);

/** Value of PASSWORD-ALGORITHMS, as every challenge carries it. */
struct tp_bytes tp_auth_algorithms(const struct tp_auth *auth);

/**
 * Authenticate a request: the checks of RFC 8489 section 9.2.4 in their order.
 *
 * A time-limited user name that owns an allocation is known by the key that was made with, so that
 * one that expires meanwhile, or whose secret was dropped, keeps it, unless expiry is strict.  A
 * configured user is known by what is configured now: one that is gone is nobody.
 *
 * @param nonce      what NONCE is, if the request has one: of tp_nonce_check()
 * @param[in] owner  NULL: the five-tuple has no allocation
 * @param[out] out   filled where tp_auth_result_error() is TP_STUN_OK; no key in it otherwise
 */
enum tp_auth_result tp_auth_check(const struct tp_auth *auth, const struct tp_stun_msg *msg,
		enum tp_nonce_state nonce, uint64_t wall_sec, const struct tp_auth_owner *owner,
		struct tp_credentials *out);

/**
 * Who a request says it is from: USERNAME, else the configured user of USERHASH.  Nothing is
 * proved.
 *
 * @param[out] name  borrowed, as in struct tp_credentials
 * @return whether it says so
 */
bool tp_auth_name(const struct tp_auth *auth, const struct tp_stun_msg *msg,
		struct tp_stun_value *name);

#endif
