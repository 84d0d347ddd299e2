/* SPDX-License-Identifier: Apache-2.0 */
#include "io/dpdk.h"

#include "base/log.h"
#include "io/dpdk_private.h"

#include <assert.h>
#include <errno.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_FRAMES 256 /* of the worker, taken from and given to the pool in bulk */
#define FRAME_MIN 2048   /* bytes behind the headroom that every driver takes */
/* Ethernet and two VLAN tags; the checksum, which some devices leave there. */
#define FRAME_OVERHEAD (14 + 8 + 4)

/*
 * A virtio device's driver puts its own header, 12 bytes, in front of the frame, in the headroom.
 * Where frames begin a cache line that header is in the line before; and a ChannelData header less
 * or more moves it, into the frame's first line or across the border, so that relay and host send
 * each other two written lines for a packet.  Here it shares one with all that a relay from IPv4 to
 * IPv4 rewrites, upwards (behind 8 to 62) as downwards (0 to 58).  Devices with DMA of their own
 * like to begin a line.
 */
#define VIRTIO_OFFSET 16
_Static_assert(VIRTIO_OFFSET % RTE_MBUF_PRIV_ALIGN == 0, "rte_pktmbuf_pool_create() wants that");

#define RSS_UDP4 RTE_ETH_RSS_NONFRAG_IPV4_UDP
#define RSS_UDP6 RTE_ETH_RSS_NONFRAG_IPV6_UDP
/* Some devices know IPv6 with the port in its extension headers as well, and only together. */
#define RSS_WANTED (RSS_UDP4 | RSS_UDP6 | RTE_ETH_RSS_IPV6_UDP_EX)

/* ---- pools ---- */

uint32_t tp_dpdk_frame_bytes(uint32_t mtu)
{
	uint32_t bytes = RTE_ALIGN_CEIL(mtu + FRAME_OVERHEAD, 64);

	return bytes > FRAME_MIN ? bytes : FRAME_MIN;
}

uint32_t tp_dpdk_pool_frames(uint32_t ports)
{
	/* Full rings of each port, what the worker holds, and its cache, which may hold half more.
	 */
	return ports * 2 * TP_DPDK_RING + 2 * TP_BURST + 2 * CACHE_FRAMES;
}

/* Behind the beginning of a cache line, where frames of the device begin. */
static uint16_t offset_of(const struct tp_dpdk *dev)
{
	bool is_virtio = dev != NULL &&
			strncmp(dev->info.driver_name, "net_virtio", strlen("net_virtio")) == 0;

	return is_virtio ? VIRTIO_OFFSET : 0;
}

static uint16_t room_of(uint32_t frame_bytes)
{
	assert(frame_bytes + RTE_PKTMBUF_HEADROOM <= UINT16_MAX);
	return (uint16_t)(frame_bytes + RTE_PKTMBUF_HEADROOM);
}

uint64_t tp_dpdk_pool_bytes(uint32_t frames, uint32_t frame_bytes)
{
	struct rte_mempool_objsz size;

	/* Objects do not straddle pages: a part of each is lost. */
	rte_mempool_calc_obj_size(
			sizeof(struct rte_mbuf) + VIRTIO_OFFSET + room_of(frame_bytes), 0, &size);
	return (uint64_t)frames * (size.total_size + 64) * 9 / 8;
}

int tp_dpdk_pool_new(const char *name, uint32_t frames, uint32_t frame_bytes,
		const struct tp_dpdk *dev, struct tp_dpdk_pool **out, struct tp_why *why)
{
	int numa_node = dev == NULL ? SOCKET_ID_ANY : rte_eth_dev_socket_id(dev->port_id);
	struct tp_dpdk_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	/* What is in front of the buffer is nobody's, and moves it. */
	pool->mbufs = rte_pktmbuf_pool_create(name, frames, CACHE_FRAMES, offset_of(dev),
			room_of(frame_bytes), numa_node);
	if (pool->mbufs == NULL) {
		int err = rte_errno;

		free(pool);
		return tp_why_set(why, -ENOMEM,
				"no memory for %u frames of %u bytes for DPDK: %s; reserve more huge "
				"pages, for instance `sysctl vm.nr_hugepages=%llu`",
				frames, frame_bytes, rte_strerror(err),
				(unsigned long long)(tp_dpdk_pool_bytes(frames, frame_bytes) >>
						21) +
						64);
	}
	*out = pool;
	return 0;
}

