/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netlink - what the kernel knows: links, routes and neighbours, asked for and followed.
 *
 * Questions go over one socket and are answered at once (they do not leave the kernel).  Changes
 * arrive on another socket whose descriptor the caller polls.
 *
 * Threads: control.
 */
#ifndef TP_IO_NETLINK_H
#define TP_IO_NETLINK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct tp_nl;

struct tp_nl_link {
	unsigned int ifindex;
	char name[16];
	uint8_t mac[6];
	uint32_t mtu;
	bool is_up;       /* administratively up, and carrier */
	bool is_ethernet; /* ARPHRD_ETHER */
	/* An 802.1Q sub-interface of another interface of this namespace; else both are 0. */
	unsigned int vlan_parent;
	uint16_t vlan; /* 1 to 4094 */
};

struct tp_nl_route {
	unsigned int ifindex;
	struct tp_addr gateway; /* the destination itself when it is on-link; port 0 */
	uint32_t mtu;           /* RTAX_MTU; 0: the link's */
	bool is_local;          /* to this host */
	bool is_unicast;
};

struct tp_nl_neigh {
	uint8_t mac[6];
	bool is_valid; /* usable now: reachable, stale, delay, probe, permanent, noarp */
	bool is_stale; /* usable, but the kernel will not confirm it unless asked */
};

/* What changed.  A burst of changes is reported singly; after an overflow, on_overflow alone. */
struct tp_nl_events {
	void (*on_neigh)(void *ctx, unsigned int ifindex, const struct tp_addr *ip,
			const struct tp_nl_neigh *neigh);
	void (*on_link)(void *ctx, const struct tp_nl_link *link, bool is_gone);
	void (*on_route)(void *ctx);    /* any route or local address: ask again */
	void (*on_overflow)(void *ctx); /* events were lost: ask everything again */
};

/**
 * Whether an error of the questions below means that the kernel did not get to an answer (it does
 * within 200 ms), so that what was known before stands.
 */
static inline bool tp_nl_is_unanswered(int rc)
{
	return rc == -ETIMEDOUT || rc == -ENOBUFS || rc == -ENOMEM;
}

/** @return 0 or -errno of socket or bind */
int tp_nl_open(struct tp_nl **out);
void tp_nl_close(struct tp_nl *nl);

/** Descriptor to poll for changes. */
int tp_nl_fd(const struct tp_nl *nl);

/** Read changes that are waiting, at most 1,000 (poll level-triggered); never blocks. */
void tp_nl_read(struct tp_nl *nl, const struct tp_nl_events *events, void *ctx);

/** @return 0, -ENODEV or another -errno */
int tp_nl_get_link(struct tp_nl *nl, unsigned int ifindex, struct tp_nl_link *out);

/**
 * All links, one call of `each` for each; it must not ask anything itself.
 *
 * @return 0; on an error some may have been told
 */
int tp_nl_get_links(struct tp_nl *nl, void (*each)(void *ctx, const struct tp_nl_link *link),
		void *ctx);

/**
 * All addresses of this host, one call of `each` for each (port 0); it must not ask anything
 * itself.
 *
 * @return 0; on an error some may have been told
 */
int tp_nl_get_addrs(struct tp_nl *nl, void (*each)(void *ctx, const struct tp_addr *ip), void *ctx);

/**
 * Route lookup with the source address; ports are ignored.
 *
 * @return 0; -ENETUNREACH (also when src is not ours), -EHOSTUNREACH, -EINVAL (blackhole), ...
 */
int tp_nl_get_route(struct tp_nl *nl, const struct tp_addr *src, const struct tp_addr *dst,
		struct tp_nl_route *out);

/** @return 0, -ENOENT (the kernel has no entry), ... */
int tp_nl_get_neigh(struct tp_nl *nl, unsigned int ifindex, const struct tp_addr *ip,
		struct tp_nl_neigh *out);

/**
 * Ask the kernel to resolve or confirm a neighbour (NTF_USE), as its own traffic would.  The
 * answer arrives as an event.  Needs CAP_NET_ADMIN.
 */
int tp_nl_use_neigh(struct tp_nl *nl, unsigned int ifindex, const struct tp_addr *ip);

/** @return whether ip is an address of this host (any interface) */
bool tp_nl_is_local(struct tp_nl *nl, const struct tp_addr *ip);

#endif
