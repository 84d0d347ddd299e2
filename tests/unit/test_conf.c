/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"
#include "conf_schema.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Four lines without which nothing loads. */
#define REALM "realm: example.org\n"
#define LISTEN "listen: [ { address: 192.0.2.10 } ]\n"
#define RELAY "relay: { addresses: [ { address: 192.0.2.10 } ] }\n"
#define AUTH "auth: { users: [ { name: alice, password: wonder } ] }\n"
#define BASE REALM LISTEN RELAY AUTH

#define FILE_NAME "turnpike.yaml"

static char directory[] = "/tmp/test_conf.XXXXXX";

static int enter_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) == NULL || chdir(directory) < 0 ? -1 : 0;
}

static int leave_directory(void **state)
{
	(void)state;
	unlink(FILE_NAME);
	return chdir("/") < 0 || rmdir(directory) < 0 ? -1 : 0;
}

static void write_file(const void *data, size_t len)
{
	FILE *f = fopen(FILE_NAME, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* @param[out] messages  to be freed */
static int load_path(const char *path, char **messages, struct tp_conf **conf)
{
	size_t size;
	FILE *err = open_memstream(messages, &size);
	int ret;

	assert_non_null(err);
	*conf = NULL;
	ret = tp_conf_load(path, err, conf);
	assert_int_equal(fclose(err), 0);
	if (ret < 0)
		assert_null(*conf);
	return ret;
}

static int load(const char *text, char **messages, struct tp_conf **conf)
{
	write_file(text, strlen(text));
	return load_path(FILE_NAME, messages, conf);
}

static struct tp_conf *load_good(const char *text)
{
	struct tp_conf *conf;
	char *messages;
	int ret = load(text, &messages, &conf);

	assert_string_equal(messages, "");
	assert_int_equal(ret, 0);
	free(messages);
	return conf;
}

static char *print(const struct tp_conf *conf)
{
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	tp_conf_print(conf, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static char *print_sample(void)
{
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	tp_conf_print_sample(out);
	assert_int_equal(fclose(out), 0);
	return text;
}

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
	struct tp_conf *conf = load_good(BASE);

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

static const char every_option[] =
		"realm: example.org\n"
		"listen:\n"
		"  - address: 192.0.2.10\n"
		"    port: 5349\n"
		"  - address: 2001:db8::10\n"
		"  - { address: 10.0.0.6, external: 192.0.2.11, anycast: true }\n"
		"  - { address: 2001:db8::10, port: 3477 }\n"
		"  - { address: 2001:db8::11, port: 3477 }\n"
		"  - { address: 2001:db8::11, port: 3478 }\n"
		"relay:\n"
		"  addresses:\n"
		"    - { address: 10.0.0.5, external: 192.0.2.10 }\n"
		"    - { address: '2001:db8::10' }\n"
		"  ports: { min: 20000, max: 20999 }\n"
		"auth:\n"
		"  users:\n"
		"    - { name: alice, password: wonder }\n"
		"    - { name: 'b\xc3\xb6"
		"b \"\\', key: 00112233445566778899AABBCCddeeff }\n"
		"  secrets: [ newest, 'pre vious' ]\n"
		"peers:\n"
		"  deny: [ 203.0.114.0/24, recommended, 2001:db9::1 ]\n"
		"  allow: [ 10.1.0.0/16, fd00::/8 ]\n"
		"limits: { allocations: 1, channels: 4000000, allocation_bps: 1000000000000, allocation_pps: 3,\n"
		"  allocations_per_user: 2,\n"
		"  channels_per_allocation: 3, permissions_per_allocation: 4, new_peers_per_sec: 5,\n"
		"  unauthenticated_per_source: 6, unauthenticated_total: 7 }\n"
		"log: { allocations: false }\n"
		"redirect: { when: full, servers: [ { address: 192.0.2.20, port: 3479 }, { address: '2001:db8::20' } ] }\n"
		"discovery: [ { address: 2001:db8::10, other_address: 2001:db8::11, other_port: 3477 } ]\n"
		"default_family: listener\n"
		"legacy_attributes: true\n"
		"mobility: true\n"
		"legacy_channels: true\n"
		"dscp: clear\n"
		"lowest_ipv6_mtu: 1500\n"
		"interfaces:\n"
		"  - { name: eth0, driver: afxdp, mode: copy }\n"
		"  - { name: eth1 }\n"
		"  - { name: eth2, mode: off }\n"
		"  - { name: wan0, driver: dpdk, device: '0000:3b:00.0,arg=1', kernel: tp0 }\n"
		"eal: [ -m, '512' ]\n"
		"cores:\n"
		"  - { cpu: 2, queues: [ 'eth0:0', 'eth1:1', 'wan0:0' ], idle: adaptive }\n"
		"  - { cpu: 2, queues: [ 'eth0:255' ] }\n"
		"control: { cpu: 1, socket: /tmp/turnpike.sock }\n"
		"metrics: { listen: 0.0.0.0, port: 1 }\n";

static void options_that_are_given_are_taken(void **state)
{
	struct tp_conf *conf = load_good(every_option);

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
	struct tp_conf *conf = load_good(every_option);

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
	struct tp_conf *conf = load_good(every_option);

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
	struct tp_conf *conf = load_good(BASE);
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH(cases); i++) {
		if (denies(conf, cases[i].address) != cases[i].is_denied)
			fail_msg("%s", cases[i].address);
	}
	tp_conf_free(conf);
}

static void deny_is_replaced_not_extended(void **state)
{
	struct tp_conf *conf = load_good(BASE "peers: { deny: [] }\n");

	(void)state;
	assert_int_equal(conf->n_deny, 0);
	tp_conf_free(conf);
	conf = load_good(BASE "peers: { deny: [ 10.0.0.0/8 ], allow: [ 10.1.0.0/16 ] }\n");
	assert_int_equal(conf->n_deny, 1);
	assert_int_equal(conf->n_allow, 1);
	assert_true(denies(conf, "10.0.0.1"));
	assert_false(denies(conf, "127.0.0.1"));
	tp_conf_free(conf);
	conf = load_good(BASE "peers: { allow: [ 10.1.0.0/16 ] }\n");
	assert_true(denies(conf, "127.0.0.1"));
	tp_conf_free(conf);
}

/* clang-format off */
/* want: the whole output */
#define DISCOVERY "discovery: [ { address: 192.0.2.10, other_address: 192.0.2.11 } ]\n"
#define GRID                                                              \
	"{ address: 192.0.2.10 }, { address: 192.0.2.10, port: 3479 }, " \
	"{ address: 192.0.2.11 }"

static const struct {
	const char *what, *yaml, *want;
} refused[] = {
	{ "an option misspelt",
	  REALM LISTEN RELAY AUTH "relm: x\n",
	  FILE_NAME ":5: relm: unknown option (did you mean realm?)\n" },
	{ "an option unheard of",
	  BASE "cheese: x\n",
	  FILE_NAME ":5: cheese: unknown option (there are: realm, listen, relay, auth, peers, limits, discovery, redirect, default_family, mobility, legacy_channels, legacy_attributes, dscp, lowest_ipv6_mtu, interfaces, cores, eal, control, log, metrics)\n" },
	{ "limits that are not built",
	  BASE "limits: { cheese: 0 }\n",
	  FILE_NAME ":5: limits.cheese: unknown option (there are: allocations, channels, allocation_bps, allocation_pps, allocations_per_user, channels_per_allocation, permissions_per_allocation, new_peers_per_sec, unauthenticated_per_source, unauthenticated_total)\n" },
	{ "an option twice",
	  BASE "realm: x\n",
	  FILE_NAME ":5: realm: given twice, first in line 1\n" },
	{ "a required option missing",
	  LISTEN RELAY AUTH,
	  FILE_NAME ": realm: missing, and required\n" },
	{ "a required option missing inside",
	  BASE "interfaces: [ { mode: off } ]\n",
	  FILE_NAME ":5: interfaces[0].name: missing, and required\n" },
	{ "an empty file",
	  "",
	  FILE_NAME ": realm: missing, and required\n"
	  FILE_NAME ": listen: missing, and required\n"
	  FILE_NAME ": relay: missing, and required\n"
	  FILE_NAME ": auth: missing, and required\n" },
	{ "nothing but a comment",
	  "# later\n",
	  FILE_NAME ": realm: missing, and required\n"
	  FILE_NAME ": listen: missing, and required\n"
	  FILE_NAME ": relay: missing, and required\n"
	  FILE_NAME ": auth: missing, and required\n" },
	{ "no mapping",
	  "[ realm ]\n",
	  FILE_NAME ":1: must be a mapping of options\n" },
	{ "text where a list belongs",
	  REALM "listen: 192.0.2.10\n" RELAY AUTH,
	  FILE_NAME ":2: listen: 192.0.2.10: must be a list\n" },
	{ "a list where text belongs",
	  "realm: [ a ]\n" LISTEN RELAY AUTH,
	  FILE_NAME ":1: realm: must be text\n" },
	{ "a list where a mapping belongs",
	  BASE "control: []\n",
	  FILE_NAME ":5: control: must be a mapping of options\n" },
	{ "nothing after the colon",
	  BASE "limits:\n",
	  FILE_NAME ":5: limits: has no value: must be a mapping of options\n" },
	{ "null",
	  "realm: ~\n" LISTEN RELAY AUTH,
	  FILE_NAME ":1: realm: has no value: must be text\n" },
	{ "empty text",
	  "realm: \"\"\n" LISTEN RELAY AUTH,
	  FILE_NAME ":1: realm: \"\": must be 1-127 bytes\n" },
	{ "a number too large",
	  REALM LISTEN "relay: { addresses: [ { address: 192.0.2.10 } ], ports: { max: 70000 } }\n" AUTH,
	  FILE_NAME ":3: relay.ports.max: 70000: must be 1024-65535\n" },
	{ "a number far too large",
	  BASE "limits: { channels: 18446744073709551617 }\n",
	  FILE_NAME ":5: limits.channels: 18446744073709551617: must be a whole number, 1-4000000\n" },
	{ "a number too small",
	  BASE "limits: { channels: 0 }\n",
	  FILE_NAME ":5: limits.channels: 0: must be 1-4000000\n" },
	{ "a negative number",
	  BASE "limits: { channels: -1 }\n",
	  FILE_NAME ":5: limits.channels: -1: must be a whole number, 1-4000000\n" },
	{ "octal",
	  BASE "control: { cpu: 010 }\n",
	  FILE_NAME ":5: control.cpu: 010: must be a whole number, 0-1023\n" },
	{ "no number",
	  BASE "control: { cpu: two }\n",
	  FILE_NAME ":5: control.cpu: two: must be a whole number, 0-1023\n" },
	{ "no word of the list",
	  BASE "dscp: keep\n",
	  FILE_NAME ":5: dscp: keep: must be copy or clear\n" },
	{ "lowest_ipv6_mtu below IPv6's minimum",
	  BASE "lowest_ipv6_mtu: 1279\n",
	  FILE_NAME ":5: lowest_ipv6_mtu: 1279: must be 1280-9000\n" },
	{ "lowest_ipv6_mtu above jumbo frames",
	  BASE "lowest_ipv6_mtu: 9001\n",
	  FILE_NAME ":5: lowest_ipv6_mtu: 9001: must be 1280-9000\n" },
	{ "an anycast listener with nowhere to send clients to",
	  REALM "listen: [ { address: 192.0.2.10, anycast: true }, { address: \"2001:db8::10\" } ]\n" RELAY AUTH,
	  FILE_NAME ":2: listen[0].anycast: true: there must be a listener of IPv4 that is not anycast, to send clients to\n" },
	{ "a listener's other name of the other family",
	  REALM "listen: [ { address: 192.0.2.10, external: \"2001:db8::10\" } ]\n" RELAY AUTH,
	  FILE_NAME ":2: listen[0].external: 2001:db8::10: must be of the same family as address, IPv4\n" },
	{ "discovery without the other address",
	  BASE "discovery: [ { address: 192.0.2.10 } ]\n",
	  FILE_NAME ":5: discovery[0].other_address: missing, and required\n" },
	{ "discovery with an address of the other family",
	  BASE "discovery: [ { address: 192.0.2.10, other_address: \"2001:db8::10\" } ]\n",
	  FILE_NAME ":5: discovery[0].other_address: 2001:db8::10: must be of the same family as address, IPv4\n" },
	{ "discovery with one address",
	  BASE "discovery: [ { address: 192.0.2.10, other_address: 192.0.2.10 } ]\n",
	  FILE_NAME ":5: discovery[0].other_address: 192.0.2.10: must not be the same as address\n" },
	{ "discovery with one port",
	  BASE "discovery: [ { address: 192.0.2.10, other_address: 192.0.2.11, other_port: 3478 } ]\n",
	  FILE_NAME ":5: discovery[0].other_port: 3478: must not be the same as port\n" },
	{ "discovery where nobody listens",
	  BASE "discovery: [ { address: 192.0.2.10, other_address: 192.0.2.11 } ]\n",
	  FILE_NAME ":5: discovery[0].address: 192.0.2.10: 192.0.2.10:3479 must be in listen, too\n" },
	{ "discovery by an anycast address",
	  REALM RELAY AUTH DISCOVERY
	  "listen: [ " GRID ", { address: 192.0.2.11, port: 3479, anycast: true } ]\n",
	  FILE_NAME ":4: discovery[0].address: 192.0.2.10: 192.0.2.11:3479 is anycast: another server may have the other\n" },
	{ "discovery by addresses that are one outside",
	  REALM RELAY AUTH DISCOVERY
	  "listen: [ " GRID ", { address: 192.0.2.11, port: 3479, external: 192.0.2.10 } ]\n",
	  FILE_NAME ":4: discovery[0].address: 192.0.2.10: listen[].external must be one for each of the two addresses, and two\n" },
	{ "one listener in two of discovery",
	  REALM RELAY AUTH
	  "discovery: [ { address: 192.0.2.10, other_address: 192.0.2.11 }, { address: 192.0.2.11, other_address: 192.0.2.10 } ]\n"
	  "listen: [ " GRID ", { address: 192.0.2.11, port: 3479 } ]\n",
	  FILE_NAME ":4: discovery[1].address: 192.0.2.11: has a listener of discovery[0]\n" },
	{ "a redirection without servers",
	  BASE "redirect: { when: always }\n",
	  FILE_NAME ":5: redirect.servers: missing, and required\n" },
	{ "a redirection to the other family only",
	  BASE "redirect: { servers: [ { address: \"2001:db8::20\" } ] }\n",
	  FILE_NAME ":5: redirect.servers: must have an IPv4 address, for the clients of listen[0]\n" },
	{ "a redirection to itself",
	  BASE "redirect: { servers: [ { address: 192.0.2.10 } ] }\n",
	  FILE_NAME ":5: redirect.servers[0].address: 192.0.2.10: is this server itself, listen[0]\n" },
	{ "a family that is none",
	  BASE "default_family: ipv6\n",
	  FILE_NAME ":5: default_family: ipv6: must be ipv4 or listener\n" },
	{ "no truth value",
	  BASE "legacy_channels: yes\n",
	  FILE_NAME ":5: legacy_channels: yes: must be true or false\n" },
	{ "a word that is not of the list",
	  BASE "interfaces: [ { name: eth0, mode: fast } ]\n",
	  FILE_NAME ":5: interfaces[0].mode: fast: must be auto, zerocopy, copy, skb or off\n" },
	{ "no driver of ours",
	  BASE "interfaces: [ { name: eth0, driver: netmap, mode: off } ]\n",
	  FILE_NAME ":5: interfaces[0].driver: netmap: must be afxdp or dpdk\n" },
	{ "DPDK without a device",
	  BASE "interfaces: [ { name: wan0, driver: dpdk } ]\n" "cores: [ { cpu: 1, queues: [ \"wan0:0\" ] } ]\n",
	  FILE_NAME ":5: interfaces[0].device: missing, and required for driver dpdk\n"
	  FILE_NAME ":5: interfaces[0].kernel: missing, and required for driver dpdk\n" },
	{ "a mode for DPDK",
	  BASE "interfaces: [ { name: wan0, driver: dpdk, device: net_null0, kernel: tp0, mode: copy } ]\n"
	  "cores: [ { cpu: 1, queues: [ \"wan0:0\" ] } ]\n",
	  FILE_NAME ":5: interfaces[0].mode: copy: is for driver afxdp alone\n" },
	{ "a device for AF_XDP",
	  BASE "interfaces: [ { name: eth0, mode: off, device: net_null0, kernel: tp0 } ]\n",
	  FILE_NAME ":5: interfaces[0].device: net_null0: is for driver dpdk alone\n"
	  FILE_NAME ":5: interfaces[0].kernel: tp0: is for driver dpdk alone\n" },
	{ "a device of two words",
	  BASE "interfaces: [ { name: wan0, driver: dpdk, device: \"net_null0 size=60\", kernel: tp0 } ]\n",
	  FILE_NAME ":5: interfaces[0].device: net_null0 size=60: must be one word: of an option and its value make two\n" },
	{ "one kernel interface, or one device, for two",
	  BASE "interfaces: [ { name: eth0, mode: off }, { name: a, driver: dpdk, device: net_null0, kernel: eth0 },\n"
	  " { name: b, driver: dpdk, device: net_null0, kernel: tp0 } ]\n"
	  "cores: [ { cpu: 1, queues: [ \"a:0\", \"b:0\" ] } ]\n",
	  FILE_NAME ":5: interfaces[1].kernel: eth0: the kernel interface of interfaces[0], too\n"
	  FILE_NAME ":6: interfaces[2].device: net_null0: the device of interfaces[1], too\n" },
	{ "a gap in the queues of a DPDK device",
	  BASE "interfaces: [ { name: a, driver: dpdk, device: net_null0, kernel: tp0 } ]\n"
	  "cores: [ { cpu: 1, queues: [ \"a:0\" ] }, { cpu: 2, queues: [ \"a:2\" ] } ]\n",
	  FILE_NAME ":6: cores[1].queues: queues of a DPDK device are numbered from 0 without a gap, and there is no \"a:1\"\n" },
	{ "two words for the EAL",
	  BASE "eal: [ \"-m 512\" ]\n",
	  FILE_NAME ":5: eal[0]: -m 512: must be one word: of an option and its value make two\n" },
	{ "several errors",
	  "realm: x\n" "listen:\n" "  - address: 192.0.2.10\n" "    port: 0\n" "  - port: 1\n" RELAY "auth: {}\n" "limts: {}\n",
	  FILE_NAME ":4: listen[0].port: 0: must be 1-65535\n"
	  FILE_NAME ":5: listen[1].address: missing, and required\n"
	  FILE_NAME ":8: limts: unknown option (did you mean limits?)\n" },
	{ "a wildcard",
	  REALM "listen: [ { address: 0.0.0.0 }, { address: \"::\" } ]\n" RELAY AUTH,
	  FILE_NAME ":2: listen[0].address: 0.0.0.0: a listener needs one concrete address\n"
	  FILE_NAME ":2: listen[1].address: ::: a listener needs one concrete address\n" },
	{ "multicast",
	  REALM "listen: [ { address: 224.0.0.1 }, { address: \"ff02::1\" }, { address: 255.255.255.255 } ]\n" RELAY AUTH,
	  FILE_NAME ":2: listen[0].address: 224.0.0.1: a listener needs a unicast address\n"
	  FILE_NAME ":2: listen[1].address: ff02::1: a listener needs a unicast address\n"
	  FILE_NAME ":2: listen[2].address: 255.255.255.255: a listener needs a unicast address\n" },
	{ "no address",
	  REALM "listen: [ { address: localhost } ]\n" RELAY AUTH,
	  FILE_NAME ":2: listen[0].address: localhost: must be an IPv4 or IPv6 address, such as 192.0.2.1 or 2001:db8::1\n" },
	{ "an address that can not be bound",
	  REALM "listen: [ { address: \"fe80::1\" }, { address: \"::ffff:192.0.2.1\" } ]\n" RELAY AUTH,
	  FILE_NAME ":2: listen[0].address: fe80::1: must be neither an IPv6 link-local (fe80::/10) nor a v4-mapped address\n"
	  FILE_NAME ":2: listen[1].address: ::ffff:192.0.2.1: must be neither an IPv6 link-local (fe80::/10) nor a v4-mapped address\n" },
	{ "one listener twice",
	  REALM "listen: [ { address: 192.0.2.10 }, { address: 192.0.2.10, port: 3478 } ]\n" RELAY AUTH,
	  FILE_NAME ":2: listen[1].address: 192.0.2.10: port 3478: the same as listen[0]\n" },
	{ "no listener",
	  REALM "listen: []\n" RELAY AUTH,
	  FILE_NAME ":2: listen: 0 entries: must be 1-32\n" },
	{ "no relay address",
	  REALM LISTEN "relay: { addresses: [] }\n" AUTH,
	  FILE_NAME ":3: relay.addresses: 0 entries: must be 1-128\n" },
	{ "a relay wildcard",
	  REALM LISTEN "relay: { addresses: [ { address: 0.0.0.0 } ] }\n" AUTH,
	  FILE_NAME ":3: relay.addresses[0].address: 0.0.0.0: must be one concrete unicast address\n" },
	{ "one relay address twice",
	  REALM LISTEN "relay: { addresses: [ { address: 192.0.2.10 }, { address: 192.0.2.10 } ] }\n" AUTH,
	  FILE_NAME ":3: relay.addresses[1].address: 192.0.2.10: the same as relay.addresses[0]\n" },
	{ "two relay addresses that look alike",
	  REALM LISTEN "relay: { addresses: [ { address: 10.0.0.5, external: 192.0.2.10 }, { address: 10.0.0.6, external: 192.0.2.10 } ] }\n" AUTH,
	  FILE_NAME ":3: relay.addresses[1].external: 192.0.2.10: what clients are told is the same as for relay.addresses[0]\n" },
	{ "families mixed",
	  REALM LISTEN "relay: { addresses: [ { address: 10.0.0.5, external: \"2001:db8::10\" } ] }\n" AUTH,
	  FILE_NAME ":3: relay.addresses[0].external: 2001:db8::10: must be of the same family as address, IPv4\n" },
	{ "ports upside down",
	  REALM LISTEN "relay: { addresses: [ { address: 10.0.0.5 } ], ports: { max: 40000 } }\n" AUTH,
	  FILE_NAME ":3: relay.ports.max: 40000: must not be below relay.ports.min, 49152\n" },
	{ "a listener among the relayed ports",
	  REALM "listen: [ { address: 192.0.2.10 }, { address: 192.0.2.10, port: 65535 } ]\n" "relay: { addresses: [ { address: 10.0.0.5 } ], ports: { min: 3478 } }\n" AUTH,
	  FILE_NAME ":2: listen[0].port: 3478 (default): must be outside relay.ports, 3478-65535\n"
	  FILE_NAME ":2: listen[1].port: 65535: must be outside relay.ports, 3478-65535\n" },
	{ "nobody",
	  REALM LISTEN RELAY "auth: {}\n",
	  FILE_NAME ":4: auth: must have at least one user or one secret\n" },
	{ "a user without anything",
	  REALM LISTEN RELAY "auth: { users: [ { name: alice } ] }\n",
	  FILE_NAME ":4: auth.users[0]: must have a password or a key, and has neither\n" },
	{ "a user with both",
	  REALM LISTEN RELAY "auth: { users: [ { name: alice, password: wonder, key: 00112233445566778899aabbccddeeff } ] }\n",
	  FILE_NAME ":4: auth.users[0]: must have a password or a key, not both\n" },
	{ "one user twice",
	  REALM LISTEN RELAY "auth:\n" "  users:\n" "    - { name: bob, password: a }\n" "    - { name: alice, password: a }\n" "    - { name: bob, password: b }\n" "    - { name: bob, password: c }\n",
	  FILE_NAME ":8: auth.users[2].name: bob: the same as auth.users[0]\n"
	  FILE_NAME ":9: auth.users[3].name: bob: the same as auth.users[2]\n" },
	{ "a control character in a name",
	  REALM LISTEN RELAY "auth: { users: [ { name: \"a\\x1b[2J\", password: a } ] }\n",
	  FILE_NAME ":4: auth.users[0].name: a\\x1b[2J: must not contain control characters\n" },
	{ "secrets are not shown",
	  REALM LISTEN RELAY "auth: { users: [ hush, { name: a, key: hush }, { name: b, password: [ hush ] } ], secrets: hush }\n",
	  FILE_NAME ":4: auth.users[0]: (hidden): must be a mapping of options\n"
	  FILE_NAME ":4: auth.users[1].key: (hidden): must be 32 hexadecimal digits\n"
	  FILE_NAME ":4: auth.users[2].password: must be text\n"
	  FILE_NAME ":4: auth.secrets: (hidden): must be a list\n" },
	{ "an empty secret",
	  REALM LISTEN RELAY "auth: { secrets: [ \"\" ] }\n",
	  FILE_NAME ":4: auth.secrets[0]: (hidden): must be 1-1024 bytes\n" },
	{ "auth itself is not shown",
	  REALM LISTEN RELAY "auth: hush\n",
	  FILE_NAME ":4: auth: (hidden): must be a mapping of options\n" },
	{ "host bits",
	  BASE "peers: { deny: [ recommended, 10.0.0.1/8 ], allow: [ recommended ] }\n",
	  FILE_NAME ":5: peers.deny[1]: 10.0.0.1/8: must be `recommended` or a prefix without host bits, such as 10.0.0.0/8 or 2001:db8::/32\n"
	  FILE_NAME ":5: peers.allow[0]: recommended: must be a prefix without host bits, such as 10.0.0.0/8 or 2001:db8::/32\n" },
	{ "a name no interface has",
	  BASE "interfaces: [ { name: abcdefghijklmnop }, { name: \"a b\" }, { name: .. } ]\n",
	  FILE_NAME ":5: interfaces[0].name: abcdefghijklmnop: must be 1-15 bytes\n"
	  FILE_NAME ":5: interfaces[1].name: a b: must be an interface's name, without spaces, slashes and colons\n"
	  FILE_NAME ":5: interfaces[2].name: ..: must be an interface's name, without spaces, slashes and colons\n" },
	{ "one interface twice",
	  BASE "interfaces: [ { name: eth0, mode: off }, { name: eth0, mode: off } ]\n",
	  FILE_NAME ":5: interfaces[1].name: eth0: the same as interfaces[0]\n" },
	{ "an interface without a core",
	  BASE "interfaces: [ { name: eth0 } ]\n",
	  FILE_NAME ":5: interfaces[0].name: eth0: no queue of it in cores: must have at least one there, or mode off\n" },
	{ "an interface that is off, with a core",
	  BASE "interfaces: [ { name: eth0, mode: off } ]\n" "cores: [ { cpu: 1, queues: [ \"eth0:0\" ] } ]\n",
	  FILE_NAME ":6: cores[0].queues[0]: eth0:0: the interface has mode off, and takes no core\n" },
	{ "a core without a queue",
	  BASE "cores: [ { cpu: 1, queues: [] }, { cpu: 1 } ]\n",
	  FILE_NAME ":5: cores[0].queues: 0 entries: must be 1-16\n"
	  FILE_NAME ":5: cores[1].queues: missing, and required\n" },
	{ "no queue",
	  BASE "cores: [ { cpu: 1, queues: [ eth0, \"eth0:\", \":0\", \"eth0:x\", \"eth0:256\", \"eth0:00\" ] } ]\n",
	  FILE_NAME ":5: cores[0].queues[0]: eth0: must be INTERFACE:QUEUE with a queue of 0-255, such as eth0:0\n"
	  FILE_NAME ":5: cores[0].queues[1]: eth0:: must be INTERFACE:QUEUE with a queue of 0-255, such as eth0:0\n"
	  FILE_NAME ":5: cores[0].queues[2]: :0: must be INTERFACE:QUEUE with a queue of 0-255, such as eth0:0\n"
	  FILE_NAME ":5: cores[0].queues[3]: eth0:x: must be INTERFACE:QUEUE with a queue of 0-255, such as eth0:0\n"
	  FILE_NAME ":5: cores[0].queues[4]: eth0:256: must be INTERFACE:QUEUE with a queue of 0-255, such as eth0:0\n"
	  FILE_NAME ":5: cores[0].queues[5]: eth0:00: must be INTERFACE:QUEUE with a queue of 0-255, such as eth0:0\n" },
	{ "a queue of no interface",
	  BASE "cores: [ { cpu: 1, queues: [ \"eth0:0\" ] } ]\n",
	  FILE_NAME ":5: cores[0].queues[0]: eth0:0: no such interface in interfaces\n" },
	{ "one queue twice",
	  BASE "interfaces: [ { name: eth0 } ]\n" "cores:\n" "  - { cpu: 1, queues: [ \"eth0:0\" ] }\n" "  - { cpu: 2, queues: [ \"eth0:0\" ] }\n",
	  FILE_NAME ":8: cores[1].queues[0]: eth0:0: cores[0] already has this queue\n" },
	{ "two queues of one interface on a core",
	  BASE "interfaces: [ { name: eth0 } ]\n" "cores: [ { cpu: 1, queues: [ \"eth0:0\", \"eth0:1\" ] } ]\n",
	  FILE_NAME ":6: cores[0].queues[1]: eth0:1: the core already has a queue of this interface: must be one of each\n" },
	{ "a relative path",
	  BASE "control: { socket: run/sock }\n",
	  FILE_NAME ":5: control.socket: run/sock: must be an absolute path\n" },
	{ "metrics without an address",
	  BASE "metrics: { port: 9641 }\n",
	  FILE_NAME ":5: metrics.listen: missing, and required\n" },
	{ "metrics to everybody",
	  BASE "metrics: { listen: 224.0.0.1 }\n",
	  FILE_NAME ":5: metrics.listen: 224.0.0.1: must not be a multicast or broadcast address\n" },
	{ "a list left open",
	  "realm: x\n" "listen: [ a, b\n" "relay: c\n",
	  FILE_NAME ":3: not YAML: column 6: did not find expected ',' or ']' while parsing a flow sequence that began in line 2\n" },
	{ "a tab",
	  "realm: x\n" "listen:\n" "	- a\n",
	  FILE_NAME ":3: not YAML: column 1: found character that cannot start any token while scanning for the next token that began in line 3\n" },
	{ "an alias",
	  "a: &a [ x ]\n" "b: *a\n",
	  FILE_NAME ":2: aliases (*name) are not allowed\n" },
	{ "two documents",
	  BASE "---\n" BASE,
	  FILE_NAME ":5: a second document: there must be only one\n" },
	{ "a NUL in a text",
	  "realm: \"a\\0b\"\n",
	  FILE_NAME ":1: a text with a NUL byte\n" },
	{ "a mapping as a key",
	  "? { a: b }\n" ": c\n" BASE,
	  FILE_NAME ":1: an option's name must be text\n" },
	{ "nested too deeply",
	  "a: [[[[[[[[[[[[[[[[\n",
	  FILE_NAME ":1: nested too deeply\n" },
	{ "not UTF-8",
	  "realm: x\nlisten: \377\376\n",
	  FILE_NAME ":2: not YAML: invalid leading UTF-8 octet (byte 17 of the file)\n" },
};
/* clang-format on */

static void errors_name_line_option_value_and_what_is_allowed(void **state)
{
	struct tp_conf *conf;
	char *messages;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH(refused); i++) {
		int ret = load(refused[i].yaml, &messages, &conf);

		if (ret != -EINVAL || strcmp(messages, refused[i].want) != 0)
			fail_msg("%s: %d\n%s", refused[i].what, ret, messages);
		free(messages);
	}
}

static void files_that_can_not_be_read_are_errors(void **state)
{
	static const struct {
		const char *path;
		int want;
		const char *message;
	} cases[] = {
		{ "absent.yaml", -ENOENT, "absent.yaml: No such file or directory\n" },
		{ ".", -EISDIR, ".: Is a directory\n" },
		{ "/dev/zero", -EFBIG, "/dev/zero: File too large\n" },
	};
	struct tp_conf *conf;
	char *messages;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(load_path(cases[i].path, &messages, &conf), cases[i].want);
		assert_string_equal(messages, cases[i].message);
		free(messages);
	}
}

static void a_flood_of_errors_is_counted(void **state)
{
	FILE *f = fopen(FILE_NAME, "w");
	struct tp_conf *conf;
	char *messages;
	uint32_t i;

	(void)state;
	assert_non_null(f);
	for (i = 0; i < 150; i++)
		fprintf(f, "zz%u: 1\n", i);
	fclose(f);
	/* 150 unknown, 4 missing, 100 shown */
	assert_int_equal(load_path(FILE_NAME, &messages, &conf), -EINVAL);
	assert_non_null(strstr(messages, "zz99: "));
	assert_null(strstr(messages, "zz100: "));
	assert_non_null(strstr(messages, "\n" FILE_NAME ": 54 more errors\n"));
	free(messages);
}

/* A million brackets; libyaml alone takes minutes for them. */
static void deep_nesting_ends_early(void **state)
{
	size_t i, len = 1 << 20;
	char *text = malloc(len), *messages;
	struct tp_conf *conf;

	(void)state;
	for (i = 0; i < len; i++)
		text[i] = i % 2 == 0 ? '[' : '{';
	write_file(text, len);
	assert_int_equal(load_path(FILE_NAME, &messages, &conf), -EINVAL);
	assert_string_equal(messages, FILE_NAME ":1: nested too deeply\n");
	free(messages);
	free(text);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void garbage_is_refused_without_harm(void **state)
{
	uint32_t seed = 1, i, j;
	struct tp_conf *conf;
	uint8_t data[256];
	char *messages;

	(void)state;
	for (i = 0; i < 500; i++) {
		for (j = 0; j < sizeof(data); j++)
			data[j] = (uint8_t)next_random(&seed);
		write_file(data, sizeof(data));
		assert_int_equal(load_path(FILE_NAME, &messages, &conf), -EINVAL);
		assert_true(strlen(messages) > 0);
		free(messages);
	}
}

/* Whatever a good file becomes, it loads or is refused with a reason. */
static void damage_to_a_good_file_does_no_harm(void **state)
{
	static const char special[] = "[]{}:,-#&*!|>'\"%@`\n\t \\0~";
	char text[sizeof(every_option)], *messages;
	uint32_t seed = 2, i, n;
	struct tp_conf *conf;

	(void)state;
	for (i = 0; i < 3000; i++) {
		memcpy(text, every_option, sizeof(text));
		for (n = 1 + next_random(&seed) % 3; n > 0; n--)
			text[next_random(&seed) % (sizeof(text) - 1)] =
					special[next_random(&seed) % (sizeof(special) - 1)];
		if (load(text, &messages, &conf) < 0)
			assert_true(strlen(messages) > 0);
		else
			assert_string_equal(messages, "");
		free(messages);
		tp_conf_free(conf);
	}
}

/* A file cut anywhere. */
static void halves_of_a_good_file_do_no_harm(void **state)
{
	struct tp_conf *conf;
	char *messages;
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(every_option); len++) {
		write_file(every_option, len);
		load_path(FILE_NAME, &messages, &conf);
		free(messages);
		tp_conf_free(conf);
	}
}

static void what_is_printed_loads_and_prints_the_same(void **state)
{
	static const char *const files[] = { BASE, every_option,
		REALM LISTEN RELAY "auth: { secrets: [ a ] }\npeers: { deny: [] }\n",
		BASE "control: { socket: \"/\\u2028\\uFEFF\\U0001F600\\xa0 \\\"'\" }\n" };
	struct tp_conf *conf, *again;
	char *first, *second;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH(files); i++) {
		conf = load_good(files[i]);
		first = print(conf);
		again = load_good(first);
		second = print(again);
		assert_string_equal(first, second);
		assert_string_equal(conf->realm, again->realm);
		assert_string_equal(conf->control_socket, again->control_socket);
		assert_int_equal(conf->n_deny, again->n_deny);
		assert_int_equal(conf->n_secrets, again->n_secrets);
		free(first);
		free(second);
		tp_conf_free(conf);
		tp_conf_free(again);
	}
}

