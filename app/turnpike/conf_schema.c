/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_schema.h"
#include "conf.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include "flow/meter.h"
#include "wire/stun.h"

#define MEMBER(type, member) (((type *)NULL)->member)

/* Where a value lies. */
#define AT(type, member) .offset = offsetof(type, member), .size = sizeof(MEMBER(type, member))
#define AT_POINTER(type, member) \
	.is_pointer = true, .offset = offsetof(type, member), .size = sizeof(*MEMBER(type, member))
#define AT_LIST(type, member)                                                         \
	.offset = offsetof(type, member), .count_offset = offsetof(type, n_##member), \
	.size = sizeof(*MEMBER(type, member))

/* clang-format off */
const cyaml_strval_t tp_conf_mode_names[] = {
	{ "auto", TP_XDP_AUTO },
	{ "zerocopy", TP_XDP_ZEROCOPY },
	{ "copy", TP_XDP_COPY },
	{ "skb", TP_XDP_SKB },
	{ "off", TP_XDP_OFF },
	{ NULL, 0 },
};

const cyaml_strval_t tp_conf_idle_names[] = {
	{ "spin", TP_IDLE_SPIN },
	{ "adaptive", TP_IDLE_ADAPTIVE },
	{ NULL, 0 },
};

const cyaml_strval_t tp_conf_dscp_names[] = {
	{ "copy", TP_DSCP_COPY },
	{ "clear", TP_DSCP_CLEAR },
	{ NULL, 0 },
};

const cyaml_strval_t tp_conf_hmac_names[] = {
	{ "sha1", TP_CREDENTIAL_SHA1 },
	{ "sha256", TP_CREDENTIAL_SHA256 },
	{ NULL, 0 },
};

const cyaml_strval_t tp_conf_algorithm_names[] = {
	{ "sha256", TP_ALGORITHM_SHA256 },
	{ "md5", TP_ALGORITHM_MD5 },
	{ NULL, 0 },
};

const cyaml_strval_t tp_conf_redirect_names[] = {
	{ "draining", TP_TURN_REDIRECT_DRAINING },
	{ "full", TP_TURN_REDIRECT_FULL },
	{ "always", TP_TURN_REDIRECT_ALWAYS },
	{ NULL, 0 },
};

const cyaml_strval_t tp_conf_family_names[] = {
	{ "ipv4", TP_CONF_FAMILY_IPV4 },
	{ "listener", TP_CONF_FAMILY_LISTENER },
	{ NULL, 0 },
};

const cyaml_strval_t tp_conf_driver_names[] = {
	{ "afxdp", TP_DRIVER_AFXDP },
	{ "dpdk", TP_DRIVER_DPDK },
	{ NULL, 0 },
};

static const struct tp_conf_option listener_rows[] = {
	{
		.key = "address", .type = TP_CONF_TEXT, .is_required = true,
		AT(struct tp_conf_raw_listener, address),
		.min = 1, .max = INET6_ADDRSTRLEN - 1, .check = tp_conf_text_listener,
		.unit = "IPv4 or IPv6 address",
		.help = "One address of this host.  Not a wildcard such as 0.0.0.0: a reply must leave from the "
			"address that the request came to.",
	},
	{
		.key = "port", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw_listener, port),
		.min = 1, .max = 65535, .def = "3478",
		.unit = "UDP port",
		.help = "Must lie outside relay.ports.",
	},
	{
		.key = "external", .type = TP_CONF_TEXT,
		AT(struct tp_conf_raw_listener, external),
		.min = 1, .max = INET6_ADDRSTRLEN - 1, .check = tp_conf_text_concrete,
		.unit = "address of the same family",
		.help = "What clients call it, where a 1:1 NAT stands before this host.  Only told to clients that "
			"came by an anycast address.  Absent: the address itself.",
	},
	{
		.key = "anycast", .type = TP_CONF_BOOL,
		AT(struct tp_conf_raw_listener, anycast), .def = "false",
		.help = "The address is an anycast one, which other servers have too.  An Allocate there, once it is "
			"authenticated and found good, is answered 300 (Try Alternate) and the address of a listener "
			"that is not anycast (RFC 8155).",
	},
	{ .key = NULL },
};

static const struct tp_conf_option listener_item = {
	.key = "", .type = TP_CONF_MAPPING, .rows = listener_rows,
};

