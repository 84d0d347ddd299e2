/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any frames through the pipeline, with any flows in the table.
 *
 * The input is a small program (see seeds.py): flows made of few addresses, so that frames find
 * them, then frames, either raw bytes or built for one of the flows and then damaged.  What comes
 * out is judged by rules alone, with nothing of lib/:
 *   every frame has one verdict, and the counters say the same;
 *   a frame that is not forwarded is as it was received;
 *   a frame that is forwarded stays in its room, has the lengths that it says, a right IPv4
 *   checksum, one hop less and the same traffic class and data; it leaves by a flow that is alive
 *   and fits its MTU; its UDP checksum is right if the one received was, and wrong if it was wrong.
 *
 * Frames lie in memory of exactly their headroom, length and tailroom: ASan sees the rest.
 */
#include "fuzz.h"
#include "seen.h"

#include "flow/pipeline.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1000000
#define MAX_FLOWS 15
#define MAX_FRAMES 16
#define RELAY_PORT_MIN 49152
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* ---- the input, a byte at a time; zeroes behind its end ---- */

struct tape {
	const uint8_t *at, *end;
};

static uint8_t tape_u8(struct tape *t)
{
	return t->at < t->end ? *t->at++ : 0;
}

static uint16_t tape_u16(struct tape *t)
{
	uint8_t high = tape_u8(t);

	return (uint16_t)(high << 8 | tape_u8(t));
}

/* ---- flows ---- */

static const uint16_t ports[8] = { 0, 3478, 49152, 49153, 65535, 1000, 9999, 50000 };

static const struct tp_next_hop hops[] = {
	{ .l2 = { 2, 1, 1, 1, 1, 1, 2, 9, 9, 9, 9, 9 }, .l2_len = TP_L2_UNTAGGED, .mtu = 1500 },
	{ .l2 = { 2, 2, 2, 2, 2, 2, 2, 9, 9, 9, 9, 9, 0x81, 0, 0, 7 },
			.l2_len = TP_L2_TAGGED,
			.mtu = 1500,
			.port = 1 },
	{ .l2 = { 2, 3 }, .l2_len = TP_L2_UNTAGGED, .mtu = 1280, .port = 2 },
	{ .l2 = { 2, 4 }, .l2_len = TP_L2_UNTAGGED, .mtu = 68, .port = 0 },
	{ .l2 = { 2, 5 }, .l2_len = TP_L2_UNTAGGED, .mtu = 65535, .port = 63 },
	{ .l2 = { 2, 6 }, .l2_len = TP_L2_TAGGED, .mtu = 0, .port = 1 },
	{ .l2 = { 2, 7 }, .l2_len = TP_L2_UNTAGGED, .mtu = 1500, .port = 64 },
};

struct flow {
	struct tp_flow_spec spec;
	const struct tp_next_hop *hop;
	struct tp_flow *flow; /* NULL: refused */
};

struct world {
	struct flow flows[MAX_FLOWS];
	uint32_t n_flows;
	uint64_t egress_ports;
};

static struct tp_grace *grace;
static struct tp_flow_table *table;
static struct tp_accounts *accounts;

static struct tp_addr tape_addr(struct tape *t, bool is_v6)
{
	static const uint8_t v4[4][4] = { { 192, 0, 2, 7 }, { 198, 51, 100, 1 },
		{ 198, 51, 100, 2 }, { 255, 255, 255, 255 } };
	static const uint8_t v6[4][16] = {
		{ 0x20, 1, 0xd, 0xb8, [15] = 7 },
		{ 0x20, 1, 0xd, 0xb8, 1, [15] = 1 },
		{ 0x20, 1, 0xd, 0xb8, 2, [15] = 2 },
		{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				0xff, 0xff, 0xff },
	};
	uint8_t b = tape_u8(t);

	return is_v6 ? tp_addr_v6(v6[b & 3], ports[b >> 2 & 7])
		     : tp_addr_v4(v4[b & 3], ports[b >> 2 & 7]);
}

