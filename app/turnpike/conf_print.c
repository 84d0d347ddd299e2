/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"
#include "conf_schema.h"

#include <inttypes.h>
#include <string.h>

/* One character of valid UTF-8.  @return its length in bytes */
static uint32_t decode(const uint8_t *p, uint32_t *c)
{
	uint32_t i, len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	*c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
	for (i = 1; i < len; i++)
		*c = *c << 6 | (p[i] & 0x3f);
	return len;
}

/* Line separators, surrogates, byte order marks and the like: YAML wants them escaped. */
static bool is_odd(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x2029) ||
			(c >= 0xd800 && c < 0x10000);
}

/* In double quotes, where any text can stand.  The text came from YAML, so it is UTF-8. */
static void put_quoted(FILE *out, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	uint32_t c, len;

	fputc('"', out);
	for (; *p != '\0'; p += len) {
		len = decode(p, &c);
		if (is_odd(c))
			fprintf(out, "\\U%08x", c);
		else if (c == '"' || c == '\\')
			fprintf(out, "\\%c", (char)c);
		else
			fwrite(p, 1, len, out);
	}
	fputc('"', out);
}

static void put_ip(FILE *out, const struct tp_addr *a)
{
	char text[TP_ADDR_STRLEN];

	fprintf(out, "\"%s\"", tp_addr_format_ip(a, text));
}

static void print_relay(FILE *out, const struct tp_conf *conf)
{
	const struct tp_turn_relay *relay;
	uint32_t i;

	fputs("relay:\n  addresses:\n", out);
	for (i = 0; i < conf->n_relays; i++) {
		relay = &conf->relays[i];
		fputs("    - { address: ", out);
		put_ip(out, &relay->local);
		if (!tp_addr_equal(&relay->local, &relay->external)) {
			fputs(", external: ", out);
			put_ip(out, &relay->external);
		}
		fputs(" }\n", out);
	}
	fprintf(out, "  ports: { min: %u, max: %u }\n", conf->relay_port_min, conf->relay_port_max);
}

static void print_auth(FILE *out, const struct tp_conf *conf)
{
	uint32_t i;

	fputs("auth:\n", out);
	if (conf->n_users > 0)
		fputs("  users:\n", out);
	for (i = 0; i < conf->n_users; i++) {
		fputs("    - { name: ", out);
		put_quoted(out, conf->users[i].name);
		fputs(", password: \"(hidden)\" }\n", out);
	}
	if (conf->n_secrets > 0)
		fputs("  secrets:\n", out);
	for (i = 0; i < conf->n_secrets; i++)
		fputs("    - \"(hidden)\"\n", out);
	fprintf(out, "  secret_hmac: %s\n",
			tp_conf_enum_name(tp_conf_hmac_names, (int64_t)conf->secret_hmac));
	fprintf(out, "  strict_expiry: %s\n", conf->is_expiry_strict ? "true" : "false");
	fputs("  algorithms: [", out);
	for (i = 0; i < conf->n_algorithms; i++)
		fprintf(out, "%s%s", i == 0 ? " " : ", ",
				tp_conf_enum_name(tp_conf_algorithm_names,
						(int64_t)conf->algorithms[i]));
	fputs(" ]\n", out);
}

static void print_prefixes(
		FILE *out, const char *key, const struct tp_prefix prefixes[], uint32_t n)
{
	char text[TP_ADDR_STRLEN];
	uint32_t i;

	fprintf(out, "  %s:%s\n", key, n == 0 ? " []" : "");
	for (i = 0; i < n; i++)
		fprintf(out, "    - \"%s/%u\"\n", tp_addr_format_ip(&prefixes[i].base, text),
				prefixes[i].bits);
}

static void print_interfaces(FILE *out, const struct tp_conf *conf)
{
	uint32_t i;

	fprintf(out, "interfaces:%s\n", conf->n_interfaces == 0 ? " []" : "");
	for (i = 0; i < conf->n_interfaces; i++) {
		fputs("  - { name: ", out);
		put_quoted(out, conf->interfaces[i].name);
		fprintf(out, ", driver: %s",
				tp_conf_enum_name(
						tp_conf_driver_names, conf->interfaces[i].driver));
		if (conf->interfaces[i].driver == TP_DRIVER_DPDK) {
			fputs(", device: ", out);
			put_quoted(out, conf->interfaces[i].device);
			fputs(", kernel: ", out);
			put_quoted(out, conf->interfaces[i].kernel);
			fputs(" }\n", out);
		} else {
			fprintf(out, ", mode: %s }\n",
					tp_conf_enum_name(tp_conf_mode_names,
							conf->interfaces[i].mode));
		}
	}
}

static void print_queues(FILE *out, const struct tp_conf *conf, const struct tp_conf_core *core)
{
	char text[IF_NAMESIZE + 12];
	uint32_t i;

	for (i = 0; i < core->n_queues; i++) {
		snprintf(text, sizeof(text), "%s:%u",
				conf->interfaces[core->queues[i].interface].name,
				core->queues[i].queue);
		fputs(i == 0 ? " " : ", ", out);
		put_quoted(out, text);
	}
}

static void print_cores(FILE *out, const struct tp_conf *conf)
{
	uint32_t i;

	fprintf(out, "cores:%s\n", conf->n_cores == 0 ? " []" : "");
	for (i = 0; i < conf->n_cores; i++) {
		fprintf(out, "  - { cpu: %u, queues: [", conf->cores[i].cpu);
		print_queues(out, conf, &conf->cores[i]);
		fprintf(out, " ], idle: %s }\n",
				tp_conf_enum_name(tp_conf_idle_names, conf->cores[i].idle));
	}
}

