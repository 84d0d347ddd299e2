/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stun - STUN messages (RFC 8489) with the attributes of TURN (RFC 8656): read.
 *
 * Decoding is one pass over the attributes: bounds, framing, and the first occurrence of every
 * attribute we know (RFC 8489 section 14).  What follows MESSAGE-INTEGRITY is ignored, but for
 * MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (section 9).  Values are borrowed from the datagram;
 * meaning is given by the accessors, so that no work is done before cheap checks pass.
 *
 * Threads: pure functions.  Memory: the caller's.
 */
#ifndef TP_WIRE_STUN_H
#define TP_WIRE_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define TP_STUN_HDR_LEN 20
#define TP_STUN_TID_LEN 12
#define TP_STUN_COOKIE 0x2112a442u
#define TP_STUN_MI_LEN 20        /* HMAC-SHA1 */
#define TP_STUN_MI_SHA256_LEN 32 /* HMAC-SHA256, never truncated (RFC 8489 section 14.6) */
#define TP_STUN_USERHASH_LEN 32  /* section 14.4 */
#define TP_STUN_USERNAME_MAX 763 /* RFC 8489 section 14.3 */
#define TP_STUN_REALM_MAX 763
#define TP_STUN_NONCE_MAX 763

enum tp_stun_method {
	TP_STUN_BINDING = 0x001,
	TP_STUN_ALLOCATE = 0x003,
	TP_STUN_REFRESH = 0x004,
	TP_STUN_SEND = 0x006,
	TP_STUN_DATA = 0x007,
	TP_STUN_CREATE_PERMISSION = 0x008,
	TP_STUN_CHANNEL_BIND = 0x009,
};

enum tp_stun_class {
	TP_STUN_REQUEST = 0,
	TP_STUN_INDICATION = 1,
	TP_STUN_SUCCESS = 2,
	TP_STUN_ERROR = 3,
};

/* Error codes that clients see (RFC 8489 section 14.8, RFC 8656 section 19, RFC 8016 section 3.4).
 */
/* clang-format off */
#define TP_STUN_ERRORS(X) \
	X(TRY_ALTERNATE, 300) \
	X(BAD_REQUEST, 400) \
	X(UNAUTHENTICATED, 401) \
	X(FORBIDDEN, 403) \
	X(MOBILITY_FORBIDDEN, 405) \
	X(UNKNOWN_ATTRIBUTE, 420) \
	X(ALLOCATION_MISMATCH, 437) \
	X(STALE_NONCE, 438) \
	X(FAMILY_UNSUPPORTED, 440) \
	X(WRONG_CREDENTIALS, 441) \
	X(TRANSPORT_UNSUPPORTED, 442) \
	X(PEER_FAMILY_MISMATCH, 443) \
	X(QUOTA_REACHED, 486) \
	X(SERVER_ERROR, 500) \
	X(INSUFFICIENT_CAPACITY, 508)
/* clang-format on */

enum tp_stun_err {
	TP_STUN_OK = 0,
#define X(name, code) TP_STUN_##name = (code),
	TP_STUN_ERRORS(X)
#undef X
};

/*
 * Attributes that we understand: X(name, type).  Position in this list is the index into
 * tp_stun_msg.attr.
 */
#define TP_STUN_ATTRS(X)                     \
	X(MAPPED_ADDRESS, 0x0001)            \
	X(USERNAME, 0x0006)                  \
	X(MESSAGE_INTEGRITY, 0x0008)         \
	X(ERROR_CODE, 0x0009)                \
	X(UNKNOWN_ATTRIBUTES, 0x000a)        \
	X(CHANNEL_NUMBER, 0x000c)            \
	X(LIFETIME, 0x000d)                  \
	X(XOR_PEER_ADDRESS, 0x0012)          \
	X(DATA, 0x0013)                      \
	X(REALM, 0x0014)                     \
	X(NONCE, 0x0015)                     \
	X(XOR_RELAYED_ADDRESS, 0x0016)       \
	X(REQUESTED_ADDRESS_FAMILY, 0x0017)  \
	X(EVEN_PORT, 0x0018)                 \
	X(REQUESTED_TRANSPORT, 0x0019)       \
	X(DONT_FRAGMENT, 0x001a)             \
	X(MESSAGE_INTEGRITY_SHA256, 0x001c)  \
	X(PASSWORD_ALGORITHM, 0x001d)        \
	X(USERHASH, 0x001e)                  \
	X(XOR_MAPPED_ADDRESS, 0x0020)        \
	X(RESERVATION_TOKEN, 0x0022)         \
	X(ADDITIONAL_ADDRESS_FAMILY, 0x8000) \
	X(ADDRESS_ERROR_CODE, 0x8001)        \
	X(PASSWORD_ALGORITHMS, 0x8002)       \
	X(ICMP, 0x8004)                      \
	X(SOFTWARE, 0x8022)                  \
	X(ALTERNATE_SERVER, 0x8023)          \
	X(FINGERPRINT, 0x8028)               \
	X(RESPONSE_ORIGIN, 0x802b)           \
	X(OTHER_ADDRESS, 0x802c)             \
	X(MOBILITY_TICKET, 0x8030)           \
	X(DRAFT_ADDITIONAL_FAMILY, 0x8032) /* ADDITIONAL-ADDRESS-FAMILY, before it had a number */

