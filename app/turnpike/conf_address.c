/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_check.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* So no file that is within the limits of its lists has more addresses than the BPF programs. */
_Static_assert(TP_STEER_MAX_LISTENERS + TP_STEER_MAX_RELAYS <= TP_STEER_MAX_ADDRS, "room for all");

/*
 * What no ordinary peer has: the special-purpose registries of IANA (RFC 6890; both as updated on
 * 2025-10-09), multicast, and what is deprecated or embeds an IPv4 address.  Left out are the
 * entries that are globally reachable and so ordinary: AS112 (192.31.196.0/24, 192.175.48.0/24,
 * 2620:4f:8000::/48) and AMT (192.52.193.0/24); those inside 192.0.0.0/24 and 2001::/23 are anycast
 * services and identifiers, none of them anybody's peer, and are in it.
 */
static const char *const recommended[] = {
	"0.0.0.0/8",       /* this network */
	"10.0.0.0/8",      /* private */
	"100.64.0.0/10",   /* shared, carrier-grade NAT */
	"127.0.0.0/8",     /* loopback */
	"169.254.0.0/16",  /* link-local, cloud metadata */
	"172.16.0.0/12",   /* private */
	"192.0.0.0/24",    /* IETF protocol assignments */
	"192.0.2.0/24",    /* documentation */
	"192.88.99.0/24",  /* 6to4 relay anycast, deprecated */
	"192.168.0.0/16",  /* private */
	"198.18.0.0/15",   /* benchmarking */
	"198.51.100.0/24", /* documentation */
	"203.0.113.0/24",  /* documentation */
	"224.0.0.0/4",     /* multicast */
	"240.0.0.0/4",     /* reserved, and limited broadcast */
	"::/128",          /* unspecified */
	"::1/128",         /* loopback */
	"::ffff:0:0/96",   /* v4-mapped */
	"::/96",           /* v4-compatible, deprecated */
	"::ffff:0:0:0/96", /* v4-translated, RFC 2765 */
	"64:ff9b::/96",    /* NAT64 */
	"64:ff9b:1::/48",  /* NAT64, local use */
	"100::/64",        /* discard */
	"100:0:0:1::/64",  /* dummy prefix, RFC 9780 */
	"2001::/23",       /* IETF protocol assignments, Teredo */
	"2001:db8::/32",   /* documentation */
	"2002::/16",       /* 6to4 */
	"3fff::/20",       /* documentation */
	"5f00::/16",       /* segment routing SIDs */
	"fc00::/7",        /* unique local */
	"fe80::/10",       /* link-local */
	"fec0::/10",       /* site-local, deprecated */
	"ff00::/8",        /* multicast */
};

/* Texts here have been checked. */
static struct tp_addr address(const char *text, uint16_t port)
{
	struct tp_addr a = { .family = 0 };
	int err = tp_addr_parse(text, port, &a);

	assert(err == 0);
	(void)err;
	return a;
}

static struct tp_prefix prefix(const char *text)
{
	struct tp_prefix p = { .bits = 0 };
	int err = tp_prefix_parse(text, &p);

	assert(err == 0);
	(void)err;
	return p;
}

static void check_listener(struct tp_conf_file *file, const struct tp_conf *conf, uint32_t i)
{
	const struct tp_addr *a = &conf->listeners[i];
	uint32_t j;

	for (j = 0; j < i && !tp_addr_equal(a, &conf->listeners[j]); j++)
		;
	if (j < i)
		tp_conf_error(file, tp_conf_path("listen[%u].address", i).text,
				"port %u: the same as listen[%u]", a->port, j);
	if (a->port >= conf->relay_port_min && a->port <= conf->relay_port_max)
		tp_conf_error(file, tp_conf_path("listen[%u].port", i).text,
				"must be outside relay.ports, %u-%u", conf->relay_port_min,
				conf->relay_port_max);
}

static void build_listener_info(struct tp_conf_file *file, const struct tp_conf_raw_listener *from,
		struct tp_conf *conf, uint32_t i)
{
	struct tp_turn_listener *info = &conf->listener_info[i];

	*info = (struct tp_turn_listener){
		.local = conf->listeners[i],
		.external = from->external != NULL ? address(from->external, from->port)
						   : conf->listeners[i],
		.is_anycast = from->anycast,
	};
	if (info->external.family != info->local.family)
		tp_conf_error(file, tp_conf_path("listen[%u].external", i).text,
				"must be of the same family as address, IPv%u", info->local.family);
}

/* Who came by an anycast address is sent to one of its own family (RFC 8489 section 10: MUST). */
static void check_anycast(struct tp_conf_file *file, const struct tp_conf *conf, uint32_t i)
{
	const struct tp_turn_listener *info = conf->listener_info;

	for (uint32_t j = 0; j < conf->n_listeners; j++)
		if (!info[j].is_anycast && info[j].local.family == info[i].local.family)
			return;
	tp_conf_error(file, tp_conf_path("listen[%u].anycast", i).text,
			"there must be a listener of IPv%u that is not anycast, to send clients to",
			info[i].local.family);
}

