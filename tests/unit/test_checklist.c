/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of the RFCs that belong to no one part: in which order faults count, and what has to hold
 * whichever method or extension is in use.
 */
#include "turn_client.h"

#define CLIENT "198.51.100.7"
#define ELSEWHERE "198.51.100.8"
#define PEER "203.0.113.9"
#define NAME_MAX_RFC8489 763

/* ---- which fault counts ---- */

enum fault {
	BAD_FINGERPRINT,
	NO_INTEGRITY,
	NO_NONCE,
	WRONG_PASSWORD,
	OLD_NONCE,
	UNKNOWN_ATTRIBUTE,
	TUPLE_IN_USE,
	NO_TRANSPORT,
	NO_FAULT
};

/* The fault and all that come after it, but for TUPLE_IN_USE, which is no matter of bytes. */
static size_t build_from(struct rig *r, struct rig_message *m, const struct rig_client *good,
		enum fault first)
{
	struct rig_client c = *good;
	size_t len;

	if (first <= WRONG_PASSWORD)
		snprintf(c.password, sizeof(c.password), "guess");
	if (first <= OLD_NONCE)
		c.nonce[c.nonce_len - 1] ^= 1;
	rig_begin(r, m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
	if (first > NO_TRANSPORT)
		rig_put(m, (const struct rig_attr[]){ RIG_UDP, RIG_END });
	if (first <= UNKNOWN_ATTRIBUTE)
		rig_put(m, (const struct rig_attr[]){ RIG_UNKNOWN(0x7abc, "?"), RIG_END });
	if (first > NO_NONCE) {
		rig_sign(m, &c);
	} else if (first > NO_INTEGRITY) {
		const struct tp_key key = rig_make_key(&c);

		rig_put_user(m, &c);
		tp_stun_put(&m->b, TP_STUN_ATTR_REALM, c.realm, strlen(c.realm));
		tp_stun_put_integrity(&m->b, key.data, key.len);
	}
	tp_stun_put_fingerprint(&m->b);
	len = tp_stun_finish(&m->b);
	if (first == BAD_FINGERPRINT)
		m->buf[len - 1] ^= 1;
	return len;
}

/*
 * RFC 8489 section 6.3: base checks and FINGERPRINT, then authentication in the order of section
 * 9.2.4, then unknown attributes, then the method's own checks, in the order of RFC 8656 section
 * 7.2.  A request that has every fault hears of the first; mended, of the next.
 */
static void a_request_is_told_its_first_fault(void **state)
{
	static const uint16_t want[] = {
		[NO_INTEGRITY] = 401,
		[NO_NONCE] = 400,
		[WRONG_PASSWORD] = 401,
		[OLD_NONCE] = 438,
		[UNKNOWN_ATTRIBUTE] = 420,
		[TUPLE_IN_USE] = 437,
		[NO_TRANSPORT] = 400,
		[NO_FAULT] = 0,
	};
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);
	struct rig_message m;

	rig_allocate(r, &c);
	for (enum fault first = BAD_FINGERPRINT; first <= NO_FAULT; first++) {
		size_t len;
		uint16_t err = 0;

		if (first == NO_TRANSPORT)
			assert_int_equal(rig_ask(r, &c, TP_STUN_REFRESH, RIG_DELETE), 0);
		len = build_from(r, &m, &c, first);
		if (first == BAD_FINGERPRINT) {
			assert_int_equal(rig_datagram(r, &c, m.buf, len), TP_SLOW_DROP_FINGERPRINT);
			continue;
		}
		assert_int_equal(rig_datagram(r, &c, m.buf, len), TP_SLOW_ANSWERED);
		assert_int_equal(tp_stun_decode(r->sent[0].data, r->sent[0].len, &r->answer),
				TP_STUN_PARSE_OK);
		if (r->answer.class == TP_STUN_ERROR)
			assert_int_equal(tp_stun_get_error(&r->answer, &err), 0);
		if (err != want[first])
			fail_msg("fault %d: %d, want %d", (int)first, err, want[first]);
		/* signed from there on where the key is known to both: section 9.2.5 */
		assert_int_equal(rig_is_signed(r), first >= UNKNOWN_ATTRIBUTE);
	}
	assert_int_equal(rig_counts(r).allocations, 1);
}

/* RFC 8656 section 7.2, checks 3 to 10, with the quota (486, the last of them) used up throughout.
 */
