/* SPDX-License-Identifier: Apache-2.0 */
/* What ends a program is asked of a child: its status, and what it said. */
#include "bench/options.h"

#include "base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct said {
	const char *line; /* words with single spaces between */
	int status;
	const char *text; /* in what it says on stdout and stderr */
};

static bool add_even(void *to, const char *item)
{
	uint32_t v;

	return tp_number_parse(item, 0, 100, &v) && v % 2 == 0 && tp_numbers_add(to, v);
}

static void print_numbers(const char *name, const struct tp_numbers *numbers)
{
	printf(" %s=", name);
	for (uint32_t i = 0; i < numbers->n; i++)
		printf("%s%u", i == 0 ? "" : ",", numbers->v[i]);
}

static void parse(int argc, char **argv)
{
	const char *needed = NULL, *text = "some";
	struct tp_addr addr = { .port = 3478 };
	uint32_t number = 7, choice = 1, set = 7;
	int none = -1;
	uint16_t number16 = 160;
	struct tp_numbers numbers = { 2, { 1, 2 } }, list = { 0 };
	double seconds = 0.5;
	bool flag = false;
	const struct tp_option table[] = {
		{ "needed", TP_OPTION_TEXT, &needed, 0, 0, "a file", true, "FILE" },
		{ "text", TP_OPTION_TEXT, &text, 0, 0, "a text" },
		{ "addr", TP_OPTION_ADDR, &addr, 0, 0, "an address" },
		{ "number", TP_OPTION_NUMBER, &number, 5, 4000000000, "a number" },
		{ "none", TP_OPTION_NUMBER, &none, 0, 9, "none" },
		{ "number16", TP_OPTION_NUMBER16, &number16, 1, 65535, "a short one" },
		{ "numbers", TP_OPTION_NUMBERS, &numbers, 1, 64, "some numbers" },
		{ "seconds", TP_OPTION_SECONDS, &seconds, 0, 60, "some seconds" },
		{ "choice", TP_OPTION_CHOICE, &choice, 0, 0, "a word", .value = "down|up|updown" },
		{ "set", TP_OPTION_SET, &set, 0, 0, "some words", .value = "a|b|c" },
		{ "list", TP_OPTION_LIST, &list, 0, 0, "a list", .add = add_even,
				.must_be = "an even number" },
		{ "flag", TP_OPTION_FLAG, &flag, 0, 0, "a flag" },
		{ NULL },
	};

	tp_options_parse(argc, argv, "usage: this", table);
	printf("needed=%s text=%s addr=%d:%u:%u number=%u none=%d number16=%u seconds=%g choice=%u"
	       " set=%u flag=%d",
			needed, text, addr.family, addr.ip[0], addr.port, number, none, number16,
			seconds, choice, set, flag);
	print_numbers("numbers", &numbers);
	print_numbers("list", &list);
	exit(0);
}

static void parse_line(const char *line)
{
	static char words[512]; /* not of the heap: the parser ends the process with them in hand */
	char *argv[32] = { (char[]){ "test" } }, *rest = *line == '\0' ? NULL : words;
	int argc = 1;

	if ((size_t)snprintf(words, sizeof(words), "%s", line) >= sizeof(words))
		exit(99);
	while ((argv[argc] = strsep(&rest, " ")) != NULL)
		argc++;
	parse(argc, argv);
}

