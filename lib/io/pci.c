/* SPDX-License-Identifier: Apache-2.0 */
#include "io/pci.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ADDRESS_LEN 12 /* "0000:3b:00.0" */

/* Hand a device over to user space, or (NVIDIA, Microsoft) share it. */
static const char *const fit[] = { "vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_core",
	"mlx4_core", "mana" };

bool tp_pci_is_address(const char *device)
{
	static const char form[] = "xxxx:xx:xx.x";

	for (int i = 0; i < ADDRESS_LEN; i++) {
		bool is_hex = device[i] != '\0' && strchr("0123456789abcdefABCDEF", device[i]);

		if (form[i] == 'x' ? !is_hex : device[i] != form[i])
			return false;
	}
	return device[ADDRESS_LEN] == '\0' || device[ADDRESS_LEN] == ',';
}

int tp_pci_check(const char *sysfs, const char *device, struct tp_why *why)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *driver;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%.*s", sysfs, ADDRESS_LEN, device);
	if (access(path, F_OK) != 0)
		return tp_why_set(why, -ENODEV,
				"there is no PCI device %.*s; see `dpdk-devbind.py --status`",
				ADDRESS_LEN, device);
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%.*s/driver", sysfs, ADDRESS_LEN, device);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	driver = strrchr(target, '/') != NULL ? strrchr(target, '/') + 1 : "";
	for (size_t i = 0; i < sizeof(fit) / sizeof(fit[0]); i++)
		if (strcmp(driver, fit[i]) == 0)
			return 0;
	return tp_why_set(why, -EBUSY,
			"the PCI device %.*s is bound to %s%s, and DPDK needs it bound to vfio-pci: "
			"`modprobe vfio-pci && dpdk-devbind.py -b vfio-pci %.*s`",
			ADDRESS_LEN, device,
			driver[0] != '\0' ? "the kernel's driver " : "no driver", driver,
			ADDRESS_LEN, device);
}
