/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a port makes of the software NICs that others' processes are behind: where its frames lie.
 */
#include "../lab.h"

#include "io/dpdk.h"

#include <stdio.h>
#include <unistd.h>

#include "eal.h"

#define MTU 1500
#define LINE 64 /* bytes of a cache line */

/* A device with one queue, and a port of it, joined to no kernel. */
struct end {
	struct tp_dpdk *dev;
	struct tp_dpdk_pool *pool;
	struct tp_port *port;
};

static struct end open_end(const char *device)
{
	static const struct tp_steer_rules none;
	struct tp_dpdk_conf conf = { .name = "wan0", .device = device, .queues = 1, .mtu = MTU };
	struct tp_dpdk_port_conf pc = { .rules = none };
	struct tp_why why = { "" };
	struct end e = { NULL };
	char pool[16];

	snprintf(pool, sizeof(pool), "%.12s", device);
	if (tp_dpdk_open(&conf, &e.dev, &why) != 0)
		fail_msg("%s: %s", device, why.text);
	assert_int_equal(tp_dpdk_pool_new(pool, tp_dpdk_pool_frames(1), tp_dpdk_frame_bytes(MTU),
					 e.dev, &e.pool, &why),
			0);
	pc.pool = e.pool;
	assert_int_equal(tp_dpdk_port_new(e.dev, &pc, &e.port, &why), 0);
	return e;
}

static void close_end(const struct end *e)
{
	tp_port_close(e->port);
	tp_dpdk_close(e->dev);
	tp_dpdk_pool_free(e->pool);
}

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
	char directory[] = "/tmp/tp-test-XXXXXX", device[100];
	struct end host;
	uint32_t place;

	(void)state;
	assert_int_equal(place_of_frames("net_null0"), 0);
	assert_non_null(mkdtemp(directory));
	snprintf(device, sizeof(device), "net_vhost0,iface=%s/wire", directory);
	host = open_end(device);
	snprintf(device, sizeof(device), "net_virtio_user0,path=%s/wire,mac=02:00:00:00:00:01",
			directory);
	place = place_of_frames(device);
	close_end(&host);
	rmdir(directory);
	assert_true(place >= 12 + 4);
	assert_true(place + 14 + 20 + 8 + 4 <= LINE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_virtio_header_shares_the_frames_line),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
