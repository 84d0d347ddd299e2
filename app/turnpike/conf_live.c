/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload may change, and what it may not. */
#include "conf_check.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ABSENT "(absent)"
#define VALUE_MAX 256 /* bytes, shown */

/* ---- what is fixed, as text ---- */

/* One option's value; a byte that is not printable ASCII would break the line. */
static void put_text(FILE *out, const char *path, const char *text)
{
	fprintf(out, "%s\t", path);
	for (; *text != '\0'; text++) {
		uint8_t c = (uint8_t)*text;

		if (c < 0x20 || c > 0x7e)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('\n', out);
}

static void put_uint(FILE *out, const char *path, const char *field, uint32_t size)
{
	uint64_t value = 0;

	switch (size) {
	case sizeof(uint16_t):
		value = *(const uint16_t *)(const void *)field;
		break;
	case sizeof(uint32_t):
		value = *(const uint32_t *)(const void *)field;
		break;
	case sizeof(uint64_t):
		value = *(const uint64_t *)(const void *)field;
		break;
	default:
		assert(false);
	}

	fprintf(out, "%s\t%" PRIu64 "\n", path, value);
}

/* NOLINTBEGIN(misc-no-recursion): as deep as the option table */
static void put_value(
		FILE *out, const char *path, const struct tp_conf_option *row, const char *field);

static void put_rows(
		FILE *out, const char *path, const struct tp_conf_option *rows, const char *base)
{
	for (; rows->key != NULL; rows++) {
		struct tp_conf_path to =
				tp_conf_path("%s%s%s", path, path[0] != '\0' ? "." : "", rows->key);
		const char *field = base + rows->offset;

		if (rows->is_live)
			continue;
		if (rows->type != TP_CONF_LIST) {
			put_value(out, to.text, rows, field);
			continue;
		}
		for (uint32_t i = 0;
				i < *(const uint32_t *)(const void *)(base + rows->count_offset);
				i++)
			put_value(out, tp_conf_path("%s[%u]", to.text, i).text, rows->rows,
					*(char *const *)(const void *)field +
							(size_t)i * rows->size);
	}
}

static void put_value(
		FILE *out, const char *path, const struct tp_conf_option *row, const char *field)
{
	const char *text;

	switch (row->type) {
	case TP_CONF_MAPPING:
		if (row->is_pointer)
			field = *(char *const *)(const void *)field;
		if (field != NULL)
			put_rows(out, path, row->rows, field);
		break;
	case TP_CONF_TEXT:
		text = *(char *const *)(const void *)field;
		assert(!row->is_secret); /* it would be shown */
		if (text != NULL)
			put_text(out, path, text);
		break;
	case TP_CONF_UINT:
		put_uint(out, path, field, row->size);
		break;
	case TP_CONF_BOOL:
		put_text(out, path, *(const bool *)field ? "true" : "false");
		break;
	case TP_CONF_ENUM:
		put_text(out, path,
				tp_conf_enum_name(row->names, *(const int *)(const void *)field));
		break;
	case TP_CONF_LIST: /* put_rows() */
		break;
	}
}
/* NOLINTEND(misc-no-recursion) */

int tp_conf_fixed(const struct tp_conf_raw *raw, char **out)
{
	size_t len;
	FILE *f = open_memstream(out, &len);

	if (f == NULL)
		return -ENOMEM;
	put_rows(f, "", tp_conf_root.rows, (const char *)raw);
	if (fclose(f) == 0)
		return 0;
	free(*out);
	*out = NULL;
	return -ENOMEM;
}

/* ---- differences ---- */

struct line {
	const char *path, *value; /* path ends before the tab, value before the newline */
	size_t path_len, value_len;
};

/* @return what follows the line; NULL: there was none */
static const char *read_line(const char *text, struct line *line)
{
	const char *tab = strchr(text, '\t'), *end = strchr(text, '\n');

	if (tab == NULL || end == NULL)
		return NULL;
	*line = (struct line){ text, tab + 1, (size_t)(tab - text), (size_t)(end - tab - 1) };
	return end + 1;
}

static bool is_same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static bool find_path(const char *text, const struct line *want, struct line *found)
{
	while ((text = read_line(text, found)) != NULL)
		if (is_same(found->path, found->path_len, want->path, want->path_len))
			return true;
	*found = (struct line){ want->path, ABSENT, want->path_len, strlen(ABSENT) };
	return false;
}

static void differ(const struct line *running, const struct line *file,
		void (*differs)(void *ctx, const char *path, const char *running, const char *file),
		void *ctx)
{
	const struct tp_conf_path path =
			tp_conf_path("%.*s", (int)running->path_len, running->path);
	char old[VALUE_MAX], new[VALUE_MAX];

	snprintf(old, sizeof(old), "%.*s", (int)running->value_len, running->value);
	snprintf(new, sizeof(new), "%.*s", (int)file->value_len, file->value);
	differs(ctx, path.text, old, new);
}

void tp_conf_diff(const struct tp_conf *running, const struct tp_conf *file,
		void (*differs)(void *ctx, const char *path, const char *running, const char *file),
		void *ctx)
{
	struct line a, b;
	const char *at;

	if (strcmp(running->fixed, file->fixed) == 0)
		return;
	for (at = running->fixed; (at = read_line(at, &a)) != NULL;)
		if (!find_path(file->fixed, &a, &b) ||
				!is_same(a.value, a.value_len, b.value, b.value_len))
			differ(&a, &b, differs, ctx);
	for (at = file->fixed; (at = read_line(at, &b)) != NULL;)
		if (!find_path(running->fixed, &b, &a))
			differ(&a, &b, differs, ctx);
}

/* ---- what is live ---- */

#define EXCHANGE(a, b, member)                  \
	do {                                    \
		__auto_type was_ = (a)->member; \
		(a)->member = (b)->member;      \
		(b)->member = was_;             \
	} while (0)

void tp_conf_adopt(struct tp_conf *running, struct tp_conf *file)
{
	EXCHANGE(running, file, realm);
	EXCHANGE(running, file, users);
	EXCHANGE(running, file, n_users);
	EXCHANGE(running, file, secrets);
	EXCHANGE(running, file, n_secrets);
	EXCHANGE(running, file, secret_hmac);
	EXCHANGE(running, file, is_expiry_strict);
	EXCHANGE(running, file, n_algorithms);
	for (int i = 0; i < TP_TURN_ALGORITHMS; i++)
		EXCHANGE(running, file, algorithms[i]);
	EXCHANGE(running, file, deny);
	EXCHANGE(running, file, n_deny);
	EXCHANGE(running, file, allow);
	EXCHANGE(running, file, n_allow);
	EXCHANGE(running, file, max_allocations);
	EXCHANGE(running, file, limits);
	EXCHANGE(running, file, has_redirect);
	EXCHANGE(running, file, alternates);
	EXCHANGE(running, file, n_alternates);
	EXCHANGE(running, file, redirect);
	EXCHANGE(running, file, default_family);
	EXCHANGE(running, file, mobility);
}
