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
 * Packets of one burst mostly go the same way, and within a burst neither bitmap nor objects
 * change. So what a group decides and what a path means is worked out when it differs from the
 * packet before and kept otherwise; counters are written once for each such run. The flow hash is
 * made only where more than one path could carry the flow. What all flows of a group share is kept
 * across bursts, too (way_cache.h): with thousands of tunnels every packet has another group.
 *
 * The load of a path by traffic class is sampled: of each SAMPLE packets of a burst, and of what is
 * left at its end, one drawn by lot stands for all. Of 10^6 packets in full bursts, with a quarter
 * in each class, that is within 5 % (four standard deviations); short bursts are told more exactly.
 * Bursts in which packets of an earlier round are under way are left out.
 *
 * Worker thread.
 */
#include "dataplane/classify.h"
#include "dataplane/fit.h"
#include "dataplane/way.h"
#include "dataplane/way_cache.h"
#include "dataplane/wire.h"

#define SAMPLE 32u /* packets of which one is looked at */

static void
note_tier(struct dp_worker *w, struct dp_group_memo *memo, uint16_t path)
{
	const struct dp_group *g = memo->group;
	uint8_t tag = atomic_load_explicit(&g->tag, memory_order_relaxed);
	uint16_t now = (uint16_t)(tag << 8 | (memo->pick.tier + 1));
	uint16_t *seen = &dp_priv(w)->seen_tier[g->conf.id];

	memo->noted = true;
	memo->told = *seen == now;
	if (memo->told)
		return;
	struct dp_worker_event ev = {.kind = DP_EVENT_SWITCHED,
				     .group = g->conf.id,
				     .path = path,
				     .tsc = w->now_tsc,
				     .tag = tag};

	/* The very first packet of a group that no route was moved to is no switch. */
	if ((*seen == 0 && tag == 0) || dp_worker_tell(w, &ev))
		*seen = now;
	memo->told = *seen == now;
}

static void
group_ask(const struct dp_worker *w, uint32_t id, struct dp_group_memo *memo)
{
	memo->id = id;
	memo->noted = memo->told = false;
	memo->group = dp_group_get(w->tables, id);
	if (!memo->group)
		memo->why = DP_DROP_NO_ROUTE;
	else if (dp_group_pick(memo->group, dp_priv(w)->view.word, &memo->pick))
		memo->why = DP_DROP_COUNT;
	else
		memo->why = DP_DROP_ALL_PATHS_DOWN;
}

static uint32_t
flow_hash(const struct rte_mbuf *m, const struct dp_pkt *p)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);

	return p->flags & DP_PKT_IPV6 ? dp_ipv6_flow_hash(ip, m->data_len)
				      : dp_ipv4_flow_hash(ip, m->data_len);
}

/* Choose; DP_DROP_COUNT when p->path is set, else why the packet must go. */
static enum dp_drop
choose(struct dp_worker *w, struct rte_mbuf *m, struct dp_group_memo *memo)
{
	struct dp_pkt *p = dp_pkt(m);

	if (p->group == 0)
		return dp_path_bit(dp_priv(w)->view.word, p->path) ? DP_DROP_COUNT
								   : DP_DROP_ALL_PATHS_DOWN;
	if (p->group != memo->id)
		group_ask(w, p->group, memo);
	if (memo->why != DP_DROP_COUNT)
		return memo->why;
	p->path = dp_pick_path(&memo->pick, memo->pick.alone ? 0 : flow_hash(m, p));
	p->flags |= memo->pick.er_stood ? DP_PKT_ER_STOOD : 0;
	if (!memo->noted && !(p->flags & (DP_PKT_FROM_TWIN | DP_PKT_CREATED)))
		note_tier(w, memo, (uint16_t)p->path);
	return DP_DROP_COUNT;
}

