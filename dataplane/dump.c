/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the data plane tells about itself: rows of the GET_* messages.
 *
 * Counters have one writer each, a worker or the punt thread, and are summed here without stopping
 * anyone; a row may be some packets apart from another. A worker's row joins what it did and what
 * the punt thread did for it, so rx + from_twin + created = tx + drops + mirrored holds for
 * each when nothing is under way.
 *
 * The counters of interfaces, paths and tunnels lie at their numbers, which are given again when
 * their objects are gone. What stood there when an object was made is taken off its row.
 *
 * API thread.
 */
#include "dataplane/dump.h"

#include <rte_version.h>
#include <stdio.h>
#include <unistd.h>

#include "dataplane/bfd_sessions.h"

static const char *const drop_names[] = {
#define DP_DROP(sym, name, meaning) name,
#include "dataplane/drop.def"
};

void
dp_describe(struct dp_control *c, struct spw_dp_hello_reply *out)
{
	memset(out, 0, sizeof(*out));
	out->incarnation = c->incarnation;
	out->encr_mask = dp_crypto_encr_mask();
	out->workers = c->n_workers;
	snprintf(out->version, sizeof(out->version), "%s", SPILLWAY_VERSION);
	snprintf(out->dpdk, sizeof(out->dpdk), "%s", rte_version());
	snprintf(out->cipher_isa, sizeof(out->cipher_isa), "%s", dp_sad_isa(c->sad));
}

static bool
status_row(struct dp_control *c, uint32_t *cursor, void *out)
{
	struct spw_dp_status *row = out;

	if ((*cursor)++ != 0)
		return false;
	row->incarnation = c->incarnation;
	row->uptime_ns = spw_clock_ns() - c->started_ns;
	row->sas = dp_sad_count(c->sad);
	row->routes = c->tables->fib->lr.routes + c->tables->fib6->lr.routes;
	row->groups = c->n_groups;
	row->mbufs_in_use = rte_mempool_in_use_count(c->pool);
	row->mbufs_total = c->pool->size;
	row->pid = (uint64_t)getpid();
	dp_describe(c, &row->build);
	return true;
}

static void
iface_add(struct dp_iface_counters *sum, const struct dp_iface_counters *n)
{
	sum->rx_packets += n->rx_packets;
	sum->rx_bytes += n->rx_bytes;
	sum->tx_packets += n->tx_packets;
	sum->tx_bytes += n->tx_bytes;
	sum->mirrored += n->mirrored;
	sum->from_twin += n->from_twin;
	sum->drops += n->drops;
	sum->asymmetric += n->asymmetric;
}

/* Of all interfaces that ever had the number. */
static struct dp_iface_counters
iface_sum(const struct dp_control *c, uint32_t id)
{
	struct dp_iface_counters sum = {0};

	for (unsigned int w = 0; w < c->n_workers; w++)
		iface_add(&sum, &c->worker[w]->iface[id]);
	iface_add(&sum, dp_punt_iface(c->punt, (uint16_t)id));
	return sum;
}

void
dp_iface_counts_begin(struct dp_control *c, uint32_t id)
{
	c->iface_base[id] = iface_sum(c, id);
}

static void
iface_counts(const struct dp_control *c, uint32_t id, struct spw_dp_iface_stats *row)
{
	const struct dp_iface_counters n = iface_sum(c, id), *from = &c->iface_base[id];

	row->rx_packets = n.rx_packets - from->rx_packets;
	row->rx_bytes = n.rx_bytes - from->rx_bytes;
	row->tx_packets = n.tx_packets - from->tx_packets;
	row->tx_bytes = n.tx_bytes - from->tx_bytes;
	row->mirrored = n.mirrored - from->mirrored;
	row->from_twin = n.from_twin - from->from_twin;
	row->drops = n.drops - from->drops;
	row->asymmetric = n.asymmetric - from->asymmetric;
}

static bool
iface_row(struct dp_control *c, uint32_t *cursor, void *out)
{
	struct spw_dp_iface_stats *row = out;
	const struct dp_iface *i = NULL;

	while (!i && ++*cursor < DP_IFACES_MAX)
		i = dp_iface_get(c->tables, (uint16_t)*cursor);
	if (!i)
		return false;
	row->id = i->conf.id;
	row->link_up = i->conf.up && (!i->port || atomic_load(&i->port->link_up));
	memcpy(row->name, i->conf.name, sizeof(row->name));
	memcpy(row->mac, i->mac, 6);
	iface_counts(c, *cursor, row);
	return true;
}

/* No worker has seen these: the ports are asked. */
static void
missed_add(struct dp_control *c, struct spw_dp_drop_stats *row)
{
	row->packets += c->missed.packets;
	row->last_ns = RTE_MAX(row->last_ns, c->missed.last_ns);
	for (uint32_t i = 0; i < DP_PORTS_MAX; i++) {
		struct dp_port *p = c->port[i];

		if (!p)
			continue;
		dp_port_missed_renew(&p->missed, p->dpdk_id);
		row->packets += p->missed.packets;
		row->last_ns = RTE_MAX(row->last_ns, p->missed.last_ns);
	}
}

