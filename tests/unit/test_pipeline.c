/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/pipeline.h"

#include "io/mem.h"
#include "packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#define NOW 1000000
#define CHUNKS 256
#define CHANNEL 0x4001
#define FLOWS 32 /* of each way */
#define SEND 0x0016
#define ACCOUNTS (2 * TP_PATH_COUNT * FLOWS)

static struct tp_next_hop hop = { .l2 = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 },
	.l2_len = TP_L2_UNTAGGED,
	.port = 5,
	.mtu = 1500 };

/* A worker without thread: one port, one pipe, and a bounded ring towards the kernel path. */
struct rig {
	struct tp_grace *grace;
	struct tp_flow_table *flows;
	struct tp_accounts *accounts;
	struct tp_port *port;
	struct tp_pipe pipe;
	uint32_t punt_room;
	uint64_t n_hairpins; /* sent */
	struct tp_pipe_out out;
	uint8_t punted[TP_BURST][PACKET_MAX]; /* the last burst's */
};

static void rig_init_limited(struct rig *r, const struct tp_meter_conf *limits)
{
	struct tp_flow_table_conf conf = { .max_channel_flows = 2048,
		.max_permission_flows = 3072 };
	const struct tp_accounts_conf ac = {
		.max_accounts = ACCOUNTS, .n_tallies = 1, .limits = *limits
	};

	memset(r, 0, sizeof(*r));
	assert_int_equal(tp_grace_new(1, &r->grace), 0);
	conf.grace = r->grace;
	assert_int_equal(tp_flow_table_new(&conf, &r->flows), 0);
	assert_int_equal(tp_mem_new(0, CHUNKS, &r->port), 0);
	assert_int_equal(tp_accounts_new(&ac, &r->accounts), 0);
	r->pipe.flows = r->flows;
	r->pipe.tally = tp_accounts_tally(r->accounts, 0);
	r->pipe.classify = (struct tp_classify_conf){ 49152, 65535 };
	r->pipe.egress_ports = ~0ull;
	r->punt_room = UINT32_MAX;
	tp_grace_reader_register(r->grace, 0);
	tp_grace_online(r->grace, 0);
}

static void rig_init(struct rig *r)
{
	rig_init_limited(r, &(struct tp_meter_conf){ .bps = 0 });
}

static void rig_fini(struct rig *r)
{
	tp_grace_offline(r->grace, 0);
	tp_port_close(r->port);
	tp_flow_table_free(r->flows);
	tp_accounts_free(r->accounts);
	tp_grace_free(r->grace);
}

static uint64_t verdict(const struct rig *r, enum tp_verdict v)
{
	return atomic_load(&r->pipe.stats.verdict[v]);
}

static bool path_hairpins(enum tp_path path);

static uint64_t accounted(const struct rig *r)
{
	struct tp_account_sum sum;
	uint64_t pkts = 0;

	for (uint32_t i = TP_ACCOUNT_NONE; i <= ACCOUNTS; i++) {
		tp_account_sum(r->accounts, i, &sum);
		pkts += sum.up.pkts + sum.down.pkts;
	}
	return pkts;
}

/*
 * The formula: every packet received has one verdict, and the worker holds no frame.  What was sent
 * is in accounts, and what was not is in none; what is from relay to relay is in two.
 */
static void check_sums(const struct rig *r)
{
	uint64_t verdicts = 0, paths = 0;
	uint32_t i;

	for (i = 0; i < TP_VERDICT_COUNT; i++)
		verdicts += verdict(r, i);
	for (i = 0; i < TP_PATH_COUNT; i++)
		paths += atomic_load(&r->pipe.stats.path[i]);
	assert_int_equal(verdicts, atomic_load(&r->pipe.stats.rx_pkts));
	assert_int_equal(paths, verdict(r, TP_FORWARD) + verdict(r, TP_DROP_TX_FULL));
	assert_int_equal(tp_mem_held(r->port), 0);
	assert_int_equal(accounted(r), verdict(r, TP_FORWARD) + r->n_hairpins);
}

