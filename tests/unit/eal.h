/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eal - DPDK's environment for a test: no huge pages, no devices, no files, no privileges.
 *
 * One lcore, on whatever CPU the test runs; the affinity that the EAL takes is given back, so that
 * threads of the test may run in parallel.
 */
#ifndef TP_TESTS_UNIT_EAL_H
#define TP_TESTS_UNIT_EAL_H

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/** Start the EAL; for cmocka's group setup.  @return 0 or -1 */
static inline int eal_start(void **state)
{
	char lcores[32];
	char *argv[] = { (char[]){ "test" }, (char[]){ "--no-huge" }, (char[]){ "-m" },
		(char[]){ "256" }, (char[]){ "--no-pci" }, (char[]){ "--no-shconf" },
		(char[]){ "--no-telemetry" }, (char[]){ "--no-hpet" },
		(char[]){ "--single-file-segments" }, (char[]){ "--log-level=lib.*:warning" },
		lcores, NULL };
	cpu_set_t cpus;

	(void)state;
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", sched_getcpu());
	if (pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus) != 0)
		return -1;
	rte_openlog_stream(stderr); /* stdout is for the test protocol */
	if (rte_eal_init(sizeof(argv) / sizeof(argv[0]) - 1, argv) < 0) {
		fprintf(stderr, "EAL: %s\n", rte_strerror(rte_errno));
		return -1;
	}
	return pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus) == 0 ? 0 : -1;
}

/** For cmocka's group teardown. */
static inline int eal_stop(void **state)
{
	(void)state;
	return rte_eal_cleanup();
}

#endif
