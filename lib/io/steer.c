/* SPDX-License-Identifier: Apache-2.0 */
#include "io/steer.h"

#include "base/log.h"
#include "bpf/clients.h"
#include "bpf/steer.h"
#include "io/client_filter.h"
#include "io/steer_conf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <relay_lookup.skel.h>
#include <steer.skel.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <unistd.h>

#define KERNEL_ENOTSUPP 524 /* not in <errno.h>, yet BPF calls return it */

_Static_assert(sizeof(struct tp_bpf_accept) == sizeof(uint64_t) * TP_BPF_ACCEPT_WORDS,
		"an array of words");
#define TP_BPF_ADDRS_WORDS (sizeof(((struct tp_bpf_accept *)NULL)->addrs) / sizeof(uint64_t))

_Static_assert(TP_STEER_MAX_ADDRS == TP_BPF_MAX_ADDRS, "one limit, two headers");
_Static_assert(TP_STEER_MAX_LISTENERS == TP_BPF_MAX_LISTENERS, "one limit, two headers");
_Static_assert(TP_STEER_MAX_RELAYS == TP_BPF_MAX_RELAYS, "one limit, two headers");

struct tp_steer_if {
	LIST_ENTRY(tp_steer_if) next;
	struct steer_bpf *skel;       /* NULL: detached */
	struct tp_bpf_accept *accept; /* its map, shared with the kernel */
	int link_fd;                  /* closing it detaches */
	bool is_user;                 /* no program: accept is ours alone */
};

struct tp_steer {
	LIST_HEAD(tp_steer_ifs, tp_steer_if) ifs;
	struct tp_bpf_conf bpf_conf;             /* .rodata of every program */
	struct tp_bpf_ports *ports;              /* the map "ports", shared with the kernel */
	uint64_t addrs_here[TP_BPF_ADDRS_WORDS]; /* bit i: bpf_conf.addr[i] is this host's */
	struct tp_client_filter clients;         /* its map, shared with the kernel */
	uint32_t n_relays;
	struct relay_lookup_bpf *lookup;
	struct bpf_link *lookup_link;
};

/* The first complaint of libbpf in a call, for the sentence: its errno alone seldom tells. */
static char libbpf_said[160];

const char *tp_xdp_mode_name(enum tp_xdp_mode mode)
{
	static const char *const name[] = {
		[TP_XDP_OFF] = "off",
		[TP_XDP_AUTO] = "auto",
		[TP_XDP_ZEROCOPY] = "zerocopy",
		[TP_XDP_COPY] = "copy",
		[TP_XDP_SKB] = "skb",
	};

	assert((size_t)mode < sizeof(name) / sizeof(name[0]));
	return name[mode];
}

__attribute__((format(printf, 2, 0))) static int libbpf_print(
		enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *text, *rest, *line;

	if (level == LIBBPF_DEBUG || vasprintf(&text, fmt, ap) < 0)
		return 0;
	rest = text;
	while ((line = strsep(&rest, "\n")) != NULL) { /* the verifier's log is one message */
		if (line[0] == '\0')
			continue;
		if (libbpf_said[0] == '\0')
			snprintf(libbpf_said, sizeof(libbpf_said), "%s", line);
		tp_debug("%s", line);
	}
	free(text);
	return 0;
}

/* The sentence for a refusal of the kernel or of libbpf; what: "load the XDP program". */
static int refused(struct tp_why *why, int err, const char *what)
{
	switch (err) {
	case -EPERM: /* and not -EACCES, which is the verifier's */
		return tp_why_set(why, err,
				"cannot %s: not permitted; run as root or with the capabilities "
				"CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW",
				what);
	case -ENOSYS:
	case -EINVAL:
	case -EOPNOTSUPP:
	case -KERNEL_ENOTSUPP:
		return tp_why_set(why, err,
				"cannot %s: %s; needs Linux 5.15 or newer with CONFIG_BPF_SYSCALL, "
				"CONFIG_BPF_JIT, CONFIG_INET and CONFIG_XDP_SOCKETS%s%s",
				what, strerror(-err), libbpf_said[0] != '\0' ? ": " : "",
				libbpf_said);
	default:
		return tp_why_set(why, err, "cannot %s: %s%s%s", what, strerror(-err),
				libbpf_said[0] != '\0' ? ": " : "", libbpf_said);
	}
}

static size_t ports_bytes(const struct tp_steer *steer)
{
	return sizeof(struct tp_bpf_ports) * (steer->n_relays > 0 ? steer->n_relays : 1);
}

