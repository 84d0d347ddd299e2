/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/allocation.h"

#include "turn_model.h"

#define CLIENT "198.51.100.7"

/* ---- beginning and end ---- */

static void a_configuration_without_sense_is_refused(void **state)
{
	struct rig *r = *state;
	const struct tp_turn_conf good = r->conf;
	struct tp_turn_conf bad[6] = { good, good, good, good, good, good };
	struct tp_turn *turn = NULL;

	bad[0].realm = NULL;
	bad[1].realm = "";
	bad[2].n_relays = 0;
	bad[3].port_min = 0;
	bad[4].port_min = good.port_max;
	bad[4].port_max = good.port_min;
	bad[5].port_max = 0;
	for (size_t i = 0; i < N(bad); i++) {
		assert_int_equal(tp_turn_new(&bad[i], &rig_ops, r, &turn), -EINVAL);
		assert_null(turn);
	}
	tp_turn_free(NULL);
}

static void a_server_without_users_or_lists_runs(void **state)
{
	struct rig_client c = rig_client_of(CLIENT, 1, "alice", "wonder");
	struct rig *r = *state;

	r->conf.n_users = r->conf.n_secrets = r->conf.n_deny = r->conf.n_allow = r->conf.n_own = 0;
	r->conf.users = NULL;
	r->conf.secrets = NULL;
	r->conf.deny = r->conf.allow = NULL;
	r->conf.own = NULL;
	r->conf.port_max = r->conf.port_min;
	rig_restart(r);
	rig_learn(r, &c);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_UNAUTHENTICATED);
	tp_turn_expire(r->turn, UINT64_MAX);
	assert_true(tp_turn_next_ns(r->turn) == UINT64_MAX);
}

/* The rig counts: every port closed, every channel cleared once, every allocation ended. */
static void freeing_the_server_ends_everything_in_it(void **state)
{
	struct rig *r = *state;

	for (uint16_t i = 1; i <= 5; i++) {
		const struct rig_client c = rig_alice(r, CLIENT, 1000 + i);

		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP,
						 RIG_RAW(EVEN_PORT, "\x80")),
				0);
	}
	for (uint16_t i = 1; i <= 70; i++) {
		const struct rig_client c = rig_alice(r, CLIENT, i);

		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
		assert_int_equal(rig_permit(r, &c, "203.0.113.9"), 0);
		assert_int_equal(rig_permit(r, &c, "2001:db8:9::9"), 0);
		assert_int_equal(rig_bind(r, &c, 0x4000, "203.0.113.9", i), 0);
	}
	assert_int_equal(r->n_open, 145);
	assert_int_equal(r->n_channels, 70);
	rig_stop(r);
	assert_int_equal(r->n_ended, 75);
	assert_int_equal(r->why, TP_TURN_END_SHUTDOWN);
	assert_int_equal(rig_start(r), 0);
}

static void the_log_is_optional(void **state)
{
	struct rig *r = *state;
	struct tp_turn_ops ops = rig_ops;
	struct rig_client c;

	rig_stop(r);
	ops.allocated = NULL;
	ops.ended = NULL;
	assert_int_equal(tp_turn_new(&r->conf, &ops, r, &r->turn), 0);
	c = rig_alice(r, CLIENT, 1);
	rig_allocate(r, &c);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_LIFETIME("\0\0\0\0")), 0);
	rig_allocate(r, &c);
}

/* ---- looking at it ---- */