/* What a worker does with one burst. */
static uint32_t burst(struct rig *r, uint64_t now_ns)
{
	struct tp_frame frames[TP_BURST];
	struct tp_pipe_out *out = &r->out;
	uint32_t n_rx = tp_port_rx(r->port, frames, TP_BURST), n, i;

	tp_pipe_burst(&r->pipe, frames, n_rx, now_ns, out);
	n = tp_port_tx(r->port, out->forward, out->n_forward);
	tp_stat_add(&r->pipe.stats.verdict[TP_FORWARD], n);
	tp_stat_add(&r->pipe.stats.verdict[TP_DROP_TX_FULL], out->n_forward - n);
	tp_port_release(r->port, out->forward + n, out->n_forward - n);
	for (i = 0; i < n; i++)
		r->n_hairpins += out->charge[i].in_at != out->charge[i].out_at;
	for (i = n; i < out->n_forward; i++)
		tp_pipe_uncount(&r->pipe, out, i);

	n = out->n_punt < r->punt_room ? out->n_punt : r->punt_room;
	for (i = 0; i < n; i++)
		memcpy(r->punted[i], out->punt[i].data, out->punt[i].len);
	tp_stat_add(&r->pipe.stats.verdict[TP_PUNT], n);
	tp_stat_add(&r->pipe.stats.verdict[TP_DROP_PUNT_FULL], out->n_punt - n);
	tp_port_release(r->port, out->punt, out->n_punt);
	tp_port_release(r->port, out->dead, out->n_dead);
	tp_grace_quiescent(r->grace, 0);
	check_sums(r);
	return n_rx;
}

static void inject(struct rig *r, const struct packet *pkt)
{
	uint8_t bytes[PACKET_MAX];
	uint32_t len = packet_build(pkt, bytes);

	assert_int_equal(tp_mem_inject(r->port, bytes, len), 0);
}

static struct tp_addr addr(bool is_v6, uint8_t host, uint16_t port)
{
	uint8_t v4[4] = { 192, 0, 2, host }, v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = host };

	return is_v6 ? tp_addr_v6(v6, port) : tp_addr_v4(v4, port);
}

/*
 * Flow n of a path: client and peer have a port of their own, 1000 + n and 2000 + n; relayed ports
 * are per path, so that all paths fit one table.
 */
static uint16_t relay_port(enum tp_path path, uint16_t n, bool is_b)
{
	return (uint16_t)(49152 + path * 2 * FLOWS + (is_b ? FLOWS : 0) + n);
}

static bool path_in6(enum tp_path path)
{
	return (path & 2) != 0;
}

static bool path_out6(enum tp_path path)
{
	return (path & 1) != 0;
}

/* By indications, or by channels? */
static bool path_indicates(enum tp_path path)
{
	return path >= TP_PATH_SEND_44;
}

/* The path without indications of the same direction. */
static enum tp_path path_plain(enum tp_path path)
{
	return path_indicates(path) ? path - TP_PATH_SEND_44 + TP_PATH_UP_44 : path;
}

static bool path_hairpins(enum tp_path path)
{
	return path_plain(path) >= TP_PATH_HAIRPIN_44;
}

static bool path_is_down(enum tp_path path)
{
	return path_plain(path) >= TP_PATH_DOWN_44 && !path_hairpins(path);
}

/* Hairpins with indications take turns: ChannelData to Data, Send to ChannelData, Send to Data. */
static bool has_send(enum tp_path path, uint16_t n)
{
	return path_indicates(path) && !path_is_down(path) && (!path_hairpins(path) || n % 3 != 0);
}

static bool has_data(enum tp_path path, uint16_t n)
{
	return path_indicates(path) && (path_is_down(path) || (path_hairpins(path) && n % 3 != 1));
}

static struct tp_addr ip_only(struct tp_addr a)
{
	return tp_addr_ip_only(&a);
}

static struct tp_addr client(enum tp_path path, uint16_t n)
{
	return addr(path_in6(path), (uint8_t)(10 + path), (uint16_t)(1000 + n));
}

/* Of the client that sends; or, on the other side of a hairpin, of the one that is sent to. */
static uint32_t account_of(enum tp_path path, uint16_t n, bool is_other)
{
	return 1 + ((is_other ? TP_PATH_COUNT : 0) + path) * FLOWS + n;
}

static struct tp_flow *add(struct rig *r, const struct tp_flow_spec *spec)
{
	struct tp_flow *flow = NULL;

	assert_int_equal(tp_flow_add(r->flows, spec, &flow), 0);
	tp_flow_set_next_hop(flow, &hop);
	return flow;
}

/* One flow, or the two of a hairpin: its relayed addresses are of the other family than the client.
 */
static void open_path(struct rig *r, enum tp_path path, uint16_t n, struct tp_flow **up,
		struct tp_flow **down)
{
	bool is_hairpin = path_hairpins(path), is_down = path_is_down(path);
	bool in6 = path_in6(path), out6 = path_out6(path);
	struct tp_addr relay_a = addr(is_hairpin ? !in6 : out6, 2, relay_port(path, n, false));
	struct tp_addr relay_b = addr(is_hairpin ? !in6 : in6, 2, relay_port(path, n, true));
	struct tp_addr to = is_hairpin ? relay_b : addr(out6, 3, (uint16_t)(2000 + n));
	struct tp_addr from = is_hairpin ? relay_a : addr(in6, 3, (uint16_t)(2000 + n));
	bool is_send = has_send(path, n), is_data = has_data(path, n);
	struct tp_flow_spec spec = {
		.form = is_send ? TP_FLOW_SEND : TP_FLOW_CHANNEL,
		.in_src = client(path, n),
		.in_dst = addr(in6, 1, 3478),
		.in_channel = is_send ? 0 : (uint16_t)(CHANNEL + n),
		.in_peer = ip_only(to),
		.out_src = relay_a,
		.out_dst = is_send ? ip_only(to) : to,
		.is_hairpin = is_hairpin,
		.account = account_of(path, n, false),
		.deadline_ns = NOW + 1,
	};

