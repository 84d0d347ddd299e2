/* SPDX-License-Identifier: Apache-2.0 */
#include "login.h"

#include <errno.h>
#include <string.h>

int tp_login_set_realm(struct tp_login *login, const void *realm, size_t len)
{
	const struct tp_bytes username = { login->username, strlen(login->username) };
	const struct tp_bytes password = { login->password, strlen(login->password) };

	if (len == 0 || len > TP_STUN_REALM_MAX)
		return -EINVAL;
	if (len == login->realm_len && memcmp(realm, login->realm, len) == 0)
		return 0;
	memcpy(login->realm, realm, len);
	login->realm_len = (uint16_t)len;
	tp_key_long_term(&username, &(struct tp_bytes){ realm, len }, &password, login->key);
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
	tp_stun_put_integrity(b, login->key, sizeof(login->key));
}
