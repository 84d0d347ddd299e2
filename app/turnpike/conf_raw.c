/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_check.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/integrity.h"

#define MAX_FIELDS 128 /* options, and one end for each mapping */
#define MAX_ITEMS 16  /* lists */

/*
 * libcyaml's schema, made from the option table.  Everything is optional in it: what is required
 * was checked before, with a position.
 */
struct schema {
	struct cyaml_schema_value root;
	struct cyaml_schema_field fields[MAX_FIELDS];
	struct cyaml_schema_value items[MAX_ITEMS];
	uint32_t n_fields, n_items;
};

/* cyaml_mem() is realloc() and free(): what we allocate, cyaml_free() may free. */
static const cyaml_config_t config = {
	.log_fn = NULL,
	.mem_fn = cyaml_mem,
	.flags = CYAML_CFG_NO_ALIAS,
};

/* NOLINTBEGIN(misc-no-recursion): as deep as the option table */
static struct cyaml_schema_value make_value(
		struct schema *schema, const struct tp_conf_option *row);

static const struct cyaml_schema_field *make_fields(
		struct schema *schema, const struct tp_conf_option *rows)
{
	struct cyaml_schema_field *fields = &schema->fields[schema->n_fields];
	uint32_t i, n = 0;

	while (rows[n].key != NULL)
		n++;
	schema->n_fields += n + 1;
	assert(schema->n_fields <= MAX_FIELDS);
	for (i = 0; i < n; i++)
		fields[i] = (struct cyaml_schema_field){
			.key = rows[i].key,
			.data_offset = rows[i].offset,
			.count_offset = rows[i].count_offset,
			.count_size = sizeof(uint32_t),
			.value = make_value(schema, &rows[i]),
		};
	return fields;
}

static const struct cyaml_schema_value *make_item(
		struct schema *schema, const struct tp_conf_option *list)
{
	struct cyaml_schema_value *item = &schema->items[schema->n_items++];

	assert(schema->n_items <= MAX_ITEMS);
	*item = make_value(schema, list->rows);
	if (item->type == CYAML_MAPPING)
		item->data_size = list->size;
	return item;
}

static uint32_t count_names(const cyaml_strval_t *names)
{
	uint32_t n = 0;

	while (names[n].str != NULL)
		n++;
	return n;
}

static struct cyaml_schema_value make_value(struct schema *schema, const struct tp_conf_option *row)
{
	static const enum cyaml_type type[] = {
		[TP_CONF_MAPPING] = CYAML_MAPPING,
		[TP_CONF_LIST] = CYAML_SEQUENCE,
		[TP_CONF_TEXT] = CYAML_STRING,
		[TP_CONF_UINT] = CYAML_UINT,
		[TP_CONF_BOOL] = CYAML_BOOL,
		[TP_CONF_ENUM] = CYAML_ENUM,
	};
	struct cyaml_schema_value value = {
		.type = type[row->type],
		.flags = CYAML_FLAG_OPTIONAL | (row->is_pointer ? CYAML_FLAG_POINTER : 0),
		.data_size = row->size,
	};

	if (row->type == TP_CONF_MAPPING) {
		value.mapping.fields = make_fields(schema, row->rows);
	} else if (row->type == TP_CONF_LIST) {
		value.flags |= CYAML_FLAG_POINTER;
		value.sequence.entry = make_item(schema, row);
		value.sequence.max = CYAML_UNLIMITED;
	} else if (row->type == TP_CONF_TEXT) {
		value.flags |= CYAML_FLAG_POINTER;
		value.data_size = sizeof(char);
		value.string.max = CYAML_UNLIMITED;
	} else if (row->type == TP_CONF_ENUM) {
		value.flags |= CYAML_FLAG_STRICT;
		value.enumeration.strings = row->names;
		value.enumeration.count = count_names(row->names);
	}
	return value;
}
/* NOLINTEND(misc-no-recursion) */

static void make_schema(struct schema *schema)
{
	memset(schema, 0, sizeof(*schema)); /* so each mapping's fields end with a NULL key */
	schema->root = make_value(schema, &tp_conf_root);
}

static int set_text(char **field, const char *text)
{
	*field = strdup(text);
	return *field != NULL ? 0 : -ENOMEM;
}

/* A list of the one text. */
static int set_list(char *base, const struct tp_conf_option *row)
{
	char **list = calloc(1, sizeof(*list));

	if (list == NULL)
		return -ENOMEM;
	*(char ***)(void *)(base + row->offset) = list;
	*(uint32_t *)(void *)(base + row->count_offset) = 1;
	return set_text(list, row->def);
}

