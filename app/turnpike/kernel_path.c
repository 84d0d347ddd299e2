/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_path.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/fragment.h"

#define BATCH 32
#define BATCHES_PER_ROUND 4 /* then the other sockets have their turn */
#define DATAGRAM_MAX 65536
#define CONTROL_MAX 256
#define SOCKET_BUFFER (4 << 20)
/* What every path carries (RFC 791, RFC 8200); smaller packets need no look at the route. */
#define IPV4_MTU_MIN 576
#define IPV6_MTU_MIN 1280

/* Newer than the libc headers of Debian 12 say, or absent from them. */
#ifndef IP_ORIGDSTADDR
#define IP_ORIGDSTADDR 20
#endif
#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

struct socket {
	struct tp_source source;
	struct tp_kernel_path *kp;
	struct tp_addr addr; /* a listener's; of a relay socket only the family */
	bool is_listener;
};

struct tp_kernel_path {
	struct tp_kernel_path_conf conf;
	struct socket *sockets; /* the listeners, then the relay sockets: IPv4, IPv6 */
	uint32_t n_sockets;
	int raw[2]; /* IPv4, IPv6; -1: the host has no such family */
	struct tp_sendq *sendq;
	struct tp_kernel_path_stats stats;
	uint32_t next_fragment_id;
	/* Receive batch. */
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_storage from[BATCH];
	alignas(struct cmsghdr) uint8_t control[BATCH][CONTROL_MAX];
	uint8_t (*data)[DATAGRAM_MAX];
	uint8_t scratch[DATAGRAM_MAX]; /* a packet that will be fragmented */
};

/* ---- receiving ---- */

/* What came with a datagram: TTL, traffic class and, on a relay socket, the original destination.
 */
static void read_control(struct msghdr *h, struct tp_ip_meta *meta, struct tp_addr *dst)
{
	struct cmsghdr *c;
	int v;

	*meta = (struct tp_ip_meta){ .ttl = 64 };
	for (c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		const void *data = CMSG_DATA(c);

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			meta->tclass = *(const uint8_t *)data;
			continue;
		}
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR) ||
				(c->cmsg_level == IPPROTO_IPV6 &&
						c->cmsg_type == IPV6_ORIGDSTADDR)) {
			tp_addr_from_sockaddr(data, dst);
			continue;
		}
		memcpy(&v, data, sizeof(v));
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
				(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT))
			meta->ttl = (uint8_t)v;
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
			meta->tclass = (uint8_t)v;
	}
}

static void count(struct tp_kernel_path *kp, enum tp_slow_verdict v)
{
	kp->stats.rx_pkts++;
	kp->stats.verdict[v]++;
}

static enum tp_slow_verdict deliver(struct socket *s, struct mmsghdr *m, const uint8_t *data)
{
	struct tp_kernel_path *kp = s->kp;
	struct tp_turn_packet packet = { .data = data, .len = m->msg_len };
	struct tp_tuple tuple = { .server = s->addr, .transport = TP_TURN_UDP };
	struct tp_addr from, dst = { 0 };

	read_control(&m->msg_hdr, &packet.meta, &dst);
	if (tp_addr_from_sockaddr(m->msg_hdr.msg_name, &from) < 0)
		return TP_SLOW_DROP_NOT_TURN;
	if (!s->is_listener)
		return kp->conf.from_peer(kp->conf.ctx, &dst, &from, &packet);
	tuple.client = from;
	return kp->conf.from_client(kp->conf.ctx, &tuple, &packet);
}

static void prepare_batch(struct tp_kernel_path *kp)
{
	for (int i = 0; i < BATCH; i++) {
		kp->iov[i] = (struct iovec){ kp->data[i], DATAGRAM_MAX };
		kp->msg[i].msg_hdr = (struct msghdr){
			.msg_name = &kp->from[i],
			.msg_namelen = sizeof(kp->from[i]),
			.msg_iov = &kp->iov[i],
			.msg_iovlen = 1,
			.msg_control = kp->control[i],
			.msg_controllen = CONTROL_MAX,
		};
	}
}

