/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/auth.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct user {
	char *name;
	size_t len;
	uint8_t key[TP_KEY_MD5_LEN];
};

struct tp_auth {
	char *realm;
	uint8_t nonce_key[TP_SHA256_LEN];
	struct user *users; /* sorted by compare_user */
	uint32_t n_users;
	struct tp_turn_secret *secrets;
	uint32_t n_secrets;
};

static int compare_user(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->name, y->name, x->len);
}

static int copy_users(struct tp_auth *auth, const struct tp_turn_conf *conf)
{
	auth->users = calloc(conf->n_users + 1, sizeof(*auth->users));
	if (auth->users == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < conf->n_users; i++) {
		struct user *u = &auth->users[auth->n_users++];

		u->name = strdup(conf->users[i].name);
		if (u->name == NULL)
			return -ENOMEM;
		u->len = strlen(u->name);
		memcpy(u->key, conf->users[i].key, sizeof(u->key));
	}
	qsort(auth->users, auth->n_users, sizeof(*auth->users), compare_user);
	return 0;
}

static int copy_secrets(struct tp_auth *auth, const struct tp_turn_conf *conf)
{
	auth->secrets = calloc(conf->n_secrets + 1, sizeof(*auth->secrets));
	if (auth->secrets == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < conf->n_secrets; i++) {
		struct tp_turn_secret *s = &auth->secrets[auth->n_secrets++];

		s->len = conf->secrets[i].len;
		s->data = malloc(s->len + 1);
		if (s->data == NULL)
			return -ENOMEM;
		memcpy(s->data, conf->secrets[i].data, s->len);
	}
	return 0;
}

int tp_auth_new(const struct tp_turn_conf *conf, struct tp_auth **out)
{
	struct tp_auth *auth = calloc(1, sizeof(*auth));

	if (auth == NULL)
		return -ENOMEM;
	memcpy(auth->nonce_key, conf->nonce_key, sizeof(auth->nonce_key));
	auth->realm = strdup(conf->realm);
	if (auth->realm == NULL || copy_users(auth, conf) < 0 || copy_secrets(auth, conf) < 0) {
		tp_auth_free(auth);
		return -ENOMEM;
	}
	*out = auth;
	return 0;
}

void tp_auth_free(struct tp_auth *auth)
{
	uint32_t i;

	if (auth == NULL)
		return;
	for (i = 0; i < auth->n_users; i++)
		free(auth->users[i].name);
	if (auth->users != NULL)
		tp_secret_wipe(auth->users, auth->n_users * sizeof(*auth->users));
	for (i = 0; i < auth->n_secrets; i++) {
		if (auth->secrets[i].data != NULL)
			tp_secret_wipe(auth->secrets[i].data, auth->secrets[i].len);
		free(auth->secrets[i].data);
	}
	free(auth->users);
	free(auth->secrets);
	free(auth->realm);
	tp_secret_wipe(auth, sizeof(*auth));
	free(auth);
}

void tp_auth_inherit(struct tp_auth *auth, const struct tp_auth *old)
{
	memcpy(auth->nonce_key, old->nonce_key, sizeof(auth->nonce_key));
}

const char *tp_auth_realm(const struct tp_auth *auth)
{
	return auth->realm;
}

static void to_hex(char *out, const uint8_t *in, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
}

/* The nonce that expires at `expiry` for this source. */
static void nonce_at(const struct tp_auth *auth, const struct tp_addr *client, uint32_t expiry,
		char out[TP_NONCE_LEN])
{
	const uint8_t be[4] = { (uint8_t)(expiry >> 24), (uint8_t)(expiry >> 16),
		(uint8_t)(expiry >> 8), (uint8_t)expiry };
	const struct tp_bytes part[] = { { be, sizeof(be) }, { client, sizeof(*client) } };
	uint8_t mac[TP_SHA256_LEN];

	tp_hmac_sha256(auth->nonce_key, sizeof(auth->nonce_key), part, 2, mac);
	to_hex(out, be, sizeof(be));
	to_hex(out + 2 * sizeof(be), mac, (TP_NONCE_LEN - 2 * sizeof(be)) / 2);
}

