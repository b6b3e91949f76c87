/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pinned routes.
 *
 * The packets of a tunnel (IKE and ESP) must leave by its underlay, the interface that has its
 * local address, whatever else is learnt: Microsoft peering may announce the gateway's own prefix
 * over ExpressRoute, and a default route may point to a proxy on the LAN. So each enabled tunnel
 * whose far end is on no connected network has a host route in the kernel, of our protocol number
 * and with a metric that nothing else wins against; from there it comes back as any route and
 * becomes a leaf of the data plane, outside every vnet's choice (ctl_rib_is_pin).
 *
 * Tunnels to one far end from several uplinks have a pin for each uplink, the first tunnel's with
 * the best metric. A route cannot tell them apart, so each is bound to its own: the data plane is
 * told the path of its outer packets, and the sockets of IKE prefer the interface, for which the
 * kernel then takes that interface's pin.
 *
 * Next hops. Internet: the configured gateway of the interface, else those of the best kernel route
 * (longest prefix, then metric) that leaves by this interface, else by another one of that role.
 * ExpressRoute: those of the best route over ExpressRoute interfaces. Hops without carrier count
 * only when there is none with. No hop: no route, and one warning; then the kernel's own routes
 * decide, which is what the tunnel would have had without this.
 *
 * Changes are followed: a kernel route that covers some far end makes a timer run, so that a burst
 * of routes costs one look. The looks are spaced by what the last one took. The mirror tells what
 * is there, so a pin that the kernel dropped with an interface comes back by the same way. One
 * thread.
 */
#include "control/pins.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/iked.h"

#define DELAY_NS	(10 * SPW_NS_PER_MS)
#define SHARE		20 /* a look takes at most this part of the time */
#define RETRY_NS	SPW_NS_PER_S
#define NO_CARRIER(hop) ((hop)->flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN))

/* A far end that wants a pin, over one uplink. */
struct pin {
	struct spw_addr remote;
	uint32_t metric;
	struct ctl_tun *tun; /* these two are valid during a look only */
	struct ctl_iface *underlay;
	size_t order;
	bool shared; /* other uplinks have one, too */
	bool pinned;
};

struct ctl_pins {
	struct event *timer;
	uint64_t took_ns;
	size_t n;
	struct pin *pin;	   /* sorted by remote, each once */
	struct spw_prefix refused; /* the last one that the kernel refused, said once */
	char hopeless[CTL_NAME];   /* the last tunnel without a next hop, said once */
};

static bool
has_address(const struct ctl_iface *i, const struct spw_addr *addr)
{
	for (unsigned int a = 0; a < i->n_wanted; a++)
		if (spw_addr_equal(&i->wanted[a].addr, addr))
			return true;
	for (unsigned int a = 0; a < i->n_addresses; a++)
		if (spw_addr_equal(&i->address[a].addr, addr))
			return true;
	return false;
}

static struct ctl_iface *
underlay_of(struct ctl_runtime *rt, const struct ctl_tun *t)
{
	struct ctl_iface *i = rt->ifaces;

	while (i && !(i->keep && !i->tunnel && has_address(i, &t->conf.local)))
		i = i->next;
	return i;
}

static bool
iface_connects(const struct ctl_iface *i, const struct spw_addr *addr)
{
	for (unsigned int a = 0; a < i->n_wanted; a++)
		if (spw_prefix_contains_addr(&i->wanted[a], addr))
			return true;
	for (unsigned int a = 0; a < i->n_addresses; a++)
		if (spw_prefix_contains_addr(&i->address[a], addr))
			return true;
	return false;
}

static bool
is_connected(const struct ctl_runtime *rt, const struct spw_addr *addr)
{
	for (const struct ctl_iface *i = rt->ifaces; i; i = i->next)
		if (i->keep && !i->tunnel && iface_connects(i, addr))
			return true;
	return false;
}

/* Whether a route's hop may carry the pin: by `only`, or by any interface of the role. */
struct want {
	const struct ctl_iface *only;
	enum spw_dp_iface_role role;
};

