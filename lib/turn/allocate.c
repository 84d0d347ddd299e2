/* SPDX-License-Identifier: Apache-2.0 */
/* Allocate and Refresh. */
#include "turn/limits.h"
#include "turn/relays.h"
#include "turn/request_private.h"

#include <errno.h>
#include <string.h>

/* The ticket that is good now (RFC 8016). */
static void put_ticket(struct tp_request *rq)
{
	uint8_t ticket[TP_TICKET_LEN];

	/* Without memory for it there is no answer, and the client asks again. */
	if (tp_mobility_ticket(rq->turn, rq->alloc, ticket) < 0)
		rq->b.is_full = true;
	else
		tp_stun_put(&rq->b, TP_STUN_ATTR_MOBILITY_TICKET, ticket, sizeof(ticket));
}

/* ---- Allocate (RFC 8656 section 7.2) ---- */

/* What the checks made of the request. */
struct wish {
	bool wants[2];          /* a leg in IPv4, IPv6 */
	bool is_dual;           /* ADDITIONAL-ADDRESS-FAMILY: one leg alone is a success too */
	bool is_even, has_next; /* EVEN-PORT, its R bit */
	bool is_mobile;         /* MOBILITY-TICKET: it wants one */
	struct tp_reservation *reservation;
	uint32_t lifetime_sec;
};

/* ADDITIONAL-ADDRESS-FAMILY; where it is allowed, by its old number. */
static enum tp_stun_index additional_at(const struct tp_request *rq)
{
	if (rq->turn->legacy_attributes && tp_stun_has(rq->msg, TP_STUN_DRAFT_ADDITIONAL_FAMILY_AT))
		return TP_STUN_DRAFT_ADDITIONAL_FAMILY_AT;
	return TP_STUN_ADDITIONAL_ADDRESS_FAMILY_AT;
}