static const struct tp_conf_option address_rows[] = {
	{
		.key = "address", .type = TP_CONF_TEXT, .is_required = true,
		AT(struct tp_conf_raw_address, address),
		.min = 1, .max = INET6_ADDRSTRLEN - 1, .check = tp_conf_text_concrete,
		.unit = "IPv4 or IPv6 address",
		.help = "One address of this host; it may be a listener's.",
	},
	{
		.key = "external", .type = TP_CONF_TEXT,
		AT(struct tp_conf_raw_address, external),
		.min = 1, .max = INET6_ADDRSTRLEN - 1, .check = tp_conf_text_concrete,
		.unit = "address of the same family",
		.help = "What clients are told instead, where a 1:1 NAT stands before this host (clouds).  The NAT "
			"must keep port numbers.  Absent: the address itself.",
	},
	{ .key = NULL },
};

static const struct tp_conf_option address_item = {
	.key = "", .type = TP_CONF_MAPPING, .rows = address_rows,
};

static const struct tp_conf_option ports_rows[] = {
	{
		.key = "min", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw_ports, min),
		.min = 1024, .max = 65535, .def = "49152",
		.unit = "UDP port",
		.help = "Lowest relayed port.",
	},
	{
		.key = "max", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw_ports, max),
		.min = 1024, .max = 65535, .def = "65535",
		.unit = "UDP port",
		.help = "Highest relayed port, itself included.",
	},
	{ .key = NULL },
};

static const struct tp_conf_option relay_rows[] = {
	{
		.key = "addresses", .type = TP_CONF_LIST, .is_required = true,
		AT_LIST(struct tp_conf_raw_relay, addresses),
		.min = 1, .max = TP_STEER_MAX_RELAYS, .rows = &address_item,
		.unit = "entries",
		.help = "Addresses from which peers are reached.  An allocation gets a port on one of them; clients "
			"can ask for IPv6 when there is an IPv6 address here.  Which one is "
			"left to chance, so that all are used alike.",
		.example =
			"- address: 192.0.2.10\n"
			"- address: \"2001:db8::10\"\n"
			"#- address: 10.0.0.5        # behind a 1:1 NAT: this host's own address ...\n"
			"#  external: 192.0.2.20     # ... and what the world calls it\n",
	},
	{
		.key = "ports", .type = TP_CONF_MAPPING,
		AT(struct tp_conf_raw_relay, ports), .rows = ports_rows,
		.help = "Ports that allocations get, the same range on every relay address.  Keep them out of the "
			"ephemeral ports of this host (sysctl net.ipv4.ip_local_port_range or "
			"net.ipv4.ip_local_reserved_ports) and open them in its firewall.",
	},
	{ .key = NULL },
};

static const struct tp_conf_option user_rows[] = {
	{
		.key = "name", .type = TP_CONF_TEXT, .is_required = true,
		AT(struct tp_conf_raw_user, name),
		.min = 1, .max = 508, .check = tp_conf_text_opaque,
		.help = "Unique.  No control characters.",
	},
	{
		.key = "password", .type = TP_CONF_TEXT, .is_secret = true,
		AT(struct tp_conf_raw_user, password),
		.min = 1, .max = 1024, .check = tp_conf_text_opaque,
		.help = "Turned into both keys when read, then forgotten.",
	},
	{
		.key = "key", .type = TP_CONF_TEXT, .is_secret = true,
		AT(struct tp_conf_raw_user, key),
		.min = 32, .max = 32, .check = tp_conf_text_key,
		.unit = "32 hexadecimal digits",
		.help = "Instead of the password: MD5 of name:realm:password, so that the password need not stand "
			"in this file.  `turnpikectl user-key` computes it.  It opens this realm as well as the "
			"password does: guard it alike.",
	},
	{
		.key = "key_sha256", .type = TP_CONF_TEXT, .is_secret = true,
		AT(struct tp_conf_raw_user, key_sha256),
		.min = 64, .max = 64, .check = tp_conf_text_key_sha256,
		.unit = "64 hexadecimal digits",
		.help = "The same by SHA-256, beside or instead of key.  A user without one of the two can not "
			"use clients that need it: those of RFC 5389 (all browsers) need key.",
	},
	{ .key = NULL },
};

static const struct tp_conf_option user_item = {
	.key = "", .type = TP_CONF_MAPPING, .is_secret = true, .rows = user_rows,
};

static const struct tp_conf_option secret_item = {
	.key = "", .type = TP_CONF_TEXT, .is_secret = true, .size = sizeof(char *),
	.min = 1, .max = 1024,
};