	*up = is_down ? NULL : add(r, &spec);
	*down = NULL;
	if (!is_down && !is_hairpin)
		return;
	spec = (struct tp_flow_spec){
		.form = is_data ? TP_FLOW_DATA : TP_FLOW_CHANNEL,
		.in_src = is_data ? ip_only(from) : from,
		.in_dst = relay_b,
		.out_src = addr(out6, 1, 3478),
		.out_dst = addr(out6, 4, (uint16_t)(1000 + n)),
		.out_channel = is_data ? 0 : (uint16_t)(CHANNEL + n),
		.account = account_of(path, n, is_hairpin),
		.deadline_ns = NOW + 1,
	};
	*down = add(r, &spec);
}

/* A packet for flow n of a path, its data {path, n, sequence}. */
static struct packet packet_for(enum tp_path path, uint16_t n, const uint8_t data[3])
{
	bool in6 = path_in6(path), is_down = path_is_down(path), is_send = has_send(path, n);

	return (struct packet){
		.src = is_down ? addr(in6, 3, (uint16_t)(2000 + n)) : client(path, n),
		.dst = is_down ? addr(in6, 2, relay_port(path, n, true)) : addr(in6, 1, 3478),
		.ttl = 64,
		.channel = is_down || is_send ? 0 : (uint16_t)(CHANNEL + n),
		.stun = is_send ? SEND : 0,
		.peer = path_hairpins(path) ? addr(!in6, 2, relay_port(path, n, true))
					    : addr(path_out6(path), 3, (uint16_t)(2000 + n)),
		.n_pad = is_send ? 1 : 0,
		.data = data,
		.data_len = 3,
	};
}

/* A frame sent: of the path's output family, to the flow's own port, with its own data. */
static void check_sent(const uint8_t *frame, uint32_t len, uint8_t next_seq[][FLOWS])
{
	uint32_t udp = frame[12] == 0x86 ? 54 : 34;
	bool is_data = len > udp + 8 + 20 && frame[udp + 9] == 0x17;
	const uint8_t *data = frame + len - (is_data ? 4 : 3);
	enum tp_path path = data[0];
	uint8_t n = data[1];
	bool out6 = path_out6(path), is_up = path_plain(path) < TP_PATH_DOWN_44;
	bool is_peer6 = path_hairpins(path) ? !path_in6(path) : path_in6(path);
	uint32_t head = is_data ? (is_peer6 ? 48 : 36) : is_up ? 0 : 4;

	assert_int_equal(is_data, has_data(path, n));
	assert_int_equal(len, udp + 8 + head + 3 + (is_data ? 1 : 0));
	assert_memory_equal(frame, hop.l2, 12);
	assert_int_equal(frame[12], out6 ? 0x86 : 0x08);
	assert_int_equal(frame[udp + 2] << 8 | frame[udp + 3], (is_up ? 2000 : 1000) + n);
	if (!is_up && !is_data)
		assert_int_equal(frame[udp + 8] << 8 | frame[udp + 9], CHANNEL + n);
	assert_int_equal(data[2], next_seq[path][n]++); /* order within a flow is kept */
}

/* So many packets of three bytes: of who sends, up, and of who is sent to, down. */
static void check_account(const struct rig *r, enum tp_path path, uint16_t n, uint64_t pkts)
{
	struct tp_account_sum sum;

	tp_account_sum(r->accounts, account_of(path, n, false), &sum);
	assert_int_equal(path_is_down(path) ? sum.down.pkts : sum.up.pkts, pkts);
	assert_int_equal(path_is_down(path) ? sum.down.bytes : sum.up.bytes, 3 * pkts);
	assert_int_equal(path_is_down(path) ? sum.up.pkts : sum.down.pkts, 0);
	tp_account_sum(r->accounts, account_of(path, n, true), &sum);
	assert_int_equal(sum.up.pkts, 0);
	assert_int_equal(sum.down.pkts, path_hairpins(path) ? pkts : 0);
	assert_int_equal(sum.down.bytes, path_hairpins(path) ? 3 * pkts : 0);
}

