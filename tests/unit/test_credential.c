/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/credential.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void the_expiry_is_the_number_in_front(void **state)
{
	static const struct {
		const char *name;
		bool want;
		uint64_t expiry;
	} cases[] = {
		{ "1700000600", true, 1700000600 },
		{ "1700000600:carol", true, 1700000600 },
		{ "1700000600:", true, 1700000600 },
		{ "1700000600:a:b", true, 1700000600 },
		{ "0", true, 0 },
		{ "00001700000600:a", true, 1700000600 },
		{ "999999999999999999", true, 999999999999999999 },
		{ "1000000000000000000", false, 0 },
		{ "18446744073709551617:a", false, 0 },
		{ "", false, 0 },
		{ ":carol", false, 0 },
		{ "carol", false, 0 },
		{ "17x", false, 0 },
		{ "17-carol", false, 0 },
		{ "+17", false, 0 },
		{ "-1", false, 0 },
		{ " 17", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		const struct tp_bytes name = { cases[i].name, strlen(cases[i].name) };
		uint64_t expiry = 0;

		if (tp_credential_expiry(&name, &expiry) != cases[i].want ||
				expiry != cases[i].expiry)
			fail_msg("%s", cases[i].name);
	}
}

/* A name has a length and no end of its own. */
static void what_lies_behind_the_name_is_not_read(void **state)
{
	uint64_t expiry = 0;

	(void)state;
	assert_true(tp_credential_expiry(&(struct tp_bytes){ "1234", 2 }, &expiry));
	assert_int_equal(expiry, 12);
	assert_true(tp_credential_expiry(&(struct tp_bytes){ "12x", 2 }, &expiry));
}

/* printf %s NAME | openssl dgst -HASH -hmac SECRET -binary | base64 */
static void the_password_is_base64_of_the_hmac(void **state)
{
	static const struct {
		enum tp_credential_hmac hmac;
		const char *want;
	} cases[] = {
		{ TP_CREDENTIAL_SHA1, "xeZlV52uMoVV+imWhJj3Q6ucTWo=" },
		{ TP_CREDENTIAL_SHA256, "6JgKgpGctuNOW+j07qQk7lWhUcqj5d8Iq1tksHjTwZo=" },
	};
	const struct tp_bytes secret = { "north", 5 }, name = { "1433895918:carol", 16 };
	char password[TP_CREDENTIAL_PASSWORD_ROOM];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(tp_credential_password(cases[i].hmac, &secret, &name, password),
				strlen(cases[i].want));
		assert_string_equal(password, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_expiry_is_the_number_in_front),
		cmocka_unit_test(what_lies_behind_the_name_is_not_read),
		cmocka_unit_test(the_password_is_base64_of_the_hmac),
	};

	return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}
