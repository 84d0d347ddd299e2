/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn-storm - how many allocations, refreshes and channel binds a TURN server answers a second.
 *
 * Keeps --window requests in flight from --clients clients, each with a five-tuple of its own, in
 * phases, and prints the rate of each as one JSON object a line:
 *
 *   fill     every client, new to the server: challenge, Allocate, ChannelBind.  None is deleted.
 *   bind     every client binds its other channels: --channels less one
 *   refresh  for --seconds: Refresh, all clients in turn
 *   rebind   for --seconds: ChannelBind of a channel that is bound already
 *   churn    for --seconds: clients come (Allocate, ChannelBind) and others go (Refresh with
 *            lifetime 0); half of them are there.  Counted are those that came.
 *   data     for --seconds: ChannelData of clients at random, sent back by their peer, which is
 * this process as well.  Counted are those that came back to whom they belong. hold     says so,
 * and waits for a line on standard input delete   every client that is left
 *
 * One client's requests in a phase are a turn; --rate limits the turns a second of those phases
 * that last for --seconds: half as many pairs in `churn`.
 *
 * A pair of allocate and bind thus costs the server three requests: with the challenge in `fill`,
 * where its tables grow, and with the deletion in `churn`, where it knows the client.  A client
 * keeps its nonce as long as the server lets it.
 *
 * "latency_max_ms" is the longest that a request of the phase waited for its answer, the window
 * before it included: a server that stands still shows there.
 *
 * "extra" says how busy this process was: near 100 percent of a core it, not the server, may be
 * what was measured.  What the kernel does for it in softirqs (on veths: receiving for the server)
 * is not in that figure.  It measures rates at a full window, no latencies, and no data.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "crowd.h"
#include "echo.h"
#include "server_options.h"
#include "tally.h"
#include "wire/channel.h"

#define POLL_MS 100
#define MAX_CLIENTS 1000000
#define MAX_CHANNELS (TP_CHANNEL_MAX - TP_CHANNEL_MIN + 1)
#define MAX_SECONDS 86400
#define MAX_RATE 1000000
#define DATA_LATE_NS (200 * TP_NS_PER_MS) /* what is under way when `data` ends */

/* What a client does when it is its turn: request after request, until the last or an error. */
struct phase {
	const char *name, *unit;
	bool is_timed;
	/** What the phase does instead of turns; NULL: turns. */
	void (*run)(void);
	/** @return whether there is a request `step` of client i's turn */
	bool (*ask)(uint32_t i, uint32_t step, struct tp_request *rq);
	/** Which of a turn's requests counts. */
	enum tp_request_kind counted;
};

struct one {
	bool is_allocated;
	bool was_allocated; /* when its turn began */
	uint32_t step;
	uint64_t asked_ns;
};

static struct {
	struct tp_server_options server;
	uint32_t family, clients, channels, seconds, rate;
	const char *phases;
	struct tp_addr peer;
	struct tp_crowd *crowd;
	struct one *ones;
	const struct phase *phase;
	uint64_t n_counted, n_sent;
	uint64_t latency_max_ns;
	uint64_t random;
	struct tp_echo *peers;
	struct tp_tally errors;
} storm = {
	.server = { .server.port = 3478, .window = 512 },
	.family = 4,
	.clients = 10000,
	.channels = 1,
	.seconds = 5,
	.phases = "refresh,churn",
	.peer.port = 5000,
	.random = 88172645463325252u,
};

static volatile sig_atomic_t is_stopping;

static void on_signal(int signal)
{
	(void)signal;
	is_stopping = 1;
}

/* ---- turns ---- */

static void bind_channel(uint32_t channel, struct tp_request *rq)
{
	rq->kind = TP_REQUEST_BIND;
	rq->channel = (uint16_t)(TP_CHANNEL_MIN + channel);
	rq->peer = storm.peer;
	rq->peer.port = (uint16_t)(storm.peer.port + channel);
}

static void allocate(struct tp_request *rq)
{
	rq->kind = TP_REQUEST_ALLOCATE;
	rq->family = (uint8_t)storm.family;
}

static bool ask_fill(uint32_t i, uint32_t step, struct tp_request *rq)
{
	(void)i;
	if (step == 0)
		allocate(rq);
	else
		bind_channel(0, rq);
	return step < 2;
}

static bool ask_bind(uint32_t i, uint32_t step, struct tp_request *rq)
{
	(void)i;
	bind_channel(step + 1, rq);
	return step + 1 < storm.channels;
}

static bool ask_refresh(uint32_t i, uint32_t step, struct tp_request *rq)
{
	(void)i;
	rq->kind = TP_REQUEST_REFRESH;
	return step < 1;
}

