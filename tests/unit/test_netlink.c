/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Against the real kernel, in two network namespaces that vanish with the processes in them:
 * ours with `near`, and a child's with the other end, `far`.  Needs CAP_SYS_ADMIN and
 * CAP_NET_ADMIN.
 */
#include "io/netlink.h"

#include "base/clock.h"
#include "io/resolver.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NEAR_MAC "02:00:00:00:00:01"
#define FAR_MAC "02:00:00:00:00:02"
#define EVENT_TIMEOUT_MS 10000 /* the kernel takes 3 to give a neighbour up, 5 to probe it */

static const uint8_t near_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t far_mac[6] = { 2, 0, 0, 0, 0, 2 };

/* What the events of one tp_nl_read() or more said. */
struct seen {
	unsigned int ifindex; /* the only neighbours and links that count */
	struct tp_addr ip;
	struct tp_nl_neigh neigh;
	struct tp_nl_link link;
	bool is_gone;
	uint32_t n_neigh, n_link, n_route, n_overflow;
};

static pid_t far_pid;
static int to_far = -1, from_far = -1;
static unsigned int near_ifindex;
static struct tp_nl *nl;

static int run(const char *cmd)
{
	int status = system(cmd);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void do_near(const char *cmd)
{
	if (run(cmd) != 0)
		fail_msg("%s: failed", cmd);
}

/* The child: a namespace, and a shell in it for one line after the other. */
static int far_main(int in, int out)
{
	FILE *cmds = fdopen(in, "r");
	char line[256];
	char rc;

	if (cmds == NULL || unshare(CLONE_NEWNET) != 0 || write(out, "r", 1) != 1)
		return 1;
	while (fgets(line, sizeof(line), cmds) != NULL) {
		rc = run(line) == 0 ? '0' : '1';
		if (write(out, &rc, 1) != 1)
			return 1;
	}
	return 0;
}

static bool far_is_done(char want)
{
	char got;

	return read(from_far, &got, 1) == 1 && got == want;
}

static void do_far(const char *cmd)
{
	if (dprintf(to_far, "%s\n", cmd) < 0 || !far_is_done('0'))
		fail_msg("%s: failed in the other namespace", cmd);
}

static int far_start(void)
{
	int down[2], up[2];

	if (pipe(down) != 0 || pipe(up) != 0)
		return -errno;
	far_pid = fork();
	if (far_pid < 0)
		return -errno;
	if (far_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(down[1]);
		close(up[0]);
		_exit(far_main(down[0], up[1]));
	}
	close(down[0]);
	close(up[1]);
	to_far = down[1];
	from_far = up[0];
	return far_is_done('r') ? 0 : -ECHILD;
}

static int setup(void **state)
{
	char cmd[128];

	(void)state;
	if (far_start() != 0)
		return -1;
	do_near("ip link set lo up");
	do_near("ip link add near address " NEAR_MAC " type veth peer name far address " FAR_MAC);
	snprintf(cmd, sizeof(cmd), "ip link set far netns %d", (int)far_pid);
	do_near(cmd);
	do_near("ip addr add 192.0.2.1/24 dev near");
	do_near("ip addr add 2001:db8::1/64 dev near nodad");
	do_near("ip link set near up");
	do_far("ip addr add 192.0.2.2/24 dev far");
	do_far("ip addr add 2001:db8::2/64 dev far nodad");
	do_far("ip link set far up");
	near_ifindex = if_nametoindex("near");
	return tp_nl_open(&nl);
}

static int teardown(void **state)
{
	(void)state;
	tp_nl_close(nl);
	close(to_far);
	close(from_far);
	waitpid(far_pid, NULL, 0);
	return 0;
}

static struct tp_addr ip_of(const char *text)
{
	struct tp_addr a;

	assert_int_equal(tp_addr_parse(text, 0, &a), 0);
	return a;
}

static int get_route(const char *src, const char *dst, struct tp_nl_route *out)
{
	struct tp_addr from = ip_of(src), to = ip_of(dst);

	return tp_nl_get_route(nl, &from, &to, out);
}

static int get_neigh(const char *text, struct tp_nl_neigh *out)
{
	struct tp_addr ip = ip_of(text);

	return tp_nl_get_neigh(nl, near_ifindex, &ip, out);
}

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

static void link_is_described(void **state)
{
	struct tp_nl_link link;

	(void)state;
	assert_int_equal(tp_nl_get_link(nl, near_ifindex, &link), 0);
	assert_int_equal(link.ifindex, near_ifindex);
	assert_string_equal(link.name, "near");
	assert_memory_equal(link.mac, near_mac, 6);
	assert_int_equal(link.mtu, 1500);
	assert_true(link.is_up);
	assert_true(link.is_ethernet);

	assert_int_equal(tp_nl_get_link(nl, if_nametoindex("lo"), &link), 0);
	assert_false(link.is_ethernet);
	assert_int_equal(tp_nl_get_link(nl, 12345, &link), -ENODEV);
}

struct listed {
	uint32_t n;
	struct tp_nl_link near, vlan;
};

static void list(void *ctx, const struct tp_nl_link *link)
{
	struct listed *l = ctx;

	l->n++;
	if (link->ifindex == near_ifindex)
		l->near = *link;
	if (link->vlan != 0)
		l->vlan = *link;
}

static void links_are_listed(void **state)
{
	struct tp_nl_link link;
	struct listed l = { 0 };
	uint32_t i;

	(void)state;
	/* More than one answer of the kernel holds. */
	for (i = 0; i < 40; i++)
		assert_int_equal(run("ip link add type veth"), 0);
	assert_int_equal(tp_nl_get_links(nl, list, &l), 0);
	assert_in_range(l.n, 82, 90);
	assert_int_equal(tp_nl_get_link(nl, near_ifindex, &link), 0);
	assert_memory_equal(&l.near, &link, sizeof(link));
	assert_int_equal(l.vlan.vlan, 0);
	for (i = 0; i < 40; i++) {
		char cmd[64];

		snprintf(cmd, sizeof(cmd), "ip link del veth%u", 2 * i);
		do_near(cmd);
	}
	assert_int_equal(tp_nl_get_link(nl, near_ifindex, &link), 0); /* the socket is still good */
}

static void vlans_are_told(void **state)
{
	struct tp_nl_link link;
	struct listed l = { 0 };

	(void)state;
	do_near("ip link add link near name near.300 type vlan id 300");
	assert_int_equal(tp_nl_get_links(nl, list, &l), 0);
	assert_int_equal(l.vlan.vlan, 300);
	assert_int_equal(l.vlan.vlan_parent, near_ifindex);
	assert_int_equal(tp_nl_get_link(nl, l.vlan.ifindex, &link), 0);
	assert_memory_equal(&l.vlan, &link, sizeof(link));
	do_near("ip link del near.300");
	do_near("ip link add link near name near.300 type vlan protocol 802.1ad id 300");
	memset(&l, 0, sizeof(l));
	assert_int_equal(tp_nl_get_links(nl, list, &l), 0);
	assert_int_equal(l.vlan.vlan, 0);
	do_near("ip link del near.300");
}

static void routes_are_looked_up_with_source_and_destination(void **state)
{
	static const struct {
		const char *what, *src, *dst, *gateway;
		uint32_t mtu;
	} cases[] = {
		{ "IPv4 on-link", "192.0.2.1", "192.0.2.2", "192.0.2.2", 0 },
		{ "IPv6 on-link", "2001:db8::1", "2001:db8::2", "2001:db8::2", 0 },
		{ "IPv4 by a gateway", "192.0.2.1", "198.51.100.9", "192.0.2.2", 0 },
		{ "IPv6 by a gateway", "2001:db8::1", "2001:db8:1::9", "2001:db8::2", 0 },
		{ "IPv4 by an IPv6 gateway", "192.0.2.1", "203.0.113.9", "2001:db8::2", 0 },
		{ "IPv4 with an MTU", "192.0.2.1", "10.1.0.9", "192.0.2.3", 1300 },
		{ "IPv6 with an MTU", "2001:db8::1", "2001:db8:2::9", "fe80::3", 1280 },
		{ "IPv4 by nexthop object", "192.0.2.1", "10.2.0.9", "192.0.2.4", 0 },
		{ "IPv4 by a rule on the source", "192.0.2.11", "198.51.100.9", "192.0.2.5", 0 },
	};
	struct tp_nl_route route;
	struct tp_addr gateway;
	size_t i;

	(void)state;
	do_near("ip addr add 192.0.2.11/24 dev near");
	do_near("ip route add 198.51.100.0/24 via 192.0.2.2");
	do_near("ip route add 203.0.113.0/24 via inet6 2001:db8::2 dev near");
	do_near("ip route add 10.1.0.0/16 via 192.0.2.3 mtu 1300");
	do_near("ip nexthop add id 7 via 192.0.2.4 dev near");
	do_near("ip route add 10.2.0.0/16 nhid 7");
	do_near("ip -6 route add 2001:db8:1::/48 via 2001:db8::2");
	do_near("ip -6 route add 2001:db8:2::/48 via fe80::3 dev near mtu 1280");
	do_near("ip rule add from 192.0.2.11 table 100");
	do_near("ip route add default via 192.0.2.5 table 100");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("# %s\n", cases[i].what);
		assert_int_equal(get_route(cases[i].src, cases[i].dst, &route), 0);
		gateway = ip_of(cases[i].gateway);
		assert_int_equal(route.ifindex, near_ifindex);
		assert_true(tp_addr_equal(&route.gateway, &gateway));
		assert_int_equal(route.mtu, cases[i].mtu);
		assert_true(route.is_unicast);
		assert_false(route.is_local);
	}
}

