/* SPDX-License-Identifier: Apache-2.0 */
#include "tally.h"

#include <stdio.h>

#include "crowd.h"

void tp_tally_add(struct tp_tally *tally, uint16_t code)
{
	/* What is no error code of STUN's is counted as 0. */
	tally->count[code < TP_TALLY_CODES ? code : 0]++;
}

void tp_tally_print(const struct tp_tally *tally)
{
	const char *separator = "";

	printf("{");
	for (uint32_t code = 0; code < TP_TALLY_CODES; code++) {
		unsigned long long n = tally->count[code];

		if (n == 0)
			continue;
		if (code == TP_CROWD_TIMEOUT)
			printf("%s\"timeout\":%llu", separator, n);
		else
			printf("%s\"%u\":%llu", separator, code, n);
		separator = ",";
	}
	printf("}");
}
