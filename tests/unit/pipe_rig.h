/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipe_rig - a worker without thread, flows of every path through it, packets for them, and what
 * has to become of those.
 */
#ifndef TP_TESTS_UNIT_PIPE_RIG_H
#define TP_TESTS_UNIT_PIPE_RIG_H

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

static struct rig rig;

static inline void rig_init(struct rig *r, const struct tp_meter_conf *limits)
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

static inline void rig_fini(struct rig *r)
{
	tp_grace_offline(r->grace, 0);
	tp_port_close(r->port);
	tp_flow_table_free(r->flows);
	tp_accounts_free(r->accounts);
	tp_grace_free(r->grace);
}

static const struct tp_meter_conf no_limits = { .bps = 0 };

static inline int set_up(void **state)
{
	*state = &rig;
	rig_init(&rig, &no_limits);
	return 0;
}

static inline int tear_down(void **state)
{
	rig_fini(*state);
	return 0;
}

/* In the middle of a test: all from the beginning. */
static inline void start_over(struct rig *r, const struct tp_meter_conf *limits)
{
	rig_fini(r);
	rig_init(r, limits);
}

static inline uint64_t verdict(const struct rig *r, enum tp_verdict v)
{
	return atomic_load(&r->pipe.stats.verdict[v]);
}

static inline uint64_t accounted(const struct rig *r)
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
static inline void check_sums(const struct rig *r)
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
static inline uint32_t burst(struct rig *r, uint64_t now_ns)
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

static inline void inject(struct rig *r, const struct packet *pkt)
{
	uint8_t bytes[PACKET_MAX];
	uint32_t len = packet_build(pkt, bytes);

	assert_int_equal(tp_mem_inject(r->port, bytes, len), 0);
}

static inline struct tp_addr addr(bool is_v6, uint8_t host, uint16_t port)
{
	uint8_t v4[4] = { 192, 0, 2, host }, v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = host };

	return is_v6 ? tp_addr_v6(v6, port) : tp_addr_v4(v4, port);
}

/*
 * Flow n of a path: client and peer have a port of their own, 1000 + n and 2000 + n; relayed ports
 * are per path, so that all paths fit one table.
 */
static inline uint16_t relay_port(enum tp_path path, uint16_t n, bool is_b)
{
	return (uint16_t)(49152 + path * 2 * FLOWS + (is_b ? FLOWS : 0) + n);
}

static inline bool path_in6(enum tp_path path)
{
	return (path & 2) != 0;
}

static inline bool path_out6(enum tp_path path)
{
	return (path & 1) != 0;
}

/* By indications, or by channels? */
static inline bool path_indicates(enum tp_path path)
{
	return path >= TP_PATH_SEND_44;
}

/* The path without indications of the same direction. */
static inline enum tp_path path_plain(enum tp_path path)
{
	return path_indicates(path) ? path - TP_PATH_SEND_44 + TP_PATH_UP_44 : path;
}

static inline bool path_hairpins(enum tp_path path)
{
	return path_plain(path) >= TP_PATH_HAIRPIN_44;
}

static inline bool path_is_down(enum tp_path path)
{
	return path_plain(path) >= TP_PATH_DOWN_44 && !path_hairpins(path);
}

/* Hairpins with indications take turns: ChannelData to Data, Send to ChannelData, Send to Data. */
static inline bool has_send(enum tp_path path, uint16_t n)
{
	return path_indicates(path) && !path_is_down(path) && (!path_hairpins(path) || n % 3 != 0);
}

static inline bool has_data(enum tp_path path, uint16_t n)
{
	return path_indicates(path) && (path_is_down(path) || (path_hairpins(path) && n % 3 != 1));
}

static inline struct tp_addr ip_only(struct tp_addr a)
{
	return tp_addr_ip_only(&a);
}

static inline struct tp_addr client(enum tp_path path, uint16_t n)
{
	return addr(path_in6(path), (uint8_t)(10 + path), (uint16_t)(1000 + n));
}

/* Of the client that sends; or, on the other side of a hairpin, of the one that is sent to. */
static inline uint32_t account_of(enum tp_path path, uint16_t n, bool is_other)
{
	return 1 + ((is_other ? TP_PATH_COUNT : 0) + path) * FLOWS + n;
}

static inline struct tp_flow *add(struct rig *r, const struct tp_flow_spec *spec)
{
	struct tp_flow *flow = NULL;

	assert_int_equal(tp_flow_add(r->flows, spec, &flow), 0);
	tp_flow_set_next_hop(flow, &hop);
	return flow;
}

/* The flows of n of a path; NULL where it has none. */
struct path_flows {
	struct tp_flow *up, *down;
};

/* From whom the relayed address has it: the peer, or the other relayed address of a hairpin, which
 * are of the other family than the client. */
