/* SPDX-License-Identifier: Apache-2.0 */
#include "io/hops.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/table.h"
#include "wire/ip.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define NEIGHS_PER_TICK 2000           /* 1.4 us each, if all of them have to be asked for */
#define CONFIRM_NS (5 * TP_NS_PER_SEC) /* the kernel stays in NUD_DELAY for as long */
#define BACKOFF_MIN_NS TP_NS_PER_SEC
#define BACKOFF_MAX_NS (64 * TP_NS_PER_SEC)

/* One of the configured interfaces, or a VLAN of one. */
struct link {
	unsigned int ifindex;
	struct tp_link by_index;
	LIST_ENTRY(link) of_hops;
	uint16_t port;
	uint16_t vlan;      /* 0: no VLAN */
	struct link *below; /* the interface of a VLAN; NULL: no VLAN, or it is gone */
	LIST_ENTRY(link) of_below;
	LIST_HEAD(, link) vlans;
	bool is_found; /* in the listing being read */
	struct tp_nl_link state;
	LIST_HEAD(, neigh) neighs;
};

struct neigh_key {
	struct tp_addr ip;
	unsigned int ifindex;
};

/* Lives as long as it has hops. */
struct neigh {
	struct neigh_key key;
	struct tp_link by_key;
	TAILQ_ENTRY(neigh) turn;
	LIST_ENTRY(neigh) of_link;
	struct link *link;
	LIST_HEAD(, hop) hops;
	struct tp_nl_neigh state;
	uint32_t sweep;      /* the one it was last asked for in */
	bool is_owed;        /* memory was short: a hop has no next hop though it could */
	uint64_t use_ns;     /* not to be used before */
	uint64_t backoff_ns; /* from one use to the next while it is not found */
};

struct hop_key {
	struct neigh *neigh;
	uint64_t mtu; /* of the route, 0: the link's */
};

struct hop {
	struct tp_hop shown; /* first: what the resolver holds */
	struct hop_key key;
	struct tp_link by_key;
	LIST_ENTRY(hop) of_neigh;
	struct tp_next_hop *nh; /* shown.nh, ours to retire */
};

_Static_assert(sizeof(struct neigh_key) == 24, "hash key: no padding");
_Static_assert(sizeof(struct hop_key) == 16, "hash key: no padding");
_Static_assert(offsetof(struct hop, shown) == 0, "a tp_hop is a hop");

/*
 * Neighbours take turns.  To ask for all of them again is to count up the sweep: those asked for
 * in an older one are then at the front of the queue, in the order in which they were.
 */
struct tp_hops {
	const struct tp_resolver_ops *ops;
	void *ctx;
	struct tp_grace *grace;
	void (*on_change)(const struct tp_hop *hop);
	void (*on_vlan)(void *ctx, uint16_t port, uint16_t vlan, bool is_up);
	void *on_vlan_ctx;
	LIST_HEAD(, link) all; /* configured ones and VLANs */
	struct tp_table by_index, neighs, hops;
	TAILQ_HEAD(, neigh) turns;
	uint32_t sweep;
	uint64_t now_ns; /* of the last tick */
	bool is_lost;    /* events were lost, or a link has not been asked for yet */
	bool has_warned;
	uint32_t n_links;
	struct link links[]; /* the configured ones: port i */
};

/* Tables. */

TP_TABLE_KEY(key_of_link, struct link, ifindex)

TP_TABLE_KEY(key_of_neigh, struct neigh, key)

TP_TABLE_KEY(key_of_hop, struct hop, key)

static void link_add(struct tp_hops *h, struct link *link)
{
	tp_table_add(&h->by_index, link);
	LIST_INSERT_HEAD(&h->all, link, of_hops);
}

static void link_remove(struct tp_hops *h, struct link *link)
{
	tp_table_remove(&h->by_index, link);
	LIST_REMOVE(link, of_hops);
}

/* Next hops. */

static bool link_is_usable(const struct link *link)
{
	if (link->vlan != 0 && (link->below == NULL || !link->below->state.is_up))
		return false;
	return link->state.is_up && link->state.is_ethernet;
}

