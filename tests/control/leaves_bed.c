/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bed for routes, paths and leaves: the runtime's tables are made by hand, what the kernel
 * would say is put into them, and what comes out is read as a worker reads it (leaves_world.c keeps
 * it). One thread.
 */
#include "tests/control/leaves_bed.h"

#include <event2/event.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/show.h"
#include "control/watch_private.h"

struct bed bed;

static struct ctl_iface ifaces[T_ER + 1];
static struct ctl_port ports[2];
static struct ctl_tun tuns[3];
static struct ctl_interface conf_ifaces[4];
static struct event_base *base;
static char book[] = "/tmp/ctl-leaves-XXXXXX";

struct spw_prefix
bed_prefix(const char *text)
{
	struct spw_prefix p;

	assert_int_equal(spw_prefix_parse(&p, text, NULL), 0);
	return p;
}

struct spw_addr
bed_addr(const char *text)
{
	return bed_prefix(text).addr;
}

static void
iface_make(uint32_t index, const char *name, enum spw_dp_iface_role role, const char *address)
{
	static struct ctl_iface *last;
	struct ctl_iface *i = &ifaces[index];

	*i = (struct ctl_iface){.id = index,
				.ifindex = index,
				.role = role,
				.enabled = true,
				.keep = true,
				.in_dataplane = true,
				.keeper_fd = -1};
	snprintf(i->name, sizeof(i->name), "%s", name);
	if (address) {
		i->wanted[i->n_wanted++] = bed_prefix(address);
		conf_ifaces[index - 1] = (struct ctl_interface){.role = role, .n_addresses = 1};
		conf_ifaces[index - 1].address[0] = bed_prefix(address);
		snprintf(conf_ifaces[index - 1].name, CTL_NAME, "%s", name);
	}
	if (bed.rt->ifaces)
		last->next = i;
	else
		bed.rt->ifaces = i;
	last = i;
}

static void
tunnel_make(unsigned int n, const char *name, const char *local, const char *remote)
{
	struct ctl_tun *t = &tuns[n];

	*t = (struct ctl_tun){.id = n, .keep = true, .conf = {.enabled = true}};
	snprintf(t->conf.name, CTL_NAME, "%s", name);
	t->conf.local = bed_addr(local);
	t->conf.remote = bed_addr(remote);
	t->next = bed.rt->tunnels;
	bed.rt->tunnels = t;
	iface_make(T_A + n, name, SPW_IF_ROLE_TUNNEL, NULL);
	ifaces[T_A + n].tunnel = t;
	t->iface = &ifaces[T_A + n];
	t->path = ctl_path_get(bed.rt, SPW_PATH_TUNNEL, NULL, t, NULL);
}

static void
runtime_make(void)
{
	struct spw_err err = {0};
	struct ctl_runtime *rt = bed.rt = calloc(1, sizeof(*rt));

	rt->base = base;
	assert_int_equal(ctl_ids_open(&rt->ids, book, &err), 0);
	assert_int_equal(ctl_rib_init(&rt->rib), 0);
	assert_int_equal(ctl_failover_new(rt), 0);
	rt->configured = rt->in_sync = true;
	rt->generation = 1;
	iface_make(ER0, "er0", SPW_IF_ROLE_EXPRESSROUTE, "172.16.0.1/30");
	iface_make(ER1, "er1", SPW_IF_ROLE_EXPRESSROUTE, "172.16.1.1/30");
	iface_make(LAN0, "lan0", SPW_IF_ROLE_LAN, "10.1.0.1/24");
	iface_make(NET0, "net0", SPW_IF_ROLE_INTERNET, "198.51.100.2/24");
	strcpy(ifaces[ER0].circuit, "one");
	strcpy(ifaces[ER1].circuit, "two");
	for (unsigned int i = 0; i < 2; i++) {
		ports[i] = (struct ctl_port){.link_known = true, .link_up = true, .keep = true};
		ifaces[ER0 + i].port = &ports[i];
		ctl_request_recall_aside(rt, &ifaces[ER0 + i]);
	}
	rt->config.interfaces = conf_ifaces;
	rt->config.n_interfaces = 4;
	tunnel_make(0, "azure-a", "198.51.100.2", "203.0.113.2");
	tunnel_make(1, "azure-b", "198.51.100.2", "203.0.113.3");
	tunnel_make(2, "azure-er", "172.16.0.1", "10.200.0.4");
}

void
bed_start(void)
{
	memset(&bed, 0, sizeof(bed));
	bed.now = 1000 * SPW_NS_PER_S;
	bed.group = calloc(BED_GROUPS, sizeof(*bed.group));
	assert_int_equal(ctl_rib_init(&bed.fib), 0);
	base = event_base_new();
	strcpy(book, "/tmp/ctl-leaves-XXXXXX");
	close(mkstemp(book));
	runtime_make();
}

