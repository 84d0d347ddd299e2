/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_private - one request on its way to its answer, for the files that answer them.
 *
 * request.c authenticates and dispatches; allocate.c and permit.c hold the methods.
 *
 * Private to lib/turn.  Threads: one.
 */
#ifndef TP_TURN_REQUEST_PRIVATE_H
#define TP_TURN_REQUEST_PRIVATE_H

#include "base/clock.h"
#include "turn/auth.h"
#include "turn/request.h"
#include "wire/stun_build.h"

/* Realm and nonce, two relayed addresses and the rest: well below. */
#define TP_ANSWER_MAX 1500

struct tp_request {
	struct tp_turn *turn;
	const struct tp_turn_now *now;
	const struct tp_tuple *tuple;
	const struct tp_stun_msg *msg;
	struct tp_allocation *alloc; /* of the tuple, or NULL */
	struct tp_credentials who;   /* with a key once authenticated: the answer is signed */
	bool is_proven;              /* a nonce of ours came from this address and port */
	bool is_charged;             /* an answer without MESSAGE-INTEGRITY may go out */
	struct tp_stun_builder b;
	uint8_t buf[TP_ANSWER_MAX];
};

static inline uint64_t tp_request_deadline_ns(const struct tp_request *rq, uint32_t seconds)
{
	return rq->now->mono_ns + seconds * TP_NS_PER_SEC;
}

/** Start an answer of this class in rq->b. */
void tp_request_begin(struct tp_request *rq, enum tp_stun_class class);

/** Put ERROR-CODE, and count it. */
static inline void tp_request_put_error(struct tp_request *rq, enum tp_stun_err err)
{
	rq->turn->refused.code[err - TP_TURN_ERROR_MIN]++;
	tp_stun_put_error(&rq->b, err);
}

/**
 * May an answer without MESSAGE-INTEGRITY go out?  Asked before work is done for it; what was not
 * asked, tp_request_finish() asks.
 *
 * @return TP_SLOW_ANSWERED, or the verdict of a request that is dropped instead
 */
enum tp_slow_verdict tp_request_charge(struct tp_request *rq);

/** Add what every answer ends with, and send it. */
enum tp_slow_verdict tp_request_finish(struct tp_request *rq);

/** An error answer and nothing more. */
enum tp_slow_verdict tp_request_refuse(struct tp_request *rq, enum tp_stun_err err);

/** Is the allocation of the tuple the requester's? */
bool tp_request_is_owner(const struct tp_request *rq);

/** RFC 8656 section 7.2. */
enum tp_slow_verdict tp_request_allocate(struct tp_request *rq);
/** Section 8.2. */
enum tp_slow_verdict tp_request_refresh(struct tp_request *rq);
/** Section 10.2. */
enum tp_slow_verdict tp_request_create_permission(struct tp_request *rq);
/** Section 12.2. */
enum tp_slow_verdict tp_request_channel_bind(struct tp_request *rq);

#endif