static void allocate_is_refused_for_its_first_fault(void **state)
{
	static const struct {
		const char *what;
		uint16_t want;
		struct rig_attr attrs[6];
	} cases[] = {
		{ "3: transport before 5", 442,
				{ RIG_RAW(REQUESTED_TRANSPORT, "\x06\0\0\0"),
						RIG_RAW(RESERVATION_TOKEN, "12345678"),
						RIG_RAW(EVEN_PORT, "\0") } },
		{ "5: token with others before whose it is", 400,
				{ RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678"), RIG_DUAL } },
		{ "5: unknown token", 508, { RIG_UDP, RIG_RAW(RESERVATION_TOKEN, "12345678") } },
		{ "6: both families before 7", 400,
				{ RIG_UDP, RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\3\0\0\0"),
						RIG_DUAL } },
		{ "7: family before 8", 440,
				{ RIG_UDP, RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\3\0\0\0"),
						RIG_RAW(EVEN_PORT, "\0\0") } },
		{ "8: pair and additional family", 400,
				{ RIG_UDP, RIG_RAW(EVEN_PORT, "\x80"), RIG_DUAL } },
		{ "9: additional IPv4", 400,
				{ RIG_UDP, RIG_RAW(ADDITIONAL_ADDRESS_FAMILY, "\1\0\0\0") } },
		{ "10: quota", 486, { RIG_UDP, RIG_DUAL } },
	};
	struct rig *r = *state;
	struct rig_client holder, c;

	r->conf.limits.allocations_per_user = 1;
	rig_restart(r);
	holder = rig_alice(r, CLIENT, 4711);
	c = rig_alice(r, CLIENT, 4712);
	rig_allocate(r, &holder);
	for (size_t i = 0; i < N(cases); i++) {
		uint16_t err = rig_request(r, &c, TP_STUN_ALLOCATE, cases[i].attrs);

		if (err != cases[i].want)
			fail_msg("%s: %d, want %d", cases[i].what, err, cases[i].want);
		assert_int_equal(rig_counts(r).allocations, 1);
	}
	assert_int_equal(rig_ask(r, &holder, TP_STUN_REFRESH, RIG_DELETE), 0);
	assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
}

/* ---- credentials ---- */

static void put_credentials(struct rig_message *m, const struct rig_client *c, const char *name,
		size_t len, const struct tp_key *key)
{
	tp_stun_put(&m->b, TP_STUN_ATTR_USERNAME, name, len);
	tp_stun_put(&m->b, TP_STUN_ATTR_REALM, c->realm, strlen(c->realm));
	tp_stun_put(&m->b, TP_STUN_ATTR_NONCE, c->nonce, c->nonce_len);
	tp_stun_put_integrity(&m->b, key->data, key->len);
}

/* Allocate as the first `len` bytes of name.  @return the error code, 0 for success */
static uint16_t allocate_as(struct rig *r, const struct rig_client *c, const char *name, size_t len)
{
	const struct tp_bytes user = { name, len }, realm = { c->realm, strlen(c->realm) };
	uint8_t mac[TP_SHA1_LEN];
	char password[2 * TP_SHA1_LEN];
	struct rig_message m;
	struct tp_key key;
	uint16_t err = 0;

	tp_hmac_sha1(RIG_SECRET_NEW, strlen(RIG_SECRET_NEW), &user, 1, mac);
	EVP_EncodeBlock((unsigned char *)password, mac, sizeof(mac));
	tp_key_make(TP_ALGORITHM_MD5, &user, &realm,
			&(struct tp_bytes){ password, strlen(password) }, &key);
	rig_begin(r, &m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
	rig_put(&m, (const struct rig_attr[]){ RIG_UDP, RIG_END });
	put_credentials(&m, c, name, len, &key);
	assert_int_equal(rig_datagram(r, c, m.buf, tp_stun_finish(&m.b)), TP_SLOW_ANSWERED);
	assert_int_equal(tp_stun_decode(r->sent[0].data, r->sent[0].len, &r->answer),
			TP_STUN_PARSE_OK);
	if (r->answer.class == TP_STUN_ERROR)
		assert_int_equal(tp_stun_get_error(&r->answer, &err), 0);
	else
		assert_int_equal(tp_integrity_check(&r->answer, key.data, key.len), 0);
	return err;
}

/* RFC 8489 section 14.3: a USERNAME is less than 764 bytes, and all of them are the name. */
static void the_longest_username_is_served(void **state)
{
	static const char expiry[] = "1700000600:";
	char name[NAME_MAX_RFC8489 + 2] = { 0 };
	struct rig *r = *state;
	struct rig_client c = rig_client_of(CLIENT, 4711, "", "");
	struct tp_allocation_info info;
	uint64_t cursor = 0;

	memset(name, 'a', NAME_MAX_RFC8489 + 1);
	memcpy(name, expiry, sizeof(expiry) - 1);
	rig_learn(r, &c);
	assert_int_equal(allocate_as(r, &c, name, NAME_MAX_RFC8489 + 1), TP_STUN_UNAUTHENTICATED);
	assert_int_equal(allocate_as(r, &c, name, NAME_MAX_RFC8489), 0);
	tp_allocation_info(r->turn, tp_turn_next_allocation(r->turn, &cursor), &info);
	name[NAME_MAX_RFC8489] = 0;
	assert_string_equal(info.username, name);
	/* one byte less is somebody else */
	assert_int_equal(allocate_as(r, &c, name, NAME_MAX_RFC8489 - 1),
			TP_STUN_ALLOCATION_MISMATCH);
}

/*
 * RFC 8489 section 12: Binding is not authenticated; section 6.3: what it does not expect, it
 * ignores.  Section 9.2: indications can not be protected, so neither counts what is in them.
 */
static void credentials_do_not_matter_where_there_is_no_authentication(void **state)
{
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);
	struct rig_client wrong = c;
	struct rig_message m;

	rig_allocate(r, &c);
	assert_int_equal(rig_permit(r, &c, PEER), 0);
	snprintf(wrong.password, sizeof(wrong.password), "guess");
	wrong.nonce[wrong.nonce_len - 1] ^= 1;
	rig_begin(r, &m, TP_STUN_BINDING, TP_STUN_REQUEST);
	rig_sign(&m, &wrong);
	assert_int_equal(rig_exchange(r, &c, &m), 0);
	assert_true(tp_stun_has(&r->answer, TP_STUN_XOR_MAPPED_ADDRESS_AT));
	assert_false(rig_is_signed(r));
	rig_begin(r, &m, TP_STUN_SEND, TP_STUN_INDICATION);
	rig_put(&m, (const struct rig_attr[]){ RIG_PEER(PEER, 9), RIG_RAW(DATA, "x"), RIG_END });
	rig_sign(&m, &wrong);
	assert_int_equal(rig_datagram(r, &c, m.buf, tp_stun_finish(&m.b)), TP_SLOW_RELAYED);
}

/* RFC 8656 section 5: a fresh nonce for whoever asks anew; the one before is good meanwhile. */
static void who_asks_again_gets_another_nonce(void **state)
{
	struct rig *r = *state;
	const struct rig_client before = rig_alice(r, CLIENT, 4711);
	struct rig_client after;

	rig_sleep(r, 1);
	after = rig_alice(r, CLIENT, 4711);
	assert_int_equal(after.nonce_len, before.nonce_len);
	assert_memory_not_equal(after.nonce, before.nonce, after.nonce_len);
	assert_int_equal(rig_ask(r, &before, TP_STUN_ALLOCATE, RIG_UDP), 0);
	assert_int_equal(rig_ask(r, &after, TP_STUN_REFRESH, RIG_NONE), 0);
}

/* ---- allocations ---- */

/* RFC 8656 section 6: no relayed transport address is of two allocations, down to the last port. */
static void relayed_addresses_are_unique(void **state)
{
	static bool is_seen[2][UINT16_MAX + 1];
	struct rig *r = *state;

	memset(is_seen, 0, sizeof(is_seen));
	for (uint16_t i = 0; i <= RIG_PORT_MAX - RIG_PORT_MIN; i++) {
		const struct rig_client c = rig_alice(r, CLIENT, (uint16_t)(i + 1));

		assert_int_equal(rig_ask(r, &c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL), 0);
		for (unsigned at = 0; at < 2; at++) {
			const struct tp_addr a = rig_relayed(r, at ? TP_IPV6 : TP_IPV4);

			assert_in_range(a.port, RIG_PORT_MIN, RIG_PORT_MAX);
			assert_false(is_seen[at][a.port]);
			is_seen[at][a.port] = true;
		}
	}
}

/* RFC 8656 section 5 (quota) and RFC 8016 section 3.2.2: who moved has what he had, and no more. */
static void moving_an_allocation_frees_no_quota(void **state)
{
	struct rig *r = *state;
	const struct tp_stun_value *v;
	struct rig_client here, there;
	uint8_t ticket[256];
	struct rig_attr proof = { .type = TP_STUN_ATTR_MOBILITY_TICKET, .data = ticket };

	r->conf.mobility = true;
	r->conf.limits.allocations_per_user = 1;
	rig_restart(r);
	here = rig_alice(r, CLIENT, 4711);
	there = rig_alice(r, ELSEWHERE, 4711);
	assert_int_equal(rig_ask(r, &here, TP_STUN_ALLOCATE, RIG_UDP, RIG_RAW(MOBILITY_TICKET, "")),
			0);
	v = &r->answer.attr[TP_STUN_MOBILITY_TICKET_AT];
	assert_true(v->data != NULL && v->len <= sizeof(ticket));
	memcpy(ticket, v->data, v->len);
	proof.len = (uint16_t)v->len;
	assert_int_equal(rig_ask(r, &there, TP_STUN_REFRESH, proof), 0);
	/* data by the new way: the old one is nobody's */
	assert_int_equal(rig_permit(r, &there, PEER), 0);
	assert_int_equal(rig_send(r, &there, RIG_PEER(PEER, 9), RIG_RAW(DATA, "x")),
			TP_SLOW_RELAYED);
	assert_int_equal(rig_ask(r, &here, TP_STUN_ALLOCATE, RIG_UDP), TP_STUN_QUOTA_REACHED);
	assert_int_equal(rig_ask(r, &there, TP_STUN_REFRESH, RIG_DELETE), 0);
	assert_int_equal(rig_ask(r, &here, TP_STUN_ALLOCATE, RIG_UDP), 0);
}

/* ---- answers ---- */

/*
 * RFC 8489 section 6.3.1.1 and RFC 8656 section 5 say SHOULD of SOFTWARE.  It is left out: what a
 * forged source can be sent stays small (RFC 8656 section 21), and no version is told.
 */
static void no_answer_has_software(void **state)
{
	static const struct {
		uint16_t method, want;
		struct rig_attr attrs[3];
	} cases[] = {
		{ TP_STUN_REFRESH, 437, { RIG_END } },
		{ TP_STUN_ALLOCATE, 0, { RIG_UDP } },
		{ TP_STUN_REFRESH, 0, { RIG_END } },
		{ TP_STUN_CREATE_PERMISSION, 0, { RIG_PEER(PEER, 0) } },
		{ TP_STUN_CHANNEL_BIND, 0, { RIG_CHANNEL("\x40\0"), RIG_PEER(PEER, 9) } },
		{ TP_STUN_CHANNEL_BIND, 400, { RIG_END } },
		{ TP_STUN_REFRESH, 420, { RIG_UNKNOWN(0x7abc, "") } },
	};
	struct rig *r = *state;
	const struct rig_client c = rig_alice(r, CLIENT, 4711);
	struct rig_message m;

	assert_false(tp_stun_has(&r->answer, TP_STUN_SOFTWARE_AT)); /* the 401 */
	rig_begin(r, &m, TP_STUN_BINDING, TP_STUN_REQUEST);
	tp_stun_put(&m.b, TP_STUN_ATTR_SOFTWARE, "curious", 7);
	assert_int_equal(rig_exchange(r, &c, &m), 0);
	assert_false(tp_stun_has(&r->answer, TP_STUN_SOFTWARE_AT));
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(
				rig_request(r, &c, cases[i].method, cases[i].attrs), cases[i].want);
		assert_false(tp_stun_has(&r->answer, TP_STUN_SOFTWARE_AT));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_request_is_told_its_first_fault),
		rig_test(allocate_is_refused_for_its_first_fault),
		rig_test(the_longest_username_is_served),
		rig_test(credentials_do_not_matter_where_there_is_no_authentication),
		rig_test(who_asks_again_gets_another_nonce),
		rig_test(relayed_addresses_are_unique),
		rig_test(moving_an_allocation_frees_no_quota),
		rig_test(no_answer_has_software),
	};

	return cmocka_run_group_tests_name("checklist", tests, NULL, NULL);
}
