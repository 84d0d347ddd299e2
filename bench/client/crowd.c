/* SPDX-License-Identifier: Apache-2.0 */
#include "crowd.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

#define EVENTS 64
#define BATCH 64
#define DATAGRAM_MAX 2048
#define SPARE_FILES 64 /* epoll, standard streams, and what a program opens besides */
/* Answers to all that may be in flight; the kernel counts about 1 KB for a small one. */
#define BUFFER_BYTES (16 << 20)

/* RFC 8489 section 6.2.1: RTO 500 ms, doubled; seven transmissions. */
#define RTO_NS (500 * TP_NS_PER_MS)
#define TRANSMISSIONS 7
#define SCAN_NS (50 * TP_NS_PER_MS)

struct member {
	struct tp_client client;
	uint8_t sent; /* transmissions of the request under way */
	uint64_t retransmit_ns;
	LIST_ENTRY(member) entry; /* in busy */
};

union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* Datagrams that wait to be sent, all by one socket. */
struct out {
	uint32_t socket;
	unsigned int n;
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	union control control[BATCH];
	uint8_t data[BATCH][TP_CROWD_DATA_MAX];
};

struct in {
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	uint8_t data[BATCH][DATAGRAM_MAX];
};

struct tp_crowd {
	struct tp_crowd_conf conf;
	struct sockaddr_storage server;
	socklen_t server_len;
	uint32_t n_sources;
	int epoll_fd;
	int *sockets; /* client i has number i / n_sources */
	uint32_t n_sockets;
	struct member *members;
	LIST_HEAD(, member) busy;
	uint32_t n_busy;
	uint64_t scan_ns;
	struct tp_crowd_stats stats;
	struct out out;
	struct in in;
};

static uint32_t index_of(const struct tp_crowd *crowd, const struct member *m)
{
	return (uint32_t)(m - crowd->members);
}

static bool is_connected(const struct tp_crowd *crowd)
{
	return crowd->n_sources == 1;
}

/* ---- sockets ---- */

static void raise_file_limit(uint64_t n)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "getrlimit");
	if (limit.rlim_cur >= n)
		return;
	limit.rlim_cur = n;
	if (limit.rlim_max < n)
		limit.rlim_max = n;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "%llu open files are needed: give more sources, or raise the limit",
				(unsigned long long)n);
}

static void set_options(int fd, bool is_v6)
{
	const int size = BUFFER_BYTES, one = 1;

	/* More than rmem_max needs CAP_NET_ADMIN; without it the limit will do. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* A prefix that is local by its route is in no list of addresses. */
	if (is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof(one)) < 0)
		err(1, "IPV6_FREEBIND");
}

static int open_socket(const struct tp_crowd *crowd, uint32_t number)
{
	const struct tp_crowd_conf *conf = &crowd->conf;
	struct tp_addr local = { .family = conf->server.family };
	struct sockaddr_storage ss;
	char text[TP_ADDR_STRLEN];
	socklen_t len;
	int fd;

	if (is_connected(crowd))
		local = tp_sources_at(conf->sources, 0);
	if (conf->source_port != 0)
		local.port = (uint16_t)(conf->source_port + number);
	len = tp_addr_to_sockaddr(&local, &ss);
	fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		err(1, "socket %u", number);
	set_options(fd, local.family == TP_IPV6);
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		err(1, "bind to %s", tp_addr_format(&local, text));
	if (is_connected(crowd) &&
			connect(fd, (const struct sockaddr *)&crowd->server, crowd->server_len) < 0)
		err(1, "connect to %s", tp_addr_format(&conf->server, text));
	return fd;
}

static void open_sockets(struct tp_crowd *crowd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	crowd->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (crowd->epoll_fd < 0)
		err(1, "epoll");
	for (uint32_t i = 0; i < crowd->n_sockets; i++) {
		crowd->sockets[i] = open_socket(crowd, i);
		ev.data.u32 = i;
		if (epoll_ctl(crowd->epoll_fd, EPOLL_CTL_ADD, crowd->sockets[i], &ev) < 0)
			err(1, "epoll of socket %u", i);
	}
}

static void check(const struct tp_crowd *crowd)
{
	const struct tp_crowd_conf *conf = &crowd->conf;

	for (uint32_t i = 0; i < conf->sources->n; i++)
		if (conf->sources->prefix[i].base.family != conf->server.family)
			errx(1, "sources and server are of different families");
	if (conf->source_port != 0 && conf->source_port + crowd->n_sockets - 1 > UINT16_MAX)
		errx(1, "%u ports from port %u: there are not as many", crowd->n_sockets,
				conf->source_port);
}

