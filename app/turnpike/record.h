/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record - what is logged of an allocation, so that it can be said long after who used a relayed
 * address and whom it reached (RFC 8656 section 21.3.2).
 *
 * Names of users are whatever bytes a client chose: they stand in a JSON string, or, if they are
 * not UTF-8 or have a DEL in them, as `user_hex`.
 *
 * Threads: control.  All return a new reference; NULL: out of memory.
 */
#ifndef TP_APP_RECORD_H
#define TP_APP_RECORD_H

#include <jansson.h>

#include "flow/account.h"
#include "turn/turn.h"

/** Set `user`, or `user_hex`.  @return 0, or -1: out of memory */
int tp_record_put_user(json_t *to, const struct tp_allocation_info *info);

/** `up_packets`, `up_bytes`, `down_packets`, `down_bytes`.  @return 0, or -1: out of memory */
int tp_record_add_sum(json_t *to, const struct tp_account_sum *sum);

json_t *tp_record_start(const struct tp_allocation_info *info);

/** Peers that had permissions before. */
json_t *tp_record_peers(
		const struct tp_allocation_info *info, const struct tp_addr peers[], uint32_t n);

/** The end; tp_record_add_sum() is due. */
json_t *tp_record_end(const struct tp_allocation_info *info, const struct tp_addr peers[],
		uint32_t n, enum tp_turn_end why, uint64_t now_ns);

#endif
