/* SPDX-License-Identifier: Apache-2.0 */
/* What the section `auth` comes to: keys, algorithms, secrets. */
#include "conf_rig.h"

#include <errno.h>

#define HEX16 "00112233445566778899aabbccddeeff"
#define HEX32 HEX16 "FFEEDDCCBBAA99887766554433221100"

/* The section is in line 4.  @param[out] messages  to be freed */
static int load(const char *auth, char **messages, struct tp_conf **conf)
{
	char text[1024];

	assert_in_range(snprintf(text, sizeof(text), REALM LISTEN RELAY "auth: %s\n", auth), 1,
			sizeof(text) - 1);
	return conf_load(text, messages, conf);
}

static struct tp_conf *load_good(const char *auth)
{
	struct tp_conf *conf;
	char *messages;

	if (load(auth, &messages, &conf) != 0)
		fail_msg("%s: %s", auth, messages);
	free(messages);
	return conf;
}

static struct tp_key key_of(enum tp_password_algorithm algorithm, const char *user,
		const char *realm, const char *password)
{
	struct tp_key key = { 0 };

	tp_key_make(algorithm, &(struct tp_bytes){ user, strlen(user) },
			&(struct tp_bytes){ realm, strlen(realm) },
			&(struct tp_bytes){ password, strlen(password) }, &key);
	return key;
}

static void assert_keys(const struct tp_turn_user *user, const char *name, const char *password)
{
	const struct tp_key md5 = key_of(TP_ALGORITHM_MD5, name, "example.org", password);
	const struct tp_key sha256 = key_of(TP_ALGORITHM_SHA256, name, "example.org", password);

	assert_string_equal(user->name, name);
	assert_int_equal(user->md5.len, TP_KEY_MD5_LEN);
	assert_int_equal(user->sha256.len, TP_KEY_SHA256_LEN);
	assert_memory_equal(user->md5.data, md5.data, md5.len);
	assert_memory_equal(user->sha256.data, sha256.data, sha256.len);
}

/* RFC 8656 section 6: the key is kept, and the password is not. */
static void a_password_becomes_both_keys(void **state)
{
	struct tp_conf *conf = load_good("{ users: [ { name: alice, password: wonder } ] }");

	(void)state;
	assert_keys(&conf->users[0], "alice", "wonder");
	tp_conf_free(conf);
}

/* RFC 8489 section 18.5.1: OpaqueString (RFC 8265) before hashing, as clients do. */
static void names_and_passwords_are_opaque_strings(void **state)
{
	struct tp_conf *conf = load_good("{ users: [ { name: \"e\\u0301\", password: "
					 "\"a\\u00a0o\\u0308\" }, { name: x, password: "
					 "\"a \\u00f6\" } ] }");

	(void)state;
	assert_keys(&conf->users[0], "\xc3\xa9", "a \xc3\xb6");
	assert_keys(&conf->users[1], "x", "a \xc3\xb6");
	tp_conf_free(conf);
}

static void a_user_has_one_key_or_both(void **state)
{
	struct tp_conf *conf = load_good("{ users: [ { name: a, key: " HEX16 " }, { name: b, "
					 "key_sha256: " HEX32 " }, { name: c, key: " HEX16
					 ", key_sha256: " HEX32 " } ] }");
	static const struct {
		uint8_t md5, sha256;
	} want[] = { { 16, 0 }, { 0, 32 }, { 16, 32 } };

	(void)state;
	for (size_t i = 0; i < N(want); i++) {
		assert_int_equal(conf->users[i].md5.len, want[i].md5);
		assert_int_equal(conf->users[i].sha256.len, want[i].sha256);
	}
	assert_int_equal(conf->users[2].md5.data[15], 0xff);
	assert_int_equal(conf->users[2].sha256.data[16], 0xff);
	assert_int_equal(conf->users[2].sha256.data[31], 0x00);
	tp_conf_free(conf);
}

/* Clients take the first algorithm that they know, so it is one that every user has. */
static void what_is_offered(void **state)
{
	static const struct {
		const char *auth;
		uint8_t n;
		enum tp_password_algorithm algorithms[2];
	} cases[] = {
		{ "{ secrets: [ s ] }", 2, { TP_ALGORITHM_SHA256, TP_ALGORITHM_MD5 } },
		{ "{ users: [ { name: a, password: b } ] }", 2,
				{ TP_ALGORITHM_SHA256, TP_ALGORITHM_MD5 } },
		{ "{ users: [ { name: a, password: b }, { name: c, key: " HEX16 " } ] }", 2,
				{ TP_ALGORITHM_MD5, TP_ALGORITHM_SHA256 } },
		{ "{ users: [ { name: c, key_sha256: " HEX32 " } ] }", 2,
				{ TP_ALGORITHM_SHA256, TP_ALGORITHM_MD5 } },
		{ "{ algorithms: [ md5, sha256 ], secrets: [ s ] }", 2,
				{ TP_ALGORITHM_MD5, TP_ALGORITHM_SHA256 } },
		{ "{ algorithms: [ sha256 ], users: [ { name: a, password: b } ] }", 1,
				{ TP_ALGORITHM_SHA256 } },
		{ "{ algorithms: [ md5 ], users: [ { name: c, key: " HEX16 " } ] }", 1,
				{ TP_ALGORITHM_MD5 } },
		/* who says so, knows that this user has old clients only */
		{ "{ algorithms: [ sha256, md5 ], users: [ { name: c, key: " HEX16 " } ] }", 2,
				{ TP_ALGORITHM_SHA256, TP_ALGORITHM_MD5 } },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct tp_conf *conf = load_good(cases[i].auth);

		if (conf->n_algorithms != cases[i].n ||
				memcmp(conf->algorithms, cases[i].algorithms,
						cases[i].n * sizeof(conf->algorithms[0])) != 0)
			fail_msg("%s", cases[i].auth);
		tp_conf_free(conf);
	}
}

