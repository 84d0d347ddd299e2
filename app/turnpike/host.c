/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon.h"
#include "ephemeral.h"

#define SYSCTL "/proc/sys/net/ipv4/"
#define RESERVED_MAX 8192 /* bytes of ip_local_reserved_ports that are looked at */

/* ---- addresses ---- */

static bool is_local(void *ctx, const struct tp_addr *ip)
{
	return tp_nl_is_local(ctx, ip);
}

/* A list that grows; out of memory ends it, and the list before it stays. */
struct list {
	struct tp_addr *at;
	uint32_t n, room;
	bool is_cut;
};

static void add(void *ctx, const struct tp_addr *ip)
{
	struct list *list = ctx;
	uint32_t room = list->room > 0 ? 2 * list->room : 64;

	if (list->n == list->room) {
		struct tp_addr *at = realloc(list->at, room * sizeof(*at));

		list->is_cut = list->is_cut || at == NULL;
		if (at == NULL)
			return;
		list->at = at;
		list->room = room;
	}
	list->at[list->n++] = tp_addr_ip_only(ip);
}

/* What is configured may be reached through a NAT or come later: it counts at any rate. */
static int list_own(const struct tp_daemon *d, struct list *list)
{
	const struct tp_conf *conf = d->conf;

	for (uint32_t i = 0; i < conf->n_listeners; i++)
		add(list, &conf->listeners[i]);
	for (uint32_t i = 0; i < conf->n_relays; i++)
		add(list, &conf->relays[i].local);
	if (tp_nl_get_addrs(d->nl, add, list) < 0 || list->is_cut)
		return -EAGAIN; /* next time */
	return 0;
}

static void check_own(struct tp_daemon *d)
{
	struct tp_host *host = &d->host;
	struct list list = { 0 };

	if (list_own(d, &list) < 0 ||
			(list.n == host->n_own &&
					memcmp(list.at, host->own, list.n * sizeof(*list.at)) ==
							0) ||
			tp_turn_set_own(d->turn, list.at, list.n) < 0) {
		free(list.at);
		return;
	}
	free(host->own);
	host->own = list.at;
	host->n_own = list.n;
	d->reload.seen = (struct tp_turn_forbidden){ 0 };
	d->reload.is_rechecking = true;
}

void tp_host_check(struct tp_daemon *d)
{
	tp_steer_check_addrs(d->steer, is_local, d->nl);
	for (uint32_t i = 0; i < d->conf->n_relays; i++)
		tp_turn_set_relay_here(d->turn, i, tp_steer_is_relay_here(d->steer, i));
	check_own(d);
}

void tp_host_fini(struct tp_host *host)
{
	free(host->own);
}

/* ---- ephemeral ports ---- */

static bool read_line(const char *path, char *text, int size)
{
	FILE *f = fopen(path, "re");
	bool is_read;

	if (f == NULL)
		return false;
	is_read = fgets(text, size, f) != NULL;
	fclose(f);
	if (is_read)
		text[strcspn(text, "\n")] = '\0';
	return is_read;
}

void tp_host_check_ephemeral(const struct tp_daemon *d)
{
	uint16_t min = d->conf->relay_port_min, max = d->conf->relay_port_max;
	char range[64], reserved[RESERVED_MAX] = "";

	if (!read_line(SYSCTL "ip_local_port_range", range, sizeof(range)))
		return;
	/* An empty line when nothing is. */
	read_line(SYSCTL "ip_local_reserved_ports", reserved, sizeof(reserved));
	if (!tp_ephemeral_overlap(range, reserved, min, max))
		return;
	tp_warn("relay.ports %u-%u are among the ports that the kernel gives to other programs, whose "
		"datagrams the relay would take; keep them apart with: sysctl -w "
		"net.ipv4.ip_local_reserved_ports=%s%s%u-%u (and config/turnpike-sysctl.conf in "
		"/etc/sysctl.d/)",
			min, max, reserved, reserved[0] != '\0' ? "," : "", min, max);
}
