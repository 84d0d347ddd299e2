/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci - whether DPDK can have a PCI device, said before the EAL says less.
 *
 * Threads: any.
 */
#ifndef TP_IO_PCI_H
#define TP_IO_PCI_H

#include <stdbool.h>

#include "base/why.h"

/** Is a device's name, with or without arguments behind a comma, a PCI address: "0000:3b:00.0"? */
bool tp_pci_is_address(const char *device);

/**
 * Is it there, and is it bound to a driver that DPDK works with?
 *
 * @param sysfs  "/sys"; tests have their own
 * @return 0, -ENODEV (no such device) or -EBUSY (the kernel's own driver has it), with a sentence
 *         that says what to do
 */
int tp_pci_check(const char *sysfs, const char *device, struct tp_why *why);

#endif
