/* SPDX-License-Identifier: Apache-2.0 */
#include "io/steer_rules.h"

#include "bpf/steer.h"
#include "wire/be.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stddef.h>
#include <string.h>

#define FRAGMENT_BITS 0x3fff /* more fragments, and the offset: RFC 791 section 3.1 */
#define ETHERTYPE_AT 12
#define VLAN_BYTES 4
#define VLAN_ID_BITS 0x0fff

/* What the headers say. */
struct target {
	const uint8_t *udp;
	uint32_t ip[4];
	uint32_t payload_bytes; /* of the IP packet */
	uint16_t vlan;          /* 0: no tag, or one that only has a priority */
	bool is_v6;
};

static bool parse_ipv4(const uint8_t *at, const uint8_t *end, struct target *to)
{
	uint32_t total;

	if (end - at < (ptrdiff_t)sizeof(struct iphdr))
		return false;
	total = tp_be16_get(at + offsetof(struct iphdr, tot_len));
	if (at[0] != 0x45 || at[offsetof(struct iphdr, protocol)] != IPPROTO_UDP ||
			(tp_be16_get(at + offsetof(struct iphdr, frag_off)) & FRAGMENT_BITS) != 0 ||
			total < sizeof(struct iphdr))
		return false;
	memcpy(to->ip, at + offsetof(struct iphdr, daddr), 4);
	to->payload_bytes = total - (uint32_t)sizeof(struct iphdr);
	to->udp = at + sizeof(struct iphdr);
	return true;
}

static bool parse_ipv6(const uint8_t *at, const uint8_t *end, struct target *to)
{
	if (end - at < (ptrdiff_t)sizeof(struct ipv6hdr))
		return false;
	if (at[0] >> 4 != 6 || at[offsetof(struct ipv6hdr, nexthdr)] != IPPROTO_UDP)
		return false;
	memcpy(to->ip, at + offsetof(struct ipv6hdr, daddr), sizeof(to->ip));
	to->is_v6 = true;
	to->payload_bytes = tp_be16_get(at + offsetof(struct ipv6hdr, payload_len));
	to->udp = at + sizeof(struct ipv6hdr);
	return true;
}

/* Plain UDP behind Ethernet and at most one VLAN tag. */
static bool parse(const uint8_t *at, const uint8_t *end, struct target *to)
{
	uint16_t ethertype;

	if (end - at < ETH_HLEN)
		return false;
	ethertype = tp_be16_get(at + ETHERTYPE_AT);
	at += ETH_HLEN;
	if (ethertype == ETH_P_8021Q) {
		if (end - at < VLAN_BYTES)
			return false;
		to->vlan = tp_be16_get(at) & VLAN_ID_BITS;
		ethertype = tp_be16_get(at + 2);
		at += VLAN_BYTES;
	}
	if (ethertype == ETH_P_IP ? !parse_ipv4(at, end, to)
				  : ethertype != ETH_P_IPV6 || !parse_ipv6(at, end, to))
		return false;
	return end - to->udp >= (ptrdiff_t)sizeof(struct udphdr);
}

static bool has_bit(const __u64 words[], uint32_t bit)
{
	return __atomic_load_n(&words[bit >> 6], __ATOMIC_RELAXED) >> (bit & 63) & 1;
}

/* Is the address still one of this host's, and the VLAN one of this interface's? */
static bool is_accepted(const struct tp_bpf_accept *accept, uint32_t addr, uint16_t vlan)
{
	if (vlan != 0 && !has_bit(accept->vlans, vlan))
		return false;
	return has_bit(accept->addrs, addr);
}

static bool is_listener(const struct tp_bpf_conf *conf, uint32_t addr, uint16_t port_be)
{
	for (uint32_t i = 0; i < conf->n_listeners; i++)
		if (conf->listener[i].port_be == port_be && conf->listener[i].addr == addr)
			return true;
	return false;
}

/*
 * RFC 8656 section 12: the first byte tells ChannelData from STUN, of which the Send indication
 * alone carries data (0x0016, section 17).
 */
static bool is_client_data(
		const struct tp_bpf_conf *conf, const struct target *to, const uint8_t *end)
{
	const uint8_t *payload = to->udp + sizeof(struct udphdr);
	uint32_t udp_bytes = tp_be16_get(to->udp + offsetof(struct udphdr, len));

	if (payload == end || udp_bytes < sizeof(struct udphdr) + 1 ||
			udp_bytes > to->payload_bytes)
		return false;
	if (payload[0] == 0)
		return end - payload >= 2 && udp_bytes >= sizeof(struct udphdr) + 2 &&
				payload[1] == 0x16;
	return payload[0] >= 0x40 && payload[0] <= conf->channel_first_byte_max;
}

bool tp_steer_rules_match(const struct tp_steer_rules *rules, const uint8_t *frame, uint32_t len)
{
	const struct tp_bpf_conf *conf = rules->conf;
	const uint8_t *end = frame + len;
	struct target to = { 0 };
	uint16_t port;
	uint32_t addr;
	uint8_t relay;

	if (!parse(frame, end, &to))
		return false;
	addr = tp_bpf_find_addr(conf, to.ip, to.is_v6);
	if (addr >= TP_BPF_MAX_ADDRS || !is_accepted(rules->accept, addr, to.vlan))
		return false;
	port = tp_be16_get(to.udp + offsetof(struct udphdr, dest));
	if (is_listener(conf, addr, htons(port)) && is_client_data(conf, &to, end))
		return true;
	relay = conf->addr[addr].relay;
	return relay != TP_BPF_NO_RELAY && has_bit(rules->ports[relay].fast, port);
}
