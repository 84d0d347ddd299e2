/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn-soak - steady traffic of clients that come, talk and go, with every byte looked at.
 *
 * --clients clients allocate, bind a channel or (--indications of them) ask for a permission, and
 * send datagrams at --rate in all to echoing peers, which are sockets of this process too.  After
 * --life seconds a client deletes its allocation and comes back a second later; --abandon of those
 * that end say nothing, and come back when the server must have let go.  What comes back is held
 * against what was sent: client, allocation, order number and every byte.
 *
 * Prints its counters as one JSON object each --report seconds and at the end ("final":true).  It
 * measures no rates and no latencies: it is there to find loss, damage, and leaks of the server.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crowd.h"
#include "echo.h"
#include "server_options.h"
#include "tally.h"
#include "wire/channel.h"

#define MAX_CLIENTS 16000 /* each has a socket */
#define MAX_PEERS 1024
#define MAX_RATE 1000000
#define MAX_SECONDS 10000000
#define PAYLOAD_MIN 32
#define PAYLOAD_MAX 1400
#define BURST 64          /* datagrams before looking at what came back */
#define BACKLOG_SEC 0.05  /* what could not be sent in time is not caught up with */
#define LIFE_MAX 240      /* permissions end after 300 s, and only allocations are refreshed */
#define FORGOTTEN_SEC 630 /* an allocation lives for 600 s (RFC 8656 section 7.2) */
#define QUIET_NS (500 * TP_NS_PER_MS) /* for what is on its way, before an allocation goes */
#define ABSENT_NS TP_NS_PER_SEC
#define SCAN_NS (10 * TP_NS_PER_MS)
#define STOP_NS (10 * TP_NS_PER_SEC) /* then unanswered deletions are given up */
#define CHANNEL TP_CHANNEL_MIN

enum state {
	ABSENT,
	ASKING, /* one of its requests is under way, in the order of this list */
	TALKING,
	QUIET,
	ABANDONED, /* its allocation is left to expire */
};

struct talker {
	enum state state;
	uint64_t due_ns;     /* of what comes next */
	uint64_t refresh_ns; /* TALKING: of the Refresh; 0: it was sent */
	uint32_t life;       /* allocations so far */
	uint64_t seq;        /* of the next datagram */
	uint64_t top;        /* of those that came back, the highest and one */
	uint64_t seen;       /* bit n: number top - 1 - n came back */
	bool is_talking;     /* a Refresh under way does not keep it from talking */
	bool is_abandoned;   /* its allocation may be gone by now */
};

/* What a datagram says of itself; the rest of the payload follows from it. */
struct mark {
	uint32_t client, life;
	uint64_t seq;
};

#define COUNTERS(X)                                                          \
	X(sent)         /* datagrams to peers */                             \
	X(received)     /* of these came back, in their allocation's life */ \
	X(late)         /* ... after it */                                   \
	X(damaged)      /* bytes, channel or peer are not those sent */      \
	X(misdelivered) /* it was another client's */                        \
	X(repeated)     /* it had come back before */                        \
	X(icmp)         /* errors that the server told */                    \
	X(strange)      /* nothing that was expected */                      \
	X(allocated)    /* allocations made */                               \
	X(deleted)                                                           \
	X(abandoned)                                                         \
	X(expired) /* of the abandoned: gone when asked for at the end */

static struct {
	struct tp_server_options server;
	uint32_t clients, peers, rate, payload, life, indications, abandon, seconds, report;
	struct tp_addr peer;
	struct tp_crowd *crowd;
	struct tp_echo *echo;
	struct talker *talkers;
	uint32_t next; /* to talk */
	uint64_t begin_ns, paced;
	bool is_ending;
	struct {
#define X(name) uint64_t name;
		COUNTERS(X)
#undef X
	} count;
	struct tp_tally errors;
} soak = {
	.server = TP_SERVER_DEFAULTS,
	.clients = 100,
	.peers = 16,
	.rate = 1000,
	.payload = 160,
	.life = 20,
	.report = 10,
	.peer.port = 5000,
};

static volatile sig_atomic_t is_stopping;

