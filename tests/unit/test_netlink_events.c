/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says unasked, or when it is told to look; and the resolver, which lives by it. */
#include "netlink_rig.h"

#include "base/clock.h"
#include "io/resolver.h"

#include <poll.h>

#define EVENT_TIMEOUT_MS 10000 /* the kernel takes 3 to give a neighbour up, 5 to probe it */

/* What the events of one tp_nl_read() or more said. */
struct seen {
	unsigned int ifindex; /* the only neighbours and links that count */
	struct tp_addr ip;
	struct tp_nl_neigh neigh;
	struct tp_nl_link link;
	bool is_gone;
	uint32_t n_neigh, n_link, n_route, n_overflow;
};

static void on_neigh(void *ctx, unsigned int ifindex, const struct tp_addr *ip,
		const struct tp_nl_neigh *neigh)
{
	struct seen *seen = ctx;

	if (ifindex != seen->ifindex || !tp_addr_equal(ip, &seen->ip))
		return;
	seen->neigh = *neigh;
	seen->n_neigh++;
}

static void on_link(void *ctx, const struct tp_nl_link *link, bool is_gone)
{
	struct seen *seen = ctx;

	if (link->ifindex != seen->ifindex)
		return;
	seen->link = *link;
	seen->is_gone |= is_gone; /* once is enough */
	seen->n_link++;
}

static void on_route(void *ctx)
{
	struct seen *seen = ctx;

	seen->n_route++;
}

static void on_overflow(void *ctx)
{
	struct seen *seen = ctx;

	seen->n_overflow++;
}

static const struct tp_nl_events events = { on_neigh, on_link, on_route, on_overflow };

static struct seen seen_init(const char *text)
{
	struct seen seen = { .ifindex = near_ifindex, .ip = ip_of(text) };
	struct seen before = seen;

	tp_nl_read(nl, &events, &before);
	return seen;
}

static bool read_events(struct seen *seen)
{
	struct pollfd p = { .fd = tp_nl_fd(nl), .events = POLLIN };

	if (poll(&p, 1, EVENT_TIMEOUT_MS) != 1)
		return false;
	tp_nl_read(nl, &events, seen);
	return true;
}

static void wait_for_neigh(struct seen *seen, bool is_valid)
{
	do {
		if (!read_events(seen))
			fail_msg("no event about the neighbour");
	} while (seen->n_neigh == 0 || seen->neigh.is_valid != is_valid);
}

static void use_has_the_kernel_resolve_a_neighbour(void **state)
{
	static const char *const ips[] = { "192.0.2.2", "2001:db8::2" };
	struct tp_nl_neigh neigh;
	struct seen seen;
	size_t i;

	(void)state;
	do_near("ip neigh flush dev near");
	do_near("ip -6 neigh flush dev near");
	for (i = 0; i < 2; i++) {
		print_message("# %s\n", ips[i]);
		seen = seen_init(ips[i]);
		assert_int_equal(tp_nl_use_neigh(nl, near_ifindex, &seen.ip), 0);
		wait_for_neigh(&seen, true);
		assert_memory_equal(seen.neigh.mac, far_mac, 6);
		assert_int_equal(get_neigh(ips[i], &neigh), 0);
		assert_true(neigh.is_valid);
		assert_memory_equal(neigh.mac, far_mac, 6);
	}
}

static void use_confirms_a_stale_neighbour(void **state)
{
	struct tp_nl_neigh neigh;
	struct seen seen;

	(void)state;
	/* Sooner than after 5 seconds, if we may. */
	rig_run("echo 1 2>/dev/null >/proc/sys/net/ipv4/neigh/near/delay_first_probe_time");
	do_near("ip neigh replace 192.0.2.2 lladdr " FAR_MAC " dev near nud stale");
	seen = seen_init("192.0.2.2");
	assert_int_equal(get_neigh("192.0.2.2", &neigh), 0);
	assert_true(neigh.is_stale);
	assert_int_equal(tp_nl_use_neigh(nl, near_ifindex, &seen.ip), 0);
	do {
		assert_true(read_events(&seen));
		assert_true(seen.n_neigh == 0 || seen.neigh.is_valid);
		assert_int_equal(get_neigh("192.0.2.2", &neigh), 0);
	} while (seen.n_neigh == 0 || seen.neigh.is_stale);
	assert_false(neigh.is_stale);
}

