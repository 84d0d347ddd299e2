/* SPDX-License-Identifier: Apache-2.0 */
/* What a good file comes to: every option, every default. */
#include "conf_rig.h"

static void assert_addr(const struct tp_addr *a, const char *text, uint16_t port)
{
	struct tp_addr want;

	assert_int_equal(tp_addr_parse(text, port, &want), 0);
	assert_true(tp_addr_equal(a, &want));
}

static bool denies(const struct tp_conf *conf, const char *text)
{
	struct tp_addr a;
	uint32_t i;

	assert_int_equal(tp_addr_parse(text, 0, &a), 0);
	for (i = 0; i < conf->n_deny; i++) {
		if (tp_prefix_contains(&conf->deny[i], &a))
			return true;
	}
	return false;
}

static void four_lines_are_enough_and_the_rest_has_defaults(void **state)
{
	struct tp_conf *conf = conf_load_good(BASE);

	(void)state;
	assert_string_equal(conf->realm, "example.org");
	assert_int_equal(conf->n_listeners, 1);
	assert_addr(&conf->listeners[0], "192.0.2.10", 3478);
	assert_int_equal(conf->n_relays, 1);
	assert_addr(&conf->relays[0].local, "192.0.2.10", 0);
	assert_addr(&conf->relays[0].external, "192.0.2.10", 0);
	assert_int_equal(conf->relay_port_min, 49152);
	assert_int_equal(conf->relay_port_max, 65535);
	assert_int_equal(conf->n_users, 1);
	assert_int_equal(conf->n_secrets, 0);
	assert_true(denies(conf, "10.1.2.3"));
	assert_int_equal(conf->n_allow, 0);
	assert_int_equal(conf->max_allocations, 65536);
	assert_int_equal(conf->max_channels, 65536);
	assert_true(conf->allocation_bps == 0 && conf->allocation_pps == 0);
	assert_true(conf->logs_allocations);
	assert_int_equal(conf->limits.allocations_per_user, 0);
	assert_int_equal(conf->limits.channels_per_allocation, 0);
	assert_int_equal(conf->limits.permissions_per_allocation, 1000);
	assert_int_equal(conf->limits.new_peers_per_sec, 0);
	assert_int_equal(conf->limits.unauthenticated_per_source, 200);
	assert_int_equal(conf->limits.unauthenticated_total, 50000);
	assert_false(conf->listener_info[0].is_anycast);
	assert_true(tp_addr_equal(&conf->listener_info[0].external, &conf->listeners[0]));
	assert_false(conf->has_redirect);
	assert_int_equal(conf->n_alternates, 0);
	assert_int_equal(conf->default_family, TP_CONF_FAMILY_IPV4);
	assert_false(conf->mobility);
	assert_false(conf->legacy_attributes);
	assert_false(conf->legacy_channels);
	assert_int_equal(conf->dscp, TP_DSCP_COPY);
	assert_int_equal(conf->lowest_ipv6_mtu, 1280);
	assert_int_equal(conf->n_interfaces, 0);
	assert_int_equal(conf->n_cores, 0);
	assert_int_equal(conf->control_cpu, 0);
	assert_string_equal(conf->control_socket, "/run/turnpike/control.sock");
	assert_false(conf->has_metrics);
	tp_conf_free(conf);
}

