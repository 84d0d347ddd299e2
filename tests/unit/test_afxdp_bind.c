/* SPDX-License-Identifier: Apache-2.0 */
/* Ports opened and closed: their modes, their queues, and what is refused. */
#include "afxdp_rig.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

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

	lab_send(rig->wire[0], &rig_datagram);
	assert_int_equal(rig_receive(rig->port[0], &frame, 1), 1);
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
	lab_send(rig->wire[0], &rig_datagram);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pipe_fds[0]);
	close(pipe_fds[1]);

	add_port(rig, 0, TP_XDP_AUTO);
	lab_send(rig->wire[0], &rig_datagram);
	assert_int_equal(rig_receive(rig->port[0], &frame, 1), 1);
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
	lab_send(rig->wire[0], &rig_datagram);
	assert_int_equal(rig_receive(rig->port[0], &frame, 1), 1);
	assert_int_equal(tp_port_tx(rig->port[0], &frame, 1), 1);
	tp_port_close(rig->port[0]); /* sends what is queued */
	rig->port[0] = NULL;
	assert_int_equal(rig_drain(rig->wire[0]), 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(the_ladder_ends_in_copy_on_veth),
		rig_test(impossible_ports_are_refused),
		rig_test(a_taken_queue_is_waited_for_then_refused),
		rig_test(the_successor_of_a_killed_process_starts),
		rig_test(a_closed_port_frees_its_queue),
		rig_test(a_port_closed_unused_returns_its_chunks),
	};

	if (!lab_enter())
		return lab_skip_tap();
	return cmocka_run_group_tests_name("afxdp_bind", tests, NULL, NULL);
}
