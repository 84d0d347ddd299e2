/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <jansson.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* What one call writes to stderr; a pipe keeps each write(2) whole. */
struct capture {
	int saved, fd[2];
};

static void capture_start(struct capture *c)
{
	c->saved = dup(STDERR_FILENO);
	assert_int_equal(pipe(c->fd), 0);
	assert_int_equal(dup2(c->fd[1], STDERR_FILENO), STDERR_FILENO);
}

static void capture_end(struct capture *c, char *out, size_t size)
{
	ssize_t n;

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	close(c->fd[1]);
	n = read(c->fd[0], out, size - 1);
	close(c->fd[0]);
	assert_true(n >= 0);
	out[n] = '\0';
}

static void text_lines(void **state)
{
	static const struct {
		const char *what, *in, *want;
		enum tp_log_level level;
	} cases[] = {
		{ "error", "a", "turnpike: error: a\n", TP_LOG_ERROR },
		{ "warning", "a", "turnpike: warning: a\n", TP_LOG_WARN },
		{ "info", "a", "turnpike: a\n", TP_LOG_INFO },
		{ "debug", "a", "turnpike: debug: a\n", TP_LOG_DEBUG },
		{ "empty", "", "turnpike: \n", TP_LOG_INFO },
		{ "UTF-8 of every length", "a\u00e9\u20ac\U0001f600",
				"turnpike: a\u00e9\u20ac\U0001f600\n", TP_LOG_INFO },
		{ "line feed", "a\nb", "turnpike: a?b\n", TP_LOG_INFO },
		{ "escape, delete", "\x1b[2J\x7f", "turnpike: ?[2J?\n", TP_LOG_INFO },
		{ "C1 control", "a\xc2\x85z", "turnpike: a??z\n", TP_LOG_INFO },
		{ "line separator", "a\u2028b", "turnpike: a???b\n", TP_LOG_INFO },
		{ "stray continuation", "a\x80z", "turnpike: a?z\n", TP_LOG_INFO },
		{ "cut sequence", "a\xe2\x82", "turnpike: a??\n", TP_LOG_INFO },
		{ "cut by a letter", "\xf0\x9fz", "turnpike: ??z\n", TP_LOG_INFO },
		{ "overlong slash", "\xc0\xaf", "turnpike: ??\n", TP_LOG_INFO },
		{ "overlong in three", "\xe0\x80\xaf", "turnpike: ???\n", TP_LOG_INFO },
		{ "surrogate", "\xed\xa0\x80", "turnpike: ???\n", TP_LOG_INFO },
		{ "above U+10FFFF", "\xf4\x90\x80\x80", "turnpike: ????\n", TP_LOG_INFO },
		{ "not UTF-8 at all", "\xff\xfe", "turnpike: ??\n", TP_LOG_INFO },
		{ "format in an argument", "%n%s", "turnpike: %n%s\n", TP_LOG_INFO },
	};
	struct capture c;
	char got[4096];
	size_t i;

	(void)state;
	tp_log_setup(TP_LOG_TEXT, TP_LOG_DEBUG);
	for (i = 0; i < N(cases); i++) {
		capture_start(&c);
		tp_log(cases[i].level, "%s", cases[i].in);
		capture_end(&c, got, sizeof(got));
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s: got '%s'", cases[i].what, got);
	}
}

static void levels_above_the_limit_are_silent(void **state)
{
	struct capture c;
	char got[4096];

	(void)state;
	tp_log_setup(TP_LOG_TEXT, TP_LOG_WARN);
	capture_start(&c);
	tp_debug("a");
	tp_info("b");
	tp_warn("c");
	tp_err("d");
	capture_end(&c, got, sizeof(got));
	assert_string_equal(got, "turnpike: warning: c\nturnpike: error: d\n");
}

static void a_json_line(char *got, size_t size, const char *message)
{
	struct capture c;

	tp_log_setup(TP_LOG_JSON, TP_LOG_INFO);
	capture_start(&c);
	tp_warn("%s", message);
	capture_end(&c, got, size);
	assert_non_null(strchr(got, '\n'));
	assert_string_equal(strchr(got, '\n'), "\n");
}

