/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces of one core share packet memory, and a socket after the first inherits its mode: here
 * drivers are scripted (linked with --wrap), since no interface of a test machine does zero-copy.
 */
#include "layout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/afxdp.h"

#define MAX_IF 3
#define MAX_UMEM 16

/* What the driver of an interface can do. */
struct driver {
	bool has_zerocopy, has_copy, has_driver_xdp;
	int err; /* of every socket, where not 0 */
};

struct fake_port {
	struct tp_port port; /* first */
	enum tp_xdp_mode mode;
	struct fake_umem *umem;
};

struct fake_umem {
	uint32_t n_ports;
	bool is_zerocopy; /* inherited by sockets after the first */
};

static const char *const names[MAX_IF] = { "eth0", "eth1", "eth2" };
static struct driver drivers[MAX_IF];
static uint32_t n_attached, n_umems, n_ports;

int __wrap_tp_steer_attach(struct tp_steer *steer, unsigned int ifindex, enum tp_xdp_mode want,
		struct tp_steer_if **out, bool *is_skb, struct tp_why *why);
void __wrap_tp_steer_detach(struct tp_steer_if *sif);
int __wrap_tp_steer_set_xsk(struct tp_steer_if *sif, uint32_t queue, int xsk_fd);
int __wrap_tp_umem_new(const struct tp_umem_conf *conf, struct tp_umem **out, struct tp_why *why);
void __wrap_tp_umem_free(struct tp_umem *umem);
int __wrap_tp_afxdp_new(const struct tp_afxdp_conf *conf, struct tp_port **out, struct tp_why *why);
int __wrap_tp_afxdp_count_in(struct tp_port *port, int map_fd);
int __wrap_tp_steer_queues_fd(const struct tp_steer_if *sif);
int __wrap_tp_afxdp_fd(const struct tp_port *port);
enum tp_xdp_mode __wrap_tp_afxdp_mode(const struct tp_port *port);

int __wrap_tp_steer_attach(struct tp_steer *steer, unsigned int ifindex, enum tp_xdp_mode want,
		struct tp_steer_if **out, bool *is_skb, struct tp_why *why)
{
	const struct driver *driver = &drivers[ifindex - 1];

	(void)steer;
	*is_skb = want == TP_XDP_SKB || (want == TP_XDP_AUTO && !driver->has_driver_xdp);
	if (!*is_skb && !driver->has_driver_xdp)
		return tp_why_set(why, -EOPNOTSUPP, "no XDP");
	n_attached++;
	*out = malloc(1);
	return 0;
}

/* Idempotent, and freed by tp_steer_free(): here nothing tells, so it is leaked on purpose. */
static struct tp_steer_if *detached[64];
static uint32_t n_detached;

void __wrap_tp_steer_detach(struct tp_steer_if *sif)
{
	uint32_t i;

	for (i = 0; i < n_detached; i++)
		if (detached[i] == sif)
			return;
	detached[n_detached++] = sif;
	n_attached--;
}

int __wrap_tp_steer_set_xsk(struct tp_steer_if *sif, uint32_t queue, int xsk_fd)
{
	(void)sif;
	(void)queue;
	(void)xsk_fd;
	return 0;
}

int __wrap_tp_umem_new(const struct tp_umem_conf *conf, struct tp_umem **out, struct tp_why *why)
{
	(void)conf;
	(void)why;
	n_umems++;
	*out = calloc(1, sizeof(struct fake_umem));
	return 0;
}

void __wrap_tp_umem_free(struct tp_umem *umem)
{
	struct fake_umem *fake = (struct fake_umem *)(void *)umem;

	assert_int_equal(fake->n_ports, 0);
	n_umems--;
	free(fake);
}

static void port_close(struct tp_port *port)
{
	struct fake_port *fake = (struct fake_port *)(void *)port;

	fake->umem->n_ports--;
	n_ports--;
	free(fake);
}

static const struct tp_port_ops port_ops = { .close = port_close };