static void socket_ready(struct tp_source *source, uint32_t events)
{
	struct socket *s = (struct socket *)(void *)source; /* first member */
	struct tp_kernel_path *kp = s->kp;
	int n = BATCH;

	(void)events;
	for (int round = 0; round < BATCHES_PER_ROUND && n == BATCH; round++) {
		prepare_batch(kp);
		n = recvmmsg(s->source.fd, kp->msg, BATCH, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++)
			count(kp, deliver(s, &kp->msg[i], kp->data[i]));
	}
}

static enum tp_slow_verdict deliver_frame(
		struct tp_kernel_path *kp, const uint8_t *frame, uint32_t len)
{
	struct tp_turn_packet packet = { 0 };
	struct tp_tuple tuple = { .transport = TP_TURN_UDP };
	struct tp_addr src, dst;
	struct tp_udp_view view;

	if (tp_ip_parse_udp(frame, len, &view) != TP_FORWARD || !tp_ip_view_csum_ok(frame, &view))
		return TP_SLOW_DROP_BAD_FRAME;
	tp_ip_view_addrs(frame, &view, &src, &dst, &packet.meta);
	packet.data = frame + view.payload;
	packet.len = view.payload_len;
	if (dst.port >= kp->conf.relay_port_min && dst.port <= kp->conf.relay_port_max)
		return kp->conf.from_peer(kp->conf.ctx, &dst, &src, &packet);
	tuple.client = src;
	tuple.server = dst;
	return kp->conf.from_client(kp->conf.ctx, &tuple, &packet);
}

void tp_kernel_path_punt(struct tp_kernel_path *kp, const uint8_t *frame, uint32_t len)
{
	kp->stats.punted++;
	count(kp, deliver_frame(kp, frame, len));
}

/* ---- sending ---- */

static const struct socket *find_listener(
		const struct tp_kernel_path *kp, const struct tp_addr *addr)
{
	for (uint32_t i = 0; i < kp->conf.n_listeners; i++)
		if (tp_addr_equal(&kp->sockets[i].addr, addr))
			return &kp->sockets[i];
	return NULL;
}

int tp_kernel_path_send_client(struct tp_kernel_path *kp, const struct tp_tuple *tuple,
		const struct tp_bytes part[], size_t n, const struct tp_ip_meta *meta)
{
	const struct socket *s = find_listener(kp, &tuple->server);
	size_t i, len = 0;
	uint8_t *out;

	if (s == NULL)
		return -ENOTCONN;
	for (i = 0; i < n; i++)
		len += part[i].len;
	if (len > UINT16_MAX)
		return -EMSGSIZE;
	out = tp_sendq_reserve(kp->sendq, len);
	for (i = 0; i < n; i++) {
		if (part[i].len > 0)
			memcpy(out, part[i].data, part[i].len);
		out += part[i].len;
	}
	tp_sendq_commit(kp->sendq, s->source.fd, &tuple->client, NULL, meta);
	return 0;
}

static int send_fragments(struct tp_kernel_path *kp, const struct tp_addr *src,
		const struct tp_addr *dst, size_t len, uint16_t mtu)
{
	int fd = kp->raw[dst->family == TP_IPV6];
	struct tp_fragmenter f;
	uint8_t fragment[DATAGRAM_MAX];
	size_t n;
	int rc;

	if (++kp->next_fragment_id % 65536 == 0)
		kp->next_fragment_id++; /* IPv4 has 16 bits of it, and 0 asks the kernel for one */
	rc = tp_fragment_begin(&f, kp->scratch, len, mtu, kp->next_fragment_id);
	if (rc < 0)
		return rc;
	while ((n = tp_fragment_next(&f, fragment)) > 0) {
		memcpy(tp_sendq_reserve(kp->sendq, n), fragment, n);
		tp_sendq_commit(kp->sendq, fd, dst, src, NULL);
		kp->stats.fragments++;
	}
	return 0;
}