enum tp_stun_attr {
#define X(name, type) TP_STUN_ATTR_##name = (type),
	TP_STUN_ATTRS(X)
#undef X
	/* RFC 5780; unknown to the decoder, since only some listeners know it */
	TP_STUN_ATTR_CHANGE_REQUEST = 0x0003,
};

enum tp_stun_index {
#define X(name, type) TP_STUN_##name##_AT,
	TP_STUN_ATTRS(X)
#undef X
	TP_STUN_ATTR_COUNT
};

/* Family values of REQUESTED-ADDRESS-FAMILY and of addresses on the wire. */
#define TP_STUN_FAMILY_IPV4 0x01
#define TP_STUN_FAMILY_IPV6 0x02

struct tp_stun_value {
	const uint8_t *data; /* NULL: attribute absent */
	uint16_t len;        /* padding excluded */
};

#define TP_STUN_UNKNOWN_MAX 8

struct tp_stun_msg {
	const uint8_t *raw;
	size_t len; /* of the whole message, header included */
	uint16_t method;
	enum tp_stun_class class;
	const uint8_t *tid; /* TP_STUN_TID_LEN bytes */
	struct tp_stun_value attr[TP_STUN_ATTR_COUNT];
	/* Comprehension-required attributes that we do not know, the first few distinct ones. */
	uint16_t unknown[TP_STUN_UNKNOWN_MAX];
	uint8_t n_unknown;
	uint32_t attrs_end; /* offset where the attributes that count end: at MESSAGE-INTEGRITY if
			       any */
};

enum tp_stun_parse {
	TP_STUN_PARSE_OK,
	TP_STUN_PARSE_NOT_STUN,    /* first two bits, cookie or length: another protocol */
	TP_STUN_PARSE_MALFORMED,   /* an attribute does not fit */
	TP_STUN_PARSE_FINGERPRINT, /* FINGERPRINT present and wrong, or not last */
};

/**
 * Decode and check a datagram: base checks, framing, FINGERPRINT (RFC 8489 section 6.3).
 * The datagram must be exactly one message.
 *
 * @param[out] out  filled on TP_STUN_PARSE_OK; borrows buf
 */
enum tp_stun_parse tp_stun_decode(const uint8_t *buf, size_t len, struct tp_stun_msg *out);

static inline bool tp_stun_has(const struct tp_stun_msg *msg, enum tp_stun_index at)
{
	return msg->attr[at].data != NULL;
}

/*
 * Accessors.  Each returns 0 and *out, -ENOENT when the attribute is absent, or -EINVAL when its
 * length or content is not what its definition says.
 */
int tp_stun_get_u32(const struct tp_stun_msg *msg, enum tp_stun_index at, uint32_t *out);

/** CHANNEL-NUMBER (RFC 8656 section 18.1): the number, reserved bits ignored. */
int tp_stun_get_channel(const struct tp_stun_msg *msg, uint16_t *out);

/** First byte of a four-byte attribute: REQUESTED-TRANSPORT, REQUESTED- or
 * ADDITIONAL-ADDRESS-FAMILY. */
int tp_stun_get_u8_of4(const struct tp_stun_msg *msg, enum tp_stun_index at, uint8_t *out);

/** EVEN-PORT (section 18.7): one byte, *out is the R bit. */
int tp_stun_get_even_port(const struct tp_stun_msg *msg, bool *out);

/** An XOR address attribute (RFC 8489 section 14.2), the first one in the message. */
int tp_stun_get_xor_addr(const struct tp_stun_msg *msg, enum tp_stun_index at, struct tp_addr *out);

/**
 * Walk all attributes of one type that lie before MESSAGE-INTEGRITY.
 *
 * @param[in,out] pos  0 to start; opaque after
 * @return whether one more was found, then *out borrows the message
 */
bool tp_stun_next(const struct tp_stun_msg *msg, enum tp_stun_attr type, size_t *pos,
		struct tp_stun_value *out);

/** Decode the value of an address attribute that is not XORed (section 14.1).  @return 0 or -EINVAL
 */
int tp_stun_addr_value(const struct tp_stun_value *value, struct tp_addr *out);

/** Decode the value of an XOR address attribute.  @return 0 or -EINVAL */
int tp_stun_xor_addr_value(const struct tp_stun_msg *msg, const struct tp_stun_value *value,
		struct tp_addr *out);

/** ERROR-CODE (section 14.8).  For clients and tests. */
int tp_stun_get_error(const struct tp_stun_msg *msg, uint16_t *out);

#endif