static void json_lines(void **state)
{
	static const struct {
		const char *what, *in, *want;
	} cases[] = {
		{ "plain", "a", "a" },
		{ "quotes and backslashes", "\"a\\\"", "\"a\\\"" },
		{ "line feed", "a\nb", "a?b" },
		{ "not UTF-8", "\xff", "?" },
		{ "UTF-8", "\u20ac", "\u20ac" },
	};
	const char *level, *message, *when;
	char got[4096];
	json_t *json;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		a_json_line(got, sizeof(got), cases[i].in);
		json = json_loads(got, JSON_REJECT_DUPLICATES, NULL);
		if (json_unpack(json, "{s:s, s:s, s:s !}", "time", &when, "level", &level,
				    "message", &message) != 0)
			fail_msg("%s: got '%s'", cases[i].what, got);
		assert_string_equal(level, "warning");
		assert_string_equal(message, cases[i].want);
		json_decref(json);
	}
}

/* RFC 3339, and near the time that it is. */
static void json_time(void **state)
{
	char got[4096], zone;
	struct tm tm = { 0 };
	int ms, n;
	double age;

	(void)state;
	a_json_line(got, sizeof(got), "a");
	n = sscanf(got, "{\"time\":\"%4d-%2d-%2dT%2d:%2d:%2d.%3d%c\",", &tm.tm_year, &tm.tm_mon,
			&tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms, &zone);
	assert_int_equal(n, 8);
	assert_int_equal(zone, 'Z');
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	/* time() reads a coarser clock, which may be a little behind. */
	age = difftime(time(NULL), timegm(&tm));
	assert_true(age >= -1 && age < 60);
}

static void long_messages_are_cut(void **state)
{
	char message[3000], got[4096];
	struct capture c;
	json_t *json;

	(void)state;
	memset(message, '"', sizeof(message));
	message[sizeof(message) - 1] = '\0';
	tp_log_setup(TP_LOG_TEXT, TP_LOG_INFO);
	capture_start(&c);
	tp_info("%s", message);
	capture_end(&c, got, sizeof(got));
	assert_int_equal(strlen(got), strlen("turnpike: ") + 1000 + 1);

	/* Every quote takes two bytes now. */
	a_json_line(got, sizeof(got), message);
	json = json_loads(got, 0, NULL);
	assert_int_equal(json_string_length(json_object_get(json, "message")), 1000);
	json_decref(json);
}

/* What one record is written as; releases the fields. */
static void a_record(char *got, size_t size, struct tp_log_fields *fields)
{
	struct capture c;

	capture_start(&c);
	assert_int_equal(tp_log_record("an_event", fields), 0);
	capture_end(&c, got, size);
	tp_log_fields_fini(fields);
	tp_log_setup(TP_LOG_TEXT, TP_LOG_DEBUG);
}

static void records_are_fields(void **state)
{
	static const enum tp_log_format formats[] = { TP_LOG_TEXT, TP_LOG_JSON };
	char got[2][1000], *when, *level, *message, *user;
	struct tp_log_fields fields;
	json_t *json;
	int id;

	(void)state;
	for (size_t i = 0; i < N(formats); i++) {
		tp_log_setup(formats[i], TP_LOG_INFO);
		tp_log_record_init(&fields);
		tp_log_put_number(&fields, "id", 7);
		tp_log_put_string(&fields, "user", "a\"b", 3);
		a_record(got[i], sizeof(got[i]), &fields);
	}
	assert_string_equal(got[0], "turnpike: an_event id=7 user=\"a\\\"b\"\n");
	json = json_loads(got[1], JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	assert_int_equal(json_unpack(json, "{s:s, s:s, s:s, s:i, s:s !}", "time", &when, "level",
					 &level, "message", &message, "id", &id, "user", &user),
			0);
	assert_string_equal(level, "info");
	assert_string_equal(message, "an_event");
	assert_int_equal(id, 7);
	assert_string_equal(user, "a\"b");
	json_decref(json);
}

/* However long they are: a record that is cut is none. */
static void records_are_whole(void **state)
{
	struct tp_log_fields fields;
	static char got[40000];
	struct tp_addr a;
	json_t *json;

	(void)state;
	tp_log_setup(TP_LOG_JSON, TP_LOG_INFO);
	tp_log_record_init(&fields);
	assert_int_equal(tp_addr_parse("2001:db8::1234:5678", 0, &a), 0);
	tp_log_begin_list(&fields, "peers");
	for (int i = 0; i < 1000; i++)
		tp_log_put_item(&fields, &a, false);
	tp_log_end_list(&fields);
	a_record(got, sizeof(got), &fields);
	json = json_loads(got, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(json, "peers")), 1000);
	json_decref(json);
}

