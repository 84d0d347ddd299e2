/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/integrity.h"

#define SHOWN_BYTES 64 /* of a value, in an error */

struct tp_conf_path tp_conf_path(const char *fmt, ...)
{
	struct tp_conf_path path;
	va_list args;

	va_start(args, fmt);
	vsnprintf(path.text, sizeof(path.text), fmt, args);
	va_end(args);
	return path;
}

/* For a terminal: printable ASCII only, and not too much of it. */
static void put_text(FILE *out, const char *text, size_t len, size_t max_len)
{
	size_t i;

	for (i = 0; i < len && i < max_len; i++) {
		uint8_t c = (uint8_t)text[i];

		if (c < 0x20 || c > 0x7e)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	if (i < len)
		fputs("...", out);
}

/* @return whether the error is to be printed */
static bool count_error(struct tp_conf_file *file)
{
	return ++file->n_errors <= TP_CONF_FILE_MAX_ERRORS;
}

static void error_at_line(struct tp_conf_file *file, size_t line, const char *fmt, ...)
		__attribute__((format(printf, 3, 4)));

/* An error of the YAML itself; line 0: not known. */
static void error_at_line(struct tp_conf_file *file, size_t line, const char *fmt, ...)
{
	va_list args;

	if (!count_error(file))
		return;
	fputs(file->path, file->err);
	if (line > 0)
		fprintf(file->err, ":%zu", line);
	fputs(": ", file->err);
	va_start(args, fmt);
	vfprintf(file->err, fmt, args);
	va_end(args);
	fputc('\n', file->err);
}

static void put_value(FILE *err, const yaml_node_t *node, const struct tp_conf_option *row)
{
	if (node == NULL) {
		if (row->def != NULL)
			fprintf(err, "%s (default): ", row->def);
		return;
	}
	if (node->type != YAML_SCALAR_NODE)
		return;
	if (row->is_secret)
		fputs("(hidden)", err);
	else if (node->data.scalar.length == 0)
		fputs("\"\"", err);
	else
		put_text(err, (const char *)node->data.scalar.value, node->data.scalar.length,
				SHOWN_BYTES);
	fputs(": ", err);
}

static void put_error(struct tp_conf_file *file, size_t line, const yaml_node_t *node,
		const struct tp_conf_option *row, const char *path, const char *fmt, va_list args)
{
	fputs(file->path, file->err);
	if (line > 0)
		fprintf(file->err, ":%zu", line);
	fputs(": ", file->err);
	if (path[0] != '\0') {
		put_text(file->err, path, strlen(path), sizeof(struct tp_conf_path));
		fputs(": ", file->err);
	}
	if (row != NULL)
		put_value(file->err, node, row);
	vfprintf(file->err, fmt, args);
	fputc('\n', file->err);
}

void tp_conf_error_node(struct tp_conf_file *file, const yaml_node_t *node,
		const struct tp_conf_option *row, const char *path, const char *fmt, ...)
{
	va_list args;

	if (!count_error(file))
		return;
	va_start(args, fmt);
	put_error(file, node != NULL ? node->start_mark.line + 1 : 0, node,
			node != NULL ? row : NULL, path, fmt, args);
	va_end(args);
}

/* Where a path leads. */
struct place {
	const yaml_node_t *node; /* NULL: absent */
	const yaml_node_t *near; /* the node, or the closest one that holds its place */
	const struct tp_conf_option *row;
};

static const struct tp_conf_option *find_row(
		const struct tp_conf_option *rows, const char *key, size_t len)
{
	for (; rows->key != NULL; rows++) {
		if (strlen(rows->key) == len && memcmp(rows->key, key, len) == 0)
			return rows;
	}
	return NULL;
}

/* One step of a path: "[3]" or "key". */
static const char *step(struct tp_conf_file *file, const char *path, struct place *at)
{
	size_t len;
	char *end;

	if (*path == '[') {
		at->node = tp_conf_file_item(file, at->node, (uint32_t)strtoul(path + 1, &end, 10));
		at->row = at->row->rows;
		path = end + 1;
	} else {
		len = strcspn(path, ".[");
		at->row = find_row(at->row->rows, path, len);
		at->node = at->row != NULL ? tp_conf_file_get(file, at->node, at->row->key) : NULL;
		path += len;
	}
	if (at->node != NULL)
		at->near = at->node;
	return *path == '.' ? path + 1 : path;
}

void tp_conf_error(struct tp_conf_file *file, const char *path, const char *fmt, ...)
{
	const yaml_node_t *root = yaml_document_get_root_node(&file->doc);
	struct place at = { root, root, &tp_conf_root };
	const char *rest = path;
	va_list args;

	if (!count_error(file))
		return;
	while (*rest != '\0' && at.row != NULL)
		rest = step(file, rest, &at);
	va_start(args, fmt);
	put_error(file, at.near != NULL ? at.near->start_mark.line + 1 : 0, at.node, at.row, path,
			fmt, args);
	va_end(args);
}

yaml_node_t *tp_conf_file_get(struct tp_conf_file *file, const yaml_node_t *node, const char *key)
{
	const yaml_node_pair_t *pair;
	const yaml_node_t *name;

	if (node == NULL || node->type != YAML_MAPPING_NODE)
		return NULL;
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		name = yaml_document_get_node(&file->doc, pair->key);
		if (name->type == YAML_SCALAR_NODE &&
				strcmp((const char *)name->data.scalar.value, key) == 0)
			return yaml_document_get_node(&file->doc, pair->value);
	}
	return NULL;
}

