/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"

#define PAGE 1000 /* allocations */

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *address(const struct tp_addr *a)
{
	char text[TP_ADDR_STRLEN];

	return json_string(tp_addr_format(a, text));
}

/* ---- statistics ---- */

/* A worker's counters, or the sum of several. */
struct sums {
	uint64_t rx_pkts, rx_bytes, tx_bytes;
	uint64_t verdict[TP_VERDICT_COUNT];
	uint64_t path[TP_PATH_COUNT];
};

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void sums_add(struct sums *sum, const struct tp_pipe_stats *s)
{
	sum->rx_pkts += load(&s->rx_pkts);
	sum->rx_bytes += load(&s->rx_bytes);
	sum->tx_bytes += load(&s->tx_bytes);
	for (int i = 0; i < TP_VERDICT_COUNT; i++)
		sum->verdict[i] += load(&s->verdict[i]);
	for (int i = 0; i < TP_PATH_COUNT; i++)
		sum->path[i] += load(&s->path[i]);
}

static void put_sums(json_t *to, const struct sums *sum)
{
	json_t *verdicts = json_object(), *paths = json_object();

	json_object_set_new(to, "rx_pkts", number(sum->rx_pkts));
	json_object_set_new(to, "rx_bytes", number(sum->rx_bytes));
	json_object_set_new(to, "tx_bytes", number(sum->tx_bytes));
	for (int i = 0; i < TP_VERDICT_COUNT; i++)
		json_object_set_new(verdicts, tp_verdict_name((enum tp_verdict)i),
				number(sum->verdict[i]));
	for (int i = 0; i < TP_PATH_COUNT; i++)
		json_object_set_new(paths, tp_path_name((enum tp_path)i), number(sum->path[i]));
	json_object_set_new(to, "verdicts", verdicts);
	json_object_set_new(to, "paths", paths);
}

static json_t *port_json(const struct tp_port *port)
{
	json_t *o = json_object(), *stats = json_object();
	struct tp_port_info info;
	struct tp_port_stats s;

	tp_port_info(port, &info);
	tp_port_stats(port, &s);
	json_object_set_new(o, "interface", json_string(info.name));
	json_object_set_new(o, "queue", number(info.queue));
	json_object_set_new(o, "driver", json_string(info.driver));
	json_object_set_new(o, "mode", json_string(info.mode));
	json_object_set_new(o, "busy_poll", json_boolean(info.is_busy_poll));
#define X(name, help) json_object_set_new(stats, #name, number(s.name));
	TP_PORT_STATS(X)
#undef X
	json_object_set_new(o, "stats", stats);
	return o;
}

static json_t *worker_json(const struct tp_worker *w, const struct tp_dpdk_pool *pool)
{
	json_t *o = json_object(), *ports = json_array();
	struct sums sum = { 0 };
	struct tp_worker_umem umem;

	sums_add(&sum, tp_worker_stats(w));
	tp_worker_umem(w, &umem);
	json_object_set_new(o, "cpu", number(tp_worker_cpu(w)));
	json_object_set_new(o, "idle",
			json_string(tp_worker_idle(w) == TP_IDLE_SPIN ? "spin" : "adaptive"));
	put_sums(o, &sum);
	json_object_set_new(o, "umem",
			json_pack("{s:I,s:I,s:I}", "chunks", (json_int_t)umem.chunks, "free",
					(json_int_t)umem.free, "in_rings",
					(json_int_t)umem.in_rings));
	if (pool != NULL) {
		uint32_t frames, n_free;

		tp_dpdk_pool_count(pool, &frames, &n_free);
		json_object_set_new(o, "mbufs",
				json_pack("{s:I,s:I}", "frames", (json_int_t)frames, "free",
						(json_int_t)n_free));
	}
	json_object_set_new(o, "copied", number(tp_worker_copied(w)));
	json_object_set_new(o, "busy_ns", number(tp_worker_busy_ns(w)));
	for (uint32_t i = 0; i < tp_worker_ports(w); i++)
		json_array_append_new(ports, port_json(tp_worker_port(w, i)));
	json_object_set_new(o, "ports", ports);
	return o;
}

