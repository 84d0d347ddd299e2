/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/addr_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct entry {
	uint32_t other;
	struct tp_addr addr;
};

static struct tp_addr numbered(uint32_t i, uint16_t port)
{
	const uint8_t ip[16] = { 0xfd, 0, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i };

	return i % 2 ? tp_addr_v6(ip, port) : tp_addr_v4(ip + 12, port);
}

static void what_is_in_it_is_found_by_ip_and_nothing_else(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 2, 3, 64, 1000 };

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct entry *entries = calloc(sizes[s] + 1, sizeof(*entries));
		struct tp_addr_index index;

		for (uint32_t i = 0; i < sizes[s]; i++)
			entries[i].addr = numbered(i, (uint16_t)i);
		assert_int_equal(tp_addr_index_init(&index, &entries->addr, sizeof(*entries),
						 sizes[s]),
				0);
		for (uint32_t i = 0; i < 2000; i++) {
			const struct tp_addr a = numbered(i, 4711);

			assert_int_equal(
					tp_addr_index_find(&index, &a), i < sizes[s] ? (int)i : -1);
		}
		tp_addr_index_fini(&index);
		free(entries);
	}
}

static void of_duplicates_the_first_counts(void **state)
{
	const struct tp_addr addrs[] = { numbered(1, 0), numbered(2, 1), numbered(2, 2),
		numbered(3, 0) };
	struct tp_addr_index index;

	(void)state;
	assert_int_equal(tp_addr_index_init(&index, addrs, sizeof(*addrs), 4), 0);
	assert_int_equal(tp_addr_index_find(&index, &addrs[2]), 1);
	assert_int_equal(tp_addr_index_find(&index, &addrs[3]), 3);
	tp_addr_index_fini(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_in_it_is_found_by_ip_and_nothing_else),
		cmocka_unit_test(of_duplicates_the_first_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
