/* SPDX-License-Identifier: Apache-2.0 */
#include "io/resolver.h"

#include "base/clock.h"
#include "base/table.h"
#include "io/hops.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/random.h>

#define ROUTES_PER_TICK 2000              /* the kernel takes 1.4 us for each: 3 ms */
#define SWEEP_GAP_NS (200 * TP_NS_PER_MS) /* so that a routing daemon at work costs little */
#define REFRESH_NS (60 * TP_NS_PER_SEC)   /* path MTUs and redirects change without an event */

struct route_key {
	struct tp_addr src, dst; /* no padding: hashed and compared whole */
};

/* Lives as long as it has flows. */
struct tp_route {
	struct route_key key;
	struct tp_link by_key;
	TAILQ_ENTRY(tp_route) turn;
	LIST_ENTRY(tp_route) of_hop; /* when hop is not NULL */
	LIST_HEAD(, tp_resolved) flows;
	struct tp_hop *hop; /* NULL: the kernel path carries its flows */
	uint32_t sweep;     /* the one it was last asked in */
};

struct tp_resolved {
	LIST_ENTRY(tp_resolved) of_route;
	struct tp_route *route;
	struct tp_flow *flow;
};

/*
 * Routes take turns.  To ask all of them again is to count up the sweep: those asked in an older
 * one are then at the front of the queue, in the order in which they were.
 */
struct tp_resolver {
	const struct tp_resolver_ops *ops;
	void *ctx;
	struct tp_hops *hops;
	struct tp_table routes;
	TAILQ_HEAD(, tp_route) turns;
	uint32_t sweep;
	uint64_t now_ns;   /* of the last tick */
	uint64_t sweep_ns; /* when the sweep began */
	bool is_dirty;     /* routes have changed since */
};

TP_TABLE_KEY(key_of_route, struct tp_route, key)

static struct tp_route *route_find(const struct tp_resolver *r, const struct route_key *key)
{
	return tp_table_find(&r->routes, key, sizeof(*key));
}

static void route_point(const struct tp_route *route, const struct tp_next_hop *nh)
{
	struct tp_resolved *resolved;

	LIST_FOREACH (resolved, &route->flows, of_route)
		tp_flow_set_next_hop(resolved->flow, nh);
}

static void hop_point(const struct tp_hop *hop)
{
	const struct tp_route *route;

	LIST_FOREACH (route, &hop->routes, of_hop)
		route_point(route, hop->nh);
}

static void route_move(struct tp_resolver *r, struct tp_route *route, struct tp_hop *hop)
{
	struct tp_hop *old = route->hop;

	if (hop == old)
		return;
	if (old != NULL)
		LIST_REMOVE(route, of_hop);
	if (hop != NULL)
		LIST_INSERT_HEAD(&hop->routes, route, of_hop);
	route->hop = hop;
	route_point(route, hop != NULL ? hop->nh : NULL);
	if (old != NULL)
		tp_hops_put(r->hops, old);
}

/*
 * Ask for a route, and have its flows follow the answer; an error from the kernel's lookup is one
 * too, and says that no worker can send there.
 *
 * @return 0; or why there is no answer, and the route keeps its turn
 */
static int route_ask(struct tp_resolver *r, struct tp_route *route)
{
	struct tp_nl_route answer;
	struct tp_hop *hop = NULL;
	int rc;

	rc = r->ops->get_route(r->ctx, &route->key.src, &route->key.dst, &answer);
	if (tp_nl_is_unanswered(rc))
		return rc;
	rc = rc == 0 ? tp_hops_get(r->hops, &answer, &hop) : 0;
	route_move(r, route, hop);
	if (rc != 0)
		return rc;
	route->sweep = r->sweep;
	TAILQ_REMOVE(&r->turns, route, turn);
	TAILQ_INSERT_TAIL(&r->turns, route, turn);
	return 0;
}

static void route_put(struct tp_resolver *r, struct tp_route *route)
{
	if (!LIST_EMPTY(&route->flows))
		return;
	route_move(r, route, NULL);
	TAILQ_REMOVE(&r->turns, route, turn);
	tp_table_remove(&r->routes, route);
	free(route);
}

static struct tp_route *route_new(struct tp_resolver *r, const struct route_key *key)
{
	struct tp_route *route = calloc(1, sizeof(*route));

	if (route == NULL)
		return NULL;
	route->key = *key;
	tp_table_add(&r->routes, route);
	route->sweep = r->sweep - 1;
	TAILQ_INSERT_HEAD(&r->turns, route, turn);
	return route;
}

/* Find or make; released with route_put() when no flow was added. */
static int route_get(struct tp_resolver *r, const struct route_key *key, struct tp_route **out)
{
	struct tp_route *route = route_find(r, key);

	if (route == NULL) {
		route = route_new(r, key);
		if (route == NULL)
			return -ENOMEM;
		if (route_ask(r, route) == -ENOMEM) {
			route_put(r, route);
			return -ENOMEM;
		}
	}
	*out = route;
	return 0;
}

int tp_resolver_bind(struct tp_resolver *r, struct tp_flow *flow, const struct tp_addr *src,
		const struct tp_addr *dst, struct tp_resolved **out)
{
	const struct route_key key = { tp_addr_ip_only(src), tp_addr_ip_only(dst) };
	struct tp_resolved *resolved;
	int rc;

	assert(src->family == dst->family);
	resolved = malloc(sizeof(*resolved));
	if (resolved == NULL)
		return -ENOMEM;
	rc = route_get(r, &key, &resolved->route);
	if (rc != 0) {
		free(resolved);
		return rc;
	}
	resolved->flow = flow;
	LIST_INSERT_HEAD(&resolved->route->flows, resolved, of_route);
	tp_flow_set_next_hop(flow, resolved->route->hop != NULL ? resolved->route->hop->nh : NULL);
	*out = resolved;
	return 0;
}

