/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk-load - the other end of a shared-memory wire: sends frames of many flows as fast as they are
 * taken, and counts what comes back.
 *
 * The device is this end of the wire: net_vhost, at whose socket the device under test connects
 * with net_virtio_user, or net_memif with role=server.  What is no answer passes between the wire
 * and the TAP, by turnpike's own exception path, so that clients and peers with addresses on the
 * TAP make real allocations.
 *
 * Commands on standard input, one a line, each answered by a line of JSON:
 *   flows FILE MAC PAYLOAD_BYTES   the list of channels, the device's address
 *   run MILLISECONDS               send; {"sent":N,"received":N,"ns":N}
 *   watch MILLISECONDS             the same without sending
 * What counts as received: UDP to the peers, and ChannelData to the server, which is what a device
 * that only swaps addresses sends back.
 */
#include "base/clock.h"
#include "bench/options.h"
#include "bpf/steer.h"
#include "flows.h"
#include "io/dpdk.h"
#include "io/exception.h"
#include "io/steer_conf.h"
#include "io/tap.h"
#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "payload.h"

#define MTU 1500
#define LINE 512
#define BURST 32
#define IDLE_USEC 20    /* between two looks while nothing is measured */
#define HELD (1u << 14) /* references to a frame that the wire may drop at once */

/* As the rig has them. */
static const char *const peers[] = { "198.18.0.3", "2001:2::3" };
static const char *const servers[] = { "198.18.0.1", "2001:2::1" };
#define SERVER_PORT 3478

struct load {
	struct tp_dpdk *dev;
	struct tp_dpdk_pool *pool;
	struct tp_port *port;
	struct tp_exception *exception;
	struct tp_bpf_conf conf;
	struct tp_bpf_ports *ports;
	struct tp_bpf_accept accept;
	struct rte_mbuf **frames; /* one of each flow */
	uint32_t n_frames, next;
	uint8_t mac[6];
};

/* ---- set-up ---- */

static void start_eal(uint32_t cpu)
{
	char lcores[32];
	char *argv[] = { (char[]){ "dpdk-load" }, (char[]){ "--in-memory" },
		(char[]){ "--single-file-segments" }, (char[]){ "--no-pci" },
		(char[]){ "--no-telemetry" }, (char[]){ "--log-level=*:error" }, lcores, NULL };

	snprintf(lcores, sizeof(lcores), "--lcores=0@%u", cpu);
	if (rte_eal_init(sizeof(argv) / sizeof(argv[0]) - 1, argv) < 0)
		die("DPDK does not start: are there huge pages?");
}

static void add_address(struct load *l, const char *text, uint8_t relay)
{
	struct tp_bpf_addr *a = &l->conf.addr[l->conf.n_addrs++];

	a->is_v6 = strchr(text, ':') != NULL;
	a->relay = relay;
	if (inet_pton(a->is_v6 ? AF_INET6 : AF_INET, text, a->ip) != 1)
		die("%s: no address", text);
}

/* What the rules take: everything to the peers, ChannelData to the servers. */
static void set_rules(struct load *l)
{
	l->ports = calloc(2, sizeof(*l->ports));
	if (l->ports == NULL)
		die("out of memory");
	memset(l->ports, 0xff, 2 * sizeof(*l->ports));
	memset(l->accept.addrs, 0xff, sizeof(l->accept.addrs));
	l->conf.channel_first_byte_max = 0x4f;
	for (uint8_t i = 0; i < 2; i++) {
		add_address(l, peers[i], i);
		add_address(l, servers[i], TP_BPF_NO_RELAY);
		l->conf.listener[l->conf.n_listeners++] =
				(struct tp_bpf_listener){ .port_be = htons(SERVER_PORT),
					.addr = (uint8_t)(l->conf.n_addrs - 1) };
	}
	if (tp_steer_conf_index(&l->conf) < 0)
		die("the addresses can not be indexed");
}

