/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct tp_addr addr(const char *text, uint16_t port)
{
	struct tp_addr a = { 0 };

	assert_int_equal(tp_addr_parse(text, port, &a), 0);
	return a;
}

/* Alice, with a relayed address behind 1:1 NAT and one that is not. */
static struct tp_allocation_info some_info(struct tp_tuple *tuple)
{
	*tuple = (struct tp_tuple){ .client = addr("198.51.100.7", 4000),
		.server = addr("192.0.2.1", 3478) };
	return (struct tp_allocation_info){
		.tuple = tuple,
		.username = "alice",
		.username_len = 5,
		.id = 42,
		.leg = { { .is_present = true,
					 .local = addr("10.0.0.5", 50000),
					 .external = addr("192.0.2.10", 50000) },
				{ .is_present = true,
						.local = addr("2001:db8::10", 50001),
						.external = addr("2001:db8::10", 50001) } },
		.created_ns = tp_clock_now_ns(),
	};
}

static void assert_text(const json_t *o, const char *key, const char *want)
{
	assert_string_equal(json_string_value(json_object_get(o, key)), want);
}

static void who_it_was_and_whom_it_reached(void **state)
{
	const struct tp_addr peers[] = { addr("203.0.113.9", 0), addr("2001:db8:9::9", 0) };
	const struct tp_account_sum sum = { { 1, 2 }, { UINT32_MAX + 1ull, INT64_MAX } };
	struct tp_tuple tuple;
	const struct tp_allocation_info info = some_info(&tuple);
	json_t *o = tp_record_end(&info, peers, N(peers), TP_TURN_END_EXPIRED,
			info.created_ns + 1500 * TP_NS_PER_MS);
	json_t *want = json_pack("{s:i, s:s, s:s, s:s, s:[s,s], s:[s,s], s:i, s:s, s:[s,s], s:i, "
				 "s:i, s:I, s:I}",
			"id", 42, "client", "198.51.100.7:4000", "server", "192.0.2.1:3478", "user",
			"alice", "relayed", "192.0.2.10:50000", "[2001:db8::10]:50001",
			"relayed_local", "10.0.0.5:50000", "[2001:db8::10]:50001", "duration_ms",
			1500, "reason", "expired", "peers", "203.0.113.9", "2001:db8:9::9",
			"up_packets", 1, "up_bytes", 2, "down_packets", (json_int_t)1 << 32,
			"down_bytes", (json_int_t)INT64_MAX);

	(void)state;
	assert_non_null(o);
	assert_non_null(want);
	assert_int_equal(tp_record_add_sum(o, &sum), 0);
	/* of the machine's clock: 1.5 seconds later is later */
	assert_true(strcmp(json_string_value(json_object_get(o, "started")),
				    json_string_value(json_object_get(o, "ended"))) < 0);
	json_object_del(o, "started");
	json_object_del(o, "ended");
	assert_true(json_equal(o, want));
	json_decref(want);
	json_decref(o);
}

static void reasons_have_names(void **state)
{
	static const struct {
		enum tp_turn_end why;
		const char *want;
	} cases[] = {
		{ TP_TURN_END_EXPIRED, "expired" },
		{ TP_TURN_END_DELETED, "deleted" },
		{ TP_TURN_END_SHUTDOWN, "shutdown" },
	};
	struct tp_tuple tuple;
	const struct tp_allocation_info info = some_info(&tuple);

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		json_t *o = tp_record_end(&info, NULL, 0, cases[i].why, info.created_ns);

		assert_text(o, "reason", cases[i].want);
		assert_int_equal(json_array_size(json_object_get(o, "peers")), 0);
		json_decref(o);
	}
}

/* Names are bytes: none of them may be taken for another, or do anything to who reads them. */
static void names_of_users(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		const char *user, *hex;
	} cases[] = {
		{ "alice", 5, "alice", NULL },
		{ "", 0, "", NULL },
		{ "a\"b\\c\n%s", 8, "a\"b\\c\n%s", NULL },
		{ "\xc3\xa9", 2, "\xc3\xa9", NULL },
		{ "\xc3", 1, NULL, "c3" },
		{ "a\x7f", 2, NULL, "617f" },
	};
	struct tp_tuple tuple;
	struct tp_allocation_info info = some_info(&tuple);
	json_t *o;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		info.username = cases[i].name;
		info.username_len = cases[i].len;
		o = tp_record_start(&info);
		assert_non_null(o);
		if (cases[i].user != NULL)
			assert_text(o, "user", cases[i].user);
		else
			assert_text(o, "user_hex", cases[i].hex);
		assert_null(json_object_get(o, cases[i].user != NULL ? "user_hex" : "user"));
		json_decref(o);
	}
	/* a NUL ends nothing */
	info.username = "alice\0bob";
	info.username_len = 9;
	o = tp_record_start(&info);
	assert_int_equal(json_string_length(json_object_get(o, "user")), 9);
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_it_was_and_whom_it_reached),
		cmocka_unit_test(reasons_have_names),
		cmocka_unit_test(names_of_users),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
