/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn_client - clients of a turn_rig: they learn realm and nonce, sign requests, read answers and
 * check that these come from who knows the key.
 */
#ifndef TP_TESTS_TURN_CLIENT_H
#define TP_TESTS_TURN_CLIENT_H

#include "turn_rig.h"
#include "wire/be.h"
#include "wire/channel.h"
#include "wire/stun_build.h"

#include <openssl/evp.h>

/* A client knows its address, its credentials and what a 401 told it. */
struct rig_client {
	struct tp_tuple tuple;
	char user[64], password[64];
	char realm[64], nonce[128];
	size_t nonce_len;
	enum tp_password_algorithm algorithm; /* 0: a client of RFC 5389 */
	bool is_hashed;                       /* USERHASH for USERNAME */
	uint8_t algorithms[16];               /* PASSWORD-ALGORITHMS */
	size_t algorithms_len;
};

/* One attribute of a request: raw bytes, or an address to be XORed. */
struct rig_attr {
	uint16_t type;
	uint16_t len;
	const void *data;
	const char *ip;
	uint16_t port;
};

/* clang-format off */
#define RIG_RAW(name, bytes) \
	{ .type = TP_STUN_ATTR_##name, .len = sizeof(bytes) - 1, .data = (bytes) }
#define RIG_UNKNOWN(number, bytes) \
	{ .type = (number), .len = sizeof(bytes) - 1, .data = (bytes) }
#define RIG_PEER(text, number) \
	{ .type = TP_STUN_ATTR_XOR_PEER_ADDRESS, .ip = (text), .port = (number) }
#define RIG_UDP RIG_RAW(REQUESTED_TRANSPORT, "\x11\0\0\0")
#define RIG_IPV4 RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\x01\0\0\0")
#define RIG_IPV6 RIG_RAW(REQUESTED_ADDRESS_FAMILY, "\x02\0\0\0")
#define RIG_DUAL RIG_RAW(ADDITIONAL_ADDRESS_FAMILY, "\x02\0\0\0")
#define RIG_EVEN RIG_RAW(EVEN_PORT, "\0")
#define RIG_EVEN_PAIR RIG_RAW(EVEN_PORT, "\x80") /* and the next port is to be kept aside */
#define RIG_LIFETIME(bytes) RIG_RAW(LIFETIME, bytes)
#define RIG_DELETE RIG_LIFETIME("\0\0\0\0") /* of a Refresh */
#define RIG_CHANNEL(bytes) RIG_RAW(CHANNEL_NUMBER, bytes "\0\0")
#define RIG_END { 0 }
#define RIG_NONE RIG_END /* a request that needs no attribute */

/* A signed request; the rest are its attributes.  The error code of the answer, 0 for success. */
#define rig_ask(rig, client, method, ...) \
	rig_request((rig), (client), (method), (const struct rig_attr[]){ __VA_ARGS__, RIG_END })

/* A Send indication; its verdict. */
#define rig_send(rig, client, ...) \
	rig_indicate((rig), (client), TP_STUN_SEND, (const struct rig_attr[]){ __VA_ARGS__, RIG_END })
/* clang-format on */

/* RFC 8656 section 21.1.7: every relaying takes one, as a router does, so that no loop lasts. */
static const struct {
	uint8_t ttl;
	enum tp_slow_verdict want;
} rig_ttls[] = {
	{ 0, TP_SLOW_DROP_TTL },
	{ 1, TP_SLOW_DROP_TTL },
	{ 2, TP_SLOW_RELAYED },
	{ 64, TP_SLOW_RELAYED },
	{ 255, TP_SLOW_RELAYED },
};

static inline enum tp_slow_verdict rig_datagram_meta(struct rig *r, const struct rig_client *c,
		const void *data, size_t len, struct tp_ip_meta meta)
{
	const struct tp_turn_packet packet = { .data = data, .len = len, .meta = meta };

	rig_before(r);
	return rig_after(r, tp_turn_from_client(r->turn, &r->now, &c->tuple, &packet));
}

static inline enum tp_slow_verdict rig_datagram(
		struct rig *r, const struct rig_client *c, const void *data, size_t len)
{
	return rig_datagram_meta(r, c, data, len, (struct tp_ip_meta){ .ttl = 60 });
}

static inline enum tp_slow_verdict rig_channel_data(
		struct rig *r, const struct rig_client *c, uint16_t number, const char *text)
{
	uint8_t buf[TP_CHANNEL_HDR_LEN + 256];
	size_t len = strlen(text);

	assert_true(len <= 256);
	tp_channel_header(buf, number, (uint16_t)len);
	memcpy(buf + TP_CHANNEL_HDR_LEN, text, len);
	return rig_datagram(r, c, buf, TP_CHANNEL_HDR_LEN + len);
}

static inline struct rig_client rig_client_of(
		const char *ip, uint16_t port, const char *user, const char *password)
{
	struct rig_client c = { 0 };

	c.tuple.client = rig_addr(ip, port);
	c.tuple.server = rig_addr(
			c.tuple.client.family == TP_IPV4 ? "192.0.2.1" : "2001:db8::1", 3478);
	c.tuple.transport = TP_TURN_UDP;
	snprintf(c.user, sizeof(c.user), "%s", user);
	snprintf(c.password, sizeof(c.password), "%s", password);
	return c;
}

static inline void rig_key(const struct rig_client *c, uint8_t key[TP_KEY_MD5_LEN])
{
	tp_key_long_term(&(struct tp_bytes){ c->user, strlen(c->user) },
			&(struct tp_bytes){ c->realm, strlen(c->realm) },
			&(struct tp_bytes){ c->password, strlen(c->password) }, key);
}

/* By the algorithm that the client uses. */
static inline struct tp_key rig_make_key(const struct rig_client *c)
{
	struct tp_key key;

	tp_key_make(c->algorithm == 0 ? TP_ALGORITHM_MD5 : c->algorithm,
			&(struct tp_bytes){ c->user, strlen(c->user) },
			&(struct tp_bytes){ c->realm, strlen(c->realm) },
			&(struct tp_bytes){ c->password, strlen(c->password) }, &key);
	return key;
}

/* Time-limited credentials, as the service that shares the secret makes them. */
static inline void rig_use_secret(struct rig_client *c, const char *user, const char *secret)
{
	uint8_t mac[TP_SHA1_LEN];

	snprintf(c->user, sizeof(c->user), "%s", user);
	tp_hmac_sha1(secret, strlen(secret), &(struct tp_bytes){ user, strlen(user) }, 1, mac);
	EVP_EncodeBlock((unsigned char *)c->password, mac, sizeof(mac));
}

struct rig_message {
	struct tp_stun_builder b;
	uint8_t tid[TP_STUN_TID_LEN];
	uint8_t buf[RIG_DATA_MAX];
};

static inline void rig_begin(
		struct rig *r, struct rig_message *m, uint16_t method, enum tp_stun_class class)
{
	memset(m->tid, 0, sizeof(m->tid));
	m->tid[0] = method & 0xff;
	m->tid[11] = ++r->next_tid;
	memcpy(m->tid + 1, &r->now.mono_ns, sizeof(r->now.mono_ns));
	tp_stun_begin(&m->b, m->buf, sizeof(m->buf), method, class, m->tid);
}

static inline void rig_put(struct rig_message *m, const struct rig_attr attrs[])
{
	for (; attrs->type != 0; attrs++) {
		struct tp_addr a;

		if (attrs->ip == NULL) {
			tp_stun_put(&m->b, (enum tp_stun_attr)attrs->type, attrs->data, attrs->len);
			continue;
		}
		a = rig_addr(attrs->ip, attrs->port);
		tp_stun_put_xor_addr(&m->b, (enum tp_stun_attr)attrs->type, &a);
	}
}

static inline void rig_put_user(struct rig_message *m, const struct rig_client *c)
{
	uint8_t hash[TP_STUN_USERHASH_LEN];

	if (!c->is_hashed) {
		tp_stun_put(&m->b, TP_STUN_ATTR_USERNAME, c->user, strlen(c->user));
		return;
	}
	tp_userhash(&(struct tp_bytes){ c->user, strlen(c->user) },
			&(struct tp_bytes){ c->realm, strlen(c->realm) }, hash);
	tp_stun_put(&m->b, TP_STUN_ATTR_USERHASH, hash, sizeof(hash));
}

static inline void rig_put_algorithms(struct rig_message *m, const struct rig_client *c)
{
	tp_stun_put(&m->b, TP_STUN_ATTR_PASSWORD_ALGORITHMS, c->algorithms, c->algorithms_len);
	tp_stun_put_algorithm(&m->b, c->algorithm);
}

struct rig_credentials {
	bool has_user, has_realm, has_nonce;
};

/* RFC 8489 section 9.2.4, second item: integrity, and yet not all of them. */
static const struct rig_credentials rig_incomplete[] = {
	{ false, true, true },
	{ true, false, true },
	{ true, true, false },
	{ false, false, false },
};

static inline void rig_put_credentials(
		struct rig_message *m, const struct rig_client *c, struct rig_credentials which)
{
	if (which.has_user)
		rig_put_user(m, c);
	if (which.has_realm)
		tp_stun_put(&m->b, TP_STUN_ATTR_REALM, c->realm, strlen(c->realm));
	if (which.has_nonce)
		tp_stun_put(&m->b, TP_STUN_ATTR_NONCE, c->nonce, c->nonce_len);
}

static inline void rig_sign(struct rig_message *m, const struct rig_client *c)
{
	const struct tp_key key = rig_make_key(c);

	rig_put_credentials(m, c, (struct rig_credentials){ true, true, true });
	if (c->algorithm == 0) {
		tp_stun_put_integrity(&m->b, key.data, key.len);
		return;
	}
	rig_put_algorithms(m, c);
	tp_stun_put_integrity_sha256(&m->b, key.data, key.len);
}

/*
 * RFC 8489 section 9.2.4: MESSAGE-INTEGRITY to a client of RFC 5389, else MESSAGE-INTEGRITY-SHA256.
 */
static inline void rig_check_integrity(const struct rig *r, const struct rig_client *c)
{
	const struct tp_key key = rig_make_key(c);

	if (c->algorithm == 0) {
		assert_int_equal(tp_integrity_check(&r->answer, key.data, key.len), 0);
		assert_false(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_SHA256_AT));
	} else {
		assert_int_equal(tp_integrity_sha256_check(&r->answer, key.data, key.len), 0);
		assert_false(tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_AT));
	}
}

