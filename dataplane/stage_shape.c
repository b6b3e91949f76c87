/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage shape: packets into a tunnel with a capacity pass or are dropped, by class.
 *
 * The path stage marks a burst (DP_KIND_SHAPED) when one of its ways is a tunnel with a capacity;
 * other bursts do not come here. It stands between fit and seal, so what is counted is what will be
 * sealed: fragments with their headers, and nothing that fit refused. The rule and the buckets are
 * in shape.h; of each run of packets of one tunnel the levels are read once and what it took is
 * written once. Worker thread.
 */
#include "dataplane/shape.h"
#include "dataplane/stages.h"

struct walk {
	uint32_t tunnel; /* of the run; UINT32_MAX = none */
	const struct spw_dp_classes *classes;
	struct dp_shape_count *count; /* NULL: the tunnel has no capacity */
	struct dp_shape_run run;
};

static void
run_end(struct walk *k)
{
	if (k->count)
		dp_shape_end(&k->run);
	k->count = NULL;
}

static void
run_begin(struct dp_worker *w, struct walk *k, uint32_t tunnel)
{
	struct dp_shape *shape = NULL;

	run_end(k);
	k->tunnel = tunnel;
	if (likely(tunnel < DP_TUNNELS_MAX))
		/* Partner: shape_publish() in objects_class.c. */
		shape = atomic_load_explicit(&w->tables->tunnel_shape[tunnel],
					     memory_order_acquire);
	if (!shape)
		return;
	k->count = &shape->count[w->index];
	dp_shape_begin(&k->run, shape, w->now_tsc);
}

/* May the packet go? Counts it. */
static bool
admit(struct walk *k, struct rte_mbuf *m)
{
	const struct dp_pkt *p = dp_pkt(m);
	unsigned int class = dp_class_of(k->classes, rte_pktmbuf_mtod(m, const uint8_t *),
					 (p->flags & DP_PKT_IPV6) != 0);
	bool passes = dp_shape_admit(&k->run, class, m->pkt_len, p->flags & DP_PKT_FROM_TWIN);

	k->count->passed[class] += passes;
	k->count->dropped[class] += !passes;
	return passes;
}

void
dp_stage_shape(struct dp_worker *w, struct dp_burst *b)
{
	struct walk k = {.tunnel = UINT32_MAX, .classes = dp_classes_get(w->tables)};
	uint16_t kept = 0;

	b->kinds &= (uint16_t)~DP_KIND_SHAPED;
	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		const struct dp_pkt *p = dp_pkt(m);

		if (p->next == DP_NEXT_SEAL) {
			if (p->tunnel != k.tunnel)
				run_begin(w, &k, p->tunnel);
			if (k.count && !admit(&k, m)) {
				dp_drop(w, m, DP_DROP_CAPACITY);
				continue;
			}
		}
		b->pkt[kept++] = m;
	}
	b->n = kept;
	run_end(&k);
}
