/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_options - what every program here needs to know of its server.
 */
#ifndef TP_BENCH_SERVER_OPTIONS_H
#define TP_BENCH_SERVER_OPTIONS_H

#include "base/addr.h"
#include "bench/options.h"
#include "sources.h"

struct tp_server_options {
	struct tp_addr server;
	const char *username, *password, *realm;
	struct tp_sources sources;
	uint16_t source_port;
	uint32_t window;
};

#define TP_SERVER_DEFAULTS                        \
	{                                         \
		.server.port = 3478, .window = 64 \
	}

/* Rows of a program's table. */
/* clang-format off */
#define TP_SERVER_OPTIONS(s)                                                                       \
	{ "server", TP_OPTION_ADDR, &(s)->server, 0, 0, "address of the server", true },           \
	{ "port", TP_OPTION_NUMBER16, &(s)->server.port, 1, 65535, "its port" },                   \
	{ "user", TP_OPTION_TEXT, &(s)->username, 0, 0, "user name", true },                       \
	{ "password", TP_OPTION_TEXT, &(s)->password, 0, 0, "password", true },                    \
	{ "realm", TP_OPTION_TEXT, &(s)->realm, 0, 0, "realm; otherwise the server tells" },       \
	{ "source", TP_OPTION_LIST, &(s)->sources, 0, 0, "of the clients: addresses and prefixes", \
		true, "ADDR,...", tp_sources_add, TP_SOURCES_MUST_BE },                            \
	{ "source-port", TP_OPTION_NUMBER16, &(s)->source_port, 1, 65535,                          \
		"port of each source's first client, counting up; otherwise the kernel chooses" }, \
	{ "window", TP_OPTION_NUMBER, &(s)->window, 1, 65536, "requests in flight at most" }
/* clang-format on */

#endif
