/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn-flows - allocations and channels on a TURN server, made and kept alive for others to use.
 *
 * Measures nothing.  It makes --allocations allocations with --channels channels (or permissions)
 * each on any server of RFC 8656, prints what a packet generator needs to know of every channel as
 * one JSON object a line, then {"ready":ALLOCATIONS}, and refreshes everything until SIGTERM or
 * SIGINT; then it deletes the allocations.  Data that arrives at its sockets is thrown away.
 *
 * Refreshing is spread over the interval: of N channels, N/240 a second are bound again.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "crowd.h"
#include "server_options.h"
#include "wire/channel.h"

/* Permissions live for 300 s (RFC 8656 section 9), channels and allocations for 600 s. */
#define INTERVAL_NS (240 * TP_NS_PER_SEC)
#define POLL_MS 100
#define MAX_ALLOCATIONS 1000000
#define MAX_CHANNELS (TP_CHANNEL_MAX - TP_CHANNEL_MIN + 1)
#define STOP_NS (5 * TP_NS_PER_SEC) /* then unanswered deletions are given up */
/* A server may need a moment to forget an allocation that was deleted; coturn does. */
#define MISMATCHES_MAX 20
#define MISMATCH_WAIT_NS (250 * TP_NS_PER_MS)

enum phase {
	MAKING,
	KEEPING,
	DELETING,
};

/* A client's way: allocate, channel 0 and so on, and from there again. */
struct way {
	uint32_t next; /* 0: allocate or refresh; n: channel n - 1; beyond the last: rests */
	bool is_allocated;
	uint8_t mismatches; /* answers 437 */
	uint64_t due_ns;    /* of its next round, or of its next attempt; 0: none */
};

static struct {
	struct tp_server_options server;
	uint32_t family, allocations, channels;
	bool permissions_only;
	struct tp_addr peer;
	struct tp_crowd *crowd;
	struct way *ways;
	enum phase phase;
	uint32_t n_ready, n_waiting;
} flows = {
	.server = TP_SERVER_DEFAULTS,
	.family = 4,
	.allocations = 1,
	.channels = 1,
	.peer.port = 5000,
};

static volatile sig_atomic_t is_stopping;

static void on_signal(int signal)
{
	(void)signal;
	is_stopping = 1;
}

static struct tp_addr peer_of(uint32_t channel)
{
	struct tp_addr peer = flows.peer;

	peer.port = (uint16_t)(flows.peer.port + channel);
	return peer;
}

/* ---- one client's requests ---- */

static void ask_next(uint32_t i)
{
	struct way *way = &flows.ways[i];
	struct tp_request rq = { .family = (uint8_t)flows.family };

	if (way->next == 0) {
		rq.kind = way->is_allocated ? TP_REQUEST_REFRESH : TP_REQUEST_ALLOCATE;
	} else {
		rq.kind = flows.permissions_only ? TP_REQUEST_PERMIT : TP_REQUEST_BIND;
		rq.channel = (uint16_t)(TP_CHANNEL_MIN + way->next - 1);
		rq.peer = peer_of(way->next - 1);
	}
	tp_crowd_ask(flows.crowd, i, &rq);
}

/* CreatePermission knows no ports: one is for all peers. */
static uint32_t last_step(void)
{
	return flows.permissions_only ? 1 : flows.channels;
}

static void fail(uint32_t i, uint16_t code)
{
	const char *what = tp_request_name(tp_crowd_client(flows.crowd, i)->request.kind);

	if (code == TP_CROWD_TIMEOUT)
		errx(1, "client %u: %s: no answer", i, what);
	errx(1, "client %u: %s: error %u", i, what, code);
}

/* An earlier run on the same port was killed: its allocation is in the way. */
static void clear_first(uint32_t i)
{
	const struct tp_request rq = { .kind = TP_REQUEST_DELETE };
	struct way *way = &flows.ways[i];

	if (way->mismatches++ == 0) {
		tp_crowd_ask(flows.crowd, i, &rq);
		return;
	}
	way->due_ns = tp_clock_coarse_ns() + MISMATCH_WAIT_NS;
	flows.n_waiting++;
}

