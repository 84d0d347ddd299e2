/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn - the TURN server (RFC 8656) as a sans-I/O core.
 *
 * Datagrams go in, with the time; datagrams, and changes of what is relayed, come out through
 * tp_turn_ops.  No clock, socket, thread or random source of its own, so that a stepped clock, a
 * fuzzer and the real loop drive the same code.
 *
 *     allocation (five-tuple) --+-- leg IPv4: relayed address, deadline
 *                               +-- leg IPv6: relayed address, deadline
 *                               +-- permissions (peer IP, 300 s)
 *                               +-- channels (number <-> peer, 600 s)
 *
 * Which deadline wins: client to peer, a channel needs only its binding and its leg (RFC 8656
 * section 12.6); peer to client, it needs the permission as well (section 11.3).  So a channel
 * whose permission ran out still sends, and receives nothing.
 *
 * Threads: one.  Memory: allocated as clients allocate, bounded by tp_turn_conf; nothing is
 * stored for an unauthenticated source (section 5; nonces are stateless).
 */
#ifndef TP_TURN_TURN_H
#define TP_TURN_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/verdict.h"
#include "wire/credential.h"
#include "wire/icmp.h"
#include "wire/integrity.h"
#include "wire/ip.h"

struct tp_turn;

#define TP_TURN_PERMISSION_SEC 300 /* RFC 8656 section 9: MUST */
#define TP_TURN_CHANNEL_SEC 600    /* section 12 */
#define TP_TURN_LIFETIME_SEC 600   /* section 3.2: default */
#define TP_TURN_MAX_LIFETIME_SEC 3600
#define TP_TURN_NONCE_SEC 3600     /* section 5: expire at least hourly */
#define TP_TURN_RESERVATION_SEC 30 /* section 7.2: at least */
#define TP_TURN_TTL 64             /* of what is made here */
#define TP_TURN_ALGORITHMS 2       /* password algorithms that there are */
#define TP_TURN_PAST_PEERS 64      /* remembered of an allocation, besides those in force */

/*
 * Clients are told of so many ICMP errors, all together: what costs its sender nothing must not
 * make us send without bound.  An error that is not told is as one that the network lost.
 */
#define TP_TURN_ICMP_PER_SEC 200
#define TP_TURN_ICMP_BURST 100

enum tp_turn_transport {
	TP_TURN_UDP = 17,
};

/* The five-tuple: identifies an allocation (section 3.2).  No padding: a hash key. */
struct tp_tuple {
	struct tp_addr client;
	struct tp_addr server; /* the listener's address and port that the client used */
	uint32_t transport;    /* enum tp_turn_transport */
};

/* A relay address of this host and what clients are told; the same unless behind 1:1 NAT. */
struct tp_turn_relay {
	struct tp_addr local, external; /* same family, port 0 */
};

/* An address and port where clients reach us. */
struct tp_turn_listener {
	struct tp_addr local, external; /* same family, with ports; equal unless behind 1:1 NAT */
	bool is_anycast;                /* of many servers: allocations live elsewhere (RFC 8155) */
};

/*
 * Listeners between which a client may choose where its Binding is answered from (RFC 5780): all
 * four pairs of one of two addresses and one of two ports.
 */
struct tp_turn_discovery {
	struct tp_addr address[2]; /* local, of one family; ports play no part */
	uint16_t port[2];
};

/* The listener of the first or second address (place 0, 2) and first or second port (0, 1). */
static inline struct tp_addr tp_turn_discovery_at(
		const struct tp_turn_discovery *discovery, unsigned place)
{
	struct tp_addr a = discovery->address[place >> 1];

	a.port = discovery->port[place & 1];
	return a;
}

/* When an Allocate is answered with 300 and another server's address. */
enum tp_turn_redirect {
	TP_TURN_REDIRECT_DRAINING, /* while tp_turn_drain() is in force */
	TP_TURN_REDIRECT_FULL,     /* and instead of 508 for max_allocations */
	TP_TURN_REDIRECT_ALWAYS,
};

/* Long-term keys, never the password (section 5); either may be absent. */
struct tp_turn_user {
	char *name;
	struct tp_key md5, sha256;
};

/* Shared with who hands out time-limited credentials: wire/credential.h. */
struct tp_turn_secret {
	uint8_t *data;
	size_t len;
};

