/* SPDX-License-Identifier: Apache-2.0 */
#include "base/why.h"

#include <stdarg.h>
#include <stdio.h>

int tp_why_set(struct tp_why *why, int err, const char *fmt, ...)
{
	va_list ap;

	if (why == NULL)
		return err;
	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return err;
}
