/* SPDX-License-Identifier: Apache-2.0 */
#include "io/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define BUF_BYTES 32768 /* as iproute2: one link with all its attributes fits */
#define EVENT_BUF_BYTES                                                                           \
	(8 << 20)                  /* about 8,000 events of 1 KiB each in the kernel's accounting \
				    */
#define READ_MAX 1000              /* messages a call: a storm of events must not hold the loop */
#define DRAIN_MAX (64 * 1024)      /* more than EVENT_BUF_BYTES can hold */
#define ANSWER_TIMEOUT_USEC 200000 /* rtnetlink answers inside send(); without memory, never */

#define VLAN_MAX 4094 /* 802.1Q reserves 4095 */

#define NUD_USABLE (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

/* Everything that can change the answer to a route lookup, rules and nexthop objects included. */
static const int event_groups[] = {
	RTNLGRP_LINK,
	RTNLGRP_NEIGH,
	RTNLGRP_IPV4_IFADDR,
	RTNLGRP_IPV4_ROUTE,
	RTNLGRP_IPV4_RULE,
	RTNLGRP_IPV6_IFADDR,
	RTNLGRP_IPV6_ROUTE,
	RTNLGRP_IPV6_RULE,
	RTNLGRP_NEXTHOP,
};

struct tp_nl {
	struct mnl_socket *ask, *follow;
	uint32_t seq;
	alignas(NLMSG_ALIGNTO) uint8_t buf[BUF_BYTES];
};

/* One change, on its way to the caller. */
struct event_sink {
	const struct tp_nl_events *events;
	void *ctx;
};

/* Messages to values.  What the kernel wrote is well formed, but attributes may be missing. */

static const struct nlattr *attr_find_in(const void *start, size_t bytes, uint16_t type)
{
	const struct nlattr *attr = start;
	const char *end = (const char *)start + bytes;

	while (mnl_attr_ok(attr, (int)(end - (const char *)attr))) {
		if (mnl_attr_get_type(attr) == type)
			return attr;
		attr = mnl_attr_next(attr);
	}
	return NULL;
}

static const struct nlattr *attr_find(const struct nlmsghdr *nlh, size_t head_bytes, uint16_t type)
{
	const char *start = mnl_nlmsg_get_payload_offset(nlh, head_bytes);
	const char *end = mnl_nlmsg_get_payload_tail(nlh);

	return attr_find_in(start, (size_t)(end - start), type);
}

static const struct nlattr *attr_find_nested(const struct nlattr *nest, uint16_t type)
{
	return attr_find_in(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), type);
}

static uint32_t attr_u32(const struct nlattr *attr)
{
	return attr != NULL && mnl_attr_get_payload_len(attr) >= 4 ? mnl_attr_get_u32(attr) : 0;
}

static bool ip_read(const void *ip, size_t len, struct tp_addr *out)
{
	if (len == 4)
		*out = tp_addr_v4(ip, 0);
	else if (len == 16)
		*out = tp_addr_v6(ip, 0);
	else
		return false;
	return true;
}

static bool attr_ip(const struct nlattr *attr, struct tp_addr *out)
{
	return attr != NULL &&
			ip_read(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr), out);
}

/* RTA_VIA: a next hop whose family is not the route's. */
static bool attr_via(const struct nlattr *attr, struct tp_addr *out)
{
	const struct rtvia *via;
	size_t len;

	if (attr == NULL || mnl_attr_get_payload_len(attr) < sizeof(*via))
		return false;
	via = mnl_attr_get_payload(attr);
	len = mnl_attr_get_payload_len(attr) - offsetof(struct rtvia, rtvia_addr);
	return ip_read(via->rtvia_addr, len, out);
}

static uint32_t attr_mtu(const struct nlattr *metrics)
{
	if (metrics == NULL)
		return 0;
	return attr_u32(attr_find_nested(metrics, RTAX_MTU));
}

