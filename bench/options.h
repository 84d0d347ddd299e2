/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options - command lines of the programs here: one table that parses, checks and explains.
 *
 * An option is --NAME VALUE or --NAME=VALUE; the last one counts, but for TP_OPTION_LIST.  What an
 * option points to holds its default, which --help shows if it could have been given.
 *
 * Memory: texts are argv's; lists are cut up there.
 */
#ifndef TP_BENCH_OPTIONS_H
#define TP_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum tp_option_kind {
	TP_OPTION_TEXT,     /* const char * */
	TP_OPTION_ADDR,     /* struct tp_addr; the port stays as it was */
	TP_OPTION_NUMBER,   /* uint32_t or int, from min to max */
	TP_OPTION_NUMBER16, /* uint16_t, the same */
	TP_OPTION_NUMBERS,  /* struct tp_numbers: one or more, with commas between */
	TP_OPTION_SECONDS,  /* double, from min to max */
	TP_OPTION_CHOICE,   /* uint32_t: the place of a word in `value`, from 0 */
	TP_OPTION_SET,      /* uint32_t: a bit for each place; words with commas between */
	TP_OPTION_LIST,     /* what add() takes, item by item, with commas between */
	TP_OPTION_FLAG,     /* bool */
};

struct tp_option {
	const char *name; /* without the dashes; NULL ends the table */
	enum tp_option_kind kind;
	void *to;
	uint32_t min, max; /* of numbers and seconds */
	const char *help;

	bool is_required;
	const char *value; /* as --help calls it; of a choice or a set its words: "up|down" */
	bool (*add)(void *to, const char *item); /* of a list; false: the item is not `must_be` */
	const char *must_be;
};

#define TP_NUMBERS_MAX 32

struct tp_numbers {
	uint32_t n;
	uint32_t v[TP_NUMBERS_MAX];
};

/**
 * Parse all of a command line.  Ends the program by itself: with status 0 after --help, with 2 and
 * a line on stderr if anything is wrong, is no option, or is required and missing.
 *
 * @param usage  what --help prints above the options
 * @param table  of at most 64
 */
void tp_options_parse(int argc, char **argv, const char *usage, const struct tp_option table[]);

/** Parse a decimal number.  @return whether it is one from min to max; *out is written only then */
bool tp_number_parse(const char *text, uint32_t min, uint32_t max, uint32_t *out);

/** The same with a fraction. */
bool tp_seconds_parse(const char *text, uint32_t min, uint32_t max, double *out);

/** @return whether there was room */
bool tp_numbers_add(struct tp_numbers *numbers, uint32_t v);

#endif
