/* SPDX-License-Identifier: Apache-2.0 */
#include "io/pci.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void addresses_are_told_from_names(void **state)
{
	static const struct {
		const char *device;
		bool want;
	} cases[] = {
		{ "0000:3b:00.0", true },
		{ "0000:3B:1f.7,rx_vec=0", true },
		{ "3b:00.0", false },
		{ "0000:3b:00.0x", false },
		{ "0000:3b:00", false },
		{ "0000:3g:00.0", false },
		{ "net_tap0,iface=x", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tp_pci_is_address(cases[i].device) != cases[i].want)
			fail_msg("%s", cases[i].device);
}

static void shell(const char *command, const char *root)
{
	char text[400];

	snprintf(text, sizeof(text), "cd %s && %s", root, command);
	assert_int_equal(system(text), 0); /* NOLINT: the commands are the test's own */
}

/* A sysfs with a device for each case. */
static void what_has_the_device_decides(void **state)
{
	static const struct {
		const char *device;
		int want;
		const char *says;
	} cases[] = {
		{ "0000:3b:00.0", 0, "" },
		{ "0000:3b:00.0,arg=1", 0, "" },
		{ "0000:3b:00.1", 0, "" },
		{ "0000:3b:00.2", -EBUSY, "the kernel's driver ice" },
		{ "0000:3b:00.2", -EBUSY, "dpdk-devbind.py -b vfio-pci 0000:3b:00.2" },
		{ "0000:3b:00.3", -EBUSY, "no driver" },
		{ "0000:3b:00.4", -ENODEV, "no PCI device 0000:3b:00.4" },
	};
	char root[] = "/tmp/test_pciXXXXXX";

	(void)state;
	assert_non_null(mkdtemp(root));
	shell("mkdir -p bus/pci/devices/0000:3b:00.0 bus/pci/devices/0000:3b:00.1 "
	      "bus/pci/devices/0000:3b:00.2 bus/pci/devices/0000:3b:00.3",
			root);
	shell("ln -s ../../../bus/pci/drivers/vfio-pci bus/pci/devices/0000:3b:00.0/driver", root);
	shell("ln -s ../../../bus/pci/drivers/mlx5_core bus/pci/devices/0000:3b:00.1/driver", root);
	shell("ln -s ../../../bus/pci/drivers/ice bus/pci/devices/0000:3b:00.2/driver", root);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tp_why why = { "" };

		assert_int_equal(tp_pci_check(root, cases[i].device, &why), cases[i].want);
		if (strstr(why.text, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].device, why.text);
	}
	shell("rm -r bus && rmdir $PWD", root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_told_from_names),
		cmocka_unit_test(what_has_the_device_decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
