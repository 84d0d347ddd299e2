/* SPDX-License-Identifier: Apache-2.0 */
/* What servers are configured to do: chosen, within what is worth it. */
#include "world.h"

#include "wire/integrity.h"

#include <string.h>

const char *const world_passwords[WORLD_USERS] = { "wonder", "builder", "of many words" };

static struct tp_addr address(const char *text, uint16_t port)
{
	struct tp_addr a = { 0 };

	if (tp_addr_parse(text, port, &a) < 0)
		sim_fail("no address: %s", text);
	return a;
}

static struct tp_prefix prefix(const char *text)
{
	struct tp_prefix p = { 0 };

	if (tp_prefix_parse(text, &p) < 0)
		sim_fail("no prefix: %s", text);
	return p;
}

static void set_relays(struct world *w, bool is_nat)
{
	static const char *const external[] = { "192.0.2.10", "2001:db8::10", "192.0.2.11" };
	static const char *const local[] = { "10.0.0.10", "fd00::10", "10.0.0.11" };

	for (unsigned i = 0; i < WORLD_RELAYS; i++) {
		w->relays[i].external = address(external[i], 0);
		w->relays[i].local = address(is_nat ? local[i] : external[i], 0);
		w->own[2 + i] = w->relays[i].local;
	}
	w->own[0] = address("192.0.2.1", 3478);
	w->own[1] = address("2001:db8::1", 3478);
}

static void set_users(struct world *w)
{
	static char names[WORLD_USERS][24] = { "alice", "bob", "carol of somewhere" };

	for (unsigned i = 0; i < WORLD_USERS; i++) {
		const struct tp_bytes name = { names[i], strlen(names[i]) };
		const struct tp_bytes realm = { w->conf.realm, strlen(w->conf.realm) };
		const struct tp_bytes password = { world_passwords[i], strlen(world_passwords[i]) };

		w->users[i].name = names[i];
		tp_key_make(TP_ALGORITHM_MD5, &name, &realm, &password, &w->users[i].md5);
		tp_key_make(TP_ALGORITHM_SHA256, &name, &realm, &password, &w->users[i].sha256);
	}
}

void world_set_lists(struct world *w)
{
	w->deny[0] = prefix("127.0.0.0/8");
	w->deny[1] = prefix("10.0.0.0/8");
	w->deny[2] = prefix("203.0.113.128/25");
	w->deny[3] = prefix("2001:db8:bad::/48");
	w->allow[0] = prefix("10.1.0.0/16");
	w->allow[1] = prefix("2001:db8:bad:1::/64");
}

/* The good ones' peers are in neither. */
void world_set_other_lists(struct world *w)
{
	w->deny[0] = prefix("127.0.0.0/8");
	w->deny[1] = prefix("203.0.113.3/32");
	w->deny[2] = prefix("203.0.113.0/25");
	w->deny[3] = prefix("2001:db8:9::3/128");
	w->allow[0] = prefix("203.0.113.0/29");
	w->allow[1] = prefix("2001:db8:9::/126");
}

/* Half of the time none, else so few that they are felt. */
static uint32_t some_limit(struct choose *c, uint32_t most)
{
	return one_in(c, 2) ? 0 : 1 + choose(c, most);
}

void world_set_limits(struct world *w, struct choose *c)
{
	/* Memory does not run out while these are limited: see trouble() in town.c. */
	bool has_peer_limits = one_in(c, 2);

	w->conf.limits = (struct tp_turn_limits){
		.allocations_per_user = some_limit(c, 12),
		.channels_per_allocation = has_peer_limits ? some_limit(c, 8) : 0,
		.permissions_per_allocation = has_peer_limits ? some_limit(c, 8) : 0,
		.new_peers_per_sec = has_peer_limits ? some_limit(c, 4) : 0,
		.unauthenticated_per_source = some_limit(c, 5),
		.unauthenticated_total = some_limit(c, 60),
	};
}

/* What only a new server knows. */
void world_set_places(struct world *w, struct choose *c)
{
	static const char *const servers[] = { "192.0.2.77", "2001:db8::77", "192.0.2.78" };
	unsigned first = choose(c, 3);

	for (unsigned i = 0; i < 3; i++) {
		struct tp_turn_listener *l = &w->listeners[i];

		l->local = i == 2 ? address("192.0.2.2", 3478) : w->own[i];
		l->external = l->local;
		l->is_anycast = one_in(c, 12);
		w->alternates[i] = address(servers[(first + i) % 3], (uint16_t)(3478 + i));
	}
	w->conf.listeners = w->listeners;
	w->conf.n_listeners = 3;
	w->conf.alternates = w->alternates;
	w->conf.n_alternates = choose(c, 4);
	w->conf.redirect = (enum tp_turn_redirect)choose(c, 2);
	if (one_in(c, 16))
		w->conf.redirect = TP_TURN_REDIRECT_ALWAYS;
	w->conf.default_is_listener = one_in(c, 2);
	w->conf.mobility = !one_in(c, 4);
}

void world_set_conf(struct world *w, struct choose *c)
{
	static uint8_t secrets[2][9] = { "newest", "previous" };

	w->conf = (struct tp_turn_conf){
		.realm = "example.org",
		.nonce_key = { 1, 2, 3 },
		.relays = w->relays,
		.n_relays = 1 + choose(c, WORLD_RELAYS),
		.port_min = (uint16_t)(50000 + choose(c, 2)),
		.users = w->users,
		.n_users = WORLD_USERS,
		.secrets = w->secrets,
		.n_secrets = 2,
		.deny = w->deny,
		.n_deny = 4,
		.allow = w->allow,
		.n_allow = 2,
		.own = w->own,
		.n_own = 2 + WORLD_RELAYS,
		.max_allocations = 4 + choose(c, MODEL_ALLOCATIONS - 8),
		.max_channels = 6 + choose(c, 200),
		.legacy_channels = one_in(c, 2),
	};
	w->conf.port_max = (uint16_t)(w->conf.port_min + 3 + choose(c, 40));
	for (unsigned i = 0; i < 2; i++)
		w->secrets[i] = (struct tp_turn_secret){ secrets[i],
			strlen((const char *)secrets[i]) };
	set_relays(w, one_in(c, 2));
	set_users(w);
	world_set_lists(w);
	world_set_limits(w, c);
	world_set_places(w, c);
}
