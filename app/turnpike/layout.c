/* SPDX-License-Identifier: Apache-2.0 */
#include "layout_private.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io/afxdp.h"
#include "io/netdev.h"

#define CHUNK_BYTES 2048
#define CHUNK_BYTES_LARGE 4096
/* In front of the IP packet: the kernel's headroom, Ethernet, one VLAN tag. */
#define CHUNK_OVERHEAD (TP_UMEM_HEADROOM + 18)
/* Fill, receive, transmit and completion ring of each port can be full at once. */
#define CHUNKS_PER_PORT (4 * TP_AFXDP_RING)

/* ---- looking at the machine ---- */

/* The core whose worker owns a queue, or NULL. */
static const struct tp_conf_core *owner(
		const struct tp_conf *conf, uint32_t interface, uint32_t queue)
{
	for (uint32_t i = 0; i < conf->n_cores; i++)
		for (uint32_t j = 0; j < conf->cores[i].n_queues; j++)
			if (conf->cores[i].queues[j].interface == interface &&
					conf->cores[i].queues[j].queue == queue)
				return &conf->cores[i];
	return NULL;
}

uint32_t tp_layout_queues_wanted(const struct tp_conf *conf, uint32_t interface)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < conf->n_cores; i++)
		for (uint32_t j = 0; j < conf->cores[i].n_queues; j++)
			if (conf->cores[i].queues[j].interface == interface)
				n++;
	return n;
}

static int check_queues(const struct tp_conf *conf, uint32_t interface, struct tp_why *why)
{
	const char *name = conf->interfaces[interface].name;
	uint32_t have = tp_if_queues(name), want = tp_layout_queues_wanted(conf, interface), q;
	char command[64 + IF_NAMESIZE];

	tp_if_queues_command(name, want, command, sizeof(command));
	for (q = 0; q < have && owner(conf, interface, q) != NULL; q++)
		;
	if (q < have)
		return tp_why_set(why, -EINVAL,
				"interface %s has %u receive queues, and queue %u has no worker in `cores`: "
				"add \"%s:%u\" to a core, or reduce the queues with `%s`",
				name, have, q, name, q, command);
	if (want > have)
		return tp_why_set(why, -EINVAL,
				"interface %s has %u receive queues, and `cores` names %u: remove some, or "
				"add queues with `%s`",
				name, have, want, command);
	return 0;
}

static int check_link(const struct tp_layout_interface *li, struct tp_why *why)
{
	const char *name = li->conf->name;
	uint32_t mtu_max = CHUNK_BYTES_LARGE - CHUNK_OVERHEAD;

	if (!li->link.is_ethernet)
		return tp_why_set(why, -EINVAL,
				"interface %s is not Ethernet: AF_XDP can not send on it; use `mode: off`",
				name);
	if (li->link.mtu > mtu_max)
		return tp_why_set(why, -EINVAL,
				"interface %s has an MTU of %u; AF_XDP carries at most %u: "
				"`ip link set dev %s mtu 1500`, or use `mode: off`",
				name, li->link.mtu, mtu_max, name);
	return 0;
}

static int missing(const struct tp_conf_interface *ci, struct tp_why *why)
{
	if (ci->driver == TP_DRIVER_DPDK)
		return tp_why_set(why, -ENODEV,
				"interface %s: there is no kernel interface %s: make it with `ip tuntap "
				"add dev %s mode tap && ip link set %s up`, and give it the addresses of "
				"this port",
				ci->name, ci->kernel, ci->kernel, ci->kernel);
	return tp_why_set(why, -ENODEV, "interface %s does not exist; see `ip link`", ci->name);
}