static void step(uint32_t i, enum tp_request_kind kind)
{
	struct way *way = &flows.ways[i];

	if (kind == TP_REQUEST_DELETE) {
		ask_next(i);
		return;
	}
	way->is_allocated = true;
	if (way->next++ < last_step()) {
		ask_next(i);
		return;
	}
	if (flows.phase == MAKING) {
		flows.n_ready++;
		return;
	}
	way->due_ns += INTERVAL_NS;
}

static void on_done(void *ctx, uint32_t i, uint16_t code)
{
	enum tp_request_kind kind = tp_crowd_client(flows.crowd, i)->request.kind;

	(void)ctx;
	if (flows.phase == DELETING)
		return;
	if (kind == TP_REQUEST_ALLOCATE && code == TP_STUN_ALLOCATION_MISMATCH &&
			flows.ways[i].mismatches < MISMATCHES_MAX) {
		clear_first(i);
		return;
	}
	/* A saturated server may not answer: what is kept is asked for again. */
	if (code == TP_CROWD_TIMEOUT && flows.phase == KEEPING) {
		ask_next(i);
		return;
	}
	if (code != 0)
		fail(i, code);
	step(i, kind);
}

/* What arrives is for a sink that looks elsewhere. */
static void on_data(void *ctx, uint32_t i, const uint8_t *data, size_t len)
{
	(void)ctx, (void)i, (void)data, (void)len;
}

static const struct tp_crowd_ops ops = { .done = on_done, .data = on_data };

/* ---- phases ---- */

static void ask_again(void)
{
	uint64_t now_ns = tp_clock_coarse_ns();

	for (uint32_t i = 0; flows.n_waiting > 0 && i < flows.allocations; i++) {
		if (flows.ways[i].due_ns == 0 || flows.ways[i].due_ns > now_ns)
			continue;
		flows.ways[i].due_ns = 0;
		flows.n_waiting--;
		ask_next(i);
	}
}

static void make(void)
{
	uint32_t begun = 0;

	while (flows.n_ready < flows.allocations && !is_stopping) {
		while (begun < flows.allocations &&
				tp_crowd_busy(flows.crowd) < flows.server.window)
			ask_next(begun++);
		if (flows.n_waiting > 0)
			ask_again();
		tp_crowd_poll(flows.crowd, POLL_MS);
	}
}

static void print_flow(uint32_t i, uint32_t channel)
{
	const struct tp_addr peer = peer_of(channel), local = tp_crowd_local(flows.crowd, i);
	const struct tp_addr *relay = &tp_crowd_client(flows.crowd, i)->relayed;
	char text[4][TP_ADDR_STRLEN];

	printf("{\"client\":\"%s\",\"client_port\":%u,\"server\":\"%s\",\"server_port\":%u,"
	       "\"channel\":%u,\"relay\":\"%s\",\"relay_port\":%u,"
	       "\"peer\":\"%s\",\"peer_port\":%u}\n",
			tp_addr_format_ip(&local, text[0]), local.port,
			tp_addr_format_ip(&flows.server.server, text[1]), flows.server.server.port,
			flows.permissions_only ? 0 : TP_CHANNEL_MIN + channel,
			tp_addr_format_ip(relay, text[2]), relay->port,
			tp_addr_format_ip(&peer, text[3]), peer.port);
}

static void print_all(void)
{
	for (uint32_t i = 0; i < flows.allocations; i++)
		for (uint32_t c = 0; c < flows.channels; c++)
			print_flow(i, c);
	printf("{\"ready\":%u}\n", flows.allocations);
	if (fflush(stdout) != 0)
		err(1, "standard output");
}

