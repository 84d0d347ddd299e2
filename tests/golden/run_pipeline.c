/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_pipeline - the fast path as a filter: flows and frames in, a verdict for each frame out.
 *
 *   run_pipeline FILE BURST [mem|dpdk|pcap|afxdp]
 *
 * FILE has lines; addresses are HEX:PORT, the length of HEX says which family:
 *   flow channel|send|data IN_SRC IN_DST IN_PEER|- IN_CHANNEL OUT_SRC OUT_DST OUT_CHANNEL
 *        HAIRPIN DEADLINE L2|- PORT MTU
 *   frame HEX
 * For each frame a line "VERDICT PORT HEX BY" is printed, HEX being the frame that leaves, or "-".
 * With BURST above 1 frames go through the pipeline that many at a time, and drops are "drop",
 * because counters do not tell whose they are.
 *
 * Without a driver each frame lies in memory of exactly its size, headroom and tailroom, so with
 * ASan every access beside it is a report.  With one, frames come from its port and leave by it,
 * HEX being what arrives at the other end, and BY is its name.  What the driver does not bring to a
 * worker lies in memory as before, in the same burst, and BY is "memory".
 */
#include "carrier.h"

#include "flow/pipeline.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1000000
#define HEADROOM 256 /* as AF_XDP has it */
#define TAILROOM 3   /* the padding of a Data indication */
#define RELAY_PORT_MIN 49152
#define RELAY_PORT_MAX 65535
#define MAX_FLOWS 4096
#define MAX_HOPS 4096
#define FRAME_MAX 16384
#define LINE_CHARS (2 * FRAME_MAX + 256)

/* A frame in its own memory, and what it was. */
struct held {
	uint8_t *room;
	struct tp_frame frame;
	uint8_t *before; /* the bytes as they were put in */
	uint8_t *sent;   /* of a driver: what came out at its other end */
	bool is_carried; /* by the driver; else it is in room */
	enum tp_verdict verdict;
	bool is_known; /* verdict is one by name, not just a drop */
};

struct batch {
	struct held held[TP_BURST];
	uint32_t n;
};

static struct tp_next_hop hops[MAX_HOPS];
static uint32_t n_hops;
static struct steering steering;
static struct carrier carrier; /* port: NULL without a driver */

/* 16: no hexadecimal digit. */
static unsigned int digit(char c)
{
	return c >= '0' && c <= '9'            ? (unsigned int)(c - '0')
			: c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a' + 10)
					       : 16;
}

