/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model - what a TURN server must do, from RFC 8656: the judge of a simulation.
 *
 * Before a datagram goes into the server the model says what must come of it; after, it is told
 * what came, takes over what it could not know (which port, which token) and moves on.  It has
 * flat arrays that are looked at one by one and no timers: model_tick() drops what is past.
 *
 *     model_tick() -> model_from_*() -> the server -> model_learn(), when it was answered
 *
 * To teach it a new attribute: read it in model_<method>.c, say what changes in struct model_want,
 * apply it in model_apply.c.
 */
#ifndef TP_TESTS_SIM_MODEL_H
#define TP_TESTS_SIM_MODEL_H

#include "ref.h"
#include "turn/turn.h"

#include <uthash.h>

#define MODEL_ALLOCATIONS 64
#define MODEL_PERMISSIONS 64 /* of one allocation; nothing in a simulation asks for more */
#define MODEL_CHANNELS 128
#define MODEL_RESERVATIONS 64
#define MODEL_NONCES 262144 /* as many before those that are past are swept out */
#define MODEL_USERS 8
#define MODEL_NAME_MAX 64
#define MODEL_ICMP 512
#define MODEL_SOURCES 256 /* of requests; what owes nothing makes room */
#define MODEL_PICKS 16
#define MODEL_TICKET_LEN 128

struct model_leg {
	bool is_on;
	uint32_t relay;
	uint16_t port;
	uint64_t due_ns;
};

struct model_permission {
	struct tp_addr ip;
	uint64_t due_ns;
};

struct model_channel {
	uint16_t number;
	struct tp_addr peer;
	uint64_t due_ns;
};

struct model_allocation {
	bool is_on;
	struct tp_tuple tuple;
	char name[MODEL_NAME_MAX];
	struct tp_key key;
	struct model_leg leg[2]; /* IPv4, IPv6 */
	unsigned n_permissions, n_channels;
	struct model_permission permission[MODEL_PERMISSIONS];
	struct model_channel channel[MODEL_CHANNELS];
	/* The request that made it, and its answer. */
	uint8_t tid[12];
	uint32_t lifetime_sec;
	bool has_token, is_token_known;
	uint8_t token[8];
	/* RFC 8016. */
	uint64_t id;
	bool is_mobile, is_moving;
	uint16_t serial;       /* of the ticket that is good */
	uint64_t old_until_ns; /* the one before it is known until then, ... */
	uint8_t moved_tid[12]; /* ... to who spent it */
	struct tp_tuple moved_by, next;
	uint64_t peers_owed_ns, peers_at_ns; /* the limit of new peers: see model_take() */
	unsigned refused_code;               /* of one half of a dual allocation; 0: none */
	uint8_t refused_family;
};

struct model_reservation {
	bool is_on, is_token_known;
	char name[MODEL_NAME_MAX]; /* of who asked for it */
	uint8_t token[8];
	uint32_t relay;
	uint16_t port;
	uint64_t due_ns;
};

struct model_nonce {
	struct tp_addr client;
	uint8_t text[128];
	uint64_t wall_due_sec;
	UT_hash_handle hh; /* by text */
};

struct model_ticket {
	uint8_t text[MODEL_TICKET_LEN];
	uint64_t id; /* of the allocation, which may be gone */
	uint16_t serial;
	UT_hash_handle hh; /* by text */
};

/* What a source address, or one port of it, has had of its rate. */
struct model_source {
	struct tp_addr who;
	uint64_t owed_ns, at_ns;
};

/* Where a client was sent: the next time to the same. */
struct model_pick {
	struct tp_addr client, place;
	bool is_unicast;
};

struct model_user {
	char name[MODEL_NAME_MAX];
	struct tp_key md5, sha256;
	uint8_t hash[32]; /* USERHASH */
};

