/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/clock.h"

#include <jansson.h>

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX 1000

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

static void write_line(const char *line, size_t len)
{
	ssize_t n;

	do {
		n = write(STDERR_FILENO, line, len);
	} while (n < 0 && errno == EINTR);
}

void tp_log(enum tp_log_level level, const char *fmt, ...)
{
	char message[MESSAGE_MAX + 1] = "", line[LINE_MAX_BYTES];
	int err = errno;
	va_list ap;
	size_t n;

	if (!tp_log_writes(level))
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	clean(message);

	if (conf.format == TP_LOG_JSON)
		n = format_json(level, message, line);
	else
		n = format_text(level, message, line);
	line[n] = '\n';
	write_line(line, n + 1);
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
