/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

#define PIPE_BYTES 4096
#define LINE_BYTES 32
#define STALL_NS (50 * TP_NS_PER_MS)
#define LONG_NS (60 * TP_NS_PER_SEC)

/* A writer at one end of a small pipe, and what its other end gave. */
struct rig {
	int fd[2];
	struct tp_log_writer *writer;
	char *text;
	size_t len, size;
};

static size_t report(uint64_t n_lost, char line[TP_LOG_REPORT_MAX])
{
	return (size_t)snprintf(line, TP_LOG_REPORT_MAX, "%llu lost\n", (unsigned long long)n_lost);
}

static void rig_init(struct rig *r, size_t size, int flags)
{
	struct tp_log_writer_conf conf = { .size = size, .report = report };

	*r = (struct rig){ .size = 1 << 20 };
	r->text = calloc(1, r->size);
	assert_non_null(r->text);
	assert_int_equal(pipe(r->fd), 0);
	assert_true(fcntl(r->fd[1], F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES);
	assert_int_equal(fcntl(r->fd[1], F_SETFL, flags), 0);
	conf.fd = r->fd[1];
	assert_int_equal(tp_log_writer_new(&conf, &r->writer), 0);
}

static void rig_fini(struct rig *r)
{
	tp_log_writer_free(r->writer, STALL_NS);
	close(r->fd[0]);
	close(r->fd[1]);
	free(r->text);
}

static void put(struct rig *r, const char *line)
{
	/* In two parts, as records are. */
	size_t len = strlen(line), half = len / 2;
	const struct iovec part[] = {
		{ (char *)(uintptr_t)line, half },
		{ (char *)(uintptr_t)line + half, len - half },
	};

	tp_log_writer_put(r->writer, part, 2);
}

/* "3 . . . .\n": the number, and dots up to LINE_BYTES. */
static void put_numbered(struct rig *r, unsigned int n)
{
	char line[LINE_BYTES + 1];
	int at = snprintf(line, sizeof(line), "%u ", n);

	memset(line + at, '.', sizeof(line) - (size_t)at);
	line[LINE_BYTES - 1] = '\n';
	line[LINE_BYTES] = '\0';
	put(r, line);
}

/* Read until the text ends with this. */
static void read_until(struct rig *r, const char *end)
{
	size_t n = strlen(end);
	ssize_t got;

	while (r->len < n || strcmp(r->text + r->len - n, end) != 0) {
		struct pollfd p = { .fd = r->fd[0], .events = POLLIN };

		if (poll(&p, 1, 20000) != 1)
			fail_msg("waited for '%s' after '%s'", end, r->text);
		got = read(r->fd[0], r->text + r->len, r->size - r->len - 1);
		assert_true(got > 0);
		r->len += (size_t)got;
		r->text[r->len] = '\0';
	}
}

static struct tp_log_writer_stats stats(const struct rig *r)
{
	struct tp_log_writer_stats s;

	tp_log_writer_stats(r->writer, &s);
	return s;
}

/* Are these the lines first, first + 1 ...?  @return what follows them */
static const char *numbered(const char *text, unsigned int first, unsigned int n)
{
	for (unsigned int i = first; i < first + n; i++, text += LINE_BYTES) {
		char want[16];
		int len = snprintf(want, sizeof(want), "%u .", i);

		if (strncmp(text, want, (size_t)len) != 0 || text[LINE_BYTES - 1] != '\n')
			fail_msg("line %u is '%.32s'", i, text);
	}
	return text;
}

static void lines_come_by_themselves(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1 << 16, 0);
	put(&r, "one\n");
	read_until(&r, "one\n");
	put(&r, "two\n");
	put(&r, "\n");
	put(&r, "three\n");
	read_until(&r, "three\n");
	assert_string_equal(r.text, "one\ntwo\n\nthree\n");
	assert_int_equal(stats(&r).lines, 4);
	assert_int_equal(stats(&r).lost, 0);
	rig_fini(&r);
}

static void what_fits_is_kept_for_a_late_reader(void **state)
{
	const unsigned int n = 2000; /* 64,000 bytes */
	struct rig r;

	(void)state;
	rig_init(&r, 1 << 16, 0);
	for (unsigned int i = 0; i < n; i++)
		put_numbered(&r, i);
	assert_int_equal(stats(&r).lines, n);
	put(&r, "end\n");
	read_until(&r, "end\n");
	assert_string_equal(numbered(r.text, 0, n), "end\n");
	assert_true(tp_log_writer_flush(r.writer, LONG_NS));
	assert_int_equal(stats(&r).backlog_bytes, 0);
	rig_fini(&r);
}

/* A loop that tries again and again would take all of a CPU. */
static void assert_idle(void)
{
	const struct timespec quarter = { .tv_nsec = 250 * TP_NS_PER_MS };
	uint64_t before = tp_clock_read(CLOCK_PROCESS_CPUTIME_ID);

	nanosleep(&quarter, NULL);
	assert_in_range(tp_clock_read(CLOCK_PROCESS_CPUTIME_ID) - before, 0, 25 * TP_NS_PER_MS);
}