static void on_signal(int signal)
{
	(void)signal;
	is_stopping = 1;
}

static bool uses_indications(uint32_t i)
{
	return i % 100 < soak.indications;
}

static struct tp_addr peer_of(uint32_t i)
{
	struct tp_addr peer = soak.peer;

	peer.port = (uint16_t)(soak.peer.port + i % soak.peers);
	return peer;
}

/* ---- coming and going ---- */

static void ask(uint32_t i, enum tp_request_kind kind)
{
	const struct tp_request rq = {
		.kind = kind,
		.family = soak.peer.family,
		.channel = CHANNEL,
		.peer = peer_of(i),
	};

	tp_crowd_ask(soak.crowd, i, &rq);
}

/* Lives end at different times, whatever they began with. */
static uint64_t life_ns(uint32_t i)
{
	uint64_t ns = soak.life * TP_NS_PER_SEC;

	return ns / 2 + ns * (i % soak.clients) / soak.clients;
}

static void begin_talk(uint32_t i)
{
	struct talker *t = &soak.talkers[i];
	uint64_t now_ns = tp_clock_coarse_ns(), ns = life_ns(i);

	t->state = TALKING;
	t->is_talking = true;
	t->refresh_ns = now_ns + ns / 2;
	t->due_ns = now_ns + ns;
}

static void rest(uint32_t i, enum state state, uint64_t ns)
{
	struct talker *t = &soak.talkers[i];

	t->state = state;
	t->is_talking = false;
	t->due_ns = tp_clock_coarse_ns() + ns;
}

static bool is_abandoning(uint32_t i)
{
	/* Another one each time, whatever their number. */
	return !soak.is_ending && (i * 37 + soak.talkers[i].life) % 100 < soak.abandon;
}

static void leave(uint32_t i)
{
	if (is_abandoning(i)) {
		soak.count.abandoned++;
		soak.talkers[i].is_abandoned = true;
		rest(i, ABANDONED, FORGOTTEN_SEC * TP_NS_PER_SEC);
		return;
	}
	soak.talkers[i].state = ASKING;
	ask(i, TP_REQUEST_DELETE);
}

static void on_done(void *ctx, uint32_t i, uint16_t code)
{
	enum tp_request_kind kind = tp_crowd_client(soak.crowd, i)->request.kind;

	(void)ctx;
	if (code == TP_STUN_ALLOCATION_MISMATCH && kind == TP_REQUEST_DELETE &&
			soak.talkers[i].is_abandoned) {
		soak.count.expired++;
		rest(i, ABSENT, ABSENT_NS);
		return;
	}
	if (code != 0) {
		/* Begin anew; the Refresh failed for a reason that sending will show as well. */
		tp_tally_add(&soak.errors, code);
		if (kind != TP_REQUEST_REFRESH)
			rest(i, ABSENT, ABSENT_NS);
		return;
	}
	switch (kind) {
	case TP_REQUEST_ALLOCATE:
		soak.count.allocated++;
		soak.talkers[i].life++;
		soak.talkers[i].is_abandoned = false;
		soak.talkers[i].seen = 0;
		ask(i, uses_indications(i) ? TP_REQUEST_PERMIT : TP_REQUEST_BIND);
		break;
	case TP_REQUEST_BIND:
	case TP_REQUEST_PERMIT:
		begin_talk(i);
		break;
	case TP_REQUEST_DELETE:
		soak.count.deleted++;
		rest(i, ABSENT, ABSENT_NS);
		break;
	case TP_REQUEST_REFRESH:
	case TP_REQUEST_KIND_COUNT:
		break;
	}
}

static void step(uint32_t i, uint64_t now_ns)
{
	struct talker *t = &soak.talkers[i];

	if (tp_crowd_client(soak.crowd, i)->is_busy)
		return;
	if (t->state == TALKING && t->refresh_ns != 0 && t->refresh_ns <= now_ns) {
		t->refresh_ns = 0;
		ask(i, TP_REQUEST_REFRESH);
		return;
	}
	if (t->due_ns > now_ns)
		return;
	if (t->state == TALKING) {
		rest(i, QUIET, QUIET_NS);
	} else if (t->state == QUIET) {
		leave(i);
	} else if (!soak.is_ending && tp_crowd_busy(soak.crowd) < soak.server.window) {
		t->state = ASKING;
		ask(i, TP_REQUEST_ALLOCATE);
	}
}