struct model {
	const struct tp_turn_conf *conf; /* borrowed: of the server that runs */
	struct model_user user[MODEL_USERS];
	unsigned n_users;
	struct tp_turn_now now;
	struct model_allocation alloc[MODEL_ALLOCATIONS];
	struct model_reservation reservation[MODEL_RESERVATIONS];
	struct model_nonce *nonces;
	struct model_ticket *tickets;
	struct model_source source[MODEL_SOURCES], tries[MODEL_SOURCES];
	uint64_t total_owed_ns, total_at_ns;
	struct model_pick pick[MODEL_PICKS];
	unsigned n_picks;
	bool is_draining;
	uint64_t next_id, n_redirected, n_moved;
	uint64_t icmp_ns[MODEL_ICMP]; /* when clients were told, a ring */
	uint32_t n_icmp;
	struct tp_turn_counts count;
	bool is_gone[4];    /* the relay address is not on the host */
	bool is_limited[2]; /* nothing more may be relayed now: down, up */
};

enum model_change {
	MODEL_NOTHING,
	MODEL_ALLOCATE,
	MODEL_REFRESH,
	MODEL_PERMIT,
	MODEL_BIND,
};

/* What a request asks for, as far as it was understood. */
struct model_ask {
	bool leg[2], is_dual, is_even, has_next, is_mobile;
	struct model_reservation *reservation;
	uint32_t lifetime_sec;
	unsigned n_peers;
	struct tp_addr peer[MODEL_PERMISSIONS];
	uint16_t number;
};

struct model_want {
	enum tp_slow_verdict verdict;
	bool is_request;
	struct ref_msg msg;
	const struct tp_tuple *tuple;

	/* Answered. */
	unsigned code; /* 0: success */
	bool is_signed, is_challenge;
	bool is_legacy; /* of RFC 5389: no PASSWORD-ALGORITHM */
	struct tp_key key;
	char name[MODEL_NAME_MAX];
	struct model_allocation *alloc;
	enum model_change change;
	struct model_ask ask;
	bool is_retransmission;
	bool is_by_ticket, is_move; /* RFC 8016: by another's five-tuple, and for the first time */
	/* A move ends in this call: data goes to another five-tuple. */
	bool is_arrival;
	struct tp_tuple moved_from, moved_to;

	/* Relayed. */
	bool is_to_peer;
	const struct model_allocation *to; /* else to this client */
	struct tp_addr relay_local, peer;
	uint16_t number; /* of ChannelData; 0: a Data indication */
	const uint8_t *data;
	size_t len;
	struct tp_ip_meta meta;
	bool is_icmp, may_be_rate; /* the limit on ICMP may apply */
	struct tp_icmp_error error;
	bool is_df_asked; /* too big is told by an indication */
};

/** Start from nothing; names and passwords of conf's users come separately. */
void model_init(struct model *m, const struct tp_turn_conf *conf);
void model_fini(struct model *m);
void model_add_user(struct model *m, const char *name, const char *password);

/** A new time: what is past ends. */
void model_tick(struct model *m, const struct tp_turn_now *now);

/** When something ends next; UINT64_MAX: never. */
uint64_t model_next_ns(const struct model *m);

void model_from_client(struct model *m, const struct tp_tuple *tuple,
		const struct tp_turn_packet *packet, struct model_want *want);
void model_from_peer(struct model *m, const struct tp_addr *relay_local, const struct tp_addr *peer,
		const struct tp_turn_packet *packet, struct model_want *want);
void model_from_icmp(struct model *m, const struct tp_icmp_error *error, struct model_want *want);

/**
 * May it be answered who has not authenticated, and may his credentials be looked at?  What is
 * granted is charged (model_flood.c).
 *
 * @return TP_SLOW_ANSWERED or what becomes of it
 */
enum tp_slow_verdict model_flood_answer(
		struct model *m, const struct tp_addr *client, bool is_proven);
enum tp_slow_verdict model_flood_check(struct model *m, const struct tp_addr *client);
void model_flood_failed(struct model *m, const struct tp_addr *client);

/**
 * Take n from what grows by per_sec a second to at most burst.
 *
 * @param[in,out] owed_ns, at_ns  how long it takes to be full again, and since when: 0 at first
 */
