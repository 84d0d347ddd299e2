/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/ports.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t random32(void)
{
	return (uint32_t)random() << 16 ^ (uint32_t)random();
}

static void a_range_without_ports_is_refused(void **state)
{
	static const struct {
		uint16_t min, max;
	} cases[] = { { 0, 10 }, { 0, 0 }, { 11, 10 }, { 65535, 1 } };
	struct tp_ports *p = NULL;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(tp_ports_new(cases[i].min, cases[i].max, &p), -EINVAL);
		assert_null(p);
	}
	tp_ports_free(NULL);
}

static void every_port_of_the_range_is_taken_once(void **state)
{
	static const struct {
		uint16_t min, max;
	} cases[] = { { 1, 65535 }, { 65535, 65535 }, { 49152, 49999 }, { 1, 1 } };

	(void)state;
	srandom(1);
	for (size_t i = 0; i < N(cases); i++) {
		uint32_t n = (uint32_t)cases[i].max - cases[i].min + 1;
		static uint8_t seen[65536];
		struct tp_ports *p;

		memset(seen, 0, sizeof(seen));
		assert_int_equal(tp_ports_new(cases[i].min, cases[i].max, &p), 0);
		assert_int_equal(tp_ports_left(p), n);
		for (uint32_t k = 0; k < n; k++) {
			int port = tp_ports_take(p, random32());

			assert_in_range(port, cases[i].min, cases[i].max);
			assert_false(seen[port]);
			seen[port] = 1;
		}
		assert_int_equal(tp_ports_left(p), 0);
		assert_int_equal(tp_ports_take(p, 0), -ENOSPC);
		assert_int_equal(tp_ports_take_even(p, UINT32_MAX, false), -ENOSPC);
		tp_ports_free(p);
	}
}

/* RFC 8656 section 7.2, RFC 6056: an observer can not guess the next port. */
static void the_choice_is_uniform_over_what_is_free(void **state)
{
	uint32_t hits[16] = { 0 };
	struct tp_ports *p;

	(void)state;
	srandom(2);
	assert_int_equal(tp_ports_new(100, 115, &p), 0);
	for (uint32_t i = 0; i < 16000; i++) {
		int port = tp_ports_take(p, random32());

		hits[port - 100]++;
		tp_ports_give(p, (uint16_t)port);
	}
	for (uint32_t i = 0; i < N(hits); i++)
		assert_in_range(hits[i], 850, 1150); /* 1000, more than four deviations */
	tp_ports_free(p);
}

/* The same for EVEN-PORT, with and without the next port, when some are taken. */
static void the_choice_of_even_ports_and_pairs_is_uniform(void **state)
{
	struct tp_ports *p;
	uint32_t evens[20] = { 0 }, pairs[20] = { 0 };

	(void)state;
	srandom(4);
	assert_int_equal(tp_ports_new(100, 119, &p), 0);
	/* Leaves the evens 100, 104 ... 118, of which 104 has no neighbour. */
	for (int port = 0; (port = tp_ports_take(p, random32())) != 105;)
		tp_ports_give(p, (uint16_t)port);
	for (int port = 0; (port = tp_ports_take_even(p, random32(), true)) != 102;) {
		tp_ports_give(p, (uint16_t)(port + 1));
		tp_ports_give(p, (uint16_t)port);
	}
	for (uint32_t i = 0; i < 9000; i++) {
		int port = tp_ports_take_even(p, random32(), false);

		evens[port - 100]++;
		tp_ports_give(p, (uint16_t)port);
		port = tp_ports_take_even(p, random32(), true);
		pairs[port - 100]++;
		tp_ports_give(p, (uint16_t)port);
		tp_ports_give(p, (uint16_t)(port + 1));
	}
	for (uint32_t i = 0; i < N(evens); i++) {
		bool is_even = i % 2 == 0 && i != 2, is_pair = is_even && i != 4;

		/* 9 evens, 8 pairs: 1000 and 1125 each, give or take four deviations. */
		assert_in_range(evens[i], is_even ? 870 : 0, is_even ? 1130 : 0);
		assert_in_range(pairs[i], is_pair ? 990 : 0, is_pair ? 1260 : 0);
	}
	tp_ports_free(p);
}

static void extreme_random_numbers_stay_inside(void **state)
{
	struct tp_ports *p;

	(void)state;
	assert_int_equal(tp_ports_new(7, 9, &p), 0);
	assert_in_range(tp_ports_take(p, UINT32_MAX), 7, 9);
	assert_in_range(tp_ports_take(p, 0), 7, 9);
	assert_in_range(tp_ports_take(p, UINT32_MAX), 7, 9);
	tp_ports_free(p);
}