static inline bool rig_is_signed(const struct rig *r)
{
	return tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_AT) ||
			tp_stun_has(&r->answer, TP_STUN_MESSAGE_INTEGRITY_SHA256_AT);
}

/*
 * Send a request and read its answer into r->answer.  @return the error code, 0 for success.
 * An answer to an authenticated request proves that it comes from who knows the key (RFC 8489
 * section 9.2.5); a challenge can not.
 */
static inline uint16_t rig_exchange(
		struct rig *r, const struct rig_client *c, struct rig_message *m)
{
	size_t len = tp_stun_finish(&m->b);
	struct tp_stun_msg asked;
	uint16_t err = 0;

	assert_true(len > 0);
	assert_int_equal(tp_stun_decode(m->buf, len, &asked), TP_STUN_PARSE_OK);
	assert_int_equal(rig_datagram(r, c, m->buf, len), TP_SLOW_ANSWERED);
	assert_false(r->sent[0].is_to_peer);
	assert_memory_equal(&r->sent[0].tuple, &c->tuple, sizeof(c->tuple));
	assert_int_equal(tp_stun_decode(r->sent[0].data, r->sent[0].len, &r->answer),
			TP_STUN_PARSE_OK);
	assert_int_equal(r->answer.method, asked.method);
	assert_memory_equal(r->answer.tid, asked.tid, TP_STUN_TID_LEN);
	assert_int_equal(r->answer.n_unknown, 0);
	if (r->answer.class == TP_STUN_ERROR)
		assert_int_equal(tp_stun_get_error(&r->answer, &err), 0);
	else
		assert_int_equal(r->answer.class, TP_STUN_SUCCESS);
	if (rig_is_signed(r))
		rig_check_integrity(r, c);
	else if (err == 0)
		assert_int_equal(asked.method, TP_STUN_BINDING);
	return err;
}

