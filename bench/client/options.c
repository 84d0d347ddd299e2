/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const values[] = {
	[TP_OPTION_TEXT] = "TEXT",
	[TP_OPTION_ADDR] = "ADDR",
	[TP_OPTION_SOURCES] = "ADDR,...",
	[TP_OPTION_NUMBER] = "N",
	[TP_OPTION_FLAG] = "",
};

static void print_default(const struct tp_option *o)
{
	const char *text;

	if (o->kind == TP_OPTION_NUMBER && *(uint32_t *)o->to != 0)
		printf(" [%u]", *(uint32_t *)o->to);
	if (o->kind != TP_OPTION_TEXT)
		return;
	text = *(const char **)o->to;
	if (text != NULL)
		printf(" [%s]", text);
}

static _Noreturn void help(const char *usage, const struct tp_option table[])
{
	char left[64];

	puts(usage);
	puts("");
	for (const struct tp_option *o = table; o->name != NULL; o++) {
		snprintf(left, sizeof(left), "--%s %s", o->name, values[o->kind]);
		printf("  %-24s %s", left, o->help);
		print_default(o);
		puts("");
	}
	exit(0);
}

static void set_number(const struct tp_option *o, const char *text)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || v < o->min || v > o->max)
		errx(2, "--%s %s: must be a number from %u to %u", o->name, text, o->min, o->max);
	*(uint32_t *)o->to = (uint32_t)v;
}

static void set_addr(const char *name, struct tp_addr *to, const char *text)
{
	if (tp_addr_parse(text, to->port, to) < 0)
		errx(2, "--%s %s: must be an IPv4 or IPv6 address", name, text);
}

static void set_sources(const struct tp_option *o, const char *text)
{
	if (tp_sources_parse(text, o->to) < 0)
		errx(2,
				"--%s %s: must be addresses, or prefixes without host bits, %d at most, "
				"with commas between",
				o->name, text, TP_SOURCES_PREFIXES);
}

static void set(const struct tp_option *o, const char *text)
{
	switch (o->kind) {
	case TP_OPTION_TEXT:
		*(const char **)o->to = text;
		break;
	case TP_OPTION_ADDR:
		set_addr(o->name, o->to, text);
		break;
	case TP_OPTION_SOURCES:
		set_sources(o, text);
		break;
	case TP_OPTION_NUMBER:
		set_number(o, text);
		break;
	case TP_OPTION_FLAG:
		*(uint32_t *)o->to = 1;
		break;
	}
}

static const struct tp_option *find(const struct tp_option table[], const char *arg)
{
	if (strncmp(arg, "--", 2) == 0)
		for (; table->name != NULL; table++)
			if (strcmp(table->name, arg + 2) == 0)
				return table;
	errx(2, "%s: no such option; see --help", arg);
}

void tp_options_parse(int argc, char **argv, const char *usage, const struct tp_option table[])
{
	const struct tp_option *o;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			help(usage, table);
		o = find(table, argv[i]);
		if (o->kind != TP_OPTION_FLAG && ++i == argc)
			errx(2, "--%s needs a value: %s", o->name, values[o->kind]);
		set(o, argv[i]);
	}
}

void tp_server_options_check(struct tp_server_options *s)
{
	if (s->server.family == 0 || s->username == NULL || s->password == NULL ||
			s->sources.n == 0)
		errx(2, "--server, --user, --password and --source are required; see --help");
	s->server.port = (uint16_t)s->port;
}