static void
runtime_drop(void)
{
	struct ctl_runtime *rt = bed.rt;

	for (struct ctl_vnet_state *v = rt->vnets, *next; v; v = next) {
		next = v->next;
		free(v);
	}
	ctl_failover_free(rt);
	ctl_fib_free(rt);
	ctl_ids_close(rt->ids);
	free(rt);
}

void
bed_stop(void)
{
	runtime_drop();
	ctl_rib_fini(&bed.fib);
	free(bed.group);
	event_base_free(base);
	unlink(book);
}

int
bed_setup(void **state)
{
	bed_start();
	return 0;
}

int
bed_teardown(void **state)
{
	bed_stop();
	return 0;
}

static void
copy_routes(void *ctx, struct ctl_rib_entry *e)
{
	struct ctl_rib *to = ctx;
	struct ctl_rib_entry *copy = e->routes ? ctl_rib_get(to, &e->prefix) : NULL;

	if (copy) {
		copy->routes = e->routes;
		e->routes = NULL;
	}
}

static void
learn(void *ctx, struct ctl_rib_entry *e)
{
	struct ctl_rib_entry *own = ctl_rib_get(&bed.rt->rib, &e->prefix);

	own->routes = e->routes;
	e->routes = NULL;
	ctl_fib_route_changed(bed.rt, own);
}

void
bed_restart(void)
{
	struct ctl_vnet conf[4];
	struct ctl_rib kernel;
	unsigned int n = 0;
	bool up[3];

	ctl_rib_init(&kernel);
	ctl_rib_each(&bed.rt->rib, copy_routes, &kernel);
	for (const struct ctl_vnet_state *v = bed.rt->vnets; v && n < 4; v = v->next)
		conf[n++] = v->conf;
	for (unsigned int i = 0; i < 3; i++)
		up[i] = tuns[i].up;
	runtime_drop();
	runtime_make();
	for (unsigned int i = 0; i < 3; i++)
		tuns[i].up = up[i];
	for (unsigned int i = 0; i < n; i++)
		bed_vnet(conf[i].name, NULL, NULL)->conf = conf[i];
	ctl_fib_covers(bed.rt);
	ctl_rib_each(&kernel, learn, NULL);
	ctl_rib_fini(&kernel);
	ctl_fib_dirty_all(bed.rt);
	ctl_fib_update_all(bed.rt);
	bed.rt->kernel_known = true;
	ctl_fib_forget(bed.rt);
	ctl_paths_send_new(bed.rt);
	ctl_fib_adopt_paths(bed.rt);
	bed_update();
}

struct ctl_vnet_state *
bed_vnet(const char *name, const char *a, const char *b)
{
	struct ctl_vnet_state *v = calloc(1, sizeof(*v)), **tail = &bed.rt->vnets;

	snprintf(v->conf.name, CTL_NAME, "%s", name);
	v->keep = true;
	v->conf.wait_to_restore_s = 30;
	v->conf.n_tunnels = 2;
	v->conf.tunnel[0] = (struct ctl_vnet_tunnel){.name = "azure-a", .weight = 1};
	v->conf.tunnel[1] = (struct ctl_vnet_tunnel){.name = "azure-b", .weight = 1};
	if (a)
		v->conf.prefix[v->conf.n_prefixes++] = bed_prefix(a);
	if (b)
		v->conf.prefix[v->conf.n_prefixes++] = bed_prefix(b);
	while (*tail)
		tail = &(*tail)->next;
	*tail = v;
	ctl_failover_recall(bed.rt, v);
	return v;
}

void
bed_commit(void)
{
	ctl_fib_covers(bed.rt);
	ctl_fib_dirty_all(bed.rt);
	ctl_fib_update_all(bed.rt);
	bed.rt->kernel_known = true;
	ctl_fib_update_all(bed.rt);
	ctl_fib_collect(bed.rt);
}

void
bed_route(const char *prefix, uint32_t metric, uint32_t over, const char *via, uint32_t over2,
	  const char *via2)
{
	struct ctl_nl_route r = {.prefix = bed_prefix(prefix),
				 .metric = metric,
				 .protocol = 186,
				 .type = RTN_UNICAST,
				 .n_hops = over2 ? 2 : 1};
	struct ctl_rib_entry *e = ctl_rib_get(&bed.rt->rib, &r.prefix);

	r.hop[0] = (struct ctl_nl_hop){.index = over, .weight = 1};
	if (via)
		r.hop[0].gateway = bed_addr(via);
	r.hop[1] = (struct ctl_nl_hop){.index = over2, .weight = 1};
	if (via2)
		r.hop[1].gateway = bed_addr(via2);
	if (metric == CTL_PIN_METRIC)
		r.protocol = CTL_RTPROT_US;
	if (ctl_rib_route_put(e, &r))
		ctl_fib_route_changed(bed.rt, e);
}

