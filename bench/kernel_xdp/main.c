/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_xdp - the reference that turnpike is compared with: a TURN relay that is an XDP program
 * (relay.bpf.c), hash lookup, bpf_xdp_adjust_head() and XDP_TX.
 *
 * test-run measures the program alone (test_run.h), on the packets and flows of `pipeline` and in
 * the same random order, each frame that comes out compared with what the pipeline makes of it.
 * Not measured there: driver, DMA, interrupts, cache misses on the frame.
 *
 * attach is for the wire: the same program on an interface.
 */
#include "attach.h"
#include "test_run.h"

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_path(void *to, const char *item)
{
	enum tp_path path = traffic_path(item);

	return path < TRAFFIC_PLAIN && tp_numbers_add(to, path);
}

static int pin(int cpu)
{
	cpu_set_t cpus;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&cpus);
	CPU_SET((size_t)cpu, &cpus);
	if (pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus) == 0)
		return 0;
	fprintf(stderr, "kernel_xdp: can not run on cpu %d\n", cpu);
	return -EINVAL;
}

static int run_test(int argc, char **argv)
{
	struct test_run_conf conf = { .flows = { 2, { 1024, 65536 } }, .payload = 160 };
	bool is_quick = false;
	int cpu = -1, rc;
	const struct tp_option table[] = {
		{ "path", TP_OPTION_LIST, &conf.paths, 0, 0, "up_4to4 ... down_6to6 [all eight]",
				.value = "PATH,...", .add = add_path,
				.must_be = "one of the eight paths; 32 at most" },
		{ "flows", TP_OPTION_NUMBERS, &conf.flows, 1, 2u << 20,
				"in the map, visited in random order" },
		{ "payload", TP_OPTION_NUMBER16, &conf.payload, TEST_RUN_PAYLOAD_MIN,
				TRAFFIC_PAYLOAD_MAX, "bytes of application data" },
		{ "reps", TP_OPTION_NUMBER, &conf.reps, 1, 1000,
				"repetitions, all rows in each [5]" },
		{ "quick", TP_OPTION_FLAG, &is_quick, 0, 0,
				"3 repetitions, unless --reps, and an eighth of the packets" },
		{ "cpu", TP_OPTION_NUMBER, &cpu, 0, CPU_SETSIZE - 1, "where to run [any]" },
		{ NULL },
	};

	tp_options_parse(argc, argv,
			"usage: kernel_xdp test-run [OPTION...]\n\n"
			"Nanoseconds of an in-kernel XDP relay per packet, by BPF_PROG_TEST_RUN.\n"
			"A line of JSON for each sample.",
			table);
	if (conf.paths.n == 0)
		for (enum tp_path path = 0; path < TRAFFIC_PLAIN; path++)
			tp_numbers_add(&conf.paths, path);
	if (conf.reps == 0)
		conf.reps = is_quick ? 3 : 5;
	conf.pkts = is_quick ? 1u << 18 : 1u << 21;
	rc = pin(cpu);
	return rc == 0 ? test_run(&conf) : rc;
}

static int run_attach(int argc, char **argv)
{
	struct attach_conf conf = { .relay_port_min = TRAFFIC_RELAY_PORT_MIN,
		.relay_port_max = TRAFFIC_RELAY_PORT_MAX };
	const struct tp_option table[] = {
		{ "if", TP_OPTION_TEXT, &conf.interface, 0, 0, "interface", true, "IF" },
		{ "flows", TP_OPTION_TEXT, &conf.flows, 0, 0,
				"channels, a JSON object a line, as turn-flows prints them", true,
				"FILE" },
		{ "mac", TP_OPTION_TEXT, &conf.mac, 0, 0, "next hop of all that is sent", true,
				"MAC" },
		{ "relay-port-min", TP_OPTION_NUMBER16, &conf.relay_port_min, 1, UINT16_MAX,
				"first port of relayed addresses" },
		{ "relay-port-max", TP_OPTION_NUMBER16, &conf.relay_port_max, 1, UINT16_MAX,
				"last one" },
		{ NULL },
	};

	tp_options_parse(argc, argv,
			"usage: kernel_xdp attach --if IF --flows FILE --mac MAC [OPTION...]\n\n"
			"The relay on an interface, native XDP, until SIGTERM.  Prints\n"
			"{\"ready\":channels}, and at the end its counters.",
			table);
	if (conf.relay_port_min > conf.relay_port_max)
		errx(2, "--relay-port-min %u: must be at most %u, --relay-port-max",
				conf.relay_port_min, conf.relay_port_max);
	return attach_run(&conf);
}

int main(int argc, char **argv)
{
	const struct tp_option none[] = { { NULL } };
	int rc;

	if (argc > 1 && strcmp(argv[1], "test-run") == 0) {
		rc = run_test(argc - 1, argv + 1);
	} else if (argc > 1 && strcmp(argv[1], "attach") == 0) {
		rc = run_attach(argc - 1, argv + 1);
	} else {
		tp_options_parse(argc, argv,
				"usage: kernel_xdp test-run|attach [OPTION...]\n\n"
				"An in-kernel XDP relay: its cost per packet, or on an interface.\n"
				"Both explain their options with --help.",
				none);
		errx(2, "say test-run or attach; see --help");
	}
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
