/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options - command lines of the programs here: one table that parses, checks and explains.
 *
 * Memory: texts are argv's.
 */
#ifndef TP_BENCH_OPTIONS_H
#define TP_BENCH_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "sources.h"

enum tp_option_kind {
	TP_OPTION_TEXT,    /* const char * */
	TP_OPTION_ADDR,    /* struct tp_addr; the port stays as it was */
	TP_OPTION_SOURCES, /* struct tp_sources */
	TP_OPTION_NUMBER,  /* uint32_t, from min to max */
	TP_OPTION_FLAG,    /* uint32_t, set to 1 */
};

struct tp_option {
	const char *name; /* without the dashes; NULL ends the table */
	enum tp_option_kind kind;
	void *to;
	uint32_t min, max; /* of a number */
	const char *help;
};

/** Parse, or print the help or what is wrong, and exit. */
void tp_options_parse(int argc, char **argv, const char *usage, const struct tp_option table[]);

/* What every program here needs to know of its server. */
struct tp_server_options {
	struct tp_addr server;
	uint32_t port;
	const char *username, *password, *realm;
	struct tp_sources sources;
	uint32_t source_port;
	uint32_t window;
};

#define TP_SERVER_DEFAULTS                 \
	{                                  \
		.port = 3478, .window = 64 \
	}

/* Rows of a program's table. */
/* clang-format off */
#define TP_SERVER_OPTIONS(s)                                                                       \
	{ "server", TP_OPTION_ADDR, &(s)->server, 0, 0, "address of the server (required)" },      \
	{ "port", TP_OPTION_NUMBER, &(s)->port, 1, 65535, "its port" },                            \
	{ "user", TP_OPTION_TEXT, &(s)->username, 0, 0, "user name (required)" },                  \
	{ "password", TP_OPTION_TEXT, &(s)->password, 0, 0, "password (required)" },               \
	{ "realm", TP_OPTION_TEXT, &(s)->realm, 0, 0, "realm; otherwise the server tells" },       \
	{ "source", TP_OPTION_SOURCES, &(s)->sources, 0, 0,                                        \
		"of the clients: addresses and prefixes, with commas (required)" },                \
	{ "source-port", TP_OPTION_NUMBER, &(s)->source_port, 1, 65535,                            \
		"port of each source's first client, counting up; otherwise the kernel chooses" }, \
	{ "window", TP_OPTION_NUMBER, &(s)->window, 1, 65536, "requests in flight at most" }
/* clang-format on */

/** Required ones are there; the port goes into the address. */
void tp_server_options_check(struct tp_server_options *s);

#endif