void tp_dpdk_pool_free(struct tp_dpdk_pool *pool)
{
	uint32_t frames, n_free;

	if (pool == NULL)
		return;
	tp_dpdk_pool_count(pool, &frames, &n_free);
	if (n_free != frames)
		tp_warn("DPDK: %u of %u frames of %s were not given back", frames - n_free, frames,
				pool->mbufs->name);
	rte_mempool_free(pool->mbufs);
	free(pool);
}

void tp_dpdk_pool_count(const struct tp_dpdk_pool *pool, uint32_t *frames, uint32_t *n_free)
{
	*frames = pool->mbufs->size;
	*n_free = rte_mempool_avail_count(pool->mbufs);
}

/* ---- devices ---- */

/* "net_tap0,iface=x" -> "net_tap0" */
static void name_of(const char *device, char name[RTE_ETH_NAME_MAX_LEN])
{
	snprintf(name, RTE_ETH_NAME_MAX_LEN, "%.*s", (int)strcspn(device, ","), device);
}

/* What a driver wants and says in its own words only, if at all. */
static const char *advice(const char *device)
{
	if (strncmp(device, "net_memif", strlen("net_memif")) != 0)
		return "see `dpdk-devbind.py --status`, and the log above";
	if (strstr(device, "zero-copy=yes") != NULL)
		return "zero-copy wants huge pages (sysctl vm.nr_hugepages), role=client and the "
		       "server to run; see the log above";
	if (strstr(device, "role=server") != NULL)
		return "does its socket exist already, or its directory not?  See the log above";
	return "as role=client, which it is unless told, it wants the server to run; see the log "
	       "above";
}

/*
 * DPDK's memif driver gives the server the EAL's own descriptor of this process's memory, and
 * closes it.  Another such device would give away whatever has that number by then.
 */
static bool lends_memory_again(const char *device)
{
	static bool has_lent;

	if (strncmp(device, "net_memif", strlen("net_memif")) != 0 ||
			strstr(device, "zero-copy=yes") == NULL)
		return false;
	if (has_lent)
		return true;
	has_lent = true;
	return false;
}

static int find(struct tp_dpdk *dev, const struct tp_dpdk_conf *conf, struct tp_why *why)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	int rc;

	name_of(conf->device, name);
	if (rte_eth_dev_get_port_by_name(name, &dev->port_id) == 0)
		return 0;
	if (lends_memory_again(conf->device))
		return tp_why_set(why, -EBUSY,
				"interface %s: one memif of a relay can have zero-copy=yes: take it from "
				"%s",
				conf->name, conf->device);
	rc = rte_dev_probe(conf->device);
	if (rc < 0)
		return tp_why_set(why, rc, "interface %s: DPDK can not use the device %s: %s; %s",
				conf->name, conf->device, strerror(-rc), advice(conf->device));
	dev->is_made = true;
	if (rte_eth_dev_get_port_by_name(name, &dev->port_id) != 0)
		return tp_why_set(why, -ENODEV,
				"interface %s: no driver of DPDK took the device %s as a network "
				"device",
				conf->name, conf->device);
	return 0;
}

/* As many as are wanted, or as near as the device can. */
static uint16_t descs(const struct rte_eth_desc_lim *lim)
{
	uint16_t n = TP_DPDK_RING;

	if (lim->nb_max != 0 && n > lim->nb_max)
		n = lim->nb_max;
	if (n < lim->nb_min)
		n = lim->nb_min;
	if (lim->nb_align > 1)
		n = (uint16_t)(n / lim->nb_align * lim->nb_align);
	return n;
}

