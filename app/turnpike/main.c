/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turnpike - a TURN relay (RFC 8656) on AF_XDP.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "conf.h"
#include "daemon.h"

#define EXIT_CONFIGURATION 2

static const char help[] =
		"usage: turnpike -c FILE [--log-format text|json] [--log-level LEVEL]\n"
		"       turnpike -t -c FILE\n"
		"\n"
		"A TURN relay (RFC 8656). Runs in the foreground, logs to stderr, ends on SIGTERM or SIGINT,\n"
		"reads its configuration again on SIGHUP.\n"
		"\n"
		"  -c, --config FILE     the configuration; config/turnpike.yaml documents every option\n"
		"  -t, --test            check the configuration, print what is in effect, and exit\n"
		"      --print-sample    print a commented configuration with every option, and exit\n"
		"      --log-format F    text (default), or json: one object a line\n"
		"      --log-level L     error, warning, info (default) or debug\n"
		"  -V, --version         print the version and exit\n"
		"  -h, --help            print this and exit\n"
		"\n"
		"Exit status: 0 after an orderly end, 1 when it could not start, 2 for bad arguments or a\n"
		"bad configuration. See turnpikectl for what a running relay is doing.\n";

struct arguments {
	const char *config;
	bool is_test;
	enum tp_log_format format;
	enum tp_log_level level;
};

static int bad_argument(const char *option, const char *value, const char *allowed)
{
	fprintf(stderr, "turnpike: %s: %s: must be %s\n", option, value, allowed);
	return EXIT_CONFIGURATION;
}

static int find_word(const char *const words[], int n, const char *word)
{
	for (int i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return -1;
}

/* @return -1 to go on, or the exit status */
static int parse(int argc, char *argv[], struct arguments *a)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test", no_argument, NULL, 't' },
		{ "print-sample", no_argument, NULL, 'S' },
		{ "log-format", required_argument, NULL, 'F' },
		{ "log-level", required_argument, NULL, 'L' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const char *const formats[] = { "text", "json" };
	static const char *const levels[] = { "error", "warning", "info", "debug" };
	int c, at;

	while ((c = getopt_long(argc, argv, "c:tVh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			a->config = optarg;
			break;
		case 't':
			a->is_test = true;
			break;
		case 'F':
			at = find_word(formats, 2, optarg);
			if (at < 0)
				return bad_argument("--log-format", optarg, "text or json");
			a->format = (enum tp_log_format)at;
			break;
		case 'L':
			at = find_word(levels, 4, optarg);
			if (at < 0)
				return bad_argument("--log-level", optarg,
						"error, warning, info or debug");
			a->level = (enum tp_log_level)at;
			break;
		case 'S':
			tp_conf_print_sample(stdout);
			return 0;
		case 'V':
			puts("turnpike " TP_VERSION);
			return 0;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			fputs("try: turnpike --help\n", stderr);
			return EXIT_CONFIGURATION;
		}
	}
	if (optind < argc || a->config == NULL) {
		fputs(help, stderr);
		return EXIT_CONFIGURATION;
	}
	return -1;
}

/* Who starts us with one of them closed would else have the log written to whatever is opened next.
 */
static void open_standard_files(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			abort(); /* nowhere to say why */
}

/* Before any thread starts, so that all inherit it: signals are read from a descriptor. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char *argv[])
{
	struct arguments a = { .format = TP_LOG_TEXT, .level = TP_LOG_INFO };
	struct tp_why why = { "" };
	struct tp_conf *conf;
	int rc;

	open_standard_files();
	rc = parse(argc, argv, &a);
	if (rc >= 0)
		return rc;
	if (tp_conf_load(a.config, stderr, &conf) < 0)
		return EXIT_CONFIGURATION;
	if (a.is_test) {
		tp_conf_print(conf, stdout);
		tp_conf_free(conf);
		return 0;
	}
	tp_log_setup(a.format, a.level);
	block_signals();
	rc = tp_daemon_run(conf, a.config, &why);
	if (rc < 0)
		tp_err("%s", why.text);
	tp_conf_free(conf);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
