/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "caps.h"
#include "ctl.h"
#include "eal.h"
#include "io/pci.h"
#include "metrics.h"

#define TICK_NS TP_NS_PER_SEC
#define RESOLVE_SLICE_NS (10 * TP_NS_PER_MS)
#define PUNTS_PER_ROUND 256

/* One worker's punt ring in the loop. */
struct punt_source {
	struct tp_source source; /* first */
	struct tp_daemon *daemon;
	struct tp_handoff *punt;
};

/* ---- events of the kernel path and of the workers ---- */

static enum tp_slow_verdict from_client(
		void *ctx, const struct tp_tuple *tuple, const struct tp_turn_packet *packet)
{
	struct tp_daemon *d = ctx;

	return tp_turn_from_client(d->turn, &d->now, tuple, packet);
}

static enum tp_slow_verdict from_peer(void *ctx, const struct tp_addr *relay_local,
		const struct tp_addr *peer, const struct tp_turn_packet *packet)
{
	struct tp_daemon *d = ctx;

	return tp_turn_from_peer(d->turn, &d->now, relay_local, peer, packet);
}

static bool has_client(void *ctx, const struct tp_tuple *tuple)
{
	const struct tp_daemon *d = ctx;

	return tp_steer_has_client(d->steer, &tuple->client, &tuple->server);
}

static void resolve_at(struct tp_daemon *d, uint64_t at_ns)
{
	if (at_ns < d->tick_ns)
		d->tick_ns = at_ns;
}

/* Much at once is done in slices, so that the loop goes on. */
static void resolve(struct tp_daemon *d)
{
	if (tp_resolver_tick(d->resolver, d->now.mono_ns))
		resolve_at(d, d->now.mono_ns + RESOLVE_SLICE_NS);
}

static enum tp_slow_verdict from_icmp(void *ctx, const struct tp_icmp_error *error)
{
	struct tp_daemon *d = ctx;

	/* The kernel takes note at the same time, for our own leg and for the client's. */
	if (tp_icmp_is_too_big(error)) {
		tp_path_mtu_doubt(&d->path_mtu, &error->src, &error->dst, d->now.mono_ns);
		if (d->resolver != NULL && tp_resolver_doubt(d->resolver, &error->src, &error->dst))
			resolve_at(d, d->now.mono_ns + RESOLVE_SLICE_NS);
	}
	return tp_turn_from_icmp(d->turn, &d->now, error);
}

static void take_punted(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct tp_daemon *d = ctx;

	tp_kernel_path_punt(d->kernel_path, frame, len);
}

static void punt_ready(struct tp_source *source, uint32_t events)
{
	struct punt_source *ps = (struct punt_source *)(void *)source;
	const uint64_t one = 1;

	(void)events;
	/* More may wait: stay readable, and let the other sources have their turn. */
	if (tp_handoff_drain(ps->punt, PUNTS_PER_ROUND, take_punted, ps->daemon) &&
			write(source->fd, &one, sizeof(one)) < 0)
		tp_debug("punt wake-up: %s", strerror(errno));
}

/* XDP must not take what the kernel would not. */
static void on_vlan(void *ctx, uint16_t port, uint16_t vlan, bool is_up)
{
	struct tp_daemon *d = ctx;

	tp_layout_set_vlan(&d->layout, port, vlan, is_up);
}

static void netlink_ready(struct tp_source *source, uint32_t events)
{
	struct tp_daemon *d = (struct tp_daemon *)(void *)((char *)source -
			offsetof(struct tp_daemon, netlink));

	(void)events;
	tp_nl_read(d->nl, &tp_resolver_events, d->resolver);
	tp_path_mtu_forget(&d->path_mtu);
	tp_host_check(d);
	resolve(d);
}

