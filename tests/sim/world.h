/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world - a TURN server, what surrounds it, and the judge of both.
 *
 * Every datagram goes in through world_from_*(), which asks the model what must come of it, hands
 * it to the server in a buffer of exactly its size, compares, and compares the two states.  The
 * event handler keeps what it was told as a data path would ("shadow"), refuses flows when it is
 * told to, and holds the server to the order of events: what a client is told is true by then.
 */
#ifndef TP_TESTS_SIM_WORLD_H
#define TP_TESTS_SIM_WORLD_H

#include "choose.h"
#include "model.h"

#define WORLD_RELAYS 3
#define WORLD_USERS 3
#define WORLD_SENT_MAX 65536
#define WORLD_SHADOW 1024
#define WORLD_PEERS 128
#define WORLD_TRACE 64
#define WORLD_TRACE_BYTES 96

extern const char *const world_passwords[WORLD_USERS];

/* What the data path was told of one channel or permission. */
struct shadow_channel {
	bool is_on, is_fast;
	struct tp_turn_channel told;
};

struct shadow_permission {
	bool is_on;
	struct tp_turn_permission told;
};

/* Who pays for an allocation, and whom it was allowed to reach: for the record of its end. */
struct shadow_account {
	bool is_on, is_announced, is_forgetful; /* no memory, once: it may have lost a peer */
	struct tp_tuple tuple;
	unsigned n_peers;
	struct tp_addr peer[WORLD_PEERS];
};

/* What the server said that it relayed. */
struct world_relayed {
	uint32_t account;
	bool is_up;
	size_t len;
};

struct world_sent {
	bool is_to_peer;
	struct tp_tuple tuple;
	struct tp_addr relay_local, peer;
	struct tp_ip_meta meta;
	size_t len;
	uint8_t data[WORLD_SENT_MAX];
};

/* A line of the log: printed only after a failure. */
struct world_line {
	const char *what;
	uint64_t step, mono_ns;
	struct tp_addr from, to;
	enum tp_slow_verdict verdict;
	unsigned code;
	bool is_fault;
	size_t len;
	uint8_t data[WORLD_TRACE_BYTES];
};

struct world {
	struct tp_turn *turn;
	struct model model;
	struct tp_turn_now now;

	/* The configuration and what it points to. */
	struct tp_turn_conf conf;
	struct tp_turn_relay relays[WORLD_RELAYS];
	struct tp_turn_user users[WORLD_USERS];
	struct tp_turn_secret secrets[2];
	struct tp_prefix deny[4], allow[2];
	struct tp_addr own[6];
	struct tp_turn_listener listeners[3];
	struct tp_addr alternates[3];

	uint64_t random;
	uint32_t check_every; /* steps between looks at the whole state */

	/* What goes wrong from now on. */
	bool is_refusing;     /* the data path takes no flow */
	uint32_t fail_at;     /* which allocation of memory fails, from now; 0: none */
	bool is_account_full; /* the next allocation gets no account */
	bool is_narrow;       /* every datagram is larger than the way to a peer */
	int send_rc;          /* what sending returns, the next time */

	/* Of this call. */
	bool is_inside, is_fault, is_half, is_stopping;
	unsigned n_sent;
	struct world_sent sent;
	struct model_want want;
	struct model_opened opened;
	unsigned n_relayed;
	struct world_relayed relayed[2];

	/* From start to stop. */
	uint8_t is_open[WORLD_RELAYS][UINT16_MAX + 1]; /* 1: open, 2: and of who was announced */
	uint32_t n_open, n_allocated, n_ended;
	struct tp_tuple client[2 * MODEL_ALLOCATIONS + 2]; /* that came and did not leave */
	unsigned n_clients;
	struct shadow_channel channel[WORLD_SHADOW];
	struct shadow_permission permission[WORLD_SHADOW];
	struct shadow_account account[MODEL_ALLOCATIONS + 1]; /* 0: none */
	unsigned n_channel, n_permission; /* in use, or were: entries are below these */

