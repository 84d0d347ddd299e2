/* SPDX-License-Identifier: Apache-2.0 */
#include "test_run.h"

#include "base/clock.h"
#include "flows.h"
#include "rig.h"
#include "sample.h"
#include "wire/ip.h"
#include "world.h"

#include <bpf/bpf.h>
#include <relay.skel.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLICE 32768u  /* calls in one test run */
#define CHECKED 1024u /* flows whose frames are compared with the pipeline's */
#define GROUPS 2      /* paths that keep the family share an object, and those that change it */

struct object {
	uint32_t n_flows;
	struct relay_bpf *relay;
	struct relay_template *templates;
	bool has_path[TRAFFIC_PLAIN];
	bool is_checked[TRAFFIC_PLAIN];
};

struct run {
	const struct test_run_conf *conf;
	struct object objects[TP_NUMBERS_MAX][GROUPS];
	struct order orders[TP_NUMBERS_MAX];
	struct rig *rig; /* the pipeline that frames are compared with */
	struct world *world;
	struct sample raw, prologue, empty;
};

/* A frame in memory of its own. */
struct bytes {
	uint32_t len;
	uint8_t at[2 * TRAFFIC_FRAME_MAX];
};

/* @return nanoseconds per call, or -E after a line on stderr */
static int run_program(const struct bpf_program *program, const struct bytes *in, uint32_t repeat,
		struct bytes *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->at, .data_size_in = in->len,
			.data_out = out->at, .data_size_out = sizeof(out->at),
			.repeat = (int)repeat);
	int rc = bpf_prog_test_run_opts(bpf_program__fd(program), &opts);

	out->len = opts.data_size_out;
	if (rc < 0)
		fprintf(stderr, "kernel_xdp: test run: %s\n", strerror(-rc));
	else if (opts.retval != XDP_TX)
		fprintf(stderr, "kernel_xdp: %s: action %u, not XDP_TX\n",
				bpf_program__name(program), opts.retval);
	return rc < 0 ? rc : opts.retval != XDP_TX ? -EBADMSG : (int)opts.duration;
}

static void make_frame(const struct run *run, enum tp_path path, uint32_t flow, struct bytes *out)
{
	out->len = traffic_frame(path, flow, run->rig->payload, run->conf->payload, out->at);
}

/* ---- the program, loaded and filled ---- */

static uint32_t group_of(enum tp_path path)
{
	return traffic_in6(path) != traffic_out6(path) ? 1 : 0;
}

/* Maps only where paths of the run need them. */
static int object_load(
		const struct test_run_conf *run, uint32_t n_flows, uint32_t group, struct object *o)
{
	struct tp_flow_spec specs[TRAFFIC_SPECS];
	struct flows_conf conf = {
		.n_templates = n_flows,
		.listener_port = TRAFFIC_LISTENER_PORT,
		.relay_port_min = TRAFFIC_RELAY_PORT_MIN,
		.relay_port_max = TRAFFIC_RELAY_PORT_MAX,
		.mtu = traffic_next_hop(0)->mtu,
	};
	void *at;
	int rc;

	for (uint32_t i = 0; i < run->paths.n; i++) {
		traffic_specs(run->paths.v[i], 0, specs);
		if (group_of(run->paths.v[i]) == group)
			conf.n[flows_map_of(&specs[0])] = n_flows;
	}
	rc = flows_load(&conf, &o->relay);
	if (rc < 0)
		return rc;
	at = mmap(NULL, n_flows * sizeof(*o->templates), PROT_READ | PROT_WRITE, MAP_SHARED,
			bpf_map__fd(o->relay->maps.templates), 0);
	if (at == MAP_FAILED) {
		rc = -errno;
		fprintf(stderr, "kernel_xdp: can not map the templates: %s\n", strerror(-rc));
		relay_bpf__destroy(o->relay);
		o->relay = NULL;
		return rc;
	}
	o->templates = at;
	o->n_flows = n_flows;
	return 0;
}

static void object_free(struct object *o)
{
	if (o->relay == NULL)
		return;
	munmap(o->templates, o->n_flows * sizeof(*o->templates));
	relay_bpf__destroy(o->relay);
}

static int object_add_path(struct object *o, enum tp_path path)
{
	struct tp_flow_spec specs[TRAFFIC_SPECS];
	int rc = 0;

	for (uint32_t i = 0; i < o->n_flows && rc == 0; i++) {
		traffic_specs(path, i, specs);
		rc = flows_add(o->relay, &specs[0], traffic_next_hop(i));
	}
	o->has_path[path] = rc == 0;
	return rc;
}

