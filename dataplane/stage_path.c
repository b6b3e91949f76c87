/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage path: the group's first live path, by the bitmap copied once per burst.
 *
 * Nothing of the group up: the packet is dropped, never sent another way. A packet that takes
 * another tier of its group than the one before tells the API thread (SWITCHED), which needs one
 * compare in the packets where nothing changed: for each group the worker remembers the last tier
 * together with the group's tag, and the API thread raises the tag when a prefix is pointed
 * to the group. Group 0 here means that the path was given (outer packets of a tunnel with a
 * fixed path).
 *
 * Worker thread.
 */
#include "dataplane/classify.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

static void
note_tier(struct dp_worker *w, const struct dp_group *g, const struct dp_choice *c)
{
	struct dp_worker_priv *priv = dp_priv(w);
	uint8_t tag = atomic_load_explicit(&g->tag, memory_order_relaxed);
	uint16_t now = (uint16_t)(tag << 8 | (c->tier + 1));
	uint16_t *seen = &priv->seen_tier[g->conf.id];

	if (likely(*seen == now))
		return;
	struct dp_worker_event ev = {.kind = DP_EVENT_SWITCHED,
				     .group = g->conf.id,
				     .path = c->path,
				     .tsc = w->now_tsc,
				     .tag = tag};

	/* The very first packet of a group that no route was moved to is no switch. */
	if ((*seen == 0 && tag == 0) || dp_worker_tell(w, &ev))
		*seen = now;
}

/* Choose; DP_DROP_COUNT when p->path is set, else why the packet must go. */
static enum dp_drop
choose(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_worker_priv *priv = dp_priv(w);
	struct dp_pkt *p = dp_pkt(m);
	struct dp_choice c;

	if (p->group == 0)
		return dp_path_bit(priv->view.word, p->path) ? DP_DROP_COUNT
							     : DP_DROP_ALL_PATHS_DOWN;
	const struct dp_group *g = dp_group_get(w->tables, p->group);

	if (!g)
		return DP_DROP_NO_ROUTE;
	p->flow_hash = dp_ipv4_flow_hash(rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
	if (!dp_group_choose(g, priv->view.word, p->flow_hash, &c))
		return DP_DROP_ALL_PATHS_DOWN;
	p->path = c.path;
	p->tier_role = c.role;
	if (c.er_stood)
		p->flags |= DP_PKT_ER_STOOD;
	if (!(p->flags & (DP_PKT_FROM_TWIN | DP_PKT_CREATED)))
		note_tier(w, g, &c);
	return DP_DROP_COUNT;
}

static enum dp_drop
to_interface(struct dp_worker *w, struct dp_pkt *p, const struct dp_path *path, uint32_t next_hop)
{
	const struct dp_iface *out = dp_iface_get(w->tables, (uint16_t)path->conf.iface);

	if (!out || !out->port)
		return DP_DROP_PORT_GONE;
	if (!out->conf.up)
		return DP_DROP_IFACE_DOWN;
	p->iface_out = (uint16_t)path->conf.iface;
	p->port_out = out->port->dpdk_id;
	p->next_hop_v4 = next_hop;
	p->next = DP_NEXT_ADJ;
	return DP_DROP_COUNT;
}

/* What the path says. DP_DROP_COUNT when the packet stays in the burst. */
static enum dp_drop
take(struct dp_worker *w, struct rte_mbuf *m, const struct dp_path *path)
{
	struct dp_pkt *p = dp_pkt(m);

	switch ((enum spw_dp_path_kind)path->conf.kind) {
	case SPW_PATH_ADJACENCY: return to_interface(w, p, path, path->next_hop_v4);
	case SPW_PATH_CONNECTED:
		return to_interface(w, p, path, dp_be32(rte_pktmbuf_mtod(m, uint8_t *) + 16));
	case SPW_PATH_TUNNEL:
		if (p->flags & DP_PKT_OUTER)
			return DP_DROP_NO_ROUTE; /* a tunnel never carries another's packets */
		p->tunnel = path->conf.tunnel;
		p->iface_out = atomic_load_explicit(&w->tables->tunnel_iface[path->conf.tunnel],
						    memory_order_acquire);
		p->next = DP_NEXT_SEAL;
		return DP_DROP_COUNT;
	case SPW_PATH_LOCAL:
	case SPW_PATH_DROP: break;
	}
	return DP_DROP_NO_ROUTE;
}

/* True when the packet stays in the burst. */
static bool
path_one(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_worker_priv *priv = dp_priv(w);
	enum dp_drop why = choose(w, m);
	const struct dp_path *path = NULL;

	if (why == DP_DROP_COUNT) {
		path = dp_path_get(w->tables, dp_pkt(m)->path);
		if (path && path->conf.kind == SPW_PATH_LOCAL) {
			dp_mirror_ip(w, m, (uint16_t)path->conf.iface);
			return false;
		}
		why = path ? take(w, m, path) : DP_DROP_NO_ROUTE;
	}
	if (why != DP_DROP_COUNT) {
		dp_drop(w, m, why);
		return false;
	}
	priv->path[path->conf.id].packets++;
	priv->path[path->conf.id].bytes += m->pkt_len;
	return true;
}

void
dp_stage_path(struct dp_worker *w, struct dp_burst *b)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->n; i++)
		if (dp_pkt(b->pkt[i])->next != DP_NEXT_PATH || path_one(w, b->pkt[i]))
			b->pkt[kept++] = b->pkt[i];
	b->n = kept;
}
