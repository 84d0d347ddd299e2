/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/request_private.h"

#include <string.h>

/* How an answer leaves: a packet of our own. */
static const struct tp_ip_meta answer_meta = { .ttl = TP_TURN_TTL, .is_ours = true };

void tp_request_begin(struct tp_request *rq, enum tp_stun_class class)
{
	tp_stun_begin(&rq->b, rq->buf, sizeof(rq->buf), rq->msg->method, class, rq->msg->tid);
}

/* RFC 8489 section 9.2.4: as the request was processed. */
static void sign(struct tp_request *rq)
{
	const struct tp_key *key = &rq->who.key;

	if (key->len == 0)
		return;
	if (rq->who.is_legacy)
		tp_stun_put_integrity(&rq->b, key->data, key->len);
	else
		tp_stun_put_integrity_sha256(&rq->b, key->data, key->len);
}

enum tp_slow_verdict tp_request_charge(struct tp_request *rq)
{
	enum tp_slow_verdict v;

	if (rq->is_charged)
		return TP_SLOW_ANSWERED;
	v = tp_flood_answer(rq->turn->flood, &rq->tuple->client, rq->is_proven, rq->now->mono_ns);
	rq->is_charged = v == TP_SLOW_ANSWERED;
	return v;
}

enum tp_slow_verdict tp_request_finish(struct tp_request *rq)
{
	struct tp_turn *turn = rq->turn;
	struct tp_bytes part = { .data = rq->buf };
	enum tp_slow_verdict v = rq->who.key.len > 0 ? TP_SLOW_ANSWERED : tp_request_charge(rq);

	if (v != TP_SLOW_ANSWERED)
		return v;
	sign(rq);
	if (tp_stun_has(rq->msg, TP_STUN_FINGERPRINT_AT))
		tp_stun_put_fingerprint(&rq->b);
	part.len = tp_stun_finish(&rq->b);
	tp_secret_wipe(&rq->who.key, sizeof(rq->who.key));
	if (part.len == 0 ||
			turn->ops.send_client(turn->ctx, rq->tuple, &part, 1, &answer_meta) < 0)
		return TP_SLOW_DROP_SEND;
	return TP_SLOW_ANSWERED;
}

enum tp_slow_verdict tp_request_refuse(struct tp_request *rq, enum tp_stun_err err)
{
	tp_request_begin(rq, TP_STUN_ERROR);
	rq->turn->refused.code[err - TP_TURN_ERROR_MIN]++;
	/* To a stranger no more than need be: the phrase would double the answer. */
	if (rq->who.key.len > 0)
		tp_stun_put_error(&rq->b, err);
	else
		tp_stun_put_error_code(&rq->b, err);
	if (err == TP_STUN_UNKNOWN_ATTRIBUTE)
		tp_stun_put_unknown(&rq->b, rq->msg->unknown, rq->msg->n_unknown);
	return tp_request_finish(rq);
}

/* ---- authentication (RFC 8489 section 9.2.4) ---- */

static const struct {
	const char *name;
	enum tp_stun_err err;
} results[] = {
#define X(name, text, error, help) [TP_AUTH_##name] = { (text), (error) },
	TP_AUTH_RESULTS(X)
#undef X
};

const char *tp_auth_result_name(enum tp_auth_result result)
{
	return results[result].name;
}

enum tp_stun_err tp_auth_result_error(enum tp_auth_result result)
{
	return results[result].err;
}

/* 401 and 438: what the client needs to try again. */
static enum tp_slow_verdict challenge(struct tp_request *rq, enum tp_stun_err err)
{
	const struct tp_auth *auth = rq->turn->auth;
	const struct tp_bytes algorithms = tp_auth_algorithms(auth);
	const char *realm = tp_auth_realm(auth);
	char nonce[TP_NONCE_LEN];
	enum tp_slow_verdict v = tp_request_charge(rq);

	if (v != TP_SLOW_ANSWERED)
		return v;
	tp_nonce_make(tp_auth_nonces(auth), &rq->tuple->client, rq->now->wall_sec, nonce);
	tp_request_begin(rq, TP_STUN_ERROR);
	tp_request_put_error(rq, err);
	tp_stun_put(&rq->b, TP_STUN_ATTR_REALM, realm, strlen(realm));
	tp_stun_put(&rq->b, TP_STUN_ATTR_NONCE, nonce, sizeof(nonce));
	tp_stun_put(&rq->b, TP_STUN_ATTR_PASSWORD_ALGORITHMS, algorithms.data, algorithms.len);
	return tp_request_finish(rq);
}

bool tp_request_is_owner(const struct tp_request *rq)
{
	return rq->alloc->username_len == rq->who.name.len &&
			memcmp(rq->alloc->username, rq->who.name.data, rq->who.name.len) == 0;
}

static enum tp_auth_result check(struct tp_request *rq, enum tp_nonce_state nonce)
{
	struct tp_auth_owner owner, *known = NULL;

	if (rq->alloc != NULL) {
		owner = (struct tp_auth_owner){
			.name = { (const uint8_t *)rq->alloc->username, rq->alloc->username_len },
			.key = &rq->alloc->key,
		};
		known = &owner;
	}
	return tp_auth_check(rq->turn->auth, rq->msg, nonce, rq->now->wall_sec, known, &rq->who);
}

/* Does it claim to come from the owner of the allocation?  His key is at hand. */
static bool names_owner(const struct tp_request *rq)
{
	struct tp_stun_value name;

	return rq->alloc != NULL && tp_auth_name(rq->turn->auth, rq->msg, &name) &&
			rq->alloc->username_len == name.len &&
			memcmp(rq->alloc->username, name.data, name.len) == 0;
}

