/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record - what is logged of an allocation, so that it can be said long after who used a relayed
 * address and whom it reached (RFC 8656 section 21.3.2).
 *
 * Names of users are whatever bytes a client chose: they stand in a JSON string, or, if they are
 * not UTF-8 or have a DEL in them, as `user_hex`.
 *
 * Threads: control.  What has no memory breaks the record, which tells when it is logged.
 */
#ifndef TP_APP_RECORD_H
#define TP_APP_RECORD_H

#include "base/log_fields.h"
#include "flow/account.h"
#include "turn/turn.h"

void tp_record_put_start(struct tp_log_fields *to, const struct tp_allocation_info *info);

/** Peers that had permissions before. */
void tp_record_put_peers(struct tp_log_fields *to, const struct tp_allocation_info *info,
		const struct tp_addr peers[], uint32_t n);

/** The client is at another five-tuple now (RFC 8016). */
void tp_record_put_moved(struct tp_log_fields *to, const struct tp_allocation_info *info,
		const struct tp_tuple *from);

/** The end; tp_record_put_sum() is due. */
void tp_record_put_end(struct tp_log_fields *to, const struct tp_allocation_info *info,
		const struct tp_addr peers[], uint32_t n, enum tp_turn_end why, uint64_t now_ns);

/** `up_packets`, `up_bytes`, `down_packets`, `down_bytes` */
void tp_record_put_sum(struct tp_log_fields *to, const struct tp_account_sum *sum);

#endif
