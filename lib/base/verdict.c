/* SPDX-License-Identifier: Apache-2.0 */
#include "base/verdict.h"

#include <assert.h>

struct word {
	const char *name, *help;
};

static const struct word words[] = {
#define X(name, text, help) [TP_##name] = { text, help },
	TP_VERDICTS(X)
#undef X
};

static const struct word slow_words[] = {
#define X(name, text, help) [TP_SLOW_##name] = { text, help },
	TP_SLOW_VERDICTS(X)
#undef X
};

const char *tp_verdict_name(enum tp_verdict v)
{
	assert(v < TP_VERDICT_COUNT);
	return words[v].name;
}

const char *tp_verdict_help(enum tp_verdict v)
{
	assert(v < TP_VERDICT_COUNT);
	return words[v].help;
}

const char *tp_slow_verdict_name(enum tp_slow_verdict v)
{
	assert(v < TP_SLOW_VERDICT_COUNT);
	return slow_words[v].name;
}

const char *tp_slow_verdict_help(enum tp_slow_verdict v)
{
	assert(v < TP_SLOW_VERDICT_COUNT);
	return slow_words[v].help;
}
