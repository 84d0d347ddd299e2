/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_path_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "wire/be.h"
#include "wire/icmp.h"

#define BATCHES_PER_ROUND 4 /* then the other sockets have their turn */
#define BATCHES_PRESSED 1   /* a listener's, while more of the clients waits */

/* ICMP errors we send, all together: RFC 4443 section 2.4(f), RFC 1812 section 4.3.2.8. */
#define ICMP_PER_SEC 100
#define ICMP_BURST 50

#define FLOW_LABEL 0xfffff

/* ---- what could not be relayed is answered ---- */

/*
 * The packet as its sender sent it.  What a UDP socket gave is built anew from what it told, which
 * is all there was but for options, extension headers and IPv4's identification.
 */
static const uint8_t *incoming_packet(struct tp_kernel_path *kp)
{
	const struct tp_kernel_incoming *in = &kp->in;
	size_t hdr = in->mtu.len - in->datagram->len;
	uint32_t first;

	if (in->packet != NULL)
		return in->packet;
	if (in->mtu.len > sizeof(kp->scratch))
		return NULL;
	if (in->datagram->len > 0)
		memcpy(kp->scratch + hdr, in->datagram->data, in->datagram->len);
	if (tp_ip_build_udp(kp->scratch, &in->src, &in->dst, &in->datagram->meta, kp->scratch + hdr,
			    in->datagram->len) == 0)
		return NULL;
	if (in->mtu.family == TP_IPV6) {
		first = tp_be32_get(kp->scratch) | in->label;
		tp_be32_put(kp->scratch, first);
	}
	return kp->scratch;
}

static void send_icmp(struct tp_kernel_path *kp, enum tp_icmp_kind kind, uint16_t mtu)
{
	const struct tp_kernel_incoming *in = &kp->in;
	uint8_t out[TP_ICMP6_MAX];
	const uint8_t *packet;
	size_t len;

	if (!in->is_unicast)
		return;
	if (!tp_bucket_take(&kp->icmp, tp_clock_now_ns())) {
		kp->stats.icmp_held++;
		return;
	}
	packet = incoming_packet(kp);
	len = packet == NULL ? 0 : tp_icmp_build(out, kind, mtu, packet, in->mtu.len);
	if (len == 0)
		return;
	tp_kernel_send_raw(kp, &in->dst, &in->src, out, len);
	kp->stats.icmp_sent++;
}

/* As a router does, but only for what an allocation would have relayed. */
static void answer(struct tp_kernel_path *kp, enum tp_slow_verdict v)
{
	const struct tp_kernel_incoming *in = &kp->in;

	if (v == TP_SLOW_DROP_TTL) {
		send_icmp(kp, TP_ICMP_TIME_EXCEEDED, 0);
		return;
	}
	if (v != TP_SLOW_DROP_TOO_BIG || in->egress_mtu == 0)
		return;
	/* Without DF its sender did not ask for it: DONT-FRAGMENT did, towards another client. */
	if (in->mtu.family == TP_IPV6 || in->mtu.is_df)
		send_icmp(kp, TP_ICMP_TOO_BIG, tp_mtu_report(&in->way, in->egress_mtu));
}

/* ---- receiving ---- */

static void count(struct tp_kernel_path *kp, enum tp_slow_verdict v)
{
	kp->stats.rx_pkts++;
	kp->stats.verdict[v]++;
}

/* kp->in is filled: to lib/turn, and an answer if it can not be relayed. */
static enum tp_slow_verdict hand_on(struct tp_kernel_path *kp, const struct tp_turn_packet *packet)
{
	const struct tp_kernel_incoming *in = &kp->in;
	const struct tp_tuple tuple = { in->src, in->dst, TP_TURN_UDP };
	enum tp_slow_verdict v;

	v = in->is_from_client ? kp->conf.from_client(kp->conf.ctx, &tuple, packet)
			       : kp->conf.from_peer(kp->conf.ctx, &in->dst, &in->src, packet);
	answer(kp, v);
	kp->in = (struct tp_kernel_incoming){ 0 };
	return v;
}

/* What came with a datagram: TTL, traffic class and, on a relay socket, the original destination.
 */
static void read_control(struct msghdr *h, struct tp_ip_meta *meta, struct tp_kernel_incoming *in)
{
	struct cmsghdr *c;
	int v;

	*meta = (struct tp_ip_meta){ .ttl = 64 };
	for (c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		const void *data = CMSG_DATA(c);
		bool is_v6 = c->cmsg_level == IPPROTO_IPV6;

		if (!is_v6 && c->cmsg_type == IP_TOS) {
			meta->tclass = *(const uint8_t *)data;
			continue;
		}
		if (c->cmsg_type == (is_v6 ? IPV6_ORIGDSTADDR : IP_ORIGDSTADDR)) {
			tp_addr_from_sockaddr(data, &in->dst);
			continue;
		}
		memcpy(&v, data, sizeof(v));
		if (c->cmsg_type == (is_v6 ? IPV6_HOPLIMIT : IP_TTL))
			meta->ttl = (uint8_t)v;
		else if (is_v6 && c->cmsg_type == IPV6_TCLASS)
			meta->tclass = (uint8_t)v;
		else if (is_v6 && c->cmsg_type == IPV6_FLOWINFO)
			in->label = ntohl((uint32_t)v) & FLOW_LABEL;
		else if (is_v6 && c->cmsg_type == IPV6_RECVFRAGSIZE)
			in->mtu.is_divided = v > 0;
	}
}

