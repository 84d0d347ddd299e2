/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink - count what comes back, by flow: losses, order, checksums, one-way latency.
 *
 * A native XDP program that drops the generator's packets and leaves everything else to the
 * kernel.  It runs on the CPU that sends into the interface's peer, hence at the cost of the device
 * under test, about half a microsecond a packet on a veth, most of it the kernel's.
 *
 * Lost are gaps in a flow's sequence numbers: what is lost after the last packet that came is only
 * seen by comparing with the generator's "sent".  Latency is from the generator's program to this
 * one: it includes the veth's two softirqs and what the generator's batch made it wait.
 */
#include "sink.h"
#include "payload.h"
#include "program.h"

#include "bench/options.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <sink.skel.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MAX_FLOWS (1u << 22)
#define MAX_EVERY (1u << 20)
#define MAX_INTERVAL 86400 /* seconds */

/* A window begins with a copy of all counters. */
struct window {
	uint64_t begin_ns;
	struct sink_counts counts;
	uint64_t latency[SINK_BUCKETS];
};

static struct sink_bpf *skel;
static const struct sink_flow *flows; /* the map, shared with the program */
static struct window then;

/* ---- figures ---- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void reset(void)
{
	skel->data_window->window.epoch++;
	then.counts = skel->bss->counts;
	memcpy(then.latency, skel->bss->latency, sizeof(then.latency));
	then.begin_ns = now_ns();
}

static double middle_of(uint32_t bucket)
{
	uint32_t shift = bucket < 2 * SINK_SUB ? 0 : bucket / SINK_SUB - 1;
	uint64_t low = (uint64_t)(bucket - shift * SINK_SUB) << shift;

	return (double)low + (double)((1ull << shift) - 1) / 2;
}

/* The latency that a share of the packets do not exceed.  latency: of this window; n > 0 */
static double percentile(const uint64_t latency[SINK_BUCKETS], uint64_t n, double share)
{
	uint64_t rank = (uint64_t)((double)n * share), seen = 0;
	uint32_t i;

	if (rank >= n)
		rank = n - 1;
	for (i = 0; i < SINK_BUCKETS - 1; i++) {
		seen += latency[i];
		if (seen > rank)
			break;
	}
	return middle_of(i);
}

static void print_latency(void)
{
	static uint64_t latency[SINK_BUCKETS];
	uint64_t n = 0;

	for (uint32_t i = 0; i < SINK_BUCKETS; i++) {
		latency[i] = skel->bss->latency[i] - then.latency[i];
		n += latency[i];
	}
	if (n == 0) {
		printf("\"latency_ns\":null");
		return;
	}
	printf("\"latency_ns\":{\"samples\":%llu,\"p50\":%.0f,\"p99\":%.0f,\"p99.9\":%.0f}",
			(unsigned long long)n, percentile(latency, n, 0.5),
			percentile(latency, n, 0.99), percentile(latency, n, 0.999));
}

/* How many flows were seen, and the least and most packets of one. */
static void print_flows(void)
{
	uint64_t least = UINT64_MAX, most = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < skel->rodata->conf.n_flows; i++) {
		const struct sink_flow *flow = &flows[i];

		if (flow->epoch != skel->data_window->window.epoch)
			continue;
		n++;
		least = flow->packets < least ? flow->packets : least;
		most = flow->packets > most ? flow->packets : most;
	}
	printf("\"flows\":{\"seen\":%u,\"least\":%llu,\"most\":%llu}", n,
			(unsigned long long)(n == 0 ? 0 : least), (unsigned long long)most);
}

static void print_window(void)
{
	const struct sink_counts now = skel->bss->counts, *old = &then.counts;
	double seconds = (double)(now_ns() - then.begin_ns) / 1e9;

	printf("{\"seconds\":%.6f,\"packets\":%llu,\"bytes\":%llu,\"lost\":%lld,\"reordered\":%llu,"
	       "\"duplicates\":%llu,\"checked\":%llu,\"bad_checksum\":%llu,\"foreign\":%llu,",
			seconds, (unsigned long long)(now.packets - old->packets),
			(unsigned long long)(now.bytes - old->bytes),
			(long long)(now.lost - old->lost),
			(unsigned long long)(now.reordered - old->reordered),
			(unsigned long long)(now.duplicates - old->duplicates),
			(unsigned long long)(now.checked - old->checked),
			(unsigned long long)(now.bad_checksum - old->bad_checksum),
			(unsigned long long)(now.foreign - old->foreign));
	print_latency();
	putchar(',');
	print_flows();
	puts("}");
	fflush(stdout);
}

