/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/pipeline.h"

#include "flow/rewrite_private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define AHEAD 8      /* frames between the prefetch of a header and its use */
#define REST_AHEAD 4 /* of its second line, which the first one tells to be needed */
#define ETHERTYPE_AT 12
#define UDP4_PAYLOAD_AT (14 + 20 + 8)

/* A frame that needs a flow. */
struct item {
	struct tp_parsed parsed;
	const struct tp_frame *frame;
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

/* The channel wins where there is one (section 12.5). */
static void find_flows(const struct tp_flow_table *flows, const struct tp_flow_query query[],
		uint32_t n, struct tp_flow *flow[])
{
	if (tp_flow_lookup_bulk(flows, query, n, flow) < n)
		find_permissions(flows, query, n, flow);
}

/*
 * What lies behind a frame's first line and will be read: ChannelData over IPv6 begins at its end,
 * as does what has a VLAN tag (both have the highest bit set in the Ethertype), and a Send
 * indication goes on (its first byte is 0).  Of everything else the second line is payload, and to
 * fetch it from the core that wrote it, and back, is the dearest thing that could be done to it.
 */
static inline void prefetch_rest(const struct tp_frame *frame)
{
	const uint8_t *data = frame->data;

	if (frame->len > UDP4_PAYLOAD_AT)
		__builtin_prefetch(data +
				(((data[ETHERTYPE_AT] >> 7) | (data[UDP4_PAYLOAD_AT] == 0)) << 6));
}

/* Pass 1, frames to keys: reads frame headers. */
static uint32_t pass_classify(struct tp_pipe *pipe, const struct tp_frame frames[], uint32_t n,
		struct item items[], struct tp_flow_query query[], struct tp_flow_send_key sends[],
		struct tp_pipe_out *out)
{
	uint32_t i, n_items = 0;
	uint64_t bytes = 0;
	enum tp_verdict v;

	for (i = 0; i < n && i < AHEAD; i++)
		__builtin_prefetch(frames[i].data);
	for (i = 0; i < n && i < REST_AHEAD; i++)
		prefetch_rest(&frames[i]);
	for (i = 0; i < n; i++) {
		struct item *item = &items[n_items];

		if (i + AHEAD < n)
			__builtin_prefetch(frames[i + AHEAD].data);
		if (i + REST_AHEAD < n)
			prefetch_rest(&frames[i + REST_AHEAD]);
		bytes += frames[i].len;
		v = classify(&pipe->classify, &frames[i], &item->parsed);
		if (v != TP_FORWARD) {
			dispose(pipe, out, &frames[i], v);
			continue;
		}
		item->frame = &frames[i];
		query[n_items].key = &item->parsed.key;
		query[n_items].kind = item->parsed.view.family == TP_IPV6 ? TP_FLOW_CHANNEL6
									  : TP_FLOW_CHANNEL4;
		if (tp_parsed_is_send(&item->parsed)) {
			tp_send_key_form(frames[i].data, &item->parsed, &sends[n_items]);
			query[n_items].key = &sends[n_items];
			query[n_items].kind = TP_FLOW_SENDS;
		}
		n_items++;
	}
	tp_stat_add(&pipe->stats.rx_pkts, n);
	tp_stat_add(&pipe->stats.rx_bytes, bytes);
	return n_items;
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

/* Apart, so that channels have the registers. */
static __attribute__((noinline)) enum tp_verdict rewrite_indication(struct tp_pipe *pipe,
		struct tp_frame *frame, const struct tp_parsed *parsed, const struct tp_flow *in,
		const struct tp_flow *out, const struct rewrite_env *env)
{
	return tp_rewrite_indication(frame, parsed, in, out, &parsed->key, &pipe->tids,
			env->egress_ports, env->now_ns, env->ip_id);
}

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

/* To the end of out->forward, or away.  out_flow NULL: there is none to leave by. */
INLINE void rewrite_one(struct tp_pipe *pipe, const struct item *item, const struct tp_flow *in,
		const struct tp_flow *out_flow, struct rewrite_env *env, struct tp_pipe_out *out)
{
	struct tp_frame *sent = &out->forward[out->n_forward];
	enum tp_verdict v = TP_PUNT;
	uint32_t way = 0;

	if (out_flow != NULL) {
		way = way_of(in, out_flow);
		env->ip_id++;
		if (way & TP_FLOW_INDICATION) {
			*sent = *item->frame;
			v = rewrite_indication(pipe, sent, &item->parsed, in, out_flow, env);
		} else {
			v = rewrite(sent, item->frame, &item->parsed, in, out_flow, env, way);
		}
	}
	if (v == TP_FORWARD && env->metered != NULL)
		v = admit(env->metered, in, out_flow, item->parsed.data_len, env->now_ns);
	if (v == TP_FORWARD) {
		tp_stat_add(&pipe->stats.path[path_of_way[way]], 1);
		out->charge[out->n_forward] = (struct tp_charge){ in->account_at,
			out_flow->account_at, item->parsed.data_len };
		out->n_forward++;
	} else {
		dispose(pipe, out, item->frame, v);
	}
}

/*
 * Relay to relay: the packets leave by flows of other allocations, which go down to clients.  A
 * downward flow is no hairpin: one more look is enough.
 */
static __attribute__((noinline)) void rewrite_hairpins(struct tp_pipe *pipe, struct item items[],
		struct tp_flow *const in[], const uint8_t at[], uint32_t n, struct rewrite_env *env,
		struct tp_pipe_out *out)
{
	struct tp_flow_query query[TP_BURST];
	struct tp_flow *leave[TP_BURST];
	uint32_t i = 0;

