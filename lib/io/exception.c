/* SPDX-License-Identifier: Apache-2.0 */
#include "io/exception.h"

#include "base/log.h"
#include "io/tap.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_DEVICES 16
#define EVENTS 16
#define PER_TURN 64 /* frames of one source before the others have their turn */

enum source_kind {
	SOURCE_STOP,
	SOURCE_TAP,
	SOURCE_RING,
};

struct source {
	enum source_kind kind;
	struct device *device;
	struct tp_handoff *ring;
};

struct device {
	const char *name;
	int tap_fd;
	struct source tap, *rings;
	struct tp_handoff *from_kernel;
	uint32_t n_rings;
	uint32_t frame_bytes;
	uint8_t *room; /* PER_TURN frames */
	struct {       /* written by the thread, read by any */
#define X(name, help) _Atomic uint64_t name;
		TP_EXCEPTION_STATS(X)
#undef X
	} count;
};

struct tp_exception {
	struct device devices[MAX_DEVICES];
	uint32_t n_devices;
	int epoll_fd, stop_fd;
	struct source stop;
	pthread_t thread;
	bool is_running;
};

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			memory_order_relaxed);
}

/* ---- the thread ---- */

static void write_frame(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct device *device = ctx;

	add(write(device->tap_fd, frame, len) == (ssize_t)len ? &device->count.to_kernel
							      : &device->count.to_kernel_refused,
			1);
}

static void ring_ready(struct source *source)
{
	const uint64_t one = 1;

	/* More may wait: stay readable, so that the other sources have their turn. */
	if (tp_handoff_drain(source->ring, PER_TURN, write_frame, source->device) &&
			write(tp_handoff_fd(source->ring), &one, sizeof(one)) < 0) {
		/* Only a counter that is full refuses, and then it is readable. */
	}
}

/* Somebody has deleted the interface: the descriptor would be ready for ever. */
static void tap_gone(const struct tp_exception *e, const struct device *device)
{
	epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, device->tap_fd, NULL);
	tp_err("the interface %s is gone: nothing goes to the kernel or comes from there until a "
	       "restart",
			device->name);
}

static void tap_ready(const struct tp_exception *e, struct device *device)
{
	struct tp_frame frames[PER_TURN];
	uint32_t n, put;

	for (n = 0; n < PER_TURN; n++) {
		uint8_t *at = device->room + (size_t)n * device->frame_bytes;
		ssize_t len = read(device->tap_fd, at, device->frame_bytes);

		if (len < 0 && errno == EBADFD)
			tap_gone(e, device);
		if (len <= 0)
			break;
		frames[n] = (struct tp_frame){ .data = at, .len = (uint16_t)len };
	}
	put = tp_handoff_put(device->from_kernel, frames, n);
	add(&device->count.from_kernel, n);
	add(&device->count.from_kernel_full, n - put);
}

static void *run(void *arg)
{
	struct tp_exception *e = arg;
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(e->epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct source *source = events[i].data.ptr;

			if (source->kind == SOURCE_STOP)
				return NULL;
			if (source->kind == SOURCE_TAP)
				tap_ready(e, source->device);
			else
				ring_ready(source);
		}
	}
}

/* ---- life ---- */

static int watch(struct tp_exception *e, int fd, struct source *source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

	return epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int tp_exception_new(struct tp_exception **out)
{
	struct tp_exception *e = calloc(1, sizeof(*e));
	int rc;

	if (e == NULL)
		return -ENOMEM;
	e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	e->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rc = e->epoll_fd < 0 || e->stop_fd < 0 ? -errno : watch(e, e->stop_fd, &e->stop);
	if (rc < 0) {
		tp_exception_free(e);
		return rc;
	}
	*out = e;
	return 0;
}

static void device_fini(struct device *device)
{
	if (device->tap_fd >= 0)
		close(device->tap_fd);
	for (uint32_t i = 0; i < device->n_rings; i++)
		tp_handoff_free(device->rings[i].ring);
	tp_handoff_free(device->from_kernel);
	free(device->rings);
	free(device->room);
}

void tp_exception_free(struct tp_exception *e)
{
	const uint64_t one = 1;

	if (e == NULL)
		return;
	if (e->is_running && write(e->stop_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(e->thread, NULL);
	for (uint32_t i = 0; i < e->n_devices; i++)
		device_fini(&e->devices[i]);
	if (e->epoll_fd >= 0)
		close(e->epoll_fd);
	if (e->stop_fd >= 0)
		close(e->stop_fd);
	free(e);
}

static int device_init(struct device *device, const struct tp_exception_conf *conf)
{
	device->name = conf->name;
	device->tap_fd = conf->tap_fd;
	device->tap = (struct source){ .kind = SOURCE_TAP, .device = device };
	device->from_kernel = conf->from_kernel;
	device->frame_bytes = conf->frame_bytes;
	device->room = calloc(PER_TURN, conf->frame_bytes);
	device->rings = calloc(conf->n_to_kernel, sizeof(*device->rings));
	if (device->room == NULL || device->rings == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < conf->n_to_kernel; i++)
		device->rings[device->n_rings++] =
				(struct source){ SOURCE_RING, device, conf->to_kernel[i] };
	return 0;
}

int tp_exception_add(struct tp_exception *e, const struct tp_exception_conf *conf)
{
	struct device *device;
	int rc;

	assert(e->n_devices < MAX_DEVICES);
	device = &e->devices[e->n_devices++];
	rc = device_init(device, conf);
	if (rc < 0) {
		for (uint32_t i = device->n_rings; i < conf->n_to_kernel; i++)
			tp_handoff_free(conf->to_kernel[i]);
		return rc;
	}
	rc = watch(e, device->tap_fd, &device->tap);
	for (uint32_t i = 0; i < device->n_rings && rc == 0; i++)
		rc = watch(e, tp_handoff_fd(device->rings[i].ring), &device->rings[i]);
	return rc;
}

uint32_t tp_exception_count(const struct tp_exception *e)
{
	return e->n_devices;
}

int tp_exception_start(struct tp_exception *e)
{
	int rc = pthread_create(&e->thread, NULL, run, e);

	if (rc != 0)
		return -rc;
	pthread_setname_np(e->thread, "tp-exception");
	e->is_running = true;
	return 0;
}

void tp_exception_set_carrier(struct tp_exception *e, uint32_t n, bool is_up)
{
	tp_tap_set_carrier(e->devices[n].tap_fd, is_up);
}

/* ---- looking at it ---- */

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void tp_exception_stats(const struct tp_exception *e, uint32_t n, struct tp_exception_stats *out)
{
	const struct device *device = &e->devices[n];

#define X(name, help) out->name = load(&device->count.name);
	TP_EXCEPTION_STATS(X)
#undef X
}
