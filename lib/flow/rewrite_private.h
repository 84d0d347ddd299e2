/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite_private - what every packet goes through, for rewrite.c and pipeline.c.
 *
 * Twelve copies of one function, one for each way of ChannelData: with families and direction
 * constant, headers have constant lengths and offsets, and most of what would be asked of the flow
 * is not asked.  Half of the instructions of the one for all ways; bench/README.md has the numbers.
 */
#ifndef TP_FLOW_REWRITE_PRIVATE_H
#define TP_FLOW_REWRITE_PRIVATE_H

#include <arpa/inet.h>
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "flow/indication.h"
#include "flow/lookup.h"
#include "flow/rewrite.h"
#include "wire/channel.h"
#include "wire/checksum.h"
#include "wire/ip.h"

#define INLINE static inline __attribute__((always_inline))

#define CHANNEL_PADDING_MAX 3 /* RFC 8656 section 12.5: up to the next multiple of four */

/* RFC 7915 section 5.1: what fits IPv6's 1280 with its 20 bytes longer header may be fragmented. */
#define DF_CLEAR_MAX 1260

/* ---- a frame to its key ---- */

/* Towards a listener, and not ChannelData with its padding at most.  *out has its view. */
static __attribute__((noinline)) enum tp_verdict classify_odd(
		const struct tp_frame *frame, struct tp_parsed *out)
{
	const uint8_t *payload = frame->data + out->view.payload;
	uint16_t len = out->view.payload_len;
	struct tp_channel_data cd;

	if (len == 0 || !tp_channel_first_byte(payload[0]))
		return tp_send_classify(frame->data, out);
	if (tp_channel_parse(payload, len, &cd) != 0)
		return TP_DROP_CHANNEL_DATA;
	assert(len - TP_CHANNEL_HDR_LEN - cd.len > CHANNEL_PADDING_MAX);
	return TP_PUNT;
}

/*
 * Both addresses and both ports lie in a row in the packet, and in the same order in the key.  By
 * whole words: who hashes it would wait for smaller stores to leave the store buffer.
 *
 * @param last  the last word: ports, and of what is up the first two bytes of the payload, where
 *              ChannelData has its number
 */
INLINE void form_key(const uint8_t *udp, const bool is_v6, uint64_t last, union tp_flow_key *key)
{
	if (is_v6) {
		memcpy(&key->v6, udp - 32, 32);
		memcpy(&key->v6.src_port_be, &last, sizeof(last));
	} else {
		memcpy(&key->v4, udp - 8, 8);
		memcpy(&key->v4.src_port_be, &last, sizeof(last));
	}
}

/*
 * What comes behind the UDP header; with a constant view, of constants.
 *
 * @param[out] hash  of the key; nothing of a Send indication's
 */
INLINE enum tp_verdict classify_payload(const struct tp_classify_conf *conf,
		const struct tp_frame *frame, const struct tp_udp_view *view, uint64_t seed,
		struct tp_parsed *out, uint64_t *hash)
{
	const uint8_t *udp = frame->data + view->l4;
	const uint32_t len = view->payload_len;
	uint32_t ports, data_len = len;
	/* Read apart: over IPv6 a cache line ends between them. */
	uint16_t number_be = 0, data_len_be = 0;
	bool is_up;