yaml_node_t *tp_conf_file_item(struct tp_conf_file *file, const yaml_node_t *node, uint32_t i)
{
	const yaml_node_item_t *start;

	if (node == NULL || node->type != YAML_SEQUENCE_NODE)
		return NULL;
	start = node->data.sequence.items.start;
	if (i >= (size_t)(node->data.sequence.items.top - start))
		return NULL;
	return yaml_document_get_node(&file->doc, start[i]);
}

/* The reader knows bytes, not lines. */
static size_t line_of_byte(const struct tp_conf_file *file, size_t offset)
{
	size_t i, line = 1;

	for (i = 0; i < offset && i < file->len; i++)
		line += file->data[i] == '\n';
	return line;
}

/* libyaml's sentences hold nothing of the file's contents; without one, memory is out. */
static int error_syntax(struct tp_conf_file *file, const yaml_parser_t *parser)
{
	if (parser->error == YAML_MEMORY_ERROR || parser->problem == NULL)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		error_at_line(file, line_of_byte(file, parser->problem_offset),
				"not YAML: %s (byte %zu of the file)", parser->problem,
				parser->problem_offset);
	else if (parser->context != NULL)
		error_at_line(file, parser->problem_mark.line + 1,
				"not YAML: column %zu: %s %s that began in line %zu",
				parser->problem_mark.column + 1, parser->problem, parser->context,
				parser->context_mark.line + 1);
	else
		error_at_line(file, parser->problem_mark.line + 1, "not YAML: column %zu: %s",
				parser->problem_mark.column + 1, parser->problem);
	return -EINVAL;
}

/* What a document may not contain, seen in its stream of events. */
struct scan {
	uint32_t depth, n_docs;
};

/* @return what is wrong with the event, or NULL */
static const char *scan_event(struct scan *scan, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++scan->n_docs > 1)
			return "a second document: there must be only one";
		break;
	case YAML_ALIAS_EVENT:
		return "aliases (*name) are not allowed";
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (++scan->depth > TP_CONF_FILE_MAX_DEPTH)
			return "nested too deeply";
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		scan->depth--;
		break;
	case YAML_SCALAR_EVENT:
		if (memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL)
			return "a text with a NUL byte";
		break;
	default:
		break;
	}
	return NULL;
}

static void event_delete(yaml_event_t *event)
{
	if (event->type == YAML_SCALAR_EVENT)
		tp_secret_wipe(event->data.scalar.value, event->data.scalar.length);
	yaml_event_delete(event);
}

static int scan_events(struct tp_conf_file *file, yaml_parser_t *parser)
{
	struct scan scan = { 0, 0 };
	const char *wrong = NULL;
	bool is_end = false;
	yaml_event_t event;

	while (!is_end && wrong == NULL) {
		if (!yaml_parser_parse(parser, &event))
			return error_syntax(file, parser);
		wrong = scan_event(&scan, &event);
		if (wrong != NULL)
			error_at_line(file, event.start_mark.line + 1, "%s", wrong);
		is_end = event.type == YAML_STREAM_END_EVENT;
		event_delete(&event);
	}
	return wrong == NULL ? 0 : -EINVAL;
}

static int build_document(struct tp_conf_file *file, yaml_parser_t *parser)
{
	if (!yaml_parser_load(parser, &file->doc))
		return error_syntax(file, parser);
	file->has_doc = true;
	return 0;
}

static int with_parser(struct tp_conf_file *file,
		int (*use)(struct tp_conf_file *file, yaml_parser_t *parser))
{
	yaml_parser_t parser;
	int err;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, file->data, file->len);
	err = use(file, &parser);
	yaml_parser_delete(&parser);
	return err;
}

/* Not stdio, whose buffer would keep a copy of the secrets. */
static int read_all(int fd, struct tp_conf_file *file)
{
	ssize_t n;

	file->data = malloc(TP_CONF_FILE_MAX_BYTES + 1);
	if (file->data == NULL)
		return -ENOMEM;
	do {
		n = read(fd, file->data + file->len, TP_CONF_FILE_MAX_BYTES + 1 - file->len);
		if (n < 0 && errno != EINTR)
			return -errno;
		file->len += n > 0 ? (size_t)n : 0;
		if (file->len > TP_CONF_FILE_MAX_BYTES)
			return -EFBIG;
	} while (n != 0);
	return 0;
}

static int read_file(struct tp_conf_file *file)
{
	int err, fd = open(file->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	err = read_all(fd, file);
	close(fd);
	return err;
}

int tp_conf_file_open(struct tp_conf_file *file, const char *path, FILE *err)
{
	int ret;

	*file = (struct tp_conf_file){ .path = path, .err = err };
	ret = read_file(file);
	if (ret == 0)
		ret = with_parser(file, scan_events);
	if (ret == 0)
		ret = with_parser(file, build_document);
	return ret;
}

static void wipe_document(yaml_document_t *doc)
{
	yaml_node_t *node;

	for (node = doc->nodes.start; node < doc->nodes.top; node++) {
		if (node->type == YAML_SCALAR_NODE)
			tp_secret_wipe(node->data.scalar.value, node->data.scalar.length);
	}
	yaml_document_delete(doc);
}

void tp_conf_file_close(struct tp_conf_file *file)
{
	if (file->n_errors > TP_CONF_FILE_MAX_ERRORS)
		fprintf(file->err, "%s: %u more errors\n", file->path,
				file->n_errors - TP_CONF_FILE_MAX_ERRORS);
	if (file->has_doc)
		wipe_document(&file->doc);
	if (file->data != NULL)
		tp_secret_wipe(file->data, file->len);
	free(file->data);
}