static size_t hex_decode(const char *hex, uint8_t *out, size_t room)
{
	size_t n = 0;

	for (; hex[0] != '\0' && hex[0] != ':' && hex[0] != '\n'; hex += 2) {
		if (n == room || digit(hex[0]) > 15 || digit(hex[1]) > 15)
			carrier_die("bad hex", hex);
		out[n++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
	}
	return n;
}

static struct tp_addr addr_decode(const char *text)
{
	const char *port = strchr(text, ':');
	uint8_t ip[16];
	size_t n = hex_decode(text, ip, sizeof(ip));

	if (port == NULL || (n != 4 && n != 16))
		carrier_die("bad address", text);
	return n == 4 ? tp_addr_v4(ip, (uint16_t)atoi(port + 1))
		      : tp_addr_v6(ip, (uint16_t)atoi(port + 1));
}

static const struct tp_next_hop *hop_decode(const char *l2, unsigned int port, unsigned int mtu)
{
	struct tp_next_hop *hop = &hops[n_hops];

	if (strcmp(l2, "-") == 0)
		return NULL;
	if (n_hops++ == MAX_HOPS)
		carrier_die("too many next hops", l2);
	hop->l2_len = (uint8_t)hex_decode(l2, hop->l2, sizeof(hop->l2));
	hop->port = (uint16_t)port;
	hop->mtu = (uint16_t)mtu;
	return hop;
}

static enum tp_flow_form form_decode(const char *text)
{
	return strcmp(text, "send") == 0            ? TP_FLOW_SEND
			: strcmp(text, "data") == 0 ? TP_FLOW_DATA
						    : TP_FLOW_CHANNEL;
}

/* Who sends to a channel or sends indications is a client. */
static void note_local(const struct tp_flow_spec *spec)
{
	if (spec->form == TP_FLOW_SEND || spec->in_channel != 0)
		steering_add_listener(&steering, &spec->in_dst);
	else
		steering_add_relay(&steering, &spec->in_dst);
}

static void flow_line(struct tp_flow_table *flows, const char *line)
{
	char form[16], in_src[64], in_dst[64], in_peer[64], out_src[64], out_dst[64], l2[64];
	unsigned int in_channel, out_channel, is_hairpin, port, mtu;
	static uint32_t n_accounts;
	struct tp_flow_spec spec = { 0 };
	unsigned long long deadline;
	struct tp_flow *flow;

	if (sscanf(line, "flow %15s %63s %63s %63s %u %63s %63s %u %u %llu %63s %u %u", form,
			    in_src, in_dst, in_peer, &in_channel, out_src, out_dst, &out_channel,
			    &is_hairpin, &deadline, l2, &port, &mtu) != 13)
		carrier_die("bad flow", line);
	spec.form = form_decode(form);
	spec.in_src = addr_decode(in_src);
	spec.in_dst = addr_decode(in_dst);
	if (strcmp(in_peer, "-") != 0)
		spec.in_peer = addr_decode(in_peer);
	spec.in_channel = (uint16_t)in_channel;
	spec.out_src = addr_decode(out_src);
	spec.out_dst = addr_decode(out_dst);
	spec.out_channel = (uint16_t)out_channel;
	spec.is_hairpin = is_hairpin != 0;
	spec.deadline_ns = deadline;
	spec.account = ++n_accounts;
	note_local(&spec);
	if (tp_flow_add(flows, &spec, &flow) != 0)
		carrier_die("flow is refused", line);
	tp_flow_set_next_hop(flow, hop_decode(l2, port, mtu));
}

static void lay_in_memory(struct held *h, uint32_t len)
{
	h->room = malloc(HEADROOM + len + TAILROOM);
	assert(h->room != NULL);
	memset(h->room, 0x77, HEADROOM + len + TAILROOM);
	memcpy(h->room + HEADROOM, h->before, len);
	h->frame = (struct tp_frame){
		.data = h->room + HEADROOM,
		.len = (uint16_t)len,
		.headroom = HEADROOM,
		.tailroom = TAILROOM,
		.port = CARRIER_INDEX,
		.cookie = (uintptr_t)h->room,
	};
}

static size_t frame_decode(const char *line, uint8_t bytes[FRAME_MAX])
{
	return hex_decode(line + strlen("frame "), bytes, FRAME_MAX);
}

static void frame_line(struct batch *b, const char *line)
{
	struct held *h = &b->held[b->n++];
	uint8_t bytes[FRAME_MAX];
	size_t len = frame_decode(line, bytes);

	*h = (struct held){ .before = malloc(len > 0 ? len : 1) };
	assert(h->before != NULL);
	memcpy(h->before, bytes, len);
	h->frame.len = (uint16_t)len;
	h->is_carried = carrier.port != NULL && carrier_takes(&carrier, bytes, (uint32_t)len);
	if (!h->is_carried)
		lay_in_memory(h, (uint32_t)len);
	else if (carrier.start == NULL)
		carrier.put(bytes, (uint32_t)len);
}

/* What was put in comes out of the port, in that order, with room to grow. */
static void receive(struct batch *b)
{
	struct tp_frame got[TP_BURST];
	uint32_t i, n = 0;

	for (i = 0; i < b->n; i++)
		n += b->held[i].is_carried;
	if (n == 0)
		return;
	carrier_rx(&carrier, got, n);
	for (i = n = 0; i < b->n; i++) {
		struct held *h = &b->held[i];

		if (!h->is_carried)
			continue;
		if (got[n].len != h->frame.len || memcmp(got[n].data, h->before, got[n].len) != 0)
			carrier_die("a frame is not received as it was sent", carrier.name);
		if (got[n].headroom < TP_FRAME_GROWTH || got[n].port != CARRIER_INDEX)
			carrier_die("a frame without headroom, or of another port", carrier.name);
		h->frame = got[n++];
	}
}

/* A frame that is not forwarded is as it was received. */
static void check_untouched(const struct held *h, const struct tp_frame *f)
{
	if (memcmp(f, &h->frame, sizeof(*f)) != 0 || memcmp(f->data, h->before, f->len) != 0)
		carrier_die("a frame that is not forwarded was changed",
				tp_verdict_name(h->verdict));
}

static struct held *held_of(struct batch *b, const struct tp_frame *f)
{
	for (uint32_t i = 0; i < b->n; i++)
		if (b->held[i].frame.cookie == f->cookie)
			return &b->held[i];
	carrier_die("a frame that nobody had", "");
}

static void settle(struct batch *b, const struct tp_frame frames[], uint32_t n, enum tp_verdict v,
		bool is_known)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct held *h = held_of(b, &frames[i]);

		h->verdict = v;
		h->is_known = is_known;
		if (v == TP_FORWARD) {
			h->frame = frames[i];
			continue;
		}
		check_untouched(h, &frames[i]);
		if (h->is_carried)
			tp_port_release(carrier.port, &frames[i], 1);
	}
}

