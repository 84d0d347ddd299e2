/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/relay.h"

#include <errno.h>
#include <string.h>

#include "wire/be.h"
#include "wire/stun_build.h"

/* STUN header, XOR-PEER-ADDRESS over IPv6, DATA's header. */
#define INDICATION_HEAD_MAX (TP_STUN_HDR_LEN + 24 + 4)

#define ICMP_LEN 8 /* value of the ICMP attribute: reserved, type, code, error data */
#define ICMP_INDICATION_MAX (TP_STUN_HDR_LEN + 24 + 4 + ICMP_LEN)

/* Decrement the hop count as a router does.  @return false when there is nothing left */
static bool next_hop_meta(const struct tp_ip_meta *in, struct tp_ip_meta *out)
{
	if (in->ttl <= 1)
		return false;
	*out = *in;
	out->ttl--;
	return true;
}

static enum tp_slow_verdict sent(int rc)
{
	if (rc == -EMSGSIZE)
		return TP_SLOW_DROP_TOO_BIG;
	return rc < 0 ? TP_SLOW_DROP_SEND : TP_SLOW_RELAYED;
}

static int send_channel_data(struct tp_turn *turn, const struct tp_allocation *alloc,
		uint16_t number, const struct tp_turn_packet *packet, const struct tp_ip_meta *meta)
{
	uint8_t head[TP_CHANNEL_HDR_LEN];
	const struct tp_bytes part[] = { { head, sizeof(head) }, { packet->data, packet->len } };

	tp_channel_header(head, number, (uint16_t)packet->len);
	return turn->ops.send_client(turn->ctx, &alloc->tuple, part, 2, meta);
}

/* Data indication (section 11.3): DATA last, so that the payload is sent from where it lies. */
static int send_data(struct tp_turn *turn, const struct tp_allocation *alloc,
		const struct tp_addr *peer, const struct tp_turn_packet *packet,
		const struct tp_ip_meta *meta)
{
	static const uint8_t padding[3];
	uint8_t head[INDICATION_HEAD_MAX], tid[TP_STUN_TID_LEN];
	size_t pad = -packet->len & 3, body;
	struct tp_stun_builder b;
	struct tp_bytes part[3];

	turn->ops.random(turn->ctx, tid, sizeof(tid));
	tp_stun_begin(&b, head, sizeof(head), TP_STUN_DATA, TP_STUN_INDICATION, tid);
	tp_stun_put_xor_addr(&b, TP_STUN_ATTR_XOR_PEER_ADDRESS, peer);
	part[0].len = tp_stun_finish(&b);
	body = part[0].len - TP_STUN_HDR_LEN + 4 + packet->len + pad;
	if (body > UINT16_MAX)
		return -EMSGSIZE;
	/* DATA's own header, and the length of the whole message. */
	head[part[0].len++] = TP_STUN_ATTR_DATA >> 8;
	head[part[0].len++] = TP_STUN_ATTR_DATA & 0xff;
	head[part[0].len++] = (uint8_t)(packet->len >> 8);
	head[part[0].len++] = (uint8_t)packet->len;
	head[2] = (uint8_t)(body >> 8);
	head[3] = (uint8_t)body;
	part[0].data = head;
	part[1] = (struct tp_bytes){ packet->data, packet->len };
	part[2] = (struct tp_bytes){ padding, pad };
	return turn->ops.send_client(turn->ctx, &alloc->tuple, part, 3, meta);
}

