/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preparing a change: everything that can fail, fails here.
 *
 * Key and password files are read (and wiped again); names are checked against what the kernel
 * has; new ports are probed by the data plane, and those that are to take larger packets are asked
 * to. These are the steps that change something, so abandoning deletes the ports again and gives
 * the others their MTU back. A smaller MTU is never refused and waits for the apply. Without a data
 * plane a change that it would have to check is refused; the configuration of the start is taken as
 * it is, because it was checked when it was committed, and the daemons may start in any order.
 */
#include "control/plan.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "control/dataplane.h"
#include "control/secret_file.h"

#define PORTS 64

struct ctl_plan {
	struct ctl_config config;
	unsigned int n_ports; /* probed for this plan */
	struct {
		uint32_t id;
		char key[CTL_ID_KEY];
	} port[PORTS];
	unsigned int n_raised; /* MTUs, as they were before */
	struct spw_dp_port raised[PORTS];
};

void
ctl_config_release(struct ctl_config *c)
{
	free(c->interfaces);
	free(c->statics);
	free(c->tunnels);
	free(c->vnets);
	memset(c, 0, sizeof(*c));
}

static void *
list_copy(const void *list, size_t n, size_t size, bool *bad)
{
	void *copy = calloc(n ? n : 1, size);

	if (!copy)
		*bad = true;
	else if (n)
		memcpy(copy, list, n * size);
	return copy;
}

static int
config_copy(struct ctl_config *to, const struct ctl_config *from)
{
	bool bad = false;

	*to = *from;
	to->interfaces =
		list_copy(from->interfaces, from->n_interfaces, sizeof(*from->interfaces), &bad);
	to->statics = list_copy(from->statics, from->n_statics, sizeof(*from->statics), &bad);
	to->tunnels = list_copy(from->tunnels, from->n_tunnels, sizeof(*from->tunnels), &bad);
	to->vnets = list_copy(from->vnets, from->n_vnets, sizeof(*from->vnets), &bad);
	if (!bad)
		return 0;
	ctl_config_release(to);
	return -ENOMEM;
}

static int
check_secret(const char *path, const char *where, const char *name, const char *leaf,
	     struct spw_err *err)
{
	struct spw_secret s = {0};
	struct spw_err why = {0};
	int rc = ctl_secret_read_file(&s, path, CTL_SECRET_ANY, &why);

	spw_secret_free(&s);
	return rc == 0 ? 0 : spw_fail(err, rc, "%s %s %s: %s", where, name, leaf, why.text);
}

static int
check_keys(const struct ctl_tunnel *t, struct spw_err *err)
{
	const struct {
		const char *leaf, *path;
	} key[] = {{"pre-shared-key-file", t->psk_file},
		   {"next-pre-shared-key-file", t->next_psk_file},
		   {"ppk-file", t->ppk_file}};
	int rc = 0;

	for (size_t i = 0; i < sizeof(key) / sizeof(key[0]) && rc == 0; i++)
		if (i == 0 || key[i].path[0])
			rc = check_secret(key[i].path, "tunnel", t->name, key[i].leaf, err);
	return rc;
}

static int
check_files(const struct ctl_config *c, struct spw_err *err)
{
	char text[SPW_ADDR_TEXT];
	int rc = 0;

	for (unsigned int i = 0; i < c->n_tunnels && rc == 0; i++)
		if (c->tunnels[i].enabled)
			rc = check_keys(&c->tunnels[i], err);
	for (unsigned int i = 0; i < c->bgp.n_neighbors && rc == 0; i++)
		if (c->bgp.neighbor[i].password_file[0])
			rc = check_secret(c->bgp.neighbor[i].password_file, "routing bgp neighbor",
					  spw_addr_format(&c->bgp.neighbor[i].address, text),
					  "password-file", err);
	return rc;
}

/* The driver of a kernel device, by the interface itself: /sys may show another namespace. */
static bool
is_tun_device(const char *name)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq ifr = {.ifr_data = (char *)&info};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is;

	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	is = fd >= 0 && ioctl(fd, SIOCETHTOOL, &ifr) == 0 && strcmp(info.driver, "tun") == 0;
	if (fd >= 0)
		close(fd);
	return is;
}