static int check(const struct tp_dpdk *dev, const struct tp_dpdk_conf *conf, struct tp_why *why)
{
	uint32_t rx = dev->info.max_rx_queues, tx = dev->info.max_tx_queues;

	if (conf->queues > TP_DPDK_MAX_QUEUES || conf->queues > rx || conf->queues > tx)
		return tp_why_set(why, -EINVAL,
				"interface %s: `cores` names %u queues, and the device %s (%s) has %u to "
				"receive and %u to send: remove some",
				conf->name, conf->queues, conf->device, dev->info.driver_name, rx,
				tx);
	if (conf->mtu > TP_DPDK_MTU_MAX ||
			(dev->info.max_mtu != 0 && conf->mtu > dev->info.max_mtu))
		return tp_why_set(why, -EINVAL,
				"interface %s: its kernel interface has an MTU of %u, and the device %s "
				"can do %u: lower it with `ip link set mtu`",
				conf->name, conf->mtu, conf->device,
				dev->info.max_mtu != 0 && dev->info.max_mtu < TP_DPDK_MTU_MAX
						? dev->info.max_mtu
						: TP_DPDK_MTU_MAX);
	return 0;
}

static void choose_rss(
		struct tp_dpdk *dev, const struct tp_dpdk_conf *conf, struct rte_eth_conf *ec)
{
	uint64_t can = dev->info.flow_type_rss_offloads & RSS_WANTED;

	dev->has_rss = (can & RSS_UDP4) != 0 && (can & RSS_UDP6) != 0;
	if (conf->queues > 1 && can != 0) {
		ec->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		ec->rx_adv_conf.rss_conf.rss_hf = can;
	}
	if (conf->queues > 1 && !dev->has_rss)
		tp_warn("interface %s: the driver %s does not spread %s over its queues: some "
			"workers may have nothing to do",
				conf->name, dev->info.driver_name,
				can == 0                         ? "UDP"
						: can & RSS_UDP4 ? "UDP over IPv6"
								 : "UDP over IPv4");
}

static int configure(struct tp_dpdk *dev, const struct tp_dpdk_conf *conf, struct tp_why *why)
{
	struct rte_eth_conf ec = { 0 };
	uint16_t queues = (uint16_t)conf->queues;
	int rc;

	choose_rss(dev, conf, &ec);
	if (dev->info.max_mtu != 0)
		ec.rxmode.mtu = conf->mtu;
	/* Every frame that a queue sends is of its worker's pool, and nobody else's. */
	ec.txmode.offloads = dev->info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	ec.intr_conf.rxq = conf->wants_interrupts;
	rc = rte_eth_dev_configure(dev->port_id, queues, queues, &ec);
	if (rc != 0 && conf->wants_interrupts) {
		ec.intr_conf.rxq = 0;
		rc = rte_eth_dev_configure(dev->port_id, queues, queues, &ec);
	}
	if (rc != 0)
		return tp_why_set(why, rc,
				"interface %s: the driver %s refuses the set-up (%u queues, MTU %u): %s",
				conf->name, dev->info.driver_name, conf->queues, conf->mtu,
				strerror(-rc));
	dev->has_interrupts = ec.intr_conf.rxq != 0;
	dev->tx_conf = dev->info.default_txconf;
	dev->tx_conf.offloads = ec.txmode.offloads;
	dev->rx_descs = descs(&dev->info.rx_desc_lim);
	dev->tx_descs = descs(&dev->info.tx_desc_lim);
	return 0;
}

