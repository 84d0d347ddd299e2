/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"
#include "conf_schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "opaque.h"
#include "wire/integrity.h"

#define QUEUE_MAX 255 /* entries of the XSKMAP, less one */

/* As addresses: 0.0.0.0, 255.255.255.255, ::, and what names no host. */
static bool is_unicast(const struct tp_addr *a)
{
	static const uint8_t zero[16], ones[4] = { 255, 255, 255, 255 };

	if (memcmp(a->ip, zero, sizeof(zero)) == 0)
		return false;
	if (a->family == TP_IPV4)
		return (a->ip[0] & 0xf0) != 0xe0 && memcmp(a->ip, ones, sizeof(ones)) != 0;
	return a->ip[0] != 0xff;
}

/* fe80::/10 can not be bound without a zone; ::ffff:0:0/96 is IPv4 in disguise. */
static bool is_bindable(const struct tp_addr *a)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	if (a->family == TP_IPV4)
		return true;
	if (a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80)
		return false;
	return memcmp(a->ip, mapped, sizeof(mapped)) != 0;
}

static bool is_wildcard(const struct tp_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->ip, zero, sizeof(zero)) == 0;
}

/* Every address in the file: one that parses and can be bound. */
static const char *parse(const char *text, struct tp_addr *a)
{
	if (tp_addr_parse(text, 0, a) < 0)
		return "must be an IPv4 or IPv6 address, such as 192.0.2.1 or 2001:db8::1";
	if (!is_bindable(a))
		return "must be neither an IPv6 link-local (fe80::/10) nor a v4-mapped address";
	return NULL;
}

const char *tp_conf_text_address(const char *text)
{
	struct tp_addr a;
	const char *wrong = parse(text, &a);

	if (wrong == NULL && !is_wildcard(&a) && !is_unicast(&a))
		wrong = "must not be a multicast or broadcast address";
	return wrong;
}

const char *tp_conf_text_concrete(const char *text)
{
	struct tp_addr a;
	const char *wrong = parse(text, &a);

	if (wrong == NULL && !is_unicast(&a))
		wrong = "must be one concrete unicast address";
	return wrong;
}

const char *tp_conf_text_listener(const char *text)
{
	struct tp_addr a;
	const char *wrong = parse(text, &a);

	if (wrong == NULL && is_wildcard(&a))
		return "a listener needs one concrete address";
	if (wrong == NULL && !is_unicast(&a))
		return "a listener needs a unicast address";
	return wrong;
}

const char *tp_conf_text_prefix(const char *text)
{
	struct tp_prefix prefix;

	if (tp_prefix_parse(text, &prefix) < 0)
		return "must be a prefix without host bits, such as 10.0.0.0/8 or 2001:db8::/32";
	return NULL;
}

const char *tp_conf_text_deny(const char *text)
{
	struct tp_prefix prefix;

	if (strcmp(text, "recommended") != 0 && tp_prefix_parse(text, &prefix) < 0)
		return "must be `recommended` or a prefix without host bits, such as 10.0.0.0/8 or "
		       "2001:db8::/32";
	return NULL;
}

/* C0, DEL and C1; the text is UTF-8, where C1 is 0xc2 0x80-0x9f. */
const char *tp_conf_text_plain(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	for (; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0))
			return "must not contain control characters";
	}
	return NULL;
}

const char *tp_conf_text_opaque(const char *text)
{
	const char *wrong = tp_conf_text_plain(text);
	char *processed;
	int rc;

	/* What is empty is too short as well, and that says more. */
	if (wrong != NULL || text[0] == '\0')
		return wrong;
	rc = tp_opaque_string(text, &processed);
	if (rc == -EINVAL)
		return "must be text without invisible or private characters (RFC 8265, OpaqueString)";
	if (rc == 0) {
		tp_secret_wipe(processed, strlen(processed));
		free(processed);
	}
	return NULL;
}

static bool is_hex(const char *text, size_t n_digits)
{
	return strlen(text) == n_digits && strspn(text, "0123456789abcdefABCDEF") == n_digits;
}

const char *tp_conf_text_key(const char *text)
{
	return is_hex(text, 32) ? NULL : "must be 32 hexadecimal digits";
}

const char *tp_conf_text_key_sha256(const char *text)
{
	return is_hex(text, 64) ? NULL : "must be 64 hexadecimal digits";
}

const char *tp_conf_text_algorithm(const char *text)
{
	const cyaml_strval_t *name = tp_conf_algorithm_names;

	while (name->str != NULL && strcmp(name->str, text) != 0)
		name++;
	return name->str != NULL ? NULL : "must be sha256 or md5";
}

/* What the kernel accepts (dev_valid_name()), and what can be told from a queue's ":0". */
const char *tp_conf_text_interface(const char *text)
{
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0 ||
			text[strcspn(text, "/: \t\n\v\f\r")] != '\0')
		return "must be an interface's name, without spaces, slashes and colons";
	return tp_conf_text_plain(text);
}

const char *tp_conf_text_queue(const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;

	if (colon == NULL || colon == text || digits == 0 || digits > 3 ||
			colon[1 + digits] != '\0' || (colon[1] == '0' && digits > 1) ||
			atoi(colon + 1) > QUEUE_MAX)
		return "must be INTERFACE:QUEUE with a queue of 0-255, such as eth0:0";
	return NULL;
}

const char *tp_conf_text_argument(const char *text)
{
	if (text[strcspn(text, " \t\n\v\f\r")] != '\0')
		return "must be one word: of an option and its value make two";
	return tp_conf_text_plain(text);
}

const char *tp_conf_text_path(const char *text)
{
	if (text[0] != '/')
		return "must be an absolute path";
	return tp_conf_text_plain(text);
}
