/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused, and in which words: the line, the option, its value and what is allowed. */
#include "conf_rig.h"

#include <errno.h>

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
	for (i = 0; i < N(refused); i++) {
		int ret = conf_load(refused[i].yaml, &messages, &conf);

		if (ret != -EINVAL || strcmp(messages, refused[i].want) != 0)
			fail_msg("%s: %d\n%s", refused[i].what, ret, messages);
		free(messages);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_name_line_option_value_and_what_is_allowed),
	};

	return cmocka_run_group_tests_name(
			"conf_errors", tests, conf_enter_directory, conf_leave_directory);
}