static void test_names_of_paths(void **state)
{
	(void)state;
	assert_string_equal(tp_path_name(TP_PATH_UP_44), "up_4to4");
	assert_string_equal(tp_path_name(TP_PATH_HAIRPIN_66), "hairpin_6to6");
	assert_string_equal(tp_path_name(TP_PATH_SEND_46), "send_4to6");
	assert_string_equal(tp_path_name(TP_PATH_HAIRPIN_INDICATION_64), "hairpin_indication_6to4");
}

static void test_an_empty_burst(void **state)
{
	static struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(burst(&r, NOW), 0);
	assert_int_equal(atomic_load(&r.pipe.stats.rx_pkts), 0);
	rig_fini(&r);
}

static void test_each_path_is_carried_and_counted(void **state)
{
	static struct rig r;
	uint8_t out[PACKET_MAX], next_seq[TP_PATH_COUNT][FLOWS] = { { 0 } };
	struct tp_flow *up, *down;
	enum tp_path path;
	struct packet pkt;
	int len;

	(void)state;
	rig_init(&r);
	for (path = 0; path < TP_PATH_COUNT; path++) {
		uint8_t data[3] = { (uint8_t)path, 7, 0 };
		uint64_t rx_bytes = atomic_load(&r.pipe.stats.rx_bytes);

		open_path(&r, path, 7, &up, &down);
		pkt = packet_for(path, 7, data);
		inject(&r, &pkt);
		assert_int_equal(burst(&r, NOW), 1);
		assert_int_equal(r.out.n_forward, 1);
		assert_int_equal(r.out.forward[0].port, hop.port);
		len = tp_mem_collect(r.port, out, sizeof(out));
		assert_true(len > 0);
		check_sent(out, (uint32_t)len, next_seq);
		assert_int_equal(atomic_load(&r.pipe.stats.path[path]), 1);
		assert_int_equal(atomic_load(&r.pipe.stats.rx_bytes) - rx_bytes,
				packet_build(&pkt, out));
	}
	assert_int_equal(verdict(&r, TP_FORWARD), TP_PATH_COUNT);
	rig_fini(&r);
}

static void test_what_has_no_flow_is_punted_as_received(void **state)
{
	static struct rig r;
	static const uint8_t data[3] = { 1, 2, 3 };
	uint8_t want[PACKET_MAX];
	struct packet pkt;
	enum tp_path path;
	uint32_t len;

	(void)state;
	rig_init(&r);
	for (path = 0; path < TP_PATH_COUNT; path++) {
		pkt = packet_for(path, 1, data);
		inject(&r, &pkt);
		burst(&r, NOW);
		assert_int_equal(r.out.n_punt, 1);
		len = packet_build(&pkt, want);
		assert_int_equal(r.out.punt[0].len, len);
		assert_memory_equal(r.punted[0], want, len);
	}
	assert_int_equal(verdict(&r, TP_PUNT), TP_PATH_COUNT);
	rig_fini(&r);
}

/* The other allocation's channel: missing, expired, without next hop, there again. */
static void test_a_hairpin_needs_both_flows(void **state)
{
	static struct rig r;
	static const uint8_t data[3] = { TP_PATH_HAIRPIN_46, 0, 0 };
	struct packet pkt = packet_for(TP_PATH_HAIRPIN_46, 0, data);
	struct tp_flow *up, *down;

	(void)state;
	rig_init(&r);
	open_path(&r, TP_PATH_HAIRPIN_46, 0, &up, &down);
	inject(&r, &pkt);
	burst(&r, NOW);
	assert_int_equal(r.out.n_forward, 1);

	tp_flow_set_deadline(down, NOW);
	inject(&r, &pkt);
	burst(&r, NOW);
	assert_int_equal(r.out.n_punt, 1);

	tp_flow_set_deadline(down, NOW + 1);
	tp_flow_set_next_hop(down, NULL);
	inject(&r, &pkt);
	burst(&r, NOW);
	assert_int_equal(r.out.n_punt, 1);

	/* Its own next hop plays no part: the packet does not leave by it. */
	tp_flow_set_next_hop(down, &hop);
	tp_flow_set_next_hop(up, NULL);
	inject(&r, &pkt);
	burst(&r, NOW);
	assert_int_equal(r.out.n_forward, 1);

	tp_flow_del(r.flows, down);
	inject(&r, &pkt);
	burst(&r, NOW);
	assert_int_equal(r.out.n_punt, 1);

	tp_flow_set_deadline(up, NOW);
	inject(&r, &pkt);
	burst(&r, NOW);
	assert_int_equal(r.out.n_punt, 1);
	rig_fini(&r);
}

/* ---- permissions ---- */

