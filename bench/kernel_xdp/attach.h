/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach - the in-kernel relay on an interface, with flows from a file, until a signal.
 *
 * Threads: the caller's one.
 */
#ifndef TP_BENCH_ATTACH_H
#define TP_BENCH_ATTACH_H

#include <stdint.h>

struct attach_conf {
	const char *interface;
	const char *flows; /* file: a JSON object of turn-flows a line */
	const char *mac;   /* of the next hop */
	uint16_t relay_port_min, relay_port_max;
};

/** @return 0, or -E after a line on stderr */
int attach_run(const struct attach_conf *conf);

#endif
