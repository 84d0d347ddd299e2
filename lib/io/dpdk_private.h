/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk_private - what dpdk_device.c and dpdk.c share.
 *
 * Threads: as dpdk.h.
 */
#ifndef TP_IO_DPDK_PRIVATE_H
#define TP_IO_DPDK_PRIVATE_H

#include <net/if.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "io/dpdk.h"

#define TP_DPDK_MAX_QUEUES 256

struct tp_dpdk {
	char name[IF_NAMESIZE];
	uint16_t port_id; /* ethdev's */
	uint16_t index;
	uint32_t queues;
	uint16_t rx_descs, tx_descs;
	uint32_t mtu;
	bool has_rss, has_interrupts, is_started;
	bool is_made;       /* probed by us: removed by us */
	const char *advice; /* when it does not start */
	struct rte_eth_dev_info info;
	struct rte_eth_txconf tx_conf;
	struct tp_port *ports[TP_DPDK_MAX_QUEUES]; /* the workers' */
	uint32_t n_ports;
};

struct tp_dpdk_pool {
	struct rte_mempool *mbufs;
};

/** The device runs: its receive interrupts can be had. */
void tp_dpdk_port_started(struct tp_port *port);

#endif
