/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/rewrite.h"

#include "flow/rewrite_private.h"

enum tp_verdict tp_classify(const struct tp_classify_conf *conf, const struct tp_frame *frame,
		struct tp_parsed *out)
{
	uint64_t hash;

	return classify(conf, frame, 0, out, &hash);
}

enum tp_verdict tp_rewrite(struct tp_frame *frame, const struct tp_parsed *p,
		const struct tp_flow *in, const struct tp_flow *out, uint64_t egress_ports,
		uint64_t now_ns, uint16_t ip_id)
{
	const struct rewrite_env env = { egress_ports, now_ns, ip_id };

	return rewrite(frame, frame, p, in, out, &env, way_of(in, out));
}

/* ---- indications ---- */

/* What outlives the received headers, read before the new ones are written over them. */
struct carried {
	uint8_t ttl, tclass;
	uint8_t df; /* as in the packet: TP_IPV4_DF >> 8 or 0 */
};

static inline struct carried carry(const uint8_t *frame, const struct tp_udp_view *view)
{
	const uint8_t *ip = frame + view->l3;

	if (view->family == TP_IPV6)
		return (struct carried){
			.ttl = ip[7], .tclass = (uint8_t)(ip[0] << 4 | ip[1] >> 4), .df = 0
		};
	return (struct carried){ .ttl = ip[8], .tclass = ip[1], .df = ip[6] & (TP_IPV4_DF >> 8) };
}

/* Bytes of the indication that is written around the data; none where it leaves as anything else.
 */
struct around {
	uint32_t head_len, pad_len;
	uint8_t head[TP_INDICATION_LEN6];
};

static inline bool is_data_indication(const struct tp_flow *out)
{
	return (out->flags & (TP_FLOW_INDICATION | TP_FLOW_UP)) == TP_FLOW_INDICATION;
}

/* Sum of n bytes behind the data: what begins in the second half of a word counts swapped. */
static uint32_t tail_sum(const uint8_t *tail, uint32_t n, uint16_t data_len)
{
	uint16_t sum = tp_csum_fold(tp_csum_add(0, tail, n));

	return data_len & 1 ? __builtin_bswap16(sum) : sum;
}

/*
 * The checksum of an indication, before or after.  All words of a datagram add up to -0, so the
 * data is worth the complement of everything around it: addresses, UDP header (with the checksum,
 * right or wrong), head, tail, and the length once more for the pseudo header.
 */
static uint16_t udp_csum_indication(const uint8_t *frame, const struct tp_parsed *p,
		const struct tp_flow *out, uint32_t udp_len, const struct around *around)
{
	const uint8_t *udp = frame + p->view.l4, *data = frame + p->view.payload + p->head_len;
	const uint8_t *addrs = udp - (p->view.family == TP_IPV6 ? 32 : 8);
	uint32_t n_tail = p->view.payload_len - p->head_len - p->data_len, minus, plus;
	bool has_channel = (out->flags & (TP_FLOW_INDICATION | TP_FLOW_UP)) == 0;

	plus = out->out_sum + len_sum(udp_len, has_channel ? p->data_len : 0);
	if (out->flags & TP_FLOW_UP)
		plus += htons(p->peer_port);
	plus = tp_csum_add(plus, around->head, around->head_len);
	if (udp[6] == 0 && udp[7] == 0) {
		if ((out->flags & TP_FLOW_OUT6) == 0)
			return 0;
		return csum_finish(tp_csum_add(plus + htons(TP_IPPROTO_UDP), data, p->data_len));
	}
	minus = tp_csum_add(htons((uint16_t)(TP_UDP_LEN + p->view.payload_len)), addrs,
			(size_t)(data - addrs));
	minus += tail_sum(data + p->data_len, n_tail, p->data_len);
	return csum_finish((uint32_t)(uint16_t)~tp_csum_fold(minus) + plus);
}

/* In front of the data, where it leaves as ChannelData. */
static inline void write_channel(uint8_t *udp, const struct tp_flow *out, uint16_t data_len)
{
	uint16_t len_be = htons(data_len);

	if (out->flags & (TP_FLOW_UP | TP_FLOW_INDICATION))
		return;
	memcpy(udp + TP_UDP_LEN, out->hdr + out->hdr_len - TP_CHANNEL_HDR_LEN, 2);
	memcpy(udp + TP_UDP_LEN + 2, &len_be, sizeof(len_be));
}