/* One packet from the peer of a DATA path, by the port it sends from.  @return the frame sent */
static int from_peer_port(struct rig *r, enum tp_path path, uint16_t port, uint8_t out[PACKET_MAX])
{
	static const uint8_t data[3] = { 1, 2, 3 };
	struct packet pkt = packet_for(path, 0, data);

	pkt.src.port = port;
	inject(r, &pkt);
	burst(r, NOW);
	return tp_mem_collect(r->port, out, PACKET_MAX);
}

static bool is_channel_data(const uint8_t *frame)
{
	return frame[frame[12] == 0x86 ? 62 : 42] >= 0x40;
}

/* RFC 8656 section 12.5: what a channel is bound for MUST go as ChannelData. */
static void test_a_channel_wins_over_a_permission(void **state)
{
	static struct rig r;
	uint8_t out[PACKET_MAX];
	enum tp_path path;

	(void)state;
	for (path = TP_PATH_DATA_44; path <= TP_PATH_DATA_66; path++) {
		struct tp_flow *up, *down, *channel;
		struct tp_flow_spec spec = {
			.in_src = addr(path_in6(path), 3, 2000),
			.in_dst = addr(path_in6(path), 2, relay_port(path, 0, true)),
			.out_src = addr(path_out6(path), 1, 3478),
			.out_dst = addr(path_out6(path), 4, 1000),
			.out_channel = CHANNEL,
			.deadline_ns = NOW + 1,
		};

		rig_init(&r);
		open_path(&r, path, 0, &up, &down);
		assert_true(from_peer_port(&r, path, 2000, out) > 0);
		assert_false(is_channel_data(out));
		channel = add(&r, &spec);
		assert_true(from_peer_port(&r, path, 2000, out) > 0);
		assert_true(is_channel_data(out));
		assert_true(from_peer_port(&r, path, 2001, out) > 0);
		assert_false(is_channel_data(out));

		/* bound, and the core must see it: never by the permission instead */
		tp_flow_set_deadline(channel, NOW);
		assert_int_equal(from_peer_port(&r, path, 2000, out), 0);
		assert_int_equal(r.out.n_punt, 1);
		tp_flow_set_deadline(channel, NOW + 1);
		tp_flow_set_next_hop(channel, NULL);
		assert_int_equal(from_peer_port(&r, path, 2000, out), 0);
		assert_int_equal(r.out.n_punt, 1);

		tp_flow_del(r.flows, channel);
		assert_true(from_peer_port(&r, path, 2000, out) > 0);
		assert_false(is_channel_data(out));
		tp_flow_set_deadline(down, NOW);
		assert_int_equal(from_peer_port(&r, path, 2000, out), 0);
		assert_int_equal(r.out.n_punt, 1);
		assert_int_equal(atomic_load(&r.pipe.stats.path[path]), 3);
		rig_fini(&r);
	}
}

/* The other end of a hairpin: permitted, then bound, unbound, over, gone. */
static void test_a_hairpin_follows_what_the_other_side_does(void **state)
{
	static struct rig r;
	uint8_t out[PACKET_MAX];
	enum tp_path path = TP_PATH_HAIRPIN_INDICATION_46;
	uint16_t n;

	(void)state;
	for (n = 0; n < 3; n += 2) { /* from ChannelData, from Send */
		const uint8_t data[3] = { (uint8_t)path, (uint8_t)n, 0 };
		struct packet pkt = packet_for(path, n, data);
		struct tp_flow *up, *down, *channel;
		struct tp_flow_spec spec = {
			.in_src = addr(!path_in6(path), 2, relay_port(path, n, false)),
			.in_dst = addr(!path_in6(path), 2, relay_port(path, n, true)),
			.out_src = addr(path_out6(path), 1, 3478),
			.out_dst = addr(path_out6(path), 4, (uint16_t)(1000 + n)),
			.out_channel = (uint16_t)(CHANNEL + n),
			.deadline_ns = NOW + 1,
		};

		rig_init(&r);
		open_path(&r, path, n, &up, &down);
		inject(&r, &pkt);
		burst(&r, NOW);
		assert_true(tp_mem_collect(r.port, out, sizeof(out)) > 0);
		assert_false(is_channel_data(out));

		channel = add(&r, &spec);
		inject(&r, &pkt);
		burst(&r, NOW);
		assert_true(tp_mem_collect(r.port, out, sizeof(out)) > 0);
		assert_true(is_channel_data(out));

		tp_flow_set_deadline(channel, NOW);
		inject(&r, &pkt);
		burst(&r, NOW);
		assert_int_equal(r.out.n_punt, 1);

		tp_flow_del(r.flows, channel);
		inject(&r, &pkt);
		burst(&r, NOW);
		assert_true(tp_mem_collect(r.port, out, sizeof(out)) > 0);
		assert_false(is_channel_data(out));

		tp_flow_set_next_hop(down, NULL);
		inject(&r, &pkt);
		burst(&r, NOW);
		assert_int_equal(r.out.n_punt, 1);

		tp_flow_del(r.flows, down);
		inject(&r, &pkt);
		burst(&r, NOW);
		assert_int_equal(r.out.n_punt, 1);

		tp_flow_set_deadline(up, NOW);
		inject(&r, &pkt);
		burst(&r, NOW);
		assert_int_equal(r.out.n_punt, 1);
		assert_int_equal(tp_mem_collect(r.port, out, sizeof(out)), 0);
		rig_fini(&r);
	}
}

