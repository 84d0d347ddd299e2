/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame - one Ethernet frame in some driver's memory.
 *
 * The owner is whoever holds the struct: a port driver fills bursts of them, the pipeline moves
 * them to exactly one of its output lists, and each goes back to a driver, to be sent or freed.
 */
#ifndef TP_FLOW_FRAME_H
#define TP_FLOW_FRAME_H

#include <stdint.h>

#define TP_BURST 64

/*
 * The most that a frame grows at its front: IPv4 to IPv6 (20), datagram to Data indication with an
 * IPv6 peer (STUN header 20, XOR-PEER-ADDRESS 24, head of DATA 4), and a VLAN tag (4).
 */
#define TP_FRAME_GROWTH (20 + 20 + 24 + 4 + 4)

struct tp_frame {
	uint8_t *data;
	uint16_t len;
	uint16_t headroom; /* writable bytes in front of data */
	uint16_t tailroom; /* of a frame received: writable bytes behind it */
	uint16_t port;   /* received on, or to leave by: index of the interface in the configuration
			  */
	uint64_t cookie; /* the driver's: AF_XDP chunk, DPDK mbuf */
};

#endif
