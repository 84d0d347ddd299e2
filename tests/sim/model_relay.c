/* SPDX-License-Identifier: Apache-2.0 */
/* Data: ChannelData, Send, datagrams from peers, ICMP (RFC 8656 sections 11 and 12). */
#include "model.h"

#include "base/clock.h"

#include <string.h>

static void drop(struct model_want *want, enum tp_slow_verdict verdict)
{
	want->verdict = verdict;
}

static bool hop(struct model_want *want, const struct tp_ip_meta *meta)
{
	want->meta = *meta;
	want->meta.ttl--;
	if (meta->ttl > 1)
		return true;
	drop(want, TP_SLOW_DROP_TTL);
	return false;
}

/* To the client of an allocation: the permission always, then the channel if there is one. */
static void to_client(const struct model *m, struct model_want *want, struct model_allocation *to,
		const struct tp_addr *peer, const struct tp_ip_meta *meta)
{
	const struct model_channel *ch;

	if (to == NULL) {
		drop(want, TP_SLOW_DROP_NO_ALLOC);
		return;
	}
	if (!model_has_permission(to, peer)) {
		drop(want, TP_SLOW_DROP_NO_PERM);
		return;
	}
	if (!hop(want, meta))
		return;
	if (m->is_limited[0]) {
		drop(want, TP_SLOW_DROP_RATE);
		return;
	}
	ch = model_by_peer(to, peer);
	want->verdict = TP_SLOW_RELAYED;
	want->to = to;
	want->peer = *peer;
	want->number = ch != NULL ? ch->number : 0;
}

/* From an allocation's relayed address; to a relayed address of this server: not on any wire. */
static void to_peer(struct model *m, struct model_want *want, const struct model_leg *leg,
		const struct tp_addr *peer, const struct tp_ip_meta *meta)
{
	const struct tp_addr from = model_relayed(m, leg, false);
	int relay = model_relay_of(m, peer, false);

	if (m->is_limited[1]) {
		drop(want, TP_SLOW_DROP_RATE);
		return;
	}
	if (relay >= 0) {
		to_client(m, want, model_owner(m, (uint32_t)relay, peer->port), &from, meta);
		return;
	}
	if (!hop(want, meta))
		return;
	want->verdict = TP_SLOW_RELAYED;
	want->is_to_peer = true;
	want->relay_local = model_relayed(m, leg, true);
	want->peer = *peer;
}

/* Section 12.6. */
static void channel_data(
		struct model *m, const struct tp_turn_packet *packet, struct model_want *want)
{
	struct model_allocation *a = model_find(m, want->tuple);
	const uint8_t *p = packet->data;
	const struct model_channel *ch;

	if (packet->len < 4 || (size_t)(p[2] << 8 | p[3]) > packet->len - 4) {
		drop(want, TP_SLOW_DROP_CHANNEL_DATA);
		return;
	}
	if (a == NULL) {
		drop(want, TP_SLOW_DROP_NO_ALLOC);
		return;
	}
	model_arrive(m, want, a);
	ch = model_by_number(a, (uint16_t)(p[0] << 8 | p[1]));
	if (ch == NULL) {
		drop(want, TP_SLOW_DROP_NO_CHANNEL);
		return;
	}
	want->data = p + 4;
	want->len = (size_t)(p[2] << 8 | p[3]);
	to_peer(m, want, &a->leg[model_at(&ch->peer)], &ch->peer, &packet->meta);
}

/* What section 11.2 checks, in its order.  @return TP_SLOW_RELAYED: it may go */
static enum tp_slow_verdict check_send(struct model *m, struct model_want *want,
		struct model_allocation *a, struct tp_addr *peer)
{
	uint16_t unknown;

