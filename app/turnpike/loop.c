/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <errno.h>
#include <unistd.h>

#define EVENTS_PER_ROUND 64

int tp_loop_init(struct tp_loop *loop, void (*woke)(void *ctx), void *ctx)
{
	*loop = (struct tp_loop){
		.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
		.woke = woke,
		.ctx = ctx,
	};
	return loop->epoll_fd < 0 ? -errno : 0;
}

void tp_loop_fini(struct tp_loop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

static int control(struct tp_loop *loop, int op, struct tp_source *source, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->epoll_fd, op, source->fd, &ev) < 0 ? -errno : 0;
}

int tp_loop_add(struct tp_loop *loop, struct tp_source *source, uint32_t events)
{
	return control(loop, EPOLL_CTL_ADD, source, events);
}

int tp_loop_change(struct tp_loop *loop, struct tp_source *source, uint32_t events)
{
	return control(loop, EPOLL_CTL_MOD, source, events);
}

void tp_loop_remove(struct tp_loop *loop, struct tp_source *source)
{
	if (source->fd >= 0)
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	for (int i = 0; i < loop->n_events; i++)
		if (loop->events[i].data.ptr == source)
			loop->events[i].data.ptr = NULL;
}

int tp_loop_run(struct tp_loop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_ROUND, timeout_ms);

	loop->woke(loop->ctx);
	if (n <= 0)
		return 0;
	loop->events = events;
	loop->n_events = n;
	for (int i = 0; i < n; i++) {
		struct tp_source *source = events[i].data.ptr;

		if (source != NULL)
			source->ready(source, events[i].events);
	}
	loop->events = NULL;
	loop->n_events = 0;
	return n;
}
