/* SPDX-License-Identifier: Apache-2.0 */
#include "flows.h"

#include "payload.h"
#include "program.h"

#include <jansson.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TTL 64

/* Of which line of which file the complaint is. */
struct place {
	const char *path;
	uint32_t line;
};

struct endpoint {
	bool is_v6;
	uint8_t ip[16];
	uint16_t port;
};

static const char *text_of(const struct place *at, const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (text == NULL)
		die("%s:%u: no \"%s\", or no text", at->path, at->line, key);
	return text;
}

static uint16_t u16_of(const struct place *at, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || n <= 0 || n > UINT16_MAX)
		die("%s:%u: no \"%s\", or no number from 1 to 65535", at->path, at->line, key);
	return (uint16_t)n;
}

static struct endpoint endpoint_of(const struct place *at, const json_t *object, const char *name)
{
	const char *ip = text_of(at, object, name);
	struct endpoint e = { .is_v6 = strchr(ip, ':') != NULL };
	char port[32];

	if (inet_pton(e.is_v6 ? AF_INET6 : AF_INET, ip, e.ip) != 1)
		die("%s:%u: \"%s\" is \"%s\", which is no address", at->path, at->line, name, ip);
	snprintf(port, sizeof(port), "%s_port", name);
	e.port = u16_of(at, object, port);
	return e;
}

/* Ones' complement sum of native 16-bit words, not folded. */
static uint32_t sum_of(const void *data, uint32_t bytes)
{
	const uint8_t *at = data;
	uint32_t sum = 0;
	uint16_t word;

	for (; bytes >= 2; bytes -= 2, at += 2) {
		memcpy(&word, at, sizeof(word));
		sum += word;
	}
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* DF, as media has it; without, a relay to IPv6 would have to fragment what is beyond 1280. */
static void write_ipv4(uint8_t *at, const struct endpoint *from, const struct endpoint *to,
		uint32_t payload)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons((uint16_t)(sizeof(ip) + payload)),
		.frag_off = htons(0x4000),
		.ttl = TTL,
		.protocol = IPPROTO_UDP,
	};

	memcpy(&ip.saddr, from->ip, sizeof(ip.saddr));
	memcpy(&ip.daddr, to->ip, sizeof(ip.daddr));
	ip.check = fold(sum_of(&ip, sizeof(ip)));
	memcpy(at, &ip, sizeof(ip));
}

static void write_ipv6(uint8_t *at, const struct endpoint *from, const struct endpoint *to,
		uint32_t payload)
{
	struct ipv6hdr ip = {
		.version = 6,
		.payload_len = htons((uint16_t)payload),
		.nexthdr = IPPROTO_UDP,
		.hop_limit = TTL,
	};

	memcpy(&ip.saddr, from->ip, sizeof(ip.saddr));
	memcpy(&ip.daddr, to->ip, sizeof(ip.daddr));
	memcpy(at, &ip, sizeof(ip));
}

void fill_frame(uint8_t *frame, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		frame[i] = (uint8_t)(i * 167 + 13);
}

static void write_frame(uint8_t *frame, const struct frame_shape *shape,
		const struct endpoint *from, const struct endpoint *to, uint16_t channel,
		uint32_t number)
{
	const struct wire_payload payload = { .magic = WIRE_MAGIC, .flow = number };
	const uint16_t channel_data[2] = { htons(channel), htons((uint16_t)shape->payload_bytes) };
	uint32_t udp_at = shape->checksum_at - (uint32_t)offsetof(struct udphdr, check);
	uint32_t udp_bytes = shape->frame_bytes - udp_at;
	const struct udphdr udp = {
		.source = htons(from->port),
		.dest = htons(to->port),
		.len = htons((uint16_t)udp_bytes),
	};
	const uint16_t ethertype = htons(shape->is_v6 ? ETH_P_IPV6 : ETH_P_IP);

	fill_frame(frame, shape->frame_bytes);
	memcpy(frame, shape->mac_to, ETH_ALEN);
	memcpy(frame + ETH_ALEN, shape->mac_from, ETH_ALEN);
	memcpy(frame + offsetof(struct ethhdr, h_proto), &ethertype, sizeof(ethertype));
	(shape->is_v6 ? write_ipv6 : write_ipv4)(frame + ETH_HLEN, from, to, udp_bytes);
	memcpy(frame + udp_at, &udp, sizeof(udp));
	if (shape->is_up)
		memcpy(frame + udp_at + sizeof(udp), channel_data, sizeof(channel_data));
	memcpy(frame + shape->payload_at, &payload, sizeof(payload));
}

