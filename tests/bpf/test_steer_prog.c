/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict of the XDP program for every kind of packet, by BPF_PROG_TEST_RUN: once with an
 * AF_XDP socket in the map, once without, when everything must pass.
 */
#include "steer_vectors.h"

#include "io/afxdp.h"
#include "io/steer_conf.h"
#include "io/steer_rules.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <steer.skel.h>

#include <stdio.h>
#include <sys/mman.h>

#define MUTATIONS 50000

static void set_fast(struct steer_bpf *skel, uint32_t relay, const uint16_t port[], size_t n)
{
	struct tp_bpf_ports *ports = calloc(1, sizeof(*ports));
	size_t i;

	assert_non_null(ports);
	for (i = 0; i < n; i++)
		ports->fast[port[i] >> 6] |= 1ull << (port[i] & 63);
	ports->allocated[ALLOCATED >> 6] |= 1ull << (ALLOCATED & 63);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.ports), &relay, ports, 0), 0);
	free(ports);
}

static void set_accept(const struct steer_bpf *skel, uint32_t word, uint64_t bits)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.accept), &word, &bits, 0), 0);
}

/* All addresses are there, and two VLANs. */
static struct steer_bpf *load(const struct tp_bpf_conf *conf)
{
	struct steer_bpf *skel = steer_bpf__open();

	assert_non_null(skel);
	skel->rodata->conf = *conf;
	assert_int_equal(tp_steer_conf_index(&skel->rodata->conf), 0);
	assert_int_equal(steer_bpf__load(skel), 0);
	for (uint32_t i = TP_BPF_ACCEPT_ADDRS; i < TP_BPF_ACCEPT_WORDS; i++)
		set_accept(skel, i, UINT64_MAX);
	set_accept(skel, 100 >> 6, 1ull << (100 & 63));
	set_accept(skel, 4094 >> 6, 1ull << (4094 & 63));
	return skel;
}

static int run(const struct steer_bpf *skel, const uint8_t *frame, size_t len)
{
	uint8_t out[LAB_FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (__u32)len,
			.data_out = out, .data_size_out = sizeof(out), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.tp_steer), &opts), 0);
	assert_int_equal(opts.data_size_out, len);
	assert_memory_equal(out, frame, len); /* not a byte is written */
	return (int)opts.retval;
}

static int run_udp(const struct steer_bpf *skel, const struct lab_udp *udp)
{
	uint8_t frame[LAB_FRAME_MAX];

	return run(skel, frame, lab_frame(udp, frame));
}

static void run_cases(const struct steer_bpf *skel, bool has_socket)
{
	size_t i, len, failed = 0;

	for (i = 0; i < N_STEER_VECTORS; i++) {
		uint8_t frame[LAB_FRAME_MAX];
		int got, want = has_socket ? steer_vectors[i].want : XDP_PASS;

		len = steer_frame(&steer_vectors[i], frame);
		got = run(skel, frame, len);
		if (got != want) {
			print_error("%s: got action %d, want %d\n", steer_vectors[i].what, got,
					want);
			failed++;
		}
	}
	assert_int_equal(failed, 0);
}

/* A bound AF_XDP socket, on queue 0 of lo, where test runs pretend to receive. */
struct xsk {
	struct tp_umem *umem;
	struct tp_port *port;
};

static struct xsk open_xsk(const struct steer_bpf *skel)
{
	const struct tp_umem_conf umem_conf = {
		.chunks = 512,
		.chunk_bytes = 2048,
		.ring_size = 256,
		.numa_node = -1,
	};
	struct tp_afxdp_conf conf = { .ifname = "lo", .want = TP_XDP_COPY };
	struct tp_why why = { "" };
	struct xsk xsk;
	const uint32_t queue = 0;
	int fd;

	assert_int_equal(tp_umem_new(&umem_conf, &xsk.umem, &why), 0);
	conf.umem = xsk.umem;
	assert_int_equal(tp_afxdp_new(&conf, &xsk.port, &why), 0);
	fd = tp_afxdp_fd(xsk.port);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.xsks), &queue, &fd, 0), 0);
	return xsk;
}

