/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log - lines to stderr, as text or as one JSON object a line.
 *
 * Workers never log per packet.  Messages are for people; what a machine reads is in fields.
 *
 * A line is written at once, by its caller; after tp_log_start() by a thread of its own (see
 * log_writer.h), so that nobody waits for whoever reads stderr, and what he does not take in time
 * is lost, counted, and said.
 *
 * Threads: any, but for set-up, start and stop.
 */
#ifndef TP_BASE_LOG_H
#define TP_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log_fields.h"
#include "base/log_writer.h"

enum tp_log_level {
	TP_LOG_ERROR,
	TP_LOG_WARN,
	TP_LOG_INFO,
	TP_LOG_DEBUG,
};

enum tp_log_format {
	TP_LOG_TEXT, /* "turnpike: warning: ..." */
	TP_LOG_JSON, /* {"time":"2026-01-31T12:00:00.123Z","level":"warning","message":"..."} */
};

/** Set the format and the most verbose level written; call before threads start. */
void tp_log_setup(enum tp_log_format format, enum tp_log_level max_level);

/**
 * From now on a thread of its own writes: on the calling thread's CPUs, with what privileges it has
 * left.  What waits is written at exit(), too, and as well as it can be within two seconds before a
 * fatal signal ends the process.
 *
 * @return 0, or -E: lines are written by who logs them, as before
 */
int tp_log_start(void);

/** The end has come: from now on a line waits for room while there is none, rather than be lost, as
 *  long as something is written every two seconds. */
void tp_log_wait(void);

/** Write what waits, for as long as something is written every two seconds, and end the thread; no
 *  other thread logs any more.  Idempotent; lines are written by who logs them again. */
void tp_log_stop(void);

/** Since the start of the process. */
void tp_log_stats(struct tp_log_writer_stats *out);

/** Is a message of this level written?  For who would have to prepare it. */
bool tp_log_writes(enum tp_log_level level);

/** printf-like; the message carries no newline.  Longer than 1,000 bytes is cut. */
void tp_log(enum tp_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Begin the fields of a record, in the format that is set up; tp_log_fields_fini() releases them.
 */
void tp_log_record_init(struct tp_log_fields *fields);

/**
 * A record for machines, at level TP_LOG_INFO: as JSON, `message` is the event and the fields stand
 * beside it; as text, the event and then name=value, each value as JSON.  Of any length.
 *
 * @param event   what happened, [a-z_]
 * @param fields  none of them time, level or message
 * @return 0, or -ENOMEM: there is no record
 */
int tp_log_record(const char *event, const struct tp_log_fields *fields);

#define tp_err(...) tp_log(TP_LOG_ERROR, __VA_ARGS__)
#define tp_warn(...) tp_log(TP_LOG_WARN, __VA_ARGS__)
#define tp_info(...) tp_log(TP_LOG_INFO, __VA_ARGS__)
#define tp_debug(...) tp_log(TP_LOG_DEBUG, __VA_ARGS__)

#endif
