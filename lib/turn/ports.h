/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ports - the free relayed ports of one relay address.
 *
 * An array of all ports, those that are free first, and of these the even ones first whose odd
 * neighbour is free too, then the other even ones, then the odd ones.  So each kind of choice is
 * one at a random index below a border, uniformly over all that would do (RFC 6056 section
 * 3.3.1), and taking and giving back are a few swaps across borders: O(1) at any fill level.
 *
 * Threads: one.
 */
#ifndef TP_TURN_PORTS_H
#define TP_TURN_PORTS_H

#include <stdbool.h>
#include <stdint.h>

struct tp_ports;

/** Ports min..max, all free.  @return 0, -EINVAL or -ENOMEM */
int tp_ports_new(uint16_t min, uint16_t max, struct tp_ports **out);
void tp_ports_free(struct tp_ports *ports);

/**
 * Take a free port.
 *
 * @param random  32 unpredictable bits
 * @return the port, or -ENOSPC
 */
int tp_ports_take(struct tp_ports *ports, uint32_t random);

/**
 * Take a free even port and, with_next, the odd port after it (EVEN-PORT, RFC 8656 section 7.2).
 * Uniformly over all that are free.
 *
 * @return the even port, or -ENOSPC
 */
int tp_ports_take_even(struct tp_ports *ports, uint32_t random, bool with_next);

/** Give back a port that was taken. */
void tp_ports_give(struct tp_ports *ports, uint16_t port);

/** Ports that are free. */
uint32_t tp_ports_left(const struct tp_ports *ports);

#endif
