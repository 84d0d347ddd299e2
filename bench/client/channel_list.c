/* SPDX-License-Identifier: Apache-2.0 */
#include "channel_list.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/channel.h"

static int take_addr(const json_t *line, const char *name, struct tp_addr *out)
{
	const char *text = json_string_value(json_object_get(line, name));
	char port_name[32];
	json_int_t port;

	snprintf(port_name, sizeof(port_name), "%s_port", name);
	port = json_integer_value(json_object_get(line, port_name));
	if (text == NULL || port < 1 || port > UINT16_MAX)
		return -EINVAL;
	return tp_addr_parse(text, (uint16_t)port, out);
}

/* @return what is wrong, or NULL */
static const char *take_channel(const json_t *line, struct tp_listed_channel *out)
{
	json_int_t number = json_integer_value(json_object_get(line, "channel"));

	if (take_addr(line, "client", &out->client) < 0 ||
			take_addr(line, "server", &out->server) < 0 ||
			take_addr(line, "relay", &out->relay) < 0 ||
			take_addr(line, "peer", &out->peer) < 0)
		return "not an address and a port for each of client, server, relay, peer";
	if (out->client.family != out->server.family || out->relay.family != out->peer.family)
		return "both ends of one way must be of one family";
	if (number < TP_CHANNEL_MIN || number > TP_CHANNEL_MAX)
		return "no channel from 16384 to 20479";
	out->number = (uint16_t)number;
	return NULL;
}

/* Room for one more: twice as many at each power of two. */
static struct tp_listed_channel *grow(struct tp_listed_channel *list, int64_t n)
{
	if ((n & (n - 1)) != 0)
		return list;
	return realloc(list, (n == 0 ? 1 : 2 * (size_t)n) * sizeof(*list));
}

static int take_line(const char *text, struct tp_listed_channel **list, int64_t *n,
		const char **wrong, json_error_t *err)
{
	json_t *line = json_loads(text, 0, err);
	struct tp_listed_channel *more;

	if (line == NULL) {
		*wrong = err->text;
		return -EINVAL;
	}
	if (json_object_get(line, "client") == NULL) {
		json_decref(line);
		return 0;
	}
	more = grow(*list, *n);
	*wrong = more == NULL ? "out of memory" : take_channel(line, &more[*n]);
	*list = more == NULL ? *list : more;
	json_decref(line);
	*n += *wrong == NULL;
	return *wrong == NULL ? 0 : -EINVAL;
}

int64_t tp_channel_list_read(const char *path, struct tp_listed_channel **out, struct tp_why *why)
{
	FILE *file = fopen(path, "re");
	struct tp_listed_channel *list = NULL;
	const char *wrong = NULL;
	uint32_t number = 0;
	json_error_t err;
	char text[1024];
	int64_t n = 0;
	int rc = 0;

	if (file == NULL)
		return tp_why_set(why, -errno, "%s: %s", path, strerror(errno));
	while (rc == 0 && fgets(text, sizeof(text), file) != NULL) {
		number++;
		rc = take_line(text, &list, &n, &wrong, &err);
	}
	fclose(file);
	if (rc == 0 && n > 0) {
		*out = list;
		return n;
	}
	free(list);
	return rc == 0 ? tp_why_set(why, -EINVAL, "%s: no channels in it", path)
		       : tp_why_set(why, rc, "%s:%u: %s", path, number, wrong);
}
