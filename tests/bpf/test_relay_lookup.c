/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sk_lookup: its choice for every kind of lookup by BPF_PROG_TEST_RUN, then what the kernel path
 * builds on it, with frames on a veth: a socket bound to the loopback address receives for every
 * allocated port of the relay addresses and learns which, another for every client that has an
 * allocation, and other ports and other clients are as without us.
 */
#include "../lab.h"

#include "bpf/clients.h"
#include "bpf/steer.h"
#include "io/client_filter.h"
#include "io/steer.h"
#include "io/steer_conf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <relay_lookup.skel.h>

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>

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

enum choice {
	NONE,
	SOCKET4,
	SOCKET6,
};

static const struct {
	const char *what;
	int family;
	int protocol;
	const char *local;
	uint16_t port;
	enum choice want;
} cases[] = {
	{ "allocated", AF_INET, IPPROTO_UDP, RELAY4, ALLOCATED, SOCKET4 },
	{ "allocated, IPv6", AF_INET6, IPPROTO_UDP, RELAY6, ALLOCATED, SOCKET6 },
	{ "allocated, last port", AF_INET, IPPROTO_UDP, RELAY4, 65535, SOCKET4 },
	{ "fast alone means nothing here", AF_INET, IPPROTO_UDP, RELAY4, FAST_ONLY, NONE },
	{ "free", AF_INET, IPPROTO_UDP, RELAY4, FREE, NONE },
	{ "free, IPv6", AF_INET6, IPPROTO_UDP, RELAY6, FREE, NONE },
	{ "one above", AF_INET, IPPROTO_UDP, RELAY4, ALLOCATED + 1, NONE },
	{ "64 above", AF_INET, IPPROTO_UDP, RELAY4, ALLOCATED + 64, NONE },
	{ "byte-swapped port", AF_INET, IPPROTO_UDP, RELAY4, 0x50c3, NONE },
	{ "TCP", AF_INET, IPPROTO_TCP, RELAY4, ALLOCATED, NONE },
	{ "TCP, IPv6", AF_INET6, IPPROTO_TCP, RELAY6, ALLOCATED, NONE },
	{ "listener's address", AF_INET, IPPROTO_UDP, OTHER4, ALLOCATED, NONE },
	{ "foreign address", AF_INET, IPPROTO_UDP, "192.0.2.99", ALLOCATED, NONE },
	{ "foreign IPv6 address", AF_INET6, IPPROTO_UDP, "2001:db8::2", ALLOCATED, NONE },
	{ "loopback", AF_INET, IPPROTO_UDP, "127.0.0.1", ALLOCATED, NONE },
};

static int udp_socket(int family, uint16_t port)
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

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static void set_addr(struct tp_bpf_addr *out, const char *text, uint8_t relay)
{
	out->is_v6 = strchr(text, ':') != NULL;
	out->relay = relay;
	assert_int_equal(inet_pton(out->is_v6 ? AF_INET6 : AF_INET, text, out->ip), 1);
}

#define BUCKETS 512

static struct relay_lookup_bpf *load(void)
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

static void set_socket(const struct bpf_map *map, uint32_t index, int fd)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &index, &fd, 0), 0);
}

/* @return the cookie of the socket chosen, 0: none */
static uint64_t run_from(const struct relay_lookup_bpf *skel, int family, int protocol,
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

static uint64_t run(const struct relay_lookup_bpf *skel, int family, int protocol,
		const char *local, uint16_t port)
{
	return run_from(skel, family, protocol, family == AF_INET ? PEER4 : PEER6, 40000, local,
			port);
}

static void choices(void **state)
{
	struct relay_lookup_bpf *skel = load();
	int fd4 = udp_socket(AF_INET, 4000), fd6 = udp_socket(AF_INET6, 4000);
	const uint64_t cookie[] = { 0, cookie_of(fd4), cookie_of(fd6) };
	size_t i, failed = 0;

	(void)state;
	/* Without sockets nothing is chosen. */
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(run(skel, cases[i].family, cases[i].protocol, cases[i].local,
						 cases[i].port),
				0);

	set_socket(skel->maps.relay_sockets, 0, fd4);
	set_socket(skel->maps.relay_sockets, 1, fd6);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (run(skel, cases[i].family, cases[i].protocol, cases[i].local, cases[i].port) !=
				cookie[cases[i].want]) {
			print_error("%s: not the socket wanted\n", cases[i].what);
			failed++;
		}
	}
	assert_int_equal(failed, 0);

	close(fd4);
	assert_int_equal(run(skel, AF_INET, IPPROTO_UDP, RELAY4, ALLOCATED), 0);
	close(fd6);
	relay_lookup_bpf__destroy(skel);
}

