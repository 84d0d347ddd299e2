/* SPDX-License-Identifier: Apache-2.0 */
#include "io/handoff.h"

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

#define TAKE_BURST 64

struct slot {
	uint32_t len;
	uint8_t data[];
};

struct tp_handoff {
	struct rte_ring *full, *empty; /* struct slot *: putter to taker, and back */
	int event_fd;
	uint32_t slot_bytes;
	uint8_t *memory;
	/*
	 * The taker sets it when it found the ring empty, and looks once more; the putter clears it
	 * after an enqueue.  A full fence on both sides keeps each store before the load that
	 * follows it, so one of them sees the other.
	 */
	alignas(64) _Atomic bool is_sleeping;
};

static int rings_new(struct tp_handoff *h, const char *name)
{
	char text[RTE_RING_NAMESIZE];

	snprintf(text, sizeof(text), "%s_full", name);
	h->full = rte_ring_create(text, TP_HANDOFF_SLOTS, SOCKET_ID_ANY,
			RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
	snprintf(text, sizeof(text), "%s_empty", name);
	h->empty = rte_ring_create(text, TP_HANDOFF_SLOTS, SOCKET_ID_ANY,
			RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
	return h->full != NULL && h->empty != NULL ? 0 : -ENOMEM;
}

int tp_handoff_new(const char *name, uint32_t bytes, struct tp_handoff **out)
{
	struct tp_handoff *h = aligned_alloc(64, sizeof(*h));
	int rc;

	if (h == NULL)
		return -ENOMEM;
	*h = (struct tp_handoff){ .event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	rc = h->event_fd < 0 ? -errno : rings_new(h, name);
	h->slot_bytes = bytes;
	if (rc == 0) {
		size_t stride = (sizeof(struct slot) + bytes + 63) & ~(size_t)63;

		assert(h->empty != NULL);
		h->memory = aligned_alloc(64, stride * TP_HANDOFF_SLOTS);
		for (size_t i = 0; h->memory != NULL && i < TP_HANDOFF_SLOTS; i++)
			rte_ring_enqueue(h->empty, h->memory + i * stride);
		rc = h->memory == NULL ? -ENOMEM : 0;
	}
	if (rc < 0) {
		tp_handoff_free(h);
		return rc;
	}
	atomic_store(&h->is_sleeping, true);
	*out = h;
	return 0;
}

void tp_handoff_free(struct tp_handoff *h)
{
	if (h == NULL)
		return;
	rte_ring_free(h->full);
	rte_ring_free(h->empty);
	if (h->event_fd >= 0)
		close(h->event_fd);
	free(h->memory);
	free(h);
}

static void wake(struct tp_handoff *h)
{
	const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst); /* with the one in tp_handoff_arm() */
	if (atomic_exchange(&h->is_sleeping, false) &&
			write(h->event_fd, &one, sizeof(one)) != sizeof(one))
		atomic_store(&h->is_sleeping, true); /* try again at the next frame */
}

uint32_t tp_handoff_put(struct tp_handoff *h, const struct tp_frame frames[], uint32_t n)
{
	void *slots[TP_BURST];
	uint32_t i;

	assert(n <= TP_BURST);
	if (n == 0)
		return 0;
	n = rte_ring_dequeue_burst(h->empty, slots, n, NULL);
	for (i = 0; i < n; i++) {
		struct slot *s = slots[i];

		/* A frame larger than the slot is the caller's mistake. */
		assert(frames[i].len <= h->slot_bytes);
		s->len = frames[i].len;
		memcpy(s->data, frames[i].data, frames[i].len);
	}
	if (n > 0) {
		unsigned done = rte_ring_enqueue_bulk(h->full, slots, n, NULL);

		assert(done == n); /* as many slots as the ring holds */
		(void)done;
		wake(h);
	}
	return n;
}

int tp_handoff_fd(const struct tp_handoff *h)
{
	return h->event_fd;
}

static uint32_t take_burst(struct tp_handoff *h, uint32_t max, tp_handoff_take_fn *take, void *ctx)
{
	void *slots[TAKE_BURST];
	uint32_t n;

	n = rte_ring_dequeue_burst(h->full, slots, max < TAKE_BURST ? max : TAKE_BURST, NULL);
	for (uint32_t i = 0; i < n; i++) {
		const struct slot *s = slots[i];

		take(ctx, s->data, s->len);
	}
	if (n > 0)
		rte_ring_enqueue_bulk(h->empty, slots, n, NULL);
	return n;
}

uint32_t tp_handoff_poll(struct tp_handoff *h, uint32_t max, tp_handoff_take_fn *take, void *ctx)
{
	uint32_t n, total = 0;

	do {
		n = take_burst(h, max - total, take, ctx);
		total += n;
	} while (n > 0 && total < max);
	return total;
}

bool tp_handoff_arm(struct tp_handoff *h)
{
	atomic_store(&h->is_sleeping, true);
	atomic_thread_fence(memory_order_seq_cst); /* with the one in wake() */
	/* A frame that came before the flag was seen would not wake us. */
	if (rte_ring_empty(h->full))
		return true;
	atomic_store(&h->is_sleeping, false);
	return false;
}

static bool take_event(struct tp_handoff *h)
{
	uint64_t events;

	return read(h->event_fd, &events, sizeof(events)) >= 0 || errno == EAGAIN;
}

void tp_handoff_disarm(struct tp_handoff *h)
{
	/* Who cleared the flag wrote, or is about to: then the next sleep is a short one. */
	if (!atomic_exchange(&h->is_sleeping, false))
		take_event(h);
}

bool tp_handoff_drain(struct tp_handoff *h, uint32_t max, tp_handoff_take_fn *take, void *ctx)
{
	if (!take_event(h))
		return false;
	return tp_handoff_poll(h, max, take, ctx) == max || !tp_handoff_arm(h);
}
