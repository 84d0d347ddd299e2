/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/channel.h"

#include "wire/be.h"

void tp_channel_header(uint8_t out[TP_CHANNEL_HDR_LEN], uint16_t number, uint16_t len)
{
	tp_be16_put(out, number);
	tp_be16_put(out + 2, len);
}