static void neighbour_that_does_not_answer_fails(void **state)
{
	struct seen seen = seen_init("192.0.2.78");

	(void)state;
	assert_int_equal(tp_nl_use_neigh(nl, near_ifindex, &seen.ip), 0);
	wait_for_neigh(&seen, false);
	assert_int_equal(tp_nl_use_neigh(nl, 12345, &seen.ip), -ENODEV);
}

static void neighbour_changes_are_events(void **state)
{
	struct seen seen = seen_init("192.0.2.79");

	(void)state;
	do_near("ip neigh add 192.0.2.79 lladdr " FAR_MAC " dev near");
	wait_for_neigh(&seen, true);
	assert_memory_equal(seen.neigh.mac, far_mac, 6);
	seen = seen_init("192.0.2.79");
	do_near("ip neigh replace 192.0.2.79 lladdr " NEAR_MAC " dev near");
	wait_for_neigh(&seen, true);
	assert_memory_equal(seen.neigh.mac, near_mac, 6);
	do_near("ip neigh del 192.0.2.79 dev near");
	wait_for_neigh(&seen, false);

	seen = seen_init("2001:db8::79");
	do_near("ip -6 neigh add 2001:db8::79 lladdr " FAR_MAC " dev near");
	wait_for_neigh(&seen, true);
}

static void route_address_and_rule_changes_are_events(void **state)
{
	static const char *const cmds[] = {
		"ip route add 10.77.0.0/16 via 192.0.2.2",
		"ip route del 10.77.0.0/16",
		"ip -6 route add 2001:db8:77::/48 via 2001:db8::2",
		"ip -6 route del 2001:db8:77::/48",
		"ip addr add 10.78.0.1/32 dev near",
		"ip addr del 10.78.0.1/32 dev near",
		"ip -6 addr add 2001:db8:78::1/128 dev near nodad",
		"ip -6 addr del 2001:db8:78::1/128 dev near",
		"ip rule add from 10.78.0.1 table 101",
		"ip rule del from 10.78.0.1 table 101",
		"ip nexthop add id 8 via 192.0.2.2 dev near",
		"ip nexthop del id 8",
	};
	struct seen seen;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		print_message("# %s\n", cmds[i]);
		seen = seen_init("192.0.2.2");
		do_near(cmds[i]);
		while (seen.n_route == 0)
			assert_true(read_events(&seen));
	}
}

static void link_changes_are_events(void **state)
{
	struct seen seen = seen_init("192.0.2.2");

	(void)state;
	do_near("ip link set near mtu 1400");
	while (seen.link.mtu != 1400)
		assert_true(read_events(&seen));
	assert_true(seen.link.is_up);
	do_far("ip link set far down"); /* our carrier */
	while (seen.link.is_up)
		assert_true(read_events(&seen));
	do_far("ip link set far up");
	while (!seen.link.is_up)
		assert_true(read_events(&seen));
	do_near("ip link set near down");
	while (seen.link.is_up)
		assert_true(read_events(&seen));
	do_near("ip link set near address 02:00:00:00:00:09 up");
	while (!seen.link.is_up)
		assert_true(read_events(&seen));
	assert_int_equal(seen.link.mac[5], 9);
	assert_false(seen.is_gone);
}

/* Bridges announce their ports in messages that look like the end of a link, and are not. */
static void leaving_a_bridge_is_not_the_end_of_a_link(void **state)
{
	struct seen seen = seen_init("192.0.2.2");

	(void)state;
	if (rig_run("ip link add tpbr type bridge 2>/dev/null") != 0)
		skip();
	do_near("ip link set near master tpbr && ip link set near nomaster");
	do_near("ip link del tpbr");
	do_near("ip link set near mtu 1410"); /* the last of the events */
	while (seen.link.mtu != 1410) {
		assert_true(read_events(&seen));
		assert_false(seen.is_gone);
	}
}