/* RFC 8656 section 7.2: R = 0 takes an even port and nothing else. */
static void an_even_port_alone_leaves_its_sibling(void **state)
{
	struct tp_ports *p;
	int even, odd;

	(void)state;
	assert_int_equal(tp_ports_new(100, 101, &p), 0);
	even = tp_ports_take_even(p, 12345, false);
	assert_int_equal(even, 100);
	assert_int_equal(tp_ports_left(p), 1);
	odd = tp_ports_take(p, 12345);
	assert_int_equal(odd, 101);
	assert_int_equal(tp_ports_take_even(p, 12345, false), -ENOSPC);
	tp_ports_free(p);
}

/* R = 1: N and N + 1, both inside the range. */
static void a_pair_needs_both_ports(void **state)
{
	static const struct {
		const char *what;
		uint16_t min, max;
		uint16_t taken; /* beforehand, 0: none */
		int want;
	} cases[] = {
		{ "both free", 100, 101, 0, 100 },
		{ "odd one taken", 100, 101, 101, -ENOSPC },
		{ "even one taken", 100, 101, 100, -ENOSPC },
		{ "the next is behind the range", 100, 100, 0, -ENOSPC },
		{ "one pair left", 100, 103, 101, 102 },
		{ "range begins odd", 101, 103, 0, 102 },
		{ "end of all ports", 65534, 65535, 0, 65534 },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		for (uint32_t r = 0; r < 16; r++) {
			struct tp_ports *p;
			uint32_t left;

			assert_int_equal(tp_ports_new(cases[i].min, cases[i].max, &p), 0);
			while (cases[i].taken != 0) {
				int port = tp_ports_take(p, random32());

				if (port == cases[i].taken)
					break;
				tp_ports_give(p, (uint16_t)port);
			}
			left = tp_ports_left(p);
			if (tp_ports_take_even(p, r << 28, true) != cases[i].want)
				fail_msg("%s", cases[i].what);
			assert_int_equal(tp_ports_left(p), cases[i].want < 0 ? left : left - 2);
			tp_ports_free(p);
		}
	}
}

/* Against the obvious: an array of flags. */
static void random_takes_and_gives_agree_with_flags(void **state)
{
	enum {
		MIN = 1001,
		MAX = 1064
	};
	bool is_taken[MAX + 2] = { false };
	uint32_t left = MAX - MIN + 1;
	struct tp_ports *p;

	(void)state;
	srandom(3);
	assert_int_equal(tp_ports_new(MIN, MAX, &p), 0);
	for (uint32_t step = 0; step < 20000; step++) {
		bool is_even = random() % 2, is_pair = is_even && random() % 2;
		uint16_t port = (uint16_t)(MIN + random() % (MAX - MIN + 1));
		int got;

		if (random() % 2) {
			if (!is_taken[port])
				continue;
			tp_ports_give(p, port);
			is_taken[port] = false;
			assert_int_equal(tp_ports_left(p), ++left);
			continue;
		}
		got = is_even ? tp_ports_take_even(p, random32(), is_pair)
			      : tp_ports_take(p, random32());
		if (got == -ENOSPC) {
			for (uint32_t i = MIN; i <= MAX; i++)
				assert_false(!is_taken[i] && (!is_even || i % 2 == 0) &&
						(!is_pair || (i < MAX && !is_taken[i + 1])));
			continue;
		}
		for (int i = got; i <= got + is_pair; i++) {
			assert_in_range(i, MIN, MAX);
			assert_false(is_taken[i]);
			is_taken[i] = true;
			left--;
		}
		assert_true(!is_even || got % 2 == 0);
		assert_int_equal(tp_ports_left(p), left);
	}
	tp_ports_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_without_ports_is_refused),
		cmocka_unit_test(every_port_of_the_range_is_taken_once),
		cmocka_unit_test(the_choice_is_uniform_over_what_is_free),
		cmocka_unit_test(the_choice_of_even_ports_and_pairs_is_uniform),
		cmocka_unit_test(extreme_random_numbers_stay_inside),
		cmocka_unit_test(an_even_port_alone_leaves_its_sibling),
		cmocka_unit_test(a_pair_needs_both_ports),
		cmocka_unit_test(random_takes_and_gives_agree_with_flags),
	};

	return cmocka_run_group_tests_name("ports", tests, NULL, NULL);
}