static bool ask_rebind(uint32_t i, uint32_t step, struct tp_request *rq)
{
	(void)i;
	bind_channel(0, rq);
	return step < 1;
}

static bool ask_delete(uint32_t i, uint32_t step, struct tp_request *rq)
{
	rq->kind = TP_REQUEST_DELETE;
	return step < 1 && storm.ones[i].was_allocated;
}

/* Before `churn`, so that half of the clients are there at any time of it. */
static bool ask_thin(uint32_t i, uint32_t step, struct tp_request *rq)
{
	return i % 2 == 1 && ask_delete(i, step, rq);
}

/* Who is there goes, who is not comes: a server has time to forget in between. */
static bool ask_churn(uint32_t i, uint32_t step, struct tp_request *rq)
{
	return storm.ones[i].was_allocated ? ask_delete(i, step, rq) : ask_fill(i, step, rq);
}

static void run_data(void);
static void run_hold(void);

static const struct phase fill = { "fill", "pairs/s", false, NULL, ask_fill, TP_REQUEST_BIND };
static const struct phase thin = { "thin", "deletions/s", false, NULL, ask_thin,
	TP_REQUEST_DELETE };
static const struct phase delete = { "delete", "deletions/s", false, NULL, ask_delete,
	TP_REQUEST_DELETE };

static const struct phase phases[] = {
	{ "bind", "binds/s", false, NULL, ask_bind, TP_REQUEST_BIND },
	{ "refresh", "refreshes/s", true, NULL, ask_refresh, TP_REQUEST_REFRESH },
	{ "rebind", "binds/s", true, NULL, ask_rebind, TP_REQUEST_BIND },
	{ "churn", "pairs/s", true, NULL, ask_churn, TP_REQUEST_BIND },
	{ "data", "round trips/s", true, run_data, NULL, 0 },
	{ "hold", "", false, run_hold, NULL, 0 },
};

#define N_PHASES (sizeof(phases) / sizeof(phases[0]))

/* @return whether a request went out */
static bool ask(uint32_t i)
{
	struct tp_request rq = { 0 };

	if (!storm.phase->ask(i, storm.ones[i].step, &rq))
		return false;
	storm.ones[i].asked_ns = tp_clock_now_ns();
	tp_crowd_ask(storm.crowd, i, &rq);
	return true;
}

static void on_done(void *ctx, uint32_t i, uint16_t code)
{
	enum tp_request_kind kind = tp_crowd_client(storm.crowd, i)->request.kind;
	struct one *one = &storm.ones[i];
	uint64_t latency_ns = tp_clock_now_ns() - one->asked_ns;

	(void)ctx;
	if (latency_ns > storm.latency_max_ns)
		storm.latency_max_ns = latency_ns;
	if (code != 0) {
		tp_tally_add(&storm.errors, code);
		/* Nobody knows: the next turn will find out. */
		if (kind == TP_REQUEST_DELETE)
			one->is_allocated = false;
		return;
	}
	if (kind == TP_REQUEST_ALLOCATE)
		one->is_allocated = true;
	else if (kind == TP_REQUEST_DELETE)
		one->is_allocated = false;
	if (kind == storm.phase->counted)
		storm.n_counted++;
	one->step++;
	ask(i);
}

/* ---- data ---- */

/* What a client sends: its number, so that it is known to whom it has to come back. */
struct packet {
	uint8_t header[TP_CHANNEL_HDR_LEN];
	uint32_t client;
	uint8_t rest[152];
};

static void on_data(void *ctx, uint32_t socket, const uint8_t *data, size_t len)
{
	struct packet p;

	(void)ctx;
	if (len != sizeof(p))
		return;
	memcpy(&p, data, sizeof(p));
	if (p.client < storm.clients &&
			p.client / tp_sources_count(&storm.server.sources) == socket)
		storm.n_counted++;
}

static uint32_t next_random(uint32_t n)
{
	storm.random ^= storm.random << 13;
	storm.random ^= storm.random >> 7;
	storm.random ^= storm.random << 17;
	return (uint32_t)((storm.random >> 32) * n >> 32);
}

static void send_data(uint32_t i)
{
	struct packet p = { .client = i };

	tp_channel_header(p.header, TP_CHANNEL_MIN, sizeof(p) - TP_CHANNEL_HDR_LEN);
	tp_crowd_send(storm.crowd, i, (const uint8_t *)&p, sizeof(p));
	storm.n_sent++;
}

static void poll_data(void)
{
	tp_crowd_poll(storm.crowd, 0);
	tp_echo_poll(storm.peers);
}

