/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/nonce.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#include "turn/turn.h"
#include "wire/be.h"

#define PREFIX "obMatJos2"
#define EXPIRY_LEN 4
#define MAC_LEN 17 /* with the expiry a multiple of three: base64 without padding */
#define TEXT_LEN ((EXPIRY_LEN + (size_t)MAC_LEN) / 3 * 4)

_Static_assert(sizeof(PREFIX) - 1 + 4 == TP_NONCE_COOKIE_LEN, "three bytes of features");
_Static_assert(TP_NONCE_COOKIE_LEN + TEXT_LEN == TP_NONCE_LEN, "length of a nonce");

void tp_nonces_init(struct tp_nonces *nonces, const uint8_t key[TP_SHA256_LEN], uint32_t features,
		const struct tp_bytes *with)
{
	const uint8_t bits[3] = { (uint8_t)(features >> 16), (uint8_t)(features >> 8),
		(uint8_t)features };
	unsigned char text[5];
	struct tp_bytes part[2];

	EVP_EncodeBlock(text, bits, sizeof(bits));
	memcpy(nonces->cookie, PREFIX, sizeof(PREFIX) - 1);
	memcpy(nonces->cookie + sizeof(PREFIX) - 1, text, sizeof(text));
	part[0] = (struct tp_bytes){ nonces->cookie, TP_NONCE_COOKIE_LEN };
	part[1] = *with;
	tp_hmac_sha256(key, TP_SHA256_LEN, part, 2, nonces->key);
}

/* The nonce that expires at `expiry` for this source. */
static void nonce_at(const struct tp_nonces *nonces, const struct tp_addr *client, uint32_t expiry,
		char out[TP_NONCE_LEN])
{
	uint8_t bytes[EXPIRY_LEN + TP_SHA256_LEN];
	const struct tp_bytes part[] = { { bytes, EXPIRY_LEN }, { client, sizeof(*client) } };
	unsigned char text[TEXT_LEN + 1];

	tp_be32_put(bytes, expiry);
	tp_hmac_sha256(nonces->key, sizeof(nonces->key), part, 2, bytes + EXPIRY_LEN);
	EVP_EncodeBlock(text, bytes, EXPIRY_LEN + MAC_LEN);
	memcpy(out, nonces->cookie, TP_NONCE_COOKIE_LEN);
	memcpy(out + TP_NONCE_COOKIE_LEN, text, TEXT_LEN);
}

void tp_nonce_make(const struct tp_nonces *nonces, const struct tp_addr *client, uint64_t wall_sec,
		char out[TP_NONCE_LEN])
{
	nonce_at(nonces, client, (uint32_t)(wall_sec + TP_TURN_NONCE_SEC), out);
}

enum tp_nonce_state tp_nonce_check(const struct tp_nonces *nonces, const struct tp_addr *client,
		uint64_t wall_sec, const struct tp_stun_value *nonce)
{
	uint8_t bytes[6]; /* what the first eight characters stand for */
	char want[TP_NONCE_LEN];
	uint32_t expiry;

	if (nonce->len != TP_NONCE_LEN ||
			EVP_DecodeBlock(bytes, nonce->data + TP_NONCE_COOKIE_LEN, 8) !=
					sizeof(bytes))
		return TP_NONCE_FOREIGN;
	/* Only the nonce that we would have written is ours, so reading may be lax. */
	expiry = tp_be32_get(bytes);
	nonce_at(nonces, client, expiry, want);
	if (!tp_secret_equal(want, nonce->data, TP_NONCE_LEN))
		return TP_NONCE_FOREIGN;
	/* Serial arithmetic, so that the 32 bits may wrap. */
	return (int32_t)(expiry - (uint32_t)wall_sec) > 0 ? TP_NONCE_FRESH : TP_NONCE_STALE;
}
