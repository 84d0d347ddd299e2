/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define DEL 0x7f
#define HEX_MAX 763 /* bytes; longer names are none (RFC 8489 section 14.3) */

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

static int put_number(json_t *to, const char *key, uint64_t n)
{
	return json_object_set_new(to, key, json_integer((json_int_t)n));
}

/* ---- names of users ---- */

static json_t *hex(const char *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * HEX_MAX];

	n = n < HEX_MAX ? n : HEX_MAX;
	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[(uint8_t)bytes[i] >> 4];
		text[2 * i + 1] = digits[(uint8_t)bytes[i] & 0xf];
	}
	return json_stringn(text, 2 * n);
}

int tp_record_put_user(json_t *to, const struct tp_allocation_info *info)
{
	json_t *text = NULL;

	/* JSON leaves DEL as it is; terminals do not. */
	if (memchr(info->username, DEL, info->username_len) == NULL)
		text = json_stringn(info->username, info->username_len);
	if (text != NULL)
		return json_object_set_new(to, "user", text);
	return json_object_set_new(to, "user_hex", hex(info->username, info->username_len));
}

/* ---- addresses ---- */

static int put_address(json_t *to, const char *key, const struct tp_addr *a)
{
	char text[TP_ADDR_STRLEN];

	return json_object_set_new(to, key, json_string(tp_addr_format(a, text)));
}

static int append_address(json_t *to, const struct tp_addr *a)
{
	char text[TP_ADDR_STRLEN];

	return json_array_append_new(to, json_string(tp_addr_format(a, text)));
}

/* What peers saw; and behind 1:1 NAT what this host has. */
static int put_relayed(json_t *to, const struct tp_allocation_info *info)
{
	json_t *relayed = json_array(), *local = json_array();
	bool is_natted = false;
	int rc = 0;

	for (int i = 0; i < 2; i++) {
		if (!info->leg[i].is_present)
			continue;
		rc |= append_address(relayed, &info->leg[i].external);
		rc |= append_address(local, &info->leg[i].local);
		is_natted |= !tp_addr_same_ip(&info->leg[i].external, &info->leg[i].local);
	}
	rc |= json_object_set_new(to, "relayed", relayed);
	if (is_natted)
		rc |= json_object_set(to, "relayed_local", local);
	json_decref(local);
	return rc;
}

static int put_peers(json_t *to, const struct tp_addr peers[], uint32_t n)
{
	json_t *list = json_array();
	char text[TP_ADDR_STRLEN];
	int rc = 0;

	for (uint32_t i = 0; i < n; i++)
		rc |= json_array_append_new(list, json_string(tp_addr_format_ip(&peers[i], text)));
	return rc | json_object_set_new(to, "peers", list);
}

/* ---- records ---- */

/* Monotonic time as time of day. */
static int put_time(json_t *to, const char *key, uint64_t mono_ns)
{
	uint64_t wall_ns = tp_clock_read(CLOCK_REALTIME) - (tp_clock_now_ns() - mono_ns);
	char text[TP_LOG_TIME_STRLEN];

	return json_object_set_new(to, key, json_string(tp_log_time(wall_ns, text)));
}

/* What all have: who it is. */
static int put_identity(json_t *to, const struct tp_allocation_info *info)
{
	int rc = put_number(to, "id", info->id);

	rc |= put_address(to, "client", &info->tuple->client);
	rc |= put_address(to, "server", &info->tuple->server);
	rc |= tp_record_put_user(to, info);
	rc |= put_relayed(to, info);
	return rc | put_time(to, "started", info->created_ns);
}

static json_t *finish(json_t *record, int rc)
{
	if (rc == 0)
		return record;
	json_decref(record);
	return NULL;
}

json_t *tp_record_start(const struct tp_allocation_info *info)
{
	json_t *o = json_object();

	return finish(o, put_identity(o, info));
}

json_t *tp_record_peers(
		const struct tp_allocation_info *info, const struct tp_addr peers[], uint32_t n)
{
	json_t *o = json_object();
	int rc = put_identity(o, info);

	return finish(o, rc | put_peers(o, peers, n));
}

json_t *tp_record_end(const struct tp_allocation_info *info, const struct tp_addr peers[],
		uint32_t n, enum tp_turn_end why, uint64_t now_ns)
{
	json_t *o = json_object();
	int rc = put_identity(o, info);

	rc |= put_time(o, "ended", now_ns);
	rc |= put_number(o, "duration_ms", (now_ns - info->created_ns) / TP_NS_PER_MS);
	rc |= json_object_set_new(o, "reason", json_string(reason(why)));
	return finish(o, rc | put_peers(o, peers, n));
}

int tp_record_add_sum(json_t *to, const struct tp_account_sum *sum)
{
	int rc = put_number(to, "up_packets", sum->up.pkts);

	rc |= put_number(to, "up_bytes", sum->up.bytes);
	rc |= put_number(to, "down_packets", sum->down.pkts);
	return rc | put_number(to, "down_bytes", sum->down.bytes);
}
