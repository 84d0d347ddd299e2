/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter - how many packets and bits a second an allocation may have relayed.
 *
 * Each direction of an allocation has the limits for itself, so that a peer that floods a client
 * does not silence it.  A packet is one datagram; its bits are those of the IP packet that it is
 * between relay and peer: data, UDP header and IPv4's 20 or IPv6's 40 bytes.  So small packets are
 * no way around the limit, and what is between client and relay does not matter.
 *
 * In any t seconds, over all threads together, no more is admitted than rate x t, and
 *     a quarter of a second's worth, but at least 16 packets and 128 KiB: the burst;
 *     a thousandth of a second's worth and one packet, for each thread: what it has on lease.
 *
 * Workers share a bucket for each account and direction, from which they lease a millisecond's
 * worth at a time: the line that is shared is written a thousand times a second and not once a
 * packet.  (rte_meter's one bucket would be written for each.)  Who has nothing left on lease and
 * finds the bucket empty only reads it.  The bucket is GCRA in units of what is limited: what has
 * been used up so far, never less than what a clock has made available at this rate since boot.
 *
 * Threads: a tp_metered is its thread's; control resets.
 * Memory:  only where there are limits: 32 bytes for each account, and 16 for each of its threads.
 */
#ifndef TP_FLOW_METER_H
#define TP_FLOW_METER_H

#include <stdbool.h>
#include <stdint.h>

#define TP_METER_BPS_MAX 1000000000000ull

struct tp_meter;

/* Of each account and direction; 0: no limit. */
struct tp_meter_conf {
	uint64_t bps; /* bits of IP packets a second; at most TP_METER_BPS_MAX */
	uint32_t pps;
};

/* On lease and not used yet; of what has no limit, any number. */
struct tp_lease {
	uint32_t pkts, bytes;
};

/* One thread's. */
struct tp_metered {
	struct tp_lease *leases; /* by tp_account_at() */
	struct tp_meter *meter;
	/* What the clock has made available until now_ns. */
	uint64_t now_ns, pkts_due, bytes_due;
};

/** @return 0, -EINVAL or -ENOMEM; *out is released with tp_meter_free() */
int tp_meter_new(const struct tp_meter_conf *conf, uint32_t max_accounts, uint32_t n_threads,
		struct tp_meter **out);
void tp_meter_free(struct tp_meter *meter);

/** Of a thread, n < n_threads; borrowed. */
struct tp_metered *tp_meter_thread(struct tp_meter *meter, uint32_t n);

/** Control: as new.  No thread uses the account. */
void tp_meter_reset(struct tp_meter *meter, uint32_t account);

/** Bytes of the IP packet between relay and peer. */
static inline uint32_t tp_meter_bytes(uint16_t data_len, bool is_peer6)
{
	return data_len + (is_peer6 ? 48u : 28u);
}

/** Lease anew for a packet, and take it. */
bool tp_metered_lease(struct tp_metered *m, uint32_t at, uint32_t bytes, uint64_t now_ns);

/** Take a packet of so many bytes.  @return false: beyond a limit, and none was taken */
static inline bool tp_metered_take(
		struct tp_metered *m, uint32_t at, uint32_t bytes, uint64_t now_ns)
{
	struct tp_lease *lease = &m->leases[at];

	if (__builtin_expect(lease->pkts == 0 || lease->bytes < bytes, false))
		return tp_metered_lease(m, at, bytes, now_ns);
	lease->pkts--;
	lease->bytes -= bytes;
	return true;
}

#endif
