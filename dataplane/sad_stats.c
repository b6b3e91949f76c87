/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the SAD tells about itself: rows of SAs and of tunnels, for the API thread.
 *
 * The counters of a tunnel lie at its number, which is given again when the tunnel is gone; what
 * they stood at when the tunnel was made is taken off its row.
 *
 * Counters are read while workers go on writing them; each is right for some moment, rows are not
 * snapshots. A cursor is an index into the arrays, so a dump survives changes between its calls:
 * a row may be new or missing, never double.
 */
#include <rte_cycles.h>

#include "dataplane/sad_data.h"

/* When a worker's time stamp was, on the clock of the messages; 0 stays 0. */
static uint64_t
ns_of_tsc(uint64_t tsc, uint64_t now_ns)
{
	uint64_t now = rte_rdtsc();
	double age;

	if (tsc == 0)
		return 0;
	age = now > tsc ? (double)(now - tsc) * 1e9 / (double)rte_get_tsc_hz() : 0;
	return age < (double)now_ns ? now_ns - (uint64_t)age : 1;
}

static void
fill_in(const struct dp_sad *sad, const struct dp_sa_in *in, struct spw_dp_sa_stats *row)
{
	row->in_packets = dp_counted(&in->packets);
	row->in_bytes = dp_counted(&in->bytes);
	row->auth_failed = dp_counted(&in->auth_failed);
	row->replayed = dp_counted(&in->replayed);
	row->late = dp_counted(&in->late);
	row->last_in_ns = ns_of_tsc(dp_counted(&in->last_in_tsc), sad->clock());
}

static void
fill_out(const struct dp_sad *sad, const struct dp_sa_out *out, struct spw_dp_sa_stats *row)
{
	/* First what was refused, which never passes what was claimed. */
	uint64_t bytes = dp_counted(&out->refused_bytes);
	uint64_t seq = dp_counted(&out->seq);

	row->out_packets = dp_sa_out_sent(out);
	row->out_bytes = dp_counted(&out->bytes) - bytes;
	row->seq_out = seq < out->seq_max ? seq : out->seq_max;
	row->outbound = atomic_load_explicit(&sad->tunnels[out->child->tunnel].out,
					     memory_order_relaxed) == out;
}

static void
fill_row(const struct dp_sad *sad, const struct dp_child *c, struct spw_dp_sa_stats *row)
{
	*row = (struct spw_dp_sa_stats){
		.tunnel = c->tunnel,
		.spi_in = c->spi_in,
		.spi_out = c->spi_out,
		.encr = c->encr,
		.integ = c->integ,
		.flags = c->flags,
		.installed_ns = c->installed_ns,
		.replay_window = c->replay_window,
		.seconds = c->seconds,
	};
	if (c->in != NULL)
		fill_in(sad, c->in, row);
	if (c->out != NULL)
		fill_out(sad, c->out, row);
}

bool
dp_sad_stats(struct dp_sad *sad, uint32_t *index, struct spw_dp_sa_stats *row)
{
	for (uint32_t i = *index; i <= sad->index_mask; i++) {
		if (sad->slots[i].state != DP_SPI_INSTALLED)
			continue;
		fill_row(sad, sad->slots[i].child, row);
		*index = i + 1;
		return true;
	}
	return false;
}

/* Packets on all SAs that the tunnels of a number ever had. */
static uint64_t
sent(const struct dp_sad *sad, uint32_t id)
{
	uint64_t n = sad->sent_before[id];
	const struct dp_child *c;

	LIST_FOREACH(c, &sad->spis[id].children, mates)
	{
		if (c->out != NULL)
			n += dp_sa_out_sent(c->out);
	}
	return n;
}

/* Of all tunnels that ever had the number. */
static struct dp_tunnel_sum
tunnel_sum(const struct dp_sad *sad, uint32_t id)
{
	struct dp_tunnel_sum sum = {0};

	for (unsigned int i = 0; i < sad->n_workers; i++) {
		const struct dp_tunnel_count *n = &sad->tunnel_count[i][id];

		sum.own_in += dp_counted(&n->own_in); /* first: never more than all */
		sum.in += dp_counted(&n->in);
		sum.own_out += dp_counted(&n->own_out);
		sum.violations += dp_counted(&n->violations);
		sum.asymmetric += dp_counted(&n->asymmetric);
	}
	sum.out = sent(sad, id);
	return sum;
}

void
dp_sad_counts_begin(struct dp_sad *sad, uint32_t tunnel)
{
	sad->tunnel_base[tunnel] = tunnel_sum(sad, tunnel);
}

static void
fill_tunnel(const struct dp_sad *sad, uint32_t id, struct spw_dp_tunnel_stats *row)
{
	const struct dp_tunnel_sum n = tunnel_sum(sad, id), *from = &sad->tunnel_base[id];
	const struct dp_sa_out *out =
		atomic_load_explicit(&sad->tunnels[id].out, memory_order_relaxed);

	*row = (struct spw_dp_tunnel_stats){.id = id};
	memcpy(row->name, sad->tunnel_conf[id].name, sizeof(row->name));
	row->up = out != NULL && !dp_child_ended(out->child);
	row->own_in = n.own_in - from->own_in;
	row->transit_in = n.in - from->in - row->own_in;
	row->own_out = n.own_out - from->own_out;
	/* An own packet of this moment may be in one of the two alone. */
	row->transit_out = n.out - from->out;
	row->transit_out -= RTE_MIN(row->own_out, row->transit_out);
	row->violations = n.violations - from->violations;
	row->asymmetric = n.asymmetric - from->asymmetric;
	row->mtu = sad->tunnel_conf[id].mtu;
	row->path_mtu = sad->learnt[id].mtu;
	row->path_mtu_ends = sad->learnt[id].until_ns;
}

bool
dp_sad_tunnel_stats(struct dp_sad *sad, uint32_t *index, struct spw_dp_tunnel_stats *row)
{
	for (uint32_t i = *index; i < sad->max_tunnels; i++) {
		if (sad->tunnel_conf[i].mtu == 0)
			continue;
		fill_tunnel(sad, i, row);
		*index = i + 1;
		return true;
	}
	return false;
}

uint32_t
dp_sad_count(const struct dp_sad *sad)
{
	return sad->n_children;
}

void
dp_sad_count_own_in(struct dp_worker *w, uint32_t tunnel)
{
	if (tunnel < w->sad->max_tunnels)
		dp_count(&w->sad->tunnel_count[w->index][tunnel].own_in, 1);
}
