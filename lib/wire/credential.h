/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credential - time-limited credentials, that a service hands out which shares a secret with the
 * relay and nothing else (draft-uberti-behave-turn-rest).
 *
 * The user name is EXPIRY or EXPIRY:ID, EXPIRY in Unix seconds; the password is the base64 text of
 * HMAC(secret, user name).  Everybody uses HMAC-SHA1; HMAC-SHA256 is ours to offer.
 *
 * Threads: pure functions.  Memory: the caller's.
 */
#ifndef TP_WIRE_CREDENTIAL_H
#define TP_WIRE_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/integrity.h"

enum tp_credential_hmac {
	TP_CREDENTIAL_SHA1,
	TP_CREDENTIAL_SHA256,
};

/* Room for a password: base64 of the longer HMAC, and a NUL. */
#define TP_CREDENTIAL_PASSWORD_ROOM 45

/**
 * Read the expiry of a user name.
 *
 * @param[out] expiry_sec  Unix seconds
 * @return whether the name is a time-limited one
 */
bool tp_credential_expiry(const struct tp_bytes *username, uint64_t *expiry_sec);

/**
 * Make the password of a user name.
 *
 * @param[out] out  NUL-terminated; the caller wipes it
 * @return its length in bytes
 */
size_t tp_credential_password(enum tp_credential_hmac hmac, const struct tp_bytes *secret,
		const struct tp_bytes *username, char out[TP_CREDENTIAL_PASSWORD_ROOM]);

#endif
