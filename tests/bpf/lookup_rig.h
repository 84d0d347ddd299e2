/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup_rig - the sk_lookup program, run alone by BPF_PROG_TEST_RUN, and attached in a namespace
 * of the test's own, where frames arrive on a veth: the relay's sockets and the clients', which
 * are bound to the loopback address and tell where a datagram was sent.
 */
#ifndef TP_TESTS_LOOKUP_RIG_H
#define TP_TESTS_LOOKUP_RIG_H

#include "../lab.h"

#include "bpf/clients.h"
#include "bpf/steer.h"
#include "io/steer.h"
#include "io/steer_conf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <relay_lookup.skel.h>

#include <poll.h>
#include <stdio.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

#define RELAY4 "192.0.2.1"
#define RELAY6 "2001:db8::1"
#define OTHER4 "192.0.2.2" /* local, no relay address */
#define PEER4 "198.51.100.7"
#define PEER6 "2001:db8:1::7"

#define ALLOCATED 50000
#define FAST_ONLY 50001
#define FREE 50002
#define LISTENER 3478
#define NO_LISTENER 3479

#define NEAR "near"
#define FAR "far"

/* --- the program alone --- */

/* Which of two sockets is to be chosen. */
enum choice {
	NONE,
	SOCKET4,
	SOCKET6,
};

static inline int udp_socket(int family, uint16_t port)
{
	const struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(family == AF_INET ? bind(fd, (const struct sockaddr *)&in, sizeof(in))
					   : bind(fd, (const struct sockaddr *)&in6, sizeof(in6)),
			0);
	return fd;
}

static inline uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static inline void set_addr(struct tp_bpf_addr *out, const char *text, uint8_t relay)
{
	out->is_v6 = strchr(text, ':') != NULL;
	out->relay = relay;
	assert_int_equal(inet_pton(out->is_v6 ? AF_INET6 : AF_INET, text, out->ip), 1);
}

#define BUCKETS 512

static inline struct relay_lookup_bpf *rig_load(void)
{
	struct relay_lookup_bpf *skel = relay_lookup_bpf__open();
	struct tp_bpf_ports *ports = calloc(1, sizeof(*ports));
	struct tp_bpf_conf conf = {
		.n_addrs = 3,
		.n_listeners = 3,
		.listener = { { htons(LISTENER), 0, 0 }, { htons(LISTENER), 1, 0 },
				{ htons(LISTENER), 2, 0 } },
		.channel_first_byte_max = 0x4f,
	};
	uint32_t relay;

	assert_non_null(skel);
	assert_non_null(ports);
	set_addr(&conf.addr[0], OTHER4, TP_BPF_NO_RELAY);
	set_addr(&conf.addr[1], RELAY4, 0);
	set_addr(&conf.addr[2], RELAY6, 1);
	skel->rodata->conf = conf;
	assert_int_equal(tp_steer_conf_index(&skel->rodata->conf), 0);
	skel->rodata->clients_conf = (struct tp_bpf_clients){ { 1, 2 }, BUCKETS - 1, 0 };
	assert_int_equal(bpf_map__set_max_entries(skel->maps.clients, BUCKETS), 0);
	assert_int_equal(relay_lookup_bpf__load(skel), 0);

	ports->allocated[ALLOCATED >> 6] |= 1ull << (ALLOCATED & 63);
	ports->allocated[65535 >> 6] |= 1ull << (65535 & 63);
	ports->fast[FAST_ONLY >> 6] |= 1ull << (FAST_ONLY & 63);
	for (relay = 0; relay < 2; relay++)
		assert_int_equal(bpf_map_update_elem(
						 bpf_map__fd(skel->maps.ports), &relay, ports, 0),
				0);
	free(ports);
	return skel;
}

static inline void set_socket(const struct bpf_map *map, uint32_t index, int fd)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &index, &fd, 0), 0);
}

/* @return the cookie of the socket chosen, 0: none */
static inline uint64_t rig_run_from(const struct relay_lookup_bpf *skel, int family, int protocol,
		const char *remote, uint16_t remote_port, const char *local, uint16_t port)
{
	struct bpf_sk_lookup in = {
		.family = (__u32)family,
		.protocol = (__u32)protocol,
		.local_port = port,
		.remote_port = htons(remote_port),
	};
	struct bpf_sk_lookup out;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &in, .ctx_size_in = sizeof(in),
			.ctx_out = &out, .ctx_size_out = sizeof(out));

	assert_int_equal(inet_pton(family, local,
					 family == AF_INET ? (void *)&in.local_ip4 : in.local_ip6),
			1);
	assert_int_equal(
			inet_pton(family, remote,
					family == AF_INET ? (void *)&in.remote_ip4 : in.remote_ip6),
			1);
	assert_int_equal(
			bpf_prog_test_run_opts(bpf_program__fd(skel->progs.tp_relay_lookup), &opts),
			0);
	assert_int_equal(opts.retval, SK_PASS); /* never SK_DROP */
	return out.cookie;
}

/* --- in the kernel's receive path --- */

struct rig {
	struct tp_steer *steer;
	int fd4, fd6;           /* the relay's sockets */
	int clients4, clients6; /* those of clients */
	int wire;
};

static inline void set_on(int fd, int level, int option)
{
	const int one = 1;

	assert_int_equal(setsockopt(fd, level, option, &one, sizeof(one)), 0);
}

