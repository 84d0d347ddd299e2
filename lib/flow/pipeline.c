/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/pipeline.h"

#include <arpa/inet.h>
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
	uint32_t n4, n6, n_missed;
	uint8_t item4[TP_BURST], item6[TP_BURST];
	const struct tp_flow_key4 *key4[TP_BURST];
	const struct tp_flow_key6 *key6[TP_BURST];
	const struct tp_flow *found[TP_BURST];
};

/* The same of Send indications, whose keys are not where the item is. */
struct send_query {
	uint32_t n;
	uint8_t item[TP_BURST];
	const struct tp_flow_send_key *key[TP_BURST];
	struct tp_flow_send_key keys[TP_BURST];
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

/* A frame that is not forwarded. */
static inline void dispose(struct tp_pipe *pipe, struct tp_pipe_out *out,
		const struct tp_frame *frame, enum tp_verdict v)
{
	if (v == TP_PUNT) {
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
		if (flow[i] == NULL) {
			q->n_missed++;
			continue;
		}
		__builtin_prefetch(flow[i]);
		__builtin_prefetch((const uint8_t *)flow[i] + 64);
	}
}

/*
 * What comes from a peer and belongs to no channel may have a permission, which is for an address
 * whatever the port (RFC 8656 section 9).
 */
static __attribute__((noinline)) void query_permissions(
		struct query *q, const struct tp_flow_table *flows)
{
	struct tp_flow_key4 key4[TP_BURST];
	struct tp_flow_key6 key6[TP_BURST];
	struct tp_flow *flow[TP_BURST];
	struct query p;
	uint32_t i;

	p.n4 = p.n6 = p.n_missed = 0;
	for (i = 0; i < q->n4; i++) {
		if (q->found[q->item4[i]] != NULL || q->key4[i]->channel_be != 0)
			continue;
		key4[p.n4] = *q->key4[i];
		key4[p.n4].src_port_be = 0;
		p.key4[p.n4] = &key4[p.n4];
		p.item4[p.n4++] = q->item4[i];
	}
	for (i = 0; i < q->n6; i++) {
		if (q->found[q->item6[i]] != NULL || q->key6[i]->channel_be != 0)
			continue;
		key6[p.n6] = *q->key6[i];
		key6[p.n6].src_port_be = 0;
		p.key6[p.n6] = &key6[p.n6];
		p.item6[p.n6++] = q->item6[i];
	}
	if (p.n4 > 0) {
		tp_flow_lookup_data4_bulk(flows, p.key4, p.n4, flow);
		query_found(q, p.item4, flow, p.n4);
	}
	if (p.n6 > 0) {
		tp_flow_lookup_data6_bulk(flows, p.key6, p.n6, flow);
		query_found(q, p.item6, flow, p.n6);
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
	/* The channel wins where there is one (section 12.5). */
	if (q->n_missed > 0)
		query_permissions(q, flows);
}

static __attribute__((noinline)) void send_query_add(struct send_query *q, uint32_t item,
		const struct tp_frame *frame, const struct tp_parsed *parsed)
{
	q->item[q->n] = (uint8_t)item;
	q->key[q->n] = &q->keys[q->n];
	tp_send_key_form(frame->data, parsed, &q->keys[q->n++]);
}

static __attribute__((noinline)) void send_query_run(
		const struct send_query *q, const struct tp_flow_table *flows, struct query *in)
{
	struct tp_flow *flow[TP_BURST];

	tp_flow_lookup_send_bulk(flows, q->key, q->n, flow);
	query_found(in, q->item, flow, q->n);
}

/* Pass 1, frames to keys: reads frame headers. */
static uint32_t pass_classify(struct tp_pipe *pipe, const struct tp_frame frames[], uint32_t n,
		struct item items[], struct query *q, struct send_query *sends,
		struct tp_pipe_out *out)
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
		if (tp_parsed_is_send(&item->parsed)) {
			q->found[n_items] = NULL;
			send_query_add(sends, n_items++, &frames[i], &item->parsed);
		} else {
			query_add(q, n_items++, &item->parsed.key,
					item->parsed.view.family == TP_IPV6);
		}
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
 * The key of the other allocation's flow: a channel's is ready, a permission's wants the port, and
 * is made where the item has an idle key.  What is found under it goes down to a client: a downward
 * flow is no hairpin, so one look is enough.
 */
static inline const union tp_flow_key *hairpin_key(
		const struct tp_flow *flow, struct tp_parsed *parsed)
{
	if (!(flow->flags & TP_FLOW_INDICATION))
		return flow->hairpin;
	parsed->key = *flow->hairpin;
	if (flow->flags & TP_FLOW_OUT6)
		parsed->key.v6.dst_port_be = htons(parsed->peer_port);
	else
		parsed->key.v4.dst_port_be = htons(parsed->peer_port);
	return &parsed->key;
}

/*
 * Second half of pass 2, flows to the flows by which frames leave: reads flow lines, and on a
 * hairpin looks up once more.
 */
static void pass_leave(const struct tp_pipe *pipe, struct item items[], const struct query *in,
		uint32_t n, struct query *leave)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		const struct tp_flow *flow = in->found[i];

