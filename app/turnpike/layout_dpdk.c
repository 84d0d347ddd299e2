/* SPDX-License-Identifier: Apache-2.0 */
#include "layout_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "io/pci.h"
#include "io/tap.h"

bool tp_layout_has_dpdk(const struct tp_conf *conf)
{
	for (uint32_t i = 0; i < conf->n_interfaces; i++)
		if (conf->interfaces[i].driver == TP_DRIVER_DPDK)
			return true;
	return false;
}

/* ---- looking at the machine ---- */

int tp_layout_dpdk_check(const struct tp_layout_interface *li, struct tp_why *why)
{
	const char *name = li->conf->name;
	struct tp_why reason = { "" };
	int rc;

	if (!li->link.is_ethernet)
		return tp_why_set(why, -EINVAL, "interface %s: %s is not Ethernet", name,
				li->conf->kernel);
	if (li->link.mtu > TP_DPDK_MTU_MAX)
		return tp_why_set(why, -EINVAL,
				"interface %s: %s has an MTU of %u; at most %u: `ip link set dev %s mtu "
				"1500`",
				name, li->conf->kernel, li->link.mtu, TP_DPDK_MTU_MAX,
				li->conf->kernel);
	rc = tp_pci_is_address(li->conf->device) ? tp_pci_check("/sys", li->conf->device, &reason)
						 : 0;
	return rc < 0 ? tp_why_set(why, rc, "interface %s: %s", name, reason.text) : 0;
}

/* ---- memory ---- */

/* Of one core: its DPDK ports, the largest of their frames, and the device that they are on. */
static uint32_t ports_of(const struct tp_layout *layout, uint32_t core, uint32_t *frame_bytes,
		const struct tp_dpdk **dev)
{
	const struct tp_conf_core *cc = &layout->conf->cores[core];
	uint32_t n = 0;

	*frame_bytes = 0;
	*dev = NULL;
	for (uint32_t i = 0; i < cc->n_queues; i++) {
		const struct tp_layout_interface *li = &layout->interfaces[cc->queues[i].interface];
		uint32_t bytes = tp_dpdk_frame_bytes(li->link.mtu);

		if (li->conf->driver != TP_DRIVER_DPDK)
			continue;
		n++;
		*dev = *dev == NULL ? li->dpdk : *dev;
		*frame_bytes = bytes > *frame_bytes ? bytes : *frame_bytes;
	}
	return n;
}

uint64_t tp_layout_dpdk_bytes(const struct tp_layout *layout)
{
	const struct tp_dpdk *dev;
	uint32_t frame_bytes, n;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < layout->conf->n_cores; i++) {
		n = ports_of(layout, i, &frame_bytes, &dev);
		if (n > 0)
			sum += tp_dpdk_pool_bytes(tp_dpdk_pool_frames(n), frame_bytes);
	}
	return sum;
}

static int plan_pool(struct tp_layout *layout, uint32_t core, struct tp_why *why)
{
	struct tp_layout_plan *plan = &layout->plans[core];
	const struct tp_dpdk *dev;
	uint32_t frame_bytes, n = ports_of(layout, core, &frame_bytes, &dev);
	char name[24];
	int rc;

	if (n == 0)
		return 0;
	assert(dev != NULL);
	snprintf(name, sizeof(name), "frames%u", core);
	rc = tp_dpdk_pool_new(
			name, tp_dpdk_pool_frames(n), frame_bytes, dev, &layout->pools[core], why);
	if (rc < 0)
		return rc;
	plan->pool = layout->pools[core];
	if (frame_bytes > plan->frame_bytes)
		plan->frame_bytes = frame_bytes;
	return 0;
}

/* ---- opening ---- */

static bool may_sleep(const struct tp_conf *conf, uint32_t interface)
{
	for (uint32_t i = 0; i < conf->n_cores; i++)
		for (uint32_t j = 0; j < conf->cores[i].n_queues; j++)
			if (conf->cores[i].queues[j].interface == interface &&
					conf->cores[i].idle == TP_IDLE_ADAPTIVE)
				return true;
	return false;
}

static int open_device(struct tp_layout *layout, uint32_t interface, struct tp_why *why)
{
	struct tp_layout_interface *li = &layout->interfaces[interface];
	const struct tp_dpdk_conf dc = {
		.name = li->conf->name,
		.device = li->conf->device,
		.index = (uint16_t)interface,
		.queues = tp_layout_queues_wanted(layout->conf, interface),
		.mtu = li->link.mtu,
		.wants_interrupts = may_sleep(layout->conf, interface),
	};

	return tp_dpdk_open(&dc, &li->dpdk, why);
}

int tp_layout_dpdk_open(struct tp_layout *layout, struct tp_why *why)
{
	int rc = 0;

	if (!tp_layout_has_dpdk(layout->conf))
		return 0;
	if (tp_exception_new(&layout->exception) < 0)
		return tp_why_set(why, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < layout->n_interfaces && rc == 0; i++)
		if (layout->interfaces[i].conf->driver == TP_DRIVER_DPDK)
			rc = open_device(layout, i, why);
	for (uint32_t i = 0; i < layout->conf->n_cores && rc == 0; i++)
		rc = plan_pool(layout, i, why);
	return rc;
}

static int make_rings(uint32_t interface, struct tp_exception_conf *ec)
{
	char name[24];
	int rc;

	snprintf(name, sizeof(name), "from%u", interface);
	rc = tp_handoff_new(name, ec->frame_bytes, &ec->from_kernel);
	for (uint32_t i = 0; i < ec->n_to_kernel && rc == 0; i++) {
		snprintf(name, sizeof(name), "to%u.%u", interface, i);
		rc = tp_handoff_new(name, ec->frame_bytes, &ec->to_kernel[i]);
	}
	return rc;
}

