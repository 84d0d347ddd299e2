/* SPDX-License-Identifier: Apache-2.0 */
/*
 * account - packets and bytes of each allocation, exact, each direction for itself.
 *
 * What is counted, by workers and by the kernel path alike: a packet is one datagram that was
 * relayed, its bytes are those of the application data, without anything around them: so neither
 * families nor ChannelData, indications or fragments make a difference.  Relay to relay counts
 * twice, up for the allocation that it comes from and down for the other.
 *
 * Each thread that relays has a tally: an array of words of its own, one for each account and
 * direction, so that no cache line is shared.  A word has packets and bytes in one, to be added to
 * by one store; before either is full, some 30 million packets or 100 GB later, they go over to
 * counters that all share.
 *
 * An account that is closed may still be counted in for the burst that a worker has in hand.  Its
 * sum is final, and its number used again, when every worker has been quiescent.
 *
 * Threads: control opens, closes and sums up; a tally is its thread's.
 * Memory:  address space is reserved in tp_accounts_new(); pages cost memory as they are used: 16
 *          bytes for each account and tally, and what a meter has.
 */
#ifndef TP_FLOW_ACCOUNT_H
#define TP_FLOW_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/grace.h"
#include "flow/meter.h"

#define TP_ACCOUNT_NONE 0 /* counted like any other, and never asked for */

struct tp_accounts;

struct tp_accounts_conf {
	uint32_t max_accounts;  /* 1..2^30; open, or closed and not yet quiescent */
	uint32_t n_tallies;     /* at least 1 */
	struct tp_grace *grace; /* borrowed; outlives the accounts.  NULL: no workers */
	struct tp_meter_conf limits;
};

/* Index of one direction of an account, in all arrays of them. */
static inline uint32_t tp_account_at(uint32_t account, bool is_up)
{
	return account * 2 + is_up;
}

#define TP_WORD_BYTE_BITS 38
#define TP_WORD_PACKET (1ull << TP_WORD_BYTE_BITS)
#define TP_WORD_BYTES (TP_WORD_PACKET - 1)
/* The highest bit of either half: the next 65,535 bytes still fit. */
#define TP_WORD_FULL (1ull << 63 | 1ull << (TP_WORD_BYTE_BITS - 1))

/* One thread's. */
struct tp_tally {
	_Atomic uint64_t *words;    /* by tp_account_at(): packets and bytes */
	struct tp_metered *metered; /* NULL: no limits */
	struct tp_accounts *accounts;
};

/* Both, or what is of one direction. */
struct tp_account_sum {
	struct {
		uint64_t pkts, bytes;
	} up, down; /* client to peer, and back */
};

/* The caller's, from tp_account_close() until done() was called; then it may free it. */
struct tp_account_closing {
	void (*done)(struct tp_account_closing *closing, const struct tp_account_sum *sum);
	uint32_t account; /* set by tp_account_close() */
};

/** @return 0, -EINVAL or -ENOMEM; *out is released with tp_accounts_free() */
int tp_accounts_new(const struct tp_accounts_conf *conf, struct tp_accounts **out);

/** No account waits for readers any more: after tp_grace_reclaim() without any online. */
void tp_accounts_free(struct tp_accounts *accounts);

/** The tally of a thread, n < n_tallies; borrowed. */
struct tp_tally *tp_accounts_tally(struct tp_accounts *accounts, uint32_t n);

/**
 * Open an account, all zero.
 *
 * @param[out] account  its number, not 0
 * @return 0 or -ENOSPC: max_accounts are open or wait for readers
 */
int tp_account_open(struct tp_accounts *accounts, uint32_t *account);

/**
 * Close an account that no flow has any more.  closing->done() gets the final sum: at once where
 * there are no workers, else from a later tp_grace_reclaim().
 *
 * @param closing  with done set; NULL: nobody wants to know
 */
void tp_account_close(
		struct tp_accounts *accounts, uint32_t account, struct tp_account_closing *closing);

/** What was relayed so far; of what workers have in hand, all or nothing of each packet. */
void tp_account_sum(
		const struct tp_accounts *accounts, uint32_t account, struct tp_account_sum *out);

/** Move a word that is full to the shared counters. */
void tp_tally_spill(struct tp_tally *tally, uint32_t at);

/** Its thread: a datagram was relayed. */
static inline void tp_tally_count(struct tp_tally *tally, uint32_t at, uint16_t data_len)
{
	_Atomic uint64_t *word = &tally->words[at];
	/* One writer: a store that does not tear is enough. */
	uint64_t value = atomic_load_explicit(word, memory_order_relaxed) + TP_WORD_PACKET +
			data_len;

	atomic_store_explicit(word, value, memory_order_relaxed);
	if (__builtin_expect((value & TP_WORD_FULL) != 0, false))
		tp_tally_spill(tally, at);
}

/** Its thread: a datagram that was counted was not relayed after all. */
void tp_tally_uncount(struct tp_tally *tally, uint32_t at, uint16_t data_len);

/**
 * Its thread, before a datagram is relayed: does the limit let it pass?  If so it is taken.
 *
 * @param now_ns  CLOCK_MONOTONIC
 */
static inline bool tp_tally_admit(struct tp_tally *tally, uint32_t at, uint16_t data_len,
		bool is_peer6, uint64_t now_ns)
{
	return tally->metered == NULL ||
			tp_metered_take(tally->metered, at, tp_meter_bytes(data_len, is_peer6),
					now_ns);
}

#endif
