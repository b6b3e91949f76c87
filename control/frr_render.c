/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frr.conf from the configuration, and FRR's answers to what they mean. Pure.
 *
 * Every name that is made here starts with SPW-, so that what an administrator adds by hand
 * is told apart. External sessions need a policy in both directions: in, routes are taken with
 * the neighbour's local preference; out, exactly the prefixes that are meant for it are announced,
 * none when it is drained. A neighbour speaks the family of its address. Nothing is said of the
 * choice between routes: of two ExpressRoute links with the same local preference the AS path
 * decides, which Microsoft lengthens for maintenance, and equal ones are used together. No
 * neighbour is passive, so that we dial. BFD is the data plane's and not named here.
 *
 * Kernel next hop objects are off: with them the kernel drops routes at the loss of a carrier
 * without a message. Order and spelling are those of "show running-config", so that applying the
 * same text twice changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/frr.h"

#define WARN_PERCENT	     80
#define SETTLE_S	     30	 /* a restarted bgpd waits at most so long for all to be told */
#define STALE_S		     300 /* old routes go at the latest */
#define SESSION_RETRY_S	     1
#define POLICY_DELAY_S	     1 /* from the last change of a route map until it is used */
#define STATION_RETRY_MS     1000
#define STATION_RETRY_MAX_MS 2000

static const uint8_t families[] = {AF_INET, AF_INET6};

/* "ip" or "ipv6" of prefix-list commands, "ipv4" or "ipv6" of address families. */
static const char *
list_word(uint8_t family)
{
	return family == AF_INET6 ? "ipv6" : "ip";
}

static const char *
family_word(uint8_t family)
{
	return family == AF_INET6 ? "ipv6" : "ipv4";
}

static void
render_lists(FILE *f, const struct ctl_bgp *bgp, uint8_t family)
{
	const struct spw_prefix *told[CTL_LIST];
	char addr[SPW_ADDR_TEXT], prefix[SPW_PREFIX_TEXT];
	unsigned int lines = 0;

	for (unsigned int i = 0; i < bgp->n_neighbors; i++) {
		const struct ctl_neighbor *n = &bgp->neighbor[i];
		unsigned int n_told = ctl_config_announced(bgp, n, told);

		for (unsigned int k = 0; n->address.family == family && k < n_told; k++, lines++) {
			struct spw_prefix p = spw_prefix_masked(told[k]);

			fprintf(f, "%s prefix-list SPW-OUT-%s seq %u permit %s\n",
				list_word(family), spw_addr_format(&n->address, addr), (k + 1) * 5,
				spw_prefix_format(&p, prefix));
		}
	}
	if (lines)
		fputs("!\n", f);
}

/* What a neighbour is told: its list, or nothing when that is empty. */
static void
render_out(FILE *f, const struct ctl_bgp *bgp, const struct ctl_neighbor *n)
{
	const struct spw_prefix *told[CTL_LIST];
	bool any = ctl_config_announced(bgp, n, told) > 0;
	char a[SPW_ADDR_TEXT];

	spw_addr_format(&n->address, a);
	fprintf(f, "route-map SPW-OUT-%s %s 10\n", a, any ? "permit" : "deny");
	if (any)
		fprintf(f, " match %s address prefix-list SPW-OUT-%s\n",
			list_word(n->address.family), a);
	fputs("exit\n!\n", f);
}

static void
render_policy(FILE *f, const struct ctl_bgp *bgp)
{
	char a[SPW_ADDR_TEXT];

	for (size_t i = 0; i < sizeof(families); i++)
		render_lists(f, bgp, families[i]);
	for (unsigned int i = 0; i < bgp->n_neighbors; i++) {
		const struct ctl_neighbor *n = &bgp->neighbor[i];

		fprintf(f, "route-map SPW-IN-%s permit 10\n", spw_addr_format(&n->address, a));
		/* The link-local next hop that comes beside it is no address of ours to watch. */
		if (n->address.family == AF_INET6)
			fputs(" set ipv6 next-hop prefer-global\n", f);
		fprintf(f, " set local-preference %u\n", n->local_preference);
		fputs("exit\n!\n", f);
		render_out(f, bgp, n);
	}
	fputs("route-map SPW-DRAINED deny 10\nexit\n!\n", f);
}

