/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t find_interface(const struct tp_conf *conf, const char *name, size_t len)
{
	uint32_t i;

	for (i = 0; i < conf->n_interfaces; i++) {
		if (strlen(conf->interfaces[i].name) == len &&
				memcmp(conf->interfaces[i].name, name, len) == 0)
			break;
	}
	return i;
}

/* One interface under two names. */
static void check_kernel(
		struct tp_conf_file *file, const struct tp_conf *conf, uint32_t i, const char *key)
{
	uint32_t j;

	for (j = 0; j < i; j++) {
		if (strcmp(conf->interfaces[j].kernel, conf->interfaces[i].kernel) == 0 &&
				strcmp(conf->interfaces[j].name, conf->interfaces[i].name) != 0)
			tp_conf_error(file, tp_conf_path("interfaces[%u].%s", i, key).text,
					"the kernel interface of interfaces[%u], too", j);
	}
}

static int build_dpdk(struct tp_conf_file *file, const struct tp_conf_raw_interface *from,
		struct tp_conf *conf, uint32_t i)
{
	struct tp_conf_interface *to = &conf->interfaces[i];
	uint32_t j;

	if (from->mode != TP_XDP_AUTO)
		tp_conf_error(file, tp_conf_path("interfaces[%u].mode", i).text,
				"is for driver afxdp alone");
	if (from->device == NULL)
		tp_conf_error(file, tp_conf_path("interfaces[%u].device", i).text,
				"missing, and required for driver dpdk");
	if (from->kernel == NULL)
		tp_conf_error(file, tp_conf_path("interfaces[%u].kernel", i).text,
				"missing, and required for driver dpdk");
	if (from->device == NULL || from->kernel == NULL)
		return 0;
	to->device = strdup(from->device);
	if (to->device == NULL)
		return -ENOMEM;
	snprintf(to->kernel, sizeof(to->kernel), "%s", from->kernel);
	check_kernel(file, conf, i, "kernel");
	for (j = 0; j < i; j++) {
		if (conf->interfaces[j].device != NULL &&
				strcmp(conf->interfaces[j].device, to->device) == 0)
			tp_conf_error(file, tp_conf_path("interfaces[%u].device", i).text,
					"the device of interfaces[%u], too", j);
	}
	return 0;
}

static void build_afxdp(struct tp_conf_file *file, const struct tp_conf_raw_interface *from,
		struct tp_conf *conf, uint32_t i)
{
	struct tp_conf_interface *to = &conf->interfaces[i];

	to->mode = (enum tp_xdp_mode)from->mode;
	memcpy(to->kernel, to->name, sizeof(to->kernel));
	check_kernel(file, conf, i, "name");
	if (from->device != NULL)
		tp_conf_error(file, tp_conf_path("interfaces[%u].device", i).text,
				"is for driver dpdk alone");
	if (from->kernel != NULL)
		tp_conf_error(file, tp_conf_path("interfaces[%u].kernel", i).text,
				"is for driver dpdk alone");
}

static int build_interfaces(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	const char *name;
	uint32_t i, j;
	int err = 0;

	if (raw->n_interfaces == 0)
		return 0;
	conf->interfaces = calloc(raw->n_interfaces, sizeof(*conf->interfaces));
	if (conf->interfaces == NULL)
		return -ENOMEM;
	for (i = 0; i < raw->n_interfaces && err == 0; i++) {
		name = raw->interfaces[i].name;
		j = find_interface(conf, name, strlen(name));
		if (j < conf->n_interfaces)
			tp_conf_error(file, tp_conf_path("interfaces[%u].name", i).text,
					"the same as interfaces[%u]", j);
		memcpy(conf->interfaces[i].name, name, strlen(name) + 1);
		conf->interfaces[i].driver = (enum tp_driver)raw->interfaces[i].driver;
		conf->interfaces[i].mode = TP_XDP_AUTO;
		conf->n_interfaces++;
		if (conf->interfaces[i].driver == TP_DRIVER_DPDK)
			err = build_dpdk(file, &raw->interfaces[i], conf, i);
		else
			build_afxdp(file, &raw->interfaces[i], conf, i);
	}
	return err;
}

/* @return the core that serves the queue, or of a whole file that does not: n_cores */
static uint32_t find_queue(const struct tp_conf *conf, const struct tp_conf_queue *queue)
{
	const struct tp_conf_core *core;
	uint32_t i, j;

	for (i = 0; i < conf->n_cores; i++) {
		core = &conf->cores[i];
		for (j = 0; j < core->n_queues; j++) {
			if (memcmp(&core->queues[j], queue, sizeof(*queue)) == 0)
				return i;
		}
	}
	return conf->n_cores;
}

