/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nonce - challenges without memory (RFC 8489 section 9.2).
 *
 *     "obMatJos2"  4 characters of features  28 characters of 4 bytes expiry, 17 bytes MAC
 *
 * Texts are base64.  The MAC is over expiry and the client's address and port, so a nonce is good
 * for one source only (section 9.2.4), and its key was made from the features and from what else
 * went out with the nonce.  So nobody in between changes one of them unnoticed (section 9.2.1), and
 * a nonce of a server that offered something else is not ours.
 *
 * Threads: any; nothing changes after tp_nonces_init().
 */
#ifndef TP_TURN_NONCE_H
#define TP_TURN_NONCE_H

#include <stdint.h>

#include "base/addr.h"
#include "wire/integrity.h"
#include "wire/stun.h"

#define TP_NONCE_COOKIE_LEN 13
#define TP_NONCE_LEN 41

/* Section 18.1: bit 0 is the leftmost of 24. */
enum tp_nonce_feature {
	TP_NONCE_PASSWORD_ALGORITHMS = 1 << 23,
	TP_NONCE_USERNAME_ANONYMITY = 1 << 22,
};

enum tp_nonce_state {
	TP_NONCE_FOREIGN, /* not made by us, or not for this source, or changed */
	TP_NONCE_STALE,   /* ours, and its time is over */
	TP_NONCE_FRESH,
};

struct tp_nonces {
	uint8_t key[TP_SHA256_LEN];
	char cookie[TP_NONCE_COOKIE_LEN + 1];
};

/**
 * @param[in] key       unpredictable, TP_SHA256_LEN bytes
 * @param[in] features  enum tp_nonce_feature, or'ed
 * @param[in] with      what is sent beside nonces and must not be changed: PASSWORD-ALGORITHMS
 */
void tp_nonces_init(struct tp_nonces *nonces, const uint8_t key[TP_SHA256_LEN], uint32_t features,
		const struct tp_bytes *with);

/** Make a nonce for a source; it expires TP_TURN_NONCE_SEC after now. */
void tp_nonce_make(const struct tp_nonces *nonces, const struct tp_addr *client, uint64_t wall_sec,
		char out[TP_NONCE_LEN]);

enum tp_nonce_state tp_nonce_check(const struct tp_nonces *nonces, const struct tp_addr *client,
		uint64_t wall_sec, const struct tp_stun_value *nonce);

#endif