	if (ref_unknown(&want->msg, &unknown, 1) > 0)
		return TP_SLOW_DROP_UNKNOWN_ATTR;
	if (a == NULL)
		return TP_SLOW_DROP_NO_ALLOC;
	if (want->data == NULL ||
			!ref_addr(&want->msg, ref_get(&want->msg, REF_XOR_PEER_ADDRESS, 0), peer) ||
			peer->port == 0)
		return TP_SLOW_DROP_INDICATION;
	model_arrive(m, want, a);
	if (!a->leg[model_at(peer)].is_on)
		return TP_SLOW_DROP_FAMILY;
	if (!model_has_permission(a, peer))
		return TP_SLOW_DROP_NO_PERM;
	return model_peer_ok(m, peer, true) ? TP_SLOW_RELAYED : TP_SLOW_DROP_FORBIDDEN;
}

static void send_indication(
		struct model *m, const struct tp_turn_packet *packet, struct model_want *want)
{
	struct model_allocation *a = model_find(m, want->tuple);
	struct ref_value data = ref_get(&want->msg, REF_DATA, 0);
	struct tp_ip_meta meta = packet->meta;
	struct tp_addr peer;

	want->data = data.data;
	want->len = data.len;
	want->verdict = check_send(m, want, a, &peer);
	if (want->verdict != TP_SLOW_RELAYED)
		return;
	/* Section 14; section 13 ignores it. */
	want->is_df_asked = ref_get(&want->msg, REF_DONT_FRAGMENT, 0).data != NULL &&
			want->tuple->client.family == TP_IPV4 && peer.family == TP_IPV4;
	meta.is_df |= want->is_df_asked;
	to_peer(m, want, &a->leg[model_at(&peer)], &peer, &meta);
	want->is_df_asked &= want->is_to_peer;
}

static void stun(struct model *m, const struct tp_turn_packet *packet, struct model_want *want)
{
	switch (ref_parse(packet->data, packet->len, &want->msg)) {
	case REF_OK:
		break;
	case REF_NOT_STUN:
		drop(want, TP_SLOW_DROP_NOT_TURN);
		return;
	case REF_MALFORMED:
		drop(want, TP_SLOW_DROP_MALFORMED);
		return;
	case REF_FINGERPRINT:
		drop(want, TP_SLOW_DROP_FINGERPRINT);
		return;
	}
	if (want->msg.class == REF_REQUEST)
		model_request(m, want);
	else if (want->msg.class == REF_INDICATION && want->msg.method == REF_SEND)
		send_indication(m, packet, want);
	else
		drop(want, TP_SLOW_DROP_UNEXPECTED);
}

void model_from_client(struct model *m, const struct tp_tuple *tuple,
		const struct tp_turn_packet *packet, struct model_want *want)
{
	memset(want, 0, sizeof(*want));
	want->tuple = tuple;
	if (packet->len == 0)
		drop(want, TP_SLOW_DROP_NOT_TURN);
	else if (packet->data[0] >= 0x40 && packet->data[0] < 0x80)
		channel_data(m, packet, want);
	else
		stun(m, packet, want);
}

void model_from_peer(struct model *m, const struct tp_addr *relay_local, const struct tp_addr *peer,
		const struct tp_turn_packet *packet, struct model_want *want)
{
	int relay = model_relay_of(m, relay_local, true);

	memset(want, 0, sizeof(*want));
	want->data = packet->data;
	want->len = packet->len;
	to_client(m, want, relay < 0 ? NULL : model_owner(m, (uint32_t)relay, relay_local->port),
			peer, &packet->meta);
}

/* Section 11.5: of the datagram that is quoted, and nothing of who quotes it. */
void model_from_icmp(struct model *m, const struct tp_icmp_error *error, struct model_want *want)
{
	int relay = model_relay_of(m, &error->src, true);
	const struct model_allocation *a =
			relay < 0 ? NULL : model_owner(m, (uint32_t)relay, error->src.port);

	memset(want, 0, sizeof(*want));
	if (a == NULL) {
		drop(want, TP_SLOW_DROP_NO_ALLOC);
		return;
	}
	if (!model_has_permission(a, &error->dst)) {
		drop(want, TP_SLOW_DROP_NO_PERM);
		return;
	}
	want->verdict = TP_SLOW_RELAYED;
	want->is_icmp = want->may_be_rate = true;
	want->error = *error;
	want->to = a;
	want->peer = error->dst;
	want->meta = (struct tp_ip_meta){ .ttl = TP_TURN_TTL, .is_ours = true };
}
