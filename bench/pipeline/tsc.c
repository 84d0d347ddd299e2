/* SPDX-License-Identifier: Apache-2.0 */
#include "tsc.h"

#define CALIBRATION_NS (100 * TP_NS_PER_MS)

static double ns_per_tick = 1;

void tsc_calibrate(void)
{
	uint64_t ns = tp_clock_now_ns(), tsc = tsc_now(), end_ns = ns;

	while (end_ns - ns < CALIBRATION_NS)
		end_ns = tp_clock_now_ns();
	ns_per_tick = (double)(end_ns - ns) / (double)(tsc_now() - tsc);
}

double tsc_ns(uint64_t span)
{
	return (double)span * ns_per_tick;
}
