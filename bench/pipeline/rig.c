/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE (2u << 20)
/* With fewer flows than this the order is that many packets long: no predictor learns it. */
#define ORDER_MIN (1u << 20)
#define SEED 0x9e3779b97f4a7c15u

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void shuffle(uint32_t *flow, uint32_t n, uint64_t *random)
{
	for (uint32_t i = 0; i < n; i++)
		flow[i] = i;
	for (uint32_t i = n; i > 1; i--) {
		uint32_t j = (uint32_t)(next_random(random) % i), swapped = flow[i - 1];

		flow[i - 1] = flow[j];
		flow[j] = swapped;
	}
}

int order_new(uint32_t n_flows, struct order *out)
{
	uint32_t rounds = n_flows < ORDER_MIN ? (ORDER_MIN + n_flows - 1) / n_flows : 1;
	uint64_t random = SEED;

	out->flow = calloc((size_t)rounds * n_flows, sizeof(*out->flow));
	if (out->flow == NULL)
		return -ENOMEM;
	out->n_flows = n_flows;
	out->n = rounds * n_flows;
	for (uint32_t i = 0; i < rounds; i++)
		shuffle(out->flow + (size_t)i * n_flows, n_flows, &random);
	return 0;
}

void order_free(struct order *order)
{
	free(order->flow);
	order->flow = NULL;
}

static size_t chunks_size(const struct rig *rig)
{
	size_t size = (size_t)rig->n_frames * RIG_CHUNK;

	return (size + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
}

/* Aligned, so that huge pages are possible. */
static uint8_t *chunks_map(size_t size)
{
	uint8_t *p = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (p == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)p & (HUGE_PAGE - 1);
	if (before > 0)
		munmap(p, before);
	munmap(p + before + size, HUGE_PAGE - before);
	madvise(p + before, size, MADV_HUGEPAGE);
	memset(p + before, 0, size);
	return p + before;
}

int rig_new(uint32_t n_frames, uint16_t payload_len, struct rig **out)
{
	struct rig *rig = aligned_alloc(alignof(struct rig), sizeof(*rig));

	if (rig == NULL)
		return -ENOMEM;
	memset(rig, 0, sizeof(*rig));
	rig->n_frames = n_frames;
	rig->payload_len = payload_len;
	for (uint32_t i = 0; i < payload_len; i++)
		rig->payload[i] = (uint8_t)(i * 7 + 1);
	rig->frames = calloc(n_frames, sizeof(*rig->frames));
	rig->flow_of = calloc(n_frames, sizeof(*rig->flow_of));
	rig->chunks = chunks_map(chunks_size(rig));
	if (rig->frames == NULL || rig->flow_of == NULL || rig->chunks == NULL) {
		rig_free(rig);
		return -ENOMEM;
	}
	*out = rig;
	return 0;
}

void rig_free(struct rig *rig)
{
	if (rig->chunks != NULL)
		munmap(rig->chunks, chunks_size(rig));
	free(rig->flow_of);
	free(rig->frames);
	free(rig);
}

void rig_fill(struct rig *rig, enum tp_path path, const struct order *order)
{
	for (uint32_t i = 0; i < rig->n_frames; i++) {
		uint8_t *data = rig->chunks + (size_t)i * RIG_CHUNK + RIG_HEADROOM;
		uint32_t len;

		if (rig->at >= order->n)
			rig->at = 0;
		rig->flow_of[i] = order->flow[rig->at++];
		len = traffic_frame(path, rig->flow_of[i], rig->payload, rig->payload_len, data);
		rig->frames[i] = (struct tp_frame){
			.data = data,
			.len = (uint16_t)len,
			.headroom = RIG_HEADROOM,
			.tailroom = (uint16_t)(RIG_CHUNK - RIG_HEADROOM - len),
			.cookie = i,
		};
	}
}

void rig_open_pipe(struct rig *rig, const struct tp_flow_table *flows, struct tp_tally *tally)
{
	memset(&rig->pipe, 0, sizeof(rig->pipe));
	rig->pipe.flows = flows;
	rig->pipe.tally = tally;
	rig->pipe.classify =
			(struct tp_classify_conf){ TRAFFIC_RELAY_PORT_MIN, TRAFFIC_RELAY_PORT_MAX };
	rig->pipe.egress_ports = ~0ull;
	tp_tid_seed(&rig->pipe.tids);
}

static int verify_out(const struct rig *rig, enum tp_path path, uint32_t n)
{
	const struct tp_pipe_out *out = &rig->out;
	const char *wrong;

	if (out->n_forward != n) {
		fprintf(stderr, "%s: %u of %u frames forwarded, %u punted, %u dropped\n",
				tp_path_name(path), out->n_forward, n, out->n_punt, out->n_dead);
		return -EBADMSG;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct tp_frame *f = &out->forward[i];
		uint32_t flow = rig->flow_of[f->cookie];

		wrong = traffic_check(path, flow, rig->payload, rig->payload_len, f->data, f->len);
		if (wrong != NULL) {
			fprintf(stderr, "%s: a frame of flow %u came out wrong: %s\n",
					tp_path_name(path), flow, wrong);
			return -EBADMSG;
		}
	}
	return 0;
}

/* Every packet received has one verdict; here it is the same for all. */
static int verify_counters(const struct rig *rig, enum tp_path path, uint64_t n)
{
	const struct tp_pipe_stats *stats = &rig->pipe.stats;
	uint64_t drops = 0;

	for (uint32_t v = 0; v < TP_VERDICT_COUNT; v++)
		drops += atomic_load(&stats->verdict[v]);
	if (atomic_load(&stats->rx_pkts) == n && atomic_load(&stats->path[path]) == n && drops == 0)
		return 0;
	fprintf(stderr, "%s: the counters disagree with %llu packets forwarded\n",
			tp_path_name(path), (unsigned long long)n);
	return -EBADMSG;
}

int rig_verify(struct rig *rig, enum tp_path path, const struct order *order, uint32_t burst,
		uint32_t n)
{
	uint64_t now_ns = tp_clock_now_ns(), done = 0;
	int rc = 0;

	for (rig->at = 0; done < n; done += rig->n_frames) {
		rig_fill(rig, path, order);
		for (uint32_t i = 0; i < rig->n_frames && rc == 0; i += burst) {
			uint32_t n_burst = rig->n_frames - i < burst ? rig->n_frames - i : burst;

			tp_pipe_burst(&rig->pipe, rig->frames + i, n_burst, now_ns, &rig->out);
			rc = verify_out(rig, path, n_burst);
		}
		if (rc < 0)
			return rc;
	}
	return verify_counters(rig, path, done);
}
