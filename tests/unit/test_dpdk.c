/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DPDK port on a device that is a ring (net_ring sends to itself), on one that is nothing
 * (net_null), and, with privileges, on a TAP, which has receive interrupts.
 */
#include "../bpf/steer_vectors.h"

#include "io/dpdk.h"
#include "io/steer_conf.h"

#include <errno.h>
#include <poll.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "eal.h"
#include "handoff_seen.h"

#define SLOT_BYTES 1526
#define FRAME_BYTES tp_dpdk_frame_bytes(MTU)
#define MTU 1500

static struct tp_bpf_ports ports[TP_BPF_MAX_RELAYS];
static struct tp_bpf_accept accepted;
static struct tp_bpf_conf steer_conf;
static const struct tp_steer_rules rules = { &steer_conf, ports, &accepted };

static const struct lab_udp ours = TO4(FAST, STUN);
static const struct lab_udp foreign = TO4(FREE, STUN);

/* A device with one queue, a port of it, and both ways to the kernel. */
struct rig {
	struct tp_dpdk *dev;
	struct tp_dpdk_pool *pool;
	struct tp_port *port;
	struct tp_handoff *to_kernel, *from_kernel;
	struct rte_ring *wire; /* what the device receives and sends; NULL: none */
};

static struct tp_dpdk *open_device(const char *device, uint32_t queues)
{
	const struct tp_dpdk_conf conf = {
		.name = "wan0",
		.device = device,
		.index = 3,
		.queues = queues,
		.mtu = MTU,
		.wants_interrupts = true,
	};
	struct tp_why why = { "" };
	struct tp_dpdk *dev = NULL;

	if (tp_dpdk_open(&conf, &dev, &why) != 0)
		fail_msg("%s: %s", device, why.text);
	return dev;
}

static void open_rig(struct rig *r, const char *device, const char *ring)
{
	struct tp_dpdk_port_conf conf = { .rules = rules, .slot_bytes = SLOT_BYTES };
	struct tp_why why = { "" };

	r->dev = open_device(device, 1);
	assert_int_equal(tp_handoff_new("to", SLOT_BYTES, &r->to_kernel), 0);
	assert_int_equal(tp_handoff_new("from", SLOT_BYTES, &r->from_kernel), 0);
	assert_int_equal(tp_dpdk_pool_new("mbufs", tp_dpdk_pool_frames(1), FRAME_BYTES, r->dev,
					 &r->pool, &why),
			0);
	conf.pool = r->pool;
	conf.to_kernel = r->to_kernel;
	conf.from_kernel = r->from_kernel;
	assert_int_equal(tp_dpdk_port_new(r->dev, &conf, &r->port, &why), 0);
	if (tp_dpdk_start(r->dev, &why) != 0)
		fail_msg("%s", why.text);
	r->wire = ring == NULL ? NULL : rte_ring_lookup(ring);
}

/* Every frame has to be back in its pool. */
static void close_rig(struct rig *r)
{
	uint32_t frames, n_free;

	tp_port_close(r->port);
	tp_dpdk_close(r->dev);
	tp_dpdk_pool_count(r->pool, &frames, &n_free);
	assert_int_equal(frames, n_free);
	tp_dpdk_pool_free(r->pool);
	tp_handoff_free(r->to_kernel);
	tp_handoff_free(r->from_kernel);
}

static int set_up(void **state)
{
	static struct rig rig;

	steer_conf = small_conf();
	assert_int_equal(tp_steer_conf_index(&steer_conf), 0);
	memset(accepted.addrs, 0xff, sizeof(accepted.addrs));
	memset(ports, 0, sizeof(ports));
	ports[0].fast[FAST >> 6] |= 1ull << (FAST & 63);
	open_rig(&rig, "net_ring0", "ETH_RXTX0_net_ring0");
	assert_non_null(rig.wire);
	*state = &rig;
	return 0;
}

static int tear_down(void **state)
{
	close_rig(*state);
	return 0;
}

static struct rte_mbuf *mbuf(const struct rig *r, const void *frame, size_t len)
{
	struct tp_frame f;

	/* Through the port's own memory, as the device would. */
	assert_int_equal(tp_port_alloc(r->port, &f, 1), 1);
	memcpy(rte_pktmbuf_append((struct rte_mbuf *)(uintptr_t)f.cookie, (uint16_t)len), frame,
			len);
	return (struct rte_mbuf *)(uintptr_t)f.cookie;
}

