/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netlink_rig - the real kernel, in two network namespaces that vanish with the processes in them:
 * ours with `near`, and a child's with the other end, `far`.  Needs CAP_SYS_ADMIN and
 * CAP_NET_ADMIN.
 */
#ifndef TP_TESTS_NETLINK_RIG_H
#define TP_TESTS_NETLINK_RIG_H

#include "io/netlink.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NEAR_MAC "02:00:00:00:00:01"
#define FAR_MAC "02:00:00:00:00:02"

static const uint8_t near_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t far_mac[6] = { 2, 0, 0, 0, 0, 2 };

static pid_t far_pid;
static int to_far = -1, from_far = -1;
static unsigned int near_ifindex;
static struct tp_nl *nl;

static inline int rig_run(const char *cmd)
{
	int status = system(cmd);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void do_near(const char *cmd)
{
	if (rig_run(cmd) != 0)
		fail_msg("%s: failed", cmd);
}

/* The child: a namespace, and a shell in it for one line after the other. */
static inline int far_main(int in, int out)
{
	FILE *cmds = fdopen(in, "r");
	char line[256];
	char rc;

	if (cmds == NULL || unshare(CLONE_NEWNET) != 0 || write(out, "r", 1) != 1)
		return 1;
	while (fgets(line, sizeof(line), cmds) != NULL) {
		rc = rig_run(line) == 0 ? '0' : '1';
		if (write(out, &rc, 1) != 1)
			return 1;
	}
	return 0;
}

static inline bool far_is_done(char want)
{
	char got;

	return read(from_far, &got, 1) == 1 && got == want;
}

static inline void do_far(const char *cmd)
{
	if (dprintf(to_far, "%s\n", cmd) < 0 || !far_is_done('0'))
		fail_msg("%s: failed in the other namespace", cmd);
}

static inline int far_start(void)
{
	int down[2], up[2];

	if (pipe(down) != 0 || pipe(up) != 0)
		return -errno;
	far_pid = fork();
	if (far_pid < 0)
		return -errno;
	if (far_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(down[1]);
		close(up[0]);
		_exit(far_main(down[0], up[1]));
	}
	close(down[0]);
	close(up[1]);
	to_far = down[1];
	from_far = up[0];
	return far_is_done('r') ? 0 : -ECHILD;
}

/* Enter a network namespace of our own.  @return false: not permitted, and the tests are skipped */
static inline bool rig_enter(void)
{
	if (unshare(CLONE_NEWNET) == 0)
		return true;
	/* In TAP that is how to skip: Meson takes exit status 77 for an error. */
	printf("1..0 # SKIP a network namespace needs CAP_SYS_ADMIN\n");
	return false;
}

/* Sooner, if we may: nobody else has our addresses. */
#define NO_DAD "echo 0 2>/dev/null >/proc/sys/net/ipv6/conf/default/accept_dad || true"

/*
 * Neighbours in IPv6 are asked from the link-local address, which is tentative for a second or two
 * after the link came up; who asks sooner is not heard, and gives up after three.
 */
#define WAIT_FOR_LINK(name)                                                     \
	"for i in $(seq 300); do ip -6 -o addr show dev " name " scope link | " \
	"grep -v tentative | grep -q fe80 && exit 0; sleep 0.1; done; exit 1"

static inline int rig_setup(void **state)
{
	char cmd[128];

	(void)state;
	if (far_start() != 0)
		return -1;
	do_near(NO_DAD);
	do_far(NO_DAD);
	do_near("ip link set lo up");
	do_near("ip link add near address " NEAR_MAC " type veth peer name far address " FAR_MAC);
	snprintf(cmd, sizeof(cmd), "ip link set far netns %d", (int)far_pid);
	do_near(cmd);
	do_near("ip addr add 192.0.2.1/24 dev near");
	do_near("ip addr add 2001:db8::1/64 dev near nodad");
	do_near("ip link set near up");
	do_far("ip addr add 192.0.2.2/24 dev far");
	do_far("ip addr add 2001:db8::2/64 dev far nodad");
	do_far("ip link set far up");
	do_near(WAIT_FOR_LINK("near"));
	do_far(WAIT_FOR_LINK("far"));
	near_ifindex = if_nametoindex("near");
	return tp_nl_open(&nl);
}

static inline int rig_teardown(void **state)
{
	(void)state;
	tp_nl_close(nl);
	close(to_far);
	close(from_far);
	waitpid(far_pid, NULL, 0);
	return 0;
}

static inline struct tp_addr ip_of(const char *text)
{
	struct tp_addr a;

	assert_int_equal(tp_addr_parse(text, 0, &a), 0);
	return a;
}

static inline int get_neigh(const char *text, struct tp_nl_neigh *out)
{
	struct tp_addr ip = ip_of(text);

	return tp_nl_get_neigh(nl, near_ifindex, &ip, out);
}

#endif
