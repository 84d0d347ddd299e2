/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "report.h"

#define CONNECTIONS_MAX 32
#define REQUEST_MAX 256

struct connection {
	struct tp_source source; /* first */
	struct tp_ctl *ctl;
	char request[REQUEST_MAX];
	size_t request_len;
	char *answer; /* being sent; NULL: reading */
	size_t answer_len, sent;
	LIST_ENTRY(connection) link;
};

struct tp_ctl {
	struct tp_source source; /* first */
	struct tp_daemon *daemon;
	struct sockaddr_un addr;
	LIST_HEAD(, connection) connections;
	uint32_t n_connections;
};

static void connection_close(struct connection *c)
{
	tp_loop_remove(&c->ctl->daemon->loop, &c->source);
	close(c->source.fd);
	LIST_REMOVE(c, link);
	c->ctl->n_connections--;
	free(c->answer);
	free(c);
}

static json_t *answer_request(struct tp_daemon *d, const char *line)
{
	uint64_t cursor;
	char end;

	if (strcmp(line, "stats") == 0)
		return tp_report_stats(d);
	if (strcmp(line, "reload") == 0)
		return tp_reload(d);
	if (sscanf(line, "allocations %" SCNu64 "%c", &cursor, &end) == 1)
		return tp_report_allocations(d, cursor);
	return json_pack("{s:s}", "error", "unknown request; try: stats, allocations 0, reload");
}

/* Send what is left of the answer.  @return false when the connection is gone */
static bool push(struct connection *c)
{
	while (c->sent < c->answer_len) {
		ssize_t n = send(c->source.fd, c->answer + c->sent, c->answer_len - c->sent,
				MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return tp_loop_change(&c->ctl->daemon->loop, &c->source, EPOLLOUT) == 0;
		if (n < 0)
			return false;
		c->sent += (size_t)n;
	}
	free(c->answer);
	c->answer = NULL;
	return tp_loop_change(&c->ctl->daemon->loop, &c->source, EPOLLIN) == 0;
}

static bool answer(struct connection *c, const char *line)
{
	json_t *o = answer_request(c->ctl->daemon, line);
	char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	size_t len;

	json_decref(o);
	if (text == NULL)
		return false;
	len = strlen(text);
	text[len] = '\n'; /* in place of the NUL: sent by length */
	c->answer = text;
	c->answer_len = len + 1;
	c->sent = 0;
	return push(c);
}

/* Answer whole lines, one after the other, until one has to wait for its reader. */
static bool answer_waiting(struct connection *c)
{
	char line[REQUEST_MAX];
	char *end;

	while (c->answer == NULL && (end = memchr(c->request, '\n', c->request_len)) != NULL) {
		size_t len = (size_t)(end - c->request);

		memcpy(line, c->request, len);
		line[len] = 0;
		c->request_len -= len + 1;
		memmove(c->request, end + 1, c->request_len);
		if (!answer(c, line))
			return false;
	}
	/* A line that fills the buffer without an end is not for us. */
	return c->answer != NULL || c->request_len < sizeof(c->request);
}

static bool pull(struct connection *c)
{
	ssize_t n = recv(c->source.fd, c->request + c->request_len,
			sizeof(c->request) - c->request_len, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->request_len += (size_t)n;
	return n > 0;
}

static void connection_ready(struct tp_source *source, uint32_t events)
{
	struct connection *c = (struct connection *)(void *)source;
	bool is_alive = true;

	if (c->answer != NULL)
		is_alive = (events & (EPOLLERR | EPOLLHUP)) == 0 && push(c);
	else
		is_alive = pull(c);
	if (is_alive)
		is_alive = answer_waiting(c);
	if (!is_alive)
		connection_close(c);
}

static void listener_ready(struct tp_source *source, uint32_t events)
{
	struct tp_ctl *ctl = (struct tp_ctl *)(void *)source;
	int fd = accept4(ctl->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct connection *c;

	(void)events;
	if (fd < 0)
		return;
	c = ctl->n_connections < CONNECTIONS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (c == NULL) {
		close(fd);
		return;
	}
	c->source = (struct tp_source){ fd, connection_ready };
	c->ctl = ctl;
	if (tp_loop_add(&ctl->daemon->loop, &c->source, EPOLLIN) < 0) {
		close(fd);
		free(c);
		return;
	}
	LIST_INSERT_HEAD(&ctl->connections, c, link);
	ctl->n_connections++;
}

static void make_directory(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash == NULL || slash == dir)
		return;
	*slash = 0;
	mkdir(dir, 0755); /* if it fails, bind() says why */
}

/* A socket left behind by a killed process is replaced, one that answers is not. */
static int clear_path(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, rc = 0;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN)
		rc = -EADDRINUSE;
	else if (unlink(addr->sun_path) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int listen_on(struct tp_ctl *ctl, const char *path)
{
	int rc;

	if (strlen(path) >= sizeof(ctl->addr.sun_path))
		return -ENAMETOOLONG;
	ctl->addr.sun_family = AF_UNIX;
	snprintf(ctl->addr.sun_path, sizeof(ctl->addr.sun_path), "%s", path);
	make_directory(path);
	rc = clear_path(&ctl->addr);
	if (rc < 0)
		return rc;
	ctl->source.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (ctl->source.fd < 0 ||
			bind(ctl->source.fd, (struct sockaddr *)&ctl->addr, sizeof(ctl->addr)) <
					0 ||
			chmod(path, 0660) < 0 || listen(ctl->source.fd, CONNECTIONS_MAX) < 0)
		return -errno;
	return tp_loop_add(&ctl->daemon->loop, &ctl->source, EPOLLIN);
}

int tp_ctl_open(struct tp_daemon *d, const char *path, struct tp_ctl **out, struct tp_why *why)
{
	struct tp_ctl *ctl = calloc(1, sizeof(*ctl));
	int rc;

	if (ctl == NULL)
		return tp_why_set(why, -ENOMEM, "out of memory");
	ctl->daemon = d;
	ctl->source = (struct tp_source){ -1, listener_ready };
	LIST_INIT(&ctl->connections);
	rc = listen_on(ctl, path);
	if (rc < 0) {
		tp_why_set(why, rc, "control socket %s: %s", path,
				rc == -EADDRINUSE
						? "another turnpike answers there; give each its own "
						  "`control.socket`"
						: strerror(-rc));
		if (ctl->source.fd >= 0)
			close(ctl->source.fd);
		free(ctl);
		return rc;
	}
	*out = ctl;
	return 0;
}

void tp_ctl_close(struct tp_ctl *ctl)
{
	if (ctl == NULL)
		return;
	while (!LIST_EMPTY(&ctl->connections))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): closing takes it off the list */
		connection_close(LIST_FIRST(&ctl->connections));
	tp_loop_remove(&ctl->daemon->loop, &ctl->source);
	close(ctl->source.fd);
	unlink(ctl->addr.sun_path);
	free(ctl);
}
