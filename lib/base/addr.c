/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

struct tp_addr tp_addr_v4(const uint8_t ip[4], uint16_t port)
{
	struct tp_addr a = { .port = port, .family = TP_IPV4 };

	memcpy(a.ip, ip, 4);
	return a;
}

struct tp_addr tp_addr_v6(const uint8_t ip[16], uint16_t port)
{
	struct tp_addr a = { .port = port, .family = TP_IPV6 };

	memcpy(a.ip, ip, 16);
	return a;
}

int tp_addr_parse(const char *text, uint16_t port, struct tp_addr *out)
{
	uint8_t ip[16];

	if (inet_pton(AF_INET, text, ip) == 1)
		*out = tp_addr_v4(ip, port);
	else if (inet_pton(AF_INET6, text, ip) == 1)
		*out = tp_addr_v6(ip, port);
	else
		return -EINVAL;
	return 0;
}

/*
 * ---- text ----
 *
 * Not by snprintf() and inet_ntop(): each record of an allocation has four addresses.
 */

static char *put_decimal(char *to, uint32_t n)
{
	char digits[10];
	int len = 0;

	do {
		digits[len++] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	while (len > 0)
		*to++ = digits[--len];
	return to;
}

static char *put_v4(char *to, const uint8_t ip[4])
{
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			*to++ = '.';
		to = put_decimal(to, ip[i]);
	}
	return to;
}

/* Without leading zeros (RFC 5952 section 4.1). */
static char *put_group(char *to, uint32_t group)
{
	int shift = 12;

	while (shift > 0 && group >> shift == 0)
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		*to++ = "0123456789abcdef"[group >> shift & 0xf];
	return to;
}

/* The first of the longest runs of zeros, two at least (RFC 5952 section 4.2).  @return its length
 */
static int longest_run(const uint16_t group[8], int *at)
{
	int best = 1, run = 0;

	*at = 8;
	for (int i = 0; i < 8; i++) {
		run = group[i] == 0 ? run + 1 : 0;
		if (run > best) {
			best = run;
			*at = i + 1 - run;
		}
	}
	return best;
}

/* Does it end as IPv4 is written?  Where inet_ntop() does it: ::ffff:192.0.2.1 and ::192.0.2.1. */
static bool ends_as_v4(const uint16_t group[8], int run_at, int run)
{
	return run_at == 0 && (run == 6 || (run == 5 && group[5] == 0xffff));
}

static char *put_v6(char *to, const uint8_t ip[16])
{
	uint16_t group[8];
	int at, run;

	for (size_t i = 0; i < 8; i++)
		group[i] = (uint16_t)(ip[2 * i] << 8 | ip[2 * i + 1]);
	run = longest_run(group, &at);
	for (int i = 0; i < 8; i++) {
		if (i == at) {
			*to++ = ':';
			*to++ = ':';
			i += run - 1;
			continue;
		}
		if (i > 0 && i != at + run)
			*to++ = ':';
		if (i == 6 && ends_as_v4(group, at, run))
			return put_v4(to, ip + 12);
		to = put_group(to, group[i]);
	}
	return to;
}

static char *put_ip(char *to, const struct tp_addr *a)
{
	if (a->family == TP_IPV4)
		return put_v4(to, a->ip);
	if (a->family == TP_IPV6)
		return put_v6(to, a->ip);
	return stpcpy(to, "none");
}

char *tp_addr_format(const struct tp_addr *a, char buf[TP_ADDR_STRLEN])
{
	bool is_v6 = a->family == TP_IPV6;
	char *to = buf;

	if (is_v6)
		*to++ = '[';
	to = put_ip(to, a);
	if (is_v6)
		*to++ = ']';
	*to++ = ':';
	*put_decimal(to, a->port) = '\0';
	return buf;
}

char *tp_addr_format_ip(const struct tp_addr *a, char buf[TP_ADDR_STRLEN])
{
	*put_ip(buf, a) = '\0';
	return buf;
}

int tp_addr_from_sockaddr(const struct sockaddr *sa, struct tp_addr *out)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	/* Copied, because a control message or a netlink attribute is aligned as it likes. */
	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&sin, sa, sizeof(sin));
		*out = tp_addr_v4((const uint8_t *)&sin.sin_addr, ntohs(sin.sin_port));
		return 0;
	case AF_INET6:
		memcpy(&sin6, sa, sizeof(sin6));
		*out = tp_addr_v6(sin6.sin6_addr.s6_addr, ntohs(sin6.sin6_port));
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

socklen_t tp_addr_to_sockaddr(const struct tp_addr *a, struct sockaddr_storage *ss)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(a->port) };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(a->port) };

	assert(a->family == TP_IPV4 || a->family == TP_IPV6);
	memset(ss, 0, sizeof(*ss));
	if (a->family == TP_IPV4) {
		memcpy(&sin.sin_addr, a->ip, 4);
		memcpy(ss, &sin, sizeof(sin));
		return sizeof(sin);
	}
	memcpy(&sin6.sin6_addr, a->ip, 16);
	memcpy(ss, &sin6, sizeof(sin6));
	return sizeof(sin6);
}

/* Decimal digits only: strtoul() alone takes signs and blanks as well. */
static int parse_bits(const char *text, unsigned long max, uint8_t *bits)
{
	unsigned long n;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	n = strtoul(text, &end, 10);
	if (*end != '\0' || n > max)
		return -EINVAL;
	*bits = (uint8_t)n;
	return 0;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, uint8_t bits)
{
	uint8_t mask = (uint8_t)(0xff00 >> (bits % 8));

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0;
}

static bool has_host_bits(const struct tp_prefix *p)
{
	uint8_t i, n = tp_addr_ip_bytes(&p->base);
	uint8_t host = (uint8_t)(0xff >> (p->bits % 8));

	for (i = p->bits / 8; i < n; i++, host = 0xff)
		if (p->base.ip[i] & host)
			return true;
	return false;
}

int tp_prefix_parse(const char *text, struct tp_prefix *out)
{
	const char *slash = strchrnul(text, '/');
	size_t n = (size_t)(slash - text);
	char ip[TP_ADDR_STRLEN];
	struct tp_prefix p;

	if (n >= sizeof(ip))
		return -EINVAL;
	memcpy(ip, text, n);
	ip[n] = '\0';
	if (tp_addr_parse(ip, 0, &p.base) != 0)
		return -EINVAL;

	p.bits = (uint8_t)(tp_addr_ip_bytes(&p.base) * 8);
	if (*slash == '/' && parse_bits(slash + 1, p.bits, &p.bits) != 0)
		return -EINVAL;
	if (has_host_bits(&p))
		return -EINVAL;
	*out = p;
	return 0;
}

bool tp_prefix_contains(const struct tp_prefix *p, const struct tp_addr *a)
{
	return p->base.family == a->family && same_bits(p->base.ip, a->ip, p->bits);
}
