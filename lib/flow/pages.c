/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/pages.h"

#include <sys/mman.h>

/* Newer than the headers of Debian 12. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

void *tp_pages_reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_HUGEPAGE); /* refused where the kernel has none: as well */
	return p;
}

void tp_pages_touch(void *pages, size_t bytes)
{
	madvise(pages, bytes, MADV_POPULATE_WRITE); /* before Linux 5.14: at first use */
}

void tp_pages_release(void *pages, size_t bytes)
{
	if (pages != NULL)
		munmap(pages, bytes);
}
