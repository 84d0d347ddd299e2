/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal - short texts that only we can read and make, for tickets that clients carry: AES-256-SIV
 * (RFC 5297), in base64.
 *
 * SIV needs no nonce: nothing has to be drawn at random or counted, and the same text is sealed to
 * the same bytes, which makes answers idempotent.  In base64, since there are clients that keep a
 * ticket as a C string of at most 32 characters (coturn's).
 *
 * Threads: one tp_seal, one thread.
 */
#ifndef TP_WIRE_SEAL_H
#define TP_WIRE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TP_SEAL_KEY_LEN 64
#define TP_SEAL_TEXT_LEN 8
#define TP_SEAL_LEN 32 /* (8 + tag of 16) * 4 / 3: no padding */

struct tp_seal;

/** @param key  unpredictable bytes, copied.  @return 0 or -ENOMEM */
int tp_seal_new(const uint8_t key[TP_SEAL_KEY_LEN], struct tp_seal **out);

/** Wipes the key; NULL is fine. */
void tp_seal_free(struct tp_seal *seal);

/** Seal a text; out gets no NUL.  @return 0 or -ENOMEM */
int tp_seal_close(struct tp_seal *seal, const uint8_t text[TP_SEAL_TEXT_LEN],
		uint8_t out[TP_SEAL_LEN]);

/** @return false: not ours, *text is void */
bool tp_seal_open(struct tp_seal *seal, const uint8_t in[TP_SEAL_LEN],
		uint8_t text[TP_SEAL_TEXT_LEN]);

#endif
