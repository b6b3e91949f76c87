/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the drill measures: counters read at the turns of its phases, and their differences.
 *
 * The probes of a burst take their path whatever carries the traffic, so loss and round trips are
 * those of the path itself; a packet is lost when its time is over, so the last ones of a phase
 * count in the next. What the gateway dropped is its own count of all reasons.
 */
#include "control/drill.h"

#include <string.h>

#include "control/dataplane.h"
#include "control/watch_private.h"

#define PATHS_MAX (WATCH_CIRCUIT_PATHS + SPW_DP_TIER_PATHS)

struct reading {
	struct ctl_runtime *rt;
	const struct ctl_vnet_state *vnet;
	struct ctl_drill_sample *out;
	unsigned int n;
	struct ctl_path *path[PATHS_MAX];
};

static enum ctl_drill_side
side_of(const struct ctl_path *p)
{
	return p->tunnel && !p->tunnel->encrypts ? CTL_DRILL_BACKUP : CTL_DRILL_CIRCUIT;
}

static void
read_probe(void *ctx, const void *elem)
{
	const struct spw_dp_probe_stats *s = elem;
	struct reading *r = ctx;
	const struct watch_probe *w = watch_probe_by_id(r->rt, s->id);
	const struct ctl_path *p = w ? r->rt->path[w->content.path] : NULL;

	if (!p || w->purpose != WATCH_BURST || strcmp(w->vnet, r->vnet->conf.name) != 0)
		return;
	r->out->side[side_of(p)].sent += s->sent;
	r->out->side[side_of(p)].lost += s->lost;
	r->out->side[side_of(p)].received += s->received;
	for (unsigned int b = 0; b < SPW_DP_RTT_BUCKETS; b++)
		r->out->side[side_of(p)].rtt[b] += s->rtt[b];
}

static void
read_path(void *ctx, const void *elem)
{
	const struct spw_dp_path_stats *s = elem;
	struct reading *r = ctx;

	for (unsigned int i = 0; i < r->n; i++)
		if (r->path[i]->id == s->id)
			r->out->side[side_of(r->path[i])].packets += s->packets;
}

static void
read_drop(void *ctx, const void *elem)
{
	((struct reading *)ctx)->out->drops += ((const struct spw_dp_drop_stats *)elem)->packets;
}

static void
read_tunnel(void *ctx, const void *elem)
{
	const struct spw_dp_tunnel_stats *s = elem;
	struct reading *r = ctx;

	for (unsigned int i = 0; i < r->n; i++) {
		if (r->path[i]->kind != SPW_PATH_TUNNEL || r->path[i]->tunnel->id != s->id)
			continue;
		r->out->tunnel_out += s->transit_out;
		r->out->tunnel_in += s->transit_in;
		r->out->violations += s->violations;
	}
}

int
ctl_drill_sample(struct ctl_runtime *rt, struct ctl_vnet_state *vnet, struct ctl_drill_sample *out,
		 struct spw_err *err)
{
	struct reading r = {.rt = rt, .vnet = vnet, .out = out};
	static const struct {
		uint16_t number, size;
		void (*visit)(void *ctx, const void *elem);
	} all[] = {
		{SPW_DP_GET_PROBES, sizeof(struct spw_dp_probe_stats), read_probe},
		{SPW_DP_GET_PATHS, sizeof(struct spw_dp_path_stats), read_path},
		{SPW_DP_GET_DROPS, sizeof(struct spw_dp_drop_stats), read_drop},
		{SPW_DP_GET_TUNNELS, sizeof(struct spw_dp_tunnel_stats), read_tunnel},
	};
	int rc = 0;

	memset(out, 0, sizeof(*out));
	out->at_ns = spw_clock_ns();
	r.n = watch_vnet_paths(rt, vnet, r.path, PATHS_MAX);
	for (unsigned int i = 0; rc == 0 && i < sizeof(all) / sizeof(all[0]); i++)
		rc = ctl_dataplane_get(rt, all[i].number, NULL, 0, all[i].size, all[i].visit, &r,
				       err);
	return rc;
}

/* Counters of a path that was made anew start again. */
static uint64_t
grown(uint64_t from, uint64_t to)
{
	return to >= from ? to - from : to;
}

void
ctl_drill_between(const struct ctl_drill_sample *a, const struct ctl_drill_sample *b,
		  enum ctl_drill_side side, struct ctl_drill_part *out)
{
	uint64_t rtt[SPW_DP_RTT_BUCKETS], decided;

	for (unsigned int i = 0; i < SPW_DP_RTT_BUCKETS; i++)
		rtt[i] = grown(a->side[side].rtt[i], b->side[side].rtt[i]);
	*out = (struct ctl_drill_part){
		.seconds = (double)(b->at_ns - a->at_ns) / SPW_NS_PER_S,
		.sent = grown(a->side[side].sent, b->side[side].sent),
		.lost = grown(a->side[side].lost, b->side[side].lost),
		.packets = grown(a->side[side].packets, b->side[side].packets),
		.dropped = grown(a->drops, b->drops),
		.loss_percent = -1,
		.p50_us = ctl_rtt_quantile(rtt, 0.5),
		.p99_us = ctl_rtt_quantile(rtt, 0.99),
	};
	decided = out->lost + grown(a->side[side].received, b->side[side].received);
	if (decided)
		out->loss_percent = (double)out->lost * 100 / (double)decided;
}

static json_t *
measured(double x)
{
	return x < 0 ? json_null() : json_real(x);
}

json_t *
ctl_drill_row(const char *phase, const char *path, const struct ctl_drill_part *p)
{
	return json_pack("{s:s,s:s,s:f,s:I,s:I,s:o,s:o,s:o,s:I,s:I}", "phase", phase, "path", path,
			 "took_s", p->seconds, "probes_sent", (json_int_t)p->sent, "probes_lost",
			 (json_int_t)p->lost, "loss_percent", measured(p->loss_percent),
			 "rtt_p50_us", measured(p->p50_us), "rtt_p99_us", measured(p->p99_us),
			 "carried_packets", (json_int_t)p->packets, "dropped_packets",
			 (json_int_t)p->dropped);
}
