/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eal - DPDK's environment: cores, and memory for rings; no PCI, no huge pages needed.
 *
 * Threads: control, once, at start.
 */
#ifndef TP_APP_EAL_H
#define TP_APP_EAL_H

#include <stdint.h>

#include "base/why.h"

struct tp_eal_conf {
	uint32_t control_cpu;
	const uint32_t *cpus; /* worker i's; a CPU may appear more than once */
	uint32_t n_cpus;
};

/**
 * Pin the calling thread to control_cpu and start worker i as lcore i + 1 on cpus[i].
 *
 * @return 0, -EINVAL (a CPU that is not there or not allowed) or -EIO, with a sentence
 */
int tp_eal_start(const struct tp_eal_conf *conf, struct tp_why *why);

#endif