static void inject(const struct rig *r, const struct lab_udp *udp)
{
	uint8_t frame[LAB_FRAME_MAX];
	size_t len = lab_frame(udp, frame);

	assert_int_equal(rte_ring_enqueue(r->wire, mbuf(r, frame, len)), 0);
}

static void check_sent(const struct rig *r, const void *frame, size_t len)
{
	struct rte_mbuf *m;

	assert_int_equal(rte_ring_dequeue(r->wire, (void **)&m), 0);
	assert_int_equal(m->pkt_len, len);
	assert_int_equal(m->data_len, len);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), frame, len);
	rte_pktmbuf_free(m);
}

static struct tp_port_stats stats_of(const struct rig *r)
{
	struct tp_port_stats s;

	tp_port_stats(r->port, &s);
	return s;
}

/* ---- tests ---- */

static void frames_are_sorted(void **state)
{
	const struct rig *r = *state;
	struct tp_frame frames[TP_BURST];
	uint8_t want[LAB_FRAME_MAX];
	struct seen seen;
	size_t len;

	inject(r, &foreign);
	inject(r, &ours);
	inject(r, &foreign);
	inject(r, &ours);
	assert_int_equal(tp_port_rx(r->port, frames, TP_BURST), 2);
	len = lab_frame(&ours, want);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(frames[i].len, len);
		assert_memory_equal(frames[i].data, want, len);
		assert_int_equal(frames[i].port, 3);
		assert_true(frames[i].headroom >= TP_FRAME_GROWTH);
		assert_true(frames[i].tailroom >= FRAME_BYTES - len);
	}
	seen = seen_in(r->to_kernel);
	assert_int_equal(seen.n, 2);
	len = lab_frame(&foreign, want);
	assert_int_equal(seen.len, len);
	assert_memory_equal(seen.frame, want, len);
	tp_port_release(r->port, frames, 2);
	assert_int_equal(stats_of(r).rx_pkts, 2);
	assert_int_equal(stats_of(r).to_kernel_pkts, 2);
	assert_int_equal(tp_port_rx(r->port, frames, TP_BURST), 0);
}

static void a_header_grows_into_the_headroom(void **state)
{
	const struct rig *r = *state;
	uint8_t want[TP_FRAME_GROWTH + LAB_FRAME_MAX];
	struct tp_frame f;
	size_t len = lab_frame(&ours, want + TP_FRAME_GROWTH) + TP_FRAME_GROWTH;

	inject(r, &ours);
	assert_int_equal(tp_port_rx(r->port, &f, 1), 1);
	f.data -= TP_FRAME_GROWTH;
	f.headroom = (uint16_t)(f.headroom - TP_FRAME_GROWTH);
	f.len = (uint16_t)(f.len + TP_FRAME_GROWTH);
	memset(f.data, 0xab, TP_FRAME_GROWTH);
	memset(want, 0xab, TP_FRAME_GROWTH);
	assert_int_equal(tp_port_tx(r->port, &f, 1), 1);
	check_sent(r, want, len);
	assert_int_equal(stats_of(r).tx_pkts, 1);
}

static void what_the_kernel_sends_leaves(void **state)
{
	const struct rig *r = *state;
	uint8_t frame[LAB_FRAME_MAX];
	struct tp_frame f = { .data = frame, .len = (uint16_t)lab_frame(&foreign, frame) };

	assert_int_equal(tp_handoff_put(r->from_kernel, &f, 1), 1);
	assert_int_equal(rte_ring_count(r->wire), 0);
	tp_port_flush(r->port);
	check_sent(r, frame, f.len);
	tp_port_flush(r->port);
	assert_int_equal(rte_ring_count(r->wire), 0);
	assert_int_equal(stats_of(r).from_kernel_pkts, 1);
}

/* It wakes who sleeps, and only then; what came just before is not slept over. */
static void the_kernel_wakes_a_port_that_sleeps(void **state)
{
	const struct rig *r = *state;
	uint8_t frame[60] = { 0 };
	const struct tp_frame f = { .data = frame, .len = sizeof(frame) };
	struct pollfd p = { .fd = tp_port_fd(r->port), .events = POLLIN };

	assert_true(r->port->is_polled); /* a ring has no interrupts */
	assert_true(tp_port_arm(r->port, true));
	assert_int_equal(tp_handoff_put(r->from_kernel, &f, 1), 1);
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_true(tp_port_arm(r->port, false));
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_false(tp_port_arm(r->port, true));
	tp_port_flush(r->port);
	check_sent(r, frame, sizeof(frame));
}

