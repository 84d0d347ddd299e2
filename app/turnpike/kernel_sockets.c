/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_path_private.h"

#include <errno.h>
#include <linux/icmp.h>
#include <linux/sock_diag.h>
#include <netinet/icmp6.h>
#include <string.h>
#include <unistd.h>

#include "header_filter.h"
#include "wire/icmp.h"

#define SOCKET_BUFFER (4 << 20)
/* Errors are few; of a storm of them this much is looked at. */
#define ICMP_BUFFER (256 << 10)

static void set_buffers(int fd, int size)
{
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
	{ IPPROTO_IPV6, IPV6_FLOWINFO, 1 },
	{ IPPROTO_IPV6, IPV6_RECVFRAGSIZE, 1 },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT },
};

static const struct option given4_options[] = {
	{ IPPROTO_IP, IP_RECVORIGDSTADDR, 1 },
	{ IPPROTO_IP, IP_FREEBIND, 1 },
};

static const struct option given6_options[] = {
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

static int set_udp_options(int fd, bool is_v6, bool is_given)
{
	int rc = is_v6 ? set_options(fd, udp6_options, N_OPTIONS(udp6_options))
		       : set_options(fd, udp4_options, N_OPTIONS(udp4_options));

	if (rc == 0 && is_given)
		rc = is_v6 ? set_options(fd, given6_options, N_OPTIONS(given6_options))
			   : set_options(fd, given4_options, N_OPTIONS(given4_options));
	if (rc == 0 && !is_v6)
		rc = tp_header_filter_divert(fd);
	return rc;
}

/* ---- one of each kind; each returns a descriptor or -errno ---- */

/* is_given: by sk_lookup, and must say what each datagram was for */
static int open_udp(const struct tp_addr *addr, bool is_given)
{
	bool is_v6 = addr->family == TP_IPV6;
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss;
	socklen_t len = tp_addr_to_sockaddr(addr, &ss);
	int rc;

	if (fd < 0)
		return -errno;
	set_buffers(fd, SOCKET_BUFFER);
	rc = set_udp_options(fd, is_v6, is_given);
	if (rc == 0 && bind(fd, (struct sockaddr *)&ss, len) < 0)
		rc = -errno;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

static int open_header(const struct tp_kernel_path *kp)
{
	const struct tp_header_filter_conf fc = {
		.listeners = kp->conf.listeners,
		.n_listeners = kp->conf.n_listeners,
		.relays = kp->conf.relays,
		.n_relays = kp->conf.n_relays,
		.relay_port_min = kp->conf.relay_port_min,
		.relay_port_max = kp->conf.relay_port_max,
	};
	int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	int rc;

	if (fd < 0)
		return -errno;
	set_buffers(fd, SOCKET_BUFFER);
	rc = tp_header_filter_take(fd, &fc);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

/* The kernel leaves out what is no error that concerns us. */
static int open_icmp(bool is_v6)
{
	const struct icmp_filter filter4 = { ~(
			1u << TP_ICMP4_UNREACHABLE | 1u << TP_ICMP4_TIME_EXCEEDED) };
	struct icmp6_filter filter6;
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	int rc;

	if (fd < 0)
		return -errno;
	set_buffers(fd, ICMP_BUFFER);
	ICMP6_FILTER_SETBLOCKALL(&filter6);
	ICMP6_FILTER_SETPASS(TP_ICMP6_UNREACHABLE, &filter6);
	ICMP6_FILTER_SETPASS(TP_ICMP6_TOO_BIG, &filter6);
	ICMP6_FILTER_SETPASS(TP_ICMP6_TIME_EXCEEDED, &filter6);
	rc = is_v6 ? setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter6, sizeof(filter6))
		   : setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter4, sizeof(filter4));
	if (rc < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static int open_fd(const struct tp_kernel_path *kp, const struct tp_kernel_socket *s)
{
	switch (s->kind) {
	case TP_KERNEL_LISTENER:
		return open_udp(&s->addr, false);
	case TP_KERNEL_CLIENTS:
	case TP_KERNEL_RELAY:
		return open_udp(&s->addr, true);
	case TP_KERNEL_HEADER:
		return open_header(kp);
	case TP_KERNEL_ICMP:
		return open_icmp(s->addr.family == TP_IPV6);
	}
	return -EINVAL;
}

/* ---- all of them ---- */

static int open_socket(struct tp_kernel_path *kp, enum tp_kernel_socket_kind kind,
		const struct tp_addr *addr, void (*ready)(struct tp_source *, uint32_t))
{
	struct tp_kernel_socket *s = &kp->sockets[kp->n_sockets++];
	int rc;

	*s = (struct tp_kernel_socket){
		.source = { -1, ready },
		.kp = kp,
		.kind = kind,
		.addr = *addr,
	};
	s->source.fd = open_fd(kp, s);
	if (s->source.fd < 0) {
		rc = s->source.fd;
		s->source.fd = -1;
		return rc;
	}
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

/*
 * The sockets of relayed ports and of clients are bound where nothing arrives by itself: sk_lookup
 * gives them their datagrams.  A host without IPv6 goes without its sockets.
 */
static int open_others(struct tp_kernel_path *kp, void (*ready)(struct tp_source *, uint32_t),
		struct tp_why *why)
{
	static const uint8_t loopback4[4] = { 127, 0, 0, 1 }, loopback6[16] = { [15] = 1 };
	const struct tp_addr any[2] = { tp_addr_v4(loopback4, 0), tp_addr_v6(loopback6, 0) };
	const struct {
		enum tp_kernel_socket_kind kind;
		bool is_v6;
		const char *what;
	} others[TP_KERNEL_OTHERS] = {
		[TP_KERNEL_CLIENTS4_AT] = { TP_KERNEL_CLIENTS, false, "clients" },
		[TP_KERNEL_CLIENTS6_AT] = { TP_KERNEL_CLIENTS, true, "clients" },
		[TP_KERNEL_RELAY4_AT] = { TP_KERNEL_RELAY, false, "relayed ports" },
		[TP_KERNEL_RELAY6_AT] = { TP_KERNEL_RELAY, true, "relayed ports" },
		[TP_KERNEL_HEADER4_AT] = { TP_KERNEL_HEADER, false, "large datagrams" },
		[TP_KERNEL_ICMP4_AT] = { TP_KERNEL_ICMP, false, "ICMP errors" },
		[TP_KERNEL_ICMP6_AT] = { TP_KERNEL_ICMP, true, "ICMP errors" },
	};

	for (int i = 0; i < TP_KERNEL_OTHERS; i++) {
		int rc = open_socket(kp, others[i].kind, &any[others[i].is_v6], ready);

		if (rc < 0 && (!others[i].is_v6 || (rc != -EAFNOSUPPORT && rc != -EADDRNOTAVAIL)))
			return tp_why_set(why, rc, "can not open the IPv%d socket for %s: %s",
					others[i].is_v6 ? 6 : 4, others[i].what, strerror(-rc));
	}
	return 0;
}

static int open_listeners(struct tp_kernel_path *kp, void (*ready)(struct tp_source *, uint32_t),
		struct tp_why *why)
{
	for (uint32_t i = 0; i < kp->conf.n_listeners; i++) {
		int rc = open_socket(kp, TP_KERNEL_LISTENER, &kp->conf.listeners[i], ready);

		if (rc < 0)
			return explain_listener(why, rc, &kp->conf.listeners[i]);
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
			set_buffers(kp->raw[i], SOCKET_BUFFER);
	return 0;
}

int tp_kernel_sockets_open(struct tp_kernel_path *kp, void (*ready)(struct tp_source *, uint32_t),
		struct tp_why *why)
{
	int rc = open_raw(kp, why);

	if (rc == 0)
		rc = open_listeners(kp, ready, why);
	if (rc == 0)
		rc = open_others(kp, ready, why);
	return rc;
}

struct tp_kernel_socket *tp_kernel_listener(
		const struct tp_kernel_path *kp, const struct tp_addr *addr)
{
	for (uint32_t i = 0; i < kp->conf.n_listeners; i++)
		if (tp_addr_equal(&kp->conf.listeners[i], addr))
			return &kp->sockets[i];
	return NULL;
}

int tp_kernel_path_fd(const struct tp_kernel_path *kp, enum tp_kernel_socket_kind kind,
		enum tp_family family)
{
	for (uint32_t i = 0; i < TP_KERNEL_OTHERS; i++) {
		const struct tp_kernel_socket *s = tp_kernel_socket_at(kp, i);

		if (s->kind == kind && s->addr.family == family)
			return s->source.fd;
	}
	return -1;
}

/* ---- what they count ---- */

const char *tp_kernel_socket_name(enum tp_kernel_socket_kind kind)
{
	static const char *const name[] = {
#define X(symbol, text, help) [TP_KERNEL_##symbol] = (text),
		TP_KERNEL_SOCKETS(X)
#undef X
	};

	return name[kind];
}

static void read_unqueued(struct tp_kernel_socket *s)
{
	uint32_t meminfo[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(meminfo);

	if (s->source.fd < 0 || getsockopt(s->source.fd, SOL_SOCKET, SO_MEMINFO, meminfo, &len) < 0)
		return;
	s->unqueued += meminfo[SK_MEMINFO_DROPS] - s->kernel_last;
	s->kernel_last = meminfo[SK_MEMINFO_DROPS];
}

void tp_kernel_path_tick(struct tp_kernel_path *kp)
{
	for (uint32_t i = 0; i < kp->n_sockets; i++)
		read_unqueued(&kp->sockets[i]);
}

bool tp_kernel_path_socket(
		struct tp_kernel_path *kp, uint32_t i, struct tp_kernel_socket_stats *out)
{
	struct tp_kernel_socket *s = &kp->sockets[i];

	if (i >= kp->n_sockets)
		return false;
	read_unqueued(s);
	*out = (struct tp_kernel_socket_stats){
		.kind = s->kind,
		.addr = s->addr,
		.rx_pkts = s->rx_pkts,
		/* What waits in the header socket is not in diverted yet; what it lost never. */
		.dropped = s->unqueued > s->diverted ? s->unqueued - s->diverted : 0,
	};
	return true;
}

void tp_kernel_sockets_close(struct tp_kernel_path *kp)
{
	for (uint32_t i = 0; i < kp->n_sockets; i++) {
		if (kp->sockets[i].source.fd < 0)
			continue;
		tp_loop_remove(kp->conf.loop, &kp->sockets[i].source);
		close(kp->sockets[i].source.fd);
	}
	for (int i = 0; i < 2; i++)
		if (kp->raw[i] >= 0)
			close(kp->raw[i]);
}