static void check(const struct said *want)
{
	char text[2000];
	int fds[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	fflush(NULL);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		parse_line(want->line);
	}
	close(fds[1]);
	while ((n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != want->status ||
			strstr(text, want->text) == NULL)
		fail_msg("'%s': wanted %d and '%s', got %x and '%s'", want->line, want->status,
				want->text, (unsigned int)status, text);
}

static void check_all(const struct said *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(&want[i]);
}

#define CHECK_ALL(want) check_all(want, sizeof(want) / sizeof((want)[0]))

static void takes_what_is_right(void **state)
{
	const struct said want[] = {
		{ "--needed x", 0,
				"needed=x text=some addr=0:0:3478 number=7 none=-1 number16=160 "
				"seconds=0.5 choice=1 set=7 flag=0 numbers=1,2 list=" },
		{ "--needed=x", 0, "needed=x " },
		{ "--needed=x=y", 0, "needed=x=y " },
		{ "--needed --help", 0, "needed=--help " },
		{ "--needed= --text b", 0, "needed= text=b " },
		{ "--needed x --addr 192.0.2.9", 0, " addr=4:192:3478 " },
		{ "--needed x --addr 2001:db8::1", 0, " addr=6:32:3478 " },
		{ "--needed x --number 5", 0, " number=5 " },
		{ "--needed x --number 4000000000", 0, " number=4000000000 " },
		{ "--needed x --number 5 --number 6", 0, " number=6 " },
		{ "--needed x --none 9", 0, " none=9 " },
		{ "--number16 65535 --needed x", 0, " number16=65535 " },
		{ "--needed x --numbers 64,1,3", 0, " numbers=64,1,3 " },
		{ "--needed x --numbers 4,5 --numbers 6", 0, " numbers=6 " },
		{ "--needed x --seconds 0", 0, " seconds=0 " },
		{ "--needed x --seconds 59.25", 0, " seconds=59.25 " },
		{ "--needed x --choice down", 0, " choice=0 " },
		{ "--needed x --choice updown", 0, " choice=2 " },
		{ "--needed x --set c,a", 0, " set=5 " },
		{ "--needed x --set c --set b", 0, " set=2 " },
		{ "--needed x --list 8,2 --list 4", 0, " list=8,2,4" },
		{ "--needed x --flag", 0, " flag=1 " },
	};

	(void)state;
	CHECK_ALL(want);
}

static void refuses_what_is_no_option(void **state)
{
	const struct said want[] = {
		{ "", 2, "test_options: --needed is required; see --help\n" },
		{ "--flag", 2, "--needed is required; see --help\n" },
		{ "--needed", 2, "--needed needs a value: FILE\n" },
		{ "--needed x --text", 2, "--text needs a value: TEXT\n" },
		{ "--needed x --flag=1", 2, "--flag takes no value\n" },
		{ "--needed x more", 2, "more: no such option; see --help\n" },
		{ "--needed x --nope", 2, "--nope: no such option; see --help\n" },
		{ "--needed x --nope=1", 2, "--nope=1: no such option; see --help\n" },
		{ "--need x", 2, "--need: no such option; see --help\n" },
		{ "--neededs x", 2, "--neededs: no such option; see --help\n" },
		{ "xxneeded x", 2, "xxneeded: no such option; see --help\n" },
		{ "--", 2, "--: no such option; see --help\n" },
		{ "-", 2, "-: no such option; see --help\n" },
	};

	(void)state;
	CHECK_ALL(want);
}

static void refuses_what_is_no_value(void **state)
{
	const char *range = ": must be a number from 5 to 4000000000\n";
	const struct said want[] = {
		{ "--number 4", 2, "--number 4: must be a number from 5 to 4000000000\n" },
		{ "--number 4000000001", 2, range },
		{ "--number 99999999999999999999999", 2, range },
		{ "--number 18446744073709551621", 2, range },
		{ "--number -18446744073709551610", 2, range },
		{ "--number +5", 2, range },
		{ "--number 5x", 2, range },
		{ "--number 0x10", 2, range },
		{ "--number=", 2, range },
		{ "--none 10", 2, "--none 10: must be a number from 0 to 9\n" },
		{ "--number16 65536", 2, "must be a number from 1 to 65535\n" },
		{ "--numbers 1,,2", 2, "--numbers : must be numbers from 1 to 64, 32 at most" },
		{ "--numbers 1,65", 2, "--numbers 65: must be numbers from 1 to 64" },
		{ "--numbers 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,"
		  "27,28,29,30,31,32,33",
				2, "--numbers 33: must be numbers from 1 to 64, 32 at most" },
		{ "--seconds 60.5", 2, "--seconds 60.5: must be a number from 0 to 60\n" },
		{ "--seconds -0", 2, "must be a number from 0 to 60\n" },
		{ "--seconds nan", 2, "must be a number from 0 to 60\n" },
		{ "--seconds 1s", 2, "must be a number from 0 to 60\n" },
		{ "--addr nowhere", 2, "--addr nowhere: must be an IPv4 or IPv6 address\n" },
		{ "--choice u", 2, "--choice u: must be one of down|up|updown\n" },
		{ "--choice down|up", 2, "must be one of down|up|updown\n" },
		{ "--choice=", 2, "must be one of down|up|updown\n" },
		{ "--set a,d", 2, "--set d: must be one of a|b|c\n" },
		{ "--list 2,3", 2, "--list 3: must be an even number\n" },
	};

	(void)state;
	CHECK_ALL(want);
}

static void help_is_the_table(void **state)
{
	const struct said want[] = {
		{ "--flag --help", 0,
				"usage: this\n\n"
				"  --needed FILE             a file (required)\n"
				"  --text TEXT               a text [some]\n"
				"  --addr ADDR               an address\n"
				"  --number N                a number [7]\n"
				"  --none N                  none\n"
				"  --number16 N              a short one [160]\n"
				"  --numbers N,...           some numbers [1,2]\n"
				"  --seconds S               some seconds [0.5]\n"
				"  --choice down|up|updown   a word [up]\n"
				"  --set a|b|c               some words\n"
				"  --list ITEM,...           a list\n"
				"  --flag                    a flag\n" },
	};

	(void)state;
	CHECK_ALL(want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_right),
		cmocka_unit_test(refuses_what_is_no_option),
		cmocka_unit_test(refuses_what_is_no_value),
		cmocka_unit_test(help_is_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
