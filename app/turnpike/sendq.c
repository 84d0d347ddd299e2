/* SPDX-License-Identifier: Apache-2.0 */
#include "sendq.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define ENTRIES 64
#define ARENA (4 * (size_t)65536)
/* Packet info, TTL and traffic class of IPv6, the larger family. */
#define CONTROL (CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int)))

struct entry {
	int fd;
	struct sockaddr_storage dst;
	struct iovec iov;
	alignas(struct cmsghdr) uint8_t control[CONTROL];
};

struct tp_sendq {
	uint32_t n;
	size_t used;     /* of arena */
	size_t reserved; /* bytes of the datagram being written */
	struct tp_sendq_stats stats;
	struct entry entry[ENTRIES];
	struct mmsghdr msg[ENTRIES];
	uint8_t arena[ARENA];
};

int tp_sendq_new(struct tp_sendq **out)
{
	struct tp_sendq *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return -ENOMEM;
	*out = q;
	return 0;
}

void tp_sendq_free(struct tp_sendq *q)
{
	free(q);
}

uint8_t *tp_sendq_reserve(struct tp_sendq *q, size_t len)
{
	assert(len <= UINT16_MAX);
	if (q->n == ENTRIES || q->used + len > ARENA)
		tp_sendq_flush(q);
	q->reserved = len;
	return q->arena + q->used;
}

static struct cmsghdr *put_cmsg(struct msghdr *h, struct cmsghdr *c, int level, int type,
		const void *data, size_t len)
{
	c = c == NULL ? CMSG_FIRSTHDR(h) : CMSG_NXTHDR(h, c);
	assert(c != NULL);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	return c;
}

static struct cmsghdr *put_meta(
		struct msghdr *h, struct cmsghdr *c, bool is_v6, const struct tp_ip_meta *meta)
{
	const int ttl = meta->ttl, tclass = meta->tclass;

	if (is_v6) {
		c = put_cmsg(h, c, IPPROTO_IPV6, IPV6_HOPLIMIT, &ttl, sizeof(ttl));
		return put_cmsg(h, c, IPPROTO_IPV6, IPV6_TCLASS, &tclass, sizeof(tclass));
	}
	c = put_cmsg(h, c, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	return put_cmsg(h, c, IPPROTO_IP, IP_TOS, &tclass, sizeof(tclass));
}

static struct cmsghdr *put_source(struct msghdr *h, struct cmsghdr *c, const struct tp_addr *source)
{
	struct in6_pktinfo info6 = { 0 };
	struct in_pktinfo info4 = { 0 };

	if (source->family == TP_IPV6) {
		memcpy(&info6.ipi6_addr, source->ip, 16);
		return put_cmsg(h, c, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof(info6));
	}
	memcpy(&info4.ipi_spec_dst, source->ip, 4);
	return put_cmsg(h, c, IPPROTO_IP, IP_PKTINFO, &info4, sizeof(info4));
}

void tp_sendq_commit(struct tp_sendq *q, int fd, const struct tp_addr *dst,
		const struct tp_addr *source, const struct tp_ip_meta *meta)
{
	struct entry *e = &q->entry[q->n];
	struct msghdr *h = &q->msg[q->n].msg_hdr;
	struct cmsghdr *c = NULL;

	assert(q->n < ENTRIES);
	e->fd = fd;
	e->iov = (struct iovec){ q->arena + q->used, q->reserved };
	*h = (struct msghdr){
		.msg_name = &e->dst,
		.msg_namelen = tp_addr_to_sockaddr(dst, &e->dst),
		.msg_iov = &e->iov,
		.msg_iovlen = 1,
		.msg_control = e->control,
		.msg_controllen = sizeof(e->control),
	};
	memset(e->control, 0, sizeof(e->control));
	if (source != NULL)
		c = put_source(h, c, source);
	if (meta != NULL)
		c = put_meta(h, c, dst->family == TP_IPV6, meta);
	h->msg_controllen = c == NULL
			? 0
			: (size_t)((uint8_t *)c - e->control) + CMSG_ALIGN(c->cmsg_len);
	if (h->msg_controllen == 0)
		h->msg_control = NULL;
	q->used += q->reserved;
	q->reserved = 0;
	q->n++;
}

/* Entries from `first` on that go to the same socket. */
static uint32_t run_length(const struct tp_sendq *q, uint32_t first)
{
	uint32_t i = first;

	while (i < q->n && q->entry[i].fd == q->entry[first].fd)
		i++;
	return i - first;
}

void tp_sendq_flush(struct tp_sendq *q)
{
	uint32_t i = 0;

	while (i < q->n) {
		int sent = sendmmsg(q->entry[i].fd, &q->msg[i], run_length(q, i), MSG_DONTWAIT);

		if (sent > 0) {
			q->stats.sent += (uint32_t)sent;
			i += (uint32_t)sent;
			continue;
		}
		if (errno == EINTR)
			continue;
		/* This one can not go: it is the network's loss, as UDP allows. */
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
			q->stats.full++;
		else
			q->stats.refused++;
		i++;
	}
	q->n = 0;
	q->used = 0;
}

void tp_sendq_stats(const struct tp_sendq *q, struct tp_sendq_stats *out)
{
	*out = q->stats;
}
