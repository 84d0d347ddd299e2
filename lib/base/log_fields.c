/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log_fields.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define FIRST_BYTES 1024 /* most records need no more */
#define DEL 0x7f
#define ESCAPED_MAX 6 /* bytes for each that is escaped, as \uXXXX */
#define NUMBER_MAX 20 /* digits of 2^64 - 1 */

static const char lower_digits[] = "0123456789abcdef";
static const char upper_digits[] = "0123456789ABCDEF";

void tp_log_fields_init(struct tp_log_fields *f, bool is_json)
{
	*f = (struct tp_log_fields){ .is_json = is_json };
}

void tp_log_fields_fini(struct tp_log_fields *f)
{
	free(f->text);
	f->text = NULL;
}

/* Room for so many bytes more.  @return where, or NULL */
static char *reserve(struct tp_log_fields *f, size_t n)
{
	size_t size = f->size > 0 ? f->size : FIRST_BYTES;
	char *text;

	if (f->is_broken)
		return NULL;
	if (f->size - f->len >= n)
		return f->text + f->len;
	while (size - f->len < n)
		size *= 2;
	text = realloc(f->text, size);
	if (text == NULL) {
		f->is_broken = true;
		return NULL;
	}
	f->text = text;
	f->size = size;
	return text + f->len;
}

static void put(struct tp_log_fields *f, const char *text, size_t n)
{
	char *to = reserve(f, n);

	if (to == NULL)
		return;
	memcpy(to, text, n);
	f->len += n;
}

static char *copy(char *to, const char *text, size_t n)
{
	memcpy(to, text, n);
	return to + n;
}

static void put_name(struct tp_log_fields *f, const char *name)
{
	size_t n = strlen(name);
	char *to = reserve(f, n + 4);

	if (to == NULL)
		return;
	if (f->is_json) {
		*to++ = ',';
		*to++ = '"';
		to = copy(to, name, n);
		*to++ = '"';
		*to++ = ':';
	} else {
		*to++ = ' ';
		to = copy(to, name, n);
		*to++ = '=';
	}
	f->len = (size_t)(to - f->text);
}

/* Of a text that needs no escapes. */
static void put_quoted(struct tp_log_fields *f, const char *text, size_t n)
{
	char *to = reserve(f, n + 2);

	if (to == NULL)
		return;
	to[0] = '"';
	memcpy(to + 1, text, n);
	to[n + 1] = '"';
	f->len += n + 2;
}

void tp_log_put_number(struct tp_log_fields *f, const char *name, uint64_t n)
{
	char digits[NUMBER_MAX], *at = digits + sizeof(digits);

	do {
		*--at = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	put_name(f, name);
	put(f, at, (size_t)(digits + sizeof(digits) - at));
}

/* ---- strings ---- */

/* Length of the sequence that a first byte announces; 0 for none (RFC 3629 section 4). */
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

size_t tp_utf8_decode(const uint8_t *s, const uint8_t *end, uint32_t *out)
{
	static const uint32_t shortest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t i, n = sequence_len(s[0]);
	uint32_t c;

	if (n == 0 || n > (size_t)(end - s))
		return 0;
	c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < shortest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*out = c;
	return n;
}

static char *put_unit(char *to, uint32_t unit)
{
	*to++ = '\\';
	*to++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*to++ = upper_digits[unit >> shift & 0xf];
	return to;
}

/* RFC 8259 section 7. */
static char *escape(char *to, uint32_t c)
{
	/* clang-format off */
	static const char letters[128] = {
		['"'] = '"', ['\\'] = '\\',
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
	};
	/* clang-format on */

	if (c < sizeof(letters) && letters[c] != 0) {
		*to++ = '\\';
		*to++ = letters[c];
		return to;
	}
	if (c < 0x10000)
		return put_unit(to, c);
	c -= 0x10000;
	return put_unit(put_unit(to, 0xd800 | c >> 10), 0xdc00 | (c & 0x3ff));
}

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < DEL && c != '"' && c != '\\';
}