static bool is_vlan_kind(const struct nlattr *kind)
{
	static const char vlan[] = "vlan";

	return kind != NULL && mnl_attr_get_payload_len(kind) >= sizeof(vlan) - 1 &&
			strncmp(mnl_attr_get_payload(kind), vlan, mnl_attr_get_payload_len(kind)) ==
			0;
}

/* 802.1Q only, and only where the parent is of this namespace: else its index means another. */
static void vlan_read(const struct nlmsghdr *nlh, struct tp_nl_link *link)
{
	const size_t head = sizeof(struct ifinfomsg);
	const struct nlattr *info = attr_find(nlh, head, IFLA_LINKINFO), *data, *id, *protocol;

	if (info == NULL || attr_find(nlh, head, IFLA_LINK_NETNSID) != NULL ||
			!is_vlan_kind(attr_find_nested(info, IFLA_INFO_KIND)))
		return;
	data = attr_find_nested(info, IFLA_INFO_DATA);
	if (data == NULL)
		return;
	id = attr_find_nested(data, IFLA_VLAN_ID);
	protocol = attr_find_nested(data, IFLA_VLAN_PROTOCOL);
	if (id == NULL || mnl_attr_get_payload_len(id) < 2 ||
			(protocol != NULL && mnl_attr_get_u16(protocol) != htons(ETH_P_8021Q)))
		return;
	if (mnl_attr_get_u16(id) == 0 || mnl_attr_get_u16(id) > VLAN_MAX)
		return;
	link->vlan = mnl_attr_get_u16(id);
	link->vlan_parent = attr_u32(attr_find(nlh, head, IFLA_LINK));
}

/* False for the partial messages of bridges, wireless drivers and IPv6. */
static bool link_read(const struct nlmsghdr *nlh, struct tp_nl_link *out)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *mtu = attr_find(nlh, sizeof(*ifi), IFLA_MTU);
	const struct nlattr *name = attr_find(nlh, sizeof(*ifi), IFLA_IFNAME);
	const struct nlattr *mac = attr_find(nlh, sizeof(*ifi), IFLA_ADDRESS);
	struct tp_nl_link link = { .ifindex = (unsigned int)ifi->ifi_index };
	const unsigned int up = IFF_UP | IFF_LOWER_UP;

	if (ifi->ifi_family != AF_UNSPEC || mtu == NULL || name == NULL)
		return false;
	strncpy(link.name, mnl_attr_get_str(name), sizeof(link.name) - 1);
	link.mtu = attr_u32(mtu);
	link.is_up = (ifi->ifi_flags & up) == up;
	link.is_ethernet = ifi->ifi_type == ARPHRD_ETHER && mac != NULL &&
			mnl_attr_get_payload_len(mac) == sizeof(link.mac);
	if (link.is_ethernet)
		memcpy(link.mac, mnl_attr_get_payload(mac), sizeof(link.mac));
	vlan_read(nlh, &link);
	*out = link;
	return true;
}

/* False for what is no IP neighbour: the forwarding entries of bridges. */
static bool neigh_read(const struct nlmsghdr *nlh, unsigned int *ifindex, struct tp_addr *ip,
		struct tp_nl_neigh *out)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *mac = attr_find(nlh, sizeof(*ndm), NDA_LLADDR);
	struct tp_nl_neigh neigh = { .is_valid = false };

	if ((ndm->ndm_family != AF_INET && ndm->ndm_family != AF_INET6) ||
			!attr_ip(attr_find(nlh, sizeof(*ndm), NDA_DST), ip))
		return false;
	*ifindex = (unsigned int)ndm->ndm_ifindex;
	if (nlh->nlmsg_type == RTM_NEWNEIGH && (ndm->ndm_state & NUD_USABLE) != 0 && mac != NULL &&
			mnl_attr_get_payload_len(mac) == sizeof(neigh.mac)) {
		neigh.is_valid = true;
		neigh.is_stale = (ndm->ndm_state & NUD_STALE) != 0;
		memcpy(neigh.mac, mnl_attr_get_payload(mac), sizeof(neigh.mac));
	}
	*out = neigh;
	return true;
}

