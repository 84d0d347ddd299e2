/* SPDX-License-Identifier: Apache-2.0 */
#include "ephemeral.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct {
	const char *what, *range, *reserved;
	uint16_t min, max;
	bool want;
} cases[] = {
	{ "Linux's default", "32768\t60999", "", 49152, 65535, true },
	{ "the range ends below", "32768\t49151", "", 49152, 65535, false },
	{ "by one port", "32768\t49152", "", 49152, 65535, true },
	{ "the range begins above", "60000\t60999", "", 49152, 59999, false },
	{ "by one port, above", "60000\t60999", "", 49152, 60000, true },
	{ "all reserved", "32768\t60999", "49152-65535", 49152, 65535, false },
	{ "more reserved", "32768\t60999", "80,8080,40000-65535", 49152, 65535, false },
	{ "one is not reserved", "32768\t60999", "49152-49999,50001-65535", 49152, 65535, true },
	{ "reserved one by one", "32768\t60999", "50000,50001,50002", 50000, 50002, false },
	{ "others reserved", "32768\t60999", "1-49151", 49152, 65535, true },
	{ "nonsense is nothing reserved", "32768\t60999", "all of them", 49152, 65535, true },
	{ "numbers that are too large", "32768\t999999", "49152-99999999", 49152, 65535, false },
	{ "no range", "", "", 49152, 65535, false },
};

static void ports_are_among_the_ephemeral_ones_unless_reserved(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tp_ephemeral_overlap(cases[i].range, cases[i].reserved, cases[i].min,
				    cases[i].max) != cases[i].want)
			fail_msg("%s", cases[i].what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_are_among_the_ephemeral_ones_unless_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
