/* SPDX-License-Identifier: Apache-2.0 */
#include "caps.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>

static const struct {
	unsigned capability;
	const char *name;
} needed[] = {
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN" },
	{ CAP_NET_RAW, "CAP_NET_RAW" },
	{ CAP_BPF, "CAP_BPF" },
};

int tp_caps_check(struct tp_why *why)
{
	char missing[128] = "";
	size_t at = 0;

	capng_get_caps_process();
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!capng_have_capability(CAPNG_EFFECTIVE, needed[i].capability))
			at += (size_t)snprintf(missing + at, sizeof(missing) - at, "%s%s",
					at > 0 ? ", " : "", needed[i].name);
	if (at == 0)
		return 0;
	return tp_why_set(why, -EPERM,
			"missing %s: run as root, or give the service "
			"AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW CAP_BPF",
			missing);
}

int tp_caps_drop(struct tp_why *why)
{
	int rc;

	capng_clear(CAPNG_SELECT_BOTH);
	rc = capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
	/* The bounding set can only be lowered with CAP_SETPCAP; without it there is nothing to
	 * lower. */
	if (rc == 0)
		rc = capng_apply(CAPNG_SELECT_CAPS);
	if (rc == 0)
		rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return rc == 0 ? 0 : tp_why_set(why, -EPERM, "can not drop privileges");
}