static void tape_flow(struct tape *t, struct flow *f, uint32_t account)
{
	uint8_t form = tape_u8(t), flags = tape_u8(t), number, hop;
	bool in6 = (flags & 1) != 0, out6 = (flags & 2) != 0, is_down = (flags & 16) != 0;
	struct tp_flow_spec *s = &f->spec;

	memset(f, 0, sizeof(*f));
	s->form = (enum tp_flow_form)(form % 3);
	s->is_hairpin = (flags & 4) != 0;
	s->in_src = tape_addr(t, in6);
	s->in_dst = tape_addr(t, in6);
	s->in_peer = tape_addr(t, (flags & 8) != 0);
	if (s->form != TP_FLOW_SEND)
		s->in_peer = (struct tp_addr){ 0 };
	number = tape_u8(t);
	if (s->form == TP_FLOW_CHANNEL && !is_down)
		s->in_channel = 0x4000 + number;
	if (s->form == TP_FLOW_CHANNEL && is_down)
		s->out_channel = 0x4000 + number;
	s->out_src = tape_addr(t, out6);
	s->out_dst = tape_addr(t, out6);
	hop = tape_u8(t) % (COUNT(hops) + 1);
	f->hop = hop < COUNT(hops) ? &hops[hop] : NULL;
	s->account = account;
	s->deadline_ns = NOW + 1 - (tape_u8(t) >> 6 == 3);
	if (tp_flow_add(table, s, &f->flow) == 0)
		tp_flow_set_next_hop(f->flow, f->hop);
	else
		f->flow = NULL;
}

static void world_open(struct world *w, struct tape *t)
{
	uint32_t i;
	uint8_t b = tape_u8(t);

	w->egress_ports = b == 0 ? ~0ull : b;
	w->n_flows = tape_u8(t) % (MAX_FLOWS + 1);
	for (i = 0; i < w->n_flows; i++)
		tape_flow(t, &w->flows[i], i + 1);
}

static void world_close(struct world *w)
{
	uint32_t i;

	for (i = 0; i < w->n_flows; i++)
		if (w->flows[i].flow != NULL)
			tp_flow_del(table, w->flows[i].flow);
	must(tp_grace_reclaim(grace) == 0);
	must(tp_flow_count(table) == 0);
}

/* ---- building frames ---- */

static void write_csum(uint8_t *frame, uint32_t len, uint32_t mode)
{
	struct seen s;
	uint32_t csum;

	if (!see(frame, len, &s))
		return;
	put16(frame + (s.udp - frame) + 6, 0);
	if (mode == 2)
		return;
	csum = ~udp_sum(&s) & 0xffff;
	if (mode == 3)
		csum ^= 0x0100;
	put16(frame + (s.udp - frame) + 6, csum != 0 ? csum : 0xffff);
}

static void mend_ipv4(uint8_t *ip)
{
	put16(ip + 10, 0);
	put16(ip + 10, ~sum16(0, ip, 20) & 0xffff);
}

static uint8_t *put_addr_xored(uint8_t *p, const struct tp_addr *a, const uint8_t tid[16])
{
	uint32_t n = a->family == TP_IPV6 ? 16 : 4, i;

	p = put16(p, a->family == TP_IPV6 ? 2 : 1);
	p = put16(p, a->port ^ 0x2112u);
	for (i = 0; i < n; i++)
		*p++ = a->ip[i] ^ tid[i];
	return p;
}

