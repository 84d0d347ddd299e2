/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define IPPROTO_UDP_NUMBER 17
#define TAG_AT 4 /* in the transaction identifier */

static const struct {
	const char *name;
	enum tp_stun_method method;
} kinds[TP_REQUEST_KIND_COUNT] = {
	[TP_REQUEST_ALLOCATE] = { "allocate", TP_STUN_ALLOCATE },
	[TP_REQUEST_BIND] = { "bind", TP_STUN_CHANNEL_BIND },
	[TP_REQUEST_PERMIT] = { "permit", TP_STUN_CREATE_PERMISSION },
	[TP_REQUEST_REFRESH] = { "refresh", TP_STUN_REFRESH },
	[TP_REQUEST_DELETE] = { "delete", TP_STUN_REFRESH },
};

const char *tp_request_name(enum tp_request_kind kind)
{
	return kinds[kind].name;
}

/*
 * Unique, which is all that a load generator needs: random once, then counted.  The counter wraps
 * around long after its answers are gone.
 */
static void next_tid(uint8_t tid[TP_STUN_TID_LEN], uint32_t tag)
{
	static uint32_t random, count;

	if (random == 0 && getrandom(&random, sizeof(random), 0) < 0)
		abort();
	count++;
	memcpy(tid, &random, sizeof(random));
	memcpy(tid + TAG_AT, &tag, sizeof(tag));
	memcpy(tid + 8, &count, sizeof(count));
}

bool tp_client_tag(const uint8_t *data, size_t len, uint32_t *tag)
{
	/* Both bits of the class: success or error. */
	if (len < TP_STUN_HDR_LEN || (data[0] & 0xc1) != 0x01)
		return false;
	memcpy(tag, data + TP_STUN_HDR_LEN - TP_STUN_TID_LEN + TAG_AT, sizeof(*tag));
	return true;
}

void tp_client_start(struct tp_client *client, const struct tp_request *request, uint32_t tag)
{
	assert(!client->is_busy);
	client->request = *request;
	client->is_busy = true;
	client->challenges = 0;
	next_tid(client->tid, tag);
}

static void put_what(const struct tp_request *rq, struct tp_stun_builder *b)
{
	switch (rq->kind) {
	case TP_REQUEST_ALLOCATE:
		tp_stun_put_u8_of4(b, TP_STUN_ATTR_REQUESTED_TRANSPORT, IPPROTO_UDP_NUMBER);
		if (rq->family == TP_IPV6)
			tp_stun_put_u8_of4(b, TP_STUN_ATTR_REQUESTED_ADDRESS_FAMILY,
					TP_STUN_FAMILY_IPV6);
		break;
	case TP_REQUEST_BIND:
		tp_stun_put_channel(b, rq->channel);
		tp_stun_put_xor_addr(b, TP_STUN_ATTR_XOR_PEER_ADDRESS, &rq->peer);
		break;
	case TP_REQUEST_PERMIT:
		tp_stun_put_xor_addr(b, TP_STUN_ATTR_XOR_PEER_ADDRESS, &rq->peer);
		break;
	case TP_REQUEST_DELETE:
		tp_stun_put_u32(b, TP_STUN_ATTR_LIFETIME, 0);
		break;
	case TP_REQUEST_REFRESH:
	case TP_REQUEST_KIND_COUNT:
		break;
	}
}

size_t tp_client_write(const struct tp_client *client, const struct tp_login *login,
		uint8_t buf[TP_CLIENT_REQUEST_MAX])
{
	struct tp_stun_builder b;
	size_t len;

	assert(client->is_busy);
	tp_stun_begin(&b, buf, TP_CLIENT_REQUEST_MAX, kinds[client->request.kind].method,
			TP_STUN_REQUEST, client->tid);
	put_what(&client->request, &b);
	if (client->nonce_len > 0) {
		tp_login_put(login, &b, client->nonce, client->nonce_len);
		tp_login_sign(login, &b);
	}
	len = tp_stun_finish(&b);
	assert(len > 0);
	return len;
}

/* 401 and 438 say what the next attempt needs. */
static bool take_challenge(
		struct tp_client *client, struct tp_login *login, const struct tp_stun_msg *msg)
{
	const struct tp_stun_value *realm = &msg->attr[TP_STUN_REALM_AT];
	const struct tp_stun_value *nonce = &msg->attr[TP_STUN_NONCE_AT];
	uint32_t tag;

	if (realm->data == NULL || nonce->data == NULL || nonce->len == 0 ||
			nonce->len > TP_CLIENT_NONCE_MAX ||
			++client->challenges > TP_CLIENT_CHALLENGES_MAX)
		return false;
	if (tp_login_set_realm(login, realm->data, realm->len) < 0)
		return false;
	memcpy(client->nonce, nonce->data, nonce->len);
	client->nonce_len = (uint8_t)nonce->len;
	memcpy(&tag, client->tid + TAG_AT, sizeof(tag));
	next_tid(client->tid, tag);
	return true;
}

static enum tp_answer take_error(struct tp_client *client, struct tp_login *login,
		const struct tp_stun_msg *msg, uint16_t *code)
{
	if (tp_stun_get_error(msg, code) < 0)
		*code = TP_STUN_BAD_REQUEST;
	if ((*code == TP_STUN_UNAUTHENTICATED || *code == TP_STUN_STALE_NONCE) &&
			take_challenge(client, login, msg))
		return TP_ANSWER_AGAIN;
	client->is_busy = false;
	return TP_ANSWER_ERROR;
}

enum tp_answer tp_client_read(struct tp_client *client, struct tp_login *login, const uint8_t *data,
		size_t len, uint16_t *code)
{
	struct tp_stun_msg msg;

	if (!client->is_busy || tp_stun_decode(data, len, &msg) != TP_STUN_PARSE_OK ||
			memcmp(msg.tid, client->tid, TP_STUN_TID_LEN) != 0)
		return TP_ANSWER_NONE;
	if (msg.class == TP_STUN_ERROR)
		return take_error(client, login, &msg, code);
	if (msg.class != TP_STUN_SUCCESS)
		return TP_ANSWER_NONE;
	if (client->request.kind == TP_REQUEST_ALLOCATE &&
			tp_stun_get_xor_addr(
					&msg, TP_STUN_XOR_RELAYED_ADDRESS_AT, &client->relayed) < 0)
		return TP_ANSWER_NONE;
	client->is_busy = false;
	return TP_ANSWER_SUCCESS;
}