static void a_flood_for_the_kernel_is_not_idleness(void **state)
{
	const struct rig *r = *state;
	struct tp_frame f[TP_BURST];

	for (uint32_t i = 0; i < 3 * TP_BURST; i++)
		inject(r, &foreign);
	inject(r, &ours);
	assert_int_equal(tp_port_rx(r->port, f, TP_BURST), 1);
	tp_port_release(r->port, f, 1);
	assert_int_equal(seen_in(r->to_kernel).n, 3 * TP_BURST);
}

static void a_slow_kernel_loses_its_frames_and_no_others(void **state)
{
	const struct rig *r = *state;
	struct tp_frame f[TP_BURST];
	uint32_t i, got = 0;

	for (i = 0; i < TP_HANDOFF_SLOTS + 100; i++) {
		inject(r, &foreign);
		inject(r, &ours);
		assert_int_equal(tp_port_rx(r->port, f, TP_BURST), 1);
		tp_port_release(r->port, f, 1);
		got++;
	}
	assert_int_equal(stats_of(r).rx_pkts, got);
	assert_int_equal(stats_of(r).to_kernel_pkts, TP_HANDOFF_SLOTS);
	assert_int_equal(stats_of(r).to_kernel_dropped, 100);
	assert_int_equal(seen_in(r->to_kernel).n, TP_HANDOFF_SLOTS);
}

/* A device that takes tags off: the frame is whole again before anybody looks at it. */
static void a_tag_that_was_taken_off_is_put_back(void **state)
{
	const struct rig *r = *state;
	const struct steer_vector tagged = { "", TO4(FAST, STUN), { TAG(0, 100) } };
	uint8_t frame[LAB_FRAME_MAX], want[LAB_FRAME_MAX];
	size_t len = lab_frame(&ours, frame), want_len = steer_frame(&tagged, want);
	struct tp_frame f;

	for (int i = 0; i < 2; i++) {
		struct rte_mbuf *m = mbuf(r, frame, len);

		m->vlan_tci = 100;
		m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		assert_int_equal(rte_ring_enqueue(r->wire, m), 0);
		accepted.vlans[1] = i == 0 ? 0 : 1ull << (100 & 63);
		assert_int_equal(tp_port_rx(r->port, &f, 1), i);
	}
	accepted.vlans[1] = 0;
	assert_int_equal(f.len, want_len);
	assert_memory_equal(f.data, want, want_len);
	tp_port_release(r->port, &f, 1);
	assert_memory_equal(seen_in(r->to_kernel).frame, want, want_len);
}

/* Frames in pieces are none of ours; the kernel gets them whole, or not when they are too long. */
static void pieces_are_the_kernels(void **state)
{
	const struct rig *r = *state;
	uint8_t frame[LAB_FRAME_MAX], rest[2000] = { 7 };
	size_t len = lab_frame(&ours, frame);
	struct tp_frame f;
	struct seen seen;

	for (int i = 0; i < 2; i++) {
		struct rte_mbuf *m = mbuf(r, frame, len);

		assert_int_equal(rte_pktmbuf_chain(m, mbuf(r, rest, i == 0 ? 100 : 1900)), 0);
		assert_int_equal(rte_ring_enqueue(r->wire, m), 0);
		assert_int_equal(tp_port_rx(r->port, &f, 1), 0);
	}
	seen = seen_in(r->to_kernel);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.len, len + 100);
	assert_int_equal(seen.frame[len], 7);
	assert_int_equal(stats_of(r).to_kernel_dropped, 1);
}

static void an_empty_pool_is_survived(void **state)
{
	const struct rig *r = *state;
	static struct tp_frame all[1 << 14];
	uint8_t frame[60] = { 0 };
	const struct tp_frame f = { .data = frame, .len = sizeof(frame) };
	uint32_t n = 0, i;

	while (tp_port_alloc(r->port, &all[n], 1) == 1)
		n++;
	assert_int_equal(tp_handoff_put(r->from_kernel, &f, 1), 1);
	tp_port_flush(r->port);
	assert_int_equal(stats_of(r).from_kernel_dropped, 1);
	for (i = 0; i < n; i++)
		tp_port_release(r->port, &all[i], 1);
	assert_int_equal(tp_handoff_put(r->from_kernel, &f, 1), 1);
	tp_port_flush(r->port);
	check_sent(r, frame, sizeof(frame));
}