/* A Send indication (RFC 8656 section 11.1).  @return its length */
static uint32_t put_send(uint8_t *out, const struct tp_addr *peer, uint16_t port, uint32_t size,
		int claim, uint8_t fill)
{
	static const uint8_t tid[16] = { 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct tp_addr to = *peer;
	uint8_t *p = out + 20;

	to.port = port;
	memcpy(out + 4, tid, sizeof(tid));
	p = put16(p, 0x0012);
	p = put16(p, to.family == TP_IPV6 ? 20 : 8);
	p = put_addr_xored(p, &to, tid);
	p = put16(p, 0x0013);
	p = put16(p, size + (uint32_t)claim);
	memset(p, fill, size);
	p += size;
	memset(p, 0, 3);
	p += -size & 3;
	put16(put16(out, 0x0016), (uint32_t)(p - out) - 20);
	return (uint32_t)(p - out);
}

struct shape {
	uint8_t mode, tos, ttl, fill, n_pad, port_offset;
	int8_t claim;
	uint16_t size;
};

static uint32_t put_message(uint8_t *out, const struct tp_flow_spec *spec, const struct shape *s)
{
	uint8_t *p = out;

	if (spec->form == TP_FLOW_SEND)
		return put_send(out, &spec->in_peer, ports[s->port_offset & 7], s->size, s->claim,
				s->fill);
	if (spec->in_channel != 0)
		p = put16(put16(p, spec->in_channel), s->size + (uint32_t)s->claim);
	memset(p, s->fill, s->size);
	p += s->size;
	memset(p, ~s->fill, s->n_pad);
	return (uint32_t)(p - out) + s->n_pad;
}

static uint8_t *put_ip(uint8_t *p, const struct tp_flow_spec *spec, const struct shape *s,
		uint32_t udp_len)
{
	const struct tp_addr *src = &spec->in_src, *dst = &spec->in_dst;
	uint8_t *ip = p;

	if (src->family == TP_IPV6) {
		p = put16(p, 6u << 12 | (uint32_t)s->tos << 4 | 9);
		p = put16(p, 0x8765);
		p = put16(p, udp_len);
		*p++ = 17;
		*p++ = s->ttl;
		memcpy(p, src->ip, 16);
		memcpy(p + 16, dst->ip, 16);
		return p + 32;
	}
	*p++ = 0x45;
	*p++ = s->tos;
	p = put16(p, 20 + udp_len);
	p = put16(p, 0x4321);
	p = put16(p, s->mode & 4 ? 0x4000 : 0);
	*p++ = s->ttl;
	*p++ = 17;
	p = put16(p, 0);
	memcpy(p, src->ip, 4);
	memcpy(p + 4, dst->ip, 4);
	mend_ipv4(ip);
	return ip + 20;
}

/* A frame that a flow would take.  @return its length */
static uint32_t put_frame(uint8_t *out, const struct tp_flow_spec *spec, const struct shape *s)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	bool is_v6 = spec->in_src.family == TP_IPV6;
	uint8_t message[2048], *p = out;
	uint32_t len = put_message(message, spec, s);
	uint16_t src_port = spec->in_src.port;

	if (spec->form == TP_FLOW_DATA)
		src_port = (uint16_t)(ports[s->port_offset & 7] + (s->port_offset >> 3));
	memcpy(p, macs, sizeof(macs));
	p += sizeof(macs);
	if (s->mode & 2)
		p = put16(put16(p, 0x8100), 0x0064);
	p = put16(p, is_v6 ? 0x86dd : 0x0800);
	p = put_ip(p, spec, s, 8 + len);
	p = put16(put16(p, src_port), spec->in_dst.port);
	p = put16(put16(p, 8 + len), 0xdead);
	memcpy(p, message, len);
	p += len;
	if (s->mode & 64) {
		memset(p, 0xee, 18);
		p += 18;
	}
	return (uint32_t)(p - out);
}

static void tape_edits(struct tape *t, uint8_t *frame, uint32_t len)
{
	uint8_t n = tape_u8(t) & 3;
	uint16_t at;

	for (; n > 0; n--) {
		at = tape_u16(t);
		if (len > 0)
			frame[at % len] ^= tape_u8(t);
	}
}

