/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/channel.h"

#include "wire/be.h"

#include <errno.h>

int tp_channel_parse(const uint8_t *buf, size_t len, struct tp_channel_data *out)
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

void tp_channel_header(uint8_t out[TP_CHANNEL_HDR_LEN], uint16_t number, uint16_t len)
{
	tp_be16_put(out, number);
	tp_be16_put(out + 2, len);
}
