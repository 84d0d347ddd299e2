/* SPDX-License-Identifier: Apache-2.0 */
#include "punt.h"

#include <assert.h>
#include <errno.h>
#include <rte_ring.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DRAIN_BURST 64

struct slot {
	uint32_t len;
	uint8_t data[];
};

struct tp_punt {
	struct rte_ring *full, *empty; /* struct slot *: worker to control, and back */
	int event_fd;
	uint32_t slot_bytes;
	uint8_t *memory;
	/*
	 * Control sets it when it found the ring empty, and looks once more; the worker clears it
	 * after an enqueue.  A full fence on both sides keeps each store before the load that
	 * follows it, so one of them sees the other.
	 */
	alignas(64) _Atomic bool is_sleeping;
};

static int rings_new(struct tp_punt *p, const char *name)
{
	char text[RTE_RING_NAMESIZE];

	snprintf(text, sizeof(text), "%s_full", name);
	p->full = rte_ring_create(text, TP_PUNT_SLOTS, SOCKET_ID_ANY,
			RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
	snprintf(text, sizeof(text), "%s_empty", name);
	p->empty = rte_ring_create(text, TP_PUNT_SLOTS, SOCKET_ID_ANY,
			RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
	return p->full != NULL && p->empty != NULL ? 0 : -ENOMEM;
}

int tp_punt_new(const char *name, uint32_t bytes, struct tp_punt **out)
{
	struct tp_punt *p = aligned_alloc(64, sizeof(*p));
	int rc;

	if (p == NULL)
		return -ENOMEM;
	*p = (struct tp_punt){ .event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	rc = p->event_fd < 0 ? -errno : rings_new(p, name);
	p->slot_bytes = bytes;
	if (rc == 0) {
		size_t stride = (sizeof(struct slot) + bytes + 63) & ~(size_t)63;

		assert(p->empty != NULL);
		p->memory = aligned_alloc(64, stride * TP_PUNT_SLOTS);
		for (size_t i = 0; p->memory != NULL && i < TP_PUNT_SLOTS; i++)
			rte_ring_enqueue(p->empty, p->memory + i * stride);
		rc = p->memory == NULL ? -ENOMEM : 0;
	}
	if (rc < 0) {
		tp_punt_free(p);
		return rc;
	}
	atomic_store(&p->is_sleeping, true);
	*out = p;
	return 0;
}

void tp_punt_free(struct tp_punt *punt)
{
	if (punt == NULL)
		return;
	rte_ring_free(punt->full);
	rte_ring_free(punt->empty);
	if (punt->event_fd >= 0)
		close(punt->event_fd);
	free(punt->memory);
	free(punt);
}

static void wake(struct tp_punt *p)
{
	const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst); /* with the one in tp_punt_drain() */
	if (atomic_exchange(&p->is_sleeping, false) &&
			write(p->event_fd, &one, sizeof(one)) != sizeof(one))
		atomic_store(&p->is_sleeping, true); /* try again at the next frame */
}

uint32_t tp_punt_put(struct tp_punt *punt, const struct tp_frame frames[], uint32_t n)
{
	void *slots[TP_BURST];
	uint32_t i;

	assert(n <= TP_BURST);
	if (n == 0)
		return 0;
	n = rte_ring_dequeue_burst(punt->empty, slots, n, NULL);
	for (i = 0; i < n; i++) {
		struct slot *s = slots[i];

		/* A frame larger than the slot can not come out of the worker's own chunks. */
		assert(frames[i].len <= punt->slot_bytes);
		s->len = frames[i].len;
		memcpy(s->data, frames[i].data, frames[i].len);
	}
	if (n > 0) {
		unsigned done = rte_ring_enqueue_bulk(punt->full, slots, n, NULL);

		assert(done == n); /* as many slots as the ring holds */
		(void)done;
		wake(punt);
	}
	return n;
}

int tp_punt_fd(const struct tp_punt *punt)
{
	return punt->event_fd;
}

static uint32_t drain_burst(struct tp_punt *p, uint32_t max,
		void (*take)(void *ctx, const uint8_t *frame, uint32_t len), void *ctx)
{
	void *slots[DRAIN_BURST];
	uint32_t n;

	n = rte_ring_dequeue_burst(p->full, slots, max < DRAIN_BURST ? max : DRAIN_BURST, NULL);
	for (uint32_t i = 0; i < n; i++) {
		const struct slot *s = slots[i];

		take(ctx, s->data, s->len);
	}
	if (n > 0)
		rte_ring_enqueue_bulk(p->empty, slots, n, NULL);
	return n;
}

int tp_punt_drain(struct tp_punt *punt, uint32_t max,
		void (*take)(void *ctx, const uint8_t *frame, uint32_t len), void *ctx)
{
	uint64_t events;
	uint32_t n, total = 0;

	if (read(punt->event_fd, &events, sizeof(events)) < 0 && errno != EAGAIN)
		return 0;
	do {
		n = drain_burst(punt, max - total, take, ctx);
		total += n;
	} while (n > 0 && total < max);
	if (total == max)
		return 1;
	atomic_store(&punt->is_sleeping, true);
	atomic_thread_fence(memory_order_seq_cst); /* with the one in wake() */
	/* A frame that came before the flag was seen would not wake us. */
	if (rte_ring_empty(punt->full))
		return 0;
	atomic_store(&punt->is_sleeping, false);
	return 1;
}