static size_t clients_bytes(const struct tp_steer *steer)
{
	return sizeof(*steer->clients.buckets) * ((size_t)steer->clients.conf.mask + 1);
}

/* A map's memory, which the program has too.  @return 0 or -E and a sentence */
static int share(const struct bpf_map *map, size_t bytes, void *out, const char *what,
		struct tp_why *why)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (at == MAP_FAILED)
		return refused(why, -errno, what);
	memcpy(out, &at, sizeof(at));
	return 0;
}

static int load_lookup(struct tp_steer *steer, struct tp_why *why)
{
	int err;

	libbpf_said[0] = '\0';
	steer->lookup = relay_lookup_bpf__open();
	if (steer->lookup == NULL)
		return refused(why, -errno, "open the sk_lookup program");
	steer->lookup->rodata->conf = steer->bpf_conf;
	steer->lookup->rodata->clients_conf = steer->clients.conf;
	/* A map without entries is none. */
	err = bpf_map__set_max_entries(
			steer->lookup->maps.ports, steer->n_relays > 0 ? steer->n_relays : 1);
	if (err == 0)
		err = bpf_map__set_max_entries(
				steer->lookup->maps.clients, steer->clients.conf.mask + 1);
	if (err == 0)
		err = relay_lookup_bpf__load(steer->lookup);
	if (err != 0)
		return refused(why, err, "load the sk_lookup program");
	err = share(steer->lookup->maps.ports, ports_bytes(steer), &steer->ports,
			"map the port table", why);
	if (err == 0)
		err = share(steer->lookup->maps.clients, clients_bytes(steer),
				&steer->clients.buckets, "map the filter of clients", why);
	return err;
}

/* The hash is secret: nobody is to choose what it takes for a client. */
static int prepare_clients(struct tp_steer *steer, uint32_t max_clients, struct tp_why *why)
{
	struct tp_bpf_clients *conf = &steer->clients.conf;

	conf->mask = tp_client_filter_buckets(max_clients) - 1;
	if (getrandom(conf->key, sizeof(conf->key), 0) != (ssize_t)sizeof(conf->key))
		return tp_why_set(why, -EIO, "no random numbers from the kernel: %s",
				strerror(errno));
	return 0;
}

static int attach_lookup(struct tp_steer *steer, struct tp_why *why)
{
	int netns_fd;
	int err;

	netns_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns_fd < 0)
		return refused(why, -errno, "open /proc/thread-self/ns/net");
	steer->lookup_link =
			bpf_program__attach_netns(steer->lookup->progs.tp_relay_lookup, netns_fd);
	err = steer->lookup_link == NULL ? -errno : 0;
	close(netns_fd);
	return err == 0 ? 0 : refused(why, err, "attach the sk_lookup program");
}

