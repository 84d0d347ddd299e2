/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages - large arrays: address space now, memory once it is written, in huge pages if there are.
 */
#ifndef TP_FLOW_PAGES_H
#define TP_FLOW_PAGES_H

#include <stddef.h>

/** Zeroed.  @return NULL: no address space */
void *tp_pages_reserve(size_t bytes);

/** Have all of the memory now.  When there is not enough, or before Linux 5.14: at first use. */
void tp_pages_touch(void *pages, size_t bytes);

void tp_pages_release(void *pages, size_t bytes);

#endif