#define CLIENT4 "203.0.113.9"
#define CLIENT6 "2001:db8:2::9"

/* What is in the filter: address and port, index of the server's address, its port. */
static const struct {
	int family;
	const char *ip;
	uint16_t port;
	uint32_t addr;
	uint16_t server_port;
} known[] = {
	{ AF_INET, CLIENT4, 40000, 0, LISTENER },
	{ AF_INET, CLIENT4, 40001, 1, LISTENER },
	{ AF_INET6, CLIENT6, 40000, 2, LISTENER },
	{ AF_INET, CLIENT4, 40000, 0, NO_LISTENER },
	{ AF_INET, CLIENT4, 40000, 1, ALLOCATED },
};

static const struct {
	const char *what;
	int family;
	int protocol;
	const char *client;
	uint16_t client_port;
	const char *local;
	uint16_t port;
	enum choice want; /* of the clients' sockets */
} client_cases[] = {
	{ "client", AF_INET, IPPROTO_UDP, CLIENT4, 40000, OTHER4, LISTENER, SOCKET4 },
	{ "client of a listener at a relay address", AF_INET, IPPROTO_UDP, CLIENT4, 40001, RELAY4,
			LISTENER, SOCKET4 },
	{ "client, IPv6", AF_INET6, IPPROTO_UDP, CLIENT6, 40000, RELAY6, LISTENER, SOCKET6 },
	{ "another port of its host", AF_INET, IPPROTO_UDP, CLIENT4, 40002, OTHER4, LISTENER,
			NONE },
	{ "byte-swapped port", AF_INET, IPPROTO_UDP, CLIENT4, 0x409c, OTHER4, LISTENER, NONE },
	{ "another host", AF_INET, IPPROTO_UDP, "203.0.113.10", 40000, OTHER4, LISTENER, NONE },
	{ "another IPv6 host, last word", AF_INET6, IPPROTO_UDP, "2001:db8:2::a", 40000, RELAY6,
			LISTENER, NONE },
	{ "another IPv6 host, second word", AF_INET6, IPPROTO_UDP, "2001:db8:3::9", 40000, RELAY6,
			LISTENER, NONE },
	{ "another IPv6 host, third word", AF_INET6, IPPROTO_UDP, "2001:db8:2::1:0:9", 40000,
			RELAY6, LISTENER, NONE },
	{ "client of another listener", AF_INET, IPPROTO_UDP, CLIENT4, 40000, RELAY4, LISTENER,
			NONE },
	{ "no listener's port, whatever the filter says", AF_INET, IPPROTO_UDP, CLIENT4, 40000,
			OTHER4, NO_LISTENER, NONE },
	{ "TCP", AF_INET, IPPROTO_TCP, CLIENT4, 40000, OTHER4, LISTENER, NONE },
	{ "no address of ours", AF_INET, IPPROTO_UDP, CLIENT4, 40000, "192.0.2.99", LISTENER,
			NONE },
};

/* Exactly what lib/io/client_filter.c makes of them. */
static void fill_filter(const struct relay_lookup_bpf *skel)
{
	uint64_t buckets[BUCKETS] = { 0 };
	struct tp_client_filter filter = { .buckets = buckets };
	uint32_t i;

	filter.conf = skel->rodata->clients_conf;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct tp_bpf_client client = { 0 };

		assert_int_equal(inet_pton(known[i].family, known[i].ip, client.word), 1);
		client.word[2] = tp_bpf_client_ports(
				htons(known[i].port), htons(known[i].server_port), known[i].addr);
		assert_int_equal(tp_client_filter_add(&filter, &client), 0);
	}
	for (i = 0; i < BUCKETS; i++)
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.clients), &i,
						 &buckets[i], 0),
				0);
}

static uint64_t run_client(const struct relay_lookup_bpf *skel, size_t i)
{
	return run_from(skel, client_cases[i].family, client_cases[i].protocol,
			client_cases[i].client, client_cases[i].client_port, client_cases[i].local,
			client_cases[i].port);
}