static bool has_additional(const struct tp_request *rq)
{
	return tp_stun_has(rq->msg, additional_at(rq));
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

static enum tp_stun_err check_token(const struct tp_request *rq, struct wish *w)
{
	const struct tp_stun_value *token = &rq->msg->attr[TP_STUN_RESERVATION_TOKEN_AT];

	if (token->data == NULL)
		return TP_STUN_OK;
	if (tp_stun_has(rq->msg, TP_STUN_EVEN_PORT_AT) ||
			tp_stun_has(rq->msg, TP_STUN_REQUESTED_ADDRESS_FAMILY_AT) ||
			has_additional(rq) || token->len != TP_TOKEN_LEN)
		return TP_STUN_BAD_REQUEST;
	w->reservation = tp_reservation_find(rq->turn, token->data);
	return w->reservation != NULL ? TP_STUN_OK : TP_STUN_INSUFFICIENT_CAPACITY;
}

/* What no REQUESTED-ADDRESS-FAMILY means: IPv4, unless configured to mean the listener's. */
static uint8_t default_family(const struct tp_request *rq)
{
	unsigned at = tp_leg_at(rq->tuple->server.family);

	if (rq->turn->default_is_listener && at == 1 && tp_relays_support(rq->turn, at))
		return TP_STUN_FAMILY_IPV6;
	return TP_STUN_FAMILY_IPV4;
}

static enum tp_stun_err check_family(const struct tp_request *rq, struct wish *w)
{
	uint8_t family = default_family(rq);
	int rc = tp_stun_get_u8_of4(rq->msg, TP_STUN_REQUESTED_ADDRESS_FAMILY_AT, &family);
	unsigned at = family == TP_STUN_FAMILY_IPV6;

	if (rc == -EINVAL)
		return TP_STUN_BAD_REQUEST;
	if (rc == 0 && has_additional(rq))
		return TP_STUN_BAD_REQUEST;
	if (has_additional(rq))
		return TP_STUN_OK; /* both families, partial success allowed: check_additional() */
	if (family != TP_STUN_FAMILY_IPV4 && family != TP_STUN_FAMILY_IPV6)
		return TP_STUN_FAMILY_UNSUPPORTED;
	if (!tp_relays_support(rq->turn, at))
		return TP_STUN_FAMILY_UNSUPPORTED;
	w->wants[at] = true;
	return TP_STUN_OK;
}

static enum tp_stun_err check_even_port(const struct tp_request *rq, struct wish *w)
{
	int rc = tp_stun_get_even_port(rq->msg, &w->has_next);

	if (rc == -EINVAL)
		return TP_STUN_BAD_REQUEST;
	w->is_even = rc == 0;
	if (rc != 0)
		w->has_next = false;
	if (w->has_next && has_additional(rq))
		return TP_STUN_BAD_REQUEST;
	return TP_STUN_OK;
}

static enum tp_stun_err check_additional(const struct tp_request *rq, struct wish *w)
{
	uint8_t family;
	int rc = tp_stun_get_u8_of4(rq->msg, additional_at(rq), &family);

	if (rc == -ENOENT)
		return TP_STUN_OK;
	if (rc < 0 || family != TP_STUN_FAMILY_IPV6)
		return TP_STUN_BAD_REQUEST;
	w->wants[0] = w->wants[1] = w->is_dual = true;
	return TP_STUN_OK;
}

/* RFC 8016 section 3.1.2 */
static enum tp_stun_err check_mobility(const struct tp_request *rq, struct wish *w)
{
	const struct tp_stun_value *ticket = &rq->msg->attr[TP_STUN_MOBILITY_TICKET_AT];

	if (ticket->data == NULL)
		return TP_STUN_OK;
	if (ticket->len != 0)
		return TP_STUN_BAD_REQUEST;
	if (!rq->turn->mobility.is_allowed)
		return TP_STUN_MOBILITY_FORBIDDEN;
	w->is_mobile = true;
	return TP_STUN_OK;
}

static enum tp_stun_err check_allocate(const struct tp_request *rq, struct wish *w)
{
	bool is_full = rq->turn->count.allocations >= rq->turn->max_allocations;
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
		err = check_mobility(rq, w);
	if (err == TP_STUN_OK)
		err = get_lifetime(rq->msg, &w->lifetime_sec);
	if (err == TP_STUN_OK && w->lifetime_sec == 0)
		w->lifetime_sec = TP_TURN_LIFETIME_SEC;
	if (err == TP_STUN_OK)
		err = tp_redirect_check(
				&rq->turn->redirect, rq->tuple, is_full, w->reservation != NULL);
	if (err == TP_STUN_INSUFFICIENT_CAPACITY)
		return tp_limits_refuse(rq->turn, TP_TURN_REFUSED_ELSEWHERE);
	if (err == TP_STUN_OK)
		err = tp_limits_allocation(rq->turn, &rq->who.name, w->has_next);
	return err;
}

static enum tp_stun_err reserve_next(struct tp_request *rq, uint32_t relay, uint16_t port)
{
	struct tp_turn *turn = rq->turn;
	struct tp_allocation *alloc = rq->alloc;

	turn->ops.random(turn->ctx, alloc->token, sizeof(alloc->token));
	if (tp_reservation_new(turn, alloc, relay, port,
			    tp_request_deadline_ns(rq, TP_TURN_RESERVATION_SEC)) == NULL) {
		tp_ports_give(turn->relays[relay].ports, port);
		return tp_limits_refuse(turn, TP_TURN_REFUSED_MEMORY);
	}
	alloc->has_token = true;
	return TP_STUN_OK;
}

static enum tp_stun_err add_leg(struct tp_request *rq, unsigned at, const struct wish *w)
{
	struct tp_turn *turn = rq->turn;
	uint64_t deadline = tp_request_deadline_ns(rq, w->lifetime_sec);
	uint32_t relay = 0;
	int port;

	if (!tp_relays_support(turn, at))
		return TP_STUN_FAMILY_UNSUPPORTED;
	port = tp_relays_take_port(turn, at, w->is_even, w->has_next, &relay);
	if (port < 0)
		return tp_limits_refuse(turn, TP_TURN_REFUSED_PORTS);
	tp_allocation_add_leg(turn, rq->alloc, relay, (uint16_t)port, deadline);
	return w->has_next ? reserve_next(rq, relay, (uint16_t)(port + 1)) : TP_STUN_OK;
}

static void add_reserved_leg(struct tp_request *rq, const struct wish *w)
{
	uint32_t relay = w->reservation->relay;
	uint16_t port = w->reservation->port;

	tp_reservation_end(rq->turn, w->reservation, true);
	tp_allocation_add_leg(rq->turn, rq->alloc, relay, port,
			tp_request_deadline_ns(rq, w->lifetime_sec));
}

static enum tp_stun_err add_legs(struct tp_request *rq, const struct wish *w)
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
		rq->alloc->address_error = (uint16_t)leg_err;
		rq->alloc->address_error_family = at ? TP_STUN_FAMILY_IPV6 : TP_STUN_FAMILY_IPV4;
	}
	if (!w->is_dual)
		return err;
	/* With neither: 508, since 440 of the one would hide that the other may be had later. */
	return n_legs > 0 ? TP_STUN_OK : TP_STUN_INSUFFICIENT_CAPACITY;
}

