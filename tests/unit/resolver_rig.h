/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver_rig - a resolver on a fake kernel, with a clock that is set, and flows to bind.
 */
#ifndef TP_TESTS_RESOLVER_RIG_H
#define TP_TESTS_RESOLVER_RIG_H

#include "io/resolver.h"

#include "base/clock.h"
#include "fake_kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define SRC "192.0.2.1"
#define PEER "198.51.100.7"
#define GATEWAY "192.0.2.254"
#define READER 0

struct bed {
	struct tp_flow flow[4];
	struct tp_resolved *resolved[4];
	struct fake_kernel kernel;
	struct tp_grace *grace;
	struct tp_resolver *r;
	uint64_t now_ns;
};

static inline int bed_setup(void **state)
{
	struct bed *b = aligned_alloc(64, sizeof(*b));
	struct tp_resolver_conf conf = {
		.ops = &fake_ops,
		.ifindexes = fake_ifindexes,
		.n_ifindexes = FAKE_LINKS,
	};

	assert_non_null(b);
	memset(b, 0, sizeof(*b));
	fake_init(&b->kernel);
	assert_int_equal(tp_grace_new(1, &b->grace), 0);
	conf.ctx = &b->kernel;
	conf.grace = b->grace;
	assert_int_equal(tp_resolver_new(&conf, &b->r), 0);
	b->now_ns = 1000 * TP_NS_PER_SEC;
	assert_false(tp_resolver_tick(b->r, b->now_ns));
	*state = b;
	return 0;
}

static inline int bed_teardown(void **state)
{
	struct bed *b = *state;
	uint32_t i;

	for (i = 0; i < 4; i++) {
		if (b->resolved[i] != NULL)
			tp_resolver_unbind(b->r, b->resolved[i]);
	}
	tp_resolver_free(b->r);
	tp_grace_free(b->grace);
	free(b);
	return 0;
}

static inline bool bed_tick_after(struct bed *b, uint64_t ms)
{
	b->now_ns += ms * TP_NS_PER_MS;
	return tp_resolver_tick(b->r, b->now_ns);
}

static inline void bed_bind_to(struct bed *b, uint32_t i, const char *dst)
{
	struct tp_addr to = fake_ip(dst),
		       from = fake_ip(to.family == TP_IPV4 ? SRC : "2001:db8::1");

	assert_int_equal(tp_resolver_bind(b->r, &b->flow[i], &from, &to, &b->resolved[i]), 0);
}

static inline void bed_unbind(struct bed *b, uint32_t i)
{
	tp_resolver_unbind(b->r, b->resolved[i]);
	b->resolved[i] = NULL;
}

static inline const struct tp_next_hop *bed_next_hop(struct bed *b, uint32_t i)
{
	return atomic_load(&b->flow[i].next_hop);
}

/* The kernel learns something, and says so. */
static inline void bed_neigh_event(
		struct bed *b, unsigned int ifindex, const char *text, struct tp_nl_neigh neigh)
{
	struct tp_addr ip = fake_ip(text);

	fake_neigh(&b->kernel, ifindex, text, neigh);
	tp_resolver_events.on_neigh(b->r, ifindex, &ip, &neigh);
}

/* PEER by GATEWAY on interface A, all known. */
static inline void bed_script_gateway(struct bed *b)
{
	fake_route(&b->kernel, PEER, 0, fake_via(FAKE_ETH_A, GATEWAY));
	fake_neigh(&b->kernel, FAKE_ETH_A, GATEWAY, fake_mac(1));
}

#define bed_test(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

#endif