void tp_resolver_unbind(struct tp_resolver *r, struct tp_resolved *resolved)
{
	/* The flow can still be found: it must not lead a worker to what is retired below. */
	tp_flow_set_next_hop(resolved->flow, NULL);
	LIST_REMOVE(resolved, of_route);
	route_put(r, resolved->route);
	free(resolved);
}

bool tp_resolver_doubt(struct tp_resolver *r, const struct tp_addr *src, const struct tp_addr *dst)
{
	const struct route_key key = { tp_addr_ip_only(src), tp_addr_ip_only(dst) };
	struct tp_route *route = route_find(r, &key);

	if (route == NULL)
		return false;
	route->sweep = r->sweep - 1;
	TAILQ_REMOVE(&r->turns, route, turn);
	TAILQ_INSERT_HEAD(&r->turns, route, turn);
	return true;
}

static void on_neigh(void *ctx, unsigned int ifindex, const struct tp_addr *ip,
		const struct tp_nl_neigh *state)
{
	const struct tp_resolver *r = ctx;

	tp_hops_on_neigh(r->hops, ifindex, ip, state);
}

static void on_link(void *ctx, const struct tp_nl_link *state, bool is_gone)
{
	struct tp_resolver *r = ctx;

	tp_hops_on_link(r->hops, state, is_gone);
	/* A route that a dead link takes out of service changes without an event of its own. */
	r->is_dirty = true;
}

static void on_route(void *ctx)
{
	struct tp_resolver *r = ctx;

	r->is_dirty = true;
}

static void on_overflow(void *ctx)
{
	struct tp_resolver *r = ctx;

	r->is_dirty = true;
	tp_hops_on_overflow(r->hops);
}

const struct tp_nl_events tp_resolver_events = {
	.on_neigh = on_neigh,
	.on_link = on_link,
	.on_route = on_route,
	.on_overflow = on_overflow,
};

static void sweep_start(struct tp_resolver *r)
{
	if (r->now_ns - r->sweep_ns < (r->is_dirty ? SWEEP_GAP_NS : REFRESH_NS))
		return;
	r->sweep++;
	r->sweep_ns = r->now_ns;
	r->is_dirty = false;
}

static bool routes_wait(const struct tp_resolver *r)
{
	const struct tp_route *route = TAILQ_FIRST(&r->turns);

	return route != NULL && route->sweep != r->sweep;
}

/* @return whether to come back soon; when the kernel does not answer, that is not soon */
static bool routes_tend(struct tp_resolver *r)
{
	uint32_t i;

	for (i = 0; i < ROUTES_PER_TICK && routes_wait(r); i++) {
		if (route_ask(r, TAILQ_FIRST(&r->turns)) != 0)
			return false;
	}
	return routes_wait(r);
}

bool tp_resolver_tick(struct tp_resolver *r, uint64_t now_ns)
{
	bool have_hops_more;

	r->now_ns = now_ns;
	/* Links and neighbours first: a route may be moved to one that is out of date. */
	have_hops_more = tp_hops_tick(r->hops, now_ns);
	sweep_start(r);
	return routes_tend(r) || have_hops_more || r->is_dirty;
}

int tp_resolver_new(const struct tp_resolver_conf *conf, struct tp_resolver **out)
{
	struct tp_resolver *r = calloc(1, sizeof(*r));
	uint64_t seed; /* secret: peers choose their addresses */
	int rc;

	if (r == NULL)
		return -ENOMEM;
	rc = tp_hops_new(conf, hop_point, &r->hops);
	if (rc != 0) {
		free(r);
		return rc;
	}
	r->ops = conf->ops;
	r->ctx = conf->ctx;
	/* Up to 256 bytes are never cut short. */
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		abort();
	r->routes = tp_table(key_of_route, offsetof(struct tp_route, by_key), seed);
	TAILQ_INIT(&r->turns);
	*out = r;
	return 0;
}

void tp_resolver_free(struct tp_resolver *r)
{
	if (r == NULL)
		return;
	assert(r->routes.n == 0);
	tp_table_clear(&r->routes);
	tp_hops_free(r->hops);
	free(r);
}

static int netlink_get_link(void *ctx, unsigned int ifindex, struct tp_nl_link *out)
{
	return tp_nl_get_link(ctx, ifindex, out);
}

static int netlink_get_links(void *ctx, void (*each)(void *each_ctx, const struct tp_nl_link *link),
		void *each_ctx)
{
	return tp_nl_get_links(ctx, each, each_ctx);
}

static int netlink_get_route(void *ctx, const struct tp_addr *src, const struct tp_addr *dst,
		struct tp_nl_route *out)
{
	return tp_nl_get_route(ctx, src, dst, out);
}

static int netlink_get_neigh(
		void *ctx, unsigned int ifindex, const struct tp_addr *ip, struct tp_nl_neigh *out)
{
	return tp_nl_get_neigh(ctx, ifindex, ip, out);
}

static int netlink_use_neigh(void *ctx, unsigned int ifindex, const struct tp_addr *ip)
{
	return tp_nl_use_neigh(ctx, ifindex, ip);
}

const struct tp_resolver_ops tp_resolver_netlink = {
	.get_link = netlink_get_link,
	.get_links = netlink_get_links,
	.get_route = netlink_get_route,
	.get_neigh = netlink_get_neigh,
	.use_neigh = netlink_use_neigh,
};