static const struct tp_conf_option algorithm_item = {
	.key = "", .type = TP_CONF_TEXT, .size = sizeof(char *),
	.min = 1, .max = 16, .check = tp_conf_text_algorithm,
};

static const struct tp_conf_option auth_rows[] = {
	{
		.key = "users", .type = TP_CONF_LIST, .is_secret = true, .is_live = true,
		AT_LIST(struct tp_conf_raw_auth, users),
		.min = 0, .max = 65536, .rows = &user_item,
		.unit = "entries",
		.help = "Fixed users.  Each has a password, or one or both keys.  Names and passwords are taken as "
			"clients do (RFC 8265, OpaqueString): other spaces count as spaces, and accents are the "
			"same however they were typed.",
		.example =
			"- name: alice\n"
			"  password: change-me\n"
			"#- name: bob\n"
			"#  key: 0123456789abcdef0123456789abcdef\n"
			"#  key_sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
	},
	{
		.key = "secrets", .type = TP_CONF_LIST, .is_secret = true, .is_off = true, .is_live = true,
		AT_LIST(struct tp_conf_raw_auth, secrets),
		.min = 0, .max = 16, .rows = &secret_item,
		.unit = "texts of 1-1024 bytes",
		.help = "Secrets shared with the service that hands out time-limited credentials: the user name "
			"is EXPIRY or EXPIRY:ID (EXPIRY in Unix seconds), the password is the base64 text of "
			"HMAC(secret, user name).  `turnpikectl credentials` makes some.  Newest first: to change a "
			"secret, put the new one before the old one, and drop the old one when its credentials have "
			"expired.",
		.example =
			"- change-me-newest\n"
			"- change-me-previous\n",
	},
	{
		.key = "secret_hmac", .type = TP_CONF_ENUM, .is_live = true,
		AT(struct tp_conf_raw_auth, secret_hmac),
		.names = tp_conf_hmac_names, .def = "sha1",
		.help = "Hash of that HMAC.  sha1 is what services know; sha256 only if yours does.",
	},
	{
		.key = "strict_expiry", .type = TP_CONF_BOOL, .is_live = true,
		AT(struct tp_conf_raw_auth, strict_expiry), .def = "false",
		.help = "false: an expired user name gets no new allocation, and keeps the one that it has.  true: "
			"every request of it is refused, so its allocation ends with the lifetime it was last "
			"granted (an hour at most).",
	},
	{
		.key = "algorithms", .type = TP_CONF_LIST, .is_off = true, .is_live = true,
		AT_LIST(struct tp_conf_raw_auth, algorithms),
		.min = 1, .max = TP_TURN_ALGORITHMS, .rows = &algorithm_item,
		.unit = "of sha256 and md5",
		.help = "Password algorithms offered, the preferred one first (RFC 8489).  Without md5 clients of "
			"RFC 5389, all browsers among them, are refused, and so is HMAC-SHA1.  Absent: sha256, then "
			"md5; the other way around if a user has no key_sha256, because clients choose before they "
			"say who they are.",
		.example =
			"- sha256\n"
			"- md5\n",
	},
	{ .key = NULL },
};

static const struct tp_conf_option deny_item = {
	.key = "", .type = TP_CONF_TEXT, .size = sizeof(char *),
	.min = 1, .max = INET6_ADDRSTRLEN + 3, .check = tp_conf_text_deny,
};

static const struct tp_conf_option allow_item = {
	.key = "", .type = TP_CONF_TEXT, .size = sizeof(char *),
	.min = 1, .max = INET6_ADDRSTRLEN + 3, .check = tp_conf_text_prefix,
};

static const struct tp_conf_option peers_rows[] = {
	{
		.key = "deny", .type = TP_CONF_LIST, .is_live = true,
		AT_LIST(struct tp_conf_raw_peers, deny),
		.min = 0, .max = 65536, .def = "recommended", .rows = &deny_item,
		.unit = "prefixes",
		.help = "Where clients may not send.  The word `recommended` stands for all special-purpose "
			"addresses of IANA's registries: loopback, link-local, private, multicast, tunnels and so "
			"on.  Without it clients reach the network behind this host: keep it, and add to it.",
		.example =
			"- recommended\n"
			"#- 203.0.114.0/24\n",
	},
	{
		.key = "allow", .type = TP_CONF_LIST, .is_off = true, .is_live = true,
		AT_LIST(struct tp_conf_raw_peers, allow),
		.min = 0, .max = 65536, .rows = &allow_item,
		.unit = "prefixes",
		.help = "Exceptions.  Of all prefixes here and in deny that hold an address, the longest decides, "
			"so that an exception can have exceptions; the same prefix in both is allowed, and so is "
			"what stands in neither.",
		.example =
			"- 10.1.0.0/16\n"
			"- \"2001:db8:1::/48\"\n",
	},
	{ .key = NULL },
};

