/* SPDX-License-Identifier: Apache-2.0 */
#include "base/why.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void returns_the_error_and_the_sentence(void **state)
{
	struct tp_why why;

	(void)state;
	assert_int_equal(tp_why_set(&why, -ENODEV, "%s: no such interface", "eth7"), -ENODEV);
	assert_string_equal(why.text, "eth7: no such interface");
}

static void returns_the_error_to_who_does_not_ask_why(void **state)
{
	(void)state;
	assert_int_equal(tp_why_set(NULL, -ENOMEM, "%d frames", 7), -ENOMEM);
}

static void a_long_sentence_is_cut(void **state)
{
	char text[2 * sizeof(struct tp_why)];
	struct tp_why why;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(tp_why_set(&why, -EINVAL, "%s", text), -EINVAL);
	assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(returns_the_error_and_the_sentence),
		cmocka_unit_test(returns_the_error_to_who_does_not_ask_why),
		cmocka_unit_test(a_long_sentence_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