/* The answer of section 7.2; also to a retransmission of the request that made the allocation. */
static enum tp_slow_verdict answer_allocated(struct tp_request *rq)
{
	const struct tp_allocation *alloc = rq->alloc;

	tp_request_begin(rq, TP_STUN_SUCCESS);
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
		tp_stun_put_address_error(&rq->b, alloc->address_error_family,
				(enum tp_stun_err)alloc->address_error);
	if (alloc->is_mobile)
		put_ticket(rq);
	return tp_request_finish(rq);
}

/* Of the section's check 11; has MESSAGE-INTEGRITY as any answer to who is authenticated. */
static enum tp_slow_verdict redirect(struct tp_request *rq)
{
	tp_request_begin(rq, TP_STUN_ERROR);
	tp_request_put_error(rq, TP_STUN_TRY_ALTERNATE);
	tp_redirect_put(&rq->turn->redirect, rq->tuple, &rq->b);
	rq->turn->count.redirected++;
	return tp_request_finish(rq);
}

enum tp_slow_verdict tp_request_allocate(struct tp_request *rq)
{
	struct tp_turn *turn = rq->turn;
	struct wish w = { 0 };
	enum tp_stun_err err;

	if (rq->alloc != NULL) {
		if (tp_request_is_owner(rq) &&
				memcmp(rq->alloc->tid, rq->msg->tid, TP_STUN_TID_LEN) == 0)
			return answer_allocated(rq);
		return tp_request_refuse(rq, TP_STUN_ALLOCATION_MISMATCH);
	}
	err = check_allocate(rq, &w);
	if (err == TP_STUN_TRY_ALTERNATE)
		return redirect(rq);
	if (err != TP_STUN_OK)
		return tp_request_refuse(rq, err);
	rq->alloc = tp_allocation_new(
			turn, rq->tuple, &rq->who.name, &rq->who.key, rq->now->mono_ns);
	if (rq->alloc == NULL)
		return tp_request_refuse(rq, tp_limits_refuse(turn, TP_TURN_REFUSED_MEMORY));
	memcpy(rq->alloc->tid, rq->msg->tid, TP_STUN_TID_LEN);
	rq->alloc->lifetime_sec = w.lifetime_sec;
	/* Before the legs: a reservation, made or claimed, can not be taken back. */
	if (w.is_mobile && tp_mobility_start(turn, rq->alloc) < 0)
		err = tp_limits_refuse(turn, TP_TURN_REFUSED_MEMORY);
	if (err == TP_STUN_OK)
		err = add_legs(rq, &w);
	if (err != TP_STUN_OK) {
		tp_allocation_end(turn, rq->alloc, TP_TURN_END_DELETED);
		rq->alloc = NULL;
		return tp_request_refuse(rq, err);
	}
	tp_allocation_announce(turn, rq->alloc);
	return answer_allocated(rq);
}