static void run_data(void)
{
	const uint64_t begin_ns = tp_clock_now_ns();
	uint64_t now_ns = begin_ns, due;

	while (!is_stopping && now_ns < begin_ns + storm.seconds * TP_NS_PER_SEC) {
		due = storm.rate == 0 ? UINT64_MAX
				      : (now_ns - begin_ns) * storm.rate / TP_NS_PER_SEC;
		/* A window of what has not come back; if it is lost, the pace goes on. */
		for (uint32_t n = 0; n < storm.server.window && storm.n_sent < due; n++)
			send_data(next_random(storm.clients));
		poll_data();
		now_ns = tp_clock_now_ns();
	}
	for (now_ns += DATA_LATE_NS; tp_clock_now_ns() < now_ns;)
		poll_data();
}

static void run_hold(void)
{
	char line[16];

	puts("{\"name\":\"hold\"}");
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		is_stopping = 1;
}

static const struct tp_crowd_ops ops = { .done = on_done, .data = on_data };

/* ---- phases ---- */

struct meter {
	uint64_t at_ns, cpu_ns;
	struct tp_crowd_stats crowd;
};

static uint64_t timeval_ns(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * TP_NS_PER_SEC + (uint64_t)tv->tv_usec * 1000;
}

static struct meter read_meter(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (struct meter){
		.at_ns = tp_clock_now_ns(),
		.cpu_ns = timeval_ns(&usage.ru_utime) + timeval_ns(&usage.ru_stime),
		.crowd = *tp_crowd_stats(storm.crowd),
	};
}

static void print_sample(const struct meter *begin, const struct meter *end)
{
	double seconds = (double)(end->at_ns - begin->at_ns) / (double)TP_NS_PER_SEC;
	double requests = (double)(end->crowd.requests - begin->crowd.requests);

	printf("{\"name\":\"%s\",\"params\":{\"clients\":%u,\"channels\":%u,\"window\":%u},"
	       "\"unit\":\"%s\",\"value\":%.1f,\"extra\":{\"seconds\":%.3f,"
	       "\"requests_per_sec\":%.0f,\"client_cpu_percent\":%.0f,"
	       "\"challenges\":%llu,\"retransmissions\":%llu,\"send_errors\":%llu",
			storm.phase->name, storm.clients, storm.channels, storm.server.window,
			storm.phase->unit, (double)storm.n_counted / seconds, seconds,
			requests / seconds, (double)(end->cpu_ns - begin->cpu_ns) / seconds / 1e7,
			(unsigned long long)(end->crowd.challenges - begin->crowd.challenges),
			(unsigned long long)(end->crowd.retransmissions -
					begin->crowd.retransmissions),
			(unsigned long long)(end->crowd.send_errors - begin->crowd.send_errors));
	printf(",\"latency_max_ms\":%.1f,\"sent\":%llu,\"returned\":%llu",
			(double)storm.latency_max_ns / 1e6, (unsigned long long)storm.n_sent,
			(unsigned long long)(storm.n_sent > 0 ? storm.n_counted : 0));
	printf(",\"errors\":");
	tp_tally_print(&storm.errors);
	puts("}}");
	if (fflush(stdout) != 0)
		err(1, "standard output");
}

static void begin_turn(uint32_t i)
{
	storm.ones[i].step = 0;
	storm.ones[i].was_allocated = storm.ones[i].is_allocated;
	ask(i);
}

/* How many turns may have been begun by now. */
static uint64_t allowed(uint64_t begin_ns)
{
	if (storm.rate == 0 || !storm.phase->is_timed)
		return UINT64_MAX;
	return (tp_clock_now_ns() - begin_ns) * storm.rate / TP_NS_PER_SEC;
}

static void run_turns(uint64_t begin_ns)
{
	const uint64_t end_ns = begin_ns + storm.seconds * TP_NS_PER_SEC;
	const bool is_timed = storm.phase->is_timed;
	const int poll_ms = storm.rate == 0 ? POLL_MS : 1;
	uint64_t begun = 0, most;
	uint32_t i = 0, tries;

	while (!is_stopping && (is_timed ? tp_clock_now_ns() < end_ns : i < storm.clients)) {
		most = allowed(begin_ns);
		/* Of those without a request, which may be none if the window is wide. */
		for (tries = storm.clients; tries > 0 && i < storm.clients && begun < most &&
				tp_crowd_busy(storm.crowd) < storm.server.window;
				tries--) {
			if (!tp_crowd_client(storm.crowd, i)->is_busy) {
				begin_turn(i);
				begun++;
			}
			i++;
			if (is_timed && i == storm.clients)
				i = 0;
		}
		tp_crowd_poll(storm.crowd, poll_ms);
	}
}