static void free_rings(const struct tp_exception_conf *ec)
{
	for (uint32_t i = 0; i < ec->n_to_kernel; i++)
		tp_handoff_free(ec->to_kernel[i]);
	tp_handoff_free(ec->from_kernel);
}

/* The kernel interface takes the device's place: its address, and a wire. */
static int join_kernel(struct tp_layout *layout, struct tp_layout_interface *li,
		struct tp_exception_conf *ec, struct tp_why *why)
{
	uint32_t interface = (uint32_t)(li - layout->interfaces);
	struct tp_why reason = { "" };
	struct tp_dpdk_info info;
	int rc;

	ec->tap_fd = tp_tap_open(li->conf->kernel, &reason);
	if (ec->tap_fd < 0)
		return tp_why_set(why, ec->tap_fd, "interface %s: %s", li->conf->name, reason.text);
	tp_dpdk_info(li->dpdk, &info);
	rc = tp_tap_set_mac(ec->tap_fd, li->conf->kernel, info.mac);
	if (rc < 0)
		tp_why_set(why, rc, "interface %s: can not give its MAC address to %s: %s",
				li->conf->name, li->conf->kernel, strerror(-rc));
	else if (make_rings(interface, ec) < 0)
		rc = tp_why_set(why, -ENOMEM, "out of memory");
	if (rc < 0) {
		free_rings(ec);
		close(ec->tap_fd);
		return rc;
	}
	li->exception = tp_exception_count(layout->exception);
	rc = tp_exception_add(layout->exception, ec);
	return rc < 0 ? tp_why_set(why, rc, "interface %s: %s", li->conf->name, strerror(-rc)) : 0;
}

static int open_ports(struct tp_layout *layout, uint32_t interface,
		const struct tp_steer_rules *rules, const struct tp_exception_conf *ec,
		struct tp_why *why)
{
	const struct tp_conf *conf = layout->conf;

	for (uint32_t i = 0; i < conf->n_cores; i++) {
		for (uint32_t j = 0; j < conf->cores[i].n_queues; j++) {
			const struct tp_conf_queue *queue = &conf->cores[i].queues[j];
			struct tp_layout_plan *plan = &layout->plans[i];
			struct tp_dpdk_port_conf pc = { .queue = queue->queue,
				.pool = plan->pool,
				.rules = *rules,
				.slot_bytes = ec->frame_bytes };
			int rc;

			if (queue->interface != interface)
				continue;
			pc.to_kernel = ec->to_kernel[queue->queue];
			pc.from_kernel = queue->queue == 0 ? ec->from_kernel : NULL;
			rc = tp_dpdk_port_new(layout->interfaces[interface].dpdk, &pc,
					&plan->ports[plan->n_ports], why);
			if (rc < 0)
				return rc;
			plan->n_ports++;
		}
	}
	return 0;
}

static void log_device(const struct tp_layout_interface *li)
{
	struct tp_dpdk_info info;

	tp_dpdk_info(li->dpdk, &info);
	tp_info("interface %s: DPDK device %s (%s), %u queues%s%s, kernel interface %s",
			li->conf->name, li->conf->device, info.driver, info.queues,
			info.has_rss ? ", spread over UDP ports" : "",
			info.has_interrupts ? ", with interrupts" : "", li->conf->kernel);
}

int tp_layout_dpdk_open_interface(struct tp_layout *layout, uint32_t interface,
		struct tp_steer *steer, struct tp_why *why)
{
	struct tp_layout_interface *li = &layout->interfaces[interface];
	struct tp_exception_conf ec = {
		.name = li->conf->kernel,
		.n_to_kernel = tp_layout_queues_wanted(layout->conf, interface),
		.frame_bytes = tp_dpdk_frame_bytes(li->link.mtu),
	};
	struct tp_steer_rules rules;
	int rc;

	ec.to_kernel = calloc(ec.n_to_kernel, sizeof(struct tp_handoff *));
	if (ec.to_kernel == NULL || tp_steer_attach_user(steer, &li->steer, &rules) < 0) {
		free(ec.to_kernel);
		return tp_why_set(why, -ENOMEM, "out of memory");
	}
	rc = join_kernel(layout, li, &ec, why);
	if (rc == 0)
		rc = open_ports(layout, interface, &rules, &ec, why);
	if (rc == 0)
		rc = tp_dpdk_start(li->dpdk, why);
	free(ec.to_kernel);
	li->has_carrier = true; /* as a TAP is born when somebody attaches */
	if (rc == 0)
		log_device(li);
	return rc;
}

void tp_layout_dpdk_close(struct tp_layout *layout)
{
	tp_exception_free(layout->exception);
	layout->exception = NULL;
	for (uint32_t i = 0; i < layout->n_interfaces; i++) {
		tp_dpdk_close(layout->interfaces[i].dpdk);
		layout->interfaces[i].dpdk = NULL;
	}
	for (uint32_t i = 0; layout->pools != NULL && i < layout->conf->n_cores; i++) {
		tp_dpdk_pool_free(layout->pools[i]);
		layout->pools[i] = NULL;
	}
}

/* ---- links ---- */

void tp_layout_tick(struct tp_layout *layout)
{
	for (uint32_t i = 0; i < layout->n_interfaces; i++) {
		struct tp_layout_interface *li = &layout->interfaces[i];
		struct tp_dpdk_info info;

		if (li->dpdk == NULL)
			continue;
		tp_dpdk_info(li->dpdk, &info);
		if (info.is_up == li->has_carrier)
			continue;
		li->has_carrier = info.is_up;
		tp_info("interface %s: link is %s", li->conf->name, info.is_up ? "up" : "down");
		tp_exception_set_carrier(layout->exception, li->exception, info.is_up);
	}
}
