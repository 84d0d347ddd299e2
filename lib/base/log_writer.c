/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log_writer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* Of one write: so much that the system call costs nothing, and no more, so that it shows soon
 * whether the reader reads. */
#define CHUNK (64u << 10)

/* What is left of the backlog and moved rather than left where it is. */
#define LITTLE (16u << 10)

/* How long the first line waits for others: 200 times a second at most the CPU is taken from the
 * control thread, not for each line. */
#define NAP_NS (5 * TP_NS_PER_MS)

struct tp_log_writer {
	struct tp_log_writer_conf conf;
	char *ring;
	pthread_t thread;
	pthread_mutex_t lock;     /* of all below; never held in a system call that may block */
	pthread_cond_t has_work;  /* the thread waits for it */
	pthread_cond_t has_moved; /* bytes were written or given up */
	/* Bytes put and done with, since the thread last began at the beginning. */
	uint64_t head, tail;
	_Atomic uint64_t backlog; /* head - tail, for who has no lock */
	uint64_t n_lines, n_lost;
	uint64_t gap; /* lines lost and not yet reported: before the tail, or, losing, at the head
		       */
	uint64_t n_moves;  /* of the tail */
	uint64_t stall_ns; /* of who is patient; 0: nobody is */
	uint64_t stuck_at; /* n_moves when somebody's patience was at its end */
	uint32_t n_flushing;
	bool is_losing; /* it was full: nothing more until it is empty */
	bool is_idle;   /* the thread waits without end */
	bool is_writing;
	bool is_stopping;
	_Atomic bool is_left; /* nobody waits for the thread: it releases all this */

	/* The thread's own. */
	bool is_inside_line;  /* of what it wrote last, the end of the line is missing */
	bool wrote_only_part; /* the rest does not wait for more to come */
};

/* ---- all under the lock ---- */

static uint64_t used(const struct tp_log_writer *w)
{
	return w->head - w->tail;
}

static void tell_backlog(struct tp_log_writer *w)
{
	atomic_store_explicit(&w->backlog, used(w), memory_order_relaxed);
}

/* Of the thread alone, which otherwise reads here without the lock.  Once little is left, that goes
 * to the beginning, whose pages are there and in the caches: under steady load it is never nothing.
 */
static void done_with(struct tp_log_writer *w, size_t len)
{
	size_t left;

	w->tail += len;
	left = used(w);
	if (w->tail >= w->conf.size) {
		w->tail -= w->conf.size;
		w->head -= w->conf.size;
	}
	if (left <= LITTLE && left <= w->tail && w->head <= w->conf.size) {
		memcpy(w->ring, w->ring + w->tail, left);
		w->tail = 0;
		w->head = left;
	}
	tell_backlog(w);
}

static void copy_in(struct tp_log_writer *w, const char *data, size_t len)
{
	size_t at = w->head & (w->conf.size - 1), first = w->conf.size - at;

	if (first > len)
		first = len;
	memcpy(w->ring + at, data, first);
	memcpy(w->ring, data + first, len - first);
	w->head += len;
}

/* What there is from the tail on, in one or two parts.  @return parts */
static int parts(const struct tp_log_writer *w, size_t len, struct iovec part[2])
{
	size_t at = w->tail & (w->conf.size - 1), first = w->conf.size - at;

	if (first > len)
		first = len;
	part[0] = (struct iovec){ w->ring + at, first };
	part[1] = (struct iovec){ w->ring, len - first };
	return first < len ? 2 : 1;
}

static uint64_t count_lines(const struct iovec *part)
{
	const char *at = part->iov_base, *end = at + part->iov_len;
	uint64_t n = 0;

	while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		at++;
		n++;
	}
	return n;
}

/* Nobody takes them. */
static void give_up(struct tp_log_writer *w)
{
	struct iovec part[2];
	int n = parts(w, used(w), part);
	uint64_t lines = 0;

	for (int i = 0; i < n; i++)
		lines += count_lines(&part[i]);
	w->gap += lines;
	w->n_lost += lines;
	w->is_losing = false;
	done_with(w, used(w));
}

static bool has_work(const struct tp_log_writer *w)
{
	return used(w) > 0 || w->is_losing;
}

static bool is_urgent(const struct tp_log_writer *w)
{
	return w->is_stopping || w->n_flushing > 0 || w->is_losing || used(w) >= CHUNK ||
			used(w) > w->conf.size / 2;
}

static struct timespec in(uint64_t ns)
{
	uint64_t at = tp_clock_now_ns() + ns;

