/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <string.h>

#include "base/clock.h"

static const char *reason(enum tp_turn_end why)
{
	switch (why) {
	case TP_TURN_END_EXPIRED:
		return "expired";
	case TP_TURN_END_DELETED:
		return "deleted";
	case TP_TURN_END_SHUTDOWN:
		return "shutdown";
	}
	return "unknown";
}

static void put_user(struct tp_log_fields *to, const struct tp_allocation_info *info)
{
	if (!tp_log_put_string(to, "user", info->username, info->username_len))
		tp_log_put_hex(to, "user_hex", info->username, info->username_len);
}

/* ---- addresses ---- */

/* What peers saw; and behind 1:1 NAT what this host has. */
static void put_relayed(struct tp_log_fields *to, const struct tp_allocation_info *info)
{
	bool is_natted = false;

	tp_log_begin_list(to, "relayed");
	for (int i = 0; i < 2; i++) {
		if (!info->leg[i].is_present)
			continue;
		tp_log_put_item(to, &info->leg[i].external, true);
		is_natted |= !tp_addr_same_ip(&info->leg[i].external, &info->leg[i].local);
	}
	tp_log_end_list(to);
	if (!is_natted)
		return;
	tp_log_begin_list(to, "relayed_local");
	for (int i = 0; i < 2; i++)
		if (info->leg[i].is_present)
			tp_log_put_item(to, &info->leg[i].local, true);
	tp_log_end_list(to);
}

static void put_peers(struct tp_log_fields *to, const struct tp_addr peers[], uint32_t n)
{
	tp_log_begin_list(to, "peers");
	for (uint32_t i = 0; i < n; i++)
		tp_log_put_item(to, &peers[i], false);
	tp_log_end_list(to);
}

/* ---- records ---- */

/* What to add to monotonic time for the time of day. */
static uint64_t wall_offset(void)
{
	return tp_clock_read(CLOCK_REALTIME) - tp_clock_now_ns();
}

/* What all have: who it is. */
static void put_identity(struct tp_log_fields *to, const struct tp_allocation_info *info,
		uint64_t wall_offset_ns)
{
	tp_log_put_number(to, "id", info->id);
	tp_log_put_address(to, "client", &info->tuple->client);
	tp_log_put_address(to, "server", &info->tuple->server);
	put_user(to, info);
	put_relayed(to, info);
	tp_log_put_time(to, "started", info->created_ns + wall_offset_ns);
}

void tp_record_put_start(struct tp_log_fields *to, const struct tp_allocation_info *info)
{
	put_identity(to, info, wall_offset());
}

void tp_record_put_peers(struct tp_log_fields *to, const struct tp_allocation_info *info,
		const struct tp_addr peers[], uint32_t n)
{
	put_identity(to, info, wall_offset());
	put_peers(to, peers, n);
}

void tp_record_put_moved(struct tp_log_fields *to, const struct tp_allocation_info *info,
		const struct tp_tuple *from)
{
	put_identity(to, info, wall_offset());
	tp_log_put_address(to, "client_before", &from->client);
	tp_log_put_address(to, "server_before", &from->server);
}

void tp_record_put_end(struct tp_log_fields *to, const struct tp_allocation_info *info,
		const struct tp_addr peers[], uint32_t n, enum tp_turn_end why, uint64_t now_ns)
{
	uint64_t offset_ns = wall_offset();

	put_identity(to, info, offset_ns);
	tp_log_put_time(to, "ended", now_ns + offset_ns);
	tp_log_put_number(to, "duration_ms", (now_ns - info->created_ns) / TP_NS_PER_MS);
	tp_log_put_string(to, "reason", reason(why), strlen(reason(why)));
	put_peers(to, peers, n);
}

void tp_record_put_sum(struct tp_log_fields *to, const struct tp_account_sum *sum)
{
	tp_log_put_number(to, "up_packets", sum->up.pkts);
	tp_log_put_number(to, "up_bytes", sum->up.bytes);
	tp_log_put_number(to, "down_packets", sum->down.pkts);
	tp_log_put_number(to, "down_bytes", sum->down.bytes);
}