static void records_are_information(void **state)
{
	struct tp_log_fields fields;
	struct capture c;
	char got[100];

	(void)state;
	tp_log_setup(TP_LOG_TEXT, TP_LOG_WARN);
	tp_log_record_init(&fields);
	capture_start(&c);
	assert_int_equal(tp_log_record("an_event", &fields), 0);
	capture_end(&c, got, sizeof(got));
	tp_log_setup(TP_LOG_TEXT, TP_LOG_DEBUG);
	assert_string_equal(got, "");
	tp_log_fields_fini(&fields);
}

/* What had no memory for all of it is not written in part. */
static void broken_records_are_none(void **state)
{
	struct tp_log_fields fields;
	struct capture c;
	char got[100];

	(void)state;
	tp_log_record_init(&fields);
	tp_log_put_number(&fields, "id", 7);
	fields.is_broken = true;
	capture_start(&c);
	assert_int_equal(tp_log_record("an_event", &fields), -ENOMEM);
	capture_end(&c, got, sizeof(got));
	assert_string_equal(got, "");
	tp_log_fields_fini(&fields);
}

static void errno_survives(void **state)
{
	struct capture c;
	char got[4096];

	(void)state;
	tp_log_setup(TP_LOG_TEXT, TP_LOG_INFO);
	capture_start(&c);
	errno = ENODEV;
	tp_info("%m");
	assert_int_equal(errno, ENODEV);
	capture_end(&c, got, sizeof(got));
	assert_string_equal(got, "turnpike: No such device\n");
}

static void errno_survives_a_write_that_fails(void **state)
{
	int err, saved = dup(STDERR_FILENO);

	(void)state;
	close(STDERR_FILENO);
	errno = ENODEV;
	tp_err("nobody reads this");
	err = errno;
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_equal(err, ENODEV);
}

/* ---- by a thread of its own: in a child, whose end is part of it ---- */

static struct tp_log_writer_stats before; /* of the child, which inherits the counters */

/* A child whose stderr is the pipe, of which the reading end is left here. */
static pid_t child_of(void (*what)(void), const int fd[2])
{
	pid_t pid;

	fflush(NULL);
	tp_log_stats(&before);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		close(fd[1]);
		tp_log_setup(TP_LOG_TEXT, TP_LOG_INFO);
		what();
		exit(7);
	}
	close(fd[1]);
	return pid;
}

/* Run one in a child; read what it writes to stderr, unless it shall get stuck.  @return its status
 */
