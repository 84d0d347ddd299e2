/* SPDX-License-Identifier: Apache-2.0 */
/* Many flows in one table: bursts of look-ups, room for as many as said, and readers meanwhile. */
#include "flow/flow.h"

#include "flow_bench.h"

#include <pthread.h>
#include <sched.h>

#define CHURN_FLOWS 256
#define CHURN_ROUNDS 60000
#define CHURN_BURSTS 1000

/* Hits and misses in every mixture, both families too, a full burst of them. */
static void test_a_burst_of_both(void **state)
{
	struct bench b = bench_new(256);
	union tp_flow_key key[TP_BURST];
	struct tp_flow_query query[TP_BURST];
	struct tp_flow *flows[2][128], *want[TP_BURST], *got[TP_BURST];
	struct tp_flow_spec spec;
	uint32_t i, n, of, is_v6, hits;

	(void)state;
	for (is_v6 = 0; is_v6 < 2; is_v6++) {
		for (i = 0; i < 128; i++) {
			spec = spec_up(is_v6, false, i);
			flows[is_v6][i] = i % 3 != 0 ? add(&b, &spec) : NULL;
		}
	}
	/* of: the first, the second, or both in turn */
	for (of = 0; of < 3; of++) {
		for (n = 0; n <= TP_BURST; n++) {
			for (i = 0, hits = 0; i < n; i++) {
				is_v6 = of < 2 ? of : (i + n) % 2;
				spec = spec_up(is_v6, false, i + n); /* runs over 0..127 */
				key[i] = key_of(&spec);
				query[i].key = &key[i];
				query[i].kind = channel_kind(is_v6);
				want[i] = flows[is_v6][i + n];
				hits += want[i] != NULL;
			}
			memset(got, 0x55, sizeof(got));
			assert_int_equal(tp_flow_lookup_bulk(b.table, query, n, got), hits);
			assert_memory_equal(got, want, n * sizeof(got[0]));
		}
	}
	bench_free(&b);
}

static void fill(struct bench *b, struct tp_flow *flows[], uint32_t n, uint32_t first, bool is_v6)
{
	struct tp_flow_spec spec;
	uint32_t i;

	for (i = 0; i < n; i++) {
		spec = spec_up(is_v6, !is_v6, first + i);
		flows[i] = add(b, &spec);
	}
}

static void expect_full(struct bench *b)
{
	struct tp_flow_spec spec = spec_up(false, false, 0xfffff);

	expect_error(b, &spec, -ENOSPC);
	spec = spec_up(true, false, 0xfffff);
	expect_error(b, &spec, -ENOSPC);
}

/* Capacity is exact, for both families together, and comes back whole after a grace period, again
 * and again. */
static void test_the_table_fills_empties_and_fills(void **state)
{
	static const uint32_t sizes[] = { 8, 9, 100, 1000, 4096 };
	static struct tp_flow *flows[2][4096];
	struct tp_flow_spec spec;
	struct bench b;
	uint32_t s, round, i, n;

	(void)state;
	for (s = 0; s < COUNT(sizes); s++) {
		n = sizes[s];
		b = bench_new(2 * n);
		tp_grace_reader_register(b.grace, 0);
		tp_grace_online(b.grace, 0);
		for (round = 0; round < 4; round++) {
			fill(&b, flows[0], n, round * 5000, false);
			fill(&b, flows[1], n, round * 5000, true);
			expect_full(&b);
			assert_int_equal(tp_flow_count(b.table), 2 * n);
			for (i = 0; i < n; i++) {
				tp_flow_del(b.table, flows[0][i]);
				tp_flow_del(b.table, flows[1][n - 1 - i]);
			}
			assert_int_equal(tp_flow_count(b.table), 0);
			/* The reader may still hold any of them. */
			expect_full(&b);
			tp_grace_quiescent(b.grace, 0);
		}
		/* Everything is there to be found once more after the last round. */
		fill(&b, flows[0], n, 0, false);
		for (i = 0; i < n; i++) {
			spec = spec_up(false, true, i);
			assert_ptr_equal(find(&b, &spec), flows[0][i]);
		}
		tp_grace_offline(b.grace, 0);
		bench_free(&b);
	}
}

static void test_a_slot_is_reused_only_after_grace(void **state)
{
	struct bench b = bench_new(8);
	struct tp_flow_spec spec = spec_up(false, false, 1), other = spec_up(false, false, 2);
	struct tp_flow *old = add(&b, &spec), *flow;

	(void)state;
	tp_grace_reader_register(b.grace, 0);
	tp_grace_online(b.grace, 0);
	tp_flow_del(b.table, old);
	assert_int_equal(tp_grace_reclaim(b.grace), 1);
	flow = add(&b, &other);
	assert_ptr_not_equal(flow, old);
	assert_int_equal(old->hdr_len, 28); /* still whole for whoever holds it */
	tp_grace_quiescent(b.grace, 0);
	assert_int_equal(tp_grace_reclaim(b.grace), 0);
	assert_ptr_equal(add(&b, &spec), old);
	tp_grace_offline(b.grace, 0);
	bench_free(&b);
}

