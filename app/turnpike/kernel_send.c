/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_path_private.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "wire/fragment.h"

/* What every path carries (RFC 791, RFC 8200); smaller packets need no look at the route. */
#define IPV4_MTU_SURE 576
#define IPV6_MTU_SURE 1280

#define ECN 0x03 /* of the traffic class; the rest is DSCP */

void tp_kernel_send_raw(struct tp_kernel_path *kp, const struct tp_addr *src,
		const struct tp_addr *dst, const uint8_t *packet, size_t len)
{
	const struct tp_addr to = tp_addr_ip_only(dst); /* a raw socket's address has no port */

	memcpy(tp_sendq_reserve(kp->sendq, len), packet, len);
	tp_sendq_commit(kp->sendq, kp->raw[dst->family == TP_IPV6], &to, src, NULL);
}

/* IPv4 has 16 bits of it, and 0 asks the kernel for one; IPv6's must be hard to guess (RFC 7739).
 */
static uint32_t fragment_id(struct tp_kernel_path *kp, uint8_t family)
{
	uint32_t id = 0;

	if (family == TP_IPV6 && getrandom(&id, sizeof(id), GRND_NONBLOCK) == (ssize_t)sizeof(id) &&
			id != 0)
		return id;
	if (++kp->next_ip_id == 0)
		kp->next_ip_id = 1;
	return kp->next_ip_id;
}

static int send_fragments(struct tp_kernel_path *kp, const struct tp_addr *src,
		const struct tp_addr *dst, size_t len, uint16_t limit)
{
	uint8_t fragment[UINT16_MAX];
	struct tp_fragmenter f;
	size_t n;
	int rc;

	rc = tp_fragment_begin(&f, kp->scratch, len, limit, fragment_id(kp, dst->family));
	if (rc < 0)
		return rc;
	while ((n = tp_fragment_next(&f, fragment)) > 0) {
		tp_kernel_send_raw(kp, src, dst, fragment, n);
		kp->stats.fragments++;
	}
	return 0;
}

static void write_payload(uint8_t *out, const struct tp_bytes part[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (part[i].len > 0)
			memcpy(out, part[i].data, part[i].len);
		out += part[i].len;
	}
}

/* What becomes of a packet of this length, and remember what it takes to refuse it. */
static struct tp_mtu_plan plan(struct tp_kernel_path *kp, const struct tp_addr *src,
		const struct tp_addr *dst, const struct tp_ip_meta *meta, size_t len,
		bool is_to_client)
{
	uint16_t mtu = dst->family == TP_IPV6 ? IPV6_MTU_SURE : IPV4_MTU_SURE;
	struct tp_mtu_in in = { 0 };
	struct tp_mtu_plan p;

	if (!meta->is_ours) {
		in = kp->in.mtu;
		in.is_df = meta->is_df;
	}
	if (len > mtu)
		mtu = kp->conf.mtu(kp->conf.ctx, src, dst);
	p = tp_mtu_plan(&in, dst->family, len, mtu, kp->conf.lowest_ipv6_mtu);
	if (p.fate != TP_MTU_TOO_BIG)
		return p;
	kp->in.egress_mtu = mtu;
	kp->in.way = (struct tp_mtu_way){ in.family, dst->family, kp->in.is_from_client,
		is_to_client };
	return p;
}

static int send_datagram(struct tp_kernel_path *kp, const struct tp_addr *src,
		const struct tp_addr *dst, const struct tp_ip_meta *meta,
		const struct tp_bytes part[], size_t n, bool is_to_client)
{
	const bool is_v6 = dst->family == TP_IPV6;
	const size_t hdr = (is_v6 ? TP_IPV6_LEN : TP_IPV4_LEN) + TP_UDP_LEN;
	struct tp_addr to = tp_addr_ip_only(dst); /* a raw socket's address has no port */
	struct tp_ip_meta out_meta = *meta;
	struct tp_mtu_plan p;
	size_t i, len = hdr;
	uint8_t *out;

	if (kp->raw[is_v6] < 0)
		return -EAFNOSUPPORT;
	for (i = 0; i < n; i++)
		len += part[i].len;
	if (len > UINT16_MAX)
		return -EMSGSIZE;
	p = plan(kp, src, dst, meta, len, is_to_client);
	if (p.fate == TP_MTU_TOO_BIG)
		return -EMSGSIZE;
	out_meta.is_df = p.is_df;
	if (kp->conf.clears_dscp && !meta->is_ours)
		out_meta.tclass &= ECN;
	out = p.fate == TP_MTU_FRAGMENTS ? kp->scratch : tp_sendq_reserve(kp->sendq, len);
	write_payload(out + hdr, part, n);
	if (tp_ip_build_udp(out, src, dst, &out_meta, out + hdr, len - hdr) == 0)
		return -EMSGSIZE;
	if (p.fate == TP_MTU_FRAGMENTS)
		return send_fragments(kp, src, dst, len, p.limit);
	tp_sendq_commit(kp->sendq, kp->raw[is_v6], &to, src, NULL);
	return 0;
}

int tp_kernel_path_send_client(struct tp_kernel_path *kp, const struct tp_tuple *tuple,
		const struct tp_bytes part[], size_t n, const struct tp_ip_meta *meta)
{
	if (tp_kernel_listener(kp, &tuple->server) == NULL)
		return -ENOTCONN;
	return send_datagram(kp, &tuple->server, &tuple->client, meta, part, n, true);
}

int tp_kernel_path_send_peer(struct tp_kernel_path *kp, const struct tp_addr *relay_local,
		const struct tp_addr *peer, const struct tp_turn_packet *packet)
{
	const struct tp_bytes part = { packet->data, packet->len };

	return send_datagram(kp, relay_local, peer, &packet->meta, &part, 1, false);
}
