/* SPDX-License-Identifier: Apache-2.0 */
#include "io/steer_conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define TRIES 10000 /* one in a few will do even for the most addresses */

static struct tp_bpf_addr bpf_addr(const struct tp_addr *a)
{
	struct tp_bpf_addr b = { .is_v6 = a->family == TP_IPV6, .relay = TP_BPF_NO_RELAY };

	memcpy(b.ip, a->ip, sizeof(b.ip));
	return b;
}

/* Find or add an address.  @return its index, -1 when there are too many */
static int intern_addr(struct tp_bpf_conf *out, const struct tp_addr *a)
{
	struct tp_bpf_addr b = bpf_addr(a);
	uint32_t i;

	for (i = 0; i < out->n_addrs; i++)
		if (out->addr[i].is_v6 == b.is_v6 &&
				memcmp(out->addr[i].ip, b.ip, sizeof(b.ip)) == 0)
			return (int)i;
	if (out->n_addrs == TP_BPF_MAX_ADDRS)
		return -1;
	out->addr[out->n_addrs] = b;
	return (int)out->n_addrs++;
}

static int too_many_addrs(struct tp_why *why)
{
	return tp_why_set(why, -E2BIG, "more than %d local addresses", TP_STEER_MAX_ADDRS);
}

static int add_listener(struct tp_bpf_conf *out, const struct tp_addr *a, struct tp_why *why)
{
	char text[TP_ADDR_STRLEN];
	int i;

	if ((a->family != TP_IPV4 && a->family != TP_IPV6) || a->port == 0)
		return tp_why_set(why, -EINVAL, "listener %s: needs an address and a port",
				tp_addr_format(a, text));
	i = intern_addr(out, a);
	if (i < 0)
		return too_many_addrs(why);
	out->listener[out->n_listeners++] = (struct tp_bpf_listener){
		.port_be = htons(a->port),
		.addr = (uint8_t)i,
	};
	return 0;
}

static int add_relay(struct tp_bpf_conf *out, const struct tp_addr *a, uint32_t relay,
		struct tp_why *why)
{
	char text[TP_ADDR_STRLEN];
	int i;

	if (a->family != TP_IPV4 && a->family != TP_IPV6)
		return tp_why_set(why, -EINVAL, "relay address %u: no address", relay);
	i = intern_addr(out, a);
	if (i < 0)
		return too_many_addrs(why);
	if (out->addr[i].relay != TP_BPF_NO_RELAY)
		return tp_why_set(why, -EINVAL, "relay address %s: given twice",
				tp_addr_format_ip(a, text));
	out->addr[i].relay = (uint8_t)relay;
	return 0;
}

/* Not for secrecy: whose address is not ours finds no slot that is. */
static uint32_t next_multiplier(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 32) | 1;
}

/* @return whether each address found a slot near its hash */
static bool spread(struct tp_bpf_conf *conf)
{
	uint32_t i, k, at;

	memset(conf->slot, TP_BPF_NO_ADDR, sizeof(conf->slot));
	for (i = 0; i < conf->n_addrs; i++) {
		for (k = 0; k < TP_BPF_PROBES; k++) {
			at = (tp_bpf_hash_addr(conf, conf->addr[i].ip) + k) & (TP_BPF_SLOTS - 1);
			if (conf->slot[at] == TP_BPF_NO_ADDR)
				break;
		}
		if (k == TP_BPF_PROBES)
			return false;
		conf->slot[at] = (uint8_t)i;
	}
	return true;
}

int tp_steer_conf_index(struct tp_bpf_conf *conf)
{
	uint64_t seed = 1;
	uint32_t tries, i;

	for (tries = 0; tries < TRIES; tries++) {
		for (i = 0; i < 4; i++)
			conf->hash[i] = next_multiplier(&seed);
		if (spread(conf))
			return 0;
	}
	return -E2BIG;
}

int tp_steer_conf_make(
		const struct tp_steer_conf *conf, struct tp_bpf_conf *out, struct tp_why *why)
{
	uint32_t i;
	int err = 0;

	if (conf->n_listeners > TP_STEER_MAX_LISTENERS)
		return tp_why_set(why, -E2BIG, "%u listeners: at most %d", conf->n_listeners,
				TP_STEER_MAX_LISTENERS);
	if (conf->n_relays > TP_STEER_MAX_RELAYS)
		return tp_why_set(why, -E2BIG, "%u relay addresses: at most %d", conf->n_relays,
				TP_STEER_MAX_RELAYS);

	memset(out, 0, sizeof(*out));
	out->channel_first_byte_max = conf->legacy_channels ? 0x7f : 0x4f;
	for (i = 0; i < conf->n_listeners && err == 0; i++)
		err = add_listener(out, &conf->listeners[i], why);
	for (i = 0; i < conf->n_relays && err == 0; i++)
		err = add_relay(out, &conf->relays[i], i, why);
	if (err == 0 && tp_steer_conf_index(out) < 0)
		return tp_why_set(why, -E2BIG, "no hash spreads the %u local addresses",
				out->n_addrs);
	return err;
}
