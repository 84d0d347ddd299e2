/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_fields - the fields of a record, composed as they are given: ` name=value` as text,
 * `,"name":value` as JSON; a value is JSON in both, and ASCII whatever it is made of.
 *
 * Not with jansson, which builds a tree of allocations first: a record took 5 to 7 us, half of what
 * the control thread did for an allocation.
 *
 * Names are ours, [a-z_]; no name twice.  Running out of memory is remembered, and told at the end.
 *
 * Threads: the caller's.  Memory: grows as needed.
 */
#ifndef TP_BASE_LOG_FIELDS_H
#define TP_BASE_LOG_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct tp_log_fields {
	char *text; /* not terminated */
	size_t len, size;
	bool is_json;
	bool is_broken; /* out of memory: not a record any more */
};

/** Released with tp_log_fields_fini(). */
void tp_log_fields_init(struct tp_log_fields *f, bool is_json);
void tp_log_fields_fini(struct tp_log_fields *f);

void tp_log_put_number(struct tp_log_fields *f, const char *name, uint64_t n);

/**
 * Bytes as a string.
 *
 * @return false if they are not UTF-8 (RFC 3629 section 4), or have a DEL among them, which JSON
 *         leaves as it is and a terminal does not: nothing is put then
 */
bool tp_log_put_string(struct tp_log_fields *f, const char *name, const char *bytes, size_t n);

/** Bytes as hexadecimal digits. */
void tp_log_put_hex(struct tp_log_fields *f, const char *name, const char *bytes, size_t n);

/** RFC 3339, UTC, milliseconds.  @param wall_ns  CLOCK_REALTIME */
void tp_log_put_time(struct tp_log_fields *f, const char *name, uint64_t wall_ns);

void tp_log_put_address(struct tp_log_fields *f, const char *name, const struct tp_addr *a);

/** A list of strings: begin, any number of items, end.  has_port: as tp_addr_format(), or the
 *  address alone. */
void tp_log_begin_list(struct tp_log_fields *f, const char *name);
void tp_log_put_item(struct tp_log_fields *f, const struct tp_addr *a, bool has_port);
void tp_log_end_list(struct tp_log_fields *f);

#define TP_LOG_TIME_STRLEN 32

/** As tp_log_put_time(), terminated.  @return its length */
size_t tp_log_time(uint64_t wall_ns, char out[TP_LOG_TIME_STRLEN]);

/** Length of the UTF-8 sequence at s, before end, and what it stands for; 0 if it is none. */
size_t tp_utf8_decode(const uint8_t *s, const uint8_t *end, uint32_t *c);

#endif