static void nothing_secret_is_printed(void **state)
{
	struct tp_conf *conf = load_good(every_option);
	char *text = print(conf);

	(void)state;
	assert_null(strstr(text, "wonder"));
	assert_null(strstr(text, "newest"));
	assert_null(strstr(text, "vious"));
	assert_null(strcasestr(text, "aabbccddeeff"));
	assert_non_null(strstr(text, "\"(hidden)\""));
	free(text);
	tp_conf_free(conf);
}

static void the_sample_loads(void **state)
{
	char *text = print_sample();

	(void)state;
	tp_conf_free(load_good(text));
	free(text);
}

/* What stands commented out is right as well: take the marks away. */
static void the_samples_examples_load(void **state)
{
	char *text = print_sample(), *in, *out;
	bool is_start = true;
	struct tp_conf *conf;

	(void)state;
	for (in = out = text; *in != '\0'; in++) {
		bool is_mark = is_start && *in == '#' && in[1] != ' ' && in[1] != '\n';
		bool is_more = is_start && strncmp(in, "#  ", 3) == 0 && in > text + 1 &&
				in[3] != ' ';

		is_start = *in == '\n' || (is_start && *in == ' ');
		if (!is_mark && !is_more)
			*out++ = *in;
	}
	*out = '\0';
	conf = load_good(text);
	assert_int_equal(conf->n_relays, 3);
	assert_int_equal(conf->n_users, 2);
	assert_int_equal(conf->n_secrets, 2);
	assert_int_equal(conf->n_allow, 2);
	assert_true(conf->has_metrics);
	tp_conf_free(conf);
	free(text);
}