/*
 * What one user, one allocation and one source may take.  0 of any: no limit.  What is refused
 * changes nothing; what is there when a limit is lowered stays.
 */
struct tp_turn_limits {
	uint32_t allocations_per_user;       /* beyond: 486 */
	uint32_t channels_per_allocation;    /* beyond: 508 */
	uint32_t permissions_per_allocation; /* beyond: 508 */
	/* Permissions and channels to peers that had none; ten seconds' worth at once.  Beyond: 508
	 */
	uint32_t new_peers_per_sec;
	/* Answers a second to who has not authenticated; beyond: dropped.  See flood.h. */
	uint32_t unauthenticated_per_source, unauthenticated_total;
};

#define TP_TURN_NEW_PEERS_BURST_SEC 10
#define TP_TURN_RATE_MAX 1000000 /* of all that is per second */

/* Why a request was refused for what is there already; X(name, text, help). */
/* clang-format off */
#define TP_TURN_REFUSALS(X)                                                                        \
	X(USER_ALLOCATIONS, "allocations_per_user", "486: the user's allocations")                 \
	X(ALLOCATIONS, "allocations", "508: all allocations")                                      \
	X(CHANNELS, "channels", "508: the channels of all allocations")                            \
	X(ALLOCATION_CHANNELS, "channels_per_allocation", "508: the allocation's channels")        \
	X(ALLOCATION_PERMISSIONS, "permissions_per_allocation", "508: the allocation's permissions") \
	X(NEW_PEERS, "new_peers_per_sec", "508: too many new peers a second")                      \
	X(ELSEWHERE, "not_here", "508: draining or anycast, and no other server to name")          \
	X(PORTS, "relay_ports", "508: no relayed port is free")                                    \
	X(MEMORY, "memory", "508: out of memory")
/* clang-format on */

enum tp_turn_refusal {
#define X(name, text, help) TP_TURN_REFUSED_##name,
	TP_TURN_REFUSALS(X)
#undef X
	TP_TURN_REFUSAL_COUNT
};

/** The reason's name in statistics and metrics: static, [a-z0-9_]. */
const char *tp_turn_refusal_name(enum tp_turn_refusal why);

struct tp_turn_conf {
	const char *realm;
	uint8_t nonce_key[TP_SHA256_LEN];   /* unpredictable; new at every start */
	const struct tp_turn_relay *relays; /* order is the relay index of the events */
	uint32_t n_relays;
	uint16_t port_min, port_max; /* relayed ports, inclusive */
	const struct tp_turn_user *users;
	uint32_t n_users;
	const struct tp_turn_secret *secrets;
	uint32_t n_secrets;
	enum tp_credential_hmac secret_hmac;
	bool is_expiry_strict; /* an expired name loses its allocation's requests as well */
	/*
	 * Password algorithms offered, the preferred one first (RFC 8489 section 14.11).  Without
	 * MD5 there are no clients of RFC 5389, nor HMAC-SHA1.  0: SHA-256, then MD5.
	 */
	uint8_t n_algorithms;
	enum tp_password_algorithm algorithms[TP_TURN_ALGORITHMS];
	const struct tp_prefix *deny, *allow; /* peers; the longest that holds one decides */
	uint32_t n_deny, n_allow;
	const struct tp_addr
			*own; /* addresses of this host, denied as peers but for relayed ports */
	uint32_t n_own;
	uint32_t max_allocations; /* beyond: 508 */
	uint32_t max_channels;    /* on all allocations together; beyond: 508 */
	struct tp_turn_limits limits;
	bool legacy_channels;     /* channel numbers up to 0x7fff (RFC 5766) */
	bool legacy_attributes;   /* 0x8032 is ADDITIONAL-ADDRESS-FAMILY too, as in a draft of it */
	bool mobility;            /* allowed; else who asks for a ticket gets 405 (RFC 8016) */
	bool default_is_listener; /* no family asked for: the listener's, not IPv4 (section 7.2) */
	/* What is to be known of listeners; one that is not here is unicast and not behind NAT. */
	const struct tp_turn_listener *listeners;
	uint32_t n_listeners;
	const struct tp_turn_discovery *discovery; /* no listener is in two of them */
	uint32_t n_discovery;
	const struct tp_addr *alternates; /* ALTERNATE-SERVER, with ports; any number of a family */
	uint32_t n_alternates;
	enum tp_turn_redirect redirect;
};