static void an_allocation_can_be_looked_at(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 1);
	const struct tp_channel *cursor_ch = NULL;
	struct tp_turn_channel ch;
	struct tp_allocation_info info;
	const struct tp_allocation *alloc;
	uint64_t cursor = 0;
	uint32_t numbers = 0;

	rig_use_nat(r);
	rig_restart(r);
	assert_null(tp_turn_next_allocation(r->turn, &cursor));
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_IPV6), 0);
	assert_int_equal(rig_bind(r, &c, 0x4000, "2001:db8:9::9", 9), 0);
	assert_int_equal(rig_bind(r, &c, 0x4001, "2001:db8:9::9", 10), 0);
	cursor = 0;
	alloc = tp_turn_next_allocation(r->turn, &cursor);
	assert_non_null(alloc);
	tp_allocation_info(r->turn, alloc, &info);
	assert_memory_equal(info.tuple, &c.tuple, sizeof(c.tuple));
	assert_string_equal(info.username, "alice");
	assert_int_equal(info.id, 1);
	assert_true(info.created_ns == r->now.mono_ns);
	assert_false(info.leg[0].is_present);
	assert_true(info.leg[1].is_present);
	assert_true(tp_addr_same_ip(&info.leg[1].local, &r->relays[1].local));
	assert_true(tp_addr_same_ip(&info.leg[1].external, &r->relays[1].external));
	assert_int_equal(info.leg[1].local.port, info.leg[1].external.port);
	assert_true(info.leg[1].deadline_ns == r->now.mono_ns + 600 * TP_NS_PER_SEC);
	assert_int_equal(info.n_permissions, 1);
	assert_int_equal(info.n_channels, 2);
	while ((cursor_ch = tp_allocation_next_channel(r->turn, alloc, cursor_ch, &ch)) != NULL)
		numbers += ch.number;
	assert_int_equal(numbers, 0x4000 + 0x4001);
	assert_null(tp_turn_next_allocation(r->turn, &cursor));
}

/* What lives throughout is seen exactly once, whatever comes and goes meanwhile. */
static void a_walk_survives_changes(void **state)
{
	struct rig *r = *state;
	const struct tp_allocation *alloc;
	uint8_t seen[101] = { 0 };
	struct rig_client c[101];
	uint64_t cursor = 0;

	for (uint16_t i = 1; i <= 80; i++) {
		c[i] = rig_alice(r, CLIENT, i);
		rig_allocate(r, &c[i]);
	}
	for (uint16_t n = 1; (alloc = tp_turn_next_allocation(r->turn, &cursor)) != NULL; n++) {
		struct tp_allocation_info info;

		tp_allocation_info(r->turn, alloc, &info);
		seen[info.tuple->client.port]++;
		if (n <= 20) {
			/* even ones go, from both ends; others come */
			uint16_t gone = n % 2 ? 2 * n : 80 - 2 * n;

			assert_int_equal(rig_ask(r, &c[gone], TP_STUN_REFRESH,
							 RIG_LIFETIME("\0\0\0\0")),
					0);
			c[80 + n] = rig_alice(r, CLIENT, (uint16_t)(80 + n));
			rig_allocate(r, &c[80 + n]);
		}
	}
	for (uint16_t i = 1; i <= 80; i += 2)
		assert_int_equal(seen[i], 1);
	for (uint16_t i = 2; i <= 100; i++)
		assert_true(seen[i] <= 1);
}

/* ---- random clients against a model that only knows the RFC ---- */

#define STEPS 6000

static unsigned pick(unsigned n)
{
	return (unsigned)random() % n;
}

/* A client asks, and asks again when its nonce has gone stale. */
static uint16_t ask(struct model *m, struct model_client *mc, uint16_t method,
		const struct rig_attr attrs[])
{
	uint16_t err = rig_request(m->r, &mc->c, method, attrs);

	if (err == TP_STUN_STALE_NONCE) {
		m->n_answer[err]++;
		rig_keep_challenge(m->r, &mc->c);
		err = rig_request(m->r, &mc->c, method, attrs);
	}
	m->n_answer[err]++;
	return err;
}

static uint16_t random_port(struct model *m, unsigned ip)
{
	unsigned at = model_at_of(ip);
	struct model_client *mc = &m->client[pick(MODEL_CLIENTS)];

	if (ip != 6 && ip != 7)
		return (uint16_t)(1 + pick(2));
	if (pick(5) == 0)
		return 22;
	return model_has_leg(m, mc, at) ? mc->relayed[at].port
					: (uint16_t)(RIG_PORT_MIN + pick(MODEL_PORTS));
}

