/* SPDX-License-Identifier: Apache-2.0 */
/* The server's memory, linked with --wrap: counted, and running out when it is told to. */
#include "world.h"

#include "base/table.h"

static struct world *entered; /* in a call into the server, which is one at a time */
static uint64_t n_blocks;

void world_enter(struct world *w)
{
	entered = w;
	w->is_inside = true;
}

void world_leave(struct world *w)
{
	entered = NULL;
	w->is_inside = false;
}

uint64_t world_blocks(void)
{
	return n_blocks;
}

static bool is_due(void)
{
	/* Not when the answer is lost as well: it tells what was done without memory. */
	return entered != NULL && entered->fail_at > 0 && entered->send_rc >= 0 &&
			--entered->fail_at == 0;
}

static bool is_to_fail(void)
{
	if (!is_due())
		return false;
	entered->is_fault = true;
	entered->n_faults++;
	/* Peers of the past are remembered as long as there is memory to. */
	for (unsigned i = 0; i <= MODEL_ALLOCATIONS; i++)
		entered->account[i].is_forgetful = true;
	return true;
}

static void *counted(void *p)
{
	n_blocks += entered != NULL && p != NULL;
	return p;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
char *__real_strdup(const char *text);
void __real_free(void *p);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);
char *__wrap_strdup(const char *text);
void __wrap_free(void *p);

void *__wrap_malloc(size_t bytes)
{
	return is_to_fail() ? NULL : counted(__real_malloc(bytes));
}

/* A table of lib/turn, which does without more chains: nobody is to notice. */
static bool is_growth(size_t n, size_t bytes)
{
	return n >= TP_TABLE_CHAINS_MIN && bytes == sizeof(struct tp_link *);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	if (is_growth(n, bytes))
		return is_due() ? NULL : counted(__real_calloc(n, bytes));
	return is_to_fail() ? NULL : counted(__real_calloc(n, bytes));
}

void *__wrap_realloc(void *p, size_t bytes)
{
	if (is_to_fail())
		return NULL;
	return p == NULL ? counted(__real_realloc(p, bytes)) : __real_realloc(p, bytes);
}

char *__wrap_strdup(const char *text)
{
	return is_to_fail() ? NULL : counted(__real_strdup(text));
}

void __wrap_free(void *p)
{
	if (entered != NULL && p != NULL && n_blocks-- == 0)
		sim_fail("freed what was not allocated");
	__real_free(p);
}
