/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_rig - configuration files of a test's own, in a directory that vanishes with it: loaded,
 * with the messages that come of it, and printed.
 */
#ifndef TP_TESTS_CONF_RIG_H
#define TP_TESTS_CONF_RIG_H

#include "conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* Four lines without which nothing loads. */
#define REALM "realm: example.org\n"
#define LISTEN "listen: [ { address: 192.0.2.10 } ]\n"
#define RELAY "relay: { addresses: [ { address: 192.0.2.10 } ] }\n"
#define AUTH "auth: { users: [ { name: alice, password: wonder } ] }\n"
#define BASE REALM LISTEN RELAY AUTH

#define FILE_NAME "turnpike.yaml"

static char conf_directory[] = "/tmp/test_conf.XXXXXX";

static inline int conf_enter_directory(void **state)
{
	(void)state;
	return mkdtemp(conf_directory) == NULL || chdir(conf_directory) < 0 ? -1 : 0;
}

static inline int conf_leave_directory(void **state)
{
	(void)state;
	unlink(FILE_NAME);
	return chdir("/") < 0 || rmdir(conf_directory) < 0 ? -1 : 0;
}

static inline void conf_write_file(const void *data, size_t len)
{
	FILE *f = fopen(FILE_NAME, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* @param[out] messages  to be freed */
static inline int conf_load_path(const char *path, char **messages, struct tp_conf **conf)
{
	size_t size;
	FILE *err = open_memstream(messages, &size);
	int ret;

	assert_non_null(err);
	*conf = NULL;
	ret = tp_conf_load(path, err, conf);
	assert_int_equal(fclose(err), 0);
	if (ret < 0)
		assert_null(*conf);
	return ret;
}

static inline int conf_load(const char *text, char **messages, struct tp_conf **conf)
{
	conf_write_file(text, strlen(text));
	return conf_load_path(FILE_NAME, messages, conf);
}

static inline struct tp_conf *conf_load_good(const char *text)
{
	struct tp_conf *conf;
	char *messages;
	int ret = conf_load(text, &messages, &conf);

	assert_string_equal(messages, "");
	assert_int_equal(ret, 0);
	free(messages);
	return conf;
}

static inline char *conf_printed(const struct tp_conf *conf)
{
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	tp_conf_print(conf, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* Every section, with other values than the defaults. */
static const char conf_every_option[] =
		"realm: example.org\n"
		"listen:\n"
		"  - address: 192.0.2.10\n"
		"    port: 5349\n"
		"  - address: 2001:db8::10\n"
		"  - { address: 10.0.0.6, external: 192.0.2.11, anycast: true }\n"
		"  - { address: 2001:db8::10, port: 3477 }\n"
		"  - { address: 2001:db8::11, port: 3477 }\n"
		"  - { address: 2001:db8::11, port: 3478 }\n"
		"relay:\n"
		"  addresses:\n"
		"    - { address: 10.0.0.5, external: 192.0.2.10 }\n"
		"    - { address: '2001:db8::10' }\n"
		"  ports: { min: 20000, max: 20999 }\n"
		"auth:\n"
		"  users:\n"
		"    - { name: alice, password: wonder }\n"
		"    - { name: 'b\xc3\xb6"
		"b \"\\', key: 00112233445566778899AABBCCddeeff }\n"
		"  secrets: [ newest, 'pre vious' ]\n"
		"peers:\n"
		"  deny: [ 203.0.114.0/24, recommended, 2001:db9::1 ]\n"
		"  allow: [ 10.1.0.0/16, fd00::/8 ]\n"
		"limits: { allocations: 1, channels: 4000000, allocation_bps: 1000000000000, allocation_pps: 3,\n"
		"  allocations_per_user: 2,\n"
		"  channels_per_allocation: 3, permissions_per_allocation: 4, new_peers_per_sec: 5,\n"
		"  unauthenticated_per_source: 6, unauthenticated_total: 7 }\n"
		"log: { allocations: false }\n"
		"redirect: { when: full, servers: [ { address: 192.0.2.20, port: 3479 }, { address: '2001:db8::20' } ] }\n"
		"discovery: [ { address: 2001:db8::10, other_address: 2001:db8::11, other_port: 3477 } ]\n"
		"default_family: listener\n"
		"legacy_attributes: true\n"
		"mobility: true\n"
		"legacy_channels: true\n"
		"dscp: clear\n"
		"lowest_ipv6_mtu: 1500\n"
		"interfaces:\n"
		"  - { name: eth0, driver: afxdp, mode: copy }\n"
		"  - { name: eth1 }\n"
		"  - { name: eth2, mode: off }\n"
		"  - { name: wan0, driver: dpdk, device: '0000:3b:00.0,arg=1', kernel: tp0 }\n"
		"eal: [ -m, '512' ]\n"
		"cores:\n"
		"  - { cpu: 2, queues: [ 'eth0:0', 'eth1:1', 'wan0:0' ], idle: adaptive }\n"
		"  - { cpu: 2, queues: [ 'eth0:255' ] }\n"
		"control: { cpu: 1, socket: /tmp/turnpike.sock }\n"
		"metrics: { listen: 0.0.0.0, port: 1 }\n";

#endif