/* Keep what a 401 or 438 says. */
static inline void rig_keep_challenge(const struct rig *r, struct rig_client *c)
{
	const struct tp_stun_value *realm = &r->answer.attr[TP_STUN_REALM_AT];
	const struct tp_stun_value *nonce = &r->answer.attr[TP_STUN_NONCE_AT];
	const struct tp_stun_value *list = &r->answer.attr[TP_STUN_PASSWORD_ALGORITHMS_AT];

	assert_true(list->data != NULL && list->len <= sizeof(c->algorithms));
	memcpy(c->algorithms, list->data, list->len);
	c->algorithms_len = list->len;
	assert_true(realm->data != NULL && realm->len < sizeof(c->realm));
	assert_true(nonce->data != NULL && nonce->len < sizeof(c->nonce));
	memcpy(c->realm, realm->data, realm->len);
	c->realm[realm->len] = 0;
	memcpy(c->nonce, nonce->data, nonce->len);
	c->nonce_len = nonce->len;
}

/* Ask without credentials, to learn realm and nonce. */
static inline void rig_learn(struct rig *r, struct rig_client *c)
{
	struct rig_message m;

	rig_begin(r, &m, TP_STUN_ALLOCATE, TP_STUN_REQUEST);
	rig_put(&m, (const struct rig_attr[]){ RIG_UDP, RIG_END });
	assert_int_equal(rig_exchange(r, c, &m), TP_STUN_UNAUTHENTICATED);
	rig_keep_challenge(r, c);
}

