/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict - what became of a packet: exactly one word for every packet received.
 *
 * One line in a list below is the enum, the counter, the metric and its help text.  A worker
 * counts fast verdicts: their sum equals the frames it received.  The control plane counts
 * slow verdicts: their sum equals the datagrams it received from sockets and punt rings.
 */
#ifndef TP_BASE_VERDICT_H
#define TP_BASE_VERDICT_H

/* clang-format off */
#define TP_VERDICTS(X)                                                                             \
	X(FORWARD,           "forward",           "relayed by a worker")                           \
	X(PUNT,              "punt",              "handed to the kernel path")                     \
	X(DROP_SHORT,        "drop_short",        "frame ends inside a header")                    \
	X(DROP_NOT_UDP,      "drop_not_udp",      "not plain UDP over IPv4 or IPv6")               \
	X(DROP_IP_LENGTH,    "drop_ip_length",    "IP length disagrees with the frame")            \
	X(DROP_IP_CSUM,      "drop_ip_csum",      "IPv4 header checksum is wrong")                 \
	X(DROP_UDP_LENGTH,   "drop_udp_length",   "UDP length disagrees with the IP length")       \
	X(DROP_CHANNEL_DATA, "drop_channel_data", "ChannelData shorter than its length field")     \
	X(DROP_ZERO_CSUM,    "drop_zero_csum",    "UDP over IPv6 without a checksum")              \
	X(DROP_EXPIRED,      "drop_expired",      "channel or allocation past its deadline")       \
	X(DROP_RATE,         "drop_rate",         "beyond the allocation's packets or bits a second") \
	X(DROP_HEADROOM,     "drop_headroom",     "no room in front of the frame to grow a header") \
	X(DROP_PUNT_FULL,    "drop_punt_full",    "ring to the kernel path is full")               \
	X(DROP_TX_FULL,      "drop_tx_full",      "transmit ring is full")

#define TP_SLOW_VERDICTS(X)                                                                        \
	X(ANSWERED,          "answered",          "request answered")                              \
	X(RELAYED,           "relayed",           "data relayed by the kernel path")               \
	X(DROP_NOT_TURN,     "drop_not_turn",     "neither STUN nor ChannelData")                  \
	X(DROP_MALFORMED,    "drop_malformed",    "STUN message fails the basic checks")           \
	X(DROP_FINGERPRINT,  "drop_fingerprint",  "FINGERPRINT does not match")                    \
	X(DROP_UNEXPECTED,   "drop_unexpected",   "response or unknown indication")                \
	X(DROP_UNKNOWN_ATTR, "drop_unknown_attr", "indication with an unknown required attribute") \
	X(DROP_INDICATION,   "drop_indication",   "Send indication without peer address or data")  \
	X(DROP_CHANNEL_DATA, "drop_channel_data", "ChannelData shorter than its length field")     \
	X(DROP_NO_ALLOC,     "drop_no_allocation", "no allocation on this five-tuple or port")     \
	X(DROP_NO_PERM,      "drop_no_permission", "peer has no permission")                       \
	X(DROP_NO_CHANNEL,   "drop_no_channel",   "channel is not bound")                          \
	X(DROP_FORBIDDEN,    "drop_forbidden",    "peer address denied by policy")                 \
	X(DROP_FAMILY,       "drop_family",       "no relayed address of the peer's family")       \
	X(DROP_TTL,          "drop_ttl",          "TTL or hop limit exhausted")                    \
	X(DROP_BAD_FRAME,    "drop_bad_frame",    "punted frame with bad lengths or checksum")     \
	X(DROP_TOO_BIG,      "drop_too_big",      "larger than the way out, and not to be fragmented") \
	X(DROP_DONT_FRAG,    "drop_dont_fragment", "Send with DONT-FRAGMENT that is larger than the way out") \
	X(DROP_ICMP,         "drop_icmp",         "ICMP error that is damaged or quotes no UDP datagram") \
	X(DROP_ICMP_RATE,    "drop_icmp_rate",    "ICMP error beyond the number that clients are told") \
	X(DROP_RATE,         "drop_rate",         "beyond the allocation's packets or bits a second") \
	X(DROP_SOURCE_RATE,  "drop_source_rate",  "unauthenticated, beyond the answers to its source") \
	X(DROP_TOTAL_RATE,   "drop_total_rate",   "unauthenticated, beyond the answers to all sources") \
	X(DROP_TRY_RATE,     "drop_try_rate",     "credentials not looked at, after too many wrong ones") \
	X(DROP_SEND,         "drop_send",         "send queue full or the kernel refused it")
/* clang-format on */

enum tp_verdict {
#define X(name, text, help) TP_##name,
	TP_VERDICTS(X)
#undef X
	TP_VERDICT_COUNT
};

enum tp_slow_verdict {
#define X(name, text, help) TP_SLOW_##name,
	TP_SLOW_VERDICTS(X)
#undef X
	TP_SLOW_VERDICT_COUNT
};

/** The verdict's name in statistics and metrics: static, lower case, [a-z0-9_]. */
const char *tp_verdict_name(enum tp_verdict v);

/** One line for people. */
const char *tp_verdict_help(enum tp_verdict v);

const char *tp_slow_verdict_name(enum tp_slow_verdict v);
const char *tp_slow_verdict_help(enum tp_slow_verdict v);

#endif
