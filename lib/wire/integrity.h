/* SPDX-License-Identifier: Apache-2.0 */
/*
 * integrity - keyed hashes of STUN: MESSAGE-INTEGRITY, long-term keys, FINGERPRINT's CRC.
 *
 * Everything cryptographic comes from OpenSSL; comparisons are in constant time.
 *
 * Threads: any; each thread keeps one MAC context of its own.
 */
#ifndef TP_WIRE_INTEGRITY_H
#define TP_WIRE_INTEGRITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/stun.h"

#define TP_KEY_MD5_LEN 16
#define TP_SHA1_LEN 20
#define TP_SHA256_LEN 32

struct tp_bytes {
	const void *data;
	size_t len;
};

/** HMAC-SHA1 over n parts in order. */
void tp_hmac_sha1(const void *key, size_t key_len, const struct tp_bytes part[], size_t n,
		uint8_t out[TP_SHA1_LEN]);

/** HMAC-SHA256 over n parts in order. */
void tp_hmac_sha256(const void *key, size_t key_len, const struct tp_bytes part[], size_t n,
		uint8_t out[TP_SHA256_LEN]);

/** Long-term key: MD5(username ":" realm ":" password), RFC 8489 section 18.5.1.1. */
void tp_key_long_term(const struct tp_bytes *username, const struct tp_bytes *realm,
		const struct tp_bytes *password, uint8_t key[TP_KEY_MD5_LEN]);

/**
 * Check MESSAGE-INTEGRITY (RFC 8489 section 14.5).
 *
 * @return 0, -ENOENT (attribute absent) or -EBADMSG (wrong length or value)
 */
int tp_integrity_check(const struct tp_stun_msg *msg, const uint8_t *key, size_t key_len);

/**
 * MESSAGE-INTEGRITY of a message whose attributes before it end at `upto`: the header's length
 * field is taken as if the attribute were there and last.
 */
void tp_integrity_compute(const uint8_t *msg, size_t upto, const uint8_t *key, size_t key_len,
		uint8_t out[TP_SHA1_LEN]);

/** FINGERPRINT's value over len bytes: CRC-32 xor 0x5354554e (RFC 8489 section 14.7), host order.
 */
uint32_t tp_fingerprint(const uint8_t *msg, size_t len);

/** Compare in constant time. */
bool tp_secret_equal(const void *a, const void *b, size_t len);

/** Wipe memory in a way the compiler keeps. */
void tp_secret_wipe(void *p, size_t len);

#endif
