/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports as objects: PORT_SET, LINK_STATE, removal.
 *
 * A new port is opened during preparation, so a batch in which one device is refused leaves the
 * others unopened, and those that were there with the MTU that they had. The same id with the same
 * device only notes the generation and MTU; another device under an id in use is refused, because
 * interfaces stand on it. After ports came or went, every worker gets a new list of queues to poll;
 * a port is closed after grace.
 *
 * API thread.
 */
#include "dataplane/control.h"

#include <errno.h>
#include <stdlib.h>

static struct dp_port_context
context(struct dp_control *c)
{
	return (struct dp_port_context){.n_workers = c->n_workers,
					.mtu_max = c->opt->mbuf_size - DP_MBUF_SPARE,
					.pool = c->pool,
					.bits = c->tables->bits,
					.bell = &c->bell,
					.run_dir = c->opt->run_dir};
}

/* Queues of worker `w` over all ports, `extra` ports not yet in the table included. */
static struct dp_rxq_list *
rxqs_new(struct dp_control *c, unsigned int w)
{
	struct dp_rxq_list *list = calloc(1, sizeof(*list) + DP_PORTS_MAX * sizeof(list->q[0]));

	if (!list)
		return NULL;
	list->physical = true;
	for (uint32_t i = 0; i < DP_PORTS_MAX; i++) {
		const struct dp_port *p = c->port[i];

		if (!p || w >= p->n_rxq)
			continue;
		list->q[list->n++] = (struct dp_rxq){.dpdk_id = p->dpdk_id, .queue = (uint16_t)w};
		list->physical &= p->physical;
	}
	list->physical &= list->n > 0;
	return list;
}

/* Publish lists that were made for the present ports. */
static void
rxqs_publish(struct dp_control *c, struct dp_rxq_list **lists)
{
	for (unsigned int w = 0; w < c->n_workers; w++)
		dp_retire(c, atomic_exchange_explicit(&dp_priv(c->worker[w])->rxqs, lists[w],
						      memory_order_acq_rel));
}

static int
rxqs_prepare(struct dp_control *c, struct dp_rxq_list **lists)
{
	int rc = dp_retire_reserve(c, c->n_workers);

	for (unsigned int w = 0; w < c->n_workers; w++) {
		lists[w] = rxqs_new(c, w);
		if (!lists[w])
			rc = -ENOMEM;
	}
	for (unsigned int w = 0; rc != 0 && w < c->n_workers; w++)
		free(lists[w]);
	return rc;
}

static int
port_check(struct dp_control *c, const struct dp_batch *b, const struct spw_dp_port *p,
	   struct spw_err *err)
{
	const struct spw_dp_port *all = b->elems;

	if (p->id >= DP_PORTS_MAX)
		return spw_fail(err, -EINVAL, "port id %u is beyond the last, %u", p->id,
				DP_PORTS_MAX - 1);
	if (!memchr(p->devargs, 0, sizeof(p->devargs)) || !memchr(p->name, 0, sizeof(p->name)))
		return spw_fail(err, -EINVAL, "port %u: name or device is not terminated", p->id);
	for (const struct spw_dp_port *q = all; q < p; q++)
		if (q->id == p->id)
			return spw_fail(err, -EINVAL, "port %u is named twice", p->id);
	if (c->port[p->id] && strcmp(c->port[p->id]->conf.devargs, p->devargs) != 0)
		return spw_fail(err, -EBUSY,
				"port '%.15s': id %u belongs to another device; delete that first",
				p->name, p->id);
	return 0;
}

/* Put the opened ports into the table and publish. `opened[i]` NULL = port was there. */
static int
ports_add(struct dp_control *c, const struct dp_batch *b, struct dp_port **opened)
{
	const struct spw_dp_port *conf = b->elems;
	struct dp_rxq_list *lists[DP_WORKERS_MAX];

	for (uint32_t i = 0; i < b->count; i++)
		if (opened[i])
			c->port[conf[i].id] = opened[i];
	if (rxqs_prepare(c, lists) != 0) {
		for (uint32_t i = 0; i < b->count; i++)
			if (opened[i])
				c->port[conf[i].id] = NULL;
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < b->count; i++)
		if (opened[i])
			atomic_store_explicit(&c->tables->port[opened[i]->dpdk_id], opened[i],
					      memory_order_release);
	rxqs_publish(c, lists);
	return 0;
}

static void
ports_answer(struct dp_control *c, struct dp_batch *b)
{
	const struct spw_dp_port *conf = b->elems;
	struct spw_dp_port_reply *reply = b->reply;

	for (uint32_t i = 0; i < b->count; i++) {
		struct dp_port *p = c->port[conf[i].id];

		p->conf = conf[i];
		reply[i].id = conf[i].id;
		memcpy(reply[i].mac, p->mac, 6);
	}
}