static void route_read(
		const struct nlmsghdr *nlh, const struct tp_addr *dst, struct tp_nl_route *out)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

	*out = (struct tp_nl_route){
		.ifindex = attr_u32(attr_find(nlh, sizeof(*rtm), RTA_OIF)),
		.gateway = tp_addr_ip_only(dst),
		.mtu = attr_mtu(attr_find(nlh, sizeof(*rtm), RTA_METRICS)),
		.is_local = rtm->rtm_type == RTN_LOCAL,
		.is_unicast = rtm->rtm_type == RTN_UNICAST,
	};
	if (!attr_ip(attr_find(nlh, sizeof(*rtm), RTA_GATEWAY), &out->gateway))
		attr_via(attr_find(nlh, sizeof(*rtm), RTA_VIA), &out->gateway);
}

/* Sockets. */

/* NULL: see errno. */
static struct mnl_socket *sock_open(int flags)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);
	int rc;

	if (sock != NULL && mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		rc = errno;
		mnl_socket_close(sock);
		errno = rc;
		return NULL;
	}
	return sock;
}

static int ask_open(struct mnl_socket **out)
{
	const struct timeval timeout = { .tv_usec = ANSWER_TIMEOUT_USEC };
	struct mnl_socket *sock = sock_open(0);
	int one = 1, rc;

	if (sock == NULL)
		return -errno;
	/* A question the kernel does not understand in full is to fail, not to be half answered. */
	if (mnl_socket_setsockopt(sock, NETLINK_GET_STRICT_CHK, &one, sizeof(one)) < 0 ||
			setsockopt(mnl_socket_get_fd(sock), SOL_SOCKET, SO_RCVTIMEO, &timeout,
					sizeof(timeout)) < 0) {
		rc = -errno;
		mnl_socket_close(sock);
		return rc;
	}
	*out = sock;
	return 0;
}

static int groups_join(const struct mnl_socket *sock)
{
	int group;
	size_t i;

	for (i = 0; i < sizeof(event_groups) / sizeof(event_groups[0]); i++) {
		group = event_groups[i];
		if (mnl_socket_setsockopt(sock, NETLINK_ADD_MEMBERSHIP, &group, sizeof(int)) < 0)
			return -errno;
	}
	return 0;
}

static int follow_open(struct mnl_socket **out)
{
	const int bytes = EVENT_BUF_BYTES;
	struct mnl_socket *sock = sock_open(SOCK_NONBLOCK);
	int rc, fd;

	if (sock == NULL)
		return -errno;
	/* Without CAP_NET_ADMIN net.core.rmem_max is the bound: it only overflows sooner. */
	fd = mnl_socket_get_fd(sock);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	rc = groups_join(sock);
	if (rc != 0) {
		mnl_socket_close(sock);
		return rc;
	}
	*out = sock;
	return 0;
}

int tp_nl_open(struct tp_nl **out)
{
	struct tp_nl *nl = calloc(1, sizeof(*nl));
	int rc;

	if (nl == NULL)
		return -ENOMEM;
	rc = ask_open(&nl->ask);
	if (rc != 0)
		goto err_mem;
	rc = follow_open(&nl->follow);
	if (rc != 0)
		goto err_ask;
	*out = nl;
	return 0;

err_ask:
	mnl_socket_close(nl->ask);
err_mem:
	free(nl);
	return rc;
}

void tp_nl_close(struct tp_nl *nl)
{
	if (nl == NULL)
		return;
	mnl_socket_close(nl->follow);
	mnl_socket_close(nl->ask);
	free(nl);
}

/* Questions. */

/*
 * Wait for the message with the sequence number of the question last sent.  Answers to earlier
 * questions, which were given up after the timeout, are thrown away.  NULL: see errno.
 *
 * @param[out] bytes  of the message and those that follow it in the same answer
 */