static enum tp_nonce_state check_nonce(const struct tp_request *rq)
{
	const struct tp_stun_value *nonce = &rq->msg->attr[TP_STUN_NONCE_AT];

	if (nonce->data == NULL)
		return TP_NONCE_FOREIGN;
	return tp_nonce_check(tp_auth_nonces(rq->turn->auth), &rq->tuple->client, rq->now->wall_sec,
			nonce);
}

/*
 * May the credentials be looked at, at the cost of a MAC or several?  Without a nonce of ours the
 * answer is an error whatever they are: it must be allowed to go out.
 */
static enum tp_slow_verdict check_flood(
		struct tp_request *rq, enum tp_nonce_state nonce, bool is_owner)
{
	if (is_owner)
		return TP_SLOW_ANSWERED;
	rq->is_proven = nonce == TP_NONCE_FRESH;
	if (rq->is_proven)
		return tp_flood_check(rq->turn->flood, &rq->tuple->client, rq->now->mono_ns);
	return tp_request_charge(rq);
}

/* @return whether the request may go on; if not, *verdict says what became of it */
static bool authenticate(struct tp_request *rq, enum tp_slow_verdict *verdict)
{
	enum tp_nonce_state nonce = check_nonce(rq);
	bool is_owner = names_owner(rq);
	enum tp_auth_result result;
	enum tp_stun_err err;

	*verdict = check_flood(rq, nonce, is_owner);
	if (*verdict != TP_SLOW_ANSWERED)
		return false;
	result = check(rq, nonce);
	err = tp_auth_result_error(result);
	rq->turn->n_auth[result]++;
	if (err == TP_STUN_OK)
		return true;
	if (rq->is_proven)
		tp_flood_failed(rq->turn->flood, &rq->tuple->client, rq->now->mono_ns);
	/* Who knows the key of the allocation here may hear that its nonce is old. */
	if (result == TP_AUTH_STALE_NONCE && is_owner)
		rq->is_charged = true;
	/* The 400 can not be signed, and tells nothing that the client would need. */
	*verdict = err == TP_STUN_BAD_REQUEST ? tp_request_refuse(rq, err) : challenge(rq, err);
	return false;
}

/* ---- Binding (RFC 8489 section 12: not authenticated; RFC 5780 section 6) ---- */

static enum tp_slow_verdict binding(struct tp_request *rq)
{
	enum tp_slow_verdict v = tp_request_charge(rq);
	const struct tp_tuple *came = rq->tuple;
	struct tp_tuple from = *came;
	struct tp_discovery_way way;
	bool is_changed;

	if (v != TP_SLOW_ANSWERED)
		return v;
	if (tp_discovery_way(&rq->turn->discovery, &from.server, rq->msg, &way) != TP_STUN_OK)
		return tp_request_refuse(rq, TP_STUN_BAD_REQUEST);
	tp_request_begin(rq, TP_STUN_SUCCESS);
	tp_stun_put_xor_addr(&rq->b, TP_STUN_ATTR_XOR_MAPPED_ADDRESS, &from.client);
	if (way.site == NULL)
		return tp_request_finish(rq);
	tp_discovery_put(&way, &from.client, &rq->b);
	is_changed = !tp_addr_equal(&from.server, &way.site->local[way.from]);
	from.server = way.site->local[way.from];
	rq->tuple = &from;
	v = tp_request_finish(rq);
	rq->tuple = came;
	rq->turn->count.changed += is_changed && v == TP_SLOW_ANSWERED;
	return v;
}

/* ---- all of them ---- */

static const struct method {
	uint16_t method;
	bool is_authenticated;
	bool needs_allocation; /* 437 without, 441 when it is somebody else's (section 5) */
	enum tp_slow_verdict (*answer)(struct tp_request *rq);
} methods[] = {
	{ TP_STUN_BINDING, false, false, binding },
	{ TP_STUN_ALLOCATE, true, false, tp_request_allocate },
	{ TP_STUN_REFRESH, true, true, tp_request_refresh },
	{ TP_STUN_CREATE_PERMISSION, true, true, tp_request_create_permission },
	{ TP_STUN_CHANNEL_BIND, true, true, tp_request_channel_bind },
};

static const struct method *find_method(uint16_t method)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (methods[i].method == method)
			return &methods[i];
	return NULL;
}

enum tp_slow_verdict tp_request_answer(struct tp_turn *turn, const struct tp_turn_now *now,
		const struct tp_tuple *tuple, const struct tp_stun_msg *msg)
{
	const struct method *method = find_method(msg->method);
	struct tp_request rq = { .turn = turn, .now = now, .tuple = tuple, .msg = msg };
	enum tp_slow_verdict verdict;

	/* RFC 8489 section 6.3: a method that is not supported is silently discarded. */
	if (method == NULL)
		return TP_SLOW_DROP_UNEXPECTED;
	if (method->is_authenticated) {
		tp_request_locate(&rq);
		if (!authenticate(&rq, &verdict))
			return verdict;
	}
	if (msg->n_unknown > 0)
		return tp_request_refuse(&rq, TP_STUN_UNKNOWN_ATTRIBUTE);
	if (rq.has_ticket && !rq.claim.is_valid)
		return tp_request_refuse(&rq, TP_STUN_BAD_REQUEST);
	if (method->needs_allocation && rq.alloc == NULL)
		return tp_request_refuse(&rq, TP_STUN_ALLOCATION_MISMATCH);
	if (method->needs_allocation && !tp_request_is_owner(&rq))
		return tp_request_refuse(&rq, TP_STUN_WRONG_CREDENTIALS);
	return method->answer(&rq);
}
