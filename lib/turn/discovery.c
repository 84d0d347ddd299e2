/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/discovery.h"

#include <errno.h>
#include <stdlib.h>

#include "wire/be.h"

#define CHANGE_IP 0x4u
#define CHANGE_PORT 0x2u
#define OTHER_IP 2u /* exclusive or with a place */
#define OTHER_PORT 1u

static struct tp_addr external_of(const struct tp_turn_conf *conf, const struct tp_addr *local)
{
	for (uint32_t i = 0; i < conf->n_listeners; i++)
		if (tp_addr_equal(&conf->listeners[i].local, local))
			return conf->listeners[i].external;
	return *local;
}

int tp_discovery_init(struct tp_discovery *discovery, const struct tp_turn_conf *conf)
{
	discovery->sites = calloc(conf->n_discovery + 1, sizeof(*discovery->sites));
	if (discovery->sites == NULL)
		return -ENOMEM;
	discovery->n_sites = conf->n_discovery;
	for (uint32_t i = 0; i < conf->n_discovery; i++) {
		struct tp_discovery_site *site = &discovery->sites[i];

		for (unsigned place = 0; place < 4; place++) {
			site->local[place] = tp_turn_discovery_at(&conf->discovery[i], place);
			site->external[place] = external_of(conf, &site->local[place]);
		}
	}
	return 0;
}

void tp_discovery_fini(struct tp_discovery *discovery)
{
	free(discovery->sites);
}

/* @return the site that the listener is of, or NULL */
static const struct tp_discovery_site *find(
		const struct tp_discovery *discovery, const struct tp_addr *server, unsigned *place)
{
	for (uint32_t i = 0; i < discovery->n_sites; i++)
		for (*place = 0; *place < 4; (*place)++)
			if (tp_addr_equal(&discovery->sites[i].local[*place], server))
				return &discovery->sites[i];
	return NULL;
}

void tp_discovery_understand(const struct tp_discovery *discovery, const struct tp_addr *server,
		struct tp_stun_msg *msg)
{
	uint8_t i, n = 0;
	unsigned place;

	if (msg->n_unknown == 0 || find(discovery, server, &place) == NULL)
		return;
	for (i = 0; i < msg->n_unknown; i++)
		if (msg->unknown[i] != TP_STUN_ATTR_CHANGE_REQUEST)
			msg->unknown[n++] = msg->unknown[i];
	msg->n_unknown = n;
}

enum tp_stun_err tp_discovery_way(const struct tp_discovery *discovery,
		const struct tp_addr *server, const struct tp_stun_msg *msg,
		struct tp_discovery_way *out)
{
	struct tp_stun_value value;
	unsigned place;
	uint32_t flags;
	size_t pos = 0;

	out->site = find(discovery, server, &place);
	if (out->site == NULL)
		return TP_STUN_OK;
	out->from = place;
	out->other = place ^ OTHER_IP ^ OTHER_PORT;
	if (!tp_stun_next(msg, TP_STUN_ATTR_CHANGE_REQUEST, &pos, &value))
		return TP_STUN_OK;
	if (value.len != sizeof(flags))
		return TP_STUN_BAD_REQUEST;
	flags = tp_be32_get(value.data);
	if (flags & CHANGE_IP)
		out->from ^= OTHER_IP;
	if (flags & CHANGE_PORT)
		out->from ^= OTHER_PORT;
	return TP_STUN_OK;
}

void tp_discovery_put(const struct tp_discovery_way *way, const struct tp_addr *client,
		struct tp_stun_builder *b)
{
	tp_stun_put_addr(b, TP_STUN_ATTR_MAPPED_ADDRESS, client);
	tp_stun_put_addr(b, TP_STUN_ATTR_RESPONSE_ORIGIN, &way->site->external[way->from]);
	tp_stun_put_addr(b, TP_STUN_ATTR_OTHER_ADDRESS, &way->site->external[way->other]);
}
