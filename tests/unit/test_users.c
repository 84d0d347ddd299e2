/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/users.h"

#include "turn_rig.h"

#define MANY 5000

static struct tp_stun_value value(const char *text)
{
	return (struct tp_stun_value){ (const uint8_t *)text, (uint16_t)strlen(text) };
}

static const struct tp_user *by_hash_of(const struct tp_users *users, const char *name)
{
	uint8_t hash[TP_STUN_USERHASH_LEN];

	tp_userhash(&(struct tp_bytes){ name, strlen(name) },
			&(struct tp_bytes){ RIG_REALM, strlen(RIG_REALM) }, hash);
	return tp_users_by_hash(users, &(struct tp_stun_value){ hash, sizeof(hash) });
}

static void every_one_of_many_is_found_by_name_and_by_hash(void **state)
{
	static char names[MANY][16];
	static struct tp_turn_user from[MANY];
	struct tp_users *users;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "u%u", i * 7919);
		from[i] = (struct tp_turn_user){ .name = names[i], .md5.len = TP_KEY_MD5_LEN };
		memcpy(from[i].md5.data, &i, sizeof(i));
	}
	assert_int_equal(tp_users_new(from, MANY, RIG_REALM, &users), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		const struct tp_stun_value name = value(names[i]);
		const struct tp_user *user = tp_users_by_name(users, &name);

		assert_non_null(user);
		assert_memory_equal(user->md5.data, &i, sizeof(i));
		assert_int_equal(user->sha256.len, 0);
		assert_ptr_equal(by_hash_of(users, names[i]), user);
	}
	assert_null(by_hash_of(users, "nobody"));
	tp_users_free(users);
}

static void names_are_compared_whole(void **state)
{
	static const char *const others[] = { "", "a", "alic", "alicea", "Alice", "bo", "alice " };
	struct rig *r = *state;
	struct tp_users *users;

	assert_int_equal(tp_users_new(r->users, 2, RIG_REALM, &users), 0);
	for (size_t i = 0; i < N(others); i++) {
		const struct tp_stun_value name = value(others[i]);

		if (tp_users_by_name(users, &name) != NULL)
			fail_msg("%s", others[i]);
		assert_null(by_hash_of(users, others[i]));
	}
	tp_users_free(users);
}

/* RFC 8489 section 14.4: 32 bytes, and all of them count. */
static void a_userhash_has_32_bytes(void **state)
{
	uint8_t hash[TP_STUN_USERHASH_LEN + 4] = { 0 };
	struct rig *r = *state;
	struct tp_users *users;

	assert_int_equal(tp_users_new(r->users, 2, RIG_REALM, &users), 0);
	tp_userhash(&(struct tp_bytes){ "bob", 3 },
			&(struct tp_bytes){ RIG_REALM, strlen(RIG_REALM) }, hash);
	for (uint16_t len = 0; len <= sizeof(hash); len++) {
		const struct tp_user *user =
				tp_users_by_hash(users, &(struct tp_stun_value){ hash, len });

		assert_int_equal(user != NULL, len == TP_STUN_USERHASH_LEN);
	}
	for (size_t i = 0; i < TP_STUN_USERHASH_LEN; i++) {
		hash[i] ^= 1;
		assert_null(tp_users_by_hash(
				users, &(struct tp_stun_value){ hash, TP_STUN_USERHASH_LEN }));
		hash[i] ^= 1;
	}
	assert_null(tp_users_by_hash(users, &(struct tp_stun_value){ NULL, 0 }));
	tp_users_free(users);
}

static void nobody_is_found_among_none(void **state)
{
	const struct tp_stun_value name = value("alice");
	struct tp_users *users;

	(void)state;
	assert_int_equal(tp_users_new(NULL, 0, RIG_REALM, &users), 0);
	assert_null(tp_users_by_name(users, &name));
	assert_null(by_hash_of(users, "alice"));
	tp_users_free(users);
	tp_users_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(every_one_of_many_is_found_by_name_and_by_hash),
		rig_test(names_are_compared_whole),
		rig_test(a_userhash_has_32_bytes),
		rig_test(nobody_is_found_among_none),
	};

	return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
