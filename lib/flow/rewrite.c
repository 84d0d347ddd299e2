/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/rewrite.h"

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
		return TP_PUNT;
	if (tp_channel_parse(payload, len, &cd) != 0)
		return TP_DROP_CHANNEL_DATA;
	if (len - TP_CHANNEL_HDR_LEN - cd.len > CHANNEL_PADDING_MAX)
		return TP_PUNT;
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
		memcpy(&p->key.v6, frame + TP_ETH_LEN + 8, 36);
		p->key.v6.channel_be = channel_be;
		memset(p->key.v6.zero, 0, sizeof(p->key.v6.zero));
	} else {
		memcpy(&p->key.v4, frame + TP_ETH_LEN + 12, 12);
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
	const uint8_t *ip = frame + TP_ETH_LEN;
	struct carried c;

	if (view->family == TP_IPV6) {
		c.ttl = ip[7];
		c.tclass = (uint8_t)(ip[0] << 4 | ip[1] >> 4);
		c.is_df = false;
	} else {
		c.ttl = ip[8];
		c.tclass = ip[1];
		c.is_df = (ip[6] & (TP_IPV4_DF >> 8)) != 0;
	}
	memcpy(&c.csum, frame + view->l4 + 6, sizeof(c.csum));
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
	n_pad = in_len - p->data_len - (p->is_up ? TP_CHANNEL_HDR_LEN : 0);
	if (n_pad != 0)
		minus += padding_sum(data + p->data_len, n_pad, p->data_len);
	return csum_finish((uint16_t)~old + (uint32_t)(uint16_t)~tp_csum_fold(minus) + plus);
}

static inline void write_ipv4(uint8_t *ip, const struct tp_flow *out, const struct carried *c,
		uint32_t len, bool is_df, uint16_t ip_id)
{
	struct tp_ipv4_hdr *h = (struct tp_ipv4_hdr *)ip;

	memcpy(ip, out->hdr, TP_IPV4_LEN + TP_UDP_LEN);
	h->tos = c->tclass;
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
	h->ver_class_flow_be |= htonl((uint32_t)c->tclass << 20);
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
	if (out->flags & TP_FLOW_UP)
		return;
	memcpy(udp + TP_UDP_LEN, out->hdr + out->hdr_len - TP_CHANNEL_HDR_LEN, 2);
	memcpy(udp + TP_UDP_LEN + 2, &len_be, sizeof(len_be));
}

static inline void write_ethernet(uint8_t *eth, const struct tp_next_hop *nh, uint16_t ethertype)
{
	memcpy(eth, nh->macs, sizeof(nh->macs));
	eth[12] = (uint8_t)(ethertype >> 8);
	eth[13] = (uint8_t)ethertype;
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

enum tp_verdict tp_rewrite(struct tp_frame *frame, const struct tp_parsed *p,
		const struct tp_flow *in, const struct tp_flow *out, uint64_t egress_ports,
		uint64_t now_ns, uint16_t ip_id)
{
	/* Pairs with the release in tp_flow_set_next_hop(). */
	const struct tp_next_hop *nh = atomic_load_explicit(&out->next_hop, memory_order_acquire);
	const struct carried c = carry(frame->data, &p->view);
	const bool is_out6 = (out->flags & TP_FLOW_OUT6) != 0;
	const uint32_t ip_len = (uint32_t)out->hdr_len + p->data_len;
	const uint32_t udp_len = ip_len - (is_out6 ? TP_IPV6_LEN : TP_IPV4_LEN);
	/* The data stays where it is; the frame to send begins `start` bytes behind the one
	 * received. */
	const int32_t data_at = p->view.payload + (p->is_up ? TP_CHANNEL_HDR_LEN : 0);
	const int32_t start = data_at - out->hdr_len - TP_ETH_LEN;
	uint8_t *eth, *ip;
	uint16_t csum;

	if (now_ns >= deadline(in))
		return p->is_up ? TP_DROP_EXPIRED : TP_PUNT;
	if (now_ns >= deadline(out))
		return TP_PUNT;
	if (c.ttl <= 1)
		return TP_DROP_TTL;
	if (nh == NULL || !can_send(egress_ports, nh) || ip_len > nh->mtu)
		return TP_PUNT;
	if (frame->headroom + start < 0)
		return TP_DROP_HEADROOM;

	csum = udp_csum(c.csum, p, in, out, udp_len, frame->data + data_at);
	eth = frame->data + start;
	ip = eth + TP_ETH_LEN;
	write_ethernet(eth, nh, is_out6 ? TP_ETHERTYPE_IPV6 : TP_ETHERTYPE_IPV4);
	if (is_out6) {
		write_ipv6(ip, out, &c, udp_len);
		write_udp(ip + TP_IPV6_LEN, out, udp_len, csum, p->data_len);
	} else {
		write_ipv4(ip, out, &c, ip_len,
				p->view.family == TP_IPV6 ? ip_len > DF_CLEAR_MAX : c.is_df, ip_id);
		write_udp(ip + TP_IPV4_LEN, out, udp_len, csum, p->data_len);
	}
	frame->data = eth;
	frame->len = (uint16_t)(TP_ETH_LEN + ip_len);
	frame->headroom = (uint16_t)(frame->headroom + start);
	frame->port = nh->port;
	return TP_FORWARD;
}