/* What the path says. */
static void
path_meaning(const struct dp_worker *w, const struct dp_path *path, struct dp_path_memo *memo)
{
	const struct dp_iface *out;

	memo->why = DP_DROP_COUNT;
	memo->tunnel = path->conf.tunnel;
	memo->iface_out = (uint16_t)path->conf.iface;
	switch ((enum spw_dp_path_kind)path->conf.kind) {
	case SPW_PATH_ADJACENCY:
	case SPW_PATH_CONNECTED:
		out = dp_iface_get(w->tables, memo->iface_out);
		memo->next = DP_NEXT_ADJ;
		memo->kinds = DP_KIND(DP_NEXT_ADJ);
		if (!out || !out->port)
			memo->why = DP_DROP_PORT_GONE;
		else if (!out->conf.up)
			memo->why = DP_DROP_IFACE_DOWN;
		break;
	case SPW_PATH_TUNNEL:
		memo->next = DP_NEXT_SEAL;
		memo->kinds = dp_tunnel_kinds(w->tables, memo->tunnel);
		memo->iface_out = atomic_load_explicit(&w->tables->tunnel_iface[memo->tunnel],
						       memory_order_acquire);
		break;
	case SPW_PATH_LOCAL: memo->next = DP_NEXT_TX; break;
	case SPW_PATH_DROP: memo->why = DP_DROP_NO_ROUTE; break;
	}
}

static void
path_count(struct dp_worker *w, struct dp_path_memo *memo)
{
	if (memo->packets == 0)
		return;
	dp_priv(w)->path[memo->id].packets += memo->packets;
	dp_priv(w)->path[memo->id].bytes += memo->bytes;
	memo->packets = memo->bytes = 0;
}

static void
path_ask(struct dp_worker *w, uint32_t id, struct dp_path_memo *memo)
{
	const struct dp_path *path = dp_path_get(w->tables, id);

	path_count(w, memo);
	memo->id = id;
	if (path)
		path_meaning(w, path, memo);
	else
		memo->why = DP_DROP_NO_ROUTE;
}

/* Send the packet the path's way. DP_DROP_COUNT unless it must go. */
static enum dp_drop
take(struct rte_mbuf *m, struct dp_path_memo *memo)
{
	struct dp_pkt *p = dp_pkt(m);

	if (memo->why != DP_DROP_COUNT)
		return memo->why;
	if (memo->next == DP_NEXT_SEAL) {
		if (p->flags & DP_PKT_OUTER)
			return DP_DROP_NO_ROUTE; /* a tunnel never carries another's packets */
		p->tunnel = memo->tunnel;
	}
	p->iface_out = memo->iface_out;
	p->next = memo->next;
	memo->packets++;
	memo->bytes += m->pkt_len;
	return DP_DROP_COUNT;
}

bool
dp_way_one(struct dp_worker *w, struct rte_mbuf *m, struct dp_ways *ways)
{
	enum dp_drop why = choose(w, m, &ways->group);

	if (likely(why == DP_DROP_COUNT)) {
		if (dp_pkt(m)->path != ways->path.id)
			path_ask(w, dp_pkt(m)->path, &ways->path);
		why = take(m, &ways->path);
	}
	if (unlikely(why != DP_DROP_COUNT)) {
		dp_drop(w, m, why);
		return false;
	}
	if (likely(ways->path.next != DP_NEXT_TX))
		return true;
	dp_mirror_ip(w, m, ways->path.iface_out);
	return false;
}

void
dp_ways_count(struct dp_worker *w, struct dp_ways *ways)
{
	path_count(w, &ways->path);
}

/* Flags that packets must share to be alike for the path stage. */
#define KIN_FLAGS (DP_PKT_DECRYPTED | DP_PKT_IPV6)

/* What became of the packet before, when all others of its group go the same way. */
struct beaten {
	uint32_t group; /* 0 = none */
	uint32_t from;	/* tunnel that it came out of, or 0 */
	uint8_t kind;	/* its flags of KIN_FLAGS */
	struct dp_way way;
	struct dp_fit_way fit;	 /* what the way carries */
	uint64_t packets, bytes; /* that followed */
};

static void
followers_count(struct dp_worker *w, struct beaten *t)
{
	if (t->packets == 0)
		return;
	dp_priv(w)->path[t->way.path].packets += t->packets;
	dp_priv(w)->path[t->way.path].bytes += t->bytes;
	t->packets = t->bytes = 0;
}

/*
 * Note the way that a packet took, for those of its group that follow, and for later bursts once
 * the API thread has been told of the group's tier.
 */
static void
beat(struct dp_worker *w, const struct dp_pkt *p, const struct dp_ways *ways, uint32_t epoch,
     struct beaten *t)
{
	const struct dp_group_memo *g = &ways->group;

	t->group = 0;
	if (p->group == 0 || !g->pick.alone || !g->noted)
		return;
	t->group = p->group;
	t->way = (struct dp_way){.epoch = epoch,
				 .path = (uint16_t)p->path,
				 .tunnel = (uint16_t)ways->path.tunnel,
				 .iface_out = p->iface_out,
				 .next = p->next,
				 .flags = g->pick.er_stood ? DP_PKT_ER_STOOD : 0,
				 .kinds = ways->path.kinds};
	if (g->told)
		dp_priv(w)->way[p->group & (DP_GROUPS_MAX - 1)] = t->way;
}

