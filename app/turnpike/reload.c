/* SPDX-License-Identifier: Apache-2.0 */
#include "reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon.h"

/* Allocations looked at in a round of the loop: a few milliseconds. */
#define SLICE 4096

/* ---- a file that is not to be had ---- */

static json_t *refuse(struct tp_daemon *d, char *text)
{
	json_t *errors = json_array();
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] == '\0')
			continue;
		tp_err("reload: %s", line);
		json_array_append_new(errors, json_string(line));
	}
	tp_err("reload: nothing was changed");
	d->reload.failed++;
	return json_pack("{s:b,s:o}", "ok", 0, "errors", errors);
}

/* @return 0, or -E with all sentences in *text, which is the caller's */
static int load(const struct tp_daemon *d, struct tp_conf **out, char **text)
{
	size_t len;
	FILE *f;
	int rc;

	*text = NULL;
	f = open_memstream(text, &len);
	if (f == NULL)
		return -ENOMEM;
	rc = tp_conf_load(d->conf_path, f, out);
	fclose(f);
	return rc;
}

/* ---- one that is ---- */

static void differs(void *ctx, const char *path, const char *running, const char *file)
{
	json_t *list = ctx;

	tp_warn("reload: %s: %s in the file, stays %s: this takes a restart", path, file, running);
	json_array_append_new(list,
			json_pack("{s:s,s:s,s:s}", "option", path, "running", running, "file",
					file));
}

/* Above what there is room for, as far as there is.  @return what is asked for */
static uint32_t bound_allocations(const struct tp_daemon *d, struct tp_conf *fresh)
{
	uint32_t asked = fresh->max_allocations;

	if (asked > d->reload.room)
		fresh->max_allocations = d->reload.room;
	return asked;
}

static void name_allocations(const struct tp_daemon *d, uint32_t asked, json_t *restart)
{
	char running[16], file[16];

	if (asked <= d->reload.room)
		return;
	snprintf(running, sizeof(running), "%u", d->conf->max_allocations);
	snprintf(file, sizeof(file), "%u", asked);
	differs(restart, "limits.allocations", running, file);
}

static json_t *apply(struct tp_daemon *d, struct tp_conf *fresh)
{
	uint32_t allocations = bound_allocations(d, fresh);
	json_t *restart;

	tp_conf_adopt(d->conf, fresh);
	if (tp_daemon_reload_turn(d) < 0) {
		tp_conf_adopt(d->conf, fresh); /* back */
		return refuse(d, (char[]){ "out of memory" });
	}
	restart = json_array();
	name_allocations(d, allocations, restart);
	tp_conf_diff(d->conf, fresh, differs, restart);
	d->reload.done++;
	d->reload.seen = (struct tp_turn_forbidden){ 0 };
	d->reload.is_rechecking = true;
	tp_info("reload: applied %s", d->conf_path);
	tp_reload_step(d);
	return json_pack("{s:b,s:o}", "ok", 1, "restart", restart);
}

json_t *tp_reload(struct tp_daemon *d)
{
	struct tp_conf *fresh;
	json_t *answer;
	char *text;

	/* The second is for service managers that tell reloads apart by it. */
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			(unsigned long long)(tp_clock_now_ns() / 1000));
	if (load(d, &fresh, &text) < 0) {
		answer = refuse(d, text);
	} else {
		answer = apply(d, fresh);
		tp_conf_free(fresh);
	}
	free(text);
	sd_notify(0, "READY=1");
	return answer;
}

void tp_reload_step(struct tp_daemon *d)
{
	struct tp_reload *r = &d->reload;
	struct tp_turn_forbidden now = { 0 };

	r->is_rechecking = tp_turn_recheck(d->turn, SLICE, &now);
	r->seen.permissions += now.permissions;
	r->seen.channels += now.channels;
	r->ended.permissions += now.permissions;
	r->ended.channels += now.channels;
	if (!r->is_rechecking && r->seen.permissions + r->seen.channels > 0)
		tp_info("ended %llu permissions and %llu channels to peers that are denied now",
				(unsigned long long)r->seen.permissions,
				(unsigned long long)r->seen.channels);
}