static void choices_of_clients(void **state)
{
	struct relay_lookup_bpf *skel = load();
	int relay4 = udp_socket(AF_INET, 4000), relay6 = udp_socket(AF_INET6, 4000);
	int fd4 = udp_socket(AF_INET, 4001), fd6 = udp_socket(AF_INET6, 4001);
	const uint64_t cookie[] = { 0, cookie_of(fd4), cookie_of(fd6) };
	const size_t n = sizeof(client_cases) / sizeof(client_cases[0]);
	size_t i, failed = 0;

	(void)state;
	set_socket(skel->maps.relay_sockets, 0, relay4);
	set_socket(skel->maps.relay_sockets, 1, relay6);
	fill_filter(skel);
	for (i = 0; i < n; i++)
		assert_int_equal(run_client(skel, i), 0); /* no sockets of clients yet */

	set_socket(skel->maps.client_sockets, 0, fd4);
	set_socket(skel->maps.client_sockets, 1, fd6);
	for (i = 0; i < n; i++) {
		if (run_client(skel, i) != cookie[client_cases[i].want]) {
			print_error("%s: not the socket wanted\n", client_cases[i].what);
			failed++;
		}
	}
	assert_int_equal(failed, 0);
	/* A relayed port is one, whoever sends to it. */
	assert_int_equal(run_from(skel, AF_INET, IPPROTO_UDP, CLIENT4, 40000, RELAY4, ALLOCATED),
			cookie_of(relay4));

	close(fd4);
	close(fd6);
	close(relay4);
	close(relay6);
	relay_lookup_bpf__destroy(skel);
}

/* --- in the kernel's receive path --- */

struct rig {
	struct tp_steer *steer;
	int fd4, fd6;           /* the relay's sockets */
	int clients4, clients6; /* those of clients */
	int wire;
};

static void set_on(int fd, int level, int option)
{
	const int one = 1;

	assert_int_equal(setsockopt(fd, level, option, &one, sizeof(one)), 0);
}

static int telling_socket(int family, uint16_t port)
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

static int set_up(void **state)
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

static int tear_down(void **state)
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

static bool receive(int fd, struct received *got)
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

static void expect(int fd, const struct lab_udp *udp)
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

static void expect_nothing(int fd)
{
	struct received got;

	assert_false(receive(fd, &got));
}

/* Whether the far end hears port-unreachable within the wire's timeout. */
static bool hears_unreachable(int wire, bool is_v6)
{
	uint8_t frame[LAB_FRAME_MAX];
	ssize_t len;

	while ((len = recv(wire, frame, sizeof(frame), 0)) > 0) {
		if (is_v6 && len > 56 && frame[20] == IPPROTO_ICMPV6 &&
				frame[54] == ICMP6_DST_UNREACH)
			return frame[55] == ICMP6_DST_UNREACH_NOPORT;
		if (!is_v6 && len > 36 && frame[23] == IPPROTO_ICMP &&
				frame[34] == ICMP_DEST_UNREACH)
			return frame[35] == ICMP_PORT_UNREACH;
	}
	return false;
}

static const struct lab_udp to4 = { PEER4, RELAY4, 40000, ALLOCATED, "hello", 5 };
static const struct lab_udp to6 = { PEER6, RELAY6, 40000, ALLOCATED, "hello", 5 };

static void an_allocated_port_is_delivered(void **state)
{
	const struct rig *rig = *state;
	struct lab_udp udp;
	const uint16_t port[] = { ALLOCATED, 1024, 65535, 53 };
	size_t i;

	for (i = 0; i < sizeof(port) / sizeof(port[0]); i++) {
		tp_steer_set_port(rig->steer, 0, port[i], true, false);
		tp_steer_set_port(rig->steer, 1, port[i], true, false);
		udp = to4;
		udp.dport = port[i];
		lab_send(rig->wire, &udp);
		expect(rig->fd4, &udp);
		udp = to6;
		udp.dport = port[i];
		lab_send(rig->wire, &udp);
		expect(rig->fd6, &udp);
	}
	expect_nothing(rig->fd4);
	expect_nothing(rig->fd6);
}

