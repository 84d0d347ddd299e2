/* SPDX-License-Identifier: Apache-2.0 */
/* What only Send and Data indications have; what they share with all ways: test_rewrite.c. */
#include "flow/indication.h"

#include "way.h"

/* Opens and closes as way_next(), but only ways with an indication at either end. */
static bool next_indication(struct way *w)
{
	while (way_next(w))
		if (way_indicates(w))
			return true;
	return false;
}

static bool next_send(struct way *w)
{
	while (way_next(w))
		if (way_is_send(w))
			return true;
	return false;
}

/* An IPv6 peer's address is XORed with the transaction id; padding of DATA may be anything. */
static void test_all_transaction_ids_and_paddings(void **state)
{
	struct packet in;
	struct way w = { 0 };
	uint32_t s, i;

	(void)state;
	while (next_indication(&w)) {
		for (s = 0; s < COUNT(sizes); s++) {
			for (i = 0; i < 5; i++) {
				in = way_packet_in(&w, sizes[s]);
				in.n_eth_pad = (uint8_t)i;
				in.tid[i] ^= 0xff;
				in.is_pad_zero = true;
				in.csum_error = 0xfffe;
				expect_forward(&w, &in);
			}
		}
	}
}

/* What other clients send: DATA before the peer, FINGERPRINT or not. */
static void test_both_orders_and_fingerprint(void **state)
{
	struct packet in;
	struct way w = { 0 };
	uint32_t s, form;

	(void)state;
	while (next_send(&w)) {
		for (s = 0; s < COUNT(sizes); s++) {
			if (sizes[s] == 1400)
				continue; /* 1500 bytes of IPv4, no room for more */
			for (form = 0; form < 8; form++) {
				in = way_packet_in(&w, sizes[s]);
				in.is_data_first = form & 1;
				in.has_fingerprint = (form & 2) != 0;
				in.csum_error = form & 4 ? 0x1111 : 0;
				expect_forward(&w, &in);
				in.is_csum_zero = !w.in6;
				expect_forward(&w, &in);
			}
		}
	}
}

static void test_a_wrong_fingerprint_is_punted(void **state)
{
	uint8_t bytes[PACKET_MAX];
	struct packet in;
	struct way w = { 0 };
	uint32_t len, at;

	(void)state;
	while (next_send(&w)) {
		in = way_packet_in(&w, 7);
		in.has_fingerprint = true;
		in.is_csum_zero = !w.in6;
		len = packet_build(&in, bytes);
		/* in the transaction id, the data, its padding, the value */
		for (at = len - 20; at < len; at += 4) {
			if (at == len - 8)
				continue; /* then it is another attribute, punted all the same */
			bytes[at] ^= 0x10;
			expect_verdict(&w, bytes, len, ROOMY, TP_PUNT, "damaged");
			bytes[at] ^= 0x10;
		}
		expect_verdict(&w, bytes, len, ROOMY, TP_FORWARD, "whole again");
	}
}

/* A permission is for an address, whatever the port (RFC 8656 section 9). */
static void test_any_port_of_the_peer(void **state)
{
	static const uint16_t ports[] = { 1, 53, 0x2112, 0x2113, 32768, 65535 };
	struct packet in;
	struct way w = { 0 };
	uint32_t p;

	(void)state;
	while (next_indication(&w)) {
		if (way_is_hairpin(&w))
			continue; /* there the port says whose relayed address it is */
		in = way_packet_in(&w, 10);
		for (p = 0; p < COUNT(ports); p++) {
			in.peer.port = ports[p];
			if (way_is_down(&w))
				in.src.port = ports[p];
			expect_forward(&w, &in);
		}
	}
}

static void expect_unknown(const struct way *w, struct packet in, const char *what)
{
	expect_packet_verdict(w, &in, ROOMY, TP_PUNT, what);
}

/* The last byte: of the first four in IPv4. */
static void other_ip(struct tp_addr *addr)
{
	addr->ip[addr->family == TP_IPV6 ? 15 : 3] ^= 1;
}

