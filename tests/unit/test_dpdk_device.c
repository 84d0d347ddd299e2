/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Software NICs with another process behind them, here this one: where a virtio device's frames
 * lie, and both ends of a memif.
 */
#include "../bpf/steer_vectors.h"

#include "io/dpdk.h"
#include "io/steer_conf.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "eal.h"

#define MTU 1500
#define LINE 64 /* bytes of a cache line */
#define TRIES 5000
#define SETTLE_USEC 100000 /* a memif whose link is down is still being taken apart */

static struct tp_bpf_ports ports[TP_BPF_MAX_RELAYS];
static struct tp_bpf_accept accepted;
static struct tp_bpf_conf steer_conf;
static const struct tp_steer_rules rules = { &steer_conf, ports, &accepted };

static const struct lab_udp ours = TO4(FAST, STUN);
static char directory[] = "/tmp/tp-test-XXXXXX";

/* A device with one queue, and a port of it, joined to no kernel. */
struct end {
	struct tp_dpdk *dev;
	struct tp_dpdk_pool *pool;
	struct tp_port *port;
};

static int try_device(const char *device, struct tp_dpdk **dev, struct tp_why *why)
{
	const struct tp_dpdk_conf conf = {
		.name = "wan0", .device = device, .queues = 1, .mtu = MTU
	};

	return tp_dpdk_open(&conf, dev, why);
}

/* Not started. */
static struct end open_end(const char *device)
{
	struct tp_dpdk_port_conf pc = { .rules = rules };
	struct tp_why why = { "" };
	struct end e = { NULL };
	char pool[16];

	snprintf(pool, sizeof(pool), "%.12s", device);
	if (try_device(device, &e.dev, &why) != 0)
		fail_msg("%s: %s", device, why.text);
	assert_int_equal(tp_dpdk_pool_new(pool, tp_dpdk_pool_frames(1), tp_dpdk_frame_bytes(MTU),
					 e.dev, &e.pool, &why),
			0);
	pc.pool = e.pool;
	assert_int_equal(tp_dpdk_port_new(e.dev, &pc, &e.port, &why), 0);
	return e;
}

/* Closes, and frees the pool.  @return frames that did not come back */
static uint32_t end_of(const struct end *e)
{
	uint32_t frames, n_free;

	tp_port_close(e->port);
	tp_dpdk_close(e->dev);
	tp_dpdk_pool_count(e->pool, &frames, &n_free);
	tp_dpdk_pool_free(e->pool);
	return frames - n_free;
}

static void close_end(const struct end *e)
{
	assert_int_equal(end_of(e), 0);
}

static int set_up(void **state)
{
	(void)state;
	steer_conf = small_conf();
	memset(accepted.addrs, 0xff, sizeof(accepted.addrs));
	ports[0].fast[FAST >> 6] |= 1ull << (FAST & 63);
	if (tp_steer_conf_index(&steer_conf) != 0 || mkdtemp(directory) == NULL)
		return -1;
	return eal_start(NULL);
}

static int tear_down(void **state)
{
	rmdir(directory);
	return eal_stop(state);
}

/* ---- virtio ---- */

static uint32_t place_of_frames(const char *device)
{
	struct end e = open_end(device);
	struct tp_frame f[2];
	uint32_t place;

	assert_int_equal(tp_port_alloc(e.port, f, 2), 2);
	place = (uint32_t)((uintptr_t)f[0].data % LINE);
	assert_int_equal((uintptr_t)f[1].data % LINE, place);
	assert_true(f[0].headroom >= TP_FRAME_GROWTH + 12);
	assert_true(f[0].tailroom >= tp_dpdk_frame_bytes(MTU));
	tp_port_release(e.port, f, 2);
	close_end(&e);
	return place;
}

/*
 * virtio's header of 12 bytes, and Ethernet, IPv4, UDP and ChannelData are in one cache line, with
 * ChannelData of 4 bytes taken off in front or put there.
 */
static void a_virtio_header_shares_the_frames_line(void **state)
{
	char device[100];
	struct end host;
	uint32_t place;

	(void)state;
	assert_int_equal(place_of_frames("net_null0"), 0);
	snprintf(device, sizeof(device), "net_vhost0,iface=%s/wire", directory);
	host = open_end(device);
	snprintf(device, sizeof(device), "net_virtio_user0,path=%s/wire,mac=02:00:00:00:00:01",
			directory);
	place = place_of_frames(device);
	close_end(&host);
	assert_true(place >= 12 + 4);
	assert_true(place + 14 + 20 + 8 + 4 <= LINE);
}