static void secrets_and_their_options(void **state)
{
	struct tp_conf *conf = load_good("{ secrets: [ new, old ] }");

	(void)state;
	assert_int_equal(conf->n_secrets, 2);
	assert_int_equal(conf->secret_hmac, TP_CREDENTIAL_SHA1);
	assert_false(conf->is_expiry_strict);
	tp_conf_free(conf);
	conf = load_good("{ secrets: [ new ], secret_hmac: sha256, strict_expiry: true }");
	assert_int_equal(conf->secret_hmac, TP_CREDENTIAL_SHA256);
	assert_true(conf->is_expiry_strict);
	tp_conf_free(conf);
}

#define USER FILE_NAME ":4: auth.users[0]"

static void what_is_refused(void **state)
{
	static const struct {
		const char *auth, *message;
	} cases[] = {
		{ "{ users: [ { name: a } ] }",
				USER ": must have a password or a key, and has neither\n" },
		{ "{ users: [ { name: a, password: b, key_sha256: " HEX32 " } ] }",
				USER ": must have a password or a key, not both\n" },
		{ "{ users: [ { name: a, key: " HEX32 " } ] }",
				USER ".key: (hidden): must be 32 hexadecimal digits\n" },
		{ "{ users: [ { name: a, key_sha256: " HEX16 " } ] }",
				USER ".key_sha256: (hidden): must be 64 hexadecimal digits\n" },
		{ "{ users: [ { name: a, key_sha256: \"" HEX16
		  "g0000000000000000000000000000000\" } ] }",
				USER ".key_sha256: (hidden): must be 64 hexadecimal digits\n" },
		{ "{ users: [ { name: a, password: \"b\\u00ad\" } ] }",
				USER ".password: (hidden): must be text without invisible or "
				     "private characters (RFC 8265, OpaqueString)\n" },
		{ "{ users: [ { name: \"\\u00e9\", password: b }, { name: \"e\\u0301\", password: "
		  "c } ] }",
				FILE_NAME ":4: auth.users[1].name: e\\xcc\\x81: the same as "
					  "auth.users[0]\n" },
		{ "{ algorithms: [ sha256 ], users: [ { name: a, key: " HEX16 " } ] }",
				USER ": has no key of what auth.algorithms offers: key_sha256 is "
				     "missing\n" },
		{ "{ algorithms: [ md5 ], users: [ { name: a, key_sha256: " HEX32 " } ] }",
				USER ": has no key of what auth.algorithms offers: key is "
				     "missing\n" },
		{ "{ algorithms: [ md5, md5 ], secrets: [ s ] }",
				FILE_NAME ":4: auth.algorithms[1]: md5: the same as "
					  "auth.algorithms[0]\n" },
		{ "{ algorithms: [], secrets: [ s ] }",
				FILE_NAME ":4: auth.algorithms: 0 entries: must be 1-2\n" },
		{ "{ algorithms: [ sha1 ], secrets: [ s ] }",
				FILE_NAME ":4: auth.algorithms[0]: sha1: must be sha256 or md5\n" },
		{ "{ secret_hmac: md5, secrets: [ s ] }",
				FILE_NAME ":4: auth.secret_hmac: md5: must be sha1 or sha256\n" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct tp_conf *conf;
		char *messages;

		assert_int_equal(load(cases[i].auth, &messages, &conf), -EINVAL);
		assert_string_equal(messages, cases[i].message);
		free(messages);
	}
}

static void keys_are_not_printed_and_the_rest_is(void **state)
{
	struct tp_conf *conf = load_good("{ users: [ { name: c, key: " HEX16 ", key_sha256: " HEX32
					 " } ], secrets: [ hush ], strict_expiry: true }");
	char *text = conf_printed(conf);

	(void)state;
	assert_null(strcasestr(text, "aabbcc"));
	assert_null(strstr(text, "hush"));
	assert_non_null(strstr(text, "  secret_hmac: sha1\n"));
	assert_non_null(strstr(text, "  strict_expiry: true\n"));
	assert_non_null(strstr(text, "  algorithms: [ sha256, md5 ]\n"));
	free(text);
	tp_conf_free(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_becomes_both_keys),
		cmocka_unit_test(names_and_passwords_are_opaque_strings),
		cmocka_unit_test(a_user_has_one_key_or_both),
		cmocka_unit_test(what_is_offered),
		cmocka_unit_test(secrets_and_their_options),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(keys_are_not_printed_and_the_rest_is),
	};

	return cmocka_run_group_tests_name(
			"conf_auth", tests, conf_enter_directory, conf_leave_directory);
}
