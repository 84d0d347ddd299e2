/* SPDX-License-Identifier: Apache-2.0 */
#include "header_filter.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/be.h"
#include "wire/ip.h"

#define PROGRAM_MAX 1024
#define PROGRAM_REST 64 /* all but the addresses */
#define ACCEPT 0xffffffffu
#define REJECT 0

struct program {
	struct sock_filter at[PROGRAM_MAX];
	uint16_t n;
};

/* Where the headers lie: a raw socket's data begin with the IP header, a UDP socket's with UDP's.
 */
struct base {
	uint32_t ip, udp;
};

static void put(struct program *p, struct sock_filter insn)
{
	assert(p->n < PROGRAM_MAX);
	p->at[p->n++] = insn;
}

static void statement(struct program *p, uint16_t code, uint32_t k)
{
	put(p, (struct sock_filter)BPF_STMT(code, k));
}

static void jump(struct program *p, uint16_t op, uint32_t k, uint8_t if_true, uint8_t if_false)
{
	put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | op, k, if_true, if_false));
}

static void load_u8(struct program *p, uint32_t at)
{
	statement(p, BPF_LD | BPF_B | BPF_ABS, at);
}

static void load_u16(struct program *p, uint32_t at)
{
	statement(p, BPF_LD | BPF_H | BPF_ABS, at);
}

static void add_u16(struct program *p, uint32_t at)
{
	statement(p, BPF_MISC | BPF_TAX, 0);
	load_u16(p, at);
	statement(p, BPF_ALU | BPF_ADD | BPF_X, 0);
}

/* Carries into the low 16 bits, once. */
static void fold(struct program *p)
{
	statement(p, BPF_ST, 0);
	statement(p, BPF_ALU | BPF_RSH | BPF_K, 16);
	statement(p, BPF_MISC | BPF_TAX, 0);
	statement(p, BPF_LD | BPF_MEM, 0);
	statement(p, BPF_ALU | BPF_AND | BPF_K, 0xffff);
	statement(p, BPF_ALU | BPF_ADD | BPF_X, 0);
}

/*
 * Goes on behind this when the datagram is picked; returns `otherwise` when it is not.  A checksum
 * left to hardware holds the sum of the pseudo header.
 */
static void pick(struct program *p, struct base base, uint32_t otherwise)
{
	uint16_t i, first = p->n;

	load_u8(p, base.ip);
	jump(p, BPF_JEQ | BPF_K, 0x45, 0, UINT8_MAX);
	load_u8(p, base.ip + 8); /* TTL */
	jump(p, BPF_JGT | BPF_K, 1, 0, 4);
	load_u16(p, base.ip + 2); /* length */
	jump(p, BPF_JGT | BPF_K, TP_HEADER_FILTER_BYTES, 0, UINT8_MAX);
	load_u16(p, base.ip + 6);
	jump(p, BPF_JSET | BPF_K, TP_IPV4_DF, 0, UINT8_MAX);

	load_u16(p, base.ip + 12);
	for (i = 14; i < 20; i += 2)
		add_u16(p, base.ip + i);
	add_u16(p, base.udp + 4);
	/* NOLINTNEXTLINE(misc-redundant-expression): BPF_ADD and BPF_K are both 0 */
	statement(p, BPF_ALU | BPF_ADD | BPF_K, TP_IPPROTO_UDP);
	fold(p);
	fold(p);
	statement(p, BPF_MISC | BPF_TAX, 0);
	load_u16(p, base.udp + 6);
	jump(p, BPF_JEQ | BPF_X, 0, 0, 1);
	statement(p, BPF_RET | BPF_K, otherwise);

	/* Jumps to what was not there yet: the return above. */
	for (i = first; i < p->n; i++)
		if (p->at[i].jf == UINT8_MAX)
			p->at[i].jf = (uint8_t)(p->n - 2 - i);
}

static int attach(int fd, const struct program *p)
{
	struct sock_fprog prog = { p->n, (struct sock_filter *)(uintptr_t)p->at };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ? -errno : 0;
}

int tp_header_filter_divert(int fd)
{
	struct program p = { .n = 0 };

	pick(&p, (struct base){ (uint32_t)SKF_NET_OFF, 0 }, ACCEPT);
	statement(&p, BPF_RET | BPF_K, REJECT);
	return attach(fd, &p);
}

static void load_destination(struct program *p)
{
	statement(p, BPF_LD | BPF_W | BPF_ABS, 16);
}

/* Accept what is for this address and port. */
static void accept_listener(struct program *p, const struct tp_addr *addr)
{
	if (addr->family != TP_IPV4)
		return;
	load_destination(p);
	jump(p, BPF_JEQ | BPF_K, tp_be32_get(addr->ip), 0, 3);
	load_u16(p, TP_IPV4_LEN + 2);
	jump(p, BPF_JEQ | BPF_K, addr->port, 0, 1);
	statement(p, BPF_RET | BPF_K, ACCEPT);
}

/* Accept what is for the range, on one of these; the rest is not ours. */
static void accept_relays(struct program *p, const struct tp_header_filter_conf *conf)
{
	load_u16(p, TP_IPV4_LEN + 2);
	jump(p, BPF_JGE | BPF_K, conf->relay_port_min, 1, 0);
	statement(p, BPF_RET | BPF_K, REJECT);
	jump(p, BPF_JGT | BPF_K, conf->relay_port_max, 0, 1);
	statement(p, BPF_RET | BPF_K, REJECT);
	load_destination(p);
	for (uint32_t i = 0; i < conf->n_relays; i++) {
		if (conf->relays[i].local.family != TP_IPV4)
			continue;
		jump(p, BPF_JEQ | BPF_K, tp_be32_get(conf->relays[i].local.ip), 0, 1);
		statement(p, BPF_RET | BPF_K, ACCEPT);
	}
	statement(p, BPF_RET | BPF_K, REJECT);
}

int tp_header_filter_take(int fd, const struct tp_header_filter_conf *conf)
{
	struct program p = { .n = 0 };
	uint32_t i;

	if (5 * conf->n_listeners + 2 * conf->n_relays > PROGRAM_MAX - PROGRAM_REST)
		return -E2BIG;
	pick(&p, (struct base){ 0, TP_IPV4_LEN }, REJECT);
	for (i = 0; i < conf->n_listeners; i++)
		accept_listener(&p, &conf->listeners[i]);
	accept_relays(&p, conf);
	return attach(fd, &p);
}
