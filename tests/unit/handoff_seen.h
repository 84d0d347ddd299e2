/* SPDX-License-Identifier: Apache-2.0 */
/* handoff_seen - what waited in a handoff: how many frames, and the last of them. */
#ifndef TP_TESTS_UNIT_HANDOFF_SEEN_H
#define TP_TESTS_UNIT_HANDOFF_SEEN_H

#include "../lab.h"

#include "io/handoff.h"

struct seen {
	uint32_t n, len;
	uint8_t frame[LAB_FRAME_MAX];
};

static inline void seen_take(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct seen *s = ctx;

	assert_true(len <= sizeof(s->frame));
	s->n++;
	s->len = len;
	memcpy(s->frame, frame, len);
}

/** Take all that waits. */
static inline struct seen seen_in(struct tp_handoff *handoff)
{
	struct seen s = { 0 };

	tp_handoff_poll(handoff, TP_HANDOFF_SLOTS, seen_take, &s);
	return s;
}

#endif