static void sim_allocate(struct model *m, struct model_client *mc)
{
	static const struct rig_attr kinds[][3] = {
		{ RIG_UDP, RIG_END },
		{ RIG_UDP, RIG_IPV6, RIG_END },
		{ RIG_UDP, RIG_DUAL, RIG_END },
		{ RIG_UDP, RIG_LIFETIME("\0\0\x04\xb0"), RIG_END },
		{ RIG_UDP, RIG_RAW(EVEN_PORT, "\0"), RIG_END },
		{ RIG_UDP, RIG_RAW(EVEN_PORT, "\x80"), RIG_END },
	};
	bool is_taken = model_has_allocation(m, mc);
	unsigned kind = pick(N(kinds));
	uint16_t err = ask(m, mc, TP_STUN_ALLOCATE, kinds[kind]);

	if (is_taken) {
		assert_int_equal(err, TP_STUN_ALLOCATION_MISMATCH);
		return;
	}
	if (err == TP_STUN_INSUFFICIENT_CAPACITY) {
		assert_true(kind == 5 || rig_counts(m->r).allocations == MODEL_ALLOCATIONS);
		return;
	}
	assert_int_equal(err, 0);
	memset(mc->permission_due, 0, sizeof(mc->permission_due));
	memset(mc->channel, 0, sizeof(mc->channel));
	memset(mc->leg_due, 0, sizeof(mc->leg_due));
	for (unsigned at = 0; at < 2; at++) {
		mc->relayed[at] = rig_relayed(m->r, at ? TP_IPV6 : TP_IPV4);
		if (mc->relayed[at].family != 0)
			mc->leg_due[at] = model_due_in(m, rig_lifetime(m->r));
		assert_int_equal(mc->relayed[at].family != 0, kind == 2 || at == (kind == 1));
	}
}

static void sim_refresh(struct model *m, struct model_client *mc)
{
	static const struct rig_attr families[] = { RIG_IPV4, RIG_IPV6 };
	static const struct rig_attr lifetimes[] = { RIG_LIFETIME("\0\0\0\0"),
		RIG_LIFETIME("\0\0\0\1"), RIG_LIFETIME("\0\0\x05\0"), RIG_LIFETIME("\0\1\0\0") };
	unsigned family = pick(3), lifetime = pick(N(lifetimes));
	const struct rig_attr attrs[] = { lifetimes[lifetime],
		family < 2 ? families[family] : (struct rig_attr)RIG_END, RIG_END };
	uint16_t want = 0, err;

	if (!model_has_allocation(m, mc))
		want = TP_STUN_ALLOCATION_MISMATCH;
	else if (family < 2 && !model_has_leg(m, mc, family))
		want = TP_STUN_PEER_FAMILY_MISMATCH;
	err = ask(m, mc, TP_STUN_REFRESH, attrs);
	assert_int_equal(err, want);
	for (unsigned at = 0; err == 0 && at < 2; at++)
		if (model_has_leg(m, mc, at) && (family == 2 || family == at))
			mc->leg_due[at] = model_due_in(m, rig_lifetime(m->r));
}

static uint16_t check_ip(
		const struct model *m, const struct model_client *mc, unsigned ip, uint16_t port)
{
	if (!model_has_allocation(m, mc))
		return TP_STUN_ALLOCATION_MISMATCH;
	if (!model_has_leg(m, mc, model_at_of(ip)))
		return TP_STUN_PEER_FAMILY_MISMATCH;
	return ip == MODEL_DENIED || port == 22 ? TP_STUN_FORBIDDEN : 0;
}

