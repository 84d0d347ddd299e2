/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/grace.h"

#include <rte_rcu_qsbr.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define FIFO_MIN 64 /* power of two */

struct waiting {
	uint64_t token;
	void (*release)(void *ctx, void *obj);
	void *ctx, *obj;
};

/* The FIFO is a ring of `size` (a power of two) entries, the oldest at `head`. */
struct tp_grace {
	struct rte_rcu_qsbr *qsbr;
	struct waiting *fifo;
	uint32_t size, head, n;
};

int tp_grace_new(uint32_t max_readers, struct tp_grace **out)
{
	struct tp_grace *g;
	size_t size;

	if (max_readers == 0)
		return -EINVAL;
	size = rte_rcu_qsbr_get_memsize(max_readers);

	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -ENOMEM;
	g->fifo = calloc(FIFO_MIN, sizeof(*g->fifo));
	if (g->fifo == NULL)
		goto err_grace;
	g->size = FIFO_MIN;
	g->qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(size, RTE_CACHE_LINE_SIZE));
	if (g->qsbr == NULL)
		goto err_fifo;
	rte_rcu_qsbr_init(g->qsbr, max_readers);
	*out = g;
	return 0;

err_fifo:
	free(g->fifo);
err_grace:
	free(g);
	return -ENOMEM;
}

static struct waiting fifo_pop(struct tp_grace *g)
{
	struct waiting w = g->fifo[g->head];

	assert(g->n > 0);
	g->head = (g->head + 1) & (g->size - 1);
	g->n--;
	return w;
}

static int fifo_grow(struct tp_grace *g)
{
	uint32_t i, size = g->size * 2;
	struct waiting *fifo;

	fifo = size > g->size ? calloc(size, sizeof(*fifo)) : NULL;
	if (fifo == NULL)
		return -ENOMEM;
	for (i = 0; i < g->n; i++)
		fifo[i] = g->fifo[(g->head + i) & (g->size - 1)];
	free(g->fifo);
	g->fifo = fifo;
	g->size = size;
	g->head = 0;
	return 0;
}

void tp_grace_free(struct tp_grace *g)
{
	struct waiting w;

	if (g == NULL)
		return;
	while (g->n > 0) {
		w = fifo_pop(g);
		w.release(w.ctx, w.obj);
	}
	free(g->qsbr);
	free(g->fifo);
	free(g);
}

void tp_grace_reader_register(struct tp_grace *g, uint32_t reader)
{
	int ret = rte_rcu_qsbr_thread_register(g->qsbr, reader);

	assert(ret == 0);
	(void)ret;
}

void tp_grace_reader_unregister(struct tp_grace *g, uint32_t reader)
{
	int ret = rte_rcu_qsbr_thread_unregister(g->qsbr, reader);

	assert(ret == 0);
	(void)ret;
}

void tp_grace_online(struct tp_grace *g, uint32_t reader)
{
	rte_rcu_qsbr_thread_online(g->qsbr, reader);
}

void tp_grace_offline(struct tp_grace *g, uint32_t reader)
{
	rte_rcu_qsbr_thread_offline(g->qsbr, reader);
}

void tp_grace_quiescent(struct tp_grace *g, uint32_t reader)
{
	rte_rcu_qsbr_quiescent(g->qsbr, reader);
}

void tp_grace_retire(
		struct tp_grace *g, void (*release)(void *ctx, void *obj), void *ctx, void *obj)
{
	uint64_t token = rte_rcu_qsbr_start(g->qsbr);

	if (g->n == g->size && fifo_grow(g) != 0) {
		rte_rcu_qsbr_check(g->qsbr, token, true);
		release(ctx, obj);
		return;
	}
	g->fifo[(g->head + g->n) & (g->size - 1)] = (struct waiting){ token, release, ctx, obj };
	g->n++;
}

/* An entry leaves the FIFO before its release runs, which may retire something in turn. */
uint32_t tp_grace_reclaim(struct tp_grace *g)
{
	struct waiting w;

	while (g->n > 0 && rte_rcu_qsbr_check(g->qsbr, g->fifo[g->head].token, false) == 1) {
		w = fifo_pop(g);
		w.release(w.ctx, w.obj);
	}
	return g->n;
}
