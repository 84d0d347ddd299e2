/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_schema - the option table, and the file's contents in the shape the table gives them.
 *
 * One row per option.  The row is the only place that knows an option's key, type, range, default
 * and help; the checks, the defaults, libcyaml's schema and the sample file are made from it.
 *
 * Threads: any; all of it is constant.
 */
#ifndef TP_APP_CONF_SCHEMA_H
#define TP_APP_CONF_SCHEMA_H

#include <cyaml/cyaml.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "turn/turn.h"

enum tp_conf_type {
	TP_CONF_MAPPING,
	TP_CONF_LIST, /* of texts or of mappings */
	TP_CONF_TEXT,
	TP_CONF_UINT,
	TP_CONF_BOOL,
	TP_CONF_ENUM,
};

/* A table of rows ends with one whose key is NULL. */
struct tp_conf_option {
	const char *key; /* "" in the row of a list's item */
	enum tp_conf_type type;
	bool is_required;
	bool is_secret;        /* the value is never shown */
	bool is_pointer;       /* MAPPING: by pointer, NULL when absent */
	bool is_off;           /* the sample shows it commented out */
	bool is_live;          /* a reload applies it: see tp_conf_adopt(); of a LIST, all of it */
	uint32_t offset;       /* in the struct of the mapping it stands in */
	uint32_t size;         /* bytes: of the value; LIST and pointers: of what is pointed to */
	uint32_t count_offset; /* LIST: of the uint32_t beside it */
	uint64_t min, max;     /* UINT: value; TEXT: bytes; LIST: entries */
	const char *def;       /* as it would be written; LIST: of one entry */
	const cyaml_strval_t *names;            /* ENUM: ends with a NULL string */
	const char *(*check)(const char *text); /* TEXT: NULL, or what is wrong: "must be ..." */
	const struct tp_conf_option *rows; /* MAPPING: its options; LIST: the one row of an item */
	const char *unit;                  /* what a value is: "UDP port", "prefixes" */
	const char *help;                  /* whole sentences */
	const char *example; /* for the sample, when not the default; one or more lines of YAML */
};

/** The row of the whole file. */
extern const struct tp_conf_option tp_conf_root;

extern const cyaml_strval_t tp_conf_mode_names[], tp_conf_idle_names[], tp_conf_dscp_names[],
		tp_conf_hmac_names[], tp_conf_algorithm_names[], tp_conf_redirect_names[],
		tp_conf_family_names[], tp_conf_driver_names[];

/** @return the name of a value that is in the table */
const char *tp_conf_enum_name(const cyaml_strval_t *names, int64_t value);

/* The file as loaded: texts are as written, their form checked. */

struct tp_conf_raw_listener {
	char *address;
	uint16_t port;
	char *external; /* NULL: the same */
	bool anycast;
};

struct tp_conf_raw_server {
	char *address;
	uint16_t port;
};

struct tp_conf_raw_discovery {
	char *address, *other_address;
	uint16_t port, other_port;
};

struct tp_conf_raw_redirect {
	struct tp_conf_raw_server *servers;
	uint32_t n_servers;
	int when; /* enum tp_turn_redirect */
};

struct tp_conf_raw_address {
	char *address;
	char *external; /* NULL: the same */
};

struct tp_conf_raw_ports {
	uint16_t min, max;
};

struct tp_conf_raw_relay {
	struct tp_conf_raw_address *addresses;
	uint32_t n_addresses;
	struct tp_conf_raw_ports ports;
};

struct tp_conf_raw_user {
	char *name;
	char *password, *key, *key_sha256; /* any may be NULL */
};

struct tp_conf_raw_auth {
	struct tp_conf_raw_user *users;
	uint32_t n_users;
	char **secrets;
	uint32_t n_secrets;
	int secret_hmac; /* enum tp_credential_hmac */
	bool strict_expiry;
	char **algorithms;
	uint32_t n_algorithms; /* 0: absent */
};

struct tp_conf_raw_peers {
	char **deny;
	uint32_t n_deny;
	char **allow;
	uint32_t n_allow;
};

struct tp_conf_raw_limits {
	uint32_t allocations, channels;
	uint64_t allocation_bps;
	uint32_t allocation_pps;
	struct tp_turn_limits turn;
};

struct tp_conf_raw_log {
	bool allocations;
};

struct tp_conf_raw_interface {
	char *name;
	int driver;            /* enum tp_driver */
	int mode;              /* enum tp_xdp_mode */
	char *device, *kernel; /* NULL: absent */
};

struct tp_conf_raw_core {
	uint32_t cpu;
	char **queues;
	uint32_t n_queues;
	int idle; /* enum tp_idle */
};

struct tp_conf_raw_control {
	uint32_t cpu;
	char *socket;
};

struct tp_conf_raw_metrics {
	char *listen;
	uint16_t port;
};

struct tp_conf_raw {
	char *realm;
	struct tp_conf_raw_listener *listen;
	uint32_t n_listen;
	struct tp_conf_raw_relay relay;
	struct tp_conf_raw_auth auth;
	struct tp_conf_raw_peers peers;
	struct tp_conf_raw_limits limits;
	struct tp_conf_raw_discovery *discovery;
	uint32_t n_discovery;
	struct tp_conf_raw_redirect *redirect; /* NULL: absent */
	int default_family;                    /* enum tp_conf_family */
	bool mobility;
	bool legacy_channels, legacy_attributes;
	int dscp; /* enum tp_dscp */
	uint16_t lowest_ipv6_mtu;
	struct tp_conf_raw_interface *interfaces;
	uint32_t n_interfaces;
	struct tp_conf_raw_core *cores;
	uint32_t n_cores;
	char **eal;
	uint32_t n_eal;
	struct tp_conf_raw_control control;
	struct tp_conf_raw_metrics *metrics; /* NULL: absent */
	struct tp_conf_raw_log log;
};

/* Forms of text; each returns NULL, or what is wrong with it. */

const char *tp_conf_text_plain(const char *text);    /* no control characters */
const char *tp_conf_text_listener(const char *text); /* an address clients can be served at */
const char *tp_conf_text_concrete(const char *text); /* one unicast address */
const char *tp_conf_text_address(const char *text);  /* any address that can be bound */
const char *tp_conf_text_prefix(const char *text);
const char *tp_conf_text_deny(const char *text);       /* a prefix, or "recommended" */
const char *tp_conf_text_opaque(const char *text);     /* RFC 8265, OpaqueString */
const char *tp_conf_text_key(const char *text);        /* 32 hexadecimal digits */
const char *tp_conf_text_key_sha256(const char *text); /* 64 */
const char *tp_conf_text_algorithm(const char *text);
const char *tp_conf_text_interface(const char *text);
const char *tp_conf_text_queue(const char *text);    /* INTERFACE:QUEUE */
const char *tp_conf_text_argument(const char *text); /* one word of a command line */
const char *tp_conf_text_path(const char *text);

#endif