/* @return the frame's length */
static uint32_t tape_built_frame(struct tape *t, const struct world *w, uint8_t mode, uint8_t *out)
{
	const struct tp_flow_spec *spec = &w->flows[tape_u8(t) % w->n_flows].spec;
	struct shape s = { .mode = mode };
	uint32_t len;

	s.tos = tape_u8(t);
	s.ttl = tape_u8(t);
	if (s.ttl == 0)
		s.ttl = 64;
	s.size = tape_u16(t) % 1600;
	s.fill = tape_u8(t);
	s.n_pad = tape_u8(t) & 7;
	s.claim = (int8_t)tape_u8(t);
	s.port_offset = tape_u8(t);
	len = put_frame(out, spec, &s);
	if (mode & 32)
		tape_edits(t, out, len);
	write_csum(out, len, mode >> 3 & 3);
	if (!(mode & 32))
		tape_edits(t, out, len);
	return len;
}

static uint32_t tape_raw_frame(struct tape *t, uint8_t *out)
{
	uint32_t len = tape_u16(t) % 2048, left = (uint32_t)(t->end - t->at);

	if (len > left)
		len = left;
	memcpy(out, t->at, len);
	t->at += len;
	return len;
}

/* ---- frames in their own memory ---- */

struct held {
	uint8_t *room, *before;
	struct tp_frame frame;
};

static void held_open(struct held *h, struct tape *t, const struct world *w)
{
	uint8_t bytes[2560], mode = tape_u8(t);
	uint32_t headroom = tape_u8(t), tailroom = tape_u8(t) & 7, len;

	if (headroom == 0)
		headroom = 256;
	len = (mode & 1) || w->n_flows == 0 ? tape_raw_frame(t, bytes)
					    : tape_built_frame(t, w, mode, bytes);
	h->room = malloc(headroom + len + tailroom);
	h->before = malloc(len + 1);
	must(h->room != NULL && h->before != NULL);
	memset(h->room, 0x77, headroom + len + tailroom);
	memcpy(h->room + headroom, bytes, len);
	memcpy(h->before, bytes, len);
	h->frame = (struct tp_frame){
		.data = h->room + headroom,
		.len = (uint16_t)len,
		.headroom = (uint16_t)headroom,
		.tailroom = (uint16_t)tailroom,
		.port = 3,
	};
}

static void check_untouched(const struct held *h, const struct tp_frame *f)
{
	must(f->data == h->frame.data && f->len == h->frame.len &&
			f->headroom == h->frame.headroom && f->port == h->frame.port &&
			f->cookie == h->frame.cookie);
	must(memcmp(f->data, h->before, f->len) == 0);
}

/* ---- what a frame that was forwarded has to be ---- */

/* The application's data inside a message of either side. */
struct app {
	const uint8_t *data;
	uint32_t len;
};

/* The DATA attribute of an indication; strict: of one that the relay wrote. */
static bool see_indication(const uint8_t *msg, uint32_t len, bool is_strict, struct app *out)
{
	uint32_t pos = 20, size;
	bool has_data = false;

	if (len < 20 || be16(msg + 2) + 20 != len || len % 4 != 0 || be16(msg + 4) != 0x2112 ||
			be16(msg + 6) != 0xa442 || be16(msg) != (is_strict ? 0x0017 : 0x0016))
		return false;
	while (pos < len) {
		size = be16(msg + pos + 2);
		if (size > len - pos - 4)
			return false;
		if (be16(msg + pos) == 0x0013 && !has_data) {
			*out = (struct app){ msg + pos + 4, size };
			has_data = true;
		}
		pos += 4 + size;
		for (; pos % 4 != 0; pos++)
			if (is_strict && msg[pos] != 0)
				return false;
	}
	return has_data;
}

static bool see_channel_data(const uint8_t *msg, uint32_t len, struct app *out)
{
	if (len < 4 || be16(msg + 2) > len - 4)
		return false;
	*out = (struct app){ msg + 4, be16(msg + 2) };
	return true;
}