static void sim_permit(struct model *m, struct model_client *mc)
{
	struct rig_attr attrs[4] = { 0 };
	unsigned n = 1 + pick(3), ip[3];
	uint16_t want = 0, err;

	for (unsigned i = 0; i < n; i++) {
		ip[i] = pick(10) ? pick(MODEL_DENIED) : MODEL_DENIED;
		attrs[i] = (struct rig_attr)RIG_PEER(model_ips[ip[i]], (uint16_t)pick(65536));
		if (want == 0)
			want = check_ip(m, mc, ip[i], 0);
	}
	err = ask(m, mc, TP_STUN_CREATE_PERMISSION, attrs);
	assert_int_equal(err, want);
	for (unsigned i = 0; err == 0 && i < n; i++)
		mc->permission_due[ip[i]] = model_due_in(m, TP_TURN_PERMISSION_SEC);
}

static void sim_bind(struct model *m, struct model_client *mc)
{
	unsigned number = pick(MODEL_NUMBERS), ip = pick(20) ? pick(MODEL_DENIED) : MODEL_DENIED;
	uint16_t port = random_port(m, ip), want, err;
	const uint8_t be[4] = { 0x40, (uint8_t)number };
	const struct rig_attr attrs[] = {
		{ .type = TP_STUN_ATTR_CHANNEL_NUMBER, .len = 4, .data = be },
		RIG_PEER(model_ips[ip], port),
		RIG_END,
	};
	unsigned bound = model_channel_to(m, mc, ip, port);

	want = check_ip(m, mc, ip, port);
	if (want != TP_STUN_ALLOCATION_MISMATCH &&
			bound != (model_has_channel(m, mc, number) ? number : MODEL_NUMBERS))
		want = TP_STUN_BAD_REQUEST;
	tp_turn_expire(m->r->turn, m->r->now.mono_ns);
	if (want == 0 && bound == MODEL_NUMBERS && rig_counts(m->r).channels == MODEL_CHANNELS)
		want = TP_STUN_INSUFFICIENT_CAPACITY;
	err = ask(m, mc, TP_STUN_CHANNEL_BIND, attrs);
	assert_int_equal(err, want);
	if (err != 0)
		return;
	mc->channel[number].ip = ip;
	mc->channel[number].port = port;
	mc->channel[number].due = model_due_in(m, TP_TURN_CHANNEL_SEC);
	mc->permission_due[ip] = model_due_in(m, TP_TURN_PERMISSION_SEC);
}

/* What a client must have got: ChannelData where a channel is bound, else a Data indication. */
static void assert_received(struct model *m, const struct model_client *to, unsigned ip,
		uint16_t port, const char *text)
{
	const struct tp_addr peer = rig_addr(model_ips[ip], port);
	unsigned number = model_channel_to(m, to, ip, port);

	if (number < MODEL_NUMBERS)
		rig_assert_channel_data(m->r, &to->c, (uint16_t)(0x4000 + number), text);
	else
		rig_assert_data(m->r, &to->c, &peer, text);
}

static enum tp_slow_verdict heard_by(
		struct model *m, const struct model_client *to, unsigned from_ip)
{
	if (to == NULL)
		return TP_SLOW_DROP_NO_ALLOC;
	return model_has_permission(m, to, from_ip) ? TP_SLOW_RELAYED : TP_SLOW_DROP_NO_PERM;
}

/* From a client that may send to this peer. */
static void assert_sent(struct model *m, const struct model_client *from, unsigned ip,
		uint16_t port, enum tp_slow_verdict got)
{
	unsigned at = model_at_of(ip);
	const struct model_client *to;

	if (ip != 6 && ip != 7) {
		assert_int_equal(got, TP_SLOW_RELAYED);
		rig_assert_to_peer(m->r, &from->relayed[at], model_ips[ip], port, "up");
		return;
	}
	to = model_owner_of(m, at, port);
	assert_int_equal(got, heard_by(m, to, ip));
	if (got == TP_SLOW_RELAYED)
		assert_received(m, to, ip, from->relayed[at].port, "up");
}

