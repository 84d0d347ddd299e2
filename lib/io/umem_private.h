/* SPDX-License-Identifier: Apache-2.0 */
/*
 * umem_private - what umem.c and afxdp.c share, and the hot forms of pop and push.
 *
 * Registering the memory with the kernel takes a socket, so it is left to the first port: that
 * socket owns the registration and the ports after it join by XDP_SHARED_UMEM.
 *
 * Threads: as umem.h.
 */
#ifndef TP_IO_UMEM_PRIVATE_H
#define TP_IO_UMEM_PRIVATE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include <xdp/xsk.h>

#include "io/umem.h"

struct tp_umem {
	uint8_t *area;
	uint32_t *stack; /* indices of the free chunks; behind the chunks in the same mapping */
	uint32_t n_free;
	uint32_t chunks;
	uint32_t chunk_shift;
	uint32_t ring_size;
	uint32_t ports;       /* bound to it */
	bool is_zerocopy;     /* of the first port, and so of all */
	struct xsk_umem *xsk; /* NULL until the first port */
	size_t map_bytes;
};

static inline uint64_t umem_chunk_of(const struct tp_umem *umem, uint64_t addr)
{
	return addr >> umem->chunk_shift << umem->chunk_shift;
}

static inline uint32_t umem_pop(struct tp_umem *umem, uint64_t addr[], uint32_t n)
{
	uint32_t i;

	if (n > umem->n_free)
		n = umem->n_free;
	for (i = 0; i < n; i++)
		addr[i] = (uint64_t)umem->stack[--umem->n_free] << umem->chunk_shift;
	return n;
}

/* More chunks than there are means that one was given back twice. */
static inline void umem_push(struct tp_umem *umem, const uint64_t addr[], uint32_t n)
{
	uint32_t i;

	assert(n <= umem->chunks - umem->n_free);
	for (i = 0; i < n; i++) {
		assert(addr[i] >> umem->chunk_shift < umem->chunks);
		umem->stack[umem->n_free++] = (uint32_t)(addr[i] >> umem->chunk_shift);
	}
}

#endif