static bool
hop_fits(struct ctl_runtime *rt, const struct want *want, const struct ctl_nl_hop *hop)
{
	const struct ctl_iface *i = ctl_iface_by_index(rt, hop->index);

	if (!i || i->tunnel || !i->keep || !hop->gateway.family)
		return false;
	return want->only ? i == want->only : i->role == want->role;
}

static void
take_hops(struct ctl_runtime *rt, const struct want *want, const struct ctl_rib_route *r,
	  bool dead_too, struct ctl_nl_route *out)
{
	for (unsigned int h = 0; h < r->n_hops && out->n_hops < CTL_NL_HOPS; h++) {
		const struct ctl_nl_hop *hop = &r->hop[h];

		if (!hop_fits(rt, want, hop) || (NO_CARRIER(hop) && !dead_too))
			continue;
		out->hop[out->n_hops] = *hop;
		/* The rest is the kernel's state, not a wish. */
		out->hop[out->n_hops++].flags = hop->flags & RTNH_F_ONLINK;
	}
}

static bool
is_pin(const struct ctl_rib_route *r)
{
	return r->protocol == CTL_RTPROT_US && r->metric >= CTL_PIN_METRIC &&
	       r->metric < CTL_PIN_METRIC + CTL_PIN_WAYS;
}

/* The hops that fit of the best route to an address. */
static bool
best_hops(struct ctl_runtime *rt, const struct spw_addr *addr, const struct want *want,
	  bool dead_too, struct ctl_nl_route *out)
{
	int len = (int)(8 * spw_addr_len(addr->family)) + 1;
	const struct ctl_rib_entry *e;

	while (out->n_hops == 0 && (e = ctl_rib_covering(&rt->rib, addr, len))) {
		for (const struct ctl_rib_route *r = e->routes; r && out->n_hops == 0; r = r->next)
			if (!is_pin(r) && r->type == RTN_UNICAST)
				take_hops(rt, want, r, dead_too, out);
		len = e->prefix.len;
	}
	return out->n_hops > 0;
}

static const struct ctl_interface *
conf_of(const struct ctl_runtime *rt, const struct ctl_iface *i)
{
	for (unsigned int c = 0; c < rt->config.n_interfaces; c++)
		if (strcmp(rt->config.interfaces[c].name, i->name) == 0)
			return &rt->config.interfaces[c];
	return NULL;
}

static bool
configured_hop(const struct ctl_runtime *rt, const struct ctl_iface *i,
	       const struct spw_addr *remote, struct ctl_nl_route *out)
{
	const struct ctl_interface *conf = conf_of(rt, i);
	const struct spw_addr *gateway;

	if (!conf || i->ifindex == 0)
		return false;
	gateway = remote->family == AF_INET6 ? &conf->gateway6 : &conf->gateway4;
	if (!spw_addr_is_set(gateway))
		return false;
	out->n_hops = 1;
	out->hop[0] = (struct ctl_nl_hop){.index = i->ifindex, .gateway = *gateway, .weight = 1};
	if (!iface_connects(i, gateway))
		out->hop[0].flags = RTNH_F_ONLINK;
	return true;
}

static bool
underlay_hops(struct ctl_runtime *rt, const struct ctl_iface *i, const struct spw_addr *remote,
	      struct ctl_nl_route *out)
{
	struct want own = {.only = i, .role = i->role}, any = {.role = i->role};

	if (i->role == SPW_IF_ROLE_INTERNET)
		return configured_hop(rt, i, remote, out) ||
		       best_hops(rt, remote, &own, true, out) ||
		       best_hops(rt, remote, &any, true, out);
	if (i->role == SPW_IF_ROLE_EXPRESSROUTE)
		return best_hops(rt, remote, &any, false, out) ||
		       best_hops(rt, remote, &any, true, out);
	return false;
}

