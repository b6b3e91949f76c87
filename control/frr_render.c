/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frr.conf from the configuration, and FRR's answers to what they mean. Pure.
 *
 * Every name that is made here starts with SPW-, so that what an administrator adds by hand
 * is told apart. External sessions need a policy in both directions: in, routes are taken with
 * the neighbour's local preference; out, exactly the configured prefixes are announced. Equal
 * local preference of two ExpressRoute neighbours leaves the choice to the AS path, which Microsoft
 * lengthens for maintenance. Kernel next hop objects are off: with them the kernel drops routes at
 * the loss of a carrier without a message. Order and spelling are those of "show running-config",
 * so that applying the same text twice changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/frr.h"

static bool
neighbour_is_expressroute(const struct ctl_config *c, const struct ctl_neighbor *n)
{
	for (unsigned int i = 0; i < c->n_interfaces; i++)
		for (unsigned int a = 0; a < c->interfaces[i].n_addresses; a++)
			if (c->interfaces[i].role == SPW_IF_ROLE_EXPRESSROUTE &&
			    spw_prefix_contains_addr(&c->interfaces[i].address[a], &n->address))
				return true;
	return false;
}

static void
render_bfd(FILE *f, const struct ctl_bgp *bgp)
{
	char addr[SPW_ADDR_TEXT];

	fputs("bfd\n", f);
	for (unsigned int i = 0; i < bgp->n_neighbors; i++) {
		const struct ctl_neighbor *n = &bgp->neighbor[i];

		if (!n->bfd)
			continue;
		fprintf(f, " profile SPW-%s\n", spw_addr_format(&n->address, addr));
		fprintf(f,
			"  detect-multiplier %u\n  transmit-interval %u\n  receive-interval %u\n",
			n->bfd_multiplier ? n->bfd_multiplier : 3,
			n->bfd_transmit_ms ? n->bfd_transmit_ms : 300,
			n->bfd_receive_ms ? n->bfd_receive_ms : 300);
		fputs(" exit\n !\n", f);
	}
	fputs("exit\n!\n", f);
}

static void
render_policy(FILE *f, const struct ctl_bgp *bgp)
{
	char addr[SPW_ADDR_TEXT], prefix[SPW_PREFIX_TEXT];

	for (unsigned int i = 0; i < bgp->n_announce; i++) {
		struct spw_prefix p = spw_prefix_masked(&bgp->announce[i]);

		fprintf(f, "ip prefix-list SPW-ANNOUNCE seq %u permit %s\n", (i + 1) * 5,
			spw_prefix_format(&p, prefix));
	}
	fputs("!\n", f);
	for (unsigned int i = 0; i < bgp->n_neighbors; i++) {
		const struct ctl_neighbor *n = &bgp->neighbor[i];

		fprintf(f, "route-map SPW-IN-%s permit 10\n", spw_addr_format(&n->address, addr));
		if (n->local_preference)
			fprintf(f, " set local-preference %u\n", n->local_preference);
		fputs("exit\n!\n", f);
	}
	fputs("route-map SPW-OUT permit 10\n match ip address prefix-list SPW-ANNOUNCE\nexit\n!\n",
	      f);
	fputs("route-map SPW-DRAINED deny 10\nexit\n!\n", f);
}

static void
render_neighbour(FILE *f, const struct ctl_neighbor *n, const struct ctl_frr_secret *secret)
{
	char a[SPW_ADDR_TEXT];

	spw_addr_format(&n->address, a);
	fprintf(f, " neighbor %s remote-as %u\n", a, n->remote_as);
	if (n->description[0])
		fprintf(f, " neighbor %s description %s\n", a, n->description);
	if (n->bfd)
		fprintf(f, " neighbor %s bfd\n neighbor %s bfd profile SPW-%s\n", a, a, a);
	if (secret->text[0])
		fprintf(f, " neighbor %s password %s\n", a, secret->text);
	if (n->keepalive_s || n->hold_s)
		fprintf(f, " neighbor %s timers %u %u\n", a, n->keepalive_s, n->hold_s);
	fprintf(f, " neighbor %s timers connect 1\n", a);
}