/* What differs in one thing is somebody else's. */
static void test_only_who_has_the_permission(void **state)
{
	struct packet in;
	struct way w = { 0 };

	(void)state;
	while (next_indication(&w)) {
		if (w.from == CHANNEL)
			continue; /* who may send by it is the channel's to say */
		in = way_packet_in(&w, 10);
		other_ip(&in.src);
		expect_unknown(&w, in, "other source");
		in = way_packet_in(&w, 10);
		in.dst.port ^= 1;
		expect_unknown(&w, in, "other listener or relayed port");
		if (!way_is_send(&w))
			continue;
		in = way_packet_in(&w, 10);
		in.src.port ^= 1;
		expect_unknown(&w, in, "other client port");
		in = way_packet_in(&w, 10);
		other_ip(&in.peer);
		expect_unknown(&w, in, "other peer");
		in = way_packet_in(&w, 10);
		in.peer = who(PEER, in.peer.family == TP_IPV4);
		expect_unknown(&w, in, "other family");
	}
}

/* ---- what is read ---- */

/* A datagram of consistent lengths with any payload. */
static enum tp_verdict classify_payload(const uint8_t *bytes, uint32_t len, struct tp_parsed *out)
{
	struct packet pkt = { .src = who(CLIENT_A, false),
		.dst = who(LISTENER, false),
		.data = bytes,
		.data_len = (uint16_t)len };
	uint8_t frame[PACKET_MAX];
	struct held h = hold(frame, packet_build(&pkt, frame), (struct room){ 0 });
	enum tp_verdict v = tp_classify(&classify_conf, &h.frame, out);

	free(h.bytes);
	return v;
}

static uint32_t send_message(uint8_t *out, bool is_peer6, uint16_t data_len)
{
	const struct packet pkt = { .stun = SEND,
		.peer = who(PEER, is_peer6),
		.tid = { 1, 2, 3 },
		.data_len = data_len,
		.n_pad = way_padding(data_len) };

	memset(packet_stun(out, &pkt), 0x5a, data_len + pkt.n_pad);
	return packet_head_len(&pkt) + data_len + pkt.n_pad;
}

static void test_a_message_cut_short_or_too_long_is_punted(void **state)
{
	uint8_t msg[200] = { 0 };
	struct tp_parsed parsed;
	uint32_t i, len, cut;

	(void)state;
	for (i = 0; i < 16; i++) {
		len = send_message(msg, i & 1, (uint16_t)(i / 2));
		for (cut = 0; cut <= len + 9; cut++) {
			if (classify_payload(msg, cut, &parsed) !=
					(cut == len ? TP_FORWARD : TP_PUNT))
				fail_msg("message of %u bytes, %u there", len, cut);
		}
	}
}