static void the_shipped_file_is_the_sample(void **state)
{
	const char *root = getenv("TP_SOURCE_ROOT");
	char path[4096], *text, *want;
	FILE *f;
	size_t n;

	(void)state;
	if (root == NULL)
		skip();
	want = print_sample();
	snprintf(path, sizeof(path), "%s/config/turnpike.yaml", root);
	f = fopen(path, "r");
	assert_non_null(f);
	text = calloc(1, strlen(want) + 2);
	n = fread(text, 1, strlen(want) + 1, f);
	fclose(f);
	assert_int_equal(n, strlen(want));
	assert_string_equal(text, want);
	free(text);
	free(want);
}

/* ---- reload ---- */

/* What tp_conf_diff() said, a line each. */
static void note(void *ctx, const char *path, const char *running, const char *file)
{
	char *text = ctx;
	size_t len = strlen(text);

	snprintf(text + len, 4096 - len, "%s: %s -> %s\n", path, running, file);
}

static const struct {
	const char *what, *running, *file, *want;
} diffs[] = {
	{ "the same", BASE, BASE, "" },
	{ "a default that is written out", BASE, BASE "dscp: copy\n", "" },
	{ "what is live", BASE "peers: { deny: [ 10.0.0.0/8 ] }\n",
			REALM LISTEN RELAY "auth: { secrets: [ sesame ] }\n"
					   "peers: { allow: [ 10.0.0.0/8 ] }\n"
					   "limits: { allocations: 5 }\n",
			"" },
	{ "numbers, names, booleans", BASE,
			BASE "dscp: clear\nlegacy_channels: true\nlimits: { channels: 7 }\n",
			"limits.channels: 65536 -> 7\n"
			"legacy_channels: false -> true\n"
			"dscp: copy -> clear\n" },
	{ "entries of lists", BASE,
			REALM
			"listen: [ { address: 192.0.2.11 }, { address: 192.0.2.12, port: 9 } ]\n"
			"relay: { addresses: [ { address: 192.0.2.10, external: 192.0.2.99 } ] }\n" AUTH,
			"listen[0].address: 192.0.2.10 -> 192.0.2.11\n"
			"listen[1].address: (absent) -> 192.0.2.12\n"
			"listen[1].port: (absent) -> 9\n"
			"listen[1].anycast: (absent) -> false\n"
			"relay.addresses[0].external: (absent) -> 192.0.2.99\n" },
	{ "what is gone", BASE "metrics: { listen: 127.0.0.1 }\n", BASE,
			"metrics.listen: 127.0.0.1 -> (absent)\n"
			"metrics.port: 9641 -> (absent)\n" },
	{ "queues",
			BASE
			"interfaces: [ { name: a } ]\ncores: [ { cpu: 1, queues: [ \"a:0\" ] } ]\n",
			BASE "interfaces: [ { name: a, mode: skb } ]\n"
			     "cores: [ { cpu: 1, queues: [ \"a:1\" ] } ]\n",
			"interfaces[0].mode: auto -> skb\n"
			"cores[0].queues[0]: a:0 -> a:1\n" },
};