static void
render_family(FILE *f, const struct ctl_config *c, bool drained)
{
	char a[SPW_ADDR_TEXT], prefix[SPW_PREFIX_TEXT];

	fputs(" !\n address-family ipv4 unicast\n", f);
	for (unsigned int i = 0; i < c->bgp.n_announce; i++) {
		struct spw_prefix p = spw_prefix_masked(&c->bgp.announce[i]);

		fprintf(f, "  network %s\n", spw_prefix_format(&p, prefix));
	}
	for (unsigned int i = 0; i < c->bgp.n_neighbors; i++) {
		const struct ctl_neighbor *n = &c->bgp.neighbor[i];
		bool out = drained && neighbour_is_expressroute(c, n);

		spw_addr_format(&n->address, a);
		fprintf(f, "  neighbor %s route-map SPW-IN-%s in\n", a, a);
		fprintf(f, "  neighbor %s route-map SPW-%s out\n", a, out ? "DRAINED" : "OUT");
	}
	fputs(" exit-address-family\n", f);
}

static void
render_bgp(FILE *f, const struct ctl_config *c, const struct ctl_frr_secret *secrets, bool drained)
{
	char a[SPW_ADDR_TEXT];

	fprintf(f, "router bgp %u\n", c->bgp.local_as);
	if (spw_addr_is_set(&c->bgp.router_id))
		fprintf(f, " bgp router-id %s\n", spw_addr_format(&c->bgp.router_id, a));
	/* What we announce is what the configuration names, whether the kernel has it or not. */
	fputs(" no bgp network import-check\n", f);
	for (unsigned int i = 0; i < c->bgp.n_neighbors; i++)
		render_neighbour(f, &c->bgp.neighbor[i], &secrets[i]);
	render_family(f, c, drained);
	fputs("exit\n!\n", f);
}

char *
ctl_frr_render(const struct ctl_config *config, const struct ctl_frr_secret *secrets, bool drained)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fputs("frr defaults traditional\n", f);
	fputs("no zebra nexthop kernel enable\n!\n", f);
	if (config->bgp.local_as) {
		render_bgp(f, config, secrets, drained);
		render_policy(f, &config->bgp);
		render_bfd(f, &config->bgp);
	}
	fputs("end\n", f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

const char *
ctl_frr_cause(const json_t *neighbour)
{
	const char *state = json_string_value(json_object_get(neighbour, "bgpState"));
	const char *why = json_string_value(json_object_get(neighbour, "lastResetDueTo"));
	const char *note = json_string_value(json_object_get(neighbour, "lastNotificationReason"));

	if (!neighbour || !state || strcmp(state, "Established") == 0)
		return "withdrawn";
	/* RFC 9384: a session that BFD ends is ended by Cease, BFD Down. */
	if (why && strcasestr(why, "notification") && note && strcasestr(note, "bfd"))
		return "bfd-timeout";
	if (why && strcasestr(why, "bfd"))
		return "bfd-timeout";
	if (why && strcasestr(why, "interface"))
		return "link-down";
	return "bgp-down";
}

double
ctl_frr_bfd_detect_ms(const json_t *peer)
{
	json_int_t theirs = json_integer_value(json_object_get(peer, "remote-detect-multiplier"));
	json_int_t ours = json_integer_value(json_object_get(peer, "receive-interval"));
	json_int_t sends = json_integer_value(json_object_get(peer, "remote-transmit-interval"));

	/* RFC 5880 6.8.4: the remote multiplier times the slower of what it sends, what we take. */
	if (theirs <= 0 || ours <= 0)
		return -1;
	return (double)theirs * (double)(ours > sends ? ours : sends);
}
