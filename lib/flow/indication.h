/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indication - Send and Data indications (RFC 8656 section 11) as workers read and write them.
 *
 * Read is what clients send all the time: XOR-PEER-ADDRESS and DATA in either order, FINGERPRINT
 * behind them or not, and nothing else.  Whatever else a Send indication may be (DONT-FRAGMENT,
 * attributes that we do not know, lengths that lie) is for the kernel path, which has the last
 * word.
 *
 *     between the UDP header and the data of a Data indication: IPv4  IPv6
 *     STUN header 20, XOR-PEER-ADDRESS 4 + 8 or 20, DATA's 4      36    48
 *
 * Threads: pure functions; a tp_tid_source belongs to one thread.
 */
#ifndef TP_FLOW_INDICATION_H
#define TP_FLOW_INDICATION_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/verdict.h"
#include "flow/flow.h"
#include "flow/rewrite.h"
#include "wire/stun.h"

#define TP_INDICATION_LEN4 36
#define TP_INDICATION_LEN6 48

/*
 * Transaction ids of Data indications.  Nobody answers them, so what counts is that no two are the
 * same and that who has not seen any can not guess one: a counter through a keyed bijection.
 */
struct tp_tid_source {
	uint64_t count, key[2];
};

/** Unpredictable from here on. */
void tp_tid_seed(struct tp_tid_source *source);

/* Bijective (splitmix64's finalizer): the ids of one source are all different. */
static inline uint64_t tp_tid_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline void tp_tid_next(struct tp_tid_source *source, uint8_t tid[TP_STUN_TID_LEN])
{
	uint64_t a = tp_tid_mix(source->count++ + source->key[0]);
	uint32_t b = (uint32_t)tp_tid_mix(a ^ source->key[1]);

	memcpy(tid, &a, sizeof(a));
	memcpy(tid + sizeof(a), &b, sizeof(b));
}

/**
 * Take a datagram to a listener for a Send indication; *p has a checked view.
 *
 * @param[in,out] p  on TP_FORWARD: head_len, data_len and what is of a Send indication only
 * @return TP_FORWARD, or TP_PUNT: something else, or more than a worker understands
 */
enum tp_verdict tp_send_classify(const uint8_t *frame, struct tp_parsed *p);

/** Is the FINGERPRINT, if there is one, right?  Reads it all: only for who has a flow. */
bool tp_send_fingerprint_ok(const uint8_t *frame, const struct tp_parsed *p);

/** The key of a Send indication that tp_send_classify() accepted. */
void tp_send_key_form(
		const uint8_t *frame, const struct tp_parsed *p, struct tp_flow_send_key *key);

/** Bytes that a Data indication of this flow puts in front of the data. */
static inline uint32_t tp_data_head_len(const struct tp_flow *out)
{
	return (out->flags & TP_FLOW_IN6) ? TP_INDICATION_LEN6 : TP_INDICATION_LEN4;
}

/**
 * Write them.
 *
 * @param peer    key of the peer's family whose src and src_port_be are the peer
 * @param out     room for TP_INDICATION_LEN6 bytes
 */
void tp_data_head(uint8_t *out, const union tp_flow_key *peer, bool is_peer6, uint16_t data_len,
		struct tp_tid_source *tids);

#endif