static bool
wants_pin(struct ctl_runtime *rt, const struct ctl_tun *t, struct ctl_iface **underlay)
{
	*underlay = t->keep && t->conf.enabled && spw_addr_is_set(&t->conf.remote)
			    ? underlay_of(rt, t)
			    : NULL;
	return *underlay &&
	       ((*underlay)->role == SPW_IF_ROLE_INTERNET ||
		(*underlay)->role == SPW_IF_ROLE_EXPRESSROUTE) &&
	       !is_connected(rt, &t->conf.remote);
}

bool
ctl_pins_route(struct ctl_runtime *rt, const struct ctl_tun *tun, struct ctl_nl_route *out)
{
	struct ctl_iface *underlay;

	memset(out, 0, sizeof(*out));
	out->prefix.addr = tun->conf.remote;
	out->prefix.len = (uint8_t)(8 * spw_addr_len(tun->conf.remote.family));
	out->metric = CTL_PIN_METRIC;
	out->protocol = CTL_RTPROT_US;
	out->type = RTN_UNICAST;
	return wants_pin(rt, tun, &underlay) && underlay_hops(rt, underlay, &tun->conf.remote, out);
}

/* The mirror has this pin already: the same hops in any state. */
static bool
is_there(const struct ctl_runtime *rt, const struct ctl_nl_route *pin)
{
	const struct ctl_rib_entry *e = ctl_rib_find(&rt->rib, &pin->prefix);
	const struct ctl_rib_route *r = e ? e->routes : NULL;
	unsigned int same = 0;

	while (r && !(is_pin(r) && r->metric == pin->metric))
		r = r->next;
	for (unsigned int a = 0; r && a < r->n_hops; a++)
		for (unsigned int b = 0; b < pin->n_hops; b++)
			same += r->hop[a].index == pin->hop[b].index &&
				r->hop[a].weight == pin->hop[b].weight &&
				spw_addr_equal(&r->hop[a].gateway, &pin->hop[b].gateway);
	return r && r->n_hops == pin->n_hops && same == pin->n_hops;
}

static void
look_again(struct ctl_runtime *rt, uint64_t ns)
{
	struct ctl_pins *pins = rt->pins;
	struct timeval tv = {.tv_sec = (time_t)(ns / SPW_NS_PER_S),
			     .tv_usec = (suseconds_t)(ns % SPW_NS_PER_S / SPW_NS_PER_US)};

	if (!event_pending(pins->timer, EV_TIMEOUT, NULL))
		event_add(pins->timer, &tv);
}

static void
put_pin(struct ctl_runtime *rt, const struct ctl_tun *t, const struct ctl_nl_route *pin)
{
	struct ctl_pins *pins = rt->pins;
	char prefix[SPW_PREFIX_TEXT], hop[SPW_ADDR_TEXT];
	int rc;

	if (is_there(rt, pin))
		return;
	rc = ctl_netlink_route_set(rt->netlink, pin, true);
	spw_prefix_format(&pin->prefix, prefix);
	spw_addr_format(&pin->hop[0].gateway, hop);
	if (rc == 0) {
		spw_log(SPW_LOG_INFO, "route", "pinned",
			"tunnel=%s prefix=%s next_hop=%s next_hops=%u", t->conf.name, prefix, hop,
			pin->n_hops);
		return;
	}
	/* The twin may be down: again when it is not. */
	look_again(rt, RETRY_NS);
	if (spw_prefix_equal(&pins->refused, &pin->prefix))
		return;
	pins->refused = pin->prefix;
	spw_log(SPW_LOG_ERROR, "route", "pin-refused",
		"tunnel=%s prefix=%s next_hop=%s error=\"%s\"", t->conf.name, prefix, hop,
		strerror(-rc));
}

static void
tell_hopeless(struct ctl_runtime *rt, const struct ctl_tun *t)
{
	struct ctl_pins *pins = rt->pins;

	if (strcmp(pins->hopeless, t->conf.name) == 0)
		return;
	memcpy(pins->hopeless, t->conf.name, sizeof(pins->hopeless));
	spw_log(SPW_LOG_WARNING, "route", "not-pinned",
		"tunnel=%s cause=\"no route to the peer leaves by the interface that has its local "
		"address\" mend=\"set that interface's gateway\"",
		t->conf.name);
}