static void join_tap(struct load *l, const char *name, struct tp_dpdk_port_conf *pc)
{
	static struct tp_handoff *to_kernel;
	struct tp_exception_conf ec = {
		.to_kernel = &to_kernel, .n_to_kernel = 1, .frame_bytes = tp_dpdk_frame_bytes(MTU)
	};
	struct tp_why why = { "" };
	struct tp_dpdk_info info;

	ec.tap_fd = tp_tap_open(name, &why);
	if (ec.tap_fd < 0)
		die("%s", why.text);
	tp_dpdk_info(l->dev, &info);
	memcpy(l->mac, info.mac, sizeof(l->mac));
	if (tp_tap_set_mac(ec.tap_fd, name, info.mac) < 0 ||
			tp_handoff_new("to", ec.frame_bytes, &to_kernel) < 0 ||
			tp_handoff_new("from", ec.frame_bytes, &ec.from_kernel) < 0 ||
			tp_exception_new(&l->exception) < 0 ||
			tp_exception_add(l->exception, &ec) < 0 ||
			tp_exception_start(l->exception) < 0)
		die("%s: can not be joined", name);
	pc->to_kernel = to_kernel;
	pc->from_kernel = ec.from_kernel;
	pc->slot_bytes = ec.frame_bytes;
}

static void open_wire(struct load *l, const char *device, const char *tap)
{
	const struct tp_dpdk_conf dc = {
		.name = "wire", .device = device, .queues = 1, .mtu = MTU
	};
	struct tp_dpdk_port_conf pc = { .rules = { &l->conf, l->ports, &l->accept } };
	struct tp_why why = { "" };

	if (tp_dpdk_open(&dc, &l->dev, &why) < 0 ||
			tp_dpdk_pool_new("frames", 1 << 15, tp_dpdk_frame_bytes(MTU), l->dev,
					&l->pool, &why) < 0)
		die("%s", why.text);
	join_tap(l, tap, &pc);
	pc.pool = l->pool;
	if (tp_dpdk_port_new(l->dev, &pc, &l->port, &why) < 0 || tp_dpdk_start(l->dev, &why) < 0)
		die("%s", why.text);
}

/* ---- frames ---- */

static void free_frames(struct load *l)
{
	for (uint32_t i = 0; i < l->n_frames; i++) {
		rte_mbuf_refcnt_set(l->frames[i], 1);
		rte_pktmbuf_free(l->frames[i]);
	}
	free(l->frames);
	l->frames = NULL;
	l->n_frames = l->next = 0;
}

static void read_mac(const char *text, uint8_t mac[6])
{
	unsigned int b[6];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
		die("%s: no MAC address", text);
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
}

/* RFC 768: of what flows_read() summed up. */
static uint16_t checksum(uint32_t sum)
{
	uint16_t folded;

	sum = (sum & 0xffff) + (sum >> 16);
	folded = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
	return folded == 0 ? 0xffff : folded;
}

static void make_frame(struct load *l, const struct gen_flow *flow, const struct frame_shape *shape)
{
	struct tp_frame f;
	uint16_t sum = checksum(flow->csum);

	if (tp_port_alloc(l->port, &f, 1) != 1)
		die("the pool is too small for so many flows");
	fill_frame(f.data, shape->frame_bytes);
	memcpy(f.data, flow->head, sizeof(flow->head));
	memcpy(f.data + shape->checksum_at, &sum, sizeof(sum));
	l->frames[l->n_frames] = (struct rte_mbuf *)(uintptr_t)f.cookie;
	l->frames[l->n_frames]->data_len = (uint16_t)shape->frame_bytes;
	l->frames[l->n_frames++]->pkt_len = shape->frame_bytes;
}

static void read_flows(struct load *l, const char *path, const char *mac, uint32_t payload)
{
	struct frame_shape shape = { .is_up = true, .payload_bytes = payload };
	struct gen_flow *flows;

	memcpy(shape.mac_from, l->mac, sizeof(shape.mac_from));
	read_mac(mac, shape.mac_to);
	flows = flows_read(path, &shape);
	free_frames(l);
	l->frames = calloc(shape.n_flows, sizeof(struct rte_mbuf *));
	if (l->frames == NULL)
		die("out of memory");
	for (uint32_t i = 0; i < shape.n_flows; i++)
		make_frame(l, &flows[i], &shape);
	free(flows);
	printf("{\"flows\":%u,\"frame_bytes\":%u}\n", l->n_frames, shape.frame_bytes);
}