static void set_uint(char *field, uint32_t size, uint64_t value)
{
	if (size == sizeof(uint16_t))
		*(uint16_t *)(void *)field = (uint16_t)value;
	else if (size == sizeof(uint32_t))
		*(uint32_t *)(void *)field = (uint32_t)value;
	else
		*(uint64_t *)(void *)field = value;
}

static void set_enum(char *field, const struct tp_conf_option *row)
{
	const cyaml_strval_t *name = row->names;

	while (strcmp(name->str, row->def) != 0)
		name++;
	*(int *)(void *)field = (int)name->val;
}

static int set_default(char *base, const struct tp_conf_option *row)
{
	char *field = base + row->offset;

	switch (row->type) {
	case TP_CONF_LIST:
		return set_list(base, row);
	case TP_CONF_TEXT:
		return set_text((char **)(void *)field, row->def);
	case TP_CONF_UINT:
		assert(row->size == sizeof(uint16_t) || row->size == sizeof(uint32_t) ||
				row->size == sizeof(uint64_t));
		set_uint(field, row->size, strtoull(row->def, NULL, 10));
		break;
	case TP_CONF_BOOL:
		*(bool *)field = strcmp(row->def, "true") == 0;
		break;
	case TP_CONF_ENUM:
		set_enum(field, row);
		break;
	case TP_CONF_MAPPING:
		break;
	}
	return 0;
}

/* NOLINTBEGIN(misc-no-recursion): as deep as the option table */
static int fill(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *rows, char *base);

static int fill_items(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *row, char *base)
{
	char *items = *(char **)(void *)(base + row->offset);
	uint32_t i, n = *(uint32_t *)(void *)(base + row->count_offset);
	int err = 0;

	for (i = 0; i < n && err == 0; i++)
		err = fill(file, tp_conf_file_item(file, node, i), row->rows->rows,
				items + (size_t)i * row->size);
	return err;
}

static int fill_one(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *row, char *base)
{
	char *field = base + row->offset;

	if (row->type == TP_CONF_MAPPING && !row->is_pointer)
		return fill(file, node, row->rows, field);
	if (row->type == TP_CONF_MAPPING && node != NULL)
		return fill(file, node, row->rows, *(char **)(void *)field);
	if (row->type == TP_CONF_LIST && row->rows->type == TP_CONF_MAPPING)
		return fill_items(file, node, row, base);
	if (node == NULL && row->def != NULL)
		return set_default(base, row);
	return 0;
}

/* Give every option that is absent in the document its default. */
static int fill(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *rows, char *base)
{
	int err = 0;

	for (; rows->key != NULL && err == 0; rows++)
		err = fill_one(file, tp_conf_file_get(file, node, rows->key), rows, base);
	return err;
}
/* NOLINTEND(misc-no-recursion) */

int tp_conf_raw_load(struct tp_conf_file *file, struct tp_conf_raw **out)
{
	cyaml_data_t *raw = NULL;
	struct schema schema;
	cyaml_err_t err;

	make_schema(&schema);
	err = cyaml_load_data(file->data, file->len, &config, &schema.root, &raw, NULL);
	/* It is YAML, as we know, so only for want of memory can libyaml not parse it. */
	if (err == CYAML_ERR_OOM || err == CYAML_ERR_LIBYAML_PARSER ||
			err == CYAML_ERR_LIBYAML_PARSER_INIT)
		return -ENOMEM;
	if (err != CYAML_OK) {
		tp_conf_error_node(file, NULL, NULL, "", "libcyaml: %s", cyaml_strerror(err));
		return -EINVAL;
	}
	if (fill(file, yaml_document_get_root_node(&file->doc), tp_conf_root.rows, raw) < 0) {
		tp_conf_raw_free(raw);
		return -ENOMEM;
	}
	*out = raw;
	return 0;
}

static void wipe(char *text)
{
	if (text != NULL)
		tp_secret_wipe(text, strlen(text));
}

void tp_conf_raw_free(struct tp_conf_raw *raw)
{
	struct schema schema;
	uint32_t i;

	if (raw == NULL)
		return;
	for (i = 0; i < raw->auth.n_users; i++) {
		wipe(raw->auth.users[i].password);
		wipe(raw->auth.users[i].key);
		wipe(raw->auth.users[i].key_sha256);
	}
	for (i = 0; i < raw->auth.n_secrets; i++)
		wipe(raw->auth.secrets[i]);
	make_schema(&schema);
	cyaml_free(&config, &schema.root, raw, 0);
}