bool model_take(uint64_t *owed_ns, uint64_t *at_ns, uint32_t per_sec, uint32_t burst, uint32_t n,
		uint64_t now_ns);

/** Where is an Allocate served (model_redirect.c)?  @return 0: here, 300, or 508: nowhere */
unsigned model_redirect(const struct model *m, const struct tp_tuple *tuple, bool is_reserved);
void model_judge_redirect(
		struct model *m, const struct tp_tuple *tuple, const struct ref_msg *answer);

/** Tickets (model_mobility.c): the allocation of the one in want->msg; *is_ours: we made it. */
struct model_allocation *model_ticket(
		struct model *m, const struct model_want *want, bool *is_ours, uint16_t *serial);
unsigned model_check_ticket(struct model *m, struct model_want *want);
void model_move(struct model *m, struct model_want *want);
void model_judge_ticket(
		struct model *m, const struct model_allocation *a, const struct ref_msg *answer);
void model_forget_tickets(struct model *m);

/** Data came by this five-tuple: the allocation is there now. */
void model_arrive(struct model *m, struct model_want *want, struct model_allocation *a);

/** Who asks (model_auth.c)?  @return 0 or the code to refuse it with */
unsigned model_authenticate(struct model *m, struct model_want *want);

/** A request (model_request.c) and its methods, for model_from_client(). */
void model_request(struct model *m, struct model_want *want);
unsigned model_allocate(struct model *m, struct model_want *want);
unsigned model_refresh(struct model *m, struct model_want *want);
unsigned model_permit(struct model *m, struct model_want *want);
unsigned model_bind(struct model *m, struct model_want *want);

/* Ports that were opened during the call, in order. */
struct model_opened {
	unsigned n;
	struct {
		uint32_t relay;
		uint16_t port;
	} port[2];
};

/** It went as wanted: what changes, changes.  Ports that it can not be are a failure. */
void model_apply(struct model *m, struct model_want *want, const struct model_opened *opened);

/** Judge an answer and learn from it.  @param after  what is in force once it was answered */
void model_judge_answer(
		struct model *m, const struct model_want *want, const uint8_t *data, size_t len);

/** PASSWORD-ALGORITHMS that are offered: SHA-256, then MD5. */
extern const uint8_t model_algorithms[8];

/** May this nonce be used from here, now? */
bool model_nonce_ok(const struct model *m, const struct tp_addr *client, struct ref_value nonce);

/** Was it given to this client, however long ago? */
bool model_nonce_is_ours(
		const struct model *m, const struct tp_addr *client, struct ref_value nonce);
void model_nonce_given(struct model *m, const struct tp_addr *client, struct ref_value nonce);

/** May clients reach this peer?  RFC 8656 section 21, and the lists of the configuration. */
bool model_peer_ok(const struct model *m, const struct tp_addr *peer, bool has_port);

/** The lists of the configuration changed: what they deny now ends. */
void model_recheck(struct model *m, struct tp_turn_forbidden *ended);

/** What of a user name is counted, and how many allocations that user has. */
const char *model_counted_name(const char *name);
unsigned model_allocations_of(const struct model *m, const char *name);

struct model_allocation *model_find(struct model *m, const struct tp_tuple *tuple);
struct model_allocation *model_owner(struct model *m, uint32_t relay, uint16_t port);
bool model_has_permission(const struct model_allocation *a, const struct tp_addr *ip);
struct model_channel *model_by_number(struct model_allocation *a, uint16_t number);
struct model_channel *model_by_peer(struct model_allocation *a, const struct tp_addr *peer);
int model_relay_of(const struct model *m, const struct tp_addr *addr, bool is_local);
struct tp_addr model_relayed(const struct model *m, const struct model_leg *leg, bool is_local);

static inline unsigned model_at(const struct tp_addr *a)
{
	return a->family == TP_IPV6;
}

/** The judge's verdict: print it with what led to it, and end.  In sim.c and fuzz_turn.c. */
__attribute__((noreturn, format(printf, 1, 2))) void sim_fail(const char *format, ...);

#endif
