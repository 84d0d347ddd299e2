/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steer - the two BPF programs: XDP (listener and fast relayed ports to AF_XDP sockets) and
 * sk_lookup (allocated relayed ports to one socket per family, clients with an allocation to
 * another), the port map both read, and the filter of clients.
 *
 * Both are held by bpf_links of this process: when it dies, by whatever signal, the interface and
 * the namespace are as they were.  A foreign XDP program is never replaced.
 *
 * Threads: control.  Memory: the port map and the filter are shared with the kernel; what is set is
 * seen by the programs at once.
 */
#ifndef TP_IO_STEER_H
#define TP_IO_STEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/why.h"
#include "io/steer_rules.h"

#define TP_STEER_MAX_ADDRS 160 /* local addresses, listeners' and relays' together */
#define TP_STEER_MAX_LISTENERS 32
#define TP_STEER_MAX_RELAYS 128 /* relay addresses */

struct tp_steer;
struct tp_steer_if;

/* What an interface is asked to do, and what it got. */
enum tp_xdp_mode {
	TP_XDP_OFF,  /* no XDP: the kernel path carries everything */
	TP_XDP_AUTO, /* asked only: zerocopy, else copy, else skb */
	TP_XDP_ZEROCOPY,
	TP_XDP_COPY,
	TP_XDP_SKB,
};

/** "off", "auto", "zerocopy", "copy", "skb". */
const char *tp_xdp_mode_name(enum tp_xdp_mode mode);

struct tp_steer_conf {
	const struct tp_addr *listeners; /* with ports */
	uint32_t n_listeners;
	const struct tp_addr
			*relays; /* local relay addresses, port 0; their order is the relay index */
	uint32_t n_relays;
	uint32_t max_clients; /* that the filter has room for; more may find none */
	bool legacy_channels; /* first payload byte 0x40-0x7f instead of 0x40-0x4f */
};

/**
 * Load sk_lookup, create the port map, attach to the current network namespace.
 *
 * @return 0, -EPERM (capabilities), -EINVAL, -E2BIG (more addresses than the limits above), or
 *         what the kernel said, with a sentence in *why
 */
int tp_steer_new(const struct tp_steer_conf *conf, struct tp_steer **out, struct tp_why *why);

/** Detaches everything, interfaces included. */
void tp_steer_free(struct tp_steer *steer);

/** Register the sockets that receive for all relayed ports; fd6 or fd4 may be -1.  UDP, bound. */
int tp_steer_set_relay_sockets(struct tp_steer *steer, int fd4, int fd6, struct tp_why *why);

/**
 * Register the sockets that receive what clients with an allocation send to listeners, as above.
 * Until then the listeners' own receive it.
 */
int tp_steer_set_client_sockets(struct tp_steer *steer, int fd4, int fd6, struct tp_why *why);

/**
 * This five-tuple has an allocation from now on; a store.  What is on its way, or waits in the
 * listener's socket, stays there.
 *
 * @return 0, -ENOSPC (no place in the filter) or -ENOENT (server is no address of ours): its
 *         datagrams come by the listener's socket, as before
 */
int tp_steer_add_client(
		struct tp_steer *steer, const struct tp_addr *client, const struct tp_addr *server);

/** It has none any more; to be called once for each time it was added, and not if it was refused.
 */
void tp_steer_del_client(
		struct tp_steer *steer, const struct tp_addr *client, const struct tp_addr *server);

/** Would its next datagram go to the clients' socket? */
bool tp_steer_has_client(const struct tp_steer *steer, const struct tp_addr *client,
		const struct tp_addr *server);

/* The filter: clients in it, and those that found no place since the start. */
struct tp_steer_clients {
	uint32_t n;
	uint64_t refused;
};

void tp_steer_clients(const struct tp_steer *steer, struct tp_steer_clients *out);

/**
 * Load the XDP program for an interface and attach it, driver mode first unless want is
 * TP_XDP_SKB; only TP_XDP_AUTO falls back to generic mode.
 *
 * @param[out] out     released by tp_steer_free()
 * @param[out] is_skb  attached in generic mode: sockets must use TP_XDP_SKB
 * @return 0, -EBUSY (another XDP program is there: never replaced), -EPERM, -EOPNOTSUPP, ...
 */
int tp_steer_attach(struct tp_steer *steer, unsigned int ifindex, enum tp_xdp_mode want,
		struct tp_steer_if **out, bool *is_skb, struct tp_why *why);

/**
 * An interface that the kernel does not see: its port asks the rules itself.
 *
 * @param[out] out    released by tp_steer_free(), when the port is closed
 * @param[out] rules  valid as long; after tp_steer_detach() everything is the kernel's
 * @return 0 or -ENOMEM
 */
int tp_steer_attach_user(
		struct tp_steer *steer, struct tp_steer_if **out, struct tp_steer_rules *rules);

/** Direct a queue's traffic to an AF_XDP socket. */
int tp_steer_set_xsk(struct tp_steer_if *sif, uint32_t queue, int xsk_fd);

/** The map in which the program counts what is on its way to workers: for tp_afxdp_count_in(). */
int tp_steer_queues_fd(const struct tp_steer_if *sif);

/**
 * Tell the programs which of the addresses are this host's just now: only what the kernel would
 * accept too is redirected.  Until this is called, all of them are.
 */
void tp_steer_check_addrs(struct tp_steer *steer,
		bool (*is_local)(void *ctx, const struct tp_addr *ip), void *ctx);

/** Was a relay address this host's when it was checked last?  relay < n_relays */
bool tp_steer_is_relay_here(const struct tp_steer *steer, uint32_t relay);

/**
 * Redirect frames with this VLAN tag, or not (as at first).  Untagged ones always are, and those
 * with VLAN 0, which only have a priority.  vlan: 1 to 4094.
 */
void tp_steer_set_vlan(struct tp_steer_if *sif, uint16_t vlan, bool is_ours);

/** Detach one interface's program; idempotent, and tp_steer_free() does it too. */
void tp_steer_detach(struct tp_steer_if *sif);

/**
 * Set the two bits of a relayed port: allocated (sk_lookup delivers it) and fast (XDP redirects
 * it).  A plain store; relay < n_relays.
 */
void tp_steer_set_port(struct tp_steer *steer, uint32_t relay, uint16_t port, bool is_allocated,
		bool is_fast);

#endif