int tp_layout_check(const struct tp_conf *conf, struct tp_nl *nl, struct tp_layout *out,
		struct tp_why *why)
{
	*out = (struct tp_layout){ .conf = conf };
	out->plans = calloc(conf->n_cores + 1, sizeof(*out->plans));
	out->interfaces = calloc(conf->n_interfaces + 1, sizeof(*out->interfaces));
	out->workers = calloc(conf->n_cores + 1, sizeof(struct tp_worker *));
	out->pools = calloc(conf->n_cores + 1, sizeof(struct tp_dpdk_pool *));
	if (out->plans == NULL || out->interfaces == NULL || out->workers == NULL ||
			out->pools == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < conf->n_interfaces; i++) {
		struct tp_layout_interface *li = &out->interfaces[out->n_interfaces++];
		const char *name = conf->interfaces[i].kernel;
		unsigned int ifindex = if_nametoindex(name);
		int rc;

		li->conf = &conf->interfaces[i];
		li->mode = TP_XDP_OFF;
		if (ifindex == 0 || tp_nl_get_link(nl, ifindex, &li->link) < 0)
			return missing(li->conf, why);
		if (li->conf->mode == TP_XDP_OFF)
			continue;
		if (li->conf->driver == TP_DRIVER_DPDK) {
			rc = tp_layout_dpdk_check(li, why);
		} else {
			rc = check_link(li, why);
			if (rc == 0)
				rc = check_queues(conf, i, why);
		}
		if (rc == 0 && !li->link.is_up && li->conf->driver == TP_DRIVER_AFXDP)
			tp_warn("interface %s is down: its packets will flow once it is up", name);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- opening ---- */

/* NUMA node of an interface's device; -1: none, as for virtual ones. */
static int numa_node_of(const char *ifname)
{
	char path[64 + IF_NAMESIZE];
	int node = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/device/numa_node", ifname);
	f = fopen(path, "re");
	if (f == NULL)
		return -1;
	if (fscanf(f, "%d", &node) != 1)
		node = -1;
	fclose(f);
	return node;
}

static int plan_umem(const struct tp_layout *layout, const struct tp_conf_core *core,
		struct tp_layout_plan *plan, struct tp_why *why)
{
	struct tp_umem_conf uc = { .ring_size = TP_AFXDP_RING, .numa_node = -1 };

	uc.chunk_bytes = CHUNK_BYTES;
	for (uint32_t i = 0; i < core->n_queues; i++) {
		const struct tp_layout_interface *li =
				&layout->interfaces[core->queues[i].interface];

		if (li->conf->driver != TP_DRIVER_AFXDP)
			continue;
		if (li->link.mtu > CHUNK_BYTES - CHUNK_OVERHEAD)
			uc.chunk_bytes = CHUNK_BYTES_LARGE;
		if (uc.chunks == 0)
			uc.numa_node = numa_node_of(li->conf->name);
		uc.chunks += CHUNKS_PER_PORT;
	}
	if (uc.chunks == 0)
		return 0;
	plan->frame_bytes = uc.chunk_bytes;
	return tp_umem_new(&uc, &plan->umem, why);
}

static int open_port(const struct tp_layout *layout, const struct tp_conf_core *core,
		struct tp_layout_plan *plan, const struct tp_conf_queue *queue,
		enum tp_xdp_mode want, struct tp_why *why)
{
	const struct tp_layout_interface *li = &layout->interfaces[queue->interface];
	const struct tp_afxdp_conf pc = {
		.ifname = li->conf->name,
		.index = (uint16_t)queue->interface,
		.queue = queue->queue,
		.want = want,
		/* Only a worker that never sleeps polls often enough to stand in for interrupts. */
		.busy_poll = core->idle == TP_IDLE_SPIN,
		.umem = plan->umem,
	};
	struct tp_port *port;
	int rc = tp_afxdp_new(&pc, &port, why);

	if (rc < 0)
		return rc;
	plan->ports[plan->n_ports++] = port;
	rc = tp_afxdp_count_in(port, tp_steer_queues_fd(li->steer));
	if (rc == 0)
		rc = tp_steer_set_xsk(li->steer, queue->queue, tp_afxdp_fd(port));
	if (rc < 0)
		return tp_why_set(why, rc,
				"interface %s: can not direct queue %u to its worker: %s",
				li->conf->name, queue->queue, strerror(-rc));
	return 0;
}

static void plan_free(struct tp_layout_plan *plan)
{
	while (plan->n_ports > 0)
		tp_port_close(plan->ports[--plan->n_ports]);
	if (plan->umem != NULL)
		tp_umem_free(plan->umem);
}

/* From best to least. */
static enum tp_xdp_mode lesser(enum tp_xdp_mode a, enum tp_xdp_mode b)
{
	return a == TP_XDP_OFF || b > a ? b : a;
}

static int open_queues(struct tp_layout *layout, uint32_t interface, enum tp_xdp_mode want,
		struct tp_why *why)
{
	const struct tp_conf *conf = layout->conf;
	struct tp_layout_plan *plans = layout->plans;
	struct tp_layout_interface *li = &layout->interfaces[interface];

	for (uint32_t i = 0; i < conf->n_cores; i++) {
		for (uint32_t j = 0; j < conf->cores[i].n_queues; j++) {
			const struct tp_conf_queue *queue = &conf->cores[i].queues[j];
			int rc;

			if (queue->interface != interface)
				continue;
			rc = open_port(layout, &conf->cores[i], &plans[i], queue, want, why);
			if (rc < 0)
				return rc;
			li->mode = lesser(li->mode,
					tp_afxdp_mode(plans[i].ports[plans[i].n_ports - 1]));
		}
	}
	return 0;
}

/* Undo open_queues(): the interface's ports are the last of their plans. */
static void close_queues(struct tp_layout *layout, uint32_t interface)
{
	for (uint32_t i = 0; i < layout->conf->n_cores; i++) {
		struct tp_layout_plan *p = &layout->plans[i];

		while (p->n_ports > 0 && p->ports[p->n_ports - 1]->index == interface)
			tp_port_close(p->ports[--p->n_ports]);
	}
}

/* best: what `auto` begins with, TP_XDP_AUTO or TP_XDP_COPY */
static int open_interface(struct tp_layout *layout, uint32_t interface, struct tp_steer *steer,
		enum tp_xdp_mode best, struct tp_why *why)
{
	struct tp_layout_interface *li = &layout->interfaces[interface];
	enum tp_xdp_mode want = li->conf->mode == TP_XDP_AUTO ? best : li->conf->mode;
	bool is_skb;
	int rc = tp_steer_attach(steer, li->link.ifindex, li->conf->mode, &li->steer, &is_skb, why);

	if (rc < 0)
		return rc;
	rc = open_queues(layout, interface, is_skb ? TP_XDP_SKB : want, why);
	if (rc < 0 && li->conf->mode == TP_XDP_AUTO && !is_skb) {
		/* Last rung of the ladder: the driver has XDP, but no AF_XDP sockets. */
		close_queues(layout, interface);
		tp_steer_detach(li->steer);
		li->mode = TP_XDP_OFF;
		rc = tp_steer_attach(steer, li->link.ifindex, TP_XDP_SKB, &li->steer, &is_skb, why);
		if (rc == 0)
			rc = open_queues(layout, interface, TP_XDP_SKB, why);
	}
	if (rc < 0)
		return rc;
	tp_info("interface %s: %u queues, asked for %s, got %s", li->conf->name,
			tp_layout_queues_wanted(layout->conf, interface),
			tp_xdp_mode_name(li->conf->mode), tp_xdp_mode_name(li->mode));
	return 0;
}

static int open_all(struct tp_layout *layout, struct tp_steer *steer, enum tp_xdp_mode best,
		struct tp_why *why)
{
	const struct tp_conf *conf = layout->conf;
	uint32_t i;
	int rc = 0;

	for (i = 0; i < conf->n_cores && rc == 0; i++)
		rc = plan_umem(layout, &conf->cores[i], &layout->plans[i], why);
	if (rc == 0)
		rc = tp_layout_dpdk_open(layout, why);
	for (i = 0; i < layout->n_interfaces && rc == 0; i++) {
		if (layout->interfaces[i].dpdk != NULL)
			rc = tp_layout_dpdk_open_interface(layout, i, steer, why);
		else if (layout->interfaces[i].conf->mode != TP_XDP_OFF)
			rc = open_interface(layout, i, steer, best, why);
	}
	return rc;
}

/* Programs before sockets: traffic goes to the kernel first. */
static void close_all(struct tp_layout *layout)
{
	uint32_t i;

	for (i = 0; i < layout->n_interfaces; i++) {
		if (layout->interfaces[i].steer != NULL)
			tp_steer_detach(layout->interfaces[i].steer);
		layout->interfaces[i].steer = NULL;
		layout->interfaces[i].mode = TP_XDP_OFF;
	}
	for (i = 0; layout->plans != NULL && i < layout->conf->n_cores; i++) {
		plan_free(&layout->plans[i]);
		layout->plans[i] = (struct tp_layout_plan){ 0 };
	}
	tp_layout_dpdk_close(layout);
}

static bool has_chosen_zerocopy(const struct tp_layout *layout)
{
	for (uint32_t i = 0; i < layout->n_interfaces; i++)
		if (layout->interfaces[i].conf->mode == TP_XDP_AUTO &&
				layout->interfaces[i].mode == TP_XDP_ZEROCOPY)
			return true;
	return false;
}

int tp_layout_open(struct tp_layout *layout, struct tp_steer *steer, struct tp_why *why)
{
	int rc = open_all(layout, steer, TP_XDP_AUTO, why);

	if (rc == 0 || rc == -EBUSY || rc == -EPERM || !has_chosen_zerocopy(layout))
		return rc;
	tp_info("not every interface can do zero-copy (%s): trying copy for all", why->text);
	close_all(layout);
	return open_all(layout, steer, TP_XDP_COPY, why);
}

void tp_layout_set_vlan(struct tp_layout *layout, uint32_t interface, uint16_t vlan, bool is_up)
{
	struct tp_layout_interface *li = &layout->interfaces[interface];

	tp_steer_set_vlan(li->steer, vlan, is_up);
	if (!is_up || li->has_vlan || li->dpdk != NULL)
		return;
	li->has_vlan = true;
	if (tp_if_strips_vlan(li->conf->name))
		tp_warn("interface %s has VLANs and takes their tags off in hardware, so that XDP "
			"can not tell them apart and may take frames of VLANs that this host "
			"does not have: `ethtool -K %s rxvlan off`",
				li->conf->name, li->conf->name);
}

const char *tp_layout_mode_name(const struct tp_layout_interface *li)
{
	return li->dpdk != NULL ? "dpdk" : tp_xdp_mode_name(li->mode);
}

/* ---- workers ---- */

int tp_layout_make_workers(struct tp_layout *layout, struct tp_grace *grace,
		const struct tp_flow_table *flows, struct tp_accounts *accounts, struct tp_why *why)
{
	const struct tp_conf *conf = layout->conf;

	for (uint32_t i = 0; i < conf->n_cores; i++) {
		struct tp_layout_plan *plan = &layout->plans[i];
		const struct tp_worker_conf wc = {
			.id = i,
			.cpu = conf->cores[i].cpu,
			.idle = conf->cores[i].idle,
			.grace = grace,
			.flows = flows,
			.tally = tp_accounts_tally(accounts, i),
			.classify = { conf->relay_port_min, conf->relay_port_max },
			.umem = plan->umem,
			.ports = plan->ports,
			.n_ports = plan->n_ports,
			.frame_bytes = plan->frame_bytes,
		};
		int rc = tp_worker_new(&wc, &layout->workers[i]);

		*plan = (struct tp_layout_plan){ 0 }; /* the worker's now, or released */
		if (rc < 0)
			return tp_why_set(why, rc, "can not make worker %u: %s", i, strerror(-rc));
		layout->n_workers++;
	}
	return 0;
}

int tp_layout_start(struct tp_layout *layout)
{
	int err = layout->exception == NULL ? 0 : tp_exception_start(layout->exception);

	if (err < 0)
		return err;
	for (uint32_t i = 0; i < layout->n_workers; i++) {
		int rc = tp_worker_start(layout->workers[i]);

		if (rc < 0)
			return rc;
	}
	return 0;
}

void tp_layout_close(struct tp_layout *layout)
{
	uint32_t i;

	for (i = 0; i < layout->n_interfaces; i++)
		if (layout->interfaces[i].steer != NULL)
			tp_steer_detach(layout->interfaces[i].steer);
	for (i = 0; i < layout->n_workers; i++)
		tp_worker_free(layout->workers[i]);
	close_all(layout);
	free(layout->interfaces);
	free(layout->plans);
	free(layout->workers);
	free(layout->pools);
	*layout = (struct tp_layout){ 0 };
}
