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

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
		"usage: kernel_xdp test-run [OPTION]...\n"
		"       kernel_xdp attach --if INTERFACE --flows FILE --mac ADDRESS [OPTION]...\n"
		"\n"
		"test-run: nanoseconds of an in-kernel XDP relay per packet, by BPF_PROG_TEST_RUN.\n"
		"A line of JSON for each sample.\n"
		"  --path LIST     up_4to4 ... down_6to6 (all eight)\n"
		"  --flows LIST    flows in the map, visited in random order (1024,65536)\n"
		"  --payload N     bytes of application data (160)\n"
		"  --reps N        repetitions, all rows in each (5)\n"
		"  --quick         3 repetitions and an eighth of the packets, unless said otherwise\n"
		"  --cpu N         where to run\n"
		"\n"
		"attach: the same relay on an interface, native XDP, until SIGTERM.  Prints\n"
		"{\"ready\":channels}, and at the end its counters.\n"
		"  --if NAME       interface\n"
		"  --flows FILE    channels, a JSON object a line, as turn-flows prints them\n"
		"  --mac ADDRESS   next hop of all that is sent\n"
		"  --relay-ports MIN-MAX  of relayed addresses (49152-65535)\n"
		"\n"
		"  --help          this text\n";

enum {
	PATHS = 256,
	FLOWS,
	PAYLOAD,
	REPS,
	QUICK,
	CPU,
	INTERFACE,
	MAC,
	RELAY_PORTS,
	HELP
};

static const struct option options[] = {
	{ "path", required_argument, NULL, PATHS },
	{ "flows", required_argument, NULL, FLOWS },
	{ "payload", required_argument, NULL, PAYLOAD },
	{ "reps", required_argument, NULL, REPS },
	{ "quick", no_argument, NULL, QUICK },
	{ "cpu", required_argument, NULL, CPU },
	{ "if", required_argument, NULL, INTERFACE },
	{ "mac", required_argument, NULL, MAC },
	{ "relay-ports", required_argument, NULL, RELAY_PORTS },
	{ "help", no_argument, NULL, HELP },
	{ 0 },
};

struct command {
	bool is_attach, is_quick;
	struct test_run_conf test_run;
	struct attach_conf attach;
	char *flows;
	int cpu; /* -1: any */
};

static int number(const char *option, const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || v < min || v > max) {
		fprintf(stderr, "kernel_xdp: --%s: %s is not a number from %u to %u\n", option,
				text, min, max);
		return -EINVAL;
	}
	*out = (uint32_t)v;
	return 0;
}

static int take_paths(struct test_run_conf *conf, char *text)
{
	char *item, *rest;

	for (item = strtok_r(text, ",", &rest); item != NULL; item = strtok_r(NULL, ",", &rest)) {
		enum tp_path path = traffic_path(item);

		if (path >= TRAFFIC_PLAIN || conf->n_paths == TEST_RUN_LIST_MAX) {
			fprintf(stderr, "kernel_xdp: --path: %s is none of the eight\n", item);
			return -EINVAL;
		}
		conf->paths[conf->n_paths++] = path;
	}
	return 0;
}

static int take_flows(struct test_run_conf *conf, char *text)
{
	char *item, *rest;

	for (item = strtok_r(text, ",", &rest); item != NULL; item = strtok_r(NULL, ",", &rest)) {
		if (conf->n_flows == TEST_RUN_LIST_MAX) {
			fprintf(stderr, "kernel_xdp: --flows: too many\n");
			return -EINVAL;
		}
		if (number("flows", item, 1, 2u << 20, &conf->flows[conf->n_flows]) < 0)
			return -EINVAL;
		conf->n_flows++;
	}
	return 0;
}

static int take_relay_ports(struct attach_conf *conf, const char *text)
{
	unsigned int min, max;

	if (sscanf(text, "%u-%u", &min, &max) != 2 || min < 1 || min > max || max > UINT16_MAX) {
		fprintf(stderr, "kernel_xdp: --relay-ports: %s is not MIN-MAX\n", text);
		return -EINVAL;
	}
	conf->relay_port_min = (uint16_t)min;
	conf->relay_port_max = (uint16_t)max;
	return 0;
}

static int take(struct command *c, int option, char *text)
{
	uint32_t v;

	switch (option) {
	case PATHS:
		return take_paths(&c->test_run, text);
	case FLOWS:
		c->flows = text; /* a list or a file: what it is says the command */
		return 0;
	case PAYLOAD:
		if (number("payload", text, TEST_RUN_PAYLOAD_MIN, TRAFFIC_PAYLOAD_MAX, &v) < 0)
			return -EINVAL;
		c->test_run.payload = (uint16_t)v;
		return 0;
	case REPS:
		return number("reps", text, 1, 1000, &c->test_run.reps);
	case QUICK:
		c->is_quick = true;
		return 0;
	case CPU:
		if (number("cpu", text, 0, CPU_SETSIZE - 1, &v) < 0)
			return -EINVAL;
		c->cpu = (int)v;
		return 0;
	case INTERFACE:
		c->attach.interface = text;
		return 0;
	case MAC:
		c->attach.mac = text;
		return 0;
	case RELAY_PORTS:
		return take_relay_ports(&c->attach, text);
	}
	return -EINVAL;
}

static int set_defaults(struct command *c)
{
	struct test_run_conf *conf = &c->test_run;

	if (c->is_attach) {
		c->attach.flows = c->flows;
		if (c->attach.interface != NULL && c->attach.flows != NULL && c->attach.mac != NULL)
			return 0;
		fprintf(stderr, "kernel_xdp: attach wants --if, --flows and --mac\n");
		return -EINVAL;
	}
	if (c->flows != NULL && take_flows(conf, c->flows) < 0)
		return -EINVAL;
	if (conf->n_flows == 0) {
		conf->flows[conf->n_flows++] = 1024;
		conf->flows[conf->n_flows++] = 65536;
	}
	if (conf->n_paths == 0) {
		for (enum tp_path path = 0; path < TRAFFIC_PLAIN; path++)
			conf->paths[conf->n_paths++] = path;
	}
	if (conf->reps == 0)
		conf->reps = c->is_quick ? 3 : 5;
	conf->pkts = c->is_quick ? 1u << 18 : 1u << 21;
	return 0;
}

/* @return 0, 1: help was asked for and given, or -EINVAL after a line on stderr */
static int parse(struct command *c, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == HELP) {
			fputs(help, stdout);
			return 1;
		}
		if (option == '?' || take(c, option, optarg) < 0)
			return -EINVAL;
	}
	if (optind + 1 != argc ||
			(strcmp(argv[optind], "test-run") != 0 &&
					strcmp(argv[optind], "attach") != 0)) {
		fprintf(stderr, "kernel_xdp: say test-run or attach; see --help\n");
		return -EINVAL;
	}
	c->is_attach = argv[optind][0] == 'a';
	return set_defaults(c);
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

int main(int argc, char **argv)
{
	static struct command c = {
		.test_run = { .payload = 160 },
		.attach = { .relay_port_min = TRAFFIC_RELAY_PORT_MIN,
				.relay_port_max = TRAFFIC_RELAY_PORT_MAX },
		.cpu = -1,
	};
	int rc = parse(&c, argc, argv);

	if (rc != 0)
		return rc > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	if (c.is_attach)
		rc = attach_run(&c.attach);
	else if ((rc = pin(c.cpu)) == 0)
		rc = test_run(&c.test_run);
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
