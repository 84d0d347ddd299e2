/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/pipeline.h"

#include <assert.h>
#include <stdbool.h>

#define AHEAD 8 /* frames between the prefetch of a header and its use */

/* A frame that needs a flow. */
struct item {
	struct tp_parsed parsed;
	const struct tp_frame *frame;
};

/* Keys of both families with the item each belongs to, and what was found, by item. */
struct query {
	uint32_t n4, n6;
	uint8_t item4[TP_BURST], item6[TP_BURST];
	const struct tp_flow_key4 *key4[TP_BURST];
	const struct tp_flow_key6 *key6[TP_BURST];
	const struct tp_flow *found[TP_BURST];
};

const char *tp_path_name(enum tp_path path)
{
	static const char *const name[] = {
#define X(name, text) text,
		TP_PATHS(X)
#undef X
	};

	assert(path < TP_PATH_COUNT);
	return name[path];
}

static inline void dispose(struct tp_pipe *pipe, struct tp_pipe_out *out,
		const struct tp_frame *frame, enum tp_verdict v)
{
	if (v == TP_FORWARD) {
		out->forward[out->n_forward++] = *frame;
	} else if (v == TP_PUNT) {
		out->punt[out->n_punt++] = *frame;
	} else {
		tp_stat_add(&pipe->stats.verdict[v], 1);
		out->dead[out->n_dead++] = *frame;
	}
}

static inline void query_add(
		struct query *q, uint32_t item, const union tp_flow_key *key, bool is_v6)
{
	if (is_v6) {
		q->item6[q->n6] = (uint8_t)item;
		q->key6[q->n6++] = &key->v6;
	} else {
		q->item4[q->n4] = (uint8_t)item;
		q->key4[q->n4++] = &key->v4;
	}
}

/* Both lines of a flow: the second has the rest of an IPv6 header, or the hairpin key. */
static inline void query_found(
		struct query *q, const uint8_t item[], struct tp_flow *const flow[], uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		q->found[item[i]] = flow[i];
		if (flow[i] == NULL)
			continue;
		__builtin_prefetch(flow[i]);
		__builtin_prefetch((const uint8_t *)flow[i] + 64);
	}
}

static void query_run(struct query *q, const struct tp_flow_table *flows)
{
	struct tp_flow *flow[TP_BURST];

	if (q->n4 > 0) {
		tp_flow_lookup4_bulk(flows, q->key4, q->n4, flow);
		query_found(q, q->item4, flow, q->n4);
	}
	if (q->n6 > 0) {
		tp_flow_lookup6_bulk(flows, q->key6, q->n6, flow);
		query_found(q, q->item6, flow, q->n6);
	}
}

/* Pass 1, frames to keys: reads frame headers. */
static uint32_t pass_classify(struct tp_pipe *pipe, const struct tp_frame frames[], uint32_t n,
		struct item items[], struct query *q, struct tp_pipe_out *out)
{
	uint32_t i, n_items = 0;
	uint64_t bytes = 0;
	enum tp_verdict v;

	for (i = 0; i < n && i < AHEAD; i++)
		__builtin_prefetch(frames[i].data);
	for (i = 0; i < n; i++) {
		struct item *item = &items[n_items];

		if (i + AHEAD < n)
			__builtin_prefetch(frames[i + AHEAD].data);
		bytes += frames[i].len;
		v = tp_classify(&pipe->classify, &frames[i], &item->parsed);
		if (v != TP_FORWARD) {
			dispose(pipe, out, &frames[i], v);
			continue;
		}
		item->frame = &frames[i];
		query_add(q, n_items++, &item->parsed.key, item->parsed.view.family == TP_IPV6);
	}
	tp_stat_add(&pipe->stats.rx_pkts, n);
	tp_stat_add(&pipe->stats.rx_bytes, bytes);
	return n_items;
}

static inline void prefetch_next_hop(const struct tp_flow *flow)
{
	__builtin_prefetch(atomic_load_explicit(&flow->next_hop, memory_order_relaxed));
}

/*
 * Second half of pass 2, flows to the flows by which frames leave: reads flow lines, and on a
 * hairpin looks up once more.
 */
static void pass_leave(
		const struct tp_pipe *pipe, const struct query *in, uint32_t n, struct query *leave)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		const struct tp_flow *flow = in->found[i];

		leave->found[i] = flow;
		if (flow == NULL)
			continue;
		if (flow->flags & TP_FLOW_HAIRPIN)
			query_add(leave, i, flow->hairpin, (flow->flags & TP_FLOW_OUT6) != 0);
		else
			prefetch_next_hop(flow);
	}
	if (leave->n4 + leave->n6 == 0)
		return;
	query_run(leave, pipe->flows);
	for (i = 0; i < n; i++) {
		if (leave->found[i] != NULL && leave->found[i] != in->found[i])
			prefetch_next_hop(leave->found[i]);
	}
}

static inline enum tp_path path_of(const struct tp_flow *in, const struct tp_flow *out)
{
	uint32_t kind = (in->flags & TP_FLOW_HAIRPIN) ? TP_PATH_HAIRPIN_44
			: (in->flags & TP_FLOW_UP)    ? TP_PATH_UP_44
						      : TP_PATH_DOWN_44;

	return (enum tp_path)(kind + ((in->flags & TP_FLOW_IN6) ? 2 : 0) +
			((out->flags & TP_FLOW_OUT6) ? 1 : 0));
}

/* Pass 3, rewrite in place.  No flow, or none to leave by: the kernel path's business. */
static void pass_rewrite(struct tp_pipe *pipe, const struct item items[], uint32_t n,
		const struct query *in, const struct query *leave, uint64_t now_ns,
		struct tp_pipe_out *out)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		const struct tp_flow *from = in->found[i], *to = leave->found[i];
		struct tp_frame frame = *items[i].frame;
		enum tp_verdict v = TP_PUNT;

		if (from != NULL && to != NULL)
			v = tp_rewrite(&frame, &items[i].parsed, from, to, pipe->egress_ports,
					now_ns, pipe->ip_id++);
		if (v == TP_FORWARD)
			tp_stat_add(&pipe->stats.path[path_of(from, to)], 1);
		dispose(pipe, out, &frame, v);
	}
}

void tp_pipe_burst(struct tp_pipe *pipe, const struct tp_frame frames[], uint32_t n,
		uint64_t now_ns, struct tp_pipe_out *out)
{
	struct item items[TP_BURST];
	struct query in, leave;
	uint32_t n_items;

	assert(n <= TP_BURST);
	out->n_forward = out->n_punt = out->n_dead = 0;
	in.n4 = in.n6 = leave.n4 = leave.n6 = 0;

	n_items = pass_classify(pipe, frames, n, items, &in, out);
	query_run(&in, pipe->flows);
	pass_leave(pipe, &in, n_items, &leave);
	pass_rewrite(pipe, items, n_items, &in, &leave, now_ns, out);

	assert(out->n_forward + out->n_punt + out->n_dead == n);
}
