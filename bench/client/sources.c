/* SPDX-License-Identifier: Apache-2.0 */
#include "sources.h"

#include <assert.h>

#include "wire/be.h"

bool tp_sources_add(void *sources, const char *text)
{
	struct tp_sources *to = sources;

	if (to->n == TP_SOURCES_PREFIXES || tp_prefix_parse(text, &to->prefix[to->n]) < 0)
		return false;
	to->n++;
	return true;
}

static uint32_t prefix_count(const struct tp_prefix *p)
{
	uint8_t host_bits = (uint8_t)(8 * tp_addr_ip_bytes(&p->base) - p->bits);

	return 1u << (host_bits < TP_SOURCES_BITS ? host_bits : TP_SOURCES_BITS);
}

uint32_t tp_sources_count(const struct tp_sources *sources)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sources->n; i++)
		count += prefix_count(&sources->prefix[i]);
	return count;
}

struct tp_addr tp_sources_at(const struct tp_sources *sources, uint32_t i)
{
	const struct tp_prefix *p = sources->prefix;
	struct tp_addr addr;
	uint8_t *last;

	for (; i >= prefix_count(p); p++)
		i -= prefix_count(p);
	assert(p < sources->prefix + sources->n);
	addr = p->base;
	last = addr.ip + tp_addr_ip_bytes(&addr) - 4;
	tp_be32_put(last, tp_be32_get(last) + i);
	return addr;
}