	do /* n > 0 */
		hairpin_query(in[at[i]], &items[at[i]].parsed, &query[i]);
	while (++i < n);
	find_flows(pipe->flows, query, n, leave);
	for (i = 0; i < n; i++)
		rewrite_one(pipe, &items[at[i]], in[at[i]], leave[i], env, out);
}

/* Pass 3, rewrite in place.  Without a flow: the kernel path's business. */
static void pass_rewrite(struct tp_pipe *pipe, struct item items[], uint32_t n,
		struct tp_flow *const in[], uint64_t now_ns, struct tp_pipe_out *out)
{
	struct rewrite_env env = {
		.egress_ports = pipe->egress_ports,
		.now_ns = now_ns,
		.ip_id = pipe->ip_id,
		.metered = pipe->tally != NULL ? pipe->tally->metered : NULL,
	};
	uint8_t hairpin[TP_BURST];
	uint32_t i, n_hairpins = 0;

	for (i = 0; i < n; i++) {
		if (in[i] != NULL && (in[i]->flags & TP_FLOW_HAIRPIN))
			hairpin[n_hairpins++] = (uint8_t)i;
		else
			rewrite_one(pipe, &items[i], in[i], in[i], &env, out);
	}
	if (n_hairpins > 0)
		rewrite_hairpins(pipe, items, in, hairpin, n_hairpins, &env, out);
	pipe->ip_id = env.ip_id;
}

/* What is about to be counted: of as many accounts as there are packets. */
static void prefetch_accounts(const struct tp_tally *tally, struct tp_flow *const in[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (in[i] != NULL)
			__builtin_prefetch(&tally->words[in[i]->account_at], 1);
}

/* Pass 4, accounts. */
static void pass_count(struct tp_tally *tally, const struct tp_pipe_out *out)
{
	for (uint32_t i = 0; i < out->n_forward; i++) {
		const struct tp_charge *c = &out->charge[i];

		tp_tally_count(tally, c->in_at, c->data_len);
		if (c->out_at != c->in_at)
			tp_tally_count(tally, c->out_at, c->data_len);
	}
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
	struct item items[TP_BURST];
	struct tp_flow_query query[TP_BURST];
	struct tp_flow_send_key sends[TP_BURST];
	struct tp_flow *in[TP_BURST];
	uint32_t n_items;

	assert(n <= TP_BURST);
	out->n_forward = out->n_punt = out->n_dead = 0;

	n_items = pass_classify(pipe, frames, n, items, query, sends, out);
	find_flows(pipe->flows, query, n_items, in);
	if (pipe->tally != NULL)
		prefetch_accounts(pipe->tally, in, n_items);
	pass_rewrite(pipe, items, n_items, in, now_ns, out);
	if (pipe->tally != NULL)
		pass_count(pipe->tally, out);

	assert(out->n_forward + out->n_punt + out->n_dead == n);
}