static inline int telling_socket(int family, uint16_t port)
{
	int fd = udp_socket(family, port);

	if (family == AF_INET) {
		set_on(fd, IPPROTO_IP, IP_RECVORIGDSTADDR);
		set_on(fd, IPPROTO_IP, IP_RECVTTL);
		set_on(fd, IPPROTO_IP, IP_RECVTOS);
	} else {
		set_on(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR);
		set_on(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
		set_on(fd, IPPROTO_IPV6, IPV6_RECVTCLASS);
	}
	return fd;
}

#define MAX_CLIENTS 1000

/* For main(): in a namespace where the kernel tells of every closed port. */
static inline bool rig_enter(void)
{
	if (!lab_enter())
		return false;
	lab_run("echo 0 > /proc/sys/net/ipv4/icmp_ratelimit");
	lab_run("echo 0 > /proc/sys/net/ipv6/icmp/ratelimit");
	return true;
}

static inline int rig_set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct tp_addr relays[2], listeners[2];
	const struct tp_steer_conf conf = {
		.listeners = listeners,
		.n_listeners = 2,
		.relays = relays,
		.n_relays = 2,
		.max_clients = MAX_CLIENTS,
	};
	struct tp_why why = { "" };

	assert_int_equal(tp_addr_parse(RELAY4, 0, &relays[0]), 0);
	assert_int_equal(tp_addr_parse(RELAY6, 0, &relays[1]), 0);
	assert_int_equal(tp_addr_parse(OTHER4, LISTENER, &listeners[0]), 0);
	assert_int_equal(tp_addr_parse(RELAY6, LISTENER, &listeners[1]), 0);
	lab_veth(NEAR, FAR);
	lab_run("ip addr add " RELAY4 "/24 dev " NEAR " && ip addr add " OTHER4 "/24 dev " NEAR);
	lab_run("ip addr add " RELAY6 "/64 dev " NEAR " nodad");
	lab_run("ip route add 198.51.100.0/24 via 192.0.2.254 && ip neigh add 192.0.2.254 lladdr "
		"02:00:00:00:00:02 dev " NEAR);
	lab_run("ip route add 2001:db8:1::/64 via 2001:db8::fe && ip neigh add 2001:db8::fe lladdr "
		"02:00:00:00:00:02 dev " NEAR);
	rig->wire = lab_wire(FAR);

	rig->fd4 = telling_socket(AF_INET, 4000);
	rig->fd6 = telling_socket(AF_INET6, 4000);
	rig->clients4 = telling_socket(AF_INET, 4001);
	rig->clients6 = telling_socket(AF_INET6, 4001);

	assert_int_equal(tp_steer_new(&conf, &rig->steer, &why), 0);
	assert_int_equal(tp_steer_set_relay_sockets(rig->steer, rig->fd4, rig->fd6, &why), 0);
	*state = rig;
	return 0;
}

static inline int rig_tear_down(void **state)
{
	struct rig *rig = *state;

	tp_steer_free(rig->steer);
	close(rig->fd4);
	close(rig->fd6);
	close(rig->clients4);
	close(rig->clients6);
	close(rig->wire);
	free(rig);
	lab_run("ip link del " NEAR);
	return 0;
}

/* What the relay's socket tells about a datagram. */
struct received {
	ssize_t len;
	uint8_t payload[LAB_FRAME_MAX];
	struct tp_addr from, to;
	int ttl, tos;
};

static inline bool receive(int fd, struct received *got)
{
	uint64_t control[64];
	struct sockaddr_storage from;
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	struct iovec iov = { got->payload, sizeof(got->payload) };
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;

	memset(got->payload, 0, sizeof(got->payload));
	if (poll(&ready, 1, 200) != 1)
		return false;
	got->ttl = got->tos = -1;
	got->len = recvmsg(fd, &msg, MSG_DONTWAIT);
	assert_true(got->len >= 0);
	assert_int_equal(tp_addr_from_sockaddr((const struct sockaddr *)&from, &got->from), 0);
	for (c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		bool is_v6 = c->cmsg_level == IPPROTO_IPV6;

		if (c->cmsg_type == (is_v6 ? IPV6_ORIGDSTADDR : IP_ORIGDSTADDR))
			assert_int_equal(
					tp_addr_from_sockaddr((const void *)CMSG_DATA(c), &got->to),
					0);
		else if (c->cmsg_type == (is_v6 ? IPV6_HOPLIMIT : IP_TTL))
			got->ttl = *CMSG_DATA(c);
		else if (c->cmsg_type == (is_v6 ? IPV6_TCLASS : IP_TOS))
			got->tos = *CMSG_DATA(c);
	}
	return true;
}

static inline void expect(int fd, const struct lab_udp *udp)
{
	struct received got;
	struct tp_addr from, to;

	assert_int_equal(tp_addr_parse(udp->src, udp->sport, &from), 0);
	assert_int_equal(tp_addr_parse(udp->dst, udp->dport, &to), 0);
	assert_true(receive(fd, &got));
	assert_int_equal(got.len, udp->payload_len);
	assert_memory_equal(got.payload, udp->payload, udp->payload_len);
	assert_true(tp_addr_equal(&got.from, &from));
	assert_true(tp_addr_equal(&got.to, &to)); /* where it was sent, not where fd is bound */
	assert_int_equal(got.ttl, 61);
	assert_int_equal(got.tos, 0x28);
}

#define rig_test(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

#endif
