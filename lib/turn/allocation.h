/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allocation - the state behind turn.h: allocations, their legs, permissions, channels and
 * reservations, the tables that find them and the timers that end them.
 *
 * Ownership is a tree: an allocation owns its permissions and channels and dies with its last
 * leg.  A permission outlives its time while channels point at it, without being in force, so
 * that a channel always has one to look at.
 *
 * Private to lib/turn.  Threads: one.
 */
#ifndef TP_TURN_ALLOCATION_H
#define TP_TURN_ALLOCATION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/bucket.h"
#include "base/table.h"
#include "turn/addr_index.h"
#include "turn/auth.h"
#include "turn/discovery.h"
#include "turn/flood.h"
#include "turn/hash.h"
#include "turn/mobility.h"
#include "turn/policy.h"
#include "turn/ports.h"
#include "turn/quota.h"
#include "turn/redirect.h"
#include "turn/timer.h"
#include "turn/turn.h"

#define TP_TOKEN_LEN 8

enum tp_timer_kind {
	TP_TIMER_LEG,
	TP_TIMER_PERMISSION,
	TP_TIMER_CHANNEL,
	TP_TIMER_RESERVATION,
};

struct tp_leg {
	bool is_present;
	uint8_t at; /* index in tp_allocation.leg */
	uint16_t port;
	uint32_t relay;
	struct tp_timer timer; /* set exactly while present */
};

struct tp_permission_key {
	uint64_t alloc_id;
	struct tp_addr ip;
	uint32_t zero;
};

struct tp_channel_number_key {
	uint64_t alloc_id;
	uint64_t number;
};

LIST_HEAD(tp_channel_list, tp_channel);
LIST_HEAD(tp_permission_list, tp_permission);

struct tp_permission {
	struct tp_permission_key key;
	struct tp_timer timer; /* set exactly while in force */
	struct tp_allocation *alloc;
	struct tp_channel_list channels; /* to this IP address */
	void *fast;                      /* the event handler's; only while in force */
	LIST_ENTRY(tp_permission) of_alloc;
	struct tp_link by_ip;
};

struct tp_channel {
	struct tp_channel_number_key number_key;
	struct tp_permission_key peer_key; /* with the port */
	struct tp_timer timer;             /* set but for the moment of its end */
	struct tp_allocation *alloc;
	struct tp_permission *perm;
	void *fast; /* the event handler's */
	LIST_ENTRY(tp_channel) of_alloc;
	LIST_ENTRY(tp_channel) of_perm;
	struct tp_link by_number, by_peer;
};

/* Peers whose permissions ended: who was reached by whom is asked long after (section 21.3.2). */
struct tp_past_peers {
	uint32_t n, room;
	struct tp_addr ip[];
};

struct tp_allocation {
	struct tp_tuple tuple;
	uint64_t id;
	uint32_t slot;
	uint32_t account;                   /* the event handler's */
	uint32_t n_permissions, n_channels; /* in force; bound */
	struct tp_leg leg[2];               /* IPv4, IPv6 */
	struct tp_permission_list permissions;
	struct tp_channel_list channels;
	struct tp_past_peers *past; /* NULL: none yet */
	uint64_t created_ns;
	struct tp_key key;          /* that it was made with, and so by which algorithm */
	uint64_t peers_full_ns;     /* of the bucket of new peers */
	struct tp_quota_user *user; /* whose quota it is part of */
	bool is_announced;          /* ops.allocated was called, so ops.ended will be */
	bool has_token;
	bool is_mobile, is_moving; /* see mobility.h */
	bool is_known;             /* ops.client_came took its five-tuple */
	uint8_t address_error_family;
	/* The Allocate that made it, so that a retransmission gets the same answer. */
	uint8_t tid[TP_STUN_TID_LEN];
	uint8_t token[TP_TOKEN_LEN];
	uint32_t lifetime_sec;
	uint16_t address_error; /* enum tp_stun_err, of the IPv6 or IPv4 half that was refused */
	struct tp_link by_tuple;
	uint16_t username_len;
	char username[]; /* NUL-terminated */
};

struct tp_reservation {
	uint8_t token[TP_TOKEN_LEN];
	struct tp_quota_user *user; /* who asked for it */
	uint32_t relay;
	uint16_t port;
	struct tp_timer timer;
	struct tp_link by_token;
};

struct tp_relay {
	struct tp_turn_relay addr;
	bool is_here; /* on this host just now: new allocations may get it */
	struct tp_ports *ports;
	struct tp_allocation **by_port; /* port - port_min -> owner */
};