static const struct tp_conf_option server_rows[] = {
	{
		.key = "address", .type = TP_CONF_TEXT, .is_required = true,
		AT(struct tp_conf_raw_server, address),
		.min = 1, .max = INET6_ADDRSTRLEN - 1, .check = tp_conf_text_concrete,
		.unit = "IPv4 or IPv6 address",
		.help = "As clients reach it.",
	},
	{
		.key = "port", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw_server, port),
		.min = 1, .max = 65535, .def = "3478",
		.unit = "UDP port",
		.help = "",
	},
	{ .key = NULL },
};

static const struct tp_conf_option server_item = {
	.key = "", .type = TP_CONF_MAPPING, .rows = server_rows,
};

static const struct tp_conf_option redirect_rows[] = {
	{
		.key = "servers", .type = TP_CONF_LIST, .is_required = true,
		AT_LIST(struct tp_conf_raw_redirect, servers),
		.min = 1, .max = 64, .rows = &server_item,
		.unit = "entries",
		.help = "A client is told one of its own address family, and one of the other if there is one here, "
			"so every family of listen must be here.  Of several, the client's address picks one, always "
			"the same.  They must know the same users and realm.",
	},
	{
		.key = "when", .type = TP_CONF_ENUM,
		AT(struct tp_conf_raw_redirect, when),
		.names = tp_conf_redirect_names, .def = "draining",
		.help = "draining: after `turnpikectl drain`.  full: also when limits.allocations is reached.  "
			"always: no new allocation is made here.",
	},
	{ .key = NULL },
};

static const struct tp_conf_option discovery_rows[] = {
	{
		.key = "address", .type = TP_CONF_TEXT, .is_required = true,
		AT(struct tp_conf_raw_discovery, address),
		.min = 1, .max = INET6_ADDRSTRLEN - 1, .check = tp_conf_text_listener,
		.unit = "IPv4 or IPv6 address",
		.help = "The first address.",
	},
	{
		.key = "port", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw_discovery, port),
		.min = 1, .max = 65535, .def = "3478",
		.unit = "UDP port",
		.help = "The first port.",
	},
	{
		.key = "other_address", .type = TP_CONF_TEXT, .is_required = true,
		AT(struct tp_conf_raw_discovery, other_address),
		.min = 1, .max = INET6_ADDRSTRLEN - 1, .check = tp_conf_text_listener,
		.unit = "another address of the same family",
		.help = "The second address.",
	},
	{
		.key = "other_port", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw_discovery, other_port),
		.min = 1, .max = 65535, .def = "3479",
		.unit = "UDP port",
		.help = "The second port.",
	},
	{ .key = NULL },
};

static const struct tp_conf_option discovery_item = {
	.key = "", .type = TP_CONF_MAPPING, .rows = discovery_rows,
};