/* ---- running ---- */

static void load(const char *ifname, const struct sink_conf *conf)
{
	size_t bytes = (size_t)conf->n_flows * sizeof(struct sink_flow);
	int err;

	silence_libbpf();
	skel = sink_bpf__open();
	if (skel == NULL)
		die_bpf("BPF program", -errno);
	skel->rodata->conf = *conf;
	err = bpf_map__set_max_entries(skel->maps.flows, conf->n_flows);
	if (err == 0)
		err = sink_bpf__load(skel);
	if (err != 0)
		die_bpf("BPF program", err);
	flows = mmap(NULL, bytes, PROT_READ, MAP_SHARED, bpf_map__fd(skel->maps.flows), 0);
	if (flows == MAP_FAILED)
		die("can not map the flow table: %s", strerror(errno));
	attach_xdp(bpf_program__fd(skel->progs.wire_sink), ifname, XDP_FLAGS_DRV_MODE);
}

static uint32_t mask_of(const char *option, uint32_t every)
{
	if ((every & (every - 1)) != 0)
		errx(2, "%s %u: must be a power of two", option, every);
	return every - 1;
}

static void run_command(const char *command)
{
	uint32_t every;

	if (strcmp(command, "read") == 0) {
		print_window();
		return;
	}
	if (strncmp(command, "reset ", 6) == 0 &&
			tp_number_parse(command + 6, 1, MAX_EVERY, &every))
		skel->data_window->window.latency_mask = mask_of("reset", every);
	else if (strcmp(command, "reset") != 0)
		die("not a command: %s", command);
	reset();
	puts("{\"reset\":true}");
	fflush(stdout);
}

static void run_commands(void)
{
	char line[100];

	while (!is_ending() && fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		run_command(line);
	}
}

static void run_intervals(uint32_t seconds)
{
	const struct timespec pause = { .tv_sec = (time_t)seconds };

	while (!is_ending() && nanosleep(&pause, NULL) == 0) {
		print_window();
		reset();
	}
}

struct options {
	const char *ifname;
	struct sink_conf conf;
	uint32_t latency_mask;
	uint32_t interval; /* seconds; 0: commands */
};

static struct options parse(int argc, char *argv[])
{
	struct options o = { .conf.n_flows = 65536 };
	uint32_t check_every = 64, latency_every = 1;
	const struct tp_option table[] = {
		{ "if", TP_OPTION_TEXT, &o.ifname, 0, 0, "interface to receive on", true, "IF" },
		{ "flows", TP_OPTION_NUMBER, &o.conf.n_flows, 1, MAX_FLOWS,
				"flows of the generator, at most" },
		{ "check-every", TP_OPTION_NUMBER, &check_every, 1, MAX_EVERY,
				"verify the UDP checksum of one packet in N, a power of two" },
		{ "latency-every", TP_OPTION_NUMBER, &latency_every, 1, MAX_EVERY,
				"take the latency of one packet in N, a power of two" },
		{ "interval", TP_OPTION_NUMBER, &o.interval, 1, MAX_INTERVAL,
				"print every N seconds, until SIGTERM" },
		{ NULL },
	};

	tp_options_parse(argc, argv,
			"usage: sink --if IF [OPTION...]\n\n"
			"Counts and drops the generator's packets that arrive at IF, in XDP.\n\n"
			"Without --interval reads commands from stdin, one a line, and answers each\n"
			"with a JSON line: `reset` begins a window, `reset N` one with another\n"
			"--latency-every, `read` prints what came since.",
			table);
	o.conf.check_mask = mask_of("--check-every", check_every);
	o.latency_mask = mask_of("--latency-every", latency_every);
	ifindex_of(o.ifname);
	return o;
}

int main(int argc, char *argv[])
{
	struct options o = parse(argc, argv);

	load(o.ifname, &o.conf);
	skel->data_window->window.latency_mask = o.latency_mask;
	catch_signals();
	reset();
	puts("{\"ready\":true}");
	fflush(stdout);
	if (o.interval > 0)
		run_intervals(o.interval);
	else
		run_commands();
	sink_bpf__destroy(skel);
	return 0;
}
