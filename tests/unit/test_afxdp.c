/* SPDX-License-Identifier: Apache-2.0 */
/* Frames in and out of a port: none is lost but where it is counted, and no chunk ever is. */
#include "afxdp_rig.h"

#include "base/clock.h"

/* Flush until everything sent has completed. */
static void settle(struct tp_port *port)
{
	const uint64_t deadline_ns = tp_clock_now_ns() + 2 * TP_NS_PER_SEC;

	do {
		tp_port_flush(port);
	} while (tp_afxdp_in_rings(port) > RING && tp_clock_now_ns() < deadline_ns);
	assert_int_equal(tp_afxdp_in_rings(port), RING); /* the full fill ring */
}

static const enum tp_xdp_mode modes[] = { TP_XDP_COPY, TP_XDP_SKB };

static void a_frame_goes_in_and_out(void **state)
{
	size_t m;

	(void)state;
	for (m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		struct rig *rig = new_rig();
		uint8_t want[LAB_FRAME_MAX], got[LAB_FRAME_MAX];
		size_t len = lab_frame(&rig_datagram, want);
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

		lab_send(rig->wire[0], &rig_datagram);
		assert_int_equal(rig_receive(rig->port[0], &frame, 1), 1);
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
	struct lab_udp stun = rig_datagram;
	struct tp_frame frame;

	(void)state;
	add_port(rig, 0, TP_XDP_COPY);
	stun.payload = "\x00\x01\x00\x00";
	stun.payload_len = 4;
	lab_send(rig->wire[0], &stun);
	lab_send(rig->wire[0], &rig_datagram);
	assert_int_equal(rig_receive(rig->port[0], &frame, 2), 1);
	assert_int_equal(frame.data[42], 0x40);
	tp_port_release(rig->port[0], &frame, 1);
	assert_conserved(rig, 0);
	free_rig(rig);
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
				lab_send(rig->wire[0], &rig_datagram);
			n = rig_receive(rig->port[0], frames, 32);
			received += n;
			assert_conserved(rig, n);
			/* Some are sent back, some are dropped. */
			assert_int_equal(tp_port_tx(rig->port[0], frames, n / 2), n / 2);
			tp_port_release(rig->port[0], frames + n / 2, n - n / 2);
			tp_port_flush(rig->port[0]);
			assert_conserved(rig, 0);
			returned += rig_drain(rig->wire[0]);
		}
		settle(rig->port[0]);
		assert_conserved(rig, 0);
		assert_int_equal(received, sent);
		assert_int_equal(returned + rig_drain(rig->wire[0]), sent / 2);

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
	size_t len = lab_frame(&rig_datagram, bytes);
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
	assert_true(rig_drain(rig->wire[0]) >
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
		lab_send(rig->wire[0], &rig_datagram);
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
	lab_send(rig->wire[0], &rig_datagram);
	assert_int_equal(rig_receive(rig->port[0], &frame, 1), 1);
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
				lab_send(rig->wire[from], &rig_datagram);
			n = rig_receive(rig->port[from], frames, 16);
			assert_int_equal(n, 16);
			assert_int_equal(tp_port_tx(rig->port[to], frames, n), n);
			tp_port_flush(rig->port[to]);
			tp_port_flush(rig->port[from]);
			assert_conserved(rig, 0);
			across += rig_drain(rig->wire[to]);
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
		lab_send(rig->wire[0], &rig_datagram);
		n = rig_receive(rig->port[0], frames, 1);
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
				lab_send(rig->wire[0], &rig_datagram);
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
			lab_send(rig->wire[0], &rig_datagram);
		assert_int_equal(rig_receive(rig->port[0], frames, TP_BURST), TP_BURST);
		tp_port_release(rig->port[0], frames, TP_BURST);
	}
	assert_true(round * TP_BURST > TP_BPF_MAX_IN_FLIGHT);
	tp_port_stats(rig->port[0], &stats);
	assert_int_equal(stats.rx_overload, 0);
	assert_int_equal(stats.rx_pkts, round * TP_BURST);
	free_rig(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_frame_goes_in_and_out),
		rig_test(other_traffic_is_not_received),
		rig_test(nothing_is_lost_in_10000_frames),
		rig_test(tx_takes_what_has_room_and_leaves_the_rest),
		rig_test(an_empty_pool_starves_and_recovers),
		rig_test(ports_of_one_memory_exchange_frames),
		rig_test(a_dead_link_costs_errors_but_no_frames),
		rig_test(a_flood_leaves_nothing_behind),
		rig_test(what_was_taken_makes_room),
	};

	if (!lab_enter())
		return lab_skip_tap();
	return cmocka_run_group_tests_name("afxdp", tests, NULL, NULL);
}
