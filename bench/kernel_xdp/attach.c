/* SPDX-License-Identifier: Apache-2.0 */
#include "attach.h"

#include "flows.h"

#include <bpf/bpf.h>
#include <relay.skel.h>

#include <errno.h>
#include <jansson.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Both directions of each channel. */
struct list {
	struct tp_flow_spec *specs;
	uint32_t n, room;
	uint16_t listener_port;
};

static int bad(uint32_t line, const char *what)
{
	fprintf(stderr, "kernel_xdp: flow list: line %u: %s\n", line, what);
	return -EINVAL;
}

static int take_addr(const json_t *line, const char *name, struct tp_addr *out)
{
	char port_name[32];
	const char *text = json_string_value(json_object_get(line, name));
	json_int_t port;

	snprintf(port_name, sizeof(port_name), "%s_port", name);
	port = json_integer_value(json_object_get(line, port_name));
	if (text == NULL || port < 1 || port > UINT16_MAX)
		return -EINVAL;
	return tp_addr_parse(text, (uint16_t)port, out);
}

static struct tp_flow_spec *list_next(struct list *list)
{
	struct tp_flow_spec *specs = list->specs;

	if (list->n == list->room) {
		list->room = list->room > 0 ? 2 * list->room : 1024;
		specs = realloc(specs, list->room * sizeof(*specs));
		if (specs == NULL)
			return NULL;
		list->specs = specs;
	}
	return &specs[list->n++];
}

static int take_channel(struct list *list, const json_t *line, uint32_t number)
{
	json_int_t channel = json_integer_value(json_object_get(line, "channel"));
	struct tp_addr client, server, relay, peer;
	struct tp_flow_spec *up, *down;

	if (take_addr(line, "client", &client) < 0 || take_addr(line, "server", &server) < 0 ||
			take_addr(line, "relay", &relay) < 0 || take_addr(line, "peer", &peer) < 0)
		return bad(number,
				"not an address and a port for each of client, server, relay, "
				"peer");
	if (channel < 0x4000 || channel > 0x4fff)
		return bad(number, "no channel from 16384 to 20479");
	if (list->listener_port != 0 && list->listener_port != server.port)
		return bad(number, "another server_port");
	list->listener_port = server.port;
	up = list_next(list);
	if (up == NULL)
		return -ENOMEM;
	*up = (struct tp_flow_spec){
		.in_src = client,
		.in_dst = server,
		.in_channel = (uint16_t)channel,
		.out_src = relay,
		.out_dst = peer,
		.deadline_ns = UINT64_MAX,
	};
	down = list_next(list);
	if (down == NULL)
		return -ENOMEM;
	*down = (struct tp_flow_spec){
		.in_src = peer,
		.in_dst = relay,
		.out_src = server,
		.out_dst = client,
		.out_channel = (uint16_t)channel,
		.deadline_ns = UINT64_MAX,
	};
	return 0;
}

static int take_line(struct list *list, const char *text, uint32_t number)
{
	json_error_t error;
	json_t *line = json_loads(text, 0, &error);
	int rc = 0;

	if (line == NULL)
		return bad(number, error.text);
	if (json_object_get(line, "ready") == NULL)
		rc = take_channel(list, line, number);
	json_decref(line);
	return rc;
}

static int list_read(struct list *list, const char *path)
{
	FILE *file = fopen(path, "r");
	uint32_t number = 0;
	char *text = NULL;
	size_t room = 0;
	int rc = 0;

	if (file == NULL) {
		fprintf(stderr, "kernel_xdp: %s: %s\n", path, strerror(errno));
		return -errno;
	}
	while (rc == 0 && getline(&text, &room, file) >= 0)
		rc = take_line(list, text, ++number);
	free(text);
	fclose(file);
	if (rc == 0 && list->n == 0)
		rc = bad(number, "no flow in the file");
	return rc;
}

/* Of the interface: MAC address, as a source, and MTU. */
static int ask_interface(const char *name, struct tp_next_hop *hop)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;
	struct ifreq mac = { .ifr_name = "" }, mtu = { .ifr_name = "" };

	if (fd < 0)
		return -errno;
	snprintf(mac.ifr_name, sizeof(mac.ifr_name), "%s", name);
	snprintf(mtu.ifr_name, sizeof(mtu.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFHWADDR, &mac) < 0 || ioctl(fd, SIOCGIFMTU, &mtu) < 0)
		rc = -errno;
	close(fd);
	memcpy(hop->l2 + 6, mac.ifr_hwaddr.sa_data, 6);
	hop->mtu = (uint16_t)mtu.ifr_mtu;
	return rc;
}

static int make_hop(const struct attach_conf *conf, struct tp_next_hop *hop)
{
	uint8_t *mac = hop->l2;
	int rc;

	if (sscanf(conf->mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
			    &mac[4], &mac[5]) != 6) {
		fprintf(stderr, "kernel_xdp: --mac: %s is not a MAC address\n", conf->mac);
		return -EINVAL;
	}
	rc = ask_interface(conf->interface, hop);
	if (rc < 0)
		fprintf(stderr, "kernel_xdp: %s: %s\n", conf->interface, strerror(-rc));
	return rc;
}

static int load(const struct attach_conf *conf, const struct list *list,
		const struct tp_next_hop *hop, struct relay_bpf **out)
{
	struct flows_conf sizes = {
		.listener_port = list->listener_port,
		.relay_port_min = conf->relay_port_min,
		.relay_port_max = conf->relay_port_max,
		.mtu = hop->mtu,
	};
	int rc;

	for (uint32_t i = 0; i < list->n; i++)
		sizes.n[flows_map_of(&list->specs[i])]++;
	rc = flows_load(&sizes, out);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < list->n && rc == 0; i++)
		rc = flows_add(*out, &list->specs[i], hop);
	if (rc < 0)
		relay_bpf__destroy(*out);
	return rc;
}

/* In the driver, not after an skb was made.  The link goes with the process. */
static int run(const struct attach_conf *conf, struct relay_bpf *relay, uint32_t n_channels)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int index = (int)if_nametoindex(conf->interface), signal_no, link;
	struct relay_stats sums;
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	link = bpf_link_create(bpf_program__fd(relay->progs.relay_once), index, BPF_XDP, &opts);
	if (link < 0) {
		fprintf(stderr, "kernel_xdp: %s: can not attach: %s\n", conf->interface,
				strerror(-link));
		return link;
	}
	printf("{\"ready\":%u}\n", n_channels);
	fflush(stdout);
	sigwait(&ends, &signal_no);
	close(link);
	if (flows_stats(relay, &sums) == 0)
		printf("{\"tx\":%llu,\"pass\":%llu}\n", (unsigned long long)sums.tx,
				(unsigned long long)sums.pass);
	return 0;
}

int attach_run(const struct attach_conf *conf)
{
	struct list list = { 0 };
	struct tp_next_hop hop = { .l2_len = TP_L2_UNTAGGED };
	struct relay_bpf *relay;
	int rc = make_hop(conf, &hop);

	if (rc == 0)
		rc = list_read(&list, conf->flows);
	if (rc == 0)
		rc = load(conf, &list, &hop, &relay);
	if (rc == 0) {
		rc = run(conf, relay, list.n / 2);
		relay_bpf__destroy(relay);
	}
	free(list.specs);
	return rc;
}
