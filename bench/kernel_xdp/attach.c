/* SPDX-License-Identifier: Apache-2.0 */
#include "attach.h"

#include "flows.h"

#include <bpf/bpf.h>
#include <channel_list.h>
#include <relay.skel.h>

#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Both directions of each channel. */
struct list {
	struct tp_flow_spec *specs;
	uint32_t n;
	uint16_t listener_port;
};

static void add_channel(struct list *list, const struct tp_listed_channel *channel)
{
	list->specs[list->n++] = (struct tp_flow_spec){
		.in_src = channel->client,
		.in_dst = channel->server,
		.in_channel = channel->number,
		.out_src = channel->relay,
		.out_dst = channel->peer,
		.deadline_ns = UINT64_MAX,
	};
	list->specs[list->n++] = (struct tp_flow_spec){
		.in_src = channel->peer,
		.in_dst = channel->relay,
		.out_src = channel->server,
		.out_dst = channel->client,
		.out_channel = channel->number,
		.deadline_ns = UINT64_MAX,
	};
}

static int list_read(struct list *list, const char *path)
{
	struct tp_listed_channel *channels;
	struct tp_why why;
	int64_t n = tp_channel_list_read(path, &channels, &why);
	int rc = 0;

	if (n < 0) {
		fprintf(stderr, "kernel_xdp: %s\n", why.text);
		return (int)n;
	}
	list->listener_port = channels[0].server.port;
	list->specs = calloc((size_t)n, 2 * sizeof(*list->specs));
	for (int64_t i = 0; list->specs != NULL && i < n; i++) {
		if (channels[i].server.port != list->listener_port)
			rc = -EINVAL;
		add_channel(list, &channels[i]);
	}
	if (rc < 0)
		fprintf(stderr, "kernel_xdp: %s: more than one server_port\n", path);
	free(channels);
	return list->specs == NULL ? -ENOMEM : rc;
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
