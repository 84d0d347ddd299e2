/* SPDX-License-Identifier: Apache-2.0 */
/* The hash table in which the BPF programs find addresses, looked at from here. */
#include "io/steer_conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint32_t random32(void)
{
	return (uint32_t)random() << 16 ^ (uint32_t)random();
}

/* Neighbours, as addresses of a host are; those of IPv6 differ in one word or in all. */
static struct tp_bpf_addr address(uint32_t i, int kind)
{
	struct tp_bpf_addr a = { .is_v6 = kind > 0, .relay = TP_BPF_NO_RELAY };

	for (int w = 0; w < 4; w++)
		a.ip[w] = kind == 0 ? 0 : kind == 1 ? (w == 3) * i << 24 : random32();
	if (kind == 0)
		a.ip[0] = 0x0a + (i << 24);
	return a;
}

static void every_address_is_found_and_no_other(void **state)
{
	static const uint32_t counts[] = { 0, 1, 2, 64, TP_BPF_MAX_ADDRS };

	(void)state;
	srandom(1);
	for (int kind = 0; kind < 3; kind++) {
		for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
			struct tp_bpf_conf conf = { .n_addrs = counts[c] };
			struct tp_bpf_addr other;

			for (uint32_t i = 0; i < counts[c]; i++)
				conf.addr[i] = address(i, kind);
			assert_int_equal(tp_steer_conf_index(&conf), 0);
			for (uint32_t i = 0; i < counts[c]; i++) {
				const struct tp_bpf_addr *a = &conf.addr[i];

				assert_int_equal(tp_bpf_find_addr(&conf, a->ip, a->is_v6), i);
				assert_int_equal(tp_bpf_find_addr(&conf, a->ip, !a->is_v6),
						TP_BPF_MAX_ADDRS);
			}
			for (uint32_t i = 0; i < 10000; i++) {
				other = address(i + TP_BPF_MAX_ADDRS, kind == 1 ? 2 : kind);
				if (kind == 0 && other.ip[0] >> 24 < counts[c])
					continue;
				assert_int_equal(tp_bpf_find_addr(&conf, other.ip, other.is_v6),
						TP_BPF_MAX_ADDRS);
			}
		}
	}
}

static void a_list_with_an_address_too_often_has_no_table(void **state)
{
	struct tp_bpf_conf conf = { .n_addrs = TP_BPF_PROBES + 1 };

	(void)state;
	assert_int_equal(tp_steer_conf_index(&conf), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_address_is_found_and_no_other),
		cmocka_unit_test(a_list_with_an_address_too_often_has_no_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
