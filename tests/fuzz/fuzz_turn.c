/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program of steps into the TURN server: the simulator's (tests/sim), with the fuzzer's bytes in
 * place of its seed.
 *
 * The first bytes choose the configuration, the others who does what: allocate, bind, relay, wait
 * until something ends, run out of memory, and send bytes as they stand.  Requests are signed with
 * good keys where the program does not say otherwise, so that the fuzzer is never stopped by a
 * hash.  The model of RFC 8656 judges every call, and the whole state is compared after each.
 */
#include "fuzz.h"

#include "../sim/town.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIENTS 8

static struct town town;

void sim_fail(const char *format, ...)
{
	va_list args;

	world_print(&town.world);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Not NULL, which would mean a seed. */
	static const uint8_t none[1];

	town.choose = (struct choose){ .bytes = size > 0 ? data : none, .len = size };
	town_init(&town, CLIENTS);
	while (town.choose.at < size)
		town_step(&town);
	town_drain(&town);
	town_fini(&town);
	return 0;
}
