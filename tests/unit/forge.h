/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forge - requests of a turn_client with something done to them before they are signed, for the
 * tests of the long-term credential mechanism (RFC 8489 section 9.2).
 */
#ifndef TP_TESTS_FORGE_H
#define TP_TESTS_FORGE_H

#include "turn_client.h"

#define FORGE_CLIENT "198.51.100.7"

static const uint16_t forge_methods[] = { TP_STUN_ALLOCATE, TP_STUN_REFRESH,
	TP_STUN_CREATE_PERMISSION, TP_STUN_CHANNEL_BIND };

static const uint8_t sha256_md5[] = { 0, 2, 0, 0, 0, 1, 0, 0 };

static inline struct rig_client forge_client(struct rig *r, enum tp_password_algorithm algorithm)
{
	struct rig_client c = rig_alice(r, FORGE_CLIENT, 4711);

	c.algorithm = algorithm;
	return c;
}

/* Without secrets there is no name but configured ones, so the server asks for USERHASH. */
static inline void forge_use_no_secrets(struct rig *r)
{
	r->conf.n_secrets = 0;
	rig_restart(r);
}

static inline void forge_use_algorithms(struct rig *r, uint8_t n, enum tp_password_algorithm first,
		enum tp_password_algorithm second)
{
	r->conf.n_algorithms = n;
	r->conf.algorithms[0] = first;
	r->conf.algorithms[1] = second;
	rig_restart(r);
}

static inline uint64_t forge_count(const struct rig *r, enum tp_auth_result result)
{
	return tp_turn_auth_count(r->turn, result);
}

/* A request with everything a test wants to do to it before it is signed. */
struct forge {
	struct rig_message m;
	const struct rig_client *c;
};

static inline void forge_begin(struct rig *r, struct forge *f, const struct rig_client *c)
{
	f->c = c;
	rig_begin(r, &f->m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
	rig_put(&f->m, (const struct rig_attr[]){ RIG_UDP, RIG_END });
	rig_put_user(&f->m, c);
	tp_stun_put(&f->m.b, TP_STUN_ATTR_REALM, c->realm, strlen(c->realm));
	tp_stun_put(&f->m.b, TP_STUN_ATTR_NONCE, c->nonce, c->nonce_len);
}

static inline void forge_put(struct forge *f, enum tp_stun_attr type, const void *data, size_t len)
{
	tp_stun_put(&f->m.b, type, data, len);
}

static inline uint16_t forge_end_sha256(struct rig *r, struct forge *f)
{
	const struct tp_key key = rig_make_key(f->c);

	tp_stun_put_integrity_sha256(&f->m.b, key.data, key.len);
	return rig_exchange(r, f->c, &f->m);
}

static inline uint16_t forge_end_sha1(struct rig *r, struct forge *f)
{
	const struct tp_key key = rig_make_key(f->c);

	tp_stun_put_integrity(&f->m.b, key.data, key.len);
	return rig_exchange(r, f->c, &f->m);
}

static inline void forge_assert_challenge(const struct rig *r)
{
	assert_true(tp_stun_has(&r->answer, TP_STUN_REALM_AT));
	assert_true(tp_stun_has(&r->answer, TP_STUN_NONCE_AT));
	assert_true(tp_stun_has(&r->answer, TP_STUN_PASSWORD_ALGORITHMS_AT));
	assert_false(tp_stun_has(&r->answer, TP_STUN_USERNAME_AT));
	assert_false(tp_stun_has(&r->answer, TP_STUN_USERHASH_AT));
	assert_false(rig_is_signed(r));
}

/* Section 9.2.4: SHOULD NOT contain them, and can not be signed. */
static inline void forge_assert_bare(const struct rig *r)
{
	assert_false(tp_stun_has(&r->answer, TP_STUN_REALM_AT));
	assert_false(tp_stun_has(&r->answer, TP_STUN_NONCE_AT));
	assert_false(tp_stun_has(&r->answer, TP_STUN_USERNAME_AT));
	assert_false(tp_stun_has(&r->answer, TP_STUN_USERHASH_AT));
	assert_false(rig_is_signed(r));
}

#endif
