/* SPDX-License-Identifier: Apache-2.0 */
#include "eal.h"

#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define LCORES_TEXT 4096
#define MEGABYTES "48" /* EAL itself, punt rings */

static int check_cpus(const struct tp_eal_conf *conf, struct tp_why *why)
{
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return tp_why_set(
				why, -errno, "can not read the allowed CPUs: %s", strerror(errno));
	for (uint32_t i = 0; i <= conf->n_cpus; i++) {
		uint32_t cpu = i < conf->n_cpus ? conf->cpus[i] : conf->control_cpu;

		if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed))
			return tp_why_set(why, -EINVAL,
					"%s: cpu %u is not among the CPUs that this process may use; "
					"see `taskset -p $$` and `lscpu -e`",
					i < conf->n_cpus ? "cores" : "control", cpu);
	}
	return 0;
}

/* "0@CONTROL,1@CPU,2@CPU": lcore numbers are ours, so two workers may share a CPU. */
static int lcores_text(const struct tp_eal_conf *conf, char text[LCORES_TEXT])
{
	int at = snprintf(text, LCORES_TEXT, "0@%u", conf->control_cpu);

	for (uint32_t i = 0; i < conf->n_cpus && at < LCORES_TEXT; i++)
		at += snprintf(text + at, (size_t)(LCORES_TEXT - at), ",%u@%u", i + 1,
				conf->cpus[i]);
	return at < LCORES_TEXT ? 0 : -EINVAL;
}

/* EAL's own messages: warnings and worse, as lines of our log. */
static ssize_t log_line(void *cookie, const char *buf, size_t len)
{
	(void)cookie;
	while (len > 0 && buf[len - 1] == '\n')
		len--;
	if (len > 0)
		tp_log(rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR ? TP_LOG_WARN : TP_LOG_DEBUG,
				"%.*s", (int)len, buf);
	return (ssize_t)len + 1;
}

int tp_eal_start(const struct tp_eal_conf *conf, struct tp_why *why)
{
	char lcores[LCORES_TEXT];
	char *argv[] = { (char[]){ "turnpike" }, (char[]){ "--no-huge" }, (char[]){ "--no-pci" },
		(char[]){ "--no-shconf" }, (char[]){ "--no-telemetry" }, (char[]){ "--no-hpet" },
		(char[]){ "--log-level=*:warning" }, (char[]){ "-m" }, (char[]){ MEGABYTES },
		(char[]){ "--lcores" }, lcores, NULL };
	const cookie_io_functions_t io = { .write = log_line };
	FILE *log;
	int rc = check_cpus(conf, why);

	if (rc < 0)
		return rc;
	if (lcores_text(conf, lcores) < 0)
		return tp_why_set(why, -EINVAL, "cores: too many");
	log = fopencookie(NULL, "w", io);
	if (log != NULL) {
		setvbuf(log, NULL, _IOLBF, 0);
		rte_openlog_stream(log);
	}
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) < 0)
		return tp_why_set(why, -EIO, "DPDK did not start: %s", rte_strerror(rte_errno));
	return 0;
}
