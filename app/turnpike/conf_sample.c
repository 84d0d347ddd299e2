/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"
#include "conf_schema.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#define WIDTH 100 /* columns */

static const char preamble[] =
		"Every option, what it means, its unit, range and default.  `turnpike --print-sample` made "
		"this file from the table that also checks it.";

static const char preamble_use[] =
		"The file is read at start, and again by `turnpikectl reload` or SIGHUP, which apply what is "
		"marked `live` and name what else changed: that takes a restart.  `turnpike -t -c FILE` "
		"checks it and prints what it comes to.  A name that is not an option is an error.  Parts "
		"that are commented out are examples.  The file holds secrets: let only root and turnpike "
		"read it.";

/*
 * Words of a text, wrapped, as comment lines.  `lead` stands before the first word, and blanks
 * under it in the lines that follow.
 */
static void put_comment(FILE *out, uint32_t indent, const char *lead, const char *text)
{
	uint32_t hang = (uint32_t)strlen(lead), start = indent + 2 + hang, column = start;
	uint32_t blanks, word;

	fprintf(out, "%*s# %s", (int)indent, "", lead);
	while (*text != '\0') {
		blanks = (uint32_t)strspn(text, " ");
		word = (uint32_t)strcspn(text + blanks, " ");
		if (column + blanks + word > WIDTH) {
			fprintf(out, "\n%*s# %*s", (int)indent, "", (int)hang, "");
			text += blanks;
			blanks = 0;
			column = start;
		}
		fprintf(out, "%.*s", (int)(blanks + word), text);
		column += blanks + word;
		text += blanks + word;
	}
	fputc('\n', out);
}

/* Text in a buffer, cut at its end. */
struct line {
	char text[1024];
	size_t len;
};

static void add(struct line *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line->text + line->len, sizeof(line->text) - line->len, fmt, args);
	va_end(args);
	assert(n >= 0 && line->len + (size_t)n < sizeof(line->text));
	line->len += (size_t)n;
}

static void add_names(struct line *line, const cyaml_strval_t *names)
{
	uint32_t i;

	for (i = 0; names[i].str != NULL; i++)
		add(line, "%s%s",
				i == 0                                     ? ""
						: names[i + 1].str == NULL ? " or "
									   : ", ",
				names[i].str);
}

static void add_kind(struct line *line, const struct tp_conf_option *row)
{
	unsigned long long min = row->min, max = row->max;

	switch (row->type) {
	case TP_CONF_MAPPING:
		add(line, "section");
		break;
	case TP_CONF_LIST:
		add(line, "list of %llu-%llu %s", min, max, row->unit);
		break;
	case TP_CONF_TEXT:
		if (row->unit != NULL)
			add(line, "%s", row->unit);
		else
			add(line, "text of %llu-%llu bytes", min, max);
		break;
	case TP_CONF_UINT:
		add(line, "%s, %llu-%llu", row->unit, min, max);
		break;
	case TP_CONF_BOOL:
		add(line, "true or false");
		break;
	case TP_CONF_ENUM:
		add_names(line, row->names);
		break;
	}
}

/* "[UDP port, 1-65535; default 3478]" */
static void add_facts(struct line *line, const struct tp_conf_option *row)
{
	add(line, "[");
	add_kind(line, row);
	if (row->is_required)
		add(line, "; required");
	else if (row->def != NULL && row->type == TP_CONF_LIST)
		add(line, "; default [ %s ]", row->def);
	else if (row->def != NULL)
		add(line, "; default %s", row->def);
	else
		add(line, "; optional");
	add(line, row->is_live ? "; live]" : "]");
}

/* The options of what the sample shows by an example. */
static void put_members(FILE *out, uint32_t indent, const struct tp_conf_option *rows)
{
	struct line lead, text;

	for (; rows->key != NULL; rows++) {
		lead.len = text.len = 0;
		add(&lead, "  %-9s ", rows->key);
		add(&text, "%s%s", rows->help, rows->help[0] != '\0' ? "  " : "");
		add_facts(&text, rows);
		put_comment(out, indent, lead.text, text.text);
	}
}

/* Lines of YAML, with a mark before each: "" or "#". */
static void put_example(FILE *out, uint32_t indent, const char *mark, const char *example)
{
	size_t len;

	for (; *example != '\0'; example += len + 1) {
		len = strcspn(example, "\n");
		fprintf(out, "%*s%s  %.*s\n", (int)indent, "", mark, (int)len, example);
	}
}

/* NOLINTBEGIN(misc-no-recursion): as deep as the option table */
static void put_option(FILE *out, uint32_t indent, const struct tp_conf_option *row);

static void put_options(FILE *out, uint32_t indent, const struct tp_conf_option *rows)
{
	uint32_t i;

	for (i = 0; rows[i].key != NULL; i++) {
		if (i > 0)
			fputc('\n', out);
		put_option(out, indent, &rows[i]);
	}
}

static void put_option(FILE *out, uint32_t indent, const struct tp_conf_option *row)
{
	const char *mark = row->is_off ? "#" : "";
	bool is_plain = row->type != TP_CONF_MAPPING && row->type != TP_CONF_LIST;
	struct line facts = { .len = 0 };

	put_comment(out, indent, "", row->help);
	add_facts(&facts, row);
	put_comment(out, indent, "", facts.text);
	if (row->type == TP_CONF_LIST && row->rows->type == TP_CONF_MAPPING)
		put_members(out, indent, row->rows->rows);
	else if (row->type == TP_CONF_MAPPING && row->example != NULL)
		put_members(out, indent, row->rows);
	fprintf(out, "%*s%s%s:", (int)indent, "", mark, row->key);
	if (is_plain) {
		fprintf(out, " %s\n", row->example != NULL ? row->example : row->def);
		return;
	}
	fputc('\n', out);
	if (row->example != NULL)
		put_example(out, indent, mark, row->example);
	else
		put_options(out, indent + 2, row->rows);
}
/* NOLINTEND(misc-no-recursion) */

void tp_conf_print_sample(FILE *out)
{
	fputs("# SPDX-License-Identifier: Apache-2.0\n#\n", out);
	put_comment(out, 0, "", preamble);
	fputs("#\n", out);
	put_comment(out, 0, "", preamble_use);
	fputc('\n', out);
	put_options(out, 0, tp_conf_root.rows);
}
