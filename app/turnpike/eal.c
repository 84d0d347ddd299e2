/* SPDX-License-Identifier: Apache-2.0 */
#include "eal.h"

#include <assert.h>
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define LCORES_TEXT 4096
#define OWN_BYTES (48ull << 20) /* EAL itself, rings */
#define OWN_ARGS 16
#define MAX_ARGS (OWN_ARGS + 2 * 16 + 64)

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

/* ---- memory ---- */

/* One number of /proc/meminfo; 0: not there. */
static uint64_t meminfo(const char *key)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	uint64_t n = 0;

	while (f != NULL && n == 0 && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			n = strtoull(line + strlen(key), NULL, 10);
	if (f != NULL)
		fclose(f);
	return n;
}

static bool has_huge_pages(uint64_t bytes)
{
	return meminfo("HugePages_Free:") * meminfo("Hugepagesize:") * 1024 >= bytes;
}

static bool has_arg(const struct tp_eal_conf *conf, const char *arg)
{
	for (uint32_t i = 0; i < conf->n_args; i++)
		if (strcmp(conf->args[i], arg) == 0)
			return true;
	return false;
}

/* @return whether huge pages are to be used, or -ENOMEM */
static int choose_memory(const struct tp_eal_conf *conf, uint64_t bytes, struct tp_why *why)
{
	bool is_told = has_arg(conf, "--no-huge");

	if (conf->frame_bytes == 0 || is_told)
		return 0;
	if (has_huge_pages(bytes))
		return 1;
	if (conf->n_pci > 0)
		return tp_why_set(why, -ENOMEM,
				"DPDK needs %llu MB of huge pages for its devices, and there are %llu MB "
				"free: `sysctl vm.nr_hugepages=%llu`, or more where others use them, too",
				(unsigned long long)(bytes >> 20),
				(unsigned long long)(meminfo("HugePages_Free:") *
								meminfo("Hugepagesize:") >>
						10),
				(unsigned long long)(bytes >> 21) + 1);
	tp_info("DPDK: no huge pages, which would be faster: `sysctl vm.nr_hugepages=%llu`",
			(unsigned long long)(bytes >> 21) + 1);
	return 0;
}

/* ---- start ---- */

struct arguments {
	char *argv[MAX_ARGS + 1];
	int argc;
};

static void push(struct arguments *a, const char *arg)
{
	assert(a->argc < MAX_ARGS);
	/* The EAL's parser does not write to them. */
	a->argv[a->argc++] = (char *)(uintptr_t)arg;
}

static void push_memory(struct arguments *a, bool is_huge, const char *megabytes)
{
	if (is_huge) {
		/* No files that a killed process leaves; few regions, for vhost-user takes 8. */
		push(a, "--in-memory");
		push(a, "--single-file-segments");
		return;
	}
	push(a, "--no-huge");
	push(a, "--no-shconf");
	push(a, "-m");
	push(a, megabytes);
}

static void push_devices(struct arguments *a, const struct tp_eal_conf *conf)
{
	if (conf->n_pci == 0) {
		push(a, "--no-pci");
		push(a, "--iova-mode=va"); /* virtual devices know no other address */
	}
	for (uint32_t i = 0; i < conf->n_pci; i++) {
		push(a, "-a");
		push(a, conf->pci[i]);
	}
}

static void open_log(void)
{
	const cookie_io_functions_t io = { .write = log_line };
	FILE *log = fopencookie(NULL, "w", io);

	if (log == NULL)
		return;
	setvbuf(log, NULL, _IOLBF, 0);
	rte_openlog_stream(log);
}

int tp_eal_start(const struct tp_eal_conf *conf, struct tp_why *why)
{
	uint64_t bytes = conf->frame_bytes + OWN_BYTES;
	char lcores[LCORES_TEXT], megabytes[16];
	struct arguments a = { .argc = 0 };
	int rc = check_cpus(conf, why), is_huge;

	if (rc < 0)
		return rc;
	if (lcores_text(conf, lcores) < 0 || conf->n_args + 2 * conf->n_pci > MAX_ARGS - OWN_ARGS)
		return tp_why_set(why, -EINVAL, "cores: too many");
	is_huge = choose_memory(conf, bytes, why);
	if (is_huge < 0)
		return is_huge;
	snprintf(megabytes, sizeof(megabytes), "%llu", (unsigned long long)(bytes >> 20) + 1);
	push(&a, "turnpike");
	push_memory(&a, is_huge, megabytes);
	push_devices(&a, conf);
	push(&a, "--no-telemetry");
	push(&a, "--no-hpet");
	push(&a, "--log-level=*:warning");
	push(&a, "--lcores");
	push(&a, lcores);
	for (uint32_t i = 0; i < conf->n_args; i++)
		push(&a, conf->args[i]);
	open_log();
	if (rte_eal_init(a.argc, a.argv) < 0)
		return tp_why_set(why, -EIO,
				"DPDK did not start: %s; --log-level debug tells more, and `eal` in the "
				"configuration is passed to it",
				rte_strerror(rte_errno));
	return 0;
}

struct dropping {
	int (*drop)(struct tp_why *why);
	struct tp_why *why;
};

static int drop_here(void *arg)
{
	const struct dropping *d = arg;

	return d->drop(d->why);
}

int tp_eal_drop_privileges(int (*drop)(struct tp_why *why), struct tp_why *why)
{
	struct dropping d = { drop, why };
	unsigned int lcore;
	int rc = 0;

	RTE_LCORE_FOREACH_WORKER(lcore)
	{
		if (rc == 0)
			rc = rte_eal_remote_launch(drop_here, &d, lcore);
		if (rc == 0)
			rc = rte_eal_wait_lcore(lcore);
	}
	return rc;
}
