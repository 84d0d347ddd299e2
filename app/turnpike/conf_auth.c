/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_check.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "opaque.h"
#include "wire/integrity.h"

static uint8_t hex_digit(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static void key_from_hex(const char *text, uint8_t len, struct tp_key *key)
{
	key->len = len;
	for (size_t i = 0; i < len; i++)
		key->data[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
}

/* What is text by now can be processed: the form was checked. */
static int opaque(const char *text, char **out)
{
	int err = tp_opaque_string(text, out);

	assert(err != -EINVAL);
	return err;
}

static int keys_from_password(const char *realm, const char *raw, struct tp_turn_user *user)
{
	const struct tp_bytes n = { user->name, strlen(user->name) }, r = { realm, strlen(realm) };
	char *password;
	int err = opaque(raw, &password);

	if (err < 0)
		return err;
	tp_key_make(TP_ALGORITHM_MD5, &n, &r, &(struct tp_bytes){ password, strlen(password) },
			&user->md5);
	tp_key_make(TP_ALGORITHM_SHA256, &n, &r, &(struct tp_bytes){ password, strlen(password) },
			&user->sha256);
	tp_secret_wipe(password, strlen(password));
	free(password);
	return 0;
}

static int build_user(struct tp_conf_file *file, const struct tp_conf_raw *raw,
		const struct tp_conf *conf, uint32_t i)
{
	const struct tp_conf_raw_user *from = &raw->auth.users[i];
	const bool has_key = from->key != NULL || from->key_sha256 != NULL;
	struct tp_turn_user *user = &conf->users[i];
	int err = opaque(from->name, &user->name);

	if (err < 0)
		return err;
	if ((from->password == NULL) != has_key)
		tp_conf_error(file, tp_conf_path("auth.users[%u]", i).text,
				"must have a password or a key, %s",
				!has_key ? "and has neither" : "not both");
	else if (!has_key)
		err = keys_from_password(conf->realm, from->password, user);
	if (from->key != NULL)
		key_from_hex(from->key, TP_KEY_MD5_LEN, &user->md5);
	if (from->key_sha256 != NULL)
		key_from_hex(from->key_sha256, TP_KEY_SHA256_LEN, &user->sha256);
	return err;
}

/* Indices of users: by name, then as in the file. */
static int compare_users(const void *a, const void *b, void *users)
{
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct tp_turn_user *user = users;
	int order = strcmp(user[i].name, user[j].name);

	return order != 0 ? order : i < j ? -1 : i > j;
}

/* Sorted, because there can be many users. */
static int check_unique(struct tp_conf_file *file, const struct tp_conf *conf)
{
	uint32_t i, n = conf->n_users, *sorted = calloc(n, sizeof(*sorted));

	if (sorted == NULL)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		sorted[i] = i;
	qsort_r(sorted, n, sizeof(*sorted), compare_users, conf->users);
	for (i = 1; i < n; i++) {
		if (strcmp(conf->users[sorted[i]].name, conf->users[sorted[i - 1]].name) == 0)
			tp_conf_error(file, tp_conf_path("auth.users[%u].name", sorted[i]).text,
					"the same as auth.users[%u]", sorted[i - 1]);
	}
	free(sorted);
	return 0;
}

static int build_users(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	uint32_t i, n = raw->auth.n_users;
	int err = 0;

	if (n == 0)
		return 0;
	conf->users = calloc(n, sizeof(*conf->users));
	if (conf->users == NULL)
		return -ENOMEM;
	conf->n_users = n;
	for (i = 0; i < n && err == 0; i++)
		err = build_user(file, raw, conf, i);
	return err == 0 ? check_unique(file, conf) : err;
}

static int build_secrets(const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	uint32_t i, n = raw->auth.n_secrets;

	if (n == 0)
		return 0;
	conf->secrets = calloc(n, sizeof(*conf->secrets));
	if (conf->secrets == NULL)
		return -ENOMEM;
	conf->n_secrets = n;
	for (i = 0; i < n; i++) {
		conf->secrets[i].data = (uint8_t *)strdup(raw->auth.secrets[i]);
		if (conf->secrets[i].data == NULL)
			return -ENOMEM;
		conf->secrets[i].len = strlen(raw->auth.secrets[i]);
	}
	return 0;
}

/* ---- which algorithms are offered ---- */

static enum tp_password_algorithm find_algorithm(const char *name)
{
	const cyaml_strval_t *row = tp_conf_algorithm_names;

	while (strcmp(row->str, name) != 0)
		row++;
	return (enum tp_password_algorithm)row->val;
}

static const struct tp_key *key_of(
		const struct tp_turn_user *user, enum tp_password_algorithm algorithm)
{
	return algorithm == TP_ALGORITHM_SHA256 ? &user->sha256 : &user->md5;
}

/* Clients take the first that they know, so it must be one of which every user has a key. */
static void choose_algorithms(struct tp_conf *conf)
{
	bool has_sha256 = true;

	for (uint32_t i = 0; i < conf->n_users; i++)
		has_sha256 &= conf->users[i].sha256.len > 0;
	conf->n_algorithms = 2;
	conf->algorithms[has_sha256 ? 0 : 1] = TP_ALGORITHM_SHA256;
	conf->algorithms[has_sha256 ? 1 : 0] = TP_ALGORITHM_MD5;
}

/* A user whom no client could be. */
static void check_users_have_keys(struct tp_conf_file *file, const struct tp_conf *conf)
{
	for (uint32_t i = 0; i < conf->n_users; i++) {
		const struct tp_turn_user *user = &conf->users[i];
		bool has_key = user->md5.len + user->sha256.len ==
				0; /* that was an error already */

		for (uint8_t k = 0; k < conf->n_algorithms; k++)
			has_key |= key_of(user, conf->algorithms[k])->len > 0;
		if (!has_key)
			tp_conf_error(file, tp_conf_path("auth.users[%u]", i).text,
					"has no key of what auth.algorithms offers: %s is missing",
					user->md5.len > 0 ? "key_sha256" : "key");
	}
}

static void build_algorithms(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	const struct tp_conf_raw_auth *auth = &raw->auth;

	for (uint32_t i = 0; i < auth->n_algorithms; i++)
		conf->algorithms[conf->n_algorithms++] = find_algorithm(auth->algorithms[i]);
	if (conf->n_algorithms == 2 && conf->algorithms[0] == conf->algorithms[1])
		tp_conf_error(file, "auth.algorithms[1]", "the same as auth.algorithms[0]");
	if (conf->n_algorithms == 0)
		choose_algorithms(conf);
	else
		check_users_have_keys(file, conf);
}

int tp_conf_build_auth(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	int err;

	if (raw->auth.n_users + raw->auth.n_secrets == 0)
		tp_conf_error(file, "auth", "must have at least one user or one secret");
	conf->secret_hmac = (enum tp_credential_hmac)raw->auth.secret_hmac;
	conf->is_expiry_strict = raw->auth.strict_expiry;
	err = opaque(raw->realm, &conf->realm);
	if (err < 0)
		return err;
	err = build_users(file, raw, conf);
	if (err == 0)
		build_algorithms(file, raw, conf);
	return err == 0 ? build_secrets(raw, conf) : err;
}