	uint64_t n_reloads, n_arrivals;
	uint64_t step, hash;
	uint64_t n_verdict[TP_SLOW_VERDICT_COUNT], n_code[1000], n_faults;
	struct world_line line[WORLD_TRACE];
	uint64_t n_lines;
};

/** Which of w->client this is.  @return w->n_clients: none */
unsigned world_client(const struct world *w, const struct tp_tuple *tuple);

/** Set up and start, in zeroed memory: limits and seed are chosen. */
void world_init(struct world *w, struct choose *c);

/** Stop, and insist that everything was given back. */
void world_fini(struct world *w);

/** Stop and start again, with nothing left of what was. */
void world_restart(struct world *w, struct choose *c);

/** Other lists and limits, and everything looked at again. */
void world_reload(struct world *w, struct choose *c);

/** Is it limited what one allocation may reach? */
bool world_has_peer_limits(const struct world *w);

/** Begin to drain, or end. */
void world_drain(struct world *w, bool is_draining);

/** A relay address comes or goes. */
void world_relay_here(struct world *w, uint32_t relay, bool is_here);

/** The clock moves on. */
void world_sleep(struct world *w, uint64_t ns);

/** Everything that is due happens, and the states are compared. */
void world_expire(struct world *w);

/* Into the server.  @return the verdict, which is what the model said */

enum tp_slow_verdict world_from_client(struct world *w, const struct tp_tuple *tuple,
		const uint8_t *data, size_t len, struct tp_ip_meta meta);
enum tp_slow_verdict world_from_peer(struct world *w, const struct tp_addr *relay_local,
		const struct tp_addr *peer, const uint8_t *data, size_t len,
		struct tp_ip_meta meta);
enum tp_slow_verdict world_from_icmp(struct world *w, const struct tp_icmp_error *error);

/** Compare the whole state of server, model and data path (world_check.c). */
void world_check(struct world *w);

/** The last lines of the log, to stderr. */
void world_print(const struct world *w);

/* ---- between the files of world ---- */

extern const struct tp_turn_ops world_ops;
void world_enter(struct world *w);
void world_leave(struct world *w);
void world_hash(struct world *w, const void *data, size_t len);

/** An event from the server, in its place: never after the answer. */
void world_event(struct world *w, char what, uint64_t detail);

/* The configuration (world_conf.c): all of it; then what a reload changes, and a restart. */
void world_set_conf(struct world *w, struct choose *c);
void world_set_lists(struct world *w);
void world_set_other_lists(struct world *w);
void world_set_limits(struct world *w, struct choose *c);
void world_set_places(struct world *w, struct choose *c);

/* Of struct tp_turn_ops (world_account.c). */
int world_account_opened(void *ctx, uint32_t *account);
void world_account_closed(void *ctx, uint32_t account);
bool world_admits(void *ctx, uint32_t account, bool is_up, size_t data_len,
		enum tp_family peer_family);
void world_relayed(void *ctx, uint32_t account, bool is_up, size_t data_len);
void world_peers_past(void *ctx, const struct tp_allocation *alloc, const struct tp_addr peers[],
		uint32_t n);
void world_moved(void *ctx, const struct tp_allocation *alloc, const struct tp_tuple *from);
void world_account_announced(struct world *w, const struct tp_allocation *alloc);
void world_account_ended(struct world *w, const struct tp_allocation *alloc);

/** Memory that the server holds, in blocks. */
uint64_t world_blocks(void);

/** The account of an allocation by its five-tuple, or 0. */
uint32_t world_account(const struct world *w, const struct tp_tuple *tuple);

/** Is it the account of what lives, or ends just now, on a five-tuple? */
bool world_is_account(const struct world *w, uint32_t account, const struct tp_tuple *tuple);

struct shadow_channel *world_shadow(struct world *w, const struct tp_tuple *tuple, uint16_t number);

#endif
