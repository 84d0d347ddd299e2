/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mem;

/* A chunk is in exactly one state at any time. */
enum chunk_state {
	CHUNK_FREE,
	CHUNK_RX,   /* waits for rx */
	CHUNK_HELD, /* the caller's */
	CHUNK_SENT, /* waits for collect */
};

struct chunk {
	struct mem *home; /* whose pool it is from; the port that sends it may be another */
	enum chunk_state state;
	uint32_t len;  /* RX and SENT: of the frame */
	uint8_t *data; /* RX and SENT: its first byte */
	struct chunk *next;
	uint8_t room[TP_MEM_CHUNK];
};

struct queue {
	struct chunk *head, **tail;
};

struct mem {
	struct tp_port port;
	struct chunk *chunks;
	uint32_t n_chunks, n_held;
	uint32_t tx_left; /* frames tx still takes; UINT32_MAX: no limit */
	struct chunk *free;
	struct queue rx, sent;
	struct tp_port_stats stats;
};

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_push(struct queue *q, struct chunk *chunk)
{
	chunk->next = NULL;
	*q->tail = chunk;
	q->tail = &chunk->next;
}

static struct chunk *queue_pop(struct queue *q)
{
	struct chunk *chunk = q->head;

	if (chunk == NULL)
		return NULL;
	q->head = chunk->next;
	if (q->head == NULL)
		q->tail = &q->head;
	return chunk;
}

static void chunk_free(struct chunk *chunk)
{
	struct mem *mem = chunk->home;

	chunk->state = CHUNK_FREE;
	chunk->next = mem->free;
	mem->free = chunk;
}

/* The audit: the caller had the frame it gives back, and the frame is inside its chunk. */
static struct chunk *chunk_take_back(const struct tp_frame *frame)
{
	struct chunk *chunk = (struct chunk *)(uintptr_t)frame->cookie;

	assert(chunk->state == CHUNK_HELD);
	assert(frame->data >= chunk->room && frame->data - chunk->room == frame->headroom);
	assert(frame->headroom + frame->len <= TP_MEM_CHUNK);
	assert(chunk->home->n_held > 0);
	chunk->home->n_held--;
	return chunk;
}

static uint32_t mem_rx(struct tp_port *port, struct tp_frame frames[], uint32_t n)
{
	struct mem *mem = (struct mem *)port;
	struct chunk *chunk;
	uint32_t i;

	for (i = 0; i < n; i++) {
		chunk = queue_pop(&mem->rx);
		if (chunk == NULL)
			break;
		chunk->state = CHUNK_HELD;
		frames[i] = (struct tp_frame){
			.data = chunk->data,
			.len = (uint16_t)chunk->len,
			.headroom = (uint16_t)(chunk->data - chunk->room),
			.tailroom = (uint16_t)(chunk->room + TP_MEM_CHUNK - chunk->data -
					chunk->len),
			.port = port->index,
			.cookie = (uintptr_t)chunk,
		};
	}
	mem->n_held += i;
	mem->stats.rx_pkts += i;
	return i;
}

static uint32_t mem_tx(struct tp_port *port, const struct tp_frame frames[], uint32_t n)
{
	struct mem *mem = (struct mem *)port;
	struct chunk *chunk;
	uint32_t i;

	for (i = 0; i < n && mem->tx_left > 0; i++) {
		chunk = chunk_take_back(&frames[i]);
		chunk->state = CHUNK_SENT;
		chunk->data = frames[i].data;
		chunk->len = frames[i].len;
		queue_push(&mem->sent, chunk);
		if (mem->tx_left != UINT32_MAX)
			mem->tx_left--;
	}
	mem->stats.tx_pkts += i;
	return i;
}

static void mem_flush(struct tp_port *port)
{
	(void)port;
}

static void mem_release(struct tp_port *port, const struct tp_frame frames[], uint32_t n)
{
	uint32_t i;

	(void)port;
	for (i = 0; i < n; i++)
		chunk_free(chunk_take_back(&frames[i]));
}