static void ports_do_not_matter_to_a_lookup(void **state)
{
	struct tp_addr src = ip_of("192.0.2.1"), dst = ip_of("192.0.2.2"), gateway = dst;
	struct tp_nl_route route;

	(void)state;
	src.port = 3478;
	dst.port = 40000;
	assert_int_equal(tp_nl_get_route(nl, &src, &dst, &route), 0);
	assert_true(tp_addr_equal(&route.gateway, &gateway));
}

static void local_broadcast_and_multicast_are_no_unicast(void **state)
{
	struct tp_nl_route route;

	(void)state;
	assert_int_equal(get_route("192.0.2.1", "192.0.2.1", &route), 0);
	assert_true(route.is_local);
	assert_false(route.is_unicast);
	assert_int_equal(get_route("2001:db8::1", "2001:db8::1", &route), 0);
	assert_true(route.is_local);
	assert_int_equal(get_route("192.0.2.1", "192.0.2.255", &route), 0);
	assert_false(route.is_local || route.is_unicast);
	assert_int_equal(get_route("2001:db8::1", "ff02::1", &route), 0);
	assert_false(route.is_local || route.is_unicast);
}

static void addresses_of_this_host_are_known(void **state)
{
	static const struct {
		const char *ip;
		bool want;
	} cases[] = {
		{ "192.0.2.1", true },
		{ "2001:db8::1", true },
		{ "127.0.0.1", true },
		{ "::1", true },
		{ "192.0.2.2", false },
		{ "2001:db8::2", false },
		{ "192.0.2.255", false },
		{ "172.16.0.1", false },
	};
	struct tp_addr ip;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ip = ip_of(cases[i].ip);
		ip.port = 3478;
		if (tp_nl_is_local(nl, &ip) != cases[i].want)
			fail_msg("%s", cases[i].ip);
	}
}

