/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/policy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define NESTED_MAX (2 * 129) /* a prefix of each length, in both lists */

typedef unsigned __int128 u128; /* an address; IPv4 in the low 32 bits */

/* Ranges of one family: range i is start[i] to start[i + 1] - 1, the last one ends with the last
 * address.  start[0] is 0. */
struct ranges {
	u128 *start;
	bool *is_allowed;
	uint32_t n;
};

struct tp_policy {
	struct ranges ranges[2]; /* IPv4, IPv6 */
};

/* ---- making it ---- */

struct entry {
	u128 first, last;
	uint8_t bits;
	bool is_allowed;
};

static u128 key_of(const struct tp_addr *a)
{
	u128 key = 0;

	for (unsigned i = 0; i < tp_addr_ip_bytes(a); i++)
		key = key << 8 | a->ip[i];
	return key;
}

static struct entry entry_of(const struct tp_prefix *p, bool is_allowed)
{
	unsigned host_bits = 8u * tp_addr_ip_bytes(&p->base) - p->bits;
	u128 first = key_of(&p->base);
	u128 hosts = host_bits == 128 ? ~(u128)0 : ((u128)1 << host_bits) - 1;

	return (struct entry){ first, first | hosts, p->bits, is_allowed };
}

/* What encloses before what is enclosed, so that what comes later decides. */
static int compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->bits != y->bits)
		return x->bits < y->bits ? -1 : 1;
	return x->is_allowed - y->is_allowed;
}

/* From here on it is so. */
static void emit(struct ranges *r, u128 start, bool is_allowed)
{
	if (r->n > 0 && r->start[r->n - 1] == start)
		r->n--;
	if (r->n > 0 && r->is_allowed[r->n - 1] == is_allowed)
		return;
	r->start[r->n] = start;
	r->is_allowed[r->n++] = is_allowed;
}

/* Sorted entries to ranges.  Those that are open, each inside the one before it, are a stack. */
static void sweep(struct ranges *r, const struct entry entries[], uint32_t n, u128 last)
{
	const struct entry everything = { .last = last, .is_allowed = true };
	const struct entry *open[NESTED_MAX + 1] = { &everything };
	unsigned n_open = 1;

	emit(r, 0, true);
	for (uint32_t i = 0; i <= n; i++) {
		/* With what ends before this one begins, the one around it goes on. */
		while (n_open > 1 && (i == n || open[n_open - 1]->last < entries[i].first)) {
			const struct entry *ended = open[--n_open];

			if (ended->last != last)
				emit(r, ended->last + 1, open[n_open - 1]->is_allowed);
		}
		if (i == n)
			break;
		/* The same prefix again says nothing new, or replaces what it said. */
		if (open[n_open - 1]->bits == entries[i].bits && n_open > 1)
			n_open--;
		assert(n_open <= NESTED_MAX);
		open[n_open++] = &entries[i];
		emit(r, entries[i].first, entries[i].is_allowed);
	}
}

static uint32_t collect(struct entry out[], uint8_t family, const struct tp_prefix list[],
		uint32_t n, bool is_allowed)
{
	uint32_t n_out = 0;

	for (uint32_t i = 0; i < n; i++)
		if (list[i].base.family == family)
			out[n_out++] = entry_of(&list[i], is_allowed);
	return n_out;
}

/* entries: sorted, of one family */
static int ranges_new(struct ranges *r, const struct entry entries[], uint32_t n, u128 last)
{
	size_t room = 2 * (size_t)n + 1; /* each begins and ends once */

	r->start = calloc(room, sizeof(*r->start));
	r->is_allowed = calloc(room, sizeof(*r->is_allowed));
	if (r->start == NULL || r->is_allowed == NULL)
		return -ENOMEM;
	sweep(r, entries, n, last);
	assert(r->n >= 1 && r->n <= room);
	return 0;
}

int tp_policy_new(const struct tp_prefix deny[], uint32_t n_deny, const struct tp_prefix allow[],
		uint32_t n_allow, struct tp_policy **out)
{
	static const uint8_t family[2] = { TP_IPV4, TP_IPV6 };
	struct entry *entries = calloc((size_t)n_deny + n_allow + 1, sizeof(*entries));
	struct tp_policy *policy = calloc(1, sizeof(*policy));
	int rc = entries == NULL || policy == NULL ? -ENOMEM : 0;

	for (int i = 0; i < 2 && rc == 0; i++) {
		uint32_t n = collect(entries, family[i], deny, n_deny, false);

		n += collect(entries + n, family[i], allow, n_allow, true);
		qsort(entries, n, sizeof(*entries), compare);
		rc = ranges_new(&policy->ranges[i], entries, n, i == 0 ? UINT32_MAX : ~(u128)0);
	}
	free(entries);
	if (rc < 0) {
		tp_policy_free(policy);
		return rc;
	}
	*out = policy;
	return 0;
}

