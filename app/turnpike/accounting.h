/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accounting - the allocations' accounts, their limits, and the records of their beginning and end.
 *
 * The end of an allocation is logged when its counters are final: once every worker has finished
 * the burst that it had in hand, some microseconds later, or when one that stands still goes on.
 *
 * Threads: control.  Memory: an allocation that ended has its record until it is written.
 */
#ifndef TP_APP_ACCOUNTING_H
#define TP_APP_ACCOUNTING_H

#include "flow/account.h"
#include "turn/turn.h"

struct tp_accounting;

struct tp_accounting_conf {
	uint32_t max_allocations;
	uint32_t n_workers;     /* tallies 0 to n_workers - 1 are theirs */
	struct tp_grace *grace; /* borrowed; NULL: no workers */
	struct tp_meter_conf limits;
	bool has_records; /* log beginnings and ends */
};

/** @return 0, -EINVAL or -ENOMEM; *out is released with tp_accounting_free() */
int tp_accounting_new(const struct tp_accounting_conf *conf, struct tp_accounting **out);

/** After the workers are gone and tp_grace_reclaim() has seen it, which writes the last records. */
void tp_accounting_free(struct tp_accounting *accounting);

struct tp_accounts *tp_accounting_accounts(struct tp_accounting *accounting);

/* As in tp_turn_ops. */

int tp_accounting_opened(struct tp_accounting *accounting, uint32_t *account);
void tp_accounting_closed(struct tp_accounting *accounting, uint32_t account);
bool tp_accounting_admits(struct tp_accounting *accounting, uint32_t account, bool is_up,
		size_t data_len, enum tp_family peer_family, uint64_t now_ns);
void tp_accounting_relayed(
		struct tp_accounting *accounting, uint32_t account, bool is_up, size_t data_len);
void tp_accounting_allocated(struct tp_accounting *accounting, const struct tp_turn *turn,
		const struct tp_allocation *alloc);
void tp_accounting_moved(struct tp_accounting *accounting, const struct tp_turn *turn,
		const struct tp_allocation *alloc, const struct tp_tuple *from);
void tp_accounting_ended(struct tp_accounting *accounting, const struct tp_turn *turn,
		const struct tp_allocation *alloc, enum tp_turn_end why, uint64_t now_ns);
void tp_accounting_peers_past(struct tp_accounting *accounting, const struct tp_turn *turn,
		const struct tp_allocation *alloc, const struct tp_addr peers[], uint32_t n);

#endif
