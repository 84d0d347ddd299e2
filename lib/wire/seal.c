/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/seal.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "wire/integrity.h"

#define TAG_LEN 16
#define BOX_LEN (TAG_LEN + TP_SEAL_TEXT_LEN) /* before base64 */

_Static_assert(BOX_LEN % 3 == 0 && BOX_LEN / 3 * 4 == TP_SEAL_LEN, "base64 without padding");

struct tp_seal {
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx;
	uint8_t key[TP_SEAL_KEY_LEN];
};

int tp_seal_new(const uint8_t key[TP_SEAL_KEY_LEN], struct tp_seal **out)
{
	struct tp_seal *seal = calloc(1, sizeof(*seal));

	if (seal == NULL)
		return -ENOMEM;
	memcpy(seal->key, key, sizeof(seal->key));
	seal->cipher = EVP_CIPHER_fetch(NULL, "AES-256-SIV", NULL);
	seal->ctx = EVP_CIPHER_CTX_new();
	if (seal->cipher == NULL || seal->ctx == NULL) {
		tp_seal_free(seal);
		return -ENOMEM;
	}
	assert(EVP_CIPHER_get_key_length(seal->cipher) == TP_SEAL_KEY_LEN);
	*out = seal;
	return 0;
}

void tp_seal_free(struct tp_seal *seal)
{
	if (seal == NULL)
		return;
	EVP_CIPHER_CTX_free(seal->ctx); /* wipes what it holds */
	EVP_CIPHER_free(seal->cipher);
	tp_secret_wipe(seal, sizeof(*seal));
	free(seal);
}

int tp_seal_close(struct tp_seal *seal, const uint8_t text[TP_SEAL_TEXT_LEN],
		uint8_t out[TP_SEAL_LEN])
{
	uint8_t box[BOX_LEN], base64[TP_SEAL_LEN + 1];
	int n = 0, last = 0;

	if (EVP_EncryptInit_ex(seal->ctx, seal->cipher, NULL, seal->key, NULL) != 1 ||
			EVP_EncryptUpdate(seal->ctx, box + TAG_LEN, &n, text, TP_SEAL_TEXT_LEN) !=
					1 ||
			EVP_EncryptFinal_ex(seal->ctx, box + TAG_LEN + n, &last) != 1 ||
			EVP_CIPHER_CTX_ctrl(seal->ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, box) != 1)
		return -ENOMEM;
	assert(n + last == TP_SEAL_TEXT_LEN);
	EVP_EncodeBlock(base64, box, sizeof(box));
	memcpy(out, base64, TP_SEAL_LEN);
	return 0;
}

bool tp_seal_open(
		struct tp_seal *seal, const uint8_t in[TP_SEAL_LEN], uint8_t text[TP_SEAL_TEXT_LEN])
{
	uint8_t box[BOX_LEN];
	int n = 0;

	/* It takes white space at the ends for none: then there is too little of the rest. */
	if (EVP_DecodeBlock(box, in, TP_SEAL_LEN) != BOX_LEN)
		return false;
	return EVP_DecryptInit_ex(seal->ctx, seal->cipher, NULL, seal->key, NULL) == 1 &&
			EVP_CIPHER_CTX_ctrl(seal->ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, box) == 1 &&
			EVP_DecryptUpdate(seal->ctx, text, &n, box + TAG_LEN, TP_SEAL_TEXT_LEN) ==
			1;
}