static void close_xsk(const struct xsk *xsk)
{
	tp_port_close(xsk->port);
	tp_umem_free(xsk->umem);
}

static const void *map_of(const struct bpf_map *map, size_t bytes)
{
	const void *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);

	assert_true(at != MAP_FAILED);
	return at;
}

static void verdicts(void **state)
{
	struct tp_bpf_conf conf = small_conf();
	struct steer_bpf *skel = load(&conf);
	struct xsk xsk = open_xsk(skel);

	(void)state;
	set_fast(skel, 0, steer_fast, 3);
	set_fast(skel, 1, steer_fast, 3);
	set_fast(skel, 2, NULL, 0);
	run_cases(skel, true);

	/* The socket's death empties the map: traffic is the kernel's again. */
	close_xsk(&xsk);
	run_cases(skel, false);
	steer_bpf__destroy(skel);
}

/* Any byte of any vector changed, or the frame cut: the program and user space say the same. */
static void user_space_agrees(void **state)
{
	struct tp_bpf_conf conf = small_conf();
	struct steer_bpf *skel = load(&conf);
	struct xsk xsk = open_xsk(skel);
	const struct tp_steer_rules rules = {
		.conf = &conf,
		.ports = map_of(skel->maps.ports, sizeof(struct tp_bpf_ports) * TP_BPF_MAX_RELAYS),
		.accept = map_of(skel->maps.accept, sizeof(struct tp_bpf_accept)),
	};
	uint32_t i, redirected = 0;

	(void)state;
	assert_int_equal(tp_steer_conf_index(&conf), 0);
	set_fast(skel, 0, steer_fast, 3);
	set_fast(skel, 1, steer_fast, 3);
	srandom(6);
	for (i = 0; i < MUTATIONS; i++) {
		uint8_t frame[LAB_FRAME_MAX] = { 0 };
		size_t len = steer_frame(&steer_vectors[i % N_STEER_VECTORS], frame);
		int got;

		frame[(size_t)random() % len] = (uint8_t)random();
		if (i % 4 == 0)
			frame[12 + (size_t)random() % (len - 12)] = (uint8_t)random();
		if (i % 8 == 0)
			len = 14 + (size_t)random() % (len - 13);
		got = run(skel, frame, len);
		/* Nobody takes them, so after a while what is the worker's is dropped. */
		redirected += got != XDP_PASS;
		if ((got != XDP_PASS) != tp_steer_rules_match(&rules, frame, (uint32_t)len))
			fail_msg("mutation %u, %s: the program says %d", i,
					steer_vectors[i % N_STEER_VECTORS].what, got);
	}
	assert_in_range(redirected, MUTATIONS / 20, MUTATIONS / 2);
	close_xsk(&xsk);
	munmap((void *)(uintptr_t)rules.ports, sizeof(struct tp_bpf_ports) * TP_BPF_MAX_RELAYS);
	munmap((void *)(uintptr_t)rules.accept, sizeof(struct tp_bpf_accept));
	steer_bpf__destroy(skel);
}

static void legacy_channels_are_a_matter_of_configuration(void **state)
{
	static const struct {
		struct lab_udp udp;
		int want;
	} legacy[] = {
		{ TO4(3478, CHANNEL("\x3f")), XDP_PASS },
		{ TO4(3478, CHANNEL("\x40")), XDP_REDIRECT },
		{ TO4(3478, CHANNEL("\x7f")), XDP_REDIRECT },
		{ TO4(3478, CHANNEL("\x80")), XDP_PASS },
	};
	struct tp_bpf_conf conf = small_conf();
	struct steer_bpf *skel;
	struct xsk xsk;
	size_t i;

	(void)state;
	conf.channel_first_byte_max = 0x7f;
	skel = load(&conf);
	xsk = open_xsk(skel);
	for (i = 0; i < sizeof(legacy) / sizeof(legacy[0]); i++)
		assert_int_equal(run_udp(skel, &legacy[i].udp), legacy[i].want);
	close_xsk(&xsk);
	steer_bpf__destroy(skel);
}