/* What is known of a datagram besides its bytes. */
struct tp_turn_packet {
	const uint8_t *data; /* borrowed for the call */
	size_t len;
	struct tp_ip_meta meta; /* as received, or as it is to leave */
};

struct tp_allocation;
struct tp_channel;

/*
 * Who counts what an allocation relays, and in how many packets and bits a second: a number that
 * the event handler gave, for both legs, and for as long as the allocation lives whatever becomes
 * of its five-tuple.
 */
#define TP_TURN_NO_ACCOUNT 0

/*
 * A channel as the fast path needs to know it: a snapshot for one call, of which the core keeps
 * only `fast`.
 */
struct tp_turn_channel {
	uint16_t number;
	uint32_t account;
	struct tp_tuple tuple;
	struct tp_addr relay_local;    /* with the relayed port */
	struct tp_addr relay_external; /* what the client calls it */
	uint32_t relay;                /* index of the relay address */
	struct tp_addr peer;           /* as the client calls it */
	bool is_hairpin;               /* peer is a relayed address (external) of this server ... */
	struct tp_addr peer_local;     /* ... and this is it, local; else the same as peer */
	uint64_t up_deadline_ns;       /* client to peer */
	uint64_t down_deadline_ns;     /* peer to client */
	void *fast;                    /* the event handler's, NULL at first */
};

/*
 * A permission as the fast path needs to know it: a snapshot for one call, of which the core keeps
 * only `fast`.  Ports of peers are 0: a permission is for an IP address.
 */
struct tp_turn_permission {
	uint32_t account;
	struct tp_tuple tuple;
	struct tp_addr relay_local;    /* with the relayed port */
	struct tp_addr relay_external; /* what the client calls it */
	uint32_t relay;                /* index of the relay address */
	struct tp_addr peer;           /* as the client calls it */
	bool is_hairpin;               /* peer is a relay address (external) of this server ... */
	struct tp_addr peer_local;     /* ... and this is it, local; else the same as peer */
	uint64_t deadline_ns;          /* both ways */
	/*
	 * A channel to this address has channel->fast == NULL: what comes from the peer may have to
	 * go as ChannelData (section 12.5), so that the core must see all of it.
	 */
	bool has_slow_channel;
	void *fast; /* the event handler's, NULL at first; kept between calls */
};

/* Why an allocation or one of its legs ended. */
enum tp_turn_end {
	TP_TURN_END_EXPIRED,
	TP_TURN_END_DELETED, /* Refresh with lifetime 0 */
	TP_TURN_END_SHUTDOWN,
};

/*
 * What the core asks of its surroundings.  Calls are made from inside tp_turn_*(), never
 * re-entered; arguments are borrowed for the call.
 */
struct tp_turn_ops {
	/** Fill with unpredictable bytes (ports, tokens). */
	void (*random)(void *ctx, void *out, size_t len);

	/**
	 * Send to a client from the address it came to: the parts, one after the other, are the
	 * datagram.  @return 0 or -E: counted as drop_send
	 */
	int (*send_client)(void *ctx, const struct tp_tuple *tuple, const struct tp_bytes part[],
			size_t n, const struct tp_ip_meta *meta);

	/**
	 * Send to a peer from a local relayed address.
	 *
	 * Both: -EMSGSIZE says that the packet is larger than the way out and must not be
	 * fragmented: drop_too_big.
	 *
	 * @return 0 or -E: counted as drop_send
	 */
	int (*send_peer)(void *ctx, const struct tp_addr *relay_local, const struct tp_addr *peer,
			const struct tp_turn_packet *packet);

	/** A relayed port begins or ceases to exist. */
	void (*port_opened)(void *ctx, uint32_t relay, uint16_t port);
	void (*port_closed)(void *ctx, uint32_t relay, uint16_t port);

	/**
	 * A channel was bound, or one of its deadlines moved.  Workers may use it when this
	 * returns; only then is the ChannelBind answered.
	 */
	void (*channel_set)(void *ctx, struct tp_turn_channel *channel);

