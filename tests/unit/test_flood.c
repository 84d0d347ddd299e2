/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/flood.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define START (1000 * TP_NS_PER_SEC)
#define RATE 20u
#define BURST (RATE * TP_FLOOD_BURST_SEC)
#define TRIES TP_FLOOD_TRIES_BURST

static struct tp_flood *flood_new(uint32_t per_source, uint32_t total)
{
	const uint64_t seed[2] = { 3, 4 };
	struct tp_flood *flood;

	assert_int_equal(tp_flood_new(seed, &flood), 0);
	assert_int_equal(tp_flood_set(flood, per_source, total), 0);
	return flood;
}

static struct tp_addr at(const char *ip, uint16_t port)
{
	struct tp_addr a = { 0 };

	assert_int_equal(tp_addr_parse(ip, port, &a), 0);
	return a;
}

static struct tp_addr forged(uint32_t i)
{
	const uint8_t ip[4] = { 11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i };

	return tp_addr_v4(ip, 5000);
}

/* @return answers out of so many requests */
static uint32_t answers(struct tp_flood *f, const struct tp_addr *a, uint32_t n, bool is_proven,
		uint64_t now_ns)
{
	uint32_t granted = 0;

	while (n-- > 0)
		granted += tp_flood_answer(f, a, is_proven, now_ns) == TP_SLOW_ANSWERED;
	return granted;
}

static void a_source_gets_its_burst_and_then_its_rate(void **state)
{
	struct tp_flood *f = flood_new(RATE, 0);
	const struct tp_addr a = at("192.0.2.1", 1), same = at("192.0.2.1", 2);
	const struct tp_addr other = at("192.0.2.2", 1);

	(void)state;
	assert_int_equal(answers(f, &a, BURST + 50, false, START), BURST);
	assert_int_equal(tp_flood_answer(f, &same, false, START), TP_SLOW_DROP_SOURCE_RATE);
	assert_int_equal(tp_flood_answer(f, &same, true, START), TP_SLOW_DROP_SOURCE_RATE);
	assert_int_equal(answers(f, &other, 1, false, START), 1);
	assert_int_equal(answers(f, &a, 100, false, START + TP_NS_PER_SEC), RATE);
	assert_int_equal(answers(f, &a, BURST + 50, false, START + 3600 * TP_NS_PER_SEC), BURST);
	tp_flood_free(f);
}

static void a_source_is_a_64_in_ipv6(void **state)
{
	struct tp_flood *f = flood_new(RATE, 0);
	const struct tp_addr a = at("2001:db8:1:2::1", 1), same = at("2001:db8:1:2:ffff::9", 7);
	const struct tp_addr other = at("2001:db8:1:3::1", 1);

	(void)state;
	assert_int_equal(answers(f, &a, BURST + 1, false, START), BURST);
	assert_int_equal(answers(f, &same, 1, false, START), 0);
	assert_int_equal(answers(f, &other, 1, false, START), 1);
	tp_flood_free(f);
}

static void all_together_get_the_total(void **state)
{
	struct tp_flood *f = flood_new(RATE, 1000);
	uint32_t granted = 0, i;
	struct tp_addr a;

	(void)state;
	for (uint32_t ms = 0; ms < 5000; ms++)
		for (i = 0; i < 20; i++) {
			a = forged(ms * 20 + i);
			granted += answers(f, &a, 1, false, START + ms * TP_NS_PER_MS);
		}
	assert_in_range(granted, 4900, 1000 * 5 + 1000 / 10 + 1);
	a = forged(0xffffff);
	assert_int_equal(tp_flood_answer(f, &a, false, START + 4999 * TP_NS_PER_MS),
			TP_SLOW_DROP_TOTAL_RATE);
	/* who returned a nonce is not forged, and needs none of that */
	assert_int_equal(answers(f, &a, 10, true, START + 4999 * TP_NS_PER_MS), 10);
	tp_flood_free(f);
}

/* What the total refused is not the source's: it has its whole burst later. */
static void a_refusal_costs_nothing(void **state)
{
	struct tp_flood *f = flood_new(RATE, 10);
	const struct tp_addr a = at("192.0.2.1", 1);

	(void)state;
	assert_int_equal(answers(f, &a, 10000, false, START), 2);
	assert_int_equal(answers(f, &a, BURST, true, START), BURST - 2);
	tp_flood_free(f);
}

/*
 * The promise of the sketch: a flood from a million sources, as fast as the total lets it, keeps no
 * honest source from its own rate.
 */
