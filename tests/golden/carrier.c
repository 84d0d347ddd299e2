/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier.h"

#include "base/clock.h"
#include "io/mem.h"
#include "io/steer_conf.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_NS (5 * TP_NS_PER_SEC)
#define MEM_CHUNKS (2 * TP_BURST)

static struct tp_port *mem;

void carrier_die(const char *what, const char *text)
{
	fprintf(stderr, "run_pipeline: %s: %.80s\n", what, text);
	exit(EXIT_FAILURE);
}

/* ---- steering ---- */

static void add_once(struct tp_addr addrs[2], uint32_t *n, const struct tp_addr *addr)
{
	for (uint32_t i = 0; i < *n; i++)
		if (tp_addr_equal(&addrs[i], addr))
			return;
	if (*n == 2)
		carrier_die("too many local addresses", "one of each family");
	addrs[(*n)++] = *addr;
}

void steering_add_listener(struct steering *s, const struct tp_addr *addr)
{
	add_once(s->listeners, &s->n_listeners, addr);
}

void steering_add_relay(struct steering *s, const struct tp_addr *addr)
{
	const struct tp_addr ip = tp_addr_ip_only(addr);

	add_once(s->relays, &s->n_relays, &ip);
}

void steering_make(struct steering *s, uint16_t min, uint16_t max)
{
	const struct tp_steer_conf conf = { s->listeners, s->n_listeners, s->relays, s->n_relays,
		false };
	struct tp_why why = { "" };

	if (tp_steer_conf_make(&conf, &s->conf, &why) != 0)
		carrier_die("steering", why.text);
	for (uint32_t relay = 0; relay < s->n_relays; relay++)
		for (uint32_t port = min; port <= max; port++)
			s->ports[relay].fast[port >> 6] |= 1ull << (port & 63);
	memset(s->accept.addrs, 0xff, sizeof(s->accept.addrs));
	for (uint32_t vlan = 1; vlan < CARRIER_VLANS; vlan++)
		s->accept.vlans[vlan >> 6] |= 1ull << (vlan & 63);
	s->rules = (struct tp_steer_rules){ &s->conf, s->ports, &s->accept };
}

/* ---- mem ---- */

static void mem_put(const uint8_t *frame, uint32_t len)
{
	if (tp_mem_inject(mem, frame, len) != 0)
		carrier_die("mem", "a frame is not taken");
}

static uint32_t mem_take(uint8_t *out, uint32_t room)
{
	int len = tp_mem_collect(mem, out, room);

	if (len < 0)
		carrier_die("mem", "a frame is too long");
	return (uint32_t)len;
}

static void mem_close(void)
{
	if (tp_mem_held(mem) != 0)
		carrier_die("mem", "frames were not given back");
	tp_port_close(mem);
}

void carrier_open_mem(struct carrier *c)
{
	if (tp_mem_new(CARRIER_INDEX, MEM_CHUNKS, &mem) != 0)
		carrier_die("mem", "no memory");
	c->port = mem;
	c->frame_max = TP_MEM_CHUNK - TP_MEM_HEADROOM;
	c->put = mem_put;
	c->take = mem_take;
	c->close = mem_close;
}

/* ---- all drivers ---- */

void carrier_open(struct carrier *c, const char *name, const struct steering *s)
{
	*c = (struct carrier){ .name = name };
	if (strcmp(name, "mem") == 0)
		carrier_open_mem(c);
	else if (strcmp(name, "dpdk") == 0)
		carrier_open_dpdk(c, s);
	else if (strcmp(name, "pcap") == 0)
		carrier_open_pcap(c, s);
	else if (strcmp(name, "afxdp") == 0)
		carrier_open_afxdp(c, s);
	else
		carrier_die("no such driver", name);
}

bool carrier_takes(const struct carrier *c, const uint8_t *frame, uint32_t len)
{
	return len <= c->frame_max &&
			(c->rules == NULL || tp_steer_rules_match(c->rules, frame, len));
}

static void wait_for(const struct carrier *c, uint64_t since_ns, const char *what)
{
	struct pollfd ready = { .fd = tp_port_fd(c->port), .events = POLLIN };

	if (tp_clock_now_ns() - since_ns > PATIENCE_NS)
		carrier_die(c->name, what);
	tp_port_flush(c->port);
	poll(&ready, 1, 1); /* also to let others run */
}

static void expect_no_more(const struct carrier *c)
{
	struct tp_frame more;

	if (tp_port_rx(c->port, &more, 1) != 0)
		carrier_die(c->name, "a frame is received that nobody sent");
}

void carrier_rx(const struct carrier *c, struct tp_frame frames[], uint32_t n)
{
	const uint64_t since_ns = tp_clock_now_ns();
	uint32_t got = 0;

	while ((got += tp_port_rx(c->port, frames + got, n - got)) < n)
		wait_for(c, since_ns, "a frame is not received");
	if (c->start == NULL)
		expect_no_more(c);
}

void carrier_tx(const struct carrier *c, const struct tp_frame frames[], uint32_t n)
{
	const uint64_t since_ns = tp_clock_now_ns();
	uint32_t sent = 0;

	while ((sent += tp_port_tx(c->port, frames + sent, n - sent)) < n)
		wait_for(c, since_ns, "a frame is not taken");
	tp_port_flush(c->port);
}

uint32_t carrier_take(const struct carrier *c, uint8_t *out, uint32_t room)
{
	const uint64_t since_ns = tp_clock_now_ns();
	uint32_t len;

	while ((len = c->take(out, room)) == 0)
		wait_for(c, since_ns, "a frame is not sent");
	return len;
}

void carrier_close(const struct carrier *c)
{
	static uint8_t frame[UINT16_MAX];

	expect_no_more(c);
	if (c->take(frame, sizeof(frame)) != 0)
		carrier_die(c->name, "a frame is sent that nobody forwarded");
	c->close();
}