/* Each socket: what it is for, a listener's address or else the family, and its counts. */
static json_t *sockets_json(const struct tp_daemon *d)
{
	struct tp_kernel_socket_stats s;
	json_t *list = json_array();

	for (uint32_t i = 0; tp_kernel_path_socket(d->kernel_path, i, &s); i++)
		json_array_append_new(list,
				json_pack("{s:s,s:o,s:I,s:I}", "socket",
						tp_kernel_socket_name(s.kind), "address",
						s.kind == TP_KERNEL_LISTENER
								? address(&s.addr)
								: json_sprintf("IPv%d",
										  s.addr.family),
						"rx_pkts", (json_int_t)s.rx_pkts, "dropped",
						(json_int_t)s.dropped));
	return list;
}

/* The filter that tells clients' datagrams from strangers'. */
static json_t *clients_json(const struct tp_daemon *d)
{
	struct tp_steer_clients c;

	tp_steer_clients(d->steer, &c);
	return json_pack("{s:I,s:I}", "known", (json_int_t)c.n, "refused", (json_int_t)c.refused);
}

static json_t *kernel_path_json(const struct tp_daemon *d)
{
	json_t *o = json_object(), *verdicts = json_object();
	struct tp_kernel_path_stats s;

	tp_kernel_path_stats(d->kernel_path, &s);
	json_object_set_new(o, "rx_pkts", number(s.rx_pkts));
	json_object_set_new(o, "punted", number(s.punted));
	json_object_set_new(o, "fragments", number(s.fragments));
	json_object_set_new(o, "icmp_sent", number(s.icmp_sent));
	json_object_set_new(o, "icmp_held", number(s.icmp_held));
	json_object_set_new(o, "sent", number(s.send.sent));
	json_object_set_new(o, "send_full", number(s.send.full));
	json_object_set_new(o, "send_refused", number(s.send.refused));
	for (int i = 0; i < TP_SLOW_VERDICT_COUNT; i++)
		json_object_set_new(verdicts, tp_slow_verdict_name((enum tp_slow_verdict)i),
				number(s.verdict[i]));
	json_object_set_new(o, "verdicts", verdicts);
	json_object_set_new(o, "clients", clients_json(d));
	json_object_set_new(o, "sockets", sockets_json(d));
	return o;
}

/* What only a DPDK device has: its own counters, and those of its way to the kernel. */
static void put_device(json_t *to, const struct tp_daemon *d, const struct tp_layout_interface *li)
{
	json_t *stats = json_object();
	struct tp_exception_stats es;
	struct tp_dpdk_stats ds;
	struct tp_dpdk_info info;
	char mac[18];

	tp_dpdk_info(li->dpdk, &info);
	tp_exception_stats(d->layout.exception, li->exception, &es);
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", info.mac[0], info.mac[1],
			info.mac[2], info.mac[3], info.mac[4], info.mac[5]);
	json_object_set_new(to, "device", json_string(li->conf->device));
	json_object_set_new(to, "driver", json_string(info.driver));
	json_object_set_new(to, "kernel", json_string(li->conf->kernel));
	json_object_set_new(to, "mac", json_string(mac));
	json_object_set_new(to, "mtu", number(info.mtu));
	json_object_set_new(to, "link", json_string(info.is_up ? "up" : "down"));
	json_object_set_new(to, "link_mbps", number(info.link_mbps));
	json_object_set_new(to, "interrupts", json_boolean(info.has_interrupts));
	if (tp_dpdk_stats(li->dpdk, &ds) == 0) {
#define X(name, help) json_object_set_new(stats, #name, number(ds.name));
		TP_DPDK_STATS(X)
#undef X
	}
#define X(name, help) json_object_set_new(stats, #name, number(es.name));
	TP_EXCEPTION_STATS(X)
#undef X
	json_object_set_new(to, "stats", stats);
}

static json_t *interfaces_json(const struct tp_daemon *d)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < d->layout.n_interfaces; i++) {
		const struct tp_layout_interface *li = &d->layout.interfaces[i];

		json_t *o = json_pack("{s:s,s:s,s:s}", "name", li->conf->name, "asked",
				li->conf->driver == TP_DRIVER_DPDK
						? "dpdk"
						: tp_xdp_mode_name(li->conf->mode),
				"mode", tp_layout_mode_name(li));

		if (li->dpdk != NULL)
			put_device(o, d, li);
		json_array_append_new(list, o);
	}
	return list;
}

