/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generator - packets at a given rate, or as fast as one CPU makes them, into one interface.
 *
 * An XDP program run by BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES: no socket, no skb.  It
 * writes the headers of the flow whose turn it is, a sequence number, the time and the UDP
 * checksum into a frame, and redirects it to the interface.  On a veth the receiver's work up to
 * its XDP program, and to the AF_XDP socket behind it, is done on this CPU too.
 *
 * "sent" is what was handed to the interface; what the interface itself dropped is in it.
 * The rate is kept inside the program, to the packet; after an interruption of more than 50 us the
 * rest is not made good.  Payload lengths and the family of the addresses are the same in one run.
 */
#include "flows.h"
#include "payload.h"
#include "program.h"

#include "bench/options.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <generator.skel.h>

#include <err.h>
#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ether.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define NS_PER_SEC 1000000000ull
#define MAX_PPS 100000000
#define MAX_SECONDS 86400
#define MAX_BATCH 256 /* the kernel's TEST_XDP_MAX_BATCH */
/* Frames that wait for the end of their batch wait less in a small one: latency. */
#define BATCH_FAST 64
#define BATCH_PACED 16
#define ENDLESS 0x7fffffff
/* A signal that comes just before the system call is lost: repeat it. */
#define ALARM_AGAIN_US 10000

struct options {
	const char *ifname;
	const char *mac;
	const char *flows;
	uint32_t pps;
	double seconds;
	uint32_t batch; /* 0: by the rate */
	bool is_random;
	bool has_commands;
	struct frame_shape shape;
};

static volatile sig_atomic_t is_time_up;
static struct generator_bpf *skel;
static uint8_t frame[ETH_FRAME_LEN];
static uint32_t frame_bytes;

/* ---- the command line ---- */

static struct options parse(int argc, char *argv[])
{
	struct options o = { .shape.payload_bytes = 160 };
	uint32_t is_up = false, is_random = false;
	const struct tp_option table[] = {
		{ "if", TP_OPTION_TEXT, &o.ifname, 0, 0,
				"interface to send on; native XDP or GRO must be on at its peer",
				true, "IF" },
		{ "mac", TP_OPTION_TEXT, &o.mac, 0, 0, "destination", true, "MAC" },
		{ "flows", TP_OPTION_TEXT, &o.flows, 0, 0, "one JSON object a line", true, "FILE" },
		{ "direction", TP_OPTION_CHOICE, &is_up, 0, 0,
				"up: client to relay, ChannelData.  down: peer to relay", true,
				"down|up" },
		{ "payload", TP_OPTION_NUMBER, &o.shape.payload_bytes, WIRE_MIN_PAYLOAD,
				WIRE_MAX_PAYLOAD, "bytes of application data, a multiple of 4" },
		{ "rate", TP_OPTION_NUMBER, &o.pps, 0, MAX_PPS,
				"packets/s of all flows; 0: as fast as possible" },
		{ "seconds", TP_OPTION_SECONDS, &o.seconds, 0, MAX_SECONDS,
				"how long; 0: until SIGTERM" },
		{ "order", TP_OPTION_CHOICE, &is_random, 0, 0, "of the flows",
				.value = "round-robin|random" },
		{ "batch", TP_OPTION_NUMBER, &o.batch, 1, MAX_BATCH,
				"frames in one run of the kernel's loop [64; 16 with a rate]" },
		{ "commands", TP_OPTION_FLAG, &o.has_commands, 0, 0,
				"say {\"ready\":true}, then run each line `PPS SECONDS` of stdin" },
		{ NULL },
	};

	tp_options_parse(argc, argv,
			"usage: generator --if IF --mac MAC --flows FILE --direction up|down "
			"[OPTION...]\n\n"
			"Sends packets of the flows in FILE (as turn-flows prints them) into IF.\n"
			"Prints one JSON line for each run: {\"sent\":packets,\"seconds\":S,\"pps\":P}.",
			table);
	if (o.shape.payload_bytes % 4 != 0)
		errx(2, "--payload %u: must be a multiple of 4", o.shape.payload_bytes);
	o.shape.is_up = is_up;
	o.is_random = is_random;
	return o;
}

