/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/auth.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "turn/users.h"
#include "wire/be.h"

#define ALGORITHM_LEN 4 /* on the wire: number, and the length of its parameters: 0 */

struct tp_auth {
	char *realm;
	uint8_t nonce_key[TP_SHA256_LEN]; /* of the process; that of the nonces is made from it */
	uint32_t features;                /* enum tp_nonce_feature */
	struct tp_nonces nonces;
	struct tp_users *users;
	struct tp_turn_secret *secrets;
	uint32_t n_secrets;
	enum tp_credential_hmac secret_hmac;
	bool is_expiry_strict;
	bool has_md5; /* offered, and with it MESSAGE-INTEGRITY */
	uint8_t n_algorithms;
	uint8_t algorithms[TP_TURN_ALGORITHMS][ALGORITHM_LEN];
};

/* ---- set-up ---- */

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

static void offer(struct tp_auth *auth, enum tp_password_algorithm algorithm)
{
	assert(auth->n_algorithms < TP_TURN_ALGORITHMS);
	tp_be16_put(auth->algorithms[auth->n_algorithms++], (uint16_t)algorithm);
	auth->has_md5 |= algorithm == TP_ALGORITHM_MD5;
}

static void make_offer(struct tp_auth *auth, const struct tp_turn_conf *conf)
{
	auth->features = TP_NONCE_PASSWORD_ALGORITHMS;
	if (conf->n_algorithms == 0) {
		offer(auth, TP_ALGORITHM_SHA256);
		offer(auth, TP_ALGORITHM_MD5);
	}
	for (uint8_t i = 0; i < conf->n_algorithms; i++)
		offer(auth, conf->algorithms[i]);
	if (conf->n_secrets == 0)
		auth->features |= TP_NONCE_USERNAME_ANONYMITY;
}

static void set_nonce_key(struct tp_auth *auth, const uint8_t key[TP_SHA256_LEN])
{
	const struct tp_bytes list = tp_auth_algorithms(auth);

	memcpy(auth->nonce_key, key, sizeof(auth->nonce_key));
	tp_nonces_init(&auth->nonces, key, auth->features, &list);
}