static void l2_write(const struct neigh *neigh, struct tp_next_hop *out)
{
	const struct link *link = neigh->link;

	memcpy(out->l2, neigh->state.mac, 6);
	memcpy(out->l2 + 6, link->state.mac, 6);
	out->l2_len = TP_L2_UNTAGGED;
	if (link->vlan == 0)
		return;
	out->l2[12] = TP_ETHERTYPE_VLAN >> 8;
	out->l2[13] = TP_ETHERTYPE_VLAN & 0xff;
	out->l2[14] = (uint8_t)(link->vlan >> 8); /* priority 0 */
	out->l2[15] = (uint8_t)link->vlan;
	out->l2_len = TP_L2_TAGGED;
}

/* What the hop's next hop should be.  @return whether there should be one */
static bool next_hop_compute(const struct hop *hop, struct tp_next_hop *out)
{
	const struct neigh *neigh = hop->key.neigh;
	const struct link *link = neigh->link;
	uint64_t mtu = link->state.mtu;

	if (!link_is_usable(link) || !neigh->state.is_valid)
		return false;
	if (hop->key.mtu != 0 && hop->key.mtu < mtu)
		mtu = hop->key.mtu;
	memset(out, 0, sizeof(*out));
	l2_write(neigh, out);
	out->port = link->port;
	out->mtu = mtu < UINT16_MAX ? (uint16_t)mtu : UINT16_MAX;
	return true;
}

static bool next_hop_equal(const struct tp_next_hop *a, const struct tp_next_hop *b)
{
	return a->l2_len == b->l2_len && memcmp(a->l2, b->l2, sizeof(a->l2)) == 0 &&
			a->port == b->port && a->mtu == b->mtu;
}

static void next_hop_release(void *ctx, void *next_hop)
{
	(void)ctx;
	free(next_hop);
}

static struct tp_next_hop *next_hop_new(const struct tp_next_hop *value)
{
	struct tp_next_hop *nh = aligned_alloc(alignof(struct tp_next_hop), sizeof(*nh));

	if (nh != NULL)
		memcpy(nh, value, sizeof(*nh));
	return nh;
}

/*
 * Give the hop's flows the next hop they should have.  Workers may hold the old one until they
 * are quiescent.  When memory is short, they have none until the neighbour's next turn.
 */
static void hop_publish(struct tp_hops *h, struct hop *hop)
{
	struct tp_next_hop want, *old = hop->nh, *nh = NULL;

	if (next_hop_compute(hop, &want)) {
		if (old != NULL && next_hop_equal(old, &want))
			return;
		nh = next_hop_new(&want);
		if (nh == NULL)
			hop->key.neigh->is_owed = true;
	}
	if (nh == old)
		return;
	hop->nh = nh;
	hop->shown.nh = nh;
	h->on_change(&hop->shown);
	if (old != NULL)
		tp_grace_retire(h->grace, next_hop_release, NULL, old);
}

static void neigh_publish(struct tp_hops *h, struct neigh *neigh)
{
	struct hop *hop;

	neigh->is_owed = false;
	LIST_FOREACH (hop, &neigh->hops, of_neigh)
		hop_publish(h, hop);
}

/* A VLAN that is gone lives on while it has neighbours: routes may still lead there. */
static void vlan_put(struct tp_hops *h, struct link *link)
{
	if (link->vlan == 0 || link->below != NULL || !LIST_EMPTY(&link->neighs))
		return;
	link_remove(h, link);
	free(link);
}

/* Neighbours. */

static void neigh_hurry(struct neigh *neigh)
{
	neigh->use_ns = 0;
	neigh->backoff_ns = BACKOFF_MIN_NS;
}

static void neigh_update(struct tp_hops *h, struct neigh *neigh, const struct tp_nl_neigh *state)
{
	if (neigh->state.is_valid != state->is_valid)
		neigh_hurry(neigh);
	neigh->state = *state;
	neigh_publish(h, neigh);
}

/* @return whether the kernel answered */
static bool neigh_ask(struct tp_hops *h, struct neigh *neigh)
{
	struct tp_nl_neigh state;
	int rc;

	rc = h->ops->get_neigh(h->ctx, neigh->key.ifindex, &neigh->key.ip, &state);
	if (tp_nl_is_unanswered(rc))
		return false;
	if (rc != 0)
		state = (struct tp_nl_neigh){ .is_valid = false };
	neigh->sweep = h->sweep;
	neigh_update(h, neigh, &state);
	return true;
}

