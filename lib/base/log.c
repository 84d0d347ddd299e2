/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/clock.h"

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
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX 1000
/* A process that dies does so after so long without progress, and at last in any case: other
 * threads may go on logging, or a reader may take a little at a time. */
#define FATAL_STALL_NS (200 * TP_NS_PER_MS)
#define FATAL_NS (2 * TP_NS_PER_SEC)

#define TEXT_MAX (MESSAGE_MAX + 32)
#define PARTS 4

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
	conf.format = format;
	conf.max_level = max_level;
}

static bool is_printable(uint32_t c)
{
	bool is_control = c < 0x20 || (c >= 0x7f && c < 0xa0);
	bool is_break = c == 0x2028 || c == 0x2029;

	return !is_control && !is_break;
}

/* Names of users and realms come from the wire: nothing of them may break a line or a terminal. */
static void clean(char *text)
{
	uint8_t *s = (uint8_t *)text, *end = s + strlen(text);
	uint32_t c;
	size_t n;

	while (s < end) {
		n = tp_utf8_decode(s, end, &c);
		if (n == 0 || !is_printable(c)) {
			*s = '?';
			n = 1;
		}
		s += n;
	}
}

/* ---- lines ---- */

struct line {
	struct tp_log_fields head; /* JSON: what every object begins with */
	char text[TEXT_MAX];
	struct iovec part[PARTS];
	int n;
};

static void line_add(struct line *l, const char *text, size_t len)
{
	assert(l->n < PARTS);
	l->part[l->n++] = (struct iovec){ (char *)(uintptr_t)text, len };
}

static void json_begin(struct line *l, enum tp_log_level level, const char *message)
{
	const char *name = levels[level].name;

	tp_log_put_time(&l->head, "time", tp_clock_read(CLOCK_REALTIME));
	tp_log_put_string(&l->head, "level", name, strlen(name));
	tp_log_put_string(&l->head, "message", message, strlen(message));
	if (l->head.is_broken)
		return;
	line_add(l, "{", 1);
	/* without the comma that every field begins with */
	line_add(l, l->head.text + 1, l->head.len - 1);
}

static void text_begin(struct line *l, enum tp_log_level level, const char *message)
{
	int n = snprintf(l->text, sizeof(l->text), "turnpike: %s%.*s", levels[level].prefix,
			MESSAGE_MAX, message);

	line_add(l, l->text, (size_t)n);
}

/* fields: NULL, or borrowed until the line is done with.  @return whether there was memory for it
 */
static bool line_init(struct line *l, enum tp_log_level level, const char *message,
		const struct tp_log_fields *fields)
{
	bool is_json = conf.format == TP_LOG_JSON;

	l->n = 0;
	tp_log_fields_init(&l->head, true);
	if (is_json)
		json_begin(l, level, message);
	else
		text_begin(l, level, message);
	if (fields != NULL)
		line_add(l, fields->text, fields->len);
	line_add(l, is_json ? "}\n" : "\n", is_json ? 2 : 1);
	return !l->head.is_broken;
}

static void line_fini(struct line *l)
{
	tp_log_fields_fini(&l->head);
}

/* ---- where lines go ---- */

#define BACKLOG_BYTES (8u << 20) /* some 20,000 records */
#define STALL_NS (2 * TP_NS_PER_SEC)

static struct tp_log_writer *_Atomic writer; /* NULL: lines are written at once */
static _Atomic uint64_t n_direct, n_direct_lost;

/* What is left of the parts when so many bytes of them are written. */
static void advance(struct iovec part[], int n, size_t done)
{
	for (int i = 0; i < n; i++) {
		size_t here = done < part[i].iov_len ? done : part[i].iov_len;

		part[i].iov_base = (char *)part[i].iov_base + here;
		part[i].iov_len -= here;
		done -= here;
	}
}

static void write_direct(struct iovec part[], int n, size_t len)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	size_t left = len;
	ssize_t rc;

	do {
		rc = writev(STDERR_FILENO, part, n);
		if (rc > 0) {
			advance(part, n, (size_t)rc);
			left -= (size_t)rc;
		} else if (rc < 0 && errno == EAGAIN) {
			rc = poll(&p, 1, -1);
		}
	} while ((rc < 0 && errno == EINTR) || (rc > 0 && left > 0));
	atomic_fetch_add_explicit(&n_direct, 1, memory_order_relaxed);
	if (left > 0)
		atomic_fetch_add_explicit(&n_direct_lost, 1, memory_order_relaxed);
}

static void line_write(struct line *l)
{
	/* Pairs with tp_log_start(): the writer is seen only as it is when it has been made. */
	struct tp_log_writer *w = atomic_load_explicit(&writer, memory_order_acquire);
	size_t len = 0;

	for (int i = 0; i < l->n; i++)
		len += l->part[i].iov_len;
	if (w == NULL)
		write_direct(l->part, l->n, len);
	else
		tp_log_writer_put(w, l->part, l->n);
}

/* The line that stands for those that are lost. */
static size_t report(uint64_t n_lost, char text[TP_LOG_REPORT_MAX])
{
	char message[100];
	struct line l;
	size_t len = 0;

	snprintf(message, sizeof(message), "%llu log lines lost here: nobody took them in time",
			(unsigned long long)n_lost);
	if (line_init(&l, TP_LOG_WARN, message, NULL)) {
		for (int i = 0; i < l.n; i++) {
			assert(len + l.part[i].iov_len <= TP_LOG_REPORT_MAX);
			memcpy(text + len, l.part[i].iov_base, l.part[i].iov_len);
			len += l.part[i].iov_len;
		}
	}
	line_fini(&l);
	return len;
}

/* The thread goes on while this one is about to die of the signal: give it time. */
static void on_fatal(int signal)
{
	const struct timespec tick = { .tv_nsec = TP_NS_PER_MS };
	uint64_t left = UINT64_MAX, before, begin_ns = tp_clock_now_ns();
	uint64_t now_ns = begin_ns, moved_ns = begin_ns;
	struct tp_log_writer *w = writer;
	int err = errno;

	while (w != NULL && now_ns - moved_ns < FATAL_STALL_NS && now_ns - begin_ns < FATAL_NS) {
		before = left;
		left = tp_log_writer_backlog(w);
		if (left == 0)
			break;
		if (left != before)
			moved_ns = now_ns;
		nanosleep(&tick, NULL);
		now_ns = tp_clock_now_ns();
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

static int log_line(
		enum tp_log_level level, const char *message, const struct tp_log_fields *fields)
{
	int err = errno, rc = -ENOMEM;
	struct line l;

	if (line_init(&l, level, message, fields)) {
		line_write(&l);
		rc = 0;
	} else {
		atomic_fetch_add_explicit(&n_direct_lost, 1, memory_order_relaxed);
	}
	line_fini(&l);
	errno = err;
	return rc;
}

void tp_log(enum tp_log_level level, const char *fmt, ...)
{
	char message[MESSAGE_MAX + 1] = "";
	va_list ap;

	if (!tp_log_writes(level))
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	clean(message);
	log_line(level, message, NULL);
}

/* ---- records ---- */

void tp_log_record_init(struct tp_log_fields *fields)
{
	tp_log_fields_init(fields, conf.format == TP_LOG_JSON);
}

int tp_log_record(const char *event, const struct tp_log_fields *fields)
{
	assert(fields->is_json == (conf.format == TP_LOG_JSON));
	if (!tp_log_writes(TP_LOG_INFO))
		return 0;
	return fields->is_broken ? -ENOMEM : log_line(TP_LOG_INFO, event, fields);
}