int tp_steer_new(const struct tp_steer_conf *conf, struct tp_steer **out, struct tp_why *why)
{
	struct tp_steer *steer;
	int err;

	steer = calloc(1, sizeof(*steer));
	if (steer == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	LIST_INIT(&steer->ifs);
	steer->n_relays = conf->n_relays;
	memset(steer->addrs_here, 0xff, sizeof(steer->addrs_here));
	libbpf_set_print(libbpf_print);

	err = tp_steer_conf_make(conf, &steer->bpf_conf, why);
	if (err == 0)
		err = prepare_clients(steer, conf->max_clients, why);
	if (err == 0)
		err = load_lookup(steer, why);
	if (err == 0)
		err = attach_lookup(steer, why);
	if (err != 0) {
		tp_steer_free(steer);
		return err;
	}
	*out = steer;
	return 0;
}

void tp_steer_free(struct tp_steer *steer)
{
	struct tp_steer_if *sif;

	if (steer == NULL)
		return;
	while ((sif = LIST_FIRST(&steer->ifs)) != NULL) {
		LIST_REMOVE(sif, next);
		tp_steer_detach(sif);
		if (sif->is_user)
			free(sif->accept);
		free(sif);
	}
	bpf_link__destroy(steer->lookup_link);
	if (steer->ports != NULL)
		munmap(steer->ports, ports_bytes(steer));
	if (steer->clients.buckets != NULL)
		munmap(steer->clients.buckets, clients_bytes(steer));
	relay_lookup_bpf__destroy(steer->lookup);
	free(steer);
}

static int set_sockets(
		const struct bpf_map *map, int fd4, int fd6, const char *what, struct tp_why *why)
{
	const int fds[] = { fd4, fd6 };
	uint32_t i;

	for (i = 0; i < 2; i++) {
		if (fds[i] < 0)
			continue;
		if (bpf_map_update_elem(bpf_map__fd(map), &i, &fds[i], BPF_ANY) != 0)
			return tp_why_set(why, -errno,
					"cannot give the IPv%c %s socket, which must be bound UDP, to "
					"the sk_lookup program: %s",
					i == 0 ? '4' : '6', what, strerror(errno));
	}
	return 0;
}

int tp_steer_set_relay_sockets(struct tp_steer *steer, int fd4, int fd6, struct tp_why *why)
{
	return set_sockets(steer->lookup->maps.relay_sockets, fd4, fd6, "relay", why);
}

int tp_steer_set_client_sockets(struct tp_steer *steer, int fd4, int fd6, struct tp_why *why)
{
	return set_sockets(steer->lookup->maps.client_sockets, fd4, fd6, "clients'", why);
}

/* @return whether server has an address of ours */
static bool client_key(const struct tp_steer *steer, const struct tp_addr *client,
		const struct tp_addr *server, struct tp_bpf_client *out)
{
	uint32_t ip[4], addr;

	memcpy(ip, server->ip, sizeof(ip));
	addr = tp_bpf_find_addr(&steer->bpf_conf, ip, server->family == TP_IPV6);
	memcpy(out->word, client->ip, sizeof(client->ip));
	out->word[2] = tp_bpf_client_ports(htons(client->port), htons(server->port), addr);
	return addr < TP_BPF_MAX_ADDRS;
}

int tp_steer_add_client(
		struct tp_steer *steer, const struct tp_addr *client, const struct tp_addr *server)
{
	struct tp_bpf_client key;

	if (!client_key(steer, client, server, &key))
		return -ENOENT;
	return tp_client_filter_add(&steer->clients, &key);
}

void tp_steer_del_client(
		struct tp_steer *steer, const struct tp_addr *client, const struct tp_addr *server)
{
	struct tp_bpf_client key;

	if (client_key(steer, client, server, &key))
		tp_client_filter_del(&steer->clients, &key);
}

bool tp_steer_has_client(const struct tp_steer *steer, const struct tp_addr *client,
		const struct tp_addr *server)
{
	struct tp_bpf_client key;

	return client_key(steer, client, server, &key) &&
			tp_client_filter_has(&steer->clients, &key);
}

void tp_steer_clients(const struct tp_steer *steer, struct tp_steer_clients *out)
{
	*out = (struct tp_steer_clients){ steer->clients.n, steer->clients.refused };
}

/* -EBUSY and the sentence, when an XDP program is on the interface; 0: none. */
static int check_foreign(unsigned int ifindex, const char *ifname, struct tp_why *why)
{
	struct bpf_xdp_query_opts query = { .sz = sizeof(query) };
	struct bpf_prog_info info = { 0 };
	__u32 info_bytes = sizeof(info);
	__u32 id;
	int fd;

	if (bpf_xdp_query((int)ifindex, 0, &query) != 0 || query.attach_mode == XDP_ATTACHED_NONE)
		return 0;
	id = query.prog_id;
	if (id == 0) /* several: one in each mode */
		id = query.drv_prog_id != 0              ? query.drv_prog_id
				: query.skb_prog_id != 0 ? query.skb_prog_id
							 : query.hw_prog_id;

	fd = bpf_prog_get_fd_by_id(id);
	if (fd >= 0) {
		bpf_obj_get_info_by_fd(fd, &info, &info_bytes);
		close(fd);
	}
	return tp_why_set(why, -EBUSY,
			"%s already has an XDP program, %s (id %u), and it is not replaced: stop the "
			"program that owns it, or remove it with: ip link set dev %s %s off",
			ifname, info.name[0] != '\0' ? info.name : "unnamed", id, ifname,
			query.attach_mode == XDP_ATTACHED_SKB ? "xdpgeneric" : "xdp");
}

static int map_accept(const struct tp_steer *steer, struct tp_steer_if *sif, struct tp_why *why)
{
	void *map = mmap(NULL, sizeof(*sif->accept), PROT_READ | PROT_WRITE, MAP_SHARED,
			bpf_map__fd(sif->skel->maps.accept), 0);

	if (map == MAP_FAILED)
		return refused(why, -errno, "map the table of addresses and VLANs");
	sif->accept = map;
	memcpy(sif->accept->addrs, steer->addrs_here, sizeof(sif->accept->addrs));
	return 0;
}

static int load_steer(struct tp_steer *steer, struct tp_steer_if *sif, struct tp_why *why)
{
	int err;

	libbpf_said[0] = '\0';
	sif->skel = steer_bpf__open();
	if (sif->skel == NULL)
		return refused(why, -errno, "open the XDP program");
	sif->skel->rodata->conf = steer->bpf_conf;
	err = bpf_map__reuse_fd(sif->skel->maps.ports, bpf_map__fd(steer->lookup->maps.ports));
	if (err == 0)
		err = steer_bpf__load(sif->skel);
	return err == 0 ? map_accept(steer, sif, why) : refused(why, err, "load the XDP program");
}

/* @return the link's descriptor or -errno */
static int link_in_mode(const struct tp_steer_if *sif, unsigned int ifindex, uint32_t xdp_flags)
{
	const struct bpf_link_create_opts opts = { .sz = sizeof(opts), .flags = xdp_flags };
	int fd;

	/* Explicit modes: without one the kernel picks, and does not fall back on an error. */
	fd = bpf_link_create(
			bpf_program__fd(sif->skel->progs.tp_steer), (int)ifindex, BPF_XDP, &opts);
	return fd >= 0 ? fd : -errno;
}

static int attach_steer(struct tp_steer_if *sif, unsigned int ifindex, const char *ifname,
		enum tp_xdp_mode want, bool *is_skb, struct tp_why *why)
{
	int err = -EOPNOTSUPP;

	*is_skb = false;
	if (want != TP_XDP_SKB) {
		err = link_in_mode(sif, ifindex, XDP_FLAGS_DRV_MODE);
		if (err < 0 && want == TP_XDP_AUTO && err != -EBUSY && err != -EPERM)
			tp_info("%s: no XDP in driver mode (%s), trying generic mode", ifname,
					strerror(-err));
	}
	if (want == TP_XDP_SKB ||
			(want == TP_XDP_AUTO && err < 0 && err != -EBUSY && err != -EPERM)) {
		*is_skb = true;
		err = link_in_mode(sif, ifindex, XDP_FLAGS_SKB_MODE);
	}
	if (err >= 0) {
		sif->link_fd = err;
		return 0;
	}

	/* Taken since it was looked at, or taken in the other mode. */
	if ((err == -EBUSY || err == -EEXIST) && check_foreign(ifindex, ifname, why) != 0)
		return -EBUSY;
	if (err == -EPERM)
		return refused(why, err, "attach the XDP program");
	return tp_why_set(why, err, "%s: cannot attach XDP in %s mode: %s%s", ifname,
			*is_skb ? "generic" : "driver", strerror(-err),
			*is_skb ? ""
				: "; the driver or its settings (MTU, queues, LRO) do not allow it: use "
				  "mode auto or skb");
}

int tp_steer_attach(struct tp_steer *steer, unsigned int ifindex, enum tp_xdp_mode want,
		struct tp_steer_if **out, bool *is_skb, struct tp_why *why)
{
	char ifname[IF_NAMESIZE];
	struct tp_steer_if *sif;
	bool is_generic;
	int err;

	if (want == TP_XDP_OFF)
		return tp_why_set(why, -EINVAL, "interface %u: mode off", ifindex);
	if (if_indextoname(ifindex, ifname) == NULL)
		return tp_why_set(why, -ENODEV, "interface %u: %s", ifindex, strerror(ENODEV));
	err = check_foreign(ifindex, ifname, why);
	if (err != 0)
		return err;

	sif = calloc(1, sizeof(*sif));
	if (sif == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	sif->link_fd = -1;
	err = load_steer(steer, sif, why);
	if (err == 0)
		err = attach_steer(sif, ifindex, ifname, want, &is_generic, why);
	if (err != 0) {
		tp_steer_detach(sif);
		free(sif);
		return err;
	}
	LIST_INSERT_HEAD(&steer->ifs, sif, next);
	*is_skb = is_generic;
	*out = sif;
	return 0;
}

int tp_steer_attach_user(
		struct tp_steer *steer, struct tp_steer_if **out, struct tp_steer_rules *rules)
{
	struct tp_steer_if *sif = calloc(1, sizeof(*sif));

	if (sif == NULL)
		return -ENOMEM;
	sif->link_fd = -1;
	sif->is_user = true;
	sif->accept = calloc(1, sizeof(*sif->accept));
	if (sif->accept == NULL) {
		free(sif);
		return -ENOMEM;
	}
	memcpy(sif->accept->addrs, steer->addrs_here, sizeof(sif->accept->addrs));
	LIST_INSERT_HEAD(&steer->ifs, sif, next);
	*rules = (struct tp_steer_rules){ &steer->bpf_conf, steer->ports, sif->accept };
	*out = sif;
	return 0;
}

int tp_steer_set_xsk(struct tp_steer_if *sif, uint32_t queue, int xsk_fd)
{
	if (sif->skel == NULL)
		return -ENOENT;
	return bpf_map_update_elem(bpf_map__fd(sif->skel->maps.xsks), &queue, &xsk_fd, BPF_ANY) == 0
			? 0
			: -errno;
}

int tp_steer_queues_fd(const struct tp_steer_if *sif)
{
	return sif->skel == NULL ? -ENOENT : bpf_map__fd(sif->skel->maps.queues);
}

void tp_steer_detach(struct tp_steer_if *sif)
{
	if (sif->link_fd >= 0)
		close(sif->link_fd);
	sif->link_fd = -1;
	if (sif->is_user) {
		/* Workers may still be reading it. */
		for (uint32_t i = 0; i < TP_BPF_ADDRS_WORDS; i++)
			__atomic_store_n(&sif->accept->addrs[i], 0, __ATOMIC_RELEASE);
		return;
	}
	if (sif->accept != NULL)
		munmap(sif->accept, sizeof(*sif->accept));
	sif->accept = NULL;
	steer_bpf__destroy(sif->skel);
	sif->skel = NULL;
}

static void set_bit(__u64 words[], uint16_t n, bool is_set)
{
	__u64 bit = 1ull << (n & 63);

	if (is_set)
		__atomic_fetch_or(&words[n >> 6], bit, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(&words[n >> 6], ~bit, __ATOMIC_RELEASE);
}

static struct tp_addr addr_of(const struct tp_bpf_addr *b)
{
	const uint8_t *ip = (const uint8_t *)b->ip;

	return b->is_v6 ? tp_addr_v6(ip, 0) : tp_addr_v4(ip, 0);
}

static void log_addr(const struct tp_addr *ip, bool is_relay, bool is_here)
{
	const char *what = is_relay ? "relay" : "listener";
	char text[TP_ADDR_STRLEN];

	if (is_here)
		tp_info("%s address %s is on this host again", what, tp_addr_format_ip(ip, text));
	else
		tp_warn("%s address %s is not on this host: nothing will arrive there", what,
				tp_addr_format_ip(ip, text));
}

static bool is_addr_here(const struct tp_steer *steer, uint32_t i)
{
	return steer->addrs_here[i >> 6] >> (i & 63) & 1;
}

void tp_steer_check_addrs(struct tp_steer *steer,
		bool (*is_local)(void *ctx, const struct tp_addr *ip), void *ctx)
{
	struct tp_steer_if *sif;
	struct tp_addr ip;
	bool is_here;
	uint32_t i;

	for (i = 0; i < steer->bpf_conf.n_addrs; i++) {
		ip = addr_of(&steer->bpf_conf.addr[i]);
		is_here = is_local(ctx, &ip);
		if (is_here == is_addr_here(steer, i))
			continue;
		steer->addrs_here[i >> 6] ^= 1ull << (i & 63);
		log_addr(&ip, steer->bpf_conf.addr[i].relay != TP_BPF_NO_RELAY, is_here);
	}
	LIST_FOREACH (sif, &steer->ifs, next) {
		for (i = 0; sif->accept != NULL && i < TP_BPF_ADDRS_WORDS; i++)
			__atomic_store_n(&sif->accept->addrs[i], steer->addrs_here[i],
					__ATOMIC_RELEASE);
	}
}

bool tp_steer_is_relay_here(const struct tp_steer *steer, uint32_t relay)
{
	for (uint32_t i = 0; i < steer->bpf_conf.n_addrs; i++)
		if (steer->bpf_conf.addr[i].relay == relay)
			return is_addr_here(steer, i);
	return false;
}

void tp_steer_set_vlan(struct tp_steer_if *sif, uint16_t vlan, bool is_ours)
{
	assert(vlan >= 1 && vlan <= 4094);
	if (sif->accept != NULL)
		set_bit(sif->accept->vlans, vlan, is_ours);
}

void tp_steer_set_port(struct tp_steer *steer, uint32_t relay, uint16_t port, bool is_allocated,
		bool is_fast)
{
	assert(relay < steer->n_relays);
	set_bit(steer->ports[relay].allocated, port, is_allocated);
	set_bit(steer->ports[relay].fast, port, is_fast);
}