static void sim_send(struct model *m, struct model_client *mc)
{
	unsigned ip = pick(MODEL_IPS);
	uint16_t port = random_port(m, ip);
	enum tp_slow_verdict v =
			rig_send(m->r, &mc->c, RIG_PEER(model_ips[ip], port), RIG_RAW(DATA, "up"));

	m->n_verdict[v]++;
	if (!model_has_allocation(m, mc))
		assert_int_equal(v, TP_SLOW_DROP_NO_ALLOC);
	else if (!model_has_leg(m, mc, model_at_of(ip)))
		assert_int_equal(v, TP_SLOW_DROP_FAMILY);
	else if (!model_has_permission(m, mc, ip))
		assert_int_equal(v, TP_SLOW_DROP_NO_PERM);
	else if (port == 22)
		assert_int_equal(v, TP_SLOW_DROP_FORBIDDEN);
	else
		assert_sent(m, mc, ip, port, v);
}

static void sim_channel_data(struct model *m, struct model_client *mc)
{
	unsigned number = pick(MODEL_NUMBERS);
	enum tp_slow_verdict v = rig_channel_data(m->r, &mc->c, (uint16_t)(0x4000 + number), "up");

	m->n_verdict[v]++;
	if (!model_has_allocation(m, mc))
		assert_int_equal(v, TP_SLOW_DROP_NO_ALLOC);
	else if (!model_has_channel(m, mc, number))
		assert_int_equal(v, TP_SLOW_DROP_NO_CHANNEL);
	else
		assert_sent(m, mc, mc->channel[number].ip, mc->channel[number].port, v);
}

static void sim_from_peer(struct model *m, struct model_client *mc)
{
	unsigned ip = pick(6), at = model_at_of(ip);
	struct tp_addr relay = rig_addr(at ? RIG_RELAY6 : RIG_RELAY4, 0);
	uint16_t port = (uint16_t)(1 + pick(2));
	enum tp_slow_verdict v;

	/* also to the port of what has ended, which may be another's by now */
	relay.port = mc->relayed[at].family != 0 ? mc->relayed[at].port : RIG_PORT_MIN;
	v = rig_from_peer(m->r, &relay, model_ips[ip], port, "down");
	m->n_verdict[v]++;
	mc = model_owner_of(m, at, relay.port);
	assert_int_equal(v, heard_by(m, mc, ip));
	if (v == TP_SLOW_RELAYED)
		assert_received(m, mc, ip, port, "down");
}

/* Noise, and signed requests with one bit turned: nothing may change. */
static void sim_garbage(struct model *m, struct model_client *mc)
{
	struct tp_turn_counts before, after;
	struct rig_message msg;
	size_t len;

	tp_turn_expire(m->r->turn, m->r->now.mono_ns);
	before = rig_counts(m->r);
	rig_begin(m->r, &msg, pick(2) ? TP_STUN_REFRESH : TP_STUN_CREATE_PERMISSION, pick(2));
	rig_put(&msg,
			(const struct rig_attr[]){ RIG_PEER(model_ips[pick(MODEL_IPS)], 9),
					RIG_LIFETIME("\0\0\0\0"), RIG_END });
	rig_sign(&msg, &mc->c);
	len = tp_stun_finish(&msg.b);
	msg.buf[pick((unsigned)len)] ^= (uint8_t)(1 << pick(8));
	m->n_verdict[rig_datagram(m->r, &mc->c, msg.buf, len)]++;
	/* behind a good header, or from the first byte */
	for (size_t i = pick(2) ? TP_STUN_HDR_LEN : 0; i < len; i++)
		msg.buf[i] = (uint8_t)random();
	msg.buf[0] &= 0x7f;
	m->n_verdict[rig_datagram(m->r, &mc->c, msg.buf, pick(2) ? len : pick((unsigned)len))]++;
	after = rig_counts(m->r);
	/* Up to the padding; then what is counted for ever. */
	assert_memory_equal(&before, &after,
			offsetof(struct tp_turn_counts, mobile) + sizeof(before.mobile));
	assert_int_equal(before.redirected, after.redirected);
	assert_int_equal(before.moved, after.moved);
}

