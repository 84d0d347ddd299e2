/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_check.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROWS 24 /* options of one mapping; the file's own are the most */

static void check(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *row, const char *path);

static const char *text_of(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

/* Nothing after the colon, or YAML's words for it. */
static bool is_null(const yaml_node_t *node)
{
	const char *text;

	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	text = text_of(node);
	return text[0] == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

static struct tp_conf_path join(const char *path, const char *key)
{
	return path[0] == '\0' ? tp_conf_path("%s", key) : tp_conf_path("%s.%s", path, key);
}

/* Letters to change, add or drop to make one word of the other; words over 31 letters: many. */
static uint32_t distance(const char *a, const char *b)
{
	uint32_t n_a = (uint32_t)strlen(a), n_b = (uint32_t)strlen(b);
	uint32_t row[32], diagonal, above, i, j;

	if (n_a > 31 || n_b > 31)
		return UINT32_MAX;
	for (j = 0; j <= n_b; j++)
		row[j] = j;
	for (i = 1; i <= n_a; i++) {
		diagonal = row[0];
		row[0] = i;
		for (j = 1; j <= n_b; j++) {
			above = row[j];
			row[j] = diagonal + (a[i - 1] != b[j - 1]);
			if (above + 1 < row[j])
				row[j] = above + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			diagonal = above;
		}
	}
	return row[n_b];
}

/* @return the option that was probably meant, or NULL */
static const struct tp_conf_option *guess(const struct tp_conf_option *rows, const char *key)
{
	const struct tp_conf_option *best = NULL;
	uint32_t d, best_d = UINT32_MAX;

	for (; rows->key != NULL; rows++) {
		d = distance(rows->key, key);
		if (d < best_d && d <= strlen(rows->key) / 2 && d <= 2) {
			best = rows;
			best_d = d;
		}
	}
	return best;
}

static void append(char *list, size_t size, const char *what, bool is_last)
{
	size_t len = strlen(list);

	snprintf(list + len, size - len, "%s%s", len == 0 ? "" : is_last ? " or " : ", ", what);
}

static void error_unknown(struct tp_conf_file *file, const yaml_node_t *key,
		const struct tp_conf_option *rows, const char *path)
{
	const struct tp_conf_option *meant = guess(rows, text_of(key)), *row;
	char list[512] = "";

	if (meant != NULL) {
		tp_conf_error_node(file, key, NULL, path, "unknown option (did you mean %s?)",
				meant->key);
		return;
	}
	for (row = rows; row->key != NULL; row++)
		append(list, sizeof(list), row->key, false);
	tp_conf_error_node(file, key, NULL, path, "unknown option (there are: %s)", list);
}

/* NOLINTBEGIN(misc-no-recursion): as deep as the option table */
/* first[i]: where the key of row i stood first. */
static void check_pair(struct tp_conf_file *file, const yaml_node_pair_t *pair,
		const struct tp_conf_option *rows, const char *path, const yaml_node_t *first[])
{
	const yaml_node_t *key = yaml_document_get_node(&file->doc, pair->key);
	const yaml_node_t *value = yaml_document_get_node(&file->doc, pair->value);
	struct tp_conf_path full;
	uint32_t i;

	if (key->type != YAML_SCALAR_NODE) {
		tp_conf_error_node(file, key, NULL, path, "an option's name must be text");
		return;
	}
	full = join(path, text_of(key));
	for (i = 0; rows[i].key != NULL && strcmp(rows[i].key, text_of(key)) != 0; i++)
		;
	if (rows[i].key == NULL) {
		error_unknown(file, key, rows, full.text);
	} else if (first[i] != NULL) {
		tp_conf_error_node(file, key, NULL, full.text, "given twice, first in line %zu",
				first[i]->start_mark.line + 1);
	} else {
		first[i] = key;
		check(file, value, &rows[i], full.text);
	}
}

/* node NULL: an empty file */
static void check_mapping(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *rows, const char *path)
{
	const yaml_node_t *first[MAX_ROWS] = { NULL };
	const yaml_node_pair_t *pair;
	uint32_t i;

	if (node != NULL) {
		for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
				pair++)
			check_pair(file, pair, rows, path, first);
	}
	for (i = 0; rows[i].key != NULL; i++) {
		assert(i < MAX_ROWS);
		if (rows[i].is_required && first[i] == NULL)
			tp_conf_error_node(file, path[0] != '\0' ? node : NULL, NULL,
					join(path, rows[i].key).text, "missing, and required");
	}
}

static void check_list(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *row, const char *path)
{
	uint64_t n = (uint64_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	uint32_t i;

	if (n < row->min || n > row->max) {
		tp_conf_error_node(file, node, row, path, "%llu entries: must be %llu-%llu",
				(unsigned long long)n, (unsigned long long)row->min,
				(unsigned long long)row->max);
		return;
	}
	for (i = 0; i < n; i++)
		check(file, tp_conf_file_item(file, node, i), row->rows,
				tp_conf_path("%s[%u]", path, i).text);
}

static void check_text(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *row, const char *path)
{
	size_t len = node->data.scalar.length;
	const char *wrong = row->check != NULL ? row->check(text_of(node)) : NULL;

	if (wrong == NULL && (len < row->min || len > row->max))
		tp_conf_error_node(file, node, row, path, "must be %llu-%llu bytes",
				(unsigned long long)row->min, (unsigned long long)row->max);
	else if (wrong != NULL)
		tp_conf_error_node(file, node, row, path, "%s", wrong);
}

/* Plain decimal: libcyaml would take 010 for eight. */
static bool parse_uint(const char *text, uint64_t *out)
{
	size_t len = strlen(text);

	if (len == 0 || len > 18 || strspn(text, "0123456789") != len ||
			(text[0] == '0' && len > 1))
		return false;
	*out = strtoull(text, NULL, 10);
	return true;
}

static void check_uint(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *row, const char *path)
{
	uint64_t value;

	if (!parse_uint(text_of(node), &value))
		tp_conf_error_node(file, node, row, path, "must be a whole number, %llu-%llu",
				(unsigned long long)row->min, (unsigned long long)row->max);
	else if (value < row->min || value > row->max)
		tp_conf_error_node(file, node, row, path, "must be %llu-%llu",
				(unsigned long long)row->min, (unsigned long long)row->max);
}

static void check_bool(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *row, const char *path)
{
	if (strcmp(text_of(node), "true") != 0 && strcmp(text_of(node), "false") != 0)
		tp_conf_error_node(file, node, row, path, "must be true or false");
}

static void check_enum(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *row, const char *path)
{
	const cyaml_strval_t *name;
	char list[128] = "";

	for (name = row->names; name->str != NULL; name++) {
		if (strcmp(name->str, text_of(node)) == 0)
			return;
		append(list, sizeof(list), name->str, name[1].str == NULL);
	}
	tp_conf_error_node(file, node, row, path, "must be %s", list);
}

static void check(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *row, const char *path)
{
	static const struct {
		yaml_node_type_t node;
		const char *must;
	} want[] = {
		[TP_CONF_MAPPING] = { YAML_MAPPING_NODE, "must be a mapping of options" },
		[TP_CONF_LIST] = { YAML_SEQUENCE_NODE, "must be a list" },
		[TP_CONF_TEXT] = { YAML_SCALAR_NODE, "must be text" },
		[TP_CONF_UINT] = { YAML_SCALAR_NODE, "must be a number" },
		[TP_CONF_BOOL] = { YAML_SCALAR_NODE, "must be true or false" },
		[TP_CONF_ENUM] = { YAML_SCALAR_NODE, "must be one word" },
	};

	if (is_null(node)) {
		tp_conf_error_node(
				file, node, NULL, path, "has no value: %s", want[row->type].must);
		return;
	}
	if (node->type != want[row->type].node) {
		tp_conf_error_node(file, node, row, path, "%s", want[row->type].must);
		return;
	}
	switch (row->type) {
	case TP_CONF_MAPPING:
		check_mapping(file, node, row->rows, path);
		break;
	case TP_CONF_LIST:
		check_list(file, node, row, path);
		break;
	case TP_CONF_TEXT:
		check_text(file, node, row, path);
		break;
	case TP_CONF_UINT:
		check_uint(file, node, row, path);
		break;
	case TP_CONF_BOOL:
		check_bool(file, node, row, path);
		break;
	case TP_CONF_ENUM:
		check_enum(file, node, row, path);
		break;
	}
}
/* NOLINTEND(misc-no-recursion) */

void tp_conf_check_document(struct tp_conf_file *file)
{
	const yaml_node_t *root = yaml_document_get_root_node(&file->doc);

	if (root == NULL || is_null(root))
		check_mapping(file, NULL, tp_conf_root.rows, "");
	else
		check(file, root, &tp_conf_root, "");
}