	memcpy(&ports, udp, sizeof(ports));
	is_up = (uint16_t)(ntohs((uint16_t)(ports >> 16)) - conf->relay_port_min) >
			(uint16_t)(conf->relay_port_max - conf->relay_port_min);
	out->view = *view;
	out->is_up = is_up;
	if (is_up) {
		if (len >= TP_CHANNEL_HDR_LEN) {
			memcpy(&number_be, udp + TP_UDP_LEN, sizeof(number_be));
			memcpy(&data_len_be, udp + TP_UDP_LEN + 2, sizeof(data_len_be));
		}
		data_len = ntohs(data_len_be);
	}
	out->head_len = is_up ? TP_CHANNEL_HDR_LEN : 0;
	out->data_len = (uint16_t)data_len;
	form_key(udp, view->family == TP_IPV6, ports | (uint64_t)number_be << 32, &out->key);
	/* Less than the length says is more padding than there can be, too. */
	if (is_up &&
			__builtin_expect(
					len - TP_CHANNEL_HDR_LEN - data_len > CHANNEL_PADDING_MAX ||
							!tp_channel_first_byte((uint8_t)number_be),
					false))
		return classify_odd(frame, out);
	if (view->family == TP_IPV6)
		*hash = tp_flow_hash(seed, &out->key, TP_FLOW_CHANNEL6);
	else
		*hash = tp_flow_hash(seed, &out->key, TP_FLOW_CHANNEL4);
	return TP_FORWARD;
}

INLINE enum tp_verdict classify_untagged(const struct tp_classify_conf *conf,
		const struct tp_frame *frame, const uint16_t ethertype, uint64_t seed,
		struct tp_parsed *out, uint64_t *hash)
{
	struct tp_udp_view view;
	enum tp_verdict v = tp_ip_parse_untagged(frame->data, frame->len, ethertype, &view);

	return v == TP_FORWARD ? classify_payload(conf, frame, &view, seed, out, hash) : v;
}

/* With a tag, or nothing that we know. */
static __attribute__((noinline)) enum tp_verdict classify_other(const struct tp_classify_conf *conf,
		const struct tp_frame *frame, uint64_t seed, struct tp_parsed *out, uint64_t *hash)
{
	struct tp_udp_view view;
	enum tp_verdict v = tp_ip_parse_udp(frame->data, frame->len, &view);

	return v == TP_FORWARD ? classify_payload(conf, frame, &view, seed, out, hash) : v;
}

INLINE enum tp_verdict classify(const struct tp_classify_conf *conf, const struct tp_frame *frame,
		uint64_t seed, struct tp_parsed *out, uint64_t *hash)
{
	uint16_t ethertype = frame->len >= TP_ETH_LEN ? tp_ethertype(frame->data) : 0;

	if (ethertype == TP_ETHERTYPE_IPV4)
		return classify_untagged(conf, frame, TP_ETHERTYPE_IPV4, seed, out, hash);
	if (ethertype == TP_ETHERTYPE_IPV6)
		return classify_untagged(conf, frame, TP_ETHERTYPE_IPV6, seed, out, hash);
	return classify_other(conf, frame, seed, out, hash);
}

/* ---- checksums ---- */

/* UDP's length counts twice, in pseudo header and header; ChannelData's once, if there is any. */
static inline uint32_t len_sum(uint32_t udp_len, uint16_t channel_len)
{
	return 2u * htons((uint16_t)udp_len) + htons(channel_len);
}

INLINE uint16_t csum_finish(uint32_t sum)
{
	uint16_t csum = (uint16_t)~tp_csum_fold(sum);

	return csum != 0 ? csum : 0xffff;
}

/*
 * RFC 7915 section 4.5: the checksum of a datagram that came without one.  Protocol 17 is in no
 * flow's sum: it never changes.
 */
static __attribute__((noinline)) uint16_t csum_whole(const struct tp_flow *out, uint32_t udp_len,
		uint16_t channel_len, const uint8_t *data, uint16_t data_len)
{
	uint32_t sum = out->out_sum + len_sum(udp_len, channel_len) + htons(TP_IPPROTO_UDP);

	return csum_finish(tp_csum_add(sum, data, data_len));
}

/*
 * Sum of the padding that stays behind.  It begins at an even offset of the datagram where
 * data_len is even, else in the second half of a word.
 */
static __attribute__((noinline)) uint16_t padding_sum(
		const uint8_t *pad, uint32_t n, uint16_t data_len)
{
	uint8_t word[4] = { 0 };

	memcpy(word + (data_len & 1), pad, n);
	return tp_csum_fold(tp_csum_add(0, word, sizeof(word)));
}

