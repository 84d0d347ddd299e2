/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client - one TURN client (RFC 8656), sans-I/O: requests come out, answers go in.
 *
 * A client is a five-tuple with at most one request under way.  Authentication is its own affair:
 * a request without a nonce goes out bare, the challenge (401, 438) gives realm and nonce, and the
 * caller is told to send again.
 *
 * It measures servers and does not doubt them: MESSAGE-INTEGRITY of answers is not verified.
 *
 * The transaction identifier carries a tag of the caller's, so that a socket that many clients
 * share needs no table to find whose answer it is.
 *
 * Threads: one.  Memory: the caller's.
 */
#ifndef TP_BENCH_CLIENT_H
#define TP_BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "login.h"
#include "wire/stun.h"

#define TP_CLIENT_REQUEST_MAX 2048 /* username, realm and nonce of ordinary size, and the rest */
#define TP_CLIENT_NONCE_MAX 127    /* coturn's are 16 bytes, turnpike's 41 */
#define TP_CLIENT_CHALLENGES_MAX 3 /* in a row; then the credentials are wrong */

enum tp_request_kind {
	TP_REQUEST_ALLOCATE,
	TP_REQUEST_BIND, /* ChannelBind: a permission for its peer as well */
	TP_REQUEST_PERMIT,
	TP_REQUEST_REFRESH,
	TP_REQUEST_DELETE, /* Refresh with a lifetime of 0 */
	TP_REQUEST_KIND_COUNT
};

struct tp_request {
	enum tp_request_kind kind;
	uint8_t family;      /* Allocate: of the relayed address, enum tp_family */
	uint16_t channel;    /* ChannelBind */
	struct tp_addr peer; /* ChannelBind; CreatePermission */
};

struct tp_client {
	struct tp_request request; /* under way, or the last one */
	uint8_t tid[TP_STUN_TID_LEN];
	bool is_busy;
	uint8_t challenges;
	uint8_t nonce_len; /* 0: none yet */
	uint8_t nonce[TP_CLIENT_NONCE_MAX];
	struct tp_addr relayed; /* of the last successful Allocate */
};

enum tp_answer {
	TP_ANSWER_NONE,    /* no answer to the request under way */
	TP_ANSWER_SUCCESS, /* done */
	TP_ANSWER_AGAIN,   /* challenged: tp_client_write() once more */
	TP_ANSWER_ERROR,   /* done, refused */
};

/** Begin a request; none is under way.  The answer will carry the tag: tp_client_tag(). */
void tp_client_start(struct tp_client *client, const struct tp_request *request, uint32_t tag);

/** The tag in a datagram that looks like an answer.  @return whether it does */
bool tp_client_tag(const uint8_t *data, size_t len, uint32_t *tag);

/**
 * Write the request under way: to send it, and, unchanged, to send it again.
 *
 * @return its length
 */
size_t tp_client_write(const struct tp_client *client, const struct tp_login *login,
		uint8_t buf[TP_CLIENT_REQUEST_MAX]);

/**
 * Take a datagram of the server.
 *
 * @param[in,out] login  learns the realm of a challenge
 * @param[out]    code   of an error, or of the challenge
 */
enum tp_answer tp_client_read(struct tp_client *client, struct tp_login *login, const uint8_t *data,
		size_t len, uint16_t *code);

/** Name of a kind of request, for reports. */
const char *tp_request_name(enum tp_request_kind kind);

#endif