struct reader {
	struct bench *b;
	_Atomic bool is_stopping;
	_Atomic uint64_t bursts;
	uint64_t hits, wrong;
};

/* The port in the prebuilt header and the deadline tell whose flow it is. */
static bool flow_is_of(const struct tp_flow *flow, const struct tp_flow_spec *spec)
{
	uint16_t port_be = htons(spec->out_src.port);

	return memcmp(flow->hdr + (flow->flags & TP_FLOW_OUT6 ? 40 : 20), &port_be, 2) == 0 &&
			flow->deadline_ns == spec->deadline_ns;
}

static void read_burst(struct reader *r, const struct tp_flow_spec spec[],
		const union tp_flow_key key[], bool is_v6)
{
	struct tp_flow_query query[TP_BURST];
	struct tp_flow *flow[TP_BURST];
	uint32_t i;

	for (i = 0; i < TP_BURST; i++)
		query[i] = (struct tp_flow_query){ &key[i], channel_kind(is_v6) };
	r->hits += tp_flow_lookup_bulk(r->b->table, query, TP_BURST, flow);
	for (i = 0; i < TP_BURST; i++)
		r->wrong += flow[i] != NULL && !flow_is_of(flow[i], &spec[i]);
}

static void *read_along(void *arg)
{
	static struct tp_flow_spec spec[2][CHURN_FLOWS];
	static union tp_flow_key key[2][CHURN_FLOWS];
	struct reader *r = arg;
	uint32_t i, is_v6;

	for (is_v6 = 0; is_v6 < 2; is_v6++) {
		for (i = 0; i < CHURN_FLOWS; i++) {
			spec[is_v6][i] = spec_up(is_v6, !is_v6, i);
			key[is_v6][i] = key_of(&spec[is_v6][i]);
		}
	}
	tp_grace_online(r->b->grace, 1);
	for (i = 0; !r->is_stopping; i = (i + TP_BURST) % CHURN_FLOWS) {
		read_burst(r, &spec[0][i], &key[0][i], false);
		read_burst(r, &spec[1][i], &key[1][i], true);
		r->bursts++;
		tp_grace_quiescent(r->b->grace, 1);
	}
	tp_grace_offline(r->b->grace, 1);
	return NULL;
}

/* Flows come and go in a table with little room to spare; a reader finds the right one or none. */
static void test_a_reader_finds_the_right_flow_or_none(void **state)
{
	static struct tp_flow *flows[2][CHURN_FLOWS];
	struct bench b = bench_new(2 * CHURN_FLOWS);
	struct reader r = { .b = &b };
	struct tp_flow_spec spec;
	uint32_t round, i, is_v6, seed = 1, n_live = 0;
	pthread_t thread;
	int ret;

	(void)state;
	memset(flows, 0, sizeof(flows));
	tp_grace_reader_register(b.grace, 1);
	assert_int_equal(pthread_create(&thread, NULL, read_along, &r), 0);
	while (r.bursts == 0)
		sched_yield();
	/* As long as both have had their share, on one CPU too. */
	for (round = 0; round < CHURN_ROUNDS || r.bursts < CHURN_BURSTS; round++) {
		seed = seed * 1664525 + 1013904223;
		i = (seed >> 16) % CHURN_FLOWS;
		is_v6 = seed >> 31;
		if (round % 256 == 0)
			sched_yield();
		if (flows[is_v6][i] != NULL) {
			tp_flow_del(b.table, flows[is_v6][i]);
			flows[is_v6][i] = NULL;
			n_live--;
			continue;
		}
		spec = spec_up(is_v6, !is_v6, i);
		ret = tp_flow_add(b.table, &spec, &flows[is_v6][i]);
		assert_true(ret == 0 || ret == -ENOSPC); /* the reader lags behind */
		n_live += ret == 0;
		if (ret != 0)
			sched_yield();
	}
	r.is_stopping = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r.wrong, 0);
	assert_true(r.hits > 0);
	assert_int_equal(tp_flow_count(b.table), n_live);
	bench_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_burst_of_both),
		cmocka_unit_test(test_the_table_fills_empties_and_fills),
		cmocka_unit_test(test_a_slot_is_reused_only_after_grace),
		cmocka_unit_test(test_a_reader_finds_the_right_flow_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