static bool
drop_row(struct dp_control *c, uint32_t *cursor, void *out)
{
	struct spw_dp_drop_stats *row = out;
	uint32_t why = (*cursor)++;
	uint64_t last = 0;

	if (why >= DP_DROP_COUNT)
		return false;
	snprintf(row->reason, sizeof(row->reason), "%s", drop_names[why]);
	for (unsigned int w = 0; w < c->n_workers; w++) {
		const struct dp_worker_counters *a = &c->worker[w]->count;
		const struct dp_worker_counters *b = dp_punt_counters(c->punt, w);

		row->packets += a->drop[why] + b->drop[why];
		last = RTE_MAX(last, a->drop_last_tsc[why]);
		last = RTE_MAX(last, b->drop_last_tsc[why]);
	}
	row->last_ns = dp_tsc_to_ns(last);
	if (why == DP_DROP_MISSED)
		missed_add(c, row);
	return true;
}

static bool
worker_row(struct dp_control *c, uint32_t *cursor, void *out)
{
	struct spw_dp_worker_stats *row = out;
	uint32_t w = (*cursor)++;

	if (w >= c->n_workers)
		return false;
	const struct dp_worker_counters *a = &c->worker[w]->count;
	const struct dp_worker_counters *b = dp_punt_counters(c->punt, w);

	row->id = w;
	row->core = c->opt->core[w] >= 0 ? (uint32_t)c->opt->core[w] : SPW_DP_ADDR_NONE;
	row->rx = a->rx;
	row->tx = a->tx;
	row->drops = a->dropped + b->dropped;
	row->mirrored = a->mirrored + b->mirrored;
	row->from_twin = a->from_twin + b->from_twin;
	row->created = a->created;
	row->busy_cycles = a->busy_cycles;
	row->total_cycles = a->total_cycles;
	row->packets = a->busy_packets;
	return true;
}

static bool
sa_row(struct dp_control *c, uint32_t *cursor, void *row)
{
	return dp_sad_stats(c->sad, cursor, row);
}

static bool
tunnel_row(struct dp_control *c, uint32_t *cursor, void *row)
{
	if (!dp_sad_tunnel_stats(c->sad, cursor, row))
		return false;
	dp_shape_stats(c, row);
	return true;
}

static struct dp_path_sum
path_sum(const struct dp_control *c, uint32_t id)
{
	struct dp_path_sum sum = {0};

	for (unsigned int w = 0; w < c->n_workers; w++) {
		sum.packets += dp_priv(c->worker[w])->path[id].packets;
		sum.bytes += dp_priv(c->worker[w])->path[id].bytes;
		for (unsigned int i = 0; i < SPW_DP_CLASSES; i++)
			sum.class_bytes[i] += dp_priv(c->worker[w])->load[id].bytes[i];
	}
	return sum;
}

void
dp_path_counts_begin(struct dp_control *c, uint32_t id)
{
	c->path_base[id] = path_sum(c, id);
}

static void
path_counts(const struct dp_control *c, uint32_t id, struct spw_dp_path_stats *row)
{
	const struct dp_path_sum n = path_sum(c, id), *from = &c->path_base[id];

	row->packets = n.packets - from->packets;
	row->bytes = n.bytes - from->bytes;
	for (unsigned int i = 0; i < SPW_DP_CLASSES; i++)
		row->class_bytes[i] = n.class_bytes[i] - from->class_bytes[i];
}

static bool
path_row(struct dp_control *c, uint32_t *cursor, void *out)
{
	struct spw_dp_path_stats *row = out;
	const struct dp_path *p = NULL;
	uint32_t id = *cursor;
	bool up;

	while (id < SPW_DP_PATHS_MAX && !(p = dp_path_get(c->tables, id)))
		id++;
	*cursor = id + 1;
	if (!p)
		return false;
	struct dp_path_life life = dp_path_bits_life(c->tables->bits, id, &up);

	row->id = id;
	row->kind = p->conf.kind;
	row->up = up;
	row->clears = life.clears;
	row->changed_ns = life.changed_ns;
	path_counts(c, id, row);
	return true;
}

static bool
bfd_row(struct dp_control *c, uint32_t *cursor, void *row)
{
	while (*cursor < SPW_DP_BFD_MAX)
		if (dp_bfds_row(c->bfds, (*cursor)++, row))
			return true;
	return false;
}

dp_dump *
dp_dump_of(uint16_t number)
{
	switch (number) {
	case SPW_DP_GET_STATUS: return status_row;
	case SPW_DP_GET_IFACES: return iface_row;
	case SPW_DP_GET_DROPS: return drop_row;
	case SPW_DP_GET_WORKERS: return worker_row;
	case SPW_DP_GET_SAS: return sa_row;
	case SPW_DP_GET_PATHS: return path_row;
	case SPW_DP_GET_TUNNELS: return tunnel_row;
	case SPW_DP_GET_BFD: return bfd_row;
	case SPW_DP_GET_PROBES: return dp_probe_row;
	default: return NULL;
	}
}