int tp_auth_new(const struct tp_turn_conf *conf, struct tp_auth **out)
{
	struct tp_auth *auth = calloc(1, sizeof(*auth));

	if (auth == NULL)
		return -ENOMEM;
	auth->secret_hmac = conf->secret_hmac;
	auth->is_expiry_strict = conf->is_expiry_strict;
	make_offer(auth, conf);
	set_nonce_key(auth, conf->nonce_key);
	auth->realm = strdup(conf->realm);
	if (auth->realm == NULL ||
			tp_users_new(conf->users, conf->n_users, conf->realm, &auth->users) < 0 ||
			copy_secrets(auth, conf) < 0) {
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
	tp_users_free(auth->users);
	for (i = 0; i < auth->n_secrets; i++) {
		if (auth->secrets[i].data != NULL)
			tp_secret_wipe(auth->secrets[i].data, auth->secrets[i].len);
		free(auth->secrets[i].data);
	}
	free(auth->secrets);
	free(auth->realm);
	tp_secret_wipe(auth, sizeof(*auth));
	free(auth);
}

void tp_auth_inherit(struct tp_auth *auth, const struct tp_auth *old)
{
	set_nonce_key(auth, old->nonce_key);
}

const char *tp_auth_realm(const struct tp_auth *auth)
{
	return auth->realm;
}

const struct tp_nonces *tp_auth_nonces(const struct tp_auth *auth)
{
	return &auth->nonces;
}

struct tp_bytes tp_auth_algorithms(const struct tp_auth *auth)
{
	return (struct tp_bytes){ auth->algorithms, (size_t)auth->n_algorithms * ALGORITHM_LEN };
}

/* ---- one request ---- */

/* A request while it is being looked at. */
struct request {
	const struct tp_auth *auth;
	const struct tp_stun_msg *msg;
	const struct tp_auth_owner *owner; /* may be NULL */
	uint64_t wall_sec;
	enum tp_nonce_state nonce;
	enum tp_password_algorithm algorithm;
};

/* One of those that we offer, without parameters. */
static bool read_algorithm(const struct tp_auth *auth, const struct tp_stun_value *value,
		enum tp_password_algorithm *out)
{
	if (value->len != ALGORITHM_LEN)
		return false;
	for (uint8_t i = 0; i < auth->n_algorithms; i++) {
		if (memcmp(value->data, auth->algorithms[i], ALGORITHM_LEN) == 0) {
			*out = (enum tp_password_algorithm)tp_be16_get(value->data);
			return true;
		}
	}
	return false;
}

/*
 * Bid-down protection.  Every nonce of ours has the bit "Password algorithms", and was sent with
 * the one list that we offer.  What was sent with a nonce that is not ours we can not know (before
 * a restart we may have offered something else): that request goes on, and ends with 401 or 438.
 */
static bool agree_on_algorithm(struct request *rq, bool *is_legacy)
{
	const struct tp_stun_value *list = &rq->msg->attr[TP_STUN_PASSWORD_ALGORITHMS_AT];
	const struct tp_stun_value *chosen = &rq->msg->attr[TP_STUN_PASSWORD_ALGORITHM_AT];
	const struct tp_bytes ours = tp_auth_algorithms(rq->auth);

	*is_legacy = list->data == NULL && chosen->data == NULL;
	rq->algorithm = TP_ALGORITHM_MD5;
	if (*is_legacy)
		return true;
	if (list->data == NULL || chosen->data == NULL ||
			!read_algorithm(rq->auth, chosen, &rq->algorithm))
		return false;
	return rq->nonce == TP_NONCE_FOREIGN ||
			(list->len == ours.len && memcmp(list->data, ours.data, ours.len) == 0);
}

/* Who does not offer MD5 accepts neither a key of it nor HMAC-SHA1. */
static bool is_too_weak(const struct request *rq)
{
	return !rq->auth->has_md5 &&
			(rq->algorithm == TP_ALGORITHM_MD5 ||
					!tp_stun_has(rq->msg, TP_STUN_MESSAGE_INTEGRITY_SHA256_AT));
}

static bool is_signed_with(const struct request *rq, const struct tp_key *key)
{
	if (tp_stun_has(rq->msg, TP_STUN_MESSAGE_INTEGRITY_SHA256_AT))
		return tp_integrity_sha256_check(rq->msg, key->data, key->len) == 0;
	return tp_integrity_check(rq->msg, key->data, key->len) == 0;
}

static bool is_name(const struct tp_stun_value *name)
{
	return name->len > 0 && name->len <= TP_STUN_USERNAME_MAX &&
			memchr(name->data, 0, name->len) == NULL;
}

/* @return whether USERNAME or USERHASH says who it is; *user NULL: not a configured one */
static bool find_user(const struct tp_auth *auth, const struct tp_stun_msg *msg,
		const struct tp_user **user, struct tp_stun_value *name)
{
	const struct tp_stun_value *username = &msg->attr[TP_STUN_USERNAME_AT];

	if (username->data != NULL) {
		*name = *username;
		*user = is_name(name) ? tp_users_by_name(auth->users, name) : NULL;
		return is_name(name);
	}
	*user = tp_users_by_hash(auth->users, &msg->attr[TP_STUN_USERHASH_AT]);
	if (*user == NULL)
		return false;
	*name = (*user)->name;
	return true;
}

bool tp_auth_name(const struct tp_auth *auth, const struct tp_stun_msg *msg,
		struct tp_stun_value *name)
{
	const struct tp_user *user;

	return find_user(auth, msg, &user, name);
}

static bool is_owner(const struct request *rq, const struct tp_stun_value *name)
{
	return rq->owner != NULL && rq->owner->name.len == name->len &&
			memcmp(rq->owner->name.data, name->data, name->len) == 0 &&
			rq->owner->key->len == tp_key_len(rq->algorithm);
}

static enum tp_auth_result accepted(const struct request *rq, bool is_legacy)
{
	if (rq->nonce != TP_NONCE_FRESH)
		return TP_AUTH_STALE_NONCE;
	if (is_legacy)
		return TP_AUTH_ACCEPTED_LEGACY;
	return rq->algorithm == TP_ALGORITHM_SHA256 ? TP_AUTH_ACCEPTED_SHA256
						    : TP_AUTH_ACCEPTED_MD5;
}

static bool try_secrets(const struct request *rq, struct tp_credentials *c)
{
	const struct tp_auth *auth = rq->auth;
	const struct tp_bytes username = { c->name.data, c->name.len };
	const struct tp_bytes realm = { auth->realm, strlen(auth->realm) };
	char password[TP_CREDENTIAL_PASSWORD_ROOM];
	bool is_right = false;

	for (uint32_t i = 0; i < auth->n_secrets && !is_right; i++) {
		const struct tp_bytes secret = { auth->secrets[i].data, auth->secrets[i].len };
		struct tp_bytes text = { password, 0 };

		text.len = tp_credential_password(auth->secret_hmac, &secret, &username, password);
		tp_key_make(rq->algorithm, &username, &realm, &text, &c->key);
		is_right = is_signed_with(rq, &c->key);
	}
	tp_secret_wipe(password, sizeof(password));
	return is_right;
}

/* A name that is no configured user's. */
static enum tp_auth_result check_time_limited(const struct request *rq, struct tp_credentials *c)
{
	const struct tp_bytes username = { c->name.data, c->name.len };
	const bool has_owner_key = is_owner(rq, &c->name);
	uint64_t expiry_sec = 0;

	/* Nor was it ever, or it is so no longer, and then its allocation is of no use either. */
	if (rq->auth->n_secrets == 0 || !tp_credential_expiry(&username, &expiry_sec))
		return TP_AUTH_UNKNOWN_USER;
	if (expiry_sec <= rq->wall_sec && (!has_owner_key || rq->auth->is_expiry_strict))
		return TP_AUTH_EXPIRED;
	if (has_owner_key) {
		c->key = *rq->owner->key;
		return is_signed_with(rq, &c->key) ? accepted(rq, c->is_legacy)
						   : TP_AUTH_WRONG_PASSWORD;
	}
	return try_secrets(rq, c) ? accepted(rq, c->is_legacy) : TP_AUTH_WRONG_PASSWORD;
}

static enum tp_auth_result check_user(
		const struct request *rq, const struct tp_user *user, struct tp_credentials *c)
{
	c->key = rq->algorithm == TP_ALGORITHM_SHA256 ? user->sha256 : user->md5;
	if (c->key.len == 0)
		return TP_AUTH_NO_KEY;
	return is_signed_with(rq, &c->key) ? accepted(rq, c->is_legacy) : TP_AUTH_WRONG_PASSWORD;
}

static enum tp_auth_result check(struct request *rq, struct tp_credentials *c)
{
	const struct tp_stun_msg *msg = rq->msg;
	const struct tp_user *user;

	if (!tp_stun_has(msg, TP_STUN_MESSAGE_INTEGRITY_AT) &&
			!tp_stun_has(msg, TP_STUN_MESSAGE_INTEGRITY_SHA256_AT))
		return TP_AUTH_CHALLENGED;
	if ((!tp_stun_has(msg, TP_STUN_USERNAME_AT) && !tp_stun_has(msg, TP_STUN_USERHASH_AT)) ||
			!tp_stun_has(msg, TP_STUN_REALM_AT) || !tp_stun_has(msg, TP_STUN_NONCE_AT))
		return TP_AUTH_INCOMPLETE;
	if (!agree_on_algorithm(rq, &c->is_legacy))
		return TP_AUTH_BAD_ALGORITHMS;
	if (is_too_weak(rq))
		return TP_AUTH_TOO_WEAK;
	if (!find_user(rq->auth, msg, &user, &c->name))
		return TP_AUTH_UNKNOWN_USER;
	return user != NULL ? check_user(rq, user, c) : check_time_limited(rq, c);
}

enum tp_auth_result tp_auth_check(const struct tp_auth *auth, const struct tp_stun_msg *msg,
		enum tp_nonce_state nonce, uint64_t wall_sec, const struct tp_auth_owner *owner,
		struct tp_credentials *out)
{
	struct request rq = {
		.auth = auth,
		.msg = msg,
		.nonce = nonce,
		.owner = owner,
		.wall_sec = wall_sec,
	};
	enum tp_auth_result result;

	*out = (struct tp_credentials){ .key = { .len = 0 } };
	result = check(&rq, out);
	if (tp_auth_result_error(result) != TP_STUN_OK)
		tp_secret_wipe(&out->key, sizeof(out->key));
	return result;
}