		leave->found[i] = flow;
		if (flow == NULL)
			continue;
		if (flow->flags & TP_FLOW_HAIRPIN)
			query_add(leave, i, hairpin_key(flow, &items[i].parsed),
					(flow->flags & TP_FLOW_OUT6) != 0);
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

/* The way of a packet in flags: those of the flow found, but how it leaves is the other's. */
static inline uint32_t way_of(const struct tp_flow *in, const struct tp_flow *out)
{
	return (in->flags & ~(uint32_t)TP_FLOW_OUT6) |
			(out->flags & (TP_FLOW_OUT6 | TP_FLOW_INDICATION));
}

/* clang-format off */
#define WAYS(flags, name)                                          \
	[flags] = TP_PATH_##name##_44,                             \
	[(flags) | TP_FLOW_OUT6] = TP_PATH_##name##_46,            \
	[(flags) | TP_FLOW_IN6] = TP_PATH_##name##_64,             \
	[(flags) | TP_FLOW_IN6 | TP_FLOW_OUT6] = TP_PATH_##name##_66
/* clang-format on */

static const uint8_t path_of_way[] = {
	WAYS(0, DOWN),
	WAYS(TP_FLOW_UP, UP),
	WAYS(TP_FLOW_UP | TP_FLOW_HAIRPIN, HAIRPIN),
	WAYS(TP_FLOW_INDICATION, DATA),
	WAYS(TP_FLOW_INDICATION | TP_FLOW_UP, SEND),
	WAYS(TP_FLOW_INDICATION | TP_FLOW_UP | TP_FLOW_HAIRPIN, HAIRPIN_INDICATION),
};

/* Apart, so that channels have the registers. */
static __attribute__((noinline)) enum tp_verdict rewrite_indication(struct tp_pipe *pipe,
		struct tp_frame *frame, const struct tp_parsed *parsed, const struct tp_flow *in,
		const struct tp_flow *out, uint64_t now_ns)
{
	bool is_channel_hairpin =
			(in->flags & (TP_FLOW_HAIRPIN | TP_FLOW_INDICATION)) == TP_FLOW_HAIRPIN;
	const union tp_flow_key *key = is_channel_hairpin ? in->hairpin : &parsed->key;

	return tp_rewrite_indication(frame, parsed, in, out, key, &pipe->tids, pipe->egress_ports,
			now_ns, pipe->ip_id++);
}

static inline enum tp_verdict rewrite_one(struct tp_pipe *pipe, struct tp_frame *frame,
		const struct tp_parsed *parsed, const struct tp_flow *in, const struct tp_flow *out,
		uint64_t now_ns)
{
	uint32_t way = way_of(in, out);
	enum tp_verdict v;

	if (way & TP_FLOW_INDICATION)
		v = rewrite_indication(pipe, frame, parsed, in, out, now_ns);
	else
		v = tp_rewrite(frame, parsed, in, out, pipe->egress_ports, now_ns, pipe->ip_id++);
	if (v == TP_FORWARD)
		tp_stat_add(&pipe->stats.path[path_of_way[way]], 1);
	return v;
}

/* Pass 3, rewrite in place.  No flow, or none to leave by: the kernel path's business. */
static void pass_rewrite(struct tp_pipe *pipe, const struct item items[], uint32_t n,
		const struct query *in, const struct query *leave, uint64_t now_ns,
		struct tp_pipe_out *out)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		const struct tp_flow *from = in->found[i], *to = leave->found[i];
		/* Where it is to be: one copy less for what is forwarded. */
		struct tp_frame *frame = &out->forward[out->n_forward];
		enum tp_verdict v = TP_PUNT;

		*frame = *items[i].frame;
		if (from != NULL && to != NULL)
			v = rewrite_one(pipe, frame, &items[i].parsed, from, to, now_ns);
		if (v == TP_FORWARD)
			out->n_forward++;
		else
			dispose(pipe, out, items[i].frame, v);
	}
}

void tp_pipe_burst(struct tp_pipe *pipe, const struct tp_frame frames[], uint32_t n,
		uint64_t now_ns, struct tp_pipe_out *out)
{
	struct item items[TP_BURST];
	struct query in, leave;
	struct send_query sends;
	uint32_t n_items;

	assert(n <= TP_BURST);
	out->n_forward = out->n_punt = out->n_dead = 0;
	in.n4 = in.n6 = in.n_missed = leave.n4 = leave.n6 = leave.n_missed = 0;
	sends.n = 0;

	n_items = pass_classify(pipe, frames, n, items, &in, &sends, out);
	query_run(&in, pipe->flows);
	if (sends.n > 0)
		send_query_run(&sends, pipe->flows, &in);
	pass_leave(pipe, items, &in, n_items, &leave);
	pass_rewrite(pipe, items, n_items, &in, &leave, now_ns, out);

	assert(out->n_forward + out->n_punt + out->n_dead == n);
}
