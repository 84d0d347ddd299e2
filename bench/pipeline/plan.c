/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOWS_MAX (4u << 20)
#define RING_MIN 64
#define RING_MAX 65536

static const char help[] =
		"usage: pipeline [OPTION]...\n"
		"\n"
		"Nanoseconds and TSC cycles that a worker spends on a packet between two ports:\n"
		"classify, look up, rewrite; no kernel, no NIC.  A line of JSON for each sample.\n"
		"\n"
		"  --only LIST     of paths,bursts,threads,floors (default: all)\n"
		"  --path LIST     up_4to4 ... down_6to6, hairpin_*, send_*, data_*; or eight, all\n"
		"  --flows LIST    flows in the table, visited in random order (1,1024,65536,1048576)\n"
		"  --burst LIST    packets at a time, 1 to 64 (32; for bursts 1,2,4,8,16,32,64)\n"
		"  --payload N     bytes of application data (160)\n"
		"  --ring N        frames in flight, in chunks of 2048 bytes (2048)\n"
		"  --churn N       flows that a writer adds or deletes a second, for threads (10000)\n"
		"  --cpu N         where one thread runs (the last that is allowed)\n"
		"  --reps N        repetitions, all rows in each (5)\n"
		"  --quick         3 repetitions and a sixteenth of the packets, unless said otherwise\n"
		"  --help          this text\n";

enum {
	ONLY = 256,
	PATHS,
	FLOWS,
	BURSTS,
	PAYLOAD,
	RING,
	CHURN,
	CPU,
	REPS,
	QUICK,
	HELP
};

static const struct option options[] = {
	{ "only", required_argument, NULL, ONLY },
	{ "path", required_argument, NULL, PATHS },
	{ "flows", required_argument, NULL, FLOWS },
	{ "burst", required_argument, NULL, BURSTS },
	{ "payload", required_argument, NULL, PAYLOAD },
	{ "ring", required_argument, NULL, RING },
	{ "churn", required_argument, NULL, CHURN },
	{ "cpu", required_argument, NULL, CPU },
	{ "reps", required_argument, NULL, REPS },
	{ "quick", no_argument, NULL, QUICK },
	{ "help", no_argument, NULL, HELP },
	{ 0 },
};

static int number(const char *option, const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || v < min || v > max) {
		fprintf(stderr, "pipeline: --%s: %s is not a number from %u to %u\n", option, text,
				min, max);
		return -EINVAL;
	}
	*out = (uint32_t)v;
	return 0;
}

static int append(struct plan_list *list, uint32_t v)
{
	if (list->n == PLAN_LIST_MAX)
		return -E2BIG;
	list->v[list->n++] = v;
	return 0;
}

static int add_number(struct plan *plan, const char *option, char *item)
{
	bool is_flows = strcmp(option, "flows") == 0;
	uint32_t v;

	if (number(option, item, 1, is_flows ? FLOWS_MAX : TP_BURST, &v) < 0)
		return -EINVAL;
	return append(is_flows ? &plan->flows : &plan->bursts, v);
}

static int add_path(struct plan *plan, const char *option, char *item)
{
	enum tp_path path, end;
	int rc = 0;

	if (strcmp(item, "eight") == 0 || strcmp(item, "all") == 0) {
		end = item[0] == 'e' ? TRAFFIC_PLAIN : TRAFFIC_PATHS;
		for (path = 0; path < end && rc == 0; path++)
			rc = append(&plan->paths, path);
		return rc;
	}
	path = traffic_path(item);
	if (path == TRAFFIC_PATHS) {
		fprintf(stderr, "pipeline: --%s: there is no path %s\n", option, item);
		return -EINVAL;
	}
	return append(&plan->paths, path);
}

static int add_part(struct plan *plan, const char *option, char *item)
{
	static const char *const name[] = { "paths", "bursts", "threads", "floors" };

	for (uint32_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		if (strcmp(item, name[i]) == 0) {
			plan->parts |= 1u << i;
			return 0;
		}
	}
	fprintf(stderr, "pipeline: --%s: there is no part %s\n", option, item);
	return -EINVAL;
}

static int each(struct plan *plan, const char *option, char *text,
		int (*add)(struct plan *plan, const char *option, char *item))
{
	char *item, *rest;
	int rc = 0;

	for (item = strtok_r(text, ",", &rest); item != NULL && rc == 0;
			item = strtok_r(NULL, ",", &rest))
		rc = add(plan, option, item);
	if (rc == -E2BIG)
		fprintf(stderr, "pipeline: --%s: more than %d\n", option, PLAN_LIST_MAX);
	return rc;
}

static int take(struct plan *plan, int option, char *text)
{
	uint32_t v;

	switch (option) {
	case ONLY:
		return each(plan, "only", text, add_part);
	case PATHS:
		return each(plan, "path", text, add_path);
	case FLOWS:
		return each(plan, "flows", text, add_number);
	case BURSTS:
		return each(plan, "burst", text, add_number);
	case PAYLOAD:
		if (number("payload", text, 1, TRAFFIC_PAYLOAD_MAX, &v) < 0)
			return -EINVAL;
		plan->payload = (uint16_t)v;
		return 0;
	case RING:
		return number("ring", text, RING_MIN, RING_MAX, &plan->ring);
	case CHURN:
		return number("churn", text, 0, 1000000, &plan->changes);
	case CPU:
		if (number("cpu", text, 0, CPU_SETSIZE - 1, &v) < 0)
			return -EINVAL;
		plan->cpu = (int)v;
		return 0;
	case REPS:
		return number("reps", text, 1, 1000, &plan->reps);
	}
	return -EINVAL;
}

static int last_cpu(void)
{
	cpu_set_t allowed;
	int cpu = CPU_SETSIZE - 1;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return 0;
	while (cpu > 0 && !CPU_ISSET(cpu, &allowed))
		cpu--;
	return cpu;
}

static void set_defaults(struct plan *plan, bool is_quick)
{
	if (plan->parts == 0)
		plan->parts = PLAN_ALL;
	if (plan->reps == 0)
		plan->reps = is_quick ? 3 : 5;
	if (plan->cpu < 0)
		plan->cpu = last_cpu();
	plan->pkts = is_quick ? 1u << 17 : 1u << 21;
	plan->slice_ms = is_quick ? 50 : 250;
	plan->verify_pkts = is_quick ? 1u << 15 : FLOWS_MAX;
}

int plan_parse(struct plan *plan, int argc, char **argv)
{
	bool is_quick = false;
	int option;

	*plan = (struct plan){ .cpu = -1, .payload = 160, .ring = 2048, .changes = 10000 };
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == HELP) {
			fputs(help, stdout);
			return 1;
		}
		if (option == '?' || (option != QUICK && take(plan, option, optarg) < 0))
			return -EINVAL;
		is_quick |= option == QUICK;
	}
	if (optind != argc) {
		fprintf(stderr, "pipeline: %s is no option; see --help\n", argv[optind]);
		return -EINVAL;
	}
	set_defaults(plan, is_quick);
	return 0;
}
