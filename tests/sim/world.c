/* SPDX-License-Identifier: Apache-2.0 */
/* A server's life, and every call into it: asked of the model before, compared with it after. */
#include "world.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

static void start(struct world *w)
{
	int rc;

	world_enter(w);
	rc = tp_turn_new(&w->conf, &world_ops, w, &w->turn);
	world_leave(w);
	if (rc < 0)
		sim_fail("the server can not be made: %d", rc);
	model_init(&w->model, &w->conf);
	for (unsigned i = 0; i < WORLD_USERS; i++)
		model_add_user(&w->model, w->users[i].name, world_passwords[i]);
	model_tick(&w->model, &w->now);
}

static void stop(struct world *w)
{
	w->want.is_request = false;
	w->is_stopping = true;
	world_enter(w);
	tp_turn_free(w->turn);
	world_leave(w);
	w->is_stopping = false;
	w->turn = NULL;
	model_fini(&w->model);
	if (w->n_open > 0 || w->n_allocated != w->n_ended)
		sim_fail("freed, and %u ports are open, %u allocations not ended", w->n_open,
				w->n_allocated - w->n_ended);
	if (w->n_clients > 0)
		sim_fail("freed, and %u clients have not left", w->n_clients);
	for (unsigned i = 0; i < WORLD_SHADOW; i++)
		if (w->channel[i].is_on || w->permission[i].is_on)
			sim_fail("freed, and flows were not");
	for (unsigned i = 0; i <= MODEL_ALLOCATIONS; i++)
		if (w->account[i].is_on)
			sim_fail("freed, and an account was not closed");
	if (world_blocks() > 0)
		sim_fail("freed, and %lu blocks of memory were not", (unsigned long)world_blocks());
}

void world_init(struct world *w, struct choose *c)
{
	static bool has_hash_seed;

	w->now = (struct tp_turn_now){ 1000 * TP_NS_PER_SEC, 1700000000 };
	w->check_every = 1;
	world_set_conf(w, c);
	/* The seed of hash tables is taken once in a process, and must not tell. */
	if (!has_hash_seed) {
		has_hash_seed = true;
		w->random = 42;
		start(w);
		stop(w);
	}
	w->random = choose_u64(c);
	start(w);
}

void world_fini(struct world *w)
{
	stop(w);
}

void world_restart(struct world *w, struct choose *c)
{
	stop(w);
	world_set_places(w, c);
	w->fail_at = 0;
	w->send_rc = 0;
	w->conf.nonce_key[0]++;
	start(w);
}

void world_reload(struct world *w, struct choose *c)
{
	struct tp_turn_forbidden ended = { 0 }, want = { 0 };
	uint32_t slice = 1 + choose(c, 16);
	int rc;

	if (one_in(c, 2))
		world_set_lists(w);
	else
		world_set_other_lists(w);
	w->conf.max_allocations = 4 + choose(c, MODEL_ALLOCATIONS - 8);
	world_set_limits(w, c);
	w->want.is_request = false;
	world_expire(w);
	world_enter(w);
	rc = tp_turn_reload(w->turn, &w->conf);
	while (tp_turn_recheck(w->turn, slice, &ended))
		;
	world_leave(w);
	if (rc < 0)
		sim_fail("the configuration can not be loaded: %d", rc);
	model_recheck(&w->model, &want);
	if (memcmp(&ended, &want, sizeof(ended)) != 0)
		sim_fail("%lu permissions and %lu channels ended, not %lu and %lu",
				(unsigned long)ended.permissions, (unsigned long)ended.channels,
				(unsigned long)want.permissions, (unsigned long)want.channels);
	w->n_reloads++;
	world_check(w);
}

bool world_has_peer_limits(const struct world *w)
{
	const struct tp_turn_limits *l = &w->conf.limits;

	return l->permissions_per_allocation != 0 || l->channels_per_allocation != 0 ||
			l->new_peers_per_sec != 0;
}

void world_drain(struct world *w, bool is_draining)
{
	tp_turn_drain(w->turn, is_draining);
	w->model.is_draining = is_draining;
}