/* Port 0 is what a permission's key has for any port; a packet may have it too. */
static void test_a_peer_may_send_from_port_0(void **state)
{
	static struct rig r;
	struct tp_flow *up, *down;
	uint8_t out[PACKET_MAX];

	(void)state;
	rig_init(&r);
	open_path(&r, TP_PATH_DATA_44, 0, &up, &down);
	assert_true(from_peer_port(&r, TP_PATH_DATA_44, 0, out) > 0);
	assert_memory_equal(out + 42 + 26, "\x21\x12", 2);
	rig_fini(&r);
}

static void test_a_table_without_permissions(void **state)
{
	static struct rig r;
	struct tp_flow_table_conf conf = { .max_channel_flows = 8 };
	static const uint8_t data[3] = { 0 };
	struct packet send = packet_for(TP_PATH_SEND_44, 0, data);
	struct packet plain = packet_for(TP_PATH_DATA_66, 0, data);
	struct tp_flow_table *other;

	(void)state;
	rig_init(&r);
	conf.grace = r.grace;
	assert_int_equal(tp_flow_table_new(&conf, &other), 0);
	r.pipe.flows = other;
	inject(&r, &send);
	inject(&r, &plain);
	burst(&r, NOW);
	assert_int_equal(r.out.n_punt, 2);
	r.pipe.flows = r.flows;
	tp_flow_table_free(other);
	rig_fini(&r);
}

static void test_an_expired_flow(void **state)
{
	static struct rig r;
	static const uint8_t data[3] = { 0 };
	struct packet up_pkt = packet_for(TP_PATH_UP_46, 0, data);
	struct packet down_pkt = packet_for(TP_PATH_DOWN_64, 0, data);
	struct tp_flow *up, *down;

	(void)state;
	rig_init(&r);
	open_path(&r, TP_PATH_UP_46, 0, &up, &down);
	open_path(&r, TP_PATH_DOWN_64, 0, &up, &down);
	inject(&r, &up_pkt);
	inject(&r, &down_pkt);
	burst(&r, NOW + 1);
	assert_int_equal(verdict(&r, TP_DROP_EXPIRED), 1);
	assert_int_equal(verdict(&r, TP_PUNT), 1);
	rig_fini(&r);
}

static void test_a_full_port_and_a_full_ring(void **state)
{
	static struct rig r;
	static const uint8_t data[3] = { TP_PATH_UP_44, 0, 0 };
	struct packet known = packet_for(TP_PATH_UP_44, 0, data), unknown = known;
	struct tp_flow *up, *down;
	uint32_t i;

	(void)state;
	rig_init(&r);
	open_path(&r, TP_PATH_UP_44, 0, &up, &down);
	unknown.channel = 0x4eee;
	for (i = 0; i < TP_BURST; i++)
		inject(&r, i & 1 ? &known : &unknown);
	tp_mem_limit_tx(r.port, 10);
	r.punt_room = 3;
	burst(&r, NOW);
	assert_int_equal(verdict(&r, TP_FORWARD), 10);
	assert_int_equal(verdict(&r, TP_DROP_TX_FULL), TP_BURST / 2 - 10);
	assert_int_equal(verdict(&r, TP_PUNT), 3);
	assert_int_equal(verdict(&r, TP_DROP_PUNT_FULL), TP_BURST / 2 - 3);
	check_account(&r, TP_PATH_UP_44, 0, 10);
	rig_fini(&r);
}