/* ---- talking ---- */

static uint8_t pattern(const struct mark *mark, size_t at)
{
	return (uint8_t)(mark->seq + mark->client + 31 * at);
}

static void write_payload(uint8_t *out, const struct mark *mark)
{
	memcpy(out, mark, sizeof(*mark));
	for (size_t at = sizeof(*mark); at < soak.payload; at++)
		out[at] = pattern(mark, at);
}

static bool is_intact(const uint8_t *data, const struct mark *mark)
{
	for (size_t at = sizeof(*mark); at < soak.payload; at++)
		if (data[at] != pattern(mark, at))
			return false;
	return true;
}

static size_t write_indication(uint32_t i, uint8_t *buf, size_t room, const uint8_t *payload)
{
	const struct tp_addr peer = peer_of(i);
	uint8_t tid[TP_STUN_TID_LEN] = { 0 };
	struct tp_stun_builder b;

	/* An indication has no answer that would be found by it. */
	memcpy(tid, &soak.talkers[i].seq, sizeof(soak.talkers[i].seq));
	tp_stun_begin(&b, buf, room, TP_STUN_SEND, TP_STUN_INDICATION, tid);
	tp_stun_put_xor_addr(&b, TP_STUN_ATTR_XOR_PEER_ADDRESS, &peer);
	tp_stun_put(&b, TP_STUN_ATTR_DATA, payload, soak.payload);
	return tp_stun_finish(&b);
}

static void talk(uint32_t i)
{
	struct talker *t = &soak.talkers[i];
	const struct mark mark = { i, t->life, t->seq++ };
	uint8_t payload[PAYLOAD_MAX], buf[TP_CROWD_DATA_MAX];
	size_t len;

	write_payload(payload, &mark);
	if (uses_indications(i)) {
		len = write_indication(i, buf, sizeof(buf), payload);
	} else {
		tp_channel_header(buf, CHANNEL, (uint16_t)soak.payload);
		memcpy(buf + TP_CHANNEL_HDR_LEN, payload, soak.payload);
		len = TP_CHANNEL_HDR_LEN + soak.payload;
	}
	tp_crowd_send(soak.crowd, i, buf, len);
	soak.count.sent++;
}

static void talk_as_due(uint64_t now_ns)
{
	uint64_t due = (uint64_t)((double)(now_ns - soak.begin_ns) * soak.rate / 1e9);
	uint32_t tries;
	int n;

	if (due - soak.paced > (uint64_t)(soak.rate * BACKLOG_SEC) + BURST)
		soak.paced = due - BURST;
	for (n = 0; n < BURST && soak.paced < due; n++, soak.paced++) {
		for (tries = soak.clients; tries > 0; tries--) {
			soak.next = (soak.next + 1) % soak.clients;
			if (soak.talkers[soak.next].is_talking)
				break;
		}
		if (tries > 0)
			talk(soak.next);
	}
}

/* ---- what came back ---- */

/* Not seen before; how far back one remembers is far more than is on its way. */
static bool is_first(struct talker *t, uint64_t seq)
{
	uint64_t back;

	if (seq >= t->top) {
		t->seen = seq - t->top < 63 ? t->seen << (seq - t->top + 1) : 0;
		t->seen |= 1;
		t->top = seq + 1;
		return true;
	}
	back = t->top - 1 - seq;
	if (back > 63 || (t->seen >> back & 1) != 0)
		return back > 63;
	t->seen |= 1ull << back;
	return true;
}

/* @return the counter of what became of it */
static uint64_t *hold_against(uint32_t i, const uint8_t *data, size_t len)
{
	struct talker *t = &soak.talkers[i];
	struct mark mark;

	if (len != soak.payload)
		return &soak.count.damaged;
	memcpy(&mark, data, sizeof(mark));
	if (!is_intact(data, &mark))
		return &soak.count.damaged;
	if (mark.client != i)
		return &soak.count.misdelivered;
	if (mark.life != t->life || (t->state != TALKING && t->state != QUIET))
		return &soak.count.late;
	return is_first(t, mark.seq) ? &soak.count.received : &soak.count.repeated;
}