void world_relay_here(struct world *w, uint32_t relay, bool is_here)
{
	struct tp_turn_relay_info info;

	w->want.is_request = false;
	world_enter(w);
	tp_turn_set_relay_here(w->turn, relay, is_here);
	world_leave(w);
	w->model.is_gone[relay] = !is_here;
	tp_turn_relay_info(w->turn, relay, &info);
	if (info.is_here != is_here || !tp_addr_equal(&info.addr.local, &w->relays[relay].local))
		sim_fail("relay address %u is another, or gone, or not", relay);
}

void world_sleep(struct world *w, uint64_t ns)
{
	uint64_t wall_ns = w->now.mono_ns % TP_NS_PER_SEC + ns;

	w->now.mono_ns += ns;
	w->now.wall_sec += wall_ns / TP_NS_PER_SEC;
}

/* ---- one call ---- */

static struct world_line *begin(struct world *w, const char *what)
{
	struct world_line *line = &w->line[w->n_lines++ % WORLD_TRACE];

	*line = (struct world_line){ .what = what, .step = ++w->step, .mono_ns = w->now.mono_ns };
	line->verdict = TP_SLOW_VERDICT_COUNT;
	w->n_sent = 0;
	w->n_relayed = 0;
	w->opened.n = 0;
	w->is_fault = false;
	model_tick(&w->model, &w->now);
	return line;
}

/* An exact-size copy: one byte of over-read is an ASan report. */
static uint8_t *exact(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL)
		sim_fail("out of memory");
	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

static void note(struct world_line *line, const struct tp_addr *from, const struct tp_addr *to,
		const uint8_t *data, size_t len)
{
	line->from = *from;
	line->to = *to;
	line->len = len;
	if (len > 0)
		memcpy(line->data, data, len < WORLD_TRACE_BYTES ? len : WORLD_TRACE_BYTES);
}

/* ---- what came of it ---- */

/* So many at once, and so many a second: RATE when since some moment it would be more. */
static bool is_rate_due(const struct world *w)
{
	const uint64_t token_ns = TP_NS_PER_SEC / TP_TURN_ICMP_PER_SEC;
	const struct model *m = &w->model;

	for (uint32_t n = TP_TURN_ICMP_BURST; n <= m->n_icmp && n < MODEL_ICMP; n++)
		if (m->now.mono_ns - m->icmp_ns[(m->n_icmp - n) % MODEL_ICMP] <
				(n + 1 - TP_TURN_ICMP_BURST) * token_ns)
			return true;
	return false;
}

static void note_icmp(struct world *w)
{
	const uint32_t most = TP_TURN_ICMP_BURST + TP_TURN_ICMP_PER_SEC;
	struct model *m = &w->model;

	if (m->n_icmp >= most &&
			m->now.mono_ns - m->icmp_ns[(m->n_icmp - most) % MODEL_ICMP] <
					TP_NS_PER_SEC - 1)
		sim_fail("clients were told of more than %u ICMP errors in a second", most);
	m->icmp_ns[m->n_icmp++ % MODEL_ICMP] = m->now.mono_ns;
}

static enum tp_slow_verdict when_sending_fails(const struct model_want *want, int rc)
{
	if (want->verdict == TP_SLOW_ANSWERED || rc != -EMSGSIZE)
		return TP_SLOW_DROP_SEND;
	return want->is_df_asked ? TP_SLOW_DROP_DONT_FRAG : TP_SLOW_DROP_TOO_BIG;
}

