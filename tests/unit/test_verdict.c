/* SPDX-License-Identifier: Apache-2.0 */
#include "base/verdict.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Both spaces have the same shape, so that one set of checks serves. */
struct space {
	const char *(*name)(int v);
	const char *(*help)(int v);
	int count;
};

static const char *fast_name(int v)
{
	return tp_verdict_name((enum tp_verdict)v);
}

static const char *fast_help(int v)
{
	return tp_verdict_help((enum tp_verdict)v);
}

static const char *slow_name(int v)
{
	return tp_slow_verdict_name((enum tp_slow_verdict)v);
}

static const char *slow_help(int v)
{
	return tp_slow_verdict_help((enum tp_slow_verdict)v);
}

static const struct space spaces[] = {
	{ fast_name, fast_help, TP_VERDICT_COUNT },
	{ slow_name, slow_help, TP_SLOW_VERDICT_COUNT },
};

static void names_are_metric_labels(void **state)
{
	const char *c;
	size_t i;
	int v;

	(void)state;
	for (i = 0; i < 2; i++) {
		for (v = 0; v < spaces[i].count; v++) {
			assert_true(strlen(spaces[i].name(v)) > 0);
			for (c = spaces[i].name(v); *c != '\0'; c++)
				assert_true(islower((unsigned char)*c) ||
						isdigit((unsigned char)*c) || *c == '_');
		}
	}
}

static void names_are_unique(void **state)
{
	size_t i;
	int v, w;

	(void)state;
	for (i = 0; i < 2; i++)
		for (v = 0; v < spaces[i].count; v++)
			for (w = 0; w < v; w++)
				assert_string_not_equal(spaces[i].name(v), spaces[i].name(w));
}

static void every_verdict_has_one_line_of_help(void **state)
{
	size_t i;
	int v;

	(void)state;
	for (i = 0; i < 2; i++) {
		for (v = 0; v < spaces[i].count; v++) {
			assert_true(strlen(spaces[i].help(v)) > 0);
			assert_null(strchr(spaces[i].help(v), '\n'));
		}
	}
}

static void names_are_in_the_order_of_the_enum(void **state)
{
	(void)state;
	assert_string_equal(tp_verdict_name(TP_FORWARD), "forward");
	assert_string_equal(tp_verdict_name(TP_DROP_TX_FULL), "drop_tx_full");
	assert_string_equal(tp_slow_verdict_name(TP_SLOW_ANSWERED), "answered");
	assert_string_equal(tp_slow_verdict_name(TP_SLOW_DROP_SEND), "drop_send");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_metric_labels),
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(every_verdict_has_one_line_of_help),
		cmocka_unit_test(names_are_in_the_order_of_the_enum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