static void options_that_are_given_are_taken(void **state)
{
	struct tp_conf *conf = conf_load_good(conf_every_option);

	(void)state;
	assert_int_equal(conf->n_listeners, 6);
	assert_int_equal(conf->n_discovery, 1);
	assert_addr(&conf->discovery[0].address[0], "2001:db8::10", 0);
	assert_addr(&conf->discovery[0].address[1], "2001:db8::11", 0);
	assert_int_equal(conf->discovery[0].port[0], 3478);
	assert_int_equal(conf->discovery[0].port[1], 3477);
	assert_addr(&conf->listeners[0], "192.0.2.10", 5349);
	assert_addr(&conf->listeners[1], "2001:db8::10", 3478);
	assert_int_equal(conf->n_relays, 2);
	assert_addr(&conf->relays[0].local, "10.0.0.5", 0);
	assert_addr(&conf->relays[0].external, "192.0.2.10", 0);
	assert_int_equal(conf->relay_port_min, 20000);
	assert_int_equal(conf->relay_port_max, 20999);
	assert_int_equal(conf->max_allocations, 1);
	assert_int_equal(conf->max_channels, 4000000);
	assert_true(conf->allocation_bps == 1000000000000);
	assert_int_equal(conf->allocation_pps, 3);
	assert_false(conf->logs_allocations);
	assert_int_equal(conf->limits.allocations_per_user, 2);
	assert_int_equal(conf->limits.channels_per_allocation, 3);
	assert_int_equal(conf->limits.permissions_per_allocation, 4);
	assert_int_equal(conf->limits.new_peers_per_sec, 5);
	assert_int_equal(conf->limits.unauthenticated_per_source, 6);
	assert_int_equal(conf->limits.unauthenticated_total, 7);
	assert_addr(&conf->listener_info[2].local, "10.0.0.6", 3478);
	assert_addr(&conf->listener_info[2].external, "192.0.2.11", 3478);
	assert_false(conf->listener_info[1].is_anycast);
	assert_true(conf->listener_info[2].is_anycast);
	assert_true(conf->has_redirect);
	assert_int_equal(conf->redirect, TP_TURN_REDIRECT_FULL);
	assert_int_equal(conf->n_alternates, 2);
	assert_addr(&conf->alternates[0], "192.0.2.20", 3479);
	assert_addr(&conf->alternates[1], "2001:db8::20", 3478);
	assert_int_equal(conf->default_family, TP_CONF_FAMILY_LISTENER);
	assert_true(conf->mobility);
	assert_true(conf->legacy_attributes);
	assert_true(conf->legacy_channels);
	assert_int_equal(conf->dscp, TP_DSCP_CLEAR);
	assert_int_equal(conf->lowest_ipv6_mtu, 1500);
	assert_int_equal(conf->control_cpu, 1);
	assert_string_equal(conf->control_socket, "/tmp/turnpike.sock");
	assert_true(conf->has_metrics);
	assert_addr(&conf->metrics, "0.0.0.0", 1);
	tp_conf_free(conf);
}

static void the_layout_refers_to_interfaces_by_index(void **state)
{
	struct tp_conf *conf = conf_load_good(conf_every_option);

	(void)state;
	assert_int_equal(conf->n_interfaces, 4);
	assert_string_equal(conf->interfaces[0].name, "eth0");
	assert_int_equal(conf->interfaces[0].mode, TP_XDP_COPY);
	assert_int_equal(conf->interfaces[1].mode, TP_XDP_AUTO);
	assert_int_equal(conf->interfaces[2].mode, TP_XDP_OFF);
	assert_int_equal(conf->interfaces[0].driver, TP_DRIVER_AFXDP);
	assert_string_equal(conf->interfaces[0].kernel, "eth0");
	assert_int_equal(conf->interfaces[3].driver, TP_DRIVER_DPDK);
	assert_string_equal(conf->interfaces[3].device, "0000:3b:00.0,arg=1");
	assert_string_equal(conf->interfaces[3].kernel, "tp0");
	assert_int_equal(conf->n_eal, 2);
	assert_string_equal(conf->eal[1], "512");
	assert_int_equal(conf->n_cores, 2);
	assert_int_equal(conf->cores[0].cpu, 2);
	assert_int_equal(conf->cores[0].idle, TP_IDLE_ADAPTIVE);
	assert_int_equal(conf->cores[0].n_queues, 3);
	assert_int_equal(conf->cores[0].queues[1].interface, 1);
	assert_int_equal(conf->cores[0].queues[1].queue, 1);
	assert_int_equal(conf->cores[1].idle, TP_IDLE_SPIN);
	assert_int_equal(conf->cores[1].queues[0].interface, 0);
	assert_int_equal(conf->cores[1].queues[0].queue, 255);
	tp_conf_free(conf);
}