static enum tp_slow_verdict deliver_datagram(
		const struct tp_kernel_socket *s, struct mmsghdr *m, const uint8_t *data)
{
	struct tp_kernel_path *kp = s->kp;
	struct tp_turn_packet packet = { .data = data, .len = m->msg_len };
	struct tp_kernel_incoming *in = &kp->in;

	*in = (struct tp_kernel_incoming){
		.dst = s->addr,
		.is_from_client = s->kind != TP_KERNEL_RELAY,
		.is_unicast = true,
		.datagram = &packet,
	};
	read_control(&m->msg_hdr, &packet.meta, in);
	if (tp_addr_from_sockaddr(m->msg_hdr.msg_name, &in->src) < 0)
		return TP_SLOW_DROP_NOT_TURN;
	/* Where the clients' socket is bound some program of this host may send to it. */
	if (s->kind == TP_KERNEL_CLIENTS && tp_kernel_listener(kp, &in->dst) == NULL)
		return TP_SLOW_DROP_NOT_TURN;
	in->mtu.family = s->addr.family;
	in->mtu.len = TP_UDP_LEN + packet.len +
			(s->addr.family == TP_IPV6 ? TP_IPV6_LEN : TP_IPV4_LEN);
	return hand_on(kp, &packet);
}

static enum tp_slow_verdict deliver_frame(
		struct tp_kernel_path *kp, const uint8_t *frame, uint32_t len)
{
	struct tp_kernel_incoming *in = &kp->in;
	struct tp_turn_packet packet = { 0 };
	struct tp_udp_view view;

	if (tp_ip_parse_udp(frame, len, &view) != TP_FORWARD || !tp_ip_view_csum_ok(frame, &view))
		return TP_SLOW_DROP_BAD_FRAME;
	*in = (struct tp_kernel_incoming){
		.is_unicast = (frame[0] & 1) == 0,
		.packet = frame + view.l3,
		.datagram = &packet,
	};
	tp_ip_view_addrs(frame, &view, &in->src, &in->dst, &packet.meta);
	packet.data = frame + view.payload;
	packet.len = view.payload_len;
	in->mtu.family = view.family;
	in->mtu.is_df = packet.meta.is_df;
	in->mtu.len = (size_t)(view.payload - view.l3) + view.payload_len;
	in->is_from_client = in->dst.port < kp->conf.relay_port_min ||
			in->dst.port > kp->conf.relay_port_max;
	return hand_on(kp, &packet);
}

void tp_kernel_path_punt(struct tp_kernel_path *kp, const uint8_t *frame, uint32_t len)
{
	kp->stats.punted++;
	count(kp, deliver_frame(kp, frame, len));
}

/* The kernel counts what a socket's filter leaves out as dropped by the socket. */
static void note_diverted(struct tp_kernel_path *kp, const uint8_t *frame, uint32_t len)
{
	struct tp_kernel_socket *s = tp_kernel_socket_at(kp, TP_KERNEL_RELAY4_AT);
	struct tp_kernel_socket *listener;
	struct tp_ip_meta meta;
	struct tp_udp_view view;
	struct tp_tuple tuple = { .transport = TP_TURN_UDP };

	if (tp_ip_parse_udp(frame, len, &view) != TP_FORWARD)
		return;
	tp_ip_view_addrs(frame, &view, &tuple.client, &tuple.server, &meta);
	listener = tp_kernel_listener(kp, &tuple.server);
	if (listener != NULL)
		s = kp->conf.has_client(kp->conf.ctx, &tuple)
				? tp_kernel_socket_at(kp, TP_KERNEL_CLIENTS4_AT)
				: listener;
	s->diverted++;
}

static enum tp_slow_verdict deliver_icmp(
		const struct tp_kernel_socket *s, const uint8_t *data, uint32_t len)
{
	const struct tp_kernel_path *kp = s->kp;
	struct tp_icmp_error error;
	bool is_ok = s->addr.family == TP_IPV6 ? tp_icmp_parse6(data, len, &error)
					       : tp_icmp_parse4(data, len, &error);

	return is_ok ? kp->conf.from_icmp(kp->conf.ctx, &error) : TP_SLOW_DROP_ICMP;
}