/*
 * A text for people as FRR keeps one: words with one space between; what its command line takes
 * otherwise, and what is not ASCII, is a dot. Nothing at all is no command.
 */
static void
render_description(FILE *f, const char *addr, const char *text)
{
	char out[CTL_TEXT];
	size_t n = 0;

	for (; *text && n < sizeof(out) - 1; text++) {
		if (*text != ' ')
			out[n++] = *text > ' ' && *text <= '~' && *text != '|' ? *text : '.';
		else if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	n -= n > 0 && out[n - 1] == ' ';
	out[n] = '\0';
	if (n > 0)
		fprintf(f, " neighbor %s description %s\n", addr, out);
}

static void
render_neighbour(FILE *f, const struct ctl_neighbor *n, const struct ctl_frr_secret *secret)
{
	char a[SPW_ADDR_TEXT];

	spw_addr_format(&n->address, a);
	fprintf(f, " neighbor %s remote-as %u\n", a, n->remote_as);
	render_description(f, a, n->description);
	if (secret->text[0])
		fprintf(f, " neighbor %s password %s\n", a, secret->text);
	if (n->keepalive_s || n->hold_s)
		fprintf(f, " neighbor %s timers %u %u\n", a, n->keepalive_s, n->hold_s);
	fprintf(f, " neighbor %s timers connect %d\n", a, SESSION_RETRY_S);
}

static int
network_compare(const void *a, const void *b)
{
	return spw_prefix_compare(a, b);
}

/* All that is announced to somebody, once each. Returns the number. */
static unsigned int
gather_networks(const struct ctl_bgp *bgp, uint8_t family, struct spw_prefix *out)
{
	const struct spw_prefix *told[CTL_LIST];
	unsigned int n = 0, kept = 0;

	for (unsigned int i = 0; i < bgp->n_announce; i++)
		if (bgp->announce[i].addr.family == family)
			out[n++] = spw_prefix_masked(&bgp->announce[i]);
	for (unsigned int i = 0; i < bgp->n_neighbors; i++) {
		const struct ctl_neighbor *nb = &bgp->neighbor[i];
		unsigned int n_told = nb->n_announce ? ctl_config_announced(bgp, nb, told) : 0;

		for (unsigned int k = 0; nb->address.family == family && k < n_told; k++)
			out[n++] = spw_prefix_masked(told[k]);
	}
	qsort(out, n, sizeof(*out), network_compare);
	for (unsigned int i = 0; i < n; i++)
		if (kept == 0 || !spw_prefix_equal(&out[kept - 1], &out[i]))
			out[kept++] = out[i];
	return kept;
}

static bool
speaks(const struct ctl_bgp *bgp, uint8_t family)
{
	for (unsigned int i = 0; i < bgp->n_neighbors; i++)
		if (bgp->neighbor[i].address.family == family)
			return true;
	return false;
}

static void
render_member(FILE *f, const struct ctl_neighbor *n, bool drained)
{
	char a[SPW_ADDR_TEXT];

	spw_addr_format(&n->address, a);
	fprintf(f, "  neighbor %s activate\n", a);
	if (n->prefix_limit)
		fprintf(f, "  neighbor %s maximum-prefix %u %d%s\n", a, n->prefix_limit,
			WARN_PERCENT, n->prefix_limit_drops ? "" : " warning-only");
	fprintf(f, "  neighbor %s route-map SPW-IN-%s in\n", a, a);
	if (drained)
		fprintf(f, "  neighbor %s route-map SPW-DRAINED out\n", a);
	else
		fprintf(f, "  neighbor %s route-map SPW-OUT-%s out\n", a, a);
}

static void
render_family(FILE *f, const struct ctl_bgp *bgp, uint8_t family, const bool *drained)
{
	static struct spw_prefix network[CTL_LIST * (CTL_LIST + 1)];
	char prefix[SPW_PREFIX_TEXT];
	unsigned int n;

	if (!speaks(bgp, family))
		return;
	n = gather_networks(bgp, family, network);
	fprintf(f, " !\n address-family %s unicast\n", family_word(family));
	for (unsigned int i = 0; i < n; i++)
		fprintf(f, "  network %s\n", spw_prefix_format(&network[i], prefix));
	for (unsigned int i = 0; i < bgp->n_neighbors; i++)
		if (bgp->neighbor[i].address.family == family)
			render_member(f, &bgp->neighbor[i], drained && drained[i]);
	fprintf(f, "  maximum-paths %u\n", bgp->multipath);
	fputs(" exit-address-family\n", f);
}

/* RFC 7854: what bgpd takes from each neighbour, told at once. */
static void
render_station(FILE *f, uint16_t port)
{
	if (port == 0)
		return;
	fputs(" !\n bmp targets SPILLWAY\n", f);
	for (size_t i = 0; i < sizeof(families); i++)
		fprintf(f, "  bmp monitor %s unicast post-policy\n", family_word(families[i]));
	fprintf(f, "  bmp connect 127.0.0.1 port %u min-retry %d max-retry %d\n", port,
		STATION_RETRY_MS, STATION_RETRY_MAX_MS);
	fputs(" exit\n", f);
}

static void
render_bgp(FILE *f, const struct ctl_bgp *bgp, const struct ctl_frr_secret *secrets,
	   const bool *drained, uint16_t bmp_port)
{
	char a[SPW_ADDR_TEXT];

	fprintf(f, "router bgp %u\n", bgp->local_as);
	if (spw_addr_is_set(&bgp->router_id))
		fprintf(f, " bgp router-id %s\n", spw_addr_format(&bgp->router_id, a));
	/* A neighbour speaks the family of its address, and no other. */
	fputs(" no bgp default ipv4-unicast\n", f);
	/* The neighbours wait 120 s for bgpd, FRR's own default. */
	if (bgp->graceful_restart)
		fprintf(f,
			" bgp graceful-restart stalepath-time %d\n"
			" bgp graceful-restart select-defer-time %d\n"
			" bgp graceful-restart\n"
			" bgp graceful-restart preserve-fw-state\n",
			STALE_S, SETTLE_S);
	/* What we announce is what the configuration names, whether the kernel has it or not. */
	fputs(" no bgp network import-check\n", f);
	for (unsigned int i = 0; i < bgp->n_neighbors; i++)
		render_neighbour(f, &bgp->neighbor[i], &secrets[i]);
	for (size_t i = 0; i < sizeof(families); i++)
		render_family(f, bgp, families[i], drained);
	render_station(f, bmp_port);
	fputs("exit\n!\n", f);
}

char *
ctl_frr_render(const struct ctl_config *config, const struct ctl_frr_secret *secrets,
	       const bool *drained, uint16_t bmp_port)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fputs("frr defaults traditional\n", f);
	/* Said, because an apply that leaves them out turns the kernel's forwarding on. */
	fputs("no ip forwarding\nno ipv6 forwarding\n", f);
	fputs("no zebra nexthop kernel enable\n!\n", f);
	if (config->bgp.local_as) {
		/* With a route map that is not in use yet nothing is taken or told; else 5 s. */
		fprintf(f, "bgp route-map delay-timer %d\n!\n", POLICY_DELAY_S);
		render_bgp(f, &config->bgp, secrets, drained, bmp_port);
		render_policy(f, &config->bgp);
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
