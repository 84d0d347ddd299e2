/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vlan_shim - preloaded into the relay where the kernel has no VLAN devices: an interface named
 * `parent.id` is told to be the VLAN `id` of `parent`.  vlan.py moves the frames.
 *
 * What it adds to a message about a link is what a kernel with 8021q says of its VLANs: IFLA_LINK,
 * and IFLA_LINKINFO of kind "vlan" with the id and the protocol.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <linux/if_ether.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HIDDEN 0x3f00 /* no attribute of a link */

static struct rtattr *put(char *at, unsigned short type, const void *data, size_t len)
{
	struct rtattr *rta = (struct rtattr *)at;

	rta->rta_type = type;
	rta->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len > 0)
		memcpy(RTA_DATA(rta), data, len);
	return rta;
}

/* Linkinfo and link of VLAN `id` of interface `parent`.  @return bytes written */
static size_t describe(char *out, uint32_t parent, uint16_t id)
{
	const uint16_t protocol = htons(ETH_P_8021Q);
	char data[64], info[128];
	size_t n = 0, m = 0;

	n += RTA_ALIGN(put(data, IFLA_VLAN_ID, &id, sizeof(id))->rta_len);
	n += RTA_ALIGN(put(data + n, IFLA_VLAN_PROTOCOL, &protocol, sizeof(protocol))->rta_len);
	m += RTA_ALIGN(put(info, IFLA_INFO_KIND, "vlan", 5)->rta_len);
	m += RTA_ALIGN(put(info + m, IFLA_INFO_DATA, data, n)->rta_len);
	n = RTA_ALIGN(put(out, IFLA_LINK, &parent, sizeof(parent))->rta_len);
	return n + RTA_ALIGN(put(out + n, IFLA_LINKINFO, info, m)->rta_len);
}

static const char *name_of(struct nlmsghdr *nlh)
{
	struct ifinfomsg *ifi = NLMSG_DATA(nlh);
	struct rtattr *rta = IFLA_RTA(ifi);
	int len = (int)IFLA_PAYLOAD(nlh);

	for (; RTA_OK(rta, len); rta = RTA_NEXT(rta, len))
		if (rta->rta_type == IFLA_IFNAME)
			return RTA_DATA(rta);
	return NULL;
}

static void hide_kind(struct nlmsghdr *nlh)
{
	struct ifinfomsg *ifi = NLMSG_DATA(nlh);
	struct rtattr *rta = IFLA_RTA(ifi);
	int len = (int)IFLA_PAYLOAD(nlh);

	for (; RTA_OK(rta, len); rta = RTA_NEXT(rta, len))
		if (rta->rta_type == IFLA_LINKINFO || rta->rta_type == IFLA_LINK ||
				rta->rta_type == IFLA_LINK_NETNSID)
			rta->rta_type = HIDDEN;
}

/* @return bytes that the message grew by */
static size_t amend(struct nlmsghdr *nlh, size_t rest)
{
	char parent[IF_NAMESIZE] = "", extra[256];
	const char *name;
	unsigned id;
	size_t n;

	if (nlh->nlmsg_type != RTM_NEWLINK && nlh->nlmsg_type != RTM_DELLINK)
		return 0;
	name = name_of(nlh);
	if (name == NULL || sscanf(name, "%15[^.].%u", parent, &id) != 2)
		return 0;
	hide_kind(nlh);
	n = describe(extra, if_nametoindex(parent), (uint16_t)id);
	memmove((char *)nlh + nlh->nlmsg_len + n, (char *)nlh + nlh->nlmsg_len,
			rest - nlh->nlmsg_len);
	memcpy((char *)nlh + nlh->nlmsg_len, extra, n);
	nlh->nlmsg_len += (uint32_t)n;
	return n;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	static ssize_t (*real)(int, struct msghdr *, int);
	struct nlmsghdr *nlh;
	size_t rest, room;
	ssize_t n;

	if (real == NULL)
		real = (ssize_t(*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
	n = real(fd, msg, flags);
	if (n <= 0 || msg->msg_name == NULL ||
			((struct sockaddr *)msg->msg_name)->sa_family != AF_NETLINK)
		return n;
	nlh = msg->msg_iov[0].iov_base;
	room = msg->msg_iov[0].iov_len;
	for (rest = (size_t)n; NLMSG_OK(nlh, rest);) {
		size_t grown = rest + 256 < room ? amend(nlh, rest) : 0;
		size_t step = NLMSG_ALIGN(nlh->nlmsg_len);

		n += (ssize_t)grown;
		rest += grown;
		if (step >= rest)
			break;
		rest -= step;
		nlh = (struct nlmsghdr *)((char *)nlh + step);
	}
	return n;
}
