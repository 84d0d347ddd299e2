/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stun_build - STUN messages: written into a caller's buffer, attribute after attribute.
 *
 * A builder that runs out of room remembers it, ignores the rest and finishes with 0, so that
 * callers check once.  Padding is always zero (RFC 8489 section 14 allows any; old servers leaked
 * memory through it, CVE-2020-4067).
 *
 * Threads: one builder, one thread.  Memory: the caller's.
 */
#ifndef TP_WIRE_STUN_BUILD_H
#define TP_WIRE_STUN_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "wire/integrity.h"
#include "wire/stun.h"

struct tp_stun_builder {
	uint8_t *buf;
	size_t room;
	size_t len;
	bool is_full; /* something did not fit: the message is void */
};

/** Start a message; tid is TP_STUN_TID_LEN bytes, copied. */
void tp_stun_begin(struct tp_stun_builder *b, uint8_t *buf, size_t room, uint16_t method,
		enum tp_stun_class class, const uint8_t *tid);

void tp_stun_put(struct tp_stun_builder *b, enum tp_stun_attr type, const void *data, size_t len);
void tp_stun_put_u32(struct tp_stun_builder *b, enum tp_stun_attr type, uint32_t value);

/** Four bytes, the first of which is value: address families, REQUESTED-TRANSPORT. */
void tp_stun_put_u8_of4(struct tp_stun_builder *b, enum tp_stun_attr type, uint8_t value);

/** CHANNEL-NUMBER.  For clients and tests. */
void tp_stun_put_channel(struct tp_stun_builder *b, uint16_t number);

void tp_stun_put_xor_addr(
		struct tp_stun_builder *b, enum tp_stun_attr type, const struct tp_addr *addr);

/** ERROR-CODE with the standard reason phrase. */
void tp_stun_put_error(struct tp_stun_builder *b, enum tp_stun_err err);

/** ERROR-CODE without a phrase, which is for people only: where the answer must be small. */
void tp_stun_put_error_code(struct tp_stun_builder *b, enum tp_stun_err err);

/** ADDRESS-ERROR-CODE (RFC 8656 section 18.12); family is TP_STUN_FAMILY_*. */
void tp_stun_put_address_error(struct tp_stun_builder *b, uint8_t family, enum tp_stun_err err);

/** UNKNOWN-ATTRIBUTES (RFC 8489 section 14.13). */
void tp_stun_put_unknown(struct tp_stun_builder *b, const uint16_t types[], size_t n);

/** PASSWORD-ALGORITHM (section 14.12), whose parameters are empty.  For clients and tests. */
void tp_stun_put_algorithm(struct tp_stun_builder *b, enum tp_password_algorithm algorithm);

/** MESSAGE-INTEGRITY with HMAC-SHA1; only MESSAGE-INTEGRITY-SHA256 and FINGERPRINT may follow. */
void tp_stun_put_integrity(struct tp_stun_builder *b, const uint8_t *key, size_t key_len);

/** MESSAGE-INTEGRITY-SHA256, 32 bytes; only FINGERPRINT may follow. */
void tp_stun_put_integrity_sha256(struct tp_stun_builder *b, const uint8_t *key, size_t key_len);

/** FINGERPRINT; nothing may follow. */
void tp_stun_put_fingerprint(struct tp_stun_builder *b);

/** @return the length of the finished message, a multiple of four; 0 when it did not fit */
size_t tp_stun_finish(struct tp_stun_builder *b);

#endif