static uint64_t *take_indication(uint32_t i, const uint8_t *data, size_t len)
{
	const struct tp_addr want = peer_of(i);
	struct tp_stun_msg msg;
	struct tp_addr peer;

	if (tp_stun_decode(data, len, &msg) != TP_STUN_PARSE_OK ||
			msg.class != TP_STUN_INDICATION || msg.method != TP_STUN_DATA)
		return &soak.count.strange;
	if (tp_stun_has(&msg, TP_STUN_ICMP_AT))
		return &soak.count.icmp;
	if (tp_stun_get_xor_addr(&msg, TP_STUN_XOR_PEER_ADDRESS_AT, &peer) < 0 ||
			!tp_addr_equal(&peer, &want) || !tp_stun_has(&msg, TP_STUN_DATA_AT))
		return &soak.count.damaged;
	return hold_against(i, msg.attr[TP_STUN_DATA_AT].data, msg.attr[TP_STUN_DATA_AT].len);
}

static uint64_t *take_channel_data(uint32_t i, const uint8_t *data, size_t len)
{
	struct tp_channel_data ch;

	if (tp_channel_parse(data, len, &ch) < 0 || ch.number != CHANNEL)
		return &soak.count.damaged;
	return hold_against(i, ch.data, ch.len);
}

static void on_data(void *ctx, uint32_t i, const uint8_t *data, size_t len)
{
	uint64_t *counter;

	(void)ctx;
	counter = tp_channel_first_byte(data[0]) ? take_channel_data(i, data, len)
						 : take_indication(i, data, len);
	(*counter)++;
}

static const struct tp_crowd_ops ops = { .done = on_done, .data = on_data };

/* ---- the run ---- */

static void print_counts(bool is_final)
{
	const struct tp_crowd_stats *crowd = tp_crowd_stats(soak.crowd);

	printf("{\"seconds\":%.1f,\"final\":%s",
			(double)(tp_clock_now_ns() - soak.begin_ns) / (double)TP_NS_PER_SEC,
			is_final ? "true" : "false");
#define X(name) printf(",\"%s\":%llu", #name, (unsigned long long)soak.count.name);
	COUNTERS(X)
#undef X
	printf(",\"echoed\":%llu,\"requests\":%llu,\"retransmissions\":%llu,\"send_errors\":%llu,"
	       "\"errors\":",
			(unsigned long long)tp_echo_count(soak.echo),
			(unsigned long long)crowd->requests,
			(unsigned long long)crowd->retransmissions,
			(unsigned long long)crowd->send_errors);
	tp_tally_print(&soak.errors);
	puts("}");
	if (fflush(stdout) != 0)
		err(1, "standard output");
}

static void look(uint64_t now_ns)
{
	for (uint32_t i = 0; i < soak.clients; i++)
		step(i, now_ns);
}

static void run(void)
{
	uint64_t scan_ns = 0, report_ns, now_ns = tp_clock_now_ns();
	uint64_t end_ns = now_ns + soak.seconds * TP_NS_PER_SEC;

	soak.begin_ns = now_ns;
	report_ns = now_ns + soak.report * TP_NS_PER_SEC;
	for (uint32_t i = 0; i < soak.clients; i++)
		soak.talkers[i].due_ns = now_ns + ABSENT_NS * i / soak.clients;
	while (!is_stopping && (soak.seconds == 0 || now_ns < end_ns)) {
		now_ns = tp_clock_now_ns();
		if (now_ns >= scan_ns) {
			look(now_ns);
			scan_ns = now_ns + SCAN_NS;
		}
		talk_as_due(now_ns);
		tp_crowd_poll(soak.crowd, 1);
		tp_echo_poll(soak.echo);
		if (now_ns >= report_ns) {
			print_counts(false);
			report_ns += soak.report * TP_NS_PER_SEC;
		}
	}
}

