/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <assert.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

static const char *const values[] = {
	[TP_OPTION_TEXT] = "TEXT",
	[TP_OPTION_ADDR] = "ADDR",
	[TP_OPTION_NUMBER] = "N",
	[TP_OPTION_NUMBER16] = "N",
	[TP_OPTION_NUMBERS] = "N,...",
	[TP_OPTION_SECONDS] = "S",
	[TP_OPTION_CHOICE] = "WORD",
	[TP_OPTION_SET] = "WORD,...",
	[TP_OPTION_LIST] = "ITEM,...",
	[TP_OPTION_FLAG] = "",
};

static const char *value_name(const struct tp_option *o)
{
	return o->value != NULL ? o->value : values[o->kind];
}

/* ---- help ---- */

static void print_number(const struct tp_option *o, uint32_t v)
{
	if (v >= o->min && v <= o->max)
		printf(" [%u]", v);
}

static void print_numbers(const struct tp_numbers *numbers)
{
	for (uint32_t i = 0; i < numbers->n; i++)
		printf("%s%u", i == 0 ? " [" : ",", numbers->v[i]);
	if (numbers->n > 0)
		putchar(']');
}

static void print_word(const char *words, uint32_t place)
{
	while (place-- > 0)
		words += strcspn(words, "|") + 1;
	printf(" [%.*s]", (int)strcspn(words, "|"), words);
}

static void print_default(const struct tp_option *o)
{
	switch (o->kind) {
	case TP_OPTION_TEXT:
		if (*(const char **)o->to != NULL)
			printf(" [%s]", *(const char **)o->to);
		break;
	case TP_OPTION_NUMBER:
		print_number(o, *(uint32_t *)o->to);
		break;
	case TP_OPTION_NUMBER16:
		print_number(o, *(uint16_t *)o->to);
		break;
	case TP_OPTION_NUMBERS:
		print_numbers(o->to);
		break;
	case TP_OPTION_SECONDS:
		printf(" [%g]", *(double *)o->to);
		break;
	case TP_OPTION_CHOICE:
		print_word(o->value, *(uint32_t *)o->to);
		break;
	case TP_OPTION_ADDR:
	case TP_OPTION_SET:
	case TP_OPTION_LIST:
	case TP_OPTION_FLAG:
		break;
	}
}

static _Noreturn void help(const char *usage, const struct tp_option table[])
{
	char left[64];

	puts(usage);
	puts("");
	for (const struct tp_option *o = table; o->name != NULL; o++) {
		snprintf(left, sizeof(left), "--%s %s", o->name, value_name(o));
		printf("  %-24s  %s", left, o->help);
		if (o->is_required)
			printf(" (required)");
		else
			print_default(o);
		puts("");
	}
	exit(0);
}

/* ---- values ---- */

bool tp_number_parse(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || v < min || v > max)
		return false;
	*out = (uint32_t)v;
	return true;
}

bool tp_seconds_parse(const char *text, uint32_t min, uint32_t max, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (*text < '0' || *text > '9' || *end != '\0' || v < min || v > max)
		return false;
	*out = v;
	return true;
}

bool tp_numbers_add(struct tp_numbers *numbers, uint32_t v)
{
	if (numbers->n == TP_NUMBERS_MAX)
		return false;
	numbers->v[numbers->n++] = v;
	return true;
}

static bool find_word(const char *words, const char *text, uint32_t *place)
{
	size_t len = strcspn(words, "|");
	uint32_t i = 0;

	while (strlen(text) != len || memcmp(text, words, len) != 0) {
		if (words[len] == '\0')
			return false;
		words += len + 1;
		len = strcspn(words, "|");
		i++;
	}
	*place = i;
	return true;
}

