/* SPDX-License-Identifier: Apache-2.0 */
#include "accounting.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "record.h"

/* With so many records waiting we look whether the workers have gone on: thousands may end at once.
 */
#define RECLAIM_EVERY 64

/* An allocation that ended. */
struct ending {
	struct tp_account_closing closing; /* first */
	json_t *record;                    /* without what was relayed */
};

struct tp_accounting {
	struct tp_accounts *accounts;
	struct tp_tally *tally; /* the kernel path's */
	struct tp_grace *grace;
	bool has_records;
	struct ending *ending; /* between `ended` and `account_closed` of one allocation */
	uint32_t n_closed;     /* since workers were last looked at */
};

int tp_accounting_new(const struct tp_accounting_conf *conf, struct tp_accounting **out)
{
	const struct tp_accounts_conf ac = {
		/* As many may wait for workers as live; address space. */
		.max_accounts = 2 * conf->max_allocations,
		.n_tallies = conf->n_workers + 1,
		.grace = conf->grace,
		.limits = conf->limits,
	};
	struct tp_accounting *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL)
		return -ENOMEM;
	rc = tp_accounts_new(&ac, &a->accounts);
	if (rc < 0) {
		free(a);
		return rc;
	}
	a->tally = tp_accounts_tally(a->accounts, conf->n_workers);
	a->grace = conf->grace;
	a->has_records = conf->has_records;
	*out = a;
	return 0;
}

void tp_accounting_free(struct tp_accounting *a)
{
	if (a == NULL)
		return;
	assert(a->ending == NULL);
	tp_accounts_free(a->accounts);
	free(a);
}

struct tp_accounts *tp_accounting_accounts(struct tp_accounting *a)
{
	return a->accounts;
}

/* ---- what is relayed ---- */

int tp_accounting_opened(struct tp_accounting *a, uint32_t *account)
{
	return tp_account_open(a->accounts, account);
}

bool tp_accounting_admits(struct tp_accounting *a, uint32_t account, bool is_up, size_t data_len,
		enum tp_family peer_family, uint64_t now_ns)
{
	assert(data_len <= UINT16_MAX);
	return tp_tally_admit(a->tally, tp_account_at(account, is_up), (uint16_t)data_len,
			peer_family == TP_IPV6, now_ns);
}

void tp_accounting_relayed(struct tp_accounting *a, uint32_t account, bool is_up, size_t data_len)
{
	tp_tally_count(a->tally, tp_account_at(account, is_up), (uint16_t)data_len);
}

/* ---- records ---- */

static bool writes(const struct tp_accounting *a)
{
	return a->has_records && tp_log_writes(TP_LOG_INFO);
}

/* Out of memory: a record less, and said so. */
static void lost(const struct tp_allocation_info *info)
{
	tp_err("no memory for a record of allocation %llu", (unsigned long long)info->id);
}

static void write_record(const char *event, json_t *record, const struct tp_allocation_info *info)
{
	if (record == NULL) {
		lost(info);
		return;
	}
	tp_log_record(event, record);
	json_decref(record);
}

void tp_accounting_allocated(struct tp_accounting *a, const struct tp_turn *turn,
		const struct tp_allocation *alloc)
{
	struct tp_allocation_info info;

	if (!writes(a))
		return;
	tp_allocation_info(turn, alloc, &info);
	write_record("allocation_start", tp_record_start(&info), &info);
}

void tp_accounting_peers_past(struct tp_accounting *a, const struct tp_turn *turn,
		const struct tp_allocation *alloc, const struct tp_addr peers[], uint32_t n)
{
	struct tp_allocation_info info;

	if (!writes(a))
		return;
	tp_allocation_info(turn, alloc, &info);
	write_record("allocation_peers", tp_record_peers(&info, peers, n), &info);
}

/* Those that one record has no room for go before it. */
static json_t *end_record(struct tp_accounting *a, const struct tp_turn *turn,
		const struct tp_allocation *alloc, const struct tp_allocation_info *info,
		enum tp_turn_end why, uint64_t now_ns)
{
	uint32_t i = 0, n = tp_allocation_peers(alloc, NULL, 0);
	struct tp_addr *peers = calloc(n + 1u, sizeof(*peers));
	json_t *record = NULL;

	if (peers == NULL)
		return NULL;
	tp_allocation_peers(alloc, peers, n);
	for (; n - i > TP_TURN_PAST_PEERS; i += TP_TURN_PAST_PEERS)
		tp_accounting_peers_past(a, turn, alloc, peers + i, TP_TURN_PAST_PEERS);
	record = tp_record_end(info, peers + i, n - i, why, now_ns);
	free(peers);
	return record;
}

void tp_accounting_ended(struct tp_accounting *a, const struct tp_turn *turn,
		const struct tp_allocation *alloc, enum tp_turn_end why, uint64_t now_ns)
{
	struct tp_allocation_info info;
	struct ending *ending;

	assert(a->ending == NULL);
	if (!writes(a))
		return;
	tp_allocation_info(turn, alloc, &info);
	ending = calloc(1, sizeof(*ending));
	if (ending != NULL)
		ending->record = end_record(a, turn, alloc, &info, why, now_ns);
	if (ending == NULL || ending->record == NULL) {
		lost(&info);
		free(ending);
		return;
	}
	a->ending = ending;
}

static void ending_done(struct tp_account_closing *closing, const struct tp_account_sum *sum)
{
	struct ending *ending = (struct ending *)closing;

	tp_record_add_sum(ending->record, sum);
	tp_log_record("allocation_end", ending->record);
	json_decref(ending->record);
	free(ending);
}

void tp_accounting_closed(struct tp_accounting *a, uint32_t account)
{
	struct ending *ending = a->ending;

	a->ending = NULL;
	if (ending != NULL)
		ending->closing.done = ending_done;
	tp_account_close(a->accounts, account, ending == NULL ? NULL : &ending->closing);
	if (a->grace != NULL && ++a->n_closed % RECLAIM_EVERY == 0)
		tp_grace_reclaim(a->grace);
}
