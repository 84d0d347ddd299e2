/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rfc8489 - the test vector of RFC 8489, verbatim from its appendix B.1.
 *
 * The array has a NUL behind the message: use the _LEN.  The key is that of password algorithm
 * SHA-256, although the message has no PASSWORD-ALGORITHM.  The length in its header is 20 too much
 * (as if it counted the header), and the HMAC was computed with that; so no strict decoder takes
 * the message as it stands.
 */
#ifndef TP_TESTS_RFC8489_H
#define TP_TESTS_RFC8489_H

#include <stdint.h>

/* clang-format off */

/* Request with long-term credentials, MESSAGE-INTEGRITY-SHA256 and USERHASH */
static const uint8_t rfc8489_request[] =
	"\x00\x01\x00\x9c"
	"\x21\x12\xa4\x42"
	"\x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e"
	"\x00\x1e\x00\x20"
	  "\x4a\x3c\xf3\x8f\xef\x69\x92\xbd\xa9\x52\xc6\x78"
	  "\x04\x17\xda\x0f\x24\x81\x94\x15\x56\x9e\x60\xb2"
	  "\x05\xc4\x6e\x41\x40\x7f\x17\x04"
	"\x00\x15\x00\x29"
	  "\x6f\x62\x4d\x61\x74\x4a\x6f\x73\x32\x41\x41\x41"
	  "\x43\x66\x2f\x2f\x34\x39\x39\x6b\x39\x35\x34\x64"
	  "\x36\x4f\x4c\x33\x34\x6f\x4c\x39\x46\x53\x54\x76"
	  "\x79\x36\x34\x73\x41\x00\x00\x00"
	"\x00\x14\x00\x0b"
	  "\x65\x78\x61\x6d\x70\x6c\x65\x2e\x6f\x72\x67\x00"
	"\x00\x1c\x00\x20"
	  "\xe4\x68\x6c\x8f\x0e\xde\xb5\x90\x13\xe0\x70\x90"
	  "\x01\x0a\x93\xef\xcc\xbc\xcc\x54\x4c\x0a\x45\xd9"
	  "\xf8\x30\xaa\x6d\x6f\x73\x5a\x01";

/* clang-format on */

#define RFC8489_REQUEST_LEN (sizeof(rfc8489_request) - 1)
#define RFC8489_MAC_AT (RFC8489_REQUEST_LEN - 32)

#define RFC8489_USERNAME "\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9"
#define RFC8489_REALM "example.org"
#define RFC8489_NONCE "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"
#define RFC8489_PASSWORD "TheMatrIX" /* after OpaqueString */

#endif