	/** A channel ends; the handler lets go of channel->fast. */
	void (*channel_cleared)(void *ctx, struct tp_turn_channel *channel);

	/**
	 * An indication was relayed by a permission; or, while permission->fast is not NULL, the
	 * deadline or has_slow_channel changed.  So what only channels use is never told.
	 */
	void (*permission_used)(void *ctx, struct tp_turn_permission *permission);

	/** A permission with permission->fast ends; the handler lets go of it. */
	void (*permission_cleared)(void *ctx, struct tp_turn_permission *permission);

	/** Largest packet on the way to a peer, bytes.  NULL: not known, and not reported. */
	uint16_t (*path_mtu)(
			void *ctx, const struct tp_addr *relay_local, const struct tp_addr *peer);

	/**
	 * The account of a new allocation; all four may be NULL together.
	 *
	 * @param[out] account  not TP_TURN_NO_ACCOUNT
	 * @return 0 or -E: the allocation is refused (508)
	 */
	int (*account_opened)(void *ctx, uint32_t *account);

	/** No channel or permission of the account is left; after `ended`, where that was called.
	 */
	void (*account_closed)(void *ctx, uint32_t account);

	/** Does the limit let a datagram pass?  @param data_len  application data, bytes */
	bool (*admits)(void *ctx, uint32_t account, bool is_up, size_t data_len,
			enum tp_family peer_family);

	/** The kernel path relayed a datagram; relay to relay, one up and one down. */
	void (*relayed)(void *ctx, uint32_t account, bool is_up, size_t data_len);

	/**
	 * Addresses that had permissions, at most TP_TURN_PAST_PEERS: no room is left to remember
	 * them until the end.  May be NULL.
	 */
	void (*peers_past)(void *ctx, const struct tp_allocation *alloc,
			const struct tp_addr peers[], uint32_t n);

	/**
	 * What comes by this five-tuple is a client's from now on, or no longer: it has an
	 * allocation, or one is about to move to it (RFC 8016).  Both may be NULL.
	 *
	 * @return whether client_left() is to be called for it
	 */
	bool (*client_came)(void *ctx, const struct tp_tuple *tuple);
	void (*client_left)(void *ctx, const struct tp_tuple *tuple);

	/** For the log; either may be NULL. */
	void (*allocated)(void *ctx, const struct tp_allocation *alloc);
	void (*ended)(void *ctx, const struct tp_allocation *alloc, enum tp_turn_end why);

	/**
	 * The client of a mobile allocation has a new five-tuple, which data goes to from now on;
	 * before this its channels were cleared and set again.  May be NULL.
	 */
	void (*moved)(void *ctx, const struct tp_allocation *alloc, const struct tp_tuple *from);
};

/**
 * @param[in] conf  copied, strings and keys included
 * @param[out] out  owned by the caller, released with tp_turn_free()
 * @return 0, -EINVAL (no realm, no relay address, empty port range) or -ENOMEM
 */
int tp_turn_new(const struct tp_turn_conf *conf, const struct tp_turn_ops *ops, void *ctx,
		struct tp_turn **out);

/** Ends every allocation (TP_TURN_END_SHUTDOWN) and wipes keys. */
void tp_turn_free(struct tp_turn *turn);

/**
 * Apply what can change while it runs: realm, users, secrets, deny, allow, max_allocations,
 * limits, listeners (what is known of them), alternates, redirect, default_is_listener, mobility
 * (who has a ticket keeps it).  The rest of conf is not looked at.  Allocations stay, those of
 * users who are gone too, until their time ends: no request of such a user is accepted any more.
 * What the new lists deny ends in tp_turn_recheck().
 *
 * @return 0 or -ENOMEM: nothing was changed
 */
int tp_turn_reload(struct tp_turn *turn, const struct tp_turn_conf *conf);

/**
 * The addresses of this host, all of them: conf.own, when they change.  What it denies now ends in
 * tp_turn_recheck().
 *
 * @param own  copied; ports play no part
 * @return 0 or -ENOMEM: nothing was changed
 */
int tp_turn_set_own(struct tp_turn *turn, const struct tp_addr own[], uint32_t n);

/**
 * A relay address came to this host, or went: new allocations get ports on those that are here
 * (all, at first); without any of a family, 508.  What is allocated stays: the address may return.
 */
