/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request - STUN requests answered: Binding, Allocate, Refresh, CreatePermission, ChannelBind.
 *
 * The order of checks is the RFCs': base checks and FINGERPRINT (done by the decoder),
 * authentication, unknown attributes, method (RFC 8489 section 6.3); a retransmission gets the
 * answer of the original.
 *
 * Private to lib/turn.  Threads: one.
 */
#ifndef TP_TURN_REQUEST_H
#define TP_TURN_REQUEST_H

#include "turn/allocation.h"

/**
 * Answer a request.
 *
 * @return TP_SLOW_ANSWERED, TP_SLOW_DROP_SEND, TP_SLOW_DROP_UNEXPECTED or, unauthenticated,
 *         TP_SLOW_DROP_SOURCE_RATE, _TOTAL_RATE or _TRY_RATE (see flood.h)
 */
enum tp_slow_verdict tp_request_answer(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_tuple *tuple, const struct tp_stun_msg *msg);

#endif
