/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ephemeral - may the kernel give relayed ports to sockets that are bound to none?
 *
 * sk_lookup comes before bound sockets: a resolver's socket on an allocated port would hear
 * nothing.
 *
 * Threads: any; pure.
 */
#ifndef TP_APP_EPHEMERAL_H
#define TP_APP_EPHEMERAL_H

#include <stdbool.h>
#include <stdint.h>

/**
 * @param range     net.ipv4.ip_local_port_range: "32768\t60999"
 * @param reserved  net.ipv4.ip_local_reserved_ports: "", or "80,49152-65535"
 * @return whether a port of min to max is in the range and not reserved; what can not be read
 *         counts as no range and nothing reserved
 */
bool tp_ephemeral_overlap(const char *range, const char *reserved, uint16_t min, uint16_t max);

#endif