static bool neigh_wants_use(const struct tp_hops *h, const struct neigh *neigh)
{
	return (!neigh->state.is_valid || neigh->state.is_stale) && h->now_ns >= neigh->use_ns &&
			link_is_usable(neigh->link);
}

/* Have the kernel look for the neighbour, or confirm it.  @return whether it answered */
static bool neigh_use(struct tp_hops *h, struct neigh *neigh)
{
	char text[TP_ADDR_STRLEN];
	int rc;

	rc = h->ops->use_neigh(h->ctx, neigh->key.ifindex, &neigh->key.ip);
	if (rc != 0 && !h->has_warned) {
		tp_warn("neighbour %s on %s can not be asked for: %s (said once)",
				tp_addr_format_ip(&neigh->key.ip, text), neigh->link->state.name,
				strerror(-rc));
		h->has_warned = true;
	}
	if (neigh->state.is_valid) {
		neigh->use_ns = h->now_ns + CONFIRM_NS;
	} else {
		neigh->use_ns = h->now_ns + neigh->backoff_ns;
		if (neigh->backoff_ns < BACKOFF_MAX_NS)
			neigh->backoff_ns *= 2;
	}
	return rc != -ETIMEDOUT;
}

static struct neigh *neigh_find(const struct tp_hops *h, const struct neigh_key *key)
{
	return tp_table_find(&h->neighs, key, sizeof(*key));
}

static struct neigh *neigh_new(struct tp_hops *h, struct link *link, const struct neigh_key *key)
{
	struct neigh *neigh = calloc(1, sizeof(*neigh));

	if (neigh == NULL)
		return NULL;
	neigh->key = *key;
	tp_table_add(&h->neighs, neigh);
	neigh->link = link;
	LIST_INSERT_HEAD(&link->neighs, neigh, of_link);
	neigh_hurry(neigh);
	if (neigh_ask(h, neigh)) {
		TAILQ_INSERT_TAIL(&h->turns, neigh, turn);
		if (!neigh->state.is_valid && neigh_wants_use(h, neigh))
			neigh_use(h, neigh);
	} else {
		neigh->sweep = h->sweep - 1;
		TAILQ_INSERT_HEAD(&h->turns, neigh, turn);
	}
	return neigh;
}

static void neigh_put(struct tp_hops *h, struct neigh *neigh)
{
	if (!LIST_EMPTY(&neigh->hops))
		return;
	LIST_REMOVE(neigh, of_link);
	TAILQ_REMOVE(&h->turns, neigh, turn);
	tp_table_remove(&h->neighs, neigh);
	vlan_put(h, neigh->link);
	free(neigh);
}

/* Hops. */

static struct hop *hop_new(struct tp_hops *h, const struct hop_key *key)
{
	struct hop *hop = calloc(1, sizeof(*hop));

	if (hop == NULL)
		return NULL;
	hop->key = *key;
	tp_table_add(&h->hops, hop);
	LIST_INSERT_HEAD(&key->neigh->hops, hop, of_neigh);
	hop_publish(h, hop);
	return hop;
}

static struct hop *hop_find(const struct tp_hops *h, const struct hop_key *key)
{
	return tp_table_find(&h->hops, key, sizeof(*key));
}

static struct link *link_find(const struct tp_hops *h, unsigned int ifindex)
{
	return tp_table_find(&h->by_index, &ifindex, sizeof(ifindex));
}

int tp_hops_get(struct tp_hops *h, const struct tp_nl_route *route, struct tp_hop **out)
{
	const struct neigh_key neigh_key = { tp_addr_ip_only(&route->gateway), route->ifindex };
	struct link *link = link_find(h, route->ifindex);
	struct hop_key key = { .mtu = route->mtu };
	struct hop *hop;

	*out = NULL;
	if (link == NULL || route->is_local || !route->is_unicast)
		return 0;
	key.neigh = neigh_find(h, &neigh_key);
	if (key.neigh == NULL)
		key.neigh = neigh_new(h, link, &neigh_key);
	if (key.neigh == NULL)
		return -ENOMEM;
	hop = hop_find(h, &key);
	if (hop == NULL)
		hop = hop_new(h, &key);
	if (hop == NULL) {
		neigh_put(h, key.neigh);
		return -ENOMEM;
	}
	*out = &hop->shown;
	return 0;
}

