/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turnpikectl - asks a running turnpike over its control socket, and makes keys and credentials.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "secrets.h"

#define DEFAULT_SOCKET "/run/turnpike/control.sock"
#define TIMEOUT_SEC 10

static const char help[] =
		"usage: turnpikectl [--socket PATH] [--json] COMMAND\n"
		"       turnpikectl [--config FILE] [--json] user-key --user NAME [--realm REALM]\n"
		"       turnpikectl [--config FILE] credentials [--user NAME] [--ttl TIME] [--host NAME]\n"
		"\n"
		"  stats                 packets, bytes and verdicts of each worker and in total, XDP\n"
		"                        statistics, and the mode that each interface got\n"
		"  allocations           who relays what\n"
		"  reload                read the configuration file again\n"
		"  drain                 make no new allocations: redirect or refuse; what lives goes on\n"
		"  undrain               make new allocations again\n"
		"\n"
		"  user-key              read a password, print the keys that auth.users takes in its place;\n"
		"                        from a pipe: its first line\n"
		"  credentials           print time-limited credentials as JSON, an ICE server for browsers\n"
		"\n"
		"  -c, --config FILE     the relay's configuration (default " TP_CTL_CONFIG ")\n"
		"  -u, --user NAME       user-key: whose; credentials: to appear in the user name\n"
		"      --realm REALM     instead of the configuration's\n"
		"      --ttl TIME        how long they are good: 3600, 30m, 24h (default) or 7d\n"
		"      --host NAME       what clients call the relay (default: its addresses)\n"
		"\n"
		"  -s, --socket PATH     control socket (default " DEFAULT_SOCKET ")\n"
		"  -j, --json            print JSON\n"
		"  -V, --version         print the version and exit\n"
		"  -h, --help            print this and exit\n";

/* ---- talking to the relay ---- */

static FILE *connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timeval timeout = { .tv_sec = TIMEOUT_SEC };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *f = NULL;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
	} else if (fd >= 0) {
		snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
			f = fdopen(fd, "r");
	}
	if (f == NULL) {
		fprintf(stderr, "turnpikectl: %s: %s%s\n", path, strerror(errno),
				errno == ENOENT || errno == ECONNREFUSED ? "; is turnpike running?"
									 : "");
		if (fd >= 0)
			close(fd);
	}
	return f;
}

/* One request, one answer.  @return NULL after an error that was printed */
static json_t *ask(FILE *f, const char *request)
{
	char *line = NULL;
	size_t room = 0;
	json_t *o = NULL;
	json_error_t err;

	/* A relay that has too many of us has closed the connection: no reason to die of it. */
	if (send(fileno(f), request, strlen(request), MSG_NOSIGNAL | MSG_MORE) < 0 ||
			send(fileno(f), "\n", 1, MSG_NOSIGNAL) < 0 || getline(&line, &room, f) < 0)
		fprintf(stderr, "turnpikectl: no answer: %s\n",
				errno != 0 ? strerror(errno) : "connection closed");
	else if ((o = json_loads(line, 0, &err)) == NULL)
		fprintf(stderr, "turnpikectl: bad answer: %s\n", err.text);
	free(line);
	return o;
}

static void print_json(const json_t *o)
{
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
}