static void lost_events_are_one_overflow(void **state)
{
	struct seen seen = seen_init("192.0.2.2");
	struct pollfd p = { .fd = tp_nl_fd(nl), .events = POLLIN };

	(void)state;
	/* More than the receive buffer holds: it is 8 MiB, each of these is over 500 bytes. */
	do_near("i=0; while [ $i -lt 60 ]; do j=0; while [ $j -lt 250 ]; do "
		"echo route add 10.$((100 + i)).$j.0/24 via 192.0.2.2; "
		"echo route del 10.$((100 + i)).$j.0/24; "
		"j=$((j + 1)); done; i=$((i + 1)); done | ip -batch -");
	while (seen.n_overflow == 0)
		assert_true(read_events(&seen));
	assert_int_equal(seen.n_route, 0);
	assert_int_equal(poll(&p, 1, 0), 0); /* what is older than the loss is not told later */

	seen = seen_init("192.0.2.2");
	do_near("ip route add 10.99.0.0/16 via 192.0.2.2"); /* and afterwards as usual */
	while (seen.n_route == 0)
		assert_true(read_events(&seen));
	assert_int_equal(seen.n_overflow, 0);
}

/* The resolver on top of it all. */
static const struct tp_next_hop *resolve(
		struct tp_resolver *r, const struct tp_flow *flow, uint8_t mac)
{
	const struct tp_next_hop *nh = atomic_load(&flow->next_hop);
	struct pollfd p = { .fd = tp_nl_fd(nl), .events = POLLIN };

	while ((nh != NULL ? nh->l2[5] : 0) != mac) {
		assert_int_equal(poll(&p, 1, EVENT_TIMEOUT_MS), 1);
		tp_nl_read(nl, &tp_resolver_events, r);
		tp_resolver_tick(r, tp_clock_now_ns());
		nh = atomic_load(&flow->next_hop);
	}
	return nh;
}

static void resolver_follows_the_kernel(void **state)
{
	static struct tp_flow flow;
	struct tp_addr src = ip_of("192.0.2.1"), dst = ip_of("10.55.0.9");
	struct tp_resolver_conf conf = {
		.ops = &tp_resolver_netlink,
		.ctx = nl,
		.ifindexes = &near_ifindex,
		.n_ifindexes = 1,
	};
	struct tp_resolved *resolved;
	struct tp_resolver *r;

	(void)state;
	do_near("ip route add 10.55.0.0/16 via 192.0.2.2 mtu 1280");
	do_near("ip neigh flush dev near");
	assert_int_equal(tp_grace_new(1, &conf.grace), 0);
	assert_int_equal(tp_resolver_new(&conf, &r), 0);
	assert_int_equal(tp_resolver_bind(r, &flow, &src, &dst, &resolved), 0);
	assert_int_equal(resolve(r, &flow, 2)->mtu, 1280);
	do_near("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:07 dev near");
	resolve(r, &flow, 7);
	do_far("ip link set far down");
	resolve(r, &flow, 0);
	do_far("ip link set far up");
	resolve(r, &flow, 7); /* a permanent neighbour outlives the loss of the carrier */
	do_near("ip neigh del 192.0.2.2 dev near"); /* asked for again, unasked */
	resolve(r, &flow, 2);
	tp_resolver_unbind(r, resolved);
	tp_resolver_free(r);
	tp_grace_free(conf.grace);
}

static void deleted_link_is_gone(void **state)
{
	struct seen seen = seen_init("192.0.2.2");

	(void)state;
	do_near("ip link del near");
	while (!seen.is_gone)
		assert_true(read_events(&seen));
}

int main(void)
{
	/* In this order: some leave the link as the next one wants it, the last takes it away. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(use_has_the_kernel_resolve_a_neighbour),
		cmocka_unit_test(use_confirms_a_stale_neighbour),
		cmocka_unit_test(neighbour_that_does_not_answer_fails),
		cmocka_unit_test(neighbour_changes_are_events),
		cmocka_unit_test(route_address_and_rule_changes_are_events),
		cmocka_unit_test(lost_events_are_one_overflow),
		cmocka_unit_test(resolver_follows_the_kernel),
		cmocka_unit_test(link_changes_are_events),
		cmocka_unit_test(leaving_a_bridge_is_not_the_end_of_a_link),
		cmocka_unit_test(deleted_link_is_gone),
	};

	if (!rig_enter())
		return 0;
	return cmocka_run_group_tests_name("netlink_events", tests, rig_setup, rig_teardown);
}