/* What is forwarded leaves by the port; from here on it is what arrives. */
static void transmit(struct batch *b, const struct tp_frame frames[], uint32_t n)
{
	struct held *leaving[TP_BURST];
	struct tp_frame out[TP_BURST];
	uint32_t i, n_out = 0;

	for (i = 0; i < n; i++) {
		struct held *h = held_of(b, &frames[i]);

		if (!h->is_carried)
			continue;
		leaving[n_out] = h;
		out[n_out++] = frames[i];
	}
	if (n_out > 0)
		carrier_tx(&carrier, out, n_out);
	for (i = 0; i < n_out; i++) {
		leaving[i]->sent = malloc(FRAME_MAX);
		assert(leaving[i]->sent != NULL);
		leaving[i]->frame.len =
				(uint16_t)carrier_take(&carrier, leaving[i]->sent, FRAME_MAX);
		leaving[i]->frame.data = leaving[i]->sent;
	}
}

/* Of a burst of one: the counter that moved. */
static enum tp_verdict dropped_by(const struct tp_pipe *pipe, const uint64_t before[])
{
	uint32_t v;

	for (v = 0; v < TP_VERDICT_COUNT; v++)
		if (atomic_load(&pipe->stats.verdict[v]) != before[v])
			return (enum tp_verdict)v;
	carrier_die("a drop without a counter", "");
}

static void print_held(const struct held *h)
{
	static const char digits[] = "0123456789abcdef";
	static char text[LINE_CHARS];
	uint32_t i, len = h->verdict == TP_FORWARD ? h->frame.len : 0;

	strcpy(text, "-");

	for (i = 0; i < len; i++) {
		text[2 * i] = digits[h->frame.data[i] >> 4];
		text[2 * i + 1] = digits[h->frame.data[i] & 15];
		text[2 * i + 2] = '\0';
	}
	printf("%s %u %s %s\n", h->is_known ? tp_verdict_name(h->verdict) : "drop", h->frame.port,
			text, h->is_carried ? carrier.name : "memory");
}

static void run(struct tp_pipe *pipe, struct batch *b)
{
	static struct tp_pipe_out out;
	uint64_t before[TP_VERDICT_COUNT];
	struct tp_frame frames[TP_BURST];
	enum tp_verdict reason = TP_VERDICT_COUNT;
	uint32_t i;

	for (i = 0; i < TP_VERDICT_COUNT; i++)
		before[i] = atomic_load(&pipe->stats.verdict[i]);
	receive(b);
	for (i = 0; i < b->n; i++)
		frames[i] = b->held[i].frame;
	tp_pipe_burst(pipe, frames, b->n, NOW, &out);
	if (out.n_forward + out.n_punt + out.n_dead != b->n)
		carrier_die("verdicts do not sum up", "");
	if (b->n == 1 && out.n_dead == 1)
		reason = dropped_by(pipe, before);
	settle(b, out.forward, out.n_forward, TP_FORWARD, true);
	settle(b, out.punt, out.n_punt, TP_PUNT, true);
	settle(b, out.dead, out.n_dead, reason, reason != TP_VERDICT_COUNT);
	transmit(b, out.forward, out.n_forward);
	for (i = 0; i < b->n; i++) {
		print_held(&b->held[i]);
		free(b->held[i].sent);
		free(b->held[i].room);
		free(b->held[i].before);
	}
	b->n = 0;
}

