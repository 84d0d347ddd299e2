/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_kernel - scripted answers for the resolver, and a log of what it asked.
 *
 * Two Ethernet links, ports 0 and 1, and as many VLANs as the script makes; every other interface
 * is unknown.  A route or neighbour is what the script says, or absent.
 */
#ifndef TEST_FAKE_KERNEL_H
#define TEST_FAKE_KERNEL_H

#include "io/resolver.h"

#include <assert.h>

#define FAKE_MAX 16
#define FAKE_LINKS 2
#define FAKE_ETH_A 11 /* port 0 */
#define FAKE_ETH_B 12 /* port 1 */

struct fake_route {
	struct tp_addr dst;
	int rc;
	struct tp_nl_route answer;
};

struct fake_neigh {
	unsigned int ifindex;
	struct tp_addr ip;
	struct tp_nl_neigh answer;
};

struct fake_kernel {
	struct tp_nl_link links[FAKE_LINKS];
	struct tp_nl_link vlans[FAKE_MAX];
	uint32_t n_vlans;
	struct fake_route routes[FAKE_MAX];
	struct fake_neigh neighs[FAKE_MAX];
	uint32_t n_routes, n_neighs;
	const struct tp_nl_route *other_routes; /* to everywhere else; NULL: unreachable */
	bool is_silent;                         /* questions are not answered */
	int use_rc;
	uint32_t n_get_link, n_get_route, n_get_neigh, n_use;
	struct tp_addr used; /* the last one */
};

static const unsigned int fake_ifindexes[FAKE_LINKS] = { FAKE_ETH_A, FAKE_ETH_B };

static inline struct tp_addr fake_ip(const char *text)
{
	struct tp_addr a = { .family = 0 };
	int rc = tp_addr_parse(text, 0, &a);

	assert(rc == 0);
	(void)rc;
	return a;
}

static inline struct tp_nl_neigh fake_mac(uint8_t last)
{
	return (struct tp_nl_neigh){ .mac = { 2, 0, 0, 0, 0, last }, .is_valid = true };
}

static inline struct tp_nl_route fake_via(unsigned int ifindex, const char *gateway)
{
	return (struct tp_nl_route){
		.ifindex = ifindex,
		.gateway = fake_ip(gateway),
		.is_unicast = true,
	};
}

static inline void fake_init(struct fake_kernel *k)
{
	uint32_t i;

	memset(k, 0, sizeof(*k));
	for (i = 0; i < FAKE_LINKS; i++) {
		k->links[i] = (struct tp_nl_link){
			.ifindex = fake_ifindexes[i],
			.name = "eth",
			.mac = { 2, 1, 0, 0, 0, (uint8_t)i },
			.mtu = 1500,
			.is_up = true,
			.is_ethernet = true,
		};
	}
}

/* Make a VLAN of an interface; it is the caller's to change. */
static inline struct tp_nl_link *fake_vlan(
		struct fake_kernel *k, unsigned int ifindex, unsigned int parent, uint16_t vlan)
{
	assert(k->n_vlans < FAKE_MAX);
	k->vlans[k->n_vlans] = (struct tp_nl_link){
		.ifindex = ifindex,
		.name = "eth.vlan",
		.mac = { 2, 2, 0, 0, 0, (uint8_t)ifindex },
		.mtu = 1400,
		.is_up = true,
		.is_ethernet = true,
		.vlan_parent = parent,
		.vlan = vlan,
	};
	return &k->vlans[k->n_vlans++];
}

/* Set or replace. */
static inline void fake_route(
		struct fake_kernel *k, const char *dst, int rc, struct tp_nl_route answer)
{
	struct tp_addr ip = fake_ip(dst);
	uint32_t i;

	for (i = 0; i < k->n_routes && !tp_addr_equal(&k->routes[i].dst, &ip); i++)
		;
	assert(i < FAKE_MAX);
	k->routes[i] = (struct fake_route){ ip, rc, answer };
	if (i == k->n_routes)
		k->n_routes++;
}

static inline void fake_neigh(struct fake_kernel *k, unsigned int ifindex, const char *text,
		struct tp_nl_neigh answer)
{
	struct tp_addr ip = fake_ip(text);
	uint32_t i;

	for (i = 0; i < k->n_neighs; i++) {
		if (k->neighs[i].ifindex == ifindex && tp_addr_equal(&k->neighs[i].ip, &ip))
			break;
	}
	assert(i < FAKE_MAX);
	k->neighs[i] = (struct fake_neigh){ ifindex, ip, answer };
	if (i == k->n_neighs)
		k->n_neighs++;
}

static inline int fake_get_link(void *ctx, unsigned int ifindex, struct tp_nl_link *out)
{
	struct fake_kernel *k = ctx;
	uint32_t i;

	k->n_get_link++;
	if (k->is_silent)
		return -ETIMEDOUT;
	for (i = 0; i < FAKE_LINKS; i++) {
		if (k->links[i].ifindex == ifindex) {
			*out = k->links[i];
			return 0;
		}
	}
	return -ENODEV;
}

static inline int fake_get_links(void *ctx,
		void (*each)(void *each_ctx, const struct tp_nl_link *link), void *each_ctx)
{
	struct fake_kernel *k = ctx;
	uint32_t i;

	k->n_get_link++;
	if (k->is_silent)
		return -ETIMEDOUT;
	for (i = 0; i < FAKE_LINKS; i++)
		each(each_ctx, &k->links[i]);
	for (i = 0; i < k->n_vlans; i++)
		each(each_ctx, &k->vlans[i]);
	return 0;
}

static inline int fake_get_route(void *ctx, const struct tp_addr *src, const struct tp_addr *dst,
		struct tp_nl_route *out)
{
	struct fake_kernel *k = ctx;
	uint32_t i;

	(void)src; /* a release build has no asserts */
	assert(src->family == dst->family && src->port == 0 && dst->port == 0);
	k->n_get_route++;
	if (k->is_silent)
		return -ETIMEDOUT;
	for (i = 0; i < k->n_routes; i++) {
		if (tp_addr_equal(&k->routes[i].dst, dst)) {
			*out = k->routes[i].answer;
			return k->routes[i].rc;
		}
	}
	if (k->other_routes == NULL)
		return -ENETUNREACH;
	*out = *k->other_routes;
	return 0;
}

static inline int fake_get_neigh(
		void *ctx, unsigned int ifindex, const struct tp_addr *ip, struct tp_nl_neigh *out)
{
	struct fake_kernel *k = ctx;
	uint32_t i;

	k->n_get_neigh++;
	if (k->is_silent)
		return -ETIMEDOUT;
	for (i = 0; i < k->n_neighs; i++) {
		if (k->neighs[i].ifindex == ifindex && tp_addr_equal(&k->neighs[i].ip, ip)) {
			*out = k->neighs[i].answer;
			return 0;
		}
	}
	return -ENOENT;
}

static inline int fake_use_neigh(void *ctx, unsigned int ifindex, const struct tp_addr *ip)
{
	struct fake_kernel *k = ctx;

	(void)ifindex;
	k->n_use++;
	k->used = *ip;
	return k->is_silent ? -ETIMEDOUT : k->use_rc;
}

static const struct tp_resolver_ops fake_ops = {
	.get_link = fake_get_link,
	.get_links = fake_get_links,
	.get_route = fake_get_route,
	.get_neigh = fake_get_neigh,
	.use_neigh = fake_use_neigh,
};

#endif
