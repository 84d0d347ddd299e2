/* SPDX-License-Identifier: Apache-2.0 */
#include "io/afxdp.h"
#include "io/netdev.h"

#include "../lab.h"

#include "base/clock.h"
#include "bpf/steer.h"
#include "io/steer.h"
#include "io/umem_private.h"

#include <errno.h>
#include <linux/if_link.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define NEAR "near"
#define FAR "far"
#define NEAR2 "near2"
#define FAR2 "far2"

#define CHUNKS 4096
#define RING 1024
#define INDEX 7

static const struct lab_udp datagram = {
	.src = "198.51.100.7",
	.dst = "192.0.2.1",
	.sport = 40000,
	.dport = 3478,
	.payload = "\x40\x01\x00\x04"
		   "data",
	.payload_len = 8,
};

/* One worker's things: a program, memory and up to two ports, with the wires they hang on. */
struct rig {
	struct tp_steer *steer;
	struct tp_umem *umem;
	struct tp_port *port[2];
	int wire[2];
};

static const char *const near_name[] = { NEAR, NEAR2 };
static const char *const far_name[] = { FAR, FAR2 };

static struct tp_umem *new_umem(uint32_t chunks)
{
	const struct tp_umem_conf conf = {
		.chunks = chunks,
		.chunk_bytes = 2048,
		.ring_size = RING,
		.numa_node = -1,
	};
	struct tp_umem *umem = NULL;
	struct tp_why why = { "" };

	if (tp_umem_new(&conf, &umem, &why) != 0)
		fail_msg("%s", why.text);
	return umem;
}

static int try_port(struct tp_umem *umem, const char *ifname, enum tp_xdp_mode want,
		struct tp_port **out, struct tp_why *why)
{
	const struct tp_afxdp_conf conf = {
		.ifname = ifname,
		.index = INDEX,
		.want = want,
		.busy_poll = true,
		.umem = umem,
	};

	return tp_afxdp_new(&conf, out, why);
}

static struct tp_steer *new_program(void)
{
	const struct tp_addr listener = tp_addr_v4((const uint8_t[]){ 192, 0, 2, 1 }, 3478);
	const struct tp_steer_conf conf = { .listeners = &listener, .n_listeners = 1 };
	struct tp_steer *steer = NULL;
	struct tp_why why = { "" };

	if (tp_steer_new(&conf, &steer, &why) != 0)
		fail_msg("%s", why.text);
	return steer;
}

static struct rig *new_rig(void)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int i;

	assert_non_null(rig);
	for (i = 0; i < 2; i++) {
		lab_veth(near_name[i], far_name[i]);
		lab_ipv6(near_name[i], "disable_ipv6", 1);
		rig->wire[i] = lab_wire(far_name[i]);
	}
	rig->umem = new_umem(CHUNKS);
	rig->steer = new_program();
	return rig;
}

static void add_port(struct rig *rig, int i, enum tp_xdp_mode want)
{
	struct tp_steer_if *sif = NULL;
	struct tp_why why = { "" };
	bool is_skb;

	if (tp_steer_attach(rig->steer, if_nametoindex(near_name[i]), want, &sif, &is_skb, &why) !=
			0)
		fail_msg("%s", why.text);
	if (try_port(rig->umem, near_name[i], want, &rig->port[i], &why) != 0)
		fail_msg("%s", why.text);
	assert_int_equal(tp_afxdp_count_in(rig->port[i], tp_steer_queues_fd(sif)), 0);
	assert_int_equal(tp_steer_set_xsk(sif, 0, tp_afxdp_fd(rig->port[i])), 0);
	assert_int_equal(tp_afxdp_in_rings(rig->port[i]), RING); /* the fill ring is full */
}

static void free_rig(struct rig *rig)
{
	int i;

	tp_steer_free(rig->steer);
	for (i = 1; i >= 0; i--) {
		if (rig->port[i] != NULL)
			tp_port_close(rig->port[i]);
		close(rig->wire[i]);
		lab_run("ip link del %s", near_name[i]);
	}
	tp_umem_free(rig->umem);
	free(rig);
}