struct tp_turn {
	struct tp_turn_ops ops;
	void *ctx;
	struct tp_auth *auth;
	struct tp_policy *policy;
	struct tp_addr_index own; /* addresses of this host */
	struct tp_relay *relays;
	uint32_t n_relays;
	uint32_t *usable[2], n_usable[2];           /* indices of those that are here: IPv4, IPv6 */
	struct tp_addr_index by_local, by_external; /* IP address to relay index */
	uint16_t port_min, port_max;
	uint16_t channel_max;
	uint32_t max_allocations, max_channels;
	struct tp_turn_limits limits;
	struct tp_quota *quota;
	struct tp_flood *flood;
	struct tp_turn_refused refused;
	bool default_is_listener, legacy_attributes;
	struct tp_redirect redirect;
	struct tp_discovery discovery;
	struct tp_mobility mobility;
	struct tp_timers timers;
	struct tp_bucket icmp;              /* Data indications about errors */
	struct tp_table by_tuple;           /* allocations */
	struct tp_table by_ip;              /* permissions, of their allocation */
	struct tp_table by_number, by_peer; /* channels, of theirs */
	struct tp_table by_token;           /* reservations */
	struct tp_allocation **slots;       /* every allocation has one; for walking */
	uint32_t n_slots, room_slots;
	uint32_t *free_slots;
	uint32_t n_free_slots;
	uint64_t next_id;
	uint32_t recheck_slot; /* where tp_turn_recheck() goes on */
	struct tp_turn_counts count;
	uint64_t n_auth[TP_AUTH_RESULT_COUNT];
};

/* Index of a family's leg. */
static inline unsigned tp_leg_at(uint8_t family)
{
	return family == TP_IPV6 ? 1 : 0;
}

static inline bool tp_permission_in_force(const struct tp_permission *perm)
{
	return perm->timer.place != 0;
}

/** Local relayed transport address of a leg that is present. */
struct tp_addr tp_leg_local(const struct tp_turn *turn, const struct tp_leg *leg);

/** What clients and peers call it. */
struct tp_addr tp_leg_external(const struct tp_turn *turn, const struct tp_leg *leg);

/** Tables of allocations and reservations, empty. */
void tp_allocations_init(struct tp_turn *turn);

/** End them all, and free what held them. */
void tp_allocations_fini(struct tp_turn *turn);

/** By its five-tuple, or by the one it is on its way to.  @return NULL: there is none */
struct tp_allocation *tp_allocation_find(struct tp_turn *turn, const struct tp_tuple *tuple);

/** Tell the event handler that a five-tuple is a client's from now on.  @return what
 *  tp_client_left() has to be told */
static inline bool tp_client_came(const struct tp_turn *turn, const struct tp_tuple *tuple)
{
	return turn->ops.client_came != NULL && turn->ops.client_came(turn->ctx, tuple);
}

/** It no longer is. */
static inline void tp_client_left(
		const struct tp_turn *turn, const struct tp_tuple *tuple, bool is_known)
{
	if (is_known)
		turn->ops.client_left(turn->ctx, tuple);
}

/** Take another five-tuple, which is nobody's; channels and permissions are published anew. */
void tp_allocation_move(
		struct tp_turn *turn, struct tp_allocation *alloc, const struct tp_tuple *tuple);

/** The allocation that owns a relayed port, or NULL. */
struct tp_allocation *tp_allocation_of_port(
		const struct tp_turn *turn, uint32_t relay, uint16_t port);

/** A new allocation without legs.  @return NULL: out of memory */
struct tp_allocation *tp_allocation_new(struct tp_turn *turn, const struct tp_tuple *tuple,
		const struct tp_stun_value *username, const struct tp_key *key, uint64_t now_ns);

/** Give it a relayed port that was taken from the relay's ports; opens it. */
void tp_allocation_add_leg(struct tp_turn *turn, struct tp_allocation *alloc, uint32_t relay,
		uint16_t port, uint64_t deadline_ns);

/** It is complete: tell the event handler. */
void tp_allocation_announce(struct tp_turn *turn, struct tp_allocation *alloc);

/** Move a leg's deadline; its channels and permissions follow. */
void tp_leg_set_deadline(struct tp_turn *turn, struct tp_allocation *alloc, struct tp_leg *leg,
		uint64_t deadline_ns);

/**
 * End a leg with its channels and permissions, and with the last leg the allocation.
 * @return whether the allocation is gone
 */
bool tp_leg_end(struct tp_turn *turn, struct tp_allocation *alloc, struct tp_leg *leg,
		enum tp_turn_end why);

/** End both legs; also frees an allocation that never got one. */
void tp_allocation_end(struct tp_turn *turn, struct tp_allocation *alloc, enum tp_turn_end why);

