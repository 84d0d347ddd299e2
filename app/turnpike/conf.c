/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf_check.h"
#include "wire/integrity.h"

static int build(struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	int err;

	conf->max_allocations = raw->limits.allocations;
	conf->max_channels = raw->limits.channels;
	conf->allocation_bps = raw->limits.allocation_bps;
	conf->allocation_pps = raw->limits.allocation_pps;
	conf->logs_allocations = raw->log.allocations;
	conf->limits = raw->limits.turn;
	conf->default_family = (enum tp_conf_family)raw->default_family;
	conf->mobility = raw->mobility;
	conf->legacy_channels = raw->legacy_channels;
	conf->legacy_attributes = raw->legacy_attributes;
	conf->dscp = (enum tp_dscp)raw->dscp;
	conf->lowest_ipv6_mtu = raw->lowest_ipv6_mtu;
	conf->control_cpu = raw->control.cpu;
	conf->control_socket = strdup(raw->control.socket);
	if (conf->control_socket == NULL)
		return -ENOMEM;
	err = tp_conf_build_auth(file, raw, conf);
	if (err == 0)
		err = tp_conf_build_addresses(file, raw, conf);
	if (err == 0)
		err = tp_conf_build_layout(file, raw, conf);
	if (err == 0)
		err = tp_conf_fixed(raw, &conf->fixed);
	return err < 0 || file->n_errors == 0 ? err : -EINVAL;
}

static int load(struct tp_conf_file *file, struct tp_conf **out)
{
	struct tp_conf_raw *raw;
	struct tp_conf *conf;
	int err;

	tp_conf_check_document(file);
	if (file->n_errors > 0)
		return -EINVAL;
	err = tp_conf_raw_load(file, &raw);
	if (err < 0)
		return err;
	conf = calloc(1, sizeof(*conf));
	err = conf != NULL ? build(file, raw, conf) : -ENOMEM;
	tp_conf_raw_free(raw);
	if (err < 0)
		tp_conf_free(conf);
	else
		*out = conf;
	return err;
}

int tp_conf_load(const char *path, FILE *err, struct tp_conf **out)
{
	struct tp_conf_file file;
	int ret = tp_conf_file_open(&file, path, err);

	if (ret == 0)
		ret = load(&file, out);
	if (ret < 0 && file.n_errors == 0)
		tp_conf_error_node(&file, NULL, NULL, "", "%s", strerror(-ret));
	tp_conf_file_close(&file);
	return ret;
}

static void free_auth(struct tp_conf *conf)
{
	uint32_t i;

	for (i = 0; i < conf->n_users; i++)
		free(conf->users[i].name);
	if (conf->users != NULL)
		tp_secret_wipe(conf->users, conf->n_users * sizeof(*conf->users));
	free(conf->users);
	for (i = 0; i < conf->n_secrets; i++) {
		if (conf->secrets[i].data != NULL)
			tp_secret_wipe(conf->secrets[i].data, conf->secrets[i].len);
		free(conf->secrets[i].data);
	}
	free(conf->secrets);
}

void tp_conf_free(struct tp_conf *conf)
{
	uint32_t i;

	if (conf == NULL)
		return;
	free_auth(conf);
	free(conf->realm);
	free(conf->listeners);
	free(conf->listener_info);
	free(conf->discovery);
	free(conf->alternates);
	free(conf->relays);
	free(conf->deny);
	free(conf->allow);
	for (i = 0; i < conf->n_interfaces; i++)
		free(conf->interfaces[i].device);
	free(conf->interfaces);
	for (i = 0; i < conf->n_eal; i++)
		free(conf->eal[i]);
	free(conf->eal);
	for (i = 0; i < conf->n_cores; i++)
		free(conf->cores[i].queues);
	free(conf->cores);
	free(conf->control_socket);
	free(conf->fixed);
	free(conf);
}