int tp_kernel_path_send_peer(struct tp_kernel_path *kp, const struct tp_addr *relay_local,
		const struct tp_addr *peer, const struct tp_turn_packet *packet)
{
	bool is_v6 = peer->family == TP_IPV6;
	size_t hdr = (is_v6 ? TP_IPV6_LEN : TP_IPV4_LEN) + TP_UDP_LEN, len = hdr + packet->len;
	struct tp_addr to = *peer;
	uint16_t mtu = is_v6 ? IPV6_MTU_MIN : IPV4_MTU_MIN;
	uint8_t *out;

	to.port = 0; /* a raw socket's address has none */
	if (kp->raw[is_v6] < 0)
		return -EAFNOSUPPORT;
	if (len > UINT16_MAX)
		return -EMSGSIZE;
	if (len > mtu)
		mtu = kp->conf.mtu(kp->conf.ctx, relay_local, peer);
	if (len > mtu && packet->meta.is_df)
		return -EMSGSIZE;
	out = len > mtu ? kp->scratch : tp_sendq_reserve(kp->sendq, len);
	if (tp_ip_build_udp(out, relay_local, peer, &packet->meta, packet->data, packet->len) == 0)
		return -EMSGSIZE;
	if (packet->len > 0)
		memcpy(out + hdr, packet->data, packet->len);
	if (len > mtu)
		return send_fragments(kp, relay_local, &to, len, mtu);
	tp_sendq_commit(kp->sendq, kp->raw[is_v6], &to, relay_local, NULL);
	return 0;
}

void tp_kernel_path_flush(struct tp_kernel_path *kp)
{
	tp_sendq_flush(kp->sendq);
}

void tp_kernel_path_stats(const struct tp_kernel_path *kp, struct tp_kernel_path_stats *out)
{
	*out = kp->stats;
	tp_sendq_stats(kp->sendq, &out->send);
}

/* ---- set-up ---- */

static void set_buffers(int fd)
{
	const int size = SOCKET_BUFFER;

	/* More than rmem_max needs CAP_NET_ADMIN; without it the limit will do. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* Sockets options are a table: level, option, value. */
struct option {
	int level, name, value;
};

static const struct option udp4_options[] = {
	{ IPPROTO_IP, IP_RECVTTL, 1 },
	{ IPPROTO_IP, IP_RECVTOS, 1 },
	{ IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT },
};

static const struct option udp6_options[] = {
	{ IPPROTO_IPV6, IPV6_V6ONLY, 1 },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1 },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, 1 },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT },
};

static const struct option relay4_options[] = {
	{ IPPROTO_IP, IP_RECVORIGDSTADDR, 1 },
	{ IPPROTO_IP, IP_FREEBIND, 1 },
};

static const struct option relay6_options[] = {
	{ IPPROTO_IPV6, IPV6_ORIGDSTADDR, 1 },
	{ IPPROTO_IPV6, IPV6_FREEBIND, 1 },
};

static int set_options(int fd, const struct option options[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
				    sizeof(options[i].value)) < 0)
			return -errno;
	return 0;
}

#define N_OPTIONS(table) (sizeof(table) / sizeof((table)[0]))

