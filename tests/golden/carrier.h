/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carrier - a driver's port for the golden frames, with the world at its other end: what is put in
 * there is received by the port, and what the port sends is taken out there.
 *
 * A driver with steering carries the frames that its rules take; the kernel's share does not reach
 * a worker.  Relayed ports are all fast, and so are all VLANs that there can be, so that as much
 * as possible is carried.
 *
 * One of each kind in a process.  Whatever a driver does wrong ends the process with a sentence.
 */
#ifndef TP_TESTS_GOLDEN_CARRIER_H
#define TP_TESTS_GOLDEN_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/steer.h"
#include "io/port.h"
#include "io/steer.h"
#include "io/steer_rules.h"

#define CARRIER_INDEX 3 /* of the interface: tp_frame.port */
#define CARRIER_VLANS 4095
#define CARRIER_EXIT_SKIP 77

/* What the relay listens on and relays from, and what follows from that for steering. */
struct steering {
	struct tp_addr listeners[2], relays[2];
	uint32_t n_listeners, n_relays;
	struct tp_bpf_conf conf;
	struct tp_bpf_ports ports[2];
	struct tp_bpf_accept accept;
	struct tp_steer_rules rules;
};

struct carrier {
	const char *name;
	struct tp_port *port;
	const struct tp_steer_rules *rules; /* NULL: the driver takes every frame */
	uint32_t frame_max;                 /* bytes */
	void (*put)(const uint8_t *frame, uint32_t len);
	/** NULL: frames are put at any time; else: after all of them, and makes port */
	void (*start)(struct carrier *c);
	/** @return bytes of the oldest frame sent, 0: there is none yet */
	uint32_t (*take)(uint8_t *out, uint32_t room);
	void (*close)(void); /* looks whether all memory is back */
};

/** End the process. */
__attribute__((noreturn)) void carrier_die(const char *what, const char *text);

/** addr with port: a listener.  Each is remembered once. */
void steering_add_listener(struct steering *s, const struct tp_addr *addr);
void steering_add_relay(struct steering *s, const struct tp_addr *addr);

/** When all are added: ports min to max are relayed fast. */
void steering_make(struct steering *s, uint16_t min, uint16_t max);

/** name: "mem", "dpdk", "pcap" or "afxdp"; s is borrowed.  May exit with CARRIER_EXIT_SKIP. */
void carrier_open(struct carrier *c, const char *name, const struct steering *s);

/* Each driver's part of it. */
void carrier_open_mem(struct carrier *c);
void carrier_open_dpdk(struct carrier *c, const struct steering *s);
void carrier_open_pcap(struct carrier *c, const struct steering *s);
void carrier_open_afxdp(struct carrier *c, const struct steering *s);

/** @return whether the driver brings this frame to a worker */
bool carrier_takes(const struct carrier *c, const uint8_t *frame, uint32_t len);

/** Receive n frames, no fewer and, unless all are put ahead, no more; n <= TP_BURST. */
void carrier_rx(const struct carrier *c, struct tp_frame frames[], uint32_t n);

/** Send n frames; carrier_take() gives them in this order. */
void carrier_tx(const struct carrier *c, const struct tp_frame frames[], uint32_t n);

/** Wait for the next frame that was sent.  @return its bytes */
uint32_t carrier_take(const struct carrier *c, uint8_t *out, uint32_t room);

/** After the last frame: nothing else was received or sent, and all memory is back. */
void carrier_close(const struct carrier *c);

#endif
