/* SPDX-License-Identifier: Apache-2.0 */
#include "turn/request.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "wire/channel.h"
#include "wire/stun_build.h"

/* Realm and nonce, two relayed addresses and the rest: well below. */
#define ANSWER_MAX 1500

/* How an answer leaves: a packet of our own. */
static const struct tp_ip_meta answer_meta = { .ttl = TP_TURN_TTL, .is_ours = true };

/* One request on its way to its answer. */
struct request {
	struct tp_turn *turn;
	const struct tp_turn_now *now;
	const struct tp_tuple *tuple;
	const struct tp_stun_msg *msg;
	struct tp_allocation *alloc; /* of the tuple, or NULL */
	bool has_key;                /* authenticated: the answer carries MESSAGE-INTEGRITY */
	uint8_t key[TP_KEY_MD5_LEN];
	struct tp_stun_builder b;
	uint8_t buf[ANSWER_MAX];
};

static uint64_t deadline_ns(const struct request *rq, uint32_t seconds)
{
	return rq->now->mono_ns + seconds * TP_NS_PER_SEC;
}

static void begin(struct request *rq, enum tp_stun_class class)
{
	tp_stun_begin(&rq->b, rq->buf, sizeof(rq->buf), rq->msg->method, class, rq->msg->tid);
}

static enum tp_slow_verdict finish(struct request *rq)
{
	struct tp_turn *turn = rq->turn;
	struct tp_bytes part = { .data = rq->buf };

	if (rq->has_key)
		tp_stun_put_integrity(&rq->b, rq->key, sizeof(rq->key));
	if (tp_stun_has(rq->msg, TP_STUN_FINGERPRINT_AT))
		tp_stun_put_fingerprint(&rq->b);
	part.len = tp_stun_finish(&rq->b);
	tp_secret_wipe(rq->key, sizeof(rq->key));
	if (part.len == 0 ||
			turn->ops.send_client(turn->ctx, rq->tuple, &part, 1, &answer_meta) < 0)
		return TP_SLOW_DROP_SEND;
	return TP_SLOW_ANSWERED;
}

static enum tp_slow_verdict refuse(struct request *rq, enum tp_stun_err err)
{
	begin(rq, TP_STUN_ERROR);
	tp_stun_put_error(&rq->b, err);
	if (err == TP_STUN_UNKNOWN_ATTRIBUTE)
		tp_stun_put_unknown(&rq->b, rq->msg->unknown, rq->msg->n_unknown);
	return finish(rq);
}

/* ---- authentication (RFC 8489 section 9.2.4) ---- */

/* 401 and 438: what the client needs to try again. */
static enum tp_slow_verdict challenge(struct request *rq, enum tp_stun_err err)
{
	const struct tp_auth *auth = rq->turn->auth;
	const char *realm = tp_auth_realm(auth);
	char nonce[TP_NONCE_LEN];

	tp_auth_nonce(auth, &rq->tuple->client, rq->now->wall_sec, nonce);
	begin(rq, TP_STUN_ERROR);
	tp_stun_put_error(&rq->b, err);
	tp_stun_put(&rq->b, TP_STUN_ATTR_REALM, realm, strlen(realm));
	tp_stun_put(&rq->b, TP_STUN_ATTR_NONCE, nonce, sizeof(nonce));
	return finish(rq);
}

static bool is_owner(const struct request *rq)
{
	const struct tp_stun_value *name = &rq->msg->attr[TP_STUN_USERNAME_AT];

	return rq->alloc->username_len == name->len &&
			memcmp(rq->alloc->username, name->data, name->len) == 0;
}

/*
 * The owner of an allocation is known by the key it was made with, so a time-limited username
 * that expires meanwhile keeps its allocation.
 */
static bool integrity_ok(struct request *rq)
{
	if (rq->alloc != NULL && is_owner(rq)) {
		memcpy(rq->key, rq->alloc->key, sizeof(rq->key));
		return tp_integrity_check(rq->msg, rq->key, sizeof(rq->key)) == 0;
	}
	return tp_auth_check(rq->turn->auth, rq->msg, rq->now->wall_sec, rq->key) == 0;
}