static void print_eal(FILE *out, const struct tp_conf *conf)
{
	if (conf->n_eal == 0)
		return;
	fputs("eal:\n", out);
	for (uint32_t i = 0; i < conf->n_eal; i++) {
		fputs("  - ", out);
		put_quoted(out, conf->eal[i]);
		fputc('\n', out);
	}
}

static void print_listeners(FILE *out, const struct tp_conf *conf)
{
	uint32_t i;

	fputs("listen:\n", out);
	for (i = 0; i < conf->n_listeners; i++) {
		fputs("  - { address: ", out);
		put_ip(out, &conf->listeners[i]);
		fprintf(out, ", port: %u", conf->listeners[i].port);
		if (!tp_addr_equal(&conf->listener_info[i].local,
				    &conf->listener_info[i].external)) {
			fputs(", external: ", out);
			put_ip(out, &conf->listener_info[i].external);
		}
		if (conf->listener_info[i].is_anycast)
			fputs(", anycast: true", out);
		fputs(" }\n", out);
	}
}

static void print_redirect(FILE *out, const struct tp_conf *conf)
{
	if (!conf->has_redirect)
		return;
	fprintf(out, "redirect:\n  when: %s\n  servers:\n",
			tp_conf_enum_name(tp_conf_redirect_names, conf->redirect));
	for (uint32_t i = 0; i < conf->n_alternates; i++) {
		fputs("    - { address: ", out);
		put_ip(out, &conf->alternates[i]);
		fprintf(out, ", port: %u }\n", conf->alternates[i].port);
	}
}

static void print_discovery(FILE *out, const struct tp_conf *conf)
{
	if (conf->n_discovery > 0)
		fputs("discovery:\n", out);
	for (uint32_t i = 0; i < conf->n_discovery; i++) {
		const struct tp_turn_discovery *d = &conf->discovery[i];

		fputs("  - { address: ", out);
		put_ip(out, &d->address[0]);
		fprintf(out, ", port: %u, other_address: ", d->port[0]);
		put_ip(out, &d->address[1]);
		fprintf(out, ", other_port: %u }\n", d->port[1]);
	}
}

static void print_log(FILE *out, const struct tp_conf *conf)
{
	fprintf(out, "log: { allocations: %s }\n", conf->logs_allocations ? "true" : "false");
}

static void print_control(FILE *out, const struct tp_conf *conf)
{
	fprintf(out, "control: { cpu: %u, socket: ", conf->control_cpu);
	put_quoted(out, conf->control_socket);
	fputs(" }\n", out);
	print_log(out, conf);
	if (!conf->has_metrics)
		return;
	fputs("metrics: { listen: ", out);
	put_ip(out, &conf->metrics);
	fprintf(out, ", port: %u }\n", conf->metrics.port);
}

static void print_limits(FILE *out, const struct tp_conf *conf)
{
	const struct tp_turn_limits *l = &conf->limits;

	fprintf(out, "limits:\n");
	fprintf(out, "  allocations: %u\n", conf->max_allocations);
	fprintf(out, "  channels: %u\n", conf->max_channels);
	fprintf(out, "  allocation_bps: %" PRIu64 "\n", conf->allocation_bps);
	fprintf(out, "  allocation_pps: %u\n", conf->allocation_pps);
	fprintf(out, "  allocations_per_user: %u\n", l->allocations_per_user);
	fprintf(out, "  channels_per_allocation: %u\n", l->channels_per_allocation);
	fprintf(out, "  permissions_per_allocation: %u\n", l->permissions_per_allocation);
	fprintf(out, "  new_peers_per_sec: %u\n", l->new_peers_per_sec);
	fprintf(out, "  unauthenticated_per_source: %u\n", l->unauthenticated_per_source);
	fprintf(out, "  unauthenticated_total: %u\n", l->unauthenticated_total);
}

void tp_conf_print(const struct tp_conf *conf, FILE *out)
{
	fputs("realm: ", out);
	put_quoted(out, conf->realm);
	fputc('\n', out);
	print_listeners(out, conf);
	print_relay(out, conf);
	print_auth(out, conf);
	fputs("peers:\n", out);
	print_prefixes(out, "deny", conf->deny, conf->n_deny);
	print_prefixes(out, "allow", conf->allow, conf->n_allow);
	print_limits(out, conf);
	print_discovery(out, conf);
	print_redirect(out, conf);
	fprintf(out, "default_family: %s\n",
			tp_conf_enum_name(tp_conf_family_names, conf->default_family));
	fprintf(out, "mobility: %s\n", conf->mobility ? "true" : "false");
	fprintf(out, "legacy_channels: %s\n", conf->legacy_channels ? "true" : "false");
	fprintf(out, "legacy_attributes: %s\n", conf->legacy_attributes ? "true" : "false");
	fprintf(out, "dscp: %s\n", tp_conf_enum_name(tp_conf_dscp_names, conf->dscp));
	fprintf(out, "lowest_ipv6_mtu: %u\n", conf->lowest_ipv6_mtu);
	print_interfaces(out, conf);
	print_cores(out, conf);
	print_eal(out, conf);
	print_control(out, conf);
}
