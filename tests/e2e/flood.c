/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flood - datagrams to a server, from many sources and as fast as it is told, and what came back.
 *
 *   flood SERVER PORT SOURCE-PORT COUNT SECONDS  <<< "FIRST-ADDRESS N HEX-DATAGRAM"...
 *
 * Each line of the input is a datagram and its sources: N addresses from the first on (IPv6: N
 * networks of /64).  All sources take turns until COUNT is sent, in SECONDS if that is possible.
 * They must be this namespace's, so that answers reach us: local routes do for that.  Prints
 * COUNT, the times (CLOCK_MONOTONIC, seconds) of the first datagram and of the last answer, and the
 * answers by STUN error code (0: success), as JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 32
#define LINES_MAX 256
#define DATAGRAM_MAX 1500
#define RECEIVE_BYTES (64 << 20)
#define QUIET_SEC 0.5 /* without an answer: that was the last */
#define CODES 700
#define IPV6_FREEBIND_ 78

struct line {
	uint8_t first[16];
	uint32_t n;
	size_t len;
	uint8_t data[DATAGRAM_MAX];
};

static struct line lines[LINES_MAX];
static uint32_t n_lines;
static int family;
static unsigned long answers[CODES];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_lines(void)
{
	static char address[64], hex[2 * DATAGRAM_MAX + 1];
	struct line *l;

	while (n_lines < LINES_MAX) {
		l = &lines[n_lines];
		if (scanf("%63s %u %3000s", address, &l->n, hex) != 3)
			return;
		if (inet_pton(family, address, l->first) != 1 || l->n == 0)
			errx(2, "%s: bad source", address);
		l->len = strlen(hex) / 2;
		for (size_t i = 0; i < l->len; i++) {
			char byte[3] = { hex[2 * i], hex[2 * i + 1], 0 };

			l->data[i] = (uint8_t)strtoul(byte, NULL, 16);
		}
		n_lines++;
	}
}

static int open_socket(uint16_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0), size = RECEIVE_BYTES, one = 1;

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (family == AF_INET6 &&
			setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND_, &one, sizeof(one)) < 0)
		err(1, "IPV6_FREEBIND");
	if (bind(fd, family == AF_INET ? (void *)&in : (void *)&in6,
			    family == AF_INET ? sizeof(in) : sizeof(in6)) < 0)
		err(1, "port %u", port);
	return fd;
}

/* Source k of a line, in the control message that names it. */
static size_t put_source(struct cmsghdr *c, const struct line *l, uint32_t k)
{
	struct in6_pktinfo info6 = { 0 };
	struct in_pktinfo info4 = { 0 };
	uint32_t v;

	if (family == AF_INET) {
		memcpy(&v, l->first, 4);
		info4.ipi_spec_dst.s_addr = htonl(ntohl(v) + k);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info4));
		memcpy(CMSG_DATA(c), &info4, sizeof(info4));
		return CMSG_SPACE(sizeof(info4));
	}
	memcpy(&info6.ipi6_addr, l->first, 16);
	memcpy(&v, l->first + 4, 4);
	v = htonl(ntohl(v) + k); /* the last 32 bits of the /64 */
	memcpy(info6.ipi6_addr.s6_addr + 4, &v, 4);
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info6));
	memcpy(CMSG_DATA(c), &info6, sizeof(info6));
	return CMSG_SPACE(sizeof(info6));
}

/* @return whether there was an answer */
static int read_answers(int fd)
{
	uint8_t data[DATAGRAM_MAX];
	int is_any = 0;
	ssize_t len;

	while ((len = recv(fd, data, sizeof(data), 0)) >= 20) {
		size_t at = 20, size, code = 0;

		is_any = 1;
		for (; at + 8 <= (size_t)len; at += 4 + (size + 3) / 4 * 4) {
			size = (size_t)data[at + 2] << 8 | data[at + 3];
			if (data[at] == 0 && data[at + 1] == 9) /* ERROR-CODE */
				code = (data[at + 6] & 7) * 100u + data[at + 7];
		}
		answers[code < CODES ? code : 0]++;
	}
	return is_any;
}

static void send_batch(int fd, const struct sockaddr *to, socklen_t to_len, uint32_t n)
{
	static uint32_t line, source[LINES_MAX];
	static _Alignas(struct cmsghdr)
			uint8_t control[BATCH][CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct mmsghdr msg[BATCH] = { 0 };
	struct iovec iov[BATCH];
	uint32_t i, sent = 0;
	int rc;

	for (i = 0; i < n; i++) {
		struct line *l = &lines[line];

		iov[i] = (struct iovec){ l->data, l->len };
		msg[i].msg_hdr = (struct msghdr){ .msg_name = (void *)(uintptr_t)to,
			.msg_namelen = to_len,
			.msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_control = control[i],
			.msg_controllen = sizeof(control[i]) };
		msg[i].msg_hdr.msg_controllen =
				put_source((struct cmsghdr *)(void *)control[i], l, source[line]);
		source[line] = (source[line] + 1) % l->n;
		line = (line + 1) % n_lines;
	}
	while (sent < n) {
		rc = sendmmsg(fd, msg + sent, n - sent, 0);
		if (rc > 0)
			sent += (uint32_t)rc;
		else if (errno != EAGAIN && errno != ENOBUFS)
			err(1, "send");
	}
}

static void pace(double until)
{
	double left = until - now();
	struct timespec t = { 0, (long)(left * 1e9) };

	if (left > 0.0005)
		nanosleep(&t, NULL);
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in = { .sin_family = AF_INET };
	double begin, last, seconds, end;
	uint32_t count, sent, n;
	int fd;

	if (argc != 6)
		errx(2, "SERVER PORT SOURCE-PORT COUNT SECONDS");
	family = strchr(argv[1], ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(family, argv[1],
			    family == AF_INET ? (void *)&in.sin_addr : (void *)&in6.sin6_addr) != 1)
		errx(2, "%s: bad address", argv[1]);
	in.sin_port = in6.sin6_port = htons((uint16_t)atoi(argv[2]));
	fd = open_socket((uint16_t)atoi(argv[3]));
	count = (uint32_t)atoi(argv[4]);
	seconds = atof(argv[5]);
	read_lines();
	if (n_lines == 0)
		errx(2, "no datagrams");

	begin = last = now();
	for (sent = 0; sent < count; sent += n) {
		n = count - sent < BATCH ? count - sent : BATCH;
		send_batch(fd, family == AF_INET ? (void *)&in : (void *)&in6,
				family == AF_INET ? sizeof(in) : sizeof(in6), n);
		if (read_answers(fd))
			last = now();
		pace(begin + seconds * (sent + n) / count);
	}
	end = now();
	while (now() - (last > end ? last : end) < QUIET_SEC) {
		if (read_answers(fd))
			last = now();
		pace(now() + 0.005);
	}
	printf("{\"sent\": %u, \"begin\": %.6f, \"last\": %.6f, \"answers\": {", sent, begin, last);
	for (int code = 0, is_first = 1; code < CODES; code++)
		if (answers[code] > 0) {
			printf("%s\"%d\": %lu", is_first ? "" : ", ", code, answers[code]);
			is_first = 0;
		}
	puts("}}");
	return 0;
}
