/* SPDX-License-Identifier: Apache-2.0 */
/*
 * l2fwd - the ceiling: our AF_XDP port with a worker that only swaps MAC addresses.
 *
 * The same port code, memory, burst and idle policy as a worker of the relay (app/turnpike/layout.c
 * and worker.c), without classification, lookup and rewrite.  What it does is the most that any
 * relay can do by this port on this kernel, driver and machine.  Frames go back with the addresses
 * they came with, so only XDP programs see them.
 */
#include "program.h"

#include "base/why.h"
#include "bench/options.h"
#include "io/afxdp.h"
#include "io/netdev.h"
#include "io/port.h"
#include "io/umem.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <l2fwd.skel.h>
#include <linux/if_link.h>
#include <rte_pause.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As worker.c and layout.c have them. */
#define SPIN_ROUNDS 64
#define SLEEP_MS 100
#define SLEEP_PENDING_MS 1
#define CHUNK_BYTES 2048
#define CHUNKS (4 * TP_AFXDP_RING)

struct options {
	const char *ifname;
	enum tp_xdp_mode mode;
	bool is_adaptive;
};

/* ---- the loop ---- */

static void swap_macs(uint8_t *frame)
{
	uint8_t to[6];

	memcpy(to, frame, sizeof(to));
	memcpy(frame, frame + sizeof(to), sizeof(to));
	memcpy(frame + sizeof(to), to, sizeof(to));
}

static uint32_t forward_burst(struct tp_port *port)
{
	struct tp_frame frames[TP_BURST];
	uint32_t n = tp_port_rx(port, frames, TP_BURST);
	uint32_t sent;

	for (uint32_t i = 0; i < n; i++)
		swap_macs(frames[i].data);
	if (n > 0) {
		sent = tp_port_tx(port, frames, n);
		if (sent < n)
			tp_port_release(port, frames + sent, n - sent);
	}
	tp_port_flush(port);
	return n;
}

static void forward(struct tp_port *port, bool is_adaptive)
{
	struct pollfd fd = { .fd = tp_port_fd(port), .events = POLLIN };
	uint32_t idle_rounds = 0;

	while (!is_ending()) {
		idle_rounds = forward_burst(port) > 0 ? 0 : idle_rounds + 1;
		if (idle_rounds == 0)
			continue;
		if (is_adaptive && idle_rounds >= SPIN_ROUNDS) {
			poll(&fd, 1, idle_rounds == SPIN_ROUNDS ? SLEEP_PENDING_MS : SLEEP_MS);
			if (idle_rounds > SPIN_ROUNDS)
				idle_rounds = SPIN_ROUNDS;
		} else {
			rte_pause();
		}
	}
}

/* ---- set-up ---- */

static struct options parse(int argc, char *argv[])
{
	uint32_t mode = TP_XDP_COPY - TP_XDP_ZEROCOPY, is_spinning = false;
	struct options o = { 0 };
	const struct tp_option table[] = {
		{ "if", TP_OPTION_TEXT, &o.ifname, 0, 0, "interface with one receive queue", true,
				"IF" },
		{ "mode", TP_OPTION_CHOICE, &mode, 0, 0, "of the XDP program and the socket",
				.value = "zerocopy|copy|skb" },
		{ "idle", TP_OPTION_CHOICE, &is_spinning, 0, 0, "what it does without packets",
				.value = "adaptive|spin" },
		{ NULL },
	};

	tp_options_parse(argc, argv,
			"usage: l2fwd --if IF [OPTION...]\n\n"
			"Sends the generator's packets back where they came from, by AF_XDP.\n"
			"Prints {\"ready\":true,...}, and at SIGTERM what its port counted.",
			table);
	o.mode = TP_XDP_ZEROCOPY + mode;
	o.is_adaptive = !is_spinning;
	ifindex_of(o.ifname);
	return o;
}

static struct tp_umem *make_umem(void)
{
	const struct tp_umem_conf conf = {
		.chunks = CHUNKS,
		.chunk_bytes = CHUNK_BYTES,
		.ring_size = TP_AFXDP_RING,
		.numa_node = -1,
	};
	struct tp_umem *umem;
	struct tp_why why;

	if (tp_umem_new(&conf, &umem, &why) < 0)
		die("%s", why.text);
	return umem;
}

static struct tp_port *make_port(const struct options *o, struct tp_umem *umem)
{
	const struct tp_afxdp_conf conf = {
		.ifname = o->ifname,
		.queue = 0,
		.want = o->mode,
		.busy_poll = !o->is_adaptive,
		.umem = umem,
	};
	struct tp_port *port;
	struct tp_why why;

	if (tp_if_queues(o->ifname) != 1)
		die("%s: has %u receive queues, and l2fwd serves one: ethtool -L", o->ifname,
				tp_if_queues(o->ifname));
	if (tp_afxdp_new(&conf, &port, &why) < 0)
		die("%s", why.text);
	return port;
}

static struct l2fwd_bpf *steer_to(const struct options *o, struct tp_port *port)
{
	struct l2fwd_bpf *skel;
	uint32_t queue = 0;
	int fd = tp_afxdp_fd(port), err;

	silence_libbpf();
	skel = l2fwd_bpf__open_and_load();
	if (skel == NULL)
		die_bpf("BPF program", -errno);
	err = bpf_map__update_elem(skel->maps.xsks, &queue, sizeof(queue), &fd, sizeof(fd), 0);
	if (err != 0)
		die_bpf("XSKMAP", err);
	err = tp_afxdp_count_in(port, bpf_map__fd(skel->maps.queues));
	if (err != 0)
		die_bpf("map of queues", err);
	attach_xdp(bpf_program__fd(skel->progs.wire_l2fwd), o->ifname,
			o->mode == TP_XDP_SKB ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	return skel;
}

static void print_stats(const struct tp_port *port)
{
	struct tp_port_stats stats;

	tp_port_stats(port, &stats);
	printf("{\"ended\":true");
#define X(name, text) printf(",\"%s\":%llu", #name, (unsigned long long)stats.name);
	TP_PORT_STATS(X)
#undef X
	puts("}");
}

int main(int argc, char *argv[])
{
	struct options o = parse(argc, argv);
	struct tp_umem *umem = make_umem();
	struct tp_port *port = make_port(&o, umem);
	struct l2fwd_bpf *skel = steer_to(&o, port);

	catch_signals();
	printf("{\"ready\":true,\"mode\":\"%s\"}\n", tp_xdp_mode_name(tp_afxdp_mode(port)));
	fflush(stdout);
	forward(port, o.is_adaptive);
	print_stats(port);
	l2fwd_bpf__destroy(skel);
	tp_port_close(port);
	tp_umem_free(umem);
	return 0;
}
