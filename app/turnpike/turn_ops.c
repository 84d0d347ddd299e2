/* SPDX-License-Identifier: Apache-2.0 */
/* What lib/turn asks of the daemon, and tells it. */
#include "daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"

static void on_random(void *ctx, void *out, size_t len)
{
	uint8_t *p = out;

	(void)ctx;
	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			tp_err("no random numbers from the kernel: %s", strerror(errno));
			abort();
		}
		p += n;
		len -= (size_t)n;
	}
}

static int on_send_client(void *ctx, const struct tp_tuple *tuple, const struct tp_bytes part[],
		size_t n, const struct tp_ip_meta *meta)
{
	struct tp_daemon *d = ctx;

	return tp_kernel_path_send_client(d->kernel_path, tuple, part, n, meta);
}

static int on_send_peer(void *ctx, const struct tp_addr *relay_local, const struct tp_addr *peer,
		const struct tp_turn_packet *packet)
{
	struct tp_daemon *d = ctx;

	return tp_kernel_path_send_peer(d->kernel_path, relay_local, peer, packet);
}

static uint16_t path_mtu(void *ctx, const struct tp_addr *src, const struct tp_addr *dst)
{
	struct tp_daemon *d = ctx;

	return tp_path_mtu_find(&d->path_mtu, src, dst, d->now.mono_ns);
}

static void on_port_opened(void *ctx, uint32_t relay, uint16_t port)
{
	struct tp_daemon *d = ctx;

	tp_fast_port_opened(d->fast, relay, port);
}

static void on_port_closed(void *ctx, uint32_t relay, uint16_t port)
{
	struct tp_daemon *d = ctx;

	tp_fast_port_closed(d->fast, relay, port);
}

static void on_channel_set(void *ctx, struct tp_turn_channel *channel)
{
	struct tp_daemon *d = ctx;

	tp_fast_channel_set(d->fast, channel);
}

static void on_channel_cleared(void *ctx, struct tp_turn_channel *channel)
{
	struct tp_daemon *d = ctx;

	tp_fast_channel_cleared(d->fast, channel);
}

static void on_permission_used(void *ctx, struct tp_turn_permission *permission)
{
	struct tp_daemon *d = ctx;

	tp_fast_permission_used(d->fast, permission);
}

static void on_permission_cleared(void *ctx, struct tp_turn_permission *permission)
{
	struct tp_daemon *d = ctx;

	tp_fast_permission_cleared(d->fast, permission);
}

static int on_account_opened(void *ctx, uint32_t *account)
{
	struct tp_daemon *d = ctx;

	return tp_accounting_opened(d->accounting, account);
}

static void on_account_closed(void *ctx, uint32_t account)
{
	struct tp_daemon *d = ctx;

	tp_accounting_closed(d->accounting, account);
}

static bool admits(void *ctx, uint32_t account, bool is_up, size_t data_len,
		enum tp_family peer_family)
{
	struct tp_daemon *d = ctx;

	return tp_accounting_admits(
			d->accounting, account, is_up, data_len, peer_family, d->now.mono_ns);
}

static void on_relayed(void *ctx, uint32_t account, bool is_up, size_t data_len)
{
	struct tp_daemon *d = ctx;

	tp_accounting_relayed(d->accounting, account, is_up, data_len);
}

static void on_peers_past(void *ctx, const struct tp_allocation *alloc,
		const struct tp_addr peers[], uint32_t n)
{
	struct tp_daemon *d = ctx;

	tp_accounting_peers_past(d->accounting, d->turn, alloc, peers, n);
}

/* Where the filter has no place for one, its datagrams come as those of strangers do. */
static bool on_client_came(void *ctx, const struct tp_tuple *tuple)
{
	struct tp_daemon *d = ctx;

	return tp_steer_add_client(d->steer, &tuple->client, &tuple->server) == 0;
}

static void on_client_left(void *ctx, const struct tp_tuple *tuple)
{
	struct tp_daemon *d = ctx;

	tp_steer_del_client(d->steer, &tuple->client, &tuple->server);
}

static void on_allocated(void *ctx, const struct tp_allocation *alloc)
{
	struct tp_daemon *d = ctx;

	tp_accounting_allocated(d->accounting, d->turn, alloc);
}

static void on_moved(void *ctx, const struct tp_allocation *alloc, const struct tp_tuple *from)
{
	struct tp_daemon *d = ctx;

	tp_accounting_moved(d->accounting, d->turn, alloc, from);
}

static void on_ended(void *ctx, const struct tp_allocation *alloc, enum tp_turn_end why)
{
	struct tp_daemon *d = ctx;

	tp_accounting_ended(d->accounting, d->turn, alloc, why, d->now.mono_ns);
}

const struct tp_turn_ops tp_daemon_turn_ops = {
	.random = on_random,
	.send_client = on_send_client,
	.send_peer = on_send_peer,
	.path_mtu = path_mtu,
	.port_opened = on_port_opened,
	.port_closed = on_port_closed,
	.channel_set = on_channel_set,
	.channel_cleared = on_channel_cleared,
	.permission_used = on_permission_used,
	.permission_cleared = on_permission_cleared,
	.account_opened = on_account_opened,
	.account_closed = on_account_closed,
	.admits = admits,
	.relayed = on_relayed,
	.peers_past = on_peers_past,
	.client_came = on_client_came,
	.client_left = on_client_left,
	.allocated = on_allocated,
	.ended = on_ended,
	.moved = on_moved,
};