/* Sixteen packets at once, of each direction; whatever else goes through the same worker. */
static void test_a_limit_is_of_an_allocation_and_a_direction(void **state)
{
	static const enum tp_path paths[] = { TP_PATH_UP_44, TP_PATH_DOWN_64, TP_PATH_SEND_46,
		TP_PATH_DATA_66, TP_PATH_HAIRPIN_44, TP_PATH_HAIRPIN_INDICATION_66 };
	const uint32_t n_paths = sizeof(paths) / sizeof(paths[0]);
	struct tp_flow *up, *down;
	static struct rig r;
	struct packet pkt;

	(void)state;
	rig_init_limited(&r, &(struct tp_meter_conf){ .pps = 10 });
	for (uint32_t p = 0; p < n_paths; p++)
		for (uint16_t n = 0; n < 2; n++)
			open_path(&r, paths[p], n, &up, &down);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t p = 0; p < n_paths; p++) {
			const uint8_t data[3] = { (uint8_t)paths[p], 0, 0 };

			pkt = packet_for(paths[p], 0, data);
			for (uint32_t i = 0; i < 8; i++)
				inject(&r, &pkt);
		}
		burst(&r, NOW);
	}
	assert_int_equal(verdict(&r, TP_FORWARD), 16 * n_paths);
	assert_int_equal(verdict(&r, TP_DROP_RATE), 8 * n_paths);
	for (uint32_t p = 0; p < n_paths; p++) {
		const uint8_t data[3] = { (uint8_t)paths[p], 1, 0 };

		check_account(&r, paths[p], 0, 16);
		pkt = packet_for(paths[p], 1, data);
		inject(&r, &pkt);
	}
	burst(&r, NOW);
	assert_int_equal(verdict(&r, TP_FORWARD), 17 * n_paths);
	rig_fini(&r);
}

/* What the kernel path is to relay is limited there, and not twice. */
static void test_what_is_punted_takes_nothing_from_a_limit(void **state)
{
	static const uint8_t data[3] = { TP_PATH_UP_44, 0, 0 };
	struct packet pkt = packet_for(TP_PATH_UP_44, 0, data);
	struct tp_flow *up, *down;
	static struct rig r;
	uint32_t i;

	(void)state;
	rig_init_limited(&r, &(struct tp_meter_conf){ .pps = 10, .bps = 1 });
	open_path(&r, TP_PATH_UP_44, 0, &up, &down);
	tp_flow_set_next_hop(up, NULL);
	for (i = 0; i < TP_BURST; i++)
		inject(&r, &pkt);
	burst(&r, NOW);
	assert_int_equal(verdict(&r, TP_PUNT), TP_BURST);
	tp_flow_set_next_hop(up, &hop);
	for (i = 0; i < 17; i++)
		inject(&r, &pkt);
	burst(&r, NOW);
	assert_int_equal(verdict(&r, TP_FORWARD), 16);
	assert_int_equal(verdict(&r, TP_DROP_RATE), 1);
	check_account(&r, TP_PATH_UP_44, 0, 16);
	rig_fini(&r);
}

/* A client that floods another one has it dropped where that one's limit ends. */
static void test_a_hairpin_is_limited_by_either_side(void **state)
{
	const enum tp_path path = TP_PATH_HAIRPIN_46;
	static const uint8_t data[3] = { TP_PATH_HAIRPIN_46, 0, 0 };
	struct packet pkt = packet_for(path, 0, data);
	struct tp_flow *up, *down;
	struct tp_account_sum sum;
	static struct rig r;

	(void)state;
	rig_init_limited(&r, &(struct tp_meter_conf){ .pps = 10 });
	open_path(&r, path, 0, &up, &down);
	for (uint32_t i = 0; i < 10; i++)
		assert_true(tp_tally_admit(r.pipe.tally, down->account_at, 3, true, NOW));
	for (uint32_t i = 0; i < 10; i++)
		inject(&r, &pkt);
	burst(&r, NOW);
	assert_int_equal(verdict(&r, TP_FORWARD), 6);
	assert_int_equal(verdict(&r, TP_DROP_RATE), 4);
	check_account(&r, path, 0, 6);
	/* what the other one did not get was not relayed for the first one either */
	tp_account_sum(r.accounts, account_of(path, 0, false), &sum);
	assert_int_equal(sum.up.pkts, 6);
	rig_fini(&r);
}

static void test_what_leaves_by_another_interface_is_punted(void **state)
{
	static struct rig r;
	static const uint8_t data[3] = { TP_PATH_DOWN_46, 0, 0 };
	struct packet pkt = packet_for(TP_PATH_DOWN_46, 0, data);
	struct tp_flow *up, *down;

	(void)state;
	rig_init(&r);
	open_path(&r, TP_PATH_DOWN_46, 0, &up, &down);
	r.pipe.egress_ports = ~(1ull << hop.port);
	inject(&r, &pkt);
	burst(&r, NOW);
	assert_int_equal(r.out.n_punt, 1);
	r.pipe.egress_ports = 1ull << hop.port;
	inject(&r, &pkt);
	burst(&r, NOW);
	assert_int_equal(r.out.n_forward, 1);
	rig_fini(&r);
}