static inline struct tp_addr down_from(enum tp_path path, uint16_t n)
{
	return path_hairpins(path) ? addr(!path_in6(path), 2, relay_port(path, n, false))
				   : addr(path_in6(path), 3, (uint16_t)(2000 + n));
}

/* To the client, from a channel of its own or by a permission. */
static inline struct tp_flow *open_down(struct rig *r, enum tp_path path, uint16_t n, bool is_data)
{
	bool in6 = path_in6(path), out6 = path_out6(path);
	struct tp_addr from = down_from(path, n);
	struct tp_flow_spec spec = {
		.form = is_data ? TP_FLOW_DATA : TP_FLOW_CHANNEL,
		.in_src = is_data ? ip_only(from) : from,
		.in_dst = addr(path_hairpins(path) ? !in6 : in6, 2, relay_port(path, n, true)),
		.out_src = addr(out6, 1, 3478),
		.out_dst = addr(out6, 4, (uint16_t)(1000 + n)),
		.out_channel = is_data ? 0 : (uint16_t)(CHANNEL + n),
		.account = account_of(path, n, path_hairpins(path)),
		.deadline_ns = NOW + 1,
	};

	return add(r, &spec);
}

static inline struct tp_flow *open_up(struct rig *r, enum tp_path path, uint16_t n)
{
	bool is_hairpin = path_hairpins(path), is_send = has_send(path, n);
	bool in6 = path_in6(path), out6 = path_out6(path);
	struct tp_addr to = is_hairpin ? addr(!in6, 2, relay_port(path, n, true))
				       : addr(out6, 3, (uint16_t)(2000 + n));
	struct tp_flow_spec spec = {
		.form = is_send ? TP_FLOW_SEND : TP_FLOW_CHANNEL,
		.in_src = client(path, n),
		.in_dst = addr(in6, 1, 3478),
		.in_channel = is_send ? 0 : (uint16_t)(CHANNEL + n),
		.in_peer = ip_only(to),
		.out_src = addr(is_hairpin ? !in6 : out6, 2, relay_port(path, n, false)),
		.out_dst = is_send ? ip_only(to) : to,
		.is_hairpin = is_hairpin,
		.account = account_of(path, n, false),
		.deadline_ns = NOW + 1,
	};

	return add(r, &spec);
}

static inline struct path_flows open_path(struct rig *r, enum tp_path path, uint16_t n)
{
	bool is_down = path_is_down(path);

	return (struct path_flows){
		.up = is_down ? NULL : open_up(r, path, n),
		.down = is_down || path_hairpins(path) ? open_down(r, path, n, has_data(path, n))
						       : NULL,
	};
}

/* A packet for flow n of a path, its data {path, n, sequence}. */
static inline struct packet packet_for(enum tp_path path, uint16_t n, const uint8_t data[3])
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
static inline void check_sent(const uint8_t *frame, uint32_t len, uint8_t next_seq[][FLOWS])
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
static inline void check_account(const struct rig *r, enum tp_path path, uint16_t n, uint64_t pkts)
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

/* One packet, one burst: it is sent, or punted and nothing is sent. */
static inline void expect_forward(struct rig *r, const struct packet *pkt)
{
	inject(r, pkt);
	assert_int_equal(burst(r, NOW), 1);
	assert_int_equal(r->out.n_forward, 1);
}

static inline void expect_punt(struct rig *r, const struct packet *pkt)
{
	uint8_t want[PACKET_MAX];
	uint32_t len = packet_build(pkt, want);

	inject(r, pkt);
	assert_int_equal(burst(r, NOW), 1);
	assert_int_equal(r->out.n_punt, 1);
	assert_int_equal(r->out.punt[0].len, len);
	assert_memory_equal(r->punted[0], want, len);
	assert_int_equal(tp_mem_collect(r->port, want, sizeof(want)), 0);
}

/* What was sent first of what is not yet collected.  @return its length */
static inline uint32_t collect(struct rig *r, uint8_t frame[PACKET_MAX])
{
	int len = tp_mem_collect(r->port, frame, PACKET_MAX);

	assert_true(len > 0);
	return (uint32_t)len;
}

static inline bool is_channel_data(const uint8_t *frame)
{
	return frame[frame[12] == 0x86 ? 62 : 42] >= 0x40;
}

static inline void expect_channel_data(struct rig *r, const struct packet *pkt)
{
	uint8_t frame[PACKET_MAX];

	expect_forward(r, pkt);
	collect(r, frame);
	assert_true(is_channel_data(frame));
}

static inline void expect_data_indication(struct rig *r, const struct packet *pkt)
{
	uint8_t frame[PACKET_MAX];

	expect_forward(r, pkt);
	collect(r, frame);
	assert_false(is_channel_data(frame));
}

#endif
