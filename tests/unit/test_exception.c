/* SPDX-License-Identifier: Apache-2.0 */
/* The thread to the kernel, on a TAP in a namespace of the test's own. */
#include "../lab.h"

#include "base/clock.h"
#include "io/exception.h"
#include "io/tap.h"

#include <errno.h>
#include <poll.h>

#include "eal.h"
#include "handoff_seen.h"

#define TAP "tp0"
#define FRAME_BYTES 2048

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 }; /* as lab_frame() addresses it */

struct rig {
	struct tp_exception *exception;
	struct tp_handoff *to_kernel, *from_kernel;
};

static void open_rig(struct rig *r)
{
	struct tp_exception_conf conf = {
		.name = TAP, .n_to_kernel = 1, .frame_bytes = FRAME_BYTES
	};
	struct tp_why why = { "" };

	assert_int_equal(tp_handoff_new("to", FRAME_BYTES, &r->to_kernel), 0);
	assert_int_equal(tp_handoff_new("from", FRAME_BYTES, &r->from_kernel), 0);
	conf.tap_fd = tp_tap_open(TAP, &why);
	assert_true(conf.tap_fd >= 0);
	assert_int_equal(tp_tap_set_mac(conf.tap_fd, TAP, mac), 0);
	conf.to_kernel = &r->to_kernel;
	conf.from_kernel = r->from_kernel;
	assert_int_equal(tp_exception_new(&r->exception), 0);
	assert_int_equal(tp_exception_add(r->exception, &conf), 0);
	assert_int_equal(tp_exception_start(r->exception), 0);
}

static int set_up(void **state)
{
	static struct rig rig;

	lab_run("ip tuntap add dev " TAP " mode tap");
	lab_ipv6(TAP, "disable_ipv6", 1);
	lab_run("ip addr add 192.0.2.1/24 dev " TAP " && ip link set " TAP " up");
	open_rig(&rig);
	/* With the carrier, which comes a little later, the kernel begins to send. */
	lab_run("for i in $(seq 500); do ip link show " TAP
		" | grep -q 'state UP' && exit; sleep 0.01; "
		"done; exit 1");
	/* Behind the change of the address, which makes the kernel forget. */
	lab_run("ip neigh replace 192.0.2.7 dev " TAP " lladdr 02:00:00:00:00:02 nud permanent");
	*state = &rig;
	return 0;
}

static int tear_down(void **state)
{
	const struct rig *rig = *state;

	tp_exception_free(rig->exception);
	lab_run("ip link del " TAP);
	return 0;
}

static int kernel_socket(void)
{
	const struct timeval timeout = { .tv_sec = 2 };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(5000) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, "192.0.2.1", &at.sin_addr);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
	return fd;
}

static struct tp_exception_stats stats_of(const struct rig *r)
{
	struct tp_exception_stats s;

	tp_exception_stats(r->exception, 0, &s);
	return s;
}

/* The thread counts what it has handed over, so a moment later. */
static void wait_until_counted(const struct rig *r, uint64_t to_kernel, uint64_t from_kernel)
{
	for (uint32_t tries = 0; stats_of(r).to_kernel != to_kernel ||
			stats_of(r).from_kernel != from_kernel;
			tries++) {
		assert_true(tries < 2000);
		usleep(1000);
	}
}

static void put(const struct rig *r, const char *payload)
{
	const struct lab_udp udp = { "192.0.2.7", "192.0.2.1", 4000, 5000, payload,
		strlen(payload) };
	uint8_t frame[LAB_FRAME_MAX];
	const struct tp_frame f = { .data = frame, .len = (uint16_t)lab_frame(&udp, frame) };

	assert_int_equal(tp_handoff_put(r->to_kernel, &f, 1), 1);
}

static void frames_reach_the_kernels_sockets(void **state)
{
	const struct rig *r = *state;
	int fd = kernel_socket();
	char got[16];

	put(r, "question");
	assert_int_equal(recv(fd, got, sizeof(got), 0), 8);
	assert_memory_equal(got, "question", 8);
	wait_until_counted(r, 1, 0);
	assert_int_equal(stats_of(r).to_kernel_refused, 0);
	close(fd);
}

