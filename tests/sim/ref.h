/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ref - STUN messages read and written a second time, from RFC 8489 alone.
 *
 * Nothing of lib/wire is used but its hash functions, which have test vectors of their own: what
 * the server and this disagree on is somebody's fault.  Every look-up walks the message anew.
 */
#ifndef TP_TESTS_SIM_REF_H
#define TP_TESTS_SIM_REF_H

#include "base/addr.h"
#include "wire/integrity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ref_parse {
	REF_OK,
	REF_NOT_STUN,
	REF_MALFORMED,
	REF_FINGERPRINT,
};

enum ref_class {
	REF_REQUEST,
	REF_INDICATION,
	REF_SUCCESS,
	REF_ERROR,
};

enum ref_type {
	REF_MAPPED_ADDRESS = 0x0001,
	REF_USERNAME = 0x0006,
	REF_MESSAGE_INTEGRITY = 0x0008,
	REF_ERROR_CODE = 0x0009,
	REF_UNKNOWN_ATTRIBUTES = 0x000a,
	REF_CHANNEL_NUMBER = 0x000c,
	REF_LIFETIME = 0x000d,
	REF_XOR_PEER_ADDRESS = 0x0012,
	REF_DATA = 0x0013,
	REF_REALM = 0x0014,
	REF_NONCE = 0x0015,
	REF_XOR_RELAYED_ADDRESS = 0x0016,
	REF_REQUESTED_ADDRESS_FAMILY = 0x0017,
	REF_EVEN_PORT = 0x0018,
	REF_REQUESTED_TRANSPORT = 0x0019,
	REF_DONT_FRAGMENT = 0x001a,
	REF_MESSAGE_INTEGRITY_SHA256 = 0x001c,
	REF_PASSWORD_ALGORITHM = 0x001d,
	REF_USERHASH = 0x001e,
	REF_XOR_MAPPED_ADDRESS = 0x0020,
	REF_RESERVATION_TOKEN = 0x0022,
	REF_ADDITIONAL_ADDRESS_FAMILY = 0x8000,
	REF_ADDRESS_ERROR_CODE = 0x8001,
	REF_PASSWORD_ALGORITHMS = 0x8002,
	REF_ICMP = 0x8004,
	REF_SOFTWARE = 0x8022,
	REF_ALTERNATE_SERVER = 0x8023,
	REF_FINGERPRINT_ATTR = 0x8028,
	REF_MOBILITY_TICKET = 0x8030,
};

enum ref_method {
	REF_BINDING = 1,
	REF_ALLOCATE = 3,
	REF_REFRESH = 4,
	REF_SEND = 6,
	REF_DATA_METHOD = 7,
	REF_CREATE_PERMISSION = 8,
	REF_CHANNEL_BIND = 9,
};

struct ref_msg {
	const uint8_t *raw;
	size_t len;
	unsigned method;
	enum ref_class class;
	const uint8_t *tid;
	/* Offsets of the first MESSAGE-INTEGRITY and the first of SHA-256 that count; 0: none. */
	size_t mi_at, mi256_at;
	size_t end; /* where the attributes that count end */
	bool has_fingerprint;
};

struct ref_value {
	const uint8_t *data; /* NULL: absent */
	size_t len;
};

enum ref_parse ref_parse(const uint8_t *data, size_t len, struct ref_msg *out);

/** The n-th attribute of a type, from 0, before the integrity. */
struct ref_value ref_get(const struct ref_msg *msg, unsigned type, unsigned n);

/** An XOR address; @return whether it is one */
bool ref_addr(const struct ref_msg *msg, struct ref_value value, struct tp_addr *out);

/** An address that is not XORed. */
bool ref_plain_addr(struct ref_value value, struct tp_addr *out);

/** The first byte of a value whose length must be len.  @return 1, 0: absent, -1: bad length */
int ref_byte(const struct ref_msg *msg, unsigned type, size_t len, uint8_t *out);

/** A number of four bytes; @return as ref_byte() */
int ref_u32(const struct ref_msg *msg, unsigned type, uint32_t *out);

/** ERROR-CODE, 0: none. */
unsigned ref_error(const struct ref_msg *msg);

/** Distinct comprehension-required types not in RFC 8489 or 8656, in order of appearance. */
unsigned ref_unknown(const struct ref_msg *msg, uint16_t out[], unsigned room);

/** Does MESSAGE-INTEGRITY match, or the one of SHA-256? */
bool ref_integrity_ok(const struct ref_msg *msg, bool is_sha256, const struct tp_key *key);

/** Is all padding zero? */
bool ref_padding_is_zero(const struct ref_msg *msg);

/* Writing: the caller's buffer is large enough. */

struct ref_out {
	uint8_t *buf;
	size_t len;
};

void ref_begin(struct ref_out *o, uint8_t *buf, unsigned method, enum ref_class class,
		const uint8_t tid[12]);
void ref_put(struct ref_out *o, unsigned type, const void *data, size_t len);
void ref_put_addr(struct ref_out *o, unsigned type, const struct tp_addr *addr);
void ref_sign(struct ref_out *o, bool is_sha256, const struct tp_key *key);
void ref_fingerprint(struct ref_out *o);

#endif