static void a_free_port_answers_port_unreachable(void **state)
{
	const struct rig *rig = *state;

	lab_send(rig->wire, &to4);
	assert_true(hears_unreachable(rig->wire, false));
	lab_send(rig->wire, &to6);
	assert_true(hears_unreachable(rig->wire, true));

	/* Allocated: silence.  Freed: as before. */
	tp_steer_set_port(rig->steer, 0, ALLOCATED, true, true);
	tp_steer_set_port(rig->steer, 1, ALLOCATED, true, true);
	lab_send(rig->wire, &to4);
	expect(rig->fd4, &to4);
	lab_send(rig->wire, &to6);
	expect(rig->fd6, &to6);
	assert_false(hears_unreachable(rig->wire, false));
	tp_steer_set_port(rig->steer, 0, ALLOCATED, false, false);
	tp_steer_set_port(rig->steer, 1, ALLOCATED, false, false);
	lab_send(rig->wire, &to4);
	assert_true(hears_unreachable(rig->wire, false));
	lab_send(rig->wire, &to6);
	assert_true(hears_unreachable(rig->wire, true));
	expect_nothing(rig->fd4);
	expect_nothing(rig->fd6);
}

static void only_the_relay_address_is_taken(void **state)
{
	const struct rig *rig = *state;
	struct lab_udp udp = to4;

	tp_steer_set_port(rig->steer, 0, ALLOCATED, true, false);
	udp.dst = OTHER4;
	lab_send(rig->wire, &udp);
	assert_true(hears_unreachable(rig->wire, false));
	expect_nothing(rig->fd4);

	/* One relay's bits say nothing about another's. */
	lab_send(rig->wire, &to6);
	assert_true(hears_unreachable(rig->wire, true));
}

static void an_allocation_outranks_a_bound_socket(void **state)
{
	const struct rig *rig = *state;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(ALLOCATED) };
	struct received got;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
	lab_send(rig->wire, &to4);
	assert_true(receive(fd, &got));
	tp_steer_set_port(rig->steer, 0, ALLOCATED, true, false);
	lab_send(rig->wire, &to4);
	expect(rig->fd4, &to4);
	expect_nothing(fd);
	close(fd);
}

/* Send as IPv4 fragments of 1,480 bytes, the last first. */
static void send_fragments(int wire, const struct lab_udp *udp)
{
	uint8_t whole[LAB_FRAME_MAX], frame[ETH_HLEN + 20 + 1480];
	size_t body = lab_frame(udp, whole) - ETH_HLEN - 20, at, len;
	struct iphdr ip;

	for (at = (body - 1) / 1480 * 1480;; at -= 1480) {
		len = body - at < 1480 ? body - at : 1480;
		memcpy(&ip, whole + ETH_HLEN, sizeof(ip));
		ip.tot_len = htons((uint16_t)(20 + len));
		ip.frag_off = htons((uint16_t)(at / 8 | (at + len < body ? 0x2000 : 0)));
		ip.check = 0;
		ip.check = lab_sum_be(lab_sum(0, &ip, sizeof(ip)));
		memcpy(frame, whole, ETH_HLEN);
		memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
		memcpy(frame + ETH_HLEN + 20, whole + ETH_HLEN + 20 + at, len);
		assert_int_equal(send(wire, frame, ETH_HLEN + 20 + len, 0), ETH_HLEN + 20 + len);
		if (at == 0)
			return;
	}
}

