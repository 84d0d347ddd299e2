/* SPDX-License-Identifier: Apache-2.0 */
#include "opaque.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "wire/integrity.h"

static bool is_ascii_text(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

/* RFC 8264 sections 4.3 and 8. */
static bool is_allowed(ucs4_t c)
{
	if (uc_is_general_category_withtable(c,
			    UC_CATEGORY_MASK_Cc | UC_CATEGORY_MASK_Cf | UC_CATEGORY_MASK_Co |
					    UC_CATEGORY_MASK_Zl | UC_CATEGORY_MASK_Zp) &&
			!uc_is_property_join_control(c))
		return false;
	return !uc_is_property_default_ignorable_code_point(c) || uc_is_property_join_control(c);
}

/* Spaces other than ASCII's, mapped; all spaces are at least as long in UTF-8 as U+0020. */
static int map_spaces(const uint8_t *text, size_t len, uint8_t *out, size_t *out_len)
{
	size_t at = 0, n = 0;
	ucs4_t c;

	while (at < len) {
		int size = u8_mbtouc(&c, text + at, len - at);

		if (!is_allowed(c))
			return -EINVAL;
		if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Zs)) {
			out[n++] = ' ';
		} else {
			memcpy(out + n, text + at, (size_t)size);
			n += (size_t)size;
		}
		at += (size_t)size;
	}
	*out_len = n;
	return 0;
}

static int normalize(const uint8_t *text, size_t len, char **out)
{
	size_t n = 0;
	uint8_t *nfc = u8_normalize(UNINORM_NFC, text, len, NULL, &n);
	char *copy;

	if (nfc == NULL)
		return -ENOMEM;
	copy = malloc(n + 1);
	if (copy != NULL) {
		memcpy(copy, nfc, n);
		copy[n] = '\0';
		*out = copy;
	}
	tp_secret_wipe(nfc, n);
	free(nfc);
	return copy != NULL ? 0 : -ENOMEM;
}

int tp_opaque_string(const char *text, char **out)
{
	const size_t len = strlen(text);
	size_t mapped_len = 0;
	uint8_t *mapped;
	int rc;

	if (len == 0 || u8_check((const uint8_t *)text, len) != NULL)
		return -EINVAL;
	if (is_ascii_text(text)) {
		*out = strdup(text);
		return *out != NULL ? 0 : -ENOMEM;
	}
	mapped = malloc(len);
	if (mapped == NULL)
		return -ENOMEM;
	rc = map_spaces((const uint8_t *)text, len, mapped, &mapped_len);
	if (rc == 0)
		rc = normalize(mapped, mapped_len, out);
	tp_secret_wipe(mapped, len);
	free(mapped);
	return rc;
}