static void keep(void)
{
	uint64_t now_ns = tp_clock_now_ns();
	uint32_t at = 0, left;

	flows.phase = KEEPING;
	for (uint32_t i = 0; i < flows.allocations; i++)
		flows.ways[i].due_ns =
				now_ns + INTERVAL_NS / 2 + INTERVAL_NS / 2 * i / flows.allocations;
	while (!is_stopping) {
		now_ns = tp_clock_coarse_ns();
		for (left = flows.allocations; left > 0;
				left--, at = (at + 1) % flows.allocations) {
			if (flows.ways[at].due_ns > now_ns ||
					tp_crowd_busy(flows.crowd) >= flows.server.window)
				break;
			if (tp_crowd_client(flows.crowd, at)->is_busy)
				continue;
			flows.ways[at].next = 0;
			ask_next(at);
		}
		tp_crowd_poll(flows.crowd, POLL_MS);
	}
}

static void delete_all(void)
{
	const struct tp_request rq = { .kind = TP_REQUEST_DELETE };
	const uint64_t end_ns = tp_clock_now_ns() + STOP_NS;
	uint32_t i = 0;

	flows.phase = DELETING;
	while ((i < flows.allocations || tp_crowd_busy(flows.crowd) > 0) &&
			tp_clock_now_ns() < end_ns) {
		for (; i < flows.allocations && tp_crowd_busy(flows.crowd) < flows.server.window;
				i++)
			if (flows.ways[i].is_allocated && !tp_crowd_client(flows.crowd, i)->is_busy)
				tp_crowd_ask(flows.crowd, i, &rq);
		tp_crowd_poll(flows.crowd, POLL_MS);
	}
}

/* ---- start ---- */

static void parse(int argc, char **argv)
{
	const struct tp_option table[] = {
		TP_SERVER_OPTIONS(&flows.server),
		{ "family", TP_OPTION_NUMBER, &flows.family, 4, 6,
				"of the relayed addresses: 4 or 6" },
		{ "allocations", TP_OPTION_NUMBER, &flows.allocations, 1, MAX_ALLOCATIONS,
				"how many" },
		{ "channels", TP_OPTION_NUMBER, &flows.channels, 1, MAX_CHANNELS,
				"of each allocation, one to each peer" },
		{ "peer", TP_OPTION_ADDR, &flows.peer, 0, 0, "address of the peers", true },
		{ "peer-port", TP_OPTION_NUMBER16, &flows.peer.port, 1, 65535,
				"port of the first peer, counting up" },
		{ "permissions-only", TP_OPTION_FLAG, &flows.permissions_only, 0, 0,
				"no channels: for indications" },
		{ NULL },
	};

	tp_options_parse(argc, argv,
			"usage: turn-flows --server ADDR --user TEXT --password TEXT "
			"--source ADDR --peer ADDR [OPTION...]\n\n"
			"Makes allocations and channels, prints one JSON object for each channel\n"
			"and {\"ready\":ALLOCATIONS}, and keeps them alive until SIGTERM.",
			table);
	if (flows.family != 4 && flows.family != 6)
		errx(2, "--family %u: must be 4 or 6", flows.family);
	if (flows.peer.family != flows.family)
		errx(2, "--peer must be of --family: a relayed address reaches its own family");
	if (flows.peer.port + flows.channels - 1 > UINT16_MAX)
		errx(2, "%u peers from port %u: there are not as many ports", flows.channels,
				flows.peer.port);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct tp_login login;

	parse(argc, argv);
	if (tp_login_init(&login, flows.server.username, flows.server.password,
			    flows.server.realm) < 0)
		errx(2, "--realm: must be of 1 to %d bytes", TP_STUN_REALM_MAX);
	flows.ways = calloc(flows.allocations, sizeof(*flows.ways));
	if (flows.ways == NULL)
		err(1, "%u allocations", flows.allocations);
	flows.crowd = tp_crowd_new(&(struct tp_crowd_conf){
			.server = flows.server.server,
			.sources = &flows.server.sources,
			.source_port = flows.server.source_port,
			.n_clients = flows.allocations,
			.login = &login,
			.ops = &ops,
	});
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	make();
	if (!is_stopping) {
		print_all();
		keep();
	}
	delete_all();
	tp_crowd_free(flows.crowd);
	free(flows.ways);
	return 0;
}