static const struct tp_conf_option limits_rows[] = {
	{
		.key = "allocations", .type = TP_CONF_UINT, .is_live = true,
		AT(struct tp_conf_raw_limits, allocations),
		.min = 1, .max = 4000000, .def = "65536",
		.unit = "allocations",
		.help = "Of all clients together.  One more is answered 508 (Insufficient Capacity).  A reload raises it "
			"up to what it was at the start, and no further.",
	},
	{
		.key = "channels", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw_limits, channels),
		.min = 1, .max = 4000000, .def = "65536",
		.unit = "channels",
		.help = "Of all allocations together.  One more is answered 508.  A call needs one or two.  "
			"As many permissions may be used by workers, for data without a channel.",
	},
	{
		.key = "allocation_bps", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw_limits, allocation_bps),
		.min = 0, .max = TP_METER_BPS_MAX, .def = "0",
		.unit = "bits a second",
		.help = "What an allocation may relay, each direction for itself; 0: no limit.  Bits of the IP packets "
			"between relay and peer: data, UDP header and 20 or 40 bytes.  A quarter of a second's "
			"worth, at least 128 KiB, passes at once.  What is beyond is dropped and counted (drop_rate).",
	},
	{
		.key = "allocation_pps", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw_limits, allocation_pps),
		.min = 0, .max = 1000000000, .def = "0",
		.unit = "packets a second",
		.help = "The same in packets.  A quarter of a second's worth, at least 16, passes at once.",
	},
	{
		.key = "allocations_per_user", .type = TP_CONF_UINT, .is_live = true,
		AT(struct tp_conf_raw_limits, turn.allocations_per_user),
		.min = 0, .max = 4000000, .def = "0",
		.unit = "allocations",
		.help = "One more is answered 486 (Allocation Quota Reached).  0: no limit.  Of time-limited user names "
			"EXPIRY:ID each ID is one user.  A client behind a NAT that changes its port leaves an "
			"allocation behind for up to ten minutes: allow for some.  As many ports may be kept aside for him "
			"(EVEN-PORT), 30 seconds each.",
	},
	{
		.key = "channels_per_allocation", .type = TP_CONF_UINT, .is_live = true,
		AT(struct tp_conf_raw_limits, turn.channels_per_allocation),
		.min = 0, .max = 16384, .def = "0",
		.unit = "channels",
		.help = "One more is answered 508.  0: no limit but that of the channel numbers.",
	},
	{
		.key = "permissions_per_allocation", .type = TP_CONF_UINT, .is_live = true,
		AT(struct tp_conf_raw_limits, turn.permissions_per_allocation),
		.min = 0, .max = 1000000, .def = "1000",
		.unit = "permissions",
		.help = "One more is answered 508.  0: no limit.",
	},
	{
		.key = "new_peers_per_sec", .type = TP_CONF_UINT, .is_live = true,
		AT(struct tp_conf_raw_limits, turn.new_peers_per_sec),
		.min = 0, .max = TP_TURN_RATE_MAX, .def = "0",
		.unit = "peers a second",
		.help = "Of each allocation: permissions and channels to peers that had none.  Ten times as many may come "
			"at once; more are answered 508.  0: no limit.  It slows who would search networks through "
			"this relay.",
	},
	{
		.key = "unauthenticated_per_source", .type = TP_CONF_UINT, .is_live = true,
		AT(struct tp_conf_raw_limits, turn.unauthenticated_per_source),
		.min = 0, .max = TP_TURN_RATE_MAX, .def = "200",
		.unit = "answers a second",
		.help = "To one IPv4 address or one IPv6 /64, of requests without or with wrong credentials: Binding, the "
			"401 that every client gets first, and so on.  Ten times as many may go out at once, so that "
			"an office behind one NAT can log in; more are dropped.  It bounds what somebody at whom forged "
			"requests are aimed gets from here, and how fast passwords can be guessed.  0: no limit.  "
			"Authenticated requests do not count.",
	},
	{
		.key = "unauthenticated_total", .type = TP_CONF_UINT, .is_live = true,
		AT(struct tp_conf_raw_limits, turn.unauthenticated_total),
		.min = 0, .max = TP_TURN_RATE_MAX, .def = "50000",
		.unit = "answers a second",
		.help = "The same, to all sources together that have not returned one of our nonces and so may be "
			"forged; a tenth of it may go out at once.  0: no limit.",
	},
	{ .key = NULL },
};

static const struct tp_conf_option interface_rows[] = {
	{
		.key = "name", .type = TP_CONF_TEXT, .is_required = true,
		AT(struct tp_conf_raw_interface, name),
		.min = 1, .max = IF_NAMESIZE - 1, .check = tp_conf_text_interface,
		.unit = "name of 1-15 bytes",
		.help = "As `ip link` shows it.  Of a DPDK device, which the kernel does not see: any.",
	},
	{
		.key = "driver", .type = TP_CONF_ENUM,
		AT(struct tp_conf_raw_interface, driver),
		.names = tp_conf_driver_names, .def = "afxdp",
		.help = "afxdp: AF_XDP sockets, and the device stays the kernel's.  dpdk: a driver of DPDK has the "
			"device, and the kernel a TAP in its place.",
	},
	{
		.key = "mode", .type = TP_CONF_ENUM,
		AT(struct tp_conf_raw_interface, mode),
		.names = tp_conf_mode_names, .def = "auto",
		.help = "auto tries zerocopy, then copy, then skb, and logs what it got.  zerocopy: the device "
			"writes into our memory, fastest.  copy: the driver's XDP with one copy.  skb: the "
			"kernel's generic XDP, any device, slowest.  off: the kernel path only.  Of driver afxdp.",
	},
	{
		.key = "device", .type = TP_CONF_TEXT,
		AT(struct tp_conf_raw_interface, device),
		.min = 1, .max = 511, .check = tp_conf_text_argument,
		.unit = "PCI address or virtual device of DPDK, with its arguments",
		.help = "Required for driver dpdk.  A PCI device must be bound to vfio-pci (not so those of "
			"NVIDIA) and needs huge pages.",
	},
	{
		.key = "kernel", .type = TP_CONF_TEXT,
		AT(struct tp_conf_raw_interface, kernel),
		.min = 1, .max = IF_NAMESIZE - 1, .check = tp_conf_text_interface,
		.unit = "name of 1-15 bytes",
		.help = "Required for driver dpdk: a TAP (`ip tuntap add dev tp0 mode tap`) that has this host's "
			"addresses on the port, its MTU, VLANs and routes.  All that is not relayed passes "
			"through it.",
	},
	{ .key = NULL },
};