/** Tables of permissions and channels, empty. */
void tp_peers_init(struct tp_turn *turn);

/** All allocations are gone. */
void tp_peers_fini(struct tp_turn *turn);

/** The permission in force for an IP address, or NULL. */
struct tp_permission *tp_permission_find(struct tp_turn *turn, const struct tp_allocation *alloc,
		const struct tp_addr *peer);

/** Install or refresh.  @return the permission, NULL: out of memory */
struct tp_permission *tp_permission_set(struct tp_turn *turn, struct tp_allocation *alloc,
		const struct tp_addr *peer, uint64_t deadline_ns);

/** Its time is over, or it is forbidden now; one that channels need stays, without force. */
void tp_permission_end(struct tp_turn *turn, struct tp_permission *perm);

/** An indication was relayed by it: tell the fast path. */
void tp_permission_use(struct tp_turn *turn, struct tp_permission *perm);

/**
 * Remember a peer whose permission ends, or tell it at once without memory; unless the allocation's
 * end was told, and it with it.
 */
void tp_past_add(struct tp_turn *turn, struct tp_allocation *alloc, const struct tp_addr *ip);

/** May a datagram of so many bytes be relayed, as far as the limits go? */
static inline bool tp_allocation_admits(struct tp_turn *turn, const struct tp_allocation *alloc,
		bool is_up, size_t data_len, const struct tp_addr *peer)
{
	return turn->ops.admits == NULL ||
			turn->ops.admits(turn->ctx, alloc->account, is_up, data_len,
					(enum tp_family)peer->family);
}

/** It was. */
static inline void tp_allocation_relayed(struct tp_turn *turn, const struct tp_allocation *alloc,
		bool is_up, size_t data_len)
{
	if (turn->ops.relayed != NULL)
		turn->ops.relayed(turn->ctx, alloc->account, is_up, data_len);
}

/** As the fast path sees it; its allocation has the leg. */
void tp_channel_show(const struct tp_turn *turn, const struct tp_channel *ch,
		struct tp_turn_channel *out);

struct tp_channel *tp_channel_by_number(
		struct tp_turn *turn, const struct tp_allocation *alloc, uint16_t number);
struct tp_channel *tp_channel_by_peer(struct tp_turn *turn, const struct tp_allocation *alloc,
		const struct tp_addr *peer);

/**
 * Bind, with neither number nor peer bound yet; not yet published.
 * @return NULL: out of memory
 */
struct tp_channel *tp_channel_new(struct tp_turn *turn, struct tp_allocation *alloc,
		uint16_t number, const struct tp_addr *peer, struct tp_permission *perm);

/** Set its time, recompute both deadlines and tell the fast path. */
void tp_channel_set_deadline(
		struct tp_turn *turn, struct tp_channel *channel, uint64_t deadline_ns);

/** End it, and its permission if nothing else holds that. */
void tp_channel_end(struct tp_turn *turn, struct tp_channel *channel);

/** Take from the fast path all that it has of an allocation, which lives on. */
void tp_peers_hide(struct tp_turn *turn, struct tp_allocation *alloc);

/** A leg's deadline moved: tell the fast path of what hangs on it.  at: tp_leg_at() */
void tp_peers_publish(struct tp_turn *turn, struct tp_allocation *alloc, unsigned at);

/** End all channels and permissions of a leg.  at: tp_leg_at() */
void tp_peers_forget(struct tp_turn *turn, struct tp_allocation *alloc, unsigned at);

/** End what is to peers that are not allowed (any more). */
void tp_peers_recheck(
		struct tp_turn *turn, struct tp_allocation *alloc, struct tp_turn_forbidden *ended);

/** Keep a port aside under the allocation's token.  @return NULL: out of memory */
struct tp_reservation *tp_reservation_new(struct tp_turn *turn, const struct tp_allocation *alloc,
		uint32_t relay, uint16_t port, uint64_t deadline_ns);
struct tp_reservation *tp_reservation_find(struct tp_turn *turn, const uint8_t *token);

/** Forget it; its port goes back to the free ones unless the caller keeps it. */
void tp_reservation_end(struct tp_turn *turn, struct tp_reservation *r, bool keep_port);

/**
 * Is this the external address of one of our relayed addresses?
 * @return the relay index, or -1
 */
int tp_relay_of_external(const struct tp_turn *turn, const struct tp_addr *addr);

/** Is this one of our relayed addresses, as the host calls it?  @return as above */
int tp_relay_of_local(const struct tp_turn *turn, const struct tp_addr *addr);

/** May clients reach this peer?  With has_port, a relay address only on relayed ports. */
bool tp_peer_allowed(const struct tp_turn *turn, const struct tp_addr *peer, bool has_port);

#endif
