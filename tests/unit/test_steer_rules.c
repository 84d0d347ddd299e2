/* SPDX-License-Identifier: Apache-2.0 */
#include "../bpf/steer_vectors.h"

#include "io/steer_conf.h"
#include "io/steer_rules.h"

static struct tp_bpf_ports ports[TP_BPF_MAX_RELAYS];
static struct tp_bpf_accept accepted;
static struct tp_bpf_conf conf;

static const struct tp_steer_rules rules = { &conf, ports, &accepted };

static void set(__u64 words[], uint32_t bit)
{
	words[bit >> 6] |= 1ull << (bit & 63);
}

static int reset(void **state)
{
	(void)state;
	conf = small_conf();
	memset(ports, 0, sizeof(ports));
	for (size_t i = 0; i < sizeof(steer_fast) / sizeof(steer_fast[0]); i++) {
		set(ports[0].fast, steer_fast[i]);
		set(ports[1].fast, steer_fast[i]);
	}
	set(ports[0].allocated, ALLOCATED);
	assert_int_equal(tp_steer_conf_index(&conf), 0);
	memset(&accepted, 0, sizeof(accepted));
	memset(accepted.addrs, 0xff, sizeof(accepted.addrs));
	set(accepted.vlans, 100);
	set(accepted.vlans, 4094);
	return 0;
}

/* In memory of exactly its size: a byte of over-read is an ASan report. */
static bool match(const uint8_t *frame, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	bool is_match;

	assert_non_null(copy);
	memcpy(copy, frame, len);
	is_match = tp_steer_rules_match(&rules, copy, (uint32_t)len);
	free(copy);
	return is_match;
}

static bool match_udp(const struct lab_udp *udp)
{
	uint8_t frame[LAB_FRAME_MAX];

	return match(frame, lab_frame(udp, frame));
}

static void every_vector(void **state)
{
	uint32_t failed = 0;

	(void)state;
	for (size_t i = 0; i < N_STEER_VECTORS; i++) {
		uint8_t frame[LAB_FRAME_MAX];
		size_t len = steer_frame(&steer_vectors[i], frame);

		if (match(frame, len) != (steer_vectors[i].want == XDP_REDIRECT)) {
			print_error("%s\n", steer_vectors[i].what);
			failed++;
		}
	}
	assert_int_equal(failed, 0);
}

static void every_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_STEER_VECTORS; i++) {
		uint8_t frame[LAB_FRAME_MAX];
		size_t len = steer_frame(&steer_vectors[i], frame);

		/* A frame that ends inside its headers is the kernel's. */
		for (size_t cut = 0; cut <= len; cut++)
			assert_false(match(frame, cut) && cut < 42);
	}
}

static void legacy_channels(void **state)
{
	static const struct lab_udp last = TO4(3478, CHANNEL("\x7f"));
	static const struct lab_udp beyond = TO4(3478, CHANNEL("\x80"));

	(void)state;
	assert_false(match_udp(&last));
	conf.channel_first_byte_max = 0x7f;
	assert_true(match_udp(&last));
	assert_false(match_udp(&beyond));
}

static void an_address_that_is_gone_is_left_to_the_kernel(void **state)
{
	static const struct lab_udp relay4 = TO4(FAST, STUN), relay6 = TO6(FAST, STUN);

	(void)state;
	accepted.addrs[0] = 0xe; /* all but the first */
	assert_false(match_udp(&relay4));
	assert_true(match_udp(&relay6));
	accepted.addrs[0] = 0;
	assert_false(match_udp(&relay6));
}

static void the_last_entry_of_the_largest_configuration(void **state)
{
	const struct lab_udp listener = TO("10.0.0.159", 9031, CHANNEL("\x40"));
	const struct lab_udp foreign = TO("10.0.0.160", 9031, CHANNEL("\x40"));

	(void)state;
	conf.n_addrs = TP_BPF_MAX_ADDRS;
	conf.n_listeners = TP_BPF_MAX_LISTENERS;
	for (uint32_t i = 0; i < TP_BPF_MAX_ADDRS; i++)
		conf.addr[i] = (struct tp_bpf_addr){ .ip[0] = htonl(0x0a000000 + i),
			.relay = TP_BPF_NO_RELAY };
	for (uint32_t i = 0; i < TP_BPF_MAX_LISTENERS; i++)
		conf.listener[i] = (struct tp_bpf_listener){
			.addr = (uint8_t)(TP_BPF_MAX_ADDRS - TP_BPF_MAX_LISTENERS + i),
			.port_be = htons((uint16_t)(9000 + i))
		};
	assert_int_equal(tp_steer_conf_index(&conf), 0);
	assert_true(match_udp(&listener));
	assert_false(match_udp(&foreign));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_vector, reset),
		cmocka_unit_test_setup(every_length, reset),
		cmocka_unit_test_setup(legacy_channels, reset),
		cmocka_unit_test_setup(an_address_that_is_gone_is_left_to_the_kernel, reset),
		cmocka_unit_test_setup(the_last_entry_of_the_largest_configuration, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