static void prepare_in(struct in *in)
{
	for (int i = 0; i < BATCH; i++) {
		in->iov[i] = (struct iovec){ in->data[i], DATAGRAM_MAX };
		in->msg[i].msg_hdr = (struct msghdr){ .msg_iov = &in->iov[i], .msg_iovlen = 1 };
	}
}

struct tp_crowd *tp_crowd_new(const struct tp_crowd_conf *conf)
{
	struct tp_crowd *crowd = calloc(1, sizeof(*crowd));

	assert(conf->n_clients > 0);
	if (crowd == NULL)
		err(1, "%u clients", conf->n_clients);
	crowd->conf = *conf;
	crowd->server_len = tp_addr_to_sockaddr(&conf->server, &crowd->server);
	crowd->n_sources = tp_sources_count(conf->sources);
	crowd->n_sockets = (conf->n_clients - 1) / crowd->n_sources + 1;
	check(crowd);
	raise_file_limit(crowd->n_sockets + SPARE_FILES);
	crowd->members = calloc(conf->n_clients, sizeof(*crowd->members));
	crowd->sockets = calloc(crowd->n_sockets, sizeof(*crowd->sockets));
	if (crowd->members == NULL || crowd->sockets == NULL)
		err(1, "%u clients", conf->n_clients);
	LIST_INIT(&crowd->busy);
	prepare_in(&crowd->in);
	open_sockets(crowd);
	return crowd;
}

void tp_crowd_free(struct tp_crowd *crowd)
{
	for (uint32_t i = 0; i < crowd->n_sockets; i++)
		close(crowd->sockets[i]);
	close(crowd->epoll_fd);
	free(crowd->sockets);
	free(crowd->members);
	free(crowd);
}

/* ---- sending ---- */

/* The kernel tells a pending ICMP error instead of sending, once. */
static bool is_about_another(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
			error == EINTR;
}

static void flush(struct tp_crowd *crowd)
{
	struct out *out = &crowd->out;
	unsigned int at = 0;
	bool is_retry = false;
	int n;

	while (at < out->n) {
		n = sendmmsg(crowd->sockets[out->socket], out->msg + at, out->n - at, MSG_DONTWAIT);
		if (n > 0) {
			at += (unsigned int)n;
			is_retry = false;
		} else if (!is_retry && is_about_another(errno)) {
			is_retry = true;
		} else {
			/* Lost, as it might be on the way. */
			crowd->stats.send_errors++;
			at++;
			is_retry = false;
		}
	}
	out->n = 0;
}

static void set_pktinfo4(struct cmsghdr *c, const struct tp_addr *source)
{
	struct in_pktinfo info = { 0 };

	memcpy(&info.ipi_spec_dst, source->ip, sizeof(info.ipi_spec_dst));
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
}

static void set_pktinfo6(struct cmsghdr *c, const struct tp_addr *source)
{
	struct in6_pktinfo info = { 0 };

	memcpy(&info.ipi6_addr, source->ip, sizeof(info.ipi6_addr));
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
}

static void set_source(struct tp_crowd *crowd, struct msghdr *h, union control *control, uint32_t i)
{
	struct tp_addr source = tp_sources_at(crowd->conf.sources, i % crowd->n_sources);
	bool is_v6 = source.family == TP_IPV6;

	h->msg_name = &crowd->server;
	h->msg_namelen = crowd->server_len;
	h->msg_control = control->bytes;
	h->msg_controllen = is_v6 ? CMSG_SPACE(sizeof(struct in6_pktinfo))
				  : CMSG_SPACE(sizeof(struct in_pktinfo));
	if (is_v6)
		set_pktinfo6(&control->align, &source);
	else
		set_pktinfo4(&control->align, &source);
}

/* Where to write client i's next datagram; then it is queued. */
static uint8_t *reserve(struct tp_crowd *crowd, uint32_t i)
{
	uint32_t socket = i / crowd->n_sources;
	struct out *out = &crowd->out;

	if (out->n == BATCH || (out->n > 0 && out->socket != socket))
		flush(crowd);
	out->socket = socket;
	return out->data[out->n];
}

static void queue(struct tp_crowd *crowd, uint32_t i, size_t len)
{
	struct out *out = &crowd->out;
	struct msghdr *h = &out->msg[out->n].msg_hdr;

	out->iov[out->n] = (struct iovec){ out->data[out->n], len };
	*h = (struct msghdr){ .msg_iov = &out->iov[out->n], .msg_iovlen = 1 };
	if (!is_connected(crowd))
		set_source(crowd, h, &out->control[out->n], i);
	out->n++;
}

void tp_crowd_send(struct tp_crowd *crowd, uint32_t i, const uint8_t *data, size_t len)
{
	assert(len <= TP_CROWD_DATA_MAX);
	memcpy(reserve(crowd, i), data, len);
	queue(crowd, i, len);
}

/* ---- requests ---- */

