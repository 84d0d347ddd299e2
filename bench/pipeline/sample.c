/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include "tsc.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void sample_begin(struct sample *s)
{
	s->pkts = s->n = 0;
	s->ns = 0;
}

void sample_add(struct sample *s, uint32_t pkts, double ns_per_pkt)
{
	assert(s->n < SAMPLE_BATCHES_MAX);
	s->pkts += pkts;
	s->ns += ns_per_pkt * pkts;
	s->batch_ns[s->n++] = (float)ns_per_pkt;
}

double sample_mean_ns(const struct sample *s)
{
	return s->ns / (double)s->pkts;
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

double sample_ns(struct sample *s)
{
	qsort(s->batch_ns, s->n, sizeof(s->batch_ns[0]), by_size);
	return s->batch_ns[s->n / 2];
}

void sample_print(struct sample *s, const char *name, const char *params)
{
	double ns = sample_ns(s);

	printf("{\"name\":\"%s\",\"params\":{%s},\"unit\":\"ns/packet\",\"value\":%.3f,"
	       "\"extra\":{\"tsc_cycles\":%.2f,\"mean\":%.3f,\"packets\":%llu}}\n",
			name, params, ns, ns / tsc_ns(1), sample_mean_ns(s),
			(unsigned long long)s->pkts);
	fflush(stdout);
}
