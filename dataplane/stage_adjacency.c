/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage adjacency: the Ethernet header (and VLAN tags) in front of the packet.
 *
 * The next hop's MAC comes from the kernel's neighbours. When it is not known, a few packets wait
 * (DP_PENDING_PKTS for each of DP_PENDING_SLOTS next hops of a worker, found by hash), the API
 * thread is asked to have it resolved, at a limited rate, and asked again while packets keep
 * coming. What waits longer than a second is dropped; no packet ever leaves with a guessed
 * address. Waiting packets hold ids only, so interfaces may change meanwhile.
 *
 * Worker thread.
 */
#include "dataplane/stages.h"
#include "dataplane/wire.h"

#define ETHERTYPE_VLAN 0x8100
#define WAIT_MAX_S     1
#define ASK_AGAIN_MS   200
#define CHECK_MS       20

static void
ask(struct dp_worker *w, struct dp_pending *slot, uint16_t iface, uint32_t addr)
{
	struct dp_worker_priv *p = dp_priv(w);
	struct dp_worker_event ev = {
		.kind = DP_EVENT_NEIGH_MISS, .iface = iface, .addr = addr, .tsc = w->now_tsc};

	if (slot->asked_tsc && w->now_tsc - slot->asked_tsc < p->hz / 1000 * ASK_AGAIN_MS)
		return;
	if (dp_rate_take(&p->ask_rate, w->now_tsc) && dp_worker_tell(w, &ev))
		slot->asked_tsc = w->now_tsc;
}

/* Keep the packet until its next hop is known, or drop it. */
static void
wait_for(struct dp_worker *w, struct rte_mbuf *m, uint64_t key)
{
	struct dp_pending *slot = &dp_priv(w)->pending[dp_neigh_hash(key) % DP_PENDING_SLOTS];

	if (slot->key != key) {
		if (slot->n) {
			dp_drop(w, m, DP_DROP_NEIGHBOUR_QUEUE);
			return;
		}
		*slot = (struct dp_pending){.key = key};
	}
	ask(w, slot, dp_pkt(m)->iface_out, dp_pkt(m)->next_hop_v4);
	if (slot->n == DP_PENDING_PKTS) {
		dp_drop(w, m, DP_DROP_NEIGHBOUR_QUEUE);
		return;
	}
	if (slot->n == 0)
		slot->since_tsc = w->now_tsc;
	slot->pkt[slot->n++] = m;
}

static unsigned int
header_len(const struct dp_iface *out)
{
	return DP_ETHER_LEN + (out->conf.vlan_outer ? 4 : 0) + (out->conf.vlan_inner ? 4 : 0);
}

static void
header_write(uint8_t *h, const struct dp_iface *out, const uint8_t mac[6])
{
	memcpy(h, mac, 6);
	memcpy(h + 6, out->mac, 6);
	h += 12;
	if (out->conf.vlan_outer) {
		dp_put_be16(h, ETHERTYPE_VLAN);
		dp_put_be16(h + 2, out->conf.vlan_outer);
		h += 4;
	}
	if (out->conf.vlan_inner) {
		dp_put_be16(h, ETHERTYPE_VLAN);
		dp_put_be16(h + 2, out->conf.vlan_inner);
		h += 4;
	}
	dp_put_be16(h, 0x0800);
}

/* True when the packet stays in the burst. */
static bool
adjacency_one(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_pkt *p = dp_pkt(m);
	const struct dp_iface *out = dp_iface_get(w->tables, p->iface_out);
	uint64_t key = dp_neigh_key(p->iface_out, p->next_hop_v4);
	uint8_t mac[6];

	if (!out || !out->port) {
		dp_drop(w, m, DP_DROP_PORT_GONE);
		return false;
	}
	if (!dp_neigh_find(w->tables->neighs, key, mac)) {
		wait_for(w, m, key);
		return false;
	}
	uint8_t *h = (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)header_len(out));

	if (!h) {
		dp_drop(w, m, DP_DROP_NO_ROOM);
		return false;
	}
	header_write(h, out, mac);
	p->port_out = out->port->dpdk_id;
	p->next = DP_NEXT_TX;
	return true;
}

void
dp_stage_adjacency(struct dp_worker *w, struct dp_burst *b)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->n; i++)
		if (dp_pkt(b->pkt[i])->next != DP_NEXT_ADJ || adjacency_one(w, b->pkt[i]))
			b->pkt[kept++] = b->pkt[i];
	b->n = kept;
}

static void
slot_check(struct dp_worker *w, struct dp_pending *slot, struct dp_burst *b)
{
	uint8_t mac[6];

	if (dp_neigh_find(w->tables->neighs, slot->key, mac)) {
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
