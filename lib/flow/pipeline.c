/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/pipeline.h"

#include "flow/lookup.h"
#include "flow/rewrite_private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define AHEAD 8      /* frames between the prefetch of a header and its use */
#define REST_AHEAD 4 /* of its second line, which the first one tells to be needed */
#define ETHERTYPE_AT 12

/* A frame that needs a flow, and the flow when it is found. */
struct item {
	struct tp_parsed parsed;
	const struct tp_frame *frame;
	uint64_t hash;
	struct tp_flow *flow;
	uint32_t candidate;
};

/* What a burst works with.  sends: keys of the items that are Send indications. */
struct burst {
	uint32_t n;
	struct item items[TP_BURST];
	struct tp_flow_send_key sends[TP_BURST];
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

/*
 * What comes from a peer and belongs to no channel may have a permission, which is for an address
 * whatever the port (RFC 8656 section 9).  @param flow  NULL where it was not found
 */
static __attribute__((noinline)) void find_permissions(const struct tp_flow_table *flows,
		const struct tp_flow_query query[], uint32_t n, struct tp_flow *flow[])
{
	struct tp_flow_query missed[TP_BURST];
	union tp_flow_key key[TP_BURST];
	struct tp_flow *found[TP_BURST];
	uint32_t i, at[TP_BURST], n_missed = 0;

	for (i = 0; i < n; i++) {
		union tp_flow_key *k = &key[n_missed];

		if (flow[i] != NULL || query[i].kind == TP_FLOW_SENDS)
			continue;
		memcpy(k, query[i].key, sizeof(*k));
		if (query[i].kind == TP_FLOW_CHANNEL4 ? k->v4.channel_be : k->v6.channel_be)
			continue;
		if (query[i].kind == TP_FLOW_CHANNEL4)
			k->v4.src_port_be = 0;
		else
			k->v6.src_port_be = 0;
		missed[n_missed].key = k;
		missed[n_missed].kind =
				query[i].kind == TP_FLOW_CHANNEL4 ? TP_FLOW_DATA4 : TP_FLOW_DATA6;
		at[n_missed++] = i;
	}
	if (n_missed == 0)
		return;
	tp_flow_lookup_bulk(flows, missed, n_missed, found);
	for (i = 0; i < n_missed; i++)
		flow[at[i]] = found[i];
}

static inline enum tp_flow_kind kind_of(const struct tp_parsed *parsed)
{
	if (tp_parsed_is_send(parsed))
		return TP_FLOW_SENDS;
	return parsed->view.family == TP_IPV6 ? TP_FLOW_CHANNEL6 : TP_FLOW_CHANNEL4;
}

/* What is about to be counted. */
INLINE void prefetch_account(const struct tp_tally *tally, const struct tp_flow *flow)
{
	if (tally != NULL && flow != NULL)
		__builtin_prefetch(&tally->words[flow->account_at], 1);
}

/* Ways in which ChannelData leaves with more in front than it came with, a bit each. */
#define GROWS                                                               \
	(1u << 0 | 1u << TP_FLOW_OUT6 | 1u << (TP_FLOW_UP | TP_FLOW_OUT6) | \
			1u << (TP_FLOW_IN6 | TP_FLOW_OUT6))

/* A driver has not touched what lies in front of a frame, and only the rewrite will. */
INLINE void prefetch_front(const struct tp_frame *frame, const struct tp_flow *flow)
{
	if (GROWS >> (flow->flags & (TP_FLOW_UP | TP_FLOW_IN6 | TP_FLOW_OUT6)) & 1)
		__builtin_prefetch(frame->data - 1, 1);
}

/* Some were not found. */
static __attribute__((noinline)) void find_missed(const struct tp_pipe *pipe, struct burst *b)
{
	struct tp_flow_query query[TP_BURST];
	struct tp_flow *flow[TP_BURST];
	uint32_t i;

	for (i = 0; i < b->n; i++) {
		const struct item *item = &b->items[i];

		query[i].key = &item->parsed.key;
		query[i].kind = kind_of(&item->parsed);
		flow[i] = item->flow;
	}
	find_permissions(pipe->flows, query, b->n, flow);
	for (i = 0; i < b->n; i++) {
		b->items[i].flow = flow[i];
		prefetch_account(pipe->tally, flow[i]);
	}
}

/*
 * What lies behind a frame's first line and will be read: ChannelData over IPv6 begins at its end.
 * (IPv6 and VLAN tags have the highest bit set in the Ethertype.)  Of everything else the second
 * line is payload, and to fetch it from the core that wrote it, and back, is the dearest thing that
 * could be done to it; to tell what is a Send indication costs more than it saves.
 *
 * INLINE: to gcc a function that does nothing but prefetch has no effect, and it removes the call.
 */
INLINE void prefetch_rest(const struct tp_frame *frame)
{
	if (frame->len > ETHERTYPE_AT)
		__builtin_prefetch(frame->data + ((frame->data[ETHERTYPE_AT] & 0x80) >> 1));
}

/*
 * Keys of Send indications.  They are put together of small pieces, so they are hashed when all of
 * them lie in memory: to read at once what was stored in pieces would be to wait for each.
 */
static __attribute__((noinline)) void hash_sends(const struct tp_flow_lookup *l, struct burst *b)
{
	uint32_t i;

	for (i = 0; i < b->n; i++)
		if (tp_parsed_is_send(&b->items[i].parsed))
			tp_send_key_form(
					b->items[i].frame->data, &b->items[i].parsed, &b->sends[i]);
	for (i = 0; i < b->n; i++) {
		if (!tp_parsed_is_send(&b->items[i].parsed))
			continue;
		b->items[i].hash = tp_flow_hash(l->seed, &b->sends[i], TP_FLOW_SENDS);
		tp_index_prefetch(&l->index, b->items[i].hash);
	}
}

/* Pass 1, frames to keys and their hashes: reads frame headers. */
static void pass_classify(struct tp_pipe *pipe, const struct tp_frame frames[], uint32_t n,
		struct burst *b, struct tp_pipe_out *out)
{
	const struct tp_flow_lookup *l = tp_flow_lookup(pipe->flows);
	const struct tp_classify_conf conf = pipe->classify;
	const struct tp_frame *end = frames + n, *frame;
	struct item *item = b->items;
	uint64_t bytes = 0;
	bool has_sends = false;
	enum tp_verdict v;