static void an_address_that_is_gone_is_left_to_the_kernel(void **state)
{
	static const struct lab_udp listener = TO4(3478, CHANNEL("\x40"));
	static const struct lab_udp relay4 = TO4(FAST, STUN), relay6 = TO6(FAST, STUN);
	const uint16_t fast[] = { FAST };
	struct tp_bpf_conf conf = small_conf();
	struct steer_bpf *skel = load(&conf);
	struct xsk xsk = open_xsk(skel);

	(void)state;
	set_fast(skel, 0, fast, 1);
	set_fast(skel, 1, fast, 1);
	set_accept(skel, TP_BPF_ACCEPT_ADDRS, 0xe); /* all but the first */
	assert_int_equal(run_udp(skel, &listener), XDP_PASS);
	assert_int_equal(run_udp(skel, &relay4), XDP_PASS);
	assert_int_equal(run_udp(skel, &relay6), XDP_REDIRECT);
	set_accept(skel, TP_BPF_ACCEPT_ADDRS, 0xd);
	assert_int_equal(run_udp(skel, &listener), XDP_REDIRECT);
	assert_int_equal(run_udp(skel, &relay4), XDP_REDIRECT);
	assert_int_equal(run_udp(skel, &relay6), XDP_PASS);
	close_xsk(&xsk);
	steer_bpf__destroy(skel);
}

static void the_largest_configuration_loads_and_its_last_entry_works(void **state)
{
	const struct lab_udp listener = TO("10.0.0.159", 9031, CHANNEL("\x40"));
	const struct lab_udp relay = TO("10.0.0.127", 65535, STUN);
	const struct lab_udp foreign = TO("10.0.0.160", 9031, CHANNEL("\x40"));
	const uint16_t fast = 65535;
	struct tp_bpf_conf conf = {
		.n_addrs = TP_BPF_MAX_ADDRS,
		.n_listeners = TP_BPF_MAX_LISTENERS,
		.channel_first_byte_max = 0x4f,
	};
	struct steer_bpf *skel;
	struct xsk xsk;
	uint32_t i;

	(void)state;
	for (i = 0; i < TP_BPF_MAX_ADDRS; i++) {
		conf.addr[i].ip[0] = htonl(0x0a000000 + i);
		conf.addr[i].relay = (uint8_t)(i < TP_BPF_MAX_RELAYS ? i : TP_BPF_NO_RELAY);
	}
	for (i = 0; i < TP_BPF_MAX_LISTENERS; i++) {
		conf.listener[i].addr = (uint8_t)(TP_BPF_MAX_ADDRS - TP_BPF_MAX_LISTENERS + i);
		conf.listener[i].port_be = htons((uint16_t)(9000 + i));
	}
	skel = load(&conf);
	xsk = open_xsk(skel);
	set_fast(skel, TP_BPF_MAX_RELAYS - 1, &fast, 1);
	assert_int_equal(run_udp(skel, &listener), XDP_REDIRECT);
	assert_int_equal(run_udp(skel, &relay), XDP_REDIRECT);
	assert_int_equal(run_udp(skel, &foreign), XDP_PASS);
	/* Bit 31 of the last word of addresses. */
	set_accept(skel, TP_BPF_ACCEPT_WORDS - 1, ~(1ull << 31));
	assert_int_equal(run_udp(skel, &listener), XDP_PASS);
	assert_int_equal(run_udp(skel, &relay), XDP_REDIRECT);
	close_xsk(&xsk);
	steer_bpf__destroy(skel);
}

static void an_empty_configuration_passes_everything(void **state)
{
	struct tp_bpf_conf conf = { 0 };
	struct steer_bpf *skel = load(&conf);
	struct xsk xsk = open_xsk(skel);

	(void)state;
	assert_int_equal(run_udp(skel, &steer_vectors[0].udp), XDP_PASS);
	close_xsk(&xsk);
	steer_bpf__destroy(skel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),
		cmocka_unit_test(user_space_agrees),
		cmocka_unit_test(legacy_channels_are_a_matter_of_configuration),
		cmocka_unit_test(an_address_that_is_gone_is_left_to_the_kernel),
		cmocka_unit_test(the_largest_configuration_loads_and_its_last_entry_works),
		cmocka_unit_test(an_empty_configuration_passes_everything),
	};

	if (!lab_enter()) {
		puts("1..0 # SKIP needs root");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
