/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel is asked for: links, routes, addresses, neighbours. */
#include "netlink_rig.h"

static int get_route(const char *src, const char *dst, struct tp_nl_route *out)
{
	struct tp_addr from = ip_of(src), to = ip_of(dst);

	return tp_nl_get_route(nl, &from, &to, out);
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
		assert_int_equal(rig_run("ip link add type veth"), 0);
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

/* A kernel without 8021q has no VLANs to tell of; the end-to-end tests play one. */
static bool has_vlans(void)
{
	bool has = rig_run("ip link add name probe type veth peer name probe1") == 0 &&
			rig_run("ip link add link probe name probe.1 type vlan id 1 2>/dev/null") ==
					0;

	rig_run("ip link del probe");
	return has;
}

int main(void)
{
	/* The first one only where there are VLANs. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vlans_are_told),
		cmocka_unit_test(link_is_described),
		cmocka_unit_test(links_are_listed),
		cmocka_unit_test(routes_are_looked_up_with_source_and_destination),
		cmocka_unit_test(ports_do_not_matter_to_a_lookup),
		cmocka_unit_test(local_broadcast_and_multicast_are_no_unicast),
		cmocka_unit_test(addresses_of_this_host_are_known),
		cmocka_unit_test(failed_lookups_say_why),
		cmocka_unit_test(neighbour_states_are_told_apart),
	};
	size_t first;

	if (!rig_enter())
		return 0;
	first = has_vlans() ? 0 : 1;
	if (first != 0)
		printf("# without vlans_are_told: this kernel has no 8021q\n");
	return _cmocka_run_group_tests("netlink", tests + first,
			sizeof(tests) / sizeof(tests[0]) - first, rig_setup, rig_teardown);
}
