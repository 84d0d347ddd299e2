/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dual allocations (RFC 8656 sections 7.2 and 8.2): an address of either family, one without the
 * other, and the end of each.
 */
#include "turn_client.h"

#define CLIENT "198.51.100.7"

/* Section 7.2 check 9: two XOR-RELAYED-ADDRESS. */
static void a_dual_allocation_has_an_address_of_each_family(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
	assert_true(r->is_open[0][rig_relayed(r, TP_IPV4).port]);
	assert_true(r->is_open[1][rig_relayed(r, TP_IPV6).port]);
	assert_false(tp_stun_has(&r->answer, TP_STUN_ADDRESS_ERROR_CODE_AT));
	assert_int_equal(rig_counts(r).allocations, 1);
	assert_int_equal(rig_counts(r).ports, 2);
}

/* Addresses of these families, and no more ports of each than fill_family() takes. */
static void use_few_ports(struct rig *r, enum rig_families f)
{
	rig_use_families(r, f);
	r->conf.port_max = RIG_PORT_MIN + 3;
	rig_restart(r);
}

/* Take every port of a family. */
static void fill_family(struct rig *r, struct rig_attr family)
{
	uint16_t i = 0;
	struct rig_client c;

	do {
		c = rig_numbered(r, i++);
		assert_true(i < 100);
	} while (rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, family) == 0);
}

static void assert_address_error(const struct rig *r, uint8_t family, uint8_t number)
{
	const struct tp_stun_value *v = &r->answer.attr[TP_STUN_ADDRESS_ERROR_CODE_AT];
	uint8_t hundreds = number == 40 ? 4 : 5;

	assert_true(v->data != NULL && v->len > 4);
	assert_int_equal(v->data[0], family);
	assert_int_equal(v->data[1], 0);
	assert_int_equal(v->data[2], hundreds);
	assert_int_equal(v->data[3], number);
}

/* Section 7.2 step 9 */
static void half_a_dual_allocation_says_why_it_is_half(void **state)
{
	static const struct {
		const char *what;
		enum rig_families families;
		bool is_full[2];
		uint8_t got;            /* the family that was allocated */
		uint8_t family, number; /* of ADDRESS-ERROR-CODE */
	} cases[] = {
		{ "no IPv6 relay", RIG_ONLY_IPV4, { false, false }, TP_IPV4, 2, 40 },
		{ "no IPv4 relay", RIG_ONLY_IPV6, { false, false }, TP_IPV6, 1, 40 },
		{ "IPv6 is full", RIG_BOTH, { false, true }, TP_IPV4, 2, 8 },
		{ "IPv4 is full", RIG_BOTH, { true, false }, TP_IPV6, 1, 8 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct rig_client c;

		use_few_ports(r, cases[i].families);
		if (cases[i].is_full[0])
			fill_family(r, (struct rig_attr)RIG_IPV4);
		if (cases[i].is_full[1])
			fill_family(r, (struct rig_attr)RIG_IPV6);
		c = rig_alice(r, CLIENT, 4711);
		if (rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL) != 0)
			fail_msg("%s", cases[i].what);
		assert_int_equal(rig_relayed(r, cases[i].got).family, cases[i].got);
		assert_int_equal(rig_relayed(r, TP_IPV4 + TP_IPV6 - cases[i].got).family, 0);
		assert_address_error(r, cases[i].family, cases[i].number);
	}
}

/* Check 9: 440 would tell the client never to come back, though a port may be free soon. */
static void a_dual_allocation_without_any_address_is_508(void **state)
{
	static const struct {
		enum rig_families families;
		struct rig_attr fill;
	} cases[] = { { RIG_ONLY_IPV4, RIG_IPV4 }, { RIG_ONLY_IPV6, RIG_IPV6 } };
	struct rig *r = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct rig_client c;

		use_few_ports(r, cases[i].families);
		fill_family(r, cases[i].fill);
		c = rig_alice(r, CLIENT, 4711);
		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL),
				TP_STUN_INSUFFICIENT_CAPACITY);
	}
}

/* Section 8.2: with REQUESTED-ADDRESS-FAMILY, only that half. */
static void each_half_of_a_dual_allocation_has_a_life_of_its_own(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);
	struct tp_addr relayed[2];

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
	relayed[0] = rig_relayed(r, TP_IPV4);
	relayed[1] = rig_relayed(r, TP_IPV6);
	assert_int_equal(rig_ask(r, &c, TP_STUN_CREATE_PERMISSION, RIG_PEER("203.0.113.9", 0),
					 RIG_PEER("2001:db8:9::9", 0)),
			0);
	assert_int_equal(rig_bind(r, &c, 0x4000, "203.0.113.9", 9), 0);
	assert_int_equal(rig_bind(r, &c, 0x4001, "2001:db8:9::9", 9), 0);
	assert_int_equal(
			rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV4, RIG_LIFETIME("\0\0\x07\x08")), 0);
	rig_sleep(r, 200);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV6, RIG_DELETE), 0);
	assert_int_equal(rig_lifetime(r), 0);
	assert_true(r->is_open[0][relayed[0].port]);
	assert_false(r->is_open[1][relayed[1].port]);
	assert_int_equal(r->n_ended, 0);
	assert_int_equal(rig_counts(r).permissions, 1);
	assert_int_equal(rig_counts(r).channels, 1);
	assert_int_equal(r->n_channels, 1);

	/* what is gone is the wrong family now */
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV6), TP_STUN_PEER_FAMILY_MISMATCH);
	assert_int_equal(rig_ask(r, &c, TP_STUN_CREATE_PERMISSION, RIG_PEER("2001:db8:9::9", 0)),
			TP_STUN_PEER_FAMILY_MISMATCH);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV4, RIG_DELETE), 0);
	assert_int_equal(r->n_ended, 1);
	assert_int_equal(rig_counts(r).allocations, 0);
}

static void the_halves_expire_one_by_one(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
	assert_int_equal(
			rig_ask(r, &c, TP_STUN_REFRESH, RIG_IPV6, RIG_LIFETIME("\0\0\x03\x84")), 0);
	rig_sleep(r, 600);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(rig_counts(r).ports, 1);
	assert_int_equal(r->n_ended, 0);
	rig_sleep(r, 300);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(rig_counts(r).allocations, 0);
	assert_int_equal(r->n_ended, 1);
}

/* Section 8.2 */
static void refresh_without_family_is_for_both_halves(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);

	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
	rig_sleep(r, 300);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_NONE), 0);
	rig_sleep(r, 599);
	tp_turn_expire(r->turn, r->now.mono_ns);
	assert_int_equal(rig_counts(r).ports, 2);
	assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_DELETE), 0);
	assert_int_equal(rig_counts(r).ports, 0);
	assert_int_equal(r->n_ended, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_dual_allocation_has_an_address_of_each_family),
		rig_test(half_a_dual_allocation_says_why_it_is_half),
		rig_test(a_dual_allocation_without_any_address_is_508),
		rig_test(each_half_of_a_dual_allocation_has_a_life_of_its_own),
		rig_test(the_halves_expire_one_by_one),
		rig_test(refresh_without_family_is_for_both_halves),
	};

	return cmocka_run_group_tests_name("dual", tests, NULL, NULL);
}