static const struct nlmsghdr *answer_wait(struct tp_nl *nl, int *bytes)
{
	const void *msg = nl->buf;
	const struct nlmsghdr *nlh = msg;
	ssize_t n;

	for (;;) {
		n = mnl_socket_recvfrom(nl->ask, nl->buf, sizeof(nl->buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			errno = ETIMEDOUT;
		if (n < 0)
			return NULL;
		*bytes = (int)n;
		if (mnl_nlmsg_ok(nlh, *bytes) && nlh->nlmsg_seq == nl->seq)
			return nlh;
	}
}

/*
 * Ask, and wait for the answer: a message of the type wanted, which for an order is NLMSG_ERROR
 * with error 0.  It lies in nl->buf and is good until the next question.  NULL: see errno.
 */
static const struct nlmsghdr *ask(struct tp_nl *nl, struct nlmsghdr *question, uint16_t want)
{
	const struct nlmsghdr *nlh;
	const struct nlmsgerr *err;
	int bytes;

	question->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(nl->ask, question, question->nlmsg_len) < 0)
		return NULL;
	nlh = answer_wait(nl, &bytes);
	if (nlh == NULL)
		return NULL;
	if (nlh->nlmsg_type == NLMSG_ERROR && mnl_nlmsg_get_payload_len(nlh) >= sizeof(*err)) {
		err = mnl_nlmsg_get_payload(nlh);
		if (err->error != 0) {
			errno = -err->error;
			return NULL;
		}
	}
	if (nlh->nlmsg_type != want) {
		errno = EBADMSG;
		return NULL;
	}
	return nlh;
}

/* A question of at most two addresses and an ifindex is under 128 bytes. */
#define QUESTION_BYTES 128

static struct nlmsghdr *question_init(void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	return nlh;
}

static uint8_t family_of(const struct tp_addr *ip)
{
	assert(ip->family == TP_IPV4 || ip->family == TP_IPV6);
	return ip->family == TP_IPV4 ? AF_INET : AF_INET6;
}

static void put_ip(struct nlmsghdr *nlh, uint16_t type, const struct tp_addr *ip)
{
	mnl_attr_put(nlh, type, tp_addr_ip_bytes(ip), ip->ip);
}

int tp_nl_get_link(struct tp_nl *nl, unsigned int ifindex, struct tp_nl_link *out)
{
	alignas(NLMSG_ALIGNTO) uint8_t buf[QUESTION_BYTES];
	struct nlmsghdr *nlh = question_init(buf, RTM_GETLINK, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	const struct nlmsghdr *answer;

	ifi->ifi_index = (int)ifindex;
	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	answer = ask(nl, nlh, RTM_NEWLINK);
	if (answer == NULL)
		return -errno;
	return link_read(answer, out) ? 0 : -EBADMSG;
}

/* One message of a dump's answer.  @return false: it was the last, or an error in *rc */
static bool dump_take(const struct nlmsghdr *nlh, uint16_t want,
		void (*take)(void *ctx, const struct nlmsghdr *nlh), void *ctx, int *rc)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type == NLMSG_ERROR)
		*rc = mnl_nlmsg_get_payload_len(nlh) >= sizeof(*err) && err->error != 0 ? err->error
											: -EBADMSG;
	if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE)
		return false;
	if (nlh->nlmsg_type == want)
		take(ctx, nlh);
	return true;
}

static int dump(struct tp_nl *nl, struct nlmsghdr *question, uint16_t want,
		void (*take)(void *ctx, const struct nlmsghdr *nlh), void *ctx)
{
	const struct nlmsghdr *nlh;
	int n, rc = 0;

	question->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(nl->ask, question, question->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		nlh = answer_wait(nl, &n);
		if (nlh == NULL)
			return -errno;
		for (; mnl_nlmsg_ok(nlh, n); nlh = mnl_nlmsg_next(nlh, &n)) {
			if (!dump_take(nlh, want, take, ctx, &rc))
				return rc;
		}
	}
}

