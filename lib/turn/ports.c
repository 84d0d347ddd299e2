/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/ports.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct tp_ports {
	uint16_t min, max;
	uint32_t n;      /* free ports: list[0..n-1] */
	uint16_t *list;  /* all ports of the range, the free ones first */
	uint16_t *place; /* port - min -> index in list */
};

int tp_ports_new(uint16_t min, uint16_t max, struct tp_ports **out)
{
	uint32_t i, n = (uint32_t)max - min + 1;
	struct tp_ports *p;

	if (min == 0 || min > max)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	*p = (struct tp_ports){ .min = min, .max = max, .n = n };
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

static void swap(struct tp_ports *p, uint32_t a, uint32_t b)
{
	uint16_t port_a = p->list[a], port_b = p->list[b];

	p->list[a] = port_b;
	p->list[b] = port_a;
	p->place[port_b - p->min] = (uint16_t)a;
	p->place[port_a - p->min] = (uint16_t)b;
}

static bool is_free(const struct tp_ports *p, uint32_t port)
{
	return port >= p->min && port <= p->max && p->place[port - p->min] < p->n;
}

static void take(struct tp_ports *p, uint16_t port)
{
	assert(is_free(p, port));
	swap(p, p->place[port - p->min], --p->n);
}

/* Uniform to within n / 2^32. */
static uint32_t pick(uint32_t n, uint32_t random)
{
	return (uint32_t)(((uint64_t)n * random) >> 32);
}

int tp_ports_take(struct tp_ports *ports, uint32_t random)
{
	uint16_t port;

	if (ports->n == 0)
		return -ENOSPC;
	port = ports->list[pick(ports->n, random)];
	take(ports, port);
	return port;
}

int tp_ports_take_even(struct tp_ports *ports, uint32_t random, bool with_next)
{
	uint32_t i, start = pick(ports->n, random);

	for (i = 0; i < ports->n; i++) {
		uint16_t port = ports->list[(start + i) % ports->n];

		if (port % 2 != 0 || (with_next && !is_free(ports, port + 1u)))
			continue;
		take(ports, port);
		if (with_next)
			take(ports, (uint16_t)(port + 1));
		return port;
	}
	return -ENOSPC;
}

void tp_ports_give(struct tp_ports *ports, uint16_t port)
{
	assert(port >= ports->min && port <= ports->max && !is_free(ports, port));
	swap(ports, ports->place[port - ports->min], ports->n++);
}

uint32_t tp_ports_left(const struct tp_ports *ports)
{
	return ports->n;
}