void tp_turn_set_relay_here(struct tp_turn *turn, uint32_t relay, bool is_here);

/* What ended because it is forbidden now. */
struct tp_turn_forbidden {
	uint64_t permissions, channels;
};

/**
 * Look at the permissions and channels of up to n allocations (slots) again, and end those to
 * peers that are no longer allowed.  To be called after tp_turn_reload() until it returns false,
 * in slices, so that a million allocations do not stop the loop.  What clients ask for meanwhile
 * is judged by the new lists at once.
 *
 * @param[in,out] ended  is added to
 * @return whether there is more
 */
bool tp_turn_recheck(struct tp_turn *turn, uint32_t n, struct tp_turn_forbidden *ended);

/* The two clocks of a call: deadlines, and the time of day (credentials, nonces). */
struct tp_turn_now {
	uint64_t mono_ns;
	uint64_t wall_sec;
};

/** Change limits while it runs.  @return 0, or -ENOMEM, and all are as they were */
int tp_turn_set_limits(struct tp_turn *turn, const struct tp_turn_limits *limits);

/** A datagram arrived at a listener.  @return its verdict: exactly one */
enum tp_slow_verdict tp_turn_from_client(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_tuple *tuple, const struct tp_turn_packet *packet);

/** A datagram arrived at a relayed port.  @return its verdict: exactly one */
enum tp_slow_verdict tp_turn_from_peer(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_addr *relay_local, const struct tp_addr *peer,
		const struct tp_turn_packet *packet);

/**
 * An ICMP error arrived about a datagram of error->src, which may be a local relayed address
 * (section 11.5).
 *
 * @return its verdict: exactly one; TP_SLOW_RELAYED when the client was told
 */
enum tp_slow_verdict tp_turn_from_icmp(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_icmp_error *error);

/**
 * Begin or end to drain: what is allocated lives on and can be refreshed, and a port that was
 * reserved can be claimed; any other Allocate is answered 300, or 508 where there is no alternate
 * server of the client's family.
 */
void tp_turn_drain(struct tp_turn *turn, bool is_draining);

/** Do everything that is due. */
void tp_turn_expire(struct tp_turn *turn, uint64_t now_ns);

/** @return when tp_turn_expire() next has something to do; UINT64_MAX: nothing */
uint64_t tp_turn_next_ns(const struct tp_turn *turn);

/* Looking at it: for the control socket and tests. */

/* No padding, so that two of them can be compared whole. */
struct tp_turn_counts {
	uint32_t allocations, permissions, channels, ports, reservations;
	uint32_t users;      /* who have allocations */
	uint64_t mobile;     /* allocations that have a mobility ticket */
	uint64_t redirected; /* Allocates answered 300, since the start */
	uint64_t changed;    /* Bindings answered from another listener (RFC 5780), as well */
	uint64_t moved;      /* times that an allocation's data took a new five-tuple, since then */
};

_Static_assert(sizeof(struct tp_turn_counts) == 6 * sizeof(uint32_t) + 4 * sizeof(uint64_t),
		"no padding");

void tp_turn_count(const struct tp_turn *turn, struct tp_turn_counts *out);

/*
 * What came of a request that needs authentication, in the order of the checks of RFC 8489 section
 * 9.2.4: X(name, text, error code, help).
 */