/* RFC 768, RFC 8200 section 8.1: addresses, length, protocol, and all of the datagram. */
static uint32_t sum_udp(const uint8_t *frame, const struct frame_shape *shape)
{
	uint32_t udp_at = shape->checksum_at - (uint32_t)offsetof(struct udphdr, check);
	uint32_t udp_bytes = shape->frame_bytes - udp_at;
	uint32_t addr_bytes = shape->is_v6 ? 32 : 8;

	return sum_of(frame + udp_at - addr_bytes, addr_bytes) + htons((uint16_t)udp_bytes) +
			htons(IPPROTO_UDP) + sum_of(frame + udp_at, udp_bytes);
}

static void find_offsets(struct frame_shape *shape)
{
	uint32_t udp_at = ETH_HLEN +
			(uint32_t)(shape->is_v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));

	shape->checksum_at = udp_at + (uint32_t)offsetof(struct udphdr, check);
	shape->payload_at = udp_at + (uint32_t)sizeof(struct udphdr) +
			(shape->is_up ? WIRE_CHANNEL_HEADER : 0);
	shape->frame_bytes = shape->payload_at + shape->payload_bytes;
}

static void make_flow(struct gen_flow *flow, struct frame_shape *shape, const struct place *at,
		const json_t *object, uint32_t number)
{
	uint8_t frame[ETH_FRAME_LEN];
	struct endpoint from = endpoint_of(at, object, shape->is_up ? "client" : "peer");
	struct endpoint to = endpoint_of(at, object, shape->is_up ? "server" : "relay");
	uint16_t channel = u16_of(at, object, "channel");

	if (from.is_v6 != to.is_v6)
		die("%s:%u: both ends of one way must be of one family", at->path, at->line);
	if (number == 0) {
		shape->is_v6 = from.is_v6;
		find_offsets(shape);
	}
	if (from.is_v6 != shape->is_v6)
		die("%s:%u: not of the first flow's address family: frames of a run have one length",
				at->path, at->line);
	if (shape->frame_bytes > sizeof(frame))
		die("a payload of %u bytes makes frames of %u, more than Ethernet's %zu",
				shape->payload_bytes, shape->frame_bytes, sizeof(frame));
	write_frame(frame, shape, &from, &to, channel, number);
	memset(flow, 0, sizeof(*flow));
	memcpy(flow->head, frame, sizeof(flow->head));
	flow->csum = sum_udp(frame, shape);
}

static struct gen_flow *flows_grow(struct gen_flow *flows, size_t n)
{
	struct gen_flow *more = realloc(flows, n * sizeof(*flows));

	if (more == NULL)
		die("out of memory");
	return more;
}

struct gen_flow *flows_read(const char *path, struct frame_shape *shape)
{
	struct place at = { .path = path };
	struct gen_flow *flows = NULL;
	char line[1024];
	json_error_t err;
	uint32_t n = 0;
	json_t *object;
	FILE *f;

	if (path == NULL)
		die("which flows?  --flows FILE");
	f = fopen(path, "re");
	if (f == NULL)
		die("%s: %s", path, strerror(errno));
	for (; fgets(line, sizeof(line), f) != NULL; json_decref(object)) {
		at.line++;
		object = json_loads(line, 0, &err);
		if (object == NULL)
			die("%s:%u: %s", path, at.line, err.text);
		if (json_object_get(object, "client") == NULL)
			continue;
		if ((n & (n - 1)) == 0) /* twice as many at each power of two */
			flows = flows_grow(flows, n == 0 ? 1 : 2 * (size_t)n);
		make_flow(&flows[n], shape, &at, object, n);
		n++;
	}
	fclose(f);
	if (n == 0)
		die("%s: no flows in it", path);
	shape->n_flows = n;
	return flows;
}