/* The turns that were begun end, so that the next phase finds nobody busy. */
static void drain(void)
{
	while (tp_crowd_busy(storm.crowd) > 0)
		tp_crowd_poll(storm.crowd, POLL_MS);
}

static void run_phase(const struct phase *phase)
{
	struct meter begin, end;

	storm.phase = phase;
	storm.n_counted = storm.n_sent = storm.latency_max_ns = 0;
	storm.errors = (struct tp_tally){ { 0 } };
	begin = read_meter();
	if (phase->run != NULL)
		phase->run();
	else
		run_turns(begin.at_ns);
	if (phase->run == run_hold)
		return;
	if (phase->is_timed) {
		/* What is answered later does not count. */
		end = read_meter();
		print_sample(&begin, &end);
		drain();
		return;
	}
	drain();
	end = read_meter();
	if (phase != &thin)
		print_sample(&begin, &end);
}

static const struct phase *find_phase(const char *name)
{
	for (uint32_t i = 0; i < N_PHASES; i++)
		if (strcmp(phases[i].name, name) == 0)
			return &phases[i];
	errx(2, "--phases: %s: must be of bind, refresh, rebind, churn, data, hold", name);
}

static void run_phases(char *list)
{
	const struct phase *phase;
	char *name;

	while ((name = strsep(&list, ",")) != NULL) {
		if (*name == '\0')
			continue;
		phase = find_phase(name);
		if (phase->ask == ask_churn)
			run_phase(&thin);
		run_phase(phase);
	}
}

/* ---- start ---- */

static void parse(int argc, char **argv)
{
	const struct tp_option table[] = {
		TP_SERVER_OPTIONS(&storm.server),
		{ "peer", TP_OPTION_ADDR, &storm.peer, 0, 0, "address that channels are bound to",
				true },
		{ "peer-port", TP_OPTION_NUMBER16, &storm.peer.port, 1, 65535,
				"port of the first channel's peer, counting up" },
		{ "clients", TP_OPTION_NUMBER, &storm.clients, 1, MAX_CLIENTS, "how many" },
		{ "channels", TP_OPTION_NUMBER, &storm.channels, 1, MAX_CHANNELS,
				"of each client, when `bind` is over" },
		{ "seconds", TP_OPTION_NUMBER, &storm.seconds, 1, MAX_SECONDS,
				"of each phase that is timed" },
		{ "rate", TP_OPTION_NUMBER, &storm.rate, 1, MAX_RATE,
				"turns a second at most; otherwise as many as are answered" },
		{ "phases", TP_OPTION_TEXT, &storm.phases, 0, 0,
				"between fill and delete, in this order" },
		{ NULL },
	};

	tp_options_parse(argc, argv,
			"usage: turn-storm --server ADDR --user TEXT --password TEXT "
			"--source ADDR --peer ADDR [OPTION...]\n\n"
			"Measures requests a second, in phases: fill, then those of --phases\n"
			"(bind, refresh, rebind, churn, data, hold), then delete.  One JSON object for each.",
			table);
	storm.family = storm.peer.family;
	if (storm.peer.port + storm.channels - 1 > UINT16_MAX)
		errx(2, "%u peers from port %u: there are not as many ports", storm.channels,
				storm.peer.port);
}

static void check_phases(void)
{
	char *copy = strdup(storm.phases), *rest = copy, *name;

	while (rest != NULL && (name = strsep(&rest, ",")) != NULL)
		if (*name != '\0')
			find_phase(name);
	free(copy);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct tp_login login;
	char *list;

	parse(argc, argv);
	check_phases();
	if (tp_login_init(&login, storm.server.username, storm.server.password,
			    storm.server.realm) < 0)
		errx(2, "--realm: must be of 1 to %d bytes", TP_STUN_REALM_MAX);
	storm.ones = calloc(storm.clients, sizeof(*storm.ones));
	list = strdup(storm.phases);
	if (storm.ones == NULL || list == NULL)
		err(1, "%u clients", storm.clients);
	storm.crowd = tp_crowd_new(&(struct tp_crowd_conf){
			.server = storm.server.server,
			.sources = &storm.server.sources,
			.source_port = storm.server.source_port,
			.n_clients = storm.clients,
			.login = &login,
			.ops = &ops,
	});
	if (strstr(storm.phases, "data") != NULL)
		storm.peers = tp_echo_new(&storm.peer, 1);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	run_phase(&fill);
	run_phases(list);
	/* A signal ends phases, but not this one. */
	is_stopping = 0;
	run_phase(&delete);
	tp_crowd_free(storm.crowd);
	if (storm.peers != NULL)
		tp_echo_free(storm.peers);
	free(list);
	free(storm.ones);
	return 0;
}