static int build_listeners(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	uint32_t i;

	conf->listeners = calloc(raw->n_listen, sizeof(*conf->listeners));
	conf->listener_info = calloc(raw->n_listen, sizeof(*conf->listener_info));
	if (conf->listeners == NULL || conf->listener_info == NULL)
		return -ENOMEM;
	conf->n_listeners = raw->n_listen;
	for (i = 0; i < raw->n_listen; i++) {
		conf->listeners[i] = address(raw->listen[i].address, raw->listen[i].port);
		check_listener(file, conf, i);
		build_listener_info(file, &raw->listen[i], conf, i);
	}
	for (i = 0; i < conf->n_listeners; i++)
		if (conf->listener_info[i].is_anycast)
			check_anycast(file, conf, i);
	return 0;
}

static void check_relay(struct tp_conf_file *file, const struct tp_conf *conf, uint32_t i)
{
	const struct tp_turn_relay *relay = &conf->relays[i];
	uint32_t j;

	if (relay->external.family != relay->local.family)
		tp_conf_error(file, tp_conf_path("relay.addresses[%u].external", i).text,
				"must be of the same family as address, IPv%u",
				relay->local.family);
	for (j = 0; j < i; j++) {
		if (tp_addr_equal(&relay->local, &conf->relays[j].local))
			tp_conf_error(file, tp_conf_path("relay.addresses[%u].address", i).text,
					"the same as relay.addresses[%u]", j);
		else if (tp_addr_equal(&relay->external, &conf->relays[j].external))
			tp_conf_error(file, tp_conf_path("relay.addresses[%u].external", i).text,
					"what clients are told is the same as for "
					"relay.addresses[%u]",
					j);
	}
}

static int build_relays(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	const struct tp_conf_raw_address *from = raw->relay.addresses;
	uint32_t i, n = raw->relay.n_addresses;

	conf->relays = calloc(n, sizeof(*conf->relays));
	if (conf->relays == NULL)
		return -ENOMEM;
	conf->n_relays = n;
	for (i = 0; i < n; i++) {
		conf->relays[i].local = address(from[i].address, 0);
		conf->relays[i].external = from[i].external != NULL ? address(from[i].external, 0)
								    : conf->relays[i].local;
		check_relay(file, conf, i);
	}
	return 0;
}

static void build_ports(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	conf->relay_port_min = raw->relay.ports.min;
	conf->relay_port_max = raw->relay.ports.max;
	if (conf->relay_port_max < conf->relay_port_min)
		tp_conf_error(file, "relay.ports.max", "must not be below relay.ports.min, %u",
				conf->relay_port_min);
}

static bool is_recommended(const char *text)
{
	return strcmp(text, "recommended") == 0;
}

static uint32_t count_prefixes(char *const texts[], uint32_t n_texts)
{
	uint32_t i, n = 0;

	for (i = 0; i < n_texts; i++)
		n += is_recommended(texts[i]) ? LENGTH(recommended) : 1;
	return n;
}

static int build_prefixes(
		char *const texts[], uint32_t n_texts, struct tp_prefix **out, uint32_t *n_out)
{
	uint32_t i, j, n = 0, total = count_prefixes(texts, n_texts);

	if (total == 0)
		return 0;
	*out = calloc(total, sizeof(**out));
	if (*out == NULL)
		return -ENOMEM;
	for (i = 0; i < n_texts; i++) {
		if (!is_recommended(texts[i])) {
			(*out)[n++] = prefix(texts[i]);
			continue;
		}
		for (j = 0; j < LENGTH(recommended); j++)
			(*out)[n++] = prefix(recommended[j]);
	}
	assert(n == total);
	*n_out = total;
	return 0;
}

/* @return the listener of this address and port, or NULL */
static const struct tp_turn_listener *listener_at(
		const struct tp_conf *conf, const struct tp_addr *local)
{
	for (uint32_t i = 0; i < conf->n_listeners; i++)
		if (tp_addr_equal(&conf->listeners[i], local))
			return &conf->listener_info[i];
	return NULL;
}

/* All four are listeners, and by what clients call them they are two addresses as well. */
static void check_discovery_places(struct tp_conf_file *file, const struct tp_conf *conf,
		const struct tp_turn_discovery *d, const char *path)
{
	const struct tp_turn_listener *at[4];
	char text[TP_ADDR_STRLEN];

	for (unsigned place = 0; place < 4; place++) {
		const struct tp_addr a = tp_turn_discovery_at(d, place);

		at[place] = listener_at(conf, &a);
		tp_addr_format(&a, text);
		if (at[place] == NULL) {
			tp_conf_error(file, path, "%s must be in listen, too", text);
			return;
		}
		if (at[place]->is_anycast) {
			tp_conf_error(file, path,
					"%s is anycast: another server may have the other", text);
			return;
		}
	}
	if (!tp_addr_same_ip(&at[0]->external, &at[1]->external) ||
			!tp_addr_same_ip(&at[2]->external, &at[3]->external) ||
			tp_addr_same_ip(&at[0]->external, &at[2]->external))
		tp_conf_error(file, path,
				"listen[].external must be one for each of the two addresses, and "
				"two");
}