/* Send one packet a remembered way. */
static inline void
follow(struct rte_mbuf *m, const struct dp_way *way)
{
	struct dp_pkt *p = dp_pkt(m);

	p->path = way->path;
	p->iface_out = way->iface_out;
	p->next = way->next;
	p->flags |= way->flags;
	if (way->next == DP_NEXT_SEAL)
		p->tunnel = way->tunnel;
}

/*
 * Send the packets from the `from`th on that follow in the group of the one before the same way,
 * and put them behind the `kept` ones. Returns how many. What they have in common stays in
 * registers.
 */
static uint16_t
follow_all(struct dp_burst *b, uint16_t from, uint16_t kept, struct beaten *t)
{
	const bool ipv6 = (t->kind & DP_PKT_IPV6) != 0, mss = dp_fit_mss(t->fit.word, ipv6) != 0;
	const struct dp_way way = t->way;
	const uint32_t tunnel = way.next == DP_NEXT_SEAL ? way.tunnel : t->from;
	const __m128i like = dp_head_of(0, DP_STATE(DP_NEXT_PATH, t->kind),
					dp_kin_of(t->group, t->from)),
		      asked = dp_head_of(0, DP_STATE(DP_STATE_NEXT, KIN_FLAGS), UINT64_MAX),
		      put = dp_head_of(way.iface_out, DP_STATE(way.next, way.flags),
				       dp_kin_of(t->group, tunnel)),
		      replaced = dp_head_of(UINT16_MAX, DP_STATE(DP_STATE_NEXT, 0), UINT64_MAX);
	struct rte_mbuf **out = &b->pkt[kept], *const *end = &b->pkt[t->group != 0 ? b->n : from];
	uint32_t longest = 0;
	uint64_t bytes = 0;
	bool syn = false;
	uint16_t n;

	for (struct rte_mbuf *const *in = &b->pkt[from]; in != end; in++) {
		struct rte_mbuf *m = *in;
		struct dp_pkt *p = dp_pkt(m);
		const __m128i head = dp_pkt_head(p);

		if (!dp_head_alike(head, like, asked))
			break;
		dp_pkt_head_set(p, _mm_or_si128(_mm_andnot_si128(replaced, head), put));
		p->path = way.path;
		longest = RTE_MAX(longest, m->pkt_len);
		bytes += m->pkt_len;
		syn |= mss && dp_fit_may_be_syn(m, ipv6);
		*out++ = m;
	}
	n = (uint16_t)(out - &b->pkt[kept]);
	if (unlikely(longest > dp_fit_mtu(t->fit.word, ipv6) || syn))
		b->kinds |= DP_KIND_FIT;
	t->packets += n;
	t->bytes += bytes;
	return n;
}

/* Take the remembered way of a group, or find a new one. False: the packet left the burst. */
static bool
lead_way(struct dp_worker *w, struct rte_mbuf *m, struct dp_ways *ways, uint32_t epoch,
	 struct beaten *t)
{
	const struct dp_pkt *p = dp_pkt(m);
	const struct dp_way *known = dp_way_recall(w, p->group, epoch);

	if (known) {
		t->group = p->group;
		t->way = *known;
		follow(m, known);
		t->packets = 1;
		t->bytes = m->pkt_len;
		return true;
	}
	t->group = 0;
	if (!dp_way_one(w, m, ways))
		return false;
	t->way.kinds = ways->path.kinds;
	beat(w, p, ways, epoch, t);
	return true;
}

/* The first packet of another group, or out of another tunnel, than the one before. */
static bool
lead(struct dp_worker *w, struct dp_burst *b, struct rte_mbuf *m, struct dp_ways *ways,
     uint32_t epoch, struct beaten *t)
{
	followers_count(w, t);
	t->from = dp_pkt(m)->tunnel;
	t->kind = dp_pkt(m)->flags & KIN_FLAGS;
	if (unlikely(!lead_way(w, m, ways, epoch, t)))
		return false;
	b->kinds |= t->way.kinds;
	if (unlikely(!dp_fit_fits(&t->fit, w, m)))
		b->kinds |= DP_KIND_FIT;
	return true;
}

