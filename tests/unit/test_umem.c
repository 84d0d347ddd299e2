/* SPDX-License-Identifier: Apache-2.0 */
#include "io/umem.h"

#include "base/why.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS 1000

static const struct tp_umem_conf plain = {
	.chunks = CHUNKS,
	.chunk_bytes = 2048,
	.ring_size = 512,
	.numa_node = -1,
};

static struct tp_umem *new_umem(const struct tp_umem_conf *conf)
{
	struct tp_umem *umem = NULL;
	struct tp_why why = { "" };

	assert_int_equal(tp_umem_new(conf, &umem, &why), 0);
	return umem;
}

static void configuration_is_checked(void **state)
{
	static const struct {
		const char *what;
		struct tp_umem_conf conf;
	} cases[] = {
		{ "no chunks", { 0, 2048, 512, -1 } },
		{ "no ring", { 8, 2048, 0, -1 } },
		{ "ring not a power of two", { 8, 2048, 500, -1 } },
		{ "small chunks", { 8, 1024, 512, -1 } },
		{ "large chunks", { 8, 8192, 512, -1 } },
		{ "odd chunks", { 8, 3000, 512, -1 } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tp_umem *umem = NULL;
		struct tp_why why = { "" };

		print_message("# %s\n", cases[i].what);
		assert_int_equal(tp_umem_new(&cases[i].conf, &umem, &why), -EINVAL);
		assert_null(umem);
		assert_true(strlen(why.text) > 0);
	}
}

static void all_chunks_are_free_at_first(void **state)
{
	struct tp_umem *umem = new_umem(&plain);

	(void)state;
	assert_int_equal(tp_umem_chunks(umem), CHUNKS);
	assert_int_equal(tp_umem_free_chunks(umem), CHUNKS);
	tp_umem_free(umem);
	tp_umem_free(NULL);
}

static void every_chunk_is_handed_out_once(void **state)
{
	const uint32_t chunk_bytes[] = { 2048, 4096 };
	size_t size;

	(void)state;
	for (size = 0; size < 2; size++) {
		struct tp_umem_conf conf = plain;
		uint64_t addr[CHUNKS + 1];
		bool seen[CHUNKS] = { false };
		struct tp_umem *umem;
		uint32_t i;

		conf.chunk_bytes = chunk_bytes[size];
		umem = new_umem(&conf);
		assert_int_equal(tp_umem_pop(umem, addr, CHUNKS + 1), CHUNKS);
		assert_int_equal(tp_umem_free_chunks(umem), 0);
		assert_int_equal(tp_umem_pop(umem, addr + CHUNKS, 1), 0);
		for (i = 0; i < CHUNKS; i++) {
			assert_int_equal(addr[i] % chunk_bytes[size], 0);
			assert_true(addr[i] / chunk_bytes[size] < CHUNKS);
			assert_false(seen[addr[i] / chunk_bytes[size]]);
			seen[addr[i] / chunk_bytes[size]] = true;
		}
		tp_umem_push(umem, addr, CHUNKS);
		assert_int_equal(tp_umem_free_chunks(umem), CHUNKS);
		tp_umem_free(umem);
	}
}

static void last_in_is_first_out(void **state)
{
	struct tp_umem *umem = new_umem(&plain);
	uint64_t addr[8], again[8];
	int i;

	(void)state;
	assert_int_equal(tp_umem_pop(umem, addr, 8), 8);
	tp_umem_push(umem, addr, 8);
	assert_int_equal(tp_umem_pop(umem, again, 8), 8);
	for (i = 0; i < 8; i++)
		assert_int_equal(again[i], addr[7 - i]);
	tp_umem_free(umem);
}

static void any_address_inside_names_the_chunk(void **state)
{
	struct tp_umem *umem = new_umem(&plain);
	uint64_t addr, inside, again;
	const uint32_t offset[] = { 0, 1, 256, 2047 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(offset) / sizeof(offset[0]); i++) {
		assert_int_equal(tp_umem_pop(umem, &addr, 1), 1);
		inside = addr + offset[i];
		tp_umem_push(umem, &inside, 1);
		assert_int_equal(tp_umem_pop(umem, &again, 1), 1);
		assert_int_equal(again, addr);
		tp_umem_push(umem, &again, 1);
	}
	tp_umem_free(umem);
}

static void nothing_is_lost_in_random_use(void **state)
{
	struct tp_umem *umem = new_umem(&plain);
	uint64_t held[CHUNKS];
	uint32_t n_held = 0, n, round;

	(void)state;
	srand(1);
	for (round = 0; round < 10000; round++) {
		n = (uint32_t)rand() % 64;
		if (rand() % 2 == 0) {
			n_held += tp_umem_pop(umem, held + n_held, n);
		} else {
			n = n < n_held ? n : n_held;
			n_held -= n;
			tp_umem_push(umem, held + n_held, n);
		}
		assert_int_equal(tp_umem_free_chunks(umem) + n_held, CHUNKS);
	}
	tp_umem_free(umem);
}

static void a_numa_node_can_be_asked_for(void **state)
{
	struct tp_umem_conf conf = plain;
	struct tp_umem *umem;

	(void)state;
	conf.numa_node = 0;
	umem = new_umem(&conf);
	assert_int_equal(tp_umem_free_chunks(umem), CHUNKS);
	tp_umem_free(umem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configuration_is_checked),
		cmocka_unit_test(all_chunks_are_free_at_first),
		cmocka_unit_test(every_chunk_is_handed_out_once),
		cmocka_unit_test(last_in_is_first_out),
		cmocka_unit_test(any_address_inside_names_the_chunk),
		cmocka_unit_test(nothing_is_lost_in_random_use),
		cmocka_unit_test(a_numa_node_can_be_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
