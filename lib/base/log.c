/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/clock.h"

#include <jansson.h>

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX 1000
#define FATAL_TICKS 200 /* ms without progress, after which a process that dies does so */

/* A message of quotes and backslashes doubles in JSON; 200 for the time, the level and the keys. */
#define LINE_MAX_BYTES (2 * MESSAGE_MAX + 200)

static struct {
	enum tp_log_format format;
	enum tp_log_level max_level;
} conf = { TP_LOG_TEXT, TP_LOG_INFO };

static const struct {
	const char *name;   /* the JSON field */
	const char *prefix; /* of a line of text */
} levels[] = {
	[TP_LOG_ERROR] = { "error", "error: " },
	[TP_LOG_WARN] = { "warning", "warning: " },
	[TP_LOG_INFO] = { "info", "" },
	[TP_LOG_DEBUG] = { "debug", "debug: " },
};

bool tp_log_writes(enum tp_log_level level)
{
	return level <= conf.max_level;
}

void tp_log_setup(enum tp_log_format format, enum tp_log_level max_level)
{
	/* Reads the random seed of its hash now, while files may still be opened. */
	if (format == TP_LOG_JSON)
		json_object_seed(0);
	conf.format = format;
	conf.max_level = max_level;
}

/* Length of the UTF-8 sequence that a first byte announces; 0 for none (RFC 3629 section 4). */
static size_t sequence_len(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	if (first >= 0xf0 && first <= 0xf4)
		return 4;
	return 0;
}

static bool is_printable(uint32_t c)
{
	bool is_control = c < 0x20 || (c >= 0x7f && c < 0xa0);
	bool is_break = c == 0x2028 || c == 0x2029;
	bool is_surrogate = c >= 0xd800 && c <= 0xdfff;

	return !is_control && !is_break && !is_surrogate && c <= 0x10ffff;
}

/* Length of the printable character at s, which ends with NUL; 0 if it is none. */
static size_t printable_len(const uint8_t *s)
{
	static const uint32_t shortest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t i, n = sequence_len(s[0]);
	uint32_t c;

	if (n == 0)
		return 0;
	c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c >= shortest[n] && is_printable(c) ? n : 0;
}

/* Names of users and realms come from the wire: nothing of them may break a line or a terminal. */
static void clean(char *text)
{
	uint8_t *s = (uint8_t *)text;
	size_t n;

	while (*s != '\0') {
		n = printable_len(s);
		if (n == 0) {
			*s = '?';
			n = 1;
		}
		s += n;
	}
}

const char *tp_log_time(uint64_t wall_ns, char out[TP_LOG_TIME_STRLEN])
{
	time_t sec = (time_t)(wall_ns / TP_NS_PER_SEC);
	struct tm tm;
	size_t n;

	gmtime_r(&sec, &tm);
	n = strftime(out, TP_LOG_TIME_STRLEN, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, TP_LOG_TIME_STRLEN - n, ".%03dZ",
			(int)(wall_ns % TP_NS_PER_SEC / TP_NS_PER_MS));
	return out;
}

/* What every object begins with. */
static json_t *json_line(enum tp_log_level level, const char *message)
{
	char now[TP_LOG_TIME_STRLEN];

	return json_pack("{s:s, s:s, s:s}", "time", tp_log_time(tp_clock_read(CLOCK_REALTIME), now),
			"level", levels[level].name, "message", message);
}

static size_t format_text(enum tp_log_level level, const char *message, char line[LINE_MAX_BYTES])
{
	return (size_t)snprintf(
			line, LINE_MAX_BYTES, "turnpike: %s%s", levels[level].prefix, message);
}

/* Out of memory, jansson has nothing to say; then the line is text. */
static size_t format_json(enum tp_log_level level, const char *message, char line[LINE_MAX_BYTES])
{
	json_t *json = json_line(level, message);
	size_t n;

	n = json_dumpb(json, line, LINE_MAX_BYTES, JSON_COMPACT);
	json_decref(json);
	return n > 0 && n < LINE_MAX_BYTES ? n : format_text(level, message, line);
}

/* ---- where lines go ---- */

#define BACKLOG_BYTES (8u << 20) /* some 20,000 records */
#define STALL_NS (2 * TP_NS_PER_SEC)

static struct tp_log_writer *_Atomic writer; /* NULL: lines are written at once */
static _Atomic uint64_t n_direct, n_direct_lost;

static void write_direct(const char *line, size_t len)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t n;

	do {
		n = write(STDERR_FILENO, line, len);
		if (n > 0) {
			line += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			n = poll(&p, 1, -1);
		}
	} while ((n < 0 && errno == EINTR) || (n > 0 && len > 0));
	atomic_fetch_add_explicit(&n_direct, 1, memory_order_relaxed);
	if (n < 0)
		atomic_fetch_add_explicit(&n_direct_lost, 1, memory_order_relaxed);
}

static void write_line(const char *line, size_t len)
{
	/* Pairs with tp_log_start(): the writer is seen only as it is when it has been made. */
	struct tp_log_writer *w = atomic_load_explicit(&writer, memory_order_acquire);
	const struct iovec part = { (char *)(uintptr_t)line, len };

	if (w == NULL)
		write_direct(line, len);
	else
		tp_log_writer_put(w, &part, 1);
}

