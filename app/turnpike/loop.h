/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop - the control thread's event loop: descriptors that become ready, and a next deadline.
 *
 * Threads: control.
 */
#ifndef TP_APP_LOOP_H
#define TP_APP_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

/* Embedded in whatever owns a descriptor; lives until tp_loop_remove() returns. */
struct tp_source {
	int fd;
	void (*ready)(struct tp_source *source, uint32_t events);
};

struct tp_loop {
	int epoll_fd;
	struct epoll_event *events; /* of the round being dispatched */
	int n_events;
	void (*woke)(void *ctx); /* after each wait, before the sources: read the clock */
	void *ctx;
};

/** @return 0 or -errno */
int tp_loop_init(struct tp_loop *loop, void (*woke)(void *ctx), void *ctx);
void tp_loop_fini(struct tp_loop *loop);

/** Watch source->fd for EPOLL* events, level-triggered.  @return 0 or -errno */
int tp_loop_add(struct tp_loop *loop, struct tp_source *source, uint32_t events);
int tp_loop_change(struct tp_loop *loop, struct tp_source *source, uint32_t events);

/** Idempotent; the source will not be called again, not even in this round. */
void tp_loop_remove(struct tp_loop *loop, struct tp_source *source);

/** Wait up to timeout_ms (-1: for ever) and call what is ready.  @return sources called */
int tp_loop_run(struct tp_loop *loop, int timeout_ms);

#endif
