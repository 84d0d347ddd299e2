/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static struct tp_port *port_new(uint16_t index, uint32_t chunks)
{
	struct tp_port *port = NULL;

	assert_int_equal(tp_mem_new(index, chunks, &port), 0);
	return port;
}

static void test_no_chunks_is_an_error(void **state)
{
	struct tp_port *port = (struct tp_port *)state;

	assert_int_equal(tp_mem_new(0, 0, &port), -EINVAL);
	assert_ptr_equal(port, state);
}

static void test_a_frame_goes_round(void **state)
{
	struct tp_port *port = port_new(3, 4);
	struct tp_frame frame;
	uint8_t out[16];

	(void)state;
	assert_int_equal(tp_port_rx(port, &frame, 1), 0);
	assert_int_equal(tp_mem_inject(port, "hello", 5), 0);
	assert_int_equal(tp_mem_held(port), 0);
	assert_int_equal(tp_port_rx(port, &frame, 1), 1);
	assert_int_equal(tp_mem_held(port), 1);
	assert_int_equal(frame.len, 5);
	assert_int_equal(frame.headroom, TP_MEM_HEADROOM);
	assert_int_equal(frame.headroom + frame.len + frame.tailroom, TP_MEM_CHUNK);
	assert_int_equal(frame.port, 3);
	assert_memory_equal(frame.data, "hello", 5);

	/* A header grown in front, into the headroom. */
	frame.data -= 4;
	frame.headroom -= 4;
	frame.len += 4;
	memcpy(frame.data, "oh, ", 4);
	assert_int_equal(tp_port_tx(port, &frame, 1), 1);
	tp_port_flush(port);
	assert_int_equal(tp_mem_held(port), 0);
	assert_int_equal(tp_mem_collect(port, out, 8), -EMSGSIZE);
	assert_int_equal(tp_mem_collect(port, out, sizeof(out)), 9);
	assert_memory_equal(out, "oh, hello", 9);
	assert_int_equal(tp_mem_collect(port, out, sizeof(out)), 0);
	tp_port_close(port);
}

static void test_frames_keep_their_order(void **state)
{
	struct tp_port *port = port_new(0, 8);
	struct tp_frame frames[8];
	uint8_t i, out;

	(void)state;
	for (i = 0; i < 8; i++)
		assert_int_equal(tp_mem_inject(port, &i, 1), 0);
	assert_int_equal(tp_port_rx(port, frames, 3), 3);
	assert_int_equal(tp_port_rx(port, frames + 3, 8), 5);
	assert_int_equal(tp_port_tx(port, frames, 8), 8);
	for (i = 0; i < 8; i++) {
		assert_int_equal(tp_mem_collect(port, &out, 1), 1);
		assert_int_equal(out, i);
	}
	tp_port_close(port);
}

static void test_the_pool_is_finite_and_comes_back(void **state)
{
	struct tp_port *port = port_new(0, 2);
	static const uint8_t big[TP_MEM_CHUNK];
	struct tp_frame frames[4];
	uint32_t round;

	(void)state;
	assert_int_equal(tp_mem_inject(port, big, TP_MEM_CHUNK - TP_MEM_HEADROOM + 1), -EMSGSIZE);
	for (round = 0; round < 3; round++) {
		assert_int_equal(tp_mem_inject(port, big, TP_MEM_CHUNK - TP_MEM_HEADROOM), 0);
		assert_int_equal(tp_mem_inject(port, big, 0), 0);
		assert_int_equal(tp_mem_inject(port, big, 1), -ENOBUFS);
		assert_int_equal(tp_port_rx(port, frames, 4), 2);
		assert_int_equal(tp_mem_inject(port, big, 1), -ENOBUFS);
		tp_port_release(port, frames, 2);
		assert_int_equal(tp_mem_held(port), 0);
	}
	tp_port_close(port);
}

static void test_tx_refuses_beyond_the_limit(void **state)
{
	struct tp_port *port = port_new(0, 4);
	struct tp_frame frames[4];
	uint32_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(tp_mem_inject(port, &i, sizeof(i)), 0);
	assert_int_equal(tp_port_rx(port, frames, 4), 4);
	tp_mem_limit_tx(port, 2);
	assert_int_equal(tp_port_tx(port, frames, 4), 2);
	assert_int_equal(tp_port_tx(port, frames + 2, 2), 0);
	assert_int_equal(tp_mem_held(port), 2);
	tp_mem_limit_tx(port, UINT32_MAX);
	assert_int_equal(tp_port_tx(port, frames + 2, 2), 2);
	tp_port_close(port);
}

static void test_one_port_sends_another_ones_frames(void **state)
{
	struct tp_port *a = port_new(0, 1), *b = port_new(1, 1);
	struct tp_frame frame;
	uint8_t out;

	(void)state;
	assert_int_equal(tp_mem_inject(a, "x", 1), 0);
	assert_int_equal(tp_port_rx(a, &frame, 1), 1);
	assert_int_equal(tp_port_tx(b, &frame, 1), 1);
	assert_int_equal(tp_mem_held(a), 0);
	assert_int_equal(tp_mem_inject(a, "y", 1), -ENOBUFS);
	assert_int_equal(tp_mem_collect(a, &out, 1), 0);
	assert_int_equal(tp_mem_collect(b, &out, 1), 1);
	assert_int_equal(out, 'x');
	assert_int_equal(tp_mem_inject(a, "y", 1), 0);
	tp_port_close(b);
	tp_port_close(a);
}

static void test_info_and_stats(void **state)
{
	struct tp_port *port = port_new(2, 5);
	struct tp_port_stats stats;
	struct tp_port_info info;
	struct tp_frame frames[3];

	(void)state;
	tp_port_info(port, &info);
	assert_string_equal(info.name, "mem2");
	assert_string_equal(info.driver, "mem");
	assert_string_equal(info.mode, "");
	assert_int_equal(info.frames, 5);
	assert_int_equal(tp_port_fd(port), -1);

	assert_int_equal(tp_mem_inject(port, "1", 1), 0);
	assert_int_equal(tp_mem_inject(port, "2", 1), 0);
	assert_int_equal(tp_port_rx(port, frames, 3), 2);
	assert_int_equal(tp_port_tx(port, frames, 1), 1);
	tp_port_release(port, frames + 1, 1);
	tp_port_stats(port, &stats);
	assert_int_equal(stats.rx_pkts, 2);
	assert_int_equal(stats.tx_pkts, 1);
	tp_port_close(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_chunks_is_an_error),
		cmocka_unit_test(test_a_frame_goes_round),
		cmocka_unit_test(test_frames_keep_their_order),
		cmocka_unit_test(test_the_pool_is_finite_and_comes_back),
		cmocka_unit_test(test_tx_refuses_beyond_the_limit),
		cmocka_unit_test(test_one_port_sends_another_ones_frames),
		cmocka_unit_test(test_info_and_stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