/* @return whether the request may go on; if not, *verdict says what became of it */
static bool authenticate(struct request *rq, enum tp_slow_verdict *verdict)
{
	const struct tp_stun_msg *msg = rq->msg;

	if (!tp_stun_has(msg, TP_STUN_MESSAGE_INTEGRITY_AT)) {
		*verdict = challenge(rq, TP_STUN_UNAUTHENTICATED);
		return false;
	}
	if (!tp_stun_has(msg, TP_STUN_USERNAME_AT) || !tp_stun_has(msg, TP_STUN_REALM_AT) ||
			!tp_stun_has(msg, TP_STUN_NONCE_AT)) {
		*verdict = refuse(rq, TP_STUN_BAD_REQUEST);
		return false;
	}
	if (!integrity_ok(rq)) {
		*verdict = challenge(rq, TP_STUN_UNAUTHENTICATED);
		return false;
	}
	if (!tp_auth_nonce_ok(rq->turn->auth, &rq->tuple->client, rq->now->wall_sec,
			    &msg->attr[TP_STUN_NONCE_AT])) {
		*verdict = challenge(rq, TP_STUN_STALE_NONCE);
		return false;
	}
	rq->has_key = true;
	return true;
}

/* ---- Allocate (RFC 8656 section 7.2) ---- */

/* What the checks made of the request. */
struct wish {
	bool wants[2];          /* a leg in IPv4, IPv6 */
	bool is_dual;           /* ADDITIONAL-ADDRESS-FAMILY: one leg alone is a success too */
	bool is_even, has_next; /* EVEN-PORT, its R bit */
	struct tp_reservation *reservation;
	uint32_t lifetime_sec;
};

static uint32_t random_u32(struct tp_turn *turn)
{
	uint32_t r;

	turn->ops.random(turn->ctx, &r, sizeof(r));
	return r;
}

static bool supports(const struct tp_turn *turn, unsigned at)
{
	for (uint32_t i = 0; i < turn->n_relays; i++)
		if (tp_leg_at(turn->relays[i].addr.local.family) == at)
			return true;
	return false;
}

/* LIFETIME: max(default, min(asked, maximum)); 0 stays 0 for Refresh. */
static enum tp_stun_err get_lifetime(const struct tp_stun_msg *msg, uint32_t *out)
{
	uint32_t asked = TP_TURN_LIFETIME_SEC;
	int rc = tp_stun_get_u32(msg, TP_STUN_LIFETIME_AT, &asked);

	if (rc == -EINVAL)
		return TP_STUN_BAD_REQUEST;
	if (asked > TP_TURN_MAX_LIFETIME_SEC)
		asked = TP_TURN_MAX_LIFETIME_SEC;
	if (asked != 0 && asked < TP_TURN_LIFETIME_SEC)
		asked = TP_TURN_LIFETIME_SEC;
	*out = asked;
	return TP_STUN_OK;
}

static enum tp_stun_err check_transport(const struct tp_stun_msg *msg)
{
	uint8_t protocol;

	if (tp_stun_get_u8_of4(msg, TP_STUN_REQUESTED_TRANSPORT_AT, &protocol) < 0)
		return TP_STUN_BAD_REQUEST;
	return protocol == TP_TURN_UDP ? TP_STUN_OK : TP_STUN_TRANSPORT_UNSUPPORTED;
}

static enum tp_stun_err check_token(const struct request *rq, struct wish *w)
{
	const struct tp_stun_value *token = &rq->msg->attr[TP_STUN_RESERVATION_TOKEN_AT];

	if (token->data == NULL)
		return TP_STUN_OK;
	if (tp_stun_has(rq->msg, TP_STUN_EVEN_PORT_AT) ||
			tp_stun_has(rq->msg, TP_STUN_REQUESTED_ADDRESS_FAMILY_AT) ||
			tp_stun_has(rq->msg, TP_STUN_ADDITIONAL_ADDRESS_FAMILY_AT) ||
			token->len != TP_TOKEN_LEN)
		return TP_STUN_BAD_REQUEST;
	w->reservation = tp_reservation_find(rq->turn, token->data);
	return w->reservation != NULL ? TP_STUN_OK : TP_STUN_INSUFFICIENT_CAPACITY;
}

/* REQUESTED-ADDRESS-FAMILY; absent means IPv4. */
static enum tp_stun_err check_family(const struct request *rq, struct wish *w)
{
	uint8_t family = TP_STUN_FAMILY_IPV4;
	int rc = tp_stun_get_u8_of4(rq->msg, TP_STUN_REQUESTED_ADDRESS_FAMILY_AT, &family);
	unsigned at = family == TP_STUN_FAMILY_IPV6;

