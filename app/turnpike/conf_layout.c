/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_check.h"

#include <errno.h>
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

static int build_interfaces(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	const char *name;
	uint32_t i, j;

	if (raw->n_interfaces == 0)
		return 0;
	conf->interfaces = calloc(raw->n_interfaces, sizeof(*conf->interfaces));
	if (conf->interfaces == NULL)
		return -ENOMEM;
	for (i = 0; i < raw->n_interfaces; i++) {
		name = raw->interfaces[i].name;
		j = find_interface(conf, name, strlen(name));
		if (j < conf->n_interfaces)
			tp_conf_error(file, tp_conf_path("interfaces[%u].name", i).text,
					"the same as interfaces[%u]", j);
		memcpy(conf->interfaces[i].name, name, strlen(name) + 1);
		conf->interfaces[i].mode = (enum tp_xdp_mode)raw->interfaces[i].mode;
		conf->n_interfaces++;
	}
	return 0;
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
	for (i = 0; i < conf->n_interfaces && err == 0; i++) {
		if (conf->interfaces[i].mode != TP_XDP_OFF)
			check_served(file, conf, i);
	}
	return err;
}
