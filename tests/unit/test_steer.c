/* SPDX-License-Identifier: Apache-2.0 */
#include "io/steer.h"

#include "../lab.h"
#include "bpf/steer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <linux/if_link.h>

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NEAR "near"
#define FAR "far"

static struct tp_addr addr(const char *text, uint16_t port)
{
	struct tp_addr a;

	assert_int_equal(tp_addr_parse(text, port, &a), 0);
	return a;
}

static int try_steer(struct tp_steer **out, struct tp_why *why)
{
	const struct tp_addr listener = addr("192.0.2.1", 3478), relay = addr("192.0.2.1", 0);
	const struct tp_steer_conf conf = {
		.listeners = &listener,
		.n_listeners = 1,
		.relays = &relay,
		.n_relays = 1,
	};

	return tp_steer_new(&conf, out, why);
}

static struct tp_steer *new_steer(void)
{
	struct tp_steer *steer = NULL;
	struct tp_why why = { "" };

	if (try_steer(&steer, &why) != 0)
		fail_msg("%s", why.text);
	return steer;
}

/* Id of the program on the interface, 0: none; mode: XDP_ATTACHED_*. */
static uint32_t attached(uint8_t *mode)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	assert_int_equal(bpf_xdp_query((int)if_nametoindex(NEAR), 0, &query), 0);
	if (mode != NULL)
		*mode = query.attach_mode;
	return query.prog_id;
}

static int set_up(void **state)
{
	(void)state;
	lab_veth(NEAR, FAR);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	lab_run("ip link del " NEAR);
	return 0;
}

static void modes_have_names(void **state)
{
	(void)state;
	assert_string_equal(tp_xdp_mode_name(TP_XDP_OFF), "off");
	assert_string_equal(tp_xdp_mode_name(TP_XDP_AUTO), "auto");
	assert_string_equal(tp_xdp_mode_name(TP_XDP_ZEROCOPY), "zerocopy");
	assert_string_equal(tp_xdp_mode_name(TP_XDP_COPY), "copy");
	assert_string_equal(tp_xdp_mode_name(TP_XDP_SKB), "skb");
}