static const struct tp_conf_option interface_item = {
	.key = "", .type = TP_CONF_MAPPING, .rows = interface_rows,
};

static const struct tp_conf_option queue_item = {
	.key = "", .type = TP_CONF_TEXT, .size = sizeof(char *),
	.min = 1, .max = 32, .check = tp_conf_text_queue,
};

static const struct tp_conf_option core_rows[] = {
	{
		.key = "cpu", .type = TP_CONF_UINT, .is_required = true,
		AT(struct tp_conf_raw_core, cpu),
		.min = 0, .max = 1023,
		.unit = "CPU number",
		.help = "Best on the NUMA node of the device, and used by nothing else.",
	},
	{
		.key = "queues", .type = TP_CONF_LIST, .is_required = true,
		AT_LIST(struct tp_conf_raw_core, queues),
		.min = 1, .max = 16, .rows = &queue_item,
		.unit = "texts INTERFACE:QUEUE",
		.help = "Queues (0-255) that this core serves, at most one of each interface.",
	},
	{
		.key = "idle", .type = TP_CONF_ENUM,
		AT(struct tp_conf_raw_core, idle),
		.names = tp_conf_idle_names, .def = "spin",
		.help = "spin never sleeps: least delay, and the whole core.  adaptive spins a little, then "
			"sleeps until traffic comes: for hosts with few cores.",
	},
	{ .key = NULL },
};

static const struct tp_conf_option core_item = {
	.key = "", .type = TP_CONF_MAPPING, .rows = core_rows,
};

static const struct tp_conf_option eal_item = {
	.key = "", .type = TP_CONF_TEXT, .size = sizeof(char *),
	.min = 1, .max = 255, .check = tp_conf_text_argument,
};

static const struct tp_conf_option control_rows[] = {
	{
		.key = "cpu", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw_control, cpu),
		.min = 0, .max = 1023, .def = "0",
		.unit = "CPU number",
		.help = "Best not the CPU of a core that spins.",
	},
	{
		.key = "socket", .type = TP_CONF_TEXT,
		AT(struct tp_conf_raw_control, socket),
		.min = 1, .max = 107, .check = tp_conf_text_path, .def = "/run/turnpike/control.sock",
		.unit = "absolute path of at most 107 bytes",
		.help = "Unix socket on which turnpikectl asks.",
	},
	{ .key = NULL },
};

static const struct tp_conf_option log_rows[] = {
	{
		.key = "allocations", .type = TP_CONF_BOOL,
		AT(struct tp_conf_raw_log, allocations), .def = "true",
		.help = "A record at the start and one at the end of each allocation, so that it can be said later who "
			"used a relayed address and whom it reached: client, user, relayed addresses, peers permitted, "
			"reason of the end, duration, packets and bytes of data each way.",
	},
	{ .key = NULL },
};

static const struct tp_conf_option metrics_rows[] = {
	{
		.key = "listen", .type = TP_CONF_TEXT, .is_required = true,
		AT(struct tp_conf_raw_metrics, listen),
		.min = 1, .max = INET6_ADDRSTRLEN - 1, .check = tp_conf_text_address,
		.unit = "IPv4 or IPv6 address",
		.help = "There is no access control: use loopback or a management network.",
	},
	{
		.key = "port", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw_metrics, port),
		.min = 1, .max = 65535, .def = "9641",
		.unit = "TCP port",
		.help = "",
	},
	{ .key = NULL },
};