/* What a lying or merely unusual message is called by its first byte that differs. */
/* What a lying or merely unusual message is called by its first byte that differs. */
static void test_any_other_form_is_punted(void **state)
{
	static const struct {
		const char *what;
		bool is_peer6;
		uint8_t at;
		uint8_t value;
	} cases[] = {
		{ "Send request", false, 1, 0x06 },
		{ "Data indication", false, 1, 0x17 },
		{ "another class", false, 0, 0x01 },
		{ "length one word short", false, 3, 16 + 8 - 4 },
		{ "length one word long", false, 3, 16 + 8 + 4 },
		{ "length not a multiple of four", false, 3, 16 + 7 },
		{ "length of thousands", false, 2, 0xff },
		{ "cookie, first byte", false, 4, 0 },
		{ "cookie, last byte", false, 7, 0 },
		{ "XOR-MAPPED-ADDRESS first", false, 21, 0x20 },
		{ "DONT-FRAGMENT first", false, 21, 0x1a },
		{ "DATA first", false, 21, 0x13 },
		{ "address of seven bytes", false, 23, 7 },
		{ "address of 20 bytes that says IPv4", false, 23, 20 },
		{ "address of 8 bytes that says IPv6", false, 25, 2 },
		{ "family 0", false, 25, 0 },
		{ "family 3", false, 25, 3 },
		{ "IPv6 of 8 bytes", true, 23, 8 },
		{ "IPv6 address that says IPv4", true, 25, 1 },
		{ "no DATA", false, 33, 0x14 },
		{ "DATA that is optional", false, 32, 0x80 },
		{ "no DATA behind IPv6", true, 45, 0x14 },
		{ "data shorter, an attribute might follow", false, 35, 4 },
		{ "data longer than the message", false, 35, 9 },
		{ "data of thousands", false, 34, 0xff },
		{ "data longer than the message, IPv6", true, 47, 9 },
	};
	static const struct {
		const char *what;
		uint32_t len;
		uint8_t bytes[24];
		enum tp_verdict want;
	} behind[] = {
		{ "FINGERPRINT", 8, "\x80\x28\0\4abcd", TP_FORWARD },
		{ "FINGERPRINT of three bytes", 8, "\x80\x28\0\3abcd", TP_PUNT },
		{ "FINGERPRINT of eight bytes", 12, "\x80\x28\0\x08qwertzui", TP_PUNT },
		{ "FINGERPRINT twice", 16, "\x80\x28\0\4abcd\x80\x28\0\4abcd", TP_PUNT },
		{ "SOFTWARE", 8, "\x80\x22\0\4abcd", TP_PUNT },
		{ "DONT-FRAGMENT", 4, "\0\x1a\0\0", TP_PUNT },
		{ "DATA again", 8, "\0\x13\0\4abcd", TP_PUNT },
		{ "the peer again", 12, "\0\x12\0\x08\0\1abcdef", TP_PUNT },
		{ "half an attribute", 4, "\x80\x28\0\4", TP_PUNT },
		{ "attribute that leaves the message", 8, "\x80\x22\0\5abcd", TP_PUNT },
		{ "attribute of thousands", 8, "\x80\x22\xff\xffzzzz", TP_PUNT },
	};
	struct tp_parsed parsed;
	uint8_t msg[200] = { 0 };
	uint32_t i, len;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		len = send_message(msg, cases[i].is_peer6, 8);
		assert_int_equal(classify_payload(msg, len, &parsed), TP_FORWARD);
		msg[cases[i].at] = cases[i].value;
		if (classify_payload(msg, len, &parsed) != TP_PUNT)
			fail_msg("%s", cases[i].what);
	}
	/* Port 0 is no port to send to. */
	len = send_message(msg, false, 8);
	msg[26] = 0x21;
	msg[27] = 0x12;
	assert_int_equal(classify_payload(msg, len, &parsed), TP_PUNT);
	/* The byte before the family is to be ignored (RFC 8489 section 14.1). */
	len = send_message(msg, false, 8);
	msg[24] = 0xff;
	assert_int_equal(classify_payload(msg, len, &parsed), TP_FORWARD);
	for (i = 0; i < COUNT(behind); i++) {
		len = send_message(msg, false, 8);
		memcpy(msg + len, behind[i].bytes, behind[i].len);
		msg[3] += (uint8_t)behind[i].len;
		if (classify_payload(msg, len + behind[i].len, &parsed) != behind[i].want)
			fail_msg("%s", behind[i].what);
	}
}

static void test_what_classify_finds(void **state)
{
	struct tp_parsed parsed;
	uint8_t msg[200] = { 0 };
	uint32_t i, len;

	(void)state;
	for (i = 0; i < 8; i++) {
		len = send_message(msg, i & 1, (uint16_t)i);
		assert_int_equal(classify_payload(msg, len, &parsed), TP_FORWARD);
		assert_true(parsed.is_up && tp_parsed_is_send(&parsed));
		assert_int_equal(parsed.head_len, i & 1 ? 48 : 36);
		assert_int_equal(parsed.data_len, i);
		assert_int_equal(parsed.peer_port, who(PEER, false).port);
	}
}

/* ---- transaction ids ---- */

static void test_transaction_ids_are_all_different(void **state)
{
	static uint8_t tid[4096][TP_STUN_TID_LEN];
	struct tp_tid_source a, b, unseeded = { 0 };
	uint32_t i, k;

	(void)state;
	tp_tid_seed(&a);
	tp_tid_seed(&b);
	assert_memory_not_equal(&a, &b, sizeof(a));
	for (i = 0; i < COUNT(tid); i++)
		tp_tid_next(i & 1 ? &a : i & 2 ? &b : &unseeded, tid[i]);
	for (i = 0; i < COUNT(tid); i++)
		for (k = 0; k < i; k++)
			if (memcmp(tid[i], tid[k], sizeof(tid[i])) == 0)
				fail_msg("%u and %u are the same", i, k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WAYS_TEST(test_all_transaction_ids_and_paddings),
		WAYS_TEST(test_both_orders_and_fingerprint),
		WAYS_TEST(test_a_wrong_fingerprint_is_punted),
		WAYS_TEST(test_any_port_of_the_peer),
		WAYS_TEST(test_only_who_has_the_permission),
		WAYS_TEST(test_a_message_cut_short_or_too_long_is_punted),
		WAYS_TEST(test_any_other_form_is_punted),
		WAYS_TEST(test_what_classify_finds),
		WAYS_TEST(test_transaction_ids_are_all_different),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