void tp_hops_put(struct tp_hops *h, struct tp_hop *shown)
{
	struct hop *hop = (struct hop *)shown;
	struct neigh *neigh = hop->key.neigh;

	if (!LIST_EMPTY(&shown->routes))
		return;
	if (hop->nh != NULL)
		tp_grace_retire(h->grace, next_hop_release, NULL, hop->nh);
	LIST_REMOVE(hop, of_neigh);
	tp_table_remove(&h->hops, hop);
	free(hop);
	neigh_put(h, neigh);
}

/* Links. */

static void link_publish(struct tp_hops *h, struct link *link, bool was_usable)
{
	struct neigh *neigh;

	LIST_FOREACH (neigh, &link->neighs, of_link) {
		if (!was_usable)
			neigh_hurry(neigh);
		neigh_publish(h, neigh);
	}
	if (link->vlan != 0 && h->on_vlan != NULL)
		h->on_vlan(h->on_vlan_ctx, link->port, link->vlan, link_is_usable(link));
}

static void link_update(struct tp_hops *h, struct link *link, const struct tp_nl_link *state)
{
	const bool was_usable = link_is_usable(link);
	struct link *vlan;

	link->state = *state;
	link_publish(h, link, was_usable);
	LIST_FOREACH (vlan, &link->vlans, of_below)
		link_publish(h, vlan, was_usable);
}

static void vlan_gone(struct tp_hops *h, struct link *link)
{
	if (link->below == NULL)
		return;
	LIST_REMOVE(link, of_below);
	link->below = NULL;
	link_publish(h, link, true);
	vlan_put(h, link);
}

static struct link *vlan_new(struct tp_hops *h, unsigned int ifindex)
{
	struct link *link = calloc(1, sizeof(*link));

	if (link == NULL)
		return NULL;
	link->ifindex = ifindex;
	link_add(h, link);
	return link;
}

/*
 * Any link that is not configured.  It matters when it is a VLAN of one that is; and the ifindex
 * may have been that of another before.
 */
static void vlan_update(struct tp_hops *h, const struct tp_nl_link *state)
{
	struct link *link = link_find(h, state->ifindex), *below = NULL;

	if (state->vlan != 0)
		below = link_find(h, state->vlan_parent);
	if (below != NULL && below->vlan != 0)
		below = NULL; /* a tag within a tag: the kernel path's */
	if (link != NULL && (link->below != below || link->vlan != state->vlan)) {
		vlan_gone(h, link);
		link = link_find(h, state->ifindex);
	}
	if (below == NULL)
		return;
	if (link == NULL)
		link = vlan_new(h, state->ifindex);
	if (link == NULL) {
		h->is_lost = true; /* memory was short: look again */
		return;
	}
	if (link->below == NULL) {
		link->below = below;
		link->port = below->port;
		link->vlan = state->vlan;
		LIST_INSERT_HEAD(&below->vlans, link, of_below);
	}
	link->is_found = true;
	link_update(h, link, state);
}

static bool is_configured(const struct tp_hops *h, const struct link *link)
{
	return link >= h->links && link < h->links + h->n_links;
}

static void vlan_listed(void *ctx, const struct tp_nl_link *state)
{
	struct tp_hops *h = ctx;
	const struct link *link = link_find(h, state->ifindex);

	if (link == NULL || !is_configured(h, link))
		vlan_update(h, state);
}

/* @return whether the kernel answered */
static bool vlans_ask(struct tp_hops *h)
{
	struct link *link, *next;

	LIST_FOREACH (link, &h->all, of_hops)
		link->is_found = is_configured(h, link);
	if (tp_nl_is_unanswered(h->ops->get_links(h->ctx, vlan_listed, h)))
		return false;
	for (link = LIST_FIRST(&h->all); link != NULL; link = next) {
		next = LIST_NEXT(link, of_hops);
		if (!link->is_found)
			vlan_gone(h, link);
	}
	return true;
}

/* @return whether the kernel answered for all of them */
static bool links_ask(struct tp_hops *h)
{
	struct tp_nl_link state;
	uint32_t i;
	int rc;

	h->is_lost = false;
	for (i = 0; i < h->n_links; i++) {
		rc = h->ops->get_link(h->ctx, h->links[i].ifindex, &state);
		if (tp_nl_is_unanswered(rc))
			return false;
		if (rc != 0)
			state = (struct tp_nl_link){ .is_up = false };
		link_update(h, &h->links[i], &state);
	}
	return vlans_ask(h) && !h->is_lost;
}