void tp_policy_free(struct tp_policy *policy)
{
	if (policy == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		free(policy->ranges[i].start);
		free(policy->ranges[i].is_allowed);
	}
	free(policy);
}

/* ---- asking it ---- */

static bool listed_ok(const struct tp_policy *policy, const struct tp_addr *a)
{
	const struct ranges *r = &policy->ranges[a->family == TP_IPV6];
	uint32_t low = 0, high = r->n; /* start[low] <= key < start[high] */
	u128 key = key_of(a);

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (r->start[middle] <= key)
			low = middle;
		else
			high = middle;
	}
	return r->is_allowed[low];
}

static bool begins_with(const struct tp_addr *a, const uint8_t prefix[], size_t bytes)
{
	return a->family == TP_IPV6 && memcmp(a->ip, prefix, bytes) == 0;
}

static bool is_refused(const struct tp_addr *a)
{
	/* IPv6 prefixes that are never a peer, whatever the lists say. */
	static const struct {
		uint8_t prefix[12];
		uint8_t bytes;
	} refused[] = {
		{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 12 }, /* v4-mapped */
		{ { 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 12 },       /* v4-translated, RFC 2765 */
		{ { 0 }, 12 },               /* v4-compatible, with :: and ::1 */
		{ { 0x20, 0x02 }, 2 },       /* 6to4 */
		{ { 0x20, 0x01, 0, 0 }, 4 }, /* Teredo */
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (begins_with(a, refused[i].prefix, refused[i].bytes))
			return true;
	return false;
}

/* Nothing can be sent to these as a unicast peer. */
static bool is_unusable(const struct tp_addr *a)
{
	static const uint8_t broadcast[4] = { 255, 255, 255, 255 };

	if (a->family == TP_IPV4)
		return a->ip[0] == 0 || (a->ip[0] & 0xf0) == 0xe0 ||
				memcmp(a->ip, broadcast, 4) == 0;
	return a->ip[0] == 0xff;
}

static bool is_zero(const uint8_t bytes[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/*
 * RFC 6052 section 2.2: where the IPv4 address lies depends on the length of the network's prefix;
 * byte 8 is zero where it would be inside, and so is all that follows it.  0.0.0.0/8 is no host,
 * only another reading of something else; if there is no reading but that one, it is kept, and
 * refused.
 */
static unsigned local_nat64(const struct tp_addr *peer, struct tp_addr inner[])
{
	static const struct {
		uint8_t at[4];
		uint8_t rest;
	} reading[] = {
		{ { 6, 7, 9, 10 }, 11 },   /* /48 */
		{ { 7, 9, 10, 11 }, 12 },  /* /56 */
		{ { 9, 10, 11, 12 }, 13 }, /* /64 */
	};
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(reading) / sizeof(reading[0]); i++) {
		uint8_t ip[4];

		for (int j = 0; j < 4; j++)
			ip[j] = peer->ip[reading[i].at[j]];
		if (ip[0] != 0 && peer->ip[8] == 0 &&
				is_zero(peer->ip + reading[i].rest, 16u - reading[i].rest))
			inner[n++] = tp_addr_v4(ip, peer->port);
	}
	if (n == 0 || peer->ip[12] != 0)
		inner[n++] = tp_addr_v4(peer->ip + 12, peer->port); /* /96 */
	return n;
}

unsigned tp_policy_embedded(
		const struct tp_addr *peer, struct tp_addr inner[TP_POLICY_EMBEDDED_MAX])
{
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	static const uint8_t nat64_local[6] = { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 };
	static const uint8_t isatap[3] = { 0x00, 0x5e, 0xfe };

	if (begins_with(peer, nat64_local, sizeof(nat64_local)))
		return local_nat64(peer, inner);
	if (begins_with(peer, nat64, sizeof(nat64)) ||
			(peer->family == TP_IPV6 && (peer->ip[8] & ~2) == 0 &&
					memcmp(peer->ip + 9, isatap, sizeof(isatap)) == 0)) {
		inner[0] = tp_addr_v4(peer->ip + 12, peer->port);
		return 1;
	}
	return 0;
}

bool tp_policy_allows(const struct tp_policy *policy, const struct tp_addr *peer)
{
	struct tp_addr inner[TP_POLICY_EMBEDDED_MAX];
	unsigned n;

	if (is_unusable(peer) || is_refused(peer) || !listed_ok(policy, peer))
		return false;
	n = tp_policy_embedded(peer, inner);
	for (unsigned i = 0; i < n; i++)
		if (is_unusable(&inner[i]) || !listed_ok(policy, &inner[i]))
			return false;
	return true;
}
