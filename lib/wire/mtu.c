/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/mtu.h"

#include <assert.h>

#include "base/addr.h"
#include "wire/channel.h"
#include "wire/ip.h"

/* RFC 7915 section 5.1: what fits IPv6's 1280 with its 20 bytes longer header may be fragmented. */
#define DF_CLEAR_MAX 1260

static uint16_t smaller(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

/* Must it leave whole?  What is made here need not. */
static bool must_be_whole(const struct tp_mtu_in *in)
{
	if (in->family == TP_IPV6)
		return !in->is_divided && in->len > TP_IPV6_MTU_MIN;
	return in->is_df;
}

static uint16_t limit(
		const struct tp_mtu_in *in, uint8_t family, uint16_t mtu, uint16_t lowest_ipv6_mtu)
{
	if (family != TP_IPV6)
		return mtu;
	if (in->family == TP_IPV4)
		return smaller(mtu, lowest_ipv6_mtu);
	return smaller(mtu, TP_IPV6_MTU_MIN);
}

struct tp_mtu_plan tp_mtu_plan(const struct tp_mtu_in *in, uint8_t family, size_t len, uint16_t mtu,
		uint16_t lowest_ipv6_mtu)
{
	struct tp_mtu_plan plan = { .limit = limit(in, family, mtu, lowest_ipv6_mtu) };
	/* RFC 7915 section 4.1: this limit holds even where the MTU would allow more. */
	bool is_limited = in->family == TP_IPV4 && family == TP_IPV6 && !in->is_df;
	size_t max = is_limited ? plan.limit : mtu;

	assert(lowest_ipv6_mtu >= TP_IPV6_MTU_MIN);
	if (len > max) {
		plan.fate = must_be_whole(in) ? TP_MTU_TOO_BIG : TP_MTU_FRAGMENTS;
		return plan;
	}
	plan.fate = TP_MTU_WHOLE;
	plan.is_df = in->family == TP_IPV6 ? len > DF_CLEAR_MAX && !in->is_divided : in->is_df;
	return plan;
}

static uint16_t headers(uint8_t family)
{
	return (family == TP_IPV6 ? TP_IPV6_LEN : TP_IPV4_LEN) + TP_UDP_LEN;
}

uint16_t tp_mtu_report(const struct tp_mtu_way *way, uint16_t mtu)
{
	uint32_t taken = headers(way->out_family), data, report;
	uint16_t min = way->in_family == TP_IPV6 ? TP_IPV6_MTU_MIN : TP_IPV4_MTU_MIN;

	if (way->is_to_client)
		taken += TP_DATA_INDICATION_MAX;
	data = mtu > taken ? mtu - taken : 0;
	/* An indication pads its data to a multiple of four. */
	if (way->is_to_client)
		data &= ~3u;
	report = data + headers(way->in_family);
	/* All framings of a client take at least ChannelData's header. */
	if (way->is_from_client)
		report += TP_CHANNEL_HDR_LEN;
	if (report > UINT16_MAX)
		return UINT16_MAX;
	return report > min ? (uint16_t)report : min;
}