static void signal_ready(struct tp_source *source, uint32_t events)
{
	struct tp_daemon *d = (struct tp_daemon *)(void *)((char *)source -
			offsetof(struct tp_daemon, signals));
	struct signalfd_siginfo si;

	(void)events;
	if (read(source->fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo == SIGHUP) {
		json_decref(tp_reload(d));
	} else {
		tp_info("stopping: %s", strsignal((int)si.ssi_signo));
		d->is_stopping = true;
	}
}

/* ---- start, in the order of need: what wants privileges first ---- */

static int open_loop(struct tp_daemon *d, struct tp_why *why)
{
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	d->signals = (struct tp_source){ signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
		signal_ready };
	rc = d->signals.fd < 0 ? -errno : tp_loop_add(&d->loop, &d->signals, EPOLLIN);
	return rc < 0 ? tp_why_set(why, rc, "can not wait for signals: %s", strerror(-rc)) : 0;
}

static int open_netlink(struct tp_daemon *d, struct tp_why *why)
{
	int rc = tp_nl_open(&d->nl);

	if (rc < 0)
		return tp_why_set(why, rc, "can not open netlink: %s", strerror(-rc));
	d->netlink = (struct tp_source){ tp_nl_fd(d->nl), netlink_ready };
	d->path_mtu.nl = d->nl;
	return 0;
}

static int open_steer(struct tp_daemon *d, struct tp_why *why)
{
	const struct tp_conf *conf = d->conf;
	struct tp_addr relays[TP_STEER_MAX_RELAYS];
	struct tp_steer_conf sc = {
		.listeners = conf->listeners,
		.n_listeners = conf->n_listeners,
		.relays = relays,
		.n_relays = conf->n_relays,
		.max_clients = conf->max_allocations,
		.legacy_channels = conf->legacy_channels,
	};

	for (uint32_t i = 0; i < conf->n_relays; i++)
		relays[i] = conf->relays[i].local;
	return tp_steer_new(&sc, &d->steer, why);
}

static int open_kernel_path(struct tp_daemon *d, struct tp_why *why)
{
	const struct tp_kernel_path_conf kc = {
		.loop = &d->loop,
		.listeners = d->conf->listeners,
		.n_listeners = d->conf->n_listeners,
		.relays = d->conf->relays,
		.n_relays = d->conf->n_relays,
		.relay_port_min = d->conf->relay_port_min,
		.relay_port_max = d->conf->relay_port_max,
		.clears_dscp = d->conf->dscp == TP_DSCP_CLEAR,
		.lowest_ipv6_mtu = d->conf->lowest_ipv6_mtu,
		.from_client = from_client,
		.from_peer = from_peer,
		.from_icmp = from_icmp,
		.mtu = tp_daemon_turn_ops.path_mtu,
		.has_client = has_client,
		.ctx = d,
	};
	struct tp_why refused;
	int rc = tp_kernel_path_new(&kc, &d->kernel_path, why);

	if (rc < 0)
		return rc;
	/* Without them clients are served as strangers are. */
	if (tp_steer_set_client_sockets(d->steer,
			    tp_kernel_path_fd(d->kernel_path, TP_KERNEL_CLIENTS, TP_IPV4),
			    tp_kernel_path_fd(d->kernel_path, TP_KERNEL_CLIENTS, TP_IPV6),
			    &refused) < 0)
		tp_warn("%s; a flood of strangers may hold up clients", refused.text);
	return tp_steer_set_relay_sockets(d->steer,
			tp_kernel_path_fd(d->kernel_path, TP_KERNEL_RELAY, TP_IPV4),
			tp_kernel_path_fd(d->kernel_path, TP_KERNEL_RELAY, TP_IPV6), why);
}

static int open_flows(struct tp_daemon *d, struct tp_why *why)
{
	const struct tp_flow_table_conf fc = {
		.max_channel_flows = 2 * d->conf->max_channels,
		.max_permission_flows = 2 * d->conf->max_channels, /* as many permissions */
		.grace = d->grace,
		.clears_dscp = d->conf->dscp == TP_DSCP_CLEAR,
		.lowest_ipv6_mtu = d->conf->lowest_ipv6_mtu,
	};
	int rc = tp_flow_table_new(&fc, &d->flows);

	if (rc < 0)
		return tp_why_set(why, rc,
				"no memory for a flow table of %u channels: lower limits.channels",
				d->conf->max_channels);
	return 0;
}

static int open_resolver(struct tp_daemon *d, struct tp_why *why)
{
	unsigned int *ifindexes = calloc(d->layout.n_interfaces + 1, sizeof(*ifindexes));
	struct tp_resolver_conf rc = {
		.ops = &tp_resolver_netlink,
		.ctx = d->nl,
		.grace = d->grace,
		.ifindexes = ifindexes,
		.n_ifindexes = d->layout.n_interfaces,
		.on_vlan = on_vlan,
		.on_vlan_ctx = d,
	};
	int err = -ENOMEM;

	/* An interface without workers is no way out for a worker: 0 is no interface's index. */
	for (uint32_t i = 0; ifindexes != NULL && i < d->layout.n_interfaces; i++)
		if (tp_layout_is_fast(&d->layout.interfaces[i]))
			ifindexes[i] = d->layout.interfaces[i].link.ifindex;
	if (ifindexes != NULL)
		err = tp_resolver_new(&rc, &d->resolver);
	free(ifindexes);
	if (err == 0)
		err = tp_loop_add(&d->loop, &d->netlink, EPOLLIN);
	return err < 0 ? tp_why_set(why, err, "can not follow routes: %s", strerror(-err)) : 0;
}

static int start_eal(struct tp_daemon *d, struct tp_why *why)
{
	const struct tp_conf *conf = d->conf;
	const char *pci[TP_WORKER_MAX_PORTS];
	uint32_t cpus[256];
	struct tp_eal_conf ec = {
		.control_cpu = conf->control_cpu,
		.cpus = cpus,
		.n_cpus = conf->n_cores,
		.pci = pci,
		.frame_bytes = tp_layout_dpdk_bytes(&d->layout),
		.args = (const char *const *)conf->eal,
		.n_args = conf->n_eal,
	};

	if (conf->n_cores > sizeof(cpus) / sizeof(cpus[0]))
		return tp_why_set(why, -E2BIG, "cores: at most 256");
	for (uint32_t i = 0; i < conf->n_cores; i++)
		cpus[i] = conf->cores[i].cpu;
	for (uint32_t i = 0; i < conf->n_interfaces; i++)
		if (conf->interfaces[i].driver == TP_DRIVER_DPDK &&
				tp_pci_is_address(conf->interfaces[i].device))
			pci[ec.n_pci++] = conf->interfaces[i].device;
	return tp_eal_start(&ec, why);
}

/* Opening DPDK devices takes privileges, and the EAL; without them it starts when these are gone.
 */
static int open_layout(struct tp_daemon *d, struct tp_why *why)
{
	int rc = tp_layout_has_dpdk(d->conf) ? start_eal(d, why) : 0;

	return rc < 0 ? rc : tp_layout_open(&d->layout, d->steer, why);
}

static int drop_privileges(struct tp_daemon *d, struct tp_why *why)
{
	int rc = tp_caps_drop(why);

	/* Threads have their own: those of the workers exist already. */
	if (rc == 0 && tp_layout_has_dpdk(d->conf))
		rc = tp_eal_drop_privileges(tp_caps_drop, why);
	return rc;
}

static int open_accounting(struct tp_daemon *d, struct tp_why *why)
{
	const struct tp_accounting_conf ac = {
		.max_allocations = d->conf->max_allocations,
		.n_workers = d->conf->n_cores,
		.grace = d->grace,
		.limits = { .bps = d->conf->allocation_bps, .pps = d->conf->allocation_pps },
		.has_records = d->conf->logs_allocations,
	};
	int rc = tp_accounting_new(&ac, &d->accounting);

	if (rc < 0)
		return tp_why_set(why, rc,
				"no memory for accounts of %u allocations: lower limits.allocations",
				d->conf->max_allocations);
	return 0;
}

/* EAL, flow table and workers: only where there are cores for them. */
static int open_workers(struct tp_daemon *d, struct tp_why *why)
{
	uint32_t n = d->conf->n_cores;
	int rc = tp_layout_has_dpdk(d->conf) ? 0 : start_eal(d, why);

	if (rc < 0)
		return rc;
	rc = tp_grace_new(n, &d->grace);
	if (rc < 0)
		return tp_why_set(why, rc, "out of memory");
	rc = open_flows(d, why);
	if (rc == 0)
		rc = open_resolver(d, why);
	if (rc == 0)
		rc = open_accounting(d, why);
	if (rc == 0)
		rc = tp_layout_make_workers(&d->layout, d->grace, d->flows,
				tp_accounting_accounts(d->accounting), why);
	return rc;
}

/* All but the addresses of this host and the key of nonces. */
static struct tp_turn_conf turn_conf(const struct tp_conf *conf)
{
	struct tp_turn_conf tc = {
		.realm = conf->realm,
		.relays = conf->relays,
		.n_relays = conf->n_relays,
		.port_min = conf->relay_port_min,
		.port_max = conf->relay_port_max,
		.users = conf->users,
		.n_users = conf->n_users,
		.secrets = conf->secrets,
		.n_secrets = conf->n_secrets,
		.secret_hmac = conf->secret_hmac,
		.is_expiry_strict = conf->is_expiry_strict,
		.n_algorithms = conf->n_algorithms,
		.deny = conf->deny,
		.n_deny = conf->n_deny,
		.allow = conf->allow,
		.n_allow = conf->n_allow,
		.max_allocations = conf->max_allocations,
		.max_channels = conf->max_channels,
		.limits = conf->limits,
		.legacy_channels = conf->legacy_channels,
		.legacy_attributes = conf->legacy_attributes,
		.mobility = conf->mobility,
		.default_is_listener = conf->default_family == TP_CONF_FAMILY_LISTENER,
		.listeners = conf->listener_info,
		.n_listeners = conf->n_listeners,
		.discovery = conf->discovery,
		.n_discovery = conf->n_discovery,
		.alternates = conf->alternates,
		.n_alternates = conf->n_alternates,
		.redirect = conf->redirect,
	};

	memcpy(tc.algorithms, conf->algorithms, sizeof(tc.algorithms));
	return tc;
}

int tp_daemon_reload_turn(struct tp_daemon *d)
{
	const struct tp_turn_conf tc = turn_conf(d->conf);

	return tp_turn_reload(d->turn, &tc);
}

static int open_turn(struct tp_daemon *d, struct tp_why *why)
{
	struct tp_turn_conf tc = turn_conf(d->conf);
	int rc;

	tp_daemon_turn_ops.random(NULL, tc.nonce_key, sizeof(tc.nonce_key));
	rc = tp_turn_new(&tc, &tp_daemon_turn_ops, d, &d->turn);
	tp_secret_wipe(tc.nonce_key, sizeof(tc.nonce_key));
	if (rc == 0)
		tp_host_check(d);
	return rc < 0 ? tp_why_set(why, rc, "can not start the TURN server: %s", strerror(-rc)) : 0;
}

static int open_fast(struct tp_daemon *d, struct tp_why *why)
{
	const struct tp_fast_conf fc = {
		.steer = d->steer,
		.flows = d->flows,
		.resolver = d->resolver,
		.n_relays = d->conf->n_relays,
	};
	int rc = tp_fast_new(&fc, &d->fast);

	return rc < 0 ? tp_why_set(why, rc, "out of memory") : 0;
}

static int start_workers(struct tp_daemon *d, struct tp_why *why)
{
	struct punt_source *sources = calloc(d->layout.n_workers + 1, sizeof(*sources));
	int rc = 0;

	if (sources == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	d->punts = &sources->source;
	for (uint32_t i = 0; i < d->layout.n_workers && rc == 0; i++) {
		struct tp_handoff *punt = tp_worker_punt(d->layout.workers[i]);

		sources[i] = (struct punt_source){ { tp_handoff_fd(punt), punt_ready }, d, punt };
		rc = tp_loop_add(&d->loop, &sources[i].source, EPOLLIN);
	}
	if (rc == 0)
		rc = tp_layout_start(&d->layout);
	return rc < 0 ? tp_why_set(why, rc, "can not start the workers: %s", strerror(-rc)) : 0;
}

static int start(struct tp_daemon *d, struct tp_why *why)
{
	int rc = tp_caps_check(why);

	if (rc == 0)
		rc = open_loop(d, why);
	if (rc == 0)
		rc = open_netlink(d, why);
	if (rc == 0)
		rc = tp_layout_check(d->conf, d->nl, &d->layout, why);
	if (rc == 0)
		rc = open_steer(d, why);
	if (rc == 0)
		rc = open_kernel_path(d, why);
	if (rc == 0)
		rc = open_layout(d, why);
	if (rc == 0)
		rc = tp_ctl_open(d, d->conf->control_socket, &d->ctl, why);
	if (rc == 0 && d->conf->has_metrics)
		rc = tp_metrics_open(d, &d->conf->metrics, &d->metrics, why);
	if (rc == 0)
		rc = drop_privileges(d, why);
	if (rc == 0)
		rc = d->conf->n_cores > 0 ? open_workers(d, why) : open_accounting(d, why);
	if (rc == 0)
		rc = open_fast(d, why);
	if (rc == 0)
		rc = open_turn(d, why);
	if (rc == 0)
		rc = start_workers(d, why);
	return rc;
}

void tp_daemon_drain(struct tp_daemon *d, bool is_draining)
{
	struct tp_turn_counts counts;

	tp_turn_drain(d->turn, is_draining);
	if (d->is_draining == is_draining)
		return;
	d->is_draining = is_draining;
	tp_turn_count(d->turn, &counts);
	if (!is_draining)
		tp_info("draining ended: new allocations are made again");
	else
		tp_info("draining: %u allocations live on, new ones are %s", counts.allocations,
				d->conf->has_redirect ? "redirected" : "refused (508)");
}

/* ---- the loop ---- */

static void woke(void *ctx)
{
	struct tp_daemon *d = ctx;

	d->now.mono_ns = tp_clock_now_ns();
	d->now.wall_sec = (uint64_t)time(NULL);
}

static void tick(struct tp_daemon *d)
{
	if (d->now.mono_ns < d->tick_ns)
		return;
	d->tick_ns = d->now.mono_ns + TICK_NS;
	tp_host_check(d);
	tp_layout_tick(&d->layout);
	tp_kernel_path_tick(d->kernel_path);
	if (d->resolver != NULL)
		resolve(d);
}

/* Rounded up, so that a deadline has passed when we wake for it. */
static int timeout_ms(const struct tp_daemon *d)
{
	uint64_t next = tp_turn_next_ns(d->turn);

	if (next > d->tick_ns)
		next = d->tick_ns;
	if (next <= d->now.mono_ns || d->reload.is_rechecking)
		return 0;
	return (int)((next - d->now.mono_ns + TP_NS_PER_MS - 1) / TP_NS_PER_MS);
}

static void say_ready(const struct tp_daemon *d)
{
	tp_info("ready: %u listeners, %u relay addresses, ports %u-%u, %u workers",
			d->conf->n_listeners, d->conf->n_relays, d->conf->relay_port_min,
			d->conf->relay_port_max, d->layout.n_workers);
	sd_notify(0, "READY=1");
}

/* Now that this thread is where it stays and has the privileges that it keeps. */
static void start_log(void)
{
	int rc = tp_log_start();

	if (rc < 0)
		tp_warn("no thread for the log (%s): whoever reads it must not stop",
				strerror(-rc));
}

static void run(struct tp_daemon *d)
{
	start_log();
	woke(d);
	tp_host_check_ephemeral(d);
	say_ready(d);
	while (!d->is_stopping) {
		tp_loop_run(&d->loop, timeout_ms(d));
		tp_turn_expire(d->turn, d->now.mono_ns);
		if (d->reload.is_rechecking)
			tp_reload_step(d);
		tp_kernel_path_flush(d->kernel_path);
		tick(d);
		/* Records of ended allocations wait for workers: not for long. */
		if (d->grace != NULL && tp_grace_reclaim(d->grace) > 0)
			resolve_at(d, d->now.mono_ns + RESOLVE_SLICE_NS);
	}
	/* The records of all that end now are many. */
	tp_log_wait();
	sd_notify(0, "STOPPING=1");
}

/* The reverse of start(); each step is harmless when its object was never made. */
static void stop(struct tp_daemon *d)
{
	tp_metrics_close(d->metrics);
	tp_ctl_close(d->ctl);
	/* Ends the allocations, which takes their flows and ports away. */
	tp_turn_free(d->turn);
	tp_layout_close(&d->layout);
	/* The workers are gone: what they counted is final, and the last records are written. */
	if (d->grace != NULL)
		tp_grace_reclaim(d->grace);
	tp_accounting_free(d->accounting);
	tp_resolver_free(d->resolver);
	tp_flow_table_free(d->flows);
	tp_grace_free(d->grace);
	tp_fast_free(d->fast);
	tp_kernel_path_free(d->kernel_path);
	tp_steer_free(d->steer);
	tp_nl_close(d->nl);
	tp_host_fini(&d->host);
	free(d->punts);
	if (d->signals.fd >= 0)
		close(d->signals.fd);
	tp_loop_fini(&d->loop);
}

int tp_daemon_run(struct tp_conf *conf, const char *path, struct tp_why *why)
{
	struct tp_daemon *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	d->conf = conf;
	d->conf_path = path;
	d->reload.room = conf->max_allocations;
	d->signals.fd = -1;
	d->started_ns = tp_clock_now_ns();
	rc = tp_loop_init(&d->loop, woke, d);
	if (rc < 0)
		tp_why_set(why, rc, "can not make an event loop: %s", strerror(-rc));
	if (rc == 0)
		rc = start(d, why);
	if (rc == 0)
		run(d);
	stop(d);
	free(d);
	return rc;
}