/*
 * RFC 1624, equation 3: HC' = ~(~HC + ~m + m').  `old` is the checksum received, `data` what
 * follows the headers.
 *
 * Of the lengths, UDP's counts twice, in pseudo header and header, and ChannelData's once, so what
 * they differ by is, up, twice ChannelData's header and the padding less, and the data's length
 * less: 8 + data_len.  Down it is that much more, and on a hairpin the padding less.
 */
INLINE uint16_t csum_update(uint16_t old, const struct tp_parsed *p, const struct tp_flow *in,
		const struct tp_flow *out, const uint8_t *data, const bool is_in_up,
		const bool is_out_up)
{
	const uint32_t data_len = p->data_len;
	const uint32_t n_pad = is_in_up ? p->view.payload_len - data_len - TP_CHANNEL_HDR_LEN : 0;
	uint32_t sum = (uint32_t)(uint16_t)~old + (uint16_t)~in->in_sum + out->out_sum;

	if (is_in_up == is_out_up) {
		uint16_t lens = htons((uint16_t)(2 * TP_CHANNEL_HDR_LEN + data_len));

		sum += is_in_up ? (uint16_t)~lens : lens;
	}
	if (n_pad != 0)
		sum += (uint16_t)~htons((uint16_t)(2 * n_pad)) +
				(uint16_t)~padding_sum(data + data_len, n_pad, p->data_len);
	return csum_finish(sum);
}

/* ---- headers ---- */

INLINE uint64_t deadline(const struct tp_flow *flow)
{
	return atomic_load_explicit(&flow->deadline_ns, memory_order_relaxed);
}

/* Asked of the one next hop that the packet is then given: the writer may change it any time. */
INLINE bool can_send(uint64_t egress_ports, const struct tp_next_hop *nh)
{
	return (egress_ports >> nh->port & 1) != 0;
}

/*
 * Link-layer header.  To copy the room for a tag whether there is one or not costs no branch: the
 * ethertype and the IP header are written behind it, over what was too much.
 */
INLINE void write_l2(uint8_t *eth, const struct tp_next_hop *nh, uint16_t ethertype)
{
	uint16_t ethertype_be = htons(ethertype);

	memcpy(eth, nh->l2, sizeof(nh->l2));
	memcpy(eth + nh->l2_len, &ethertype_be, sizeof(ethertype_be));
}

INLINE void put32(uint8_t *p, uint32_t word)
{
	memcpy(p, &word, sizeof(word));
}

INLINE void put16(uint8_t *p, uint16_t word)
{
	memcpy(p, &word, sizeof(word));
}

INLINE void put64(uint8_t *p, uint32_t first, uint32_t second)
{
	uint64_t words = first | (uint64_t)second << 32;

	memcpy(p, &words, sizeof(words));
}

/*
 * By words; the sums of constant words are in ip_sum, version and protocol among them.  What is
 * added to it are 16-bit words as they lie in memory.
 *
 * @param df  the byte of flags: TP_IPV4_DF >> 8 or 0
 */
INLINE void write_ipv4(uint8_t *ip, const struct tp_flow *out, uint8_t ttl, uint8_t tclass,
		uint32_t len, uint8_t df, uint16_t ip_id)
{
	const uint32_t tos = (uint32_t)(tclass & (uint8_t)~out->tclass_clear) << 8;
	const uint32_t len_be = htons((uint16_t)len);
	/* RFC 6864: an atomic datagram needs no identification. */
	const uint32_t id_be = df != 0 ? 0 : htons(ip_id);
	const uint32_t csum =
			(uint16_t)~tp_csum_fold(out->ip_sum + tos + len_be + id_be + df + ttl);

	put64(ip, TP_IPV4_NO_OPTIONS | tos | len_be << 16, id_be | (uint32_t)df << 16);
	put32(ip + 8, ttl | TP_IPPROTO_UDP << 8 | csum << 16);
	memcpy(ip + 12, out->hdr + 12, 12); /* addresses and ports */
}