enum tp_slow_verdict tp_relay_from_peer(struct tp_turn *turn, struct tp_allocation *alloc,
		const struct tp_addr *peer, const struct tp_turn_packet *packet)
{
	struct tp_permission *perm = tp_permission_find(turn, alloc, peer);
	const struct tp_channel *ch;
	struct tp_ip_meta meta;
	int rc;

	/* The permission first, and always: a channel does not stand in for it (section 11.3). */
	if (perm == NULL)
		return TP_SLOW_DROP_NO_PERM;
	if (!next_hop_meta(&packet->meta, &meta))
		return TP_SLOW_DROP_TTL;
	if (!tp_allocation_admits(turn, alloc, false, packet->len, peer))
		return TP_SLOW_DROP_RATE;
	ch = tp_channel_by_peer(turn, alloc, peer);
	if (ch != NULL)
		rc = send_channel_data(turn, alloc, (uint16_t)ch->number_key.number, packet, &meta);
	else
		rc = send_data(turn, alloc, peer, packet, &meta);
	if (rc == 0)
		tp_allocation_relayed(turn, alloc, false, packet->len);
	if (rc == 0 && ch == NULL)
		tp_permission_use(turn, perm);
	return sent(rc);
}

enum tp_slow_verdict tp_relay_icmp(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_allocation *alloc, const struct tp_icmp_error *error)
{
	static const struct tp_ip_meta meta = { .ttl = TP_TURN_TTL, .is_ours = true };
	uint8_t buf[ICMP_INDICATION_MAX], tid[TP_STUN_TID_LEN];
	uint8_t value[ICMP_LEN] = { 0, 0, error->type, error->code };
	struct tp_bytes part = { .data = buf };
	struct tp_stun_builder b;

	/* Of where the datagram went.  Who sent the error MUST NOT matter, and a channel does not.
	 */
	if (tp_permission_find(turn, alloc, &error->dst) == NULL)
		return TP_SLOW_DROP_NO_PERM;
	if (!tp_bucket_take(&turn->icmp, now->mono_ns))
		return TP_SLOW_DROP_ICMP_RATE;
	tp_be32_put(value + 4, error->mtu);
	turn->ops.random(turn->ctx, tid, sizeof(tid));
	tp_stun_begin(&b, buf, sizeof(buf), TP_STUN_DATA, TP_STUN_INDICATION, tid);
	tp_stun_put_xor_addr(&b, TP_STUN_ATTR_XOR_PEER_ADDRESS, &error->dst);
	tp_stun_put(&b, TP_STUN_ATTR_ICMP, value, sizeof(value));
	part.len = tp_stun_finish(&b);
	return sent(turn->ops.send_client(turn->ctx, &alloc->tuple, &part, 1, &meta));
}

/* To another allocation of this server: one hop, as in the workers. */
static enum tp_slow_verdict to_relayed(struct tp_turn *turn, const struct tp_leg *from,
		uint32_t relay, uint16_t port, const struct tp_turn_packet *packet)
{
	struct tp_allocation *to = tp_allocation_of_port(turn, relay, port);
	const struct tp_addr source = tp_leg_external(turn, from);

	if (to == NULL)
		return TP_SLOW_DROP_NO_ALLOC;
	return tp_relay_from_peer(turn, to, &source, packet);
}

static enum tp_slow_verdict to_anyone(struct tp_turn *turn, const struct tp_leg *leg,
		const struct tp_addr *peer, const struct tp_turn_packet *packet)
{
	const struct tp_addr local = tp_leg_local(turn, leg);
	struct tp_turn_packet out = *packet;
	int relay = tp_relay_of_external(turn, peer);

	if (relay >= 0)
		return to_relayed(turn, leg, (uint32_t)relay, peer->port, packet);
	if (!next_hop_meta(&packet->meta, &out.meta))
		return TP_SLOW_DROP_TTL;
	return sent(turn->ops.send_peer(turn->ctx, &local, peer, &out));
}

static enum tp_slow_verdict to_peer(struct tp_turn *turn, const struct tp_allocation *alloc,
		const struct tp_addr *peer, const struct tp_turn_packet *packet)
{
	enum tp_slow_verdict v;

	if (!tp_allocation_admits(turn, alloc, true, packet->len, peer))
		return TP_SLOW_DROP_RATE;
	v = to_anyone(turn, &alloc->leg[tp_leg_at(peer->family)], peer, packet);
	if (v == TP_SLOW_RELAYED)
		tp_allocation_relayed(turn, alloc, true, packet->len);
	return v;
}

