/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn_model - what a TURN server must know of its clients, written down a second time: deadlines
 * in arrays, looked at one by one.
 *
 * A test tells the model what was answered; the model says what must come of the next datagram,
 * and compares the whole server with itself.  It has no timers: what is past is off.
 */
#ifndef TP_TESTS_TURN_MODEL_H
#define TP_TESTS_TURN_MODEL_H

#include "turn_client.h"

#define MODEL_CLIENTS 12
#define MODEL_IPS 9
#define MODEL_NUMBERS 6
#define MODEL_PORTS 24
#define MODEL_ALLOCATIONS 6
#define MODEL_CHANNELS 10

/* Peers; the two relay addresses are each other's clients, the last one is denied. */
static const char *const model_ips[MODEL_IPS] = { "203.0.113.1", "203.0.113.2", "203.0.113.3",
	"2001:db8:9::1", "2001:db8:9::2", "2001:db8:9::3", RIG_RELAY4, RIG_RELAY6, "127.0.0.1" };
#define MODEL_DENIED 8

struct model_client {
	struct rig_client c;
	uint64_t leg_due[2];
	struct tp_addr relayed[2];
	uint64_t permission_due[MODEL_IPS];
	struct {
		uint64_t due;
		unsigned ip;
		uint16_t port;
	} channel[MODEL_NUMBERS];
};

struct model {
	struct rig *r;
	struct model_client client[MODEL_CLIENTS];
	uint32_t n_answer[1000], n_verdict[TP_SLOW_VERDICT_COUNT];
};

static inline unsigned model_at_of(unsigned ip)
{
	return strchr(model_ips[ip], ':') != NULL;
}

static inline bool model_is_on(const struct model *m, uint64_t due)
{
	return due > m->r->now.mono_ns;
}

static inline bool model_has_leg(const struct model *m, const struct model_client *mc, unsigned at)
{
	return model_is_on(m, mc->leg_due[at]);
}

static inline bool model_has_allocation(const struct model *m, const struct model_client *mc)
{
	return model_has_leg(m, mc, 0) || model_has_leg(m, mc, 1);
}

static inline bool model_has_permission(
		const struct model *m, const struct model_client *mc, unsigned ip)
{
	return model_has_leg(m, mc, model_at_of(ip)) && model_is_on(m, mc->permission_due[ip]);
}

static inline bool model_has_channel(
		const struct model *m, const struct model_client *mc, unsigned number)
{
	return model_is_on(m, mc->channel[number].due) &&
			model_has_leg(m, mc, model_at_of(mc->channel[number].ip));
}

/* The channel to a peer, or MODEL_NUMBERS. */
static inline unsigned model_channel_to(
		const struct model *m, const struct model_client *mc, unsigned ip, uint16_t port)
{
	unsigned i;

	for (i = 0; i < MODEL_NUMBERS; i++)
		if (model_has_channel(m, mc, i) && mc->channel[i].ip == ip &&
				mc->channel[i].port == port)
			break;
	return i;
}

static inline struct model_client *model_owner_of(struct model *m, unsigned at, uint16_t port)
{
	for (unsigned i = 0; i < MODEL_CLIENTS; i++)
		if (model_has_leg(m, &m->client[i], at) && m->client[i].relayed[at].port == port)
			return &m->client[i];
	return NULL;
}

static inline uint64_t model_due_in(const struct model *m, uint64_t sec)
{
	return m->r->now.mono_ns + sec * TP_NS_PER_SEC;
}