static inline uint16_t rig_request(struct rig *r, const struct rig_client *c, uint16_t method,
		const struct rig_attr attrs[])
{
	struct rig_message m;

	rig_begin(r, &m, method, TP_STUN_REQUEST);
	rig_put(&m, attrs);
	rig_sign(&m, c);
	return rig_exchange(r, c, &m);
}

static inline enum tp_slow_verdict rig_indicate(struct rig *r, const struct rig_client *c,
		uint16_t method, const struct rig_attr attrs[])
{
	struct rig_message m;

	rig_begin(r, &m, method, TP_STUN_INDICATION);
	rig_put(&m, attrs);
	return rig_datagram(r, c, m.buf, tp_stun_finish(&m.b));
}

/* A client that has realm and nonce: alice at an address. */
static inline struct rig_client rig_alice(struct rig *r, const char *ip, uint16_t port)
{
	struct rig_client c = rig_client_of(ip, port, "alice", "wonder");

	rig_learn(r, &c);
	return c;
}

/* One of many. */
static inline struct rig_client rig_numbered(struct rig *r, uint16_t i)
{
	return rig_alice(r, "198.51.100.7", (uint16_t)(10000 + i));
}

/* The relayed address of a family in the answer to an Allocate: as the client sees it. */
static inline struct tp_addr rig_relayed(const struct rig *r, uint8_t family)
{
	struct tp_stun_value value;
	struct tp_addr a;
	size_t pos = 0;

	while (tp_stun_next(&r->answer, TP_STUN_ATTR_XOR_RELAYED_ADDRESS, &pos, &value)) {
		assert_int_equal(tp_stun_xor_addr_value(&r->answer, &value, &a), 0);
		if (a.family == family)
			return a;
	}
	return (struct tp_addr){ 0 };
}

/* What the host calls it. */
static inline struct tp_addr rig_local(const struct rig *r, const struct tp_addr *external)
{
	struct tp_addr a = { 0 };

	for (uint32_t i = 0; i < r->conf.n_relays; i++)
		if (tp_addr_same_ip(&r->relays[i].external, external))
			a = r->relays[i].local;
	a.port = external->port;
	return a;
}

static inline uint32_t rig_lifetime(const struct rig *r)
{
	uint32_t sec = 0;

	assert_int_equal(tp_stun_get_u32(&r->answer, TP_STUN_LIFETIME_AT, &sec), 0);
	return sec;
}

/* Allocate over IPv4.  @return the relayed address, local */
static inline struct tp_addr rig_allocate(struct rig *r, const struct rig_client *c)
{
	struct tp_addr a;

	assert_int_equal(rig_ask(r, c, TP_STUN_ALLOCATE, RIG_UDP), 0);
	a = rig_relayed(r, TP_IPV4);
	return rig_local(r, &a);
}

