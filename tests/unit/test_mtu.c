/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/mtu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/addr.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* RFC 8656 sections 13 and 14, RFC 7915: the table of mtu.h, row by row, at its edges. */
static void what_leaves_and_how(void **state)
{
	static const struct {
		const char *what;
		struct tp_mtu_in in;
		uint8_t family;
		size_t len;
		uint16_t mtu, lowest;
		struct tp_mtu_plan want;
	} cases[] = {
		{ "4 to 4, DF, fits", { 4, true, false, 1500 }, 4, 1500, 1500, 1280,
				{ TP_MTU_WHOLE, true, 0 } },
		{ "4 to 4, DF, one too many", { 4, true, false, 1497 }, 4, 1501, 1500, 1280,
				{ TP_MTU_TOO_BIG, false, 0 } },
		{ "4 to 4, fits", { 4, false, false, 1500 }, 4, 1500, 1500, 1280,
				{ TP_MTU_WHOLE, false, 0 } },
		{ "4 to 4, one too many", { 4, false, false, 1497 }, 4, 1501, 1500, 1280,
				{ TP_MTU_FRAGMENTS, false, 1500 } },
		{ "4 to 6, DF, above lowest-ipv6-mtu", { 4, true, false, 1480 }, 6, 1500, 1500,
				1280, { TP_MTU_WHOLE, true, 0 } },
		{ "4 to 6, DF, one too many", { 4, true, false, 1480 }, 6, 1501, 1500, 1280,
				{ TP_MTU_TOO_BIG, false, 0 } },
		{ "4 to 6, at lowest-ipv6-mtu", { 4, false, false, 1260 }, 6, 1280, 1500, 1280,
				{ TP_MTU_WHOLE, false, 0 } },
		{ "4 to 6, above lowest-ipv6-mtu", { 4, false, false, 1261 }, 6, 1281, 1500, 1280,
				{ TP_MTU_FRAGMENTS, false, 1280 } },
		{ "4 to 6, lowest-ipv6-mtu raised", { 4, false, false, 1400 }, 6, 1420, 1500, 1420,
				{ TP_MTU_WHOLE, false, 0 } },
		{ "4 to 6, raised above the MTU", { 4, false, false, 1480 }, 6, 1501, 1500, 9000,
				{ TP_MTU_FRAGMENTS, false, 1500 } },
		{ "6 to 4, 1260 bytes", { 6, false, false, 1280 }, 4, 1260, 1500, 1280,
				{ TP_MTU_WHOLE, false, 0 } },
		{ "6 to 4, 1261 bytes", { 6, false, false, 1281 }, 4, 1261, 1500, 1280,
				{ TP_MTU_WHOLE, true, 0 } },
		{ "6 to 4, one too many", { 6, false, false, 1500 }, 4, 1401, 1400, 1280,
				{ TP_MTU_TOO_BIG, false, 0 } },
		{ "6 to 4, smallest sender", { 6, false, false, 1280 }, 4, 1001, 1000, 1280,
				{ TP_MTU_FRAGMENTS, false, 1000 } },
		{ "6 to 4, came in fragments, fits", { 6, false, true, 1400 }, 4, 1400, 1500, 1280,
				{ TP_MTU_WHOLE, false, 0 } },
		{ "6 to 4, came in fragments", { 6, false, true, 4000 }, 4, 4000, 1500, 1280,
				{ TP_MTU_FRAGMENTS, false, 1500 } },
		{ "6 to 6, fits", { 6, false, false, 1500 }, 6, 1500, 1500, 1280,
				{ TP_MTU_WHOLE, true, 0 } },
		{ "6 to 6, one too many", { 6, false, false, 1497 }, 6, 1501, 1500, 1280,
				{ TP_MTU_TOO_BIG, false, 0 } },
		{ "6 to 6, smallest sender", { 6, false, false, 1280 }, 6, 1284, 1280, 1280,
				{ TP_MTU_FRAGMENTS, false, 1280 } },
		{ "6 to 6, came in fragments", { 6, false, true, 4000 }, 6, 4000, 1500, 9000,
				{ TP_MTU_FRAGMENTS, false, 1280 } },
		{ "made here", { 0, false, false, 0 }, 4, 700, 576, 1280,
				{ TP_MTU_FRAGMENTS, false, 576 } },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct tp_mtu_plan got = tp_mtu_plan(&cases[i].in, cases[i].family, cases[i].len,
				cases[i].mtu, cases[i].lowest);

		if (got.fate != cases[i].want.fate)
			fail_msg("%s: fate %u", cases[i].what, got.fate);
		if (got.fate == TP_MTU_FRAGMENTS && got.limit != cases[i].want.limit)
			fail_msg("%s: fragments of %u", cases[i].what, got.limit);
		if (got.fate == TP_MTU_WHOLE && cases[i].family == 4 &&
				got.is_df != cases[i].want.is_df)
			fail_msg("%s: DF=%u", cases[i].what, got.is_df);
	}
}

