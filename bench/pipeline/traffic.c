/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include "wire/channel.h"
#include "wire/ip.h"
#include "wire/stun.h"
#include "wire/stun_build.h"

#include <string.h>

#define PORTS_PER_HOST 1000
#define PORTS_PER_RELAY (TRAFFIC_RELAY_PORT_MAX - TRAFFIC_RELAY_PORT_MIN + 1)
#define CLIENT_PORT_MIN 40000
#define PEER_PORT_MIN 20000
#define HOPS 4
#define CHANNELS (TP_CHANNEL_MAX - TP_CHANNEL_MIN + 1)
#define DATA_INDICATION 0x0017

/* Who: the network that its addresses are of, for IPv4 with the first host, and how many ports. */
enum role {
	CLIENT,
	OTHER_CLIENT,
	PEER,
	LISTENER,
	RELAY,
	OTHER_RELAY
};

static const uint32_t network4[] = {
	[CLIENT] = 0xc6120001,       /* 198.18.0.0/16 */
	[OTHER_CLIENT] = 0xc6128001, /* 198.18.128.0/17 */
	[PEER] = 0xc6130001,         /* 198.19.0.0/16 */
	[LISTENER] = 0xc0000201,     /* 192.0.2.1 */
	[RELAY] = 0xcb007101,        /* 203.0.113.0/25 */
	[OTHER_RELAY] = 0xcb007181,  /* 203.0.113.128/25 */
};

/* A few gateways, as a relay has. */
static const struct tp_next_hop hops[HOPS] = {
	{ .l2 = { 2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 9 }, .l2_len = TP_L2_UNTAGGED, .mtu = 1500 },
	{ .l2 = { 2, 0, 0, 0, 1, 2, 2, 0, 0, 0, 0, 9 }, .l2_len = TP_L2_UNTAGGED, .mtu = 1500 },
	{ .l2 = { 2, 0, 0, 0, 1, 3, 2, 0, 0, 0, 0, 9 }, .l2_len = TP_L2_UNTAGGED, .mtu = 1500 },
	{ .l2 = { 2, 0, 0, 0, 1, 4, 2, 0, 0, 0, 0, 9 }, .l2_len = TP_L2_UNTAGGED, .mtu = 1500 },
};

static struct tp_addr address(enum role role, bool is_v6, uint32_t host, uint16_t port)
{
	/* 2001:2:0:ROLE:: */
	uint8_t v6[16] = { 0x20, 0x01, 0, 2, 0, 0, 0, (uint8_t)(role + 1) }, v4[4];

	tp_be32_put(v4, network4[role] + host);
	tp_be32_put(v6 + 12, host + 1);
	return is_v6 ? tp_addr_v6(v6, port) : tp_addr_v4(v4, port);
}

static struct tp_addr of_flow(enum role role, bool is_v6, uint32_t i)
{
	switch (role) {
	case CLIENT:
	case OTHER_CLIENT:
		return address(role, is_v6, i / PORTS_PER_HOST,
				(uint16_t)(CLIENT_PORT_MIN + i % PORTS_PER_HOST));
	case PEER:
		return address(role, is_v6, i / PORTS_PER_HOST,
				(uint16_t)(PEER_PORT_MIN + i % PORTS_PER_HOST));
	case RELAY:
	case OTHER_RELAY:
		return address(role, is_v6, i / PORTS_PER_RELAY,
				(uint16_t)(TRAFFIC_RELAY_PORT_MIN + i % PORTS_PER_RELAY));
	case LISTENER:
		break;
	}
	return address(LISTENER, is_v6, 0, TRAFFIC_LISTENER_PORT);
}

static uint16_t channel_of(uint32_t i)
{
	return (uint16_t)(TP_CHANNEL_MIN + i % CHANNELS);
}

enum tp_path traffic_path(const char *name)
{
	enum tp_path path;

	for (path = 0; path < TRAFFIC_PATHS; path++)
		if (strcmp(name, tp_path_name(path)) == 0)
			break;
	return path;
}

const struct tp_next_hop *traffic_next_hop(uint32_t i)
{
	return &hops[i % HOPS];
}

static struct tp_flow_spec up_spec(enum tp_path path, uint32_t i)
{
	bool in6 = traffic_in6(path), out6 = traffic_out6(path);
	bool is_hairpin = traffic_is_hairpin(path), is_send = traffic_is_indication(path);
	struct tp_addr to = is_hairpin ? of_flow(OTHER_RELAY, in6, i) : of_flow(PEER, out6, i);
	struct tp_addr to_any = tp_addr_ip_only(&to), nobody = { .family = 0 };

	return (struct tp_flow_spec){
		.form = is_send ? TP_FLOW_SEND : TP_FLOW_CHANNEL,
		.in_src = of_flow(CLIENT, in6, i),
		.in_dst = of_flow(LISTENER, in6, i),
		.in_peer = is_send ? to_any : nobody,
		.in_channel = is_send ? 0 : channel_of(i),
		.out_src = of_flow(RELAY, is_hairpin ? in6 : out6, i),
		.out_dst = is_send ? to_any : to,
		.is_hairpin = is_hairpin,
		.deadline_ns = UINT64_MAX,
	};
}

static struct tp_flow_spec down_spec(enum tp_path path, uint32_t i)
{
	bool in6 = traffic_in6(path), out6 = traffic_out6(path);
	bool is_hairpin = traffic_is_hairpin(path), is_data = traffic_is_indication(path);
	struct tp_addr from = of_flow(is_hairpin ? RELAY : PEER, in6, i);