/* Nobody reads: putting goes on, memory does not grow, and the gap is told where it is. */
static void a_stuck_reader(int flags)
{
	const unsigned int n = 3000, size = 8192;
	struct tp_log_writer_stats s;
	char want[64];
	struct rig r;

	rig_init(&r, size, flags);
	for (unsigned int i = 0; i < n; i++)
		put_numbered(&r, i);
	s = stats(&r);
	assert_int_equal(s.lines + s.lost, n);
	/* The ring, and what the pipe took out of it before it was full. */
	assert_in_range(s.lines, size / LINE_BYTES, (size + PIPE_BYTES) / LINE_BYTES);
	assert_in_range(s.backlog_bytes, size / 2, size);
	assert_int_equal(tp_log_writer_backlog(r.writer), s.backlog_bytes);
	assert_false(tp_log_writer_flush(r.writer, STALL_NS));
	assert_idle();

	/* It reads again.  What came since the first loss is lost until then. */
	put(&r, "too early\n");
	assert_int_equal(stats(&r).lost, s.lost + 1);
	snprintf(want, sizeof(want), "%llu lost\n", (unsigned long long)s.lost + 1);
	read_until(&r, want);
	assert_string_equal(numbered(r.text, 0, (unsigned int)s.lines), want);
	put(&r, "after\n");
	read_until(&r, "after\n");
	strcat(want, "after\n");
	assert_string_equal(numbered(r.text, 0, (unsigned int)s.lines), want);
	assert_int_equal(stats(&r).lines, s.lines + 1);
	assert_true(tp_log_writer_flush(r.writer, LONG_NS));
	rig_fini(&r);
}

static void a_reader_that_is_stuck(void **state)
{
	(void)state;
	a_stuck_reader(0);
}

static void a_reader_that_is_stuck_behind_a_non_blocking_pipe(void **state)
{
	(void)state;
	a_stuck_reader(O_NONBLOCK);
}

static void a_writer_ends_though_its_reader_is_stuck(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 8192, 0);
	for (unsigned int i = 0; i < 1000; i++)
		put_numbered(&r, i);
	tp_log_writer_be_patient(r.writer, STALL_NS);
	/* It waits once, in vain. */
	for (unsigned int i = 0; i < 1000; i++)
		put_numbered(&r, i);
	assert_int_equal(stats(&r).lines + stats(&r).lost, 2000);
	/* Which is enough. */
	assert_false(tp_log_writer_flush(r.writer, LONG_NS));
	tp_log_writer_free(r.writer, STALL_NS);
	/* Ends the write, and with it the thread; what it writes to stays open for it. */
	close(r.fd[0]);
	free(r.text);
}

static void what_waits_is_written_at_the_end(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 8192, 0);
	put(&r, "the end\n");
	tp_log_writer_free(r.writer, LONG_NS);
	close(r.fd[1]);
	assert_int_equal(read(r.fd[0], r.text, r.size), 8);
	assert_string_equal(r.text, "the end\n");
	close(r.fd[0]);
	free(r.text);
}

static void a_reader_that_is_gone(void **state)
{
	int other[2];
	struct rig r;

	(void)state;
	rig_init(&r, 8192, 0);
	close(r.fd[0]);
	/* SIGPIPE would end this program. */
	put(&r, "one\n");
	put(&r, "two\n");
	assert_true(tp_log_writer_flush(r.writer, LONG_NS));
	put(&r, "three\n");
	assert_true(tp_log_writer_flush(r.writer, LONG_NS));
	assert_int_equal(stats(&r).lost, 3);
	assert_int_equal(stats(&r).backlog_bytes, 0);
	assert_idle();

	/* Another takes its place. */
	assert_int_equal(pipe(other), 0);
	assert_int_equal(dup2(other[1], r.fd[1]), r.fd[1]);
	close(other[1]);
	r.fd[0] = other[0];
	put(&r, "four\n");
	read_until(&r, "four\n");
	assert_string_equal(r.text, "3 lost\nfour\n");
	put(&r, "five\n");
	read_until(&r, "five\n");
	assert_string_equal(r.text, "3 lost\nfour\nfive\n");
	rig_fini(&r);
}

/* Cut in the middle of a line: neither what is left of it nor the next one is glued to it. */
static void a_disk_that_is_full(void **state)
{
	struct rlimit before, limit;
	int file = memfd_create("log", 0), unused;
	struct rig r;

	(void)state;
	rig_init(&r, 8192, 0);
	unused = dup(r.fd[1]);
	assert_int_equal(dup2(file, r.fd[1]), r.fd[1]);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	/* SIGXFSZ would end this program. */
	put(&r, "12345\n");
	put(&r, "67890\n");
	put(&r, "and more\n");
	assert_true(tp_log_writer_flush(r.writer, LONG_NS));
	put(&r, "still no room\n");
	assert_true(tp_log_writer_flush(r.writer, LONG_NS));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	put(&r, "room\n");
	assert_true(tp_log_writer_flush(r.writer, LONG_NS));
	assert_true(pread(file, r.text, r.size, 0) > 0);
	assert_string_equal(r.text, "12345\n6789\n3 lost\nroom\n");
	assert_int_equal(stats(&r).lost, 3);
	rig_fini(&r);
	close(unused);
	close(file);
}