/* free + rings + held = all, whatever happens. */
static void assert_conserved(const struct rig *rig, uint32_t held)
{
	uint32_t n = tp_umem_free_chunks(rig->umem) + held;
	int i;

	for (i = 0; i < 2; i++)
		n += rig->port[i] == NULL ? 0 : tp_afxdp_in_rings(rig->port[i]);
	assert_int_equal(n, CHUNKS);
}

/* Receive up to n frames within a second; fewer when they do not come. */
static uint32_t receive(struct tp_port *port, struct tp_frame *frames, uint32_t n)
{
	struct pollfd ready = { .fd = tp_port_fd(port), .events = POLLIN };
	uint32_t got = 0;

	while (got < n) {
		uint32_t more = tp_port_rx(port, frames + got, n - got);

		got += more;
		if (more == 0 && poll(&ready, 1, 1000) != 1)
			break;
	}
	return got;
}

/* Flush until everything sent has completed. */
static void settle(struct tp_port *port)
{
	const uint64_t deadline_ns = tp_clock_now_ns() + 2 * TP_NS_PER_SEC;

	do {
		tp_port_flush(port);
	} while (tp_afxdp_in_rings(port) > RING && tp_clock_now_ns() < deadline_ns);
	assert_int_equal(tp_afxdp_in_rings(port), RING); /* the full fill ring */
}

/* After a failure, so that the next test can build its own. */
static int sweep(void **state)
{
	(void)state;
	return system("for i in " NEAR " " NEAR2 "; do ip link del $i 2>/dev/null; done; true");
}

static const enum tp_xdp_mode modes[] = { TP_XDP_COPY, TP_XDP_SKB };

static void a_frame_goes_in_and_out(void **state)
{
	size_t m;

	(void)state;
	for (m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		struct rig *rig = new_rig();
		uint8_t want[LAB_FRAME_MAX], got[LAB_FRAME_MAX];
		size_t len = lab_frame(&datagram, want);
		struct tp_port_stats stats;
		struct tp_port_info info;
		struct tp_frame frame;

		add_port(rig, 0, modes[m]);
		tp_port_info(rig->port[0], &info);
		assert_string_equal(info.name, NEAR);
		assert_string_equal(info.driver, "afxdp");
		assert_string_equal(info.mode, tp_xdp_mode_name(modes[m]));
		assert_int_equal(tp_afxdp_mode(rig->port[0]), modes[m]);
		assert_int_equal(info.frames, CHUNKS);
		assert_conserved(rig, 0);

		lab_send(rig->wire[0], &datagram);
		assert_int_equal(receive(rig->port[0], &frame, 1), 1);
		assert_int_equal(frame.len, len);
		assert_memory_equal(frame.data, want, len);
		assert_int_equal(frame.port, INDEX);
		assert_true(frame.headroom >= TP_UMEM_HEADROOM);
		assert_ptr_equal(frame.data - frame.headroom, rig->umem->area + frame.cookie);
		assert_int_equal(frame.headroom + frame.len + frame.tailroom,
				1 << rig->umem->chunk_shift);
		assert_conserved(rig, 1);

		/* Grown into the headroom, to the last byte of it. */
		frame.data -= frame.headroom;
		frame.len = (uint16_t)(frame.len + frame.headroom);
		memset(frame.data, 0x5a, frame.headroom);
		memcpy(frame.data, lab_far_mac, 6);
		assert_int_equal(tp_port_tx(rig->port[0], &frame, 1), 1);
		settle(rig->port[0]);
		assert_conserved(rig, 0);
		assert_int_equal(recv(rig->wire[0], got, sizeof(got), 0), len + frame.headroom);
		assert_memory_equal(got, lab_far_mac, 6);
		assert_int_equal(got[100], 0x5a);
		assert_memory_equal(got + frame.headroom, want, len);

		tp_port_stats(rig->port[0], &stats);
		assert_int_equal(stats.rx_pkts, 1);
		assert_int_equal(stats.tx_pkts, 1);
		assert_true(stats.tx_kicks >= 1);
		assert_int_equal(stats.tx_errors, 0);
		assert_int_equal(stats.rx_dropped + stats.rx_invalid_descs + stats.tx_invalid_descs,
				0);
		free_rig(rig);
	}
}

