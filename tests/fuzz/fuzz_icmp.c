/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anything as an ICMP message from a raw socket, and as a packet to answer with one.  What is
 * accepted names addresses of the message's family; what is built can be read again.
 */
#include "fuzz.h"
#include "wire/icmp.h"
#include "wire/ip.h"

#include <stdlib.h>
#include <string.h>

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_error(const struct tp_icmp_error *e, uint8_t family)
{
	must(e->src.family == family && e->dst.family == family);
	must(e->mtu == 0 || tp_icmp_is_too_big(e));
}

static void check_answer(const uint8_t *in, size_t size, enum tp_icmp_kind kind)
{
	uint8_t *out = malloc(TP_ICMP6_MAX);
	struct tp_icmp_error e;
	size_t len;

	must(out != NULL);
	len = tp_icmp_build(out, kind, 1280, in, size);
	if (len > 0 && out[0] >> 4 == TP_IPV4) {
		must(len <= TP_ICMP4_MAX && len <= size + TP_IPV4_LEN + 8);
		must(!tp_icmp_parse4(out, len, &e) || in[9] == TP_IPPROTO_UDP);
	} else if (len > 0) {
		must(len <= TP_ICMP6_MAX && len <= size + TP_IPV6_LEN + 8);
		must(tp_icmp_parse6(out + TP_IPV6_LEN, len - TP_IPV6_LEN, &e) ==
				(size >= TP_IPV6_LEN + TP_UDP_LEN));
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Exact-size copy: one byte of over-read is an ASan report. */
	uint8_t *in = malloc(size > 0 ? size : 1);
	struct tp_icmp_error e;

	must(in != NULL);
	memcpy(in, data, size);
	if (tp_icmp_parse4(in, size, &e))
		check_error(&e, TP_IPV4);
	if (tp_icmp_parse6(in, size, &e))
		check_error(&e, TP_IPV6);
	check_answer(in, size, TP_ICMP_TOO_BIG);
	check_answer(in, size, TP_ICMP_TIME_EXCEEDED);
	free(in);
	return 0;
}