/* As afxdp.c and the kernel do it. */
int __wrap_tp_afxdp_new(const struct tp_afxdp_conf *conf, struct tp_port **out, struct tp_why *why)
{
	const struct driver *driver = &drivers[conf->index];
	struct fake_umem *umem = (struct fake_umem *)(void *)conf->umem;
	bool is_skb = conf->want == TP_XDP_SKB;
	bool can_zerocopy = driver->has_zerocopy && !is_skb, is_zerocopy;
	struct fake_port *port;

	assert_string_equal(conf->ifname, names[conf->index]);
	if (umem->n_ports > 0)
		is_zerocopy = umem->is_zerocopy;
	else
		is_zerocopy = conf->want == TP_XDP_ZEROCOPY ||
				(conf->want == TP_XDP_AUTO && can_zerocopy);
	if (driver->err != 0)
		return tp_why_set(why, driver->err, "scripted");
	if (is_zerocopy ? !can_zerocopy : !is_skb && !driver->has_copy)
		return tp_why_set(why, -EOPNOTSUPP, "mode");
	if (is_zerocopy != (conf->want == TP_XDP_ZEROCOPY) && conf->want != TP_XDP_AUTO)
		return tp_why_set(why, -EOPNOTSUPP, "another mode");
	umem->is_zerocopy = is_zerocopy;
	umem->n_ports++;
	n_ports++;
	port = calloc(1, sizeof(*port));
	assert_non_null(port);
	port->port = (struct tp_port){ .ops = &port_ops, .index = conf->index };
	port->umem = umem;
	port->mode = is_zerocopy ? TP_XDP_ZEROCOPY : is_skb ? TP_XDP_SKB : TP_XDP_COPY;
	*out = &port->port;
	return 0;
}

int __wrap_tp_steer_queues_fd(const struct tp_steer_if *sif)
{
	assert_non_null(sif);
	return 7;
}

int __wrap_tp_afxdp_count_in(struct tp_port *port, int map_fd)
{
	assert_non_null(port);
	assert_int_equal(map_fd, 7);
	return 0;
}

int __wrap_tp_afxdp_fd(const struct tp_port *port)
{
	(void)port;
	return 0;
}

enum tp_xdp_mode __wrap_tp_afxdp_mode(const struct tp_port *port)
{
	return ((const struct fake_port *)(const void *)port)->mode;
}

#define ZEROCOPY                    \
	{                           \
		true, true, true, 0 \
	}
#define COPY                         \
	{                            \
		false, true, true, 0 \
	}
#define NO_SOCKETS                    \
	{                             \
		false, false, true, 0 \
	}
#define NO_XDP                        \
	{                             \
		false, true, false, 0 \
	}
#define BUSY                              \
	{                                 \
		false, true, true, -EBUSY \
	}