/* clang-format off */
#define TP_AUTH_RESULTS(X)                                                                         \
	X(ACCEPTED_LEGACY, "accepted_legacy", TP_STUN_OK,              "MD5 key, no PASSWORD-ALGORITHM: a client of RFC 5389") \
	X(ACCEPTED_MD5,    "accepted_md5",    TP_STUN_OK,              "MD5 key, by PASSWORD-ALGORITHM")                       \
	X(ACCEPTED_SHA256, "accepted_sha256", TP_STUN_OK,              "SHA-256 key")                                          \
	X(CHALLENGED,      "challenged",      TP_STUN_UNAUTHENTICATED, "no message integrity: every client's first request")   \
	X(INCOMPLETE,      "incomplete",      TP_STUN_BAD_REQUEST,     "no user name, realm or nonce")                         \
	X(BAD_ALGORITHMS,  "bad_algorithms",  TP_STUN_BAD_REQUEST,     "PASSWORD-ALGORITHM(S) not as offered: a bid-down, or a broken client") \
	X(TOO_WEAK,        "too_weak",        TP_STUN_UNAUTHENTICATED, "MD5 or HMAC-SHA1, which the configuration refuses")    \
	X(UNKNOWN_USER,    "unknown_user",    TP_STUN_UNAUTHENTICATED, "no such user")                                         \
	X(EXPIRED,         "expired",         TP_STUN_UNAUTHENTICATED, "time-limited user name that is over")                  \
	X(NO_KEY,          "no_key",          TP_STUN_UNAUTHENTICATED, "the user has no key of the chosen algorithm")          \
	X(WRONG_PASSWORD,  "wrong_password",  TP_STUN_UNAUTHENTICATED, "message integrity does not match")                     \
	X(STALE_NONCE,     "stale_nonce",     TP_STUN_STALE_NONCE,     "nonce expired, changed, or of another source")
/* clang-format on */

enum tp_auth_result {
#define X(name, text, error, help) TP_AUTH_##name,
	TP_AUTH_RESULTS(X)
#undef X
	TP_AUTH_RESULT_COUNT
};

/** The result's name in statistics and metrics: static, [a-z0-9_]. */
const char *tp_auth_result_name(enum tp_auth_result result);

/** What the client is answered; TP_STUN_OK: its request is processed. */
enum tp_stun_err tp_auth_result_error(enum tp_auth_result result);

/** Requests that ended so; all results together are all requests that need authentication. */
uint64_t tp_turn_auth_count(const struct tp_turn *turn, enum tp_auth_result result);
#define TP_TURN_ERROR_MIN 300
#define TP_TURN_ERROR_MAX 599

/* Requests answered with an error, since the start. */
struct tp_turn_refused {
	uint64_t why[TP_TURN_REFUSAL_COUNT];
	uint64_t code[TP_TURN_ERROR_MAX - TP_TURN_ERROR_MIN + 1]; /* by STUN error code */
};

/** @return borrowed; good until tp_turn_free() */
const struct tp_turn_refused *tp_turn_refused(const struct tp_turn *turn);

/* One relay address. */
struct tp_turn_relay_info {
	struct tp_turn_relay addr;
	bool is_here;
	uint32_t n_ports, n_free;
};

/** relay: index into tp_turn_conf.relays */
void tp_turn_relay_info(const struct tp_turn *turn, uint32_t relay, struct tp_turn_relay_info *out);

/* A snapshot of one allocation; strings borrowed until the next call into turn. */
struct tp_allocation_info {
	const struct tp_tuple *tuple;
	const char *username; /* whatever bytes it is known by, and a NUL */
	size_t username_len;
	uint32_t account;
	uint64_t id; /* counts up from 1 for the life of the process */
	struct {
		bool is_present;
		struct tp_addr local, external;
		uint64_t deadline_ns;
	} leg[2]; /* IPv4, IPv6 */
	uint32_t n_permissions, n_channels;
	uint64_t created_ns;
};

void tp_allocation_info(const struct tp_turn *turn, const struct tp_allocation *alloc,
		struct tp_allocation_info *out);

/**
 * Addresses that have, or had, a permission, each once; but not what peers_past() was told.
 *
 * @return how many there are; the first max of them are in out
 */
uint32_t tp_allocation_peers(const struct tp_allocation *alloc, struct tp_addr out[], uint32_t max);

/**
 * Walk the allocations, in no particular order.
 *
 * @param[in,out] cursor  0 to start; stays valid whatever happens between calls, and an allocation
 *                        that lives throughout the walk is seen exactly once
 * @return the next one, borrowed until the next call into turn; NULL at the end
 */
const struct tp_allocation *tp_turn_next_allocation(const struct tp_turn *turn, uint64_t *cursor);

/**
 * Walk an allocation's channels, in no particular order: call with NULL first, then with what was
 * returned.
 *
 * @return NULL at the end; else the channel, borrowed until the next call into turn, and *out
 */
const struct tp_channel *tp_allocation_next_channel(const struct tp_turn *turn,
		const struct tp_allocation *alloc, const struct tp_channel *after,
		struct tp_turn_channel *out);

#endif