/* What a permission's flow leaves open. */
static inline void write_indication(uint8_t *udp, const struct tp_flow *out,
		const struct tp_parsed *p, const struct around *around)
{
	uint16_t peer_port_be = htons(p->peer_port);

	if (out->flags & TP_FLOW_UP)
		memcpy(udp + 2, &peer_port_be, sizeof(peer_port_be));
	memcpy(udp + TP_UDP_LEN, around->head, around->head_len);
	memset(udp + TP_UDP_LEN + around->head_len + p->data_len, 0, around->pad_len);
}

enum tp_verdict tp_rewrite_indication(struct tp_frame *frame, const struct tp_parsed *p,
		const struct tp_flow *in, const struct tp_flow *out, const union tp_flow_key *key,
		struct tp_tid_source *tids, uint64_t egress_ports, uint64_t now_ns, uint16_t ip_id)
{
	/* Pairs with the release in tp_flow_set_next_hop(). */
	const struct tp_next_hop *nh = atomic_load_explicit(&out->next_hop, memory_order_acquire);
	const struct carried c = carry(frame->data, &p->view);
	const bool is_out6 = (out->flags & TP_FLOW_OUT6) != 0;
	const bool is_data = is_data_indication(out);
	struct around around = {
		.head_len = is_data ? tp_data_head_len(out) : 0,
		.pad_len = is_data ? -(uint32_t)p->data_len & 3 : 0,
	};
	const uint32_t ip_len = out->hdr_len + around.head_len + p->data_len + around.pad_len;
	const uint32_t udp_len = ip_len - (is_out6 ? TP_IPV6_LEN : TP_IPV4_LEN);
	/* The data stays where it is; the frame to send begins `start` bytes behind the one
	 * received, and its IP packet at ip_at. */
	const int32_t data_at = p->view.payload + p->head_len;
	const int32_t ip_at = data_at - (int32_t)around.head_len - out->hdr_len;
	int32_t start;
	uint8_t *ip, *udp;
	uint16_t csum;

	if (now_ns >= deadline(in))
		return p->is_up ? TP_DROP_EXPIRED : TP_PUNT;
	if (now_ns >= deadline(out))
		return TP_PUNT;
	if (c.ttl <= 1)
		return TP_PUNT;
	if (nh == NULL || !can_send(egress_ports, nh) || ip_len > nh->mtu)
		return TP_PUNT;
	if (ip_len > out->whole_max && p->view.family == TP_IPV4 && c.df == 0)
		return TP_PUNT;
	if (is_data &&
			data_at + p->data_len + around.pad_len >
					(uint32_t)frame->len + frame->tailroom)
		return TP_PUNT;
	if (tp_parsed_is_send(p) && !tp_send_fingerprint_ok(frame->data, p))
		return TP_PUNT;
	start = ip_at - (nh->l2_len + TP_ETHERTYPE_LEN);
	if (frame->headroom + start < 0)
		return TP_DROP_HEADROOM;

	if (is_data)
		tp_data_head(around.head, key, (out->flags & TP_FLOW_IN6) != 0, p->data_len, tids);
	csum = udp_csum_indication(frame->data, p, out, udp_len, &around);
	ip = frame->data + ip_at;
	udp = ip + (is_out6 ? TP_IPV6_LEN : TP_IPV4_LEN);
	write_l2(frame->data + start, nh, is_out6 ? TP_ETHERTYPE_IPV6 : TP_ETHERTYPE_IPV4);
	if (is_out6)
		write_ipv6(ip, out, (uint8_t)(c.ttl - 1), c.tclass, udp_len);
	else
		write_ipv4(ip, out, (uint8_t)(c.ttl - 1), c.tclass, ip_len,
				p->view.family == TP_IPV6 && ip_len > DF_CLEAR_MAX ? TP_IPV4_DF >> 8
										   : c.df,
				ip_id);
	write_udp(udp, udp_len, csum);
	write_channel(udp, out, p->data_len);
	write_indication(udp, out, p, &around);
	frame->data += start;
	frame->len = (uint16_t)(ip_at - start + (int32_t)ip_len);
	frame->headroom = (uint16_t)(frame->headroom + start);
	frame->port = nh->port;
	return TP_FORWARD;
}