/* What is not ours is left to the kernel. */
static void other_traffic_is_not_received(void **state)
{
	struct rig *rig = new_rig();
	struct lab_udp stun = datagram;
	struct tp_frame frame;

	(void)state;
	add_port(rig, 0, TP_XDP_COPY);
	stun.payload = "\x00\x01\x00\x00";
	stun.payload_len = 4;
	lab_send(rig->wire[0], &stun);
	lab_send(rig->wire[0], &datagram);
	assert_int_equal(receive(rig->port[0], &frame, 2), 1);
	assert_int_equal(frame.data[42], 0x40);
	tp_port_release(rig->port[0], &frame, 1);
	assert_conserved(rig, 0);
	free_rig(rig);
}

static uint32_t drain(int wire)
{
	uint8_t frame[LAB_FRAME_MAX];
	uint32_t n = 0;

	while (recv(wire, frame, sizeof(frame), MSG_DONTWAIT) > 0)
		n++;
	return n;
}

static void nothing_is_lost_in_10000_frames(void **state)
{
	size_t m;

	(void)state;
	for (m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		struct rig *rig = new_rig();
		uint32_t sent = 0, received = 0, returned = 0, n, i;
		uint64_t addr[CHUNKS];
		bool seen[CHUNKS] = { false };

		add_port(rig, 0, modes[m]);
		while (sent < 10000) {
			struct tp_frame frames[TP_BURST];

			for (i = 0; i < 32; i++, sent++)
				lab_send(rig->wire[0], &datagram);
			n = receive(rig->port[0], frames, 32);
			received += n;
			assert_conserved(rig, n);
			/* Some are sent back, some are dropped. */
			assert_int_equal(tp_port_tx(rig->port[0], frames, n / 2), n / 2);
			tp_port_release(rig->port[0], frames + n / 2, n - n / 2);
			tp_port_flush(rig->port[0]);
			assert_conserved(rig, 0);
			returned += drain(rig->wire[0]);
		}
		settle(rig->port[0]);
		assert_conserved(rig, 0);
		assert_int_equal(received, sent);
		assert_int_equal(returned + drain(rig->wire[0]), sent / 2);

		/* And none is in two places. */
		n = tp_umem_pop(rig->umem, addr, CHUNKS);
		assert_int_equal(n, CHUNKS - RING);
		for (i = 0; i < n; i++) {
			assert_false(seen[addr[i] / 2048]);
			seen[addr[i] / 2048] = true;
		}
		tp_umem_push(rig->umem, addr, n);
		free_rig(rig);
	}
}

/* Frames of our own making, as a test needs more of them than the wire brings. */
static uint32_t make_frames(struct rig *rig, struct tp_frame *frames, uint32_t n)
{
	uint8_t bytes[LAB_FRAME_MAX];
	size_t len = lab_frame(&datagram, bytes);
	uint64_t addr;
	uint32_t i;

	for (i = 0; i < n && tp_umem_pop(rig->umem, &addr, 1) == 1; i++) {
		frames[i] = (struct tp_frame){
			.data = rig->umem->area + addr + TP_UMEM_HEADROOM,
			.len = (uint16_t)len,
			.headroom = TP_UMEM_HEADROOM,
			.cookie = addr,
		};
		memcpy(frames[i].data, bytes, len);
	}
	return i;
}

