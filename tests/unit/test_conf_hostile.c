/* SPDX-License-Identifier: Apache-2.0 */
/* What is no configuration file at all, or a good one damaged: no harm, and a reason. */
#include "conf_rig.h"

#include <errno.h>

static void files_that_can_not_be_read_are_errors(void **state)
{
	static const struct {
		const char *path;
		int want;
		const char *message;
	} cases[] = {
		{ "absent.yaml", -ENOENT, "absent.yaml: No such file or directory\n" },
		{ ".", -EISDIR, ".: Is a directory\n" },
		{ "/dev/zero", -EFBIG, "/dev/zero: File too large\n" },
	};
	struct tp_conf *conf;
	char *messages;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_int_equal(conf_load_path(cases[i].path, &messages, &conf), cases[i].want);
		assert_string_equal(messages, cases[i].message);
		free(messages);
	}
}

static void a_flood_of_errors_is_counted(void **state)
{
	FILE *f = fopen(FILE_NAME, "w");
	struct tp_conf *conf;
	char *messages;
	uint32_t i;

	(void)state;
	assert_non_null(f);
	for (i = 0; i < 150; i++)
		fprintf(f, "zz%u: 1\n", i);
	fclose(f);
	/* 150 unknown, 4 missing, 100 shown */
	assert_int_equal(conf_load_path(FILE_NAME, &messages, &conf), -EINVAL);
	assert_non_null(strstr(messages, "zz99: "));
	assert_null(strstr(messages, "zz100: "));
	assert_non_null(strstr(messages, "\n" FILE_NAME ": 54 more errors\n"));
	free(messages);
}

/* A million brackets; libyaml alone takes minutes for them. */
static void deep_nesting_ends_early(void **state)
{
	size_t i, len = 1 << 20;
	char *text = malloc(len), *messages;
	struct tp_conf *conf;

	(void)state;
	for (i = 0; i < len; i++)
		text[i] = i % 2 == 0 ? '[' : '{';
	conf_write_file(text, len);
	assert_int_equal(conf_load_path(FILE_NAME, &messages, &conf), -EINVAL);
	assert_string_equal(messages, FILE_NAME ":1: nested too deeply\n");
	free(messages);
	free(text);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void garbage_is_refused_without_harm(void **state)
{
	uint32_t seed = 1, i, j;
	struct tp_conf *conf;
	uint8_t data[256];
	char *messages;

	(void)state;
	for (i = 0; i < 500; i++) {
		for (j = 0; j < sizeof(data); j++)
			data[j] = (uint8_t)next_random(&seed);
		conf_write_file(data, sizeof(data));
		assert_int_equal(conf_load_path(FILE_NAME, &messages, &conf), -EINVAL);
		assert_true(strlen(messages) > 0);
		free(messages);
	}
}

/* Whatever a good file becomes, it loads or is refused with a reason. */
static void damage_to_a_good_file_does_no_harm(void **state)
{
	static const char special[] = "[]{}:,-#&*!|>'\"%@`\n\t \\0~";
	char text[sizeof(conf_every_option)], *messages;
	uint32_t seed = 2, i, n;
	struct tp_conf *conf;

	(void)state;
	for (i = 0; i < 3000; i++) {
		memcpy(text, conf_every_option, sizeof(text));
		for (n = 1 + next_random(&seed) % 3; n > 0; n--)
			text[next_random(&seed) % (sizeof(text) - 1)] =
					special[next_random(&seed) % (sizeof(special) - 1)];
		if (conf_load(text, &messages, &conf) < 0)
			assert_true(strlen(messages) > 0);
		else
			assert_string_equal(messages, "");
		free(messages);
		tp_conf_free(conf);
	}
}

/* A file cut anywhere. */
static void halves_of_a_good_file_do_no_harm(void **state)
{
	struct tp_conf *conf;
	char *messages;
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(conf_every_option); len++) {
		conf_write_file(conf_every_option, len);
		conf_load_path(FILE_NAME, &messages, &conf);
		free(messages);
		tp_conf_free(conf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_that_can_not_be_read_are_errors),
		cmocka_unit_test(a_flood_of_errors_is_counted),
		cmocka_unit_test(deep_nesting_ends_early),
		cmocka_unit_test(garbage_is_refused_without_harm),
		cmocka_unit_test(damage_to_a_good_file_does_no_harm),
		cmocka_unit_test(halves_of_a_good_file_do_no_harm),
	};

	return cmocka_run_group_tests_name(
			"conf_hostile", tests, conf_enter_directory, conf_leave_directory);
}