INLINE void write_ipv6(uint8_t *ip, const struct tp_flow *out, uint8_t hop_limit, uint8_t tclass,
		uint32_t udp_len)
{
	const uint32_t tc = tclass & (uint8_t)~out->tclass_clear;
	uint32_t first;

	memcpy(&first, out->hdr, sizeof(first));
	put64(ip, first | htonl(tc << 20),
			htons((uint16_t)udp_len) | TP_IPPROTO_UDP << 16 |
					(uint32_t)hop_limit << 24);
	memcpy(ip + 8, out->hdr + 8, 36); /* addresses and ports */
}

/* Length and checksum, behind the ports; apart, since a cache line may end between them. */
INLINE void write_udp(uint8_t *udp, uint32_t udp_len, uint16_t csum)
{
	put16(udp + 4, htons((uint16_t)udp_len));
	put16(udp + 6, csum);
}

/* ---- a frame to the frame to send ---- */

/* What does not change in a burst but for ip_id. */
struct rewrite_env {
	uint64_t egress_ports, now_ns;
	uint16_t ip_id;
	struct tp_metered *metered; /* the pipeline's; NULL: no limits */
};

/*
 * tp_rewrite() for one way; where both are up or both down, in and out are the same.  *sent is
 * written at the end alone, and may be *frame.
 */
INLINE enum tp_verdict rewrite_way(struct tp_frame *sent, const struct tp_frame *frame,
		const struct tp_parsed *p, const struct tp_flow *in, const struct tp_flow *out,
		const struct rewrite_env *env, const bool is_in6, const bool is_out6,
		const bool is_in_up, const bool is_out_up)
{
	const uint32_t in_ip_len = is_in6 ? TP_IPV6_LEN : TP_IPV4_LEN;
	const uint32_t out_ip_len = is_out6 ? TP_IPV6_LEN : TP_IPV4_LEN;
	const int32_t in_len =
			(int32_t)in_ip_len + TP_UDP_LEN + (is_in_up ? TP_CHANNEL_HDR_LEN : 0);
	const int32_t out_len =
			(int32_t)out_ip_len + TP_UDP_LEN + (is_out_up ? 0 : TP_CHANNEL_HDR_LEN);
	/* Pairs with the release in tp_flow_set_next_hop(). */
	const struct tp_next_hop *nh = atomic_load_explicit(&out->next_hop, memory_order_acquire);
	const uint32_t ip_len = (uint32_t)out_len + p->data_len;
	const uint32_t udp_len = ip_len - out_ip_len;
	const int32_t ip_at = p->view.l3 + in_len - out_len;
	const uint8_t *from = frame->data + p->view.l3;
	const uint8_t tclass = is_in6 ? (uint8_t)(from[0] << 4 | from[1] >> 4) : from[1];
	const uint8_t ttl = is_in6 ? from[7] : from[8];
	const uint8_t df = is_in6 ? 0 : from[6] & (TP_IPV4_DF >> 8);
	int32_t start;
	uint8_t *ip;
	uint16_t csum;

	assert(p->is_up == is_in_up && (p->view.family == TP_IPV6) == is_in6);
	assert((in == out) == (is_in_up == is_out_up));
	if (env->now_ns >= deadline(in))
		return is_in_up ? TP_DROP_EXPIRED : TP_PUNT;
	if (is_in_up != is_out_up && env->now_ns >= deadline(out))
		return TP_PUNT;
	if (ttl <= 1 || nh == NULL || !can_send(env->egress_ports, nh) || ip_len > nh->mtu)
		return TP_PUNT;
	if (!is_in6 && is_out6 && ip_len > out->whole_max && df == 0)
		return TP_PUNT;
	start = ip_at - (nh->l2_len + TP_ETHERTYPE_LEN);
	if (frame->headroom + start < 0)
		return TP_DROP_HEADROOM;

	/* The data stays where it is; all that is read of the old headers is read before the new
	 * ones are written over them. */
	memcpy(&csum, from + in_ip_len + 6, sizeof(csum));
	if (__builtin_expect(csum != 0, true))
		csum = csum_update(csum, p, in, out, from + in_len, is_in_up, is_out_up);
	else if (is_out6)
		csum = csum_whole(out, udp_len, is_out_up ? 0 : p->data_len, from + in_len,
				p->data_len);
	ip = frame->data + ip_at;
	write_l2(frame->data + start, nh, is_out6 ? TP_ETHERTYPE_IPV6 : TP_ETHERTYPE_IPV4);
	if (is_out6)
		write_ipv6(ip, out, (uint8_t)(ttl - 1), tclass, udp_len);
	else
		write_ipv4(ip, out, (uint8_t)(ttl - 1), tclass, ip_len,
				is_in6 && ip_len > DF_CLEAR_MAX ? TP_IPV4_DF >> 8 : df, env->ip_id);
	write_udp(ip + out_ip_len, udp_len, csum);
	if (!is_out_up) {
		uint16_t channel_be;

		memcpy(&channel_be, out->hdr + out_len - 4, sizeof(channel_be));
		put32(ip + out_len - 4, channel_be | (uint32_t)htons(p->data_len) << 16);
	}
	sent->data = frame->data + start;
	sent->len = (uint16_t)(ip_at - start + (int32_t)ip_len);
	sent->headroom = (uint16_t)(frame->headroom + start);
	sent->port = nh->port;
	sent->cookie = frame->cookie;
	return TP_FORWARD;
}