/*
 * A burst whose groups are mixed: send the packets from the `from`th on into the tunnels that their
 * groups' remembered ways name, and put them behind the `kept` ones. The first that has another
 * way, or none that is known, is left as it was. Returns how many.
 */
static uint16_t
step_all(struct dp_worker *w, struct dp_burst *b, uint16_t from, uint16_t kept, uint32_t epoch)
{
	const struct dp_tunnel *tunnels = w->sad->tunnels;
	struct dp_path_counters *path = dp_priv(w)->path;
	struct rte_mbuf **out = &b->pkt[kept], *const *end = &b->pkt[b->n];
	unsigned int kinds = 0;

	for (struct rte_mbuf *const *in = &b->pkt[from]; in != end; in++) {
		struct rte_mbuf *m = *in;
		struct dp_pkt *p = dp_pkt(m);
		const struct dp_way *known = dp_way_recall(w, p->group, epoch);
		uint64_t carries;

		if (unlikely(p->next != DP_NEXT_PATH || !known || known->next != DP_NEXT_SEAL))
			break;
		const uint32_t into = known->tunnel, by = known->path;
		const struct dp_tunnel *tunnel = &tunnels[into];

		carries = atomic_load_explicit(&tunnel->fit, memory_order_relaxed);
		if (unlikely(carries == 0))
			break;
		dp_sa_out_fetch(tunnel);
		if (unlikely(!dp_fit_word_fits(carries, m, dp_fit_ipv6(p))))
			kinds |= DP_KIND_FIT;
		p->tunnel = into;
		p->path = by;
		p->iface_out = known->iface_out;
		p->next = DP_NEXT_SEAL;
		p->flags |= known->flags;
		path[by].packets++;
		path[by].bytes += m->pkt_len;
		kinds |= known->kinds;
		*out++ = m;
	}
	b->kinds |= (uint16_t)kinds;
	return (uint16_t)(out - &b->pkt[kept]);
}

/* Look at some of the packets of a burst that all came here for their way. */
static inline void
sample(struct dp_worker *w, const struct dp_burst *b)
{
	const struct spw_dp_classes *classes = dp_classes_get(w->tables);

	for (uint32_t from = 0; from < b->n; from += SAMPLE) {
		uint32_t n = RTE_MIN(b->n - from, SAMPLE);
		struct rte_mbuf *m = b->pkt[from + (uint32_t)((uint64_t)dp_chance(w) * n >> 32)];
		const struct dp_pkt *p = dp_pkt(m);
		unsigned int class = dp_class_of(classes, rte_pktmbuf_mtod(m, const uint8_t *),
						 (p->flags & DP_PKT_IPV6) != 0);

		dp_priv(w)->load[p->path].bytes[class] += (uint64_t)m->pkt_len * n;
	}
}

void
dp_stage_path(struct dp_worker *w, struct dp_burst *b)
{
	struct dp_ways ways = DP_WAYS_NONE;
	struct beaten track = {0};
	uint32_t epoch = dp_way_epoch(w);
	uint16_t kept = 0;
	bool all_came, mixed;

	b->kinds &= (uint16_t)~DP_KIND(DP_NEXT_PATH);
	all_came = (b->kinds & ~DP_KIND_FIT) == 0;
	mixed = dp_ways_mixed(b);
	if (unlikely(mixed))
		dp_ways_fetch(w, b, epoch);
	for (uint16_t i = 0; i < b->n;) {
		struct rte_mbuf *m;
		uint16_t n;

		if (mixed && (n = step_all(w, b, i, kept, epoch)) != 0) {
			kept = (uint16_t)(kept + n);
			i = (uint16_t)(i + n);
			continue;
		}
		m = b->pkt[i++];
		if (likely(dp_pkt(m)->next == DP_NEXT_PATH) &&
		    unlikely(!lead(w, b, m, &ways, epoch, &track)))
			continue;
		b->pkt[kept++] = m;
		n = follow_all(b, i, kept, &track);
		kept = (uint16_t)(kept + n);
		i = (uint16_t)(i + n);
	}
	b->n = kept;
	dp_burst_one_way(b, track.packets,
			 &(struct dp_one_way){.path = track.way.path,
					      .bytes = (uint32_t)track.bytes,
					      .iface = track.way.iface_out,
					      .ipv6 = (track.kind & DP_PKT_IPV6) != 0});
	followers_count(w, &track);
	dp_ways_count(w, &ways);
	if (likely(all_came))
		sample(w, b);
}
