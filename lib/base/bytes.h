/* SPDX-License-Identifier: Apache-2.0 */
/* bytes - some bytes of somebody's. */
#ifndef TP_BASE_BYTES_H
#define TP_BASE_BYTES_H

#include <stddef.h>

struct tp_bytes {
	const void *data;
	size_t len;
};

#endif
