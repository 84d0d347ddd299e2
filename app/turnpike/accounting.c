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

/* Of most allocations: no memory is fetched to list them. */
#define FEW_PEERS 16

/* An allocation that ended. */
struct ending {
	struct tp_account_closing closing; /* first */
	struct tp_log_fields record;       /* without what was relayed */
	uint64_t id;                       /* of the allocation */
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
static void lost(uint64_t id)
{
	tp_err("no memory for a record of allocation %llu", (unsigned long long)id);
}

static void write_record(const char *event, struct tp_log_fields *record, uint64_t id)
{
	if (tp_log_record(event, record) < 0)
		lost(id);
	tp_log_fields_fini(record);
}

void tp_accounting_allocated(struct tp_accounting *a, const struct tp_turn *turn,
		const struct tp_allocation *alloc)
{
	struct tp_allocation_info info;
	struct tp_log_fields record;

	if (!writes(a))
		return;
	tp_allocation_info(turn, alloc, &info);
	tp_log_record_init(&record);
	tp_record_put_start(&record, &info);
	write_record("allocation_start", &record, info.id);
}

void tp_accounting_moved(struct tp_accounting *a, const struct tp_turn *turn,
		const struct tp_allocation *alloc, const struct tp_tuple *from)
{
	struct tp_allocation_info info;
	struct tp_log_fields record;

	if (!writes(a))
		return;
	tp_allocation_info(turn, alloc, &info);
	tp_log_record_init(&record);
	tp_record_put_moved(&record, &info, from);
	write_record("allocation_moved", &record, info.id);
}

void tp_accounting_peers_past(struct tp_accounting *a, const struct tp_turn *turn,
		const struct tp_allocation *alloc, const struct tp_addr peers[], uint32_t n)
{
	struct tp_allocation_info info;
	struct tp_log_fields record;

	if (!writes(a))
		return;
	tp_allocation_info(turn, alloc, &info);
	tp_log_record_init(&record);
	tp_record_put_peers(&record, &info, peers, n);
	write_record("allocation_peers", &record, info.id);
}

/* Those that one record has no room for go before it.  @return 0 or -ENOMEM */
static int put_end(struct tp_accounting *a, const struct tp_turn *turn,
		const struct tp_allocation *alloc, struct ending *ending, enum tp_turn_end why,
		uint64_t now_ns)
{
	uint32_t i = 0, n = tp_allocation_peers(alloc, NULL, 0);
	struct tp_addr few[FEW_PEERS], *peers = few;
	struct tp_allocation_info info;

	if (n > FEW_PEERS)
		peers = calloc(n, sizeof(*peers));
	if (peers == NULL)
		return -ENOMEM;
	tp_allocation_info(turn, alloc, &info);
	tp_allocation_peers(alloc, peers, n);
	for (; n - i > TP_TURN_PAST_PEERS; i += TP_TURN_PAST_PEERS)
		tp_accounting_peers_past(a, turn, alloc, peers + i, TP_TURN_PAST_PEERS);
	tp_record_put_end(&ending->record, &info, peers + i, n - i, why, now_ns);
	if (peers != few)
		free(peers);
	return 0;
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
	ending = malloc(sizeof(*ending));
	if (ending == NULL) {
		lost(info.id);
		return;
	}
	*ending = (struct ending){ .id = info.id };
	tp_log_record_init(&ending->record);
	if (put_end(a, turn, alloc, ending, why, now_ns) < 0) {
		lost(info.id);
		free(ending);
		return;
	}
	a->ending = ending;
}

static void ending_done(struct tp_account_closing *closing, const struct tp_account_sum *sum)
{
	struct ending *ending = (struct ending *)closing;

	tp_record_put_sum(&ending->record, sum);
	write_record("allocation_end", &ending->record, ending->id);
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
