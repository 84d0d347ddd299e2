/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/channel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* RFC 8656 sections 12.4 and 12.5 */
static void parse(void **state)
{
	static const struct {
		const char *what;
		uint8_t in[12];
		size_t len;
		int want;
		uint16_t number, data_len;
	} cases[] = {
		{ "empty datagram", { 0 }, 0, -EMSGSIZE, 0, 0 },
		{ "shorter than the header", { 0x40, 0, 0 }, 3, -EMSGSIZE, 0, 0 },
		{ "no data", { 0x40, 0x01, 0, 0 }, 4, 0, 0x4001, 0 },
		{ "no data, padded", { 0x40, 0x01, 0, 0 }, 8, 0, 0x4001, 0 },
		{ "exact", { 0x4f, 0xff, 0, 3, 'a', 'b', 'c' }, 7, 0, 0x4fff, 3 },
		{ "padded", { 0x40, 0, 0, 3, 'a', 'b', 'c', 0 }, 8, 0, 0x4000, 3 },
		{ "one byte too few", { 0x40, 0, 0, 3, 'a', 'b' }, 6, -EMSGSIZE, 0, 0 },
		{ "length far beyond", { 0x40, 0, 0xff, 0xff, 'a' }, 5, -EMSGSIZE, 0, 0 },
		{ "reserved number is the caller's to judge", { 0x7f, 0xff, 0, 1, 'a' }, 5, 0,
				0x7fff, 1 },
	};
	struct tp_channel_data out;
	uint8_t *in;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		/* Exact-size copy: one byte of over-read is an ASan report. */
		in = malloc(cases[i].len > 0 ? cases[i].len : 1);
		memcpy(in, cases[i].in, cases[i].len);
		if (tp_channel_parse(in, cases[i].len, &out) != cases[i].want)
			fail_msg("%s", cases[i].what);
		if (cases[i].want == 0) {
			assert_int_equal(out.number, cases[i].number);
			assert_int_equal(out.len, cases[i].data_len);
			assert_ptr_equal(out.data, in + TP_CHANNEL_HDR_LEN);
		}
		free(in);
	}
}

static void the_largest_message(void **state)
{
	size_t len = TP_CHANNEL_HDR_LEN + 65535;
	struct tp_channel_data out;
	uint8_t *in = calloc(1, len);

	(void)state;
	tp_channel_header(in, TP_CHANNEL_MIN, 65535);
	assert_int_equal(tp_channel_parse(in, len, &out), 0);
	assert_int_equal(out.len, 65535);
	assert_int_equal(tp_channel_parse(in, len - 1, &out), -EMSGSIZE);
	free(in);
}

static void header(void **state)
{
	uint8_t out[TP_CHANNEL_HDR_LEN];

	(void)state;
	tp_channel_header(out, 0x4abc, 0x1234);
	assert_memory_equal(out, "\x4a\xbc\x12\x34", 4);
}

/* RFC 7983 section 7, with the range of RFC 5766 */
static void first_byte(void **state)
{
	unsigned int b;

	(void)state;
	for (b = 0; b < 256; b++)
		assert_int_equal(tp_channel_first_byte((uint8_t)b), b >= 0x40 && b <= 0x7f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse),
		cmocka_unit_test(the_largest_message),
		cmocka_unit_test(header),
		cmocka_unit_test(first_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