void tp_auth_nonce(const struct tp_auth *auth, const struct tp_addr *client, uint64_t wall_sec,
		char out[TP_NONCE_LEN])
{
	nonce_at(auth, client, (uint32_t)(wall_sec + TP_TURN_NONCE_SEC), out);
}

static bool hex_u32(const uint8_t in[8], uint32_t *out)
{
	uint32_t v = 0;

	for (int i = 0; i < 8; i++) {
		uint8_t c = in[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else
			return false;
	}
	*out = v;
	return true;
}

bool tp_auth_nonce_ok(const struct tp_auth *auth, const struct tp_addr *client, uint64_t wall_sec,
		const struct tp_stun_value *nonce)
{
	char want[TP_NONCE_LEN];
	uint32_t expiry;

	if (nonce->len != TP_NONCE_LEN || !hex_u32(nonce->data, &expiry))
		return false;
	/* Serial arithmetic, so that the 32 bits may wrap. */
	if ((int32_t)(expiry - (uint32_t)wall_sec) <= 0)
		return false;
	nonce_at(auth, client, expiry, want);
	return tp_secret_equal(want, nonce->data, TP_NONCE_LEN);
}

/* "expiry[:id]": the leading digits are Unix seconds. */
static bool is_live_username(const struct tp_stun_value *name, uint64_t wall_sec)
{
	uint64_t expiry = 0;
	uint16_t i;

	for (i = 0; i < name->len && name->data[i] >= '0' && name->data[i] <= '9'; i++) {
		if (i >= 18)
			return false;
		expiry = expiry * 10 + (uint64_t)(name->data[i] - '0');
	}
	if (i == 0 || (i < name->len && name->data[i] != ':'))
		return false;
	return expiry > wall_sec;
}

static void secret_key(const struct tp_auth *auth, const struct tp_turn_secret *secret,
		const struct tp_stun_value *name, uint8_t key[TP_KEY_MD5_LEN])
{
	const struct tp_bytes username = { name->data, name->len };
	const struct tp_bytes realm = { auth->realm, strlen(auth->realm) };
	unsigned char password[4 * ((TP_SHA1_LEN + 2) / 3) + 1];
	uint8_t mac[TP_SHA1_LEN];
	int n;

	tp_hmac_sha1(secret->data, secret->len, &username, 1, mac);
	n = EVP_EncodeBlock(password, mac, sizeof(mac));
	assert(n == sizeof(password) - 1);
	tp_key_long_term(&username, &realm, &(struct tp_bytes){ password, (size_t)n }, key);
	tp_secret_wipe(password, sizeof(password));
	tp_secret_wipe(mac, sizeof(mac));
}

int tp_auth_check(const struct tp_auth *auth, const struct tp_stun_msg *msg, uint64_t wall_sec,
		uint8_t key[TP_KEY_MD5_LEN])
{
	const struct tp_stun_value *name = &msg->attr[TP_STUN_USERNAME_AT];
	/* Only compared, never written through. */
	const struct user want = { .name = (char *)(uintptr_t)name->data, .len = name->len };
	const struct user *user;

	if (name->len == 0 || name->len > TP_STUN_USERNAME_MAX ||
			memchr(name->data, 0, name->len) != NULL)
		return -EACCES;
	user = bsearch(&want, auth->users, auth->n_users, sizeof(*auth->users), compare_user);
	if (user != NULL) {
		memcpy(key, user->key, TP_KEY_MD5_LEN);
		return tp_integrity_check(msg, key, TP_KEY_MD5_LEN) == 0 ? 0 : -EACCES;
	}
	if (!is_live_username(name, wall_sec))
		return -EACCES;
	for (uint32_t i = 0; i < auth->n_secrets; i++) {
		secret_key(auth, &auth->secrets[i], name, key);
		if (tp_integrity_check(msg, key, TP_KEY_MD5_LEN) == 0)
			return 0;
	}
	return -EACCES;
}