/*
 * A twin takes the interface's name: it must be free, or a TAP or TUN already. One of ours that is
 * of the other sort goes at the end of a commit only, so its name is not free before.
 */
static int
check_name(const struct ctl_runtime *rt, bool tunnel, const char *name, struct spw_err *err)
{
	const char *kind = tunnel ? "tunnel" : "interfaces";

	for (const struct ctl_iface *i = rt->ifaces; i; i = i->next)
		if (strcmp(i->name, name) == 0)
			return (i->tunnel != NULL) == tunnel
				       ? 0
				       : spw_fail(err, -EEXIST,
						  "%s %s: %s of that name goes with this commit: "
						  "commit its end first, or choose another name",
						  kind, name, tunnel ? "an interface" : "a tunnel");
	if (if_nametoindex(name) == 0 || is_tun_device(name))
		return 0;
	return spw_fail(err, -EEXIST,
			"%s %s: the kernel has another device of that name; choose another name",
			kind, name);
}

static const struct ctl_interface *
running_interface(const struct ctl_runtime *rt, const char *name)
{
	for (unsigned int i = 0; i < rt->config.n_interfaces; i++)
		if (strcmp(rt->config.interfaces[i].name, name) == 0)
			return &rt->config.interfaces[i];
	return NULL;
}

static bool
tunnel_is_running(const struct ctl_runtime *rt, const struct ctl_tunnel *t)
{
	for (unsigned int i = 0; i < rt->config.n_tunnels; i++)
		if (memcmp(&rt->config.tunnels[i], t, sizeof(*t)) == 0)
			return true;
	return false;
}

/* True when the data plane would have to take something new or different. */
static bool
needs_dataplane(const struct ctl_runtime *rt, const struct ctl_config *next)
{
	for (unsigned int i = 0; i < next->n_interfaces; i++) {
		const struct ctl_interface *now = running_interface(rt, next->interfaces[i].name);

		if (!now || memcmp(now, &next->interfaces[i], sizeof(*now)) != 0)
			return true;
	}
	for (unsigned int i = 0; i < next->n_tunnels; i++)
		if (!tunnel_is_running(rt, &next->tunnels[i]))
			return true;
	return false;
}

static const struct ctl_port *
running_port(const struct ctl_runtime *rt, const struct ctl_interface *c)
{
	for (const struct ctl_port *p = rt->ports; p; p = p->next)
		if (p->keep && p->in_dataplane && strcmp(p->name, c->name) == 0 &&
		    strcmp(p->devargs, c->device) == 0)
			return p;
	return NULL;
}

/* A port that refused its MTU in the apply would be swept away with all that it carries. */
static int
raise_mtu(struct ctl_runtime *rt, struct ctl_plan *plan, const struct ctl_port *port,
	  const struct ctl_interface *c, struct spw_err *err)
{
	const struct ctl_interface *now = running_interface(rt, c->name);
	struct spw_dp_port m;
	struct spw_err why = {0};
	uint8_t mac[6];
	int rc;

	if (!now || c->mtu <= now->mtu || plan->n_raised == PORTS)
		return 0;
	ctl_port_message(c, port->id, rt->generation, &m);
	rc = ctl_dataplane_port(rt, &m, mac, &why);
	if (rc != 0)
		return spw_fail(err, rc, "interfaces %s mtu %u: %s", c->name, c->mtu, why.text);
	ctl_port_message(now, port->id, rt->generation, &plan->raised[plan->n_raised++]);
	return 0;
}

/* A port that runs, or waits for its device, keeps its number whatever becomes of the plan. */
static void
give_back(struct ctl_runtime *rt, uint32_t id, const char *key)
{
	for (const struct ctl_port *p = rt->ports; p; p = p->next)
		if (p->id == id)
			return;
	ctl_ids_put(rt->ids, CTL_ID_PORT, key);
}

static int
probe(struct ctl_runtime *rt, struct ctl_plan *plan, const struct ctl_interface *c,
      struct spw_err *err)
{
	struct spw_dp_port m;
	struct spw_err why = {0};
	uint8_t mac[6];
	char key[CTL_ID_KEY];
	uint32_t id;
	int rc;

