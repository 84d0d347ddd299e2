/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/addr_index.h"

#include <errno.h>
#include <stdlib.h>

#include "turn/hash.h"

static uint32_t home(const struct tp_addr_index *index, const struct tp_addr *ip)
{
	return tp_turn_hash(ip, sizeof(*ip)) & index->mask;
}

/* Where it is, or where it would be. */
static uint32_t place(const struct tp_addr_index *index, const struct tp_addr *ip)
{
	uint32_t at = home(index, ip);

	while (index->slot[at].family != 0 && !tp_addr_equal(&index->slot[at], ip))
		at = (at + 1) & index->mask;
	return at;
}

int tp_addr_index_init(
		struct tp_addr_index *index, const struct tp_addr *first, size_t stride, uint32_t n)
{
	uint32_t size = 2;

	while (size < 2 * n)
		size *= 2;
	*index = (struct tp_addr_index){
		.slot = calloc(size, sizeof(*index->slot)),
		.value = calloc(size, sizeof(*index->value)),
		.mask = size - 1,
	};
	if (index->slot == NULL || index->value == NULL) {
		tp_addr_index_fini(index);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++) {
		const void *at = (const char *)first + i * stride;
		const struct tp_addr ip = tp_addr_ip_only(at);
		uint32_t to = place(index, &ip);

		if (index->slot[to].family != 0)
			continue;
		index->slot[to] = ip;
		index->value[to] = i;
	}
	return 0;
}

void tp_addr_index_fini(struct tp_addr_index *index)
{
	free(index->slot);
	free(index->value);
	*index = (struct tp_addr_index){ 0 };
}

int tp_addr_index_find(const struct tp_addr_index *index, const struct tp_addr *ip)
{
	const struct tp_addr key = tp_addr_ip_only(ip);
	uint32_t at = place(index, &key);

	return index->slot[at].family != 0 ? (int)index->value[at] : -1;
}