static void judge_indication(const struct world *w, const struct ref_msg *msg)
{
	const struct model_want *want = &w->want;
	struct ref_value data = ref_get(msg, REF_DATA, 0), icmp = ref_get(msg, REF_ICMP, 0);
	const struct tp_icmp_error *e = &want->error;
	struct tp_addr peer;

	if (msg->class != REF_INDICATION || msg->method != REF_DATA_METHOD)
		sim_fail("not a Data indication");
	if (!ref_addr(msg, ref_get(msg, REF_XOR_PEER_ADDRESS, 0), &peer) ||
			!tp_addr_equal(&peer, &want->peer))
		sim_fail("a Data indication of another peer");
	if (!want->is_icmp) {
		if (data.data == NULL || data.len != want->len ||
				(want->len > 0 && memcmp(data.data, want->data, want->len) != 0))
			sim_fail("a Data indication with other data");
		return;
	}
	/* Section 18.13: reserved, type, code, error data. */
	if (data.data != NULL || icmp.len != 8 || icmp.data[2] != e->type ||
			icmp.data[3] != e->code ||
			((uint32_t)icmp.data[4] << 24 | (uint32_t)icmp.data[5] << 16 |
					(uint32_t)icmp.data[6] << 8 | icmp.data[7]) != e->mtu)
		sim_fail("an ICMP attribute that says something else");
}

static void judge_to_client(const struct world *w)
{
	const struct model_want *want = &w->want;
	const struct world_sent *s = &w->sent;
	struct ref_msg msg;

	if (s->is_to_peer || memcmp(&s->tuple, &want->to->tuple, sizeof(s->tuple)) != 0)
		sim_fail("relayed to somebody else");
	if (want->number == 0 || want->is_icmp) {
		if (ref_parse(s->data, s->len, &msg) != REF_OK || !ref_padding_is_zero(&msg))
			sim_fail("a malformed indication");
		judge_indication(w, &msg);
		return;
	}
	if (s->len != 4 + want->len || s->data[0] != want->number >> 8 ||
			s->data[1] != (want->number & 0xff) ||
			(size_t)(s->data[2] << 8 | s->data[3]) != want->len ||
			memcmp(s->data + 4, want->data, want->len) != 0)
		sim_fail("other ChannelData than the peer's");
}

static void judge_relayed(const struct world *w)
{
	const struct model_want *want = &w->want;
	const struct world_sent *s = &w->sent;

	if (memcmp(&s->meta, &want->meta, sizeof(s->meta)) != 0)
		sim_fail("relayed with TTL %u, not %u, or other header fields", s->meta.ttl,
				want->meta.ttl);
	if (!want->is_to_peer) {
		judge_to_client(w);
		return;
	}
	if (!s->is_to_peer || !tp_addr_equal(&s->relay_local, &want->relay_local) ||
			!tp_addr_equal(&s->peer, &want->peer))
		sim_fail("relayed to somebody else");
	if (s->len != want->len || (want->len > 0 && memcmp(s->data, want->data, want->len) != 0))
		sim_fail("relayed other data");
}

static void judge_account(
		const struct world *w, unsigned i, const struct tp_tuple *tuple, bool is_up)
{
	const struct world_relayed *r = &w->relayed[i];

	if (r->account != world_account(w, tuple) || r->is_up != is_up || r->len != w->want.len)
		sim_fail("the wrong account pays, or the wrong amount");
}

/* Who sends pays, and who receives: relay to relay, both. */
static void judge_accounts(const struct world *w)
{
	const struct model_want *want = &w->want;
	unsigned n = 0;

	if (want->to != NULL && !want->is_icmp)
		judge_account(w, n++, &want->to->tuple, false);
	if (want->tuple != NULL)
		judge_account(w, n++, want->tuple, true);
	if (w->n_relayed != n)
		sim_fail("%u accounts pay, not %u", w->n_relayed, n);
}

static void judge_answered(struct world *w)
{
	const struct world_sent *s = &w->sent;

	if (s->is_to_peer || memcmp(&s->tuple, w->want.tuple, sizeof(s->tuple)) != 0)
		sim_fail("answered to somebody else");
	if (s->meta.ttl != TP_TURN_TTL || !s->meta.is_ours)
		sim_fail("an answer that is not ours");
	model_judge_answer(&w->model, &w->want, s->data, s->len);
}