/* A listener has one other address and one other port. */
static void check_discovery_apart(
		struct tp_conf_file *file, const struct tp_conf *conf, uint32_t i, uint32_t j)
{
	for (unsigned pair = 0; pair < 16; pair++) {
		const struct tp_addr a = tp_turn_discovery_at(&conf->discovery[i], pair / 4);
		const struct tp_addr b = tp_turn_discovery_at(&conf->discovery[j], pair % 4);

		if (!tp_addr_equal(&a, &b))
			continue;
		tp_conf_error(file, tp_conf_path("discovery[%u].address", i).text,
				"has a listener of discovery[%u]", j);
		return;
	}
}

static void check_discovery(struct tp_conf_file *file, const struct tp_conf *conf, uint32_t i)
{
	const struct tp_turn_discovery *d = &conf->discovery[i];
	const struct tp_conf_path path = tp_conf_path("discovery[%u].address", i);

	if (d->address[0].family != d->address[1].family)
		tp_conf_error(file, tp_conf_path("discovery[%u].other_address", i).text,
				"must be of the same family as address, IPv%u",
				d->address[0].family);
	else if (tp_addr_same_ip(&d->address[0], &d->address[1]))
		tp_conf_error(file, tp_conf_path("discovery[%u].other_address", i).text,
				"must not be the same as address");
	else if (d->port[0] == d->port[1])
		tp_conf_error(file, tp_conf_path("discovery[%u].other_port", i).text,
				"must not be the same as port");
	else
		check_discovery_places(file, conf, d, path.text);
	for (uint32_t j = 0; j < i; j++)
		check_discovery_apart(file, conf, i, j);
}

static int build_discovery(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	const struct tp_conf_raw_discovery *from = raw->discovery;

	conf->discovery = calloc(raw->n_discovery + 1, sizeof(*conf->discovery));
	if (conf->discovery == NULL)
		return -ENOMEM;
	conf->n_discovery = raw->n_discovery;
	for (uint32_t i = 0; i < raw->n_discovery; i++) {
		conf->discovery[i] = (struct tp_turn_discovery){
			.address = { address(from[i].address, 0),
					address(from[i].other_address, 0) },
			.port = { from[i].port, from[i].other_port },
		};
		check_discovery(file, conf, i);
	}
	return 0;
}

/* A client must be sent to an address of its own family (RFC 8489 section 10). */
static void check_redirect(struct tp_conf_file *file, const struct tp_conf *conf, uint32_t i)
{
	for (uint32_t j = 0; j < conf->n_alternates; j++)
		if (conf->alternates[j].family == conf->listeners[i].family)
			return;
	tp_conf_error(file, "redirect.servers",
			"must have an IPv%u address, for the clients of listen[%u]",
			conf->listeners[i].family, i);
}

static int build_redirect(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	const struct tp_conf_raw_redirect *from = raw->redirect;
	uint32_t i, j;

	if (from == NULL)
		return 0;
	conf->redirect = (enum tp_turn_redirect)from->when;
	conf->has_redirect = true;
	conf->alternates = calloc(from->n_servers, sizeof(*conf->alternates));
	if (conf->alternates == NULL)
		return -ENOMEM;
	conf->n_alternates = from->n_servers;
	for (i = 0; i < from->n_servers; i++)
		conf->alternates[i] = address(from->servers[i].address, from->servers[i].port);
	for (i = 0; i < from->n_servers; i++)
		for (j = 0; j < conf->n_listeners; j++)
			if (tp_addr_equal(&conf->alternates[i], &conf->listener_info[j].external))
				tp_conf_error(file,
						tp_conf_path("redirect.servers[%u].address", i)
								.text,
						"is this server itself, listen[%u]", j);
	for (i = 0; i < conf->n_listeners; i++)
		check_redirect(file, conf, i);
	return 0;
}

static void build_metrics(const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	conf->has_metrics = raw->metrics != NULL;
	if (conf->has_metrics)
		conf->metrics = address(raw->metrics->listen, raw->metrics->port);
}

int tp_conf_build_addresses(
		struct tp_conf_file *file, const struct tp_conf_raw *raw, struct tp_conf *conf)
{
	int err;

	build_ports(file, raw, conf);
	build_metrics(raw, conf);
	err = build_listeners(file, raw, conf);
	if (err == 0)
		err = build_discovery(file, raw, conf);
	if (err == 0)
		err = build_redirect(file, raw, conf);
	if (err == 0)
		err = build_relays(file, raw, conf);
	if (err == 0)
		err = build_prefixes(
				raw->peers.deny, raw->peers.n_deny, &conf->deny, &conf->n_deny);
	if (err == 0)
		err = build_prefixes(
				raw->peers.allow, raw->peers.n_allow, &conf->allow, &conf->n_allow);
	return err;
}