static void sim_clock(struct model *m, struct model_client *mc)
{
	static const uint16_t sec[] = { 0, 1, 1, 2, 2, 5, 5, 10, 20, 100 };

	(void)mc;
	rig_sleep(m->r, pick(20) ? sec[pick(N(sec))] : 299 * pick(13));
}

static void random_clients_agree_with_the_model(void **state)
{
	static void (*const acts[])(struct model *, struct model_client *) = { sim_allocate,
		sim_refresh, sim_permit, sim_permit, sim_bind, sim_bind, sim_bind, sim_send,
		sim_send, sim_channel_data, sim_channel_data, sim_from_peer, sim_from_peer,
		sim_garbage, sim_clock };
	static struct model m;
	struct rig *r = *state;

	srandom(22);
	memset(&m, 0, sizeof(m));
	m.r = r;
	r->conf.port_max = RIG_PORT_MIN + MODEL_PORTS - 1;
	r->conf.max_allocations = MODEL_ALLOCATIONS;
	r->conf.max_channels = MODEL_CHANNELS;
	rig_restart(r);
	for (uint16_t i = 0; i < MODEL_CLIENTS; i++) {
		m.client[i].c = rig_client_of(i % 2 ? CLIENT : "2001:db8:7::7", (uint16_t)(i + 1),
				i % 3 ? "alice" : "bob", i % 3 ? "wonder" : "builder");
		rig_learn(r, &m.client[i].c);
	}
	for (unsigned step = 0; step < STEPS; step++) {
		acts[pick(N(acts))](&m, &m.client[pick(MODEL_CLIENTS)]);
		model_check_all(&m);
	}

	/* The run was worth it: everything happened. */
	static const uint16_t answers[] = { 0, 400, 403, 437, 438, 443, 508 };
	static const enum tp_slow_verdict verdicts[] = { TP_SLOW_RELAYED, TP_SLOW_ANSWERED,
		TP_SLOW_DROP_NO_ALLOC, TP_SLOW_DROP_NO_PERM, TP_SLOW_DROP_NO_CHANNEL,
		TP_SLOW_DROP_FORBIDDEN, TP_SLOW_DROP_FAMILY, TP_SLOW_DROP_NOT_TURN,
		TP_SLOW_DROP_MALFORMED };
	for (size_t i = 0; i < N(answers); i++)
		if (m.n_answer[answers[i]] == 0)
			fail_msg("never %d", answers[i]);
	for (size_t i = 0; i < N(verdicts); i++)
		if (m.n_verdict[verdicts[i]] == 0)
			fail_msg("never %s", tp_slow_verdict_name(verdicts[i]));

	rig_sleep(r, TP_TURN_MAX_LIFETIME_SEC);
	model_check_all(&m);
	assert_int_equal(rig_counts(r).allocations, 0);
	assert_int_equal(rig_counts(r).reservations, 0);
	assert_int_equal(rig_counts(r).ports, 0);
	assert_true(tp_turn_next_ns(r->turn) == UINT64_MAX);
	for (uint32_t i = 0; i < r->conf.n_relays; i++)
		assert_int_equal(tp_ports_left(r->turn->relays[i].ports), MODEL_PORTS);
	assert_int_equal(r->turn->timers.reserved, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_configuration_without_sense_is_refused),
		rig_test(a_server_without_users_or_lists_runs),
		rig_test(freeing_the_server_ends_everything_in_it),
		rig_test(the_log_is_optional),
		rig_test(an_allocation_can_be_looked_at),
		rig_test(a_walk_survives_changes),
		rig_test(random_clients_agree_with_the_model),
	};

	return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}
