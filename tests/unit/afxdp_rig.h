/* SPDX-License-Identifier: Apache-2.0 */
/*
 * afxdp_rig - AF_XDP ports on veth pairs in a namespace of the test's own: the steering program,
 * one worker's memory, and the wires at the other ends.
 */
#ifndef TP_TESTS_AFXDP_RIG_H
#define TP_TESTS_AFXDP_RIG_H

#include "../lab.h"

#include "bpf/steer.h"
#include "io/afxdp.h"
#include "io/steer.h"
#include "io/umem_private.h"

#include <poll.h>

#define NEAR "near"
#define FAR "far"
#define NEAR2 "near2"
#define FAR2 "far2"

#define CHUNKS 4096
#define RING 1024
#define INDEX 7

static const struct lab_udp rig_datagram = {
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

static inline struct tp_umem *new_umem(uint32_t chunks)
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

static inline int try_port(struct tp_umem *umem, const char *ifname, enum tp_xdp_mode want,
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

static inline struct tp_steer *new_program(void)
{
	const struct tp_addr listener = tp_addr_v4((const uint8_t[]){ 192, 0, 2, 1 }, 3478);
	const struct tp_steer_conf conf = { .listeners = &listener, .n_listeners = 1 };
	struct tp_steer *steer = NULL;
	struct tp_why why = { "" };

	if (tp_steer_new(&conf, &steer, &why) != 0)
		fail_msg("%s", why.text);
	return steer;
}

static inline struct rig *new_rig(void)
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

static inline void add_port(struct rig *rig, int i, enum tp_xdp_mode want)
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

static inline void free_rig(struct rig *rig)
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
static inline void assert_conserved(const struct rig *rig, uint32_t held)
{
	uint32_t n = tp_umem_free_chunks(rig->umem) + held;
	int i;

	for (i = 0; i < 2; i++)
		n += rig->port[i] == NULL ? 0 : tp_afxdp_in_rings(rig->port[i]);
	assert_int_equal(n, CHUNKS);
}

/* Receive up to n frames within a second; fewer when they do not come. */
static inline uint32_t rig_receive(struct tp_port *port, struct tp_frame *frames, uint32_t n)
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

static inline uint32_t rig_drain(int wire)
{
	uint8_t frame[LAB_FRAME_MAX];
	uint32_t n = 0;

	while (recv(wire, frame, sizeof(frame), MSG_DONTWAIT) > 0)
		n++;
	return n;
}

/* After a failure, so that the next test can build its own. */
static inline int rig_sweep(void **state)
{
	(void)state;
	return system("for i in " NEAR " " NEAR2 "; do ip link del $i 2>/dev/null; done; true");
}

#define rig_test(name) cmocka_unit_test_teardown(name, rig_sweep)

#endif
