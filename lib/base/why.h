/* SPDX-License-Identifier: Apache-2.0 */
/*
 * why - the sentence that goes with an errno when a person will read it.
 *
 * Set-up functions that can fail for reasons an operator can mend return -E and, by `why`, one
 * sentence: what failed, and what to do about it.
 */
#ifndef TP_BASE_WHY_H
#define TP_BASE_WHY_H

struct tp_why {
	char text[512];
};

/** Write the sentence (no final newline; cut when too long).  why may be NULL.  @return err */
int tp_why_set(struct tp_why *why, int err, const char *fmt, ...)
		__attribute__((format(printf, 3, 4)));

#endif