static const struct {
	const char *what;
	struct driver driver[2];
	enum tp_xdp_mode want[2], got[2];
	bool is_apart; /* each interface on a core of its own */
	int rc;
} cases[] = {
	{ "both can", { ZEROCOPY, ZEROCOPY }, { TP_XDP_AUTO, TP_XDP_AUTO },
			{ TP_XDP_ZEROCOPY, TP_XDP_ZEROCOPY }, false, 0 },
	{ "neither can", { COPY, COPY }, { TP_XDP_AUTO, TP_XDP_AUTO }, { TP_XDP_COPY, TP_XDP_COPY },
			false, 0 },
	{ "the second can not", { ZEROCOPY, COPY }, { TP_XDP_AUTO, TP_XDP_AUTO },
			{ TP_XDP_COPY, TP_XDP_COPY }, false, 0 },
	{ "the first can not", { COPY, ZEROCOPY }, { TP_XDP_AUTO, TP_XDP_AUTO },
			{ TP_XDP_COPY, TP_XDP_COPY }, false, 0 },
	{ "on cores of their own", { ZEROCOPY, COPY }, { TP_XDP_AUTO, TP_XDP_AUTO },
			{ TP_XDP_ZEROCOPY, TP_XDP_COPY }, true, 0 },
	{ "the second has no AF_XDP in its driver", { ZEROCOPY, NO_SOCKETS },
			{ TP_XDP_AUTO, TP_XDP_AUTO }, { TP_XDP_COPY, TP_XDP_SKB }, false, 0 },
	{ "the second has no XDP", { ZEROCOPY, NO_XDP }, { TP_XDP_AUTO, TP_XDP_AUTO },
			{ TP_XDP_COPY, TP_XDP_SKB }, false, 0 },
	{ "the second is told to copy", { ZEROCOPY, ZEROCOPY }, { TP_XDP_AUTO, TP_XDP_COPY },
			{ TP_XDP_COPY, TP_XDP_COPY }, false, 0 },
	{ "the first insists, the second can not", { ZEROCOPY, COPY },
			{ TP_XDP_ZEROCOPY, TP_XDP_AUTO }, { 0 }, false, -EOPNOTSUPP },
	{ "the second insists, the first can not", { COPY, ZEROCOPY },
			{ TP_XDP_AUTO, TP_XDP_ZEROCOPY }, { 0 }, false, -EOPNOTSUPP },
	{ "the second is somebody else's", { ZEROCOPY, BUSY }, { TP_XDP_AUTO, TP_XDP_AUTO }, { 0 },
			false, -EBUSY },
};

static void modes_of_interfaces_that_share_memory(void **state)
{
	struct tp_conf_queue queues[2] = { { .interface = 0 }, { .interface = 1 } };
	struct tp_conf_core together = { .queues = queues, .n_queues = 2 };
	struct tp_conf_core apart[2] = { { .queues = &queues[0], .n_queues = 1 },
		{ .queues = &queues[1], .n_queues = 1 } };
	struct tp_conf_interface interfaces[2];
	struct tp_why why = { "" };
	struct tp_layout layout;
	struct tp_conf conf;
	uint32_t i, n;
	int rc;

	(void)state;
	for (n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		print_message("# %s\n", cases[n].what);
		memset(&conf, 0, sizeof(conf));
		conf.interfaces = interfaces;
		conf.n_interfaces = 2;
		conf.cores = cases[n].is_apart ? apart : &together;
		conf.n_cores = cases[n].is_apart ? 2 : 1;
		memset(interfaces, 0, sizeof(interfaces));
		layout = (struct tp_layout){ .conf = &conf, .n_interfaces = 2 };
		layout.plans = calloc(3, sizeof(*layout.plans));
		layout.interfaces = calloc(3, sizeof(*layout.interfaces));
		assert_true(layout.plans != NULL && layout.interfaces != NULL);
		for (i = 0; i < 2; i++) {
			drivers[i] = cases[n].driver[i];
			snprintf(interfaces[i].name, sizeof(interfaces[i].name), "%s", names[i]);
			interfaces[i].mode = cases[n].want[i];
			layout.interfaces[i].conf = &interfaces[i];
			layout.interfaces[i].link =
					(struct tp_nl_link){ .ifindex = i + 1, .mtu = 1500 };
		}
		rc = tp_layout_open(&layout, NULL, &why);
		assert_int_equal(rc, cases[n].rc);
		for (i = 0; i < 2 && rc == 0; i++)
			assert_int_equal(layout.interfaces[i].mode, cases[n].got[i]);
		if (rc == 0) {
			assert_int_equal(n_attached, 2);
			assert_int_equal(n_ports, 2);
		}
		tp_layout_close(&layout);
		assert_int_equal(n_attached, 0);
		assert_int_equal(n_ports, 0);
		assert_int_equal(n_umems, 0);
	}
}

static int free_detached(void **state)
{
	(void)state;
	while (n_detached > 0)
		free(detached[--n_detached]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes_of_interfaces_that_share_memory),
	};

	return cmocka_run_group_tests(tests, NULL, free_detached);
}