/* Too large for the way to the peer: the client is told, unless it was told too much. */
static void judge_dont_frag(struct world *w)
{
	if (w->n_sent == 0) {
		if (!is_rate_due(w))
			sim_fail("DONT-FRAGMENT, and the client was not told");
		return;
	}
	w->want.is_icmp = true;
	w->want.error = (struct tp_icmp_error){ .type = 3, .code = 4, .mtu = 1280 };
	w->want.to = model_find(&w->model, w->want.tuple);
	judge_to_client(w);
	note_icmp(w);
}

static void judge_sent(struct world *w, enum tp_slow_verdict verdict)
{
	switch (verdict) {
	case TP_SLOW_ANSWERED:
		if (w->n_sent != 1)
			sim_fail("answered, and nothing was sent");
		judge_answered(w);
		break;
	case TP_SLOW_RELAYED:
		if (w->n_sent != 1)
			sim_fail("relayed, and nothing was sent");
		judge_relayed(w);
		judge_accounts(w);
		break;
	case TP_SLOW_DROP_DONT_FRAG:
		judge_dont_frag(w);
		break;
	default:
		if (w->n_sent != 0 || w->n_relayed != 0)
			sim_fail("dropped, and something was sent, or is to be paid");
	}
}

/* Whom a client was allowed to reach is asked long after. */
static void note_peers(struct world *w)
{
	const struct model_ask *ask = &w->want.ask;
	struct shadow_account *s;

	if (w->want.change != MODEL_PERMIT && w->want.change != MODEL_BIND)
		return;
	s = &w->account[world_account(w, &w->want.alloc->tuple)];
	for (unsigned i = 0; i < ask->n_peers; i++) {
		unsigned k = 0;

		while (k < s->n_peers && !tp_addr_same_ip(&s->peer[k], &ask->peer[i]))
			k++;
		if (k == WORLD_PEERS)
			sim_fail("more than %d peers", WORLD_PEERS);
		if (k == s->n_peers)
			s->peer[s->n_peers++] = tp_addr_ip_only(&ask->peer[i]);
	}
}

/* Without memory there is no capacity, unless what was wanted can be done without. */
static bool is_refused(const struct world *w, unsigned code)
{
	struct ref_msg answer;

	return w->n_sent == 1 && ref_parse(w->sent.data, w->sent.len, &answer) == REF_OK &&
			ref_error(&answer) == code;
}

static void judge(struct world *w, struct world_line *line, enum tp_slow_verdict got)
{
	struct model_want *want = &w->want;
	enum tp_slow_verdict verdict = want->verdict;
	bool is_rate = want->may_be_rate && got == TP_SLOW_DROP_ICMP_RATE && is_rate_due(w);

	line->verdict = got;
	line->is_fault = w->is_fault;
	w->is_half = false;
	if (w->is_fault && want->is_request && want->code == 0 && is_refused(w, 508)) {
		/* Half of the permissions may be there. */
		w->is_half = want->change == MODEL_PERMIT || want->change == MODEL_BIND;
		want->code = 508;
		want->change = MODEL_NOTHING;
		/* The move before this one is done all the same. */
		if (want->is_move) {
			model_arrive(&w->model, want, want->alloc);
			want->is_arrival = false;
		}
	}
	if (w->is_narrow && want->is_to_peer && verdict == TP_SLOW_RELAYED)
		verdict = when_sending_fails(want, -EMSGSIZE);
	else if (w->send_rc < 0 && (verdict == TP_SLOW_ANSWERED || verdict == TP_SLOW_RELAYED))
		verdict = when_sending_fails(want, w->send_rc);
	if (got != verdict && !is_rate)
		sim_fail("%s, where %s is due", tp_slow_verdict_name(got),
				tp_slow_verdict_name(verdict));
	if (want->is_request) {
		model_apply(&w->model, want, &w->opened);
		note_peers(w);
	}
	line->code = want->code;
	judge_sent(w, got);
	/* What could not be sent was tried as well. */
	if (want->may_be_rate && !is_rate)
		note_icmp(w);
	w->n_verdict[got]++;
	if (want->is_request)
		w->n_code[want->code]++;
	world_hash(w, &got, sizeof(got));
	if (got == TP_SLOW_DROP_SEND || got == TP_SLOW_DROP_TOO_BIG ||
			got == TP_SLOW_DROP_DONT_FRAG)
		w->send_rc = 0;
	if (want->is_arrival)
		sim_fail("a move was not told");
	if (w->step % w->check_every == 0 && !w->is_half)
		world_check(w);
}

