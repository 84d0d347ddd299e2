/* SPDX-License-Identifier: Apache-2.0 */
#include "echo.h"

#include <err.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 32
#define EVENTS 64
#define DATAGRAM_MAX 2048
#define BUFFER_BYTES (4 << 20)

struct tp_echo {
	int epoll_fd;
	int *sockets;
	uint32_t n_sockets;
	uint64_t count;
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_storage from[BATCH];
	uint8_t data[BATCH][DATAGRAM_MAX];
};

static int open_socket(struct tp_addr addr, uint32_t number)
{
	const int size = BUFFER_BYTES;
	char text[TP_ADDR_STRLEN];
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	addr.port = (uint16_t)(addr.port + number);
	len = tp_addr_to_sockaddr(&addr, &ss);
	fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) < 0)
		err(1, "peer %s", tp_addr_format(&addr, text));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return fd;
}

struct tp_echo *tp_echo_new(const struct tp_addr *addr, uint32_t n)
{
	struct tp_echo *echo = calloc(1, sizeof(*echo));
	struct epoll_event ev = { .events = EPOLLIN };

	if (echo != NULL)
		echo->sockets = calloc(n, sizeof(*echo->sockets));
	if (echo == NULL || echo->sockets == NULL)
		err(1, "%u peers", n);
	echo->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (echo->epoll_fd < 0)
		err(1, "epoll");
	for (; echo->n_sockets < n; echo->n_sockets++) {
		ev.data.fd = open_socket(*addr, echo->n_sockets);
		echo->sockets[echo->n_sockets] = ev.data.fd;
		if (epoll_ctl(echo->epoll_fd, EPOLL_CTL_ADD, ev.data.fd, &ev) < 0)
			err(1, "epoll of peer %u", echo->n_sockets);
	}
	return echo;
}

void tp_echo_free(struct tp_echo *echo)
{
	for (uint32_t i = 0; i < echo->n_sockets; i++)
		close(echo->sockets[i]);
	close(echo->epoll_fd);
	free(echo->sockets);
	free(echo);
}

static void echo_socket(struct tp_echo *echo, int fd)
{
	int i, n;

	for (i = 0; i < BATCH; i++) {
		echo->iov[i] = (struct iovec){ echo->data[i], DATAGRAM_MAX };
		echo->msg[i].msg_hdr = (struct msghdr){
			.msg_name = &echo->from[i],
			.msg_namelen = sizeof(echo->from[i]),
			.msg_iov = &echo->iov[i],
			.msg_iovlen = 1,
		};
	}
	n = recvmmsg(fd, echo->msg, BATCH, MSG_DONTWAIT, NULL);
	for (i = 0; i < n; i++)
		echo->iov[i].iov_len = echo->msg[i].msg_len;
	for (i = 0; i < n;) {
		int sent = sendmmsg(fd, echo->msg + i, (unsigned int)(n - i), MSG_DONTWAIT);

		/* One that is refused is lost, as it might be on the way. */
		echo->count += sent > 0 ? (uint64_t)sent : 0;
		i += sent > 0 ? sent : 1;
	}
}

void tp_echo_poll(struct tp_echo *echo)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(echo->epoll_fd, events, EVENTS, 0);

	for (int i = 0; i < n; i++)
		echo_socket(echo, events[i].data.fd);
}

uint64_t tp_echo_count(const struct tp_echo *echo)
{
	return echo->count;
}