	if (rc == -EINVAL)
		return TP_STUN_BAD_REQUEST;
	if (rc == 0 && tp_stun_has(rq->msg, TP_STUN_ADDITIONAL_ADDRESS_FAMILY_AT))
		return TP_STUN_BAD_REQUEST;
	if (tp_stun_has(rq->msg, TP_STUN_ADDITIONAL_ADDRESS_FAMILY_AT))
		return TP_STUN_OK; /* both families, partial success allowed: check_additional() */
	if (family != TP_STUN_FAMILY_IPV4 && family != TP_STUN_FAMILY_IPV6)
		return TP_STUN_FAMILY_UNSUPPORTED;
	if (!supports(rq->turn, at))
		return TP_STUN_FAMILY_UNSUPPORTED;
	w->wants[at] = true;
	return TP_STUN_OK;
}

static enum tp_stun_err check_even_port(const struct request *rq, struct wish *w)
{
	int rc = tp_stun_get_even_port(rq->msg, &w->has_next);

	if (rc == -EINVAL)
		return TP_STUN_BAD_REQUEST;
	w->is_even = rc == 0;
	if (rc != 0)
		w->has_next = false;
	if (w->has_next && tp_stun_has(rq->msg, TP_STUN_ADDITIONAL_ADDRESS_FAMILY_AT))
		return TP_STUN_BAD_REQUEST;
	return TP_STUN_OK;
}

static enum tp_stun_err check_additional(const struct request *rq, struct wish *w)
{
	uint8_t family;
	int rc = tp_stun_get_u8_of4(rq->msg, TP_STUN_ADDITIONAL_ADDRESS_FAMILY_AT, &family);

	if (rc == -ENOENT)
		return TP_STUN_OK;
	if (rc < 0 || family != TP_STUN_FAMILY_IPV6)
		return TP_STUN_BAD_REQUEST;
	w->wants[0] = w->wants[1] = w->is_dual = true;
	return TP_STUN_OK;
}

static enum tp_stun_err check_allocate(const struct request *rq, struct wish *w)
{
	enum tp_stun_err err = check_transport(rq->msg);

	if (err == TP_STUN_OK)
		err = check_token(rq, w);
	if (err == TP_STUN_OK && w->reservation == NULL)
		err = check_family(rq, w);
	if (err == TP_STUN_OK)
		err = check_even_port(rq, w);
	if (err == TP_STUN_OK)
		err = check_additional(rq, w);
	if (err == TP_STUN_OK)
		err = get_lifetime(rq->msg, &w->lifetime_sec);
	if (err == TP_STUN_OK && w->lifetime_sec == 0)
		w->lifetime_sec = TP_TURN_LIFETIME_SEC;
	if (err == TP_STUN_OK && rq->turn->count.allocations >= rq->turn->max_allocations)
		err = TP_STUN_INSUFFICIENT_CAPACITY;
	return err;
}

/* Take a port on a relay address of the family, starting anywhere.  @return the port or -ENOSPC */
static int take_port(struct tp_turn *turn, unsigned at, const struct wish *w, uint32_t *relay)
{
	uint32_t start = random_u32(turn) % turn->n_relays;

	for (uint32_t i = 0; i < turn->n_relays; i++) {
		struct tp_relay *r = &turn->relays[(start + i) % turn->n_relays];
		int port;

		if (tp_leg_at(r->addr.local.family) != at)
			continue;
		port = w->is_even ? tp_ports_take_even(r->ports, random_u32(turn), w->has_next)
				  : tp_ports_take(r->ports, random_u32(turn));
		*relay = (uint32_t)(r - turn->relays);
		if (port >= 0)
			return port;
	}
	return -ENOSPC;
}

static enum tp_stun_err reserve_next(struct request *rq, uint32_t relay, uint16_t port)
{
	struct tp_turn *turn = rq->turn;
	struct tp_allocation *alloc = rq->alloc;

	turn->ops.random(turn->ctx, alloc->token, sizeof(alloc->token));
	if (tp_reservation_new(turn, alloc->token, relay, port,
			    deadline_ns(rq, TP_TURN_RESERVATION_SEC)) == NULL) {
		tp_ports_give(turn->relays[relay].ports, port);
		return TP_STUN_INSUFFICIENT_CAPACITY;
	}
	alloc->has_token = true;
	return TP_STUN_OK;
}

