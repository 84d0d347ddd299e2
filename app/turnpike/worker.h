/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker - one core: receive, pipeline, send, for ever.
 *
 * Owns its ports (one queue of each of its interfaces), their UMEM and its punt ring; shares only
 * the flow table, read under tp_grace.  Runs to completion; sleeps only when idle and told it may.
 *
 * Threads: created, started, stopped and freed by control; the rest is the worker's own.
 */
#ifndef TP_APP_WORKER_H
#define TP_APP_WORKER_H

#include <stdint.h>

#include "conf.h"
#include "flow/flow.h"
#include "flow/pipeline.h"
#include "io/handoff.h"
#include "io/port.h"
#include "io/umem.h"

#define TP_WORKER_MAX_PORTS 16

struct tp_worker;

struct tp_worker_conf {
	uint32_t id; /* from 0; reader id in grace, lcore id + 1 */
	uint32_t cpu;
	enum tp_idle idle;
	struct tp_grace *grace;
	const struct tp_flow_table *flows;
	struct tp_tally *tally; /* borrowed; its own */
	struct tp_classify_conf classify;
	struct tp_umem *umem;   /* of its AF_XDP ports; owned from then on, also on failure */
	struct tp_port **ports; /* owned likewise; the array is copied */
	uint32_t n_ports;
	uint32_t frame_bytes; /* largest frame */
};

/** @return 0 or -E; on error umem and ports are released too */
int tp_worker_new(const struct tp_worker_conf *conf, struct tp_worker **out);

/** Run it on its lcore.  @return 0 or -EBUSY */
int tp_worker_start(struct tp_worker *w);

/** Stop and wait for it; idempotent. */
void tp_worker_stop(struct tp_worker *w);

/** Stop, close the ports, free. */
void tp_worker_free(struct tp_worker *w);

uint32_t tp_worker_cpu(const struct tp_worker *w);
enum tp_idle tp_worker_idle(const struct tp_worker *w);
const struct tp_pipe_stats *tp_worker_stats(const struct tp_worker *w);
struct tp_handoff *tp_worker_punt(const struct tp_worker *w);
uint32_t tp_worker_ports(const struct tp_worker *w);
const struct tp_port *tp_worker_port(const struct tp_worker *w, uint32_t i);

/*
 * Chunks of its UMEM: all, and where they were when last looked at (once per idle period or 1,024
 * bursts, always between two bursts: free and those in rings are all there are).
 */
struct tp_worker_umem {
	uint32_t chunks, free, in_rings;
};

void tp_worker_umem(const struct tp_worker *w, struct tp_worker_umem *out);

/** Frames that were copied, because they came from one driver's memory and left by another's. */
uint64_t tp_worker_copied(const struct tp_worker *w);

/** Time spent in rounds that received frames, from looking at the ports to having sent; ns. */
uint64_t tp_worker_busy_ns(const struct tp_worker *w);

#endif