static void passwords_become_keys_and_keys_stay(void **state)
{
	/* printf alice:example.org:wonder | md5sum */
	static const uint8_t alice[16] = { 0xd1, 0x8b, 0xc2, 0x66, 0xa0, 0x64, 0x09, 0x31, 0xa5,
		0x39, 0x36, 0x7a, 0x52, 0x2a, 0x3f, 0xbb };
	static const uint8_t bob[16] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99,
		0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
	struct tp_conf *conf = conf_load_good(conf_every_option);

	(void)state;
	assert_int_equal(conf->n_users, 2);
	assert_string_equal(conf->users[0].name, "alice");
	assert_int_equal(conf->users[0].md5.len, sizeof(alice));
	assert_memory_equal(conf->users[0].md5.data, alice, sizeof(alice));
	assert_string_equal(conf->users[1].name,
			"b\xc3\xb6"
			"b \"\\");
	assert_memory_equal(conf->users[1].md5.data, bob, sizeof(bob));
	assert_int_equal(conf->users[1].sha256.len, 0);
	assert_int_equal(conf->n_secrets, 2);
	assert_int_equal(conf->secrets[1].len, 9);
	assert_memory_equal(conf->secrets[1].data, "pre vious", 9);
	tp_conf_free(conf);
}

static void recommended_denies_what_is_no_ordinary_peer(void **state)
{
	static const struct {
		const char *address;
		bool is_denied;
	} cases[] = {
		{ "0.0.0.0", true },
		{ "9.255.255.255", false },
		{ "10.255.255.255", true },
		{ "100.63.255.255", false },
		{ "100.64.0.0", true },
		{ "127.0.0.1", true },
		{ "128.0.0.1", false },
		{ "169.254.169.254", true },
		{ "172.15.255.255", false },
		{ "172.31.255.255", true },
		{ "172.32.0.0", false },
		{ "192.0.0.8", true },
		{ "192.0.1.1", false },
		{ "192.0.2.1", true },
		{ "192.88.99.1", true },
		{ "192.168.1.1", true },
		{ "198.19.255.255", true },
		{ "198.51.100.1", true },
		{ "203.0.113.1", true },
		{ "223.255.255.255", false },
		{ "224.0.0.1", true },
		{ "255.255.255.255", true },
		{ "::", true },
		{ "::1", true },
		{ "::192.0.2.1", true },
		{ "::ffff:8.8.8.8", true },
		{ "64:ff9b::808:808", true },
		{ "64:ff9b:1::1", true },
		{ "100::1", true },
		{ "100:0:0:1::1", true },
		{ "100:0:0:2::1", false },
		{ "::ffff:0:8.8.8.8", true },
		{ "192.31.196.1", false }, /* AS112: globally reachable */
		{ "2620:4f:8000::1", false },
		{ "2001::1", true },
		{ "2001:1ff::1", true },
		{ "2001:200::1", false },
		{ "2001:db8::1", true },
		{ "2002:808:808::1", true },
		{ "2606:4700::1", false },
		{ "3fff::1", true },
		{ "5f00::1", true },
		{ "fd00::1", true },
		{ "fe80::1", true },
		{ "fec0::1", true },
		{ "ff02::1", true },
	};
	struct tp_conf *conf = conf_load_good(BASE);
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		if (denies(conf, cases[i].address) != cases[i].is_denied)
			fail_msg("%s", cases[i].address);
	}
	tp_conf_free(conf);
}

static void deny_is_replaced_not_extended(void **state)
{
	struct tp_conf *conf = conf_load_good(BASE "peers: { deny: [] }\n");

	(void)state;
	assert_int_equal(conf->n_deny, 0);
	tp_conf_free(conf);
	conf = conf_load_good(BASE "peers: { deny: [ 10.0.0.0/8 ], allow: [ 10.1.0.0/16 ] }\n");
	assert_int_equal(conf->n_deny, 1);
	assert_int_equal(conf->n_allow, 1);
	assert_true(denies(conf, "10.0.0.1"));
	assert_false(denies(conf, "127.0.0.1"));
	tp_conf_free(conf);
	conf = conf_load_good(BASE "peers: { allow: [ 10.1.0.0/16 ] }\n");
	assert_true(denies(conf, "127.0.0.1"));
	tp_conf_free(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(four_lines_are_enough_and_the_rest_has_defaults),
		cmocka_unit_test(options_that_are_given_are_taken),
		cmocka_unit_test(the_layout_refers_to_interfaces_by_index),
		cmocka_unit_test(passwords_become_keys_and_keys_stay),
		cmocka_unit_test(recommended_denies_what_is_no_ordinary_peer),
		cmocka_unit_test(deny_is_replaced_not_extended),
	};

	return cmocka_run_group_tests_name(
			"conf", tests, conf_enter_directory, conf_leave_directory);
}