enum tp_slow_verdict tp_relay_channel_data(struct tp_turn *turn, const struct tp_tuple *tuple,
		const struct tp_turn_packet *packet)
{
	struct tp_turn_packet data = *packet;
	const struct tp_allocation *alloc;
	const struct tp_channel *ch;
	struct tp_channel_data cd;

	if (tp_channel_parse(packet->data, packet->len, &cd) < 0)
		return TP_SLOW_DROP_CHANNEL_DATA;
	alloc = tp_allocation_find(turn, tuple);
	if (alloc == NULL)
		return TP_SLOW_DROP_NO_ALLOC;
	/* Also what is in the reserved range: it can not be bound (section 12.6). */
	ch = tp_channel_by_number(turn, alloc, cd.number);
	if (ch == NULL)
		return TP_SLOW_DROP_NO_CHANNEL;
	data.data = cd.data;
	data.len = cd.len;
	return to_peer(turn, alloc, &ch->peer_key.ip, &data);
}

/* The packet had DF because the client asked for it, and is larger than our way out. */
static void report_dont_fragment(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_allocation *alloc, const struct tp_leg *leg,
		const struct tp_addr *peer)
{
	struct tp_icmp_error error = {
		.type = TP_ICMP4_UNREACHABLE,
		.code = TP_ICMP4_FRAG_NEEDED,
		.src = tp_leg_local(turn, leg),
		.dst = *peer,
	};

	if (turn->ops.path_mtu == NULL)
		return;
	error.mtu = turn->ops.path_mtu(turn->ctx, &error.src, peer);
	tp_relay_icmp(turn, now, alloc, &error);
}

enum tp_slow_verdict tp_relay_send(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_tuple *tuple, const struct tp_stun_msg *msg,
		const struct tp_ip_meta *meta)
{
	const struct tp_stun_value *value = &msg->attr[TP_STUN_DATA_AT];
	struct tp_turn_packet data = { .data = value->data, .len = value->len, .meta = *meta };
	struct tp_allocation *alloc = tp_allocation_find(turn, tuple);
	struct tp_permission *perm;
	enum tp_slow_verdict v;
	const struct tp_leg *leg;
	struct tp_addr peer;
	bool is_asked;

	if (alloc == NULL)
		return TP_SLOW_DROP_NO_ALLOC;
	if (value->data == NULL ||
			tp_stun_get_xor_addr(msg, TP_STUN_XOR_PEER_ADDRESS_AT, &peer) < 0 ||
			peer.port == 0)
		return TP_SLOW_DROP_INDICATION;
	leg = &alloc->leg[tp_leg_at(peer.family)];
	if (!leg->is_present)
		return TP_SLOW_DROP_FAMILY;
	perm = tp_permission_find(turn, alloc, &peer);
	if (perm == NULL)
		return TP_SLOW_DROP_NO_PERM;
	if (!tp_peer_allowed(turn, &peer, true))
		return TP_SLOW_DROP_FORBIDDEN;
	/*
	 * Section 14: DF is set when the indication says so, else copied from its own packet. Where
	 * the packet is translated, the attribute MUST be ignored (section 13).
	 */
	is_asked = tuple->client.family == TP_IPV4 && peer.family == TP_IPV4 &&
			tp_stun_has(msg, TP_STUN_DONT_FRAGMENT_AT);
	if (is_asked)
		data.meta.is_df = true;
	v = to_peer(turn, alloc, &peer, &data);
	/* Another client's way is not this one's to learn: it is told as any sender is. */
	if (v == TP_SLOW_DROP_TOO_BIG && is_asked && tp_relay_of_external(turn, &peer) < 0) {
		report_dont_fragment(turn, now, alloc, leg, &peer);
		return TP_SLOW_DROP_DONT_FRAG;
	}
	if (v == TP_SLOW_RELAYED)
		tp_permission_use(turn, perm);
	return v;
}