static bool see_app_received(const struct seen *s, struct app *out)
{
	*out = (struct app){ s->data, s->data_len };
	if (be16(s->udp + 2) >= RELAY_PORT_MIN)
		return true;
	if (s->data_len > 0 && s->data[0] >= 0x40)
		return see_channel_data(s->data, s->data_len, out);
	return see_indication(s->data, s->data_len, false, out);
}

static bool see_app_sent(const struct seen *s, const struct tp_flow_spec *spec, struct app *out)
{
	*out = (struct app){ s->data, s->data_len };
	if (spec->form == TP_FLOW_DATA)
		return see_indication(s->data, s->data_len, true, out);
	if (spec->out_channel != 0)
		return see_channel_data(s->data, s->data_len, out) &&
				be16(s->data) == spec->out_channel && out->len + 4 == s->data_len;
	return true;
}

static bool is_addr(const struct seen *s, bool is_dst, const struct tp_addr *a)
{
	uint32_t n = s->is_v6 ? 16 : 4;
	const uint8_t *ip = s->ip + (s->is_v6 ? 8 : 12) + (is_dst ? n : 0);

	/* The port that a permission leaves open is 0. */
	return (a->family == TP_IPV6) == s->is_v6 && memcmp(ip, a->ip, n) == 0 &&
			(a->port == 0 || be16(s->udp + (is_dst ? 2 : 0)) == a->port);
}

/* Could it have left by this flow? */
static bool is_flow_of(const struct flow *f, const struct tp_frame *frame, const struct seen *in,
		const struct seen *out)
{
	struct app before, after;

	return f->flow != NULL && !f->spec.is_hairpin && f->spec.deadline_ns > NOW &&
			f->hop != NULL && f->hop->port == frame->port &&
			out->ip_len <= f->hop->mtu && is_addr(out, false, &f->spec.out_src) &&
			is_addr(out, true, &f->spec.out_dst) && out->l2 == f->hop->l2_len + 2u &&
			memcmp(frame->data, f->hop->l2, f->hop->l2_len) == 0 &&
			see_app_received(in, &before) && see_app_sent(out, &f->spec, &after) &&
			before.len == after.len && memcmp(before.data, after.data, after.len) == 0;
}

static void check_csum(const struct seen *in, const struct seen *out)
{
	if (in->csum == CSUM_RIGHT)
		must(out->csum == CSUM_RIGHT);
	if (in->csum == CSUM_WRONG)
		must(out->csum == CSUM_WRONG);
	if (in->csum == CSUM_NONE)
		must(out->csum == (out->is_v6 ? CSUM_RIGHT : CSUM_NONE) || out->csum == CSUM_RIGHT);
	must(!(in->is_v6 && in->csum == CSUM_NONE));
}

static void check_forwarded(const struct world *w, const struct held *h, const struct tp_frame *f)
{
	const uint8_t *end = h->frame.data + h->frame.len + h->frame.tailroom;
	struct seen in, out;
	uint32_t i;

	must(f->data >= h->room && f->data - h->room == f->headroom && f->data + f->len <= end);
	must(f->cookie == h->frame.cookie);
	must(f->port < 64 && (w->egress_ports >> f->port & 1) != 0);
	must(see(h->before, h->frame.len, &in));
	must(see(f->data, f->len, &out) && out.is_strict);
	must(in.ttl > 1 && out.ttl == in.ttl - 1 && out.tclass == in.tclass);
	check_csum(&in, &out);

	for (i = 0; i < w->n_flows; i++)
		if (is_flow_of(&w->flows[i], f, &in, &out))
			return;
	abort();
}

/* ---- a burst ---- */

static uint64_t total(const _Atomic uint64_t counter[], uint32_t n)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		sum += atomic_load(&counter[i]);
	return sum;
}