	ctl_port_key(c->name, c->device, key);
	id = ctl_ids_get(rt->ids, CTL_ID_PORT, key);
	if (id == CTL_ID_NONE || plan->n_ports == PORTS)
		return spw_fail(err, -ENOSPC, "interfaces %s: more than %d ports", c->name, PORTS);
	ctl_port_message(c, id, rt->generation, &m);
	rc = ctl_dataplane_port(rt, &m, mac, &why);
	if (rc != 0) {
		give_back(rt, id, key);
		return spw_fail(err, rc, "interfaces %s device '%s': %s", c->name, c->device,
				why.text);
	}
	plan->port[plan->n_ports].id = id;
	memcpy(plan->port[plan->n_ports++].key, key, sizeof(key));
	return 0;
}

static int
probe_ports(struct ctl_runtime *rt, struct ctl_plan *plan, struct spw_err *err)
{
	const struct ctl_config *c = &plan->config;
	int rc = 0;

	for (unsigned int i = 0; i < c->n_interfaces && rc == 0; i++) {
		const struct ctl_port *port = running_port(rt, &c->interfaces[i]);

		if (!c->interfaces[i].device[0])
			continue;
		rc = port ? raise_mtu(rt, plan, port, &c->interfaces[i], err)
			  : probe(rt, plan, &c->interfaces[i], err);
	}
	return rc;
}

static int
check(struct ctl_runtime *rt, struct ctl_plan *plan, struct spw_err *err)
{
	const struct ctl_config *c = &plan->config;
	int rc = 0;

	for (unsigned int i = 0; i < c->n_interfaces && rc == 0; i++)
		rc = check_name(rt, false, c->interfaces[i].name, err);
	for (unsigned int i = 0; i < c->n_tunnels && rc == 0; i++)
		if (c->tunnels[i].n_addresses > 0)
			rc = check_name(rt, true, c->tunnels[i].name, err);
	if (rc == 0)
		rc = check_files(c, err);
	if (rc != 0 || !rt->configured)
		return rc;
	if (!ctl_dataplane_connected(rt))
		return needs_dataplane(rt, c) ? ctl_dataplane_refuse(rt, err) : 0;
	return probe_ports(rt, plan, err);
}

int
ctl_plan_make(struct ctl_runtime *rt, const struct ctl_config *next, struct ctl_plan **out,
	      struct spw_err *err)
{
	struct ctl_plan *plan = calloc(1, sizeof(*plan));
	int rc;

	if (!plan || config_copy(&plan->config, next) != 0) {
		free(plan);
		return spw_fail(err, -ENOMEM, "out of memory");
	}
	rc = check(rt, plan, err);
	/* The files of the start may come later; each is asked for again when it is used. */
	if (rc != 0 && !rt->configured) {
		spw_log(SPW_LOG_ERROR, "runtime", "start-incomplete", "error=\"%s\"",
			err ? err->text : "");
		rc = 0;
		if (err)
			*err = (struct spw_err){0};
	}
	if (rc != 0) {
		ctl_plan_undo(rt, plan);
		return rc;
	}
	*out = plan;
	return 0;
}

void
ctl_plan_undo(struct ctl_runtime *rt, struct ctl_plan *plan)
{
	for (unsigned int i = 0; i < plan->n_ports; i++) {
		struct spw_dp_object o = {.class = SPW_DP_CLASS_PORT, .id = plan->port[i].id};

		ctl_dataplane_send(rt, SPW_DP_OBJECT_DEL, &o, sizeof(o), 1, -1, NULL);
		give_back(rt, plan->port[i].id, plan->port[i].key);
	}
	for (unsigned int i = 0; i < plan->n_raised; i++) {
		uint8_t mac[6];

		ctl_dataplane_port(rt, &plan->raised[i], mac, NULL);
	}
	ctl_config_release(&plan->config);
	free(plan);
}

void
ctl_plan_take(struct ctl_plan *plan, struct ctl_config *config)
{
	*config = plan->config;
	free(plan);
}