/* Ports that were there get the MTU back that they had, after the batch was refused at `end`. */
static void
mtus_undo(struct dp_control *c, const struct spw_dp_port *conf, uint32_t end,
	  const struct dp_port_context *ctx)
{
	struct spw_err err;

	for (uint32_t i = 0; i < end; i++) {
		struct dp_port *p = c->port[conf[i].id];

		if (p && p->conf.mtu != conf[i].mtu && dp_port_set_mtu(p, &p->conf, ctx, &err) != 0)
			spw_log(SPW_LOG_ERROR, "port", "undo-failed", "port=%.15s cause=\"%s\"",
				p->conf.name, err.text);
	}
}

int
dp_handle_port_set(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_port *conf = b->elems;
	struct dp_port_context ctx = context(c);
	struct dp_port *opened[DP_PORTS_MAX] = {0};
	int rc = 0;

	for (b->bad = 0; b->bad < b->count; b->bad++)
		if ((rc = port_check(c, b, &conf[b->bad], err)) != 0)
			return rc;
	for (b->bad = 0; rc == 0 && b->bad < b->count; b->bad += rc == 0) {
		struct dp_port *have = c->port[conf[b->bad].id];

		if (!have)
			rc = dp_port_open(&opened[b->bad], &conf[b->bad], &ctx, err);
		else if (have->conf.mtu != conf[b->bad].mtu)
			rc = dp_port_set_mtu(have, &conf[b->bad], &ctx, err);
	}
	if (rc == 0 && (rc = ports_add(c, b, opened)) != 0)
		spw_fail(err, rc, "no memory for the ports' queues");
	if (rc != 0)
		mtus_undo(c, conf, b->bad, &ctx);
	for (uint32_t i = 0; rc != 0 && i < RTE_MIN(b->count, (uint32_t)DP_PORTS_MAX); i++)
		if (opened[i])
			dp_port_close(opened[i]);
	if (rc == 0)
		ports_answer(c, b);
	return rc;
}

int
dp_port_may_del(struct dp_control *c, uint32_t id, struct spw_err *err)
{
	if (id >= DP_PORTS_MAX || !c->port[id])
		return spw_fail(err, -ENOENT, "there is no port %u", id);
	for (uint32_t i = 1; i < DP_IFACES_MAX; i++) {
		const struct dp_iface *f = dp_iface_get(c->tables, (uint16_t)i);

		if (f && f->port == c->port[id])
			return spw_fail(err, -EBUSY, "port '%.15s' carries interface '%.15s'",
					c->port[id]->conf.name, f->conf.name);
	}
	return 0;
}

/* What a port has lost is told for ever. */
static void
missed_keep(struct dp_control *c, struct dp_port *p)
{
	dp_port_missed_renew(&p->missed, p->dpdk_id);
	c->missed.packets += p->missed.packets;
	c->missed.last_ns = RTE_MAX(c->missed.last_ns, p->missed.last_ns);
}

/* Without memory for new lists the workers go on polling, so the port must stay. */
int
dp_port_del(struct dp_control *c, uint32_t id)
{
	struct dp_rxq_list *lists[DP_WORKERS_MAX];
	struct dp_port *p = c->port[id];

	c->port[id] = NULL;
	if (rxqs_prepare(c, lists) != 0) {
		c->port[id] = p;
		return -ENOMEM;
	}
	rxqs_publish(c, lists);
	atomic_store_explicit(&c->tables->port[p->dpdk_id], NULL, memory_order_release);
	dp_control_grace(c);
	missed_keep(c, p);
	dp_port_close(p);
	return 0;
}

int
dp_handle_link_state(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_link *l = b->elems;

	for (b->bad = 0; b->bad < b->count; b->bad++)
		if (l[b->bad].port >= DP_PORTS_MAX || !c->port[l[b->bad].port])
			return spw_fail(err, -ENOENT, "link state of port %u, which is not there",
					l[b->bad].port);
	for (uint32_t i = 0; i < b->count; i++)
		dp_port_link_kernel(c->port[l[i].port], l[i].up != 0);
	return 0;
}

void
dp_ports_remask(struct dp_control *c)
{
	struct dp_path_bits *bits = c->tables->bits;

	pthread_mutex_lock(&bits->lock);
	for (uint32_t i = 0; i < DP_PORTS_MAX; i++)
		if (c->port[i])
			memset(c->port[i]->mask, 0, sizeof(*c->port[i]->mask));
	for (uint32_t id = 0; id < SPW_DP_PATHS_MAX; id++) {
		const struct dp_path *p = dp_path_get(c->tables, id);
		const struct dp_iface *f =
			p && p->conf.iface ? dp_iface_get(c->tables, (uint16_t)p->conf.iface)
					   : NULL;

		if (f && f->port)
			dp_path_mask_add(f->port->mask, id);
	}
	pthread_mutex_unlock(&bits->lock);
}