static void find_macs(struct options *o)
{
	struct ifreq ifr = { 0 };
	struct ether_addr to;
	int fd;

	if (ether_aton_r(o->mac, &to) == NULL)
		errx(2, "--mac %s: must be an address like 02:00:00:00:00:01", o->mac);
	memcpy(o->shape.mac_to, &to, sizeof(to));
	ifindex_of(o->ifname);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", o->ifname);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &ifr) != 0 ||
			ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		die("%s: has no Ethernet address", o->ifname);
	close(fd);
	memcpy(o->shape.mac_from, ifr.ifr_hwaddr.sa_data, sizeof(o->shape.mac_from));
}

/* ---- the program ---- */

static void load(struct options *o)
{
	struct gen_flow *flows = flows_read(o->flows, &o->shape);
	const struct frame_shape *shape = &o->shape;
	int err;

	silence_libbpf();
	skel = generator_bpf__open();
	if (skel == NULL)
		die_bpf("BPF program", -errno);
	skel->rodata->conf = (struct gen_conf){
		.ifindex = ifindex_of(o->ifname),
		.n_flows = shape->n_flows,
		.checksum_at = shape->checksum_at,
		.payload_at = shape->payload_at,
		.is_random = o->is_random,
	};
	err = bpf_map__set_max_entries(skel->maps.flows, shape->n_flows);
	if (err == 0)
		err = generator_bpf__load(skel);
	if (err != 0)
		die_bpf("BPF program", err);
	for (uint32_t i = 0; i < shape->n_flows; i++) {
		err = bpf_map__update_elem(
				skel->maps.flows, &i, sizeof(i), &flows[i], sizeof(flows[i]), 0);
		if (err != 0)
			die_bpf("flow table", err);
	}
	free(flows);
	skel->bss->state.random = 1;
	frame_bytes = shape->frame_bytes;
	fill_frame(frame, frame_bytes);
}

static void ring(int signal)
{
	(void)signal;
	is_time_up = 1;
}

static void set_alarm(double seconds)
{
	const struct sigaction action = { .sa_handler = ring }; /* no SA_RESTART */
	const struct itimerval timer = {
		.it_value = { .tv_sec = (time_t)seconds,
				.tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) *
						1e6) },
		.it_interval = { .tv_usec = seconds > 0 ? ALARM_AGAIN_US : 0 },
	};

	is_time_up = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* One endless run of the kernel's loop, ended by a signal: many short ones lose 10 % and more. */
static void run_frames(uint32_t batch)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = frame_bytes,
			.repeat = ENDLESS, .batch_size = batch,
			.flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	int err = 0;

	while (!is_ending() && !is_time_up && (err == 0 || err == -EAGAIN))
		err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.wire_generate), &opts);
	if (err != 0 && err != -EINTR)
		die_bpf("BPF_PROG_TEST_RUN with live frames (Linux 5.18)", err);
}

static void run(const struct options *o, uint64_t pps, double seconds)
{
	struct gen_state *state = &skel->bss->state;
	struct gen_pace *pace = &skel->data_pace->pace;
	uint32_t batch = o->batch != 0 ? o->batch : pps == 0 ? BATCH_FAST : BATCH_PACED;
	double ran = 0;

	state->sent = 0;
	state->first_ns = 0;
	state->due = 0;
	pace->interval = pps == 0 ? 0 : (NS_PER_SEC << GEN_NS_SHIFT) / pps;
	set_alarm(seconds);
	run_frames(batch);
	set_alarm(0);
	if (state->sent > 0)
		ran = (double)(state->last_ns - state->first_ns) / (double)NS_PER_SEC;
	printf("{\"sent\":%llu,\"seconds\":%.6f,\"pps\":%.0f}\n", (unsigned long long)state->sent,
			ran, ran > 0 ? (double)state->sent / ran : 0);
	fflush(stdout);
}

static void run_commands(const struct options *o)
{
	char line[100], seconds[50], extra;
	unsigned long long pps;
	double duration;

	puts("{\"ready\":true}");
	fflush(stdout);
	while (!is_ending() && fgets(line, sizeof(line), stdin) != NULL) {
		if (sscanf(line, "%llu %49s %c", &pps, seconds, &extra) != 2 || pps > MAX_PPS ||
				!tp_seconds_parse(seconds, 0, MAX_SECONDS, &duration))
			die("not a command: %s", line);
		run(o, pps, duration);
	}
}

int main(int argc, char *argv[])
{
	struct options o = parse(argc, argv);

	find_macs(&o);
	load(&o);
	catch_signals();
	if (o.has_commands)
		run_commands(&o);
	else
		run(&o, o.pps, o.seconds);
	generator_bpf__destroy(skel);
	return 0;
}