static void failed_lookups_say_why(void **state)
{
	struct tp_nl_route route;

	(void)state;
	do_near("ip route add unreachable 10.9.1.0/24");
	do_near("ip route add blackhole 10.9.2.0/24");
	do_near("ip -6 route add unreachable 2001:db8:9::/48");
	assert_int_equal(get_route("192.0.2.1", "172.16.0.1", &route), -ENETUNREACH);
	assert_int_equal(get_route("2001:db8::1", "2001:db8:ffff::1", &route), -ENETUNREACH);
	assert_int_equal(get_route("192.0.2.1", "10.9.1.1", &route), -EHOSTUNREACH);
	assert_int_equal(get_route("192.0.2.1", "10.9.2.1", &route), -EINVAL);
	assert_int_equal(get_route("2001:db8::1", "2001:db8:9::1", &route), -EHOSTUNREACH);
	/* A source that is not ours: EINVAL or ENETUNREACH, depending on the kernel's version. */
	assert_int_not_equal(get_route("192.0.2.99", "192.0.2.2", &route), 0);
	assert_int_equal(get_route("2001:db8::99", "2001:db8::2", &route), -ENETUNREACH);
	assert_int_equal(get_route("2001:db8:ffff::99", "2001:db8::2", &route), -ENETUNREACH);
}

