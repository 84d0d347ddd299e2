/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of DPDK that have their other end in this process: net_ring, where what the device sends
 * lies in the ring from which it receives, and net_pcap, which receives what a capture file has and
 * sends into another.  The EAL comes up once in a process: one of them.
 */
#include "carrier.h"

#include "io/dpdk.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "../unit/eal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define MTU 9100 /* above every frame there is: each lies in one mbuf */

static struct tp_dpdk *dev;
static struct tp_dpdk_pool *pool;
static struct tp_port *port;

/* ---- any device ---- */

static int open_all(const char *device, const struct tp_steer_rules *rules, struct tp_why *why)
{
	const struct tp_dpdk_conf conf = {
		.name = "wan0",
		.device = device,
		.index = CARRIER_INDEX,
		.queues = 1,
		.mtu = MTU,
	};
	struct tp_dpdk_port_conf pc = { .rules = *rules };
	int rc = tp_dpdk_open(&conf, &dev, why);

	if (rc == 0)
		rc = tp_dpdk_pool_new("golden", tp_dpdk_pool_frames(1), tp_dpdk_frame_bytes(MTU),
				dev, &pool, why);
	pc.pool = pool;
	if (rc == 0)
		rc = tp_dpdk_port_new(dev, &pc, &port, why);
	return rc == 0 ? tp_dpdk_start(dev, why) : rc;
}

static void open_device(struct carrier *c, const char *device)
{
	struct tp_why why = { "the EAL does not start" };

	if (eal_start(NULL) != 0 || open_all(device, c->rules, &why) != 0)
		carrier_die(c->name, why.text);
	c->port = port;
}

static void close_device(void)
{
	uint32_t frames, n_free;
	struct tp_port_stats stats;

	tp_port_stats(port, &stats);
	if (stats.to_kernel_pkts + stats.to_kernel_dropped != 0)
		carrier_die("DPDK", "a frame for the worker was taken for the kernel's");
	tp_port_close(port);
	tp_dpdk_close(dev);
	tp_dpdk_pool_count(pool, &frames, &n_free);
	if (frames != n_free)
		carrier_die("DPDK", "frames were not given back");
	tp_dpdk_pool_free(pool);
	eal_stop(NULL);
}

/* ---- net_ring ---- */

static struct rte_ring *wire;

static void ring_put(const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m;
	struct tp_frame f;
	char *room;

	/* Through the port's own memory, as the device would. */
	if (tp_port_alloc(port, &f, 1) != 1)
		carrier_die("net_ring", "the pool is empty");
	m = (struct rte_mbuf *)(uintptr_t)f.cookie;
	room = rte_pktmbuf_append(m, (uint16_t)len);
	if (room == NULL || rte_ring_enqueue(wire, m) != 0)
		carrier_die("net_ring", "no room for a frame");
	memcpy(room, frame, len);
}

static uint32_t ring_take(uint8_t *out, uint32_t room)
{
	struct rte_mbuf *m;
	uint32_t len;

	if (rte_ring_dequeue(wire, (void **)&m) != 0)
		return 0;
	len = m->data_len;
	if (m->nb_segs != 1 || m->pkt_len != len || len > room || m->data_off + len > m->buf_len)
		carrier_die("net_ring", "an mbuf with lengths that lie");
	memcpy(out, rte_pktmbuf_mtod(m, void *), len);
	rte_pktmbuf_free(m);
	return len;
}

void carrier_open_dpdk(struct carrier *c, const struct steering *s)
{
	c->rules = &s->rules;
	c->frame_max = MTU + 14;
	c->put = ring_put;
	c->take = ring_take;
	c->close = close_device;
	open_device(c, "net_ring0");
	wire = rte_ring_lookup("ETH_RXTX0_net_ring0");
	if (wire == NULL)
		carrier_die("net_ring", "no such ring");
}

/* ---- net_pcap ---- */

#define PCAP_US 0xa1b2c3d4u /* the magic number of times in microseconds */
#define PCAP_NS 0xa1b23c4du /* and in nanoseconds: the driver's */
#define PCAP_SNAPLEN UINT16_MAX
#define LINKTYPE_ETHERNET 1

struct pcap_file {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, sigfigs, snaplen, linktype;
};

struct pcap_record {
	uint32_t seconds, fraction, captured, len;
};

_Static_assert(sizeof(struct pcap_file) == 24 && sizeof(struct pcap_record) == 16,
		"they are written as they lie in memory");

/* Files without a name, which the driver opens by descriptor: nothing is left, whatever happens. */
static int to_receive, sent;
static off_t sent_at; /* behind what was taken */

static int nameless(const char *what)
{
	int fd = memfd_create(what, MFD_CLOEXEC);

	if (fd < 0)
		carrier_die(what, strerror(errno));
	return fd;
}

static void pcap_put(const uint8_t *frame, uint32_t len)
{
	struct pcap_record record = { .captured = len, .len = len };
	struct iovec parts[] = { { &record, sizeof(record) }, { (void *)(uintptr_t)frame, len } };

	if (writev(to_receive, parts, 2) != (ssize_t)(sizeof(record) + len))
		carrier_die("net_pcap: writev", strerror(errno));
}

/* @return whether the file has more: then all of what is asked for */
static bool read_sent(void *out, size_t bytes)
{
	ssize_t got = pread(sent, out, bytes, sent_at);

	if (got != 0 && got != (ssize_t)bytes)
		carrier_die("net_pcap", "what was sent is cut short");
	sent_at += got;
	return got > 0;
}

/* The driver flushes the file behind each burst. */
static uint32_t pcap_take(uint8_t *out, uint32_t room)
{
	struct pcap_record record;

	if (!read_sent(&record, sizeof(record)))
		return 0;
	if (record.len == 0 || record.captured != record.len || record.len > room ||
			!read_sent(out, record.len))
		carrier_die("net_pcap", "a record with lengths that lie");
	return record.len;
}

static void pcap_start(struct carrier *c)
{
	struct pcap_file header;
	char device[128];

	snprintf(device, sizeof(device),
			"net_pcap0,rx_pcap=/proc/self/fd/%d,tx_pcap=/proc/self/fd/%d", to_receive,
			sent);
	open_device(c, device);
	/* The header waits in the driver's buffer for the first burst; an empty one brings none. */
	sent_at = sizeof(header);
}

static void pcap_close(void)
{
	struct pcap_file header;

	close_device();
	if (lseek(sent, 0, SEEK_END) != sent_at)
		carrier_die("net_pcap", "something is sent that nobody forwarded");
	if (pread(sent, &header, sizeof(header), 0) != sizeof(header) || header.magic != PCAP_NS ||
			header.major != 2 || header.minor != 4 ||
			header.linktype != LINKTYPE_ETHERNET)
		carrier_die("net_pcap", "no capture file of Ethernet frames is written");
	close(to_receive);
	close(sent);
}

void carrier_open_pcap(struct carrier *c, const struct steering *s)
{
	const struct pcap_file header = { PCAP_US, 2, 4, 0, 0, PCAP_SNAPLEN, LINKTYPE_ETHERNET };

	to_receive = nameless("received");
	sent = nameless("sent");
	if (write(to_receive, &header, sizeof(header)) != sizeof(header))
		carrier_die("net_pcap: write", strerror(errno));
	c->rules = &s->rules;
	c->frame_max = MTU + 14;
	c->put = pcap_put;
	c->start = pcap_start;
	c->take = pcap_take;
	c->close = pcap_close;
}
