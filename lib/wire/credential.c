/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/credential.h"

#include <assert.h>
#include <openssl/evp.h>

#define DIGITS_MAX 18 /* of an expiry: fits in 64 bits */

bool tp_credential_expiry(const struct tp_bytes *username, uint64_t *expiry_sec)
{
	const uint8_t *c = username->data;
	uint64_t expiry = 0;
	size_t i;

	for (i = 0; i < username->len && c[i] >= '0' && c[i] <= '9'; i++) {
		if (i >= DIGITS_MAX)
			return false;
		expiry = expiry * 10 + (uint64_t)(c[i] - '0');
	}
	if (i == 0 || (i < username->len && c[i] != ':'))
		return false;
	*expiry_sec = expiry;
	return true;
}

size_t tp_credential_password(enum tp_credential_hmac hmac, const struct tp_bytes *secret,
		const struct tp_bytes *username, char out[TP_CREDENTIAL_PASSWORD_ROOM])
{
	uint8_t mac[TP_SHA256_LEN];
	size_t len = hmac == TP_CREDENTIAL_SHA256 ? TP_SHA256_LEN : TP_SHA1_LEN;
	int n;

	if (hmac == TP_CREDENTIAL_SHA256)
		tp_hmac_sha256(secret->data, secret->len, username, 1, mac);
	else
		tp_hmac_sha1(secret->data, secret->len, username, 1, mac);
	n = EVP_EncodeBlock((unsigned char *)out, mac, (int)len);
	assert(n > 0 && n < TP_CREDENTIAL_PASSWORD_ROOM);
	tp_secret_wipe(mac, sizeof(mac));
	return (size_t)n;
}