static void a_line_that_never_fits(void **state)
{
	struct rig r;
	char *line;

	(void)state;
	rig_init(&r, 4096, 0);
	line = calloc(1, 5001);
	assert_non_null(line);
	memset(line, 'x', 4999);
	line[4999] = '\n';
	put(&r, "before\n");
	tp_log_writer_be_patient(r.writer, LONG_NS);
	put(&r, line);
	read_until(&r, "lost\n");
	put(&r, "after\n");
	read_until(&r, "after\n");
	assert_string_equal(r.text, "before\n1 lost\nafter\n");
	free(line);
	rig_fini(&r);
}

/* On a socket that keeps each write apart, as journald's reader would see it. */
static void writes_are_few_and_of_whole_lines(void **state)
{
	const unsigned int n = 5000; /* 160,000 bytes */
	unsigned int writes = 0;
	int pair[2];
	struct rig r;
	ssize_t got;

	(void)state;
	rig_init(&r, 1 << 18, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(dup2(pair[1], r.fd[1]), r.fd[1]);
	for (unsigned int i = 0; i < n; i++)
		put_numbered(&r, i);
	for (; r.len < n * LINE_BYTES; r.len += (size_t)got, writes++) {
		got = recv(pair[0], r.text + r.len, r.size - r.len, 0);
		assert_true(got > 0);
		assert_int_equal(r.text[r.len + (size_t)got - 1], '\n');
	}
	numbered(r.text, 0, n);
	assert_in_range(writes, 3, n / 50);
	rig_fini(&r);
	close(pair[0]);
	close(pair[1]);
}

/* ---- several threads ---- */

#define THREADS 4
#define EACH 5000

struct speaker {
	struct rig *rig;
	char name;
	pthread_t thread;
};

static void *speak(void *arg)
{
	const struct speaker *s = arg;
	char line[64];

	for (int i = 0; i < EACH; i++) {
		snprintf(line, sizeof(line), "%c %d %.*s\n", s->name, i, i % 37,
				"....................................");
		put(s->rig, line);
	}
	return NULL;
}

static bool is_next(const char *line, int next[THREADS])
{
	char name, dots[64] = "";
	int n, got;

	got = sscanf(line, "%c %d %63s", &name, &n, dots);
	if (got < 2 || name < 'a' || name >= 'a' + THREADS || n != next[name - 'a'] ||
			(int)strlen(dots) != n % 37)
		return false;
	next[name - 'a']++;
	return true;
}

/* Through a ring that all of it does not fit into. */
static void lines_of_several_threads(void **state)
{
	struct speaker speakers[THREADS];
	int next[THREADS] = { 0 }, lines = 0;
	struct rig r;
	FILE *f;

	(void)state;
	rig_init(&r, 4096, 0);
	tp_log_writer_be_patient(r.writer, LONG_NS);
	for (int i = 0; i < THREADS; i++) {
		speakers[i] = (struct speaker){ .rig = &r, .name = (char)('a' + i) };
		assert_int_equal(pthread_create(&speakers[i].thread, NULL, speak, &speakers[i]), 0);
	}
	f = fdopen(dup(r.fd[0]), "r");
	while (lines < THREADS * EACH && fgets(r.text, 100, f) != NULL) {
		if (!is_next(r.text, next))
			fail_msg("line %d is '%s'", lines, r.text);
		lines++;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(speakers[i].thread, NULL);
	fclose(f);
	assert_int_equal(stats(&r).lines, THREADS * EACH);
	assert_int_equal(stats(&r).lost, 0);
	rig_fini(&r);
}

static void sizes_that_are_none(void **state)
{
	struct tp_log_writer_conf conf = { .report = report };
	struct tp_log_writer *w = NULL;

	(void)state;
	assert_int_equal(tp_log_writer_new(&conf, &w), -EINVAL);
	conf.size = 5000;
	assert_int_equal(tp_log_writer_new(&conf, &w), -EINVAL);
	assert_null(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_by_themselves),
		cmocka_unit_test(what_fits_is_kept_for_a_late_reader),
		cmocka_unit_test(a_reader_that_is_stuck),
		cmocka_unit_test(a_reader_that_is_stuck_behind_a_non_blocking_pipe),
		cmocka_unit_test(a_writer_ends_though_its_reader_is_stuck),
		cmocka_unit_test(what_waits_is_written_at_the_end),
		cmocka_unit_test(a_reader_that_is_gone),
		cmocka_unit_test(a_disk_that_is_full),
		cmocka_unit_test(a_line_that_never_fits),
		cmocka_unit_test(writes_are_few_and_of_whole_lines),
		cmocka_unit_test(lines_of_several_threads),
		cmocka_unit_test(sizes_that_are_none),
	};

	return cmocka_run_group_tests_name("log_writer", tests, NULL, NULL);
}
