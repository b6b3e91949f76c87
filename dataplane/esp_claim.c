/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What outbound packets use of their SA: numbers, bytes, and their place in the counters.
 *
 * A sequence number is claimed by an addition (atomic when workers share SAs), so no two packets of
 * any workers have one, and it is the IV (RFC 4106 3.1: unique per key); a number that is claimed
 * and not used leaves a gap, which is allowed. Numbers beyond the last one, and bytes and packets
 * beyond a hard limit, are refused here, whoever is dead. With several workers numbers come from
 * dp_claim() (spread_claim.c); what gets none now leaves the burst and is tried again
 * (spread_seal.c). Worker thread; writes the counters of its own index.
 */
#include "dataplane/esp_seal.h"
#include "dataplane/spread_claim.h"
#include "dataplane/spread_seal.h"

/* Add to a counter that all workers share; returns what it was. Alone, a plain addition does. */
static uint64_t
claim(const struct dp_sad *sad, _Atomic uint64_t *counter, uint64_t n)
{
	uint64_t was;

	if (sad->shared)
		return atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
	was = atomic_load_explicit(counter, memory_order_relaxed);
	atomic_store_explicit(counter, was + n, memory_order_relaxed);
	return was;
}

static void
raise_limits(struct dp_sad *sad, const struct dp_sa_out *sa, uint64_t seq, uint64_t bytes)
{
	struct dp_child *c = sa->child;
	const struct dp_sa_limits *l = &sa->limit;

	if (seq >= l->soft_packets)
		dp_child_raise(sad, c, c->spi_in, SPW_SA_EV_SOFT, SPW_SA_LIMIT_PACKETS);
	if (bytes >= l->soft_bytes)
		dp_child_raise(sad, c, c->spi_in, SPW_SA_EV_SOFT, SPW_SA_LIMIT_BYTES);
	if (seq >= l->hard_packets || seq >= sa->seq_max)
		dp_child_raise(sad, c, c->spi_in, SPW_SA_EV_HARD, SPW_SA_LIMIT_PACKETS);
	if (bytes >= l->hard_bytes)
		dp_child_raise(sad, c, c->spi_in, SPW_SA_EV_HARD, SPW_SA_LIMIT_BYTES);
}

/* May the packet with this number, up to this sum of bytes, still go? */
static bool
within(const struct dp_sa_out *sa, uint64_t seq, uint64_t bytes)
{
	return seq <= sa->seq_max && seq <= sa->limit.hard_packets && bytes <= sa->limit.hard_bytes;
}

/*
 * A limit is near: keep the packets of the run that are within all of them and drop the rest. Byte
 * limits end the SA at the first packet that does not fit, even if a shorter one would.
 */
static void
trim(struct dp_worker *w, struct dp_burst *b, struct dp_seal_run *r, uint64_t bytes)
{
	struct dp_sa_out *sa = r->sa;
	uint16_t kept = 0;
	uint64_t seq = r->seq, claimed = r->bytes;

	raise_limits(w->sad, sa, seq + r->n, bytes + r->bytes);
	r->bytes = 0;
	for (uint16_t i = 0; i < r->n; i++) {
		uint32_t len = b->pkt[r->from + i]->data_len;

		bytes += len;
		if (within(sa, ++seq, bytes)) {
			r->bytes += len;
			kept++;
			continue;
		}
		dp_seal_refuse(w, b, (uint16_t)(r->from + i),
			       seq > sa->seq_max ? DP_DROP_SEQ_EXHAUSTED : DP_DROP_LIMIT_HARD);
	}
	atomic_fetch_add_explicit(&sa->refused_packets, r->n - kept, memory_order_relaxed);
	atomic_fetch_add_explicit(&sa->refused_bytes, claimed - r->bytes, memory_order_relaxed);
	r->n = kept;
}

/* Numbers for the front of a run among several workers; what gets none waits. */
static void
claim_shared(struct dp_worker *w, struct dp_burst *b, struct dp_seal_run *r)
{
	struct dp_sa_out *sa = r->sa;
	uint64_t first = 1;
	uint32_t n = 0;

	if (likely(!dp_seal_holds(w->seal, sa->tunnel)))
		n = dp_claim(&sa->seq, sa->count, w->sad->n_workers, w->index, r->n, &first);
	for (uint32_t i = n; i < r->n; i++) {
		dp_seal_wait(w, sa, b->pkt[r->from + i]);
		b->pkt[r->from + i] = NULL;
	}
	r->n = (uint16_t)n;
	r->seq = first - 1;
	r->bytes = 0;
	for (uint32_t i = 0; i < n; i++)
		r->bytes += b->pkt[r->from + i]->data_len;
	if (n != 0)
		dp_seal_note(w->seal, sa);
}

void
dp_seal_claim(struct dp_worker *w, struct dp_burst *b, struct dp_seal_run *r)
{
	struct dp_sa_out *sa = r->sa;
	uint64_t bytes;

	if (w->spread != NULL)
		claim_shared(w, b, r);
	else
		r->seq = claim(w->sad, &sa->seq, r->n);
	bytes = claim(w->sad, &sa->bytes, r->bytes);
	if (unlikely(r->seq + r->n >= dp_sa_out_watch(sa) || bytes + r->bytes >= sa->watch_bytes))
		trim(w, b, r, bytes);
}

void
dp_seal_count(struct dp_worker *w, const struct dp_burst *b, const struct dp_seal_run *r)
{
	struct dp_tunnel_count *n = &w->sad->tunnel_count[w->index][r->sa->tunnel];
	uint64_t own = 0, violations = 0;

	if (likely((r->flags & DP_COUNTED_APART) == 0))
		return;
	for (uint16_t i = 0; i < r->n; i++) {
		uint8_t flags = dp_pkt(b->pkt[r->from + i])->flags;
		bool mine = (flags & DP_PKT_FROM_TWIN) != 0;

		own += mine;
		violations += !mine && (flags & DP_PKT_ER_STOOD) != 0;
	}
	dp_count(&n->own_out, own);
	dp_count(&n->violations, violations);
}

void
dp_seal_uncount(struct dp_worker *w, struct dp_sa_out *sa, struct rte_mbuf *m)
{
	struct dp_tunnel_count *n = &w->sad->tunnel_count[w->index][sa->tunnel];
	const struct dp_pkt *p = dp_pkt(m);
	const bool mine = (p->flags & DP_PKT_FROM_TWIN) != 0;
	const uint64_t one_less = UINT64_MAX;

	atomic_fetch_add_explicit(&sa->refused_packets, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&sa->refused_bytes, p->inner_len, memory_order_relaxed);
	if (mine)
		dp_count(&n->own_out, one_less);
	else if ((p->flags & DP_PKT_ER_STOOD) != 0)
		dp_count(&n->violations, one_less);
}