static void it_says_what_it_is(void **state)
{
	const struct rig *r = *state;
	struct tp_dpdk_stats stats;
	struct tp_dpdk_info dev;
	struct tp_port_info info;
	struct tp_frame f;

	tp_port_info(r->port, &info);
	assert_string_equal(info.name, "wan0");
	assert_string_equal(info.driver, "dpdk");
	assert_string_equal(info.mode, "net_ring");
	tp_dpdk_info(r->dev, &dev);
	assert_string_equal(dev.driver, "net_ring");
	assert_true(dev.is_up);
	assert_int_equal(dev.mtu, MTU);
	inject(r, &ours);
	assert_int_equal(tp_port_rx(r->port, &f, 1), 1);
	tp_port_release(r->port, &f, 1);
	assert_int_equal(tp_dpdk_stats(r->dev, &stats), 0);
	assert_int_equal(stats.ipackets, 1);
}

/* Each ends in a sentence that names the interface, and leaves nothing behind. */
static void impossible_devices_are_refused(void **state)
{
	static const struct {
		const char *device;
		uint32_t queues, mtu;
		const char *says;
	} cases[] = {
		{ "net_nosuch0", 1, MTU, "net_nosuch0" },
		{ "0000:ff:1f.7", 1, MTU, "0000:ff:1f.7" },
		{ "net_ring0", 17, MTU, "17 queues" },
		{ "net_null0", 1, 9217, "MTU of 9217" },
		{ "not a device", 1, MTU, "not a device" },
	};
	const uint16_t before = rte_eth_dev_count_avail();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tp_dpdk_conf conf = {
			.name = "wan0",
			.device = cases[i].device,
			.queues = cases[i].queues,
			.mtu = cases[i].mtu,
		};
		struct tp_why why = { "" };
		struct tp_dpdk *dev = NULL;

		assert_true(tp_dpdk_open(&conf, &dev, &why) < 0);
		assert_null(dev);
		if (strstr(why.text, "wan0") == NULL || strstr(why.text, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].device, why.text);
		assert_int_equal(rte_eth_dev_count_avail(), before);
	}
}

static void a_device_can_be_opened_again(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct rig r;
		struct tp_frame f[TP_BURST];

		open_rig(&r, "net_null0,size=60", NULL);
		/* Its frames are all zeros. */
		assert_int_equal(tp_port_rx(r.port, f, TP_BURST), 0);
		assert_true(stats_of(&r).to_kernel_pkts >= TP_BURST);
		close_rig(&r);
	}
}

static void an_interrupt_wakes_a_port_that_sleeps(void **state)
{
	struct rig r;
	struct pollfd p = { .events = POLLIN };
	struct tp_frame f[TP_BURST];
	uint32_t tries;
	int wire;

	(void)state;
	open_rig(&r, "net_tap0,iface=dpdk0", NULL);
	lab_run("ip link set dpdk0 up");
	lab_ipv6("dpdk0", "disable_ipv6", 1);
	assert_true(r.port->is_polled); /* only because net_tap does not see a frame at once */
	p.fd = tp_port_fd(r.port);
	while (tp_port_rx(r.port, f, TP_BURST) > 0 || seen_in(r.to_kernel).n > 0)
		;
	assert_true(tp_port_arm(r.port, true));
	assert_int_equal(tp_port_rx(r.port, f, TP_BURST), 0);
	assert_int_equal(poll(&p, 1, 50), 0);
	wire = lab_wire("dpdk0");
	lab_send(wire, &ours);
	assert_int_equal(poll(&p, 1, 2000), 1);
	assert_true(tp_port_arm(r.port, false));
	for (tries = 0; tp_port_rx(r.port, f, TP_BURST) == 0; tries++)
		assert_true(tries < 1000);
	tp_port_release(r.port, f, 1);
	close(wire);
	close_rig(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ON_RING(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		ON_RING(frames_are_sorted),
		ON_RING(a_header_grows_into_the_headroom),
		ON_RING(what_the_kernel_sends_leaves),
		ON_RING(the_kernel_wakes_a_port_that_sleeps),
		ON_RING(a_flood_for_the_kernel_is_not_idleness),
		ON_RING(a_slow_kernel_loses_its_frames_and_no_others),
		ON_RING(a_tag_that_was_taken_off_is_put_back),
		ON_RING(pieces_are_the_kernels),
		ON_RING(an_empty_pool_is_survived),
		ON_RING(it_says_what_it_is),
		cmocka_unit_test(impossible_devices_are_refused),
		cmocka_unit_test(a_device_can_be_opened_again),
		cmocka_unit_test(an_interrupt_wakes_a_port_that_sleeps),
	};

	/* The namespace first: the TAP is to be born in it. */
	if (!lab_enter())
		return cmocka_run_group_tests_name(
				"without privileges", tests, eal_start, eal_stop);
	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