static void a_flood_of_forged_sources_starves_nobody(void **state)
{
	struct tp_flood *f = flood_new(RATE, 0);
	uint32_t granted = 0, asked = 0, next = 0;

	(void)state;
	for (uint32_t ms = 0; ms < 20000; ms++) {
		uint64_t now_ns = START + ms * TP_NS_PER_MS;

		/* 50,000 a second */
		for (uint32_t i = 0; i < 50; i++) {
			struct tp_addr a = forged(next++);

			tp_flood_answer(f, &a, false, now_ns);
		}
		/* 100 honest ones, RATE a second each */
		for (uint32_t i = 0; i < 2; i++) {
			const uint8_t ip[4] = { 203, 0, 113, (uint8_t)(asked++ % 100) };
			const struct tp_addr a = tp_addr_v4(ip, 1);

			granted += answers(f, &a, 1, false, now_ns);
		}
	}
	assert_int_equal(granted, asked);
	tp_flood_free(f);
}

static void a_guesser_spends_his_own_tries(void **state)
{
	struct tp_flood *f = flood_new(RATE, 0);
	const struct tp_addr guesser = at("192.0.2.1", 1), neighbour = at("192.0.2.1", 2);
	uint32_t looked_at = 0;

	(void)state;
	answers(f, &guesser, BURST, true, START);
	for (uint32_t i = 0; i < 1000; i++) {
		if (tp_flood_check(f, &guesser, START) != TP_SLOW_ANSWERED)
			continue;
		looked_at++;
		tp_flood_failed(f, &guesser, START);
	}
	assert_int_equal(looked_at, TRIES);
	assert_int_equal(tp_flood_check(f, &guesser, START), TP_SLOW_DROP_TRY_RATE);
	assert_int_equal(tp_flood_check(f, &neighbour, START), TP_SLOW_ANSWERED);
	/* while the address has tokens, nobody is asked for tries */
	assert_int_equal(tp_flood_check(f, &guesser, START + TP_NS_PER_SEC / RATE),
			TP_SLOW_ANSWERED);
	tp_flood_free(f);
}

/* All ports of one address at once: the neighbour's try is left more often than not. */
static void all_ports_of_an_address_leave_a_neighbour_his_try(void **state)
{
	struct tp_flood *f = flood_new(RATE, 0);
	struct tp_addr a = at("192.0.2.1", 1);
	uint32_t left = 0;

	(void)state;
	answers(f, &a, BURST, true, START);
	for (uint32_t round = 0; round < 2 * TRIES; round++)
		for (uint32_t port = 0; port < 60000; port++) {
			a.port = (uint16_t)port;
			if (tp_flood_check(f, &a, START) == TP_SLOW_ANSWERED)
				tp_flood_failed(f, &a, START);
		}
	for (uint32_t port = 60000; port < 65000; port++) {
		a.port = (uint16_t)port;
		left += tp_flood_check(f, &a, START) == TP_SLOW_ANSWERED;
	}
	assert_true(left > 5000 / 2);
	tp_flood_free(f);
}

static void without_a_rate_there_is_no_limit(void **state)
{
	struct tp_flood *f = flood_new(0, 0);
	const struct tp_addr a = at("192.0.2.1", 1);

	(void)state;
	assert_int_equal(answers(f, &a, 100000, false, START), 100000);
	for (uint32_t i = 0; i < 1000; i++)
		tp_flood_failed(f, &a, START);
	assert_int_equal(tp_flood_check(f, &a, START), TP_SLOW_ANSWERED);
	/* and it may come while it runs, and go */
	assert_int_equal(tp_flood_set(f, RATE, 0), 0);
	assert_int_equal(answers(f, &a, 1000, false, START), BURST);
	assert_int_equal(tp_flood_set(f, 0, 0), 0);
	assert_int_equal(answers(f, &a, 1000, false, START), 1000);
	tp_flood_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_gets_its_burst_and_then_its_rate),
		cmocka_unit_test(a_source_is_a_64_in_ipv6),
		cmocka_unit_test(all_together_get_the_total),
		cmocka_unit_test(a_refusal_costs_nothing),
		cmocka_unit_test(a_flood_of_forged_sources_starves_nobody),
		cmocka_unit_test(a_guesser_spends_his_own_tries),
		cmocka_unit_test(all_ports_of_an_address_leave_a_neighbour_his_try),
		cmocka_unit_test(without_a_rate_there_is_no_limit),
	};

	return cmocka_run_group_tests_name("flood", tests, NULL, NULL);
}
