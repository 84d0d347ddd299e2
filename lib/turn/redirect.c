/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/redirect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "turn/allocation.h"

int tp_redirect_init(struct tp_redirect *redirect, const struct tp_turn_conf *conf)
{
	redirect->when = conf->redirect;
	redirect->servers = calloc(conf->n_alternates + 1, sizeof(*redirect->servers));
	redirect->unicast = calloc(conf->n_listeners + 1, sizeof(*redirect->unicast));
	redirect->anycast = calloc(conf->n_listeners + 1, sizeof(*redirect->anycast));
	if (redirect->servers == NULL || redirect->unicast == NULL || redirect->anycast == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < conf->n_alternates; i++)
		redirect->servers[redirect->n_servers++] = conf->alternates[i];
	for (uint32_t i = 0; i < conf->n_listeners; i++) {
		const struct tp_turn_listener *l = &conf->listeners[i];

		if (l->is_anycast)
			redirect->anycast[redirect->n_anycast++] = l->local;
		else
			redirect->unicast[redirect->n_unicast++] = l->external;
	}
	return 0;
}

void tp_redirect_fini(struct tp_redirect *redirect)
{
	free(redirect->servers);
	free(redirect->unicast);
	free(redirect->anycast);
}

static bool is_anycast(const struct tp_redirect *redirect, const struct tp_addr *server)
{
	for (uint32_t i = 0; i < redirect->n_anycast; i++)
		if (tp_addr_equal(&redirect->anycast[i], server))
			return true;
	return false;
}

/* Of the addresses of this family, the one that is the client's.  @return NULL: there is none */
static const struct tp_addr *pick(const struct tp_addr list[], uint32_t n, uint8_t family,
		const struct tp_addr *client)
{
	uint32_t i, nth, n_family = 0;

	for (i = 0; i < n; i++)
		n_family += list[i].family == family;
	if (n_family == 0)
		return NULL;
	nth = tp_turn_hash(client->ip, sizeof(client->ip)) % n_family;
	for (i = 0; list[i].family != family || nth-- > 0; i++)
		;
	return &list[i];
}

static bool uses_servers(const struct tp_redirect *redirect)
{
	return redirect->is_draining || redirect->when == TP_TURN_REDIRECT_ALWAYS;
}

/* Where this client is sent, of this family. */
static const struct tp_addr *place(
		const struct tp_redirect *redirect, const struct tp_tuple *tuple, uint8_t family)
{
	if (is_anycast(redirect, &tuple->server) && !uses_servers(redirect))
		return pick(redirect->unicast, redirect->n_unicast, family, &tuple->client);
	return pick(redirect->servers, redirect->n_servers, family, &tuple->client);
}

enum tp_stun_err tp_redirect_check(const struct tp_redirect *redirect, const struct tp_tuple *tuple,
		bool is_full, bool is_reserved)
{
	bool must = is_anycast(redirect, &tuple->server) ||
			(uses_servers(redirect) && !is_reserved);
	bool may = is_full && redirect->when == TP_TURN_REDIRECT_FULL && !is_reserved;

	if (!must && !may)
		return TP_STUN_OK;
	if (place(redirect, tuple, tuple->client.family) != NULL)
		return TP_STUN_TRY_ALTERNATE;
	return TP_STUN_INSUFFICIENT_CAPACITY;
}

void tp_redirect_put(const struct tp_redirect *redirect, const struct tp_tuple *tuple,
		struct tp_stun_builder *b)
{
	uint8_t family = tuple->client.family;
	const struct tp_addr *same = place(redirect, tuple, family);
	const struct tp_addr *other = place(redirect, tuple, family == TP_IPV4 ? TP_IPV6 : TP_IPV4);

	/* The client's own family first: who reads one only must be able to go there. */
	tp_stun_put_addr(b, TP_STUN_ATTR_ALTERNATE_SERVER, same);
	if (other != NULL)
		tp_stun_put_addr(b, TP_STUN_ATTR_ALTERNATE_SERVER, other);
}
