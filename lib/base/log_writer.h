/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_writer - lines on their way to a descriptor, without waiting for whoever reads there.
 *
 * A thread of its own writes, so that a reader who does not read, or a disk that is slow, stops
 * that thread and no other.  Rejected: writing without blocking from the event loop; O_NONBLOCK
 * does nothing for a file, it would be set for everyone who has the same pipe or terminal, and
 * poll() promises no more than one page of a pipe.
 *
 * Lines that come within some milliseconds are written together.  When the backlog is full, lines
 * are counted and left out until all before them is written; then one line says how many, where
 * they would have been.  What a write that fails (the reader is gone, the disk is full) takes with
 * it is counted and reported likewise, by the next write that does not fail.
 *
 * Threads: any may put; one makes, flushes and frees.
 * Memory:  all of it in tp_log_writer_new(); pages that no backlog ever needed are never touched.
 */
#ifndef TP_BASE_LOG_WRITER_H
#define TP_BASE_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define TP_LOG_REPORT_MAX 256

struct tp_log_writer;

struct tp_log_writer_conf {
	int fd;      /* borrowed; blocking or not */
	size_t size; /* bytes of the backlog: a power of two, of pages */
	/* Compose the line that stands for n_lost others, newline included.  @return its bytes */
	size_t (*report)(uint64_t n_lost, char line[TP_LOG_REPORT_MAX]);
};

struct tp_log_writer_stats {
	uint64_t lines;         /* taken, whether written by now or not */
	uint64_t lost;          /* not taken, or taken and not written */
	uint64_t backlog_bytes; /* now */
};

/**
 * Make one, and its thread: with all signals blocked, on the CPUs of the calling thread.
 *
 * @return 0, -EINVAL (size), -ENOMEM or -EAGAIN (no thread); *out is released with
 *         tp_log_writer_free()
 */
int tp_log_writer_new(const struct tp_log_writer_conf *conf, struct tp_log_writer **out);

/** Take a line that is in parts, the last of which ends with its only newline. */
void tp_log_writer_put(struct tp_log_writer *w, const struct iovec part[], int n);

/** From now on tp_log_writer_put() waits for room, as long as something is written within stall_ns;
 *  for the end, when nobody waits for who waits. */
void tp_log_writer_be_patient(struct tp_log_writer *w, uint64_t stall_ns);

/** Wait until everything is written.  @return whether it is: not if for stall_ns nothing was, or if
 *  nothing was since tp_log_writer_put() waited in vain */
bool tp_log_writer_flush(struct tp_log_writer *w, uint64_t stall_ns);

/** Bytes of the backlog; async-signal-safe. */
uint64_t tp_log_writer_backlog(const struct tp_log_writer *w);

void tp_log_writer_stats(struct tp_log_writer *w, struct tp_log_writer_stats *out);

/**
 * Flush, and end the thread; nobody puts any more.  What for stall_ns nobody takes is lost: the
 * thread is left in its write, and when that comes back, releases what it has and ends.
 */
void tp_log_writer_free(struct tp_log_writer *w, uint64_t stall_ns);

#endif