static void test_ip_ids_differ(void **state)
{
	static struct rig r;
	static const uint8_t data[3] = { TP_PATH_UP_44, 0, 0 };
	struct packet pkt = packet_for(TP_PATH_UP_44, 0, data);
	uint8_t a[PACKET_MAX], b[PACKET_MAX];
	struct tp_flow *up, *down;

	(void)state;
	rig_init(&r);
	open_path(&r, TP_PATH_UP_44, 0, &up, &down);
	inject(&r, &pkt);
	inject(&r, &pkt);
	burst(&r, NOW);
	assert_true(tp_mem_collect(r.port, a, sizeof(a)) > 0);
	assert_true(tp_mem_collect(r.port, b, sizeof(b)) > 0);
	assert_memory_not_equal(a + 18, b + 18, 2);
	rig_fini(&r);
}

/* A frame that is no packet at all, in one of several ways. */
static void inject_junk(struct rig *r, uint32_t seed)
{
	static const uint8_t data[3] = { 0 };
	struct packet pkt = packet_for(seed % TP_PATH_COUNT, 0, data);
	uint8_t bytes[PACKET_MAX];
	uint32_t len = packet_build(&pkt, bytes);

	switch (seed % 3) {
	case 0:
		len = seed % len;
		break;
	case 1:
		bytes[12] ^= 0x55;
		break;
	default:
		pkt.ttl = 1;
		len = packet_build(&pkt, bytes);
		break;
	}
	assert_int_equal(tp_mem_inject(r->port, bytes, len), 0);
}

/* Bursts of everything mixed: all paths, unknown flows, junk; every good packet comes out. */
static void test_mixed_bursts(void **state)
{
	static struct rig r;
	static uint8_t seq[TP_PATH_COUNT][FLOWS], next_seq[TP_PATH_COUNT][FLOWS];
	static uint32_t n_sent[TP_PATH_COUNT][FLOWS];
	uint32_t i, n, round, seed = 99, n_good = 0;
	struct tp_flow *up, *down;
	uint8_t out[PACKET_MAX], data[3];
	enum tp_path path;
	struct packet pkt;
	int len;

	(void)state;
	memset(seq, 0, sizeof(seq));
	memset(next_seq, 0, sizeof(next_seq));
	rig_init(&r);
	for (path = 0; path < TP_PATH_COUNT; path++) {
		for (i = 0; i < FLOWS; i++)
			open_path(&r, path, (uint16_t)i, &up, &down);
	}
	for (round = 0; round < 500; round++) {
		n = round % (TP_BURST + 1);
		for (i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			path = (seed >> 8) % TP_PATH_COUNT;
			data[0] = (uint8_t)path;
			data[1] = (seed >> 16) % FLOWS;
			pkt = packet_for(path, data[1], data);
			if ((seed >> 28) == 0) {
				inject_junk(&r, seed >> 4);
			} else if ((seed >> 28) == 1) {
				pkt.src.ip[1] ^= 0x80; /* unknown */
				inject(&r, &pkt);
			} else {
				data[2] = seq[path][data[1]]++;
				n_sent[path][data[1]]++;
				inject(&r, &pkt);
				n_good++;
			}
		}
		assert_int_equal(burst(&r, NOW), n);
		while ((len = tp_mem_collect(r.port, out, sizeof(out))) > 0)
			check_sent(out, (uint32_t)len, next_seq);
	}
	assert_int_equal(verdict(&r, TP_FORWARD), n_good);
	assert_memory_equal(seq, next_seq, sizeof(seq));
	for (path = 0; path < TP_PATH_COUNT; path++)
		for (i = 0; i < FLOWS; i++)
			check_account(&r, path, (uint16_t)i, n_sent[path][i]);
	assert_true(verdict(&r, TP_PUNT) > 0);
	assert_true(verdict(&r, TP_DROP_SHORT) > 0);
	assert_true(verdict(&r, TP_DROP_NOT_UDP) > 0);
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_paths),
		cmocka_unit_test(test_an_empty_burst),
		cmocka_unit_test(test_each_path_is_carried_and_counted),
		cmocka_unit_test(test_what_has_no_flow_is_punted_as_received),
		cmocka_unit_test(test_a_hairpin_needs_both_flows),
		cmocka_unit_test(test_a_channel_wins_over_a_permission),
		cmocka_unit_test(test_a_hairpin_follows_what_the_other_side_does),
		cmocka_unit_test(test_a_peer_may_send_from_port_0),
		cmocka_unit_test(test_a_table_without_permissions),
		cmocka_unit_test(test_an_expired_flow),
		cmocka_unit_test(test_a_full_port_and_a_full_ring),
		cmocka_unit_test(test_what_leaves_by_another_interface_is_punted),
		cmocka_unit_test(test_ip_ids_differ),
		cmocka_unit_test(test_a_limit_is_of_an_allocation_and_a_direction),
		cmocka_unit_test(test_what_is_punted_takes_nothing_from_a_limit),
		cmocka_unit_test(test_a_hairpin_is_limited_by_either_side),
		cmocka_unit_test(test_mixed_bursts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
