/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/integrity.h"

#include "base/log.h"
#include "wire/be.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <zlib.h>

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Length of an attribute's type and length fields. */
#define ATTR_HDR_LEN 4

#define KEY_KEPT 64 /* longer ones are set every time */

/*
 * A context and the key that it was set to last, which often is the one wanted next: the answer's
 * after the request's, or the nonces'.  To set one costs half as much as to hash a message.
 */
struct mac {
	EVP_MAC_CTX *ctx;
	size_t key_len; /* SIZE_MAX: none */
	uint8_t key[KEY_KEPT];
};

/* Of one thread, kept for its life: making them costs more than hashing a message. */
struct contexts {
	struct mac sha1, sha256;
	EVP_MD_CTX *digest;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_exit;
static EVP_MAC *hmac;
static EVP_MD *md5, *sha256;

static _Thread_local struct contexts mine;

/*
 * A hash fails only without memory or without the algorithm (a FIPS provider has no MD5).  An
 * answer would then be wrong or unauthenticated, so there is none.
 */
static void must(bool ok)
{
	if (ok)
		return;
	tp_err("cryptography: OpenSSL does not provide HMAC-SHA1, HMAC-SHA256, SHA-256 and MD5, "
	       "or is out of memory");
	abort();
}

static void free_contexts(void *p)
{
	struct contexts *c = p;

	EVP_MAC_CTX_free(c->sha1.ctx);
	EVP_MAC_CTX_free(c->sha256.ctx);
	EVP_MD_CTX_free(c->digest);
	OPENSSL_cleanse(c, sizeof(*c));
}

static void fetch(void)
{
	hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
	md5 = EVP_MD_fetch(NULL, "MD5", NULL);
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	must(hmac != NULL && md5 != NULL && sha256 != NULL &&
			pthread_key_create(&at_exit, free_contexts) == 0);
}

static void open_mac(struct mac *mac, const char *digest)
{
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(hmac);
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
		OSSL_PARAM_construct_end(),
	};

	must(ctx != NULL && EVP_MAC_CTX_set_params(ctx, params) == 1);
	mac->ctx = ctx;
	mac->key_len = SIZE_MAX;
}

static struct contexts *contexts(void)
{
	if (mine.digest != NULL)
		return &mine;
	pthread_once(&once, fetch);
	open_mac(&mine.sha1, "SHA1");
	open_mac(&mine.sha256, "SHA256");
	mine.digest = EVP_MD_CTX_new();
	must(mine.digest != NULL && pthread_setspecific(at_exit, &mine) == 0);
	return &mine;
}

static void mac_key(struct mac *mac, const void *key, size_t key_len)
{
	/* To OpenSSL a null key means the one before. */
	if (mac->key_len == key_len && CRYPTO_memcmp(mac->key, key, key_len) == 0) {
		must(EVP_MAC_init(mac->ctx, NULL, 0, NULL) == 1);
		return;
	}
	must(EVP_MAC_init(mac->ctx, key_len > 0 ? key : "", key_len, NULL) == 1);
	mac->key_len = SIZE_MAX;
	if (key_len > 0 && key_len <= KEY_KEPT) {
		memcpy(mac->key, key, key_len);
		mac->key_len = key_len;
	}
}

static void mac_parts(struct mac *mac, const void *key, size_t key_len,
		const struct tp_bytes part[], size_t n, uint8_t *out, size_t out_len)
{
	bool ok = true;
	size_t i, len;

	mac_key(mac, key, key_len);
	for (i = 0; i < n; i++)
		ok &= EVP_MAC_update(mac->ctx, part[i].data, part[i].len) == 1;
	must(ok && EVP_MAC_final(mac->ctx, out, &len, out_len) == 1 && len == out_len);
}

void tp_hmac_sha1(const void *key, size_t key_len, const struct tp_bytes part[], size_t n,
		uint8_t out[TP_SHA1_LEN])
{
	mac_parts(&contexts()->sha1, key, key_len, part, n, out, TP_SHA1_LEN);
}

void tp_hmac_sha256(const void *key, size_t key_len, const struct tp_bytes part[], size_t n,
		uint8_t out[TP_SHA256_LEN])
{
	mac_parts(&contexts()->sha256, key, key_len, part, n, out, TP_SHA256_LEN);
}

/* Of the parts with colons between them. */
static void digest_joined(const EVP_MD *md, const struct tp_bytes *const part[], size_t n,
		uint8_t *out, size_t out_len)
{
	EVP_MD_CTX *ctx = contexts()->digest;
	unsigned int len;
	bool ok;
	size_t i;

	ok = EVP_DigestInit_ex2(ctx, md, NULL) == 1;
	for (i = 0; i < n; i++) {
		if (i > 0)
			ok &= EVP_DigestUpdate(ctx, ":", 1) == 1;
		ok &= EVP_DigestUpdate(ctx, part[i]->data, part[i]->len) == 1;
	}
	must(ok && EVP_DigestFinal_ex(ctx, out, &len) == 1 && len == out_len);
	EVP_MD_CTX_reset(ctx); /* the password's last block is in it */
}

