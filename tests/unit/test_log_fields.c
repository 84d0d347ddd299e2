/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/clock.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const char *text_of(struct tp_log_fields *f, char *out)
{
	assert_false(f->is_broken);
	memcpy(out, f->text, f->len);
	out[f->len] = '\0';
	tp_log_fields_fini(f);
	return out;
}

static void put_one_of_each(struct tp_log_fields *f)
{
	struct tp_addr a;

	assert_int_equal(tp_addr_parse("2001:db8::1", 3478, &a), 0);
	tp_log_put_number(f, "none", 0);
	tp_log_put_number(f, "most", UINT64_MAX);
	assert_true(tp_log_put_string(f, "user", "a b", 3));
	assert_true(tp_log_put_string(f, "empty", "", 0));
	tp_log_put_hex(f, "hex", "\x00\xff\x1a", 3);
	tp_log_put_hex(f, "no_hex", "", 0);
	tp_log_put_time(f, "at", 1700000000123456789);
	tp_log_put_address(f, "client", &a);
	tp_log_begin_list(f, "list");
	tp_log_put_item(f, &a, true);
	tp_log_put_item(f, &a, false);
	tp_log_end_list(f);
	tp_log_begin_list(f, "nobody");
	tp_log_end_list(f);
}

static void as_text_and_as_json(void **state)
{
	struct tp_log_fields f;
	char got[1000];

	(void)state;
	tp_log_fields_init(&f, false);
	put_one_of_each(&f);
	assert_string_equal(text_of(&f, got),
			" none=0 most=18446744073709551615 user=\"a b\" empty=\"\" hex=\"00ff1a\" "
			"no_hex=\"\" at=\"2023-11-14T22:13:20.123Z\" client=\"[2001:db8::1]:3478\" "
			"list=[\"[2001:db8::1]:3478\",\"2001:db8::1\"] nobody=[]");
	tp_log_fields_init(&f, true);
	put_one_of_each(&f);
	assert_string_equal(text_of(&f, got),
			",\"none\":0,\"most\":18446744073709551615,\"user\":\"a b\",\"empty\":\"\","
			"\"hex\":\"00ff1a\",\"no_hex\":\"\",\"at\":\"2023-11-14T22:13:20.123Z\","
			"\"client\":\"[2001:db8::1]:3478\","
			"\"list\":[\"[2001:db8::1]:3478\",\"2001:db8::1\"],\"nobody\":[]");
}

/* Bytes that come near to what UTF-8 is, and is not. */
static size_t some_bytes(char *bytes, size_t max)
{
	static const char *const pieces[] = { "a", "\"", "\\", "/", "\n", "\x1f", "\x7f",
		"\b\f\r\t\v", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf",
		"\xef\xbf\xbf", "\xed\x9f\xbf", "\xe0\xa0\x80", "\xf0\x90\x80\x80",
		/* none of these is a character */
		"\xc3", "\xed\xa0\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\x80", "\xff" };
	size_t n = 0, good = 16, left = (size_t)rand() % 8;

	/* Most have nothing wrong with them. */
	while (left-- > 0) {
		const char *piece = pieces[(size_t)rand() % (rand() % 8 ? good : N(pieces))];
		size_t len = strlen(piece);

		if (n + len + 1 > max)
			break;
		memcpy(bytes + n, piece, len);
		n += len;
		if (rand() % 16 == 0)
			bytes[n++] = '\0';
	}
	return n;
}

/* jansson is the judge of what is a string, and how it is written. */
static void strings_are_those_of_jansson(void **state)
{
	uint32_t n_good = 0, n_bad = 0;
	char bytes[64], got[1000];

	(void)state;
	srand(1);
	for (int i = 0; i < 200000; i++) {
		size_t n = some_bytes(bytes, sizeof(bytes));
		json_t *json = json_stringn(bytes, n);
		bool is_good = json != NULL && memchr(bytes, 0x7f, n) == NULL;
		struct tp_log_fields f;
		char *want;

		tp_log_fields_init(&f, false);
		if (tp_log_put_string(&f, "s", bytes, n) != is_good)
			fail_msg("case %d: %s", i, is_good ? "not taken" : "taken");
		if (is_good) {
			want = json_dumps(json, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
			assert_string_equal(text_of(&f, got) + 3, want);
			free(want);
			n_good++;
		} else {
			assert_int_equal(f.len, 0);
			n_bad++;
		}
		tp_log_fields_fini(&f);
		json_decref(json);
	}
	assert_true(n_good > 10000 && n_bad > 10000);
}

static void times_are_those_of_libc(void **state)
{
	char want[TP_LOG_TIME_STRLEN], got[TP_LOG_TIME_STRLEN];
	static const time_t some[] = { 0, 86399, 86400, 951782400 /* 2000-02-29 */, 1709164800,
		4102444799 /* 2099-12-31 */, 4107542400 /* 2100-03-01 */ };

	(void)state;
	srand(1);
	for (int i = 0; i < 20000; i++) {
		time_t sec = i < (int)N(some) ? some[i] : (time_t)((uint64_t)rand() * 2);
		uint32_t ms = (uint32_t)rand() % 1000;
		struct tm tm;
		size_t n;

		gmtime_r(&sec, &tm);
		n = strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", &tm);
		snprintf(want + n, sizeof(want) - n, ".%03uZ", ms);
		n = tp_log_time((uint64_t)sec * TP_NS_PER_SEC + ms * TP_NS_PER_MS + 999999, got);
		assert_string_equal(got, want);
		assert_int_equal(n, strlen(want));
	}
}

static void they_grow_as_needed(void **state)
{
	char name[16], bytes[513];
	struct tp_log_fields f;
	const char *at;

	(void)state;
	memset(bytes, '\n', sizeof(bytes));
	tp_log_fields_init(&f, false);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		tp_log_put_number(&f, name, i);
		assert_true(tp_log_put_string(&f, "s", bytes, i));
	}
	assert_false(f.is_broken);
	at = f.text;
	for (unsigned i = 0; i < 200; i++) {
		char want[32];
		int n = snprintf(want, sizeof(want), " n%u=%u s=\"", i, i);

		assert_memory_equal(at, want, (size_t)n);
		for (at += n; *at == '\\'; at += 2)
			assert_int_equal(at[1], 'n');
		assert_int_equal(*at++, '"');
	}
	assert_ptr_equal(at, f.text + f.len);
	tp_log_fields_fini(&f);
}

static void what_is_broken_stays_so(void **state)
{
	struct tp_log_fields f;

	(void)state;
	tp_log_fields_init(&f, true);
	tp_log_put_number(&f, "one", 1);
	f.is_broken = true;
	put_one_of_each(&f);
	assert_true(f.is_broken);
	assert_int_equal(f.len, strlen(",\"one\":1"));
	tp_log_fields_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_text_and_as_json),
		cmocka_unit_test(strings_are_those_of_jansson),
		cmocka_unit_test(times_are_those_of_libc),
		cmocka_unit_test(they_grow_as_needed),
		cmocka_unit_test(what_is_broken_stays_so),
	};

	return cmocka_run_group_tests_name("log_fields", tests, NULL, NULL);
}