struct link_sink {
	void (*each)(void *ctx, const struct tp_nl_link *link);
	void *ctx;
};

static void link_take(void *ctx, const struct nlmsghdr *nlh)
{
	const struct link_sink *sink = ctx;
	struct tp_nl_link link;

	if (link_read(nlh, &link))
		sink->each(sink->ctx, &link);
}

int tp_nl_get_links(
		struct tp_nl *nl, void (*each)(void *ctx, const struct tp_nl_link *link), void *ctx)
{
	alignas(NLMSG_ALIGNTO) uint8_t buf[QUESTION_BYTES];
	struct nlmsghdr *question = question_init(buf, RTM_GETLINK, NLM_F_DUMP);
	struct link_sink sink = { each, ctx };

	mnl_nlmsg_put_extra_header(question, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(question, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return dump(nl, question, RTM_NEWLINK, link_take, &sink);
}

struct addr_sink {
	void (*each)(void *ctx, const struct tp_addr *ip);
	void *ctx;
};

static void addr_take(void *ctx, const struct nlmsghdr *nlh)
{
	const struct addr_sink *sink = ctx;
	/* On a point-to-point link IFA_ADDRESS is the other end's. */
	const struct nlattr *attr = attr_find(nlh, sizeof(struct ifaddrmsg), IFA_LOCAL);
	struct tp_addr ip;

	if (attr == NULL)
		attr = attr_find(nlh, sizeof(struct ifaddrmsg), IFA_ADDRESS);
	if (attr_ip(attr, &ip))
		sink->each(sink->ctx, &ip);
}

int tp_nl_get_addrs(struct tp_nl *nl, void (*each)(void *ctx, const struct tp_addr *ip), void *ctx)
{
	alignas(NLMSG_ALIGNTO) uint8_t buf[QUESTION_BYTES];
	struct nlmsghdr *question = question_init(buf, RTM_GETADDR, NLM_F_DUMP);
	struct addr_sink sink = { each, ctx };

	mnl_nlmsg_put_extra_header(question, sizeof(struct ifaddrmsg));
	return dump(nl, question, RTM_NEWADDR, addr_take, &sink);
}

/* src may be NULL: as a packet without source address would go. */
static int route_ask(struct tp_nl *nl, const struct tp_addr *src, const struct tp_addr *dst,
		struct tp_nl_route *out)
{
	alignas(NLMSG_ALIGNTO) uint8_t buf[QUESTION_BYTES];
	struct nlmsghdr *nlh = question_init(buf, RTM_GETROUTE, 0);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	const struct nlmsghdr *answer;

	rtm->rtm_family = family_of(dst);
	rtm->rtm_dst_len = 8 * tp_addr_ip_bytes(dst);
	put_ip(nlh, RTA_DST, dst);
	if (src != NULL) {
		assert(src->family == dst->family);
		rtm->rtm_src_len = rtm->rtm_dst_len;
		put_ip(nlh, RTA_SRC, src);
	}
	answer = ask(nl, nlh, RTM_NEWROUTE);
	if (answer == NULL)
		return -errno;
	route_read(answer, dst, out);
	return 0;
}

int tp_nl_get_route(struct tp_nl *nl, const struct tp_addr *src, const struct tp_addr *dst,
		struct tp_nl_route *out)
{
	struct tp_nl_route to_src = { 0 };
	int rc;

	/* IPv4's lookup refuses a source that is not ours, IPv6's does not care. */
	if (src->family == TP_IPV6) {
		rc = route_ask(nl, NULL, src, &to_src);
		if (rc != 0)
			return rc;
		if (!to_src.is_local)
			return -ENETUNREACH;
	}
	return route_ask(nl, src, dst, out);
}

bool tp_nl_is_local(struct tp_nl *nl, const struct tp_addr *ip)
{
	struct tp_nl_route route = { .is_local = false };

	return route_ask(nl, NULL, ip, &route) == 0 && route.is_local;
}

int tp_nl_get_neigh(struct tp_nl *nl, unsigned int ifindex, const struct tp_addr *ip,
		struct tp_nl_neigh *out)
{
	alignas(NLMSG_ALIGNTO) uint8_t buf[QUESTION_BYTES];
	struct nlmsghdr *nlh = question_init(buf, RTM_GETNEIGH, 0);
	struct ndmsg *ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));
	const struct nlmsghdr *answer;
	struct tp_addr got_ip;
	unsigned int got_ifindex;

