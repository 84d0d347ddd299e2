/* SPDX-License-Identifier: Apache-2.0 */
/*
 * town - who uses a world: clients of several characters, peers, and a network between.
 *
 * A client knows what it was told and nothing of the model.  The network loses, doubles and
 * reorders what the sloppy send.  Every decision is chosen (choose.h): town_step() is one step
 * of a simulation, or one instruction of a fuzzer's program.
 *
 * To teach clients a new attribute: a field in struct ask, a line in ask_choose() and one in
 * ask_write().
 */
#ifndef TP_TESTS_SIM_TOWN_H
#define TP_TESTS_SIM_TOWN_H

#include "world.h"

#define TOWN_CLIENTS 24
#define TOWN_FLIGHT 48
#define TOWN_DATAGRAM 2048
#define TOWN_NUMBERS 8

enum character {
	GOOD,      /* asks for what it may have, in time; must never be refused */
	SLOPPY,    /* its datagrams are lost, doubled, late and out of order */
	FORGETFUL, /* never refreshes */
	HOSTILE,   /* knows a password, and nothing is sacred */
	MOVING,    /* behind a NAT that gives it a new port now and then */
};

/* How it authenticates. */
enum client_style {
	STYLE_5389,   /* MD5, HMAC-SHA1 */
	STYLE_MD5,    /* MD5 by PASSWORD-ALGORITHM, HMAC-SHA256 */
	STYLE_SHA256, /* SHA-256, HMAC-SHA256 */
	STYLE_HASH,   /* the same with USERHASH */
};

struct client_channel {
	uint16_t number; /* 0: not bound */
	struct tp_addr peer;
	uint64_t permitted_ns; /* when the permission ends, which is before the channel does */
};

struct client {
	enum character character;
	struct tp_tuple tuple;
	char name[MODEL_NAME_MAX], password[64];
	enum client_style style;
	struct tp_key key; /* of the style */
	uint8_t nonce[128];
	size_t nonce_len;
	uint8_t ticket[2][MODEL_TICKET_LEN]; /* the last, and the one before it */
	size_t ticket_len;
	uint64_t n_moved; /* n_asked when it spent a ticket */
	uint64_t n_asked; /* makes transaction ids */
	/* What it believes. */
	bool is_allocated;
	struct tp_addr relayed[2];
	uint64_t due_ns;
	struct client_channel channel[TOWN_NUMBERS];
	/* What it sent last. */
	uint8_t last[TOWN_DATAGRAM];
	size_t last_len;
};

struct flight {
	struct tp_tuple tuple;
	size_t len;
	uint8_t data[TOWN_DATAGRAM];
};

struct town {
	struct world world;
	struct choose choose;
	unsigned n_clients;
	struct client client[TOWN_CLIENTS + 1]; /* the last one is a stranger of the moment */
	unsigned n_flight;
	struct flight flight[TOWN_FLIGHT];
	uint8_t token[8]; /* the last that anybody was given: it is good for all (section 7.2) */
	uint64_t n_restarts, n_moves, n_probes;
};

/* A message in the making. */
struct ask {
	unsigned method; /* 0: ChannelData */
	unsigned n_peers;
	struct tp_addr peer[4];
	uint16_t number;
	uint8_t family, transport;         /* 0: the attribute is absent */
	uint8_t even;                      /* 1: R is 0, 2: R is 1 */
	bool has_additional, has_lifetime; /* ADDITIONAL-ADDRESS-FAMILY: IPv6 */
	uint32_t lifetime_sec;
	bool is_mobile;        /* an empty MOBILITY-TICKET */
	const uint8_t *ticket; /* whoever's; NULL: none */
	size_t ticket_len;
	bool is_again; /* the transaction id of who spent a ticket last */
	bool has_token, has_fingerprint, has_unknown, has_tail, is_df;
	bool is_unsigned, is_forged, is_nameless, is_bid_down;
	size_t data_len;
};

void town_init(struct town *t, unsigned n_clients);
void town_fini(struct town *t);
void town_step(struct town *t);

/** Everybody leaves: no time may bring back what is past. */
void town_drain(struct town *t);

/* ---- between the files of town ---- */

void ask_choose(struct town *t, const struct client *cl, struct ask *ask);
size_t ask_write(struct town *t, struct client *cl, const struct ask *ask, uint8_t *out);
struct tp_addr town_peer(struct town *t);

void client_init(struct town *t, struct client *cl, unsigned i);
void client_forget(struct client *cl);
void client_act(struct town *t, struct client *cl);

/** It reads the answer that was sent last. */
void client_hear(struct town *t, struct client *cl);

/** When a good client wants to act by itself. */
uint64_t client_wake_ns(const struct client *cl);

enum tp_slow_verdict town_deliver(
		struct town *t, const struct tp_tuple *tuple, const uint8_t *data, size_t len);
struct tp_ip_meta town_meta(struct town *t);

#endif
