/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

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

/* What was composed, as an object; releases the fields. */
static json_t *parsed(struct tp_log_fields *f)
{
	json_error_t error;
	json_t *o;

	assert_false(f->is_broken);
	assert_true(f->is_json && f->len > 0);
	f->text[0] = '{';
	f->text = realloc(f->text, f->len + 2);
	assert_non_null(f->text);
	memcpy(f->text + f->len, "}", 2);
	o = json_loads(f->text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (o == NULL)
		fail_msg("%s: %s", error.text, f->text);
	tp_log_fields_fini(f);
	return o;
}

static json_t *start_record(const struct tp_allocation_info *info)
{
	struct tp_log_fields f;

	tp_log_fields_init(&f, true);
	tp_record_put_start(&f, info);
	return parsed(&f);
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
	struct tp_log_fields f;
	json_t *o,
			*want = json_pack(
					"{s:i, s:s, s:s, s:s, s:[s,s], s:[s,s], s:i, s:s, s:[s,s], s:i, "
					"s:i, s:I, s:I}",
					"id", 42, "client", "198.51.100.7:4000", "server",
					"192.0.2.1:3478", "user", "alice", "relayed",
					"192.0.2.10:50000", "[2001:db8::10]:50001", "relayed_local",
					"10.0.0.5:50000", "[2001:db8::10]:50001", "duration_ms",
					1500, "reason", "expired", "peers", "203.0.113.9",
					"2001:db8:9::9", "up_packets", 1, "up_bytes", 2,
					"down_packets", (json_int_t)1 << 32, "down_bytes",
					(json_int_t)INT64_MAX);

	(void)state;
	assert_non_null(want);
	tp_log_fields_init(&f, true);
	tp_record_put_end(&f, &info, peers, N(peers), TP_TURN_END_EXPIRED,
			info.created_ns + 1500 * TP_NS_PER_MS);
	tp_record_put_sum(&f, &sum);
	o = parsed(&f);
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
		struct tp_log_fields f;
		json_t *o;

		tp_log_fields_init(&f, true);
		tp_record_put_end(&f, &info, NULL, 0, cases[i].why, info.created_ns);
		o = parsed(&f);
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
		o = start_record(&info);
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
	o = start_record(&info);
	assert_int_equal(json_string_length(json_object_get(o, "user")), 9);
	json_decref(o);
}

static void peers_of_before(void **state)
{
	const struct tp_addr peers[] = { addr("203.0.113.9", 0), addr("203.0.113.10", 0) };
	struct tp_tuple tuple;
	const struct tp_allocation_info info = some_info(&tuple);
	struct tp_log_fields f;
	json_t *o, *list;

	(void)state;
	tp_log_fields_init(&f, true);
	tp_record_put_peers(&f, &info, peers, N(peers));
	o = parsed(&f);
	list = json_object_get(o, "peers");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_array_get(list, 1)), "203.0.113.10");
	assert_text(o, "client", "198.51.100.7:4000");
	json_decref(o);
}

/* Without NAT there is nothing else to tell. */
static void where_the_client_was_before(void **state)
{
	const struct tp_tuple from = { .client = addr("2001:db8:7::7", 1234),
		.server = addr("2001:db8::1", 3478) };
	struct tp_tuple tuple;
	const struct tp_allocation_info info = some_info(&tuple);
	struct tp_log_fields f;
	json_t *o;

	(void)state;
	tp_log_fields_init(&f, true);
	tp_record_put_moved(&f, &info, &from);
	o = parsed(&f);
	assert_int_equal(json_integer_value(json_object_get(o, "id")), 42);
	assert_text(o, "client", "198.51.100.7:4000");
	assert_text(o, "client_before", "[2001:db8:7::7]:1234");
	assert_text(o, "server_before", "[2001:db8::1]:3478");
	assert_text(o, "user", "alice");
	json_decref(o);
}

static void local_addresses_only_behind_nat(void **state)
{
	struct tp_tuple tuple;
	struct tp_allocation_info info = some_info(&tuple);
	json_t *o;

	(void)state;
	info.leg[0].local = info.leg[0].external;
	o = start_record(&info);
	assert_null(json_object_get(o, "relayed_local"));
	assert_int_equal(json_array_size(json_object_get(o, "relayed")), 2);
	json_decref(o);
	info.leg[1].is_present = false;
	o = start_record(&info);
	assert_int_equal(json_array_size(json_object_get(o, "relayed")), 1);
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_it_was_and_whom_it_reached),
		cmocka_unit_test(reasons_have_names),
		cmocka_unit_test(names_of_users),
		cmocka_unit_test(peers_of_before),
		cmocka_unit_test(where_the_client_was_before),
		cmocka_unit_test(local_addresses_only_behind_nat),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