static enum tp_stun_err add_leg(struct request *rq, unsigned at, const struct wish *w)
{
	struct tp_turn *turn = rq->turn;
	uint64_t deadline = deadline_ns(rq, w->lifetime_sec);
	uint32_t relay = 0;
	int port;

	if (!supports(turn, at))
		return TP_STUN_FAMILY_UNSUPPORTED;
	port = take_port(turn, at, w, &relay);
	if (port < 0)
		return TP_STUN_INSUFFICIENT_CAPACITY;
	tp_allocation_add_leg(turn, rq->alloc, relay, (uint16_t)port, deadline);
	return w->has_next ? reserve_next(rq, relay, (uint16_t)(port + 1)) : TP_STUN_OK;
}

static void add_reserved_leg(struct request *rq, const struct wish *w)
{
	uint32_t relay = w->reservation->relay;
	uint16_t port = w->reservation->port;

	tp_reservation_end(rq->turn, w->reservation, true);
	tp_allocation_add_leg(rq->turn, rq->alloc, relay, port, deadline_ns(rq, w->lifetime_sec));
}

static enum tp_stun_err add_legs(struct request *rq, const struct wish *w)
{
	enum tp_stun_err err = TP_STUN_OK;
	unsigned n_legs = 0;

	if (w->reservation != NULL) {
		add_reserved_leg(rq, w);
		return TP_STUN_OK;
	}
	for (unsigned at = 0; at < 2; at++) {
		enum tp_stun_err leg_err;

		if (!w->wants[at])
			continue;
		leg_err = add_leg(rq, at, w);
		if (leg_err == TP_STUN_OK) {
			n_legs++;
			continue;
		}
		err = leg_err;
		rq->alloc->address_error = leg_err;
		rq->alloc->address_error_family = at ? TP_STUN_FAMILY_IPV6 : TP_STUN_FAMILY_IPV4;
	}
	if (!w->is_dual)
		return err;
	/* With neither: 508, since 440 of the one would hide that the other may be had later. */
	return n_legs > 0 ? TP_STUN_OK : TP_STUN_INSUFFICIENT_CAPACITY;
}

/* The answer of section 7.2; also to a retransmission of the request that made the allocation. */
static enum tp_slow_verdict answer_allocated(struct request *rq)
{
	const struct tp_allocation *alloc = rq->alloc;

	begin(rq, TP_STUN_SUCCESS);
	for (int i = 0; i < 2; i++) {
		struct tp_addr relayed;

		if (!alloc->leg[i].is_present)
			continue;
		relayed = tp_leg_external(rq->turn, &alloc->leg[i]);
		tp_stun_put_xor_addr(&rq->b, TP_STUN_ATTR_XOR_RELAYED_ADDRESS, &relayed);
	}
	tp_stun_put_u32(&rq->b, TP_STUN_ATTR_LIFETIME, alloc->lifetime_sec);
	if (alloc->has_token)
		tp_stun_put(&rq->b, TP_STUN_ATTR_RESERVATION_TOKEN, alloc->token, TP_TOKEN_LEN);
	tp_stun_put_xor_addr(&rq->b, TP_STUN_ATTR_XOR_MAPPED_ADDRESS, &rq->tuple->client);
	if (alloc->address_error != TP_STUN_OK)
		tp_stun_put_address_error(
				&rq->b, alloc->address_error_family, alloc->address_error);
	return finish(rq);
}

static enum tp_slow_verdict allocate(struct request *rq)
{
	struct tp_turn *turn = rq->turn;
	struct wish w = { 0 };
	enum tp_stun_err err;

	if (rq->alloc != NULL) {
		if (is_owner(rq) && memcmp(rq->alloc->tid, rq->msg->tid, TP_STUN_TID_LEN) == 0)
			return answer_allocated(rq);
		return refuse(rq, TP_STUN_ALLOCATION_MISMATCH);
	}
	err = check_allocate(rq, &w);
	if (err != TP_STUN_OK)
		return refuse(rq, err);
	rq->alloc = tp_allocation_new(turn, rq->tuple, &rq->msg->attr[TP_STUN_USERNAME_AT], rq->key,
			rq->now->mono_ns);
	if (rq->alloc == NULL)
		return refuse(rq, TP_STUN_INSUFFICIENT_CAPACITY);
	memcpy(rq->alloc->tid, rq->msg->tid, TP_STUN_TID_LEN);
	rq->alloc->lifetime_sec = w.lifetime_sec;
	err = add_legs(rq, &w);
	if (err != TP_STUN_OK) {
		tp_allocation_end(turn, rq->alloc, TP_TURN_END_DELETED);
		rq->alloc = NULL;
		return refuse(rq, err);
	}
	tp_allocation_announce(turn, rq->alloc);
	return answer_allocated(rq);
}

