/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef TUNSETCARRIER
#define TUNSETCARRIER _IOW('T', 226, int) /* Linux 5.0 */
#endif

static int attach(int fd, const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* Made with `multi_queue` it wants to hear that, even of one. */
	ifr.ifr_flags |= IFF_MULTI_QUEUE;
	return ioctl(fd, TUNSETIFF, &ifr) == 0 ? 0 : -errno;
}

int tp_tap_open(const char *name, struct tp_why *why)
{
	const unsigned int no_offloads = 0;
	int fd, rc;

	/* Else TUNSETIFF would make one. */
	if (if_nametoindex(name) == 0)
		return tp_why_set(why, -ENODEV,
				"there is no kernel interface %s: make it with `ip tuntap add dev %s mode "
				"tap && ip link set %s up`, and give it the addresses of this port",
				name, name, name);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return tp_why_set(why, -errno, "can not open /dev/net/tun: %s; `modprobe tun`",
				strerror(errno));
	rc = attach(fd, name);
	if (rc == 0)
		ioctl(fd, TUNSETOFFLOAD, no_offloads);
	if (rc == 0)
		return fd;
	close(fd);
	if (rc == -EBUSY)
		return tp_why_set(why, rc, "%s is in use by another process", name);
	if (rc == -EINVAL)
		return tp_why_set(why, rc,
				"%s is not a TAP interface: `kernel` names one made with `ip tuntap add "
				"dev NAME mode tap`",
				name);
	return tp_why_set(why, rc, "can not attach to %s: %s", name, strerror(-rc));
}

int tp_tap_set_mac(int fd, const char *name, const uint8_t mac[6])
{
	struct ifreq ifr = { .ifr_hwaddr = { .sa_family = ARPHRD_ETHER } };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	memcpy(ifr.ifr_hwaddr.sa_data, mac, 6);
	return ioctl(fd, SIOCSIFHWADDR, &ifr) == 0 ? 0 : -errno;
}

int tp_tap_set_carrier(int fd, bool is_up)
{
	const int carrier = is_up;

	return ioctl(fd, TUNSETCARRIER, &carrier) == 0 ? 0 : -errno;
}