static void what_a_reload_can_not_change_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(diffs); i++) {
		struct tp_conf *running = load_good(diffs[i].running);
		struct tp_conf *file = load_good(diffs[i].file);
		char text[4096] = "", back[4096] = "";

		tp_conf_diff(running, file, note, text);
		if (strcmp(text, diffs[i].want) != 0)
			fail_msg("%s: %s", diffs[i].what, text);
		tp_conf_diff(running, running, note, back);
		assert_string_equal(back, "");
		tp_conf_free(running);
		tp_conf_free(file);
	}
}

static void what_is_live_is_adopted_and_nothing_else(void **state)
{
	struct tp_conf *running = load_good(BASE), *file;
	char *text;

	(void)state;
	file = load_good("realm: example.net\n"
			 "listen: [ { address: 192.0.2.77 } ]\n"
			 "relay: { addresses: [ { address: 192.0.2.78 } ] }\n"
			 "auth: { users: [ { name: carol, password: x } ], secrets: [ a, b ] }\n"
			 "peers: { deny: [ 10.0.0.0/8, 11.0.0.0/8 ], allow: [ 10.1.0.0/16 ] }\n"
			 "limits: { allocations: 5, channels: 6 }\n"
			 "redirect: { servers: [ { address: 192.0.2.20 } ], when: full }\n"
			 "default_family: listener\n"
			 "mobility: true\n"
			 "dscp: clear\n");
	tp_conf_adopt(running, file);
	text = print(running);
	assert_non_null(strstr(text, "realm: \"example.net\""));
	assert_non_null(strstr(text, "carol"));
	assert_null(strstr(text, "alice"));
	assert_int_equal(running->n_secrets, 2);
	assert_int_equal(running->n_deny, 2);
	assert_int_equal(running->n_allow, 1);
	assert_int_equal(running->max_allocations, 5);
	assert_int_equal(running->max_channels, 65536);
	assert_true(running->has_redirect);
	assert_int_equal(running->n_alternates, 1);
	assert_int_equal(running->redirect, TP_TURN_REDIRECT_FULL);
	assert_int_equal(running->default_family, TP_CONF_FAMILY_LISTENER);
	assert_true(running->mobility);
	assert_int_equal(running->dscp, TP_DSCP_COPY);
	assert_non_null(strstr(text, "192.0.2.10"));
	assert_null(strstr(text, "192.0.2.7"));
	free(text);
	tp_conf_free(running);
	tp_conf_free(file);
}

