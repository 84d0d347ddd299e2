/* SPDX-License-Identifier: Apache-2.0 */
#include "opaque.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
static const struct {
	const char *what, *in, *want; /* NULL: refused */
} cases[] = {
	{ "ASCII stays", "Tr0ub4dor & \"3'\\ ~", "Tr0ub4dor & \"3'\\ ~" },
	{ "spaces stay, at the ends as well", "  a  ", "  a  " },
	{ "case stays", "\xc3\x84pfel", "\xc3\x84pfel" },
	{ "RFC 8489 B.1: Katakana is unaffected",
	  "\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9",
	  "\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9" },
	{ "RFC 8265 4.2.2: form C, not D", "e\xcc\x81", "\xc3\xa9" },
	{ "form C already", "\xc3\xa9", "\xc3\xa9" },
	{ "Hangul syllables are composed",
	  "\xe1\x84\x80\xe1\x85\xa1", "\xea\xb0\x80" },
	{ "form C, not KC: a Roman numeral stays", "\xe2\x85\xa8", "\xe2\x85\xa8" },
	{ "full width stays", "\xef\xbc\xa1", "\xef\xbc\xa1" },
	{ "no-break space", "a\xc2\xa0" "b", "a b" },
	{ "em space", "\xe2\x80\x83", " " },
	{ "Ogham space", "a\xe1\x9a\x80", "a " },
	{ "ideographic space", "\xe3\x80\x80x", " x" },
	{ "RFC 8265 4.3: symbols", "\xcf\x80\xc3\x9f\xc3\xa5", "\xcf\x80\xc3\x9f\xc3\xa5" },
	{ "an emoji", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
	{ "zero width joiner", "\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d", "\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d" },
	{ "nothing", "", NULL },
	{ "ASCII control", "a\tb", NULL },
	{ "delete", "a\x7f", NULL },
	{ "C1 control", "a\xc2\x85", NULL },
	{ "soft hyphen", "The\xc2\xadM", NULL },
	{ "byte order mark", "\xef\xbb\xbfx", NULL },
	{ "zero width space", "a\xe2\x80\x8b", NULL },
	{ "line separator", "a\xe2\x80\xa8", NULL },
	{ "right-to-left override", "a\xe2\x80\xae", NULL },
	{ "private use", "\xee\x80\x80", NULL },
	{ "not UTF-8", "\xff", NULL },
	{ "cut short", "a\xc3", NULL },
	{ "overlong", "\xc0\xaf", NULL },
	{ "a surrogate", "\xed\xa0\x80", NULL },
};
/* clang-format on */

static void opaque_strings(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		char *got = NULL;
		int rc = tp_opaque_string(cases[i].in, &got);

		if (cases[i].want == NULL ? rc != -EINVAL || got != NULL
					  : rc != 0 || strcmp(got, cases[i].want) != 0)
			fail_msg("%s: %d %s", cases[i].what, rc, got != NULL ? got : "");
		free(got);
	}
}

/* What was processed once is not changed by doing it again. */
static void it_is_idempotent(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		char *once = NULL, *twice = NULL;

		if (tp_opaque_string(cases[i].in, &once) < 0)
			continue;
		assert_int_equal(tp_opaque_string(once, &twice), 0);
		assert_string_equal(once, twice);
		free(once);
		free(twice);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opaque_strings),
		cmocka_unit_test(it_is_idempotent),
	};

	return cmocka_run_group_tests_name("opaque", tests, NULL, NULL);
}