static int open_udp(bool is_v6, bool is_relay)
{
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	set_buffers(fd);
	rc = is_v6 ? set_options(fd, udp6_options, N_OPTIONS(udp6_options))
		   : set_options(fd, udp4_options, N_OPTIONS(udp4_options));
	if (rc == 0 && is_relay)
		rc = is_v6 ? set_options(fd, relay6_options, N_OPTIONS(relay6_options))
			   : set_options(fd, relay4_options, N_OPTIONS(relay4_options));
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

static int open_socket(struct tp_kernel_path *kp, struct socket *s, const struct tp_addr *addr)
{
	struct sockaddr_storage ss;
	socklen_t len = tp_addr_to_sockaddr(addr, &ss);
	int rc;

	s->source.fd = open_udp(addr->family == TP_IPV6, !s->is_listener);
	if (s->source.fd < 0)
		return s->source.fd;
	s->source.ready = socket_ready;
	s->kp = kp;
	s->addr = *addr;
	rc = bind(s->source.fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
	if (rc == 0)
		rc = tp_loop_add(kp->conf.loop, &s->source, EPOLLIN);
	if (rc < 0) {
		close(s->source.fd);
		s->source.fd = -1;
	}
	return rc;
}

static int explain_listener(struct tp_why *why, int err, const struct tp_addr *addr)
{
	char text[TP_ADDR_STRLEN];
	const char *hint = strerror(-err);

	if (err == -EADDRNOTAVAIL)
		hint = "this address is not on this host; see `ip address`";
	else if (err == -EADDRINUSE)
		hint = "another program uses this address and port; see `ss -ulpn`";
	else if (err == -EACCES)
		hint = "ports below 1024 need CAP_NET_BIND_SERVICE";
	return tp_why_set(why, err, "listen %s: %s", tp_addr_format(addr, text), hint);
}

static int open_listeners(struct tp_kernel_path *kp, struct tp_why *why)
{
	for (uint32_t i = 0; i < kp->conf.n_listeners; i++) {
		struct socket *s = &kp->sockets[kp->n_sockets++];
		int rc;

		s->is_listener = true;
		rc = open_socket(kp, s, &kp->conf.listeners[i]);
		if (rc < 0)
			return explain_listener(why, rc, &kp->conf.listeners[i]);
	}
	return 0;
}

/*
 * The relay sockets are bound where nothing arrives by itself: sk_lookup gives them their
 * datagrams.  A host without IPv6 goes without that one.
 */
static int open_relay_sockets(struct tp_kernel_path *kp, struct tp_why *why)
{
	static const uint8_t loopback4[4] = { 127, 0, 0, 1 }, loopback6[16] = { [15] = 1 };
	const struct tp_addr addr[2] = { tp_addr_v4(loopback4, 0), tp_addr_v6(loopback6, 0) };

	for (int i = 0; i < 2; i++) {
		int rc = open_socket(kp, &kp->sockets[kp->n_sockets++], &addr[i]);

		if (rc < 0 && (i == 0 || (rc != -EAFNOSUPPORT && rc != -EADDRNOTAVAIL)))
			return tp_why_set(why, rc,
					"can not open the IPv%d socket for relayed ports: %s",
					i ? 6 : 4, strerror(-rc));
	}
	return 0;
}

static int open_raw(struct tp_kernel_path *kp, struct tp_why *why)
{
	/* IPPROTO_RAW: the kernel takes our headers as they are. */
	kp->raw[0] = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
	if (kp->raw[0] < 0)
		return tp_why_set(why, -errno, "can not open a raw socket: %s%s", strerror(errno),
				errno == EPERM ? "; run as root or with CAP_NET_RAW" : "");
	kp->raw[1] = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
	for (int i = 0; i < 2; i++)
		if (kp->raw[i] >= 0)
			set_buffers(kp->raw[i]);
	return 0;
}

int tp_kernel_path_new(const struct tp_kernel_path_conf *conf, struct tp_kernel_path **out,
		struct tp_why *why)
{
	struct tp_kernel_path *kp = calloc(1, sizeof(*kp));
	int rc = -ENOMEM;

	if (kp == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	kp->conf = *conf;
	kp->raw[0] = kp->raw[1] = -1;
	kp->sockets = calloc(conf->n_listeners + 2, sizeof(*kp->sockets));
	kp->data = malloc(BATCH * sizeof(*kp->data));
	if (kp->sockets != NULL && kp->data != NULL)
		rc = tp_sendq_new(&kp->sendq);
	if (rc < 0)
		tp_why_set(why, rc, "out of memory");
	if (rc == 0)
		rc = open_raw(kp, why);
	if (rc == 0)
		rc = open_listeners(kp, why);
	if (rc == 0)
		rc = open_relay_sockets(kp, why);
	if (rc < 0) {
		tp_kernel_path_free(kp);
		return rc;
	}
	*out = kp;
	return 0;
}

void tp_kernel_path_free(struct tp_kernel_path *kp)
{
	if (kp == NULL)
		return;
	assert(kp->n_sockets == 0 || kp->sockets != NULL);
	for (uint32_t i = 0; i < kp->n_sockets; i++) {
		if (kp->sockets[i].source.fd < 0)
			continue;
		tp_loop_remove(kp->conf.loop, &kp->sockets[i].source);
		close(kp->sockets[i].source.fd);
	}
	for (int i = 0; i < 2; i++)
		if (kp->raw[i] >= 0)
			close(kp->raw[i]);
	tp_sendq_free(kp->sendq);
	free(kp->sockets);
	free(kp->data);
	free(kp);
}

int tp_kernel_path_relay_fd(const struct tp_kernel_path *kp, enum tp_family family)
{
	return kp->sockets[kp->conf.n_listeners + (family == TP_IPV6)].source.fd;
}
