/* SPDX-License-Identifier: Apache-2.0 */
#include "ephemeral.h"

#include <stdio.h>
#include <stdlib.h>

#define PORTS 65536

static void set(bool ports[PORTS], unsigned long first, unsigned long last, bool value)
{
	for (; first <= last && first < PORTS; first++)
		ports[first] = value;
}

/* "7,10-12" */
static void leave_out(bool ports[PORTS], const char *reserved)
{
	while (*reserved != '\0') {
		char *end;
		unsigned long first = strtoul(reserved, &end, 10), last = first;

		if (end == reserved)
			return;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		set(ports, first, last, false);
		if (*end != ',')
			return;
		reserved = end + 1;
	}
}

bool tp_ephemeral_overlap(const char *range, const char *reserved, uint16_t min, uint16_t max)
{
	bool ports[PORTS] = { false };
	unsigned long low, high;
	char *end;

	low = strtoul(range, &end, 10);
	if (end == range)
		return false;
	high = strtoul(end, NULL, 10);
	set(ports, low, high, true);
	leave_out(ports, reserved);
	for (uint32_t port = min; port <= max; port++)
		if (ports[port])
			return true;
	return false;
}