static int
by_remote_and_order(const void *a, const void *b)
{
	const struct pin *x = a, *y = b;
	int c = spw_addr_compare(&x->remote, &y->remote);

	return c ? c : x->order < y->order ? -1 : x->order > y->order;
}

/* The first entry whose remote is not below addr. */
static size_t
lower_bound(const struct pin *list, size_t n, const struct spw_addr *addr)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (spw_addr_compare(&list[mid].remote, addr) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool
is_pinned(const struct pin *list, size_t n, const struct spw_addr *addr, uint32_t metric)
{
	for (size_t at = lower_bound(list, n, addr);
	     at < n && spw_addr_equal(&list[at].remote, addr); at++)
		if (list[at].metric == metric)
			return list[at].pinned;
	return false;
}

static void
unpin(struct ctl_runtime *rt, const struct spw_addr *remote, uint32_t metric)
{
	struct ctl_nl_route gone = {
		.prefix = {.addr = *remote, .len = (uint8_t)(8 * spw_addr_len(remote->family))},
		.metric = metric};
	int rc = ctl_netlink_route_set(rt->netlink, &gone, false);
	char text[SPW_ADDR_TEXT];

	spw_log(rc == 0 || rc == -ESRCH ? SPW_LOG_INFO : SPW_LOG_ERROR, "route", "unpinned",
		"address=%s error=\"%s\"", spw_addr_format(remote, text),
		rc == 0 ? "" : strerror(-rc));
}

/*
 * One more of the sorted list, unless the far end has one over this uplink already, or too many.
 * Returns how many are kept.
 */
static size_t
keep(struct pin *list, size_t kept, const struct pin *next)
{
	struct pin *same = list + kept;
	struct pin p = *next;

	p.metric = CTL_PIN_METRIC;
	for (; same > list && spw_addr_equal(&same[-1].remote, &p.remote); same--, p.metric++)
		if (same[-1].underlay == p.underlay)
			return kept;
	if (p.metric >= CTL_PIN_METRIC + CTL_PIN_WAYS)
		return kept;
	p.shared = p.metric > CTL_PIN_METRIC;
	list[kept] = p;
	for (struct pin *s = same; s < list + kept; s++)
		s->shared = p.shared;
	return kept + 1;
}

/* The far ends that want a pin, each once for an uplink. NULL: out of memory. */
static struct pin *
collect(struct ctl_runtime *rt, size_t *n)
{
	struct ctl_iface *underlay;
	size_t all = 0, kept = 0;
	struct pin *list;

	for (const struct ctl_tun *t = rt->tunnels; t; t = t->next)
		all++;
	list = calloc(all + 1, sizeof(*list));
	if (!list)
		return NULL;
	*n = 0;
	for (struct ctl_tun *t = rt->tunnels; t; t = t->next)
		if (wants_pin(rt, t, &underlay)) {
			list[*n] = (struct pin){.remote = t->conf.remote,
						.tun = t,
						.underlay = underlay,
						.order = *n};
			(*n)++;
		}
	qsort(list, *n, sizeof(*list), by_remote_and_order);
	for (size_t i = 0; i < *n; i++)
		kept = keep(list, kept, &list[i]);
	*n = kept;
	return list;
}

/*
 * Tunnels to one far end from several uplinks: their own address decides by which they leave. The
 * routes cannot say that, so the data plane is told a path for each, and IKE's sockets an
 * interface.
 */
static void
bind_tunnels(struct ctl_runtime *rt, const struct pin *list, size_t n)
{
	for (struct ctl_tun *t = rt->tunnels; t; t = t->next) {
		struct ctl_iface *underlay = NULL;
		struct ctl_nl_route route;
		struct ctl_path *path = NULL;
		size_t at = lower_bound(list, n, &t->conf.remote);
		bool shared = at < n && list[at].shared &&
			      spw_addr_equal(&list[at].remote, &t->conf.remote) &&
			      wants_pin(rt, t, &underlay) &&
			      underlay->role == SPW_IF_ROLE_INTERNET &&
			      ctl_pins_route(rt, t, &route) &&
			      ctl_iface_by_index(rt, route.hop[0].index) == underlay;

		if (shared)
			path = ctl_path_get(rt, SPW_PATH_ADJACENCY, underlay, NULL,
					    &route.hop[0].gateway);
		t->outer = path ? path->id + 1 : 0;
		t->uplink = path ? underlay->ifindex : 0;
	}
	ctl_iked_uplinks(rt);
	if (!rt->in_sync || !ctl_dataplane_connected(rt))
		return;
	ctl_paths_send_new(rt);
	ctl_sync_outer(rt);
}

void
ctl_pins_use_paths(struct ctl_runtime *rt)
{
	for (const struct ctl_tun *t = rt->tunnels; t; t = t->next)
		for (uint32_t i = 0; i < 2; i++) {
			uint32_t id = i == 0 ? t->outer : t->outer_told;

			if (t->keep && id && rt->path[id - 1])
				rt->path[id - 1]->refs++;
		}
}

static void
update(struct ctl_runtime *rt)
{
	struct ctl_pins *pins = rt->pins;
	uint64_t start = spw_clock_ns();
	struct pin *before = pins->pin, *list;
	size_t n_before = pins->n, n;

	list = collect(rt, &n);
	if (!list)
		return;
	for (size_t i = 0; i < n; i++) {
		struct ctl_nl_route route;

		list[i].pinned = ctl_pins_route(rt, list[i].tun, &route);
		route.metric = list[i].metric;
		if (list[i].pinned)
			put_pin(rt, list[i].tun, &route);
		else
			tell_hopeless(rt, list[i].tun);
	}
	pins->pin = list;
	pins->n = n;
	for (size_t i = 0; i < n_before; i++)
		if (before[i].pinned && !is_pinned(list, n, &before[i].remote, before[i].metric))
			unpin(rt, &before[i].remote, before[i].metric);
	free(before);
	bind_tunnels(rt, list, n);
	pins->took_ns = spw_clock_ns() - start;
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	update(arg);
}

static void
remove_stray(void *ctx, struct ctl_rib_entry *e)
{
	struct ctl_runtime *rt = ctx;

	for (const struct ctl_rib_route *r = e->routes; r; r = r->next)
		if (is_pin(r) && !is_pinned(rt->pins->pin, rt->pins->n, &e->prefix.addr, r->metric))
			unpin(rt, &e->prefix.addr, r->metric);
}

void
ctl_pins_apply(struct ctl_runtime *rt)
{
	rt->pins->hopeless[0] = '\0';
	memset(&rt->pins->refused, 0, sizeof(rt->pins->refused));
	update(rt);
	ctl_rib_each(&rt->rib, remove_stray, rt);
}

void
ctl_pins_route_changed(struct ctl_runtime *rt, const struct ctl_rib_entry *entry)
{
	const struct ctl_pins *pins = rt->pins;
	size_t at = lower_bound(pins->pin, pins->n, &entry->prefix.addr);
	uint64_t delay = SHARE * pins->took_ns;

	if (at < pins->n && spw_prefix_contains_addr(&entry->prefix, &pins->pin[at].remote))
		look_again(rt, delay > DELAY_NS ? delay : DELAY_NS);
}

int
ctl_pins_new(struct ctl_runtime *rt)
{
	rt->pins = calloc(1, sizeof(*rt->pins));
	if (!rt->pins)
		return -ENOMEM;
	rt->pins->timer = evtimer_new(rt->base, on_timer, rt);
	return rt->pins->timer ? 0 : -ENOMEM;
}

void
ctl_pins_free(struct ctl_runtime *rt)
{
	if (!rt->pins)
		return;
	if (rt->pins->timer)
		event_free(rt->pins->timer);
	free(rt->pins->pin);
	free(rt->pins);
	rt->pins = NULL;
}