int tp_dpdk_open(const struct tp_dpdk_conf *conf, struct tp_dpdk **out, struct tp_why *why)
{
	struct tp_dpdk *dev = calloc(1, sizeof(*dev));
	int rc;

	if (dev == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	dev->port_id = RTE_MAX_ETHPORTS;
	dev->index = conf->index;
	dev->queues = conf->queues;
	dev->mtu = conf->mtu;
	dev->advice = advice(conf->device);
	snprintf(dev->name, sizeof(dev->name), "%s", conf->name);
	rc = find(dev, conf, why);
	if (rc == 0) {
		rc = rte_eth_dev_info_get(dev->port_id, &dev->info);
		if (rc < 0)
			tp_why_set(why, rc, "interface %s: %s", conf->name, strerror(-rc));
	}
	if (rc == 0)
		rc = check(dev, conf, why);
	if (rc == 0)
		rc = configure(dev, conf, why);
	if (rc < 0) {
		tp_dpdk_close(dev);
		return rc;
	}
	*out = dev;
	return 0;
}

/* What it accepts: its own address and multicast, which neighbour discovery needs. */
static void set_filters(const struct tp_dpdk *dev)
{
	int rc = rte_eth_promiscuous_disable(dev->port_id);

	if (rc < 0 && rc != -ENOTSUP)
		tp_warn("interface %s: can not leave promiscuous mode: %s", dev->name,
				strerror(-rc));
	rc = rte_eth_allmulticast_enable(dev->port_id);
	if (rc < 0 && rc != -ENOTSUP)
		tp_warn("interface %s: does not accept multicast: %s", dev->name, strerror(-rc));
}

int tp_dpdk_start(struct tp_dpdk *dev, struct tp_why *why)
{
	int rc;

	assert(dev->n_ports == dev->queues);
	/* Devices without a limit have no way to be told, and carry what comes. */
	rc = dev->info.max_mtu != 0 ? rte_eth_dev_set_mtu(dev->port_id, (uint16_t)dev->mtu) : 0;
	if (rc < 0 && rc != -ENOTSUP)
		return tp_why_set(why, rc, "interface %s: the driver %s refuses an MTU of %u: %s",
				dev->name, dev->info.driver_name, dev->mtu, strerror(-rc));
	rc = rte_eth_dev_start(dev->port_id);
	if (rc < 0)
		return tp_why_set(why, rc, "interface %s: the driver %s does not start: %s; %s",
				dev->name, dev->info.driver_name, strerror(-rc), dev->advice);
	dev->is_started = true;
	set_filters(dev);
	for (uint32_t i = 0; i < dev->n_ports; i++) {
		tp_dpdk_port_started(dev->ports[i]);
		dev->has_interrupts = dev->has_interrupts && !dev->ports[i]->is_polled;
	}
	return 0;
}

void tp_dpdk_close(struct tp_dpdk *dev)
{
	struct rte_device *device;

	if (dev == NULL)
		return;
	device = dev->info.device;
	if (dev->is_started)
		rte_eth_dev_stop(dev->port_id);
	if (dev->port_id != RTE_MAX_ETHPORTS)
		rte_eth_dev_close(dev->port_id);
	if (dev->is_made && device != NULL)
		rte_dev_remove(device);
	free(dev);
}

/* ---- looking at it ---- */

void tp_dpdk_info(const struct tp_dpdk *dev, struct tp_dpdk_info *out)
{
	struct rte_ether_addr mac = { { 0 } };
	struct rte_eth_link link = { 0 };

	rte_eth_macaddr_get(dev->port_id, &mac);
	*out = (struct tp_dpdk_info){
		.driver = dev->info.driver_name,
		.mtu = dev->mtu,
		.queues = dev->queues,
		.has_rss = dev->has_rss,
		.has_interrupts = dev->has_interrupts,
	};
	memcpy(out->mac, mac.addr_bytes, sizeof(out->mac));
	if (rte_eth_link_get_nowait(dev->port_id, &link) == 0) {
		out->is_up = link.link_status == RTE_ETH_LINK_UP;
		out->link_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
	}
}

int tp_dpdk_stats(const struct tp_dpdk *dev, struct tp_dpdk_stats *out)
{
	struct rte_eth_stats s;

	if (rte_eth_stats_get(dev->port_id, &s) != 0)
		return -ENOTSUP;
#define X(name, help) out->name = s.name;
	TP_DPDK_STATS(X)
#undef X
	return 0;
}