static uint32_t count_present(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < soak.clients; i++)
		n += soak.talkers[i].state != ABSENT;
	return n;
}

/* Everybody goes, those too that had left silently; what is on its way arrives first. */
static void end(void)
{
	const uint64_t stop_ns = tp_clock_now_ns() + STOP_NS;

	soak.is_ending = true;
	for (uint32_t i = 0; i < soak.clients; i++)
		if (soak.talkers[i].state == TALKING || soak.talkers[i].state == ABANDONED)
			rest(i, QUIET, QUIET_NS);
	while (count_present() > 0 && tp_clock_now_ns() < stop_ns) {
		look(tp_clock_now_ns());
		tp_crowd_poll(soak.crowd, 1);
		tp_echo_poll(soak.echo);
	}
}

/* ---- start ---- */

static void parse(int argc, char **argv)
{
	const struct tp_option table[] = {
		TP_SERVER_OPTIONS(&soak.server),
		{ "peer", TP_OPTION_ADDR, &soak.peer, 0, 0,
				"address of the echoing peers, one of this host", true },
		{ "peer-port", TP_OPTION_NUMBER16, &soak.peer.port, 1, 65535,
				"port of the first peer, counting up" },
		{ "peers", TP_OPTION_NUMBER, &soak.peers, 1, MAX_PEERS, "how many" },
		{ "clients", TP_OPTION_NUMBER, &soak.clients, 1, MAX_CLIENTS, "how many" },
		{ "rate", TP_OPTION_NUMBER, &soak.rate, 1, MAX_RATE,
				"datagrams a second to peers, of all clients" },
		{ "payload", TP_OPTION_NUMBER, &soak.payload, PAYLOAD_MIN, PAYLOAD_MAX,
				"bytes of a datagram" },
		{ "life", TP_OPTION_NUMBER, &soak.life, 1, LIFE_MAX,
				"seconds of an allocation on average: half to one and a half" },
		{ "indications", TP_OPTION_NUMBER, &soak.indications, 0, 100,
				"percent of the clients that use no channel" },
		{ "abandon", TP_OPTION_NUMBER, &soak.abandon, 0, 100,
				"percent of the allocations that are left to expire" },
		{ "seconds", TP_OPTION_NUMBER, &soak.seconds, 1, MAX_SECONDS,
				"otherwise until SIGTERM" },
		{ "report", TP_OPTION_NUMBER, &soak.report, 1, MAX_SECONDS,
				"seconds between two lines" },
		{ NULL },
	};

	tp_options_parse(argc, argv,
			"usage: turn-soak --server ADDR --user TEXT --password TEXT --source ADDR "
			"--peer ADDR [OPTION...]\n\n"
			"Clients that come, talk with echoing peers, and go, until --seconds are\n"
			"over or SIGTERM.  Prints its counters as JSON objects.",
			table);
	if (tp_sources_count(&soak.server.sources) != 1)
		errx(2, "--source must be one address: every client has a socket of its own");
	if (soak.peer.port + soak.peers - 1 > UINT16_MAX)
		errx(2, "%u peers from port %u: there are not as many ports", soak.peers,
				soak.peer.port);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct tp_login login;

	parse(argc, argv);
	if (tp_login_init(&login, soak.server.username, soak.server.password, soak.server.realm) <
			0)
		errx(2, "--realm: must be of 1 to %d bytes", TP_STUN_REALM_MAX);
	soak.talkers = calloc(soak.clients, sizeof(*soak.talkers));
	if (soak.talkers == NULL)
		err(1, "%u clients", soak.clients);
	soak.echo = tp_echo_new(&soak.peer, soak.peers);
	soak.crowd = tp_crowd_new(&(struct tp_crowd_conf){
			.server = soak.server.server,
			.sources = &soak.server.sources,
			.source_port = soak.server.source_port,
			.n_clients = soak.clients,
			.login = &login,
			.ops = &ops,
	});
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	run();
	end();
	print_counts(true);
	tp_crowd_free(soak.crowd);
	tp_echo_free(soak.echo);
	free(soak.talkers);
	return 0;
}
