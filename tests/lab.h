/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lab - a network inside the test process: a private namespace, veth pairs, and frames.
 *
 * The namespace belongs to the process alone, so everything in it vanishes with the process,
 * however it ends.  Nothing outside it is ever touched.  Needs root.
 */
#ifndef TP_TESTS_LAB_H
#define TP_TESTS_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bytes.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define LAB_FRAME_MAX 9500

/* "near" is the relay's end of a pair, "far" the world's. */
static const uint8_t lab_near_mac[6] = { 0x02, 0, 0, 0, 0, 0x01 };
static const uint8_t lab_far_mac[6] = { 0x02, 0, 0, 0, 0, 0x02 };

__attribute__((format(printf, 1, 2))) static inline void lab_run(const char *fmt, ...)
{
	char command[500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command) != 0) /* NOLINT: the commands are the tests' own constants */
		fail_msg("failed: %s", command);
}

/** Enter a namespace of our own.  @return false: not permitted, skip the tests */
static inline bool lab_enter(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0)
		return false;
	return system("ip link set lo up") == 0;
}

/** Write 0 or 1 to a switch of this namespace's IPv6. */
static inline void lab_ipv6(const char *ifname, const char *option, int value)
{
	lab_run("echo %d > /proc/sys/net/ipv6/conf/%s/%s", value, ifname, option);
}

/** A pair that speaks only when spoken to, with the checksums that AF_XDP needs. */
static inline void lab_veth(const char *near, const char *far)
{
	lab_run("ip link add %s address 02:00:00:00:00:01 numrxqueues 1 numtxqueues 1 type veth "
		"peer name %s address 02:00:00:00:00:02 numrxqueues 1 numtxqueues 1",
			near, far);
	lab_ipv6(near, "accept_dad", 0);
	lab_ipv6(near, "router_solicitations", 0);
	lab_ipv6(far, "disable_ipv6", 1);
	lab_run("ethtool -K %s tx off >/dev/null && ethtool -K %s tx off >/dev/null", near, far);
	lab_run("ip link set %s up && ip link set %s up", near, far);
}

/** Raw frames in and out of an interface; receives for at most a second. */
static inline int lab_wire(const char *ifname)
{
	const struct timeval timeout = { .tv_sec = 1 };
	const int bytes = 8 << 20, one = 1;
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd;

	at.sll_ifindex = (int)if_nametoindex(ifname);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static inline uint16_t lab_sum_be(uint32_t sum)
{
	return htons((uint16_t)~sum);
}

/* A UDP datagram; the text of dst gives the family. */
struct lab_udp {
	const char *src;
	const char *dst;
	uint16_t sport;
	uint16_t dport;
	const void *payload;
	size_t payload_len;
};

static inline bool lab_is_v6(const struct lab_udp *udp)
{
	return strchr(udp->dst, ':') != NULL;
}

static inline size_t lab_ip_header(const struct lab_udp *udp, uint8_t *at, size_t l4_len)
{
	struct ip6_hdr ip6 = { .ip6_nxt = IPPROTO_UDP, .ip6_hlim = 61 };
	struct iphdr ip = {
		.version = 4, .ihl = 5, .tos = 0x28, .ttl = 61, .protocol = IPPROTO_UDP
	};

	if (lab_is_v6(udp)) {
		ip6.ip6_flow = htonl(6u << 28 | 0x28u << 20);
		ip6.ip6_plen = htons((uint16_t)l4_len);
		assert_int_equal(inet_pton(AF_INET6, udp->src, &ip6.ip6_src), 1);
		assert_int_equal(inet_pton(AF_INET6, udp->dst, &ip6.ip6_dst), 1);
		memcpy(at, &ip6, sizeof(ip6));
		return sizeof(ip6);
	}
	ip.tot_len = htons((uint16_t)(sizeof(ip) + l4_len));
	ip.id = htons(0x1234);
	assert_int_equal(inet_pton(AF_INET, udp->src, &ip.saddr), 1);
	assert_int_equal(inet_pton(AF_INET, udp->dst, &ip.daddr), 1);
	ip.check = lab_sum_be(sum16(0, &ip, sizeof(ip)));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip);
}

/** Write a frame from the far end to the near end.  @return its length */
static inline size_t lab_frame(const struct lab_udp *udp, uint8_t out[LAB_FRAME_MAX])
{
	struct udphdr l4 = { .source = htons(udp->sport), .dest = htons(udp->dport) };
	size_t l4_len = sizeof(l4) + udp->payload_len;
	size_t addr_len = lab_is_v6(udp) ? 16 : 4;
	struct ethhdr eth;
	uint8_t *at = out;
	uint32_t sum;

	assert_true(udp->payload_len <= LAB_FRAME_MAX - 100);
	memcpy(eth.h_dest, lab_near_mac, ETH_ALEN);
	memcpy(eth.h_source, lab_far_mac, ETH_ALEN);
	eth.h_proto = htons(lab_is_v6(udp) ? ETH_P_IPV6 : ETH_P_IP);
	memcpy(at, &eth, sizeof(eth));
	at += sizeof(eth);
	at += lab_ip_header(udp, at, l4_len);

	l4.len = htons((uint16_t)l4_len);
	memcpy(at, &l4, sizeof(l4));
	if (udp->payload_len > 0)
		memcpy(at + sizeof(l4), udp->payload, udp->payload_len);
	/* Both addresses end where UDP begins. */
	sum = sum16((uint32_t)(IPPROTO_UDP + l4_len), at - 2 * addr_len, 2 * addr_len);
	l4.check = lab_sum_be(sum16(sum, at, l4_len));
	if (l4.check == 0)
		l4.check = 0xffff;
	memcpy(at, &l4, sizeof(l4));
	return (size_t)(at - out) + l4_len;
}

/** Send a datagram from the far end. */
static inline void lab_send(int wire, const struct lab_udp *udp)
{
	uint8_t frame[LAB_FRAME_MAX];
	size_t len = lab_frame(udp, frame);

	assert_int_equal(send(wire, frame, len, 0), len);
}

/** For programs under meson's tap protocol: the plan that says why nothing was run. */
static inline int lab_skip_tap(void)
{
	printf("1..0 # SKIP needs root and network namespaces\n");
	return 0;
}

#endif
