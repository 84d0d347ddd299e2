/* SPDX-License-Identifier: Apache-2.0 */
#include "login.h"

#include <errno.h>
#include <string.h>

#include "wire/integrity.h"

#define IPAD 0x36
#define OPAD 0x5c

static void start(SHA_CTX *ctx, const uint8_t key[TP_KEY_MD5_LEN], uint8_t pad)
{
	uint8_t block[SHA_CBLOCK];

	memset(block, pad, sizeof(block));
	for (int i = 0; i < TP_KEY_MD5_LEN; i++)
		block[i] ^= key[i];
	SHA1_Init(ctx);
	SHA1_Update(ctx, block, sizeof(block));
}

int tp_login_set_realm(struct tp_login *login, const void *realm, size_t len)
{
	const struct tp_bytes username = { login->username, strlen(login->username) };
	const struct tp_bytes password = { login->password, strlen(login->password) };
	uint8_t key[TP_KEY_MD5_LEN];

	if (len == 0 || len > TP_STUN_REALM_MAX)
		return -EINVAL;
	if (len == login->realm_len && memcmp(realm, login->realm, len) == 0)
		return 0;
	memcpy(login->realm, realm, len);
	login->realm_len = (uint16_t)len;
	tp_key_long_term(&username, &(struct tp_bytes){ realm, len }, &password, key);
	start(&login->inner, key, IPAD);
	start(&login->outer, key, OPAD);
	return 0;
}

int tp_login_init(struct tp_login *login, const char *username, const char *password,
		const char *realm)
{
	*login = (struct tp_login){ .username = username, .password = password };
	return realm == NULL ? 0 : tp_login_set_realm(login, realm, strlen(realm));
}

void tp_login_put(const struct tp_login *login, struct tp_stun_builder *b, const uint8_t *nonce,
		size_t nonce_len)
{
	tp_stun_put(b, TP_STUN_ATTR_USERNAME, login->username, strlen(login->username));
	tp_stun_put(b, TP_STUN_ATTR_REALM, login->realm, login->realm_len);
	tp_stun_put(b, TP_STUN_ATTR_NONCE, nonce, nonce_len);
}

void tp_login_sign(const struct tp_login *login, struct tp_stun_builder *b)
{
	static const uint8_t zero[TP_STUN_MI_LEN];
	uint8_t digest[SHA_DIGEST_LENGTH];
	SHA_CTX ctx = login->inner;
	size_t upto = b->len;

	/* In place already, since the header's length counts it (RFC 8489 section 14.5). */
	tp_stun_put(b, TP_STUN_ATTR_MESSAGE_INTEGRITY, zero, sizeof(zero));
	if (tp_stun_finish(b) == 0)
		return;
	SHA1_Update(&ctx, b->buf, upto);
	SHA1_Final(digest, &ctx);
	ctx = login->outer;
	SHA1_Update(&ctx, digest, sizeof(digest));
	SHA1_Final(b->buf + b->len - TP_STUN_MI_LEN, &ctx);
}