	for (frame = frames; frame < end && frame < frames + AHEAD; frame++)
		__builtin_prefetch(frame->data);
	for (frame = frames; frame < end && frame < frames + REST_AHEAD; frame++)
		prefetch_rest(frame);
	for (frame = frames; frame < end; frame++) {
		if (end - frame > AHEAD)
			__builtin_prefetch(frame[AHEAD].data);
		if (end - frame > REST_AHEAD)
			prefetch_rest(frame + REST_AHEAD);
		bytes += frame->len;
		v = classify(&conf, frame, l->seed, &item->parsed, &item->hash);
		if (v != TP_FORWARD) {
			dispose(pipe, out, frame, v);
			continue;
		}
		item->frame = frame;
		if (__builtin_expect(tp_parsed_is_send(&item->parsed), false))
			has_sends = true;
		else
			tp_index_prefetch(&l->index, item->hash);
		item++;
	}
	b->n = (uint32_t)(item - b->items);
	if (has_sends)
		hash_sends(l, b);
	tp_stat_add(&pipe->stats.rx_pkts, n);
	tp_stat_add(&pipe->stats.rx_bytes, bytes);
}

static inline struct tp_flow *confirm(
		const struct tp_flow_lookup *l, const struct burst *b, const struct item *item)
{
	switch (kind_of(&item->parsed)) {
	case TP_FLOW_CHANNEL4:
		return tp_flow_confirm(l, item->candidate, item->hash, &item->parsed.key,
				TP_FLOW_CHANNEL4);
	case TP_FLOW_CHANNEL6:
		return tp_flow_confirm(l, item->candidate, item->hash, &item->parsed.key,
				TP_FLOW_CHANNEL6);
	default:
		return tp_flow_confirm(l, item->candidate, item->hash, &b->sends[item - b->items],
				TP_FLOW_SENDS);
	}
}

/*
 * Pass 2, keys to flows: reads the index, then flows, and begins to fetch what is read with them
 * and the accounts.  A channel wins where there is one (RFC 8656 section 12.5).
 */
static void pass_find(const struct tp_pipe *pipe, struct burst *b)
{
	const struct tp_flow_lookup *l = tp_flow_lookup(pipe->flows);
	const struct tp_tally *tally = pipe->tally;
	struct item *end = b->items + b->n, *item;
	uint32_t misses = 0;

	for (item = b->items; item < end; item++)
		item->candidate = tp_flow_candidate(l, item->hash);
	for (item = b->items; item < end; item++) {
		struct tp_flow *flow = confirm(l, b, item);

		item->flow = flow;
		if (flow == NULL) {
			misses++;
			continue;
		}
		__builtin_prefetch(atomic_load_explicit(&flow->next_hop, memory_order_relaxed));
		prefetch_account(tally, flow);
		prefetch_front(item->frame, flow);
	}
	if (misses > 0)
		find_missed(pipe, b);
}

/* The key of the other allocation's flow, where the item has an idle one. */
static inline void hairpin_query(
		const struct tp_flow *flow, struct tp_parsed *parsed, struct tp_flow_query *query)
{
	bool is_v6 = (flow->flags & TP_FLOW_OUT6) != 0;

	tp_flow_hairpin_key(flow, &parsed->key);
	if ((flow->flags & TP_FLOW_INDICATION) && is_v6)
		parsed->key.v6.dst_port_be = htons(parsed->peer_port);
	else if (flow->flags & TP_FLOW_INDICATION)
		parsed->key.v4.dst_port_be = htons(parsed->peer_port);
	query->key = &parsed->key;
	query->kind = is_v6 ? TP_FLOW_CHANNEL6 : TP_FLOW_CHANNEL4;
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

/* Is the peer of this direction in IPv6? */
static inline bool is_peer6(const struct tp_flow *flow)
{
	return (flow->flags & (flow->flags & TP_FLOW_UP ? TP_FLOW_OUT6 : TP_FLOW_IN6)) != 0;
}

/* Of a frame that could be sent: may it be?  A hairpin is up for one allocation, down for another.
 */
static __attribute__((noinline)) enum tp_verdict admit(struct tp_metered *metered,
		const struct tp_flow *in, const struct tp_flow *out, uint16_t data_len,
		uint64_t now_ns)
{
	if (!tp_metered_take(metered, in->account_at, tp_meter_bytes(data_len, is_peer6(in)),
			    now_ns))
		return TP_DROP_RATE;
	if (in != out &&
			!tp_metered_take(metered, out->account_at,
					tp_meter_bytes(data_len, is_peer6(out)), now_ns))
		return TP_DROP_RATE;
	return TP_FORWARD;
}

/* Count in the accounts, and remember where, in case that it can not be sent. */
INLINE void charge(struct tp_tally *tally, const struct tp_flow *in, const struct tp_flow *out,
		uint16_t data_len, struct tp_charge *to)
{
	*to = (struct tp_charge){ in->account_at, out->account_at, data_len };
	if (tally == NULL)
		return;
	tp_tally_count(tally, in->account_at, data_len);
	if (in != out)
		tp_tally_count(tally, out->account_at, data_len);
}

/* What becomes of a frame that was rewritten, to out->forward[], or was not. */
INLINE void finish(struct tp_pipe *pipe, const struct item *item, const struct tp_flow *in,
		const struct tp_flow *out_flow, const struct rewrite_env *env, uint32_t way,
		enum tp_verdict v, struct tp_pipe_out *out)
{
	if (v == TP_FORWARD && env->metered != NULL)
		v = admit(env->metered, in, out_flow, item->parsed.data_len, env->now_ns);
	if (v == TP_FORWARD) {
		tp_stat_add(&pipe->stats.path[path_of_way[way]], 1);
		charge(pipe->tally, in, out_flow, item->parsed.data_len,
				&out->charge[out->n_forward]);
		out->n_forward++;
	} else {
		dispose(pipe, out, item->frame, v);
	}
}

/* Any way.  out_flow NULL: there is none to leave by. */
static __attribute__((noinline)) void rewrite_any(struct tp_pipe *pipe, const struct item *item,
		const struct tp_flow *out_flow, struct rewrite_env *env, struct tp_pipe_out *out)
{
	struct tp_frame *sent = &out->forward[out->n_forward];
	enum tp_verdict v = TP_PUNT;
	uint32_t way = 0;

	if (out_flow != NULL) {
		way = way_of(item->flow, out_flow);
		env->ip_id++;
		if (way & TP_FLOW_INDICATION) {
			*sent = *item->frame;
			v = tp_rewrite_indication(sent, &item->parsed, item->flow, out_flow,
					&item->parsed.key, &pipe->tids, env->egress_ports,
					env->now_ns, env->ip_id);
		} else {
			v = rewrite(sent, item->frame, &item->parsed, item->flow, out_flow, env,
					way);
		}
	}
	finish(pipe, item, item->flow, out_flow, env, way, v, out);
}

/*
 * Relay to relay: the packets leave by flows of other allocations, which go down to clients.  A
 * downward flow is no hairpin: one more look is enough.
 */
static __attribute__((noinline)) void rewrite_hairpins(struct tp_pipe *pipe,
		struct item *const items[], uint32_t n, struct rewrite_env *env,
		struct tp_pipe_out *out)
{
	struct tp_flow_query query[TP_BURST];
	struct tp_flow *leave[TP_BURST];
	uint32_t i = 0;

	do /* n > 0 */
		hairpin_query(items[i]->flow, &items[i]->parsed, &query[i]);
	while (++i < n);
	if (tp_flow_lookup_bulk(pipe->flows, query, n, leave) < n)
		find_permissions(pipe->flows, query, n, leave);
	for (i = 0; i < n; i++)
		prefetch_account(pipe->tally, leave[i]);
	for (i = 0; i < n; i++)
		rewrite_any(pipe, items[i], leave[i], env, out);
}

/* Pass 3, rewrite in place.  Without a flow: the kernel path's business. */
static void pass_rewrite(
		struct tp_pipe *pipe, struct burst *b, uint64_t now_ns, struct tp_pipe_out *out)
{
	struct rewrite_env env = {
		.egress_ports = pipe->egress_ports,
		.now_ns = now_ns,
		.ip_id = pipe->ip_id,
		.metered = pipe->tally != NULL ? pipe->tally->metered : NULL,
	};
	struct item *hairpins[TP_BURST], *end = b->items + b->n, *item;
	uint32_t n_hairpins = 0;

	for (item = b->items; item < end; item++) {
		const struct tp_flow *flow = item->flow;
		uint32_t way = flow != NULL ? flow->flags : TP_FLOW_INDICATION;
		enum tp_verdict v;

		if (__builtin_expect((way & (TP_FLOW_INDICATION | TP_FLOW_HAIRPIN)) == 0, true)) {
			env.ip_id++;
			v = rewrite_plain(&out->forward[out->n_forward], item->frame, &item->parsed,
					flow, &env, way);
			finish(pipe, item, flow, flow, &env, way, v, out);
		} else if (way & TP_FLOW_HAIRPIN) {
			hairpins[n_hairpins++] = item;
		} else {
			rewrite_any(pipe, item, flow, &env, out);
		}
	}
	if (n_hairpins > 0)
		rewrite_hairpins(pipe, hairpins, n_hairpins, &env, out);
	pipe->ip_id = env.ip_id;
}

void tp_pipe_uncount(struct tp_pipe *pipe, const struct tp_pipe_out *out, uint32_t i)
{
	const struct tp_charge *c = &out->charge[i];

	assert(i < out->n_forward);
	if (pipe->tally == NULL)
		return;
	tp_tally_uncount(pipe->tally, c->in_at, c->data_len);
	if (c->out_at != c->in_at)
		tp_tally_uncount(pipe->tally, c->out_at, c->data_len);
}

void tp_pipe_burst(struct tp_pipe *pipe, const struct tp_frame frames[], uint32_t n,
		uint64_t now_ns, struct tp_pipe_out *out)
{
	struct burst burst;

	assert(n <= TP_BURST);
	out->n_forward = out->n_punt = out->n_dead = 0;

	pass_classify(pipe, frames, n, &burst, out);
	pass_find(pipe, &burst);
	pass_rewrite(pipe, &burst, now_ns, out);

	assert(out->n_forward + out->n_punt + out->n_dead == n);
}