/* ---- Refresh (section 8.2; RFC 8016 section 3.2.2) ---- */

/* With a ticket, the five-tuple of the packet does not count. */
void tp_request_locate(struct tp_request *rq)
{
	const struct tp_stun_value *ticket = &rq->msg->attr[TP_STUN_MOBILITY_TICKET_AT];

	rq->has_ticket = rq->msg->method == TP_STUN_REFRESH && ticket->data != NULL &&
			rq->turn->mobility.seal != NULL;
	if (rq->has_ticket)
		rq->claim = tp_mobility_open(rq->turn, ticket);
	rq->alloc = rq->has_ticket ? rq->claim.alloc : tp_allocation_find(rq->turn, rq->tuple);
}

/* @param[out] is_again  see tp_mobility_check() */
static enum tp_stun_err check_ticket(const struct tp_request *rq, bool *is_again)
{
	if (!tp_stun_has(rq->msg, TP_STUN_MOBILITY_TICKET_AT))
		return TP_STUN_OK;
	if (!rq->has_ticket)
		return TP_STUN_MOBILITY_FORBIDDEN;
	return tp_mobility_check(rq->turn, rq->now, rq->tuple, &rq->claim, rq->msg->tid, is_again);
}

static void refresh_leg(struct tp_request *rq, struct tp_leg *leg, uint32_t lifetime_sec)
{
	if (lifetime_sec == 0) {
		if (tp_leg_end(rq->turn, rq->alloc, leg, TP_TURN_END_DELETED))
			rq->alloc = NULL;
	} else {
		tp_leg_set_deadline(
				rq->turn, rq->alloc, leg, tp_request_deadline_ns(rq, lifetime_sec));
	}
}

enum tp_slow_verdict tp_request_refresh(struct tp_request *rq)
{
	uint8_t family = 0;
	uint32_t lifetime_sec;
	int rc = tp_stun_get_u8_of4(rq->msg, TP_STUN_REQUESTED_ADDRESS_FAMILY_AT, &family);
	unsigned at = family == TP_STUN_FAMILY_IPV6;
	bool is_again = false;
	enum tp_stun_err err = check_ticket(rq, &is_again);

	if (err != TP_STUN_OK)
		return tp_request_refuse(rq, err);
	if (rc == -EINVAL || get_lifetime(rq->msg, &lifetime_sec) != TP_STUN_OK)
		return tp_request_refuse(rq, TP_STUN_BAD_REQUEST);
	if (rc == 0 &&
			((family != TP_STUN_FAMILY_IPV4 && family != TP_STUN_FAMILY_IPV6) ||
					!rq->alloc->leg[at].is_present))
		return tp_request_refuse(rq, TP_STUN_PEER_FAMILY_MISMATCH);
	if (rq->has_ticket && !is_again)
		tp_mobility_prepare(rq->turn, rq->now, rq->tuple, rq->alloc, rq->msg->tid);
	for (unsigned i = 0; i < 2 && rq->alloc != NULL; i++)
		if (rq->alloc->leg[i].is_present && (rc != 0 || i == at))
			refresh_leg(rq, &rq->alloc->leg[i], lifetime_sec);
	tp_request_begin(rq, TP_STUN_SUCCESS);
	tp_stun_put_u32(&rq->b, TP_STUN_ATTR_LIFETIME, lifetime_sec);
	if (rq->has_ticket && rq->alloc != NULL)
		put_ticket(rq);
	return tp_request_finish(rq);
}