static size_t format_line(enum tp_log_level level, const char *message, char line[LINE_MAX_BYTES])
{
	size_t n = conf.format == TP_LOG_JSON ? format_json(level, message, line)
					      : format_text(level, message, line);

	line[n] = '\n';
	return n + 1;
}

/* The line that stands for those that are lost. */
static size_t report(uint64_t n_lost, char line[TP_LOG_REPORT_MAX])
{
	char message[100], buffer[LINE_MAX_BYTES];
	size_t n;

	snprintf(message, sizeof(message), "%llu log lines lost here: nobody took them in time",
			(unsigned long long)n_lost);
	n = format_line(TP_LOG_WARN, message, buffer);
	assert(n <= TP_LOG_REPORT_MAX);
	memcpy(line, buffer, n);
	return n;
}

/* The thread goes on while this one is about to die of the signal: give it time. */
static void on_fatal(int signal)
{
	const struct timespec tick = { .tv_nsec = TP_NS_PER_MS };
	uint64_t left, before = UINT64_MAX;
	struct tp_log_writer *w = writer;
	int err = errno;

	for (int i = 0; w != NULL && i < FATAL_TICKS; i++) {
		left = tp_log_writer_backlog(w);
		if (left == 0)
			break;
		if (left != before)
			i = 0;
		before = left;
		nanosleep(&tick, NULL);
	}
	errno = err;
	/* With what was there before, which ends the process, once we return. */
	raise(signal);
}

/* Not in the place of others, as of sanitizers. */
static void catch_fatal(void)
{
	static const int fatal[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV };
	const struct sigaction ours = { .sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND };
	struct sigaction before;

	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		if (sigaction(fatal[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
			sigaction(fatal[i], &ours, NULL);
}

int tp_log_start(void)
{
	const struct tp_log_writer_conf wc = {
		.fd = STDERR_FILENO,
		.size = BACKLOG_BYTES,
		.report = report,
	};
	struct tp_log_writer *w;
	int rc = tp_log_writer_new(&wc, &w);

	if (rc < 0)
		return rc;
	atomic_store_explicit(&writer, w, memory_order_release);
	catch_fatal();
	atexit(tp_log_stop);
	return 0;
}

void tp_log_wait(void)
{
	if (writer != NULL)
		tp_log_writer_be_patient(writer, STALL_NS);
}

void tp_log_stop(void)
{
	struct tp_log_writer *w = writer;
	struct tp_log_writer_stats stats;

	if (w == NULL)
		return;
	tp_log_writer_flush(w, STALL_NS);
	tp_log_writer_stats(w, &stats);
	atomic_store_explicit(&writer, NULL, memory_order_release);
	tp_log_writer_free(w, 0);
	n_direct += stats.lines;
	n_direct_lost += stats.lost;
}

void tp_log_stats(struct tp_log_writer_stats *out)
{
	*out = (struct tp_log_writer_stats){ 0 };
	if (writer != NULL)
		tp_log_writer_stats(writer, out);
	out->lines += n_direct;
	out->lost += n_direct_lost;
}

/* ---- messages ---- */

void tp_log(enum tp_log_level level, const char *fmt, ...)
{
	char message[MESSAGE_MAX + 1] = "", line[LINE_MAX_BYTES];
	int err = errno;
	va_list ap;

	if (!tp_log_writes(level))
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	clean(message);
	write_line(line, format_line(level, message, line));
	errno = err;
}

/* ---- records ---- */

#define RECORD_FLAGS (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY)

static int append(const char *buffer, size_t size, void *ctx)
{
	return fwrite(buffer, 1, size, ctx) == size ? 0 : -1;
}

static int write_fields(FILE *f, json_t *fields)
{
	const char *key;
	json_t *value;
	int rc = 0;

	json_object_foreach (fields, key, value) {
		fprintf(f, " %s=", key);
		if (rc == 0)
			rc = json_dump_callback(value, append, f, RECORD_FLAGS);
	}
	return rc;
}

static int write_text_record(FILE *f, const char *event, json_t *fields)
{
	fprintf(f, "turnpike: %s", event);
	return write_fields(f, fields);
}

static int write_json_record(FILE *f, const char *event, json_t *fields)
{
	json_t *json = json_line(TP_LOG_INFO, event);
	int rc = json == NULL ? -1 : json_object_update(json, fields);

	if (rc == 0)
		rc = json_dump_callback(json, append, f, RECORD_FLAGS);
	json_decref(json);
	return rc;
}

void tp_log_record(const char *event, json_t *fields)
{
	int err = errno, rc;
	char *line = NULL;
	size_t len;
	FILE *f;

	if (!tp_log_writes(TP_LOG_INFO))
		return;
	f = open_memstream(&line, &len);
	if (f == NULL)
		return;
	rc = conf.format == TP_LOG_JSON ? write_json_record(f, event, fields)
					: write_text_record(f, event, fields);
	fputc('\n', f);
	if (fclose(f) == 0 && rc == 0)
		write_line(line, len);
	free(line);
	errno = err;
}