/* Requests refused for what is there already, by limit. */
static json_t *refused_json(const struct tp_daemon *d)
{
	const struct tp_turn_refused *refused = tp_turn_refused(d->turn);
	json_t *o = json_object();

	for (int i = 0; i < TP_TURN_REFUSAL_COUNT; i++)
		json_object_set_new(o, tp_turn_refusal_name((enum tp_turn_refusal)i),
				number(refused->why[i]));
	return o;
}

/* Error answers by code; only of codes that there were. */
static json_t *errors_json(const struct tp_daemon *d)
{
	const struct tp_turn_refused *refused = tp_turn_refused(d->turn);
	json_t *o = json_object();
	char code[8];

	for (int i = TP_TURN_ERROR_MIN; i <= TP_TURN_ERROR_MAX; i++) {
		if (refused->code[i - TP_TURN_ERROR_MIN] == 0)
			continue;
		snprintf(code, sizeof(code), "%d", i);
		json_object_set_new(o, code, number(refused->code[i - TP_TURN_ERROR_MIN]));
	}
	return o;
}

static json_t *turn_json(const struct tp_daemon *d)
{
	struct tp_turn_counts c;

	tp_turn_count(d->turn, &c);
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "allocations",
			(json_int_t)c.allocations, "permissions", (json_int_t)c.permissions,
			"channels", (json_int_t)c.channels, "ports", (json_int_t)c.ports,
			"reservations", (json_int_t)c.reservations, "users", (json_int_t)c.users,
			"mobile", (json_int_t)c.mobile, "moved", (json_int_t)c.moved, "redirected",
			(json_int_t)c.redirected, "changed", (json_int_t)c.changed);
}

static json_t *auth_json(const struct tp_daemon *d)
{
	json_t *o = json_object();

	for (int i = 0; i < TP_AUTH_RESULT_COUNT; i++)
		json_object_set_new(o, tp_auth_result_name((enum tp_auth_result)i),
				number(tp_turn_auth_count(d->turn, (enum tp_auth_result)i)));
	return o;
}

static json_t *log_json(void)
{
	struct tp_log_writer_stats s;

	tp_log_stats(&s);
	return json_pack("{s:I,s:I,s:I}", "lines", (json_int_t)s.lines, "lost", (json_int_t)s.lost,
			"backlog_bytes", (json_int_t)s.backlog_bytes);
}

static json_t *relays_json(const struct tp_daemon *d)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < d->conf->n_relays; i++) {
		struct tp_turn_relay_info info;
		char local[TP_ADDR_STRLEN], external[TP_ADDR_STRLEN];

		tp_turn_relay_info(d->turn, i, &info);
		json_array_append_new(list,
				json_pack("{s:s,s:s,s:b,s:I,s:I}", "address",
						tp_addr_format_ip(&info.addr.local, local),
						"external",
						tp_addr_format_ip(&info.addr.external, external),
						"here", info.is_here, "ports_used",
						(json_int_t)(info.n_ports - info.n_free),
						"ports_free", (json_int_t)info.n_free));
	}
	return list;
}

json_t *tp_report_stats(const struct tp_daemon *d)
{
	json_t *o = json_object(), *total = json_object(), *workers = json_array();
	struct sums sum = { 0 };

	for (uint32_t i = 0; i < d->layout.n_workers; i++) {
		sums_add(&sum, tp_worker_stats(d->layout.workers[i]));
		json_array_append_new(
				workers, worker_json(d->layout.workers[i], d->layout.pools[i]));
	}
	put_sums(total, &sum);
	json_object_set_new(o, "version", json_string(TP_VERSION));
	json_object_set_new(o, "uptime_sec",
			number((tp_clock_now_ns() - d->started_ns) / TP_NS_PER_SEC));
	json_object_set_new(o, "draining", json_boolean(d->is_draining));
	json_object_set_new(o, "total", total);
	json_object_set_new(o, "workers", workers);
	json_object_set_new(o, "kernel_path", kernel_path_json(d));
	json_object_set_new(o, "interfaces", interfaces_json(d));
	json_object_set_new(o, "turn", turn_json(d));
	json_object_set_new(o, "auth", auth_json(d));
	json_object_set_new(o, "relays", relays_json(d));
	json_object_set_new(o, "refused", refused_json(d));
	json_object_set_new(o, "errors", errors_json(d));
	json_object_set_new(o, "flows", number(d->flows == NULL ? 0 : tp_flow_count(d->flows)));
	json_object_set_new(o, "reload",
			json_pack("{s:I,s:I,s:I,s:I}", "reloads", (json_int_t)d->reload.done,
					"reloads_failed", (json_int_t)d->reload.failed,
					"permissions_forbidden",
					(json_int_t)d->reload.ended.permissions,
					"channels_forbidden",
					(json_int_t)d->reload.ended.channels));
	json_object_set_new(o, "log", log_json());
	json_object_set_new(o, "flows_refused", number(tp_fast_refused(d->fast)));
	return o;
}