static void tx_takes_what_has_room_and_leaves_the_rest(void **state)
{
	static struct tp_frame frames[CHUNKS];
	struct rig *rig = new_rig();
	uint32_t n, taken = 0, got;

	(void)state;
	add_port(rig, 0, TP_XDP_COPY);
	n = make_frames(rig, frames, CHUNKS);
	assert_int_equal(n, CHUNKS - RING);
	while ((got = tp_port_tx(rig->port[0], frames + taken, 100)) == 100)
		taken += got;
	taken += got;
	assert_int_equal(taken, RING); /* no more than the completion ring holds */
	assert_int_equal(tp_port_tx(rig->port[0], frames + taken, 1), 0);
	assert_conserved(rig, n - taken);

	settle(rig->port[0]);
	assert_conserved(rig, n - taken);
	assert_int_equal(tp_port_tx(rig->port[0], frames + taken, 1), 1);
	tp_port_release(rig->port[0], frames + taken + 1, n - taken - 1);
	settle(rig->port[0]);
	assert_conserved(rig, 0);
	assert_true(drain(rig->wire[0]) >
			256); /* the peer's ring drops some, which is the wire's affair */
	free_rig(rig);
}

static void an_empty_pool_starves_and_recovers(void **state)
{
	static struct tp_frame held[CHUNKS];
	struct rig *rig = new_rig();
	struct tp_port_stats stats;
	struct tp_frame frame;
	uint32_t n_free, n_held = 0;
	uint64_t addr[CHUNKS];
	int i;

	(void)state;
	add_port(rig, 0, TP_XDP_COPY);
	n_free = tp_umem_pop(rig->umem, addr, CHUNKS);
	for (i = 0; i < RING + 100; i++) {
		lab_send(rig->wire[0], &datagram);
		n_held += tp_port_rx(rig->port[0], held + n_held, TP_BURST);
	}
	assert_int_equal(n_held, RING);
	assert_int_equal(tp_port_rx(rig->port[0], held + n_held, TP_BURST), 0);
	tp_port_stats(rig->port[0], &stats);
	assert_true(stats.rx_fill_ring_empty_descs + stats.rx_dropped > 0);
	assert_conserved(rig, n_free + n_held);

	tp_umem_push(rig->umem, addr, n_free);
	tp_port_release(rig->port[0], held, n_held);
	tp_port_flush(rig->port[0]);
	lab_send(rig->wire[0], &datagram);
	assert_int_equal(receive(rig->port[0], &frame, 1), 1);
	tp_port_release(rig->port[0], &frame, 1);
	assert_conserved(rig, 0);
	free_rig(rig);
}

static void ports_of_one_memory_exchange_frames(void **state)
{
	size_t m;

	(void)state;
	for (m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		struct rig *rig = new_rig();
		uint32_t round, i, n, across = 0;

		add_port(rig, 0, modes[m]);
		add_port(rig, 1, modes[m]);
		assert_int_equal(tp_afxdp_mode(rig->port[1]), modes[m]);
		for (round = 0; round < 100; round++) {
			int from = round & 1, to = !from;
			struct tp_frame frames[TP_BURST];

			for (i = 0; i < 16; i++)
				lab_send(rig->wire[from], &datagram);
			n = receive(rig->port[from], frames, 16);
			assert_int_equal(n, 16);
			assert_int_equal(tp_port_tx(rig->port[to], frames, n), n);
			tp_port_flush(rig->port[to]);
			tp_port_flush(rig->port[from]);
			assert_conserved(rig, 0);
			across += drain(rig->wire[to]);
		}
		settle(rig->port[0]);
		settle(rig->port[1]);
		assert_conserved(rig, 0);
		assert_int_equal(across, 1600);
		free_rig(rig);
	}
}