static void large_datagrams_arrive_whole(void **state)
{
	const struct rig *rig = *state;
	static uint8_t payload[9000];
	struct lab_udp udp = to4;
	size_t i;

	for (i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	udp.payload = payload;
	udp.payload_len = sizeof(payload);
	tp_steer_set_port(rig->steer, 0, ALLOCATED, true, true);
	send_fragments(rig->wire, &udp);
	expect(rig->fd4, &udp);
}

/* An ICMP error about what a relayed port sent must not break the one socket all of them share. */
static void errors_about_one_port_do_not_stop_the_socket(void **state)
{
	const struct rig *rig = *state;
	const struct lab_udp sent = { RELAY4, PEER4, ALLOCATED, 40000, "hello", 5 };
	struct {
		struct iphdr ip;
		struct icmphdr icmp;
	} h = {
		.ip = { .version = 4, .ihl = 5, .ttl = 61, .protocol = IPPROTO_ICMP },
		.icmp = { .type = ICMP_DEST_UNREACH, .code = ICMP_PORT_UNREACH },
	};
	uint8_t quoted[LAB_FRAME_MAX], frame[LAB_FRAME_MAX];
	size_t n = lab_frame(&sent, quoted) - ETH_HLEN;
	int error = 0;
	socklen_t len = sizeof(error);

	h.ip.tot_len = htons((uint16_t)(sizeof(h) + n));
	assert_int_equal(inet_pton(AF_INET, PEER4, &h.ip.saddr), 1);
	assert_int_equal(inet_pton(AF_INET, RELAY4, &h.ip.daddr), 1);
	h.ip.check = lab_sum_be(lab_sum(0, &h.ip, sizeof(h.ip)));
	h.icmp.checksum = lab_sum_be(
			lab_sum(lab_sum(0, &h.icmp, sizeof(h.icmp)), quoted + ETH_HLEN, n));
	memcpy(frame, quoted, ETH_HLEN);
	memcpy(frame + ETH_HLEN, &h, sizeof(h));
	memcpy(frame + ETH_HLEN + sizeof(h), quoted + ETH_HLEN, n);

	tp_steer_set_port(rig->steer, 0, ALLOCATED, true, false);
	assert_true(send(rig->wire, frame, ETH_HLEN + sizeof(h) + n, 0) > 0);
	lab_send(rig->wire, &to4);
	expect(rig->fd4, &to4);
	assert_int_equal(getsockopt(rig->fd4, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	assert_int_equal(error, 0);
}

/* Sockets of listeners, as the kernel path has them: bound where their datagrams go. */
struct listening {
	int fd4, fd6;
};

static struct listening listen_there(void)
{
	struct listening l = { socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
		socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(LISTENER) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(LISTENER) };

	assert_int_equal(inet_pton(AF_INET, OTHER4, &in.sin_addr), 1);
	assert_int_equal(inet_pton(AF_INET6, RELAY6, &in6.sin6_addr), 1);
	assert_int_equal(bind(l.fd4, (const struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(bind(l.fd6, (const struct sockaddr *)&in6, sizeof(in6)), 0);
	return l;
}

static void stop_listening(struct listening *l)
{
	close(l->fd4);
	close(l->fd6);
}

static const struct lab_udp client4 = { PEER4, OTHER4, 40000, LISTENER, "hello", 5 };
static const struct lab_udp client6 = { PEER6, RELAY6, 40000, LISTENER, "hello", 5 };

static void set_client(const struct rig *rig, const struct lab_udp *udp, bool is_client)
{
	struct tp_addr client, server;

	assert_int_equal(tp_addr_parse(udp->src, udp->sport, &client), 0);
	assert_int_equal(tp_addr_parse(udp->dst, udp->dport, &server), 0);
	if (is_client)
		assert_int_equal(tp_steer_add_client(rig->steer, &client, &server), 0);
	else
		tp_steer_del_client(rig->steer, &client, &server);
	assert_int_equal(tp_steer_has_client(rig->steer, &client, &server), is_client);
}

/* It comes by the listener's own socket, and by no other. */
static void expect_stranger(const struct rig *rig, const struct lab_udp *udp, int listener)
{
	struct received got;

	lab_send(rig->wire, udp);
	assert_true(receive(listener, &got));
	assert_int_equal(got.len, udp->payload_len);
	assert_int_equal(recv(rig->clients4, got.payload, 1, MSG_DONTWAIT), -1);
	assert_int_equal(recv(rig->clients6, got.payload, 1, MSG_DONTWAIT), -1);
}

static void clients_have_a_socket_of_their_own(void **state)
{
	const struct rig *rig = *state;
	struct listening l = listen_there();
	struct tp_steer_clients count;
	struct lab_udp stranger = client4;
	struct tp_why why = { "" };

	stranger.sport++;
	set_client(rig, &client4, true);
	set_client(rig, &client6, true);
	tp_steer_clients(rig->steer, &count);
	assert_int_equal(count.n, 2);
	/* Without these sockets everybody comes by the listener's. */
	expect_stranger(rig, &client4, l.fd4);
	expect_stranger(rig, &client6, l.fd6);

	assert_int_equal(
			tp_steer_set_client_sockets(rig->steer, rig->clients4, rig->clients6, &why),
			0);
	lab_send(rig->wire, &client4);
	expect(rig->clients4, &client4);
	lab_send(rig->wire, &client6);
	expect(rig->clients6, &client6);
	expect_stranger(rig, &stranger, l.fd4);

	set_client(rig, &client4, false);
	set_client(rig, &client6, false);
	expect_stranger(rig, &client4, l.fd4);
	expect_stranger(rig, &client6, l.fd6);
	tp_steer_clients(rig->steer, &count);
	assert_int_equal(count.n, 0);
	stop_listening(&l);
}

/* What nobody has read yet of a listener's full socket costs clients nothing. */
static void a_full_listener_stops_no_client(void **state)
{
	const struct rig *rig = *state;
	struct listening l = listen_there();
	struct lab_udp stranger = client4;
	const int least = 1;
	struct tp_why why = { "" };
	struct received got;
	int i, n = 0;

	assert_int_equal(
			tp_steer_set_client_sockets(rig->steer, rig->clients4, rig->clients6, &why),
			0);
	assert_int_equal(setsockopt(l.fd4, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)), 0);
	set_client(rig, &client4, true);
	for (i = 0; i < 50; i++) {
		stranger.sport = (uint16_t)(1000 + i);
		lab_send(rig->wire, &stranger);
	}
	lab_send(rig->wire, &client4);
	expect(rig->clients4, &client4);
	while (receive(l.fd4, &got))
		n++;
	assert_in_range(n, 1, 49);
	stop_listening(&l);
}

/* More than there is room for: counted, and they come by the listener's socket. */
static void no_place_is_no_error(void **state)
{
	const struct rig *rig = *state;
	struct listening l = listen_there();
	struct tp_addr client, server, elsewhere;
	struct tp_steer_clients count;
	struct lab_udp last = client4;
	struct tp_why why = { "" };
	uint32_t i, refused = 0;

	assert_int_equal(
			tp_steer_set_client_sockets(rig->steer, rig->clients4, rig->clients6, &why),
			0);
	assert_int_equal(tp_addr_parse(PEER4, 0, &client), 0);
	assert_int_equal(tp_addr_parse(OTHER4, LISTENER, &server), 0);
	assert_int_equal(tp_addr_parse("192.0.2.77", LISTENER, &elsewhere), 0);
	assert_int_equal(tp_steer_add_client(rig->steer, &client, &elsewhere), -ENOENT);
	assert_false(tp_steer_has_client(rig->steer, &client, &elsewhere));
	for (i = 1; i <= 8 * MAX_CLIENTS; i++) {
		client.port = (uint16_t)i;
		if (tp_steer_add_client(rig->steer, &client, &server) == 0)
			continue;
		refused++;
		if (!tp_steer_has_client(rig->steer, &client, &server))
			last.sport = client.port;
		assert_true(i > MAX_CLIENTS);
	}
	tp_steer_clients(rig->steer, &count);
	assert_true(refused > 0);
	assert_int_equal(count.refused, refused);
	assert_int_equal(count.n, 8 * MAX_CLIENTS - refused);
	expect_stranger(rig, &last, l.fd4);
	stop_listening(&l);
}

static void nothing_remains_after_free(void **state)
{
	struct rig *rig = *state;

	tp_steer_set_port(rig->steer, 0, ALLOCATED, true, false);
	lab_send(rig->wire, &to4);
	expect(rig->fd4, &to4);
	tp_steer_free(rig->steer);
	rig->steer = NULL;
	lab_send(rig->wire, &to4);
	assert_true(hears_unreachable(rig->wire, false));
	expect_nothing(rig->fd4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(choices),
		cmocka_unit_test(choices_of_clients),
#define WITH_RIG(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		WITH_RIG(an_allocated_port_is_delivered),
		WITH_RIG(a_free_port_answers_port_unreachable),
		WITH_RIG(only_the_relay_address_is_taken),
		WITH_RIG(an_allocation_outranks_a_bound_socket),
		WITH_RIG(large_datagrams_arrive_whole),
		WITH_RIG(errors_about_one_port_do_not_stop_the_socket),
		WITH_RIG(clients_have_a_socket_of_their_own),
		WITH_RIG(a_full_listener_stops_no_client),
		WITH_RIG(no_place_is_no_error),
		WITH_RIG(nothing_remains_after_free),
	};

	if (!lab_enter()) {
		puts("1..0 # SKIP needs root");
		return 0;
	}
	lab_run("echo 0 > /proc/sys/net/ipv4/icmp_ratelimit");
	lab_run("echo 0 > /proc/sys/net/ipv6/icmp/ratelimit");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
