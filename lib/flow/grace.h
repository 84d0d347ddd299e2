/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grace - when may memory that workers could still be reading be used again?
 *
 * QSBR (DPDK's rte_rcu_qsbr) with a FIFO of things waiting: the writer unlinks an object, retires
 * it here, and frees it once every reader has been quiescent.  Nothing ever waits: a reader
 * that stalls only delays reuse.
 *
 * Threads: one writer (control); readers 0..max_readers-1, each its own id.
 */
#ifndef TP_FLOW_GRACE_H
#define TP_FLOW_GRACE_H

#include <stdint.h>

struct tp_grace;

/** @return 0, -EINVAL or -ENOMEM */
int tp_grace_new(uint32_t max_readers, struct tp_grace **out);

/** Frees everything still waiting; no reader may be online. */
void tp_grace_free(struct tp_grace *g);

/* Reader side.  Between online and offline a reader holds references until it is quiescent. */
void tp_grace_reader_register(struct tp_grace *g, uint32_t reader);
void tp_grace_reader_unregister(struct tp_grace *g, uint32_t reader);
void tp_grace_online(struct tp_grace *g, uint32_t reader);
void tp_grace_offline(struct tp_grace *g, uint32_t reader);
void tp_grace_quiescent(struct tp_grace *g, uint32_t reader);

/**
 * Writer: call release(ctx, obj) once no reader can hold obj.  obj is already unreachable for new
 * readers.  Falls back to waiting for the readers when memory for the queue is short.
 */
void tp_grace_retire(
		struct tp_grace *g, void (*release)(void *ctx, void *obj), void *ctx, void *obj);

/** Writer: release what is due, never waits.  @return how many are still waiting */
uint32_t tp_grace_reclaim(struct tp_grace *g);

#endif
