/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crowd - many TURN clients of one server: sockets, requests in flight, retransmissions.
 *
 * Clients differ in their address, and those of one address in their port: a socket is a port, and
 * sends from as many addresses as there are (IP_PKTINFO).  So a million clients need no million
 * descriptors, and one system call carries a batch of them.  With a single source the sockets are
 * bound and connected, and there is one for each client.
 *
 * Threads: one.  Memory: all of it at the start.
 */
#ifndef TP_BENCH_CROWD_H
#define TP_BENCH_CROWD_H

#include <stdint.h>

#include "client.h"
#include "sources.h"

#define TP_CROWD_TIMEOUT 1 /* instead of an error code: nobody answered */
#define TP_CROWD_DATA_MAX TP_CLIENT_REQUEST_MAX

struct tp_crowd;

struct tp_crowd_ops {
	/** Client i's request is over: code 0, an error code, or TP_CROWD_TIMEOUT. */
	void (*done)(void *ctx, uint32_t i, uint16_t code);

	/**
	 * What is no answer came to a socket, which is that of client i alone if there is but one
	 * source.  NULL: nobody cares.
	 */
	void (*data)(void *ctx, uint32_t i, const uint8_t *data, size_t len);
};

struct tp_crowd_conf {
	struct tp_addr server;
	const struct tp_sources *sources; /* client i has address i % count */
	uint16_t source_port;             /* client i has this + i / count; 0: any */
	uint32_t n_clients;
	struct tp_login *login; /* borrowed */
	const struct tp_crowd_ops *ops;
	void *ctx;
};

/* What it took. */
struct tp_crowd_stats {
	uint64_t requests;        /* sent, retransmissions and repetitions after a challenge too */
	uint64_t retransmissions; /* of these */
	uint64_t challenges;      /* answers 401 and 438 that were followed */
	uint64_t timeouts;
	uint64_t send_errors; /* datagrams that the kernel did not take */
};

/** Opens the sockets.  Ends the program, with a sentence, when it can not. */
struct tp_crowd *tp_crowd_new(const struct tp_crowd_conf *conf);
void tp_crowd_free(struct tp_crowd *crowd);

/** Send a request of client i, which has none under way; ops.done tells the rest. */
void tp_crowd_ask(struct tp_crowd *crowd, uint32_t i, const struct tp_request *request);

/** Send a datagram of up to TP_CROWD_DATA_MAX as it is; it is copied. */
void tp_crowd_send(struct tp_crowd *crowd, uint32_t i, const uint8_t *data, size_t len);

/**
 * Send what waits, receive, for up to timeout_ms when nothing is there, and retransmit what is due.
 */
void tp_crowd_poll(struct tp_crowd *crowd, int timeout_ms);

/** Borrowed.  To forget a nonce, or to look at the relayed address. */
struct tp_client *tp_crowd_client(struct tp_crowd *crowd, uint32_t i);

/** The client's own end. */
struct tp_addr tp_crowd_local(const struct tp_crowd *crowd, uint32_t i);

/** Requests under way. */
uint32_t tp_crowd_busy(const struct tp_crowd *crowd);

const struct tp_crowd_stats *tp_crowd_stats(const struct tp_crowd *crowd);

#endif
