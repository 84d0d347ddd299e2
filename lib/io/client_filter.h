/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_filter - the filter of five-tuples with an allocation, of which sk_lookup is the reader.
 *
 * Only an answer to "which socket": whom it takes for a client by mistake (bpf/clients.h says how
 * seldom) is served as a stranger all the same, and whom it does not know comes by the
 * listener's own socket, as a stranger does.  So being full is no error.
 *
 * Rejected: a BPF hash map.  It takes a system call for each change, which needs CAP_BPF from the
 * end of the start on where unprivileged BPF is off, and 80 to 96 bytes for each client; this is a
 * store into memory shared with the kernel, and 4 to 8 bytes, which are there from the start.  For
 * a listener's datagram sk_lookup takes 45 to 57 ns, of which 22 are without the filter.
 *
 * Threads: one writer, control; the program reads meanwhile, a bucket at a time.
 * Memory: the caller's; see tp_client_filter_buckets().
 */
#ifndef TP_IO_CLIENT_FILTER_H
#define TP_IO_CLIENT_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/clients.h"

struct tp_client_filter {
	struct tp_bpf_clients conf; /* .rodata of the program */
	uint64_t *buckets;          /* conf.mask + 1, all zero at first */
	uint32_t n;                 /* clients that are in it */
	uint64_t refused;           /* that found no place, since the start */
};

/** How many buckets so many clients take: a power of two, with at least twice as many places. */
uint32_t tp_client_filter_buckets(uint32_t max_clients);

/** @return 0, or -ENOSPC: counted as refused */
int tp_client_filter_add(struct tp_client_filter *filter, const struct tp_bpf_client *client);

/**
 * What was added goes, once for each time it was.  Not for what was refused: once in some thousand
 * times that would take the place of another, whose tag is the same.
 */
void tp_client_filter_del(struct tp_client_filter *filter, const struct tp_bpf_client *client);

/** As sk_lookup sees it. */
bool tp_client_filter_has(
		const struct tp_client_filter *filter, const struct tp_bpf_client *client);

#endif