static enum tp_slow_verdict deliver(
		const struct tp_kernel_socket *s, struct mmsghdr *m, uint8_t *data)
{
	switch (s->kind) {
	case TP_KERNEL_LISTENER:
	case TP_KERNEL_CLIENTS:
	case TP_KERNEL_RELAY:
		return deliver_datagram(s, m, data);
	case TP_KERNEL_HEADER:
		/* Then it is what a worker would have punted: a frame, but for the MACs. */
		memset(data, 0, TP_ETH_LEN);
		tp_be16_put(data + TP_ETH_LEN - TP_ETHERTYPE_LEN, TP_ETHERTYPE_IPV4);
		note_diverted(s->kp, data, TP_ETH_LEN + m->msg_len);
		return deliver_frame(s->kp, data, TP_ETH_LEN + m->msg_len);
	case TP_KERNEL_ICMP:
		return deliver_icmp(s, data, m->msg_len);
	}
	return TP_SLOW_DROP_NOT_TURN;
}

/* On the header socket there is room for what makes a frame of the packet. */
static void prepare_batch(struct tp_kernel_path *kp, const struct tp_kernel_socket *s)
{
	size_t room = s->kind == TP_KERNEL_HEADER ? TP_ETH_LEN : 0;

	for (int i = 0; i < TP_KERNEL_BATCH; i++) {
		kp->iov[i] = (struct iovec){ kp->data[i] + room, TP_KERNEL_DATAGRAM_MAX - room };
		kp->msg[i].msg_hdr = (struct msghdr){
			.msg_name = &kp->from[i],
			.msg_namelen = sizeof(kp->from[i]),
			.msg_iov = &kp->iov[i],
			.msg_iovlen = 1,
			.msg_control = kp->control[i],
			.msg_controllen = TP_KERNEL_CONTROL_MAX,
		};
	}
}

/* Strangers get what the clients leave, but always something. */
static int batches(const struct tp_kernel_path *kp, const struct tp_kernel_socket *s)
{
	bool is_pressed = tp_kernel_socket_at(kp, TP_KERNEL_CLIENTS4_AT)->has_more ||
			tp_kernel_socket_at(kp, TP_KERNEL_CLIENTS6_AT)->has_more;

	return s->kind == TP_KERNEL_LISTENER && is_pressed ? BATCHES_PRESSED : BATCHES_PER_ROUND;
}

static void socket_ready(struct tp_source *source, uint32_t events)
{
	struct tp_kernel_socket *s = (struct tp_kernel_socket *)(void *)source; /* first member */
	struct tp_kernel_path *kp = s->kp;
	int n = TP_KERNEL_BATCH, left = batches(kp, s);

	(void)events;
	while (left-- > 0 && n == TP_KERNEL_BATCH) {
		prepare_batch(kp, s);
		n = recvmmsg(s->source.fd, kp->msg, TP_KERNEL_BATCH, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++)
			count(kp, deliver(s, &kp->msg[i], kp->data[i]));
		s->rx_pkts += n > 0 ? (uint32_t)n : 0;
	}
	s->has_more = n == TP_KERNEL_BATCH;
}

/* ---- life ---- */

void tp_kernel_path_flush(struct tp_kernel_path *kp)
{
	tp_sendq_flush(kp->sendq);
}

void tp_kernel_path_stats(const struct tp_kernel_path *kp, struct tp_kernel_path_stats *out)
{
	*out = kp->stats;
	tp_sendq_stats(kp->sendq, &out->send);
}

int tp_kernel_path_new(const struct tp_kernel_path_conf *conf, struct tp_kernel_path **out,
		struct tp_why *why)
{
	struct tp_kernel_path *kp = calloc(1, sizeof(*kp));
	int rc = -ENOMEM;

	if (kp == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	kp->conf = *conf;
	kp->raw[0] = kp->raw[1] = -1;
	kp->icmp = (struct tp_bucket){ .per_sec = ICMP_PER_SEC, .burst = ICMP_BURST };
	if (getrandom(&kp->next_ip_id, sizeof(kp->next_ip_id), 0) < 0)
		kp->next_ip_id = 1;
	kp->sockets = calloc(conf->n_listeners + TP_KERNEL_OTHERS, sizeof(*kp->sockets));
	kp->data = malloc(TP_KERNEL_BATCH * sizeof(*kp->data));
	if (kp->sockets != NULL && kp->data != NULL)
		rc = tp_sendq_new(&kp->sendq);
	if (rc < 0)
		tp_why_set(why, rc, "out of memory");
	if (rc == 0)
		rc = tp_kernel_sockets_open(kp, socket_ready, why);
	if (rc < 0) {
		tp_kernel_path_free(kp);
		return rc;
	}
	*out = kp;
	return 0;
}

void tp_kernel_path_free(struct tp_kernel_path *kp)
{
	if (kp == NULL)
		return;
	tp_kernel_sockets_close(kp);
	tp_sendq_free(kp->sendq);
	free(kp->sockets);
	free(kp->data);
	free(kp);
}
