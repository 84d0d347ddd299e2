/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READERS_MAX 256
/* As many as flows that there ever are, churned ones too; address space. */
#define ACCOUNTS_PER_SPEC (1u << 22)

struct table {
	struct world_want want; /* of the first path */
	struct tp_flow_table_conf conf;
	struct tp_flow_table *flows; /* NULL: not made yet */
	struct tp_accounts *accounts;
	bool has_path[TRAFFIC_PATHS];
};

struct world {
	struct table tables[WORLD_TABLES_MAX];
	uint32_t n;
};

static bool is_same(const struct world_want *a, const struct world_want *b)
{
	return a->path == b->path && a->n_flows == b->n_flows && a->n_more == b->n_more;
}

static struct table *table_of(struct world *world, const struct world_want *want)
{
	for (uint32_t i = 0; i < world->n; i++)
		if (is_same(&world->tables[i].want, want))
			return &world->tables[i];
	return NULL;
}

static void table_plan(struct table *t, const struct world_want *want)
{
	uint32_t n = want->n_flows * (traffic_is_hairpin(want->path) ? TRAFFIC_SPECS : 1) +
			want->n_more;

	t->want = *want;
	t->conf = (struct tp_flow_table_conf){
		.max_channel_flows = n,
		.max_permission_flows = traffic_is_indication(want->path) ? n : 0,
	};
}

int world_new(const struct world_want wants[], uint32_t n, struct world **out)
{
	struct world *world = calloc(1, sizeof(*world));

	if (world == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if (table_of(world, &wants[i]) != NULL)
			continue;
		if (world->n == WORLD_TABLES_MAX) {
			fprintf(stderr, "more than %d flow tables; take fewer --flows\n",
					WORLD_TABLES_MAX);
			free(world);
			return -E2BIG;
		}
		table_plan(&world->tables[world->n++], &wants[i]);
	}
	*out = world;
	return 0;
}

void world_free(struct world *world)
{
	for (uint32_t i = 0; i < world->n; i++) {
		tp_flow_table_free(world->tables[i].flows);
		tp_accounts_free(world->tables[i].accounts);
		tp_grace_free(world->tables[i].conf.grace);
	}
	free(world);
}

int world_add_flow(struct tp_flow_table *flows, enum tp_path path, uint32_t i,
		struct tp_flow *added[TRAFFIC_SPECS])
{
	struct tp_flow_spec specs[TRAFFIC_SPECS];
	uint32_t n = traffic_specs(path, i, specs);
	int rc;

	for (uint32_t k = 0; k < n; k++) {
		specs[k].account = 1 + i + k * ACCOUNTS_PER_SPEC;
		rc = tp_flow_add(flows, &specs[k], &added[k]);
		if (rc < 0)
			return rc;
		tp_flow_set_next_hop(added[k], traffic_next_hop(i));
	}
	return 0;
}

static int add_flows(struct table *t, enum tp_path path, uint32_t first)
{
	struct tp_flow *added[TRAFFIC_SPECS];
	int rc;

	for (uint32_t i = 0; i < t->want.n_flows; i++) {
		rc = world_add_flow(t->flows, path, first + i, added);
		if (rc < 0) {
			fprintf(stderr, "%s: flow %u of %u is refused: %s\n", tp_path_name(path), i,
					t->want.n_flows, strerror(-rc));
			return rc;
		}
	}
	return 0;
}

/* Where Data indications are due a table has channels too, of other peers. */
static int add_path(struct table *t, enum tp_path path)
{
	int rc = add_flows(t, path, 0);

	if (rc == 0 && traffic_is_indication(path) && traffic_is_down(path))
		rc = add_flows(t, path - TP_PATH_DATA_44 + TP_PATH_DOWN_44, t->want.n_flows);
	if (rc == 0)
		t->has_path[path] = true;
	return rc;
}

static int accounts_new(struct table *t)
{
	const struct tp_accounts_conf ac = {
		.max_accounts = TRAFFIC_SPECS * ACCOUNTS_PER_SPEC,
		.n_tallies = WORLD_TALLIES,
	};

	return tp_accounts_new(&ac, &t->accounts);
}

static int table_new(struct table *t)
{
	int rc = tp_grace_new(READERS_MAX, &t->conf.grace);

	if (rc == 0)
		rc = accounts_new(t);
	if (rc == 0)
		rc = tp_flow_table_new(&t->conf, &t->flows);
	if (rc < 0)
		fprintf(stderr, "no table for %u flows: %s\n", t->conf.max_channel_flows,
				strerror(-rc));
	return rc;
}

int world_open(struct world *world, const struct world_want *want, struct world_table *out)
{
	struct table *t = table_of(world, want);
	int rc = 0;

	if (t->flows == NULL)
		rc = table_new(t);
	if (rc == 0 && !t->has_path[want->path])
		rc = add_path(t, want->path);
	if (rc < 0)
		return rc;
	*out = (struct world_table){ t->flows, t->conf.grace, t->accounts };
	return 0;
}
