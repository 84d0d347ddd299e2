/* SPDX-License-Identifier: Apache-2.0 */
#include "path_mtu.h"

#include "base/clock.h"

#define KEEP_NS (5 * TP_NS_PER_SEC)
/* By then the kernel has taken note of the error, which it sees at the same time as we do. */
#define DOUBT_NS (20 * TP_NS_PER_MS)
#define UNKNOWN 1280 /* what every path carries */

static uint16_t ask(
		const struct tp_path_mtu *pm, const struct tp_addr *src, const struct tp_addr *dst)
{
	struct tp_nl_route route;
	struct tp_nl_link link;
	uint32_t mtu;

	if (tp_nl_get_route(pm->nl, src, dst, &route) < 0 ||
			tp_nl_get_link(pm->nl, route.ifindex, &link) < 0)
		return UNKNOWN;
	mtu = route.mtu != 0 && route.mtu < link.mtu ? route.mtu : link.mtu;
	return mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
}

static struct tp_path_mtu_entry *entry_of(
		struct tp_path_mtu *pm, const struct tp_addr *src, const struct tp_addr *dst)
{
	unsigned h = dst->ip[3] * 31u + dst->ip[2] * 7u + dst->ip[15] * 31u + dst->ip[14] * 7u +
			src->ip[3];

	return &pm->entry[h % TP_PATH_MTU_ENTRIES];
}

uint16_t tp_path_mtu_find(struct tp_path_mtu *pm, const struct tp_addr *src,
		const struct tp_addr *dst, uint64_t now_ns)
{
	const struct tp_addr from = tp_addr_ip_only(src), to = tp_addr_ip_only(dst);
	struct tp_path_mtu_entry *e = entry_of(pm, &from, &to);

	if (e->until_ns <= now_ns || !tp_addr_equal(&e->dst, &to) || !tp_addr_equal(&e->src, &from))
		*e = (struct tp_path_mtu_entry){ from, to, now_ns + KEEP_NS, ask(pm, &from, &to) };
	return e->mtu;
}

void tp_path_mtu_forget(struct tp_path_mtu *pm)
{
	for (int i = 0; i < TP_PATH_MTU_ENTRIES; i++)
		pm->entry[i].until_ns = 0;
}

void tp_path_mtu_doubt(struct tp_path_mtu *pm, const struct tp_addr *src, const struct tp_addr *dst,
		uint64_t now_ns)
{
	const struct tp_addr from = tp_addr_ip_only(src), to = tp_addr_ip_only(dst);
	struct tp_path_mtu_entry *e = entry_of(pm, &from, &to);

	if (e->until_ns > now_ns + DOUBT_NS)
		e->until_ns = now_ns + DOUBT_NS;
}