static void configuration_is_checked(void **state)
{
	struct tp_addr many[TP_STEER_MAX_ADDRS + 1];
	const struct tp_addr no_port = addr("192.0.2.1", 0), none = { .family = 0, .port = 1 };
	const struct tp_addr twice[] = { no_port, no_port };
	const struct {
		const char *what;
		struct tp_steer_conf conf;
		int want;
	} cases[] = {
		{ "too many listeners",
				{ .listeners = many, .n_listeners = TP_STEER_MAX_LISTENERS + 1 },
				-E2BIG },
		{ "too many relays", { .relays = many, .n_relays = TP_STEER_MAX_RELAYS + 1 },
				-E2BIG },
		{ "listener without a port", { .listeners = &no_port, .n_listeners = 1 }, -EINVAL },
		{ "listener without an address", { .listeners = &none, .n_listeners = 1 },
				-EINVAL },
		{ "relay without an address", { .relays = &none, .n_relays = 1 }, -EINVAL },
		{ "relay given twice", { .relays = twice, .n_relays = 2 }, -EINVAL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		many[i] = tp_addr_v4((const uint8_t[]){ 10, 0, 0, (uint8_t)i }, 3478);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tp_steer *steer = NULL;
		struct tp_why why = { "" };

		print_message("# %s\n", cases[i].what);
		assert_int_equal(tp_steer_new(&cases[i].conf, &steer, &why), cases[i].want);
		assert_null(steer);
		assert_true(strlen(why.text) > 0);
	}
}

static void relay_sockets_must_be_bound_udp(void **state)
{
	struct tp_steer *steer = new_steer();
	struct tp_why why = { "" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_true(tp_steer_set_relay_sockets(steer, fd, -1, &why) < 0);
	assert_non_null(strstr(why.text, "IPv4 relay socket, which must be bound UDP"));
	assert_int_equal(tp_steer_set_relay_sockets(steer, -1, -1, &why), 0);
	close(fd);
	tp_steer_free(steer);
}

static void the_program_is_attached_in_the_mode_asked_for(void **state)
{
	static const struct {
		enum tp_xdp_mode want;
		bool is_skb;
		uint8_t mode;
	} cases[] = {
		{ TP_XDP_AUTO, false, XDP_ATTACHED_DRV },
		{ TP_XDP_ZEROCOPY, false, XDP_ATTACHED_DRV },
		{ TP_XDP_COPY, false, XDP_ATTACHED_DRV },
		{ TP_XDP_SKB, true, XDP_ATTACHED_SKB },
	};
	struct tp_steer *steer = new_steer();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tp_steer_if *sif = NULL;
		struct tp_why why = { "" };
		bool is_skb = !cases[i].is_skb;
		uint8_t mode;

		assert_int_equal(tp_steer_attach(steer, if_nametoindex(NEAR), cases[i].want, &sif,
						 &is_skb, &why),
				0);
		assert_int_equal(is_skb, cases[i].is_skb);
		assert_int_not_equal(attached(&mode), 0);
		assert_int_equal(mode, cases[i].mode);
		assert_int_equal(tp_steer_set_xsk(sif, 256, 0), -E2BIG);
		tp_steer_detach(sif);
		assert_int_equal(attached(NULL), 0);
		tp_steer_detach(sif); /* idempotent */
		assert_int_equal(tp_steer_set_xsk(sif, 0, 0), -ENOENT);
	}
	tp_steer_free(steer);
}

/* lo has no driver mode: only auto falls back. */
static void only_auto_falls_back_to_generic_mode(void **state)
{
	struct tp_steer *steer = new_steer();
	unsigned int lo = if_nametoindex("lo");
	struct tp_steer_if *sif = NULL;
	struct tp_why why = { "" };
	bool is_skb = false;

	(void)state;
	assert_true(tp_steer_attach(steer, lo, TP_XDP_COPY, &sif, &is_skb, &why) < 0);
	assert_null(sif);
	assert_non_null(strstr(why.text, "lo: cannot attach XDP in driver mode"));
	assert_int_equal(tp_steer_attach(steer, lo, TP_XDP_AUTO, &sif, &is_skb, &why), 0);
	assert_true(is_skb);
	tp_steer_free(steer);
}

static void impossible_interfaces_are_refused(void **state)
{
	struct tp_steer *steer = new_steer();
	struct tp_steer_if *sif = NULL;
	struct tp_why why = { "" };
	bool is_skb;

	(void)state;
	assert_int_equal(tp_steer_attach(steer, 9999, TP_XDP_AUTO, &sif, &is_skb, &why), -ENODEV);
	assert_int_equal(tp_steer_attach(steer, if_nametoindex(NEAR), TP_XDP_OFF, &sif, &is_skb,
					 &why),
			-EINVAL);
	assert_null(sif);
	tp_steer_free(steer);
}

static void a_second_instance_is_told_who_is_there(void **state)
{
	const enum tp_xdp_mode modes[] = { TP_XDP_AUTO, TP_XDP_COPY, TP_XDP_SKB };
	struct tp_steer *first = new_steer(), *second = new_steer();
	struct tp_steer_if *sif = NULL, *none = NULL;
	struct tp_why why = { "" };
	char id[20];
	bool is_skb;
	size_t i;

	(void)state;
	assert_int_equal(tp_steer_attach(first, if_nametoindex(NEAR), TP_XDP_AUTO, &sif, &is_skb,
					 &why),
			0);
	snprintf(id, sizeof(id), "(id %u)", attached(NULL));
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(tp_steer_attach(second, if_nametoindex(NEAR), modes[i], &none,
						 &is_skb, &why),
				-EBUSY);
		assert_null(none);
		assert_non_null(strstr(why.text, NEAR " already has an XDP program, tp_steer"));
		assert_non_null(strstr(why.text, id));
		assert_non_null(strstr(why.text, "ip link set dev " NEAR " xdp off"));
	}
	tp_steer_free(second);
	assert_int_not_equal(attached(NULL), 0); /* ours is untouched */
	tp_steer_free(first);
	assert_int_equal(attached(NULL), 0);
}

