/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configured static routes, made in the kernel's table under a protocol number of our own. From
 * there they come back as any other route, so there is one way into the data plane. The distance
 * goes into the highest byte of the metric, where zebra looks for it; the kernel then prefers
 * a route of a daemon with a plain metric, and zebra withdraws that one when ours is better.
 * Routes that the configuration does not name any more are removed; those of an earlier process
 * are known by their protocol number. Pinned routes to tunnel endpoints have that number, too, and
 * a metric that no static route can have: pins.c looks after them.
 */
#include <errno.h>
#include <string.h>

#include "control/runtime_priv.h"

static uint32_t
metric_of(const struct ctl_static_route *r)
{
	return (r->distance & 0xff) << 24;
}

static struct ctl_nl_route
route_of(const struct ctl_static_route *r)
{
	return (struct ctl_nl_route){.prefix = r->prefix,
				     .metric = metric_of(r),
				     .n_hops = 1,
				     .hop = {{.gateway = r->next_hop, .weight = 1}}};
}

static bool
is_configured(const struct ctl_config *c, const struct spw_prefix *prefix, uint32_t metric)
{
	for (unsigned int i = 0; i < c->n_statics; i++) {
		struct spw_prefix p = spw_prefix_masked(&c->statics[i].prefix);

		if (spw_prefix_equal(&p, prefix) && metric_of(&c->statics[i]) == metric)
			return true;
	}
	return false;
}

static void
remove_stray(void *ctx, struct ctl_rib_entry *e)
{
	struct ctl_runtime *rt = ctx;

	for (const struct ctl_rib_route *r = e->routes; r; r = r->next) {
		struct ctl_nl_route stray = {.prefix = e->prefix, .metric = r->metric};

		if (r->protocol == CTL_RTPROT_US && r->metric >= CTL_PIN_METRIC + CTL_PIN_WAYS &&
		    !is_configured(&rt->config, &e->prefix, r->metric))
			ctl_netlink_route_set(rt->netlink, &stray, false);
	}
}

void
ctl_statics_apply(struct ctl_runtime *rt)
{
	char prefix[SPW_PREFIX_TEXT], next_hop[SPW_ADDR_TEXT];

	ctl_rib_each(&rt->rib, remove_stray, rt);
	for (unsigned int i = 0; i < rt->config.n_statics; i++) {
		const struct ctl_static_route *r = &rt->config.statics[i];
		struct ctl_nl_route route = route_of(r);
		int rc = ctl_netlink_route_set(rt->netlink, &route, true);

		if (rc != 0)
			spw_log(SPW_LOG_ERROR, "route", "static-refused",
				"prefix=%s next_hop=%s error=\"%s\"",
				spw_prefix_format(&r->prefix, prefix),
				spw_addr_format(&r->next_hop, next_hop), strerror(-rc));
	}
}