	return (struct timespec){ .tv_sec = (time_t)(at / TP_NS_PER_SEC),
		.tv_nsec = (long)(at % TP_NS_PER_SEC) };
}

/* Until the tail has moved.  @return whether it has: not within stall_ns */
static bool wait_for_move(struct tp_log_writer *w, uint64_t stall_ns)
{
	uint64_t moves = w->n_moves;
	struct timespec end = in(stall_ns);
	int rc = 0;

	while (rc == 0 && w->n_moves == moves)
		rc = pthread_cond_timedwait(&w->has_moved, &w->lock, &end);
	return w->n_moves != moves;
}

/* ---- the thread ---- */

static bool is_left(const struct tp_log_writer *w)
{
	return atomic_load_explicit(&w->is_left, memory_order_relaxed);
}

static void destroy(struct tp_log_writer *w)
{
	pthread_cond_destroy(&w->has_moved);
	pthread_cond_destroy(&w->has_work);
	pthread_mutex_destroy(&w->lock);
	munmap(w->ring, w->conf.size);
	free(w);
}

static void wait_for_work(struct tp_log_writer *w)
{
	struct timespec end;
	int rc = 0;

	while (!has_work(w) && !w->is_stopping) {
		w->is_idle = true;
		pthread_cond_wait(&w->has_work, &w->lock);
	}
	w->is_idle = false;
	if (w->wrote_only_part)
		return;
	end = in(NAP_NS);
	while (rc == 0 && !is_urgent(w))
		rc = pthread_cond_timedwait(&w->has_work, &w->lock, &end);
}

/* Without the lock.  @return bytes that were taken, or -errno */
static ssize_t write_parts(struct tp_log_writer *w, const struct iovec part[], int n)
{
	struct pollfd p = { .fd = w->conf.fd, .events = POLLOUT };
	ssize_t rc = writev(w->conf.fd, part, n);

	rc = rc < 0 ? -errno : rc;
	/* Somebody has made it non-blocking. */
	if (rc == -EAGAIN)
		poll(&p, 1, -1);
	if (rc == -EAGAIN || rc == -EINTR)
		return 0;
	/* Never: nothing would ever be done with it. */
	return rc == 0 ? -EIO : rc;
}

static char byte_at(const struct iovec part[], size_t at)
{
	if (at >= part[0].iov_len) {
		at -= part[0].iov_len;
		part++;
	}
	return ((const char *)part->iov_base)[at];
}

/* Of more than a chunk, so many bytes that they end with a line; or, of one that is longer, a part.
 */
static size_t chunk_bytes(struct tp_log_writer *w)
{
	struct iovec part[2];
	size_t n = used(w);

	if (n <= CHUNK)
		return n;
	parts(w, CHUNK, part);
	for (n = CHUNK; n > 0; n--)
		if (byte_at(part, n - 1) == '\n')
			return n;
	return CHUNK;
}

static void write_lines(struct tp_log_writer *w)
{
	size_t len = chunk_bytes(w);
	struct iovec part[2];
	int n = parts(w, len, part);
	ssize_t done;

	pthread_mutex_unlock(&w->lock);
	done = write_parts(w, part, n);
	if (done > 0)
		w->is_inside_line = byte_at(part, (size_t)done - 1) != '\n';
	pthread_mutex_lock(&w->lock);
	w->wrote_only_part = done >= 0 && (size_t)done < len;
	if (done < 0)
		give_up(w);
	else
		done_with(w, (size_t)done);
	if (done != 0)
		w->n_moves++;
}

/* All of it, on a line of its own.  @return whether it was taken */
static bool write_whole(struct tp_log_writer *w, const char *line, size_t len)
{
	struct iovec part = { (char *)(uintptr_t)line, len };
	ssize_t done = 0;

	while (done >= 0 && part.iov_len > 0 && !is_left(w)) {
		done = write_parts(w, &part, 1);
		if (done <= 0)
			continue;
		part.iov_base = (char *)part.iov_base + done;
		part.iov_len -= (size_t)done;
		w->is_inside_line = part.iov_len > 0;
	}
	return done >= 0;
}

static void write_report(struct tp_log_writer *w)
{
	char line[1 + TP_LOG_REPORT_MAX] = "\n";
	uint64_t n = w->gap;
	bool is_done;
	size_t len;

	pthread_mutex_unlock(&w->lock);
	len = w->conf.report(n, line + 1);
	assert(len <= TP_LOG_REPORT_MAX);
	is_done = w->is_inside_line ? write_whole(w, line, len + 1) : write_whole(w, line + 1, len);
	pthread_mutex_lock(&w->lock);
	if (is_done)
		w->gap -= n;
	else
		give_up(w);
	w->n_moves++;
}