/* As other programs attach: by netlink, to stay. */
static void a_foreign_program_stays_until_the_advice_is_followed(void **state)
{
	const uint64_t pass[] = { 0x00000002000000b7,
		0x0000000000000095 }; /* r0 = XDP_PASS; exit */
	const uint32_t modes[] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE };
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct tp_steer *steer = new_steer();
		struct tp_steer_if *sif = NULL;
		struct tp_why why = { "" };
		const char *advice;
		bool is_skb;
		uint32_t id;
		int fd;

		fd = bpf_prog_load(
				BPF_PROG_TYPE_XDP, "foreign", "GPL", (const void *)pass, 2, NULL);
		assert_true(fd >= 0);
		assert_int_equal(bpf_xdp_attach((int)if_nametoindex(NEAR), fd, modes[i], NULL), 0);
		close(fd);
		id = attached(NULL);
		assert_int_equal(tp_steer_attach(steer, if_nametoindex(NEAR), TP_XDP_AUTO, &sif,
						 &is_skb, &why),
				-EBUSY);
		assert_non_null(strstr(why.text, NEAR " already has an XDP program, foreign"));
		assert_int_equal(attached(NULL), id);

		advice = strstr(why.text, "ip link set dev " NEAR);
		assert_non_null(advice);
		lab_run("%s", advice);
		assert_int_equal(tp_steer_attach(steer, if_nametoindex(NEAR), TP_XDP_AUTO, &sif,
						 &is_skb, &why),
				0);
		tp_steer_free(steer);
		assert_int_equal(attached(NULL), 0);
	}
}

/* Run fn, which must not assert, in a child.  @return its exit status, -1: a signal */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int attach_and_die(void)
{
	struct tp_steer *steer;
	struct tp_steer_if *sif;
	bool is_skb;

	if (try_steer(&steer, NULL) != 0 ||
			tp_steer_attach(steer, if_nametoindex(NEAR), TP_XDP_AUTO, &sif, &is_skb,
					NULL) != 0)
		return 1;
	kill(getpid(), SIGKILL);
	return 2;
}

static void a_killed_process_leaves_nothing(void **state)
{
	int tries;

	(void)state;
	assert_int_equal(in_child(attach_and_die), -1);
	for (tries = 0; tries < 100 && attached(NULL) != 0; tries++)
		usleep(10000);
	assert_int_equal(attached(NULL), 0);
}

/* A word of the table of what is accepted, of the program on the interface. */
static uint64_t accepted(uint32_t word)
{
	uint32_t map_ids[8], i;
	struct bpf_prog_info prog = { .map_ids = (uintptr_t)map_ids, .nr_map_ids = 8 };
	uint64_t bits = 0;
	__u32 bytes = sizeof(prog);
	int fd;

	fd = bpf_prog_get_fd_by_id(attached(NULL));
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &prog, &bytes), 0);
	close(fd);
	for (i = 0; i < prog.nr_map_ids; i++) {
		struct bpf_map_info map = { 0 };

		bytes = sizeof(map);
		fd = bpf_map_get_fd_by_id(map_ids[i]);
		assert_int_equal(bpf_obj_get_info_by_fd(fd, &map, &bytes), 0);
		if (strcmp(map.name, "accept") == 0)
			assert_int_equal(bpf_map_lookup_elem(fd, &word, &bits), 0);
		close(fd);
	}
	return bits;
}

static bool all_but(void *ctx, const struct tp_addr *ip)
{
	const struct tp_addr *not_this = ctx;

	assert_int_equal(ip->port, 0);
	return !tp_addr_equal(ip, not_this);
}