static int object_get(struct run *run, uint32_t at, enum tp_path path, struct object **out)
{
	uint32_t group = group_of(path);
	struct object *o = &run->objects[at][group];
	int rc = 0;

	if (o->relay == NULL)
		rc = object_load(run->conf, run->conf->flows.v[at], group, o);
	if (rc == 0 && !o->has_path[path])
		rc = object_add_path(o, path);
	*out = o;
	return rc;
}

static void fill_templates(const struct run *run, struct object *o, enum tp_path path,
		const struct order *order)
{
	struct bytes frame;

	for (uint32_t i = 0; i < o->n_flows; i++) {
		struct relay_template *t = &o->templates[i];

		make_frame(run, path, order->flow[i], &frame);
		memcpy(&t->l2[0], frame.at, 8);
		memcpy(&t->l2[1], frame.at + 6, 8);
		memcpy(t->word, frame.at + TP_ETH_LEN, sizeof(t->word));
		memcpy(&t->tail, frame.at + TP_ETH_LEN + sizeof(t->word), sizeof(t->tail));
	}
}

/* ---- is it the same relay? ---- */

/* What each makes up for itself: IPv4's identification and with it the checksum; flow labels. */
static void forget_own(struct bytes *frame)
{
	uint8_t *ip = frame->at + TP_ETH_LEN;

	if (ip[0] >> 4 == TP_IPV4) {
		memset(ip + 4, 0, 2);
		memset(ip + 10, 0, 2);
	} else {
		ip[1] &= 0xf0;
		memset(ip + 2, 0, 2);
	}
}

static int pipeline_frame(struct run *run, const struct bytes *in, struct bytes *out)
{
	struct rig *rig = run->rig;
	struct tp_frame frame = { .data = rig->chunks + RIG_HEADROOM,
		.len = (uint16_t)in->len,
		.headroom = RIG_HEADROOM };

	memcpy(frame.data, in->at, in->len);
	tp_pipe_burst(&rig->pipe, &frame, 1, tp_clock_now_ns(), &rig->out);
	if (rig->out.n_forward != 1)
		return -EBADMSG;
	out->len = rig->out.forward[0].len;
	memcpy(out->at, rig->out.forward[0].data, out->len);
	return 0;
}

static int check_flow(struct run *run, const struct object *o, enum tp_path path, uint32_t flow)
{
	static struct bytes in, ours, theirs;
	const char *wrong;
	int rc;

	make_frame(run, path, flow, &in);
	rc = run_program(o->relay->progs.relay_once, &in, 1, &theirs);
	if (rc >= 0)
		rc = pipeline_frame(run, &in, &ours);
	if (rc < 0)
		return rc;
	wrong = traffic_check(
			path, flow, run->rig->payload, run->conf->payload, theirs.at, theirs.len);
	forget_own(&ours);
	forget_own(&theirs);
	if (wrong == NULL && (ours.len != theirs.len || memcmp(ours.at, theirs.at, ours.len) != 0))
		wrong = "not as the pipeline's";
	if (wrong == NULL)
		return 0;
	fprintf(stderr, "kernel_xdp: %s: a frame of flow %u came out wrong: %s\n",
			tp_path_name(path), flow, wrong);
	return -EBADMSG;
}

static int check(struct run *run, struct object *o, enum tp_path path)
{
	const struct world_want want = { .path = path, .n_flows = CHECKED };
	struct world_table table;
	int rc = o->is_checked[path] ? 1 : world_open(run->world, &want, &table);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	rig_open_pipe(run->rig, table.flows, tp_accounts_tally(table.accounts, 0));
	for (uint32_t i = 0; i < CHECKED && i < o->n_flows && rc == 0; i++)
		rc = check_flow(run, o, path, i);
	o->is_checked[path] = rc == 0;
	return rc;
}

/* ---- measuring ---- */

/* A program and where it goes on in the order of visits. */
struct course {
	const struct bpf_program *program;
	const struct bytes *in;
	int32_t restore_delta;
	uint32_t at;
	struct sample *sample;
};

/* The time is the kernel's: a call from here also waits for it to patch and synchronise. */
static int run_slice(struct object *o, struct course *c)
{
	static struct bytes out;
	int ns;

	o->relay->bss->template_at = c->at;
	o->relay->bss->restore_delta = c->restore_delta;
	ns = run_program(c->program, c->in, SLICE, &out);
	c->at = (c->at + SLICE) % o->n_flows;
	if (ns >= 0)
		sample_add(c->sample, SLICE, (double)ns);
	return ns < 0 ? ns : 0;
}

/* Every packet was forwarded, not only the last one of each run. */
static int check_counters(struct object *o, uint64_t tx_before, uint64_t pkts)
{
	struct relay_stats now;
	int rc = flows_stats(o->relay, &now);

	if (rc < 0 || now.tx - tx_before == pkts)
		return rc;
	fprintf(stderr, "kernel_xdp: %llu of %llu packets forwarded\n",
			(unsigned long long)(now.tx - tx_before), (unsigned long long)pkts);
	return -EBADMSG;
}

