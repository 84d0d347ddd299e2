/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define CONNECTIONS_MAX 16
#define TIMEOUT_SEC 10

struct tp_metrics {
	struct tp_source source; /* first */
	struct tp_daemon *daemon;
	struct MHD_Daemon *http;
};

/* ---- the text ---- */

static void family(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP turnpike_%s %s\n# TYPE turnpike_%s %s\n", name, help, name, type);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void write_workers(FILE *f, const struct tp_daemon *d)
{
	uint32_t w;
	int i;

	family(f, "frames_total", "counter", "Frames received by workers, by what became of them.");
	for (w = 0; w < d->layout.n_workers; w++)
		for (i = 0; i < TP_VERDICT_COUNT; i++)
			fprintf(f,
					"turnpike_frames_total{worker=\"%u\",verdict=\"%s\"} %" PRIu64
					"\n",
					w, tp_verdict_name((enum tp_verdict)i),
					load(&tp_worker_stats(d->layout.workers[w])->verdict[i]));
	family(f, "path_frames_total", "counter", "Frames rewritten by workers, by path.");
	for (w = 0; w < d->layout.n_workers; w++)
		for (i = 0; i < TP_PATH_COUNT; i++)
			fprintf(f,
					"turnpike_path_frames_total{worker=\"%u\",path=\"%s\"} %" PRIu64
					"\n",
					w, tp_path_name((enum tp_path)i),
					load(&tp_worker_stats(d->layout.workers[w])->path[i]));
	family(f, "copied_frames_total", "counter",
			"Frames copied because they crossed from one driver to another.");
	for (w = 0; w < d->layout.n_workers; w++)
		fprintf(f, "turnpike_copied_frames_total{worker=\"%u\"} %" PRIu64 "\n", w,
				tp_worker_copied(d->layout.workers[w]));
	family(f, "busy_seconds_total", "counter",
			"Time of workers in rounds that received frames; what is left is room.");
	for (w = 0; w < d->layout.n_workers; w++)
		fprintf(f, "turnpike_busy_seconds_total{worker=\"%u\"} %.6f\n", w,
				(double)tp_worker_busy_ns(d->layout.workers[w]) / 1e9);
	family(f, "received_bytes_total", "counter", "Bytes of frames received by workers.");
	for (w = 0; w < d->layout.n_workers; w++)
		fprintf(f, "turnpike_received_bytes_total{worker=\"%u\"} %" PRIu64 "\n", w,
				load(&tp_worker_stats(d->layout.workers[w])->rx_bytes));
	family(f, "forwarded_bytes_total", "counter", "Bytes of frames forwarded by workers.");
	for (w = 0; w < d->layout.n_workers; w++)
		fprintf(f, "turnpike_forwarded_bytes_total{worker=\"%u\"} %" PRIu64 "\n", w,
				load(&tp_worker_stats(d->layout.workers[w])->tx_bytes));
}

static void write_port_event(
		FILE *f, const struct tp_port_info *info, const char *event, uint64_t n)
{
	fprintf(f,
			"turnpike_port_events_total{interface=\"%s\",queue=\"%u\",event=\"%s\"} %" PRIu64
			"\n",
			info->name, info->queue, event, n);
}

static void write_ports(FILE *f, const struct tp_daemon *d)
{
	family(f, "port_events_total", "counter", "Counters of workers' ports, by event.");
	for (uint32_t w = 0; w < d->layout.n_workers; w++) {
		for (uint32_t p = 0; p < tp_worker_ports(d->layout.workers[w]); p++) {
			const struct tp_port *port = tp_worker_port(d->layout.workers[w], p);
			struct tp_port_info info;
			struct tp_port_stats s;

			tp_port_info(port, &info);
			tp_port_stats(port, &s);
#define X(field, help) write_port_event(f, &info, #field, s.field);
			TP_PORT_STATS(X)
#undef X
		}
	}
	family(f, "interface_mode", "gauge", "1 for the mode that an interface got.");
	for (uint32_t i = 0; i < d->layout.n_interfaces; i++)
		fprintf(f, "turnpike_interface_mode{interface=\"%s\",mode=\"%s\"} 1\n",
				d->layout.interfaces[i].conf->name,
				tp_layout_mode_name(&d->layout.interfaces[i]));
}

/* Of DPDK devices: what they count themselves, and their way to the kernel. */
static void write_device(FILE *f, const struct tp_daemon *d, const struct tp_layout_interface *li)
{
	const char *line =
			"turnpike_device_events_total{interface=\"%s\",event=\"%s\"} %" PRIu64 "\n";
	const char *ifname = li->conf->name;
	struct tp_exception_stats es;
	struct tp_dpdk_stats ds;

	if (tp_dpdk_stats(li->dpdk, &ds) == 0) {
#define X(name, help) fprintf(f, line, ifname, #name, ds.name);
		TP_DPDK_STATS(X)
#undef X
	}
	tp_exception_stats(d->layout.exception, li->exception, &es);
#define X(name, help) fprintf(f, line, ifname, #name, es.name);
	TP_EXCEPTION_STATS(X)
#undef X
}

static void write_devices(FILE *f, const struct tp_daemon *d)
{
	if (!tp_layout_has_dpdk(d->conf))
		return;
	family(f, "device_events_total", "counter",
			"Counters of DPDK devices and of their kernel interfaces, by event.");
	for (uint32_t i = 0; i < d->layout.n_interfaces; i++)
		if (d->layout.interfaces[i].dpdk != NULL)
			write_device(f, d, &d->layout.interfaces[i]);
	family(f, "link_up", "gauge", "Whether a DPDK device has a link.");
	for (uint32_t i = 0; i < d->layout.n_interfaces; i++) {
		struct tp_dpdk_info info;

		if (d->layout.interfaces[i].dpdk == NULL)
			continue;
		tp_dpdk_info(d->layout.interfaces[i].dpdk, &info);
		fprintf(f, "turnpike_link_up{interface=\"%s\"} %d\n",
				d->layout.interfaces[i].conf->name, info.is_up);
	}
}

static void write_socket(
		FILE *f, const char *name, const struct tp_kernel_socket_stats *s, uint64_t value)
{
	char text[TP_ADDR_STRLEN] = "IPv4";

	if (s->kind == TP_KERNEL_LISTENER)
		tp_addr_format(&s->addr, text);
	else if (s->addr.family == TP_IPV6)
		snprintf(text, sizeof(text), "IPv6");
	fprintf(f, "turnpike_%s{socket=\"%s\",address=\"%s\"} %" PRIu64 "\n", name,
			tp_kernel_socket_name(s->kind), text, value);
}

static void write_sockets(FILE *f, const struct tp_daemon *d)
{
	struct tp_kernel_socket_stats s;
	struct tp_steer_clients clients;
	uint32_t i;

	family(f, "socket_received_total", "counter", "Datagrams read from sockets.");
	for (i = 0; tp_kernel_path_socket(d->kernel_path, i, &s); i++)
		write_socket(f, "socket_received_total", &s, s.rx_pkts);
	family(f, "socket_dropped_total", "counter",
			"Datagrams that a socket had no room for, or with a wrong checksum.");
	for (i = 0; tp_kernel_path_socket(d->kernel_path, i, &s); i++)
		write_socket(f, "socket_dropped_total", &s, s.dropped);
	tp_steer_clients(d->steer, &clients);
	family(f, "clients_known", "gauge",
			"Client addresses whose datagrams come by the clients' socket.");
	fprintf(f, "turnpike_clients_known %u\n", clients.n);
	family(f, "clients_refused_total", "counter",
			"Client addresses for which there was no place among these.");
	fprintf(f, "turnpike_clients_refused_total %" PRIu64 "\n", clients.refused);
}

static void write_kernel_path(FILE *f, const struct tp_daemon *d)
{
	struct tp_kernel_path_stats s;

	tp_kernel_path_stats(d->kernel_path, &s);
	family(f, "kernel_path_datagrams_total", "counter",
			"Datagrams of the kernel path, by what became of them.");
	for (int i = 0; i < TP_SLOW_VERDICT_COUNT; i++)
		fprintf(f, "turnpike_kernel_path_datagrams_total{verdict=\"%s\"} %" PRIu64 "\n",
				tp_slow_verdict_name((enum tp_slow_verdict)i), s.verdict[i]);
	family(f, "kernel_path_punted_total", "counter", "Frames that workers handed over.");
	fprintf(f, "turnpike_kernel_path_punted_total %" PRIu64 "\n", s.punted);
	family(f, "kernel_path_icmp_sent_total", "counter",
			"ICMP errors sent about packets that could not be relayed.");
	fprintf(f, "turnpike_kernel_path_icmp_sent_total %" PRIu64 "\n", s.icmp_sent);
	family(f, "kernel_path_icmp_held_total", "counter",
			"ICMP errors not sent, because there were too many a second.");
	fprintf(f, "turnpike_kernel_path_icmp_held_total %" PRIu64 "\n", s.icmp_held);
	family(f, "kernel_path_send_errors_total", "counter",
			"Datagrams that the kernel did not take.");
	fprintf(f, "turnpike_kernel_path_send_errors_total %" PRIu64 "\n",
			s.send.full + s.send.refused);
}

static void gauge(FILE *f, const char *name, const char *help, uint64_t value)
{
	family(f, name, "gauge", help);
	fprintf(f, "turnpike_%s %" PRIu64 "\n", name, value);
}

static void write_auth(FILE *f, const struct tp_daemon *d)
{
	family(f, "auth_requests_total", "counter",
			"Requests that need authentication, by what came of it.");
	for (int i = 0; i < TP_AUTH_RESULT_COUNT; i++)
		fprintf(f, "turnpike_auth_requests_total{result=\"%s\"} %" PRIu64 "\n",
				tp_auth_result_name((enum tp_auth_result)i),
				tp_turn_auth_count(d->turn, (enum tp_auth_result)i));
}

static void counter(FILE *f, const char *name, const char *help, uint64_t value)
{
	family(f, name, "counter", help);
	fprintf(f, "turnpike_%s %" PRIu64 "\n", name, value);
}

static void write_turn(FILE *f, const struct tp_daemon *d)
{
	struct tp_turn_counts c;

	tp_turn_count(d->turn, &c);
	gauge(f, "allocations", "Allocations.", c.allocations);
	gauge(f, "permissions", "Permissions in force.", c.permissions);
	gauge(f, "channels", "Channels bound.", c.channels);
	gauge(f, "users", "Users who have allocations.", c.users);
	gauge(f, "relayed_ports", "Relayed ports in use.", c.ports);
	gauge(f, "mobile_allocations", "Allocations that have a mobility ticket.", c.mobile);
	gauge(f, "draining", "1 while no new allocations are made.", d->is_draining);
	counter(f, "redirected_total", "Allocate requests answered 300 (Try Alternate).",
			c.redirected);
	counter(f, "changed_bindings_total",
			"Binding requests answered from another listener (RFC 5780).", c.changed);
	counter(f, "moved_total", "Moves of an allocation to a new client address.", c.moved);
	gauge(f, "flows", "Flows that workers see.",
			d->flows == NULL ? 0 : tp_flow_count(d->flows));
	gauge(f, "uptime_seconds", "Seconds since the start.",
			(tp_clock_now_ns() - d->started_ns) / TP_NS_PER_SEC);
}

static void write_relays(FILE *f, const struct tp_daemon *d)
{
	struct tp_turn_relay_info info;
	char text[TP_ADDR_STRLEN];
	uint32_t i;

	family(f, "relay_address_here", "gauge", "1: the relay address is on this host.");
	for (i = 0; i < d->conf->n_relays; i++) {
		tp_turn_relay_info(d->turn, i, &info);
		fprintf(f, "turnpike_relay_address_here{address=\"%s\"} %d\n",
				tp_addr_format_ip(&info.addr.local, text), info.is_here);
	}
	family(f, "relay_address_ports_used", "gauge",
			"Ports in use, or kept, on a relay address.");
	for (i = 0; i < d->conf->n_relays; i++) {
		tp_turn_relay_info(d->turn, i, &info);
		fprintf(f, "turnpike_relay_address_ports_used{address=\"%s\"} %u\n",
				tp_addr_format_ip(&info.addr.local, text),
				info.n_ports - info.n_free);
	}
}

static void write_reload(FILE *f, const struct tp_reload *r)
{
	counter(f, "reloads_total", "Times the configuration file was read again and applied.",
			r->done);
	counter(f, "reloads_failed_total", "Times it had errors, and nothing was changed.",
			r->failed);
	counter(f, "permissions_forbidden_total",
			"Permissions that ended because a reload denied their peer.",
			r->ended.permissions);
	counter(f, "channels_forbidden_total",
			"Channels that ended because a reload denied their peer.",
			r->ended.channels);
}

static void write_refused(FILE *f, const struct tp_daemon *d)
{
#define X(name, code) (code),
	static const int errors[] = { TP_STUN_ERRORS(X) };
#undef X
	const struct tp_turn_refused *refused = tp_turn_refused(d->turn);

	family(f, "refused_requests_total", "counter",
			"Requests refused for what is there already, by the limit.");
	for (int i = 0; i < TP_TURN_REFUSAL_COUNT; i++)
		fprintf(f, "turnpike_refused_requests_total{limit=\"%s\"} %" PRIu64 "\n",
				tp_turn_refusal_name((enum tp_turn_refusal)i), refused->why[i]);
	family(f, "error_answers_total", "counter", "Requests answered with an error, by code.");
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		fprintf(f, "turnpike_error_answers_total{code=\"%d\"} %" PRIu64 "\n", errors[i],
				refused->code[errors[i] - TP_TURN_ERROR_MIN]);
}

static void write_log(FILE *f)
{
	struct tp_log_writer_stats s;

	tp_log_stats(&s);
	counter(f, "log_lines_total", "Lines logged, written by now or not.", s.lines);
	counter(f, "log_lines_lost_total",
			"Lines lost because stderr was not read in time, or could not be written.",
			s.lost);
	gauge(f, "log_backlog_bytes", "Bytes of lines that wait to be written to stderr.",
			s.backlog_bytes);
}

static char *metrics_text(const struct tp_daemon *d, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (f == NULL)
		return NULL;
	write_turn(f, d);
	write_auth(f, d);
	write_relays(f, d);
	write_refused(f, d);
	write_workers(f, d);
	write_ports(f, d);
	write_devices(f, d);
	write_kernel_path(f, d);
	write_sockets(f, d);
	write_reload(f, &d->reload);
	write_log(f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- HTTP ---- */

static enum MHD_Result respond(struct MHD_Connection *c, unsigned status, const char *type,
		char *text, size_t len, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(len, text, mode);
	enum MHD_Result rc;

	if (r == NULL) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	rc = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return rc;
}

static enum MHD_Result respond_text(struct MHD_Connection *c, unsigned status, const char *text)
{
	return respond(c, status, "text/plain", (char *)(uintptr_t)text, strlen(text),
			MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
		const char *method, const char *version, const char *upload, size_t *upload_len,
		void **req)
{
	struct tp_metrics *m = cls;
	size_t len;
	char *text;

	(void)version;
	(void)upload;
	(void)req;
	if (*upload_len != 0)
		return MHD_NO;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return respond_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
	/* A load balancer shall send new clients elsewhere. */
	if (strcmp(url, "/health") == 0 && m->daemon->is_draining)
		return respond_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, "draining\n");
	if (strcmp(url, "/health") == 0)
		return respond_text(c, MHD_HTTP_OK, "ok\n");
	if (strcmp(url, "/metrics") != 0)
		return respond_text(c, MHD_HTTP_NOT_FOUND, "try /metrics or /health\n");
	text = metrics_text(m->daemon, &len);
	if (text == NULL)
		return MHD_NO;
	return respond(c, MHD_HTTP_OK, "text/plain; version=0.0.4", text, len,
			MHD_RESPMEM_MUST_FREE);
}

static void http_ready(struct tp_source *source, uint32_t events)
{
	struct tp_metrics *m = (struct tp_metrics *)(void *)source;

	(void)events;
	MHD_run(m->http);
}

static int open_socket(const struct tp_addr *addr)
{
	int fd = socket(addr->family == TP_IPV6 ? AF_INET6 : AF_INET,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss;
	socklen_t len = tp_addr_to_sockaddr(addr, &ss);
	const int one = 1;
	int rc = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, CONNECTIONS_MAX) < 0)
		rc = -errno;
	if (rc < 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

static int start_http(struct tp_metrics *m, int fd)
{
	const union MHD_DaemonInfo *info;

	m->http = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, m,
			MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
			(unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
			(unsigned)TIMEOUT_SEC, MHD_OPTION_END);
	if (m->http == NULL) {
		close(fd);
		return -EIO;
	}
	info = MHD_get_daemon_info(m->http, MHD_DAEMON_INFO_EPOLL_FD);
	if (info == NULL)
		return -EIO;
	m->source = (struct tp_source){ info->epoll_fd, http_ready };
	return tp_loop_add(&m->daemon->loop, &m->source, EPOLLIN);
}

int tp_metrics_open(struct tp_daemon *d, const struct tp_addr *addr, struct tp_metrics **out,
		struct tp_why *why)
{
	struct tp_metrics *m = calloc(1, sizeof(*m));
	char text[TP_ADDR_STRLEN];
	int rc;

	if (m == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	m->daemon = d;
	rc = open_socket(addr);
	if (rc >= 0)
		rc = start_http(m, rc);
	if (rc < 0) {
		if (m->http != NULL)
			MHD_stop_daemon(m->http);
		free(m);
		return tp_why_set(why, rc, "metrics listener %s: %s", tp_addr_format(addr, text),
				strerror(-rc));
	}
	*out = m;
	return 0;
}

void tp_metrics_close(struct tp_metrics *m)
{
	if (m == NULL)
		return;
	tp_loop_remove(&m->daemon->loop, &m->source);
	MHD_stop_daemon(m->http);
	free(m);
}
