/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <sched.h>
#include <string.h>

#define FLOWS_MAX (4u << 20)
#define RING_MIN 64
#define RING_MAX 65536

static bool add_path(void *to, const char *item)
{
	bool is_all = strcmp(item, "all") == 0;
	enum tp_path path, end = is_all ? TRAFFIC_PATHS : TRAFFIC_PLAIN;
	bool has_room = true;

	if (!is_all && strcmp(item, "eight") != 0) {
		path = traffic_path(item);
		return path != TRAFFIC_PATHS && tp_numbers_add(to, path);
	}
	for (path = 0; path < end && has_room; path++)
		has_room = tp_numbers_add(to, path);
	return has_room;
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

void plan_parse(struct plan *plan, int argc, char **argv)
{
	bool is_quick = false;
	const struct tp_option table[] = {
		{ "only", TP_OPTION_SET, &plan->parts, 0, 0, "these, with commas between [all]",
				.value = "paths|bursts|threads|floors" },
		{ "path", TP_OPTION_LIST, &plan->paths, 0, 0,
				"up_4to4 ... down_6to6, hairpin_*, send_*, data_*; or eight, all",
				.value = "PATH,...", .add = add_path,
				.must_be = "a path, or eight, or all; 32 paths at most" },
		{ "flows", TP_OPTION_NUMBERS, &plan->flows, 1, FLOWS_MAX,
				"in the table, visited in random order [1,1024,65536,1048576]" },
		{ "burst", TP_OPTION_NUMBERS, &plan->bursts, 1, TP_BURST,
				"packets at a time [32; for bursts 1,2,4,8,16,32,64]" },
		{ "payload", TP_OPTION_NUMBER16, &plan->payload, 1, TRAFFIC_PAYLOAD_MAX,
				"bytes of application data" },
		{ "ring", TP_OPTION_NUMBER, &plan->ring, RING_MIN, RING_MAX,
				"frames in flight, in chunks of 2048 bytes" },
		{ "churn", TP_OPTION_NUMBER, &plan->changes, 0, 1000000,
				"flows that a writer adds or deletes a second, for threads" },
		{ "cpu", TP_OPTION_NUMBER, &plan->cpu, 0, CPU_SETSIZE - 1,
				"where one thread runs" },
		{ "reps", TP_OPTION_NUMBER, &plan->reps, 1, 1000,
				"repetitions, all rows in each [5]" },
		{ "quick", TP_OPTION_FLAG, &is_quick, 0, 0,
				"3 repetitions, unless --reps, and a sixteenth of the packets" },
		{ NULL },
	};

	*plan = (struct plan){
		.parts = PLAN_ALL, .cpu = last_cpu(), .payload = 160, .ring = 2048, .changes = 10000
	};
	tp_options_parse(argc, argv,
			"usage: pipeline [OPTION...]\n\n"
			"Nanoseconds and TSC cycles that a worker spends on a packet between two ports:\n"
			"classify, look up, rewrite; no kernel, no NIC.  A line of JSON for each sample.",
			table);
	if (plan->reps == 0)
		plan->reps = is_quick ? 3 : 5;
	plan->pkts = is_quick ? 1u << 17 : 1u << 21;
	plan->slice_ms = is_quick ? 50 : 250;
	plan->verify_pkts = is_quick ? 1u << 15 : FLOWS_MAX;
}
