/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/rewrite.h"

#include "flow/indication.h"
#include "wire/channel.h"
#include "wire/checksum.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#define CHANNEL_PADDING_MAX 3 /* RFC 8656 section 12.5: up to the next multiple of four */

/* RFC 7915 section 5.1: what fits IPv6's 1280 with its 20 bytes longer header may be fragmented. */
#define DF_CLEAR_MAX 1260

static enum tp_verdict classify_up(const struct tp_frame *frame, struct tp_parsed *out)
{
	const uint8_t *payload = frame->data + out->view.payload;
	uint16_t len = out->view.payload_len;
	struct tp_channel_data cd;

	if (len == 0 || !tp_channel_first_byte(payload[0]))
		return tp_send_classify(frame->data, out);
	if (tp_channel_parse(payload, len, &cd) != 0)
		return TP_DROP_CHANNEL_DATA;
	if (len - TP_CHANNEL_HDR_LEN - cd.len > CHANNEL_PADDING_MAX)
		return TP_PUNT;
	out->head_len = TP_CHANNEL_HDR_LEN;
	out->data_len = cd.len;
	return TP_FORWARD;
}

/* Both addresses and both ports lie in a row in the packet, and in the same order in the key. */
static void form_key(const uint8_t *frame, struct tp_parsed *p)
{
	uint16_t channel_be = 0;

	if (p->is_up)
		memcpy(&channel_be, frame + p->view.payload, sizeof(channel_be));
	if (p->view.family == TP_IPV6) {
		memcpy(&p->key.v6, frame + p->view.l4 - 32, 36);
		p->key.v6.channel_be = channel_be;
		memset(p->key.v6.zero, 0, sizeof(p->key.v6.zero));
	} else {
		memcpy(&p->key.v4, frame + p->view.l4 - 8, 12);
		p->key.v4.channel_be = channel_be;
		p->key.v4.zero = 0;
	}
}

static uint16_t dst_port(const uint8_t *frame, const struct tp_udp_view *view)
{
	return (uint16_t)(frame[view->l4 + 2] << 8 | frame[view->l4 + 3]);
}

enum tp_verdict tp_classify(const struct tp_classify_conf *conf, const struct tp_frame *frame,
		struct tp_parsed *out)
{
	enum tp_verdict v = tp_ip_parse_udp(frame->data, frame->len, &out->view);
	uint16_t port;

	if (v != TP_FORWARD)
		return v;
	port = dst_port(frame->data, &out->view);
	out->is_up = port < conf->relay_port_min || port > conf->relay_port_max;
	out->head_len = 0;
	out->data_len = out->view.payload_len;
	if (out->is_up) {
		v = classify_up(frame, out);
		if (v != TP_FORWARD)
			return v;
	}
	form_key(frame->data, out);
	return TP_FORWARD;
}

/* What outlives the received headers, read before the new ones are written over them. */
struct carried {
	uint8_t ttl, tclass;
	bool is_df;
	uint16_t csum;
};

static inline struct carried carry(const uint8_t *frame, const struct tp_udp_view *view)
{
	const uint8_t *udp = frame + view->l4, *ip;
	struct carried c;

	if (view->family == TP_IPV6) {
		ip = udp - TP_IPV6_LEN;
		c.ttl = ip[7];
		c.tclass = (uint8_t)(ip[0] << 4 | ip[1] >> 4);
		c.is_df = false;
	} else {
		ip = udp - TP_IPV4_LEN;
		c.ttl = ip[8];
		c.tclass = ip[1];
		c.is_df = (ip[6] & (TP_IPV4_DF >> 8)) != 0;
	}
	memcpy(&c.csum, udp + 6, sizeof(c.csum));
	return c;
}

/* UDP's length counts twice, in pseudo header and header; ChannelData's once, if there is any. */
static inline uint32_t len_sum(uint32_t udp_len, uint16_t channel_len)
{
	return 2u * htons((uint16_t)udp_len) + htons(channel_len);
}

/*
 * Sum of the padding that stays behind.  It begins at an even offset of the datagram where
 * data_len is even, else in the second half of a word.
 */