/* Their values are never kept as text, where tp_conf_diff() would show them. */
static void check_live(const struct tp_conf_option *rows, bool is_live)
{
	for (; rows != NULL && rows->key != NULL; rows++) {
		if (rows->is_secret && rows->type != TP_CONF_MAPPING && !is_live && !rows->is_live)
			fail_msg("%s is secret and not live", rows->key);
		if (rows->type == TP_CONF_MAPPING)
			check_live(rows->rows, is_live || rows->is_live);
		else if (rows->type == TP_CONF_LIST)
			check_live(rows->rows->rows, is_live || rows->is_live);
	}
}

static void what_is_secret_is_live(void **state)
{
	(void)state;
	check_live(tp_conf_root.rows, false);
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
		cmocka_unit_test(errors_name_line_option_value_and_what_is_allowed),
		cmocka_unit_test(files_that_can_not_be_read_are_errors),
		cmocka_unit_test(a_flood_of_errors_is_counted),
		cmocka_unit_test(deep_nesting_ends_early),
		cmocka_unit_test(garbage_is_refused_without_harm),
		cmocka_unit_test(damage_to_a_good_file_does_no_harm),
		cmocka_unit_test(halves_of_a_good_file_do_no_harm),
		cmocka_unit_test(what_is_printed_loads_and_prints_the_same),
		cmocka_unit_test(nothing_secret_is_printed),
		cmocka_unit_test(the_sample_loads),
		cmocka_unit_test(the_samples_examples_load),
		cmocka_unit_test(the_shipped_file_is_the_sample),
		cmocka_unit_test(what_a_reload_can_not_change_is_named),
		cmocka_unit_test(what_is_live_is_adopted_and_nothing_else),
		cmocka_unit_test(what_is_secret_is_live),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