/* Events and turns. */

void tp_hops_on_neigh(struct tp_hops *h, unsigned int ifindex, const struct tp_addr *ip,
		const struct tp_nl_neigh *state)
{
	const struct neigh_key key = { tp_addr_ip_only(ip), ifindex };
	struct neigh *neigh = neigh_find(h, &key);

	if (neigh != NULL)
		neigh_update(h, neigh, state);
}

void tp_hops_on_link(struct tp_hops *h, const struct tp_nl_link *state, bool is_gone)
{
	const struct tp_nl_link gone = { .is_up = false };
	struct link *link = link_find(h, state->ifindex);

	if (link != NULL && is_configured(h, link))
		link_update(h, link, is_gone ? &gone : state);
	else if (!is_gone)
		vlan_update(h, state);
	else if (link != NULL)
		vlan_gone(h, link);
}

void tp_hops_on_overflow(struct tp_hops *h)
{
	h->is_lost = true;
}

/* @return whether the kernel answered */
static bool neigh_tend(struct tp_hops *h, struct neigh *neigh)
{
	if (neigh->sweep != h->sweep && !neigh_ask(h, neigh))
		return false;
	if (neigh->is_owed)
		neigh_publish(h, neigh);
	return !neigh_wants_use(h, neigh) || neigh_use(h, neigh);
}

bool tp_hops_tick(struct tp_hops *h, uint64_t now_ns)
{
	uint32_t i, n = h->neighs.n;
	struct neigh *neigh;

	h->now_ns = now_ns;
	if (h->is_lost) {
		h->is_lost = !links_ask(h);
		h->sweep++;
	}
	for (i = 0; i < n && i < NEIGHS_PER_TICK; i++) {
		neigh = TAILQ_FIRST(&h->turns);
		if (!neigh_tend(h, neigh))
			return false;
		TAILQ_REMOVE(&h->turns, neigh, turn);
		TAILQ_INSERT_TAIL(&h->turns, neigh, turn);
	}
	neigh = TAILQ_FIRST(&h->turns);
	return neigh != NULL && neigh->sweep != h->sweep;
}

int tp_hops_new(const struct tp_resolver_conf *conf, void (*on_change)(const struct tp_hop *hop),
		struct tp_hops **out)
{
	struct tp_hops *h;
	uint64_t seed; /* secret: peers choose their addresses */
	uint32_t i;

	assert(conf->n_ifindexes <= UINT16_MAX);
	h = calloc(1, sizeof(*h) + conf->n_ifindexes * sizeof(h->links[0]));
	if (h == NULL)
		return -ENOMEM;
	h->ops = conf->ops;
	h->ctx = conf->ctx;
	h->grace = conf->grace;
	h->on_change = on_change;
	h->on_vlan = conf->on_vlan;
	h->on_vlan_ctx = conf->on_vlan_ctx;
	/* Up to 256 bytes are never cut short. */
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		abort();
	h->by_index = tp_table(key_of_link, offsetof(struct link, by_index), seed);
	h->neighs = tp_table(key_of_neigh, offsetof(struct neigh, by_key), seed);
	h->hops = tp_table(key_of_hop, offsetof(struct hop, by_key), seed);
	TAILQ_INIT(&h->turns);
	h->n_links = conf->n_ifindexes;
	for (i = 0; i < h->n_links; i++) {
		h->links[i].ifindex = conf->ifindexes[i];
		h->links[i].port = (uint16_t)i;
		if (link_find(h, conf->ifindexes[i]) == NULL) /* 0 may be there more than once */
			link_add(h, &h->links[i]);
	}
	h->is_lost = !links_ask(h);
	*out = h;
	return 0;
}

void tp_hops_free(struct tp_hops *h)
{
	struct link *link;

	assert(h->hops.n == 0 && h->neighs.n == 0);
	while ((link = LIST_FIRST(&h->all)) != NULL) {
		link_remove(h, link);
		if (!is_configured(h, link))
			free(link);
	}
	tp_table_clear(&h->by_index);
	tp_table_clear(&h->neighs);
	tp_table_clear(&h->hops);
	free(h);
}
