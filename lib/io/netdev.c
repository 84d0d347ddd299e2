/* SPDX-License-Identifier: Apache-2.0 */
#include "io/netdev.h"

#include <dirent.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static uint32_t count_sysfs_queues(const char *ifname)
{
	char path[64 + IF_NAMESIZE];
	const struct dirent *entry;
	uint32_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/net/%s/queues", ifname);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL)
		n += strncmp(entry->d_name, "rx-", 3) == 0;
	closedir(dir);
	return n;
}

/* @param[in,out] question  begins with its command */
static bool ethtool_ask(const char *ifname, void *question)
{
	struct ifreq ifr = { .ifr_data = question };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_known;

	if (fd < 0)
		return false;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	is_known = ioctl(fd, SIOCETHTOOL, &ifr) == 0;
	close(fd);
	return is_known;
}

bool tp_if_strips_vlan(const char *ifname)
{
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };

	return ethtool_ask(ifname, &flags) && (flags.data & ETH_FLAG_RXVLAN) != 0;
}

uint32_t tp_if_queues(const char *ifname)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	uint32_t n;

	if (if_nametoindex(ifname) == 0)
		return 0;
	if (!ethtool_ask(ifname, &channels))
		channels.rx_count = channels.combined_count = 0;
	n = channels.rx_count + channels.combined_count;
	if (n == 0)
		n = count_sysfs_queues(ifname);
	return n > 0 ? n : 1; /* a driver that tells nothing has one */
}

char *tp_if_queues_command(const char *ifname, uint32_t n, char *buf, size_t room)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };

	/* Some drivers pair the queues of both directions, others count them apart. */
	if (ethtool_ask(ifname, &channels) && channels.max_combined == 0 && channels.max_rx != 0)
		snprintf(buf, room, "ethtool -L %s rx %u tx %u", ifname, n, n);
	else
		snprintf(buf, room, "ethtool -L %s combined %u", ifname, n);
	return buf;
}