static void what_the_kernel_sends_comes_whole_and_with_a_checksum(void **state)
{
	const struct rig *r = *state;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(4000) };
	struct pollfd p = { .fd = tp_handoff_fd(r->from_kernel), .events = POLLIN };
	struct seen seen;
	int fd = kernel_socket();

	inet_pton(AF_INET, "192.0.2.7", &to.sin_addr);
	assert_int_equal(sendto(fd, "answer", 6, 0, (const struct sockaddr *)&to, sizeof(to)), 6);
	assert_int_equal(poll(&p, 1, 2000), 1);
	seen = seen_in(r->from_kernel);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.len, 14 + 20 + 8 + 6);
	assert_memory_equal(seen.frame + 6, mac, 6);
	assert_memory_equal(seen.frame + 42, "answer", 6);
	/* Addresses, protocol and length, and all of the datagram: RFC 768. */
	assert_int_equal(sum16(sum16(IPPROTO_UDP + 14, seen.frame + 26, 8), seen.frame + 34, 14),
			0xffff);
	wait_until_counted(r, 0, 1);
	close(fd);
}

static void a_kernel_interface_that_is_down_refuses(void **state)
{
	const struct rig *r = *state;
	uint32_t tries;

	lab_run("ip link set " TAP " down");
	put(r, "lost");
	for (tries = 0; stats_of(r).to_kernel_refused == 0; tries++) {
		assert_true(tries < 2000);
		usleep(1000);
	}
	assert_int_equal(stats_of(r).to_kernel, 0);
}

/* Nor is the thread busy with it. */
static void a_kernel_interface_that_is_gone_refuses(void **state)
{
	const struct rig *r = *state;
	uint64_t before;

	lab_run("ip link del " TAP);
	usleep(10000);
	before = tp_clock_read(CLOCK_PROCESS_CPUTIME_ID);
	usleep(250000);
	assert_in_range(tp_clock_read(CLOCK_PROCESS_CPUTIME_ID) - before, 0, 25 * TP_NS_PER_MS);
	put(r, "lost");
	for (uint32_t tries = 0; stats_of(r).to_kernel_refused == 0; tries++) {
		assert_true(tries < 2000);
		usleep(1000);
	}
	lab_run("ip tuntap add dev " TAP " mode tap"); /* for tear_down() */
}

static void the_carrier_follows(void **state)
{
	const struct rig *r = *state;

	lab_run("ip link show " TAP " | grep -q LOWER_UP");
	tp_exception_set_carrier(r->exception, 0, false);
	lab_run("ip link show " TAP " | grep -q NO-CARRIER");
	tp_exception_set_carrier(r->exception, 0, true);
	lab_run("ip link show " TAP " | grep -q LOWER_UP");
}

static void interfaces_that_will_not_do(void **state)
{
	struct tp_why why = { "" };

	(void)state;
	assert_int_equal(tp_tap_open("nosuch0", &why), -ENODEV);
	assert_non_null(strstr(why.text, "ip tuntap add dev nosuch0"));
	assert_int_equal(tp_tap_open("lo", &why), -EINVAL);
	assert_non_null(strstr(why.text, "lo is not a TAP"));
	assert_int_equal(tp_tap_open(TAP, &why), -EBUSY);
	assert_non_null(strstr(why.text, "in use"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ON_TAP(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		ON_TAP(frames_reach_the_kernels_sockets),
		ON_TAP(what_the_kernel_sends_comes_whole_and_with_a_checksum),
		ON_TAP(a_kernel_interface_that_is_down_refuses),
		ON_TAP(a_kernel_interface_that_is_gone_refuses),
		ON_TAP(the_carrier_follows),
		ON_TAP(interfaces_that_will_not_do),
	};

	if (!lab_enter())
		return lab_skip_tap();
	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
