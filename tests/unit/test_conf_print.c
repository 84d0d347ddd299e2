/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed: a configuration that was loaded, and the sample with its explanations. */
#include "conf_rig.h"

static char *print_sample(void)
{
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	tp_conf_print_sample(out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void what_is_printed_loads_and_prints_the_same(void **state)
{
	static const char *const files[] = { BASE, conf_every_option,
		REALM LISTEN RELAY "auth: { secrets: [ a ] }\npeers: { deny: [] }\n",
		BASE "control: { socket: \"/\\u2028\\uFEFF\\U0001F600\\xa0 \\\"'\" }\n" };
	struct tp_conf *conf, *again;
	char *first, *second;
	size_t i;

	(void)state;
	for (i = 0; i < N(files); i++) {
		conf = conf_load_good(files[i]);
		first = conf_printed(conf);
		again = conf_load_good(first);
		second = conf_printed(again);
		assert_string_equal(first, second);
		assert_string_equal(conf->realm, again->realm);
		assert_string_equal(conf->control_socket, again->control_socket);
		assert_int_equal(conf->n_deny, again->n_deny);
		assert_int_equal(conf->n_secrets, again->n_secrets);
		free(first);
		free(second);
		tp_conf_free(conf);
		tp_conf_free(again);
	}
}

static void nothing_secret_is_printed(void **state)
{
	struct tp_conf *conf = conf_load_good(conf_every_option);
	char *text = conf_printed(conf);

	(void)state;
	assert_null(strstr(text, "wonder"));
	assert_null(strstr(text, "newest"));
	assert_null(strstr(text, "vious"));
	assert_null(strcasestr(text, "aabbccddeeff"));
	assert_non_null(strstr(text, "\"(hidden)\""));
	free(text);
	tp_conf_free(conf);
}

static void the_sample_loads(void **state)
{
	char *text = print_sample();

	(void)state;
	tp_conf_free(conf_load_good(text));
	free(text);
}

/* What stands commented out is right as well: take the marks away. */
static void the_samples_examples_load(void **state)
{
	char *text = print_sample(), *in, *out;
	bool is_start = true;
	struct tp_conf *conf;

	(void)state;
	for (in = out = text; *in != '\0'; in++) {
		bool is_mark = is_start && *in == '#' && in[1] != ' ' && in[1] != '\n';
		bool is_more = is_start && strncmp(in, "#  ", 3) == 0 && in > text + 1 &&
				in[3] != ' ';

		is_start = *in == '\n' || (is_start && *in == ' ');
		if (!is_mark && !is_more)
			*out++ = *in;
	}
	*out = '\0';
	conf = conf_load_good(text);
	assert_int_equal(conf->n_relays, 3);
	assert_int_equal(conf->n_users, 2);
	assert_int_equal(conf->n_secrets, 2);
	assert_int_equal(conf->n_allow, 2);
	assert_true(conf->has_metrics);
	tp_conf_free(conf);
	free(text);
}

static void the_shipped_file_is_the_sample(void **state)
{
	const char *root = getenv("TP_SOURCE_ROOT");
	char path[4096], *text, *want;
	FILE *f;
	size_t n;

	(void)state;
	if (root == NULL)
		skip();
	want = print_sample();
	snprintf(path, sizeof(path), "%s/config/turnpike.yaml", root);
	f = fopen(path, "r");
	assert_non_null(f);
	text = calloc(1, strlen(want) + 2);
	n = fread(text, 1, strlen(want) + 1, f);
	fclose(f);
	assert_int_equal(n, strlen(want));
	assert_string_equal(text, want);
	free(text);
	free(want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_printed_loads_and_prints_the_same),
		cmocka_unit_test(nothing_secret_is_printed),
		cmocka_unit_test(the_sample_loads),
		cmocka_unit_test(the_samples_examples_load),
		cmocka_unit_test(the_shipped_file_is_the_sample),
	};

	return cmocka_run_group_tests_name(
			"conf_print", tests, conf_enter_directory, conf_leave_directory);
}