void
bed_unroute(const char *prefix, uint32_t metric)
{
	struct ctl_nl_route r = {.prefix = bed_prefix(prefix), .metric = metric};
	struct ctl_rib_entry *e = ctl_rib_find(&bed.rt->rib, &r.prefix);

	assert_non_null(e);
	ctl_fib_hold(bed.rt, e);
	if (ctl_rib_route_del(e, &r))
		ctl_fib_route_changed(bed.rt, e);
}

void
bed_tunnel(const char *name, bool up)
{
	struct ctl_tun *t = ctl_tun_by_name(bed.rt, name);

	assert_non_null(t);
	t->up = up;
}

void
bed_link(uint32_t index, bool up)
{
	ports[index - ER0].link_up = up;
}

void
bed_neighbour(const char *addr, bool answers)
{
	struct spw_addr a = bed_addr(addr);

	for (unsigned int i = 0; i < 4; i++)
		if (spw_addr_equal(&bed.dead[i], &a))
			bed.dead[i] = (struct spw_addr){0};
	for (unsigned int i = 0; i < 4 && !answers; i++)
		if (bed.dead[i].family == 0) {
			bed.dead[i] = a;
			return;
		}
}

void
bed_clears(uint32_t path)
{
	bed.bit[path] = false;
	bed.clears[path]++;
}

void
bed_update(void)
{
	ctl_fib_update(bed.rt);
	while (bed.rt->dirty)
		event_base_loop(base, EVLOOP_ONCE);
}

void
bed_sleep(double seconds)
{
	bed.now += (uint64_t)(seconds * 1e9);
	/* Only where it was armed: what nobody waits for does not end by itself. */
	if (event_pending(bed.rt->timer, EV_TIMEOUT, NULL))
		event_active(bed.rt->timer, EV_TIMEOUT, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	bed_update();
}

static const char *
path_name(const struct ctl_path *p)
{
	static char name[CTL_ID_KEY];

	if (!p->tunnel)
		return p->key;
	snprintf(name, sizeof(name), "t %s", p->tunnel->conf.name);
	return name;
}

/* As a worker does. */
const char *
bed_carrier(const char *addr)
{
	struct spw_addr a = bed_addr(addr);
	const struct ctl_rib_entry *e =
		ctl_rib_covering(&bed.fib, &a, a.family == AF_INET ? 33 : 129);
	const struct spw_dp_group *g = e ? &bed.group[e->restored_ns] : NULL;

	if (!g)
		return "none";
	for (unsigned int t = 0; t < g->n_tiers; t++)
		for (unsigned int i = 0; i < g->tier[t].n_paths; i++)
			if (bed.bit[g->tier[t].path[i]])
				return path_name(bed.rt->path[g->tier[t].path[i]]);
	return "drop";
}

const char *
bed_tiers(const char *prefix)
{
	static char out[SPW_DP_TIERS + 1];
	struct spw_prefix p = bed_prefix(prefix);
	const struct ctl_rib_entry *e = ctl_rib_find(&bed.fib, &p);
	const struct spw_dp_group *g = e ? &bed.group[e->restored_ns] : NULL;
	unsigned int n = 0;

	if (!g)
		return "-";
	for (; n < g->n_tiers; n++)
		out[n] = "PETI"[g->tier[n].role];
	out[n] = '\0';
	return out;
}

struct ctl_vnet_state *
bed_settled(void)
{
	struct ctl_vnet_state *v = bed_vnet("prod", "10.100.0.0/16", "2001:db8:100::/48");

	bed_route("10.100.0.0/16", 20, ER0, VIA0, ER1, VIA1);
	bed_tunnel("azure-a", true);
	bed_tunnel("azure-b", true);
	bed_commit();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	return v;
}

const char *
bed_link_state(const struct ctl_vnet_state *v, const char *iface)
{
	static struct ctl_watch nothing; /* is watched */
	static char word[32];
	json_t *list, *link;
	size_t i;

	bed.rt->watch = &nothing;
	list = ctl_show_candidates(bed.rt, v, &(struct ctl_ike_list){0});
	bed.rt->watch = NULL;
	snprintf(word, sizeof(word), "-");
	json_array_foreach(
		json_object_get(json_array_get(list, 0), "links"), i,
		link) if (strcmp(json_string_value(json_object_get(link, "interface")), iface) == 0)
		snprintf(word, sizeof(word), "%s",
			 json_string_value(json_object_get(link, "state")));
	json_decref(list);
	return word;
}

static void
on_done(void *ctx, int rc, json_t *reply, const struct spw_err *err)
{
	*(int *)ctx = rc;
}

int
bed_command(const char *line)
{
	char copy[128], *save = NULL;
	const char *words[12];
	unsigned int n = 0;
	int rc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w && n < 12; w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	ctl_failover_command(bed.rt, words, n, on_done, &rc);
	return rc;
}
