/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_path_private - what the parts of the kernel path share.
 *
 *     kernel_path.c     receives, hands on, and answers what could not be relayed
 *     kernel_sockets.c  opens the sockets
 *     kernel_send.c     sends, whole or in fragments
 *
 * Private to these.  Threads: control.
 */
#ifndef TP_APP_KERNEL_PATH_PRIVATE_H
#define TP_APP_KERNEL_PATH_PRIVATE_H

#include <netinet/in.h>
#include <stdalign.h>
#include <sys/socket.h>

#include "base/bucket.h"
#include "kernel_path.h"
#include "wire/mtu.h"

#define TP_KERNEL_BATCH 32
#define TP_KERNEL_DATAGRAM_MAX (65536 + TP_ETH_LEN)
#define TP_KERNEL_CONTROL_MAX 256

/* Newer than the libc headers of Debian 12 say, or absent from them. */
#ifndef IP_ORIGDSTADDR
#define IP_ORIGDSTADDR 20
#endif
#ifndef IPV6_FLOWINFO
#define IPV6_FLOWINFO 11
#endif
#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif
#ifndef IPV6_RECVFRAGSIZE
#define IPV6_RECVFRAGSIZE 77
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

struct tp_kernel_socket {
	struct tp_source source; /* first; fd -1: not open */
	struct tp_kernel_path *kp;
	enum tp_kernel_socket_kind kind;
	struct tp_addr addr; /* a listener's; of the others only the family */
	bool has_more;       /* its last turn did not empty it */
	uint64_t rx_pkts;
	uint64_t diverted;    /* datagrams that came by the header socket in its place */
	uint64_t unqueued;    /* by the kernel's count, which these are part of */
	uint32_t kernel_last; /* that count when it was read last: 32 bits, and goes round */
};

/* The sockets that are not listeners, in this order behind them. */
enum {
	TP_KERNEL_CLIENTS4_AT,
	TP_KERNEL_CLIENTS6_AT,
	TP_KERNEL_RELAY4_AT,
	TP_KERNEL_RELAY6_AT,
	TP_KERNEL_HEADER4_AT,
	TP_KERNEL_ICMP4_AT,
	TP_KERNEL_ICMP6_AT,
	TP_KERNEL_OTHERS
};

/* The datagram in hand: what it takes to answer its sender. */
struct tp_kernel_incoming {
	struct tp_mtu_in mtu;
	struct tp_addr src, dst;
	bool is_from_client;
	bool is_unicast;       /* as the frame says; true when there is none */
	const uint8_t *packet; /* from the IP header on; NULL: to be built anew from ... */
	const struct tp_turn_packet *datagram;
	uint32_t label; /* IPv6 flow label */
	/* Set when what was made of it is larger than the way out: */
	uint16_t egress_mtu; /* 0: it was not */
	struct tp_mtu_way way;
};

struct tp_kernel_path {
	struct tp_kernel_path_conf conf;
	struct tp_kernel_socket *sockets; /* the listeners, then TP_KERNEL_*_AT */
	uint32_t n_sockets;
	int raw[2]; /* IPv4, IPv6; -1: the host has no such family */
	struct tp_sendq *sendq;
	struct tp_kernel_path_stats stats;
	struct tp_bucket icmp;
	uint16_t next_ip_id; /* of fragmented IPv4 packets */
	struct tp_kernel_incoming in;
	/* Receive batch. */
	struct mmsghdr msg[TP_KERNEL_BATCH];
	struct iovec iov[TP_KERNEL_BATCH];
	struct sockaddr_storage from[TP_KERNEL_BATCH];
	alignas(struct cmsghdr) uint8_t control[TP_KERNEL_BATCH][TP_KERNEL_CONTROL_MAX];
	uint8_t (*data)[TP_KERNEL_DATAGRAM_MAX];
	uint8_t scratch[UINT16_MAX + 1]; /* a packet that will be fragmented or quoted */
};

/** Open all sockets and give them to the loop.  @return 0 or -E and a sentence */
int tp_kernel_sockets_open(struct tp_kernel_path *kp, void (*ready)(struct tp_source *, uint32_t),
		struct tp_why *why);
void tp_kernel_sockets_close(struct tp_kernel_path *kp);

static inline struct tp_kernel_socket *tp_kernel_socket_at(
		const struct tp_kernel_path *kp, uint32_t other)
{
	return &kp->sockets[kp->conf.n_listeners + other];
}

/** @return NULL: nobody listens there */
struct tp_kernel_socket *tp_kernel_listener(
		const struct tp_kernel_path *kp, const struct tp_addr *addr);

/** Send an IP packet that is complete, from the source that it names. */
void tp_kernel_send_raw(struct tp_kernel_path *kp, const struct tp_addr *src,
		const struct tp_addr *dst, const uint8_t *packet, size_t len);

#endif