enum tp_slow_verdict world_from_client(struct world *w, const struct tp_tuple *tuple,
		const uint8_t *data, size_t len, struct tp_ip_meta meta)
{
	uint8_t *copy = exact(data, len);
	struct tp_turn_packet packet = { .data = copy, .len = len, .meta = meta };
	struct world_line *line = begin(w, "client");
	enum tp_slow_verdict v;
	int send_rc = w->send_rc;

	note(line, &tuple->client, &tuple->server, data, len);
	model_from_client(&w->model, tuple, &packet, &w->want);
	world_enter(w);
	v = tp_turn_from_client(w->turn, &w->now, tuple, &packet);
	world_leave(w);
	w->send_rc = send_rc;
	judge(w, line, v);
	free(copy);
	/* Asked again, all are there, and nobody knows. */
	return w->is_half ? world_from_client(w, tuple, data, len, meta) : v;
}

enum tp_slow_verdict world_from_peer(struct world *w, const struct tp_addr *relay_local,
		const struct tp_addr *peer, const uint8_t *data, size_t len, struct tp_ip_meta meta)
{
	uint8_t *copy = exact(data, len);
	const struct tp_turn_packet packet = { .data = copy, .len = len, .meta = meta };
	struct world_line *line = begin(w, "peer");
	enum tp_slow_verdict v;

	note(line, peer, relay_local, data, len);
	model_from_peer(&w->model, relay_local, peer, &packet, &w->want);
	world_enter(w);
	v = tp_turn_from_peer(w->turn, &w->now, relay_local, peer, &packet);
	world_leave(w);
	judge(w, line, v);
	free(copy);
	return v;
}

enum tp_slow_verdict world_from_icmp(struct world *w, const struct tp_icmp_error *error)
{
	struct world_line *line = begin(w, "icmp");
	enum tp_slow_verdict v;

	note(line, &error->dst, &error->src, NULL, 0);
	model_from_icmp(&w->model, error, &w->want);
	world_enter(w);
	v = tp_turn_from_icmp(w->turn, &w->now, error);
	world_leave(w);
	judge(w, line, v);
	return v;
}

void world_expire(struct world *w)
{
	begin(w, "expire");
	w->want.is_request = false;
	world_enter(w);
	tp_turn_expire(w->turn, w->now.mono_ns);
	world_leave(w);
	if (w->n_sent > 0)
		sim_fail("time passed, and something was sent");
	world_check(w);
}

/* ---- for people ---- */

static void print_line(const struct world_line *line)
{
	char from[TP_ADDR_STRLEN] = "", to[TP_ADDR_STRLEN] = "";

	if (line->from.family != 0) {
		tp_addr_format(&line->from, from);
		tp_addr_format(&line->to, to);
	}
	fprintf(stderr, "%9lu %14lu.%09lu %-6s %s > %s %s %u%s [%zu]", (unsigned long)line->step,
			(unsigned long)(line->mono_ns / TP_NS_PER_SEC),
			(unsigned long)(line->mono_ns % TP_NS_PER_SEC), line->what, from, to,
			line->verdict < TP_SLOW_VERDICT_COUNT ? tp_slow_verdict_name(line->verdict)
							      : "-",
			line->code, line->is_fault ? " (no memory)" : "", line->len);
	for (size_t i = 0; i < line->len && i < WORLD_TRACE_BYTES; i++)
		fprintf(stderr, "%s%02x", i % 4 == 0 ? " " : "", line->data[i]);
	fprintf(stderr, "\n");
}

void world_print(const struct world *w)
{
	uint64_t n = w->n_lines < WORLD_TRACE ? w->n_lines : WORLD_TRACE;

	for (uint64_t i = w->n_lines - n; i < w->n_lines; i++)
		print_line(&w->line[i % WORLD_TRACE]);
}
