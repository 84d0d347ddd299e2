/* SPDX-License-Identifier: Apache-2.0 */
/* AF_XDP in copy mode, on one end of a veth pair in a namespace of the process's own. */
#include "../lab.h"

#include "carrier.h"

#include "io/afxdp.h"

#include <errno.h>

#define NEAR "near"
#define FAR "far"
#define CHUNKS 4096
#define RING 1024
#define MTU 1700  /* in a chunk of 2048, with headroom */
#define TAG_AT 12 /* behind the MAC addresses */
#define TAG_BYTES 4

static struct tp_steer *steer;
static struct tp_umem *umem;
static struct tp_port *port;
static int wire;

static void put(const uint8_t *frame, uint32_t len)
{
	if (send(wire, frame, len, 0) != (ssize_t)len)
		carrier_die("afxdp: send", strerror(errno));
}

/* The kernel takes the tag off before a packet socket sees the frame, and says so beside it. */
static uint32_t put_tag_back(const struct msghdr *msg, uint8_t *frame, uint32_t len)
{
	struct tpacket_auxdata aux = { 0 };
	uint16_t tag[2];

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL;
			c = CMSG_NXTHDR((struct msghdr *)msg, c))
		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA)
			memcpy(&aux, CMSG_DATA(c), sizeof(aux));
	if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0)
		return len;
	tag[0] = htons(aux.tp_vlan_tpid);
	tag[1] = htons(aux.tp_vlan_tci);
	memmove(frame + TAG_AT + TAG_BYTES, frame + TAG_AT, len - TAG_AT);
	memcpy(frame + TAG_AT, tag, TAG_BYTES);
	return len + TAG_BYTES;
}

static uint32_t take(uint8_t *out, uint32_t room)
{
	char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	struct iovec iov = { .iov_base = out, .iov_len = room - TAG_BYTES };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	ssize_t len = recvmsg(wire, &msg, MSG_DONTWAIT);

	if (len < 0 && errno == EAGAIN)
		return 0;
	if (len < TAG_AT || (msg.msg_flags & MSG_TRUNC) != 0)
		carrier_die("afxdp: recvmsg", strerror(errno));
	return put_tag_back(&msg, out, (uint32_t)len);
}

static void close_all(void)
{
	for (int i = 0; i < 1000 && tp_afxdp_in_rings(port) > RING; i++) {
		tp_port_flush(port);
		usleep(1000);
	}
	if (tp_umem_free_chunks(umem) + tp_afxdp_in_rings(port) != CHUNKS)
		carrier_die("afxdp", "chunks are in no place, or in two");
	tp_steer_free(steer);
	tp_port_close(port);
	tp_umem_free(umem);
	close(wire);
}

static void make_wire(void)
{
	const int one = 1;

	lab_veth(NEAR, FAR);
	lab_ipv6(NEAR, "disable_ipv6", 1);
	lab_run("ip link set " NEAR " mtu %d && ip link set " FAR " mtu %d", MTU, MTU);
	wire = lab_wire(FAR);
	if (setsockopt(wire, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) != 0)
		carrier_die("afxdp: PACKET_AUXDATA", strerror(errno));
}

static int attach(const struct steering *s, struct tp_steer_if **sif, struct tp_why *why)
{
	const struct tp_steer_conf conf = { s->listeners, s->n_listeners, s->relays, s->n_relays,
		false };
	int rc = tp_steer_new(&conf, &steer, why);
	bool is_skb;

	if (rc == 0)
		rc = tp_steer_attach(steer, if_nametoindex(NEAR), TP_XDP_COPY, sif, &is_skb, why);
	if (rc != 0)
		return rc;
	for (uint32_t relay = 0; relay < s->n_relays; relay++)
		for (uint32_t p = 0; p <= UINT16_MAX; p++)
			if ((s->ports[relay].fast[p >> 6] >> (p & 63) & 1) != 0)
				tp_steer_set_port(steer, relay, (uint16_t)p, true, true);
	for (uint16_t vlan = 1; vlan < CARRIER_VLANS; vlan++)
		tp_steer_set_vlan(*sif, vlan, true);
	return 0;
}

static int open_port(struct tp_why *why)
{
	const struct tp_umem_conf uc = { CHUNKS, 2048, RING, -1 };
	struct tp_afxdp_conf conf = {
		.ifname = NEAR,
		.index = CARRIER_INDEX,
		.want = TP_XDP_COPY,
	};
	int rc = tp_umem_new(&uc, &umem, why);

	conf.umem = umem;
	return rc == 0 ? tp_afxdp_new(&conf, &port, why) : rc;
}

void carrier_open_afxdp(struct carrier *c, const struct steering *s)
{
	struct tp_steer_if *sif = NULL;
	struct tp_why why = { "" };

	if (!lab_enter())
		exit(CARRIER_EXIT_SKIP);
	make_wire();
	if (attach(s, &sif, &why) != 0 || open_port(&why) != 0)
		carrier_die("afxdp", why.text);
	if (tp_afxdp_mode(port) != TP_XDP_COPY ||
			tp_afxdp_count_in(port, tp_steer_queues_fd(sif)) != 0 ||
			tp_steer_set_xsk(sif, 0, tp_afxdp_fd(port)) != 0)
		carrier_die("afxdp", "the port gets no frames");
	c->port = port;
	c->rules = &s->rules;
	c->frame_max = MTU + 14;
	c->put = put;
	c->take = take;
	c->close = close_all;
}