static void addresses_and_vlans_are_told_to_the_program(void **state)
{
	const struct tp_addr relays[] = { addr("192.0.2.1", 0), addr("2001:db8::1", 0) };
	const struct tp_addr listener = addr("192.0.2.3", 3478);
	const struct tp_steer_conf conf = {
		.listeners = &listener,
		.n_listeners = 1,
		.relays = relays,
		.n_relays = 2,
	};
	struct tp_addr none = { .family = 0 }, gone = relays[1];
	struct tp_steer *steer;
	struct tp_steer_if *sif;
	struct tp_why why;
	bool is_skb;

	(void)state;
	assert_int_equal(tp_steer_new(&conf, &steer, &why), 0);
	tp_steer_check_addrs(steer, all_but, &gone);
	assert_int_equal(tp_steer_attach(steer, if_nametoindex(NEAR), TP_XDP_AUTO, &sif, &is_skb,
					 &why),
			0);
	/* The listener's comes first. */
	assert_int_equal(accepted(TP_BPF_ACCEPT_ADDRS) & 7, 3);
	tp_steer_check_addrs(steer, all_but, &none);
	assert_int_equal(accepted(TP_BPF_ACCEPT_ADDRS) & 7, 7);
	gone = addr("192.0.2.3", 0);
	tp_steer_check_addrs(steer, all_but, &gone);
	assert_int_equal(accepted(TP_BPF_ACCEPT_ADDRS) & 7, 6);

	tp_steer_set_vlan(sif, 1, true);
	tp_steer_set_vlan(sif, 4094, true);
	tp_steer_set_vlan(sif, 4094, true);
	assert_int_equal(accepted(0), 2);
	assert_true(accepted(63) == 1ull << 62);
	tp_steer_set_vlan(sif, 4094, false);
	assert_int_equal(accepted(63), 0);

	tp_steer_detach(sif);
	tp_steer_set_vlan(sif, 2, true); /* harmless */
	tp_steer_check_addrs(steer, all_but, &none);
	tp_steer_free(steer);
}

static void keep_capabilities(uint64_t mask)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)mask, .permitted = (uint32_t)mask },
		{ .effective = (uint32_t)(mask >> 32), .permitted = (uint32_t)(mask >> 32) },
	};

	if (syscall(SYS_capset, &header, data) != 0)
		_exit(99);
}

static int start_without_capabilities(void)
{
	struct tp_steer *steer;
	struct tp_why why = { "" };

	keep_capabilities(0);
	if (try_steer(&steer, &why) != -EPERM)
		return 1;
	return strstr(why.text, "CAP_BPF") != NULL && strstr(why.text, "CAP_NET_ADMIN") != NULL &&
					strstr(why.text, "root") != NULL
			? 0
			: 2;
}

/* No CAP_PERFMON: the verifier then forbids some pointer arithmetic. */
static int start_with_the_capabilities_named(void)
{
	struct tp_steer *steer;
	struct tp_steer_if *sif;
	bool is_skb;

	keep_capabilities(1ull << CAP_BPF | 1ull << CAP_NET_ADMIN | 1ull << CAP_NET_RAW);
	if (try_steer(&steer, NULL) != 0 ||
			tp_steer_attach(steer, if_nametoindex(NEAR), TP_XDP_AUTO, &sif, &is_skb,
					NULL) != 0)
		return 1;
	tp_steer_free(steer);
	return 0;
}

static void capabilities_are_named_and_enough(void **state)
{
	(void)state;
	assert_int_equal(in_child(start_without_capabilities), 0);
	assert_int_equal(in_child(start_with_the_capabilities_named), 0);
}

int main(void)
{
#define ON_VETH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes_have_names),
		cmocka_unit_test(configuration_is_checked),
		cmocka_unit_test(relay_sockets_must_be_bound_udp),
		ON_VETH(the_program_is_attached_in_the_mode_asked_for),
		cmocka_unit_test(only_auto_falls_back_to_generic_mode),
		ON_VETH(impossible_interfaces_are_refused),
		ON_VETH(a_second_instance_is_told_who_is_there),
		ON_VETH(a_foreign_program_stays_until_the_advice_is_followed),
		ON_VETH(a_killed_process_leaves_nothing),
		ON_VETH(addresses_and_vlans_are_told_to_the_program),
		ON_VETH(capabilities_are_named_and_enough),
	};

	if (!lab_enter())
		return lab_skip_tap();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
