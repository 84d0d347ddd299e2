/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel_list - the channels that turn-flows has made, as it prints them.
 *
 * One JSON object a line: client, client_port, server, server_port, channel, relay, relay_port,
 * peer, peer_port.  Lines without a client ({"ready":N}) are skipped.  A channel's number is its
 * place in the list.
 */
#ifndef TP_BENCH_CHANNEL_LIST_H
#define TP_BENCH_CHANNEL_LIST_H

#include <stdint.h>

#include "base/addr.h"
#include "base/why.h"

struct tp_listed_channel {
	struct tp_addr client, server, relay, peer;
	uint16_t number;
};

/**
 * Read a whole list.
 *
 * @param[out] out  for free()
 * @return how many, at least one; or -E with a sentence that names file and line
 */
int64_t tp_channel_list_read(const char *path, struct tp_listed_channel **out, struct tp_why *why);

#endif