static void transmit(struct tp_crowd *crowd, struct member *m, uint64_t now_ns)
{
	uint32_t i = index_of(crowd, m);

	m->retransmit_ns = now_ns + (RTO_NS << m->sent);
	m->sent++;
	crowd->stats.requests++;
	queue(crowd, i, tp_client_write(&m->client, crowd->conf.login, reserve(crowd, i)));
}

static void finish(struct tp_crowd *crowd, struct member *m, uint16_t code)
{
	LIST_REMOVE(m, entry);
	crowd->n_busy--;
	crowd->conf.ops->done(crowd->conf.ctx, index_of(crowd, m), code);
}

void tp_crowd_ask(struct tp_crowd *crowd, uint32_t i, const struct tp_request *request)
{
	struct member *m = &crowd->members[i];

	tp_client_start(&m->client, request, i);
	LIST_INSERT_HEAD(&crowd->busy, m, entry);
	crowd->n_busy++;
	m->sent = 0;
	transmit(crowd, m, tp_clock_coarse_ns());
}

static void scan(struct tp_crowd *crowd, uint64_t now_ns)
{
	struct member *m, *next;

	/* ops.done may begin requests: those are at the head, behind us. */
	for (m = LIST_FIRST(&crowd->busy); m != NULL; m = next) {
		next = LIST_NEXT(m, entry);
		if (m->retransmit_ns > now_ns)
			continue;
		if (m->sent < TRANSMISSIONS) {
			crowd->stats.retransmissions++;
			transmit(crowd, m, now_ns);
			continue;
		}
		crowd->stats.timeouts++;
		m->client.is_busy = false;
		finish(crowd, m, TP_CROWD_TIMEOUT);
	}
}

/* ---- receiving ---- */

static enum tp_answer read_answer(struct tp_crowd *crowd, const uint8_t *data, size_t len,
		struct member **m, uint16_t *code)
{
	uint32_t i;

	if (!tp_client_tag(data, len, &i) || i >= crowd->conf.n_clients)
		return TP_ANSWER_NONE;
	*m = &crowd->members[i];
	return tp_client_read(&(*m)->client, crowd->conf.login, data, len, code);
}

static void take(struct tp_crowd *crowd, uint32_t socket, const uint8_t *data, size_t len)
{
	struct member *m = NULL;
	uint16_t code = 0;

	switch (read_answer(crowd, data, len, &m, &code)) {
	case TP_ANSWER_NONE:
		if (crowd->conf.ops->data != NULL)
			crowd->conf.ops->data(crowd->conf.ctx, socket, data, len);
		return;
	case TP_ANSWER_AGAIN:
		crowd->stats.challenges++;
		m->sent = 0;
		transmit(crowd, m, tp_clock_coarse_ns());
		return;
	case TP_ANSWER_SUCCESS:
	case TP_ANSWER_ERROR:
		finish(crowd, m, code);
		return;
	}
}

static void receive(struct tp_crowd *crowd, uint32_t socket)
{
	struct in *in = &crowd->in;
	int i, n;

	n = recvmmsg(crowd->sockets[socket], in->msg, BATCH, MSG_DONTWAIT, NULL);
	for (i = 0; i < n; i++)
		take(crowd, socket, in->data[i], in->msg[i].msg_len);
}

void tp_crowd_poll(struct tp_crowd *crowd, int timeout_ms)
{
	struct epoll_event events[EVENTS];
	uint64_t now_ns;
	int i, n;

	flush(crowd);
	n = epoll_wait(crowd->epoll_fd, events, EVENTS, timeout_ms);
	for (i = 0; i < n; i++)
		receive(crowd, events[i].data.u32);
	now_ns = tp_clock_coarse_ns();
	if (now_ns < crowd->scan_ns)
		return;
	crowd->scan_ns = now_ns + SCAN_NS;
	scan(crowd, now_ns);
}

/* ---- looking ---- */

struct tp_client *tp_crowd_client(struct tp_crowd *crowd, uint32_t i)
{
	return &crowd->members[i].client;
}

struct tp_addr tp_crowd_local(const struct tp_crowd *crowd, uint32_t i)
{
	struct tp_addr bound, local = tp_sources_at(crowd->conf.sources, i % crowd->n_sources);
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(crowd->sockets[i / crowd->n_sources], (struct sockaddr *)&ss, &len) < 0 ||
			tp_addr_from_sockaddr((struct sockaddr *)&ss, &bound) < 0)
		err(1, "getsockname of client %u", i);
	local.port = bound.port;
	return local;
}

uint32_t tp_crowd_busy(const struct tp_crowd *crowd)
{
	return crowd->n_busy;
}

const struct tp_crowd_stats *tp_crowd_stats(const struct tp_crowd *crowd)
{
	return &crowd->stats;
}