static int in_child(void (*what)(void), bool is_read, char *out, size_t size)
{
	int fd[2], status;
	size_t len = 0;
	ssize_t n = 1;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = child_of(what, fd);
	while (is_read && n > 0 && len < size - 1) {
		n = read(fd[0], out + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fd[0]);
	out[len] = '\0';
	return status;
}

#define SOME_LINES 1000

static void say_some(void)
{
	for (int i = 0; i < SOME_LINES; i++)
		tp_info("%d", i);
}

static void start(void)
{
	struct tp_log_writer_stats s;

	tp_info("before");
	if (tp_log_start() != 0)
		_exit(1);
	tp_log_stats(&s);
	if (s.lines != before.lines + 1)
		_exit(2);
}

static void say_and_exit(void)
{
	start();
	say_some();
}

static void say_and_stop(void)
{
	struct tp_log_writer_stats s;

	start();
	say_some();
	tp_log_stop();
	tp_info("after");
	tp_log_stop();
	tp_log_stats(&s);
	if (s.lines != before.lines + SOME_LINES + 2 || s.lost != before.lost ||
			s.backlog_bytes != 0)
		_exit(3);
}

static void say_and_abort(void)
{
	start();
	say_some();
	abort();
}

/* @return what follows them */
static const char *some_lines(const char *text)
{
	char want[32];
	int n;

	assert_int_equal(strncmp(text, "turnpike: before\n", 17), 0);
	text += 17;
	for (int i = 0; i < SOME_LINES; i++, text += n) {
		n = snprintf(want, sizeof(want), "turnpike: %d\n", i);
		if (strncmp(text, want, (size_t)n) != 0)
			fail_msg("line %d is '%.30s'", i, text);
	}
	return text;
}

static void whatever_the_end_all_is_written(void **state)
{
	static char got[100000];
	int status;

	(void)state;
	status = in_child(say_and_exit, true, got, sizeof(got));
	assert_string_equal(some_lines(got), "");
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);

	status = in_child(say_and_stop, true, got, sizeof(got));
	assert_string_equal(some_lines(got), "turnpike: after\n");
	assert_int_equal(WEXITSTATUS(status), 7);

	status = in_child(say_and_abort, true, got, sizeof(got));
	some_lines(got);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void say_much(void)
{
	char dots[900];

	memset(dots, '.', sizeof(dots));
	start();
	for (int i = 0; i < 20000; i++) /* more than there is room for */
		tp_info("%.*s", (int)sizeof(dots), dots);
}

static void say_much_and_exit(void)
{
	struct tp_log_writer_stats s;

	say_much();
	tp_log_stats(&s);
	if (s.lost == before.lost || s.lines + s.lost != before.lines + before.lost + 20001)
		_exit(3);
}

static void say_much_and_abort(void)
{
	say_much();
	abort();
}

static void a_stuck_reader_does_not_keep_it_from_its_end(void **state)
{
	char got[100];
	int status;

	(void)state;
	status = in_child(say_much_and_exit, false, got, sizeof(got));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	status = in_child(say_much_and_abort, false, got, sizeof(got));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void *speak_on(void *arg)
{
	while (arg == NULL)
		tp_info("still here");
	return arg;
}

/* Whoever else has something to say. */
static void abort_while_another_speaks(void)
{
	pthread_t other;

	start();
	if (pthread_create(&other, NULL, speak_on, NULL) != 0)
		_exit(4);
	say_some();
	abort();
}

/* By a reader who always takes something, and never all of it.  @return its status */
static int read_slowly(void (*what)(void))
{
	const struct timespec pause = { .tv_nsec = 10 * TP_NS_PER_MS };
	uint64_t end_ns = tp_clock_now_ns() + 7 * TP_NS_PER_SEC;
	char some[8192];
	int fd[2], status;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = child_of(what, fd);
	while (tp_clock_now_ns() < end_ns && read(fd[0], some, sizeof(some)) > 0)
		nanosleep(&pause, NULL);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fd[0]);
	return status;
}

static void who_dies_does_so_soon(void **state)
{
	static void (*const ends[])(void) = { say_much_and_abort, abort_while_another_speaks };

	(void)state;
	for (size_t i = 0; i < N(ends); i++) {
		int status = read_slowly(ends[i]);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

static void wait_and_say_much(void)
{
	char dots[900];

	memset(dots, '.', sizeof(dots));
	start();
	tp_log_wait();
	for (int i = 0; i < 20000; i++)
		tp_info("%.*s", (int)sizeof(dots), dots);
}

static void at_the_end_more_is_written_than_there_is_room_for(void **state)
{
	const size_t size = 20u << 20;
	char *got = malloc(size);

	(void)state;
	assert_non_null(got);
	assert_int_equal(WEXITSTATUS(in_child(wait_and_say_much, true, got, size)), 7);
	assert_int_equal(strlen(got), 17 + 20000 * (10 + 900 + 1));
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_lines),
		cmocka_unit_test(levels_above_the_limit_are_silent),
		cmocka_unit_test(json_lines),
		cmocka_unit_test(json_time),
		cmocka_unit_test(records_are_fields),
		cmocka_unit_test(records_are_whole),
		cmocka_unit_test(records_are_information),
		cmocka_unit_test(broken_records_are_none),
		cmocka_unit_test(long_messages_are_cut),
		cmocka_unit_test(errno_survives),
		cmocka_unit_test(errno_survives_a_write_that_fails),
		cmocka_unit_test(whatever_the_end_all_is_written),
		cmocka_unit_test(a_stuck_reader_does_not_keep_it_from_its_end),
		cmocka_unit_test(who_dies_does_so_soon),
		cmocka_unit_test(at_the_end_more_is_written_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