static void a_dead_link_costs_errors_but_no_frames(void **state)
{
	struct rig *rig = new_rig();
	struct tp_frame frames[TP_BURST];
	struct tp_port_stats stats;
	uint32_t n, i;

	(void)state;
	add_port(rig, 0, TP_XDP_COPY);
	lab_run("ip link set " NEAR " down");
	n = make_frames(rig, frames, 10);
	assert_int_equal(tp_port_tx(rig->port[0], frames, n), n);
	for (i = 0; i < 1000; i++)
		tp_port_flush(rig->port[0]);
	tp_port_stats(rig->port[0], &stats);
	assert_true(stats.tx_errors > 0);
	assert_true(stats.tx_kicks < 100); /* not one for every flush */
	assert_conserved(rig, 0);

	lab_run("ip link set " NEAR " up");
	settle(rig->port[0]);
	assert_conserved(rig, 0);
	/* The far end may send only when the kernel has noticed its carrier. */
	for (i = 0, n = 0; i < 5 && n == 0; i++) {
		lab_send(rig->wire[0], &datagram);
		n = receive(rig->port[0], frames, 1);
	}
	assert_int_equal(n, 1);
	tp_port_release(rig->port[0], frames, 1);
	free_rig(rig);
}

/*
 * A worker that takes nothing: the fill ring gives RING chunks, then the kernel loses what the
 * program still hands over, and the program drops the rest.  What was lost on the way must not
 * count for ever, or each flood would leave less room, and in the end none.
 */
static void a_flood_leaves_nothing_behind(void **state)
{
	const uint32_t sent = TP_BPF_MAX_IN_FLIGHT + 500;
	struct tp_frame frames[TP_BURST];
	struct tp_port_stats stats;
	size_t m;

	(void)state;
	for (m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		struct rig *rig = new_rig();
		uint32_t flood, i, n, got;

		add_port(rig, 0, modes[m]);
		for (flood = 1; flood <= 5; flood++) {
			for (i = 0; i < sent; i++)
				lab_send(rig->wire[0], &datagram);
			for (got = 0; (n = tp_port_rx(rig->port[0], frames, TP_BURST)) > 0;
					got += n)
				tp_port_release(rig->port[0], frames, n);
			assert_int_equal(got, RING);
			tp_port_stats(rig->port[0], &stats);
			assert_int_equal(stats.rx_overload, flood * 500);
			for (i = 0; i < 64; i++)
				assert_int_equal(tp_port_rx(rig->port[0], frames, TP_BURST), 0);
			tp_port_flush(rig->port[0]);
			assert_conserved(rig, 0);
		}
		free_rig(rig);
	}
}

/* In steady traffic what was taken leaves room for as much again. */
static void what_was_taken_makes_room(void **state)
{
	struct rig *rig = new_rig();
	struct tp_frame frames[TP_BURST];
	struct tp_port_stats stats;
	uint32_t round, i;

	(void)state;
	add_port(rig, 0, TP_XDP_COPY);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < TP_BURST; i++)
			lab_send(rig->wire[0], &datagram);
		assert_int_equal(receive(rig->port[0], frames, TP_BURST), TP_BURST);
		tp_port_release(rig->port[0], frames, TP_BURST);
	}
	assert_true(round * TP_BURST > TP_BPF_MAX_IN_FLIGHT);
	tp_port_stats(rig->port[0], &stats);
	assert_int_equal(stats.rx_overload, 0);
	assert_int_equal(stats.rx_pkts, round * TP_BURST);
	free_rig(rig);
}

static void the_ladder_ends_in_copy_on_veth(void **state)
{
	struct rig *rig = new_rig();
	struct tp_port *port = NULL;
	struct tp_frame frame;
	struct tp_why why = { "" };

	(void)state;
	assert_true(try_port(rig->umem, NEAR, TP_XDP_ZEROCOPY, &port, &why) < 0);
	assert_null(port);
	assert_non_null(strstr(
			why.text, NEAR " queue 0: cannot bind an AF_XDP socket in mode zerocopy"));
	assert_int_equal(tp_umem_free_chunks(rig->umem), CHUNKS); /* a failure takes nothing */

	add_port(rig, 0, TP_XDP_AUTO);
	assert_int_equal(tp_afxdp_mode(rig->port[0]), TP_XDP_COPY);
	assert_true(try_port(rig->umem, NEAR2, TP_XDP_ZEROCOPY, &port, &why) < 0);
	assert_non_null(strstr(why.text, "one mode"));
	assert_conserved(rig, 0);

	lab_send(rig->wire[0], &datagram);
	assert_int_equal(receive(rig->port[0], &frame, 1), 1);
	tp_port_release(rig->port[0], &frame, 1);
	free_rig(rig);
}

