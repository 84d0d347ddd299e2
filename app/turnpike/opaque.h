/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opaque - user names, realms and passwords as both sides of the long-term credential mechanism
 * hash them: the OpaqueString profile of RFC 8265 (RFC 8489 section 18.5.1).
 *
 * Clients apply it to what they send, so only what people write needs it here: the configuration
 * and turnpikectl.  ASCII stays as it is; other spaces become U+0020, and the rest is brought into
 * normalization form C, so that an e with an accent is the same however it was typed.  Refused are
 * control and format characters, private use and what is invisible (Default_Ignorable_Code_Point),
 * but for the joiners.  Left to the client: contextual rules, and code points that are not assigned
 * yet.
 *
 * Threads: any.
 */
#ifndef TP_APP_OPAQUE_H
#define TP_APP_OPAQUE_H

/**
 * @param[in] text  NUL-terminated
 * @param[out] out  NUL-terminated, to be freed, after wiping if it is a password
 * @return 0, -EINVAL (empty, no UTF-8, or a character that is not allowed) or -ENOMEM
 */
int tp_opaque_string(const char *text, char **out);

#endif
