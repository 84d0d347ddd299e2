/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel - the ChannelData message (RFC 8656 section 12.4): number, length, data.
 */
#ifndef TP_WIRE_CHANNEL_H
#define TP_WIRE_CHANNEL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/be.h"

#define TP_CHANNEL_HDR_LEN 4
#define TP_CHANNEL_MIN 0x4000
#define TP_CHANNEL_MAX 0x4fff        /* RFC 8656 section 12 */
#define TP_CHANNEL_MAX_LEGACY 0x7fff /* RFC 5766 section 11 */

struct tp_channel_data {
	uint16_t number;
	uint16_t len; /* of data, padding excluded */
	const uint8_t *data;
};

/** First byte of a datagram: a ChannelData message of the widest (RFC 5766) range? */
static inline bool tp_channel_first_byte(uint8_t b)
{
	return (b & 0xc0) == 0x40;
}

/**
 * Split a datagram.  Longer than its length field says is padding (section 12.5).
 *
 * @return 0, or -EMSGSIZE: shorter than its header or its length field; *out borrows buf
 */
static inline int tp_channel_parse(const uint8_t *buf, size_t len, struct tp_channel_data *out)
{
	uint16_t data_len;

	if (len < TP_CHANNEL_HDR_LEN)
		return -EMSGSIZE;
	data_len = tp_be16_get(buf + 2);
	if (data_len > len - TP_CHANNEL_HDR_LEN)
		return -EMSGSIZE;

	out->number = tp_be16_get(buf);
	out->len = data_len;
	out->data = buf + TP_CHANNEL_HDR_LEN;
	return 0;
}

/** Write the four header bytes. */
void tp_channel_header(uint8_t out[TP_CHANNEL_HDR_LEN], uint16_t number, uint16_t len);

#endif
