/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sk_lookup for relayed ports: its choice for every kind of lookup, then what the kernel path
 * builds on it: a socket bound to the loopback address receives for every allocated port of the
 * relay addresses and learns which, and other ports are as without us.
 */
#include "lookup_rig.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

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

static uint64_t run(const struct relay_lookup_bpf *skel, int family, int protocol,
		const char *local, uint16_t port)
{
	return rig_run_from(skel, family, protocol, family == AF_INET ? PEER4 : PEER6, 40000, local,
			port);
}

static void choices(void **state)
{
	struct relay_lookup_bpf *skel = rig_load();
	int fd4 = udp_socket(AF_INET, 4000), fd6 = udp_socket(AF_INET6, 4000);
	const uint64_t cookie[] = { 0, cookie_of(fd4), cookie_of(fd6) };
	size_t i, failed = 0;

	(void)state;
	/* Without sockets nothing is chosen. */
	for (i = 0; i < N(cases); i++)
		assert_int_equal(run(skel, cases[i].family, cases[i].protocol, cases[i].local,
						 cases[i].port),
				0);

	set_socket(skel->maps.relay_sockets, 0, fd4);
	set_socket(skel->maps.relay_sockets, 1, fd6);
	for (i = 0; i < N(cases); i++) {
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

	for (i = 0; i < N(port); i++) {
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
		ip.check = lab_sum_be(sum16(0, &ip, sizeof(ip)));
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
	h.ip.check = lab_sum_be(sum16(0, &h.ip, sizeof(h.ip)));
	h.icmp.checksum =
			lab_sum_be(sum16(sum16(0, &h.icmp, sizeof(h.icmp)), quoted + ETH_HLEN, n));
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
		rig_test(an_allocated_port_is_delivered),
		rig_test(a_free_port_answers_port_unreachable),
		rig_test(only_the_relay_address_is_taken),
		rig_test(an_allocation_outranks_a_bound_socket),
		rig_test(large_datagrams_arrive_whole),
		rig_test(errors_about_one_port_do_not_stop_the_socket),
		rig_test(nothing_remains_after_free),
	};

	if (!rig_enter())
		return lab_skip_tap();
	return cmocka_run_group_tests_name("relay_lookup", tests, NULL, NULL);
}