	return (struct tp_flow_spec){
		.form = is_data ? TP_FLOW_DATA : TP_FLOW_CHANNEL,
		.in_src = is_data ? tp_addr_ip_only(&from) : from,
		.in_dst = of_flow(is_hairpin ? OTHER_RELAY : RELAY, in6, i),
		.out_src = of_flow(LISTENER, out6, i),
		.out_dst = of_flow(is_hairpin ? OTHER_CLIENT : CLIENT, out6, i),
		.out_channel = is_data ? 0 : channel_of(i),
		.deadline_ns = UINT64_MAX,
	};
}

uint32_t traffic_specs(enum tp_path path, uint32_t i, struct tp_flow_spec specs[TRAFFIC_SPECS])
{
	uint32_t n = 0;

	if (!traffic_is_down(path))
		specs[n++] = up_spec(path, i);
	if (traffic_is_down(path) || traffic_is_hairpin(path))
		specs[n++] = down_spec(path, i);
	return n;
}

static size_t send_indication(
		const struct tp_addr *peer, const uint8_t *payload, uint16_t len, uint8_t *out)
{
	static const uint8_t tid[TP_STUN_TID_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	struct tp_stun_builder b;

	tp_stun_begin(&b, out, TRAFFIC_FRAME_MAX, TP_STUN_SEND, TP_STUN_INDICATION, tid);
	tp_stun_put_xor_addr(&b, TP_STUN_ATTR_XOR_PEER_ADDRESS, peer);
	tp_stun_put(&b, TP_STUN_ATTR_DATA, payload, len);
	return tp_stun_finish(&b);
}

/* UDP payload of flow i.  @return its length */
static size_t datagram(
		enum tp_path path, uint32_t i, const uint8_t *payload, uint16_t len, uint8_t *out)
{
	struct tp_addr peer;

	if (traffic_is_down(path)) {
		memcpy(out, payload, len);
		return len;
	}
	if (traffic_is_indication(path)) {
		peer = of_flow(PEER, traffic_out6(path), i);
		return send_indication(&peer, payload, len, out);
	}
	tp_channel_header(out, channel_of(i), len);
	memcpy(out + TP_CHANNEL_HDR_LEN, payload, len);
	return TP_CHANNEL_HDR_LEN + (size_t)len;
}

uint32_t traffic_frame(enum tp_path path, uint32_t i, const uint8_t *payload, uint16_t payload_len,
		uint8_t *out)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	const struct tp_ip_meta meta = { .ttl = 64 };
	bool in6 = traffic_in6(path), is_down = traffic_is_down(path);
	struct tp_addr src = of_flow(is_down ? PEER : CLIENT, in6, i);
	struct tp_addr dst = of_flow(is_down ? RELAY : LISTENER, in6, i);
	uint32_t hdr_len = TP_ETH_LEN + (in6 ? TP_IPV6_LEN : TP_IPV4_LEN) + TP_UDP_LEN;
	size_t len = datagram(path, i, payload, payload_len, out + hdr_len);

	memcpy(out, macs, sizeof(macs));
	tp_be16_put(out + sizeof(macs), in6 ? TP_ETHERTYPE_IPV6 : TP_ETHERTYPE_IPV4);
	tp_ip_build_udp(out + TP_ETH_LEN, &src, &dst, &meta, out + hdr_len, len);
	return hdr_len + (uint32_t)len;
}

static const char *check_data(enum tp_path path, uint32_t i, const uint8_t *payload,
		uint16_t payload_len, const uint8_t *p, uint16_t len)
{
	bool is_data = traffic_is_indication(path) && traffic_is_down(path);
	uint32_t head_len = is_data ? 28u + (traffic_in6(path) ? 20 : 8)
			: traffic_is_down(path) || traffic_is_hairpin(path) ? TP_CHANNEL_HDR_LEN
									    : 0;
	uint32_t pad_len = is_data ? -(uint32_t)payload_len & 3 : 0;

	if (len != head_len + payload_len + pad_len)
		return "UDP length";
	if (is_data && tp_be16_get(p) != DATA_INDICATION)
		return "not a Data indication";
	if (head_len == TP_CHANNEL_HDR_LEN &&
			(tp_be16_get(p) != channel_of(i) || tp_be16_get(p + 2) != payload_len))
		return "ChannelData header";
	if (memcmp(p + head_len, payload, payload_len) != 0)
		return "data";
	return NULL;
}

const char *traffic_check(enum tp_path path, uint32_t i, const uint8_t *payload,
		uint16_t payload_len, const uint8_t *frame, uint32_t len)
{
	struct tp_flow_spec specs[TRAFFIC_SPECS], *leave;
	struct tp_addr src, dst;
	struct tp_udp_view view;
	struct tp_ip_meta meta;

	leave = &specs[traffic_specs(path, i, specs) - 1];
	if (leave->form == TP_FLOW_SEND)
		leave->out_dst = of_flow(PEER, traffic_out6(path), i);
	if (tp_ip_parse_udp(frame, len, &view) != TP_FORWARD)
		return "IP or UDP header";
	tp_ip_view_addrs(frame, &view, &src, &dst, &meta);
	if (!tp_addr_equal(&src, &leave->out_src) || !tp_addr_equal(&dst, &leave->out_dst))
		return "addresses or ports";
	if (meta.ttl != 63)
		return "TTL";
	if (!tp_ip_view_csum_ok(frame, &view))
		return "UDP checksum";
	return check_data(path, i, payload, payload_len, frame + view.payload, view.payload_len);
}