/* Allocate over both families, for an hour.  relayed: as clients see them, IPv4 first */
static inline void rig_allocate_dual(
		struct rig *r, const struct rig_client *c, struct tp_addr relayed[2])
{
	assert_int_equal(rig_ask(r, c, TP_STUN_ALLOCATE, RIG_UDP, RIG_DUAL,
					 RIG_LIFETIME("\0\0\x0e\x10")),
			0);
	relayed[0] = rig_relayed(r, TP_IPV4);
	relayed[1] = rig_relayed(r, TP_IPV6);
}

static inline uint16_t rig_bind(struct rig *r, const struct rig_client *c, uint16_t number,
		const char *ip, uint16_t port)
{
	const uint8_t be[4] = { (uint8_t)(number >> 8), (uint8_t)number };
	const struct rig_attr attrs[] = {
		{ .type = TP_STUN_ATTR_CHANNEL_NUMBER, .len = 4, .data = be },
		RIG_PEER(ip, port),
		RIG_END,
	};

	return rig_request(r, c, TP_STUN_CHANNEL_BIND, attrs);
}

static inline uint16_t rig_permit(struct rig *r, const struct rig_client *c, const char *ip)
{
	return rig_ask(r, c, TP_STUN_CREATE_PERMISSION, RIG_PEER(ip, 0));
}

/* The last datagram: to this peer from this relayed address, with this payload. */
static inline void rig_assert_to_peer(const struct rig *r, const struct tp_addr *relay,
		const char *ip, uint16_t port, const char *text)
{
	const struct tp_addr peer = rig_addr(ip, port);

	assert_int_equal(r->n_sent, 1);
	assert_true(r->sent[0].is_to_peer);
	assert_memory_equal(&r->sent[0].relay, relay, sizeof(*relay));
	assert_memory_equal(&r->sent[0].peer, &peer, sizeof(peer));
	assert_int_equal(r->sent[0].len, strlen(text));
	assert_memory_equal(r->sent[0].data, text, strlen(text));
}

/* The last datagram: ChannelData to this client. */
static inline void rig_assert_channel_data(
		const struct rig *r, const struct rig_client *c, uint16_t number, const char *text)
{
	struct tp_channel_data cd = { 0 };

	assert_int_equal(r->n_sent, 1);
	assert_false(r->sent[0].is_to_peer);
	assert_memory_equal(&r->sent[0].tuple, &c->tuple, sizeof(c->tuple));
	assert_int_equal(tp_channel_parse(r->sent[0].data, r->sent[0].len, &cd), 0);
	assert_int_equal(cd.number, number);
	assert_int_equal(cd.len, strlen(text));
	assert_int_equal(r->sent[0].len, TP_CHANNEL_HDR_LEN + cd.len);
	assert_memory_equal(cd.data, text, cd.len);
}

/* The last datagram: a Data indication to this client, from this peer. */
static inline void rig_assert_data(const struct rig *r, const struct rig_client *c,
		const struct tp_addr *peer, const char *text)
{
	struct tp_stun_msg msg;
	struct tp_addr from;

	assert_int_equal(r->n_sent, 1);
	assert_false(r->sent[0].is_to_peer);
	assert_memory_equal(&r->sent[0].tuple, &c->tuple, sizeof(c->tuple));
	assert_int_equal(tp_stun_decode(r->sent[0].data, r->sent[0].len, &msg), TP_STUN_PARSE_OK);
	assert_int_equal(msg.class, TP_STUN_INDICATION);
	assert_int_equal(msg.method, TP_STUN_DATA);
	assert_int_equal(tp_stun_get_xor_addr(&msg, TP_STUN_XOR_PEER_ADDRESS_AT, &from), 0);
	assert_memory_equal(&from, peer, sizeof(from));
	assert_non_null(msg.attr[TP_STUN_DATA_AT].data);
	assert_int_equal(msg.attr[TP_STUN_DATA_AT].len, strlen(text));
	assert_memory_equal(msg.attr[TP_STUN_DATA_AT].data, text, strlen(text));
}

#endif