/* ---- memif ---- */

static struct end open_memif(const char *name, const char *options)
{
	struct tp_why why = { "" };
	char device[150];
	struct end e;

	snprintf(device, sizeof(device), "%s,socket=%s/memif,socket-abstract=no,%s", name,
			directory, options);
	e = open_end(device);
	if (tp_dpdk_start(e.dev, &why) != 0)
		fail_msg("%s: %s", device, why.text);
	return e;
}

/* A thread of the driver's negotiates. */
static void wait_for_link(const struct end *e, bool is_up)
{
	struct tp_dpdk_info info;

	for (int i = 0; tp_dpdk_info(e->dev, &info), info.is_up != is_up; i++) {
		assert_true(i < TRIES);
		usleep(1000);
	}
}

/* A frame whose header has grown, at the other end. */
static void pass(const struct end *from, const struct end *to)
{
	uint8_t want[LAB_FRAME_MAX];
	struct tp_frame f, got;

	assert_int_equal(tp_port_alloc(from->port, &f, 1), 1);
	f.data -= TP_FRAME_GROWTH;
	f.headroom = (uint16_t)(f.headroom - TP_FRAME_GROWTH);
	f.len = (uint16_t)lab_frame(&ours, f.data);
	memcpy(want, f.data, f.len);
	assert_int_equal(tp_port_tx(from->port, &f, 1), 1);
	for (int i = 0; tp_port_rx(to->port, &got, 1) == 0; i++) {
		assert_true(i < TRIES);
		usleep(1000);
	}
	assert_int_equal(got.len, f.len);
	assert_memory_equal(got.data, want, f.len);
	tp_port_release(to->port, &got, 1);
}

/* @return frames that the client lost with the link */
static uint32_t check_client(const struct end *server, const char *options)
{
	struct end client = open_memif("net_memif1", options);
	struct tp_frame none;
	uint32_t lost;

	wait_for_link(&client, true);
	wait_for_link(server, true);
	assert_int_equal(tp_port_rx(client.port, &none, 1), 0); /* puts buffers into its ring */
	for (int i = 0; i < 3000; i++) {                        /* more than fit into a ring */
		pass(&client, server);
		pass(server, &client);
	}
	lost = end_of(&client);
	wait_for_link(server, false);
	usleep(SETTLE_USEC);
	return lost;
}

static void a_memif_carries_frames_both_ways(void **state)
{
	struct end server = open_memif("net_memif0", "role=server");

	(void)state;
	wait_for_link(&server, false);
	assert_int_equal(check_client(&server, "role=client"), 0);
	assert_int_equal(check_client(&server, "role=client"), 0);
	close_end(&server);
}

static void a_memif_without_copies_too_but_once(void **state)
{
	struct end server = open_memif("net_memif0", "role=server");
	struct tp_why why = { "" };
	struct tp_dpdk *dev = NULL;

	(void)state;
	/* DPDK's driver forgets what it lent the server. */
	assert_true(check_client(&server, "role=client,zero-copy=yes") <= TP_DPDK_RING);
	close_end(&server);
	assert_int_equal(try_device("net_memif2,zero-copy=yes", &dev, &why), -EBUSY);
	assert_non_null(strstr(why.text, "one memif"));
}

static void a_memif_that_can_not_be_says_what_it_wants(void **state)
{
	static const struct {
		const char *options, *says;
	} cases[] = {
		{ "socket=/tmp/tp-test-none/memif,socket-abstract=no,role=server",
				"its directory" },
		{ "zero-copy=maybe", "wants the server" },
	};
	struct tp_why why = { "" };
	struct tp_dpdk *dev = NULL;
	char device[150];
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(device, sizeof(device), "net_memif0,%s", cases[i].options);
		assert_true(try_device(device, &dev, &why) < 0);
		if (strstr(why.text, "wan0") == NULL || strstr(why.text, cases[i].says) == NULL)
			fail_msg("%s: %s", device, why.text);
	}
	e = open_end("net_memif0,socket=tp-test-nobody,role=client");
	assert_true(tp_dpdk_start(e.dev, &why) < 0);
	assert_non_null(strstr(why.text, "wants the server to run"));
	close_end(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_virtio_header_shares_the_frames_line),
		cmocka_unit_test(a_memif_carries_frames_both_ways),
		cmocka_unit_test(a_memif_without_copies_too_but_once),
		cmocka_unit_test(a_memif_that_can_not_be_says_what_it_wants),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
