/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage adjacency: the Ethernet header (and VLAN tags) in front of the packet.
 *
 * An adjacency whose neighbour is known has a finished header, published with its path: three stores
 * and the packet may go. Where a burst goes out whole by one of these, the tx stage is told so.
 * Otherwise (a connected network, or a neighbour that is not known) the MAC is looked up among the
 * kernel's neighbours. When it is not known, some packets wait (DP_PENDING_PKTS for each of
 * DP_PENDING_SLOTS next hops of a worker, found by hash), the API thread is asked to have it
 * resolved, at a limited rate, and asked again while packets keep coming. So it is for a next hop
 * whose slot another has: somebody who walks through a network of silent addresses takes all slots,
 * and must not keep a host from being found. What waits longer than a second is dropped; no packet
 * ever leaves with a guessed address. Waiting packets hold ids only: interfaces and paths may
 * change meanwhile, and a path that leads elsewhere by then costs the packet, because its size was
 * fitted to the way it had.
 *
 * Worker thread.
 */
#include "dataplane/stages.h"
#include "dataplane/wire.h"

#define WAIT_MAX_S   1
#define ASK_AGAIN_MS 200
#define CHECK_MS     20

/* False: not now. */
static bool
ask(struct dp_worker *w, const struct dp_neigh_key *key)
{
	struct dp_worker_event ev = {
		.kind = DP_EVENT_NEIGH_MISS, .iface = (uint16_t)key->iface, .tsc = w->now_tsc};

	dp_neigh_key_addr(key, ev.addr);
	return dp_rate_take(&dp_priv(w)->ask_rate, w->now_tsc) && dp_worker_tell(w, &ev);
}

static void
ask_for(struct dp_worker *w, struct dp_pending *slot)
{
	if (slot->asked_tsc && w->now_tsc - slot->asked_tsc < dp_priv(w)->hz / 1000 * ASK_AGAIN_MS)
		return;
	if (ask(w, &slot->key))
		slot->asked_tsc = w->now_tsc;
}

/* Keep the packet until its next hop is known, or drop it. */
static void
wait_for(struct dp_worker *w, struct rte_mbuf *m, const struct dp_neigh_key *key)
{
	struct dp_pending *slot = &dp_priv(w)->pending[dp_neigh_hash(key) % DP_PENDING_SLOTS];

	if (!dp_neigh_key_equal(&slot->key, key)) {
		if (slot->n) {
			(void)ask(w, key);
			dp_drop(w, m, DP_DROP_NEIGHBOUR_QUEUE);
			return;
		}
		*slot = (struct dp_pending){.key = *key};
	}
	ask_for(w, slot);
	if (slot->n == DP_PENDING_PKTS) {
		dp_drop(w, m, DP_DROP_NEIGHBOUR_QUEUE);
		return;
	}
	if (slot->n == 0)
		slot->since_tsc = w->now_tsc;
	slot->pkt[slot->n++] = m;
}

/* The station a packet goes to next: the path's, or on a connected network its destination. */
static struct dp_neigh_key
next_hop(const struct rte_mbuf *m, const struct dp_pkt *p, const struct dp_path *path)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);

	if (path->conf.kind == SPW_PATH_ADJACENCY)
		return path->hop;
	return p->flags & DP_PKT_IPV6 ? dp_neigh_key6(p->iface_out, ip + 24)
				      : dp_neigh_key4(p->iface_out, dp_be32(ip + 16));
}

/* Does the path still lead over the interface that was chosen with it? */
static bool
leads_over(const struct dp_path *path, uint16_t iface)
{
	return path && path->conf.iface == iface &&
	       (path->conf.kind == SPW_PATH_ADJACENCY || path->conf.kind == SPW_PATH_CONNECTED);
}

/* Without a finished header. True when the packet stays in the burst. */
static bool
slow_one(struct dp_worker *w, struct rte_mbuf *m, const struct dp_path *path)
{
	struct dp_pkt *p = dp_pkt(m);
	const struct dp_iface *out = dp_iface_get(w->tables, p->iface_out);
	uint8_t mac[6];

	if (!out || !out->port || !leads_over(path, p->iface_out)) {
		dp_drop(w, m, DP_DROP_PORT_GONE);
		return false;
	}
	struct dp_neigh_key key = next_hop(m, p, path);

	if (!dp_neigh_find(w->tables->neighs, &key, mac)) {
		wait_for(w, m, &key);
		return false;
	}
	struct dp_l2 l2 = dp_l2_of(&out->l2, (p->flags & DP_PKT_IPV6) != 0);

	dp_l2_dest(&l2, mac);
	if (!dp_l2_push(m, &l2)) {
		dp_drop(w, m, DP_DROP_NO_ROOM);
		return false;
	}
	p->port_out = l2.port_out;
	p->next = DP_NEXT_TX;
	return true;
}

/* The last path asked, and the finished header of its frames. */
struct path_memo {
	uint32_t id; /* SPW_DP_ADDR_NONE = none yet */
	const struct dp_path *path;
	const struct dp_l2 *l2;
};

static void
path_ask(const struct dp_worker *w, uint32_t id, struct path_memo *memo)
{
	memo->id = id;
	memo->path = dp_path_get(w->tables, id);
	/* Pairs with the release in dp_paths_prepare(). */
	memo->l2 = likely(memo->path) ? atomic_load_explicit(&memo->path->l2, memory_order_acquire)
				      : NULL;
}

/*
 * A burst all of which goes one way: nothing is asked of its packets but room for the header. False
 * when some are left, which are the long way's.
 */
