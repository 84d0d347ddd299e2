/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem - a port that is an array: tests, fuzzers and benchmarks put frames in and take frames out.
 *
 * A fixed pool of chunks with the headroom of an AF_XDP chunk; the same audit.  mem ports take
 * each other's frames; so none is closed while another still has its chunks.
 *
 * Threads: one.
 */
#ifndef TP_IO_MEM_H
#define TP_IO_MEM_H

#include "io/port.h"

#define TP_MEM_CHUNK 2048
#define TP_MEM_HEADROOM 256

/** @return 0, -EINVAL or -ENOMEM; *out is released with tp_port_close() */
int tp_mem_new(uint16_t index, uint32_t chunks, struct tp_port **out);

/** Make a frame that the next rx returns.  @return 0, -ENOBUFS (no chunk) or -EMSGSIZE */
int tp_mem_inject(struct tp_port *port, const void *frame, uint32_t len);

/** Take the oldest frame sent.  @return its length, 0 when there is none, -EMSGSIZE: room too small
 */
int tp_mem_collect(struct tp_port *port, void *out, uint32_t room);

/** Let only the next n frames be sent; tx refuses the rest until changed.  UINT32_MAX: no limit */
void tp_mem_limit_tx(struct tp_port *port, uint32_t n);

/** @return chunks of this port that are neither free, waiting for rx nor sent: held by the caller
 */
uint32_t tp_mem_held(const struct tp_port *port);

#endif