/* ---- Refresh (section 8.2) ---- */

static void refresh_leg(struct request *rq, struct tp_leg *leg, uint32_t lifetime_sec)
{
	if (lifetime_sec == 0) {
		if (tp_leg_end(rq->turn, rq->alloc, leg, TP_TURN_END_DELETED))
			rq->alloc = NULL;
	} else {
		tp_leg_set_deadline(rq->turn, rq->alloc, leg, deadline_ns(rq, lifetime_sec));
	}
}

static enum tp_slow_verdict refresh(struct request *rq)
{
	uint8_t family = 0;
	uint32_t lifetime_sec;
	int rc = tp_stun_get_u8_of4(rq->msg, TP_STUN_REQUESTED_ADDRESS_FAMILY_AT, &family);
	unsigned at = family == TP_STUN_FAMILY_IPV6;

	if (rc == -EINVAL || get_lifetime(rq->msg, &lifetime_sec) != TP_STUN_OK)
		return refuse(rq, TP_STUN_BAD_REQUEST);
	if (rc == 0 &&
			((family != TP_STUN_FAMILY_IPV4 && family != TP_STUN_FAMILY_IPV6) ||
					!rq->alloc->leg[at].is_present))
		return refuse(rq, TP_STUN_PEER_FAMILY_MISMATCH);
	for (unsigned i = 0; i < 2 && rq->alloc != NULL; i++)
		if (rq->alloc->leg[i].is_present && (rc != 0 || i == at))
			refresh_leg(rq, &rq->alloc->leg[i], lifetime_sec);
	begin(rq, TP_STUN_SUCCESS);
	tp_stun_put_u32(&rq->b, TP_STUN_ATTR_LIFETIME, lifetime_sec);
	return finish(rq);
}

/* ---- CreatePermission (section 10.2) and ChannelBind (section 12.2) ---- */

static enum tp_stun_err check_peer(
		const struct request *rq, const struct tp_addr *peer, bool has_port)
{
	if (!rq->alloc->leg[tp_leg_at(peer->family)].is_present)
		return TP_STUN_PEER_FAMILY_MISMATCH;
	if (!tp_peer_allowed(rq->turn, peer, has_port))
		return TP_STUN_FORBIDDEN;
	return TP_STUN_OK;
}

/* All addresses are good before any permission is touched. */
static enum tp_stun_err check_permissions(const struct request *rq)
{
	struct tp_stun_value value;
	struct tp_addr peer;
	uint32_t n = 0, n_new = 0;
	size_t pos = 0;

	while (tp_stun_next(rq->msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value)) {
		if (tp_stun_xor_addr_value(rq->msg, &value, &peer) < 0)
			return TP_STUN_BAD_REQUEST;
		n++;
	}
	if (n == 0)
		return TP_STUN_BAD_REQUEST;
	pos = 0;
	while (tp_stun_next(rq->msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value)) {
		enum tp_stun_err err;

		tp_stun_xor_addr_value(rq->msg, &value, &peer);
		err = check_peer(rq, &peer, false);
		if (err != TP_STUN_OK)
			return err;
		n_new += tp_permission_find(rq->turn, rq->alloc, &peer) == NULL;
	}
	if (rq->alloc->n_permissions + n_new > TP_PERMISSIONS_MAX)
		return TP_STUN_INSUFFICIENT_CAPACITY;
	return TP_STUN_OK;
}

static enum tp_slow_verdict create_permission(struct request *rq)
{
	uint64_t deadline = deadline_ns(rq, TP_TURN_PERMISSION_SEC);
	enum tp_stun_err err = check_permissions(rq);
	struct tp_stun_value value;
	struct tp_addr peer;
	size_t pos = 0;

