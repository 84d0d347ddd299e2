/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload takes over, and what it can not. */
#include "conf_rig.h"
#include "conf_schema.h"

/* What tp_conf_diff() said, a line each. */
static void note(void *ctx, const char *path, const char *running, const char *file)
{
	char *text = ctx;
	size_t len = strlen(text);

	snprintf(text + len, 4096 - len, "%s: %s -> %s\n", path, running, file);
}

static const struct {
	const char *what, *running, *file, *want;
} diffs[] = {
	{ "the same", BASE, BASE, "" },
	{ "a default that is written out", BASE, BASE "dscp: copy\n", "" },
	{ "what is live", BASE "peers: { deny: [ 10.0.0.0/8 ] }\n",
			REALM LISTEN RELAY "auth: { secrets: [ sesame ] }\n"
					   "peers: { allow: [ 10.0.0.0/8 ] }\n"
					   "limits: { allocations: 5 }\n",
			"" },
	{ "numbers, names, booleans", BASE,
			BASE "dscp: clear\nlegacy_channels: true\nlimits: { channels: 7 }\n",
			"limits.channels: 65536 -> 7\n"
			"legacy_channels: false -> true\n"
			"dscp: copy -> clear\n" },
	{ "entries of lists", BASE,
			REALM
			"listen: [ { address: 192.0.2.11 }, { address: 192.0.2.12, port: 9 } ]\n"
			"relay: { addresses: [ { address: 192.0.2.10, external: 192.0.2.99 } ] }\n" AUTH,
			"listen[0].address: 192.0.2.10 -> 192.0.2.11\n"
			"listen[1].address: (absent) -> 192.0.2.12\n"
			"listen[1].port: (absent) -> 9\n"
			"listen[1].anycast: (absent) -> false\n"
			"relay.addresses[0].external: (absent) -> 192.0.2.99\n" },
	{ "what is gone", BASE "metrics: { listen: 127.0.0.1 }\n", BASE,
			"metrics.listen: 127.0.0.1 -> (absent)\n"
			"metrics.port: 9641 -> (absent)\n" },
	{ "queues",
			BASE
			"interfaces: [ { name: a } ]\ncores: [ { cpu: 1, queues: [ \"a:0\" ] } ]\n",
			BASE "interfaces: [ { name: a, mode: skb } ]\n"
			     "cores: [ { cpu: 1, queues: [ \"a:1\" ] } ]\n",
			"interfaces[0].mode: auto -> skb\n"
			"cores[0].queues[0]: a:0 -> a:1\n" },
};

static void what_a_reload_can_not_change_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(diffs); i++) {
		struct tp_conf *running = conf_load_good(diffs[i].running);
		struct tp_conf *file = conf_load_good(diffs[i].file);
		char text[4096] = "", back[4096] = "";

		tp_conf_diff(running, file, note, text);
		if (strcmp(text, diffs[i].want) != 0)
			fail_msg("%s: %s", diffs[i].what, text);
		tp_conf_diff(running, running, note, back);
		assert_string_equal(back, "");
		tp_conf_free(running);
		tp_conf_free(file);
	}
}

static void what_is_live_is_adopted_and_nothing_else(void **state)
{
	struct tp_conf *running = conf_load_good(BASE), *file;
	char *text;

	(void)state;
	file = conf_load_good(
			"realm: example.net\n"
			"listen: [ { address: 192.0.2.77 } ]\n"
			"relay: { addresses: [ { address: 192.0.2.78 } ] }\n"
			"auth: { users: [ { name: carol, password: x } ], secrets: [ a, b ] }\n"
			"peers: { deny: [ 10.0.0.0/8, 11.0.0.0/8 ], allow: [ 10.1.0.0/16 ] }\n"
			"limits: { allocations: 5, channels: 6 }\n"
			"redirect: { servers: [ { address: 192.0.2.20 } ], when: full }\n"
			"default_family: listener\n"
			"mobility: true\n"
			"dscp: clear\n");
	tp_conf_adopt(running, file);
	text = conf_printed(running);
	assert_non_null(strstr(text, "realm: \"example.net\""));
	assert_non_null(strstr(text, "carol"));
	assert_null(strstr(text, "alice"));
	assert_int_equal(running->n_secrets, 2);
	assert_int_equal(running->n_deny, 2);
	assert_int_equal(running->n_allow, 1);
	assert_int_equal(running->max_allocations, 5);
	assert_int_equal(running->max_channels, 65536);
	assert_true(running->has_redirect);
	assert_int_equal(running->n_alternates, 1);
	assert_int_equal(running->redirect, TP_TURN_REDIRECT_FULL);
	assert_int_equal(running->default_family, TP_CONF_FAMILY_LISTENER);
	assert_true(running->mobility);
	assert_int_equal(running->dscp, TP_DSCP_COPY);
	assert_non_null(strstr(text, "192.0.2.10"));
	assert_null(strstr(text, "192.0.2.7"));
	free(text);
	tp_conf_free(running);
	tp_conf_free(file);
}

/* Their values are never kept as text, where tp_conf_diff() would show them. */
static void check_live(const struct tp_conf_option *rows, bool is_live)
{
	for (; rows != NULL && rows->key != NULL; rows++) {
		if (rows->is_secret && rows->type != TP_CONF_MAPPING && !is_live && !rows->is_live)
			fail_msg("%s is secret and not live", rows->key);
		if (rows->type == TP_CONF_MAPPING)
			check_live(rows->rows, is_live || rows->is_live);
		else if (rows->type == TP_CONF_LIST)
			check_live(rows->rows->rows, is_live || rows->is_live);
	}
}

static void what_is_secret_is_live(void **state)
{
	(void)state;
	check_live(tp_conf_root.rows, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_reload_can_not_change_is_named),
		cmocka_unit_test(what_is_live_is_adopted_and_nothing_else),
		cmocka_unit_test(what_is_secret_is_live),
	};

	return cmocka_run_group_tests_name(
			"conf_live", tests, conf_enter_directory, conf_leave_directory);
}
