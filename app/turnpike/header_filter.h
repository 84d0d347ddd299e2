/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header_filter - sorts out the IPv4 datagrams of which the kernel path needs the header.
 *
 * A UDP socket tells TTL and TOS, but not DF; and an ICMP error has to quote the packet as it was
 * sent.  So the few datagrams for which it matters come by a raw socket, with their header:
 *
 *     DF set and larger than TP_HEADER_FILTER_BYTES   may have to be refused as too big
 *     TTL of 0 or 1                                   time exceeded
 *
 * The same classic BPF program stands before all sockets, so that each datagram is taken exactly
 * once: UDP sockets leave out what it picks (no port unreachable comes of it: the socket is
 * there), the raw socket takes what it picks and is for a listener or for a port of the relayed
 * range.
 *
 * What it never picks, and UDP sockets take as if DF were 0 (RFC 8656 section 14: alternate
 * behaviour): datagrams with IPv4 options; and those whose UDP checksum the sending host left to
 * hardware that is not there (veth, virtio), of which the kernel may hold several in one
 * buffer.  IPv6 needs none of this: what is too big is always refused, and its header can be
 * told from control messages.
 *
 * Threads: control.
 */
#ifndef TP_APP_HEADER_FILTER_H
#define TP_APP_HEADER_FILTER_H

#include <stdint.h>

#include "base/addr.h"
#include "turn/turn.h"

/*
 * Any path worth the name takes a packet of this size after our headers were added, so that its
 * DF would not be asked for; and media in calls stay below it.
 */
#define TP_HEADER_FILTER_BYTES 1200

/** An IPv4 UDP socket: leave out what the raw socket takes.  @return 0 or -errno */
int tp_header_filter_divert(int fd);

/* For whom the raw socket takes datagrams; addresses of IPv6 are passed over. */
struct tp_header_filter_conf {
	const struct tp_addr *listeners; /* with ports */
	uint32_t n_listeners;
	const struct tp_turn_relay *relays;
	uint32_t n_relays;
	uint16_t relay_port_min, relay_port_max;
};

/** A raw IPv4 socket of protocol UDP.  @return 0, -E2BIG (too many addresses) or -errno */
int tp_header_filter_take(int fd, const struct tp_header_filter_conf *conf);

#endif