static inline void model_check_channel(const struct model *m, const struct model_client *mc,
		const struct tp_turn_channel *ch)
{
	unsigned number = ch->number - 0x4000u, ip = mc->channel[number].ip, at = model_at_of(ip);
	const struct tp_addr peer = rig_addr(model_ips[ip], mc->channel[number].port);
	uint64_t up = mc->channel[number].due, down = mc->permission_due[ip];

	assert_true(number < MODEL_NUMBERS && model_has_channel(m, mc, number));
	assert_memory_equal(&ch->peer, &peer, sizeof(peer));
	assert_memory_equal(&ch->relay_local, &mc->relayed[at], sizeof(mc->relayed[at]));
	assert_int_equal(ch->is_hairpin, ip == 6 || ip == 7);
	if (mc->leg_due[at] < up)
		up = mc->leg_due[at];
	assert_true(ch->up_deadline_ns == up);
	if (model_has_permission(m, mc, ip))
		assert_true(ch->down_deadline_ns == (down < up ? down : up));
	else
		assert_false(model_is_on(m, ch->down_deadline_ns));
}

static inline void model_check_allocation(
		struct model *m, const struct tp_allocation *alloc, struct tp_turn_counts *sum)
{
	const struct tp_channel *cursor = NULL;
	struct tp_turn_channel ch;
	const struct model_client *mc = NULL;
	uint32_t n_permissions = 0, n_channels = 0;
	struct tp_allocation_info info;

	tp_allocation_info(m->r->turn, alloc, &info);
	for (unsigned i = 0; i < MODEL_CLIENTS; i++)
		if (memcmp(&m->client[i].c.tuple, info.tuple, sizeof(*info.tuple)) == 0)
			mc = &m->client[i];
	assert_non_null(mc);
	assert_string_equal(info.username, mc->c.user);
	for (unsigned at = 0; at < 2; at++) {
		assert_int_equal(info.leg[at].is_present, model_has_leg(m, mc, at));
		if (!info.leg[at].is_present)
			continue;
		assert_true(info.leg[at].deadline_ns == mc->leg_due[at]);
		assert_memory_equal(
				&info.leg[at].external, &mc->relayed[at], sizeof(mc->relayed[at]));
		assert_ptr_equal(model_owner_of(m, at, mc->relayed[at].port), mc); /* unique */
		assert_true(m->r->is_open[at][mc->relayed[at].port]);
		sum->ports++;
	}
	for (unsigned ip = 0; ip < MODEL_IPS; ip++)
		n_permissions += model_has_permission(m, mc, ip);
	while ((cursor = tp_allocation_next_channel(m->r->turn, alloc, cursor, &ch)) != NULL) {
		model_check_channel(m, mc, &ch);
		n_channels++;
	}
	for (unsigned i = 0; i < MODEL_NUMBERS; i++)
		n_channels -= model_has_channel(m, mc, i);
	assert_int_equal(n_channels, 0);
	assert_int_equal(info.n_permissions, n_permissions);
	sum->allocations++;
	sum->permissions += info.n_permissions;
	sum->channels += info.n_channels;
}

static inline void model_check_all(struct model *m)
{
	struct tp_turn_counts sum = { 0 }, counts;
	const struct tp_allocation *alloc;
	uint64_t cursor = 0;
	uint32_t n_model = 0, users = 0;

	tp_turn_expire(m->r->turn, m->r->now.mono_ns);
	assert_true(tp_turn_next_ns(m->r->turn) > m->r->now.mono_ns);
	while ((alloc = tp_turn_next_allocation(m->r->turn, &cursor)) != NULL)
		model_check_allocation(m, alloc, &sum);
	for (unsigned i = 0; i < MODEL_CLIENTS; i++)
		if (model_has_allocation(m, &m->client[i])) {
			n_model++;
			users |= 1u << (m->client[i].c.user[0] - 'a');
		}
	counts = rig_counts(m->r);
	sum.reservations = counts.reservations;
	sum.users = (uint32_t)__builtin_popcount(users);
	assert_memory_equal(&sum, &counts, sizeof(sum));
	assert_int_equal(n_model, counts.allocations);
	assert_int_equal(m->r->n_open, counts.ports);
	assert_int_equal(m->r->n_channels, counts.channels);
}

#endif
