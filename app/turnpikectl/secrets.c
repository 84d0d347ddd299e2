/* SPDX-License-Identifier: Apache-2.0 */
#include "secrets.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"
#include "conf_schema.h"
#include "opaque.h"
#include "wire/credential.h"

#define EXIT_ARGUMENTS 2
#define PASSWORD_MAX 1024 /* as the configuration has it */
#define USERNAME_MAX 508  /* RFC 8489 section 14.3 */
#define TTL_DEFAULT_SEC 86400
#define TTL_MAX_SEC (10ull * 365 * 86400)

static int complain(int status, const char *what, const char *why)
{
	fprintf(stderr, "turnpikectl: %s: %s\n", what, why);
	return status;
}

/* As the configuration would.  @return 0, or an exit status */
static int process(const char *what, const char *text, char **out)
{
	const char *wrong = text[0] != '\0' ? tp_conf_text_opaque(text) : "must not be empty";

	if (wrong != NULL)
		return complain(EXIT_ARGUMENTS, what, wrong);
	return tp_opaque_string(text, out) < 0 ? complain(EXIT_FAILURE, what, "out of memory") : 0;
}

static void wipe_free(char *text)
{
	if (text != NULL)
		tp_secret_wipe(text, strlen(text));
	free(text);
}

static int load(const char *path, struct tp_conf **conf)
{
	return tp_conf_load(path, stderr, conf) < 0 ? EXIT_FAILURE : 0;
}

/* ---- user-key ---- */

/* One line without its end.  @return NULL: none, or too long */
static char *read_line(void)
{
	char *line = calloc(1, PASSWORD_MAX + 2);
	size_t len;

	if (line == NULL || fgets(line, PASSWORD_MAX + 2, stdin) == NULL) {
		wipe_free(line);
		return NULL;
	}
	len = strlen(line);
	if (len > 0 && line[len - 1] == '\n')
		line[--len] = '\0';
	if (len > PASSWORD_MAX) {
		wipe_free(line);
		return NULL;
	}
	return line;
}

static char *ask_once(const char *prompt)
{
	struct termios before, quiet;
	char *line;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return NULL;
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	fputs(prompt, stderr);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	line = read_line();
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	return line;
}

/* @return NULL: none, or not the same twice */
static char *ask_password(void)
{
	char *first, *second;

	setvbuf(stdin, NULL, _IONBF, 0); /* or a copy would stay in the buffer */
	if (!isatty(STDIN_FILENO))
		return read_line();
	first = ask_once("Password: ");
	second = first != NULL ? ask_once("Again: ") : NULL;
	if (second == NULL || strcmp(first, second) != 0) {
		wipe_free(first);
		first = NULL;
	}
	wipe_free(second);
	return first;
}

static void to_hex(const struct tp_key *key, char out[2 * TP_KEY_MAX + 1])
{
	for (size_t i = 0; i < key->len; i++)
		snprintf(out + 2 * i, 3, "%02x", key->data[i]);
}

static int print_keys(const char *user, const char *realm, const char *password, bool is_json)
{
	const struct tp_bytes u = { user, strlen(user) }, r = { realm, strlen(realm) };
	const struct tp_bytes p = { password, strlen(password) };
	char md5_text[2 * TP_KEY_MAX + 1], sha256_text[2 * TP_KEY_MAX + 1], *name;
	struct tp_key md5, sha256;
	json_t *o;

	tp_key_make(TP_ALGORITHM_MD5, &u, &r, &p, &md5);
	tp_key_make(TP_ALGORITHM_SHA256, &u, &r, &p, &sha256);
	to_hex(&md5, md5_text);
	to_hex(&sha256, sha256_text);
	o = json_pack("{s:s,s:s,s:s}", "name", user, "key", md5_text, "key_sha256", sha256_text);
	/* A text of JSON is one of YAML. */
	name = json_dumps(json_object_get(o, "name"), JSON_ENCODE_ANY);
	if (is_json)
		json_dumpf(o, stdout, JSON_INDENT(2));
	else
		printf("- name: %s\n  key: %s\n  key_sha256: %s", name, md5_text, sha256_text);
	putchar('\n');
	free(name);
	json_decref(o);
	tp_secret_wipe(&md5, sizeof(md5));
	tp_secret_wipe(&sha256, sizeof(sha256));
	return EXIT_SUCCESS;
}

static int find_realm(const struct ctl_secrets_args *args, char **realm)
{
	struct tp_conf *conf;
	int rc;

	if (args->realm != NULL)
		return process("--realm", args->realm, realm);
	rc = load(args->config, &conf);
	if (rc != 0)
		return complain(rc, "user-key", "no realm: give --realm or --config");
	*realm = strdup(conf->realm);
	tp_conf_free(conf);
	return *realm != NULL ? 0 : complain(EXIT_FAILURE, "realm", "out of memory");
}

