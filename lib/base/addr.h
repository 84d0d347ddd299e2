/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr - IP addresses, transport addresses and prefixes, as values.
 *
 * One representation everywhere above the wire: 20 bytes without padding, so that
 * two addresses are equal exactly when memcmp() says so, and a struct of them can be a
 * hash key.  An address without a port is a tp_addr whose port is 0.
 *
 * Threads: pure functions.  Memory: the caller's.
 */
#ifndef TP_BASE_ADDR_H
#define TP_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum tp_family {
	TP_IPV4 = 4,
	TP_IPV6 = 6,
};

/* IPv4: ip[0..3], the rest zero.  ip is in network byte order, port in host byte order. */
struct tp_addr {
	uint8_t ip[16];
	uint16_t port;
	uint8_t family; /* enum tp_family; 0: no address */
	uint8_t zero;
};

_Static_assert(sizeof(struct tp_addr) == 20, "tp_addr is a hash key: no padding");

struct tp_prefix {
	struct tp_addr base; /* port 0, host bits zero */
	uint8_t bits;
};

/* "[" IPv6 "]:65535" and the NUL: 45 + 8 + 1, rounded up. */
#define TP_ADDR_STRLEN 56

/** An IPv4 address from four network-order bytes. */
struct tp_addr tp_addr_v4(const uint8_t ip[4], uint16_t port);

/** An IPv6 address from sixteen network-order bytes. */
struct tp_addr tp_addr_v6(const uint8_t ip[16], uint16_t port);

/**
 * Parse an address in text, without port, brackets or zone.
 *
 * @return 0 or -EINVAL; on error *out is untouched
 */
int tp_addr_parse(const char *text, uint16_t port, struct tp_addr *out);

/** Write "192.0.2.1:3478" or "[2001:db8::1]:3478".  @return buf */
char *tp_addr_format(const struct tp_addr *a, char buf[TP_ADDR_STRLEN]);

/** Write the address alone: "192.0.2.1" or "2001:db8::1".  @return buf */
char *tp_addr_format_ip(const struct tp_addr *a, char buf[TP_ADDR_STRLEN]);

/** @return 0 or -EAFNOSUPPORT (neither AF_INET nor AF_INET6) */
int tp_addr_from_sockaddr(const struct sockaddr *sa, struct tp_addr *out);

/** Fill *ss.  @return the length to give to the kernel */
socklen_t tp_addr_to_sockaddr(const struct tp_addr *a, struct sockaddr_storage *ss);

static inline bool tp_addr_equal(const struct tp_addr *a, const struct tp_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/** Same family and IP address; ports are not compared. */
static inline bool tp_addr_same_ip(const struct tp_addr *a, const struct tp_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/** The address with its port cleared: the key of a permission (RFC 8656 section 9). */
static inline struct tp_addr tp_addr_ip_only(const struct tp_addr *a)
{
	struct tp_addr ip = *a;

	ip.port = 0;
	return ip;
}

/** The address with another port, host byte order. */
static inline struct tp_addr tp_addr_with_port(const struct tp_addr *ip, uint16_t port)
{
	struct tp_addr a = *ip;

	a.port = port;
	return a;
}

static inline uint8_t tp_addr_ip_bytes(const struct tp_addr *a)
{
	return a->family == TP_IPV4 ? 4 : 16;
}

/**
 * Parse "192.0.2.0/24", "2001:db8::/32" or a bare address (a full-length prefix).
 *
 * @return 0, or -EINVAL: not an address, a length out of range, or host bits set
 */
int tp_prefix_parse(const char *text, struct tp_prefix *out);

/** @return whether a is of the prefix's family and inside it; the port plays no part */
bool tp_prefix_contains(const struct tp_prefix *p, const struct tp_addr *a);

#endif