/* Packets in all accounts. */
static uint64_t accounted(void)
{
	struct tp_account_sum sum;
	uint64_t pkts = 0;

	for (uint32_t i = 0; i <= MAX_FLOWS; i++) {
		tp_account_sum(accounts, i, &sum);
		pkts += sum.up.pkts + sum.down.pkts;
		must(sum.up.bytes <= sum.up.pkts * UINT16_MAX);
		must(sum.down.bytes <= sum.down.pkts * UINT16_MAX);
	}
	return pkts;
}

/* What was forwarded is counted, from relay to relay twice; and taken back it never was. */
static void check_accounts(struct tp_pipe *pipe, const struct tp_pipe_out *out, uint64_t before)
{
	uint64_t twice = total(pipe->stats.path + TP_PATH_HAIRPIN_44, 4) +
			total(pipe->stats.path + TP_PATH_HAIRPIN_INDICATION_44, 4);

	must(accounted() == before + out->n_forward + twice);
	for (uint32_t i = 0; i < out->n_forward; i++)
		tp_pipe_uncount(pipe, out, i);
	must(accounted() == before);
}

static void check_stats(const struct tp_pipe *pipe, const struct tp_pipe_out *out, uint32_t n)
{
	must(out->n_forward + out->n_punt + out->n_dead == n);
	must(atomic_load(&pipe->stats.rx_pkts) == n);
	must(total(pipe->stats.verdict, TP_VERDICT_COUNT) == out->n_dead);
	must(total(pipe->stats.path, TP_PATH_COUNT) == out->n_forward);
}

static void run(const struct world *w, const struct held held[], uint32_t n)
{
	static struct tp_pipe_out out;
	struct tp_frame frames[MAX_FRAMES];
	uint64_t before = accounted();
	struct tp_pipe pipe;
	uint32_t i, seen = 0;

	memset(&pipe, 0, sizeof(pipe));
	pipe.flows = table;
	pipe.tally = tp_accounts_tally(accounts, 0);
	pipe.classify = (struct tp_classify_conf){ RELAY_PORT_MIN, 65535 };
	pipe.egress_ports = w->egress_ports;
	for (i = 0; i < n; i++)
		frames[i] = held[i].frame;
	tp_pipe_burst(&pipe, frames, n, NOW, &out);

	check_stats(&pipe, &out, n);
	check_accounts(&pipe, &out, before);
	for (i = 0; i < out.n_forward; i++) {
		seen |= 1u << out.forward[i].cookie;
		check_forwarded(w, &held[out.forward[i].cookie], &out.forward[i]);
	}
	for (i = 0; i < out.n_punt; i++) {
		seen |= 1u << out.punt[i].cookie;
		check_untouched(&held[out.punt[i].cookie], &out.punt[i]);
	}
	for (i = 0; i < out.n_dead; i++) {
		seen |= 1u << out.dead[i].cookie;
		check_untouched(&held[out.dead[i].cookie], &out.dead[i]);
	}
	must(seen == (1u << n) - 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct tp_flow_table_conf conf = {
		.max_channel_flows = 128,
		.max_permission_flows = 192,
	};
	const struct tp_accounts_conf ac = { .max_accounts = MAX_FLOWS, .n_tallies = 1 };

	(void)argc;
	(void)argv;
	must(tp_grace_new(1, &grace) == 0);
	conf.grace = grace;
	must(tp_flow_table_new(&conf, &table) == 0);
	must(tp_accounts_new(&ac, &accounts) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tape t = { data, data + size };
	static struct held held[MAX_FRAMES];
	static struct world w;
	uint32_t i, n;

	world_open(&w, &t);
	n = tape_u8(&t) % MAX_FRAMES + 1;
	for (i = 0; i < n; i++) {
		held_open(&held[i], &t, &w);
		held[i].frame.cookie = i;
	}
	run(&w, held, n);
	for (i = 0; i < n; i++) {
		free(held[i].room);
		free(held[i].before);
	}
	world_close(&w);
	return 0;
}