static bool is_text(const uint8_t *s, const uint8_t *end)
{
	size_t n;
	uint32_t c;

	for (; s < end; s += n) {
		n = tp_utf8_decode(s, end, &c);
		if (n == 0 || c == DEL)
			return false;
	}
	return true;
}

bool tp_log_put_string(struct tp_log_fields *f, const char *name, const char *bytes, size_t n)
{
	const uint8_t *s = (const uint8_t *)bytes, *end = s + n;
	uint32_t c;
	char *to;

	if (!is_text(s, end))
		return false;
	put_name(f, name);
	to = reserve(f, ESCAPED_MAX * n + 2);
	if (to == NULL)
		return true;
	*to++ = '"';
	while (s < end) {
		if (is_plain(*s)) {
			*to++ = (char)*s++;
			continue;
		}
		s += tp_utf8_decode(s, end, &c);
		to = escape(to, c);
	}
	*to++ = '"';
	f->len = (size_t)(to - f->text);
	return true;
}

void tp_log_put_hex(struct tp_log_fields *f, const char *name, const char *bytes, size_t n)
{
	char *to;

	put_name(f, name);
	to = reserve(f, 2 * n + 2);
	if (to == NULL)
		return;
	*to++ = '"';
	for (size_t i = 0; i < n; i++) {
		*to++ = lower_digits[(uint8_t)bytes[i] >> 4];
		*to++ = lower_digits[(uint8_t)bytes[i] & 0xf];
	}
	*to++ = '"';
	f->len = (size_t)(to - f->text);
}

/* ---- time ---- */

static char *put_digits(char *to, uint32_t n, int digits)
{
	for (int i = digits - 1; i >= 0; i--, n /= 10)
		to[i] = (char)('0' + n % 10);
	return to + digits;
}

/* Of the time of day and its date, the date is the same as the last time all but once a day. */
static char *put_date(char *to, uint64_t day)
{
	static _Thread_local uint64_t last_day = UINT64_MAX;
	static _Thread_local char last[11];
	time_t sec = (time_t)(day * 86400);
	struct tm tm;

	if (day != last_day) {
		gmtime_r(&sec, &tm);
		strftime(last, sizeof(last), "%Y-%m-%d", &tm);
		last_day = day;
	}
	memcpy(to, last, 10);
	return to + 10;
}

size_t tp_log_time(uint64_t wall_ns, char out[TP_LOG_TIME_STRLEN])
{
	uint64_t ms = wall_ns / TP_NS_PER_MS;
	uint32_t of_day = (uint32_t)(ms % 86400000);
	char *to = put_date(out, ms / 86400000);

	*to++ = 'T';
	to = put_digits(to, of_day / 3600000, 2);
	*to++ = ':';
	to = put_digits(to, of_day / 60000 % 60, 2);
	*to++ = ':';
	to = put_digits(to, of_day / 1000 % 60, 2);
	*to++ = '.';
	to = put_digits(to, of_day % 1000, 3);
	*to++ = 'Z';
	*to = '\0';
	return (size_t)(to - out);
}

void tp_log_put_time(struct tp_log_fields *f, const char *name, uint64_t wall_ns)
{
	char text[TP_LOG_TIME_STRLEN];
	size_t n = tp_log_time(wall_ns, text);

	put_name(f, name);
	put_quoted(f, text, n);
}

/* ---- addresses ---- */

void tp_log_put_address(struct tp_log_fields *f, const char *name, const struct tp_addr *a)
{
	char text[TP_ADDR_STRLEN];

	put_name(f, name);
	tp_addr_format(a, text);
	put_quoted(f, text, strlen(text));
}

void tp_log_begin_list(struct tp_log_fields *f, const char *name)
{
	put_name(f, name);
	put(f, "[", 1);
}

void tp_log_put_item(struct tp_log_fields *f, const struct tp_addr *a, bool has_port)
{
	char text[TP_ADDR_STRLEN];

	if (f->len > 0 && f->text[f->len - 1] != '[')
		put(f, ",", 1);
	if (has_port)
		tp_addr_format(a, text);
	else
		tp_addr_format_ip(a, text);
	put_quoted(f, text, strlen(text));
}

void tp_log_end_list(struct tp_log_fields *f)
{
	put(f, "]", 1);
}
