/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: RFC 8489 section 9.2.4, in its order. */
#include "model.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* Section 14.11: number, length of parameters. */
const uint8_t model_algorithms[8] = { 0, 2, 0, 0, 0, 1, 0, 0 };

static bool is_name(struct ref_value value, const char *name)
{
	return value.len == strlen(name) && memcmp(value.data, name, value.len) == 0;
}

/* "expiry[:id]" of time-limited credentials. */
static bool is_live(const struct model *m, const char *name)
{
	size_t digits = strspn(name, "0123456789");

	if (digits == 0 || digits > 18 || (name[digits] != 0 && name[digits] != ':'))
		return false;
	return strtoull(name, NULL, 10) > m->now.wall_sec;
}

static void key_of_secret(const struct model *m, const struct tp_turn_secret *secret,
		const char *name, enum tp_password_algorithm algorithm, struct tp_key *key)
{
	const struct tp_bytes user = { name, strlen(name) };
	uint8_t mac[20], password[32];
	int len;

	tp_hmac_sha1(secret->data, secret->len, &user, 1, mac);
	len = EVP_EncodeBlock(password, mac, sizeof(mac));
	tp_key_make(algorithm, &user, &(struct tp_bytes){ m->conf->realm, strlen(m->conf->realm) },
			&(struct tp_bytes){ password, (size_t)len }, key);
}

/* Nothing but 5389's, or the list as it was sent and one of it. */
static bool read_algorithm(const struct model *m, struct model_want *want,
		enum tp_password_algorithm *algorithm)
{
	struct ref_value list = ref_get(&want->msg, REF_PASSWORD_ALGORITHMS, 0);
	struct ref_value chosen = ref_get(&want->msg, REF_PASSWORD_ALGORITHM, 0);
	struct ref_value nonce = ref_get(&want->msg, REF_NONCE, 0);
	const size_t n = sizeof(model_algorithms);

	want->is_legacy = list.data == NULL && chosen.data == NULL;
	*algorithm = TP_ALGORITHM_MD5;
	if (want->is_legacy)
		return true;
	if (list.data == NULL || chosen.len != 4 ||
			(memcmp(chosen.data, model_algorithms, 4) != 0 &&
					memcmp(chosen.data, model_algorithms + 4, 4) != 0))
		return false;
	*algorithm = (enum tp_password_algorithm)chosen.data[1];
	/* What went out with a nonce that is not ours is not known. */
	return !model_nonce_is_ours(m, &want->tuple->client, nonce) ||
			(list.len == n && memcmp(list.data, model_algorithms, n) == 0);
}

/* USERNAME, else USERHASH.  @return whether somebody is named; *user NULL: not a configured one */
static bool find_user(
		const struct model *m, struct model_want *want, const struct model_user **user)
{
	struct ref_value name = ref_get(&want->msg, REF_USERNAME, 0);
	struct ref_value hash = ref_get(&want->msg, REF_USERHASH, 0);

	*user = NULL;
	for (unsigned i = 0; i < m->n_users; i++)
		if (name.data != NULL ? is_name(name, m->user[i].name)
				      : hash.len == sizeof(m->user[i].hash) &&
								memcmp(hash.data, m->user[i].hash,
										hash.len) == 0)
			*user = &m->user[i];
	if (*user != NULL)
		memcpy(want->name, (*user)->name, sizeof(want->name));
	else if (name.data != NULL && name.len > 0 && name.len < MODEL_NAME_MAX &&
			memchr(name.data, 0, name.len) == NULL)
		memcpy(want->name, name.data, name.len);
	return want->name[0] != 0;
}

/* Does anybody's key match?  Who made the allocation is known by the key it was made with. */
static bool find_key(const struct model *m, struct model_want *want,
		enum tp_password_algorithm algorithm, const struct model_user *user)
{
	const bool is_sha256 = want->msg.mi256_at != 0;

	if (want->alloc != NULL && strcmp(want->alloc->name, want->name) == 0 &&
			want->alloc->key.len == (algorithm == TP_ALGORITHM_SHA256 ? 32 : 16)) {
		want->key = want->alloc->key;
		return ref_integrity_ok(&want->msg, is_sha256, &want->key);
	}
	if (user != NULL) {
		want->key = algorithm == TP_ALGORITHM_SHA256 ? user->sha256 : user->md5;
		return ref_integrity_ok(&want->msg, is_sha256, &want->key);
	}
	if (!is_live(m, want->name))
		return false;
	for (uint32_t i = 0; i < m->conf->n_secrets; i++) {
		key_of_secret(m, &m->conf->secrets[i], want->name, algorithm, &want->key);
		if (ref_integrity_ok(&want->msg, is_sha256, &want->key))
			return true;
	}
	return false;
}

static unsigned authenticate(const struct model *m, struct model_want *want)
{
	const struct ref_msg *msg = &want->msg;
	struct ref_value nonce = ref_get(msg, REF_NONCE, 0);
	enum tp_password_algorithm algorithm;
	const struct model_user *user;

	want->is_challenge = true;
	if (msg->mi_at == 0 && msg->mi256_at == 0)
		return 401;
	if ((ref_get(msg, REF_USERNAME, 0).data == NULL &&
			    ref_get(msg, REF_USERHASH, 0).data == NULL) ||
			nonce.data == NULL || ref_get(msg, REF_REALM, 0).data == NULL ||
			!read_algorithm(m, want, &algorithm)) {
		want->is_challenge = false;
		return 400;
	}
	if (!find_user(m, want, &user) || !find_key(m, want, algorithm, user))
		return 401;
	if (!model_nonce_ok(m, &want->tuple->client, nonce))
		return 438;
	want->is_challenge = false;
	want->is_signed = true;
	return 0;
}

/* Whatever he proves later, he says that the allocation is his. */
static bool names_owner(const struct model *m, const struct model_want *want)
{
	static struct model_want copy;
	const struct model_user *user;

	if (want->alloc == NULL)
		return false;
	copy.msg = want->msg;
	memset(copy.name, 0, sizeof(copy.name));
	return find_user(m, &copy, &user) && strcmp(copy.name, want->alloc->name) == 0;
}

/* Who has not authenticated is answered so often and no more: lib/turn/flood.h. */
unsigned model_authenticate(struct model *m, struct model_want *want)
{
	const struct tp_addr *client = &want->tuple->client;
	struct ref_value nonce = ref_get(&want->msg, REF_NONCE, 0);
	bool is_owner = names_owner(m, want), is_charged = false;
	bool is_proven = !is_owner && nonce.data != NULL && model_nonce_ok(m, client, nonce);
	unsigned code;

	if (is_proven) {
		want->verdict = model_flood_check(m, client);
	} else if (!is_owner) {
		want->verdict = model_flood_answer(m, client, false);
		is_charged = true;
	}
	if (want->verdict != TP_SLOW_ANSWERED)
		return 0;
	code = authenticate(m, want);
	if (code == 0)
		return 0;
	if (is_proven)
		model_flood_failed(m, client);
	/* The owner hears that his nonce is old. */
	if (!is_charged && !(is_owner && code == 438))
		want->verdict = model_flood_answer(m, client, is_proven);
	return code;
}