static __attribute__((noinline)) bool
push_one_way(const struct dp_worker *w, struct dp_burst *b)
{
	const struct dp_one_way *way = &b->one_way;
	struct rte_mbuf *const *at, *const *end = &b->pkt[b->n];
	struct path_memo memo;
	uint16_t n;

	path_ask(w, way->path, &memo);
	if (unlikely(memo.l2 == NULL || memo.l2->iface != way->iface))
		return false;
	const struct dp_l2 l2 = dp_l2_of(memo.l2, way->ipv6);

	for (at = b->pkt; at != end; at++) {
		struct rte_mbuf *m = *at;

		if (unlikely(!dp_l2_put(m, &l2)))
			break;
		dp_pkt(m)->port_out = l2.port_out;
		dp_pkt(m)->next = DP_NEXT_TX;
	}
	n = (uint16_t)(at - b->pkt);
	dp_l2_insert(b->pkt, n, &l2);
	b->out = (struct dp_out){
		.port = l2.port_out, .iface = l2.iface, .bytes = way->bytes + (uint32_t)n * l2.len};
	return n == b->n;
}

/*
 * Do all packets from the `from`th on that take the path of `memo` and are of the first one's
 * family, and put them behind the `kept` ones, as far as its finished header does. Returns how
 * many; notes in `b->out` what they come to.
 */
static uint16_t
push_all(struct dp_burst *b, uint16_t from, uint16_t kept, const struct path_memo *memo)
{
	const uint32_t alike = DP_STATE(DP_STATE_NEXT, DP_PKT_IPV6),
		       state = dp_pkt_state(dp_pkt(b->pkt[from])) & alike;
	const struct dp_l2 l2 = dp_l2_of(memo->l2, (state & DP_STATE(0, DP_PKT_IPV6)) != 0);
	const uint32_t path = memo->id;
	struct rte_mbuf **out = &b->pkt[kept], *const *end = &b->pkt[b->n];
	uint32_t bytes = 0;
	uint16_t n;

	for (struct rte_mbuf *const *in = &b->pkt[from]; in != end; in++) {
		struct rte_mbuf *m = *in;
		struct dp_pkt *p = dp_pkt(m);

		if ((dp_pkt_state(p) & alike) != state || p->path != path ||
		    unlikely(p->iface_out != l2.iface || !dp_l2_put(m, &l2)))
			break;
		p->port_out = l2.port_out;
		p->next = DP_NEXT_TX;
		bytes += m->pkt_len;
		*out++ = m;
	}
	n = (uint16_t)(out - &b->pkt[kept]);
	dp_l2_insert(&b->pkt[kept], n, &l2);
	b->out = (struct dp_out){.port = l2.port_out, .iface = l2.iface, .bytes = bytes};
	return n;
}

void
dp_stage_adjacency(struct dp_worker *w, struct dp_burst *b)
{
	struct path_memo memo = {.id = SPW_DP_ADDR_NONE};
	uint16_t kept = 0, n = 0;

	if (b->kinds == (DP_KIND(DP_NEXT_ADJ) | DP_KIND_ONE_WAY) && likely(push_one_way(w, b)))
		return;
	for (uint16_t i = 0; i < b->n;) {
		struct rte_mbuf *m = b->pkt[i];
		const struct dp_pkt *p = dp_pkt(m);

		n = 0;

		if (p->next == DP_NEXT_ADJ) {
			if (p->path != memo.id)
				path_ask(w, p->path, &memo);
			if (likely(memo.l2 != NULL))
				n = push_all(b, i, kept, &memo);
			kept = (uint16_t)(kept + n);
			i = (uint16_t)(i + n);
			if (likely(n != 0))
				continue;
		}
		i++;
		if (p->next != DP_NEXT_ADJ || slow_one(w, m, memo.path))
			b->pkt[kept++] = m;
	}
	b->n = kept;
	if (unlikely(n != kept)) /* not all in one go */
		b->out.port = DP_PORT_NONE;
}

static void
slot_check(struct dp_worker *w, struct dp_pending *slot, struct dp_burst *b)
{
	uint8_t mac[6];

	if (dp_neigh_find(w->tables->neighs, &slot->key, mac)) {
		while (slot->n && dp_burst_add(b, slot->pkt[0])) {
			slot->n--;
			memmove(slot->pkt, slot->pkt + 1, slot->n * sizeof(slot->pkt[0]));
		}
		slot->asked_tsc = 0;
		return;
	}
	if (w->now_tsc - slot->since_tsc < dp_priv(w)->hz * WAIT_MAX_S)
		return;
	while (slot->n)
		dp_drop(w, slot->pkt[--slot->n], DP_DROP_NO_NEIGHBOUR);
}

void
dp_pending_check(struct dp_worker *w, struct dp_burst *b)
{
	struct dp_worker_priv *p = dp_priv(w);
	uint32_t changes = atomic_load_explicit(&w->tables->neighs->changes, memory_order_acquire);

	if (changes == p->neigh_changes && w->now_tsc < p->pending_check_tsc)
		return;
	p->neigh_changes = changes;
	p->pending_check_tsc = w->now_tsc + p->hz / 1000 * CHECK_MS;
	for (unsigned int i = 0; i < DP_PENDING_SLOTS; i++)
		if (p->pending[i].n)
			slot_check(w, &p->pending[i], b);
}

void
dp_pending_flush(struct dp_worker *w)
{
	struct dp_worker_priv *p = dp_priv(w);

	for (unsigned int i = 0; i < DP_PENDING_SLOTS; i++)
		while (p->pending[i].n)
			dp_drop(w, p->pending[i].pkt[--p->pending[i].n], DP_DROP_NO_NEIGHBOUR);
}
