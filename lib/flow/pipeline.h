/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline - one burst of frames: classify, look up, rewrite, and one verdict for each.
 *
 * Three passes, each with one kind of memory access for all packets, so that cache misses
 * overlap.  Knows neither driver nor thread: the worker, tests, fuzzers and benchmarks call it
 * with frames from wherever they have them.
 *
 * Threads: one pipe, one thread.
 */
#ifndef TP_FLOW_PIPELINE_H
#define TP_FLOW_PIPELINE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/verdict.h"
#include "flow/account.h"
#include "flow/flow.h"
#include "flow/frame.h"
#include "flow/indication.h"
#include "flow/rewrite.h"

/*
 * in family, out family, direction; hairpin: client's family in, other client's family out.  Send
 * and Data are up and down by indications, the last ones hairpins with one at either end or both.
 */
/* clang-format off */
#define TP_PATHS(X)                     \
	X(UP_44,      "up_4to4")        \
	X(UP_46,      "up_4to6")        \
	X(UP_64,      "up_6to4")        \
	X(UP_66,      "up_6to6")        \
	X(DOWN_44,    "down_4to4")      \
	X(DOWN_46,    "down_4to6")      \
	X(DOWN_64,    "down_6to4")      \
	X(DOWN_66,    "down_6to6")      \
	X(HAIRPIN_44, "hairpin_4to4")   \
	X(HAIRPIN_46, "hairpin_4to6")   \
	X(HAIRPIN_64, "hairpin_6to4")   \
	X(HAIRPIN_66, "hairpin_6to6")   \
	X(SEND_44,    "send_4to4")      \
	X(SEND_46,    "send_4to6")      \
	X(SEND_64,    "send_6to4")      \
	X(SEND_66,    "send_6to6")      \
	X(DATA_44,    "data_4to4")      \
	X(DATA_46,    "data_4to6")      \
	X(DATA_64,    "data_6to4")      \
	X(DATA_66,    "data_6to6")      \
	X(HAIRPIN_INDICATION_44, "hairpin_indication_4to4") \
	X(HAIRPIN_INDICATION_46, "hairpin_indication_4to6") \
	X(HAIRPIN_INDICATION_64, "hairpin_indication_6to4") \
	X(HAIRPIN_INDICATION_66, "hairpin_indication_6to6")
/* clang-format on */

enum tp_path {
#define X(name, text) TP_PATH_##name,
	TP_PATHS(X)
#undef X
	TP_PATH_COUNT
};

/** Static name, [a-z0-9_]. */
const char *tp_path_name(enum tp_path path);

/*
 * Written by one worker, read by the control thread: plain stores that cannot tear, no locked
 * instruction.  Sum of verdict == rx_pkts whenever the worker is between bursts.
 */
struct tp_pipe_stats {
	alignas(64) _Atomic uint64_t rx_pkts;
	_Atomic uint64_t rx_bytes;
	_Atomic uint64_t tx_bytes; /* of forwarded frames */
	_Atomic uint64_t verdict[TP_VERDICT_COUNT];
	_Atomic uint64_t path[TP_PATH_COUNT]; /* frames rewritten, by path; includes DROP_TX_FULL */
};

static inline void tp_stat_add(_Atomic uint64_t *counter, uint64_t n)
{
	/* One writer: no read-modify-write is needed, only a store that does not tear. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			memory_order_relaxed);
}

struct tp_pipe {
	const struct tp_flow_table *flows; /* borrowed */
	struct tp_classify_conf classify;
	uint64_t egress_ports; /* bit i: can send on interface i; what leaves elsewhere is punted */
	uint16_t ip_id;        /* next IPv4 identification */
	struct tp_tid_source tids; /* of Data indications; seed it */
	struct tp_tally *tally;    /* borrowed; NULL: nothing is counted, nothing limited */
	struct tp_pipe_stats stats;
};

/* Whose a frame is: tp_account_at() of the flow that found it and of the one by which it leaves. */
struct tp_charge {
	uint32_t in_at, out_at; /* the same but on a hairpin */
	uint16_t data_len;
};

/* Where the frames of a burst went.  The caller sends, hands over or frees them. */
struct tp_pipe_out {
	uint32_t n_forward, n_punt, n_dead;
	struct tp_frame forward[TP_BURST]; /* .port is the egress port */
	struct tp_charge charge[TP_BURST]; /* of forward[] */
	struct tp_frame punt[TP_BURST];    /* as received */
	struct tp_frame dead[TP_BURST];    /* already counted under their reason */
};

/**
 * Run one burst, n <= TP_BURST.
 *
 * Counts rx_pkts, rx_bytes, path and the drops of `dead`.  The caller counts the rest, since only
 * it knows: TP_FORWARD and tx_bytes, or TP_DROP_TX_FULL, for each of `forward`; TP_PUNT or
 * TP_DROP_PUNT_FULL for each of `punt`.  In accounts all of `forward` are counted:
 * tp_pipe_uncount() those that could not be sent.
 */
void tp_pipe_burst(struct tp_pipe *pipe, const struct tp_frame frames[], uint32_t n,
		uint64_t now_ns, struct tp_pipe_out *out);

/** Frame i of out->forward was not sent. */
void tp_pipe_uncount(struct tp_pipe *pipe, const struct tp_pipe_out *out, uint32_t i);

#endif