/* ---- traffic ---- */

static uint32_t receive(struct load *l)
{
	struct tp_frame frames[TP_BURST];
	uint32_t n = tp_port_rx(l->port, frames, TP_BURST);

	if (n > 0)
		tp_port_release(l->port, frames, n);
	tp_port_flush(l->port);
	return n;
}

static uint32_t send_burst(struct load *l)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t sent;

	for (uint32_t i = 0; i < BURST; i++) {
		mbufs[i] = l->frames[(l->next + i) % l->n_frames];
		rte_mbuf_refcnt_set(mbufs[i], HELD); /* nobody else has it: the wire copies */
	}
	sent = rte_eth_tx_burst(0, 0, mbufs, BURST);
	l->next = (l->next + sent) % l->n_frames;
	return sent;
}

static void run(struct load *l, uint64_t ms, bool is_sending)
{
	uint64_t begin = tp_clock_now_ns(), end = begin + ms * TP_NS_PER_MS, now = begin;
	uint64_t sent = 0, received = 0;
	uint32_t rounds = 0;

	if (is_sending && l->n_frames == 0)
		die("run before flows");
	while (now < end && !is_ending()) {
		if (is_sending)
			sent += send_burst(l);
		received += receive(l);
		if (++rounds % 64 == 0)
			now = tp_clock_now_ns();
	}
	printf("{\"sent\":%llu,\"received\":%llu,\"ns\":%llu}\n", (unsigned long long)sent,
			(unsigned long long)received, (unsigned long long)(now - begin));
}

static void command(struct load *l, char *line)
{
	char path[300], mac[32];
	unsigned int n;

	if (sscanf(line, "flows %299s %31s %u", path, mac, &n) == 3)
		read_flows(l, path, mac, n);
	else if (sscanf(line, "run %u", &n) == 1)
		run(l, n, true);
	else if (sscanf(line, "watch %u", &n) == 1)
		run(l, n, false);
	else
		die("no such command: %s", line);
	fflush(stdout);
}

/* The wire is served all the time, or allocations would not be. */
static void serve(struct load *l)
{
	char line[LINE];
	size_t len = 0;
	ssize_t n;

	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	while (!is_ending()) {
		if (receive(l) > 0)
			continue;
		n = read(STDIN_FILENO, line + len, sizeof(line) - 1 - len);
		if (n == 0)
			return;
		if (n < 0) {
			usleep(IDLE_USEC);
			continue;
		}
		len += (size_t)n;
		line[len] = '\0';
		if (strchr(line, '\n') == NULL)
			continue;
		command(l, line);
		len = 0;
	}
}

int main(int argc, char *argv[])
{
	const char *device = NULL, *tap = NULL;
	static struct load load;
	uint32_t cpu = 0;
	const struct tp_option table[] = {
		{ "device", TP_OPTION_TEXT, &device, 0, 0, "this end of the wire", true },
		{ "tap", TP_OPTION_TEXT, &tap, 0, 0, "for what is no answer", true, "NAME" },
		{ "cpu", TP_OPTION_NUMBER, &cpu, 0, CPU_SETSIZE - 1, "where to run" },
		{ NULL },
	};

	tp_options_parse(argc, argv,
			"usage: dpdk-load --device TEXT --tap NAME [OPTION...]\n\n"
			"Sends and counts frames through a wire of shared memory, by commands on stdin.",
			table);
	catch_signals();
	start_eal(cpu);
	set_rules(&load);
	open_wire(&load, device, tap);
	puts("{\"ready\":1}");
	fflush(stdout);
	serve(&load);
	free_frames(&load);
	tp_port_close(load.port);
	tp_exception_free(load.exception);
	tp_dpdk_close(load.dev);
	tp_dpdk_pool_free(load.pool);
	return EXIT_SUCCESS;
}