/* RFC 8656 section 13: minus 48 towards the peer, and 20 for a translation. */
static void what_the_sender_is_told(void **state)
{
	static const struct {
		struct tp_mtu_way way;
		uint16_t mtu, want;
	} cases[] = {
		{ { 4, 4, false, true }, 1500, 1452 },
		{ { 6, 6, false, true }, 1500, 1452 },
		{ { 4, 6, false, true }, 1500, 1432 },
		{ { 6, 4, false, true }, 1500, 1472 },
		{ { 6, 6, false, true }, 1280, 1280 }, /* not 1232: RFC 8200 section 5 */
		{ { 4, 6, false, true }, 1280, 1212 },
		{ { 4, 4, false, true }, 1501, 1452 }, /* padding */
		{ { 4, 4, true, false }, 1500, 1504 },
		{ { 6, 6, true, false }, 1500, 1504 },
		{ { 4, 6, true, false }, 1500, 1484 },
		{ { 6, 4, true, false }, 1500, 1524 },
		{ { 6, 6, true, false }, 1280, 1284 },
		{ { 4, 4, true, true }, 1500, 1456 }, /* from client to client */
		{ { 4, 4, false, true }, 68, 68 },
		{ { 6, 4, true, false }, UINT16_MAX, UINT16_MAX },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++)
		assert_int_equal(tp_mtu_report(&cases[i].way, cases[i].mtu), cases[i].want);
}

/*
 * What the report promises: a sender that keeps to it is never refused again, whatever it sends
 * and however the client's side is framed.
 */
static void who_keeps_to_the_report_is_not_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		const struct tp_mtu_way way = {
			.in_family = i & 1 ? TP_IPV6 : TP_IPV4,
			.out_family = i & 2 ? TP_IPV6 : TP_IPV4,
			.is_from_client = i & 4,
			.is_to_client = i & 8,
		};
		size_t in_hdr = (i & 1 ? 48 : 28), out_hdr = (i & 2 ? 48 : 28);

		for (unsigned mtu = 1280; mtu <= 1520; mtu++) {
			size_t len = tp_mtu_report(&way, (uint16_t)mtu), data, sent;
			struct tp_mtu_in in = { way.in_family, true, false, len };
			struct tp_mtu_plan plan;

			data = len - in_hdr - (way.is_from_client ? 4 : 0);
			sent = out_hdr + data;
			/* Data indication, the larger framing, over IPv6's larger address. */
			if (way.is_to_client)
				sent = out_hdr + 20 + 24 + 4 + ((data + 3) & ~(size_t)3);
			plan = tp_mtu_plan(&in, way.out_family, sent, (uint16_t)mtu, 1280);
			assert_int_not_equal(plan.fate, TP_MTU_TOO_BIG);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_leaves_and_how),
		cmocka_unit_test(what_the_sender_is_told),
		cmocka_unit_test(who_keeps_to_the_report_is_not_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