/* A whole value, or one item of several. */
static bool take(const struct tp_option *o, const char *text)
{
	struct tp_addr *addr = o->to;
	uint32_t v;

	switch (o->kind) {
	case TP_OPTION_TEXT:
		*(const char **)o->to = text;
		return true;
	case TP_OPTION_ADDR:
		return tp_addr_parse(text, addr->port, addr) == 0;
	case TP_OPTION_NUMBER:
		return tp_number_parse(text, o->min, o->max, o->to);
	case TP_OPTION_NUMBER16:
		if (!tp_number_parse(text, o->min, o->max, &v))
			return false;
		*(uint16_t *)o->to = (uint16_t)v;
		return true;
	case TP_OPTION_NUMBERS:
		return tp_number_parse(text, o->min, o->max, &v) && tp_numbers_add(o->to, v);
	case TP_OPTION_SECONDS:
		return tp_seconds_parse(text, o->min, o->max, o->to);
	case TP_OPTION_CHOICE:
		return find_word(o->value, text, o->to);
	case TP_OPTION_SET:
		if (!find_word(o->value, text, &v))
			return false;
		*(uint32_t *)o->to |= 1u << v;
		return true;
	case TP_OPTION_LIST:
		return o->add(o->to, text);
	case TP_OPTION_FLAG:
		*(bool *)o->to = true;
		return true;
	}
	return false;
}

static _Noreturn void refuse(const struct tp_option *o, const char *text)
{
	switch (o->kind) {
	case TP_OPTION_ADDR:
		errx(2, "--%s %s: must be an IPv4 or IPv6 address", o->name, text);
	case TP_OPTION_CHOICE:
	case TP_OPTION_SET:
		errx(2, "--%s %s: must be one of %s", o->name, text, o->value);
	case TP_OPTION_LIST:
		errx(2, "--%s %s: must be %s", o->name, text, o->must_be);
	case TP_OPTION_NUMBERS:
		errx(2, "--%s %s: must be numbers from %u to %u, %d at most, with commas between",
				o->name, text, o->min, o->max, TP_NUMBERS_MAX);
	default:
		errx(2, "--%s %s: must be a number from %u to %u", o->name, text, o->min, o->max);
	}
}

static void set(const struct tp_option *o, char *text)
{
	const char *separators = "";
	char *item;

	if (o->kind == TP_OPTION_NUMBERS)
		((struct tp_numbers *)o->to)->n = 0;
	if (o->kind == TP_OPTION_SET)
		*(uint32_t *)o->to = 0;
	if (o->kind == TP_OPTION_NUMBERS || o->kind == TP_OPTION_SET || o->kind == TP_OPTION_LIST)
		separators = ",";
	while ((item = strsep(&text, separators)) != NULL)
		if (!take(o, item))
			refuse(o, item);
}

/* ---- the command line ---- */

/* @return the place in the table of what stands before the = in an argument, if there is one */
static uint32_t find(const struct tp_option table[], const char *arg)
{
	size_t len = strcspn(arg, "=");

	for (uint32_t i = 0; len > 2 && table[i].name != NULL; i++)
		if (strncmp(arg, "--", 2) == 0 && strlen(table[i].name) == len - 2 &&
				memcmp(table[i].name, arg + 2, len - 2) == 0)
			return i;
	errx(2, "%s: no such option; see --help", arg);
}

/* @return the text behind the = or in the next argument, which then is taken */
static char *value_of(const struct tp_option *o, int argc, char **argv, int *at)
{
	char *value = strchr(argv[*at], '=');

	if (o->kind == TP_OPTION_FLAG && value != NULL)
		errx(2, "--%s takes no value", o->name);
	if (value != NULL)
		return value + 1;
	if (o->kind != TP_OPTION_FLAG && ++*at == argc)
		errx(2, "--%s needs a value: %s", o->name, value_name(o));
	return argv[*at];
}

void tp_options_parse(int argc, char **argv, const char *usage, const struct tp_option table[])
{
	uint64_t given = 0;
	uint32_t i;

	for (int at = 1; at < argc; at++) {
		if (strcmp(argv[at], "--help") == 0)
			help(usage, table);
		i = find(table, argv[at]);
		assert(i < 64);
		given |= 1ull << i;
		set(&table[i], value_of(&table[i], argc, argv, &at));
	}
	for (i = 0; table[i].name != NULL; i++)
		if (table[i].is_required && (given & 1ull << i) == 0)
			errx(2, "--%s is required; see --help", table[i].name);
}