static uint64_t number(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

/* ---- stats ---- */

static void print_counter(const char *indent, const char *name, uint64_t value)
{
	printf("%s%-26s %" PRIu64 "\n", indent, name, value);
}

/* Every counter of an object, by name. */
static void print_all(const char *indent, json_t *o)
{
	const char *key;
	json_t *value;

	json_object_foreach (o, key, value)
		print_counter(indent, key, (uint64_t)json_integer_value(value));
}

/* Those that are not zero. */
static void print_used(const char *indent, json_t *o)
{
	const char *key;
	json_t *value;

	json_object_foreach (o, key, value) {
		if (json_integer_value(value) != 0)
			print_counter(indent, key, (uint64_t)json_integer_value(value));
	}
}

static void print_sums(const json_t *o)
{
	print_counter("  ", "rx_pkts", number(o, "rx_pkts"));
	print_counter("  ", "rx_bytes", number(o, "rx_bytes"));
	print_counter("  ", "tx_bytes", number(o, "tx_bytes"));
	print_all("  ", json_object_get(o, "verdicts"));
	print_used("  ", json_object_get(o, "paths"));
}

static void print_interface(const json_t *o)
{
	printf("interface %s: asked for %s, got %s\n", text(o, "name"), text(o, "asked"),
			text(o, "mode"));
	if (json_object_get(o, "device") == NULL)
		return;
	printf("  device %s (%s), %s, MTU %" PRIu64 ", link %s, %" PRIu64 " Mbit/s, kernel %s\n",
			text(o, "device"), text(o, "driver"), text(o, "mac"), number(o, "mtu"),
			text(o, "link"), number(o, "link_mbps"), text(o, "kernel"));
	print_all("  ", json_object_get(o, "stats"));
}

/* Where the frames are: in the packet memory of AF_XDP, and in DPDK's. */
static void print_frames(const json_t *w)
{
	const json_t *umem = json_object_get(w, "umem"), *mbufs = json_object_get(w, "mbufs");

	if (number(umem, "chunks") > 0)
		printf(", %" PRIu64 " of %" PRIu64 " frames free, %" PRIu64 " in rings",
				number(umem, "free"), number(umem, "chunks"),
				number(umem, "in_rings"));
	if (mbufs != NULL)
		printf(", %" PRIu64 " of %" PRIu64 " mbufs free", number(mbufs, "free"),
				number(mbufs, "frames"));
}

static void print_worker(size_t i, const json_t *w)
{
	json_t *port;
	size_t p;

	printf("\nworker %zu: cpu %" PRIu64 ", %s", i, number(w, "cpu"), text(w, "idle"));
	print_frames(w);
	printf(", busy for %.1f s\n", (double)number(w, "busy_ns") / 1e9);
	print_sums(w);
	if (number(w, "copied") > 0)
		print_counter("  ", "copied", number(w, "copied"));
	json_array_foreach (json_object_get(w, "ports"), p, port) {
		printf("  port %s:%" PRIu64 " %s %s%s\n", text(port, "interface"),
				number(port, "queue"), text(port, "driver"), text(port, "mode"),
				json_is_true(json_object_get(port, "busy_poll")) ? " busy-poll"
										 : "");
		print_all("    ", json_object_get(port, "stats"));
	}
}

static void print_stats(const json_t *o)
{
	const json_t *kernel = json_object_get(o, "kernel_path");
	const json_t *clients = json_object_get(kernel, "clients");
	json_t *item;
	size_t i;

	printf("turnpike %s, up %" PRIu64 " s\n", text(o, "version"), number(o, "uptime_sec"));
	if (json_is_true(json_object_get(o, "draining")))
		printf("draining: no new allocations\n");
	json_array_foreach (json_object_get(o, "interfaces"), i, item)
		print_interface(item);
	json_array_foreach (json_object_get(o, "relays"), i, item)
		printf("relay address %s: %s, %" PRIu64 " ports used, %" PRIu64 " free\n",
				text(item, "address"),
				json_is_true(json_object_get(item, "here")) ? "here"
									    : "NOT ON THIS HOST",
				number(item, "ports_used"), number(item, "ports_free"));
	print_all("", json_object_get(o, "turn"));
	print_counter("", "flows", number(o, "flows"));
	print_used("", json_object_get(o, "reload"));
	if (number(json_object_get(o, "log"), "lost") > 0)
		printf("log: %" PRIu64 " lines LOST, nobody took them in time\n",
				number(json_object_get(o, "log"), "lost"));
	printf("\nrequests that need authentication:\n");
	print_all("  ", json_object_get(o, "auth"));
	printf("\nrequests refused, by limit:\n");
	print_all("  ", json_object_get(o, "refused"));
	printf("error answers, by code:\n");
	print_all("  ", json_object_get(o, "errors"));
	printf("\nall workers:\n");
	print_sums(json_object_get(o, "total"));
	json_array_foreach (json_object_get(o, "workers"), i, item)
		print_worker(i, item);
	printf("\nkernel path:\n");
	print_counter("  ", "rx_pkts", number(kernel, "rx_pkts"));
	print_all("  ", json_object_get(kernel, "verdicts"));
	print_counter("  ", "punted", number(kernel, "punted"));
	print_counter("  ", "sent", number(kernel, "sent"));
	print_counter("  ", "fragments", number(kernel, "fragments"));
	print_counter("  ", "icmp_sent", number(kernel, "icmp_sent"));
	print_counter("  ", "icmp_held", number(kernel, "icmp_held"));
	print_counter("  ", "send_full", number(kernel, "send_full"));
	print_counter("  ", "send_refused", number(kernel, "send_refused"));
	print_counter("  ", "clients_known", number(clients, "known"));
	print_counter("  ", "clients_refused", number(clients, "refused"));
	json_array_foreach (json_object_get(kernel, "sockets"), i, item)
		printf("  socket of %-9s %-23s %12" PRIu64 " received %12" PRIu64 " dropped\n",
				text(item, "socket"), text(item, "address"),
				number(item, "rx_pkts"), number(item, "dropped"));
}

static int stats(FILE *f, bool is_json)
{
	json_t *o = ask(f, "stats");

	if (o == NULL)
		return EXIT_FAILURE;
	if (is_json)
		print_json(o);
	else
		print_stats(o);
	json_decref(o);
	return EXIT_SUCCESS;
}

/* ---- allocations ---- */

static void print_allocation(const json_t *a)
{
	const json_t *up = json_object_get(a, "up"), *down = json_object_get(a, "down");
	json_t *item;
	size_t i;

	printf("%" PRIu64 " %s user %s, %" PRIu64 " s old, %" PRIu64 " permissions\n",
			number(a, "id"), text(a, "client"), text(a, "username"),
			number(a, "age_sec"), number(a, "permissions"));
	printf("  up %" PRIu64 " packets, %" PRIu64 " bytes; down %" PRIu64 " packets, %" PRIu64
	       " bytes\n",
			number(up, "packets"), number(up, "bytes"), number(down, "packets"),
			number(down, "bytes"));
	json_array_foreach (json_object_get(a, "relayed"), i, item)
		printf("  relayed %s, %" PRIu64 " s left\n", text(item, "external"),
				number(item, "expires_sec"));
	json_array_foreach (json_object_get(a, "channels"), i, item)
		printf("  channel %s peer %s, %" PRIu64 " s left, %s\n", text(item, "number"),
				text(item, "peer"), number(item, "expires_sec"),
				json_is_true(json_object_get(item, "fast")) ? "workers"
									    : "kernel path");
}

/* The relay answers in pages; together they are one list. */
static json_t *all_allocations(FILE *f)
{
	json_t *all = json_array(), *page = NULL, *next;
	char request[64];
	uint64_t cursor = 0;

	do {
		snprintf(request, sizeof(request), "allocations %" PRIu64, cursor);
		json_decref(page);
		page = ask(f, request);
		if (page == NULL) {
			json_decref(all);
			return NULL;
		}
		json_array_extend(all, json_object_get(page, "allocations"));
		next = json_object_get(page, "next");
		cursor = (uint64_t)json_integer_value(next);
	} while (next != NULL);
	json_decref(page);
	return json_pack("{s:o}", "allocations", all);
}

static int allocations(FILE *f, bool is_json)
{
	json_t *o = all_allocations(f), *item;
	size_t i;

	if (o == NULL)
		return EXIT_FAILURE;
	if (is_json)
		print_json(o);
	else
		json_array_foreach (json_object_get(o, "allocations"), i, item)
			print_allocation(item);
	json_decref(o);
	return EXIT_SUCCESS;
}

/* ---- reload ---- */

static int reload(FILE *f, bool is_json)
{
	json_t *o = ask(f, "reload"), *item;
	bool is_ok = json_is_true(json_object_get(o, "ok"));
	size_t i;

	if (o == NULL)
		return EXIT_FAILURE;
	if (is_json)
		print_json(o);
	json_array_foreach (json_object_get(o, "errors"), i, item)
		fprintf(stderr, "%s\n", json_string_value(item));
	json_array_foreach (json_object_get(o, "restart"), i, item)
		fprintf(stderr, "%s: %s in the file, stays %s: this takes a restart\n",
				text(item, "option"), text(item, "file"), text(item, "running"));
	if (!is_ok)
		fputs("turnpikectl: nothing was changed\n", stderr);
	json_decref(o);
	return is_ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- draining ---- */

static int drain_or_not(FILE *f, const char *request, bool is_json)
{
	json_t *o = ask(f, request);

	if (o == NULL)
		return EXIT_FAILURE;
	if (is_json)
		print_json(o);
	else
		printf("%s, %" PRIu64 " allocations left\n",
				json_is_true(json_object_get(o, "draining")) ? "draining"
									     : "not draining",
				number(o, "allocations"));
	json_decref(o);
	return EXIT_SUCCESS;
}

static int drain(FILE *f, bool is_json)
{
	return drain_or_not(f, "drain", is_json);
}

static int undrain(FILE *f, bool is_json)
{
	return drain_or_not(f, "undrain", is_json);
}

/* ---- the command ---- */

static const struct {
	const char *name;
	int (*run)(FILE *f, bool is_json);
} commands[] = {
	{ "stats", stats },
	{ "allocations", allocations },
	{ "reload", reload },
	{ "drain", drain },
	{ "undrain", undrain },
};

static const struct {
	const char *name;
	int (*run)(const struct ctl_secrets_args *args);
} secret_commands[] = {
	{ "user-key", ctl_user_key },
	{ "credentials", ctl_credentials },
};

static int run_command(
		const char *name, const char *socket_path, const struct ctl_secrets_args *args)
{
	for (size_t i = 0; i < sizeof(secret_commands) / sizeof(secret_commands[0]); i++)
		if (strcmp(secret_commands[i].name, name) == 0)
			return secret_commands[i].run(args);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		FILE *f;
		int rc;

		if (strcmp(commands[i].name, name) != 0)
			continue;
		f = connect_to(socket_path);
		if (f == NULL)
			return EXIT_FAILURE;
		rc = commands[i].run(f, args->is_json);
		fclose(f);
		return rc;
	}
	fprintf(stderr, "turnpikectl: %s: no such command; try: turnpikectl --help\n", name);
	return 2;
}

/* Beyond what a character can say. */
enum option_value {
	OPTION_REALM = 256,
	OPTION_TTL,
	OPTION_HOST
};

int main(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "config", required_argument, NULL, 'c' },
		{ "user", required_argument, NULL, 'u' },
		{ "realm", required_argument, NULL, OPTION_REALM },
		{ "ttl", required_argument, NULL, OPTION_TTL },
		{ "host", required_argument, NULL, OPTION_HOST },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct ctl_secrets_args args = { .config = TP_CTL_CONFIG };
	const char *socket_path = DEFAULT_SOCKET;
	int c;

	while ((c = getopt_long(argc, argv, "s:jc:u:Vh", options, NULL)) != -1) {
		switch (c) {
		case 's':
			socket_path = optarg;
			break;
		case 'j':
			args.is_json = true;
			break;
		case 'c':
			args.config = optarg;
			break;
		case 'u':
			args.user = optarg;
			break;
		case OPTION_REALM:
			args.realm = optarg;
			break;
		case OPTION_TTL:
			args.ttl = optarg;
			break;
		case OPTION_HOST:
			args.host = optarg;
			break;
		case 'V':
			puts("turnpikectl " TP_VERSION);
			return 0;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			fputs("try: turnpikectl --help\n", stderr);
			return 2;
		}
	}
	if (optind + 1 != argc) {
		fputs(help, stderr);
		return 2;
	}
	return run_command(argv[optind], socket_path, &args);
}
