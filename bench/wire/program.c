/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t has_ended;
static char libbpf_said[200];

void die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is */
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

unsigned int ifindex_of(const char *ifname)
{
	unsigned int ifindex = if_nametoindex(ifname);

	if (ifindex == 0)
		die("%s: no such interface in this network namespace", ifname);
	return ifindex;
}

static void end(int signal)
{
	has_ended = 1;
	if (signal != SIGALRM)
		alarm(1);
}

void catch_signals(void)
{
	const struct sigaction action = { .sa_handler = end }; /* no SA_RESTART */

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
}

bool is_ending(void)
{
	return has_ended != 0;
}

__attribute__((format(printf, 2, 0))) static int libbpf_print(
		enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN && libbpf_said[0] == '\0') {
		vsnprintf(libbpf_said, sizeof(libbpf_said), fmt, ap);
		libbpf_said[strcspn(libbpf_said, "\n")] = '\0';
	}
	return 0;
}

void silence_libbpf(void)
{
	libbpf_set_print(libbpf_print);
}

void die_bpf(const char *what, int err)
{
	die("%s: %s%s%s", what, strerror(-err), libbpf_said[0] == '\0' ? "" : "; ", libbpf_said);
}

void attach_xdp(int prog_fd, const char *ifname, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	int fd = bpf_link_create(prog_fd, (int)ifindex_of(ifname), BPF_XDP, &opts);

	if (fd == -EBUSY || fd == -EEXIST)
		die("%s: there is an XDP program on it already", ifname);
	if (fd < 0)
		die_bpf(ifname, fd);
}