int ctl_user_key(const struct ctl_secrets_args *args)
{
	char *user = NULL, *realm = NULL, *raw = NULL, *password = NULL;
	int rc;

	if (args->user == NULL)
		return complain(EXIT_ARGUMENTS, "user-key", "needs --user NAME");
	rc = process("--user", args->user, &user);
	if (rc == 0)
		rc = find_realm(args, &realm);
	if (rc == 0 && (raw = ask_password()) == NULL)
		rc = complain(EXIT_FAILURE, "password",
				"none was given, it was too long, or the two were not the same");
	if (rc == 0)
		rc = process("password", raw, &password);
	if (rc == 0)
		rc = print_keys(user, realm, password, args->is_json);
	wipe_free(raw);
	wipe_free(password);
	free(user);
	free(realm);
	return rc;
}

/* ---- credentials ---- */

/* A number of seconds, or of minutes, hours or days.  @return whether it is one */
static bool parse_ttl(const char *text, uint64_t *sec)
{
	static const struct {
		const char *unit;
		uint64_t sec;
	} units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
	char *end;

	errno = 0;
	*sec = strtoull(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9' || *sec > TTL_MAX_SEC)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		*sec *= units[i].sec;
		return *sec > 0 && *sec <= TTL_MAX_SEC;
	}
	return false;
}

/* What clients call a listener: behind 1:1 NAT its relay address says. */
static struct tp_addr listener_external(const struct tp_conf *conf, const struct tp_addr *listener)
{
	struct tp_addr a = *listener;

	for (uint32_t i = 0; i < conf->n_relays; i++) {
		if (!tp_addr_same_ip(&conf->relays[i].local, listener))
			continue;
		a = conf->relays[i].external;
		a.port = listener->port;
	}
	return a;
}

static json_t *urls(const struct tp_conf *conf, const char *host)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < conf->n_listeners; i++) {
		const struct tp_addr a = listener_external(conf, &conf->listeners[i]);
		char text[TP_ADDR_STRLEN];
		bool is_seen = false;

		for (uint32_t k = 0; k < i && host != NULL; k++)
			is_seen |= conf->listeners[k].port == a.port;
		if (host == NULL)
			json_array_append_new(list,
					json_sprintf("turn:%s?transport=udp",
							tp_addr_format(&a, text)));
		else if (!is_seen)
			json_array_append_new(list,
					json_sprintf("turn:%s:%u?transport=udp", host, a.port));
	}
	return list;
}

static int print_credentials(const struct tp_conf *conf, const char *username, const char *host)
{
	const struct tp_bytes secret = { conf->secrets[0].data, conf->secrets[0].len };
	char password[TP_CREDENTIAL_PASSWORD_ROOM];
	json_t *o;

	tp_credential_password(conf->secret_hmac, &secret,
			&(struct tp_bytes){ username, strlen(username) }, password);
	o = json_pack("{s:o,s:s,s:s}", "urls", urls(conf, host), "username", username, "credential",
			password);
	tp_secret_wipe(password, sizeof(password));
	if (o == NULL)
		return complain(EXIT_FAILURE, "credentials", "out of memory");
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
	return EXIT_SUCCESS;
}

/* EXPIRY or EXPIRY:ID.  @return 0, or an exit status */
static int make_username(const char *id, uint64_t ttl_sec, char out[USERNAME_MAX + 1])
{
	const uint64_t expiry = (uint64_t)time(NULL) + ttl_sec;
	char *processed = NULL;
	int rc, n;

	if (id == NULL) {
		snprintf(out, USERNAME_MAX + 1, "%" PRIu64, expiry);
		return 0;
	}
	rc = process("--user", id, &processed);
	if (rc != 0)
		return rc;
	n = snprintf(out, USERNAME_MAX + 1, "%" PRIu64 ":%s", expiry, processed);
	free(processed);
	return n <= USERNAME_MAX ? 0 : complain(EXIT_ARGUMENTS, "--user", "is too long");
}

static bool is_host(const char *host)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-:[]";

	return host == NULL || (host[0] != '\0' && strspn(host, allowed) == strlen(host));
}

int ctl_credentials(const struct ctl_secrets_args *args)
{
	char username[USERNAME_MAX + 1];
	uint64_t ttl_sec = TTL_DEFAULT_SEC;
	struct tp_conf *conf;
	int rc;

	if (args->ttl != NULL && !parse_ttl(args->ttl, &ttl_sec))
		return complain(EXIT_ARGUMENTS, "--ttl",
				"must be a number of seconds, or one with s, m, h or d, of at most "
				"ten years");
	if (!is_host(args->host))
		return complain(EXIT_ARGUMENTS, "--host", "must be a name or an address");
	rc = make_username(args->user, ttl_sec, username);
	if (rc == 0)
		rc = load(args->config, &conf);
	if (rc != 0)
		return rc;
	if (conf->n_secrets == 0)
		rc = complain(EXIT_FAILURE, args->config,
				"has no auth.secrets, of which time-limited credentials are made");
	else
		rc = print_credentials(conf, username, args->host);
	tp_conf_free(conf);
	return rc;
}