static uint32_t padding_sum(const uint8_t *pad, uint32_t n, uint16_t data_len)
{
	uint8_t word[4] = { 0 };

	memcpy(word + (data_len & 1), pad, n);
	return tp_csum_add(0, word, sizeof(word));
}

static inline uint16_t csum_finish(uint32_t sum)
{
	uint16_t csum = (uint16_t)~tp_csum_fold(sum);

	return csum != 0 ? csum : 0xffff;
}

/*
 * RFC 1624, equation 3: HC' = ~(~HC + ~m + m').  The sums have a few 16-bit terms each: no
 * overflow.  `old` is the checksum received, `data` what follows the headers.
 */
static inline uint16_t udp_csum(uint16_t old, const struct tp_parsed *p, const struct tp_flow *in,
		const struct tp_flow *out, uint32_t udp_len, const uint8_t *data)
{
	uint32_t in_len = p->view.payload_len, minus, plus, n_pad;

	plus = out->out_sum + len_sum(udp_len, (out->flags & TP_FLOW_UP) ? 0 : p->data_len);
	if (old == 0) {
		if ((out->flags & TP_FLOW_OUT6) == 0)
			return 0;
		/* RFC 7915 section 4.5.  Protocol 17 is in no flow's sum: it never changes. */
		return csum_finish(tp_csum_add(plus + htons(TP_IPPROTO_UDP), data, p->data_len));
	}
	minus = in->in_sum + len_sum(TP_UDP_LEN + in_len, p->is_up ? p->data_len : 0);
	n_pad = in_len - p->data_len - p->head_len;
	if (n_pad != 0)
		minus += padding_sum(data + p->data_len, n_pad, p->data_len);
	return csum_finish((uint16_t)~old + (uint32_t)(uint16_t)~tp_csum_fold(minus) + plus);
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

static inline void write_ipv4(uint8_t *ip, const struct tp_flow *out, const struct carried *c,
		uint32_t len, bool is_df, uint16_t ip_id)
{
	struct tp_ipv4_hdr *h = (struct tp_ipv4_hdr *)ip;

	memcpy(ip, out->hdr, TP_IPV4_LEN + TP_UDP_LEN);
	h->tos = c->tclass & (uint8_t)~out->tclass_clear;
	h->total_len_be = htons((uint16_t)len);
	h->id_be = is_df ? 0 : htons(ip_id); /* RFC 6864: an atomic datagram needs none */
	h->frag_be = is_df ? htons(TP_IPV4_DF) : 0;
	h->ttl = (uint8_t)(c->ttl - 1);
	h->csum = (uint16_t)~tp_csum_fold((uint32_t)out->ip_sum + htons(h->tos) + h->total_len_be +
			h->id_be + h->frag_be + htons((uint16_t)(h->ttl << 8)));
}

static inline void write_ipv6(
		uint8_t *ip, const struct tp_flow *out, const struct carried *c, uint32_t udp_len)
{
	struct tp_ipv6_hdr *h = (struct tp_ipv6_hdr *)ip;

	memcpy(ip, out->hdr, TP_IPV6_LEN + TP_UDP_LEN);
	h->ver_class_flow_be |= htonl((uint32_t)(c->tclass & (uint8_t)~out->tclass_clear) << 20);
	h->payload_len_be = htons((uint16_t)udp_len);
	h->hop_limit = (uint8_t)(c->ttl - 1);
}

/* The rest of the UDP header, and ChannelData's, in front of the data. */
static inline void write_udp(uint8_t *udp, const struct tp_flow *out, uint32_t udp_len,
		uint16_t csum, uint16_t data_len)
{
	struct tp_udp_hdr *h = (struct tp_udp_hdr *)udp;
	uint16_t len_be = htons(data_len);

	h->len_be = htons((uint16_t)udp_len);
	h->csum = csum;
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

/*
 * Link-layer header.  To copy the room for a tag whether there is one or not costs no branch: the
 * ethertype and the IP header are written behind it, over what was too much.
 */
static inline void write_l2(uint8_t *eth, const struct tp_next_hop *nh, uint16_t ethertype)
{
	memcpy(eth, nh->l2, sizeof(nh->l2));
	eth[nh->l2_len] = (uint8_t)(ethertype >> 8);
	eth[nh->l2_len + 1] = (uint8_t)ethertype;
}

static inline uint64_t deadline(const struct tp_flow *flow)
{
	return atomic_load_explicit(&flow->deadline_ns, memory_order_relaxed);
}

/* Asked here, of the one next hop that the packet is then given: the writer may change it any time.
 */
static inline bool can_send(uint64_t egress_ports, const struct tp_next_hop *nh)
{
	return nh->port < 64 && (egress_ports >> nh->port & 1) != 0;
}

/* key and tids are of is_indication, which is a constant wherever this is inlined. */
static inline __attribute__((always_inline)) enum tp_verdict rewrite(struct tp_frame *frame,
		const struct tp_parsed *p, const struct tp_flow *in, const struct tp_flow *out,
		const union tp_flow_key *key, struct tp_tid_source *tids, uint64_t egress_ports,
		uint64_t now_ns, uint16_t ip_id, const bool is_indication)
{
	/* Pairs with the release in tp_flow_set_next_hop(). */
	const struct tp_next_hop *nh = atomic_load_explicit(&out->next_hop, memory_order_acquire);
	const struct carried c = carry(frame->data, &p->view);
	const bool is_out6 = (out->flags & TP_FLOW_OUT6) != 0;
	const bool is_data = is_indication && is_data_indication(out);
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
	if (ip_len > out->whole_max && p->view.family == TP_IPV4 && !c.is_df)
		return TP_PUNT;
	if (is_data &&
			data_at + p->data_len + around.pad_len >
					(uint32_t)frame->len + frame->tailroom)
		return TP_PUNT;
	if (is_indication && tp_parsed_is_send(p) && !tp_send_fingerprint_ok(frame->data, p))
		return TP_PUNT;
	start = ip_at - (nh->l2_len + TP_ETHERTYPE_LEN);
	if (frame->headroom + start < 0)
		return TP_DROP_HEADROOM;

	if (is_data)
		tp_data_head(around.head, key, (out->flags & TP_FLOW_IN6) != 0, p->data_len, tids);
	csum = is_indication ? udp_csum_indication(frame->data, p, out, udp_len, &around)
			     : udp_csum(c.csum, p, in, out, udp_len, frame->data + data_at);
	ip = frame->data + ip_at;
	udp = ip + (is_out6 ? TP_IPV6_LEN : TP_IPV4_LEN);
	write_l2(frame->data + start, nh, is_out6 ? TP_ETHERTYPE_IPV6 : TP_ETHERTYPE_IPV4);
	if (is_out6) {
		write_ipv6(ip, out, &c, udp_len);
		write_udp(udp, out, udp_len, csum, p->data_len);
	} else {
		write_ipv4(ip, out, &c, ip_len,
				p->view.family == TP_IPV6 ? ip_len > DF_CLEAR_MAX : c.is_df, ip_id);
		write_udp(udp, out, udp_len, csum, p->data_len);
	}
	if (is_indication)
		write_indication(udp, out, p, &around);
	frame->data += start;
	frame->len = (uint16_t)(ip_at - start + ip_len);
	frame->headroom = (uint16_t)(frame->headroom + start);
	frame->port = nh->port;
	return TP_FORWARD;
}

enum tp_verdict tp_rewrite(struct tp_frame *frame, const struct tp_parsed *p,
		const struct tp_flow *in, const struct tp_flow *out, uint64_t egress_ports,
		uint64_t now_ns, uint16_t ip_id)
{
	return rewrite(frame, p, in, out, NULL, NULL, egress_ports, now_ns, ip_id, false);
}

enum tp_verdict tp_rewrite_indication(struct tp_frame *frame, const struct tp_parsed *p,
		const struct tp_flow *in, const struct tp_flow *out, const union tp_flow_key *key,
		struct tp_tid_source *tids, uint64_t egress_ports, uint64_t now_ns, uint16_t ip_id)
{
	return rewrite(frame, p, in, out, key, tids, egress_ports, now_ns, ip_id, true);
}
