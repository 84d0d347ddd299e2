/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/ports.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/*
 * What a port is, which is where it stands in the list: zone z is list[end[z - 1]] to
 * list[end[z] - 1].
 */
enum zone {
	PAIR,  /* even and free, and so is the odd one behind it */
	EVEN,  /* even and free */
	ODD,   /* odd and free */
	TAKEN, /* the rest */
};

struct tp_ports {
	uint16_t min, max;
	uint32_t end[TAKEN]; /* end[ODD] are free */
	uint16_t *list;      /* all ports of the range */
	uint16_t *place;     /* port - min -> index in list */
};

static bool is_in_range(const struct tp_ports *p, uint32_t port)
{
	return port >= p->min && port <= p->max;
}

static uint32_t place_of(const struct tp_ports *p, uint32_t port)
{
	return p->place[port - p->min];
}

static enum zone zone_of(const struct tp_ports *p, uint32_t port)
{
	uint32_t at = place_of(p, port);

	return at < p->end[PAIR] ? PAIR : at < p->end[EVEN] ? EVEN : at < p->end[ODD] ? ODD : TAKEN;
}

static bool is_free(const struct tp_ports *p, uint32_t port)
{
	return is_in_range(p, port) && zone_of(p, port) != TAKEN;
}

static void swap(struct tp_ports *p, uint32_t a, uint32_t b)
{
	uint16_t port_a = p->list[a], port_b = p->list[b];

	p->list[a] = port_b;
	p->list[b] = port_a;
	p->place[port_b - p->min] = (uint16_t)a;
	p->place[port_a - p->min] = (uint16_t)b;
}

/* Over the border of one zone after the other: at most three swaps. */
static void move(struct tp_ports *p, uint32_t port, enum zone to)
{
	enum zone at = zone_of(p, port);

	for (; at < to; at++)
		swap(p, place_of(p, port), --p->end[at]);
	for (; at > to; at--)
		swap(p, place_of(p, port), p->end[at - 1]++);
}

static void take(struct tp_ports *p, uint32_t port)
{
	assert(is_free(p, port));
	move(p, port, TAKEN);
	if (port % 2 == 1 && is_free(p, port - 1))
		move(p, port - 1, EVEN);
}

void tp_ports_give(struct tp_ports *ports, uint16_t port)
{
	assert(is_in_range(ports, port) && !is_free(ports, port));
	if (port % 2 == 0) {
		move(ports, port, is_free(ports, port + 1u) ? PAIR : EVEN);
		return;
	}
	move(ports, port, ODD);
	if (is_free(ports, port - 1u))
		move(ports, port - 1u, PAIR);
}

int tp_ports_new(uint16_t min, uint16_t max, struct tp_ports **out)
{
	uint32_t i, n = (uint32_t)max - min + 1;
	struct tp_ports *p;

	if (min == 0 || min > max)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	*p = (struct tp_ports){ .min = min, .max = max };
	p->list = calloc(n, sizeof(*p->list));
	p->place = calloc(n, sizeof(*p->place));
	if (p->list == NULL || p->place == NULL) {
		tp_ports_free(p);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		p->list[i] = (uint16_t)(min + i);
		p->place[i] = (uint16_t)i;
	}
	for (i = min; i <= max; i++)
		tp_ports_give(p, (uint16_t)i);
	*out = p;
	return 0;
}

void tp_ports_free(struct tp_ports *ports)
{
	if (ports == NULL)
		return;
	free(ports->list);
	free(ports->place);
	free(ports);
}

/* One of the first n.  Uniform to within n / 2^32. */
static int take_one_of(struct tp_ports *p, uint32_t n, uint32_t random)
{
	uint16_t port;

	if (n == 0)
		return -ENOSPC;
	port = p->list[((uint64_t)n * random) >> 32];
	take(p, port);
	return port;
}

int tp_ports_take(struct tp_ports *ports, uint32_t random)
{
	return take_one_of(ports, ports->end[ODD], random);
}

int tp_ports_take_even(struct tp_ports *ports, uint32_t random, bool with_next)
{
	int port = take_one_of(ports, ports->end[with_next ? PAIR : EVEN], random);

	if (port >= 0 && with_next)
		take(ports, (uint32_t)port + 1);
	return port;
}

uint32_t tp_ports_left(const struct tp_ports *ports)
{
	return ports->end[ODD];
}
