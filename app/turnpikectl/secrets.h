/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secrets - what turnpikectl makes without a running relay: keys of users, and time-limited
 * credentials.
 *
 * Passwords are read from a terminal, without echo, or from standard input; never from arguments,
 * which every user of the host can see.  What was read is wiped.
 */
#ifndef TP_CTL_SECRETS_H
#define TP_CTL_SECRETS_H

#include <stdbool.h>

#define TP_CTL_CONFIG "/etc/turnpike/turnpike.yaml"

struct ctl_secrets_args {
	const char *config; /* path */
	const char *user;   /* NULL: not given */
	const char *realm;  /* NULL: the configuration's */
	const char *ttl;    /* NULL: a day */
	const char *host;   /* NULL: the listeners' addresses */
	bool is_json;
};

/**
 * Read a password and print the user's keys, as an entry of auth.users.
 *
 * @return exit status: 0, 1 (bad configuration or password), 2 (bad arguments)
 */
int ctl_user_key(const struct ctl_secrets_args *args);

/** Make time-limited credentials by the newest secret; print an RTCIceServer.  @return as above */
int ctl_credentials(const struct ctl_secrets_args *args);

#endif