	ndm->ndm_family = family_of(ip);
	ndm->ndm_ifindex = (int)ifindex;
	put_ip(nlh, NDA_DST, ip);
	answer = ask(nl, nlh, RTM_NEWNEIGH);
	if (answer == NULL)
		return -errno;
	return neigh_read(answer, &got_ifindex, &got_ip, out) ? 0 : -EBADMSG;
}

int tp_nl_use_neigh(struct tp_nl *nl, unsigned int ifindex, const struct tp_addr *ip)
{
	alignas(NLMSG_ALIGNTO) uint8_t buf[QUESTION_BYTES];
	struct nlmsghdr *nlh = question_init(buf, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_ACK);
	struct ndmsg *ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));

	ndm->ndm_family = family_of(ip);
	ndm->ndm_ifindex = (int)ifindex;
	ndm->ndm_state = NUD_NONE;
	ndm->ndm_flags = NTF_USE;
	put_ip(nlh, NDA_DST, ip);
	return ask(nl, nlh, NLMSG_ERROR) != NULL ? 0 : -errno;
}

/* Changes. */

static void neigh_report(const struct event_sink *sink, const struct nlmsghdr *nlh)
{
	struct tp_nl_neigh neigh;
	unsigned int ifindex;
	struct tp_addr ip;

	if (neigh_read(nlh, &ifindex, &ip, &neigh))
		sink->events->on_neigh(sink->ctx, ifindex, &ip, &neigh);
}

static void link_report(const struct event_sink *sink, const struct nlmsghdr *nlh)
{
	struct tp_nl_link link;

	if (link_read(nlh, &link))
		sink->events->on_link(sink->ctx, &link, nlh->nlmsg_type == RTM_DELLINK);
}

static int event_report(const struct nlmsghdr *nlh, void *data)
{
	const struct event_sink *sink = data;

	switch (nlh->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		neigh_report(sink, nlh);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		link_report(sink, nlh);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		sink->events->on_route(sink->ctx);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/*
 * After a loss, what still waits is older than what was lost: were it reported after everything
 * has been asked again, it would put old values in the place of new ones.
 */
static void events_drain(struct tp_nl *nl)
{
	uint32_t i;

	for (i = 0; i < DRAIN_MAX; i++) {
		if (mnl_socket_recvfrom(nl->follow, nl->buf, sizeof(nl->buf)) < 0 &&
				errno == EAGAIN)
			return;
	}
}

int tp_nl_fd(const struct tp_nl *nl)
{
	return mnl_socket_get_fd(nl->follow);
}

void tp_nl_read(struct tp_nl *nl, const struct tp_nl_events *events, void *ctx)
{
	struct event_sink sink = { events, ctx };
	uint32_t i;
	ssize_t n;

	for (i = 0; i < READ_MAX; i++) {
		n = mnl_socket_recvfrom(nl->follow, nl->buf, sizeof(nl->buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		/* ENOBUFS, or ENOSPC for a message cut short: a change was lost either way. */
		if (n < 0 || mnl_cb_run(nl->buf, (size_t)n, 0, 0, event_report, &sink) < 0) {
			events_drain(nl);
			events->on_overflow(ctx);
			return;
		}
	}
}
