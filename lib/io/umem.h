/* SPDX-License-Identifier: Apache-2.0 */
/*
 * umem - the packet memory of one worker, and the LIFO stack of its free chunks.
 *
 * One UMEM per worker, shared by its ports (each with its own fill and completion ring), so that
 * a frame received on one interface leaves by another without a copy.  A chunk is in exactly one
 * place: {free, fill, rx, app, tx, completion}.
 *
 * Threads: the worker; creation and tp_umem_free() by the control thread while it does not run.
 */
#ifndef TP_IO_UMEM_H
#define TP_IO_UMEM_H

#include <stdint.h>

#include "base/why.h"

struct tp_umem;
struct xsk_umem;

struct tp_umem_conf {
	uint32_t chunks;
	uint32_t chunk_bytes; /* 2048, or 4096 for an MTU above 1766 */
	uint32_t ring_size;   /* of each fill and completion ring, a power of two */
	int numa_node;        /* -1: any */
};

/** Headroom that the kernel leaves in front of every received frame (XDP_PACKET_HEADROOM). */
#define TP_UMEM_HEADROOM 256

/** @return 0, -ENOMEM, or what the kernel said; *out is released with tp_umem_free() */
int tp_umem_new(const struct tp_umem_conf *conf, struct tp_umem **out, struct tp_why *why);

/** After all its ports are closed. */
void tp_umem_free(struct tp_umem *umem);

/** Take n free chunks into addr (offsets in the UMEM).  @return how many there were */
uint32_t tp_umem_pop(struct tp_umem *umem, uint64_t addr[], uint32_t n);

/** Put chunks back; any address inside a chunk names it. */
void tp_umem_push(struct tp_umem *umem, const uint64_t addr[], uint32_t n);

uint32_t tp_umem_free_chunks(const struct tp_umem *umem);
uint32_t tp_umem_chunks(const struct tp_umem *umem);

#endif
