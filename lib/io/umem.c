/* SPDX-License-Identifier: Apache-2.0 */
#include "io/umem.h"

#include "base/log.h"
#include "io/umem_private.h"

#include <numa.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

static bool is_power_of_two(uint32_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static int check_conf(const struct tp_umem_conf *conf, struct tp_why *why)
{
	if (conf->chunks == 0 || !is_power_of_two(conf->ring_size))
		return tp_why_set(why, -EINVAL,
				"packet memory: %u chunks, rings of %u: not possible", conf->chunks,
				conf->ring_size);
	if (conf->chunk_bytes != 2048 && conf->chunk_bytes != 4096)
		return tp_why_set(why, -EINVAL,
				"packet memory: chunks of %u bytes, must be 2048 or 4096",
				conf->chunk_bytes);
	if (conf->numa_node >= 0 && numa_available() == 0 && conf->numa_node > numa_max_node())
		return tp_why_set(why, -EINVAL, "packet memory: there is no NUMA node %d",
				conf->numa_node);
	return 0;
}

/* Huge pages where the host has reserved some, else ask for transparent ones. */
static uint8_t *map_area(size_t bytes)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uint8_t *area;

	area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_HUGETLB, -1, 0);
	if (area != MAP_FAILED)
		return area;

	area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (area == MAP_FAILED)
		return NULL;
	if (madvise(area, bytes, MADV_HUGEPAGE) != 0)
		tp_debug("packet memory: no transparent huge pages: %s", strerror(errno));
	return area;
}

int tp_umem_new(const struct tp_umem_conf *conf, struct tp_umem **out, struct tp_why *why)
{
	size_t area_bytes = (size_t)conf->chunks * conf->chunk_bytes;
	struct tp_umem *umem;
	uint32_t i;
	int err;

	err = check_conf(conf, why);
	if (err != 0)
		return err;

	umem = calloc(1, sizeof(*umem));
	if (umem == NULL)
		return tp_why_set(why, -ENOMEM, "packet memory: out of memory");
	umem->chunks = conf->chunks;
	umem->chunk_shift = (uint32_t)__builtin_ctz(conf->chunk_bytes);
	umem->ring_size = conf->ring_size;
	umem->map_bytes = (area_bytes + conf->chunks * sizeof(*umem->stack) + HUGE_PAGE - 1) &
			~(HUGE_PAGE - 1);

	umem->area = map_area(umem->map_bytes);
	if (umem->area == NULL) {
		err = tp_why_set(why, -ENOMEM, "packet memory: cannot map %zu MB",
				umem->map_bytes >> 20);
		free(umem);
		return err;
	}

	/* Before the first touch, which decides where a page lives. */
	if (conf->numa_node >= 0 && numa_available() == 0)
		numa_tonode_memory(umem->area, umem->map_bytes, conf->numa_node);
	/* No packets in core files, and no copy-on-write under the kernel's pinned pages. */
	madvise(umem->area, umem->map_bytes, MADV_DONTDUMP);
	madvise(umem->area, umem->map_bytes, MADV_DONTFORK);

	umem->stack = (uint32_t *)(void *)(umem->area + area_bytes);
	for (i = 0; i < umem->chunks; i++)
		umem->stack[i] = umem->chunks - 1 - i; /* the lowest on top */
	umem->n_free = umem->chunks;
	*out = umem;
	return 0;
}

void tp_umem_free(struct tp_umem *umem)
{
	if (umem == NULL)
		return;
	assert(umem->ports == 0);
	munmap(umem->area, umem->map_bytes);
	free(umem);
}

uint32_t tp_umem_pop(struct tp_umem *umem, uint64_t addr[], uint32_t n)
{
	return umem_pop(umem, addr, n);
}

void tp_umem_push(struct tp_umem *umem, const uint64_t addr[], uint32_t n)
{
	umem_push(umem, addr, n);
}

uint32_t tp_umem_free_chunks(const struct tp_umem *umem)
{
	return umem->n_free;
}

uint32_t tp_umem_chunks(const struct tp_umem *umem)
{
	return umem->chunks;
}
