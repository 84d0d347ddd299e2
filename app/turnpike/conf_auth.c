/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/integrity.h"

static uint8_t hex_digit(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static void key_from_hex(const char *text, uint8_t key[TP_KEY_MD5_LEN])
{
	size_t i;

	for (i = 0; i < TP_KEY_MD5_LEN; i++)
		key[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
}

static void key_from_password(
		const char *realm, const struct tp_conf_raw_user *raw, uint8_t key[TP_KEY_MD5_LEN])
{
	tp_key_long_term(&(struct tp_bytes){ raw->name, strlen(raw->name) },
			&(struct tp_bytes){ realm, strlen(realm) },
			&(struct tp_bytes){ raw->password, strlen(raw->password) }, key);
}

static int build_user(struct tp_conf_file *file, const struct tp_conf_raw *raw, uint32_t i,
		struct tp_turn_user *user)
{
	const struct tp_conf_raw_user *from = &raw->auth.users[i];

	user->name = strdup(from->name);
	if (user->name == NULL)
		return -ENOMEM;
	if ((from->password == NULL) == (from->key == NULL))
		tp_conf_error(file, tp_conf_path("auth.users[%u]", i).text,
				"must have a password or a key, %s",
				from->key == NULL ? "and has neither" : "not both");
	else if (from->key != NULL)
		key_from_hex(from->key, user->key);
	else
		key_from_password(raw->realm, from, user->key);
	return 0;
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
		err = build_user(file, raw, i, &conf->users[i]);
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

int tp_conf_build_auth(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	int err;

	if (raw->auth.n_users + raw->auth.n_secrets == 0)
		tp_conf_error(file, "auth", "must have at least one user or one secret");
	conf->realm = strdup(raw->realm);
	if (conf->realm == NULL)
		return -ENOMEM;
	err = build_users(file, raw, conf);
	return err == 0 ? build_secrets(raw, conf) : err;
}