static void impossible_ports_are_refused(void **state)
{
	struct rig *rig = new_rig();
	struct tp_umem *small = new_umem(RING - 1);
	const struct {
		const char *what;
		struct tp_afxdp_conf conf;
		int want;
		const char *says;
	} cases[] = {
		{ "no such interface",
				{ .ifname = "nosuch", .want = TP_XDP_COPY, .umem = rig->umem },
				-ENODEV, "nosuch: no such interface" },
		{ "no such queue",
				{ .ifname = NEAR,
						.queue = 9,
						.want = TP_XDP_COPY,
						.umem = rig->umem },
				-EINVAL, NEAR " queue 9: the interface has 1" },
		{ "off", { .ifname = NEAR, .want = TP_XDP_OFF, .umem = rig->umem }, -EINVAL,
				"off" },
		{ "too few chunks", { .ifname = NEAR, .want = TP_XDP_COPY, .umem = small },
				-ENOBUFS, "1023 free chunks" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tp_port *port = NULL;
		struct tp_why why = { "" };

		print_message("# %s\n", cases[i].what);
		assert_int_equal(tp_afxdp_new(&cases[i].conf, &port, &why), cases[i].want);
		assert_null(port);
		assert_non_null(strstr(why.text, cases[i].says));
	}
	tp_umem_free(small);
	free_rig(rig);
}

static void a_taken_queue_is_waited_for_then_refused(void **state)
{
	struct rig *rig = new_rig();
	struct tp_umem *other = new_umem(CHUNKS);
	struct tp_port *port = NULL;
	struct tp_why why = { "" };
	uint64_t before_ns = tp_clock_now_ns();

	(void)state;
	add_port(rig, 0, TP_XDP_COPY);
	assert_int_equal(try_port(other, NEAR, TP_XDP_AUTO, &port, &why), -EBUSY);
	assert_true(tp_clock_now_ns() - before_ns >= 3 * TP_NS_PER_SEC);
	assert_non_null(strstr(why.text, NEAR " queue 0: another AF_XDP socket"));
	assert_int_equal(tp_umem_free_chunks(other), CHUNKS);
	tp_umem_free(other);
	free_rig(rig);
}

/* A worker under load, killed: the next one starts at once, and its queue is free. */
static void the_successor_of_a_killed_process_starts(void **state)
{
	struct rig *rig = new_rig();
	struct tp_port *port = NULL;
	struct tp_frame frame;
	char ready = 0;
	int pipe_fds[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct tp_umem *umem = NULL;
		struct tp_steer_if *sif;
		bool is_skb;
		const struct tp_umem_conf conf = { CHUNKS, 2048, RING, -1 };

		if (tp_steer_attach(rig->steer, if_nametoindex(NEAR), TP_XDP_AUTO, &sif, &is_skb,
				    NULL) == 0 &&
				tp_umem_new(&conf, &umem, NULL) == 0 &&
				try_port(umem, NEAR, TP_XDP_AUTO, &port, NULL) == 0 &&
				tp_steer_set_xsk(sif, 0, tp_afxdp_fd(port)) == 0)
			ready = 1;
		if (write(pipe_fds[1], &ready, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipe_fds[0], &ready, 1), 1);
	assert_int_equal(ready, 1);
	lab_send(rig->wire[0], &datagram);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pipe_fds[0]);
	close(pipe_fds[1]);

	add_port(rig, 0, TP_XDP_AUTO);
	lab_send(rig->wire[0], &datagram);
	assert_int_equal(receive(rig->port[0], &frame, 1), 1);
	tp_port_release(rig->port[0], &frame, 1);
	assert_conserved(rig, 0);
	free_rig(rig);
}

static void a_closed_port_frees_its_queue(void **state)
{
	struct rig *rig = new_rig();
	struct tp_umem *other = new_umem(CHUNKS);
	struct tp_port *port = NULL;
	struct tp_frame frame;
	struct tp_why why = { "" };

	(void)state;
	add_port(rig, 0, TP_XDP_COPY);
	lab_send(rig->wire[0], &datagram);
	assert_int_equal(receive(rig->port[0], &frame, 1), 1);
	assert_int_equal(tp_port_tx(rig->port[0], &frame, 1), 1);
	tp_port_close(rig->port[0]); /* sends what is queued */
	rig->port[0] = NULL;
	assert_int_equal(drain(rig->wire[0]), 1);
	assert_int_equal(try_port(other, NEAR, TP_XDP_COPY, &port, &why), 0);
	tp_port_close(port);
	tp_umem_free(other);
	free_rig(rig);
}

static void a_port_closed_unused_returns_its_chunks(void **state)
{
	struct rig *rig = new_rig();
	struct tp_port *port = NULL;
	struct tp_why why = { "" };
	int i;

	(void)state;
	for (i = 0; i < 10; i++) {
		add_port(rig, 0, TP_XDP_COPY);
		assert_int_equal(try_port(rig->umem, NEAR2, TP_XDP_COPY, &port, &why), 0);
		assert_int_equal(tp_umem_free_chunks(rig->umem), CHUNKS - 2 * RING);
		tp_port_close(port);
		assert_conserved(rig, 0);
		tp_port_close(rig->port[0]);
		rig->port[0] = NULL;
		assert_int_equal(tp_umem_free_chunks(rig->umem), CHUNKS);
		tp_steer_free(rig->steer);
		rig->steer = new_program();
	}
	free_rig(rig);
}

static void queues_are_counted(void **state)
{
	(void)state;
	lab_run("ip link add wide numrxqueues 4 numtxqueues 4 type veth peer name narrow "
		"numrxqueues 1 numtxqueues 1");
	assert_int_equal(tp_if_queues("wide"), 4);
	assert_int_equal(tp_if_queues("narrow"), 1);
	assert_int_equal(tp_if_queues("lo"), 1);
	assert_int_equal(tp_if_queues("nosuch"), 0);
	lab_run("ip link del wide");
}

int main(void)
{
#define WITH_SWEEP(name) cmocka_unit_test_teardown(name, sweep)
	const struct CMUnitTest tests[] = {
		WITH_SWEEP(a_frame_goes_in_and_out),
		WITH_SWEEP(other_traffic_is_not_received),
		WITH_SWEEP(nothing_is_lost_in_10000_frames),
		WITH_SWEEP(tx_takes_what_has_room_and_leaves_the_rest),
		WITH_SWEEP(an_empty_pool_starves_and_recovers),
		WITH_SWEEP(ports_of_one_memory_exchange_frames),
		WITH_SWEEP(a_dead_link_costs_errors_but_no_frames),
		WITH_SWEEP(a_flood_leaves_nothing_behind),
		WITH_SWEEP(what_was_taken_makes_room),
		WITH_SWEEP(the_ladder_ends_in_copy_on_veth),
		WITH_SWEEP(impossible_ports_are_refused),
		WITH_SWEEP(a_taken_queue_is_waited_for_then_refused),
		WITH_SWEEP(the_successor_of_a_killed_process_starts),
		WITH_SWEEP(a_closed_port_frees_its_queue),
		WITH_SWEEP(a_port_closed_unused_returns_its_chunks),
		WITH_SWEEP(queues_are_counted),
	};

	if (!lab_enter())
		return lab_skip_tap();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