/* ---- allocations ---- */

static uint64_t seconds_until(uint64_t deadline_ns, uint64_t now_ns)
{
	return deadline_ns > now_ns ? (deadline_ns - now_ns) / TP_NS_PER_SEC : 0;
}

static json_t *relayed_json(const struct tp_allocation_info *info, uint64_t now_ns)
{
	json_t *list = json_array();

	for (int i = 0; i < 2; i++) {
		json_t *leg;

		if (!info->leg[i].is_present)
			continue;
		leg = json_object();
		json_object_set_new(leg, "local", address(&info->leg[i].local));
		json_object_set_new(leg, "external", address(&info->leg[i].external));
		json_object_set_new(leg, "expires_sec",
				number(seconds_until(info->leg[i].deadline_ns, now_ns)));
		json_array_append_new(list, leg);
	}
	return list;
}

static json_t *channels_json(
		const struct tp_turn *turn, const struct tp_allocation *alloc, uint64_t now_ns)
{
	const struct tp_channel *cursor = NULL;
	struct tp_turn_channel ch;
	json_t *list = json_array();
	char text[8];

	while ((cursor = tp_allocation_next_channel(turn, alloc, cursor, &ch)) != NULL) {
		json_t *o = json_object();

		snprintf(text, sizeof(text), "0x%04x", ch.number);
		json_object_set_new(o, "number", json_string(text));
		json_object_set_new(o, "peer", address(&ch.peer));
		json_object_set_new(
				o, "expires_sec", number(seconds_until(ch.up_deadline_ns, now_ns)));
		json_object_set_new(o, "fast", json_boolean(tp_fast_is_carried(&ch)));
		json_array_append_new(list, o);
	}
	return list;
}

/* What it relayed so far: datagrams, and bytes of application data. */
static json_t *traffic_json(uint64_t pkts, uint64_t bytes)
{
	return json_pack("{s:I,s:I}", "packets", (json_int_t)pkts, "bytes", (json_int_t)bytes);
}

static json_t *allocation_json(
		const struct tp_daemon *d, const struct tp_allocation *alloc, uint64_t now_ns)
{
	struct tp_allocation_info info;
	struct tp_account_sum sum;
	json_t *o = json_object(), *name;

	tp_allocation_info(d->turn, alloc, &info);
	tp_account_sum(tp_accounting_accounts(d->accounting), info.account, &sum);
	/* A username is whatever bytes the client chose to be known by. */
	name = json_stringn(info.username, info.username_len);
	json_object_set_new(o, "id", number(info.id));
	json_object_set_new(o, "client", address(&info.tuple->client));
	json_object_set_new(o, "server", address(&info.tuple->server));
	json_object_set_new(o, "username", name != NULL ? name : json_string("(not UTF-8)"));
	json_object_set_new(o, "age_sec", number((now_ns - info.created_ns) / TP_NS_PER_SEC));
	json_object_set_new(o, "relayed", relayed_json(&info, now_ns));
	json_object_set_new(o, "permissions", number(info.n_permissions));
	json_object_set_new(o, "channels", channels_json(d->turn, alloc, now_ns));
	json_object_set_new(o, "up", traffic_json(sum.up.pkts, sum.up.bytes));
	json_object_set_new(o, "down", traffic_json(sum.down.pkts, sum.down.bytes));
	return o;
}

json_t *tp_report_allocations(const struct tp_daemon *d, uint64_t cursor)
{
	json_t *o = json_object(), *list = json_array();
	const struct tp_allocation *alloc = NULL;
	uint64_t now_ns = tp_clock_now_ns();

	while (json_array_size(list) < PAGE &&
			(alloc = tp_turn_next_allocation(d->turn, &cursor)) != NULL)
		json_array_append_new(list, allocation_json(d, alloc, now_ns));
	json_object_set_new(o, "allocations", list);
	if (alloc != NULL)
		json_object_set_new(o, "next", number(cursor));
	return o;
}