/* The three take turns; the first turn is not counted. */
static int measure_courses(struct object *o, struct course courses[3], uint32_t n_slices)
{
	int rc = 0;

	for (uint32_t slice = 0; slice <= n_slices && rc == 0; slice++) {
		for (uint32_t i = 0; i < 3 && rc == 0; i++) {
			if (slice == 1)
				sample_begin(courses[i].sample);
			rc = run_slice(o, &courses[i]);
		}
	}
	return rc;
}

static int measure(struct run *run, struct object *o, enum tp_path path, const struct order *order)
{
	static struct bytes in, out;
	uint32_t n_slices = (run->conf->pkts + SLICE - 1) / SLICE;
	struct course courses[] = {
		{ .program = o->relay->progs.nothing, .in = &in, .sample = &run->empty },
		{ .program = o->relay->progs.restore_only, .in = &in, .sample = &run->prologue },
		{ .program = o->relay->progs.relay_again, .in = &out, .sample = &run->raw },
	};
	struct relay_stats before;
	int rc = flows_stats(o->relay, &before);

	fill_templates(run, o, path, order);
	make_frame(run, path, order->flow[0], &in);
	if (rc == 0) /* a frame sent, for the first one to be put in its place */
		rc = run_program(o->relay->progs.relay_once, &in, 1, &out);
	if (rc < 0)
		return rc;
	courses[2].restore_delta = (int32_t)out.len - (int32_t)in.len;
	sample_begin(&run->empty);
	sample_begin(&run->prologue);
	sample_begin(&run->raw);
	rc = measure_courses(o, courses, n_slices);
	return rc < 0 ? rc : check_counters(o, before.tx, 1 + (uint64_t)(n_slices + 1) * SLICE);
}

static void print(struct run *run, enum tp_path path, uint32_t n_flows)
{
	double raw = sample_ns(&run->raw), prologue = sample_ns(&run->prologue);

	printf("{\"name\":\"kernel_xdp.%s\",\"params\":{\"flows\":%u},\"unit\":\"ns/packet\","
	       "\"value\":%.3f,\"extra\":{\"raw\":%.3f,\"prologue\":%.3f,\"empty\":%.3f,"
	       "\"packets\":%llu}}\n",
			tp_path_name(path), n_flows, raw - prologue, raw, prologue,
			sample_ns(&run->empty), (unsigned long long)run->raw.pkts);
	fflush(stdout);
}

static int repetition(struct run *run)
{
	const struct test_run_conf *conf = run->conf;
	struct object *o;
	int rc = 0;

	for (uint32_t i = 0; i < conf->flows.n; i++) {
		for (uint32_t k = 0; k < conf->paths.n && rc == 0; k++) {
			rc = object_get(run, i, conf->paths.v[k], &o);
			if (rc == 0)
				rc = check(run, o, conf->paths.v[k]);
			if (rc == 0)
				rc = measure(run, o, conf->paths.v[k], &run->orders[i]);
			if (rc == 0)
				print(run, conf->paths.v[k], conf->flows.v[i]);
		}
	}
	return rc;
}

static int prepare(struct run *run)
{
	struct world_want wants[TRAFFIC_PLAIN];
	int rc = rig_new(1, run->conf->payload, &run->rig);

	for (uint32_t i = 0; i < TRAFFIC_PLAIN; i++)
		wants[i] = (struct world_want){ .path = i, .n_flows = CHECKED };
	for (uint32_t i = 0; i < run->conf->flows.n && rc == 0; i++)
		rc = order_new(run->conf->flows.v[i], &run->orders[i]);
	if (rc < 0)
		fprintf(stderr, "kernel_xdp: out of memory\n");
	return rc < 0 ? rc : world_new(wants, TRAFFIC_PLAIN, &run->world);
}

static void run_fini(struct run *run)
{
	for (uint32_t i = 0; i < TP_NUMBERS_MAX; i++) {
		order_free(&run->orders[i]);
		for (uint32_t k = 0; k < GROUPS; k++)
			object_free(&run->objects[i][k]);
	}
	if (run->world != NULL)
		world_free(run->world);
	if (run->rig != NULL)
		rig_free(run->rig);
}

int test_run(const struct test_run_conf *conf)
{
	static struct run run;
	int rc;

	run.conf = conf;
	rc = prepare(&run);
	for (uint32_t rep = 0; rep < conf->reps && rc == 0; rep++) {
		rc = repetition(&run);
		fprintf(stderr, "kernel_xdp: repetition %u of %u\n", rep + 1, conf->reps);
	}
	run_fini(&run);
	return rc;
}