/* The way of a packet in flags: those of the flow found, but how it leaves is the other's. */
INLINE uint32_t way_of(const struct tp_flow *in, const struct tp_flow *out)
{
	return (in->flags & ~(uint32_t)TP_FLOW_OUT6) |
			(out->flags & (TP_FLOW_OUT6 | TP_FLOW_INDICATION));
}

/* clang-format off */
#define WAY(in6, out6, in_up, out_up)                                                              \
	case ((in6) ? TP_FLOW_IN6 : 0) | ((out6) ? TP_FLOW_OUT6 : 0) |                             \
			((in_up) ? TP_FLOW_UP : 0) | ((in_up) != (out_up) ? TP_FLOW_HAIRPIN : 0):  \
		return rewrite_way(sent, frame, p, in, out, env, in6, out6, in_up, out_up);
#define WAYS(in_up, out_up)                                                                        \
	WAY(false, false, in_up, out_up)                                                           \
	WAY(false, true, in_up, out_up)                                                            \
	WAY(true, false, in_up, out_up)                                                            \
	WAY(true, true, in_up, out_up)
/* clang-format on */

/* Of a way without TP_FLOW_INDICATION. */
INLINE enum tp_verdict rewrite(struct tp_frame *sent, const struct tp_frame *frame,
		const struct tp_parsed *p, const struct tp_flow *in, const struct tp_flow *out,
		const struct rewrite_env *env, uint32_t way)
{
	switch (way) {
		WAYS(true, true)
		WAYS(false, false)
		WAYS(true, false)
	default: /* downward hairpins: there are none */
		assert(false);
		return TP_PUNT;
	}
}

/* The same where it leaves by the flow that found it: no hairpin. */
INLINE enum tp_verdict rewrite_plain(struct tp_frame *sent, const struct tp_frame *frame,
		const struct tp_parsed *p, const struct tp_flow *flow,
		const struct rewrite_env *env, uint32_t way)
{
	const struct tp_flow *in = flow, *out = flow;

	switch (way) {
		WAYS(true, true)
		WAYS(false, false)
	default:
		__builtin_unreachable();
	}
}

#undef WAYS
#undef WAY

#endif