static void *writer_main(void *arg)
{
	struct tp_log_writer *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		wait_for_work(w);
		if (!has_work(w) || is_left(w))
			break;
		if (used(w) == 0)
			w->is_losing = false;
		w->is_writing = true;
		if (w->gap > 0 && !w->is_losing)
			write_report(w);
		else
			write_lines(w);
		w->is_writing = false;
		pthread_cond_broadcast(&w->has_moved);
	}
	pthread_mutex_unlock(&w->lock);
	if (is_left(w))
		destroy(w);
	return NULL;
}

/* ---- for all ---- */

static int start_thread(struct tp_log_writer *w)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&w->thread, NULL, writer_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0)
		pthread_setname_np(w->thread, "log");
	return -rc;
}

int tp_log_writer_new(const struct tp_log_writer_conf *conf, struct tp_log_writer **out)
{
	struct tp_log_writer *w;
	pthread_condattr_t attr;
	int rc;

	if (conf->size == 0 || (conf->size & (conf->size - 1)) != 0)
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->conf = *conf;
	w->stuck_at = UINT64_MAX;
	w->ring = mmap(NULL, conf->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	if (w->ring == MAP_FAILED) {
		free(w);
		return -ENOMEM;
	}
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->has_work, &attr);
	pthread_cond_init(&w->has_moved, &attr);
	pthread_condattr_destroy(&attr);
	rc = start_thread(w);
	if (rc < 0) {
		destroy(w);
		return rc;
	}
	*out = w;
	return 0;
}

static bool has_room(const struct tp_log_writer *w, size_t len)
{
	return !w->is_losing && w->conf.size - used(w) >= len;
}

void tp_log_writer_put(struct tp_log_writer *w, const struct iovec part[], int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += part[i].iov_len;
	pthread_mutex_lock(&w->lock);
	while (w->stall_ns > 0 && len <= w->conf.size && !has_room(w, len))
		/* Once it stands still, nobody waits again. */
		if (!wait_for_move(w, w->stall_ns)) {
			w->stall_ns = 0;
			w->stuck_at = w->n_moves;
		}
	if (has_room(w, len)) {
		for (int i = 0; i < n; i++)
			copy_in(w, part[i].iov_base, part[i].iov_len);
		w->n_lines++;
		tell_backlog(w);
	} else {
		w->is_losing = true;
		w->n_lost++;
		w->gap++;
	}
	if (w->is_idle || is_urgent(w))
		pthread_cond_signal(&w->has_work);
	w->is_idle = false;
	pthread_mutex_unlock(&w->lock);
}

void tp_log_writer_be_patient(struct tp_log_writer *w, uint64_t stall_ns)
{
	pthread_mutex_lock(&w->lock);
	w->stall_ns = stall_ns;
	pthread_mutex_unlock(&w->lock);
}

bool tp_log_writer_flush(struct tp_log_writer *w, uint64_t stall_ns)
{
	bool goes_on = true;

	pthread_mutex_lock(&w->lock);
	w->n_flushing++;
	pthread_cond_signal(&w->has_work);
	while (goes_on && (has_work(w) || w->is_writing))
		goes_on = w->n_moves != w->stuck_at && wait_for_move(w, stall_ns);
	w->n_flushing--;
	pthread_mutex_unlock(&w->lock);
	return goes_on;
}

uint64_t tp_log_writer_backlog(const struct tp_log_writer *w)
{
	return atomic_load_explicit(&w->backlog, memory_order_relaxed);
}

void tp_log_writer_stats(struct tp_log_writer *w, struct tp_log_writer_stats *out)
{
	pthread_mutex_lock(&w->lock);
	*out = (struct tp_log_writer_stats){ w->n_lines, w->n_lost, used(w) };
	pthread_mutex_unlock(&w->lock);
}

void tp_log_writer_free(struct tp_log_writer *w, uint64_t stall_ns)
{
	bool is_done = tp_log_writer_flush(w, stall_ns);

	pthread_mutex_lock(&w->lock);
	w->is_stopping = true;
	atomic_store_explicit(&w->is_left, !is_done, memory_order_relaxed);
	if (!is_done)
		pthread_detach(w->thread);
	pthread_cond_signal(&w->has_work);
	pthread_mutex_unlock(&w->lock);
	if (!is_done)
		return;
	pthread_join(w->thread, NULL);
	destroy(w);
}
