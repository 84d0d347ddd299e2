/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sk_lookup for clients: its choice for every kind of lookup, then what the kernel path builds on
 * it: a socket bound to the loopback address receives for every client that has an allocation, and
 * other clients are as without us.
 */
#include "lookup_rig.h"

#include "io/client_filter.h"

#include <errno.h>

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
} cases[] = {
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
	for (i = 0; i < N(known); i++) {
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
	return rig_run_from(skel, cases[i].family, cases[i].protocol, cases[i].client,
			cases[i].client_port, cases[i].local, cases[i].port);
}

static void choices_of_clients(void **state)
{
	struct relay_lookup_bpf *skel = rig_load();
	int relay4 = udp_socket(AF_INET, 4000), relay6 = udp_socket(AF_INET6, 4000);
	int fd4 = udp_socket(AF_INET, 4001), fd6 = udp_socket(AF_INET6, 4001);
	const uint64_t cookie[] = { 0, cookie_of(fd4), cookie_of(fd6) };
	const size_t n = N(cases);
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
		if (run_client(skel, i) != cookie[cases[i].want]) {
			print_error("%s: not the socket wanted\n", cases[i].what);
			failed++;
		}
	}
	assert_int_equal(failed, 0);
	/* A relayed port is one, whoever sends to it. */
	assert_int_equal(
			rig_run_from(skel, AF_INET, IPPROTO_UDP, CLIENT4, 40000, RELAY4, ALLOCATED),
			cookie_of(relay4));

	close(fd4);
	close(fd6);
	close(relay4);
	close(relay6);
	relay_lookup_bpf__destroy(skel);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(choices_of_clients),
		rig_test(clients_have_a_socket_of_their_own),
		rig_test(a_full_listener_stops_no_client),
		rig_test(no_place_is_no_error),
	};

	if (!rig_enter())
		return lab_skip_tap();
	return cmocka_run_group_tests_name("client_lookup", tests, NULL, NULL);
}