static bool has_interface(const struct tp_conf_core *core, uint32_t interface)
{
	uint32_t i;

	for (i = 0; i < core->n_queues; i++) {
		if (core->queues[i].interface == interface)
			return true;
	}
	return false;
}

/* "eth0:3"; the last colon divides. */
static void build_queue(struct tp_conf_file *file, const struct tp_conf *conf, const char *text,
		const char *path, struct tp_conf_core *core)
{
	const char *colon = strrchr(text, ':');
	struct tp_conf_queue queue = {
		.interface = find_interface(conf, text, (size_t)(colon - text)),
		.queue = (uint32_t)strtoul(colon + 1, NULL, 10),
	};
	uint32_t owner;

	if (queue.interface == conf->n_interfaces) {
		tp_conf_error(file, path, "no such interface in interfaces");
		return;
	}
	owner = find_queue(conf, &queue);
	if (conf->interfaces[queue.interface].mode == TP_XDP_OFF)
		tp_conf_error(file, path, "the interface has mode off, and takes no core");
	else if (owner < conf->n_cores)
		tp_conf_error(file, path, "cores[%u] already has this queue", owner);
	else if (has_interface(core, queue.interface))
		tp_conf_error(file, path,
				"the core already has a queue of this interface: must be one of "
				"each");
	core->queues[core->n_queues++] = queue;
}

static int build_core(struct tp_conf_file *file, const struct tp_conf_raw *raw, uint32_t i,
		struct tp_conf *conf)
{
	const struct tp_conf_raw_core *from = &raw->cores[i];
	struct tp_conf_core *core = &conf->cores[conf->n_cores++];
	uint32_t j;

	core->cpu = from->cpu;
	core->idle = (enum tp_idle)from->idle;
	core->queues = calloc(from->n_queues, sizeof(*core->queues));
	if (core->queues == NULL)
		return -ENOMEM;
	for (j = 0; j < from->n_queues; j++)
		build_queue(file, conf, from->queues[j],
				tp_conf_path("cores[%u].queues[%u]", i, j).text, core);
	return 0;
}

static int build_cores(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	uint32_t i;
	int err = 0;

	if (raw->n_cores == 0)
		return 0;
	conf->cores = calloc(raw->n_cores, sizeof(*conf->cores));
	if (conf->cores == NULL)
		return -ENOMEM;
	for (i = 0; i < raw->n_cores && err == 0; i++)
		err = build_core(file, raw, i, conf);
	return err;
}

static int build_eal(const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	if (raw->n_eal == 0)
		return 0;
	conf->eal = calloc(raw->n_eal, sizeof(char *));
	if (conf->eal == NULL)
		return -ENOMEM;
	for (; conf->n_eal < raw->n_eal; conf->n_eal++) {
		conf->eal[conf->n_eal] = strdup(raw->eal[conf->n_eal]);
		if (conf->eal[conf->n_eal] == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* A DPDK device gets the queues that are named: a gap in them is a mistake. */
static void check_gap(struct tp_conf_file *file, const struct tp_conf *conf, uint32_t interface)
{
	struct tp_conf_queue queue = { .interface = interface };
	uint32_t i, j, n = 0;

	for (i = 0; i < conf->n_cores; i++)
		n += has_interface(&conf->cores[i], interface);
	for (queue.queue = 0; queue.queue < n; queue.queue++) {
		if (find_queue(conf, &queue) < conf->n_cores)
			continue;
		for (i = 0, j = 0; j < n; i++)
			j += has_interface(&conf->cores[i], interface);
		tp_conf_error(file, tp_conf_path("cores[%u].queues", i - 1).text,
				"queues of a DPDK device are numbered from 0 without a gap, and there is no "
				"\"%s:%u\"",
				conf->interfaces[interface].name, queue.queue);
		return;
	}
}

/* A queue without a worker would lose what XDP could redirect. */
static void check_served(struct tp_conf_file *file, const struct tp_conf *conf, uint32_t interface)
{
	uint32_t i;

	for (i = 0; i < conf->n_cores; i++) {
		if (has_interface(&conf->cores[i], interface))
			return;
	}
	tp_conf_error(file, tp_conf_path("interfaces[%u].name", interface).text,
			"no queue of it in cores: must have at least one there, or mode off");
}

int tp_conf_build_layout(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	uint32_t i;
	int err = build_interfaces(file, raw, conf);

	if (err == 0)
		err = build_cores(file, raw, conf);
	if (err == 0)
		err = build_eal(raw, conf);
	for (i = 0; i < conf->n_interfaces && err == 0; i++) {
		if (conf->interfaces[i].mode != TP_XDP_OFF)
			check_served(file, conf, i);
		if (conf->interfaces[i].driver == TP_DRIVER_DPDK)
			check_gap(file, conf, i);
	}
	return err;
}