/* Each flow has an account: all of them together have what was forwarded, hairpins twice. */
static void check_accounts(
		const struct tp_accounts *accounts, uint32_t n, const struct tp_pipe *pipe)
{
	uint64_t pkts = 0, forwarded = 0;
	struct tp_account_sum sum;

	for (uint32_t i = 0; i <= n; i++) {
		tp_account_sum(accounts, i, &sum);
		pkts += sum.up.pkts + sum.down.pkts;
		if (i == TP_ACCOUNT_NONE && pkts > 0)
			carrier_die("a flow without an account", "");
	}
	for (int path = 0; path < TP_PATH_COUNT; path++)
		forwarded += atomic_load(&pipe->stats.path[path]) *
				(strncmp(tp_path_name((enum tp_path)path), "hairpin", 7) == 0 ? 2
											      : 1);
	if (pkts != forwarded)
		carrier_die("accounts and paths disagree", "");
}

/* first: the first frame; the others follow in f, which is then where it was. */
static void put_all(FILE *f, const char *first)
{
	static char line[LINE_CHARS];
	const long at = ftell(f);
	uint8_t bytes[FRAME_MAX];

	strcpy(line, first);
	do {
		uint32_t len = (uint32_t)frame_decode(line, bytes);

		if (carrier_takes(&carrier, bytes, len))
			carrier.put(bytes, len);
	} while (fgets(line, sizeof(line), f) != NULL);
	if (at < 0 || fseek(f, at, SEEK_SET) != 0)
		carrier_die("can not be read twice", "FILE");
}

static void open_carrier(FILE *f, const char *first, const char *driver)
{
	steering_make(&steering, RELAY_PORT_MIN, RELAY_PORT_MAX);
	carrier_open(&carrier, driver, &steering);
	if (carrier.start == NULL)
		return;
	put_all(f, first);
	carrier.start(&carrier);
}

/* All flows are before the first frame: then it is known what has to be steered. */
static void read_file(FILE *f, struct tp_flow_table *flows, struct tp_pipe *pipe, uint32_t burst,
		const char *driver)
{
	static char line[LINE_CHARS];
	static struct batch batch;

	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "flow ", 5) == 0) {
			flow_line(flows, line);
			continue;
		}
		if (driver != NULL && carrier.port == NULL)
			open_carrier(f, line, driver);
		frame_line(&batch, line);
		if (batch.n == burst)
			run(pipe, &batch);
	}
	run(pipe, &batch);
	if (carrier.port != NULL)
		carrier_close(&carrier);
}

int main(int argc, char **argv)
{
	struct tp_flow_table_conf conf = {
		.max_channel_flows = 2 * MAX_FLOWS,
		.max_permission_flows = 3 * MAX_FLOWS,
	};
	const struct tp_accounts_conf ac = { .max_accounts = 5 * MAX_FLOWS, .n_tallies = 1 };
	struct tp_accounts *accounts = NULL;
	static struct tp_pipe pipe;
	struct tp_flow_table *flows = NULL;
	uint32_t burst;
	FILE *f;

	if (argc < 3 || argc > 4 || (burst = (uint32_t)atoi(argv[2])) < 1 || burst > TP_BURST)
		carrier_die("usage", "run_pipeline FILE BURST [mem|dpdk|pcap|afxdp]");
	f = fopen(argv[1], "r");
	if (f == NULL)
		carrier_die("can not open", argv[1]);
	if (tp_grace_new(1, &conf.grace) != 0 || tp_flow_table_new(&conf, &flows) != 0 ||
			tp_accounts_new(&ac, &accounts) != 0)
		carrier_die("no table", "");
	pipe.flows = flows;
	pipe.tally = tp_accounts_tally(accounts, 0);
	pipe.classify = (struct tp_classify_conf){ RELAY_PORT_MIN, RELAY_PORT_MAX };
	pipe.egress_ports = ~0ull;

	read_file(f, flows, &pipe, burst, argc > 3 ? argv[3] : NULL);
	check_accounts(accounts, ac.max_accounts, &pipe);

	fclose(f);
	tp_flow_table_free(flows);
	tp_accounts_free(accounts);
	tp_grace_free(conf.grace);
	return EXIT_SUCCESS;
}