static uint32_t mem_alloc(struct tp_port *port, struct tp_frame frames[], uint32_t n)
{
	struct mem *mem = (struct mem *)port;
	uint32_t i;

	for (i = 0; i < n && mem->free != NULL; i++) {
		struct chunk *chunk = mem->free;

		mem->free = chunk->next;
		chunk->state = CHUNK_HELD;
		frames[i] = (struct tp_frame){
			.data = chunk->room + TP_MEM_HEADROOM,
			.headroom = TP_MEM_HEADROOM,
			.tailroom = TP_MEM_CHUNK - TP_MEM_HEADROOM,
			.port = port->index,
			.cookie = (uintptr_t)chunk,
		};
	}
	mem->n_held += i;
	return i;
}

static int mem_fd(const struct tp_port *port)
{
	(void)port;
	return -1;
}

static void mem_info(const struct tp_port *port, struct tp_port_info *out)
{
	const struct mem *mem = (const struct mem *)port;

	*out = (struct tp_port_info){ .driver = "mem", .mode = "", .frames = mem->n_chunks };
	snprintf(out->name, sizeof(out->name), "mem%u", (unsigned int)port->index);
}

static void mem_stats(const struct tp_port *port, struct tp_port_stats *out)
{
	*out = ((const struct mem *)port)->stats;
}

static void mem_close(struct tp_port *port)
{
	struct mem *mem = (struct mem *)port;

	free(mem->chunks);
	free(mem);
}

static const struct tp_port_ops mem_ops = {
	.rx = mem_rx,
	.tx = mem_tx,
	.flush = mem_flush,
	.release = mem_release,
	.alloc = mem_alloc,
	.fd = mem_fd,
	.info = mem_info,
	.stats = mem_stats,
	.close = mem_close,
};

int tp_mem_new(uint16_t index, uint32_t chunks, struct tp_port **out)
{
	struct mem *mem;
	uint32_t i;

	if (chunks == 0)
		return -EINVAL;
	mem = calloc(1, sizeof(*mem));
	if (mem == NULL)
		return -ENOMEM;
	mem->chunks = calloc(chunks, sizeof(*mem->chunks));
	if (mem->chunks == NULL) {
		free(mem);
		return -ENOMEM;
	}
	mem->port.ops = &mem_ops;
	mem->port.index = index;
	mem->n_chunks = chunks;
	mem->tx_left = UINT32_MAX;
	queue_init(&mem->rx);
	queue_init(&mem->sent);
	for (i = chunks; i-- > 0;) {
		mem->chunks[i].home = mem;
		chunk_free(&mem->chunks[i]);
	}
	*out = &mem->port;
	return 0;
}

int tp_mem_inject(struct tp_port *port, const void *frame, uint32_t len)
{
	struct mem *mem = (struct mem *)port;
	struct chunk *chunk = mem->free;

	if (len > TP_MEM_CHUNK - TP_MEM_HEADROOM)
		return -EMSGSIZE;
	if (chunk == NULL)
		return -ENOBUFS;
	mem->free = chunk->next;
	chunk->state = CHUNK_RX;
	chunk->data = chunk->room + TP_MEM_HEADROOM;
	chunk->len = len;
	memcpy(chunk->data, frame, len);
	queue_push(&mem->rx, chunk);
	return 0;
}

int tp_mem_collect(struct tp_port *port, void *out, uint32_t room)
{
	struct mem *mem = (struct mem *)port;
	struct chunk *chunk = mem->sent.head;

	if (chunk == NULL)
		return 0;
	if (chunk->len > room)
		return -EMSGSIZE;
	queue_pop(&mem->sent);
	memcpy(out, chunk->data, chunk->len);
	chunk_free(chunk);
	return (int)chunk->len;
}

void tp_mem_limit_tx(struct tp_port *port, uint32_t n)
{
	((struct mem *)port)->tx_left = n;
}

uint32_t tp_mem_held(const struct tp_port *port)
{
	return ((const struct mem *)port)->n_held;
}
