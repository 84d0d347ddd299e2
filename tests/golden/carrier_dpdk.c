/* SPDX-License-Identifier: Apache-2.0 */
/* net_ring: what the device sends lies in the ring from which it receives. */
#include "carrier.h"

#include "io/dpdk.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "../unit/eal.h"

#include <string.h>

#define MTU 9100 /* above every frame there is */

static struct tp_dpdk *dev;
static struct tp_dpdk_pool *pool;
static struct tp_port *port;
static struct rte_ring *wire;

static void put(const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m;
	struct tp_frame f;
	char *room;

	/* Through the port's own memory, as the device would. */
	if (tp_port_alloc(port, &f, 1) != 1)
		carrier_die("dpdk", "the pool is empty");
	m = (struct rte_mbuf *)(uintptr_t)f.cookie;
	room = rte_pktmbuf_append(m, (uint16_t)len);
	if (room == NULL || rte_ring_enqueue(wire, m) != 0)
		carrier_die("dpdk", "no room for a frame");
	memcpy(room, frame, len);
}

static uint32_t take(uint8_t *out, uint32_t room)
{
	struct rte_mbuf *m;
	uint32_t len;

	if (rte_ring_dequeue(wire, (void **)&m) != 0)
		return 0;
	len = m->data_len;
	if (m->nb_segs != 1 || m->pkt_len != len || len > room || m->data_off + len > m->buf_len)
		carrier_die("dpdk", "an mbuf with lengths that lie");
	memcpy(out, rte_pktmbuf_mtod(m, void *), len);
	rte_pktmbuf_free(m);
	return len;
}

static void close_all(void)
{
	uint32_t frames, n_free;

	tp_port_close(port);
	tp_dpdk_close(dev);
	tp_dpdk_pool_count(pool, &frames, &n_free);
	if (frames != n_free)
		carrier_die("dpdk", "frames were not given back");
	tp_dpdk_pool_free(pool);
	eal_stop(NULL);
}

static int open_all(const struct steering *s, struct tp_why *why)
{
	const struct tp_dpdk_conf conf = {
		.name = "wan0",
		.device = "net_ring0",
		.index = CARRIER_INDEX,
		.queues = 1,
		.mtu = MTU,
	};
	struct tp_dpdk_port_conf pc = { .rules = s->rules };
	int rc = tp_dpdk_open(&conf, &dev, why);

	if (rc == 0)
		rc = tp_dpdk_pool_new("golden", tp_dpdk_pool_frames(1), tp_dpdk_frame_bytes(MTU),
				dev, &pool, why);
	pc.pool = pool;
	if (rc == 0)
		rc = tp_dpdk_port_new(dev, &pc, &port, why);
	return rc == 0 ? tp_dpdk_start(dev, why) : rc;
}

void carrier_open_dpdk(struct carrier *c, const struct steering *s)
{
	struct tp_why why = { "the EAL does not start" };

	if (eal_start(NULL) != 0 || open_all(s, &why) != 0)
		carrier_die("dpdk", why.text);
	wire = rte_ring_lookup("ETH_RXTX0_net_ring0");
	if (wire == NULL)
		carrier_die("dpdk", "no such ring");
	c->port = port;
	c->rules = &s->rules;
	c->frame_max = MTU + 14;
	c->put = put;
	c->take = take;
	c->close = close_all;
}
