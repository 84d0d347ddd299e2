/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf - the configuration file: read, checked whole, and then never written.
 *
 * One table row per option (the libcyaml schema and the rows beside it) drives the parser, the
 * range errors, `turnpike -t` and the shipped config/turnpike.yaml.  Unknown keys are errors.
 * Everything that can be known wrong without touching the machine is refused here; what
 * depends on the machine (interfaces, queues, addresses) is checked at start.
 *
 * A reload reads the file again: tp_conf_adopt() takes over what can change while the relay runs,
 * tp_conf_diff() names what can not.
 *
 * Threads: control.
 */
#ifndef TP_APP_CONF_H
#define TP_APP_CONF_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "io/steer.h"
#include "turn/turn.h"

enum tp_idle {
	TP_IDLE_SPIN,     /* never sleeps */
	TP_IDLE_ADAPTIVE, /* spins a little, then sleeps until traffic comes */
};

/* What becomes of the DSCP of relayed packets. */
enum tp_dscp {
	TP_DSCP_COPY,
	TP_DSCP_CLEAR,
};

/* The family of a relayed address for which nobody asked. */
enum tp_conf_family {
	TP_CONF_FAMILY_IPV4,
	TP_CONF_FAMILY_LISTENER,
};

enum tp_driver {
	TP_DRIVER_AFXDP,
	TP_DRIVER_DPDK,
};

struct tp_conf_interface {
	char name[IF_NAMESIZE]; /* DPDK: of our own choice */
	enum tp_driver driver;
	enum tp_xdp_mode mode;    /* as asked; DPDK: TP_XDP_AUTO */
	char *device;             /* DPDK's: bus address or virtual device, and its arguments */
	char kernel[IF_NAMESIZE]; /* the kernel interface with the addresses; AF_XDP: the name */
};

struct tp_conf_queue {
	uint32_t interface; /* index into interfaces */
	uint32_t queue;
};

struct tp_conf_core {
	uint32_t cpu;
	enum tp_idle idle;
	struct tp_conf_queue *queues; /* at most one for each interface */
	uint32_t n_queues;
};

struct tp_conf {
	char *realm;
	struct tp_addr *listeners;              /* with ports; no wildcard, no duplicates */
	struct tp_turn_listener *listener_info; /* of each */
	uint32_t n_listeners;
	struct tp_turn_relay *relays;
	uint32_t n_relays;
	uint16_t relay_port_min, relay_port_max;
	struct tp_turn_user *users; /* keys only: passwords are wiped after loading */
	uint32_t n_users;
	struct tp_turn_secret *secrets;
	uint32_t n_secrets;
	enum tp_credential_hmac secret_hmac;
	bool is_expiry_strict;
	enum tp_password_algorithm algorithms[TP_TURN_ALGORITHMS]; /* the preferred one first */
	uint8_t n_algorithms;
	struct tp_prefix *deny; /* `recommended` expanded */
	uint32_t n_deny;
	struct tp_prefix *allow;
	uint32_t n_allow;
	uint32_t max_allocations;
	uint32_t max_channels;
	uint64_t allocation_bps; /* of each direction; 0: no limit */
	uint32_t allocation_pps;
	struct tp_turn_limits limits;
	struct tp_turn_discovery *discovery;
	uint32_t n_discovery;
	bool has_redirect;
	struct tp_addr *alternates; /* with ports */
	uint32_t n_alternates;
	enum tp_turn_redirect redirect;
	enum tp_conf_family default_family;
	bool mobility;
	bool legacy_channels, legacy_attributes;
	enum tp_dscp dscp;
	uint16_t lowest_ipv6_mtu; /* bytes */
	struct tp_conf_interface *interfaces;
	uint32_t n_interfaces;
	struct tp_conf_core *cores;
	uint32_t n_cores;
	char **eal; /* arguments for DPDK's EAL, after ours */
	uint32_t n_eal;
	uint32_t control_cpu;
	char *control_socket;
	bool logs_allocations;
	bool has_metrics;
	struct tp_addr metrics; /* address and port of the HTTP listener */
	char *fixed;            /* what a reload can not change, as text: for tp_conf_diff() */
};

/**
 * Read and check a file.
 *
 * Errors go to err, one line each, all that were found:
 *   turnpike.yaml:12: relay.ports.max: 70000: must be 1-65535
 *
 * @param[out] out  released with tp_conf_free()
 * @return 0, -ENOENT or another errno of open, or -EINVAL
 */
int tp_conf_load(const char *path, FILE *err, struct tp_conf **out);

/**
 * Name every option that is not live (conf_schema.h) and differs; never a secret.
 *
 * @param differs  called for each, in the order of the file; an absent one is "(absent)"
 */
void tp_conf_diff(const struct tp_conf *running, const struct tp_conf *file,
		void (*differs)(void *ctx, const char *path, const char *running, const char *file),
		void *ctx);

/** Exchange the values of all options that are live; the others stay where they are. */
void tp_conf_adopt(struct tp_conf *running, struct tp_conf *file);

/** Wipes secrets. */
void tp_conf_free(struct tp_conf *conf);

/** Print the effective configuration as YAML that tp_conf_load() accepts; secrets as "(hidden)". */
void tp_conf_print(const struct tp_conf *conf, FILE *out);

/** Print the annotated sample, config/turnpike.yaml, from the option table. */
void tp_conf_print_sample(FILE *out);

#endif