	if (err != TP_STUN_OK)
		return refuse(rq, err);
	while (tp_stun_next(rq->msg, TP_STUN_ATTR_XOR_PEER_ADDRESS, &pos, &value)) {
		tp_stun_xor_addr_value(rq->msg, &value, &peer);
		/* Fails only without memory; those installed so far run out by themselves. */
		if (tp_permission_set(rq->turn, rq->alloc, &peer, deadline) == NULL)
			return refuse(rq, TP_STUN_INSUFFICIENT_CAPACITY);
	}
	begin(rq, TP_STUN_SUCCESS);
	return finish(rq);
}

static enum tp_stun_err check_channel(const struct request *rq, uint16_t *number,
		struct tp_addr *peer, struct tp_channel **out)
{
	struct tp_channel *by_number, *by_peer;

	if (tp_stun_get_channel(rq->msg, number) < 0 ||
			tp_stun_get_xor_addr(rq->msg, TP_STUN_XOR_PEER_ADDRESS_AT, peer) < 0)
		return TP_STUN_BAD_REQUEST;
	if (*number < TP_CHANNEL_MIN || *number > rq->turn->channel_max || peer->port == 0)
		return TP_STUN_BAD_REQUEST;
	by_number = tp_channel_by_number(rq->turn, rq->alloc, *number);
	by_peer = tp_channel_by_peer(rq->turn, rq->alloc, peer);
	if (by_number != by_peer)
		return TP_STUN_BAD_REQUEST;
	*out = by_number;
	return check_peer(rq, peer, true);
}

static enum tp_slow_verdict channel_bind(struct request *rq)
{
	struct tp_turn *turn = rq->turn;
	struct tp_channel *ch = NULL;
	struct tp_permission *perm;
	struct tp_addr peer;
	uint16_t number;
	enum tp_stun_err err = check_channel(rq, &number, &peer, &ch);

	if (err != TP_STUN_OK)
		return refuse(rq, err);
	if (ch == NULL && turn->count.channels >= turn->max_channels)
		return refuse(rq, TP_STUN_INSUFFICIENT_CAPACITY);
	perm = tp_permission_set(turn, rq->alloc, &peer, deadline_ns(rq, TP_TURN_PERMISSION_SEC));
	if (perm != NULL && ch == NULL)
		ch = tp_channel_new(turn, rq->alloc, number, &peer, perm);
	if (perm == NULL || ch == NULL)
		return refuse(rq, TP_STUN_INSUFFICIENT_CAPACITY);
	/* Published to every worker before the answer is sent. */
	tp_channel_set_deadline(turn, ch, deadline_ns(rq, TP_TURN_CHANNEL_SEC));
	begin(rq, TP_STUN_SUCCESS);
	return finish(rq);
}

/* ---- Binding (RFC 8489 section 12: not authenticated) ---- */

static enum tp_slow_verdict binding(struct request *rq)
{
	begin(rq, TP_STUN_SUCCESS);
	tp_stun_put_xor_addr(&rq->b, TP_STUN_ATTR_XOR_MAPPED_ADDRESS, &rq->tuple->client);
	return finish(rq);
}

/* ---- all of them ---- */

static const struct method {
	uint16_t method;
	bool is_authenticated;
	bool needs_allocation; /* 437 without, 441 when it is somebody else's (section 5) */
	enum tp_slow_verdict (*answer)(struct request *rq);
} methods[] = {
	{ TP_STUN_BINDING, false, false, binding },
	{ TP_STUN_ALLOCATE, true, false, allocate },
	{ TP_STUN_REFRESH, true, true, refresh },
	{ TP_STUN_CREATE_PERMISSION, true, true, create_permission },
	{ TP_STUN_CHANNEL_BIND, true, true, channel_bind },
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
	struct request rq = { .turn = turn, .now = now, .tuple = tuple, .msg = msg };
	enum tp_slow_verdict verdict;

	/* RFC 8489 section 6.3: a method that is not supported is silently discarded. */
	if (method == NULL)
		return TP_SLOW_DROP_UNEXPECTED;
	if (method->is_authenticated) {
		rq.alloc = tp_allocation_find(turn, tuple);
		if (!authenticate(&rq, &verdict))
			return verdict;
	}
	if (msg->n_unknown > 0)
		return refuse(&rq, TP_STUN_UNKNOWN_ATTRIBUTE);
	if (method->needs_allocation && rq.alloc == NULL)
		return refuse(&rq, TP_STUN_ALLOCATION_MISMATCH);
	if (method->needs_allocation && !is_owner(&rq))
		return refuse(&rq, TP_STUN_WRONG_CREDENTIALS);
	return method->answer(&rq);
}
