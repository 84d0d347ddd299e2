/* SPDX-License-Identifier: Apache-2.0 */
#include "floors.h"

#include "tsc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS 64

/* The compiler is not to drop or merge what is measured. */
static inline void is_used(const void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

static uint64_t touch(const struct rig *rig)
{
	uint64_t begin = tsc_now(), sum = 0;

	for (uint32_t i = 0; i < rig->n_frames; i++) {
		uint64_t word;

		memcpy(&word, rig->frames[i].data + 16, sizeof(word));
		sum += word;
		memcpy(rig->frames[i].data, &sum, sizeof(sum));
	}
	is_used(&sum);
	return tsc_now() - begin;
}

static uint64_t copy(const struct rig *rig)
{
	uint64_t begin = tsc_now();

	for (uint32_t i = 0; i < rig->n_frames; i++) {
		uint8_t *data = rig->frames[i].data;

		memcpy(data - HEADERS, data, HEADERS);
		is_used(data);
	}
	return tsc_now() - begin;
}

void floor_touch(struct rig *rig, const struct order *order, uint32_t n_batches, struct sample *s)
{
	for (uint32_t i = 0; i < n_batches; i++) {
		rig_fill(rig, TP_PATH_UP_44, order);
		sample_add(s, rig->n_frames, tsc_ns(touch(rig)) / rig->n_frames);
	}
}

void floor_memcpy(struct rig *rig, const struct order *order, uint32_t n_batches, struct sample *s)
{
	for (uint32_t i = 0; i < n_batches; i++) {
		rig_fill(rig, TP_PATH_UP_44, order);
		sample_add(s, rig->n_frames, tsc_ns(copy(rig)) / rig->n_frames);
	}
}

/* ---- lookup ---- */

/* Keys as the first pass of the pipeline leaves them. */
struct keys {
	uint32_t n;
	bool is_v6;
	struct tp_parsed *parsed;
	struct tp_flow_query *query;
};

static int keys_new(struct keys *k, uint32_t n, bool is_v6)
{
	*k = (struct keys){ .n = n, .is_v6 = is_v6 };
	k->parsed = calloc(n, sizeof(*k->parsed));
	k->query = calloc(n, sizeof(*k->query));
	return k->parsed != NULL && k->query != NULL ? 0 : -ENOMEM;
}

static void keys_free(struct keys *k)
{
	free(k->parsed);
	free(k->query);
}

static void keys_fill(struct keys *k, const struct rig *rig)
{
	for (uint32_t i = 0; i < k->n; i++) {
		tp_classify(&rig->pipe.classify, &rig->frames[i], &k->parsed[i]);
		k->query[i].key = &k->parsed[i].key;
		k->query[i].kind = k->is_v6 ? TP_FLOW_CHANNEL6 : TP_FLOW_CHANNEL4;
	}
}

/* The one place that knows the lookup.  @return flows found */
static inline uint32_t look_up(const struct tp_flow_table *flows, const struct keys *k, uint32_t i,
		uint32_t n, struct tp_flow *flow[])
{
	return tp_flow_lookup_bulk(flows, k->query + i, n, flow);
}

static uint64_t look_up_all(const struct tp_flow_table *flows, const struct keys *k, uint32_t burst,
		uint32_t *n_found)
{
	uint64_t begin = tsc_now();
	struct tp_flow *flow[TP_BURST];

	for (uint32_t i = 0; i < k->n; i += burst) {
		*n_found += look_up(flows, k, i, k->n - i < burst ? k->n - i : burst, flow);
		is_used(flow);
	}
	return tsc_now() - begin;
}

int floor_lookup(struct rig *rig, enum tp_path path, const struct order *order, uint32_t burst,
		uint32_t n_batches, struct sample *s)
{
	struct keys k;
	uint32_t n_found = 0;
	uint64_t span;
	int rc = keys_new(&k, rig->n_frames, traffic_in6(path));

	for (uint32_t i = 0; i < n_batches && rc == 0; i++) {
		rig_fill(rig, path, order);
		keys_fill(&k, rig);
		span = look_up_all(rig->pipe.flows, &k, burst, &n_found);
		sample_add(s, k.n, tsc_ns(span) / k.n);
	}
	keys_free(&k);
	if (rc == 0 && n_found != rig->n_frames * n_batches) {
		fprintf(stderr, "lookup: %u of %u keys found\n", n_found,
				rig->n_frames * n_batches);
		rc = -ENOENT;
	}
	return rc;
}
