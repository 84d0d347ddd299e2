/* SPDX-License-Identifier: Apache-2.0 */
/*
 * integrity - keyed hashes of STUN: MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256, long-term keys,
 * USERHASH, FINGERPRINT's CRC.
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

#include "base/bytes.h"
#include "wire/stun.h"

#define TP_KEY_MD5_LEN 16
#define TP_KEY_SHA256_LEN 32
#define TP_KEY_MAX TP_KEY_SHA256_LEN
#define TP_SHA1_LEN 20
#define TP_SHA256_LEN 32

/* Numbers of PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS (RFC 8489 section 18.5). */
enum tp_password_algorithm {
	TP_ALGORITHM_MD5 = 0x0001,
	TP_ALGORITHM_SHA256 = 0x0002,
};

/* A long-term key.  Its length tells the algorithm that made it. */
struct tp_key {
	uint8_t len; /* TP_KEY_MD5_LEN or TP_KEY_SHA256_LEN; 0: there is none */
	uint8_t data[TP_KEY_MAX];
};

static inline uint8_t tp_key_len(enum tp_password_algorithm algorithm)
{
	return algorithm == TP_ALGORITHM_SHA256 ? TP_KEY_SHA256_LEN : TP_KEY_MD5_LEN;
}

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
 * Long-term key by either algorithm (section 18.5.1): hash(username ":" realm ":" password).  The
 * texts are hashed as they are: OpaqueString (RFC 8265) was applied before.
 *
 * @param[out] key  the caller wipes it
 */
void tp_key_make(enum tp_password_algorithm algorithm, const struct tp_bytes *username,
		const struct tp_bytes *realm, const struct tp_bytes *password, struct tp_key *key);

/** USERHASH: SHA-256(username ":" realm), section 14.4. */
void tp_userhash(const struct tp_bytes *username, const struct tp_bytes *realm,
		uint8_t out[TP_SHA256_LEN]);

/**
 * Check MESSAGE-INTEGRITY (RFC 8489 section 14.5).
 *
 * @return 0, -ENOENT (attribute absent) or -EBADMSG (wrong length or value)
 */
int tp_integrity_check(const struct tp_stun_msg *msg, const uint8_t *key, size_t key_len);

/**
 * Check MESSAGE-INTEGRITY-SHA256 (section 14.6).  TURN does not allow it to be truncated.
 *
 * @return 0, -ENOENT (attribute absent) or -EBADMSG (wrong length or value)
 */
int tp_integrity_sha256_check(const struct tp_stun_msg *msg, const uint8_t *key, size_t key_len);

/**
 * MESSAGE-INTEGRITY of a message whose attributes before it end at `upto`: the header's length
 * field is taken as if the attribute were there and last.
 */
void tp_integrity_compute(const uint8_t *msg, size_t upto, const uint8_t *key, size_t key_len,
		uint8_t out[TP_SHA1_LEN]);

/** The same for MESSAGE-INTEGRITY-SHA256. */
void tp_integrity_sha256_compute(const uint8_t *msg, size_t upto, const uint8_t *key,
		size_t key_len, uint8_t out[TP_SHA256_LEN]);

/** FINGERPRINT's value over len bytes: CRC-32 xor 0x5354554e (RFC 8489 section 14.7), host order.
 */
uint32_t tp_fingerprint(const uint8_t *msg, size_t len);

/** Compare in constant time. */
bool tp_secret_equal(const void *a, const void *b, size_t len);

/** Wipe memory in a way the compiler keeps. */
void tp_secret_wipe(void *p, size_t len);

#endif
