/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_path - TURN through ordinary sockets: complete and correct without XDP.
 *
 * One UDP socket for each listener; one for each family that sk_lookup gives the datagrams of all
 * relayed ports, and one for each to which it gives those of clients with an allocation, whichever
 * listener they are for; one raw socket for each family that sends from all of them with headers of
 * our own, and one for each that hears the network's ICMP errors.  So an allocation costs no
 * descriptor.
 *
 * A flood of strangers fills the listener's receive buffer, not that of the clients; and while more
 * of these waits than one turn of the loop can take, a listener has a quarter of a turn.  Of one
 * client's datagrams, which are in both sockets for a moment when its allocation begins or ends,
 * the order may change, as the network may change it.  Who has an allocation, or forges the address
 * and port of somebody who has, is no stranger: his flood goes by the clients' socket.  And large
 * IPv4 datagrams with DF, which come by the header socket, are in one buffer, whoever sent them.
 *
 * Every datagram and ICMP error read, and every frame a worker punts here, ends in one slow
 * verdict.  What can not be relayed because its TTL is used up, or because it is larger than the
 * way out and must not be fragmented, is answered with an ICMP error as a router's would be, so
 * many a second at most; see wire/mtu.h for the rules.
 *
 * Threads: control.
 */
#ifndef TP_APP_KERNEL_PATH_H
#define TP_APP_KERNEL_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/verdict.h"
#include "base/why.h"
#include "loop.h"
#include "sendq.h"
#include "turn/turn.h"

struct tp_kernel_path;

/* X(NAME, text, help): what a socket of the kernel path is for. */
/* clang-format off */
#define TP_KERNEL_SOCKETS(X)                                                                       \
	X(LISTENER, "listener", "whoever has no allocation")                                       \
	X(CLIENTS,  "clients",  "clients with an allocation, of all listeners: sk_lookup gives it these") \
	X(RELAY,    "relay",    "peers, of all relayed ports: sk_lookup gives it these")           \
	X(HEADER,   "header",   "raw: datagrams that come with their header, see header_filter.h") \
	X(ICMP,     "icmp",     "raw: errors from the network")
/* clang-format on */

enum tp_kernel_socket_kind {
#define X(name, text, help) TP_KERNEL_##name,
	TP_KERNEL_SOCKETS(X)
#undef X
};

struct tp_kernel_path_conf {
	struct tp_loop *loop;
	const struct tp_addr *listeners; /* borrowed, as relays: outlive the kernel path */
	uint32_t n_listeners;
	const struct tp_turn_relay *relays; /* of these only ports in the range below count */
	uint32_t n_relays;
	uint16_t relay_port_min, relay_port_max;
	bool clears_dscp; /* of what is relayed; ECN is kept */
	uint16_t lowest_ipv6_mtu;
	/* Where datagrams go; called from the loop.  Each returns its verdict. */
	enum tp_slow_verdict (*from_client)(void *ctx, const struct tp_tuple *tuple,
			const struct tp_turn_packet *packet);
	enum tp_slow_verdict (*from_peer)(void *ctx, const struct tp_addr *relay_local,
			const struct tp_addr *peer, const struct tp_turn_packet *packet);
	enum tp_slow_verdict (*from_icmp)(void *ctx, const struct tp_icmp_error *error);
	/* Largest packet towards dst, bytes. */
	uint16_t (*mtu)(void *ctx, const struct tp_addr *src, const struct tp_addr *dst);
	/* Does sk_lookup give the datagrams of this five-tuple to the clients' socket? */
	bool (*has_client)(void *ctx, const struct tp_tuple *tuple);
	void *ctx;
};

/* One socket. */
struct tp_kernel_socket_stats {
	enum tp_kernel_socket_kind kind;
	struct tp_addr addr; /* a listener's; of the others only the family */
	uint64_t rx_pkts;    /* datagrams read from it */
	/*
	 * Not queued by the kernel: the receive buffer was full, or a checksum wrong.  The header
	 * socket hears all UDP, so that of it, while it is full, everything counts.
	 */
	uint64_t dropped;
};

struct tp_kernel_path_stats {
	uint64_t rx_pkts;                        /* datagrams from sockets and punted frames */
	uint64_t punted;                         /* of these, from workers */
	uint64_t fragments;                      /* sent, of datagrams larger than the path */
	uint64_t icmp_sent;                      /* errors about what could not be relayed */
	uint64_t icmp_held;                      /* of these, not sent: too many a second */
	uint64_t verdict[TP_SLOW_VERDICT_COUNT]; /* sums to rx_pkts */
	struct tp_sendq_stats send;
};

/** Open all sockets and register the listeners with the loop.  @return 0 or -E and a sentence */
int tp_kernel_path_new(const struct tp_kernel_path_conf *conf, struct tp_kernel_path **out,
		struct tp_why *why);
void tp_kernel_path_free(struct tp_kernel_path *kp);

/** A socket that sk_lookup shall give datagrams to: TP_KERNEL_RELAY, TP_KERNEL_CLIENTS.  @return
 * -1: the host has no such family */
int tp_kernel_path_fd(const struct tp_kernel_path *kp, enum tp_kernel_socket_kind kind,
		enum tp_family family);

/** As in tp_turn_ops.  Queued; goes out with tp_kernel_path_flush(). */
int tp_kernel_path_send_client(struct tp_kernel_path *kp, const struct tp_tuple *tuple,
		const struct tp_bytes part[], size_t n, const struct tp_ip_meta *meta);
int tp_kernel_path_send_peer(struct tp_kernel_path *kp, const struct tp_addr *relay_local,
		const struct tp_addr *peer, const struct tp_turn_packet *packet);

/** A frame that a worker could not finish, as it was received. */
void tp_kernel_path_punt(struct tp_kernel_path *kp, const uint8_t *frame, uint32_t len);

/** Send what is queued; once per round of the loop. */
void tp_kernel_path_flush(struct tp_kernel_path *kp);

/** To be called once a second or so: the kernel's counters are short. */
void tp_kernel_path_tick(struct tp_kernel_path *kp);

/** The kind's name in statistics and metrics: static, [a-z]. */
const char *tp_kernel_socket_name(enum tp_kernel_socket_kind kind);

/** Socket i, from 0 on.  @return false: there are no more */
bool tp_kernel_path_socket(
		struct tp_kernel_path *kp, uint32_t i, struct tp_kernel_socket_stats *out);

void tp_kernel_path_stats(const struct tp_kernel_path *kp, struct tp_kernel_path_stats *out);

#endif