void tp_key_make(enum tp_password_algorithm algorithm, const struct tp_bytes *username,
		const struct tp_bytes *realm, const struct tp_bytes *password, struct tp_key *key)
{
	const struct tp_bytes *const part[] = { username, realm, password };

	contexts(); /* before the digests are looked at: they are fetched there */
	key->len = tp_key_len(algorithm);
	digest_joined(algorithm == TP_ALGORITHM_SHA256 ? sha256 : md5, part, 3, key->data,
			key->len);
}

void tp_key_long_term(const struct tp_bytes *username, const struct tp_bytes *realm,
		const struct tp_bytes *password, uint8_t key[TP_KEY_MD5_LEN])
{
	struct tp_key made;

	tp_key_make(TP_ALGORITHM_MD5, username, realm, password, &made);
	memcpy(key, made.data, TP_KEY_MD5_LEN);
	tp_secret_wipe(&made, sizeof(made));
}

void tp_userhash(const struct tp_bytes *username, const struct tp_bytes *realm,
		uint8_t out[TP_SHA256_LEN])
{
	const struct tp_bytes *const part[] = { username, realm };

	contexts();
	digest_joined(sha256, part, 2, out, TP_SHA256_LEN);
}

int tp_integrity_check(const struct tp_stun_msg *msg, const uint8_t *key, size_t key_len)
{
	const struct tp_stun_value *mi = &msg->attr[TP_STUN_MESSAGE_INTEGRITY_AT];
	uint8_t want[TP_SHA1_LEN];
	bool is_equal;

	if (mi->data == NULL)
		return -ENOENT;
	if (mi->len != TP_STUN_MI_LEN)
		return -EBADMSG;
	assert(mi->data == msg->raw + msg->attrs_end + ATTR_HDR_LEN);
	tp_integrity_compute(msg->raw, msg->attrs_end, key, key_len, want);
	is_equal = tp_secret_equal(want, mi->data, sizeof(want));
	tp_secret_wipe(want, sizeof(want));
	return is_equal ? 0 : -EBADMSG;
}

int tp_integrity_sha256_check(const struct tp_stun_msg *msg, const uint8_t *key, size_t key_len)
{
	const struct tp_stun_value *mi = &msg->attr[TP_STUN_MESSAGE_INTEGRITY_SHA256_AT];
	uint8_t want[TP_SHA256_LEN];
	size_t upto;
	bool is_equal;

	if (mi->data == NULL)
		return -ENOENT;
	if (mi->len != TP_STUN_MI_SHA256_LEN)
		return -EBADMSG;
	/* Not attrs_end: MESSAGE-INTEGRITY may stand in between, and is covered. */
	upto = (size_t)(mi->data - msg->raw) - ATTR_HDR_LEN;
	assert(upto >= msg->attrs_end);
	tp_integrity_sha256_compute(msg->raw, upto, key, key_len, want);
	is_equal = tp_secret_equal(want, mi->data, sizeof(want));
	tp_secret_wipe(want, sizeof(want));
	return is_equal ? 0 : -EBADMSG;
}

/* The message up to there, its length field as if an attribute of len bytes came next and last. */
static void cover(const uint8_t *msg, size_t upto, size_t len, uint8_t header[TP_STUN_HDR_LEN],
		struct tp_bytes part[2])
{
	size_t end = upto + ATTR_HDR_LEN + len;

	assert(upto >= TP_STUN_HDR_LEN && end - TP_STUN_HDR_LEN <= UINT16_MAX);
	memcpy(header, msg, TP_STUN_HDR_LEN);
	tp_be16_put(header + 2, (uint16_t)(end - TP_STUN_HDR_LEN));
	part[0] = (struct tp_bytes){ header, TP_STUN_HDR_LEN };
	part[1] = (struct tp_bytes){ msg + TP_STUN_HDR_LEN, upto - TP_STUN_HDR_LEN };
}

void tp_integrity_compute(const uint8_t *msg, size_t upto, const uint8_t *key, size_t key_len,
		uint8_t out[TP_SHA1_LEN])
{
	uint8_t header[TP_STUN_HDR_LEN];
	struct tp_bytes part[2];

	cover(msg, upto, TP_STUN_MI_LEN, header, part);
	tp_hmac_sha1(key, key_len, part, 2, out);
}

void tp_integrity_sha256_compute(const uint8_t *msg, size_t upto, const uint8_t *key,
		size_t key_len, uint8_t out[TP_SHA256_LEN])
{
	uint8_t header[TP_STUN_HDR_LEN];
	struct tp_bytes part[2];

	cover(msg, upto, TP_STUN_MI_SHA256_LEN, header, part);
	tp_hmac_sha256(key, key_len, part, 2, out);
}

uint32_t tp_fingerprint(const uint8_t *msg, size_t len)
{
	return (uint32_t)crc32_z(0, msg, len) ^ 0x5354554e;
}

bool tp_secret_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void tp_secret_wipe(void *p, size_t len)
{
	OPENSSL_cleanse(p, len);
}