static const struct tp_conf_option root_rows[] = {
	{
		.key = "realm", .type = TP_CONF_TEXT, .is_required = true, .is_live = true,
		AT(struct tp_conf_raw, realm),
		.min = 1, .max = 127, .check = tp_conf_text_opaque,
		.help = "The realm of all users, usually the domain of the service.  It is a part of every key: "
			"when it changes, keys must be made anew.  Every client is told it before it is known, so "
			"keep it short: up to 84 bytes, that answer has no more than 200.",
		.example = "example.org",
	},
	{
		.key = "listen", .type = TP_CONF_LIST, .is_required = true,
		AT_LIST(struct tp_conf_raw, listen),
		.min = 1, .max = TP_STEER_MAX_LISTENERS, .rows = &listener_item,
		.unit = "entries",
		.help = "Where clients reach us, over UDP.",
		.example =
			"- address: 192.0.2.10\n"
			"- address: \"2001:db8::10\"\n"
			"  port: 3478\n"
			"#- { address: 192.0.2.10, port: 3479 }     # with these three: discovery, below\n"
			"#- { address: 192.0.2.11, port: 3478 }\n"
			"#- { address: 192.0.2.11, port: 3479 }\n",
	},
	{
		.key = "relay", .type = TP_CONF_MAPPING, .is_required = true,
		AT(struct tp_conf_raw, relay), .rows = relay_rows,
		.help = "Where peers reach the clients.",
	},
	{
		.key = "auth", .type = TP_CONF_MAPPING, .is_required = true, .is_secret = true,
		AT(struct tp_conf_raw, auth), .rows = auth_rows,
		.help = "Who may allocate: at least one user or one secret.",
	},
	{
		.key = "peers", .type = TP_CONF_MAPPING,
		AT(struct tp_conf_raw, peers), .rows = peers_rows,
		.help = "Which peers clients may reach.  Addresses of this host are denied always, but for its "
			"relayed ports.",
	},
	{
		.key = "limits", .type = TP_CONF_MAPPING,
		AT(struct tp_conf_raw, limits), .rows = limits_rows,
		.help = "Totals, which bound the memory that clients can take; what one user, one allocation and one "
			"source may have; and how fast.",
	},
	{
		.key = "discovery", .type = TP_CONF_LIST, .is_off = true,
		AT_LIST(struct tp_conf_raw, discovery),
		.min = 0, .max = TP_STEER_MAX_LISTENERS / 4, .rows = &discovery_item,
		.unit = "entries",
		.help = "NAT behaviour discovery (RFC 5780) at two addresses and two ports, all four pairs of which must "
			"be in listen: a Binding may ask by CHANGE-REQUEST for an answer from another of them, and is "
			"told of them, so that the packet that answers has up to 2.5 times the bytes of the one that "
			"asked (limits.unauthenticated_per_source bounds them).  Without it CHANGE-REQUEST is 420 (Unknown Attribute), "
			"as PADDING and RESPONSE-PORT are in any case.",
		.example =
			"- { address: 192.0.2.10, port: 3478, other_address: 192.0.2.11, other_port: 3479 }\n",
	},
	{
		.key = "redirect", .type = TP_CONF_MAPPING, .is_off = true, .is_live = true,
		AT_POINTER(struct tp_conf_raw, redirect), .rows = redirect_rows,
		.help = "Other servers, to which clients are sent by 300 (Try Alternate) instead of being served here.  "
			"What is allocated already stays.",
		.example =
			"servers: [ { address: 198.51.100.20 }, { address: \"2001:db8:1::20\", port: 3478 } ]\n"
			"when: draining\n",
	},
	{
		.key = "default_family", .type = TP_CONF_ENUM, .is_live = true,
		AT(struct tp_conf_raw, default_family),
		.names = tp_conf_family_names, .def = "ipv4",
		.help = "What an Allocate that asks for no family gets, as those of browsers.  ipv4: an IPv4 address, as "
			"RFC 8656 demands.  listener: one of the family by which the client came, if there is one in "
			"relay.addresses.",
	},
	{
		.key = "mobility", .type = TP_CONF_BOOL, .is_live = true,
		AT(struct tp_conf_raw, mobility), .def = "false",
		.help = "Clients may keep their allocation when their address changes (RFC 8016).  false: who asks for it "
			"is answered 405 (Mobility Forbidden).  A reload that forbids it leaves those alone who have it.",
	},
	{
		.key = "legacy_channels", .type = TP_CONF_BOOL,
		AT(struct tp_conf_raw, legacy_channels), .def = "false",
		.help = "Accept channel numbers up to 0x7FFF as RFC 5766 had them; RFC 8656 ends at 0x4FFF.  Only "
			"for old clients.",
	},
	{
		.key = "legacy_attributes", .type = TP_CONF_BOOL,
		AT(struct tp_conf_raw, legacy_attributes), .def = "false",
		.help = "Take attribute 0x8032 for ADDITIONAL-ADDRESS-FAMILY, which had that number in a draft and has "
			"it in `turnutils_uclient -Z` to this day.  false: it is ignored, as any optional attribute "
			"that is unknown.  Only for old clients.",
	},
	{
		.key = "dscp", .type = TP_CONF_ENUM,
		AT(struct tp_conf_raw, dscp),
		.names = tp_conf_dscp_names, .def = "copy",
		.help = "copy: what is relayed keeps the DSCP that it came with.  clear: it leaves as Best Effort, "
			"where the networks on both sides mean different things by it.  ECN is copied always.",
	},
	{
		.key = "lowest_ipv6_mtu", .type = TP_CONF_UINT,
		AT(struct tp_conf_raw, lowest_ipv6_mtu),
		.min = 1280, .max = 9000, .def = "1280",
		.unit = "bytes",
		.help = "The smallest MTU of the IPv6 networks behind this host, if it is known to be more than 1280. "
			"What came over IPv4 and may be fragmented (DF=0) leaves over IPv6 in fragments of at most "
			"this, since no router on the way could fragment it (RFC 7915, lowest-ipv6-mtu).",
	},
	{
		.key = "interfaces", .type = TP_CONF_LIST,
		AT_LIST(struct tp_conf_raw, interfaces),
		.min = 0, .max = 16, .rows = &interface_item,
		.unit = "entries",
		.help = "Network interfaces with a fast path.  Without any, the kernel carries everything: correct, "
			"and slower.",
		.example =
			"- name: eth0\n"
			"  driver: afxdp\n"
			"  mode: auto\n"
			"#- name: wan0\n"
			"#  driver: dpdk\n"
			"#  device: \"0000:3b:00.0\"   # or net_virtio_user0,path=/run/vhost.sock\n"
			"#  kernel: tp0\n",
	},
	{
		.key = "cores", .type = TP_CONF_LIST,
		AT_LIST(struct tp_conf_raw, cores),
		.min = 0, .max = 127, .rows = &core_item,
		.unit = "entries",
		.help = "One worker for each entry.  Every queue of an interface above needs a worker (`ethtool "
			"-l eth0` shows how many there are, `ethtool -L eth0 combined 2` sets them), and no queue "
			"has two.  Of a DPDK device, which gets as many queues as stand here, they are numbered "
			"from 0.",
		.example =
			"- cpu: 2\n"
			"  queues: [ \"eth0:0\" ]\n"
			"  idle: spin\n"
			"- cpu: 3\n"
			"  queues: [ \"eth0:1\" ]\n"
			"  idle: adaptive\n"
			"#- cpu: 4\n"
			"#  queues: [ \"wan0:0\" ]\n"
			"#  idle: spin\n",
	},
	{
		.key = "eal", .type = TP_CONF_LIST, .is_off = true,
		AT_LIST(struct tp_conf_raw, eal),
		.min = 0, .max = 64, .rows = &eal_item,
		.unit = "words",
		.help = "More arguments for DPDK's environment, behind our own (cores, devices, memory).  Without "
			"huge pages it runs on ordinary ones, slower.",
		.example =
			"- --log-level=pmd.*:debug\n",
	},
	{
		.key = "control", .type = TP_CONF_MAPPING,
		AT(struct tp_conf_raw, control), .rows = control_rows,
		.help = "The control thread: allocations, timers, and all that the workers can not carry.",
	},
	{
		.key = "log", .type = TP_CONF_MAPPING,
		AT(struct tp_conf_raw, log), .rows = log_rows,
		.help = "What is logged besides messages; --log-format=json makes all of it lines of JSON.",
	},
	{
		.key = "metrics", .type = TP_CONF_MAPPING, .is_off = true,
		AT_POINTER(struct tp_conf_raw, metrics), .rows = metrics_rows,
		.help = "HTTP for metrics and health.  Absent: no HTTP listener.",
		.example =
			"listen: 127.0.0.1\n"
			"port: 9641\n",
	},
	{ .key = NULL },
};

const struct tp_conf_option tp_conf_root = {
	.key = "", .type = TP_CONF_MAPPING, .is_pointer = true, .size = sizeof(struct tp_conf_raw),
	.rows = root_rows,
};
/* clang-format on */

const char *tp_conf_enum_name(const cyaml_strval_t *names, int64_t value)
{
	for (; names->str != NULL; names++) {
		if (names->val == value)
			return names->str;
	}
	assert(!"value of the table");
	return "";
}
