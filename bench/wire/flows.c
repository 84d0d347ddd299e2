/* SPDX-License-Identifier: Apache-2.0 */
#include "flows.h"

#include "payload.h"
#include "program.h"

#include <arpa/inet.h>
#include <channel_list.h>
#include <linux/if_ether.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "wire/be.h"
#include "wire/channel.h"
#include "wire/ip.h"

/* DF, as media has it; without, a relay to IPv6 would have to fragment what is beyond 1280. */
static const struct tp_ip_meta meta = { .ttl = 64, .is_df = true };

void fill_frame(uint8_t *frame, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		frame[i] = (uint8_t)(i * 167 + 13);
}

static void write_frame(uint8_t *frame, const struct frame_shape *shape,
		const struct tp_listed_channel *channel, uint32_t number)
{
	const struct wire_payload payload = { .magic = WIRE_MAGIC, .flow = number };
	uint32_t udp_payload_at = shape->checksum_at + 2;

	fill_frame(frame, shape->frame_bytes);
	memcpy(frame, shape->mac_to, ETH_ALEN);
	memcpy(frame + ETH_ALEN, shape->mac_from, ETH_ALEN);
	tp_be16_put(frame + offsetof(struct ethhdr, h_proto), shape->is_v6 ? ETH_P_IPV6 : ETH_P_IP);
	if (shape->is_up)
		tp_channel_header(frame + udp_payload_at, channel->number,
				(uint16_t)shape->payload_bytes);
	memcpy(frame + shape->payload_at, &payload, sizeof(payload));
	tp_ip_build_udp(frame + ETH_HLEN, shape->is_up ? &channel->client : &channel->peer,
			shape->is_up ? &channel->server : &channel->relay, &meta,
			frame + udp_payload_at, shape->frame_bytes - udp_payload_at);
}

static void find_offsets(struct frame_shape *shape)
{
	uint32_t udp_at = ETH_HLEN + (shape->is_v6 ? TP_IPV6_LEN : TP_IPV4_LEN);

	shape->checksum_at = udp_at + (uint32_t)offsetof(struct tp_udp_hdr, csum);
	shape->payload_at = udp_at + TP_UDP_LEN + (shape->is_up ? TP_CHANNEL_HDR_LEN : 0);
	shape->frame_bytes = shape->payload_at + shape->payload_bytes;
}

static void make_flow(struct gen_flow *flow, const struct frame_shape *shape,
		const struct tp_listed_channel *channel, uint32_t number)
{
	uint8_t frame[ETH_FRAME_LEN];
	uint16_t checksum;

	write_frame(frame, shape, channel, number);
	memset(flow, 0, sizeof(*flow));
	memcpy(flow->head, frame, sizeof(flow->head));
	memcpy(&checksum, frame + shape->checksum_at, sizeof(checksum));
	flow->csum = (uint16_t)~checksum; /* the sum that it complements */
}

static bool is_v6(const struct frame_shape *shape, const struct tp_listed_channel *channel)
{
	return (shape->is_up ? channel->client : channel->peer).family == TP_IPV6;
}

struct gen_flow *flows_read(const char *path, struct frame_shape *shape)
{
	struct tp_listed_channel *channels;
	struct gen_flow *flows;
	struct tp_why why;
	int64_t n;

	n = tp_channel_list_read(path, &channels, &why);
	if (n < 0)
		die("%s", why.text);
	shape->n_flows = (uint32_t)n;
	shape->is_v6 = is_v6(shape, &channels[0]);
	find_offsets(shape);
	if (shape->frame_bytes > ETH_FRAME_LEN)
		die("a payload of %u bytes makes frames of %u, more than Ethernet's %u",
				shape->payload_bytes, shape->frame_bytes, ETH_FRAME_LEN);
	flows = calloc(shape->n_flows, sizeof(*flows));
	if (flows == NULL)
		die("out of memory");
	for (uint32_t i = 0; i < shape->n_flows; i++) {
		if (is_v6(shape, &channels[i]) != shape->is_v6)
			die("%s: channel %u is not of the first one's address family: frames of a "
			    "run have one length",
					path, i);
		make_flow(&flows[i], shape, &channels[i], i);
	}
	free(channels);
	return flows;
}
