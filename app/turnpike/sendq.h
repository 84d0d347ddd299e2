/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sendq - datagrams on their way into the kernel, sent by sendmmsg() in bursts.
 *
 * Everything the control thread sends in one round of its loop is written here once, in order, and
 * goes out with one system call for each run of datagrams on the same socket.
 *
 * Threads: control.
 */
#ifndef TP_APP_SENDQ_H
#define TP_APP_SENDQ_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "wire/ip.h"

struct tp_sendq;

struct tp_sendq_stats {
	uint64_t sent;
	uint64_t full;    /* refused by a full socket buffer */
	uint64_t refused; /* by the kernel, for another reason */
};

/** @return 0 or -ENOMEM */
int tp_sendq_new(struct tp_sendq **out);
void tp_sendq_free(struct tp_sendq *q);

/** Room for one datagram of len bytes (at most 65535), to be written and then committed. */
uint8_t *tp_sendq_reserve(struct tp_sendq *q, size_t len);

/**
 * Queue what was reserved last.
 *
 * @param source  address to send from, for routing; NULL: the socket's
 * @param meta    TTL and traffic class to send with; NULL: they are in the datagram itself
 */
void tp_sendq_commit(struct tp_sendq *q, int fd, const struct tp_addr *dst,
		const struct tp_addr *source, const struct tp_ip_meta *meta);

/** Send all. */
void tp_sendq_flush(struct tp_sendq *q);

void tp_sendq_stats(const struct tp_sendq *q, struct tp_sendq_stats *out);

#endif
