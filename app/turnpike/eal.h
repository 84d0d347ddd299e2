/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eal - DPDK's environment: cores, memory, and the devices on buses.
 *
 * Without DPDK ports it gets no device and little memory.  With them it uses huge pages when as
 * many as are needed are free, and ordinary ones when not; real devices do not work on these.
 *
 * Threads: control, once, at start.
 */
#ifndef TP_APP_EAL_H
#define TP_APP_EAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/why.h"

struct tp_eal_conf {
	uint32_t control_cpu;
	const uint32_t *cpus; /* worker i's; a CPU may appear more than once */
	uint32_t n_cpus;
	const char *const *pci; /* PCI devices, with their arguments */
	uint32_t n_pci;
	uint64_t frame_bytes;    /* memory for frames; 0: no DPDK ports */
	const char *const *args; /* the configuration's, behind ours */
	uint32_t n_args;
};

/**
 * Pin the calling thread to control_cpu and start worker i as lcore i + 1 on cpus[i].
 *
 * @return 0, -EINVAL (a CPU that is not there or not allowed), -ENOMEM (PCI devices without huge
 *         pages) or -EIO, with a sentence
 */
int tp_eal_start(const struct tp_eal_conf *conf, struct tp_why *why);

/**
 * When the EAL was started with privileges: let the threads of all workers, not yet running, drop
 * them as the caller did.
 *
 * @param drop  called once in each
 * @return what the first that failed returned
 */
int tp_eal_drop_privileges(int (*drop)(struct tp_why *why), struct tp_why *why);

#endif