static void neighbour_states_are_told_apart(void **state)
{
	static const struct {
		const char *nud;
		bool is_valid, is_stale;
	} cases[] = {
		{ "permanent", true, false },
		{ "noarp", true, false },
		{ "reachable", true, false },
		{ "stale", true, true },
		{ "delay", true, false },
		{ "probe", true, false },
		{ "failed", false, false },
	};
	struct tp_nl_neigh neigh;
	char cmd[128];
	size_t i;

	(void)state;
	assert_int_equal(get_neigh("192.0.2.77", &neigh), -ENOENT);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("# %s\n", cases[i].nud);
		snprintf(cmd, sizeof(cmd),
				"ip neigh replace 192.0.2.77 lladdr " FAR_MAC " dev near nud %s",
				cases[i].nud);
		do_near(cmd);
		assert_int_equal(get_neigh("192.0.2.77", &neigh), 0);
		assert_int_equal(neigh.is_valid, cases[i].is_valid);
		assert_int_equal(neigh.is_stale, cases[i].is_stale);
		if (neigh.is_valid)
			assert_memory_equal(neigh.mac, far_mac, 6);
		do_near("ip neigh del 192.0.2.77 dev near");
	}
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
	run("echo 1 2>/dev/null >/proc/sys/net/ipv4/neigh/near/delay_first_probe_time");
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
	if (run("ip link add tpbr type bridge 2>/dev/null") != 0)
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

/* A kernel without 8021q has no VLANs to tell of; the end-to-end tests play one. */
static bool has_vlans(void)
{
	bool has = run("ip link add name probe type veth peer name probe1") == 0 &&
			run("ip link add link probe name probe.1 type vlan id 1 2>/dev/null") == 0;

	run("ip link del probe");
	return has;
}

int main(void)
{
	/* In this order: some leave the link as the next one wants it, the last takes it away. */
	struct CMUnitTest tests[] = {
		cmocka_unit_test(vlans_are_told),
		cmocka_unit_test(link_is_described),
		cmocka_unit_test(links_are_listed),
		cmocka_unit_test(routes_are_looked_up_with_source_and_destination),
		cmocka_unit_test(ports_do_not_matter_to_a_lookup),
		cmocka_unit_test(local_broadcast_and_multicast_are_no_unicast),
		cmocka_unit_test(addresses_of_this_host_are_known),
		cmocka_unit_test(failed_lookups_say_why),
		cmocka_unit_test(neighbour_states_are_told_apart),
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

	size_t first;

	if (unshare(CLONE_NEWNET) != 0) {
		printf("1..0 # SKIP a network namespace needs CAP_SYS_ADMIN\n");
		return 0; /* in TAP that is how to skip: Meson takes exit status 77 for an error */
	}
	first = has_vlans() ? 0 : 1;
	if (first != 0)
		printf("# without vlans_are_told: this kernel has no 8021q\n");
	return _cmocka_run_group_tests("netlink", tests + first,
			sizeof(tests) / sizeof(tests[0]) - first, setup, teardown);
}
